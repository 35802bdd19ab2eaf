//! A reader of event streams.

use std::io::{BufRead, Read};

use serde_json::Value;

use crate::client::Client;

pub struct Sse {
    pub client: Client,
    pub head: String,
    text: String,
}

#[derive(Clone, Debug)]
pub struct Event {
    pub id: String,
    pub name: String,
    pub data: Value,
}

impl Event {
    /// Keys of the cells in it.
    pub fn keys(&self) -> Vec<&str> {
        let cells = self.data["cells"].as_array().into_iter().flatten();
        cells.filter_map(|cell| cell["k"].as_str()).collect()
    }

    /// The value of a cell.
    pub fn value(&self, key: &str) -> &Value {
        let mut cells = self.data["cells"].as_array().into_iter().flatten();
        cells
            .find(|cell| cell["k"] == key)
            .map_or(&Value::Null, |cell| &cell["v"])
    }
}

impl Sse {
    /// Opens a stream; the head of the answer is read.
    pub fn open(mut client: Client, query: &str, headers: &[(&str, &str)]) -> Sse {
        client.send(&format!("GET /api/v1/live/stream{query}"), headers, b"");
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            let read = client.stream.read_line(&mut head).expect("a head");
            assert!(read > 0, "it ended: {head}");
        }
        assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
        Sse {
            client,
            head,
            text: String::new(),
        }
    }

    /// The next block of lines, comments too; `None` when the stream has ended as it should.
    pub fn block(&mut self) -> Option<String> {
        loop {
            if let Some(end) = self.text.find("\n\n") {
                let rest = self.text.split_off(end + 2);
                let block = std::mem::replace(&mut self.text, rest);
                return Some(block.trim_end().to_owned());
            }
            let mut size = String::new();
            self.client.stream.read_line(&mut size).expect("a chunk");
            let size = usize::from_str_radix(size.trim(), 16).expect("its size");
            let mut chunk = vec![0; size + 2];
            self.client
                .stream
                .read_exact(&mut chunk)
                .expect("all of it");
            if size == 0 {
                assert!(self.text.is_empty(), "half an event: {}", self.text);
                return None;
            }
            let chunk = std::str::from_utf8(&chunk[..size]).expect("ASCII is never cut");
            self.text.push_str(chunk);
        }
    }

    /// The next event; `None` when the stream has ended.
    pub fn next(&mut self) -> Option<Event> {
        loop {
            let block = self.block()?;
            let field = |name: &str| {
                let mut lines = block.lines();
                lines.find_map(|line| line.strip_prefix(name).map(str::to_owned))
            };
            if let (Some(name), Some(data)) = (field("event: "), field("data: ")) {
                return Some(Event {
                    id: field("id: ").unwrap_or_default(),
                    name,
                    data: serde_json::from_str(&data).expect("JSON"),
                });
            }
        }
    }

    /// The next event of a name.
    #[track_caller]
    pub fn wait_for(&mut self, name: &str) -> Event {
        loop {
            let event = self.next().expect("an event before the end");
            if event.name == name {
                return event;
            }
        }
    }

    /// Whether a stream ends, after at most a `bye`; its reason.
    pub fn reason_of_its_end(&mut self) -> String {
        let bye = self.wait_for("bye");
        assert!(self.next().is_none(), "nothing comes after {bye:?}");
        assert!(bye.data["retry_ms"].as_u64().is_some_and(|ms| ms >= 2_000));
        bye.data["reason"].as_str().expect("a reason").to_owned()
    }
}
