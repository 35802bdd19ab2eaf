//! What the data of a version cover: `:horizon`, `:history_start`, `:as_of`.

use arrow::array::AsArray;
use arrow::datatypes::TimestampMicrosecondType;
use datafusion::execution::SessionState;
use datafusion::physical_plan::collect;
use events::UtcMicros;
use serde::Deserialize;
use store::{TableData, Version};

use super::Result;
use crate::error::EngineError;
use crate::settings::{LATENESS_MS, Settings};

/// What the data of a version cover.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// The data are complete up to here.
    pub horizon: UtcMicros,
    /// The data begin here.
    pub history_start: UtcMicros,
    /// What counts as now.
    pub as_of: UtcMicros,
}

/// What one `source.watermark` says.
#[derive(Deserialize)]
struct Watermark {
    complete_until: UtcMicros,
    #[serde(default)]
    history_start: Option<UtcMicros>,
}

/// Settings first, then the watermarks, then the times of the data.
pub(super) async fn of(
    state: &SessionState,
    version: &Version,
    settings: &Settings,
) -> Result<Bounds> {
    let (first, last) = covered(version).unwrap_or((UtcMicros(0), UtcMicros(0)));
    let told = watermarks(state).await?;
    let horizon = told.horizon.unwrap_or_else(|| last.plus_ms(-LATENESS_MS));
    let horizon = settings.horizon.unwrap_or(horizon);
    let history_start = settings
        .history_start
        .or(told.history_start)
        .unwrap_or(first);
    let as_of = settings.as_of.unwrap_or_else(|| last.max(horizon));
    Ok(Bounds {
        horizon,
        history_start,
        as_of,
    })
}

/// The lowest of the sources' watermarks and the latest start of their history.
#[derive(Default)]
struct Told {
    horizon: Option<UtcMicros>,
    history_start: Option<UtcMicros>,
}

async fn watermarks(state: &SessionState) -> Result<Told> {
    let text = "SELECT source, data FROM events.log \
                WHERE event_type = 'source.watermark' ORDER BY source, occurred_at";
    let plan = state.create_logical_plan(text).await?;
    let plan = state.create_physical_plan(&plan).await?;
    let mut by_source: std::collections::BTreeMap<String, Told> = Default::default();
    for batch in collect(plan, state.task_ctx()).await? {
        let (sources, data) = (
            batch.column(0).as_string::<i32>(),
            batch.column(1).as_string::<i32>(),
        );
        for row in 0..batch.num_rows() {
            let mark: Watermark = serde_json::from_str(data.value(row))
                .map_err(|e| EngineError::Store(format!("a stored watermark: {e}")))?;
            let told = by_source.entry(sources.value(row).to_owned()).or_default();
            told.horizon = told.horizon.max(Some(mark.complete_until));
            told.history_start = mark.history_start.or(told.history_start);
        }
    }
    Ok(Told {
        horizon: by_source.values().filter_map(|t| t.horizon).min(),
        history_start: by_source.values().filter_map(|t| t.history_start).max(),
    })
}

/// First and last time in the log; without a log, in the fact tables.
fn covered(version: &Version) -> Option<(UtcMicros, UtcMicros)> {
    let log = version.table(store::LOG).and_then(covered_by);
    log.or_else(|| {
        version
            .tables()
            .filter_map(covered_by)
            .reduce(|a, b| (a.0.min(b.0), a.1.max(b.1)))
    })
}

fn covered_by(table: &TableData) -> Option<(UtcMicros, UtcMicros)> {
    let time = table.time.as_deref()?;
    let files = table
        .files
        .iter()
        .filter_map(|f| Some((f.time_min?, f.time_max?)));
    let memory = table.memory.iter().filter_map(|batch| {
        let column = batch.column_by_name(time)?;
        let times = column.as_primitive_opt::<TimestampMicrosecondType>()?;
        let known = || times.iter().flatten();
        Some((known().min()?, known().max()?))
    });
    let (first, last) = files
        .chain(memory)
        .reduce(|a, b| (a.0.min(b.0), a.1.max(b.1)))?;
    Some((UtcMicros(first), UtcMicros(last)))
}
