//! The answer to a KPI request.

use std::collections::BTreeMap;

use engine::{Calendar, Grain, KpiAnswer, KpiRow, Over, parse_zone};
use events::UtcMicros;
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::{Map, Value};

use super::question::Question;

/// KPIs over a range of time.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "KpiAnswer")]
pub(in crate::http) struct Body {
    meta: Meta,
    /// By KPI in the order asked, then by dimension values; totals come last.
    series: Vec<Series>,
}

/// What an answer was computed from.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "KpiMeta")]
struct Meta {
    /// What counted as now: the moment of the question, or that of the newest event if it is later. A
    /// bucket is open until it has passed; of one that begins later nothing is known.
    as_of: String,
    /// Data were complete up to here.
    horizon: String,
    /// Commit sequence that was read.
    revision: u64,
    /// Is any number an estimate?
    approx: bool,
    /// Contacts that ended before this moment were let go, and the range, or one it stands beside or
    /// is over, begins before; or the data begin only here, and a range it stands beside begins
    /// before: what is counted there is not complete.
    incomplete_before: Option<String>,
    /// Of buckets and days.
    zone: String,
    /// Start of the range, included.
    from: Option<String>,
    /// End of the range, not included.
    to: Option<String>,
    /// Bucket size.
    grain: Option<String>,
    /// How many buckets each value is over, if it is over more than its own.
    rolling: Option<u16>,
    /// Is each value over everything from the start of the range on?
    running: bool,
    /// What stands beside it.
    compare: Option<Beside>,
    kpis: Vec<Used>,
    request_id: String,
}

/// What stands beside the period asked for: another one (of several, from the first to the last), or
/// the same over other rows.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "ComparedPeriod")]
struct Beside {
    /// As it was asked for; `control` of other rows.
    kind: String,
    from: String,
    to: String,
}

/// A KPI of the answer.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "AnsweredKpi")]
struct Used {
    kpi: String,
    version: u32,
    definition_hash: String,
    /// Its parameters, durations in milliseconds. One that differs between rows is
    /// `{"default": ..., "rules": [{"where": {...}, "valid_from": ..., "value": ...}]}`: the first
    /// rule that fits a row holds.
    params: Map<String, Value>,
    /// `ratio` (0 to 1), `count`, `ms`, `currency`, `points` or `number`.
    unit: &'static str,
    /// Which way is better: `higher`, `lower`, `band` or `neutral`.
    direction: &'static str,
    /// Are its rows a sample? Then points have `low` and `high`.
    sample: bool,
    /// Which moment decides the bucket: `cohort`, `event`, `spread`; none of a KPI made of others.
    clock: Option<&'static str>,
    /// Rows count up to here; later ones are not mature.
    matured_to: Option<String>,
}

/// The points of one KPI for one set of dimension values.
#[derive(Serialize, JsonSchema)]
struct Series {
    metric: String,
    /// Values of the dimensions asked for; none where it is a total.
    dims: BTreeMap<String, Option<String>>,
    /// Is it over all values of the dimensions asked for?
    total: bool,
    points: Vec<Point>,
}

/// One number.
#[derive(Serialize, JsonSchema)]
struct Point {
    /// Start of the bucket, or of the range.
    start: Option<String>,
    /// End of the bucket, or of the range; not included.
    end: Option<String>,
    /// In the KPI's unit; null is no value, which is not zero: there is nothing that it could be
    /// about, or, of counts too, the stretch of time is wholly before the data begin or after `as_of`.
    value: Option<f64>,
    /// Upper operand of a ratio.
    num: Option<f64>,
    /// Lower operand of a ratio.
    den: Option<f64>,
    /// How many things the value is about.
    n: Option<f64>,
    /// Of a KPI over a sample: lower end of the interval that the true value is in, at 95 %.
    #[serde(skip_serializing_if = "Option::is_none")]
    low: Option<f64>,
    /// The upper end.
    #[serde(skip_serializing_if = "Option::is_none")]
    high: Option<f64>,
    /// Currency of money.
    #[serde(skip_serializing_if = "Option::is_none")]
    currency: Option<String>,
    /// The target for these dimensions at this time.
    target: Option<f64>,
    /// `good`, `warn`, `bad`, `none` or `too few`.
    status: &'static str,
    /// The value and the difference to it in the period compared with.
    #[serde(skip_serializing_if = "Option::is_none")]
    compared: Option<Compared>,
    /// Is the bucket not over yet?
    open: bool,
    /// Are all of its rows old enough to count?
    mature: bool,
}

/// The period compared with, beside a point.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "ComparedPoint")]
struct Compared {
    previous: Option<f64>,
    /// Value less previous.
    difference: Option<f64>,
    /// Of a ratio of counts: lower end of the interval of the difference at 95 %.
    #[serde(skip_serializing_if = "Option::is_none")]
    low: Option<f64>,
    /// The upper end. With both ends on one side of zero it is more than chance.
    #[serde(skip_serializing_if = "Option::is_none")]
    high: Option<f64>,
}

impl Body {
    pub(super) fn of(question: &Question, answer: &KpiAnswer, request_id: &str) -> Self {
        Body {
            meta: meta(question, answer, request_id),
            series: series(question, answer),
        }
    }
}

fn meta(question: &Question, answer: &KpiAnswer, request_id: &str) -> Meta {
    let control = question.request.control.as_ref();
    let kind = question.compare.clone();
    let kind = kind.or(control.map(|_| "control".to_owned()));
    let beside = kind.zip(answer.compared);
    Meta {
        as_of: answer.as_of.to_string(),
        horizon: answer.horizon.to_string(),
        revision: answer.revision,
        approx: answer.approx,
        incomplete_before: text(answer.incomplete_before),
        zone: answer.zone.clone(),
        from: text(answer.from),
        to: text(answer.to),
        grain: answer.grain.map(|grain| grain.to_string()),
        rolling: match question.request.over {
            Some(Over::Buckets(buckets)) => Some(buckets),
            _ => None,
        },
        running: question.request.over == Some(Over::Start),
        compare: beside.map(|(kind, (from, to))| Beside {
            kind,
            from: from.to_string(),
            to: to.to_string(),
        }),
        kpis: used(answer),
        request_id: request_id.to_owned(),
    }
}

fn used(answer: &KpiAnswer) -> Vec<Used> {
    let used = |kpi: &engine::AnsweredKpi| {
        let own = kpi.clocks.first().filter(|_| kpi.measured);
        Used {
            kpi: kpi.id.clone(),
            version: kpi.version,
            definition_hash: kpi.hash.clone(),
            params: kpi.params_json(),
            unit: kpi.unit.kind.word(),
            direction: kpi.direction.word(),
            sample: kpi.sample,
            clock: own.map(|clock| clock.word()),
            matured_to: text(kpi.matured_to),
        }
    };
    answer.kpis.iter().map(used).collect()
}

fn series(question: &Question, answer: &KpiAnswer) -> Vec<Series> {
    let clock = Buckets::of(question, answer);
    let split = !question.request.by.is_empty();
    let mut all: Vec<Series> = Vec::new();
    let mut last: Option<&KpiRow> = None;
    for row in &answer.rows {
        let same = last.is_some_and(|last| last.kpi == row.kpi && last.dims == row.dims);
        last = Some(row);
        if !same {
            all.push(Series {
                metric: row.kpi.clone(),
                dims: row.dims.iter().cloned().collect(),
                total: split && row.dims.is_empty(),
                points: Vec::new(),
            });
        }
        let point = clock.point(row, question.is_compared());
        if let Some(series) = all.last_mut() {
            series.points.push(point);
        }
    }
    all
}

/// Knows where buckets end, and what is over and mature.
struct Buckets<'a> {
    answer: &'a KpiAnswer,
    calendar: Option<Calendar>,
    /// Is the range one up to now? Then it goes on, whatever time has passed since.
    ends_now: bool,
}

impl<'a> Buckets<'a> {
    fn of(question: &Question, answer: &'a KpiAnswer) -> Self {
        let zone = parse_zone(&answer.zone).ok();
        let calendar = |grain: Grain| zone.map(|zone| Calendar::new(grain, zone));
        Buckets {
            answer,
            calendar: answer.grain.and_then(calendar),
            ends_now: question.ends_now,
        }
    }

    fn point(&self, row: &KpiRow, compared: bool) -> Point {
        let bucket = row.period_start.zip(self.calendar.as_ref());
        let (start, end) = match bucket {
            Some((start, calendar)) => {
                let end = calendar.bucket(start.0).end;
                (Some(start), Some(UtcMicros(end)))
            }
            None => (self.answer.from, self.answer.to),
        };
        let about = self.answer.kpis.iter().find(|kpi| kpi.id == row.kpi);
        let matured_to = about.and_then(|kpi| kpi.matured_to);
        Point {
            start: text(start),
            end: text(end),
            value: row.value,
            num: row.numerator,
            den: row.denominator,
            n: row.n,
            low: row.interval.map(|interval| interval.low),
            high: row.interval.map(|interval| interval.high),
            currency: row.currency.clone(),
            target: row.target,
            status: row.status.word(),
            compared: compared.then(|| Compared {
                previous: row.previous,
                difference: row.value.zip(row.previous).map(|(now, then)| now - then),
                low: row.difference.map(|difference| difference.low),
                high: row.difference.map(|difference| difference.high),
            }),
            open: end.is_none_or(|end| end > self.answer.as_of)
                || (self.ends_now && end == self.answer.to),
            mature: matured_to.is_none_or(|to| end.is_some_and(|end| end <= to)),
        }
    }
}

fn text(at: Option<UtcMicros>) -> Option<String> {
    at.map(|at| at.to_string())
}
