//! Reference data: what reason and disposition codes mean, and when a place is open.
//!
//! The key is `reason/<code>` or `disposition/<code>`, the value a list such as
//! `class=wismo; root_cause=late carrier; owner=logistics; avoidable=true`. With the key
//! `calendar/<name>` the value is the hours of a [`Week`], with `holiday/<name>/<date>` those of one
//! day ([`DayHours`]). Other keys are kept as events and mean nothing here.

use std::str::FromStr;

use chrono::NaiveDate;
use events::{Event, ReferenceChanged, Text, UtcMicros};
use smol_str::format_smolstr;

use super::dated::{Dated, follow};
use super::{Sink, drafts::Said, gather::Gathered, sink::Flags};
use crate::calendar::{BadHours, DayHours, Week};
use crate::{CalendarHours, CodeMeaning};

/// Adds a row for each time between two changes of one key.
pub(crate) fn reference_rows(g: &Gathered<'_>, sink: &mut Sink<'_>) {
    let codes = dated_rows(g, sink, meaning);
    sink.rows.CodeMeaning.extend(codes);
    let hours = dated_rows(g, sink, hours);
    sink.rows.CalendarHours.extend(hours);
}

fn dated_rows<R: Dated>(
    g: &Gathered<'_>,
    sink: &mut Sink<'_>,
    read: fn(&Said<'_, ReferenceChanged>, &mut Sink<'_>) -> Option<R>,
) -> Vec<R> {
    let mut changes = g.references.clone();
    changes.sort_by_key(|c| c.data.effective_from);
    let mut rows: Vec<R> = Vec::with_capacity(changes.len());
    for change in changes {
        let Some(mut row) = read(&change, sink) else {
            continue;
        };
        if change.data.restate == Some(true) {
            // What was said about the past before counts no more.
            rows.clear();
            let (valid_from, _) = row.span();
            *valid_from = UtcMicros::OCCURRED_MIN.min(*valid_from);
        }
        follow(&mut rows, row);
    }
    rows
}

/// Hours that cannot be read are a row without hours: nobody knows then, and what was said before
/// does not go on.
fn hours(change: &Said<'_, ReferenceChanged>, sink: &mut Sink<'_>) -> Option<CalendarHours> {
    let data = change.data;
    let (kind, name) = data.key.split_once('/')?;
    let (calendar, day, read) = match kind {
        "calendar" => (name, "", week(&data.value)),
        "holiday" => match name.rsplit_once('/') {
            Some((calendar, date)) if is_date(date) => (calendar, date, of_day(&data.value)),
            _ => {
                note_unknown(&data.key, change.event, sink);
                return None;
            }
        },
        _ => return None,
    };
    let (zone, hours) = match read {
        Ok((zone, hours)) => (zone, Some(hours)),
        Err(BadHours(part)) => {
            note_unknown(&part, change.event, sink);
            (None, None)
        }
    };
    Some(CalendarHours {
        common: sink.common(false, Flags::NONE),
        calendar: Text::new(calendar),
        day: Text::new(day),
        valid_from: data.effective_from,
        zone,
        hours,
        ..CalendarHours::default()
    })
}

/// As dates are written everywhere, so that one has one key.
fn is_date(text: &str) -> bool {
    NaiveDate::from_str(text).is_ok_and(|date| date.to_string() == text)
}

type Hours = (Option<Text>, Text);

fn week(text: &str) -> Result<Hours, BadHours> {
    let week = Week::parse(text)?;
    let parts = text.split(';').map(str::trim);
    let hours: Vec<&str> = parts
        .filter(|part| !part.is_empty() && !part.contains('='))
        .collect();
    let hours = match hours.is_empty() {
        true => "mon-sun closed".to_owned(),
        false => hours.join("; "),
    };
    Ok((Some(format_smolstr!("{}", week.zone())), hours.into()))
}

fn of_day(text: &str) -> Result<Hours, BadHours> {
    DayHours::parse(text).map(|_| (None, Text::new(text.trim())))
}

fn meaning(change: &Said<'_, ReferenceChanged>, sink: &mut Sink<'_>) -> Option<CodeMeaning> {
    let (kind, code) = change.data.key.split_once('/')?;
    if !matches!(kind, "reason" | "disposition") {
        return None;
    }
    let mut row = CodeMeaning {
        common: sink.common(false, Flags::NONE),
        kind: Text::new(kind),
        code: Text::new(code),
        valid_from: change.data.effective_from,
        ..CodeMeaning::default()
    };
    for pair in change
        .data
        .value
        .split(';')
        .filter(|p| !p.trim().is_empty())
    {
        if !set(&mut row, pair) {
            note_unknown(pair, change.event, sink);
        }
    }
    Some(row)
}

/// Takes over one `name=value`. Is it one that is known?
fn set(row: &mut CodeMeaning, pair: &str) -> bool {
    let Some((name, value)) = pair.split_once('=') else {
        return false;
    };
    let value = value.trim();
    let text = || Some(Text::new(value));
    let flag = value.parse::<bool>();
    match name.trim() {
        "class" => row.reason_class = text(),
        "root_cause" => row.root_cause = text(),
        "owner" => row.owner_dept = text(),
        "avoidable" => row.avoidable = flag.as_ref().ok().copied(),
        "sales_valid" => row.sales_valid = flag.as_ref().ok().copied(),
        _ => return false,
    }
    !matches!(name.trim(), "avoidable" | "sales_valid") || flag.is_ok()
}

fn note_unknown(pair: &str, event: &Event, sink: &mut Sink<'_>) {
    sink.issue("bad_reference", "part", &Text::new(pair.trim()), event);
}
