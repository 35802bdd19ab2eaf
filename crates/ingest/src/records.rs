//! Exports that are JSON records: what all importers of such formats have in common.
//!
//! An input is records one after the other, one a line or not, or lists of them, or the pages that
//! a vendor's interface answers with ([`split`]). A format ([`Records`]) looks at one record through
//! [`Fields`], whose findings name the place in the record, and tells what happened with [`Emit`],
//! whose event ids are made of the record's own ids. So importing a file again changes nothing.
//!
//! Some vendors send a record again when they know more ([`Records::REVISED`]). Events that are as
//! before are duplicates then; one that is different replaces the earlier one as a correction.

mod emit;
mod fields;
mod split;

use events::{Event, LINE_BYTES_MAX, Reject, RejectCode, Text, UtcMicros};

use crate::{
    formats::{Inputs, OpenInput, ReadError, Unmapped},
    limits,
    pipeline::{Batch, Lines, batch::Again},
};
pub(crate) use emit::{Emit, agent_state, event_id, note, replaces};
pub(crate) use fields::Fields;
use split::{Found, Splitter};

/// What the importer of a system's records has to be told.
#[derive(Clone, Debug)]
pub struct SourceSettings {
    /// Whose contact centre.
    pub tenant_id: Text,
    /// Name of the system; ids are unique within it.
    pub source: Text,
    /// The time of the import.
    pub recorded_at: UtcMicros,
}

/// What a record means.
#[derive(Debug, PartialEq, Eq)]
pub enum Meaning {
    /// These events, none if it says nothing new.
    Events(Vec<Event>),
    /// Some of the events are guesses.
    WithGuesses {
        /// As of [`Meaning::Events`].
        events: Vec<Event>,
        /// Concluded from what else the import has: what was told of them before is believed.
        guesses: Vec<Event>,
    },
    /// Nothing here; records of this kind are counted.
    Nothing(Text),
}

/// A vendor's format of records.
pub trait Records: Send {
    /// Names of the lists that records stand in within an answer of the vendor's interface, as
    /// `conversations` in `{"conversations": [...], "totalHits": 2}`.
    const PAGES: &'static [&'static str];
    /// Does a record come again, with other content, when more is known?
    const REVISED: bool;

    /// The events of one record.
    ///
    /// # Errors
    /// When the record cannot be understood; the next one can be read all the same.
    fn read(&mut self, record: &serde_json::Value) -> Result<Meaning, Reject>;
}

/// The records of some inputs in one format.
pub struct RecordLines<F> {
    inputs: Inputs,
    open: Option<OpenInput>,
    splitter: Splitter,
    format: F,
    unmapped: Unmapped,
}

impl<F: Records> RecordLines<F> {
    /// Reads all inputs, one after the other.
    pub fn new(inputs: Inputs, format: F) -> Self {
        RecordLines {
            inputs,
            open: None,
            splitter: Splitter::new(F::PAGES),
            format,
            unmapped: Unmapped::default(),
        }
    }

    /// The records that meant no event, by kind.
    pub fn unmapped(&self) -> &Unmapped {
        &self.unmapped
    }

    fn take(&mut self, batch: &mut Batch, line: u64, raw: &[u8]) {
        let meaning = parse(raw).and_then(|record| self.format.read(&record));
        let known = match F::REVISED {
            true => Again::Revised,
            false => Again::Told,
        };
        let result = meaning.map(|meaning| match meaning {
            Meaning::Events(events) => all(events, known).collect(),
            Meaning::WithGuesses { events, guesses } => all(events, known)
                .chain(all(guesses, Again::Guessed))
                .collect(),
            Meaning::Nothing(kind) => {
                self.unmapped.note(kind, batch.place_here(line), raw);
                Vec::new()
            }
        });
        batch.record(line, raw, result);
    }
}

impl<F: Records> Lines for RecordLines<F> {
    fn next(&mut self, batch: &mut Batch) -> Result<bool, ReadError> {
        let Some(open) = self.open.as_mut() else {
            let Some(input) = self.inputs.next() else {
                return Ok(false);
            };
            let input = input?;
            batch.begin_file(input.name.clone());
            self.splitter = Splitter::new(F::PAGES);
            self.open = Some(input);
            return Ok(true);
        };
        let (bytes, found) = self
            .splitter
            .next(&mut open.reader)
            .map_err(|error| ReadError::new(open.name.clone(), error))?;
        batch.read(bytes);
        match found {
            Found::End => self.open = None,
            Found::Record { line, raw } => self.take(batch, line, &raw),
            Found::Beside { line, names } => {
                for name in names {
                    let place = batch.place_here(line);
                    self.unmapped
                        .note(Text::from(&*name), place, name.as_bytes());
                }
            }
            Found::Bad { line, raw, why } => {
                let code = match raw.len() >= limits::RECORD_BYTES_MAX {
                    true => RejectCode::TooLarge,
                    false => RejectCode::BadJson,
                };
                let kept = &raw[..raw.len().min(LINE_BYTES_MAX)];
                batch.event(line, kept, Err(Reject::new(code, "", why)));
            }
        }
        Ok(true)
    }
}

/// Events with what it means when they come again.
fn all(events: Vec<Event>, again: Again) -> impl Iterator<Item = (Event, Again)> {
    events.into_iter().map(move |event| (event, again))
}

fn parse(raw: &[u8]) -> Result<serde_json::Value, Reject> {
    serde_json::from_slice(raw).map_err(|error| {
        let utf8 = std::str::from_utf8(raw).is_ok();
        let code = if utf8 {
            RejectCode::BadJson
        } else {
            RejectCode::BadEncoding
        };
        Reject::new(code, "", format!("the record is not JSON: {error}"))
    })
}

#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;
