//! Going on past damage, because somebody decided to.

use std::{
    ops::Range,
    path::{Path, PathBuf},
};

use super::{
    Settings,
    active::Active,
    cursor::{Cursor, Step, frames_in},
    frame::{FRAMES_AT, HEAD_BYTES, Head, Header, Kind, SEAL_ROOM_BYTES, frame_bytes},
    listing::{Entry, Listing, Name, headers},
};
use crate::{Error, Io, LostRows, Result};

/// Bytes that are written at once.
const GROUP_BYTES: usize = 4 << 20;

/// What salvage has kept and what it has not.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Salvaged {
    /// Frames that were kept.
    pub frames: u64,
    /// Rows in them.
    pub rows: u64,
    /// What is lost, in order. Rows that are in files already may be among it.
    pub lost: Vec<LostRows>,
    /// Where the damaged segment lies now; `None` if it was never there.
    pub damaged: Option<PathBuf>,
}

/// What the new segment holds.
enum Part {
    Frame(Head, Range<usize>),
    Lost { rows: u64 },
}

/// Writes the good frames of a damaged segment to a new one, with [`Kind::Lost`] in the place of
/// the others, and renames the old one to `.damaged`. For the segment that follows missing rows it
/// makes one that says so. `segment` is the file name that [`Error::WalDamaged`] gave. To be
/// called with the folder's lock held and no [`super::Wal`] open; reads the segment into memory.
///
/// # Errors
/// [`Error::Io`] if there is no such segment, or reading and writing fails: then the log is as it
/// was.
pub fn salvage(
    io: &std::sync::Arc<dyn Io>,
    folder: &Path,
    segment: &str,
    flushed_seq: u64,
    epoch: u64,
    settings: Settings,
) -> Result<Salvaged> {
    let mut listing = Listing::read(&**io, folder)?;
    listing.take_flushed(flushed_seq);
    let named = |e: &Entry| e.name.file_name() == segment;
    let Some(at) = listing.segments.iter().position(named) else {
        let missing = std::io::Error::from(std::io::ErrorKind::NotFound);
        return Err(Error::io("find", folder.join(segment), missing));
    };
    let entry = &listing.segments[at];
    let first_seq = entry.name.first_seq;
    let mut done = Salvaged::default();
    let mut old = None;
    let mut parts = Vec::new();
    let mut bytes = Vec::new();
    let begin = if at == 0 && first_seq > flushed_seq + 1 {
        done.lose(flushed_seq + 1, first_seq, &mut parts);
        flushed_seq + 1
    } else {
        bytes = io
            .read(&entry.path)
            .map_err(|e| Error::io("read", &entry.path, e))?;
        let both = headers(&**io, &entry.path)?;
        let both = both.map(|h| h.ok().filter(|h| h.first_seq == first_seq));
        old = both[0].or(both[1]);
        let next_first = listing.segments.get(at + 1).map(|e| e.name.first_seq);
        parts = done.collect(&bytes, both, first_seq, next_first);
        done.damaged = Some(folder.join(entry.name.damaged()));
        first_seq
    };
    let before = at.checked_sub(1).map(|before| &listing.segments[before]);
    let name = Name {
        first_seq: begin,
        attempt: listing.next_attempt(begin),
    };
    let header = Header {
        salvaged: true,
        epoch,
        id: settings.id(name, epoch),
        first_seq: begin,
        previous_valid: match (&old, before) {
            (Some(old), _) => old.previous_valid,
            (None, Some(before)) => valid_bytes(io, before, begin)?,
            (None, None) => 0,
        },
        schema: old.map_or(settings.schema, |old| old.schema),
        size: (FRAMES_AT + parts_bytes(&parts) + SEAL_ROOM_BYTES) as u32,
    };
    write(&**io, folder, name, header, (&bytes, &parts))?;
    if let Some(damaged) = &done.damaged {
        // A later attempt is there, so the old one does not count, whatever it is called.
        io.rename(&entry.path, damaged)
            .map_err(|e| Error::io("rename", &entry.path, e))?;
        io.sync_dir(folder)
            .map_err(|e| Error::io("sync", folder, e))?;
    }
    Ok(done)
}

impl Salvaged {
    fn lose(&mut self, from: u64, to: u64, parts: &mut Vec<Part>) {
        if from < to {
            parts.push(Part::Lost { rows: to - from });
            self.lost.push(LostRows {
                first_seq: from,
                last_seq: Some(to - 1),
            });
        }
    }

    /// The good frames in order, and what is missing between them.
    fn collect(
        &mut self,
        bytes: &[u8],
        headers: [Option<Header>; 2],
        first_seq: u64,
        next_first: Option<u64>,
    ) -> Vec<Part> {
        let mut parts = Vec::new();
        let mut seq = first_seq;
        let start = (FRAMES_AT as usize).min(bytes.len());
        let header = headers[0].or(headers[1]);
        let found = header.map(|h| frames_in(&bytes[start..], &h.crc()));
        let found = found.unwrap_or_default();
        for (at, head) in &found {
            // Behind the end that the next segment names stand rows that it holds itself.
            let too_late = next_first.is_some_and(|next| head.end_seq() > next);
            if head.first_seq < seq || too_late {
                continue;
            }
            // A barrier or a seal says too how far the rows went.
            self.lose(seq, head.first_seq, &mut parts);
            seq = head.end_seq();
            if head.kind.is_inner() {
                continue;
            }
            let from = start + at + HEAD_BYTES;
            parts.push(Part::Frame(*head, from..from + head.payload_bytes));
            self.frames += 1;
            self.rows += u64::from(head.rows);
        }
        let sealed = found.iter().any(|(_, head)| head.kind == Kind::Seal);
        let cut_short = header.is_none_or(|h| (bytes.len() as u64) < u64::from(h.size));
        let end = found
            .last()
            .map_or(start, |(at, head)| start + at + head.frame_bytes() as usize);
        // It may be a group that was never acknowledged, or rows: nobody knows. Nor does anybody
        // if a header is lost: the first frames stand in the same block as its copy.
        let torn = headers.contains(&None) || bytes[end..].iter().any(|byte| *byte != 0);
        match next_first {
            Some(next) => self.lose(seq, next, &mut parts),
            None if !sealed && (cut_short || torn) => self.lost.push(LostRows {
                first_seq: seq,
                last_seq: None,
            }),
            None => {}
        }
        parts
    }
}

/// The length of a segment up to the row `seq`, when the header that says so is lost.
fn valid_bytes(io: &std::sync::Arc<dyn Io>, entry: &Entry, seq: u64) -> Result<u64> {
    let Some(header) = headers(&**io, &entry.path)?.into_iter().flatten().next() else {
        return Ok(0);
    };
    let size = io
        .size(&entry.path)
        .map_err(|e| Error::io("look at", &entry.path, e))?;
    let mut cursor = Cursor::new(io.clone(), entry.path.clone(), &header, size);
    while cursor.seq < seq && matches!(cursor.step()?, Step::Frame(_)) {}
    Ok(cursor.pos)
}

/// Rows that one frame can stand for.
fn pieces(rows: u64) -> impl Iterator<Item = u32> {
    let most = u64::from(u32::MAX);
    (0..rows.div_ceil(most)).map(move |i| (rows - i * most).min(most) as u32)
}

fn parts_bytes(parts: &[Part]) -> u64 {
    let bytes = |part: &Part| match part {
        Part::Frame(head, _) => head.frame_bytes(),
        Part::Lost { rows } => pieces(*rows).count() as u64 * frame_bytes(0),
    };
    parts.iter().map(bytes).sum()
}

/// Writes and seals the segment; only then it gets its name.
fn write(
    io: &dyn Io,
    folder: &Path,
    name: Name,
    header: Header,
    (bytes, parts): (&[u8], &[Part]),
) -> Result<()> {
    let mut active = Active::begin(io, folder, name, header)?;
    let mut seq = header.first_seq;
    let mut rest = parts;
    while !rest.is_empty() {
        let mut group = active.group(seq, Vec::new());
        while let Some((part, behind)) = rest.split_first()
            && group.bytes.len() < GROUP_BYTES
        {
            match part {
                Part::Frame(head, payload) => {
                    group.put(head.kind, head.rows, &[&bytes[payload.clone()]]);
                }
                Part::Lost { rows } => {
                    pieces(*rows).for_each(|rows| group.put(Kind::Lost, rows, &[]));
                }
            }
            rest = behind;
        }
        let (written, chain, next_seq) = group.finish();
        active.write(&written, chain)?;
        seq = next_seq;
    }
    active.mark(Kind::Seal, seq)?;
    active.cut();
    active.publish(io, folder)
}
