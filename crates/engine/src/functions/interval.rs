//! `INTERVAL '30 minutes' * n`, in both orders and for any number.
//!
//! DataFusion multiplies intervals by whole numbers only; Superset and Grafana write
//! `INTERVAL '30 minutes' * FLOOR(...)`, which is a Float64.

use std::sync::{Arc, LazyLock};

use arrow::array::{AsArray, PrimitiveArray};
use arrow::datatypes::{
    DataType, Float64Type, Int64Type, IntervalMonthDayNano, IntervalMonthDayNanoType, IntervalUnit,
};
use datafusion::common::{Result, plan_err};
use datafusion::logical_expr::{
    ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};

use crate::error::EngineError;

/// `interval_times(interval, number)`, what the product becomes.
pub(super) static INTERVAL_TIMES: LazyLock<Arc<ScalarUDF>> = LazyLock::new(|| {
    let signature = Signature::user_defined(Volatility::Immutable);
    Arc::new(ScalarUDF::from(Times { signature }))
});

#[derive(Debug, PartialEq, Eq, Hash)]
struct Times {
    signature: Signature,
}

const INTERVAL: DataType = DataType::Interval(IntervalUnit::MonthDayNano);

impl ScalarUDFImpl for Times {
    fn name(&self) -> &str {
        "interval_times"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, given: &[DataType]) -> Result<Vec<DataType>> {
        match given {
            [DataType::Interval(_), n] if n.is_integer() => Ok(vec![INTERVAL, DataType::Int64]),
            [DataType::Interval(_), n] if n.is_numeric() => Ok(vec![INTERVAL, DataType::Float64]),
            _ => plan_err!("interval_times takes (interval, number)"),
        }
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(INTERVAL)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let arrays = ColumnarValue::values_to_arrays(&args.args)?;
        let intervals = arrays[0].as_primitive::<IntervalMonthDayNanoType>().iter();
        let products: Result<Products, EngineError> = match arrays[1].data_type() {
            DataType::Int64 => {
                let numbers = arrays[1].as_primitive::<Int64Type>().iter();
                intervals
                    .zip(numbers)
                    .map(|pair| both(pair, whole_times))
                    .collect()
            }
            _ => {
                let numbers = arrays[1].as_primitive::<Float64Type>().iter();
                intervals
                    .zip(numbers)
                    .map(|pair| both(pair, times))
                    .collect()
            }
        };
        let products = products?;
        Ok(ColumnarValue::Array(Arc::new(products)))
    }
}

type Interval = IntervalMonthDayNano;
type Products = PrimitiveArray<IntervalMonthDayNanoType>;

fn both<N>(
    (interval, number): (Option<Interval>, Option<N>),
    product: impl Fn(Interval, N) -> Option<Interval>,
) -> Result<Option<Interval>, EngineError> {
    match (interval, number) {
        (Some(interval), Some(number)) => match product(interval, number) {
            Some(product) => Ok(Some(product)),
            None => Err(EngineError::BadValue(
                "the interval is out of range".to_owned(),
            )),
        },
        _ => Ok(None),
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

/// As in PostgreSQL: what is left of a month is counted in days of which it has 30, what is left
/// of a day in 24 hours.
fn times(interval: Interval, x: f64) -> Option<Interval> {
    if x.fract() == 0.0 && x.abs() < 9e15 {
        return whole_times(interval, x as i64);
    }
    let months = f64::from(interval.months) * x;
    let days = f64::from(interval.days) * x + months.fract() * 30.0;
    let nanos = interval.nanoseconds as f64 * x + days.fract() * 86_400e9;
    let fits = |v: f64, most: f64| v.is_finite() && v.abs() < most;
    let in_range = fits(months, 2e9) && fits(days, 2e9) && fits(nanos, 9e18);
    in_range.then_some(Interval {
        months: months as i32,
        days: days as i32,
        nanoseconds: nanos.round() as i64,
    })
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
        let half_hour = interval(0, 0, 1_800_000_000_000);
        assert_eq!(times(half_hour, 981_911.0), whole_times(half_hour, 981_911));
        assert_eq!(
            times(half_hour, -2.0),
            Some(interval(0, 0, -3_600_000_000_000))
        );
    }

    #[test]
    fn what_does_not_fit_is_no_interval() {
        assert_eq!(times(interval(0, 0, 1), f64::NAN), None);
        assert_eq!(times(interval(12, 0, 0), 1e12), None);
        assert_eq!(whole_times(interval(0, 0, i64::MAX), 2), None);
    }
}
