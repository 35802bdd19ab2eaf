//! From a request to the queries that answer it.

use std::collections::{BTreeMap, BTreeSet};

use arrow::array::{AsArray, RecordBatch};
use arrow::datatypes::TimestampMicrosecondType;
use chrono_tz::Tz;
use datafusion::common::Column;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::execution::SessionState;
use datafusion::functions_aggregate::expr_fn::{max, min};
use datafusion::logical_expr::{
    Expr, ExprFunctionExt, ExprSchemable, LogicalPlan, LogicalPlanBuilder,
};
use kpi::{Agg, Catalogue, Kpi, Maturity, ParamValue, Targets, UnitKind, Window};

use super::{AnsweredKpi, Answering, KpiRequest};
use crate::functions::calendar::{Calendar, Grain, parse_zone};
use crate::functions::{instant, kpi_bucket};
use crate::measure::{measure, measure_part};
use crate::session::Bounds;
use crate::views::{ModelView, Views, plain};
use crate::{EngineError, KpiPlan};

/// Most dimensions of one request.
const DIMENSIONS_MAX: usize = 8;
/// Most KPIs of one request.
const KPIS_MAX: usize = 200;

/// What a request is answered from.
pub(crate) struct Asker<'a> {
    pub catalogue: &'a Catalogue,
    pub targets: &'a Targets,
    pub views: &'a Views,
    pub bounds: Bounds,
    /// IANA zone of requests that name none.
    pub default_zone: &'a str,
    pub revision: u64,
}

/// The queries of a request, with what makes an answer of their results.
#[derive(Clone)]
pub(crate) struct Prepared {
    queries: Vec<Query>,
    answering: Answering,
}

impl Prepared {
    /// One plan a query, still with `MEASURE` in it.
    pub(crate) fn plans(&self) -> impl Iterator<Item = &LogicalPlan> {
        self.queries.iter().map(|q| &q.plan)
    }

    /// The answer from the results, one list of batches a plan.
    pub(crate) fn answer(
        self,
        results: &[Vec<RecordBatch>],
    ) -> Result<super::KpiAnswer, EngineError> {
        let mut answering = self.answering;
        for (query, batches) in self.queries.iter().zip(results) {
            for batch in batches {
                answering.take(query, batch)?;
            }
        }
        answering.finish()
    }
}

/// One query: KPIs of one model, time column and end.
#[derive(Clone)]
pub(crate) struct Query {
    pub to: Option<i64>,
    pub kpis: Vec<Columns>,
    plan: LogicalPlan,
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
    /// Plans that give, in one row, the latest time of each model whose rows are posted late;
    /// only those that a KPI of several models needs. Filters of the request hold here too.
    pub(crate) fn posted_plans(
        &self,
        request: &KpiRequest,
        session: Option<&SessionState>,
    ) -> Result<Vec<(String, LogicalPlan)>, EngineError> {
        let mut wanted = BTreeSet::new();
        for kpi in self
            .kpis(request)?
            .iter()
            .filter(|k| k.measured().is_none())
        {
            for input in self.catalogue.inputs_of(kpi) {
                if let (Maturity::Posted, Some(m)) = (&input.maturity, input.measured()) {
                    wanted.insert((m.model.clone(), m.time.clone()));
                }
            }
        }
        let mut plans = Vec::new();
        for (model, time) in wanted {
            let plan = self.view(&model)?.plan();
            let conditions = read_filters(request, &plan, &model, session)?;
            let latest = vec![max(plain(&time))];
            let plan = filtered(plan, conditions)?.aggregate(Vec::<Expr>::new(), latest)?;
            plans.push((model, plan.build()?));
        }
        Ok(plans)
    }

    /// Checks a request and plans its queries. `posted` holds the results of `posted_plans`;
    /// without a session a request may have no filters.
    pub(crate) fn prepare(
        &self,
        request: &KpiRequest,
        posted: &BTreeMap<String, Option<i64>>,
        session: Option<&SessionState>,
    ) -> Result<Prepared, EngineError> {
        let zone = request.zone.as_deref().unwrap_or(self.default_zone);
        let tz = parse_zone(zone).map_err(|e| EngineError::Invalid(e.to_string()))?;
        if let (Some(from), Some(to)) = (request.from, request.to)
            && from >= to
        {
            return Err(EngineError::Invalid(format!(
                "the range from {from} to {to} is empty"
            )));
        }
        let kpis = self.kpis(request)?;
        let mut rows: BTreeMap<Rows, Vec<&Kpi>> = BTreeMap::new();
        let mut ends = BTreeMap::new();
        let mut answered = Vec::new();
        for kpi in &kpis {
            check_cut(kpi, request)?;
            let matured_to = self.matured_to(kpi, posted, tz)?;
            let derived = kpi.measured().is_none();
            let cut = matured_to.filter(|_| derived).into_iter();
            let to = cut.chain(request.to.map(|t| t.0)).min();
            ends.insert(kpi.id.clone(), to);
            for input in self.catalogue.inputs_of(kpi) {
                let Some(m) = input.measured() else { continue };
                let key = Rows {
                    model: m.model.clone(),
                    time: m.time.clone(),
                    to,
                };
                let asked = rows.entry(key).or_default();
                if !asked.iter().any(|k| k.id == input.id) {
                    asked.push(input);
                }
            }
            answered.push(self.about(kpi, matured_to)?);
        }
        let queries = rows
            .iter()
            .map(|(rows, kpis)| self.query(request, zone, rows, kpis, session))
            .collect::<Result<_, _>>()?;
        let kpis = kpis.into_iter().cloned().collect();
        let answering = Answering::new(self, request, zone, kpis, answered, ends);
        Ok(Prepared { queries, answering })
    }

    /// The KPIs asked for, each once.
    fn kpis(&self, request: &KpiRequest) -> Result<Vec<&'a Kpi>, EngineError> {
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

    fn view(&self, model: &str) -> Result<&'a ModelView, EngineError> {
        let missing = || EngineError::Internal(format!("there is no view of model {model}"));
        self.views.model(model).ok_or_else(missing)
    }

    fn plan_of(&self, kpi: &Kpi) -> Result<&'a KpiPlan, EngineError> {
        let missing = || EngineError::Internal(format!("{} is not compiled", kpi.id));
        self.views
            .plan_of(&kpi.id)
            .map(AsRef::as_ref)
            .ok_or_else(missing)
    }

    fn about(&self, kpi: &Kpi, matured_to: Option<i64>) -> Result<AnsweredKpi, EngineError> {
        let mut params: BTreeMap<String, ParamValue> = BTreeMap::new();
        for input in self.catalogue.inputs_of(kpi) {
            let prefix = if input.id == kpi.id {
                String::new()
            } else {
                format!("{}.", input.id)
            };
            let own = &self.plan_of(input)?.params;
            params.extend(
                own.iter()
                    .map(|(name, v)| (format!("{prefix}{name}"), v.clone())),
            );
        }
        Ok(AnsweredKpi {
            id: kpi.id.clone(),
            version: kpi.version,
            hash: kpi.hash.clone(),
            params,
            unit: kpi.unit.clone(),
            direction: kpi.direction,
            empty_is_zero: kpi.empty == kpi::Empty::Zero,
            matured_to: matured_to.map(events::UtcMicros),
        })
    }

    /// Up to where rows count: of a KPI over several models whole days on which every input is
    /// mature and posted.
    fn matured_to(
        &self,
        kpi: &Kpi,
        posted: &BTreeMap<String, Option<i64>>,
        zone: Tz,
    ) -> Result<Option<i64>, EngineError> {
        let window_end = |kpi: &Kpi| -> Result<Option<i64>, EngineError> {
            let Maturity::Window { window, .. } = &kpi.maturity else {
                return Ok(None);
            };
            let ms = match window {
                Window::Ms(ms) => *ms,
                Window::Param(name) => match self.plan_of(kpi)?.params.get(name) {
                    Some(ParamValue::Duration(ms)) => *ms,
                    _ => return Ok(None),
                },
            };
            Ok(Some(
                self.bounds
                    .horizon
                    .0
                    .saturating_sub(ms.saturating_mul(1_000)),
            ))
        };
        if kpi.measured().is_some() {
            return window_end(kpi);
        }
        let day = Calendar::new(Grain::D1, zone);
        let mut ends = Vec::new();
        for input in self.catalogue.inputs_of(kpi) {
            ends.extend(window_end(input)?.map(|end| day.bucket(end).start));
            if let (Maturity::Posted, Some(model)) = (&input.maturity, input.model()) {
                let latest = posted.get(model).copied().flatten();
                // Nothing posted: nothing is complete.
                ends.push(latest.map_or(i64::MIN, |latest| day.bucket(latest).end));
            }
        }
        Ok(ends.into_iter().min())
    }

    fn query(
        &self,
        request: &KpiRequest,
        zone: &str,
        rows: &Rows,
        kpis: &[&Kpi],
        session: Option<&SessionState>,
    ) -> Result<Query, EngineError> {
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
            to: rows.to,
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
    let counted = plan
        .parts
        .iter()
        .filter(|p| p.agg == Agg::Sum)
        .map(|p| &p.filter)
        .next();
    let counted = match counted.cloned().flatten() {
        Some(filter) => Some(unqualified(filter)?),
        None => None,
    };
    let shown = |column: &Column| view.columns().contains(&column.name);
    if !shown(&Column::new_unqualified(currency))
        || counted
            .as_ref()
            .is_some_and(|f| !f.column_refs().into_iter().all(shown))
    {
        return Ok(None);
    }
    let over = |aggregate: Expr| match &counted {
        Some(filter) => aggregate.filter(filter.clone()).build(),
        None => Ok(aggregate),
    };
    Ok(Some([
        over(min(plain(currency)))?,
        over(max(plain(currency)))?,
    ]))
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
fn check_cut(kpi: &Kpi, request: &KpiRequest) -> Result<(), EngineError> {
    if request.by.len() > DIMENSIONS_MAX {
        return Err(EngineError::Invalid(format!(
            "ask for at most {DIMENSIONS_MAX} dimensions"
        )));
    }
    if let Some(unknown) = request.by.iter().find(|d| !kpi.dimensions.contains(d)) {
        let hint = match kpi.dimensions.as_slice() {
            [] => format!("{} has no dimensions; ask for it without", kpi.id),
            some => format!("dimensions of {}: {}", kpi.id, some.join(", ")),
        };
        let why = if kpi.measured().is_some() {
            "it is not one of its dimensions"
        } else {
            "not all of its inputs have that dimension"
        };
        let reason = format!("{} cannot be grouped by {unknown}: {why}", kpi.id);
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

fn filtered(plan: LogicalPlan, by: Vec<Expr>) -> Result<LogicalPlanBuilder, EngineError> {
    let builder = LogicalPlanBuilder::from(plan);
    Ok(match by.into_iter().reduce(Expr::and) {
        Some(condition) => builder.filter(condition)?,
        None => builder,
    })
}

/// The request's filters as conditions over the plan of a model's view.
fn read_filters(
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
        session
            .create_logical_expr(text, plan.schema())
            .map_err(|e| {
                EngineError::Invalid(format!("the filter `{text}` does not fit {model}: {e}"))
            })
    };
    request.filters.iter().map(read).collect()
}

/// The one time in the result of a plan of `posted_plans`.
pub(crate) fn latest_time(batches: &[RecordBatch]) -> Result<Option<i64>, EngineError> {
    let no_time = || EngineError::Internal("the latest time is no time".to_owned());
    let Some(batch) = batches.iter().find(|b| b.num_rows() > 0) else {
        return Ok(None);
    };
    let column = batch
        .column(0)
        .as_primitive_opt::<TimestampMicrosecondType>();
    Ok(column.ok_or_else(no_time)?.iter().next().flatten())
}
