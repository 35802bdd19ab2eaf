//! Days and months of the zone for which a report is asked, for the SELECTs of models.
//!
//! * `report_bucket(grain, t)`: start of the bucket that an instant is in.
//! * `report_next(grain, t)`: start of the bucket after that.
//! * `report_buckets(grain, from, to)`: starts of all buckets that overlap `from..to`, half-open, in
//!   order; the first may lie before `from`.
//! * `report_day('2026-03-02')`: start of that day.
//!
//! NULL gives NULL. Models are compiled once for all zones: which one it is, the session says. Queries
//! call `kpi_bucket`, so these are registered where models are planned only.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, AsArray, ListBuilder, TimestampMicrosecondArray, TimestampMicrosecondBuilder,
};
use arrow::datatypes::{DataType, Field, TimestampMicrosecondType};
use chrono::NaiveDate;
use datafusion::common::{Result, plan_err};
use datafusion::logical_expr::{
    ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};

use super::bucket::invalid;
use super::calendar::{Calendar, Grain, parse_grain};
use super::{coerce_instant, instant_type, literal_text};
use crate::session::now_of;

const DAY_MICROS: i64 = 86_400_000_000;

/// All of them.
pub(super) fn all() -> impl Iterator<Item = Arc<ScalarUDF>> {
    [Asked::Bucket, Asked::Next, Asked::Buckets, Asked::Day]
        .into_iter()
        .map(|asked| {
            let signature = Signature::user_defined(Volatility::Stable);
            Arc::new(ScalarUDF::from(OfReport { asked, signature }))
        })
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Asked {
    Bucket,
    Next,
    Buckets,
    Day,
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct OfReport {
    asked: Asked,
    signature: Signature,
}

impl ScalarUDFImpl for OfReport {
    fn name(&self) -> &str {
        match self.asked {
            Asked::Bucket => "report_bucket",
            Asked::Next => "report_next",
            Asked::Buckets => "report_buckets",
            Asked::Day => "report_day",
        }
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, given: &[DataType]) -> Result<Vec<DataType>> {
        let time = |given: &DataType| coerce_instant(given, self.name());
        match (self.asked, given) {
            (Asked::Bucket | Asked::Next, [_, at]) => Ok(vec![DataType::Utf8, time(at)?]),
            (Asked::Buckets, [_, from, to]) => Ok(vec![DataType::Utf8, time(from)?, time(to)?]),
            (Asked::Day, [_]) => Ok(vec![DataType::Utf8]),
            _ => plan_err!("{}: another number of arguments is needed", self.name()),
        }
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(match self.asked {
            Asked::Buckets => DataType::List(item()),
            _ => instant_type(),
        })
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let zone = now_of(&args.config_options)?.zone;
        let grain = match self.asked {
            Asked::Day => Grain::D1,
            _ => {
                parse_grain(literal_text(&args.args[0], self.name(), "grain")?).map_err(invalid)?
            }
        };
        let calendar = Calendar::new(grain, zone);
        let columns = ColumnarValue::values_to_arrays(&args.args)?;
        Ok(ColumnarValue::Array(match self.asked {
            Asked::Bucket => each(&columns[1], |at| calendar.bucket(at).start),
            Asked::Next => each(&columns[1], |at| calendar.bucket(at).end),
            Asked::Buckets => lists(&calendar, &columns[1], &columns[2]),
            Asked::Day => days(&calendar, &columns[0]),
        }))
    }
}

fn item() -> Arc<Field> {
    Arc::new(Field::new("item", instant_type(), true))
}

fn each(times: &ArrayRef, of: impl Fn(i64) -> i64) -> ArrayRef {
    let times = times.as_primitive::<TimestampMicrosecondType>();
    let all: TimestampMicrosecondArray = times.iter().map(|at| at.map(&of)).collect();
    Arc::new(all.with_timezone("UTC"))
}

fn lists(calendar: &Calendar, from: &ArrayRef, to: &ArrayRef) -> ArrayRef {
    let [from, to] = [from, to].map(|times| times.as_primitive::<TimestampMicrosecondType>());
    let starts = TimestampMicrosecondBuilder::new().with_timezone("UTC");
    let mut lists = ListBuilder::new(starts).with_field(item());
    for range in from.iter().zip(to) {
        if let (Some(from), Some(to)) = range {
            let starts = calendar.starts(from, to);
            starts.for_each(|start| lists.values().append_value(start));
            lists.append(true);
        } else {
            lists.append(false);
        }
    }
    Arc::new(lists.finish())
}

fn days(calendar: &Calendar, texts: &ArrayRef) -> ArrayRef {
    let start = |text: &str| {
        let day = text.parse::<NaiveDate>().ok()?.to_epoch_days();
        Some(calendar.when_local(i64::from(day) * DAY_MICROS))
    };
    let texts = texts.as_string::<i32>();
    let all: TimestampMicrosecondArray = texts.iter().map(|text| start(text?)).collect();
    Arc::new(all.with_timezone("UTC"))
}

#[cfg(test)]
mod tests {
    use arrow::array::{Array, StringArray};
    use events::UtcMicros;

    use super::*;
    use crate::functions::calendar::parse_zone;

    fn calendar(zone: &str) -> Calendar {
        Calendar::new(Grain::D1, parse_zone(zone).expect("a zone"))
    }

    fn texts(times: &ArrayRef) -> Vec<Option<String>> {
        let times = times.as_primitive::<TimestampMicrosecondType>().iter();
        times.map(|at| Some(UtcMicros(at?).to_string())).collect()
    }

    fn times(texts: [Option<&str>; 2]) -> ArrayRef {
        let micros = |text: &str| UtcMicros::parse_rfc3339(text).map(|at| at.0);
        let all: TimestampMicrosecondArray = texts.iter().map(|text| micros((*text)?)).collect();
        Arc::new(all.with_timezone("UTC"))
    }

    #[test]
    fn days_of_a_stretch_are_those_of_the_zone_also_where_clocks_change() {
        let from = times([Some("2026-03-07T12:00:00Z"), None]);
        let to = times([Some("2026-03-09T04:00:01Z"), Some("2026-03-09T04:00:00Z")]);
        let found = lists(&calendar("America/New_York"), &from, &to);
        let found = found.as_list::<i32>();
        let days = [
            "2026-03-07T05:00:00Z",
            "2026-03-08T05:00:00Z",
            "2026-03-09T04:00:00Z",
        ];
        assert_eq!(texts(&found.value(0)), days.map(|day| Some(day.to_owned())));
        assert!(found.is_null(1), "NULL gives NULL");
    }

    #[test]
    fn a_date_is_a_day_of_the_zone() {
        let dates: ArrayRef = Arc::new(StringArray::from(vec![
            Some("2026-03-08"),
            Some("2026-03-09"),
            None,
        ]));
        for (zone, first, second) in [
            (
                "America/New_York",
                "2026-03-08T05:00:00Z",
                "2026-03-09T04:00:00Z",
            ),
            (
                "Pacific/Kiritimati",
                "2026-03-07T10:00:00Z",
                "2026-03-08T10:00:00Z",
            ),
        ] {
            let found = texts(&days(&calendar(zone), &dates));
            let known = [first, second].map(|day| Some(day.to_owned()));
            assert_eq!(found, [&known[..], &[None]].concat(), "{zone}");
        }
    }
}
