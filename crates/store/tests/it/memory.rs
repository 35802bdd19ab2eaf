//! Rows that are not in a file yet.

use store::{Mode, Store};

use crate::world::{call_events, commit, commit_with, contents, count, new_calls, restated, rows};

/// The same edits, in this mode each.
fn apply(store: &Store, mode: impl Fn(usize) -> Mode) {
    let edits = [
        new_calls(0..10),
        restated(&[1, 2], 1),
        new_calls(10..15),
        restated(&[2, 12], 2).clone(),
        new_calls(15..16),
    ];
    for (number, mut edit) in edits.into_iter().enumerate() {
        if number == 3 {
            // Call 12 is at its first revision.
            edit = restated(&[12], 1);
        }
        commit_with(store, &edit, mode(number), &[]).unwrap();
    }
}

#[test]
fn memory_and_files_read_as_one_table_in_every_mix() {
    let expected = {
        let store = Store::in_memory();
        apply(&store, |_| Mode::Durable);
        contents(&store)
    };
    assert_eq!(expected["log"].len(), 64);
    for mask in 0..32usize {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::create_or_open(folder.path()).unwrap();
        apply(&store, |n| {
            if mask >> n & 1 == 1 {
                Mode::Memory
            } else {
                Mode::Durable
            }
        });
        assert_eq!(contents(&store), expected, "mask {mask:05b}");
        store.flush().unwrap();
        assert_eq!(contents(&store), expected, "flushed, mask {mask:05b}");
        drop(store);
        let store = Store::create_or_open(folder.path()).unwrap();
        assert_eq!(contents(&store), expected, "opened, mask {mask:05b}");
        assert_eq!(store.version().committed_seq, 5);
        assert_eq!(store.verify().unwrap().len(), 0);
    }
}

#[test]
fn what_was_only_in_memory_is_gone_and_the_rest_is_whole() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::create_or_open(folder.path()).unwrap();
    commit(&store, &new_calls(0..3)).unwrap();
    let before = contents(&store);
    let done = commit_with(&store, &restated(&[1], 1), Mode::Memory, &[]).unwrap();
    assert!(!done.durable);
    assert_ne!(contents(&store), before);
    drop(store);
    let store = Store::create_or_open(folder.path()).unwrap();
    assert_eq!(contents(&store), before);
}

#[test]
fn a_checkpoint_in_memory_is_written_by_the_flush() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::create_or_open(folder.path()).unwrap();
    let events = call_events(1);
    let open: Vec<&events::Event> = events.iter().collect();
    commit_with(&store, &new_calls(0..2), Mode::Memory, &open).unwrap();
    assert_eq!(store.checkpoint().unwrap(), events);
    store.flush().unwrap();
    drop(store);
    let store = Store::create_or_open(folder.path()).unwrap();
    assert_eq!(store.checkpoint().unwrap(), events);
}

#[test]
fn many_small_commits_in_memory_do_not_make_many_batches() {
    let store = Store::in_memory();
    for call in 0..200 {
        let done = commit_with(&store, &new_calls(call..call + 1), Mode::Memory, &[]).unwrap();
        // However the batches were put together, the ids of the newest commit are told.
        let mut told = std::collections::HashSet::new();
        let behind = store.ids_behind(done.seq - 1, |id, _| {
            told.insert(id);
        });
        behind.unwrap();
        let ids = call_events(call);
        let mut ids = ids
            .iter()
            .map(|e| store::event_id_hash(&e.tenant_id, &e.source, &e.event_id));
        assert!(ids.all(|id| told.contains(&id)), "call {call}");
    }
    assert_eq!(count(&store, "queue_visits"), 200);
    assert!(store.version().table("queue_visits").unwrap().memory.len() <= 64);
    assert_eq!(rows(&store, "log").len(), 800);
}

#[test]
fn a_link_is_known_however_many_have_come_since_and_nothing_is_in_a_file() {
    let store = Store::in_memory();
    assert!(!store.may_know(1), "the index is loaded");
    for call in (0..3_000).step_by(100) {
        commit_with(&store, &new_calls(call..call + 100), Mode::Memory, &[]).unwrap();
    }
    let forgotten = (0..3_000).find(|call| {
        let events = call_events(*call);
        let mut links = events.iter().flat_map(facts::event_links);
        links.any(|link| !store.may_know(link))
    });
    assert_eq!(forgotten, None);
}
