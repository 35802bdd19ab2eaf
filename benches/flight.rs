//! Questions over Flight: how fast many rows come, how soon a KPI, and what planning takes of that.

use std::{
    io::Read,
    net::SocketAddr,
    path::Path,
    process::{Command, Stdio},
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use arrow::array::Array;
use arrow_flight::sql::client::FlightSqlServiceClient;
use engine::{
    SessionSettings,
    service::{Caller, QueryLimits, QueryService},
};
use events::UtcMicros;
use futures::TryStreamExt;
use hdrhistogram::Histogram;
use store::Store;
use tokio::runtime::{Builder, Runtime};
use tonic::transport::{Channel, Endpoint};

use crate::live::{histogram, latency, live_ingest, micros, serve};

/// What is streamed: texts, times, numbers and flags.
const COLUMNS: [&str; 7] = [
    "visit_id",
    "queue_id",
    "channel",
    "entered_at",
    "wait_ms",
    "answered",
    "outcome",
];
/// Clients that ask for a KPI at the same time, and how often each asks.
const CLIENTS: usize = 8;
const QUESTIONS: usize = 50;
/// Statements that are planned, after some that warm up.
const PLANNED: usize = 200;
const WARM: usize = 10;
/// Times that all rows are read by each client.
const RUNS: usize = 3;
/// One day in the middle of the data.
const ONE_DAY: &str = "SELECT queue_id, MEASURE(service_level) AS sl, MEASURE(asa) AS asa, \
     MEASURE(offered) AS offered FROM kpi.queue_visits \
     WHERE entered_at >= '2026-02-18T00:00:00Z' AND entered_at < '2026-02-19T00:00:00Z' \
     GROUP BY ROLLUP (queue_id) ORDER BY queue_id";

type Client = FlightSqlServiceClient<Channel>;

/// Runs the benchmark over so many visits. `python` has `adbc-driver-flightsql` and `pyarrow`;
/// without them the Rust client is measured alone.
pub fn run(visits: u64, python: &str) -> Result<()> {
    let dir = tempfile::tempdir()?;
    let data = dir.path().join("data");
    let seconds = super::visits::write(&data, visits)?;
    println!("{visits} queue visits written in {seconds:.1} s");
    let store = Arc::new(Store::create_or_open(&data)?);
    let newest = UtcMicros(1_775_347_200_000_000);
    let live = live_ingest(&store, newest)?;
    let engine = crate::queries::engine(Arc::clone(&store))?;
    let limits = QueryLimits {
        deadline: Duration::from_secs(600),
        ..QueryLimits::default()
    };
    let queries = QueryService::start(Arc::new(engine), limits)?;
    let server = serve(&live, &queries, newest)?;
    let addr = server.flight_addr().context("a Flight door")?;
    let runtime = Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?;
    let statement = format!("SELECT {} FROM facts.queue_visits", COLUMNS.join(", "));
    stream_here(&runtime, addr, &statement, visits)?;
    stream_python(python, addr, &statement, &store)?;
    plan_alone(&runtime, &queries)?;
    one_day(&runtime, addr)?;
    server.stop();
    queries.stop();
    live.shut_down()?;
    println!("peak memory {} MiB", super::peak_mib());
    Ok(())
}

async fn connect(addr: SocketAddr) -> Result<Client> {
    let endpoint = Endpoint::new(format!("http://{addr}"))?;
    Ok(FlightSqlServiceClient::new(endpoint.connect().await?))
}

/// Reads a whole answer; its rows, and its bytes as they lie in memory.
async fn read(client: &mut Client, statement: &str) -> Result<(u64, u64)> {
    let info = client.execute(statement.to_owned(), None).await?;
    let endpoint = info.endpoint.first().context("an endpoint")?;
    let ticket = endpoint.ticket.clone().context("a ticket")?;
    let mut batches = client.do_get(ticket).await?;
    let (mut rows, mut bytes) = (0, 0);
    while let Some(batch) = batches.try_next().await? {
        rows += batch.num_rows() as u64;
        for column in batch.columns() {
            bytes += column.to_data().get_slice_memory_size()? as u64;
        }
    }
    Ok((rows, bytes))
}

fn stream_here(runtime: &Runtime, addr: SocketAddr, statement: &str, visits: u64) -> Result<()> {
    for _ in 0..RUNS {
        let begin = Instant::now();
        let (rows, bytes) = runtime.block_on(async {
            let mut client = connect(addr).await?;
            read(&mut client, statement).await
        })?;
        ensure!(rows == visits, "{rows} rows came of {visits}");
        rate("Flight, arrow-flight client", bytes, begin.elapsed());
    }
    Ok(())
}

fn rate(who: &str, bytes: u64, took: Duration) {
    let megabytes = bytes as f64 / 1e6;
    let seconds = took.as_secs_f64();
    println!(
        "{who}: {megabytes:.0} MB in {seconds:.2} s, {:.0} MB/s",
        megabytes / seconds
    );
}

/// The same by the ADBC driver, and the same columns by pyarrow out of the Parquet files.
fn stream_python(python: &str, addr: SocketAddr, statement: &str, store: &Store) -> Result<()> {
    let version = store.version();
    let folder = store.root().context("the store has no folder")?;
    let table = version.table("queue_visits").context("the visits")?;
    let files = table.files.iter().map(|file| folder.join(&file.path));
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("flight_client.py");
    let mut process = Command::new(python)
        .arg(script)
        .args([&addr.to_string(), &RUNS.to_string(), statement])
        .arg(COLUMNS.join(","))
        .args(files)
        .stdout(Stdio::piped())
        .spawn()
        .with_context(|| format!("cannot start {python}"))?;
    let mut told = String::new();
    let mut out = process.stdout.take().context("no pipe")?;
    out.read_to_string(&mut told)?;
    print!("{told}");
    if !process.wait()?.success() {
        println!("{python} could not: it needs adbc-driver-flightsql and pyarrow");
    }
    Ok(())
}

/// What planning a KPI query takes, without running it.
fn plan_alone(runtime: &Runtime, queries: &QueryService) -> Result<()> {
    let caller = Caller {
        name: "bench".into(),
        sees_all: false,
        sees_raw: true,
    };
    let session = SessionSettings::default();
    let mut took = histogram()?;
    for number in 0..WARM + PLANNED {
        let begin = Instant::now();
        let planned = runtime.block_on(queries.plan(&caller, ONE_DAY, &session))?;
        if number >= WARM {
            took.record(micros(begin.elapsed()))?;
        }
        drop(planned);
    }
    latency("planning a KPI query", &took);
    Ok(())
}

/// A KPI of one day, asked by many clients one question after the other.
fn one_day(runtime: &Runtime, addr: SocketAddr) -> Result<()> {
    let ask = || -> Result<Histogram<u64>> {
        runtime.block_on(async {
            let mut client = connect(addr).await?;
            let mut took = histogram()?;
            for number in 0..=QUESTIONS {
                let begin = Instant::now();
                let (rows, _) = read(&mut client, ONE_DAY).await?;
                ensure!(rows > 1, "queues and their total");
                if number > 0 {
                    took.record(micros(begin.elapsed()))?;
                }
            }
            Ok(took)
        })
    };
    let mut all = histogram()?;
    thread::scope(|scope| {
        let clients: Vec<_> = (0..CLIENTS).map(|_| scope.spawn(ask)).collect();
        for client in clients {
            all.add(client.join().expect("a client does not panic")?)?;
        }
        anyhow::Ok(())
    })?;
    latency(&format!("a KPI of one day, {CLIENTS} clients"), &all);
    Ok(())
}
