//! Reading a table with a mapping: rows in, events or rejects out.

use std::{
    borrow::Cow,
    io::{self, BufRead},
};

use events::{Event, ID_BYTES_MAX, Reject, RejectCode, Text, UtcMicros, decode_data};

use super::{
    Mapping, Problem,
    node::{Problems, known_hint},
    record::{self, RECORD_BYTES_MAX, Raw, Records},
    rule::Rule,
    spec::{Spec, Table},
    value::{Cells, Piece, concat, object},
};

/// What keeps a table from being read at all.
#[derive(Debug, thiserror::Error)]
pub enum CsvError {
    /// The file cannot be read.
    #[error("cannot read the table: {0}")]
    Io(#[from] io::Error),
    /// The header line cannot be read.
    #[error("the header line cannot be read: {0}")]
    Header(Reject),
    /// The mapping names columns that the table does not have.
    #[error("the mapping does not fit the table:\n{}", lines(.0))]
    Mapping(Vec<Problem>),
}

fn lines(problems: &[Problem]) -> String {
    problems
        .iter()
        .map(Problem::to_string)
        .collect::<Vec<_>>()
        .join("\n")
}

/// One row of a table.
#[derive(Debug)]
pub struct CsvRow {
    /// The line that it begins on, from 1.
    pub line: u64,
    /// Its bytes as they stand in the file, without the line end.
    pub raw: Vec<u8>,
    /// All of its events, or why it has none.
    pub result: Result<Vec<Event>, Reject>,
}

/// The rows of a table.
#[derive(Debug)]
pub struct CsvRows<'m, R> {
    spec: &'m Spec,
    records: Records<R>,
    width: usize,
    positions: Vec<usize>,
    tenant_id: Text,
    recorded_at: UtcMicros,
}

impl<'m, R: BufRead> CsvRows<'m, R> {
    /// Reads the header line and finds the columns.
    ///
    /// # Errors
    /// When the input cannot be read, or a column of the mapping is not in the table.
    pub fn new(
        mapping: &'m Mapping,
        tenant_id: Text,
        recorded_at: UtcMicros,
        input: R,
    ) -> Result<Self, CsvError> {
        let spec = &mapping.spec;
        let table = &spec.table;
        let quote = table.quote.map(|quote| quote as u8);
        let mut records = Records::new(input, table.delimiter as u8, quote);
        let header = match &table.columns {
            Some(columns) => columns.clone(),
            None => match records.next()? {
                Some(raw) => split(&raw, table, true).map_err(CsvError::Header)?,
                None => Vec::new(),
            },
        };
        let positions = bind(spec, &header).map_err(CsvError::Mapping)?;
        let width = header.len();
        Ok(CsvRows {
            spec,
            records,
            width,
            positions,
            tenant_id,
            recorded_at,
        })
    }

    fn events(&self, raw: &Raw) -> Result<Vec<Event>, Reject> {
        let fields = split(raw, &self.spec.table, raw.line == 1)?;
        if fields.len() != self.width {
            let detail = format!("the row has {} fields, not {}", fields.len(), self.width);
            return Err(Reject::new(RejectCode::BadLine, "", detail));
        }
        let spec = self.spec;
        let cells = Cells::new(&fields, &self.positions, &spec.table.nulls, &spec.columns);
        let key = row_key(spec, &cells)?;
        let mut events = Vec::with_capacity(spec.rules.len());
        for rule in &spec.rules {
            let met = rule
                .when
                .as_ref()
                .is_none_or(|when| when.test(&cells) == Some(true));
            if met {
                events.push(self.event(rule, &key, &cells)?);
            }
        }
        Ok(events)
    }

    fn event(&self, rule: &Rule, key: &str, cells: &Cells<'_>) -> Result<Event, Reject> {
        let event_type = rule.event.event_type;
        let of_rule = |reject: Reject| {
            let detail = format!("{} (in {event_type})", reject.detail);
            Reject { detail, ..reject }
        };
        let format = &self.spec.time;
        let occurred_at = rule
            .at
            .eval(cells, format)
            .map_err(of_rule)?
            .ok_or_else(|| {
                let detail = format!("has no value, so {event_type} has no time");
                Reject::new(RejectCode::MissingField, "at", detail)
            })?;
        let data = object(&rule.data, cells, format).map_err(of_rule)?;
        let (data, attributes) = decode_data(event_type, data).map_err(of_rule)?;
        let event = Event {
            tenant_id: self.tenant_id.clone(),
            source: self.spec.source.clone(),
            event_id: event_id(key, rule),
            source_seq: None,
            schema_version: 1,
            occurred_at,
            recorded_at: self.recorded_at,
            correction: None,
            data,
            attributes,
        };
        event.check().map_err(of_rule)?;
        Ok(event)
    }
}

impl<R: BufRead> Iterator for CsvRows<'_, R> {
    type Item = io::Result<CsvRow>;

    fn next(&mut self) -> Option<Self::Item> {
        let raw = match self.records.next() {
            Ok(raw) => raw?,
            Err(error) => return Some(Err(error)),
        };
        let result = self.events(&raw);
        Some(Ok(CsvRow {
            line: raw.line,
            raw: raw.bytes,
            result,
        }))
    }
}

/// The fields of a record as text.
fn split(raw: &Raw, table: &Table, first: bool) -> Result<Vec<String>, Reject> {
    if raw.too_long {
        let detail = format!(
            "the row is longer than {RECORD_BYTES_MAX} bytes; is a quote in it never closed?"
        );
        return Err(Reject::new(RejectCode::TooLarge, "", detail));
    }
    let text: Cow<'_, str> = table
        .encoding
        .decode_without_bom_handling_and_without_replacement(&raw.bytes)
        .ok_or_else(|| {
            let detail = format!("the row is not {}", table.encoding.name());
            Reject::new(RejectCode::BadEncoding, "", detail)
        })?;
    let text = if first {
        text.trim_start_matches('\u{feff}')
    } else {
        &text
    };
    record::fields(text, table.delimiter, table.quote)
        .map_err(|detail| Reject::new(RejectCode::BadLine, "", detail))
}

/// Finds every column of the mapping in the header.
fn bind(spec: &Spec, header: &[String]) -> Result<Vec<usize>, Vec<Problem>> {
    let names: Vec<&str> = header.iter().map(|name| name.trim()).collect();
    let mut problems = Problems::new(&spec.file);
    let mut positions = Vec::new();
    for used in &spec.columns.used {
        match names.iter().position(|name| *name == used.name) {
            Some(position) => positions.push(position),
            None => {
                let message = format!("the table has no column '{}'", used.name);
                let hint = known_hint(&used.name, &names);
                problems.add_at(used.place, &used.key, message, &hint);
            }
        }
    }
    if problems.is_empty() {
        Ok(positions)
    } else {
        Err(problems.finish())
    }
}

fn row_key(spec: &Spec, cells: &Cells<'_>) -> Result<String, Reject> {
    let mut pieces = Vec::new();
    for slot in &spec.row_key {
        if !pieces.is_empty() {
            pieces.push(Piece::Text("|".into()));
        }
        pieces.push(Piece::Column(*slot));
    }
    concat(&pieces, cells).ok_or_else(|| {
        let detail = "a column of the row key has no value";
        Reject::new(RejectCode::MissingField, "row_key", detail)
    })
}

/// Row key and event type; readable unless it would be too long.
fn event_id(key: &str, rule: &Rule) -> Text {
    let number = if rule.number > 1 {
        format!(".{}", rule.number)
    } else {
        String::new()
    };
    let id = format!("{key}:{}{number}", rule.event.event_type);
    if id.len() <= ID_BYTES_MAX {
        return Text::from(id);
    }
    let hash = blake3::hash(key.as_bytes()).to_hex();
    Text::from(format!("{}:{}{number}", &hash[..32], rule.event.event_type))
}
