//! Alerts in a stream.

use std::sync::Arc;

use serde_json::json;
use server::alerts::AlertValue;

use super::{
    floor::{Floor, count, total},
    sse::Sse,
};

const SINCE: i64 = 1_772_500_000_000;

fn alert(id: &str, state: &'static str) -> Arc<AlertValue> {
    Arc::new(AlertValue {
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
    })
}

#[test]
fn alerts_reach_those_who_read_and_those_who_come_later() {
    let (setup, mut floor) = Floor::open(|_| {});
    let send = |id: &str, state| setup.alerts.send(alert(id, state)).expect("a server");
    floor.show([(total("waiting"), count(1))]);
    let mut early = Sse::open(setup.client(), "", &[]);
    early.wait_for("snapshot");
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
    let mut late = Sse::open(setup.client(), "", &[]);
    late.wait_for("snapshot");
    let event = late.wait_for("alert");
    assert_eq!(event.data["id"], "stays");
    assert_eq!(event.data["state"], "critical");
    send("new", "unknown");
    assert_eq!(late.wait_for("alert").data["id"], "new");
}

#[test]
fn more_alerts_than_are_kept_do_not_stop_the_stream() {
    let (setup, mut floor) = Floor::open(|_| {});
    floor.show([(total("waiting"), count(1))]);
    let mut stream = Sse::open(setup.client(), "", &[]);
    stream.wait_for("snapshot");
    for n in 0..5_000 {
        setup
            .alerts
            .send(alert(&format!("a{n}"), "warn"))
            .expect("a server");
    }
    while stream.wait_for("alert").data["id"] != "a4999" {}
    floor.show([(total("waiting"), count(2))]);
    assert_eq!(stream.wait_for("delta").value("t.waiting"), 2);
}
