//! Values over more than their bucket: rolling over the last few buckets, or running from the
//! start of the range.
//!
//! Each is the KPI over a longer range, asked as any range is: from rows and their parts. So a
//! ratio is one division, a percentile knows every value, and who calls twice in two buckets is
//! counted once. What the KPI was in single buckets is never looked at.

use std::collections::BTreeSet;

use chrono_tz::Tz;
use events::UtcMicros;

use super::prepare::check_cut;
use super::{Asker, Asking, KpiAnswer, KpiRequest, KpiRow, Runner};
use crate::EngineError;
use crate::functions::calendar::Calendar;

/// What the value of a bucket is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Over {
    /// So many buckets, the last of which it is.
    Buckets(u16),
    /// Everything from the start of the range to the end of the bucket.
    Start,
}

/// Most buckets that one value is over.
pub const ROLLING_BUCKETS_MAX: u16 = 366;

/// Most buckets of an answer, each of which is asked for by itself.
const WINDOWS_MAX: usize = 400;

/// One bucket and the rows that its value is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Window {
    /// Start of the bucket.
    bucket: i64,
    from: i64,
    to: i64,
}

/// The answer to a request with `over`.
pub(super) async fn ask<R: Runner>(
    asking: &Asking<'_, R>,
    request: &KpiRequest,
    over: Over,
) -> Result<KpiAnswer, EngineError> {
    let asker = &asking.asker;
    for kpi in asker.kpis(request)? {
        check_cut(kpi, request)?;
    }
    let windows = windows(request, over, asker.zone(request)?)?;
    let alone = std::sync::Arc::default();
    let (mut whole, mut failed): (Option<KpiAnswer>, _) = (None, None);
    let mut rows: Vec<KpiRow> = Vec::new();
    for window in &windows {
        let one = KpiRequest {
            from: Some(UtcMicros(window.from)),
            to: Some(UtcMicros(window.to)),
            grain: None,
            fill: false,
            over: None,
            ..request.clone()
        };
        let mut answer = match asking.within(&one, &alone).await {
            Ok(answer) => answer,
            Err(error) if error.is_about_the_data() && !asking.whole => {
                failed = failed.or(Some(error));
                continue;
            }
            Err(error) => return Err(error),
        };
        // Nobody looks at where a rolling value begins: it has to be said.
        let early = one
            .from
            .filter(|from| request.from.is_some_and(|asked| *from < asked));
        let early = answer.begins_after(early);
        answer.incomplete_before = answer.incomplete_before.or(early);
        let at = Some(UtcMicros(window.bucket));
        for mut row in answer.rows.drain(..) {
            row.period_start = at;
            rows.push(row);
        }
        // The newest says best up to where there is something; what was said of others stays.
        if let Some(before) = whole {
            keep_remarks(&before, &mut answer);
        }
        whole = Some(answer);
    }
    let Some(mut whole) = whole else {
        let nothing = || EngineError::Invalid("the range has no bucket".to_owned());
        return Err(failed.unwrap_or_else(nothing));
    };
    if request.fill {
        fill(&mut rows, &windows, &whole);
    }
    aim(asker, &mut rows);
    let place = |row: &KpiRow| request_place(&whole, row);
    rows.sort_by_cached_key(|row| (place(row), row.dims.clone(), row.period_start));
    tell_failures(&mut whole, &rows);
    Ok(KpiAnswer {
        rows,
        from: request.from,
        to: request.to,
        grain: request.grain,
        ..whole
    })
}

/// Refuses what has no windows, or too many.
pub(super) fn check(request: &KpiRequest, over: Over, zone: Tz) -> Result<(), EngineError> {
    windows(request, over, zone).map(|_| ())
}

/// The buckets of the range, each with what its value is over.
fn windows(request: &KpiRequest, over: Over, zone: Tz) -> Result<Vec<Window>, EngineError> {
    let (Some(grain), Some(from), Some(to)) = (request.grain, request.from, request.to) else {
        return Err(EngineError::Invalid(
            "a rolling or running value needs a bucket size, a start and an end".to_owned(),
        ));
    };
    if let Over::Buckets(count) = over
        && !(1..=ROLLING_BUCKETS_MAX).contains(&count)
    {
        return Err(EngineError::Invalid(format!(
            "a value can be rolling over 1 to {ROLLING_BUCKETS_MAX} buckets"
        )));
    }
    let calendar = Calendar::new(grain, zone);
    let starts = calendar.starts(from.0, to.0).take(WINDOWS_MAX + 1);
    let starts: Vec<i64> = starts.collect();
    if starts.len() > WINDOWS_MAX {
        return Err(EngineError::refused(
            format!("the range has more than {WINDOWS_MAX} buckets of {grain}"),
            "a rolling or running value is asked for bucket by bucket: take a shorter range or \
             larger buckets",
        ));
    }
    let before = |start: i64| calendar.bucket(start.saturating_sub(1)).start;
    let window = |bucket: i64| Window {
        bucket,
        from: match over {
            Over::Buckets(count) => (1..count).fold(bucket, |start, _| before(start)),
            Over::Start => from.0,
        },
        to: calendar.bucket(bucket).end.min(to.0),
    };
    Ok(starts.into_iter().map(window).collect())
}

fn keep_remarks(before: &KpiAnswer, now: &mut KpiAnswer) {
    now.incomplete_before = now.incomplete_before.or(before.incomplete_before);
    for (about, old) in now.kpis.iter_mut().zip(&before.kpis) {
        about.note = old.note.clone().or(about.note.take());
        about.failed = old.failed.clone().or(about.failed.take());
    }
}

/// Whoever has rows in some buckets has not failed: it only lacks the others.
fn tell_failures(whole: &mut KpiAnswer, rows: &[KpiRow]) {
    for about in &mut whole.kpis {
        if rows.iter().any(|row| row.kpi == about.id) {
            let failed = about.failed.take();
            about.note = about.note.take().or(failed);
        }
    }
}

fn request_place(whole: &KpiAnswer, row: &KpiRow) -> usize {
    let place = whole.kpis.iter().position(|about| about.id == row.kpi);
    place.unwrap_or(usize::MAX)
}

/// A row for every bucket of every group that there is, also where there is nothing.
fn fill(rows: &mut Vec<KpiRow>, windows: &[Window], whole: &KpiAnswer) {
    let key = |row: &KpiRow, at| (row.kpi.clone(), row.dims.clone(), at);
    let known: BTreeSet<_> = rows.iter().map(|row| key(row, row.period_start)).collect();
    let mut groups = BTreeSet::new();
    let mut missing = Vec::new();
    for row in rows.iter() {
        if !groups.insert((&row.kpi, &row.dims)) {
            continue;
        }
        for window in windows {
            if !known.contains(&key(row, Some(UtcMicros(window.bucket)))) {
                missing.push(empty(row, *window, whole));
            }
        }
    }
    rows.append(&mut missing);
}

fn empty(row: &KpiRow, window: Window, whole: &KpiAnswer) -> KpiRow {
    let about = whole.kpis.iter().find(|about| about.id == row.kpi);
    let stretch = (Some(window.from), Some(window.to));
    KpiRow {
        period_start: Some(UtcMicros(window.bucket)),
        value: about.and_then(|about| whole.nothing(about, stretch)),
        numerator: None,
        denominator: None,
        n: None,
        interval: None,
        previous: None,
        difference: None,
        parts: Vec::new(),
        ..row.clone()
    }
}

/// A value has the target of its bucket, not that of where its rows begin.
fn aim(asker: &Asker<'_>, rows: &mut [KpiRow]) {
    for row in rows {
        let (Some(kpi), Some(at)) = (asker.catalogue.get(&row.kpi), row.period_start) else {
            continue;
        };
        let dims = row.dims.iter();
        let named: Vec<(&str, &str)> = dims
            .filter_map(|(name, value)| Some((name.as_str(), value.as_deref()?)))
            .collect();
        let goal = asker.targets.goal(kpi, &named, at);
        row.target = goal.target;
        row.status = kpi::status(row.value, row.n, &goal, kpi.direction);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::functions::calendar::{Grain, parse_zone};

    fn at(text: &str) -> UtcMicros {
        UtcMicros::parse_rfc3339(text).expect("a time")
    }

    #[track_caller]
    fn check(over: Over, zone: &str, expected: &[[&str; 3]]) {
        let request = KpiRequest {
            from: Some(at("2025-03-08T12:00:00Z")),
            to: Some(at("2025-03-10T12:00:00Z")),
            grain: Some(Grain::D1),
            ..KpiRequest::default()
        };
        let zone = parse_zone(zone).expect("a zone");
        let found = windows(&request, over, zone).expect("windows");
        let told = |w: &Window| [w.bucket, w.from, w.to].map(|t| UtcMicros(t).to_string());
        let found: Vec<_> = found.iter().map(told).collect();
        let expected: Vec<_> = expected
            .iter()
            .map(|texts| texts.map(|text| at(text).to_string()))
            .collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn a_rolling_value_is_over_whole_buckets_of_the_zone_up_to_the_end_of_the_range() {
        // The clocks go forward on 9 March.
        check(
            Over::Buckets(2),
            "America/New_York",
            &[
                [
                    "2025-03-08T05:00:00Z",
                    "2025-03-07T05:00:00Z",
                    "2025-03-09T05:00:00Z",
                ],
                [
                    "2025-03-09T05:00:00Z",
                    "2025-03-08T05:00:00Z",
                    "2025-03-10T04:00:00Z",
                ],
                [
                    "2025-03-10T04:00:00Z",
                    "2025-03-09T05:00:00Z",
                    "2025-03-10T12:00:00Z",
                ],
            ],
        );
    }

    #[test]
    fn a_running_value_is_over_everything_from_the_start_of_the_range() {
        check(
            Over::Start,
            "UTC",
            &[
                [
                    "2025-03-08T00:00:00Z",
                    "2025-03-08T12:00:00Z",
                    "2025-03-09T00:00:00Z",
                ],
                [
                    "2025-03-09T00:00:00Z",
                    "2025-03-08T12:00:00Z",
                    "2025-03-10T00:00:00Z",
                ],
                [
                    "2025-03-10T00:00:00Z",
                    "2025-03-08T12:00:00Z",
                    "2025-03-10T12:00:00Z",
                ],
            ],
        );
    }
}
