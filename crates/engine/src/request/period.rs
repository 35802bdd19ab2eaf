//! Ranges of time: as people write them, and the one before.

use chrono::{LocalResult, NaiveDate, NaiveDateTime, TimeZone};
use chrono_tz::Tz;
use events::UtcMicros;

use crate::EngineError;
use crate::functions::calendar::{Calendar, Grain};

/// Longest period that is counted back in days or months; a longer one by its plain length.
const STEPS_MAX: usize = 5_000;

/// Reads an instant: `2026-01-05` (the start of that day in `zone`), `2026-01-05 09:30[:00]` (on
/// the wall clock of `zone`, the earlier one if it comes twice), or RFC 3339 with an offset.
///
/// # Errors
/// A text that is none of these.
pub fn parse_instant(text: &str, zone: Tz) -> Result<UtcMicros, EngineError> {
    let text = text.trim();
    if let Some(instant) = UtcMicros::parse_rfc3339(text) {
        return Ok(instant);
    }
    if let Ok(date) = text.parse::<NaiveDate>() {
        return Ok(first_shown(date.and_time(chrono::NaiveTime::MIN), zone));
    }
    let forms = [
        "%Y-%m-%d %H:%M:%S%.f",
        "%Y-%m-%dT%H:%M:%S%.f",
        "%Y-%m-%d %H:%M",
        "%Y-%m-%dT%H:%M",
    ];
    let local = forms
        .iter()
        .find_map(|form| NaiveDateTime::parse_from_str(text, form).ok());
    match local.map(|local| (local, zone.from_local_datetime(&local))) {
        Some((_, LocalResult::Single(at) | LocalResult::Ambiguous(at, _))) => {
            Ok(UtcMicros(at.timestamp_micros()))
        }
        Some((local, LocalResult::None)) => Ok(first_shown(local, zone)),
        None => Err(EngineError::Invalid(format!(
            "`{text}` is not a time; write 2026-01-05, 2026-01-05 09:30 or \
             2026-01-05T09:30:00+08:00"
        ))),
    }
}

pub(crate) fn first_shown(local: NaiveDateTime, zone: Tz) -> UtcMicros {
    let local = local.and_utc().timestamp_micros();
    UtcMicros(Calendar::new(Grain::D1, zone).when_local(local))
}

/// The period of the same length that ends where `from..to` begins.
///
/// Whole months go back by months and whole days by days of the zone, so that March compares
/// with February and a day of 23 hours with the whole day before; anything else goes back by its
/// length in microseconds.
pub fn previous_period(from: UtcMicros, to: UtcMicros, zone: Tz) -> (UtcMicros, UtcMicros) {
    for grain in [Grain::Mo1, Grain::D1] {
        let calendar = Calendar::new(grain, zone);
        let whole = |at: UtcMicros| calendar.bucket(at.0).start == at.0;
        if !whole(from) || !whole(to) {
            continue;
        }
        let steps = calendar.starts(from.0, to.0).take(STEPS_MAX + 1).count();
        if steps > STEPS_MAX {
            break;
        }
        let start = (0..steps).fold(from.0, |at, _| calendar.bucket(at.saturating_sub(1)).start);
        return (UtcMicros(start), from);
    }
    let length = to.0.saturating_sub(from.0);
    (UtcMicros(from.0.saturating_sub(length)), from)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::functions::calendar::parse_zone;

    fn at(text: &str) -> UtcMicros {
        UtcMicros::parse_rfc3339(text).expect("a time")
    }

    fn check(zone: &str, from: &str, to: &str, before: &str) {
        let zone = parse_zone(zone).expect("a zone");
        let got = previous_period(at(from), at(to), zone);
        assert_eq!(got, (at(before), at(from)), "{from} to {to}");
    }

    #[test]
    fn whole_months_go_back_by_months() {
        check(
            "UTC",
            "2026-03-01T00:00:00Z",
            "2026-04-01T00:00:00Z",
            "2026-02-01T00:00:00Z",
        );
        check(
            "UTC",
            "2026-01-01T00:00:00Z",
            "2027-01-01T00:00:00Z",
            "2025-01-01T00:00:00Z",
        );
    }

    #[test]
    fn whole_days_go_back_by_days_of_the_zone() {
        let new_york = "America/New_York";
        check(
            new_york,
            "2025-03-09T00:00:00-05:00",
            "2025-03-10T00:00:00-04:00",
            "2025-03-08T00:00:00-05:00",
        );
        check(
            new_york,
            "2025-03-10T00:00:00-04:00",
            "2025-03-12T00:00:00-04:00",
            "2025-03-08T00:00:00-05:00",
        );
    }

    #[test]
    fn other_ranges_go_back_by_their_length() {
        check(
            "UTC",
            "2026-01-05T09:00:00Z",
            "2026-01-05T12:00:00Z",
            "2026-01-05T06:00:00Z",
        );
    }

    #[test]
    fn dates_and_wall_clock_times_are_those_of_the_zone() {
        for (text, zone, wanted) in [
            ("2026-01-05", "UTC", "2026-01-05T00:00:00Z"),
            ("2026-01-05", "Asia/Shanghai", "2026-01-04T16:00:00Z"),
            ("2026-01-05 09:30", "Asia/Kathmandu", "2026-01-05T03:45:00Z"),
            (
                "2026-01-05T09:30:00+08:00",
                "America/New_York",
                "2026-01-05T01:30:00Z",
            ),
            (
                "2025-11-02 01:30",
                "America/New_York",
                "2025-11-02T05:30:00Z",
            ),
            (
                "2025-03-09 02:30",
                "America/New_York",
                "2025-03-09T07:00:00Z",
            ),
            ("2017-10-15", "America/Sao_Paulo", "2017-10-15T03:00:00Z"),
        ] {
            let got = parse_instant(text, parse_zone(zone).expect("a zone"));
            assert_eq!(got.ok(), Some(at(wanted)), "{text} in {zone}");
        }
        assert!(parse_instant("yesterday", Tz::UTC).is_err());
    }
}
