//! Which event ids are stored: the exact part of telling a repeat from a new event.

use std::{hash::Hasher, sync::Arc};

use events::Event;
use twox_hash::XxHash64;

use crate::split::Split;

/// Hash of the idempotency key of an event.
pub fn event_id_hash(tenant_id: &str, source: &str, event_id: &str) -> u64 {
    // 0xFF never occurs in UTF-8, so the parts cannot run into each other.
    let mut hasher = XxHash64::with_seed(0);
    hasher.write(tenant_id.as_bytes());
    hasher.write(&[0xFF]);
    hasher.write(source.as_bytes());
    hasher.write(&[0xFF]);
    hasher.write(event_id.as_bytes());
    hasher.finish()
}

/// Hash of what an event says: all but its id, the time of receipt and its place in the source's
/// order, which may differ when the same record is sent again.
pub fn content_hash(event: &Event) -> u64 {
    let mut split = Split::default();
    match split.fill(&event.data) {
        Ok(()) => content_hash_of(event, &split, &mut Vec::new()),
        // Such an event cannot be stored, so there is nothing that it could be equal to.
        Err(_) => 0,
    }
}

/// As [`content_hash`], from data already split; `buffer` is scratch.
pub(crate) fn content_hash_of(event: &Event, split: &Split, buffer: &mut Vec<u8>) -> u64 {
    buffer.clear();
    let mut part = |bytes: &[u8]| {
        buffer.extend_from_slice(bytes);
        buffer.push(0xFF);
    };
    part(event.data.event_type().as_bytes());
    part(&event.schema_version.to_le_bytes());
    part(&event.occurred_at.0.to_le_bytes());
    if let Some(correction) = &event.correction {
        part(correction.of.as_bytes());
        part(correction.op.as_str().as_bytes());
    }
    for column in 0..crate::tables::ID_COLUMNS.len() {
        match split.id(column) {
            Some(id) => part(id.as_bytes()),
            None => part(&[0xFE]),
        }
    }
    part(&split.json);
    for (name, value) in &event.attributes {
        part(name.as_bytes());
        part(value.as_bytes());
    }
    XxHash64::oneshot(0, buffer)
}

/// Ids and content hashes of the events of one file, in buckets by the id's top bits.
#[derive(Debug)]
pub(crate) struct IdBlock {
    shift: u32,
    starts: Vec<u32>,
    entries: Vec<(u64, u64)>,
}

impl IdBlock {
    /// Takes `(id hash, content hash)` in any order.
    pub fn new(pairs: &[(u64, u64)]) -> Self {
        // About four entries a bucket.
        let bits = (pairs.len() / 4)
            .max(1)
            .next_power_of_two()
            .trailing_zeros()
            .max(1);
        let shift = 64 - bits;
        let mut starts = vec![0u32; (1 << bits) + 1];
        for (id, _) in pairs {
            starts[(id >> shift) as usize + 1] += 1;
        }
        for i in 1..starts.len() {
            starts[i] += starts[i - 1];
        }
        let mut next = starts.clone();
        let mut entries = vec![(0, 0); pairs.len()];
        for pair in pairs {
            let at = &mut next[(pair.0 >> shift) as usize];
            entries[*at as usize] = *pair;
            *at += 1;
        }
        IdBlock {
            shift,
            starts,
            entries,
        }
    }

    pub fn find(&self, id: u64) -> Option<u64> {
        let bucket = (id >> self.shift) as usize;
        let range = self.starts[bucket] as usize..self.starts[bucket + 1] as usize;
        self.entries[range]
            .iter()
            .find(|(other, _)| *other == id)
            .map(|(_, content)| *content)
    }

    /// Calls `take` with each pair.
    pub fn each(&self, take: &mut impl FnMut(u64, u64)) {
        self.entries
            .iter()
            .for_each(|(id, content)| take(*id, *content));
    }

    pub fn bytes(&self) -> usize {
        self.entries.len() * 16 + self.starts.len() * 4
    }
}

/// Ids of stored events of a span of time.
#[derive(Clone, Debug, Default)]
pub struct EventIds {
    pub(crate) blocks: Vec<Arc<IdBlock>>,
}

impl EventIds {
    /// [`content_hash`] of the stored event with this [`event_id_hash`].
    pub fn find(&self, id_hash: u64) -> Option<u64> {
        self.blocks.iter().find_map(|block| block.find(id_hash))
    }

    /// Are there no events at all in that span?
    pub fn is_empty(&self) -> bool {
        self.blocks.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_stored_id_is_found_and_no_other() {
        for count in [0u64, 1, 2, 5, 1000] {
            let pairs: Vec<_> = (0..count)
                .map(|i| (XxHash64::oneshot(1, &i.to_le_bytes()), i))
                .collect();
            let block = IdBlock::new(&pairs);
            assert!(
                pairs
                    .iter()
                    .all(|(id, content)| block.find(*id) == Some(*content))
            );
            assert_eq!(block.find(42), None);
        }
    }

    #[test]
    fn parts_of_a_key_do_not_run_into_each_other() {
        assert_ne!(event_id_hash("a", "bc", "d"), event_id_hash("ab", "c", "d"));
    }
}
