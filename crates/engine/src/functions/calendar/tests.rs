use super::*;
use chrono::{Datelike, NaiveDate};

const GRAINS: [Grain; 8] = [
    Grain::M15,
    Grain::M30,
    Grain::H1,
    Grain::D1,
    Grain::W1,
    Grain::Mo1,
    Grain::Q1,
    Grain::Y1,
];

fn at(text: &str) -> i64 {
    DateTime::parse_from_rfc3339(text)
        .expect("a time")
        .timestamp_micros()
}

fn calendar(grain: &str, zone: &str) -> Calendar {
    Calendar::new(
        parse_grain(grain).expect("a grain"),
        parse_zone(zone).expect("a zone"),
    )
}

/// Start and end of the day bucket of that date; asks at its noon.
fn day(zone: &str, date: &str) -> Bucket {
    let noon = NaiveDate::parse_from_str(date, "%Y-%m-%d")
        .expect("a date")
        .and_hms_opt(12, 0, 0);
    let zone = parse_zone(zone).expect("a zone");
    let noon = zone
        .from_local_datetime(&noon.expect("noon"))
        .single()
        .expect("one noon");
    Calendar::new(Grain::D1, zone).bucket(noon.timestamp_micros())
}

fn check_day(zone: &str, date: &str, hours: f64) {
    let day = day(zone, date);
    assert_eq!(
        (day.end - day.start) as f64 / HOUR as f64,
        hours,
        "{zone} {date}"
    );
}

fn check_buckets(grain: &str, zone: &str, cases: &[(&str, &str)]) {
    let calendar = calendar(grain, zone);
    let times: Vec<i64> = cases.iter().map(|(t, _)| at(t)).collect();
    let starts: Vec<i64> = cases.iter().map(|(_, s)| at(s)).collect();
    assert_eq!(calendar.start_all(&times), starts, "{grain} in {zone}");
}

#[test]
fn days_have_the_length_that_the_zone_gives_them() {
    check_day("America/New_York", "2025-03-09", 23.0);
    check_day("America/New_York", "2025-11-02", 25.0);
    check_day("Europe/London", "2025-10-26", 25.0);
    check_day("Australia/Lord_Howe", "2025-04-06", 24.5);
    check_day("Australia/Lord_Howe", "2025-10-05", 23.5);
    check_day("Asia/Shanghai", "1986-05-04", 23.0);
    check_day("Asia/Shanghai", "2025-03-09", 24.0);
    check_day("Europe/Oslo", "2015-10-25", 25.0);
    check_day("Asia/Kathmandu", "2025-05-01", 24.0);
}

#[test]
fn a_skipped_date_has_no_bucket() {
    let (before, after) = (
        day("Pacific/Apia", "2011-12-29"),
        day("Pacific/Apia", "2011-12-31"),
    );
    assert_eq!(before.end, after.start);
    let days = calendar("1d", "Pacific/Apia");
    assert_eq!(days.starts(before.start, after.end).count(), 2);
    assert_eq!(after.start, at("2011-12-31T00:00:00+14:00"));
}

#[test]
fn the_repeated_hour_is_two_buckets() {
    check_buckets(
        "1h",
        "America/New_York",
        &[
            ("2025-11-02T04:30:00Z", "2025-11-02T00:00:00-04:00"),
            ("2025-11-02T05:10:00Z", "2025-11-02T01:00:00-04:00"),
            ("2025-11-02T05:59:59Z", "2025-11-02T01:00:00-04:00"),
            ("2025-11-02T06:00:00Z", "2025-11-02T01:00:00-05:00"),
            ("2025-11-02T06:59:00Z", "2025-11-02T01:00:00-05:00"),
            ("2025-11-02T07:00:00Z", "2025-11-02T02:00:00-05:00"),
            ("2025-11-03T04:59:59Z", "2025-11-02T23:00:00-05:00"),
        ],
    );
    let day = day("America/New_York", "2025-11-02");
    assert_eq!(
        calendar("1h", "America/New_York")
            .starts(day.start, day.end)
            .count(),
        25
    );
}

#[test]
fn the_skipped_hour_is_no_bucket() {
    check_buckets(
        "hour",
        "America/New_York",
        &[
            ("2025-03-09T06:59:59Z", "2025-03-09T01:00:00-05:00"),
            ("2025-03-09T07:00:00Z", "2025-03-09T03:00:00-04:00"),
            ("2025-03-09T05:00:00Z", "2025-03-09T00:00:00-05:00"),
        ],
    );
    let day = day("America/New_York", "2025-03-09");
    assert_eq!(
        calendar("1h", "America/New_York")
            .starts(day.start, day.end)
            .count(),
        23
    );
}

#[test]
fn days_of_25_hours_hold_what_happened_in_them() {
    check_buckets(
        "1 day",
        "America/New_York",
        &[
            ("2025-11-02T03:59:59Z", "2025-11-01T00:00:00-04:00"),
            ("2025-11-02T04:00:00Z", "2025-11-02T00:00:00-04:00"),
            ("2025-11-03T04:59:59.999999Z", "2025-11-02T00:00:00-04:00"),
            ("2025-11-03T05:00:00Z", "2025-11-03T00:00:00-05:00"),
        ],
    );
}

#[test]
fn half_hours_of_kathmandu_begin_at_quarter_past_and_quarter_to() {
    check_buckets(
        "30 minutes",
        "Asia/Kathmandu",
        &[
            ("2025-05-01T18:14:59Z", "2025-05-01T23:30:00+05:45"),
            ("2025-05-01T18:15:00Z", "2025-05-02T00:00:00+05:45"),
            ("2025-05-01T18:44:59Z", "2025-05-02T00:00:00+05:45"),
            ("2025-05-01T18:45:00Z", "2025-05-02T00:30:00+05:45"),
        ],
    );
}

#[test]
fn a_shift_of_half_an_hour_cuts_an_hour_in_two() {
    check_buckets(
        "1h",
        "Australia/Lord_Howe",
        &[
            ("2025-04-05T14:59:59Z", "2025-04-06T01:00:00+11:00"),
            ("2025-04-05T15:00:00Z", "2025-04-06T01:30:00+10:30"),
            ("2025-04-05T15:29:59Z", "2025-04-06T01:30:00+10:30"),
            ("2025-04-05T15:30:00Z", "2025-04-06T02:00:00+10:30"),
        ],
    );
}

#[test]
fn months_are_those_of_the_zone_also_where_its_offset_changes_inside() {
    check_buckets(
        "1mo",
        "Europe/London",
        &[
            ("2018-09-30T22:59:59Z", "2018-09-01T00:00:00+01:00"),
            ("2018-09-30T23:00:00Z", "2018-10-01T00:00:00+01:00"),
            ("2018-10-31T23:59:59Z", "2018-10-01T00:00:00+01:00"),
            ("2018-11-01T00:00:00Z", "2018-11-01T00:00:00Z"),
        ],
    );
}

#[test]
fn weeks_begin_on_monday_also_over_new_year() {
    check_buckets(
        "week",
        "Asia/Shanghai",
        &[
            ("2025-12-28T15:59:59Z", "2025-12-22T00:00:00+08:00"),
            ("2025-12-28T16:00:00Z", "2025-12-29T00:00:00+08:00"),
            ("2025-12-31T16:00:00Z", "2025-12-29T00:00:00+08:00"),
            ("2026-01-04T15:59:59Z", "2025-12-29T00:00:00+08:00"),
            ("2026-01-04T16:00:00Z", "2026-01-05T00:00:00+08:00"),
        ],
    );
}

#[test]
fn a_day_without_midnight_begins_when_the_clock_has_jumped() {
    let day = day("America/Sao_Paulo", "2017-10-15");
    assert_eq!(day.start, at("2017-10-15T01:00:00-02:00"));
    assert_eq!(day.end - day.start, 23 * HOUR);
}

#[test]
fn a_day_whose_midnight_comes_twice_begins_at_the_first() {
    // Havana puts 01:00 back to 00:00.
    let day = day("America/Havana", "2025-11-02");
    assert_eq!(day.start, at("2025-11-02T00:00:00-04:00"));
    assert_eq!(day.end - day.start, 25 * HOUR);
}

#[test]
fn a_clock_put_back_over_midnight_does_not_tear_days_apart() {
    // St. John's put 00:01 back to 23:01 of the day before.
    let before = day("America/St_Johns", "2010-11-06");
    let after = day("America/St_Johns", "2010-11-07");
    assert_eq!(before.end, after.start);
    assert_eq!(after.start, at("2010-11-07T00:00:00-03:30"));
    let first_midnight = at("2010-11-07T00:00:30-02:30");
    assert_eq!(
        calendar("1d", "America/St_Johns").bucket(first_midnight),
        before
    );
}

#[test]
fn buckets_of_every_grain_cut_time_without_gap_or_overlap() {
    let (from, to) = (at("2010-10-25T00:00:00Z"), at("2012-01-10T00:00:00Z"));
    for zone in [
        "America/St_Johns",
        "Pacific/Apia",
        "Australia/Lord_Howe",
        "Africa/Casablanca",
    ] {
        for grain in GRAINS {
            let calendar = Calendar::new(grain, parse_zone(zone).expect("a zone"));
            let mut at = from;
            while at < to {
                let bucket = calendar.bucket(at);
                assert!(bucket.contains(at), "{grain} {zone} {at}");
                assert_eq!(calendar.bucket(bucket.start), bucket, "{grain} {zone} {at}");
                assert_eq!(
                    calendar.bucket(bucket.end - 1),
                    bucket,
                    "{grain} {zone} {at}"
                );
                at = bucket.end;
            }
        }
    }
}

#[test]
fn offsets_equal_those_of_the_zone_data() {
    for zone in [
        "America/New_York",
        "Asia/Gaza",
        "Africa/Casablanca",
        "Africa/Cairo",
    ] {
        let zone = parse_zone(zone).expect("a zone");
        let calendar = Calendar::new(Grain::H1, zone);
        for hour in (0..60 * 8_766).step_by(7) {
            let t = hour * HOUR + 1;
            let utc = DateTime::from_timestamp_micros(t)
                .expect("in range")
                .naive_utc();
            let offset = zone.offset_from_utc_datetime(&utc).fix().local_minus_utc();
            assert_eq!(
                calendar.span_at(t).offset,
                i64::from(offset) * SECOND,
                "{zone} {utc}"
            );
        }
    }
}

#[test]
fn months_of_days_agree_with_the_calendar() {
    for day in (-800_000..1_200_000).step_by(7) {
        let date = NaiveDate::from_epoch_days(day).expect("in range");
        let month = month_of_day(i64::from(day));
        assert_eq!(
            month,
            i64::from(date.year()) * 12 + i64::from(date.month0()),
            "{date}"
        );
        let first = date.with_day(1).expect("every month has a first");
        assert_eq!(
            first_day_of_month(month),
            i64::from(first.to_epoch_days()),
            "{date}"
        );
    }
}

#[test]
fn far_times_are_no_panic() {
    for grain in GRAINS {
        for zone in [Tz::UTC, Tz::Asia__Kathmandu, Tz::America__New_York] {
            let calendar = Calendar::new(grain, zone);
            for t in [i64::MIN, -FAR, at("0001-01-01T00:00:00Z"), 0, FAR, i64::MAX] {
                let bucket = calendar.bucket(t);
                assert!(bucket.start < bucket.end, "{grain} {zone} {t}");
            }
        }
    }
}

#[test]
fn starts_give_every_bucket_that_overlaps_the_range() {
    let hours = calendar("1h", "UTC");
    let (from, to) = (at("2025-05-01T10:30:00Z"), at("2025-05-01T12:00:00Z"));
    let starts: Vec<i64> = hours.starts(from, to).collect();
    assert_eq!(
        starts,
        [at("2025-05-01T10:00:00Z"), at("2025-05-01T11:00:00Z")]
    );
    assert_eq!(hours.starts(to, to).count(), 0);
}

#[test]
fn grains_are_read_in_the_usual_forms() {
    for (text, grain) in [
        ("15m", Grain::M15),
        ("15 minutes", Grain::M15),
        ("30 MIN", Grain::M30),
        ("hour", Grain::H1),
        ("60m", Grain::H1),
        ("1d", Grain::D1),
        ("Week", Grain::W1),
        ("1 month", Grain::Mo1),
        ("quarter", Grain::Q1),
        ("1y", Grain::Y1),
    ] {
        assert_eq!(parse_grain(text), Ok(grain), "{text}");
    }
    for grain in GRAINS {
        assert_eq!(parse_grain(&grain.to_string()), Ok(grain));
    }
    for text in ["", "5m", "2d", "fortnight", "15", "m", "1 mo nth"] {
        assert!(parse_grain(text).is_err(), "{text}");
    }
    assert!(parse_zone("Mars/Olympus").is_err());
}
