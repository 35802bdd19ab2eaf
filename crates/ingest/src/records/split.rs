//! Where one JSON record ends and the next begins.
//!
//! Records may stand one a line, over many lines, close together without anything between them, in
//! a list, or in a named list of a page. One that is broken is found by what JSON cannot be (a line
//! end in a text, an object that begins where none can), and costs no record but itself: reading
//! goes on at that place.
//!
//! A page has nothing but lists and a few values. An object with an `id`, or with another object in
//! it, is a record, whatever its lists are called; what else stands in a page is named, so that
//! nothing is passed over in silence.

use std::io::{self, BufRead};

use crate::limits::RECORD_BYTES_MAX;

/// What comes next in an input.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// The bytes of one object, and the line on which it begins, from 1.
    Record { line: u64, raw: Vec<u8> },
    /// Names of what stood in a page beside the lists of records.
    Beside { line: u64, names: Vec<String> },
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
    /// Is the object what is left of a page?
    rest: bool,
    /// What stands in the object.
    inner: Inner,
    /// Names of what stood in the page outside of its lists so far.
    beside: Vec<String>,
}

/// What stands in an object, or in the rest of a page, at its first level.
#[derive(Debug, Default)]
struct Inner {
    /// Where the names of the lists and objects in it stand that are not empty.
    names: Vec<(usize, usize)>,
    /// Where the name stands of the one that is being read.
    name: (usize, usize),
    has_id: bool,
    /// Is there an object that no page has?
    has_object: bool,
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
const RECORD_OF_LISTS: &str = "an object with an id has a list of records in it and was taken for a page: \
     give its records apart";
/// What pages tell about themselves.
const OF_PAGES: [&[u8]; 4] = [b"meta", b"links", b"aggregations", b"paging"];
const TOO_LONG: &str = "the record is longer than 4 MiB; the quarantine has its beginning";

impl Inner {
    fn clear(&mut self) {
        self.names.clear();
        (self.has_id, self.has_object) = (false, false);
    }
}

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
            rest: false,
            inner: Inner::default(),
            beside: Vec::new(),
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
        self.rest = false;
        self.inner.clear();
    }

    /// What follows the list of a page: an object without content of its own, until its end or
    /// another list.
    fn rest_of_page(&mut self) {
        self.state = State::Object;
        self.depth = 1;
        self.last = b']';
        self.begun = self.line;
        self.rest = true;
        self.inner.clear();
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
                self.note_beside();
                self.raw.clear();
                self.state = State::Between;
                self.list = Some(List::OfPage);
                return None;
            }
            b':' if self.depth == 1 => self.inner.has_id |= self.named() == b"id",
            b'{' | b'[' => {
                if self.depth == 1 {
                    self.inner.name = self.text;
                }
                self.depth += 1;
            }
            b'}' | b']' => {
                self.depth -= 1;
                if self.depth == 1 {
                    self.note_inner(byte);
                }
            }
            _ => {}
        }
        self.keep(byte);
        if !byte.is_ascii_whitespace() {
            self.last = byte;
        }
        (self.depth == 0).then(|| self.whole()).flatten()
    }

    fn begins_page(&self) -> bool {
        let is_page = |name: &[u8]| self.pages.iter().any(|page| name == page.as_bytes());
        let may_be = !self.inner.has_id && (self.rest || !self.inner.has_object);
        self.list.is_none()
            && self.depth == 1
            && self.last == b':'
            && may_be
            && is_page(self.named())
    }

    /// The last text.
    fn named(&self) -> &[u8] {
        self.raw.get(self.text.0..self.text.1).unwrap_or_default()
    }

    /// A list or an object in the object is over, as its last byte says.
    fn note_inner(&mut self, byte: u8) {
        let (from, to) = self.inner.name;
        let name = self.raw.get(from..to).unwrap_or_default();
        let is_empty = matches!(self.last, b'[' | b'{');
        if is_empty || OF_PAGES.contains(&name) {
            return;
        }
        self.inner.has_object |= byte == b'}';
        self.inner.names.push((from, to));
    }

    /// The object is a page: what stood in it so far is beside its records.
    fn note_beside(&mut self) {
        let names = self.inner.names.iter();
        let names = names.filter_map(|(from, to)| self.raw.get(*from..*to));
        let names = names.map(|name| String::from_utf8_lossy(name).into_owned());
        self.beside.extend(names);
        self.inner.names.clear();
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

    /// The object is over: a record, unless it is what was left of a page.
    fn whole(&mut self) -> Option<Found> {
        self.state = State::Between;
        let line = self.begun;
        if self.rest {
            return self.page_over(line);
        }
        let raw = std::mem::take(&mut self.raw);
        let why = TOO_LONG;
        Some(match raw.len() < RECORD_BYTES_MAX {
            true => Found::Record { line, raw },
            false => Found::Bad { line, raw, why },
        })
    }

    fn page_over(&mut self, line: u64) -> Option<Found> {
        self.rest = false;
        self.note_beside();
        let (raw, names) = (
            std::mem::take(&mut self.raw),
            std::mem::take(&mut self.beside),
        );
        if self.inner.has_id {
            let why = RECORD_OF_LISTS;
            return Some(Found::Bad { line, raw, why });
        }
        (!names.is_empty()).then_some(Found::Beside { line, names })
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
                Found::Beside { names, .. } => all.push(format!("beside: {}", names.join(" "))),
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
            "beside: x",
            "3: {\"d\":4}",
        ];
        assert_eq!(split(page), is);
    }

    #[test]
    fn what_a_page_has_beside_its_lists_is_named_unless_pages_always_have_it() {
        let page = "{\"meta\": {\"n\": 1}, \"groups\": [{\"g\":1}], \"none\": [], \
                    \"calls\": [{\"a\":1}], \"links\": {\"next\": \"[\"}, \"one\": {\"b\":2}}";
        assert_eq!(split(page), ["1: {\"a\":1}", "beside: groups one"]);
    }

    #[test]
    fn an_object_with_an_id_or_another_object_is_a_record_whatever_its_lists_are_called() {
        for record in [
            "{\"id\":1,\"calls\":[{\"a\":1}]}",
            "{\"ticket\":{\"id\":1},\"calls\":[{\"a\":1}],\"more\":[]}",
        ] {
            assert_eq!(split(record), [format!("1: {record}")]);
        }
        let late = "{\"calls\":[{\"a\":1}],\n\"id\":1,\"more\":[{\"b\":2}]}\n{\"d\":4}";
        let is = ["1: {\"a\":1}".to_owned(), format!("1! {RECORD_OF_LISTS}")];
        assert_eq!(
            split(late),
            [&is[..], &["3: {\"d\":4}".to_owned()]].concat()
        );
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
