//! Workforce maths in SQL: Erlang B, C and A over columns.
//!
//! An answer that does not exist is NULL. The formulas and their sources stand in `kpi::erlang`.

use std::sync::{Arc, LazyLock};

use arrow::array::{Array, ArrayRef, AsArray, Float64Array, Int64Array};
use arrow::datatypes::{DataType, Float64Type};
use datafusion::common::{Result, ScalarValue, plan_err};
use datafusion::logical_expr::{
    ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};
use kpi::erlang::{FORMULAS, Formula};

use crate::error::EngineError;
use crate::guard::BATCH_STEPS_MAX;

/// Every function of this file.
pub(super) static ALL: LazyLock<Vec<Arc<ScalarUDF>>> = LazyLock::new(|| {
    let functions = FORMULAS.iter().enumerate();
    let functions = functions.map(|(place, _)| {
        let signature = Signature::user_defined(Volatility::Immutable);
        Arc::new(ScalarUDF::from(Erlang { place, signature }))
    });
    functions.collect()
});

/// The names of the functions, in the order of the table.
pub(super) fn names() -> impl Iterator<Item = &'static str> {
    FORMULAS.iter().map(|formula| formula.name)
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Erlang {
    place: usize,
    signature: Signature,
}

impl Erlang {
    fn formula(&self) -> &'static Formula {
        &FORMULAS[self.place]
    }

    fn values(&self, columns: &[ArrayRef], rows: usize) -> Result<Vec<Option<f64>>> {
        let formula = self.formula();
        let columns: Vec<&Float64Array> = columns
            .iter()
            .map(|c| c.as_primitive::<Float64Type>())
            .collect();
        let mut steps = 0.0;
        let mut values = Vec::with_capacity(rows);
        let needed = formula.arguments.len() - formula.optional;
        let mut row = Vec::with_capacity(columns.len());
        for at in 0..rows {
            if columns[..needed].iter().any(|column| column.is_null(at)) {
                values.push(None);
                continue;
            }
            // At most the last one is optional; NULL is as if it were not there.
            let given = columns.iter().filter(|column| column.is_valid(at));
            row.clear();
            row.extend(given.map(|column| column.value(at)));
            // A NaN makes no step: the formulas refuse it at once.
            steps += formula.steps(&row).max(0.0);
            if steps > BATCH_STEPS_MAX as f64 {
                return Err(too_much(formula.name).into());
            }
            values.push(formula.answer(&row));
        }
        Ok(values)
    }
}

fn too_much(name: &str) -> EngineError {
    EngineError::BadValue(format!(
        "{name}: so many rows of so many calls take too long; ask for sums of an interval, and for \
         fewer of them"
    ))
}

impl ScalarUDFImpl for Erlang {
    fn name(&self) -> &str {
        self.formula().name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, given: &[DataType]) -> Result<Vec<DataType>> {
        let formula = self.formula();
        let most = formula.arguments.len();
        let fits = (most - formula.optional..=most).contains(&given.len());
        if !fits || !given.iter().all(|t| t.is_numeric() || t.is_null()) {
            return plan_err!("{}, all of them numbers", formula.usage());
        }
        Ok(vec![DataType::Float64; given.len()])
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(match self.formula().counts {
            true => DataType::Int64,
            false => DataType::Float64,
        })
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let constant = args
            .args
            .iter()
            .all(|a| matches!(a, ColumnarValue::Scalar(_)));
        let rows = if constant { 1 } else { args.number_rows };
        let columns: Vec<ArrayRef> = args
            .args
            .iter()
            .map(|a| a.to_array(rows))
            .collect::<Result<_>>()?;
        let values = self.values(&columns, rows)?;
        let array: ArrayRef = match self.formula().counts {
            true => Arc::new(
                values
                    .into_iter()
                    .map(|v| v.map(|n| n as i64))
                    .collect::<Int64Array>(),
            ),
            false => Arc::new(values.into_iter().collect::<Float64Array>()),
        };
        Ok(match constant {
            true => ColumnarValue::Scalar(ScalarValue::try_from_array(&array, 0)?),
            false => ColumnarValue::Array(array),
        })
    }
}
