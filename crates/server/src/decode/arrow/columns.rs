//! Which columns are read, and how large they can become as JSON.
//!
//! A small Arrow body can stand for a huge text: dictionaries and views name one value many times.
//! Only types are read whose text can be measured before it is written.

use std::ops::Range;

use arrow::{
    array::{Array, AsArray, OffsetSizeTrait, RecordBatch},
    datatypes::{DataType, Field, Schema},
};

use crate::{decode::BodyError, limits};

/// Bytes that a number, a time, or punctuation may take at most, about.
const PLAIN_BYTES: usize = 40;

/// Checks the types and names of all columns.
pub(super) fn check(schema: &Schema) -> Result<(), BodyError> {
    let mut columns = 0;
    schema
        .fields()
        .iter()
        .try_for_each(|field| check_field(field, 1, &mut columns))
}

fn check_field(field: &Field, depth: usize, columns: &mut usize) -> Result<(), BodyError> {
    *columns += 1;
    if *columns > limits::ARROW_COLUMNS_MAX || depth > limits::ARROW_NESTING_MAX {
        return Err(BodyError::TooLarge(format!(
            "the Arrow stream has more than {} columns, or they are nested more than {} deep",
            limits::ARROW_COLUMNS_MAX,
            limits::ARROW_NESTING_MAX
        )));
    }
    if field.name().len() > limits::ARROW_NAME_BYTES_MAX {
        return Err(BodyError::TooLarge(format!(
            "an Arrow column's name has more than {} bytes",
            limits::ARROW_NAME_BYTES_MAX
        )));
    }
    let mut inner = |field: &Field| check_field(field, depth + 1, columns);
    match field.data_type() {
        DataType::Struct(fields) => fields.iter().try_for_each(|field| inner(field)),
        DataType::List(item) | DataType::LargeList(item) | DataType::Map(item, _) => inner(item),
        other if is_scalar(other) => Ok(()),
        _ => Err(BodyError::Bad(
            format!("an Arrow column ({columns} in order) has a type that is not read"),
            "use text, whole numbers, floats, booleans, timestamps with zone, dates, decimals, \
             dictionaries of text, lists, maps and structs",
        )),
    }
}

fn is_scalar(data_type: &DataType) -> bool {
    match data_type {
        DataType::Dictionary(_, values) => is_text(values),
        DataType::Null | DataType::Boolean | DataType::Timestamp(..) => true,
        DataType::Date32 | DataType::Date64 => true,
        DataType::Decimal128(..) | DataType::Decimal256(..) => true,
        other => other.is_integer() || other.is_floating() || is_text(other),
    }
}

fn is_text(data_type: &DataType) -> bool {
    matches!(
        data_type,
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View
    )
}

/// Is this a text column, as it is or as a dictionary?
pub(super) fn holds_text(data_type: &DataType) -> bool {
    match data_type {
        DataType::Dictionary(_, values) => is_text(values),
        other => is_text(other),
    }
}

/// Bytes that the rows of a batch take as JSON, about, and never much less than they do.
pub(crate) fn json_bytes(batch: &RecordBatch) -> usize {
    let schema = batch.schema();
    let fields = schema.fields().iter().zip(batch.columns());
    fields.fold(0, |sum: usize, (field, column)| {
        sum.saturating_add(column_bytes(field.name(), column.as_ref()))
    })
}

fn column_bytes(name: &str, column: &dyn Array) -> usize {
    let each = name.len() + PLAIN_BYTES;
    each.saturating_mul(column.len())
        .saturating_add(content_bytes(column))
}

/// Bytes of the texts, and all of what lies inside. Of a slice, only what lies in the slice.
fn content_bytes(column: &dyn Array) -> usize {
    match column.data_type() {
        DataType::Utf8 => between(column.as_string::<i32>().value_offsets()).len(),
        DataType::LargeUtf8 => between(column.as_string::<i64>().value_offsets()).len(),
        DataType::Utf8View => {
            // The low half of a view is the length of its text.
            let lengths = column.as_string_view().views().iter();
            lengths.fold(0, |sum: usize, view| {
                sum.saturating_add(*view as u32 as usize)
            })
        }
        DataType::Dictionary(..) => dictionary_bytes(column),
        DataType::Struct(fields) => {
            let columns = fields.iter().zip(column.as_struct().columns());
            columns.fold(0, |sum: usize, (field, column)| {
                sum.saturating_add(column_bytes(field.name(), column.as_ref()))
            })
        }
        DataType::List(_) => {
            let list = column.as_list::<i32>();
            item_bytes(list.values().as_ref(), list.value_offsets())
        }
        DataType::LargeList(_) => {
            let list = column.as_list::<i64>();
            item_bytes(list.values().as_ref(), list.value_offsets())
        }
        DataType::Map(..) => {
            let map = column.as_map();
            item_bytes(map.entries(), map.value_offsets())
        }
        _ => 0,
    }
}

/// Bytes of the items that the offsets name.
fn item_bytes<O: OffsetSizeTrait>(items: &dyn Array, offsets: &[O]) -> usize {
    let named = between(offsets);
    column_bytes("", items.slice(named.start, named.len()).as_ref())
}

/// From the first offset to the last one; they never fall.
fn between<O: OffsetSizeTrait>(offsets: &[O]) -> Range<usize> {
    match offsets {
        [first, .., last] => first.as_usize()..last.as_usize(),
        _ => 0..0,
    }
}

/// The texts that the rows name, each as often as it is named.
fn dictionary_bytes(column: &dyn Array) -> usize {
    let dictionary = column.as_any_dictionary();
    let values = dictionary.values();
    if values.is_empty() {
        return 0;
    }
    let lengths: Vec<usize> = match values.data_type() {
        DataType::Utf8 => values.as_string::<i32>().iter().map(length).collect(),
        DataType::LargeUtf8 => values.as_string::<i64>().iter().map(length).collect(),
        _ => values.as_string_view().iter().map(length).collect(),
    };
    let keys = dictionary.normalized_keys();
    keys.iter()
        .fold(0, |sum: usize, key| sum.saturating_add(lengths[*key]))
}

fn length(text: Option<&str>) -> usize {
    text.map_or(0, str::len)
}
