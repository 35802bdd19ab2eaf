//! Money of two currencies is not added: the sum becomes an error that names them.

use std::sync::{Arc, LazyLock};

use arrow::array::{Array, AsArray};
use arrow::compute::cast;
use arrow::datatypes::DataType;
use datafusion::error::Result;
use datafusion::logical_expr::{
    ColumnarValue, Expr, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility, lit,
};
use kpi::Agg;

use super::{Compiler, MONEY_SUM, PartPlan};
use crate::error::EngineError;
use crate::functions::literal_text;

/// The column of a model that says what its money is counted in.
const CURRENCY: &str = "currency";

/// Positions of the parts that hold the first and last currency of the rows of a sum.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Guard {
    pub low: usize,
    pub high: usize,
}

impl Compiler<'_> {
    /// Adds, for each sum of money, the parts that tell whether its rows are of one currency.
    pub(super) fn guard_money(&self, parts: &mut Vec<PartPlan>) -> Vec<Option<Guard>> {
        let currency = self.schema.iter().find(|(_, f)| f.name() == CURRENCY);
        let Some(column) = currency.map(|(q, f)| Expr::Column((q, f).into())) else {
            return vec![None; parts.len()];
        };
        let mut guards = Vec::new();
        for index in 0..parts.len() {
            let part = &parts[index];
            if part.agg != Agg::Sum || part.data_type != MONEY_SUM {
                guards.push(None);
                continue;
            }
            let (name, filter) = (part.name.clone(), part.filter.clone());
            let guard = |suffix: &str, agg| PartPlan {
                name: format!("{name}_{suffix}"),
                agg,
                arg: Some(column.clone()),
                filter: filter.clone(),
                data_type: DataType::Utf8,
            };
            guards.push(Some(Guard {
                low: parts.len(),
                high: parts.len() + 1,
            }));
            parts.extend([
                guard("currency_low", Agg::Min),
                guard("currency_high", Agg::Max),
            ]);
        }
        guards
    }
}

/// What is said about a sum of money of two currencies.
pub(crate) fn two_currencies(kpi: &str, one: &str, other: &str) -> EngineError {
    EngineError::refused(
        format!("{kpi} would add {one} and {other}: money of two currencies is not added"),
        "filter by one currency (currency = '...'), or group so that each group has one",
    )
}

/// `amount`, or an error when its rows were of more than one currency, `low` and `high`; it names
/// the KPI.
pub(super) fn one_currency(kpi: &str, amount: Expr, low: Expr, high: Expr) -> Expr {
    static FUNCTION: LazyLock<Arc<ScalarUDF>> = LazyLock::new(|| {
        let signature = Signature::any(4, Volatility::Immutable);
        Arc::new(ScalarUDF::new_from_impl(OneCurrency { signature }))
    });
    FUNCTION.call(vec![amount, low, high, lit(kpi)])
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct OneCurrency {
    signature: Signature,
}

impl ScalarUDFImpl for OneCurrency {
    fn name(&self) -> &str {
        "one_currency"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, arguments: &[DataType]) -> Result<DataType> {
        Ok(arguments.first().cloned().unwrap_or(DataType::Null))
    }

    fn invoke_with_args(&self, call: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let text = |value: &ColumnarValue| -> Result<_> {
            Ok(cast(&value.to_array(call.number_rows)?, &DataType::Utf8)?)
        };
        let (low, high) = (text(&call.args[1])?, text(&call.args[2])?);
        let (low, high) = (low.as_string::<i32>(), high.as_string::<i32>());
        let two = (0..low.len()).find(|&row| {
            low.is_valid(row) && high.is_valid(row) && low.value(row) != high.value(row)
        });
        match two {
            None => Ok(call.args[0].clone()),
            Some(row) => {
                let kpi = literal_text(&call.args[3], "one_currency", "KPI")?;
                Err(two_currencies(kpi, low.value(row), high.value(row)).into())
            }
        }
    }
}
