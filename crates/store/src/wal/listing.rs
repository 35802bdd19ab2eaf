//! The folder of the log: names, headers, and which segments count.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use super::{
    cursor::{Cursor, Step},
    frame::{FRAMES_AT, Header, NoHeader, VERSION},
};
use crate::{Error, Io, LostRows, Result};

/// The name of a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Name {
    pub first_seq: u64,
    pub attempt: u32,
}

impl Name {
    fn parse(name: &str) -> Option<Name> {
        let stem = name.strip_prefix("wal-")?.strip_suffix(".seg")?;
        let (first_seq, attempt) = stem.split_once('-')?;
        let digits = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
        if first_seq.len() != 20 || !digits(first_seq) || !digits(attempt) {
            return None;
        }
        Some(Name {
            first_seq: first_seq.parse().ok()?,
            attempt: attempt.parse().ok()?,
        })
    }

    pub fn file_name(self) -> String {
        format!("wal-{:020}-{}.seg", self.first_seq, self.attempt)
    }

    /// The name while the segment is being made.
    pub fn temporary(self) -> String {
        format!("{}.tmp", self.file_name())
    }

    /// The name once salvage has replaced it.
    pub fn damaged(self) -> String {
        format!("{}.damaged", self.file_name())
    }
}

/// A segment by its name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Entry {
    pub name: Name,
    pub path: PathBuf,
}

/// What lies in the folder.
#[derive(Debug, Default)]
pub(super) struct Listing {
    /// Segments in order; of those with the same first sequence only the last attempt.
    pub segments: Vec<Entry>,
    /// Attempts before the last.
    pub void: Vec<PathBuf>,
    /// Segments that were never finished.
    pub temporary: Vec<PathBuf>,
    /// Not ours.
    pub unknown: Vec<PathBuf>,
    /// Every name that was used.
    used: Vec<Name>,
}

impl Listing {
    /// Lists the folder; one that is not there is empty.
    pub fn read(io: &dyn Io, folder: &Path) -> Result<Listing> {
        let entries = match io.list(folder) {
            Ok(entries) => entries,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => Vec::new(),
            Err(e) => return Err(Error::io("list", folder, e)),
        };
        let mut found = Listing::default();
        let mut segments = Vec::new();
        for entry in entries {
            let path = entry.path;
            let name = path
                .file_name()
                .map(|n| n.to_string_lossy().into_owned())
                .unwrap_or_default();
            let (stem, ending) = match name.strip_suffix(".tmp") {
                Some(stem) => (stem, ".tmp"),
                None => match name.strip_suffix(".damaged") {
                    Some(stem) => (stem, ".damaged"),
                    None => (name.as_str(), ""),
                },
            };
            let Some(name) = Name::parse(stem).filter(|_| !entry.is_dir) else {
                found.unknown.push(path);
                continue;
            };
            found.used.push(name);
            match ending {
                ".tmp" => found.temporary.push(path),
                ".damaged" => {}
                _ => segments.push(Entry { name, path }),
            }
        }
        segments.sort();
        for at in 0..segments.len() {
            let next = segments.get(at + 1).map(|e: &Entry| e.name.first_seq);
            match next == Some(segments[at].name.first_seq) {
                true => found.void.push(segments[at].path.clone()),
                false => found.segments.push(segments[at].clone()),
            }
        }
        Ok(found)
    }

    /// The last name with this first sequence, of whatever file of ours.
    pub fn last_name(&self, first_seq: u64) -> Option<Name> {
        let same = self.used.iter().filter(|n| n.first_seq == first_seq);
        same.max().copied()
    }

    /// An attempt that no file with this first sequence has had.
    pub fn next_attempt(&self, first_seq: u64) -> u32 {
        self.last_name(first_seq).map_or(0, |name| name.attempt + 1)
    }

    /// Takes out the segments whose rows are all in files: those before another that begins at or
    /// before the first row that is in none.
    pub fn take_flushed(&mut self, flushed_seq: u64) -> Vec<PathBuf> {
        let needed = |e: &Entry| e.name.first_seq <= flushed_seq.saturating_add(1);
        let first = self.segments.iter().rposition(needed).unwrap_or(0);
        self.segments.drain(..first).map(|e| e.path).collect()
    }
}

/// A segment that counts, with what its header says.
#[derive(Clone, Debug)]
pub(super) struct Segment {
    pub name: Name,
    pub path: PathBuf,
    pub header: Header,
    /// Bytes that count, as the next segment says. `None` for the last one, and for one that was
    /// salvaged: it ends with a seal.
    pub valid: Option<u64>,
    /// The first sequence of the next segment; `None` for the last one.
    pub next_first: Option<u64>,
}

/// Reads the headers of all segments.
///
/// # Errors
/// [`Error::WalDamaged`] for a bad header and for rows that are missing between `flushed_seq` and
/// the first segment; [`Error::NewerFormat`].
pub(super) fn read_headers(
    io: &Arc<dyn Io>,
    entries: &[Entry],
    flushed_seq: u64,
) -> Result<Vec<Segment>> {
    let mut segments: Vec<Segment> = Vec::with_capacity(entries.len());
    for (at, entry) in entries.iter().enumerate() {
        let next_first = entries.get(at + 1).map(|e| e.name.first_seq);
        let header = read_header(io, entry, next_first, flushed_seq)?;
        if let Some(before) = segments.last_mut()
            && !before.header.salvaged
        {
            before.valid = Some(header.previous_valid);
        }
        segments.push(Segment {
            name: entry.name,
            path: entry.path.clone(),
            header,
            valid: None,
            next_first,
        });
    }
    match segments.first() {
        Some(first) if first.name.first_seq > flushed_seq.saturating_add(1) => {
            let what = "the rows before it are in no file and in no segment";
            let lost = LostRows {
                first_seq: flushed_seq + 1,
                last_seq: Some(first.name.first_seq - 1),
            };
            Err(damaged(&first.path, 0, lost, what))
        }
        _ => Ok(segments),
    }
}

fn read_header(
    io: &Arc<dyn Io>,
    entry: &Entry,
    next_first: Option<u64>,
    flushed_seq: u64,
) -> Result<Header> {
    let both = headers(&**io, &entry.path)?;
    let (what, lost) = match both {
        [Ok(header), Ok(copy)] if header == copy && header.first_seq == entry.name.first_seq => {
            return Ok(header);
        }
        [Err(NoHeader::Newer(found)), _] => {
            return Err(Error::NewerFormat {
                path: entry.path.clone(),
                found: u64::from(found),
                known: u64::from(VERSION),
            });
        }
        // With one of them the frames can be read.
        [Ok(header), _] | [_, Ok(header)] => {
            let path = entry.path.clone();
            let size = io.size(&path).map_err(|e| Error::io("look at", &path, e))?;
            let mut cursor = Cursor::new(Arc::clone(io), path, &header, size);
            while matches!(cursor.step()?, Step::Frame(_)) {}
            let what = "its header, the copy of it and its name do not agree";
            (what, cursor.lost_rows(next_first, flushed_seq + 1)?)
        }
        [Err(_), Err(_)] => {
            let lost = LostRows {
                first_seq: entry.name.first_seq.max(flushed_seq + 1),
                last_seq: next_first.map(|next| next - 1),
            };
            ("its header and the copy of it cannot be read", lost)
        }
    };
    Err(damaged(&entry.path, 0, lost, what))
}

/// The header of a segment and its copy.
pub(super) fn headers(io: &dyn Io, path: &Path) -> Result<[Result<Header, NoHeader>; 2]> {
    let start = io
        .read_range(path, 0, FRAMES_AT as usize)
        .map_err(|e| Error::io("read", path, e))?;
    Ok(Header::both(&start))
}

pub(super) fn damaged(path: &Path, offset: u64, lost: LostRows, what: &str) -> Error {
    Error::WalDamaged {
        path: path.to_owned(),
        offset,
        lost,
        what: what.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_segments_are_told_from_others() {
        let name = Name {
            first_seq: 41210,
            attempt: 12,
        };
        assert_eq!(name.file_name(), "wal-00000000000000041210-12.seg");
        assert_eq!(Name::parse(&name.file_name()), Some(name));
        for other in [
            "wal-41210-0.seg",
            "wal-00000000000000041210.seg",
            "wal-00000000000000041210-.seg",
            "wal-00000000000000041210-+1.seg",
            "wal-99999999999999999999-0.seg",
            "wal-00000000000000041210-0.seg2",
            "",
        ] {
            assert_eq!(Name::parse(other), None, "{other}");
        }
    }

    #[test]
    fn segments_before_the_one_with_the_first_needed_row_are_flushed() {
        let entry = |first_seq| Entry {
            name: Name {
                first_seq,
                attempt: 0,
            },
            path: PathBuf::from(first_seq.to_string()),
        };
        for (flushed, left) in [(0, 3), (9, 3), (10, 2), (19, 2), (20, 1), (500, 1)] {
            let mut listing = Listing {
                segments: vec![entry(1), entry(11), entry(21)],
                ..Listing::default()
            };
            let taken = listing.take_flushed(flushed);
            assert_eq!(listing.segments.len(), left, "{flushed}");
            assert_eq!(taken.len() + left, 3);
        }
    }
}
