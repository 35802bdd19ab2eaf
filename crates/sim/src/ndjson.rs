//! Events as NDJSON: one line each, as importers read them.

use std::io::{self, Write};

use events::{CorrectionOp, DEFAULT_TENANT, Event, EventData, Text, UtcMicros};
use serde::Serialize;

/// The envelope on the wire; what the receiver sets is not in it.
#[derive(Serialize)]
struct Line<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    tenant_id: Option<&'a Text>,
    source: &'a Text,
    event_id: &'a Text,
    #[serde(skip_serializing_if = "Option::is_none")]
    source_seq: Option<i64>,
    event_type: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    schema_version: Option<i64>,
    occurred_at: UtcMicros,
    #[serde(skip_serializing_if = "Option::is_none")]
    correction_of: Option<&'a Text>,
    #[serde(skip_serializing_if = "Option::is_none")]
    correction_op: Option<CorrectionOp>,
    data: &'a EventData,
}

/// Writes an event and a line feed. Fields that the vocabulary does not know (`attributes`) are
/// not written: simulated events have none.
///
/// # Errors
/// Those of the writer.
pub fn write_ndjson(event: &Event, out: &mut impl Write) -> io::Result<()> {
    let line = Line {
        tenant_id: (event.tenant_id != DEFAULT_TENANT).then_some(&event.tenant_id),
        source: &event.source,
        event_id: &event.event_id,
        source_seq: event.source_seq,
        event_type: event.data.event_type(),
        schema_version: (event.schema_version != 1).then_some(event.schema_version),
        occurred_at: event.occurred_at,
        correction_of: event.correction.as_ref().map(|c| &c.of),
        correction_op: event.correction.as_ref().map(|c| c.op),
        data: &event.data,
    };
    serde_json::to_writer(&mut *out, &line)?;
    out.write_all(b"\n")
}
