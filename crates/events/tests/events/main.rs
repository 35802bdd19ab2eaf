//! The vocabulary from outside: decoding, refusing, encoding, documenting.

mod documents;
mod lines;
mod rejects;

use events::{Event, Intake, Reject, UtcMicros, decode_line};

/// 2026-03-02T02:00:00Z, when every test line is received.
fn received() -> UtcMicros {
    UtcMicros::parse_rfc3339("2026-03-02T02:00:00Z").expect("a valid time")
}

fn intake() -> Intake {
    Intake {
        tenant_id: "default".into(),
        default_source: Some("test".into()),
        recorded_at: received(),
    }
}

fn decode(line: &str) -> Result<Event, Reject> {
    decode_line(line.as_bytes(), &intake())
}

/// A line of the type with this `data`.
fn line(event_type: &str, data: &str) -> String {
    format!(
        r#"{{"event_id":"e1","event_type":"{event_type}","occurred_at":"2026-03-02T01:14:02Z","data":{data}}}"#
    )
}
