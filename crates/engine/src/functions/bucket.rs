//! `kpi_bucket(ts, grain [, zone])`: the start of the calendar bucket that an instant is in.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, TimestampMicrosecondArray};
use arrow::datatypes::{DataType, TimestampMicrosecondType};
use datafusion::common::{DataFusionError, Result, ScalarValue, plan_err};
use datafusion::logical_expr::interval_arithmetic::Interval;
use datafusion::logical_expr::preimage::PreimageResult;
use datafusion::logical_expr::simplify::SimplifyContext;
use datafusion::logical_expr::sort_properties::{ExprProperties, SortProperties};
use datafusion::logical_expr::{
    ColumnarValue, Expr, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};

use super::calendar::{Calendar, CalendarError, parse_grain, parse_zone};
use super::{coerce_instant, instant, instant_type, literal_text};
use crate::error::EngineError;

/// The function; `default_zone` serves calls of two arguments.
pub(super) fn udf(default_zone: &str) -> ScalarUDF {
    let signature = Signature::user_defined(Volatility::Immutable);
    ScalarUDF::from(KpiBucket {
        default_zone: default_zone.to_owned(),
        signature,
    })
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct KpiBucket {
    default_zone: String,
    signature: Signature,
}

impl KpiBucket {
    fn calendar(&self, grain: &str, zone: Option<&str>) -> Result<Calendar> {
        let zone = parse_zone(zone.unwrap_or(&self.default_zone)).map_err(invalid)?;
        Ok(Calendar::new(parse_grain(grain).map_err(invalid)?, zone))
    }
}

pub(super) fn invalid(error: CalendarError) -> DataFusionError {
    EngineError::Invalid(format!("kpi_bucket: {error}")).into()
}

impl ScalarUDFImpl for KpiBucket {
    fn name(&self) -> &str {
        "kpi_bucket"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, given: &[DataType]) -> Result<Vec<DataType>> {
        let [time, texts @ ..] = given else {
            return plan_err!("kpi_bucket takes (time, grain [, zone])");
        };
        if !(1..=2).contains(&texts.len()) || !texts.iter().all(DataType::is_string) {
            return plan_err!("kpi_bucket takes (time, grain [, zone]); grain and zone are texts");
        }
        let mut types = vec![coerce_instant(time, "kpi_bucket")?];
        types.resize(given.len(), DataType::Utf8);
        Ok(types)
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(instant_type())
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let grain = literal_text(&args.args[1], "kpi_bucket", "grain")?;
        let zone = args
            .args
            .get(2)
            .map(|z| literal_text(z, "kpi_bucket", "zone"))
            .transpose()?;
        let calendar = self.calendar(grain, zone)?;
        Ok(match &args.args[0] {
            ColumnarValue::Scalar(ScalarValue::TimestampMicrosecond(Some(t), _)) => {
                ColumnarValue::Scalar(instant(calendar.bucket(*t).start))
            }
            ColumnarValue::Scalar(_) => {
                ColumnarValue::Scalar(ScalarValue::try_new_null(&instant_type())?)
            }
            ColumnarValue::Array(times) => ColumnarValue::Array(starts(&calendar, times)),
        })
    }

    /// Later instants are never in earlier buckets.
    fn output_ordering(&self, inputs: &[ExprProperties]) -> Result<SortProperties> {
        Ok(inputs
            .first()
            .map_or(SortProperties::Unordered, |time| time.sort_properties))
    }

    /// `kpi_bucket(t, '1d', zone) = x` becomes a range of `t`, by which files are pruned.
    fn preimage(
        &self,
        args: &[Expr],
        literal: &Expr,
        _: &SimplifyContext,
    ) -> Result<PreimageResult> {
        let text = |arg: &Expr| match arg {
            Expr::Literal(value, _) => value.try_as_str().flatten().map(str::to_owned),
            _ => None,
        };
        let start = match literal {
            Expr::Literal(ScalarValue::TimestampMicrosecond(Some(start), _), _) => *start,
            _ => return Ok(PreimageResult::None),
        };
        let (Some(grain), zone) = (text(&args[1]), args.get(2).map(text)) else {
            return Ok(PreimageResult::None);
        };
        let zone = match zone {
            Some(None) => return Ok(PreimageResult::None),
            given => given.flatten(),
        };
        let bucket = self.calendar(&grain, zone.as_deref())?.bucket(start);
        if bucket.start != start {
            return Ok(PreimageResult::None);
        }
        let interval = Box::new(Interval::try_new(
            instant(bucket.start),
            instant(bucket.end),
        )?);
        Ok(PreimageResult::Range {
            expr: args[0].clone(),
            interval,
        })
    }
}

fn starts(calendar: &Calendar, times: &ArrayRef) -> ArrayRef {
    let times = times.as_primitive::<TimestampMicrosecondType>();
    let starts = calendar.start_all(times.values());
    let array = TimestampMicrosecondArray::new(starts.into(), times.nulls().cloned());
    Arc::new(array.with_timezone("UTC"))
}
