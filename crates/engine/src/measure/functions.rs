//! `MEASURE`, its aliases and `MEASURE_PART`: markers that the rule replaces. They never run.

use std::sync::{Arc, LazyLock};

use arrow::datatypes::DataType;
use datafusion::error::Result;
use datafusion::logical_expr::function::AccumulatorArgs;
use datafusion::logical_expr::{
    Accumulator, AggregateUDF, AggregateUDFImpl, Expr, Signature, Volatility, lit,
};

use crate::error::refuse;

const MEASURE: &str = "measure";
const PART: &str = "measure_part";

static MEASURE_UDAF: LazyLock<Arc<AggregateUDF>> = LazyLock::new(|| {
    let marker = Marker {
        name: MEASURE,
        signature: Signature::any(1, Volatility::Immutable),
    };
    Arc::new(AggregateUDF::new_from_impl(marker).with_aliases(["agg", "aggregate"]))
});

static PART_UDAF: LazyLock<Arc<AggregateUDF>> = LazyLock::new(|| {
    let marker = Marker {
        name: PART,
        signature: Signature::any(2, Volatility::Immutable),
    };
    Arc::new(AggregateUDF::new_from_impl(marker))
});

/// `MEASURE(x)`: the KPI's value at the aggregate it stands in.
pub(crate) fn measure(kpi_column: Expr) -> Expr {
    MEASURE_UDAF.call(vec![kpi_column])
}

/// `MEASURE_PART(x, 'met')`: one part of the KPI at that aggregate, as Float64.
pub(crate) fn measure_part(kpi_column: Expr, part: &str) -> Expr {
    PART_UDAF.call(vec![kpi_column, lit(part)])
}

/// The functions to register.
pub(crate) fn aggregate_functions() -> [Arc<AggregateUDF>; 2] {
    [Arc::clone(&MEASURE_UDAF), Arc::clone(&PART_UDAF)]
}

/// Is the function one that only the rule understands?
pub(super) fn is_marker(name: &str) -> bool {
    name == MEASURE || name == PART
}

/// Does the function ask for one part?
pub(super) fn is_part(name: &str) -> bool {
    name == PART
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Marker {
    name: &'static str,
    signature: Signature,
}

impl AggregateUDFImpl for Marker {
    fn name(&self) -> &str {
        self.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, arguments: &[DataType]) -> Result<DataType> {
        match (self.name, arguments.first()) {
            (MEASURE, Some(of)) => Ok(of.clone()),
            _ => Ok(DataType::Float64),
        }
    }

    fn accumulator(&self, _: AccumulatorArgs<'_>) -> Result<Box<dyn Accumulator>> {
        let reason = format!(
            "{}() stands where no KPI can be evaluated",
            self.name.to_uppercase()
        );
        Err(refuse(
            reason,
            "use it in SELECT, HAVING or ORDER BY over a kpi view",
        ))
    }
}
