//! The types in which results leave the engine (surfaces F51).
//!
//! Boolean, Int8 to Int64, Float32, Float64, Decimal128, Utf8, Binary, Date32,
//! Timestamp(us, 'UTC') and lists of these: what every client understands. Everything else has
//! one of them that it becomes; a value that does not fit is an error, never another value.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, Int64Array, ListArray, RecordBatch, RecordBatchOptions, StringArray,
    StringBuilder,
};
use arrow::compute::{CastOptions, can_cast_types, cast_with_options};
use arrow::datatypes::{
    DataType, Field, Int64Type, IntervalDayTimeType, IntervalMonthDayNanoType, IntervalUnit,
    IntervalYearMonthType, Schema, SchemaRef, TimeUnit,
};
use arrow::error::ArrowError;
use arrow::util::display::{ArrayFormatter, FormatOptions};

use crate::functions::instant_type;
use crate::views::INTERNAL;

type Result<T> = std::result::Result<T, ArrowError>;

/// The type that values of `from` have on the wire.
pub(crate) fn wire_type(from: &DataType) -> DataType {
    use DataType as D;
    match from {
        D::Boolean | D::Int8 | D::Int16 | D::Int32 | D::Int64 | D::Float32 | D::Float64 => {
            from.clone()
        }
        D::Decimal128(..) | D::Utf8 | D::Binary | D::Date32 => from.clone(),
        D::UInt8 | D::UInt16 | D::UInt32 | D::UInt64 | D::Duration(_) => D::Int64,
        D::Float16 => D::Float32,
        D::Decimal32(digits, scale) | D::Decimal64(digits, scale) => D::Decimal128(*digits, *scale),
        D::Decimal256(_, scale) => D::Decimal128(38, (*scale).min(38)),
        D::Timestamp(..) | D::Date64 => instant_type(),
        D::LargeBinary | D::BinaryView | D::FixedSizeBinary(_) => D::Binary,
        D::Dictionary(_, value) => wire_type(value),
        D::RunEndEncoded(_, values) => wire_type(values.data_type()),
        D::List(item)
        | D::LargeList(item)
        | D::ListView(item)
        | D::LargeListView(item)
        | D::FixedSizeList(item, _) => D::List(Arc::new(wire_field(item))),
        // Text in other forms, intervals, times of day, structs, maps, NULL without a type.
        _ => D::Utf8,
    }
}

/// A column as clients see it: internal marks are taken off, what tells about a KPI stays.
pub(crate) fn wire_field(field: &Field) -> Field {
    native_field(field).with_data_type(wire_type(field.data_type()))
}

fn native_field(field: &Field) -> Field {
    let mut metadata = field.metadata().clone();
    metadata.retain(|key, _| !key.starts_with(INTERNAL));
    field.clone().with_metadata(metadata)
}

/// The schema of a result, with what is to be told about the result as a whole.
pub(crate) fn wire_schema(schema: &Schema, about: HashMap<String, String>) -> SchemaRef {
    let fields: Vec<Field> = schema.fields().iter().map(|f| wire_field(f)).collect();
    Arc::new(Schema::new_with_metadata(fields, about))
}

/// As [`wire_schema`], in the engine's own types.
pub(crate) fn native_schema(schema: &Schema, about: HashMap<String, String>) -> SchemaRef {
    let fields: Vec<Field> = schema.fields().iter().map(|f| native_field(f)).collect();
    Arc::new(Schema::new_with_metadata(fields, about))
}

/// The rows in the types of `schema`.
///
/// # Errors
/// A value that does not fit into the type: an unsigned number above the greatest Int64.
pub(crate) fn wire_batch(schema: &SchemaRef, batch: &RecordBatch) -> Result<RecordBatch> {
    let columns = batch
        .columns()
        .iter()
        .zip(schema.fields())
        .map(|(column, field)| to_type(column, field.data_type()))
        .collect::<Result<Vec<_>>>()?;
    of_columns(schema, columns, batch.num_rows())
}

/// The rows as they are, under `schema`.
///
/// # Errors
/// Columns of other types.
pub(crate) fn native_batch(schema: &SchemaRef, batch: &RecordBatch) -> Result<RecordBatch> {
    of_columns(schema, batch.columns().to_vec(), batch.num_rows())
}

fn of_columns(schema: &SchemaRef, columns: Vec<ArrayRef>, rows: usize) -> Result<RecordBatch> {
    let options = RecordBatchOptions::new().with_row_count(Some(rows));
    RecordBatch::try_new_with_options(Arc::clone(schema), columns, &options)
}

/// The values in another type, as results and parameters need it.
///
/// # Errors
/// A value that does not fit.
pub(crate) fn to_type(column: &ArrayRef, to: &DataType) -> Result<ArrayRef> {
    use DataType as D;
    match (column.data_type(), to) {
        (from, to) if from == to => Ok(Arc::clone(column)),
        (D::Interval(unit), D::Utf8) => Ok(Arc::new(iso_intervals(column, *unit))),
        (D::Duration(unit), D::Int64) => milliseconds(column, *unit),
        (D::Dictionary(_, plain), to) => to_type(&checked_cast(column, &plain.clone())?, to),
        (D::RunEndEncoded(_, plain), to) => {
            to_type(&checked_cast(column, &plain.data_type().clone())?, to)
        }
        (
            D::List(of)
            | D::LargeList(of)
            | D::ListView(of)
            | D::LargeListView(of)
            | D::FixedSizeList(of, _),
            D::List(item),
        ) => {
            let plain = checked_cast(column, &D::List(Arc::clone(of)))?;
            let plain = plain.as_list::<i32>();
            let values = to_type(plain.values(), item.data_type())?;
            let (offsets, nulls) = (plain.offsets().clone(), plain.nulls().cloned());
            Ok(Arc::new(ListArray::try_new(
                Arc::clone(item),
                offsets,
                values,
                nulls,
            )?))
        }
        (from, D::Utf8) if !can_cast_types(from, to) => texts(column),
        _ => checked_cast(column, to),
    }
}

fn checked_cast(column: &ArrayRef, to: &DataType) -> Result<ArrayRef> {
    let options = CastOptions {
        safe: false,
        ..CastOptions::default()
    };
    cast_with_options(column, to, &options)
}

/// What has no other form, as people read it.
fn texts(column: &ArrayRef) -> Result<ArrayRef> {
    let options = FormatOptions::default();
    let formatter = ArrayFormatter::try_new(column, &options)?;
    let mut texts = StringBuilder::new();
    for row in 0..column.len() {
        if column.is_null(row) {
            texts.append_null();
        } else {
            texts.append_value(formatter.value(row).try_to_string()?);
        }
    }
    Ok(Arc::new(texts.finish()))
}

fn milliseconds(column: &ArrayRef, unit: TimeUnit) -> Result<ArrayRef> {
    let whole = checked_cast(column, &DataType::Int64)?;
    let whole = whole.as_primitive::<Int64Type>();
    let in_ms: Int64Array = match unit {
        TimeUnit::Second => whole.try_unary(|s| {
            let too_long = || ArrowError::ComputeError("a duration is too long".to_owned());
            s.checked_mul(1_000).ok_or_else(too_long)
        })?,
        TimeUnit::Millisecond => whole.clone(),
        TimeUnit::Microsecond => whole.unary(|us| us / 1_000),
        TimeUnit::Nanosecond => whole.unary(|ns| ns / 1_000_000),
    };
    Ok(Arc::new(in_ms))
}

fn iso_intervals(column: &ArrayRef, unit: IntervalUnit) -> StringArray {
    match unit {
        IntervalUnit::YearMonth => {
            let all = column.as_primitive::<IntervalYearMonthType>();
            all.iter()
                .map(|v| v.map(|months| iso_interval(months, 0, 0)))
                .collect()
        }
        IntervalUnit::DayTime => {
            let all = column.as_primitive::<IntervalDayTimeType>();
            let text = |of: arrow::datatypes::IntervalDayTime| {
                iso_interval(0, of.days, i64::from(of.milliseconds) * 1_000_000)
            };
            all.iter().map(|v| v.map(text)).collect()
        }
        IntervalUnit::MonthDayNano => {
            let all = column.as_primitive::<IntervalMonthDayNanoType>();
            let text = |of: arrow::datatypes::IntervalMonthDayNano| {
                iso_interval(of.months, of.days, of.nanoseconds)
            };
            all.iter().map(|v| v.map(text)).collect()
        }
    }
}

/// ISO 8601: `P1Y2M3DT4H5M6.789S`. Each part has a sign of its own, as the parts are added one
/// after the other.
fn iso_interval(months: i32, days: i32, nanos: i64) -> String {
    const SECOND: i64 = 1_000_000_000;
    let part = |n: i64, letter: char| match n {
        0 => String::new(),
        n => format!("{n}{letter}"),
    };
    let (years, months) = (i64::from(months / 12), i64::from(months % 12));
    let day = [
        part(years, 'Y'),
        part(months, 'M'),
        part(i64::from(days), 'D'),
    ]
    .concat();
    let (hours, minutes) = (nanos / (3_600 * SECOND), nanos / (60 * SECOND) % 60);
    let rest = nanos % (60 * SECOND);
    let seconds = match rest {
        0 => String::new(),
        rest => {
            let sign = if rest < 0 { "-" } else { "" };
            let (whole, fraction) = (rest.abs() / SECOND, rest.abs() % SECOND);
            let digits = format!("{sign}{whole}.{fraction:09}");
            format!("{}S", digits.trim_end_matches('0').trim_end_matches('.'))
        }
    };
    let time = [part(hours, 'H'), part(minutes, 'M'), seconds].concat();
    match (day.is_empty(), time.is_empty()) {
        (true, true) => "PT0S".to_owned(),
        (_, true) => format!("P{day}"),
        _ => format!("P{day}T{time}"),
    }
}

#[cfg(test)]
mod tests {
    use arrow::array::{
        DictionaryArray, DurationMicrosecondArray, LargeListArray, StringViewArray, UInt64Array,
    };
    use arrow::buffer::OffsetBuffer;
    use arrow::datatypes::Int32Type;

    use super::*;

    fn sent(column: impl Array + 'static) -> ArrayRef {
        let column: ArrayRef = Arc::new(column);
        to_type(&column, &wire_type(column.data_type())).expect("values that fit")
    }

    #[test]
    fn views_dictionaries_and_unsigned_numbers_become_plain() {
        let views = StringViewArray::from(vec![Some("a long enough text to need a view"), None]);
        assert_eq!(sent(views).data_type(), &DataType::Utf8);
        let words: DictionaryArray<Int32Type> =
            vec![Some("b"), None, Some("b")].into_iter().collect();
        assert_eq!(sent(words).as_string::<i32>().iter().flatten().count(), 2);
        assert_eq!(
            sent(UInt64Array::from(vec![3]))
                .as_primitive::<Int64Type>()
                .value(0),
            3
        );
    }

    #[test]
    fn a_number_above_the_greatest_int64_is_an_error_and_not_another_number() {
        let column: ArrayRef = Arc::new(UInt64Array::from(vec![u64::MAX]));
        assert!(to_type(&column, &DataType::Int64).is_err());
    }

    #[test]
    fn what_is_nested_becomes_plain_too() {
        let words = StringViewArray::from(vec!["x", "y", "z"]);
        let item = Arc::new(Field::new("item", DataType::Utf8View, false));
        let offsets = OffsetBuffer::from_lengths([1, 2]);
        let lists = LargeListArray::new(item, offsets, Arc::new(words), None);
        let sent = sent(lists);
        let plain = Field::new("item", DataType::Utf8, false);
        assert_eq!(sent.data_type(), &DataType::List(Arc::new(plain)));
        assert_eq!(
            sent.as_list::<i32>().value(1).as_string::<i32>().value(1),
            "z"
        );
    }

    #[test]
    fn a_duration_is_in_milliseconds_and_an_interval_in_iso_8601() {
        let sent = sent(DurationMicrosecondArray::from(vec![1_500_000]));
        assert_eq!(sent.as_primitive::<Int64Type>().value(0), 1_500);
        assert_eq!(
            iso_interval(14, 3, 14_706_789_000_000),
            "P1Y2M3DT4H5M6.789S"
        );
        assert_eq!(iso_interval(0, 0, 0), "PT0S");
        assert_eq!(iso_interval(-1, 0, -500_000_000), "P-1MT-0.5S");
        assert_eq!(iso_interval(0, 7, 0), "P7D");
    }

    #[test]
    fn a_naive_time_becomes_utc() {
        let naive = DataType::Timestamp(TimeUnit::Nanosecond, None);
        assert_eq!(wire_type(&naive), instant_type());
    }
}
