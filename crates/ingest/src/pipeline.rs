//! From decoded lines to commits.
//!
//! Two threads: one decodes, the other dedupes, folds and commits. A batch of events is one commit,
//! and a commit is what is acknowledged: events, facts and quarantine rows of a batch become
//! durable together or not at all. After a crash the same import can simply be run again: what is
//! stored comes back as duplicates, and the rest goes on from there.

pub(crate) mod batch;

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        mpsc::{Receiver, SyncSender, sync_channel},
    },
    thread,
    time::Duration,
};

use events::{Event, Reject, RejectCode, Text, UtcMicros, quarantine_raw};
use facts::{FactEdit, FoldError, FoldSettings, Folder, History, HistoryError};
use store::{Commit, Mode, QuarantineRow, Store};

pub use crate::formats::ReadError;
use crate::{
    IdentityKey,
    dedupe::{Conflict, Deduped, dedupe},
    limits,
    live::window::IdWindow,
    quarantine::{self, Quarantine},
};
use batch::BatchSettings;
pub use batch::{Batch, Place};

/// A format: puts the lines of its inputs into batches.
pub trait Lines: Send {
    /// Puts the next line, if there is one, into `batch`; `false` after the last line.
    ///
    /// # Errors
    /// When an input cannot be read. A line that cannot be understood is no error but a reject.
    fn next(&mut self, batch: &mut Batch) -> Result<bool, ReadError>;
}

/// What an import has to be told.
#[derive(Clone, Debug)]
pub struct ImportSettings {
    /// The tenant that is written to.
    pub tenant_id: Text,
    /// Source of rejected lines that do not tell theirs.
    pub source: Text,
    /// Now. Each batch gets its own time of receipt: this one or a few microseconds later.
    pub recorded_at: UtcMicros,
    /// Key of the tokens that stand for identities.
    pub identity_key: IdentityKey,
    /// How events are folded.
    pub fold: FoldSettings,
    /// Events of a batch; [`limits::BATCH_EVENTS`] unless a test wants small ones.
    pub batch_events: usize,
    /// Whether a commit is on disk before it counts.
    pub mode: Mode,
}

impl ImportSettings {
    /// The usual settings.
    pub fn new(recorded_at: UtcMicros, identity_key: IdentityKey) -> Self {
        ImportSettings {
            tenant_id: events::DEFAULT_TENANT.into(),
            source: Text::default(),
            recorded_at,
            identity_key,
            fold: FoldSettings::default(),
            batch_events: limits::BATCH_EVENTS,
            mode: Mode::Durable,
        }
    }
}

/// How far an import is, after each batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// Bytes of the inputs that are done.
    pub bytes: u64,
    /// Lines that are done.
    pub lines: u64,
    /// Events accepted so far.
    pub accepted: u64,
    /// Sequence of this batch's commit; `None` if there was nothing to commit.
    pub committed: Option<u64>,
}

/// A rejected line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LineError {
    /// Where it stands.
    pub place: Place,
    /// What is wrong.
    pub reject: Reject,
}

/// What became of every line.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ImportReport {
    /// Lines read.
    pub lines: u64,
    /// Bytes read.
    pub bytes: u64,
    /// New events.
    pub accepted: u64,
    /// Events that were stored before, or came twice.
    pub duplicate: u64,
    /// Rejected lines, and events whose id is taken.
    pub rejected: u64,
    /// Blank lines.
    pub blank: u64,
    /// Commits made.
    pub commits: u64,
    /// Rejected ones by reason.
    pub by_reason: BTreeMap<RejectCode, u64>,
    /// The first few rejected lines.
    pub first_errors: Vec<LineError>,
    /// Where the time went.
    pub stages: Stages,
}

/// Time by stage. Decoding runs beside the other stages.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stages {
    /// All of the import.
    pub total: Duration,
    /// Reading and decoding lines.
    pub decode: Duration,
    /// Waiting for the decoder.
    pub wait: Duration,
    /// Finding repeats.
    pub dedupe: Duration,
    /// Folding, with loading earlier events.
    pub fold: Duration,
    /// Writing and syncing.
    pub commit: Duration,
}

/// Why an import stopped. Batches that were committed before stay.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// An input cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The store cannot be read or written.
    #[error(transparent)]
    Store(#[from] store::Error),
    /// Earlier events of a contact cannot be had.
    #[error(transparent)]
    Fold(#[from] FoldError),
}

/// Time since some moment; only durations are taken from it.
pub type Stopwatch<'a> = &'a (dyn Fn() -> Duration + Sync);

/// Puts events into a store, batch by batch.
pub struct Importer<'s> {
    store: &'s Store,
    settings: ImportSettings,
    /// `None` after a failure: the folder then knows more than the store and is restored.
    folder: Option<Folder>,
    quarantine: Quarantine,
    recorded_at: UtcMicros,
    window: IdWindow,
}

impl<'s> Importer<'s> {
    /// Goes on from what the store has.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn new(store: &'s Store, settings: ImportSettings) -> Result<Self, ImportError> {
        let folder = Folder::restore(settings.fold.clone(), store.checkpoint()?);
        // The order of receipt decides among corrections, so it must not fall when a clock is set.
        let recorded_at = match store.version().recorded_at {
            Some(last) => settings
                .recorded_at
                .max(UtcMicros(last.0.saturating_add(1))),
            None => settings.recorded_at,
        };
        let quarantine = Quarantine::default();
        let window = IdWindow::of(store, recorded_at)?;
        Ok(Importer {
            store,
            settings,
            folder: Some(folder),
            quarantine,
            recorded_at,
            window,
        })
    }

    /// Reads all lines and stores their events; `on_progress` is called after each batch.
    ///
    /// # Errors
    /// When an input or the store fails. What was committed before stays, and running the same
    /// import again completes it.
    pub fn run(
        &mut self,
        lines: &mut dyn Lines,
        stopwatch: Stopwatch<'_>,
        on_progress: &mut dyn FnMut(&Progress),
    ) -> Result<ImportReport, ImportError> {
        let settings = Arc::new(BatchSettings {
            identity_key: self.settings.identity_key.clone(),
            events_max: self.settings.batch_events.max(1),
        });
        let begun = stopwatch();
        let mut report = ImportReport::default();
        let (sender, receiver) = sync_channel(limits::BATCHES_WAITING_MAX);
        thread::scope(|scope| {
            let decoder = scope.spawn(move || decode_all(lines, settings, stopwatch, &sender));
            let stored = self.store_all(receiver, &mut report, stopwatch, on_progress);
            report.stages.decode = decoder
                .join()
                .unwrap_or_else(|p| std::panic::resume_unwind(p));
            stored
        })?;
        report.stages.total = stopwatch() - begun;
        Ok(report)
    }

    /// Stores every batch that comes. Dropping the receiver on an error ends the decoder.
    fn store_all(
        &mut self,
        batches: Receiver<Result<Batch, ReadError>>,
        report: &mut ImportReport,
        stopwatch: Stopwatch<'_>,
        on_progress: &mut dyn FnMut(&Progress),
    ) -> Result<(), ImportError> {
        let mut since = stopwatch();
        for batch in batches {
            report.stages.wait += stopwatch() - since;
            let committed = self.store_batch(batch?, report, stopwatch)?;
            let ImportReport {
                bytes,
                lines,
                accepted,
                ..
            } = *report;
            on_progress(&Progress {
                bytes,
                lines,
                accepted,
                committed,
            });
            since = stopwatch();
        }
        Ok(())
    }

    /// Dedupes, folds and commits one batch; the sequence of its commit if there is one.
    fn store_batch(
        &mut self,
        mut batch: Batch,
        report: &mut ImportReport,
        stopwatch: Stopwatch<'_>,
    ) -> Result<Option<u64>, ImportError> {
        report.lines += batch.line_count;
        report.bytes += batch.bytes;
        report.blank += batch.blank;
        let begun = stopwatch();
        let Deduped {
            fresh,
            duplicates,
            conflicts,
        } = dedupe(batch.take_events(), self.store, &self.window)?;
        let deduped = stopwatch();
        report.stages.dedupe += deduped - begun;
        report.duplicate += duplicates;
        let accepted = fresh.len() as u64;
        let quarantine = self.quarantine(&mut batch, conflicts, report)?;
        if fresh.is_empty() && quarantine.is_empty() {
            return Ok(None);
        }
        let stored = self.fold_and_commit(fresh, &quarantine, &mut report.stages, stopwatch);
        if stored.is_err() {
            self.quarantine.forget();
        }
        let seq = stored?;
        report.accepted += accepted;
        report.commits += 1;
        Ok(Some(seq))
    }

    /// Counts the rejected lines of a batch and gives those that the store does not have yet.
    fn quarantine(
        &mut self,
        batch: &mut Batch,
        conflicts: Vec<Conflict>,
        report: &mut ImportReport,
    ) -> Result<Vec<QuarantineRow>, ImportError> {
        let mut rows = Vec::new();
        for (line, reject) in batch.take_rejects() {
            let source = self.settings.source.clone();
            rows.extend(self.row(source, batch.place(line), batch.raw(line), &reject)?);
            report.reject(batch.place(line), reject);
        }
        for Conflict {
            event,
            line,
            reject,
        } in conflicts
        {
            // An event that was made, not read, has no line of its own.
            let raw = match batch.raw(line) {
                b"" => event.to_json_line().into_bytes(),
                raw => raw.to_vec(),
            };
            if reject.code.is_kept() {
                rows.extend(self.row(event.source, batch.place(line), &raw, &reject)?);
            }
            report.reject(batch.place(line), reject);
        }
        Ok(rows)
    }

    fn row(
        &mut self,
        source: Text,
        place: Place,
        raw: &[u8],
        reject: &Reject,
    ) -> store::Result<Option<QuarantineRow>> {
        let row = QuarantineRow {
            tenant_id: self.settings.tenant_id.clone(),
            source,
            line: i64::try_from(place.line).ok(),
            file: place.file,
            received_at: self.recorded_at,
            reason: reject.code.as_str().into(),
            detail: quarantine::detail(reject),
            raw: quarantine_raw(raw, reject).into_owned(),
        };
        Ok(self.quarantine.is_new(self.store, &row)?.then_some(row))
    }

    fn fold_and_commit(
        &mut self,
        mut fresh: Vec<Event>,
        quarantine: &[QuarantineRow],
        stages: &mut Stages,
        stopwatch: Stopwatch<'_>,
    ) -> Result<u64, ImportError> {
        let recorded_at = self.recorded_at;
        fresh
            .iter_mut()
            .for_each(|event| event.recorded_at = recorded_at);
        let begun = stopwatch();
        let mut folder = match self.folder.take() {
            Some(folder) => folder,
            None => Folder::restore(self.settings.fold.clone(), self.store.checkpoint()?),
        };
        let edit: FactEdit = folder.apply(fresh, &StoredHistory(self.store))?;
        let folded = stopwatch();
        stages.fold += folded - begun;
        let checkpoint: Vec<&Event> = folder.checkpoint().collect();
        let committed = self.store.commit(Commit {
            edit: &edit,
            quarantine,
            checkpoint: Some(&checkpoint),
            mode: self.settings.mode,
            arrived_seq: None,
            recorded_at,
        })?;
        self.store.ids_behind(committed.seq - 1, |id, content| {
            self.window.insert(recorded_at, id, content);
        })?;
        stages.commit += stopwatch() - folded;
        self.folder = Some(folder);
        self.recorded_at = UtcMicros(recorded_at.0 + 1);
        Ok(committed.seq)
    }
}

impl ImportReport {
    fn reject(&mut self, place: Place, reject: Reject) {
        self.rejected += 1;
        *self.by_reason.entry(reject.code).or_default() += 1;
        if self.first_errors.len() < limits::FIRST_ERRORS_MAX {
            self.first_errors.push(LineError { place, reject });
        }
    }
}

/// Fills batches until the lines end or nobody takes them; the time it took without waiting.
fn decode_all(
    lines: &mut dyn Lines,
    settings: Arc<BatchSettings>,
    stopwatch: Stopwatch<'_>,
    batches: &SyncSender<Result<Batch, ReadError>>,
) -> Duration {
    let mut spent = Duration::ZERO;
    let mut batch = Batch::new(settings);
    loop {
        let begun = stopwatch();
        let filled = fill(lines, &mut batch);
        spent += stopwatch() - begun;
        let next = Batch::after(&batch);
        let batch = std::mem::replace(&mut batch, next);
        let (message, more) = match filled {
            Ok(false) if batch.is_empty() => return spent,
            Ok(more) => (Ok(batch), more),
            Err(error) => (Err(error), false),
        };
        if batches.send(message).is_err() || !more {
            return spent;
        }
    }
}

fn fill(lines: &mut dyn Lines, batch: &mut Batch) -> Result<bool, ReadError> {
    while !batch.is_full() {
        if !lines.next(batch)? {
            return Ok(false);
        }
    }
    Ok(true)
}

/// The events of the store, for the folder.
pub(crate) struct StoredHistory<'s>(pub &'s Store);

impl History for StoredHistory<'_> {
    fn may_know(&self, link: u64) -> bool {
        self.0.may_know(link)
    }

    fn load(&self, links: &[u64]) -> Result<Vec<Event>, HistoryError> {
        self.0.load_events(links).map_err(HistoryError::new)
    }
}
