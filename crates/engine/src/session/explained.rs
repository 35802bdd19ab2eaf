//! What EXPLAIN shows: everything but the names of files, which are nobody's business.

use std::sync::Arc;

use datafusion::common::DFSchema;
use datafusion::error::Result;
use datafusion::execution::SessionState;
use datafusion::functions::regex::expr_fn::regexp_replace;
use datafusion::logical_expr::{col, lit};
use datafusion::physical_expr::expressions::Column;
use datafusion::physical_plan::projection::ProjectionExec;
use datafusion::physical_plan::{ExecutionPlan, PhysicalExpr};

/// The column of an explanation that plans stand in.
const PLAN: &str = "plan";
/// How an operator that reads files tells which, and how its metrics do. Names hold no brackets:
/// the object store writes them otherwise.
const FILES: &str = r"(\[|, |filename=)[^\[\]{}]*?\.parquet(:\d+\.\.\d+)?";
/// What it tells instead: how many they are is of use.
const NO_FILES: &str = r"\1<file>";

/// An explanation in which plans name no files.
pub(super) fn without_files(
    explanation: Arc<dyn ExecutionPlan>,
    state: &SessionState,
) -> Result<Arc<dyn ExecutionPlan>> {
    let schema = explanation.schema();
    let named = DFSchema::try_from(Arc::clone(&schema))?;
    let hidden = regexp_replace(col(PLAN), lit(FILES), lit(NO_FILES), Some(lit("g")));
    let columns = schema.fields().iter().enumerate().map(|(place, field)| {
        let expr: Arc<dyn PhysicalExpr> = match field.name().as_str() {
            PLAN => state.create_physical_expr(hidden.clone(), &named)?,
            name => Arc::new(Column::new(name, place)),
        };
        Ok((expr, field.name().clone()))
    });
    let columns = columns.collect::<Result<Vec<_>>>()?;
    Ok(Arc::new(ProjectionExec::try_new(columns, explanation)?))
}
