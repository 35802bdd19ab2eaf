//! What is taken, and how it is answered (H1, H3, H4).

use std::io::Write;

use crate::{
    client::{JSON, NDJSON},
    fake::{event, events, start},
};

pub fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).expect("memory");
    encoder.finish().expect("memory")
}

/// With a checksum, as the zstd program writes it: without one damage may look like other content.
pub fn zstd(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = zstd::Encoder::new(Vec::new(), 3).expect("memory");
    encoder.include_checksum(true).expect("a known parameter");
    encoder.write_all(bytes).expect("memory");
    encoder.finish().expect("memory")
}

#[test]
fn ndjson_is_stored_and_the_answer_has_every_field() {
    let setup = start();
    let body = format!("{}\r\n\n{{\"no\":1}}\n{}", event("a"), event("a"));
    let reply = setup.client().post(&[NDJSON], body);
    assert_eq!(reply.status, 200, "{reply:?}");
    let json = reply.json();
    let names: Vec<&String> = json.as_object().expect("an object").keys().collect();
    assert_eq!(
        names,
        [
            "accepted",
            "duplicate",
            "rejected",
            "errors",
            "errors_truncated",
            "committed_seq",
            "durability",
            "request_id"
        ]
    );
    assert_eq!(
        (&json["accepted"], &json["duplicate"]),
        (&1.into(), &1.into())
    );
    assert_eq!(json["rejected"], 1);
    assert_eq!(json["errors"][0]["line"], 3, "blank lines count");
    assert_eq!(json["errors"][0]["code"], "missing_field");
    assert_eq!(json["errors"][0]["event_id"], serde_json::Value::Null);
    assert_eq!(json["errors_truncated"], false);
    assert_eq!(json["committed_seq"], 42);
    assert_eq!(json["durability"], "synced");
    assert_eq!(json["request_id"], *reply.header("x-request-id"));
    assert_eq!(reply.header("content-type"), "application/json");
}

#[test]
fn every_request_has_an_id_of_its_own() {
    let setup = start();
    let mut client = setup.client();
    let first = client.get("/healthz");
    let second = client.get("/nowhere");
    assert_ne!(first.header("x-request-id"), second.header("x-request-id"));
}

#[test]
fn compressed_bodies_are_inflated() {
    let setup = start();
    let mut client = setup.client();
    let body = events(0..1_000);
    for (name, bytes) in [
        ("gzip", gzip(body.as_bytes())),
        ("zstd", zstd(body.as_bytes())),
    ] {
        let reply = client.post(&[NDJSON, ("content-encoding", name)], bytes);
        assert_eq!(reply.status, 200, "{name}: {reply:?}");
        let json = reply.json();
        let stored = json["accepted"].as_u64().zip(json["duplicate"].as_u64());
        assert_eq!(stored.map(|(new, old)| new + old), Some(1_000), "{name}");
    }
    let array = format!("[{}]", event("z"));
    let reply = client.post(
        &[JSON, ("content-encoding", "gzip")],
        gzip(array.as_bytes()),
    );
    assert_eq!(reply.json()["accepted"], 1, "{reply:?}");
}

#[test]
fn gzip_of_several_members_is_one_body() {
    let setup = start();
    let mut body = gzip(events(0..2).as_bytes());
    body.extend(gzip(events(2..3).as_bytes()));
    let reply = setup
        .client()
        .post(&[NDJSON, ("content-encoding", "gzip")], body);
    assert_eq!(reply.json()["accepted"], 3, "{reply:?}");
}

#[test]
fn items_of_an_array_count_as_lines_and_are_handed_on_as_they_are() {
    let setup = start();
    let body = format!(
        "\u{feff} [ {},\n 7 ,\n{{\n}} , {} ] \n",
        event("a"),
        event("b")
    );
    let reply = setup
        .client()
        .post(&[("content-type", "Application/JSON; charset=utf-8")], body);
    let json = reply.json();
    assert_eq!(json["accepted"], 2, "{reply:?}");
    assert_eq!(json["errors"][0]["line"], 2);
    assert_eq!(json["errors"][1]["line"], 3);
    let lines = &setup.sink.deliveries()[0];
    assert_eq!(lines[0], (1, event("a").into_bytes()));
    assert_eq!(lines[1], (2, b"7".to_vec()));
}

#[test]
fn a_chunked_body_and_a_byte_order_mark_are_fine() {
    let setup = start();
    let mut client = setup.client();
    let body = format!("\u{feff}{}", event("a"));
    let head = "POST /api/v1/events HTTP/1.1\r\nhost: 127.0.0.1:9\r\n\
                content-type: application/x-ndjson\r\ntransfer-encoding: chunked\r\n\r\n";
    client.write(head);
    let (left, right) = body.as_bytes().split_at(50);
    for part in [left, right] {
        client.write(format!("{:x}\r\n", part.len()));
        client.write(part);
        client.write("\r\n");
    }
    client.write("0\r\n\r\n");
    let reply = client.reply();
    assert_eq!(reply.json()["accepted"], 1, "{reply:?}");
}

#[test]
fn a_body_without_events_or_half_an_array_is_refused_whole() {
    let setup = start();
    let mut client = setup.client();
    let cut = format!("[{},", event("a"));
    let refused = [
        (NDJSON, "".to_owned()),
        (NDJSON, "\n \r\n".to_owned()),
        (JSON, "[]".to_owned()),
        (JSON, cut),
        (JSON, event("a")),
        (JSON, format!("[{}] x", event("a"))),
        (JSON, format!("[{} {}]", event("a"), event("b"))),
    ];
    for (kind, body) in refused {
        let reply = client.post(&[kind], &body);
        assert_eq!(reply.status, 400, "{body}: {reply:?}");
        assert_eq!(reply.error_code(), "bad_value");
        assert!(
            !reply.body.contains("offer"),
            "no data in errors: {reply:?}"
        );
    }
    let reply = client.post(&[JSON], b"[\"\xff\"]");
    assert_eq!(reply.status, 400, "{reply:?}");
    assert!(setup.sink.deliveries().is_empty());
}

#[test]
fn damaged_compression_is_refused() {
    let setup = start();
    let mut client = setup.client();
    let whole = events(0..100);
    for (name, bytes) in [
        ("gzip", gzip(whole.as_bytes())),
        ("zstd", zstd(whole.as_bytes())),
    ] {
        let mut flipped = bytes.clone();
        let middle = flipped.len() / 2;
        flipped[middle] ^= 0x55;
        for body in [&bytes[..bytes.len() / 2], b"not compressed", &flipped] {
            let reply = client.post(&[NDJSON, ("content-encoding", name)], body);
            assert!([400, 413].contains(&reply.status), "{name}: {reply:?}");
            reply.error_code();
        }
    }
    assert!(setup.sink.deliveries().is_empty());
    setup.goes_on("after");
}

#[test]
fn garbage_is_rejected_line_by_line() {
    let setup = start();
    let body: Vec<u8> = (0..=255_u8).cycle().take(20_000).collect();
    let reply = setup.client().post(&[NDJSON], body);
    assert_eq!(reply.status, 422, "{reply:?}");
    let json = reply.json();
    assert_eq!(json["accepted"], 0);
    assert!(json["rejected"].as_u64() > Some(10));
}

#[test]
fn all_rejected_is_422_with_the_same_body_and_a_list_that_ends() {
    let setup = start();
    let reply = setup.client().post(&[NDJSON], "{}\n".repeat(250));
    assert_eq!(reply.status, 422);
    let json = reply.json();
    assert_eq!(json["rejected"], 250);
    assert_eq!(json["errors"].as_array().map(Vec::len), Some(100));
    assert_eq!(json["errors_truncated"], true);
    assert_eq!(json["durability"], "synced");
}

#[test]
fn reject_all_stores_nothing_if_a_line_is_bad() {
    let setup = start();
    let mut client = setup.client();
    let mixed = format!("{}\n{{}}\n", event("a"));
    let path = "POST /api/v1/events?on_error=reject_all";
    let reply = client.ask(path, &[NDJSON], mixed.as_bytes());
    assert_eq!(reply.status, 422, "{reply:?}");
    assert_eq!(reply.json()["accepted"], 0);
    let reply = client.ask(path, &[NDJSON], event("a").as_bytes());
    assert_eq!(reply.status, 200, "{reply:?}");
    let reply = client.ask(path, &[NDJSON], mixed.as_bytes());
    assert_eq!(
        reply.status, 422,
        "stored before, but not as asked now: {reply:?}"
    );
    assert_eq!(reply.json()["duplicate"], 1);
    let reply = client.ask(
        "POST /api/v1/events?on_error=keep_good",
        &[NDJSON],
        mixed.as_bytes(),
    );
    assert_eq!(reply.status, 200, "{reply:?}");
}

#[test]
fn a_panic_of_the_pipeline_is_our_fault_and_says_no_more() {
    let setup = start();
    let reply = setup.client().post(&[NDJSON], "panic");
    assert_eq!(reply.status, 500);
    assert_eq!(reply.error_code(), "internal");
    setup.goes_on("after");
}
