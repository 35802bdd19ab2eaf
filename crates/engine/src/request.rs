//! KPI requests: which KPIs, when, cut by what.
//!
//! Every measured KPI of one model and one time column is asked in one query, `MEASURE(id)` over
//! the model's KPI view grouped by dimensions and [`kpi_bucket`](crate::functions). KPIs over
//! several models are put together afterwards, from their inputs' values: facts are never joined
//! to facts. There is no KPI arithmetic here but the definition's own `value`.

mod answer;
mod period;
mod prepare;

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::RecordBatch;
use events::UtcMicros;
use kpi::{Direction, ParamValue, Status, Unit};

pub use crate::functions::calendar::{Bucket, Calendar, CalendarError, Grain};
pub use crate::functions::calendar::{parse_grain, parse_zone};
pub use period::{parse_instant, previous_period};

use crate::session::Snapshot;
use crate::{Engine, EngineError};
use answer::Answering;
pub(crate) use prepare::{Asker, Prepared, latest_time};

/// A question about KPIs.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct KpiRequest {
    /// Ids or aliases, in the order of the answer.
    pub ids: Vec<String>,
    /// Start of the range, included; from the first row on when absent.
    pub from: Option<UtcMicros>,
    /// End of the range, not included; up to the last row when absent.
    pub to: Option<UtcMicros>,
    /// Cut the range into calendar buckets of this size.
    pub grain: Option<Grain>,
    /// Cut by these dimensions.
    pub by: Vec<String>,
    /// SQL conditions on columns of the model, joined by AND.
    pub filters: Vec<String>,
    /// IANA zone of the buckets; the engine's setting when absent.
    pub zone: Option<String>,
    /// Also ask for the period before, of the same length: see [`previous_period`].
    pub compare: bool,
}

/// The answer to a [`KpiRequest`].
#[derive(Clone, Debug)]
pub struct KpiAnswer {
    /// By KPI in the order asked, then by dimension values, then by period.
    ///
    /// Without grain and dimensions there is exactly one row a KPI.
    pub rows: Vec<KpiRow>,
    /// The KPIs asked for, in the order asked.
    pub kpis: Vec<AnsweredKpi>,
    /// Start of the range asked for.
    pub from: Option<UtcMicros>,
    /// End of the range asked for.
    pub to: Option<UtcMicros>,
    /// Bucket size.
    pub grain: Option<Grain>,
    /// IANA zone of the buckets.
    pub zone: String,
    /// What counted as now.
    pub as_of: UtcMicros,
    /// Data were complete up to here.
    pub horizon: UtcMicros,
    /// Commit sequence of the version that was read.
    pub revision: u64,
    /// Is any number an estimate? All of today's are exact.
    pub approx: bool,
}

/// One KPI of an answer.
#[derive(Clone, Debug)]
pub struct AnsweredKpi {
    /// Its id.
    pub id: String,
    /// Version of the definition.
    pub version: u32,
    /// Hash of the definition's meaning.
    pub hash: String,
    /// Parameter values it was evaluated with; those of inputs as `<input>.<name>`.
    pub params: BTreeMap<String, ParamValue>,
    /// What its values are.
    pub unit: Unit,
    /// Which way is better.
    pub direction: Direction,
    /// Is nothing of it 0, rather than no value?
    pub empty_is_zero: bool,
    /// Rows count up to here; later ones are not mature yet. For a KPI of several models its
    /// inputs are cut here.
    pub matured_to: Option<UtcMicros>,
}

/// One number of an answer.
#[derive(Clone, Debug, PartialEq)]
pub struct KpiRow {
    /// Id of the KPI.
    pub kpi: String,
    /// Start of the bucket; absent when no grain was asked for.
    pub period_start: Option<UtcMicros>,
    /// Dimensions in the order asked; `None` is NULL.
    pub dims: Vec<(String, Option<String>)>,
    /// The value in the KPI's unit: ratios 0 to 1, durations in milliseconds.
    pub value: Option<f64>,
    /// Upper operand of the value's division, if it is a ratio.
    pub numerator: Option<f64>,
    /// Lower operand of the value's division, if it is a ratio.
    pub denominator: Option<f64>,
    /// How many things the value is about: the denominator, or the values behind a percentile.
    pub n: Option<f64>,
    /// The aggregated parts, histograms as their number of values.
    pub parts: Vec<(String, Option<f64>)>,
    /// Currency of the value, if it is money.
    pub currency: Option<String>,
    /// The target for these dimensions at this time.
    pub target: Option<f64>,
    /// How the value stands to it.
    pub status: Status,
    /// The value of the same dimensions and bucket in the period before, if asked for.
    pub previous: Option<f64>,
    /// What the value is.
    pub unit: Unit,
    /// Version of the definition.
    pub version: u32,
    /// Hash of the definition's meaning.
    pub hash: String,
}

/// Longest series, in buckets.
const SERIES_BUCKETS_MAX: usize = 10_000;

impl KpiAnswer {
    /// The KPI's values over time for one set of dimension values, every bucket of the range
    /// once, those without rows with what nothing means for the KPI. Empty without a grain.
    pub fn series(
        &self,
        kpi: &str,
        dims: &[(String, Option<String>)],
    ) -> Vec<(UtcMicros, Option<f64>)> {
        let (Some(grain), Ok(zone)) = (self.grain, parse_zone(&self.zone)) else {
            return Vec::new();
        };
        let known: BTreeMap<UtcMicros, Option<f64>> = self
            .rows
            .iter()
            .filter(|row| row.kpi == kpi && row.dims == dims)
            .filter_map(|row| Some((row.period_start?, row.value)))
            .collect();
        let all = || self.rows.iter().filter_map(|row| row.period_start);
        let from = self.from.or_else(|| all().min());
        let to = self
            .to
            .or_else(|| all().max().map(|last| UtcMicros(last.0 + 1)));
        let (Some(from), Some(to)) = (from, to) else {
            return Vec::new();
        };
        let zero = self.kpis.iter().any(|k| k.id == kpi && k.empty_is_zero);
        Calendar::new(grain, zone)
            .starts(from.0, to.0)
            .take(SERIES_BUCKETS_MAX)
            .map(UtcMicros)
            .map(|at| (at, known.get(&at).copied().unwrap_or(zero.then_some(0.0))))
            .collect()
    }
}

impl Engine {
    /// Answers a KPI request over the newest version.
    ///
    /// # Errors
    /// An unknown KPI, a dimension or bucket that a KPI does not have, an unreadable filter or
    /// zone, money of two currencies in one number; and what any query can fail with.
    pub async fn kpi(&self, request: &KpiRequest) -> Result<KpiAnswer, EngineError> {
        let snapshot = self.snapshot().await?;
        let mut answer = ask(self, &snapshot, request).await?;
        if request.compare {
            let before = period::before(request, &answer.zone)?;
            let previous = ask(self, &snapshot, &before).await?;
            answer.compare(&previous, before.from, request.grain)?;
        }
        Ok(answer)
    }
}

async fn ask(
    engine: &Engine,
    snapshot: &Arc<Snapshot>,
    request: &KpiRequest,
) -> Result<KpiAnswer, EngineError> {
    let state = snapshot.state();
    let asker = Asker {
        catalogue: snapshot.catalogue(),
        targets: snapshot.targets(),
        views: snapshot.views(),
        bounds: snapshot.bounds,
        default_zone: &engine.settings().zone,
        revision: snapshot.version.committed_seq,
    };
    let mut posted = BTreeMap::new();
    for (model, plan) in asker.posted_plans(request, Some(&state))? {
        let latest = snapshot.run(plan).await?;
        posted.insert(model, latest_time(&latest.batches)?);
    }
    let prepared = asker.prepare(request, &posted, Some(&state))?;
    let mut results: Vec<Vec<RecordBatch>> = Vec::new();
    for plan in prepared.plans() {
        results.push(snapshot.run(plan.clone()).await?.batches);
    }
    prepared.answer(&results)
}

#[cfg(test)]
mod tests;
