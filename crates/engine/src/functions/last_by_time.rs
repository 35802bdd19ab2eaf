//! `last_by_time(row)`: of each key the value of its latest row, summed over the keys.
//! `max_last_by_time(row)`: the greatest of them instead.
//!
//! A row is a struct of value, time and key, as [`row`] makes it; one with NULL in any of them is
//! left out. Of rows of one key at the same time the greatest value counts, so that the order of
//! the rows does not matter. The sum is checked, and NULL of nothing.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::{Arc, LazyLock};

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::datatypes::{DataType, Field, FieldRef, Int64Type, TimestampMicrosecondType};
use datafusion::common::{DataFusionError, Result, ScalarValue, exec_err, plan_err};
use datafusion::functions::core::expr_fn::named_struct;
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::utils::{AggregateOrderSensitivity, format_state_name};
use datafusion::logical_expr::{
    Accumulator, AggregateUDF, AggregateUDFImpl, Expr, ReversedUDAF, Signature, Volatility, cast,
    lit,
};

use super::{instant_type, is_row_of};
use crate::EngineError;

/// `last_by_time`.
pub(super) static LAST_BY_TIME: LazyLock<Arc<AggregateUDF>> = LazyLock::new(|| udaf(Put::Summed));
/// `max_last_by_time`.
pub(super) static MAX: LazyLock<Arc<AggregateUDF>> = LazyLock::new(|| udaf(Put::Greatest));

fn udaf(put: Put) -> Arc<AggregateUDF> {
    let signature = Signature::any(1, Volatility::Immutable);
    Arc::new(AggregateUDF::from(LastByTime { put, signature }))
}

/// How the latest values of the keys are put together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
enum Put {
    #[default]
    Summed,
    Greatest,
}

/// What the functions take of a row.
pub(super) fn row(value: Expr, time: Expr, key: Expr) -> Expr {
    named_struct(vec![
        lit("value"),
        cast(value, DataType::Int64),
        lit("time"),
        cast(time, instant_type()),
        lit("key"),
        cast(key, DataType::Utf8),
    ])
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct LastByTime {
    put: Put,
    signature: Signature,
}

impl AggregateUDFImpl for LastByTime {
    fn name(&self) -> &str {
        match self.put {
            Put::Summed => "last_by_time",
            Put::Greatest => "max_last_by_time",
        }
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, given: &[DataType]) -> Result<DataType> {
        if is_row_of(given, &[DataType::Int64, instant_type(), DataType::Utf8]) {
            return Ok(DataType::Int64);
        }
        plan_err!(
            "{}() is for KPI definitions: use first_value(x ORDER BY t)",
            self.name()
        )
    }

    fn state_fields(&self, args: StateFieldsArgs) -> Result<Vec<FieldRef>> {
        let name = format_state_name(args.name, "last");
        Ok(vec![Arc::new(Field::new(name, DataType::Binary, false))])
    }

    fn accumulator(&self, args: AccumulatorArgs) -> Result<Box<dyn Accumulator>> {
        if args.is_distinct {
            return plan_err!("{} takes no DISTINCT", self.name());
        }
        let put = self.put;
        Ok(Box::new(Last {
            put,
            ..Last::default()
        }))
    }

    fn reverse_expr(&self) -> ReversedUDAF {
        ReversedUDAF::Identical
    }

    fn order_sensitivity(&self) -> AggregateOrderSensitivity {
        AggregateOrderSensitivity::Insensitive
    }
}

/// Time and value of the latest row, by key.
#[derive(Debug, Default)]
struct Last {
    put: Put,
    of: HashMap<Box<str>, (i64, i64)>,
    key_bytes: usize,
}

impl Last {
    fn take(&mut self, key: &str, row: (i64, i64)) {
        match self.of.entry(key.into()) {
            Entry::Occupied(mut known) => {
                let known = known.get_mut();
                *known = row.max(*known);
            }
            Entry::Vacant(free) => {
                self.key_bytes += key.len();
                free.insert(row);
            }
        }
    }

    /// Each key as its length, itself, time and value; numbers in eight little-endian bytes.
    fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(self.key_bytes + 24 * self.of.len());
        for (key, (time, value)) in &self.of {
            bytes.extend_from_slice(&(key.len() as u64).to_le_bytes());
            bytes.extend_from_slice(key.as_bytes());
            bytes.extend_from_slice(&time.to_le_bytes());
            bytes.extend_from_slice(&value.to_le_bytes());
        }
        bytes
    }

    fn merge(&mut self, mut bytes: &[u8]) -> Option<()> {
        while !bytes.is_empty() {
            let length = usize::try_from(i64::from_le_bytes(eight(&mut bytes)?)).ok()?;
            let (key, rest) = bytes.split_at_checked(length)?;
            bytes = rest;
            let time = i64::from_le_bytes(eight(&mut bytes)?);
            let value = i64::from_le_bytes(eight(&mut bytes)?);
            self.take(std::str::from_utf8(key).ok()?, (time, value));
        }
        Some(())
    }
}

fn eight(bytes: &mut &[u8]) -> Option<[u8; 8]> {
    let (first, rest) = bytes.split_first_chunk()?;
    *bytes = rest;
    Some(*first)
}

impl Accumulator for Last {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        let rows = values[0].as_struct();
        let (value, time, key) = (rows.column(0), rows.column(1), rows.column(2));
        let value = value.as_primitive::<Int64Type>();
        let time = time.as_primitive::<TimestampMicrosecondType>();
        let key = key.as_string::<i32>();
        for row in 0..rows.len() {
            let whole = rows.is_valid(row) && value.is_valid(row) && time.is_valid(row);
            if whole && key.is_valid(row) {
                self.take(key.value(row), (time.value(row), value.value(row)));
            }
        }
        Ok(())
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        for bytes in states[0].as_binary::<i32>().iter().flatten() {
            if self.merge(bytes).is_none() {
                return exec_err!("a state of last_by_time is cut short");
            }
        }
        Ok(())
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        Ok(vec![ScalarValue::Binary(Some(self.encode()))])
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        if self.of.is_empty() {
            return Ok(ScalarValue::Int64(None));
        }
        let mut values = self.of.values().map(|(_, value)| *value);
        if self.put == Put::Greatest {
            return Ok(ScalarValue::Int64(values.max()));
        }
        let sum = values.try_fold(0_i64, |sum, value| sum.checked_add(value));
        match sum {
            Some(sum) => Ok(ScalarValue::Int64(Some(sum))),
            None => Err(DataFusionError::External(Box::new(EngineError::Overflow(
                "the sum of the latest values does not fit into 64 bits".to_owned(),
            )))),
        }
    }

    fn size(&self) -> usize {
        let entry = size_of::<(Box<str>, (i64, i64))>() + 1;
        size_of::<Self>() + self.of.capacity() * entry + self.key_bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn last(rows: &[(&str, i64, i64)]) -> Last {
        let mut last = Last::default();
        for (key, time, value) in rows {
            last.take(key, (*time, *value));
        }
        last
    }

    fn sum(mut last: Last) -> Option<i64> {
        match last.evaluate() {
            Ok(ScalarValue::Int64(sum)) => sum,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_latest_row_of_each_key_counts_whatever_the_order() {
        let rows = [("a", 1, 10), ("b", 2, 5), ("a", 3, 1), ("a", 2, 99)];
        assert_eq!(sum(last(&rows)), Some(6));
        let mut turned = rows;
        turned.reverse();
        assert_eq!(sum(last(&turned)), Some(6));
        assert_eq!(sum(last(&[("a", 1, 3), ("a", 1, 7)])), Some(7), "a tie");
        assert_eq!(sum(last(&[])), None);
    }

    #[test]
    fn the_greatest_is_one_of_the_latest() {
        let mut last = last(&[("a", 1, 99), ("a", 2, 3), ("b", 1, 4), ("c", 1, -1)]);
        last.put = Put::Greatest;
        assert_eq!(sum(last), Some(4));
        let (put, of) = (Put::Greatest, HashMap::new());
        let key_bytes = 0;
        assert_eq!(sum(Last { put, of, key_bytes }), None);
    }

    #[test]
    fn parts_put_together_are_the_whole() {
        let (one, other) = (last(&[("a", 1, 10), ("", 1, 2)]), last(&[("a", 3, 1)]));
        let mut whole = last(&[("b", 1, 4)]);
        assert_eq!(whole.merge(&one.encode()), Some(()));
        assert_eq!(whole.merge(&other.encode()), Some(()));
        assert_eq!(sum(whole), Some(7));
        let cut = one.encode();
        assert_eq!(last(&[]).merge(&cut[..cut.len() - 1]), None);
    }

    #[test]
    fn a_sum_that_does_not_fit_is_an_error() {
        let error = last(&[("a", 1, i64::MAX), ("b", 1, 1)]).evaluate();
        assert!(error.is_err_and(|e| e.to_string().contains("64 bits")));
    }
}
