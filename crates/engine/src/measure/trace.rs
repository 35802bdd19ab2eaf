//! Which columns of the view a query groups by.

use std::collections::BTreeSet;

use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::common::Column;
use datafusion::error::Result;
use datafusion::logical_expr::{Aggregate, Expr, LogicalPlan};

use super::argument::{COMPUTED, bare_column};
use super::unique;
use crate::error::refuse;
use crate::views::{MEASURE_KEY, Measure, PERIOD, Views};

/// Refuses groupings that the KPI does not have: the answer would not be what it says.
pub(super) fn check_dimensions(
    views: &Views,
    aggregate: &Aggregate,
    measure: &Measure,
    kpi_column: &Column,
) -> Result<()> {
    let mut origins = BTreeSet::new();
    for expr in &aggregate.group_expr {
        trace_expr(views, &aggregate.input, kpi_column, expr, &mut origins)?;
    }
    let plan = &measure.plan;
    let kpi = &plan.kpi;
    for column in origins {
        let own = kpi.dimensions.contains(&column) || column == plan.time;
        if own || column == PERIOD || column == "tenant_id" {
            continue;
        }
        let hint = match kpi.dimensions.as_slice() {
            [] => format!("{} can only be cut by its time {}", kpi.id, plan.time),
            some => format!("dimensions of {}: {}; time: {}", kpi.id, some.join(", "), plan.time),
        };
        let reason = if column.ends_with("_at") {
            format!("{} counts by {}, not by {column}", kpi.id, plan.time)
        } else {
            format!("{} cannot be grouped by {column}: it is not one of its dimensions", kpi.id)
        };
        return Err(refuse(reason, hint));
    }
    Ok(())
}

/// Adds the view columns that `expr` over `plan` is made from.
fn trace_expr(
    views: &Views,
    plan: &LogicalPlan,
    kpi: &Column,
    expr: &Expr,
    origins: &mut BTreeSet<String>,
) -> Result<()> {
    expr.apply(|e| {
        if let Expr::Column(column) = e {
            trace(views, plan, kpi, column, origins)?;
        }
        Ok(TreeNodeRecursion::Continue)
    })?;
    Ok(())
}

/// Follows `column` and the KPI's column down to the view they come from.
fn trace(
    views: &Views,
    plan: &LogicalPlan,
    kpi: &Column,
    column: &Column,
    origins: &mut BTreeSet<String>,
) -> Result<()> {
    let position = |c: &Column| plan.schema().maybe_index_of_column(c);
    let (Some(kpi_at), Some(at)) = (position(kpi), position(column)) else { return Ok(()) };
    match plan {
        LogicalPlan::Projection(p) if defines(&p.expr[kpi_at]) => {
            origins.insert(p.schema.field(at).name().clone());
            Ok(())
        }
        LogicalPlan::Projection(p) => match bare_column(&p.expr[kpi_at]) {
            Some(kpi) => trace_expr(views, &p.input, kpi, &p.expr[at], origins),
            None => Ok(()),
        },
        LogicalPlan::SubqueryAlias(a) => {
            let below = |i| Column::from(a.input.schema().qualified_field(i));
            trace(views, &a.input, &below(kpi_at), &below(at), origins)
        }
        LogicalPlan::Window(w) => match at.checked_sub(w.input.schema().fields().len()) {
            Some(window) => trace_expr(views, &w.input, kpi, &w.window_expr[window], origins),
            None => trace(views, &w.input, kpi, column, origins),
        },
        LogicalPlan::Join(join) => {
            let in_left = join.left.schema().maybe_index_of_column(kpi).is_some();
            let side = if in_left { &join.left } else { &join.right };
            if side.schema().maybe_index_of_column(column).is_some() {
                return trace(views, side, kpi, column, origins);
            }
            // A column of the other side is decided by the keys that it was joined on.
            for key in unique::keys_of(join, in_left) {
                trace_expr(views, side, kpi, key, origins)?;
            }
            Ok(())
        }
        other => match other.inputs().as_slice() {
            [input] => trace(views, input, kpi, column, origins),
            _ => Ok(()),
        },
    }
}

/// Is this the expression with which a view introduces a KPI column?
pub(super) fn defines(expr: &Expr) -> bool {
    let Expr::Alias(alias) = expr else { return false };
    let mark = alias.metadata.as_ref().and_then(|m| m.inner().get(MEASURE_KEY));
    mark.is_some_and(|mark| !mark.starts_with(COMPUTED))
}
