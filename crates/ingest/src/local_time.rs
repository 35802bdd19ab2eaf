//! Wall-clock times of a source, turned into UTC by a named zone and two declared choices.

use chrono::{Duration, LocalResult, NaiveDateTime, Offset, TimeZone};
use chrono_tz::Tz;
use events::{Reject, RejectCode, UtcMicros};
use serde::Deserialize;

/// Which of two instants a time in the repeated hour (clocks go back) means.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RepeatedHour {
    /// The first pass.
    Earlier,
    /// The second pass.
    Later,
    /// Neither: the row is rejected.
    #[default]
    Reject,
}

/// What a time in the missing hour (clocks go forward) means.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum MissingHour {
    /// Nothing: the row is rejected.
    #[default]
    Reject,
    /// The clock was not set yet: 02:30 is half an hour after the change.
    Shift,
}

/// The clock on the wall of a source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LocalClock {
    zone: Tz,
    repeated: RepeatedHour,
    missing: MissingHour,
}

/// A zone name that the IANA database does not have.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown time zone '{0}'; write an IANA name as Asia/Shanghai or UTC")]
pub struct UnknownZone(pub String);

impl LocalClock {
    /// A clock of the IANA zone `name`.
    ///
    /// # Errors
    /// When there is no such zone.
    pub fn new(
        name: &str,
        repeated: RepeatedHour,
        missing: MissingHour,
    ) -> Result<Self, UnknownZone> {
        let zone = name.parse().map_err(|_| UnknownZone(name.to_owned()))?;
        Ok(Self {
            zone,
            repeated,
            missing,
        })
    }

    /// The instant that the clock showed `local`.
    ///
    /// # Errors
    /// When it showed it never or twice, and the choice for that is to reject.
    pub fn to_utc(&self, local: NaiveDateTime) -> Result<UtcMicros, Reject> {
        match self.zone.from_local_datetime(&local) {
            LocalResult::Single(at) => Ok(UtcMicros(at.timestamp_micros())),
            LocalResult::Ambiguous(first, second) => match self.repeated {
                RepeatedHour::Earlier => Ok(UtcMicros(first.timestamp_micros())),
                RepeatedHour::Later => Ok(UtcMicros(second.timestamp_micros())),
                RepeatedHour::Reject => Err(self.refuse(local, "exists twice", "repeated_hour")),
            },
            LocalResult::None => match self.missing {
                MissingHour::Shift => self.shifted(local),
                MissingHour::Reject => Err(self.refuse(local, "does not exist", "missing_hour")),
            },
        }
    }

    /// Reads a missing time with the offset that was in force before the gap.
    fn shifted(&self, local: NaiveDateTime) -> Result<UtcMicros, Reject> {
        // The longest gap on record is a whole day (Apia, 2011-12-30).
        (1..=50)
            .find_map(|half_hours| {
                let before = local.checked_sub_signed(Duration::minutes(30 * half_hours))?;
                self.zone.offset_from_local_datetime(&before).latest()
            })
            .and_then(|offset| local.checked_sub_offset(offset.fix()))
            .map(|utc| UtcMicros(utc.and_utc().timestamp_micros()))
            .ok_or_else(|| self.refuse(local, "does not exist", "missing_hour"))
    }

    fn refuse(&self, local: NaiveDateTime, what: &str, choice: &str) -> Reject {
        let detail = format!("{local} {what} in {}; choose a `{choice}` rule", self.zone);
        Reject::new(RejectCode::LocalTime, "", detail)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn utc(zone: &str, text: &str, repeated: RepeatedHour, missing: MissingHour) -> String {
        let clock = LocalClock::new(zone, repeated, missing).expect("zone");
        let local = NaiveDateTime::parse_from_str(text, "%Y-%m-%d %H:%M:%S").expect("time");
        match clock.to_utc(local) {
            Ok(at) => at.to_string(),
            Err(reject) => reject.code.to_string(),
        }
    }

    #[test]
    fn the_repeated_hour_follows_the_choice() {
        let at = |choice| {
            utc(
                "America/New_York",
                "2025-11-02 01:30:00",
                choice,
                MissingHour::Reject,
            )
        };
        assert_eq!(at(RepeatedHour::Earlier), "2025-11-02T05:30:00Z");
        assert_eq!(at(RepeatedHour::Later), "2025-11-02T06:30:00Z");
        assert_eq!(at(RepeatedHour::Reject), "local_time");
    }

    #[test]
    fn the_missing_hour_is_rejected_or_shifted_by_the_gap() {
        let at = |zone, text, choice| utc(zone, text, RepeatedHour::Reject, choice);
        let text = "2025-03-09 02:30:00";
        assert_eq!(
            at("America/New_York", text, MissingHour::Reject),
            "local_time"
        );
        assert_eq!(
            at("America/New_York", text, MissingHour::Shift),
            "2025-03-09T07:30:00Z"
        );
        let day = "2011-12-30 12:00:00";
        assert_eq!(
            at("Pacific/Apia", day, MissingHour::Shift),
            "2011-12-30T22:00:00Z"
        );
    }

    #[test]
    fn the_ends_of_time_are_no_panic() {
        for local in [NaiveDateTime::MIN, NaiveDateTime::MAX] {
            for zone in ["Asia/Shanghai", "America/New_York", "UTC"] {
                let clock = LocalClock::new(zone, RepeatedHour::Later, MissingHour::Shift);
                let _ = clock.expect("zone").to_utc(local);
            }
        }
    }

    #[test]
    fn odd_offsets_are_exact_and_unknown_zones_are_named() {
        let (repeated, missing) = (RepeatedHour::Reject, MissingHour::Reject);
        let text = "2025-05-02 00:00:00";
        assert_eq!(
            utc("Asia/Kathmandu", text, repeated, missing),
            "2025-05-01T18:15:00Z"
        );
        let unknown = LocalClock::new("Asia/Shanghia", repeated, missing).expect_err("typo");
        assert!(unknown.to_string().contains("Asia/Shanghia"));
    }
}
