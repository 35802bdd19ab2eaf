//! Row expressions: SQL text of a definition to a typed expression over the model's columns.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, TimeUnit};
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::common::{DFSchema, ScalarValue, not_impl_err, plan_err};
use datafusion::error::Result;
use datafusion::logical_expr::expr::{Case, ScalarFunction};
use datafusion::logical_expr::simplify::SimplifyContext;
use datafusion::logical_expr::{
    ColumnarValue, Expr, ExprSchemable, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature,
    Volatility, lit,
};
use datafusion::optimizer::simplify_expressions::ExprSimplifier;
use events::UtcMicros;
use kpi::{Kpi, ParamInForce, ParamRule, ParamValue};

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
        params: &BTreeMap<String, ParamInForce>,
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

    /// One row expression, typed, with bounds as calls and parameters as literals: of one that
    /// differs between rows as a choice by the row's dimensions and time.
    pub(super) fn row_expr(
        &self,
        kpi: &Kpi,
        text: &str,
        params: &BTreeMap<String, ParamInForce>,
    ) -> Result<Expr, EngineError> {
        let mut chosen: BTreeMap<String, Expr> = BTreeMap::new();
        for (name, param) in params.iter().filter(|(_, param)| !param.rules.is_empty()) {
            let choice = self.by_row(param, kpi.time());
            chosen.insert(
                chosen_column(name),
                choice.map_err(|e| about(kpi, text, e))?,
            );
        }
        let sql = kpi::rowsql::substitute(text, &mut |name| {
            let bound = BOUNDS.iter().find(|(bound, ..)| *bound == name);
            bound
                .map(|(.., column)| (*column).to_owned())
                .or_else(|| {
                    let column = chosen_column(name);
                    chosen.contains_key(&column).then_some(column)
                })
                .or_else(|| params.get(name).map(|param| literal(&param.value)))
        })
        .map_err(|e| about(kpi, text, e))?;
        self.parse(&sql, &chosen)
            .map_err(|e| about(kpi, text, EngineError::from(e)))
    }

    fn parse(&self, sql: &str, chosen: &BTreeMap<String, Expr>) -> Result<Expr> {
        let schema = self.with_stand_ins(chosen)?;
        let parsed = self.state.create_logical_expr(sql, &schema)?;
        check_row_expr(&parsed)?;
        let expr = parsed.transform_up(|expr| {
            Ok(match &expr {
                Expr::Column(c) => match BOUNDS.iter().find(|(.., column)| *column == c.name) {
                    Some((_, which, _)) => Transformed::yes(bound(*which, 0)),
                    None => match chosen.get(&c.name) {
                        Some(choice) => Transformed::yes(choice.clone()),
                        None => Transformed::no(expr),
                    },
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

    /// The value of a parameter for one row: of the rules that fit the first.
    fn by_row(&self, param: &ParamInForce, time: Option<&str>) -> Result<Expr> {
        let mut branches = Vec::new();
        for rule in &param.rules {
            let when = self.fits(rule, time)?;
            branches.push((Box::new(when), Box::new(value(&rule.value))));
        }
        let otherwise = Box::new(value(&param.value));
        Ok(Expr::Case(Case::new(None, branches, Some(otherwise))))
    }

    /// Does a rule hold for the row? A dimension that is NULL fits none.
    fn fits(&self, rule: &ParamRule, time: Option<&str>) -> Result<Expr> {
        let mut all = Vec::new();
        for (dimension, wanted) in &rule.matches {
            all.push(self.column(dimension)?.eq(lit(wanted.as_str())));
        }
        let moment = |at: UtcMicros| lit(ScalarValue::TimestampMicrosecond(Some(at.0), utc()));
        if let (Some(from), Some(time)) = (rule.valid_from, time) {
            all.push(self.column(time)?.gt_eq(moment(from)));
        }
        if let (Some(to), Some(time)) = (rule.valid_to, time) {
            all.push(self.column(time)?.lt(moment(to)));
        }
        Ok(all
            .into_iter()
            .reduce(Expr::and)
            .unwrap_or_else(|| lit(true)))
    }

    fn column(&self, name: &str) -> Result<Expr> {
        let found = self.schema.qualified_field_with_unqualified_name(name)?;
        Ok(Expr::Column(found.into()))
    }

    /// The model's columns, and those that stand for the bounds and for chosen parameters.
    fn with_stand_ins(&self, chosen: &BTreeMap<String, Expr>) -> Result<DFSchema> {
        let time = DataType::Timestamp(TimeUnit::Microsecond, utc());
        let mut fields: Vec<Field> = BOUNDS
            .iter()
            .map(|(.., name)| Field::new(*name, time.clone(), false))
            .collect();
        for (name, choice) in chosen {
            fields.push(Field::new(name, choice.get_type(self.schema)?, false));
        }
        let stand_ins = DFSchema::from_unqualified_fields(fields.into(), Default::default())?;
        self.schema.join(&stand_ins)
    }
}

/// The column that stands for a parameter that differs between rows.
fn chosen_column(param: &str) -> String {
    format!("__param_{param}")
}

fn utc() -> Option<Arc<str>> {
    Some("UTC".into())
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

/// A parameter's value, typed. Durations are whole milliseconds.
fn value(of: &ParamValue) -> Expr {
    match of {
        ParamValue::Duration(n) | ParamValue::Integer(n) => lit(*n),
        ParamValue::Number(x) => lit(*x),
        ParamValue::Text(text) => lit(text.as_str()),
    }
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
    let over = |window: &Expr| match window {
        Expr::Literal(ScalarValue::Int64(Some(ms)), _) => {
            Ok(time.clone().lt_eq(bound(Bound::Horizon, *ms)))
        }
        _ => plan_err!("the window of matured() is a parameter or a number of milliseconds"),
    };
    // A window that differs between rows: the choice goes around the comparison.
    let Expr::Case(choice) = window else {
        return over(window);
    };
    let mut choice = choice.clone();
    for (_, then) in &mut choice.when_then_expr {
        **then = over(then)?;
    }
    if let Some(otherwise) = &mut choice.else_expr {
        **otherwise = over(otherwise)?;
    }
    Ok(Expr::Case(choice))
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
