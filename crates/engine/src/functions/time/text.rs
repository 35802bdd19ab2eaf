//! `to_char` and `to_date` that know PostgreSQL's patterns. What `to_char` writes by a pattern of
//! `strftime`, and what `to_date` reads without a pattern, is the built-in function's.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Date32Array, StringBuilder};
use arrow::compute::cast;
use arrow::datatypes::{DataType, FieldRef, TimeUnit, TimestampMicrosecondType};
use chrono::DateTime;
use datafusion::common::{DataFusionError, Result, ScalarValue, plan_err};
use datafusion::logical_expr::{
    ColumnarValue, Documentation, Expr, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF,
    ScalarUDFImpl, Signature, Volatility,
};

use super::pattern::{Pattern, Writer, unknown_in_data};
use super::{coerce_instant, instant_type, is_text, to_read_by};
use crate::error::EngineError;

const TO_CHAR: &str = "to_char";
const TO_DATE: &str = "to_date";
const DAY_MICROS: i64 = 86_400_000_000;

/// The built-in function, or one that reads PostgreSQL's patterns before it.
pub(in super::super) fn with_patterns(function: Arc<ScalarUDF>) -> Arc<ScalarUDF> {
    if !matches!(function.name(), TO_CHAR | TO_DATE) {
        return function;
    }
    let signature = Signature::user_defined(Volatility::Immutable);
    Arc::new(ScalarUDF::from(Patterned {
        function,
        signature,
    }))
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Patterned {
    function: Arc<ScalarUDF>,
    signature: Signature,
}

impl Patterned {
    fn to_char(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let written = match &args.args[1] {
            ColumnarValue::Scalar(pattern) => vec![pattern.try_as_str().flatten()],
            ColumnarValue::Array(patterns) => patterns.as_string::<i32>().iter().collect(),
        };
        let with_percent = |text: &Option<&str>| text.is_some_and(|text| text.contains('%'));
        let percents = written.iter().filter(|text| with_percent(text)).count();
        let patterns = written.iter().flatten().count();
        if percents == patterns {
            return self.function.invoke_with_args(args);
        }
        if percents > 0 {
            let text = "to_char: some patterns have a % and some have none";
            return Err(EngineError::BadValue(text.to_owned()).into());
        }
        let literal = matches!(args.args[1], ColumnarValue::Scalar(_));
        let constant = literal && matches!(args.args[0], ColumnarValue::Scalar(_));
        let rows = if constant { 1 } else { args.number_rows };
        let texts = char_texts(&args.args[0].to_array(rows)?, &written, literal)?;
        if constant {
            return Ok(ColumnarValue::Scalar(ScalarValue::try_from_array(
                &texts, 0,
            )?));
        }
        Ok(ColumnarValue::Array(texts))
    }

    fn to_date(args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let patterns = args.args[1..].iter().map(|text| to_read_by(text, TO_DATE));
        let patterns: Vec<Option<Pattern>> = patterns.collect::<Result<_>>()?;
        let patterns: Vec<Pattern> = patterns.into_iter().flatten().collect();
        if patterns.is_empty() {
            return Ok(ColumnarValue::Scalar(ScalarValue::Date32(None)));
        }
        let texts = args.args[0].to_array(args.number_rows)?;
        let days = texts.as_string::<i32>().iter();
        let days: Result<Date32Array> = days
            .map(|text| text.map(|text| day(text, &patterns)).transpose())
            .collect();
        Ok(ColumnarValue::Array(Arc::new(days?)))
    }
}

/// The first pattern that fits.
fn day(text: &str, patterns: &[Pattern]) -> Result<i32> {
    let mut read = patterns.iter().map(|pattern| pattern.read(text, TO_DATE));
    let first = read.next().unwrap_or_else(|| Err(too_far()));
    let micros = match first {
        Ok(micros) => micros,
        Err(error) => read.find_map(Result::ok).ok_or(error)?,
    };
    i32::try_from(micros.div_euclid(DAY_MICROS)).map_err(|_| too_far())
}

fn too_far() -> DataFusionError {
    EngineError::BadValue("the time is out of range".to_owned()).into()
}

/// The times as texts, by one pattern or by one for each row. `literal`: the statement has written
/// it, so that an error may show it.
fn char_texts(times: &ArrayRef, written: &[Option<&str>], literal: bool) -> Result<ArrayRef> {
    let times = instants(times)?;
    let times = times.as_primitive::<TimestampMicrosecondType>();
    let mut out = StringBuilder::new();
    let mut text = String::new();
    let mut last: Option<(&str, Writer)> = None;
    for (row, time) in times.iter().enumerate() {
        let pattern = written[if written.len() == 1 { 0 } else { row }];
        let (Some(time), Some(pattern)) = (time, pattern) else {
            out.append_null();
            continue;
        };
        let writer = match last.take() {
            Some((same, writer)) if same == pattern => writer,
            _ => Writer::of(pattern, TO_CHAR).map_err(|error| match literal {
                true => error,
                false => unknown_in_data(TO_CHAR),
            })?,
        };
        text.clear();
        let time = DateTime::from_timestamp_micros(time).ok_or_else(too_far)?;
        writer.write(time, &mut text);
        out.append_value(&text);
        last = Some((pattern, writer));
    }
    Ok(Arc::new(out.finish()))
}

/// A time of day is one of the first day.
fn instants(times: &ArrayRef) -> Result<ArrayRef> {
    let times = match times.data_type() {
        DataType::Time32(_) | DataType::Time64(_) => {
            let micros = cast(times, &DataType::Time64(TimeUnit::Microsecond))?;
            cast(&micros, &DataType::Int64)?
        }
        _ => Arc::clone(times),
    };
    Ok(cast(&times, &instant_type())?)
}

fn char_types(given: &[DataType]) -> Result<Vec<DataType>> {
    use DataType as T;
    let [time, pattern] = given else {
        return plan_err!("to_char takes (time, pattern)");
    };
    if !is_text(pattern) {
        return plan_err!("to_char takes (time, pattern)");
    }
    let time = match time {
        T::Time32(_) | T::Time64(_) => time.clone(),
        T::Timestamp(..) | T::Date32 | T::Date64 => time.clone(),
        T::Duration(_) | T::Interval(_) => {
            return plan_err!(
                "to_char writes times, not differences of times: less than a day is written by \
                 to_char(DATE '1970-01-01' + (b - a), 'HH24:MI:SS')"
            );
        }
        number if number.is_numeric() => {
            return plan_err!(
                "to_char writes times, not numbers: use round, or CAST(x AS VARCHAR)"
            );
        }
        other => coerce_instant(other, TO_CHAR)?,
    };
    Ok(vec![time, T::Utf8])
}

fn date_types(given: &[DataType]) -> Result<Vec<DataType>> {
    match given {
        [any] => Ok(vec![any.clone()]),
        [_, _, ..] if given.iter().all(is_text) => Ok(vec![DataType::Utf8; given.len()]),
        _ => plan_err!(
            "to_date reads texts by patterns: CAST(x AS DATE) gives the day of a time, and \
             to_date(CAST(x AS VARCHAR), 'YYYYMMDD') that of a number"
        ),
    }
}

/// Everything but patterns is the built-in function's.
impl ScalarUDFImpl for Patterned {
    fn name(&self) -> &str {
        self.function.name()
    }

    fn aliases(&self) -> &[String] {
        self.function.aliases()
    }

    fn schema_name(&self, args: &[Expr]) -> Result<String> {
        self.function.schema_name(args)
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, arg_types: &[DataType]) -> Result<DataType> {
        self.function.inner().return_type(arg_types)
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs) -> Result<FieldRef> {
        self.function.return_field_from_args(args)
    }

    fn coerce_types(&self, given: &[DataType]) -> Result<Vec<DataType>> {
        match self.name() {
            TO_CHAR => char_types(given),
            _ => date_types(given),
        }
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        match (self.name(), args.args.len()) {
            (TO_CHAR, 2) => self.to_char(args),
            (TO_DATE, 2..) => Self::to_date(args),
            _ => self.function.invoke_with_args(args),
        }
    }

    fn documentation(&self) -> Option<&Documentation> {
        self.function.documentation()
    }
}
