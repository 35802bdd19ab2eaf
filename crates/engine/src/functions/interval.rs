//! `INTERVAL '30 minutes' * n`, in both orders, and `INTERVAL '90 minutes' / n`, for any number.
//!
//! DataFusion multiplies intervals by whole numbers only; Superset and Grafana write
//! `INTERVAL '30 minutes' * FLOOR(...)`, which is a Float64. The difference of two instants, a
//! duration, is scaled in the same way and stays one.

use std::sync::{Arc, LazyLock};

use arrow::array::{AsArray, PrimitiveArray};
use arrow::compute::{CastOptions, cast_with_options};
use arrow::datatypes::{
    DataType, Float64Type, Int64Type, IntervalMonthDayNano, IntervalMonthDayNanoType, IntervalUnit,
};
use arrow::error::ArrowError;
use arrow::util::display::FormatOptions;
use datafusion::common::{Result, ScalarValue, plan_err};
use datafusion::logical_expr::{
    ColumnarValue, Expr, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};

use crate::error::EngineError;

/// `interval_times(interval, number)`, what the product becomes.
pub(super) static INTERVAL_TIMES: LazyLock<Arc<ScalarUDF>> = LazyLock::new(|| scaled(Sign::Times));

/// `interval_over(interval, number)`, what the quotient becomes.
pub(super) static INTERVAL_OVER: LazyLock<Arc<ScalarUDF>> = LazyLock::new(|| scaled(Sign::Over));

/// The names of the functions.
pub(super) const NAMES: [&str; 2] = [Sign::Times.name(), Sign::Over.name()];

fn scaled(sign: Sign) -> Arc<ScalarUDF> {
    let signature = Signature::user_defined(Volatility::Immutable);
    Arc::new(ScalarUDF::from(Scaled { sign, signature }))
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Sign {
    Times,
    Over,
}

impl Sign {
    const fn name(self) -> &'static str {
        match self {
            Sign::Times => "interval_times",
            Sign::Over => "interval_over",
        }
    }
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Scaled {
    sign: Sign,
    signature: Signature,
}

const INTERVAL: DataType = DataType::Interval(IntervalUnit::MonthDayNano);

/// What is out of range is an error, not NULL.
const STRICT: CastOptions<'static> = CastOptions {
    safe: false,
    format_options: FormatOptions::new(),
};

impl ScalarUDFImpl for Scaled {
    fn name(&self) -> &str {
        self.sign.name()
    }

    /// The column is named as it was written.
    fn schema_name(&self, args: &[Expr]) -> Result<String> {
        let sign = match self.sign {
            Sign::Times => " * ",
            Sign::Over => " / ",
        };
        Ok(args.iter().map(written).collect::<Vec<_>>().join(sign))
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, given: &[DataType]) -> Result<Vec<DataType>> {
        let (span, number) = match given {
            [DataType::Interval(_), n] => (INTERVAL, n),
            [DataType::Duration(unit), n] => (DataType::Duration(*unit), n),
            _ => return plan_err!("{} takes (interval, number)", self.name()),
        };
        match number {
            n if n.is_integer() => Ok(vec![span, DataType::Int64]),
            n if n.is_numeric() || n.is_null() => Ok(vec![span, DataType::Float64]),
            _ => plan_err!("{} takes (interval, number)", self.name()),
        }
    }

    fn return_type(&self, given: &[DataType]) -> Result<DataType> {
        Ok(match given.first() {
            Some(DataType::Duration(unit)) => DataType::Duration(*unit),
            _ => INTERVAL,
        })
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let arrays = ColumnarValue::values_to_arrays(&args.args)?;
        let intervals = cast_with_options(&arrays[0], &INTERVAL, &STRICT)?;
        let intervals = intervals.as_primitive::<IntervalMonthDayNanoType>().iter();
        let products: Result<Products> = match arrays[1].data_type() {
            DataType::Int64 => {
                let numbers = arrays[1].as_primitive::<Int64Type>().iter();
                let (product, zero) = match self.sign {
                    Sign::Times => (whole_times as fn(_, _) -> _, None),
                    Sign::Over => (whole_over as fn(_, _) -> _, Some(0)),
                };
                let pairs = intervals.zip(numbers);
                pairs.map(|pair| both(pair, zero, product)).collect()
            }
            _ => {
                let numbers = arrays[1].as_primitive::<Float64Type>().iter();
                let (product, zero) = match self.sign {
                    Sign::Times => (times as fn(_, _) -> _, None),
                    Sign::Over => (over as fn(_, _) -> _, Some(0.0)),
                };
                let pairs = intervals.zip(numbers);
                pairs.map(|pair| both(pair, zero, product)).collect()
            }
        };
        let products = cast_with_options(&products?, arrays[0].data_type(), &STRICT)?;
        Ok(ColumnarValue::Array(products))
    }
}

type Interval = IntervalMonthDayNano;
type Products = PrimitiveArray<IntervalMonthDayNanoType>;

/// `zero`: the number by which nothing can be divided.
fn both<N: PartialEq>(
    (interval, number): (Option<Interval>, Option<N>),
    zero: Option<N>,
    product: fn(Interval, N) -> Option<Interval>,
) -> Result<Option<Interval>> {
    let (Some(interval), Some(number)) = (interval, number) else {
        return Ok(None);
    };
    if zero.is_some_and(|zero| zero == number) {
        return Err(ArrowError::DivideByZero.into());
    }
    match product(interval, number) {
        Some(product) => Ok(Some(product)),
        None => Err(EngineError::BadValue("the interval is out of range".to_owned()).into()),
    }
}

fn whole_times(interval: Interval, n: i64) -> Option<Interval> {
    let part = |v: i32| i32::try_from(i64::from(v).checked_mul(n)?).ok();
    Some(Interval {
        months: part(interval.months)?,
        days: part(interval.days)?,
        nanoseconds: interval.nanoseconds.checked_mul(n)?,
    })
}

const DAY_NANOS: i64 = 86_400_000_000_000;

/// As in PostgreSQL: what is left of a month is counted in days of which it has 30, what is left
/// of a day in 24 hours.
fn times(interval: Interval, x: f64) -> Option<Interval> {
    if x.fract() == 0.0 && x.abs() < 9e15 {
        return whole_times(interval, x as i64);
    }
    parts(interval, |part| part * x)
}

/// As [`times`].
fn over(interval: Interval, x: f64) -> Option<Interval> {
    if x.fract() == 0.0 && x.abs() < 9e15 {
        return whole_over(interval, x as i64);
    }
    parts(interval, |part| part / x)
}

fn parts(interval: Interval, of: impl Fn(f64) -> f64) -> Option<Interval> {
    const DAY_SECONDS: f64 = 86_400.0;
    // A hair below a whole number is one: 11 months * 0.3 leave 9 days, not 8.999999999999986.
    let rounded = |x: f64| (x * 1e6).round() / 1e6;
    let months = of(f64::from(interval.months));
    let days = of(f64::from(interval.days));
    let of_month = rounded(months.fract() * 30.0);
    let seconds = rounded((days.fract() + of_month.fract()) * DAY_SECONDS);
    let full_days = (seconds / DAY_SECONDS).trunc();
    let days = days.trunc() + of_month.trunc() + full_days;
    let nanos = of(interval.nanoseconds as f64) + (seconds - full_days * DAY_SECONDS) * 1e9;
    let fits = |v: f64, most: f64| v.is_finite() && v.abs() < most;
    let in_range = fits(months, 2e9) && fits(days, 2e9) && fits(nanos, 9e18);
    in_range.then_some(Interval {
        months: months as i32,
        days: days as i32,
        nanoseconds: nanos.round() as i64,
    })
}

/// Exact to the nanosecond; `n` is not 0.
fn whole_over(interval: Interval, n: i64) -> Option<Interval> {
    let n = i128::from(n);
    let months = i128::from(interval.months);
    let days = i128::from(interval.days) + months % n * 30;
    let nanos = i128::from(interval.nanoseconds) + days % n * i128::from(DAY_NANOS);
    Some(Interval {
        months: i32::try_from(months / n).ok()?,
        days: i32::try_from(days / n).ok()?,
        nanoseconds: i64::try_from(nanos / n).ok()?,
    })
}

/// A literal as people write it; whatever else as columns are named.
fn written(expr: &Expr) -> String {
    match expr {
        Expr::Literal(ScalarValue::IntervalMonthDayNano(Some(interval)), _) => {
            format!("INTERVAL '{}'", interval_text(*interval))
        }
        Expr::Literal(ScalarValue::Int64(Some(n)), _) => n.to_string(),
        // Not as a whole number: two columns must not have one name.
        Expr::Literal(ScalarValue::Float64(Some(x)), _) => format!("{x:?}"),
        other => other.schema_name().to_string(),
    }
}

fn interval_text(interval: Interval) -> String {
    let Interval {
        months,
        days,
        nanoseconds,
    } = interval;
    let second = 1_000_000_000;
    let units = [
        (i64::from(months / 12), "year"),
        (i64::from(months % 12), "month"),
        (i64::from(days), "day"),
        (nanoseconds / (3_600 * second), "hour"),
        (nanoseconds / (60 * second) % 60, "minute"),
        (nanoseconds / second % 60, "second"),
        (nanoseconds % second, "nanosecond"),
    ];
    let all: Vec<String> = units
        .iter()
        .filter(|(n, _)| *n != 0)
        .map(|(n, unit)| format!("{n} {unit}{}", if *n == 1 { "" } else { "s" }))
        .collect();
    if all.is_empty() {
        return "0 seconds".to_owned();
    }
    all.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn interval(months: i32, days: i32, nanoseconds: i64) -> Interval {
        Interval {
            months,
            days,
            nanoseconds,
        }
    }

    #[test]
    fn fractions_go_to_the_smaller_unit() {
        assert_eq!(times(interval(1, 0, 0), 1.5), Some(interval(1, 15, 0)));
        assert_eq!(
            times(interval(0, 1, 0), 0.5),
            Some(interval(0, 0, 43_200_000_000_000))
        );
        assert_eq!(times(interval(11, 0, 0), 0.3), Some(interval(3, 9, 0)));
        assert_eq!(times(interval(-11, 0, 0), 0.3), Some(interval(-3, -9, 0)));
        assert_eq!(times(interval(0, 3, 0), 1.0 / 3.0), Some(interval(0, 1, 0)));
        assert_eq!(
            times(interval(1, 1, 0), 0.75),
            Some(interval(0, 23, 21_600_000_000_000))
        );
        let half_hour = interval(0, 0, 1_800_000_000_000);
        assert_eq!(times(half_hour, 981_911.0), whole_times(half_hour, 981_911));
        assert_eq!(
            times(half_hour, -2.0),
            Some(interval(0, 0, -3_600_000_000_000))
        );
    }

    #[test]
    fn what_division_leaves_of_a_unit_goes_to_the_smaller_one() {
        assert_eq!(whole_over(interval(3, 0, 0), 2), Some(interval(1, 15, 0)));
        let half_a_day = interval(0, 0, DAY_NANOS / 2);
        assert_eq!(whole_over(interval(0, 1, 0), 2), Some(half_a_day));
        assert_eq!(over(interval(0, 0, 5), 2.5), Some(interval(0, 0, 2)));
        assert_eq!(whole_over(interval(i32::MIN, 0, 0), -1), None);
        assert_eq!(over(interval(0, 0, 1), f64::NAN), None);
        let third = whole_over(interval(0, 0, i64::MAX), 3);
        assert_eq!(third, Some(interval(0, 0, i64::MAX / 3)), "exact");
    }

    #[test]
    fn intervals_are_named_as_they_are_written() {
        for (shown, text) in [
            (
                interval(14, 1, 1_800_000_000_000),
                "1 year 2 months 1 day 30 minutes",
            ),
            (
                interval(0, 0, 5_400_000_000_001),
                "1 hour 30 minutes 1 nanosecond",
            ),
            (interval(0, 0, 0), "0 seconds"),
        ] {
            assert_eq!(interval_text(shown), text);
        }
    }

    #[test]
    fn what_does_not_fit_is_no_interval() {
        assert_eq!(times(interval(0, 0, 1), f64::NAN), None);
        assert_eq!(times(interval(12, 0, 0), 1e12), None);
        assert_eq!(whole_times(interval(0, 0, i64::MAX), 2), None);
    }
}
