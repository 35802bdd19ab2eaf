//! Every limit of a body (H8), one above and one at it where that is cheap.

use std::thread;

use events::RejectCode;
use server::limits as max;

use crate::{
    client::{Client, JSON, NDJSON},
    fake::{Setup, code, event, start, start_with},
    formats::{gzip, zstd},
};

/// Text that does not compress to nothing.
fn digits(bytes: usize) -> Vec<u8> {
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let mut text = Vec::with_capacity(bytes);
    while text.len() < bytes {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        text.extend_from_slice(format!("{state:016x}").as_bytes());
    }
    text.truncate(bytes);
    text
}

#[track_caller]
fn too_large(setup: &Setup, headers: &[(&str, &str)], body: &[u8]) {
    let reply = setup.client().post(headers, body);
    assert_eq!(reply.status, 413, "{reply:?}");
    assert_eq!(reply.error_code(), "too_large");
    assert!(setup.sink.deliveries().is_empty());
}

#[test]
fn a_body_above_8_mib_is_refused_and_one_of_8_mib_is_not() {
    let setup = start();
    let mut body = vec![b'\n'; max::BODY_BYTES_MAX];
    let line = event("a");
    body[..line.len()].copy_from_slice(line.as_bytes());
    let reply = setup.client().post(&[NDJSON], &body);
    assert_eq!(reply.status, 200, "{reply:?}");
    body.push(b'\n');
    let reply = setup.client().post(&[NDJSON], &body);
    assert_eq!(reply.status, 413, "{reply:?}");
    assert_eq!(reply.error_code(), "too_large");
}

#[test]
fn bombs_are_refused_while_they_are_small() {
    let setup = start();
    let zeros = vec![0; 100 * 1024 * 1024];
    for (name, bomb) in [("gzip", gzip(&zeros)), ("zstd", zstd(&zeros))] {
        for kind in [NDJSON, JSON] {
            too_large(&setup, &[kind, ("content-encoding", name)], &bomb);
        }
    }
    // Small, but far too dense.
    let dense = gzip(&vec![b' '; 2 * 1024 * 1024]);
    too_large(&setup, &[NDJSON, ("content-encoding", "gzip")], &dense);
    // Not dense, but too large.
    let large = zstd(&digits(max::BODY_BYTES_MAX + 1));
    assert!(large.len() * max::INFLATE_RATIO_MAX > max::BODY_BYTES_MAX);
    too_large(&setup, &[JSON, ("content-encoding", "zstd")], &large);
    setup.goes_on("after");
}

#[test]
fn a_line_of_100_mb_is_answered_while_others_go_on() {
    let setup = start();
    let addr = setup.addr;
    let sending = thread::spawn(move || {
        let mut client = Client::connect(addr);
        client.write(
            "POST /api/v1/events HTTP/1.1\r\nhost: localhost\r\n\
             content-type: application/x-ndjson\r\ncontent-length: 100000000\r\n\r\n",
        );
        for _ in 0..100 {
            client.write(vec![b'x'; 1_000_000]);
        }
        client.reply()
    });
    let chunked = thread::spawn(move || {
        let mut client = Client::connect(addr);
        client.write(
            "POST /api/v1/events HTTP/1.1\r\nhost: localhost\r\n\
             content-type: application/x-ndjson\r\ntransfer-encoding: chunked\r\n\r\n",
        );
        for _ in 0..100 {
            client.write("f4240\r\n");
            client.write(vec![b'x'; 1_000_000]);
            client.write("\r\n");
        }
        client.write("0\r\n\r\n");
        client.reply()
    });
    for n in 0..20 {
        setup.goes_on(&format!("meanwhile{n}"));
    }
    for answered in [sending, chunked] {
        let reply = answered.join().expect("an answer");
        assert_eq!(reply.status, 413, "{reply:?}");
        assert_eq!(reply.header("connection"), "close");
        reply.error_code();
    }
}

#[test]
fn a_client_that_asks_before_it_sends_is_not_asked_for_too_much() {
    let setup = start();
    let mut client = setup.client();
    client.write(
        "POST /api/v1/events HTTP/1.1\r\nhost: localhost\r\nexpect: 100-continue\r\n\
         content-type: application/x-ndjson\r\ncontent-length: 100000000\r\n\r\n",
    );
    assert_eq!(client.reply().status, 413);
    let mut client = setup.client();
    client.write(
        "POST /api/v1/events HTTP/1.1\r\nhost: localhost\r\nexpect: 100-continue\r\n\
         content-type: application/x-ndjson\r\ncontent-length: 2\r\n\r\n",
    );
    assert_eq!(client.reply().status, 100);
    client.write("{}");
    assert_eq!(client.reply().status, 422);
}

#[test]
fn more_than_50_000_events_are_refused() {
    let setup = start();
    let lines = "{}\n".repeat(50_000);
    let reply = setup.client().post(&[NDJSON], &lines);
    assert_eq!(reply.json()["rejected"], 50_000);
    for (kind, body) in [
        (NDJSON, lines + "{}"),
        (JSON, format!("[{}0]", "0,".repeat(50_000))),
    ] {
        let reply = setup.client().post(&[kind], body);
        assert_eq!(reply.status, 413, "{reply:?}");
        assert_eq!(reply.error_code(), "too_large");
    }
}

#[test]
fn a_line_above_256_kib_is_rejected_and_the_next_one_is_read() {
    let setup = start();
    for extra in [1, 2, 3, 6, 7, 100_000] {
        let long = "x".repeat(max::LINE_BYTES_MAX + extra);
        let id = format!("good{extra}");
        let body = format!("{long}\r\n{}\n", event(&id));
        let json = setup.client().post(&[NDJSON], body).json();
        assert_eq!(json["accepted"], 1, "{extra}");
        assert_eq!(json["rejected"], 1, "{extra}");
        assert_eq!(json["errors"][0]["code"], code(RejectCode::TooLarge));
        let delivered = setup.sink.deliveries().pop().expect("a delivery");
        assert_eq!(delivered[0].0, 1);
        assert!(delivered[0].1.len() <= max::TOO_LONG_BYTES_KEPT);
        assert_eq!(delivered[1].0, 2);
    }
    let long = format!("[\"{}\"]", "x".repeat(max::LINE_BYTES_MAX));
    let json = setup.client().post(&[JSON], long).json();
    assert_eq!(json["errors"][0]["code"], code(RejectCode::TooLarge));
}

#[test]
fn an_event_may_be_nested_16_deep_and_no_deeper() {
    let setup = start();
    let nested = |id: &str, depth: usize| {
        let open = "[".repeat(depth - 1);
        let close = "]".repeat(depth - 1);
        let rest = event(id);
        format!(
            "{{\"note\":\"{{[{{[\\\"\",\"deep\":{open}{close},{}",
            &rest[1..]
        )
    };
    let body = format!("{}\n{}\n", nested("ok", 16), nested("deep", 17));
    let json = setup.client().post(&[NDJSON], body).json();
    assert_eq!(json["accepted"], 1, "{json}");
    assert_eq!(json["errors"][0]["line"], 2);
    assert_eq!(json["errors"][0]["code"], code(RejectCode::BadJson));
    // Deeper than any stack.
    let body = format!("[{}]", "[".repeat(100_000) + &"]".repeat(100_000));
    assert_eq!(setup.client().post(&[JSON], body).status, 422);
}

#[test]
fn bodies_in_flight_have_a_memory_of_their_own() {
    let setup = start_with(|settings| settings.bytes_in_flight_max = 100_000);
    let body = format!("{}{}", event("a"), " ".repeat(150_000));
    let reply = setup.client().post(&[NDJSON], &body);
    assert_eq!(reply.status, 429, "{reply:?}");
    assert_eq!(reply.error_code(), "back_pressure");
    // What a small body becomes counts too.
    let body = digits(150_000);
    let reply = setup
        .client()
        .post(&[NDJSON, ("content-encoding", "zstd")], zstd(&body));
    assert_eq!(reply.status, 429, "{reply:?}");
    setup.goes_on("after");
}
