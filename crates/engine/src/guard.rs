//! What stands between the SQL of strangers and the planner.
//!
//! Planning is where a short text can cost minutes or the whole stack: two thousand `1+1`, a WITH
//! that doubles fourteen times, ten thousand brackets. [`check`] looks at the tokens first, then
//! at the parsed statement, and refuses what is too big with a reason and a hint. What it lets
//! through is rewritten (parameters numbered, long chains balanced, words of other dialects) and
//! parsed once. It holds on an ordinary stack.

mod dialect;
mod ignored;
mod limits;
mod nesting;
mod rewrite;
mod similar;
mod syntax;
mod tokens;

#[cfg(test)]
mod tests;

use datafusion::common::DataFusionError;
use datafusion::sql::parser::{DFParserBuilder, Statement};
use datafusion::sql::sqlparser::parser::ParserError;
use datafusion::sql::sqlparser::tokenizer::{Location, TokenWithSpan};

use crate::service::{ErrorKind, Position, QueryError};
use crate::statements::{self, Action};
use dialect::Metered;

pub use limits::GuardLimits;
pub(crate) use limits::{
    BATCH_BYTES_MAX, BATCH_STEPS_MAX, GROUP_BYTES_MAX, SERIES_ROWS_MAX, VALUE_BYTES_MAX,
};

/// Operands that the parser may begin to read for each token there can be.
const ATTEMPTS_PER_TOKEN: usize = 3;

/// The parser counts several calls for one bracket; its stack grows by itself.
const PARSER_CALLS_PER_LEVEL: usize = 6;

/// A statement that may be planned.
#[derive(Clone, Debug)]
pub struct Checked {
    /// What is to be done.
    pub action: Action,
    /// How many parameters it has: the highest `$n`; each `?` has become one.
    pub parameters: usize,
}

pub(crate) fn syntax(message: impl Into<String>, hint: impl Into<String>) -> QueryError {
    QueryError::new(ErrorKind::SqlSyntax, message).with_hint(hint)
}

fn too_complex(message: impl Into<String>, hint: impl Into<String>) -> QueryError {
    QueryError::new(ErrorKind::TooComplex, message).with_hint(hint)
}

fn place(token: &TokenWithSpan) -> Position {
    Position {
        line: token.span.start.line,
        column: token.span.start.column,
        length: Some(token.token.to_string().chars().count() as u64),
    }
}

/// Reads one statement, or says why it is not planned.
///
/// # Errors
/// A text that is not one statement of SQL, a statement that is not answered here, and one that
/// is over a limit.
pub fn check(text: &str, limits: &GuardLimits) -> Result<Checked, QueryError> {
    if text.len() > limits.text_bytes {
        return Err(too_complex(
            format!("the statement is longer than {} bytes", limits.text_bytes),
            "split it, or make its lists shorter",
        ));
    }
    let (tokens, parameters) = tokens::read(text, limits)?;
    let statement = parse(&tokens, limits)?;
    let mut action = statements::classify(statement, &tokens)?;
    if let Action::Query(statement) = &mut action {
        syntax::check(statement, limits)?;
        rewrite::rewrite(statement)?;
    }
    Ok(Checked { action, parameters })
}

fn parse(tokens: &[TokenWithSpan], limits: &GuardLimits) -> Result<Statement, QueryError> {
    let dialect = Metered::new(limits.tokens * ATTEMPTS_PER_TOKEN);
    let statements = DFParserBuilder::new(tokens.to_vec())
        .with_dialect(&dialect)
        .with_recursion_limit(limits.depth * PARSER_CALLS_PER_LEVEL)
        .build()
        .and_then(|mut parser| parser.parse_statements());
    if dialect.used_up() {
        return Err(too_deep(limits));
    }
    let mut statements = statements.map_err(|e| parse_error(&e, tokens, limits))?;
    match (statements.pop_front(), statements.is_empty()) {
        (Some(statement), true) => Ok(statement),
        (None, _) => Err(no_statement()),
        (Some(_), false) => Err(several_statements()),
    }
}

fn no_statement() -> QueryError {
    syntax("there is no statement", "write a query: SELECT ...")
}

fn several_statements() -> QueryError {
    syntax("there is more than one statement", "send one at a time")
}

fn parse_error(
    error: &DataFusionError,
    tokens: &[TokenWithSpan],
    limits: &GuardLimits,
) -> QueryError {
    match error {
        DataFusionError::Diagnostic(_, inner) | DataFusionError::Context(_, inner) => {
            parse_error(inner, tokens, limits)
        }
        DataFusionError::SQL(inner, _) => match inner.as_ref() {
            ParserError::RecursionLimitExceeded => too_deep(limits),
            ParserError::ParserError(text) | ParserError::TokenizerError(text) => {
                unreadable(text, tokens)
            }
        },
        other => unreadable(&other.strip_backtrace(), tokens),
    }
}

fn too_deep(limits: &GuardLimits) -> QueryError {
    too_complex(
        format!(
            "brackets and operators are nested deeper than {}",
            limits.depth
        ),
        "give the inner part a name with WITH, or join conditions by AND and OR without brackets",
    )
}

/// What the parser says, with the place taken out of its text.
fn unreadable(text: &str, tokens: &[TokenWithSpan]) -> QueryError {
    let (what, at) = split_place(text);
    let found = at.and_then(|at| tokens.iter().find(|t| t.span.start == at));
    let hint = if what.contains("found: [") {
        "names stand in double quotes: AS \"my name\""
    } else {
        "names stand in double quotes, texts in single quotes"
    };
    let refusal = syntax(first_lower(what), hint);
    match (found, at) {
        (Some(token), _) => refusal.at(place(token)),
        (None, Some(at)) => refusal.at(Position {
            line: at.line,
            column: at.column,
            length: None,
        }),
        (None, None) => refusal,
    }
}

/// `Expected: x, found: y at Line: 1, Column: 8` in two.
fn split_place(text: &str) -> (&str, Option<Location>) {
    let Some((what, place)) = text.rsplit_once(" at Line: ") else {
        return (text, None);
    };
    let numbers = place
        .split_once(", Column: ")
        .and_then(|(line, column)| Some((line.parse().ok()?, column.trim().parse().ok()?)));
    match numbers {
        Some((line, column)) => (what, Some(Location { line, column })),
        None => (text, None),
    }
}

fn first_lower(text: &str) -> String {
    let mut chars = text.chars();
    match chars.next() {
        Some(first) => first.to_lowercase().chain(chars).collect(),
        None => String::new(),
    }
}
