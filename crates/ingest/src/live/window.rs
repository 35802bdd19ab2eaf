//! Which event ids were received in the last seven days: exact, in memory.
//!
//! An id is its 64-bit hash with the 64-bit hash of its content: 16 bytes, with the table's own
//! share 19 to 39 bytes per event. What happened longer ago than the window may have been
//! received before it; such ids are looked up in the files around their time.

use std::{
    collections::VecDeque,
    hash::{BuildHasherDefault, Hasher},
};

use events::{Event, UtcMicros};
use hashbrown::HashMap;
use store::Store;

use crate::dedupe::{DAY_MICROS, utc_day};

/// Days of receipt in the window, today included.
pub(super) const WINDOW_DAYS: i64 = 8;

type Ids = HashMap<u64, u64, BuildHasherDefault<Already>>;

/// Ids are hashes already.
#[derive(Clone, Copy, Debug, Default)]
struct Already(u64);

impl Hasher for Already {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, _: &[u8]) {
        unreachable!("keys are numbers");
    }

    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
    }
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct IdWindow {
    /// Newest last, by day of receipt.
    days: VecDeque<(i64, Ids)>,
}

impl IdWindow {
    /// Takes up the ids that a store has received in the window that ends now, of commits behind
    /// `after`.
    pub fn load(&mut self, store: &Store, after: u64, now: UtcMicros) -> store::Result<()> {
        let since = UtcMicros(now.0 - (WINDOW_DAYS - 1) * DAY_MICROS);
        store.received_ids(since, after, |received_at, id, content| {
            self.insert(received_at, id, content);
        })
    }

    /// Content of the event with this id.
    pub fn find(&self, id: u64) -> Option<u64> {
        self.days
            .iter()
            .rev()
            .find_map(|(_, ids)| ids.get(&id).copied())
    }

    /// Adds an id.
    pub fn insert(&mut self, received_at: UtcMicros, id: u64, content: u64) {
        let day = utc_day(received_at);
        let at = self.days.partition_point(|(other, _)| *other < day);
        if self.days.get(at).is_none_or(|(other, _)| *other != day) {
            self.days.insert(at, (day, Ids::default()));
        }
        self.days[at].1.insert(id, content);
    }

    /// Takes an id out again: its event could not be stored.
    pub fn remove(&mut self, id: u64) {
        for (_, ids) in &mut self.days {
            ids.remove(&id);
        }
    }

    /// Forgets the days that have left the window.
    pub fn expire(&mut self, now: UtcMicros) {
        let first = utc_day(now) - WINDOW_DAYS + 1;
        while self.days.front().is_some_and(|(day, _)| *day < first) {
            self.days.pop_front();
        }
    }

    /// Can the event have been received before the window?
    pub fn is_before(event: &Event, now: UtcMicros) -> bool {
        event.occurred_at.0 < now.0 - (WINDOW_DAYS - 1) * DAY_MICROS
    }

    /// Number of ids.
    pub fn len(&self) -> usize {
        self.days.iter().map(|(_, ids)| ids.len()).sum()
    }

    /// Bytes of the tables.
    pub fn bytes(&self) -> usize {
        self.days.iter().map(|(_, ids)| ids.allocation_size()).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn day(n: i64) -> UtcMicros {
        UtcMicros(n * DAY_MICROS + 5)
    }

    #[test]
    fn an_id_is_known_for_seven_days_and_then_forgotten() {
        let mut window = IdWindow::default();
        window.insert(day(100), 1, 11);
        window.insert(day(103), 2, 22);
        for now in 100..=107 {
            window.expire(day(now));
            assert_eq!(window.find(1), Some(11), "day {now}");
        }
        window.expire(day(108));
        assert_eq!(window.find(1), None);
        assert_eq!(window.find(2), Some(22));
    }

    #[test]
    fn a_clock_that_goes_back_loses_nothing() {
        let mut window = IdWindow::default();
        window.insert(day(100), 1, 11);
        window.insert(day(99), 2, 22);
        window.insert(day(100), 3, 33);
        window.expire(day(99));
        assert_eq!((window.find(1), window.find(2)), (Some(11), Some(22)));
        window.remove(1);
        assert_eq!((window.find(1), window.len()), (None, 2));
    }

    #[test]
    fn an_id_takes_at_most_64_bytes() {
        let mut window = IdWindow::default();
        for id in 0..100_000u64 {
            window.insert(day(1), id.wrapping_mul(0x9e37_79b9_7f4a_7c15), id);
            if id > 1_000 {
                assert!(window.bytes() <= window.len() * 64, "{id}");
            }
        }
    }
}
