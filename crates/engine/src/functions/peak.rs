//! `peak(row)`: the greatest sum of a stretch of time. `peak_open(row)`: how many were open at once
//! at most.
//!
//! Both are sums by moments. A row of `peak`, as [`stretch_row`] makes it, adds its value to the
//! moment at which its stretch begins, and the greatest sum is the result. A row of `peak_open`
//! ([`open_row`]) adds one where it begins and takes one away where it ends, and the greatest
//! running sum is the result: what ends at a moment is gone before what begins then is there, so
//! each moment counts with all of its changes, and what has no length counts nowhere.
//!
//! Sums are merged before the greatest is taken, so neither the order of the rows nor how they were
//! parted matters. They have 128 bits: no order of adding overflows, and a result that does not fit
//! into 64 is an error. Of no rows the result is NULL.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock};

use arrow::array::{Array, ArrayRef, AsArray, StructArray};
use arrow::datatypes::{DataType, Field, FieldRef, Int64Type, TimestampMicrosecondType};
use datafusion::common::{Result, ScalarValue, exec_err, plan_err};
use datafusion::functions::core::expr_fn::named_struct;
use datafusion::functions::datetime::expr_fn::date_bin;
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::utils::{AggregateOrderSensitivity, format_state_name};
use datafusion::logical_expr::{
    Accumulator, AggregateUDF, AggregateUDFImpl, Expr, ReversedUDAF, Signature, Volatility, cast,
    lit,
};

use super::{instant, instant_type, is_row_of};
use crate::EngineError;

/// `peak(row)`.
pub(super) static PEAK: LazyLock<Arc<AggregateUDF>> = LazyLock::new(|| udaf(Of::Stretches));
/// `peak_open(row)`.
pub(super) static PEAK_OPEN: LazyLock<Arc<AggregateUDF>> = LazyLock::new(|| udaf(Of::Open));

const NANOS_A_MS: i64 = 1_000_000;

/// What `peak` takes of a row: its value, and the begin of the stretch of `width_ms` that `time` is
/// in. Stretches are counted from 1970.
pub(super) fn stretch_row(value: Expr, time: Expr, width_ms: i64) -> Expr {
    let nanos = width_ms.saturating_mul(NANOS_A_MS);
    let width = lit(ScalarValue::new_interval_mdn(0, 0, nanos));
    let time = cast(time, instant_type());
    named_struct(vec![
        lit("value"),
        cast(value, DataType::Int64),
        lit("time"),
        cast(date_bin(width, time, lit(instant(0))), instant_type()),
    ])
}

/// What `peak_open` takes of a row: from when it is open, and until when; until NULL it is open still.
pub(super) fn open_row(from: Expr, until: Expr) -> Expr {
    named_struct(vec![
        lit("from"),
        cast(from, instant_type()),
        lit("until"),
        cast(until, instant_type()),
    ])
}

fn udaf(of: Of) -> Arc<AggregateUDF> {
    let signature = Signature::any(1, Volatility::Immutable);
    Arc::new(AggregateUDF::from(Peak { of, signature }))
}

/// What is the greatest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Of {
    /// Sums of stretches.
    Stretches,
    /// Numbers of what is open.
    Open,
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Peak {
    of: Of,
    signature: Signature,
}

impl AggregateUDFImpl for Peak {
    fn name(&self) -> &str {
        match self.of {
            Of::Stretches => "peak",
            Of::Open => "peak_open",
        }
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, given: &[DataType]) -> Result<DataType> {
        let wanted = match self.of {
            Of::Stretches => [DataType::Int64, instant_type()],
            Of::Open => [instant_type(), instant_type()],
        };
        if is_row_of(given, &wanted) {
            return Ok(DataType::Int64);
        }
        plan_err!(
            "{}() is for KPI definitions: group by stretches of time, then take max(x)",
            self.name()
        )
    }

    fn state_fields(&self, args: StateFieldsArgs) -> Result<Vec<FieldRef>> {
        let name = format_state_name(args.name, "sums");
        Ok(vec![Arc::new(Field::new(name, DataType::Binary, false))])
    }

    fn accumulator(&self, args: AccumulatorArgs) -> Result<Box<dyn Accumulator>> {
        if args.is_distinct {
            return plan_err!("{} takes no DISTINCT", self.name());
        }
        let sums = HashMap::new();
        let of = self.of;
        Ok(Box::new(Sums { of, sums }))
    }

    fn reverse_expr(&self) -> ReversedUDAF {
        ReversedUDAF::Identical
    }

    fn order_sensitivity(&self) -> AggregateOrderSensitivity {
        AggregateOrderSensitivity::Insensitive
    }
}

/// Sums by moments. One of zero stays: it says that there was a row.
#[derive(Debug)]
struct Sums {
    of: Of,
    sums: HashMap<i64, i128>,
}

impl Sums {
    fn add(&mut self, moment: i64, value: i128) {
        let sum = self.sums.entry(moment).or_default();
        *sum = sum.saturating_add(value);
    }

    fn add_stretches(&mut self, rows: &StructArray) {
        let value = rows.column(0).as_primitive::<Int64Type>();
        let time = rows.column(1).as_primitive::<TimestampMicrosecondType>();
        for row in 0..rows.len() {
            if rows.is_valid(row) && value.is_valid(row) && time.is_valid(row) {
                self.add(time.value(row), i128::from(value.value(row)));
            }
        }
    }

    fn add_open(&mut self, rows: &StructArray) {
        let from = rows.column(0).as_primitive::<TimestampMicrosecondType>();
        let until = rows.column(1).as_primitive::<TimestampMicrosecondType>();
        for row in 0..rows.len() {
            if rows.is_null(row) || from.is_null(row) {
                continue;
            }
            self.open(
                from.value(row),
                until.is_valid(row).then(|| until.value(row)),
            );
        }
    }

    /// One that is open from a moment up to and without another. One that ends before it begins has
    /// no length either.
    fn open(&mut self, from: i64, until: Option<i64>) {
        let is_empty = until.is_some_and(|until| until <= from);
        self.add(from, i128::from(!is_empty));
        if let (Some(until), false) = (until, is_empty) {
            self.add(until, -1);
        }
    }

    /// Each moment as eight little-endian bytes and its sum as sixteen.
    fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(24 * self.sums.len());
        for (moment, sum) in &self.sums {
            bytes.extend_from_slice(&moment.to_le_bytes());
            bytes.extend_from_slice(&sum.to_le_bytes());
        }
        bytes
    }

    fn merge(&mut self, mut bytes: &[u8]) -> Option<()> {
        while !bytes.is_empty() {
            let (moment, rest) = bytes.split_first_chunk()?;
            let (sum, rest) = rest.split_first_chunk()?;
            self.add(i64::from_le_bytes(*moment), i128::from_le_bytes(*sum));
            bytes = rest;
        }
        Some(())
    }

    fn greatest(&self) -> Option<i128> {
        match self.of {
            Of::Stretches => self.sums.values().copied().max(),
            Of::Open => {
                let mut changes: Vec<(i64, i128)> =
                    self.sums.iter().map(|(t, n)| (*t, *n)).collect();
                changes.sort_unstable();
                let running = changes.iter().scan(0_i128, |open, (_, change)| {
                    *open = open.saturating_add(*change);
                    Some(*open)
                });
                running.max()
            }
        }
    }
}

impl Accumulator for Sums {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        let rows = values[0].as_struct();
        match self.of {
            Of::Stretches => self.add_stretches(rows),
            Of::Open => self.add_open(rows),
        }
        Ok(())
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        for bytes in states[0].as_binary::<i32>().iter().flatten() {
            if self.merge(bytes).is_none() {
                return exec_err!("a state of a peak is cut short");
            }
        }
        Ok(())
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        Ok(vec![ScalarValue::Binary(Some(self.encode()))])
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        let Some(greatest) = self.greatest() else {
            return Ok(ScalarValue::Int64(None));
        };
        match i64::try_from(greatest) {
            Ok(greatest) => Ok(ScalarValue::Int64(Some(greatest))),
            Err(_) => Err(EngineError::Overflow(
                "the greatest sum does not fit into 64 bits".to_owned(),
            )
            .into()),
        }
    }

    fn size(&self) -> usize {
        size_of::<Self>() + self.sums.capacity() * (size_of::<(i64, i128)>() + 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stretches(rows: &[(i64, i128)]) -> Sums {
        let of = Of::Stretches;
        let sums = HashMap::new();
        let mut sums = Sums { of, sums };
        rows.iter().for_each(|(at, value)| sums.add(*at, *value));
        sums
    }

    fn open(rows: &[(i64, Option<i64>)]) -> Sums {
        let of = Of::Open;
        let sums = HashMap::new();
        let mut sums = Sums { of, sums };
        rows.iter()
            .for_each(|(from, until)| sums.open(*from, *until));
        sums
    }

    fn value(mut sums: Sums) -> Option<i64> {
        match sums.evaluate() {
            Ok(ScalarValue::Int64(value)) => value,
            other => panic!("{other:?}"),
        }
    }

    /// All ways to part the rows in two, merged either way, give what the whole gives.
    fn check<R: Copy>(rows: &[R], of: fn(&[R]) -> Sums, expected: Option<i64>) {
        assert_eq!(value(of(rows)), expected);
        for parted in 0..1_u32 << rows.len() {
            let side = |wanted: bool| -> Vec<R> {
                let rows = rows.iter().enumerate();
                let kept = rows.filter(|(i, _)| (parted >> i & 1 == 1) == wanted);
                kept.map(|(_, row)| *row).collect()
            };
            let mut merged = of(&side(true));
            assert_eq!(merged.merge(&of(&side(false)).encode()), Some(()));
            assert_eq!(value(merged), expected, "parted by {parted:b}");
        }
    }

    #[test]
    fn sums_of_stretches_are_merged_before_the_greatest_is_taken() {
        check(&[(0, 3), (30, 2), (0, 1), (30, 4)], stretches, Some(6));
        check(&[(0, -3), (30, -1)], stretches, Some(-1));
        check(&[], stretches, None);
    }

    #[test]
    fn what_ends_is_gone_before_what_begins_at_that_moment() {
        check(&[(0, Some(10)), (10, Some(20))], open, Some(1));
        check(&[(0, Some(11)), (10, Some(20))], open, Some(2));
        check(&[(0, None), (5, None), (7, Some(9))], open, Some(3));
        check(&[(5, Some(5))], open, Some(0));
        check(&[(0, Some(10)), (5, Some(5)), (6, Some(4))], open, Some(1));
        check(&[(3, Some(4)), (-8, Some(-2)), (-5, None)], open, Some(2));
        check(&[], open, None);
    }

    #[test]
    fn a_peak_that_does_not_fit_is_an_error_and_one_that_comes_back_is_not() {
        let far = i128::from(i64::MAX);
        check(&[(0, far), (0, 5), (0, -far)], stretches, Some(5));
        let error = stretches(&[(0, far), (0, 1)]).evaluate();
        assert!(error.is_err_and(|e| e.to_string().contains("64 bits")));
    }

    #[test]
    fn a_state_that_is_cut_short_is_told_and_memory_is_counted() {
        let bytes = stretches(&[(0, 1)]).encode();
        assert_eq!(stretches(&[]).merge(&bytes[..23]), None);
        let many: Vec<(i64, i128)> = (0..10_000).map(|at| (at, 1)).collect();
        assert!(stretches(&many).size() >= 10_000 * 24);
    }
}
