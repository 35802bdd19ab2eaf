//! Who may do what on this door.

use arrow_flight::{
    Action, Criteria, Empty, FlightData, FlightDescriptor, Ticket,
    flight_service_client::FlightServiceClient,
    sql::{
        ActionClosePreparedStatementRequest, ActionCreatePreparedStatementRequest, Any,
        CommandGetTables, CommandPreparedStatementUpdate, CommandStatementIngest,
        CommandStatementQuery, CommandStatementUpdate, ProstMessageExt, TableDefinitionOptions,
        TableExistsOption,
    },
};
use bytes::Bytes;
use futures::{TryStreamExt, stream};
use prost::Message;
use server::{
    FlightCall, FlightCallKind,
    access::{Right, Role},
    flight_calls,
};
use tonic::{Code, Request, Response, Status, Streaming, transport::Channel};

use super::{
    hostile::{prepare, run_prepared},
    world::{
        ANALYST, COLLECTOR, Client, SENDER, World, act, code, number, open, open_for, open_set,
        query, secured, status, ticket,
    },
};
use crate::{client::JSON, roles::TokenFile};

async fn with_header(world: &World, header: &str) -> Client {
    let mut client = world.client().await;
    client.set_header("authorization", header);
    client
}

async fn ask(client: &mut Client) -> Code {
    match query(client, "SELECT 1 AS one").await {
        Ok(_) => Code::Ok,
        Err(error) => status(error).0,
    }
}

async fn write(client: &mut Client) -> Code {
    let command = CommandStatementIngest {
        table: "log".to_owned(),
        schema: Some("events".to_owned()),
        ..CommandStatementIngest::default()
    };
    let descriptor = FlightDescriptor::new_cmd(command.as_any().encode_to_vec());
    let message = FlightData::new().with_descriptor(descriptor);
    match client.do_put(stream::iter([message])).await {
        Ok(_) => Code::Ok,
        Err(error) => status(error).0,
    }
}

/// Whoever is not allowed learns that first, whatever else is wrong with the call.
#[test]
fn each_role_may_do_its_own() {
    let world = secured();
    world.run(async {
        let expected = [
            (ANALYST, Code::Ok, Code::PermissionDenied),
            (SENDER, Code::PermissionDenied, Code::InvalidArgument),
            (COLLECTOR, Code::PermissionDenied, Code::PermissionDenied),
        ];
        for (token, asking, writing) in expected {
            let mut by_login = world.login(token).await;
            let mut by_header = with_header(&world, &format!("Bearer {token}")).await;
            let mut by_password = with_header(&world, &basic("me", token)).await;
            // As Go writes it.
            let unpadded = basic("me", token).trim_end_matches('=').to_owned();
            let mut by_go = with_header(&world, &unpadded).await;
            for client in [&mut by_login, &mut by_header, &mut by_password, &mut by_go] {
                assert_eq!(ask(client).await, asking, "{token}");
                // The command has no options: allowed, it is refused for that.
                assert_eq!(write(client).await, writing, "{token}");
                client
                    .get_catalogs()
                    .await
                    .expect("every caller may know what this is");
            }
        }
    });
}

fn basic(user: &str, password: &str) -> String {
    use base64::{Engine as _, prelude::BASE64_STANDARD};
    format!(
        "Basic {}",
        BASE64_STANDARD.encode(format!("{user}:{password}"))
    )
}

#[test]
fn without_a_good_token_nothing_is_answered() {
    let world = secured();
    world.run(async {
        let headers = [
            "Bearer wrong".to_owned(),
            "Bearer ".to_owned(),
            basic("a", ""),
            basic("a", "wrong"),
            "Basic !!!".to_owned(),
            "Digest abc".to_owned(),
        ];
        for header in &headers {
            let mut client = with_header(&world, header).await;
            assert_eq!(ask(&mut client).await, Code::Unauthenticated, "{header}");
            assert_eq!(write(&mut client).await, Code::Unauthenticated, "{header}");
            let closed = act(&mut client, "CloseSession", Vec::new()).await;
            assert_eq!(code(closed), Code::Unauthenticated, "{header}");
        }
        let mut nobody = world.client().await;
        assert_eq!(ask(&mut nobody).await, Code::Unauthenticated);
        let refused = nobody
            .handshake("a", "wrong")
            .await
            .expect_err("a wrong password");
        assert!(refused.to_string().contains("token"), "{refused}");
    });
}

#[test]
fn without_a_token_file_everybody_may_ask_and_a_closed_session_is_closed() {
    let world = open();
    world.run(async {
        let mut client = world.client().await;
        assert_eq!(ask(&mut client).await, Code::Ok);
        client.handshake("me", "whatever").await.expect("any login");
        assert_eq!(ask(&mut client).await, Code::Ok);
        act(&mut client, "CloseSession", Vec::new())
            .await
            .expect("done");
        assert_eq!(ask(&mut client).await, Code::Unauthenticated);
    });
}

#[test]
fn the_handshake_gives_the_same_token_in_header_and_payload() {
    let world = secured();
    world.run(async {
        let mut client = world.client().await;
        let payload = client
            .handshake("me", ANALYST)
            .await
            .expect("a token that is known");
        let token = client.token().expect("a header").clone();
        assert_eq!(token.as_bytes(), &payload[..]);
        assert_ne!(token, ANALYST);
        assert!(token.len() >= 64, "256 bits");
        let mut other = world.client().await;
        other
            .handshake("me", ANALYST)
            .await
            .expect("a token that is known");
        assert_ne!(other.token(), Some(&token));
    });
}

#[test]
fn a_token_that_is_taken_back_ends_its_sessions() {
    let world = secured();
    world.run(async {
        let mut client = world.login(ANALYST).await;
        assert_eq!(ask(&mut client).await, Code::Ok);
        world.take_back("ann");
        let begun = std::time::Instant::now();
        while ask(&mut client).await == Code::Ok {
            assert!(begun.elapsed().as_secs() < 30, "the token is still good");
        }
        assert_eq!(ask(&mut client).await, Code::Unauthenticated);
    });
}

#[test]
fn a_sender_of_events_neither_prepares_nor_sets() {
    let world = secured();
    world.run(async {
        let mut sender = world.login(SENDER).await;
        let refused = sender.prepare("SELECT 1 AS one".into(), None).await;
        assert_eq!(code(refused), Code::PermissionDenied);
        let update = CommandStatementUpdate {
            query: "SET kpi.strict = true".to_owned(),
            transaction_id: None,
        };
        let descriptor = FlightDescriptor::new_cmd(update.as_any().encode_to_vec());
        let message = FlightData::new().with_descriptor(descriptor);
        let refused = sender.do_put(Request::new(stream::iter([message]))).await;
        assert_eq!(code(refused), Code::PermissionDenied);
    });
}

type Raw = FlightServiceClient<Channel>;

/// A request as whoever holds `token` sends it.
fn signed<T>(message: T, token: &str) -> Request<T> {
    let mut request = Request::new(message);
    if !token.is_empty() {
        let header = format!("Bearer {token}").parse().expect("a header");
        request.metadata_mut().insert("authorization", header);
    }
    request
}

/// The bytes of a command of this name, with as little in it as its kind needs.
fn command(name: &str) -> Vec<u8> {
    let select = "SELECT 1 AS one".to_owned();
    match name {
        "CommandStatementQuery" => CommandStatementQuery {
            query: select,
            transaction_id: None,
        }
        .as_any(),
        "CommandStatementUpdate" => CommandStatementUpdate {
            query: "SET kpi.strict = false".to_owned(),
            transaction_id: None,
        }
        .as_any(),
        "CommandPreparedStatementUpdate" => CommandPreparedStatementUpdate {
            prepared_statement_handle: Bytes::from_static(b"none"),
        }
        .as_any(),
        "CommandStatementIngest" => CommandStatementIngest {
            table: "log".to_owned(),
            schema: Some("events".to_owned()),
            table_definition_options: Some(TableDefinitionOptions {
                if_exists: TableExistsOption::Append as i32,
                ..TableDefinitionOptions::default()
            }),
            ..CommandStatementIngest::default()
        }
        .as_any(),
        // An empty message is one of each of the others.
        name => Any {
            type_url: format!("type.googleapis.com/arrow.flight.protocol.sql.{name}"),
            value: Bytes::new(),
        },
    }
    .encode_to_vec()
}

/// The body of an action of this name.
fn body(name: &str) -> Vec<u8> {
    match name {
        "CreatePreparedStatement" => ActionCreatePreparedStatementRequest {
            query: "SELECT 1 AS one".to_owned(),
            transaction_id: None,
        }
        .as_any()
        .encode_to_vec(),
        "ClosePreparedStatement" => ActionClosePreparedStatementRequest::default()
            .as_any()
            .encode_to_vec(),
        "CancelQuery" => arrow_flight::sql::ActionCancelQueryRequest::default()
            .as_any()
            .encode_to_vec(),
        _ => Vec::new(),
    }
}

/// Reads a stream to its end.
async fn drained<T>(answer: Result<Response<Streaming<T>>, Status>) -> Code {
    let read = match answer {
        Ok(answer) => answer.into_inner().try_collect::<Vec<T>>().await,
        Err(refused) => Err(refused),
    };
    read.map_or_else(|status| status.code(), |_| Code::Ok)
}

fn of<T>(answer: Result<T, Status>) -> Code {
    answer.map_or_else(|status| status.code(), |_| Code::Ok)
}

/// Makes a call in every way that there is for its kind; what each was answered.
async fn ways(client: &mut Raw, call: &FlightCall, token: &str) -> Vec<Code> {
    let bytes = command(call.name);
    let flight = || signed(FlightDescriptor::new_cmd(bytes.clone()), token);
    let get = signed(Ticket::new(bytes.clone()), token);
    match call.kind {
        FlightCallKind::Read => vec![
            of(client.get_flight_info(flight()).await),
            of(client.get_schema(flight()).await),
            of(client.poll_flight_info(flight()).await),
            drained(client.do_get(get).await).await,
        ],
        FlightCallKind::Ticket => vec![drained(client.do_get(get).await).await],
        FlightCallKind::Put => {
            let descriptor = FlightDescriptor::new_cmd(bytes);
            let messages = stream::iter([FlightData::new().with_descriptor(descriptor)]);
            vec![drained(client.do_put(signed(messages, token)).await).await]
        }
        FlightCallKind::Action => {
            let action = Action::new(call.name, body(call.name));
            vec![drained(client.do_action(signed(action, token)).await).await]
        }
    }
}

#[test]
fn every_role_may_do_on_this_door_what_the_table_says_and_nothing_else() {
    let file = TokenFile::new();
    let tokens = Role::ALL.map(|role| (role, file.add(role.as_str(), &[role])));
    let world = super::world::open_for(file.path());
    let (mut allowed, mut denied) = (0, 0);
    world.run(async {
        for call in flight_calls() {
            for stranger in ["", "cg_nobody"] {
                let mut client = world.raw().await;
                for code in ways(&mut client, &call, stranger).await {
                    assert_eq!(code, Code::Unauthenticated, "{call:?}");
                }
            }
            for (role, token) in &tokens {
                let rights = call.rights;
                let may = rights.is_empty() || rights.iter().any(|r| role.rights().contains(r));
                let mut client = world.raw().await;
                for code in ways(&mut client, &call, token).await {
                    let refused = code == Code::PermissionDenied;
                    assert_eq!(refused, !may, "{role:?} {call:?}: {code:?}");
                    assert_ne!(code, Code::Unauthenticated, "{role:?} {call:?}");
                    assert_ne!(code, Code::Internal, "{role:?} {call:?}");
                    allowed += usize::from(may);
                    denied += usize::from(!may);
                }
            }
        }
    });
    assert!(allowed > 300 && denied > 90, "{allowed} {denied}");
}

/// Lists, and some of what they name.
#[test]
fn who_may_not_ask_in_sql_sees_no_relation_in_any_list() {
    let file = TokenFile::new();
    let tokens = Role::ALL.map(|role| (role, file.add(role.as_str(), &[role])));
    let world = super::world::open_for(file.path());
    world.run(async {
        for (role, token) in &tokens {
            let may = role.rights().contains(&Right::Sql);
            let mut client = world.raw().await;
            let all = client
                .list_flights(signed(Criteria::default(), token))
                .await;
            let all = all.expect("a list").into_inner();
            let all: Vec<_> = all.try_collect().await.expect("a list");
            assert_eq!(!all.is_empty(), may, "{role:?}");
            let actions = client.list_actions(signed(Empty {}, token)).await;
            assert_eq!(drained(actions).await, Code::Ok, "{role:?}");
            let mut client = world.login(token).await;
            let tables = client.get_tables(CommandGetTables::default()).await;
            let tables = super::world::rows(&mut client, &tables.expect("an answer")).await;
            assert_eq!(tables.expect("rows").num_rows() > 0, may, "{role:?}");
            for info in all.into_iter().step_by(7) {
                let descriptor = info.flight_descriptor.expect("what to ask for");
                let any = Any::decode(&*descriptor.cmd).expect("a command");
                let asked: CommandStatementQuery = any.unpack().expect("a query").expect("one");
                let rows = query(&mut client, &format!("{} LIMIT 1", asked.query)).await;
                rows.unwrap_or_else(|error| panic!("{role:?} {}: {error}", asked.query));
            }
        }
    });
}

#[test]
fn what_one_token_was_promised_is_unknown_to_another_also_under_the_same_name() {
    let file = TokenFile::new();
    let first = file.add("ann", &[Role::Analyst]);
    let other = file.add("bob", &[Role::Admin]);
    let world = super::world::open_for(file.path());
    world.run(async {
        let mut ann = world.client().await;
        ann.set_token(first);
        let info = ann
            .execute("SELECT 7 AS n".into(), None)
            .await
            .expect("planned");
        let handle = prepare(&mut ann, "SELECT 7 AS n").await.expect("planned");
        let mut bob = world.client().await;
        bob.set_token(other);
        assert_eq!(code(bob.do_get(ticket(&info)).await), Code::NotFound);
        assert_eq!(
            code(run_prepared(&mut bob, handle.clone()).await),
            Code::NotFound
        );

        server::tokens::revoke(&file.path(), "ann").expect("it is in the file");
        let second = file.add_again("ann", &[Role::Analyst]);
        let begun = std::time::Instant::now();
        // The same connection, which knows its session by whose it is.
        ann.set_token(second);
        while ask(&mut ann).await != Code::Ok {
            assert!(
                begun.elapsed().as_secs() < 30,
                "the new token is never taken"
            );
        }
        assert_eq!(code(ann.do_get(ticket(&info)).await), Code::NotFound);
        assert_eq!(code(run_prepared(&mut ann, handle).await), Code::NotFound);
        assert_eq!(
            number(&query(&mut ann, "SELECT 8 AS n").await.expect("rows")),
            8
        );
    });
}

#[test]
fn unread_tickets_of_one_caller_push_out_no_other_callers() {
    let file = TokenFile::new();
    let tokens = ["one", "two"].map(|name| file.add(name, &[Role::Analyst]));
    let world = super::world::open_for(file.path());
    world.run(async {
        let mut patient = world.login(&tokens[0]).await;
        let info = patient
            .execute("SELECT 7 AS n".into(), None)
            .await
            .expect("planned");
        let mut greedy = Vec::new();
        for _ in 0..=server::limits::TICKETS_MAX / server::limits::TICKETS_PER_SESSION_MAX {
            let mut client = world.login(&tokens[1]).await;
            for _ in 0..server::limits::TICKETS_PER_SESSION_MAX {
                let info = client.execute("SELECT 1 AS n".into(), None).await;
                greedy.push(info.expect("the caller's own oldest makes room"));
            }
        }
        assert!(greedy.len() > server::limits::TICKETS_MAX);
        let rows = super::world::rows(&mut patient, &info)
            .await
            .expect("still there");
        assert_eq!(number(&rows), 7);
        let mut client = world.login(&tokens[1]).await;
        let oldest = client.do_get(ticket(&greedy[0])).await;
        assert_eq!(code(oldest), Code::NotFound, "it made room");
        let newest = greedy.last().expect("many");
        super::world::rows(&mut client, newest)
            .await
            .expect("still there");
        let admin = file.add("metrics", &[Role::Metrics]);
        let begun = std::time::Instant::now();
        let authorization = format!("Bearer {admin}");
        let metrics = loop {
            let reply = world
                .http()
                .ask("GET /metrics", &[("authorization", &authorization)], b"");
            if reply.status == 200 {
                break reply.body;
            }
            assert!(begun.elapsed().as_secs() < 30, "{reply:?}");
        };
        let tickets = server::limits::TICKETS_PER_CALLER_MAX + 1;
        let line = format!("callgauge_flight_tickets {tickets}\n");
        assert!(metrics.contains(&line), "{metrics}");
        assert!(
            metrics.contains("callgauge_flight_sessions 18\n"),
            "{metrics}"
        );
    });
}

#[test]
fn events_that_come_have_their_share_of_the_memory_of_all_bodies() {
    let world = open_set(|settings| settings.bytes_in_flight_max = 2 << 20);
    world.run(async {
        let put = async |bytes: usize| {
            let mut client = world.client().await;
            let descriptor = FlightDescriptor::new_cmd(command("CommandStatementIngest"));
            let message = FlightData::new().with_descriptor(descriptor);
            let messages = stream::iter([message.with_app_metadata(vec![0; bytes])]);
            drained(client.inner_mut().do_put(messages).await).await
        };
        assert_eq!(put(100).await, Code::Ok);
        assert_eq!(put(3 << 20).await, Code::ResourceExhausted);
        for _ in 0..3 {
            // What came is given back, of good calls and of bad ones.
            assert_eq!(put(1 << 20).await, Code::Ok);
        }
    });
}

/// The lines that were refused hold what senders wrote: numbers of callers, perhaps.
#[test]
fn refused_lines_are_a_table_only_to_those_who_may_read_them() {
    const RAW: &str = "SELECT count(*) AS n FROM facts.quarantine";
    let file = TokenFile::new();
    let tokens = [Role::Analyst, Role::Admin].map(|role| (role, file.add(role.as_str(), &[role])));
    let world = open_for(file.path());
    for (role, token) in &tokens {
        let is_there = *role == Role::Admin;
        let asked = world.run(async {
            let mut client = world.login(token).await;
            query(&mut client, RAW).await
        });
        match asked {
            Ok(rows) => assert_eq!((number(&rows), is_there), (0, true), "{role:?}"),
            Err(error) => {
                let (_, text) = status(error);
                assert!(!is_there && text.contains("quarantine"), "{role:?}: {text}");
            }
        }
        let header = format!("Bearer {token}");
        let body = serde_json::json!({ "sql": RAW }).to_string();
        let headers = [JSON, ("authorization", header.as_str())];
        let reply = world
            .http()
            .ask("POST /api/v1/sql", &headers, body.as_bytes());
        match is_there {
            true => assert_eq!(reply.json()["rows"][0][0], 0, "{reply:?}"),
            false => assert_eq!(reply.error_code(), "unknown_name", "{reply:?}"),
        }
    }
}
