//! Every operation on the file system fails once, or is the last before a crash.

use std::{
    io,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

use store::{DirEntry, Error, Io, IoFile, Mode, RealIo, Settings, Store};

use crate::world::{Contents, TABLES, call_events, commit_with, contents, new_calls, restated};

/// What happens at the chosen operation.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Fault {
    /// It fails, later ones work.
    Once,
    /// It fails, and so do all later ones, as if the process had died there.
    ForEver,
    /// As `ForEver`, after half of a write was done. For writes only.
    Torn,
}

#[derive(Clone, Debug)]
struct FaultyIo {
    real: RealIo,
    count: Arc<AtomicUsize>,
    /// Which operations are writes.
    writes: Arc<Mutex<Vec<usize>>>,
    at: usize,
    fault: Fault,
}

#[derive(Debug)]
struct FaultyFile {
    file: Box<dyn IoFile>,
    io: FaultyIo,
}

enum Turn {
    Work,
    Fail,
    /// Do half of it, then fail.
    FailHalf,
}

impl FaultyIo {
    fn turn(&self) -> Turn {
        let now = self.count.fetch_add(1, Ordering::Relaxed);
        match (now.cmp(&self.at), self.fault) {
            (std::cmp::Ordering::Less, _) => Turn::Work,
            (std::cmp::Ordering::Equal, Fault::Torn) => Turn::FailHalf,
            (std::cmp::Ordering::Equal, _) => Turn::Fail,
            (std::cmp::Ordering::Greater, Fault::Once) => Turn::Work,
            (std::cmp::Ordering::Greater, _) => Turn::Fail,
        }
    }

    fn run<T>(&self, work: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
        match self.turn() {
            Turn::Work => work(),
            Turn::Fail | Turn::FailHalf => Err(io::Error::other("injected")),
        }
    }
}

impl Io for FaultyIo {
    fn create_new(&self, path: &Path) -> io::Result<Box<dyn IoFile>> {
        let file = self.run(|| self.real.create_new(path))?;
        Ok(Box::new(FaultyFile {
            file,
            io: self.clone(),
        }))
    }
    fn open_at(&self, path: &Path, at: u64) -> io::Result<Box<dyn IoFile>> {
        let file = self.run(|| self.real.open_at(path, at))?;
        Ok(Box::new(FaultyFile {
            file,
            io: self.clone(),
        }))
    }
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.run(|| self.real.rename(from, to))
    }
    fn remove(&self, path: &Path) -> io::Result<()> {
        self.run(|| self.real.remove(path))
    }
    fn create_dir_all(&self, path: &Path) -> io::Result<()> {
        self.run(|| self.real.create_dir_all(path))
    }
    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        self.run(|| self.real.sync_dir(path))
    }
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        self.run(|| self.real.read(path))
    }
    fn read_range(&self, path: &Path, from: u64, bytes: usize) -> io::Result<Vec<u8>> {
        self.run(|| self.real.read_range(path, from, bytes))
    }
    fn size(&self, path: &Path) -> io::Result<u64> {
        self.run(|| self.real.size(path))
    }
    fn space(&self, path: &Path) -> io::Result<store::Space> {
        self.run(|| self.real.space(path))
    }
    fn list(&self, path: &Path) -> io::Result<Vec<DirEntry>> {
        self.run(|| self.real.list(path))
    }
}

impl IoFile for FaultyFile {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        let number = self.io.count.load(Ordering::Relaxed);
        self.io.writes.lock().unwrap().push(number);
        match self.io.turn() {
            Turn::Work => self.file.append(bytes),
            Turn::Fail => Err(io::Error::other("injected")),
            Turn::FailHalf => {
                self.file.append(&bytes[..bytes.len() / 2])?;
                Err(io::Error::other("injected"))
            }
        }
    }
    fn sync(&mut self) -> io::Result<()> {
        let io = self.io.clone();
        io.run(|| self.file.sync())
    }
    fn sync_data(&mut self) -> io::Result<()> {
        let io = self.io.clone();
        io.run(|| self.file.sync_data())
    }
    fn preallocate(&mut self, bytes: u64) -> io::Result<()> {
        let io = self.io.clone();
        io.run(|| self.file.preallocate(bytes))
    }
    fn truncate(&mut self, bytes: u64) -> io::Result<()> {
        let io = self.io.clone();
        io.run(|| self.file.truncate(bytes))
    }
}

/// The commits of the test, one after the other; `n` counts from 0.
fn step(store: &Store, n: usize) -> Result<(), Error> {
    let open = call_events(2);
    let open: Vec<&events::Event> = open.iter().collect();
    match n {
        0 => commit_with(store, &new_calls(0..4), Mode::Durable, &open).map(|_| ()),
        1 => commit_with(store, &restated(&[1, 2], 1), Mode::Durable, &open).map(|_| ()),
        2 => commit_with(store, &new_calls(4..6), Mode::Memory, &[]).map(|_| ()),
        3 => commit_with(store, &restated(&[0, 5], 1), Mode::Durable, &[]).map(|_| ()),
        _ => commit_with(store, &new_calls(6..7), Mode::Durable, &[]).map(|_| ()),
    }
}

const STEPS: usize = 5;

/// What a store holds after each number of commits.
fn expected() -> Vec<Contents> {
    let store = Store::in_memory();
    let mut all = vec![contents(&store)];
    for n in 0..STEPS {
        step(&store, n).unwrap();
        all.push(contents(&store));
    }
    all
}

fn open(path: &Path, io: FaultyIo) -> Result<Store, Error> {
    Store::open_with(
        path,
        Settings {
            threads: 1,
            manifest_edits: 2,
            ..Settings::default()
        },
        Arc::new(io),
    )
}

/// Runs the commits with a fault and says how many were acknowledged as durable, and what the
/// file system saw.
fn run(folder: &Path, at: usize, fault: Fault) -> (usize, FaultyIo) {
    let io = FaultyIo {
        real: RealIo,
        count: Arc::default(),
        writes: Arc::default(),
        at,
        fault,
    };
    let mut acknowledged = 0;
    // A step that failed is tried again until the store says that it has stopped.
    if let Ok(store) = open(folder, io.clone()) {
        'steps: for n in 0..STEPS {
            for _ in 0..3 {
                match step(&store, n) {
                    Ok(()) => {
                        if n != 2 {
                            acknowledged = n + 1;
                        }
                        continue 'steps;
                    }
                    Err(Error::Stopped { .. }) => break 'steps,
                    Err(error) => assert!(error.to_string().contains("injected"), "{error}"),
                }
            }
            break;
        }
    }
    (acknowledged, io)
}

fn check(folder: &Path, acknowledged: usize, expected: &[Contents], at: usize, what: &str) {
    let store = Store::create_or_open(folder).unwrap_or_else(|e| panic!("{what}: {e}"));
    let found = contents(&store);
    let commits = (0..expected.len()).rev().find(|n| expected[*n] == found);
    let commits = commits.unwrap_or_else(|| panic!("{what}: not a whole number of commits"));
    assert!(
        commits >= acknowledged,
        "{what}: {commits} of {acknowledged} acknowledged"
    );
    assert_eq!(store.version().committed_seq as usize, commits, "{what}");
    assert_eq!(store.verify().unwrap().len(), 0, "{what}");
    assert_eq!(store.unknown_files(), [] as [PathBuf; 0], "{what}");
    // Nothing is left that does not count, and the rest can go on.
    let version = store.version();
    for table in TABLES {
        let files = version.table(table).unwrap().files.iter();
        let named: usize = files.map(|f| 1 + usize::from(f.links.is_some())).sum();
        let there = std::fs::read_dir(folder.join("parquet").join(table))
            .unwrap()
            .count();
        assert_eq!(there, named, "{what}: {table}");
    }
    if !at.is_multiple_of(3) {
        return;
    }
    for n in commits..STEPS {
        step(&store, n).unwrap_or_else(|e| panic!("{what}: step {n}: {e}"));
    }
    assert_eq!(contents(&store), expected[STEPS], "{what}");
}

#[test]
fn after_a_fault_at_any_operation_a_whole_number_of_commits_is_there() {
    let expected = expected();
    let folder = tempfile::tempdir().unwrap();
    let (acknowledged, seen) = run(folder.path(), usize::MAX, Fault::Once);
    assert_eq!(acknowledged, STEPS);
    let operations: Vec<usize> = (0..seen.count.load(Ordering::Relaxed)).collect();
    let writes = seen.writes.lock().unwrap().clone();
    assert!(operations.len() > 100 && writes.len() > 20);
    std::thread::scope(|scope| {
        for (fault, places) in [
            (Fault::Once, &operations),
            (Fault::ForEver, &operations),
            (Fault::Torn, &writes),
        ] {
            let expected = &expected;
            scope.spawn(move || places.iter().for_each(|at| fail_at(*at, fault, expected)));
        }
    });
}

fn fail_at(at: usize, fault: Fault, expected: &[Contents]) {
    let folder = tempfile::tempdir().unwrap();
    let (acknowledged, _) = run(folder.path(), at, fault);
    let what = format!("{fault:?} at operation {at}");
    check(folder.path(), acknowledged, expected, at, &what);
}
