//! A pipeline that answers what the test wants, and a server in front of it.

use std::{
    collections::{HashMap, HashSet, VecDeque},
    net::SocketAddr,
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicI64, Ordering},
        mpsc::{Receiver, Sender, channel},
    },
    thread,
};

use engine::{
    Engine,
    service::{QueryLimits, QueryService},
};
use events::{Event, Intake, Reject, RejectCode, Text, UtcMicros, decode_line};
use ingest::live::{LineError, LiveState, OnError, Receipt, Refusal};
use kpi::Catalogue;
use server::{
    Answer, Backends, Collector, DefinitionsNews, EventSink, RunningServer, Server, Settings,
    Surroundings,
    alerts::Alerting,
    live::{AlertNews, Boards, Frames, LiveFeed},
};
use store::Version;
use tokio::sync::watch;

use crate::client::Client;

/// 2026-03-03, a day after the events of [`event`].
pub const NOW: UtcMicros = UtcMicros(1_772_500_000_000_000);

/// One good event as a line.
pub fn event(id: &str) -> String {
    format!(
        r#"{{"source":"pbx","event_id":"{id}","event_type":"offer.started","occurred_at":"2026-03-02T01:14:31Z","data":{{"offer_id":"{id}.o","visit_id":"{id}.q","agent_id":"a17"}}}}"#
    )
}

/// Lines of good events with these numbers in their ids.
pub fn events(numbers: std::ops::Range<usize>) -> String {
    numbers.map(|n| event(&format!("e{n}")) + "\n").collect()
}

/// The lines of one delivery with their numbers.
pub type Lines = Vec<(u64, Vec<u8>)>;

type StateFn = Box<dyn Fn() -> LiveState + Send>;
type Held = (Answer, Result<Receipt, Refusal>);

pub struct FakeSink {
    inner: Arc<Inner>,
}

struct Inner {
    state: Mutex<StateFn>,
    refusals: Mutex<VecDeque<Refusal>>,
    ids: Mutex<HashSet<String>>,
    deliveries: Mutex<Vec<Lines>>,
    hold: Mutex<Option<Sender<Held>>>,
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().expect("no test panics with a lock")
}

/// What keeps the server, its pipeline and its clock.
pub struct Setup {
    pub server: RunningServer,
    pub addr: SocketAddr,
    pub sink: Arc<FakeSink>,
    pub clock: Arc<AtomicI64>,
    pub alerts: AlertNews,
    pub definitions: DefinitionsNews,
}

pub fn start() -> Setup {
    start_with(|_| {})
}

pub fn start_with(change: impl FnOnce(&mut Settings)) -> Setup {
    start_live(watch::channel(None).1, change)
}

/// With a live board of these frames.
pub fn start_live(frames: Frames, change: impl FnOnce(&mut Settings)) -> Setup {
    start_feed(feed(frames), None, change)
}

/// That watches figures.
pub fn start_watching(alerting: Alerting) -> Setup {
    start_feed(feed(alerting.frames.clone()), Some(alerting), |_| {})
}

fn start_feed(
    feed: LiveFeed,
    watched: Option<Alerting>,
    change: impl FnOnce(&mut Settings),
) -> Setup {
    let sink = Arc::new(FakeSink::new());
    let alerts = feed.alerts.clone();
    let clock = Arc::new(AtomicI64::new(NOW.0));
    let mut settings = Settings::new("127.0.0.1:0".parse().expect("an address"));
    settings.decode_threads = 2;
    change(&mut settings);
    let now = Arc::clone(&clock);
    let surroundings = Surroundings {
        now: Arc::new(move || UtcMicros(now.load(Ordering::SeqCst))),
        run_id: 0xca11,
        seed: [3; 32],
    };
    let backends = Backends {
        alerts: watched,
        ..backends_with(&sink, feed)
    };
    let definitions = backends.definitions.clone();
    let server = Server::start(settings, surroundings, backends).expect("it starts");
    Setup {
        addr: server.addr(),
        alerts,
        definitions,
        server,
        sink,
        clock,
    }
}

/// The pipeline, a query service without data, and a live board without frames.
pub fn backends(sink: &Arc<FakeSink>) -> Backends {
    backends_with(sink, feed(watch::channel(None).1))
}

/// A live board of these frames.
pub fn feed(frames: Frames) -> LiveFeed {
    let boards = Boards::open(None, &catalogue()).expect("sound boards");
    LiveFeed::new(boards, frames)
}

pub fn backends_with(sink: &Arc<FakeSink>, live: LiveFeed) -> Backends {
    let nothing = Arc::new(Version::from_batches(HashMap::new()));
    let engine = Engine::new(nothing, catalogue(), engine::Settings::default());
    let engine = Arc::new(engine.expect("an engine"));
    Backends {
        sink: Arc::<FakeSink>::clone(sink),
        queries: QueryService::start(engine, QueryLimits::default()).expect("threads"),
        live,
        alerts: None,
        definitions: DefinitionsNews::new("0", NOW),
    }
}

/// The built-in definitions.
pub fn catalogue() -> Arc<Catalogue> {
    let models = engine::model_specs().expect("the models plan");
    Arc::new(Catalogue::builtin(&models).expect("a sound catalogue"))
}

impl Setup {
    pub fn client(&self) -> Client {
        Client::connect(self.addr)
    }

    /// A client that does nothing wrong gets its events stored.
    #[track_caller]
    pub fn goes_on(&self, id: &str) {
        let reply = self.client().post(&[crate::client::NDJSON], event(id));
        assert_eq!(reply.status, 200, "{reply:?}");
        assert_eq!(reply.json()["accepted"], 1, "{reply:?}");
    }
}

/// A pipeline with nothing to complain about.
pub fn ready() -> LiveState {
    LiveState {
        pressure: 0,
        wal_writable: true,
        caught_up: true,
        last_commit_age_ms: Some(3_600_000),
        committed_seq: 41,
        applied_seq: 40,
        accepted: 100,
        duplicate: 2,
        rejected: 1,
        wal_bytes: 4_096,
        wal_segments: 1,
        wal_poisoned: 0,
        buffer_bytes: 512,
        window_ids: 3,
        window_bytes: 117,
        manifest_version: 12,
        disk_free_bytes: Some(1 << 40),
        sync_micros: vec![(100, 5), (1_000, 7), (u64::MAX, 8)],
        quarantined_files: 0,
        files: 7,
        files_hot: 1,
        files_small: 2,
        flush_micros: vec![(10_000, 1), (u64::MAX, 2)],
        compaction_micros: vec![(10_000, 0), (u64::MAX, 0)],
        scrubbed_whole: 9,
        scrubbed_damaged: 1,
        ..LiveState::default()
    }
}

impl FakeSink {
    fn new() -> Self {
        let inner = Inner {
            state: Mutex::new(Box::new(ready)),
            refusals: Mutex::default(),
            ids: Mutex::default(),
            deliveries: Mutex::default(),
            hold: Mutex::default(),
        };
        FakeSink {
            inner: Arc::new(inner),
        }
    }

    pub fn set_state(&self, state: impl Fn() -> LiveState + Send + 'static) {
        *locked(&self.inner.state) = Box::new(state);
    }

    /// The next delivery is refused.
    pub fn refuse_next(&self, refusal: Refusal) {
        locked(&self.inner.refusals).push_back(refusal);
    }

    /// From now on answers wait until the test gives them.
    pub fn hold(&self) -> Receiver<Held> {
        let (sender, receiver) = channel();
        *locked(&self.inner.hold) = Some(sender);
        receiver
    }

    pub fn release(&self) {
        *locked(&self.inner.hold) = None;
    }

    /// Lines of the deliveries so far, with their numbers.
    pub fn deliveries(&self) -> Vec<Lines> {
        locked(&self.inner.deliveries).clone()
    }
}

impl EventSink for FakeSink {
    fn collect(&self, _: Option<Arc<[Text]>>) -> Box<dyn Collector> {
        Box::new(FakeCollector {
            inner: Arc::clone(&self.inner),
            events: Vec::new(),
            errors: Vec::new(),
            lines: Vec::new(),
        })
    }

    fn state(&self) -> LiveState {
        locked(&self.inner.state)()
    }
}

struct FakeCollector {
    inner: Arc<Inner>,
    events: Vec<Event>,
    errors: Vec<LineError>,
    lines: Lines,
}

impl Collector for FakeCollector {
    fn line(&mut self, number: u64, raw: &[u8]) {
        assert!(raw != b"panic", "the pipeline panics when it is told to");
        let intake = Intake {
            tenant_id: events::DEFAULT_TENANT.into(),
            default_source: None,
            recorded_at: NOW,
        };
        match decode_line(raw, &intake) {
            Ok(event) => self.events.push(event),
            Err(reject) => return self.refuse(number, raw, reject),
        }
        self.lines.push((number, raw.to_vec()));
    }

    fn refuse(&mut self, number: u64, raw: &[u8], reject: Reject) {
        self.lines.push((number, raw.to_vec()));
        self.errors.push(LineError {
            line: number,
            event_id: None,
            code: reject.code,
            reason: reject.to_string(),
        });
    }

    fn bytes(&self) -> usize {
        self.lines.iter().map(|(_, raw)| raw.len()).sum()
    }

    fn deliver(self: Box<Self>, on_error: OnError, answer: Answer) {
        let inner = Arc::clone(&self.inner);
        let outcome = self.outcome(&on_error);
        let hold = locked(&inner.hold);
        match &*hold {
            Some(sender) => sender.send((answer, outcome)).expect("the test listens"),
            None => drop(thread::spawn(move || answer(outcome))),
        }
    }
}

impl FakeCollector {
    fn outcome(self, on_error: &OnError) -> Result<Receipt, Refusal> {
        if let Some(refusal) = locked(&self.inner.refusals).pop_front() {
            return Err(refusal);
        }
        locked(&self.inner.deliveries).push(self.lines);
        let mut receipt = Receipt {
            accepted: 0,
            duplicate: 0,
            rejected: self.errors.len() as u64,
            too_old: 0,
            errors_truncated: false,
            errors: self.errors,
            committed_seq: 42,
        };
        let mut ids = locked(&self.inner.ids);
        let keeps = !matches!(on_error, OnError::RejectAll) || receipt.rejected == 0;
        for event in self.events {
            let id = event.event_id.to_string();
            if ids.contains(&id) {
                receipt.duplicate += 1;
            } else if keeps {
                ids.insert(id);
                receipt.accepted += 1;
            }
        }
        Ok(receipt)
    }
}

/// The code of a rejected line, as answers write it.
pub fn code(code: RejectCode) -> String {
    code.as_str().to_owned()
}
