//! What an aggregate was called with: a KPI column, something computed from one, or neither.

use std::sync::Arc;

use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::common::{Column, DFSchema, ScalarValue};
use datafusion::error::Result;
use datafusion::logical_expr::Expr;
use datafusion::logical_expr::expr::AggregateFunction;

use super::{functions, refusal};
use crate::views::{MEASURE_KEY, Measure, Views};

/// Mark of columns that were computed from KPI columns of rows, before the KPI's id.
pub(super) const COMPUTED: &str = "!computed/";

/// Aggregates that BI tools wrap around every number; over a KPI they mean `MEASURE`.
const READ_AS_MEASURE: [&str; 6] = ["sum", "avg", "min", "max", "first_value", "any_value"];

/// What an expression is made of.
pub(super) enum Argument {
    /// A KPI column, perhaps cast.
    Kpi(Arc<Measure>, Column),
    /// Computed from a KPI column of rows, which is NULL: the KPI's id.
    Computed(String),
    /// No KPI in it.
    Plain,
}

impl Argument {
    /// Looks at the first of `args`; a KPI in any other place counts as computed.
    pub(super) fn of(views: &Views, args: &[Expr], schema: &DFSchema) -> Argument {
        let Some((first, rest)) = args.split_first() else {
            return Argument::Plain;
        };
        if let Some(column) = bare_column(first)
            && let Some(mark) = mark_of(column, schema)
            && let Some(measure) = views.measure(mark)
        {
            return Argument::Kpi(measure, column.clone());
        }
        let any = std::iter::once(first)
            .chain(rest)
            .find_map(|e| row_kpi_in(views, e, schema));
        any.map_or(Argument::Plain, Argument::Computed)
    }
}

/// The column that an expression only renames or casts.
pub(super) fn bare_column(expr: &Expr) -> Option<&Column> {
    match expr {
        Expr::Column(column) => Some(column),
        Expr::Alias(alias) => bare_column(&alias.expr),
        Expr::Cast(cast) => bare_column(&cast.expr),
        Expr::TryCast(cast) => bare_column(&cast.expr),
        _ => None,
    }
}

fn mark_of<'a>(column: &Column, schema: &'a DFSchema) -> Option<&'a str> {
    let index = schema.maybe_index_of_column(column)?;
    schema
        .field(index)
        .metadata()
        .get(MEASURE_KEY)
        .map(String::as_str)
}

/// A KPI of rows (whose column is NULL there) that an expression reads: its id.
pub(super) fn row_kpi_in(views: &Views, expr: &Expr, schema: &DFSchema) -> Option<String> {
    let mut found = None;
    let walked = expr.apply(|e| {
        if let Expr::Column(column) = e
            && let Some(mark) = mark_of(column, schema)
        {
            found = match mark.strip_prefix(COMPUTED) {
                Some(kpi) => Some(kpi.to_owned()),
                None => views
                    .measure(mark)
                    .filter(|m| m.of_rows)
                    .map(|m| m.plan.kpi.id.clone()),
            };
        }
        Ok(if found.is_some() {
            TreeNodeRecursion::Stop
        } else {
            TreeNodeRecursion::Continue
        })
    });
    debug_assert!(walked.is_ok(), "the closure never fails");
    found
}

/// What of the KPI is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Call {
    /// Its value.
    Value,
    /// One part, by position.
    Part(usize),
}

/// Is the call `MEASURE`, or one that may be read as it?
pub(super) fn check_call(
    function: &AggregateFunction,
    measure: &Measure,
    strict: bool,
) -> Result<Call> {
    let (name, params) = (function.func.name(), &function.params);
    let kpi = &measure.plan.kpi.id;
    let marker = functions::is_marker(name);
    if params.distinct || !(marker || READ_AS_MEASURE.contains(&name)) {
        return Err(refusal::other_aggregate(name, params.distinct, kpi));
    }
    if !marker && strict {
        return Err(refusal::strict(name, kpi));
    }
    if functions::is_part(name) {
        return part_of(measure, params.args.get(1)).map(Call::Part);
    }
    Ok(Call::Value)
}

fn part_of(measure: &Measure, name: Option<&Expr>) -> Result<usize> {
    let parts = &measure.plan.parts;
    let asked = match name {
        Some(Expr::Literal(ScalarValue::Utf8(Some(text)), _)) => text.as_str(),
        _ => "",
    };
    parts.iter().position(|p| p.name == asked).ok_or_else(|| {
        let known: Vec<&str> = parts.iter().map(|p| p.name.as_str()).collect();
        refusal::unknown_part(&measure.plan.kpi.id, asked, &known)
    })
}
