//! Instants: `ms_between(a, b)`, and `to_timestamp`, `to_char`, `to_date` that know PostgreSQL's
//! patterns.

mod pattern;
mod text;

use std::sync::{Arc, LazyLock};

use arrow::array::{ArrayRef, AsArray, Int64Array, TimestampMicrosecondArray};
use arrow::compute::kernels::arity::binary;
use arrow::compute::kernels::cast_utils::string_to_datetime;
use arrow::datatypes::{DataType, Float64Type, Int64Type, TimestampMicrosecondType};
use chrono::Utc;
use datafusion::common::{DataFusionError, Result, ScalarValue, plan_err};
use datafusion::logical_expr::{
    ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};

use super::{coerce_instant, instant_type, literal_text};
use crate::error::EngineError;
use pattern::{Pattern, misfit};

pub(super) use text::with_patterns;

/// `ms_between(a, b)`: `b - a` in whole milliseconds, cut towards zero.
pub(super) static MS_BETWEEN: LazyLock<Arc<ScalarUDF>> = LazyLock::new(|| {
    let signature = Signature::user_defined(Volatility::Immutable);
    Arc::new(ScalarUDF::from(MsBetween { signature }))
});

/// `to_timestamp(x [, pattern])`: an instant from a text, a time, a date or seconds since 1970.
///
/// A text without an offset is read as UTC. The pattern is PostgreSQL's (`YYYY-MM-DD HH24:MI`)
/// or, when it holds a `%`, that of `strftime`.
pub(super) static TO_TIMESTAMP: LazyLock<Arc<ScalarUDF>> = LazyLock::new(|| {
    let signature = Signature::user_defined(Volatility::Immutable);
    Arc::new(ScalarUDF::from(ToTimestamp { signature }))
});

const TO_TIMESTAMP_NAME: &str = "to_timestamp";

#[derive(Debug, PartialEq, Eq, Hash)]
struct MsBetween {
    signature: Signature,
}

impl ScalarUDFImpl for MsBetween {
    fn name(&self) -> &str {
        "ms_between"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, given: &[DataType]) -> Result<Vec<DataType>> {
        match given {
            [_, _] => given
                .iter()
                .map(|t| coerce_instant(t, "ms_between"))
                .collect(),
            _ => plan_err!("ms_between takes two times and gives the second minus the first"),
        }
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Int64)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let times = ColumnarValue::values_to_arrays(&args.args)?;
        let [from, to] = [0, 1].map(|i| times[i].as_primitive::<TimestampMicrosecondType>());
        let ms: Int64Array = binary(from, to, |from, to| to.saturating_sub(from) / 1_000)?;
        Ok(ColumnarValue::Array(Arc::new(ms)))
    }
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct ToTimestamp {
    signature: Signature,
}

impl ScalarUDFImpl for ToTimestamp {
    fn name(&self) -> &str {
        TO_TIMESTAMP_NAME
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, given: &[DataType]) -> Result<Vec<DataType>> {
        match given {
            [text, pattern] if is_text(text) && is_text(pattern) => {
                Ok(vec![DataType::Utf8, DataType::Utf8])
            }
            [text] if text.is_string() => Ok(vec![DataType::Utf8]),
            [number] if number.is_integer() => Ok(vec![DataType::Int64]),
            [number] if number.is_numeric() => Ok(vec![DataType::Float64]),
            [time] => Ok(vec![coerce_instant(time, "to_timestamp")?]),
            _ => plan_err!("to_timestamp takes (text, pattern), or one text, time or number"),
        }
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(instant_type())
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let pattern = match args.args.get(1) {
            Some(written) => match to_read_by(written, TO_TIMESTAMP_NAME)? {
                Some(pattern) => Some(pattern),
                None => return Ok(ColumnarValue::Scalar(no_instant())),
            },
            None => None,
        };
        let values = args.args[0].to_array(args.number_rows)?;
        let times = instants(&values, pattern.as_ref())?.with_timezone("UTC");
        Ok(ColumnarValue::Array(Arc::new(times)))
    }
}

/// A parameter, whose type is not known yet, is a text beside another one.
fn is_text(of: &DataType) -> bool {
    of.is_string() || of.is_null()
}

fn no_instant() -> ScalarValue {
    ScalarValue::TimestampMicrosecond(None, Some("UTC".into()))
}

/// The pattern of a call; `None`: it is NULL, and so is whatever it reads.
fn to_read_by(written: &ColumnarValue, function: &str) -> Result<Option<Pattern>> {
    if matches!(written, ColumnarValue::Scalar(scalar) if scalar.is_null()) {
        return Ok(None);
    }
    let written = literal_text(written, function, "pattern")?;
    Pattern::of(written, function).map(Some)
}

fn instants(values: &ArrayRef, pattern: Option<&Pattern>) -> Result<TimestampMicrosecondArray> {
    match values.data_type() {
        DataType::Utf8 => {
            let read = |text: &str| match pattern {
                Some(pattern) => pattern.read(text, TO_TIMESTAMP_NAME),
                None => read_text(text),
            };
            values
                .as_string::<i32>()
                .iter()
                .map(|v| v.map(read).transpose())
                .collect()
        }
        DataType::Int64 => {
            let read = |s: i64| s.checked_mul(1_000_000).ok_or_else(too_far);
            values
                .as_primitive::<Int64Type>()
                .iter()
                .map(|v| v.map(read).transpose())
                .collect()
        }
        DataType::Float64 => values
            .as_primitive::<Float64Type>()
            .iter()
            .map(|v| v.map(seconds_to_micros).transpose())
            .collect(),
        _ => Ok(values.as_primitive::<TimestampMicrosecondType>().clone()),
    }
}

fn seconds_to_micros(seconds: f64) -> Result<i64> {
    let micros = (seconds * 1e6).round();
    // Beyond 2^62 a Float64 no longer tells microseconds apart by far.
    if micros.abs() < 4.6e18 {
        Ok(micros as i64)
    } else {
        Err(too_far())
    }
}

/// As all errors of values it does not say which.
fn too_far() -> DataFusionError {
    EngineError::BadValue("to_timestamp: a number of seconds is out of range".to_owned()).into()
}

fn read_text(text: &str) -> Result<i64> {
    let why = "is not a time such as 2026-01-05 09:30:00";
    let time = string_to_datetime(&Utc, text.trim()).map_err(|_| misfit(why, TO_TIMESTAMP_NAME))?;
    Ok(time.timestamp_micros())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn micros(text: &str) -> i64 {
        chrono::DateTime::parse_from_rfc3339(text)
            .expect("a time")
            .timestamp_micros()
    }

    #[test]
    fn texts_without_an_offset_are_utc() {
        for (text, wanted) in [
            ("2026-01-05", "2026-01-05T00:00:00Z"),
            ("2026-01-05 09:30:00", "2026-01-05T09:30:00Z"),
            (
                "2026-01-05T09:30:00.123456+08:00",
                "2026-01-05T01:30:00.123456Z",
            ),
            ("9999-12-31T23:59:59Z", "9999-12-31T23:59:59Z"),
        ] {
            assert_eq!(read_text(text).ok(), Some(micros(wanted)), "{text}");
        }
    }

    #[test]
    fn what_is_no_time_is_an_error() {
        assert!(read_text("tomorrow").is_err());
        assert!(seconds_to_micros(f64::INFINITY).is_err());
        assert!(seconds_to_micros(f64::NAN).is_err());
    }
}
