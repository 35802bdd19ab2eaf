//! Lines that were not accepted, kept byte for byte.

use std::{fmt::Write as _, sync::Arc};

use arrow::array::{
    Array, ArrayRef, Int64Array, RecordBatch, StringArray, StringBuilder, TimestampMicrosecondArray,
};
use events::{Text, UtcMicros};

use crate::{
    Error, Result,
    columns::{int, optional, text, time},
    rows::seq_value,
    tables::{self, QUARANTINE},
};

/// One rejected line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QuarantineRow {
    /// Whose contact centre.
    pub tenant_id: Text,
    /// The sender.
    pub source: Text,
    /// The file or stream it came in.
    pub file: Option<Text>,
    /// Line in the file, from 1.
    pub line: Option<i64>,
    /// When it was received.
    pub received_at: UtcMicros,
    /// Code, as `bad_json`.
    pub reason: Text,
    /// What is wrong and what to do, for people.
    pub detail: Text,
    /// The line itself. Text is stored as text, anything else as hexadecimal digits.
    pub raw: Vec<u8>,
}

pub(crate) fn quarantine_batch(rows: &[QuarantineRow], seq: u64) -> Result<RecordBatch> {
    let spec = tables::known(QUARANTINE);
    let texts = |get: fn(&QuarantineRow) -> &str| -> ArrayRef {
        Arc::new(StringArray::from_iter_values(rows.iter().map(get)))
    };
    let (raw, encoding) = raw_columns(rows);
    let received =
        TimestampMicrosecondArray::from_iter_values(rows.iter().map(|r| r.received_at.0));
    let columns: Vec<ArrayRef> = vec![
        texts(|r| &r.tenant_id),
        texts(|r| &r.source),
        Arc::new(StringArray::from_iter(
            rows.iter().map(|r| r.file.as_deref()),
        )),
        Arc::new(Int64Array::from_iter(rows.iter().map(|r| r.line))),
        Arc::new(received.with_timezone("UTC")),
        texts(|r| &r.reason),
        texts(|r| &r.detail),
        raw,
        encoding,
        Arc::new(Int64Array::from_value(seq_value(seq), rows.len())),
    ];
    RecordBatch::try_new(Arc::clone(&spec.schema), columns)
        .map_err(|e| Error::encoding(spec.name, e))
}

fn raw_columns(rows: &[QuarantineRow]) -> (ArrayRef, ArrayRef) {
    let mut raw = StringBuilder::new();
    let mut encoding = StringBuilder::new();
    for row in rows {
        match std::str::from_utf8(&row.raw) {
            Ok(text) => {
                raw.append_value(text);
                encoding.append_value("utf8");
            }
            Err(_) => {
                raw.append_value(hex(&row.raw));
                encoding.append_value("hex");
            }
        }
    }
    (Arc::new(raw.finish()), Arc::new(encoding.finish()))
}

/// The rows of a stored batch.
pub(crate) fn quarantine_rows(batch: &RecordBatch) -> Result<Vec<QuarantineRow>> {
    let texts = |name: &str| text(QUARANTINE, batch, name);
    let (tenant, source, file) = (texts("tenant_id")?, texts("source")?, texts("file")?);
    let (reason, detail, raw) = (texts("reason")?, texts("detail")?, texts("raw")?);
    let encoding = texts("raw_encoding")?;
    let line = int(QUARANTINE, batch, "line")?;
    let received = time(QUARANTINE, batch, "received_at")?;
    let row = |row: usize| QuarantineRow {
        tenant_id: tenant.value(row).into(),
        source: source.value(row).into(),
        file: optional(file, row).map(Text::from),
        line: line.is_valid(row).then(|| line.value(row)),
        received_at: UtcMicros(received.value(row)),
        reason: reason.value(row).into(),
        detail: detail.value(row).into(),
        raw: match encoding.value(row) {
            "hex" => unhex(raw.value(row)),
            _ => raw.value(row).as_bytes().to_vec(),
        },
    };
    Ok((0..batch.num_rows()).map(row).collect())
}

fn unhex(digits: &str) -> Vec<u8> {
    let value = |digit: u8| (digit as char).to_digit(16).unwrap_or_default() as u8;
    digits
        .as_bytes()
        .chunks_exact(2)
        .map(|pair| value(pair[0]) << 4 | value(pair[1]))
        .collect()
}

/// Lower-case hexadecimal digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes
        .iter()
        .fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
            write!(text, "{byte:02x}").expect("writing to a string does not fail");
            text
        })
}
