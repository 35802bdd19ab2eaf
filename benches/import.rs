//! Import speed, size on disk, and the limits of this machine beside them.

use std::{
    fs::File,
    io::{BufRead, BufReader, BufWriter, Write},
    path::Path,
    time::Instant,
};

use anyhow::{Context, Result};
use events::{Event, EventData, Intake, UtcMicros};
use facts::{FactRows, FoldSettings, Folder, NoHistory};
use ingest::{IdentityKey, ImportSettings, Importer, formats::Inputs, ndjson::Ndjson};
use sim::{Config, World};
use store::Store;

/// Events per batch of the limit measurements, as in an import.
const BATCH: usize = 131_072;

/// Runs the import benchmark and prints a table.
pub fn run(days: u64, agents: u64) -> Result<()> {
    let dir = tempfile::tempdir()?;
    let file = dir.path().join("voice.ndjson");
    let (count, newest) = write_voice(&file, days, agents)?;
    let bytes = std::fs::metadata(&file)?.len();
    println!(
        "{count} simulated voice events, {days} days, {agents} agents, {} MB",
        bytes / 1_000_000
    );

    let decode = decode_alone(&file, newest)?;
    row("decode, one thread", count, decode);
    let (fold, encode) = encode_alone(&file, newest, &dir.path().join("limit"))?;
    row("fold, one thread", count, fold);
    row("sort + Parquet + sync alone", count, encode);
    let data = dir.path().join("data");
    let import = import(&file, newest, &data)?;
    row("import, durable", count, import);
    let limit = decode + encode;
    println!(
        "import against the sum of decode and encode: {:.2}",
        limit / import
    );
    sizes(&data, count)?;
    println!("peak memory {} MiB", super::peak_mib());
    Ok(())
}

fn row(what: &str, count: u64, seconds: f64) {
    println!(
        "{what:<30} {seconds:>8.2} s {:>12.0} events/s",
        count as f64 / seconds
    );
}

/// Only events of voice contacts: what the size goal speaks of.
fn write_voice(path: &Path, days: u64, agents: u64) -> Result<(u64, UtcMicros)> {
    let config = Config {
        days: u32::try_from(days)?,
        agents: u32::try_from(agents)?,
        ..Config::default()
    };
    let mut out = BufWriter::with_capacity(1 << 20, File::create(path)?);
    let mut others = std::collections::HashSet::new();
    let (mut count, mut newest) = (0, UtcMicros(0));
    for event in World::new(&config)? {
        if !is_voice(&event, &mut others) {
            continue;
        }
        newest = newest.max(event.occurred_at);
        sim::write_ndjson(&event, &mut out)?;
        count += 1;
    }
    out.flush()?;
    Ok((count, newest))
}

/// Is it an event of a voice contact? Ids begin with their contact's id.
fn is_voice(event: &Event, others: &mut std::collections::HashSet<String>) -> bool {
    if let EventData::InteractionStarted(started) = &event.data
        && started.channel != events::Channel::Voice
    {
        others.insert(started.interaction_id.to_string());
    }
    let contact = facts::links(event)
        .as_slice()
        .iter()
        .map(|link| link.id.split('.').next().unwrap_or(link.id).to_owned())
        .find(|id| id.starts_with('c'));
    contact.is_some_and(|id| !others.contains(&id))
}

fn lines(path: &Path) -> Result<impl Iterator<Item = std::io::Result<Vec<u8>>>> {
    Ok(BufReader::with_capacity(1 << 20, File::open(path)?).split(b'\n'))
}

/// What is known of a line before it is read.
pub(crate) fn intake(now: UtcMicros) -> Intake {
    Intake {
        tenant_id: events::DEFAULT_TENANT.into(),
        default_source: None,
        recorded_at: now,
    }
}

fn decode_alone(path: &Path, now: UtcMicros) -> Result<f64> {
    let lines: Vec<Vec<u8>> = lines(path)?.take(1_000_000).collect::<Result<_, _>>()?;
    let intake = intake(now);
    let begin = Instant::now();
    for line in &lines {
        let event = events::decode_line(line, &intake);
        std::hint::black_box(event.map_err(|e| anyhow::anyhow!("{e}"))?);
    }
    let all = self::count(path)? as f64;
    Ok(begin.elapsed().as_secs_f64() * all / lines.len() as f64)
}

fn count(path: &Path) -> Result<usize> {
    Ok(lines(path)?.count())
}

/// Seconds of folding and of storing, apart, batch by batch on this thread.
fn encode_alone(path: &Path, now: UtcMicros, dir: &Path) -> Result<(f64, f64)> {
    let store = Store::create_or_open(dir)?;
    let mut folder = Folder::new(FoldSettings::default());
    let intake = intake(now);
    let (mut fold, mut encode) = (0.0, 0.0);
    let mut batch = Vec::with_capacity(BATCH);
    let mut rest = lines(path)?;
    loop {
        batch.clear();
        for line in rest.by_ref().take(BATCH) {
            let event = events::decode_line(&line?, &intake);
            batch.push(event.map_err(|e| anyhow::anyhow!("{e}"))?);
        }
        if batch.is_empty() {
            return Ok((fold, encode));
        }
        let begin = Instant::now();
        let edit = folder.apply(std::mem::take(&mut batch), &NoHistory)?;
        fold += begin.elapsed().as_secs_f64();
        let checkpoint: Vec<&Event> = folder.checkpoint().collect();
        let begin = Instant::now();
        store.commit(store::Commit {
            edit: &edit,
            quarantine: &[],
            checkpoint: Some(&checkpoint),
            arrived_seq: None,
            mode: store::Mode::Durable,
            recorded_at: now,
        })?;
        encode += begin.elapsed().as_secs_f64();
    }
}

fn import(path: &Path, now: UtcMicros, data: &Path) -> Result<f64> {
    let store = Store::create_or_open(data)?;
    let settings = ImportSettings::new(now, IdentityKey::new([0; 32]));
    let mut importer = Importer::new(&store, settings)?;
    let mut lines = Ndjson::new(Inputs::files(vec![path.to_owned()]), intake(now));
    let begin = Instant::now();
    let report = importer.run(&mut lines, &|| begin.elapsed(), &mut |_| ())?;
    let seconds = begin.elapsed().as_secs_f64();
    anyhow::ensure!(
        report.rejected == 0,
        "{} events were rejected",
        report.rejected
    );
    println!("stages of the import: {:?}", report.stages);
    store.compact(2)?;
    Ok(seconds)
}

/// Bytes per event of the log and of the facts.
fn sizes(data: &Path, count: u64) -> Result<()> {
    let store = Store::open_read_only(data)?;
    let version = store.version();
    let bytes = |name: &str| -> u64 {
        version
            .table(name)
            .map_or(0, |t| t.files.iter().map(|f| f.bytes).sum())
    };
    let log = bytes(store::LOG);
    let facts: u64 = FactRows::TABLES.iter().map(|t| bytes(t.name)).sum();
    let each = |bytes: u64| bytes as f64 / count as f64;
    println!(
        "on disk, bytes an event: log {:.1}, facts {:.1}",
        each(log),
        each(facts)
    );
    version.table(store::LOG).context("the log is empty")?;
    Ok(())
}
