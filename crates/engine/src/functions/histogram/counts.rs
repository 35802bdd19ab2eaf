//! Exact counts of whole numbers: a histogram with a unit of one.
//!
//! Up to 2,047 (the range in which an HdrHistogram of three digits is exact) counts lie in a
//! dense table; beyond it, and below zero, each value has its own entry, so no value is ever
//! rounded. A histogram of few values is a plain list of them.
//!
//! Why not an HdrHistogram itself: past 2,047 it rounds to three digits, and mails wait for more
//! seconds than that; it holds no negative value; and each one begins with a table of tens of
//! kilobytes, too much for a query of many groups. In its exact range a test compares the two.
//!
//! # Bytes
//!
//! ```text
//! 1 byte   version, 1
//! varint   number of values
//! then for every distinct value, ascending:
//!   varint   its distance from the one before; the first as zigzag
//!   varint   how often it occurs
//! ```

use std::collections::BTreeMap;

const VERSION: u8 = 1;
/// Values from 0 up to here have a slot in the dense table.
const DENSE: usize = 2_048;
/// So many values are kept as a list before a table is worth its memory.
const LIST: usize = 256;
/// Memory of one entry of the sparse map, nodes being half full.
const SPARSE_ENTRY_BYTES: usize = 32;

/// Counts of whole numbers.
#[derive(Clone, Debug, Default)]
pub(super) struct Counts {
    list: Vec<i64>,
    dense: Vec<u64>,
    sparse: BTreeMap<i64, u64>,
}

impl Counts {
    /// Counts one value.
    #[inline]
    pub fn record(&mut self, value: i64) {
        // A negative value is a huge index.
        match self.dense.get_mut(value as usize) {
            Some(count) => *count += 1,
            None => self.record_rare(value),
        }
    }

    #[cold]
    fn record_rare(&mut self, value: i64) {
        if !self.dense.is_empty() {
            return self.add(value, 1);
        }
        self.list.push(value);
        if self.list.len() == LIST {
            self.dense.push(0);
            for value in std::mem::take(&mut self.list) {
                self.add(value, 1);
            }
        }
    }

    /// Counts `times` equal values.
    pub fn add(&mut self, value: i64, times: u64) {
        match usize::try_from(value) {
            Ok(slot) if slot < DENSE && !self.dense.is_empty() => {
                if slot >= self.dense.len() {
                    self.dense.resize((slot + 1).next_power_of_two(), 0);
                }
                self.dense[slot] = self.dense[slot].saturating_add(times);
            }
            _ => {
                let count = self.sparse.entry(value).or_default();
                *count = count.saturating_add(times);
            }
        }
    }

    /// Counts everything that the encoded histogram holds.
    pub fn merge(&mut self, bytes: &[u8]) -> Result<(), BadHistogram> {
        let reader = Reader::new(bytes)?;
        if self.dense.is_empty() && reader.total > LIST as u64 {
            self.dense.push(0);
        }
        for pair in reader {
            let (value, times) = pair?;
            self.add(value, times);
        }
        Ok(())
    }

    /// The bytes of this histogram.
    pub fn encode(&self) -> Vec<u8> {
        let mut sparse = self.sparse.clone();
        for &value in &self.list {
            *sparse.entry(value).or_default() += 1;
        }
        for (value, &times) in (0..).zip(&self.dense) {
            if times > 0 {
                let count = sparse.entry(value).or_default();
                *count = count.saturating_add(times);
            }
        }
        let mut bytes = vec![VERSION];
        put_varint(
            &mut bytes,
            sparse
                .values()
                .fold(0, |sum: u64, n| sum.saturating_add(*n)),
        );
        let mut last = None;
        for (value, times) in sparse {
            match last {
                None => put_varint(&mut bytes, zigzag(value)),
                Some(last) => put_varint(&mut bytes, value.wrapping_sub(last) as u64),
            }
            put_varint(&mut bytes, times);
            last = Some(value);
        }
        bytes
    }

    /// Memory behind this value, in bytes.
    pub fn heap_bytes(&self) -> usize {
        (self.list.capacity() + self.dense.capacity()) * size_of::<i64>()
            + self.sparse.len() * SPARSE_ENTRY_BYTES
    }
}

/// Bytes that are no histogram.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("these bytes are not a histogram; pass the result of histogram(...)")]
pub(super) struct BadHistogram;

/// Reads an encoded histogram: pairs of value and count, ascending.
pub(super) struct Reader<'a> {
    /// How many values there are.
    pub total: u64,
    bytes: &'a [u8],
    last: Option<i64>,
}

impl<'a> Reader<'a> {
    pub fn new(bytes: &'a [u8]) -> Result<Self, BadHistogram> {
        let (&VERSION, mut bytes) = bytes.split_first().ok_or(BadHistogram)? else {
            return Err(BadHistogram);
        };
        let total = get_varint(&mut bytes)?;
        Ok(Reader {
            total,
            bytes,
            last: None,
        })
    }

    fn pair(&mut self) -> Result<(i64, u64), BadHistogram> {
        let step = get_varint(&mut self.bytes)?;
        let value = match self.last {
            None => unzigzag(step),
            Some(last) => last.wrapping_add(step as i64),
        };
        self.last = Some(value);
        Ok((value, get_varint(&mut self.bytes)?))
    }

    /// The smallest value that at least the share `q` of all values does not exceed (nearest
    /// rank, the share taken to nine places); `None` of no values.
    pub fn percentile(self, q: f64) -> Result<Option<i64>, BadHistogram> {
        const PLACES: u128 = 1_000_000_000;
        let parts = (q * PLACES as f64).round() as u128;
        let rank = (parts * u128::from(self.total)).div_ceil(PLACES).max(1);
        let mut below = 0_u128;
        for pair in self {
            let (value, times) = pair?;
            below += u128::from(times);
            if below >= rank {
                return Ok(Some(value));
            }
        }
        Ok(None)
    }

    /// How many values are at most `limit`.
    pub fn count_within(self, limit: f64) -> Result<u64, BadHistogram> {
        let mut within = 0_u64;
        for pair in self {
            let (value, times) = pair?;
            if value as f64 > limit {
                break;
            }
            within = within.saturating_add(times);
        }
        Ok(within)
    }
}

impl Iterator for Reader<'_> {
    type Item = Result<(i64, u64), BadHistogram>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.bytes.is_empty() {
            return None;
        }
        let pair = self.pair();
        if pair.is_err() {
            self.bytes = &[];
        }
        Some(pair)
    }
}

fn zigzag(value: i64) -> u64 {
    ((value << 1) ^ (value >> 63)) as u64
}

fn unzigzag(code: u64) -> i64 {
    (code >> 1) as i64 ^ -((code & 1) as i64)
}

fn put_varint(bytes: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        bytes.push(value as u8 | 0x80);
        value >>= 7;
    }
    bytes.push(value as u8);
}

fn get_varint(bytes: &mut &[u8]) -> Result<u64, BadHistogram> {
    let mut value = 0_u64;
    for shift in (0..64).step_by(7) {
        let (&byte, rest) = bytes.split_first().ok_or(BadHistogram)?;
        *bytes = rest;
        value |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Ok(value);
        }
    }
    Err(BadHistogram)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(values: &[i64]) -> Counts {
        let mut counts = Counts::default();
        values.iter().for_each(|&v| counts.record(v));
        counts
    }

    fn percentile(values: &[i64], q: f64) -> Option<i64> {
        let bytes = counts(values).encode();
        Reader::new(&bytes)
            .and_then(|r| r.percentile(q))
            .expect("own bytes")
    }

    /// Values as waits are: many short, few long, some outside the dense table.
    fn waits(count: u64) -> Vec<i64> {
        let mut seed = 12_345_u64;
        let mut next = || {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (seed >> 33) as i64
        };
        (0..count).map(|_| (next() % 60) * (next() % 50)).collect()
    }

    #[test]
    fn percentiles_are_the_nearest_rank() {
        let ten: Vec<i64> = (1..=10).collect();
        for (q, value) in [
            (0.0, 1),
            (0.1, 1),
            (0.11, 2),
            (0.5, 5),
            (0.9, 9),
            (0.95, 10),
            (1.0, 10),
        ] {
            assert_eq!(percentile(&ten, q), Some(value), "{q}");
        }
        // 0.07 * 100 is a little more than 7 in floating point.
        let hundred: Vec<i64> = (1..=100).collect();
        assert_eq!(percentile(&hundred, 0.07), Some(7));
        assert_eq!(percentile(&[], 0.5), None);
        assert_eq!(percentile(&[5], 0.99), Some(5));
    }

    #[test]
    fn percentiles_equal_those_of_a_sorted_list() {
        for count in [1, 100, 255, 256, 257, 10_000] {
            let mut values = waits(count);
            values.push(-3);
            values.push(1_000_000);
            let sorted = {
                let mut s = values.clone();
                s.sort_unstable();
                s
            };
            for percent in 1..=100_usize {
                let rank = (percent * sorted.len()).div_ceil(100);
                let got = percentile(&values, percent as f64 / 100.0);
                assert_eq!(got, Some(sorted[rank - 1]), "{percent} of {count}");
            }
        }
    }

    #[test]
    fn inside_its_exact_range_an_hdr_histogram_says_the_same() {
        let values: Vec<i64> = waits(5_000).into_iter().filter(|v| *v < 2_048).collect();
        let mut hdr = hdrhistogram::Histogram::<u64>::new(3).expect("three digits");
        values
            .iter()
            .for_each(|&v| hdr.record(v as u64).expect("it resizes"));
        for q in [0.5, 0.9, 0.95, 0.99] {
            assert_eq!(
                percentile(&values, q),
                Some(hdr.value_at_quantile(q) as i64),
                "{q}"
            );
        }
    }

    #[test]
    fn merging_parts_gives_the_histogram_of_the_whole() {
        let values = waits(3_000);
        let whole = counts(&values).encode();
        for size in [1, 7, 255, 256, 1_500, 3_000] {
            let mut merged = Counts::default();
            for part in values.chunks(size) {
                merged.merge(&counts(part).encode()).expect("own bytes");
            }
            assert_eq!(merged.encode(), whole, "parts of {size}");
        }
    }

    #[test]
    fn counts_within_a_limit_include_the_limit() {
        let bytes = counts(&[-1, 0, 19, 20, 20, 21, 5_000]).encode();
        let within = |limit| Reader::new(&bytes).and_then(|r| r.count_within(limit));
        for (limit, count) in [(-2.0, 0), (0.0, 2), (19.9, 3), (20.0, 5), (1e18, 7)] {
            assert_eq!(within(limit), Ok(count), "{limit}");
        }
    }

    #[test]
    fn extreme_values_are_kept_exactly() {
        let bytes = counts(&[i64::MIN, -1, 0, i64::MAX]).encode();
        let pairs: Result<Vec<_>, _> = Reader::new(&bytes).expect("own bytes").collect();
        assert_eq!(
            pairs,
            Ok(vec![(i64::MIN, 1), (-1, 1), (0, 1), (i64::MAX, 1)])
        );
    }

    #[test]
    fn foreign_bytes_are_an_error_and_no_panic() {
        for bytes in [
            &b""[..],
            b"\x02",
            b"\x01",
            b"\x01\x01\x02",
            b"\x01\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff",
        ] {
            let read = Reader::new(bytes).and_then(|r| r.percentile(0.5));
            assert_eq!(read, Err(BadHistogram), "{bytes:?}");
            assert!(Counts::default().merge(bytes).is_err(), "{bytes:?}");
        }
    }

    #[test]
    fn the_reported_memory_grows_with_the_values() {
        assert_eq!(Counts::default().heap_bytes(), 0);
        let dense = counts(&waits(10_000)).heap_bytes();
        assert!((1_000..=100_000).contains(&dense), "{dense}");
        let far: Vec<i64> = (0..10_000).map(|v| v * 1_000_000).collect();
        assert!(counts(&far).heap_bytes() >= 10_000 * 16);
    }
}
