//! `histogram(x)`, `merge_histogram(h)` and what reads them.
//!
//! A histogram is a Binary value (see [`counts`]) that can be stored and merged; a percentile or
//! a share within any limit is read from it afterwards, exactly.

mod counts;

use std::sync::{Arc, LazyLock};

use arrow::array::{Array, ArrayRef, AsArray, BinaryArray, BooleanArray, Float64Array, Int64Array};
use arrow::buffer::BooleanBuffer;
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, FieldRef, Float64Type, Int64Type};
use datafusion::common::{DataFusionError, Result, ScalarValue, exec_err, plan_err};
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::utils::{AggregateOrderSensitivity, format_state_name};
use datafusion::logical_expr::{
    Accumulator, AggregateUDF, AggregateUDFImpl, ColumnarValue, EmitTo, GroupsAccumulator,
    ReversedUDAF, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};

use self::counts::{BadHistogram, Counts, Reader};
use super::selection::{for_each_row, selected};
use crate::error::refuse;

/// `histogram(x)`: counts of the whole numbers of `x`.
pub(super) static HISTOGRAM: LazyLock<Arc<AggregateUDF>> = LazyLock::new(|| udaf(false));
/// `merge_histogram(h)`: all values of several histograms.
pub(super) static MERGE: LazyLock<Arc<AggregateUDF>> = LazyLock::new(|| udaf(true));

/// `percentile(h, q)`, `share_within(h, limit)`, `histogram_count(h)`, in this order.
pub(super) static READERS: LazyLock<[Arc<ScalarUDF>; 3]> = LazyLock::new(|| {
    [Read::Percentile, Read::ShareWithin, Read::Count].map(|read| {
        let arguments = if read == Read::Count { 1 } else { 2 };
        let signature = Signature::any(arguments, Volatility::Immutable);
        Arc::new(ScalarUDF::from(ReadHistogram { read, signature }))
    })
});

fn udaf(merges: bool) -> Arc<AggregateUDF> {
    let signature = Signature::user_defined(Volatility::Immutable);
    Arc::new(AggregateUDF::from(HistogramOf { merges, signature }))
}

fn bad(error: BadHistogram) -> DataFusionError {
    DataFusionError::Execution(error.to_string())
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct HistogramOf {
    merges: bool,
    signature: Signature,
}

impl AggregateUDFImpl for HistogramOf {
    fn name(&self) -> &str {
        if self.merges {
            "merge_histogram"
        } else {
            "histogram"
        }
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, given: &[DataType]) -> Result<Vec<DataType>> {
        match given {
            [DataType::Binary | DataType::LargeBinary | DataType::BinaryView | DataType::Null]
                if self.merges =>
            {
                Ok(vec![DataType::Binary])
            }
            [one] if !self.merges && (one.is_integer() || one.is_null()) => {
                Ok(vec![DataType::Int64])
            }
            _ if self.merges => plan_err!("merge_histogram takes one histogram"),
            _ => plan_err!("histogram counts one column of whole numbers; round others first"),
        }
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Binary)
    }

    fn is_nullable(&self) -> bool {
        false
    }

    fn default_value(&self, _: &DataType) -> Result<ScalarValue> {
        Ok(ScalarValue::Binary(Some(Counts::default().encode())))
    }

    fn state_fields(&self, args: StateFieldsArgs) -> Result<Vec<FieldRef>> {
        let name = format_state_name(args.name, "histogram");
        Ok(vec![Arc::new(Field::new(name, DataType::Binary, false))])
    }

    fn accumulator(&self, args: AccumulatorArgs) -> Result<Box<dyn Accumulator>> {
        if args.is_distinct {
            return plan_err!("{} takes no DISTINCT", self.name());
        }
        Ok(Box::new(One {
            merges: self.merges,
            counts: Counts::default(),
        }))
    }

    fn groups_accumulator_supported(&self, args: AccumulatorArgs) -> bool {
        !args.is_distinct
    }

    fn create_groups_accumulator(&self, _: AccumulatorArgs) -> Result<Box<dyn GroupsAccumulator>> {
        Ok(Box::new(Many {
            merges: self.merges,
            groups: Vec::new(),
            heap_bytes: 0,
        }))
    }

    fn reverse_expr(&self) -> ReversedUDAF {
        ReversedUDAF::Identical
    }

    fn order_sensitivity(&self) -> AggregateOrderSensitivity {
        AggregateOrderSensitivity::Insensitive
    }
}

/// The histogram of one group.
#[derive(Debug)]
struct One {
    merges: bool,
    counts: Counts,
}

impl Accumulator for One {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        if self.merges {
            return self.merge_batch(values);
        }
        let array = values[0].as_primitive::<Int64Type>();
        let (values, rows) = (array.values(), selected(array.nulls(), None));
        for_each_row(rows.as_ref(), values.len(), |row| {
            self.counts.record(values[row])
        });
        Ok(())
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        let histograms = states[0].as_binary::<i32>();
        histograms
            .iter()
            .flatten()
            .try_for_each(|bytes| self.counts.merge(bytes))
            .map_err(bad)
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        Ok(vec![self.evaluate()?])
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        Ok(ScalarValue::Binary(Some(self.counts.encode())))
    }

    fn size(&self) -> usize {
        size_of::<Self>() + self.counts.heap_bytes()
    }
}

/// One histogram per group.
#[derive(Debug)]
struct Many {
    merges: bool,
    groups: Vec<Counts>,
    /// Memory behind the histograms, brought up to date after each batch.
    heap_bytes: usize,
}

impl Many {
    /// Lets `each` change the groups of a batch, then takes account of their memory.
    fn change(
        &mut self,
        groups: &[usize],
        group_count: usize,
        each: impl FnOnce(&mut [Counts]) -> Result<()>,
    ) -> Result<()> {
        self.groups.resize_with(group_count, Counts::default);
        // A batch touches at most as many groups as it has rows; with few groups, look at all.
        let few = self.groups.len() <= groups.len();
        let mut touched = if few { Vec::new() } else { groups.to_vec() };
        touched.sort_unstable();
        touched.dedup();
        let bytes = |all: &[Counts]| -> usize {
            if few {
                all.iter().map(Counts::heap_bytes).sum()
            } else {
                touched.iter().map(|&g| all[g].heap_bytes()).sum()
            }
        };
        let before = bytes(&self.groups);
        let result = each(&mut self.groups);
        self.heap_bytes = self.heap_bytes + bytes(&self.groups) - before;
        result
    }

    fn take(&mut self, emit_to: EmitTo) -> BinaryArray {
        let taken = emit_to.take_needed(&mut self.groups);
        let bytes: usize = taken.iter().map(Counts::heap_bytes).sum();
        self.heap_bytes = self.heap_bytes.saturating_sub(bytes);
        taken
            .into_iter()
            .map(|counts| Some(counts.encode()))
            .collect()
    }
}

impl GroupsAccumulator for Many {
    fn update_batch(
        &mut self,
        values: &[ArrayRef],
        groups: &[usize],
        filter: Option<&BooleanArray>,
        group_count: usize,
    ) -> Result<()> {
        let rows = selected(values[0].nulls(), filter);
        if self.merges {
            return self.merge(values[0].as_binary(), rows.as_ref(), groups, group_count);
        }
        let array = values[0].as_primitive::<Int64Type>().values();
        self.change(groups, group_count, |all| {
            for_each_row(rows.as_ref(), groups.len(), |row| {
                all[groups[row]].record(array[row])
            });
            Ok(())
        })
    }

    fn merge_batch(
        &mut self,
        values: &[ArrayRef],
        groups: &[usize],
        group_count: usize,
    ) -> Result<()> {
        let rows = selected(values[0].nulls(), None);
        self.merge(values[0].as_binary(), rows.as_ref(), groups, group_count)
    }

    fn state(&mut self, emit_to: EmitTo) -> Result<Vec<ArrayRef>> {
        Ok(vec![Arc::new(self.take(emit_to))])
    }

    fn evaluate(&mut self, emit_to: EmitTo) -> Result<ArrayRef> {
        Ok(Arc::new(self.take(emit_to)))
    }

    fn convert_to_state(
        &self,
        values: &[ArrayRef],
        filter: Option<&BooleanArray>,
    ) -> Result<Vec<ArrayRef>> {
        let mut alone = Many {
            merges: self.merges,
            groups: Vec::new(),
            heap_bytes: 0,
        };
        let groups: Vec<usize> = (0..values[0].len()).collect();
        alone.update_batch(values, &groups, filter, groups.len())?;
        alone.state(EmitTo::All)
    }

    fn size(&self) -> usize {
        self.groups.capacity() * size_of::<Counts>() + self.heap_bytes
    }
}

impl Many {
    fn merge(
        &mut self,
        array: &BinaryArray,
        rows: Option<&BooleanBuffer>,
        groups: &[usize],
        group_count: usize,
    ) -> Result<()> {
        self.change(groups, group_count, |all| {
            let mut result = Ok(());
            for_each_row(rows, groups.len(), |row| {
                if result.is_ok() {
                    result = all[groups[row]].merge(array.value(row));
                }
            });
            result.map_err(bad)
        })
    }
}

/// What is read from a histogram.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Read {
    Percentile,
    ShareWithin,
    Count,
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct ReadHistogram {
    read: Read,
    signature: Signature,
}

impl ScalarUDFImpl for ReadHistogram {
    fn name(&self) -> &str {
        match self.read {
            Read::Percentile => "percentile",
            Read::ShareWithin => "share_within",
            Read::Count => "histogram_count",
        }
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, given: &[DataType]) -> Result<DataType> {
        use DataType as D;
        match given.first() {
            Some(D::Binary | D::LargeBinary | D::BinaryView | D::Null) | None => {}
            Some(other) => {
                let name = self.name();
                return Err(refuse(
                    format!("{name}() reads a histogram, not {other}"),
                    format!(
                        "write {name}(histogram(x){}) over a column x of whole numbers; \
                         of a KPI, MEASURE(wait_p90)",
                        if self.read == Read::Count {
                            ""
                        } else {
                            ", 0.9"
                        }
                    ),
                ));
            }
        }
        match given.get(1) {
            Some(number) if !(number.is_numeric() || number.is_null()) => {
                return plan_err!("{}: expected a number, not {number}", self.name());
            }
            _ => {}
        }
        Ok(if self.read == Read::Count {
            DataType::Int64
        } else {
            DataType::Float64
        })
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let types = [DataType::Binary, DataType::Float64];
        let columns: Vec<ArrayRef> = args
            .args
            .iter()
            .zip(&types)
            .map(|(a, to)| Ok(cast(&a.to_array(args.number_rows)?, to)?))
            .collect::<Result<_>>()?;
        let histograms = columns[0].as_binary::<i32>();
        if self.read == Read::Count {
            let count = |bytes| Ok(Reader::new(bytes).map_err(bad)?.total as i64);
            let counts: Result<Int64Array> = histograms
                .iter()
                .map(|bytes| bytes.map(count).transpose())
                .collect();
            return Ok(ColumnarValue::Array(Arc::new(counts?)));
        }
        let arguments = columns[1].as_primitive::<Float64Type>();
        let read = |(bytes, argument): (Option<&[u8]>, Option<f64>)| match bytes.zip(argument) {
            Some((bytes, argument)) => self.number(bytes, argument),
            None => Ok(None),
        };
        let numbers: Result<Float64Array> = histograms.iter().zip(arguments).map(read).collect();
        Ok(ColumnarValue::Array(Arc::new(numbers?)))
    }
}

impl ReadHistogram {
    fn number(&self, bytes: &[u8], argument: f64) -> Result<Option<f64>> {
        let reader = Reader::new(bytes).map_err(bad)?;
        let total = reader.total;
        if self.read == Read::ShareWithin {
            let within = reader.count_within(argument).map_err(bad)?;
            return Ok((total > 0).then(|| within as f64 / total as f64));
        }
        if !(0.0..=1.0).contains(&argument) {
            return exec_err!("percentile: the share must be from 0 to 1, not {argument}");
        }
        Ok(reader
            .percentile(argument)
            .map_err(bad)?
            .map(|value| value as f64))
    }
}
