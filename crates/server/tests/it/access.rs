//! Tokens, and who is answered without (P1).

use std::{path::PathBuf, sync::Arc, sync::atomic::Ordering};

use server::{Server, Settings, StartError, Surroundings};
use sha2::{Digest, Sha256};
use tempfile::TempDir;

use crate::{
    client::{ARROW, NDJSON},
    fake::{NOW, Setup, backends, event, start, start_with},
};

pub const PBX: &str = "tok-pbx-0123456789";
const ARROW_ONLY: &str = "tok-arrow-0123456789";
const PROMETHEUS: &str = "tok-prometheus-0123456789";
const SHORT_LIVED: &str = "tok-short-0123456789";

pub fn sha256(token: &str) -> String {
    let digest = Sha256::digest(token.as_bytes());
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn file(text: &str) -> (TempDir, PathBuf) {
    let folder = TempDir::new().expect("a folder");
    let path = folder.path().join("tokens");
    std::fs::write(&path, text).expect("a file");
    (folder, path)
}

pub fn token_file() -> (TempDir, PathBuf) {
    file(&format!(
        "# name roles expires sha256\n\n\
         pbx ingest never {}  # a comment\n\
         arrow ingest_arrow never {}\n\
         prometheus metrics 2027-01-01T00:00:00Z {}\n\
         short ingest,metrics 2026-03-03T02:00:00Z {}\n",
        sha256(PBX),
        sha256(ARROW_ONLY).to_uppercase(),
        sha256(PROMETHEUS),
        sha256(SHORT_LIVED)
    ))
}

fn secured() -> (Setup, TempDir) {
    let (folder, path) = token_file();
    let setup = start_with(|settings| settings.token_file = Some(path));
    (setup, folder)
}

fn bearer(token: &str) -> String {
    format!("Bearer {token}")
}

#[test]
fn with_tokens_ingest_and_metrics_need_one_with_the_right_role() {
    let (setup, _folder) = secured();
    let ask = |line: &str, authorization: Option<&str>| {
        let mut headers = vec![NDJSON];
        headers.extend(authorization.map(|value| ("authorization", value)));
        setup.client().ask(line, &headers, event("a").as_bytes())
    };
    let post = "POST /api/v1/events";
    let basic = format!("Basic {PBX}");
    for wrong in [
        None,
        Some("Bearer nonsense"),
        Some("Bearer "),
        Some("x"),
        Some(&*basic),
    ] {
        for line in [post, "GET /metrics"] {
            let reply = ask(line, wrong);
            assert_eq!(reply.status, 401, "{line} {wrong:?}: {reply:?}");
            assert_eq!(reply.error_code(), "unauthenticated");
            assert_eq!(reply.header("www-authenticate"), "Bearer");
        }
    }
    let allowed = [
        (post, PBX),
        ("GET /metrics", PROMETHEUS),
        (post, SHORT_LIVED),
    ];
    for (line, token) in allowed {
        assert_eq!(ask(line, Some(&bearer(token))).status, 200, "{line}");
    }
    for (line, token) in [
        (post, PROMETHEUS),
        (post, ARROW_ONLY),
        ("GET /metrics", PBX),
    ] {
        let reply = ask(line, Some(&bearer(token)));
        assert_eq!(reply.status, 403, "{line}: {reply:?}");
        assert_eq!(reply.error_code(), "forbidden");
    }
    assert_eq!(ask(post, Some(&format!("bearer {PBX}"))).status, 200);
    let open = ["GET /healthz", "GET /readyz"].map(|line| ask(line, None).status);
    assert_eq!(open, [200, 200]);
    let metrics = ask("GET /metrics", Some(&bearer(PROMETHEUS))).body;
    assert!(
        metrics.contains("callgauge_auth_failures_total 13\n"),
        "{metrics}"
    );
}

#[test]
fn arrow_needs_a_role_of_its_own() {
    let (setup, _folder) = secured();
    let status = |token: &str| {
        let authorization = bearer(token);
        let headers = [ARROW, ("authorization", &authorization)];
        setup.client().post(&headers, "no arrow").status
    };
    assert_eq!(status(PBX), 403);
    assert_eq!(status(ARROW_ONLY), 400);
}

#[test]
fn a_token_ends_when_it_expires() {
    let (setup, _folder) = secured();
    let authorization = bearer(SHORT_LIVED);
    let headers = [NDJSON, ("authorization", &*authorization)];
    let expiry = events::UtcMicros::parse_rfc3339("2026-03-03T02:00:00Z").expect("a time");
    setup.clock.store(expiry.0 - 1, Ordering::SeqCst);
    assert_eq!(setup.client().post(&headers, event("a")).status, 200);
    setup.clock.store(expiry.0, Ordering::SeqCst);
    let reply = setup.client().post(&headers, event("a"));
    assert_eq!(reply.status, 401);
    assert_eq!(reply.error_code(), "unauthenticated");
}

#[test]
fn keys_of_two_tokens_do_not_meet() {
    let (setup, _folder) = secured();
    let post = |token: &str, body: String| {
        let authorization = bearer(token);
        let headers = [
            NDJSON,
            ("authorization", &*authorization),
            ("idempotency-key", "1"),
        ];
        setup.client().post(&headers, body).status
    };
    assert_eq!(post(PBX, event("a")), 200);
    assert_eq!(post(SHORT_LIVED, event("b")), 200);
    assert_eq!(post(PBX, event("b")), 409);
}

#[test]
fn a_stranger_with_a_large_body_still_reads_its_401() {
    let (setup, _folder) = secured();
    let reply = setup.client().post(&[NDJSON], vec![b' '; 60_000]);
    assert_eq!(reply.status, 401, "{reply:?}");
}

fn start_error(listen: &str, token_file: Option<PathBuf>) -> StartError {
    let mut settings = Settings::new(listen.parse().expect("an address"));
    settings.token_file = token_file;
    let surroundings = Surroundings {
        now: Arc::new(|| NOW),
        run_id: 0,
        seed: [3; 32],
    };
    let backends = backends(&start().sink);
    Server::start(settings, surroundings, backends).expect_err("it must not start")
}

#[test]
fn without_tokens_only_loopback_is_listened_on() {
    for listen in ["0.0.0.0:0", "[::]:0", "192.0.2.1:0"] {
        let error = start_error(listen, None);
        assert!(matches!(error, StartError::NotLoopback(_)), "{error}");
        assert!(error.to_string().contains("token file"), "{error}");
    }
    let (_folder, path) = token_file();
    let error = start_error("0.0.0.0:0", Some(path.clone()));
    assert!(matches!(error, StartError::NotEncrypted(_)), "{error}");
    assert!(error.to_string().contains("--insecure"), "{error}");
    let everywhere = start_with(|settings| {
        settings.token_file = Some(path);
        settings.listen = "0.0.0.0:0".parse().expect("an address");
        settings.insecure = true;
    });
    everywhere.server.stop();
}

#[test]
fn an_address_that_is_taken_is_a_start_error() {
    let setup = start();
    let error = start_error(&setup.addr.to_string(), None);
    assert!(matches!(error, StartError::Listen { .. }), "{error}");
}

#[test]
fn a_token_file_with_an_error_stops_the_start_and_says_where() {
    let good = sha256("x");
    let cases = [
        (String::new(), "lists no token"),
        ("# nothing\n\n".to_owned(), "lists no token"),
        (format!("\na ingest {good}"), "line 2"),
        ("a ingest never".to_owned(), "has 3 words"),
        (format!("a ingest never {good} more"), "'more' is not known"),
        (
            format!("a ingest never {good} sources=a,,b"),
            "is not known",
        ),
        (
            format!("a ingest never {good} created=today"),
            "needs a time",
        ),
        (format!("a write never {good}"), "'write' is not a role"),
        (format!("a ingest, never {good}"), "is not a role"),
        (format!("a ingest tomorrow {good}"), "no expiry"),
        (format!("a ingest never {}", &good[1..]), "64 hexadecimal"),
        (format!("a ingest never +{}", &good[1..]), "64 hexadecimal"),
        (format!("a ingest never {}", sha256("")), "empty token"),
        (
            format!("a ingest never {good}\na metrics never {}", sha256("y")),
            "twice",
        ),
        (
            format!("a ingest never {good}\nb metrics never {good}"),
            "twice",
        ),
    ];
    for (text, expected) in cases {
        let (_folder, path) = file(&text);
        let error = start_error("127.0.0.1:0", Some(path)).to_string();
        assert!(error.contains(expected), "{text:?}: {error}");
    }
    let (folder, _) = file("");
    let error = start_error("127.0.0.1:0", Some(folder.path().join("none")));
    assert!(error.to_string().contains("cannot be read"), "{error}");
}

#[test]
fn a_name_that_was_made_to_point_here_is_refused() {
    let setup = start();
    for (host, status) in [
        ("evil.example:8080", 403),
        ("192.0.2.1", 403),
        ("localhost.evil.example", 403),
        ("localhost:1", 200),
        ("127.0.0.1:1", 200),
        ("[::1]:1", 200),
    ] {
        let mut client = setup.client();
        client.write(format!("GET /metrics HTTP/1.1\r\nhost: {host}\r\n\r\n"));
        assert_eq!(client.reply().status, status, "{host}");
    }
}
