//! The models: one plain SELECT a fact at one grain, in `sql/models`.
//!
//! Derived row columns live there and nowhere else. A KPI's expressions see the columns of its
//! model. `facts.<model>` of a model that is no fact table (repeat links) is the SELECT itself.

use std::collections::BTreeSet;
use std::sync::Arc;

use arrow::datatypes::DataType;
use datafusion::common::Column;
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::error::Result;
use datafusion::logical_expr::{Expr, LogicalPlan, LogicalPlanBuilder};
use kpi::{ColumnKind, ColumnSpec, ModelSpec};
use store::Version;

use crate::error::EngineError;
use crate::session;
use crate::settings::Settings;

/// Name and SELECT of every model. One that reads another stands after it; `:horizon` is up to where
/// the data are complete, `:known_from` where they begin, and `report_day` and the like are of the zone
/// for which is asked.
pub(crate) const MODELS: [(&str, &str); 28] = [
    (
        "business_calendars",
        include_str!("../../../sql/models/business_calendars.sql"),
    ),
    (
        "queue_visits",
        include_str!("../../../sql/models/queue_visits.sql"),
    ),
    ("legs", include_str!("../../../sql/models/legs.sql")),
    (
        "interactions",
        include_str!("../../../sql/models/interactions.sql"),
    ),
    ("surveys", include_str!("../../../sql/models/surveys.sql")),
    ("orders", include_str!("../../../sql/models/orders.sql")),
    ("costs", include_str!("../../../sql/models/costs.sql")),
    (
        "callbacks",
        include_str!("../../../sql/models/callbacks.sql"),
    ),
    (
        "agent_states",
        include_str!("../../../sql/models/agent_states.sql"),
    ),
    (
        "evaluations",
        include_str!("../../../sql/models/evaluations.sql"),
    ),
    ("cases", include_str!("../../../sql/models/cases.sql")),
    (
        "repeat_links",
        include_str!("../../../sql/models/repeat_links.sql"),
    ),
    (
        "agent_spans",
        include_str!("../../../sql/models/agent_spans.sql"),
    ),
    (
        "agent_slices",
        include_str!("../../../sql/models/agent_slices.sql"),
    ),
    (
        "leg_slices",
        include_str!("../../../sql/models/leg_slices.sql"),
    ),
    (
        "leg_shares",
        include_str!("../../../sql/models/leg_shares.sql"),
    ),
    (
        "self_service",
        include_str!("../../../sql/models/self_service.sql"),
    ),
    (
        "contact_reasons",
        include_str!("../../../sql/models/contact_reasons.sql"),
    ),
    (
        "customer_contacts",
        include_str!("../../../sql/models/customer_contacts.sql"),
    ),
    (
        "complaint_links",
        include_str!("../../../sql/models/complaint_links.sql"),
    ),
    (
        "customer_months",
        include_str!("../../../sql/models/customer_months.sql"),
    ),
    (
        "order_contacts",
        include_str!("../../../sql/models/order_contacts.sql"),
    ),
    (
        "schedules",
        include_str!("../../../sql/models/schedules.sql"),
    ),
    (
        "headcount",
        include_str!("../../../sql/models/headcount.sql"),
    ),
    (
        "agent_skills",
        include_str!("../../../sql/models/agent_skills.sql"),
    ),
    (
        "contact_costs",
        include_str!("../../../sql/models/contact_costs.sql"),
    ),
    (
        "forecasts",
        include_str!("../../../sql/models/forecasts.sql"),
    ),
    (
        "open_snapshots",
        include_str!("../../../sql/models/open_snapshots.sql"),
    ),
];

/// A planned model.
#[derive(Clone, Debug)]
pub(crate) struct Model {
    pub name: String,
    /// The SELECT, aliased to the model's name: its columns are qualified by it.
    pub plan: LogicalPlan,
}

impl Model {
    pub(crate) fn new(name: &str, select: LogicalPlan) -> Result<Self> {
        let plan = LogicalPlanBuilder::from(select).alias(name)?.build()?;
        Ok(Model {
            name: name.to_owned(),
            plan,
        })
    }

    /// Names of its columns, in order.
    pub(crate) fn columns(&self) -> impl Iterator<Item = &str> {
        self.plan
            .schema()
            .fields()
            .iter()
            .map(|f| f.name().as_str())
    }

    /// A column as an expression over the model's plan.
    pub(crate) fn column(&self, name: &str) -> Expr {
        Expr::Column(Column::new(Some(self.name.clone()), name))
    }

    /// Some column of time, for a view without any KPI.
    pub(crate) fn time_or_first(&self) -> &str {
        let fields = self.plan.schema().fields();
        let time = fields
            .iter()
            .find(|f| matches!(f.data_type(), DataType::Timestamp(_, _)));
        time.or_else(|| fields.iter().next())
            .map_or("", |f| f.name())
    }

    fn spec(&self) -> ModelSpec {
        let columns = self.plan.schema().fields().iter();
        ModelSpec {
            name: self.name.clone(),
            columns: columns
                .filter(|f| !f.name().starts_with('_'))
                .map(|f| ColumnSpec {
                    name: f.name().clone(),
                    kind: kind_of(f.data_type()),
                    nullable: f.is_nullable(),
                })
                .collect(),
            made_by: made_by(&self.name),
        }
    }
}

/// The SELECT of a model and those of the models that it reads, without comments.
fn made_by(name: &str) -> String {
    let Some((_, select)) = MODELS.iter().find(|(model, _)| *model == name) else {
        return String::new();
    };
    let code = select
        .lines()
        .map(|line| line.split("--").next().unwrap_or(line));
    let words: Vec<&str> = code.flat_map(str::split_whitespace).collect();
    let mut all = words.join(" ");
    let read = |model: &str| words.iter().any(|word| *word == format!("facts.{model}"));
    for (other, _) in MODELS
        .iter()
        .filter(|(other, _)| *other != name && read(other))
    {
        all.push('\n');
        all.push_str(&made_by(other));
    }
    all
}

fn kind_of(data_type: &DataType) -> ColumnKind {
    match data_type {
        DataType::Boolean => ColumnKind::Bool,
        DataType::Timestamp(_, _) => ColumnKind::Time,
        DataType::Decimal128(_, _) => ColumnKind::Decimal,
        DataType::List(_) => ColumnKind::Texts,
        t if t.is_integer() => ColumnKind::Int,
        _ => ColumnKind::Text,
    }
}

/// Names and types of all models' columns, as the catalogue wants to check definitions by.
///
/// # Errors
/// When a model's SELECT does not plan, which is a bug in `sql/models`.
pub fn model_specs() -> std::result::Result<Vec<ModelSpec>, EngineError> {
    let version = Arc::new(Version::from_batches(Default::default()));
    let models = session::plan_models(&version, &Settings::default())?;
    Ok(models.iter().map(Model::spec).collect())
}

/// The tables that a plan reads.
pub(crate) fn tables(plan: &LogicalPlan) -> Result<BTreeSet<String>> {
    let mut found = BTreeSet::new();
    plan.apply_with_subqueries(|node| {
        if let LogicalPlan::TableScan(scan) = node {
            found.insert(scan.table_name.table().to_owned());
        }
        Ok(TreeNodeRecursion::Continue)
    })?;
    Ok(found)
}

/// Fact tables and columns that `column` of a plan is computed from.
pub(crate) fn lineage(plan: &LogicalPlan, column: &str) -> Vec<(String, String)> {
    let mut found = BTreeSet::new();
    if let Some(index) = plan
        .schema()
        .fields()
        .iter()
        .position(|f| f.name() == column)
    {
        trace(plan, index, &mut found);
    }
    found.into_iter().collect()
}

fn trace(plan: &LogicalPlan, index: usize, found: &mut BTreeSet<(String, String)>) {
    match plan {
        LogicalPlan::TableScan(scan) => {
            let table = scan.table_name.table().to_owned();
            found.insert((table, plan.schema().field(index).name().clone()));
        }
        LogicalPlan::Projection(p) => trace_expr(&p.input, &p.expr[index], found),
        LogicalPlan::Aggregate(a) => {
            let expr = a.group_expr.iter().chain(&a.aggr_expr).nth(index);
            if let Some(expr) = expr {
                trace_expr(&a.input, expr, found);
            }
        }
        LogicalPlan::Window(w) => {
            let inputs = w.input.schema().fields().len();
            match index.checked_sub(inputs) {
                None => trace(&w.input, index, found),
                Some(window) => trace_expr(&w.input, &w.window_expr[window], found),
            }
        }
        LogicalPlan::Join(j) => {
            let left = j.left.schema().fields().len();
            match index.checked_sub(left) {
                None => trace(&j.left, index, found),
                Some(right) => trace(&j.right, right, found),
            }
        }
        // Inputs with the same columns in the same places: aliases, filters, sorts, unions.
        other => other
            .inputs()
            .iter()
            .for_each(|input| trace(input, index, found)),
    }
}

fn trace_expr(input: &LogicalPlan, expr: &Expr, found: &mut BTreeSet<(String, String)>) {
    let walked = expr.apply(|e| {
        if let Expr::Column(c) = e
            && let Some(index) = input.schema().maybe_index_of_column(c)
        {
            trace(input, index, found);
        }
        Ok(TreeNodeRecursion::Continue)
    });
    debug_assert!(walked.is_ok(), "the closure never fails");
}
