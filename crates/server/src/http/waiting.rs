//! How long the oldest unanswered delivery has been waiting: a commit loop that has stopped shows
//! here, while a quiet night does not.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::time::Instant;

/// Deliveries that wait for their answer.
#[derive(Debug, Default)]
pub(crate) struct Waiting {
    next: AtomicU64,
    since: Mutex<BTreeMap<u64, Instant>>,
}

/// One of them; dropped when it is answered.
#[derive(Debug)]
pub(crate) struct Waiter {
    waiting: Arc<Waiting>,
    id: u64,
}

impl Waiting {
    /// A delivery begins to wait.
    pub(crate) fn enter(self: &Arc<Self>) -> Waiter {
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        let mut since = self.since.lock().unwrap_or_else(PoisonError::into_inner);
        since.insert(id, Instant::now());
        drop(since);
        Waiter {
            waiting: Arc::clone(self),
            id,
        }
    }

    /// How long the oldest one has been waiting; zero if none does.
    pub(crate) fn longest(&self) -> Duration {
        let since = self.since.lock().unwrap_or_else(PoisonError::into_inner);
        let oldest = since.first_key_value();
        oldest.map_or(Duration::ZERO, |(_, instant)| instant.elapsed())
    }
}

impl Drop for Waiter {
    fn drop(&mut self) {
        let since = self.waiting.since.lock();
        since
            .unwrap_or_else(PoisonError::into_inner)
            .remove(&self.id);
    }
}
