//! The one way from a request to its answer, whoever runs the queries: periods compared with,
//! values over more than their bucket, totals, and KPIs that the data do not let be computed.
//!
//! `callgauge kpi`, `GET /api/v1/kpi` and the table function `kpi()` all go through here.

use arrow::array::RecordBatch;
use datafusion::execution::SessionState;
use datafusion::logical_expr::LogicalPlan;

use super::{Asker, Compare, Control, KpiAnswer, KpiRequest, Only, Posted, Prepared, Query, over};
use crate::EngineError;
use crate::session::Snapshot;

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
        let mut answer = self.one_period(request).await?;
        let asker = &self.asker;
        let zone = asker.zone(request)?;
        let kpis = asker.kpis(request)?;
        let history_start = asker.bounds.history_start;
        let mut periods = Vec::new();
        for (other, compare) in asker.others(request)? {
            // A week from before the first event would make the mean smaller, and means nothing.
            let begins = other.from.unwrap_or(history_start);
            let is_mean = request.compare.is_some_and(Compare::is_mean);
            if is_mean && begins < history_start {
                continue;
            }
            match self.one_period(&other).await {
                Ok(beside) => {
                    periods.push(answer.beside(&beside, compare, zone));
                    answer.incomplete_before =
                        answer.incomplete_before.or(beside.incomplete_before);
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
        answer.put_beside(&kpis, &periods);
        Ok(answer)
    }

    /// The answer about one period.
    async fn one_period(&self, request: &KpiRequest) -> Result<KpiAnswer, EngineError> {
        match request.over {
            Some(over) => over::ask(self, request, over).await,
            None => self.within(request).await,
        }
    }

    /// The same, every value over its own bucket.
    pub(super) async fn within(&self, request: &KpiRequest) -> Result<KpiAnswer, EngineError> {
        let (asker, session) = (&self.asker, self.session);
        let mut posted = Posted::unknown(asker.zone(request)?);
        for question in asker.questions(request, session)? {
            let found = self.runner.rows(question.plan.clone()).await?;
            posted.take(&question, request.by.len(), &found)?;
        }
        let mut prepared = asker.prepare(request, posted, session)?;
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
        if let Some(over) = request.over {
            over::check(request, over, zone)?;
        }
        self.prepare(request, Posted::unknown(zone), None)
    }

    /// What is asked beside a request: other periods, or other rows of the same one.
    fn others(
        &self,
        request: &KpiRequest,
    ) -> Result<Vec<(KpiRequest, Option<Compare>)>, EngineError> {
        match (request.compare, &request.control) {
            (None, None) => Ok(Vec::new()),
            (Some(_), Some(_)) => Err(EngineError::refused(
                "one can be compared with another period or with other rows, not with both",
                "leave one of them out",
            )),
            (None, Some(control)) => Ok(vec![(other_rows(request, control)?, None)]),
            (Some(compare), None) => {
                compare.check_kpis(self.catalogue, &self.kpis(request)?)?;
                let zone = self.zone(request)?;
                let other = |single: Compare| Ok((single.other(request, zone)?, Some(single)));
                compare.singles().into_iter().map(other).collect()
            }
        }
    }
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
