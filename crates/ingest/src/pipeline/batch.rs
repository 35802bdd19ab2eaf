//! A batch: decoded events together with the lines they came from.

use std::sync::Arc;

use events::{Event, Reject, Text};
use store::event_id_hash;

use crate::{IdentityKey, limits};

/// Where a line stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The input's name, as the user gave it; `None` for a nameless stream.
    pub file: Option<Text>,
    /// Line in it, from 1.
    pub line: u64,
}

/// A line that has events or a finding; its bytes are in the batch.
#[derive(Clone, Copy, Debug)]
struct Line {
    file: u32,
    number: u64,
    start: usize,
    end: usize,
}

/// How the key of tokens gets to the decoding thread, with the size of a batch.
#[derive(Clone, Debug)]
pub(crate) struct BatchSettings {
    pub identity_key: IdentityKey,
    pub events_max: usize,
}

/// What one commit will be made of.
#[derive(Debug)]
pub struct Batch {
    settings: Arc<BatchSettings>,
    files: Vec<Option<Text>>,
    lines: Vec<Line>,
    raw: Vec<u8>,
    events: Vec<Decoded>,
    rejects: Vec<(u32, Reject)>,
    /// Lines in all, blank and rejected ones included.
    pub(crate) line_count: u64,
    pub(crate) blank: u64,
    /// Bytes read for these lines, line ends included.
    pub(crate) bytes: u64,
}

/// An event with the line it came from.
#[derive(Debug)]
pub(crate) struct Decoded {
    pub event: Event,
    pub id_hash: u64,
    pub line: u32,
    /// What it means when its line comes again.
    pub again: Again,
}

/// What it means when a line comes again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Again {
    /// An event with the id that its sender gave it: each is for itself.
    Sent,
    /// Its events are made of a record, and so are their ids: each is for itself.
    Told,
    /// It is a row that is taken once, with all its events.
    Row,
    /// It may have other content, which then replaces the earlier one.
    Revised,
    /// It is concluded from what the import happens to have: what was told before is believed.
    Guessed,
}

impl Again {
    /// May the same thing be told with another time, under an id that is made of a record?
    pub(crate) fn is_made_of_a_record(self) -> bool {
        matches!(self, Again::Told | Again::Revised | Again::Guessed)
    }
}

impl Batch {
    /// An empty batch that goes on where `before` ended.
    pub(crate) fn after(before: &Batch) -> Self {
        let mut next = Batch::new(Arc::clone(&before.settings));
        next.files = before.files.last().cloned().into_iter().collect();
        next
    }

    pub(crate) fn new(settings: Arc<BatchSettings>) -> Self {
        Batch {
            settings,
            files: Vec::new(),
            lines: Vec::new(),
            raw: Vec::new(),
            events: Vec::new(),
            rejects: Vec::new(),
            line_count: 0,
            blank: 0,
            bytes: 0,
        }
    }

    /// The following lines are of another input.
    pub fn begin_file(&mut self, name: Option<Text>) {
        self.files.push(name);
    }

    /// Where a line of the current input stands.
    pub fn place_here(&self, number: u64) -> Place {
        Place {
            file: self.files.last().cloned().flatten(),
            line: number,
        }
    }

    /// Counts bytes of the input, for progress.
    pub fn read(&mut self, bytes: u64) {
        self.bytes += bytes;
    }

    /// A line without content.
    pub fn blank(&mut self) {
        self.line_count += 1;
        self.blank += 1;
    }

    /// A line with one event, or why it has none.
    pub fn event(&mut self, number: u64, raw: &[u8], result: Result<Event, Reject>) {
        let line = self.line(number, raw);
        match result {
            Ok(event) => self.push(line, event, Again::Sent),
            Err(reject) => self.rejects.push((line, reject)),
        }
    }

    /// A record with any number of events, or why it has none.
    pub fn events(&mut self, number: u64, raw: &[u8], result: Result<Vec<Event>, Reject>) {
        self.told(number, raw, result, Again::Told);
    }

    /// A record with events of several kinds, or why it has none.
    pub(crate) fn record(
        &mut self,
        number: u64,
        raw: &[u8],
        result: Result<Vec<(Event, Again)>, Reject>,
    ) {
        let line = self.line(number, raw);
        match result {
            Ok(events) => events
                .into_iter()
                .for_each(|(event, again)| self.push(line, event, again)),
            Err(reject) => self.rejects.push((line, reject)),
        }
    }

    fn told(&mut self, number: u64, raw: &[u8], told: Result<Vec<Event>, Reject>, again: Again) {
        let events = told.map(|events| events.into_iter().map(|event| (event, again)).collect());
        self.record(number, raw, events);
    }

    /// A row of a log with the events that were made of it, or why it has none. It is taken once: if
    /// its last event is stored, the row was read before, and knew more of the rows before it than now.
    pub fn row(&mut self, number: u64, raw: &[u8], result: Result<Vec<Event>, Reject>) {
        self.told(number, raw, result, Again::Row);
    }

    fn line(&mut self, number: u64, raw: &[u8]) -> u32 {
        if self.files.is_empty() {
            self.files.push(None);
        }
        let start = self.raw.len();
        self.raw.extend_from_slice(raw);
        let file = index(self.files.len() - 1);
        self.lines.push(Line {
            file,
            number,
            start,
            end: self.raw.len(),
        });
        self.line_count += 1;
        index(self.lines.len() - 1)
    }

    fn push(&mut self, line: u32, mut event: Event, again: Again) {
        self.settings.identity_key.hide(&mut event);
        let id_hash = event_id_hash(&event.tenant_id, &event.source, &event.event_id);
        self.events.push(Decoded {
            event,
            id_hash,
            line,
            again,
        });
    }

    pub(crate) fn is_full(&self) -> bool {
        self.events.len() >= self.settings.events_max
            || self.raw.len() >= limits::BATCH_BYTES_MAX
            || self.rejects.len() >= limits::BATCH_REJECTS_MAX
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.line_count == 0 && self.bytes == 0
    }

    /// The events, in the order of their lines.
    pub(crate) fn take_events(&mut self) -> Vec<Decoded> {
        std::mem::take(&mut self.events)
    }

    /// The rejected lines, as [`Batch::place`] and [`Batch::raw`] know them.
    pub(crate) fn take_rejects(&mut self) -> Vec<(u32, Reject)> {
        std::mem::take(&mut self.rejects)
    }

    pub(crate) fn place(&self, line: u32) -> Place {
        let line = &self.lines[line as usize];
        Place {
            file: self.files[line.file as usize].clone(),
            line: line.number,
        }
    }

    pub(crate) fn raw(&self, line: u32) -> &[u8] {
        let line = &self.lines[line as usize];
        &self.raw[line.start..line.end]
    }
}

/// A batch has far fewer lines than a `u32` counts.
fn index(position: usize) -> u32 {
    u32::try_from(position).expect("BATCH_BYTES_MAX keeps a batch below four billion lines")
}
