//! KPI requests: which KPIs, when, cut by what.
//!
//! Every measured KPI of one model and one time column is asked in one query, `MEASURE(id)` over
//! the model's KPI view grouped by dimensions and [`kpi_bucket`](crate::functions). KPIs over
//! several models are put together afterwards, from their inputs' values: facts are never joined
//! to facts. There is no KPI arithmetic here but the definition's own `value`.

mod answer;
mod asking;
mod beside;
mod compare;
mod modifiers;
mod over;
mod period;
mod posted;
mod prepare;

use std::collections::{BTreeMap, BTreeSet};

use events::UtcMicros;
use kpi::{Clock, Direction, Interval, ParamInForce, Status, Unit};

pub use crate::functions::calendar::{Bucket, Calendar, CalendarError, Grain};
pub use crate::functions::calendar::{parse_grain, parse_zone};
pub use compare::Compare;
pub(crate) use modifiers::modify;
pub use over::{Over, ROLLING_BUCKETS_MAX};
pub(crate) use period::first_shown;
pub use period::{parse_instant, previous_period};

use crate::session::{Apart, Bounds, Snapshot};
use crate::{Engine, EngineError};
use answer::Answering;
pub(crate) use asking::{Asking, Runner};
pub(crate) use posted::Posted;
pub(crate) use prepare::{Asker, Prepared, Query};

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
    /// Only rows with one of these values in each of these dimensions.
    pub only: Vec<Only>,
    /// IANA zone of the buckets; the engine's setting when absent.
    pub zone: Option<String>,
    /// With a grain and a range: values over more than their bucket.
    pub over: Option<Over>,
    /// Also ask for another period, to stand beside this one.
    pub compare: Option<Compare>,
    /// Also ask for the same period over other rows, which stand beside it in place of another
    /// period: a control group. Both may be named for KPIs whose value reads both.
    pub control: Option<Control>,
    /// With dimensions: also a row a KPI (and bucket) over all of their values, without
    /// dimensions, from the same parts. They come last.
    pub totals: bool,
    /// With a grain: a row for every bucket of the range, also where there is nothing.
    pub fill: bool,
}

/// Rows to compare with: these conditions in place of the request's own.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Control {
    /// As [`KpiRequest::filters`].
    pub filters: Vec<String>,
    /// As [`KpiRequest::only`].
    pub only: Vec<Only>,
}

/// A dimension and the values that it may have.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Only {
    /// One that every KPI asked for has.
    pub dimension: String,
    /// At least one.
    pub values: Vec<String>,
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
    /// The range that stands beside it, if one was asked for; of several, from the start of the
    /// first to the end of the last.
    pub compared: Option<(UtcMicros, UtcMicros)>,
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
    /// Numbers about before this moment are not complete: the range, or one that stands beside it or
    /// that a value is over, begins before, and contacts that ended before were let go; or the data
    /// begin only then, and a period that stands beside the range, or what a rolling value is over,
    /// begins before.
    pub incomplete_before: Option<UtcMicros>,
    /// What the data cover; with it goes the rule of what nothing means where.
    pub(crate) bounds: Bounds,
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
    /// Parameters it was evaluated with; those of inputs as `<input>.<name>`.
    pub params: BTreeMap<String, ParamInForce>,
    /// Does it count rows itself? Else it is made of other KPIs.
    pub measured: bool,
    /// Which moments decide the bucket: one, or those of its inputs.
    pub clocks: Vec<Clock>,
    /// What its values are.
    pub unit: Unit,
    /// Which way is better.
    pub direction: Direction,
    /// Are its rows a sample? Then its values have an interval.
    pub sample: bool,
    /// Is nothing of it 0, rather than no value?
    pub empty_is_zero: bool,
    /// Rows count up to here; later ones are not mature yet. For a KPI of several models its
    /// inputs are cut here. Of lines that are posted late: the end of the newest day.
    pub matured_to: Option<UtcMicros>,
    /// Why some of its rows have no value although there were data.
    pub note: Option<String>,
    /// Why it has no rows at all: what in the data does not let it be computed.
    pub failed: Option<String>,
    /// Of which times its rows, or those of its inputs, can tell.
    pub(crate) apart: BTreeSet<Apart>,
}

impl AnsweredKpi {
    /// `cohort`, `event`, `spread`, or those of its inputs with a comma between.
    pub fn clock(&self) -> String {
        let words: Vec<&str> = self.clocks.iter().map(|clock| clock.word()).collect();
        words.join(", ")
    }

    /// The parameters as a JSON object, each as [`ParamInForce::json`].
    pub fn params_json(&self) -> serde_json::Map<String, serde_json::Value> {
        let params = self.params.iter();
        params
            .map(|(name, param)| (name.clone(), param.json()))
            .collect()
    }
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
    /// The value in the KPI's unit: ratios 0 to 1, durations in milliseconds. Absent where there is
    /// nothing that it could be about, and, of counts too, where nothing is known: if no row counts
    /// in a stretch of time wholly before the data begin, after `as_of`, or after `matured_to`.
    /// Then `n`, the operands and the parts are absent, too.
    pub value: Option<f64>,
    /// Upper operand of the value's division, if it is a ratio.
    pub numerator: Option<f64>,
    /// Lower operand of the value's division, if it is a ratio.
    pub denominator: Option<f64>,
    /// How many things the value is about: a denominator that counts, or the values behind a
    /// percentile.
    pub n: Option<f64>,
    /// Of a sample: between which ends the true value is, at a level of 95 %.
    pub interval: Option<Interval>,
    /// The aggregated parts, histograms as their number of values.
    pub parts: Vec<(String, Option<f64>)>,
    /// Currency of the value, if it is money.
    pub currency: Option<String>,
    /// The target for these dimensions at this time.
    pub target: Option<f64>,
    /// How the value stands to it.
    pub status: Status,
    /// The value of the same dimensions in the bucket or buckets compared with, if asked for.
    pub previous: Option<f64>,
    /// Of a ratio of counts: between which ends the value less `previous` is at a level of 95 %,
    /// as [`kpi::Share::difference`] has it, were both drawn by chance. Around zero there may be
    /// no difference at all.
    pub difference: Option<Interval>,
    /// What the value is.
    pub unit: Unit,
    /// Version of the definition.
    pub version: u32,
    /// Hash of the definition's meaning.
    pub hash: String,
}

/// Start and end of a stretch of time, half-open; open where absent.
type Stretch = (Option<i64>, Option<i64>);

/// Longest series, in buckets.
const SERIES_BUCKETS_MAX: usize = 10_000;

impl KpiAnswer {
    /// The KPI's values over time for one set of dimension values, every bucket of the range
    /// once, those without rows with what nothing means for the KPI there. Empty without a grain.
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
        let about = self.kpis.iter().find(|about| about.id == kpi);
        let buckets = Calendar::new(grain, zone);
        let nothing = |at| self.nothing(about?, self.stretch(Some(&buckets), Some(at)));
        let value = |at: i64| {
            let known = known.get(&UtcMicros(at)).copied();
            (UtcMicros(at), known.unwrap_or_else(|| nothing(at)))
        };
        let starts = buckets.starts(from.0, to.0).take(SERIES_BUCKETS_MAX);
        starts.map(value).collect()
    }

    /// The stretch of time that a row is about: the range, or of its bucket what is in the range.
    fn stretch(&self, buckets: Option<&Calendar>, start: Option<i64>) -> Stretch {
        let bucket = buckets.zip(start).map(|(buckets, at)| buckets.bucket(at));
        let from = self.from.map(|from| from.0);
        let ends = [self.to.map(|to| to.0), bucket.map(|bucket| bucket.end)];
        let from = from.max(bucket.map(|bucket| bucket.start));
        (from, ends.into_iter().flatten().min())
    }

    /// The value of a KPI in a stretch of time without any row of it.
    fn nothing(&self, about: &AnsweredKpi, stretch: Stretch) -> Option<f64> {
        let covers = |apart: &Apart| self.bounds.covers(stretch, about.matured_to, *apart);
        let is_zero = about.empty_is_zero && about.failed.is_none();
        (is_zero && about.apart.iter().all(covers)).then_some(0.0)
    }

    /// Where the data of all that was asked for begin, if a range begins before.
    fn begins_after(&self, from: Option<UtcMicros>) -> Option<UtcMicros> {
        let all = self.kpis.iter().flat_map(|about| &about.apart);
        all.filter_map(|apart| self.bounds.begins_after(from, *apart))
            .max()
    }
}

impl Engine {
    /// Answers a KPI request over the newest version. A KPI that the data do not let be computed
    /// (money of two currencies, a sum that overflows) says so in [`AnsweredKpi::failed`]; the
    /// others have their rows.
    ///
    /// # Errors
    /// An unknown KPI, a dimension or bucket that a KPI does not have, an unreadable filter or
    /// zone; no KPI of the request that could be computed; and what any query can fail with.
    pub async fn kpi(&self, request: &KpiRequest) -> Result<KpiAnswer, EngineError> {
        self.kpi_over(&*self.snapshot().await?, request).await
    }

    /// Answers a KPI request over one version.
    pub(crate) async fn kpi_over(
        &self,
        snapshot: &Snapshot,
        request: &KpiRequest,
    ) -> Result<KpiAnswer, EngineError> {
        let zone = request.zone.as_deref().unwrap_or(&snapshot.settings().zone);
        let zone = parse_zone(zone).map_err(|e| EngineError::Invalid(e.to_string()))?;
        let snapshot = &snapshot.in_zone(zone);
        let state = snapshot.state();
        let asker = Asker {
            catalogue: snapshot.catalogue(),
            targets: snapshot.targets(),
            views: snapshot.views(),
            bounds: snapshot.bounds,
            default_zone: &snapshot.settings().zone,
            revision: snapshot.version.committed_seq,
        };
        let asking = Asking {
            asker,
            session: Some(&state),
            runner: snapshot,
            whole: false,
        };
        asking.answer(request).await
    }
}

#[cfg(test)]
mod tests;
