//! The value of a KPI: a scalar over its aggregated parts.
//!
//! Every leaf is made Float64 first, then the operations follow in the written order; NULL in
//! gives NULL out and `x / 0` is NULL. A value that is one part keeps the part's exact type.

use std::sync::Arc;

use arrow::datatypes::DataType;
use datafusion::common::ScalarValue;
use datafusion::functions::core::expr_fn::{coalesce, nullif};
use datafusion::logical_expr::{Expr, Operator, binary_expr, cast, lit};
use kpi::Value;

use super::PartPlan;
use super::currency::{Guard, one_currency};
use crate::functions;

/// A value with its parts by position.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum ValueNode {
    Number(f64),
    Part(usize),
    /// A sum of money that a KPI adds up: the part, and those with its first and last currency.
    Money(Arc<str>, [usize; 3]),
    Percentile(usize, f64),
    ShareWithin(usize, f64),
    Negative(Box<ValueNode>),
    Binary(Operator, Box<ValueNode>, Box<ValueNode>),
    /// `empty: zero`.
    OrZero(Box<ValueNode>),
}

impl ValueNode {
    /// A part of a KPI, guarded against two currencies if it is money.
    pub(super) fn part(kpi: &str, part: usize, guard: Option<Guard>) -> ValueNode {
        match guard {
            Some(Guard { low, high }) => ValueNode::Money(kpi.into(), [part, low, high]),
            None => ValueNode::Part(part),
        }
    }

    /// Resolves the names of a value; `leaf` knows parts and inputs.
    pub(super) fn resolve(
        value: &Value,
        leaf: &mut dyn FnMut(&Value) -> Option<ValueNode>,
    ) -> Result<ValueNode, String> {
        let mut both = |op, a: &Value, b: &Value| {
            let (a, b) = (Self::resolve(a, leaf)?, Self::resolve(b, leaf)?);
            Ok(ValueNode::Binary(op, Box::new(a), Box::new(b)))
        };
        match value {
            Value::Number(x) => Ok(ValueNode::Number(*x)),
            Value::Add(a, b) => both(Operator::Plus, a, b),
            Value::Sub(a, b) => both(Operator::Minus, a, b),
            Value::Mul(a, b) => both(Operator::Multiply, a, b),
            Value::Div(a, b) => both(Operator::Divide, a, b),
            Value::Neg(a) => Ok(ValueNode::Negative(Box::new(Self::resolve(a, leaf)?))),
            Value::Part(_) | Value::Kpi(_) => {
                leaf(value).ok_or_else(|| format!("`{value}` is not known here"))
            }
            Value::Percentile { part, q } => {
                Self::of_histogram(part, leaf).map(|i| ValueNode::Percentile(i, *q))
            }
            Value::ShareWithin { part, limit } => {
                Self::of_histogram(part, leaf).map(|i| ValueNode::ShareWithin(i, *limit))
            }
            Value::RangeMs | Value::Param(_) | Value::Beside(..) | Value::Call(..) => Err(format!(
                "`{value}` depends on the question, not on rows alone"
            )),
        }
    }

    fn of_histogram(
        part: &str,
        leaf: &mut dyn FnMut(&Value) -> Option<ValueNode>,
    ) -> Result<usize, String> {
        match leaf(&Value::Part(part.to_owned())) {
            Some(ValueNode::Part(index)) => Ok(index),
            _ => Err(format!("`{part}` is no part of this KPI")),
        }
    }

    /// The same value over parts that moved up by `offset` places.
    pub(super) fn shifted(self, offset: usize) -> ValueNode {
        let moved = |node: Box<ValueNode>| Box::new(node.shifted(offset));
        match self {
            ValueNode::Number(x) => ValueNode::Number(x),
            ValueNode::Part(i) => ValueNode::Part(i + offset),
            ValueNode::Money(kpi, places) => {
                ValueNode::Money(kpi, places.map(|place| place + offset))
            }
            ValueNode::Percentile(i, q) => ValueNode::Percentile(i + offset, q),
            ValueNode::ShareWithin(i, limit) => ValueNode::ShareWithin(i + offset, limit),
            ValueNode::Negative(a) => ValueNode::Negative(moved(a)),
            ValueNode::Binary(op, a, b) => ValueNode::Binary(op, moved(a), moved(b)),
            ValueNode::OrZero(a) => ValueNode::OrZero(moved(a)),
        }
    }

    /// Type of the value.
    pub(super) fn data_type(&self, parts: &[PartPlan]) -> DataType {
        match self {
            ValueNode::Part(i) | ValueNode::Money(_, [i, ..]) => parts[*i].data_type.clone(),
            ValueNode::OrZero(a) => a.data_type(parts),
            _ => DataType::Float64,
        }
    }

    /// The value as an expression; `part` gives the expression of an aggregated part.
    pub(crate) fn expr(&self, parts: &[PartPlan], part: &dyn Fn(usize) -> Expr) -> Expr {
        match self {
            ValueNode::Part(i) => part(*i),
            ValueNode::Money(kpi, [i, low, high]) => {
                one_currency(kpi, part(*i), part(*low), part(*high))
            }
            ValueNode::OrZero(a) => match zero(&a.data_type(parts)) {
                Some(zero) => coalesce(vec![a.expr(parts, part), zero]),
                None => a.expr(parts, part),
            },
            other => other.float(parts, part),
        }
    }

    fn float(&self, parts: &[PartPlan], part: &dyn Fn(usize) -> Expr) -> Expr {
        match self {
            ValueNode::Number(x) => lit(*x),
            ValueNode::Part(_) | ValueNode::Money(..) => {
                cast(self.expr(parts, part), DataType::Float64)
            }
            ValueNode::Percentile(i, q) => functions::percentile(part(*i), *q),
            ValueNode::ShareWithin(i, limit) => functions::share_within(part(*i), *limit),
            ValueNode::Negative(a) => Expr::Negative(Box::new(a.float(parts, part))),
            ValueNode::Binary(Operator::Divide, a, b) => {
                let divisor = nullif(b.float(parts, part), lit(0.0));
                binary_expr(a.float(parts, part), Operator::Divide, divisor)
            }
            ValueNode::Binary(op, a, b) => {
                binary_expr(a.float(parts, part), *op, b.float(parts, part))
            }
            ValueNode::OrZero(a) => coalesce(vec![a.float(parts, part), lit(0.0)]),
        }
    }
}

fn zero(of: &DataType) -> Option<Expr> {
    ScalarValue::new_zero(of)
        .ok()
        .map(|zero| Expr::Literal(zero, None))
}
