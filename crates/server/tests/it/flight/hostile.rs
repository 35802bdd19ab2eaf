//! Garbage in every place where bytes come in.

use arrow_flight::{
    FlightData, FlightDescriptor, FlightInfo, Ticket,
    error::FlightError,
    sql::{
        ActionCreatePreparedStatementRequest, ActionCreatePreparedStatementResult, Any,
        CommandPreparedStatementQuery, CommandStatementQuery, CommandStatementSubstraitPlan,
        ProstMessageExt, TicketStatementQuery,
    },
};
use bytes::Bytes;
use futures::stream;
use prost::Message;
use tonic::{Code, Request};

use super::world::{Client, act, code, number, open, query, ticket};

/// Prepares a statement and gives its handle.
pub async fn prepare(client: &mut Client, text: &str) -> Result<Bytes, FlightError> {
    let request = ActionCreatePreparedStatementRequest {
        query: text.to_owned(),
        transaction_id: None,
    };
    let body = request.as_any().encode_to_vec();
    let answers = act(client, "CreatePreparedStatement", body).await?;
    let any = Any::decode(&*answers[0]).expect("a message");
    let result: ActionCreatePreparedStatementResult =
        any.unpack().expect("a message").expect("this one");
    Ok(result.prepared_statement_handle)
}

/// Asks for the rows of a prepared statement by its handle.
pub async fn run_prepared(client: &mut Client, handle: Bytes) -> Result<FlightInfo, FlightError> {
    let command = CommandPreparedStatementQuery {
        prepared_statement_handle: handle,
    };
    info(client, command.as_any().encode_to_vec()).await
}

async fn info(client: &mut Client, command: Vec<u8>) -> Result<FlightInfo, FlightError> {
    let descriptor = FlightDescriptor::new_cmd(command);
    let mut request = Request::new(descriptor);
    if let Some(token) = client.token() {
        let header = format!("Bearer {token}").parse().expect("a header");
        request.metadata_mut().insert("authorization", header);
    }
    let answer = client.inner_mut().get_flight_info(request).await;
    answer
        .map(tonic::Response::into_inner)
        .map_err(FlightError::from)
}

async fn read(client: &mut Client, ticket: impl Into<Bytes>) -> Code {
    code(client.do_get(Ticket::new(ticket)).await)
}

fn of_statement(handle: &[u8]) -> Vec<u8> {
    let ticket = TicketStatementQuery {
        statement_handle: Bytes::copy_from_slice(handle),
    };
    ticket.as_any().encode_to_vec()
}

#[test]
fn a_ticket_that_was_changed_in_any_bit_is_unknown() {
    let world = open();
    world.run(async {
        let mut client = world.client().await;
        let told = client
            .execute("SELECT 7 AS n".into(), None)
            .await
            .expect("planned");
        let any = Any::decode(&*ticket(&told).ticket).expect("a ticket");
        let good: TicketStatementQuery = any.unpack().expect("a message").expect("this one");
        let good = good.statement_handle;
        for place in 0..good.len() {
            let mut bytes = good.to_vec();
            bytes[place] ^= 1 << (place % 8);
            assert_eq!(
                read(&mut client, of_statement(&bytes)).await,
                Code::NotFound,
                "{place}"
            );
        }
        for length in [0, 1, good.len() - 1] {
            let cut = of_statement(&good[..length]);
            assert_eq!(read(&mut client, cut).await, Code::NotFound, "{length}");
        }
        let longer = of_statement(&[&good[..], b"x"].concat());
        assert_eq!(read(&mut client, longer).await, Code::NotFound);
        let rows = super::world::rows(&mut client, &told)
            .await
            .expect("the good one");
        assert_eq!(number(&rows), 7);
    });
}

#[test]
fn bytes_that_are_no_command_are_refused_everywhere() {
    let world = open();
    world.run(async {
        let mut client = world.client().await;
        let garbage: [Vec<u8>; 5] = [
            Vec::new(),
            b"SELECT 1".to_vec(),
            vec![0xff; 300],
            Any {
                type_url: "type.googleapis.com/arrow.flight.protocol.sql.NoSuchCommand".to_owned(),
                value: Bytes::new(),
            }
            .encode_to_vec(),
            Any {
                type_url: CommandStatementQuery::type_url().to_owned(),
                value: Bytes::from_static(&[0x0a, 0xff, 0xff, 0xff]),
            }
            .encode_to_vec(),
        ];
        for bytes in garbage {
            assert_eq!(
                read(&mut client, bytes.clone()).await,
                Code::InvalidArgument
            );
            assert_eq!(
                code(info(&mut client, bytes.clone()).await),
                Code::InvalidArgument
            );
            let descriptor = FlightDescriptor::new_cmd(bytes.clone());
            let message = FlightData::new().with_descriptor(descriptor);
            let put = client.do_put(stream::iter([message])).await;
            assert_eq!(code(put), Code::InvalidArgument);
            for action in [
                "CreatePreparedStatement",
                "ClosePreparedStatement",
                "CancelQuery",
            ] {
                let answer = act(&mut client, action, bytes.clone()).await;
                assert_eq!(code(answer), Code::InvalidArgument, "{action}");
            }
        }
        let path = FlightDescriptor::new_path(vec!["kpi".into(), "queue_visits".into()]);
        let answer = client
            .inner_mut()
            .get_flight_info(path)
            .await
            .map_err(FlightError::from);
        assert_eq!(code(answer), Code::InvalidArgument);
        let put = client.do_put(stream::iter([FlightData::new()])).await;
        assert_eq!(code(put), Code::InvalidArgument);
        let put = client.do_put(stream::iter(Vec::<FlightData>::new())).await;
        assert_eq!(code(put), Code::InvalidArgument);
    });
}

#[test]
fn unknown_handles_and_actions_are_told() {
    let world = open();
    world.run(async {
        let mut client = world.client().await;
        for handle in [&b""[..], b"short", &[7; 32], &[7; 4_096]] {
            let handle = Bytes::from_static(handle);
            assert_eq!(
                code(run_prepared(&mut client, handle).await),
                Code::NotFound
            );
        }
        let handle = prepare(&mut client, "SELECT 1 AS one")
            .await
            .expect("planned");
        let mut other = handle.to_vec();
        other[20] ^= 1;
        assert_eq!(
            code(run_prepared(&mut client, other.into()).await),
            Code::NotFound
        );
        run_prepared(&mut client, handle)
            .await
            .expect("the good one");
        for action in [
            "NoSuchAction",
            "",
            "BeginTransaction",
            "CreatePreparedSubstraitPlan",
        ] {
            let answer = act(&mut client, action, Vec::new()).await;
            assert_eq!(code(answer), Code::Unimplemented, "{action}");
        }
        let plan = CommandStatementSubstraitPlan::default()
            .as_any()
            .encode_to_vec();
        assert_eq!(code(info(&mut client, plan).await), Code::Unimplemented);
        let in_transaction = client
            .execute("SELECT 1".into(), Some(Bytes::from_static(b"t")))
            .await;
        assert_eq!(code(in_transaction), Code::Unimplemented);
        assert_eq!(code(client.begin_transaction().await), Code::Unimplemented);
    });
}

#[test]
fn messages_have_a_limit_that_is_larger_for_events() {
    let world = open();
    world.run(async {
        let mut client = world.client().await;
        let long = format!("SELECT '{}'", "x".repeat(5 << 20));
        assert_eq!(code(client.execute(long, None).await), Code::OutOfRange);
        let long = format!("SELECT '{}'", "x".repeat(100_000));
        assert_eq!(
            code(client.execute(long, None).await),
            Code::InvalidArgument
        );
        assert_eq!(
            number(
                &query(&mut client, "SELECT 1 AS n")
                    .await
                    .expect("it goes on")
            ),
            1
        );
    });
}

#[test]
fn errors_of_queries_keep_values_and_paths_to_themselves() {
    let world = open();
    world.run(async {
        let mut client = world.client().await;
        for text in [
            "SELEC 1",
            "SELECT nothing FROM facts.queue_visits",
            "SELECT * FROM '/etc/passwd'",
            "SELECT CAST(queue_id AS INT) FROM facts.queue_visits",
            "SELECT MEASURE(wait_ms) FROM kpi.queue_visits",
            "SELECT 1; SELECT 2",
        ] {
            let (code, message) = match query(&mut client, text).await {
                Ok(_) => panic!("{text}"),
                Err(error) => super::world::status(error),
            };
            assert_eq!(code, Code::InvalidArgument, "{text}: {message}");
            assert!(
                !message.contains("sales") && !message.contains("billing"),
                "{message}"
            );
        }
    });
}
