//! Which event ids were received in the last seven days: exact, in memory.
//!
//! An id is its 64-bit hash with the 64-bit hash of its content: 16 bytes, with the table's own
//! share 19 to 39 bytes per event. What happened longer ago than the window may have been
//! received before it; such ids are looked up in the files around their time.

use std::{
    collections::VecDeque,
    hash::{BuildHasherDefault, Hasher},
};

use events::{FUTURE_MS_MAX, UtcMicros};
use hashbrown::{HashMap, HashSet};
use store::{LOG, Store, TableData};

use crate::dedupe::{DAY_MICROS, utc_day};

/// Days of receipt in the window, today included.
const WINDOW_DAYS: i64 = 8;

/// The first moment of the window that ends now.
fn first_moment(now: UtcMicros) -> UtcMicros {
    UtcMicros((utc_day(now) - WINDOW_DAYS + 1) * DAY_MICROS)
}

type Ids = HashMap<u64, u64, BuildHasherDefault<Already>>;

/// A set of hashes.
pub(super) type Hashes = HashSet<u64, BuildHasherDefault<Already>>;

/// Ids are hashes already.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Already(u64);

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
#[derive(Debug)]
pub(crate) struct IdWindow {
    /// Newest last, by day of receipt.
    days: VecDeque<(i64, Ids)>,
    /// Every id received from here on is in it.
    since: UtcMicros,
    /// Is every stored id in it?
    complete: bool,
}

impl Default for IdWindow {
    fn default() -> Self {
        IdWindow {
            days: VecDeque::new(),
            since: UtcMicros(i64::MIN),
            complete: false,
        }
    }
}

impl IdWindow {
    /// The ids that a store has received in the window that ends now.
    pub fn of(store: &Store, now: UtcMicros) -> store::Result<Self> {
        let mut window = IdWindow::default();
        window.load(store, 0, now)?;
        let stored = store.version().table(LOG).map_or(0, TableData::rows);
        // An id that was stored twice counts once here: the store is then looked at more often.
        window.complete = window.len() as u64 >= stored;
        Ok(window)
    }

    /// Is every id of the store that it was [made of](Self::of) in it, with what came since?
    pub fn is_complete(&self) -> bool {
        self.complete
    }

    /// Takes up the ids that a store has received in the window that ends now, of commits behind
    /// `after`.
    pub fn load(&mut self, store: &Store, after: u64, now: UtcMicros) -> store::Result<()> {
        self.since = self.since.max(first_moment(now));
        store.received_ids(self.since, after, |received_at, id, content| {
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

    /// Takes the ids of events out that were let go, each with its time of receipt.
    pub fn forget(&mut self, gone: &[(UtcMicros, u64)]) {
        for (received_at, id) in gone {
            let day = utc_day(*received_at);
            let at = self.days.binary_search_by_key(&day, |(other, _)| *other);
            if let Ok(at) = at {
                self.days[at].1.remove(id);
            }
        }
    }

    /// Forgets the days that have left the window.
    pub fn expire(&mut self, now: UtcMicros) {
        self.since = self.since.max(first_moment(now));
        let first = utc_day(self.since);
        self.complete &= self.days.front().is_none_or(|(day, _)| *day >= first);
        while self.days.front().is_some_and(|(day, _)| *day < first) {
            self.days.pop_front();
        }
    }

    /// What happened before this may have been received before the window: a clock of a source may
    /// be ahead by as much as an event may lie in the future.
    pub fn long_ago(&self) -> UtcMicros {
        UtcMicros(self.since.0.saturating_add(FUTURE_MS_MAX * 1_000))
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
    fn what_was_received_before_the_window_happened_long_ago() {
        let mut window = IdWindow::default();
        window.expire(day(107));
        let first = UtcMicros(100 * DAY_MICROS);
        assert_eq!(window.long_ago(), first.plus_ms(FUTURE_MS_MAX));
        // A clock that goes back does not bring back what was forgotten.
        window.expire(day(106));
        assert_eq!(window.long_ago(), first.plus_ms(FUTURE_MS_MAX));
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
    fn an_id_that_was_let_go_is_forgotten_where_it_was_received() {
        let mut window = IdWindow::default();
        window.insert(day(100), 1, 11);
        window.insert(day(101), 2, 22);
        window.forget(&[(day(100), 1), (day(90), 2), (day(101), 3)]);
        assert_eq!((window.find(1), window.find(2)), (None, Some(22)));
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
