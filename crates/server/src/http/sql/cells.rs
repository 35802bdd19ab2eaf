//! One value of an answer as text or JSON.

use ::arrow::{
    array::{Array, AsArray},
    datatypes::{
        DataType, Decimal128Type, Float32Type, Float64Type, Int64Type, TimeUnit,
        TimestampMicrosecondType,
    },
    util::display::array_value_to_string,
};
use events::UtcMicros;

use crate::error::ApiError;

/// What a column is, in words.
pub(super) fn type_word(data_type: &DataType) -> String {
    match data_type {
        DataType::Boolean => "boolean".to_owned(),
        DataType::Int8 | DataType::Int16 | DataType::Int32 | DataType::Int64 => {
            "integer".to_owned()
        }
        DataType::Float32 | DataType::Float64 => "number".to_owned(),
        DataType::Decimal128(precision, scale) => format!("decimal({precision},{scale})"),
        DataType::Utf8 => "text".to_owned(),
        DataType::Binary => "binary".to_owned(),
        DataType::Date32 => "date".to_owned(),
        DataType::Timestamp(..) => "timestamp".to_owned(),
        DataType::List(item) => format!("list of {}", type_word(item.data_type())),
        DataType::Null => "null".to_owned(),
        other => other.to_string(),
    }
}

/// A value that is not NULL, as text: times are RFC 3339 in UTC, bytes hexadecimal.
pub(super) fn plain(column: &dyn Array, row: usize) -> Result<String, ApiError> {
    Ok(match column.data_type() {
        DataType::Utf8 => column.as_string::<i32>().value(row).to_owned(),
        DataType::Timestamp(TimeUnit::Microsecond, _) => {
            let at = column.as_primitive::<TimestampMicrosecondType>().value(row);
            UtcMicros(at).to_string()
        }
        DataType::Binary => {
            let bytes = column.as_binary::<i32>().value(row);
            bytes.iter().map(|byte| format!("{byte:02x}")).collect()
        }
        DataType::Decimal128(..) => column.as_primitive::<Decimal128Type>().value_as_string(row),
        DataType::Float64 => column.as_primitive::<Float64Type>().value(row).to_string(),
        DataType::Float32 => column.as_primitive::<Float32Type>().value(row).to_string(),
        _ => array_value_to_string(column, row).map_err(|error| {
            tracing::error!(%error, "a value could not be written");
            ApiError::internal()
        })?,
    })
}

/// A value as JSON (H22): decimals are texts, so are whole numbers of 64 bits on request; what is
/// no number (NaN, infinite) is null.
pub(super) fn json(
    column: &dyn Array,
    row: usize,
    int64_as_text: bool,
    out: &mut Vec<u8>,
) -> Result<(), ApiError> {
    if column.is_null(row) {
        out.extend_from_slice(b"null");
        return Ok(());
    }
    match column.data_type() {
        DataType::Boolean | DataType::Int8 | DataType::Int16 | DataType::Int32 => {
            out.extend_from_slice(plain(column, row)?.as_bytes());
        }
        DataType::Int64 if !int64_as_text => {
            let value = column.as_primitive::<Int64Type>().value(row);
            out.extend_from_slice(value.to_string().as_bytes());
        }
        DataType::Float64 => value(&column.as_primitive::<Float64Type>().value(row), out),
        DataType::Float32 => value(&column.as_primitive::<Float32Type>().value(row), out),
        DataType::Utf8 => value(column.as_string::<i32>().value(row), out),
        DataType::List(_) => {
            let items = column.as_list::<i32>().value(row);
            out.push(b'[');
            for item in 0..items.len() {
                if item > 0 {
                    out.push(b',');
                }
                json(&items, item, int64_as_text, out)?;
            }
            out.push(b']');
        }
        _ => value(plain(column, row)?.as_str(), out),
    }
    Ok(())
}

fn value<T: serde::Serialize + ?Sized>(value: &T, out: &mut Vec<u8>) {
    serde_json::to_writer(out, value).expect("texts and numbers always serialise");
}
