//! Telling a repeat from a new event.
//!
//! The idempotency key is (tenant, source, event id). Inside a batch keys are compared as they
//! are. Against the store their 64-bit hashes are: with those of everything that was received in
//! the last seven days, whatever its time, and with those of every file whose span of time has the
//! event's `occurred_at` in it. Same content means that also the time is the same, so an exact
//! repeat is always found. Another content under the same id is found for seven days, and after
//! them if its time lies in the span of the file that has the id. The id of what was let go is free.
//!
//! What a record of another system says may come again with another time, however late: a ticket is
//! solved weeks after it was opened. Ids of such events that were not found by then are looked up among
//! all events of what they are about. That costs nothing while all that is stored was received in the
//! last seven days, and for what the store has never heard of it costs a look at the index of links.
//!
//! A record of another system may come again when more is known. An event of it whose id is taken by
//! other content becomes a correction of that one, with an id made of both; so the same record again
//! is a repeat, and nothing but a new content changes anything.

use std::collections::{BTreeSet, HashMap, HashSet};

use events::{Correction, CorrectionOp, Event, Reject, RejectCode, Text, UtcMicros};
use hashbrown::{HashTable, hash_table::Entry};
use store::{EventIds, Floors, Store, content_hash, event_id_hash};

use crate::{
    live::window::IdWindow,
    pipeline::batch::{Again, Decoded},
    retention::too_old,
};

/// Microseconds of a day.
pub(crate) const DAY_MICROS: i64 = 86_400_000_000;

/// A batch without its repeats.
#[derive(Debug, Default)]
pub(crate) struct Deduped {
    /// New events in order, one per id.
    pub fresh: Vec<Event>,
    pub duplicates: u64,
    /// Events whose id is taken, or was let go.
    pub conflicts: Vec<Conflict>,
}

/// An event whose id is taken by another one, or was let go.
#[derive(Debug)]
pub(crate) struct Conflict {
    pub event: Event,
    pub line: u32,
    pub reject: Reject,
}

/// Splits a batch into new events, duplicates and conflicts.
pub(crate) fn dedupe(
    decoded: Vec<Decoded>,
    store: &Store,
    window: &IdWindow,
) -> store::Result<Deduped> {
    let mut known = Known::load(&decoded, store, window)?;
    known.look_closer(&decoded, store)?;
    let known_rows = known_rows(&decoded, |d| known.find(&d.event, d.id_hash).is_some());
    let mut sieve = Sieve {
        floors: store.version().floors,
        known,
        seen: HashTable::with_capacity(decoded.len()),
        result: Deduped::default(),
    };
    sieve.result.fresh.reserve(decoded.len());
    for decoded in decoded {
        match known_rows.contains(&decoded.line) {
            true => sieve.result.duplicates += 1,
            false => sieve.take(decoded),
        }
    }
    Ok(sieve.result)
}

/// What is known while a batch goes through.
struct Sieve<'w> {
    floors: Floors,
    known: Known<'w>,
    /// Ids of the batch, with their place among the fresh events.
    seen: HashTable<(u64, u32)>,
    result: Deduped,
}

impl Sieve<'_> {
    fn take(&mut self, decoded: Decoded) {
        let Decoded {
            event,
            id_hash,
            line,
            again,
        } = decoded;
        if let Some(content) = self.known.find(&event, id_hash) {
            return self.repeat(event, line, content, again);
        }
        // What is stored still is a repeat, whatever its age.
        if let Some(reject) = too_old(&event, self.floors) {
            let refused = Conflict {
                event,
                line,
                reject,
            };
            return self.result.conflicts.push(refused);
        }
        let fresh = &self.result.fresh;
        let same_key = |&(hash, position): &(u64, u32)| {
            hash == id_hash && same_id(&fresh[position as usize], &event)
        };
        match self.seen.entry(id_hash, same_key, |&(hash, _)| hash) {
            Entry::Occupied(entry) => {
                let content = content_hash(&fresh[entry.get().1 as usize]);
                self.repeat(event, line, content, again);
            }
            Entry::Vacant(entry) => {
                let position = u32::try_from(fresh.len()).expect("a batch is small");
                entry.insert((id_hash, position));
                self.result.fresh.push(event);
            }
        }
    }

    /// Counts an event whose id is taken by one with this content, or makes it replace that one.
    fn repeat(&mut self, event: Event, line: u32, content: u64, again: Again) {
        let own = content_hash(&event);
        if own == content || again == Again::Guessed {
            self.result.duplicates += 1;
            return;
        }
        let reject = match again {
            Again::Revised => {
                let event = revision(event, own);
                let id_hash = id_hash(&event);
                let again = Again::Sent;
                return self.take(Decoded {
                    event,
                    id_hash,
                    line,
                    again,
                });
            }
            Again::Sent => id_conflict(&event),
            Again::Told | Again::Row | Again::Guessed => told_otherwise(&event),
        };
        self.result.conflicts.push(Conflict {
            event,
            line,
            reject,
        });
    }
}

fn id_hash(event: &Event) -> u64 {
    event_id_hash(&event.tenant_id, &event.source, &event.event_id)
}

/// How much longer the id of a revision is.
pub(crate) const REVISION_BYTES: usize = 17;

/// The event as a correction of the one that has its id.
fn revision(mut event: Event, content: u64) -> Event {
    let id = Text::from(format!("{}~{content:016x}", event.event_id));
    let of = std::mem::replace(&mut event.event_id, id);
    event.correction = Some(Correction {
        of,
        op: CorrectionOp::Replace,
    });
    event
}

/// Lines that are rows of which the last event is known: as all of a row is stored at once, the row is.
fn known_rows(decoded: &[Decoded], is_known: impl Fn(&Decoded) -> bool) -> HashSet<u32> {
    let rows = decoded.chunk_by(|a, b| a.line == b.line);
    let last = rows.filter_map(<[Decoded]>::last);
    let known = last.filter(|last| last.again == Again::Row && is_known(last));
    known.map(|last| last.line).collect()
}

fn same_id(left: &Event, right: &Event) -> bool {
    left.event_id == right.event_id
        && left.source == right.source
        && left.tenant_id == right.tenant_id
}

/// Why an event whose id is taken by another one is not taken.
pub(crate) fn id_conflict(event: &Event) -> Reject {
    let detail = format!(
        "'{}' of source '{}' is taken by an event with other content: send a change as a new \
         event with correction_of",
        event.event_id, event.source
    );
    Reject::new(RejectCode::IdConflict, "event_id", detail)
}

/// Why an event that was made of another system's record is not taken. Its sender cannot make a
/// correction of it.
fn told_otherwise(event: &Event) -> Reject {
    let detail = format!(
        "'{}' of source '{}' was told with other content before: what this record says of it is left out",
        event.event_id, event.source
    );
    Reject::new(RejectCode::IdConflict, "event_id", detail)
}

/// What is known of the ids of a batch.
struct Known<'w> {
    window: &'w IdWindow,
    stored: StoredIds,
    /// Content of the stored events of what the batch is about, by the hash of their ids.
    of_entities: HashMap<u64, u64>,
}

impl<'w> Known<'w> {
    fn load(decoded: &[Decoded], store: &Store, window: &'w IdWindow) -> store::Result<Self> {
        Ok(Known {
            window,
            stored: StoredIds::load(decoded, store)?,
            of_entities: HashMap::new(),
        })
    }

    /// Content of the stored event with this id.
    fn find(&self, event: &Event, id_hash: u64) -> Option<u64> {
        let received = self.window.find(id_hash);
        received
            .or_else(|| self.stored.find(event, id_hash))
            .or_else(|| self.of_entities.get(&id_hash).copied())
    }

    /// Looks events up by what they are about, if they may be stored with another time. Only what is
    /// over one day is asked for: an agent's or a queue's events are of years, and importers put the
    /// time into their ids.
    fn look_closer(&mut self, decoded: &[Decoded], store: &Store) -> store::Result<()> {
        if self.window.is_complete() {
            return Ok(());
        }
        let may_differ = decoded.iter().filter(|d| d.again.is_made_of_a_record());
        let unknown = may_differ
            .filter(|d| self.find(&d.event, d.id_hash).is_none())
            .filter(|d| facts::is_contact_event(&d.event));
        let links = unknown.flat_map(|d| facts::event_links(&d.event));
        let links: Vec<u64> = links.filter(|link| store.may_know(*link)).collect();
        if !links.is_empty() {
            let events = store.load_events(&links)?;
            let ids = events.iter().map(|e| (id_hash(e), content_hash(e)));
            self.of_entities = ids.collect();
        }
        Ok(())
    }
}

/// Ids of the store around the times of a batch.
struct StoredIds {
    /// First and last day of a span without gaps, with its ids; ascending.
    spans: Vec<(i64, i64, EventIds)>,
}

impl StoredIds {
    /// Loads day by day and not from the first to the last: one event with a time long ago must
    /// not bring in everything since.
    fn load(decoded: &[Decoded], store: &Store) -> store::Result<Self> {
        let days: BTreeSet<i64> = decoded.iter().map(|d| day_of(&d.event)).collect();
        let mut spans: Vec<(i64, i64)> = Vec::new();
        for day in days {
            match spans.last_mut() {
                Some((_, last)) if *last + 1 >= day => *last = day,
                _ => spans.push((day, day)),
            }
        }
        let load = |(first, last): (i64, i64)| {
            let times = decoded.iter().filter_map(|d| {
                (first..=last)
                    .contains(&day_of(&d.event))
                    .then_some(d.event.occurred_at)
            });
            let (from, to) = times.fold((UtcMicros(i64::MAX), UtcMicros(i64::MIN)), |span, t| {
                (span.0.min(t), span.1.max(t))
            });
            Ok((first, last, store.event_ids(from, to)?))
        };
        let spans = spans.into_iter().map(load).collect::<store::Result<_>>()?;
        Ok(StoredIds { spans })
    }

    fn find(&self, event: &Event, id_hash: u64) -> Option<u64> {
        let day = day_of(event);
        let at = self.spans.partition_point(|(_, last, _)| *last < day);
        self.spans.get(at).and_then(|(_, _, ids)| ids.find(id_hash))
    }
}

/// The UTC day of a moment, counted from 1970.
pub(crate) fn utc_day(at: UtcMicros) -> i64 {
    at.0.div_euclid(DAY_MICROS)
}

fn day_of(event: &Event) -> i64 {
    utc_day(event.occurred_at)
}
