//! `callgauge demo`: a simulated contact centre, stored and measured like a real one.

use std::{io::Write, time::Instant};

use anyhow::{Result, bail};
use engine::{Engine, KpiRequest};
use ingest::{IdentityKey, ImportSettings, Importer, formats::Made};
use sim::{Config, World};
use store::{LOG, Store, content_hash, event_id_hash};

use super::{Face, bounds, definitions, engine_settings, import, kpi::CORE, open_engine};
use crate::{
    Outcome,
    args::Demo,
    output::{Tone, grouped, kpi_table::Board, progress},
};

/// Simulates, imports, shows.
pub fn run(args: &Demo, face: Face) -> Result<Outcome> {
    let begin = Instant::now();
    let config = Config {
        seed: args.seed,
        days: args.days,
        agents: args.agents,
        ..Config::default()
    };
    let (accepted, duplicate) = simulate(args, &config)?;
    let store = super::open_to_read(&args.data.dir)?;
    let definitions = definitions(&[])?;
    let settings = engine_settings(config.zone.name(), &[], &definitions.0)?;
    let engine = open_engine(store, definitions, settings)?;
    println!(
        "{} days of a contact centre with {} agents (seed {}): {} events in {}",
        args.days,
        args.agents,
        args.seed,
        grouped(accepted + duplicate),
        args.data.dir.display()
    );
    println!("{}", board(&engine, &config)?.render(face));
    println!("{:.1} s. Try next:", begin.elapsed().as_secs_f64());
    next_commands(args, face)?;
    Ok(Outcome::Clean)
}

/// The world's events go the way of any import; a second demo in the same folder adds nothing.
fn simulate(args: &Demo, config: &Config) -> Result<(u64, u64)> {
    // The world's customers are made up: there is no identity to protect.
    let key = IdentityKey::new([0; 32]);
    let world = World::new(config)?;
    let recorded_at = world.end();
    let store = Store::create_or_open(&args.data.dir)?;
    super::serve::take_over(&store, &args.data.dir)?;
    refuse_other_data(&store, config, &key, args)?;
    let mut importer = Importer::new(&store, ImportSettings::new(recorded_at, key))?;
    let spinner = progress::spinner("simulating");
    let report = import::drive(&mut importer, &mut Made::new(world), &spinner)?;
    store.compact(2)?;
    spinner.finish_and_clear();
    Ok((report.accepted, report.duplicate))
}

/// Two contact centres in one folder would be told as one.
fn refuse_other_data(store: &Store, config: &Config, key: &IdentityKey, args: &Demo) -> Result<()> {
    let version = store.version();
    let Some(mut first) = World::new(config)?.next() else {
        return Ok(());
    };
    if version.table(LOG).is_none_or(|log| log.rows() == 0) {
        return Ok(());
    }
    key.hide(&mut first);
    let ids = store.event_ids(first.occurred_at, first.occurred_at)?;
    let id = event_id_hash(&first.tenant_id, &first.source, &first.event_id);
    if ids.find(id) == Some(content_hash(&first)) {
        return Ok(());
    }
    bail!(
        "{} holds other data than this demo's (seed {}, {} agents): name an empty folder with \
         --data",
        args.data.dir.display(),
        args.seed,
        args.agents
    )
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
