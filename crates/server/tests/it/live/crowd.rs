//! Two hundred readers, half of whom read nothing (T17, H63, H64).

use std::{
    io::BufReader,
    net::{SocketAddr, TcpStream},
    sync::mpsc::{Receiver, channel},
    thread,
    time::{Duration, Instant},
};

use engine::live::CellKey;
use socket2::{Domain, Socket, Type};

use super::{
    floor::{Floor, count, of_queue},
    sse::Sse,
};
use crate::{client::Client, fake::Setup};

const READERS: usize = 100;
const STALLED: usize = 100;

/// Cells that change with every frame: about 16 KiB as a delta.
const QUEUES: u32 = 300;

/// What may wait for one reader in the server and its socket.
const BUFFERED_MAX: usize = 64 * 1024;

/// What waits at the other side, where nobody reads: Linux gives no less.
const RECEIVE_BYTES: usize = 8 * 1024;

/// A client whose system takes little for it.
fn narrow(addr: SocketAddr) -> Client {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
    socket
        .set_recv_buffer_size(RECEIVE_BYTES / 2)
        .expect("a socket");
    socket.connect(&addr.into()).expect("the server listens");
    let stream = TcpStream::from(socket);
    let patience = Some(Duration::from_secs(60));
    stream.set_read_timeout(patience).expect("a socket");
    Client {
        stream: BufReader::new(stream),
    }
}

/// Readers that tell when they have which frame.
fn readers(setup: &Setup) -> Receiver<(u64, Instant)> {
    let (tell, heard) = channel();
    for _ in 0..READERS {
        let client = setup.client();
        let tell = tell.clone();
        thread::spawn(move || {
            let mut stream = Sse::open(client, "?board=queues", &[]);
            while let Some(event) = stream.next() {
                let seq = event.data["seq"].as_u64();
                if seq.is_some_and(|seq| tell.send((seq, Instant::now())).is_err()) {
                    return;
                }
            }
        });
    }
    heard
}

fn next_frame(floor: &mut Floor, number: u32) -> u64 {
    let key = |queue: u32| -> CellKey { of_queue(&format!("queue-{queue:04}"), "waiting") };
    floor.show((0..QUEUES).map(|queue| (key(queue), count(number))))
}

/// Shows frames one after the other; how long each took to reach the last reader.
fn times(
    floor: &mut Floor,
    heard: &Receiver<(u64, Instant)>,
    numbers: std::ops::Range<u32>,
) -> Vec<Duration> {
    let mut times = Vec::new();
    for number in numbers {
        let begun = Instant::now();
        let seq = next_frame(floor, number);
        let mut last = begun;
        let mut have = 0;
        while have < READERS {
            let (theirs, at) = heard.recv().expect("readers that go on");
            // A reader that was told of two frames at once has the newer.
            if theirs == seq {
                have += 1;
                last = last.max(at);
            }
        }
        times.push(last - begun);
    }
    times.sort();
    times
}

fn metric(setup: &Setup, name: &str) -> usize {
    let metrics = setup.client().get("/metrics").body;
    let line = metrics.lines().find_map(|line| line.strip_prefix(name));
    let value = line.and_then(|value| value.trim().parse().ok());
    value.unwrap_or_else(|| panic!("{name} in {metrics}"))
}

#[test]
fn those_who_read_nothing_are_cut_and_the_others_do_not_notice() {
    const STALL_MAX: Duration = Duration::from_secs(2);
    let (setup, mut floor) = Floor::open(|settings| settings.live_stall_max = STALL_MAX);
    next_frame(&mut floor, 0);
    let heard = readers(&setup);
    // All of them are there when the second frame has reached them.
    times(&mut floor, &heard, 1..2);
    let alone = times(&mut floor, &heard, 2..22);
    let stalled: Vec<Client> = (0..STALLED)
        .map(|_| {
            let stream = Sse::open(narrow(setup.addr), "?board=queues", &[]);
            stream.client
        })
        .collect();
    let begun = Instant::now();
    let together = times(&mut floor, &heard, 22..42);
    let mut number = 42;
    while metric(&setup, "callgauge_sse_clients_cut_total ") < STALLED {
        assert!(
            begun.elapsed() < Duration::from_secs(30),
            "not cut within 30 s"
        );
        times(&mut floor, &heard, number..number + 1);
        number += 1;
    }
    let after = begun.elapsed();
    // Cut is also gone, and only those.
    while metric(&setup, "callgauge_http_connections ") > READERS + 1 {}
    assert_eq!(metric(&setup, "callgauge_sse_clients_cut_total "), STALLED);
    let left = ["live", "behind"].map(|state| {
        metric(
            &setup,
            &format!("callgauge_sse_clients{{state=\"{state}\"}} "),
        )
    });
    assert_eq!(left.iter().sum::<usize>(), READERS);
    let median = |times: &[Duration]| times[times.len() / 2];
    println!(
        "median alone {:?}, among stalled {:?}; cut after {after:?}",
        median(&alone),
        median(&together)
    );
    assert!(
        median(&together) <= median(&alone) * 3 + Duration::from_millis(100),
        "alone {alone:?}, together {together:?}"
    );
    // What had been kept for them is what they find now: it was bounded.
    for mut client in stalled {
        let bytes = client.bytes_to_the_end();
        assert!(bytes <= BUFFERED_MAX + RECEIVE_BYTES, "{bytes} bytes");
    }
}
