//! One commit: from rows to a new version, and to files that the next manifest edit names.

use std::{
    collections::HashSet,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU32, Ordering},
    },
};

use arrow::array::RecordBatch;
use events::{Event, UtcMicros};
use facts::FactEdit;

use crate::{
    DataFile, Error, QuarantineRow, Result, TableChange, Version,
    files::{CHECKPOINT, Files},
    folder::data_path,
    links::LinkBlock,
    log::{LogBlocks, LogRow, log_batch, log_part, merge_log},
    manifest::Sidecar,
    memory::batches_of,
    parquet_file::{Encoded, encode},
    quarantine::quarantine_batch,
    replace::{keys_of, replace_rows, spec_of, take_rows},
    rows::batch_of,
    sort::sorted,
    tables::{LOG, QUARANTINE, TableSpec, known},
    version::{Origin, TableData},
};

/// What one commit writes, all or nothing.
#[derive(Clone, Copy, Debug)]
pub struct Commit<'a> {
    /// Events, and the fact rows that go and come.
    pub edit: &'a FactEdit,
    /// Rejected lines.
    pub quarantine: &'a [QuarantineRow],
    /// Events of the entities that are still open, for the fold after the next start. Written with
    /// each commit: keep it small. `None` in memory: it comes with the flush.
    pub checkpoint: Option<&'a [&'a Event]>,
    /// When does it have to be on the disk?
    pub mode: Mode,
    /// Sequence of the write-ahead log up to which all is in the store with this commit; `None` if
    /// it does not come from there.
    pub arrived_seq: Option<u64>,
    /// For the manifest: the caller's time.
    pub recorded_at: UtcMicros,
}

/// When the rows of a commit go to the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Before the commit returns, together with what is still in memory.
    Durable,
    /// With the next flush or durable commit.
    Memory,
}

/// What a commit did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Committed {
    /// Its sequence, as in `_seq`.
    pub seq: u64,
    /// Is it on the disk?
    pub durable: bool,
}

impl Commit<'_> {
    pub(crate) fn is_empty(&self) -> bool {
        let edit = self.edit;
        edit.events.is_empty()
            && edit.removed.is_empty()
            && edit.added.is_empty()
            && self.quarantine.is_empty()
    }
}

/// Rows of a commit on their way into one table.
enum Change<'a> {
    /// Nothing new: only what is in memory is written.
    None,
    Events(&'a FactEdit),
    Facts(&'a FactEdit),
    Quarantine(&'a [QuarantineRow]),
}

/// Where files of one edit go, and what has been written so far.
pub(crate) struct FileWriter<'a> {
    pub files: &'a Files,
    /// Number of the edit that will name the files.
    pub edit: u64,
    /// Number of the next file in the edit.
    pub next: AtomicU32,
    pub written: Mutex<Vec<std::path::PathBuf>>,
}

impl<'a> FileWriter<'a> {
    pub fn new(files: &'a Files, edit: u64, next: u32) -> Self {
        FileWriter {
            files,
            edit,
            next: AtomicU32::new(next),
            written: Mutex::default(),
        }
    }

    /// Paths of what was written.
    pub fn written(&self) -> Vec<std::path::PathBuf> {
        self.written
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Takes in what was written elsewhere.
    pub fn wrote(&self, paths: &[std::path::PathBuf]) {
        let mut written = self.written.lock().unwrap_or_else(PoisonError::into_inner);
        written.extend_from_slice(paths);
    }

    fn put(&self, path: &str, bytes: &[u8]) -> Result<()> {
        let full = self.files.full(path);
        self.written
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(full.clone());
        self.files.write(&full, bytes)
    }

    /// Writes a file and the index that belongs to it.
    pub fn write(
        &self,
        table: &str,
        encoded: &Encoded,
        hot: bool,
        links: Option<Vec<u8>>,
    ) -> Result<Arc<DataFile>> {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let path = data_path(table, self.edit, number, "parquet");
        let links = match links {
            None => None,
            Some(bytes) => {
                let path = data_path(table, self.edit, number, "links");
                self.put(&path, &bytes)?;
                let blake3 = blake3::hash(&bytes).to_hex().to_string();
                Some(Sidecar {
                    path,
                    bytes: bytes.len() as u64,
                    blake3,
                })
            }
        };
        self.put(&path, &encoded.bytes)?;
        let bounds = encoded.bounds;
        Ok(Arc::new(DataFile {
            table: table.into(),
            path,
            rows: encoded.rows,
            bytes: encoded.bytes.len() as u64,
            footer_bytes: encoded.footer_bytes,
            blake3: blake3::hash(&encoded.bytes).to_hex().to_string(),
            time_min: bounds.time.map(|t| t.0),
            time_max: bounds.time.map(|t| t.1),
            seq_min: bounds.seq.0,
            seq_max: bounds.seq.1,
            received_max: bounds.received_max,
            hot,
            links,
        }))
    }
}

/// A table after a commit.
struct TableOutcome {
    table: TableData,
    /// Of the log: what is known of each memory batch.
    log_memory: Vec<LogBlocks>,
    /// Of the log: what is known of each new file.
    log_files: Vec<(Arc<DataFile>, LogBlocks)>,
    /// Rows of a fact table, if somebody wants to know.
    change: Option<TableChange>,
}

/// Everything a commit makes, before it counts.
pub(crate) struct Outcome {
    pub version: Version,
    pub log_files: Vec<(Arc<DataFile>, LogBlocks)>,
    /// Memory batches of the log that are new.
    pub log_memory: Vec<LogBlocks>,
    pub checkpoint: Option<Arc<DataFile>>,
    /// For those who follow.
    pub told: Told,
}

/// What those who follow a store are told of a new version.
#[derive(Debug)]
pub(crate) enum Told {
    /// The rows that a commit changed; none if the same rows lie elsewhere.
    Rows(Vec<TableChange>),
    /// That rows may have changed which nobody can list.
    Unknown,
}

/// Memory batches of the log that are in a file already, which does not count yet.
#[derive(Debug)]
pub struct PreparedLog {
    pub(crate) file: Arc<DataFile>,
    pub(crate) blocks: LogBlocks,
    /// How many of the memory batches of the log are in it: the first ones.
    pub(crate) parts: usize,
}

/// What [`prepare`] works from.
pub(crate) struct Preparation<'a> {
    pub version: &'a Version,
    pub commit: Option<&'a Commit<'a>>,
    /// Sequence of the commit; of a flush: that of the last one.
    pub seq: u64,
    /// Where rows of files are read from; `None` in memory.
    pub files: Option<&'a Files>,
    /// Set if everything in memory is to be written.
    pub writer: Option<&'a FileWriter<'a>>,
    pub checkpoint: &'a [&'a Event],
    /// What a flush finds done.
    pub log: Option<PreparedLog>,
    /// Does somebody want to know which rows change?
    pub followed: bool,
    pub threads: usize,
}

/// Applies the commit to the version; with a writer, writes every table that has rows in memory.
pub(crate) fn prepare(from: &Preparation<'_>) -> Result<Outcome> {
    let open: HashSet<u64> = match from.writer {
        Some(_) => from
            .checkpoint
            .iter()
            .flat_map(|event| facts::event_links(event))
            .collect(),
        None => HashSet::new(),
    };
    let mut jobs: Vec<Job<'_, Result<Done>>> = Vec::new();
    // The log first: it is the longest job by far.
    let mut tables: Vec<&TableData> = from.version.tables().collect();
    tables.sort_by_key(|t| &*t.name != LOG);
    for table in tables {
        if let Some(change) = change_of(table, from) {
            let open = &open;
            jobs.push(Box::new(move || {
                change_table(table, &change, from, open).map(|t| Done::Table(Box::new(t)))
            }));
        }
    }
    if let Some(writer) = from.writer
        && !from.checkpoint.is_empty()
    {
        jobs.push(Box::new(move || {
            write_checkpoint(from.checkpoint, writer).map(Done::Checkpoint)
        }));
    }
    let mut outcome = Outcome {
        version: Version {
            committed_seq: from.seq,
            arrived_seq: from
                .commit
                .and_then(|c| c.arrived_seq)
                .unwrap_or(from.version.arrived_seq),
            recorded_at: from
                .commit
                .map(|c| c.recorded_at)
                .or(from.version.recorded_at),
            ..from.version.clone()
        },
        log_files: Vec::new(),
        log_memory: Vec::new(),
        checkpoint: None,
        told: Told::Rows(Vec::new()),
    };
    for done in run(jobs, from.threads) {
        match done? {
            Done::Checkpoint(file) => outcome.checkpoint = Some(file),
            Done::Table(done) => outcome.take(*done),
        }
    }
    Ok(outcome)
}

enum Done {
    Table(Box<TableOutcome>),
    Checkpoint(Arc<DataFile>),
}

impl Outcome {
    fn take(&mut self, done: TableOutcome) {
        if &*done.table.name == LOG {
            let known = self.version.log_memory.len().min(done.log_memory.len());
            self.log_memory = done.log_memory[known..].to_vec();
            self.version.log_memory = done.log_memory;
            self.log_files = done.log_files;
        }
        if let (Told::Rows(changes), Some(change)) = (&mut self.told, done.change) {
            changes.push(change);
        }
        self.version
            .tables
            .insert(Arc::clone(&done.table.name), done.table);
    }
}

type Job<'a, T> = Box<dyn FnOnce() -> T + Send + 'a>;

/// Runs the jobs on some threads, in their order; results in any order.
fn run<T: Send>(jobs: Vec<Job<'_, T>>, threads: usize) -> Vec<T> {
    let threads = threads.min(jobs.len());
    if threads <= 1 {
        return jobs.into_iter().map(|job| job()).collect();
    }
    let jobs = Mutex::new(jobs.into_iter());
    let next = || jobs.lock().unwrap_or_else(PoisonError::into_inner).next();
    let work = || {
        std::iter::from_fn(&next)
            .map(|job| job())
            .collect::<Vec<T>>()
    };
    std::thread::scope(|scope| {
        let handles: Vec<_> = (1..threads).map(|_| scope.spawn(work)).collect();
        let mut results = work();
        for handle in handles {
            match handle.join() {
                Ok(more) => results.extend(more),
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
        results
    })
}

fn change_of<'a>(table: &TableData, from: &Preparation<'a>) -> Option<Change<'a>> {
    let flushed = from.writer.is_some() && table.is_dirty();
    let nothing = flushed.then_some(Change::None);
    let Some(commit) = from.commit else {
        return nothing;
    };
    match &*table.name {
        LOG if !commit.edit.events.is_empty() => Some(Change::Events(commit.edit)),
        QUARANTINE if !commit.quarantine.is_empty() => Some(Change::Quarantine(commit.quarantine)),
        LOG | QUARANTINE => nothing,
        name if touches(commit.edit, name) => Some(Change::Facts(commit.edit)),
        _ => nothing,
    }
}

/// Does the edit have rows of that table?
fn touches(edit: &FactEdit, table: &str) -> bool {
    struct Any<'a>(&'a str, bool);
    impl facts::table::TableVisitor for Any<'_> {
        fn rows<R: facts::table::Row>(&mut self, rows: &[R]) {
            self.1 |= R::TABLE.name == self.0 && !rows.is_empty();
        }
    }
    let mut any = Any(table, false);
    edit.removed.visit(&mut any);
    edit.added.visit(&mut any);
    any.1
}

fn change_table(
    table: &TableData,
    change: &Change<'_>,
    from: &Preparation<'_>,
    open: &HashSet<u64>,
) -> Result<TableOutcome> {
    let spec = spec_of(table);
    let mut done = TableOutcome {
        table: table.clone(),
        log_memory: Vec::new(),
        log_files: Vec::new(),
        change: None,
    };
    if spec.name == LOG {
        done.log_memory = from.version.log_memory.clone();
    }
    match change {
        Change::None => {}
        Change::Events(edit) => done.add_events(edit, from.seq)?,
        Change::Quarantine(rows) => {
            done.table
                .push(quarantine_batch(rows, from.seq)?, Origin::Fresh);
        }
        Change::Facts(edit) => {
            let added = batch_of(&edit.added, spec.name, from.seq)?;
            done.change = from.followed.then(|| TableChange {
                table: spec.name,
                removed: keys_of(&edit.removed, spec.name),
                added: added.clone(),
            });
            replace_rows(spec, &mut done.table, &edit.removed, added, from.files)?;
        }
    }
    if let Some(writer) = from.writer {
        done.flush(spec, open, from.log.as_ref(), writer)?;
    }
    Ok(done)
}

impl TableOutcome {
    fn add_events(&mut self, edit: &FactEdit, seq: u64) -> Result<()> {
        let rows = edit.events.iter().map(|stored| LogRow {
            event: &stored.event,
            entity: &stored.entity,
            seq,
        });
        let part = log_part(rows.collect())?;
        self.table.push(part.batch, Origin::Fresh);
        self.log_memory.push(part.blocks);
        Ok(())
    }

    /// Writes what is in memory. Files that are no longer needed are those that the table of the
    /// old version lists, or holds as dropped, and the new one does not.
    fn flush(
        &mut self,
        spec: &TableSpec,
        open: &HashSet<u64>,
        log: Option<&PreparedLog>,
        writer: &FileWriter<'_>,
    ) -> Result<()> {
        if spec.name == LOG {
            self.flush_log(spec, log, writer)?;
        } else {
            for rows in take_rows(spec, &mut self.table, open, writer.files)? {
                let encoded = encode(spec, &rows.batch)?;
                self.table
                    .files
                    .push(writer.write(spec.name, &encoded, rows.hot, None)?);
            }
        }
        self.table.dropped.clear();
        Ok(())
    }

    fn flush_log(
        &mut self,
        spec: &TableSpec,
        prepared: Option<&PreparedLog>,
        writer: &FileWriter<'_>,
    ) -> Result<()> {
        self.table.origins.clear();
        let mut batches = batches_of(&std::mem::take(&mut self.table.memory));
        let mut blocks = std::mem::take(&mut self.log_memory);
        if let Some(prepared) = prepared {
            batches.drain(..prepared.parts);
            blocks.drain(..prepared.parts);
            self.take_log_file((Arc::clone(&prepared.file), prepared.blocks.clone()));
        }
        if !batches.is_empty() {
            let written = write_log(spec, &batches, &blocks, writer)?;
            self.take_log_file(written);
        }
        Ok(())
    }

    fn take_log_file(&mut self, (file, blocks): (Arc<DataFile>, LogBlocks)) {
        self.table.files.push(Arc::clone(&file));
        self.log_files.push((file, blocks));
    }
}

/// Writes batches of the log as one file with its index.
pub(crate) fn write_log(
    spec: &TableSpec,
    batches: &[RecordBatch],
    blocks: &[LogBlocks],
    writer: &FileWriter<'_>,
) -> Result<(Arc<DataFile>, LogBlocks)> {
    let (batch, blocks) = match (batches, blocks) {
        ([batch], [blocks]) => (batch.clone(), blocks.clone()),
        _ => {
            let links: Vec<&LinkBlock> = blocks.iter().map(|b| &*b.links).collect();
            merge_log(batches, &links)?
        }
    };
    let encoded = encode(spec, &batch)?;
    let links = Some(blocks.links.to_bytes());
    Ok((writer.write(spec.name, &encoded, false, links)?, blocks))
}

/// The checkpoint has the columns of the log, so that it needs no format of its own.
pub(crate) fn write_checkpoint(
    events: &[&Event],
    writer: &FileWriter<'_>,
) -> Result<Arc<DataFile>> {
    let rows = events.iter().map(|event| LogRow {
        event,
        entity: "",
        seq: 0,
    });
    let batch = log_batch(rows.collect())?;
    writer.write(CHECKPOINT, &encode(known(LOG), &batch)?, false, None)
}

/// Rows of several files as one file in the order of the table.
pub(crate) fn merged(spec: &TableSpec, batches: &[RecordBatch]) -> Result<RecordBatch> {
    let all = arrow::compute::concat_batches(&spec.schema, batches)
        .map_err(|e| Error::encoding(spec.name, e))?;
    sorted(spec, &all)
}
