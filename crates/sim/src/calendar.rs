//! Local days and wall-clock times as instants (milliseconds since 1970 UTC).

use chrono::{
    DateTime, Datelike, Days, LocalResult, NaiveDate, NaiveDateTime, TimeDelta, TimeZone,
};
use chrono_tz::Tz;

/// The local day that an instant falls on; `None` beyond the calendar of the library.
pub(crate) fn local_date(zone: Tz, at_ms: i64) -> Option<NaiveDate> {
    DateTime::from_timestamp_millis(at_ms).map(|t| t.with_timezone(&zone).date_naive())
}

/// First instant of a local day.
pub(crate) fn midnight(zone: Tz, date: NaiveDate) -> i64 {
    wall_clock(zone, date, 0)
}

/// The instant at which the clocks show `minute` minutes after midnight; the earlier one if they
/// show it twice, the next one that exists if they skip it.
pub(crate) fn wall_clock(zone: Tz, date: NaiveDate, minute: i64) -> i64 {
    let mut local: NaiveDateTime =
        date.and_time(chrono::NaiveTime::MIN) + TimeDelta::minutes(minute);
    // No zone has ever skipped more than a whole day (Apia, 2011).
    for _ in 0..=96 {
        match zone.from_local_datetime(&local) {
            LocalResult::Single(t) | LocalResult::Ambiguous(t, _) => return t.timestamp_millis(),
            LocalResult::None => local += TimeDelta::minutes(15),
        }
    }
    local.and_utc().timestamp_millis()
}

/// The day after so many days.
pub(crate) fn plus_days(date: NaiveDate, days: u32) -> Option<NaiveDate> {
    date.checked_add_days(Days::new(days.into()))
}

/// Day of the week, Monday is 0.
pub(crate) fn weekday(date: NaiveDate) -> usize {
    date.weekday().num_days_from_monday() as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: i64 = 3_600_000;

    fn day(y: i32, m: u32, d: u32) -> NaiveDate {
        NaiveDate::from_ymd_opt(y, m, d).expect("a day of the calendar")
    }

    #[test]
    fn days_of_new_york_have_23_24_and_25_hours() {
        let zone = Tz::America__New_York;
        let length =
            |d: NaiveDate| midnight(zone, plus_days(d, 1).expect("in range")) - midnight(zone, d);
        assert_eq!(length(day(2025, 3, 9)), 23 * HOUR);
        assert_eq!(length(day(2025, 6, 1)), 24 * HOUR);
        assert_eq!(length(day(2025, 11, 2)), 25 * HOUR);
    }

    #[test]
    fn a_skipped_wall_clock_time_becomes_the_next_that_exists() {
        let zone = Tz::America__New_York;
        let date = day(2025, 3, 9);
        assert_eq!(wall_clock(zone, date, 150), wall_clock(zone, date, 180));
        assert_eq!(
            midnight(Tz::Pacific__Apia, day(2011, 12, 30)),
            midnight(Tz::Pacific__Apia, day(2011, 12, 31))
        );
    }
}
