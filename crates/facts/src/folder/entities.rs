//! The entities in memory.

use std::sync::Arc;

use events::{Event, Text, UtcMicros};
use smol_str::format_smolstr;

use crate::{
    FactRows, FoldContext, Link, LinkKind,
    fold::{Folded, fold},
    hash::LinkMap,
};

/// Place of an entity in memory.
pub(super) type Slot = u32;

/// No entity: the event makes no facts.
pub(super) const NO_SLOT: Slot = Slot::MAX;

/// One entity: its events and what the last fold said about it.
#[derive(Debug, Default)]
pub(super) struct Entity {
    /// Events that have been folded.
    pub events: Vec<Arc<Event>>,
    /// Where events begin that were folded apart from those before them.
    pub parts: Vec<usize>,
    /// Events of this batch.
    pub fresh: Vec<Arc<Event>>,
    pub links: Vec<u64>,
    /// The least of its links: its name.
    name: Option<(LinkKind, Text)>,
    pub deadline: Option<UtcMicros>,
    pub last_at: UtcMicros,
    /// How many of its events are in the count of all.
    counted: usize,
    /// The batch that last touched it.
    pub touched: u64,
    /// Events up to here are no longer in memory.
    pub trimmed: Option<UtcMicros>,
    /// From here on its events suffice, if it is an agent.
    resume: Option<UtcMicros>,
}

impl Entity {
    pub fn is_agent(&self) -> bool {
        self.name
            .as_ref()
            .is_some_and(|(kind, _)| *kind == LinkKind::Agent)
    }

    pub fn name(&self) -> Text {
        let known = |(kind, id): &(LinkKind, Text)| format_smolstr!("{}", Link { kind: *kind, id });
        self.name.as_ref().map(known).unwrap_or_default()
    }

    pub fn offer_name(&mut self, link: Link<'_>) {
        let smaller = |(kind, id): &(LinkKind, Text)| (link.kind, link.id) < (*kind, id.as_str());
        if self.name.as_ref().is_none_or(smaller) {
            self.name = Some((link.kind, Text::from(link.id)));
        }
    }

    /// The fresh events become folded ones.
    pub fn absorb(&mut self) {
        self.parts.clear();
        if self.events.is_empty() {
            self.events = std::mem::take(&mut self.fresh);
            self.events.shrink_to_fit();
        } else {
            self.events.append(&mut self.fresh);
        }
    }

    /// Takes in everything of another entity; both stay apart for [`Entities::old_rows`].
    pub fn take(&mut self, other: Entity) {
        self.add_part(other.events, &other.parts);
        self.fresh.extend(other.fresh);
        self.links.extend(other.links);
        self.counted += other.counted;
        self.last_at = self.last_at.max(other.last_at);
        self.trimmed = self.trimmed.max(other.trimmed);
        if let Some((kind, id)) = &other.name {
            self.offer_name(Link { kind: *kind, id });
        }
    }

    /// Adds events that were folded together, or in these parts.
    pub fn add_part(&mut self, events: Vec<Arc<Event>>, parts: &[usize]) {
        let start = self.events.len();
        if start > 0 && !events.is_empty() {
            self.parts.push(start);
        }
        self.parts.extend(parts.iter().map(|at| start + at));
        self.events.extend(events);
    }

    /// Puts back the trimmed events of an agent.
    pub fn untrim(&mut self, mut events: Vec<Arc<Event>>) {
        events.append(&mut self.events);
        events.sort_by(|a, b| (&a.source, &a.event_id).cmp(&(&b.source, &b.event_id)));
        events.dedup_by(|a, b| a.source == b.source && a.event_id == b.event_id);
        self.events = events;
        self.trimmed = None;
    }

    pub fn note_restored(&mut self) {
        if self.is_agent() {
            self.trimmed = self.events.iter().map(|e| e.occurred_at).min();
        }
    }

    /// Lets go what is settled about an agent.
    fn note_settled(&mut self, folded: Folded) {
        self.resume = folded.agent.now.filter(|at| self.splits_at(*at));
        let oldest = self.events.iter().map(|e| e.occurred_at).min();
        let cut = folded
            .agent
            .long_ago
            .filter(|at| Some(*at) > oldest && self.splits_at(*at));
        if let Some(cut) = cut {
            self.events.retain(|e| e.occurred_at >= cut);
            self.trimmed = Some(cut);
        }
    }

    /// The events that a restored folder needs.
    pub fn pending(&self, is_newest: bool) -> impl Iterator<Item = &Arc<Event>> {
        let is_pending = self.deadline.is_some() || is_newest || self.is_agent();
        let from = self.resume.filter(|_| self.is_agent());
        let kept = self.events.iter().filter(move |_| is_pending);
        kept.filter(move |e| from.is_none_or(|from| e.occurred_at >= from))
    }

    /// Are all corrections on the same side of a moment as what they correct?
    fn splits_at(&self, at: UtcMicros) -> bool {
        let corrected = self
            .events
            .iter()
            .filter_map(|e| Some((e, e.correction.as_ref()?)));
        corrected.into_iter().all(|(event, correction)| {
            let is_target =
                |e: &&Arc<Event>| e.event_id == correction.of && e.source == event.source;
            let target = self.events.iter().find(is_target);
            target.is_some_and(|t| (t.occurred_at < at) == (event.occurred_at < at))
        })
    }
}

/// All entities in memory, found by link.
#[derive(Debug, Default)]
pub(super) struct Entities {
    slots: Vec<Option<Entity>>,
    free: Vec<Slot>,
    /// Slots that become free with the end of the batch.
    freed: Vec<Slot>,
    pub by_link: LinkMap<Slot>,
    /// Number of folded events.
    pub events: usize,
    pub batch: u64,
}

impl Entities {
    pub fn get(&self, slot: Slot) -> Option<&Entity> {
        self.slots.get(slot as usize)?.as_ref()
    }

    pub fn get_mut(&mut self, slot: Slot) -> Option<&mut Entity> {
        self.slots.get_mut(slot as usize)?.as_mut()
    }

    pub fn iter(&self) -> impl Iterator<Item = (Slot, &Entity)> {
        self.slots
            .iter()
            .zip(0..)
            .filter_map(|(entity, slot)| Some((slot, entity.as_ref()?)))
    }

    pub fn create(&mut self) -> Slot {
        if let Some(slot) = self.free.pop() {
            self.slots[slot as usize] = Some(Entity::default());
            return slot;
        }
        self.slots.push(Some(Entity::default()));
        Slot::try_from(self.slots.len() - 1).expect("entities in memory are counted in thousands")
    }

    /// Makes two entities one. Returns the slot that goes on and the one that does not.
    pub fn merge(&mut self, a: Slot, b: Slot) -> (Slot, Slot) {
        let size = |e: Option<&Entity>| e.map_or(0, |e| e.events.len() + e.fresh.len());
        let (to, from) = if size(self.get(a)) < size(self.get(b)) {
            (b, a)
        } else {
            (a, b)
        };
        if let Some(moved) = self.slots[from as usize].take() {
            for link in &moved.links {
                self.by_link.insert(*link, to);
            }
            if let Some(target) = self.get_mut(to) {
                target.take(moved);
            }
            self.freed.push(from);
        }
        (to, from)
    }

    /// The rows of an entity before this batch; `None` if there was nothing of it.
    pub fn old_rows(&mut self, slot: Slot, context: &FoldContext<'_>) -> Option<FactRows> {
        let entity = self.get_mut(slot)?;
        if entity.events.is_empty() {
            return None;
        }
        let mut rows = FactRows::default();
        let ends = entity.parts.iter().copied().chain([entity.events.len()]);
        let mut start = 0;
        for end in ends {
            let part = &entity.events[start..end];
            fold(part.iter().map(|event| &**event), context, &mut rows);
            start = end;
        }
        Some(rows)
    }

    /// Keeps what a fold found.
    pub fn note(&mut self, slot: Slot, folded: Folded) {
        let Some(entity) = self.slots[slot as usize].as_mut() else {
            return;
        };
        entity.deadline = folded.deadline;
        if entity.is_agent() {
            entity.note_settled(folded);
        }
        self.events = self.events + entity.events.len() - entity.counted;
        entity.counted = entity.events.len();
    }

    /// Slots of merged entities may be used again.
    pub fn end_batch(&mut self) {
        self.free.append(&mut self.freed);
        self.batch += 1;
    }

    /// Entities of which nothing is pending, with the time of their newest event.
    pub fn closed(&self, newest: Slot) -> Vec<(UtcMicros, Slot)> {
        let is_closed = |e: &Entity, slot| e.deadline.is_none() && !e.is_agent() && slot != newest;
        let closed = self.iter().filter(|(slot, e)| is_closed(e, *slot));
        closed.map(|(slot, e)| (e.last_at, slot)).collect()
    }

    pub fn drop(&mut self, slot: Slot) {
        let Some(entity) = self.slots[slot as usize].take() else {
            return;
        };
        for link in &entity.links {
            self.by_link.remove(link);
        }
        self.events -= entity.counted;
        self.free.push(slot);
    }
}
