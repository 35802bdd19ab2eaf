//! A file system in memory that forgets what was not synced, and fails when it is told to.
//!
//! What processes see (`now`) and what the disk holds (`durable`) are kept apart, and so are names.
//! A sync that fails leaves its bytes visible and loses them, as Linux does.

use std::{
    collections::BTreeMap,
    io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard},
};

use store::{DirEntry, Io, IoFile};

/// SplitMix64: the same numbers on each machine.
#[derive(Clone, Debug)]
pub struct Random(pub u64);

impl Random {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }

    pub fn chance(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }
}

/// A number of tries from the environment, for the long form of a test.
pub fn tries(variable: &str, default: usize) -> usize {
    let set = std::env::var(variable).ok();
    set.map_or(default, |n| n.parse().unwrap())
}

/// What happens at the chosen operation.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Fault {
    /// It fails with this error of the system.
    Error(i32),
    /// It is done, by half if it is a write, and reported as failed.
    Half,
}

pub const EIO: i32 = 5;
pub const ENOSPC: i32 = 28;

#[derive(Clone, Copy, Debug)]
pub struct Plan {
    pub at: usize,
    pub fault: Fault,
    pub for_ever: bool,
}

#[derive(Clone, Debug, Default)]
struct File {
    now: Arc<Vec<u8>>,
    durable: Arc<Vec<u8>>,
    pending: Vec<Change>,
}

#[derive(Clone, Debug)]
enum Change {
    Write { at: usize, bytes: Arc<[u8]> },
    Length(usize),
}

#[derive(Clone, Debug)]
enum NameChange {
    Set(PathBuf, usize),
    Remove(PathBuf),
    Rename(PathBuf, PathBuf),
}

/// Everything on the disk and above it.
#[derive(Clone, Debug, Default)]
pub struct State {
    files: Vec<File>,
    names: BTreeMap<PathBuf, usize>,
    durable_names: BTreeMap<PathBuf, usize>,
    pending_names: Vec<NameChange>,
}

/// What a power cut leaves of bytes and names that were not synced.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Left {
    Nothing,
    All,
    /// Each block of this size, each change of a name and of a length by chance.
    Blocks(usize),
    /// All names and lengths, no bytes: what was created and renamed comes before its data.
    NamesOnly,
}

#[derive(Debug, Default)]
struct Inner {
    state: State,
    operations: usize,
    plan: Option<Plan>,
    /// The state before each operation that changes something.
    history: Option<Vec<State>>,
}

/// A disk; clones are the same one.
#[derive(Clone, Debug, Default)]
pub struct Disk(Arc<Mutex<Inner>>);

enum Turn {
    Work,
    Half,
}

impl Disk {
    pub fn of(state: State) -> Disk {
        let disk = Disk::default();
        disk.inner().state = state;
        disk
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap()
    }

    pub fn io(&self) -> Arc<dyn Io> {
        Arc::new(self.clone())
    }

    pub fn state(&self) -> State {
        self.inner().state.clone()
    }

    pub fn record(&self) {
        self.inner().history = Some(Vec::new());
    }

    /// The state before each change since [`Disk::record`].
    pub fn take_history(&self) -> Vec<State> {
        self.inner().history.take().unwrap()
    }

    pub fn recorded(&self) -> usize {
        self.inner().history.as_ref().map_or(0, Vec::len)
    }

    pub fn operations(&self) -> usize {
        self.inner().operations
    }

    pub fn plan(&self, plan: Option<Plan>) {
        self.inner().plan = plan;
    }

    fn turn(&self) -> io::Result<Turn> {
        let mut inner = self.inner();
        let now = inner.operations;
        inner.operations += 1;
        match inner.plan {
            Some(plan) if now == plan.at || (now > plan.at && plan.for_ever) => match plan.fault {
                Fault::Error(code) => Err(io::Error::from_raw_os_error(code)),
                Fault::Half => Ok(Turn::Half),
            },
            _ => Ok(Turn::Work),
        }
    }

    /// An operation that changes something.
    fn change<T>(&self, work: impl FnOnce(&mut State) -> io::Result<T>) -> io::Result<T> {
        let turn = self.turn()?;
        let done = self.done(work)?;
        match turn {
            Turn::Work => Ok(done),
            Turn::Half => Err(io::Error::from_raw_os_error(EIO)),
        }
    }

    fn done<T>(&self, work: impl FnOnce(&mut State) -> io::Result<T>) -> io::Result<T> {
        let mut inner = self.inner();
        let before = inner.history.is_some().then(|| inner.state.clone());
        inner
            .history
            .iter_mut()
            .zip(before)
            .for_each(|(h, s)| h.push(s));
        work(&mut inner.state)
    }

    fn look<T>(&self, work: impl FnOnce(&State) -> io::Result<T>) -> io::Result<T> {
        match self.turn()? {
            Turn::Work => work(&self.inner().state),
            Turn::Half => Err(io::Error::from_raw_os_error(EIO)),
        }
    }

    fn handle(&self, file: usize, at: usize) -> Box<dyn IoFile> {
        Box::new(Handle {
            disk: self.clone(),
            file,
            at,
            poisoned: false,
        })
    }

    fn sync(&self, file: usize) -> io::Result<()> {
        let synced = self.change(|state| {
            let file = &mut state.files[file];
            let pending = std::mem::take(&mut file.pending);
            let durable = Arc::make_mut(&mut file.durable);
            pending.iter().for_each(|change| change.apply(durable));
            Ok(())
        });
        if synced.is_err() {
            self.inner().state.files[file].pending.clear();
        }
        synced
    }
}

impl Change {
    fn apply(&self, to: &mut Vec<u8>) {
        match self {
            Change::Length(length) => to.resize(*length, 0),
            Change::Write { at, bytes } => put(to, *at, bytes),
        }
    }
}

fn put(to: &mut Vec<u8>, at: usize, bytes: &[u8]) {
    if to.len() < at + bytes.len() {
        to.resize(at + bytes.len(), 0);
    }
    to[at..at + bytes.len()].copy_from_slice(bytes);
}

impl NameChange {
    fn apply(&self, names: &mut BTreeMap<PathBuf, usize>) {
        match self {
            NameChange::Set(path, file) => {
                names.insert(path.clone(), *file);
            }
            NameChange::Remove(path) => {
                names.remove(path);
            }
            NameChange::Rename(from, to) => {
                if let Some(file) = names.remove(from) {
                    names.insert(to.clone(), file);
                }
            }
        }
    }
}

impl State {
    fn file(&self, path: &Path) -> io::Result<&File> {
        let file = self.names.get(path).map(|file| &self.files[*file]);
        file.ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn rename(&mut self, change: NameChange) {
        change.apply(&mut self.names);
        self.pending_names.push(change);
    }

    /// What processes see, on another disk where all of it is durable.
    pub fn settled(&self) -> State {
        let settled = |file: &File| File {
            now: Arc::clone(&file.now),
            durable: Arc::clone(&file.now),
            pending: Vec::new(),
        };
        State {
            files: self.files.iter().map(settled).collect(),
            names: self.names.clone(),
            durable_names: self.names.clone(),
            pending_names: Vec::new(),
        }
    }

    /// What is there after a power cut.
    pub fn after_power_cut(&self, left: Left, random: &mut Random) -> State {
        let mut names = self.durable_names.clone();
        for change in &self.pending_names {
            if left.keeps_name(random) {
                change.apply(&mut names);
            }
        }
        let files = self.files.iter().map(|f| f.after_power_cut(left, random));
        let files: Vec<File> = files.collect();
        State {
            files,
            names: names.clone(),
            durable_names: names,
            pending_names: Vec::new(),
        }
    }

    /// Paths of all files.
    pub fn paths(&self) -> Vec<PathBuf> {
        self.names.keys().cloned().collect()
    }

    pub fn bytes(&self, path: &Path) -> Vec<u8> {
        self.file(path).unwrap().now.to_vec()
    }

    /// Changes a file as no program would.
    pub fn damage(&mut self, path: &Path, bytes: Vec<u8>) {
        let file = self.files.len();
        self.files.push(File {
            now: Arc::new(bytes.clone()),
            durable: Arc::new(bytes),
            pending: Vec::new(),
        });
        self.names.insert(path.to_owned(), file);
        self.durable_names.insert(path.to_owned(), file);
    }

    pub fn lose(&mut self, path: &Path) {
        self.names.remove(path);
        self.durable_names.remove(path);
    }
}

impl Left {
    fn keeps_name(self, random: &mut Random) -> bool {
        match self {
            Left::Nothing => false,
            Left::All | Left::NamesOnly => true,
            Left::Blocks(_) => random.chance(50),
        }
    }
}

impl File {
    fn after_power_cut(&self, left: Left, random: &mut Random) -> File {
        let mut bytes = self.durable.to_vec();
        for change in &self.pending {
            match (change, left) {
                (_, Left::Nothing) | (Change::Write { .. }, Left::NamesOnly) => {}
                (_, Left::All) => change.apply(&mut bytes),
                (Change::Length(_), _) => {
                    if left.keeps_name(random) {
                        change.apply(&mut bytes);
                    }
                }
                (Change::Write { at, bytes: new }, Left::Blocks(block)) => {
                    put_blocks(&mut bytes, *at, new, block, random);
                }
            }
        }
        let bytes = Arc::new(bytes);
        File {
            now: Arc::clone(&bytes),
            durable: bytes,
            pending: Vec::new(),
        }
    }
}

/// Writes each block or leaves it as it was.
fn put_blocks(to: &mut Vec<u8>, at: usize, bytes: &[u8], block: usize, random: &mut Random) {
    let percent = [20, 50, 80, 95][random.below(4) as usize];
    let mut from = 0;
    while from < bytes.len() {
        let until = bytes.len().min((at + from) / block * block + block - at);
        if random.chance(percent) {
            put(to, at + from, &bytes[from..until]);
        }
        from = until;
    }
}

impl Io for Disk {
    fn create_new(&self, path: &Path) -> io::Result<Box<dyn IoFile>> {
        let file = self.change(|state| {
            if state.names.contains_key(path) {
                return Err(io::ErrorKind::AlreadyExists.into());
            }
            state.files.push(File::default());
            let file = state.files.len() - 1;
            state.rename(NameChange::Set(path.to_owned(), file));
            Ok(file)
        })?;
        Ok(self.handle(file, 0))
    }

    fn open_at(&self, path: &Path, at: u64) -> io::Result<Box<dyn IoFile>> {
        self.look(|state| {
            let file = state.names.get(path);
            file.copied().ok_or_else(|| io::ErrorKind::NotFound.into())
        })
        .map(|file| self.handle(file, at as usize))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.change(|state| {
            state.file(from)?;
            state.rename(NameChange::Rename(from.to_owned(), to.to_owned()));
            Ok(())
        })
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.change(|state| {
            state.file(path)?;
            state.rename(NameChange::Remove(path.to_owned()));
            Ok(())
        })
    }

    fn create_dir_all(&self, _path: &Path) -> io::Result<()> {
        self.change(|_| Ok(()))
    }

    fn sync_dir(&self, _path: &Path) -> io::Result<()> {
        self.change(|state| {
            state.pending_names.clear();
            state.durable_names = state.names.clone();
            Ok(())
        })
    }

    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        self.look(|state| Ok(state.file(path)?.now.to_vec()))
    }

    fn read_range(&self, path: &Path, from: u64, bytes: usize) -> io::Result<Vec<u8>> {
        self.look(|state| {
            let now = &state.file(path)?.now;
            let from = now.len().min(from as usize);
            let to = now.len().min(from.saturating_add(bytes));
            Ok(now[from..to].to_vec())
        })
    }

    fn size(&self, path: &Path) -> io::Result<u64> {
        self.look(|state| Ok(state.file(path)?.now.len() as u64))
    }

    fn space(&self, _: &Path) -> io::Result<store::Space> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn list(&self, path: &Path) -> io::Result<Vec<DirEntry>> {
        self.look(|state| {
            let inside = state.names.keys().filter(|p| p.parent() == Some(path));
            let entry = |path: &PathBuf| DirEntry {
                path: path.clone(),
                is_dir: false,
            };
            Ok(inside.map(entry).collect())
        })
    }
}

#[derive(Debug)]
struct Handle {
    disk: Disk,
    file: usize,
    at: usize,
    /// A sync has failed: there must not be another.
    poisoned: bool,
}

impl Handle {
    fn write(&mut self, change: Change) -> io::Result<()> {
        assert!(!self.poisoned, "a file was written after a failed sync");
        let file = self.file;
        self.disk.done(|state| {
            let file = &mut state.files[file];
            change.apply(Arc::make_mut(&mut file.now));
            file.pending.push(change);
            Ok(())
        })
    }
}

impl IoFile for Handle {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        let turn = self.disk.turn()?;
        let half = matches!(turn, Turn::Half);
        let bytes = if half {
            &bytes[..bytes.len() / 2]
        } else {
            bytes
        };
        self.write(Change::Write {
            at: self.at,
            bytes: bytes.into(),
        })?;
        self.at += bytes.len();
        match half {
            true => Err(io::Error::from_raw_os_error(EIO)),
            false => Ok(()),
        }
    }

    fn sync(&mut self) -> io::Result<()> {
        assert!(!self.poisoned, "a file was synced again after a failure");
        let synced = self.disk.sync(self.file);
        self.poisoned = synced.is_err();
        synced
    }

    fn sync_data(&mut self) -> io::Result<()> {
        self.sync()
    }

    fn preallocate(&mut self, bytes: u64) -> io::Result<()> {
        self.truncate(bytes)
    }

    fn truncate(&mut self, bytes: u64) -> io::Result<()> {
        let turn = self.disk.turn()?;
        self.write(Change::Length(bytes as usize))?;
        match turn {
            Turn::Work => Ok(()),
            Turn::Half => Err(io::Error::from_raw_os_error(EIO)),
        }
    }
}
