//! Which log file knows which entity: the index behind finding the events of an old entity.
//!
//! Layout of the `.links` file: `docs/format/manifest.md`.

use std::{ops::Range, path::Path};

use crate::{Error, Result};

const MAGIC: &[u8; 4] = b"CGLX";
const VERSION: u32 = 1;
const HEADER_BYTES: usize = 16;
const LINK_BYTES: usize = 5;
/// Bits of a packed entry that hold the entity's number.
const ENTITY_BITS: u32 = 24;
/// Entities that one file can index.
pub(crate) const ENTITIES_MAX: usize = 1 << ENTITY_BITS;

/// A link as far as it is kept: the low bits are zero.
pub(crate) fn kept_part(link: u64) -> u64 {
    prefix(link) << ENTITY_BITS
}

/// The part of a link's hash that is kept.
fn prefix(link: u64) -> u64 {
    link >> ENTITY_BITS
}

/// The index of one log file, or of one batch of events in memory.
#[derive(Debug)]
pub(crate) struct LinkBlock {
    /// 40 bits of the link, 24 bits number of the entity; sorted.
    entries: Vec<u64>,
    /// First row of each entity, and the end of the last.
    starts: Vec<u32>,
}

/// What the events of one file of the log are linked by: 40 bits of each link are known.
#[derive(Debug)]
pub struct EventLinks(pub(crate) LinkBlock);

impl EventLinks {
    /// Has an event of the file this link, which is one of [`facts::event_links`]?
    pub fn has(&self, link: u64) -> bool {
        self.0.find(link).next().is_some()
    }
}

impl LinkBlock {
    /// Rows of the entities that may have this link.
    pub fn find(&self, link: u64) -> impl Iterator<Item = (u32, Range<usize>)> + '_ {
        let wanted = prefix(link);
        let first = self.entries.partition_point(|e| prefix(*e) < wanted);
        let same = self.entries[first..]
            .iter()
            .take_while(move |e| prefix(**e) == wanted);
        same.map(|e| {
            let entity = (e & (ENTITIES_MAX as u64 - 1)) as u32;
            (entity, self.rows(entity))
        })
    }

    /// Number of entities.
    pub fn entities(&self) -> usize {
        self.starts.len() - 1
    }

    /// Rows of an entity.
    pub fn rows(&self, entity: u32) -> Range<usize> {
        self.starts[entity as usize] as usize..self.starts[entity as usize + 1] as usize
    }

    /// Number of links.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Every link with the entity that has it, as far as it is kept: the low bits are zero.
    pub fn pairs(&self) -> impl Iterator<Item = (u32, u64)> + '_ {
        let low = ENTITIES_MAX as u64 - 1;
        self.entries
            .iter()
            .map(move |e| ((e & low) as u32, e & !low))
    }

    fn prefixes(&self) -> impl Iterator<Item = u64> + '_ {
        self.entries.iter().map(|e| prefix(*e))
    }

    /// Links of each entity, as far as they are kept: the low bits are zero.
    pub fn links_by_entity(&self) -> Vec<Vec<u64>> {
        let mut links = vec![Vec::new(); self.entities()];
        for entry in &self.entries {
            let entity = entry & (ENTITIES_MAX as u64 - 1);
            links[entity as usize].push(entry & !(ENTITIES_MAX as u64 - 1));
        }
        links
    }

    /// The file.
    pub fn to_bytes(&self) -> Vec<u8> {
        let entities = self.entities();
        let mut by_entity: Vec<(u64, u64)> = self
            .entries
            .iter()
            .map(|e| (e & (ENTITIES_MAX as u64 - 1), prefix(*e)))
            .collect();
        by_entity.sort_unstable();
        let mut bytes = Vec::with_capacity(HEADER_BYTES + entities * 2 + self.len() * LINK_BYTES);
        bytes.extend_from_slice(MAGIC);
        for word in [VERSION, entities as u32, self.len() as u32] {
            bytes.extend_from_slice(&word.to_le_bytes());
        }
        let mut rest = by_entity.as_slice();
        for entity in 0..entities {
            let links = rest
                .iter()
                .take_while(|(other, _)| *other == entity as u64)
                .count();
            let (own, others) = rest.split_at(links);
            rest = others;
            write_number(&mut bytes, self.starts[entity + 1] - self.starts[entity]);
            write_number(&mut bytes, own.len() as u32);
            for (_, link) in own {
                bytes.extend_from_slice(&link.to_le_bytes()[..LINK_BYTES]);
            }
        }
        bytes
    }

    /// Reads the file layout; `path` is for the error.
    pub fn from_bytes(bytes: &[u8], path: &Path) -> Result<Self> {
        let damaged = |what: &str| Error::damaged(path, "the index of links", what);
        let header = bytes
            .get(..HEADER_BYTES)
            .ok_or_else(|| damaged("it ends in its header"))?;
        let word = |at: usize| {
            u32::from_le_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]])
        };
        if &header[..4] != MAGIC {
            return Err(damaged("it does not begin with CGLX"));
        }
        if word(4) != VERSION {
            return Err(Error::NewerFormat {
                path: path.to_owned(),
                found: word(4).into(),
                known: VERSION.into(),
            });
        }
        let mut reader = Reader {
            bytes,
            at: HEADER_BYTES,
        };
        reader
            .block(word(8) as usize, word(12) as usize)
            .ok_or_else(|| damaged("it is cut short"))
    }
}

struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Reader<'_> {
    fn block(&mut self, entities: usize, links: usize) -> Option<LinkBlock> {
        if entities > ENTITIES_MAX || links > self.bytes.len() / LINK_BYTES {
            return None;
        }
        let mut starts = vec![0u32];
        let mut entries = Vec::with_capacity(links);
        for entity in 0..entities as u64 {
            let rows = self.number()?;
            starts.push(starts.last()?.checked_add(rows)?);
            for _ in 0..self.number()? {
                let link = self.bytes.get(self.at..self.at + LINK_BYTES)?;
                self.at += LINK_BYTES;
                let mut word = [0; 8];
                word[..LINK_BYTES].copy_from_slice(link);
                entries.push(u64::from_le_bytes(word) << ENTITY_BITS | entity);
            }
        }
        if entries.len() != links || self.at != self.bytes.len() {
            return None;
        }
        entries.sort_unstable();
        Some(LinkBlock { entries, starts })
    }

    fn number(&mut self) -> Option<u32> {
        let mut value = 0u32;
        for shift in (0..35).step_by(7) {
            let byte = *self.bytes.get(self.at)?;
            self.at += 1;
            value |= u32::from(byte & 0x7F).checked_shl(shift)?;
            if byte & 0x80 == 0 {
                return Some(value);
            }
        }
        None
    }
}

/// Makes a [`LinkBlock`] while the entities' rows go by in the order of the file.
#[derive(Debug)]
pub(crate) struct LinkBlockBuilder(LinkBlock);

impl Default for LinkBlockBuilder {
    fn default() -> Self {
        LinkBlockBuilder(LinkBlock {
            entries: Vec::new(),
            starts: vec![0],
        })
    }
}

impl LinkBlockBuilder {
    /// The next entity: number of rows, and its links.
    pub fn entity(&mut self, rows: usize, links: &[u64]) {
        let number = self.entities() as u64;
        let block = &mut self.0;
        block.entries.extend(
            links
                .iter()
                .map(|link| prefix(*link) << ENTITY_BITS | number),
        );
        block
            .starts
            .push(block.starts[number as usize] + rows as u32);
    }

    /// Number of entities so far.
    pub fn entities(&self) -> usize {
        self.0.starts.len() - 1
    }

    pub fn finish(mut self) -> LinkBlock {
        self.0.entries.sort_unstable();
        self.0
    }
}

fn write_number(bytes: &mut Vec<u8>, mut value: u32) {
    while value >= 0x80 {
        bytes.push(value as u8 | 0x80);
        value >>= 7;
    }
    bytes.push(value as u8);
}

/// A set of links that never says no to one that it was given: a Bloom filter whose probes stay in
/// one 64-bit word, 16 bits a link.
#[derive(Debug, Default)]
pub(crate) struct LinkFilter {
    words: Vec<u64>,
    links: usize,
}

impl LinkFilter {
    /// May the link be in the set?
    pub fn may_have(&self, link: u64) -> bool {
        let Some((word, mask)) = self.place(prefix(link)) else {
            return false;
        };
        self.words[word] & mask == mask
    }

    /// Is there room for that many more?
    pub fn has_room(&self, links: usize) -> bool {
        self.links + links <= self.words.len() * 4
    }

    /// An empty set for at least that many links.
    pub fn with_room(links: usize) -> Self {
        LinkFilter {
            words: vec![0; (links / 2).max(1024).next_power_of_two()],
            links: 0,
        }
    }

    pub fn add(&mut self, block: &LinkBlock) {
        for key in block.prefixes() {
            if let Some((word, mask)) = self.place(key) {
                self.words[word] |= mask;
            }
        }
        self.links += block.len();
    }

    fn place(&self, key: u64) -> Option<(usize, u64)> {
        if self.words.is_empty() {
            return None;
        }
        // Finaliser of MurmurHash3: spreads the 40 bits over 64.
        let mut h = key.wrapping_mul(0xff51_afd7_ed55_8ccd);
        h ^= h >> 33;
        h = h.wrapping_mul(0xc4ce_b9fe_1a85_ec53);
        h ^= h >> 33;
        let mask = (0..4).fold(0, |mask, i| mask | 1 << (h >> (i * 6) & 63));
        Some(((h >> 24) as usize & (self.words.len() - 1), mask))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn link(i: u64) -> u64 {
        twox_hash::XxHash64::oneshot(7, &i.to_le_bytes())
    }

    fn built() -> LinkBlock {
        let mut builder = LinkBlockBuilder::default();
        for entity in 0..300u64 {
            let links: Vec<u64> = (0..entity % 5).map(|i| link(entity * 10 + i)).collect();
            builder.entity(entity as usize + 1, &links);
        }
        builder.finish()
    }

    #[test]
    fn the_index_says_where_the_rows_of_an_entity_are() {
        let read = LinkBlock::from_bytes(&built().to_bytes(), Path::new("x")).unwrap();
        for block in [built(), read] {
            let found: Vec<_> = block.find(link(42)).collect();
            assert_eq!(found, [(4, 10..15)]);
            assert_eq!(block.find(link(5)).count(), 0);
        }
    }

    #[test]
    fn a_cut_or_foreign_index_is_damaged() {
        let bytes = built().to_bytes();
        for cut in [0, 3, 15, 16, 200, bytes.len() - 1] {
            let read = LinkBlock::from_bytes(&bytes[..cut], Path::new("x"));
            assert!(matches!(read, Err(Error::Damaged { .. })), "cut at {cut}");
        }
        let mut foreign = bytes.clone();
        foreign[0] = b'X';
        assert!(LinkBlock::from_bytes(&foreign, Path::new("x")).is_err());
    }

    #[test]
    fn the_filter_knows_every_link_and_hardly_any_other() {
        let block = built();
        let mut filter = LinkFilter::with_room(block.len());
        assert!(!filter.may_have(link(1)));
        filter.add(&block);
        assert!(
            (0..300u64)
                .flat_map(|e| (0..e % 5).map(move |i| e * 10 + i))
                .all(|i| { filter.may_have(link(i)) })
        );
        let wrong = (100_000..200_000)
            .filter(|i| filter.may_have(link(*i)))
            .count();
        assert!(wrong < 1_000, "{wrong} of 100,000");
    }
}
