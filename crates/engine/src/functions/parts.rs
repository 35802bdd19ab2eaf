//! What ODBC and BI tools ask of times: `year(x)` to `second(x)`, `timestampdiff` and
//! `timestampadd`. All count in UTC.

use std::str::FromStr;
use std::sync::{Arc, LazyLock};

use arrow::array::{Array, AsArray, Int64Array, TimestampMicrosecondArray};
use arrow::compute::{DatePart, date_part};
use arrow::datatypes::{DataType, Int64Type, TimestampMicrosecondType};
use chrono::{DateTime, Datelike, Months, Utc};
use datafusion::common::{Result, ScalarValue, plan_err};
use datafusion::logical_expr::{
    ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};

use super::{coerce_instant, instant_type, literal_text};
use crate::error::EngineError;

/// The functions of this module.
pub(super) static ALL: LazyLock<Vec<Arc<ScalarUDF>>> = LazyLock::new(|| {
    let signature = || Signature::user_defined(Volatility::Immutable);
    let parts = PARTS.iter().enumerate().map(|(index, (_, aliases, _))| {
        Arc::new(ScalarUDF::from(Part {
            index,
            aliases: aliases.iter().map(|&a| a.to_owned()).collect(),
            signature: signature(),
        }))
    });
    let both = [
        ScalarUDF::from(Difference {
            signature: signature(),
        }),
        ScalarUDF::from(Sum {
            signature: signature(),
        }),
    ];
    parts.chain(both.map(Arc::new)).collect()
});

const DIFFERENCE: &str = "timestampdiff";
const SUM: &str = "timestampadd";

/// Does the function take a unit, written as a word, first?
pub(crate) fn takes_unit(name: &str) -> bool {
    name == DIFFERENCE || name == SUM
}

const PARTS: [(&str, &[&str], DatePart); 7] = [
    ("year", &[], DatePart::Year),
    ("quarter", &[], DatePart::Quarter),
    ("month", &[], DatePart::Month),
    ("day", &["dayofmonth"], DatePart::Day),
    ("hour", &[], DatePart::Hour),
    ("minute", &[], DatePart::Minute),
    ("second", &[], DatePart::Second),
];

/// `year(x)`: a part of a time or date, as Int32.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Part {
    /// Which of [`PARTS`].
    index: usize,
    aliases: Vec<String>,
    signature: Signature,
}

impl ScalarUDFImpl for Part {
    fn name(&self) -> &str {
        PARTS[self.index].0
    }

    fn aliases(&self) -> &[String] {
        &self.aliases
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, given: &[DataType]) -> Result<Vec<DataType>> {
        match given {
            [one] => Ok(vec![coerce_instant(one, self.name())?]),
            _ => plan_err!("{} takes one time", self.name()),
        }
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Int32)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let times = args.args[0].to_array(args.number_rows)?;
        let parts = date_part(times.as_ref(), PARTS[self.index].2)?;
        answer(parts, &args.args)
    }
}

/// A unit of time: so many microseconds, or so many months.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Unit {
    Micros(i64),
    Months(i64),
}

impl FromStr for Unit {
    type Err = EngineError;

    fn from_str(text: &str) -> Result<Unit, EngineError> {
        let word = text.trim().to_ascii_uppercase();
        let word = word.strip_prefix("SQL_TSI_").unwrap_or(&word);
        let second = 1_000_000;
        Ok(match word.strip_suffix('S').unwrap_or(word) {
            "MICROSECOND" => Unit::Micros(1),
            "MILLISECOND" => Unit::Micros(1_000),
            "SECOND" => Unit::Micros(second),
            "MINUTE" => Unit::Micros(60 * second),
            "HOUR" => Unit::Micros(3_600 * second),
            "DAY" => Unit::Micros(86_400 * second),
            "WEEK" => Unit::Micros(7 * 86_400 * second),
            "MONTH" => Unit::Months(1),
            "QUARTER" => Unit::Months(3),
            "YEAR" => Unit::Months(12),
            _ => {
                return Err(EngineError::refused(
                    format!("{text} is no unit of time"),
                    "write SECOND, MINUTE, HOUR, DAY, WEEK, MONTH, QUARTER or YEAR",
                ));
            }
        })
    }
}

fn time(micros: i64) -> Result<DateTime<Utc>> {
    DateTime::from_timestamp_micros(micros).ok_or_else(|| too_far().into())
}

fn too_far() -> EngineError {
    EngineError::BadValue("the time is out of range".to_owned())
}

impl Unit {
    /// Whole units from `from` to `to`, cut towards zero.
    fn between(self, from: i64, to: i64) -> Result<i64> {
        match self {
            Unit::Micros(length) => {
                let micros = to.checked_sub(from).ok_or_else(too_far)?;
                Ok(micros / length)
            }
            Unit::Months(length) => Ok(months_between(time(from)?, time(to)?) / length),
        }
    }

    /// The time `count` units later; a day that the month does not have is its last.
    fn after(self, count: i64, from: i64) -> Result<i64> {
        let length = match self {
            Unit::Micros(length) | Unit::Months(length) => length,
        };
        let all = count.checked_mul(length).ok_or_else(too_far)?;
        let later = match self {
            Unit::Micros(_) => from.checked_add(all),
            Unit::Months(_) => {
                let months = u32::try_from(all.unsigned_abs()).map_err(|_| too_far())?;
                let from = time(from)?;
                let later = if all < 0 {
                    from.checked_sub_months(Months::new(months))
                } else {
                    from.checked_add_months(Months::new(months))
                };
                later.map(|t| t.timestamp_micros())
            }
        };
        later.ok_or_else(|| too_far().into())
    }
}

/// A month has passed when day and time of day are reached again.
fn months_between(from: DateTime<Utc>, to: DateTime<Utc>) -> i64 {
    if to < from {
        return -months_between(to, from);
    }
    let months = |t: DateTime<Utc>| i64::from(t.year()) * 12 + i64::from(t.month0());
    let reached = (to.day(), to.time()) >= (from.day(), from.time());
    months(to) - months(from) - i64::from(!reached)
}

/// `timestampdiff(DAY, a, b)`: whole units from `a` to `b`.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Difference {
    signature: Signature,
}

impl ScalarUDFImpl for Difference {
    fn name(&self) -> &str {
        DIFFERENCE
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, given: &[DataType]) -> Result<Vec<DataType>> {
        match given {
            [unit, from, to] if unit.is_string() => Ok(vec![
                DataType::Utf8,
                coerce_instant(from, DIFFERENCE)?,
                coerce_instant(to, DIFFERENCE)?,
            ]),
            _ => plan_err!("{DIFFERENCE} takes (DAY, from, to)"),
        }
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Int64)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let unit: Unit = literal_text(&args.args[0], DIFFERENCE, "unit")?.parse()?;
        let [from, to] = [1, 2].map(|i| args.args[i].to_array(args.number_rows));
        let (from, to) = (from?, to?);
        let pairs = from
            .as_primitive::<TimestampMicrosecondType>()
            .iter()
            .zip(to.as_primitive::<TimestampMicrosecondType>());
        let counts: Int64Array = pairs
            .map(|(from, to)| match (from, to) {
                (Some(from), Some(to)) => unit.between(from, to).map(Some),
                _ => Ok(None),
            })
            .collect::<Result<_>>()?;
        answer(Arc::new(counts), &args.args)
    }
}

/// `timestampadd(DAY, n, t)`: `n` units after `t`.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Sum {
    signature: Signature,
}

impl ScalarUDFImpl for Sum {
    fn name(&self) -> &str {
        SUM
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, given: &[DataType]) -> Result<Vec<DataType>> {
        match given {
            [unit, count, from] if unit.is_string() && (count.is_numeric() || count.is_null()) => {
                let from = coerce_instant(from, SUM)?;
                Ok(vec![DataType::Utf8, DataType::Int64, from])
            }
            _ => plan_err!("{SUM} takes (DAY, number, time)"),
        }
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(instant_type())
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let unit: Unit = literal_text(&args.args[0], SUM, "unit")?.parse()?;
        let [count, from] = [1, 2].map(|i| args.args[i].to_array(args.number_rows));
        let (count, from) = (count?, from?);
        let pairs = count
            .as_primitive::<Int64Type>()
            .iter()
            .zip(from.as_primitive::<TimestampMicrosecondType>());
        let times: TimestampMicrosecondArray = pairs
            .map(|(count, from)| match (count, from) {
                (Some(count), Some(from)) => unit.after(count, from).map(Some),
                _ => Ok(None),
            })
            .collect::<Result<_>>()?;
        answer(Arc::new(times.with_timezone("UTC")), &args.args)
    }
}

/// One value when every argument is one, so that it counts as a constant.
fn answer(array: Arc<dyn Array>, args: &[ColumnarValue]) -> Result<ColumnarValue> {
    let constant = args.iter().all(|a| matches!(a, ColumnarValue::Scalar(_)));
    if constant && !array.is_empty() {
        return Ok(ColumnarValue::Scalar(ScalarValue::try_from_array(
            &array, 0,
        )?));
    }
    Ok(ColumnarValue::Array(array))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn micros(text: &str) -> i64 {
        DateTime::parse_from_rfc3339(text)
            .expect(text)
            .timestamp_micros()
    }

    #[test]
    fn whole_units_lie_between_two_times() {
        for (unit, from, to, wanted) in [
            ("DAY", "2026-01-01T12:00:00Z", "2026-01-03T11:59:59Z", 1),
            ("day", "2026-01-03T11:59:59Z", "2026-01-01T12:00:00Z", -1),
            (
                "SQL_TSI_MONTH",
                "2026-01-31T00:00:00Z",
                "2026-02-28T23:00:00Z",
                0,
            ),
            ("MONTH", "2026-01-31T00:00:00Z", "2026-03-31T00:00:00Z", 2),
            (
                "QUARTERS",
                "2025-01-01T00:00:00Z",
                "2026-01-01T00:00:00Z",
                4,
            ),
            ("YEAR", "2024-02-29T00:00:00Z", "2026-02-28T00:00:00Z", 1),
            ("MINUTE", "2026-01-01T00:00:00Z", "2026-01-01T01:00:59Z", 60),
        ] {
            let unit: Unit = unit.parse().expect(unit);
            let between = unit.between(micros(from), micros(to)).expect("in range");
            assert_eq!(between, wanted, "{unit:?} from {from} to {to}");
        }
    }

    #[test]
    fn months_end_at_their_last_day_and_nothing_overflows() {
        let month: Unit = "MONTH".parse().expect("a unit");
        let later = month.after(1, micros("2026-01-31T08:00:00Z"));
        assert_eq!(later.expect("in range"), micros("2026-02-28T08:00:00Z"));
        let earlier = month.after(-12, micros("2026-01-31T08:00:00Z"));
        assert_eq!(earlier.expect("in range"), micros("2025-01-31T08:00:00Z"));
        for unit in ["SECOND", "MONTH", "YEAR"] {
            let unit: Unit = unit.parse().expect(unit);
            assert!(unit.after(i64::MAX, 0).is_err());
            assert!(unit.after(i64::MIN, 0).is_err());
        }
        assert!(Unit::Micros(1).between(i64::MIN, i64::MAX).is_err());
        assert!("FORTNIGHT".parse::<Unit>().is_err());
    }
}
