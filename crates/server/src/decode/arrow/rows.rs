//! Rows as JSON lines, handed on one by one.

use std::io::{self, Write};

use arrow::{
    array::{Array, AsArray, RecordBatch, StringArray},
    compute::cast,
    datatypes::DataType,
    json::LineDelimitedWriter,
};
use events::{Reject, RejectCode};
use serde_json::value::RawValue;

use super::{columns, damaged};
use crate::{
    decode::{BodyError, feed::Feed},
    limits,
};

/// Columns whose texts are JSON.
const JSON_COLUMNS: [&str; 2] = ["data", "attributes"];

/// The rows of a stream.
pub(super) struct Rows<'f, 'c> {
    feed: &'f mut Feed<'c>,
    /// Rows of the batches before.
    rows: u64,
    /// What may still be written.
    json_bytes_left: usize,
}

impl<'f, 'c> Rows<'f, 'c> {
    pub(super) fn new(feed: &'f mut Feed<'c>) -> Self {
        Rows::after(0, feed)
    }

    /// Rows are counted on from `rows`.
    pub(super) fn after(rows: u64, feed: &'f mut Feed<'c>) -> Self {
        Rows {
            feed,
            rows,
            json_bytes_left: limits::ARROW_JSON_BYTES_MAX,
        }
    }

    /// Hands on the rows of one batch.
    pub(super) fn take(&mut self, batch: &RecordBatch) -> Result<(), BodyError> {
        let bytes = columns::json_bytes(batch);
        self.json_bytes_left = self.json_bytes_left.checked_sub(bytes).ok_or_else(|| {
            BodyError::TooLarge(format!(
                "the rows of the Arrow stream take more than {} bytes as JSON",
                limits::ARROW_JSON_BYTES_MAX
            ))
        })?;
        let (plain, json_texts) = split_columns(batch)?;
        let mut sink = RowSink {
            feed: &mut *self.feed,
            number: self.rows,
            row: 0,
            line: Vec::new(),
            json_texts,
            refused: None,
        };
        let written = LineDelimitedWriter::new(&mut sink).write(&plain);
        match (sink.refused, written) {
            (Some(refused), _) => return Err(refused),
            (None, Err(_)) => return Err(damaged("a value cannot be written as JSON")),
            (None, Ok(())) => {}
        }
        self.rows += batch.num_rows() as u64;
        Ok(())
    }
}

type JsonTexts = Vec<(&'static str, StringArray)>;

/// Takes the texts that are JSON out of a batch.
fn split_columns(batch: &RecordBatch) -> Result<(RecordBatch, JsonTexts), BodyError> {
    let schema = batch.schema();
    let mut plain = Vec::new();
    let mut json_texts = Vec::new();
    for (index, field) in schema.fields().iter().enumerate() {
        let json = JSON_COLUMNS.iter().find(|name| *name == field.name());
        match json {
            Some(name) if columns::holds_text(field.data_type()) => {
                let texts = cast(batch.column(index), &DataType::Utf8)
                    .map_err(|_| damaged("a text cannot be read"))?;
                json_texts.push((*name, texts.as_string::<i32>().clone()));
            }
            _ => plain.push(index),
        }
    }
    let plain = batch
        .project(&plain)
        .map_err(|_| damaged("its columns contradict each other"))?;
    Ok((plain, json_texts))
}

/// Cuts what the JSON writer writes into lines: it escapes line ends inside of texts.
struct RowSink<'f, 'c> {
    feed: &'f mut Feed<'c>,
    number: u64,
    /// Row in the batch.
    row: usize,
    line: Vec<u8>,
    json_texts: JsonTexts,
    /// Why the rest is not read.
    refused: Option<BodyError>,
}

impl Write for RowSink<'_, '_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        for part in bytes.split_inclusive(|byte| *byte == b'\n') {
            match part.strip_suffix(b"\n") {
                None => self.line.extend_from_slice(part),
                Some(end) => {
                    self.line.extend_from_slice(end);
                    self.end_row().map_err(|refused| {
                        self.refused = Some(refused);
                        io::Error::other("refused")
                    })?;
                }
            }
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl RowSink<'_, '_> {
    fn end_row(&mut self) -> Result<(), BodyError> {
        let not_json = self.add_json_texts();
        self.number += 1;
        self.row += 1;
        let line = std::mem::take(&mut self.line);
        match not_json {
            None => self.feed.event(self.number, &line, line.len() as u64)?,
            Some(name) => {
                let reject = Reject::new(RejectCode::BadJson, name, "is a text that is not JSON");
                self.feed.refuse(self.number, &line, reject)?;
            }
        }
        self.line = line;
        self.line.clear();
        Ok(())
    }

    /// Puts the row's JSON texts into its object; gives the name of one that is no JSON.
    fn add_json_texts(&mut self) -> Option<&'static str> {
        for (name, texts) in &self.json_texts {
            if texts.is_null(self.row) {
                continue;
            }
            let Ok(json) = serde_json::from_str::<&RawValue>(texts.value(self.row)) else {
                return Some(*name);
            };
            self.line.pop();
            if self.line.len() > 1 {
                self.line.push(b',');
            }
            self.line
                .extend_from_slice(format!("\"{name}\":").as_bytes());
            self.line.extend_from_slice(json.get().as_bytes());
            self.line.push(b'}');
        }
        None
    }
}
