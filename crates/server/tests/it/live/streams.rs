//! Snapshots and streams.

use std::{
    thread,
    time::{Duration, Instant},
};

use serde_json::json;

use super::{
    floor::{Floor, count, of_queue, service_level, total},
    sse::Sse,
};
use crate::fake::{NOW, Setup};

const SHORT: Duration = Duration::from_millis(100);

#[test]
fn a_stream_begins_with_everything_and_goes_on_with_what_changes() {
    let (setup, mut floor) = Floor::open(|_| {});
    floor.show([
        (total("waiting"), count(3)),
        (of_queue("a.b", "waiting"), count(2)),
        (total("service_level@today"), service_level()),
        (total("nps@today"), count(1)),
    ]);
    let mut stream = Sse::open(setup.client(), "?lang=zh-CN", &[]);
    for field in [
        "content-type: text/event-stream\r\n",
        "cache-control: no-store\r\n",
        "x-accel-buffering: no\r\n",
    ] {
        assert!(stream.head.contains(field), "{field}: {}", stream.head);
    }
    assert_eq!(stream.block().as_deref(), Some("retry: 2000"));
    let whole = stream.next().expect("an event");
    assert_eq!((&*whole.name, &*whole.id), ("snapshot", "7-1-now"));
    // What is not on the board is not sent.
    assert_eq!(
        whole.keys(),
        ["t.service_level@today", "t.waiting", "q.a.b.waiting"]
    );
    assert_eq!(
        whole.data["cells"][0],
        json!({"k": "t.service_level@today", "v": 45.0 / 54.0, "u": "ratio", "s": "good", "n": 54,
               "num": 45, "den": 54, "target": 0.8})
    );
    assert_eq!(
        whole.data["cells"][1],
        json!({"k": "t.waiting", "v": 3, "u": "count"})
    );
    let kpis = &whole.data["kpis"];
    assert_eq!(
        kpis,
        &json!([{"id": "service_level", "version": 1, "hash": "hash of service_level"}])
    );
    assert_eq!(whole.data["as_of"], (NOW.0 - 12_345).div_euclid(1_000));
    assert_eq!(whole.data["lag_ms"], 12);
    assert_eq!(whole.data["zone"], "Asia/Shanghai");
    assert_eq!(whole.data["day"]["date"], "2026-03-03");
    assert_eq!(
        (&whole.data["board"], &whole.data["lang"]),
        (&json!("now"), &json!("zh-CN"))
    );
    let tick = stream.next().expect("an event");
    assert_eq!((&*tick.name, &*tick.id), ("tick", "7-1-now"));
    assert_eq!(tick.data["as_of"], whole.data["as_of"]);

    floor.show([(total("waiting"), count(4))]);
    let delta = stream.wait_for("delta");
    assert_eq!((&*delta.id, delta.keys()), ("7-2-now", vec!["t.waiting"]));
    assert_eq!(
        (delta.value("t.waiting"), &delta.data["gone"]),
        (&json!(4), &json!([]))
    );
    assert_eq!(delta.data["kpis"], json!(null));
    floor.hide(&of_queue("a.b", "waiting"));
    let delta = stream.wait_for("delta");
    assert_eq!(
        (delta.keys().len(), &delta.data["gone"]),
        (0, &json!(["q.a.b.waiting"]))
    );
    // A frame in which nothing of the board has changed says nothing.
    floor.show([(total("nps@today"), count(2)), (total("waiting"), count(4))]);
    floor.show([(total("waiting"), count(5))]);
    assert_eq!(stream.wait_for("delta").value("t.waiting"), 5);
}

#[test]
fn a_reader_goes_on_from_where_it_was() {
    let (setup, mut floor) = Floor::open(|_| {});
    let first = |last: &str| {
        let mut stream = Sse::open(setup.client(), "", &[("last-event-id", last)]);
        stream.next().expect("an event")
    };
    let mut steady = Sse::open(setup.client(), "", &[]);
    floor.show([(total("waiting"), count(1)), (total("callbacks"), count(9))]);
    assert_eq!(steady.wait_for("snapshot").id, "7-1-now");
    for (seq, waiting) in [(2, 2), (3, 3)] {
        floor.show([(total("waiting"), count(waiting))]);
        assert_eq!(steady.wait_for("delta").id, format!("7-{seq}-now"));
    }
    floor.hide(&total("callbacks"));
    assert_eq!(steady.wait_for("delta").id, "7-4-now");
    let delta = first("7-1-now");
    assert_eq!((&*delta.name, &*delta.id), ("delta", "7-4-now"));
    assert_eq!(
        (delta.keys(), delta.value("t.waiting")),
        (vec!["t.waiting"], &json!(3))
    );
    assert_eq!(delta.data["gone"], json!(["t.callbacks"]));
    let delta = first("7-3-now");
    assert_eq!((&*delta.name, delta.keys().len()), ("delta", 0));
    // Who has everything hears the time.
    assert_eq!(first("7-4-now").name, "tick");
    for unknown in [
        "6-4-now",
        "7-5-now",
        "7-0-now",
        "7-3-queues",
        "7-3",
        "7-3-",
        "7--now",
        "-",
        "x",
        "18446744073709551616-1-now",
    ] {
        let event = first(unknown);
        assert_eq!(
            (&*event.name, &*event.id),
            ("snapshot", "7-4-now"),
            "{unknown}"
        );
    }
}

#[test]
fn another_life_of_the_process_begins_with_everything() {
    let (setup, mut floor) = Floor::open(|_| {});
    floor.show([(total("waiting"), count(1))]);
    let mut stream = Sse::open(setup.client(), "", &[]);
    assert_eq!(stream.wait_for("snapshot").id, "7-1-now");
    floor.restart();
    let event = stream.wait_for("snapshot");
    assert_eq!(
        (&*event.id, event.data["epoch"].as_u64()),
        ("8-1-now", Some(8))
    );
}

#[test]
fn frames_that_come_too_fast_are_one() {
    let every = Duration::from_millis(200);
    let (setup, mut floor) = Floor::open(|settings| settings.live_frame_every = every);
    floor.show([(total("waiting"), count(0))]);
    let mut stream = Sse::open(setup.client(), "", &[]);
    stream.wait_for("snapshot");
    let begun = Instant::now();
    let mut last = 0;
    // Other work in between, until some frames must have been sent.
    while begun.elapsed() < every * 3 {
        last += 1;
        floor.show([(total("waiting"), count(last))]);
        assert_eq!(setup.client().get("/healthz").status, 200);
    }
    let mut deltas = 0;
    loop {
        deltas += 1;
        if stream.wait_for("delta").value("t.waiting") == last {
            break;
        }
    }
    let most = begun.elapsed().as_millis() / every.as_millis() + 2;
    assert!(
        deltas <= most,
        "{deltas} deltas of {last} frames, at most {most}"
    );
    assert!(deltas >= 2, "{deltas}");
}

#[test]
fn a_silent_stream_shows_that_it_is_there() {
    let (setup, mut floor) = Floor::open(|settings| settings.live_heart_beat = SHORT);
    // Before the first frame, and after it.
    let mut stream = Sse::open(setup.client(), "", &[]);
    assert_eq!(stream.block().as_deref(), Some("retry: 2000"));
    assert_eq!(stream.block().as_deref(), Some(":"));
    floor.show([(total("waiting"), count(1))]);
    assert_eq!(stream.wait_for("snapshot").value("t.waiting"), 1);
    stream.wait_for("alerts");
    assert_eq!(stream.block().as_deref(), Some(":"));
}

#[test]
fn a_stream_has_an_end() {
    let (setup, mut floor) = Floor::open(|settings| settings.live_age_max = SHORT);
    floor.show([(total("waiting"), count(1))]);
    let begun = Instant::now();
    let mut stream = Sse::open(setup.client(), "", &[]);
    assert_eq!(stream.reason_of_its_end(), "age");
    assert!(begun.elapsed() >= SHORT);
}

#[test]
fn a_server_that_stops_says_so() {
    let (setup, mut floor) = Floor::open(|_| {});
    floor.show([(total("waiting"), count(1))]);
    let mut stream = Sse::open(setup.client(), "", &[]);
    stream.wait_for("snapshot");
    let Setup { server, .. } = setup;
    let begun = Instant::now();
    let stopping = thread::spawn(move || server.stop());
    assert_eq!(stream.reason_of_its_end(), "closing");
    drop(stream);
    stopping.join().expect("it stops");
    assert!(
        begun.elapsed() < Duration::from_secs(15),
        "{:?}",
        begun.elapsed()
    );
}

#[test]
fn one_stream_too_many_is_refused_until_another_ends() {
    let (setup, mut floor) = Floor::open(|settings| settings.live_streams_max = 2);
    floor.show([(total("waiting"), count(1))]);
    let first = Sse::open(setup.client(), "", &[]);
    let mut second = Sse::open(setup.client(), "", &[]);
    second.wait_for("snapshot");
    let ask = || setup.client().get("/api/v1/live/stream?board=none");
    assert_eq!(ask().status, 404, "an error is no stream");
    let mut third = setup.client();
    let reply = third.get("/api/v1/live/stream");
    assert_eq!((reply.status, &*reply.error_code()), (429, "rate_limited"));
    assert!(reply.body.contains("2 live boards are open"), "{reply:?}");
    // The others go on.
    floor.show([(total("waiting"), count(2))]);
    second.wait_for("delta");
    drop(first);
    let mut tries = 2;
    // The server notices when it writes to the one that has gone.
    loop {
        let mut client = setup.client();
        client.send("GET /api/v1/live/stream", &[], b"");
        let mut head = String::new();
        std::io::BufRead::read_line(&mut client.stream, &mut head).expect("an answer");
        if head.contains(" 200 ") {
            break;
        }
        assert!(head.contains(" 429 "), "{head}");
        tries += 1;
        floor.show([(total("waiting"), count(tries))]);
    }
}

#[test]
fn a_snapshot_has_a_name() {
    let (setup, mut floor) = Floor::open(|_| {});
    let get = |query: &str| setup.client().get(&format!("/api/v1/live/snapshot{query}"));
    let reply = get("");
    assert_eq!((reply.status, &*reply.error_code()), (503, "not_ready"));
    floor.show([
        (total("waiting"), count(1)),
        (of_queue("q", "waiting"), count(1)),
    ]);
    // Published by now, if a stream of that board has it.
    Sse::open(setup.client(), "?board=queues&lang=zh-TW", &[]).wait_for("snapshot");
    let reply = get("?board=queues&lang=zh-TW");
    assert_eq!(
        (reply.status, reply.header("etag")),
        (200, "\"7-1-queues-0\""),
        "{reply:?}"
    );
    assert_eq!(reply.json()["lang"], "zh-TW");
    assert_eq!(reply.json()["cells"][0]["k"], "t.waiting");
    let again = setup.client().ask(
        "GET /api/v1/live/snapshot?board=queues&lang=zh-TW",
        &[("if-none-match", "\"7-1-queues-0\"")],
        b"",
    );
    assert_eq!((again.status, &*again.body), (304, ""));
    for (query, status, code, word) in [
        ("?board=quues", 404, "not_found", "queues"),
        ("?lang=de", 400, "bad_parameter", "zh-CN"),
        ("?figure=x", 400, "bad_parameter", "board"),
    ] {
        let reply = get(query);
        assert_eq!(
            (reply.status, &*reply.error_code()),
            (status, code),
            "{query}"
        );
        assert!(reply.body.contains(word), "{query}: {reply:?}");
    }
}
