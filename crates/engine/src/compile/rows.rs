//! Row expressions: SQL text of a definition to a typed expression over the model's columns.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::datatypes::DataType;
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::common::{DFSchema, ScalarValue, not_impl_err, plan_err};
use datafusion::error::Result;
use datafusion::logical_expr::expr::ScalarFunction;
use datafusion::logical_expr::simplify::SimplifyContext;
use datafusion::logical_expr::{
    ColumnarValue, Expr, ExprSchemable, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature,
    Volatility,
};
use datafusion::optimizer::simplify_expressions::ExprSimplifier;
use kpi::{Kpi, ParamValue};

use super::{Compiler, about};
use crate::error::EngineError;
use crate::functions::{Bound, bound};

/// Columns that stand for the bounds of the data while an expression is parsed.
const BOUNDS: [(&str, Bound, &str); 3] = [
    ("horizon", Bound::Horizon, "__bound_horizon"),
    (
        "history_start",
        Bound::HistoryStart,
        "__bound_history_start",
    ),
    ("as_of", Bound::AsOf, "__bound_as_of"),
];

impl Compiler<'_> {
    /// A condition: a row expression of type Boolean.
    pub(super) fn condition(
        &self,
        kpi: &Kpi,
        text: &str,
        params: &BTreeMap<String, ParamValue>,
    ) -> Result<Expr, EngineError> {
        let expr = self.row_expr(kpi, text, params)?;
        match expr.get_type(self.schema) {
            Ok(DataType::Boolean) => Ok(expr),
            Ok(other) => Err(about(
                kpi,
                text,
                format!("a condition is needed, this is {other}"),
            )),
            Err(e) => Err(about(kpi, text, e.strip_backtrace())),
        }
    }

    /// One row expression, typed, with parameters as literals and bounds as calls.
    pub(super) fn row_expr(
        &self,
        kpi: &Kpi,
        text: &str,
        params: &BTreeMap<String, ParamValue>,
    ) -> Result<Expr, EngineError> {
        let sql = kpi::rowsql::substitute(text, &mut |name| {
            let bound = BOUNDS.iter().find(|(bound, ..)| *bound == name);
            bound
                .map(|(.., column)| (*column).to_owned())
                .or_else(|| params.get(name).map(literal))
        })
        .map_err(|e| about(kpi, text, e))?;
        self.parse(&sql)
            .map_err(|e| about(kpi, text, EngineError::from(e)))
    }

    fn parse(&self, sql: &str) -> Result<Expr> {
        let schema = with_bounds(self.schema)?;
        let parsed = self.state.create_logical_expr(sql, &schema)?;
        check_row_expr(&parsed)?;
        let expr = parsed.transform_up(|expr| {
            Ok(match &expr {
                Expr::Column(c) => match BOUNDS.iter().find(|(.., column)| *column == c.name) {
                    Some((_, which, _)) => Transformed::yes(bound(*which, 0)),
                    None => Transformed::no(expr),
                },
                Expr::ScalarFunction(f) if f.func.name() == MATURED => {
                    Transformed::yes(matured(f)?)
                }
                _ => Transformed::no(expr),
            })
        })?;
        let context = SimplifyContext::builder()
            .with_schema(Arc::new(self.schema.clone()))
            .build();
        ExprSimplifier::new(context).coerce(expr.data, self.schema)
    }
}

/// `CASE WHEN c THEN x END` counts x where c: the condition can be a filter of the aggregate.
pub(super) fn split_case(expr: Expr) -> (Expr, Option<Expr>) {
    match expr {
        Expr::Case(case)
            if case.expr.is_none()
                && case.when_then_expr.len() == 1
                && case.else_expr.as_deref().is_none_or(is_null) =>
        {
            let mut branches = case.when_then_expr;
            match branches.pop() {
                Some((when, then)) => (*then, Some(*when)),
                None => (Expr::Literal(ScalarValue::Null, None), None),
            }
        }
        other => (other, None),
    }
}

fn is_null(expr: &Expr) -> bool {
    match expr {
        Expr::Literal(value, _) => value.is_null(),
        Expr::Cast(cast) => is_null(&cast.expr),
        _ => false,
    }
}

/// A parameter as SQL text. Durations are whole milliseconds.
fn literal(value: &ParamValue) -> String {
    match value {
        ParamValue::Duration(ms) => parenthesised(*ms),
        ParamValue::Integer(n) => parenthesised(*n),
        ParamValue::Number(x) => format!("CAST('{x}' AS DOUBLE)"),
        ParamValue::Text(text) => format!("'{}'", text.replace('\'', "''")),
    }
}

/// Negative numbers in parentheses, so that `a - :p` is no comment.
fn parenthesised(n: i64) -> String {
    if n < 0 {
        format!("({n})")
    } else {
        n.to_string()
    }
}

/// The model's columns and those that stand for the bounds.
fn with_bounds(schema: &DFSchema) -> Result<DFSchema> {
    use arrow::datatypes::{Field, TimeUnit};
    let time = DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()));
    let fields = BOUNDS
        .iter()
        .map(|(.., name)| Field::new(*name, time.clone(), false));
    let bounds = DFSchema::from_unqualified_fields(fields.collect(), Default::default())?;
    schema.join(&bounds)
}

/// Refuses what does not belong to one row: aggregates, windows, subqueries, chance, the clock.
fn check_row_expr(expr: &Expr) -> Result<()> {
    expr.apply(|e| {
        match e {
            Expr::AggregateFunction(f) => {
                return plan_err!(
                    "{}() is an aggregate: a row expression sees one row, name the aggregate in `agg`",
                    f.func.name()
                );
            }
            Expr::WindowFunction(_) => {
                return plan_err!("a row expression sees one row: window functions do not fit");
            }
            Expr::ScalarSubquery(_) | Expr::Exists(_) | Expr::InSubquery(_)
            | Expr::SetComparison(_) => {
                return plan_err!("a row expression sees one row: subqueries do not fit");
            }
            Expr::ScalarFunction(f) if f.func.signature().volatility != Volatility::Immutable => {
                return plan_err!(
                    "{}() does not give the same answer every time: use :as_of or a column",
                    f.func.name()
                );
            }
            _ => {}
        }
        Ok(TreeNodeRecursion::Continue)
    })?;
    Ok(())
}

const MATURED: &str = "matured";

/// `matured(t, w)` is `t + w <= :horizon`, as a comparison with one instant so that it prunes.
fn matured(call: &ScalarFunction) -> Result<Expr> {
    let [time, window] = call.args.as_slice() else {
        return plan_err!("matured(time, window) takes two arguments");
    };
    let Expr::Literal(ScalarValue::Int64(Some(window_ms)), _) = window else {
        return plan_err!("the window of matured() is a parameter or a number of milliseconds");
    };
    Ok(time.clone().lt_eq(bound(Bound::Horizon, *window_ms)))
}

/// `matured` as the planner knows it; it never runs.
pub(crate) fn matured_function() -> ScalarUDF {
    ScalarUDF::new_from_impl(Matured {
        signature: Signature::any(2, Volatility::Immutable),
    })
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Matured {
    signature: Signature,
}

impl ScalarUDFImpl for Matured {
    fn name(&self) -> &str {
        MATURED
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Boolean)
    }

    fn invoke_with_args(&self, _: ScalarFunctionArgs) -> Result<ColumnarValue> {
        not_impl_err!("matured() is for KPI definitions; compare with a time instead")
    }
}
