//! Small tables, column by column.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, BooleanArray, Float64Array, Int64Array, ListBuilder, RecordBatch, StringArray,
    StringBuilder, TimestampMicrosecondArray,
};
use arrow::datatypes::{Field, Schema};
use datafusion::catalog::TableProvider;
use datafusion::datasource::MemTable;
use events::UtcMicros;

use crate::EngineError;

/// Named columns of equal length.
#[derive(Default)]
pub(crate) struct Columns {
    fields: Vec<Field>,
    arrays: Vec<ArrayRef>,
}

impl Columns {
    /// Adds a column of texts.
    pub fn text(&mut self, name: &str, values: Vec<Option<String>>) {
        self.add(name, Arc::new(StringArray::from(values)));
    }

    /// Adds a column of whole numbers.
    pub fn int(&mut self, name: &str, values: Vec<Option<i64>>) {
        self.add(name, Arc::new(Int64Array::from(values)));
    }

    /// Adds a column of numbers.
    pub fn number(&mut self, name: &str, values: Vec<Option<f64>>) {
        self.add(name, Arc::new(Float64Array::from(values)));
    }

    /// Adds a column of flags.
    pub fn bool(&mut self, name: &str, values: Vec<Option<bool>>) {
        self.add(name, Arc::new(BooleanArray::from(values)));
    }

    /// Adds a column of instants.
    pub fn time(&mut self, name: &str, values: Vec<Option<UtcMicros>>) {
        let micros = values.into_iter().map(|t| t.map(|t| t.0));
        let array = micros
            .collect::<TimestampMicrosecondArray>()
            .with_timezone("UTC");
        self.add(name, Arc::new(array));
    }

    /// Adds a column of lists of texts.
    pub fn texts(&mut self, name: &str, values: Vec<Vec<String>>) {
        let mut builder = ListBuilder::new(StringBuilder::new());
        for list in values {
            builder.append_value(list.into_iter().map(Some));
        }
        self.add(name, Arc::new(builder.finish()));
    }

    fn add(&mut self, name: &str, array: ArrayRef) {
        self.fields
            .push(Field::new(name, array.data_type().clone(), true));
        self.arrays.push(array);
    }

    /// All of it as one batch.
    pub fn batch(self) -> Result<RecordBatch, EngineError> {
        RecordBatch::try_new(Arc::new(Schema::new(self.fields)), self.arrays)
            .map_err(|e| EngineError::Internal(e.to_string()))
    }

    /// All of it as a table.
    pub fn table(self) -> Result<Arc<dyn TableProvider>, EngineError> {
        let batch = self.batch()?;
        Ok(Arc::new(MemTable::try_new(
            batch.schema(),
            vec![vec![batch]],
        )?))
    }
}
