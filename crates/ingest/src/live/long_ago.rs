//! What the files know of the ids of events that happened before the window of ids.
//!
//! A file may have to be read for each day, so this is asked on the thread of the one who sends
//! them, before the one thread that writes has them: nobody else waits for it. What is received in
//! between is in the window.

use events::UtcMicros;
use store::{EventIds, Store};

use super::delivery::Incoming;
use crate::dedupe::utc_day;

/// Ids of the files around events of long ago.
#[derive(Debug)]
pub(super) struct LongAgo {
    ids: Vec<EventIds>,
    /// Events that happened before this were looked up.
    before: UtcMicros,
}

impl Default for LongAgo {
    fn default() -> Self {
        LongAgo {
            ids: Vec::new(),
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
        let times = events.iter().map(|i| i.event.occurred_at);
        let mut times: Vec<UtcMicros> = times
            .filter(|at| (self.before..before).contains(at))
            .collect();
        times.sort_unstable();
        let same_day = |a: &UtcMicros, b: &UtcMicros| utc_day(*a) == utc_day(*b);
        for day in times.chunk_by(same_day) {
            self.ids.push(store.event_ids(day[0], day[day.len() - 1])?);
        }
        self.before = before;
        Ok(())
    }

    /// Content of the event with this id.
    pub fn find(&self, id: u64) -> Option<u64> {
        self.ids.iter().find_map(|ids| ids.find(id))
    }
}
