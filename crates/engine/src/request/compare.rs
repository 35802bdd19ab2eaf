//! The period that stands beside the one asked for.

use std::collections::BTreeMap;

use chrono::{DateTime, Days, LocalResult, Months, NaiveDateTime, TimeZone};
use chrono_tz::Tz;
use events::UtcMicros;

use super::period::{first_shown, previous_period};
use super::{KpiAnswer, KpiRequest};
use crate::EngineError;
use crate::functions::calendar::{Calendar, Grain};

/// Which other period stands beside the one asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compare {
    /// The one of the same length that ends where this one begins: see [`previous_period`].
    Previous,
    /// The same clock times so many days before.
    Days(u16),
    /// The same days of the month and clock times so many months before. What a shorter month
    /// does not have is its last day.
    Months(u16),
}

impl Compare {
    /// The same question about the other period.
    pub(super) fn other(self, request: &KpiRequest, zone: Tz) -> Result<KpiRequest, EngineError> {
        let (Some(from), Some(to)) = (request.from, request.to) else {
            return Err(EngineError::Invalid(
                "a comparison with another period needs a start and an end".to_owned(),
            ));
        };
        self.check(request.grain)?;
        let (from, to) = match self {
            Compare::Previous => previous_period(from, to, zone),
            // The last instant moves, not the end: the end of a month is the start of another.
            _ => {
                let last = self.moved(UtcMicros(to.0.saturating_sub(1)), zone);
                (self.moved(from, zone), UtcMicros(last.0.saturating_add(1)))
            }
        };
        Ok(KpiRequest {
            from: Some(from),
            to: Some(to),
            compare: None,
            ..request.clone()
        })
    }

    /// Refuses buckets that have no counterpart: a month has none a day before.
    fn check(self, grain: Option<Grain>) -> Result<(), EngineError> {
        let largest = match self {
            Compare::Previous => return Ok(()),
            Compare::Days(days) if days % 7 == 0 => Grain::W1,
            Compare::Days(_) => Grain::D1,
            Compare::Months(months) if months % 12 == 0 => Grain::Y1,
            Compare::Months(months) if months % 3 == 0 => Grain::Q1,
            Compare::Months(_) => Grain::Mo1,
        };
        let weeks_in_months = matches!(self, Compare::Months(_)) && grain == Some(Grain::W1);
        match grain {
            Some(grain) if grain > largest || weeks_in_months => Err(EngineError::refused(
                format!("buckets of {grain} have no counterpart in the period compared with"),
                "take smaller buckets, or compare with the period before",
            )),
            _ => Ok(()),
        }
    }

    /// The instant of the other period that an instant is compared with.
    fn moved(self, at: UtcMicros, zone: Tz) -> UtcMicros {
        let Some(utc) = DateTime::from_timestamp_micros(at.0) else {
            return at;
        };
        let local = utc.with_timezone(&zone).naive_local();
        let before = match self {
            Compare::Previous => Some(local),
            Compare::Days(days) => local.checked_sub_days(Days::new(days.into())),
            Compare::Months(months) => local.checked_sub_months(Months::new(months.into())),
        };
        before.map_or(at, |local| instant(local, zone))
    }
}

fn instant(local: NaiveDateTime, zone: Tz) -> UtcMicros {
    match zone.from_local_datetime(&local) {
        LocalResult::Single(at) | LocalResult::Ambiguous(at, _) => UtcMicros(at.timestamp_micros()),
        LocalResult::None => first_shown(local, zone),
    }
}

impl KpiAnswer {
    /// Puts the values of the other period beside those of this one: first bucket beside first
    /// bucket, or each beside the one at the same place of the calendar.
    pub(super) fn put_beside(&mut self, other: &KpiAnswer, compare: Compare, zone: Tz) {
        let calendar = self.grain.map(|grain| Calendar::new(grain, zone));
        let starts = |answer: &KpiAnswer| -> Vec<i64> {
            match (&calendar, answer.from, answer.to) {
                (Some(calendar), Some(from), Some(to)) => calendar.starts(from.0, to.0).collect(),
                _ => Vec::new(),
            }
        };
        let counterparts: BTreeMap<i64, i64> = match (compare, &calendar) {
            (_, None) => BTreeMap::new(),
            (Compare::Previous, Some(_)) => starts(self).into_iter().zip(starts(other)).collect(),
            (_, Some(calendar)) => {
                let beside = |at: i64| calendar.bucket(compare.moved(UtcMicros(at), zone).0).start;
                starts(self)
                    .into_iter()
                    .map(|at| (at, beside(at)))
                    .collect()
            }
        };
        let known: BTreeMap<_, _> = other
            .rows
            .iter()
            .map(|row| ((&row.kpi, &row.dims, row.period_start), row.value))
            .collect();
        for row in &mut self.rows {
            let period = match row.period_start {
                None => None,
                Some(at) => match counterparts.get(&at.0) {
                    Some(at) => Some(UtcMicros(*at)),
                    None => continue,
                },
            };
            row.previous = known.get(&(&row.kpi, &row.dims, period)).copied().flatten();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::functions::calendar::parse_zone;

    fn at(text: &str) -> UtcMicros {
        UtcMicros::parse_rfc3339(text).expect("a time")
    }

    #[track_caller]
    fn check(compare: Compare, zone: &str, range: [&str; 2], other: [&str; 2]) {
        let request = KpiRequest {
            from: Some(at(range[0])),
            to: Some(at(range[1])),
            ..KpiRequest::default()
        };
        let zone = parse_zone(zone).expect("a zone");
        let got = compare.other(&request, zone).expect("a period");
        assert_eq!((got.from, got.to), (Some(at(other[0])), Some(at(other[1]))));
    }

    #[test]
    fn days_go_back_on_the_wall_clock() {
        // The day before the clocks went forward has 24 hours, the day itself 23.
        check(
            Compare::Days(1),
            "America/New_York",
            ["2025-03-10T00:00:00-04:00", "2025-03-11T00:00:00-04:00"],
            ["2025-03-09T00:00:00-05:00", "2025-03-10T00:00:00-04:00"],
        );
        check(
            Compare::Days(7),
            "UTC",
            ["2026-01-08T09:00:00Z", "2026-01-08T12:00:00Z"],
            ["2026-01-01T09:00:00Z", "2026-01-01T12:00:00Z"],
        );
    }

    #[test]
    fn months_go_back_by_the_day_of_the_month() {
        check(
            Compare::Months(1),
            "UTC",
            ["2026-03-01T00:00:00Z", "2026-04-01T00:00:00Z"],
            ["2026-02-01T00:00:00Z", "2026-03-01T00:00:00Z"],
        );
        check(
            Compare::Months(1),
            "Asia/Shanghai",
            ["2026-05-30T00:00:00+08:00", "2026-05-31T00:00:00+08:00"],
            ["2026-04-30T00:00:00+08:00", "2026-05-01T00:00:00+08:00"],
        );
        check(
            Compare::Months(12),
            "UTC",
            ["2024-02-29T00:00:00Z", "2024-03-01T00:00:00Z"],
            ["2023-02-28T00:00:00Z", "2023-03-01T00:00:00Z"],
        );
    }

    #[test]
    fn buckets_without_a_counterpart_are_refused() {
        for (compare, good, bad) in [
            (Compare::Days(1), Grain::D1, Grain::W1),
            (Compare::Days(7), Grain::W1, Grain::Mo1),
            (Compare::Months(1), Grain::Mo1, Grain::Q1),
            (Compare::Months(12), Grain::Y1, Grain::W1),
        ] {
            assert!(compare.check(Some(good)).is_ok(), "{compare:?} {good}");
            assert!(compare.check(Some(bad)).is_err(), "{compare:?} {bad}");
        }
    }
}
