//! The documents made from the vocabulary are those in `docs/`.

use std::path::Path;

use events::{Event, decode_own_line, schema};

/// Compares a file of `docs/` with what it must be; `UPDATE=1` writes it.
fn check_document(name: &str, expected: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../docs")
        .join(name);
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(&path, expected).expect("docs can be written");
    }
    let found = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        found == expected,
        "docs/{name} is stale: run UPDATE=1 cargo test -p events"
    );
}

/// One life of a call and of an order, as shown on the page.
fn examples() -> Vec<Event> {
    include_str!("examples.ndjson")
        .lines()
        .map(|line| decode_own_line(line.as_bytes()).unwrap_or_else(|e| panic!("{e}\n{line}")))
        .collect()
}

#[test]
fn the_json_schema_is_current() {
    check_document("events.schema.json", &schema::json_schema());
}

#[test]
fn the_page_about_events_is_current() {
    check_document("events.md", &schema::markdown(&examples()));
}

#[test]
fn the_examples_are_written_as_they_are_read() {
    for (event, line) in examples()
        .iter()
        .zip(include_str!("examples.ndjson").lines())
    {
        assert_eq!(event.to_json_line(), line);
    }
}
