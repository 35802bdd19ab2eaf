//! AND and OR over whole batches, for the conditions of KPIs' parts.
//!
//! DataFusion's AND looks at its left side first: where few rows are left it copies those rows of every
//! column, evaluates the right side on the copy and spreads the result out again. That pays for an
//! expensive right side. Of KPIs it is a comparison or a flag, which costs a few instructions for 64
//! rows, so the copy was nearly half of the time of a query with many conditions. A call evaluates
//! both sides of all rows; and what several conditions have in common is evaluated once, since the
//! optimiser shares only what is certainly needed.
//!
//! Only compiled KPIs contain these calls: they are not registered where queries are planned.

use std::ops::{BitAnd, BitOr};
use std::sync::{Arc, LazyLock};

use arrow::array::{Array, AsArray, BooleanArray};
use arrow::compute::{and_kleene, or_kleene};
use arrow::datatypes::{DataType, Field, FieldRef};
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{Result, ScalarValue, internal_err};
use datafusion::logical_expr::simplify::{ExprSimplifyResult, SimplifyContext};
use datafusion::logical_expr::{
    BinaryExpr, ColumnarValue, Expr, Operator, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF,
    ScalarUDFImpl, Signature, Volatility,
};

static BOTH: LazyLock<Arc<ScalarUDF>> = LazyLock::new(|| udf(Operator::And));
static EITHER: LazyLock<Arc<ScalarUDF>> = LazyLock::new(|| udf(Operator::Or));

fn udf(operator: Operator) -> Arc<ScalarUDF> {
    Arc::new(ScalarUDF::new_from_impl(Whole {
        operator,
        signature: Signature::exact(vec![DataType::Boolean; 2], Volatility::Immutable),
    }))
}

/// The condition with AND and OR over whole batches, wherever the right side can be evaluated for
/// every row without an error.
pub(crate) fn over_whole_batches(condition: Expr) -> Result<Expr> {
    let rewritten = condition.transform_up(|expr| {
        let Expr::BinaryExpr(BinaryExpr { left, op, right }) = expr else {
            return Ok(Transformed::no(expr));
        };
        let function = match op {
            Operator::And => &BOTH,
            Operator::Or => &EITHER,
            _ => {
                return Ok(Transformed::no(Expr::BinaryExpr(BinaryExpr {
                    left,
                    op,
                    right,
                })));
            }
        };
        if !never_fails(&right) {
            return Ok(Transformed::no(Expr::BinaryExpr(BinaryExpr {
                left,
                op,
                right,
            })));
        }
        Ok(Transformed::yes(function.call(vec![*left, *right])))
    })?;
    Ok(rewritten.data)
}

/// Can it be evaluated for any row, also one that the left side of an AND turns away? What computes
/// cannot: a sum may be too large, a division be by zero.
fn never_fails(expr: &Expr) -> bool {
    match expr {
        Expr::Column(_) | Expr::Literal(..) => true,
        Expr::Not(e)
        | Expr::IsNull(e)
        | Expr::IsNotNull(e)
        | Expr::IsTrue(e)
        | Expr::IsFalse(e)
        | Expr::IsUnknown(e)
        | Expr::IsNotTrue(e)
        | Expr::IsNotFalse(e)
        | Expr::IsNotUnknown(e) => never_fails(e),
        Expr::BinaryExpr(b) => {
            (is_comparison(b.op) || b.op.is_logic_operator())
                && never_fails(&b.left)
                && never_fails(&b.right)
        }
        Expr::InList(list) => never_fails(&list.expr) && list.list.iter().all(never_fails),
        Expr::Between(b) => never_fails(&b.expr) && never_fails(&b.low) && never_fails(&b.high),
        Expr::ScalarFunction(call) => {
            let ours = call.func.inner().is::<Whole>() || super::bound::is_bound(&call.func);
            ours && call.args.iter().all(never_fails)
        }
        _ => false,
    }
}

fn is_comparison(operator: Operator) -> bool {
    use Operator::{Eq, Gt, GtEq, IsDistinctFrom, IsNotDistinctFrom, Lt, LtEq, NotEq};
    matches!(
        operator,
        Eq | NotEq | Lt | LtEq | Gt | GtEq | IsDistinctFrom | IsNotDistinctFrom
    )
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Whole {
    operator: Operator,
    signature: Signature,
}

impl Whole {
    /// The side that decides alone: false of AND, true of OR.
    fn decides(&self) -> bool {
        self.operator == Operator::Or
    }

    fn of(&self, left: &BooleanArray, right: &BooleanArray) -> Result<BooleanArray> {
        let known = left.null_count() == 0 && right.null_count() == 0;
        Ok(match (self.operator, known) {
            (Operator::And, true) => BooleanArray::new(left.values().bitand(right.values()), None),
            (Operator::And, false) => and_kleene(left, right)?,
            (_, true) => BooleanArray::new(left.values().bitor(right.values()), None),
            (_, false) => or_kleene(left, right)?,
        })
    }
}

impl ScalarUDFImpl for Whole {
    fn name(&self) -> &str {
        match self.operator {
            Operator::And => "both",
            _ => "either",
        }
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        internal_err!("the field says more")
    }

    /// NULL only where a side may be.
    fn return_field_from_args(&self, args: ReturnFieldArgs<'_>) -> Result<FieldRef> {
        let nullable = args.arg_fields.iter().any(|field| field.is_nullable());
        Ok(Arc::new(Field::new(
            self.name(),
            DataType::Boolean,
            nullable,
        )))
    }

    /// A side that is known decides, or leaves the other one.
    fn simplify(&self, args: Vec<Expr>, _: &SimplifyContext) -> Result<ExprSimplifyResult> {
        let known = args.iter().enumerate().find_map(|(at, arg)| match arg {
            Expr::Literal(ScalarValue::Boolean(Some(value)), _) => Some((at, *value)),
            _ => None,
        });
        let Some((at, value)) = known else {
            return Ok(ExprSimplifyResult::Original(args));
        };
        let wanted = if value == self.decides() { at } else { 1 - at };
        let side = args.into_iter().nth(wanted);
        match side {
            Some(side) => Ok(ExprSimplifyResult::Simplified(side)),
            None => internal_err!("{} has two sides", self.name()),
        }
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let [left, right] = args.args.as_slice() else {
            return internal_err!("{} has two sides", self.name());
        };
        let rows = args.number_rows;
        let (left, right) = (left.to_array(rows)?, right.to_array(rows)?);
        let both = self.of(left.as_boolean(), right.as_boolean())?;
        Ok(ColumnarValue::Array(Arc::new(both)))
    }
}

#[cfg(test)]
mod tests {
    use arrow::array::{Int64Array, RecordBatch};
    use datafusion::common::DFSchema;
    use datafusion::logical_expr::{col, lit};
    use datafusion::prelude::SessionContext;

    use super::*;

    const VALUES: [Option<bool>; 3] = [Some(true), Some(false), None];

    /// Every pair of true, false and NULL in `a` and `b`, and a number in `n`.
    fn pairs() -> RecordBatch {
        let a = VALUES
            .iter()
            .flat_map(|&v| [v; 3])
            .collect::<BooleanArray>();
        let b = VALUES
            .iter()
            .cycle()
            .take(9)
            .copied()
            .collect::<BooleanArray>();
        let n = (0..9).collect::<Int64Array>();
        RecordBatch::try_from_iter([
            ("a", Arc::new(a) as _),
            ("b", Arc::new(b) as _),
            ("n", Arc::new(n) as _),
        ])
        .expect("three columns")
    }

    fn values(expr: Expr, batch: &RecordBatch) -> Result<Vec<Option<bool>>> {
        let schema = DFSchema::try_from(batch.schema())?;
        let physical = SessionContext::new().create_physical_expr(expr, &schema)?;
        let array = physical.evaluate(batch)?.into_array(batch.num_rows())?;
        Ok(array.as_boolean().iter().collect())
    }

    #[test]
    fn both_and_either_are_and_and_or_for_true_false_and_unknown() {
        let batch = pairs();
        let sides = [
            col("a"),
            col("b"),
            col("n").gt(lit(4_i64)),
            lit(true),
            lit(false),
        ];
        let nothing = lit(ScalarValue::Boolean(None));
        for left in sides.iter().chain([&nothing]) {
            for right in sides.iter().chain([&nothing]) {
                for plain in [
                    left.clone().and(right.clone()),
                    left.clone().or(right.clone()),
                ] {
                    let whole = over_whole_batches(plain.clone()).expect("rewritten");
                    assert!(matches!(whole, Expr::ScalarFunction(_)), "{plain}");
                    let (ours, theirs) = (values(whole, &batch), values(plain.clone(), &batch));
                    assert_eq!(ours.expect("ours"), theirs.expect("theirs"), "{plain}");
                }
            }
        }
    }

    #[test]
    fn what_may_fail_stays_behind_what_protects_it() {
        let batch = pairs();
        let quotient = (lit(8_i64) / col("n")).gt(lit(2_i64));
        let guarded = col("n").eq(lit(3_i64)).and(quotient);
        let whole = over_whole_batches(guarded.clone()).expect("rewritten");
        assert_eq!(whole, guarded);
        let last = values(whole, &batch).expect("no division by zero");
        assert_eq!(last.iter().filter(|v| **v == Some(true)).count(), 0);
        // Below and beside it all the same.
        let more = col("a").and(col("b")).or(guarded);
        let whole = over_whole_batches(more.clone()).expect("rewritten");
        assert!(whole.to_string().contains("both("), "{whole}");
        assert_eq!(
            values(whole, &batch).expect("ours"),
            values(more, &batch).expect("theirs")
        );
    }

    #[test]
    fn a_known_side_decides_or_goes() {
        let context = SimplifyContext::builder().build();
        let (and, or) = (BOTH.inner(), EITHER.inner());
        let simple = |function: &Arc<dyn ScalarUDFImpl>, args: [Expr; 2]| match function
            .simplify(args.to_vec(), &context)
            .expect("simplified")
        {
            ExprSimplifyResult::Simplified(expr) => Some(expr),
            ExprSimplifyResult::Original(_) => None,
        };
        assert_eq!(simple(and, [col("a"), lit(true)]), Some(col("a")));
        assert_eq!(simple(and, [lit(false), col("a")]), Some(lit(false)));
        assert_eq!(simple(or, [col("a"), lit(true)]), Some(lit(true)));
        assert_eq!(simple(or, [lit(false), col("a")]), Some(col("a")));
        assert_eq!(simple(or, [col("b"), col("a")]), None);
    }
}
