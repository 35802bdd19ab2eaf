//! What storing costs: bytes and processor time per event of a simulated contact centre.
//!
//! Measured on request only, and meaningful only when optimised:
//! `cargo test --release -p store -p cli --test it -- --ignored --nocapture cost`.

use std::{collections::BTreeMap, time::Instant};

use events::{Event, UtcMicros};
use facts::{FactEdit, FoldSettings, Folder, NoHistory};
use sim::{Config, World};
use store::{Commit, Mode, Store};

const BATCH: usize = 131_072;

/// Events of a simulated contact centre, in batches, with rising times of receipt.
fn batches(config: &Config) -> Vec<Vec<Event>> {
    let mut batches: Vec<Vec<Event>> = Vec::new();
    for mut event in World::new(config).unwrap() {
        if batches.last().is_none_or(|batch| batch.len() == BATCH) {
            batches.push(Vec::with_capacity(BATCH));
        }
        event.recorded_at = UtcMicros(config.start.0 + batches.len() as i64);
        batches.last_mut().unwrap().push(event);
    }
    batches
}

/// Processor time of this process in microseconds, in steps of 10 ms.
fn cpu_micros() -> u64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields: Vec<&str> = stat.split_whitespace().collect();
    let ticks = |at: usize| {
        fields
            .get(at)
            .and_then(|f| f.parse::<u64>().ok())
            .unwrap_or(0)
    };
    (ticks(13) + ticks(14)) * 10_000
}

struct Measured {
    cpu: BTreeMap<&'static str, u64>,
    wall: BTreeMap<&'static str, u128>,
}

impl Measured {
    fn run<T>(&mut self, what: &'static str, work: impl FnOnce() -> T) -> T {
        let (cpu, wall) = (cpu_micros(), Instant::now());
        let result = work();
        *self.cpu.entry(what).or_default() += cpu_micros() - cpu;
        *self.wall.entry(what).or_default() += wall.elapsed().as_micros();
        result
    }
}

fn commit(store: &Store, edit: &FactEdit, checkpoint: &[&Event], mode: Mode, number: usize) {
    let recorded_at = UtcMicros(number as i64);
    store
        .commit(Commit {
            edit,
            quarantine: &[],
            checkpoint,
            mode,
            recorded_at,
        })
        .unwrap();
}

#[test]
#[ignore = "a measurement, not a check"]
fn cost_of_an_event() {
    let config = Config {
        days: 7,
        agents: 300,
        ..Config::default()
    };
    let batches = batches(&config);
    let events: usize = batches.iter().map(Vec::len).sum();
    let folder = tempfile::tempdir().unwrap();
    let store = Store::create_or_open(folder.path()).unwrap();
    let mut folded = Folder::new(FoldSettings::default());
    let mut measured = Measured {
        cpu: BTreeMap::new(),
        wall: BTreeMap::new(),
    };
    let mut open = Vec::new();
    for (number, batch) in batches.into_iter().enumerate() {
        let edit = measured.run("1 fold", || folded.apply(batch, &NoHistory).unwrap());
        let checkpoint: Vec<&Event> = folded.checkpoint().collect();
        open.push(checkpoint.len());
        // The second store keeps the rows in memory: what is left is encoding and writing.
        let memory = Store::in_memory();
        let mut alone = edit.clone();
        alone.removed = Default::default();
        measured.run("2 columns", || {
            commit(&memory, &alone, &[], Mode::Memory, number)
        });
        measured.run("3 commit", || {
            commit(&store, &edit, &checkpoint, Mode::Durable, number)
        });
    }
    measured.run("4 compact", || store.compact().unwrap());
    println!("{events} events; open events at each commit: {open:?}");
    for (what, cpu) in &measured.cpu {
        let per_event = |micros: f64| micros / events as f64;
        let wall = measured.wall[what] as f64;
        println!(
            "{what}: {:.2} us cpu, {:.2} us wall an event",
            per_event(*cpu as f64),
            per_event(wall)
        );
    }
    report_sizes(&store, events);
    report_columns(&store);
}

fn report_sizes(store: &Store, events: usize) {
    let version = store.version();
    for table in version.tables() {
        let bytes: u64 = table.files.iter().map(|f| f.bytes).sum();
        let links: u64 = table
            .files
            .iter()
            .filter_map(|f| f.links.as_ref())
            .map(|l| l.bytes)
            .sum();
        let (rows, files) = (table.rows(), table.files.len());
        println!(
            "{}: {files} files, {rows} rows, {:.2} + {:.2} bytes a row, {:.2} an event",
            table.name,
            bytes as f64 / rows.max(1) as f64,
            links as f64 / rows.max(1) as f64,
            (bytes + links) as f64 / events as f64,
        );
    }
}

/// The share of each column of the log.
fn report_columns(store: &Store) {
    use parquet::file::reader::{FileReader, SerializedFileReader};
    let version = store.version();
    let mut columns: BTreeMap<String, i64> = BTreeMap::new();
    let table = version.table("log").unwrap();
    for file in &table.files {
        let path = store.root().unwrap().join(&file.path);
        let reader = SerializedFileReader::new(std::fs::File::open(path).unwrap()).unwrap();
        for group in reader.metadata().row_groups() {
            for column in group.columns() {
                *columns.entry(column.column_path().string()).or_default() +=
                    column.compressed_size();
            }
        }
        *columns.entry("footer".into()).or_default() += file.footer_bytes as i64;
    }
    for (column, bytes) in columns {
        println!("  {column}: {:.3}", bytes as f64 / table.rows() as f64);
    }
}
