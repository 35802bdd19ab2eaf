//! Going on after damage to data files: what can be worked out again is, what cannot is said.
//!
//! Facts are a function of the events, so any fact file can be made again from the log of events.
//! A file of that log cannot; but its events may still be in the write-ahead log, or among those
//! that are kept for open entities. If some are not, the facts are folded anew without them, so
//! that what is stored is the fold of what is stored.

use std::{
    collections::{BTreeSet, HashMap, HashSet},
    fmt,
    sync::Arc,
};

use events::{Event, UtcMicros};
use facts::{FactRows, FoldSettings, Folder, StoredEvent, event_links, profiled};
use store::{
    Commit, DamagedFile, DataFile, EventLinks, LOG, Mend, Mode, QUARANTINE, QuarantineRow, Store,
    event_id_hash, wal::Kind,
};

use super::{LiveError, payload};
use crate::{pipeline::StoredHistory, retention::is_before_floor};

/// Events that are folded at once.
const CHUNK_EVENTS: usize = 32_768;
/// Events that are folded before they go from memory to files.
const FLUSH_EVENTS: usize = 1 << 20;
/// Reason of the row that says what a repair could not bring back.
pub(super) const DATA_LOST: &str = "data_lost";

/// What is damaged, and what that means.
#[derive(Debug)]
pub struct Findings {
    /// Files that cannot be used.
    pub damaged: Vec<DamagedFile>,
    /// Other findings, which a repair does not touch.
    pub others: Vec<store::Error>,
    /// Rows that nobody can bring back.
    pub lost: Vec<Lost>,
    /// Events of damaged files that were found elsewhere.
    recovered: Vec<Event>,
}

/// Rows of a table that are lost.
#[derive(Clone, Debug)]
pub struct Lost {
    /// Number of rows.
    pub rows: u64,
    /// The damaged files that held them, and perhaps others that were found elsewhere.
    pub files: Vec<Arc<DataFile>>,
}

impl fmt::Display for Lost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = match self.files.first() {
            Some(file) if &*file.table == LOG => "event(s)",
            _ => "rejected line(s)",
        };
        let time =
            |micros: Option<i64>| micros.map_or("?".to_owned(), |at| UtcMicros(at).to_string());
        let from = time(self.files.iter().filter_map(|f| f.time_min).min());
        let to = time(self.files.iter().filter_map(|f| f.time_max).max());
        let held: u64 = self.files.iter().map(|f| f.rows).sum();
        write!(f, "{} of {held} {what} of {from} to {to}, from", self.rows)?;
        self.files
            .iter()
            .try_for_each(|file| write!(f, " {}", file.path))
    }
}

/// What a repair did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Repaired {
    /// Tables whose rows were folded anew.
    pub rebuilt: Vec<String>,
    /// Events of damaged files that were found elsewhere.
    pub recovered: u64,
}

/// Reads every file and says what is damaged.
///
/// # Errors
/// When the folder cannot be read.
pub fn examine(store: &Store) -> Result<Findings, LiveError> {
    let others = store.verify()?.into_iter();
    let others = others.filter(|e| !matches!(e, store::Error::Damaged { .. }));
    let mut found = Findings {
        others: others.collect(),
        damaged: store.damaged(),
        lost: Vec::new(),
        recovered: Vec::new(),
    };
    let log = found.rows_of(LOG);
    if !log.is_empty() {
        found.recovered = events_elsewhere(store, &log)?;
        let held: u64 = log.iter().map(|f| f.rows).sum();
        let rows = held.saturating_sub(found.recovered.len() as u64);
        found.lose(rows, log);
    }
    let lines = found.rows_of(QUARANTINE);
    found.lose(lines.iter().map(|f| f.rows).sum(), lines);
    Ok(found)
}

impl Findings {
    /// Files of a table whose rows are damaged.
    fn rows_of(&self, table: &str) -> Vec<Arc<DataFile>> {
        let damaged = self.damaged.iter().filter(|d| !d.index_only);
        let files = damaged.filter(|d| &*d.file.table == table);
        files.map(|d| Arc::clone(&d.file)).collect()
    }

    fn lose(&mut self, rows: u64, files: Vec<Arc<DataFile>>) {
        if rows > 0 {
            self.lost.push(Lost { rows, files });
        }
    }

    /// Tables that have to be folded anew: all if the events are others now.
    fn tables(&self) -> Vec<&'static str> {
        let all = FactRows::TABLES.iter().map(|table| table.name);
        if !self.rows_of(LOG).is_empty() {
            return all.collect();
        }
        let damaged: BTreeSet<&str> = self.damaged.iter().map(|d| &*d.file.table).collect();
        all.filter(|name| damaged.contains(name)).collect()
    }

    fn is_checkpoint_damaged(&self, store: &Store) -> bool {
        let version = store.version();
        let is_table = |d: &DamagedFile| version.table(&d.file.table).is_some();
        self.damaged.iter().any(|d| !is_table(d))
    }
}

/// Events that were in these files of the log, from the other places where they may be.
fn events_elsewhere(store: &Store, damaged: &[Arc<DataFile>]) -> Result<Vec<Event>, LiveError> {
    let mut found: HashMap<u64, Event> = HashMap::new();
    let mut take = |event: Event| {
        let id = event_id_hash(&event.tenant_id, &event.source, &event.event_id);
        found.insert(id, event);
    };
    let (flushed, floors) = (store.version().arrived_seq, store.version().floors);
    // The log may hold for a while what was let go on purpose. That is not to come back, but what is
    // as old and was kept, with something newer of its contact or for an open case, is.
    let links = damaged
        .iter()
        .filter_map(|f| store.read_event_links(f).ok());
    let links: Vec<EventLinks> = links.collect();
    let was_held = |event: &Event| event_links(event).any(|l| links.iter().any(|f| f.has(l)));
    // What stands behind damage in the log counts as lost, as everything nobody can read.
    let frames = store.read_kept_wal().ok().flatten().into_iter().flatten();
    for frame in frames.map_while(Result::ok) {
        if frame.kind == Kind::Events {
            let (_, events) = payload::read_events(&frame.payload)?;
            let in_files = flushed.saturating_add(1).saturating_sub(frame.first_seq);
            let events = events.into_iter().take(in_files as usize);
            events
                .filter(|event| !is_before_floor(event, floors) || was_held(event))
                .for_each(&mut take);
        }
    }
    // Later than the log: the fold may have moved their time of receipt.
    store.checkpoint().into_iter().flatten().for_each(take);
    for file in whole_log_files(store, damaged) {
        let near = |event: &Event| file.overlaps(event.occurred_at.0, event.occurred_at.0);
        if found.values().any(near) {
            let ids = store.read_event_ids(&file)?;
            found.retain(|id, _| ids.find(*id).is_none());
        }
    }
    Ok(found.into_values().collect())
}

/// Files of the log that are not damaged, in the order of time.
fn whole_log_files(store: &Store, damaged: &[Arc<DataFile>]) -> Vec<Arc<DataFile>> {
    let damaged: HashSet<&str> = damaged.iter().map(|f| f.path.as_str()).collect();
    let version = store.version();
    let all = version.table(LOG).into_iter().flat_map(|log| &log.files);
    let whole = all.filter(|f| !damaged.contains(f.path.as_str()));
    let mut whole: Vec<Arc<DataFile>> = whole.cloned().collect();
    whole.sort_by_key(|f| f.time_min);
    whole
}

/// Puts in the place of damaged files what can be had, and a row that says what cannot.
///
/// # Errors
/// When the folder cannot be read or written; then nothing has changed.
pub fn repair(store: &Store, found: &Findings, now: UtcMicros) -> Result<Repaired, LiveError> {
    let scratch = store.scratch()?;
    let log = found.rows_of(LOG);
    let tables = found.tables();
    let mut refold = Refold::new(&scratch);
    let folds = !tables.is_empty() || found.is_checkpoint_damaged(store);
    let kept = match folds {
        true => {
            refold.run(store, &whole_log_files(store, &log), &found.recovered)?;
            Vec::new()
        }
        false => store.checkpoint()?,
    };
    let checkpoint: Vec<&Event> = match folds {
        true => refold.folder.checkpoint().collect(),
        false => kept.iter().collect(),
    };
    let dropped = [log, found.rows_of(QUARANTINE)].concat();
    let rows: Vec<QuarantineRow> = found.lost.iter().map(|lost| lost_row(lost, now)).collect();
    store.mend(&Mend {
        rebuilt: &scratch,
        tables: &tables,
        dropped: &dropped,
        events: &refold.recovered,
        quarantine: &rows,
        checkpoint: &checkpoint,
    })?;
    Ok(Repaired {
        rebuilt: tables.iter().map(|name| (*name).to_owned()).collect(),
        recovered: refold.recovered.len() as u64,
    })
}

/// The row that says what is lost, with what the manifest knew of the files.
fn lost_row(lost: &Lost, now: UtcMicros) -> QuarantineRow {
    QuarantineRow {
        tenant_id: events::DEFAULT_TENANT.into(),
        source: "callgauge".into(),
        file: lost.files.first().map(|f| f.path.as_str().into()),
        line: None,
        received_at: now,
        reason: DATA_LOST.into(),
        detail: format!("lost by damage: {lost}").into(),
        raw: serde_json::to_vec(&lost.files).expect("texts and numbers always serialise"),
    }
}

/// Folding the whole log of events again, into another store.
struct Refold<'s> {
    scratch: &'s Store,
    folder: Folder,
    unflushed: usize,
    /// Events that were found elsewhere, with the names of their entities.
    recovered: Vec<StoredEvent>,
}

impl<'s> Refold<'s> {
    fn new(scratch: &'s Store) -> Self {
        Refold {
            scratch,
            folder: Folder::new(FoldSettings::default()),
            unflushed: 0,
            recovered: Vec::new(),
        }
    }

    /// Profiles come first, because a new one restates only what is in memory; corrections come
    /// last, in the order in which they were received, because the fold numbers them by that.
    fn run(
        &mut self,
        store: &Store,
        files: &[Arc<DataFile>],
        recovered: &[Event],
    ) -> Result<(), LiveError> {
        let (mut profiles, mut corrections) = (Vec::new(), Vec::new());
        let mut sort_out = |event: Event| match Order::of(&event) {
            Order::Profile => profiles.push(event),
            Order::Correction => corrections.push(event),
            Order::Other => {}
        };
        for file in files {
            store.read_events(file)?.into_iter().for_each(&mut sort_out);
        }
        recovered.iter().cloned().for_each(sort_out);
        let ids: HashSet<u64> = recovered.iter().map(id_of).collect();
        self.apply(profiles, Order::Profile, &ids)?;
        let others = |events: Vec<Event>| -> Vec<Event> {
            let others = events.into_iter().filter(|e| Order::of(e) == Order::Other);
            others.collect()
        };
        for file in files {
            self.apply(others(store.read_events(file)?), Order::Other, &ids)?;
        }
        self.apply(others(recovered.to_vec()), Order::Other, &ids)?;
        self.apply(corrections, Order::Correction, &ids)?;
        self.flush()
    }

    fn apply(
        &mut self,
        mut events: Vec<Event>,
        order: Order,
        recovered: &HashSet<u64>,
    ) -> Result<(), LiveError> {
        events.sort_by_key(|event| match order {
            Order::Other => event.occurred_at,
            Order::Profile | Order::Correction => event.recorded_at,
        });
        let mut events = events.into_iter().peekable();
        while events.peek().is_some() {
            let chunk: Vec<Event> = events.by_ref().take(CHUNK_EVENTS).collect();
            self.unflushed += chunk.len();
            let recorded_at = chunk.iter().map(|e| e.recorded_at).max();
            let edit = self.folder.apply(chunk, &StoredHistory(self.scratch))?;
            let found = edit
                .events
                .iter()
                .filter(|e| recovered.contains(&id_of(&e.event)));
            self.recovered.extend(found.cloned());
            self.scratch.commit(Commit {
                edit: &edit,
                quarantine: &[],
                checkpoint: None,
                mode: Mode::Memory,
                arrived_seq: None,
                recorded_at: recorded_at.unwrap_or_default(),
            })?;
            if self.unflushed >= FLUSH_EVENTS {
                self.flush()?;
            }
        }
        Ok(())
    }

    fn flush(&mut self) -> Result<(), LiveError> {
        self.unflushed = 0;
        let checkpoint: Vec<&Event> = self.folder.checkpoint().collect();
        Ok(self.scratch.flush_with(None, &checkpoint)?)
    }
}

/// When an event is folded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Order {
    Profile,
    Other,
    Correction,
}

impl Order {
    fn of(event: &Event) -> Self {
        match (profiled(&event.data), &event.correction) {
            (Some(_), _) => Order::Profile,
            (None, Some(_)) => Order::Correction,
            (None, None) => Order::Other,
        }
    }
}

fn id_of(event: &Event) -> u64 {
    event_id_hash(&event.tenant_id, &event.source, &event.event_id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_that_a_profile_is_made_of_is_folded_first() {
        let config = sim::Config {
            days: 1,
            agents: 5,
            ..sim::Config::default()
        };
        let mut seen = BTreeSet::new();
        for event in sim::World::new(&config).expect("a valid configuration") {
            if profiled(&event.data).is_some() {
                assert_eq!(Order::of(&event), Order::Profile, "{event:?}");
                seen.insert(event.data.event_type());
            }
        }
        let known = [
            "agent.capacity_changed",
            "agent.hired",
            "agent.profile_changed",
        ];
        assert_eq!(seen.into_iter().collect::<Vec<_>>(), known);
    }
}
