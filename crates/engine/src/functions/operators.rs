//! Operators that are read in another way than DataFusion's own: products and quotients of
//! intervals, and `||` of texts, which comes with a limit.
//!
//! A WITH that doubles a text by `x || x` reaches gigabytes in a few hundred characters of SQL.

use std::sync::{Arc, LazyLock};

use arrow::array::AsArray;
use arrow::compute::kernels::concat_elements::concat_elements_utf8;
use arrow::datatypes::DataType;
use datafusion::common::{DFSchema, Result, plan_err};
use datafusion::logical_expr::planner::{ExprPlanner, PlannerResult, RawBinaryExpr};
use datafusion::logical_expr::{
    ColumnarValue, Expr, ExprSchemable, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature,
    Volatility,
};
use datafusion::sql::sqlparser::ast::BinaryOperator;

use super::capped;
use super::interval::{INTERVAL_OVER, INTERVAL_TIMES};

/// Plans the operators of this module.
#[derive(Debug)]
pub(crate) struct OperatorPlanner;

impl ExprPlanner for OperatorPlanner {
    fn plan_binary_op(
        &self,
        expr: RawBinaryExpr,
        schema: &DFSchema,
    ) -> Result<PlannerResult<RawBinaryExpr>> {
        let of = |side: &Expr| side.get_type(schema).unwrap_or(DataType::Null);
        let planned = match expr.op {
            BinaryOperator::Multiply => match (of(&expr.left), of(&expr.right)) {
                (DataType::Interval(_), n) if n.is_numeric() => {
                    INTERVAL_TIMES.call(vec![expr.left, expr.right])
                }
                (n, DataType::Interval(_)) if n.is_numeric() => {
                    INTERVAL_TIMES.call(vec![expr.right, expr.left])
                }
                _ => return Ok(PlannerResult::Original(expr)),
            },
            BinaryOperator::Divide => match (of(&expr.left), of(&expr.right)) {
                (DataType::Interval(_), n) if n.is_numeric() => {
                    INTERVAL_OVER.call(vec![expr.left, expr.right])
                }
                _ => return Ok(PlannerResult::Original(expr)),
            },
            BinaryOperator::StringConcat if are_texts(&of(&expr.left), &of(&expr.right)) => {
                TEXT_CONCAT.call(vec![expr.left, expr.right])
            }
            _ => return Ok(PlannerResult::Original(expr)),
        };
        Ok(PlannerResult::Planned(planned))
    }
}

/// A parameter, whose type is not known yet, is a text beside another one.
fn are_texts(left: &DataType, right: &DataType) -> bool {
    let written = |t: &DataType| t.is_string() || t.is_null() || t.is_numeric() || t.is_temporal();
    let text = left.is_string() || right.is_string() || left.is_null() && right.is_null();
    text && written(left) && written(right)
}

/// What `a || b` becomes; NULL with NULL.
static TEXT_CONCAT: LazyLock<Arc<ScalarUDF>> = LazyLock::new(|| {
    let signature = Signature::user_defined(Volatility::Immutable);
    capped::scalar(Arc::new(ScalarUDF::from(TextConcat { signature })))
});

#[derive(Debug, PartialEq, Eq, Hash)]
struct TextConcat {
    signature: Signature,
}

impl ScalarUDFImpl for TextConcat {
    fn name(&self) -> &str {
        capped::TEXT_CONCAT
    }

    /// The column is named as it was written.
    fn schema_name(&self, args: &[Expr]) -> Result<String> {
        let names: Vec<String> = args.iter().map(|a| a.schema_name().to_string()).collect();
        Ok(names.join(" || "))
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, given: &[DataType]) -> Result<Vec<DataType>> {
        match given {
            [_, _] => Ok(vec![DataType::Utf8; 2]),
            _ => plan_err!("{} takes two texts", self.name()),
        }
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Utf8)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let texts = ColumnarValue::values_to_arrays(&args.args)?;
        let both = concat_elements_utf8(texts[0].as_string::<i32>(), texts[1].as_string())?;
        Ok(ColumnarValue::Array(Arc::new(both)))
    }
}
