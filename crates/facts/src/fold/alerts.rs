//! Alerts: how bad a figure was, for how long, and who saw it.

use events::*;

use super::{Sink, drafts::*, gather::Gathered, sink::Flags};
use crate::Alert;

/// Adds the rows of all alerts. One that was only acknowledged, as far as we know, makes none.
pub(crate) fn alert_rows(g: &Gathered<'_>, sink: &mut Sink<'_>) {
    for draft in g.alerts.iter() {
        let first = draft.steps.iter().find_map(|step| match step {
            AlertStep::Changed(at, data) => Some((*at, *data)),
            AlertStep::Acknowledged(..) => None,
        });
        let Some((started_at, first)) = first else {
            continue;
        };
        let mut row = Alert {
            common: sink.common(false, Flags::NONE),
            alert_id: draft.id.clone(),
            rule_id: first.rule_id.clone(),
            figure: first.figure.clone(),
            scope: first.scope.clone(),
            queue_id: first.queue_id.clone(),
            level: Text::new_static(first.state.as_str()),
            state: Text::new_static(first.state.as_str()),
            started_at,
            changed_at: started_at,
            ..Alert::default()
        };
        let mut now = Now {
            state: first.state,
            held: first.state,
            worst: first.state,
            seen: None,
        };
        for step in &draft.steps {
            match step {
                AlertStep::Changed(at, data) => now.change(*at, data, &mut row),
                AlertStep::Acknowledged(at, data) => now.acknowledge(*at, data, &mut row),
            }
        }
        sink.rows.Alert.push(row);
    }
}

/// What the steps so far have come to.
struct Now {
    state: AlertState,
    /// The last one that was known.
    held: AlertState,
    worst: AlertState,
    /// The state that was acknowledged.
    seen: Option<AlertState>,
}

impl Now {
    fn change(&mut self, at: UtcMicros, data: &AlertChanged, row: &mut Alert) {
        if data.state != self.state {
            self.end_state(at, row);
            row.changed_at = at;
        }
        let is_worse = |than: AlertState| severity(data.state) > severity(than);
        if is_worse(self.worst) {
            self.worst = data.state;
        }
        if data.rearmed == Some(true) {
            row.rearmed += 1;
            self.seen = None;
        }
        if self.seen.is_some_and(is_worse) {
            self.seen = None;
        }
        self.state = data.state;
        if self.state != AlertState::Unknown {
            self.held = self.state;
        }
        row.level = Text::new_static(self.worst.as_str());
        row.state = Text::new_static(self.state.as_str());
        row.ended_at = (self.state == AlertState::Ok).then_some(row.changed_at);
        row.value = data.value;
        row.peak = data.peak.or(row.peak);
        row.n = data.n;
        row.acknowledged = self.seen.is_some();
    }

    fn acknowledge(&mut self, at: UtcMicros, data: &AlertAcknowledged, row: &mut Alert) {
        // What nobody can tell is as bad as it was.
        self.seen = Some(self.held);
        row.acknowledged = true;
        row.acknowledged_at = Some(at);
        row.acknowledged_by = Some(data.acknowledged_by.clone());
        row.note = data.note.clone();
    }

    /// Adds the time that the present state lasted.
    fn end_state(&self, at: UtcMicros, row: &mut Alert) {
        let ms = at.ms_since(row.changed_at).max(0);
        let sum = match self.state {
            AlertState::Ok => return,
            AlertState::Warn => &mut row.warn_ms,
            AlertState::Critical => &mut row.critical_ms,
            AlertState::Unknown => &mut row.unknown_ms,
        };
        *sum = sum.saturating_add(ms);
    }
}

/// Nobody can say how bad something unknown is, so it is not worse than anything.
fn severity(state: AlertState) -> u8 {
    match state {
        AlertState::Ok | AlertState::Unknown => 0,
        AlertState::Warn => 1,
        AlertState::Critical => 2,
    }
}
