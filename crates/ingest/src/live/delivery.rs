//! The events of one request, decoded on the thread of the one who sends them.

use std::sync::Arc;

use events::{Event, Intake, Reject, RejectCode, Text, decode_line};
use store::{content_hash, event_id_hash};

use super::{LineError, LiveSettings, long_ago::LongAgo};
use crate::limits;

/// What becomes of the good lines of a delivery that has bad ones.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnError {
    /// They are stored.
    #[default]
    KeepGood,
    /// Nothing of the delivery is stored.
    RejectAll,
}

/// The events of one request. Decoding, hiding identities and writing the bytes for the log happen
/// here, so that the one thread that writes has little to do.
#[derive(Debug)]
pub struct Delivery {
    settings: Arc<LiveSettings>,
    intake: Intake,
    /// The sources that the sender may speak for; all when absent.
    sources: Option<Arc<[Text]>>,
    pub(super) events: Vec<Incoming>,
    /// Lines for the write-ahead log, each with its line end.
    pub(super) encoded: Vec<u8>,
    pub(super) rejects: Vec<Rejected>,
    /// What the files know of the ids of its events.
    pub(super) long_ago: LongAgo,
    raw_bytes: usize,
}

/// A decoded event with what is needed to find its repeats.
#[derive(Debug)]
pub(super) struct Incoming {
    pub event: Event,
    pub id_hash: u64,
    pub content: u64,
    pub line: u64,
    /// Id of the last event of its row, if it was made of one.
    pub row: Option<u64>,
    /// Where its line in `encoded` begins and ends.
    pub start: usize,
    pub end: usize,
}

/// A line that is not taken.
#[derive(Debug)]
pub(super) struct Rejected {
    pub line: u64,
    pub event_id: Option<String>,
    pub raw: Vec<u8>,
    pub reject: Reject,
}

impl Delivery {
    pub(super) fn new(settings: Arc<LiveSettings>) -> Self {
        let intake = Intake {
            tenant_id: settings.tenant_id.clone(),
            default_source: settings.default_source.clone(),
            recorded_at: (settings.clock)(),
        };
        Delivery {
            settings,
            intake,
            sources: None,
            events: Vec::new(),
            encoded: Vec::new(),
            rejects: Vec::new(),
            long_ago: LongAgo::default(),
            raw_bytes: 0,
        }
    }

    /// Rejects events of other sources; `None` takes those of all.
    #[must_use]
    pub fn only_from(mut self, sources: Option<Arc<[Text]>>) -> Self {
        self.sources = sources;
        self
    }

    /// One JSON event; what cannot be understood becomes a reject with its reason.
    pub fn line(&mut self, number: u64, raw: &[u8]) {
        let decoded = decode_line(raw, &self.intake);
        self.event(number, raw, decoded);
    }

    /// An event that was decoded from something else than a line of JSON, or why it was not.
    pub fn event(&mut self, number: u64, raw: &[u8], decoded: Result<Event, Reject>) {
        self.raw_bytes += raw.len();
        match decoded.and_then(|event| self.of_its_source(event)) {
            Ok(event) => self.push(number, event),
            Err(reject) => self.rejects.push(Rejected {
                line: number,
                event_id: id_of(raw),
                raw: events::quarantine_raw(raw, &reject).into_owned(),
                reject,
            }),
        }
    }

    /// The events that were made of one row of a log, which is taken once: if its last event is
    /// stored, the row was read before, and knew more of the rows before it than now.
    pub fn row(&mut self, number: u64, raw: &[u8], events: &[Event]) {
        let first = self.events.len();
        for event in events {
            self.event(number, raw, Ok(event.clone()));
        }
        let last = self.events.last().map(|incoming| incoming.id_hash);
        for incoming in &mut self.events[first..] {
            incoming.row = last;
        }
    }

    fn of_its_source(&self, event: Event) -> Result<Event, Reject> {
        match &self.sources {
            Some(sources) if !sources.contains(&event.source) => Err(Reject::new(
                RejectCode::ForbiddenSource,
                "source",
                "is not one that the token of the sender is good for",
            )),
            _ => Ok(event),
        }
    }

    /// A line in which something was found before it was decoded; of a long one the beginning is
    /// kept.
    pub fn refuse(&mut self, number: u64, raw: &[u8], reject: Reject) {
        let kept = &raw[..raw.len().min(limits::TOO_LONG_BYTES_KEPT)];
        self.event(number, kept, Err(reject));
    }

    fn push(&mut self, line: u64, mut event: Event) {
        self.settings.identity_key.hide(&mut event);
        let id_hash = event_id_hash(&event.tenant_id, &event.source, &event.event_id);
        let content = content_hash(&event);
        let start = self.encoded.len();
        event.write_json_line(&mut self.encoded);
        self.encoded.push(b'\n');
        self.events.push(Incoming {
            event,
            id_hash,
            content,
            line,
            row: None,
            start,
            end: self.encoded.len(),
        });
    }

    /// When its events count as received, before the writer has its say.
    pub fn received_at(&self) -> events::UtcMicros {
        self.intake.recorded_at
    }

    /// Number of decoded events.
    pub fn events(&self) -> usize {
        self.events.len()
    }

    /// Number of lines that were not taken so far.
    pub fn rejected(&self) -> usize {
        self.rejects.len()
    }

    /// Bytes that it holds in memory, nearly.
    pub fn bytes(&self) -> usize {
        self.encoded.len() + self.raw_bytes + self.events.len() * size_of::<Incoming>()
    }
}

impl Rejected {
    pub fn error(&self) -> LineError {
        LineError {
            line: self.line,
            event_id: self.event_id.clone(),
            code: self.reject.code,
            reason: crate::quarantine::detail(&self.reject).to_string(),
        }
    }
}

/// The id that a rejected line gives, so that its sender finds it again.
fn id_of(raw: &[u8]) -> Option<String> {
    #[derive(serde::Deserialize)]
    struct Id {
        event_id: String,
    }
    let id = serde_json::from_slice::<Id>(raw).ok()?.event_id;
    (id.len() <= 128).then_some(id)
}
