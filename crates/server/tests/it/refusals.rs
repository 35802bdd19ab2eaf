//! What is answered when events cannot be taken (H7), and to requests that are no ingest.

use std::time::Duration;

use ingest::live::{LiveState, Refusal};

use crate::{
    client::{JSON, NDJSON},
    fake::{event, ready, start},
};

#[test]
fn pressure_a_full_disk_and_a_stop_have_their_statuses_and_say_when_to_come_back() {
    let setup = start();
    let mut client = setup.client();
    let cases = [
        (
            Refusal::Busy {
                retry_after: Duration::from_millis(1_200),
            },
            (429, "back_pressure", "2"),
        ),
        (
            Refusal::Busy {
                retry_after: Duration::ZERO,
            },
            (429, "back_pressure", "1"),
        ),
        (
            Refusal::DiskFull {
                retry_after: Duration::from_secs(30),
            },
            (507, "storage_full", "30"),
        ),
        (
            Refusal::Stopped {
                reason: "fsync of /some/path failed".to_owned(),
            },
            (503, "storage_stopped", "1"),
        ),
    ];
    for (refusal, (status, code, retry_after)) in cases {
        setup.sink.refuse_next(refusal);
        let reply = client.post(&[NDJSON], event("a"));
        assert_eq!(reply.status, status, "{reply:?}");
        assert_eq!(reply.error_code(), code);
        assert_eq!(reply.header("retry-after"), retry_after);
        assert!(!reply.body.contains("/some"), "no paths: {reply:?}");
    }
    // The same connection, the same event: it goes on.
    assert_eq!(client.post(&[NDJSON], event("a")).json()["accepted"], 1);
}

#[test]
fn a_pipeline_that_drops_the_question_has_stopped() {
    let setup = start();
    let held = setup.sink.hold();
    let mut client = setup.client();
    client.send("POST /api/v1/events", &[NDJSON], event("a").as_bytes());
    drop(held.recv().expect("a delivery"));
    let reply = client.reply();
    assert_eq!(reply.status, 503, "{reply:?}");
    assert_eq!(reply.error_code(), "storage_stopped");
}

#[test]
fn under_full_pressure_a_body_is_not_kept() {
    let setup = start();
    setup.sink.set_state(|| LiveState {
        pressure: 3,
        ..ready()
    });
    let body = vec![b' '; 4 * 1024 * 1024];
    let reply = setup.client().post(&[NDJSON], body);
    assert_eq!(reply.status, 429, "{reply:?}");
    assert_eq!(reply.error_code(), "back_pressure");
    assert_eq!(reply.header("connection"), "close");
    setup.sink.set_state(|| LiveState {
        pressure: 2,
        ..ready()
    });
    setup.goes_on("after");
}

/// Request line, headers, and the status and code they get.
type Case = (
    &'static str,
    &'static [(&'static str, &'static str)],
    u16,
    &'static str,
);

#[test]
fn heads_that_ask_for_something_else_are_told_what_there_is() {
    let setup = start();
    let post = "POST /api/v1/events";
    let cases: &[Case] = &[
        ("GET /", &[], 404, "not_found"),
        ("POST /api/v1/event", &[NDJSON], 404, "not_found"),
        ("GET /api/v1/events", &[], 405, "method_not_allowed"),
        ("DELETE /metrics", &[], 405, "method_not_allowed"),
        (post, &[], 415, "unsupported_type"),
        (
            post,
            &[("content-type", "text/plain")],
            415,
            "unsupported_type",
        ),
        (
            post,
            &[NDJSON, ("content-encoding", "br")],
            415,
            "unsupported_type",
        ),
        (
            post,
            &[NDJSON, ("content-encoding", "gzip, gzip")],
            415,
            "unsupported_type",
        ),
        (post, &[NDJSON, JSON], 400, "bad_parameter"),
        (
            "POST /api/v1/events?on_error=drop",
            &[NDJSON],
            400,
            "bad_parameter",
        ),
        (
            "POST /api/v1/events?batch=1",
            &[NDJSON],
            400,
            "bad_parameter",
        ),
        (
            post,
            &[NDJSON, ("idempotency-key", "")],
            400,
            "bad_parameter",
        ),
        ("GET /readyz?for=tea", &[], 400, "bad_parameter"),
    ];
    for (line, headers, status, code) in cases {
        let reply = setup.client().ask(line, headers, event("a").as_bytes());
        assert_eq!(reply.status, *status, "{line} {headers:?}: {reply:?}");
        assert_eq!(reply.error_code(), *code, "{line} {headers:?}");
    }
    let reply = setup.client().get("/api/v1/events");
    assert_eq!(reply.header("allow"), "POST");
    let long = "k".repeat(257);
    let headers = [NDJSON, ("idempotency-key", &long)];
    assert_eq!(setup.client().post(&headers, event("a")).status, 400);
    assert!(setup.sink.deliveries().is_empty());
}
