//! Which statements there are besides queries, and what they do.
//!
//! `SET` and `RESET` change a session and nothing else. BI tools set what they know from other
//! databases and ask for it: names that mean nothing here are accepted, two questions have a
//! fixed answer. Whatever would write is refused before it is planned.

use datafusion::sql::parser::{DFParser, ResetStatement, Statement};
use datafusion::sql::sqlparser::ast::{self, Expr, Ident, ObjectName, Set, Value};
use datafusion::sql::sqlparser::tokenizer::{Token, TokenWithSpan};

use crate::guard::syntax;
use crate::service::{ErrorKind, QueryError};
use crate::session::SessionChange;

/// What a statement asks for.
#[derive(Clone, Debug)]
pub enum Action {
    /// Rows: a query, EXPLAIN, SHOW or DESCRIBE, to be planned as it is here.
    Query(Box<Statement>),
    /// Another session for the statements that follow.
    Change(SessionChange),
}

/// Sorts a statement.
pub(crate) fn classify(
    statement: Statement,
    tokens: &[TokenWithSpan],
) -> Result<Action, QueryError> {
    match statement {
        Statement::Statement(inner) => match *inner {
            ast::Statement::Set(set) => Ok(assignment(set)),
            ast::Statement::Reset(reset) => Ok(match reset.reset {
                ast::Reset::ALL => Action::Change(SessionChange::Reset { name: None }),
                ast::Reset::ConfigurationParameter(name) => reset_of(&plain(&name)),
            }),
            ast::Statement::ShowVariable { variable } => show(&variable),
            other if is_query(&other) => Ok(Action::Query(Box::new(Statement::Statement(
                Box::new(other),
            )))),
            _ => Err(only_queries(&first_word(tokens))),
        },
        Statement::Reset(ResetStatement::Variable(name)) => Ok(reset_of(&plain(&name))),
        Statement::Explain(explain) => match explain.statement.as_ref() {
            Statement::Statement(inner) if is_query(inner) => {
                Ok(Action::Query(Box::new(Statement::Explain(explain))))
            }
            _ => Err(only_queries("EXPLAIN of anything but a query")),
        },
        Statement::CreateExternalTable(_) | Statement::CopyTo(_) => {
            Err(only_queries(&first_word(tokens)))
        }
    }
}

fn is_query(statement: &ast::Statement) -> bool {
    use ast::Statement as S;
    match statement {
        S::Query(_)
        | S::ExplainTable { .. }
        | S::ShowTables { .. }
        | S::ShowColumns { .. }
        | S::ShowFunctions { .. } => true,
        S::Explain { statement, .. } => matches!(statement.as_ref(), S::Query(_)),
        _ => false,
    }
}

/// A statement that does more than read.
pub(crate) fn only_queries(what: &str) -> QueryError {
    syntax(
        format!("{what} is not answered here"),
        "only queries are: SELECT, SHOW, EXPLAIN, and SET of a session's variables",
    )
}

/// The engine's own settings name folders.
pub(crate) fn no_settings() -> QueryError {
    unknown(
        "information_schema.df_settings is not shown",
        "SHOW TABLES lists what is there",
    )
}

fn unknown(message: impl Into<String>, hint: impl Into<String>) -> QueryError {
    QueryError::new(ErrorKind::UnknownName, message).with_hint(hint)
}

fn first_word(tokens: &[TokenWithSpan]) -> String {
    let word = tokens.iter().find_map(|t| match &t.token {
        Token::Word(word) => Some(word.value.to_uppercase()),
        _ => None,
    });
    word.unwrap_or_else(|| "this statement".to_owned())
}

/// Parts joined by dots, without quotes, in lower case.
fn plain(name: &ObjectName) -> String {
    let parts = name.0.iter().map(|part| match part.as_ident() {
        Some(ident) => ident.value.to_lowercase(),
        None => part.to_string().to_lowercase(),
    });
    parts.collect::<Vec<_>>().join(".")
}

fn assignment(set: Set) -> Action {
    let (name, values) = match set {
        Set::SingleAssignment {
            variable, values, ..
        } => (plain(&variable), values),
        // MySQL's lists and the standard's own words: known to nobody here.
        Set::SetTimeZone { value, .. } => ("timezone".to_owned(), vec![value]),
        other => (other.to_string().to_lowercase(), Vec::new()),
    };
    let values: Vec<String> = values.iter().map(text_of).collect();
    Action::Change(SessionChange::Set {
        name,
        value: values.join(", "),
    })
}

fn text_of(value: &Expr) -> String {
    match value {
        Expr::Value(value) => match &value.value {
            Value::SingleQuotedString(text) | Value::DoubleQuotedString(text) => text.clone(),
            other => other.to_string(),
        },
        Expr::Identifier(ident) => ident.value.clone(),
        other => other.to_string(),
    }
}

fn reset_of(name: &str) -> Action {
    let name = name.to_lowercase();
    Action::Change(SessionChange::Reset {
        name: (name != "all").then_some(name),
    })
}

fn show(variable: &[Ident]) -> Result<Action, QueryError> {
    let words: Vec<String> = variable.iter().map(|i| i.value.to_lowercase()).collect();
    let text = match words.join(" ").as_str() {
        "transaction isolation level" | "transaction_isolation" => {
            "SELECT 'read committed' AS transaction_isolation"
        }
        "standard_conforming_strings" => "SELECT 'on' AS standard_conforming_strings",
        "timezone" | "time zone" => "SELECT 'UTC' AS timezone",
        // The one schema of the list that is looked at.
        "search_path" => "SELECT current_schema() AS search_path",
        _ => return Err(unknown_variable(&words.join("."))),
    };
    let mut parsed =
        DFParser::parse_sql(text).map_err(|e| syntax(e.strip_backtrace(), "write SHOW TABLES"))?;
    match parsed.pop_front() {
        Some(statement) => Ok(Action::Query(Box::new(statement))),
        None => Err(unknown_variable(&words.join("."))),
    }
}

fn unknown_variable(name: &str) -> QueryError {
    unknown(
        format!("there is no variable {name}"),
        "SHOW knows search_path, timezone, transaction isolation level, standard_conforming_strings",
    )
}
