//! `Idempotency-Key` (H6).

use std::{sync::atomic::Ordering, time::Duration};

use ingest::live::Refusal;

use crate::{
    client::{JSON, NDJSON},
    fake::{event, start},
};

const KEY: (&str, &str) = ("idempotency-key", "batch-7");

#[test]
fn the_same_request_gets_the_same_answer_and_is_done_once() {
    let setup = start();
    let mut client = setup.client();
    let body = format!("{}\n{{}}\n", event("a"));
    let first = client.post(&[NDJSON, KEY], &body);
    let second = client.post(&[NDJSON, KEY], &body);
    assert_eq!(first.json()["accepted"], 1);
    assert_eq!(second.body, first.body);
    assert_eq!(second.header("idempotency-replayed"), "true");
    assert_eq!(first.header("idempotency-replayed"), "");
    assert_ne!(second.header("x-request-id"), first.header("x-request-id"));
    assert_eq!(setup.sink.deliveries().len(), 1);
    // All rejected is an answer as well.
    let other = ("idempotency-key", "bad");
    let first = client.post(&[NDJSON, other], "{}");
    let second = client.post(&[NDJSON, other], "{}");
    assert_eq!((first.status, second.status), (422, 422));
    assert_eq!(second.body, first.body);
}

#[test]
fn another_request_under_the_same_key_is_a_conflict() {
    let setup = start();
    let mut client = setup.client();
    client.post(&[NDJSON, KEY], event("a"));
    let mut others = vec![client.post(&[NDJSON, KEY], event("b"))];
    others.push(client.post(&[JSON, KEY], event("a")));
    let path = "POST /api/v1/events?on_error=reject_all";
    others.push(client.ask(path, &[NDJSON, KEY], event("a").as_bytes()));
    for reply in others {
        assert_eq!(reply.status, 409, "{reply:?}");
        assert_eq!(reply.error_code(), "conflict");
    }
    let other_key = ("idempotency-key", "batch-8");
    let reply = client.post(&[NDJSON, other_key], event("b"));
    assert_eq!(reply.status, 200);
}

#[test]
fn after_24_hours_a_key_is_new() {
    let setup = start();
    let mut client = setup.client();
    client.post(&[NDJSON, KEY], event("a"));
    let day = 24 * 3_600 * 1_000_000;
    setup.clock.fetch_add(day - 1, Ordering::SeqCst);
    assert_eq!(client.post(&[NDJSON, KEY], event("b")).status, 409);
    setup.clock.fetch_add(1, Ordering::SeqCst);
    let reply = client.post(&[NDJSON, KEY], event("b"));
    assert_eq!(reply.status, 200, "{reply:?}");
}

#[test]
fn a_refusal_is_not_remembered() {
    let setup = start();
    let mut client = setup.client();
    setup.sink.refuse_next(Refusal::Busy {
        retry_after: Duration::from_secs(1),
    });
    assert_eq!(client.post(&[NDJSON, KEY], event("a")).status, 429);
    assert_eq!(client.post(&[NDJSON, KEY], "").status, 400);
    let reply = client.post(&[NDJSON, KEY], event("a"));
    assert_eq!(reply.json()["accepted"], 1, "{reply:?}");
}

#[test]
fn one_that_comes_while_the_first_is_at_work_waits_for_its_answer() {
    let setup = start();
    let held = setup.sink.hold();
    let mut first = setup.client();
    first.send("POST /api/v1/events", &[NDJSON, KEY], event("a").as_bytes());
    let (answer, outcome) = held.recv().expect("a delivery");
    let mut second = setup.client();
    second.send("POST /api/v1/events", &[NDJSON, KEY], event("a").as_bytes());
    assert!(second.is_silent_for(Duration::from_millis(300)));
    answer(outcome);
    let (first, second) = (first.reply(), second.reply());
    assert_eq!(first.json()["accepted"], 1);
    assert_eq!(second.body, first.body);
    assert_eq!(setup.sink.deliveries().len(), 1);
}

#[test]
fn a_client_that_hung_up_gets_the_answer_it_missed() {
    let setup = start();
    let held = setup.sink.hold();
    let mut client = setup.client();
    client.send("POST /api/v1/events", &[NDJSON, KEY], event("a").as_bytes());
    let (answer, outcome) = held.recv().expect("a delivery");
    drop(client);
    answer(outcome);
    setup.sink.release();
    let reply = setup.client().post(&[NDJSON, KEY], event("a"));
    assert_eq!(reply.json()["accepted"], 1, "{reply:?}");
    assert_eq!(reply.header("idempotency-replayed"), "true");
    assert_eq!(setup.sink.deliveries().len(), 1);
}
