//! A bounded number inside, a bounded number waiting in their order, and nobody else.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// See the module.
pub(super) struct Gate {
    inside: Arc<Semaphore>,
    waiting: AtomicUsize,
    waiting_max: usize,
}

/// A place inside; free again when it is dropped.
pub(super) type Seat = OwnedSemaphorePermit;

/// The gate and its queue are full.
pub(super) struct Full;

/// Somebody who waits, also when the waiting is given up.
struct Waiting<'a>(&'a AtomicUsize);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Gate {
    pub(super) fn new(inside: usize, waiting_max: usize) -> Gate {
        Gate {
            inside: Arc::new(Semaphore::new(inside.max(1))),
            waiting: AtomicUsize::new(0),
            waiting_max,
        }
    }

    /// How many wait.
    pub(super) fn waiting(&self) -> usize {
        self.waiting.load(Ordering::Relaxed)
    }

    /// Comes in at once, or waits.
    pub(super) async fn enter(&self) -> Result<Seat, Full> {
        if let Ok(seat) = Arc::clone(&self.inside).try_acquire_owned() {
            return Ok(seat);
        }
        let before = self.waiting.fetch_add(1, Ordering::Relaxed);
        let waiting = Waiting(&self.waiting);
        if before >= self.waiting_max {
            return Err(Full);
        }
        let seat = Arc::clone(&self.inside).acquire_owned().await;
        drop(waiting);
        seat.map_err(|_| Full)
    }
}
