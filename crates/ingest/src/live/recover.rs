//! From the log to facts after a start: streaming, in bounded memory.

use std::{
    ops::ControlFlow,
    sync::{Arc, mpsc::sync_channel},
    thread,
};

use events::{Event, UtcMicros};
use facts::{FoldSettings, Folder};
use store::{
    Commit, Mode, QuarantineRow, Store,
    wal::{Kind, Replay, Wal},
};

use super::{LiveError, LiveSettings, payload};
use crate::pipeline::StoredHistory;

/// Events that are folded at once.
const CHUNK_EVENTS: usize = 32_768;
/// Bytes of log that are folded before they go to Parquet.
const FLUSH_BYTES: u64 = 128 << 20;
/// Chunks that wait between reading and folding.
const CHUNKS_WAITING: usize = 2;

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

/// What is folded at once.
#[derive(Default)]
struct Chunk {
    seq: u64,
    bytes: u64,
    recorded_at: UtcMicros,
    events: Vec<Event>,
    rejects: Vec<QuarantineRow>,
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
    let fold = FoldSettings::default();
    let (mut wal, folder, recovered) = run(store, &fold, seed, &mut |_| ControlFlow::Continue(()))?;
    flush(store, &folder)?;
    wal.release(store.version().arrived_seq)?;
    wal.seal()?;
    Ok(recovered)
}

/// Folds what Parquet does not have yet.
pub(super) fn replay(
    store: &Store,
    settings: &Arc<LiveSettings>,
    watching: Watching<'_>,
) -> Result<(Wal, Folder, Recovered), LiveError> {
    run(store, &settings.fold, settings.seed, watching)
}

fn run(
    store: &Store,
    fold: &FoldSettings,
    seed: [u8; 32],
    watching: Watching<'_>,
) -> Result<(Wal, Folder, Recovered), LiveError> {
    let (wal, report) = store.open_wal(seed)?;
    let mut folder = Folder::restore(fold.clone(), store.checkpoint()?);
    let mut recovered = Recovered {
        cut_bytes: report.cut_bytes,
        last_seq: wal.last_seq(),
        ..Recovered::default()
    };
    let begin = store.version().arrived_seq;
    let mut tell = |seq: u64| {
        let told = Replayed {
            done: seq - begin,
            all: wal.last_seq() - begin,
        };
        match told.all > 0 && watching(told).is_break() {
            true => Err(LiveError::Interrupted),
            false => Ok(()),
        }
    };
    tell(begin)?;
    let frames = wal.replay(begin + 1);
    let (sender, receiver) = sync_channel(CHUNKS_WAITING);
    thread::scope(|scope| {
        scope.spawn(move || {
            let mut chunks = Chunks { frames };
            // The receiver goes when folding has failed.
            while let Some(chunk) = chunks.next().transpose() {
                let failed = chunk.is_err();
                if sender.send(chunk).is_err() || failed {
                    return;
                }
            }
        });
        let mut unflushed = 0;
        for chunk in receiver {
            let chunk = chunk?;
            recovered.events += chunk.events.len() as u64;
            recovered.rejects += chunk.rejects.len() as u64;
            recovered.bytes += chunk.bytes;
            unflushed += chunk.bytes;
            let seq = chunk.seq;
            apply(store, &mut folder, chunk)?;
            recovered.buffered_bytes = unflushed;
            if unflushed >= FLUSH_BYTES {
                flush(store, &folder)?;
                (unflushed, recovered.buffered_bytes) = (0, 0);
            }
            tell(seq)?;
        }
        Ok::<_, LiveError>(())
    })?;
    Ok((wal, folder, recovered))
}

fn apply(store: &Store, folder: &mut Folder, chunk: Chunk) -> Result<(), LiveError> {
    let edit = folder.apply(chunk.events, &StoredHistory(store))?;
    store.commit(Commit {
        edit: &edit,
        quarantine: &chunk.rejects,
        checkpoint: None,
        mode: Mode::Memory,
        arrived_seq: Some(chunk.seq),
        recorded_at: chunk.recorded_at,
    })?;
    Ok(())
}

fn flush(store: &Store, folder: &Folder) -> Result<(), LiveError> {
    let checkpoint: Vec<&Event> = folder.checkpoint().collect();
    store.flush_with(None, &checkpoint)?;
    Ok(store.confirm_flush()?)
}

/// Frames of the log as chunks.
struct Chunks {
    frames: Replay,
}

impl Chunks {
    fn next(&mut self) -> Result<Option<Chunk>, LiveError> {
        let mut chunk = Chunk::default();
        while chunk.events.len() < CHUNK_EVENTS {
            let Some(frame) = self.frames.next().transpose()? else {
                break;
            };
            match frame.kind {
                Kind::Events => {
                    let (at, events) = payload::read_events(&frame.payload)?;
                    chunk.recorded_at = at;
                    chunk.events.extend(events);
                }
                Kind::Rejects => {
                    let rows = payload::read_rejects(&frame.payload)?;
                    chunk.recorded_at = rows.last().map_or(chunk.recorded_at, |r| r.received_at);
                    chunk.rejects.extend(rows);
                }
                Kind::Lost => {
                    tracing::warn!(rows = frame.rows, first = frame.first_seq, "rows were lost");
                }
                Kind::Barrier | Kind::Seal => continue,
            }
            chunk.seq = frame.first_seq + u64::from(frame.rows) - 1;
            chunk.bytes += frame.payload.len() as u64;
        }
        Ok((chunk.seq > 0).then_some(chunk))
    }
}
