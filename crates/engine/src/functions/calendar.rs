//! Calendar buckets: which quarter hour, hour, day, week or month of a time zone an instant is in.
//!
//! Buckets of one grain cut the time line into half-open intervals without gap or overlap, so
//! every instant has exactly one bucket and counts of days add up to the count of the whole.
//!
//! * Days, weeks and longer begin at the first local midnight that no earlier date follows. A day
//!   may last 23, 24.5 or 25 hours; where midnight is skipped it begins when the clock has jumped;
//!   a date that was skipped whole (Apia, 2011-12-30) has no bucket. Weeks begin on Monday.
//! * Up to an hour, buckets follow the wall clock and end where the clock is changed: the hour
//!   that is shown twice is two buckets, and a half-hour shift (Lord Howe) cuts an hour in two.
//!
//! Offsets are those of the IANA data from 1970 to 2099; times before and after take the first
//! and the last of them. No instant is an error.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock, PoisonError, RwLock};

use chrono::{DateTime, Offset, TimeZone};
use chrono_tz::Tz;
pub use kpi::Bucket as Grain;

const SECOND: i64 = 1_000_000;
const MINUTE: i64 = 60 * SECOND;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;
/// More than any offset from UTC, and than any change of one.
const OFFSET_MAX: i64 = 26 * HOUR;
/// Instants beyond this (some 126,000 years) are treated as this one, so that sums cannot wrap.
const FAR: i64 = 4_000_000_000_000_000_000;
/// Days of 1970-01-01 and 2100-01-01: offsets are looked up between them.
const TABLE_DAYS: std::ops::Range<i64> = 0..47_482;

/// A text that names no grain or no zone; displayed to the user.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CalendarError {
    /// Not a grain.
    #[error("`{0}` is not a bucket size; use one of 15m, 30m, 1h, 1d, 1w, 1mo, 1q, 1y")]
    Grain(String),
    /// Not a zone.
    #[error("`{0}` is not a time zone; use an IANA name such as Asia/Shanghai")]
    Zone(String),
}

/// Reads `15m`, `30 minutes`, `hour`, `1 day`, `1w`, `month` and the like, in any case.
pub fn parse_grain(text: &str) -> Result<Grain, CalendarError> {
    let lower = text.trim().to_ascii_lowercase();
    let unit_at = lower
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(lower.len());
    let (number, unit) = lower.split_at(unit_at);
    let grain = match (number, unit.trim()) {
        ("15", "m" | "min" | "mins" | "minute" | "minutes") => Grain::M15,
        ("30", "m" | "min" | "mins" | "minute" | "minutes") => Grain::M30,
        ("60", "m" | "min" | "mins" | "minute" | "minutes") => Grain::H1,
        ("" | "1", "h" | "hr" | "hour" | "hours") => Grain::H1,
        ("" | "1", "d" | "day" | "days") => Grain::D1,
        ("" | "1", "w" | "week" | "weeks") => Grain::W1,
        ("" | "1", "mo" | "mon" | "month" | "months") => Grain::Mo1,
        ("" | "1", "q" | "quarter" | "quarters") | ("3", "mo" | "months") => Grain::Q1,
        ("" | "1", "y" | "year" | "years") | ("12", "mo" | "months") => Grain::Y1,
        _ => return Err(CalendarError::Grain(text.to_owned())),
    };
    Ok(grain)
}

/// Reads the IANA name of a zone, such as `Asia/Kathmandu` or `UTC`.
pub fn parse_zone(name: &str) -> Result<Tz, CalendarError> {
    name.trim()
        .parse()
        .map_err(|_| CalendarError::Zone(name.to_owned()))
}

/// A stretch of time, start included, end not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bucket {
    /// First microsecond.
    pub start: i64,
    /// First microsecond after it.
    pub end: i64,
}

impl Bucket {
    fn contains(&self, t: i64) -> bool {
        self.start <= t && t < self.end
    }
}

/// A stretch of time with one offset from UTC.
#[derive(Clone, Copy, Debug)]
struct Span {
    start: i64,
    end: i64,
    offset: i64,
}

/// The buckets of one grain in one zone. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Calendar {
    grain: Grain,
    spans: Arc<[Span]>,
}

impl Calendar {
    /// The calendar of `zone`, cut by `grain`.
    pub fn new(grain: Grain, zone: Tz) -> Self {
        Calendar {
            grain,
            spans: spans_of(zone),
        }
    }

    /// The bucket that the instant `t` (UTC microseconds) is in.
    pub fn bucket(&self, t: i64) -> Bucket {
        let t = t.clamp(-FAR, FAR);
        let span = self.span_at(t);
        match self.grain {
            Grain::M15 => within_span::<{ 15 * MINUTE }>(span, t),
            Grain::M30 => within_span::<{ 30 * MINUTE }>(span, t),
            Grain::H1 => within_span::<HOUR>(span, t),
            _ => self.calendar_bucket(span, t),
        }
    }

    /// Starts of the buckets that overlap `from..to`, in order; the first may lie before `from`.
    pub fn starts(&self, from: i64, to: i64) -> impl Iterator<Item = i64> + '_ {
        let first = (from < to).then(|| self.bucket(from));
        std::iter::successors(first, move |b| (b.end < to).then(|| self.bucket(b.end)))
            .map(|b| b.start)
    }

    /// The first instant from which on the wall clock shows `local` (microseconds since
    /// 1970-01-01 00:00 of the wall clock) or later for good.
    pub fn when_local(&self, local: i64) -> i64 {
        self.first_instant(local.clamp(-FAR, FAR))
    }

    /// Replaces every instant by the start of its bucket. Rows in time order cost a comparison.
    pub fn start_all(&self, times: &[i64]) -> Vec<i64> {
        let mut now = Bucket { start: 0, end: 0 };
        let start = |&t: &i64| {
            if !now.contains(t) {
                now = self.bucket(t);
            }
            now.start
        };
        times.iter().map(start).collect()
    }

    fn span_at(&self, t: i64) -> Span {
        self.spans[self
            .spans
            .partition_point(|s| s.end <= t)
            .min(self.spans.len() - 1)]
    }

    fn calendar_bucket(&self, span: Span, t: i64) -> Bucket {
        let (mut local, local_end) = local_bucket(self.grain, t + span.offset);
        let (start, end) = (local - span.offset, local_end - span.offset);
        if span.start <= start - OFFSET_MAX && end + OFFSET_MAX <= span.end {
            return Bucket { start, end };
        }
        let (mut start, mut end) = (self.first_instant(local), self.first_instant(local_end));
        // The clock showed this date and was then put back over midnight: it is still the day
        // before until the date is shown for good.
        while t < start {
            end = start;
            local = local_bucket(self.grain, local - 1).0;
            start = self.first_instant(local);
        }
        Bucket { start, end }
    }

    /// The end of the last stretch in which the wall clock shows less than `local`.
    fn first_instant(&self, local: i64) -> i64 {
        let first = self.spans.partition_point(|s| s.end <= local - OFFSET_MAX);
        self.spans[first.min(self.spans.len() - 1)..]
            .iter()
            .take_while(|s| s.start < local + OFFSET_MAX)
            .filter(|s| s.start < local - s.offset)
            .map(|s| s.end.min(local - s.offset))
            .max()
            .unwrap_or(local)
    }
}

fn within_span<const SIZE: i64>(span: Span, t: i64) -> Bucket {
    let local = t + span.offset;
    let start = local - local.rem_euclid(SIZE) - span.offset;
    // What the clock would show on either side of a change of offset is another bucket.
    Bucket {
        start: start.max(span.start),
        end: (start + SIZE).min(span.end),
    }
}

/// Wall-clock start and end of the bucket, for grains of a day and more.
fn local_bucket(grain: Grain, local: i64) -> (i64, i64) {
    let day = local.div_euclid(DAY);
    let (first, next) = match grain {
        // 1970-01-05 was a Monday.
        Grain::W1 => {
            let monday = day - (day - 4).rem_euclid(7);
            (monday, monday + 7)
        }
        Grain::Mo1 => months(day, 1),
        Grain::Q1 => months(day, 3),
        Grain::Y1 => months(day, 12),
        _ => (day, day + 1),
    };
    (first * DAY, next * DAY)
}

/// First day of the run of `size` months that `day` is in, and of the next run.
fn months(day: i64, size: i64) -> (i64, i64) {
    let month = month_of_day(day);
    let first = month - month.rem_euclid(size);
    (first_day_of_month(first), first_day_of_month(first + size))
}

/// Months since January of the year 0, of a day counted from 1970-01-01 (Gregorian for ever;
/// the algorithm is Howard Hinnant's `civil_from_days`, whose year begins in March).
fn month_of_day(day: i64) -> i64 {
    let z = day + 719_468;
    let era = z.div_euclid(146_097);
    let day_of_era = z.rem_euclid(146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    (era * 400 + year_of_era) * 12 + month_from_march + 2
}

/// The inverse of [`month_of_day`] for the first of a month.
fn first_day_of_month(month: i64) -> i64 {
    let from_march = month - 2;
    let (year, month_from_march) = (from_march.div_euclid(12), from_march.rem_euclid(12));
    let (era, year_of_era) = (year.div_euclid(400), year.rem_euclid(400));
    let day_of_year = (153 * month_from_march + 2) / 5;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468
}

/// The offsets of a zone, looked up once in the life of the process: the data never change.
fn spans_of(zone: Tz) -> Arc<[Span]> {
    static KNOWN: LazyLock<RwLock<HashMap<Tz, Arc<[Span]>>>> = LazyLock::new(RwLock::default);
    let known = KNOWN
        .read()
        .unwrap_or_else(PoisonError::into_inner)
        .get(&zone)
        .cloned();
    known.unwrap_or_else(|| {
        let spans: Arc<[Span]> = build_spans(zone).into();
        let mut all = KNOWN.write().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(all.entry(zone).or_insert(spans))
    })
}

fn build_spans(zone: Tz) -> Vec<Span> {
    const DAY_S: i64 = DAY / SECOND;
    let offset_at = |second: i64| {
        let utc = DateTime::from_timestamp(second, 0)
            .unwrap_or_default()
            .naive_utc();
        i64::from(zone.offset_from_utc_datetime(&utc).fix().local_minus_utc())
    };
    let mut spans = Vec::new();
    let (mut start, mut offset) = (i64::MIN, offset_at(0));
    for day in TABLE_DAYS.skip(1) {
        let next = offset_at(day * DAY_S);
        if next != offset {
            let change = first_change((day - 1) * DAY_S, day * DAY_S, offset, &offset_at) * SECOND;
            spans.push(Span {
                start,
                end: change,
                offset: offset * SECOND,
            });
            (start, offset) = (change, next);
        }
    }
    spans.push(Span {
        start,
        end: i64::MAX,
        offset: offset * SECOND,
    });
    spans
}

/// The first second in `before..=after` whose offset is not `old`, by halving.
fn first_change(before: i64, after: i64, old: i64, offset_at: &impl Fn(i64) -> i64) -> i64 {
    let (mut before, mut after) = (before, after);
    while after - before > 1 {
        let middle = before + (after - before) / 2;
        if offset_at(middle) == old {
            before = middle
        } else {
            after = middle
        }
    }
    after
}

#[cfg(test)]
mod tests;
