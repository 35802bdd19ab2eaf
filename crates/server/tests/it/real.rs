//! A server in front of the real pipeline and the real engine, over a simulated day.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use engine::{
    Engine, KpiAnswer, KpiRequest, Present,
    service::{QueryLimits, QueryService},
};
use events::UtcMicros;
use ingest::{
    IdentityKey,
    live::{LiveIngest, LiveSettings},
};
use server::{
    Backends, DefinitionsNews, RunningServer, Server, Settings, Surroundings, alerts::Alerting,
    live::LiveFeed,
};
use sim::{Config, World};
use store::Store;
use tempfile::TempDir;

use crate::{
    client::{Client, JSON, NDJSON, Reply},
    fake::catalogue,
};

/// 2026-03-02T12:00:00Z: the simulated day is in full swing, and later events are not there yet.
pub const NOON: UtcMicros = UtcMicros(1_772_452_800_000_000);

pub struct Real {
    pub server: Option<RunningServer>,
    pub addr: SocketAddr,
    pub engine: Arc<Engine>,
    pub queries: QueryService,
    /// Of the last receipt.
    pub seq: u64,
    pub events: u64,
    pub live: LiveIngest,
    /// What time it is to the server; the pipeline's stands still.
    pub clock: Arc<AtomicI64>,
    _folder: TempDir,
}

pub fn start() -> Real {
    start_with(QueryLimits::default(), |_| {})
}

/// Without any event.
pub fn start_empty(change: impl FnOnce(&mut Settings)) -> Real {
    open(QueryLimits::default(), change)
}

pub fn start_with(limits: QueryLimits, change: impl FnOnce(&mut Settings)) -> Real {
    open_and_send(limits, "", change)
}

/// Sends the day with a token that may send and ask.
pub fn open_and_send(limits: QueryLimits, token: &str, change: impl FnOnce(&mut Settings)) -> Real {
    let mut real = open(limits, change);
    real.send_the_day(token);
    real
}

fn open(limits: QueryLimits, change: impl FnOnce(&mut Settings)) -> Real {
    let folder = TempDir::new().expect("a folder");
    let store = Arc::new(Store::create_or_open(folder.path()).expect("a store"));
    let live = LiveSettings {
        disk_reserve_bytes: 0,
        ..LiveSettings::new(IdentityKey::new([1; 32]), Arc::new(|| NOON), [3; 32])
    };
    let (live, _) = LiveIngest::start(Arc::clone(&store), live).expect("a pipeline");
    let clock = Arc::new(AtomicI64::new(NOON.0));
    let engine = Engine::new(store, catalogue(), engine::Settings::default());
    let now = present(&clock);
    let present = Arc::new(move || Present::At(now()));
    let engine = engine.expect("an engine").with_present(present);
    let engine = Arc::new(engine);
    // The first statement compiles the definitions, which takes a busy machine its time.
    let limits = QueryLimits {
        plan_deadline: Duration::from_secs(60),
        ..limits
    };
    let queries = QueryService::start(Arc::clone(&engine), limits).expect("threads");
    let mut settings = Settings::new("127.0.0.1:0".parse().expect("an address"));
    change(&mut settings);
    let backends = Backends {
        sink: Arc::new(live.clone()),
        queries: queries.clone(),
        live: crate::fake::feed(tokio::sync::watch::channel(None).1),
        alerts: None,
        definitions: DefinitionsNews::new("0", NOON),
    };
    let server = serve(settings, &clock, backends);
    Real {
        addr: server.addr(),
        server: Some(server),
        engine,
        queries,
        seq: 0,
        events: 0,
        live,
        clock,
        _folder: folder,
    }
}

fn present(clock: &Arc<AtomicI64>) -> Arc<dyn Fn() -> UtcMicros + Send + Sync> {
    let clock = Arc::clone(clock);
    Arc::new(move || UtcMicros(clock.load(Ordering::SeqCst)))
}

fn serve(settings: Settings, clock: &Arc<AtomicI64>, backends: Backends) -> RunningServer {
    let surroundings = Surroundings {
        now: present(clock),
        run_id: 0xca11,
        seed: [3; 32],
    };
    Server::start(settings, surroundings, backends).expect("it starts")
}

impl Drop for Real {
    fn drop(&mut self) {
        self.server.take().into_iter().for_each(RunningServer::stop);
        self.queries.stop();
        // A test that has failed already says so itself.
        let _ = self.live.shut_down();
    }
}

impl Real {
    /// Another server over the same data, which watches figures.
    pub fn restart_watching(&mut self, alerting: Alerting, change: impl FnOnce(&mut Settings)) {
        self.server.take().into_iter().for_each(RunningServer::stop);
        let mut settings = Settings::new("127.0.0.1:0".parse().expect("an address"));
        change(&mut settings);
        let live = LiveFeed {
            alerts: alerting.news.clone(),
            ..crate::fake::feed(alerting.frames.clone())
        };
        let backends = Backends {
            sink: Arc::new(self.live.clone()),
            queries: self.queries.clone(),
            live,
            alerts: Some(alerting),
            definitions: DefinitionsNews::new("0", NOON),
        };
        let server = serve(settings, &self.clock, backends);
        self.addr = server.addr();
        self.server = Some(server);
    }

    pub fn client(&self) -> Client {
        Client::connect(self.addr)
    }

    pub fn get(&self, path: &str) -> Reply {
        self.client().get(path)
    }

    /// Asks in SQL and takes JSON.
    pub fn sql(&self, text: &str) -> Reply {
        self.ask(&serde_json::json!({ "sql": text }), &[])
    }

    pub fn ask(&self, question: &serde_json::Value, headers: &[(&str, &str)]) -> Reply {
        let headers = [&[JSON], headers].concat();
        let body = question.to_string();
        self.client()
            .ask("POST /api/v1/sql", &headers, body.as_bytes())
    }

    /// What the engine itself answers.
    pub fn kpi(&self, request: &KpiRequest) -> KpiAnswer {
        let runtime = tokio::runtime::Builder::new_current_thread().build();
        let runtime = runtime.expect("a runtime");
        runtime
            .block_on(self.engine.kpi(request))
            .expect("an answer")
    }

    fn send_the_day(&mut self, token: &str) {
        let authorization = format!("Bearer {token}");
        let authorization = ("authorization", &*authorization);
        let config = Config {
            seed: 7,
            days: 1,
            agents: 5,
            ..Config::default()
        };
        let mut body = Vec::new();
        for event in World::new(&config).expect("a world") {
            if event.occurred_at <= NOON {
                sim::write_ndjson(&event, &mut body).expect("memory");
                self.events += 1;
            }
        }
        let mut client = self.client();
        let mut lines = body.split_inclusive(|byte| *byte == b'\n').peekable();
        while lines.peek().is_some() {
            let batch: Vec<u8> = lines.by_ref().take(2_000).flatten().copied().collect();
            let reply = client.post(&[NDJSON, authorization], batch);
            assert_eq!(reply.status, 200, "{reply:?}");
            assert_eq!(reply.json()["rejected"], 0, "{reply:?}");
            self.seq = reply.json()["committed_seq"].as_u64().expect("a sequence");
        }
        // Everything is visible to whoever waits for it.
        let wait = serde_json::json!({ "sql": "SELECT 1 AS one", "min_seq": self.seq });
        let reply = self.ask(&wait, &[authorization]);
        assert_eq!(reply.status, 200, "{reply:?}");
    }
}
