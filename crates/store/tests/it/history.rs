//! Finding stored events by id and by what they are about.

use std::collections::BTreeSet;

use events::{Event, UtcMicros};
use facts::{FactEdit, Link, LinkKind, StoredEvent, link_hash};
use store::{Mode, Store, content_hash, event_id_hash};

use crate::world::{START, call_events, commit, commit_with, new_calls};

fn link(kind: LinkKind, id: &str) -> u64 {
    link_hash("default", Link { kind, id })
}

fn ids(events: &[Event]) -> BTreeSet<String> {
    events.iter().map(|e| e.event_id.to_string()).collect()
}

/// The halves of one call in two commits, among others.
fn split_call(store: &Store, mode: Mode) {
    let events = call_events(7);
    for half in [&events[..2], &events[2..]] {
        let mut edit = FactEdit::default();
        let entity = half[0].event_id.clone();
        let stored = |e: &Event| StoredEvent {
            event: e.clone().into(),
            entity: entity.clone(),
        };
        edit.events.extend(half.iter().map(stored));
        commit_with(store, &edit, mode, &[]).unwrap();
    }
    commit_with(store, &new_calls(20..40), mode, &[]).unwrap();
}

#[test]
fn an_entity_is_found_whole_by_any_of_its_links() {
    let folder = tempfile::tempdir().unwrap();
    let stores = [
        (Store::in_memory(), Mode::Memory),
        (Store::create_or_open(folder.path()).unwrap(), Mode::Durable),
    ];
    for (store, mode) in stores {
        split_call(&store, mode);
        for link in [
            link(LinkKind::Interaction, "c00007"),
            link(LinkKind::Visit, "c00007.q1"),
        ] {
            let found = store.load_events(&[link]).unwrap();
            assert_eq!(found.len(), 4);
            assert_eq!(ids(&found), ids(&call_events(7)));
        }
        assert_eq!(
            store.load_events(&[link(LinkKind::Leg, "none")]).unwrap(),
            []
        );
        let two = [
            link(LinkKind::Interaction, "c00007"),
            link(LinkKind::Interaction, "c00030"),
        ];
        assert_eq!(store.load_events(&two).unwrap().len(), 8);
    }
}

#[test]
fn a_stored_link_is_never_denied() {
    let folder = tempfile::tempdir().unwrap();
    let known = |store: &Store, calls: std::ops::Range<usize>| {
        calls
            .filter(|call| store.may_know(link(LinkKind::Interaction, &format!("c{call:05}"))))
            .count()
    };
    let store = Store::create_or_open(folder.path()).unwrap();
    assert_eq!(known(&store, 0..3000), 0);
    commit(&store, &new_calls(0..1000)).unwrap();
    commit_with(&store, &new_calls(1000..2000), Mode::Memory, &[]).unwrap();
    commit(&store, &new_calls(2000..3000)).unwrap();
    assert_eq!(known(&store, 0..3000), 3000);
    assert!(known(&store, 3000..6000) < 60);
    drop(store);
    let store = Store::open_read_only(folder.path()).unwrap();
    assert_eq!(known(&store, 0..3000), 3000);
    assert!(known(&store, 3000..6000) < 60);
}

#[test]
fn a_stored_id_is_found_with_its_content() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::create_or_open(folder.path()).unwrap();
    commit(&store, &new_calls(0..100)).unwrap();
    commit_with(&store, &new_calls(100..110), Mode::Memory, &[]).unwrap();
    let check = |store: &Store, calls: std::ops::Range<usize>| {
        let all = store
            .event_ids(UtcMicros(i64::MIN), UtcMicros(i64::MAX))
            .unwrap();
        for event in calls.flat_map(call_events) {
            let id = event_id_hash("default", "pbx", &event.event_id);
            assert_eq!(
                all.find(id),
                Some(content_hash(&event)),
                "{}",
                event.event_id
            );
        }
        assert_eq!(
            all.find(event_id_hash("default", "other", "c00000-1")),
            None
        );
    };
    check(&store, 0..110);
    let before = store.event_ids(UtcMicros(0), UtcMicros(START - 1)).unwrap();
    assert_eq!(
        before.find(event_id_hash("default", "pbx", "c00000-1")),
        None
    );
    drop(store);
    check(&Store::open_read_only(folder.path()).unwrap(), 0..100);
}

#[test]
fn the_content_hash_leaves_out_receipt_and_order_and_takes_in_the_rest() {
    let event = call_events(1).remove(0);
    let hash = content_hash(&event);
    let mut again = event.clone();
    again.recorded_at = UtcMicros(5);
    again.source_seq = Some(9);
    assert_eq!(content_hash(&again), hash);
    let mut other = event.clone();
    other.occurred_at = UtcMicros(5);
    assert_ne!(content_hash(&other), hash);
    let mut other = event.clone();
    other.attributes.insert("x".into(), "y".into());
    assert_ne!(content_hash(&other), hash);
    assert_ne!(content_hash(&call_events(2)[0]), hash);
}
