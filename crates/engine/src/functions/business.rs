//! `business_ms(from, to, calendar)`: how much of a stretch of time a place was open.
//!
//! A calendar is a text, as the model `business_calendars` makes it of `facts.calendars`; what it
//! means is in [`facts::calendar`]. NULL where there is no calendar, where nobody knows whether the
//! place was open, and for what ends before it begins.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock};

use arrow::array::{AsArray, Int64Array};
use arrow::compute::cast;
use arrow::datatypes::{DataType, TimestampMicrosecondType};
use datafusion::common::{Result, plan_err};
use datafusion::logical_expr::{
    ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};
use facts::calendar::{Calendar, OPEN_DAYS_MAX, OpenTime};

use super::coerce_instant;
use crate::error::EngineError;

/// The function.
pub(super) static BUSINESS_MS: LazyLock<Arc<ScalarUDF>> = LazyLock::new(|| {
    let signature = Signature::user_defined(Volatility::Immutable);
    Arc::new(ScalarUDF::from(BusinessMs { signature }))
});

const NAME: &str = "business_ms";
const DAY_MICROS: i64 = 86_400_000_000;

#[derive(Debug, PartialEq, Eq, Hash)]
struct BusinessMs {
    signature: Signature,
}

impl ScalarUDFImpl for BusinessMs {
    fn name(&self) -> &str {
        NAME
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, given: &[DataType]) -> Result<Vec<DataType>> {
        match given {
            [from, to, calendar] if calendar.is_string() || calendar.is_null() => Ok(vec![
                coerce_instant(from, NAME)?,
                coerce_instant(to, NAME)?,
                DataType::Utf8,
            ]),
            _ => plan_err!("{NAME} takes (from, to, calendar), two times and a text"),
        }
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Int64)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let columns = ColumnarValue::values_to_arrays(&args.args)?;
        let [from, to] = [0, 1].map(|i| columns[i].as_primitive::<TimestampMicrosecondType>());
        let texts = cast(&columns[2], &DataType::Utf8)?;
        let texts = texts.as_string::<i32>();
        let rows = || {
            let times = from.iter().zip(to).zip(texts);
            times.map(|((from, to), text)| Some((from?, to?, text?)))
        };
        let open = lay_out(rows().flatten())?;
        let lengths: Int64Array = rows()
            .map(|row| {
                let (from, to, text) = row?;
                open.get(text)?.ms(from, to)
            })
            .collect();
        Ok(ColumnarValue::Array(Arc::new(lengths)))
    }
}

/// Each calendar, laid out over the times of its rows.
fn lay_out<'a>(
    rows: impl Iterator<Item = (i64, i64, &'a str)>,
) -> Result<HashMap<&'a str, OpenTime>> {
    let mut spans: HashMap<&str, (i64, i64)> = HashMap::new();
    for (from, to, text) in rows {
        let (first, last) = spans.entry(text).or_insert((from, to));
        (*first, *last) = ((*first).min(from), (*last).max(to));
    }
    // One batch has few calendars; many long ones are no data but somebody's question.
    let mut days = 0_i64;
    let mut open = HashMap::with_capacity(spans.len());
    for (text, (first, last)) in spans {
        days = days.saturating_add(last.saturating_sub(first) / DAY_MICROS + 3);
        let far = || {
            EngineError::refused(
                format!("{NAME}: the times lie too far apart"),
                "ask for a shorter time",
            )
        };
        if days > OPEN_DAYS_MAX {
            return Err(far().into());
        }
        let calendar = Calendar::parse(text).map_err(|_| {
            EngineError::refused(
                format!("{NAME}: this text is no calendar"),
                "take the column `opening` of facts.business_calendars",
            )
        })?;
        let time = calendar.open_time(first, last).ok_or_else(far)?;
        open.insert(text, time);
    }
    Ok(open)
}
