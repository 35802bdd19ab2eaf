//! The memory of one query, and of all of them.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use datafusion::common::{DataFusionError, Result};
use datafusion::execution::memory_pool::{
    FairSpillPool, MemoryConsumer, MemoryLimit, MemoryPool, MemoryReservation, TrackConsumersPool,
};

use super::running::Held;

/// What all queries have reserved together.
#[derive(Debug)]
pub(super) struct TotalMemory {
    used: AtomicUsize,
    max: usize,
}

impl TotalMemory {
    pub(super) fn new(max: usize) -> TotalMemory {
        let used = AtomicUsize::new(0);
        TotalMemory { used, max }
    }

    pub(super) fn used(&self) -> usize {
        self.used.load(Ordering::Relaxed)
    }

    fn try_take(&self, bytes: usize) -> Result<()> {
        let taken = self
            .used
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |used| {
                used.checked_add(bytes).filter(|sum| *sum <= self.max)
            });
        taken.map(|_| ()).map_err(|_| {
            let text = format!("all queries together have {} bytes", self.max);
            DataFusionError::ResourcesExhausted(text)
        })
    }

    fn give_back(&self, bytes: usize) {
        self.used.fetch_sub(bytes, Ordering::Relaxed);
    }
}

/// The memory of one query. It lives as long as the last operator of the query, and so do the
/// things that it holds: the query's place among those that run.
pub(super) struct QueryPool {
    own: TrackConsumersPool<FairSpillPool>,
    total: Arc<TotalMemory>,
    held: Held,
}

impl QueryPool {
    pub(super) fn new(max: usize, total: Arc<TotalMemory>, held: Held) -> QueryPool {
        let largest_named = std::num::NonZeroUsize::MIN;
        QueryPool {
            own: TrackConsumersPool::new(FairSpillPool::new(max), largest_named),
            total,
            held,
        }
    }

    fn tell(&self) {
        self.held.entry().set_memory(self.own.reserved());
    }
}

impl fmt::Debug for QueryPool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("QueryPool")
            .field("own", &self.own)
            .finish_non_exhaustive()
    }
}

impl fmt::Display for QueryPool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("memory of one query")
    }
}

impl MemoryPool for QueryPool {
    fn name(&self) -> &str {
        "query"
    }

    fn register(&self, consumer: &MemoryConsumer) {
        self.own.register(consumer);
    }

    fn unregister(&self, consumer: &MemoryConsumer) {
        self.own.unregister(consumer);
    }

    fn grow(&self, reservation: &MemoryReservation, additional: usize) {
        self.total.used.fetch_add(additional, Ordering::Relaxed);
        self.own.grow(reservation, additional);
        self.tell();
    }

    fn shrink(&self, reservation: &MemoryReservation, shrink: usize) {
        self.own.shrink(reservation, shrink);
        self.total.give_back(shrink);
        self.tell();
    }

    fn try_grow(&self, reservation: &MemoryReservation, additional: usize) -> Result<()> {
        self.total.try_take(additional)?;
        let grown = self.own.try_grow(reservation, additional);
        if grown.is_err() {
            self.total.give_back(additional);
        }
        self.tell();
        grown
    }

    fn reserved(&self) -> usize {
        self.own.reserved()
    }

    fn memory_limit(&self) -> MemoryLimit {
        self.own.memory_limit()
    }
}

/// Bytes of memory that the process has; `None` where the system does not say.
pub(super) fn process_bytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib * 1_024)
}
