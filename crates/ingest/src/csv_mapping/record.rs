//! Splitting a table into records and fields (RFC 4180), with the raw bytes of each record.

use std::io::{self, BufRead, Read};

/// Longest record in bytes; a longer one is most likely a quote that is never closed.
pub(super) const RECORD_BYTES_MAX: usize = events::LINE_BYTES_MAX;

/// Records of an input. Needs an encoding in which line ends, delimiter and quote are single
/// bytes.
#[derive(Debug)]
pub(super) struct Records<R> {
    input: R,
    delimiter: u8,
    quote: Option<u8>,
    lines: u64,
}

/// One record as it stands in the file.
#[derive(Debug)]
pub(super) struct Raw {
    /// Its first line, from 1.
    pub line: u64,
    /// Its bytes without the line end; the first line alone if it is too long.
    pub bytes: Vec<u8>,
    pub too_long: bool,
}

impl<R: BufRead> Records<R> {
    pub fn new(input: R, delimiter: u8, quote: Option<u8>) -> Self {
        Records {
            input,
            delimiter,
            quote,
            lines: 0,
        }
    }

    /// The next record; blank lines are passed over.
    pub fn next(&mut self) -> io::Result<Option<Raw>> {
        loop {
            let line = self.lines + 1;
            let mut bytes = Vec::new();
            let more = self.read_record(&mut bytes)?;
            let too_long = bytes.len() > RECORD_BYTES_MAX;
            if too_long {
                bytes.truncate(RECORD_BYTES_MAX);
            }
            trim_line_end(&mut bytes);
            if !bytes.is_empty() {
                return Ok(Some(Raw {
                    line,
                    bytes,
                    too_long,
                }));
            }
            if !more {
                return Ok(None);
            }
        }
    }

    /// Reads lines until every quote is closed. False at the end of the input.
    fn read_record(&mut self, bytes: &mut Vec<u8>) -> io::Result<bool> {
        let mut scan = Scan {
            field_start: true,
            ..Scan::default()
        };
        loop {
            let start = bytes.len();
            let room = (RECORD_BYTES_MAX + 1).saturating_sub(start) as u64;
            (&mut self.input).take(room).read_until(b'\n', bytes)?;
            if bytes.len() == start {
                return Ok(false);
            }
            if bytes.len() > RECORD_BYTES_MAX {
                if bytes.last() != Some(&b'\n') {
                    self.skip_line()?;
                }
                self.lines += 1;
                return Ok(true);
            }
            self.lines += 1;
            let Some(quote) = self.quote else {
                return Ok(true);
            };
            bytes[start..]
                .iter()
                .for_each(|b| scan.step(*b, self.delimiter, quote));
            if !scan.quoted {
                return Ok(true);
            }
        }
    }

    fn skip_line(&mut self) -> io::Result<()> {
        loop {
            let chunk = self.input.fill_buf()?;
            let (used, done) = match chunk.iter().position(|b| *b == b'\n') {
                Some(at) => (at + 1, true),
                None => (chunk.len(), chunk.is_empty()),
            };
            self.input.consume(used);
            if done {
                return Ok(());
            }
        }
    }
}

/// Where a quote opens a field and where it is only a character.
#[derive(Debug, Default)]
struct Scan {
    quoted: bool,
    closed: bool,
    field_start: bool,
}

impl Scan {
    fn step(&mut self, byte: u8, delimiter: u8, quote: u8) {
        let was = self.quoted;
        if byte == quote {
            // A quote right after a closing one is a doubled quote.
            self.quoted = !was && (self.field_start || self.closed);
        }
        self.closed = was && !self.quoted;
        self.field_start = !self.quoted && byte == delimiter;
    }
}

fn trim_line_end(bytes: &mut Vec<u8>) {
    while matches!(bytes.last(), Some(b'\n' | b'\r')) {
        bytes.pop();
    }
}

/// The fields of a record; the error says what is wrong with its quotes.
pub(super) fn fields(
    record: &str,
    delimiter: char,
    quote: Option<char>,
) -> Result<Vec<String>, &'static str> {
    let mut fields = Vec::new();
    let mut rest = record;
    loop {
        let (field, after) = match quote {
            Some(quote) if rest.starts_with(quote) => quoted_field(rest, delimiter, quote)?,
            _ => {
                let end = rest.find(delimiter).unwrap_or(rest.len());
                (rest[..end].to_owned(), &rest[end..])
            }
        };
        fields.push(field);
        match after.strip_prefix(delimiter) {
            Some(next) => rest = next,
            None => return Ok(fields),
        }
    }
}

fn quoted_field(rest: &str, delimiter: char, quote: char) -> Result<(String, &str), &'static str> {
    let mut field = String::new();
    let mut inner = &rest[quote.len_utf8()..];
    loop {
        let at = inner
            .find(quote)
            .ok_or("a quote is opened and never closed")?;
        field.push_str(&inner[..at]);
        let after = &inner[at + quote.len_utf8()..];
        if let Some(next) = after.strip_prefix(quote) {
            field.push(quote);
            inner = next;
        } else if after.is_empty() || after.starts_with(delimiter) {
            return Ok((field, after));
        } else {
            return Err("there is text between a closing quote and the next delimiter");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn records(text: &[u8]) -> Vec<(u64, String, bool)> {
        let mut records = Records::new(text, b',', Some(b'"'));
        let mut all = Vec::new();
        while let Some(raw) = records.next().expect("read") {
            all.push((
                raw.line,
                String::from_utf8_lossy(&raw.bytes).into_owned(),
                raw.too_long,
            ));
        }
        all
    }

    #[test]
    fn a_quoted_line_end_stays_in_its_record_and_blank_lines_do_not_count() {
        let found = records(b"a,b\r\n\r\n\"x\ny\",2\r\nlast");
        let expected = [
            (1, "a,b", false),
            (3, "\"x\ny\",2", false),
            (5, "last", false),
        ];
        let expected: Vec<_> = expected
            .iter()
            .map(|(l, t, x)| (*l, (*t).to_owned(), *x))
            .collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn a_quote_inside_a_field_is_a_character_and_a_doubled_one_stays_inside() {
        assert_eq!(records(b"5\" screen,x\nnext").len(), 2);
        assert_eq!(records(b"\"a \"\"b\nc\"\"\",1\nnext").len(), 2);
    }

    #[test]
    fn a_quote_that_is_never_closed_ends_one_record_not_the_import() {
        let mut text = b"a,\"open\n".to_vec();
        text.extend(std::iter::repeat_n(b"0123456789abcde\n".as_slice(), 20_000).flatten());
        let found = records(&text);
        assert!(found[0].2 && found.len() > 1_000, "{}", found.len());
        let long = vec![b'x'; 3_000_000];
        assert_eq!(records(&long).len(), 1);
    }

    #[test]
    fn quotes_are_read_as_in_rfc_4180() {
        let split = |text: &str| fields(text, ',', Some('"'));
        let is = |list: &[&str]| Ok(list.iter().map(|s| (*s).to_owned()).collect::<Vec<_>>());
        assert_eq!(split("a,,c"), is(&["a", "", "c"]));
        assert_eq!(
            split("\"a,b\",\"say \"\"hi\"\"\""),
            is(&["a,b", "say \"hi\""])
        );
        assert_eq!(split("a\"b,"), is(&["a\"b", ""]));
        assert!(split("\"a").is_err() && split("\"a\"b,c").is_err());
        assert_eq!(fields("it's;x", ';', None), is(&["it's", "x"]));
    }
}
