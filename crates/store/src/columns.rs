//! Columns of a batch by name and type.

use arrow::{
    array::TimestampMicrosecondArray,
    array::{Array, ArrayRef, AsArray, Int64Array, RecordBatch, StringArray},
    datatypes::{Int64Type, TimestampMicrosecondType},
};

use crate::{Error, Result};

fn column<'a>(table: &str, batch: &'a RecordBatch, name: &str) -> Result<&'a ArrayRef> {
    batch
        .column_by_name(name)
        .ok_or_else(|| Error::encoding(table, format!("no column {name}")))
}

/// A column of texts.
pub(crate) fn text<'a>(table: &str, batch: &'a RecordBatch, name: &str) -> Result<&'a StringArray> {
    let array = column(table, batch, name)?.as_string_opt();
    array.ok_or_else(|| Error::encoding(table, format!("column {name} is not text")))
}

/// A column of integers.
pub(crate) fn int<'a>(table: &str, batch: &'a RecordBatch, name: &str) -> Result<&'a Int64Array> {
    let array = column(table, batch, name)?.as_primitive_opt::<Int64Type>();
    array.ok_or_else(|| Error::encoding(table, format!("column {name} is not a number")))
}

/// A column of times.
pub(crate) fn time<'a>(
    table: &str,
    batch: &'a RecordBatch,
    name: &str,
) -> Result<&'a TimestampMicrosecondArray> {
    let array = column(table, batch, name)?.as_primitive_opt::<TimestampMicrosecondType>();
    array.ok_or_else(|| Error::encoding(table, format!("column {name} is not a time")))
}

/// The text in that row; `None` for NULL.
pub(crate) fn optional(array: &StringArray, row: usize) -> Option<&str> {
    array.is_valid(row).then(|| array.value(row))
}
