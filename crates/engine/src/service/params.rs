//! Parameters: `$1`, `$2` and so on, bound by position.

use std::collections::BTreeMap;

use arrow::array::ArrayRef;
use arrow::datatypes::{DataType, Field, TimeUnit};
use datafusion::common::metadata::ScalarAndMetadata;
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::common::{ParamValues, ScalarValue};
use datafusion::logical_expr::{Expr, LogicalPlan};

use super::limits::PARAMS_MAX;
use super::{ErrorKind, QueryError};
use crate::functions::takes_numbers;
use crate::wire::{to_type, wire_type};

/// The parameters of a statement, in order, in the types that the plan wants.
#[derive(Clone, Debug, Default)]
pub(super) struct Parameters(Vec<DataType>);

impl Parameters {
    /// Reads them from a plan; there are at least `count`. What nobody knows the type of is a
    /// text.
    pub(super) fn of(plan: &LogicalPlan, count: usize) -> Result<Parameters, QueryError> {
        let mut known: BTreeMap<usize, DataType> = BTreeMap::new();
        let mut last = count.min(PARAMS_MAX);
        for (name, field) in plan.get_parameter_fields().map_err(QueryError::from)? {
            let Some(number) = number_of(&name) else {
                let message = format!("{name} is no parameter");
                return Err(QueryError::new(ErrorKind::BadParameter, message)
                    .with_hint(format!("write $1 to ${PARAMS_MAX}, or ? for each")));
            };
            last = last.max(number);
            let of = field.map(|f| f.data_type().clone());
            known.extend(of.filter(|of| !of.is_null()).map(|of| (number, of)));
        }
        for number in bounds(plan)? {
            known.insert(number, DataType::Int64);
        }
        for number in arguments(plan)? {
            known.entry(number).or_insert(DataType::Float64);
        }
        let of = |number| known.remove(&number).unwrap_or(DataType::Utf8);
        Ok(Parameters((1..=last).map(of).collect()))
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// As clients are told: wire types, all nullable. Times are in milliseconds, which is what
    /// JDBC sends without looking; casting refines them.
    pub(super) fn fields(&self) -> Vec<Field> {
        let told = |of: &DataType| match wire_type(of) {
            DataType::Timestamp(_, zone) => DataType::Timestamp(TimeUnit::Millisecond, zone),
            other => other,
        };
        let numbered = self.0.iter().zip(1..);
        numbered
            .map(|(of, n)| Field::new(format!("${n}"), told(of), true))
            .collect()
    }

    /// NULL for each, to learn what the result looks like.
    pub(super) fn nulls(&self) -> Result<ParamValues, QueryError> {
        let nulls = self.0.iter().map(ScalarValue::try_from);
        let nulls = nulls.collect::<Result<_, _>>().map_err(QueryError::from)?;
        Ok(list(nulls))
    }

    /// The values, cast; `given` has one array of length 1 a parameter.
    pub(super) fn values(&self, given: &[ArrayRef]) -> Result<ParamValues, QueryError> {
        if given.len() != self.0.len() {
            let (wanted, given) = (self.0.len(), given.len());
            let message =
                format!("the statement has {wanted} parameter(s), and {given} came with it");
            return Err(QueryError::new(ErrorKind::BadParameter, message));
        }
        let values = given.iter().zip(&self.0).zip(1..);
        let values = values.map(|((array, of), number)| value(array, of, number));
        Ok(list(values.collect::<Result<_, _>>()?))
    }
}

/// The parameters of `LIMIT` and `OFFSET`, whose type nothing else tells.
fn bounds(plan: &LogicalPlan) -> Result<Vec<usize>, QueryError> {
    let mut found = Vec::new();
    plan.apply_with_subqueries(|node| {
        if let LogicalPlan::Limit(limit) = node {
            let given = [&limit.skip, &limit.fetch].into_iter().flatten();
            found.extend(given.filter_map(|expr| numbered(expr)));
        }
        Ok(TreeNodeRecursion::Continue)
    })
    .map_err(QueryError::from)?;
    Ok(found)
}

/// The parameters of functions of our own that take any number.
fn arguments(plan: &LogicalPlan) -> Result<Vec<usize>, QueryError> {
    let mut found = Vec::new();
    plan.apply_with_subqueries(|node| {
        node.apply_expressions(|expr| {
            expr.apply(|inner| {
                if let Expr::ScalarFunction(call) = inner
                    && takes_numbers(call.name())
                {
                    found.extend(call.args.iter().filter_map(numbered));
                }
                Ok(TreeNodeRecursion::Continue)
            })
        })
    })
    .map_err(QueryError::from)?;
    Ok(found)
}

fn numbered(expr: &Expr) -> Option<usize> {
    match expr {
        Expr::Placeholder(placeholder) => number_of(&placeholder.id),
        _ => None,
    }
}

/// The number in `$7`.
fn number_of(name: &str) -> Option<usize> {
    let number = name.strip_prefix('$').and_then(|n| n.parse().ok());
    number.filter(|n| (1..=PARAMS_MAX).contains(n))
}

fn value(array: &ArrayRef, of: &DataType, number: usize) -> Result<ScalarValue, QueryError> {
    let error = |what: &str| {
        QueryError::new(
            ErrorKind::BadParameter,
            format!("parameter ${number} {what}"),
        )
    };
    if array.len() != 1 {
        return Err(error("needs one value"));
    }
    let unreadable = || error(&format!("cannot be read as {of}"));
    let cast = to_type(array, of).map_err(|_| unreadable())?;
    if may_lose(array.data_type(), of) {
        let back = to_type(&cast, array.data_type()).map_err(|_| unreadable())?;
        if back.as_ref() != array.as_ref() {
            return Err(error(&format!("is not a whole {of}: it would lose a part"))
                .with_hint("cast the parameter in the statement: CAST($1 AS DOUBLE)"));
        }
    }
    ScalarValue::try_from_array(&cast, 0).map_err(|_| unreadable())
}

/// Would a cast cut off what comes after the point, or the time of a day?
fn may_lose(from: &DataType, to: &DataType) -> bool {
    let is_decimal = matches!(from, DataType::Decimal128(..) | DataType::Decimal256(..));
    let has_fraction = from.is_floating() || is_decimal;
    let is_date = matches!(to, DataType::Date32 | DataType::Date64);
    (has_fraction && to.is_integer()) || (matches!(from, DataType::Timestamp(..)) && is_date)
}

fn list(values: Vec<ScalarValue>) -> ParamValues {
    let bare = |value| ScalarAndMetadata::new(value, None);
    ParamValues::List(values.into_iter().map(bare).collect())
}
