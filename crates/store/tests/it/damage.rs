//! Damage is found and named; what was never finished is cut.

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use events::UtcMicros;
use object_store::{ObjectStoreExt, path::Path as ObjectPath};
use store::{Error, Mend, Scrub, Scrubbed, Store};

use crate::world::{commit, contents, count, new_calls};

fn folder_with_commits() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::create_or_open(folder.path()).unwrap();
    for call in 0..3 {
        commit(&store, &new_calls(call..call + 1)).unwrap();
    }
    folder
}

fn manifest(folder: &Path) -> PathBuf {
    let mut files: Vec<_> = fs::read_dir(folder.join("manifest"))
        .unwrap()
        .map(|e| e.unwrap().path())
        .collect();
    files.sort();
    files.pop().unwrap()
}

#[test]
fn a_torn_last_line_of_the_manifest_is_cut() {
    let folder = folder_with_commits();
    let path = manifest(folder.path());
    let bytes = fs::read(&path).unwrap();
    fs::write(&path, &bytes[..bytes.len() - 20]).unwrap();
    let reader = Store::open_read_only(folder.path()).unwrap();
    assert_eq!(count(&reader, "interactions"), 2);
    drop(reader);
    let store = Store::create_or_open(folder.path()).unwrap();
    assert_eq!(
        (store.version().committed_seq, count(&store, "interactions")),
        (2, 2)
    );
    commit(&store, &new_calls(5..6)).unwrap();
    assert_eq!(store.version().committed_seq, 3);
    assert!(store.verify().unwrap().is_empty());
}

#[test]
fn a_manifest_that_lost_lines_is_not_opened() {
    let folder = folder_with_commits();
    let path = manifest(folder.path());
    let bytes = fs::read(&path).unwrap();
    let lines: Vec<&[u8]> = bytes.split_inclusive(|b| *b == b'\n').collect();
    fs::write(&path, lines[..lines.len() - 2].concat()).unwrap();
    let error = Store::create_or_open(folder.path()).unwrap_err();
    assert!(error.to_string().contains("lines are missing"), "{error}");
    // Nothing was removed by looking.
    fs::write(&path, &bytes).unwrap();
    assert_eq!(
        count(
            &Store::create_or_open(folder.path()).unwrap(),
            "interactions"
        ),
        3
    );
}

#[test]
fn a_changed_byte_in_the_manifest_names_the_line() {
    let folder = folder_with_commits();
    let path = manifest(folder.path());
    let mut bytes = fs::read(&path).unwrap();
    let second = bytes.iter().position(|b| *b == b'\n').unwrap() + 30;
    bytes[second] ^= 1;
    fs::write(&path, &bytes).unwrap();
    for opened in [
        Store::create_or_open(folder.path()),
        Store::open_read_only(folder.path()),
    ] {
        let error = opened.unwrap_err().to_string();
        assert!(
            error.contains("line 2") && error.contains("restore"),
            "{error}"
        );
    }
}

#[test]
fn a_lost_or_cut_data_file_is_quarantined_and_the_others_go_on() {
    let folder = folder_with_commits();
    let path = folder.path().join("parquet/queue_visits");
    let file = fs::read_dir(path).unwrap().next().unwrap().unwrap().path();
    let bytes = fs::read(&file).unwrap();
    let damaged_and_the_rest = || {
        let store = Store::create_or_open(folder.path()).unwrap();
        let version = store.version();
        let damaged = store.damaged();
        assert_eq!((damaged.len(), store.damaged_files()), (1, 1));
        assert_eq!(folder.path().join(&damaged[0].file.path), file);
        let error = store.read(&version, "queue_visits").unwrap_err();
        assert!(matches!(&error, Error::Damaged { path, .. } if *path == file));
        assert_eq!(store.read(&version, "log").unwrap().len(), 3);
        // Nothing is put together with it, and the others can be.
        assert_eq!(store.compact(2).unwrap(), 8);
        error.to_string()
    };
    fs::write(&file, &bytes[..bytes.len() - 1]).unwrap();
    let error = damaged_and_the_rest();
    assert!(error.contains("callgauge repair"), "{error}");
    fs::remove_file(&file).unwrap();
    let store = Store::create_or_open(folder.path()).unwrap();
    let version = store.version();
    let error = store.read(&version, "queue_visits").unwrap_err();
    assert!(error.to_string().contains("not there"), "{error}");
    fs::write(&file, &bytes).unwrap();
    assert!(store.read(&version, "queue_visits").is_err(), "still so");
    assert!(store.verify().unwrap().is_empty(), "a copy is back");
    assert_eq!(store.damaged_files(), 0);
    assert_eq!(contents(&store)["queue_visits"].len(), 3);
}

#[test]
fn the_scrub_finds_damage_that_nobody_asked_about_within_its_period() {
    const HOUR: i64 = 3_600_000_000;
    let folder = folder_with_commits();
    let store = Store::create_or_open(folder.path()).unwrap();
    // Read once, so that its hash was compared, and then damaged.
    let before = contents(&store);
    let version = store.version();
    let file = &version.table("interactions").unwrap().files[1];
    let path = folder.path().join(&file.path);
    let good = fs::read(&path).unwrap();
    let mut bad = good.clone();
    bad[good.len() / 2] ^= 1;
    fs::write(&path, &bad).unwrap();
    let mut scrub = Scrub::new(Duration::from_secs(12 * 3_600));
    // The clock goes, is set back by an hour, and goes on.
    let start = crate::world::START;
    let times = (0..360).map(|m| m * HOUR / 60);
    let later = (300..1_500).map(|m| m * HOUR / 60);
    let mut found = [0; 3];
    for at in times.chain(later) {
        let mut at_once = 0;
        while let Some(step) = scrub.step(&store, UtcMicros(start + at)) {
            match step {
                Scrubbed::Whole => found[0] += 1,
                Scrubbed::Damaged(_) => found[1] += 1,
                Scrubbed::Unreadable(_) => found[2] += 1,
            }
            at_once += 1;
        }
        assert!(at_once <= 3, "{at_once} files in one minute");
    }
    let all = version.tables().flat_map(|t| &t.files);
    let all: usize = all.map(|f| 1 + usize::from(f.links.is_some())).sum();
    assert!(
        found[0] >= 2 * (all - 1) && found[1] >= 2,
        "{found:?} of {all}"
    );
    assert_eq!(found[2], 0);
    assert!(store.read(&version, "interactions").is_err());
    fs::write(&path, &good).unwrap();
    let mut at = start + 100 * HOUR;
    while store.damaged_files() > 0 {
        scrub.step(&store, UtcMicros(at));
        at += HOUR / 60;
        assert!(at < start + 130 * HOUR, "a pass takes longer than a day");
    }
    assert_eq!(contents(&store), before);
}

#[test]
fn a_damaged_index_is_made_again_from_the_rows_beside_it() {
    let folder = folder_with_commits();
    let before = contents(&Store::create_or_open(folder.path()).unwrap());
    let store = Store::create_or_open(folder.path()).unwrap();
    let version = store.version();
    let links = version.table("log").unwrap().files[1]
        .links
        .clone()
        .unwrap();
    fs::write(folder.path().join(&links.path), "x").unwrap();
    assert_eq!(store.verify().unwrap().len(), 1);
    let damaged = store.damaged();
    assert!(damaged[0].index_only);
    drop(version);
    let scratch = store.scratch().unwrap();
    let mend = Mend {
        rebuilt: &scratch,
        tables: &[],
        dropped: &[],
        events: &[],
        quarantine: &[],
        checkpoint: &[],
    };
    store.mend(&mend).unwrap();
    drop((scratch, store));
    let store = Store::create_or_open(folder.path()).unwrap();
    assert_eq!(contents(&store), before);
    assert!(store.verify().unwrap().is_empty());
    assert_eq!(store.unknown_files(), [] as [PathBuf; 0]);
    let event = &crate::world::call_events(1)[0];
    let links: Vec<u64> = facts::event_links(event).collect();
    assert_eq!(store.load_events(&links).unwrap().len(), 4);
}

#[test]
fn a_changed_byte_in_a_data_file_is_found_at_its_first_use() {
    let folder = folder_with_commits();
    let store = Store::create_or_open(folder.path()).unwrap();
    let version = store.version();
    let file = &version.table("interactions").unwrap().files[1];
    let path = folder.path().join(&file.path);
    let good = fs::read(&path).unwrap();
    let mut bad = good.clone();
    bad[good.len() / 3] ^= 0x10;
    fs::write(&path, &bad).unwrap();

    let error = store.read(&version, "interactions").unwrap_err();
    assert!(
        matches!(&error, Error::Damaged { path: p, .. } if *p == path),
        "{error}"
    );
    assert_eq!(store.read(&version, "queue_visits").unwrap().len(), 3);
    assert_eq!(store.verify().unwrap().len(), 1);

    let objects = store.object_store().unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    let get = |path: &str| {
        let path = ObjectPath::from(path);
        runtime.block_on(async { objects.get(&path).await?.bytes().await })
    };
    let error = get(&file.path).unwrap_err();
    let object_store::Error::Generic { source, .. } = error else {
        panic!("{error}")
    };
    assert!(
        matches!(source.downcast_ref::<Error>(), Some(Error::Damaged { .. })),
        "{source}"
    );
    let other = &version.table("interactions").unwrap().files[0];
    assert_eq!(get(&other.path).unwrap().len() as u64, other.bytes);
    for hidden in ["LOCK", "manifest/manifest-0000000002.jsonl", "parquet/none"] {
        assert!(
            matches!(get(hidden), Err(object_store::Error::NotFound { .. })),
            "{hidden}"
        );
    }
}

#[test]
fn objects_can_be_listed_and_not_written() {
    let folder = folder_with_commits();
    let store = Store::create_or_open(folder.path()).unwrap();
    let objects = store.object_store().unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    runtime.block_on(async {
        let prefix = ObjectPath::from("parquet/log");
        let listed = objects.list_with_delimiter(Some(&prefix)).await.unwrap();
        assert_eq!(listed.objects.len(), 6);
        let path = ObjectPath::from("parquet/log/x");
        assert!(objects.put(&path, "x".into()).await.is_err());
        assert!(objects.delete(&listed.objects[0].location).await.is_err());
    });
    assert!(store.verify().unwrap().is_empty());
}
