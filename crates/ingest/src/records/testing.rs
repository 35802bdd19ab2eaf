//! What the tests of all formats of records need.

use events::{Event, Text, UtcMicros};
use serde_json::Value;

use super::{Meaning, Records, SourceSettings};

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
        Meaning::Nothing(kind) => vec![format!("nothing: {kind}")],
    }
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
