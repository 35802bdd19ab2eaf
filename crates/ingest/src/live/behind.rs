//! What the fold of a replay knows of earlier events, while it is ahead of the store.
//!
//! The store answers for what it has. What was folded and is still on its way there is answered for
//! here, so that the two together are what a store would be that had every commit at once. Something
//! may be seen in both while it arrives, and is never in neither: it leaves this list only when the
//! commit is over.

use std::{
    collections::VecDeque,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use events::Event;
use facts::{History, HistoryError, event_links};
use store::Store;

use super::window::Hashes;

/// See the module.
pub(super) struct Behind<'s> {
    store: &'s Store,
    /// Sequence up to which all commits are over.
    stored: &'s AtomicU64,
    /// Oldest first.
    coming: VecDeque<Coming>,
}

/// Events that were folded together and may not be in the store yet.
pub(super) struct Coming {
    /// Their last sequence.
    pub seq: u64,
    /// Every link of them.
    pub links: Hashes,
    pub events: Vec<Arc<Event>>,
}

impl<'s> Behind<'s> {
    pub fn new(store: &'s Store, stored: &'s AtomicU64) -> Self {
        Behind {
            store,
            stored,
            coming: VecDeque::new(),
        }
    }

    /// These are on their way now.
    pub fn send(&mut self, coming: Coming) {
        self.coming.push_back(coming);
    }

    /// Forgets what has arrived. Not while a chunk is folded: a link that was asked for must stay
    /// known until its events are loaded.
    pub fn settle(&mut self) {
        let stored = self.stored.load(Ordering::Acquire);
        while self.coming.front().is_some_and(|c| c.seq <= stored) {
            self.coming.pop_front();
        }
    }

    /// Events on their way that have one of these links.
    fn coming_with(&self, links: &[u64]) -> Vec<Event> {
        let known = |coming: &&Coming| links.iter().any(|link| coming.links.contains(link));
        let parts: Vec<&Coming> = self.coming.iter().filter(known).collect();
        if parts.is_empty() {
            return Vec::new();
        }
        let links: Hashes = links.iter().copied().collect();
        let has = |event: &&Arc<Event>| event_links(event).any(|link| links.contains(&link));
        let events = parts.into_iter().flat_map(|c| &c.events).filter(has);
        events.map(|event| (**event).clone()).collect()
    }
}

impl History for Behind<'_> {
    fn may_know(&self, link: u64) -> bool {
        let is_coming = |coming: &Coming| coming.links.contains(&link);
        self.coming.iter().any(is_coming) || self.store.may_know(link)
    }

    /// Follows links from the store to what is on its way and back, until there is no new one.
    fn load(&self, links: &[u64]) -> Result<Vec<Event>, HistoryError> {
        let mut asked = Hashes::default();
        let mut next = links.to_vec();
        let (mut found, mut from_both) = (Vec::new(), false);
        loop {
            next.retain(|link| asked.insert(*link));
            if next.is_empty() {
                break;
            }
            let stored = self.store.load_events(&next).map_err(HistoryError::new)?;
            // In the store these have been followed by now.
            let others = stored.iter().flat_map(event_links);
            next.extend(others.filter(|link| asked.insert(*link)));
            found.extend(stored);
            let coming = self.coming_with(&next);
            next = coming.iter().flat_map(event_links).collect();
            from_both |= !coming.is_empty();
            found.extend(coming);
        }
        if from_both {
            let id = |e: &Event| (e.tenant_id.clone(), e.source.clone(), e.event_id.clone());
            found.sort_by_cached_key(id);
            found.dedup_by(|a, b| id(a) == id(b));
        }
        Ok(found)
    }
}

#[cfg(test)]
mod tests {
    use facts::{FactEdit, StoredEvent};
    use store::{Commit, Mode};

    use super::*;

    fn event(id: &str, event_type: &str, data: &str) -> Arc<Event> {
        let line = format!(
            r#"{{"tenant_id":"default","source":"pbx","event_id":"{id}","event_type":"{event_type}",
            "occurred_at":1772413442000000,"data":{{{data}}}}}"#
        );
        let line = line.replace('\n', " ");
        Arc::new(events::decode_own_line(line.as_bytes()).expect("a good line"))
    }

    fn begun() -> Arc<Event> {
        let data = r#""interaction_id":"c1","channel":"voice","direction":"inbound""#;
        event("begun", "interaction.started", data)
    }

    /// Ties the visit to the contact.
    fn entered() -> Arc<Event> {
        let data =
            r#""interaction_id":"c1","visit_id":"v1","queue_id":"q","visit_kind":"customer""#;
        event("entered", "queue.entered", data)
    }

    fn left() -> Arc<Event> {
        let data = r#""visit_id":"v1","reason":"abandoned""#;
        event("left", "queue.left", data)
    }

    fn commit(store: &Store, seq: u64, events: &[Arc<Event>]) {
        let stored = events.iter().map(|event| StoredEvent {
            event: Arc::clone(event),
            entity: event.event_id.clone(),
        });
        let edit = FactEdit {
            events: stored.collect(),
            ..FactEdit::default()
        };
        let commit = Commit {
            edit: &edit,
            quarantine: &[],
            checkpoint: None,
            mode: Mode::Memory,
            arrived_seq: Some(seq),
            recorded_at: events::UtcMicros(1),
        };
        store.commit(commit).expect("a commit in memory");
    }

    fn coming(seq: u64, events: &[Arc<Event>]) -> Coming {
        Coming {
            seq,
            links: events.iter().flat_map(|e| event_links(e)).collect(),
            events: events.to_vec(),
        }
    }

    fn ids(behind: &Behind<'_>, link: u64) -> Vec<String> {
        let found = behind.load(&[link]).expect("a readable store");
        let mut ids: Vec<String> = found.iter().map(|e| e.event_id.to_string()).collect();
        ids.sort();
        ids
    }

    fn last_link(event: &Event) -> u64 {
        event_links(event).last().expect("every event has a link")
    }

    #[test]
    fn links_are_followed_from_the_store_to_what_is_on_its_way_and_back() {
        let (store, stored) = (Store::in_memory(), AtomicU64::new(2));
        commit(&store, 1, &[begun()]);
        commit(&store, 2, &[left()]);
        let visit = last_link(&left());
        let mut behind = Behind::new(&store, &stored);
        assert_eq!(ids(&behind, visit), ["left"]);
        behind.send(coming(3, &[entered()]));
        assert_eq!(ids(&behind, visit), ["begun", "entered", "left"]);
    }

    #[test]
    fn what_is_on_its_way_is_known_before_and_after_it_arrives_and_once() {
        let (store, stored) = (Store::in_memory(), AtomicU64::new(0));
        let mut behind = Behind::new(&store, &stored);
        let visit = last_link(&left());
        assert!(!behind.may_know(visit));
        behind.send(coming(1, &[left()]));
        behind.send(coming(2, &[entered()]));
        // Nothing arrived; it arrived and nobody has said so; it was said.
        for said in [None, Some(0), Some(1)] {
            if let Some(said) = said {
                if said == 0 {
                    commit(&store, 1, &[left()]);
                }
                stored.store(said, Ordering::Release);
            }
            behind.settle();
            assert!(behind.may_know(visit), "{said:?}");
            assert_eq!(ids(&behind, visit), ["entered", "left"], "{said:?}");
        }
        assert_eq!(behind.coming.len(), 1);
    }
}
