//! Where the events of a request go, as the server sees it.
//!
//! The real one is [`LiveIngest`]; tests put their own behind the same door, so that every answer
//! of the server can be provoked.

use std::sync::Arc;

use events::{Reject, Text};
use ingest::live::{Delivery, LiveIngest, LiveState, OnError, Receipt, Refusal};

/// Called once with what became of a delivery, from any thread.
pub type Answer = Box<dyn FnOnce(Result<Receipt, Refusal>) + Send>;

/// Takes events and makes them durable.
pub trait EventSink: Send + Sync + 'static {
    /// Begins the events of one request. With `sources`, events of others are rejected.
    fn collect(&self, sources: Option<Arc<[Text]>>) -> Box<dyn Collector>;
    /// A cheap look at the state of things.
    fn state(&self) -> LiveState;
}

/// Collects the events of one request.
pub trait Collector: Send {
    /// One event as JSON; a bad one becomes a reject.
    fn line(&mut self, number: u64, raw: &[u8]);
    /// A line in which the server itself found something.
    fn refuse(&mut self, number: u64, raw: &[u8], reject: Reject);
    /// Bytes of memory that the events take, about.
    fn bytes(&self) -> usize;
    /// Hands the events over; `answer` is called when they are durable or refused.
    fn deliver(self: Box<Self>, on_error: OnError, answer: Answer);
}

impl EventSink for LiveIngest {
    fn collect(&self, sources: Option<Arc<[Text]>>) -> Box<dyn Collector> {
        Box::new(LiveCollector {
            delivery: self.delivery().only_from(sources),
            live: self.clone(),
        })
    }

    fn state(&self) -> LiveState {
        LiveIngest::state(self)
    }
}

struct LiveCollector {
    live: LiveIngest,
    delivery: Delivery,
}

impl Collector for LiveCollector {
    fn line(&mut self, number: u64, raw: &[u8]) {
        self.delivery.line(number, raw);
    }

    fn refuse(&mut self, number: u64, raw: &[u8], reject: Reject) {
        self.delivery.refuse(number, raw, reject);
    }

    fn bytes(&self) -> usize {
        self.delivery.bytes()
    }

    fn deliver(self: Box<Self>, on_error: OnError, answer: Answer) {
        self.live.deliver(self.delivery, on_error, answer);
    }
}
