//! How soon a screen shows what was sent: events over HTTP in, cells of the live board out.

use std::{
    collections::BTreeMap,
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use engine::{
    live::{LiveBoard, LiveSettings},
    service::{QueryLimits, QueryService},
};
use events::UtcMicros;
use ingest::{
    IdentityKey,
    live::{LiveIngest, LiveSettings as IngestSettings},
};
use server::live::{Boards, FramePump, LiveFeed};
use sim::{Config, World};
use store::Store;

use crate::live::{Client, histogram, latency, micros};

/// Screens that look on, all of the same board; the first of them is looked at.
const SCREENS: usize = 50;
/// Events a second beside the ones that are timed, and in a body.
const RATE: usize = 2_000;
const BODY: usize = 100;
/// Between two events that are timed; not a multiple of the beat of frames.
const PROBE_EVERY: Duration = Duration::from_millis(173);
/// What the looked-at screen is searched for: the contacts that wait in a queue of the benchmark's.
const MARK: &[u8] = b"\"q.probe.waiting\",\"v\":";

/// Runs the benchmark for so many seconds, over the second half of a simulated day.
pub fn run(agents: u64, seconds: u64) -> Result<()> {
    let day = Day::simulate(u32::try_from(agents)?)?;
    let dir = tempfile::tempdir()?;
    let store = Arc::new(Store::create_or_open(dir.path())?);
    let clock = Arc::new(AtomicI64::new(day.noon.0));
    let house = House::open(&store, &clock)?;
    let addr = house.server.addr();
    let mut client = Client::connect(addr)?;
    day.morning.iter().try_for_each(|body| client.post(body))?;
    let state = house.live.state();
    ensure!(
        house
            .live
            .wait_applied(state.committed_seq, Duration::from_secs(600))
    );

    let stop = AtomicBool::new(false);
    let seen = Seen::default();
    let bytes = AtomicU64::new(0);
    thread::scope(|scope| {
        for number in 0..SCREENS {
            let look = (number == 0).then_some(&seen);
            let (stop, bytes) = (&stop, &bytes);
            scope.spawn(move || screen(addr, look, stop, bytes));
        }
        let background = scope.spawn(|| send_all(addr, &day.afternoon, &clock, &stop));
        let timed = probe(addr, &seen, &clock, seconds);
        stop.store(true, Ordering::Relaxed);
        let sent = background.join().expect("the sender does not panic")?;
        let (acknowledged, shown) = timed?;
        println!(
            "{SCREENS} screens, {:.0} events/s beside",
            sent as f64 / seconds as f64
        );
        latency("  sent to acknowledged", &acknowledged);
        latency("  sent to shown", &shown);
        let read = bytes.load(Ordering::Relaxed) as f64;
        println!(
            "  {:.0} kB/s to each screen",
            read / 1_000.0 / SCREENS as f64 / seconds as f64
        );
        anyhow::Ok(())
    })?;
    house.close()?;
    println!("peak memory {} MiB", super::peak_mib());
    Ok(())
}

/// A simulated day, cut at noon.
struct Day {
    noon: UtcMicros,
    morning: Vec<Vec<u8>>,
    /// Bodies with the time of their newest event.
    afternoon: Vec<(UtcMicros, Vec<u8>)>,
}

impl Day {
    fn simulate(agents: u32) -> Result<Day> {
        let config = Config {
            days: 1,
            agents,
            ..Config::default()
        };
        let world = World::new(&config)?;
        let noon = world.start().plus_ms(12 * 3_600_000);
        let (mut morning, mut afternoon) = (Vec::new(), Vec::new());
        for event in world {
            let mut line = Vec::new();
            sim::write_ndjson(&event, &mut line)?;
            if event.occurred_at < noon {
                morning.push(line);
            } else {
                afternoon.push((event.occurred_at, line));
            }
        }
        println!(
            "{} events before noon, {} after",
            morning.len(),
            afternoon.len()
        );
        let body = |part: &[(UtcMicros, Vec<u8>)]| {
            let newest = part.last().map_or(noon, |(at, _)| *at);
            (
                newest,
                part.iter().flat_map(|(_, line)| line.clone()).collect(),
            )
        };
        Ok(Day {
            noon,
            morning: morning.chunks(1_000).map(<[_]>::concat).collect(),
            afternoon: afternoon.chunks(BODY).map(body).collect(),
        })
    }
}

/// Everything that `serve` starts.
struct House {
    live: LiveIngest,
    queries: QueryService,
    pump: FramePump,
    server: server::RunningServer,
}

impl House {
    fn open(store: &Arc<Store>, clock: &Arc<AtomicI64>) -> Result<House> {
        let clock = Arc::clone(clock);
        let now: Arc<dyn Fn() -> UtcMicros + Send + Sync> =
            Arc::new(move || UtcMicros(clock.load(Ordering::Relaxed)));
        let settings = IngestSettings::new(IdentityKey::new([0; 32]), Arc::clone(&now), [1; 32]);
        let live = LiveIngest::start(Arc::clone(store), settings)?.0;
        let engine = Arc::new(crate::queries::engine(Arc::clone(store))?);
        let queries = QueryService::start(Arc::clone(&engine), QueryLimits::default())?;
        let boards = Boards::open(None, &engine.catalogue())?;
        let board = LiveSettings {
            kpis: boards.kpis().into_iter().collect(),
            ..LiveSettings::default()
        };
        let board = Arc::new(LiveBoard::new(engine, board)?);
        let (pump, frames) = FramePump::start(board, queries.clone(), Arc::clone(&now))?;
        let backends = server::Backends {
            sink: Arc::new(live.clone()),
            queries: queries.clone(),
            live: LiveFeed::new(boards, frames),
            alerts: None,
            definitions: server::DefinitionsNews::new("bench", UtcMicros(0)),
        };
        let settings = server::Settings::new(SocketAddr::from(([127, 0, 0, 1], 0)));
        let surroundings = server::Surroundings {
            now,
            run_id: 1,
            seed: [2; 32],
        };
        Ok(House {
            server: server::Server::start(settings, surroundings, backends)?,
            live,
            queries,
            pump,
        })
    }

    fn close(self) -> Result<()> {
        self.server.stop();
        drop(self.pump);
        self.queries.stop();
        Ok(self.live.shut_down()?)
    }
}

/// When the looked-at screen first showed how many contacts of the benchmark's.
type Seen = Mutex<BTreeMap<u64, Instant>>;

/// Reads a board's stream until told to stop.
fn screen(
    addr: SocketAddr,
    seen: Option<&Seen>,
    stop: &AtomicBool,
    bytes: &AtomicU64,
) -> Result<()> {
    let mut stream = TcpStream::connect(addr)?;
    stream.set_read_timeout(Some(Duration::from_secs(1)))?;
    stream
        .write_all(b"GET /api/v1/live/stream?board=queues HTTP/1.1\r\nhost: localhost\r\n\r\n")?;
    let mut buffer = vec![0; 1 << 16];
    let mut text = Vec::new();
    while !stop.load(Ordering::Relaxed) {
        let count = match stream.read(&mut buffer) {
            Ok(0) => anyhow::bail!("the server hung up"),
            Ok(count) => count,
            Err(_) => continue,
        };
        bytes.fetch_add(count as u64, Ordering::Relaxed);
        if let Some(seen) = seen {
            text.extend_from_slice(&buffer[..count]);
            look(&mut text, seen);
        }
    }
    Ok(())
}

/// Notes the figures that are whole in the text, and keeps the part behind them.
fn look(text: &mut Vec<u8>, seen: &Seen) {
    let now = Instant::now();
    while let Some(at) = text.windows(MARK.len()).position(|part| part == MARK) {
        let digits = &text[at + MARK.len()..];
        let Some(end) = digits.iter().position(|byte| !byte.is_ascii_digit()) else {
            return;
        };
        let number = std::str::from_utf8(&digits[..end])
            .unwrap_or_default()
            .parse();
        let mut seen = seen.lock().unwrap_or_else(|e| e.into_inner());
        number.into_iter().for_each(|number: u64| {
            seen.entry(number).or_insert(now);
        });
        text.drain(..at + MARK.len() + end);
    }
    let kept = text.len().saturating_sub(MARK.len() + 20);
    text.drain(..kept);
}

/// Sends bodies at [`RATE`] events a second until told to stop; how many events that were.
fn send_all(
    addr: SocketAddr,
    bodies: &[(UtcMicros, Vec<u8>)],
    clock: &AtomicI64,
    stop: &AtomicBool,
) -> Result<usize> {
    let each = Duration::from_secs_f64(BODY as f64 / RATE as f64);
    let mut client = Client::connect(addr)?;
    let begin = Instant::now();
    for (number, (newest, body)) in bodies.iter().enumerate() {
        wait_until(begin + each * u32::try_from(number)?);
        if stop.load(Ordering::Relaxed) {
            return Ok(number * BODY);
        }
        clock.store(newest.0, Ordering::Relaxed);
        client.post(body)?;
    }
    anyhow::bail!("the afternoon was too short: more --agents")
}

type Took = hdrhistogram::Histogram<u64>;

/// Lets one contact after the other wait, and looks when the screen shows it.
fn probe(addr: SocketAddr, seen: &Seen, clock: &AtomicI64, seconds: u64) -> Result<(Took, Took)> {
    let (mut acknowledged, mut shown) = (histogram()?, histogram()?);
    let mut client = Client::connect(addr)?;
    let begin = Instant::now();
    let mut sent = Vec::new();
    while begin.elapsed() < Duration::from_secs(seconds) {
        wait_until(begin + PROBE_EVERY * u32::try_from(sent.len() + 1)?);
        let body = contact(sent.len(), UtcMicros(clock.load(Ordering::Relaxed)));
        let at = Instant::now();
        sent.push(at);
        client.post(body.as_bytes())?;
        acknowledged.record(micros(at.elapsed()))?;
    }
    thread::park_timeout(Duration::from_secs(3));
    let seen = seen.lock().unwrap_or_else(|e| e.into_inner());
    for (number, at) in sent.iter().enumerate() {
        // A frame may show several at once.
        let wanted = number as u64 + 1;
        let (_, first) = seen
            .range(wanted..)
            .next()
            .context("a contact was never shown")?;
        shown.record(micros(first.duration_since(*at)))?;
    }
    Ok((acknowledged, shown))
}

fn contact(number: usize, at: UtcMicros) -> String {
    let id = format!("probe{number}");
    let event = |step: u8, kind: &str, data: serde_json::Value| {
        let event = serde_json::json!({
            "source": "probe", "event_id": format!("{id}-{step}"), "event_type": kind,
            "occurred_at": at.to_string(), "data": data,
        });
        format!("{event}\n")
    };
    let started = serde_json::json!({
        "interaction_id": id, "channel": "voice", "direction": "inbound",
    });
    let entered = serde_json::json!({
        "visit_id": format!("{id}.q1"), "interaction_id": id, "queue_id": "probe",
        "visit_kind": "customer",
    });
    event(1, "interaction.started", started) + &event(2, "queue.entered", entered)
}

fn wait_until(due: Instant) {
    while let Some(early) = due.checked_duration_since(Instant::now()) {
        thread::park_timeout(early);
    }
}
