//! Grain views: part states by dimensions and period, and the true value of every row.
//!
//! KPIs of one model may count by different times (entered, left). Each time has its own
//! aggregation; the results are laid under each other and merged by dimensions and period.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError};

use arrow::datatypes::DataType;
use datafusion::error::Result;
use datafusion::logical_expr::{Expr, ExprSchemable, LogicalPlan, LogicalPlanBuilder};
use kpi::Bucket;

use super::{
    Fold, Measure, MeasurePart, Views, marked, null, plain, row_argument, shared_dimensions,
};
use crate::compile::KpiPlan;
use crate::functions;
use crate::models::Model;

/// The periods that have a view.
const GRAINS: [(Bucket, &str, &str); 3] = [
    (Bucket::M15, "15m", "15 minutes"),
    (Bucket::H1, "1h", "1 hour"),
    (Bucket::D1, "1d", "1 day"),
];

/// Start of a row's period.
pub(crate) const PERIOD: &str = "period_start";

/// One aggregate of the view: the state of a part, shared by all KPIs that have this part.
struct State {
    name: String,
    aggregate: Expr,
    merge: Fold,
    data_type: DataType,
    time: String,
}

/// All states of a view, and which of them are the parts of which KPI.
#[derive(Default)]
struct States {
    all: Vec<State>,
}

impl States {
    fn add(&mut self, plan: &KpiPlan, part: usize) -> Result<usize> {
        let part = &plan.parts[part];
        let fold = Fold::of_rows(part.agg);
        let aggregate = fold.aggregate(row_argument(part)?, None)?;
        let known = self
            .all
            .iter()
            .position(|s| s.aggregate == aggregate && s.time == plan.time);
        Ok(known.unwrap_or_else(|| {
            self.all.push(State {
                name: format!("__state_{}", self.all.len()),
                aggregate,
                merge: Fold::of_states(part.agg),
                data_type: part.data_type.clone(),
                time: plan.time.clone(),
            });
            self.all.len() - 1
        }))
    }
}

impl Views {
    /// Names of all grain views: `<model>_15m`, `_1h`, `_1d` where some KPI has such a bucket.
    pub(crate) fn grain_names(&self) -> impl Iterator<Item = String> {
        self.iter().flat_map(|view| {
            let shown = |bucket| view.kpis.iter().any(|p| p.kpi.buckets.min <= bucket);
            let grains = GRAINS
                .into_iter()
                .filter(move |(bucket, ..)| shown(*bucket));
            grains.map(|(_, suffix, _)| format!("{}_{suffix}", view.name))
        })
    }

    /// The plan of a grain view, built on first use; `None` if there is none of that name.
    pub(crate) fn grain(&self, name: &str) -> Result<Option<LogicalPlan>> {
        let built = self.grains.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(plan) = built.get(name) {
            return Ok(Some(plan.clone()));
        }
        drop(built);
        let found = GRAINS.into_iter().find_map(|(bucket, suffix, grain)| {
            let model = name.strip_suffix(suffix)?.strip_suffix('_')?;
            Some((self.model(model)?, bucket, grain))
        });
        let Some((view, bucket, grain)) = found else {
            return Ok(None);
        };
        let shown = view.kpis.iter().filter(|p| p.kpi.buckets.min <= bucket);
        let shown: Vec<&Arc<KpiPlan>> = shown.collect();
        if shown.is_empty() {
            return Ok(None);
        }
        let builder = Grain {
            model: &view.model,
            input: &view.input,
            dimensions: shared_dimensions(&view.model, &shown),
            grain,
            zone: &self.zone,
        };
        let plan = self.grain_view(name, &builder, &shown)?;
        let mut built = self.grains.write().unwrap_or_else(PoisonError::into_inner);
        Ok(Some(built.entry(name.to_owned()).or_insert(plan).clone()))
    }

    fn grain_view(
        &self,
        name: &str,
        grain: &Grain<'_>,
        plans: &[&Arc<KpiPlan>],
    ) -> Result<LogicalPlan> {
        let mut states = States::default();
        let parts: Vec<Vec<usize>> = plans
            .iter()
            .map(|plan| {
                (0..plan.parts.len())
                    .map(|part| states.add(plan, part))
                    .collect()
            })
            .collect::<Result<_>>()?;
        let merged = grain.merged(&states)?;
        let hidden: Arc<Vec<(String, Expr)>> = Arc::new(
            states
                .all
                .iter()
                .enumerate()
                .map(|(i, s)| (format!("__{name}_{i}"), plain(&s.name)))
                .collect(),
        );
        let mut exprs: Vec<Expr> = grain.dimensions.iter().map(|d| plain(d)).collect();
        exprs.push(plain(PERIOD));
        let mut values = Vec::new();
        for (plan, parts) in plans.iter().zip(&parts) {
            for (part, &state) in plan.parts.iter().zip(parts) {
                let column = format!("{}__{}", plan.kpi.id, part.name.replace('.', "__"));
                exprs.push(plain(&states.all[state].name).alias(column));
            }
            let value = plan
                .value
                .expr(&plan.parts, &|part| plain(&states.all[parts[part]].name));
            let mark = format!("{name}/{}", plan.kpi.id);
            values.push(marked(value, plan, &mark));
            let parts = parts
                .iter()
                .map(|&s| part_of_state(s, states.all[s].merge))
                .collect();
            let (plan, hidden) = (Arc::clone(plan), Arc::clone(&hidden));
            let measure = Measure {
                plan,
                of_rows: false,
                hidden,
                parts,
            };
            self.add_measure(mark, measure);
        }
        exprs.extend(values);
        LogicalPlanBuilder::from(merged).project(exprs)?.build()
    }
}

fn part_of_state(state: usize, fold: Fold) -> MeasurePart {
    MeasurePart {
        column: state,
        fold,
    }
}

/// How the rows of one grain view are made.
struct Grain<'a> {
    model: &'a Model,
    input: &'a LogicalPlan,
    dimensions: Vec<String>,
    grain: &'a str,
    zone: &'a str,
}

impl Grain<'_> {
    /// Dimensions, period and all states, one row a combination.
    fn merged(&self, states: &States) -> Result<LogicalPlan> {
        let mut by_time: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
        for (i, state) in states.all.iter().enumerate() {
            by_time.entry(&state.time).or_default().push(i);
        }
        let single = by_time.len() == 1;
        let mut union: Option<LogicalPlanBuilder> = None;
        for (time, own) in &by_time {
            let plan = self.aggregated(states, time, own)?;
            union = Some(match union {
                None => LogicalPlanBuilder::from(plan),
                Some(before) => before.union(plan)?,
            });
        }
        match union {
            Some(one) if single => one.build(),
            Some(several) => self.merge(states, several),
            None => self.aggregated(states, self.model.time_or_first(), &[]),
        }
    }

    /// The states that go by one time; the others are NULL.
    fn aggregated(&self, states: &States, time: &str, own: &[usize]) -> Result<LogicalPlan> {
        let time = self.model.column(time);
        let schema = self.input.schema();
        let mut builder = LogicalPlanBuilder::from(self.input.clone());
        if time.nullable(schema)? {
            builder = builder.filter(time.clone().is_not_null())?;
        }
        let mut group: Vec<Expr> = self
            .dimensions
            .iter()
            .map(|d| self.model.column(d).alias(d.clone()))
            .collect();
        group.push(functions::kpi_bucket(time, self.grain, self.zone).alias(PERIOD));
        let aggregates: Vec<Expr> = own
            .iter()
            .map(|&i| states.all[i].aggregate.clone().alias(&states.all[i].name))
            .collect();
        let mut columns: Vec<Expr> = self.keys();
        columns.extend(states.all.iter().enumerate().map(|(i, state)| {
            if own.contains(&i) {
                plain(&state.name)
            } else {
                null(&state.data_type).alias(&state.name)
            }
        }));
        builder
            .aggregate(group, aggregates)?
            .project(columns)?
            .build()
    }

    fn keys(&self) -> Vec<Expr> {
        self.dimensions
            .iter()
            .map(String::as_str)
            .chain([PERIOD])
            .map(plain)
            .collect()
    }

    fn merge(&self, states: &States, laid_out: LogicalPlanBuilder) -> Result<LogicalPlan> {
        let merged = |s: &State| -> Result<Expr> {
            Ok(s.merge.aggregate(plain(&s.name), None)?.alias(&s.name))
        };
        let finished = |s: &State| s.merge.finished(plain(&s.name)).alias(&s.name);
        let mut columns = self.keys();
        columns.extend(states.all.iter().map(finished));
        laid_out
            .aggregate(
                self.keys(),
                states.all.iter().map(merged).collect::<Result<Vec<_>>>()?,
            )?
            .project(columns)?
            .build()
    }
}
