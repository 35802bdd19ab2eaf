//! The ledger as JSON, for `callgauge simulate --truth`.

use chrono::DateTime;
use events::UtcMicros;
use serde_json::{Map, Value, json};

use super::{Bucket, Grouping, Ledger, LedgerRow, METRICS, Metric, Unit};

impl Ledger {
    /// Totals of every KPI, and its figures by queue and day (by day alone if it has no queue).
    /// Numerators are whole numbers, milliseconds, or money as decimal text; a value of null means
    /// that there was nothing to divide by.
    pub fn to_json(&self) -> Value {
        let mut kpis = Map::new();
        for metric in METRICS {
            let rows = |bucket, by_queue| self.kpi(metric.id, Grouping { bucket, by_queue });
            let total = rows(Bucket::Total, false).unwrap_or_default();
            let days = rows(Bucket::Day(self.zone), metric.by_queue).unwrap_or_default();
            let total = total
                .first()
                .map_or(Value::Null, |row| self.row(metric, row).into());
            let days: Vec<Value> = days.iter().map(|r| self.row(metric, r).into()).collect();
            kpis.insert(
                metric.id.to_owned(),
                json!({ "total": total, "days": days }),
            );
        }
        json!({
            "format": 1,
            "zone": self.zone.name(),
            "start": UtcMicros(self.start * 1_000),
            "horizon": UtcMicros(self.horizon * 1_000),
            "kpis": kpis,
        })
    }

    fn row(&self, metric: &Metric, row: &LedgerRow) -> Map<String, Value> {
        let mut object = Map::new();
        if let Some(queue) = &row.queue {
            object.insert("queue".into(), queue.as_str().into());
        }
        if let Some(day) = row
            .bucket_start
            .and_then(|t| DateTime::from_timestamp_micros(t.0))
        {
            let day = day.with_timezone(&self.zone).date_naive();
            object.insert("day".into(), day.to_string().into());
        }
        object.insert("numerator".into(), numerator(metric, row.numerator));
        if let Some(n) = row.denominator {
            object.insert("denominator".into(), whole(n));
        }
        object.insert(
            "value".into(),
            row.value(metric).map_or(Value::Null, Value::from),
        );
        object
    }
}

fn numerator(metric: &Metric, n: i128) -> Value {
    match metric.unit {
        Unit::Money => events::Decimal(n).to_string().into(),
        _ => whole(n),
    }
}

/// A count; beyond 64 bits as text, which no simulated world reaches.
fn whole(n: i128) -> Value {
    i64::try_from(n).map_or_else(|_| n.to_string().into(), Value::from)
}
