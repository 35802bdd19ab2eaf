//! Reading a log that grows: what is appended is delivered at once, and rotation loses nothing.

use std::{
    collections::VecDeque,
    fs::{File, Metadata},
    io::{self, BufRead, BufReader, Read, Seek, SeekFrom},
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use events::{Event, Intake, Reject, RejectCode, UtcMicros, decode_line};

use super::{Delivery, LineError, LiveIngest, OnError, Receipt, Refusal, delivery::Rejected};
use crate::{asterisk::QueueLog, limits, quarantine::Quarantine};

/// Events of one delivery.
const DELIVERY_EVENTS: usize = 5_000;
/// Bytes read at a time.
const CHUNK_BYTES: usize = 256 * 1024;
/// How long a file is read on after another one has its name.
const ROTATED_MS: i64 = 60_000;
/// Of the files before `<name>.1` those are read at the start that were written to in so long before
/// the newest one: calls of days ago may go on, and somebody may have been away over a weekend.
const READ_BACK: Duration = Duration::from_secs(7 * 24 * 60 * 60);

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
/// start: what is stored already is a duplicate. At the start the files `<name>.1`, `<name>.2` and
/// so on are read before it, from the oldest on: the log may have been rotated while nobody looked,
/// and calls go on from one file to the next.
#[derive(Debug)]
pub struct Follow {
    path: PathBuf,
    grammar: Grammar,
    /// Were the files looked for that are there at the start?
    begun: bool,
    /// Those of them that are read after the open one. A rotation meanwhile changes only names.
    ahead: VecDeque<Source>,
    open: Option<Source>,
    /// The file that had the name before, and until when it may still be written to: a writer
    /// keeps it open until it is told of the rotation.
    rotated: Option<(Source, UtcMicros)>,
    /// Read, and not delivered yet.
    waiting: Vec<Line>,
    /// Lines that were rejected, at this start or an earlier one.
    quarantine: Quarantine,
}

/// One file of the log.
#[derive(Debug)]
struct Source {
    /// Its name when it was opened.
    path: PathBuf,
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
    /// What became of the events; its errors are those of lines that are not too old.
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
            ahead: VecDeque::new(),
            open: None,
            rotated: None,
            waiting: Vec::new(),
            quarantine: Quarantine::default(),
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
            let read = self.read_on()?;
            polled.bytes += read as u64;
            if read == 0 || self.waiting.len() >= DELIVERY_EVENTS {
                self.deliver(live, &mut polled.receipt)?;
            }
            let turned = read == 0
                && self
                    .turn(now)
                    .map_err(|error| unreadable(&self.path, error))?;
            if read == 0 && !turned {
                // A line may have ended with its file.
                self.deliver(live, &mut polled.receipt)?;
                return Ok(polled);
            }
        }
    }

    /// Reads a piece of the older file, then of the newer one; 0 at the end of both. An older file
    /// that cannot be read on does not hold up the newer ones.
    fn read_on(&mut self) -> Result<usize, FollowError> {
        let (grammar, waiting) = (&mut self.grammar, &mut self.waiting);
        if let Some((source, _)) = &mut self.rotated {
            match source.read_on(grammar, waiting) {
                Ok(0) => {}
                Ok(read) => return Ok(read),
                Err(error) => {
                    pass_over(&source.path, &error);
                    self.rotated = None;
                }
            }
        }
        let Some(source) = &mut self.open else {
            return Ok(0);
        };
        match source.read_on(grammar, waiting) {
            Ok(read) => Ok(read),
            Err(error) if self.ahead.is_empty() => Err(unreadable(&source.path, error)),
            Err(error) => {
                pass_over(&source.path, &error);
                self.open = None;
                Ok(0)
            }
        }
    }

    fn deliver(&mut self, live: &LiveIngest, total: &mut Receipt) -> Result<(), Refusal> {
        if self.waiting.is_empty() {
            return Ok(());
        }
        let mut delivery = live.delivery();
        let is_row = matches!(self.grammar, Grammar::QueueLog(_));
        for Line {
            number,
            raw,
            result,
        } in &self.waiting
        {
            match result {
                Ok(events) if is_row => delivery.row(*number, raw, events),
                Ok(events) => events
                    .iter()
                    .for_each(|event| delivery.event(*number, raw, Ok(event.clone()))),
                Err(reject) => delivery.event(*number, raw, Err(reject.clone())),
            }
        }
        let known = self.take_out_known(live, &mut delivery);
        let receipt = live
            .deliver_and_wait(delivery, OnError::KeepGood)
            .inspect_err(|_| self.quarantine.forget())?;
        self.waiting.clear();
        total.accepted += receipt.accepted;
        total.duplicate += receipt.duplicate;
        total.rejected += receipt.rejected + known.len() as u64;
        total.committed_seq = receipt.committed_seq;
        total.too_old += receipt.too_old;
        // At each start the log is read from its beginning: that what was let go is not taken again is no
        // news.
        let news = receipt.errors.into_iter();
        let news = news.filter(|error| error.code != RejectCode::TooOld);
        total.errors.extend(known.into_iter().chain(news));
        total.errors.truncate(limits::RECEIPT_ERRORS_MAX);
        Ok(())
    }

    /// Takes the lines out that are in the quarantine already: they are rejected all the same, and not
    /// kept again at each start.
    fn take_out_known(&mut self, live: &LiveIngest, delivery: &mut Delivery) -> Vec<LineError> {
        let store = live.shared.store();
        let is_new = |rejected: &Rejected| {
            let (code, raw) = (rejected.reject.code, &rejected.raw);
            let is_new = self.quarantine.is_new_line(store, rejected.line, code, raw);
            // Rather twice than not at all.
            is_new.unwrap_or(true)
        };
        let all = std::mem::take(&mut delivery.rejects);
        let (new, known): (Vec<Rejected>, Vec<Rejected>) = all.into_iter().partition(is_new);
        delivery.rejects = new;
        known.iter().map(Rejected::error).collect()
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
            self.ahead = files_at_start(&self.path)?;
            self.begun = true;
        }
        if let Some(next) = self.ahead.pop_front() {
            self.go_on_with(next, now);
            return Ok(true);
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
        self.go_on_with(next, now);
        Ok(true)
    }

    /// Opens the next file; the one before it may still be written to.
    fn go_on_with(&mut self, next: Source, now: UtcMicros) {
        if let Some(old) = self.open.replace(next) {
            let until = now.plus_ms(ROTATED_MS);
            if let Some((mut older, _)) = self.rotated.replace((old, until)) {
                older.end(&mut self.grammar, &mut self.waiting);
            }
        }
    }

    /// The file's name.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

/// The files of the log that are there, the oldest first, opened before any of them is read. One that
/// begins as the newer one does is a copy of it, or itself under its next name: read twice, equal lines
/// of a `queue_log` would count as different ones. An older file that cannot be read is passed over,
/// with those before it.
fn files_at_start(path: &Path) -> io::Result<VecDeque<Source>> {
    let mut files = VecDeque::new();
    let (mut newer_begins, mut newest) = (None, None);
    if let Some((source, begins, written)) = present(path)? {
        (newer_begins, newest) = (Some(begins), Some(written));
        files.push_front(source);
    }
    for number in 1.. {
        let mut name = path.as_os_str().to_owned();
        name.push(format!(".{number}"));
        let (source, begins, written) = match present(Path::new(&name)) {
            Ok(Some(found)) => found,
            Ok(None) => break,
            Err(error) => {
                pass_over(Path::new(&name), &error);
                break;
            }
        };
        let newest = *newest.get_or_insert(written);
        let is_old = newest
            .duration_since(written)
            .is_ok_and(|age| age > READ_BACK);
        if number > 1 && is_old {
            break;
        }
        if newer_begins.as_ref() != Some(&begins) {
            newer_begins = Some(begins);
            files.push_front(source);
        }
    }
    Ok(files)
}

/// The file of that name, its first line and when it was written to, unless there is none.
fn present(path: &Path) -> io::Result<Option<(Source, Vec<u8>, SystemTime)>> {
    let source = match Source::open(path) {
        Ok(source) => source,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let begins = source.first_line()?;
    let written = source.file.metadata()?.modified()?;
    Ok(Some((source, begins, written)))
}

fn unreadable(path: &Path, error: io::Error) -> FollowError {
    FollowError::Read {
        path: path.to_owned(),
        error,
    }
}

fn pass_over(path: &Path, error: &io::Error) {
    let path = path.display();
    tracing::warn!(%path, %error, "an older file of the log cannot be read and is passed over");
}

impl Source {
    fn open(path: &Path) -> io::Result<Self> {
        let file = File::open(path)?;
        Ok(Source {
            path: path.to_owned(),
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

#[cfg(test)]
mod tests {
    use super::*;

    /// A folder with a log, and the texts of its files, the newest first.
    fn log(texts: &[&str]) -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("queue_log");
        for (number, text) in texts.iter().enumerate() {
            std::fs::write(older(&path, number), text).expect("a file is written");
        }
        (folder, path)
    }

    fn older(path: &Path, number: usize) -> PathBuf {
        match number {
            0 => path.to_owned(),
            _ => path.with_extension(number.to_string()),
        }
    }

    fn begins(files: &VecDeque<Source>) -> Vec<String> {
        let lines = files.iter().map(|f| f.first_line().expect("readable"));
        lines
            .map(|line| String::from_utf8(line).expect("a text"))
            .collect()
    }

    #[test]
    fn files_of_the_start_are_read_whatever_they_are_called_meanwhile() {
        let (_folder, path) = log(&["c", "b", "a"]);
        let files = files_at_start(&path).expect("readable");
        for number in [1, 0] {
            let to = older(&path, number + 1);
            std::fs::rename(older(&path, number), to).expect("a rename");
        }
        std::fs::write(&path, "d").expect("a file is written");
        assert_eq!(begins(&files), ["a", "b", "c"]);
    }

    #[test]
    fn old_files_and_copies_are_left_out_but_the_first_of_them() {
        let (_folder, path) = log(&["c", "b", "a"]);
        let written = |number| older(&path, number).metadata().and_then(|m| m.modified());
        let set = |number, at| {
            let file = File::options().write(true).open(older(&path, number));
            let set = file.and_then(|file| file.set_modified(at));
            set.expect("a time can be set");
        };
        let newest = written(0).expect("a time");
        for number in [1, 2] {
            set(number, newest - READ_BACK - Duration::from_secs(1));
        }
        let files = files_at_start(&path).expect("readable");
        assert_eq!(begins(&files), ["b", "c"]);
        let (_folder, path) = log(&["c", "c", "b", "b", "a"]);
        let files = files_at_start(&path).expect("readable");
        assert_eq!(begins(&files), ["a", "b", "c"]);
    }

    #[test]
    fn an_older_file_that_cannot_be_read_does_not_hold_up_the_log() {
        let (_folder, path) = log(&["c"]);
        std::fs::create_dir(older(&path, 1)).expect("a folder");
        let files = files_at_start(&path).expect("readable");
        assert_eq!(begins(&files), ["c"]);
    }
}
