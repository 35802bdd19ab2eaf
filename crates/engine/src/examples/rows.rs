//! Rows of an example as Arrow.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, BooleanArray, Decimal128Array, Int64Array, ListBuilder, RecordBatch, StringArray,
    StringBuilder, TimestampMicrosecondArray, new_null_array,
};
use arrow::datatypes::{DataType, Field, FieldRef, Schema, SchemaRef};
use kpi::{Cell, ColumnKind, ExampleRow, ModelSpec};

use crate::EngineError;
use crate::functions::instant_type;

/// Most rows of one example table.
const ROWS_MAX: u64 = 1_000_000;

/// The rows of one model, each as often as it says, all of one tenant.
///
/// A key of a fact table that the example leaves empty gets a value of its own in each row.
pub(super) fn batch(
    model: &ModelSpec,
    rows: &[ExampleRow],
    tenant: &str,
) -> Result<RecordBatch, EngineError> {
    if rows
        .iter()
        .fold(0_u64, |n, row| n.saturating_add(row.times))
        > ROWS_MAX
    {
        return Err(EngineError::Invalid(format!(
            "an example has more than {ROWS_MAX} rows"
        )));
    }
    let fact = facts::FactRows::TABLES
        .iter()
        .find(|t| t.name == model.name);
    let is_key = |column: &str| fact.is_some_and(|t| t.key.contains(&column));
    let repeated: Vec<&ExampleRow> = rows
        .iter()
        .flat_map(|row| (0..row.times).map(move |_| row))
        .collect();
    let schema = store::table_schema(&model.name).unwrap_or_else(|| schema_of(model));
    let mut columns = Vec::with_capacity(model.columns.len());
    for (index, column) in model.columns.iter().enumerate() {
        let cells = repeated
            .iter()
            .map(|row| row.cells.get(index).unwrap_or(&Cell::Null));
        let key = is_key(&column.name);
        let item = item_of(&schema, &column.name);
        columns.push((column.name.as_str(), array(column.kind, cells, key, item)));
    }
    let arrays = schema.fields().iter().map(|field| {
        let found = columns.iter().find(|(name, _)| name == field.name());
        match found {
            _ if field.name() == "tenant_id" => {
                Arc::new(StringArray::from(vec![tenant; repeated.len()]))
            }
            Some((_, array)) => Arc::clone(array),
            None if field.name() == "_seq" => {
                Arc::new(Int64Array::from(vec![1; repeated.len()])) as ArrayRef
            }
            None => new_null_array(field.data_type(), repeated.len()),
        }
    });
    let arrays = arrays.collect();
    RecordBatch::try_new(schema, arrays).map_err(|e| EngineError::Invalid(e.to_string()))
}

fn schema_of(model: &ModelSpec) -> SchemaRef {
    let field = |c: &kpi::ColumnSpec| Field::new(&c.name, type_of(c.kind), true);
    Arc::new(Schema::new(
        model.columns.iter().map(field).collect::<Vec<_>>(),
    ))
}

fn type_of(kind: ColumnKind) -> DataType {
    match kind {
        ColumnKind::Text => DataType::Utf8,
        ColumnKind::Int => DataType::Int64,
        ColumnKind::Bool => DataType::Boolean,
        ColumnKind::Time => instant_type(),
        ColumnKind::Decimal => DataType::Decimal128(18, 4),
        ColumnKind::Texts => DataType::new_list(DataType::Utf8, true),
    }
}

fn array<'a>(
    kind: ColumnKind,
    cells: impl Iterator<Item = &'a Cell>,
    is_key: bool,
    item: FieldRef,
) -> ArrayRef {
    match kind {
        ColumnKind::Text => {
            let text = |(row, cell): (usize, &Cell)| match cell {
                Cell::Text(text) if text.is_empty() && is_key => Some(format!("example-{row}")),
                Cell::Text(text) => Some(text.clone()),
                _ => None,
            };
            Arc::new(cells.enumerate().map(text).collect::<StringArray>())
        }
        ColumnKind::Int => {
            let int = |cell: &Cell| {
                if let Cell::Int(n) = cell {
                    Some(*n)
                } else {
                    None
                }
            };
            Arc::new(cells.map(int).collect::<Int64Array>())
        }
        ColumnKind::Bool => {
            let bool = |cell: &Cell| {
                if let Cell::Bool(b) = cell {
                    Some(*b)
                } else {
                    None
                }
            };
            Arc::new(cells.map(bool).collect::<BooleanArray>())
        }
        ColumnKind::Time => {
            let time = |cell: &Cell| {
                if let Cell::Time(t) = cell {
                    Some(t.0)
                } else {
                    None
                }
            };
            let times: TimestampMicrosecondArray = cells.map(time).collect();
            Arc::new(times.with_timezone("UTC"))
        }
        ColumnKind::Decimal => {
            let amount = |cell: &Cell| {
                if let Cell::Decimal(d) = cell {
                    Some(d.0)
                } else {
                    None
                }
            };
            let amounts: Decimal128Array = cells.map(amount).collect();
            Arc::new(amounts.with_data_type(DataType::Decimal128(18, 4)))
        }
        ColumnKind::Texts => texts(cells, item),
    }
}

/// The field of a list column's items.
fn item_of(schema: &Schema, column: &str) -> FieldRef {
    match schema.field_with_name(column).map(Field::data_type) {
        Ok(DataType::List(item)) => Arc::clone(item),
        _ => Arc::new(Field::new_list_field(DataType::Utf8, true)),
    }
}

fn texts<'a>(cells: impl Iterator<Item = &'a Cell>, item: FieldRef) -> ArrayRef {
    let mut builder = ListBuilder::new(StringBuilder::new()).with_field(item);
    for cell in cells {
        match cell {
            Cell::Texts(items) => builder.append_value(items.iter().map(Some)),
            _ => builder.append_null(),
        }
    }
    Arc::new(builder.finish())
}
