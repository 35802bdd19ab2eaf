//! Before the data are open: the doors are there, and say how far it is.

use std::{ops::ControlFlow, sync::Arc};

use arrow_flight::{Action, flight_service_client::FlightServiceClient};
use ingest::{
    IdentityKey,
    live::{LiveIngest, LiveSettings, OnError},
};
use server::{OpenServer, Server, Settings, StartStep, Surroundings};
use store::Store;
use tempfile::TempDir;
use tonic::{Code, transport::Endpoint};

use crate::{
    client::{Client, NDJSON, Reply},
    fake::{self, NOW, event},
};

fn open(change: impl FnOnce(&mut Settings)) -> OpenServer {
    let mut settings = Settings::new("127.0.0.1:0".parse().expect("an address"));
    change(&mut settings);
    let surroundings = Surroundings {
        now: Arc::new(|| NOW),
        run_id: 0xca11,
        seed: [3; 32],
    };
    Server::open(settings, surroundings).expect("it listens")
}

#[track_caller]
fn assert_starts(reply: &Reply, how: &str) {
    assert_eq!(reply.status, 503, "{reply:?}");
    assert_eq!(reply.header("retry-after"), "2", "{reply:?}");
    assert!(reply.body.contains(how), "{reply:?}");
    assert!(!reply.header("x-request-id").is_empty(), "{reply:?}");
}

#[test]
fn a_server_that_opens_its_data_lives_and_is_not_ready() {
    let open = open(|_| {});
    let mut kept = Client::connect(open.addr());
    let health = kept.get("/healthz");
    assert_eq!(health.status, 200, "{health:?}");
    assert_eq!(health.json()["status"], "starting");
    let how = "starting: opening the data";
    let ready = kept.get("/readyz?for=query");
    assert_starts(&ready, how);
    assert_eq!(ready.json()["status"], "not_ready");
    assert_eq!(ready.json()["parts"][0], "starting");
    assert_eq!(ready.json()["reason"], how);

    let step = StartStep::Replaying {
        done: 32_768,
        all: 9_000_000,
    };
    open.starting().step(step);
    let how = "starting: replaying the log, 32768 of 9000000 rows";
    for path in [
        "/api/v1/kpi?metric=asa",
        "/metrics",
        "/wallboard",
        "/no-such",
    ] {
        let reply = Client::connect(open.addr()).get(path);
        assert_starts(&reply, how);
        assert_eq!(reply.json()["error"]["code"], "not_ready", "{path}");
    }
    // Also to who sends a lot before it reads.
    let large = vec![b' '; 5 << 20];
    let reply = Client::connect(open.addr()).post(&[NDJSON], large);
    assert_starts(&reply, how);
    assert_eq!(kept.get("/readyz").json()["reason"], how);

    // A connection of before goes on to what is behind the door then.
    let setup = fake::start();
    let server = open.serve(fake::backends(&setup.sink));
    assert_eq!(kept.get("/readyz").status, 200);
    assert_eq!(kept.post(&[NDJSON], event("a")).status, 200);
    assert!(!kept.get("/healthz").body.contains("reason"));
    server.stop();
}

#[test]
fn strangers_get_no_further_than_before_and_a_stop_ends_it() {
    let open = open(|_| {});
    let addr = open.addr();
    let mut client = Client::connect(addr);
    client.write("GET /readyz HTTP/1.1\r\nhost: evil.example\r\n\r\n");
    let reply = client.reply();
    assert_eq!(reply.status, 403, "{reply:?}");
    open.stop();
    assert!(std::net::TcpStream::connect(addr).is_err(), "it listens on");
}

#[tokio::test(flavor = "multi_thread")]
async fn flight_clients_are_told_to_come_again() {
    let open =
        tokio::task::spawn_blocking(|| open(|settings| settings.flight = Some(settings.listen)));
    let open = open.await.expect("a server");
    let setup = tokio::task::spawn_blocking(fake::start).await;
    let setup = setup.expect("a pipeline");
    let backends = fake::backends(&setup.sink);
    let flight = open.flight_addr().expect("a second door");
    let channel = Endpoint::from_shared(format!("http://{flight}")).expect("an address");
    let mut client = FlightServiceClient::new(channel.connect().await.expect("it listens"));
    let refused = client.list_actions(arrow_flight::Empty {}).await;
    let status = refused.expect_err("there are no data");
    assert_eq!(status.code(), Code::Unavailable, "{status:?}");
    assert!(status.message().contains("starting"), "{status:?}");

    let server = open.serve(backends);
    let known = client.list_actions(arrow_flight::Empty {}).await;
    known.expect("the same connection goes on");
    let refused = client.do_action(Action::new("no-such", "")).await;
    let status = refused.expect_err("there is no such action");
    assert_ne!(status.code(), Code::Unavailable, "{status:?}");
    tokio::task::spawn_blocking(move || (server.stop(), drop(setup)))
        .await
        .expect("it stops");
}

fn pipeline() -> LiveSettings {
    LiveSettings {
        disk_reserve_bytes: 0,
        ..LiveSettings::new(IdentityKey::new([1; 32]), Arc::new(|| NOW), [3; 32])
    }
}

/// A folder whose log has events that are in no file.
fn left_behind() -> (TempDir, u64) {
    let folder = TempDir::new().expect("a folder");
    let copy = TempDir::new().expect("a folder");
    let store = Arc::new(Store::create_or_open(folder.path()).expect("a store"));
    let (live, _) = LiveIngest::start(store, pipeline()).expect("a pipeline");
    for batch in 0..3 {
        let mut delivery = live.delivery();
        for n in 0..100 {
            delivery.line(n + 1, event(&format!("e{batch}-{n}")).as_bytes());
        }
        let receipt = live.deliver_and_wait(delivery, OnError::KeepGood);
        assert_eq!(receipt.expect("a receipt").accepted, 100);
    }
    let seq = live.state().committed_seq;
    copy_folder(folder.path(), copy.path());
    live.shut_down().expect("a clean end");
    (copy, seq)
}

fn copy_folder(from: &std::path::Path, to: &std::path::Path) {
    for entry in std::fs::read_dir(from).expect("a folder") {
        let entry = entry.expect("an entry");
        let target = to.join(entry.file_name());
        if entry.file_type().expect("a type").is_dir() {
            std::fs::create_dir(&target).expect("a folder");
            copy_folder(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).expect("a copy");
        }
    }
}

#[test]
fn while_the_log_is_replayed_it_is_said_how_far_that_is() {
    let (folder, all) = left_behind();
    let open = open(|_| {});
    let starting = open.starting();
    let store = Arc::new(Store::create_or_open(folder.path()).expect("a store"));
    let mut client = Client::connect(open.addr());
    let mut seen = Vec::new();
    let (live, found) = LiveIngest::start_watched(store, pipeline(), &mut |step| {
        starting.step(StartStep::Replaying {
            done: step.done,
            all: step.all,
        });
        assert_eq!(client.get("/healthz").status, 200);
        let ready = client.get("/readyz");
        let how = format!("replaying the log, {} of {all} rows", step.done);
        assert_starts(&ready, &how);
        seen.push(step.done);
        ControlFlow::Continue(())
    })
    .expect("it starts");
    assert_eq!((seen.first(), seen.last()), (Some(&0), Some(&all)));
    assert_eq!(found.events, 300);
    live.shut_down().expect("a clean end");
    open.stop();
}
