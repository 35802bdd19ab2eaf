//! Where lines come from: files and streams, and the formats beside NDJSON.

use std::{
    collections::BTreeMap,
    fs::File,
    io::{BufRead, BufReader, Read},
    path::PathBuf,
};

use events::{Event, Text, UtcMicros};

use crate::{
    asterisk::{QueueLog, QueueLogSettings},
    csv_mapping::{CsvError, CsvRows, Mapping},
    limits,
    ndjson::LineReader,
    pipeline::{Batch, Lines, Place},
};

/// An input could not be read.
#[derive(Debug, thiserror::Error)]
#[error("cannot read {}: {error}", name.as_deref().unwrap_or("the input"))]
pub struct ReadError {
    /// Which input.
    pub name: Option<Text>,
    /// Why.
    #[source]
    pub error: Box<dyn std::error::Error + Send + Sync>,
}

impl ReadError {
    pub(crate) fn new(
        name: Option<Text>,
        error: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> Self {
        ReadError {
            name,
            error: error.into(),
        }
    }
}

/// An input that can be read from.
pub struct OpenInput {
    /// Its name for messages and the quarantine.
    pub name: Option<Text>,
    /// Its bytes.
    pub reader: Box<dyn BufRead + Send>,
}

/// Inputs that are opened one after the other.
pub struct Inputs(Box<dyn Iterator<Item = Result<OpenInput, ReadError>> + Send>);

impl Inputs {
    /// These files, named as they are given.
    pub fn files(paths: Vec<PathBuf>) -> Self {
        Inputs(Box::new(paths.into_iter().map(|path| {
            let name = Some(Text::from(path.to_string_lossy()));
            match File::open(&path) {
                Ok(file) => Ok(OpenInput {
                    name,
                    reader: buffered(file),
                }),
                Err(error) => Err(ReadError::new(name, error)),
            }
        })))
    }

    /// One stream, as standard input.
    pub fn stream(name: Option<Text>, stream: impl Read + Send + 'static) -> Self {
        let input = OpenInput {
            name,
            reader: buffered(stream),
        };
        Inputs(Box::new(std::iter::once(Ok(input))))
    }
}

fn buffered(stream: impl Read + Send + 'static) -> Box<dyn BufRead + Send> {
    Box::new(BufReader::with_capacity(limits::READ_BYTES, stream))
}

impl Iterator for Inputs {
    type Item = Result<OpenInput, ReadError>;
    fn next(&mut self) -> Option<Self::Item> {
        self.0.next()
    }
}

/// Asterisk's `queue_log`. Several inputs are the rotated parts of one log, oldest first.
pub struct QueueLogLines {
    lines: LineReader,
    log: QueueLog,
    unmapped: Unmapped,
}

/// The first row of a kind that means no event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FirstRow {
    /// Where it stands.
    pub place: Place,
    /// What it says, cut to a length that fits into a message.
    pub text: String,
}

/// Rows or records that mean no event, by kind.
#[derive(Clone, Debug, Default)]
pub struct Unmapped(BTreeMap<Text, (u64, FirstRow)>);

impl Unmapped {
    /// Counts one more of a kind; the first one is kept.
    pub(crate) fn note(&mut self, kind: Text, place: Place, raw: &[u8]) {
        let first = || FirstRow {
            place,
            text: cut(raw),
        };
        self.0.entry(kind).or_insert_with(|| (0, first())).0 += 1;
    }

    /// How many there are of each kind, as `CONFIGRELOAD`, and the first of them.
    pub fn iter(&self) -> impl Iterator<Item = (&Text, u64, &FirstRow)> {
        self.0
            .iter()
            .map(|(kind, (count, first))| (kind, *count, first))
    }
}

impl QueueLogLines {
    /// Reads all parts, one after the other.
    pub fn new(inputs: Inputs, settings: QueueLogSettings) -> Self {
        QueueLogLines {
            lines: LineReader::new(inputs),
            log: QueueLog::new(settings),
            unmapped: Unmapped::default(),
        }
    }

    /// The rows that meant no event, by kind.
    pub fn unmapped(&self) -> &Unmapped {
        &self.unmapped
    }
}

impl Lines for QueueLogLines {
    fn next(&mut self, batch: &mut Batch) -> Result<bool, ReadError> {
        let (log, unmapped) = (&mut self.log, &mut self.unmapped);
        self.lines.next(batch, |batch, number, line| {
            batch.row(number, line, log.line(line));
            if let Some(kind) = log.last_unmapped() {
                unmapped.note(kind.clone(), batch.place_here(number), line);
            }
        })
    }
}

/// The beginning of a line, for messages.
fn cut(line: &[u8]) -> String {
    const SHOWN_CHARS: usize = 120;
    let text = String::from_utf8_lossy(line);
    text.trim().chars().take(SHOWN_CHARS).collect()
}

/// A table that is being read, and its file's name.
type OpenCsv<'m> = (Option<Text>, CsvRows<'m, Box<dyn BufRead + Send>>);

/// Tables with one mapping.
pub struct CsvLines<'m> {
    mapping: &'m Mapping,
    tenant_id: Text,
    recorded_at: UtcMicros,
    inputs: Inputs,
    open: Option<OpenCsv<'m>>,
}

impl<'m> CsvLines<'m> {
    /// Reads all tables, one after the other; each has the columns that the mapping names.
    pub fn new(
        inputs: Inputs,
        mapping: &'m Mapping,
        tenant_id: Text,
        recorded_at: UtcMicros,
    ) -> Self {
        CsvLines {
            mapping,
            tenant_id,
            recorded_at,
            inputs,
            open: None,
        }
    }

    fn open_next(&mut self, batch: &mut Batch) -> Result<bool, ReadError> {
        let Some(input) = self.inputs.next() else {
            return Ok(false);
        };
        let OpenInput { name, reader } = input?;
        batch.begin_file(name.clone());
        let tenant_id = self.tenant_id.clone();
        let rows = CsvRows::new(self.mapping, tenant_id, self.recorded_at, reader)
            .map_err(|error: CsvError| ReadError::new(name.clone(), error))?;
        self.open = Some((name, rows));
        Ok(true)
    }
}

impl Lines for CsvLines<'_> {
    fn next(&mut self, batch: &mut Batch) -> Result<bool, ReadError> {
        let Some((name, rows)) = &mut self.open else {
            return self.open_next(batch);
        };
        match rows.next() {
            None => self.open = None,
            Some(Err(error)) => return Err(ReadError::new(name.clone(), error)),
            Some(Ok(row)) => {
                batch.read(row.raw.len() as u64 + 1);
                batch.events(row.line, &row.raw, row.result);
            }
        }
        Ok(true)
    }
}

/// Events that are made, not read, as by the simulator.
pub struct Made<I> {
    events: I,
    number: u64,
}

impl<I: Iterator<Item = Event> + Send> Made<I> {
    /// Takes all events; one that breaks a rule is rejected like a line.
    pub fn new(events: I) -> Self {
        Made { events, number: 0 }
    }
}

impl<I: Iterator<Item = Event> + Send> Lines for Made<I> {
    fn next(&mut self, batch: &mut Batch) -> Result<bool, ReadError> {
        let Some(event) = self.events.next() else {
            return Ok(false);
        };
        self.number += 1;
        match event.check() {
            Ok(()) => batch.event(self.number, b"", Ok(event)),
            Err(reject) => {
                batch.event(self.number, event.to_json_line().as_bytes(), Err(reject));
            }
        }
        Ok(true)
    }
}
