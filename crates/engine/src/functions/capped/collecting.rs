//! Aggregates that keep every value they see, with a limit for each group.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef};
use arrow::datatypes::{DataType, FieldRef};
use datafusion::common::{Result, ScalarValue};
use datafusion::logical_expr::expr::AggregateFunctionParams;
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::utils::AggregateOrderSensitivity;
use datafusion::logical_expr::{
    Accumulator, AggregateUDF, AggregateUDFImpl, Documentation, ReversedUDAF, Signature,
};

use crate::error::EngineError;
use crate::guard::GROUP_BYTES_MAX;

/// The aggregate itself, or with a limit where it needs one.
pub(in crate::functions) fn aggregate(function: Arc<AggregateUDF>) -> Arc<AggregateUDF> {
    match function.name() {
        "array_agg" | "string_agg" => Arc::new(AggregateUDF::from(Capped { function })),
        _ => function,
    }
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Capped {
    function: Arc<AggregateUDF>,
}

/// Everything but the accumulator is the built-in function's. One accumulator a group: the limit
/// is a group's.
impl AggregateUDFImpl for Capped {
    fn name(&self) -> &str {
        self.function.name()
    }

    fn aliases(&self) -> &[String] {
        self.function.aliases()
    }

    fn schema_name(&self, params: &AggregateFunctionParams) -> Result<String> {
        self.function.schema_name(params)
    }

    fn signature(&self) -> &Signature {
        self.function.signature()
    }

    fn return_type(&self, arg_types: &[DataType]) -> Result<DataType> {
        self.function.return_type(arg_types)
    }

    fn return_field(&self, arg_fields: &[FieldRef]) -> Result<FieldRef> {
        self.function.return_field(arg_fields)
    }

    fn coerce_types(&self, arg_types: &[DataType]) -> Result<Vec<DataType>> {
        self.function.coerce_types(arg_types)
    }

    fn state_fields(&self, args: StateFieldsArgs) -> Result<Vec<FieldRef>> {
        self.function.state_fields(args)
    }

    fn accumulator(&self, args: AccumulatorArgs) -> Result<Box<dyn Accumulator>> {
        let name = self.function.name().to_owned();
        let distinct = args.is_distinct;
        let inner = self.function.accumulator(args)?;
        Ok(Box::new(Collecting {
            name,
            distinct,
            inner,
            bytes: 0,
        }))
    }

    fn with_beneficial_ordering(
        self: Arc<Self>,
        beneficial_ordering: bool,
    ) -> Result<Option<Arc<dyn AggregateUDFImpl>>> {
        let function = AggregateUDF::clone(&self.function);
        let ordered = function.with_beneficial_ordering(beneficial_ordering)?;
        Ok(ordered.map(|function| {
            let function = Arc::new(function);
            Arc::new(Capped { function }) as Arc<dyn AggregateUDFImpl>
        }))
    }

    fn order_sensitivity(&self) -> AggregateOrderSensitivity {
        self.function.order_sensitivity()
    }

    /// The reverse of the built-in function has no limit.
    fn reverse_expr(&self) -> ReversedUDAF {
        ReversedUDAF::NotSupported
    }

    fn is_nullable(&self) -> bool {
        self.function.is_nullable()
    }

    fn default_value(&self, data_type: &DataType) -> Result<ScalarValue> {
        self.function.default_value(data_type)
    }

    fn supports_null_handling_clause(&self) -> bool {
        self.function.supports_null_handling_clause()
    }

    fn documentation(&self) -> Option<&Documentation> {
        self.function.documentation()
    }
}

/// Adds up what was collected; of distinct values, what is kept.
#[derive(Debug)]
struct Collecting {
    name: String,
    distinct: bool,
    inner: Box<dyn Accumulator>,
    bytes: u64,
}

impl Collecting {
    fn take(&mut self, values: &[ArrayRef]) -> Result<()> {
        if !self.distinct {
            self.bytes = self.bytes.saturating_add(bytes_of(values)?);
            self.check(self.bytes)?;
        }
        Ok(())
    }

    fn taken(&self) -> Result<()> {
        if self.distinct {
            self.check(self.inner.size() as u64)
        } else {
            Ok(())
        }
    }

    fn check(&self, bytes: u64) -> Result<()> {
        if bytes <= GROUP_BYTES_MAX {
            return Ok(());
        }
        let name = &self.name;
        let text = format!("{name}: the values of a group have more than {GROUP_BYTES_MAX} bytes");
        Err(EngineError::BadValue(text).into())
    }
}

fn bytes_of(values: &[ArrayRef]) -> Result<u64> {
    let mut bytes = 0_u64;
    for array in values {
        bytes = bytes.saturating_add(array.to_data().get_slice_memory_size()? as u64);
    }
    Ok(bytes)
}

impl Accumulator for Collecting {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        self.take(values)?;
        self.inner.update_batch(values)?;
        self.taken()
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        self.take(states)?;
        self.inner.merge_batch(states)?;
        self.taken()
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        self.inner.evaluate()
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        self.inner.state()
    }

    fn size(&self) -> usize {
        size_of::<Self>() + self.inner.size()
    }

    fn retract_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        if !self.distinct {
            self.bytes = self.bytes.saturating_sub(bytes_of(values)?);
        }
        self.inner.retract_batch(values)
    }

    fn supports_retract_batch(&self) -> bool {
        self.inner.supports_retract_batch()
    }
}
