//! Leaves out of projections what the query does not name.
//!
//! A view has some hundred columns and its model as many below, and every pass of the planner walks
//! over all that are there. What can be left out is found by name alone, which is cheap: a column
//! that nobody between a projection and the next node above that says itself what comes out names,
//! is read by nobody.

use std::collections::HashSet;
use std::sync::Arc;

use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::error::Result;
use datafusion::logical_expr::{Expr, LogicalPlan, Projection};

use super::trace::defines;

/// Names of columns that are read of a node; all of them if there are none.
type Read = Option<HashSet<String>>;

/// Which projections may lose columns; the plan's own stay as they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Depth {
    /// Those down to the views. The columns below, of their models, are needed to evaluate KPIs.
    ToViews,
    /// All of them.
    All,
}

/// The plan with narrower projections.
pub(super) fn narrow(plan: LogicalPlan, depth: Depth) -> Result<LogicalPlan> {
    let mut outer = HashSet::new();
    plan.apply_with_subqueries(|node| {
        if depth == Depth::ToViews && is_view(node) {
            return Ok(TreeNodeRecursion::Jump);
        }
        node.apply_expressions(|expr| {
            expr.apply(|e| {
                if let Expr::OuterReferenceColumn(_, column) = e {
                    outer.insert(column.name.clone());
                }
                Ok(TreeNodeRecursion::Continue)
            })
        })
    })?;
    Ok(Narrow { outer, depth }.below(plan, None)?.data)
}

/// Is this the projection with which a view introduces its KPI columns?
fn is_view(node: &LogicalPlan) -> bool {
    matches!(node, LogicalPlan::Projection(p) if p.expr.iter().any(defines))
}

struct Narrow {
    /// What subqueries read of the queries around them, wherever those are.
    outer: HashSet<String>,
    depth: Depth,
}

impl Narrow {
    fn below(&self, node: LogicalPlan, read: Read) -> Result<Transformed<LogicalPlan>> {
        let is_view = is_view(&node);
        let node = match (node, &read) {
            (LogicalPlan::Projection(wide), Some(read)) => trimmed(wide, read)?,
            (other, _) => Transformed::no(other),
        };
        if is_view && self.depth == Depth::ToViews {
            return Ok(node);
        }
        let read = self.read_below(&node.data, read)?;
        let node =
            node.transform_data(|node| node.map_subqueries(|subquery| self.below(subquery, None)))?;
        let children = node
            .data
            .map_children(|child| self.below(child, read.clone()))?;
        let changed = children.transformed || node.transformed;
        let data = match children.transformed {
            true => children.data.recompute_schema()?,
            false => children.data,
        };
        Ok(Transformed::new_transformed(data, changed))
    }

    /// What a node reads of its inputs, when `read` is read of it.
    fn read_below(&self, node: &LogicalPlan, read: Read) -> Result<Read> {
        use LogicalPlan as P;
        let passed_on = match node {
            P::Projection(_) | P::Aggregate(_) => Some(self.outer.clone()),
            P::Filter(_) | P::Sort(_) | P::Limit(_) | P::SubqueryAlias(_) => read,
            P::Join(_) | P::Window(_) => read,
            // The columns of a union, for one, belong together by their places.
            _ => None,
        };
        let Some(mut names) = passed_on else {
            return Ok(None);
        };
        node.apply_expressions(|expr| {
            expr.apply(|e| {
                if let Expr::Column(column) = e {
                    names.insert(column.name.clone());
                }
                Ok(TreeNodeRecursion::Continue)
            })
        })?;
        Ok(Some(names))
    }
}

/// The projection with the columns of those names; with one at least, for those who count rows.
fn trimmed(wide: Projection, read: &HashSet<String>) -> Result<Transformed<LogicalPlan>> {
    let columns = wide.expr.iter().zip(wide.schema.fields());
    let mut kept: Vec<Expr> = columns
        .filter(|(_, field)| read.contains(field.name()))
        .map(|(expr, _)| expr.clone())
        .collect();
    if kept.len() == wide.expr.len() {
        return Ok(Transformed::no(LogicalPlan::Projection(wide)));
    }
    if kept.is_empty() {
        kept.extend(wide.expr.first().cloned());
    }
    let narrower = Projection::try_new(kept, Arc::clone(&wide.input))?;
    Ok(Transformed::yes(LogicalPlan::Projection(narrower)))
}
