//! The write-ahead log: payloads that were acknowledged and are not in files yet.
//!
//! [`Wal::append`] returns when its frames are on the disk. [`Wal::open`] finds what is there after
//! a stop or a crash, [`Wal::replay`] gives it back, [`Wal::release`] removes what is in files by
//! now. Layout and rules: `docs/format/wal.md`. Payloads are bytes: the log knows of rows only
//! their number. One owner writes; who waits for which sync is the owner's affair.
//!
//! What this module guarantees:
//! - An acknowledged frame is given back until it is released, in order and once, or opening
//!   fails with the place, the rows that are lost and how to go on.
//! - Of the frames that were not acknowledged, a first part may be there.
//! - A file whose sync has failed is never synced again.

mod active;
mod cursor;
mod frame;
mod listing;
mod recovery;
mod replay;
mod salvage;

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

pub use frame::{Frame, FrameIn, Kind, MAX_PAYLOAD_BYTES};
pub use recovery::Recovery;
pub use replay::{Replay, read, read_kept};
pub use salvage::{Salvaged, salvage};

use active::{Active, remove_quietly};
use frame::{FRAMES_AT, Header, SEAL_ROOM_BYTES, frame_bytes};
use listing::Name;

use crate::{Error, Io, Result};

/// The most that a group may have in bytes, with heads.
pub const MAX_GROUP_BYTES: u64 = 256 << 20;
/// A buffer larger than this is given back after its group.
const KEPT_BUFFER_BYTES: usize = 8 << 20;

/// How a log is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Size of a segment in bytes, at most 1 GiB.
    pub segment_bytes: u64,
    /// Random bytes, from which the ids of segments are derived.
    pub seed: [u8; 32],
    /// Fingerprint of the schema that payloads have; only kept.
    pub schema: u64,
}

impl Settings {
    /// Segments of 64 MiB.
    pub fn new(seed: [u8; 32]) -> Settings {
        Settings {
            segment_bytes: 64 << 20,
            seed,
            schema: 0,
        }
    }

    /// The id of a segment: another one for each name and epoch, also if the seed is the same.
    fn id(&self, name: Name, epoch: u64) -> [u8; 16] {
        let mut hasher = blake3::Hasher::new_keyed(&self.seed);
        hasher.update(&epoch.to_le_bytes());
        hasher.update(&name.first_seq.to_le_bytes());
        hasher.update(&name.attempt.to_le_bytes());
        let mut id = [0; 16];
        id.copy_from_slice(&hasher.finalize().as_bytes()[..16]);
        id
    }
}

/// The log, open for writing. The caller holds the folder's lock.
#[derive(Debug)]
pub struct Wal {
    io: Arc<dyn Io>,
    folder: PathBuf,
    settings: Settings,
    epoch: u64,
    /// Segments with rows that are no longer written, in order.
    closed: Vec<Closed>,
    active: Option<Active>,
    /// The sequence of the next row.
    next_seq: u64,
    /// Valid length of the last segment with rows before the active one.
    previous_valid: u64,
    /// The name that was used last.
    last_name: Option<Name>,
    stopped: Option<String>,
    /// Segments given up because they could not be written.
    poisoned: u64,
    buffer: Vec<u8>,
}

/// A segment that is no longer written.
#[derive(Clone, Debug)]
struct Closed {
    path: PathBuf,
    header: Header,
    valid: u64,
    /// The sequence behind its last row.
    end_seq: u64,
    file_bytes: u64,
}

/// Where a group failed.
enum Failure {
    /// No segment could be made; nothing was written to one.
    Create(Error),
    /// The group was written in part, or not synced.
    Write(Error),
}

impl Wal {
    /// Opens the log in `folder`, which is made if it is not there. `flushed_seq` is the last row
    /// that is in files, `epoch` one more than at any opening before. Without damage the log is
    /// left ready to append; its first segment is made with the first group.
    ///
    /// # Errors
    /// [`Error::WalDamaged`] if acknowledged rows behind `flushed_seq` cannot be read: nothing was
    /// changed. [`Error::NewerFormat`], [`Error::Io`].
    pub fn open(
        io: Arc<dyn Io>,
        folder: &Path,
        flushed_seq: u64,
        epoch: u64,
        settings: Settings,
    ) -> Result<(Wal, Recovery)> {
        recovery::open(io, folder, flushed_seq, epoch, settings)
    }

    /// Appends the frames as one group and makes them durable; returns the sequence of the last
    /// row in the log. The first row of the group is the one behind [`Wal::last_seq`].
    ///
    /// # Errors
    /// The group is not acknowledged; after a crash a first part of it may be there. Frames that
    /// break a limit are [`Error::Frame`]. [`Error::Stopped`] if writing failed a second time in a
    /// new segment, and from then on; after any other error the next group may be tried.
    pub fn append(&mut self, frames: &[FrameIn<'_>]) -> Result<u64> {
        let bytes = group_bytes(frames)?;
        self.check_running()?;
        if frames.is_empty() {
            return Ok(self.last_seq());
        }
        let first = match self.write_group(frames, bytes) {
            Ok(()) => return Ok(self.last_seq()),
            Err(Failure::Create(error)) => return Err(error),
            Err(Failure::Write(error)) => error,
        };
        self.poisoned += 1;
        tracing::warn!(error = %first, "a segment cannot be written: the group goes into a new one");
        match self.write_group(frames, bytes) {
            Ok(()) => Ok(self.last_seq()),
            // There may be room again later. What is half written counts nowhere: the next
            // segment's header says so.
            Err(Failure::Create(error) | Failure::Write(error))
                if matches!(error, Error::DiskFull { .. }) =>
            {
                Err(error)
            }
            Err(Failure::Create(error) | Failure::Write(error)) => {
                let reason = format!("{first}; then: {error}");
                self.stopped = Some(reason.clone());
                Err(Error::Stopped { reason })
            }
        }
    }

    fn write_group(&mut self, frames: &[FrameIn<'_>], bytes: u64) -> Result<(), Failure> {
        let mut active = self.active_for(bytes).map_err(Failure::Create)?;
        let mut group = active.group(self.next_seq, std::mem::take(&mut self.buffer));
        for frame in frames {
            group.put(frame.kind, frame.rows, frame.payload);
        }
        let (mut buffer, chain, next_seq) = group.finish();
        let written = active.write(&buffer, chain);
        buffer.clear();
        if buffer.capacity() <= KEPT_BUFFER_BYTES {
            self.buffer = buffer;
        }
        match written {
            Ok(()) => {
                self.next_seq = next_seq;
                self.active = Some(active);
                Ok(())
            }
            Err(error) => {
                self.close(active);
                Err(Failure::Write(error))
            }
        }
    }

    /// Takes out the segment to write to; a new one if there is none with room.
    fn active_for(&mut self, bytes: u64) -> Result<Active> {
        if let Some(active) = self.active.take() {
            if active.has_room(bytes) {
                return Ok(active);
            }
            // Closed before a new one is tried: that may be on the disk even if making it fails,
            // and says that this one ends here.
            self.close(active);
        }
        let attempt = match self.last_name {
            Some(last) if last.first_seq == self.next_seq => last.attempt + 1,
            _ => 0,
        };
        let name = Name {
            first_seq: self.next_seq,
            attempt,
        };
        self.last_name = Some(name);
        let needed = FRAMES_AT + bytes + 2 * SEAL_ROOM_BYTES;
        let header = Header {
            salvaged: false,
            epoch: self.epoch,
            id: self.settings.id(name, self.epoch),
            first_seq: self.next_seq,
            previous_valid: self.previous_valid,
            schema: self.settings.schema,
            size: self.settings.segment_bytes.min(1 << 30).max(needed) as u32,
        };
        Active::create(&*self.io, &self.folder, name, header)
    }

    /// Ends the writing to a segment. Its valid length is what was synced.
    fn close(&mut self, active: Active) {
        if active.header.first_seq == self.next_seq {
            remove_quietly(&*self.io, &active.path);
            return;
        }
        self.previous_valid = active.at;
        self.closed.push(Closed {
            valid: active.at,
            end_seq: self.next_seq,
            file_bytes: active.file_bytes,
            path: active.path,
            header: active.header,
        });
    }

    /// Says in the log that all before is on the disk, so that later damage to it cannot be taken
    /// for a write that was never finished. To be called after a second without traffic; if
    /// nothing was written since the last time it does nothing.
    ///
    /// # Errors
    /// The log goes on in a new segment; nothing that was acknowledged is touched.
    pub fn barrier(&mut self) -> Result<()> {
        self.check_running()?;
        let Some(mut active) = self.active.take() else {
            return Ok(());
        };
        if active.marked || active.header.first_seq == self.next_seq {
            self.active = Some(active);
            return Ok(());
        }
        if !active.has_room(active.mark_bytes()) {
            // For a seal there always is, and it says as much.
            return self.seal_active(active);
        }
        match active.mark(frame::Kind::Barrier, self.next_seq) {
            Ok(()) => self.active = Some(active),
            Err(error) => {
                self.close(active);
                return Err(error);
            }
        }
        Ok(())
    }

    /// Ends the segment that is being written, for a clean stop. More may be appended; it goes
    /// into a new segment.
    ///
    /// # Errors
    /// Nothing that was acknowledged is touched; the next opening looks at the end itself.
    pub fn seal(&mut self) -> Result<()> {
        self.check_running()?;
        match self.active.take() {
            Some(active) if active.header.first_seq == self.next_seq => self.close(active),
            Some(active) => self.seal_active(active)?,
            None => {}
        }
        Ok(())
    }

    fn seal_active(&mut self, mut active: Active) -> Result<()> {
        let sealed = active.mark(frame::Kind::Seal, self.next_seq);
        if sealed.is_ok() {
            active.cut();
        }
        self.close(active);
        sealed
    }

    /// Gives back the frames from the one with row `from_seq` on, as of now. A frame that begins
    /// before that row comes whole.
    pub fn replay(&self, from_seq: u64) -> Replay {
        let closed = self.closed.iter().map(|c| (&c.path, &c.header, c.valid));
        let active = self.active.iter().map(|a| (&a.path, &a.header, a.at));
        Replay::of(Arc::clone(&self.io), closed.chain(active), from_seq)
    }

    /// Removes the segments whose rows are all at or before `upto_seq`, which must be in files
    /// that the manifest names. Returns how many.
    ///
    /// # Errors
    /// [`Error::Io`]; what was not removed is tried again at the next call or opening.
    pub fn release(&mut self, upto_seq: u64) -> Result<usize> {
        let done = |c: &&Closed| c.end_seq <= upto_seq.saturating_add(1);
        let count = self.closed.iter().take_while(done).count();
        for _ in 0..count {
            let path = &self.closed[0].path;
            match self.io.remove(path) {
                Err(e) if e.kind() != std::io::ErrorKind::NotFound => {
                    return Err(Error::io("remove", path, e));
                }
                _ => self.closed.remove(0),
            };
        }
        if count > 0 {
            self.io
                .sync_dir(&self.folder)
                .map_err(|e| Error::io("sync", &self.folder, e))?;
        }
        Ok(count)
    }

    /// Says that the rows up to `seq` are in files without having been in the log, as after a bulk
    /// import. The next frame begins behind them. To be called when the manifest says so too, and
    /// all rows of the log are in files as well.
    pub fn skip_to(&mut self, seq: u64) {
        if seq < self.next_seq {
            return;
        }
        if let Some(active) = self.active.take() {
            self.close(active);
        }
        self.next_seq = seq + 1;
    }

    /// The last row in the log or, if it is empty, in files.
    pub fn last_seq(&self) -> u64 {
        self.next_seq - 1
    }

    /// Number of segments.
    pub fn segments(&self) -> usize {
        self.closed.len() + usize::from(self.active.is_some())
    }

    /// Space that the segments take, in bytes.
    pub fn bytes(&self) -> u64 {
        let closed: u64 = self.closed.iter().map(|c| c.file_bytes).sum();
        closed + self.active.as_ref().map_or(0, |a| a.file_bytes)
    }

    /// Segments given up after a failed write or sync, since the opening.
    pub fn poisoned(&self) -> u64 {
        self.poisoned
    }

    /// Why nothing more is written.
    pub fn stopped(&self) -> Option<&str> {
        self.stopped.as_deref()
    }

    fn check_running(&self) -> Result<()> {
        match &self.stopped {
            Some(reason) => Err(Error::Stopped {
                reason: reason.clone(),
            }),
            None => Ok(()),
        }
    }
}

/// Bytes of the group in a segment.
fn group_bytes(frames: &[FrameIn<'_>]) -> Result<u64> {
    let refused = |detail: String| Err(Error::Frame { detail });
    let mut bytes = 0;
    for frame in frames {
        let payload = frame.payload_bytes();
        if payload > MAX_PAYLOAD_BYTES {
            return refused(format!(
                "a frame of {payload} bytes; the most is {MAX_PAYLOAD_BYTES}, divide it"
            ));
        }
        if !matches!(frame.kind, Kind::Events | Kind::Rejects) || frame.rows == 0 {
            return refused(format!(
                "a frame of kind {:?} with {} rows; only events and rejects, at least one",
                frame.kind, frame.rows
            ));
        }
        bytes += frame_bytes(payload);
    }
    if bytes > MAX_GROUP_BYTES {
        return refused(format!(
            "a group of {bytes} bytes; the most is {MAX_GROUP_BYTES}, divide it"
        ));
    }
    Ok(bytes)
}
