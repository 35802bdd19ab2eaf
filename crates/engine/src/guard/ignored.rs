//! Clauses of other databases that the parser reads and the planner passes over: their answer would
//! be one to another question.

use datafusion::sql::sqlparser::ast::{
    DuplicateTreatment, Function, FunctionArgumentClause, FunctionArgumentList, FunctionArguments,
    GroupByExpr, LimitClause, ObjectNamePart, Query, Select, SelectItem, TableFactor,
};

use super::syntax;
use crate::functions;
use crate::service::QueryError;

/// Is it there, what it is called, and what to do instead.
type Clause = (bool, &'static str, &'static str);

const LEAVE_OUT: &str = "leave it out";

/// Refuses what would be passed over behind a query.
pub(super) fn in_query(query: &Query) -> Result<(), QueryError> {
    let form = "the door is asked for another form: --format, or format in a request";
    let limit_by = match &query.limit_clause {
        Some(LimitClause::LimitOffset { limit_by, .. }) => !limit_by.is_empty(),
        _ => false,
    };
    refuse(&[
        (
            limit_by,
            "LIMIT BY",
            "number the rows with row_number() OVER (PARTITION BY ...) and filter by the number",
        ),
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
        (
            select.projection.iter().any(is_ilike),
            "ILIKE behind *",
            "name the columns",
        ),
    ])
}

/// `* ILIKE 'a%'`
fn is_ilike(item: &SelectItem) -> bool {
    match item {
        SelectItem::Wildcard(options) | SelectItem::QualifiedWildcard(_, options) => {
            options.opt_ilike.is_some()
        }
        _ => false,
    }
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

/// Refuses the first brackets of `f(a)(b)`, and at a function of one row what speaks of several.
pub(super) fn in_function(function: &Function) -> Result<(), QueryError> {
    refuse(&[(
        !matches!(function.parameters, FunctionArguments::None),
        "a function with two brackets",
        "write all arguments in one: approx_percentile_cont(x, 0.9)",
    )])?;
    let of_rows = clause_of_rows(function);
    match (of_rows, name(function)) {
        (Some(clause), Some(name)) if functions::is_of_one_row(&name) => Err(syntax(
            format!("{clause} is not answered at {name}(), which is of one row"),
            "it belongs to an aggregate such as count; CASE WHEN ... THEN ... END chooses in a row",
        )),
        _ => Ok(()),
    }
}

/// What only means something where several rows become one.
fn clause_of_rows(function: &Function) -> Option<&'static str> {
    let list: Option<&FunctionArgumentList> = match &function.args {
        FunctionArguments::List(list) => Some(list),
        _ => None,
    };
    let is_there = |wanted: fn(&FunctionArgumentClause) -> bool| {
        list.is_some_and(|list| list.clauses.iter().any(wanted))
    };
    let distinct = Some(DuplicateTreatment::Distinct);
    let clauses = [
        (function.filter.is_some(), "FILTER"),
        (function.over.is_some(), "OVER"),
        (!function.within_group.is_empty(), "WITHIN GROUP"),
        (function.null_treatment.is_some(), "IGNORE or RESPECT NULLS"),
        (
            list.is_some_and(|l| l.duplicate_treatment == distinct),
            "DISTINCT",
        ),
        (
            is_there(|c| matches!(c, FunctionArgumentClause::OrderBy(_))),
            "ORDER BY",
        ),
        (
            is_there(|c| matches!(c, FunctionArgumentClause::IgnoreOrRespectNulls(_))),
            "IGNORE or RESPECT NULLS",
        ),
    ];
    let found = clauses.into_iter().find(|(is_there, _)| *is_there);
    found.map(|(_, clause)| clause)
}

/// As the planner looks it up; a name of several parts is no function to it.
fn name(function: &Function) -> Option<String> {
    match function.name.0.as_slice() {
        [ObjectNamePart::Identifier(one)] if one.quote_style.is_some() => Some(one.value.clone()),
        [ObjectNamePart::Identifier(one)] => Some(one.value.to_lowercase()),
        _ => None,
    }
}

fn refuse(clauses: &[Clause]) -> Result<(), QueryError> {
    match clauses.iter().find(|(is_there, ..)| *is_there) {
        Some((_, clause, hint)) => Err(syntax(format!("{clause} is not answered here"), *hint)),
        None => Ok(()),
    }
}
