//! CSV as RFC 4180 has it, and safe to open in a spreadsheet (H23).

use ::arrow::{
    array::{Array, AsArray, RecordBatch},
    datatypes::{DataType, SchemaRef},
};

use super::{Writer, cells};
use crate::error::ApiError;

/// A text that begins so is read as a formula by spreadsheets.
const FORMULA: [char; 6] = ['=', '+', '-', '@', '\t', '\r'];

/// Writes a line of names, then a line a row. NULL is nothing, an empty text is `""`.
pub(super) struct CsvRows {
    schema: SchemaRef,
    bom: bool,
}

impl CsvRows {
    pub(super) fn new(schema: SchemaRef, bom: bool) -> Self {
        CsvRows { schema, bom }
    }
}

impl Writer for CsvRows {
    fn begin(&mut self, out: &mut Vec<u8>) -> Result<(), ApiError> {
        if self.bom {
            out.extend_from_slice("\u{feff}".as_bytes());
        }
        for (number, field) in self.schema.fields().iter().enumerate() {
            separate(number, out);
            text(field.name(), out);
        }
        out.extend_from_slice(b"\r\n");
        Ok(())
    }

    fn rows(&mut self, batch: &RecordBatch, out: &mut Vec<u8>) -> Result<(), ApiError> {
        for row in 0..batch.num_rows() {
            for (number, column) in batch.columns().iter().enumerate() {
                separate(number, out);
                cell(column, row, out)?;
            }
            out.extend_from_slice(b"\r\n");
        }
        Ok(())
    }

    fn end(&mut self, _: bool, _: &mut Vec<u8>) -> Result<(), ApiError> {
        Ok(())
    }
}

fn separate(number: usize, out: &mut Vec<u8>) {
    if number > 0 {
        out.push(b',');
    }
}

fn cell(column: &dyn Array, row: usize, out: &mut Vec<u8>) -> Result<(), ApiError> {
    if column.is_null(row) {
        return Ok(());
    }
    match column.data_type() {
        DataType::Utf8 => text(column.as_string::<i32>().value(row), out),
        DataType::List(_) => {
            let mut json = Vec::new();
            cells::json(column, row, false, &mut json)?;
            quoted(&String::from_utf8_lossy(&json), out);
        }
        _ => out.extend_from_slice(cells::plain(column, row)?.as_bytes()),
    }
    Ok(())
}

/// A text; one that looks like a formula gets an apostrophe, which spreadsheets do not show.
fn text(text: &str, out: &mut Vec<u8>) {
    if text.starts_with(FORMULA) {
        return quoted(&format!("'{text}"), out);
    }
    let special = |c: char| matches!(c, '"' | ',' | '\r' | '\n');
    match text.is_empty() || text.contains(special) || text.trim() != text {
        true => quoted(text, out),
        false => out.extend_from_slice(text.as_bytes()),
    }
}

fn quoted(text: &str, out: &mut Vec<u8>) {
    out.push(b'"');
    out.extend_from_slice(text.replace('"', "\"\"").as_bytes());
    out.push(b'"');
}
