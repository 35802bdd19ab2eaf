//! Queries at work: who sees them, who ends them, and what ends by itself.

use std::time::{Duration, Instant};

use engine::service::QueryLimits;
use serde_json::{Value, json};
use server::access::Role;

use crate::{
    client::{Client, JSON},
    real::{self, Real},
    roles::TokenFile,
};

/// More rows than fit into all buffers on the way: it runs until it is read or ended.
const LONG: &str = "SELECT a.data, b.data AS more FROM events.log a CROSS JOIN events.log b";

fn ask_long(real: &Real, token: &str) -> Client {
    let mut client = real.client();
    let authorization = format!("Bearer {token}");
    let headers = [
        JSON,
        ("accept", "text/csv"),
        ("authorization", &*authorization),
    ];
    let body = json!({ "sql": LONG }).to_string();
    client.send("POST /api/v1/sql", &headers, body.as_bytes());
    client
}

fn queries(real: &Real, token: &str) -> Vec<Value> {
    let authorization = format!("Bearer {token}");
    let headers = [("authorization", &*authorization)];
    let reply = real.client().ask("GET /api/v1/queries", &headers, b"");
    assert_eq!(reply.status, 200, "{reply:?}");
    reply.json()["queries"].as_array().expect("a list").clone()
}

#[track_caller]
fn until<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let begun = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(begun.elapsed() < Duration::from_secs(30), "never: {what}");
    }
}

fn cancel(real: &Real, token: &str, id: &Value) -> u16 {
    let authorization = format!("Bearer {token}");
    let headers = [("authorization", &*authorization)];
    let line = format!("DELETE /api/v1/queries/{id}");
    real.client().ask(&line, &headers, b"").status
}

fn with_tokens() -> (Real, TokenFile, [String; 3]) {
    let file = TokenFile::new();
    let tokens = [
        file.add("anna", &[Role::Analyst, Role::Ingest]),
        file.add("ben", &[Role::Analyst]),
        file.add("root", &[Role::Admin]),
    ];
    let path = file.path();
    let real = real::open_and_send(QueryLimits::default(), &tokens[0], |settings| {
        settings.token_file = Some(path);
    });
    (real, file, tokens)
}

#[test]
fn ones_own_queries_are_seen_and_ended_and_those_of_others_by_role() {
    let (real, _file, [anna, ben, root]) = with_tokens();
    let mut asking = ask_long(&real, &anna);
    let query = until("it runs", || queries(&real, &anna).into_iter().next());
    assert_eq!(query["caller"], "anna");
    assert_eq!(query["text"], LONG);
    assert!(["waiting", "running"].contains(&query["state"].as_str().expect("a word")));
    assert_eq!(queries(&real, &ben), Vec::<Value>::new());
    assert_eq!(queries(&real, &root).len(), 1);
    let id = &query["id"];
    assert_eq!(cancel(&real, &ben, id), 404);
    assert_eq!(cancel(&real, &anna, &json!("no-number")), 404);
    assert_eq!(cancel(&real, &root, id), 200);
    let reply = asking.reply();
    assert_eq!(reply.status, 200);
    assert_eq!(reply.header("x-query-id"), id.to_string());
    assert!(!reply.whole, "an answer that was ended looks whole");
    until("it is gone", || {
        queries(&real, &root).is_empty().then_some(())
    });
    assert_eq!(cancel(&real, &root, id), 404);
}

#[test]
fn a_client_that_goes_away_takes_its_query_along() {
    let (real, _file, [anna, _, root]) = with_tokens();
    let asking = ask_long(&real, &anna);
    until("it runs", || queries(&real, &anna).into_iter().next());
    drop(asking);
    until("it is gone", || {
        queries(&real, &root).is_empty().then_some(())
    });
    let authorization = format!("Bearer {root}");
    let headers = [("authorization", &*authorization)];
    until("it is counted", || {
        let metrics = real.client().ask("GET /metrics", &headers, b"").body;
        let line = "callgauge_queries_total{door=\"http\",code=\"cancelled\"} 1";
        metrics.lines().any(|l| l == line).then_some(())
    });
}

#[test]
fn a_client_that_reads_nothing_is_let_go() {
    let file = TokenFile::new();
    let anna = file.add("anna", &[Role::Analyst, Role::Ingest]);
    let path = file.path();
    let real = real::open_and_send(QueryLimits::default(), &anna, |settings| {
        settings.token_file = Some(path);
        settings.write_stall_max = Duration::from_millis(300);
    });
    let mut asking = ask_long(&real, &anna);
    until("it runs", || queries(&real, &anna).into_iter().next());
    until("it is gone", || {
        queries(&real, &anna).is_empty().then_some(())
    });
    assert!(!asking.reply().whole);
}

#[test]
fn a_query_has_its_time_and_its_turn() {
    let limits = QueryLimits {
        running: 1,
        waiting: 1,
        ..QueryLimits::default()
    };
    let file = TokenFile::new();
    let anna = file.add("anna", &[Role::Analyst, Role::Ingest]);
    let path = file.path();
    let real = real::open_and_send(limits, &anna, |settings| settings.token_file = Some(path));
    let authorization = format!("Bearer {anna}");
    let headers = [JSON, ("authorization", &*authorization)];
    let ask = |sql: &str, timeout_ms: u64| {
        let body = json!({ "sql": sql, "timeout_ms": timeout_ms }).to_string();
        real.client()
            .ask("POST /api/v1/sql", &headers, body.as_bytes())
    };
    let running = ask_long(&real, &anna);
    until("it runs", || queries(&real, &anna).into_iter().next());
    let late = ask("SELECT 1", 200);
    assert_eq!(
        (late.status, &*late.error_code()),
        (504, "deadline"),
        "{late:?}"
    );
    // What was asked for, not what planning has left of it.
    assert!(late.body.contains("longer than 200 ms"), "{late:?}");
    let waiting = ask_long(&real, &anna);
    until("one waits", || {
        (queries(&real, &anna).len() == 2).then_some(())
    });
    let refused = ask("SELECT 1", 60_000);
    assert_eq!(
        (refused.status, &*refused.error_code()),
        (429, "rate_limited"),
        "{refused:?}"
    );
    drop((running, waiting));
    until("they are gone", || {
        queries(&real, &anna).is_empty().then_some(())
    });
    assert_eq!(ask("SELECT 1", 60_000).status, 200);
}
