//! What the frames of the write-ahead log hold: text that a person can read.
//!
//! Events: eight bytes time of receipt (little endian, UTC microseconds), then one line of JSON per
//! event. Rejects: one line of JSON per rejected line.

use events::{Event, Text, UtcMicros, decode_own_line};
use serde::{Deserialize, Serialize};
use store::QuarantineRow;

/// A frame whose checksum is right and whose content is not.
#[derive(Debug, thiserror::Error)]
#[error("the write-ahead log holds what this program cannot read: {0}")]
pub struct PayloadError(String);

/// Begins the payload of an events frame.
pub(super) fn begin_events(out: &mut Vec<u8>, recorded_at: UtcMicros) {
    out.extend_from_slice(&recorded_at.0.to_le_bytes());
}

/// Reads the payload of an events frame: its time of receipt, and each event in its order.
pub(super) fn each_event(
    payload: &[u8],
    mut take: impl FnMut(Event),
) -> Result<UtcMicros, PayloadError> {
    let (time, lines) = payload
        .split_first_chunk::<8>()
        .ok_or_else(|| PayloadError("a frame of events without a time".to_owned()))?;
    let recorded_at = UtcMicros(i64::from_le_bytes(*time));
    // As text: ends of lines are found faster in it than byte by byte.
    let lines = std::str::from_utf8(lines).map_err(|e| PayloadError(e.to_string()))?;
    for line in lines.split('\n').filter(|line| !line.is_empty()) {
        let event = decode_own_line(line.as_bytes());
        let mut event = event.map_err(|e| PayloadError(e.to_string()))?;
        event.recorded_at = recorded_at;
        take(event);
    }
    Ok(recorded_at)
}

/// As [`each_event`], all of them.
pub(super) fn read_events(payload: &[u8]) -> Result<(UtcMicros, Vec<Event>), PayloadError> {
    let mut events = Vec::new();
    let recorded_at = each_event(payload, |event| events.push(event))?;
    Ok((recorded_at, events))
}

#[derive(Serialize, Deserialize)]
struct StoredReject {
    tenant_id: Text,
    source: Text,
    line: Option<i64>,
    file: Option<Text>,
    received_at: i64,
    reason: Text,
    detail: Text,
    /// Text, or the bytes if it is none.
    raw: Raw,
}

#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum Raw {
    Text(String),
    Bytes(Vec<u8>),
}

/// Adds a rejected line to the payload of a rejects frame.
pub(super) fn write_reject(out: &mut Vec<u8>, row: &QuarantineRow) {
    let raw = match std::str::from_utf8(&row.raw) {
        Ok(text) => Raw::Text(text.to_owned()),
        Err(_) => Raw::Bytes(row.raw.clone()),
    };
    let stored = StoredReject {
        tenant_id: row.tenant_id.clone(),
        source: row.source.clone(),
        line: row.line,
        file: row.file.clone(),
        received_at: row.received_at.0,
        reason: row.reason.clone(),
        detail: row.detail.clone(),
        raw,
    };
    serde_json::to_writer(&mut *out, &stored).expect("texts and numbers always serialise");
    out.push(b'\n');
}

/// Reads the payload of a rejects frame.
pub(super) fn read_rejects(payload: &[u8]) -> Result<Vec<QuarantineRow>, PayloadError> {
    let lines = payload
        .split(|b| *b == b'\n')
        .filter(|line| !line.is_empty());
    let rows = lines.map(|line| {
        let stored: StoredReject =
            serde_json::from_slice(line).map_err(|e| PayloadError(e.to_string()))?;
        Ok(QuarantineRow {
            tenant_id: stored.tenant_id,
            source: stored.source,
            line: stored.line,
            file: stored.file,
            received_at: UtcMicros(stored.received_at),
            reason: stored.reason,
            detail: stored.detail,
            raw: match stored.raw {
                Raw::Text(text) => text.into_bytes(),
                Raw::Bytes(bytes) => bytes,
            },
        })
    });
    rows.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rejected_line_of_any_bytes_comes_back() {
        for raw in [&b"{\"a\": 1"[..], b"\xff\xfe\x00", b""] {
            let row = QuarantineRow {
                tenant_id: "default".into(),
                source: "pbx".into(),
                line: Some(7),
                file: None,
                received_at: UtcMicros(5),
                reason: "bad_json".into(),
                detail: "it ends".into(),
                raw: raw.to_vec(),
            };
            let mut payload = Vec::new();
            write_reject(&mut payload, &row);
            assert_eq!(read_rejects(&payload).unwrap(), [row]);
        }
    }

    #[test]
    fn an_event_comes_back_with_the_time_of_its_frame() {
        let line = concat!(
            r#"{"tenant_id":"default","source":"pbx","event_id":"e1","#,
            r#""event_type":"interaction.started","occurred_at":1772413442000000,"#,
            r#""data":{"interaction_id":"c1","channel":"voice","direction":"inbound"}}"#
        );
        let mut payload = Vec::new();
        begin_events(&mut payload, UtcMicros(9));
        payload.extend_from_slice(line.as_bytes());
        payload.push(b'\n');
        let (at, events) = read_events(&payload).unwrap();
        assert_eq!((at, events.len()), (UtcMicros(9), 1));
        assert_eq!(events[0].recorded_at, UtcMicros(9));
        assert!(read_events(b"short").is_err());
        assert!(read_events(b"12345678{}\n").is_err());
        assert!(read_events(b"12345678\xff\n").is_err());
    }
}
