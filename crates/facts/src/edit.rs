//! What one batch of events changes in the fact tables.

use std::sync::Arc;

use events::{Event, Text};

use crate::FactRows;

/// What to store for one batch: its events, and the rows that go and come.
#[derive(Clone, Debug, Default)]
pub struct FactEdit {
    /// Every event of the batch, in the order given.
    pub events: Vec<StoredEvent>,
    /// Rows of earlier batches that have changed or vanished, to be found by their key.
    pub removed: FactRows,
    /// New rows and the new state of changed rows. Unchanged rows are in neither list.
    pub added: FactRows,
}

/// An event and the entity that it was folded into.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredEvent {
    /// The event; shared with what the folder keeps in memory.
    pub event: Arc<Event>,
    /// A name for the entity, as `interaction:c81`: events stored under one name belong together.
    /// Later events of the same entity may carry another name.
    pub entity: Text,
}
