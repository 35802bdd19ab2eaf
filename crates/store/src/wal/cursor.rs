//! Reading one segment frame by frame, and looking behind a place where that ends.

use std::{path::PathBuf, sync::Arc};

use bytes::Bytes;
use crc32fast::Hasher;

use super::frame::{
    FRAMES_AT, Frame, HEAD_BYTES, Head, Header, Kind, MAX_PAYLOAD_BYTES, chain_of, crc_of,
    frame_bytes,
};
use crate::{Error, Io, LostRows, Result};

/// Bytes that are read at once; a longer frame is read whole.
const CHUNK_BYTES: u64 = 1 << 20;

/// A place in a segment. The memory that it takes is one chunk or one frame.
#[derive(Debug)]
pub(super) struct Cursor {
    io: Arc<dyn Io>,
    pub path: PathBuf,
    crc: Hasher,
    /// Bytes of the segment that may be read.
    end: u64,
    /// Where the next frame begins.
    pub pos: u64,
    /// The sequence of the next row.
    pub seq: u64,
    /// What the next frame must carry.
    pub chain: u64,
    /// Bytes from the front that are known to have been synced.
    pub durable_upto: u64,
    /// A seal was read: nothing behind it counts.
    pub sealed: bool,
    chunk: Bytes,
    chunk_at: u64,
}

/// What stands at a place.
#[derive(Debug)]
pub(super) enum Step {
    Frame(Frame),
    /// The bytes that may be read end here, or a seal was read.
    End,
    /// No frame that could stand here.
    Bad(&'static str),
}

impl Cursor {
    /// Begins at the first frame; `end` is where to stop, in bytes from the front of the file.
    pub fn new(io: Arc<dyn Io>, path: PathBuf, header: &Header, end: u64) -> Cursor {
        Cursor {
            io,
            path,
            crc: header.crc(),
            end,
            pos: FRAMES_AT,
            seq: header.first_seq,
            chain: header.chain(),
            durable_upto: FRAMES_AT,
            sealed: false,
            chunk: Bytes::new(),
            chunk_at: 0,
        }
    }

    /// Reads the frame at this place and goes behind it.
    pub fn step(&mut self) -> Result<Step> {
        if self.sealed || self.pos >= self.end {
            return Ok(Step::End);
        }
        match self.try_step()? {
            Step::Bad(_) if !self.chunk.is_empty() => {
                // Somebody may be writing: what was read before may have been written since.
                self.chunk = Bytes::new();
                self.try_step()
            }
            step => Ok(step),
        }
    }

    fn try_step(&mut self) -> Result<Step> {
        let Some(head_bytes) = self.bytes(HEAD_BYTES as u64)? else {
            return Ok(Step::Bad("the segment ends in the head of a frame"));
        };
        let Some(head) = Head::decode(&head_bytes) else {
            return Ok(Step::Bad("no frame begins here"));
        };
        let Some(bytes) = self.bytes(head.frame_bytes())? else {
            return Ok(Step::Bad("a frame does not end inside the segment"));
        };
        let (checked, padding) = bytes[8..].split_at(HEAD_BYTES - 8 + head.payload_bytes);
        if crc_of(&self.crc, checked) != head.crc {
            return Ok(Step::Bad("the checksum of a frame is wrong"));
        }
        if padding.iter().any(|byte| *byte != 0) {
            return Ok(Step::Bad("the padding of a frame is not zero"));
        }
        if head.chain != self.chain || head.first_seq != self.seq {
            return Ok(Step::Bad("a frame does not follow the one before"));
        }
        if head.durable_upto > self.pos || head.durable_upto < self.durable_upto {
            return Ok(Step::Bad("a frame's durable length cannot be"));
        }
        self.pos += head.frame_bytes();
        self.seq = head.end_seq();
        self.chain = chain_of(&bytes);
        self.durable_upto = head.durable_upto;
        self.sealed = head.kind == Kind::Seal;
        Ok(Step::Frame(Frame {
            kind: head.kind,
            first_seq: head.first_seq,
            rows: head.rows,
            payload: bytes.slice(HEAD_BYTES..HEAD_BYTES + head.payload_bytes),
        }))
    }

    /// The next `length` bytes; `None` if there are fewer.
    fn bytes(&mut self, length: u64) -> Result<Option<Bytes>> {
        if self.end - self.pos < length {
            return Ok(None);
        }
        let skip = self.pos.wrapping_sub(self.chunk_at);
        if self.pos < self.chunk_at || (self.chunk.len() as u64) < skip.saturating_add(length) {
            let wanted = length.max(CHUNK_BYTES).min(self.end - self.pos);
            self.chunk = self.read(self.pos, wanted)?;
            self.chunk_at = self.pos;
        }
        let skip = (self.pos - self.chunk_at) as usize;
        let (from, to) = (skip, skip + length as usize);
        Ok((to <= self.chunk.len()).then(|| self.chunk.slice(from..to)))
    }

    fn read(&self, from: u64, length: u64) -> Result<Bytes> {
        let read = self.io.read_range(&self.path, from, length as usize);
        read.map(Bytes::from)
            .map_err(|e| Error::io("read", &self.path, e))
    }

    /// What lies behind this place.
    pub fn look_behind(&self) -> Result<Behind> {
        let mut torn_bytes = 0;
        let mut at = self.pos;
        while at < self.end {
            let chunk = self.read(at, CHUNK_BYTES.min(self.end - at))?;
            if chunk.is_empty() {
                break;
            }
            if let Some(last) = chunk.iter().rposition(|byte| *byte != 0) {
                torn_bytes = at + last as u64 + 1 - self.pos;
            }
            at += chunk.len() as u64;
        }
        if torn_bytes == 0 {
            return Ok(Behind::default());
        }
        // Only after a crash or damage. Zeros at the end may belong to a frame.
        let bytes = (torn_bytes + LONGEST_FRAME_BYTES).min(self.end - self.pos);
        let bytes = self.read(self.pos, bytes)?;
        let found = frames_in(&bytes, &self.crc);
        let proof = |(_, head): &&(usize, Head)| head.durable_upto > self.pos;
        Ok(Behind {
            torn_bytes,
            frames: found.iter().filter(|(_, h)| !h.kind.is_inner()).count(),
            acknowledged: found.iter().find(proof).is_some(),
            next_seq: found.first().map(|(_, head)| head.first_seq),
            end_seq: found.iter().map(|(_, head)| head.end_seq()).max(),
        })
    }

    /// The rows that are missing from here to the next good frame, or to the next segment, as far
    /// as they are behind `from_seq`.
    pub fn lost_rows(&self, next_first: Option<u64>, from_seq: u64) -> Result<LostRows> {
        let behind = match self.sealed {
            true => None,
            false => self.look_behind()?.next_seq,
        };
        let next = [behind, next_first].into_iter().flatten().min();
        Ok(LostRows {
            first_seq: self.seq.max(from_seq),
            last_seq: next.map(|next| next.saturating_sub(1)),
        })
    }

    /// Is the file that was given to the end shorter than it was made, without a seal at its end?
    /// Space is taken before the first group, so that nothing but damage makes it so.
    pub fn is_cut_short(&self, header: &Header) -> bool {
        !self.sealed && self.end < u64::from(header.size)
    }

    /// The bytes from `from` up to this place.
    pub fn read_back(&self, from: u64) -> Result<Bytes> {
        self.read(from, self.pos - from)
    }
}

/// The most that one frame takes.
const LONGEST_FRAME_BYTES: u64 = frame_bytes(MAX_PAYLOAD_BYTES);

/// What lies behind a bad place.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Behind {
    /// Bytes up to the last one that is not zero.
    pub torn_bytes: u64,
    /// Good frames with rows.
    pub frames: usize,
    /// A good frame says that the bad place was synced before it was written.
    pub acknowledged: bool,
    /// First sequence of the first good frame.
    pub next_seq: Option<u64>,
    /// The sequence behind the last row in good frames.
    pub end_seq: Option<u64>,
}

/// Every frame of the segment with this id, at whatever multiple of 8 it begins, with its place.
/// Order, chain and `durable_upto` are not looked at.
pub(super) fn frames_in(bytes: &[u8], id: &Hasher) -> Vec<(usize, Head)> {
    // No head is all zeros: the empty rest of a segment is not searched.
    let heads = bytes
        .iter()
        .rposition(|byte| *byte != 0)
        .map_or(0, |at| at + 1);
    let bytes = &bytes[..bytes.len().min(heads + LONGEST_FRAME_BYTES as usize)];
    let crcs = RangeCrc::new(bytes);
    let mut found = Vec::new();
    let mut at = 0;
    while at < heads && at + HEAD_BYTES <= bytes.len() {
        let head = Head::decode(&bytes[at..at + HEAD_BYTES]);
        let good = head.filter(|head| {
            let end = at + head.frame_bytes() as usize;
            let checked = at + HEAD_BYTES + head.payload_bytes;
            end <= bytes.len()
                && crcs.of(id, at + 8, checked) == head.crc
                && bytes[checked..end].iter().all(|byte| *byte == 0)
        });
        at += match good {
            Some(head) => {
                found.push((at, head));
                head.frame_bytes() as usize
            }
            None => 8,
        };
    }
    found
}

/// CRCs of any range in the time that a short one takes. Text made to look like a million heads of
/// large frames would otherwise keep a start busy for hours.
struct RangeCrc<'a> {
    bytes: &'a [u8],
    /// CRC of the first 0, 1, 2 ... steps.
    marks: Vec<u32>,
}

impl<'a> RangeCrc<'a> {
    const STEP: usize = 1024;

    fn new(bytes: &'a [u8]) -> Self {
        let mut crc = Hasher::new();
        let mut marks = vec![0];
        for step in bytes.chunks_exact(Self::STEP) {
            crc.update(step);
            marks.push(crc.clone().finalize());
        }
        RangeCrc { bytes, marks }
    }

    fn before(&self, at: usize) -> u32 {
        let step = at / Self::STEP;
        let mut crc = Hasher::new_with_initial(self.marks[step]);
        crc.update(&self.bytes[step * Self::STEP..at]);
        crc.finalize()
    }

    /// CRC of what `id` has seen and the bytes from `from` to `to`. A CRC is linear: that of the
    /// range is that of all up to `to`, less that of all up to `from` moved along by the range.
    fn of(&self, id: &Hasher, from: usize, to: usize) -> u32 {
        let length = (to - from) as u64;
        let mut moved = Hasher::new_with_initial(self.before(from));
        moved.combine(&Hasher::new_with_initial_len(0, length));
        let range = self.before(to) ^ moved.finalize();
        let mut all = id.clone();
        all.combine(&Hasher::new_with_initial_len(range, length));
        all.finalize()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_is_found_before_an_empty_rest_and_with_a_payload_of_zeros() {
        let mut id = Hasher::new();
        id.update(b"sixteen bytes id");
        let head = |payload_bytes| Head {
            payload_bytes,
            crc: 0,
            first_seq: 1,
            rows: 1,
            kind: Kind::Events,
            durable_upto: 0,
            chain: 0,
        };
        let mut bytes = vec![1; 16];
        head(3).put(&mut bytes, &id, &[b"abc"]);
        let second = bytes.len();
        head(5_000).put(&mut bytes, &id, &[&[0; 5_000]]);
        bytes.resize(1 << 20, 0);
        let places = |bytes: &[u8]| -> Vec<usize> {
            let found = frames_in(bytes, &id);
            found.into_iter().map(|(at, _)| at).collect()
        };
        assert_eq!(places(&bytes), [16, second]);
        assert_eq!(places(&bytes[..second + 4_000]), [16]);
        assert_eq!(places(&[0; 4_096]), [] as [usize; 0]);
    }

    #[test]
    fn the_crc_of_a_range_is_that_of_its_bytes() {
        let bytes: Vec<u8> = (0..5000u32)
            .map(|i| (i.wrapping_mul(2_654_435_761) >> 13) as u8)
            .collect();
        let crcs = RangeCrc::new(&bytes);
        let mut id = Hasher::new();
        id.update(b"sixteen bytes id");
        for (from, to) in [(0, 0), (0, 5000), (8, 4096), (1000, 1024), (1023, 4999)] {
            assert_eq!(crcs.of(&id, from, to), crc_of(&id, &bytes[from..to]));
        }
    }
}
