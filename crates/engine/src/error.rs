//! Errors by what the caller does next.

use datafusion::error::DataFusionError;

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
    /// No KPI of that name.
    #[error("{0}")]
    UnknownKpi(String),
    /// A sum left the range of its type.
    #[error("{0}")]
    Overflow(String),
    /// KPI definitions or models that cannot be used, one message each.
    #[error("{}", .0.join("\n"))]
    Definitions(Vec<String>),
    /// Stored data could not be read.
    #[error("{0}")]
    Store(String),
    /// The query needs more memory than it may use.
    #[error("{0}")]
    OutOfMemory(String),
    /// A bug of ours.
    #[error("internal error: {0}")]
    Internal(String),
}

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

impl From<DataFusionError> for EngineError {
    fn from(error: DataFusionError) -> Self {
        use DataFusionError as D;
        match error {
            D::External(inner) => match inner.downcast::<EngineError>() {
                Ok(own) => *own,
                Err(other) => EngineError::Internal(other.to_string()),
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

/// An error that several streams hold can only be read, not taken.
fn from_shared(error: &DataFusionError) -> EngineError {
    match own(error) {
        Some(EngineError::Refused { reason, hint }) => EngineError::Refused {
            reason: reason.clone(),
            hint: hint.clone(),
        },
        Some(EngineError::Overflow(text)) => EngineError::Overflow(text.clone()),
        Some(other) => EngineError::Invalid(other.to_string()),
        None => classify(error),
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

fn classify(error: &DataFusionError) -> EngineError {
    use DataFusionError as D;
    let text = error.strip_backtrace();
    match error {
        D::ResourcesExhausted(_) => EngineError::OutOfMemory(text),
        D::ObjectStore(_) | D::IoError(_) | D::ParquetError(_) => EngineError::Store(text),
        D::Internal(_) | D::ExecutionJoin(_) => EngineError::Internal(text),
        D::NotImplemented(_) | D::Plan(_) | D::SchemaError(..) | D::SQL(..) => {
            EngineError::Invalid(text)
        }
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
