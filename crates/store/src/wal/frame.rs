//! Bytes of headers and frames, as `docs/format/wal.md` draws them. No I/O.

use bytes::Bytes;
use crc32fast::Hasher;

pub(super) const VERSION: u16 = 1;
const MAGIC: &[u8; 4] = b"CGWL";
const SALVAGED: u16 = 1;
/// Bytes of the header.
pub(super) const HEADER_BYTES: usize = 64;
/// The header stands here a second time.
const COPY_AT: usize = 4096;
/// Where the first frame stands.
pub(super) const FRAMES_AT: u64 = (COPY_AT + HEADER_BYTES) as u64;
/// What a disk loses at once.
pub(super) const BLOCK_BYTES: u64 = 4096;
/// Kept free at the end of a segment for the seal and what fills the block before it.
pub(super) const SEAL_ROOM_BYTES: u64 = 2 * BLOCK_BYTES;
/// Bytes of a frame before its payload.
pub(super) const HEAD_BYTES: usize = 40;
/// The most that a frame's payload may have, in bytes.
pub const MAX_PAYLOAD_BYTES: usize = 16 << 20;

/// What a frame is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Events, in the caller's encoding.
    Events = 1,
    /// Rejected lines, in the caller's encoding.
    Rejects = 2,
    /// No rows: all before it is on the disk.
    Barrier = 3,
    /// No rows: the segment ends here.
    Seal = 4,
    /// Rows that were damaged; the payload is empty.
    Lost = 5,
}

impl Kind {
    fn from_byte(byte: u8) -> Option<Kind> {
        Some(match byte {
            1 => Kind::Events,
            2 => Kind::Rejects,
            3 => Kind::Barrier,
            4 => Kind::Seal,
            5 => Kind::Lost,
            _ => return None,
        })
    }

    /// Does it belong to the log rather than to those who use it?
    pub(super) fn is_inner(self) -> bool {
        matches!(self, Kind::Barrier | Kind::Seal)
    }
}

/// A frame that was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// What it is.
    pub kind: Kind,
    /// Sequence of its first row.
    pub first_seq: u64,
    /// Number of its rows.
    pub rows: u32,
    /// What the caller wrote. It shares memory with its neighbours: copy it to keep it for long.
    pub payload: Bytes,
}

/// A frame to write.
#[derive(Clone, Copy, Debug)]
pub struct FrameIn<'a> {
    /// [`Kind::Events`] or [`Kind::Rejects`].
    pub kind: Kind,
    /// Number of rows, at least 1.
    pub rows: u32,
    /// The payload in pieces, together at most [`MAX_PAYLOAD_BYTES`].
    pub payload: &'a [&'a [u8]],
}

impl FrameIn<'_> {
    pub(super) fn payload_bytes(&self) -> usize {
        self.payload.iter().map(|piece| piece.len()).sum()
    }
}

/// Bytes that a frame with this payload takes.
pub(super) const fn frame_bytes(payload_bytes: usize) -> u64 {
    (HEAD_BYTES + payload_bytes.next_multiple_of(8)) as u64
}

/// What a segment says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Header {
    pub salvaged: bool,
    pub epoch: u64,
    pub id: [u8; 16],
    pub first_seq: u64,
    /// Bytes of the segment before that count.
    pub previous_valid: u64,
    pub schema: u64,
    /// Size of the segment in bytes.
    pub size: u32,
}

/// Why a header is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NoHeader {
    Bad,
    Newer(u16),
}

impl Header {
    pub fn encode(&self) -> [u8; HEADER_BYTES] {
        let mut bytes = [0; HEADER_BYTES];
        let mut put = |at: usize, field: &[u8]| bytes[at..at + field.len()].copy_from_slice(field);
        put(0, MAGIC);
        put(4, &VERSION.to_le_bytes());
        put(6, &u16::from(self.salvaged).to_le_bytes());
        put(8, &self.epoch.to_le_bytes());
        put(16, &self.id);
        put(32, &self.first_seq.to_le_bytes());
        put(40, &self.previous_valid.to_le_bytes());
        put(48, &self.schema.to_le_bytes());
        put(56, &self.size.to_le_bytes());
        let crc = crc32fast::hash(&bytes[..60]);
        bytes[60..].copy_from_slice(&crc.to_le_bytes());
        bytes
    }

    fn decode(bytes: &[u8]) -> Result<Header, NoHeader> {
        let Some(bytes) = bytes.get(..HEADER_BYTES) else {
            return Err(NoHeader::Bad);
        };
        if &bytes[..4] != MAGIC || crc32fast::hash(&bytes[..60]) != u32_at(bytes, 60) {
            return Err(NoHeader::Bad);
        }
        let (version, flags) = (u16_at(bytes, 4), u16_at(bytes, 6));
        if version > VERSION {
            return Err(NoHeader::Newer(version));
        }
        let mut id = [0; 16];
        id.copy_from_slice(&bytes[16..32]);
        Ok(Header {
            salvaged: flags & SALVAGED != 0,
            epoch: u64_at(bytes, 8),
            id,
            first_seq: u64_at(bytes, 32),
            previous_valid: u64_at(bytes, 40),
            schema: u64_at(bytes, 48),
            size: u32_at(bytes, 56),
        })
    }

    /// All bytes before the first frame.
    pub fn start_bytes(&self) -> Vec<u8> {
        let header = self.encode();
        let mut bytes = vec![0; FRAMES_AT as usize];
        bytes[..HEADER_BYTES].copy_from_slice(&header);
        bytes[COPY_AT..].copy_from_slice(&header);
        bytes
    }

    /// The header and its copy, from the bytes before the first frame.
    pub fn both(start: &[u8]) -> [Result<Header, NoHeader>; 2] {
        let copy = start.get(COPY_AT..).unwrap_or_default();
        [Header::decode(start), Header::decode(copy)]
    }

    /// What the CRC of each frame begins with.
    pub fn crc(&self) -> Hasher {
        let mut crc = Hasher::new();
        crc.update(&self.id);
        crc
    }

    /// The chain before the first frame.
    pub fn chain(&self) -> u64 {
        chain_of(&self.encode())
    }
}

/// The first bytes of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Head {
    pub payload_bytes: usize,
    pub crc: u32,
    pub first_seq: u64,
    pub rows: u32,
    pub kind: Kind,
    pub durable_upto: u64,
    pub chain: u64,
}

impl Head {
    /// `None` if no frame begins with these bytes. The CRC is not compared.
    pub fn decode(bytes: &[u8]) -> Option<Head> {
        let payload_bytes = u32_at(bytes, 0) as usize;
        if payload_bytes > MAX_PAYLOAD_BYTES || bytes[21..24] != [0; 3] {
            return None;
        }
        Some(Head {
            payload_bytes,
            crc: u32_at(bytes, 4),
            first_seq: u64_at(bytes, 8),
            rows: u32_at(bytes, 16),
            kind: Kind::from_byte(bytes[20])?,
            durable_upto: u64_at(bytes, 24),
            chain: u64_at(bytes, 32),
        })
    }

    /// Bytes of the frame with its padding.
    pub fn frame_bytes(&self) -> u64 {
        frame_bytes(self.payload_bytes)
    }

    /// The sequence behind its last row. A damaged head may say anything.
    pub fn end_seq(&self) -> u64 {
        self.first_seq.saturating_add(u64::from(self.rows))
    }

    /// Appends a frame and returns the chain for the next one. The fields for payload and CRC are
    /// computed here.
    pub fn put(&self, out: &mut Vec<u8>, crc: &Hasher, payload: &[&[u8]]) -> u64 {
        let at = out.len();
        let payload_bytes: usize = payload.iter().map(|piece| piece.len()).sum();
        assert!(
            payload_bytes <= MAX_PAYLOAD_BYTES,
            "the caller has looked at the size"
        );
        out.extend_from_slice(&(payload_bytes as u32).to_le_bytes());
        out.extend_from_slice(&[0; 4]);
        out.extend_from_slice(&self.first_seq.to_le_bytes());
        out.extend_from_slice(&self.rows.to_le_bytes());
        out.extend_from_slice(&[self.kind as u8, 0, 0, 0]);
        out.extend_from_slice(&self.durable_upto.to_le_bytes());
        out.extend_from_slice(&self.chain.to_le_bytes());
        payload
            .iter()
            .for_each(|piece| out.extend_from_slice(piece));
        let crc = crc_of(crc, &out[at + 8..]);
        out[at + 4..at + 8].copy_from_slice(&crc.to_le_bytes());
        out.resize(at + frame_bytes(payload_bytes) as usize, 0);
        chain_of(&out[at..])
    }
}

/// CRC of a frame without its first 8 bytes and its padding.
pub(super) fn crc_of(id: &Hasher, checked: &[u8]) -> u32 {
    let mut crc = id.clone();
    crc.update(checked);
    crc.finalize()
}

/// What the frame behind these bytes carries.
pub(super) fn chain_of(bytes: &[u8]) -> u64 {
    u64_at(blake3::hash(bytes).as_bytes(), 0)
}

fn u16_at(bytes: &[u8], at: usize) -> u16 {
    u16::from_le_bytes([bytes[at], bytes[at + 1]])
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(std::array::from_fn(|i| bytes[at + i]))
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(std::array::from_fn(|i| bytes[at + i]))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header() -> Header {
        Header {
            salvaged: true,
            epoch: 7,
            id: [9; 16],
            first_seq: 41,
            previous_valid: 5000,
            schema: 0xabcd,
            size: 64 << 20,
        }
    }

    #[test]
    fn a_header_stands_twice_and_reads_back() {
        let mut start = header().start_bytes();
        assert_eq!(Header::both(&start), [Ok(header()), Ok(header())]);
        start[33] ^= 1;
        assert_eq!(Header::both(&start), [Err(NoHeader::Bad), Ok(header())]);
        assert_eq!(Header::both(&start[..10]), [Err(NoHeader::Bad); 2]);
    }

    #[test]
    fn a_newer_header_says_so() {
        let mut start = header().start_bytes();
        start[4] = 2;
        let crc = crc32fast::hash(&start[..60]);
        start[60..64].copy_from_slice(&crc.to_le_bytes());
        assert_eq!(Header::both(&start)[0], Err(NoHeader::Newer(2)));
    }

    #[test]
    fn a_frame_reads_back_and_its_pieces_are_one_payload() {
        let head = Head {
            payload_bytes: 5,
            crc: 0,
            first_seq: 41,
            rows: 3,
            kind: Kind::Rejects,
            durable_upto: 4160,
            chain: 17,
        };
        let crc = header().crc();
        let (mut one, mut two) = (Vec::new(), Vec::new());
        let chain = head.put(&mut one, &crc, &[b"hello"]);
        assert_eq!(head.put(&mut two, &crc, &[b"he", b"", b"llo"]), chain);
        assert_eq!(one, two);
        assert_eq!(one.len(), 48);
        let read = Head::decode(&one).unwrap();
        assert_eq!(Head { crc: 0, ..read }, head);
        assert_eq!(read.crc, crc_of(&crc, &one[8..45]));
        assert_eq!(Head::decode(&[0; 40]), None);
    }
}
