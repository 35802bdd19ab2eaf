//! What waits for one webhook: of each alert the newest state, and nothing twice.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::Notify;

use super::value::AlertValue;
use crate::limits;

/// Alerts in the order in which they came. An alert that changes while it waits keeps its place: a
/// slow address misses states in between, and never the last one.
#[derive(Default)]
pub(super) struct Waiting {
    state: Mutex<State>,
    came: Notify,
}

#[derive(Default)]
struct State {
    next: u64,
    alerts: BTreeMap<u64, Arc<AlertValue>>,
    /// Where each alert is, by id.
    places: HashMap<String, u64>,
}

impl Waiting {
    /// Adds an alert as it is now. Another one that has to give way is returned.
    pub(super) fn put(&self, alert: Arc<AlertValue>) -> Option<Arc<AlertValue>> {
        let mut state = self.state();
        if let Some(place) = state.places.get(&alert.id).copied() {
            state.alerts.insert(place, alert);
            return None;
        }
        let is_full = state.alerts.len() >= limits::WEBHOOK_WAITING_MAX;
        let lost = if is_full { state.first() } else { None };
        let place = state.next;
        state.next += 1;
        state.places.insert(alert.id.clone(), place);
        state.alerts.insert(place, alert);
        drop(state);
        self.came.notify_one();
        lost
    }

    /// The one that has waited longest, once there is one.
    pub(super) async fn take(&self) -> Arc<AlertValue> {
        loop {
            let first = self.state().first();
            match first {
                Some(alert) => return alert,
                None => self.came.notified().await,
            }
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn first(&mut self) -> Option<Arc<AlertValue>> {
        let (_, alert) = self.alerts.pop_first()?;
        self.places.remove(&alert.id);
        Some(alert)
    }
}
