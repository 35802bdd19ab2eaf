//! The way of changes into the log: in their order, again and again until they are taken.

use std::{future::pending, sync::Arc, time::Duration};

use events::Event;
use ingest::live::Refusal;
use tokio::{
    sync::{mpsc, watch},
    time::timeout,
};

use super::deliver;
use crate::{limits, sink::EventSink};

/// Takes events and never waits.
pub(super) struct Outbox(mpsc::Sender<Event>);

/// What brings them into the log.
pub(super) struct Carrier {
    waiting: mpsc::Receiver<Event>,
    sink: Arc<dyn EventSink>,
}

/// An outbox, and the carrier that has to run.
pub(super) fn outbox(sink: Arc<dyn EventSink>) -> (Outbox, Carrier) {
    let (sender, waiting) = mpsc::channel(limits::ALERT_EVENTS_WAITING_MAX);
    (Outbox(sender), Carrier { waiting, sink })
}

impl Outbox {
    pub(super) fn send(&self, event: Event) {
        if self.0.try_send(event).is_err() {
            tracing::error!("a change of an alert is not stored: too many wait for the pipeline");
        }
    }
}

impl Carrier {
    /// Carries until the end; what waits then is tried once more.
    pub(super) async fn run(mut self, mut stopping: watch::Receiver<bool>) {
        loop {
            let event = tokio::select! {
                biased;
                event = self.waiting.recv() => event,
                _ = stopping.wait_for(|stop| *stop) => return,
            };
            let Some(event) = event else { return };
            while let Some(delay) = self.attempt(&event).await {
                if pause(delay, &mut stopping).await {
                    tracing::error!("a change of an alert is not stored: the server stops");
                    return;
                }
            }
        }
    }

    /// One try; when to try again, if that makes sense.
    async fn attempt(&self, event: &Event) -> Option<Duration> {
        match deliver(&*self.sink, event).await {
            Ok(receipt) => {
                for error in &receipt.errors {
                    let reason = error.reason.as_str();
                    tracing::error!(reason, "a change of an alert is not stored");
                }
                None
            }
            Err(Refusal::Busy { retry_after } | Refusal::DiskFull { retry_after }) => {
                Some(retry_after)
            }
            Err(Refusal::Stopped { reason }) => {
                tracing::error!(reason, "a change of an alert is not stored");
                None
            }
        }
    }
}

/// Waits for a while, or until the end: true if that has come.
pub(super) async fn pause(time: Duration, stopping: &mut watch::Receiver<bool>) -> bool {
    tokio::select! {
        biased;
        _ = stopping.wait_for(|stop| *stop) => true,
        _ = timeout(time, pending::<()>()) => false,
    }
}
