//! From the log to facts after a start: streaming, in bounded memory.
//!
//! ```text
//! replay-decode   frames of the log -> events, chunk by chunk
//!    |
//! replay-fold     chunk -> rows that come and go; of some chunks also what is open: the checkpoint
//!    |
//! who starts      commit in memory; with a checkpoint: everything to Parquet, manifest edit
//! ```
//!
//! Each stage has its thread and works while the others are at another chunk. Everything goes in the
//! order of the log, and what the fold asks of earlier events it is told as if each chunk before were
//! stored already ([`Behind`]): the rows are those of one chunk after the other.

use std::{
    ops::ControlFlow,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
        mpsc::{Receiver, SyncSender, sync_channel},
    },
    thread,
};

use events::{Event, UtcMicros};
use facts::{FactEdit, FoldSettings, Folder, event_links};
use store::{
    Commit, Mode, QuarantineRow, Store,
    wal::{Frame, Kind, Replay, Wal},
};

use super::{
    LiveError, LiveSettings,
    behind::{Behind, Coming},
    payload,
    window::Hashes,
};

/// Events that are folded at once, at most.
const CHUNK_EVENTS: usize = 65_536;
/// Chunks that wait between two stages.
const CHUNKS_WAITING: usize = 1;
/// Bytes of log that are folded before they go to Parquet, at most. Less than while the program
/// runs: here up to five chunks are on their way besides.
const FLUSH_BYTES: u64 = 96 << 20;
/// Chunks of one flush, at least, if the frames are not larger.
const CHUNKS_PER_FLUSH: u64 = 4;

/// What a start found in the log.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Recovered {
    /// Events that were not in Parquet.
    pub events: u64,
    /// Rejected lines that were not in Parquet.
    pub rejects: u64,
    /// Bytes of payload read.
    pub bytes: u64,
    /// Bytes of a write that was never finished, cut off.
    pub cut_bytes: u64,
    /// Last sequence of the log.
    pub last_seq: u64,
    /// Bytes of payload that are in memory now.
    pub buffered_bytes: u64,
}

/// How far a replay is, in rows of the log: events and rejected lines.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Replayed {
    /// Rows that are in the store.
    pub done: u64,
    /// Rows that were not in files.
    pub all: u64,
}

/// Is told how far a replay is, at its beginning and after every chunk, and says whether it goes on.
pub type Watching<'a> = &'a mut dyn FnMut(Replayed) -> ControlFlow<()>;

/// How much of the log is taken at a time, in bytes of payload.
#[derive(Clone, Copy, Debug)]
struct Pace {
    chunk_bytes: u64,
    flush_bytes: u64,
}

impl Pace {
    /// For so many bytes that may wait for Parquet.
    fn of(budget_bytes: u64) -> Self {
        let flush_bytes = (budget_bytes / 2).min(FLUSH_BYTES);
        Pace {
            chunk_bytes: flush_bytes / CHUNKS_PER_FLUSH,
            flush_bytes,
        }
    }
}

/// What is folded at once.
#[derive(Default)]
struct Chunk {
    seq: u64,
    bytes: u64,
    recorded_at: UtcMicros,
    events: Vec<Arc<Event>>,
    /// Every link of the events.
    links: Hashes,
    rejects: Vec<QuarantineRow>,
}

/// A chunk that was folded.
struct Folded {
    seq: u64,
    bytes: u64,
    recorded_at: UtcMicros,
    edit: FactEdit,
    rejects: Vec<QuarantineRow>,
    /// What is open behind it, if all up to here goes to Parquet.
    checkpoint: Option<Vec<Arc<Event>>>,
}

/// Brings everything of a folder's log to Parquet, so that nothing needs the log any more: for
/// programs that write to the folder without it.
///
/// # Errors
/// When the store or its log cannot be read.
pub fn recover(store: &Store, seed: [u8; 32]) -> Result<Recovered, LiveError> {
    if !store.has_wal() {
        return Ok(Recovered::default());
    }
    let (fold, pace) = (FoldSettings::default(), Pace::of(u64::MAX));
    let (mut wal, log) = Log::open(store, seed)?;
    let (folder, recovered) = log.run(&fold, pace, &mut |_| ControlFlow::Continue(()))?;
    let checkpoint: Vec<&Event> = folder.checkpoint().collect();
    flush(store, &checkpoint)?;
    wal.release(store.version().arrived_seq)?;
    wal.seal()?;
    Ok(recovered)
}

/// Folds what Parquet does not have yet.
pub(super) fn replay(
    store: &Store,
    settings: &LiveSettings,
    watching: Watching<'_>,
) -> Result<(Wal, Folder, Recovered), LiveError> {
    let (wal, log) = Log::open(store, settings.seed)?;
    let pace = Pace::of(settings.budget_bytes);
    let (folder, recovered) = log.run(&settings.fold, pace, watching)?;
    Ok((wal, folder, recovered))
}

/// The last row of the log, found without changing anything of it: what is not folded may be needed
/// for a repair. `None` if it cannot be read to its end.
pub(super) fn last_row(store: &Store) -> Option<u64> {
    let arrived = store.version().arrived_seq;
    let Some(frames) = store.read_wal().ok()? else {
        return Some(arrived);
    };
    let mut last = arrived;
    for frame in frames {
        let frame = frame.ok()?;
        if matches!(frame.kind, Kind::Events | Kind::Rejects | Kind::Lost) {
            last = last.max(frame.first_seq + u64::from(frame.rows) - 1);
        }
    }
    Some(last)
}

/// The log from where Parquet ends.
struct Log<'s> {
    store: &'s Store,
    frames: Replay,
    /// Sequence up to which all is in Parquet.
    begin: u64,
    found: Recovered,
}

impl<'s> Log<'s> {
    fn open(store: &'s Store, seed: [u8; 32]) -> Result<(Wal, Log<'s>), LiveError> {
        let (wal, report) = store.open_wal(seed)?;
        let begin = store.version().arrived_seq;
        let log = Log {
            store,
            frames: wal.replay(begin + 1),
            begin,
            found: Recovered {
                cut_bytes: report.cut_bytes,
                last_seq: wal.last_seq(),
                ..Recovered::default()
            },
        };
        Ok((wal, log))
    }

    fn run(
        self,
        fold: &FoldSettings,
        pace: Pace,
        watching: Watching<'_>,
    ) -> Result<(Folder, Recovered), LiveError> {
        let Log { store, begin, .. } = self;
        let stored = AtomicU64::new(begin);
        let folding = Folding {
            folder: Folder::restore(fold.clone(), store.checkpoint()?),
            behind: Behind::new(store, &stored),
            pace,
            unflushed: 0,
        };
        let mut storing = Storing {
            store,
            stored: &stored,
            begin,
            found: self.found,
            watching,
        };
        storing.tell(begin)?;
        let chunks = Chunks {
            frames: self.frames,
            chunk_bytes: pace.chunk_bytes,
        };
        let (decoded, chunk_queue) = sync_channel(CHUNKS_WAITING);
        let (folded, queue) = sync_channel(CHUNKS_WAITING);
        let folder = thread::scope(|scope| {
            let spawn = |name: &str| thread::Builder::new().name(name.to_owned());
            // A stage ends when the one before it has, or nobody takes what it makes any more.
            spawn("replay-decode")
                .spawn_scoped(scope, move || chunks.run(&decoded))
                .expect("the system can start a thread");
            let folding = spawn("replay-fold")
                .spawn_scoped(scope, move || folding.run(chunk_queue, &folded))
                .expect("the system can start a thread");
            let done = storing.run(queue);
            let folder = folding.join();
            let folder = folder.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
            done.map(|()| folder)
        })?;
        Ok((folder, storing.found))
    }
}

/// Frames of the log as chunks.
struct Chunks {
    frames: Replay,
    chunk_bytes: u64,
}

impl Chunks {
    fn run(mut self, chunks: &SyncSender<Result<Chunk, LiveError>>) {
        while let Some(chunk) = self.next().transpose() {
            let failed = chunk.is_err();
            if chunks.send(chunk).is_err() || failed {
                return;
            }
        }
    }

    fn next(&mut self) -> Result<Option<Chunk>, LiveError> {
        let mut chunk = Chunk::default();
        while let Some(frame) = self.frames.next().transpose()? {
            chunk.take(&frame)?;
            let is_full = chunk.events.len() >= CHUNK_EVENTS || chunk.bytes >= self.chunk_bytes;
            if is_full && chunk.seq > 0 {
                break;
            }
        }
        Ok((chunk.seq > 0).then_some(chunk))
    }
}

impl Chunk {
    fn take(&mut self, frame: &Frame) -> Result<(), LiveError> {
        match frame.kind {
            Kind::Events => {
                let (events, links) = (&mut self.events, &mut self.links);
                self.recorded_at = payload::each_event(&frame.payload, |event| {
                    links.extend(event_links(&event));
                    events.push(Arc::new(event));
                })?;
            }
            Kind::Rejects => {
                let rows = payload::read_rejects(&frame.payload)?;
                self.recorded_at = rows.last().map_or(self.recorded_at, |r| r.received_at);
                self.rejects.extend(rows);
            }
            Kind::Lost => {
                tracing::warn!(rows = frame.rows, first = frame.first_seq, "rows were lost");
            }
            Kind::Barrier | Kind::Seal => return Ok(()),
        }
        self.seq = frame.first_seq + u64::from(frame.rows) - 1;
        self.bytes += frame.payload.len() as u64;
        Ok(())
    }
}

/// Folds one chunk after the other.
struct Folding<'s> {
    folder: Folder,
    behind: Behind<'s>,
    pace: Pace,
    /// Bytes since the last chunk that goes to Parquet.
    unflushed: u64,
}

impl Folding<'_> {
    /// Returns the folder behind the last chunk.
    fn run(
        mut self,
        chunks: Receiver<Result<Chunk, LiveError>>,
        folded: &SyncSender<Result<Folded, LiveError>>,
    ) -> Folder {
        for chunk in chunks {
            let result = chunk.and_then(|chunk| self.fold(chunk));
            let failed = result.is_err();
            if folded.send(result).is_err() || failed {
                break;
            }
        }
        self.folder
    }

    fn fold(&mut self, chunk: Chunk) -> Result<Folded, LiveError> {
        let Chunk {
            seq, bytes, links, ..
        } = chunk;
        self.behind.settle();
        let edit = self.folder.apply(chunk.events, &self.behind)?;
        let events = edit.events.iter().map(|stored| Arc::clone(&stored.event));
        self.behind.send(Coming {
            seq,
            links,
            events: events.collect(),
        });
        self.unflushed += bytes;
        let is_full = self.unflushed >= self.pace.flush_bytes;
        let checkpoint = is_full.then(|| {
            self.unflushed = 0;
            self.folder.checkpoint_shared().cloned().collect()
        });
        Ok(Folded {
            seq,
            bytes,
            recorded_at: chunk.recorded_at,
            edit,
            rejects: chunk.rejects,
            checkpoint,
        })
    }
}

/// Puts one chunk after the other into the store.
struct Storing<'a, 'w> {
    store: &'a Store,
    /// Told to the fold: up to here all is in the store.
    stored: &'a AtomicU64,
    begin: u64,
    found: Recovered,
    watching: Watching<'w>,
}

impl Storing<'_, '_> {
    fn run(&mut self, queue: Receiver<Result<Folded, LiveError>>) -> Result<(), LiveError> {
        queue.into_iter().try_for_each(|folded| self.take(folded?))
    }

    fn take(&mut self, folded: Folded) -> Result<(), LiveError> {
        self.store.commit(Commit {
            edit: &folded.edit,
            quarantine: &folded.rejects,
            checkpoint: None,
            mode: Mode::Memory,
            arrived_seq: Some(folded.seq),
            recorded_at: folded.recorded_at,
        })?;
        self.stored.store(folded.seq, Ordering::Release);
        self.found.events += folded.edit.events.len() as u64;
        self.found.rejects += folded.rejects.len() as u64;
        self.found.bytes += folded.bytes;
        self.found.buffered_bytes += folded.bytes;
        // The rows are in the store: not twice in memory while files are written.
        drop(folded.edit);
        if let Some(checkpoint) = folded.checkpoint {
            let checkpoint: Vec<&Event> = checkpoint.iter().map(|event| &**event).collect();
            flush(self.store, &checkpoint)?;
            self.found.buffered_bytes = 0;
        }
        self.tell(folded.seq)
    }

    fn tell(&mut self, seq: u64) -> Result<(), LiveError> {
        let told = Replayed {
            done: seq - self.begin,
            all: self.found.last_seq - self.begin,
        };
        match told.all > 0 && (self.watching)(told).is_break() {
            true => Err(LiveError::Interrupted),
            false => Ok(()),
        }
    }
}

fn flush(store: &Store, checkpoint: &[&Event]) -> Result<(), LiveError> {
    store.flush_with(None, checkpoint)?;
    Ok(store.confirm_flush()?)
}
