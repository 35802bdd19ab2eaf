//! Alerts at work: rules over the frames of the live board, told to whoever wants to know.
//!
//! A frame comes in, each [`Watch`] is shown its figure, and a change goes three ways: as an event
//! into the log like any other (so that "how long were we red" is a query), to the readers of
//! streams ([`Alerting::news`]), and to the webhooks. None of the three can delay the rules: what
//! waits is bounded, and carried by others. After a restart the open alerts are read back from
//! `facts.alerts`.

mod history;
mod outbox;
mod runner;
mod value;
mod waiting;
mod webhook;

use std::{
    collections::{BTreeMap, VecDeque},
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use events::{AlertAcknowledged, Text, UtcMicros};
use ingest::live::{OnError, Receipt, Refusal};
use kpi::alert::{AlertRules, State as RuleState, Watch};
use tokio::sync::oneshot;

use self::{outbox::Outbox, runner::Work, webhook::Webhooks};
pub use self::{
    value::AlertValue,
    webhook::{Webhook, WebhookError},
};
use crate::{
    error::{ApiError, Code},
    limits,
    live::{AlertNews, Frames},
    sink::EventSink,
};

/// What [`crate::Server`] needs to watch figures.
#[derive(Clone)]
pub struct Alerting {
    /// The rules.
    pub rules: Arc<AlertRules>,
    /// The newest frame of the live board; `None` before the first.
    pub frames: Frames,
    /// Takes every change and acknowledgement, and what was open before a restart.
    pub news: AlertNews,
    /// Who is told of every change: nobody else ever is.
    pub webhooks: Vec<Webhook>,
}

impl fmt::Debug for Alerting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Alerting")
            .field("rules", &self.rules.iter().count())
            .field("webhooks", &self.webhooks)
            .finish_non_exhaustive()
    }
}

/// The source of the events that this program itself makes.
const SOURCE: &str = "callgauge";

/// The rules with all that they have found, for the runner and the routes.
pub(crate) struct Alerts {
    pub rules: Arc<AlertRules>,
    state: Mutex<State>,
    /// Taken by the one run.
    work: Mutex<Option<Work>>,
    news: AlertNews,
    outbox: Outbox,
    webhooks: Webhooks,
    sink: Arc<dyn EventSink>,
    now: Arc<dyn Fn() -> UtcMicros + Send + Sync>,
}

#[derive(Default)]
struct State {
    /// By place of the rule and scope.
    watched: BTreeMap<(usize, String), Watched>,
    /// Those that are over, the newest last.
    ended: VecDeque<AlertValue>,
    is_full: bool,
}

/// A rule over one scope.
#[derive(Default)]
struct Watched {
    watch: Watch,
    /// Its alert, if one is open.
    open: Option<AlertValue>,
}

impl Alerts {
    /// The alerts that are not over, and those that ended in the last 24 hours, the newest first.
    pub(crate) fn list(&self) -> Vec<AlertValue> {
        let since = value::epoch_ms((self.now)().plus_ms(-limits::ALERT_HISTORY_MS));
        let state = self.state();
        let open = state.watched.values().filter_map(|w| w.open.as_ref());
        let recent = |alert: &&AlertValue| alert.ended_at.is_some_and(|at| at >= since);
        let ended = state.ended.iter().filter(recent);
        let mut all: Vec<AlertValue> = open.chain(ended).cloned().collect();
        all.sort_by(|a, b| b.since.cmp(&a.since).then_with(|| a.id.cmp(&b.id)));
        all
    }

    /// Somebody has seen an alert. The answer comes when that is on the disk. What was seen is what
    /// it is now: if it gets worse until then, the answer is what nobody has seen.
    pub(crate) async fn acknowledge(
        &self,
        id: &str,
        by: &str,
        note: Option<&str>,
    ) -> Result<AlertValue, ApiError> {
        let (at, level) = self.looked_at(id)?;
        let data = AlertAcknowledged {
            alert_id: id.into(),
            acknowledged_by: by.into(),
            note: note.map(Text::from),
        };
        let event = value::event(format!("{id}.a{}", at.0), at, data);
        stored(deliver(&*self.sink, &event).await?)?;
        self.note_seen(id, (at, level), by, note)
    }

    /// When it is, and how bad an open alert is then: no change comes in between, so that events
    /// say the same in their order.
    fn looked_at(&self, id: &str) -> Result<(UtcMicros, RuleState), ApiError> {
        let state = self.state();
        let is_it = |w: &&Watched| w.open.as_ref().is_some_and(|alert| alert.id == id);
        let watched = state.watched.values().find(is_it);
        let alert = watched.and_then(|w| w.watch.alert()).ok_or_else(no_alert)?;
        Ok(((self.now)(), alert.held))
    }

    fn note_seen(
        &self,
        id: &str,
        seen: (UtcMicros, RuleState),
        by: &str,
        note: Option<&str>,
    ) -> Result<AlertValue, ApiError> {
        let mut state = self.state();
        let is_it = |w: &&mut Watched| w.open.as_ref().is_some_and(|alert| alert.id == id);
        // It may have ended while the acknowledgement was written.
        let watched = state
            .watched
            .values_mut()
            .find(is_it)
            .ok_or_else(no_alert)?;
        let (at, level) = seen;
        let alert = watched.watch.acknowledge(at, level);
        let counts = alert.is_some_and(|alert| alert.acknowledged == Some(seen));
        let value = watched.open.as_mut().ok_or_else(no_alert)?;
        if counts {
            value.acknowledged_by = Some(by.to_owned());
            value.note = note.map(str::to_owned);
            self.tell(value);
        }
        Ok(value.clone())
    }

    /// Only with the state locked: news come in the order of changes.
    fn tell(&self, value: &AlertValue) {
        self.news.tell(value);
        self.webhooks.send(value);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn end(&mut self, value: AlertValue) {
        if self.ended.len() == limits::ALERTS_ENDED_MAX {
            self.ended.pop_front();
        }
        self.ended.push_back(value);
    }
}

fn no_alert() -> ApiError {
    ApiError::new(Code::NotFound, "there is no such alert that is not over")
        .hint("GET /api/v1/alerts lists those that are open")
}

/// Hands one event to the pipeline and waits until it is durable.
async fn deliver(sink: &dyn EventSink, event: &events::Event) -> Result<Receipt, Refusal> {
    let (sender, answered) = oneshot::channel();
    let mut collector = sink.collect(None);
    let mut line = Vec::new();
    event.write_json_line(&mut line);
    collector.line(1, &line);
    let answer = move |outcome| {
        // Nobody waits if the server is stopping.
        let _ = sender.send(outcome);
    };
    collector.deliver(OnError::KeepGood, Box::new(answer));
    answered.await.unwrap_or_else(|_| {
        Err(Refusal::Stopped {
            reason: "the pipeline has dropped an event".to_owned(),
        })
    })
}

/// Was the event taken? A card number in a note, for one, is not.
fn stored(receipt: Receipt) -> Result<(), ApiError> {
    match receipt.errors.into_iter().next() {
        None => Ok(()),
        Some(error) => Err(
            ApiError::new(Code::BadValue, "the acknowledgement cannot be stored")
                .hint(error.reason),
        ),
    }
}
