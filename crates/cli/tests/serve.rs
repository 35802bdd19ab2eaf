//! `callgauge serve` as a process: start, events, signals, crashes.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod common;

use std::{
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use common::{BINARY, callgauge, text};

const LINE: &str = r#"{"source":"pbx","event_id":"N","event_type":"interaction.started","occurred_at":"2026-03-02T01:00:00Z","data":{"interaction_id":"c1","channel":"voice","direction":"inbound"}}"#;

/// A folder with a key, and what a server needs to run in it.
struct Place(tempfile::TempDir);

impl Place {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("key"), "ab".repeat(32)).unwrap();
        Place(folder)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn data(&self) -> String {
        self.path("data").display().to_string()
    }

    fn serve(&self, around: &[&str]) -> Serving {
        self.serve_with(&[], around)
    }

    fn serve_with(&self, options: &[&str], around: &[&str]) -> Serving {
        let mut words: Vec<&str> = around.to_vec();
        words.push(BINARY);
        let mut child = Command::new(words[0])
            .args(&words[1..])
            .args(["serve", "--http", "127.0.0.1:0", "--data", &self.data()])
            .args(options)
            .arg("--identity-key")
            .arg(self.path("key"))
            .env("LANG", "C")
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut errors = BufReader::new(child.stderr.take().unwrap());
        let mut url = None;
        let mut said = String::new();
        while url.is_none() {
            let mut line = String::new();
            assert!(errors.read_line(&mut line).unwrap() > 0, "it ended: {said}");
            url = line.trim().strip_prefix("listening on ").map(str::to_owned);
            said.push_str(&line);
        }
        // Read on, so that the server never waits for its messages to be read.
        std::thread::spawn(move || {
            let mut rest = String::new();
            while errors.read_line(&mut rest).is_ok_and(|n| n > 0) {}
        });
        Serving {
            child,
            url: url.unwrap(),
            said,
        }
    }

    fn count(&self, sql: &str) -> String {
        let output = callgauge(&["sql", "--data", &self.data(), "--format", "csv", sql]);
        assert!(output.status.success(), "{}", text(&output.stderr));
        text(&output.stdout).lines().nth(1).unwrap().to_owned()
    }
}

struct Serving {
    child: Child,
    url: String,
    said: String,
}

impl Serving {
    fn address(&self) -> &str {
        self.url.strip_prefix("http://").unwrap()
    }

    fn signal(&self, name: &str) {
        let id = self.child.id().to_string();
        let sent = Command::new("kill").args([name, &id]).status().unwrap();
        assert!(sent.success());
    }

    fn terminate(mut self) {
        self.signal("-TERM");
        assert!(self.child.wait().unwrap().success());
    }

    /// Sends a simulated day; the number of its events.
    fn send_a_day(&self, seed: &str) -> u64 {
        let post = ["simulate", "--days", "1", "--agents", "5", "--seed", seed];
        let output = callgauge(&[&post[..], &["--post", &self.url]].concat());
        assert!(output.status.success(), "{}", text(&output.stderr));
        let said = text(&output.stdout);
        let words: Vec<&str> = said.split_whitespace().collect();
        words[1].replace(',', "").parse().unwrap()
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        // It has ended already, unless the test failed.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn events_come_in_over_http_and_are_in_parquet_after_sigterm() {
    let place = Place::new();
    let server = place.serve(&[]);
    let health = callgauge(&["health", "--http", server.address()]);
    assert!(health.status.success(), "{}", text(&health.stdout));
    let events = server.send_a_day("3");
    assert_eq!(server.send_a_day("3"), events);
    server.terminate();
    let log = place.count("SELECT count(*), count(DISTINCT event_id) FROM events.log");
    assert_eq!(log, format!("{events},{events}"));
    assert_ne!(place.count("SELECT count(*) FROM facts.queue_visits"), "0");
    let check = callgauge(&["check", "--data", &place.data()]);
    assert!(check.status.success(), "{}", text(&check.stdout));
}

#[test]
fn a_killed_server_goes_on_where_it_was() {
    let place = Place::new();
    let server = place.serve(&[]);
    let events = server.send_a_day("4");
    server.signal("-KILL");
    drop(server);
    let server = place.serve(&[]);
    assert!(server.said.contains("not in Parquet"), "{}", server.said);
    server.terminate();
    let log = place.count("SELECT count(*) FROM events.log");
    assert_eq!(log, events.to_string());
}

#[test]
fn an_import_takes_over_what_a_killed_server_left() {
    let place = Place::new();
    let server = place.serve(&[]);
    let events = server.send_a_day("5");
    server.signal("-KILL");
    drop(server);
    let file = place.path("day.ndjson").display().to_string();
    let same = ["simulate", "--days", "1", "--agents", "5", "--seed", "5"];
    callgauge(&[&same[..], &["--out", &file]].concat());
    let key = place.path("key").display().to_string();
    let import = ["import", "--data", &place.data(), "--format", "ndjson"];
    let output = callgauge(&[&import[..], &["--identity-key", &key, &file]].concat());
    assert!(output.status.success(), "{}", text(&output.stderr));
    let said = text(&output.stdout);
    assert!(said.contains("accepted 0 "), "{said}");
    let log = place.count("SELECT count(*) FROM events.log");
    assert_eq!(log, events.to_string());
}

/// A server over a damaged file: alive, not ready for queries, and in the way of a repair.
fn says_that_a_file_is_quarantined(place: &Place) {
    let mut server = place.serve(&[]);
    let agent: ureq::Agent = ureq::Agent::config_builder()
        .http_status_as_error(false)
        .build()
        .into();
    let get = |path: &str| {
        let mut answer = agent.get(format!("{}{path}", server.url)).call().unwrap();
        let body = answer.body_mut().read_to_string().unwrap();
        (answer.status().as_u16(), body)
    };
    let (status, health) = get("/healthz");
    assert_eq!(status, 200);
    assert!(
        health.contains("degraded") && health.contains("quarantined_files"),
        "{health}"
    );
    assert_eq!(get("/readyz?for=query").0, 503);
    let repair = callgauge(&["repair", "--data", &place.data()]);
    let said = text(&repair.stderr);
    assert!(said.contains("another process"), "it is in use: {said}");
    server.signal("-TERM");
    server.child.wait().unwrap();
    drop(server);
}

/// S23: no number rather than a wrong one, and everything else goes on.
#[test]
fn a_damaged_file_fails_its_queries_alone_until_it_is_repaired() {
    let place = Place::new();
    let server = place.serve(&[]);
    server.send_a_day("6");
    server.terminate();
    let data = place.data();
    let visits = "SELECT count(*), sum(wait_ms) FROM facts.queue_visits";
    let before = place.count(visits);
    let mut files = std::fs::read_dir(place.path("data/parquet/queue_visits")).unwrap();
    let file = files.next().unwrap().unwrap().path();
    let mut bytes = std::fs::read(&file).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&file, bytes).unwrap();
    let name = format!(
        "parquet/queue_visits/{}",
        file.file_name().unwrap().display()
    );

    let asked = callgauge(&["sql", "--data", &data, visits]);
    let said = text(&asked.stderr);
    assert!(
        !asked.status.success() && said.contains("data_damaged: "),
        "{said}"
    );
    assert!(
        said.contains(&name) && said.contains("callgauge repair"),
        "{said}"
    );
    assert_ne!(place.count("SELECT sum(talk_ms) FROM facts.legs"), "0");
    let check = callgauge(&["check", "--data", &data]);
    assert_eq!(check.status.code(), Some(1));
    assert!(
        text(&check.stdout).contains(&name),
        "{}",
        text(&check.stdout)
    );

    says_that_a_file_is_quarantined(&place);
    let repair = callgauge(&["repair", "--data", &data]);
    let said = text(&repair.stdout);
    assert!(repair.status.success(), "{said}{}", text(&repair.stderr));
    assert!(said.contains(&format!("mended: {name}")), "{said}");
    let check = callgauge(&["check", "--data", &data]);
    assert!(check.status.success(), "{}", text(&check.stdout));
    assert_eq!(place.count(visits), before);
    let server = place.serve(&[]);
    server.send_a_day("7");
    server.terminate();
}

#[test]
fn questions_are_answered_over_what_was_just_taken() {
    let place = Place::new();
    let server = place.serve(&[]);
    let events = server.send_a_day("6");
    let agent = ureq::Agent::new_with_defaults();
    let mut receipt = agent
        .post(format!("{}/api/v1/events", server.url))
        .header("Content-Type", "application/x-ndjson")
        .send(LINE)
        .unwrap();
    let receipt: serde_json::Value =
        serde_json::from_str(&receipt.body_mut().read_to_string().unwrap()).unwrap();
    let question = serde_json::json!({
        "sql": "SELECT count(*) AS n FROM events.log",
        "min_seq": receipt["committed_seq"],
    });
    let mut answer = agent
        .post(format!("{}/api/v1/sql", server.url))
        .header("Content-Type", "application/json")
        .send(question.to_string())
        .unwrap();
    let answer: serde_json::Value =
        serde_json::from_str(&answer.body_mut().read_to_string().unwrap()).unwrap();
    assert_eq!(answer["rows"][0][0], events + 1, "{answer}");
    server.terminate();
}

#[test]
fn a_token_that_was_made_opens_the_door_and_a_revoked_one_does_not() {
    let place = Place::new();
    let file = place.path("tokens").display().to_string();
    let token = |words: &[&str]| callgauge(&[&["token", "--token-file", &file], words].concat());
    let made = token(&[
        "create",
        "--role",
        "analyst",
        "--name",
        "anna",
        "--expires",
        "90d",
    ]);
    assert!(made.status.success(), "{}", text(&made.stderr));
    let secret = text(&made.stdout).trim().to_owned();
    assert!(text(&token(&["list"]).stdout).contains("anna"));
    let again = token(&["create", "--role", "analyst", "--name", "anna"]);
    assert_eq!(again.status.code(), Some(2), "{}", text(&again.stderr));
    let wrong = token(&["create", "--role", "king", "--name", "ben"]);
    assert!(
        text(&wrong.stderr).contains("supervisor"),
        "{}",
        text(&wrong.stderr)
    );
    let server = place.serve_with(&["--token-file", &file], &[]);
    let agent: ureq::Agent = ureq::Agent::config_builder()
        .http_status_as_error(false)
        .build()
        .into();
    let status = |token: &str| {
        let asked = agent
            .get(format!("{}/api/v1/kpi?metric=offered", server.url))
            .header("Authorization", format!("Bearer {token}"));
        asked.call().unwrap().status().as_u16()
    };
    assert_eq!((status(&secret), status("nobody")), (200, 401));
    assert!(token(&["revoke", "anna"]).status.success());
    while status(&secret) == 200 {}
    assert_eq!(status(&secret), 401);
    server.terminate();
}

#[test]
fn off_loopback_without_tls_it_does_not_start_unless_told_so() {
    let place = Place::new();
    let file = place.path("tokens").display().to_string();
    callgauge(&[
        "token",
        "--token-file",
        &file,
        "create",
        "--role",
        "admin",
        "--name",
        "a",
    ]);
    let key = place.path("key").display().to_string();
    let data = place.data();
    let args = [
        "serve",
        "--http",
        "0.0.0.0:0",
        "--data",
        &data,
        "--token-file",
        &file,
    ];
    let output = callgauge(&[&args[..], &["--identity-key", &key]].concat());
    assert_eq!(output.status.code(), Some(2));
    let said = text(&output.stderr);
    assert!(
        said.contains("--tls-cert") && said.contains("--insecure"),
        "{said}"
    );
}

#[test]
fn off_loopback_without_tokens_it_does_not_start() {
    let place = Place::new();
    let key = place.path("key").display().to_string();
    let data = place.data();
    let args = ["serve", "--http", "0.0.0.0:0", "--data", &data];
    let output = callgauge(&[&args[..], &["--identity-key", &key]].concat());
    assert_eq!(output.status.code(), Some(2));
    let said = text(&output.stderr);
    assert!(said.contains("token file"), "{said}");
}

/// Durability cannot get lost unseen: every answered group has its own sync.
#[test]
fn every_acknowledgement_has_a_sync() {
    if Command::new("strace").arg("-V").output().is_err() {
        println!("skipped: no strace");
        return;
    }
    let place = Place::new();
    let trace = place.path("trace").display().to_string();
    let syncs = "trace=fdatasync,fsync";
    let mut server = place.serve(&["strace", "-f", "-e", syncs, "-o", &trace]);
    let before = data_syncs(Path::new(&trace));
    let agent = ureq::Agent::new_with_defaults();
    for n in 0..20 {
        let body = LINE.replace("\"N\"", &format!("\"{n}\""));
        let mut answer = agent
            .post(format!("{}/api/v1/events", server.url))
            .header("Content-Type", "application/x-ndjson")
            .send(&body)
            .unwrap();
        let answer = answer.body_mut().read_to_string().unwrap();
        assert!(answer.contains("\"accepted\":1"), "{answer}");
        let now = data_syncs(Path::new(&trace));
        assert!(
            now > before + n,
            "answer {n} came with {now} syncs, {before} before all"
        );
    }
    // strace passes no signal on; the server is its child.
    let id = server.child.id().to_string();
    Command::new("pkill")
        .args(["-TERM", "-P", &id])
        .status()
        .unwrap();
    assert!(server.child.wait().unwrap().success());
}

fn data_syncs(trace: &Path) -> usize {
    let text = std::fs::read_to_string(trace).unwrap_or_default();
    text.lines()
        .filter(|line| line.contains("fdatasync("))
        .count()
}
