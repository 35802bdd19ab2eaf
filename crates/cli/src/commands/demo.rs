//! `callgauge demo`: a simulated contact centre, stored and measured like a real one, and live.

use std::{
    io::Write,
    iter::{self, Peekable},
    net::TcpListener,
    time::Instant,
};

use anyhow::{Context, Result, bail};
use clap::Parser;
use engine::{Engine, KpiRequest};
use events::{Event, UtcMicros};
use ingest::{IdentityKey, ImportSettings, Importer, formats::Made};
use server::RunningServer;
use sim::{Config, World};
use store::{LOG, Store, content_hash, event_id_hash};

use super::{
    Face, bounds, definitions, engine_settings, import,
    kpi::CORE,
    open_engine,
    post::Poster,
    replay::{self, Clock, replay},
    serve::{House, serve_while, take_over},
};
use crate::{
    Outcome,
    args::{Cli, Command, Demo, Serve},
    output::{Tone, grouped, kpi_table::Board, progress},
    settings,
};

/// The world's customers are made up: there is no identity to protect.
const KEY: [u8; 32] = [0; 32];
/// Days that a live centre goes on after today.
const DAYS_AHEAD: u32 = 366;
/// Days without a demo after which a folder's centre is not taken up again: all of them would have
/// to be simulated first.
const PAUSE_DAYS_MAX: i64 = 60;
const DAY_US: i64 = 86_400_000_000;

/// Simulates, imports, shows, and serves unless told not to.
pub fn run(args: &Demo, face: Face) -> Result<Outcome> {
    let begun = Instant::now();
    if args.no_serve {
        table_only(args, face)?;
        println!("{:.1} s. Try next:", begun.elapsed().as_secs_f64());
        next_commands(args, face)?;
        return Ok(Outcome::Clean);
    }
    let config = config(args);
    // Before minutes of work, not after them.
    for place in [args.http, args.flight] {
        TcpListener::bind(place).with_context(|| {
            format!("cannot listen on {place}: choose other addresses with --http and --flight")
        })?;
    }
    let start = replay::begin(config.zone, settings::now(), args.at)?;
    let store = Store::create_or_open(&args.data.dir)?;
    take_over(&store, &args.data.dir)?;
    let config = live_config(args, &config, &store, start)?;
    let mut world = World::new(&config)?.peekable();
    let newest = bring_in(args, &store, start, &mut world)?;
    drop(store);
    show(args, &config, face)?;
    println!("{:.1} s", begun.elapsed().as_secs_f64());
    go_live(args, &config, newest, &mut world, face)
}

fn config(args: &Demo) -> Config {
    Config {
        seed: args.seed,
        days: args.days,
        agents: args.agents,
        ..Config::default()
    }
}

/// The same days and so the same table for everybody.
fn table_only(args: &Demo, face: Face) -> Result<()> {
    let config = config(args);
    let world = World::new(&config)?;
    let end = world.end();
    let store = Store::create_or_open(&args.data.dir)?;
    take_over(&store, &args.data.dir)?;
    if !is_empty(&store) && !is_of(&store, &config)? {
        return Err(other_data(args));
    }
    bring_in(args, &store, end, &mut world.peekable())?;
    drop(store);
    show(args, &config, face)
}

/// The centre that the folder has, if it is one of this demo's; else one that began so many days
/// ago. It goes on long after today.
fn live_config(args: &Demo, config: &Config, store: &Store, start: UtcMicros) -> Result<Config> {
    let wanted = i64::from(args.days);
    let begun = |days_ago: i64| Config {
        start: UtcMicros(start.0 - days_ago * DAY_US),
        days: u32::try_from(days_ago).unwrap_or(0) + DAYS_AHEAD,
        ..config.clone()
    };
    if is_empty(store) {
        return Ok(begun(wanted));
    }
    for days_ago in 0..=wanted + PAUSE_DAYS_MAX {
        if is_of(store, &begun(days_ago))? {
            return Ok(begun(days_ago));
        }
    }
    Err(other_data(args))
}

fn is_empty(store: &Store) -> bool {
    let version = store.version();
    version.table(LOG).is_none_or(|log| log.rows() == 0)
}

/// Two contact centres in one folder would be told as one.
fn is_of(store: &Store, config: &Config) -> Result<bool> {
    let Some(mut first) = World::new(config)?.next() else {
        return Ok(false);
    };
    IdentityKey::new(KEY).hide(&mut first);
    let ids = store.event_ids(first.occurred_at, first.occurred_at)?;
    let id = event_id_hash(&first.tenant_id, &first.source, &first.event_id);
    Ok(ids.find(id) == Some(content_hash(&first)))
}

fn other_data(args: &Demo) -> anyhow::Error {
    anyhow::anyhow!(
        "{} holds other data than this demo's (seed {}, {} agents): name an empty folder with \
         --data",
        args.data.dir.display(),
        args.seed,
        args.agents
    )
}

/// The world's events up to a moment go the way of any import; a second demo in the same folder
/// adds what has happened since. Gives the time of the last, or the moment if that is later.
fn bring_in(
    args: &Demo,
    store: &Store,
    until: UtcMicros,
    world: &mut Peekable<World>,
) -> Result<UtcMicros> {
    // A demo that ran faster than the clock has been further already.
    let until = store
        .version()
        .recorded_at
        .map_or(until, |newest| newest.max(until));
    let key = IdentityKey::new(KEY);
    let mut importer = Importer::new(store, ImportSettings::new(until, key))?;
    let spinner = progress::spinner("simulating");
    let due = iter::from_fn(|| world.next_if(|event: &Event| event.occurred_at <= until));
    let report = import::drive(&mut importer, &mut Made::new(due), &spinner)?;
    store.compact(2)?;
    spinner.finish_and_clear();
    println!(
        "{} days of a contact centre with {} agents (seed {}): {} events in {}",
        args.days,
        args.agents,
        args.seed,
        grouped(report.accepted + report.duplicate),
        args.data.dir.display()
    );
    Ok(until)
}

fn show(args: &Demo, config: &Config, face: Face) -> Result<()> {
    let store = super::open_to_read(&args.data.dir)?;
    let definitions = definitions(&args.dirs)?;
    let settings = engine_settings(config.zone.name(), &[], &definitions.0)?;
    let engine = open_engine(store, definitions, settings)?;
    println!("{}", board(&engine, config)?.render(face));
    Ok(())
}

fn board(engine: &Engine, config: &Config) -> Result<Board> {
    let bounds = bounds(engine)?;
    let request = KpiRequest {
        ids: CORE.iter().map(|id| (*id).to_owned()).collect(),
        from: Some(bounds.history_start),
        to: Some(bounds.horizon),
        by: vec!["queue_id".to_owned()],
        zone: Some(config.zone.name().to_owned()),
        ..KpiRequest::default()
    };
    Board::ask(engine, &request)
}

/// Serves, and lets the world go on by its own clock, until a signal.
fn go_live(
    args: &Demo,
    config: &Config,
    begin: UtcMicros,
    world: &mut Peekable<World>,
    face: Face,
) -> Result<Outcome> {
    let clock = Clock::start(begin, args.speed);
    let house = House {
        now: clock.shared(),
        key: KEY,
    };
    let serve = serve_args(args, config)?;
    serve_while(&serve, &house, |server, signals| {
        addresses(args, server, face)?;
        let shown = replay::at(config.zone, begin)?.format("%Y-%m-%d %H:%M");
        println!(
            "It is {shown} in {}, at {} times the usual speed. Ctrl-C ends.",
            config.zone.name(),
            args.speed
        );
        let poster = Poster::new(&format!("http://{}", server.addr()), None, None)?;
        replay(world, &clock, &poster, signals)
    })
}

/// As somebody would type them: every other setting has its usual value.
fn serve_args(args: &Demo, config: &Config) -> Result<Serve> {
    let (http, flight) = (args.http.to_string(), args.flight.to_string());
    let words = ["callgauge", "serve", "--http", &http, "--flight", &flight];
    let zone = ["--zone", config.zone.name()];
    let cli = Cli::try_parse_from(words.into_iter().chain(zone))?;
    let Command::Serve(mut serve) = cli.command else {
        bail!("`serve` is another command");
    };
    serve.data = args.data.clone();
    serve.dirs = args.dirs.clone();
    // It listens on this machine only.
    serve.token_file = None;
    Ok(serve)
}

fn addresses(args: &Demo, server: &RunningServer, face: Face) -> Result<()> {
    let sql = format!("callgauge sql --data {}", args.data.dir.display());
    let flight = server.flight_addr().map(|addr| format!("grpc://{addr}"));
    let lines = [
        ("Wallboard:", format!("http://{}/wallboard", server.addr())),
        ("SQL:", sql),
        ("Flight SQL:", flight.unwrap_or_default()),
    ];
    let mut out = std::io::stdout().lock();
    for (title, line) in lines {
        writeln!(out, "{title:<11} {}", face.style.paint(Tone::Bold, &line))?;
    }
    Ok(())
}

fn next_commands(args: &Demo, face: Face) -> Result<()> {
    let data = format!("--data {}", args.data.dir.display());
    let commands = [
        format!("callgauge kpi {data} service_level --by queue_id --grain 1d --zone Asia/Shanghai"),
        format!(
            "callgauge kpi {data} service_level service_level_all_abandons service_level_removed"
        ),
        format!(
            "callgauge sql {data} \"SELECT queue_id, MEASURE(service_level) FROM kpi.queue_visits \
             GROUP BY queue_id\""
        ),
        format!("callgauge sql {data}"),
    ];
    let mut out = std::io::stdout().lock();
    for command in commands {
        writeln!(out, "  {}", face.style.paint(Tone::Bold, &command))?;
    }
    Ok(())
}
