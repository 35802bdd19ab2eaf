//! Business days and half hours of the centre's clock.

use chrono::{NaiveDate, TimeZone};
use chrono_tz::Tz;
use events::UtcMicros;

use super::frame::Day;
use crate::EngineError;
use crate::functions::calendar::{Calendar, Grain, parse_zone};
use crate::request::first_shown;

/// Microseconds of a minute.
pub(super) const MINUTE: i64 = 60_000_000;
/// Microseconds of a quarter of an hour.
pub(super) const QUARTER: i64 = 15 * MINUTE;

/// The clock of the centre.
#[derive(Clone, Debug)]
pub(super) struct Clock {
    zone: Tz,
    /// Minutes after midnight at which a day begins.
    starts: u32,
    days: Calendar,
    halves: Calendar,
}

impl Clock {
    /// # Errors
    /// An unknown zone, or a start that is no half hour of a day.
    pub fn new(zone: &str, starts: u32) -> Result<Self, EngineError> {
        let zone = parse_zone(zone).map_err(|e| EngineError::Invalid(e.to_string()))?;
        if starts >= 24 * 60 || !starts.is_multiple_of(30) {
            return Err(EngineError::Invalid(format!(
                "a business day cannot start {starts} minutes after midnight; use 0 to 1410 in \
                 steps of 30"
            )));
        }
        Ok(Clock {
            zone,
            starts,
            days: Calendar::new(Grain::D1, zone),
            halves: Calendar::new(Grain::M30, zone),
        })
    }

    /// Its IANA name.
    pub fn zone(&self) -> &'static str {
        self.zone.name()
    }

    /// The business day of an instant.
    pub fn day(&self, now: UtcMicros) -> Day {
        let today = self.date(now.0);
        let mut date = today;
        while self.start_of(date) > now {
            date = date.pred_opt().unwrap_or(date);
        }
        Day {
            date: date.to_string(),
            start: self.start_of(date),
            end: self.start_of(self.day_after(date)),
        }
    }

    /// Starts of the half hours that overlap a stretch of time.
    pub fn halves(&self, from: UtcMicros, to: UtcMicros) -> impl Iterator<Item = i64> {
        self.halves.starts(from.0, to.0)
    }

    /// The half hour of an instant, in UTC microseconds.
    pub fn half(&self, at: i64) -> (i64, i64) {
        let bucket = self.halves.bucket(at);
        (bucket.start, bucket.end)
    }

    fn date(&self, at: i64) -> NaiveDate {
        let start = self.days.bucket(at).start;
        let local = self.zone.timestamp_micros(start).single();
        local.map_or(NaiveDate::MIN, |local| local.date_naive())
    }

    /// The next date that the zone has: one was skipped whole in Apia.
    fn day_after(&self, date: NaiveDate) -> NaiveDate {
        let noon = first_shown(date.and_hms_opt(12, 0, 0).unwrap_or_default(), self.zone);
        self.date(self.days.bucket(noon.0).end)
    }

    fn start_of(&self, date: NaiveDate) -> UtcMicros {
        let minutes = chrono::TimeDelta::minutes(i64::from(self.starts));
        let local = date.and_time(chrono::NaiveTime::MIN) + minutes;
        match self.starts {
            0 => {
                let noon = first_shown(date.and_hms_opt(12, 0, 0).unwrap_or_default(), self.zone);
                UtcMicros(self.days.bucket(noon.0).start)
            }
            _ => first_shown(local, self.zone),
        }
    }
}

/// The start of the minute of an instant.
pub(super) fn minute_of(at: i64) -> i64 {
    at - at.rem_euclid(MINUTE)
}

/// The start of the quarter of an hour of an instant, the same in every zone.
pub(super) fn quarter_of(at: i64) -> i64 {
    at - at.rem_euclid(QUARTER)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> UtcMicros {
        UtcMicros::parse_rfc3339(text).expect("a time")
    }

    fn check(zone: &str, starts: u32, now: &str, date: &str, start: &str, end: &str) {
        let day = Clock::new(zone, starts).expect("a clock").day(at(now));
        let want = Day {
            date: date.to_owned(),
            start: at(start),
            end: at(end),
        };
        assert_eq!(day, want, "{now} in {zone} from {starts}");
    }

    #[test]
    fn a_day_begins_at_its_minute_and_lasts_23_or_25_hours_when_clocks_change() {
        let ny = "America/New_York";
        let (start, end) = ("2026-03-08T00:00:00-05:00", "2026-03-09T00:00:00-04:00");
        check(ny, 0, "2026-03-08T12:00:00-04:00", "2026-03-08", start, end);
        let (start, end) = ("2026-11-01T00:00:00-04:00", "2026-11-02T00:00:00-05:00");
        check(ny, 0, "2026-11-01T12:00:00-05:00", "2026-11-01", start, end);
        let (start, end) = ("2026-11-01T05:00:00-05:00", "2026-11-02T05:00:00-05:00");
        check(
            ny,
            300,
            "2026-11-02T04:59:59-05:00",
            "2026-11-01",
            start,
            end,
        );
        let (start, end) = ("2026-01-05T00:00:00Z", "2026-01-06T00:00:00Z");
        check("UTC", 0, "2026-01-05T00:00:00Z", "2026-01-05", start, end);
    }

    #[test]
    fn a_date_that_a_zone_skips_is_no_day() {
        let (start, end) = ("2011-12-29T00:00:00-10:00", "2011-12-31T00:00:00+14:00");
        let now = "2011-12-29T20:00:00-10:00";
        check("Pacific/Apia", 0, now, "2011-12-29", start, end);
    }

    #[test]
    fn a_start_that_is_no_half_hour_of_a_day_is_refused() {
        assert!(Clock::new("UTC", 15).is_err());
        assert!(Clock::new("UTC", 1440).is_err());
        assert!(Clock::new("Nowhere", 0).is_err());
    }
}
