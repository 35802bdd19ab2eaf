//! `callgauge serve` as a process: start, events, signals, crashes.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod common;

use std::{
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex},
    time::{Duration, Instant},
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
        let later = Arc::new(Mutex::new(String::new()));
        let kept = Arc::clone(&later);
        std::thread::spawn(move || {
            let mut line = String::new();
            while errors.read_line(&mut line).is_ok_and(|n| n > 0) {
                kept.lock().unwrap().push_str(&line);
                line.clear();
            }
        });
        Serving {
            child,
            url: url.unwrap(),
            said,
            later,
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
    /// What it says once it listens.
    later: Arc<Mutex<String>>,
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
    for more in [&[][..], &["--ready"]] {
        let health = callgauge(&[&["health", "--http", server.address()], more].concat());
        assert!(health.status.success(), "{}", text(&health.stdout));
    }
    let events = server.send_a_day("3");
    assert_eq!(server.send_a_day("3"), events);
    server.terminate();
    let log = place.count("SELECT count(*), count(DISTINCT event_id) FROM events.log");
    assert_eq!(log, format!("{events},{events}"));
    assert_ne!(place.count("SELECT count(*) FROM facts.queue_visits"), "0");
    let check = callgauge(&["check", "--data", &place.data()]);
    assert!(check.status.success(), "{}", text(&check.stdout));
}

/// The root of a container may be read-only: queries spill into the data folder.
#[test]
fn what_queries_of_a_killed_server_spilled_goes_at_the_next_start() {
    let place = Place::new();
    let spill = place.path("data/spill");
    std::fs::create_dir_all(spill.join("datafusion-x")).unwrap();
    std::fs::write(spill.join("datafusion-x/left"), "x").unwrap();
    let server = place.serve(&[]);
    assert!(!spill.join("datafusion-x").exists());
    let made = std::fs::read_dir(&spill).unwrap().count();
    assert!(made > 0, "queries spill to somewhere else");
    server.terminate();
    let check = callgauge(&["check", "--data", &place.data()]);
    assert!(!text(&check.stdout).contains("not ours"), "{check:?}");
}

#[test]
fn check_names_a_file_that_is_not_ours() {
    let place = Place::new();
    let server = place.serve(&[]);
    server.send_a_day("3");
    server.terminate();
    std::fs::write(place.path("data/parquet/log/mine.txt"), "x").unwrap();
    let check = callgauge(&["check", "--data", &place.data()]);
    assert!(check.status.success(), "{check:?}");
    let said = text(&check.stdout);
    assert!(said.contains("parquet/log/mine.txt"), "{said}");
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

/// Whether the signal comes while the log is replayed or just behind: nothing is lost, and the end is
/// clean.
#[test]
fn a_signal_while_the_log_is_replayed_ends_the_start_and_loses_nothing() {
    let place = Place::new();
    let server = place.serve(&[]);
    let events = server.send_a_day("4");
    server.signal("-KILL");
    drop(server);
    let mut child = Command::new(BINARY)
        .args(["serve", "--http", "127.0.0.1:0", "--data", &place.data()])
        .arg("--identity-key")
        .arg(place.path("key"))
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stderr.take().unwrap()).lines();
    let mut said = Vec::new();
    for line in lines.map(Result::unwrap) {
        let word = line
            .split_once("; http://")
            .filter(|_| line.starts_with("replaying"));
        if let Some((_, rest)) = word {
            // The port is open: nobody is refused a connection while it starts.
            let address = rest.split('/').next().unwrap();
            std::net::TcpStream::connect(address).unwrap();
            let id = child.id().to_string();
            let sent = Command::new("kill").args(["-TERM", &id]).status().unwrap();
            assert!(sent.success());
        }
        said.push(line);
    }
    assert!(child.wait().unwrap().success(), "{said:?}");
    assert!(
        said.iter().any(|line| line.starts_with("SIGTERM: ")),
        "{said:?}"
    );
    let server = place.serve(&[]);
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

/// Status and body of what a server says.
fn get(server: &Serving, path: &str) -> (u16, String) {
    let agent: ureq::Agent = ureq::Agent::config_builder()
        .http_status_as_error(false)
        .build()
        .into();
    let mut answer = agent.get(format!("{}{path}", server.url)).call().unwrap();
    let body = answer.body_mut().read_to_string().unwrap();
    (answer.status().as_u16(), body)
}

/// Of contacts offered on two days in March 2026, and in the April after.
const MARCH: &str = "/api/v1/kpi?metric=offered&from=2026-03-01&to=2026-03-04";
const APRIL: &str = "/api/v1/kpi?metric=offered&from=2026-04-01&to=2026-05-01";

impl Place {
    /// A simulated day as lines, cut in two.
    fn day_in_halves(&self) -> (PathBuf, PathBuf) {
        let whole = self.path("day.ndjson");
        let file = whole.display().to_string();
        let day = ["simulate", "--days", "1", "--agents", "5", "--seed", "6"];
        callgauge(&[&day[..], &["--out", &file]].concat());
        let lines = std::fs::read_to_string(&whole).unwrap();
        let (middle, _) = lines
            .match_indices('\n')
            .nth(lines.lines().count() / 2)
            .unwrap();
        let (first, rest) = lines.split_at(middle + 1);
        let halves = (self.path("first.ndjson"), self.path("rest.ndjson"));
        std::fs::write(&halves.0, first).unwrap();
        std::fs::write(&halves.1, rest).unwrap();
        halves
    }

    fn import(&self, data: &str, file: &Path) {
        let (key, file) = (
            self.path("key").display().to_string(),
            file.display().to_string(),
        );
        let import = [
            "import",
            "--data",
            data,
            "--format",
            "ndjson",
            "--identity-key",
        ];
        let output = callgauge(&[&import[..], &[&key, &file]].concat());
        assert!(output.status.success(), "{}", text(&output.stderr));
    }

    fn damage_first_file_of(&self, table: &str) {
        let files = std::fs::read_dir(self.path("data/parquet").join(table)).unwrap();
        let mut paths = files.map(|file| file.unwrap().path());
        let is_data = |path: &PathBuf| path.extension().is_some_and(|end| end == "parquet");
        let file = paths.find(is_data).unwrap();
        let mut bytes = std::fs::read(&file).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        std::fs::write(&file, bytes).unwrap();
    }
}

/// A number that lacks what was confirmed is a wrong one, and the gap is no zero.
#[test]
fn confirmed_events_that_damage_keeps_out_of_the_data_are_not_counted_as_none() {
    let place = Place::new();
    let (first, rest) = place.day_in_halves();
    place.import(&place.data(), &first);
    let server = place.serve(&[]);
    // Nothing has come in here: of the days after the import nobody knows anything.
    let (status, april) = get(&server, APRIL);
    assert!(
        status == 200 && april.contains(r#""value":null"#),
        "{april}"
    );
    let sent = ureq::post(format!("{}/api/v1/events", server.url))
        .header("content-type", "application/x-ndjson")
        .send(std::fs::read(&rest).unwrap());
    assert_eq!(sent.unwrap().status(), 200);
    // A first event was taken: from here on a quiet month is one.
    let begun = Instant::now();
    while !get(&server, APRIL).1.contains(r#""value":0.0"#) {
        assert!(begun.elapsed() < Duration::from_secs(60), "not folded");
    }
    server.signal("-KILL");
    drop(server);
    place.damage_first_file_of("interactions");

    let mut server = place.serve(&[]);
    assert!(get(&server, "/healthz").1.contains("degraded"));
    for path in [MARCH, APRIL] {
        let (status, said) = get(&server, path);
        assert!(status == 503 && said.contains("storage_stopped"), "{said}");
    }
    assert_eq!(
        get(&server, "/api/v1/catalog").0,
        200,
        "definitions are no numbers"
    );
    server.signal("-TERM");
    server.child.wait().unwrap();
    drop(server);

    let repair = callgauge(&["repair", "--data", &place.data()]);
    assert!(repair.status.success(), "{}", text(&repair.stderr));
    let whole = place.path("whole").display().to_string();
    place.import(&whole, &place.path("day.ndjson"));
    let server = place.serve(&[]);
    let offered = "SELECT count(*) FROM kpi.queue_visits";
    let other = callgauge(&["sql", "--data", &whole, "--format", "csv", offered]);
    let expected = text(&other.stdout).lines().nth(1).unwrap().to_owned();
    server.terminate();
    assert_eq!(place.count(offered), expected);
}

/// Every answer says up to when the data go, which is in the log: so nothing is answered without it, and
/// what has to be mended is named.
#[test]
fn over_a_damaged_file_of_the_log_a_server_names_it_and_does_not_start() {
    let place = Place::new();
    place.import(&place.data(), &place.day_in_halves().0);
    place.damage_first_file_of("log");
    let serve = ["serve", "--http", "127.0.0.1:0", "--data", &place.data()];
    let key = place.path("key").display().to_string();
    let output = callgauge(&[&serve[..], &["--identity-key", &key]].concat());
    let said = text(&output.stderr);
    assert!(!output.status.success(), "{said}");
    assert!(said.contains("error: data_damaged: parquet/log/"), "{said}");
    assert!(said.contains("callgauge repair"), "{said}");
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

/// A contact that enters a queue, and stays there.
const ENTERS: &str = r#"{"source":"pbx","event_id":"w1","event_type":"queue.entered","occurred_at":"NOW","data":{"visit_id":"v1","interaction_id":"c1","queue_id":"sales","visit_kind":"customer"}}"#;

#[test]
fn the_live_board_shows_what_was_just_taken() {
    let place = Place::new();
    let boards = place.path("boards");
    std::fs::create_dir(&boards).unwrap();
    let own = r#"{"id":"own","version":1,"title":{"en":"Own"},"layout":"tiles",
        "cells":[{"scope":"t","figures":["waiting"]},{"scope":"q","figures":["waiting"]}],
        "tiles":[{"figure":"waiting"}]}"#;
    std::fs::write(boards.join("own.json"), own).unwrap();
    let boards = boards.display().to_string();
    let server = place.serve_with(&["--boards", &boards, "--zone", "Asia/Shanghai"], &[]);
    let agent = ureq::Agent::new_with_defaults();
    let stream = format!("{}/api/v1/live/stream?board=own", server.url);
    let stream = agent.get(stream).call().unwrap().into_body().into_reader();
    let mut lines = BufReader::new(stream).lines().map(Result::unwrap);
    let mut next = |event: &str| -> serde_json::Value {
        let head = format!("event: {event}");
        assert!(lines.any(|line| line == head), "no {event}");
        let data = lines.next().unwrap();
        serde_json::from_str(data.strip_prefix("data: ").unwrap()).unwrap()
    };
    let whole = next("snapshot");
    assert_eq!(whole["zone"], "Asia/Shanghai", "{whole}");
    assert_eq!(whole["cells"][0]["k"], "t.waiting", "{whole}");
    assert_eq!(whole["cells"][0]["v"], 0, "{whole}");
    let now = whole["as_of"].as_i64().unwrap() * 1_000;
    agent
        .post(format!("{}/api/v1/events", server.url))
        .header("Content-Type", "application/x-ndjson")
        .send(ENTERS.replace("\"NOW\"", &now.to_string()))
        .unwrap();
    let delta = next("delta");
    let cells = delta["cells"].as_array().unwrap();
    for key in ["t.waiting", "q.sales.waiting"] {
        assert!(
            cells.iter().any(|cell| cell["k"] == key && cell["v"] == 1),
            "{key}: {delta}"
        );
    }
    server.signal("-TERM");
    assert_eq!(next("bye")["reason"], "closing");
    server.terminate();
}

#[test]
fn a_rule_about_a_kpi_that_no_board_shows_says_what_it_finds() {
    let place = Place::new();
    let rules = place.path("alerts.yml");
    let rule = "- { id: few, title: { en: Few }, figure: offered_net@today, scope: total, \
                op: at_most, critical: 5, on_delay_s: 0 }";
    std::fs::write(&rules, rule).unwrap();
    let server = place.serve_with(&["--alerts", rules.to_str().unwrap()], &[]);
    let agent = ureq::Agent::new_with_defaults();
    // Before the first event nothing is known, and a count that is not known is not too small.
    agent
        .post(format!("{}/api/v1/events", server.url))
        .header("Content-Type", "application/x-ndjson")
        .send(LINE)
        .unwrap();
    let patience = Instant::now() + Duration::from_secs(60);
    let alert = loop {
        let ask = agent.get(format!("{}/api/v1/alerts", server.url)).call();
        let text = ask.unwrap().body_mut().read_to_string().unwrap();
        let said: serde_json::Value = serde_json::from_str(&text).unwrap();
        if let Some(alert) = said["alerts"].get(0) {
            break alert.clone();
        }
        assert!(Instant::now() < patience, "{said}");
        std::thread::yield_now();
    };
    assert_eq!(
        (&alert["rule"], &alert["state"]),
        (&"few".into(), &"critical".into())
    );
    assert_eq!(alert["figure"], "offered_net@today");
    server.terminate();
}

#[test]
fn a_board_with_a_slip_stops_the_start() {
    let place = Place::new();
    let boards = place.path("boards");
    std::fs::create_dir(&boards).unwrap();
    std::fs::write(boards.join("own.json"), r#"{"id":"own","tilse":[]}"#).unwrap();
    let boards = boards.display().to_string();
    let serve = [
        "serve",
        "--http",
        "127.0.0.1:0",
        "--data",
        &place.data(),
        "--boards",
        &boards,
    ];
    let key = place.path("key").display().to_string();
    let output = callgauge(&[&serve[..], &["--identity-key", &key]].concat());
    let said = text(&output.stderr);
    assert!(
        !output.status.success() && said.contains("own.json: line 1, column"),
        "{said}"
    );
    assert!(said.contains("`tilse`"), "{said}");
}

#[test]
fn devices_are_listed_and_revoked_in_their_file() {
    let place = Place::new();
    let file = place.path("devices").display().to_string();
    let device = |words: &[&str]| callgauge(&[&["device", "--device-file", &file], words].concat());
    assert!(
        device(&["list"]).status.success(),
        "a file that is not there is empty"
    );
    let line = format!("hall-2 now 2999-01-01T00:00:00Z {}", "ab".repeat(32));
    std::fs::write(&file, line).unwrap();
    let listed = text(&device(&["list"]).stdout);
    assert!(
        listed.contains("hall-2") && listed.contains("2999-01-01"),
        "{listed}"
    );
    assert!(device(&["revoke", "hall-2"]).status.success());
    assert!(!text(&device(&["list"]).stdout).contains("hall-2"));
    let again = device(&["revoke", "hall-2"]);
    assert_eq!(again.status.code(), Some(2), "{}", text(&again.stderr));
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
        let required = std::env::var_os("CALLGAUGE_REQUIRE_STRACE").is_some();
        assert!(!required, "there is no strace");
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

#[test]
fn events_are_sent_and_health_is_asked_over_tls() {
    let place = Place::new();
    let names = vec!["localhost".to_owned(), "127.0.0.1".to_owned()];
    let made = rcgen::generate_simple_self_signed(names).unwrap();
    let [cert, key] = ["cert.pem", "key.pem"].map(|name| place.path(name).display().to_string());
    std::fs::write(&cert, made.cert.pem()).unwrap();
    std::fs::write(&key, made.signing_key.serialize_pem()).unwrap();
    let server = place.serve_with(&["--tls-cert", &cert, "--tls-key", &key], &[]);
    assert!(server.url.starts_with("https://"), "{}", server.url);
    let address = server.url.strip_prefix("https://").unwrap();

    let post = [
        "simulate",
        "--days",
        "1",
        "--agents",
        "5",
        "--post",
        &server.url,
    ];
    let sent = callgauge(&[&post[..], &["--ca", &cert]].concat());
    assert!(sent.status.success(), "{}", text(&sent.stderr));
    let empty = place.path("empty.pem").display().to_string();
    std::fs::write(&empty, "").unwrap();
    let refused = callgauge(&[&post[..], &["--ca", &empty]].concat());
    assert!(
        text(&refused.stderr).contains("no certificate in PEM"),
        "{refused:?}"
    );

    let health = |more: &[&str]| callgauge(&[&["health", "--http", address][..], more].concat());
    for more in [&["--https"][..], &["--https", "--ca", &cert]] {
        let asked = health(more);
        assert!(asked.status.success(), "{asked:?}");
        assert!(text(&asked.stdout).contains("\"status\""), "{asked:?}");
    }
    let stranger = rcgen::generate_simple_self_signed(vec!["127.0.0.1".to_owned()]).unwrap();
    std::fs::write(&empty, stranger.cert.pem()).unwrap();
    assert!(!health(&["--https", "--ca", &empty]).status.success());
    assert!(!health(&[]).status.success(), "plain HTTP is not spoken");
    server.terminate();
}

/// A demo that serves, and what it has printed up to then.
fn demo(place: &Place) -> Serving {
    let mut child = Command::new(BINARY)
        .args([
            "demo",
            "--data",
            &place.data(),
            "--days",
            "1",
            "--agents",
            "5",
        ])
        .args(["--http", "127.0.0.1:0", "--flight", "127.0.0.1:0"])
        .args(["--at", "11:00", "--speed", "600"])
        .env("LANG", "C")
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let (mut said, mut url) = (String::new(), None);
    while !said.contains("Ctrl-C") {
        let line = lines.next().expect("it goes live").unwrap();
        let address = line.strip_prefix("Wallboard:").map(str::trim);
        url = url.or(address.and_then(|a| Some(a.strip_suffix("/wallboard")?.to_owned())));
        said.push_str(&line);
        said.push('\n');
    }
    std::thread::spawn(move || lines.for_each(drop));
    let url = url.unwrap();
    Serving {
        child,
        url,
        said,
        later: Arc::default(),
    }
}

/// The one number that a query answers with.
fn asked(server: &Serving, sql: &str) -> u64 {
    let body = serde_json::json!({ "sql": sql }).to_string();
    let request = ureq::post(format!("{}/api/v1/sql", server.url));
    let request = request.header("Content-Type", "application/json");
    let answer = request
        .send(body)
        .unwrap()
        .body_mut()
        .read_to_string()
        .unwrap();
    let answer: serde_json::Value = serde_json::from_str(&answer).unwrap();
    answer["rows"][0][0].as_u64().expect("a number")
}

#[test]
fn a_demo_goes_live_goes_on_where_it_was_and_ends_cleanly_on_ctrl_c() {
    let place = Place::new();
    let count = "SELECT count(*) FROM events.log";
    let mut events = 0;
    for _ in 0..2 {
        let mut server = demo(&place);
        assert!(server.said.contains("Service level"), "{}", server.said);
        assert!(server.said.contains("grpc://127.0.0.1:"), "{}", server.said);
        let page = ureq::get(format!("{}/wallboard", server.url))
            .call()
            .unwrap();
        assert_eq!(page.status(), 200);
        let begun = asked(&server, count);
        assert!(begun >= events, "{begun} events after {events}");
        // The day goes on by itself.
        let since = Instant::now();
        let later = loop {
            let later = asked(&server, count);
            if later > begun {
                break later;
            }
            assert!(
                since.elapsed() < Duration::from_secs(60),
                "stuck at {later}"
            );
        };
        server.signal("-INT");
        assert!(server.child.wait().unwrap().success());
        events = later;
    }
    let double = "SELECT count(*) - count(DISTINCT event_id) FROM events.log";
    assert_eq!(place.count(double), "0");
    let check = callgauge(&["check", "--data", &place.data()]);
    assert!(check.status.success(), "{}", text(&check.stdout));
}

#[test]
fn a_wrong_alert_rule_or_webhook_stops_the_start_with_its_place() {
    let place = Place::new();
    let rules = place.0.path().join("alerts.yml");
    let rule = "- { id: r, title: { en: R }, figure: wating, scope: total, op: above, warn: 1 }\n";
    std::fs::write(&rules, rule).unwrap();
    let start = |more: &[&str]| {
        let serve = ["serve", "--data", &place.data(), "--http", "127.0.0.1:0"];
        let output = callgauge(&[&serve[..], more].concat());
        assert_eq!(output.status.code(), Some(2));
        text(&output.stderr)
    };
    let said = start(&["--alerts", rules.to_str().unwrap()]);
    assert!(
        said.contains("alerts.yml:1:38: r: there is no figure `wating`"),
        "{said}"
    );
    assert!(said.contains("did you mean `waiting`?"), "{said}");
    // The engine knows what cannot be live: nobody waits in vain for such a rule.
    for (figure, hint) in [
        ("sales_cost@today", "money"),
        ("fcr@today", "mature"),
        ("occupancy@today", "mature"),
    ] {
        std::fs::write(&rules, rule.replace("wating", figure)).unwrap();
        let said = start(&["--alerts", rules.to_str().unwrap()]);
        let place = format!(
            "alerts.yml:1:38: r: the live board cannot have `{}`",
            &figure[..figure.len() - 6]
        );
        assert!(said.contains(&place) && said.contains(hint), "{said}");
    }
    let said = start(&["--webhook", "ftp://host/secret"]);
    assert!(
        said.contains("webhook 1: it begins with neither http:// nor https://"),
        "{said}"
    );
    assert!(!said.contains("secret"), "{said}");
}

/// The definition of the page on definition files, with another limit.
fn long_waits(limit: &str) -> String {
    let page = include_str!("../../../docs/kpi-files.md");
    let (_, rest) = page.split_once("```yaml\n").unwrap();
    let (text, _) = rest.split_once("```\n").unwrap();
    assert!(text.contains("default: 60s"));
    text.replace("default: 60s", &format!("default: {limit}"))
}

/// A server with definitions of its own and a board that shows one of them.
struct Defining {
    place: Place,
    server: Serving,
    file: PathBuf,
    /// Of the last receipt.
    seq: u64,
}

impl Defining {
    fn start() -> Self {
        let place = Place::new();
        let (own, boards) = (place.path("my-kpis"), place.path("boards"));
        std::fs::create_dir(&own).unwrap();
        std::fs::create_dir(&boards).unwrap();
        let file = own.join("waits.yml");
        std::fs::write(&file, long_waits("60s")).unwrap();
        let board = r#"{"id":"own","version":1,"title":{"en":"Own"},"layout":"tiles",
            "cells":[{"scope":"t","figures":["long_wait_rate@today"]}],
            "tiles":[{"figure":"long_wait_rate@today"}]}"#;
        std::fs::write(boards.join("own.json"), board).unwrap();
        let (own, boards) = (own.display().to_string(), boards.display().to_string());
        let server = place.serve_with(&["--kpi-dir", &own, "--boards", &boards], &[]);
        Defining {
            place,
            server,
            file,
            seq: 0,
        }
    }

    /// Sends a simulated day, and one event more for its receipt.
    fn send(&mut self) {
        self.server.send_a_day("8");
        let post = ureq::post(format!("{}/api/v1/events", self.server.url));
        let post = post.header("Content-Type", "application/x-ndjson");
        let receipt = post.send(LINE).unwrap().body_mut().read_to_string();
        let receipt: serde_json::Value = serde_json::from_str(&receipt.unwrap()).unwrap();
        self.seq = receipt["committed_seq"].as_u64().unwrap();
    }

    fn get(&self, path: &str) -> serde_json::Value {
        let answer = ureq::get(format!("{}{path}", self.server.url)).call();
        let text = answer.unwrap().body_mut().read_to_string().unwrap();
        serde_json::from_str(&text).unwrap()
    }

    /// Writes the file and waits until the catalogue says that it has come to this.
    fn write(&self, text: &str, until: impl Fn(&serde_json::Value) -> bool) -> serde_json::Value {
        std::fs::write(&self.file, text).unwrap();
        let patience = Instant::now() + Duration::from_secs(60);
        loop {
            let told = self.get("/api/v1/catalog")["definitions"].clone();
            if until(&told) {
                return told;
            }
            let said = self.server.later.lock().unwrap().clone();
            assert!(Instant::now() < patience, "{told}\n{said}");
            std::thread::yield_now();
        }
    }

    /// The value, and the hash of its definition.
    fn asked(&self) -> (f64, String) {
        let seq = self.seq;
        let told = self.get(&format!("/api/v1/kpi?metric=long_wait_rate&min_seq={seq}"));
        let value = told["series"][0]["points"][0]["value"].as_f64();
        let hash = told["meta"]["kpis"][0]["definition_hash"].as_str();
        (value.unwrap(), hash.unwrap().to_owned())
    }

    fn problem_until(&self, text: &str, words: &str) -> String {
        let says = |told: &serde_json::Value| {
            let problem = told["problem"]["message"].as_str();
            problem.is_some_and(|problem| problem.contains(words))
        };
        let told = self.write(text, says);
        told["problem"]["message"].as_str().unwrap().to_owned()
    }
}

#[test]
fn changed_definitions_are_taken_and_wrong_ones_leave_those_of_before() {
    let mut own = Defining::start();
    own.send();
    let first = own.asked();
    let began = own.get("/api/v1/catalog")["definitions"].clone();
    let told = own.write(&long_waits("5s"), |told| told["reloads"] == 1);
    assert_eq!(told["problem"], serde_json::Value::Null);
    assert_ne!(told["hash"], began["hash"]);
    let second = own.asked();
    assert!(
        second.0 > first.0 && second.1 != first.1,
        "{first:?} {second:?}"
    );
    // The board shows what the report says of the same definition.
    let live = own.get("/api/v1/live/snapshot?board=own");
    assert!(live["cells"][0]["k"] == "t.long_wait_rate@today", "{live}");

    let slip = long_waits("5s").replacen("version: 1", "versoin: 1", 1);
    let problem = own.problem_until(&slip, "versoin");
    assert!(problem.contains("waits.yml:4:"), "{problem}");
    assert_eq!(own.asked(), second, "those of before stay");
    let health = own.get("/healthz");
    assert_eq!(health["parts"][0], "definitions", "{health}");
    let log = own.server.later.lock().unwrap().clone();
    let line = log.lines().find(|line| line.contains("versoin"));
    assert!(
        line.is_some_and(|line| line.contains("waits.yml:4:")),
        "{log}"
    );

    let gone = long_waits("5s").replace("long_wait", "lengthy_wait");
    let problem = own.problem_until(&gone, "live board");
    assert!(problem.contains("`long_wait_rate`"), "{problem}");
    assert_eq!(own.asked(), second);
    own.problem_until("format: 1\nkpis: []\n", "live board");

    let told = own.write(&long_waits("5s"), |told| told["problem"].is_null());
    assert_eq!(told["reloads"], 1, "they were in use all the time");
    let told = own.write(&long_waits("60s"), |told| told["reloads"] == 2);
    assert_eq!(told["hash"], began["hash"]);
    assert_eq!(own.asked(), first);
    own.server.terminate();
    assert_ne!(own.place.count("SELECT count(*) FROM events.log"), "0");
}
