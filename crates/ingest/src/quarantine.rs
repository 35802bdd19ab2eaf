//! Rejected lines, kept so that they can be sent again once the reason is gone.

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::Int64Type;
use events::{Reject, RejectCode, Text};
use hashbrown::HashSet;
use store::{QUARANTINE, QuarantineRow, Store};

/// The quarantine rows that a store has, to add none of them again.
#[derive(Debug, Default)]
pub(crate) struct Quarantine {
    /// Loaded when the first line is rejected: most imports have none.
    known: Option<HashSet<[u8; 16]>>,
}

impl Quarantine {
    /// Is this row not in the store, nor was it asked about before?
    pub fn is_new(&mut self, store: &Store, row: &QuarantineRow) -> store::Result<bool> {
        let file = row.file.as_deref().unwrap_or("");
        let key = key(file, row.line, &row.reason, &stored_raw(&row.raw));
        Ok(self.known(store)?.insert(key))
    }

    /// As [`Quarantine::is_new`], for a line that comes without the name of its file.
    pub fn is_new_line(
        &mut self,
        store: &Store,
        line: u64,
        reason: RejectCode,
        raw: &[u8],
    ) -> store::Result<bool> {
        let key = key(
            "",
            i64::try_from(line).ok(),
            reason.as_str(),
            &stored_raw(raw),
        );
        Ok(self.known(store)?.insert(key))
    }

    fn known(&mut self, store: &Store) -> store::Result<&mut HashSet<[u8; 16]>> {
        match &mut self.known {
            Some(known) => Ok(known),
            unknown => Ok(unknown.insert(load(store)?)),
        }
    }

    /// Forgets rows that were handed out but not committed.
    pub fn forget(&mut self) {
        self.known = None;
    }
}

/// What a quarantine row says about a finding.
pub(crate) fn detail(reject: &Reject) -> Text {
    match reject.field.as_str() {
        "" => reject.detail.as_str().into(),
        field => Text::from(format!("field '{field}' {}", reject.detail)),
    }
}

fn load(store: &Store) -> store::Result<HashSet<[u8; 16]>> {
    let version = store.version();
    let batches = match version.table(QUARANTINE) {
        Some(_) => store.read(&version, QUARANTINE)?,
        None => Vec::new(),
    };
    Ok(batches.iter().flat_map(keys).collect())
}

fn keys(batch: &RecordBatch) -> Vec<[u8; 16]> {
    let text = |name: &str| {
        batch
            .column_by_name(name)
            .and_then(|c| c.as_string_opt::<i32>())
    };
    let line = batch
        .column_by_name("line")
        .and_then(|c| c.as_primitive_opt::<Int64Type>());
    let columns = (text("file"), line, text("reason"), text("raw"));
    let (Some(files), Some(lines), Some(reasons), Some(raws)) = columns else {
        return Vec::new();
    };
    let value = |row: usize| {
        let file = if files.is_null(row) {
            ""
        } else {
            files.value(row)
        };
        let line = lines.is_valid(row).then(|| lines.value(row));
        key(file, line, reasons.value(row), raws.value(row))
    };
    (0..batch.num_rows()).map(value).collect()
}

fn key(file: &str, line: Option<i64>, reason: &str, raw: &str) -> [u8; 16] {
    let mut hasher = blake3::Hasher::new();
    for part in [file, reason, raw] {
        hasher.update(&(part.len() as u64).to_le_bytes());
        hasher.update(part.as_bytes());
    }
    hasher.update(&line.unwrap_or(0).to_le_bytes());
    let mut key = [0; 16];
    hasher.finalize_xof().fill(&mut key);
    key
}

/// The bytes as the store writes them: text, or hexadecimal digits.
fn stored_raw(raw: &[u8]) -> String {
    match std::str::from_utf8(raw) {
        Ok(text) => text.to_owned(),
        Err(_) => raw.iter().map(|byte| format!("{byte:02x}")).collect(),
    }
}
