//! A join's condition that hears when its query is to end.
//!
//! A join that keeps none of the pairs it makes gives no batch away, so there is no moment in
//! which it would hear anything: one batch against many rows of the same key is thousands of
//! millions of pairs. But it asks its condition about every few thousand of them. So that is
//! where it is told to end, and where the other work of its thread gets to run meanwhile.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arrow::array::RecordBatch;
use arrow::datatypes::{FieldRef, Schema};
use datafusion::common::{DataFusionError, JoinType, Result};
use datafusion::logical_expr::ColumnarValue;
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::expressions::lit;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::joins::utils::JoinFilter;
use datafusion::physical_plan::joins::{
    HashJoinExec, NestedLoopJoinExec, NestedLoopJoinExecBuilder,
};

use super::limits::BATCHES_BETWEEN_TURNS;
use super::running::Entry;

/// The join with a condition that listens, where it may work long without giving a batch away;
/// `None` where it gives away whatever it makes, and for what is no join.
pub(super) fn listening_join(
    node: &Arc<dyn ExecutionPlan>,
    entry: &Arc<Entry>,
) -> Result<Option<Arc<dyn ExecutionPlan>>> {
    if let Some(join) = node.downcast_ref::<HashJoinExec>() {
        let filter = match join.filter() {
            Some(filter) => listening(filter, entry),
            None if gives_all_pairs(*join.join_type()) => return Ok(None),
            None => always(entry),
        };
        return Ok(Some(join.builder().with_filter(Some(filter)).build_exec()?));
    }
    if let Some(join) = node.downcast_ref::<NestedLoopJoinExec>()
        && let Some(filter) = join.filter()
    {
        let filter = listening(filter, entry);
        let join = NestedLoopJoinExecBuilder::from(join).with_filter(Some(filter));
        return Ok(Some(Arc::new(join.build()?)));
    }
    Ok(None)
}

/// The others look at all pairs to find out which rows have one.
fn gives_all_pairs(join: JoinType) -> bool {
    use JoinType::{Full, Inner, Left, Right};
    matches!(join, Inner | Left | Right | Full)
}

fn listening(filter: &JoinFilter, entry: &Arc<Entry>) -> JoinFilter {
    let condition = Listening::new(Arc::clone(filter.expression()), entry);
    let (columns, schema) = (filter.column_indices().to_vec(), filter.schema());
    JoinFilter::new(Arc::new(condition), columns, Arc::clone(schema))
}

/// A condition that needs no column and always holds.
fn always(entry: &Arc<Entry>) -> JoinFilter {
    let condition = Listening::new(lit(true), entry);
    JoinFilter::new(Arc::new(condition), Vec::new(), Arc::new(Schema::empty()))
}

/// See the module.
struct Listening {
    condition: Arc<dyn PhysicalExpr>,
    entry: Arc<Entry>,
    /// Batches of pairs that it was asked about.
    asked: AtomicU64,
}

impl Listening {
    fn new(condition: Arc<dyn PhysicalExpr>, entry: &Arc<Entry>) -> Listening {
        Listening {
            condition,
            entry: Arc::clone(entry),
            asked: AtomicU64::new(0),
        }
    }
}

impl PhysicalExpr for Listening {
    fn evaluate(&self, batch: &RecordBatch) -> Result<ColumnarValue> {
        if let Some(why) = self.entry.stop_reason() {
            return Err(DataFusionError::External(Box::new(why.error())));
        }
        let asked = self.asked.fetch_add(1, Ordering::Relaxed) + 1;
        match asked.is_multiple_of(BATCHES_BETWEEN_TURNS) {
            // Meanwhile another thread goes on with what waits for this one.
            true => tokio::task::block_in_place(|| self.condition.evaluate(batch)),
            false => self.condition.evaluate(batch),
        }
    }

    fn return_field(&self, schema: &Schema) -> Result<FieldRef> {
        self.condition.return_field(schema)
    }

    fn children(&self) -> Vec<&Arc<dyn PhysicalExpr>> {
        vec![&self.condition]
    }

    fn with_new_children(
        self: Arc<Self>,
        mut children: Vec<Arc<dyn PhysicalExpr>>,
    ) -> Result<Arc<dyn PhysicalExpr>> {
        let condition = children.pop();
        let condition = condition.unwrap_or_else(|| Arc::clone(&self.condition));
        Ok(Arc::new(Listening::new(condition, &self.entry)))
    }

    fn fmt_sql(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.condition.fmt_sql(f)
    }
}

impl fmt::Display for Listening {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.condition.fmt(f)
    }
}

impl fmt::Debug for Listening {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Listening").field(&self.condition).finish()
    }
}

impl PartialEq for Listening {
    fn eq(&self, other: &Self) -> bool {
        self.condition.eq(&other.condition) && self.entry.id == other.entry.id
    }
}

impl Eq for Listening {}

impl Hash for Listening {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.condition.hash(state);
        self.entry.id.hash(state);
    }
}
