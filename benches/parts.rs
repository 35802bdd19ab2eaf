//! The parts that an import and a query are made of, each alone and on one thread.
//!
//! ```text
//! cargo bench -p benches                  # all of them
//! cargo bench -p benches -- measure       # those with that word in their name
//! ```
//!
//! The world is small and always the same: two days of a simulated centre, folded once. What a
//! part costs here is a hint where time goes; what a user waits for, `jobs` measures.

use std::{
    io,
    path::Path,
    sync::{Arc, LazyLock},
};

use divan::{Bencher, counter::ItemsCount};
use engine::{Engine, Grain, KpiRequest, Settings};
use events::{Event, Intake, UtcMicros};
use facts::{FactEdit, FoldSettings, Folder, NoHistory};
use sim::{Config, World};
use store::{Commit, DirEntry, Io, IoFile, Mode, RealIo, Space, Store};
use tokio::runtime::Runtime;

fn main() {
    divan::main();
}

const KPIS: [&str; 4] = ["service_level", "asa", "abandon_rate", "wait_p90"];
const RECORDED_AT: UtcMicros = UtcMicros(1_772_640_000_000_000);

static EVENTS: LazyLock<Vec<Event>> = LazyLock::new(|| {
    let config = Config {
        days: 2,
        agents: 40,
        ..Config::default()
    };
    World::new(&config).expect("a world").collect()
});
static LINES: LazyLock<Vec<Vec<u8>>> = LazyLock::new(|| {
    let line = |event: &Event| {
        let mut line = Vec::new();
        event.write_json_line(&mut line);
        line
    };
    EVENTS.iter().map(line).collect()
});
static EDIT: LazyLock<FactEdit> = LazyLock::new(|| fold(EVENTS.clone()));
static ENGINE: LazyLock<Engine> = LazyLock::new(|| {
    let store = Store::in_memory();
    commit(&store, Mode::Memory);
    let models = engine::model_specs().expect("the models plan");
    let catalogue = kpi::Catalogue::builtin(&models).expect("sound definitions");
    let settings = Settings {
        target_partitions: 1,
        ..Settings::default()
    };
    let engine = Engine::new(Arc::new(store), Arc::new(catalogue), settings).expect("an engine");
    // The first query compiles the catalogue: not what is measured.
    RUNTIME.block_on(engine.snapshot()).expect("a snapshot");
    engine
});
static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .thread_stack_size(16 << 20)
        .build()
        .expect("a runtime")
});

fn fold(events: Vec<Event>) -> FactEdit {
    let mut folder = Folder::new(FoldSettings::default());
    folder.apply(events, &NoHistory).expect("the events fold")
}

fn commit(store: &Store, mode: Mode) {
    let commit = Commit {
        edit: &EDIT,
        quarantine: &[],
        checkpoint: Some(&[]),
        arrived_seq: None,
        mode,
        recorded_at: RECORDED_AT,
    };
    store.commit(commit).expect("rows that fit");
}

fn all_events() -> ItemsCount {
    ItemsCount::new(EVENTS.len())
}

/// One NDJSON line to a checked event.
#[divan::bench]
fn decode_line(bencher: Bencher<'_, '_>) {
    let intake = Intake {
        tenant_id: events::DEFAULT_TENANT.into(),
        default_source: None,
        recorded_at: RECORDED_AT,
    };
    let lines = LINES.iter().cycle();
    bencher
        .counter(ItemsCount::new(1_usize))
        .with_inputs({
            let mut lines = lines;
            move || lines.next().expect("an endless round")
        })
        .bench_local_values(|line| events::decode_line(line, &intake).expect("a sound line"));
}

/// Two days of events to facts, in one batch.
#[divan::bench(sample_count = 20)]
fn fold_batch(bencher: Bencher<'_, '_>) {
    bencher
        .counter(all_events())
        .with_inputs(|| EVENTS.clone())
        .bench_local_values(fold);
}

/// The same rows to Arrow, kept in memory.
#[divan::bench(sample_count = 20)]
fn commit_to_memory(bencher: Bencher<'_, '_>) {
    LazyLock::force(&EDIT);
    bencher
        .counter(all_events())
        .with_inputs(Store::in_memory)
        .bench_local_refs(|store| commit(store, Mode::Memory));
}

/// The same rows sorted, encoded as Parquet and written, but for the fsyncs.
#[divan::bench(sample_count = 20)]
fn commit_to_parquet(bencher: Bencher<'_, '_>) {
    LazyLock::force(&EDIT);
    bencher
        .counter(all_events())
        .with_inputs(|| {
            let folder = tempfile::tempdir().expect("a temporary folder");
            let settings = store::Settings::default();
            let store = Store::open_with(folder.path().join("data"), settings, Arc::new(Unsynced));
            (store.expect("a new store"), folder)
        })
        .bench_local_refs(|(store, _folder)| commit(store, Mode::Durable));
}

/// From the text of a query with `MEASURE` to its physical plan; no row is read.
#[divan::bench]
fn plan_measure(bencher: Bencher<'_, '_>) {
    let columns = KPIS.map(|kpi| format!("MEASURE({kpi})")).join(", ");
    let sql = format!("EXPLAIN SELECT queue_id, {columns} FROM kpi.queue_visits GROUP BY queue_id");
    LazyLock::force(&ENGINE);
    bencher.bench_local(|| RUNTIME.block_on(ENGINE.sql(&sql)).expect("a plan"));
}

/// The same query, run over the rows in memory.
#[divan::bench]
fn query_measure(bencher: Bencher<'_, '_>) {
    let columns = KPIS.map(|kpi| format!("MEASURE({kpi})")).join(", ");
    let sql = format!("SELECT queue_id, {columns} FROM kpi.queue_visits GROUP BY queue_id");
    LazyLock::force(&ENGINE);
    bencher.bench_local(|| RUNTIME.block_on(ENGINE.sql(&sql)).expect("an answer"));
}

/// The same KPIs as a request, by queue and hour.
#[divan::bench]
fn request_kpis_by_hour(bencher: Bencher<'_, '_>) {
    let request = KpiRequest {
        ids: KPIS.map(str::to_owned).to_vec(),
        grain: Some(Grain::H1),
        by: vec!["queue_id".to_owned()],
        ..KpiRequest::default()
    };
    LazyLock::force(&ENGINE);
    bencher.bench_local(|| RUNTIME.block_on(ENGINE.kpi(&request)).expect("an answer"));
}

/// The real file system, but for the fsyncs: how fast a disk is does not belong to encoding.
#[derive(Debug)]
struct Unsynced;

#[derive(Debug)]
struct UnsyncedFile(Box<dyn IoFile>);

impl Io for Unsynced {
    fn create_new(&self, path: &Path) -> io::Result<Box<dyn IoFile>> {
        Ok(Box::new(UnsyncedFile(RealIo.create_new(path)?)))
    }

    fn open_at(&self, path: &Path, at: u64) -> io::Result<Box<dyn IoFile>> {
        Ok(Box::new(UnsyncedFile(RealIo.open_at(path, at)?)))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        RealIo.rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        RealIo.remove(path)
    }

    fn create_dir_all(&self, path: &Path) -> io::Result<()> {
        RealIo.create_dir_all(path)
    }

    fn sync_dir(&self, _: &Path) -> io::Result<()> {
        Ok(())
    }

    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        RealIo.read(path)
    }

    fn read_range(&self, path: &Path, from: u64, bytes: usize) -> io::Result<Vec<u8>> {
        RealIo.read_range(path, from, bytes)
    }

    fn size(&self, path: &Path) -> io::Result<u64> {
        RealIo.size(path)
    }

    fn space(&self, path: &Path) -> io::Result<Space> {
        RealIo.space(path)
    }

    fn list(&self, path: &Path) -> io::Result<Vec<DirEntry>> {
        RealIo.list(path)
    }
}

impl IoFile for UnsyncedFile {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.0.append(bytes)
    }

    fn sync(&mut self) -> io::Result<()> {
        Ok(())
    }

    fn sync_data(&mut self) -> io::Result<()> {
        Ok(())
    }

    fn preallocate(&mut self, bytes: u64) -> io::Result<()> {
        self.0.preallocate(bytes)
    }

    fn truncate(&mut self, bytes: u64) -> io::Result<()> {
        self.0.truncate(bytes)
    }
}
