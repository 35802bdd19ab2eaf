//! Damage is found and named; what was never finished is cut.

use std::{
    fs,
    path::{Path, PathBuf},
};

use object_store::{ObjectStoreExt, path::Path as ObjectPath};
use store::{Error, Store};

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
fn a_lost_or_cut_data_file_stops_the_open() {
    let folder = folder_with_commits();
    let path = folder.path().join("parquet/queue_visits");
    let file = fs::read_dir(path).unwrap().next().unwrap().unwrap().path();
    let bytes = fs::read(&file).unwrap();
    fs::write(&file, &bytes[..bytes.len() - 1]).unwrap();
    let error = Store::create_or_open(folder.path()).unwrap_err();
    assert!(
        matches!(&error, Error::Damaged { path, .. } if *path == file),
        "{error}"
    );
    fs::remove_file(&file).unwrap();
    let error = Store::create_or_open(folder.path()).unwrap_err();
    assert!(error.to_string().contains("not there"), "{error}");
    fs::write(&file, &bytes).unwrap();
    assert_eq!(
        contents(&Store::create_or_open(folder.path()).unwrap())["log"].len(),
        12
    );
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
