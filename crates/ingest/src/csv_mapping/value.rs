//! Values of event fields, computed from the cells of one row.

use chrono::{
    NaiveDateTime, NaiveTime,
    format::{Item, Parsed, parse},
};
use events::{Reject, RejectCode, UtcMicros};
use serde_json::{Map, Value as Json};

use crate::local_time::LocalClock;

/// The columns that a mapping uses, each with the place of its first use.
#[derive(Clone, Debug, Default)]
pub(super) struct Columns {
    pub used: Vec<Used>,
}

/// Where a mapping first names a column.
#[derive(Clone, Debug)]
pub(super) struct Used {
    pub name: String,
    pub place: (u64, u64),
    pub key: String,
}

impl Columns {
    /// The slot of a column.
    pub fn slot(&mut self, name: &str, place: (u64, u64), key: &str) -> usize {
        if let Some(slot) = self.used.iter().position(|used| used.name == name) {
            return slot;
        }
        self.used.push(Used {
            name: name.to_owned(),
            place,
            key: key.to_owned(),
        });
        self.used.len() - 1
    }
}

/// One row: what the used columns hold.
#[derive(Debug)]
pub(super) struct Cells<'a> {
    fields: &'a [String],
    /// Position in the row, by slot.
    positions: &'a [usize],
    nulls: &'a [String],
    columns: &'a Columns,
}

impl<'a> Cells<'a> {
    pub fn new(
        fields: &'a [String],
        positions: &'a [usize],
        nulls: &'a [String],
        columns: &'a Columns,
    ) -> Self {
        Cells {
            fields,
            positions,
            nulls,
            columns,
        }
    }

    /// What the column holds, unless it is null.
    pub fn get(&self, slot: usize) -> Option<&'a str> {
        let field = self.fields.get(*self.positions.get(slot)?)?;
        (!self.nulls.contains(field)).then_some(field.as_str())
    }

    fn name(&self, slot: usize) -> &'a str {
        self.columns
            .used
            .get(slot)
            .map_or("", |used| used.name.as_str())
    }

    fn reject(&self, slot: usize, wanted: &str) -> Reject {
        let held = self.get(slot).unwrap_or("");
        let held: String = held.chars().take(80).collect();
        let detail = format!("is not {wanted}: '{held}'");
        Reject::new(RejectCode::BadType, self.name(slot), detail)
    }
}

/// How a field gets its value.
#[derive(Clone, Debug)]
pub(super) enum Value {
    Column(usize),
    Const(Json),
    Concat(Vec<Piece>),
    Map {
        column: usize,
        values: Vec<(String, Json)>,
        other: Option<Json>,
    },
    Integer(usize),
    Boolean {
        column: usize,
        yes: Vec<String>,
        no: Vec<String>,
    },
    Duration(Duration),
    List {
        column: usize,
        separator: String,
    },
    Time(Time),
    FirstOf(Vec<Value>),
    Object(Vec<(String, Value)>),
    Array(Vec<Value>),
}

/// A part of a joined text.
#[derive(Clone, Debug)]
pub(super) enum Piece {
    Column(usize),
    Text(String),
}

/// A duration column.
#[derive(Clone, Debug)]
pub(super) struct Duration {
    pub column: usize,
    pub unit: DurationUnit,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum DurationUnit {
    Milliseconds,
    Seconds,
    Minutes,
    /// `hh:mm:ss`, `mm:ss`, with a fraction if need be.
    Hms,
    /// Seconds, or `hh:mm:ss` where there is a colon.
    Either,
}

/// A moment.
#[derive(Clone, Debug)]
pub(super) enum Time {
    /// Text in the file's time format.
    Text(Vec<Piece>),
    /// The first that is not null.
    FirstOf(Vec<Time>),
    /// A moment and durations after it.
    Add(Box<Time>, Vec<Duration>),
}

/// How the times of a table are written.
#[derive(Clone, Debug)]
pub(super) enum TimeFormat {
    Local {
        items: Vec<Item<'static>>,
        text: String,
        clock: LocalClock,
    },
    Rfc3339,
    EpochSeconds,
    EpochMillis,
}

impl Value {
    /// The value as JSON; null if it has none.
    pub fn eval(&self, cells: &Cells<'_>, format: &TimeFormat) -> Result<Json, Reject> {
        match self {
            Value::Column(column) => Ok(cells.get(*column).into()),
            Value::Const(value) => Ok(value.clone()),
            Value::Concat(pieces) => Ok(concat(pieces, cells).into()),
            Value::Map {
                column,
                values,
                other,
            } => map(*column, values, other.as_ref(), cells),
            Value::Integer(column) => integer(*column, cells),
            Value::Boolean { column, yes, no } => boolean(*column, yes, no, cells),
            Value::Duration(duration) => Ok(duration.millis(cells)?.into()),
            Value::List { column, separator } => Ok(cells.get(*column).map_or(Json::Null, |t| {
                t.split(separator.as_str())
                    .map(str::trim)
                    .filter(|s| !s.is_empty())
                    .collect()
            })),
            Value::Time(time) => Ok(time
                .eval(cells, format)?
                .map_or(Json::Null, |at| at.0.into())),
            Value::FirstOf(values) => first_of(values, cells, format),
            Value::Object(entries) => object(entries, cells, format),
            Value::Array(items) => array(items, cells, format),
        }
    }
}

fn first_of(values: &[Value], cells: &Cells<'_>, format: &TimeFormat) -> Result<Json, Reject> {
    for value in values {
        let value = value.eval(cells, format)?;
        if !value.is_null() {
            return Ok(value);
        }
    }
    Ok(Json::Null)
}

/// The entries that are not null.
pub(super) fn object(
    entries: &[(String, Value)],
    cells: &Cells<'_>,
    format: &TimeFormat,
) -> Result<Json, Reject> {
    let mut map = Map::with_capacity(entries.len());
    for (name, value) in entries {
        let value = value.eval(cells, format)?;
        if !value.is_null() {
            map.insert(name.clone(), value);
        }
    }
    Ok(Json::Object(map))
}

/// The items that are not null: a column without a value leaves its item out, as it leaves out a
/// field. Of nothing but nulls there is no list.
fn array(items: &[Value], cells: &Cells<'_>, format: &TimeFormat) -> Result<Json, Reject> {
    let mut list = Vec::with_capacity(items.len());
    for item in items {
        let value = item.eval(cells, format)?;
        if !value.is_null() {
            list.push(value);
        }
    }
    Ok(if list.is_empty() {
        Json::Null
    } else {
        Json::Array(list)
    })
}

/// The pieces joined; `None` if a column among them is null.
pub(super) fn concat(pieces: &[Piece], cells: &Cells<'_>) -> Option<String> {
    let mut joined = String::new();
    for piece in pieces {
        match piece {
            Piece::Text(text) => joined.push_str(text),
            Piece::Column(column) => joined.push_str(cells.get(*column)?),
        }
    }
    Some(joined)
}

fn map(
    column: usize,
    values: &[(String, Json)],
    other: Option<&Json>,
    cells: &Cells<'_>,
) -> Result<Json, Reject> {
    let Some(held) = cells.get(column) else {
        return Ok(Json::Null);
    };
    let found = values
        .iter()
        .find(|(from, _)| from == held)
        .map(|(_, to)| to);
    found
        .or(other)
        .cloned()
        .ok_or_else(|| cells.reject(column, "in the mapping's `values`"))
}

fn integer(column: usize, cells: &Cells<'_>) -> Result<Json, Reject> {
    let Some(held) = cells.get(column) else {
        return Ok(Json::Null);
    };
    // Spreadsheets write whole numbers as 3.0.
    let whole = held.trim();
    let whole = whole.strip_suffix(".0").unwrap_or(whole);
    let number: i64 = whole
        .parse()
        .map_err(|_| cells.reject(column, "a whole number"))?;
    Ok(number.into())
}

fn boolean(
    column: usize,
    yes: &[String],
    no: &[String],
    cells: &Cells<'_>,
) -> Result<Json, Reject> {
    let Some(held) = cells.get(column) else {
        return Ok(Json::Null);
    };
    let is = |list: &[String]| list.iter().any(|word| word == held);
    match (is(yes), is(no)) {
        (true, _) => Ok(true.into()),
        (_, true) => Ok(false.into()),
        _ => {
            let wanted = format!("one of {} / {}", yes.join(", "), no.join(", "));
            Err(cells.reject(column, &wanted))
        }
    }
}

impl Duration {
    /// Milliseconds, unless the column is null.
    fn millis(&self, cells: &Cells<'_>) -> Result<Option<i64>, Reject> {
        let Some(held) = cells.get(self.column).map(str::trim) else {
            return Ok(None);
        };
        let read = match self.unit {
            DurationUnit::Milliseconds => scaled(held, 1),
            DurationUnit::Seconds => scaled(held, 1_000),
            DurationUnit::Minutes => scaled(held, 60_000),
            DurationUnit::Hms => clock_span(held),
            DurationUnit::Either if held.contains(':') => clock_span(held),
            DurationUnit::Either => scaled(held, 1_000),
        };
        let millis = read.ok_or_else(|| cells.reject(self.column, self.unit.wanted()))?;
        if millis < 0 {
            let detail = format!("is below zero: '{held}'");
            let name = cells.name(self.column);
            return Err(Reject::new(RejectCode::NegativeDuration, name, detail));
        }
        Ok(Some(millis))
    }
}

impl DurationUnit {
    fn wanted(self) -> &'static str {
        match self {
            DurationUnit::Milliseconds => "a number of milliseconds",
            DurationUnit::Seconds => "a number of seconds",
            DurationUnit::Minutes => "a number of minutes",
            DurationUnit::Hms => "a duration as hh:mm:ss",
            DurationUnit::Either => "a number of seconds or hh:mm:ss",
        }
    }
}

/// Exact decimal text times `unit`, cut to whole milliseconds.
fn scaled(text: &str, unit: i64) -> Option<i64> {
    let (negative, digits) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, "0"));
    let all_digits = |s: &str| !s.is_empty() && s.bytes().all(|b| b.is_ascii_digit());
    if !all_digits(whole) || !all_digits(fraction) {
        return None;
    }
    let fraction: i64 = format!("{fraction:0<6}")[..6].parse().ok()?;
    let whole: i64 = whole.parse::<i64>().ok()?.checked_mul(unit)?;
    let millis = whole.checked_add(fraction * unit / 1_000_000)?;
    Some(if negative { -millis } else { millis })
}

/// `hh:mm:ss[.fff]` or `mm:ss`; hours may pass 24.
fn clock_span(text: &str) -> Option<i64> {
    let (negative, text) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    let mut parts = text.split(':').rev();
    let seconds = scaled(parts.next()?, 1_000).filter(|ms| (0..60_000).contains(ms))?;
    let whole = |part: &str| part.parse::<u32>().ok().map(i64::from);
    let minutes = whole(parts.next()?)?;
    let hours = parts.next().map_or(Some(0), whole)?;
    if parts.next().is_some() || minutes > 59 && text.matches(':').count() > 1 {
        return None;
    }
    let millis = (hours * 60 + minutes) * 60_000 + seconds;
    Some(if negative { -millis } else { millis })
}

impl Time {
    /// The moment, unless a column of it is null.
    pub fn eval(
        &self,
        cells: &Cells<'_>,
        format: &TimeFormat,
    ) -> Result<Option<UtcMicros>, Reject> {
        match self {
            Time::Text(pieces) => {
                let Some(text) = concat(pieces, cells) else {
                    return Ok(None);
                };
                let named = pieces.iter().find_map(|piece| match piece {
                    Piece::Column(column) => Some(cells.name(*column)),
                    Piece::Text(_) => None,
                });
                format.read(&text, named.unwrap_or("")).map(Some)
            }
            Time::FirstOf(times) => {
                for time in times {
                    if let Some(at) = time.eval(cells, format)? {
                        return Ok(Some(at));
                    }
                }
                Ok(None)
            }
            Time::Add(time, durations) => {
                let Some(mut at) = time.eval(cells, format)? else {
                    return Ok(None);
                };
                for duration in durations {
                    let Some(millis) = duration.millis(cells)? else {
                        return Ok(None);
                    };
                    at = at.plus_ms(millis);
                }
                Ok(Some(at))
            }
        }
    }
}

impl TimeFormat {
    /// Reads a time of column `column`.
    fn read(&self, text: &str, column: &str) -> Result<UtcMicros, Reject> {
        let text = text.trim();
        let bad = |wanted: &str| {
            let shown: String = text.chars().take(80).collect();
            Reject::new(
                RejectCode::BadType,
                column,
                format!("is not {wanted}: '{shown}'"),
            )
        };
        match self {
            TimeFormat::Local {
                items,
                text: pattern,
                clock,
            } => {
                let local =
                    parse_local(text, items).ok_or_else(|| bad(&format!("a time as {pattern}")))?;
                clock.to_utc(local).map_err(|reject| Reject {
                    field: column.into(),
                    ..reject
                })
            }
            TimeFormat::Rfc3339 => {
                UtcMicros::parse_rfc3339(text).ok_or_else(|| bad("RFC 3339 with an offset"))
            }
            TimeFormat::EpochSeconds => scaled(text, 1_000_000)
                .map(UtcMicros)
                .ok_or_else(|| bad("seconds since 1970")),
            TimeFormat::EpochMillis => scaled(text, 1_000)
                .map(UtcMicros)
                .ok_or_else(|| bad("milliseconds since 1970")),
        }
    }
}

/// A local time; a format without clock time means the start of the day.
fn parse_local(text: &str, items: &[Item<'_>]) -> Option<NaiveDateTime> {
    let mut parsed = Parsed::new();
    parse(&mut parsed, text, items.iter()).ok()?;
    let date = parsed.to_naive_date().ok()?;
    let no_clock = parsed.hour_div_12().is_none()
        && parsed.hour_mod_12().is_none()
        && parsed.minute().is_none();
    let time = if no_clock {
        NaiveTime::MIN
    } else {
        parsed.to_naive_time().ok()?
    };
    Some(date.and_time(time))
}

#[cfg(test)]
impl<'a> Cells<'a> {
    /// Slots are positions, the empty text is null.
    pub fn for_test(fields: &'a [String]) -> Self {
        use std::sync::OnceLock;
        static POSITIONS: [usize; 4] = [0, 1, 2, 3];
        static NULLS: OnceLock<Vec<String>> = OnceLock::new();
        static COLUMNS: OnceLock<Columns> = OnceLock::new();
        Cells {
            fields,
            positions: &POSITIONS,
            nulls: NULLS.get_or_init(|| vec![String::new()]),
            columns: COLUMNS.get_or_init(Columns::default),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_exact_and_may_pass_a_day() {
        assert_eq!(clock_span("00:02:23"), Some(143_000));
        assert_eq!(clock_span("30:00:00.250"), Some(108_000_250));
        assert_eq!(clock_span("75:05"), Some(4_505_000));
        for bad in ["", "1:60", "00:60:00", "1:2:3:4", "a:b", "12"] {
            assert_eq!(clock_span(bad), None, "{bad}");
        }
        assert_eq!(scaled("12.3456", 1_000), Some(12_345));
        assert_eq!(scaled("-5", 1_000), Some(-5_000));
        assert_eq!(scaled("0.1", 60_000), Some(6_000));
        for bad in ["", ".", "1e3", "9223372036854775807", "1,5", "١٢"] {
            assert_eq!(scaled(bad, 1_000), None, "{bad}");
        }
    }
}
