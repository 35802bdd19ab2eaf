//! What the tests of all formats of records need.

use std::io::Cursor;

use events::{Event, Text, UtcMicros};
use serde_json::Value;
use store::Store;

use super::{Meaning, RecordLines, Records, SourceSettings};
use crate::{IdentityKey, ImportReport, ImportSettings, Importer, formats::Inputs};

pub(crate) fn settings() -> SourceSettings {
    SourceSettings {
        tenant_id: Text::new("default"),
        source: Text::new("test"),
        recorded_at: UtcMicros::parse_rfc3339("2026-06-01T00:00:00Z").expect("a time"),
    }
}

/// `event id time type data` per event.
pub(crate) fn tell(event: &Event) -> String {
    let data = serde_json::to_string(&event.data)
        .expect("JSON")
        .replace('"', "");
    let time = event.occurred_at.to_string();
    let of = event
        .correction
        .as_ref()
        .map(|c| format!(" instead of {}", c.of));
    let of = of.unwrap_or_default();
    format!(
        "{}{of} {} {} {data}",
        event.event_id,
        &time[11..],
        event.data.event_type()
    )
}

pub(crate) fn told(format: &mut impl Records, record: &Value) -> Vec<String> {
    match format.read(record).expect("a record that can be read") {
        Meaning::Events(events) => events.iter().map(tell).collect(),
        Meaning::WithGuesses { events, guesses } => {
            events.iter().chain(&guesses).map(tell).collect()
        }
        Meaning::Nothing(kind) => vec![format!("nothing: {kind}")],
    }
}

/// Imports records as a file at some time, as another command each time; with what was counted only.
pub(crate) fn import_at(
    store: &Store,
    format: impl Records,
    (now, text): (&str, &str),
) -> (ImportReport, Vec<(String, u64)>) {
    let stream = Cursor::new(text.to_owned().into_bytes());
    let inputs = Inputs::stream(Some("items.json".into()), stream);
    let mut lines = RecordLines::new(inputs, format);
    let now = UtcMicros::parse_rfc3339(now).expect("a time");
    let settings = ImportSettings::new(now, IdentityKey::new([1; 32]));
    let mut importer = Importer::new(store, settings).expect("a store");
    let report = importer
        .run(&mut lines, &|| std::time::Duration::ZERO, &mut |_| {})
        .expect("the import runs");
    let unmapped = lines.unmapped().iter();
    let unmapped = unmapped.map(|(kind, n, _)| (kind.to_string(), n)).collect();
    (report, unmapped)
}

/// Columns of the rows of a table of facts, one row a text, sorted; NULL is nothing.
pub(crate) fn facts_of(store: &Store, table: &str, columns: &[&str]) -> Vec<String> {
    let batches = store.read(&store.version(), table).expect("a table");
    let mut rows = Vec::new();
    for batch in batches {
        let cell = |name: &&str, row| {
            let column = batch.column_by_name(name).expect("a column");
            arrow::util::display::array_value_to_string(column, row).expect("a text")
        };
        for row in 0..batch.num_rows() {
            let cells: Vec<String> = columns.iter().map(|name| cell(name, row)).collect();
            rows.push(cells.join(" "));
        }
    }
    rows.sort();
    rows
}

pub(crate) fn rejected(format: &mut impl Records, record: &Value) -> String {
    format.read(record).expect_err("a finding").to_string()
}

pub(crate) fn shared(path: &str) -> Option<Value> {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let bytes = std::fs::read(root.join("../shared/data").join(path)).ok();
    if bytes.is_none() {
        println!("skipped: no ../shared");
    }
    serde_json::from_slice(&bytes?).ok()
}
