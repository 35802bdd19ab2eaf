//! Roles against routes: what the table says is what happens (T14).

use std::path::PathBuf;

use server::{
    access::{Right, Role},
    routes,
    tokens::{self, NewToken},
};
use tempfile::TempDir;

use crate::{
    client::{ARROW, Client, JSON, NDJSON, Reply},
    fake::{NOW, event, start_with},
};

/// A token file that is made as `callgauge token` makes it.
pub struct TokenFile(TempDir);

impl TokenFile {
    pub fn new() -> Self {
        TokenFile(TempDir::new().expect("a folder"))
    }

    pub fn path(&self) -> PathBuf {
        self.0.path().join("tokens")
    }

    pub fn add(&self, name: &str, roles: &[Role]) -> String {
        self.add_for(name, roles, &[])
    }

    /// Another token for a name that had one before.
    pub fn add_again(&self, name: &str, roles: &[Role]) -> String {
        self.make(name, roles, &[], [1; 32])
    }

    pub fn add_for(&self, name: &str, roles: &[Role], sources: &[String]) -> String {
        self.make(name, roles, sources, [0; 32])
    }

    fn make(&self, name: &str, roles: &[Role], sources: &[String], mut secret: [u8; 32]) -> String {
        // Another one for each name is random enough here.
        for (byte, of) in secret.iter_mut().zip(name.bytes()) {
            *byte = of;
        }
        let new = NewToken {
            name,
            roles,
            sources,
            expires: None,
            created: NOW,
            secret,
        };
        tokens::create(&self.path(), &new).expect("a token")
    }
}

/// One way to ask a route, and the right that it takes; none where anybody may.
struct Way {
    line: String,
    media: Option<(&'static str, &'static str)>,
    body: String,
    rights: Vec<Right>,
}

fn ways() -> Vec<Way> {
    let mut ways = Vec::new();
    for route in routes() {
        let path = route.path.replace("{kpi}", "offered").replace("{id}", "1");
        let line = format!("{} {path}", route.method);
        let way = |media, body: &str, rights: &[Right]| Way {
            line: line.clone(),
            media,
            body: body.to_owned(),
            rights: rights.to_vec(),
        };
        match route.path {
            "/api/v1/events" => {
                ways.push(way(Some(NDJSON), &event("a"), &[Right::Ingest]));
                ways.push(way(Some(JSON), "[]", &[Right::Ingest]));
                ways.push(way(Some(ARROW), "no arrow", &[Right::IngestArrow]));
            }
            "/api/v1/sql" => {
                ways.push(way(Some(JSON), r#"{"sql":"SELECT 1"}"#, route.rights));
            }
            // Of a board that is not there: a stream would have no end.
            "/api/v1/live/stream" => ways.push(Way {
                line: format!("{line}?board=none"),
                ..way(None, "", route.rights)
            }),
            _ => ways.push(way(None, "", route.rights)),
        }
    }
    ways
}

fn ask(client: &mut Client, way: &Way, token: Option<&str>) -> Reply {
    let authorization = token.map(|token| format!("Bearer {token}"));
    let mut headers: Vec<(&str, &str)> = way.media.into_iter().collect();
    headers.extend(
        authorization
            .as_deref()
            .map(|value| ("authorization", value)),
    );
    client.ask(&way.line, &headers, way.body.as_bytes())
}

#[test]
fn every_role_may_do_what_the_table_says_and_nothing_else() {
    let file = TokenFile::new();
    let tokens = Role::ALL.map(|role| (role, file.add(role.as_str(), &[role])));
    let setup = start_with(|settings| settings.token_file = Some(file.path()));
    let (mut allowed, mut denied) = (0, 0);
    for way in ways() {
        let is_open = way.rights.is_empty();
        let reply = ask(&mut setup.client(), &way, None);
        assert_eq!(reply.status == 401, !is_open, "{}: {reply:?}", way.line);
        let reply = ask(&mut setup.client(), &way, Some("cg_nobody"));
        assert_eq!(reply.status == 401, !is_open, "{}: {reply:?}", way.line);
        for (role, token) in &tokens {
            let may = is_open || way.rights.iter().any(|right| role.rights().contains(right));
            let reply = ask(&mut setup.client(), &way, Some(token));
            let what = format!("{} {role:?}: {reply:?}", way.line);
            match may {
                true => {
                    assert!(![401, 403, 405].contains(&reply.status), "{what}");
                    allowed += 1;
                }
                false => {
                    assert_eq!(
                        (reply.status, &*reply.error_code()),
                        (403, "forbidden"),
                        "{what}"
                    );
                    denied += 1;
                }
            }
        }
    }
    assert!(allowed > 30 && denied > 30, "{allowed} {denied}");
}

#[test]
fn without_a_token_file_this_machine_may_do_everything() {
    let setup = start_with(|_| {});
    for way in ways() {
        let reply = ask(&mut setup.client(), &way, None);
        assert!(
            ![401, 403].contains(&reply.status),
            "{}: {reply:?}",
            way.line
        );
    }
}

#[test]
fn a_token_may_be_good_for_some_sources_only() {
    let file = TokenFile::new();
    let sources = ["pbx".to_owned(), "other".to_owned()];
    let narrow = file.add_for("narrow", &[Role::Ingest], &sources[1..]);
    let wide = file.add_for("wide", &[Role::Ingest], &sources);
    let real = crate::real::start_empty(|settings| settings.token_file = Some(file.path()));
    let post = |token: &str| {
        let authorization = format!("Bearer {token}");
        let headers = [NDJSON, ("authorization", &*authorization)];
        real.client().post(&headers, event("a"))
    };
    let reply = post(&narrow);
    assert_eq!(reply.status, 422, "{reply:?}");
    assert_eq!(reply.json()["errors"][0]["code"], "forbidden_source");
    let reply = post(&wide);
    assert_eq!(
        (reply.status, &reply.json()["accepted"]),
        (200, &1.into()),
        "{reply:?}"
    );
}
