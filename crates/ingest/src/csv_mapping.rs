//! Tables as events, by a mapping file.
//!
//! A mapping (YAML) says how a CSV file is written, which clock its times show, what identifies a
//! row, and which events a row means. [`Mapping::parse`] checks it against the vocabulary before
//! the first row is read: an unknown event, field or list value, or a missing required field, is a
//! [`Problem`] with file, line, key and a hint. [`CsvRows`] then reads a table: each row becomes
//! all of its events or one reject; nothing in between.
//!
//! Event ids are made of the row key, so importing a table twice changes nothing. A row that
//! changed under the same key is an id conflict, not a silent second version.

mod condition;
mod node;
mod record;
mod rows;
mod rule;
mod spec;
mod value;

use std::fmt;

use events::Text;

pub use rows::{CsvError, CsvRow, CsvRows};

/// A checked mapping file.
#[derive(Debug)]
pub struct Mapping {
    spec: spec::Spec,
}

impl Mapping {
    /// Reads and checks a mapping. `file` is the name that problems show.
    ///
    /// # Errors
    /// Every problem found, in the order of the file.
    pub fn parse(file: &str, text: &str) -> Result<Self, Vec<Problem>> {
        spec::parse(file, text).map(|spec| Mapping { spec })
    }

    /// The sender that the events are of.
    pub fn source(&self) -> &Text {
        &self.spec.source
    }

    /// How fine the times are, as `1s`, if the mapping says so.
    pub fn resolution(&self) -> Option<&str> {
        self.spec.resolution.as_deref()
    }
}

/// Something wrong in a mapping file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Name of the mapping file.
    pub file: String,
    /// Line, from 1.
    pub line: u64,
    /// Column, from 1.
    pub column: u64,
    /// The key it is about, as `emit[1].data.reason`; empty for the whole file.
    pub key: String,
    /// What is wrong.
    pub message: String,
    /// What to do about it.
    pub hint: Option<String>,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}: ", self.file, self.line, self.column)?;
        if !self.key.is_empty() {
            write!(f, "{}: ", self.key)?;
        }
        write!(f, "{}", self.message)?;
        match &self.hint {
            Some(hint) => write!(f, "\n  hint: {hint}"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for Problem {}

#[cfg(test)]
mod tests;
