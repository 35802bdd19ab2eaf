//! Alerts in a stream.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use server::alerts::AlertValue;

use super::{
    floor::{Floor, count, total},
    sse::Sse,
};

const SINCE: i64 = 1_772_500_000_000;

fn alert(id: &str, state: &'static str) -> AlertValue {
    AlertValue {
        id: id.to_owned(),
        rule: "slow".to_owned(),
        scope: "q.sales".to_owned(),
        figure: "oldest".to_owned(),
        state,
        since: SINCE,
        changed_at: SINCE,
        ended_at: (state == "ok").then_some(SINCE + 1),
        value: Some(90_000.0),
        peak: Some(95_000.0),
        n: None,
        acknowledged_by: None,
        note: None,
    }
}

/// Ids of the alerts that an event lists.
fn ids(data: &Value) -> Vec<&str> {
    let alerts = data["alerts"].as_array().expect("a list");
    alerts
        .iter()
        .filter_map(|alert| alert["id"].as_str())
        .collect()
}

#[test]
fn alerts_reach_those_who_read_and_those_who_come_later() {
    let (setup, mut floor) = Floor::open(|_| {});
    let send = |id: &str, state| setup.alerts.tell(&alert(id, state));
    floor.show([(total("waiting"), count(1))]);
    let mut early = Sse::open(setup.client(), "", &[]);
    early.wait_for("snapshot");
    assert_eq!(early.wait_for("alerts").data, json!({"alerts": []}));
    send("over", "warn");
    let event = early.wait_for("alert");
    assert_eq!(
        event.data,
        json!({"id": "over", "rule": "slow", "scope": "q.sales", "figure": "oldest",
               "state": "warn", "since": SINCE, "changed_at": SINCE, "ended_at": null,
               "value": 90_000.0, "peak": 95_000.0, "n": null, "acknowledged_by": null,
               "note": null})
    );
    // No place to go on from: the newest id stays that of a frame.
    assert_eq!(event.id, "");
    for (id, state) in [("stays", "warn"), ("over", "ok"), ("stays", "critical")] {
        send(id, state);
        let event = early.wait_for("alert");
        assert_eq!(
            (&event.data["id"], &event.data["state"]),
            (&json!(id), &json!(state))
        );
    }
    // Whatever a reader knew of: what is not among these is over.
    let mut late = Sse::open(setup.client(), "", &[("last-event-id", "7-1-now")]);
    let event = late.wait_for("alerts");
    assert_eq!((ids(&event.data), event.id.as_str()), (vec!["stays"], ""));
    assert_eq!(event.data["alerts"][0]["state"], "critical");
    let polled = setup.client().get("/api/v1/live/snapshot");
    assert_eq!(ids(&polled.json()), ["stays"], "{polled:?}");
    send("new", "unknown");
    assert_eq!(late.wait_for("alert").data["id"], "new");
    let changed = setup.client().get("/api/v1/live/snapshot");
    assert_ne!(changed.header("etag"), polled.header("etag"));
    assert_eq!(ids(&changed.json()), ["stays", "new"]);
}

#[test]
fn of_many_alerts_at_once_none_that_is_open_is_lost() {
    let (setup, mut floor) = Floor::open(|_| {});
    floor.show([(total("waiting"), count(1))]);
    let mut stream = Sse::open(setup.client(), "", &[]);
    stream.wait_for("alerts");
    for n in 0..5_000 {
        setup.alerts.tell(&alert(&format!("a{n}"), "warn"));
    }
    for n in (0..5_000).filter(|n| n % 2 == 0) {
        setup.alerts.tell(&alert(&format!("a{n}"), "ok"));
    }
    setup.alerts.tell(&alert("last", "warn"));
    let mut known = BTreeSet::new();
    while !known.contains("last") {
        let Some(event) = stream.next() else {
            panic!("it ended")
        };
        match &*event.name {
            "alerts" => known = ids(&event.data).into_iter().map(str::to_owned).collect(),
            "alert" => {
                let id = event.data["id"].as_str().expect("an id").to_owned();
                match event.data["ended_at"].is_null() {
                    true => known.insert(id),
                    false => known.remove(&id),
                };
            }
            _ => {}
        }
    }
    let odd = (0..5_000).filter(|n| n % 2 == 1).map(|n| format!("a{n}"));
    let expected: BTreeSet<String> = odd.chain(["last".to_owned()]).collect();
    assert_eq!(known, expected);
    let mut late = Sse::open(setup.client(), "", &[]);
    assert_eq!(ids(&late.wait_for("alerts").data).len(), 2_501);
    floor.show([(total("waiting"), count(2))]);
    assert_eq!(stream.wait_for("delta").value("t.waiting"), 2);
}
