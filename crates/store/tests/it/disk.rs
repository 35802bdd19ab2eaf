//! A file system in memory that forgets what was not synced, and fails when it is told to.
//!
//! What processes see (`now`) and what the disk holds (`durable`) are kept apart, and so are names.
//! A sync that fails leaves its bytes visible and loses them, as Linux does.

use std::{
    collections::BTreeMap,
    io,
    ops::Range,
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
    /// Bytes of the whole disk; `None`: there is no end.
    capacity: Option<u64>,
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

    /// Makes the disk larger or smaller.
    pub fn set_capacity(&self, bytes: Option<u64>) {
        self.inner().capacity = bytes;
    }

    /// Bytes of all files.
    pub fn used(&self) -> u64 {
        self.inner().state.used()
    }

    /// How many of `bytes` more there is room for.
    fn room(&self, bytes: usize) -> usize {
        let inner = self.inner();
        match inner.capacity {
            Some(capacity) => {
                let free = capacity.saturating_sub(inner.state.used());
                bytes.min(usize::try_from(free).unwrap_or(usize::MAX))
            }
            None => bytes,
        }
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
    /// The name that comes or goes. Renames stay in one folder.
    fn path(&self) -> &Path {
        match self {
            NameChange::Set(path, _) | NameChange::Remove(path) | NameChange::Rename(_, path) => {
                path
            }
        }
    }

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
    fn used(&self) -> u64 {
        let bytes = |file: &usize| self.files[*file].now.len() as u64;
        self.names.values().map(bytes).sum()
    }

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
    pub fn any(random: &mut Random) -> Left {
        match random.below(8) {
            0 => Left::Nothing,
            1 => Left::All,
            2 => Left::NamesOnly,
            3..6 => Left::Blocks(512),
            _ => Left::Blocks(4096),
        }
    }

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

/// Damage to the bytes of a file.
#[derive(Clone, Debug, PartialEq)]
pub enum Damage {
    Bit(usize),
    /// From here, 4 KiB.
    Zeros(usize),
    /// Two sectors of 512 bytes.
    Swapped(usize, usize),
    /// The file ends here.
    CutAt(usize),
}

impl Damage {
    pub fn random(length: usize, random: &mut Random) -> Damage {
        let sectors = (length as u64).div_ceil(512);
        match random.below(4) {
            0 => Damage::Bit(random.below(length as u64) as usize),
            1 => Damage::Zeros(random.below(length as u64) as usize / 4096 * 4096),
            2 => {
                let mut sector = || random.below(sectors) as usize * 512;
                Damage::Swapped(sector(), sector())
            }
            _ => Damage::CutAt(random.below(length as u64) as usize),
        }
    }

    pub fn apply(&self, bytes: &mut Vec<u8>, random: &mut Random) {
        let length = bytes.len();
        match *self {
            Damage::Bit(at) => bytes[at] ^= 1 << random.below(8),
            Damage::Zeros(at) => bytes[at..length.min(at + 4096)].fill(0),
            Damage::Swapped(one, two) => {
                let (one, two) = (one.min(two), one.max(two));
                for i in 0..512.min(length - two) {
                    bytes.swap(one + i, two + i);
                }
            }
            Damage::CutAt(at) => bytes.truncate(at),
        }
    }

    /// The damaged places; the same twice if there is one.
    pub fn places(&self, length: usize) -> [Range<usize>; 2] {
        let one = |place: Range<usize>| [place.clone(), place];
        match *self {
            Damage::Bit(at) => one(at..at + 1),
            Damage::Zeros(at) => one(at..at + 4096),
            Damage::Swapped(one, two) => [one..one + 512, two..two + 512],
            Damage::CutAt(at) => one(at..length),
        }
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

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        self.change(|state| {
            let inside = |change: &mut NameChange| change.path().parent() == Some(path);
            let durable: Vec<NameChange> = state.pending_names.extract_if(.., inside).collect();
            durable
                .iter()
                .for_each(|change| change.apply(&mut state.durable_names));
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
        let inner = self.inner();
        let total = inner.capacity.ok_or(io::ErrorKind::Unsupported)?;
        let free = total.saturating_sub(inner.state.used());
        Ok(store::Space { free, total })
    }

    fn list(&self, path: &Path) -> io::Result<Vec<DirEntry>> {
        self.look(|state| {
            // A folder is there if a file is somewhere in it.
            let entry = |file: &PathBuf| {
                let rest = file.strip_prefix(path).ok()?;
                let name = rest.components().next()?;
                Some(DirEntry {
                    path: path.join(name),
                    is_dir: rest.components().count() > 1,
                })
            };
            let mut entries: Vec<DirEntry> = state.names.keys().filter_map(entry).collect();
            entries.dedup();
            Ok(entries)
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
    fn length(&self) -> usize {
        self.disk.inner().state.files[self.file].now.len()
    }

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
        let wanted = match half {
            true => bytes.len() / 2,
            false => bytes.len(),
        };
        // What was taken in advance needs no room.
        let taken = self.length().saturating_sub(self.at).min(wanted);
        let there = taken + self.disk.room(wanted - taken);
        self.write(Change::Write {
            at: self.at,
            bytes: bytes[..there].into(),
        })?;
        self.at += there;
        match (half, there < wanted) {
            (true, _) => Err(io::Error::from_raw_os_error(EIO)),
            (false, true) => Err(io::Error::from_raw_os_error(ENOSPC)),
            (false, false) => Ok(()),
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
        let more = (bytes as usize).saturating_sub(self.length());
        if self.disk.room(more) < more {
            return Err(io::Error::from_raw_os_error(ENOSPC));
        }
        self.write(Change::Length(bytes as usize))?;
        match turn {
            Turn::Work => Ok(()),
            Turn::Half => Err(io::Error::from_raw_os_error(EIO)),
        }
    }
}
