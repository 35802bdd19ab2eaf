//! What is wrong with a definition, where, and what to do.

use std::fmt;

/// One finding in a definition file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Name of the file.
    pub file: String,
    /// Line, counted from 1.
    pub line: u32,
    /// Column in characters, counted from 1.
    pub column: u32,
    /// The KPI concerned.
    pub kpi: Option<String>,
    /// What is wrong.
    pub message: String,
    /// What to do.
    pub hint: Option<String>,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}: ", self.file, self.line, self.column)?;
        if let Some(kpi) = &self.kpi {
            write!(f, "{kpi}: ")?;
        }
        f.write_str(&self.message)?;
        match &self.hint {
            Some(hint) => write!(f, "\n  hint: {hint}"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for Problem {}

/// No KPI has this id; the text names near ones.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("there is no KPI `{id}`; {hint}")]
pub struct UnknownKpi {
    /// What was asked for.
    pub id: String,
    /// Near ids, or where to look.
    pub hint: String,
}
