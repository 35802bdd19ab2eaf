//! PostgreSQL's patterns of times: `YYYY-MM-DD HH24:MI`.
//!
//! A pattern with a `%` is one of `strftime`. A word that no pattern has is refused: printed as
//! text it would stand in every row, and nobody would be told.

use std::fmt::Write;

use chrono::format::{ParseResult, Parsed, StrftimeItems, parse};
use chrono::{DateTime, Datelike, NaiveDateTime, Timelike, Utc, Weekday};
use datafusion::common::{DataFusionError, Result};

use crate::error::EngineError;
use crate::service::{ErrorKind, QueryError};

const HINT: &str = "the words are YYYY YY MM Mon Month DD DDD Dy Day D ID IDDD IYYY IW WW Q HH24 HH12 HH MI \
                    SS MS US AM PM TZ OF; text stands in double quotes: \"T\"";

/// A pattern as it was written and as chrono reads it.
pub(super) struct Pattern {
    written: String,
    items: String,
}

impl Pattern {
    /// The pattern to read texts by, for a function of that name.
    pub(super) fn of(written: &str, function: &str) -> Result<Pattern> {
        Ok(Pattern {
            written: written.to_owned(),
            items: strftime(written, function)?,
        })
    }

    /// The instant that a text stands for, in microseconds; UTC where it has no offset.
    pub(super) fn read(&self, text: &str, function: &str) -> Result<i64> {
        let why = || format!("does not fit the pattern {}", self.written);
        self.micros(text).map_err(|_| misfit(&why(), function))
    }

    fn micros(&self, text: &str) -> ParseResult<i64> {
        let mut parsed = Parsed::new();
        parse(&mut parsed, text.trim(), StrftimeItems::new(&self.items))?;
        // Seconds since 1970 say everything.
        if parsed.timestamp().is_none() {
            fill_date(&mut parsed)?;
            fill_time(&mut parsed)?;
        }
        match parsed.offset() {
            Some(_) => parsed.to_datetime().map(|t| t.timestamp_micros()),
            None => parsed
                .to_naive_datetime_with_offset(0)
                .map(|t| t.and_utc().timestamp_micros()),
        }
    }
}

/// As PostgreSQL: a year begins in January, a month on its first day, an ISO week on Monday.
fn fill_date(parsed: &mut Parsed) -> ParseResult<()> {
    if parsed.isoweek().is_some() {
        return match parsed.weekday() {
            None => parsed.set_weekday(Weekday::Mon),
            Some(_) => Ok(()),
        };
    }
    let has_year = parsed.year().is_some() || parsed.year_mod_100().is_some();
    let of_year = parsed.ordinal().is_some()
        || parsed.week_from_sun().is_some()
        || parsed.week_from_mon().is_some();
    if has_year && !of_year {
        if parsed.month().is_none() {
            parsed.set_month(1)?;
        }
        if parsed.day().is_none() {
            parsed.set_day(1)?;
        }
    }
    Ok(())
}

/// What is not said is zero; of twelve hours those before noon.
fn fill_time(parsed: &mut Parsed) -> ParseResult<()> {
    match (parsed.hour_div_12(), parsed.hour_mod_12()) {
        (None, None) => parsed.set_hour(0)?,
        (None, Some(_)) => parsed.set_ampm(false)?,
        _ => {}
    }
    match parsed.minute() {
        None => parsed.set_minute(0),
        Some(_) => Ok(()),
    }
}

/// A value of the data is not shown to whoever asks.
pub(super) fn misfit(why: &str, function: &str) -> DataFusionError {
    EngineError::BadValue(format!("{function}: a text {why}")).into()
}

/// A pattern to write times by.
pub(super) struct Writer(Vec<Piece>);

enum Piece {
    Text(String),
    Part {
        part: Part,
        /// As it stands in the pattern: its case is that of a name.
        word: String,
        /// Without zeros and blanks before and behind.
        bare: bool,
    },
}

impl Writer {
    pub(super) fn of(written: &str, function: &str) -> Result<Writer> {
        let mut pieces = Vec::new();
        let mut bare = false;
        for token in Tokens::of(written, Way::Write) {
            match token {
                Token::Text(text) => pieces.push(Piece::Text(text.to_owned())),
                Token::Unknown(word) => return Err(unknown(word, function)),
                Token::Fill => {
                    bare = true;
                    continue;
                }
                Token::Known(known, word) => {
                    if let Some(part) = known.write {
                        let word = word.to_owned();
                        pieces.push(Piece::Part { part, word, bare });
                    }
                }
            }
            bare = false;
        }
        let tells = |piece: &Piece| matches!(piece, Piece::Part { .. });
        if !written.is_empty() && !pieces.iter().any(tells) {
            return Err(unknown(written, function));
        }
        Ok(Writer(pieces))
    }

    /// Appends a time.
    pub(super) fn write(&self, time: DateTime<Utc>, out: &mut String) {
        let time = time.naive_utc();
        for piece in &self.0 {
            match piece {
                Piece::Text(text) => out.push_str(text),
                Piece::Part { part, word, bare } => part.write(&time, word, *bare, out),
            }
        }
    }
}

/// What a word of a pattern writes.
#[derive(Clone, Copy)]
enum Part {
    /// A number with so many digits.
    Number(usize, fn(&NaiveDateTime) -> i64),
    /// A name so wide, by what strftime calls it.
    Name(usize, &'static str),
    /// Times are UTC.
    Zone(&'static str),
}

impl Part {
    fn write(self, time: &NaiveDateTime, word: &str, bare: bool, out: &mut String) {
        let written = match self {
            Part::Number(digits, of) if !bare => write!(out, "{:0digits$}", of(time)),
            Part::Number(_, of) => write!(out, "{}", of(time)),
            Part::Name(width, item) => {
                let width = if bare { 0 } else { width };
                let name = in_case_of(word, &time.format(item).to_string());
                write!(out, "{name:width$}")
            }
            Part::Zone(text) => write!(out, "{}", in_case_of(word, text)),
        };
        debug_assert!(written.is_ok(), "a text takes everything");
    }
}

/// `MONTH`, `Month` and `month` are `MARCH`, `March` and `march`.
fn in_case_of(word: &str, name: &str) -> String {
    let mut letters = word.chars();
    let first = letters.next().is_some_and(|c| c.is_ascii_uppercase());
    let second = letters.next().is_none_or(|c| c.is_ascii_uppercase());
    match (first, second) {
        (true, true) => name.to_uppercase(),
        (true, false) => name.to_owned(),
        (false, _) => name.to_lowercase(),
    }
}

/// A word of PostgreSQL's patterns.
struct Known {
    word: &'static str,
    /// How chrono reads it, if it does.
    read: Option<&'static str>,
    write: Option<Part>,
}

const fn both(word: &'static str, read: &'static str, part: Part) -> Known {
    Known {
        word,
        read: Some(read),
        write: Some(part),
    }
}

const fn reads(word: &'static str, read: &'static str) -> Known {
    Known {
        word,
        read: Some(read),
        write: None,
    }
}

const fn writes(word: &'static str, part: Part) -> Known {
    Known {
        word,
        read: None,
        write: Some(part),
    }
}

/// Longest first, so that a prefix never wins.
const KNOWN: &[Known] = &[
    both("TZH:TZM", "%:z", Part::Zone("+00:00")),
    both("TZHTZM", "%z", Part::Zone("+0000")),
    both("MONTH", "%B", Part::Name(9, "%B")),
    both(
        "IYYY",
        "%G",
        Part::Number(4, |t| i64::from(t.iso_week().year())),
    ),
    both("YYYY", "%Y", Part::Number(4, |t| i64::from(t.year()))),
    both("HH24", "%H", Part::Number(2, |t| i64::from(t.hour()))),
    both("HH12", "%I", Part::Number(2, |t| i64::from(t.hour12().1))),
    writes(
        "IDDD",
        Part::Number(3, |t| {
            let weeks = i64::from(t.iso_week().week0());
            weeks * 7 + i64::from(t.weekday().number_from_monday())
        }),
    ),
    writes(
        "SSSS",
        Part::Number(1, |t| i64::from(t.num_seconds_from_midnight())),
    ),
    both("MON", "%b", Part::Name(0, "%b")),
    both("DDD", "%j", Part::Number(3, |t| i64::from(t.ordinal()))),
    both("DAY", "%A", Part::Name(9, "%A")),
    both("TZH", "%#z", Part::Zone("+00")),
    reads(".US", "%.f"),
    reads(".MS", "%.f"),
    both(
        "YY",
        "%y",
        Part::Number(2, |t| i64::from(t.year().rem_euclid(100))),
    ),
    both("MM", "%m", Part::Number(2, |t| i64::from(t.month()))),
    both("DD", "%d", Part::Number(2, |t| i64::from(t.day()))),
    both("DY", "%a", Part::Name(0, "%a")),
    both("HH", "%I", Part::Number(2, |t| i64::from(t.hour12().1))),
    both("MI", "%M", Part::Number(2, |t| i64::from(t.minute()))),
    both("SS", "%S", Part::Number(2, |t| i64::from(t.second()))),
    both(
        "MS",
        "%3f",
        Part::Number(3, |t| i64::from(t.nanosecond() / 1_000_000)),
    ),
    both(
        "US",
        "%6f",
        Part::Number(6, |t| i64::from(t.nanosecond() / 1_000)),
    ),
    both("AM", "%p", Part::Name(0, "%p")),
    both("PM", "%p", Part::Name(0, "%p")),
    both(
        "ID",
        "%u",
        Part::Number(1, |t| i64::from(t.weekday().number_from_monday())),
    ),
    both(
        "IW",
        "%V",
        Part::Number(2, |t| i64::from(t.iso_week().week())),
    ),
    writes("WW", Part::Number(2, |t| i64::from(t.ordinal0() / 7 + 1))),
    writes("TZ", Part::Zone("UTC")),
    writes("OF", Part::Zone("+00")),
    writes(
        "D",
        Part::Number(1, |t| i64::from(t.weekday().number_from_sunday())),
    ),
    writes("Q", Part::Number(1, |t| i64::from(t.month0() / 3 + 1))),
];

/// A piece of a pattern.
enum Token<'a> {
    Known(&'static Known, &'a str),
    /// `FM`, which is about the word behind it.
    Fill,
    Text(&'a str),
    /// Letters that are no word.
    Unknown(&'a str),
}

/// What a pattern is for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    /// A word that is only written counts here too: `SSSS` must not be read as `SS` and `SS`.
    Read,
    Write,
}

struct Tokens<'a> {
    rest: &'a str,
    way: Way,
}

impl<'a> Tokens<'a> {
    fn of(pattern: &'a str, way: Way) -> Tokens<'a> {
        Tokens { rest: pattern, way }
    }

    fn take(&mut self, bytes: usize) -> &'a str {
        let (head, rest) = self.rest.split_at(bytes);
        self.rest = rest;
        head
    }

    fn begins(&self, word: &str) -> bool {
        let head = self.rest.get(..word.len());
        head.is_some_and(|head| head.eq_ignore_ascii_case(word))
    }

    fn quoted(&mut self) -> &'a str {
        self.take(1);
        let end = self.rest.find('"');
        let text = self.take(end.unwrap_or(self.rest.len()));
        self.take(usize::from(end.is_some()));
        text
    }
}

impl<'a> Iterator for Tokens<'a> {
    type Item = Token<'a>;

    fn next(&mut self) -> Option<Token<'a>> {
        let first = self.rest.chars().next()?;
        if first == '"' {
            return Some(Token::Text(self.quoted()));
        }
        if self.begins("FM") {
            self.take(2);
            return Some(Token::Fill);
        }
        let counts = |known: &&Known| self.way == Way::Read || known.write.is_some();
        let mut known = KNOWN.iter().filter(counts);
        if let Some(known) = known.find(|known| self.begins(known.word)) {
            return Some(Token::Known(known, self.take(known.word.len())));
        }
        // The T of ISO 8601 is written without quotes by everybody.
        if !first.is_ascii_alphabetic() || self.begins("THH24") {
            return Some(Token::Text(self.take(first.len_utf8())));
        }
        let letters = self.rest.find(|c: char| !c.is_ascii_alphanumeric());
        Some(Token::Unknown(
            self.take(letters.unwrap_or(self.rest.len())),
        ))
    }
}

/// The same of a pattern that is a value of the data.
pub(super) fn unknown_in_data(function: &str) -> DataFusionError {
    let message = format!("{function}: a pattern has a word that is no part of a pattern of times");
    let error = QueryError::new(ErrorKind::BadValue, message).with_hint(HINT);
    DataFusionError::External(Box::new(error))
}

fn unknown(word: &str, function: &str) -> DataFusionError {
    let shown: String = word.chars().take(40).collect();
    let message = format!("{function}: `{shown}` is no part of a pattern of times");
    let error = QueryError::new(ErrorKind::SqlSyntax, message).with_hint(HINT);
    DataFusionError::External(Box::new(error))
}

/// A PostgreSQL pattern as chrono reads it; one with a `%` is left as it is.
fn strftime(pattern: &str, function: &str) -> Result<String> {
    if pattern.contains('%') {
        return Ok(pattern.to_owned());
    }
    let mut out = String::with_capacity(pattern.len() * 2);
    for token in Tokens::of(pattern, Way::Read) {
        match token {
            Token::Text(text) => out.push_str(text),
            Token::Unknown(word) => return Err(unknown(word, function)),
            Token::Fill => {}
            Token::Known(known, word) => match known.read {
                Some(read) => out.push_str(read),
                None => return Err(unknown(word, function)),
            },
        }
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn micros(text: &str) -> i64 {
        DateTime::parse_from_rfc3339(text)
            .expect("a time")
            .timestamp_micros()
    }

    fn read(text: &str, pattern: &str) -> Result<i64> {
        Pattern::of(pattern, "to_timestamp")?.read(text, "to_timestamp")
    }

    #[test]
    fn postgres_patterns_are_read() {
        for (text, pattern, wanted) in [
            (
                "2026-01-05 09:30:00.250000",
                "YYYY-MM-DD HH24:MI:SS.US",
                "2026-01-05T09:30:00.25Z",
            ),
            (
                "2026-01-05 09:30:00.2",
                "YYYY-MM-DD HH24:MI:SS.MS",
                "2026-01-05T09:30:00.2Z",
            ),
            ("2026-01-05", "YYYY-MM-DD", "2026-01-05T00:00:00Z"),
            (
                "05/01/2026 09:30 PM",
                "DD/MM/YYYY HH12:MI AM",
                "2026-01-05T21:30:00Z",
            ),
            (
                "05/01/2026 09:30",
                "DD/MM/YYYY HH:MI",
                "2026-01-05T09:30:00Z",
            ),
            (
                "2026-01-05T09:30:00+08:00",
                "YYYY-MM-DD\"T\"HH24:MI:SSTZH:TZM",
                "2026-01-05T01:30:00Z",
            ),
            (
                "05 Jan 2026 09:30",
                "DD Mon YYYY HH24:MI",
                "2026-01-05T09:30:00Z",
            ),
            ("20260105", "%Y%m%d", "2026-01-05T00:00:00Z"),
            ("2026", "YYYY", "2026-01-01T00:00:00Z"),
            ("2026-03", "YYYY-MM", "2026-03-01T00:00:00Z"),
            ("2026-060", "YYYY-DDD", "2026-03-01T00:00:00Z"),
            ("2026-09", "IYYY-IW", "2026-02-23T00:00:00Z"),
            ("2026-09-7", "IYYY-IW-ID", "2026-03-01T00:00:00Z"),
            ("2026-03-01 10", "YYYY-MM-DD HH24", "2026-03-01T10:00:00Z"),
            (
                "2026-03-01 10 PM",
                "YYYY-MM-DD HH12 PM",
                "2026-03-01T22:00:00Z",
            ),
            ("1767571200", "%s", "2026-01-05T00:00:00Z"),
        ] {
            assert_eq!(
                read(text, pattern).ok(),
                Some(micros(wanted)),
                "{text} as {pattern}"
            );
        }
    }

    #[test]
    fn postgres_patterns_are_written() {
        let time = DateTime::from_timestamp_micros(micros("2026-03-01T15:04:05.006007Z"));
        for (pattern, wanted) in [
            ("YYYY-MM-DD", "2026-03-01"),
            ("YYYY-MM-DDTHH24:MI:SS", "2026-03-01T15:04:05"),
            ("HH12:MI:SS.MS am", "03:04:05.006 pm"),
            ("HH.US \"PM\"PM", "03.006007 PMPM"),
            ("DD Mon YY, MON, mon", "01 Mar 26, MAR, mar"),
            ("[Month] [FMMonth] [FMDD]", "[March    ] [March] [1]"),
            ("Day DY D ID DDD", "Sunday    SUN 1 7 060"),
            ("IYYY-\"W\"IW WW Q", "2026-W09 09 1"),
            ("IYYY-IDDD FMIDDD", "2026-063 63"),
            ("YYYY年MM月DD日 TZ OF", "2026年03月01日 UTC +00"),
            ("", ""),
        ] {
            let mut out = String::new();
            let writer =
                Writer::of(pattern, "to_char").unwrap_or_else(|e| panic!("{pattern}: {e}"));
            writer.write(time.expect("a time"), &mut out);
            assert_eq!(out, wanted, "{pattern}");
        }
    }

    #[test]
    fn a_word_that_no_pattern_has_is_refused_not_printed() {
        for pattern in ["yyyy-mm-ddth", "J", "Week Q", "999", "-", "MM at HH24"] {
            let Err(error) = Writer::of(pattern, "to_char") else {
                panic!("{pattern} is taken");
            };
            assert!(
                error.to_string().contains("no part of a pattern"),
                "{pattern}: {error}"
            );
        }
        for pattern in ["YYYY-Q", "IYYY-IDDD", "YYYY-MM-DD SSSS"] {
            assert!(Pattern::of(pattern, "to_date").is_err(), "{pattern}");
        }
    }

    #[test]
    fn unreadable_texts_and_patterns_are_errors_that_name_the_pattern_alone() {
        for (text, pattern) in [
            ("soon", "YYYY"),
            ("2026-13-01", "YYYY-MM-DD"),
            ("09", "MM"),
            ("x1", "%Q"),
        ] {
            let error = read(text, pattern).expect_err(text).to_string();
            let named = error.contains(pattern) && !error.contains(text);
            assert!(named, "{error}");
        }
        assert!(read("", "").is_err());
    }
}
