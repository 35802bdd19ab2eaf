//! `callgauge import`: files become events, facts and Parquet.

use std::{path::PathBuf, time::Instant};

use anyhow::{Context, Result, bail};
use events::{DEFAULT_TENANT, Intake, Text, UtcMicros};
use indicatif::ProgressBar;
use ingest::{
    IdentityKey, ImportReport, ImportSettings, Importer, Progress,
    amazon_connect::AmazonConnect,
    asterisk::QueueLogSettings,
    csv_mapping::Mapping,
    formats::{CsvLines, Inputs, QueueLogLines, Unmapped},
    freeswitch::Freeswitch,
    genesys_cloud::GenesysCloud,
    local_time::{self, LocalClock},
    ndjson::Ndjson,
    pipeline::Lines,
    records::{RecordLines, Records, SourceSettings},
    twilio_taskrouter::TwilioTaskrouter,
    zendesk::Zendesk,
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
    let job = Job {
        args,
        now,
        importer: &mut importer,
        bar: &bar,
    };
    let report = job.run(mapping.as_ref(), clock)?;
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

/// One import.
struct Job<'a, 's> {
    args: &'a Import,
    now: UtcMicros,
    importer: &'a mut Importer<'s>,
    bar: &'a ProgressBar,
}

impl Job<'_, '_> {
    fn run(self, mapping: Option<&Mapping>, clock: Option<LocalClock>) -> Result<ImportReport> {
        let source = |usual: &str| SourceSettings {
            tenant_id: DEFAULT_TENANT.into(),
            source: self.args.source.as_deref().unwrap_or(usual).into(),
            recorded_at: self.now,
        };
        match self.args.format {
            InputFormat::Ndjson => {
                let intake = Intake {
                    tenant_id: DEFAULT_TENANT.into(),
                    default_source: self.args.source.as_deref().map(Text::from),
                    recorded_at: self.now,
                };
                drive(
                    self.importer,
                    &mut Ndjson::new(self.inputs(), intake),
                    self.bar,
                )
            }
            InputFormat::AsteriskQueueLog => {
                let settings = queue_log(self.args, self.now, clock);
                let mut lines = QueueLogLines::new(self.inputs(), settings);
                let report = drive(self.importer, &mut lines, self.bar)?;
                print_unmapped(lines.unmapped());
                Ok(report)
            }
            InputFormat::Csv => {
                let mapping = mapping.context("--format csv needs --mapping")?;
                let tenant = DEFAULT_TENANT.into();
                let mut lines = CsvLines::new(self.inputs(), mapping, tenant, self.now);
                drive(self.importer, &mut lines, self.bar)
            }
            InputFormat::AmazonConnect => {
                let format = AmazonConnect::new(source("amazon-connect"));
                self.records(format)
            }
            InputFormat::GenesysCloud => {
                let format = GenesysCloud::new(source("genesys-cloud"));
                self.records(format)
            }
            InputFormat::TwilioTaskrouter => {
                let format = TwilioTaskrouter::new(source("twilio"));
                self.records(format)
            }
            InputFormat::Zendesk => {
                let format = Zendesk::new(source("zendesk"));
                self.records(format)
            }
            InputFormat::Freeswitch => {
                let format = Freeswitch::new(source("freeswitch"));
                self.records(format)
            }
        }
    }

    fn inputs(&self) -> Inputs {
        Inputs::files(self.args.files.clone())
    }

    fn records(self, format: impl Records) -> Result<ImportReport> {
        let mut lines = RecordLines::new(self.inputs(), format);
        let report = drive(self.importer, &mut lines, self.bar)?;
        print_unmapped(lines.unmapped());
        Ok(report)
    }
}

fn print_unmapped(unmapped: &Unmapped) {
    for (kind, count, first) in unmapped.iter() {
        println!(
            "{kind}: {} that mean nothing here, counted only; the first is {}:{}: {}",
            grouped(count),
            first.place.file.as_deref().unwrap_or("input"),
            first.place.line,
            first.text
        );
    }
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
    if path
        .extension()
        .is_some_and(|e| e.eq_ignore_ascii_case("toml"))
    {
        let path = path.display();
        bail!("{path}: a mapping is written in YAML, docs/importers/csv.md has an example");
    }
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
        InputFormat::Ndjson
        | InputFormat::AmazonConnect
        | InputFormat::GenesysCloud
        | InputFormat::TwilioTaskrouter
        | InputFormat::Zendesk
        | InputFormat::Freeswitch => {
            bail!(
                "--zone is for a queue_log: times of this format have an offset, or count from 1970"
            )
        }
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
        let kept = report.by_reason.keys().any(|code| code.is_kept());
        let where_to = if kept { "; see facts.quarantine" } else { "" };
        eprintln!("... and {} more{where_to}", grouped(hidden));
    }
    for (reason, count) in &report.by_reason {
        println!("  {reason}: {}", grouped(*count));
    }
    let taken = report.accepted + report.duplicate + report.rejected;
    if taken == 0 && report.bytes > 0 {
        println!("nothing to store: no record of the input tells of an event");
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
