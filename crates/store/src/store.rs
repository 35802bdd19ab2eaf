//! The store itself: opening, committing, flushing, reading.

mod arrivals;
mod ballast;
mod mend;
mod retain;
mod scrub;
mod upkeep;

pub use mend::{DamagedFile, Mend, Scratch};
pub use retain::Pinned;
pub use scrub::{Scrub, Scrubbed};

use std::{
    collections::HashSet,
    fs::{File, OpenOptions, TryLockError},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, Weak},
};

use arrow::array::RecordBatch;
use events::{Event, UtcMicros};
use object_store::ObjectStore;

use crate::{
    Commit, Committed, DataFile, Error, EventIds, Follower, Mode, PreparedLog, QuarantineRow,
    Result, Version,
    changes::{Change, Followers},
    commit::{FileWriter, Outcome, Preparation, Told, prepare, write_log},
    compact::{self, Verified},
    files::Files,
    folder::{self, Leftovers, ManifestRead, ManifestWriter, SIDE_FILES},
    index::LogIndex,
    io::{Io, RealIo},
    listeners::{Listener, Listeners},
    log::{RECEIVED_COLUMNS, each_received, events_of},
    manifest::{Edit, FileList, Tail},
    memory::batches_of,
    objects::DataObjects,
    parquet_file::decode,
    quarantine::quarantine_rows,
    tables::{LOG, QUARANTINE, known},
};

/// How a store works; none of it changes what is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Threads that sort and encode tables at the same time.
    pub threads: usize,
    /// Edits in a manifest file before a new one is begun, at least.
    pub manifest_edits: usize,
    /// Size of a segment of the write-ahead log in bytes, at most 1 GiB.
    pub segment_bytes: u64,
}

impl Default for Settings {
    fn default() -> Self {
        Settings {
            threads: 2,
            manifest_edits: 100,
            segment_bytes: 64 << 20,
        }
    }
}

/// Events and facts of one contact centre, in a folder or in memory.
#[derive(Debug)]
pub struct Store {
    settings: Settings,
    files: Option<Arc<Files>>,
    current: RwLock<Arc<Version>>,
    state: Mutex<State>,
    index: LogIndex,
    listeners: Listeners,
    followers: Followers,
    unknown: Vec<PathBuf>,
}

#[derive(Debug)]
struct State {
    backend: Backend,
    /// Versions that may still be in use.
    versions: Vec<Weak<Version>>,
    /// Files that nobody has read back.
    unconfirmed: Vec<Arc<DataFile>>,
    /// Number of the next file that is written beside the commits.
    next_side: u32,
    /// Files that no version from that edit on needs.
    obsolete: Vec<(u64, Arc<DataFile>)>,
    checkpoint: Open,
}

impl State {
    /// Name of a file that is written while commits go on: number of the edit to come, and one in
    /// it that no commit uses.
    fn side_name(&mut self) -> (u64, u32) {
        let edit = match &self.backend {
            Backend::Writer(writer) => writer.list.edit + 1,
            _ => 0,
        };
        let number = self.next_side;
        self.next_side += 1;
        (edit, number)
    }
}

/// Where the events of open entities are.
#[derive(Debug)]
enum Open {
    /// In the file that the manifest names.
    Stored,
    /// Here, from a commit that is in memory.
    Memory(Vec<Event>),
    /// With who commits: they come with the flush.
    Withheld,
}

#[derive(Debug)]
enum Backend {
    Memory,
    Reader(Reader),
    Writer(Box<Writer>),
}

#[derive(Debug)]
struct Reader {
    number: u64,
    list: FileList,
    tail: Tail,
    /// Shared, so that the writer leaves replaced files alone.
    _readers: Option<File>,
}

#[derive(Debug)]
struct Writer {
    list: FileList,
    manifest: ManifestWriter,
    /// Number of the first file in the next edit.
    next_file: u32,
    stopped: Option<Stop>,
    readers: File,
    /// Held as long as the store is open.
    _lock: File,
}

/// Why nothing more is written: nobody knows what the manifest ends with.
#[derive(Debug)]
struct Stop {
    reason: String,
    /// Files of the edit that may count or not, if the disk was full: with room again a new
    /// manifest file, which does not have the edit, ends the doubt.
    full: Option<Vec<Arc<DataFile>>>,
}

impl Stop {
    fn of(error: &Error, doubtful: Vec<Arc<DataFile>>) -> Self {
        Stop {
            reason: error.to_string(),
            full: matches!(error, Error::DiskFull { .. }).then_some(doubtful),
        }
    }
}

impl Store {
    /// Opens the data folder for writing, made anew if it is not there.
    ///
    /// A data file that is missing or has another size is quarantined: what needs it fails.
    ///
    /// # Errors
    /// [`Error::Locked`] if another process writes; [`Error::Damaged`] or [`Error::NewerFormat`]
    /// if the manifest cannot be followed.
    pub fn create_or_open(folder: impl AsRef<Path>) -> Result<Store> {
        Store::open_with(folder, Settings::default(), Arc::new(RealIo))
    }

    /// As [`Store::create_or_open`], with settings and a file system.
    pub fn open_with(
        folder: impl AsRef<Path>,
        settings: Settings,
        io: Arc<dyn Io>,
    ) -> Result<Store> {
        let root = folder.as_ref().to_owned();
        let files = Files::new(root.clone(), io);
        files.create_dir(&root)?;
        let lock = lock_writer(&root)?;
        let readers = open_lock(&root.join("READERS"))?;
        let read = folder::read_manifest(&files)?;
        if read.is_none() {
            folder::refuse_data_without_manifest(&files)?;
        }
        folder::create_folders(&files)?;
        let (number, mut list) = match read {
            Some(read) => (read.number, reported(read)),
            None => (0, FileList::default()),
        };
        let left = folder::scan(&files, &list)?;
        report_unknown(&left.unknown);
        remove_leftovers(&files, &readers, &left);
        list.epoch += 1;
        let manifest = match ManifestWriter::begin(&files, number, &mut list) {
            Err(Error::DiskFull { .. }) if ballast::free(&files) => {
                ManifestWriter::begin(&files, number, &mut list)?
            }
            begun => begun?,
        };
        let version = Version::of_files(&list);
        list.all_files().for_each(|file| files.admit(file));
        for (path, error) in left.damaged {
            files.set_damaged(&path, error);
        }
        let writer = Writer {
            list,
            manifest,
            next_file: left.next_number,
            stopped: None,
            readers,
            _lock: lock,
        };
        let backend = Backend::Writer(Box::new(writer));
        let store = Store::new(settings, Some(files), version, backend, left.unknown);
        store.state().next_side = left.next_side.max(SIDE_FILES);
        Ok(store)
    }

    /// Opens the data folder for reading, also while another process writes.
    ///
    /// # Errors
    /// [`Error::NoData`] if there is no manifest in the folder.
    pub fn open_read_only(folder: impl AsRef<Path>) -> Result<Store> {
        let root = folder.as_ref().to_owned();
        let files = Files::new(root.clone(), Arc::new(RealIo));
        // Before the manifest is read: what it names must not go between.
        let readers = share_readers(&root.join("READERS"));
        let Some(read) = folder::read_manifest(&files)? else {
            folder::refuse_data_without_manifest(&files)?;
            return Err(Error::NoData { path: root });
        };
        read.list.all_files().for_each(|file| files.admit(file));
        let strange = folder::strangers(&files)?;
        let version = Version::of_files(&read.list);
        let reader = Reader {
            number: read.number,
            list: read.list,
            tail: read.tail,
            _readers: readers,
        };
        let backend = Backend::Reader(reader);
        Ok(Store::new(
            Settings::default(),
            Some(files),
            version,
            backend,
            strange,
        ))
    }

    /// A store that keeps everything in memory and forgets it when it is dropped.
    pub fn in_memory() -> Store {
        Store::new(
            Settings::default(),
            None,
            Version::empty(),
            Backend::Memory,
            Vec::new(),
        )
    }

    fn new(
        settings: Settings,
        files: Option<Files>,
        version: Version,
        backend: Backend,
        unknown: Vec<PathBuf>,
    ) -> Store {
        let version = Arc::new(version);
        let state = State {
            backend,
            versions: vec![Arc::downgrade(&version)],
            unconfirmed: Vec::new(),
            next_side: SIDE_FILES,
            obsolete: Vec::new(),
            checkpoint: Open::Stored,
        };
        Store {
            settings,
            files: files.map(Arc::new),
            current: RwLock::new(version),
            state: Mutex::new(state),
            index: LogIndex::default(),
            listeners: Listeners::default(),
            followers: Followers::default(),
            unknown,
        }
    }

    /// The data folder; `None` in memory.
    pub fn root(&self) -> Option<&Path> {
        self.files.as_ref().map(|files| files.root())
    }

    /// Files in the data folder that are not ours, found when it was opened.
    pub fn unknown_files(&self) -> &[PathBuf] {
        &self.unknown
    }

    /// The newest version. Hold it as long as its rows are read.
    pub fn version(&self) -> Arc<Version> {
        Arc::clone(&self.current.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Tells `listener` of every newer version, for as long as somebody else holds it.
    pub fn on_version(&self, listener: &Arc<Listener>) {
        self.listeners.add(listener);
    }

    /// From now on keeps the rows that commits change, for as long as somebody else holds the
    /// result: at most `rows_max` of them wait, not counting the last commit's.
    pub fn follow(&self, rows_max: usize) -> Arc<Follower> {
        self.followers.add(rows_max)
    }

    /// Reads the files of all versions, by [`DataFile::path`]. The hash of each is compared before
    /// its first byte is given out; a wrong one is a `Generic` error with an [`Error`] inside.
    pub fn object_store(&self) -> Result<Arc<dyn ObjectStore>> {
        Ok(Arc::new(DataObjects::new(self.files.clone())?))
    }

    fn files(&self) -> Option<&Files> {
        self.files.as_deref()
    }

    /// The fold's checkpoint in the manifest.
    fn checkpoint_file(state: &State) -> Option<Arc<DataFile>> {
        match &state.backend {
            Backend::Memory => None,
            Backend::Reader(reader) => reader.list.checkpoint.clone(),
            Backend::Writer(writer) => writer.list.checkpoint.clone(),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // A panic while committing leaves the manifest's end unknown only if it came while
        // appending, and that is marked before it begins.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes events, facts and rejected lines in one step. When it returns without an error and
    /// the mode is durable, they are on the disk.
    ///
    /// # Errors
    /// [`Error::Stopped`] after a failure that left the manifest's end unknown: open the folder
    /// again. After any other error nothing has changed.
    pub fn commit(&self, commit: Commit<'_>) -> Result<Committed> {
        let mut state = self.state();
        let version = self.version();
        if matches!(state.backend, Backend::Reader(_)) {
            return Err(Error::ReadOnly);
        }
        if commit.is_empty() {
            return Ok(Committed {
                seq: version.committed_seq,
                durable: !is_dirty(&version),
            });
        }
        let seq = version.committed_seq + 1;
        let durable = commit.mode == Mode::Durable && !matches!(state.backend, Backend::Memory);
        if durable {
            self.write(
                &mut state,
                &version,
                Write {
                    commit: Some(&commit),
                    seq,
                    checkpoint: commit.checkpoint.unwrap_or_default(),
                    log: None,
                },
            )?;
        } else {
            let outcome = prepare(&Preparation {
                version: &version,
                commit: Some(&commit),
                seq,
                files: self.files(),
                writer: None,
                checkpoint: &[],
                log: None,
                followed: self.followers.any(),
                threads: self.settings.threads,
            })?;
            state.checkpoint = match commit.checkpoint {
                Some(events) => Open::Memory(events.iter().map(|e| (*e).clone()).collect()),
                None => Open::Withheld,
            };
            self.install(&mut state, outcome);
        }
        drop(version);
        self.remove_obsolete(&mut state);
        Ok(Committed { seq, durable })
    }

    /// Writes what is still in memory to Parquet. Nothing to do for a store in memory.
    ///
    /// # Errors
    /// As [`Store::commit`]; [`Error::Inconsistent`] if the last commit gave no checkpoint.
    pub fn flush(&self) -> Result<()> {
        let events = match &self.state().checkpoint {
            Open::Stored => Vec::new(),
            Open::Memory(events) => events.clone(),
            Open::Withheld => return Err(withheld()),
        };
        self.flush_with(None, &events.iter().collect::<Vec<_>>())
    }

    /// As [`Store::flush`], with the events of open entities, and what [`Store::prepare_log`] has
    /// written already.
    ///
    /// # Errors
    /// As [`Store::commit`].
    pub fn flush_with(&self, log: Option<PreparedLog>, checkpoint: &[&Event]) -> Result<()> {
        let mut state = self.state();
        let version = self.version();
        if !matches!(state.backend, Backend::Writer(_)) || !is_dirty(&version) {
            return Ok(());
        }
        let write = Write {
            commit: None,
            seq: version.committed_seq,
            checkpoint,
            log,
        };
        let prepared = write.log.as_ref().map(|log| Arc::clone(&log.file));
        let written = self.write(&mut state, &version, write);
        // Where the manifest's end is unknown, the file may count.
        let may_count = |file: &DataFile| match &state.backend {
            Backend::Writer(writer) => writer.may_count(file),
            _ => false,
        };
        if let (Err(_), Some(file), Some(files)) = (&written, prepared, self.files())
            && !may_count(&file)
        {
            files.remove(&file);
        }
        written?;
        drop(version);
        self.remove_obsolete(&mut state);
        Ok(())
    }

    /// Writes the events in memory to a file that does not count before [`Store::flush_with`]:
    /// the longest part of a flush, for another thread than the one that commits. `None` if there
    /// are none.
    ///
    /// # Errors
    /// When the file cannot be written; nothing has changed then.
    pub fn prepare_log(&self) -> Result<Option<PreparedLog>> {
        let (version, edit, number) = {
            let mut state = self.state();
            let version = self.version();
            if version.log_memory.is_empty() || !matches!(state.backend, Backend::Writer(_)) {
                return Ok(None);
            }
            let (edit, number) = state.side_name();
            (version, edit, number)
        };
        let Some(files) = self.files() else {
            return Ok(None);
        };
        let out = FileWriter::new(files, edit, number);
        let batches = batches_of(&version.log().memory);
        let written = write_log(known(LOG), &batches, &version.log_memory, &out);
        let written = written.and_then(|written| {
            sync_folders(files, &out.written())?;
            Ok(written)
        });
        match written {
            Ok((file, blocks)) => Ok(Some(PreparedLog {
                file,
                blocks,
                parts: version.log_memory.len(),
            })),
            Err(error) => {
                let paths = out.written();
                paths.iter().for_each(|path| files.remove_path(path));
                Err(error)
            }
        }
    }

    /// Reads back what was written since the last call and compares its hashes: after that, nothing
    /// else needs to keep those rows. What was replaced meanwhile was read for that.
    ///
    /// # Errors
    /// [`Error::Damaged`] with the first file that is not as it was written.
    pub fn confirm_flush(&self) -> Result<()> {
        let written = std::mem::take(&mut self.state().unconfirmed);
        let Some(files) = self.files() else {
            return Ok(());
        };
        for file in written {
            for (path, ..) in file.parts() {
                match files.check_again(path) {
                    Ok(()) | Err(Error::Gone { .. }) => {}
                    Err(error) => return Err(error),
                }
            }
        }
        Ok(())
    }

    /// Number of the edit that comes and of the first file in it. Begins a new manifest file first
    /// if the old one has grown long.
    fn next_names(&self, state: &mut State, files: &Files) -> Result<(u64, u32)> {
        let Backend::Writer(writer) = &mut state.backend else {
            return Err(Error::ReadOnly);
        };
        match &writer.stopped {
            Some(Stop { reason, full: None }) => {
                let reason = reason.clone();
                return Err(Error::Stopped { reason });
            }
            Some(Stop { full: Some(_), .. }) => writer.begin_manifest(files)?,
            None if writer.manifest.is_long(self.settings.manifest_edits) => {
                writer.begin_manifest(files)?;
            }
            None => {}
        }
        Ok((writer.list.edit + 1, writer.next_file))
    }

    /// Prepares files, writes them, adds them to the manifest, installs the version.
    fn write(&self, state: &mut State, version: &Version, write: Write<'_>) -> Result<()> {
        let Some(files) = self.files() else {
            return Ok(());
        };
        let (edit, next) = self.next_names(state, files)?;
        let out = FileWriter::new(files, edit, next);
        let prepared = prepare(&Preparation {
            version,
            commit: write.commit,
            seq: write.seq,
            files: Some(files),
            writer: Some(&out),
            checkpoint: write.checkpoint,
            log: write.log,
            followed: self.followers.any(),
            threads: self.settings.threads,
        });
        let next_file = &out.next;
        if let Backend::Writer(writer) = &mut state.backend {
            writer.next_file = next_file.load(std::sync::atomic::Ordering::Relaxed);
        }
        self.finish(state, &out, prepared, Checkpoint::Replace)
    }

    fn finish(
        &self,
        state: &mut State,
        out: &FileWriter<'_>,
        prepared: Result<Outcome>,
        checkpoint: Checkpoint,
    ) -> Result<()> {
        let files = out.files;
        let State {
            backend,
            obsolete,
            unconfirmed,
            ..
        } = state;
        let Backend::Writer(writer) = backend else {
            return Err(Error::ReadOnly);
        };
        let synced = prepared.and_then(|outcome| {
            sync_folders(files, &out.written())?;
            Ok(outcome)
        });
        let mut outcome = match synced {
            Ok(outcome) => outcome,
            Err(error) => {
                out.written()
                    .iter()
                    .for_each(|path| files.remove_path(path));
                return Err(error);
            }
        };
        let edit = writer.edit(&mut outcome, checkpoint);
        let added = writer.new_files(&edit.0);
        let gone = writer.append(&mut outcome, edit)?;
        unconfirmed.extend(added);
        obsolete.extend(gone.into_iter().map(|file| (writer.list.edit, file)));
        writer.list.all_files().for_each(|file| files.admit(file));
        if matches!(checkpoint, Checkpoint::Replace) {
            state.checkpoint = Open::Stored;
        }
        self.install(state, outcome);
        Ok(())
    }

    fn install(&self, state: &mut State, outcome: Outcome) {
        let unknown = matches!(outcome.told, Told::Unknown);
        if let Told::Rows(tables) = outcome.told
            && !tables.is_empty()
        {
            let seq = outcome.version.committed_seq;
            self.followers.tell(Change { seq, tables });
        }
        let version = Arc::new(outcome.version);
        state.versions.push(Arc::downgrade(&version));
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = Arc::clone(&version);
        self.index
            .committed(&version, &outcome.log_files, &outcome.log_memory);
        if unknown {
            self.followers.lose();
        }
        self.listeners.tell(&version);
    }

    /// Removes files that neither a version in use nor another process needs.
    fn remove_obsolete(&self, state: &mut State) {
        state.versions.retain(|version| version.strong_count() > 0);
        let (Backend::Writer(writer), Some(files)) = (&state.backend, self.files()) else {
            return;
        };
        if state.obsolete.is_empty() || writer.readers.try_lock().is_err() {
            return;
        }
        let in_use = state
            .versions
            .iter()
            .filter_map(Weak::upgrade)
            .map(|v| v.edit)
            .min();
        let oldest = in_use.unwrap_or(u64::MAX);
        state.obsolete.retain(|(edit, file)| {
            let needed = oldest < *edit;
            if !needed {
                files.remove(file);
            }
            needed
        });
        unlock(&writer.readers);
    }

    /// Takes up what the writing process has added since. For a store that is open read-only.
    pub fn refresh(&self) -> Result<bool> {
        let mut state = self.state();
        let (Backend::Reader(reader), Some(files)) = (&mut state.backend, self.files()) else {
            return Ok(false);
        };
        if !reader.refresh(files)? {
            return Ok(false);
        }
        reader.list.all_files().for_each(|file| files.admit(file));
        let version = Version::of_files(&reader.list);
        let outcome = Outcome {
            version,
            log_files: Vec::new(),
            log_memory: Vec::new(),
            checkpoint: None,
            told: Told::Unknown,
        };
        self.index.reload_links();
        self.install(&mut state, outcome);
        Ok(true)
    }

    /// Events of the entities that were open at the last commit.
    pub fn checkpoint(&self) -> Result<Vec<Event>> {
        let file = {
            let state = self.state();
            match &state.checkpoint {
                Open::Memory(events) => return Ok(events.clone()),
                Open::Withheld => return Err(withheld()),
                Open::Stored => {}
            }
            Store::checkpoint_file(&state)
        };
        self.read_checkpoint(file)
    }

    fn read_checkpoint(&self, file: Option<Arc<DataFile>>) -> Result<Vec<Event>> {
        let (Some(file), Some(files)) = (file, self.files()) else {
            return Ok(Vec::new());
        };
        let batch = decode(known(LOG), files.read(&file.path)?, None, None)?;
        events_of(&batch)
    }

    /// May a stored event have this link (a hash as of [`facts::event_links`])? Never says no when
    /// one has.
    pub fn may_know(&self, link: u64) -> bool {
        self.index.may_know(link, self.files(), || self.version())
    }

    /// All events of the entities that have one of these links, whole: links are followed from
    /// event to event.
    pub fn load_events(&self, links: &[u64]) -> Result<Vec<Event>> {
        self.index
            .load_events(links, self.files(), || self.version())
    }

    /// Calls `take` with time of receipt, [`crate::event_id_hash`] and [`crate::content_hash`] of each
    /// stored event that was received at `since` or later, and stored by a commit behind `after`.
    ///
    /// # Errors
    /// When a file cannot be read.
    pub fn received_ids(
        &self,
        since: UtcMicros,
        after: u64,
        mut take: impl FnMut(UtcMicros, u64, u64),
    ) -> Result<()> {
        let version = self.version();
        let log = version.log();
        for rows in &log.memory {
            each_received(&rows.rows(), since, &mut take)?;
        }
        let Some(files) = self.files() else {
            return Ok(());
        };
        for file in &log.files {
            // A file without that bound is of an older program.
            let is_old = file.received_max.is_some_and(|max| max < since.0);
            if is_old || file.seq_max <= after {
                continue;
            }
            let bytes = files.read(&file.path)?;
            let batch = decode(known(LOG), bytes, Some(&RECEIVED_COLUMNS), None)?;
            each_received(&batch, since, &mut take)?;
        }
        Ok(())
    }

    /// Calls `take` with [`crate::event_id_hash`] and [`crate::content_hash`] of each event that was
    /// stored by a commit behind `after`, and perhaps of some before.
    ///
    /// # Errors
    /// When a file cannot be read.
    pub fn ids_behind(&self, after: u64, take: impl FnMut(u64, u64)) -> Result<()> {
        self.index
            .ids_behind(after, self.files(), &self.version(), take)
    }

    /// Ids of stored events, of all files in which something happened from `from` to `to`, both
    /// inclusive.
    pub fn event_ids(&self, from: UtcMicros, to: UtcMicros) -> Result<EventIds> {
        self.index
            .event_ids(from, to, self.files(), &self.version())
    }

    /// All rows of a table, files first.
    pub fn read(&self, version: &Version, table: &str) -> Result<Vec<RecordBatch>> {
        let Some(table) = version.table(table) else {
            return Ok(Vec::new());
        };
        let mut batches = Vec::new();
        if let Some(files) = self.files() {
            for file in &table.files {
                batches.push(decode(
                    known(&table.name),
                    files.read(&file.path)?,
                    None,
                    None,
                )?);
            }
        }
        batches.extend(table.memory.iter().map(|rows| rows.rows().into_owned()));
        Ok(batches)
    }

    /// Rejected lines, of one file if it is given.
    pub fn quarantine(&self, file: Option<&str>) -> Result<Vec<QuarantineRow>> {
        let mut rows = Vec::new();
        for batch in self.read(&self.version(), QUARANTINE)? {
            rows.extend(quarantine_rows(&batch)?);
        }
        rows.retain(|row| file.is_none() || row.file.as_deref() == file);
        Ok(rows)
    }

    /// As [`Store::verify_all`]; returns what is wrong.
    pub fn verify(&self) -> Result<Vec<Error>> {
        Ok(self.verify_all()?.errors)
    }

    /// Reads every file and compares its hash, its number of rows, their times and sequences, and
    /// the uniqueness of keys.
    pub fn verify_all(&self) -> Result<Verified> {
        let version = self.version();
        let Some(files) = self.files() else {
            return Ok(Verified::default());
        };
        let checkpoint = Store::checkpoint_file(&self.state());
        Ok(compact::verify(&version, checkpoint.as_deref(), files))
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(Version::empty());
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        self.remove_obsolete(&mut state);
    }
}

fn withheld() -> Error {
    Error::inconsistent(
        "checkpoint",
        "the last commit in memory gave none: flush with it first".to_owned(),
    )
}

/// What goes to the disk.
struct Write<'a> {
    commit: Option<&'a Commit<'a>>,
    seq: u64,
    checkpoint: &'a [&'a Event],
    log: Option<PreparedLog>,
}

/// What an edit does to the fold's checkpoint.
#[derive(Clone, Copy)]
enum Checkpoint {
    Keep,
    Replace,
}

impl Writer {
    /// Begins a new manifest file with the list as it is known to be.
    fn begin_manifest(&mut self, files: &Files) -> Result<()> {
        let mut list = self.list.clone();
        let begun = ManifestWriter::begin(files, self.manifest.number(), &mut list);
        let doubtful = self.stopped.take().and_then(|stop| stop.full);
        let doubtful = doubtful.unwrap_or_default();
        match begun {
            Ok(manifest) => {
                (self.manifest, self.list) = (manifest, list);
                doubtful.iter().for_each(|file| files.remove(file));
                Ok(())
            }
            // The new file may be in place or not: no edit may go to either.
            Err(error) => {
                self.stopped = Some(Stop::of(&error, doubtful));
                Err(error)
            }
        }
    }

    /// May the manifest name the file although the list does not?
    fn may_count(&self, file: &DataFile) -> bool {
        match &self.stopped {
            None => false,
            Some(Stop { full: None, .. }) => true,
            Some(Stop {
                full: Some(doubtful),
                ..
            }) => doubtful.iter().any(|f| f.path == file.path),
        }
    }

    /// Files of an edit that are not in the list yet.
    fn new_files(&self, edit: &Edit) -> Vec<Arc<DataFile>> {
        let known: HashSet<&str> = self.list.all_files().map(|f| f.path.as_str()).collect();
        let added = edit.add.iter().chain(&edit.checkpoint);
        let new = added.filter(|f| !known.contains(f.path.as_str()));
        new.cloned().collect()
    }

    /// What the outcome changes in the list of files, and the files that are no longer needed.
    fn edit(&self, out: &mut Outcome, checkpoint: Checkpoint) -> (Edit, Vec<Arc<DataFile>>) {
        let new: Vec<Arc<DataFile>> = out
            .version
            .tables()
            .flat_map(|t| t.files.iter().chain(&t.dropped).cloned())
            .collect();
        let kept: HashSet<&str> = new.iter().map(|f| f.path.as_str()).collect();
        let mut gone: Vec<Arc<DataFile>> = self
            .list
            .files
            .values()
            .filter(|f| !kept.contains(&*f.path))
            .cloned()
            .collect();
        // A file of a table that a newer program wrote is not ours to drop.
        gone.retain(|file| out.version.tables.contains_key(&file.table));
        let keeps = matches!(checkpoint, Checkpoint::Keep);
        let checkpoint = match checkpoint {
            Checkpoint::Keep => self.list.checkpoint.clone(),
            Checkpoint::Replace => {
                gone.extend(self.list.checkpoint.clone());
                out.checkpoint.take()
            }
        };
        // Files put together say nothing about commits that are still in memory.
        let kept_seq = match is_dirty(&out.version) {
            true => self.list.seq,
            false => out.version.committed_seq,
        };
        let (seq, wal, at) = match keeps {
            true => (kept_seq, self.list.wal, self.list.at),
            false => (
                out.version.committed_seq,
                out.version.arrived_seq,
                out.version.recorded_at.unwrap_or_default().0,
            ),
        };
        let edit = Edit {
            seq,
            wal,
            at,
            add: new
                .iter()
                .filter(|f| !self.list.files.contains_key(&f.path))
                .cloned()
                .collect(),
            remove: gone
                .iter()
                .filter(|f| self.list.files.contains_key(&f.path))
                .map(|f| f.path.clone())
                .collect(),
            checkpoint,
            floors: out.version.floors,
        };
        (edit, gone)
    }

    /// Adds an edit to the manifest and returns the files that are no longer needed.
    fn append(
        &mut self,
        out: &mut Outcome,
        (edit, gone): (Edit, Vec<Arc<DataFile>>),
    ) -> Result<Vec<Arc<DataFile>>> {
        // Also a panic in between leaves it unknown what the manifest ends with.
        self.stopped = Some(Stop {
            reason: "a commit did not come to its end".to_owned(),
            full: None,
        });
        let doubtful = self.new_files(&edit);
        match self.manifest.append(&self.list, edit) {
            Ok(list) => self.list = list,
            Err(error) => {
                self.stopped = Some(Stop::of(&error, doubtful));
                return Err(error);
            }
        }
        self.stopped = None;
        self.next_file = 0;
        out.version.edit = self.list.edit;
        Ok(gone)
    }
}

impl Reader {
    fn refresh(&mut self, files: &Files) -> Result<bool> {
        let Some(read) = folder::read_manifest(files)? else {
            return Ok(false);
        };
        let same = read.number == self.number && read.tail.valid_bytes == self.tail.valid_bytes;
        if same || (read.list.edit, read.list.seq) == (self.list.edit, self.list.seq) {
            return Ok(false);
        }
        (self.number, self.list, self.tail) = (read.number, read.list, read.tail);
        Ok(true)
    }
}

fn is_dirty(version: &Version) -> bool {
    version.tables().any(|table| table.is_dirty())
}

fn sync_folders(files: &Files, written: &[PathBuf]) -> Result<()> {
    let folders: std::collections::BTreeSet<&Path> =
        written.iter().filter_map(|path| path.parent()).collect();
    folders
        .into_iter()
        .try_for_each(|folder| files.sync_dir(folder))
}

/// The list of files, with a warning if the manifest's end was torn.
fn reported(read: ManifestRead) -> FileList {
    if read.tail.torn_bytes > 0 {
        tracing::warn!(
            manifest = %read.path.display(),
            bytes = read.tail.torn_bytes,
            edit = read.list.edit,
            "cut an edit that was never finished off the manifest"
        );
    }
    read.list
}

fn report_unknown(paths: &[PathBuf]) {
    for path in paths {
        tracing::warn!(path = %path.display(), "not a file of ours: left alone");
    }
}

/// Removes files of ours that do not count; those that another process may be reading stay.
fn remove_leftovers(files: &Files, readers: &File, left: &Leftovers) {
    left.temporary
        .iter()
        .for_each(|path| files.remove_path(path));
    // If the manifest has lost its last line, what it named is not there any more, and what came in
    // its place does not seem to count.
    if !left.damaged.is_empty() && !left.ours.is_empty() {
        let files = left.ours.len();
        tracing::warn!(
            files,
            "files that do not count stay, because others are damaged"
        );
        return;
    }
    if left.ours.is_empty() || readers.try_lock().is_err() {
        return;
    }
    for path in &left.ours {
        tracing::info!(path = %path.display(), "removing a file that does not count");
        files.remove_path(path);
    }
    unlock(readers);
}

fn unlock(readers: &File) {
    if let Err(error) = readers.unlock() {
        tracing::warn!(%error, "the lock for readers stays");
    }
}

fn open_lock(path: &Path) -> Result<File> {
    let options = OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .to_owned();
    options.open(path).map_err(|e| Error::io("open", path, e))
}

fn lock_writer(root: &Path) -> Result<File> {
    let path = root.join("LOCK");
    let file = open_lock(&path)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(Error::Locked {
            path: root.to_owned(),
        }),
        Err(TryLockError::Error(e)) => Err(Error::io("lock", path, e)),
    }
}

/// A folder without that file, or on a medium without locks, has no writer that would look.
fn share_readers(path: &Path) -> Option<File> {
    let file = File::open(path).ok()?;
    file.lock_shared().ok()?;
    Some(file)
}
