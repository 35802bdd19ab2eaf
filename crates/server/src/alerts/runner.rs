//! Shows the figures of each frame to the rules.

use std::{
    collections::{BTreeMap, HashSet},
    sync::{Arc, Mutex, PoisonError},
};

use engine::{
    live::{Cell, CellKey, CellValue, Frame, Scope},
    service::QueryService,
};
use events::UtcMicros;
use kpi::alert::{AlertRule, Reading, RuleScope, State as RuleState, Watch};
use tokio::{
    sync::watch,
    time::{MissedTickBehavior, interval},
};

use super::{
    Alerting, Alerts, State, Watched,
    history::{self, Stored},
    outbox::{Carrier, outbox, pause},
    value::AlertValue,
    webhook::{Sender, webhooks},
};
use crate::{Backends, limits, live::Frames, settings::Surroundings};

/// What has to run so that [`Alerts`] live.
pub(super) struct Work {
    frames: Frames,
    queries: QueryService,
    carrier: Carrier,
    senders: Vec<Sender>,
}

impl Alerts {
    pub(crate) fn new(
        alerting: Alerting,
        backends: &Backends,
        surroundings: &Surroundings,
    ) -> Arc<Self> {
        let (outbox, carrier) = outbox(Arc::clone(&backends.sink));
        let (webhooks, senders) = webhooks(alerting.webhooks);
        let work = Work {
            frames: alerting.frames,
            queries: backends.queries.clone(),
            carrier,
            senders,
        };
        Arc::new(Alerts {
            rules: alerting.rules,
            state: Mutex::default(),
            work: Mutex::new(Some(work)),
            news: alerting.news,
            outbox,
            webhooks,
            sink: Arc::clone(&backends.sink),
            now: Arc::clone(&surroundings.now),
        })
    }

    /// Watches until the end. To be run once.
    pub(crate) async fn run(self: Arc<Self>, stopping: watch::Receiver<bool>) {
        let work = self
            .work
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        let Some(work) = work else { return };
        for sender in work.senders {
            tokio::spawn(sender.run(stopping.clone()));
        }
        let watching = watch_frames(self, work.frames, work.queries, stopping.clone());
        tokio::join!(watching, work.carrier.run(stopping));
    }
}

async fn watch_frames(
    alerts: Arc<Alerts>,
    mut frames: Frames,
    queries: QueryService,
    mut stopping: watch::Receiver<bool>,
) {
    let since = (alerts.now)().plus_ms(-limits::ALERT_HISTORY_MS);
    let stored = loop {
        // What the log still has to bring would be missing.
        if alerts.sink.state().caught_up {
            match history::read(&queries, since).await {
                Ok(stored) => break stored,
                Err(error) => {
                    tracing::error!(%error, "alerts wait: what was open cannot be read");
                }
            }
        }
        if pause(limits::ALERT_HISTORY_RETRY, &mut stopping).await {
            return;
        }
    };
    alerts.resume(stored);
    let mut tick = interval(limits::ALERT_TICK);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let frame = frames.borrow_and_update().clone();
        alerts.look(frame.as_deref());
        // A board that makes no frame any more is noticed by the tick.
        tokio::select! {
            biased;
            _ = stopping.wait_for(|stop| *stop) => return,
            Ok(()) = frames.changed() => {}
            _ = tick.tick() => {}
        }
    }
}

impl Alerts {
    /// Goes on where the last run stopped. Alerts of rules that are no more are ended.
    fn resume(&self, stored: Vec<Stored>) {
        let now = (self.now)();
        let mut state = self.state();
        for Stored { alert, shown } in stored {
            if alert.state == RuleState::Ok {
                state.end(shown);
                continue;
            }
            let fits = |rule: &AlertRule| rule.id == shown.rule && covers(rule, &shown.scope);
            let mut watch = Watch::resume(Some(alert));
            match self.rules.iter().position(fits) {
                Some(at) => {
                    let open = Some(shown.clone());
                    // A webhook heard of it in the last run, a reader of streams did not.
                    self.news.tell(&shown);
                    let key = (at, shown.scope);
                    state.watched.insert(key, Watched { watch, open });
                }
                None => {
                    let Some(change) = watch.end(now) else {
                        continue;
                    };
                    let ended = shown.ended(&change.alert);
                    self.outbox.send(ended.changed_event(now, &change));
                    self.tell(&ended);
                    state.end(ended);
                }
            }
        }
    }

    /// Shows a frame to all rules.
    fn look(&self, frame: Option<&Frame>) {
        let mut state = self.state();
        let now = (self.now)();
        let is_fresh = |frame: &&Frame| now.ms_since(frame.as_of) <= limits::ALERT_STALE_MS;
        let fresh = frame.filter(is_fresh);
        for (at, rule) in self.rules.iter().enumerate() {
            let mut seen = HashSet::new();
            for (scope, reading) in fresh.into_iter().flat_map(|frame| readings(rule, frame)) {
                self.show(&mut state, (at, rule), &scope, now, &reading);
                seen.insert(scope);
            }
            // What the frame does not have, nobody can tell.
            let none = Reading {
                stale: fresh.is_none(),
                ..Reading::default()
            };
            let of_rule = state
                .watched
                .range((at, String::new())..(at + 1, String::new()));
            let unseen: Vec<String> = of_rule
                .map(|((_, scope), _)| scope)
                .filter(|scope| !seen.contains(*scope))
                .cloned()
                .collect();
            for scope in unseen {
                self.show(&mut state, (at, rule), &scope, now, &none);
            }
        }
    }

    fn show(
        &self,
        state: &mut State,
        (at, rule): (usize, &AlertRule),
        scope: &str,
        now: UtcMicros,
        reading: &Reading,
    ) {
        let key = (at, scope.to_owned());
        if !state.watched.contains_key(&key) {
            if state.watched.len() >= limits::ALERT_SCOPES_MAX {
                if !std::mem::replace(&mut state.is_full, true) {
                    tracing::error!("more queues than rules can watch: the rest goes unwatched");
                }
                return;
            }
            state.watched.insert(key.clone(), Watched::default());
        }
        let Some(watched) = state.watched.get_mut(&key) else {
            return;
        };
        let Some(change) = watched.watch.step(rule, now, reading) else {
            return;
        };
        let counts = change.alert.acknowledged.is_some();
        let value = AlertValue::of(rule, scope, &change.alert);
        let value = value.seen_as(watched.open.as_ref(), counts);
        self.outbox.send(value.changed_event(now, &change));
        self.tell(&value);
        if change.alert.state == RuleState::Ok {
            watched.open = None;
            state.end(value);
        } else {
            watched.open = Some(value);
        }
    }
}

/// Does the rule watch that scope?
fn covers(rule: &AlertRule, scope: &str) -> bool {
    match &rule.scope {
        RuleScope::Total => scope == "t",
        RuleScope::EachQueue => scope.starts_with("q."),
        RuleScope::Queue(id) => scope.strip_prefix("q.") == Some(id),
    }
}

/// What a frame says about the figure of a rule, by scope.
fn readings(rule: &AlertRule, frame: &Frame) -> Vec<(String, Reading)> {
    let figure: Arc<str> = rule.figure.as_str().into();
    let at = |scope: Scope| CellKey {
        scope,
        figure: Arc::clone(&figure),
    };
    let one = |key: &CellKey| {
        let cell = frame.cells.get(key)?;
        Some((scope_text(&key.scope)?, reading(rule, cell, frame.as_of)))
    };
    match &rule.scope {
        RuleScope::Total => one(&at(Scope::Total)).into_iter().collect(),
        RuleScope::Queue(id) => one(&at(Scope::Queue(id.as_str().into())))
            .into_iter()
            .collect(),
        RuleScope::EachQueue => queue_cells(&frame.cells)
            .filter(|(key, _)| key.figure == figure)
            .filter_map(|(key, _)| one(key))
            .collect(),
    }
}

/// The cells of queues: they lie together.
fn queue_cells(
    cells: &BTreeMap<CellKey, Arc<Cell>>,
) -> impl Iterator<Item = (&CellKey, &Arc<Cell>)> {
    let first = CellKey {
        scope: Scope::Queue("".into()),
        figure: "".into(),
    };
    let of_queue = |(key, _): &(&CellKey, &Arc<Cell>)| matches!(key.scope, Scope::Queue(_));
    cells.range(first..).take_while(of_queue)
}

fn scope_text(scope: &Scope) -> Option<String> {
    match scope {
        Scope::Total => Some("t".to_owned()),
        Scope::Queue(id) => Some(format!("q.{id}")),
        Scope::Channel(_) | Scope::Agent(_) | Scope::Interval(_) => None,
    }
}

fn reading(rule: &AlertRule, cell: &Cell, as_of: UtcMicros) -> Reading {
    let value = match &cell.value {
        CellValue::Number(value, _) => Some(*value),
        CellValue::Since(since) => Some(as_of.ms_since(*since).max(0) as f64),
        // Nothing runs, so nothing is old.
        CellValue::Nothing if rule.runs => Some(0.0),
        CellValue::Nothing | CellValue::Text(_) | CellValue::Series(_) => None,
    };
    Reading {
        value,
        n: cell.n.or(cell.denominator),
        stale: false,
    }
}
