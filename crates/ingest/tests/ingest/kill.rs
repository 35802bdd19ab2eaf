//! Kill -9 in the middle of an import: whole batches or nothing, and no acknowledged one is lost.
//!
//! A child process (this test binary, run for one ignored test) imports a file and writes each
//! acknowledged commit to its own synced ledger. The parent kills it at random moments, opens the
//! store again and compares it with what the file says.

use std::{
    collections::HashMap,
    fs::File,
    io::Write,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use arrow::array::AsArray;
use arrow::datatypes::Int64Type;
use ingest::{Importer, formats::Inputs, ndjson::Ndjson};
use store::{LOG, Store};

use crate::{assert_same_rows, intake, no_time, settings, world};

const BATCH_EVENTS: usize = 150;
const KILLS: u32 = 200;
const SEED: u64 = 20_260_302;
/// Tells the child which folder to work in.
const FOLDER: &str = "CALLGAUGE_TEST_KILL_FOLDER";

/// The numbers in a ledger, one a line; a torn last line does not count.
pub fn numbers(ledger: &Path) -> Vec<u64> {
    let text = std::fs::read_to_string(ledger).expect("the ledger is readable");
    let whole = text.rfind('\n').map_or("", |end| &text[..end]);
    whole
        .lines()
        .map(|line| line.parse().expect("a number"))
        .collect()
}

/// Runs one ignored test of this binary as a child, which finds `folder` in the variable, and kills
/// it after `delay`; was it done before?
pub fn run_and_kill(test: &str, variable: &str, folder: &Path, delay: Duration) -> bool {
    let mut child = Command::new(std::env::current_exe().expect("this test's path"))
        .args([test, "--exact", "--ignored", "--test-threads=1"])
        .env(variable, folder)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("the child starts");
    std::thread::sleep(delay);
    child.kill().expect("the child can be killed");
    child.wait().expect("the child ends").success()
}

/// As [`run_and_kill`], but the child ends by itself: at a point that a variable names, or cleanly.
pub fn run_to_a_point(test: &str, folder: (&str, &Path), point: (&str, &str)) -> bool {
    let status = Command::new(std::env::current_exe().expect("this test's path"))
        .args([test, "--exact", "--ignored", "--test-threads=1"])
        .env(folder.0, folder.1)
        .env(point.0, point.1)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    status.expect("the child runs").success()
}

/// SplitMix64: the moments of the kills repeat with the seed as far as a scheduler lets them.
pub struct Dice(pub u64);

impl Dice {
    pub fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (z ^ (z >> 31)) % end.max(1)
    }
}

/// The paths of one import.
struct Scene {
    folder: PathBuf,
}

impl Scene {
    fn file(&self) -> PathBuf {
        self.folder.join("day.ndjson")
    }
    fn data(&self) -> PathBuf {
        self.folder.join("data")
    }
    fn ledger(&self) -> PathBuf {
        self.folder.join("acknowledged")
    }

    /// Starts from nothing.
    fn clear(&self) {
        let _ = std::fs::remove_dir_all(self.data());
        std::fs::write(self.ledger(), "").expect("the ledger is written");
    }

    /// Sequences that were acknowledged; a torn last line was not.
    fn acknowledged(&self) -> Vec<u64> {
        numbers(&self.ledger())
    }

    /// Imports all of the file, in this process.
    fn import(&self) {
        let store = Store::create_or_open(self.data()).expect("the store opens");
        let mut ledger = File::options()
            .append(true)
            .open(self.ledger())
            .expect("the ledger");
        let mut importer = Importer::new(&store, settings(BATCH_EVENTS)).expect("a readable store");
        let mut lines = Ndjson::new(Inputs::files(vec![self.file()]), intake());
        let report = importer.run(&mut lines, &no_time, &mut |progress| {
            if let Some(seq) = progress.committed {
                ledger
                    .write_all(format!("{seq}\n").as_bytes())
                    .expect("the ledger is written");
                ledger.sync_data().expect("the ledger is synced");
            }
        });
        assert_eq!(report.expect("the import runs").rejected, 0);
        store.compact(2).expect("the store is compacted");
    }

    /// Runs the import in a child and kills it after `delay`; was it done before?
    fn import_and_kill(&self, delay: Duration) -> bool {
        run_and_kill("kill::a_child_that_imports", FOLDER, &self.folder, delay)
    }
}

#[test]
#[ignore = "the child of the kill test"]
fn a_child_that_imports() {
    if let Some(folder) = std::env::var_os(FOLDER) {
        Scene {
            folder: folder.into(),
        }
        .import();
    }
}

#[test]
fn two_hundred_kills_leave_whole_batches_and_lose_no_acknowledged_one() {
    let folder = tempfile::tempdir().expect("a folder");
    let scene = Scene {
        folder: folder.path().to_owned(),
    };
    let mut lines = world::lines(9, 5);
    lines.truncate(BATCH_EVENTS * 8 + 17);
    std::fs::write(scene.file(), world::text(&lines)).expect("the file is written");
    let batch_of = batches(&lines);
    let undisturbed = Scene {
        folder: folder.path().join("undisturbed"),
    };
    std::fs::create_dir(&undisturbed.folder).expect("a folder");
    std::fs::copy(scene.file(), undisturbed.file()).expect("the file is copied");
    undisturbed.clear();
    let begun = Instant::now();
    undisturbed.import();
    let whole = begun.elapsed();

    let mut dice = Dice(SEED);
    let mut completed = 0;
    scene.clear();
    for kill in 0..KILLS {
        // Most kills hit somewhere in the import, also right after the start.
        let micros = dice.below(whole.as_micros() as u64 / 2);
        let done = scene.import_and_kill(Duration::from_micros(micros));
        let batches = check(&scene, &batch_of, kill);
        if done || batches == lines.len().div_ceil(BATCH_EVENTS) {
            finish(&scene, &undisturbed);
            completed += 1;
            scene.clear();
        }
    }
    finish(&scene, &undisturbed);
    println!("{KILLS} kills, {completed} imports completed between them, seed {SEED}");
}

/// Number of the batch of every event id, from 0.
fn batches(lines: &[String]) -> HashMap<String, usize> {
    lines
        .iter()
        .enumerate()
        .map(|(i, line)| {
            let event = events::decode_own_line(line.as_bytes()).expect("a valid line");
            (event.event_id.to_string(), i / BATCH_EVENTS)
        })
        .collect()
}

/// Opens the store after a kill: the number of whole batches in it.
fn check(scene: &Scene, batch_of: &HashMap<String, usize>, kill: u32) -> usize {
    let store = Store::create_or_open(scene.data()).expect("the store opens after a kill");
    let version = store.version();
    let mut found: HashMap<String, i64> = HashMap::new();
    for batch in store.read(&version, LOG).expect("the log is readable") {
        let ids = batch
            .column_by_name("event_id")
            .expect("ids")
            .as_string::<i32>();
        let seqs = batch
            .column_by_name("_seq")
            .expect("sequences")
            .as_primitive::<Int64Type>();
        for (id, seq) in ids.iter().zip(seqs.values()) {
            let id = id.expect("an id").to_owned();
            assert_eq!(
                found.insert(id.clone(), *seq),
                None,
                "kill {kill}: {id} is there twice"
            );
        }
    }
    let stored = version.committed_seq as usize;
    for (id, batch) in batch_of {
        let expected = (*batch < stored).then_some(*batch as i64 + 1);
        assert_eq!(
            found.get(id).copied(),
            expected,
            "kill {kill}: {id} of batch {batch}"
        );
    }
    assert!(found.len() <= batch_of.len(), "kill {kill}: unknown events");
    let acknowledged = scene.acknowledged();
    let newest = acknowledged.iter().max().copied().unwrap_or(0);
    assert!(
        newest <= version.committed_seq,
        "kill {kill}: {newest} was acknowledged and is lost"
    );
    if kill.is_multiple_of(20) {
        assert!(store.verify().expect("readable").is_empty(), "kill {kill}");
    }
    stored
}

/// Completes the import; the result is that of the import that nobody disturbed.
fn finish(scene: &Scene, undisturbed: &Scene) {
    scene.import();
    let open = |path: &Path| Store::create_or_open(path).expect("the store opens");
    assert_same_rows(&open(&scene.data()), &open(&undisturbed.data()), &[]);
}
