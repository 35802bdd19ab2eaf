//! Instants: `ms_between(a, b)` and a `to_timestamp` that knows PostgreSQL's patterns.

use std::sync::{Arc, LazyLock};

use arrow::array::{ArrayRef, AsArray, Int64Array, TimestampMicrosecondArray};
use arrow::compute::kernels::arity::binary;
use arrow::compute::kernels::cast_utils::string_to_datetime;
use arrow::datatypes::{DataType, Float64Type, Int64Type, TimestampMicrosecondType};
use chrono::Utc;
use chrono::format::{Parsed, StrftimeItems, parse};
use datafusion::common::{DataFusionError, Result, plan_err};
use datafusion::logical_expr::{
    ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};

use super::{coerce_instant, instant_type, literal_text};
use crate::error::EngineError;

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
        "to_timestamp"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, given: &[DataType]) -> Result<Vec<DataType>> {
        match given {
            [text, pattern] if (text.is_string() || text.is_null()) && pattern.is_string() => {
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
            Some(pattern) => Some(Pattern::of(literal_text(
                pattern,
                "to_timestamp",
                "pattern",
            )?)),
            None => None,
        };
        let values = args.args[0].to_array(args.number_rows)?;
        let times = instants(&values, pattern.as_ref())?.with_timezone("UTC");
        Ok(ColumnarValue::Array(Arc::new(times)))
    }
}

fn instants(values: &ArrayRef, pattern: Option<&Pattern>) -> Result<TimestampMicrosecondArray> {
    match values.data_type() {
        DataType::Utf8 => {
            let read = |text: &str| match pattern {
                Some(pattern) => read_pattern(text, pattern),
                None => read_text(text),
            };
            values
                .as_string::<i32>()
                .iter()
                .map(|v| v.map(read).transpose())
                .collect()
        }
        DataType::Int64 => {
            let read = |s: i64| s.checked_mul(1_000_000).ok_or_else(|| too_far(s as f64));
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
        Err(too_far(seconds))
    }
}

fn too_far(seconds: f64) -> DataFusionError {
    EngineError::Invalid(format!("to_timestamp: {seconds} seconds are out of range")).into()
}

fn unreadable(text: &str, why: &str) -> DataFusionError {
    let shown: String = text.chars().take(40).collect();
    EngineError::Invalid(format!("to_timestamp: `{shown}` {why}")).into()
}

fn read_text(text: &str) -> Result<i64> {
    let time = string_to_datetime(&Utc, text.trim())
        .map_err(|_| unreadable(text, "is not a time such as 2026-01-05 09:30:00"))?;
    Ok(time.timestamp_micros())
}

/// A pattern as it was written and as chrono reads it.
struct Pattern {
    written: String,
    items: String,
}

impl Pattern {
    fn of(written: &str) -> Pattern {
        Pattern {
            written: written.to_owned(),
            items: strftime(written),
        }
    }
}

fn read_pattern(text: &str, pattern: &Pattern) -> Result<i64> {
    let mut parsed = Parsed::new();
    let misfit = |_| {
        unreadable(
            text,
            &format!("does not fit the pattern {}", pattern.written),
        )
    };
    parse(&mut parsed, text.trim(), StrftimeItems::new(&pattern.items)).map_err(misfit)?;
    if parsed.hour_div_12().is_none() && parsed.hour_mod_12().is_none() {
        // A pattern of a date alone: its midnight.
        parsed
            .set_hour(0)
            .and_then(|()| parsed.set_minute(0))
            .map_err(misfit)?;
    }
    let time = match parsed.offset() {
        Some(_) => parsed.to_datetime().map(|t| t.timestamp_micros()),
        None => parsed
            .to_naive_datetime_with_offset(0)
            .map(|t| t.and_utc().timestamp_micros()),
    };
    time.map_err(misfit)
}

/// PostgreSQL's words and chrono's, longest first so that a prefix never wins.
const PATTERNS: [(&str, &str); 24] = [
    (".US", "%.f"),
    (".MS", "%.f"),
    ("TZH:TZM", "%:z"),
    ("TZHTZM", "%z"),
    ("MONTH", "%B"),
    ("YYYY", "%Y"),
    ("HH24", "%H"),
    ("HH12", "%I"),
    ("MON", "%b"),
    ("DDD", "%j"),
    ("DAY", "%A"),
    ("TZH", "%#z"),
    ("YY", "%y"),
    ("MM", "%m"),
    ("DD", "%d"),
    ("DY", "%a"),
    ("HH", "%I"),
    ("MI", "%M"),
    ("SS", "%S"),
    ("MS", "%3f"),
    ("US", "%6f"),
    ("AM", "%p"),
    ("PM", "%p"),
    ("FM", ""),
];

/// A PostgreSQL pattern as chrono writes it; one with a `%` is left as it is.
fn strftime(pattern: &str) -> String {
    if pattern.contains('%') {
        return pattern.to_owned();
    }
    let mut out = String::with_capacity(pattern.len() * 2);
    let mut rest = pattern;
    while let Some(first) = rest.chars().next() {
        if let Some(quoted) = rest.strip_prefix('"') {
            let end = quoted.find('"').unwrap_or(quoted.len());
            out.push_str(&quoted[..end]);
            rest = quoted.get(end + 1..).unwrap_or("");
            continue;
        }
        let starts_with = |word: &str| {
            rest.get(..word.len())
                .is_some_and(|head| head.eq_ignore_ascii_case(word))
        };
        match PATTERNS.iter().find(|(word, _)| starts_with(word)) {
            Some((word, item)) => {
                out.push_str(item);
                rest = &rest[word.len()..];
            }
            None => {
                out.push(first);
                rest = &rest[first.len_utf8()..];
            }
        }
    }
    out
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
    fn postgres_patterns_are_read() {
        for (text, pattern, wanted) in [
            (
                "2026-01-05 09:30:00.250000",
                "YYYY-MM-DD HH24:MI:SS.US",
                "2026-01-05T09:30:00.25Z",
            ),
            (
                "2026-01-05 09:30:00.2",
                "YYYY-MM-DD HH24:MI:SS.MS",
                "2026-01-05T09:30:00.2Z",
            ),
            ("2026-01-05", "YYYY-MM-DD", "2026-01-05T00:00:00Z"),
            (
                "05/01/2026 09:30 PM",
                "DD/MM/YYYY HH12:MI AM",
                "2026-01-05T21:30:00Z",
            ),
            (
                "2026-01-05T09:30:00+08:00",
                "YYYY-MM-DD\"T\"HH24:MI:SSTZH:TZM",
                "2026-01-05T01:30:00Z",
            ),
            (
                "05 Jan 2026 09:30",
                "DD Mon YYYY HH24:MI",
                "2026-01-05T09:30:00Z",
            ),
            ("20260105", "%Y%m%d", "2026-01-05T00:00:00Z"),
        ] {
            let got = read_pattern(text, &Pattern::of(pattern));
            assert_eq!(got.ok(), Some(micros(wanted)), "{text} as {pattern}");
        }
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
    fn unreadable_texts_and_patterns_are_errors_that_name_the_text() {
        for (text, pattern) in [
            ("soon", "YYYY"),
            ("2026-13-01", "YYYY-MM-DD"),
            ("x", "%Q"),
            ("", ""),
        ] {
            let error = read_pattern(text, &Pattern::of(pattern))
                .expect_err(text)
                .to_string();
            assert!(error.contains(text), "{error}");
        }
        assert!(read_text("tomorrow").is_err());
        assert!(seconds_to_micros(f64::INFINITY).is_err());
        assert!(seconds_to_micros(f64::NAN).is_err());
    }
}
