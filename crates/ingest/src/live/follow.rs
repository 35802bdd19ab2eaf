//! Reading a log that grows: what is appended is delivered at once, and rotation loses nothing.

use std::{
    fs::{File, Metadata},
    io::{self, BufRead, BufReader, Read, Seek, SeekFrom},
    path::{Path, PathBuf},
};

use events::{Event, Intake, Reject, UtcMicros, decode_line};

use super::{LiveIngest, OnError, Receipt, Refusal};
use crate::{asterisk::QueueLog, limits};

/// Events of one delivery.
const DELIVERY_EVENTS: usize = 5_000;
/// Bytes read at a time.
const CHUNK_BYTES: usize = 256 * 1024;
/// How long a file is read on after another one has its name.
const ROTATED_MS: i64 = 60_000;

/// What the lines of the log are.
#[derive(Debug)]
pub enum Grammar {
    /// One JSON event a line.
    Ndjson(Intake),
    /// Asterisk's `queue_log`.
    QueueLog(Box<QueueLog>),
}

/// A log that is being followed.
///
/// Event ids come from the lines alone, so that a log may be read from its beginning at each
/// start: what is stored already is a duplicate. At the start the file `<name>.1` is read before
/// it, because it may have got this name while nobody looked, with an end that nobody has read.
#[derive(Debug)]
pub struct Follow {
    path: PathBuf,
    grammar: Grammar,
    /// Was the older file looked for?
    begun: bool,
    open: Option<Source>,
    /// The file that had the name before, and until when it may still be written to: a writer
    /// keeps it open until it is told of the rotation.
    rotated: Option<(Source, UtcMicros)>,
    /// Read, and not delivered yet.
    waiting: Vec<Line>,
}

/// One file of the log.
#[derive(Debug)]
struct Source {
    file: File,
    /// Which file it is, whatever its name.
    identity: u64,
    /// Bytes read.
    read: u64,
    /// A line whose end has not been written yet.
    partial: Vec<u8>,
    line: u64,
}

#[derive(Clone, Debug)]
struct Line {
    number: u64,
    raw: Vec<u8>,
    result: Result<Vec<Event>, Reject>,
}

/// What one look at the log gave.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Polled {
    /// Bytes read.
    pub bytes: u64,
    /// What became of the events.
    pub receipt: Receipt,
}

/// Why following a log stopped for now.
#[derive(Debug, thiserror::Error)]
pub enum FollowError {
    /// The file cannot be read.
    #[error("cannot read {}: {error}", path.display())]
    Read {
        /// Which file.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// The events were not taken; the next look tries again with the same ones.
    #[error(transparent)]
    Refused(#[from] Refusal),
}

impl Follow {
    /// Follows the file of that name, which need not exist yet.
    pub fn new(path: impl Into<PathBuf>, grammar: Grammar) -> Self {
        Follow {
            path: path.into(),
            grammar,
            begun: false,
            open: None,
            rotated: None,
            waiting: Vec::new(),
        }
    }

    /// Delivers what was written since the last look; `now` is when it counts as received.
    ///
    /// # Errors
    /// See [`FollowError`]. Nothing is lost: look again later.
    pub fn poll(&mut self, live: &LiveIngest, now: UtcMicros) -> Result<Polled, FollowError> {
        match &mut self.grammar {
            Grammar::Ndjson(intake) => intake.recorded_at = now,
            Grammar::QueueLog(log) => log.received_at(now),
        }
        let mut polled = Polled::default();
        self.deliver(live, &mut polled.receipt)?;
        loop {
            let read = self.read_on().map_err(|error| self.unreadable(error))?;
            polled.bytes += read as u64;
            if read == 0 || self.waiting.len() >= DELIVERY_EVENTS {
                self.deliver(live, &mut polled.receipt)?;
            }
            let turned = read == 0 && self.turn(now).map_err(|error| self.unreadable(error))?;
            if read == 0 && !turned {
                // A line may have ended with its file.
                self.deliver(live, &mut polled.receipt)?;
                return Ok(polled);
            }
        }
    }

    fn unreadable(&self, error: io::Error) -> FollowError {
        FollowError::Read {
            path: self.path.clone(),
            error,
        }
    }

    /// Reads a piece of the older file, then of the newer one; 0 at the end of both.
    fn read_on(&mut self) -> io::Result<usize> {
        let (grammar, waiting) = (&mut self.grammar, &mut self.waiting);
        let sources = self.rotated.iter_mut().map(|(source, _)| source);
        for source in sources.chain(&mut self.open) {
            let read = source.read_on(grammar, waiting)?;
            if read > 0 {
                return Ok(read);
            }
        }
        Ok(0)
    }

    fn deliver(&mut self, live: &LiveIngest, total: &mut Receipt) -> Result<(), Refusal> {
        if self.waiting.is_empty() {
            return Ok(());
        }
        let mut delivery = live.delivery();
        for Line {
            number,
            raw,
            result,
        } in &self.waiting
        {
            match result {
                Ok(events) => events
                    .iter()
                    .for_each(|event| delivery.event(*number, raw, Ok(event.clone()))),
                Err(reject) => delivery.event(*number, raw, Err(reject.clone())),
            }
        }
        let receipt = live.deliver_and_wait(delivery, OnError::KeepGood)?;
        self.waiting.clear();
        total.accepted += receipt.accepted;
        total.duplicate += receipt.duplicate;
        total.rejected += receipt.rejected;
        total.committed_seq = receipt.committed_seq;
        total.errors.extend(receipt.errors);
        total.errors.truncate(limits::RECEIPT_ERRORS_MAX);
        Ok(())
    }

    /// At the end of what is open: has the name gone to another file, or was the file cut? Then
    /// there is more to look at.
    fn turn(&mut self, now: UtcMicros) -> io::Result<bool> {
        if let Some((mut source, until)) = self.rotated.take() {
            if now < until {
                self.rotated = Some((source, until));
            } else {
                source.end(&mut self.grammar, &mut self.waiting);
            }
        }
        if !self.begun {
            self.open = older(&self.path)?;
            self.begun = true;
            if self.open.is_some() {
                return Ok(true);
            }
        }
        let about = match std::fs::metadata(&self.path) {
            Ok(about) => about,
            // Between two files of a rotation there may be none.
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            Err(error) => return Err(error),
        };
        if let Some(source) = self
            .open
            .as_mut()
            .filter(|s| s.identity == identity(&about))
        {
            if about.len() >= source.read {
                return Ok(false);
            }
            // Copied and cut: it begins anew under the same name.
            source.end(&mut self.grammar, &mut self.waiting);
            source.file.seek(SeekFrom::Start(0))?;
            (source.read, source.line) = (0, 0);
            return Ok(true);
        }
        let next = Source::open(&self.path)?;
        if let Some(old) = self.open.replace(next) {
            let until = now.plus_ms(ROTATED_MS);
            if let Some((mut older, _)) = self.rotated.replace((old, until)) {
                older.end(&mut self.grammar, &mut self.waiting);
            }
        }
        Ok(true)
    }

    /// The file's name.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

/// The file that had the name before the last rotation. One that begins as the file itself does is
/// a copy of it: read twice, equal lines of a `queue_log` would count as different ones.
fn older(path: &Path) -> io::Result<Option<Source>> {
    let mut name = path.as_os_str().to_owned();
    name.push(".1");
    let present = |opened: io::Result<Source>| match opened {
        Ok(source) => Ok(Some(source)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    };
    let Some(older) = present(Source::open(Path::new(&name)))? else {
        return Ok(None);
    };
    let is_copy = match present(Source::open(path))? {
        Some(newer) => newer.first_line()? == older.first_line()?,
        None => false,
    };
    Ok((!is_copy).then_some(older))
}

impl Source {
    fn open(path: &Path) -> io::Result<Self> {
        let file = File::open(path)?;
        Ok(Source {
            identity: identity(&file.metadata()?),
            file,
            read: 0,
            partial: Vec::new(),
            line: 0,
        })
    }

    /// Its first line, as far as a line may be long, with its end if it has one.
    fn first_line(&self) -> io::Result<Vec<u8>> {
        let mut line = Vec::new();
        let most = limits::TOO_LONG_BYTES_KEPT as u64;
        BufReader::new((&self.file).take(most)).read_until(b'\n', &mut line)?;
        (&self.file).rewind()?;
        Ok(line)
    }

    /// Reads a piece; 0 at the end.
    fn read_on(&mut self, grammar: &mut Grammar, waiting: &mut Vec<Line>) -> io::Result<usize> {
        let mut chunk = vec![0; CHUNK_BYTES];
        let read = self.file.read(&mut chunk)?;
        self.read += read as u64;
        let mut rest = &chunk[..read];
        while let Some(end) = rest.iter().position(|b| *b == b'\n') {
            self.hold(&rest[..end]);
            self.end_line(grammar, waiting);
            rest = &rest[end + 1..];
        }
        self.hold(rest);
        Ok(read)
    }

    /// Keeps a piece of a line, as far as a line may be long.
    fn hold(&mut self, piece: &[u8]) {
        let room = limits::TOO_LONG_BYTES_KEPT.saturating_sub(self.partial.len());
        self.partial
            .extend_from_slice(&piece[..piece.len().min(room)]);
    }

    /// The file is over: a line without an end has ended.
    fn end(&mut self, grammar: &mut Grammar, waiting: &mut Vec<Line>) {
        if !self.partial.is_empty() {
            self.end_line(grammar, waiting);
        }
    }

    fn end_line(&mut self, grammar: &mut Grammar, waiting: &mut Vec<Line>) {
        self.line += 1;
        let mut raw = std::mem::take(&mut self.partial);
        if raw.last() == Some(&b'\r') {
            raw.pop();
        }
        if raw.iter().all(u8::is_ascii_whitespace) {
            return;
        }
        let result = match grammar {
            Grammar::Ndjson(intake) => decode_line(&raw, intake).map(|event| vec![event]),
            Grammar::QueueLog(log) => log.line(&raw),
        };
        if !matches!(&result, Ok(events) if events.is_empty()) {
            waiting.push(Line {
                number: self.line,
                raw,
                result,
            });
        }
    }
}

#[cfg(unix)]
fn identity(about: &Metadata) -> u64 {
    std::os::unix::fs::MetadataExt::ino(about)
}

#[cfg(not(unix))]
fn identity(about: &Metadata) -> u64 {
    // Without numbers of files only a shorter file tells of a rotation.
    let _ = about;
    0
}
