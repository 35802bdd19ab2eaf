//! An alert as it is shown, and as it is stored.

use events::{
    AlertChanged, AlertState, Attributes, DEFAULT_TENANT, Decimal, Event, EventData, Text,
    UtcMicros,
};
use kpi::alert::{Alert, AlertRule, Change, State, alert_id};
use schemars::JsonSchema;
use serde::Serialize;

use super::SOURCE;

/// An alert as pages, programs and webhooks see it. Times are milliseconds since 1970.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
#[schemars(rename = "Alert")]
pub struct AlertValue {
    /// For `POST /api/v1/alerts/{id}/acknowledge`.
    pub id: String,
    /// Id of the rule.
    pub rule: String,
    /// `t` is the whole centre, `q.sales` a queue.
    pub scope: String,
    /// As a cell of the live board has it.
    pub figure: String,
    /// `warn`, `critical`, `unknown`, or `ok` when it is over.
    pub state: &'static str,
    /// When it was raised.
    pub since: i64,
    /// Since when it has its state.
    pub changed_at: i64,
    /// When it ended.
    pub ended_at: Option<i64>,
    /// At the last change: durations in milliseconds, ratios 0 to 1.
    pub value: Option<f64>,
    /// The worst value up to the last change.
    pub peak: Option<f64>,
    /// How many things the value is about.
    pub n: Option<f64>,
    /// Who has seen it, since it was raised or got worse.
    pub acknowledged_by: Option<String>,
    /// What they said.
    pub note: Option<String>,
}

impl AlertValue {
    /// As the rule sees it; who has seen it is not known here.
    pub(super) fn of(rule: &AlertRule, scope: &str, alert: &Alert) -> Self {
        let is_over = alert.state == State::Ok;
        AlertValue {
            id: alert_id(&rule.id, scope, alert.since),
            rule: rule.id.clone(),
            scope: scope.to_owned(),
            figure: rule.figure.clone(),
            state: alert.state.word(),
            since: epoch_ms(alert.since),
            changed_at: epoch_ms(alert.state_since),
            ended_at: is_over.then_some(epoch_ms(alert.state_since)),
            value: alert.value,
            peak: alert.peak,
            n: alert.n,
            acknowledged_by: None,
            note: None,
        }
    }

    /// Keeps who has seen the alert, as long as the rule says that it counts.
    pub(super) fn seen_as(mut self, before: Option<&AlertValue>, counts: bool) -> Self {
        if let Some(before) = before.filter(|_| counts) {
            self.acknowledged_by.clone_from(&before.acknowledged_by);
            self.note.clone_from(&before.note);
        }
        self
    }

    /// Over, because nothing watches it any more.
    pub(super) fn ended(self, alert: &Alert) -> Self {
        AlertValue {
            state: alert.state.word(),
            changed_at: epoch_ms(alert.state_since),
            ended_at: Some(epoch_ms(alert.state_since)),
            value: None,
            n: None,
            ..self
        }
    }

    pub(super) fn changed_event(&self, at: UtcMicros, change: &Change) -> Event {
        let state = match change.alert.state {
            State::Ok => AlertState::Ok,
            State::Warn => AlertState::Warn,
            State::Critical => AlertState::Critical,
            State::Unknown => AlertState::Unknown,
        };
        let data = AlertChanged {
            alert_id: self.id.as_str().into(),
            rule_id: self.rule.as_str().into(),
            figure: self.figure.as_str().into(),
            scope: self.scope.as_str().into(),
            queue_id: self.scope.strip_prefix("q.").map(Text::from),
            state,
            value: self.value.and_then(Decimal::nearest),
            peak: self.peak.and_then(Decimal::nearest),
            n: self.n.map(|n| n.round() as i64),
            rearmed: change.rearmed.then_some(true),
        };
        event(format!("{}.{}", self.id, at.0), at, data)
    }
}

/// Milliseconds since 1970.
pub(super) fn epoch_ms(at: UtcMicros) -> i64 {
    at.0.div_euclid(1_000)
}

/// An event of this program's own. Its id repeats if it is made again, so it counts once.
pub(super) fn event(id: String, at: UtcMicros, data: impl Into<EventData>) -> Event {
    Event {
        tenant_id: DEFAULT_TENANT.into(),
        source: SOURCE.into(),
        event_id: id.into(),
        source_seq: None,
        schema_version: 1,
        occurred_at: at,
        recorded_at: at,
        correction: None,
        data: data.into(),
        attributes: Attributes::new(),
    }
}
