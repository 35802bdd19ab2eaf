//! What came of the queries so far.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use super::ErrorKind;

/// Numbers of the service, for its operator.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct QueryStats {
    /// Queries by what came of them: `ok`, or the word of an error's kind.
    pub outcomes: BTreeMap<&'static str, u64>,
    /// Queries that run now.
    pub running: usize,
    /// Queries that wait for their turn.
    pub waiting: usize,
    /// Queries that were told to end more than a second ago and still have work going on.
    pub lingering: usize,
    /// Planners past their deadline that are still at work.
    pub stuck_planners: usize,
    /// Bytes that queries have reserved.
    pub memory_bytes: usize,
    /// Bytes that queries have spilled to disk and still need.
    pub spilled_bytes: u64,
}

/// Counts of outcomes by word.
#[derive(Default)]
pub(super) struct Counts(Mutex<BTreeMap<&'static str, u64>>);

impl Counts {
    /// One more; `None` is a good end.
    pub(super) fn add(&self, failed: Option<ErrorKind>) {
        let word = failed.map_or("ok", ErrorKind::word);
        *self
            .0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .entry(word)
            .or_default() += 1;
    }

    pub(super) fn all(&self) -> BTreeMap<&'static str, u64> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}
