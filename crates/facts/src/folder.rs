//! Groups a stream of events into entities and keeps the facts of each up to date.
//!
//! What stays in memory is what the next batch probably needs: entities of which something is
//! pending, those of the last two days, the current session of each agent, and all profiles.
//! Everything else comes back through [`History`] when a late event asks for it. Only speed
//! depends on what is in memory, never a row.

mod entities;
mod grouping;

use std::{cmp::Reverse, collections::BinaryHeap, sync::Arc};

use events::{Event, Text, UtcMicros};
use hashbrown::HashMap;
use smol_str::format_smolstr;

use crate::{
    FactEdit, FactRows, FoldContext, FoldSettings, History, HistoryError, NoHistory, Profiles,
    StoredEvent, fold::fold, links, profiles::Changed,
};
use entities::{Entities, Entity, NO_SLOT, Slot};

/// The fold of a whole stream, one batch after the other.
///
/// After an error, or when the edit of a batch could not be stored, the folder is ahead of the
/// store: drop it and [`restore`](Folder::restore) another.
#[derive(Debug)]
pub struct Folder {
    settings: FoldSettings,
    profiles: Profiles,
    entities: Entities,
    /// When entities must be folded again although nothing was said about them.
    due: BinaryHeap<Reverse<(UtcMicros, Slot)>>,
    /// Newest event time seen, and the entity it belongs to.
    horizon: UtcMicros,
    newest: Slot,
    /// `recorded_at` of the latest correction: each later one is recorded after it.
    last_correction: UtcMicros,
    /// Horizon at the last look for entities to drop.
    swept_at: UtcMicros,
}

/// Why a batch could not be folded.
#[derive(Debug, thiserror::Error)]
pub enum FoldError {
    /// Earlier events of an entity could not be loaded.
    #[error(transparent)]
    History(#[from] HistoryError),
}

/// What one batch touches.
#[derive(Debug, Default)]
struct Batch {
    touched: Vec<Slot>,
    /// Entities that became part of another.
    moved: HashMap<Slot, Slot>,
    /// Links of which stored events may exist.
    unknown: Vec<u64>,
}

/// The fact rows of some events, with nothing before them.
///
/// # Panics
/// Never: without a store nothing can fail.
pub fn fold_all(events: Vec<Event>) -> FactRows {
    let mut folder = Folder::new(FoldSettings::default());
    let edit = folder
        .apply(events, &NoHistory)
        .expect("nothing is loaded, so nothing can fail");
    edit.added
}

impl Folder {
    /// A folder that has seen nothing.
    pub fn new(settings: FoldSettings) -> Self {
        Folder {
            settings,
            profiles: Profiles::default(),
            entities: Entities::default(),
            due: BinaryHeap::new(),
            horizon: UtcMicros(i64::MIN),
            newest: NO_SLOT,
            last_correction: UtcMicros(i64::MIN),
            swept_at: UtcMicros(i64::MIN),
        }
    }

    /// A folder that goes on where the one with this checkpoint stopped.
    pub fn restore(settings: FoldSettings, events: impl IntoIterator<Item = Event>) -> Self {
        let mut folder = Folder::new(settings);
        let events: Vec<Arc<Event>> = events.into_iter().map(Arc::new).collect();
        folder.profiles.learn(&events);
        let mut batch = Batch::default();
        for event in &events {
            folder.place(event, &mut batch, &NoHistory);
            if event.correction.is_some() {
                folder.last_correction = folder.last_correction.max(event.recorded_at);
            }
        }
        for slot in batch.touched {
            folder.settle(slot);
        }
        folder.entities.end_batch();
        folder
    }

    /// Folds a batch: says which rows it adds and which it removes. The events may be shared already.
    ///
    /// # Errors
    /// When history cannot be read. The folder must not be used any further then.
    pub fn apply(
        &mut self,
        events: Vec<impl Into<Arc<Event>>>,
        history: &dyn History,
    ) -> Result<FactEdit, FoldError> {
        let events = self.receive(events);
        self.apply_received(events, history)
    }

    fn apply_received(
        &mut self,
        events: Vec<Arc<Event>>,
        history: &dyn History,
    ) -> Result<FactEdit, FoldError> {
        let before = self.profiles.clone_if_any(&events);
        let changed = self.profiles.learn(&events);
        let horizon_before = self.horizon;
        let mut batch = Batch::default();
        let slots: Vec<Slot> = events
            .iter()
            .map(|event| self.place(event, &mut batch, history))
            .collect();
        self.load(&mut batch, history)?;
        self.touch_due(&mut batch);
        self.touch_profiled(&changed, &mut batch);

        let mut edit = FactEdit::default();
        for slot in std::mem::take(&mut batch.touched) {
            let profiles = before.as_ref().unwrap_or(&self.profiles);
            let context = FoldContext {
                settings: &self.settings,
                profiles,
                horizon: horizon_before,
            };
            let old = self.entities.old_rows(slot, &context);
            self.refold(slot, old, &mut edit);
        }
        edit.events = self.named(events, &slots, &batch);
        self.entities.end_batch();
        self.sweep();
        Ok(edit)
    }

    /// What must be kept for [`restore`](Folder::restore): the events of open entities, of the
    /// current session of each agent, and all profile changes.
    pub fn checkpoint(&self) -> impl Iterator<Item = &Event> {
        self.checkpoint_shared().map(|event| &**event)
    }

    /// As [`checkpoint`](Folder::checkpoint), for whoever writes it while the folder goes on.
    pub fn checkpoint_shared(&self) -> impl Iterator<Item = &Arc<Event>> {
        let newest = self.newest;
        let open = self
            .entities
            .iter()
            .flat_map(move |(slot, e)| e.pending(slot == newest));
        open.chain(self.profiles.shared_events())
    }

    /// Forgets entities of which nothing is pending and that have a link for which `goes` holds (a hash
    /// as of [`event_links`](crate::event_links)): what the store knows no more must not be here
    /// either. Of others nothing but speed is lost.
    pub fn forget(&mut self, goes: impl Fn(u64) -> bool) {
        for (_, slot) in self.entities.closed(self.newest) {
            let entity = self.entities.get(slot);
            if entity.is_some_and(|e| e.links.iter().any(|link| goes(*link))) {
                self.entities.drop(slot);
            }
        }
    }

    /// Number of events in memory.
    pub fn kept_events(&self) -> usize {
        self.entities.events
    }

    /// Shares the events, and makes sure that each correction is recorded after the one before,
    /// so that `recorded_at` tells for ever which of two corrections came last.
    fn receive(&mut self, events: Vec<impl Into<Arc<Event>>>) -> Vec<Arc<Event>> {
        let shared = events.into_iter().map(|event| {
            let mut event: Arc<Event> = event.into();
            if event.correction.is_some() {
                let after = UtcMicros(self.last_correction.0.saturating_add(1));
                if event.recorded_at < after {
                    Arc::make_mut(&mut event).recorded_at = after;
                }
                self.last_correction = event.recorded_at;
            }
            event
        });
        shared.collect()
    }

    /// Folds an entity anew; `old` are its rows so far, `None` if it is new.
    fn refold(&mut self, slot: Slot, old: Option<FactRows>, edit: &mut FactEdit) {
        let Some(entity) = self.entities.get_mut(slot) else {
            return;
        };
        entity.absorb();
        let context = FoldContext {
            settings: &self.settings,
            profiles: &self.profiles,
            horizon: self.horizon,
        };
        let events = entity.events.iter().map(|event| &**event);
        let folded = match old {
            None => fold(events, &context, &mut edit.added),
            Some(old) => {
                let mut new = FactRows::default();
                let folded = fold(events, &context, &mut new);
                FactRows::diff(old, new, &mut edit.removed, &mut edit.added);
                folded
            }
        };
        self.entities.note(slot, folded);
        if let Some(at) = folded.deadline {
            self.due.push(Reverse((at, slot)));
        }
    }

    /// Notes about a restored entity what a fold tells, without its rows.
    fn settle(&mut self, slot: Slot) {
        self.refold(slot, None, &mut FactEdit::default());
        if let Some(entity) = self.entities.get_mut(slot) {
            entity.note_restored();
        }
    }

    /// Entities whose deadline the horizon has passed.
    fn touch_due(&mut self, batch: &mut Batch) {
        while let Some(&Reverse((at, slot))) = self.due.peek() {
            if at > self.horizon {
                break;
            }
            self.due.pop();
            if self
                .entities
                .get(slot)
                .is_some_and(|e| e.deadline == Some(at))
            {
                self.touch(slot, batch);
            }
        }
    }

    /// Entities in memory that show the team of an agent whose profile has changed.
    fn touch_profiled(&mut self, changed: &Changed, batch: &mut Batch) {
        if changed.is_empty() {
            return;
        }
        let shows = |e: &Entity| e.events.iter().any(|event| changed.touches(event));
        let slots: Vec<Slot> = self
            .entities
            .iter()
            .filter(|(_, e)| shows(e))
            .map(|(slot, _)| slot)
            .collect();
        for slot in slots {
            self.touch(slot, batch);
        }
    }

    /// The events with the names of their entities.
    fn named(&self, events: Vec<Arc<Event>>, slots: &[Slot], batch: &Batch) -> Vec<StoredEvent> {
        let mut names: HashMap<Slot, Text> = HashMap::new();
        let with_slots = events.into_iter().zip(slots);
        let named = with_slots.map(|(event, slot)| {
            let mut slot = *slot;
            while let Some(to) = batch.moved.get(&slot) {
                slot = *to;
            }
            let entity = match self.entities.get(slot) {
                Some(entity) => names.entry(slot).or_insert_with(|| entity.name()).clone(),
                None => format_smolstr!("{}", links(&event).as_slice()[0]),
            };
            StoredEvent { event, entity }
        });
        named.collect()
    }

    /// Drops entities of which nothing is pending: those that are old, and the oldest while there
    /// are too many.
    fn sweep(&mut self) {
        let keep_ms = self.settings.keep_closed_ms;
        let is_full = self.entities.events > self.settings.max_kept_events;
        let next = UtcMicros(self.swept_at.0.saturating_add(keep_ms.saturating_mul(125)));
        if !is_full && self.horizon < next {
            return;
        }
        self.swept_at = self.horizon;
        let limit = self.horizon.plus_ms(-keep_ms);
        let mut closed = self.entities.closed(self.newest);
        closed.sort_unstable();
        let enough = self.settings.max_kept_events / 4 * 3;
        for (last_at, slot) in closed {
            if last_at > limit && self.entities.events <= enough.max(1) {
                break;
            }
            if last_at <= limit || is_full {
                self.entities.drop(slot);
            }
        }
    }
}
