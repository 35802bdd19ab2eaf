//! Alerts from a frame to the log, the list, the webhook, and over a restart.

use std::{
    collections::{BTreeMap, BTreeSet},
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpListener},
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
        mpsc::{self, Receiver},
    },
    thread,
    time::{Duration, Instant},
};

use engine::live::{Cell, CellKey, CellValue, Day, Frame, Scope};
use events::UtcMicros;
use kpi::{
    Show, SourceFile, Unit, UnitKind,
    alert::{AlertRules, State},
};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};
use serde_json::Value;
use server::{
    access::Role,
    alerts::{Alerting, Webhook, WebhookError},
    live::AlertNews,
};
use tempfile::TempDir;
use tokio::sync::watch;
use tokio_rustls::rustls::{ServerConfig, ServerConnection, StreamOwned, crypto::ring};

use crate::{
    client::{Client, JSON, Reply},
    fake::{catalogue, start, start_watching},
    live::sse::Sse,
    real::{self, NOON, Real},
    roles::TokenFile,
};

const RULES: &str = "
- id: low
  title: { en: Service level is low, zh-CN: 服务水平偏低, zh-TW: 服務水準偏低 }
  figure: service_level@30m
  scope: each queue
  op: below
  warn: 0.8
  critical: 0.6
  on_delay_s: 0
  off_delay_s: 0
- id: old
  title: { en: Somebody waits too long }
  figure: oldest
  scope: total
  op: above
  warn: 2m
  on_delay_s: 10
  off_delay_s: 0
";

type Frames = watch::Sender<Option<Arc<Frame>>>;

fn alerting(rules: &str, webhooks: Vec<Webhook>) -> (Alerting, Frames) {
    let file = SourceFile {
        name: "alerts.yml".to_owned(),
        text: rules.to_owned(),
    };
    let live = BTreeSet::from(["service_level".to_owned()]);
    let rules = AlertRules::load(&[file], &catalogue(), &live).expect("sound rules");
    let (sender, frames) = watch::channel(None);
    let alerting = Alerting {
        rules: Arc::new(rules),
        frames,
        news: AlertNews::default(),
        webhooks,
    };
    (alerting, sender)
}

/// The real thing without events, watching.
fn watching(webhooks: Vec<Webhook>) -> (Real, Frames) {
    let mut real = real::start_empty(|_| {});
    let (alerting, frames) = alerting(RULES, webhooks);
    real.restart_watching(alerting, |_| {});
    (real, frames)
}

/// A frame of that many seconds after noon: the service level of sales, the begin of the wait. Steps
/// are short enough that the frame before is not too old when the clock has moved on.
fn show(real: &Real, frames: &Frames, second: i64, level: Option<f64>, oldest: Option<i64>) {
    show_at(&real.clock, frames, second, level, oldest);
}

fn show_at(
    clock: &AtomicI64,
    frames: &Frames,
    second: i64,
    level: Option<f64>,
    oldest: Option<i64>,
) {
    let as_of = NOON.plus_ms(second * 1_000);
    let since = |second: i64| CellValue::Since(NOON.plus_ms(second * 1_000));
    let key = |scope, figure: &str| CellKey {
        scope,
        figure: figure.into(),
    };
    let oldest = Cell::plain(oldest.map_or(CellValue::Nothing, since));
    let cells = BTreeMap::from([
        (
            key(Scope::Queue("sales".into()), "service_level@30m"),
            Arc::new(service_level(level)),
        ),
        (key(Scope::Total, "oldest"), Arc::new(oldest)),
    ]);
    clock.store(as_of.0, Ordering::SeqCst);
    frames.send_replace(Some(Arc::new(frame(as_of, cells))));
}

fn service_level(level: Option<f64>) -> Cell {
    let ratio = Unit {
        kind: UnitKind::Ratio,
        of: None,
        show: Show::usual(UnitKind::Ratio),
    };
    let level = level.map_or(CellValue::Nothing, |level| CellValue::Number(level, ratio));
    Cell {
        n: Some(54.0),
        ..Cell::plain(level)
    }
}

/// A frame of that many seconds after noon with the same service level in so many queues.
fn show_queues(real: &Real, frames: &Frames, second: i64, (queues, level): (usize, f64)) {
    let as_of = NOON.plus_ms(second * 1_000);
    let cell = Arc::new(service_level(Some(level)));
    let of_queue = |n: usize| {
        let key = CellKey {
            scope: Scope::Queue(format!("q{n}").into()),
            figure: "service_level@30m".into(),
        };
        (key, Arc::clone(&cell))
    };
    let cells = (0..queues).map(of_queue).collect();
    real.clock.store(as_of.0, Ordering::SeqCst);
    frames.send_replace(Some(Arc::new(frame(as_of, cells))));
}

fn frame(as_of: UtcMicros, cells: BTreeMap<CellKey, Arc<Cell>>) -> Frame {
    Frame {
        epoch: 1,
        seq: as_of.0 as u64,
        as_of,
        watermark: None,
        revision: 1,
        zone: "UTC".into(),
        day: Day {
            date: "2026-03-02".to_owned(),
            start: NOON.plus_ms(-43_200_000),
            end: NOON.plus_ms(43_200_000),
        },
        kpis: Arc::from([]),
        cells,
    }
}

/// Asks until the answer is the one that is waited for.
#[track_caller]
fn until(what: &str, mut ask: impl FnMut() -> Option<Value>) -> Value {
    let patience = Instant::now() + Duration::from_secs(60);
    loop {
        if let Some(found) = ask() {
            return found;
        }
        assert!(Instant::now() < patience, "waited in vain for {what}");
        thread::yield_now();
    }
}

fn alerts(real: &Real) -> Vec<Value> {
    listed(&mut real.client())
}

fn listed(client: &mut Client) -> Vec<Value> {
    let reply = client.get("/api/v1/alerts");
    assert_eq!(reply.status, 200, "{reply:?}");
    reply.json()["alerts"].as_array().expect("a list").clone()
}

/// The newest alert of a rule, once it has that state.
#[track_caller]
fn alert(real: &Real, rule: &str, state: &str) -> Value {
    until(&format!("{rule} {state}"), || {
        let alerts = alerts(real);
        let newest = alerts.iter().find(|alert| alert["rule"] == rule)?;
        (newest["state"] == state).then(|| newest.clone())
    })
}

fn rows(real: &Real, sql: &str) -> Value {
    let body = serde_json::json!({ "sql": sql }).to_string();
    let reply = real
        .client()
        .ask("POST /api/v1/sql", &[JSON], body.as_bytes());
    assert_eq!(reply.status, 200, "{reply:?}");
    reply.json()["rows"].clone()
}

fn acknowledge(real: &Real, id: &Value, body: &str) -> Reply {
    let id = id.as_str().expect("an id");
    let line = format!("POST /api/v1/alerts/{id}/acknowledge");
    real.client().ask(&line, &[JSON], body.as_bytes())
}

#[test]
fn how_long_we_were_red_is_a_query() {
    let (real, frames) = watching(Vec::new());
    show(&real, &frames, 0, Some(0.9), None);
    show(&real, &frames, 10, Some(0.5), None);
    let raised = alert(&real, "low", "critical");
    assert_eq!(raised["scope"], "q.sales");
    assert_eq!(raised["figure"], "service_level@30m");
    assert_eq!(
        (&raised["value"], &raised["n"]),
        (&0.5.into(), &54.0.into())
    );
    show(&real, &frames, 22, Some(0.7), None);
    alert(&real, "low", "warn");
    show(&real, &frames, 34, Some(0.95), None);
    let over = alert(&real, "low", "ok");
    assert_eq!(over["peak"], 0.5);
    let sql = "SELECT queue_id, level, state, critical_ms, warn_ms, peak, n FROM facts.alerts";
    let stored = until("the end in the facts", || {
        let rows = rows(&real, sql);
        (rows[0][2] == "ok").then_some(rows)
    });
    assert_eq!(
        stored,
        serde_json::json!([["sales", "critical", "ok", 12_000, 12_000, "0.5000", 54]])
    );
    let sql = "SELECT count(*) FROM events.log WHERE source = 'callgauge' \
               AND event_type = 'alert.changed'";
    assert_eq!(rows(&real, sql), serde_json::json!([[3]]));
}

#[test]
fn an_acknowledgement_is_stored_and_bad_ones_are_refused() {
    let (real, frames) = watching(Vec::new());
    show(&real, &frames, 0, Some(0.7), None);
    let id = alert(&real, "low", "warn")["id"].clone();
    for (body, status) in [
        (r#"{"noet": "x"}"#, 400),
        ("", 400),
        (r#"{"note": "card 4111 1111 1111 1111"}"#, 400),
    ] {
        let reply = acknowledge(&real, &id, body);
        assert_eq!(reply.status, status, "{body}: {reply:?}");
    }
    let long = serde_json::json!({ "note": "x".repeat(1_001) }).to_string();
    assert_eq!(acknowledge(&real, &id, &long).error_code(), "bad_parameter");
    let none = acknowledge(&real, &"nonsense".into(), "{}");
    assert_eq!((none.status, &*none.error_code()), (404, "not_found"));
    assert_eq!(alerts(&real)[0]["acknowledged_by"], Value::Null);

    let seen = acknowledge(&real, &id, r#"{"note": " two are sick "}"#);
    assert_eq!(seen.status, 200, "{seen:?}");
    assert_eq!(seen.json()["acknowledged_by"], "local");
    assert_eq!(alerts(&real)[0]["note"], "two are sick");
    let sql = "SELECT acknowledged, acknowledged_by, note FROM facts.alerts";
    let stored = until("the acknowledgement in the facts", || {
        let rows = rows(&real, sql);
        (rows[0][0] == true).then_some(rows)
    });
    assert_eq!(stored, serde_json::json!([[true, "local", "two are sick"]]));
    // What gets worse has not been seen.
    show(&real, &frames, 10, Some(0.1), None);
    assert_eq!(
        alert(&real, "low", "critical")["acknowledged_by"],
        Value::Null
    );
}

#[test]
fn an_alert_that_gets_worse_while_it_is_acknowledged_is_not_acknowledged() {
    let (alerting, frames) = alerting(RULES, Vec::new());
    let setup = start_watching(alerting);
    let newest = |state: &str| {
        until(state, || {
            let alerts = listed(&mut setup.client());
            alerts.first().filter(|a| a["state"] == state).cloned()
        })
    };
    show_at(&setup.clock, &frames, 0, Some(0.7), None);
    let id = newest("warn")["id"].clone();
    until("its event", || {
        setup.sink.deliveries().pop().map(|_| Value::Null)
    });
    let held = setup.sink.hold();
    let (mut client, line) = (
        setup.client(),
        format!(
            "POST /api/v1/alerts/{}/acknowledge",
            id.as_str().expect("an id")
        ),
    );
    let asking = thread::spawn(move || client.ask(&line, &[JSON], b"{}"));
    let (answer, written) = held.recv().expect("the acknowledgement");
    show_at(&setup.clock, &frames, 10, Some(0.1), None);
    newest("critical");
    setup.sink.release();
    answer(written);
    let reply = asking.join().expect("an answer");
    assert_eq!(reply.status, 200, "{reply:?}");
    assert_eq!(reply.json()["state"], "critical");
    assert_eq!(reply.json()["acknowledged_by"], Value::Null);
    assert_eq!(newest("critical")["acknowledged_by"], Value::Null);
}

#[test]
fn after_a_restart_an_alert_goes_on_and_that_of_a_rule_that_is_gone_ends() {
    let (mut real, frames) = watching(Vec::new());
    show(&real, &frames, 0, Some(0.5), Some(-600));
    let low = alert(&real, "low", "critical");
    show(&real, &frames, 12, Some(0.5), Some(-600));
    let old = alert(&real, "old", "warn");
    assert!(old["value"].as_f64() >= Some(600_000.0), "{old}");
    assert_eq!(acknowledge(&real, &low["id"], "{}").status, 200);
    until("both in the facts", || {
        let rows = rows(
            &real,
            "SELECT count(*), count(*) FILTER (WHERE acknowledged) FROM facts.alerts",
        );
        (rows == serde_json::json!([[2, 1]])).then_some(rows)
    });
    let only_low = RULES.split("- id: old").next().expect("the first rule");
    let (again, frames) = alerting(only_low, Vec::new());
    real.restart_watching(again, |_| {});
    show(&real, &frames, 24, Some(0.5), Some(-600));
    let ended = alert(&real, "old", "ok");
    assert_eq!(ended["id"], old["id"]);
    // Boards show it again, as if nothing had been.
    let mut stream = Sse::open(real.client(), "", &[]);
    let open = stream.wait_for("alerts").data["alerts"].clone();
    assert_eq!((&open[0]["id"], &open[1]), (&low["id"], &Value::Null));
    let same = alert(&real, "low", "critical");
    assert_eq!((&same["id"], &same["since"]), (&low["id"], &low["since"]));
    assert_eq!(same["acknowledged_by"], "local");
    show(&real, &frames, 36, Some(0.9), None);
    assert_eq!(alert(&real, "low", "ok")["id"], low["id"]);
    until("one row each", || {
        let rows = rows(&real, "SELECT count(*), count(ended_at) FROM facts.alerts");
        (rows == serde_json::json!([[2, 2]])).then_some(rows)
    });
}

#[test]
fn a_board_that_makes_no_frames_leaves_alerts_unknown() {
    let (real, frames) = watching(Vec::new());
    show(&real, &frames, 0, Some(0.5), None);
    alert(&real, "low", "critical");
    real.clock.store(NOON.plus_ms(16_000).0, Ordering::SeqCst);
    let lost = alert(&real, "low", "unknown");
    assert_eq!(lost["value"], Value::Null);
    show(&real, &frames, 20, None, None);
    show(&real, &frames, 30, Some(0.9), None);
    alert(&real, "low", "ok");
}

#[test]
fn rules_are_listed_in_three_languages_and_by_right() {
    let file = TokenFile::new();
    let token = file.add("sup", &[Role::Supervisor]);
    let sender = file.add("pbx", &[Role::Ingest]);
    let mut real = real::start_empty(|_| {});
    let (alerting, _frames) = alerting(RULES, Vec::new());
    real.restart_watching(alerting, |settings| settings.token_file = Some(file.path()));
    let ask = |token: &str| {
        let bearer = format!("Bearer {token}");
        let headers = [("authorization", bearer.as_str())];
        real.client().ask("GET /api/v1/alerts", &headers, b"")
    };
    assert_eq!(ask(&sender).status, 403);
    let reply = ask(&token);
    let rule = &reply.json()["rules"][0];
    assert_eq!(rule["title"]["zh-TW"], "服務水準偏低");
    assert_eq!(
        (&rule["op"], &rule["critical"]),
        (&"below".into(), &0.6.into())
    );
    assert_eq!(rule["scope"], "each queue");
}

#[test]
fn news_are_told_in_the_form_of_the_live_stream() {
    let mut real = real::start_empty(|_| {});
    let (alerting, frames) = alerting(RULES, Vec::new());
    real.restart_watching(alerting, |_| {});
    show(&real, &frames, 0, Some(0.9), None);
    let mut news = Sse::open(real.client(), "", &[]);
    assert_eq!(
        news.wait_for("alerts").data["alerts"],
        serde_json::json!([])
    );
    show(&real, &frames, 1, Some(0.7), None);
    let raised = news.wait_for("alert").data;
    for (member, value) in [
        ("rule", "low".into()),
        ("scope", "q.sales".into()),
        ("figure", "service_level@30m".into()),
        ("state", "warn".into()),
        ("since", (NOON.0 / 1_000 + 1_000).into()),
        ("value", 0.7.into()),
        ("n", 54.0.into()),
        ("acknowledged_by", Value::Null),
        ("note", Value::Null),
    ] {
        assert_eq!(raised[member], value, "{member}");
    }
    assert_eq!(acknowledge(&real, &raised["id"], "{}").status, 200);
    let seen = news.wait_for("alert").data;
    assert_eq!(seen["acknowledged_by"], "local");
    assert_eq!(seen["id"], raised["id"]);
}

#[test]
fn a_server_that_watches_nothing_says_so() {
    let setup = start();
    let reply = setup.client().get("/api/v1/alerts");
    assert_eq!((reply.status, &*reply.error_code()), (404, "not_found"));
}

// ---- webhooks --------------------------------------------------------------------------------

/// A server that gives these answers, one a connection, and hands on the requests.
fn receiver(
    answers: &'static [&'static str],
    tls: Option<Arc<ServerConfig>>,
) -> (SocketAddr, Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let addr = listener.local_addr().expect("an address");
    let (sender, requests) = mpsc::channel();
    thread::spawn(move || {
        for answer in answers {
            let (stream, _) = listener.accept().expect("a connection");
            let patience = Some(Duration::from_secs(60));
            stream.set_read_timeout(patience).expect("a socket");
            let request = match &tls {
                None => exchange(stream, answer),
                Some(config) => {
                    let server = ServerConnection::new(Arc::clone(config)).expect("a server");
                    exchange(StreamOwned::new(server, stream), answer)
                }
            };
            sender.send(request).expect("a test that reads");
        }
    });
    (addr, requests)
}

/// Reads a request and answers it.
fn exchange<S: Read + Write>(stream: S, answer: &str) -> String {
    let mut stream = BufReader::new(stream);
    let (mut request, mut length) = (String::new(), 0);
    loop {
        let mut line = String::new();
        let read = stream.read_line(&mut line).expect("a head");
        if let Some((name, value)) = line.split_once(':')
            && name.eq_ignore_ascii_case("content-length")
        {
            length = value.trim().parse().expect("a length");
        }
        request.push_str(&line);
        if read == 0 || line == "\r\n" {
            break;
        }
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body).expect("a body");
    request.push_str(&String::from_utf8(body).expect("text"));
    let head = format!("HTTP/1.1 {answer}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
    stream
        .get_mut()
        .write_all(head.as_bytes())
        .expect("an answer");
    stream.get_mut().flush().expect("an answer");
    request
}

fn hooks(address: String, ca: Option<&Path>) -> Vec<Webhook> {
    let mut hooks = Webhook::all(&[address], ca).expect("an address");
    for hook in &mut hooks {
        hook.retry_after = Duration::from_millis(5);
    }
    hooks
}

fn sent(request: &str) -> Value {
    let (head, body) = request.split_once("\r\n\r\n").expect("a head");
    assert!(head.starts_with("POST /hook?team=7 HTTP/1.1\r\n"), "{head}");
    assert!(
        head.to_lowercase()
            .contains("content-type: application/json"),
        "{head}"
    );
    serde_json::from_str(body).expect("JSON")
}

#[test]
fn a_webhook_is_told_of_every_change_and_tried_again() {
    let (addr, requests) = receiver(&["503 Busy", "204 No Content", "404 Gone", "200 OK"], None);
    // The other address takes connections and never answers: it delays nobody.
    let silent = TcpListener::bind("127.0.0.1:0").expect("a port");
    let mut all = hooks(format!("http://{addr}/hook?team=7"), None);
    let dead = silent.local_addr().expect("an address");
    all.extend(hooks(format!("http://{dead}/hook"), None));
    let (real, frames) = watching(all);
    let next = || sent(&requests.recv().expect("a request"));
    show(&real, &frames, 0, Some(0.5), None);
    let first = next();
    assert_eq!(next(), first, "it was busy");
    show(&real, &frames, 10, Some(0.7), None);
    assert_eq!(next()["state"], "warn");
    show(&real, &frames, 20, Some(0.9), None);
    assert_eq!(next()["state"], "ok");
    assert_eq!(
        (&first["rule"], &first["scope"]),
        (&"low".into(), &"q.sales".into())
    );
    assert_eq!(first["state"], State::Critical.word());
}

#[test]
fn a_slow_webhook_misses_states_in_between_and_never_the_last_one() {
    const QUEUES: usize = 600;
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let addr = listener.local_addr().expect("an address");
    let (real, frames) = watching(hooks(format!("http://{addr}/hook?team=7"), None));
    let answered = |stream| sent(&exchange(stream, "200 OK"));
    show_queues(&real, &frames, 0, (QUEUES, 0.5));
    let (first, _) = listener.accept().expect("a connection");
    for (second, level, state) in [(4, 0.7, "warn"), (8, 0.5, "critical"), (12, 0.9, "ok")] {
        show_queues(&real, &frames, second, (QUEUES, level));
        until(state, || {
            let alerts = alerts(&real);
            let all = alerts.len() == QUEUES && alerts.iter().all(|a| a["state"] == state);
            all.then_some(Value::Null)
        });
    }
    let first = answered(first);
    assert_eq!(first["state"], "critical");
    let mut told = BTreeSet::new();
    while told.len() < QUEUES {
        let alert = answered(listener.accept().expect("a connection").0);
        // On a busy machine the first one may have been tried again.
        if alert != first {
            assert_eq!(alert["state"], "ok");
            assert!(told.insert(alert["id"].to_string()), "{alert} twice");
        }
    }
}

#[test]
fn an_https_webhook_is_told_if_its_certificate_is_trusted() {
    let folder = TempDir::new().expect("a folder");
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).expect("one");
    let ca = folder.path().join("ca.pem");
    std::fs::write(&ca, made.cert.pem()).expect("a file");
    let key = PrivateKeyDer::from_pem_slice(made.signing_key.serialize_pem().as_bytes());
    let chain: Vec<CertificateDer<'static>> = vec![made.cert.der().clone()];
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_no_client_auth()
        .with_single_cert(chain, key.expect("a key"))
        .expect("a certificate");
    let (addr, requests) = receiver(&["200 OK"], Some(Arc::new(config)));
    let address = format!("https://localhost:{}/hook?team=7", addr.port());
    let (real, frames) = watching(hooks(address, Some(&ca)));
    show(&real, &frames, 0, Some(0.5), None);
    let request = requests.recv().expect("a request");
    assert_eq!(sent(&request)["state"], "critical");
}

#[test]
fn an_address_that_is_none_is_refused_without_being_shown() {
    for (address, why) in [
        (
            "ftp://host/secret",
            "it begins with neither http:// nor https://",
        ),
        ("host/secret", "it is no URL"),
        ("http://user:secret@host/", "it has a user"),
        ("http://host/#secret", "it has a fragment"),
        ("http://host:99999/secret", "its port is none of 1 to 65535"),
        ("http://host:0/secret", "its port is none of 1 to 65535"),
        ("http://host:/secret", "its port is none of 1 to 65535"),
        (
            "https://[::1]:65536/secret",
            "its port is none of 1 to 65535",
        ),
    ] {
        let good = "http://127.0.0.1:1/".to_owned();
        let error = Webhook::all(&[good, address.to_owned()], None).expect_err("refused");
        let text = error.to_string();
        assert_eq!(
            text,
            format!("webhook 2: {why}: write it as https://host/path")
        );
    }
    // As a variable that ends with a comma has them, or that is there and empty.
    let addresses = ["", "http://[::1]/hook", " ", "http://host:8080"].map(str::to_owned);
    let hooks = Webhook::all(&addresses, None).expect("two addresses");
    let shown = format!("{hooks:?}");
    assert_eq!(hooks.len(), 2, "{shown}");
    assert!(
        shown.contains("port: 80,") || shown.contains("port: 80 "),
        "{shown}"
    );
    assert!(shown.contains("port: 8080"), "{shown}");
    let missing = Path::new("/nonexistent/ca.pem");
    let trust = Webhook::all(&["https://host/".to_owned()], Some(missing));
    assert!(matches!(trust, Err(WebhookError::Trust(..))), "{trust:?}");
}
