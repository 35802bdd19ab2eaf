//! What was folded before and is no longer in memory.

use events::Event;

/// Access to the events of stored entities.
pub trait History {
    /// May a stored entity carry this link? Never `false` for one that does.
    fn may_know(&self, link: u64) -> bool;

    /// All events of every stored entity that has one of these links, and of every entity linked
    /// to those, until nothing is missing. Order and repeats do not matter.
    ///
    /// # Errors
    /// When the store cannot be read; nothing of the batch has been applied then.
    fn load(&self, links: &[u64]) -> Result<Vec<Event>, HistoryError>;
}

/// The history of a store without events.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoHistory;

impl History for NoHistory {
    fn may_know(&self, _link: u64) -> bool {
        false
    }
    fn load(&self, _links: &[u64]) -> Result<Vec<Event>, HistoryError> {
        Ok(Vec::new())
    }
}

/// The store could not be read.
#[derive(Debug, thiserror::Error)]
#[error("earlier events cannot be read: {0}")]
pub struct HistoryError(#[source] pub Box<dyn std::error::Error + Send + Sync>);

impl HistoryError {
    /// Wraps the store's own error.
    pub fn new(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        HistoryError(error.into())
    }
}
