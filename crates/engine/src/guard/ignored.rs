//! Clauses of other databases that the parser reads and the planner passes over: their answer would
//! be one to another question.

use datafusion::sql::sqlparser::ast::{
    Function, FunctionArguments, GroupByExpr, Query, Select, TableFactor,
};

use super::syntax;
use crate::service::QueryError;

/// Is it there, what it is called, and what to do instead.
type Clause = (bool, &'static str, &'static str);

const LEAVE_OUT: &str = "leave it out";

/// Refuses what would be passed over behind a query.
pub(super) fn in_query(query: &Query) -> Result<(), QueryError> {
    let form = "the door is asked for another form: --format, or format in a request";
    refuse(&[
        (query.for_clause.is_some(), "FOR JSON or FOR XML", form),
        (query.format_clause.is_some(), "FORMAT", form),
        (query.settings.is_some(), "SETTINGS", LEAVE_OUT),
    ])
}

/// Refuses what would be passed over in one SELECT.
pub(super) fn in_select(select: &Select) -> Result<(), QueryError> {
    let (GroupByExpr::All(group_by_with) | GroupByExpr::Expressions(_, group_by_with)) =
        &select.group_by;
    refuse(&[
        (select.prewhere.is_some(), "PREWHERE", "use WHERE"),
        (
            !select.connect_by.is_empty(),
            "CONNECT BY",
            "join a table with itself, once for each level",
        ),
        (
            !group_by_with.is_empty(),
            "WITH behind GROUP BY",
            "use GROUP BY ROLLUP(a, b), CUBE(a, b) or GROUPING SETS",
        ),
        (select.value_table_mode.is_some(), "AS STRUCT", LEAVE_OUT),
        (
            select.exclude.is_some(),
            "EXCLUDE behind the columns",
            "write * EXCLUDE (a, b)",
        ),
    ])
}

/// Refuses what would be passed over at one table. Hints on how to read it may be.
pub(super) fn in_table(table: &TableFactor) -> Result<(), QueryError> {
    let (sample, numbered) = match table {
        TableFactor::Table {
            version,
            with_ordinality,
            partitions,
            json_path,
            sample,
            ..
        } => {
            refuse(&[
                (
                    version.is_some(),
                    "a version of a table",
                    "tables are as of now",
                ),
                (!partitions.is_empty(), "PARTITION", "use WHERE"),
                (json_path.is_some(), "a path in a table", LEAVE_OUT),
            ])?;
            (sample.is_some(), *with_ordinality)
        }
        TableFactor::Derived { sample, .. } => (sample.is_some(), false),
        TableFactor::Function {
            with_ordinality, ..
        } => (false, *with_ordinality),
        _ => return Ok(()),
    };
    refuse(&[
        (
            sample,
            "TABLESAMPLE",
            "a sample would be another KPI: LIMIT gives some rows to look at",
        ),
        (
            numbered,
            "WITH ORDINALITY",
            "row_number() OVER () numbers rows",
        ),
    ])
}

/// Refuses the first brackets of `f(a)(b)`.
pub(super) fn in_function(function: &Function) -> Result<(), QueryError> {
    refuse(&[(
        !matches!(function.parameters, FunctionArguments::None),
        "a function with two brackets",
        "write all arguments in one: approx_percentile_cont(x, 0.9)",
    )])
}

fn refuse(clauses: &[Clause]) -> Result<(), QueryError> {
    match clauses.iter().find(|(is_there, ..)| *is_there) {
        Some((_, clause, hint)) => Err(syntax(format!("{clause} is not answered here"), *hint)),
        None => Ok(()),
    }
}
