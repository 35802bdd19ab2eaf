//! Reading a log that grows: what is appended is delivered at once, and rotation loses nothing.

use std::{
    fs::{File, Metadata},
    io::{self, Read, Seek, SeekFrom},
    path::{Path, PathBuf},
};

use events::{Event, Intake, Reject, UtcMicros, decode_line};

use super::{LiveIngest, OnError, Receipt, Refusal};
use crate::{asterisk::QueueLog, limits};

/// Events of one delivery.
const DELIVERY_EVENTS: usize = 5_000;
/// Bytes read at a time.
const CHUNK_BYTES: usize = 256 * 1024;

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
/// start: what is stored already is a duplicate.
#[derive(Debug)]
pub struct Follow {
    path: PathBuf,
    grammar: Grammar,
    open: Option<Open>,
    /// A line whose end has not been written yet.
    partial: Vec<u8>,
    /// Bytes of a line that is too long and was let go.
    skipped: u64,
    line: u64,
    /// Read, and not delivered yet.
    waiting: Vec<Line>,
}

#[derive(Debug)]
struct Open {
    file: File,
    /// Which file it is, whatever its name.
    identity: u64,
    read: u64,
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
            open: None,
            partial: Vec::new(),
            skipped: 0,
            line: 0,
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
            let read = self.read_on().map_err(|error| FollowError::Read {
                path: self.path.clone(),
                error,
            })?;
            polled.bytes += read as u64;
            if read == 0 || self.waiting.len() >= DELIVERY_EVENTS {
                self.deliver(live, &mut polled.receipt)?;
            }
            if read == 0 && !self.turn().map_err(|error| self.unreadable(error))? {
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

    /// Reads a piece of the open file; 0 at its end.
    fn read_on(&mut self) -> io::Result<usize> {
        let Some(open) = &mut self.open else {
            return Ok(0);
        };
        let mut chunk = vec![0; CHUNK_BYTES];
        let read = open.file.read(&mut chunk)?;
        open.read += read as u64;
        let mut rest = &chunk[..read];
        while let Some(end) = rest.iter().position(|b| *b == b'\n') {
            self.hold(&rest[..end]);
            self.end_line();
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
        self.skipped += piece.len().saturating_sub(room) as u64;
    }

    fn end_line(&mut self) {
        self.line += 1;
        let mut raw = std::mem::take(&mut self.partial);
        self.skipped = 0;
        if raw.last() == Some(&b'\r') {
            raw.pop();
        }
        if raw.iter().all(u8::is_ascii_whitespace) {
            return;
        }
        let result = match &mut self.grammar {
            Grammar::Ndjson(intake) => decode_line(&raw, intake).map(|event| vec![event]),
            Grammar::QueueLog(log) => log.line(&raw),
        };
        if !matches!(&result, Ok(events) if events.is_empty()) {
            self.waiting.push(Line {
                number: self.line,
                raw,
                result,
            });
        }
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

    /// At the end of the open file: is the name another file's now, or the file shorter than what
    /// was read of it? Then reading goes on there, and there is more to look at.
    fn turn(&mut self) -> io::Result<bool> {
        let about = match std::fs::metadata(&self.path) {
            Ok(about) => about,
            // Between two files of a rotation there may be none.
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            Err(error) => return Err(error),
        };
        match &mut self.open {
            Some(open) if open.identity == identity(&about) => {
                if about.len() >= open.read {
                    return Ok(false);
                }
                // Copied and cut: it begins anew under the same name.
                open.file.seek(SeekFrom::Start(0))?;
                open.read = 0;
                self.begin();
                Ok(true)
            }
            Some(open) => {
                // The old file may have grown between its end and the rename.
                if open.file.metadata()?.len() == open.read {
                    self.open = None;
                }
                Ok(true)
            }
            None => {
                let file = File::open(&self.path)?;
                let identity = identity(&file.metadata()?);
                self.open = Some(Open {
                    file,
                    identity,
                    read: 0,
                });
                self.begin();
                Ok(true)
            }
        }
    }

    /// A new file: a line without an end in the old one has ended.
    fn begin(&mut self) {
        if !self.partial.is_empty() {
            self.end_line();
        }
        self.line = 0;
    }

    /// The file's name.
    pub fn path(&self) -> &Path {
        &self.path
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
