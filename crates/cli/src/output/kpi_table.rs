//! KPIs as people read them: one line a KPI, its groups side by side, target, status in word and
//! shape, the period before, a small chart. And the same answer as JSON and CSV.

use std::{collections::BTreeMap, io::Write, sync::Arc};

use anyhow::{Context, Result};
use comfy_table::{Cell, CellAlignment, Table, presets};
use engine::{AnsweredKpi, Compare, Engine, Grain, KpiAnswer, KpiRequest, KpiRow, parse_grain};
use events::UtcMicros;
use kpi::{Catalogue, Kpi, Status, UnitKind};
use serde_json::{Map, Value, json};

use super::{Style, Tone, sparkline};
use crate::{
    commands::{Face, ask, bounds},
    lang::{Lang, Word},
};

/// More groups than this do not fit beside each other: they become lines.
const MOST_GROUPS: usize = 9;
/// Points of a small chart, at most.
const MOST_POINTS: usize = 28;
const DAY_MICROS: i64 = 86_400_000_000;

type Dims = Vec<(String, Option<String>)>;

/// A KPI's title in a language.
pub fn title(kpi: &Kpi, lang: Lang) -> &str {
    match lang {
        Lang::En => &kpi.title.en,
        Lang::ZhCn => &kpi.title.zh_cn,
        Lang::ZhTw => &kpi.title.zh_tw,
    }
}

/// What the table shows, asked from the engine: totals, groups, the period before, the trend.
pub struct Board {
    catalogue: Arc<Catalogue>,
    total: KpiAnswer,
    groups: Option<KpiAnswer>,
    trend: Option<KpiAnswer>,
    /// What stands beside each total.
    beside: Option<Word>,
    /// Was that asked for? Then it stands beside groups, too, with the difference.
    asked_beside: bool,
}

impl Board {
    /// Asks for everything that the table shows.
    ///
    /// # Errors
    /// The request is refused, or a query fails.
    pub fn ask(engine: &Engine, request: &KpiRequest) -> Result<Self> {
        let compare = match request.compare {
            None if request.control.is_none() && has_period_before(engine, request)? => {
                Some(Compare::Previous)
            }
            asked => asked,
        };
        let plain = KpiRequest {
            grain: None,
            over: None,
            fill: false,
            by: Vec::new(),
            compare,
            ..request.clone()
        };
        let split = !request.by.is_empty() || request.grain.is_some();
        let trend = match trend_grain(engine, request)? {
            Some(grain) => {
                let plain = KpiRequest {
                    compare: None,
                    control: None,
                    ..plain.clone()
                };
                Some(ask(engine, &with_grain(engine, &plain, grain))?)
            }
            None => None,
        };
        Ok(Board {
            catalogue: engine.catalogue(),
            total: ask(engine, &plain)?,
            groups: split
                .then(|| ask(engine, &splittable(engine, request)))
                .transpose()?,
            trend,
            beside: match &request.control {
                Some(_) => Some(Word::Control),
                None => compare.map(|_| Word::Previous),
            },
            asked_beside: request.compare.is_some() || request.control.is_some(),
        })
    }

    /// The table as text.
    pub fn render(&self, face: Face) -> String {
        let table = match &self.groups {
            Some(groups) if !self.fits(groups) => self.long(groups, face),
            groups => self.wide(groups.as_ref(), face),
        };
        let as_of = format!(
            "as of {} · commit {}",
            self.total.as_of, self.total.revision
        );
        let incomplete = once(
            self.answers()
                .filter_map(|answer| incomplete(answer, face.lang)),
        );
        let below = self.notes().into_iter().chain(incomplete).chain([as_of]);
        below.fold(table.to_string(), |text, line| {
            format!("{text}\n{}", face.style.paint(Tone::Faint, &line))
        })
    }

    /// What kept KPIs from being computed, in the order of the table.
    pub fn failures(&self) -> Vec<String> {
        failures(self.answers())
    }

    fn answers(&self) -> impl Iterator<Item = &KpiAnswer> {
        [&self.total].into_iter().chain(&self.groups)
    }

    /// Why values are missing although there are data.
    fn notes(&self) -> Vec<String> {
        let kpis = self.answers().flat_map(|answer| &answer.kpis);
        once(kpis.filter_map(|kpi| kpi.note.clone()))
    }

    fn fits(&self, groups: &KpiAnswer) -> bool {
        groups.grain.is_none() && groups_of(groups).len() <= MOST_GROUPS
    }

    /// One line a KPI, groups side by side.
    fn wide(&self, groups: Option<&KpiAnswer>, face: Face) -> Table {
        let columns = groups.map(groups_of).unwrap_or_default();
        let word = |w| face.style.paint(Tone::Bold, face.lang.word(w));
        let mut head = vec![word(Word::Kpi)];
        head.extend(
            columns
                .iter()
                .map(|d| face.style.paint(Tone::Bold, &group_name(d, face.lang))),
        );
        head.push(word(if columns.is_empty() {
            Word::Value
        } else {
            Word::Total
        }));
        head.extend(["n".to_owned(), word(Word::Target), word(Word::Status)]);
        head.extend(self.beside.map(word));
        head.extend(self.asked_beside.then(|| DIFFERENCE.to_owned()));
        if self.trend.is_some() {
            head.push(word(Word::Trend));
        }
        let mut table = new_table(head);
        for answered in &self.total.kpis {
            let Some(kpi) = self.catalogue.get(&answered.id) else {
                continue;
            };
            let total = find(&self.total, &kpi.id, &Vec::new());
            let mut cells = vec![Cell::new(title(kpi, face.lang))];
            cells.extend(columns.iter().map(|dims| {
                let row = groups.and_then(|g| find(g, &kpi.id, dims));
                number(kpi, row, face.style)
            }));
            cells.push(total_number(kpi, total));
            cells.push(count(total));
            cells.extend(match &answered.failed {
                Some(why) => failed(why, face),
                None => judged(kpi, total, face),
            });
            cells.extend(self.beside.map(|_| previous(kpi, total)));
            cells.extend(self.asked_beside.then(|| difference(kpi, total)));
            if let Some(trend) = &self.trend {
                cells.push(Cell::new(chart(trend, &kpi.id)));
            }
            table.add_row(cells);
        }
        table
    }

    /// One line a KPI, group and period.
    fn long(&self, groups: &KpiAnswer, face: Face) -> Table {
        let word = |w| face.style.paint(Tone::Bold, face.lang.word(w));
        let names = groups
            .rows
            .first()
            .map(|r| r.dims.as_slice())
            .unwrap_or_default();
        let mut head = vec![word(Word::Kpi)];
        if groups.grain.is_some() {
            head.push(word(Word::From));
        }
        head.extend(
            names
                .iter()
                .map(|(name, _)| face.style.paint(Tone::Bold, name)),
        );
        head.extend([
            word(Word::Value),
            "n".to_owned(),
            word(Word::Target),
            word(Word::Status),
        ]);
        let beside = self.beside.filter(|_| self.asked_beside);
        head.extend(beside.map(word));
        head.extend(beside.map(|_| DIFFERENCE.to_owned()));
        let mut table = new_table(head);
        for row in &groups.rows {
            let Some(kpi) = self.catalogue.get(&row.kpi) else {
                continue;
            };
            let mut cells = vec![Cell::new(title(kpi, face.lang))];
            if groups.grain.is_some() {
                let local = row.period_start.map(|t| local_time(t, &groups.zone));
                cells.push(Cell::new(local.unwrap_or_default()));
            }
            cells.extend(
                row.dims
                    .iter()
                    .map(|(_, v)| Cell::new(shown(v.as_deref(), face.lang))),
            );
            cells.push(total_number(kpi, Some(row)));
            cells.push(count(Some(row)));
            cells.extend(judged(kpi, Some(row), face));
            cells.extend(beside.map(|_| previous(kpi, Some(row))));
            cells.extend(beside.map(|_| difference(kpi, Some(row))));
            table.add_row(cells);
        }
        let keys = usize::from(groups.grain.is_some()) + names.len();
        for (id, why) in groups
            .kpis
            .iter()
            .filter_map(|k| Some((&k.id, k.failed.as_ref()?)))
        {
            let kpi = self.catalogue.get(id);
            let mut cells = vec![Cell::new(kpi.map_or(id.as_str(), |k| title(k, face.lang)))];
            cells.extend((0..keys).map(|_| Cell::new("")));
            cells.extend([right("—".to_owned()), Cell::new("")]);
            cells.extend(failed(why, face));
            table.add_row(cells);
        }
        table
    }
}

/// What kept the KPIs of some answers from being computed, each reason once.
pub fn failures<'a>(answers: impl Iterator<Item = &'a KpiAnswer>) -> Vec<String> {
    let kpis = answers.flat_map(|answer| &answer.kpis);
    once(kpis.filter_map(|kpi| kpi.failed.clone()))
}

/// That the numbers of an answer are not complete, if they are not.
pub fn incomplete(answer: &KpiAnswer, lang: Lang) -> Option<String> {
    answer
        .incomplete_before
        .map(|at| lang.incomplete_before(&at.to_string()))
}

fn once(texts: impl Iterator<Item = String>) -> Vec<String> {
    let mut seen = Vec::new();
    for text in texts {
        if !seen.contains(&text) {
            seen.push(text);
        }
    }
    seen
}

fn new_table(head: Vec<String>) -> Table {
    let mut table = Table::new();
    table
        .load_preset(presets::UTF8_FULL_CONDENSED)
        .set_header(head);
    table
}

fn right(text: String) -> Cell {
    Cell::new(text).set_alignment(CellAlignment::Right)
}

/// The value as people see it, coloured by its own status.
fn number(kpi: &Kpi, row: Option<&KpiRow>, style: Style) -> Cell {
    let Some((row, value)) = row.and_then(|r| Some((r, r.value?))) else {
        return right("—".to_owned());
    };
    let mut text = kpi.unit.format(value);
    if let Some(currency) = &row.currency {
        text = format!("{text} {currency}");
    }
    right(style.paint(tone(row.status), &text))
}

/// The value, and of a sample the interval that the true one is in.
fn total_number(kpi: &Kpi, row: Option<&KpiRow>) -> Cell {
    let cell = number(kpi, row, Style::plain());
    let Some(interval) = row.and_then(|row| row.interval) else {
        return cell;
    };
    let ends = [interval.low, interval.high].map(|end| kpi.unit.format(end));
    right(format!("{} ({} – {})", cell.content(), ends[0], ends[1]))
}

/// How many things a value is about.
fn count(row: Option<&KpiRow>) -> Cell {
    let n = row.and_then(|row| row.n);
    right(n.map_or(String::new(), |n| n.to_string()))
}

/// The value of the period before, or of whichever was asked for.
fn previous(kpi: &Kpi, row: Option<&KpiRow>) -> Cell {
    let previous = row.and_then(|row| row.previous);
    right(previous.map_or("—".to_owned(), |v| kpi.unit.format(v)))
}

/// The column of differences, with the interval of those of shares.
const DIFFERENCE: &str = "Δ (95 %)";

/// The value less what stands beside it; of shares in percentage points, with their interval.
fn difference(kpi: &Kpi, row: Option<&KpiRow>) -> Cell {
    let found = row.and_then(|row| Some((row, row.value? - row.previous?)));
    let Some((row, difference)) = found else {
        return right("—".to_owned());
    };
    let text = signed(kpi, difference);
    right(match row.difference {
        Some(ends) => format!(
            "{text} ({} – {})",
            signed(kpi, ends.low),
            signed(kpi, ends.high)
        ),
        None => text,
    })
}

fn signed(kpi: &Kpi, value: f64) -> String {
    match kpi.unit.kind {
        UnitKind::Ratio => format!("{:+.1} pp", value * 100.0),
        _ if value > 0.0 => format!("+{}", kpi.unit.format(value)),
        _ => kpi.unit.format(value),
    }
}

fn tone(status: Status) -> Tone {
    match status {
        Status::Good => Tone::Good,
        Status::Warn => Tone::Watch,
        Status::Bad => Tone::Bad,
        Status::None | Status::TooFew => Tone::Plain,
    }
}

/// Target, and the status as a shape and a word: colour alone tells nothing to some eyes.
fn judged(kpi: &Kpi, row: Option<&KpiRow>, face: Face) -> [Cell; 2] {
    let target = row
        .and_then(|r| r.target)
        .map_or(String::new(), |t| kpi.unit.format(t));
    let status = row.map_or(Status::None, |r| r.status);
    let (shape, word) = match status {
        Status::Good => ("●", Some(Word::Good)),
        Status::Warn => ("▲", Some(Word::Watch)),
        Status::Bad => ("■", Some(Word::Bad)),
        Status::TooFew => ("○", Some(Word::TooFew)),
        Status::None => ("", None),
    };
    let text = word.map_or(String::new(), |w| format!("{shape} {}", face.lang.word(w)));
    [
        right(target),
        Cell::new(face.style.paint(tone(status), &text)),
    ]
}

/// No target, and in place of the status why there is no number, in one line.
fn failed(why: &str, face: Face) -> [Cell; 2] {
    let reason = why.lines().next().unwrap_or_default();
    let text = face.style.paint(Tone::Bad, &format!("✖ {reason}"));
    [Cell::new(""), Cell::new(text)]
}

fn find<'a>(answer: &'a KpiAnswer, kpi: &str, dims: &Dims) -> Option<&'a KpiRow> {
    answer
        .rows
        .iter()
        .find(|row| row.kpi == kpi && row.dims == *dims)
}

/// The groups of an answer, NULL last.
fn groups_of(answer: &KpiAnswer) -> Vec<Dims> {
    let mut groups: Vec<Dims> = answer.rows.iter().map(|row| row.dims.clone()).collect();
    let key = |dims: &Dims| -> Vec<(bool, Option<String>)> {
        dims.iter().map(|(_, v)| (v.is_none(), v.clone())).collect()
    };
    groups.sort_by_key(key);
    groups.dedup();
    groups
}

fn group_name(dims: &Dims, lang: Lang) -> String {
    dims.iter()
        .map(|(_, v)| shown(v.as_deref(), lang))
        .collect::<Vec<_>>()
        .join(" · ")
}

fn shown(value: Option<&str>, lang: Lang) -> String {
    value.unwrap_or(lang.word(Word::None)).to_owned()
}

fn local_time(at: UtcMicros, zone: &str) -> String {
    let zone: chrono_tz::Tz = zone.parse().unwrap_or(chrono_tz::UTC);
    chrono::DateTime::from_timestamp_micros(at.0).map_or_else(
        || at.to_string(),
        |t| t.with_timezone(&zone).format("%Y-%m-%d %H:%M").to_string(),
    )
}

/// Values over time, squeezed to the width of a cell by leaving out the oldest.
fn chart(trend: &KpiAnswer, kpi: &str) -> String {
    let series: Vec<Option<f64>> = trend
        .series(kpi, &[])
        .into_iter()
        .map(|(_, value)| value)
        .collect();
    sparkline(&series[series.len().saturating_sub(MOST_POINTS)..])
}

/// Hours for up to a day, days for up to a month, else weeks; none for data of an hour.
fn trend_grain(engine: &Engine, request: &KpiRequest) -> Result<Option<Grain>> {
    let (from, to) = range_of(engine, request)?;
    let grain = match to.0 - from.0 {
        span if span <= DAY_MICROS / 24 => return Ok(None),
        span if span <= DAY_MICROS + DAY_MICROS / 24 => "1h",
        span if span <= 31 * DAY_MICROS => "1d",
        _ => "1w",
    };
    Ok(Some(parse_grain(grain)?))
}

/// Is there a period of the same length before, with data from its start on?
fn has_period_before(engine: &Engine, request: &KpiRequest) -> Result<bool> {
    let (Some(from), Some(to)) = (request.from, request.to) else {
        return Ok(false);
    };
    Ok(from.0 - (to.0 - from.0) >= bounds(engine)?.history_start.0)
}

fn range_of(engine: &Engine, request: &KpiRequest) -> Result<(UtcMicros, UtcMicros)> {
    let bounds = bounds(engine)?;
    let from = request.from.unwrap_or(bounds.history_start);
    Ok((from, request.to.unwrap_or(bounds.horizon)))
}

/// The request with the range that the data have, where it needs one and names none.
///
/// # Errors
/// The data cannot be read.
pub fn with_range(engine: &Engine, request: KpiRequest) -> Result<KpiRequest> {
    if request.over.is_none() && request.compare.is_none() && !request.fill {
        return Ok(request);
    }
    let (from, to) = range_of(engine, &request)?;
    Ok(KpiRequest {
        from: Some(from),
        to: Some(to),
        ..request
    })
}

/// The request cut into buckets; KPIs that do not go as fine are left out of the chart.
fn with_grain(engine: &Engine, request: &KpiRequest, grain: Grain) -> KpiRequest {
    let fine = |id: &String| {
        let alone = KpiRequest {
            ids: vec![id.clone()],
            grain: Some(grain),
            ..request.clone()
        };
        ask(engine, &alone).is_ok()
    };
    let ids = if ask(
        engine,
        &KpiRequest {
            grain: Some(grain),
            ..request.clone()
        },
    )
    .is_ok()
    {
        request.ids.clone()
    } else {
        request.ids.iter().filter(|id| fine(id)).cloned().collect()
    };
    // With none left, the request as it is says better what is wrong with it.
    if ids.is_empty() {
        return request.clone();
    }
    KpiRequest {
        ids,
        grain: Some(grain),
        ..request.clone()
    }
}

/// The request without the KPIs that do not have its dimensions: they show their total only.
/// If none has them, the engine says why.
fn splittable(engine: &Engine, request: &KpiRequest) -> KpiRequest {
    let catalogue = engine.catalogue();
    let has = |id: &&String| {
        let kpi = catalogue.get(id);
        kpi.is_some_and(|k| request.by.iter().all(|d| k.dimensions.contains(d)))
    };
    let ids: Vec<String> = request.ids.iter().filter(has).cloned().collect();
    if ids.is_empty() {
        request.clone()
    } else {
        KpiRequest {
            ids,
            ..request.clone()
        }
    }
}

/// The answer as a list of objects; a KPI that could not be computed is one with `error`.
///
/// # Errors
/// Writing fails.
pub fn json(out: &mut impl Write, answer: &KpiAnswer) -> Result<()> {
    serde_json::to_writer_pretty(&mut *out, &objects(answer))?;
    writeln!(out)?;
    Ok(())
}

/// One object a row, by KPI.
fn objects(answer: &KpiAnswer) -> Vec<Value> {
    let of_kpi = |kpi: &AnsweredKpi| -> Vec<Value> {
        let failed = kpi.failed.iter().map(|_| object(answer, kpi, None));
        let own = answer.rows.iter().filter(|row| row.kpi == kpi.id);
        let own = own.map(|row| object(answer, kpi, Some(row)));
        failed.chain(own).collect()
    };
    answer.kpis.iter().flat_map(of_kpi).collect()
}

fn object(answer: &KpiAnswer, kpi: &AnsweredKpi, row: Option<&KpiRow>) -> Value {
    let dims: Map<String, Value> = row
        .map_or(&[][..], |r| &r.dims)
        .iter()
        .map(|(name, value)| (name.clone(), json!(value)))
        .collect();
    let parts = row.map_or(&[][..], |r| &r.parts).iter();
    let parts: BTreeMap<&String, Option<f64>> = parts.map(|(n, v)| (n, *v)).collect();
    json!({
        "kpi": kpi.id,
        "period_start": row.and_then(|r| r.period_start).map(|t| t.to_string()),
        "dims": dims,
        "value": row.and_then(|r| r.value),
        "numerator": row.and_then(|r| r.numerator),
        "denominator": row.and_then(|r| r.denominator),
        "n": row.and_then(|r| r.n),
        "low": row.and_then(|r| r.interval).map(|i| i.low),
        "high": row.and_then(|r| r.interval).map(|i| i.high),
        "parts": parts,
        "unit": kpi.unit.kind.word(),
        "currency": row.and_then(|r| r.currency.clone()),
        "previous": row.and_then(|r| r.previous),
        "difference": row.and_then(|r| Some(r.value? - r.previous?)),
        "difference_low": row.and_then(|r| r.difference).map(|d| d.low),
        "difference_high": row.and_then(|r| r.difference).map(|d| d.high),
        "target": row.and_then(|r| r.target),
        "status": row.map_or(Status::None, |r| r.status).word(),
        "version": kpi.version,
        "definition_hash": kpi.hash,
        "as_of": answer.as_of.to_string(),
        "horizon": answer.horizon.to_string(),
        "matured_to": kpi.matured_to.map(|t| t.to_string()),
        "incomplete_before": answer.incomplete_before.map(|t| t.to_string()),
        "revision": answer.revision,
        "approx": answer.approx,
        "clock": kpi.clock(),
        "params": kpi.params_json(),
        "zone": answer.zone,
        "note": kpi.note,
        "error": kpi.failed,
    })
}

/// The columns of the CSV before and behind the dimensions.
const CSV_BEFORE: [&str; 2] = ["kpi", "period_start"];
const CSV_BEHIND: [&str; 27] = [
    "value",
    "numerator",
    "denominator",
    "n",
    "low",
    "high",
    "unit",
    "currency",
    "previous",
    "difference",
    "difference_low",
    "difference_high",
    "target",
    "status",
    "version",
    "definition_hash",
    "as_of",
    "horizon",
    "matured_to",
    "incomplete_before",
    "revision",
    "approx",
    "clock",
    "params",
    "zone",
    "note",
    "error",
];

/// The answer as CSV with one header line: the fields of the JSON but `parts`, a column for each
/// dimension.
///
/// # Errors
/// Writing fails.
pub fn csv(out: &mut impl Write, answer: &KpiAnswer) -> Result<()> {
    let mut writer = csv::Writer::from_writer(out);
    let first = answer.rows.first();
    let dims: Vec<&str> = first
        .map(|row| row.dims.iter().map(|(name, _)| name.as_str()).collect())
        .unwrap_or_default();
    writer.write_record(CSV_BEFORE.iter().chain(&dims).chain(&CSV_BEHIND))?;
    for row in objects(answer) {
        let behind = CSV_BEHIND.iter().map(|name| cell(&row[*name]));
        let of_dims = dims.iter().map(|name| cell(&row["dims"][*name]));
        let before = CSV_BEFORE.iter().map(|name| cell(&row[*name]));
        writer.write_record(before.chain(of_dims).chain(behind))?;
    }
    writer.flush().context("cannot write")?;
    Ok(())
}

/// A JSON value in a cell: texts without quotes, null as nothing, objects as JSON.
fn cell(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}
