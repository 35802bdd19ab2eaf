//! Who may do what on this door.

use arrow_flight::{
    FlightData, FlightDescriptor,
    sql::{CommandStatementIngest, CommandStatementUpdate, ProstMessageExt},
};
use futures::stream;
use prost::Message;
use tonic::{Code, Request};

use super::world::{
    ANALYST, COLLECTOR, Client, SENDER, World, act, code, open, query, secured, status,
};

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
