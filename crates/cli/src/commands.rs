//! The commands, one module each.

mod check;
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

use ::kpi::{Catalogue, Targets, alert::AlertRules};
use anyhow::{Context, Result, bail};
use clap::CommandFactory;
use engine::{Engine, KpiAnswer, KpiRequest, Settings};
use store::Store;

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
    let store = Store::open_read_only(dir).with_context(|| {
        format!(
            "no data to read in {}: run `callgauge demo` or `callgauge import` first, or name \
             another folder with --data",
            dir.display()
        )
    })?;
    Ok(Arc::new(store))
}

/// The built-in definitions with those of the user's folders on top.
fn definitions(dirs: &[PathBuf]) -> Result<(Arc<Catalogue>, Arc<Targets>)> {
    let models = engine::model_specs()?;
    let mut layers = vec![::kpi::builtin_files()];
    let mut targets = vec![::kpi::builtin_targets()];
    for dir in dirs {
        let (own, own_targets) = files_of(dir)?;
        layers.push(own);
        targets.push(own_targets);
    }
    let catalogue =
        Catalogue::load(&layers, &models).map_err(|p| problems("KPI definitions", &p))?;
    let targets =
        Targets::load(&targets, &catalogue).map_err(|p| problems("KPI definitions", &p))?;
    Ok((Arc::new(catalogue), Arc::new(targets)))
}

/// The alert rules of a file, or the built-in ones: about what a live board of the engine can have.
fn alert_rules(file: Option<&Path>, engine: &Engine) -> Result<AlertRules> {
    let snapshot = block_on(|| async { Ok(engine.snapshot().await?) })?;
    let live = engine::live::possible_kpis(&snapshot)?;
    let catalogue = engine.catalogue();
    let rules = match file {
        None => AlertRules::builtin(catalogue, &live),
        Some(path) => AlertRules::load(&[source_file(path)?], catalogue, &live),
    };
    rules.map_err(|found| problems("alert rules", &found))
}

fn source_file(path: &Path) -> Result<::kpi::SourceFile> {
    let text =
        std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    Ok(::kpi::SourceFile {
        name: path.display().to_string(),
        text,
    })
}

fn problems(of: &str, all: &[::kpi::Problem]) -> anyhow::Error {
    let lines: Vec<String> = all.iter().map(ToString::to_string).collect();
    anyhow::anyhow!("{of} have {} problem(s):\n{}", all.len(), lines.join("\n"))
}

type Files = Vec<::kpi::SourceFile>;

/// KPI files and targets files (`targets.yml`) below a folder, by name.
fn files_of(dir: &Path) -> Result<(Files, Files)> {
    let mut paths = Vec::new();
    collect_yml(dir, &mut paths).with_context(|| format!("cannot read {}", dir.display()))?;
    if paths.is_empty() {
        bail!("no .yml file in {}", dir.display());
    }
    paths.sort();
    let (mut kpis, mut targets) = (Vec::new(), Vec::new());
    for path in paths {
        let file = source_file(&path)?;
        let is_targets = path.file_name().is_some_and(|n| n == "targets.yml");
        if is_targets { &mut targets } else { &mut kpis }.push(file);
    }
    Ok((kpis, targets))
}

fn collect_yml(dir: &Path, paths: &mut Vec<PathBuf>) -> std::io::Result<()> {
    for entry in std::fs::read_dir(dir)? {
        let path = entry?.path();
        if path.is_dir() {
            collect_yml(&path, paths)?;
        } else if path.extension().is_some_and(|e| e == "yml" || e == "yaml") {
            paths.push(path);
        }
    }
    Ok(())
}

/// Engine settings from the command line.
fn engine_settings(zone: &str, params: &[String], catalogue: &Catalogue) -> Result<Settings> {
    engine::parse_zone(zone).with_context(|| format!("--zone {zone}"))?;
    let mut chosen = Settings {
        memory_bytes: settings::query_memory_bytes(),
        target_partitions: settings::query_partitions(),
        zone: zone.to_owned(),
        ..Settings::default()
    };
    for param in params {
        let usage = || format!("--param {param}: write it as KPI.NAME=VALUE");
        let (name, text) = param.split_once('=').with_context(usage)?;
        let (id, name) = name.rsplit_once('.').with_context(usage)?;
        let kpi = catalogue
            .find(id)
            .map_err(|e| anyhow::anyhow!("--param {param}: {e}"))?;
        let definition = kpi
            .params
            .iter()
            .find(|p| p.name == name)
            .with_context(|| {
                let names: Vec<&str> = kpi.params.iter().map(|p| p.name.as_str()).collect();
                format!(
                    "--param {param}: {id} has the parameters [{}]",
                    names.join(", ")
                )
            })?;
        let value = definition
            .parse(text)
            .map_err(|e| anyhow::anyhow!("--param {param}: {e}"))?;
        chosen
            .params
            .entry(kpi.id.clone())
            .or_default()
            .insert(name.to_owned(), value);
    }
    Ok(chosen)
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

/// Runs a query's future: on threads with a stack deep enough for nested SQL.
fn block_on<T, F>(make: impl FnOnce() -> F + Send) -> Result<T>
where
    T: Send,
    F: Future<Output = Result<T>>,
{
    const STACK_BYTES: usize = 16 << 20;
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
