//! `callgauge simulate`: a world as a file.

use std::{
    fs::File,
    io::{BufWriter, Write},
    path::Path,
};

use anyhow::{Context, Result, bail};
use sim::{Config, World, write_ndjson};

use super::post::Poster;
use crate::{
    Outcome,
    args::Simulate,
    output::{grouped, progress},
};

const STEPS: u64 = 1_000;

/// Writes the events, and the simulator's own count of the KPIs if asked for.
pub fn run(args: &Simulate) -> Result<Outcome> {
    let config = Config {
        seed: args.seed,
        days: args.days,
        agents: args.agents,
        ..Config::default()
    };
    let mut world = match args.truth {
        Some(_) => World::with_ledger(&config)?,
        None => World::new(&config)?,
    };
    let target = match (&args.out, &args.post) {
        (Some(path), _) => path.display().to_string(),
        (None, Some(url)) => url.clone(),
        (None, None) => bail!("say where the events go: --out FILE or --post URL"),
    };
    let events = match (&args.out, &args.post) {
        (None, Some(url)) => post_events(&mut world, url, args)?,
        _ => write_events(&mut world, Path::new(&target))?,
    };
    println!("{target}: {} events, seed {}", grouped(events), args.seed);
    if let Some(path) = &args.truth {
        let ledger = world.into_ledger().context("the world keeps no ledger")?;
        let text = serde_json::to_string_pretty(&ledger.to_json())?;
        std::fs::write(path, text + "\n")
            .with_context(|| format!("cannot write {}", path.display()))?;
        println!("{}: the KPIs as the simulator counted them", path.display());
    }
    Ok(Outcome::Clean)
}

/// Events of one request.
const POST_EVENTS: u64 = 1_000;

fn post_events(world: &mut World, url: &str, args: &Simulate) -> Result<u64> {
    let poster = Poster::new(url, args.token_file.as_deref(), args.ca.as_deref())?;
    let bar = progress::bar("sending", STEPS, false);
    let mut lines = Vec::new();
    let mut count = 0_u64;
    while let Some(event) = world.next() {
        write_ndjson(&event, &mut lines)?;
        count += 1;
        if count.is_multiple_of(POST_EVENTS) {
            poster.post(&std::mem::take(&mut lines))?;
            bar.set_position((world.progress() * STEPS as f64) as u64);
        }
    }
    if !lines.is_empty() {
        poster.post(&lines)?;
    }
    bar.finish_and_clear();
    Ok(count)
}

fn write_events(world: &mut World, path: &Path) -> Result<u64> {
    let cannot = || format!("cannot write {}", path.display());
    let mut out = BufWriter::with_capacity(1 << 20, File::create(path).with_context(cannot)?);
    let bar = progress::bar("simulating", STEPS, false);
    let mut count = 0_u64;
    while let Some(event) = world.next() {
        write_ndjson(&event, &mut out).with_context(cannot)?;
        count += 1;
        if count.is_multiple_of(8_192) {
            bar.set_position((world.progress() * STEPS as f64) as u64);
        }
    }
    out.flush().with_context(cannot)?;
    bar.finish_and_clear();
    Ok(count)
}
