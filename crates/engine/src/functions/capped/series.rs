//! How long a series of numbers or times is.

use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array};
use arrow::datatypes::{DataType, TimeUnit};
use datafusion::catalog::{TableFunction, TableFunctionArgs, TableFunctionImpl, TableProvider};
use datafusion::common::{Result, ScalarValue};
use datafusion::logical_expr::{ColumnarValue, Expr};

use super::{Measured, literal};
use crate::error::EngineError;
use crate::guard::SERIES_ROWS_MAX;

const DAY_NANOS: i128 = 86_400_000_000_000;
/// The shortest month: an estimate from above needs the shortest step.
const MONTH_DAYS: i128 = 28;

/// Bytes of the series of each row, 8 for one of its values.
pub(super) fn measured(args: &[ColumnarValue], rows: usize) -> Result<Measured> {
    let arrays: Vec<ArrayRef> = args
        .iter()
        .map(|a| a.to_array(rows))
        .collect::<Result<_>>()?;
    let mut bytes = Vec::with_capacity(rows);
    for row in 0..rows {
        let values: Vec<ScalarValue> = arrays
            .iter()
            .map(|a| ScalarValue::try_from_array(a, row))
            .collect::<Result<_>>()?;
        let values: Vec<&ScalarValue> = values.iter().collect();
        let steps = length(&values).saturating_mul(8);
        bytes.push(i64::try_from(steps).unwrap_or(i64::MAX));
    }
    if let [only] = bytes.as_slice() {
        return Ok(Measured::One(*only, *only));
    }
    let bytes = Int64Array::from(bytes);
    Ok(Measured::Each(None, Some(bytes)))
}

/// Values from the first argument to the second by the third; one argument counts from 0.
fn length(args: &[&ScalarValue]) -> u64 {
    if args.iter().any(|a| a.is_null()) {
        return 0;
    }
    let (from, to, step) = match args {
        [to] => (Some(0), point(to), Some(1)),
        [from, to] => (point(from), point(to), Some(1)),
        [from, to, step] => (point(from), point(to), width(step)),
        _ => return 0,
    };
    match (from, to, step) {
        (Some(from), Some(to), Some(step)) => {
            let steps = (to - from).abs() / step.abs().max(1) + 1;
            u64::try_from(steps).unwrap_or(u64::MAX)
        }
        // A type that no series has: the function itself says so.
        _ => 0,
    }
}

fn point(value: &ScalarValue) -> Option<i128> {
    use ScalarValue as S;
    let scaled = |v: i64, nanos: i128| Some(i128::from(v) * nanos);
    match value {
        S::TimestampSecond(Some(v), _) => scaled(*v, 1_000_000_000),
        S::TimestampMillisecond(Some(v), _) => scaled(*v, 1_000_000),
        S::TimestampMicrosecond(Some(v), _) => scaled(*v, 1_000),
        S::TimestampNanosecond(Some(v), _) => scaled(*v, 1),
        S::Date32(Some(days)) => Some(i128::from(*days) * DAY_NANOS),
        S::Date64(Some(ms)) => scaled(*ms, 1_000_000),
        _ => width(value),
    }
}

fn width(value: &ScalarValue) -> Option<i128> {
    use ScalarValue as S;
    let days = |days: i128| days * DAY_NANOS;
    match value {
        S::Int64(Some(v)) => Some(i128::from(*v)),
        S::Int32(Some(v)) => Some(i128::from(*v)),
        S::IntervalYearMonth(Some(months)) => Some(days(i128::from(*months) * MONTH_DAYS)),
        S::IntervalDayTime(Some(v)) => {
            Some(days(v.days.into()) + i128::from(v.milliseconds) * 1_000_000)
        }
        S::IntervalMonthDayNano(Some(v)) => {
            let whole = i128::from(v.months) * MONTH_DAYS + i128::from(v.days);
            Some(days(whole) + i128::from(v.nanoseconds))
        }
        _ => None,
    }
}

/// A series in FROM with a limit on its rows.
pub(in crate::functions) fn table(function: &Arc<TableFunction>) -> Arc<TableFunction> {
    let capped = CappedSeries {
        inner: Arc::clone(function),
    };
    Arc::new(TableFunction::new(
        function.name().to_owned(),
        Arc::new(capped),
    ))
}

#[derive(Debug)]
struct CappedSeries {
    inner: Arc<TableFunction>,
}

impl TableFunctionImpl for CappedSeries {
    fn call_with_args(&self, args: TableFunctionArgs) -> Result<Arc<dyn TableProvider>> {
        let values: Option<Vec<&ScalarValue>> = args.exprs().iter().map(literal).collect();
        if values.is_some_and(|v| length(&v) > SERIES_ROWS_MAX) {
            let name = self.inner.name();
            let text = format!("{name}: a series may have at most {SERIES_ROWS_MAX} rows");
            return Err(EngineError::BadValue(text).into());
        }
        let exprs = in_one_unit(args.exprs())?;
        let args = TableFunctionArgs::new(&exprs, args.session());
        self.inner.create_table_provider_with_args(args)
    }
}

/// A series is of two dates, or of two times in nanoseconds: a date beside a time is one too.
fn in_one_unit(exprs: &[Expr]) -> Result<Vec<Expr>> {
    let unit = DataType::Timestamp(TimeUnit::Nanosecond, Some("UTC".into()));
    let is_time = |value: &ScalarValue| matches!(value.data_type(), DataType::Timestamp(..));
    let mut exprs = exprs.to_vec();
    if !exprs.iter().filter_map(literal).any(is_time) {
        return Ok(exprs);
    }
    for expr in &mut exprs {
        if let Expr::Literal(value, _) = expr
            && (is_time(value) || matches!(value, ScalarValue::Date32(_)))
        {
            *value = value.cast_to(&unit)?;
        }
    }
    Ok(exprs)
}
