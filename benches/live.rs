//! Ingest over HTTP with durable acknowledgement: how much, and how soon the answer comes.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use engine::{
    SessionSettings,
    service::{Caller, QueryLimits, QueryService, RunOptions},
};
use events::UtcMicros;
use hdrhistogram::Histogram;
use ingest::{
    IdentityKey,
    live::{LiveIngest, LiveSettings},
};
use sim::{Config, World};
use store::Store;

/// Events of a big body, and connections that send them.
const BIG: usize = 1_000;
const BIG_SENDERS: usize = 4;
/// Events of a small body, how many events a second, and connections that send them.
const SMALL: usize = 10;
const SMALL_RATE: usize = 20_000;
const SMALL_SENDERS: usize = 8;
/// Queries at a time while the small bodies come.
const ANALYSTS: usize = 2;
/// What they ask.
const QUESTIONS: [&str; 2] = [
    "SELECT queue_id, MEASURE(service_level), MEASURE(asa), MEASURE(abandon_rate) \
     FROM kpi.queue_visits GROUP BY queue_id",
    "SELECT kpi_bucket(entered_at, '30 minutes', 'Asia/Shanghai') AS half_hour, \
     MEASURE(service_level) FROM kpi.queue_visits GROUP BY 1 ORDER BY 1",
];

/// Runs the benchmark: `seconds` of small bodies after all the big ones.
pub fn run(days: u64, agents: u64, seconds: u64) -> Result<()> {
    let small_events = SMALL_RATE * usize::try_from(seconds)?;
    let Bodies { big, small, newest } = bodies(days, agents, small_events)?;
    let dir = tempfile::tempdir()?;
    let sync = bare_sync(&dir.path().join("sync"))?;
    latency("bare write of 4 KiB + fdatasync", &sync);
    decode_alone(&big, newest)?;

    let store = Arc::new(Store::create_or_open(dir.path().join("data"))?);
    let live = live_ingest(&store, newest)?;
    let engine = crate::queries::engine(Arc::clone(&store))?;
    let queries = QueryService::start(Arc::new(engine), QueryLimits::default())?;
    let server = serve(&live, &queries, newest)?;
    big_bodies(server.addr(), &live, &big)?;
    small_bodies(server.addr(), &queries, &small)?;
    server.stop();
    queries.stop();
    live.shut_down()?;
    println!(
        "peak memory {} MiB (the bodies included)",
        super::peak_mib()
    );
    Ok(())
}

/// NDJSON of one world, cut into bodies.
struct Bodies {
    /// Of [`BIG`] events.
    big: Vec<Vec<u8>>,
    /// Of [`SMALL`] events, later ones.
    small: Vec<Vec<u8>>,
    /// The world's newest time.
    newest: UtcMicros,
}

fn bodies(days: u64, agents: u64, small_events: usize) -> Result<Bodies> {
    let config = Config {
        days: u32::try_from(days)?,
        agents: u32::try_from(agents)?,
        ..Config::default()
    };
    let mut lines = Vec::new();
    let mut newest = UtcMicros(0);
    for event in World::new(&config)? {
        newest = newest.max(event.occurred_at);
        let mut line = Vec::new();
        sim::write_ndjson(&event, &mut line)?;
        lines.push(line);
    }
    let count = lines.len();
    ensure!(
        count > 2 * small_events,
        "the world has {count} events only: more --days"
    );
    let (first, rest) = lines.split_at(count - small_events);
    println!("{count} simulated events: {} in big bodies", first.len());
    let joined = |lines: &[Vec<u8>], each| lines.chunks(each).map(<[_]>::concat).collect();
    Ok(Bodies {
        big: joined(first, BIG),
        small: joined(rest, SMALL),
        newest,
    })
}

pub(crate) fn live_ingest(store: &Arc<Store>, newest: UtcMicros) -> Result<LiveIngest> {
    let begin = Instant::now();
    let clock = Arc::new(move || newest.plus_ms(begin.elapsed().as_millis() as i64));
    let settings = LiveSettings::new(IdentityKey::new([0; 32]), clock, [1; 32]);
    Ok(LiveIngest::start(Arc::clone(store), settings)?.0)
}

pub(crate) fn serve(
    live: &LiveIngest,
    queries: &QueryService,
    newest: UtcMicros,
) -> Result<server::RunningServer> {
    let mut settings = server::Settings::new(SocketAddr::from(([127, 0, 0, 1], 0)));
    settings.flight = Some(settings.listen);
    let surroundings = server::Surroundings {
        now: Arc::new(move || newest),
        run_id: 1,
        seed: [2; 32],
    };
    let boards = server::live::Boards::open(None, &queries.engine().catalogue())?;
    let backends = server::Backends {
        sink: Arc::new(live.clone()),
        queries: queries.clone(),
        // Nobody looks at the board.
        live: server::live::LiveFeed::new(boards, tokio::sync::watch::channel(None).1),
        alerts: None,
        definitions: server::DefinitionsNews::new("bench", events::UtcMicros(0)),
    };
    Ok(server::Server::start(settings, surroundings, backends)?)
}

/// As many as go in, each sender with its next body as soon as the last is acknowledged.
fn big_bodies(addr: SocketAddr, live: &LiveIngest, bodies: &[Vec<u8>]) -> Result<()> {
    let next = AtomicU64::new(0);
    let begin = Instant::now();
    let acks = senders(BIG_SENDERS, |_| {
        let mut client = Client::connect(addr)?;
        let mut acks = histogram()?;
        loop {
            let at = next.fetch_add(1, Ordering::Relaxed) as usize;
            let Some(body) = bodies.get(at) else {
                return Ok(acks);
            };
            let sent = Instant::now();
            client.post(body)?;
            acks.record(micros(sent.elapsed()))?;
        }
    })?;
    let took = begin.elapsed().as_secs_f64();
    let events = bodies.len() * BIG;
    println!(
        "batches of {BIG}, {BIG_SENDERS} connections: {:.0} events/s acknowledged",
        events as f64 / took
    );
    latency("  acknowledgement", &acks);
    let state = live.state();
    ensure!(live.wait_applied(state.committed_seq, Duration::from_secs(600)));
    println!(
        "  all of them visible to queries {:.1} s later",
        begin.elapsed().as_secs_f64() - took
    );
    Ok(())
}

/// At a fixed rate, whatever the answers do: a late answer counts from when it was due.
fn small_bodies(addr: SocketAddr, queries: &QueryService, bodies: &[Vec<u8>]) -> Result<()> {
    let each = Duration::from_secs_f64(SMALL as f64 / SMALL_RATE as f64);
    let stop = AtomicBool::new(false);
    let begin = Instant::now();
    let (acks, queries) = thread::scope(|scope| {
        let analysts: Vec<_> = (0..ANALYSTS)
            .map(|_| scope.spawn(|| analyst(queries, &stop)))
            .collect();
        let acks = senders(SMALL_SENDERS, |sender| {
            let mut client = Client::connect(addr)?;
            let mut acks = histogram()?;
            for (at, body) in bodies
                .iter()
                .enumerate()
                .skip(sender)
                .step_by(SMALL_SENDERS)
            {
                let due = begin + each * u32::try_from(at)?;
                while let Some(early) = due.checked_duration_since(Instant::now()) {
                    thread::park_timeout(early);
                }
                client.post(body)?;
                acks.record(micros(due.elapsed()))?;
            }
            Ok(acks)
        });
        stop.store(true, Ordering::Relaxed);
        let mut queries = histogram()?;
        for analyst in analysts {
            queries.add(analyst.join().expect("an analyst does not panic")?)?;
        }
        anyhow::Ok((acks?, queries))
    })?;
    let rate = (bodies.len() * SMALL) as f64 / begin.elapsed().as_secs_f64();
    println!(
        "batches of {SMALL}, {SMALL_SENDERS} connections, {SMALL_RATE} events/s asked for, \
         {ANALYSTS} analysts querying: {rate:.0} events/s acknowledged"
    );
    latency("  acknowledgement, from when it was due", &acks);
    latency("  a query of the analysts", &queries);
    Ok(())
}

/// Asks one question after the other over the newest version; how long each took.
fn analyst(queries: &QueryService, stop: &AtomicBool) -> Result<Histogram<u64>> {
    let caller = Caller {
        name: "analyst".into(),
        sees_all: false,
        sees_raw: true,
    };
    let runtime = tokio::runtime::Builder::new_current_thread().build()?;
    let mut took = histogram()?;
    for question in QUESTIONS.iter().cycle() {
        if stop.load(Ordering::Relaxed) {
            break;
        }
        let begin = Instant::now();
        runtime.block_on(answer(queries, &caller, question))?;
        took.record(micros(begin.elapsed()))?;
    }
    Ok(took)
}

/// Reads a whole answer.
async fn answer(queries: &QueryService, caller: &Caller, question: &str) -> Result<()> {
    let session = SessionSettings::default();
    let planned = queries.plan(caller, question, &session).await?;
    let mut rows = queries.run(&planned, &[], RunOptions::default()).await?;
    while let Some(batch) = rows.next().await {
        std::hint::black_box(batch?);
    }
    Ok(())
}

/// Runs `work` on so many threads and puts their histograms together.
fn senders(
    count: usize,
    work: impl Fn(usize) -> Result<Histogram<u64>> + Sync,
) -> Result<Histogram<u64>> {
    thread::scope(|scope| {
        let work = &work;
        let threads: Vec<_> = (0..count).map(|n| scope.spawn(move || work(n))).collect();
        let mut all = histogram()?;
        for thread in threads {
            all.add(thread.join().expect("a sender does not panic")?)?;
        }
        Ok(all)
    })
}

/// A client that keeps its connection.
pub(crate) struct Client {
    stream: BufReader<TcpStream>,
    request: Vec<u8>,
}

impl Client {
    pub fn connect(addr: SocketAddr) -> Result<Client> {
        let stream = TcpStream::connect(addr)?;
        stream.set_nodelay(true)?;
        Ok(Client {
            stream: BufReader::new(stream),
            request: Vec::new(),
        })
    }

    /// Sends a body until it is taken; an answer other than "taken" or "later" is an error.
    pub fn post(&mut self, body: &[u8]) -> Result<()> {
        self.request.clear();
        write!(
            self.request,
            "POST /api/v1/events HTTP/1.1\r\nhost: localhost\r\n\
             content-type: application/x-ndjson\r\ncontent-length: {}\r\n\r\n",
            body.len()
        )?;
        self.request.extend_from_slice(body);
        loop {
            self.stream.get_mut().write_all(&self.request)?;
            match self.reply()? {
                (200, _) => return Ok(()),
                (429, _) => thread::park_timeout(Duration::from_millis(100)),
                (status, text) => anyhow::bail!("the server answers {status}: {text}"),
            }
        }
    }

    fn reply(&mut self) -> Result<(u16, String)> {
        let first = self.line()?;
        let status = first.split(' ').nth(1).context("no status")?.parse()?;
        let mut length = 0;
        loop {
            let line = self.line()?;
            match line.split_once(':') {
                Some((name, value)) if name.eq_ignore_ascii_case("content-length") => {
                    length = value.trim().parse()?;
                }
                Some(_) => {}
                None => break,
            }
        }
        let mut body = vec![0; length];
        self.stream.read_exact(&mut body)?;
        Ok((status, String::from_utf8_lossy(&body).into_owned()))
    }

    fn line(&mut self) -> Result<String> {
        let mut line = String::new();
        ensure!(self.stream.read_line(&mut line)? > 0, "the server hung up");
        Ok(line.trim_end().to_owned())
    }
}

/// What one thread of this machine can do, with nothing but decoding.
fn decode_alone(bodies: &[Vec<u8>], newest: UtcMicros) -> Result<()> {
    let intake = crate::import::intake(newest);
    let begin = Instant::now();
    let mut count = 0_u32;
    for line in bodies
        .iter()
        .take(300)
        .flat_map(|b| b.split(|c| *c == b'\n'))
    {
        if !line.is_empty() {
            let event = events::decode_line(line, &intake);
            std::hint::black_box(event.map_err(|e| anyhow::anyhow!("{e}"))?);
            count += 1;
        }
    }
    println!(
        "decode alone, one thread: {:.0} events/s",
        f64::from(count) / begin.elapsed().as_secs_f64()
    );
    Ok(())
}

/// What this disk can do, with nothing of ours around it.
fn bare_sync(path: &std::path::Path) -> Result<Histogram<u64>> {
    let mut file = std::fs::File::create(path)?;
    let mut took = histogram()?;
    for _ in 0..2_000 {
        let begin = Instant::now();
        file.write_all(&[7; 4_096])?;
        file.sync_data()?;
        took.record(micros(begin.elapsed()))?;
    }
    Ok(took)
}

/// Microseconds, three digits.
pub(crate) fn histogram() -> Result<Histogram<u64>> {
    Ok(Histogram::new(3)?)
}

pub(crate) fn micros(time: Duration) -> u64 {
    time.as_micros() as u64
}

pub(crate) fn latency(what: &str, took: &Histogram<u64>) {
    let ms = |quantile| took.value_at_quantile(quantile) as f64 / 1_000.0;
    println!(
        "{what}: p50 {:.2} ms, p99 {:.2} ms, p99.9 {:.2} ms, max {:.2} ms ({} times)",
        ms(0.5),
        ms(0.99),
        ms(0.999),
        took.max() as f64 / 1_000.0,
        took.len()
    );
}
