//! The store's side of a repair: which files are damaged, what they held, what comes in their place.

use std::{
    collections::HashSet,
    ops::Deref,
    path::PathBuf,
    sync::{Arc, atomic::Ordering},
};

use arrow::array::{ArrayRef, Int64Array, RecordBatch};
use events::Event;
use facts::StoredEvent;

use super::{Backend, Checkpoint, Store, is_dirty};
use crate::{
    DataFile, Error, EventIds, EventLinks, QuarantineRow, Result, Version,
    commit::{FileWriter, Outcome, Told, write_checkpoint, write_log},
    files::{Files, TMP},
    index::{read_ids, read_links},
    log::{LogRow, events_of, log_index, log_part},
    parquet_file::encode,
    quarantine::quarantine_batch,
    replace::read_file,
    rows::seq_value,
    tables::{LOG, QUARANTINE, TableSpec, known},
};

/// A data file that cannot be used.
#[derive(Clone, Debug)]
pub struct DamagedFile {
    /// The file as the manifest has it.
    pub file: Arc<DataFile>,
    /// Is it only the index beside it? Its rows are whole then.
    pub index_only: bool,
    /// What is wrong with it.
    pub error: Error,
}

/// What comes in the place of damaged files, all of it in one step.
#[derive(Clone, Copy, Debug)]
pub struct Mend<'a> {
    /// Another store, with everything in files.
    pub rebuilt: &'a Store,
    /// Tables whose rows are taken from there, in the place of all that they have.
    pub tables: &'a [&'a str],
    /// Files that go with their rows. They are set apart with the ending `.damaged`.
    pub dropped: &'a [Arc<DataFile>],
    /// Events of such files that were found elsewhere.
    pub events: &'a [StoredEvent],
    /// Rejected lines, and what says what is lost.
    pub quarantine: &'a [QuarantineRow],
    /// Events of the entities that are open.
    pub checkpoint: &'a [&'a Event],
}

/// A store beside the data that goes when it is dropped.
#[derive(Debug)]
pub struct Scratch {
    store: Store,
    path: PathBuf,
}

impl Deref for Scratch {
    type Target = Store;

    fn deref(&self) -> &Store {
        &self.store
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // The next one begins by removing it.
        let _ = std::fs::remove_dir_all(&self.path);
    }
}

impl Store {
    /// Number of data files that are quarantined: queries that need one fail.
    pub fn damaged_files(&self) -> usize {
        self.files().map_or(0, Files::damaged)
    }

    /// Files that are quarantined. What was not looked at yet is not among them: see
    /// [`Store::verify`].
    pub fn damaged(&self) -> Vec<DamagedFile> {
        let Some(files) = self.files() else {
            return Vec::new();
        };
        let version = self.version();
        let checkpoint = Store::checkpoint_file(&self.state());
        let all = version.tables().flat_map(|table| &table.files);
        let damaged = |file: &Arc<DataFile>| {
            let first = |(index, (path, ..)): (usize, (&str, u64, &str))| {
                Some((index, files.damage(path)?))
            };
            let (index, error) = file.parts().enumerate().find_map(first)?;
            Some(DamagedFile {
                file: Arc::clone(file),
                index_only: index > 0,
                error,
            })
        };
        all.chain(&checkpoint).filter_map(damaged).collect()
    }

    /// The events of a file of the log.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn read_events(&self, file: &DataFile) -> Result<Vec<Event>> {
        let files = self.files().ok_or(Error::ReadOnly)?;
        events_of(&read_file(known(LOG), files, file)?)
    }

    /// The ids of the events of a file of the log.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn read_event_ids(&self, file: &DataFile) -> Result<EventIds> {
        let files = self.files().ok_or(Error::ReadOnly)?;
        let blocks = vec![Arc::new(read_ids(files, file)?)];
        Ok(EventIds { blocks })
    }

    /// What the events of a file of the log are linked by, from the index beside it, which may be whole
    /// where the file is not.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn read_event_links(&self, file: &DataFile) -> Result<EventLinks> {
        let files = self.files().ok_or(Error::ReadOnly)?;
        Ok(EventLinks(read_links(files, file)?))
    }

    /// An empty store for what a repair works out.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn scratch(&self) -> Result<Scratch> {
        let files = self.files().ok_or(Error::ReadOnly)?;
        let path = files.full(TMP).join("repair");
        match std::fs::remove_dir_all(&path) {
            Err(e) if e.kind() != std::io::ErrorKind::NotFound => {
                return Err(Error::io("remove", path, e));
            }
            _ => {}
        }
        std::fs::create_dir_all(&path).map_err(|e| Error::io("create", &path, e))?;
        let store = Store::create_or_open(&path)?;
        Ok(Scratch { store, path })
    }

    /// Puts something else in the place of damaged files. Indexes that are damaged are made anew
    /// from the rows beside them.
    ///
    /// # Errors
    /// As [`Store::commit`]; [`Error::Inconsistent`] if rows wait in memory, here or there.
    pub fn mend(&self, mend: &Mend<'_>) -> Result<()> {
        let damaged = self.damaged();
        let mut state = self.state();
        let version = self.version();
        let Some(files) = self.files() else {
            return Err(Error::ReadOnly);
        };
        if is_dirty(&version) || is_dirty(&mend.rebuilt.version()) {
            let what = "rows in memory have to be flushed before a repair";
            return Err(Error::inconsistent(LOG, what));
        }
        let (edit, next) = self.next_names(&mut state, files)?;
        let dropped: HashSet<&str> = mend.dropped.iter().map(|f| f.path.as_str()).collect();
        let indexes = damaged
            .iter()
            .filter(|d| d.index_only && !dropped.contains(d.file.path.as_str()));
        let indexes: Vec<&DataFile> = indexes.map(|d| &*d.file).collect();
        let out = FileWriter::new(files, edit, next);
        let mended = mended(&version, mend, &indexes, &out);
        if let Backend::Writer(writer) = &mut state.backend {
            writer.next_file = out.next.load(Ordering::Relaxed);
        }
        let mended = mended.and_then(|outcome| {
            for file in mend.dropped {
                files.set_apart(&file.path)?;
            }
            Ok(outcome)
        });
        self.finish(&mut state, &out, mended, Checkpoint::Replace)?;
        // What is known of links is that of the files before.
        self.index.reload_links();
        drop(version);
        self.remove_obsolete(&mut state);
        Ok(())
    }
}

fn mended(
    version: &Version,
    mend: &Mend<'_>,
    indexes: &[&DataFile],
    out: &FileWriter<'_>,
) -> Result<Outcome> {
    let seq = version.committed_seq + 1;
    let mut next = Version {
        committed_seq: seq,
        ..version.clone()
    };
    let gone: HashSet<&str> = mend.dropped.iter().map(|f| f.path.as_str()).collect();
    for table in next.tables.values_mut() {
        table.files.retain(|f| !gone.contains(f.path.as_str()));
    }
    for name in mend.tables {
        let rebuilt = copies(known(name), mend.rebuilt, seq, out)?;
        if let Some(table) = next.tables.get_mut(*name) {
            table.files = rebuilt;
        }
    }
    let mut log_files = Vec::new();
    if !mend.events.is_empty() {
        let row = |stored| log_row(stored, seq);
        let part = log_part(mend.events.iter().map(row).collect())?;
        log_files.push(write_log(known(LOG), &[part.batch], &[part.blocks], out)?);
    }
    for file in indexes {
        let batch = read_file(known(LOG), out.files, file)?;
        let blocks = log_index(&batch)?;
        log_files.push(write_log(known(LOG), &[batch], &[blocks], out)?);
    }
    if let Some(table) = next.tables.get_mut(LOG) {
        let replaced: HashSet<&str> = indexes.iter().map(|f| f.path.as_str()).collect();
        table.files.retain(|f| !replaced.contains(f.path.as_str()));
        let new = log_files.iter().map(|(file, _)| Arc::clone(file));
        table.files.extend(new);
    }
    if let (false, Some(table)) = (mend.quarantine.is_empty(), next.tables.get_mut(QUARANTINE)) {
        let encoded = encode(known(QUARANTINE), &quarantine_batch(mend.quarantine, seq)?)?;
        table
            .files
            .push(out.write(QUARANTINE, &encoded, false, None)?);
    }
    let checkpoint = match mend.checkpoint {
        [] => None,
        events => Some(write_checkpoint(events, out)?),
    };
    Ok(Outcome {
        version: next,
        log_files,
        log_memory: Vec::new(),
        checkpoint,
        told: Told::Unknown,
    })
}

fn log_row(stored: &StoredEvent, seq: u64) -> LogRow<'_> {
    LogRow {
        event: &stored.event,
        entity: &stored.entity,
        seq,
    }
}

/// The rows of a table of another store as files of this one, written by the commit `seq`.
fn copies(
    spec: &TableSpec,
    from: &Store,
    seq: u64,
    out: &FileWriter<'_>,
) -> Result<Vec<Arc<DataFile>>> {
    let version = from.version();
    let (Some(table), Some(files)) = (version.table(spec.name), from.files()) else {
        return Ok(Vec::new());
    };
    let copy = |file: &Arc<DataFile>| {
        let batch = with_seq(spec, &read_file(spec, files, file)?, seq)?;
        out.write(spec.name, &encode(spec, &batch)?, file.hot, None)
    };
    table.files.iter().map(copy).collect()
}

fn with_seq(spec: &TableSpec, batch: &RecordBatch, seq: u64) -> Result<RecordBatch> {
    let mut columns: Vec<ArrayRef> = batch.columns().to_vec();
    // The sequence is the last column of every table.
    columns.pop();
    columns.push(Arc::new(Int64Array::from_value(
        seq_value(seq),
        batch.num_rows(),
    )));
    RecordBatch::try_new(batch.schema(), columns).map_err(|e| Error::encoding(spec.name, e))
}
