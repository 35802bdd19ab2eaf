//! What the files know of the ids of events that happened before the window of ids.
//!
//! A file may have to be read for each day, and there may be many days in one delivery. So this is
//! done on the thread of the one who sends them, before the one thread that writes has them, which
//! only looks into a small map: nobody else waits. What is received in between is in the window.

use std::collections::HashMap;

use events::UtcMicros;
use store::Store;

use super::delivery::Incoming;
use crate::dedupe::utc_day;

/// Events of long ago that are stored, of those of one delivery.
#[derive(Debug)]
pub(super) struct LongAgo {
    /// Content by id.
    stored: HashMap<u64, u64>,
    /// Events that happened before this were looked up.
    before: UtcMicros,
}

impl Default for LongAgo {
    fn default() -> Self {
        LongAgo {
            stored: HashMap::new(),
            before: UtcMicros(i64::MIN),
        }
    }
}

impl LongAgo {
    /// Looks up the events that happened before `before` and were not looked up yet, day by day: one
    /// event of long ago must not bring in everything since.
    pub fn look_up(
        &mut self,
        store: &Store,
        events: &[Incoming],
        before: UtcMicros,
    ) -> store::Result<()> {
        if before <= self.before {
            return Ok(());
        }
        let is_new = |i: &&Incoming| (self.before..before).contains(&i.event.occurred_at);
        let mut new: Vec<&Incoming> = events.iter().filter(is_new).collect();
        new.sort_unstable_by_key(|i| i.event.occurred_at);
        let day = |i: &Incoming| utc_day(i.event.occurred_at);
        for of_day in new.chunk_by(|a, b| day(a) == day(b)) {
            let (first, last) = (of_day[0], of_day[of_day.len() - 1]);
            let ids = store.event_ids(first.event.occurred_at, last.event.occurred_at)?;
            for incoming in of_day {
                let content = ids.find(incoming.id_hash);
                self.stored.extend(content.map(|c| (incoming.id_hash, c)));
            }
        }
        self.before = before;
        Ok(())
    }

    /// Content of the stored event with this id.
    pub fn find(&self, id: u64) -> Option<u64> {
        self.stored.get(&id).copied()
    }
}
