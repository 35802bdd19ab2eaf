//! `callgauge serve`: events in and questions answered, over HTTP and Flight SQL, until told to
//! stop.

use std::{
    collections::BTreeSet,
    net::SocketAddr,
    ops::ControlFlow,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use ::kpi::{SourceFile, alert::AlertRules};
use anyhow::{Context, Result, bail};
use engine::{
    Engine, Present,
    live::{LiveBoard, LiveSettings},
    service::{QueryLimits, QueryService},
};
use events::{Text, UtcMicros};
use ingest::{
    IdentityKey,
    live::{LiveError, LiveIngest, LiveSettings as IngestSettings, Recovered, Replayed, Standing},
};
use server::{
    Backends, DefinitionsNews, OpenServer, RunningServer, Server, StartStep, Surroundings,
    TlsFiles,
    alerts::{Alerting, Webhook},
    live::{Boards, FramePump, LiveFeed},
};
use store::Store;
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::definitions::{self, Around, Texts, Watch, Watched, source_file};
use crate::{Outcome, args::Serve, output::grouped, settings};

/// How long a look for a signal takes: one that has come is noticed only by waiting for it.
const SIGNAL_LOOK: Duration = Duration::from_millis(1);

/// What a server takes from its surroundings.
#[derive(Clone)]
pub struct House {
    /// The time of day.
    pub now: Arc<dyn Fn() -> UtcMicros + Send + Sync>,
    /// Key of the tokens that stand for identities.
    pub key: [u8; 32],
}

/// Opens the folder, takes events and answers questions until SIGTERM or Ctrl-C, and leaves
/// everything in Parquet.
///
/// # Errors
/// The folder or its log cannot be read, a definition or token is wrong, the address cannot be
/// listened on, or the end was not clean.
pub fn run(args: &Serve) -> Result<Outcome> {
    let house = House {
        now: Arc::new(settings::now),
        key: settings::identity_key(args.identity_key.as_deref())?,
    };
    serve_while(args, &house, |server, signals| {
        announce(args, server);
        Ok(signals.wait())
    })
}

/// Serves while `work` goes on, which returns the name of the signal that ended it.
///
/// # Errors
/// As [`run`], and those of the work; the server is ended cleanly after them too.
pub fn serve_while(
    args: &Serve,
    house: &House,
    work: impl FnOnce(&RunningServer, &mut Signals) -> Result<&'static str>,
) -> Result<Outcome> {
    let mut signals = Signals::listen()?;
    let texts = Texts::read(&args.dirs)?;
    let definitions = texts.load()?;
    let news = DefinitionsNews::new(texts.hash(), (house.now)());
    let mut engine = super::engine_settings(&args.zone, &args.params, &definitions.0)?;
    // Before the data are opened, which may take a while: whoever asks is told so.
    let open = listen(args, house)?;
    let store = Arc::new(Store::create_or_open(&args.data.dir)?);
    engine.spill_dir = Some(spill_folder(&args.data.dir)?);
    let live = match open_live(args, house, &store, &open, &mut signals)? {
        Start::Live(live) => live,
        Start::Ended(name) => {
            eprintln!("{name}: ended before the log was replayed; it keeps what it has");
            open.stop();
            return Ok(Outcome::Clean);
        }
    };
    open.starting().step(StartStep::Preparing);
    let behind = super::open_engine(store, definitions, engine)
        .map(|engine| engine.with_present(present(house, &live)))
        .and_then(|engine| behind_the_doors(args, house, &live, engine, (texts, news)));
    let (pump, backends, watch) = match behind {
        Ok(behind) => behind,
        Err(error) => {
            // Why it does not start is what has to be told, and not what else is in the way.
            if let Err(unclean) = live.shut_down() {
                eprintln!("warning: the end was not clean: {unclean}");
            }
            return Err(error);
        }
    };
    let queries = backends.queries.clone();
    let server = open.serve(backends);
    let worked = work(&server, &mut signals);
    if let Ok(name) = &worked {
        eprintln!("{name}: finishing");
    }
    server.stop();
    drop((watch, pump));
    queries.stop();
    live.shut_down().context("the end was not clean")?;
    worked.map(|_| Outcome::Clean)
}

/// What may be said about the time after the newest event: where events are taken, a quiet hour is one
/// in which nothing happened. Over data that were only brought here nobody knows.
fn present(house: &House, live: &LiveIngest) -> Arc<dyn Fn() -> Present + Send + Sync> {
    let (now, live) = (Arc::clone(&house.now), live.clone());
    Arc::new(move || match live.standing() {
        Standing::Taking => Present::At(now()),
        Standing::Unused | Standing::Stopped => Present::Unknown,
        Standing::Behind => Present::Behind,
    })
}

/// What requests are answered from.
fn behind_the_doors(
    args: &Serve,
    house: &House,
    live: &LiveIngest,
    engine: Engine,
    (texts, news): (Texts, DefinitionsNews),
) -> Result<(FramePump, Backends, Option<Watch>)> {
    // Compiles the definitions: what is wrong with them is known now, and the first question does
    // not wait for it.
    super::block_on(|| async { Ok(engine.stored().await?) })?;
    let queries = QueryService::start(Arc::new(engine), query_limits())?;
    let (rules, around) = rules(args, queries.engine())?;
    let (pump, feed) = live_board(args, house, &queries, &rules)?;
    let around = Around {
        on_boards: feed.boards.kpis(),
        ..around
    };
    let watch = watch(args, house, &queries, (texts, around), &news)?;
    let alerts = alerting(args, rules, &feed)?;
    let backends = Backends {
        sink: Arc::new(live.clone()),
        queries,
        live: feed,
        alerts: Some(alerts),
        definitions: news,
    };
    Ok((pump, backends, watch))
}

/// The folder for what queries cannot keep in memory: in the data folder, which may be the only place
/// that can be written. What a server that was killed left there goes; whoever holds the store is
/// alone in it.
fn spill_folder(data: &Path) -> Result<PathBuf> {
    let folder = data.join("spill");
    let emptied = match std::fs::remove_dir_all(&folder) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error),
        _ => std::fs::create_dir(&folder),
    };
    emptied.with_context(|| format!("cannot empty {}", folder.display()))?;
    Ok(folder)
}

fn announce(args: &Serve, server: &RunningServer) {
    let url = url(args, server.addr());
    let grpc = if args.tls_cert.is_some() {
        "grpc+tls"
    } else {
        "grpc"
    };
    eprintln!("listening on {url}");
    eprintln!("wallboard: {url}/wallboard");
    eprintln!("events: POST {url}/api/v1/events; questions: {url}/api lists the routes");
    if let Some(addr) = server.flight_addr() {
        eprintln!("Arrow Flight SQL: {grpc}://{addr}");
    }
    if args.insecure {
        eprintln!("warning: without TLS, tokens and data are sent as they are");
    }
    eprintln!("an answer to events means: on the disk (durability synced). Ctrl-C ends.");
}

fn url(args: &Serve, addr: SocketAddr) -> String {
    let scheme = if args.tls_cert.is_some() {
        "https"
    } else {
        "http"
    };
    format!("{scheme}://{addr}")
}

fn query_limits() -> QueryLimits {
    QueryLimits {
        memory_bytes: settings::query_memory_bytes(),
        process_bytes_max: settings::process_bytes_max(),
        ..QueryLimits::default()
    }
}

/// What a start came to.
enum Start {
    Live(LiveIngest),
    /// A signal with this name came before.
    Ended(&'static str),
}

/// Takes the log up, tells those who ask how far that is, and ends it at a signal.
fn open_live(
    args: &Serve,
    house: &House,
    store: &Arc<Store>,
    open: &OpenServer,
    signals: &mut Signals,
) -> Result<Start> {
    let live = IngestSettings {
        clock: Arc::clone(&house.now),
        default_source: args.source.as_deref().map(Text::from),
        budget_bytes: args.buffer_mib << 20,
        keep_rejected_days: (args.keep_rejected > 0).then_some(args.keep_rejected),
        keep_days: args.keep,
        ..live_settings(house.key)?
    };
    let starting = open.starting();
    let url = url(args, open.addr());
    let mut ended = None;
    let mut watching = |Replayed { done, all }: Replayed| {
        if done == 0 {
            let rows = grouped(all);
            eprintln!("replaying the log: {rows} row(s); {url}/readyz tells how far it is");
        }
        starting.step(StartStep::Replaying { done, all });
        ended = signals.wait_at_most(SIGNAL_LOOK);
        match ended {
            Some(_) => ControlFlow::Break(()),
            None => ControlFlow::Continue(()),
        }
    };
    let started = LiveIngest::start_watched(Arc::clone(store), live, &mut watching);
    match (started, ended) {
        (Err(LiveError::Interrupted), Some(name)) => Ok(Start::Ended(name)),
        (started, _) => Ok(Start::Live(told(started, &args.data.dir)?)),
    }
}

/// The usual settings of live ingest.
///
/// # Errors
/// The system has no random numbers.
pub fn live_settings(key: [u8; 32]) -> Result<IngestSettings> {
    let key = IdentityKey::new(key);
    Ok(IngestSettings::new(
        key,
        Arc::new(settings::now),
        settings::random()?,
    ))
}

/// Begins live ingest into a store and says what its log had.
///
/// # Errors
/// The log cannot be read.
pub fn start(store: &Arc<Store>, dir: &Path, live: IngestSettings) -> Result<LiveIngest> {
    told(LiveIngest::start(Arc::clone(store), live), dir)
}

/// What a start found, for people.
fn told(started: Result<(LiveIngest, Recovered), LiveError>, dir: &Path) -> Result<LiveIngest> {
    let (live, recovered) =
        started.with_context(|| format!("cannot go on with the log of {}", dir.display()))?;
    if recovered.events > 0 || recovered.cut_bytes > 0 {
        eprintln!(
            "the log had {} event(s) that were not in Parquet; {} byte(s) of an unfinished write \
             were cut",
            grouped(recovered.events),
            grouped(recovered.cut_bytes)
        );
    }
    Ok(live)
}

/// The alert rules, and what else definitions must fit that come later.
fn rules(args: &Serve, engine: &Engine) -> Result<(Arc<AlertRules>, Around)> {
    let rules_file: Option<SourceFile> = args.alerts.as_deref().map(source_file).transpose()?;
    let live = super::block_on(|| async {
        let snapshot = engine.stored().await?;
        Ok(engine::live::possible_kpis(&snapshot)?)
    })?;
    let rules = definitions::rules(rules_file.as_ref(), &engine.catalogue(), &live)?;
    let rules = Arc::new(rules);
    let around = Around {
        params: args.params.clone(),
        on_boards: BTreeSet::new(),
        rules_file,
        rules: Arc::clone(&rules),
    };
    Ok((rules, around))
}

/// Looks after the user's folders of definitions, if there are any.
fn watch(
    args: &Serve,
    house: &House,
    queries: &QueryService,
    (texts, around): (Texts, Around),
    news: &DefinitionsNews,
) -> Result<Option<Watch>> {
    if args.dirs.is_empty() {
        return Ok(None);
    }
    let watched = Watched {
        dirs: args.dirs.clone(),
        texts,
        around,
        engine: Arc::clone(queries.engine()),
        news: news.clone(),
        now: Arc::clone(&house.now),
    };
    Watch::start(watched).map(Some)
}

/// What the live board shows, and what keeps it going.
fn live_board(
    args: &Serve,
    house: &House,
    queries: &QueryService,
    rules: &AlertRules,
) -> Result<(FramePump, LiveFeed)> {
    let engine = queries.engine();
    let boards = Boards::open(args.boards.as_deref(), &engine.catalogue())?;
    // What no board shows may be watched all the same.
    let watched = rules.kpis().into_iter().map(str::to_owned);
    let board = LiveSettings {
        zone: args.zone.clone(),
        kpis: boards.kpis().into_iter().chain(watched).collect(),
        began: (house.now)(),
        // A page counts in floating point: not more bits than it can tell apart.
        epoch: u64::from(u32::from_le_bytes(settings::random()?)),
        ..LiveSettings::default()
    };
    let board = Arc::new(LiveBoard::new(Arc::clone(engine), board)?);
    let (pump, frames) = FramePump::start(board, queries.clone(), Arc::clone(&house.now))?;
    Ok((pump, LiveFeed::new(boards, frames)))
}

/// As asked for, or beside the tokens, or in the user's own folder.
fn device_file(args: &Serve) -> Option<PathBuf> {
    let beside = args
        .token_file
        .as_ref()
        .map(|tokens| tokens.with_file_name("devices"));
    args.device_file.clone().or(beside).or_else(|| {
        let path = settings::device_file()?;
        // Without a folder of the user no screen can be paired, which is no reason not to start.
        std::fs::create_dir_all(path.parent()?).ok()?;
        Some(path)
    })
}

/// Rules and webhooks, over frames of the live board.
fn alerting(args: &Serve, rules: Arc<AlertRules>, feed: &LiveFeed) -> Result<Alerting> {
    Ok(Alerting {
        rules,
        frames: feed.frames.clone(),
        news: feed.alerts.clone(),
        webhooks: Webhook::all(&args.webhooks, args.webhook_ca.as_deref())?,
    })
}

fn listen(args: &Serve, house: &House) -> Result<OpenServer> {
    let mut http = server::Settings::new(args.http);
    http.token_file = args.token_file.clone();
    http.device_file = device_file(args);
    http.insecure = args.insecure;
    http.flight = args.flight;
    http.tls = match (&args.tls_cert, &args.tls_key) {
        (Some(cert), Some(key)) => Some(TlsFiles {
            cert: cert.clone(),
            key: key.clone(),
        }),
        _ => None,
    };
    let surroundings = Surroundings {
        now: Arc::clone(&house.now),
        run_id: u64::from_le_bytes(settings::random()?),
        seed: settings::random()?,
    };
    Ok(Server::open(http, surroundings)?)
}

/// The signals that end a program that runs on.
pub struct Signals {
    runtime: tokio::runtime::Runtime,
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    /// From here on the signals are taken, not obeyed.
    ///
    /// # Errors
    /// The system refuses.
    pub fn listen() -> Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let (terminate, interrupt) = {
            let _inside = runtime.enter();
            (
                signal(SignalKind::terminate())?,
                signal(SignalKind::interrupt())?,
            )
        };
        Ok(Signals {
            runtime,
            terminate,
            interrupt,
        })
    }

    /// Waits for SIGTERM or Ctrl-C and returns its name.
    pub fn wait(&mut self) -> &'static str {
        let (terminate, interrupt) = (&mut self.terminate, &mut self.interrupt);
        self.runtime.block_on(async {
            tokio::select! {
                _ = terminate.recv() => "SIGTERM",
                _ = interrupt.recv() => "Ctrl-C",
            }
        })
    }

    /// As [`Signals::wait`], at most so long; `None` if nothing came.
    pub fn wait_at_most(&mut self, time: Duration) -> Option<&'static str> {
        let (terminate, interrupt) = (&mut self.terminate, &mut self.interrupt);
        let signal = async {
            tokio::select! {
                _ = terminate.recv() => "SIGTERM",
                _ = interrupt.recv() => "Ctrl-C",
            }
        };
        let wait = async { tokio::time::timeout(time, signal).await.ok() };
        self.runtime.block_on(wait)
    }
}

/// Brings what a server left in the log of a folder to Parquet, before something else writes to it.
///
/// # Errors
/// The log cannot be read.
pub fn take_over(store: &Store, dir: &Path) -> Result<()> {
    match ingest::live::recover(store, settings::random()?) {
        Ok(found) if found.events > 0 => {
            eprintln!(
                "took over {} event(s) from the log of a server",
                grouped(found.events)
            );
            Ok(())
        }
        Ok(_) => Ok(()),
        Err(error) => bail!("cannot go on with the log of {}: {error}", dir.display()),
    }
}
