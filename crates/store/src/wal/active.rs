//! The segment that is being written.

use std::path::{Path, PathBuf};

use crc32fast::Hasher;

use super::{
    cursor::Cursor,
    frame::{BLOCK_BYTES, FRAMES_AT, HEAD_BYTES, Head, Header, Kind, SEAL_ROOM_BYTES, frame_bytes},
    listing::Name,
};
use crate::{Error, Io, Result, io::IoFile};

/// A segment to which groups may be appended. After an error it must be dropped: what the disk
/// holds behind `at` is unknown, and a second sync could hide that.
#[derive(Debug)]
pub(super) struct Active {
    file: Box<dyn IoFile>,
    pub name: Name,
    pub path: PathBuf,
    pub header: Header,
    crc: Hasher,
    /// Bytes that are written and synced.
    pub at: u64,
    chain: u64,
    /// Size of the file in bytes.
    pub file_bytes: u64,
    /// Is a barrier the last frame?
    pub marked: bool,
}

/// The frames of one group as they are put together.
pub(super) struct Group<'a> {
    active: &'a Active,
    pub bytes: Vec<u8>,
    chain: u64,
    pub next_seq: u64,
}

impl Group<'_> {
    pub fn put(&mut self, kind: Kind, rows: u32, payload: &[&[u8]]) {
        let head = Head {
            payload_bytes: 0,
            crc: 0,
            first_seq: self.next_seq,
            rows,
            kind,
            durable_upto: self.active.at,
            chain: self.chain,
        };
        self.chain = head.put(&mut self.bytes, &self.active.crc, payload);
        self.next_seq += u64::from(rows);
    }
}

impl Active {
    /// Makes a segment whose header and name are on the disk.
    pub fn create(io: &dyn Io, folder: &Path, name: Name, header: Header) -> Result<Active> {
        let active = Active::begin(io, folder, name, header)?;
        active.publish(io, folder)?;
        Ok(active)
    }

    /// Makes a segment whose header is on the disk under a temporary name.
    pub fn begin(io: &dyn Io, folder: &Path, name: Name, header: Header) -> Result<Active> {
        let temporary = folder.join(name.temporary());
        match make(io, &temporary, &header) {
            Ok(file) => Ok(Active {
                file,
                name,
                path: folder.join(name.file_name()),
                header,
                crc: header.crc(),
                at: FRAMES_AT,
                chain: header.chain(),
                file_bytes: u64::from(header.size),
                marked: false,
            }),
            Err(error) => {
                remove_quietly(io, &temporary);
                Err(error)
            }
        }
    }

    /// Gives the segment its name. From here on it may count, also after an error.
    pub fn publish(&self, io: &dyn Io, folder: &Path) -> Result<()> {
        let temporary = folder.join(self.name.temporary());
        if let Err(error) = io.rename(&temporary, &self.path) {
            remove_quietly(io, &temporary);
            return Err(Error::io("rename", &temporary, error));
        }
        io.sync_dir(folder)
            .map_err(|e| Error::io("sync", folder, e))
    }

    /// Opens a segment of another process behind its last good frame. What was not known to be
    /// synced is written and synced once more: after a failed sync its pages may be clean and not
    /// on the disk.
    pub fn reopen(io: &dyn Io, name: Name, header: Header, end: &Cursor) -> Result<Active> {
        let path = end.path.clone();
        let mut file = io
            .open_at(&path, end.durable_upto)
            .map_err(|e| Error::io("open", &path, e))?;
        let file_bytes = io.size(&path).map_err(|e| Error::io("look at", &path, e))?;
        write(&mut *file, &path, &end.read_back(end.durable_upto)?)?;
        Ok(Active {
            file,
            name,
            path,
            header,
            crc: header.crc(),
            at: end.pos,
            chain: end.chain,
            file_bytes,
            marked: false,
        })
    }

    /// Has it room for so many bytes of frames, and a seal?
    pub fn has_room(&self, bytes: u64) -> bool {
        self.at + bytes + SEAL_ROOM_BYTES <= u64::from(self.header.size)
    }

    /// Begins a group; `bytes` is an empty buffer.
    pub fn group(&self, next_seq: u64, bytes: Vec<u8>) -> Group<'_> {
        Group {
            active: self,
            bytes,
            chain: self.chain,
            next_seq,
        }
    }

    /// Writes a group and makes it durable.
    pub fn write(&mut self, bytes: &[u8], chain: u64) -> Result<()> {
        write(&mut *self.file, &self.path, bytes)?;
        self.at += bytes.len() as u64;
        self.chain = chain;
        self.marked = false;
        Ok(())
    }

    /// Bytes that [`Active::mark`] needs.
    pub fn mark_bytes(&self) -> u64 {
        self.filler_bytes().map_or(0, frame_bytes) + frame_bytes(0)
    }

    /// Writes a barrier or a seal, in a block that holds nothing of the frames before.
    pub fn mark(&mut self, kind: Kind, next_seq: u64) -> Result<()> {
        let mut group = self.group(next_seq, Vec::new());
        if let Some(bytes) = self.filler_bytes() {
            group.put(Kind::Barrier, 0, &[&[0; 2 * BLOCK_BYTES as usize][..bytes]]);
        }
        group.put(kind, 0, &[]);
        let (bytes, chain) = (std::mem::take(&mut group.bytes), group.chain);
        self.write(&bytes, chain)?;
        self.marked = true;
        Ok(())
    }

    /// Payload that makes a frame end where a block ends; `None` if one ends here.
    fn filler_bytes(&self) -> Option<usize> {
        let used = self.at % BLOCK_BYTES;
        if used == 0 {
            return None;
        }
        let left = (BLOCK_BYTES - used) as usize;
        let whole = match left < HEAD_BYTES {
            true => left + BLOCK_BYTES as usize,
            false => left,
        };
        Some(whole - HEAD_BYTES)
    }

    /// Cuts what is preallocated behind the seal. A failure costs space, nothing else.
    pub fn cut(&mut self) {
        let cut = self.file.truncate(self.at).and_then(|()| self.file.sync());
        match cut {
            Ok(()) => self.file_bytes = self.at,
            Err(error) => {
                tracing::warn!(path = %self.path.display(), %error, "a sealed segment stays long");
            }
        }
    }
}

impl Group<'_> {
    /// The bytes of the group, the chain behind it and the next sequence.
    pub fn finish(self) -> (Vec<u8>, u64, u64) {
        (self.bytes, self.chain, self.next_seq)
    }
}

fn make(io: &dyn Io, path: &Path, header: &Header) -> Result<Box<dyn IoFile>> {
    let mut file = io
        .create_new(path)
        .map_err(|e| Error::io("create", path, e))?;
    file.preallocate(u64::from(header.size))
        .map_err(|e| Error::io("take space for", path, e))?;
    file.append(&header.start_bytes())
        .map_err(|e| Error::io("write", path, e))?;
    // All of it, as the size must be there too.
    file.sync().map_err(|e| Error::io("sync", path, e))?;
    Ok(file)
}

fn write(file: &mut dyn IoFile, path: &Path, bytes: &[u8]) -> Result<()> {
    file.append(bytes)
        .map_err(|e| Error::io("write", path, e))?;
    file.sync_data().map_err(|e| Error::io("sync", path, e))
}

/// Removes a file that does not count; one that stays is no harm.
pub(super) fn remove_quietly(io: &dyn Io, path: &Path) {
    if let Err(error) = io.remove(path)
        && error.kind() != std::io::ErrorKind::NotFound
    {
        tracing::warn!(path = %path.display(), %error, "a segment that does not count stays");
    }
}
