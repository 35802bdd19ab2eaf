//! Costs, cut to the days of the line's own zone.

use std::str::FromStr;

use chrono::{DateTime, Datelike, Days, NaiveDate, NaiveTime, TimeDelta, TimeZone, Utc};
use chrono_tz::Tz;
use events::*;
use smol_str::format_smolstr;

use super::{Sink, drafts::*, gather::Gathered, sink::Flags};
use crate::Cost;

/// Years that a cost can be of.
const YEARS: std::ops::Range<i32> = 1900..10_000;

/// Adds the rows of all cost lines.
pub(crate) fn cost_rows(g: &Gathered<'_>, sink: &mut Sink<'_>) {
    for draft in g.costs.iter() {
        let Some((first, others)) = draft.posted.split_first() else {
            continue;
        };
        for other in others {
            sink.issue("second_start", "cost", draft.id, other.event);
        }
        cost_line(draft.id, first, sink);
    }
}

fn cost_line(id: &Text, posted: &Said<'_, CostPosted>, sink: &mut Sink<'_>) {
    let data = posted.data;
    let mut flags = Flags::NONE;
    let zone = Tz::from_str(&data.zone).unwrap_or_else(|_| {
        flags.set_if(Flags::BAD_ZONE, true);
        sink.issue("bad_zone", "cost", id, posted.event);
        Tz::UTC
    });
    let length = data.period_end.0.saturating_sub(data.period_start.0);
    let longest = sink
        .ctx
        .settings
        .max_cost_days
        .saturating_mul(24 * 3_600_000_000);
    let bad_length = length < 0 || length > longest;
    if bad_length {
        flags.set_if(Flags::BAD_ORDER, true);
        sink.issue("bad_order", "cost", id, posted.event);
    }
    let end = if bad_length {
        data.period_start
    } else {
        data.period_end
    };
    let Some(days) = days(zone, data.period_start, end) else {
        return sink.issue("bad_time", "cost", id, posted.event);
    };
    let amounts = split(data.amount.amount, &days);
    for (day, amount) in days.iter().zip(amounts) {
        let row = cost_row(id, data, day, amount, sink.common(false, flags));
        sink.rows.Cost.push(row);
    }
}

fn cost_row(
    id: &Text,
    data: &CostPosted,
    day: &Day,
    amount: Decimal,
    common: crate::Common,
) -> Cost {
    Cost {
        common,
        cost_id: id.clone(),
        day: format_smolstr!("{}", day.date),
        day_at: day.starts_at,
        day_ends_at: Some(day.ends_at),
        pool: Text::new_static(data.pool.as_str()),
        purpose: Text::new_static(data.purpose.as_str()),
        site_id: data.site_id.clone(),
        queue_id: data.queue_id.clone(),
        channel: data.channel.map(|c| Text::new_static(c.as_str())),
        campaign: data.campaign.clone(),
        amount,
        currency: data.amount.currency.clone(),
        allocated: false,
    }
}

/// A day of a zone and how much of a period lies in it.
#[derive(Debug)]
struct Day {
    date: NaiveDate,
    starts_at: UtcMicros,
    ends_at: UtcMicros,
    micros: i64,
}

/// The days that a period touches; one day for an empty period. `None` outside the calendar.
fn days(zone: Tz, start: UtcMicros, end: UtcMicros) -> Option<Vec<Day>> {
    let first = DateTime::<Utc>::from_timestamp_micros(start.0)?;
    if !(YEARS.contains(&first.year())) {
        return None;
    }
    let mut date = first.with_timezone(&zone).date_naive();
    let mut starts_at = day_start(zone, date)?;
    let mut days = Vec::new();
    loop {
        let next = date.checked_add_days(Days::new(1))?;
        let next_at = day_start(zone, next)?;
        let micros = next_at.min(end).0 - starts_at.max(start).0;
        if micros > 0 || (days.is_empty() && end <= next_at && next_at > start) {
            days.push(Day {
                date,
                starts_at,
                ends_at: next_at,
                micros: micros.max(0),
            });
        }
        if next_at >= end {
            return Some(days);
        }
        (date, starts_at) = (next, next_at);
    }
}

/// The first instant of a local day. Where clocks skip midnight it is the moment of the skip.
fn day_start(zone: Tz, date: NaiveDate) -> Option<UtcMicros> {
    let midnight = date.and_time(NaiveTime::MIN);
    // Clocks move by quarters of an hour, at most by the whole day that Samoa skipped in 2011.
    (0..=96).find_map(|quarter| {
        let local = midnight.checked_add_signed(TimeDelta::minutes(15 * quarter))?;
        let found = zone.from_local_datetime(&local).earliest()?;
        Some(UtcMicros(found.timestamp_micros()))
    })
}

/// Splits an amount by time. Each part is the difference of two rounded running totals, so the
/// parts sum to the amount exactly.
fn split(amount: Decimal, days: &[Day]) -> Vec<Decimal> {
    let total: i128 = days.iter().map(|d| i128::from(d.micros)).sum();
    let (mut elapsed, mut given) = (0, 0);
    let part = |day: &Day| {
        elapsed += i128::from(day.micros);
        let until = if total == 0 {
            amount.0
        } else {
            rounded(amount.0 * elapsed, total)
        };
        let part = until - given;
        given = until;
        Decimal(part)
    };
    days.iter().map(part).collect()
}

/// Quotient rounded to the nearest whole number, halves away from zero.
fn rounded(dividend: i128, divisor: i128) -> i128 {
    let half = divisor / 2 * dividend.signum();
    (dividend + half) / divisor
}
