//! A stable 64-bit hash for link keys, and hash maps over such keys.
//!
//! The values are stored, so this function never changes. It is not made to withstand an
//! adversary: two ids that collide are folded together, which is slower but gives the same rows,
//! because rows are told apart by id.

use std::hash::{BuildHasherDefault, Hasher};

const K0: u64 = 0x9e37_79b9_7f4a_7c15;
const K1: u64 = 0xbf58_476d_1ce4_e5b9;
const K2: u64 = 0x94d0_49bb_1331_11eb;

fn mix(a: u64, b: u64) -> u64 {
    let product = u128::from(a) * u128::from(b);
    (product as u64) ^ ((product >> 64) as u64)
}

/// Hash of some bytes; `seed` keeps different kinds of keys apart.
pub(crate) fn bytes(seed: u64, data: &[u8]) -> u64 {
    let (words, rest) = data.as_chunks::<8>();
    let mut hash = mix(seed ^ K0, K2);
    for word in words {
        hash = mix(hash ^ u64::from_le_bytes(*word), K1);
    }
    let mut tail = [0; 8];
    tail[..rest.len()].copy_from_slice(rest);
    hash = mix(hash ^ u64::from_le_bytes(tail), K2);
    mix(hash ^ data.len() as u64, K1)
}

/// A hasher for keys that are hashes already.
#[derive(Default)]
pub(crate) struct Hashed(u64);

impl Hasher for Hashed {
    fn finish(&self) -> u64 {
        self.0
    }
    fn write(&mut self, data: &[u8]) {
        self.0 = bytes(self.0, data);
    }
    fn write_u64(&mut self, value: u64) {
        self.0 = value;
    }
}

/// A map from link keys.
pub(crate) type LinkMap<T> = hashbrown::HashMap<u64, T, BuildHasherDefault<Hashed>>;

#[cfg(test)]
mod tests {
    #[test]
    fn link_hashes_never_change_because_they_are_stored() {
        assert_eq!(super::bytes(1, b"c81"), super::bytes(1, b"c81"));
        let known = [
            super::bytes(0, b""),
            super::bytes(7, b"default"),
            super::bytes(2, b"c0000123.q1"),
        ];
        assert_eq!(known, KNOWN);
    }

    const KNOWN: [u64; 3] = [
        1_354_660_850_251_073_928,
        4_778_739_357_033_216_890,
        5_465_028_053_891_035_222,
    ];
}
