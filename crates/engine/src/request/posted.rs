//! Which days are posted, and whether a range is made of them.
//!
//! Cost lines are cut to days of the zone they were posted in. What such lines come to over a
//! range means something only if the range is made of whole days of theirs, each of them posted:
//! else a day is missing, or a day of one zone is laid over the day of another. Then the KPI has
//! no value.
//!
//! A sum of lines (`cost_total`) wants some line on every day. A KPI over several models divides
//! the sum by what happened on the same days: there every day needs a line that the sum counts,
//! in the same group, from the day on which the data begin.

use std::collections::{BTreeMap, BTreeSet};

use arrow::array::{AsArray, RecordBatch};
use arrow::datatypes::{Int64Type, TimestampMicrosecondType};
use datafusion::common::ScalarValue;
use datafusion::execution::SessionState;
use datafusion::functions_aggregate::expr_fn::{max, min};
use datafusion::logical_expr::{Expr, LogicalPlan, lit};
use kpi::{Kpi, Maturity};

use super::KpiRequest;
use super::answer::{Dims, dims_of};
use super::prepare::{Asker, check_cut, counted_rows, filtered, read_filters};
use crate::EngineError;
use crate::functions::calendar::{Calendar, Grain};
use crate::functions::{count_if, instant_type};
use crate::views::plain;

/// The column with the end of a posted day, of models that have it.
const DAY_END: &str = "day_ends_at";

/// Start and end of days, in UTC microseconds.
type Days = BTreeMap<i64, i64>;
/// A model and its time column.
type Timed = (String, String);

/// What was found out about posted days.
#[derive(Clone, Debug)]
pub(crate) struct Posted {
    /// Days with any line, by model.
    lines: BTreeMap<String, Days>,
    /// Days with a line that counts, by KPI and group.
    counted: BTreeMap<String, BTreeMap<Dims, Days>>,
    /// The first row of the models beside them, by group.
    first: BTreeMap<Timed, BTreeMap<Dims, i64>>,
    /// Days of the request's zone, for lines that do not say when their day ends.
    day: Calendar,
}

/// A query that must be answered before a request can be planned.
pub(crate) struct Question {
    about: About,
    pub plan: LogicalPlan,
}

enum About {
    /// The days of a KPI's lines.
    Days { kpi: String, model: String },
    /// Where the rows of a model begin.
    First(Timed),
}

/// A stretch of rows that a number is made of.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stretch {
    /// Rows before this are not read, whatever they are.
    pub from: Option<i64>,
    /// Rows from here on are not read.
    pub to: i64,
}

/// Is this a KPI over lines that are posted late?
pub(crate) fn is_posted(kpi: &Kpi) -> bool {
    kpi.maturity == Maturity::Posted
}

impl Asker<'_> {
    /// What has to be asked first: the posted days behind the request's KPIs.
    pub(crate) fn questions(
        &self,
        request: &KpiRequest,
        session: Option<&SessionState>,
    ) -> Result<Vec<Question>, EngineError> {
        let (mut posted, mut beside) = (BTreeMap::new(), BTreeSet::new());
        for kpi in self.kpis(request)? {
            check_cut(kpi, request)?;
            let inputs = self.catalogue.inputs_of(kpi);
            if !inputs.iter().any(|input| is_posted(input)) {
                continue;
            }
            for input in inputs {
                let Some(m) = input.measured() else { continue };
                if is_posted(input) {
                    posted.insert(&input.id, (input, m));
                } else {
                    beside.insert((m.model.as_str(), m.time.as_str()));
                }
            }
        }
        let days = posted
            .into_values()
            .map(|(kpi, m)| self.days_question(request, kpi, (&*m.model, &*m.time), session));
        let first = beside
            .into_iter()
            .map(|timed| self.first_question(request, timed, session));
        days.chain(first).collect()
    }

    /// Groups by dimensions and start of the day: its end, and how many of its lines count.
    fn days_question(
        &self,
        request: &KpiRequest,
        kpi: &Kpi,
        (model, time): (&str, &str),
        session: Option<&SessionState>,
    ) -> Result<Question, EngineError> {
        let view = self.view(model)?;
        let plan = view.plan();
        let end = if view.columns().iter().any(|c| c == DAY_END) {
            plain(DAY_END)
        } else {
            Expr::Literal(ScalarValue::try_from(&instant_type())?, None)
        };
        let counted = counted_rows(self.plan_of(kpi)?, view)?.unwrap_or_else(|| lit(true));
        let conditions = read_filters(request, &plan, model, session)?;
        let mut groups: Vec<Expr> = request.by.iter().map(|d| plain(d)).collect();
        groups.push(plain(time));
        let asked = vec![max(end), count_if(counted)];
        let plan = filtered(plan, conditions)?
            .aggregate(groups, asked)?
            .build()?;
        let (kpi, model) = (kpi.id.clone(), model.to_owned());
        let about = About::Days { kpi, model };
        Ok(Question { about, plan })
    }

    /// Groups by dimensions: the first time.
    fn first_question(
        &self,
        request: &KpiRequest,
        (model, time): (&str, &str),
        session: Option<&SessionState>,
    ) -> Result<Question, EngineError> {
        let plan = self.view(model)?.plan();
        let conditions = read_filters(request, &plan, model, session)?;
        let groups: Vec<Expr> = request.by.iter().map(|d| plain(d)).collect();
        let plan = filtered(plan, conditions)?
            .aggregate(groups, vec![min(plain(time))])?
            .build()?;
        let about = About::First((model.to_owned(), time.to_owned()));
        Ok(Question { about, plan })
    }
}

impl Posted {
    /// Nothing known yet.
    pub(crate) fn unknown(zone: chrono_tz::Tz) -> Posted {
        Posted {
            lines: BTreeMap::new(),
            counted: BTreeMap::new(),
            first: BTreeMap::new(),
            day: Calendar::new(Grain::D1, zone),
        }
    }

    /// Takes the answer to a question about groups of `dims` dimensions.
    pub(crate) fn take(
        &mut self,
        question: &Question,
        dims: usize,
        batches: &[RecordBatch],
    ) -> Result<(), EngineError> {
        for batch in batches {
            let groups = dims_of(batch, dims)?;
            let times = instants(batch, dims)?;
            match &question.about {
                About::First(timed) => {
                    let found = groups.into_iter().zip(times);
                    let known = found.filter_map(|(group, first)| Some((group, first?)));
                    self.first.entry(timed.clone()).or_default().extend(known);
                }
                About::Days { kpi, model } => {
                    let ends = instants(batch, dims + 1)?;
                    let counts = batch.column(dims + 2).as_primitive_opt::<Int64Type>();
                    let counts = counts.ok_or_else(|| no_number("count of lines"))?;
                    let rows = groups.into_iter().zip(times.into_iter().zip(ends));
                    for ((group, (start, end)), count) in rows.zip(counts) {
                        let Some(start) = start else { continue };
                        self.add_day((kpi, model), group, (start, end), count.unwrap_or(0) > 0);
                    }
                }
            }
        }
        Ok(())
    }

    fn add_day(
        &mut self,
        (kpi, model): (&str, &str),
        group: Dims,
        (start, end): (i64, Option<i64>),
        counts: bool,
    ) {
        // Lines folded by an older version do not say when their day ends.
        let end = end
            .filter(|end| *end > start)
            .unwrap_or_else(|| self.day.bucket(start).end);
        let lines = self.lines.entry(model.to_owned()).or_default();
        insert(lines, start, end);
        let groups = self.counted.entry(kpi.to_owned()).or_default();
        if counts {
            insert(groups.entry(group).or_default(), start, end);
        }
    }

    /// The end of the last posted day of a model that ends no later than `until`.
    pub(crate) fn last_end(&self, model: &str, until: i64) -> Option<i64> {
        let ends = self.lines.get(model)?.values();
        ends.copied().filter(|end| *end <= until).max()
    }

    /// May the lines of the posted KPI `input` be summed over a stretch, on their own?
    pub(crate) fn covers_sum(&self, input: &Kpi, rows: Stretch) -> bool {
        let days = input.model().and_then(|model| self.lines.get(model));
        let begin = days.and_then(|days| days.keys().next().copied());
        matches!((days, begin), (Some(days), Some(begin)) if whole(days, rows, begin))
    }

    /// May they be set against the rows of the KPIs `beside` them, in a group?
    pub(crate) fn covers_quotient<'k>(
        &self,
        input: &Kpi,
        beside: impl Iterator<Item = &'k Kpi>,
        group: &Dims,
        rows: Stretch,
    ) -> bool {
        let Some(days) = self.counted.get(&input.id).and_then(|of| of.get(group)) else {
            return false;
        };
        let first_of = |kpi: &Kpi| {
            let timed = (kpi.model()?.to_owned(), kpi.time()?.to_owned());
            self.first.get(&timed)?.get(group).copied()
        };
        let begin = beside
            .filter_map(first_of)
            .chain(days.keys().next().copied());
        begin.min().is_some_and(|begin| whole(days, rows, begin))
    }
}

fn insert(days: &mut Days, start: i64, end: i64) {
    let known = days.entry(start).or_insert(end);
    *known = end.max(*known);
}

/// Do the days that start in a stretch cover it, from where the data `begin`, and nothing else?
fn whole(days: &Days, rows: Stretch, begin: i64) -> bool {
    let from = rows.from.unwrap_or(i64::MIN);
    if from >= rows.to {
        return false;
    }
    let mut reach = from.max(begin);
    for (&start, &end) in days.range(from..rows.to) {
        if start > reach {
            return false;
        }
        reach = reach.max(end);
    }
    reach == rows.to
}

fn instants(batch: &RecordBatch, column: usize) -> Result<Vec<Option<i64>>, EngineError> {
    let times = batch
        .column(column)
        .as_primitive_opt::<TimestampMicrosecondType>();
    Ok(times.ok_or_else(|| no_number("time"))?.iter().collect())
}

fn no_number(what: &str) -> EngineError {
    EngineError::Internal(format!("the {what} of posted days has another type"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: i64 = 24;

    fn days(starts: &[i64]) -> Days {
        starts.iter().map(|start| (*start, start + DAY)).collect()
    }

    fn check(days: &Days, from: Option<i64>, to: i64, begin: i64) -> bool {
        whole(days, Stretch { from, to }, begin)
    }

    #[test]
    fn a_range_is_covered_by_whole_days_without_a_hole() {
        let three = days(&[0, 24, 48]);
        assert!(check(&three, Some(0), 72, 0));
        assert!(check(&three, Some(24), 48, 0));
        assert!(
            check(&three, None, 72, 10),
            "data begin within the first day"
        );
        let hole = days(&[0, 48]);
        assert!(!check(&hole, Some(0), 72, 0), "a day is missing");
        assert!(check(&hole, Some(48), 72, 0), "it is not asked for");
        assert!(!check(&three, Some(0), 96, 0), "the last day is missing");
        assert!(!check(&three, None, 72, -1), "the first day is missing");
        assert!(check(&three, Some(-24), 72, 0), "there were no data yet");
    }

    #[test]
    fn days_of_another_zone_do_not_fit() {
        let shifted = days(&[-8, 16, 40]);
        assert!(!check(&shifted, Some(0), 48, -8), "cut at both ends");
        assert!(!check(&shifted, Some(16), 48, -8), "cut at the end");
        assert!(!check(&shifted, Some(0), 40, -8), "cut at the start");
        assert!(check(&shifted, Some(16), 40, -8));
        assert!(
            check(&shifted, None, 64, 3),
            "the whole of the data has no cut"
        );
    }

    #[test]
    fn an_empty_range_is_not_covered() {
        assert!(!check(&days(&[0]), Some(24), 24, 0));
        assert!(!check(&Days::new(), None, 24, 0));
    }
}
