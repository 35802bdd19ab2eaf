//! Committing, opening again, replacing rows.

use arrow::{array::AsArray, datatypes::Int64Type};
use events::UtcMicros;
use facts::FactEdit;
use store::{Commit, Error, Mode, QuarantineRow, Store, Version};

use crate::world::{
    START, commit, commit_with, contents, count, interaction, new_calls, restated, rows, texts,
    visit,
};

#[test]
fn a_folder_opened_again_holds_what_was_committed() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::create_or_open(folder.path()).unwrap();
    assert_eq!(
        (store.version().committed_seq, store.version().recorded_at),
        (0, None)
    );
    commit(&store, &new_calls(0..10)).unwrap();
    commit(&store, &restated(&[3, 4], 1)).unwrap();
    let done = commit(&store, &new_calls(10..20)).unwrap();
    assert_eq!((done.seq, done.durable), (3, true));
    let before = contents(&store);
    assert_eq!(
        (before["log"].len(), before["queue_visits"].len()),
        (80, 20)
    );
    drop(store);
    for _ in 0..3 {
        let store = Store::create_or_open(folder.path()).unwrap();
        assert_eq!(contents(&store), before);
        assert_eq!(store.version().committed_seq, 3);
        assert_eq!(store.verify().unwrap().len(), 0);
    }
}

#[test]
fn a_replaced_row_is_in_no_file_that_counts() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::create_or_open(folder.path()).unwrap();
    for batch in 0..4 {
        commit(&store, &new_calls(batch * 10..batch * 10 + 10)).unwrap();
    }
    commit(&store, &restated(&[0, 15, 39], 1)).unwrap();
    commit(&store, &restated(&[15], 2)).unwrap();
    let version = store.version();
    let batches = store.read(&version, "queue_visits").unwrap();
    let mut revisions = Vec::new();
    for batch in &batches {
        let rev = batch
            .column_by_name("fact_rev")
            .unwrap()
            .as_primitive::<Int64Type>();
        let seq = batch
            .column_by_name("_seq")
            .unwrap()
            .as_primitive::<Int64Type>();
        for (row, visit) in texts(batch, "visit_id").into_iter().enumerate() {
            revisions.push((visit.unwrap(), rev.value(row), seq.value(row)));
        }
    }
    revisions.sort();
    assert_eq!(revisions.len(), 40);
    assert_eq!(revisions[0], ("c00000.q1".into(), 2, 5));
    assert_eq!(revisions[15], ("c00015.q1".into(), 3, 6));
    assert_eq!(revisions[16], ("c00016.q1".into(), 1, 2));
    assert_eq!(store.verify().unwrap().len(), 0);
}

#[test]
fn a_row_that_vanishes_leaves_no_trace() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::create_or_open(folder.path()).unwrap();
    commit(&store, &new_calls(0..1)).unwrap();
    let mut edit = FactEdit::default();
    edit.removed.QueueVisit.push(visit(0, 1));
    commit(&store, &edit).unwrap();
    assert_eq!(
        (count(&store, "queue_visits"), count(&store, "interactions")),
        (0, 1)
    );
    drop(store);
    let store = Store::create_or_open(folder.path()).unwrap();
    assert_eq!(
        (count(&store, "queue_visits"), count(&store, "interactions")),
        (0, 1)
    );
}

#[test]
fn replacing_a_row_that_is_not_there_changes_nothing_and_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::create_or_open(folder.path()).unwrap();
    commit(&store, &new_calls(0..3)).unwrap();
    let before = contents(&store);
    let error = commit(&store, &restated(&[2, 7], 1)).unwrap_err();
    assert!(matches!(error, Error::Inconsistent { .. }), "{error}");
    assert_eq!(contents(&store), before);
    assert_eq!(commit(&store, &new_calls(3..4)).unwrap().seq, 2);
}

#[test]
fn two_rows_with_one_key_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::create_or_open(folder.path()).unwrap();
    let mut edit = FactEdit::default();
    edit.added
        .Interaction
        .extend([interaction(1, 1), interaction(1, 1)]);
    let error = commit(&store, &edit).unwrap_err();
    assert!(error.to_string().contains("c00001"), "{error}");
    assert_eq!(count(&store, "interactions"), 0);
}

#[test]
fn an_empty_commit_writes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::create_or_open(folder.path()).unwrap();
    commit(&store, &new_calls(0..1)).unwrap();
    assert_eq!(commit(&store, &FactEdit::default()).unwrap().seq, 1);
    assert_eq!(store.version().committed_seq, 1);
}

#[test]
fn rejected_lines_are_kept_byte_for_byte() {
    let row = |raw: &[u8], line: Option<i64>| QuarantineRow {
        tenant_id: "default".into(),
        source: "pbx".into(),
        file: line.map(|_| "a.ndjson".into()),
        line,
        received_at: UtcMicros(START),
        reason: "bad_json".into(),
        detail: "expected a comma".into(),
        raw: raw.to_vec(),
    };
    let quarantine = [
        row("{\"队列\":".as_bytes(), Some(7)),
        row(b"\xff\x00x", None),
    ];
    let folder = tempfile::tempdir().unwrap();
    let store = Store::create_or_open(folder.path()).unwrap();
    let edit = FactEdit::default();
    let (checkpoint, mode, recorded_at) = (&[][..], Mode::Durable, UtcMicros(START));
    store
        .commit(Commit {
            edit: &edit,
            quarantine: &quarantine,
            checkpoint: Some(checkpoint),
            arrived_seq: None,
            mode,
            recorded_at,
        })
        .unwrap();
    drop(store);
    let store = Store::open_read_only(folder.path()).unwrap();
    let batch = &store.read(&store.version(), "quarantine").unwrap()[0];
    let some = |text: &str| Some(text.to_owned());
    assert_eq!(texts(batch, "raw"), [some("{\"队列\":"), some("ff0078")]);
    assert_eq!(texts(batch, "raw_encoding"), [some("utf8"), some("hex")]);
    assert_eq!(texts(batch, "file"), [some("a.ndjson"), None]);
    assert_eq!(store.quarantine(None).unwrap(), quarantine);
    assert_eq!(store.quarantine(Some("a.ndjson")).unwrap(), quarantine[..1]);
    assert_eq!(store.version().recorded_at, Some(UtcMicros(START)));
}

#[test]
fn the_checkpoint_comes_back_and_replaces_the_one_before() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::create_or_open(folder.path()).unwrap();
    assert!(store.checkpoint().unwrap().is_empty());
    for call in 0..3 {
        let edit = new_calls(call..call + 1);
        let open = crate::world::call_events(call);
        let open: Vec<&events::Event> = open.iter().collect();
        commit_with(&store, &edit, Mode::Durable, &open).unwrap();
    }
    drop(store);
    let store = Store::create_or_open(folder.path()).unwrap();
    assert_eq!(store.checkpoint().unwrap(), crate::world::call_events(2));
    assert_eq!(
        std::fs::read_dir(folder.path().join("checkpoint"))
            .unwrap()
            .count(),
        1
    );
    commit(&store, &new_calls(3..4)).unwrap();
    assert!(store.checkpoint().unwrap().is_empty());
}

#[test]
fn rows_of_open_entities_are_kept_apart_and_move_when_they_close() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::create_or_open(folder.path()).unwrap();
    let open = crate::world::call_events(5);
    let open: Vec<&events::Event> = open.iter().collect();
    commit_with(&store, &new_calls(0..10), Mode::Durable, &open).unwrap();
    let hot = |store: &Store| {
        let version = store.version();
        let files = version.table("queue_visits").unwrap().files.clone();
        files.iter().map(|f| (f.hot, f.rows)).collect::<Vec<_>>()
    };
    assert_eq!(hot(&store), [(false, 9), (true, 1)]);
    commit_with(&store, &restated(&[5], 1), Mode::Durable, &open).unwrap();
    assert_eq!(hot(&store), [(false, 9), (true, 1)]);
    commit(&store, &restated(&[5], 2)).unwrap();
    assert_eq!(hot(&store), [(false, 9), (false, 1)]);
}

#[test]
fn small_files_are_put_together_without_changing_a_row() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::create_or_open(folder.path()).unwrap();
    for batch in 0..12 {
        commit(&store, &new_calls(batch * 5..batch * 5 + 5)).unwrap();
    }
    let before = contents(&store);
    assert_eq!(store.compact(2).unwrap(), 36);
    assert_eq!(store.compact(2).unwrap(), 0);
    let files = |store: &Store| store.version().table("queue_visits").unwrap().files.len();
    assert_eq!(files(&store), 1);
    assert_eq!(contents(&store), before);
    assert_eq!(store.verify().unwrap().len(), 0);
    commit(&store, &restated(&[0, 59], 1)).unwrap();
    let after = contents(&store);
    drop(store);
    let store = Store::create_or_open(folder.path()).unwrap();
    assert_eq!(contents(&store), after);
}

#[test]
fn a_long_manifest_begins_anew_and_says_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::create_or_open(folder.path()).unwrap();
    commit(&store, &new_calls(0..2)).unwrap();
    for turn in 0..130 {
        commit(&store, &restated(&[0], 1 + turn)).unwrap();
    }
    let name = |entry: std::io::Result<std::fs::DirEntry>| entry.unwrap().file_name();
    let manifests: Vec<_> = std::fs::read_dir(folder.path().join("manifest"))
        .unwrap()
        .map(name)
        .collect();
    assert_eq!(manifests, ["manifest-0000000002.jsonl"]);
    let before = rows(&store, "queue_visits");
    drop(store);
    let store = Store::create_or_open(folder.path()).unwrap();
    assert_eq!(rows(&store, "queue_visits"), before);
    assert_eq!(store.version().committed_seq, 131);
}

#[test]
fn a_version_can_be_made_of_batches_alone() {
    let batch = store::batch(&[visit(1, 1)], 1).unwrap();
    let version = Version::from_batches([("queue_visits".to_owned(), vec![batch])].into());
    let table = version.table("queue_visits").unwrap();
    assert_eq!(
        (table.rows(), table.time.as_deref()),
        (1, Some("entered_at"))
    );
    assert_eq!(version.table("legs").unwrap().rows(), 0);
}
