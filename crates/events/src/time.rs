//! Instants.

use std::{fmt, ops::Range};

use chrono::{DateTime, SecondsFormat, Utc};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Visitor};

use crate::lists::Date;

/// Microseconds since 1970-01-01T00:00:00Z.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct UtcMicros(pub i64);

/// Microseconds in a day.
const DAY: i64 = 86_400_000_000;

impl UtcMicros {
    /// The earliest `occurred_at`: 1980-01-01.
    pub const OCCURRED_MIN: Self = UtcMicros(days_from_civil(1980, 1, 1) * DAY);
    /// The earliest time in `data`: 1900-01-01.
    pub const DATA_MIN: Self = UtcMicros(days_from_civil(1900, 1, 1) * DAY);
    /// One past the latest time in `data`: 2200-01-01.
    pub const DATA_END: Self = UtcMicros(days_from_civil(2200, 1, 1) * DAY);

    /// Reads RFC 3339 with an offset; finer than a microsecond is cut.
    pub fn parse_rfc3339(text: &str) -> Option<Self> {
        parse_utc(text.as_bytes()).or_else(|| {
            let time = DateTime::parse_from_rfc3339(text).ok()?;
            Some(UtcMicros(time.timestamp_micros()))
        })
    }

    /// This instant plus milliseconds.
    pub const fn plus_ms(self, ms: i64) -> Self {
        UtcMicros(self.0.saturating_add(ms.saturating_mul(1_000)))
    }

    /// Whole milliseconds from `earlier` to this instant, cut towards zero; negative if before.
    pub const fn ms_since(self, earlier: Self) -> i64 {
        self.0.saturating_sub(earlier.0) / 1_000
    }
}

/// Days from 1970-01-01 to a day of the Gregorian calendar (Howard Hinnant's algorithm).
const fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468
}

/// Year, month and day of days from 1970-01-01: the way back.
const fn civil_from_days(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let era = days.div_euclid(146_097);
    let day_of_era = days.rem_euclid(146_097);
    let leaps = day_of_era / 1_460 + day_of_era / 146_096 - day_of_era / 36_524;
    let year_of_era = (day_of_era - leaps) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    let year = year_of_era + era * 400 + (month <= 2) as i64;
    (year, month, day)
}

const fn days_in_month(year: i64, month: i64) -> i64 {
    match month {
        4 | 6 | 9 | 11 => 30,
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        _ => 31,
    }
}

/// The usual form `2026-03-02T01:14:02.25Z`, quickly; `None` for any other, valid or not.
fn parse_utc(text: &[u8]) -> Option<UtcMicros> {
    if text.len() < 20 || text[text.len() - 1] != b'Z' {
        return None;
    }
    let shape = [(4, b'-'), (7, b'-'), (10, b'T'), (13, b':'), (16, b':')];
    if shape.iter().any(|&(at, byte)| text[at] != byte) {
        return None;
    }
    let (year, month, day) = (
        digits(text, 0, 4)?,
        digits(text, 5, 7)?,
        digits(text, 8, 10)?,
    );
    let (hour, minute) = (digits(text, 11, 13)?, digits(text, 14, 16)?);
    let second = digits(text, 17, 19)?;
    let real = (1..=12).contains(&month) && (1..=days_in_month(year, month)).contains(&day);
    if !real || hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    let seconds = days_from_civil(year, month, day) * 86_400 + hour * 3_600 + minute * 60 + second;
    Some(UtcMicros(
        seconds * 1_000_000 + fraction(&text[19..text.len() - 1])?,
    ))
}

/// Microseconds in `.25`; zero for nothing.
fn fraction(text: &[u8]) -> Option<i64> {
    let Some((b'.', places)) = text.split_first() else {
        return text.is_empty().then_some(0);
    };
    if places.is_empty() || !places.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let padded = places
        .iter()
        .copied()
        .chain(std::iter::repeat(b'0'))
        .take(6);
    Some(padded.fold(0, |sum, digit| sum * 10 + i64::from(digit - b'0')))
}

fn digits(text: &[u8], from: usize, to: usize) -> Option<i64> {
    text[from..to].iter().try_fold(0, |sum, digit| {
        digit
            .is_ascii_digit()
            .then(|| sum * 10 + i64::from(digit - b'0'))
    })
}

/// An instant of the years 0 to 9999 as text. Every line of JSON has two: a formatter for each number
/// takes longer than all else of a short line.
struct UtcText {
    bytes: [u8; 27],
    len: usize,
}

impl UtcText {
    fn new(at: UtcMicros) -> Option<Self> {
        let (year, month, day) = civil_from_days(at.0.div_euclid(DAY));
        if !(0..=9_999).contains(&year) {
            return None;
        }
        let micros = at.0.rem_euclid(DAY);
        let (seconds, fraction) = (micros / 1_000_000, micros % 1_000_000);
        let mut text = UtcText {
            bytes: *b"0000-00-00T00:00:00.000000Z",
            len: 27,
        };
        text.put(year, 0..4);
        text.put(month, 5..7);
        text.put(day, 8..10);
        text.put(seconds / 3_600, 11..13);
        text.put(seconds / 60 % 60, 14..16);
        text.put(seconds % 60, 17..19);
        match fraction {
            0 => text.end(19),
            _ if fraction % 1_000 == 0 => {
                text.put(fraction / 1_000, 20..23);
                text.end(23);
            }
            _ => text.put(fraction, 20..26),
        }
        Some(text)
    }

    /// Writes a number with as many digits as there are places.
    fn put(&mut self, mut number: i64, places: Range<usize>) {
        for place in self.bytes[places].iter_mut().rev() {
            *place = b'0' + (number % 10) as u8;
            number /= 10;
        }
    }

    fn end(&mut self, at: usize) {
        self.bytes[at] = b'Z';
        self.len = at + 1;
    }

    fn as_str(&self) -> &str {
        std::str::from_utf8(&self.bytes[..self.len]).expect("digits are ASCII")
    }
}

impl fmt::Display for UtcMicros {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(text) = UtcText::new(*self) {
            return f.write_str(text.as_str());
        }
        match DateTime::<Utc>::from_timestamp_micros(self.0) {
            Some(t) => f.write_str(&t.to_rfc3339_opts(SecondsFormat::AutoSi, true)),
            None => write!(f, "{} µs", self.0),
        }
    }
}

impl Serialize for UtcMicros {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        match UtcText::new(*self) {
            Some(text) => s.serialize_str(text.as_str()),
            None => s.collect_str(self),
        }
    }
}

impl<'de> Deserialize<'de> for UtcMicros {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        struct Instant;
        impl Visitor<'_> for Instant {
            type Value = UtcMicros;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a time as RFC 3339 with an offset, or integer microseconds")
            }
            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<UtcMicros, E> {
                UtcMicros::parse_rfc3339(text)
                    .ok_or_else(|| E::invalid_value(serde::de::Unexpected::Str(text), &self))
            }
            fn visit_i64<E>(self, micros: i64) -> Result<UtcMicros, E> {
                Ok(UtcMicros(micros))
            }
            fn visit_u64<E: serde::de::Error>(self, micros: u64) -> Result<UtcMicros, E> {
                i64::try_from(micros).map(UtcMicros).map_err(E::custom)
            }
        }
        d.deserialize_any(Instant)
    }
}

impl fmt::Display for Date {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match chrono::NaiveDate::from_epoch_days(self.0) {
            Some(d) => write!(f, "{d}"),
            None => write!(f, "day {}", self.0),
        }
    }
}

impl Serialize for Date {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Date {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let text = crate::decode::Str::deserialize(d)?.0;
        text.parse::<chrono::NaiveDate>()
            .map(|d| Date(d.to_epoch_days()))
            .map_err(|_| {
                serde::de::Error::invalid_value(serde::de::Unexpected::Str(&text), &"a day")
            })
    }
}

#[cfg(test)]
mod tests {
    use chrono::{Datelike, Timelike};

    use super::*;

    /// As the calendar of another library has it.
    fn by_chrono(at: UtcMicros) -> String {
        let t = DateTime::<Utc>::from_timestamp_micros(at.0).expect("a time that chrono knows");
        let date = format!("{:04}-{:02}-{:02}", t.year(), t.month(), t.day());
        let time = format!("{:02}:{:02}:{:02}", t.hour(), t.minute(), t.second());
        match at.0.rem_euclid(1_000_000) {
            0 => format!("{date}T{time}Z"),
            micros if micros % 1_000 == 0 => format!("{date}T{time}.{:03}Z", micros / 1_000),
            micros => format!("{date}T{time}.{micros:06}Z"),
        }
    }

    #[test]
    fn a_time_is_written_as_the_calendar_has_it_and_read_back() {
        let first = days_from_civil(0, 1, 1);
        let end = days_from_civil(10_000, 1, 1);
        let mut fraction = 1;
        // A day of every month of ten thousand years, each at another time of day.
        for day in (first..end).step_by(28) {
            fraction = (fraction * 48_271) % 2_147_483_647;
            let micros = match day % 3 {
                0 => fraction % 86_400 * 1_000_000,
                1 => fraction % 86_400_000 * 1_000,
                _ => fraction * 41 % DAY,
            };
            let at = UtcMicros(day * DAY + micros);
            let text = at.to_string();
            assert_eq!(text, by_chrono(at));
            assert_eq!(UtcMicros::parse_rfc3339(&text), Some(at));
        }
    }

    #[test]
    fn a_time_of_other_years_is_written_too() {
        let end = days_from_civil(10_000, 1, 1) * DAY;
        assert_eq!(
            UtcMicros(end - 1).to_string(),
            "9999-12-31T23:59:59.999999Z"
        );
        assert_eq!(UtcMicros(end).to_string(), "+10000-01-01T00:00:00Z");
        let first = days_from_civil(0, 1, 1) * DAY;
        assert_eq!(UtcMicros(first).to_string(), "0000-01-01T00:00:00Z");
        assert_eq!(
            UtcMicros(first - 1_000).to_string(),
            "-0001-12-31T23:59:59.999Z"
        );
        assert_eq!(UtcMicros(i64::MAX).to_string(), format!("{} µs", i64::MAX));
    }
}
