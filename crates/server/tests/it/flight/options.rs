//! Options of a session, and whose session a call belongs to.

use std::collections::HashMap;

use arrow_flight::{Action, flight_service_client::FlightServiceClient};
use prost::Message;
use tonic::{Code, Request, transport::Channel};

use super::world::{ANALYST, Client, act, code, number, open, query, secured, status};

/// The protocol's messages, written down here once more so that a slip in the server's shows.
#[derive(Clone, PartialEq, Message)]
pub struct SetSessionOptionsRequest {
    #[prost(map = "string, message", tag = "1")]
    pub session_options: HashMap<String, SessionOptionValue>,
}

#[derive(Clone, PartialEq, Message)]
pub struct SessionOptionValue {
    #[prost(string, optional, tag = "1")]
    pub text: Option<String>,
    #[prost(bool, optional, tag = "2")]
    pub flag: Option<bool>,
    #[prost(sfixed64, optional, tag = "3")]
    pub number: Option<i64>,
}

#[derive(Clone, PartialEq, Message)]
pub struct SetSessionOptionsResult {
    #[prost(map = "string, message", tag = "1")]
    pub errors: HashMap<String, OptionError>,
}

#[derive(Clone, PartialEq, Message)]
pub struct OptionError {
    #[prost(int32, tag = "1")]
    pub value: i32,
}

const INVALID_NAME: i32 = 1;
const INVALID_VALUE: i32 = 2;

pub fn option(text: &str) -> SessionOptionValue {
    SessionOptionValue {
        text: Some(text.to_owned()),
        ..SessionOptionValue::default()
    }
}

fn flag(flag: bool) -> SessionOptionValue {
    SessionOptionValue {
        flag: Some(flag),
        ..SessionOptionValue::default()
    }
}

fn number_option(number: i64) -> SessionOptionValue {
    SessionOptionValue {
        number: Some(number),
        ..SessionOptionValue::default()
    }
}

fn request(options: &[(&str, SessionOptionValue)]) -> Vec<u8> {
    let pairs = options
        .iter()
        .map(|(name, value)| ((*name).to_owned(), value.clone()));
    SetSessionOptionsRequest {
        session_options: pairs.collect(),
    }
    .encode_to_vec()
}

async fn set(client: &mut Client, options: &[(&str, SessionOptionValue)]) -> HashMap<String, i32> {
    let answers = act(client, "SetSessionOptions", request(options))
        .await
        .expect("it is done");
    let result = SetSessionOptionsResult::decode(&*answers[0]).expect("a result");
    result
        .errors
        .into_iter()
        .map(|(name, error)| (name, error.value))
        .collect()
}

async fn shown(client: &mut Client) -> HashMap<String, SessionOptionValue> {
    let answers = act(client, "GetSessionOptions", Vec::new())
        .await
        .expect("it is done");
    // Both messages have the same shape.
    let options = SetSessionOptionsRequest::decode(&*answers[0]).expect("options");
    options.session_options
}

const SUM: &str = "SELECT SUM(service_level) AS v FROM kpi.queue_visits";

#[test]
fn options_hold_for_the_session_and_are_shown() {
    let world = open();
    world.run(async {
        let (mut one, mut other) = (world.login("a").await, world.login("b").await);
        assert_eq!(shown(&mut one).await["kpi.strict"], flag(false));
        assert!(
            set(
                &mut one,
                &[("kpi.strict", flag(true)), ("schema", option("facts"))]
            )
            .await
            .is_empty()
        );
        assert_eq!(code(query(&mut one, SUM).await), Code::InvalidArgument);
        query(&mut other, SUM).await.expect("another session");
        // `facts` is where names are looked for now: the flags of rows are there.
        query(&mut one, "SELECT wait_ms FROM queue_visits LIMIT 1")
            .await
            .expect("a fact");
        let options = shown(&mut one).await;
        assert_eq!(options["kpi.strict"], flag(true));
        assert_eq!(options["schema"], option("facts"));
        assert_eq!(options["catalog"], option("callgauge"));
        // Without a value an option is what it was.
        set(&mut one, &[("kpi.strict", SessionOptionValue::default())]).await;
        query(&mut one, SUM).await.expect("not strict any more");
        // SQL changes the same options.
        assert_eq!(
            one.execute_update("SET kpi.strict = true".into(), None)
                .await
                .expect("set"),
            0
        );
        assert_eq!(shown(&mut one).await["kpi.strict"], flag(true));
        one.execute_update("RESET kpi.strict".into(), None)
            .await
            .expect("reset");
        assert_eq!(shown(&mut one).await["kpi.strict"], flag(false));
    });
}

#[test]
fn a_set_that_is_read_as_a_query_holds_too() {
    let world = open();
    world.run(async {
        let mut client = world.login("a").await;
        let batch = query(&mut client, "SET kpi.strict = true")
            .await
            .expect("no rows");
        assert_eq!((batch.num_rows(), batch.num_columns()), (0, 0));
        assert_eq!(code(query(&mut client, SUM).await), Code::InvalidArgument);
    });
}

#[test]
fn each_option_that_cannot_be_set_is_named_and_the_others_are_set() {
    let world = open();
    world.run(async {
        let mut client = world.login("a").await;
        let errors = set(
            &mut client,
            &[
                ("callgauge.zone", option("Asia/Shanghai")),
                ("callgauge.timeout_ms", number_option(0)),
                ("catalog", option("another")),
                ("kpi.strict", option("perhaps")),
                ("no.such.option", option("x")),
            ],
        )
        .await;
        let expected = [
            ("callgauge.timeout_ms", INVALID_VALUE),
            ("catalog", INVALID_VALUE),
            ("kpi.strict", INVALID_VALUE),
            ("no.such.option", INVALID_NAME),
        ];
        let expected: HashMap<String, i32> = expected
            .into_iter()
            .map(|(name, kind)| (name.to_owned(), kind))
            .collect();
        assert_eq!(errors, expected);
        assert_eq!(
            shown(&mut client).await["callgauge.zone"],
            option("Asia/Shanghai")
        );
    });
}

#[test]
fn a_time_limit_of_the_session_ends_its_queries() {
    let world = open();
    world.run(async {
        let mut client = world.login("a").await;
        assert!(
            set(&mut client, &[("callgauge.timeout_ms", number_option(200))])
                .await
                .is_empty()
        );
        let result = query(&mut client, super::running::ENDLESS).await;
        let (code, message) = status(result.expect_err("it is late"));
        assert_eq!(code, Code::DeadlineExceeded);
        assert!(message.contains("longer than 200 ms"), "{message}");
    });
}

#[test]
fn connections_without_a_login_have_a_session_each() {
    let world = open();
    world.run(async {
        let (mut one, mut other) = (world.client().await, world.client().await);
        one.execute_update("SET kpi.strict = true".into(), None)
            .await
            .expect("set");
        assert_eq!(code(query(&mut one, SUM).await), Code::InvalidArgument);
        query(&mut other, SUM).await.expect("another connection");
    });
}

#[test]
fn a_cookie_takes_a_session_to_another_connection() {
    let world = secured();
    world.run(async {
        let cookie = cookie_of(&mut world.raw().await).await;
        assert!(cookie.starts_with("arrow_flight_session_id="), "{cookie}");
        let mut client = world.client().await;
        client.set_token(ANALYST.to_owned());
        query(&mut client, SUM).await.expect("a new session");
        client.set_header("cookie", format!("theme=dark; {cookie}"));
        assert_eq!(code(query(&mut client, SUM).await), Code::InvalidArgument);
    });
}

async fn cookie_of(client: &mut FlightServiceClient<Channel>) -> String {
    let mut call = Request::new(Action {
        r#type: "SetSessionOptions".to_owned(),
        body: request(&[("kpi.strict", flag(true))]).into(),
    });
    let header = format!("Bearer {ANALYST}").parse().expect("a header");
    call.metadata_mut().insert("authorization", header);
    let answer = client.do_action(call).await.expect("it is done");
    let cookie = answer.metadata().get("set-cookie").expect("a cookie");
    let cookie = cookie.to_str().expect("text");
    cookie.split(';').next().expect("a pair").to_owned()
}

#[test]
fn a_session_without_use_ends() {
    let world = secured();
    world.run(async {
        let mut client = world.login(ANALYST).await;
        let mut statement = client
            .prepare("SELECT 1 AS one".into(), None)
            .await
            .expect("prepared");
        world.later(29 * 60);
        assert_eq!(
            number(&query(&mut client, "SELECT 7 AS n").await.expect("rows")),
            7
        );
        world.later(29 * 60);
        // Its session was used, the statement was not.
        assert_eq!(code(statement.execute().await), Code::NotFound);
        world.later(31 * 60);
        assert_eq!(
            code(query(&mut client, "SELECT 7 AS n").await),
            Code::Unauthenticated
        );
    });
}
