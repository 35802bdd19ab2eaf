//! What a query answers with.

use std::collections::{BTreeMap, HashMap};

use arrow::array::RecordBatch;
use arrow::datatypes::{Schema, SchemaRef};
use datafusion::error::DataFusionError;
use events::UtcMicros;
use kpi::ParamInForce;

use crate::error::EngineError;
use crate::wire::{wire_batch, wire_schema};

/// Rows and what they were computed from.
#[derive(Clone, Debug)]
pub struct QueryResult {
    /// Names and types; its metadata holds `as_of`, `revision`, `approx` and, when KPIs were
    /// evaluated, `kpi`, `version` and `definition_hash` (comma-separated, in the same order).
    pub schema: SchemaRef,
    /// The rows, in the types of the wire: no views, dictionaries or unsigned numbers.
    pub batches: Vec<RecordBatch>,
    /// What the answer was computed from.
    pub meta: ResultMeta,
}

impl QueryResult {
    /// Number of rows.
    pub fn rows(&self) -> usize {
        self.batches.iter().map(RecordBatch::num_rows).sum()
    }
}

/// What an answer was computed from. Two doors may differ only where these differ.
#[derive(Clone, Debug, PartialEq)]
pub struct ResultMeta {
    /// What counted as now.
    pub as_of: UtcMicros,
    /// Data were complete up to here.
    pub horizon: UtcMicros,
    /// Commit sequence of the version that was read.
    pub revision: u64,
    /// Is any number an estimate?
    pub approx: bool,
    /// The KPIs that were evaluated, by id.
    pub kpis: Vec<UsedKpi>,
}

/// One evaluated KPI.
#[derive(Clone, Debug, PartialEq)]
pub struct UsedKpi {
    /// Its id.
    pub id: String,
    /// Its version.
    pub version: u32,
    /// Hash of its definition's meaning.
    pub hash: String,
    /// Parameters it was evaluated with.
    pub params: BTreeMap<String, ParamInForce>,
}

impl ResultMeta {
    /// As the metadata of a schema.
    pub(crate) fn entries(&self) -> HashMap<String, String> {
        let list =
            |f: fn(&UsedKpi) -> String| self.kpis.iter().map(f).collect::<Vec<_>>().join(",");
        let mut entries = HashMap::from([
            ("as_of".to_owned(), self.as_of.to_string()),
            ("revision".to_owned(), self.revision.to_string()),
            ("approx".to_owned(), self.approx.to_string()),
        ]);
        if !self.kpis.is_empty() {
            entries.insert("kpi".to_owned(), list(|k| k.id.clone()));
            entries.insert("version".to_owned(), list(|k| k.version.to_string()));
            entries.insert("definition_hash".to_owned(), list(|k| k.hash.clone()));
        }
        entries
    }
}

/// Casts to the types of the contract and adds the metadata.
pub(crate) fn finish(
    schema: &Schema,
    batches: Vec<RecordBatch>,
    meta: ResultMeta,
) -> Result<QueryResult, EngineError> {
    let schema = wire_schema(schema, meta.entries());
    let batches = batches
        .iter()
        .map(|batch| wire_batch(&schema, batch))
        .collect::<Result<_, arrow::error::ArrowError>>()
        .map_err(DataFusionError::from)?;
    Ok(QueryResult {
        schema,
        batches,
        meta,
    })
}
