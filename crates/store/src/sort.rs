//! Order of rows, and the bytes that identify one.

use std::cmp::Ordering;

use arrow::{
    array::{ArrayRef, AsArray, RecordBatch, StringArray, UInt32Array},
    compute::take_record_batch,
    datatypes::{Int64Type, TimestampMicrosecondType},
};
use facts::table::{Cell, Row};

use crate::{Error, Result, tables::TableSpec};

/// A column that rows are sorted or identified by.
enum KeyColumn<'a> {
    Text(&'a StringArray),
    Number(&'a [i64]),
}

impl<'a> KeyColumn<'a> {
    fn new(spec: &TableSpec, batch: &'a RecordBatch, name: &str) -> Result<Self> {
        let column: Option<&ArrayRef> = batch.column_by_name(name);
        let known = column.and_then(|array| {
            if let Some(texts) = array.as_string_opt() {
                Some(KeyColumn::Text(texts))
            } else if let Some(numbers) = array.as_primitive_opt::<Int64Type>() {
                Some(KeyColumn::Number(numbers.values()))
            } else {
                let times = array.as_primitive_opt::<TimestampMicrosecondType>()?;
                Some(KeyColumn::Number(times.values()))
            }
        });
        known.ok_or_else(|| Error::encoding(spec.name, format!("column {name} cannot be a key")))
    }

    fn cmp(&self, a: usize, b: usize) -> Ordering {
        match self {
            KeyColumn::Text(texts) => texts.value(a).cmp(texts.value(b)),
            KeyColumn::Number(numbers) => numbers[a].cmp(&numbers[b]),
        }
    }

    /// Does every row have the same value?
    fn is_constant(&self, rows: usize) -> bool {
        (1..rows).all(|row| self.cmp(0, row).is_eq())
    }

    fn push_key(&self, row: usize, key: &mut Vec<u8>) {
        match self {
            KeyColumn::Text(texts) => push_text(key, texts.value(row)),
            KeyColumn::Number(numbers) => key.extend_from_slice(&numbers[row].to_le_bytes()),
        }
    }
}

fn push_text(key: &mut Vec<u8>, text: &str) {
    key.extend_from_slice(text.as_bytes());
    // Never in UTF-8, so that parts do not run into each other.
    key.push(0xFF);
}

/// The rows in the order of the table.
pub(crate) fn sorted(spec: &TableSpec, batch: &RecordBatch) -> Result<RecordBatch> {
    let rows = batch.num_rows();
    let mut columns = Vec::new();
    for name in &spec.sort {
        let column = KeyColumn::new(spec, batch, name)?;
        if !column.is_constant(rows) {
            columns.push(column);
        }
    }
    let compare = |a: u32, b: u32| {
        let each = columns.iter().map(|c| c.cmp(a as usize, b as usize));
        each.fold(Ordering::Equal, Ordering::then)
    };
    let mut order: Vec<u32> = (0..rows as u32).collect();
    if order.is_sorted_by(|a, b| compare(*a, *b).is_le()) {
        return Ok(batch.clone());
    }
    order.sort_by(|a, b| compare(*a, *b));
    take_record_batch(batch, &UInt32Array::from(order)).map_err(|e| Error::encoding(spec.name, e))
}

/// Reads the identity of rows: tenant and key columns.
pub(crate) struct KeyReader<'a> {
    columns: Vec<KeyColumn<'a>>,
}

impl<'a> KeyReader<'a> {
    pub fn new(spec: &TableSpec, batch: &'a RecordBatch) -> Result<Self> {
        let names = [&["tenant_id"], &spec.key[..]].concat();
        let columns = names.iter().map(|name| KeyColumn::new(spec, batch, name));
        Ok(KeyReader {
            columns: columns.collect::<Result<_>>()?,
        })
    }

    /// Writes the identity of a row into `key`, replacing what was there.
    pub fn read(&self, row: usize, key: &mut Vec<u8>) {
        key.clear();
        self.columns.iter().for_each(|c| c.push_key(row, key));
    }
}

/// Columns that [`KeyReader`] needs, with the time column.
pub(crate) fn key_columns(spec: &TableSpec) -> Vec<&'static str> {
    let mut names = vec!["tenant_id", spec.time];
    names.extend(spec.key.iter().filter(|k| **k != spec.time));
    names
}

/// Identity of a row (as [`KeyReader`] gives it) and its time, in UTC microseconds.
pub(crate) fn row_key<R: Row>(row: &R) -> (Vec<u8>, i64) {
    let mut cells = Vec::with_capacity(R::TABLE.columns.len());
    row.cells(&mut |cell| cells.push(cell));
    let cell = |name: &str| R::TABLE.column(name).map(|(at, _)| cells[at]);
    let mut key = Vec::new();
    for name in std::iter::once(&"tenant_id").chain(R::TABLE.key) {
        match cell(name) {
            Some(Cell::Text(text)) => push_text(&mut key, text.unwrap_or_default()),
            Some(Cell::Int(Some(number)) | Cell::Time(Some(number))) => {
                key.extend_from_slice(&number.to_le_bytes());
            }
            // The list of tables is checked against the types that a key can have.
            other => unreachable!("key column {name} of {} is {other:?}", R::TABLE.name),
        }
    }
    match cell(R::TABLE.time) {
        Some(Cell::Time(Some(time))) => (key, time),
        _ => (key, 0),
    }
}
