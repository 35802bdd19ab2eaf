//! The one way from a request to its answer, whoever runs the queries: periods compared with,
//! values over more than their bucket, totals, and KPIs that the data do not let be computed.
//!
//! `callgauge kpi`, `GET /api/v1/kpi` and the table function `kpi()` all go through here.

use std::collections::BTreeSet;
use std::sync::Arc;

use arrow::array::RecordBatch;
use datafusion::execution::SessionState;
use datafusion::logical_expr::LogicalPlan;
use events::UtcMicros;
use kpi::Side;

use super::beside::{Beside, Period};
use super::{
    Asker, Compare, Control, KpiAnswer, KpiRequest, KpiRow, Only, Posted, Prepared, Query, over,
};
use crate::EngineError;
use crate::session::Snapshot;

/// Questions beside a question, each with the other period that it is about, if it is of one.
type Others = Vec<(KpiRequest, Option<Compare>)>;

/// Runs the queries of requests.
pub(crate) trait Runner: Sync {
    /// The rows of one plan, which still has `MEASURE` in it.
    fn rows(
        &self,
        plan: LogicalPlan,
    ) -> impl Future<Output = Result<Vec<RecordBatch>, EngineError>> + Send;
}

impl Runner for Snapshot {
    async fn rows(&self, plan: LogicalPlan) -> Result<Vec<RecordBatch>, EngineError> {
        Ok(self.run(plan).await?.batches)
    }
}

/// Who is asked, and who runs the queries.
pub(crate) struct Asking<'a, R> {
    pub asker: Asker<'a>,
    /// Reads the filters of requests; without it there may be none.
    pub session: Option<&'a SessionState>,
    pub runner: &'a R,
    /// Is a KPI that cannot be computed an error, and not only without rows?
    pub whole: bool,
}

impl<R: Runner> Asking<'_, R> {
    /// The answer, totals included.
    pub(crate) async fn answer(&self, request: &KpiRequest) -> Result<KpiAnswer, EngineError> {
        let mut answer = self.compared(request).await?;
        if request.totals && !request.by.is_empty() {
            let over_all = KpiRequest {
                by: Vec::new(),
                ..request.clone()
            };
            match self.compared(&over_all).await {
                Ok(totals) => answer.rows.extend(totals.rows),
                // The groups may well stand where all of them together do not.
                Err(error) if error.is_about_the_data() => {}
                Err(error) => return Err(error),
            }
        }
        Ok(answer)
    }

    /// The answer, with what stands beside it if that is asked for.
    async fn compared(&self, request: &KpiRequest) -> Result<KpiAnswer, EngineError> {
        let beside = Arc::new(self.beside(request).await?);
        let mut answer = self.one_period(request, &beside).await?;
        let asker = &self.asker;
        let zone = asker.zone(request)?;
        let kpis = asker.kpis(request)?;
        let alone = Arc::default();
        let mut periods = Vec::new();
        let others = asker.others(request)?;
        let ranges: Vec<_> = others
            .iter()
            .map(|(other, _)| (other.from, other.to))
            .collect();
        for (other, compare) in others {
            if asker.is_early(request, &other) {
                continue;
            }
            match self.one_period(&other, &alone).await {
                Ok(beside) => {
                    periods.push(answer.beside(&beside, compare, zone));
                    // Nobody looks at where another period begins: it has to be said.
                    let early = compare.and_then(|_| answer.begins_after(other.from));
                    let beside = beside.incomplete_before.or(early);
                    answer.incomplete_before = answer.incomplete_before.or(beside);
                }
                // Nothing to compare with, and not the fault of the period asked for.
                Err(error) if error.is_about_the_data() => continue,
                Err(error) => return Err(error),
            }
            let hull = answer.compared.or(other.from.zip(other.to));
            let (from, to) = hull.zip(other.from.zip(other.to)).map_or_else(
                || (None, None),
                |((a, b), (c, d))| (Some(a.min(c)), Some(b.max(d))),
            );
            answer.compared = from.zip(to);
        }
        let apart = match &request.control {
            Some(control) if kpis.iter().any(|kpi| kpi.is_proportion()) => {
                self.are_groups_apart(request, control, &mut answer).await?
            }
            Some(_) => vec![false; answer.rows.len()],
            None => vec![are_periods_apart(request, &ranges); answer.rows.len()],
        };
        answer.put_beside(&kpis, &periods, &apart);
        Ok(answer)
    }

    /// What inputs were in what the question compares with, as far as a value reads that.
    async fn beside(&self, request: &KpiRequest) -> Result<Beside, EngineError> {
        let asker = &self.asker;
        let (mut beside, alone) = (Beside::default(), Arc::default());
        for (side, ids) in asker.read_beside(request)? {
            let of_inputs = KpiRequest {
                ids: ids.into_iter().collect(),
                totals: false,
                ..request.clone()
            };
            let Some(others) = asker.beside(&of_inputs, side)? else {
                continue;
            };
            let mut periods = Vec::new();
            for (other, compare) in others {
                if asker.is_early(request, &other) {
                    continue;
                }
                match self.one_period(&other, &alone).await {
                    Ok(found) => {
                        let zone = asker.zone(request)?;
                        periods.push(Period::new(request, found, compare, zone));
                    }
                    Err(error) if error.is_about_the_data() => {}
                    Err(error) => return Err(error),
                }
            }
            beside.add(side, periods);
        }
        Ok(beside)
    }

    /// Of each row: has the control group none of the rows that it counts? What is in both groups
    /// makes them alike, and an interval of their difference would say that it is certain. The
    /// answer says of which KPIs they overlap.
    async fn are_groups_apart(
        &self,
        request: &KpiRequest,
        control: &Control,
        answer: &mut KpiAnswer,
    ) -> Result<Vec<bool>, EngineError> {
        let together = |own: &[String], other: &[String]| [own, other].concat();
        let in_both = KpiRequest {
            filters: together(&request.filters, &control.filters),
            only: [&request.only[..], &control.only].concat(),
            control: None,
            ..request.clone()
        };
        let shared = match self.one_period(&in_both, &Arc::default()).await {
            Ok(shared) => shared,
            Err(error) if error.is_about_the_data() => return Ok(vec![false; answer.rows.len()]),
            Err(error) => return Err(error),
        };
        let shared = answer.beside(&shared, None, self.asker.zone(request)?);
        let is_apart = |row: &Option<KpiRow>| {
            let counted = row.as_ref().and_then(|row| row.denominator);
            counted.is_none_or(|count| count == 0.0)
        };
        let apart: Vec<bool> = shared.iter().map(is_apart).collect();
        let overlapping = answer.rows.iter().zip(&apart).filter(|(_, apart)| !**apart);
        let ids: BTreeSet<String> = overlapping.map(|(row, _)| row.kpi.clone()).collect();
        let proportions = self
            .asker
            .kpis(request)?
            .into_iter()
            .filter(|k| k.is_proportion());
        let ids: BTreeSet<&str> = proportions
            .map(|k| k.id.as_str())
            .filter(|id| ids.contains(*id))
            .collect();
        for kpi in answer
            .kpis
            .iter_mut()
            .filter(|kpi| ids.contains(kpi.id.as_str()))
        {
            kpi.note.get_or_insert_with(|| overlap_note(&kpi.id));
        }
        Ok(apart)
    }

    /// The answer about one period.
    async fn one_period(
        &self,
        request: &KpiRequest,
        beside: &Arc<Beside>,
    ) -> Result<KpiAnswer, EngineError> {
        match request.over {
            Some(over) => over::ask(self, request, over).await,
            None => self.within(request, beside).await,
        }
    }

    /// The same, every value over its own bucket.
    pub(super) async fn within(
        &self,
        request: &KpiRequest,
        beside: &Arc<Beside>,
    ) -> Result<KpiAnswer, EngineError> {
        let (asker, session) = (&self.asker, self.session);
        let mut posted = Posted::unknown(asker.zone(request)?);
        for question in asker.questions(request, session)? {
            let found = self.runner.rows(question.plan.clone()).await?;
            posted.take(&question, request.by.len(), &found)?;
        }
        let mut prepared = asker.prepare(request, posted, session)?;
        prepared.stand_beside(beside);
        for query in prepared.queries().to_vec() {
            let failed = match self.run(&mut prepared, &query).await? {
                None => continue,
                Some(error) if self.whole => return Err(named(&query, error)),
                Some(_) if query.kpis.len() > 1 => asker.one_by_one(request, &query, session)?,
                Some(error) => {
                    prepared.fail(&query, error);
                    continue;
                }
            };
            for alone in failed {
                if let Some(error) = self.run(&mut prepared, &alone).await? {
                    prepared.fail(&alone, error);
                }
            }
        }
        match self.whole {
            true => prepared.whole_answer(),
            false => prepared.answer(),
        }
    }

    /// Runs one query and takes its result; gives back what in the data did not let it be answered.
    async fn run(
        &self,
        prepared: &mut Prepared,
        query: &Query,
    ) -> Result<Option<EngineError>, EngineError> {
        match self.runner.rows(query.plan.clone()).await {
            Ok(batches) => prepared.take(query, &batches).map(|()| None),
            Err(error) if error.is_about_the_data() => Ok(Some(error)),
            Err(error) => Err(error),
        }
    }
}

impl Asker<'_> {
    /// Refuses what no data could answer.
    pub(crate) fn check(&self, request: &KpiRequest) -> Result<Prepared, EngineError> {
        let zone = self.zone(request)?;
        self.others(request)?;
        for side in self.read_beside(request)?.into_keys() {
            self.beside(request, side)?;
        }
        if let Some(over) = request.over {
            over::check(request, over, zone)?;
        }
        self.prepare(request, Posted::unknown(zone), None)
    }

    /// What is asked beside a request: other periods, or other rows of the same one.
    fn others(&self, request: &KpiRequest) -> Result<Others, EngineError> {
        match (request.compare, &request.control) {
            (None, None) => Ok(Vec::new()),
            (Some(_), Some(_)) if !self.all_read_control(request)? => Err(EngineError::refused(
                "one can be compared with another period or with other rows, not with both",
                "leave one of them out, or ask for KPIs alone whose value reads both",
            )),
            (None, Some(control)) => Ok(vec![(other_rows(request, control)?, None)]),
            // The control group is in the value already.
            (Some(compare), _) => self.past(request, compare),
        }
    }

    /// The same question about other periods.
    fn past(&self, request: &KpiRequest, compare: Compare) -> Result<Others, EngineError> {
        compare.check_kpis(self.catalogue, &self.kpis(request)?)?;
        let zone = self.zone(request)?;
        let other = |single: Compare| Ok((single.other(request, zone)?, Some(single)));
        compare.singles().into_iter().map(other).collect()
    }

    /// The same question about what a value reads in what the question compares with; `None` if that
    /// is not named.
    fn beside(&self, request: &KpiRequest, side: Side) -> Result<Option<Others>, EngineError> {
        let of_group = match (&request.control, side.is_control()) {
            (_, false) => request.clone(),
            (Some(control), true) => other_rows(request, control)?,
            (None, true) => return Ok(None),
        };
        match (request.compare, side.is_past()) {
            (_, false) => Ok(Some(vec![(of_group, None)])),
            (Some(compare), true) => self.past(&of_group, compare).map(Some),
            (None, true) => Ok(None),
        }
    }

    /// A week from before the first event would make a mean smaller, and means nothing.
    fn is_early(&self, request: &KpiRequest, other: &KpiRequest) -> bool {
        let history_start = self.bounds.history_start;
        let begins = other.from.unwrap_or(history_start);
        request.compare.is_some_and(Compare::is_mean) && begins < history_start
    }
}

/// Do the range asked for and those that stand beside it share no moment? Buckets never overlap
/// those that they are compared with; values over more than their bucket do.
fn are_periods_apart(
    request: &KpiRequest,
    others: &[(Option<UtcMicros>, Option<UtcMicros>)],
) -> bool {
    if request.over.is_some() {
        return false;
    }
    if request.grain.is_some() {
        return true;
    }
    let own = (request.from, request.to);
    let all = std::iter::once(&own).chain(others);
    let mut ranges: Vec<_> = all.filter_map(|(from, to)| from.zip(*to)).collect();
    ranges.sort_unstable();
    ranges.len() == others.len() + 1 && ranges.windows(2).all(|pair| pair[0].1 <= pair[1].0)
}

fn overlap_note(kpi: &str) -> String {
    format!(
        "{kpi}: the control group has contacts of the group itself, so the difference has no \
         interval: give both groups conditions that exclude each other"
    )
}

/// The same question about the rows of a control group.
fn other_rows(request: &KpiRequest, control: &Control) -> Result<KpiRequest, EngineError> {
    let cut = |only: &&Only| request.by.contains(&only.dimension);
    if let Some(only) = control.only.iter().find(cut) {
        let name = &only.dimension;
        return Err(EngineError::refused(
            format!("the values are split by {name}, and the control group is told by it"),
            format!("leave {name} out of the dimensions"),
        ));
    }
    Ok(KpiRequest {
        filters: control.filters.clone(),
        only: control.only.clone(),
        control: None,
        ..request.clone()
    })
}

/// An overflow with the KPIs that it can be of; other errors name theirs.
fn named(query: &Query, error: EngineError) -> EngineError {
    let ids = || -> Vec<&str> { query.kpis.iter().map(|c| c.kpi.as_str()).collect() };
    match error {
        EngineError::Overflow(text) => {
            EngineError::Overflow(format!("{}: {text}", ids().join(" or ")))
        }
        other => other,
    }
}
