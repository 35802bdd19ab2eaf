//! The store itself: opening, committing, flushing, reading.

use std::{
    fs::{File, OpenOptions, TryLockError},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, Weak},
};

use arrow::array::RecordBatch;
use events::{Event, UtcMicros};
use object_store::ObjectStore;

use crate::{
    Commit, Committed, DataFile, Error, EventIds, Mode, QuarantineRow, Result, Version,
    commit::{FileWriter, Outcome, Preparation, prepare},
    compact,
    files::Files,
    folder::{self, Leftovers, ManifestRead, ManifestWriter},
    index::LogIndex,
    io::{Io, RealIo},
    log::events_of,
    manifest::{Edit, FileList, Tail},
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
}

impl Default for Settings {
    fn default() -> Self {
        Settings {
            threads: 2,
            manifest_edits: 100,
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
    unknown: Vec<PathBuf>,
}

#[derive(Debug)]
struct State {
    backend: Backend,
    /// Versions that may still be in use.
    versions: Vec<Weak<Version>>,
    /// Files that no version from that edit on needs.
    obsolete: Vec<(u64, Arc<DataFile>)>,
    /// Events of open entities, of a commit that is in memory.
    checkpoint: Option<Vec<Event>>,
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
    /// Why nothing more is written.
    stopped: Option<String>,
    readers: File,
    /// Held as long as the store is open.
    _lock: File,
}

impl Store {
    /// Opens the data folder for writing, made anew if it is not there.
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
        folder::create_folders(&files)?;
        let (number, mut list) = match read {
            Some(read) => (read.number, reported(read)),
            None => (0, FileList::default()),
        };
        let left = folder::scan(&files, &list)?;
        report_unknown(&left.unknown);
        remove_leftovers(&files, &readers, &left);
        list.epoch += 1;
        let manifest = ManifestWriter::begin(&files, number, &mut list)?;
        let version = Version::of_files(&list);
        list.all_files().for_each(|file| files.admit(file));
        let writer = Writer {
            list,
            manifest,
            next_file: left.next_number,
            stopped: None,
            readers,
            _lock: lock,
        };
        let backend = Backend::Writer(Box::new(writer));
        Ok(Store::new(
            settings,
            Some(files),
            version,
            backend,
            left.unknown,
        ))
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
            return Err(Error::NoData { path: root });
        };
        read.list.all_files().for_each(|file| files.admit(file));
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
            Vec::new(),
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
            obsolete: Vec::new(),
            checkpoint: None,
        };
        Store {
            settings,
            files: files.map(Arc::new),
            current: RwLock::new(version),
            state: Mutex::new(state),
            index: LogIndex::default(),
            unknown,
        }
    }

    /// The data folder; `None` in memory.
    pub fn root(&self) -> Option<&Path> {
        self.files.as_ref().map(|files| files.root())
    }

    /// Files in the data folder that are not ours, found when it was opened for writing.
    pub fn unknown_files(&self) -> &[PathBuf] {
        &self.unknown
    }

    /// The newest version. Hold it as long as its rows are read.
    pub fn version(&self) -> Arc<Version> {
        Arc::clone(&self.current.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Reads the files of all versions, by [`DataFile::path`]. The hash of each is compared before
    /// its first byte is given out; a wrong one is a `Generic` error with an [`Error`] inside.
    pub fn object_store(&self) -> Result<Arc<dyn ObjectStore>> {
        Ok(Arc::new(DataObjects::new(self.files.clone())?))
    }

    fn files(&self) -> Option<&Files> {
        self.files.as_deref()
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
                (Some(&commit), seq, commit.checkpoint),
            )?;
        } else {
            let outcome = prepare(&Preparation {
                version: &version,
                commit: Some(&commit),
                seq,
                files: self.files(),
                writer: None,
                checkpoint: &[],
                threads: self.settings.threads,
            })?;
            state.checkpoint = Some(commit.checkpoint.iter().map(|e| (*e).clone()).collect());
            self.install(&mut state, outcome);
        }
        drop(version);
        self.remove_obsolete(&mut state);
        Ok(Committed { seq, durable })
    }

    /// Writes what is still in memory to Parquet. Nothing to do for a store in memory.
    ///
    /// # Errors
    /// As [`Store::commit`].
    pub fn flush(&self) -> Result<()> {
        let mut state = self.state();
        let version = self.version();
        if !matches!(state.backend, Backend::Writer(_)) || !is_dirty(&version) {
            return Ok(());
        }
        let checkpoint = state.checkpoint.clone().unwrap_or_default();
        let checkpoint: Vec<&Event> = checkpoint.iter().collect();
        self.write(
            &mut state,
            &version,
            (None, version.committed_seq, &checkpoint),
        )
    }

    /// Puts small files of fact tables together, so that queries open fewer. Returns the number of
    /// files that it replaced.
    ///
    /// # Errors
    /// As [`Store::commit`].
    pub fn compact(&self) -> Result<usize> {
        self.flush()?;
        let mut state = self.state();
        let version = self.version();
        let (Backend::Writer(_), Some(files)) = (&state.backend, self.files()) else {
            return Ok(0);
        };
        let plan = compact::plan(&version);
        let count = plan.iter().map(|(_, inputs)| inputs.len()).sum();
        if count == 0 {
            return Ok(0);
        }
        let (edit, next) = self.next_names(&mut state, files)?;
        let out = FileWriter::new(files, edit, next);
        let made = compact::run(&version, plan, &out);
        let made = made.map(|version| Outcome {
            version,
            log_files: Vec::new(),
            log_memory: Vec::new(),
            checkpoint: None,
        });
        self.finish(&mut state, &out, made, Checkpoint::Keep)?;
        drop(version);
        self.remove_obsolete(&mut state);
        Ok(count)
    }

    /// Number of the edit that comes and of the first file in it. Begins a new manifest file first
    /// if the old one has grown long.
    fn next_names(&self, state: &mut State, files: &Files) -> Result<(u64, u32)> {
        let Backend::Writer(writer) = &mut state.backend else {
            return Err(Error::ReadOnly);
        };
        if let Some(reason) = &writer.stopped {
            return Err(Error::Stopped {
                reason: reason.clone(),
            });
        }
        if writer.manifest.is_long(self.settings.manifest_edits) {
            let mut list = writer.list.clone();
            match ManifestWriter::begin(files, writer.manifest.number(), &mut list) {
                Ok(manifest) => (writer.manifest, writer.list) = (manifest, list),
                // The new file may be in place or not: no edit may go to either.
                Err(error) => {
                    writer.stopped = Some(error.to_string());
                    return Err(error);
                }
            }
        }
        Ok((writer.list.edit + 1, writer.next_file))
    }

    /// Prepares files, writes them, adds them to the manifest, installs the version.
    fn write(
        &self,
        state: &mut State,
        version: &Version,
        (commit, seq, checkpoint): (Option<&Commit<'_>>, u64, &[&Event]),
    ) -> Result<()> {
        let Some(files) = self.files() else {
            return Ok(());
        };
        let (edit, next) = self.next_names(state, files)?;
        let out = FileWriter::new(files, edit, next);
        let prepared = prepare(&Preparation {
            version,
            commit,
            seq,
            files: Some(files),
            writer: Some(&out),
            checkpoint,
            threads: self.settings.threads,
        });
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
            backend, obsolete, ..
        } = state;
        let Backend::Writer(writer) = backend else {
            return Err(Error::ReadOnly);
        };
        writer.next_file = out.next.load(std::sync::atomic::Ordering::Relaxed);
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
        let gone = writer.append(&mut outcome, checkpoint)?;
        obsolete.extend(gone.into_iter().map(|file| (writer.list.edit, file)));
        writer.list.all_files().for_each(|file| files.admit(file));
        state.checkpoint = None;
        self.install(state, outcome);
        Ok(())
    }

    fn install(&self, state: &mut State, outcome: Outcome) {
        let version = Arc::new(outcome.version);
        state.versions.push(Arc::downgrade(&version));
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = version;
        self.index
            .committed(&outcome.log_files, &outcome.log_memory);
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
        };
        self.index.reload_links();
        self.install(&mut state, outcome);
        Ok(true)
    }

    /// Events of the entities that were open at the last commit.
    pub fn checkpoint(&self) -> Result<Vec<Event>> {
        let file = {
            let state = self.state();
            if let Some(events) = &state.checkpoint {
                return Ok(events.clone());
            }
            match &state.backend {
                Backend::Memory => None,
                Backend::Reader(reader) => reader.list.checkpoint.clone(),
                Backend::Writer(writer) => writer.list.checkpoint.clone(),
            }
        };
        let (Some(file), Some(files)) = (file, self.files()) else {
            return Ok(Vec::new());
        };
        let batch = decode(known(LOG), files.read(&file.path)?, None, None)?;
        Ok(events_of(&batch)?
            .into_iter()
            .map(|row| row.event)
            .collect())
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
        batches.extend(table.memory.iter().cloned());
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

    /// Reads every file and compares its hash, its number of rows and the uniqueness of keys.
    /// Returns what is wrong.
    pub fn verify(&self) -> Result<Vec<Error>> {
        let version = self.version();
        let Some(files) = self.files() else {
            return Ok(Vec::new());
        };
        let checkpoint = match &self.state().backend {
            Backend::Memory => None,
            Backend::Reader(reader) => reader.list.checkpoint.clone(),
            Backend::Writer(writer) => writer.list.checkpoint.clone(),
        };
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

/// What an edit does to the fold's checkpoint.
enum Checkpoint {
    Keep,
    Replace,
}

impl Writer {
    /// Adds the outcome to the manifest and returns the files that are no longer needed.
    fn append(&mut self, out: &mut Outcome, checkpoint: Checkpoint) -> Result<Vec<Arc<DataFile>>> {
        let new: Vec<Arc<DataFile>> = out
            .version
            .tables()
            .flat_map(|t| t.files.iter().cloned())
            .collect();
        let kept: std::collections::HashSet<&str> = new.iter().map(|f| f.path.as_str()).collect();
        let mut gone: Vec<Arc<DataFile>> = self
            .list
            .files
            .values()
            .filter(|f| !kept.contains(&*f.path))
            .cloned()
            .collect();
        // A file of a table that a newer program wrote is not ours to drop.
        gone.retain(|file| out.version.tables.contains_key(&file.table));
        let checkpoint = match checkpoint {
            Checkpoint::Keep => self.list.checkpoint.clone(),
            Checkpoint::Replace => {
                gone.extend(self.list.checkpoint.clone());
                out.checkpoint.take()
            }
        };
        let edit = Edit {
            seq: out.version.committed_seq,
            at: out.version.recorded_at.unwrap_or_default().0,
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
        };
        // Also a panic in between leaves it unknown what the manifest ends with.
        self.stopped = Some("a commit did not come to its end".to_owned());
        match self.manifest.append(&self.list, edit) {
            Ok(list) => self.list = list,
            Err(error) => {
                self.stopped = Some(error.to_string());
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
