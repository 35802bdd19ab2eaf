//! Files, locks, other processes.

use std::{fs, path::Path};

use store::{Error, Store};

use crate::world::{commit, contents, new_calls, restated, rows};

fn parquet_files(folder: &Path, table: &str) -> usize {
    fs::read_dir(folder.join("parquet").join(table))
        .unwrap()
        .count()
}

#[test]
fn a_pinned_version_keeps_its_files() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::create_or_open(folder.path()).unwrap();
    commit(&store, &new_calls(0..5)).unwrap();
    let pinned = store.version();
    let before = store.read(&pinned, "queue_visits").unwrap();
    for turn in 1..4 {
        commit(&store, &restated(&[0, 1, 2, 3, 4], turn)).unwrap();
    }
    assert_eq!(store.read(&pinned, "queue_visits").unwrap(), before);
    drop(pinned);
    commit(&store, &restated(&[0], 4)).unwrap();
    let version = store.version();
    assert_eq!(
        parquet_files(folder.path(), "queue_visits"),
        version.table("queue_visits").unwrap().files.len()
    );
}

#[test]
fn only_one_process_writes_and_others_may_read() {
    let folder = tempfile::tempdir().unwrap();
    assert!(matches!(
        Store::open_read_only(folder.path()),
        Err(Error::NoData { .. })
    ));
    let store = Store::create_or_open(folder.path()).unwrap();
    commit(&store, &new_calls(0..5)).unwrap();
    assert!(matches!(
        Store::create_or_open(folder.path()),
        Err(Error::Locked { .. })
    ));

    let reader = Store::open_read_only(folder.path()).unwrap();
    let before = contents(&reader);
    assert_eq!(before, contents(&store));
    assert!(matches!(
        commit(&reader, &new_calls(5..6)),
        Err(Error::ReadOnly)
    ));
    assert!(!reader.refresh().unwrap());

    commit(&store, &restated(&[0, 1, 2, 3, 4], 1)).unwrap();
    commit(&store, &new_calls(5..6)).unwrap();
    assert_eq!(
        contents(&reader),
        before,
        "files that it reads were removed"
    );
    assert!(reader.refresh().unwrap());
    assert_eq!(contents(&reader), contents(&store));
    assert_eq!(reader.version().committed_seq, 3);

    drop(reader);
    commit(&store, &new_calls(6..7)).unwrap();
    let version = store.version();
    assert_eq!(
        parquet_files(folder.path(), "queue_visits"),
        version.table("queue_visits").unwrap().files.len()
    );
}

#[test]
fn a_reader_follows_a_writer_that_begins_a_new_manifest() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::create_or_open(folder.path()).unwrap();
    commit(&store, &new_calls(0..2)).unwrap();
    let reader = Store::open_read_only(folder.path()).unwrap();
    drop(store);
    let store = Store::create_or_open(folder.path()).unwrap();
    assert!(!reader.refresh().unwrap(), "nothing was committed");
    commit(&store, &new_calls(2..3)).unwrap();
    assert!(reader.refresh().unwrap());
    assert_eq!(rows(&reader, "log").len(), 12);
}

#[test]
fn a_file_of_somebody_else_is_reported_and_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::create_or_open(folder.path()).unwrap();
    commit(&store, &new_calls(0..2)).unwrap();
    drop(store);
    let names = [
        "notes.txt",
        "parquet/extra.txt",
        "parquet/queue_visits/mine.parquet",
        "parquet/queue_visits/mine.parquet.tmp",
        "manifest/old.jsonl",
        "checkpoint/x",
    ];
    for name in names {
        fs::write(folder.path().join(name), "x").unwrap();
    }
    let store = Store::create_or_open(folder.path()).unwrap();
    let mut unknown: Vec<_> = store
        .unknown_files()
        .iter()
        .map(|p| {
            p.strip_prefix(folder.path())
                .unwrap()
                .to_str()
                .unwrap()
                .to_owned()
        })
        .collect();
    unknown.sort();
    let mut expected = names.to_vec();
    expected.sort_unstable();
    assert_eq!(unknown, expected);
    // Who only reads sees them too, also beside a writer.
    let reader = Store::open_read_only(folder.path()).unwrap();
    let sorted = |store: &Store| {
        let mut paths = store.unknown_files().to_vec();
        paths.sort();
        paths
    };
    assert_eq!(sorted(&reader), sorted(&store));
    assert!(names.iter().all(|name| folder.path().join(name).exists()));
}

#[test]
fn what_an_unfinished_commit_left_is_removed() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::create_or_open(folder.path()).unwrap();
    commit(&store, &new_calls(0..2)).unwrap();
    let before = contents(&store);
    drop(store);
    let left = [
        "parquet/log/0000000002-0.parquet",
        "parquet/log/0000000002-0.links",
        "parquet/log/0000000001-99.parquet",
        "parquet/legs/0000000002-7.parquet.tmp",
        "checkpoint/0000000002-3.parquet",
        "manifest/manifest-0000000009.jsonl.tmp",
    ];
    for name in left {
        fs::write(folder.path().join(name), "x").unwrap();
    }
    let store = Store::create_or_open(folder.path()).unwrap();
    assert_eq!(contents(&store), before);
    assert!(left.iter().all(|name| !folder.path().join(name).exists()));
    commit(&store, &new_calls(2..3)).unwrap();
}

#[test]
fn files_hold_what_their_description_says() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::create_or_open(folder.path()).unwrap();
    commit(&store, &new_calls(3..8)).unwrap();
    let version = store.version();
    for table in version.tables() {
        for file in &table.files {
            let bytes = fs::read(folder.path().join(&file.path)).unwrap();
            assert_eq!(bytes.len() as u64, file.bytes);
            assert_eq!(blake3::hash(&bytes).to_hex().as_str(), file.blake3);
            assert!(file.footer_bytes > 100 && file.footer_bytes < file.bytes);
            assert_eq!((file.seq_min, file.seq_max), (1, 1));
            assert!(file.time_min.unwrap() >= crate::world::START + 3_000_000);
            assert!(file.time_min <= file.time_max);
        }
    }
    let log = version.table("log").unwrap();
    assert_eq!(log.files[0].rows, 20);
    assert!(log.files[0].links.is_some());
}
