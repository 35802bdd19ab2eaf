//! `GET /api/v1/kpi`: the same numbers as the engine's own, and what is refused.

use std::sync::atomic::Ordering;

use engine::{Compare, Grain, KpiAnswer, KpiRequest, KpiRow, Only};
use events::UtcMicros;
use serde_json::Value;

use crate::real::{self, Real};

fn at(text: &str) -> Option<UtcMicros> {
    Some(UtcMicros::parse_rfc3339(text).expect("a time"))
}

const FROM: &str = "2026-03-01T16:00:00Z";
const TO: &str = "2026-03-02T12:00:00Z";

fn request(ids: &[&str]) -> KpiRequest {
    KpiRequest {
        ids: ids.iter().map(|id| (*id).to_owned()).collect(),
        from: at(FROM),
        to: at(TO),
        zone: Some("UTC".to_owned()),
        ..KpiRequest::default()
    }
}

/// Equal but for the last bit, which reading a number back may cost.
#[track_caller]
fn same(json: &Value, number: Option<f64>, row: &KpiRow) {
    match (json.as_f64(), number) {
        (None, None) => assert!(json.is_null(), "{row:?}"),
        (Some(a), Some(b)) => assert!((a - b).abs() <= b.abs() * 1e-15, "{a} {b} {row:?}"),
        _ => panic!("{json} is not {number:?}: {row:?}"),
    }
}

/// Compares every row of the engine with its point in the answer; how many have a value.
fn compare(real: &Real, query: &str, request: &KpiRequest) -> usize {
    let query = format!("/api/v1/kpi?from={FROM}&to={TO}&{query}");
    let reply = real.get(&query);
    assert_eq!(reply.status, 200, "{query}: {reply:?}");
    let (json, answer): (Value, KpiAnswer) = (reply.json(), real.kpi(request));
    let series = json["series"].as_array().expect("series");
    let points = series.iter().flat_map(|series| {
        let points = series["points"].as_array().expect("points");
        points.iter().map(move |point| (series, point))
    });
    let points: Vec<_> = points.collect();
    assert_eq!(points.len(), answer.rows.len(), "{query}");
    for ((series, point), row) in points.iter().zip(&answer.rows) {
        assert_eq!(series["metric"], row.kpi);
        let dims = series["dims"].as_object().expect("dimensions");
        assert_eq!(dims.len(), row.dims.len(), "{row:?}");
        for (name, value) in &row.dims {
            assert_eq!(dims[name].as_str(), value.as_deref(), "{row:?}");
        }
        if let Some(start) = row.period_start {
            assert_eq!(point["start"], start.to_string());
        }
        same(&point["value"], row.value, row);
        same(&point["num"], row.numerator, row);
        same(&point["den"], row.denominator, row);
        same(&point["n"], row.n, row);
        same(&point["target"], row.target, row);
        assert_eq!(point["status"], row.status.word());
        if request.compare.is_some() || request.control.is_some() {
            same(&point["compared"]["previous"], row.previous, row);
            let ends = row.difference.map(|ends| (ends.low, ends.high));
            same(&point["compared"]["low"], ends.map(|ends| ends.0), row);
            same(&point["compared"]["high"], ends.map(|ends| ends.1), row);
        }
        same(&point["low"], row.interval.map(|ends| ends.low), row);
        same(&point["high"], row.interval.map(|ends| ends.high), row);
    }
    answer.rows.iter().filter(|row| row.value.is_some()).count()
}

#[test]
fn numbers_are_those_of_the_engine_however_they_are_cut() {
    let real = real::start();
    let ids = [
        "offered",
        "service_level",
        "asa",
        "abandon_rate",
        "wait_p90",
    ];
    let metric = format!("metric={}", ids.join(","));
    assert_eq!(compare(&real, &metric, &request(&ids)), ids.len());
    let mut cut = request(&ids);
    cut.grain = Some(Grain::H1);
    cut.by = vec!["queue_id".to_owned(), "channel".to_owned()];
    cut.totals = true;
    cut.zone = Some("Asia/Kathmandu".to_owned());
    let query = format!("{metric}&grain=1h&by=queue_id,channel&totals=true&zone=Asia/Kathmandu");
    assert!(compare(&real, &query, &cut) > 50);
    let queues = real.kpi(&KpiRequest {
        by: vec!["queue_id".to_owned()],
        ..request(&["offered"])
    });
    let names: Vec<&str> = queues
        .rows
        .iter()
        .filter_map(|r| r.dims[0].1.as_deref())
        .collect();
    assert!(names.len() > 2, "{names:?}");
    let mut held = request(&ids);
    held.only = vec![
        Only {
            dimension: "queue_id".to_owned(),
            values: vec![names[0].to_owned(), names[1].to_owned()],
        },
        Only {
            dimension: "channel".to_owned(),
            values: vec!["voice".to_owned(), "a,b\\c".to_owned()],
        },
    ];
    let filter = format!("filter=queue_id:{},{}", names[0], names[1]);
    let query = format!("{metric}&{filter}&filter=channel%3Avoice%2Ca%5C%2Cb%5C%5Cc");
    compare(&real, &query, &held);
    let mut beside = request(&ids);
    beside.grain = Some(Grain::M30);
    beside.fill = true;
    beside.compare = Some(Compare::Previous);
    let query = format!("{metric}&grain=30m&fill=true&compare=previous");
    assert!(compare(&real, &query, &beside) > 20);

    let mut rolling = request(&ids);
    rolling.grain = Some(engine::Grain::H1);
    rolling.over = Some(engine::Over::Buckets(3));
    let query = format!("{metric}&grain=1h&rolling=3");
    assert!(compare(&real, &query, &rolling) > 20);
    let mut running = request(&ids[..4]);
    running.grain = rolling.grain;
    running.over = Some(engine::Over::Start);
    running.compare = Some(Compare::Weeks(4));
    let metric = ids[..4].join(",");
    let query = format!("metric={metric}&grain=1h&running=true&compare=avg4w");
    assert!(compare(&real, &query, &running) > 20);
}

#[test]
fn samples_baselines_and_control_groups_have_their_intervals() {
    let real = real::start();
    let ids = ["service_level", "abandon_rate", "offered", "csat"];
    let metric = format!("metric={}", ids.join(","));
    let mut baseline = request(&ids);
    baseline.compare = Some(Compare::Baseline(
        at("2026-03-01T16:00:00Z").expect("a time"),
        at("2026-03-02T06:00:00Z").expect("a time"),
    ));
    let query = format!("{metric}&compare=2026-03-01T16:00:00Z..2026-03-02%2006:00");
    assert!(compare(&real, &query, &baseline) > 2);
    let answer = real.kpi(&baseline);
    // A part of the range itself: what is in both would make the interval too narrow.
    let row = &answer.rows[0];
    assert!(
        row.previous.is_some() && row.difference.is_none(),
        "{row:?}"
    );
    let csat = answer.rows.iter().find(|row| row.kpi == "csat");
    let csat = csat.expect("a row");
    assert_eq!(csat.interval.is_some(), csat.value.is_some());

    let mut control = request(&ids[..3]);
    let only = |value: &str| Only {
        dimension: "channel".to_owned(),
        values: vec![value.to_owned()],
    };
    control.only = vec![only("voice")];
    control.control = Some(engine::Control {
        only: vec![only("chat")],
        ..engine::Control::default()
    });
    let metric = ids[..3].join(",");
    let query = format!("metric={metric}&filter=channel:voice&control=channel:chat");
    assert!(compare(&real, &query, &control) > 2);
    let answer = real.kpi(&control);
    assert!(answer.rows[0].difference.is_some(), "{:?}", answer.rows[0]);
    let path = format!("/api/v1/kpi?from={FROM}&to={TO}&{query}");
    let meta = real.get(&path).json()["meta"].clone();
    let beside = serde_json::json!({"kind": "control", "from": FROM, "to": TO});
    assert_eq!(meta["compare"], beside);
    assert_eq!(meta["kpis"][0]["sample"], false);
}

#[test]
fn an_answer_says_what_it_is() {
    let real = real::start();
    let path =
        "/api/v1/kpi?metric=service_level&window=today&zone=Asia/Shanghai&grain=1h&compare=-1d";
    let json = real.get(path).json();
    let meta = &json["meta"];
    assert_eq!(meta["from"], FROM);
    assert_eq!(meta["to"], TO);
    assert_eq!(meta["zone"], "Asia/Shanghai");
    assert_eq!(meta["grain"], "1h");
    assert_eq!(meta["compare"]["kind"], "-1d");
    assert_eq!(meta["compare"]["from"], "2026-02-28T16:00:00Z");
    assert_eq!(meta["compare"]["to"], "2026-03-01T12:00:00Z");
    let kpi = &meta["kpis"][0];
    assert_eq!(
        (&kpi["kpi"], &kpi["unit"]),
        (&"service_level".into(), &"ratio".into())
    );
    assert_eq!(kpi["params"]["threshold"], 20_000);
    assert_eq!(kpi["definition_hash"].as_str().map(str::len), Some(64));
    assert!(meta["revision"].as_u64().is_some_and(|commit| commit > 0));
    let points = json["series"][0]["points"].as_array().expect("points");
    let last = points.last().expect("an hour");
    let hour = |point: &Value, key: &str| {
        UtcMicros::parse_rfc3339(point[key].as_str().expect("a time")).expect("a time")
    };
    assert_eq!(hour(last, "end").0 - hour(last, "start").0, 3_600_000_000);
    assert_eq!(points[0]["open"], false);
    assert_eq!(points[0]["compared"]["previous"], Value::Null);
}

#[test]
fn before_the_data_and_after_now_there_is_no_value_and_a_quiet_hour_is_zero() {
    let real = real::start();
    let null = &Value::Null;
    let hours = || -> Vec<(String, Value)> {
        let range = "from=2026-03-01T12:00:00Z&to=2026-03-02T18:00:00Z&grain=1h&fill=true";
        let json = real
            .get(&format!("/api/v1/kpi?metric=offered&{range}"))
            .json();
        let points = json["series"][0]["points"].as_array().expect("points");
        let told = |point: &Value| {
            let start = point["start"].as_str().expect("a time").to_owned();
            (start, point["value"].clone())
        };
        points.iter().map(told).collect()
    };
    let known = |hours: &[(String, Value)]| -> Vec<bool> {
        hours.iter().map(|(_, value)| value != null).collect()
    };
    // From the floor's first event on, a message at night, and up to the hour of now: that agents are
    // named from four on tells nothing of contacts.
    let at_noon = hours();
    let expected: Vec<bool> = (0..30).map(|hour| (6..=24).contains(&hour)).collect();
    assert_eq!(known(&at_noon), expected, "{at_noon:?}");
    assert_eq!(at_noon[24].1, 0.0, "now");
    real.clock.fetch_add(4 * 3_600_000_000, Ordering::SeqCst);
    let later = hours();
    let expected: Vec<bool> = (0..30).map(|hour| (6..=28).contains(&hour)).collect();
    assert_eq!(known(&later), expected, "{later:?}");
    assert!(
        later[24..29].iter().all(|(_, value)| *value == 0.0),
        "{later:?}"
    );

    let query = "from=2026-03-02&to=2026-03-03&zone=Asia/Shanghai&compare=previous";
    let json = real
        .get(&format!("/api/v1/kpi?metric=offered&{query}"))
        .json();
    let compared = &json["series"][0]["points"][0]["compared"];
    assert_eq!(
        (&compared["previous"], &compared["difference"]),
        (null, null)
    );
    let begins = json["meta"]["incomplete_before"].as_str();
    assert!(begins.is_some_and(|at| at.starts_with("2026-03-01T18:")));
    for (query, open) in [
        ("window=today", true),
        ("from=2026-03-02&to=2026-03-02T16:00:00Z", false),
        ("from=2026-03-02&to=2026-03-02T16:00:01Z", true),
    ] {
        let json = real
            .get(&format!("/api/v1/kpi?metric=offered&{query}"))
            .json();
        assert_eq!(json["meta"]["as_of"], "2026-03-02T16:00:00Z");
        assert_eq!(json["series"][0]["points"][0]["open"], open, "{query}");
    }
}

#[test]
fn windows_end_now() {
    let real = real::start_empty(|_| {});
    let range = |query: &str| {
        let json = real
            .get(&format!("/api/v1/kpi?metric=offered&{query}"))
            .json();
        let meta = &json["meta"];
        [&meta["from"], &meta["to"]].map(|at| at.as_str().unwrap_or_default().to_owned())
    };
    let noon = "2026-03-02T12:00:00Z";
    for (query, from) in [
        ("window=today", "2026-03-02T00:00:00Z"),
        ("window=today&zone=America/New_York", "2026-03-02T05:00:00Z"),
        (
            "window=interval&zone=Asia/Kathmandu",
            "2026-03-02T11:45:00Z",
        ),
        ("window=interval&grain=1d", "2026-03-02T00:00:00Z"),
        ("window=last_5m", "2026-03-02T11:55:00Z"),
        ("window=last_24h", "2026-03-01T12:00:00Z"),
    ] {
        assert_eq!(range(query), [from, noon], "{query}");
    }
    // A plus sign that nobody escaped.
    let query = "from=2026-03-02T08:00:00+08:00&to=2026-03-02T12:00:00Z";
    assert_eq!(range(query), ["2026-03-02T00:00:00Z", noon]);
    let query = "from=2026-03-02&to=2026-03-03&zone=Asia/Shanghai";
    assert_eq!(
        range(query),
        ["2026-03-01T16:00:00Z", "2026-03-02T16:00:00Z"]
    );
}

/// Query | status | code | what the answer says.
const REFUSED: &str = "\
window=today | 400 | bad_parameter | `metric` is missing
metric=offered&metrics=x | 400 | bad_parameter | not known here
metric=offered&metric=asa | 400 | bad_parameter | there twice
metric=servise_level | 404 | not_found | service_level
metric=a,b,c,d,e,f,g,h,i,j,k,l,m,n,o,p,q,r,s,t,u | 400 | bad_parameter | at most 20
metric=offered&by=agent_id | 400 | kpi_misuse | queue_id, channel
metric=offered&by=a,b,c,d,e | 400 | bad_parameter | at most 4
metric=offered&filter=agent_id:x | 400 | kpi_misuse | queue_id, channel
metric=offered&filter=x | 400 | bad_parameter | dimension:value
metric=offered&grain=7m | 400 | bad_parameter | one of 15m
metric=offered&zone=Mars/Base | 400 | bad_parameter | IANA
metric=offered&window=last_1m | 400 | bad_parameter | last_5m
metric=offered&window=today&from=2026-03-02 | 400 | bad_parameter | exclude
metric=offered&from=yesterday | 400 | bad_parameter | is not a time
metric=offered&compare=-1d | 400 | bad_parameter | needs a `window`
metric=offered&compare=avg5w&window=today | 400 | bad_parameter | avg4w
metric=wait_p90&compare=avg4w&window=today | 400 | kpi_misuse | percentile
metric=offered&compare=-1d&window=today&grain=1mo | 400 | kpi_misuse | no counterpart
metric=offered&compare=2026-03-02..2026-03-01&window=today | 400 | bad_parameter | is empty
metric=offered&compare=2026-03-01..2026-03-02&window=today&grain=1h | 400 | kpi_misuse | baseline
metric=offered&compare=-1d&control=queue_id:a&window=today | 400 | kpi_misuse | not with both
metric=offered&control=x&window=today | 400 | bad_parameter | dimension:value
metric=offered&totals=true | 400 | bad_parameter | needs `by`
metric=offered&totals=yes | 400 | bad_parameter | true or false
metric=offered&cohort=event | 400 | bad_parameter | answered_event
metric=offered&rolling=3 | 400 | bad_parameter | needs `grain`
metric=offered&running=true&window=today | 400 | bad_parameter | `running` needs `grain`
metric=offered&rolling=0&window=today&grain=1h | 400 | bad_parameter | 1 to 366
metric=offered&rolling=2&running=true&window=today&grain=1h | 400 | bad_parameter | exclude
metric=offered&rolling=2&from=2020-01-01&to=2026-01-01&grain=1h | 400 | kpi_misuse | 400 buckets";

#[test]
fn what_cannot_be_asked_is_refused_with_what_can() {
    let real = real::start_empty(|_| {});
    for case in REFUSED.lines() {
        let [query, status, code, part] = case.split(" | ").collect::<Vec<_>>()[..] else {
            panic!("not four columns: {case}");
        };
        let reply = real.get(&format!("/api/v1/kpi?{}", query.trim()));
        assert_eq!(reply.status.to_string(), status, "{case}: {reply:?}");
        assert_eq!(reply.error_code(), code, "{case}: {reply:?}");
        assert!(reply.body.contains(part), "{case}: {reply:?}");
    }
    let unknown = real.get("/api/v1/kpi?metric=nope").json();
    let hint = &unknown["error"]["hint"];
    assert_eq!(hint, "GET /api/v1/catalog lists all ids", "{unknown}");
    let values = vec!["x"; 201].join(",");
    let reply = real.get(&format!(
        "/api/v1/kpi?metric=offered&filter=queue_id:{values}"
    ));
    assert!(
        reply.status == 400 && reply.body.contains("200"),
        "{reply:?}"
    );
}
