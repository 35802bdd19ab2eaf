//! Alerts that a reader may not have heard of.

use std::{collections::BTreeMap, sync::Arc};

use bytes::Bytes;
use tokio::sync::{
    broadcast::{Receiver, error::RecvError},
    watch,
};

use super::view::event;
use crate::{alerts::AlertValue, limits};

/// What has been said of each alert last, in the order in which it was said.
///
/// Readers keep the number of what they have heard: none is ever behind by more than one event for
/// each alert, however slowly it reads.
#[derive(Clone, Debug, Default)]
pub(super) struct AlertLog {
    last: u64,
    said: BTreeMap<u64, (Arc<AlertValue>, Bytes)>,
}

impl AlertLog {
    fn add(&mut self, alert: &Arc<AlertValue>) {
        self.said.retain(|_, (old, _)| old.id != alert.id);
        self.last += 1;
        let bytes = event("alert", "", &**alert);
        self.said.insert(self.last, (Arc::clone(alert), bytes));
        while self.said.len() > limits::ALERTS_KEPT_MAX {
            let over =
                |(_, (alert, _)): &(&u64, &(Arc<AlertValue>, Bytes))| alert.ended_at.is_some();
            let oldest = self.said.iter().find(over).or(self.said.iter().next());
            if let Some(number) = oldest.map(|(number, _)| *number) {
                self.said.remove(&number);
            }
        }
    }

    /// For a reader that has heard `heard`: what came since, and the number to keep.
    pub(super) fn since(&self, heard: u64) -> (Vec<Bytes>, u64) {
        let new = self.said.range(heard + 1..);
        (
            new.map(|(_, (_, bytes))| bytes.clone()).collect(),
            self.last,
        )
    }

    /// For a new reader: what is not over.
    pub(super) fn open(&self) -> (Vec<Bytes>, u64) {
        let open = self.said.values();
        let open = open.filter(|(alert, _)| alert.ended_at.is_none());
        (open.map(|(_, bytes)| bytes.clone()).collect(), self.last)
    }
}

/// Keeps the log until there are no more alerts to come.
pub(super) async fn keep(mut alerts: Receiver<Arc<AlertValue>>, log: watch::Sender<AlertLog>) {
    loop {
        match alerts.recv().await {
            Ok(alert) => log.send_modify(|log| log.add(&alert)),
            // The newest of each is what counts; those that were passed over come again when
            // they change.
            Err(RecvError::Lagged(missed)) => tracing::warn!(missed, "alerts came too fast"),
            Err(RecvError::Closed) => return,
        }
    }
}
