//! A day of live ingest on a simulated disk: deliveries, flushes, compactions, stops and starts. What
//! was acknowledged is known for each moment, and what a store must hold is worked out by an import
//! of the same events into memory.

use std::{
    collections::{BTreeMap, HashSet},
    path::Path,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use arrow::array::AsArray;
use ingest::live::{LiveIngest, LiveSettings, OnError, Refusal, recover};
use store::{Io, LOG, Settings, Store};

use crate::{ARRIVAL, disk::Disk, disk::State, import_text, live, rows, world};

/// Events of one delivery.
const BATCH: usize = 9;
/// Deliveries of a usual script.
pub const BATCHES: usize = 12;
/// Deliveries between a start and a stop.
const CYCLE: usize = 3;

type Rows = BTreeMap<String, Vec<String>>;

/// The deliveries, and what they must become.
pub struct Script {
    /// Only its locks are on the real disk.
    root: tempfile::TempDir,
    pub batches: Vec<Vec<String>>,
    /// The rows after so many deliveries.
    expected: Mutex<BTreeMap<usize, Arc<Rows>>>,
}

/// How many deliveries were acknowledged, and how many begun.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Known {
    pub acked: usize,
    pub sent: usize,
}

/// What a run has done.
#[derive(Default)]
pub struct Run {
    pub known: Known,
    /// What was known once so many changes of the disk were recorded.
    moments: Vec<(usize, Known)>,
}

impl Run {
    fn know(&mut self, disk: &Disk, known: Known) {
        self.known = known;
        self.moments.push((disk.recorded(), known));
    }

    /// What was known before change number `at`.
    pub fn known_at(&self, at: usize) -> Known {
        let before = self
            .moments
            .iter()
            .rev()
            .find(|(changes, _)| *changes <= at);
        before.map_or_else(Known::default, |(_, known)| *known)
    }
}

impl Script {
    pub fn new(seed: u64, batches: usize) -> Script {
        // Who is in which team comes first: a profile restates only what is in memory.
        let (mut lines, rest): (Vec<String>, Vec<String>) = world::lines(seed, 5)
            .into_iter()
            .partition(|line| line.contains("\"agent.profile"));
        lines.extend(rest);
        lines.truncate(BATCH * batches);
        Script {
            root: tempfile::tempdir().expect("a folder"),
            batches: lines.chunks(BATCH).map(<[String]>::to_vec).collect(),
            expected: Mutex::default(),
        }
    }

    /// Opens the store of a disk. One at a time: the lock is on the real disk.
    pub fn open(&self, disk: &Disk) -> store::Result<Arc<Store>> {
        Script::open_at(self.root.path(), disk.io())
    }

    /// Opens a store that has little room.
    pub fn open_at(root: &Path, io: Arc<dyn Io>) -> store::Result<Arc<Store>> {
        let settings = Settings {
            threads: 1,
            manifest_edits: 3,
            segment_bytes: 40 << 10,
        };
        Store::open_with(root, settings, io).map(Arc::new)
    }

    /// Everything goes to files as soon as it is there.
    pub fn settings() -> LiveSettings {
        LiveSettings {
            flush_age: Duration::ZERO,
            ..live::settings(&live::clock())
        }
    }

    pub fn deliver(&self, live: &LiveIngest, batch: usize) -> Result<(), Refusal> {
        let mut delivery = live.delivery();
        for (number, line) in (1..).zip(&self.batches[batch]) {
            delivery.line(number, line.as_bytes());
        }
        let receipt = not_a_panic(live.deliver_and_wait(delivery, OnError::KeepGood))?;
        let taken = receipt.accepted + receipt.duplicate;
        assert_eq!(taken, self.batches[batch].len() as u64, "{receipt:?}");
        Ok(())
    }

    /// Delivers everything, three deliveries between a start and a stop, and puts files together
    /// behind each. What fails is passed over; a delivery that was refused is not sent again, and
    /// ends the run: what is stored is a number of whole deliveries.
    pub fn run(&self, disk: &Disk) -> Run {
        let mut run = Run::default();
        let mut next = 0;
        for _ in 0..self.batches.len() {
            if next >= self.batches.len() || run.known.sent > run.known.acked {
                break;
            }
            let Ok(store) = self.open(disk) else { continue };
            let Ok((live, _)) = LiveIngest::start(Arc::clone(&store), Script::settings()) else {
                continue;
            };
            let cycle = next..self.batches.len().min(next + CYCLE);
            for batch in cycle {
                let sent = batch + 1;
                run.know(disk, Known { sent, ..run.known });
                if self.deliver(&live, batch).is_err() {
                    break;
                }
                run.know(disk, Known { acked: sent, sent });
                next = sent;
                // So that it is flushed while the next one comes. The fold may have stopped.
                live.wait_applied(live.state().committed_seq, Duration::from_secs(20));
            }
            read_all(&store);
            // Both may fail; what was acknowledged has to be there all the same.
            let _ = not_a_panic(live.shut_down());
            let _ = store.compact(3);
        }
        run
    }

    /// Opens what is on the disk, brings the log to files, and checks all of it: no acknowledged
    /// event is lost, none is there twice or was never sent, facts are the fold of them. Returns
    /// the number of deliveries that are there.
    pub fn check(&self, disk: &Disk, known: Known, what: &str) -> usize {
        let store = self.open(disk).unwrap_or_else(|e| panic!("{what}: {e}"));
        self.check_store(&store, known, what)
    }

    /// The same of a store that was just opened.
    pub fn check_store(&self, store: &Store, known: Known, what: &str) -> usize {
        recover(store, live::SEED).unwrap_or_else(|e| panic!("{what}: {e}"));
        let there = self.deliveries(store, what);
        assert!(
            (known.acked..=known.sent).contains(&there),
            "{what}: {there} deliveries are there, {known:?}"
        );
        assert_eq!(rows(store, ARRIVAL), *self.expected(there), "{what}");
        there
    }

    /// Number of deliveries in a store; panics if there is a part of one.
    fn deliveries(&self, store: &Store, what: &str) -> usize {
        let mut found = HashSet::new();
        for batch in store.read(&store.version(), LOG).expect("readable") {
            let ids = batch.column_by_name("event_id").expect("ids");
            for id in ids.as_string::<i32>().iter().flatten() {
                assert!(found.insert(id.to_owned()), "{what}: {id} is there twice");
            }
        }
        let is_there = |line: &String| found.contains(id_of(line).as_str());
        let whole = self.batches.iter().take_while(|b| b.iter().all(is_there));
        let whole = whole.count();
        let events: usize = self.batches[..whole].iter().map(Vec::len).sum();
        assert_eq!(events, found.len(), "{what}: not whole deliveries");
        whole
    }

    /// The rows after so many deliveries.
    pub fn expected(&self, deliveries: usize) -> Arc<Rows> {
        let mut expected = self.expected.lock().unwrap_or_else(PoisonError::into_inner);
        let made = expected.entry(deliveries).or_insert_with(|| {
            let store = Store::in_memory();
            let lines = self.batches[..deliveries].concat();
            import_text(&store, 10_000, world::text(&lines));
            Arc::new(rows(&store, ARRIVAL))
        });
        Arc::clone(made)
    }

    /// A disk at rest with everything delivered, and the state of it.
    pub fn finished(&self) -> State {
        let disk = Disk::default();
        let run = self.run(&disk);
        assert_eq!(run.known.acked, self.batches.len());
        disk.state().settled()
    }
}

/// A refusal has another reason than a bug of ours.
fn not_a_panic<T>(result: Result<T, Refusal>) -> Result<T, Refusal> {
    if let Err(refusal) = &result {
        let said = refusal.to_string();
        assert!(!said.contains("panicked"), "{said}");
    }
    result
}

/// A query may fail where a file cannot be read, and in no other way.
fn read_all(store: &Store) {
    let version = store.version();
    for table in version.tables() {
        if let Ok(batches) = store.read(&version, &table.name) {
            let read: usize = batches.iter().map(|batch| batch.num_rows()).sum();
            assert_eq!(read as u64, table.rows(), "{}", table.name);
        }
    }
}

#[test]
#[should_panic(expected = "a thread of the ingest has panicked")]
fn a_script_fails_on_a_panic_of_the_ingest() {
    let reason = "a thread of the ingest has panicked".to_owned();
    let _ = not_a_panic::<()>(Err(Refusal::Stopped { reason }));
}

fn id_of(line: &str) -> String {
    let event = events::decode_own_line(line.as_bytes()).expect("a valid line");
    event.event_id.to_string()
}
