//! Which columns of the view a query groups by.

use std::collections::BTreeSet;

use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::common::{Column, ScalarValue};
use datafusion::error::Result;
use datafusion::logical_expr::expr::ScalarFunction;
use datafusion::logical_expr::{Aggregate, Expr, LogicalPlan};
use kpi::Bucket;

use super::argument::{COMPUTED, bare_column};
use super::unique;
use crate::error::refuse;
use crate::functions::calendar::parse_grain;
use crate::views::{MEASURE_KEY, Measure, PERIOD};

/// Refuses groupings that the KPI does not have: the answer would not be what it says.
pub(super) fn check_dimensions(
    aggregate: &Aggregate,
    measure: &Measure,
    kpi_column: &Column,
) -> Result<()> {
    let mut found = Found::default();
    for expr in &aggregate.group_expr {
        trace_expr(&aggregate.input, kpi_column, expr, &mut found)?;
    }
    let plan = &measure.plan;
    let kpi = &plan.kpi;
    if let Some(grain) = found.grains.into_iter().find(|g| *g < kpi.buckets.min) {
        let reason = format!("{} has no value by {grain}", kpi.id);
        return Err(refuse(
            reason,
            format!("its smallest bucket is {}", kpi.buckets.min),
        ));
    }
    for column in found.columns {
        let own = kpi.dimensions.contains(&column) || column == plan.time;
        if own || column == PERIOD || column == "tenant_id" {
            continue;
        }
        let hint = match kpi.dimensions.as_slice() {
            [] => format!("{} can only be cut by its time {}", kpi.id, plan.time),
            some => format!(
                "dimensions of {}: {}; time: {}",
                kpi.id,
                some.join(", "),
                plan.time
            ),
        };
        let reason = if column.ends_with("_at") {
            format!("{} counts by {}, not by {column}", kpi.id, plan.time)
        } else {
            format!(
                "{} cannot be grouped by {column}: it is not one of its dimensions",
                kpi.id
            )
        };
        return Err(refuse(reason, hint));
    }
    Ok(())
}

/// What a query groups by.
#[derive(Default)]
struct Found {
    /// Columns of the view.
    columns: BTreeSet<String>,
    /// Lengths of time buckets.
    grains: Vec<Bucket>,
}

/// Adds the view columns and buckets that `expr` over `plan` is made from.
fn trace_expr(plan: &LogicalPlan, kpi: &Column, expr: &Expr, found: &mut Found) -> Result<()> {
    expr.apply(|e| {
        match e {
            Expr::Column(column) => trace(plan, kpi, column, found)?,
            Expr::ScalarFunction(function) => found.grains.extend(grain_of(function)),
            _ => {}
        }
        Ok(TreeNodeRecursion::Continue)
    })?;
    Ok(())
}

/// The bucket length of `kpi_bucket(t, grain)` or `date_trunc(grain, t)`.
fn grain_of(function: &ScalarFunction) -> Option<Bucket> {
    let place = match function.name() {
        "kpi_bucket" => 1,
        "date_trunc" => 0,
        _ => return None,
    };
    match function.args.get(place)? {
        Expr::Literal(ScalarValue::Utf8(Some(text)), _) => match text.as_str() {
            "second" | "minute" => Some(Bucket::M15),
            other => parse_grain(other)
                .or_else(|_| parse_grain(&format!("1 {other}")))
                .ok(),
        },
        _ => None,
    }
}

/// Follows `column` and the KPI's column down to the view they come from.
fn trace(plan: &LogicalPlan, kpi: &Column, column: &Column, found: &mut Found) -> Result<()> {
    let position = |c: &Column| plan.schema().maybe_index_of_column(c);
    let (Some(kpi_at), Some(at)) = (position(kpi), position(column)) else {
        return Ok(());
    };
    match plan {
        LogicalPlan::Projection(p) if defines(&p.expr[kpi_at]) => {
            found.columns.insert(p.schema.field(at).name().clone());
            Ok(())
        }
        LogicalPlan::Projection(p) => match bare_column(&p.expr[kpi_at]) {
            Some(kpi) => trace_expr(&p.input, kpi, &p.expr[at], found),
            None => Ok(()),
        },
        LogicalPlan::SubqueryAlias(a) => {
            let below = |i| Column::from(a.input.schema().qualified_field(i));
            trace(&a.input, &below(kpi_at), &below(at), found)
        }
        LogicalPlan::Window(w) => match at.checked_sub(w.input.schema().fields().len()) {
            Some(window) => trace_expr(&w.input, kpi, &w.window_expr[window], found),
            None => trace(&w.input, kpi, column, found),
        },
        LogicalPlan::Join(join) => {
            let in_left = join.left.schema().maybe_index_of_column(kpi).is_some();
            let side = if in_left { &join.left } else { &join.right };
            if side.schema().maybe_index_of_column(column).is_some() {
                return trace(side, kpi, column, found);
            }
            // A column of the other side is decided by the keys that it was joined on.
            for key in unique::keys_of(join, in_left) {
                trace_expr(side, kpi, key, found)?;
            }
            Ok(())
        }
        other => match other.inputs().as_slice() {
            [input] => trace(input, kpi, column, found),
            _ => Ok(()),
        },
    }
}

/// Is this the expression with which a view introduces a KPI column?
pub(super) fn defines(expr: &Expr) -> bool {
    let Expr::Alias(alias) = expr else {
        return false;
    };
    let mark = alias
        .metadata
        .as_ref()
        .and_then(|m| m.inner().get(MEASURE_KEY));
    mark.is_some_and(|mark| !mark.starts_with(COMPUTED))
}
