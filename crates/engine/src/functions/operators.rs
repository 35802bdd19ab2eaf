//! Operators that are read in another way than DataFusion's own: products and quotients of
//! intervals, dates with intervals, and `||` of texts, which comes with a limit.
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
    Volatility, cast,
};
use datafusion::sql::sqlparser::ast::BinaryOperator;

use super::interval::{INTERVAL_OVER, INTERVAL_TIMES};
use super::{capped, instant_type};

/// Plans the operators of this module.
#[derive(Debug)]
pub(crate) struct OperatorPlanner;

impl ExprPlanner for OperatorPlanner {
    fn plan_binary_op(
        &self,
        mut expr: RawBinaryExpr,
        schema: &DFSchema,
    ) -> Result<PlannerResult<RawBinaryExpr>> {
        use BinaryOperator as B;
        let of = |side: &Expr| side.get_type(schema).unwrap_or(DataType::Null);
        let right = match expr.op {
            B::Multiply | B::Divide | B::Plus | B::Minus | B::StringConcat => of(&expr.right),
            _ => return Ok(PlannerResult::Original(expr)),
        };
        // Asking for the type of all that is left of each sign makes a long sum slow.
        let sum = matches!(expr.op, B::Plus | B::Minus);
        if sum && !is_span(&right) && !is_day(&right) {
            return Ok(PlannerResult::Original(expr));
        }
        let left = of(&expr.left);
        let planned = match expr.op {
            B::Multiply if is_span(&left) && is_number(&right) => {
                INTERVAL_TIMES.call(vec![expr.left, expr.right])
            }
            B::Multiply if is_number(&left) && is_span(&right) => {
                INTERVAL_TIMES.call(vec![expr.right, expr.left])
            }
            B::Divide if is_span(&left) && is_number(&right) => {
                INTERVAL_OVER.call(vec![expr.left, expr.right])
            }
            // A date and half an hour are a time, as in PostgreSQL: a date would lose the half hour.
            B::Plus | B::Minus if is_day(&left) && is_span(&right) => {
                expr.left = cast(expr.left, instant_type());
                return Ok(PlannerResult::Original(expr));
            }
            B::Plus if is_span(&left) && is_day(&right) => {
                expr.right = cast(expr.right, instant_type());
                return Ok(PlannerResult::Original(expr));
            }
            B::StringConcat if are_texts(&left, &right) => {
                TEXT_CONCAT.call(vec![expr.left, expr.right])
            }
            _ => return Ok(PlannerResult::Original(expr)),
        };
        Ok(PlannerResult::Planned(planned))
    }
}

fn is_day(of: &DataType) -> bool {
    matches!(of, DataType::Date32 | DataType::Date64)
}

/// An interval, or the difference of two instants.
fn is_span(of: &DataType) -> bool {
    matches!(of, DataType::Interval(_) | DataType::Duration(_))
}

/// A parameter, whose type is not known yet, is a number beside an interval.
fn is_number(of: &DataType) -> bool {
    of.is_numeric() || of.is_null()
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
