//! Which bucket an instant falls into, found by walking back through the quarter hours.

use std::collections::HashMap;

use chrono::{DateTime, Offset, TimeDelta, Timelike};
use chrono_tz::Tz;

const QUARTER_MS: i64 = 15 * 60_000;

/// How time is cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bucket {
    /// Not at all.
    Total,
    /// Quarter hours of UTC; every zone's quarter hours since 1980 are the same.
    QuarterHour,
    /// Hours on the clocks of a zone; an hour that the clocks show twice is two buckets.
    Hour(Tz),
    /// Days on the calendar of a zone, with 23 to 25 hours.
    Day(Tz),
}

/// Finds bucket starts and remembers them by quarter hour.
pub(super) struct Buckets {
    bucket: Bucket,
    known: HashMap<i64, i64>,
}

impl Buckets {
    pub(super) fn new(bucket: Bucket) -> Self {
        Buckets {
            bucket,
            known: HashMap::new(),
        }
    }

    /// Start of the bucket around an instant, in milliseconds; `None` if time is not cut.
    pub(super) fn start_of(&mut self, at_ms: i64) -> Option<i64> {
        if self.bucket == Bucket::Total {
            return None;
        }
        let quarter = at_ms.div_euclid(QUARTER_MS) * QUARTER_MS;
        if let Some(start) = self.known.get(&quarter) {
            return Some(*start);
        }
        Some(self.walk_back(quarter))
    }

    /// The earliest quarter hour of an unbroken row up to this one with the same label.
    fn walk_back(&mut self, quarter: i64) -> i64 {
        let here = label(self.bucket, quarter);
        let mut first = quarter;
        let start = loop {
            let before = first - QUARTER_MS;
            if label(self.bucket, before) != here {
                break first;
            }
            if let Some(start) = self.known.get(&before) {
                break *start;
            }
            first = before;
        };
        for passed in (first..=quarter).step_by(QUARTER_MS as usize) {
            self.known.insert(passed, start);
        }
        start
    }
}

/// What the clocks and calendars show: the same within a bucket, another in the next one.
fn label(bucket: Bucket, quarter: i64) -> (i64, u32, TimeDelta) {
    let local = |zone: Tz| {
        let at = DateTime::from_timestamp_millis(quarter).expect("a time of the simulated years");
        at.with_timezone(&zone)
    };
    let day = |zone: Tz| i64::from(local(zone).date_naive().to_epoch_days());
    match bucket {
        Bucket::Total => (0, 0, TimeDelta::zero()),
        Bucket::QuarterHour => (quarter, 0, TimeDelta::zero()),
        Bucket::Hour(zone) => {
            let offset = local(zone).offset().fix().local_minus_utc();
            (
                day(zone),
                local(zone).hour(),
                TimeDelta::seconds(offset.into()),
            )
        }
        Bucket::Day(zone) => (day(zone), 0, TimeDelta::zero()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn start(bucket: Bucket, text: &str) -> String {
        let at = DateTime::parse_from_rfc3339(text)
            .expect("a time")
            .timestamp_millis();
        let start = Buckets::new(bucket).start_of(at).expect("time is cut");
        DateTime::from_timestamp_millis(start)
            .expect("a time")
            .to_rfc3339()
    }

    #[test]
    fn hours_of_kathmandu_begin_at_a_quarter_past_in_utc() {
        let hour = Bucket::Hour(Tz::Asia__Kathmandu);
        assert_eq!(
            start(hour, "2026-03-02T07:14:59.999Z"),
            "2026-03-02T06:15:00+00:00"
        );
        assert_eq!(
            start(hour, "2026-03-02T07:15:00Z"),
            "2026-03-02T07:15:00+00:00"
        );
    }

    #[test]
    fn the_repeated_hour_of_new_york_is_two_buckets() {
        let hour = Bucket::Hour(Tz::America__New_York);
        assert_eq!(
            start(hour, "2025-11-02T05:50:00Z"),
            "2025-11-02T05:00:00+00:00"
        );
        assert_eq!(
            start(hour, "2025-11-02T06:10:00Z"),
            "2025-11-02T06:00:00+00:00"
        );
    }

    #[test]
    fn days_begin_at_local_midnight_on_both_sides_of_a_clock_change() {
        let day = Bucket::Day(Tz::America__New_York);
        assert_eq!(
            start(day, "2025-11-02T04:30:00Z"),
            "2025-11-02T04:00:00+00:00"
        );
        assert_eq!(
            start(day, "2025-11-03T04:30:00Z"),
            "2025-11-02T04:00:00+00:00"
        );
        assert_eq!(
            start(day, "2025-11-03T05:30:00Z"),
            "2025-11-03T05:00:00+00:00"
        );
    }

    #[test]
    fn quarter_hours_are_half_open() {
        let quarter = Bucket::QuarterHour;
        assert_eq!(
            start(quarter, "2026-03-02T07:14:59.999Z"),
            "2026-03-02T07:00:00+00:00"
        );
        assert_eq!(
            start(quarter, "2026-03-02T07:15:00Z"),
            "2026-03-02T07:15:00+00:00"
        );
    }
}
