//! Reads back what was open, and what ended lately, from `facts.alerts`.

use arrow::{
    array::{Array, AsArray, RecordBatch},
    datatypes::{Float64Type, Int64Type, TimestampMicrosecondType},
};
use engine::{
    SessionSettings,
    service::{Caller, QueryError, QueryService, RunOptions},
};
use events::UtcMicros;
use kpi::alert::{Alert, State};

use super::value::{AlertValue, epoch_ms};
use crate::limits;

/// A stored alert.
pub(super) struct Stored {
    pub alert: Alert,
    pub shown: AlertValue,
}

/// Alerts that are open or ended after `since`, the oldest first.
pub(super) async fn read(
    queries: &QueryService,
    since: UtcMicros,
) -> Result<Vec<Stored>, QueryError> {
    let caller = Caller {
        name: super::SOURCE.into(),
        sees_all: false,
        sees_raw: false,
    };
    // Of too many the newest count.
    let text = format!(
        "SELECT alert_id, rule_id, scope, figure, level, state, acknowledged_by, note,
                started_at, changed_at, acknowledged_at, ended_at,
                CAST(value AS DOUBLE) AS value, CAST(peak AS DOUBLE) AS peak, n, acknowledged
         FROM facts.alerts
         WHERE ended_at IS NULL OR ended_at >= '{since}'
         ORDER BY ended_at IS NULL DESC, started_at DESC LIMIT {}",
        limits::ALERTS_RESTORED_MAX
    );
    let planned = queries
        .plan(&caller, &text, &SessionSettings::default())
        .await?;
    let mut rows = queries.run(&planned, &[], RunOptions::default()).await?;
    let mut found = Vec::new();
    while let Some(batch) = rows.next().await {
        let batch = batch?;
        found.extend((0..batch.num_rows()).filter_map(|row| Row(&batch, row).stored()));
    }
    found.sort_by_key(|stored| stored.shown.since);
    Ok(found)
}

/// One row of the answer.
struct Row<'a>(&'a RecordBatch, usize);

impl Row<'_> {
    fn text(&self, name: &str) -> Option<&str> {
        let column = self.0.column_by_name(name)?.as_string_opt::<i32>()?;
        column.is_valid(self.1).then(|| column.value(self.1))
    }

    fn time(&self, name: &str) -> Option<UtcMicros> {
        let column = self.0.column_by_name(name)?;
        let times = column.as_primitive_opt::<TimestampMicrosecondType>()?;
        times
            .is_valid(self.1)
            .then(|| UtcMicros(times.value(self.1)))
    }

    fn number(&self, name: &str) -> Option<f64> {
        let column = self.0.column_by_name(name)?;
        if let Some(whole) = column.as_primitive_opt::<Int64Type>() {
            return whole.is_valid(self.1).then(|| whole.value(self.1) as f64);
        }
        let numbers = column.as_primitive_opt::<Float64Type>()?;
        numbers.is_valid(self.1).then(|| numbers.value(self.1))
    }

    /// `None`: the row was not written by this program.
    fn stored(&self) -> Option<Stored> {
        let state = State::parse(self.text("state")?)?;
        let held = match state {
            State::Unknown => State::parse(self.text("level")?)?,
            state => state,
        };
        let acknowledged = self.0.column_by_name("acknowledged")?.as_boolean_opt()?;
        let seen_at = self.time("acknowledged_at");
        let seen_at = seen_at.filter(|_| acknowledged.value(self.1));
        let text = |name| self.text(name).map(str::to_owned);
        let alert = Alert {
            since: self.time("started_at")?,
            state,
            state_since: self.time("changed_at")?,
            held,
            value: self.number("value"),
            peak: self.number("peak"),
            n: self.number("n"),
            acknowledged: seen_at.map(|at| (at, held)),
        };
        let shown = AlertValue {
            id: text("alert_id")?,
            rule: text("rule_id")?,
            scope: text("scope")?,
            figure: text("figure")?,
            state: state.word(),
            since: epoch_ms(alert.since),
            changed_at: epoch_ms(alert.state_since),
            ended_at: self.time("ended_at").map(epoch_ms),
            value: alert.value,
            peak: alert.peak,
            n: alert.n,
            acknowledged_by: text("acknowledged_by").filter(|_| seen_at.is_some()),
            note: text("note").filter(|_| seen_at.is_some()),
        };
        Some(Stored { alert, shown })
    }
}
