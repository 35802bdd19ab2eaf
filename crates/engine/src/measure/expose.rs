//! Brings the hidden columns of a KPI from its view up to an aggregate.

use std::collections::BTreeMap;
use std::sync::Arc;

use datafusion::common::Column;
use datafusion::error::{DataFusionError, Result};
use datafusion::logical_expr::utils::split_conjunction;
use datafusion::logical_expr::{
    Expr, Filter, Join, LogicalPlan, Projection, Sort, SubqueryAlias, Window,
};

use super::argument::bare_column;
use super::trace::defines;
use super::unique;
use crate::error::refuse;
use crate::views::{MEASURE_KEY, Measure, Views};

/// What the hidden columns of a view that a KPI needs are called, by their position.
pub(super) type Hidden = BTreeMap<usize, Column>;

/// A plan with hidden columns.
type Exposed = (LogicalPlan, Hidden);

/// The plan with the hidden columns of `kpi`.
pub(super) fn expose(views: &Views, plan: &LogicalPlan, kpi: &Column) -> Result<Exposed> {
    Expose {
        views,
        conditions: Vec::new(),
    }
    .plan(plan, kpi)
}

struct Expose<'a> {
    views: &'a Views,
    /// Conditions of the filters directly above, which may be those of a comma join.
    conditions: Vec<Expr>,
}

impl Expose<'_> {
    fn plan(&mut self, plan: &LogicalPlan, kpi: &Column) -> Result<Exposed> {
        match plan {
            LogicalPlan::Projection(p) => self.projection(p, kpi),
            LogicalPlan::SubqueryAlias(a) => self.alias(a, kpi),
            LogicalPlan::Join(join) => self.join(join, kpi),
            LogicalPlan::Filter(filter) => {
                self.conditions
                    .extend(split_conjunction(&filter.predicate).into_iter().cloned());
                let (input, columns) = self.plan(&filter.input, kpi)?;
                let filter = Filter::try_new(filter.predicate.clone(), Arc::new(input))?;
                Ok((LogicalPlan::Filter(filter), columns))
            }
            LogicalPlan::Sort(sort) if sort.fetch.is_none() => {
                let (input, columns) = self.plan(&sort.input, kpi)?;
                let (expr, input) = (sort.expr.clone(), Arc::new(input));
                Ok((
                    LogicalPlan::Sort(Sort {
                        expr,
                        input,
                        fetch: None,
                    }),
                    columns,
                ))
            }
            LogicalPlan::Window(window) => {
                self.conditions.clear();
                let (input, columns) = self.plan(&window.input, kpi)?;
                let window = Window::try_new(window.window_expr.clone(), Arc::new(input))?;
                Ok((LogicalPlan::Window(window), columns))
            }
            other => Err(through(other, kpi)),
        }
    }

    fn projection(&mut self, projection: &Projection, kpi: &Column) -> Result<Exposed> {
        self.conditions.clear();
        let index = projection.schema.index_of_column(kpi)?;
        let definition = &projection.expr[index];
        if defines(definition) {
            return self.define(projection, definition);
        }
        let Some(below) = bare_column(definition) else {
            return Err(lost(kpi));
        };
        let (input, hidden) = self.plan(&projection.input, below)?;
        let mut exprs = projection.expr.clone();
        let columns = hidden
            .into_iter()
            .map(|(i, c)| (i, hand_up(&mut exprs, c)))
            .collect();
        let projection = Projection::try_new(exprs, Arc::new(input))?;
        Ok((LogicalPlan::Projection(projection), columns))
    }

    /// The view itself: its hidden expressions become columns, once.
    fn define(&self, projection: &Projection, definition: &Expr) -> Result<Exposed> {
        let measure = measure_of(self.views, definition)?;
        let mut exprs = projection.expr.clone();
        let mut columns = Hidden::new();
        for i in measure.parts.iter().map(|p| p.column) {
            let (name, expr) = &measure.hidden[i];
            let there = |e: &Expr| matches!(e, Expr::Alias(a) if a.name == *name);
            if columns.insert(i, Column::new_unqualified(name)).is_none()
                && !exprs.iter().any(there)
            {
                exprs.push(expr.clone().alias(name));
            }
        }
        let projection = Projection::try_new(exprs, Arc::clone(&projection.input))?;
        Ok((LogicalPlan::Projection(projection), columns))
    }

    fn alias(&mut self, alias: &SubqueryAlias, kpi: &Column) -> Result<Exposed> {
        self.conditions.clear();
        let index = alias.schema.index_of_column(kpi)?;
        let below = Column::from(alias.input.schema().qualified_field(index));
        let (input, hidden) = self.plan(&alias.input, &below)?;
        let name = alias.alias.clone();
        let columns = hidden
            .into_iter()
            .map(|(i, c)| (i, Column::new(Some(name.clone()), c.name)))
            .collect();
        let alias = SubqueryAlias::try_new(Arc::new(input), name)?;
        Ok((LogicalPlan::SubqueryAlias(alias), columns))
    }

    fn join(&mut self, join: &Join, kpi: &Column) -> Result<Exposed> {
        let in_left = join.left.schema().maybe_index_of_column(kpi).is_some();
        if !unique::keeps_rows(join, in_left, &self.conditions) {
            return Err(repeats_rows(kpi));
        }
        let side = if in_left { &join.left } else { &join.right };
        let (exposed, columns) = self.plan(side, kpi)?;
        let exposed = Arc::new(exposed);
        let (left, right) = match in_left {
            true => (exposed, Arc::clone(&join.right)),
            false => (Arc::clone(&join.left), exposed),
        };
        let join = Join::try_new(
            left,
            right,
            join.on.clone(),
            join.filter.clone(),
            join.join_type,
            join.join_constraint,
            join.null_equality,
            join.null_aware,
        )?;
        Ok((LogicalPlan::Join(join), columns))
    }
}

fn measure_of(views: &Views, definition: &Expr) -> Result<Arc<Measure>> {
    let mark = match definition {
        Expr::Alias(alias) => alias
            .metadata
            .as_ref()
            .and_then(|m| m.inner().get(MEASURE_KEY)),
        _ => None,
    };
    mark.and_then(|mark| views.measure(mark))
        .ok_or_else(|| DataFusionError::Internal("a KPI column that belongs to no view".to_owned()))
}

/// Adds a column of the input to a projection, under a name that is free there.
fn hand_up(exprs: &mut Vec<Expr>, column: Column) -> Column {
    let same = |e: &Expr| bare_column(e) == Some(&column);
    if let Some(there) = exprs.iter().find(|e| same(e)) {
        return match there {
            Expr::Alias(a) => Column::new(a.relation.clone(), a.name.clone()),
            _ => column,
        };
    }
    let taken = |name: &str| {
        exprs.iter().any(|e| match e {
            Expr::Column(c) => c.name == name,
            Expr::Alias(a) => a.name == name,
            _ => false,
        })
    };
    if !taken(&column.name) {
        exprs.push(Expr::Column(column.clone()));
        return column;
    }
    let mut number = 2;
    while taken(&format!("{}_{number}", column.name)) {
        number += 1;
    }
    let name = format!("{}_{number}", column.name);
    exprs.push(Expr::Column(column).alias(&name));
    Column::new_unqualified(name)
}

fn through(node: &LogicalPlan, kpi: &Column) -> DataFusionError {
    let kpi = &kpi.name;
    let (what, hint) = match node {
        LogicalPlan::Limit(_) | LogicalPlan::Sort(_) => {
            ("LIMIT", "limit the groups instead, after the aggregate")
        }
        LogicalPlan::Distinct(_) => (
            "DISTINCT",
            "leave DISTINCT out, or group by the columns you want",
        ),
        LogicalPlan::Union(_) => (
            "UNION",
            "evaluate each side by itself, or use one view with WHERE ... IN (...)",
        ),
        LogicalPlan::Aggregate(_) => ("another aggregate", "evaluate the KPI in that aggregate"),
        LogicalPlan::Unnest(_) => ("UNNEST", "unnesting repeats rows: filter instead"),
        _ => return lost(&Column::new_unqualified(kpi)),
    };
    refuse(
        format!("{kpi} cannot be evaluated through {what} below the aggregate"),
        hint,
    )
}

fn lost(kpi: &Column) -> DataFusionError {
    refuse(
        format!(
            "{} is no KPI column of a kpi view any more at this aggregate",
            kpi.name
        ),
        "call MEASURE() where the view is read",
    )
}

fn repeats_rows(kpi: &Column) -> DataFusionError {
    let kpi = &kpi.name;
    refuse(
        format!("the join below the aggregate may repeat rows, which would inflate {kpi}"),
        "join a side that has one row a key (GROUP BY the key first), or use WHERE ... IN (...)",
    )
}
