//! The SQL functions that KPIs are made of, and those that repair what DataFusion gets wrong.
//!
//! Aggregates: `checked_sum` (also registered as `sum`), `count_if`, `histogram`,
//! `merge_histogram`, `last_by_time`, `max_last_by_time`, `peak`, `peak_open`. Scalars:
//! `kpi_bucket`, `percentile`, `share_within`, `histogram_count`, `ms_between`, `business_ms`,
//! `to_timestamp`, and workforce maths (`erlang_*`). All are immutable and keep memory that they
//! report honestly.
//!
//! Of DataFusion's own functions a query may call those of a list ([`names_by_kind`]); what BI
//! tools know from other databases and it lacks is here too.

pub mod calendar;

mod allowed;
mod bound;
mod bucket;
mod business;
mod capped;
mod checked_sum;
mod count_if;
mod erlang;
mod histogram;
mod interval;
mod last_by_time;
mod operators;
mod parts;
mod peak;
mod report;
mod selection;
mod session_facts;
mod time;
mod whole;

use std::collections::BTreeSet;
use std::sync::{Arc, LazyLock};

use arrow::datatypes::{DataType, TimeUnit};
use datafusion::common::{DataFusionError, Result, ScalarValue, plan_err};
use datafusion::execution::SessionStateDefaults;
use datafusion::logical_expr::{AggregateUDF, ColumnarValue, Expr, ScalarUDF, lit};

use crate::service::{ErrorKind, QueryError};

pub use allowed::{FunctionNames, names_by_kind};
pub(crate) use allowed::{builtin_aggregates, builtin_scalars, builtin_tables, builtin_windows};
pub(crate) use bound::{Bound, bound, with_calls};
pub(crate) use operators::OperatorPlanner;
pub(crate) use parts::takes_unit;
pub(crate) use whole::over_whole_batches;

/// The one type of an instant in SQL.
pub(crate) fn instant_type() -> DataType {
    DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()))
}

/// A literal instant.
pub(crate) fn instant(micros: i64) -> ScalarValue {
    ScalarValue::TimestampMicrosecond(Some(micros), Some("UTC".into()))
}

/// Every scalar function of our own. `default_zone` is the IANA zone of `kpi_bucket` when it is not given.
pub(crate) fn scalar_functions(default_zone: &str) -> Vec<Arc<ScalarUDF>> {
    let mut all = vec![bucket_function(default_zone)];
    all.extend(histogram::READERS.iter().cloned());
    all.extend([
        Arc::clone(&time::MS_BETWEEN),
        Arc::clone(&business::BUSINESS_MS),
        Arc::clone(&time::TO_TIMESTAMP),
        Arc::clone(&interval::INTERVAL_TIMES),
    ]);
    all.extend(erlang::ALL.iter().cloned());
    all.extend(parts::ALL.iter().cloned());
    all.extend(session_facts::ALL.iter().cloned());
    all
}

/// What only the SELECTs of models may call: bounds of the data, days and months of the report's zone.
pub(crate) fn model_functions() -> impl Iterator<Item = Arc<ScalarUDF>> {
    bound::model_functions().into_iter().chain(report::all())
}

/// Is it a function of one row, to which the planner passes over FILTER, DISTINCT and the like?
pub(crate) fn is_of_one_row(name: &str) -> bool {
    static NAMES: LazyLock<BTreeSet<String>> = LazyLock::new(|| {
        let scalars = builtin_scalars().into_iter().chain(scalar_functions("UTC"));
        let mut names: BTreeSet<String> = ["unnest", "unnest_outer"].map(str::to_owned).into();
        for scalar in scalars {
            names.extend(scalar.aliases().iter().cloned());
            names.insert(scalar.name().to_owned());
        }
        for higher in SessionStateDefaults::default_higher_order_functions() {
            names.extend(higher.aliases().iter().cloned());
            names.insert(higher.name().to_owned());
        }
        names
    });
    NAMES.contains(name)
}

/// `kpi_bucket` with another zone for calls that name none.
pub(crate) fn bucket_function(default_zone: &str) -> Arc<ScalarUDF> {
    Arc::new(bucket::udf(default_zone))
}

/// Is every argument of a function any number, where it is not an interval?
pub(crate) fn takes_numbers(name: &str) -> bool {
    interval::NAMES.contains(&name) || erlang::names().any(|known| known == name)
}

/// Every aggregate function of our own but the markers of the MEASURE rule.
pub(crate) fn aggregate_functions() -> Vec<Arc<AggregateUDF>> {
    [
        &checked_sum::CHECKED_SUM,
        &checked_sum::SUM,
        &count_if::COUNT_IF,
    ]
    .into_iter()
    .chain([&histogram::HISTOGRAM, &histogram::MERGE])
    .chain([&last_by_time::LAST_BY_TIME, &last_by_time::MAX])
    .chain([&peak::PEAK, &peak::PEAK_OPEN])
    .map(|udaf| Arc::clone(udaf))
    .collect()
}

/// Sum of Int64 (to Int64) or Decimal128 (to 38 digits); NULL of nothing; overflow is an error.
pub(crate) fn checked_sum(x: Expr) -> Expr {
    checked_sum::CHECKED_SUM.call(vec![x])
}

/// Number of rows where `p` is true: Int64, 0 of nothing.
pub(crate) fn count_if(p: Expr) -> Expr {
    count_if::COUNT_IF.call(vec![p])
}

/// Exact counts of the whole numbers of `x`: Binary, never NULL.
pub(crate) fn histogram(x: Expr) -> Expr {
    histogram::HISTOGRAM.call(vec![x])
}

/// Of each key the value of its latest row, summed: Int64, NULL of nothing. `row` is what
/// [`latest_row`] makes.
pub(crate) fn last_by_time(row: Expr) -> Expr {
    last_by_time::LAST_BY_TIME.call(vec![row])
}

/// Of each key the value of its latest row, and of these the greatest: Int64, NULL of nothing.
pub(crate) fn max_last_by_time(row: Expr) -> Expr {
    last_by_time::MAX.call(vec![row])
}

/// The greatest sum of a stretch of time: Int64, NULL of nothing. `row` is what [`stretch_row`] makes.
pub(crate) fn peak(row: Expr) -> Expr {
    peak::PEAK.call(vec![row])
}

/// The argument of [`peak`].
pub(crate) fn stretch_row(value: Expr, time: Expr, width_ms: i64) -> Expr {
    peak::stretch_row(value, time, width_ms)
}

/// How many were open at once at most: Int64, NULL of nothing. `row` is what [`open_row`] makes.
pub(crate) fn peak_open(row: Expr) -> Expr {
    peak::PEAK_OPEN.call(vec![row])
}

/// The argument of [`peak_open`].
pub(crate) fn open_row(from: Expr, until: Expr) -> Expr {
    peak::open_row(from, until)
}

/// The argument of [`last_by_time`] and [`max_last_by_time`].
pub(crate) fn latest_row(value: Expr, time: Expr, key: Expr) -> Expr {
    last_by_time::row(value, time, key)
}

/// The histogram of all values of several histograms.
pub(crate) fn merge_histogram(h: Expr) -> Expr {
    histogram::MERGE.call(vec![h])
}

/// Nearest-rank percentile of a histogram as Float64; NULL if it is empty. `q` in 0..=1.
pub(crate) fn percentile(h: Expr, q: f64) -> Expr {
    histogram::READERS[0].call(vec![h, lit(q)])
}

/// Share of a histogram's values that are at most `limit`, as Float64; NULL if it is empty.
pub(crate) fn share_within(h: Expr, limit: f64) -> Expr {
    histogram::READERS[1].call(vec![h, lit(limit)])
}

/// Number of values in a histogram: Int64.
pub(crate) fn histogram_count(h: Expr) -> Expr {
    histogram::READERS[2].call(vec![h])
}

/// Start of the calendar bucket that `ts` is in.
pub(crate) fn kpi_bucket(ts: Expr, grain: &str, zone: &str) -> Expr {
    static BUCKET: LazyLock<ScalarUDF> = LazyLock::new(|| bucket::udf("UTC"));
    BUCKET.call(vec![ts, lit(grain), lit(zone)])
}

/// Is what an aggregate is given one struct with columns of these types? Else it would read them as
/// what they are not.
fn is_row_of(given: &[DataType], wanted: &[DataType]) -> bool {
    match given {
        [DataType::Struct(fields)] => fields.iter().map(|field| field.data_type()).eq(wanted),
        _ => false,
    }
}

/// The text of an argument that must be a literal.
pub(crate) fn literal_text<'a>(
    value: &'a ColumnarValue,
    function: &str,
    what: &str,
) -> Result<&'a str> {
    match value {
        ColumnarValue::Scalar(scalar) => match scalar.try_as_str() {
            Some(Some(text)) => Ok(text),
            _ => Err(miswritten(format!("{function}: the {what} must be a text"))),
        },
        ColumnarValue::Array(_) => Err(miswritten(format!(
            "{function}: the {what} must be a literal"
        ))),
    }
}

/// It is about the statement, not about a value of the data.
fn miswritten(message: String) -> DataFusionError {
    DataFusionError::External(Box::new(QueryError::new(ErrorKind::SqlSyntax, message)))
}

/// The instant type for anything that reads as an instant.
fn coerce_instant(given: &DataType, function: &str) -> Result<DataType> {
    match given {
        DataType::Timestamp(..)
        | DataType::Date32
        | DataType::Date64
        | DataType::Utf8
        | DataType::LargeUtf8
        | DataType::Utf8View
        | DataType::Null => Ok(instant_type()),
        other => plan_err!("{function}: expected a time, not {other}"),
    }
}

#[cfg(test)]
mod tests;
