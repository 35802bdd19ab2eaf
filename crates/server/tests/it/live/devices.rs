//! Screens that pair themselves, and what they may then (W30).

use std::{
    path::PathBuf,
    sync::atomic::Ordering,
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use server::{access::Role, devices, tokens};

use super::{
    floor::{Floor, count, total},
    sse::Sse,
};
use crate::{
    client::{Client, JSON, Reply},
    fake::Setup,
    roles::TokenFile,
};

/// A hall with a supervisor, and a screen on its wall.
struct Hall {
    setup: Setup,
    floor: Floor,
    tokens: TokenFile,
    supervisor: String,
}

impl Hall {
    fn new() -> Self {
        let tokens = TokenFile::new();
        let supervisor = tokens.add("eve", &[Role::Supervisor]);
        let file = tokens.path();
        let (setup, mut floor) = Floor::open(|settings| {
            settings.device_file = Some(file.with_file_name("devices"));
            settings.token_file = Some(file);
        });
        floor.show([(total("waiting"), count(1))]);
        Hall {
            setup,
            floor,
            tokens,
            supervisor: format!("Bearer {supervisor}"),
        }
    }

    fn file(&self) -> PathBuf {
        self.tokens.path().with_file_name("devices")
    }

    /// What a supervisor asks.
    fn ask(&self, line: &str, body: &Value) -> Reply {
        let headers = [JSON, ("authorization", &*self.supervisor)];
        self.setup
            .client()
            .ask(line, &headers, body.to_string().as_bytes())
    }

    fn confirm(&self, code: &str, name: &str) -> Reply {
        let body = json!({"code": code, "board": "queues", "name": name, "days": 30});
        self.ask("POST /api/v1/devices/confirm", &body)
    }

    /// A new screen: its cookie and its code.
    fn screen(&self) -> (String, String) {
        let reply = self
            .setup
            .client()
            .ask("POST /api/v1/devices/pair", &[JSON], b"{}");
        assert_eq!(reply.status, 200, "{reply:?}");
        let set = reply.header("set-cookie");
        for word in [
            "; HttpOnly",
            "; SameSite=Strict",
            "; Path=/",
            "; Max-Age=7776000",
        ] {
            assert!(set.contains(word), "{set}");
        }
        let cookie = set.split(';').next().expect("a cookie").to_owned();
        assert!(
            cookie.len() > 80
                && !reply
                    .body
                    .contains(cookie.split('=').nth(1).expect("a value"))
        );
        let code = reply.json()["code"].as_str().expect("a code").to_owned();
        assert_eq!(code.len(), 6);
        (cookie, code)
    }

    fn me(&self, cookie: &str) -> Value {
        let headers = [("cookie", cookie)];
        self.setup
            .client()
            .ask("GET /api/v1/devices/me", &headers, b"")
            .json()
    }

    fn paired(&self, name: &str) -> String {
        let (cookie, code) = self.screen();
        let reply = self.confirm(&code, name);
        assert_eq!(reply.status, 200, "{reply:?}");
        cookie
    }

    fn stream(&self, headers: &[(&str, &str)]) -> Sse {
        Sse::open(Client::connect(self.setup.addr), "", headers)
    }

    fn pass(&self, time: Duration) {
        let micros = time.as_micros() as i64;
        self.setup.clock.fetch_add(micros, Ordering::SeqCst);
    }
}

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

#[test]
fn a_screen_is_let_in_by_its_code_and_sees_one_board() {
    let hall = Hall::new();
    let (cookie, code) = hall.screen();
    assert_eq!(hall.me("other=1"), json!({"state": "none"}));
    let me = hall.me(&format!("other=1; {cookie}"));
    assert_eq!(
        (&me["state"], &me["code"]),
        (&json!("waiting"), &json!(code))
    );
    let asks = |line: &str| {
        let headers = [("cookie", &*cookie)];
        hall.setup.client().ask(line, &headers, b"").status
    };
    assert_eq!(asks("GET /api/v1/boards"), 401, "not yet");
    // As people type it.
    let typed = format!("{} - {}", &code[..3].to_lowercase(), &code[3..]);
    let reply = hall.confirm(&typed, "hall-2");
    assert_eq!(
        (reply.status, &reply.json()["id"]),
        (200, &json!("hall-2")),
        "{reply:?}"
    );
    let me = hall.me(&cookie);
    assert_eq!(
        (&me["state"], &me["board"]),
        (&json!("paired"), &json!("queues"))
    );
    let mut stream = hall.stream(&[("cookie", &*cookie)]);
    assert_eq!(stream.wait_for("snapshot").data["board"], "queues");
    for (line, status) in [
        ("GET /api/v1/live/snapshot", 200),
        ("GET /api/v1/live/snapshot?board=now", 403),
        ("GET /api/v1/live/stream?board=now", 403),
        ("GET /api/v1/boards/queues", 200),
        ("GET /api/v1/boards/now", 403),
        ("GET /api/v1/boards", 200),
        ("GET /api/v1/devices", 403),
        ("GET /api/v1/catalog", 403),
        ("GET /api/v1/kpi?metric=asa", 403),
        ("DELETE /api/v1/devices/hall-2", 403),
        ("GET /metrics", 403),
    ] {
        assert_eq!(asks(line), status, "{line}");
    }
    let headers = [("cookie", &*cookie)];
    let boards = hall
        .setup
        .client()
        .ask("GET /api/v1/boards", &headers, b"")
        .json();
    assert_eq!(boards["boards"].as_array().map(Vec::len), Some(1));
    // The file does not have what the screen has.
    let text = std::fs::read_to_string(hall.file()).expect("a file");
    assert!(
        text.contains("hall-2 queues ") && !text.contains("cgd_"),
        "{text}"
    );
    // It is over when its time is.
    hall.pass(DAY * 31);
    assert_eq!(asks("GET /api/v1/boards"), 401);
    assert_eq!(stream.reason_of_its_end(), "revoked");
}

#[test]
fn a_screen_that_is_sent_away_stops_within_five_seconds() {
    let hall = Hall::new();
    let cookies = ["one", "two"].map(|name| hall.paired(name));
    let mut streams = cookies
        .each_ref()
        .map(|cookie| hall.stream(&[("cookie", &**cookie)]));
    for stream in &mut streams {
        stream.wait_for("snapshot");
    }
    let listed = hall.ask("GET /api/v1/devices", &json!({})).json();
    let ids = listed["devices"].as_array().expect("devices");
    assert_eq!(
        ids.iter().map(|d| &d["id"]).collect::<Vec<_>>(),
        ["one", "two"]
    );
    let [mut first, mut second] = streams;
    let begun = Instant::now();
    let reply = hall.ask("DELETE /api/v1/devices/one", &json!({}));
    assert_eq!(reply.status, 200, "{reply:?}");
    assert_eq!(first.reason_of_its_end(), "revoked");
    // By hand, as `callgauge device revoke` does it.
    devices::revoke(&hall.file(), "two").expect("a device");
    assert_eq!(second.reason_of_its_end(), "revoked");
    assert!(
        begun.elapsed() < Duration::from_secs(10),
        "{:?}",
        begun.elapsed()
    );
    assert_eq!(hall.me(&cookies[0]), json!({"state": "none"}));
    let reply = hall.ask("DELETE /api/v1/devices/one", &json!({}));
    assert_eq!((reply.status, &*reply.error_code()), (404, "not_found"));
}

#[test]
fn a_token_that_is_revoked_ends_its_streams() {
    let mut hall = Hall::new();
    let authorization = hall.supervisor.clone();
    let mut stream = hall.stream(&[("authorization", &*authorization)]);
    stream.wait_for("snapshot");
    hall.floor.show([(total("waiting"), count(2))]);
    stream.wait_for("delta");
    hall.tokens.add("another", &[Role::Admin]);
    tokens::revoke(&hall.tokens.path(), "eve").expect("a token");
    assert_eq!(stream.reason_of_its_end(), "revoked");
}

#[test]
fn codes_are_not_found_by_trying() {
    let hall = Hall::new();
    let (cookie, code) = hall.screen();
    let wrong = |n: u32| {
        if code.starts_with('A') {
            format!("B{n:05}")
        } else {
            format!("A{n:05}")
        }
    };
    for n in 0..5 {
        let reply = hall.confirm(&wrong(n), "x");
        assert_eq!((reply.status, &*reply.error_code()), (404, "not_found"));
    }
    let reply = hall.confirm(&code, "x");
    assert_eq!(
        (reply.status, &*reply.error_code()),
        (429, "rate_limited"),
        "even the right one"
    );
    assert_eq!(hall.me(&cookie)["state"], "waiting");
    // Others may still confirm.
    let other = format!("Bearer {}", hall.tokens.add("boss", &[Role::Admin]));
    let body = json!({"code": code, "board": "now", "name": "x"}).to_string();
    let confirm = || {
        let headers = [JSON, ("authorization", &*other)];
        hall.setup
            .client()
            .ask("POST /api/v1/devices/confirm", &headers, body.as_bytes())
    };
    // The file of tokens is read again within a second or two.
    let mut reply = confirm();
    while reply.status == 401 {
        reply = confirm();
    }
    assert_eq!(reply.status, 200, "{reply:?}");
    // Ten minutes later it is forgotten, and so are codes.
    let (cookie, late) = hall.screen();
    hall.pass(Duration::from_secs(601));
    assert_eq!(hall.me(&cookie), json!({"state": "none"}));
    assert_eq!(hall.confirm(&late, "late").status, 404);
    let (_, code) = hall.screen();
    assert_eq!(hall.confirm(&code, "y").status, 200);
}

#[test]
fn what_cannot_be_is_refused_and_the_code_stays_good() {
    let hall = Hall::new();
    hall.paired("taken");
    let (cookie, code) = hall.screen();
    let ask = |body: Value| hall.ask("POST /api/v1/devices/confirm", &body);
    let cases = [
        (
            json!({"code": code, "board": "nwo", "name": "a"}),
            400,
            "bad_parameter",
            "now",
        ),
        (
            json!({"code": code, "board": "now", "name": "a b"}),
            400,
            "bad_parameter",
            "letters",
        ),
        (
            json!({"code": code, "board": "now", "name": ""}),
            400,
            "bad_parameter",
            "letters",
        ),
        (
            json!({"code": code, "board": "now", "name": "a", "days": 91}),
            400,
            "bad_parameter",
            "90",
        ),
        (
            json!({"code": code, "board": "now", "name": "a", "days": 0}),
            400,
            "bad_parameter",
            "90",
        ),
        (
            json!({"code": code, "board": "now"}),
            400,
            "bad_parameter",
            "hall-2",
        ),
        (
            json!({"code": code, "board": "now", "name": "taken"}),
            409,
            "conflict",
            "another name",
        ),
    ];
    for (body, status, error, word) in cases {
        let reply = ask(body);
        assert_eq!(
            (reply.status, &*reply.error_code()),
            (status, error),
            "{reply:?}"
        );
        assert!(reply.body.contains(word), "{word}: {reply:?}");
    }
    assert_eq!(hall.me(&cookie)["state"], "waiting");
    assert_eq!(hall.confirm(&code, "free").status, 200);
    assert_eq!(
        hall.confirm(&code, "twice").status,
        404,
        "a code is good once"
    );
}

#[test]
fn one_address_may_have_64_screens_that_wait() {
    let hall = Hall::new();
    let mut client = hall.setup.client();
    let mut ask = || client.ask("POST /api/v1/devices/pair", &[JSON], b"{}");
    let codes: Vec<String> = (0..64)
        .map(|_| ask().json()["code"].as_str().expect("a code").to_owned())
        .collect();
    hall.pass(Duration::from_secs(100));
    let reply = ask();
    assert_eq!((reply.status, &*reply.error_code()), (429, "rate_limited"));
    assert!(reply.body.contains("at this address"), "{reply:?}");
    assert_eq!(reply.header("retry-after"), "500", "when a place is free");
    // A place is free again when one is let in, and all are when their codes are over.
    assert_eq!(hall.confirm(&codes[0], "one").status, 200);
    hall.screen();
    assert_eq!(ask().status, 429);
    hall.pass(Duration::from_secs(501));
    hall.screen();
}

#[test]
fn a_screen_that_asks_again_gives_up_the_place_that_it_had() {
    let hall = Hall::new();
    let mut client = hall.setup.client();
    let (first, code) = hall.screen();
    let mut cookie = first.clone();
    for _ in 0..70 {
        let headers = [JSON, ("cookie", &*cookie)];
        let reply = client.ask("POST /api/v1/devices/pair", &headers, b"{}");
        assert_eq!(reply.status, 200, "{reply:?}");
        let set = reply.header("set-cookie").split(';').next();
        cookie = set.expect("a cookie").to_owned();
    }
    assert_eq!(hall.me(&first), json!({"state": "none"}));
    assert_eq!(hall.confirm(&code, "old").status, 404);
    assert_eq!(hall.me(&cookie)["state"], "waiting");
}

#[test]
fn another_site_cannot_make_a_browser_pair() {
    let hall = Hall::new();
    let headers = [("content-type", "text/plain")];
    let reply = hall
        .setup
        .client()
        .ask("POST /api/v1/devices/pair", &headers, b"{}");
    assert_eq!(reply.status, 415, "{reply:?}");
}

#[test]
fn a_file_of_devices_that_is_wrong_stops_the_start() {
    let hall = Hall::new();
    hall.paired("one");
    let good = std::fs::read_to_string(hall.file()).expect("a file");
    let hash = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08";
    let lines = [
        format!("two now 2027-01-01T00:00:00Z {hash} colour=red"),
        format!("one now 2027-01-01T00:00:00Z {hash}"),
        "two now never abc".to_owned(),
        format!("two now 2027-01-01T00:00:00Z {}", &hash[1..]),
        "two now".to_owned(),
    ];
    for line in lines {
        std::fs::write(hall.file(), format!("{good}{line}\n")).expect("a file");
        let error = devices::list(&hall.file()).expect_err(&line).to_string();
        assert!(error.contains("line 3 of the file of devices"), "{error}");
    }
}
