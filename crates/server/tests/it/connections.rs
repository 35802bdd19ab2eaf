//! Connections that are silent, slow, broken or too many (P3): each is answered or closed, and a
//! client that behaves goes on.

use std::{
    io::Write,
    net::Shutdown,
    time::{Duration, Instant},
};

use crate::{
    access::{PBX, token_file},
    client::{Client, NDJSON},
    fake::{event, start, start_with},
};

const SHORT: Duration = Duration::from_millis(200);

/// Longer than any test: whoever goes was sent away.
const NEVER: Duration = Duration::from_secs(3_600);

#[test]
fn a_connection_that_says_nothing_is_closed() {
    let setup = start_with(|settings| settings.header_timeout = SHORT);
    let mut silent = setup.client();
    assert_eq!(silent.bytes_to_the_end(), 0);
    setup.goes_on("after");
}

#[test]
fn a_head_that_comes_byte_by_byte_is_cut_off() {
    let setup = start_with(|settings| settings.header_timeout = SHORT);
    let begun = Instant::now();
    let mut slow = setup.client();
    slow.write("POST /api/v1/events HTTP/1.1\r\nx-long: ");
    // A byte now and then, others in between: it must not matter that bytes come.
    let mut meanwhile = 0;
    while slow.stream.get_mut().write_all(b"x").is_ok() {
        setup.goes_on(&format!("meanwhile{meanwhile}"));
        meanwhile += 1;
        assert!(begun.elapsed() < Duration::from_secs(30), "still open");
    }
    assert!(begun.elapsed() >= SHORT && meanwhile > 0);
}

/// After its last answer a connection is listened to for a moment, so that the answer arrives; it is no
/// sink for whatever is sent then.
#[test]
fn who_sends_on_and_on_after_the_last_answer_is_cut_off() {
    let setup = start();
    let mut client = setup.client();
    client.write("GET /healthz HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
    let chunk = [b'x'; 64 * 1024];
    let mut sent = 0;
    while client.stream.get_mut().write_all(&chunk).is_ok() {
        sent += chunk.len();
        assert!(sent < 64 << 20, "{sent} bytes were taken");
    }
    setup.goes_on("after");
}

#[test]
fn a_connection_rests_between_requests_for_its_own_time() {
    let setup = start_with(|settings| {
        settings.header_timeout = SHORT;
        settings.idle_timeout = SHORT * 4;
    });
    let mut client = setup.client();
    assert_eq!(client.post(&[NDJSON], event("a")).status, 200);
    let begun = Instant::now();
    assert_eq!(client.bytes_to_the_end(), 0);
    assert!(begun.elapsed() >= SHORT * 3, "rested {:?}", begun.elapsed());
    // A head that begins after a rest has the time of a head.
    let mut client = setup.client();
    assert_eq!(client.post(&[NDJSON], event("a")).status, 200);
    client.write("POST /api");
    let begun = Instant::now();
    assert_eq!(client.bytes_to_the_end(), 0);
    assert!(begun.elapsed() < SHORT * 4, "took {:?}", begun.elapsed());
}

#[test]
fn half_a_body_is_answered_when_its_time_is_over() {
    let setup = start_with(|settings| settings.body_timeout = SHORT);
    let mut half = setup.client();
    half.write(
        "POST /api/v1/events HTTP/1.1\r\nhost: localhost\r\n\
         content-type: application/x-ndjson\r\ncontent-length: 100\r\n\r\n{\"half\"",
    );
    let reply = half.reply();
    assert_eq!(reply.status, 408, "{reply:?}");
    assert_eq!(reply.error_code(), "request_timeout");
    assert_eq!(half.bytes_to_the_end(), 0);
    assert!(setup.sink.deliveries().is_empty());
}

#[test]
fn a_body_that_breaks_off_stores_nothing() {
    let setup = start();
    let mut half = setup.client();
    let good = event("a");
    half.write(format!(
        "POST /api/v1/events HTTP/1.1\r\nhost: localhost\r\n\
         content-type: application/x-ndjson\r\ncontent-length: 1000\r\n\r\n{good}\n"
    ));
    let stream = half.stream.get_ref();
    stream.shutdown(Shutdown::Write).expect("a socket");
    if let Some(reply) = half.try_reply() {
        assert_eq!(reply.status, 400, "{reply:?}");
    }
    half.bytes_to_the_end();
    assert!(setup.sink.deliveries().is_empty());
    setup.goes_on("after");
}

#[test]
fn heads_that_are_no_http_or_too_long_are_answered_by_status() {
    let setup = start();
    let long = format!("GET / HTTP/1.1\r\nx: {}\r\n\r\n", "y".repeat(17 * 1024));
    let many = format!("GET / HTTP/1.1\r\n{}\r\n", "x: y\r\n".repeat(200));
    for (bytes, statuses) in [
        ("\x16\x03\x01\x02\x00\x01\x00\x01\r\n\r\n", [400, 400]),
        ("GET / HTTP/1.1\r\ncontent-length: -1\r\n\r\n", [400, 400]),
        ("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", [400, 505]),
        (&*long, [431, 431]),
        (&*many, [431, 431]),
    ] {
        let mut client = setup.client();
        client.write(bytes);
        if let Some(reply) = client.try_reply() {
            assert!(statuses.contains(&reply.status), "{reply:?}");
        }
        client.bytes_to_the_end();
    }
    let fits = format!(
        "GET /healthz HTTP/1.1\r\nx: {}\r\n\r\n",
        "y".repeat(15 * 1024)
    );
    let mut client = setup.client();
    client.write(fits);
    assert_eq!(client.reply().status, 200);
    setup.goes_on("after");
}

/// How many are silent: as many as the usual limit of open files allows, more in the soak.
fn crowd() -> usize {
    let asked = std::env::var("CALLGAUGE_CONNECTIONS").ok();
    asked.map_or(500, |text| text.parse().expect("CALLGAUGE_CONNECTIONS"))
}

#[test]
fn a_crowd_of_silent_connections_locks_nobody_out() {
    let (crowd, seats) = (crowd(), crowd() / 10);
    println!("{crowd} silent connections");
    let setup = start_with(|settings| {
        settings.connections_max = seats;
        settings.header_timeout = NEVER;
    });
    let mut good = setup.client();
    assert_eq!(good.post(&[NDJSON], event("first")).status, 200);
    let silent: Vec<Client> = (0..crowd).map(|_| setup.client()).collect();
    assert_eq!(good.post(&[NDJSON], event("second")).status, 200);
    setup.goes_on("newcomer");
    // The oldest made room; how many are left is what the setting says.
    let metrics = good.get("/metrics").body;
    let open = metrics
        .lines()
        .find_map(|line| line.strip_prefix("callgauge_http_connections "))
        .and_then(|count| count.parse::<usize>().ok());
    assert!(open.is_some_and(|open| open <= seats + 10), "{open:?}");
    for mut oldest in silent.into_iter().take(crowd - 2 * seats) {
        assert_eq!(oldest.bytes_to_the_end(), 0);
    }
}

#[test]
fn when_all_are_at_work_a_newcomer_is_refused() {
    let setup = start_with(|settings| settings.connections_max = 2);
    let held = setup.sink.hold();
    let mut working: Vec<Client> = (0..2).map(|_| setup.client()).collect();
    let mut answers = Vec::new();
    for (n, client) in working.iter_mut().enumerate() {
        let body = event(&format!("e{n}"));
        client.send("POST /api/v1/events", &[NDJSON], body.as_bytes());
        answers.push(held.recv().expect("a delivery"));
    }
    assert_eq!(setup.client().bytes_to_the_end(), 0);
    for (answer, outcome) in answers {
        answer(outcome);
    }
    for mut client in working {
        assert_eq!(client.reply().status, 200);
    }
}

#[test]
fn strangers_of_one_address_make_room_for_each_other_only() {
    let (_folder, path) = token_file();
    let setup = start_with(|settings| {
        settings.token_file = Some(path);
        settings.connections_per_address_max = 5;
        settings.connections_per_token_max = 2;
        settings.header_timeout = NEVER;
    });
    let authorization = format!("Bearer {PBX}");
    let headers = [NDJSON, ("authorization", &*authorization)];
    let mut known = setup.client();
    assert_eq!(known.post(&headers, event("a")).status, 200);
    let mut strangers: Vec<Client> = (0..20).map(|_| setup.client()).collect();
    for oldest in &mut strangers[..14] {
        assert_eq!(oldest.bytes_to_the_end(), 0);
    }
    assert_eq!(known.post(&headers, event("b")).status, 200);
    let mut second = setup.client();
    assert_eq!(second.post(&headers, event("c")).status, 200);
    // A token has its own number of connections.
    let mut third = setup.client();
    let reply = third.post(&headers, event("d"));
    assert_eq!(reply.status, 429, "{reply:?}");
    assert_eq!(reply.error_code(), "rate_limited");
    drop(second);
    while setup.client().post(&headers, event("d")).status == 429 {}
}

#[test]
fn requests_sent_without_waiting_are_answered_in_order() {
    let setup = start();
    let mut client = setup.client();
    for n in 0..20 {
        let body = event(&format!("e{n}"));
        client.send("POST /api/v1/events", &[NDJSON], body.as_bytes());
    }
    for n in 0..20 {
        assert_eq!(client.reply().json()["accepted"], 1, "{n}");
    }
}
