//! Which entity an event belongs to.

use std::sync::Arc;

use events::Event;

use super::{Batch, FoldError, Folder, NO_SLOT, Slot};
use crate::{
    History, event_links, link_hash,
    links::{components, links},
};

impl Folder {
    /// Finds or makes the entity of a new event, and joins entities that it ties together.
    pub(super) fn place(
        &mut self,
        event: &Arc<Event>,
        batch: &mut Batch,
        history: &dyn History,
    ) -> Slot {
        let links = links(event);
        let kind = links.as_slice()[0].kind;
        if !kind.is_folded() {
            return NO_SLOT;
        }
        let mut slot = NO_SLOT;
        let mut hashes = [0; 4];
        for (link, hash) in links.into_iter().zip(&mut hashes) {
            *hash = link_hash(&event.tenant_id, link);
            if let Some(&found) = self.entities.by_link.get(hash) {
                slot = self.join(slot, found, batch);
            }
        }
        if slot == NO_SLOT {
            slot = self.entities.create();
        }
        for (link, hash) in links.into_iter().zip(hashes) {
            if let hashbrown::hash_map::Entry::Vacant(free) = self.entities.by_link.entry(hash) {
                free.insert(slot);
                if let Some(entity) = self.entities.get_mut(slot) {
                    entity.links.push(hash);
                    entity.offer_name(link);
                }
                if history.may_know(hash) {
                    batch.unknown.push(hash);
                }
            }
        }
        if kind.tells_time() && (event.occurred_at > self.horizon || self.newest == NO_SLOT) {
            self.horizon = self.horizon.max(event.occurred_at);
            self.newest = slot;
        }
        self.add(event, slot, hashes[0], batch);
        slot
    }

    fn add(&mut self, event: &Arc<Event>, slot: Slot, link: u64, batch: &mut Batch) {
        self.touch(slot, batch);
        let Some(entity) = self.entities.get_mut(slot) else {
            return;
        };
        entity.last_at = entity.last_at.max(event.occurred_at);
        entity.fresh.push(Arc::clone(event));
        let is_late = entity.trimmed.is_some_and(|at| event.occurred_at <= at);
        let may_be_late = entity.trimmed.is_some() && event.correction.is_some();
        if is_late || may_be_late {
            batch.unknown.push(link);
        }
    }

    /// One entity out of two, if they are two.
    fn join(&mut self, slot: Slot, found: Slot, batch: &mut Batch) -> Slot {
        if slot == NO_SLOT || slot == found {
            return found;
        }
        let (to, from) = self.entities.merge(slot, found);
        batch.moved.insert(from, to);
        if self.newest == from {
            self.newest = to;
        }
        self.touch(to, batch);
        to
    }

    /// Marks an entity to be folded at the end of the batch.
    pub(super) fn touch(&mut self, slot: Slot, batch: &mut Batch) {
        let now = self.entities.batch + 1;
        if let Some(entity) = self.entities.get_mut(slot)
            && entity.touched != now
        {
            entity.touched = now;
            batch.touched.push(slot);
        }
    }

    /// Brings back the stored events of the entities that new events belong to.
    pub(super) fn load(
        &mut self,
        batch: &mut Batch,
        history: &dyn History,
    ) -> Result<(), FoldError> {
        if batch.unknown.is_empty() {
            return Ok(());
        }
        batch.unknown.sort_unstable();
        batch.unknown.dedup();
        let events = history.load(&batch.unknown)?;
        let events = events
            .into_iter()
            .filter(|e| links(e).as_slice()[0].kind.is_folded());
        for part in components(events.map(Arc::new).collect(), |event| event) {
            self.add_stored(part, batch);
        }
        Ok(())
    }

    /// Adds events that were folded together before.
    fn add_stored(&mut self, part: Vec<Arc<Event>>, batch: &mut Batch) {
        let mut slot = NO_SLOT;
        for hash in part.iter().flat_map(|event| event_links(event)) {
            if let Some(&found) = self.entities.by_link.get(&hash) {
                slot = self.join(slot, found, batch);
            }
        }
        if slot == NO_SLOT {
            return;
        }
        for event in &part {
            for link in links(event) {
                let hash = link_hash(&event.tenant_id, link);
                if let hashbrown::hash_map::Entry::Vacant(free) = self.entities.by_link.entry(hash)
                {
                    free.insert(slot);
                    if let Some(entity) = self.entities.get_mut(slot) {
                        entity.links.push(hash);
                        entity.offer_name(link);
                    }
                }
            }
        }
        self.touch(slot, batch);
        let Some(entity) = self.entities.get_mut(slot) else {
            return;
        };
        let newest = part.iter().map(|e| e.occurred_at).max();
        entity.last_at = entity.last_at.max(newest.unwrap_or(entity.last_at));
        if entity.trimmed.is_some() {
            entity.untrim(part);
        } else {
            entity.add_part(part, &[]);
        }
    }
}
