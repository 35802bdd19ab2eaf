//! `callgauge import`: files become events, facts and Parquet.

use std::{path::PathBuf, time::Instant};

use anyhow::{Context, Result, bail};
use events::{DEFAULT_TENANT, Intake, Text, UtcMicros};
use indicatif::ProgressBar;
use ingest::{
    IdentityKey, ImportReport, ImportSettings, Importer, Progress,
    asterisk::QueueLogSettings,
    csv_mapping::Mapping,
    formats::{CsvLines, Inputs, QueueLogLines},
    local_time::{self, LocalClock},
    ndjson::Ndjson,
    pipeline::Lines,
};
use store::Store;

use super::Face;
use crate::{
    Outcome,
    args::{Import, InputFormat, MissingHour, RepeatedHour},
    output::{Tone, grouped, progress},
    settings,
};

/// Rejected lines that are printed; the others are in the quarantine.
const SHOWN_REJECTS: usize = 10;

/// Imports the files and reports what became of their lines.
pub fn run(args: &Import, face: Face) -> Result<Outcome> {
    if args.follow {
        return super::follow::run(args, queue_log(args, settings::now(), clock(args)?));
    }
    let total = total_bytes(&args.files)?;
    let key = IdentityKey::new(settings::identity_key(args.identity_key.as_deref())?);
    let mapping = mapping(args)?;
    let clock = clock(args)?;
    let store = Store::create_or_open(&args.data.dir)?;
    super::serve::take_over(&store, &args.data.dir)?;
    let now = settings::now();
    let mut importer = Importer::new(&store, ImportSettings::new(now, key))?;
    let bar = progress::bar("importing", total, true);
    let report = match args.format {
        InputFormat::Ndjson => {
            let intake = Intake {
                tenant_id: DEFAULT_TENANT.into(),
                default_source: args.source.as_deref().map(Text::from),
                recorded_at: now,
            };
            let mut lines = Ndjson::new(Inputs::files(args.files.clone()), intake);
            drive(&mut importer, &mut lines, &bar)?
        }
        InputFormat::AsteriskQueueLog => {
            let mut lines = QueueLogLines::new(
                Inputs::files(args.files.clone()),
                queue_log(args, now, clock),
            );
            let report = drive(&mut importer, &mut lines, &bar)?;
            for (kind, count, first) in lines.unmapped() {
                println!(
                    "{kind}: {} row(s) that mean nothing here, counted only; the first is {}:{}: {}",
                    grouped(count),
                    first.place.file.as_deref().unwrap_or("input"),
                    first.place.line,
                    first.text
                );
            }
            report
        }
        InputFormat::Csv => {
            let mapping = mapping.context("--format csv needs --mapping")?;
            let inputs = Inputs::files(args.files.clone());
            let mut lines = CsvLines::new(inputs, &mapping, DEFAULT_TENANT.into(), now);
            drive(&mut importer, &mut lines, &bar)?
        }
    };
    store.compact(2)?;
    bar.finish_and_clear();
    print(&report, face);
    let clean = report.rejected == 0 || args.allow_rejects;
    Ok(if clean {
        Outcome::Clean
    } else {
        Outcome::Findings
    })
}

fn total_bytes(files: &[PathBuf]) -> Result<u64> {
    let mut total = 0;
    for file in files {
        let about =
            std::fs::metadata(file).with_context(|| format!("cannot read {}", file.display()))?;
        if about.is_dir() {
            bail!("{} is a folder: name the files in it", file.display());
        }
        total += about.len();
    }
    Ok(total)
}

fn mapping(args: &Import) -> Result<Option<Mapping>> {
    let Some(path) = &args.mapping else {
        return Ok(None);
    };
    let text = std::fs::read_to_string(path)
        .with_context(|| format!("cannot read the mapping {}", path.display()))?;
    match Mapping::parse(&path.display().to_string(), &text) {
        Ok(mapping) => Ok(Some(mapping)),
        Err(problems) => {
            let lines: Vec<String> = problems.iter().map(ToString::to_string).collect();
            bail!(
                "the mapping has {} problem(s):\n{}",
                lines.len(),
                lines.join("\n")
            )
        }
    }
}

/// The clock on the wall of a telephone system that writes local times.
fn clock(args: &Import) -> Result<Option<LocalClock>> {
    let Some(zone) = &args.zone else {
        return Ok(None);
    };
    match args.format {
        InputFormat::AsteriskQueueLog => {}
        InputFormat::Csv => bail!("--zone is for a queue_log: a mapping names its zone itself"),
        InputFormat::Ndjson => bail!("--zone is for a queue_log: times of events have an offset"),
    }
    let repeated = match args.repeated_hour {
        RepeatedHour::Earlier => local_time::RepeatedHour::Earlier,
        RepeatedHour::Later => local_time::RepeatedHour::Later,
        RepeatedHour::Reject => local_time::RepeatedHour::Reject,
    };
    let missing = match args.missing_hour {
        MissingHour::Reject => local_time::MissingHour::Reject,
        MissingHour::Shift => local_time::MissingHour::Shift,
    };
    let clock = LocalClock::new(zone, repeated, missing).context("--zone")?;
    Ok(Some(clock))
}

fn queue_log(args: &Import, now: UtcMicros, clock: Option<LocalClock>) -> QueueLogSettings {
    QueueLogSettings {
        tenant_id: DEFAULT_TENANT.into(),
        source: args.source.as_deref().unwrap_or("asterisk").into(),
        recorded_at: now,
        clock,
    }
}

/// Runs an import with its progress on the bar.
pub fn drive<L: Lines + Send>(
    importer: &mut Importer<'_>,
    lines: &mut L,
    bar: &ProgressBar,
) -> Result<ImportReport> {
    let start = Instant::now();
    let mut show = |p: &Progress| {
        bar.set_position(p.bytes);
        bar.set_message(format!("{} events", grouped(p.accepted)));
    };
    Ok(importer.run(lines, &|| start.elapsed(), &mut show)?)
}

fn print(report: &ImportReport, face: Face) {
    for error in report.first_errors.iter().take(SHOWN_REJECTS) {
        let file = error.place.file.as_deref().unwrap_or("input");
        let mark = face.style.paint(Tone::Bad, "rejected:");
        eprintln!("{mark} {file}:{}: {}", error.place.line, error.reject);
    }
    let hidden = report.rejected.saturating_sub(SHOWN_REJECTS as u64);
    if hidden > 0 {
        eprintln!("... and {} more; see facts.quarantine", grouped(hidden));
    }
    for (reason, count) in &report.by_reason {
        println!("  {reason}: {}", grouped(*count));
    }
    println!(
        "accepted {} · duplicate {} · rejected {} · {} commit(s) in {:.1} s",
        grouped(report.accepted),
        grouped(report.duplicate),
        grouped(report.rejected),
        grouped(report.commits),
        report.stages.total.as_secs_f64()
    );
}
