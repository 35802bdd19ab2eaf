//! Lines of bytes out of any input, and NDJSON events out of them.

use std::io::{self, BufRead, Read};

use events::{Intake, Reject, decode_line};

use crate::{
    formats::{Inputs, OpenInput, ReadError},
    limits,
    pipeline::{Batch, Lines},
};

/// What [`next_line`] found.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Found {
    /// A line is in the buffer, with so many bytes of the input behind it.
    Line(u64),
    /// The same, but only the beginning of a line that is too long.
    TooLong(u64),
    /// The input is at its end.
    End,
}

/// Reads one line into `line`, without `\n` or `\r\n`; never more than
/// [`limits::TOO_LONG_BYTES_KEPT`] of it.
pub(crate) fn next_line(mut input: &mut dyn BufRead, line: &mut Vec<u8>) -> io::Result<Found> {
    line.clear();
    let room = limits::TOO_LONG_BYTES_KEPT as u64;
    // Two more for the line end.
    let mut taken = (&mut input).take(room + 2).read_until(b'\n', line)? as u64;
    if taken == 0 {
        return Ok(Found::End);
    }
    let ended = line.last() == Some(&b'\n');
    if !ended && taken == room + 2 {
        taken += input.skip_until(b'\n')? as u64;
    }
    if ended {
        line.pop();
    }
    if line.last() == Some(&b'\r') {
        line.pop();
    }
    if line.len() as u64 > room || (!ended && taken > room) {
        line.truncate(limits::TOO_LONG_BYTES_KEPT);
        return Ok(Found::TooLong(taken));
    }
    Ok(Found::Line(taken))
}

/// A byte order mark, that some programs put before the first line.
const BOM: &[u8] = b"\xef\xbb\xbf";

/// Goes through the lines of several inputs.
pub(crate) struct LineReader {
    inputs: Inputs,
    open: Option<OpenInput>,
    number: u64,
    line: Vec<u8>,
}

impl LineReader {
    pub(crate) fn new(inputs: Inputs) -> Self {
        LineReader {
            inputs,
            open: None,
            number: 0,
            line: Vec::new(),
        }
    }

    /// Hands the next line to `take`, blank ones to the batch; `false` after the last input.
    pub(crate) fn next(
        &mut self,
        batch: &mut Batch,
        take: impl FnOnce(&mut Batch, u64, &[u8]),
    ) -> Result<bool, ReadError> {
        let Some(open) = self.open.as_mut() else {
            return self.open_next(batch);
        };
        let found = next_line(&mut open.reader, &mut self.line)
            .map_err(|error| ReadError::new(open.name.clone(), error))?;
        self.number += 1;
        let line = match &self.line[..] {
            line if self.number == 1 => line.strip_prefix(BOM).unwrap_or(line),
            line => line,
        };
        match found {
            Found::End => self.open = None,
            Found::Line(bytes) => {
                batch.read(bytes);
                match line.iter().all(u8::is_ascii_whitespace) {
                    true => batch.blank(),
                    false => take(batch, self.number, line),
                }
            }
            Found::TooLong(bytes) => {
                batch.read(bytes);
                batch.event(self.number, line, Err(too_long(bytes)));
            }
        }
        Ok(true)
    }

    fn open_next(&mut self, batch: &mut Batch) -> Result<bool, ReadError> {
        let Some(input) = self.inputs.next() else {
            return Ok(false);
        };
        let input = input?;
        batch.begin_file(input.name.clone());
        self.number = 0;
        self.open = Some(input);
        Ok(true)
    }
}

fn too_long(bytes: u64) -> Reject {
    let detail = format!(
        "the line has {bytes} bytes: at most {} are read; the quarantine has its beginning",
        events::LINE_BYTES_MAX
    );
    Reject::new(events::RejectCode::TooLarge, "", detail)
}

/// NDJSON: one event per line.
pub struct Ndjson {
    lines: LineReader,
    intake: Intake,
}

impl Ndjson {
    /// Reads all inputs, one after the other.
    pub fn new(inputs: Inputs, intake: Intake) -> Self {
        Ndjson {
            lines: LineReader::new(inputs),
            intake,
        }
    }
}

impl Lines for Ndjson {
    fn next(&mut self, batch: &mut Batch) -> Result<bool, ReadError> {
        let intake = &self.intake;
        self.lines.next(batch, |batch, number, line| {
            batch.event(number, line, decode_line(line, intake));
        })
    }
}

#[cfg(test)]
mod tests {
    use std::io::{BufReader, Cursor};

    use super::*;

    fn read_all(bytes: &[u8], buffer: usize) -> Vec<(Vec<u8>, Found)> {
        let mut input = BufReader::with_capacity(buffer, Cursor::new(bytes));
        let mut lines = Vec::new();
        let mut line = Vec::new();
        loop {
            match next_line(&mut input, &mut line).expect("a cursor does not fail") {
                Found::End => return lines,
                found => lines.push((line.clone(), found)),
            }
        }
    }

    #[test]
    fn lines_end_with_either_line_end_or_the_input() {
        for buffer in [1, 2, 3, 64] {
            let found = read_all(b"one\r\n\ntwo\nlast", buffer);
            let lines: Vec<&[u8]> = found.iter().map(|(line, _)| &line[..]).collect();
            assert_eq!(lines, [&b"one"[..], b"", b"two", b"last"]);
            let bytes: Vec<&Found> = found.iter().map(|(_, found)| found).collect();
            assert_eq!(
                bytes,
                [
                    &Found::Line(5),
                    &Found::Line(1),
                    &Found::Line(4),
                    &Found::Line(4)
                ]
            );
        }
        assert!(read_all(b"", 8).is_empty());
    }

    #[test]
    fn a_line_that_is_too_long_is_cut_and_the_next_one_is_read() {
        let mut bytes = vec![b'x'; 1_000_000];
        bytes.extend_from_slice(b"\nnext");
        let found = read_all(&bytes, 4096);
        assert_eq!(found[0].1, Found::TooLong(1_000_001));
        assert_eq!(found[0].0.len(), limits::TOO_LONG_BYTES_KEPT);
        assert_eq!(found[1], (b"next".to_vec(), Found::Line(4)));
    }
}
