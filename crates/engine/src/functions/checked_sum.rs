//! `checked_sum(x)`: a sum that never wraps.
//!
//! DataFusion's own `SUM` of Int64 wraps silently. Here whole numbers are added in 128 bits, so
//! the result does not depend on the order of rows, and a sum that does not fit its type is an
//! error. The function is registered a second time as `sum`; the types that cannot wrap, sums
//! of distinct values among them, are then left to the built-in one.

use std::sync::{Arc, LazyLock};

use arrow::array::{
    Array, ArrayRef, ArrowPrimitiveType, AsArray, BooleanArray, Decimal128Array, PrimitiveArray,
};
use arrow::buffer::{BooleanBuffer, NullBuffer};
use arrow::datatypes::{
    DECIMAL128_MAX_PRECISION, DataType, Decimal128Type, Field, FieldRef, Int64Type,
    MAX_DECIMAL128_FOR_EACH_PRECISION, UInt64Type,
};
use datafusion::common::{DataFusionError, Result, ScalarValue};
use datafusion::functions_aggregate::sum::sum_udaf;
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::utils::{AggregateOrderSensitivity, format_state_name};
use datafusion::logical_expr::{
    Accumulator, AggregateUDF, AggregateUDFImpl, EmitTo, GroupsAccumulator, ReversedUDAF,
    SetMonotonicity, Signature,
};

use super::selection::{for_each_row, selected};
use crate::error::EngineError;

/// The function under its own name.
pub(super) static CHECKED_SUM: LazyLock<Arc<AggregateUDF>> = LazyLock::new(|| udaf("checked_sum"));
/// The function as what people write.
pub(super) static SUM: LazyLock<Arc<AggregateUDF>> = LazyLock::new(|| udaf("sum"));

fn udaf(name: &'static str) -> Arc<AggregateUDF> {
    let signature = sum_udaf().signature().clone();
    Arc::new(AggregateUDF::from(CheckedSum { name, signature }))
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct CheckedSum {
    name: &'static str,
    signature: Signature,
}

/// A type whose values are added in 128 bits.
trait Summable: ArrowPrimitiveType + Send + Sync + std::fmt::Debug {
    fn widen(value: Self::Native) -> i128;
    /// The sum in its result type, if it fits.
    fn narrow(sum: i128) -> Option<Self::Native>;
}

impl Summable for Int64Type {
    fn widen(value: i64) -> i128 {
        i128::from(value)
    }
    fn narrow(sum: i128) -> Option<i64> {
        i64::try_from(sum).ok()
    }
}

impl Summable for UInt64Type {
    fn widen(value: u64) -> i128 {
        i128::from(value)
    }
    fn narrow(sum: i128) -> Option<u64> {
        u64::try_from(sum).ok()
    }
}

impl Summable for Decimal128Type {
    fn widen(value: i128) -> i128 {
        value
    }
    fn narrow(sum: i128) -> Option<i128> {
        let max = MAX_DECIMAL128_FOR_EACH_PRECISION[usize::from(DECIMAL128_MAX_PRECISION)];
        (sum.abs() <= max).then_some(sum)
    }
}

/// Calls `$then` with the type of the values, if it is one that is added here.
macro_rules! dispatch {
    ($data_type:expr, $then:ident($($arg:expr),*), $else:expr) => {
        match $data_type {
            DataType::Int64 => Ok($then::<Int64Type>($($arg),*)),
            DataType::UInt64 => Ok($then::<UInt64Type>($($arg),*)),
            DataType::Decimal128(..) => Ok($then::<Decimal128Type>($($arg),*)),
            _ => $else,
        }
    };
}

impl AggregateUDFImpl for CheckedSum {
    fn name(&self) -> &str {
        self.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, given: &[DataType]) -> Result<DataType> {
        match given {
            [DataType::Decimal128(_, scale)] => {
                Ok(DataType::Decimal128(DECIMAL128_MAX_PRECISION, *scale))
            }
            _ => sum_udaf().inner().return_type(given),
        }
    }

    fn state_fields(&self, args: StateFieldsArgs) -> Result<Vec<FieldRef>> {
        if args.is_distinct || !is_checked(args.return_type()) {
            return sum_udaf().inner().state_fields(args);
        }
        let name = format_state_name(args.name, "sum");
        Ok(vec![Arc::new(Field::new(
            name,
            state_type(args.return_type()),
            true,
        ))])
    }

    fn accumulator(&self, args: AccumulatorArgs) -> Result<Box<dyn Accumulator>> {
        if args.is_distinct {
            return sum_udaf().inner().accumulator(args);
        }
        let data_type = args.return_type().clone();
        let about = About::of(&args);
        dispatch!(
            data_type,
            boxed_total(about),
            sum_udaf().inner().accumulator(args)
        )
    }

    fn create_sliding_accumulator(&self, args: AccumulatorArgs) -> Result<Box<dyn Accumulator>> {
        if args.is_distinct || !is_checked(args.return_type()) {
            return sum_udaf().inner().create_sliding_accumulator(args);
        }
        self.accumulator(args)
    }

    fn groups_accumulator_supported(&self, args: AccumulatorArgs) -> bool {
        sum_udaf().inner().groups_accumulator_supported(args)
    }

    fn create_groups_accumulator(
        &self,
        args: AccumulatorArgs,
    ) -> Result<Box<dyn GroupsAccumulator>> {
        let data_type = args.return_type().clone();
        let about = About::of(&args);
        let inner = sum_udaf();
        dispatch!(
            data_type,
            boxed_sums(about),
            inner.inner().create_groups_accumulator(args)
        )
    }

    fn reverse_expr(&self) -> ReversedUDAF {
        ReversedUDAF::Identical
    }

    fn order_sensitivity(&self) -> AggregateOrderSensitivity {
        AggregateOrderSensitivity::Insensitive
    }

    fn set_monotonicity(&self, data_type: &DataType) -> SetMonotonicity {
        sum_udaf().inner().set_monotonicity(data_type)
    }
}

fn is_checked(data_type: &DataType) -> bool {
    matches!(
        data_type,
        DataType::Int64 | DataType::UInt64 | DataType::Decimal128(..)
    )
}

/// Partial sums travel as 38 digits, whatever the result has.
fn state_type(result: &DataType) -> DataType {
    match result {
        DataType::Decimal128(_, scale) => DataType::Decimal128(DECIMAL128_MAX_PRECISION, *scale),
        _ => DataType::Decimal128(DECIMAL128_MAX_PRECISION, 0),
    }
}

/// What is summed, for the result and for the message.
#[derive(Clone, Debug)]
struct About {
    call: String,
    result: DataType,
}

impl About {
    fn of(args: &AccumulatorArgs) -> Self {
        About {
            call: args.name.to_owned(),
            result: args.return_type().clone(),
        }
    }

    fn overflow(&self) -> DataFusionError {
        let (call, result) = (&self.call, &self.result);
        let message = format!("{call} is too large for {result}");
        DataFusionError::External(Box::new(EngineError::Overflow(message)))
    }

    fn states(&self, sums: Vec<i128>, nulls: Option<NullBuffer>) -> ArrayRef {
        let array = Decimal128Array::new(sums.into(), nulls);
        Arc::new(array.with_data_type(state_type(&self.result)))
    }
}

fn boxed_total<T: Summable>(about: About) -> Box<dyn Accumulator> {
    Box::new(Total::<T> {
        about,
        sum: 0,
        values: 0,
        kind: std::marker::PhantomData,
    })
}

fn boxed_sums<T: Summable>(about: About) -> Box<dyn GroupsAccumulator> {
    let kind = std::marker::PhantomData;
    Box::new(Sums::<T> {
        about,
        sums: Vec::new(),
        seen: Vec::new(),
        kind,
    })
}

/// The sum of one group.
#[derive(Debug)]
struct Total<T> {
    about: About,
    sum: i128,
    /// How many values are in it.
    values: u64,
    kind: std::marker::PhantomData<T>,
}

impl<T: Summable> Total<T> {
    fn sum_of(&self, array: &PrimitiveArray<T>) -> Result<i128> {
        let (values, mut sum, mut overflow) = (array.values(), 0_i128, false);
        let rows = selected(array.nulls(), None);
        for_each_row(rows.as_ref(), values.len(), |row| {
            let (next, over) = sum.overflowing_add(T::widen(values[row]));
            sum = next;
            overflow |= over;
        });
        if overflow {
            Err(self.about.overflow())
        } else {
            Ok(sum)
        }
    }

    fn add(&mut self, sum: i128, values: usize) -> Result<()> {
        self.sum = self
            .sum
            .checked_add(sum)
            .ok_or_else(|| self.about.overflow())?;
        self.values += values as u64;
        Ok(())
    }
}

impl<T: Summable> Accumulator for Total<T> {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        let array = values[0].as_primitive::<T>();
        self.add(self.sum_of(array)?, array.len() - array.null_count())
    }

    fn retract_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        let array = values[0].as_primitive::<T>();
        let sum = self.sum_of(array)?;
        self.sum = self
            .sum
            .checked_sub(sum)
            .ok_or_else(|| self.about.overflow())?;
        self.values -= (array.len() - array.null_count()) as u64;
        Ok(())
    }

    fn supports_retract_batch(&self) -> bool {
        true
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        let partial = states[0].as_primitive::<Decimal128Type>();
        partial
            .iter()
            .flatten()
            .try_for_each(|sum| self.add(sum, 1))
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        let nulls = (self.values == 0).then(|| NullBuffer::new_null(1));
        Ok(vec![ScalarValue::try_from_array(
            &self.about.states(vec![self.sum], nulls),
            0,
        )?])
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        if self.values == 0 {
            return ScalarValue::try_from(&self.about.result);
        }
        let sum = T::narrow(self.sum).ok_or_else(|| self.about.overflow())?;
        ScalarValue::new_primitive::<T>(Some(sum), &self.about.result)
    }

    fn size(&self) -> usize {
        size_of::<Self>() + self.about.call.capacity()
    }
}

/// One sum per group.
#[derive(Debug)]
struct Sums<T> {
    about: About,
    sums: Vec<i128>,
    /// Has the group had a value?
    seen: Vec<bool>,
    kind: std::marker::PhantomData<T>,
}

impl<T: Summable> Sums<T> {
    fn take(&mut self, emit_to: EmitTo) -> (Vec<i128>, Option<NullBuffer>) {
        let (sums, seen) = (
            emit_to.take_needed(&mut self.sums),
            emit_to.take_needed(&mut self.seen),
        );
        let nulls = NullBuffer::from(seen);
        (sums, Some(nulls).filter(|n| n.null_count() > 0))
    }

    fn add<N: Copy>(
        &mut self,
        values: &[N],
        widen: impl Fn(N) -> i128,
        (rows, groups, group_count): (Option<BooleanBuffer>, &[usize], usize),
    ) -> Result<()> {
        self.sums.resize(group_count, 0);
        self.seen.resize(group_count, false);
        let (sums, seen) = (self.sums.as_mut_slice(), self.seen.as_mut_slice());
        let mut overflow = false;
        for_each_row(rows.as_ref(), groups.len(), |row| {
            let group = groups[row];
            let (next, over) = sums[group].overflowing_add(widen(values[row]));
            sums[group] = next;
            seen[group] = true;
            overflow |= over;
        });
        if overflow {
            Err(self.about.overflow())
        } else {
            Ok(())
        }
    }
}

impl<T: Summable> GroupsAccumulator for Sums<T> {
    fn update_batch(
        &mut self,
        values: &[ArrayRef],
        groups: &[usize],
        filter: Option<&BooleanArray>,
        group_count: usize,
    ) -> Result<()> {
        let array = values[0].as_primitive::<T>();
        let rows = selected(array.nulls(), filter);
        self.add(array.values(), T::widen, (rows, groups, group_count))
    }

    fn merge_batch(
        &mut self,
        values: &[ArrayRef],
        groups: &[usize],
        group_count: usize,
    ) -> Result<()> {
        let array = values[0].as_primitive::<Decimal128Type>();
        let rows = selected(array.nulls(), None);
        self.add(array.values(), |sum| sum, (rows, groups, group_count))
    }

    fn state(&mut self, emit_to: EmitTo) -> Result<Vec<ArrayRef>> {
        let (sums, nulls) = self.take(emit_to);
        Ok(vec![self.about.states(sums, nulls)])
    }

    fn evaluate(&mut self, emit_to: EmitTo) -> Result<ArrayRef> {
        let (sums, nulls) = self.take(emit_to);
        let narrow = |&sum: &i128| T::narrow(sum).ok_or_else(|| self.about.overflow());
        let values = sums.iter().map(narrow).collect::<Result<Vec<_>>>()?;
        let array = PrimitiveArray::<T>::new(values.into(), nulls);
        Ok(Arc::new(array.with_data_type(self.about.result.clone())))
    }

    fn convert_to_state(
        &self,
        values: &[ArrayRef],
        filter: Option<&BooleanArray>,
    ) -> Result<Vec<ArrayRef>> {
        let array = values[0].as_primitive::<T>();
        let sums = array.values().iter().map(|&v| T::widen(v)).collect();
        let rows = selected(array.nulls(), filter);
        Ok(vec![self.about.states(sums, rows.map(NullBuffer::new))])
    }

    fn size(&self) -> usize {
        self.sums.capacity() * size_of::<i128>() + self.seen.capacity()
    }
}
