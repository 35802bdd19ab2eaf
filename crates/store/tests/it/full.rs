//! A disk that is full at any place of a commit or a compaction: nothing is lost, and with room again
//! the same store goes on.

use store::{Error, Settings, Store};

use crate::{
    disk::Disk,
    world::{Contents, commit, contents, new_calls, restated},
};

fn open(folder: &tempfile::TempDir, disk: &Disk) -> Store {
    let settings = Settings {
        threads: 1,
        manifest_edits: 2,
        ..Settings::default()
    };
    Store::open_with(folder.path(), settings, disk.io()).unwrap()
}

/// Commits, or puts files together; `n` counts from 0.
fn step(store: &Store, n: usize) -> Result<(), Error> {
    match n {
        0 => commit(store, &new_calls(0..4)).map(|_| ()),
        1 => commit(store, &restated(&[1, 2], 1)).map(|_| ()),
        2 => store.compact(2).map(|_| ()),
        _ => commit(store, &new_calls(4..6)).map(|_| ()),
    }
}

const STEPS: usize = 4;

fn expected() -> Contents {
    let store = Store::in_memory();
    (0..STEPS).for_each(|n| step(&store, n).unwrap());
    contents(&store)
}

#[test]
fn a_disk_that_was_full_in_the_middle_of_an_edit_stops_nothing_for_good() {
    let expected = expected();
    let folder = tempfile::tempdir().unwrap();
    let (mut full, mut at_once) = (0, 0);
    // Bytes that are left when each step begins, up to where all of them have enough.
    for left in (0..).step_by(2_003) {
        let disk = Disk::default();
        let store = open(&folder, &disk);
        let mut failed = 0;
        for n in 0..STEPS {
            disk.set_capacity(Some(disk.used() + left));
            let mut done = step(&store, n);
            // Without room it must stay what it is, however often it is tried.
            for _ in 0..2 {
                if let Err(error) = &done {
                    assert!(
                        matches!(error, Error::DiskFull { .. }),
                        "{left}, {n}: {error}"
                    );
                    failed += 1;
                    done = step(&store, n);
                }
            }
            disk.set_capacity(None);
            if done.is_err() {
                step(&store, n).unwrap_or_else(|e| panic!("{left}, {n}: {e}"));
            }
        }
        assert_eq!(contents(&store), expected, "{left}");
        drop(store);
        let again = open(&folder, &disk);
        assert_eq!(contents(&again), expected, "{left}");
        assert!(again.verify().unwrap().is_empty(), "{left}");
        full += failed;
        at_once += usize::from(failed == 0);
        if failed == 0 {
            break;
        }
    }
    println!("{full} steps without room");
    assert!(full > 15 && at_once == 1);
}
