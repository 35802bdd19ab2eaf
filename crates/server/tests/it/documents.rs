//! Documents that are made from the table of routes and of roles.

use std::{collections::BTreeSet, fs, path::PathBuf};

use serde_json::Value;

use crate::fake::start;

fn docs(name: &str) -> PathBuf {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    root.join("../../docs").join(name)
}

fn is_updating() -> bool {
    std::env::var_os("UPDATE").is_some()
}

#[test]
fn the_openapi_document_is_current() {
    let expected = server::openapi();
    if is_updating() {
        fs::write(docs("openapi.json"), &expected).expect("docs can be written");
    }
    let written = fs::read_to_string(docs("openapi.json")).unwrap_or_default();
    assert!(
        written == expected,
        "docs/openapi.json is stale: run UPDATE=1 cargo nextest run --workspace -E 'test(openapi)'"
    );
}

#[test]
fn the_page_about_http_has_the_table_of_roles() {
    let text = fs::read_to_string(docs("http.md")).expect("a page");
    let (begin, end) = ("<!-- roles -->\n", "<!-- end of roles -->");
    let (before, rest) = text.split_once(begin).expect("a mark before the table");
    let (_, after) = rest.split_once(end).expect("a mark after the table");
    let table = server::access::role_table();
    let current = format!("{before}{begin}{table}{end}{after}");
    if is_updating() {
        fs::write(docs("http.md"), &current).expect("docs can be written");
    }
    assert!(
        is_updating() || text == current,
        "docs/http.md is stale: run with UPDATE=1"
    );
}

#[test]
fn the_document_has_every_route_and_no_other() {
    let setup = start();
    let reply = setup.client().get("/api/v1/openapi.json");
    assert_eq!(reply.body, server::openapi());
    let document = reply.json();
    let mut described = BTreeSet::new();
    for (path, operations) in document["paths"].as_object().expect("paths") {
        for method in operations.as_object().expect("operations").keys() {
            described.insert((method.to_ascii_uppercase(), path.clone()));
        }
    }
    let routed = server::routes().map(|r| (r.method.to_owned(), r.path.to_owned()));
    assert_eq!(described, routed.collect());
    // The router has them, and with these methods only.
    for (method, path) in &described {
        let path = path.replace("{kpi}", "offered").replace("{id}", "1");
        for asked in ["GET", "POST", "DELETE"] {
            // A stream would have no end.
            let query = if path.ends_with("/stream") {
                "?board=none"
            } else {
                ""
            };
            let line = format!("{asked} {path}{query}");
            let reply = setup.client().ask(&line, &[], b"");
            let exists = described.contains(&(asked.to_owned(), pattern(&described, &path)));
            assert_eq!(
                reply.status == 405,
                !exists,
                "{asked} {path} {method}: {reply:?}"
            );
        }
    }
}

/// The path of the document that a path is of.
fn pattern(described: &BTreeSet<(String, String)>, path: &str) -> String {
    let fits = |pattern: &&String| pattern.replace("{kpi}", "offered").replace("{id}", "1") == path;
    let mut patterns = described.iter().map(|(_, pattern)| pattern);
    patterns.find(fits).expect("a path").clone()
}

#[test]
fn every_reference_of_the_document_leads_somewhere() {
    fn references(value: &Value, found: &mut Vec<String>) {
        match value {
            Value::Object(map) => {
                found.extend(map.get("$ref").and_then(Value::as_str).map(str::to_owned));
                map.values().for_each(|value| references(value, found));
            }
            Value::Array(items) => items.iter().for_each(|value| references(value, found)),
            _ => {}
        }
    }
    let document: Value = serde_json::from_str(&server::openapi()).expect("JSON");
    let mut found = Vec::new();
    references(&document, &mut found);
    assert!(found.len() > 20, "{found:?}");
    for reference in found {
        let pointer = reference.strip_prefix('#').expect("inside of the document");
        assert!(document.pointer(pointer).is_some(), "{reference}");
    }
}

#[test]
fn the_page_names_every_route_and_loads_nothing_from_elsewhere() {
    let setup = start();
    let reply = setup.client().get("/api");
    assert_eq!(reply.header("content-type"), "text/html; charset=utf-8");
    assert!(
        reply
            .header("content-security-policy")
            .starts_with("default-src 'none'")
    );
    for route in server::routes() {
        let heading = format!("<code>{} {}</code>", route.method, route.path);
        assert!(reply.body.contains(&heading), "{heading}");
    }
    assert!(!reply.body.contains("http://") && !reply.body.contains("https://"));
    assert!(!reply.body.contains("<script"));
    let style = setup.client().get("/api/style.css");
    assert_eq!(
        (style.status, style.header("content-type")),
        (200, "text/css; charset=utf-8")
    );
}
