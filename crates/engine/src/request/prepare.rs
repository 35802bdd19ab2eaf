//! From a request to the queries that answer it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::DataType;
use chrono_tz::Tz;
use datafusion::common::Column;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::error::DataFusionError;
use datafusion::execution::SessionState;
use datafusion::functions_aggregate::expr_fn::{max, min};
use datafusion::logical_expr::{
    Expr, ExprSchemable, LogicalPlan, LogicalPlanBuilder, cast, lit, when,
};
use events::UtcMicros;
use kpi::{Agg, Catalogue, Clock, Kpi, Maturity, ParamInForce, Targets, UnitKind, Window};

use super::answer::Asked;
use super::beside::Beside;
use super::posted::{Posted, is_posted};
use super::{AnsweredKpi, Answering, KpiRequest, Only, SERIES_BUCKETS_MAX};
use crate::error::missing_column;
use crate::functions::calendar::{Calendar, Grain, parse_zone};
use crate::functions::{instant, kpi_bucket};
use crate::guard::{self, GuardLimits};
use crate::measure::{measure, measure_part};
use crate::service::QueryError;
use crate::session::{Apart, Bounds};
use crate::views::{KPI_KEY, ModelView, Views, plain};
use crate::{EngineError, KpiPlan, UsedKpi};

/// Most dimensions of one request.
const DIMENSIONS_MAX: usize = 8;
/// A day, in microseconds.
const DAY_US: i64 = 86_400_000_000;
/// Most KPIs of one request.
const KPIS_MAX: usize = 200;

/// What a request is answered from.
pub(crate) struct Asker<'a> {
    pub catalogue: &'a Catalogue,
    pub targets: &'a Arc<Targets>,
    pub views: &'a Views,
    pub bounds: Bounds,
    /// IANA zone of requests that name none.
    pub default_zone: &'a str,
    pub revision: u64,
}

/// The queries of a request, with what makes an answer of their results.
#[derive(Clone)]
pub(crate) struct Prepared {
    queries: Arc<[Query]>,
    answering: Answering,
}

impl Prepared {
    /// The KPIs asked for.
    pub(crate) fn used(&self) -> Vec<UsedKpi> {
        self.answering.used()
    }

    /// The queries, their plans still with `MEASURE` in them.
    pub(crate) fn queries(&self) -> &[Query] {
        &self.queries
    }

    /// The same questions of another range and with other bounds of the data, for who runs them
    /// without their plans: what was prepared must have no range, no result yet, and no KPI whose
    /// rows end early. `every` are starts of buckets that get a row whatever there is in them.
    pub(crate) fn over(
        &self,
        range: (UtcMicros, UtcMicros),
        bounds: Bounds,
        every: Vec<i64>,
    ) -> Prepared {
        Prepared {
            queries: Arc::clone(&self.queries),
            answering: self.answering.over(range, bounds, every),
        }
    }

    /// What inputs were in what the question compares with.
    pub(super) fn stand_beside(&mut self, beside: &Arc<Beside>) {
        self.answering.stand_beside(beside);
    }

    /// Takes a query's result.
    pub(crate) fn take(
        &mut self,
        query: &Query,
        batches: &[RecordBatch],
    ) -> Result<(), EngineError> {
        let mut batches = batches.iter();
        batches.try_for_each(|batch| self.answering.take(query, batch))
    }

    /// A query could not be answered because of what the data are: its KPIs have no value.
    pub(crate) fn fail(&mut self, query: &Query, error: EngineError) {
        self.answering.fail(query, error);
    }

    /// The answer, once every result was taken.
    ///
    /// # Errors
    /// When no KPI of the request could be answered.
    pub(crate) fn answer(self) -> Result<super::KpiAnswer, EngineError> {
        self.answering.finish(false)
    }

    /// The same, if it has every KPI.
    ///
    /// # Errors
    /// When one of them could not be answered.
    pub(crate) fn whole_answer(self) -> Result<super::KpiAnswer, EngineError> {
        self.answering.finish(true)
    }
}

/// One query: KPIs of one model, time column and end.
#[derive(Clone)]
pub(crate) struct Query {
    rows: Rows,
    pub kpis: Vec<Columns>,
    pub plan: LogicalPlan,
}

impl Query {
    /// Model and time column of its rows.
    pub fn source(&self) -> (&str, &str) {
        (&self.rows.model, &self.rows.time)
    }

    /// Where its rows end.
    pub fn to(&self) -> Option<i64> {
        self.rows.to
    }
}

/// The columns of one KPI in a query's result, in this order.
#[derive(Clone, Debug)]
pub(crate) struct Columns {
    pub kpi: String,
    /// After the value, one column each.
    pub parts: Vec<String>,
    /// Are there two more, the first and the last currency by name?
    pub currency: bool,
}

/// Which rows of a measured KPI a request reads: its model, its time column, and the end.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Rows {
    model: String,
    time: String,
    to: Option<i64>,
}

impl<'a> Asker<'a> {
    /// The zone of a request's buckets.
    pub(crate) fn zone(&self, request: &KpiRequest) -> Result<Tz, EngineError> {
        let zone = request.zone.as_deref().unwrap_or(self.default_zone);
        parse_zone(zone).map_err(|e| EngineError::Invalid(e.to_string()))
    }

    /// Checks a request and plans its queries. `posted` holds the answers to its `questions`;
    /// without a session a request may have no filters.
    pub(crate) fn prepare(
        &self,
        request: &KpiRequest,
        posted: Posted,
        session: Option<&SessionState>,
    ) -> Result<Prepared, EngineError> {
        let tz = self.zone(request)?;
        if let (Some(from), Some(to)) = (request.from, request.to)
            && from >= to
        {
            return Err(EngineError::Invalid(format!(
                "the range from {from} to {to} is empty"
            )));
        }
        let mut rows: BTreeMap<Rows, Vec<&Kpi>> = BTreeMap::new();
        let mut asked = Vec::new();
        for kpi in self.kpis(request)? {
            check_cut(kpi, request)?;
            check_bounds(kpi, request, tz)?;
            let matured_to = self.matured_to(kpi, &posted, tz)?;
            let derived = kpi.measured().is_none();
            let cut = matured_to.filter(|_| derived).into_iter();
            let to = cut.chain(request.to.map(|t| t.0)).min();
            for input in self.catalogue.inputs_of(kpi) {
                let Some(m) = input.measured() else { continue };
                let key = Rows {
                    model: m.model.clone(),
                    time: m.time.clone(),
                    to,
                };
                let together = rows.entry(key).or_default();
                if !together.iter().any(|k| k.id == input.id) {
                    together.push(input);
                }
            }
            let about = self.about(kpi, matured_to)?;
            let kpi = Arc::new(kpi.clone());
            asked.push(Asked { kpi, about, to });
        }
        let queries = rows
            .iter()
            .map(|(rows, kpis)| self.query(request, rows, kpis, session))
            .collect::<Result<_, _>>()?;
        let every = every_bucket(request, tz)?;
        let answering = Answering::new(self, request, tz, asked, posted, every);
        Ok(Prepared { queries, answering })
    }

    /// The query taken apart: one a KPI.
    pub(crate) fn one_by_one(
        &self,
        request: &KpiRequest,
        query: &Query,
        session: Option<&SessionState>,
    ) -> Result<Vec<Query>, EngineError> {
        let kpis = query.kpis.iter().filter_map(|c| self.catalogue.get(&c.kpi));
        kpis.map(|kpi| self.query(request, &query.rows, &[kpi], session))
            .collect()
    }

    /// The KPIs asked for, each once.
    pub(super) fn kpis(&self, request: &KpiRequest) -> Result<Vec<&'a Kpi>, EngineError> {
        if request.ids.is_empty() || request.ids.len() > KPIS_MAX {
            return Err(EngineError::Invalid(format!(
                "ask for 1 to {KPIS_MAX} KPIs"
            )));
        }
        let mut kpis: Vec<&Kpi> = Vec::new();
        for id in &request.ids {
            let kpi = self
                .catalogue
                .find(id)
                .map_err(|unknown| EngineError::UnknownKpi(unknown.to_string()))?;
            if !kpis.iter().any(|k| k.id == kpi.id) {
                kpis.push(kpi);
            }
        }
        Ok(kpis)
    }

    pub(super) fn view(&self, model: &str) -> Result<&'a ModelView, EngineError> {
        let missing = || EngineError::Internal(format!("there is no view of model {model}"));
        self.views.model(model).ok_or_else(missing)
    }

    pub(super) fn plan_of(&self, kpi: &Kpi) -> Result<&'a KpiPlan, EngineError> {
        let missing = || EngineError::Internal(format!("{} is not compiled", kpi.id));
        self.views
            .plan_of(&kpi.id)
            .map(AsRef::as_ref)
            .ok_or_else(missing)
    }

    fn about(&self, kpi: &Kpi, matured_to: Option<i64>) -> Result<AnsweredKpi, EngineError> {
        let mut params: BTreeMap<String, ParamInForce> = BTreeMap::new();
        let mut clocks: Vec<Clock> = Vec::new();
        let mut apart = BTreeSet::new();
        for input in self.catalogue.made_of(kpi) {
            apart.extend(self.apart(input));
            let clock = input.measured().map(|m| m.clock);
            clocks.extend(clock.filter(|clock| !clocks.contains(clock)));
            let prefix = if input.id == kpi.id {
                String::new()
            } else {
                format!("{}.", input.id)
            };
            let own = match input.measured() {
                Some(_) => Some(&self.plan_of(input)?.params),
                None => self.views.params_of(&input.id),
            };
            params.extend(
                own.into_iter()
                    .flatten()
                    .map(|(name, v)| (format!("{prefix}{name}"), v.clone())),
            );
        }
        Ok(AnsweredKpi {
            id: kpi.id.clone(),
            version: kpi.version,
            hash: kpi.hash.clone(),
            params,
            measured: kpi.measured().is_some(),
            clocks,
            unit: kpi.unit.clone(),
            direction: kpi.direction,
            sample: kpi.sample,
            empty_is_zero: kpi.empty == kpi::Empty::Zero,
            matured_to: matured_to.filter(|to| *to > i64::MIN).map(UtcMicros),
            note: None,
            failed: None,
            apart,
        })
    }

    /// Of which time the rows of a measured KPI can tell.
    pub(super) fn apart(&self, kpi: &Kpi) -> Option<Apart> {
        Some(self.views.model(kpi.model()?)?.apart())
    }

    /// Up to where rows count. Lines that are posted late: to the end of the newest day. A KPI
    /// over several models: whole days on which every input is mature and posted; days of the
    /// lines if it has some, else of the request's zone, and where rows are mature within the day whole
    /// buckets. Whole months, if it has none shorter. `i64::MIN`: nothing is posted at all.
    fn matured_to(&self, kpi: &Kpi, posted: &Posted, zone: Tz) -> Result<Option<i64>, EngineError> {
        let window_end = |kpi: &Kpi| -> Result<Option<i64>, EngineError> {
            let Maturity::Window { window, .. } = &kpi.maturity else {
                return Ok(None);
            };
            let ms = match window {
                Window::Ms(ms) => *ms,
                // Where it differs between rows, the longest: from then on all of them count.
                Window::Param(name) => {
                    let param = self.plan_of(kpi)?.params.get(name);
                    match param.and_then(ParamInForce::longest_ms) {
                        Some(ms) => ms,
                        None => return Ok(None),
                    }
                }
            };
            Ok(Some(
                self.bounds
                    .horizon
                    .0
                    .saturating_sub(ms.saturating_mul(1_000)),
            ))
        };
        let last_end = |kpi: &Kpi, until: i64| {
            let model = kpi.model().unwrap_or_default();
            posted.last_end(model, until).unwrap_or(i64::MIN)
        };
        if kpi.measured().is_some() {
            return match is_posted(kpi) {
                true => Ok(Some(last_end(kpi, i64::MAX))),
                false => window_end(kpi),
            };
        }
        let inputs = self.catalogue.inputs_of(kpi);
        let mut ends = Vec::new();
        for input in &inputs {
            ends.extend(window_end(input)?);
        }
        let mature = ends.into_iter().min();
        let late: Vec<&Kpi> = inputs.into_iter().filter(|i| is_posted(i)).collect();
        let grain = kpi.buckets.min.max(Grain::D1);
        let whole = |end: i64| Calendar::new(grain, zone).bucket(end).start;
        if late.is_empty() {
            let within_the_day = |end: i64| self.bounds.horizon.0.saturating_sub(end) < DAY_US;
            let step = match mature.is_some_and(within_the_day) {
                true => kpi.buckets.min,
                false => grain,
            };
            let whole = Calendar::new(step, zone);
            return Ok(mature.map(|end| whole.bucket(end).start));
        }
        let until = |end: i64| late.iter().map(|kpi| last_end(kpi, end)).min();
        let end = until(mature.unwrap_or(i64::MAX));
        // Days end where the lines say; longer buckets are the request's.
        let is_longer = |end: &i64| grain > Grain::D1 && *end > i64::MIN;
        Ok(end.map(|end| if is_longer(&end) { whole(end) } else { end }))
    }

    fn query(
        &self,
        request: &KpiRequest,
        rows: &Rows,
        kpis: &[&Kpi],
        session: Option<&SessionState>,
    ) -> Result<Query, EngineError> {
        let zone = request.zone.as_deref().unwrap_or(self.default_zone);
        let view = self.view(&rows.model)?;
        let time = plain(&rows.time);
        let bound = |micros: i64| Expr::Literal(instant(micros), None);
        let plan = view.plan();
        let mut conditions: Vec<Expr> = Vec::new();
        conditions.extend(request.from.map(|from| time.clone().gt_eq(bound(from.0))));
        conditions.extend(rows.to.map(|to| time.clone().lt(bound(to))));
        // A row without the KPI's time is in no bucket. No part counts it, but it would make a
        // group of its own; a range leaves it out, so the answer without one does too.
        if conditions.is_empty() && time.nullable(plan.schema())? {
            conditions.push(time.clone().is_not_null());
        }
        conditions.extend(read_filters(request, &plan, &rows.model, session)?);
        let mut groups: Vec<Expr> = request.by.iter().map(|d| plain(d)).collect();
        groups.extend(
            request
                .grain
                .map(|g| kpi_bucket(time, &g.to_string(), zone)),
        );
        let (mut columns, mut aggregates) = (Vec::new(), Vec::new());
        for kpi in kpis {
            let of = self.columns(kpi, view, &mut aggregates)?;
            columns.push(of);
        }
        let plan = filtered(plan, conditions)?
            .aggregate(groups, aggregates)?
            .build()?;
        Ok(Query {
            rows: rows.clone(),
            kpis: columns,
            plan,
        })
    }

    /// Adds the aggregates of one KPI: its value, its parts, and the currencies of money.
    fn columns(
        &self,
        kpi: &Kpi,
        view: &ModelView,
        aggregates: &mut Vec<Expr>,
    ) -> Result<Columns, EngineError> {
        let plan = self.plan_of(kpi)?;
        let column = plain(&kpi.id);
        aggregates.push(measure(column.clone()));
        let parts: Vec<String> = kpi.parts().iter().map(|p| p.name.clone()).collect();
        aggregates.extend(parts.iter().map(|part| measure_part(column.clone(), part)));
        let currency = currency_aggregates(kpi, plan, view)?;
        let has_currency = currency.is_some();
        for (name, aggregate) in ["first", "last"]
            .into_iter()
            .zip(currency.into_iter().flatten())
        {
            aggregates.push(aggregate.alias(format!("__{name}_currency_{}", kpi.id)));
        }
        Ok(Columns {
            kpi: kpi.id.clone(),
            parts,
            currency: has_currency,
        })
    }
}

/// The smallest and the greatest currency among the rows that a KPI of money counts.
fn currency_aggregates(
    kpi: &Kpi,
    plan: &KpiPlan,
    view: &ModelView,
) -> Result<Option<[Expr; 2]>, EngineError> {
    let Some(currency) = kpi
        .unit
        .of
        .as_ref()
        .filter(|_| kpi.unit.kind == UnitKind::Currency)
    else {
        return Ok(None);
    };
    let shown = view.columns().contains(currency);
    let Some(counted) = counted_rows(plan, view)?.filter(|_| shown) else {
        return Ok(None);
    };
    let of = when(counted, plain(currency)).end()?;
    Ok(Some([min(of.clone()), max(of)]))
}

/// The condition under which a KPI's sum counts a row, over the columns of its model's view.
/// `None`: it reads something that the view does not show.
pub(super) fn counted_rows(plan: &KpiPlan, view: &ModelView) -> Result<Option<Expr>, EngineError> {
    let sum = plan.parts.iter().find(|p| p.agg == Agg::Sum);
    let Some(filter) = sum.and_then(|p| p.filter.clone()) else {
        return Ok(Some(lit(true)));
    };
    let filter = unqualified(filter)?;
    let shown = |column: &Column| view.columns().contains(&column.name);
    let all_shown = filter.column_refs().into_iter().all(shown);
    Ok(all_shown.then_some(filter))
}

fn unqualified(expr: Expr) -> Result<Expr, EngineError> {
    let bare = expr.transform(|e| {
        Ok(match e {
            Expr::Column(column) => Transformed::yes(plain(&column.name)),
            other => Transformed::no(other),
        })
    })?;
    Ok(bare.data)
}

/// Refuses dimensions and buckets that the KPI does not have.
pub(super) fn check_cut(kpi: &Kpi, request: &KpiRequest) -> Result<(), EngineError> {
    if request.by.len() > DIMENSIONS_MAX {
        return Err(EngineError::Invalid(format!(
            "ask for at most {DIMENSIONS_MAX} dimensions"
        )));
    }
    let only = request.only.iter().map(|only| &only.dimension);
    let asked = request.by.iter().chain(only);
    if let Some(unknown) = asked.into_iter().find(|d| !kpi.dimensions.contains(d)) {
        let hint = match kpi.dimensions.as_slice() {
            [] => format!("{} has no dimensions; ask for it without", kpi.id),
            some => format!("dimensions of {}: {}", kpi.id, some.join(", ")),
        };
        let why = if kpi.measured().is_some() {
            "it is not one of its dimensions"
        } else {
            "not all of its inputs have that dimension"
        };
        let verb = match request.by.contains(unknown) {
            true => "grouped",
            false => "filtered",
        };
        let reason = format!("{} cannot be {verb} by {unknown}: {why}", kpi.id);
        return Err(EngineError::refused(reason, hint));
    }
    if let Some(twice) = (1..request.by.len()).find(|&i| request.by[..i].contains(&request.by[i])) {
        let name = &request.by[twice];
        return Err(EngineError::Invalid(format!(
            "the dimension {name} is asked for twice"
        )));
    }
    match request.grain {
        Some(grain) if grain < kpi.buckets.min => {
            let reason = format!("{} has no buckets of {grain}", kpi.id);
            Err(EngineError::refused(
                reason,
                format!("its smallest bucket is {}", kpi.buckets.min),
            ))
        }
        _ => Ok(()),
    }
}

/// A KPI over several models puts what happened in a stretch beside what was posted for it. If one of
/// them knows whole months only, so must the stretch be.
fn check_bounds(kpi: &Kpi, request: &KpiRequest, zone: Tz) -> Result<(), EngineError> {
    let grain = kpi.buckets.min;
    if kpi.measured().is_some() || grain <= Grain::D1 {
        return Ok(());
    }
    let calendar = Calendar::new(grain, zone);
    let is_within = |at: &UtcMicros| calendar.bucket(at.0).start != at.0;
    match request.from.into_iter().chain(request.to).find(is_within) {
        None => Ok(()),
        Some(at) => Err(EngineError::refused(
            format!(
                "{} is of whole buckets of {grain}, and {at} is within one",
                kpi.id
            ),
            format!("begin and end where a bucket of {grain} begins in {zone}"),
        )),
    }
}

pub(super) fn filtered(
    plan: LogicalPlan,
    by: Vec<Expr>,
) -> Result<LogicalPlanBuilder, EngineError> {
    let builder = LogicalPlanBuilder::from(plan);
    Ok(match by.into_iter().reduce(Expr::and) {
        Some(condition) => builder.filter(condition)?,
        None => builder,
    })
}

/// The request's filters as conditions over the plan of a model's view.
pub(super) fn read_filters(
    request: &KpiRequest,
    plan: &LogicalPlan,
    model: &str,
    session: Option<&SessionState>,
) -> Result<Vec<Expr>, EngineError> {
    let read = |text: &String| {
        let Some(session) = session else {
            return Err(EngineError::Invalid(
                "filters are not possible here".to_owned(),
            ));
        };
        let large = guard::check(&format!("SELECT {text}"), &GuardLimits::default());
        large.map_err(|error| QueryError {
            position: None,
            ..error
        })?;
        session
            .create_logical_expr(text, plan.schema())
            .map_err(|e| unreadable(text, plan, model, e))
    };
    let only = request.only.iter().map(|only| only_condition(only, plan));
    request.filters.iter().map(read).chain(only).collect()
}

/// A dimension that has one of some values. Values are compared as texts, as answers show them.
fn only_condition(only: &Only, plan: &LogicalPlan) -> Result<Expr, EngineError> {
    if only.values.is_empty() {
        return Err(EngineError::Invalid(format!(
            "the filter on {} has no value",
            only.dimension
        )));
    }
    let column = plain(&only.dimension);
    let text = match column.get_type(plan.schema())? {
        DataType::Utf8 => column,
        _ => cast(column, DataType::Utf8),
    };
    let values = only.values.iter().map(|value| lit(value.as_str()));
    Ok(text.in_list(values.collect(), false))
}

/// Starts of all buckets of a request that wants every one.
fn every_bucket(request: &KpiRequest, zone: Tz) -> Result<Vec<i64>, EngineError> {
    if !request.fill {
        return Ok(Vec::new());
    }
    let (Some(grain), Some(from), Some(to)) = (request.grain, request.from, request.to) else {
        return Err(EngineError::Invalid(
            "every bucket can be shown only with a bucket size, a start and an end".to_owned(),
        ));
    };
    let calendar = Calendar::new(grain, zone);
    let starts = calendar.starts(from.0, to.0);
    let every: Vec<i64> = starts.take(SERIES_BUCKETS_MAX + 1).collect();
    if every.len() > SERIES_BUCKETS_MAX {
        return Err(EngineError::refused(
            format!("the range has more than {SERIES_BUCKETS_MAX} buckets of {grain}"),
            "ask for a shorter range or larger buckets",
        ));
    }
    Ok(every)
}

fn unreadable(text: &str, plan: &LogicalPlan, model: &str, error: DataFusionError) -> EngineError {
    let Some(column) = missing_column(&error) else {
        let why = EngineError::from(error);
        return EngineError::Invalid(format!("the filter `{text}` does not fit {model}: {why}"));
    };
    let fields = plan.schema().fields().iter();
    let columns = fields.filter(|f| !f.metadata().contains_key(KPI_KEY));
    let known = kpi::suggest(column, columns.map(|f| f.name().as_str()), "its columns");
    EngineError::refused(
        format!("the filter `{text}`: {model} has no column {column}"),
        format!("{known}; a filter is for KPIs of one table: name them before it"),
    )
}
