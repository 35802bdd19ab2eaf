//! Errors by what the caller does next.

mod plain;

use datafusion::common::SchemaError;
use datafusion::error::DataFusionError;

use crate::service::{self, QueryError};

pub(crate) use plain::{plain, sql_types};

/// Why a query or a definition was not answered.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// The query asks for something that would give a wrong or meaningless number.
    #[error("{reason}{}", hint_line(hint.as_deref()))]
    Refused {
        /// One line: what is wrong.
        reason: String,
        /// What to write instead.
        hint: Option<String>,
    },
    /// The query does not parse, names something unknown or mixes types.
    #[error("{0}")]
    Invalid(String),
    /// A value in the data does not fit what the query does with it. The text may hold the value.
    #[error("{0}")]
    Unfit(String),
    /// No KPI of that name.
    #[error("{0}")]
    UnknownKpi(String),
    /// A sum left the range of its type.
    #[error("{0}")]
    Overflow(String),
    /// A value that a function cannot take, or a result that would be too large.
    #[error("{0}")]
    BadValue(String),
    /// KPI definitions or models that cannot be used, one message each.
    #[error("{}", .0.join("\n"))]
    Definitions(Vec<String>),
    /// Stored data could not be read.
    #[error("{0}")]
    Store(String),
    /// A data file that the query needs is damaged: no answer rather than a wrong one.
    #[error(
        "data_damaged: {file} is damaged, so there is no answer that needs it{}",
        hint_line(Some(DAMAGE_HINT))
    )]
    DataDamaged {
        /// The file, relative to the data folder.
        file: String,
    },
    /// Ingest has stopped, and events that were confirmed are not in the data: no answer rather than one
    /// without them.
    #[error("storage_stopped: {BEHIND}{}", hint_line(Some(BEHIND_HINT)))]
    Behind,
    /// The query needs more memory than it may use.
    #[error("{0}")]
    OutOfMemory(String),
    /// A bug of ours.
    #[error("internal error: {0}")]
    Internal(String),
}

const DAMAGE_HINT: &str =
    "`callgauge check` names all damaged files, `callgauge repair` mends them";

pub(crate) const BEHIND: &str =
    "ingest has stopped, and events that were confirmed are in the log but not in the data";
pub(crate) const BEHIND_HINT: &str =
    "the server's log says why; stop it and run `callgauge repair`, or start it again";

fn hint_line(hint: Option<&str>) -> String {
    hint.map(|h| format!("\n  hint: {h}")).unwrap_or_default()
}

impl EngineError {
    /// A refusal with a reason of one line and a hint.
    pub(crate) fn refused(reason: impl Into<String>, hint: impl Into<String>) -> Self {
        EngineError::Refused {
            reason: reason.into(),
            hint: Some(hint.into()),
        }
    }

    /// Can the data be the reason, so that another question over them may have an answer?
    pub(crate) fn is_about_the_data(&self) -> bool {
        use EngineError as E;
        matches!(
            self,
            E::Refused { .. } | E::Invalid(_) | E::BadValue(_) | E::Overflow(_)
        )
    }

    /// The same error once more, for whoever can only read this one.
    pub(crate) fn again(&self) -> EngineError {
        match self {
            EngineError::Refused { reason, hint } => EngineError::Refused {
                reason: reason.clone(),
                hint: hint.clone(),
            },
            EngineError::Overflow(text) => EngineError::Overflow(text.clone()),
            EngineError::BadValue(text) => EngineError::BadValue(text.clone()),
            EngineError::DataDamaged { file } => EngineError::DataDamaged { file: file.clone() },
            EngineError::Behind => EngineError::Behind,
            other => EngineError::Invalid(other.to_string()),
        }
    }

    pub(crate) fn definitions<P: std::fmt::Display>(problems: Vec<P>) -> Self {
        EngineError::Definitions(problems.iter().map(ToString::to_string).collect())
    }
}

/// A refusal on its way through DataFusion.
pub(crate) fn refuse(reason: impl Into<String>, hint: impl Into<String>) -> DataFusionError {
    EngineError::refused(reason, hint).into()
}

impl From<EngineError> for DataFusionError {
    fn from(error: EngineError) -> Self {
        DataFusionError::External(Box::new(error))
    }
}

/// What a door shows as it is, the command line shows as a refusal.
impl From<QueryError> for EngineError {
    fn from(error: QueryError) -> Self {
        let reason = match error.position {
            Some(at) => format!("{} (line {}, column {})", error.message, at.line, at.column),
            None => error.message,
        };
        EngineError::Refused {
            reason,
            hint: error.hint,
        }
    }
}

impl From<DataFusionError> for EngineError {
    fn from(error: DataFusionError) -> Self {
        use DataFusionError as D;
        match error {
            D::External(inner) => match inner.downcast::<EngineError>() {
                Ok(own) => *own,
                Err(other) => match other.downcast::<QueryError>() {
                    Ok(told) => EngineError::from(*told),
                    Err(other) => foreign(&*other),
                },
            },
            D::Context(_, inner) => EngineError::from(*inner),
            D::Diagnostic(_, inner) => EngineError::from(*inner),
            D::Shared(inner) => from_shared(&inner),
            D::Collection(errors) => match errors.into_iter().next() {
                Some(first) => EngineError::from(first),
                None => EngineError::Internal("an empty collection of errors".to_owned()),
            },
            D::ArrowError(inner, trace) => match *inner {
                arrow::error::ArrowError::ExternalError(e) if e.is::<EngineError>() => {
                    *e.downcast::<EngineError>().expect("the guard has looked")
                }
                other => classify(&D::ArrowError(Box::new(other), trace)),
            },
            other => classify(&other),
        }
    }
}

/// An error that neither DataFusion nor we have made.
fn foreign(error: &(dyn std::error::Error + 'static)) -> EngineError {
    match damaged_file(error) {
        Some(file) => EngineError::DataDamaged { file },
        None => unexpected(&error.to_string()),
    }
}

/// An error of a library below DataFusion, or one that it does not expect: a bug of ours, but for
/// a regular expression.
fn unexpected(text: &str) -> EngineError {
    of_pattern(text).unwrap_or_else(|| EngineError::Internal(text.to_owned()))
}

/// A regular expression that cannot be used. It may be a value of the data, and is not shown.
fn of_pattern(text: &str) -> Option<EngineError> {
    let signs = [
        "regex parse error",
        "Regular expression",
        "regex exceeds size",
    ];
    let told = "a regular expression cannot be read, or is too large";
    let found = signs.iter().any(|words| text.contains(words));
    found.then(|| EngineError::BadValue(told.to_owned()))
}

/// An error that several streams hold can only be read, not taken.
fn from_shared(error: &DataFusionError) -> EngineError {
    match own(error) {
        Some(ours) => ours.again(),
        None => classify(error),
    }
}

/// The column that a query names and that is not there.
pub(crate) fn missing_column(error: &DataFusionError) -> Option<&str> {
    use DataFusionError as D;
    match error {
        D::SchemaError(inner, _) => match inner.as_ref() {
            SchemaError::FieldNotFound { field, .. } => Some(&field.name),
            _ => None,
        },
        D::Context(_, inner) | D::Diagnostic(_, inner) => missing_column(inner),
        D::Shared(inner) => missing_column(inner),
        D::Collection(errors) => errors.first().and_then(missing_column),
        _ => None,
    }
}

fn own(error: &DataFusionError) -> Option<&EngineError> {
    use DataFusionError as D;
    match error {
        D::External(inner) => inner.downcast_ref(),
        D::Context(_, inner) | D::Diagnostic(_, inner) => own(inner),
        D::Shared(inner) => own(inner),
        D::Collection(errors) => errors.first().and_then(own),
        _ => None,
    }
}

/// The damaged file behind an error, however deep.
fn damaged_file(error: &(dyn std::error::Error + 'static)) -> Option<String> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(damaged) = error.downcast_ref::<store::Error>() {
            return damaged.damaged_file();
        }
        next = error.source();
    }
    // Where metadata are read, DataFusion makes a text of the error.
    store::damaged_file_in(&error.to_string())
}

fn store_error(error: &DataFusionError, text: String) -> EngineError {
    match damaged_file(error) {
        Some(file) => EngineError::DataDamaged { file },
        None => EngineError::Store(text),
    }
}

fn classify(error: &DataFusionError) -> EngineError {
    use DataFusionError as D;
    let text = error.strip_backtrace();
    if let Some((reason, hint)) = plain(error) {
        return EngineError::refused(reason, hint);
    }
    match error {
        D::ResourcesExhausted(_) => EngineError::OutOfMemory(text),
        D::ObjectStore(_) | D::IoError(_) | D::ParquetError(_) => store_error(error, text),
        D::ArrowError(..) if damaged_file(error).is_some() => store_error(error, text),
        D::Internal(_) | D::ExecutionJoin(_) => unexpected(&text),
        D::ArrowError(..) | D::Execution(_) => {
            of_pattern(&text).unwrap_or(EngineError::Unfit(text))
        }
        D::SchemaError(inner, _) => service::of_schema(inner).into(),
        D::Plan(said) => match service::unknown_name(said) {
            Some(told) => told.into(),
            None => EngineError::Invalid(sql_types(&text)),
        },
        D::NotImplemented(_) => EngineError::Invalid(sql_types(&text)),
        _ => EngineError::Invalid(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_keeps_reason_and_hint_through_datafusion() {
        let travelled = EngineError::from(refuse("no", "yes").context("while planning"));
        assert_eq!(travelled.to_string(), "no\n  hint: yes");
    }

    #[test]
    fn an_error_held_by_several_streams_is_still_recognised() {
        let shared = DataFusionError::Shared(std::sync::Arc::new(refuse("no", "yes")));
        assert!(matches!(
            EngineError::from(shared),
            EngineError::Refused { .. }
        ));
    }
}
