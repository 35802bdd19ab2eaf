//! Where one JSON record ends and the next begins.
//!
//! Records may stand one a line, over many lines, close together without anything between them, in
//! a list, or in a named list of a page. One that is broken is found by what JSON cannot be (a line
//! end in a text, an object that begins where none can), and costs no record but itself: reading
//! goes on at that place.

use std::io::{self, BufRead};

use crate::limits::RECORD_BYTES_MAX;

/// What comes next in an input.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// The bytes of one object, and the line on which it begins, from 1.
    Record { line: u64, raw: Vec<u8> },
    /// Bytes that are no object, or only the beginning of one.
    Bad {
        line: u64,
        raw: Vec<u8>,
        why: &'static str,
    },
    /// The input is over.
    End,
}

/// Goes through the bytes of one input.
#[derive(Debug)]
pub(super) struct Splitter {
    pages: &'static [&'static str],
    line: u64,
    state: State,
    /// Bytes of the record that is being read.
    raw: Vec<u8>,
    /// The line it begins on.
    begun: u64,
    depth: u32,
    /// The last byte in it that is no space.
    last: u8,
    /// Where the last text in it stands.
    text: (usize, usize),
    at_line_start: bool,
    /// In a list: the end of it may be followed by the rest of a page.
    list: Option<List>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Between two records.
    Between,
    /// In an object, outside of any text.
    Object,
    /// In a text of an object; `true` after a backslash.
    Text(bool),
    /// In something that is no object, to the end of the line.
    Junk,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum List {
    Bare,
    OfPage,
}

const NO_OBJECT: &str = "is no JSON object: send records as objects, one a line or in a list";
const TEXT_OPEN: &str = "a text in the record is not closed at the end of its line";
const NOT_CLOSED: &str = "the record is not closed where the next one begins";
const INPUT_OVER: &str = "the input ends within the record";
const TOO_LONG: &str = "the record is longer than 4 MiB; the quarantine has its beginning";

impl Splitter {
    pub fn new(pages: &'static [&'static str]) -> Self {
        Splitter {
            pages,
            line: 1,
            state: State::Between,
            raw: Vec::new(),
            begun: 1,
            depth: 0,
            last: 0,
            text: (0, 0),
            at_line_start: true,
            list: None,
        }
    }

    /// Reads on to the end of the next record; with the number of bytes read.
    pub fn next(&mut self, input: &mut dyn BufRead) -> io::Result<(u64, Found)> {
        let mut read = 0;
        loop {
            let chunk = input.fill_buf()?;
            if chunk.is_empty() {
                return Ok((read, self.end()));
            }
            let found = chunk.iter().enumerate().find_map(|(at, byte)| {
                let found = self.step(*byte)?;
                Some((at + 1, found))
            });
            let used = found.as_ref().map_or(chunk.len(), |(used, _)| *used);
            input.consume(used);
            read += used as u64;
            if let Some((_, found)) = found {
                return Ok((read, found));
            }
        }
    }

    fn end(&mut self) -> Found {
        match self.state {
            _ if self.raw.is_empty() => Found::End,
            State::Junk => self.bad(NO_OBJECT),
            _ => self.bad(INPUT_OVER),
        }
    }

    fn step(&mut self, byte: u8) -> Option<Found> {
        let found = match self.state {
            State::Between => {
                self.between(byte);
                None
            }
            State::Object => self.object(byte),
            State::Text(escaped) => self.text(byte, escaped),
            State::Junk => self.junk(byte),
        };
        self.at_line_start = byte == b'\n';
        self.line += u64::from(self.at_line_start);
        found
    }

    fn between(&mut self, byte: u8) {
        match byte {
            // The last three are a byte order mark.
            b' ' | b'\t' | b'\r' | b'\n' | b',' | 0xef | 0xbb | 0xbf => {}
            b'[' if self.list.is_none() => self.list = Some(List::Bare),
            b']' if self.list.is_some() => {
                if self.list.take() == Some(List::OfPage) {
                    self.rest_of_page();
                }
            }
            b'{' => self.begin(),
            _ => {
                self.begun = self.line;
                self.raw.push(byte);
                self.state = State::Junk;
            }
        }
    }

    fn begin(&mut self) {
        self.state = State::Object;
        self.begun = self.line;
        self.depth = 1;
        self.last = b'{';
        self.raw.push(b'{');
    }

    /// What follows the list of a page: an object without content of its own, until its end or
    /// another list.
    fn rest_of_page(&mut self) {
        self.state = State::Object;
        self.depth = 1;
        self.last = b']';
    }

    fn object(&mut self, byte: u8) -> Option<Found> {
        if byte == b'{' && self.at_line_start && !matches!(self.last, b':' | b',' | b'[') {
            let bad = self.bad(NOT_CLOSED);
            self.begin();
            return Some(bad);
        }
        match byte {
            b'"' => {
                self.state = State::Text(false);
                self.text.0 = self.raw.len() + 1;
            }
            b'[' if self.begins_page() => {
                self.raw.clear();
                self.state = State::Between;
                self.list = Some(List::OfPage);
                return None;
            }
            b'{' | b'[' => self.depth += 1,
            b'}' | b']' => self.depth -= 1,
            _ => {}
        }
        self.keep(byte);
        if !byte.is_ascii_whitespace() {
            self.last = byte;
        }
        (self.depth == 0).then(|| self.whole()).flatten()
    }

    fn begins_page(&self) -> bool {
        let name = self.raw.get(self.text.0..self.text.1);
        let is_named = || self.pages.iter().any(|page| name == Some(page.as_bytes()));
        self.list.is_none() && self.depth == 1 && self.last == b':' && is_named()
    }

    fn text(&mut self, byte: u8, escaped: bool) -> Option<Found> {
        match byte {
            b'\n' => return Some(self.bad(TEXT_OPEN)),
            _ if escaped => self.state = State::Text(false),
            b'\\' => self.state = State::Text(true),
            b'"' => {
                self.text.1 = self.raw.len();
                self.state = State::Object;
                self.last = b'"';
            }
            _ => {}
        }
        self.keep(byte);
        None
    }

    fn junk(&mut self, byte: u8) -> Option<Found> {
        if byte == b'\n' {
            return Some(self.bad(NO_OBJECT));
        }
        self.keep(byte);
        None
    }

    fn keep(&mut self, byte: u8) {
        if self.raw.len() < RECORD_BYTES_MAX {
            self.raw.push(byte);
        }
    }

    /// The object is over. The rest of a page is none.
    fn whole(&mut self) -> Option<Found> {
        self.state = State::Between;
        let raw = std::mem::take(&mut self.raw);
        let line = self.begun;
        if raw.first() != Some(&b'{') {
            return None;
        }
        let why = TOO_LONG;
        Some(match raw.len() < RECORD_BYTES_MAX {
            true => Found::Record { line, raw },
            false => Found::Bad { line, raw, why },
        })
    }

    fn bad(&mut self, why: &'static str) -> Found {
        self.state = State::Between;
        let raw = std::mem::take(&mut self.raw);
        let line = self.begun;
        Found::Bad { line, raw, why }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `line: record` or `line! what is wrong`.
    fn split(text: &str) -> Vec<String> {
        let mut splitter = Splitter::new(&["calls", "more"]);
        let mut input = io::BufReader::with_capacity(3, text.as_bytes());
        let mut all = Vec::new();
        loop {
            match splitter.next(&mut input).expect("memory").1 {
                Found::End => return all,
                Found::Record { line, raw } => {
                    all.push(format!("{line}: {}", String::from_utf8_lossy(&raw)));
                }
                Found::Bad { line, why, .. } => all.push(format!("{line}! {why}")),
            }
        }
    }

    #[test]
    fn records_may_stand_a_line_each_close_together_or_in_a_list() {
        let is = ["1: {\"a\":1}", "2: {\"b\":\"}{\\\"\"}", "2: {}"];
        assert_eq!(split("{\"a\":1}\n{\"b\":\"}{\\\"\"}{}"), is);
        assert_eq!(split("\u{feff}[{\"a\":1},\n{\"b\":\"}{\\\"\"},{}]\n"), is);
        assert_eq!(
            split("[\n {\n  \"a\": [\n{\"x\":1}]}\n]"),
            ["2: {\n  \"a\": [\n{\"x\":1}]}"]
        );
        assert!(split(" \n\n").is_empty() && split("[]").is_empty());
    }

    #[test]
    fn records_in_the_lists_of_a_page_are_taken_out_of_it() {
        let page = "{\"total\": 2, \"calls\": [{\"a\":{\"calls\":[{}]}}, {\"b\":2}],\n\
                    \"x\": {\"y\": [1]}, \"more\":[{\"c\":3}], \"end\": null}\n{\"d\":4}";
        let is = [
            "1: {\"a\":{\"calls\":[{}]}}",
            "1: {\"b\":2}",
            "2: {\"c\":3}",
            "3: {\"d\":4}",
        ];
        assert_eq!(split(page), is);
    }

    #[test]
    fn a_broken_record_costs_only_itself() {
        assert_eq!(
            split("{\"a\":1\n{\"b\":2}\n{\"c\":\"open\n{\"d\":4}\nhello\n{\"e\":5}\n{\"f\":"),
            [
                &format!("1! {NOT_CLOSED}"),
                "2: {\"b\":2}",
                &format!("3! {TEXT_OPEN}"),
                "4: {\"d\":4}",
                &format!("5! {NO_OBJECT}"),
                "6: {\"e\":5}",
                &format!("7! {INPUT_OVER}"),
            ]
        );
    }

    #[test]
    fn a_record_that_is_too_long_is_cut_and_the_next_one_is_read() {
        let long = format!("{{\"a\":\"{}\"}}\n{{}}", "x".repeat(RECORD_BYTES_MAX));
        assert_eq!(split(&long), [format!("1! {TOO_LONG}"), "2: {}".to_owned()]);
    }
}
