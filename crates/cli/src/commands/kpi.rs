//! `callgauge kpi`: the KPI table, the list of KPIs, and the check of definitions.

use std::{
    io::{BufWriter, Write, stdout},
    sync::Arc,
};

use anyhow::{Context, Result, anyhow, bail};
use chrono::{NaiveDate, TimeZone};
use comfy_table::{Table, presets};
use engine::{Compare, Control, Engine, Grain, KpiRequest, Over, parse_grain, parse_zone};
use events::UtcMicros;
use kpi::Catalogue;

use super::{Face, ask, block_on, definitions, engine_settings, open_engine, open_to_read};
use crate::{
    Outcome,
    args::{Format, Kpi, KpiCommand, KpiShow},
    lang::Lang,
    output::kpi_table,
};

/// The KPIs that people look at first, shown when none is named.
pub const CORE: &[&str] = &[
    "offered",
    "answered",
    "abandoned",
    "service_level",
    "asa",
    "abandon_rate",
    "avg_wait",
    "longest_wait",
    "handled",
    "aht",
    "avg_talk",
    "avg_hold",
    "avg_acw",
    "transfer_rate",
    "fcr",
    "repeat_rate",
    "csat",
    "nps",
    "ces",
    "valid_order_rate",
    "cost_per_contact",
    "cost_per_valid_order",
];

/// Runs the subcommand, or shows KPIs.
pub fn run(args: &Kpi, face: Face) -> Result<Outcome> {
    match &args.command {
        Some(KpiCommand::Check { dirs }) => check(dirs),
        Some(KpiCommand::Explain { id, dirs }) => explain(id, dirs),
        Some(KpiCommand::List { dirs }) => list(dirs, face.lang),
        None => show(&args.show, face),
    }
}

fn list(dirs: &[std::path::PathBuf], lang: Lang) -> Result<Outcome> {
    let (catalogue, _) = definitions(dirs)?;
    let mut table = Table::new();
    table.load_preset(presets::UTF8_FULL_CONDENSED);
    table.set_header(["KPI", "", "formula"]);
    for kpi in catalogue.iter() {
        table.add_row([
            kpi.id.as_str(),
            kpi_table::title(kpi, lang),
            kpi.formula.as_str(),
        ]);
    }
    writeln!(stdout(), "{table}\n{} KPIs", table.row_iter().count())?;
    Ok(Outcome::Clean)
}

fn explain(id: &str, dirs: &[std::path::PathBuf]) -> Result<Outcome> {
    let (catalogue, _) = definitions(dirs)?;
    let kpi = catalogue.find(id).map_err(|unknown| anyhow!("{unknown}"))?;
    let page = ::kpi::page(&catalogue, kpi, &engine::model_specs()?);
    stdout().write_all(page.as_bytes())?;
    Ok(Outcome::Clean)
}

fn check(dirs: &[std::path::PathBuf]) -> Result<Outcome> {
    let (catalogue, _) = definitions(dirs)?;
    let report = block_on(|| async { Ok(engine::check(&catalogue).await?) })?;
    let mut out = BufWriter::new(stdout().lock());
    for problem in &report.problems {
        writeln!(out, "{problem}")?;
    }
    for kpi in catalogue.iter() {
        let place = &kpi.place;
        for remark in kpi.remarks() {
            let at = format!("{}:{}:{}", place.file, place.line, place.column);
            writeln!(out, "note: {at}: {}: {remark}", kpi.id)?;
        }
    }
    writeln!(
        out,
        "{} KPIs, {} examples with {} numbers, {} problem(s)",
        catalogue.iter().count(),
        report.examples,
        report.numbers,
        report.problems.len()
    )?;
    out.flush()?;
    Ok(if report.problems.is_empty() {
        Outcome::Clean
    } else {
        Outcome::Findings
    })
}

fn show(args: &KpiShow, face: Face) -> Result<Outcome> {
    let definitions = definitions(&args.dirs)?;
    let zone = parse_zone(&args.zone).with_context(|| format!("--zone {}", args.zone))?;
    let mut settings = engine_settings(&args.zone, &args.params, &definitions.0)?;
    settings.as_of = parse_time(args.as_of.as_deref(), zone, "--as-of")?;
    let request = KpiRequest {
        ids: ids(args, &definitions.0)?,
        from: parse_time(args.from.as_deref(), zone, "--from")?,
        to: parse_time(args.to.as_deref(), zone, "--to")?,
        grain: grain(args.grain.as_deref())?,
        over: args
            .rolling
            .map(Over::Buckets)
            .or(args.running.then_some(Over::Start)),
        compare: compare(args.compare.as_deref(), zone)?,
        control: args.control.as_ref().map(|condition| Control {
            filters: vec![condition.clone()],
            ..Control::default()
        }),
        fill: args.fill,
        by: args.by.clone(),
        filters: args.filter.iter().cloned().collect(),
        zone: Some(args.zone.clone()),
        ..KpiRequest::default()
    };
    let engine = open_engine(open_to_read(&args.data.dir)?, definitions, settings)?;
    let request = kpi_table::with_range(&engine, request)?;
    let failures = print(&engine, &request, args, face)?;
    for why in &failures {
        eprintln!("note: {why}");
    }
    Ok(if failures.is_empty() {
        Outcome::Clean
    } else {
        Outcome::Findings
    })
}

/// The ids as asked for, by name or alias; without any, the core ones that can be split that way.
fn ids(args: &KpiShow, catalogue: &Arc<Catalogue>) -> Result<Vec<String>> {
    if args.ids.is_empty() {
        let allowed = |id: &&&str| {
            let kpi = catalogue.get(id);
            kpi.is_some_and(|k| args.by.iter().all(|d| k.dimensions.contains(d)))
        };
        return Ok(CORE
            .iter()
            .filter(allowed)
            .map(|id| (*id).to_owned())
            .collect());
    }
    let find = |id: &String| match catalogue.find(id) {
        Ok(kpi) => Ok(kpi.id.clone()),
        Err(unknown) => bail!("{unknown}"),
    };
    args.ids
        .iter()
        .flat_map(|a| a.split(','))
        .map(|id| find(&id.trim().to_owned()))
        .collect()
}

/// Prints the answer; gives back what kept KPIs from being computed.
fn print(engine: &Engine, request: &KpiRequest, args: &KpiShow, face: Face) -> Result<Vec<String>> {
    let mut out = BufWriter::new(stdout().lock());
    let failures = match args.format {
        Format::Table => {
            let board = kpi_table::Board::ask(engine, request)?;
            writeln!(out, "{}", board.render(face))?;
            board.failures()
        }
        Format::Json | Format::Csv => {
            let answer = ask(engine, request)?;
            match args.format {
                Format::Json => kpi_table::json(&mut out, &answer)?,
                _ => kpi_table::csv(&mut out, &answer)?,
            }
            // A row says so too; a table of one number a month is easily read without its columns.
            if let Some(incomplete) = kpi_table::incomplete(&answer, face.lang) {
                eprintln!("note: {incomplete}");
            }
            kpi_table::failures([&answer].into_iter())
        }
    };
    out.flush()?;
    Ok(failures)
}

fn compare(text: Option<&str>, zone: chrono_tz::Tz) -> Result<Option<Compare>> {
    let parse = |t: &str| Compare::parse(t, zone).with_context(|| format!("--compare {t}"));
    text.map(parse).transpose()
}

fn grain(text: Option<&str>) -> Result<Option<Grain>> {
    let parse = |t: &str| parse_grain(t).with_context(|| format!("--grain {t}"));
    text.map(parse).transpose()
}

/// An instant as RFC 3339, or the start of a day in the zone.
fn parse_time(text: Option<&str>, zone: chrono_tz::Tz, option: &str) -> Result<Option<UtcMicros>> {
    let Some(text) = text else { return Ok(None) };
    if let Some(time) = UtcMicros::parse_rfc3339(text) {
        return Ok(Some(time));
    }
    let usage = || format!("{option} {text}: use 2026-03-02 or 2026-03-02T08:00:00+08:00");
    let day: NaiveDate = text.parse().with_context(usage)?;
    Ok(Some(start_of_day(day, zone).with_context(usage)?))
}

/// The first instant of a local day; a day may begin after midnight where clocks change.
fn start_of_day(day: NaiveDate, zone: chrono_tz::Tz) -> Option<UtcMicros> {
    (0..24 * 4).find_map(|quarter| {
        let local = day.and_hms_opt(quarter / 4, quarter % 4 * 15, 0)?;
        let first = zone.from_local_datetime(&local).earliest()?;
        Some(UtcMicros(first.timestamp_micros()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_without_midnight_begins_when_its_clock_does() {
        let zone: chrono_tz::Tz = "America/Sao_Paulo".parse().unwrap();
        let start = parse_time(Some("2018-11-04"), zone, "--from")
            .unwrap()
            .unwrap();
        assert_eq!(start.to_string(), "2018-11-04T03:00:00Z");
    }

    #[test]
    fn a_time_needs_an_offset_or_is_a_day() {
        let utc = chrono_tz::UTC;
        assert!(parse_time(Some("2026-03-02T08:00:00"), utc, "--from").is_err());
        assert_eq!(parse_time(None, utc, "--from").unwrap(), None);
    }
}
