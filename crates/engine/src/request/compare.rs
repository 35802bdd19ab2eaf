//! The period that stands beside the one asked for, or the mean of several.

use std::collections::BTreeMap;
use std::str::FromStr;

use chrono::{DateTime, Days, LocalResult, Months, NaiveDateTime, TimeZone};
use chrono_tz::Tz;
use events::UtcMicros;

use kpi::{Agg, Catalogue, Interval, Kpi, Share, Value};

use super::period::{first_shown, parse_instant, previous_period};
use super::{KpiAnswer, KpiRequest, KpiRow};
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
    /// The mean of the same clock times one week before, two weeks before, up to so many; weeks
    /// before the first event are left out. The mean of a ratio is the ratio of all of them
    /// together: sum of numerators over sum of denominators.
    Weeks(u16),
    /// A period of its own, as that before an improvement: it stands beside the whole range.
    Baseline(UtcMicros, UtcMicros),
}

impl FromStr for Compare {
    type Err = EngineError;

    /// Reads one of [`Compare::WORDS`]; [`Compare::parse`] knows periods, too.
    fn from_str(word: &str) -> Result<Self, EngineError> {
        match word {
            "previous" => Ok(Compare::Previous),
            "-1d" => Ok(Compare::Days(1)),
            "-7d" => Ok(Compare::Days(7)),
            "-1mo" => Ok(Compare::Months(1)),
            "-1y" => Ok(Compare::Months(12)),
            "avg4w" => Ok(Compare::Weeks(4)),
            _ => {
                let words = Compare::WORDS.join(", ");
                Err(EngineError::Invalid(format!(
                    "`{word}` is none of {words}, nor a period as 2026-03-01..2026-03-15"
                )))
            }
        }
    }
}

impl Compare {
    /// The periods that have a word.
    pub const WORDS: [&str; 6] = ["previous", "-1d", "-7d", "-1mo", "-1y", "avg4w"];

    /// Reads one of [`Compare::WORDS`], or a period as `2026-03-01..2026-03-15`, whose ends are read
    /// as [`parse_instant`] does.
    ///
    /// # Errors
    /// What is neither, and a period that is empty.
    pub fn parse(text: &str, zone: Tz) -> Result<Compare, EngineError> {
        let Some((from, to)) = text.split_once("..") else {
            return text.parse();
        };
        let (from, to) = (parse_instant(from, zone)?, parse_instant(to, zone)?);
        match from < to {
            true => Ok(Compare::Baseline(from, to)),
            false => Err(EngineError::Invalid(format!("the period {text} is empty"))),
        }
    }

    /// The periods compared with, each by itself.
    pub(super) fn singles(self) -> Vec<Compare> {
        match self {
            Compare::Weeks(weeks) => (1..=weeks).map(|week| Compare::Days(7 * week)).collect(),
            single => vec![single],
        }
    }

    /// Is it about the mean of several periods?
    pub(super) fn is_mean(self) -> bool {
        matches!(self, Compare::Weeks(_))
    }

    /// Refuses the mean of what has none: a percentile of all weeks is not the mean of theirs.
    pub(super) fn check_kpis(
        self,
        catalogue: &Catalogue,
        kpis: &[&Kpi],
    ) -> Result<(), EngineError> {
        let of_values = |kpi: &Kpi| {
            let mut parts = kpi.parts().iter();
            parts.any(|part| part.agg == Agg::Histogram) && kpi.value.ratio().is_none()
        };
        let mut kpis = kpis.iter().filter(|_| self.is_mean());
        let percentile = kpis.find(|kpi| catalogue.inputs_of(kpi).into_iter().any(of_values));
        match percentile {
            None => Ok(()),
            Some(kpi) => Err(EngineError::refused(
                format!(
                    "{} is a percentile, and those of several weeks have no mean",
                    kpi.id
                ),
                "compare it with one week, as `-7d`",
            )),
        }
    }

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
            Compare::Baseline(from, to) => (from, to),
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
            Compare::Baseline(..) if grain.is_none() => return Ok(()),
            Compare::Baseline(..) => {
                return Err(EngineError::refused(
                    "a baseline has no buckets that belong to those of the range",
                    "ask for the whole range, or compare with the period before",
                ));
            }
            Compare::Weeks(_) => Grain::W1,
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
            Compare::Previous | Compare::Baseline(..) => Some(local),
            Compare::Days(days) => local.checked_sub_days(Days::new(days.into())),
            Compare::Weeks(weeks) => local.checked_sub_days(Days::new(7 * u64::from(weeks))),
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
    /// The rows of another period that belong beside those of this one, in their order: first
    /// bucket beside first bucket, or each beside the one at the same place of the calendar.
    /// Without a period they are other rows of the same one.
    pub(super) fn beside(
        &self,
        other: &KpiAnswer,
        compare: Option<Compare>,
        zone: Tz,
    ) -> Vec<Option<KpiRow>> {
        let calendar = self.grain.map(|grain| Calendar::new(grain, zone));
        let counterparts = match &calendar {
            None => BTreeMap::new(),
            Some(calendar) => {
                let ranges = [(self.from, self.to), (other.from, other.to)];
                counterparts(calendar, compare, ranges, zone)
            }
        };
        let known: BTreeMap<_, _> = other
            .rows
            .iter()
            .map(|row| ((&row.kpi, &row.dims, row.period_start), row))
            .collect();
        let of = |row: &KpiRow| {
            let period = match row.period_start {
                None => None,
                Some(at) => Some(UtcMicros(*counterparts.get(&at.0)?)),
            };
            match known.get(&(&row.kpi, &row.dims, period)) {
                Some(found) => Some(KpiRow::clone(found)),
                None => other.row_of_nothing(row, period, calendar.as_ref()),
            }
        };
        self.rows.iter().map(of).collect()
    }

    /// What stands beside `like` where the answer has no row of its group, if it is known that there is
    /// nothing: whether a row of nothing was asked for changes no number.
    fn row_of_nothing(
        &self,
        like: &KpiRow,
        period_start: Option<UtcMicros>,
        calendar: Option<&Calendar>,
    ) -> Option<KpiRow> {
        let about = self.kpis.iter().find(|about| about.id == like.kpi)?;
        let stretch = self.stretch(calendar, period_start.map(|at| at.0));
        let value = Some(self.nothing(about, stretch)?);
        Some(KpiRow {
            period_start,
            value,
            numerator: None,
            denominator: None,
            n: None,
            interval: None,
            currency: None,
            parts: Vec::new(),
            ..like.clone()
        })
    }

    /// Puts beside each row what there was in one period, or the mean of several. `apart`: does the
    /// row count nothing that is counted there, too? Only then the difference has an interval.
    pub(super) fn put_beside(
        &mut self,
        kpis: &[&Kpi],
        periods: &[Vec<Option<KpiRow>>],
        apart: &[bool],
    ) {
        for (place, row) in self.rows.iter_mut().enumerate() {
            let found: Vec<_> = periods.iter().map(|rows| rows[place].as_ref()).collect();
            if let Some(note) = of_other_money(row, &found) {
                let about = self.kpis.iter_mut().find(|kpi| kpi.id == row.kpi);
                about
                    .into_iter()
                    .for_each(|kpi| kpi.note = Some(note.clone()));
                continue;
            }
            row.previous = match (&found[..], kpis.iter().find(|kpi| kpi.id == row.kpi)) {
                ([only], _) => only.and_then(|row| row.value),
                (several, Some(kpi)) => mean(kpi, several),
                (_, None) => None,
            };
            let kpi = kpis.iter().find(|kpi| kpi.id == row.kpi);
            if apart[place] && kpi.is_some_and(|kpi| kpi.is_proportion()) {
                row.difference = difference(row, &found);
            }
        }
    }
}

/// The start of the bucket that each bucket of the first range is compared with, in the second: first
/// beside first, or each beside the one at the same place of the calendar.
pub(super) fn counterparts(
    calendar: &Calendar,
    compare: Option<Compare>,
    [own, other]: [(Option<UtcMicros>, Option<UtcMicros>); 2],
    zone: Tz,
) -> BTreeMap<i64, i64> {
    let starts = |(from, to): (Option<UtcMicros>, Option<UtcMicros>)| -> Vec<i64> {
        match from.zip(to) {
            Some((from, to)) => calendar.starts(from.0, to.0).collect(),
            None => Vec::new(),
        }
    };
    let own = starts(own).into_iter();
    match compare {
        None => own.map(|at| (at, at)).collect(),
        Some(Compare::Previous) => own.zip(starts(other)).collect(),
        Some(compare) => {
            let beside = |at: i64| calendar.bucket(compare.moved(UtcMicros(at), zone).0).start;
            own.map(|at| (at, beside(at))).collect()
        }
    }
}

/// Why sums of money cannot stand beside each other, if they are of several currencies.
fn of_other_money(row: &KpiRow, found: &[Option<&KpiRow>]) -> Option<String> {
    let all = found.iter().flatten().copied().chain([row]);
    let mut currencies: Vec<&str> = all.filter_map(|row| row.currency.as_deref()).collect();
    currencies.sort_unstable();
    currencies.dedup();
    (currencies.len() > 1).then(|| {
        let all = currencies.join(" and ");
        format!("{}: amounts of {all} are not compared", row.kpi)
    })
}

/// The interval of a share less what it was over some periods together.
fn difference(row: &KpiRow, periods: &[Option<&KpiRow>]) -> Option<Interval> {
    let (hits, n) = operands(periods);
    let now = Share::new(row.numerator?, row.denominator?)?;
    Some(now.difference(Share::new(hits, n)?))
}

/// Numerators and denominators of some rows, each added up.
fn operands(rows: &[Option<&KpiRow>]) -> (f64, f64) {
    let pairs = rows.iter().flatten();
    let pairs = pairs.filter_map(|row| row.numerator.zip(row.denominator));
    pairs.fold((0.0, 0.0), |(a, b), (num, den)| (a + num, b + den))
}

/// The mean of a KPI over some periods: of a ratio, that of all of them together.
pub(super) fn mean(kpi: &Kpi, periods: &[Option<&KpiRow>]) -> Option<f64> {
    if kpi.value.ratio().is_some() {
        let (above, below) = operands(periods);
        return match below == 0.0 {
            true => None,
            false => scaled(&kpi.value, above / below),
        };
    }
    let values: Vec<f64> = periods.iter().filter_map(|row| (*row)?.value).collect();
    let count = values.len();
    (count > 0).then(|| values.into_iter().sum::<f64>() / count as f64)
}

/// The value of a ratio whose division gives `quotient`: its constant factors are put back.
fn scaled(value: &Value, quotient: f64) -> Option<f64> {
    match value {
        Value::Div(a, b) => match **b {
            Value::Number(by) => Some(scaled(a, quotient)? / by),
            _ => Some(quotient),
        },
        Value::Mul(a, b) => match (&**a, &**b) {
            (Value::Number(by), of) | (of, Value::Number(by)) => Some(scaled(of, quotient)? * by),
            _ => None,
        },
        _ => None,
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
    fn a_baseline_is_a_period_of_its_own() {
        let new_york = parse_zone("America/New_York").expect("a zone");
        let read = Compare::parse("2026-03-01..2026-03-15", new_york);
        let (from, to) = ("2026-03-01T05:00:00Z", "2026-03-15T04:00:00Z");
        assert_eq!(read.ok(), Some(Compare::Baseline(at(from), at(to))));
        assert_eq!(Compare::parse("-7d", new_york).ok(), Some(Compare::Days(7)));
        for wrong in ["2026-03-15..2026-03-15", "2026-03-15..", "..", "1..2", "x"] {
            assert!(Compare::parse(wrong, new_york).is_err(), "{wrong}");
        }
        check(
            Compare::Baseline(at(from), at(to)),
            "UTC",
            ["2026-04-01T00:00:00Z", "2026-04-02T00:00:00Z"],
            [from, to],
        );
        let baseline = Compare::Baseline(at(from), at(to));
        assert!(baseline.check(Some(Grain::D1)).is_err());
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
