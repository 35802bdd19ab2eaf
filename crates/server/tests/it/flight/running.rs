//! Tickets, and ending what runs.

use std::time::{Duration, Instant};

use arrow_flight::{
    CancelFlightInfoRequest, CancelFlightInfoResult, CancelStatus, FlightEndpoint, FlightInfo,
    RenewFlightEndpointRequest,
    sql::{ActionCancelQueryRequest, ActionCancelQueryResult, Any, ProstMessageExt},
};
use futures::{StreamExt, TryStreamExt};
use prost::Message;
use tonic::Code;

use super::world::{
    ANALYST, Client, World, act, code, number, open, query, rows, secured, status, ticket,
};

/// Would run for hours: all events have one source.
pub const ENDLESS: &str = "SELECT count(*) FROM events.log a \
                           JOIN events.log b ON a.source = b.source \
                           JOIN events.log c ON b.source = c.source \
                           WHERE a.event_id < c.event_id";

/// Waits until nothing runs any more, which must not take long.
async fn all_ended(world: &World) {
    let caller = engine::service::Caller {
        name: "test".into(),
        sees_all: true,
        sees_raw: true,
    };
    let begun = Instant::now();
    while !world.queries.running(&caller).is_empty() {
        assert!(begun.elapsed() < Duration::from_secs(10), "it still runs");
        tokio::task::yield_now().await;
    }
}

async fn running(world: &World) {
    let caller = engine::service::Caller {
        name: "test".into(),
        sees_all: true,
        sees_raw: true,
    };
    let begun = Instant::now();
    while world.queries.running(&caller).is_empty() {
        assert!(
            begun.elapsed() < Duration::from_secs(60),
            "it does not begin"
        );
        tokio::task::yield_now().await;
    }
}

async fn endless(client: &mut Client) -> FlightInfo {
    client
        .execute(ENDLESS.to_owned(), None)
        .await
        .expect("it is planned")
}

#[test]
fn a_ticket_read_again_gives_the_same_rows_whatever_came_in_between() {
    let world = open();
    let text = "SELECT count(*) AS n FROM events.log";
    let (info, first) = world.run(async {
        let mut client = world.login("a").await;
        let info = client
            .execute(text.to_owned(), None)
            .await
            .expect("planned");
        let first = number(&rows(&mut client, &info).await.expect("rows"));
        (info, first)
    });
    world.store("in-between");
    world.run(async {
        // Another session of the same caller may read it.
        let mut client = world.login("a").await;
        assert_eq!(
            number(&rows(&mut client, &info).await.expect("rows")),
            first
        );
        assert_eq!(
            number(&query(&mut client, text).await.expect("rows")),
            first + 1
        );
    });
}

#[test]
fn a_ticket_ends_after_its_time_unless_it_is_renewed() {
    let world = open();
    world.run(async {
        let mut client = world.login("a").await;
        let info = client
            .execute("SELECT 7 AS n".into(), None)
            .await
            .expect("planned");
        world.later(4 * 60);
        let renewed = renew(&mut client, &info.endpoint[0]).await;
        world.later(2 * 60);
        assert_eq!(code(client.do_get(ticket(&info)).await), Code::NotFound);
        let again = FlightInfo {
            endpoint: vec![renewed],
            ..info.clone()
        };
        assert_eq!(number(&rows(&mut client, &again).await.expect("rows")), 7);
        world.later(4 * 60);
        assert_eq!(code(client.do_get(ticket(&again)).await), Code::NotFound);
    });
}

/// Many clients of one caller, who read what they ask for: none loses a ticket to another.
#[test]
fn a_ticket_that_is_waited_for_outlives_those_that_were_read() {
    let world = open();
    world.run(async {
        let mut patient = world.login("a").await;
        let text = "SELECT 7 AS n".to_owned();
        let info = patient.execute(text, None).await.expect("planned");
        for session in 0..=server::limits::TICKETS_PER_CALLER_MAX / 50 {
            let mut client = world.login(&format!("busy-{session}")).await;
            for _ in 0..50 {
                query(&mut client, "SELECT 1 AS n").await.expect("rows");
            }
        }
        let waited = rows(&mut patient, &info).await.expect("still there");
        assert_eq!(number(&waited), 7);
    });
}

async fn renew(client: &mut Client, endpoint: &FlightEndpoint) -> FlightEndpoint {
    let request = RenewFlightEndpointRequest {
        endpoint: Some(endpoint.clone()),
    };
    let answers = act(client, "RenewFlightEndpoint", request.encode_to_vec()).await;
    let answers = answers.expect("it is renewed");
    FlightEndpoint::decode(&*answers[0]).expect("an endpoint")
}

#[test]
fn of_too_many_tickets_those_that_were_read_go_first() {
    let world = open();
    world.run(async {
        let mut client = world.login("a").await;
        let mut infos = Vec::new();
        for n in 0..66 {
            let text = format!("SELECT {n} AS n");
            infos.push(client.execute(text, None).await.expect("planned"));
            if n == 1 {
                rows(&mut client, &infos[1]).await.expect("rows");
            }
        }
        // The 65th took the place of the one that was read, the 66th that of the oldest.
        assert_eq!(code(client.do_get(ticket(&infos[0])).await), Code::NotFound);
        assert_eq!(code(client.do_get(ticket(&infos[1])).await), Code::NotFound);
        assert_eq!(
            number(&rows(&mut client, &infos[2]).await.expect("rows")),
            2
        );
        // Another session has its own.
        let mut other = world.login("b").await;
        assert_eq!(
            number(&query(&mut other, "SELECT 1 AS n").await.expect("rows")),
            1
        );
    });
}

#[test]
fn a_ticket_is_of_use_to_its_caller_only() {
    let world = secured();
    world.run(async {
        let mut client = world.login(ANALYST).await;
        let info = client
            .execute("SELECT 1 AS n".into(), None)
            .await
            .expect("planned");
        // Of those who may ask: `roles`.
        let mut sender = world.login(super::world::SENDER).await;
        assert_eq!(
            code(sender.do_get(ticket(&info)).await),
            Code::PermissionDenied
        );
        let mut stranger = world.client().await;
        assert_eq!(
            code(stranger.do_get(ticket(&info)).await),
            Code::Unauthenticated
        );
    });
}

#[test]
fn a_stream_that_is_let_go_ends_its_query() {
    let world = open();
    world.run(async {
        let mut client = world.login("a").await;
        let info = endless(&mut client).await;
        let stream = client.do_get(ticket(&info)).await.expect("it begins");
        running(&world).await;
        drop(stream);
        all_ended(&world).await;
    });
}

#[test]
fn both_ways_to_cancel_end_the_query_and_its_reader_is_told() {
    let world = open();
    world.run(async {
        for by_query in [false, true] {
            let mut client = world.login("a").await;
            let info = endless(&mut client).await;
            let mut stream = client.do_get(ticket(&info)).await.expect("it begins");
            running(&world).await;
            cancel(&mut client, &info, by_query).await;
            let error = stream.try_next().await.expect_err("it was cancelled");
            assert_eq!(status(error).0, Code::Cancelled);
            all_ended(&world).await;
            assert_eq!(code(client.do_get(ticket(&info)).await), Code::NotFound);
        }
    });
}

async fn cancel(client: &mut Client, info: &FlightInfo, by_query: bool) {
    if by_query {
        let request = ActionCancelQueryRequest {
            info: info.encode_to_vec().into(),
        };
        let answers = act(client, "CancelQuery", request.as_any().encode_to_vec()).await;
        let any = Any::decode(&*answers.expect("done")[0]).expect("a message");
        let result: ActionCancelQueryResult = any.unpack().expect("a message").expect("this one");
        assert_eq!(result.result, 1, "cancelled");
    } else {
        let request = CancelFlightInfoRequest {
            info: Some(info.clone()),
        };
        let answers = act(client, "CancelFlightInfo", request.encode_to_vec()).await;
        let result = CancelFlightInfoResult::decode(&*answers.expect("done")[0]);
        assert_eq!(result.expect("a result").status(), CancelStatus::Cancelled);
    }
}

#[test]
fn closing_a_session_ends_what_it_runs() {
    let world = open();
    world.run(async {
        let mut client = world.login("a").await;
        let info = endless(&mut client).await;
        let mut stream = client.do_get(ticket(&info)).await.expect("it begins");
        running(&world).await;
        act(&mut client, "CloseSession", Vec::new())
            .await
            .expect("done");
        let error = stream.try_next().await.expect_err("the session has ended");
        assert_eq!(status(error).0, Code::Cancelled);
        all_ended(&world).await;
    });
}

#[test]
fn a_server_that_stops_does_not_wait_for_an_endless_query() {
    let mut world = open();
    let stream = world.run(async {
        let mut client = world.login("a").await;
        let info = endless(&mut client).await;
        let stream = client.do_get(ticket(&info)).await.expect("it begins");
        running(&world).await;
        stream
    });
    let begun = Instant::now();
    world.queries.stop();
    world.stop_the_doors();
    assert!(
        begun.elapsed() < Duration::from_secs(15),
        "{:?}",
        begun.elapsed()
    );
    let error = world.run(async { { stream }.next().await });
    let error = error
        .expect("an end")
        .expect_err("it did not come to its end");
    assert!(matches!(
        status(error).0,
        Code::Unavailable | Code::Cancelled
    ));
}

#[test]
fn long_texts_are_cut_into_messages_that_every_client_takes() {
    let world = open();
    world.run(async {
        let mut raw = world.raw().await;
        let mut client = world.client().await;
        let text = "SELECT event_id, repeat('0123456789', 1000) AS long FROM events.log LIMIT 1500";
        let info = client
            .execute(text.to_owned(), None)
            .await
            .expect("planned");
        // Without a login the connection is the session: the ticket is the caller's all the same.
        let stream = raw
            .do_get(ticket(&info))
            .await
            .expect("it begins")
            .into_inner();
        let messages: Vec<_> = stream.try_collect().await.expect("all of it");
        let largest = messages
            .iter()
            .map(Message::encoded_len)
            .max()
            .expect("messages");
        assert!(largest <= 4 << 20, "{largest}");
        assert!(messages.len() > 5, "{}", messages.len());
        let batch = rows(&mut client, &info).await.expect("rows");
        assert_eq!(batch.num_rows(), 1_500);
        let wide = "SELECT string_agg(long, '') AS wide FROM \
                    (SELECT repeat('0123456789', 1000) AS long FROM events.log LIMIT 600)";
        assert_eq!(code(query(&mut client, wide).await), Code::OutOfRange);
    });
}
