//! Kill -9 during live ingest: acknowledged within stored within sent, nothing twice.
//!
//! A child process (this test binary, run for one ignored test) delivers small batches from two
//! threads, with a budget so small that files are written all the time, and writes the number of
//! each acknowledged batch to its own synced ledger. The parent kills it at random moments, or the
//! child ends itself at a named step of writing.

use std::{
    collections::{BTreeMap, HashSet},
    fs::File,
    io::Write,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use arrow::array::AsArray;
use ingest::live::{LiveSettings, OnError, recover};
use store::{Io, LOG, RealIo, Settings, Store};

use crate::{
    ARRIVAL, assert_same_rows,
    disk::tries,
    hooked::{HookedIo, Moment, Op},
    import_text,
    kill::{Dice, numbers, run_and_kill, run_to_a_point},
    live, world,
};

const BATCH: usize = 40;
const SEED: u64 = 20_261_121;
/// Tells the child which folder to work in.
const FOLDER: &str = "CALLGAUGE_TEST_LIVE_FOLDER";
/// Tells the child at which point to end, and at which of its passes.
const POINT: &str = "CALLGAUGE_TEST_LIVE_POINT";
/// How often each named point is tried.
const POINT_CYCLES: &str = "CALLGAUGE_KILL_POINTS";
/// Folders that are written to.
const PARTS: [&str; 3] = ["wal", "manifest", "parquet"];

fn kills() -> u32 {
    std::env::var("CALLGAUGE_KILLS")
        .ok()
        .and_then(|n| n.parse().ok())
        .unwrap_or(100)
}

struct Scene(PathBuf);

impl Scene {
    fn data(&self) -> PathBuf {
        self.0.join("data")
    }

    fn lines(&self) -> Vec<String> {
        let text = std::fs::read_to_string(self.0.join("day.ndjson")).expect("the file");
        text.lines().map(str::to_owned).collect()
    }

    fn deliver(&self) {
        self.deliver_on(Arc::new(RealIo));
    }

    /// Delivers every batch, then ends cleanly.
    fn deliver_on(&self, io: Arc<dyn Io>) {
        // Small, so that there are many.
        let segment_bytes = 64 << 10;
        let settings = Settings {
            segment_bytes,
            ..Settings::default()
        };
        let store = Store::open_with(self.data(), settings, io).expect("the store opens");
        let store = Arc::new(store);
        let settings = LiveSettings {
            budget_bytes: 120_000,
            ..live::settings(&live::clock())
        };
        let live = live::start(&store, settings);
        let path = self.0.join("acknowledged");
        let ledger = File::options().append(true).open(path).expect("the ledger");
        let ledger = Mutex::new(ledger);
        let lines = self.lines();
        // Who is in which team comes first: a profile restates what is in memory, and after a kill
        // the contacts that ended before it are not.
        let profiles = |batch: &[String]| batch.iter().any(|l| l.contains("\"agent.profile"));
        let batches = lines.chunks(BATCH).enumerate();
        let (first, rest): (Vec<_>, Vec<_>) = batches.partition(|(_, batch)| profiles(batch));
        let deliver = |(number, batch): (usize, &[String])| {
            let mut delivery = live.delivery();
            for (n, line) in (1..).zip(batch) {
                delivery.line(n, line.as_bytes());
            }
            let receipt = live
                .deliver_and_wait(delivery, OnError::KeepGood)
                .expect("a receipt");
            assert_eq!(receipt.accepted + receipt.duplicate, batch.len() as u64);
            let mut ledger = ledger.lock().expect("the ledger");
            // One write: a kill between the number and its end would let the next child go on
            // in the same line.
            ledger
                .write_all(format!("{number}\n").as_bytes())
                .expect("the ledger is written");
            ledger.sync_data().expect("the ledger is synced");
        };
        first.into_iter().for_each(deliver);
        let next = AtomicUsize::new(0);
        std::thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| {
                    while let Some(batch) = rest.get(next.fetch_add(1, Ordering::Relaxed)) {
                        deliver(*batch);
                    }
                });
            }
        });
        live.shut_down().expect("a clean end");
    }

    /// Batches that were acknowledged; a torn last line was not.
    fn acknowledged(&self) -> HashSet<usize> {
        let numbers = numbers(&self.0.join("acknowledged")).into_iter();
        numbers.map(|n| n as usize).collect()
    }

    fn clear(&self) {
        // There is none at first.
        let _ = std::fs::remove_dir_all(self.data());
        std::fs::write(self.0.join("acknowledged"), "").expect("the ledger is written");
    }

    /// Runs a child and kills it after `delay`; was it done before?
    fn deliver_and_kill(&self, delay: Duration) -> bool {
        run_and_kill("live_kill::a_child_that_delivers", FOLDER, &self.0, delay)
    }

    /// Opens the folder after a kill; are all events there?
    fn check(&self, sent: &[String], kill: u32) -> bool {
        let store = Store::create_or_open(self.data()).expect("the store opens after a kill");
        recover(&store, live::SEED).expect("the log is whole");
        let mut found = HashSet::new();
        for batch in store.read(&store.version(), LOG).expect("readable") {
            let ids = batch.column_by_name("event_id").expect("ids");
            for id in ids.as_string::<i32>().iter().flatten() {
                assert!(
                    found.insert(id.to_owned()),
                    "kill {kill}: {id} is there twice"
                );
            }
        }
        let ids: Vec<String> = sent.iter().map(|line| id_of(line)).collect();
        let known: HashSet<&String> = ids.iter().collect();
        assert!(
            found.iter().all(|id| known.contains(id)),
            "kill {kill}: events that nobody sent"
        );
        for number in self.acknowledged() {
            for id in ids.chunks(BATCH).nth(number).expect("a batch") {
                assert!(
                    found.contains(id),
                    "kill {kill}: {id} of batch {number} is lost"
                );
            }
        }
        if kill.is_multiple_of(20) {
            assert!(store.verify().expect("readable").is_empty(), "kill {kill}");
        }
        found.len() == ids.len()
    }
}

fn id_of(line: &str) -> String {
    let event = events::decode_own_line(line.as_bytes()).expect("a valid line");
    event.event_id.to_string()
}

#[test]
#[ignore = "the child of the kill test"]
fn a_child_that_delivers() {
    let Some(folder) = std::env::var_os(FOLDER) else {
        return;
    };
    let scene = Scene(folder.into());
    match std::env::var(POINT) {
        Ok(point) => {
            let (name, at) = point.rsplit_once(' ').expect("a point and a number");
            let (name, at) = (name.to_owned(), at.parse::<usize>().expect("a number"));
            let passed = AtomicUsize::new(0);
            let io = HookedIo(Arc::new(move |op, moment, path| {
                let here = point_of(op, moment, path).is_some_and(|p| p == name);
                if here && passed.fetch_add(1, Ordering::Relaxed) + 1 == at {
                    std::process::abort();
                }
            }));
            scene.deliver_on(Arc::new(io));
        }
        Err(_) => scene.deliver(),
    }
}

/// The name of a point, as `wal Append Half`; only of what is written.
fn point_of(op: Op, moment: Moment, path: &Path) -> Option<String> {
    let mut parts = path.components().rev();
    let part = parts.find_map(|part| {
        let name = part.as_os_str().to_str()?;
        PARTS.contains(&name).then_some(name)
    })?;
    (op != Op::Read).then(|| format!("{part} {op:?} {moment:?}"))
}

/// How often each point is passed by a child that nobody ends.
fn points_passed(scene: &Scene) -> BTreeMap<String, usize> {
    let passed: Arc<Mutex<BTreeMap<String, usize>>> = Arc::default();
    let counts = Arc::clone(&passed);
    let io = HookedIo(Arc::new(move |op, moment, path| {
        if let Some(point) = point_of(op, moment, path) {
            *counts.lock().expect("the counts").entry(point).or_default() += 1;
        }
    }));
    scene.deliver_on(Arc::new(io));
    std::mem::take(&mut *passed.lock().expect("the counts"))
}

/// T1 at named points: before, in the middle of and after each kind of change of the disk.
#[test]
fn an_end_at_any_step_of_writing_loses_nothing_acknowledged_and_doubles_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    let scene = Scene(folder.path().to_owned());
    let mut lines = world::lines(9, 6);
    lines.truncate(BATCH * 30 + 17);
    std::fs::write(folder.path().join("day.ndjson"), world::text(&lines)).expect("the file");
    let imported = Store::in_memory();
    import_text(&imported, 10_000, world::text(&lines));
    scene.clear();
    let points = points_passed(&scene);
    // Three folders; written in three moments, synced and renamed in two.
    assert_eq!(points.len(), 3 * 7, "{points:?}");
    let mut dice = Dice(SEED);
    let (mut tried, mut ended) = (0, 0);
    for _ in 0..tries(POINT_CYCLES, 2) {
        for (point, passed) in &points {
            scene.clear();
            // How often exactly depends on how the two senders meet.
            let at = 1 + dice.below(*passed as u64 * 2 / 3);
            let point = format!("{point} {at}");
            let child = "live_kill::a_child_that_delivers";
            let done = run_to_a_point(child, (FOLDER, &scene.0), (POINT, &point));
            scene.check(&lines, tried);
            if tried % 7 == 0 {
                scene.deliver();
                let store = Store::create_or_open(scene.data()).expect("the store opens");
                assert_same_rows(&store, &imported, ARRIVAL);
            }
            tried += 1;
            ended += u32::from(!done);
        }
    }
    println!(
        "{tried} children, {ended} ended at one of {} points, seed {SEED}",
        points.len()
    );
    assert!(
        ended * 10 >= tried * 9,
        "{ended} of {tried} ended at their point"
    );
}

/// T1.
#[test]
fn a_hundred_kills_lose_nothing_acknowledged_and_double_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    let scene = Scene(folder.path().to_owned());
    let mut lines = world::lines(9, 6);
    lines.truncate(BATCH * 60 + 17);
    std::fs::write(folder.path().join("day.ndjson"), world::text(&lines)).expect("the file");
    let imported = Store::in_memory();
    import_text(&imported, 10_000, world::text(&lines));
    scene.clear();
    let begun = Instant::now();
    scene.deliver();
    let whole = begun.elapsed();
    scene.clear();
    let mut dice = Dice(SEED);
    let (mut completed, kills) = (0, kills());
    for kill in 0..kills {
        let micros = dice.below(whole.as_micros() as u64);
        let done = scene.deliver_and_kill(Duration::from_micros(micros));
        if scene.check(&lines, kill) || done {
            scene.deliver();
            let store = Store::create_or_open(scene.data()).expect("the store opens");
            assert_same_rows(&store, &imported, ARRIVAL);
            completed += 1;
            scene.clear();
        }
    }
    scene.deliver();
    let store = Store::create_or_open(scene.data()).expect("the store opens");
    assert_same_rows(&store, &imported, ARRIVAL);
    println!("{kills} kills, {completed} deliveries completed between them, seed {SEED}");
}
