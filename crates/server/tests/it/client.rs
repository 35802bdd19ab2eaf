//! A plain HTTP client: what is sent is what the test wrote.

use std::{
    collections::BTreeMap,
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpStream},
    time::Duration,
};

use serde_json::Value;

/// Long enough for a busy machine; a test that waits so long has failed.
const PATIENCE: Duration = Duration::from_secs(60);

pub const NDJSON: (&str, &str) = ("content-type", "application/x-ndjson");
pub const JSON: (&str, &str) = ("content-type", "application/json");
pub const ARROW: (&str, &str) = ("content-type", "application/vnd.apache.arrow.stream");

pub struct Client {
    pub stream: BufReader<TcpStream>,
}

#[derive(Clone, Debug)]
pub struct Reply {
    pub status: u16,
    pub headers: BTreeMap<String, String>,
    /// As text.
    pub body: String,
    pub bytes: Vec<u8>,
    /// Did the body come to its end?
    pub whole: bool,
}

impl Client {
    pub fn connect(addr: SocketAddr) -> Client {
        let stream = TcpStream::connect(addr).expect("the server listens");
        stream.set_read_timeout(Some(PATIENCE)).expect("a socket");
        stream.set_write_timeout(Some(PATIENCE)).expect("a socket");
        stream.set_nodelay(true).expect("a socket");
        Client {
            stream: BufReader::new(stream),
        }
    }

    pub fn write(&mut self, bytes: impl AsRef<[u8]>) {
        self.stream
            .get_mut()
            .write_all(bytes.as_ref())
            .expect("the server reads");
    }

    /// Sends a whole request, without waiting for the answer.
    pub fn send(&mut self, line: &str, headers: &[(&str, &str)], body: &[u8]) {
        let mut head = format!("{line} HTTP/1.1\r\nhost: localhost\r\n");
        for (name, value) in headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        head.push_str(&format!("content-length: {}\r\n\r\n", body.len()));
        self.write(head);
        self.write(body);
    }

    pub fn ask(&mut self, line: &str, headers: &[(&str, &str)], body: &[u8]) -> Reply {
        self.send(line, headers, body);
        self.reply()
    }

    pub fn get(&mut self, path: &str) -> Reply {
        self.ask(&format!("GET {path}"), &[], b"")
    }

    pub fn post(&mut self, headers: &[(&str, &str)], body: impl AsRef<[u8]>) -> Reply {
        self.ask("POST /api/v1/events", headers, body.as_ref())
    }

    /// Reads one answer.
    pub fn reply(&mut self) -> Reply {
        self.try_reply().expect("an answer before the end")
    }

    /// Reads one answer, if one comes before the connection ends.
    pub fn try_reply(&mut self) -> Option<Reply> {
        let first = self.line()?;
        let status = first.split(' ').nth(1)?.parse().ok()?;
        let mut headers = BTreeMap::new();
        loop {
            let line = self.line()?;
            let Some((name, value)) = line.split_once(':') else {
                break;
            };
            headers.insert(name.to_ascii_lowercase(), value.trim().to_owned());
        }
        let (bytes, whole) = match headers.get("transfer-encoding").map(String::as_str) {
            Some("chunked") => self.chunks(),
            _ => {
                let length = headers.get("content-length");
                let length = length.map_or(Some(0), |length| length.parse().ok())?;
                let mut body = Vec::new();
                let mut rest = (&mut self.stream).take(length);
                // A connection that breaks off is as good as one that ends.
                let _ = rest.read_to_end(&mut body);
                let whole = body.len() as u64 == length;
                (body, whole)
            }
        };
        Some(Reply {
            status,
            headers,
            body: String::from_utf8_lossy(&bytes).into_owned(),
            bytes,
            whole,
        })
    }

    /// What came, and whether the last chunk was the last.
    fn chunks(&mut self) -> (Vec<u8>, bool) {
        let mut bytes = Vec::new();
        loop {
            let size = self.line();
            let Some(size) = size.and_then(|line| usize::from_str_radix(&line, 16).ok()) else {
                return (bytes, false);
            };
            let mut chunk = vec![0; size + 2];
            if self.stream.read_exact(&mut chunk).is_err() {
                return (bytes, false);
            }
            chunk.truncate(size);
            bytes.extend(chunk);
            if size == 0 {
                return (bytes, true);
            }
        }
    }

    fn line(&mut self) -> Option<String> {
        let mut line = String::new();
        match self.stream.read_line(&mut line) {
            Ok(read) if read > 0 => Some(line.trim_end().to_owned()),
            _ => None,
        }
    }

    /// Does nothing come for so long?
    pub fn is_silent_for(&mut self, time: Duration) -> bool {
        let stream = self.stream.get_ref();
        stream.set_read_timeout(Some(time)).expect("a socket");
        let silent = self.stream.fill_buf().is_err();
        let stream = self.stream.get_ref();
        stream.set_read_timeout(Some(PATIENCE)).expect("a socket");
        silent
    }

    /// Reads to the end of the connection, whichever way it ends; how many bytes came.
    pub fn bytes_to_the_end(&mut self) -> usize {
        let mut bytes = Vec::new();
        match self.stream.read_to_end(&mut bytes) {
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {
                panic!("the connection does not end")
            }
            _ => bytes.len(),
        }
    }
}

impl Reply {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).expect("answers are JSON")
    }

    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", String::as_str)
    }

    /// Checks everything that all errors have in common, and gives the code.
    #[track_caller]
    pub fn error_code(&self) -> String {
        let json = self.json();
        let error = &json["error"];
        assert_eq!(self.header("content-type"), "application/json");
        assert_eq!(
            error["request_id"],
            *self.header("x-request-id"),
            "{self:?}"
        );
        assert!(!self.header("x-request-id").is_empty(), "{self:?}");
        assert!(
            error["message"].as_str().is_some_and(|m| !m.is_empty()),
            "{self:?}"
        );
        let retry = error["retry_after_s"].as_u64().map(|s| s.to_string());
        assert_eq!(
            retry.unwrap_or_default(),
            self.header("retry-after"),
            "{self:?}"
        );
        error["code"].as_str().expect("a code").to_owned()
    }
}
