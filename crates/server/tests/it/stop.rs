//! Stopping: what is at work ends, what rests is closed, and nothing takes for ever.

use std::{
    net::TcpStream,
    thread,
    time::{Duration, Instant},
};

use crate::{
    client::NDJSON,
    fake::{Setup, event, start, start_with},
};

#[test]
fn requests_at_work_are_answered_and_the_rest_is_closed() {
    let setup = start();
    let held = setup.sink.hold();
    let mut working = setup.client();
    working.send("POST /api/v1/events", &[NDJSON], event("a").as_bytes());
    let (answer, outcome) = held.recv().expect("a delivery");
    let mut resting = setup.client();
    assert_eq!(resting.get("/healthz").status, 200);
    let Setup { server, addr, .. } = setup;
    let stopping = thread::spawn(move || server.stop());
    // Closed: so the stop has begun.
    assert_eq!(resting.bytes_to_the_end(), 0);
    answer(outcome);
    let reply = working.reply();
    assert_eq!(reply.status, 200, "{reply:?}");
    assert_eq!(working.bytes_to_the_end(), 0);
    stopping.join().expect("it stops");
    assert!(TcpStream::connect(addr).is_err(), "nobody listens");
}

#[test]
fn a_body_on_its_way_is_taken_before_the_end() {
    let setup = start();
    let mut sending = setup.client();
    let body = event("a");
    let (left, right) = body.split_at(20);
    sending.write(format!(
        "POST /api/v1/events HTTP/1.1\r\nhost: localhost\r\nexpect: 100-continue\r\n\
         content-type: application/x-ndjson\r\ncontent-length: {}\r\n\r\n",
        body.len()
    ));
    assert_eq!(sending.reply().status, 100);
    let mut resting = setup.client();
    assert_eq!(resting.get("/healthz").status, 200);
    let server = setup.server;
    let stopping = thread::spawn(move || server.stop());
    assert_eq!(resting.bytes_to_the_end(), 0);
    sending.write(left);
    sending.write(right);
    assert_eq!(sending.reply().status, 200);
    stopping.join().expect("it stops");
}

#[test]
fn an_answer_that_was_begun_is_sent_to_its_end() {
    let setup = start();
    let mut slow = setup.client();
    let whole = slow.get("/api/v1/openapi.json").body.len();
    // More than the system keeps between the two: the server waits in the middle of an answer.
    for _ in 0..200 {
        slow.send("GET /api/v1/openapi.json", &[], b"");
    }
    assert_eq!(slow.reply().body.len(), whole);
    let server = setup.server;
    let stopping = thread::spawn(move || server.stop());
    let mut answers = 0;
    while let Some(reply) = slow.try_reply() {
        assert!(reply.whole, "answer {answers} is cut");
        answers += 1;
    }
    stopping.join().expect("it stops");
}

#[test]
fn a_stop_does_not_wait_for_ever() {
    let setup = start_with(|settings| settings.stop_timeout = Duration::from_millis(100));
    let held = setup.sink.hold();
    let mut working = setup.client();
    working.send("POST /api/v1/events", &[NDJSON], event("a").as_bytes());
    let unanswered = held.recv().expect("a delivery");
    let begun = Instant::now();
    setup.server.stop();
    assert!(begun.elapsed() < Duration::from_secs(10));
    assert!(working.try_reply().is_none(), "no answer is not a yes");
    drop(unanswered);
}

#[test]
fn a_server_that_is_dropped_ends_at_once() {
    let setup = start();
    let mut resting = setup.client();
    assert_eq!(resting.get("/healthz").status, 200);
    let Setup { server, addr, .. } = setup;
    drop(server);
    assert_eq!(resting.bytes_to_the_end(), 0);
    while TcpStream::connect(addr).is_ok() {}
}
