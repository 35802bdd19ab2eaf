//! Values of one row of a batch, by name of the column.

use std::sync::Arc;

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::TimestampMicrosecondType;

/// Reads the rows of a fact table. A column that is not there has no values.
pub(super) struct Rows<'a>(pub &'a RecordBatch);

impl Rows<'_> {
    /// A text.
    pub fn text(&self, name: &str, row: usize) -> Option<Arc<str>> {
        self.str(name, row).map(Arc::from)
    }

    /// A text, borrowed.
    pub fn str(&self, name: &str, row: usize) -> Option<&str> {
        let column = self.0.column_by_name(name)?.as_string_opt::<i32>()?;
        column.is_valid(row).then(|| column.value(row))
    }

    /// An instant in UTC microseconds.
    pub fn time(&self, name: &str, row: usize) -> Option<i64> {
        let column = self.0.column_by_name(name)?;
        let column = column.as_primitive_opt::<TimestampMicrosecondType>()?;
        column.is_valid(row).then(|| column.value(row))
    }

    /// A flag; NULL is no.
    pub fn flag(&self, name: &str, row: usize) -> bool {
        let column = self.0.column_by_name(name);
        let column = column.and_then(|c| c.as_boolean_opt());
        column.is_some_and(|c| c.is_valid(row) && c.value(row))
    }
}
