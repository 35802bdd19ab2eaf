//! Opening the log for writing: what counts is checked, a torn end is cut, the rest is refused.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use super::{
    Closed, Settings, Wal,
    active::{Active, remove_quietly},
    cursor::{Behind, Cursor, Step},
    frame::Kind,
    listing::{Listing, Segment, damaged, read_headers},
    replay::{CUT_SHORT, Replay, loss},
};
use crate::{Error, Io, LostRows, Result};

/// What opening the log found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Recovery {
    /// Segments that are needed.
    pub segments: usize,
    /// Frames with rows behind the flushed ones.
    pub frames: u64,
    /// Rows in them.
    pub rows: u64,
    /// The last row in the log or, if it is empty, in files.
    pub last_seq: u64,
    /// Was the log ended by a clean stop, or empty?
    pub clean: bool,
    /// Where the torn end began that was cut: segment and bytes from its front.
    pub cut_at: Option<(PathBuf, u64)>,
    /// Bytes that were cut, up to the last one that was not zero.
    pub cut_bytes: u64,
    /// Whole frames that stood behind the torn one and were cut with it.
    pub cut_frames: usize,
    /// Files in the folder that are not ours. They are left alone.
    pub unknown: Vec<PathBuf>,
}

/// How the last segment ends.
struct End {
    cursor: Cursor,
    frames: u64,
    file_bytes: u64,
    /// What is cut.
    torn: Option<Behind>,
    /// It is damaged, and all its rows are in files.
    useless: bool,
}

pub(super) fn open(
    io: Arc<dyn Io>,
    folder: &Path,
    flushed_seq: u64,
    epoch: u64,
    settings: Settings,
) -> Result<(Wal, Recovery)> {
    make_folder(&*io, folder)?;
    let mut listing = Listing::read(&*io, folder)?;
    let flushed = listing.take_flushed(flushed_seq);
    let segments = read_headers(&io, &listing.segments, flushed_seq)?;
    let mut found = Recovery {
        clean: segments.is_empty(),
        unknown: std::mem::take(&mut listing.unknown),
        ..Recovery::default()
    };
    let mut wal = Wal {
        io: Arc::clone(&io),
        folder: folder.to_owned(),
        settings,
        epoch,
        closed: Vec::new(),
        active: None,
        next_seq: flushed_seq + 1,
        previous_valid: 0,
        last_name: None,
        stopped: None,
        poisoned: 0,
        buffer: Vec::new(),
    };
    // All is looked at before anything is changed.
    if let Some((last, before)) = segments.split_last() {
        wal.check_before(before, flushed_seq, &mut found)?;
        let end = End::find(&io, last, flushed_seq)?;
        wal.take_last(last, end, flushed_seq, &mut found)?;
    }
    wal.last_name = listing.last_name(wal.next_seq);
    let leftovers = listing
        .temporary
        .iter()
        .chain(&listing.void)
        .chain(&flushed);
    leftovers.for_each(|path| remove_quietly(&*io, path));
    if let Err(error) = wal.release(flushed_seq) {
        tracing::warn!(%error, "segments that are not needed stay");
    }
    found.segments = wal.segments();
    found.last_seq = wal.last_seq();
    Ok((wal, found))
}

impl Wal {
    /// Reads all segments but the last.
    fn check_before(
        &mut self,
        before: &[Segment],
        flushed_seq: u64,
        found: &mut Recovery,
    ) -> Result<()> {
        for frame in Replay::of_segments(Arc::clone(&self.io), before, flushed_seq + 1) {
            found.frames += 1;
            found.rows += u64::from(frame?.rows);
        }
        for segment in before {
            let file_bytes = size(&*self.io, &segment.path)?;
            self.closed.push(Closed {
                path: segment.path.clone(),
                header: segment.header,
                // A salvaged segment is read up to its seal.
                valid: segment.valid.unwrap_or(file_bytes),
                end_seq: segment.next_first.unwrap_or(segment.header.first_seq),
                file_bytes,
            });
        }
        Ok(())
    }

    /// Ends the last segment for good: what is whole is made durable and sealed, the rest is cut.
    fn take_last(
        &mut self,
        last: &Segment,
        end: End,
        flushed_seq: u64,
        found: &mut Recovery,
    ) -> Result<()> {
        let cursor = &end.cursor;
        self.next_seq = cursor.seq.max(flushed_seq + 1);
        self.previous_valid = last.header.previous_valid;
        if let Some(torn) = end.torn {
            found.cut_at = Some((last.path.clone(), cursor.pos));
            found.cut_bytes = torn.torn_bytes;
            found.cut_frames = torn.frames;
            tracing::warn!(
                segment = %last.path.display(),
                offset = cursor.pos,
                bytes = torn.torn_bytes,
                frames = torn.frames,
                last_seq = cursor.seq - 1,
                "cut a group that was never finished off the log"
            );
        }
        if end.useless || cursor.seq == last.header.first_seq {
            remove_quietly(&*self.io, &last.path);
            return Ok(());
        }
        found.clean = cursor.sealed;
        found.frames += end.frames;
        found.rows += cursor.seq - last.header.first_seq.max(flushed_seq + 1).min(cursor.seq);
        let (mut valid, mut file_bytes) = (cursor.pos, end.file_bytes);
        // A seal at the very end of the file is on the disk: the file is cut after that.
        if !cursor.sealed || valid != file_bytes {
            let mut active = Active::reopen(&*self.io, last.name, last.header, cursor)?;
            if !cursor.sealed {
                active.mark(Kind::Seal, cursor.seq)?;
            }
            active.cut();
            (valid, file_bytes) = (active.at, active.file_bytes);
        }
        self.previous_valid = valid;
        self.closed.push(Closed {
            path: last.path.clone(),
            header: last.header,
            valid,
            end_seq: cursor.seq,
            file_bytes,
        });
        Ok(())
    }
}

impl End {
    /// Reads the last segment. Damage before a place that is known to have been synced is an
    /// error.
    fn find(io: &Arc<dyn Io>, last: &Segment, flushed_seq: u64) -> Result<End> {
        let file_bytes = size(&**io, &last.path)?;
        let mut cursor = Cursor::new(Arc::clone(io), last.path.clone(), &last.header, file_bytes);
        let mut frames = 0;
        let bad = loop {
            match cursor.step()? {
                Step::Frame(frame) if frame.kind.is_inner() => {}
                Step::Frame(_) => frames += u64::from(cursor.seq > flushed_seq + 1),
                Step::End => break None,
                Step::Bad(what) => break Some(what),
            }
        };
        let mut end = End {
            cursor,
            frames,
            file_bytes,
            torn: None,
            useless: false,
        };
        if end.cursor.is_cut_short(&last.header) {
            let lost = LostRows {
                first_seq: end.cursor.seq.max(flushed_seq + 1),
                last_seq: None,
            };
            return Err(damaged(&last.path, end.cursor.pos, lost, CUT_SHORT));
        }
        let Some(what) = bad else {
            return Ok(end);
        };
        let behind = end.cursor.look_behind()?;
        if behind.acknowledged {
            end.useless = behind.end_seq.is_some_and(|seq| seq <= flushed_seq + 1);
            if !end.useless {
                return Err(loss(&end.cursor, None, flushed_seq + 1, what)?);
            }
        } else if behind.torn_bytes > 0 {
            end.torn = Some(behind);
        }
        Ok(end)
    }
}

/// Makes the folder, and what was named in it before, durable.
fn make_folder(io: &dyn Io, folder: &Path) -> Result<()> {
    io.create_dir_all(folder)
        .map_err(|e| Error::io("create", folder, e))?;
    let above = match folder.parent() {
        Some(above) if above.as_os_str().is_empty() => Some(Path::new(".")),
        above => above,
    };
    for folder in above.into_iter().chain([folder]) {
        io.sync_dir(folder)
            .map_err(|e| Error::io("sync", folder, e))?;
    }
    Ok(())
}

fn size(io: &dyn Io, path: &Path) -> Result<u64> {
    io.size(path).map_err(|e| Error::io("look at", path, e))
}
