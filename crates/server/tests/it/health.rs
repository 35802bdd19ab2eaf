//! `/healthz`, `/readyz`, `/metrics` (H47 to H49).

use std::{collections::BTreeMap, time::Duration};

use ingest::live::LiveState;

use crate::{
    client::NDJSON,
    fake::{NOW, Setup, event, ready, start, start_with},
};

type Change = fn(&mut LiveState);

fn parts_of(setup: &Setup, path: &str) -> (u16, String, String) {
    let reply = setup.client().get(path);
    let json = reply.json();
    let status = json["status"].as_str().expect("a status").to_owned();
    (reply.status, status, json["parts"].to_string())
}

#[test]
fn health_and_readiness_name_what_is_wrong() {
    let setup = start();
    let good = |status: &str| (200, status.to_owned(), "[]".to_owned());
    assert_eq!(parts_of(&setup, "/healthz"), good("ok"));
    for path in ["/readyz", "/readyz?for=ingest", "/readyz?for=query"] {
        assert_eq!(parts_of(&setup, path), good("ready"), "{path}");
    }
    let cases: [(Change, &str, &str); 4] = [
        (|state| state.wal_writable = false, "ingest", "wal"),
        (
            |state| state.disk_free_bytes = Some(1_000_000),
            "ingest",
            "disk",
        ),
        (|state| state.caught_up = false, "query", "fold"),
        (
            |state| state.quarantined_files = 1,
            "query",
            "quarantined_files",
        ),
    ];
    for (change, kind, part) in cases {
        setup.sink.set_state(move || {
            let mut state = ready();
            change(&mut state);
            state
        });
        let parts = format!("[\"{part}\"]");
        let not_ready = (503, "not_ready".to_owned(), parts.clone());
        assert_eq!(parts_of(&setup, &format!("/readyz?for={kind}")), not_ready);
        assert_eq!(parts_of(&setup, "/readyz"), not_ready);
        let other = if kind == "ingest" { "query" } else { "ingest" };
        assert_eq!(
            parts_of(&setup, &format!("/readyz?for={other}")).0,
            200,
            "{part}"
        );
        let degraded = (200, "degraded".to_owned(), parts);
        assert_eq!(parts_of(&setup, "/healthz"), degraded);
    }
}

#[test]
fn a_commit_that_does_not_come_is_not_ready_and_a_quiet_night_is() {
    let setup = start_with(|settings| settings.commit_age_max = Duration::ZERO);
    assert_eq!(parts_of(&setup, "/readyz?for=ingest").0, 200);
    let held = setup.sink.hold();
    let mut client = setup.client();
    client.send("POST /api/v1/events", &[NDJSON], event("a").as_bytes());
    let (answer, outcome) = held.recv().expect("a delivery");
    let (status, _, parts) = parts_of(&setup, "/readyz?for=ingest");
    assert_eq!((status, &*parts), (503, "[\"commits\"]"));
    answer(outcome);
    assert_eq!(client.reply().status, 200);
    assert_eq!(parts_of(&setup, "/readyz?for=ingest").0, 200);
}

/// Reads Prometheus text strictly: every sample has its kind before it.
fn samples(text: &str) -> BTreeMap<String, f64> {
    let mut kinds = BTreeMap::new();
    let mut samples = BTreeMap::new();
    for line in text.lines() {
        if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (name, kind) = rest.split_once(' ').expect("name and kind");
            assert!(["gauge", "counter", "histogram"].contains(&kind), "{line}");
            assert!(kinds.insert(name, kind).is_none(), "twice: {line}");
        } else if !line.starts_with("# HELP ") {
            let (series, value) = line.rsplit_once(' ').expect("a value");
            let name = series.split('{').next().expect("a name");
            let family = ["_bucket", "_sum", "_count"]
                .iter()
                .find_map(|end| name.strip_suffix(end))
                .filter(|family| kinds.get(family) == Some(&"histogram"))
                .unwrap_or(name);
            assert!(kinds.contains_key(family), "no kind: {line}");
            assert!(name.starts_with("callgauge_"), "{line}");
            let value = value.parse().expect("a number");
            assert!(
                samples.insert(series.to_owned(), value).is_none(),
                "twice: {line}"
            );
        }
    }
    samples
}

#[test]
fn metrics_are_prometheus_text_with_the_pipelines_and_our_own_numbers() {
    let setup = start();
    let mut client = setup.client();
    client.post(&[NDJSON], event("secret-name"));
    client.post(&[NDJSON], "");
    client.get("/secret-name");
    let reply = client.get("/metrics");
    assert!(
        reply
            .header("content-type")
            .starts_with("text/plain; version=0.0.4")
    );
    assert!(!reply.body.contains("secret-name"));
    let samples = samples(&reply.body);
    let expected = [
        ("callgauge_ingest_events_total{result=\"accepted\"}", 100.0),
        ("callgauge_ingest_pressure_state", 0.0),
        ("callgauge_ingest_ack_seconds_count", 1.0),
        ("callgauge_ingest_ack_seconds_bucket{le=\"+Inf\"}", 1.0),
        ("callgauge_wal_fsync_seconds_bucket{le=\"0.0001\"}", 5.0),
        ("callgauge_wal_fsync_seconds_bucket{le=\"0.001\"}", 7.0),
        ("callgauge_wal_fsync_seconds_bucket{le=\"+Inf\"}", 8.0),
        ("callgauge_wal_bytes", 4_096.0),
        ("callgauge_wal_segments", 1.0),
        ("callgauge_wal_poisoned_total", 0.0),
        ("callgauge_buffer_bytes", 512.0),
        ("callgauge_window_ids", 3.0),
        ("callgauge_window_bytes", 117.0),
        ("callgauge_manifest_version", 12.0),
        ("callgauge_quarantined_files", 0.0),
        ("callgauge_flush_seconds_bucket{le=\"0.01\"}", 1.0),
        ("callgauge_flush_seconds_count", 2.0),
        ("callgauge_compaction_seconds_count", 0.0),
        ("callgauge_files{level=\"hot\"}", 1.0),
        ("callgauge_files{level=\"small\"}", 2.0),
        ("callgauge_files{level=\"large\"}", 4.0),
        ("callgauge_scrub_files_total{result=\"whole\"}", 9.0),
        ("callgauge_scrub_files_total{result=\"damaged\"}", 1.0),
        ("callgauge_scrub_files_total{result=\"unreadable\"}", 0.0),
        ("callgauge_committed_seq", 41.0),
        ("callgauge_last_commit_age_seconds", 3_600.0),
        ("callgauge_http_connections", 1.0),
        (
            "callgauge_http_requests_total{route=\"/api/v1/events\",status=\"200\"}",
            1.0,
        ),
        (
            "callgauge_http_requests_total{route=\"/api/v1/events\",status=\"400\"}",
            1.0,
        ),
        (
            "callgauge_http_requests_total{route=\"other\",status=\"404\"}",
            1.0,
        ),
    ];
    for (name, value) in expected {
        assert_eq!(samples.get(name), Some(&value), "{name}\n{}", reply.body);
    }
    let buckets = samples
        .iter()
        .filter(|(name, _)| name.contains("ack_seconds_bucket"));
    assert!(buckets.count() > 10);
    assert!(samples["callgauge_ingest_ack_seconds_sum"] > 0.0);
}

#[test]
fn definitions_that_cannot_be_used_are_told_and_do_no_harm() {
    let setup = start();
    let metric = |name: &str| {
        let text = setup.client().get("/metrics").body;
        samples(&text)[&format!("callgauge_definitions_{name}")]
    };
    assert_eq!((metric("stale"), metric("info{hash=\"0\"}")), (0.0, 1.0));
    setup.definitions.refused("own.yml:4:3: unknown key", NOW);
    assert_eq!(parts_of(&setup, "/healthz").2, "[\"definitions\"]");
    assert_eq!(parts_of(&setup, "/readyz").0, 200);
    assert_eq!(metric("stale"), 1.0);
    assert_eq!(metric("reloads_total{result=\"refused\"}"), 1.0);
    setup.definitions.taken("1", NOW.plus_ms(1_000));
    assert_eq!(parts_of(&setup, "/healthz").2, "[]");
    assert_eq!((metric("stale"), metric("info{hash=\"1\"}")), (0.0, 1.0));
    assert_eq!(metric("reloads_total{result=\"taken\"}"), 1.0);
    let since = NOW.plus_ms(1_000).0 as f64 / 1e6;
    assert_eq!(metric("since_seconds"), since);
    setup.definitions.refused("own.yml:4:3: unknown key", NOW);
    setup.definitions.settled();
    assert_eq!(parts_of(&setup, "/healthz").2, "[]", "they were put back");
}
