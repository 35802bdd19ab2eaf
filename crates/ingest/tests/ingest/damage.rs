//! Damage to data files: never another number, and what a repair brings back.

use std::{path::PathBuf, sync::Arc, time::Duration};

use ingest::live::{LiveIngest, OnError, Refusal, Standing, examine, recover, repair};
use store::{Error, LOG, QUARANTINE, Store};

use crate::{
    ARRIVAL,
    disk::{Damage, Disk, Random, tries},
    live, received, rows,
    script::{BATCHES, Script},
    world,
};

const DAMAGES: &str = "CALLGAUGE_STORE_DAMAGES";

/// T7, for Parquet, indexes, checkpoints and the manifest; the log has a test of its own.
#[test]
fn no_damage_gives_another_number() {
    let wanted = tries(DAMAGES, 400);
    let script = Script::new(2, BATCHES);
    let good = script.finished();
    let paths: Vec<PathBuf> = good.paths();
    let is_log = |path: &&PathBuf| path.parent().is_some_and(|folder| folder.ends_with("wal"));
    let paths: Vec<&PathBuf> = paths.iter().filter(|p| !is_log(p)).collect();
    let mut random = Random(7);
    let (mut refused, mut unreadable, mut unharmed) = (0, 0, 0);
    for turn in 0..wanted {
        let path = paths[random.below(paths.len() as u64) as usize];
        let mut bytes = good.bytes(path);
        let damage = Damage::random(bytes.len(), &mut random);
        let what = format!("turn {turn}, {damage:?} in {}", path.display());
        damage.apply(&mut bytes, &mut random);
        let mut state = good.clone();
        state.damage(path, bytes);
        let disk = Disk::of(state);
        let found = script.open(&disk).map_err(|e| e.to_string());
        let found = found.and_then(|store| match recover(&store, live::SEED) {
            Ok(_) => Ok(store),
            Err(error) => Err(error.to_string()),
        });
        match found {
            Err(error) => {
                assert!(
                    error.contains("damaged") || error.contains("version"),
                    "{what}: {error}"
                );
                refused += 1;
            }
            Ok(store) if is_right(&script, &store, &what) => unharmed += 1,
            Ok(_) => unreadable += 1,
        }
    }
    println!(
        "{wanted} damages: {refused} refused, {unreadable} with a file that is not read, {unharmed} harmless"
    );
    assert!(refused > 0 && unreadable > 0);
}

/// Compares every table that can be read; is that all of them?
fn is_right(script: &Script, store: &Store, what: &str) -> bool {
    let version = store.version();
    let damaged = version.tables().filter(|table| {
        let read = store.read(&version, &table.name);
        if let Err(error) = &read {
            assert!(matches!(error, Error::Damaged { .. }), "{what}: {error}");
        }
        read.is_err()
    });
    let damaged: Vec<String> = damaged.map(|table| table.name.to_string()).collect();
    let mut expected = (*script.expected(BATCHES)).clone();
    let mut found = crate::rows_but(store, ARRIVAL, &damaged);
    for table in &damaged {
        expected.remove(table);
        found.remove(table);
    }
    assert_eq!(found, expected, "{what}");
    damaged.is_empty()
}

/// A folder with some days in it, and its rows.
fn folder() -> (tempfile::TempDir, Vec<String>) {
    let folder = tempfile::tempdir().expect("a folder");
    let (mut lines, rest): (Vec<String>, Vec<String>) = world::lines(4, 6)
        .into_iter()
        .partition(|line| line.contains("\"agent.profile"));
    lines.extend(rest);
    lines.truncate(600);
    for part in lines.chunks(200) {
        let store = Arc::new(Store::create_or_open(folder.path()).expect("the store opens"));
        let live = live::start(&store, live::settings(&live::clock()));
        deliver(&live, part).expect("a receipt");
        live.shut_down().expect("a clean end");
    }
    (folder, lines)
}

fn deliver(live: &LiveIngest, lines: &[String]) -> Result<u64, Refusal> {
    let mut delivery = live.delivery();
    for (number, line) in (1..).zip(lines) {
        delivery.line(number, line.as_bytes());
    }
    let receipt = live.deliver_and_wait(delivery, OnError::KeepGood)?;
    Ok(receipt.accepted)
}

/// Changes one bit of the `at`th file of a table.
fn damage(folder: &tempfile::TempDir, table: &str, at: usize) -> PathBuf {
    let store = Store::open_read_only(folder.path()).expect("the store opens");
    let version = store.version();
    let file = &version.table(table).expect("a table").files[at];
    let path = folder.path().join(&file.path);
    let mut bytes = std::fs::read(&path).expect("the file");
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&path, bytes).expect("the file is written");
    path
}

fn open(folder: &tempfile::TempDir) -> Store {
    Store::create_or_open(folder.path()).expect("the store opens")
}

#[test]
fn a_damaged_file_of_facts_is_folded_anew_and_nothing_is_lost() {
    let (folder, _) = folder();
    let before = rows(&open(&folder), &["_seq"]);
    let names: Vec<&String> = before.keys().filter(|name| *name != LOG).collect();
    for table in names {
        damage(&folder, table, 0);
    }
    let store = open(&folder);
    let found = examine(&store).expect("readable");
    assert!(
        found.damaged.len() >= 4 && found.lost.is_empty(),
        "{found:?}"
    );
    let done = repair(&store, &found, received()).expect("it is repaired");
    assert_eq!((done.rebuilt.len(), done.recovered), (before.len() - 1, 0));
    assert_eq!(rows(&store, &["_seq"]), before);
    drop(store);
    let store = open(&folder);
    assert!(store.verify().expect("readable").is_empty());
    assert_eq!(store.unknown_files(), [] as [PathBuf; 0]);
    assert_eq!(rows(&store, &["_seq"]), before);
}

#[test]
fn events_of_a_damaged_file_come_back_from_the_log_that_is_still_there() {
    let (folder, lines) = folder();
    let without = &["_seq", "entity"];
    let before = rows(&open(&folder), without);
    let newest = open(&folder)
        .version()
        .table(LOG)
        .expect("the log")
        .files
        .len()
        - 1;
    damage(&folder, LOG, newest);
    // Nothing is taken, because nobody knows what would be a repeat; what was confirmed is there.
    let store = Arc::new(open(&folder));
    let settings = live::settings(&live::clock());
    let (live, _) = LiveIngest::start(Arc::clone(&store), settings).expect("it starts");
    let refused = deliver(&live, &lines[..5]).expect_err("nothing is taken");
    assert!(
        refused.to_string().contains("callgauge repair"),
        "{refused}"
    );
    let state = live.state();
    assert_eq!(
        (state.quarantined_files, state.wal_writable, state.caught_up),
        (1, false, true)
    );
    assert_eq!(live.standing(), Standing::Stopped);
    assert!(store.read(&store.version(), LOG).is_err());
    assert!(
        !store
            .read(&store.version(), "queue_visits")
            .expect("readable")
            .is_empty()
    );
    assert!(live.shut_down().is_err());
    drop((live, store));

    let store = open(&folder);
    let found = examine(&store).expect("readable");
    assert!(found.lost.is_empty(), "{found:?}");
    let done = repair(&store, &found, received()).expect("it is repaired");
    assert_eq!(done.recovered, 200);
    drop(store);
    let store = Arc::new(open(&folder));
    assert_eq!(rows(&store, without), before);
    let live = live::start(&store, live::settings(&live::clock()));
    assert_eq!(
        deliver(&live, &lines).expect("a receipt"),
        0,
        "all are repeats"
    );
    live.shut_down().expect("a clean end");
    assert!(store.verify().expect("readable").is_empty());
}

#[test]
fn events_that_are_nowhere_are_said_to_be_lost_and_the_facts_are_those_of_the_rest() {
    let (folder, lines) = folder();
    let path = damage(&folder, LOG, 0);
    std::fs::remove_dir_all(folder.path().join("wal")).expect("the log goes");
    let store = open(&folder);
    let found = examine(&store).expect("readable");
    assert_eq!(found.lost.len(), 1);
    let said = found.lost[0].to_string();
    assert!(
        said.contains("event(s)") && said.contains("parquet/log/"),
        "{said}"
    );
    let lost = found.lost[0].rows;
    assert!((1..=200).contains(&lost), "{said}");
    repair(&store, &found, received()).expect("it is repaired");
    drop(store);
    let store = open(&folder);
    assert!(store.verify().expect("readable").is_empty());
    assert_eq!(crate::count(&store, LOG), lines.len() as u64 - lost);
    let row = &store.quarantine(None).expect("readable")[0];
    assert_eq!(row.reason, "data_lost");
    assert!(row.detail.contains(&said), "{}", row.detail);
    assert!(path.with_extension("parquet.damaged").exists() && !path.exists());
    assert_eq!(store.unknown_files(), [] as [PathBuf; 0]);
    // What is stored is the fold of what is stored.
    let again = Store::in_memory();
    let left: Vec<String> = stored_lines(&store);
    crate::import_text(&again, 10_000, world::text(&left));
    let mut found = rows(&store, ARRIVAL);
    found.remove(QUARANTINE);
    assert_eq!(found, rows(&again, ARRIVAL));
    // They can be sent again.
    let store = Arc::new(store);
    let live = live::start(&store, live::settings(&live::clock()));
    assert_eq!(deliver(&live, &lines).expect("a receipt"), lost);
    assert!(live.wait_applied(live.state().committed_seq, Duration::from_secs(60)));
    live.shut_down().expect("a clean end");
    assert_eq!(crate::count(&store, LOG), lines.len() as u64);
}

/// The events of a store as lines.
fn stored_lines(store: &Store) -> Vec<String> {
    let version = store.version();
    let files = &version.table(LOG).expect("the log").files;
    let events = files
        .iter()
        .flat_map(|f| store.read_events(f).expect("readable"));
    events.map(|event| event.to_json_line()).collect()
}
