//! Which queries there are, and how each is ended.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::watch;

use super::counts::Timed;
use super::gate::Seat;
use super::limits::LINGER_MAX;
use super::{Caller, ErrorKind, QueryError};

/// A query that waits or runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunningQuery {
    /// Its id; never used twice by one service.
    pub id: u64,
    /// Who asked.
    pub caller: Arc<str>,
    /// The statement.
    pub text: Arc<str>,
    /// How far it is.
    pub state: QueryState,
    /// Since when it is there.
    pub age: Duration,
    /// Rows that its reader has been given.
    pub rows: u64,
    /// Bytes that it has reserved.
    pub memory_bytes: usize,
}

/// How far a query is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum QueryState {
    /// Others come first.
    Waiting,
    /// It runs.
    Running,
    /// It has been told to end and still has work that does not listen.
    Ending,
}

impl QueryState {
    /// The word for it.
    pub fn word(self) -> &'static str {
        match self {
            QueryState::Waiting => "waiting",
            QueryState::Running => "running",
            QueryState::Ending => "ending",
        }
    }
}

/// Why a query is ended before its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stop {
    Cancelled,
    Deadline(Duration),
    Stopped,
    /// The process has too much memory, and this query the most of all.
    Memory,
}

impl Stop {
    pub(super) fn error(self) -> QueryError {
        match self {
            Stop::Cancelled => QueryError::new(ErrorKind::Cancelled, "the query was cancelled"),
            Stop::Deadline(time) => {
                let message = format!("the query took longer than {} ms", time.as_millis());
                QueryError::new(ErrorKind::Deadline, message)
                    .with_hint("ask for a shorter time range or fewer groups")
            }
            Stop::Stopped => QueryError::new(ErrorKind::Stopped, "the server is stopping"),
            Stop::Memory => {
                let message = "the server has too little memory, and this query used the most";
                QueryError::new(ErrorKind::QueryLimit, message)
                    .with_hint("ask for a shorter time range, fewer groups or fewer columns")
            }
        }
    }
}

/// One query.
#[derive(Debug)]
pub(super) struct Entry {
    pub id: u64,
    caller: Caller,
    text: Arc<str>,
    since: Instant,
    running: AtomicBool,
    rows: AtomicU64,
    memory: AtomicUsize,
    stop: watch::Sender<Option<Stop>>,
    stopped: OnceLock<Instant>,
    end: AtomicU8,
}

/// How a result ended; before, it may go on.
const ENDED: u8 = 1;
const CUT: u8 = 2;

impl Entry {
    /// Ends the query. The first reason holds.
    pub(super) fn stop(&self, why: Stop) {
        let first = self.stop.send_if_modified(|stop| {
            let first = stop.is_none();
            stop.get_or_insert(why);
            first
        });
        if first {
            self.stopped.get_or_init(Instant::now);
        }
    }

    /// Why the query is to end, if it is.
    pub(super) fn stop_reason(&self) -> Option<Stop> {
        *self.stop.borrow()
    }

    /// Told when the query is to end.
    pub(super) fn stopped(&self) -> StopSignal {
        StopSignal(self.stop.subscribe())
    }

    pub(super) fn set_running(&self) {
        self.running.store(true, Ordering::Relaxed);
    }

    pub(super) fn add_rows(&self, rows: u64) {
        self.rows.fetch_add(rows, Ordering::Relaxed);
    }

    pub(super) fn set_memory(&self, bytes: usize) {
        self.memory.store(bytes, Ordering::Relaxed);
    }

    /// The result is whole, or cut as asked for.
    pub(super) fn set_ended(&self, cut: bool) {
        let end = if cut { CUT } else { ENDED };
        self.end.store(end, Ordering::Release);
    }

    pub(super) fn is_ended(&self) -> bool {
        self.end.load(Ordering::Acquire) != 0
    }

    pub(super) fn is_cut(&self) -> bool {
        self.end.load(Ordering::Acquire) == CUT
    }

    fn lingers(&self) -> bool {
        self.stopped
            .get()
            .is_some_and(|since| since.elapsed() > LINGER_MAX)
    }

    fn shown(&self) -> RunningQuery {
        let state = match (self.stopped.get(), self.running.load(Ordering::Relaxed)) {
            (Some(_), _) => QueryState::Ending,
            (None, true) => QueryState::Running,
            (None, false) => QueryState::Waiting,
        };
        RunningQuery {
            id: self.id,
            caller: Arc::clone(&self.caller.name),
            text: Arc::clone(&self.text),
            state,
            age: self.since.elapsed(),
            rows: self.rows.load(Ordering::Relaxed),
            memory_bytes: self.memory.load(Ordering::Relaxed),
        }
    }
}

/// Waits for the end of a query.
pub(super) struct StopSignal(watch::Receiver<Option<Stop>>);

impl StopSignal {
    /// Returns when the query is to end, and why.
    pub(super) async fn wait(&mut self) -> Stop {
        match self.0.wait_for(Option::is_some).await {
            Ok(stop) => stop.unwrap_or(Stop::Stopped),
            Err(_) => Stop::Stopped,
        }
    }
}

/// All queries that there are.
#[derive(Default)]
pub(super) struct Registry {
    next: AtomicU64,
    stopped: AtomicBool,
    entries: Mutex<BTreeMap<u64, Arc<Entry>>>,
}

impl Registry {
    /// A new query of `caller`.
    pub(super) fn open(
        self: &Arc<Self>,
        caller: &Caller,
        text: &Arc<str>,
    ) -> Result<Registered, QueryError> {
        if self.stopped.load(Ordering::Acquire) {
            return Err(Stop::Stopped.error());
        }
        let id = self.next.fetch_add(1, Ordering::Relaxed) + 1;
        let entry = Arc::new(Entry {
            id,
            caller: caller.clone(),
            text: Arc::clone(text),
            since: Instant::now(),
            running: AtomicBool::new(false),
            rows: AtomicU64::new(0),
            memory: AtomicUsize::new(0),
            stop: watch::Sender::new(None),
            stopped: OnceLock::new(),
            end: AtomicU8::new(0),
        });
        self.entries().insert(id, Arc::clone(&entry));
        let registry = Arc::clone(self);
        Ok(Registered { entry, registry })
    }

    /// A panic elsewhere leaves the map whole.
    fn entries(&self) -> MutexGuard<'_, BTreeMap<u64, Arc<Entry>>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The queries that the caller may see, oldest first.
    pub(super) fn shown_to(&self, caller: &Caller) -> Vec<RunningQuery> {
        let entries = self.entries();
        let seen = entries.values().filter(|entry| may_see(caller, entry));
        seen.map(|entry| entry.shown()).collect()
    }

    /// Ends one that the caller may see.
    pub(super) fn cancel(&self, caller: &Caller, id: u64) -> bool {
        let found = self
            .entries()
            .get(&id)
            .filter(|entry| may_see(caller, entry))
            .cloned();
        found.is_some_and(|entry| {
            entry.stop(Stop::Cancelled);
            true
        })
    }

    /// Ends all; there will be no new one.
    pub(super) fn stop(&self) {
        self.stopped.store(true, Ordering::Release);
        let all: Vec<_> = self.entries().values().cloned().collect();
        all.iter().for_each(|entry| entry.stop(Stop::Stopped));
    }

    pub(super) fn is_stopped(&self) -> bool {
        self.stopped.load(Ordering::Acquire)
    }

    /// Ends the query that has reserved the most.
    pub(super) fn stop_largest(&self) {
        let entries = self.entries();
        let largest = entries
            .values()
            .max_by_key(|entry| entry.memory.load(Ordering::Relaxed));
        let largest = largest.cloned();
        drop(entries);
        if let Some(entry) = largest {
            entry.stop(Stop::Memory);
        }
    }

    /// Queries that run, and those that should have ended a while ago.
    pub(super) fn counted(&self) -> (usize, usize) {
        let entries = self.entries();
        let running = entries
            .values()
            .filter(|e| e.running.load(Ordering::Relaxed))
            .count();
        (running, entries.values().filter(|e| e.lingers()).count())
    }
}

fn may_see(caller: &Caller, entry: &Entry) -> bool {
    caller.sees_all || caller.name == entry.caller.name
}

/// A query in the list, for as long as this is held.
pub(super) struct Registered {
    entry: Arc<Entry>,
    registry: Arc<Registry>,
}

impl Registered {
    pub(super) fn entry(&self) -> &Arc<Entry> {
        &self.entry
    }
}

impl Drop for Registered {
    fn drop(&mut self) {
        self.registry.entries().remove(&self.entry.id);
    }
}

/// What a query holds until its last operator is gone: its place in the list and among those
/// that run.
pub(super) struct Held {
    registered: Registered,
    _seat: Seat,
    _running: Timed,
}

impl Held {
    pub(super) fn new(registered: Registered, seat: Seat, running: Timed) -> Held {
        Held {
            registered,
            _seat: seat,
            _running: running,
        }
    }

    pub(super) fn entry(&self) -> &Entry {
        &self.registered.entry
    }
}

/// Ends the query when its reader is gone.
pub(super) struct Reader(pub Arc<Entry>);

impl Drop for Reader {
    fn drop(&mut self) {
        if !self.0.is_ended() {
            self.0.stop(Stop::Cancelled);
        }
    }
}
