//! The commands, one module each.

mod check;
mod definitions;
mod demo;
mod device;
mod follow;
mod health;
mod import;
mod kpi;
mod post;
mod repair;
mod replay;
mod retain;
mod serve;
mod simulate;
mod sql;
mod token;
mod web;

use std::{
    io::Write,
    path::{Path, PathBuf},
    sync::Arc,
};

use ::kpi::{Catalogue, Targets};
use anyhow::{Context, Result};
use clap::CommandFactory;
use engine::{Engine, KpiAnswer, KpiRequest, Settings};
use store::Store;

use self::definitions::Texts;
use crate::{
    Outcome,
    args::{Cli, Command},
    lang::Lang,
    output::Style,
    settings,
};

/// What every command needs of the command line.
#[derive(Clone, Copy, Debug)]
pub struct Face {
    /// Colours.
    pub style: Style,
    /// Words.
    pub lang: Lang,
}

/// Runs the chosen command.
///
/// # Errors
/// The command could not do its work: wrong usage, refused query, unreadable folder.
pub fn run(cli: &Cli) -> Result<Outcome> {
    let lang = cli.lang.unwrap_or_else(Lang::from_env);
    let face = Face {
        style: Style::new(cli.color),
        lang,
    };
    match &cli.command {
        Command::Demo(args) => demo::run(args, face),
        Command::Simulate(args) => simulate::run(args),
        Command::Import(args) => import::run(args, face),
        Command::Serve(args) => serve::run(args),
        Command::Token(args) => token::run(args),
        Command::Device(args) => device::run(args),
        Command::Health(args) => health::run(args),
        Command::Repair(args) => repair::run(args),
        Command::Retain(args) => retain::run(args),
        Command::Sql(args) => sql::run(args),
        Command::Kpi(args) => kpi::run(args, face),
        Command::Check(args) => check::run(args),
        Command::Completions { shell } => completions(*shell),
    }
}

fn completions(shell: clap_complete::Shell) -> Result<Outcome> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "callgauge", &mut script);
    std::io::stdout().write_all(&script)?;
    Ok(Outcome::Clean)
}

/// The folder's data for reading, beside a writer if there is one.
fn open_to_read(dir: &Path) -> Result<Arc<Store>> {
    let store = Store::open_read_only(dir).map_err(|error| match error {
        store::Error::NoData { path } => anyhow::anyhow!(
            "no data to read in {}: run `callgauge demo` or `callgauge import` first, or name \
             another folder with --data",
            path.display()
        ),
        other => anyhow::Error::new(other).context(format!("cannot read {}", dir.display())),
    })?;
    Ok(Arc::new(store))
}

/// The built-in definitions with those of the user's folders on top.
fn definitions(dirs: &[PathBuf]) -> Result<(Arc<Catalogue>, Arc<Targets>)> {
    Texts::read(dirs)?.load()
}

/// Engine settings from the command line.
fn engine_settings(zone: &str, params: &[String], catalogue: &Catalogue) -> Result<Settings> {
    engine::parse_zone(zone).with_context(|| format!("--zone {zone}"))?;
    Ok(Settings {
        memory_bytes: settings::query_memory_bytes(),
        target_partitions: settings::query_partitions(),
        zone: zone.to_owned(),
        params: definitions::params(params, catalogue)?,
        ..Settings::default()
    })
}

/// An engine over a store.
fn open_engine(
    store: Arc<Store>,
    definitions: (Arc<Catalogue>, Arc<Targets>),
    settings: Settings,
) -> Result<Engine> {
    let (catalogue, targets) = definitions;
    Ok(Engine::new(store, catalogue, settings)?.with_targets(targets))
}

/// Where the engine's data begin and end.
pub fn bounds(engine: &Engine) -> Result<engine::Bounds> {
    block_on(|| async { Ok(engine.snapshot().await?.bounds) })
}

/// The answer to one KPI request.
///
/// # Errors
/// The request is refused, or the query fails.
pub fn ask(engine: &Engine, request: &KpiRequest) -> Result<KpiAnswer> {
    block_on(|| async { Ok(engine.kpi(request).await?) })
}

/// Stack of threads that plan SQL, which may be nested.
const STACK_BYTES: usize = 16 << 20;

/// Runs a query's future: on threads with a stack deep enough for nested SQL.
fn block_on<T, F>(make: impl FnOnce() -> F + Send) -> Result<T>
where
    T: Send,
    F: Future<Output = Result<T>>,
{
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(settings::query_partitions())
        .thread_stack_size(STACK_BYTES)
        .enable_time()
        .build()
        .context("cannot start the query threads")?;
    std::thread::scope(|scope| {
        let worker = std::thread::Builder::new()
            .name("query".to_owned())
            .stack_size(STACK_BYTES)
            .spawn_scoped(scope, || runtime.block_on(make()))
            .context("cannot start the query thread")?;
        worker
            .join()
            .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}
