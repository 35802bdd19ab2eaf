//! What the threads of the ingest tell each other and the outside: counters, pressure, the end.

use std::{
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use events::UtcMicros;
use store::{Scrubbed, Store, wal::Wal};

use super::{Delivery, LiveSettings, Recovered, Refusal, Standing, window::IdWindow};

/// Upper bounds of the sync times that are counted, in microseconds.
const SYNC_BOUNDS: [u64; 10] = [
    100, 250, 500, 1_000, 2_500, 5_000, 10_000, 50_000, 250_000, 1_000_000,
];
/// The same for what is done with whole files.
const FILE_BOUNDS: [u64; 10] = [
    10_000, 50_000, 100_000, 250_000, 500_000, 1_000_000, 2_500_000, 5_000_000, 10_000_000,
    60_000_000,
];
const RETRY_AFTER: Duration = Duration::from_secs(1);
const RETRY_DISK: Duration = Duration::from_secs(5);

/// How the ingest is doing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LiveState {
    /// 0 all well, 1 writing to Parquet, 2 the writer waits for it, 3 deliveries are refused.
    pub pressure: u8,
    /// Can something be taken at all?
    pub wal_writable: bool,
    /// Is everything that was acknowledged folded?
    pub caught_up: bool,
    /// Why nothing is taken until the next start.
    pub stopped: Option<String>,
    /// Since the last acknowledgement; `None` before the first.
    pub last_commit_age_ms: Option<u64>,
    /// Sequence of the log that is durable.
    pub committed_seq: u64,
    /// Sequence of the log that queries see.
    pub applied_seq: u64,
    /// Sequence of the log that is in Parquet.
    pub flushed_seq: u64,
    /// Events taken since the start.
    pub accepted: u64,
    /// Repeats since the start.
    pub duplicate: u64,
    /// Lines not taken since the start.
    pub rejected: u64,
    /// Bytes of the write-ahead log.
    pub wal_bytes: u64,
    /// Segments of the write-ahead log.
    pub wal_segments: u64,
    /// Segments given up after a failed sync, since the start.
    pub wal_poisoned: u64,
    /// Bytes of events that are not in Parquet yet.
    pub buffer_bytes: u64,
    /// Bytes of deliveries that wait for the writer.
    pub queue_bytes: u64,
    /// Ids in the window of repeats.
    pub window_ids: u64,
    /// Bytes of that window.
    pub window_bytes: u64,
    /// Number of the newest edit of the manifest.
    pub manifest_version: u64,
    /// Free bytes of the disk, if it can tell.
    pub disk_free_bytes: Option<u64>,
    /// Sync times: upper bound in microseconds, and how many were at most that long. The last
    /// bound is `u64::MAX`.
    pub sync_micros: Vec<(u64, u64)>,
    /// Times from the beginning of a flush to its files being read back, as `sync_micros`.
    pub flush_micros: Vec<(u64, u64)>,
    /// Times of putting small files together, as `sync_micros`.
    pub compaction_micros: Vec<(u64, u64)>,
    /// Data files.
    pub files: u64,
    /// Those of them that hold rows of open entities.
    pub files_hot: u64,
    /// Those of them that will be put together.
    pub files_small: u64,
    /// Data files found damaged.
    pub quarantined_files: u64,
    /// Files that the scrub has found whole, since the start.
    pub scrubbed_whole: u64,
    /// Files that the scrub has found damaged, since the start.
    pub scrubbed_damaged: u64,
    /// Files that the scrub could not read, since the start.
    pub scrubbed_unreadable: u64,
    /// Before when no contact is kept, if that is so.
    pub kept_from: Option<UtcMicros>,
    /// Events of contacts that were kept long enough and went, since the start.
    pub let_go: u64,
}

/// How often something took how long.
struct Times {
    /// In microseconds.
    bounds: &'static [u64],
    counts: Vec<u64>,
}

impl Times {
    fn new(bounds: &'static [u64]) -> Self {
        let counts = vec![0; bounds.len() + 1];
        Times { bounds, counts }
    }

    fn note(&mut self, time: Duration) {
        let at = self
            .bounds
            .partition_point(|bound| u128::from(*bound) < time.as_micros());
        self.counts[at] += 1;
    }

    /// Upper bounds, the last one `u64::MAX`, and how many were at most that long.
    fn totals(&self) -> Vec<(u64, u64)> {
        let bounds = self.bounds.iter().copied().chain([u64::MAX]);
        let mut total = 0;
        let add = |(bound, count): (u64, &u64)| {
            total += count;
            (bound, total)
        };
        bounds.zip(&self.counts).map(add).collect()
    }
}

/// See the module.
pub(super) struct Shared {
    counts: Mutex<Counts>,
    applied: Condvar,
    flushed: Condvar,
    closed: AtomicBool,
    queued: AtomicU64,
    /// What happened before this may have been received before the window of ids; microseconds.
    long_ago: AtomicI64,
    /// Bytes that may wait for Parquet, at least 1.
    budget: u64,
    store: Arc<Store>,
}

struct Counts {
    state: LiveState,
    syncs: Times,
    flushes: Times,
    compactions: Times,
    last_commit: Option<Instant>,
    disk_low: bool,
    flushing: Option<Instant>,
    /// The log could not be read to its end, so nobody knows what queries do not see.
    unread: bool,
}

impl Shared {
    /// `wal`: `None` if the log could not be opened.
    pub fn new(store: &Arc<Store>, budget: u64, found: &Recovered, wal: Option<&Wal>) -> Self {
        let state = LiveState {
            wal_writable: wal.is_some(),
            committed_seq: found.last_seq,
            applied_seq: found.last_seq,
            buffer_bytes: found.buffered_bytes,
            wal_bytes: wal.map_or(0, Wal::bytes),
            wal_segments: wal.map_or(0, |wal| wal.segments() as u64),
            ..LiveState::default()
        };
        Shared {
            counts: Mutex::new(Counts {
                state,
                syncs: Times::new(&SYNC_BOUNDS),
                flushes: Times::new(&FILE_BOUNDS),
                compactions: Times::new(&FILE_BOUNDS),
                last_commit: None,
                disk_low: false,
                flushing: None,
                unread: wal.is_none(),
            }),
            applied: Condvar::new(),
            flushed: Condvar::new(),
            closed: AtomicBool::new(false),
            queued: AtomicU64::new(0),
            long_ago: AtomicI64::new(i64::MIN),
            budget: budget.max(1),
            store: Arc::clone(store),
        }
    }

    /// The log was not taken to its end. `last_seq` is its last, as far as it can be told.
    pub fn unfinished(&self, last_seq: Option<u64>) {
        let arrived = self.store.version().arrived_seq;
        let mut counts = self.counts();
        counts.state.applied_seq = arrived;
        counts.state.committed_seq = last_seq.unwrap_or(arrived);
        counts.unread = last_seq.is_none();
    }

    fn counts(&self) -> MutexGuard<'_, Counts> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// May a delivery of that size join the queue? If so, it has joined.
    pub fn admit(&self, bytes: u64, settings: &LiveSettings) -> Result<(), Refusal> {
        if self.closed.load(Ordering::Acquire) {
            return Err(self.stopped_refusal());
        }
        let counts = self.counts();
        if counts.state.stopped.is_some() {
            drop(counts);
            return Err(self.stopped_refusal());
        }
        if counts.disk_low {
            return Err(Refusal::DiskFull {
                retry_after: RETRY_DISK,
            });
        }
        let full = counts.state.buffer_bytes / self.budget >= 2;
        drop(counts);
        let queued = self.queued.fetch_add(bytes, Ordering::AcqRel);
        // One that is larger than the whole queue must still get through when it is empty.
        if full || (queued > 0 && queued + bytes > settings.queue_bytes) {
            self.leave(bytes);
            return Err(Refusal::Busy {
                retry_after: RETRY_AFTER,
            });
        }
        Ok(())
    }

    /// The window of ids begins later now.
    pub fn window_moved(&self, window: &IdWindow) {
        self.long_ago.store(window.long_ago().0, Ordering::Release);
        let mut counts = self.counts();
        counts.state.window_ids = window.len() as u64;
        counts.state.window_bytes = window.bytes() as u64;
    }

    /// Asks the files for the ids of a delivery that the window cannot have.
    pub fn look_up(&self, delivery: &mut Delivery) -> store::Result<()> {
        let long_ago = UtcMicros(self.long_ago.load(Ordering::Acquire));
        let Delivery {
            long_ago: found,
            events,
            ..
        } = delivery;
        found.look_up(&self.store, events, long_ago)
    }

    /// What it all goes to.
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// A delivery has left the queue.
    pub fn leave(&self, bytes: u64) {
        self.queued.fetch_sub(bytes, Ordering::AcqRel);
    }

    /// Nothing more is taken: the program is ending.
    pub fn close(&self) {
        self.closed.store(true, Ordering::Release);
    }

    /// Nothing more is taken: something failed.
    pub fn stop(&self, reason: &str) {
        let mut counts = self.counts();
        counts
            .state
            .stopped
            .get_or_insert_with(|| reason.to_owned());
        counts.state.wal_writable = false;
        drop(counts);
        tracing::error!(reason, "ingest has stopped");
        self.applied.notify_all();
        self.flushed.notify_all();
    }

    /// A thread has panicked: that is a bug, and said even if something else came before it.
    pub fn panicked(&self) {
        const REASON: &str = "a thread of the ingest has panicked";
        self.stop(REASON);
        self.counts().state.stopped = Some(REASON.to_owned());
    }

    pub fn is_stopped(&self) -> bool {
        self.counts().state.stopped.is_some()
    }

    pub fn stopped_refusal(&self) -> Refusal {
        let reason = self.counts().state.stopped.clone();
        Refusal::Stopped {
            reason: reason.unwrap_or_else(|| "the program is ending".to_owned()),
        }
    }

    pub fn standing(&self) -> Standing {
        let counts = self.counts();
        let state = &counts.state;
        match (state.stopped.is_some(), state.applied_seq) {
            (false, 0) => Standing::Unused,
            (false, _) => Standing::Taking,
            (true, applied) if counts.unread || applied < state.committed_seq => Standing::Behind,
            (true, _) => Standing::Stopped,
        }
    }

    pub fn outcome(&self) -> Result<(), Refusal> {
        match self.is_stopped() {
            true => Err(self.stopped_refusal()),
            false => Ok(()),
        }
    }

    /// A group is durable.
    pub fn committed(&self, group: &Committed) {
        let mut counts = self.counts();
        counts.syncs.note(group.sync);
        counts.last_commit = Some(Instant::now());
        let state = &mut counts.state;
        state.committed_seq = group.seq;
        state.accepted += group.accepted;
        state.duplicate += group.duplicate;
        state.rejected += group.rejected;
        state.buffer_bytes += group.bytes;
        state.wal_bytes = group.wal_bytes;
        state.wal_segments = group.wal_segments;
        state.wal_poisoned = group.wal_poisoned;
        state.window_ids = group.window_ids;
        state.window_bytes = group.window_bytes;
    }

    /// Lines that were answered without anything to write.
    pub fn answered(&self, duplicate: u64, rejected: u64) {
        let mut counts = self.counts();
        counts.state.duplicate += duplicate;
        counts.state.rejected += rejected;
    }

    /// The log has become shorter.
    pub fn released(&self, bytes: u64, segments: u64) {
        let mut counts = self.counts();
        counts.state.wal_bytes = bytes;
        counts.state.wal_segments = segments;
    }

    /// Queries see everything up to that sequence.
    pub fn applied(&self, seq: u64) {
        let mut counts = self.counts();
        counts.state.applied_seq = counts.state.applied_seq.max(seq);
        drop(counts);
        self.applied.notify_all();
    }

    /// A flush has begun.
    pub fn flushing(&self) {
        self.counts().flushing = Some(Instant::now());
    }

    /// A flush has failed.
    pub fn not_flushed(&self) {
        self.counts().flushing = None;
        self.flushed.notify_all();
    }

    /// A flush has ended: so many bytes are in Parquet now.
    pub fn flushed(&self, seq: u64, bytes: u64) {
        let mut counts = self.counts();
        if let Some(begun) = counts.flushing.take() {
            counts.flushes.note(begun.elapsed());
        }
        counts.state.flushed_seq = counts.state.flushed_seq.max(seq);
        counts.state.buffer_bytes = counts.state.buffer_bytes.saturating_sub(bytes);
        drop(counts);
        self.flushed.notify_all();
    }

    /// Small files were put together.
    pub fn compacted(&self, time: Duration) {
        self.counts().compactions.note(time);
    }

    /// So many events were let go.
    pub fn let_go(&self, events: u64) {
        self.counts().state.let_go += events;
    }

    /// The scrub has looked at a file.
    pub fn scrubbed(&self, found: &Scrubbed) {
        let state = &mut self.counts().state;
        *match found {
            Scrubbed::Whole => &mut state.scrubbed_whole,
            Scrubbed::Damaged(_) => &mut state.scrubbed_damaged,
            Scrubbed::Unreadable(_) => &mut state.scrubbed_unreadable,
        } += 1;
    }

    /// Free space of the disk, and whether it is too little.
    pub fn disk(&self, free: Option<u64>, low: bool) {
        let mut counts = self.counts();
        if low != counts.disk_low {
            tracing::warn!(free, low, "room on the disk");
        }
        counts.disk_low = low;
        counts.state.disk_free_bytes = free;
    }

    /// Waits while more than the budget waits for Parquet, but not for ever.
    pub fn wait_for_room(&self, at_most: Duration) {
        let counts = self.counts();
        // Whether there is room now or not: the caller goes on either way.
        let _unused = self.flushed.wait_timeout_while(counts, at_most, |counts| {
            counts.state.buffer_bytes >= self.budget && counts.state.stopped.is_none()
        });
    }

    pub fn wait_applied(&self, seq: u64, at_most: Duration) -> bool {
        let waited = self
            .applied
            .wait_timeout_while(self.counts(), at_most, |counts| {
                counts.state.applied_seq < seq && counts.state.stopped.is_none()
            });
        let (counts, _) = waited.unwrap_or_else(PoisonError::into_inner);
        counts.state.applied_seq >= seq
    }

    pub fn snapshot(&self) -> LiveState {
        let counts = self.counts();
        let mut state = counts.state.clone();
        state.sync_micros = counts.syncs.totals();
        state.flush_micros = counts.flushes.totals();
        state.compaction_micros = counts.compactions.totals();
        state.last_commit_age_ms = counts
            .last_commit
            .map(|at| u64::try_from(at.elapsed().as_millis()).unwrap_or(u64::MAX));
        state.caught_up = state.applied_seq >= state.committed_seq && !counts.unread;
        state.wal_writable = state.stopped.is_none() && !counts.disk_low;
        state.pressure = match state.buffer_bytes / self.budget {
            0 => u8::from(counts.flushing.is_some()),
            1 => 2,
            _ => 3,
        };
        drop(counts);
        state.queue_bytes = self.queued.load(Ordering::Acquire);
        let version = self.store.version();
        state.manifest_version = version.manifest_edit();
        state.kept_from = version.floors.contacts.map(UtcMicros);
        state.quarantined_files = self.store.damaged_files() as u64;
        let files = || version.tables().flat_map(|t| &t.files);
        state.files = files().count() as u64;
        state.files_hot = files().filter(|f| f.hot).count() as u64;
        state.files_small = files().filter(|f| f.is_small()).count() as u64;
        state
    }
}

/// What the writer tells about a group.
#[derive(Debug, Default)]
pub(super) struct Committed {
    pub seq: u64,
    pub accepted: u64,
    pub duplicate: u64,
    pub rejected: u64,
    pub bytes: u64,
    pub sync: Duration,
    pub wal_bytes: u64,
    pub wal_segments: u64,
    pub wal_poisoned: u64,
    pub window_ids: u64,
    pub window_bytes: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_said_whatever_was_said_before() {
        let store = Arc::new(Store::in_memory());
        let shared = Shared::new(&store, 100, &Recovered::default(), None);
        shared.stop("the disk is gone");
        shared.panicked();
        let said = shared.outcome().expect_err("it has stopped").to_string();
        assert!(said.contains("panicked"), "{said}");
    }

    #[test]
    fn what_queries_lack_is_told_from_what_does_not_come_any_more() {
        let store = Arc::new(Store::in_memory());
        let shared = Shared::new(&store, 100, &Recovered::default(), None);
        let committed = |seq| Committed {
            seq,
            ..Committed::default()
        };
        assert_eq!(shared.standing(), Standing::Unused);
        shared.committed(&committed(7));
        shared.applied(7);
        assert_eq!(shared.standing(), Standing::Taking);
        shared.committed(&committed(8));
        assert_eq!(shared.standing(), Standing::Taking, "it is being folded");
        shared.stop("the disk is gone");
        assert_eq!(shared.standing(), Standing::Behind, "it never will be");
        shared.applied(8);
        shared.unfinished(Some(0));
        assert_eq!(shared.standing(), Standing::Stopped, "all of it is there");
        shared.unfinished(Some(1));
        assert_eq!(shared.standing(), Standing::Behind);
        shared.unfinished(None);
        assert_eq!(shared.standing(), Standing::Behind, "nobody knows");
    }

    #[test]
    fn pressure_tells_what_happens_to_deliveries() {
        let folder = tempfile::tempdir().unwrap();
        let store = Arc::new(Store::create_or_open(folder.path()).unwrap());
        let (wal, _) = store.open_wal([1; 32]).unwrap();
        for (buffered_bytes, calm, flushing) in [(99, 0, 1), (100, 2, 2), (199, 2, 2), (200, 3, 3)]
        {
            let found = Recovered {
                buffered_bytes,
                ..Recovered::default()
            };
            let shared = Shared::new(&store, 100, &found, Some(&wal));
            assert_eq!(shared.snapshot().pressure, calm, "{buffered_bytes}");
            shared.flushing();
            assert_eq!(shared.snapshot().pressure, flushing, "{buffered_bytes}");
            shared.flushed(0, buffered_bytes);
            assert_eq!(shared.snapshot().pressure, 0, "{buffered_bytes}");
        }
    }
}
