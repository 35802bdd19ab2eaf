//! Settings of the engine: plain data.

use std::collections::BTreeMap;
use std::path::PathBuf;

use events::UtcMicros;

use crate::definitions::Params;

/// Parquet footers and page indexes kept in memory, in bytes.
pub(crate) const METADATA_CACHE_BYTES: usize = 50 * 1024 * 1024;

/// How late an event may come before `:horizon` passes it, when no source says "complete up to".
pub(crate) const LATENESS_MS: i64 = 15 * 60 * 1_000;

/// How the engine runs queries and reads definitions.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// Memory that queries may reserve together, in bytes. What does not fit is spilled or fails.
    pub memory_bytes: usize,
    /// Parallel streams of one query.
    pub target_partitions: usize,
    /// IANA zone of calendar buckets when a query names none.
    pub zone: String,
    /// Is `SUM(kpi)` refused instead of being read as `MEASURE(kpi)`?
    pub strict: bool,
    /// Parameter values that replace the defaults: KPI id, parameter name, value.
    pub params: Params,
    /// Data are complete up to here; worked out from the data when absent.
    pub horizon: Option<UtcMicros>,
    /// Data begin here; worked out from the data when absent.
    pub history_start: Option<UtcMicros>,
    /// What counts as now; worked out from the data when absent.
    pub as_of: Option<UtcMicros>,
    /// Folder for what does not fit into memory; a temporary folder when absent.
    pub spill_dir: Option<PathBuf>,
}

impl Default for Settings {
    fn default() -> Self {
        Settings {
            memory_bytes: 512 * 1024 * 1024,
            target_partitions: 2,
            zone: "UTC".to_owned(),
            strict: false,
            params: BTreeMap::new(),
            horizon: None,
            history_start: None,
            as_of: None,
            spill_dir: None,
        }
    }
}
