//! The thread that folds: what is durable becomes facts that queries see, and later Parquet.

use std::{
    sync::{
        Arc,
        mpsc::{Receiver, RecvTimeoutError, Sender, SyncSender},
    },
    time::{Duration, Instant},
};

use events::{Event, UtcMicros};
use facts::Folder;
use store::{Commit, Mode, Pinned, PreparedLetGo, PreparedLog, QuarantineRow, Store};

use super::{LiveError, LiveSettings, flusher::Task, state::Shared, writer::Job};
use crate::pipeline::StoredHistory;

/// Events that are folded at once, at most: what waits longer is seen later.
const APPLY_EVENTS_MAX: usize = 32_768;
/// Between looks at the age of what waits for Parquet.
const TICK: Duration = Duration::from_millis(100);
/// After a flush that failed.
const RETRY_FLUSH: Duration = Duration::from_secs(1);

/// Work for the applier.
pub(super) enum Unit {
    /// A group that is durable.
    Group {
        seq: u64,
        bytes: u64,
        recorded_at: UtcMicros,
        events: Vec<Event>,
        rejects: Vec<QuarantineRow>,
    },
    /// The events in memory are in a file, which does not count yet.
    Prepared(store::Result<Option<PreparedLog>>),
    /// What the last flush wrote was read back.
    Confirmed(store::Result<()>),
    /// Say what there is, and what of it is open.
    Pin(SyncSender<Pinned>),
    /// Let contacts go, and say whether they went: not if something has come for one of them.
    LetGo(Box<PreparedLetGo>, SyncSender<store::Result<bool>>),
    /// Write everything and end.
    Stop,
}

/// What an applier is made of.
pub(super) struct Parts {
    pub store: Arc<Store>,
    pub settings: Arc<LiveSettings>,
    pub shared: Arc<Shared>,
    pub folder: Folder,
    pub tasks: Sender<Task>,
    pub jobs: Sender<Job>,
    /// Bytes that the start has brought into memory.
    pub buffered: u64,
}

/// See the module.
pub(super) struct Applier {
    parts: Parts,
    pending: Pending,
    /// Bytes of what is in memory, and since when.
    buffered: u64,
    since: Option<Instant>,
    flush: Flush,
    retry_at: Option<Instant>,
}

/// Groups that are folded together.
#[derive(Default)]
struct Pending {
    seq: u64,
    bytes: u64,
    recorded_at: UtcMicros,
    events: Vec<Event>,
    rejects: Vec<QuarantineRow>,
}

/// Where the flush is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Flush {
    None,
    Preparing,
    /// Written; the sequence that it reaches and its bytes.
    Confirming(u64, u64),
}

/// Tells the writer that there is no applier any more, however it ended.
struct EndNotice(Sender<Job>);

impl Drop for EndNotice {
    fn drop(&mut self) {
        // Without a writer nobody needs to know.
        let _ = self.0.send(Job::Ended);
    }
}

impl Applier {
    pub fn new(parts: Parts) -> Self {
        Applier {
            buffered: parts.buffered,
            since: (parts.buffered > 0).then(Instant::now),
            parts,
            pending: Pending::default(),
            flush: Flush::None,
            retry_at: None,
        }
    }

    /// Works until it is told to stop.
    pub fn run(mut self, units: &Receiver<Unit>) {
        let _notice = EndNotice(self.parts.jobs.clone());
        loop {
            let stop = match units.recv_timeout(TICK) {
                Ok(unit) => self.take(unit, units),
                Err(RecvTimeoutError::Timeout) => false,
                Err(RecvTimeoutError::Disconnected) => true,
            };
            self.attempt(Self::apply);
            if stop {
                break;
            }
            self.begin_flush();
        }
        self.finish(units);
    }

    /// Takes a unit and those that have arrived behind it; `true` if it is time to stop.
    fn take(&mut self, first: Unit, units: &Receiver<Unit>) -> bool {
        let mut next = Some(first);
        while let Some(unit) = next {
            match unit {
                Unit::Group {
                    seq,
                    bytes,
                    recorded_at,
                    events,
                    rejects,
                } => {
                    let pending = &mut self.pending;
                    pending.seq = seq;
                    pending.bytes += bytes;
                    pending.recorded_at = recorded_at;
                    match pending.events.is_empty() {
                        true => pending.events = events,
                        false => pending.events.extend(events),
                    }
                    pending.rejects.extend(rejects);
                }
                Unit::Stop => return true,
                step => {
                    // The flush ends at a sequence, so what came before it must be in.
                    self.attempt(Self::apply);
                    self.attempt(|applier| applier.step(step));
                }
            }
            next = (self.pending.events.len() < APPLY_EVENTS_MAX)
                .then(|| units.try_recv().ok())
                .flatten();
        }
        false
    }

    /// Does something that must not fail. After a failure the log still has everything, so the
    /// next start folds it again.
    fn attempt(&mut self, what: impl FnOnce(&mut Self) -> Result<(), LiveError>) {
        if self.parts.shared.is_stopped() {
            self.pending = Pending::default();
        } else if let Err(error) = what(self) {
            self.parts.shared.stop(&error.to_string());
        }
    }

    /// Folds what is pending, and lets queries see it.
    fn apply(&mut self) -> Result<(), LiveError> {
        let pending = std::mem::take(&mut self.pending);
        if pending.bytes == 0 {
            return Ok(());
        }
        let store = &self.parts.store;
        let edit = self
            .parts
            .folder
            .apply(pending.events, &StoredHistory(store))?;
        store.commit(Commit {
            edit: &edit,
            quarantine: &pending.rejects,
            checkpoint: None,
            mode: Mode::Memory,
            arrived_seq: Some(pending.seq),
            recorded_at: pending.recorded_at,
        })?;
        self.buffered += pending.bytes;
        self.since.get_or_insert_with(Instant::now);
        self.parts.shared.applied(pending.seq);
        Ok(())
    }

    /// Begins to write to Parquet if there is enough, or it is old enough.
    fn begin_flush(&mut self) {
        let settings = &self.parts.settings;
        let old = self
            .since
            .is_some_and(|at| at.elapsed() >= settings.flush_age);
        let due = old || self.buffered >= settings.budget_bytes / 2;
        let waits = self.retry_at.is_some_and(|at| Instant::now() < at);
        if self.flush != Flush::None || !due || waits || self.parts.shared.is_stopped() {
            return;
        }
        self.flush = Flush::Preparing;
        self.parts.shared.flushing();
        if self.parts.tasks.send(Task::Prepare).is_err() {
            self.parts
                .shared
                .stop("the thread that writes files has gone");
        }
    }

    fn step(&mut self, unit: Unit) -> Result<(), LiveError> {
        match unit {
            Unit::Prepared(prepared) => {
                let written = prepared.and_then(|log| self.write(log));
                self.went_on(written)
            }
            Unit::Confirmed(confirmed) => {
                if let Flush::Confirming(seq, bytes) = self.flush {
                    self.flush = Flush::None;
                    confirmed?;
                    self.release(seq, bytes);
                }
                Ok(())
            }
            Unit::Pin(answer) => {
                let open = self.parts.folder.checkpoint().cloned().collect();
                let version = self.parts.store.version();
                // Who asked may have ended.
                let _ = answer.send(Pinned { version, open });
                Ok(())
            }
            Unit::LetGo(prepared, answer) => {
                // After a failure they stay: nobody has to stop for that.
                let _ = answer.send(self.let_go(*prepared));
                Ok(())
            }
            Unit::Group { .. } | Unit::Stop => Ok(()),
        }
    }

    fn let_go(&mut self, prepared: PreparedLetGo) -> store::Result<bool> {
        let Parts { store, folder, .. } = &mut self.parts;
        let is_open = folder
            .checkpoint()
            .flat_map(facts::event_links)
            .any(|link| prepared.concerns(link));
        if is_open {
            store.forget_let_go(prepared);
            return Ok(false);
        }
        // Nothing in memory may refer to rows that are not there any more; if they stay after all,
        // they come back when they are needed.
        folder.forget(|link| prepared.concerns(link));
        store.install_let_go(prepared)
    }

    fn went_on(&mut self, written: store::Result<(u64, u64)>) -> Result<(), LiveError> {
        match written {
            Ok((seq, bytes)) => {
                self.flush = Flush::Confirming(seq, bytes);
                self.retry_at = None;
                if self.parts.tasks.send(Task::Confirm).is_err() {
                    self.parts
                        .shared
                        .stop("the thread that writes files has gone");
                }
                Ok(())
            }
            // Trying again would not help: the log keeps what is not in files.
            Err(error @ (store::Error::Stopped { .. } | store::Error::Damaged { .. })) => {
                Err(error.into())
            }
            Err(error) => {
                // Nothing has changed: the rows stay in memory and in the log.
                if matches!(error, store::Error::DiskFull { .. }) {
                    self.parts.store.free_ballast();
                }
                tracing::warn!(%error, "writing to Parquet failed and is tried again");
                self.flush = Flush::None;
                self.retry_at = Some(Instant::now() + RETRY_FLUSH);
                self.parts.shared.not_flushed();
                Ok(())
            }
        }
    }

    /// Facts to Parquet, and the manifest edit that makes all of it count.
    fn write(&mut self, log: Option<PreparedLog>) -> store::Result<(u64, u64)> {
        let checkpoint: Vec<&Event> = self.parts.folder.checkpoint().collect();
        self.parts.store.flush_with(log, &checkpoint)?;
        self.since = None;
        let bytes = std::mem::take(&mut self.buffered);
        Ok((self.parts.store.version().arrived_seq, bytes))
    }

    /// The log up to there is needed no more.
    fn release(&self, seq: u64, bytes: u64) {
        self.parts.shared.flushed(seq, bytes);
        // Without a writer there is nothing to let go.
        let _ = self.parts.jobs.send(Job::Released(seq));
    }

    /// Waits for a flush under way, writes the rest, lets the log go.
    fn finish(mut self, units: &Receiver<Unit>) {
        while self.flush != Flush::None && !self.parts.shared.is_stopped() {
            match units.recv_timeout(TICK) {
                Ok(unit @ (Unit::Prepared(_) | Unit::Confirmed(_))) => {
                    self.attempt(|applier| applier.step(unit));
                }
                Ok(_) | Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
        }
        self.attempt(|applier| {
            let (seq, bytes) = applier.write(None)?;
            applier.parts.store.confirm_flush()?;
            applier.release(seq, bytes);
            Ok(())
        });
    }
}
