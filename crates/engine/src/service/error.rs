//! Why a query was not answered, in words that may be shown to whoever asked.
//!
//! No message holds a value of the data, a path or a plan: a role may not see what another's
//! error tells. Words of the statement itself are the asker's own. The rest goes to the log,
//! under the id of the query.

use std::time::Duration;

use arrow::error::ArrowError;
use datafusion::common::{Column, SchemaError, Span};
use datafusion::error::DataFusionError;

use super::limits::{MESSAGE_CHARS_MAX, RETRY_AFTER};
use crate::error::{BEHIND, BEHIND_HINT, EngineError, plain, sql_types};

/// Why a query was not answered.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}{}", hint.as_deref().map(|h| format!("\n  hint: {h}")).unwrap_or_default())]
pub struct QueryError {
    /// What the caller does about it.
    pub kind: ErrorKind,
    /// One line: what is wrong.
    pub message: String,
    /// What to write or do instead.
    pub hint: Option<String>,
    /// Where in the statement.
    pub position: Option<Position>,
}

/// A place in a statement; lines and columns count from 1, columns in characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Position {
    /// The line.
    pub line: u64,
    /// The column.
    pub column: u64,
    /// Characters from there, if that is known.
    pub length: Option<u64>,
}

/// Errors by what the caller does about them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ErrorKind {
    /// The statement does not parse, or its types do not fit.
    SqlSyntax,
    /// It names a table, column or function that is not there.
    UnknownName,
    /// It would give a wrong or meaningless number.
    KpiMisuse,
    /// A parameter or option is missing or cannot be read.
    BadParameter,
    /// A value in the data does not fit an operation of the query.
    BadValue,
    /// Refused before it runs: it would take too much.
    TooComplex,
    /// No KPI, query or statement of that name.
    NotFound,
    /// It needs more memory, rows or bytes than one query gets.
    QueryLimit,
    /// Too many queries wait.
    Busy {
        /// When to try again.
        retry_after: Duration,
    },
    /// It took too long.
    Deadline,
    /// Somebody ended it.
    Cancelled,
    /// Stored data could not be read.
    DataDamaged,
    /// Confirmed events are not in the data, and will not be before somebody has seen to it.
    Behind,
    /// Not offered here.
    Unimplemented,
    /// The service is stopping.
    Stopped,
    /// A bug of ours.
    Internal,
}

impl ErrorKind {
    /// The word for it in answers and metrics.
    pub fn word(self) -> &'static str {
        match self {
            ErrorKind::SqlSyntax => "sql_syntax",
            ErrorKind::UnknownName => "unknown_name",
            ErrorKind::KpiMisuse => "kpi_misuse",
            ErrorKind::BadParameter => "bad_parameter",
            ErrorKind::BadValue => "bad_value",
            ErrorKind::TooComplex => "query_too_complex",
            ErrorKind::NotFound => "not_found",
            ErrorKind::QueryLimit => "query_limit",
            ErrorKind::Busy { .. } => "busy",
            ErrorKind::Deadline => "deadline",
            ErrorKind::Cancelled => "cancelled",
            ErrorKind::DataDamaged => "data_damaged",
            ErrorKind::Behind => "storage_stopped",
            ErrorKind::Unimplemented => "unimplemented",
            ErrorKind::Stopped => "stopped",
            ErrorKind::Internal => "internal",
        }
    }
}

impl QueryError {
    /// An error without hint and place.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        QueryError {
            kind,
            message: message.into(),
            hint: None,
            position: None,
        }
    }

    /// The same with what to do.
    #[must_use]
    pub fn with_hint(self, hint: impl Into<String>) -> Self {
        QueryError {
            hint: Some(hint.into()),
            ..self
        }
    }

    /// The same with a place in the statement.
    #[must_use]
    pub fn at(self, position: Position) -> Self {
        QueryError {
            position: Some(position),
            ..self
        }
    }

    pub(super) fn busy(what: &str) -> Self {
        let kind = ErrorKind::Busy {
            retry_after: RETRY_AFTER,
        };
        QueryError::new(
            kind,
            format!("too many queries {what}: try again in a moment"),
        )
    }

    pub(super) fn internal() -> Self {
        QueryError::new(
            ErrorKind::Internal,
            "something went wrong inside the engine",
        )
        .with_hint("the server's log says more, under the id of the query")
    }
}

impl From<EngineError> for QueryError {
    fn from(error: EngineError) -> Self {
        let (kind, text) = match error {
            EngineError::Refused { reason, hint } => {
                let error = QueryError::new(ErrorKind::KpiMisuse, reason);
                return QueryError { hint, ..error };
            }
            EngineError::Invalid(text) => (ErrorKind::BadParameter, text),
            EngineError::UnknownKpi(text) => return unknown_kpi(ErrorKind::NotFound, &text),
            EngineError::Overflow(text) | EngineError::BadValue(text) => {
                (ErrorKind::BadValue, text)
            }
            EngineError::Unfit(detail) => return unfit(&detail),
            EngineError::OutOfMemory(detail) => return exhausted(&detail),
            EngineError::Store(detail) => return unreadable(&detail),
            EngineError::DataDamaged { file } => return damaged(&file),
            EngineError::Behind => {
                return QueryError::new(ErrorKind::Behind, BEHIND).with_hint(BEHIND_HINT);
            }
            EngineError::Definitions(problems) => return internal(&problems.join("; ")),
            EngineError::Internal(detail) => return internal(&detail),
        };
        QueryError::new(kind, first_line(&text))
    }
}

impl From<DataFusionError> for QueryError {
    fn from(error: DataFusionError) -> Self {
        let span = error.diagnostic().and_then(|d| d.span);
        let told = of(&error).unwrap_or_else(|| EngineError::from(error).into());
        match (told.position, span) {
            (None, Some(span)) => told.at(position_of(span)),
            _ => told,
        }
    }
}

/// What DataFusion's errors say better than [`EngineError`] does: kind and place.
fn of(error: &DataFusionError) -> Option<QueryError> {
    use DataFusionError as D;
    if let Some((message, hint)) = plain(error) {
        let kind = match error {
            D::NotImplemented(_) => ErrorKind::Unimplemented,
            _ => ErrorKind::SqlSyntax,
        };
        let error = QueryError::new(kind, first_line(&message));
        return Some(error.with_hint(hint));
    }
    Some(match error {
        D::Context(_, inner) | D::Diagnostic(_, inner) => return of(inner),
        D::Shared(inner) => return of(inner),
        D::Collection(errors) => return errors.first().and_then(of),
        D::SQL(error, _) => syntax(&error.to_string()),
        D::SchemaError(error, _) => of_schema(error),
        D::Plan(text) => planning(text),
        D::NotImplemented(text) => {
            QueryError::new(ErrorKind::Unimplemented, first_line(&sql_types(text)))
        }
        D::ArrowError(error, _) => match error.as_ref() {
            ArrowError::DivideByZero => QueryError::new(ErrorKind::BadValue, "division by zero")
                .with_hint("divide by NULLIF(x, 0) to get NULL"),
            _ => return None,
        },
        D::External(inner) => match inner.downcast_ref::<QueryError>() {
            Some(own) => own.clone(),
            None => return in_sql(inner.downcast_ref::<EngineError>()?),
        },
        _ => return None,
    })
}

/// A KPI that is not there is a wrong name in SQL, not a missing page.
fn in_sql(error: &EngineError) -> Option<QueryError> {
    match error {
        EngineError::UnknownKpi(text) => Some(unknown_kpi(ErrorKind::UnknownName, text)),
        _ => None,
    }
}

/// What the command line advises is of no use at a door: there the catalogue is a table.
fn unknown_kpi(kind: ErrorKind, text: &str) -> QueryError {
    let Some((message, hint)) = text.split_once("; ") else {
        return QueryError::new(kind, first_line(text));
    };
    let hint = match hint.starts_with("did you mean") {
        true => hint,
        false => "SELECT kpi FROM kpi.catalog lists all",
    };
    QueryError::new(kind, first_line(message)).with_hint(hint)
}

/// The parser's message ends with the place.
fn syntax(text: &str) -> QueryError {
    let text = text.trim_start_matches("sql parser error: ");
    let Some((what, place)) = text.rsplit_once(" at Line: ") else {
        return QueryError::new(ErrorKind::SqlSyntax, first_line(text));
    };
    let error = QueryError::new(ErrorKind::SqlSyntax, first_line(what));
    let numbers = place.split_once(", Column: ");
    match numbers.map(|(line, column)| (line.parse(), column.trim().parse())) {
        Some((Ok(line), Ok(column))) => error.at(Position {
            line,
            column,
            length: None,
        }),
        _ => error,
    }
}

/// A column that is not there, or there twice.
pub(crate) fn of_schema(error: &SchemaError) -> QueryError {
    match error {
        SchemaError::FieldNotFound {
            field,
            valid_fields,
        } => {
            let error = QueryError::new(
                ErrorKind::UnknownName,
                format!("there is no column {}", field.quoted_flat_name()),
            );
            match nearest(field, valid_fields) {
                Some(near) => error.with_hint(format!("did you mean {near}?")),
                None => error,
            }
        }
        SchemaError::AmbiguousReference { field } => ambiguous(field),
        other => QueryError::new(ErrorKind::SqlSyntax, first_line(&other.to_string())),
    }
}

fn ambiguous(field: &Column) -> QueryError {
    let name = field.quoted_flat_name();
    let told = |message| QueryError::new(ErrorKind::UnknownName, message);
    match field.relation {
        None => {
            told(format!("{name} is in more than one table")).with_hint("write the table before it")
        }
        Some(_) => told(format!(
            "{name} is there twice, once under a name given with AS"
        ))
        .with_hint("give the other column another name: AS other"),
    }
}

fn nearest<'a>(field: &Column, known: &'a [Column]) -> Option<&'a str> {
    let names = known
        .iter()
        .map(Column::name)
        .filter(|name| !name.starts_with("__"));
    kpi::nearest(&field.name, names)
}

/// Errors of planning are about the statement alone, nothing has been read yet.
fn planning(text: &str) -> QueryError {
    unknown_name(text).unwrap_or_else(|| {
        let line = first_line(&sql_types(text));
        QueryError::new(ErrorKind::SqlSyntax, line)
    })
}

/// A table or function that is not there.
pub(crate) fn unknown_name(text: &str) -> Option<QueryError> {
    let unknown = |message: String| QueryError::new(ErrorKind::UnknownName, message);
    if let Some(name) = between(text, "table '", "' not found") {
        let name = name.strip_prefix("callgauge.").unwrap_or(name);
        let error = unknown(format!("there is no table {name}"));
        return Some(error.with_hint("SHOW TABLES lists them"));
    }
    if let Some(name) = between(text, "table function '", "' not found") {
        return Some(unknown(format!("there is no table function {name}")));
    }
    let name = between(text, "Invalid function '", "'")?;
    let error = unknown(format!("there is no function {name}"));
    // What DataFusion thinks is near may be anything.
    let near = between(text, "Did you mean '", "'");
    Some(
        match near.filter(|near| kpi::nearest(name, [*near]).is_some()) {
            Some(near) => error.with_hint(format!("did you mean {near}?")),
            None => error,
        },
    )
}

fn between<'a>(text: &'a str, before: &str, after: &str) -> Option<&'a str> {
    let (_, rest) = text.split_once(before)?;
    Some(rest.split_once(after)?.0)
}

fn position_of(span: Span) -> Position {
    let one_line = span.start.line == span.end.line;
    let length = span.end.column.checked_sub(span.start.column);
    Position {
        line: span.start.line,
        column: span.start.column,
        length: length.filter(|n| one_line && *n > 0),
    }
}

fn unfit(detail: &str) -> QueryError {
    tracing::debug!(detail, "a value did not fit a query");
    let message = "a value in the data does not fit an operation of the query";
    QueryError::new(ErrorKind::BadValue, message)
        .with_hint("TRY_CAST gives NULL where a value cannot be read")
}

fn exhausted(detail: &str) -> QueryError {
    tracing::debug!(detail, "a query needs more than it gets");
    let what = if detail.contains("disk space") {
        "more disk space for spilling than queries get"
    } else {
        "more memory than one query gets"
    };
    QueryError::new(ErrorKind::QueryLimit, format!("the query needs {what}"))
        .with_hint("ask for a shorter time range, fewer groups or fewer columns")
}

/// Files are named by numbers of ours, so the name may be shown.
fn damaged(file: &str) -> QueryError {
    tracing::error!(file, "a query needs a damaged file");
    QueryError::new(
        ErrorKind::DataDamaged,
        format!("the data file {file} is damaged"),
    )
    .with_hint("stop the server and run `callgauge repair`")
}

fn unreadable(detail: &str) -> QueryError {
    tracing::error!(detail, "stored data could not be read");
    QueryError::new(ErrorKind::DataDamaged, "stored data could not be read")
        .with_hint("`callgauge check` says what is damaged")
}

fn internal(detail: &str) -> QueryError {
    tracing::error!(detail, "a query failed inside the engine");
    QueryError::internal()
}

/// One line of bounded length.
fn first_line(text: &str) -> String {
    let line = text.lines().next().unwrap_or_default();
    line.chars().take(MESSAGE_CHARS_MAX).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_place_of_a_syntax_error_is_taken_out_of_its_text() {
        let error = syntax("Expected: an expression, found: FROM at Line: 2, Column: 8");
        assert_eq!(error.message, "Expected: an expression, found: FROM");
        let position = error.position.expect("a place");
        assert_eq!((position.line, position.column), (2, 8));
    }

    #[test]
    fn a_value_of_the_data_is_not_in_the_message() {
        let cast = ArrowError::CastError("Cannot cast string 'secret' to value of Int32".into());
        for error in [
            DataFusionError::ArrowError(Box::new(cast), None),
            DataFusionError::Execution("cannot read 'secret'".into()),
        ] {
            let told = QueryError::from(error.context("while running"));
            assert_eq!(told.kind, ErrorKind::BadValue);
            assert!(!format!("{told:?}").contains("secret"), "{told:?}");
        }
    }

    #[test]
    fn a_regular_expression_is_not_taken_for_a_value_that_does_not_fit() {
        let text = "Regular expression did not compile: Syntax(secret*(";
        let arrow = ArrowError::ComputeError(text.into());
        let told = QueryError::from(DataFusionError::ArrowError(Box::new(arrow), None));
        assert_eq!(told.kind, ErrorKind::BadValue);
        let message = "a regular expression cannot be read, or is too large";
        assert_eq!(told.message, message);
    }

    #[test]
    fn no_types_of_the_engine_are_in_a_message() {
        let types = "Timestamp(µs, \"UTC\") * Int64";
        for (text, message) in [
            (
                format!("Cannot coerce arithmetic expression {types} to valid types"),
                "TIMESTAMP * BIGINT cannot be computed",
            ),
            (
                "Failed to coerce arguments to satisfy a call to 'f' function: coercion from \
                 Float64 to the signature OneOf(Exact(Date32)) failed. No function matches the \
                 given name and argument types 'f(Float64)'. You might\n\tCandidate"
                    .to_owned(),
                "f does not take (DOUBLE)",
            ),
            (
                "Execution error: Function 'f' user-defined coercion failed with: Error during \
                 planning: f takes two times. No function matches the given name and argument \
                 types 'f(Utf8)'. You"
                    .to_owned(),
                "f takes two times",
            ),
            (
                "Incompatible inputs for Union: List(non-null Utf8)".to_owned(),
                "Incompatible inputs for Union: ARRAY",
            ),
        ] {
            let told = QueryError::from(DataFusionError::Plan(text));
            assert_eq!(told.message, message);
            assert_eq!(told.kind, ErrorKind::SqlSyntax);
        }
    }

    #[test]
    fn a_kpi_that_is_not_there_is_looked_for_where_the_caller_can() {
        let text = "there is no KPI `nope`; `callgauge kpi list` shows all ids".to_owned();
        let told = QueryError::from(EngineError::UnknownKpi(text));
        assert_eq!(told.message, "there is no KPI `nope`");
        let hint = told.hint.expect("a hint");
        assert!(!hint.contains("callgauge kpi"), "{hint}");
    }

    #[test]
    fn a_path_is_not_in_the_message() {
        let io = std::io::Error::other("/var/lib/callgauge/parquet/legs/x.parquet");
        let told = QueryError::from(DataFusionError::IoError(io));
        assert_eq!(told.kind, ErrorKind::DataDamaged);
        assert!(!format!("{told:?}").contains("parquet"), "{told:?}");
    }
}
