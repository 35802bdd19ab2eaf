//! Giving frames back, one after the other.

use std::{
    collections::VecDeque,
    path::{Path, PathBuf},
    sync::Arc,
};

use super::{
    cursor::{Cursor, Step},
    frame::{Frame, Header},
    listing::{Listing, Segment, damaged, read_headers},
};
use crate::{Error, Io, Result};

/// Times that the folder is listed while segments go.
const TRIES: usize = 16;

pub(super) const CUT_SHORT: &str = "it is shorter than it was made, and does not end with a seal";

/// Frames of the log in order. It holds one chunk of a segment (1 MiB, or a larger frame) in
/// memory. After an error it ends.
#[derive(Debug)]
pub struct Replay {
    io: Arc<dyn Io>,
    sources: VecDeque<Source>,
    open: Option<(Cursor, Source)>,
    from_seq: u64,
}

/// A segment to read.
#[derive(Clone, Debug)]
struct Source {
    path: PathBuf,
    header: Header,
    end: End,
}

/// Where a segment ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// After so many bytes, and before the row with this sequence.
    At(u64, Option<u64>),
    /// With a seal, before the row with this sequence.
    Seal(u64),
    /// Where good frames end; somebody may be writing.
    Unknown,
}

impl Replay {
    /// Segments with their valid lengths.
    pub(super) fn of<'a>(
        io: Arc<dyn Io>,
        segments: impl Iterator<Item = (&'a PathBuf, &'a Header, u64)>,
        from_seq: u64,
    ) -> Replay {
        let mut sources: VecDeque<Source> = segments
            .map(|(path, header, valid)| Source {
                path: path.clone(),
                header: *header,
                end: End::At(valid, None),
            })
            .collect();
        // Rows before `from_seq` are not needed: neither are segments before another that begins
        // at or before it.
        while sources
            .get(1)
            .is_some_and(|next| next.header.first_seq <= from_seq)
        {
            sources.pop_front();
        }
        Replay {
            io,
            sources,
            open: None,
            from_seq,
        }
    }

    /// Segments as their headers say.
    pub(super) fn of_segments(io: Arc<dyn Io>, segments: &[Segment], from_seq: u64) -> Replay {
        let source = |segment: &Segment| Source {
            path: segment.path.clone(),
            header: segment.header,
            end: match (segment.valid, segment.next_first) {
                (Some(valid), next) => End::At(valid, next),
                (None, Some(next)) => End::Seal(next),
                (None, None) => End::Unknown,
            },
        };
        Replay {
            io,
            sources: segments.iter().map(source).collect(),
            open: None,
            from_seq,
        }
    }

    fn advance(&mut self) -> Result<Option<Frame>> {
        loop {
            let Some((cursor, source)) = &mut self.open else {
                let Some(source) = self.sources.pop_front() else {
                    return Ok(None);
                };
                self.open = Some((source.cursor(&self.io)?, source));
                continue;
            };
            match cursor.step()? {
                Step::Frame(frame) => {
                    let end_seq = frame.first_seq + u64::from(frame.rows);
                    if !frame.kind.is_inner() && end_seq > self.from_seq {
                        return Ok(Some(frame));
                    }
                }
                Step::End => {
                    source.check_end(cursor, self.from_seq)?;
                    self.open = None;
                }
                Step::Bad(what) => {
                    source.check_bad(cursor, self.from_seq, what)?;
                    self.open = None;
                }
            }
        }
    }
}

impl Iterator for Replay {
    type Item = Result<Frame>;

    fn next(&mut self) -> Option<Result<Frame>> {
        let next = self.advance().transpose();
        if matches!(next, Some(Err(_))) {
            self.sources.clear();
            self.open = None;
        }
        next
    }
}

impl Source {
    fn cursor(&self, io: &Arc<dyn Io>) -> Result<Cursor> {
        let end = match self.end {
            End::At(valid, _) => valid,
            End::Seal(_) | End::Unknown => io
                .size(&self.path)
                .map_err(|e| Error::io("read", &self.path, e))?,
        };
        Ok(Cursor::new(
            Arc::clone(io),
            self.path.clone(),
            &self.header,
            end,
        ))
    }

    fn next_first(&self) -> Option<u64> {
        match self.end {
            End::At(_, next) => next,
            End::Seal(next) => Some(next),
            End::Unknown => None,
        }
    }

    fn check_end(&self, cursor: &Cursor, from_seq: u64) -> Result<()> {
        let what = match self.end {
            End::Seal(_) if !cursor.sealed => "it does not end with a seal",
            End::Unknown if cursor.is_cut_short(&self.header) => CUT_SHORT,
            End::At(..) | End::Seal(_) if self.next_first().is_some_and(|n| n != cursor.seq) => {
                "its last row is not the one before the next segment"
            }
            _ => return Ok(()),
        };
        Err(loss(cursor, self.next_first(), from_seq, what)?)
    }

    fn check_bad(&self, cursor: &mut Cursor, from_seq: u64, what: &str) -> Result<()> {
        if self.end == End::Unknown && !cursor.is_cut_short(&self.header) {
            if !cursor.look_behind()?.acknowledged {
                return Ok(());
            }
            // The writer may have gone on between the two looks. Then the place is good by now:
            // it was synced before the frame that proves so was written.
            if matches!(cursor.step()?, Step::Frame(_)) {
                return Ok(());
            }
        }
        Err(loss(cursor, self.next_first(), from_seq, what)?)
    }
}

/// The error for damage at this place: the rows up to the next good frame are lost, as far as they
/// are needed.
pub(super) fn loss(
    cursor: &Cursor,
    next_first: Option<u64>,
    from_seq: u64,
    what: &str,
) -> Result<Error> {
    let lost = cursor.lost_rows(next_first, from_seq)?;
    Ok(damaged(&cursor.path, cursor.pos, lost, what))
}

/// Reads the log beside a process that writes it, and changes nothing: the frames behind
/// `flushed_seq` up to where good ones end. A group that is written and not yet acknowledged may
/// be among them.
///
/// # Errors
/// [`Error::Gone`] if the segment with the first row is not there: the manifest has a newer
/// `flushed_seq`, take that. Damage is found while reading, as [`Error::WalDamaged`].
pub fn read(io: Arc<dyn Io>, folder: &Path, flushed_seq: u64) -> Result<Replay> {
    for _ in 0..TRIES {
        let mut listing = Listing::read(&*io, folder)?;
        listing.take_flushed(flushed_seq);
        if let Some(first) = listing.segments.first()
            && first.name.first_seq > flushed_seq.saturating_add(1)
        {
            break;
        }
        match read_headers(&io, &listing.segments, flushed_seq) {
            Ok(segments) => return Ok(Replay::of_segments(io, &segments, flushed_seq + 1)),
            Err(Error::Gone { .. }) => {}
            Err(error) => return Err(error),
        }
    }
    Err(Error::Gone {
        path: folder.to_owned(),
    })
}

/// As [`read`], from the first frame that is still there: rows that are in files come too.
///
/// # Errors
/// As [`read`].
pub fn read_kept(io: Arc<dyn Io>, folder: &Path) -> Result<Replay> {
    let listing = Listing::read(&*io, folder)?;
    let first = listing.segments.first().map_or(1, |s| s.name.first_seq);
    read(io, folder, first.saturating_sub(1))
}
