//! Work that does not listen: what is refused before it runs, and what is made to listen.

use std::sync::Arc;

use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::error::Result;
use datafusion::physical_plan::coop::CooperativeExec;
use datafusion::physical_plan::joins::{
    CrossJoinExec, HashJoinExec, NestedLoopJoinExec, SortMergeJoinExec,
};
use datafusion::physical_plan::unnest::UnnestExec;
use datafusion::physical_plan::{ExecutionPlan, StatisticsArgs, StatisticsContext};

use super::limits::{COMPARED_PAIRS_MAX, ROWS_UNKNOWN};
use super::listening::listening_join;
use super::running::Entry;
use super::{ErrorKind, QueryError};

/// The plan with its many-row operators listening.
///
/// An operator hears that it is to end when it gives a batch away or asks a table for one. A
/// join makes many rows of few: above it others would work on without asking any table, so each
/// of its batches counts, and so does each time that it asks its condition: it may keep none of
/// what it makes. Below a join without an equality there is no such moment, so the work between
/// two is bounded. `entry` is the query that the plan runs for.
///
/// # Errors
/// A join that would compare too many pairs of rows.
pub(super) fn tamed(
    plan: Arc<dyn ExecutionPlan>,
    entry: &Arc<Entry>,
) -> Result<Arc<dyn ExecutionPlan>> {
    let tamed = plan.transform_up(|node| {
        if is_pairwise(&node) {
            check_pairs(&node)?;
        }
        if !makes_rows(&node) {
            return Ok(Transformed::no(node));
        }
        let node = listening_join(&node, entry)?.unwrap_or(node);
        let listening: Arc<dyn ExecutionPlan> = Arc::new(CooperativeExec::new(node));
        Ok(Transformed::yes(listening))
    })?;
    Ok(tamed.data)
}

fn is_pairwise(node: &Arc<dyn ExecutionPlan>) -> bool {
    node.is::<NestedLoopJoinExec>() || node.is::<CrossJoinExec>()
}

fn makes_rows(node: &Arc<dyn ExecutionPlan>) -> bool {
    is_pairwise(node)
        || node.is::<HashJoinExec>()
        || node.is::<SortMergeJoinExec>()
        || node.is::<UnnestExec>()
}

fn check_pairs(join: &Arc<dyn ExecutionPlan>) -> Result<()> {
    let inputs = join.children();
    let pairs = inputs
        .iter()
        .map(|input| rows(input) as u128)
        .fold(1, u128::saturating_mul);
    if pairs <= COMPARED_PAIRS_MAX {
        return Ok(());
    }
    let message = "a join without an equality would compare too many pairs of rows";
    let error = QueryError::new(ErrorKind::TooComplex, message)
        .with_hint("join on a column of both sides, or filter each side first");
    Err(datafusion::error::DataFusionError::External(Box::new(
        error,
    )))
}

/// About how many rows an operator gives.
fn rows(plan: &Arc<dyn ExecutionPlan>) -> usize {
    let statistics = StatisticsContext::new().compute(plan.as_ref(), &StatisticsArgs::new());
    let known = statistics
        .ok()
        .and_then(|s| s.num_rows.get_value().copied());
    let inputs = || plan.children().into_iter().map(rows);
    known.unwrap_or_else(|| match is_pairwise(plan) {
        true => inputs().fold(1, usize::saturating_mul),
        false => inputs().max().unwrap_or(ROWS_UNKNOWN),
    })
}
