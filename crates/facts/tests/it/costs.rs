//! Cost lines, cut to days.

use events::*;
use facts::FactRows;

use crate::scene::*;

fn utc(text: &str) -> UtcMicros {
    UtcMicros::parse_rfc3339(text).expect("a time")
}

fn cost(zone: &str, from: &str, to: &str, amount: &str) -> Scene {
    let mut s = Scene::new();
    s.add(
        0.0,
        CostPosted {
            cost_id: "k1".into(),
            pool: CostPool::Labour,
            purpose: CostPurpose::Sales,
            period_start: utc(from),
            period_end: utc(to),
            zone: zone.into(),
            amount: Money {
                amount: Decimal::parse(amount).expect("an amount"),
                currency: "CNY".into(),
            },
            site_id: None,
            queue_id: Some("sales".into()),
            channel: None,
            campaign: None,
            allocate_by: AllocateBy::None,
        },
    );
    s
}

fn days(rows: &FactRows) -> Vec<(String, String)> {
    rows.Cost
        .iter()
        .map(|c| (c.day.to_string(), c.amount.to_string()))
        .collect()
}

fn pairs(expected: &[(&str, &str)]) -> Vec<(String, String)> {
    expected
        .iter()
        .map(|(day, amount)| ((*day).to_owned(), (*amount).to_owned()))
        .collect()
}

#[test]
fn a_cost_of_one_day_in_its_own_zone_stays_whole() {
    let rows = cost(
        "Asia/Shanghai",
        "2026-03-01T16:00:00Z",
        "2026-03-02T16:00:00Z",
        "1200.50",
    )
    .fold();
    assert_eq!(days(&rows), pairs(&[("2026-03-02", "1200.5000")]));
    let day = &rows.Cost[0];
    assert_eq!(day.day_at, utc("2026-03-01T16:00:00Z"));
    assert_eq!(day.day_ends_at, Some(utc("2026-03-02T16:00:00Z")));
    let row = cost_day(&rows, "2026-03-02");
    assert_eq!(row.day_at, utc("2026-03-01T16:00:00Z"));
    assert_eq!(
        (row.queue_id.as_deref(), row.pool.as_str()),
        (Some("sales"), "labour")
    );
}

#[test]
fn parts_of_a_cost_sum_to_it_exactly() {
    let rows = cost(
        "UTC",
        "2026-03-01T00:00:00Z",
        "2026-03-04T00:00:00Z",
        "100.0000",
    )
    .fold();
    assert_eq!(
        days(&rows),
        pairs(&[
            ("2026-03-01", "33.3333"),
            ("2026-03-02", "33.3334"),
            ("2026-03-03", "33.3333")
        ])
    );
    for amount in ["0.0001", "-7.7777", "99999999999999.9999"] {
        let line = cost(
            "Asia/Kathmandu",
            "2026-01-01T05:00:00Z",
            "2026-12-31T03:07:09Z",
            amount,
        );
        let sum: i128 = line.fold().Cost.iter().map(|c| c.amount.0).sum();
        assert_eq!(Decimal(sum), Decimal::parse(amount).expect("an amount"));
    }
}

#[test]
fn days_of_23_and_25_hours_get_their_share() {
    // New York: clocks go forward on 2026-03-08 and back on 2026-11-01.
    let rows = cost(
        "America/New_York",
        "2026-03-08T05:00:00Z",
        "2026-03-10T04:00:00Z",
        "47.0000",
    )
    .fold();
    assert_eq!(
        days(&rows),
        pairs(&[("2026-03-08", "23.0000"), ("2026-03-09", "24.0000")])
    );
    let rows = cost(
        "America/New_York",
        "2026-11-01T04:00:00Z",
        "2026-11-03T05:00:00Z",
        "49.0000",
    )
    .fold();
    assert_eq!(
        days(&rows),
        pairs(&[("2026-11-01", "25.0000"), ("2026-11-02", "24.0000")])
    );
}

#[test]
fn a_day_whose_midnight_is_skipped_starts_at_the_skip_and_a_skipped_day_has_no_row() {
    // Cairo skips from 0:00 to 1:00 on 2026-04-24; Apia skipped 2011-12-30 altogether.
    let rows = cost(
        "Africa/Cairo",
        "2026-04-23T22:00:00Z",
        "2026-04-24T21:00:00Z",
        "23.0000",
    )
    .fold();
    assert_eq!(days(&rows), pairs(&[("2026-04-24", "23.0000")]));
    let line = cost(
        "Pacific/Apia",
        "2011-12-29T10:00:00Z",
        "2011-12-31T10:00:00Z",
        "48.0000",
    );
    assert_eq!(
        days(&line.fold()),
        pairs(&[("2011-12-29", "24.0000"), ("2011-12-31", "24.0000")])
    );
}

#[test]
fn a_cost_of_no_time_belongs_to_the_day_it_names() {
    let rows = cost(
        "UTC",
        "2026-03-02T00:00:00Z",
        "2026-03-02T00:00:00Z",
        "5.0000",
    )
    .fold();
    assert_eq!(days(&rows), pairs(&[("2026-03-02", "5.0000")]));
}

#[test]
fn bad_periods_and_zones_lose_no_money() {
    let rows = cost(
        "UTC",
        "2026-03-02T01:00:00Z",
        "2026-03-01T00:00:00Z",
        "5.0000",
    )
    .fold();
    assert_eq!(
        (days(&rows), issues(&rows)),
        (pairs(&[("2026-03-02", "5.0000")]), vec!["bad_order"])
    );
    let rows = cost(
        "Mars/Base",
        "2026-03-02T01:00:00Z",
        "2026-03-02T02:00:00Z",
        "5.0000",
    )
    .fold();
    assert_eq!(issues(&rows), ["bad_zone"]);
    assert_eq!(rows.Cost[0].common.flags, ["bad_zone"]);
    let rows = cost(
        "UTC",
        "1980-01-01T00:00:00Z",
        "9999-01-01T00:00:00Z",
        "5.0000",
    )
    .fold();
    assert_eq!((rows.Cost.len(), issues(&rows)), (1, vec!["bad_order"]));
}

#[test]
fn a_cost_line_posted_twice_counts_once() {
    let mut s = cost(
        "UTC",
        "2026-03-02T00:00:00Z",
        "2026-03-03T00:00:00Z",
        "5.0000",
    );
    let again = s.events[0].data.clone();
    s.add(1.0, again);
    let rows = s.fold();
    assert_eq!((rows.Cost.len(), issues(&rows)), (1, vec!["second_start"]));
}
