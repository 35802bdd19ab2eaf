//! Every refusal: a reason of one line and a hint.

use datafusion::common::DFSchema;
use datafusion::error::{DataFusionError, Result};
use datafusion::logical_expr::expr::AggregateFunction;
use datafusion::logical_expr::{Aggregate, Distinct, Expr, LogicalPlan};

use super::argument::{Argument, row_kpi_in};
use super::{Rewriter, functions};
use crate::error::refuse;

impl Rewriter<'_> {
    /// Refuses KPI columns of rows where a node looks at single rows.
    pub(super) fn refuse_row_use(&self, node: &LogicalPlan) -> Result<()> {
        match node {
            LogicalPlan::Filter(filter) => {
                let schema = filter.input.schema();
                refuse_marker(&filter.predicate, "WHERE")?;
                self.refuse_in(&filter.predicate, schema, "WHERE")
            }
            LogicalPlan::Join(join) => {
                let schema = join.left.schema().join(join.right.schema())?;
                let on = join.on.iter().flat_map(|(left, right)| [left, right]);
                on.chain(&join.filter)
                    .try_for_each(|e| self.refuse_in(e, &schema, "JOIN ... ON"))
            }
            LogicalPlan::Window(window) => window
                .window_expr
                .iter()
                .try_for_each(|e| self.refuse_window(e, window.input.schema())),
            LogicalPlan::Distinct(Distinct::On(on)) => {
                let schema = on.input.schema();
                on.on_expr
                    .iter()
                    .try_for_each(|e| self.refuse_in(e, schema, "DISTINCT ON"))
            }
            _ => Ok(()),
        }
    }

    /// Refuses an expression that reads a KPI column of rows.
    pub(super) fn refuse_in(&self, expr: &Expr, schema: &DFSchema, place: &str) -> Result<()> {
        match row_kpi_in(self.views, expr, schema) {
            Some(kpi) => Err(row_use(&kpi, place)),
            None => Ok(()),
        }
    }

    /// Refuses grouping by a KPI column of rows.
    pub(super) fn refuse_group_by(&self, aggregate: &Aggregate) -> Result<()> {
        let schema = aggregate.input.schema();
        aggregate
            .group_expr
            .iter()
            .try_for_each(|e| self.refuse_in(e, schema, "GROUP BY"))
    }

    fn refuse_window(&self, expr: &Expr, schema: &DFSchema) -> Result<()> {
        refuse_marker(expr, "a window")?;
        match Argument::of(self.views, std::slice::from_ref(expr), schema) {
            Argument::Computed(kpi) => Err(window(&kpi)),
            _ => Ok(()),
        }
    }
}

/// `MEASURE` in a place that has no groups, over whatever column.
fn refuse_marker(expr: &Expr, place: &str) -> Result<()> {
    let found = |e: &Expr| -> bool {
        match e {
            Expr::AggregateFunction(f) => functions::is_marker(f.func.name()),
            Expr::WindowFunction(w) => functions::is_marker(w.fun.name()),
            _ => false,
        }
    };
    let mut any = false;
    datafusion::common::tree_node::TreeNode::apply(expr, |e| {
        any |= found(e);
        Ok(datafusion::common::tree_node::TreeNodeRecursion::Continue)
    })?;
    match (any, place) {
        (false, _) => Ok(()),
        (true, "WHERE") => Err(refuse(
            "MEASURE() in WHERE: a KPI is a number of a group, WHERE sees single rows",
            "use HAVING",
        )),
        (true, _) => Err(refuse(
            "MEASURE() OVER (): a KPI is evaluated at GROUP BY, not over a window",
            "GROUP BY first, then use the window over the result: WITH g AS (SELECT ..., \
             MEASURE(x) AS x ... GROUP BY ...) SELECT lag(x) OVER (...) FROM g",
        )),
    }
}

fn row_use(kpi: &str, place: &str) -> DataFusionError {
    let reason = format!("{kpi} in {place}: a KPI is a number of a group, not of a row");
    match place {
        "WHERE" => refuse(reason, format!("use HAVING MEASURE({kpi}) ...")),
        "FILTER" => refuse(reason, "filter by columns of the view"),
        "GROUP BY" => refuse(
            reason,
            format!("group MEASURE({kpi}) in a subquery, then by its result"),
        ),
        _ => refuse(
            reason,
            format!("evaluate MEASURE({kpi}) in a subquery and join its result"),
        ),
    }
}

fn window(kpi: &str) -> DataFusionError {
    refuse(
        format!("{kpi} in a window: a KPI is evaluated at GROUP BY, not over a window"),
        format!("evaluate MEASURE({kpi}) in a subquery with GROUP BY and use the window over it"),
    )
}

/// An aggregate over an expression that contains a KPI.
pub(super) fn computed(function: &str, kpi: &str) -> DataFusionError {
    let function = function.to_uppercase();
    refuse(
        format!("{function}() of an expression with {kpi}: a KPI has no value on a single row"),
        format!("compute with the result instead, for example MEASURE({kpi}) * 100"),
    )
}

/// `MEASURE` of something else.
pub(super) fn not_a_kpi(call: &AggregateFunction) -> DataFusionError {
    let argument = call
        .params
        .args
        .first()
        .map(|a| a.schema_name().to_string());
    let argument = argument.unwrap_or_else(|| "nothing".to_owned());
    let name = call.func.name().to_uppercase();
    refuse(
        format!("{name}({argument}): not a KPI column of a kpi view"),
        "use SUM, AVG ... for plain columns; SELECT kpi FROM kpi.catalog lists the KPIs",
    )
}

/// COUNT, COUNT DISTINCT, STDDEV ... of a KPI.
pub(super) fn other_aggregate(function: &str, distinct: bool, kpi: &str) -> DataFusionError {
    let call = function.to_uppercase();
    let distinct = if distinct { "DISTINCT " } else { "" };
    let reason = format!("{call}({distinct}{kpi}) would change what {kpi} means");
    match function {
        "count" => refuse(reason, format!("use MEASURE({kpi}), or COUNT(*) for rows")),
        _ => refuse(reason, format!("use MEASURE({kpi})")),
    }
}

/// SUM, AVG ... of a KPI in a strict session.
pub(super) fn strict(function: &str, kpi: &str) -> DataFusionError {
    let call = function.to_uppercase();
    refuse(
        format!("{call}({kpi}): kpi.strict is on, so it is not read as MEASURE({kpi})"),
        format!("use MEASURE({kpi})"),
    )
}

/// `MEASURE_PART` of a part that the KPI does not have.
pub(super) fn unknown_part(kpi: &str, part: &str, known: &[&str]) -> DataFusionError {
    refuse(
        format!("{kpi} has no part '{part}'"),
        format!("its parts: {}", known.join(", ")),
    )
}

/// `MEASURE_PART` of a part that is text.
pub(super) fn not_a_number(part: &str) -> DataFusionError {
    refuse(
        format!("part '{part}' is not a number"),
        "ask for the KPI itself: MEASURE(...)",
    )
}
