//! Live ingest: acknowledged is durable, twice is once, and the facts are those of an import.

use std::{
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use events::{RejectCode, UtcMicros};
use ingest::{
    IdentityKey,
    live::{Delivery, Follow, Grammar, LiveIngest, LiveSettings, OnError, Receipt, recover},
};
use store::{LOG, QUARANTINE, Store};

use crate::{ARRIVAL, assert_same_rows, count, import_text, received, world};

pub const SEED: [u8; 32] = [3; 32];

/// Settings whose clock stands still unless it is moved.
pub fn settings(clock: &Arc<AtomicI64>) -> LiveSettings {
    let clock = Arc::clone(clock);
    let now = Arc::new(move || UtcMicros(clock.load(Ordering::Relaxed)));
    let settings = LiveSettings::new(IdentityKey::new([1; 32]), now, SEED);
    LiveSettings {
        default_source: Some("test".into()),
        disk_reserve_bytes: 0,
        ..settings
    }
}

pub fn clock() -> Arc<AtomicI64> {
    Arc::new(AtomicI64::new(received().0))
}

pub fn start(store: &Arc<Store>, settings: LiveSettings) -> LiveIngest {
    LiveIngest::start(Arc::clone(store), settings)
        .expect("live ingest starts")
        .0
}

fn open(folder: &tempfile::TempDir) -> Arc<Store> {
    Arc::new(Store::create_or_open(folder.path()).expect("the store opens"))
}

fn delivery<'a>(live: &LiveIngest, lines: impl IntoIterator<Item = &'a String>) -> Delivery {
    let mut delivery = live.delivery();
    for (number, line) in (1..).zip(lines) {
        delivery.line(number, line.as_bytes());
    }
    delivery
}

fn deliver<'a>(live: &LiveIngest, lines: impl IntoIterator<Item = &'a String>) -> Receipt {
    live.deliver_and_wait(delivery(live, lines), OnError::KeepGood)
        .expect("a receipt")
}

fn imported(lines: &[String]) -> Store {
    let store = Store::in_memory();
    import_text(&store, 10_000, world::text(lines));
    store
}

#[test]
fn the_facts_are_those_of_an_import_however_the_events_are_delivered() {
    let lines = world::lines(3, 8);
    for batch in [7, 331] {
        let folder = tempfile::tempdir().expect("a folder");
        let store = open(&folder);
        let small = LiveSettings {
            budget_bytes: 100_000,
            ..settings(&clock())
        };
        let live = start(&store, small);
        for chunk in lines.chunks(batch) {
            let receipt = deliver(&live, chunk);
            assert_eq!(receipt.accepted, chunk.len() as u64);
            assert_eq!((receipt.duplicate, receipt.rejected), (0, 0));
        }
        let seq = live.state().committed_seq;
        assert_eq!(seq, lines.len() as u64);
        assert!(live.wait_applied(seq, Duration::from_secs(60)));
        assert_eq!(count(&store, LOG), lines.len() as u64);
        assert_same_rows(&store, &imported(&lines), ARRIVAL);
        live.shut_down().expect("a clean end");
        assert_same_rows(&store, &imported(&lines), ARRIVAL);
        drop((live, store));
        let again = open(&folder);
        assert_same_rows(&again, &imported(&lines), ARRIVAL);
        assert!(again.verify().expect("readable").is_empty());
    }
}

#[test]
fn what_four_senders_deliver_twice_is_stored_once() {
    let lines = world::lines(5, 6);
    let folder = tempfile::tempdir().expect("a folder");
    let store = open(&folder);
    let live = start(&store, settings(&clock()));
    let totals: Vec<(u64, u64)> = std::thread::scope(|scope| {
        let send = |offset: usize| {
            let (live, lines) = (live.clone(), &lines);
            scope.spawn(move || {
                let chunks: Vec<&[String]> = lines.chunks(53).collect();
                let mut total = (0, 0);
                for i in 0..chunks.len() {
                    let receipt = deliver(&live, chunks[(i + offset) % chunks.len()]);
                    total.0 += receipt.accepted;
                    total.1 += receipt.duplicate;
                }
                total
            })
        };
        let threads: Vec<_> = [0, 3, 0, 11].into_iter().map(send).collect();
        threads
            .into_iter()
            .map(|t| t.join().expect("a sender"))
            .collect()
    });
    let (accepted, duplicate) = totals
        .iter()
        .fold((0, 0), |sum, t| (sum.0 + t.0, sum.1 + t.1));
    assert_eq!(accepted, lines.len() as u64);
    assert_eq!(duplicate, 3 * lines.len() as u64);
    live.shut_down().expect("a clean end");
    assert_same_rows(&store, &imported(&lines), ARRIVAL);
}

#[test]
fn after_a_start_without_an_end_everything_acknowledged_is_there_and_known() {
    let lines = world::lines(7, 6);
    let folder = tempfile::tempdir().expect("a folder");
    let (first, rest) = lines.split_at(lines.len() / 2);
    {
        let store = open(&folder);
        let live = start(&store, settings(&clock()));
        deliver(&live, first);
        // No shut_down: the folder is left as a crash leaves it, but for the threads, which hold
        // nothing that is not in the log.
        let copy = tempfile::tempdir().expect("a folder");
        copy_folder(folder.path(), copy.path());
        live.shut_down().expect("a clean end");
        let store = open(&copy);
        let (live, recovered) =
            LiveIngest::start(Arc::clone(&store), settings(&clock())).expect("a start");
        assert_eq!(recovered.events, first.len() as u64);
        assert_eq!(count(&store, LOG), first.len() as u64);
        assert_eq!(deliver(&live, first).duplicate, first.len() as u64);
        assert_eq!(deliver(&live, rest).accepted, rest.len() as u64);
        live.shut_down().expect("a clean end");
        assert_same_rows(&store, &imported(&lines), ARRIVAL);
    }
    let store = open(&folder);
    let found = recover(&store, SEED).expect("a log");
    assert_eq!(found.events, 0, "a clean end leaves nothing to recover");
}

fn copy_folder(from: &std::path::Path, to: &std::path::Path) {
    for entry in std::fs::read_dir(from).expect("a folder") {
        let entry = entry.expect("an entry");
        let target = to.join(entry.file_name());
        if entry.file_type().expect("a type").is_dir() {
            std::fs::create_dir(&target).expect("a folder");
            copy_folder(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).expect("a copy");
        }
    }
}

#[test]
fn an_import_into_a_folder_with_a_log_goes_on_from_it() {
    let lines = world::lines(11, 6);
    let (first, rest) = lines.split_at(lines.len() / 3);
    let folder = tempfile::tempdir().expect("a folder");
    let copy = tempfile::tempdir().expect("a folder");
    let store = open(&folder);
    let live = start(&store, settings(&clock()));
    deliver(&live, first);
    copy_folder(folder.path(), copy.path());
    live.shut_down().expect("a clean end");
    let store = open(&copy);
    let found = recover(&store, SEED).expect("a log");
    assert_eq!(found.events, first.len() as u64);
    let report = import_text(&store, 10_000, world::text(&lines));
    assert_eq!(report.duplicate, first.len() as u64);
    assert_eq!(report.accepted, rest.len() as u64);
    assert_same_rows(&store, &imported(&lines), ARRIVAL);
}

#[test]
fn a_bad_line_does_not_stop_the_others_unless_it_is_asked_to() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = open(&folder);
    let live = start(&store, settings(&clock()));
    let mut lines = world::lines(2, 5)[..20].to_vec();
    let good = lines[4].clone();
    lines[4] = r#"{"event_id":"x1","event_type":"queue.entred","occurred_at":1}"#.to_owned();
    let receipt = live
        .deliver_and_wait(delivery(&live, &lines), OnError::RejectAll)
        .expect("a receipt");
    assert_eq!((receipt.accepted, receipt.rejected), (0, 1));
    let twice = [&lines[0], &lines[0], &lines[4]];
    let receipt = live
        .deliver_and_wait(delivery(&live, twice), OnError::RejectAll)
        .expect("a receipt");
    assert_eq!((receipt.duplicate, receipt.rejected), (0, 1));
    assert_eq!((count(&store, LOG), count(&store, QUARANTINE)), (0, 0));
    let receipt = deliver(&live, &lines);
    assert_eq!((receipt.accepted, receipt.rejected), (19, 1));
    let error = &receipt.errors[0];
    assert_eq!((error.line, error.event_id.as_deref()), (5, Some("x1")));
    let other = good.replace("\"occurred_at\":\"2026", "\"occurred_at\":\"2025");
    assert_ne!(good, other, "the line has a time to change");
    assert_eq!(deliver(&live, [&good]).accepted, 1);
    let receipt = deliver(&live, [&other]);
    assert_eq!(receipt.errors[0].code, RejectCode::IdConflict);
    live.shut_down().expect("a clean end");
    assert_eq!((count(&store, LOG), count(&store, QUARANTINE)), (20, 2));
}

#[test]
fn a_repeat_is_known_for_seven_days_and_by_its_own_time_after_that() {
    const DAY: i64 = 86_400_000_000;
    let folder = tempfile::tempdir().expect("a folder");
    let store = open(&folder);
    let clock = clock();
    let live = start(&store, settings(&clock));
    let lines = world::lines(2, 5);
    assert_eq!(deliver(&live, &lines).accepted, lines.len() as u64);
    for days in [1, 6, 9, 60] {
        clock.store(received().0 + days * DAY, Ordering::Relaxed);
        let receipt = deliver(&live, &lines);
        assert_eq!(receipt.duplicate, lines.len() as u64, "after {days} days");
    }
    live.shut_down().expect("a clean end");
    // A clock that goes back, and a restart.
    clock.store(received().0 - 3 * DAY, Ordering::Relaxed);
    let live = start(&store, settings(&clock));
    assert_eq!(deliver(&live, &lines).duplicate, lines.len() as u64);
    live.shut_down().expect("a clean end");
    assert_eq!(count(&store, LOG), lines.len() as u64);
}

#[test]
fn nothing_is_taken_after_the_end() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = open(&folder);
    let live = start(&store, settings(&clock()));
    live.shut_down().expect("a clean end");
    let lines = world::lines(2, 5);
    let refused = live.deliver_and_wait(delivery(&live, &lines[..5]), OnError::KeepGood);
    assert!(refused.is_err());
    assert_eq!(count(&store, LOG), 0);
}

fn append(path: &std::path::Path, text: &str) {
    let mut file = std::fs::File::options()
        .create(true)
        .append(true)
        .open(path)
        .expect("the log opens");
    std::io::Write::write_all(&mut file, text.as_bytes()).expect("the log is written");
}

#[test]
fn a_log_is_followed_as_it_grows_and_over_both_kinds_of_rotation() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = open(&folder);
    let live = start(&store, settings(&clock()));
    let lines = world::lines(2, 5)[..40].to_vec();
    let log = folder.path().join("calls.ndjson");
    let mut follow = Follow::new(&log, Grammar::Ndjson(crate::intake()));
    let mut poll_at = |seconds: i64| {
        let now = received().plus_ms(seconds * 1_000);
        let polled = follow.poll(&live, now).expect("a readable log");
        (polled.receipt.accepted, polled.receipt.duplicate)
    };
    let mut poll = || poll_at(0);
    assert_eq!(poll(), (0, 0), "there is no file yet");
    append(&log, &world::text(&lines[..10]));
    let (half, other_half) = lines[10].split_at(40);
    append(&log, half);
    assert_eq!(poll(), (10, 0));
    append(&log, &format!("{other_half}\n"));
    assert_eq!(poll(), (1, 0));
    // Renamed, still written to under its new name, then a new file; its last line has no end.
    let old = folder.path().join("calls.ndjson.1");
    std::fs::rename(&log, &old).expect("a rename");
    append(&old, &world::text(&lines[11..15]));
    assert_eq!(poll(), (4, 0));
    append(&log, &world::text(&lines[16..20]));
    assert_eq!(poll(), (4, 0));
    // The writer has not heard of the rotation yet.
    append(&old, &lines[15]);
    assert_eq!(poll(), (0, 0));
    assert_eq!(poll_at(61), (1, 0), "the line has ended with its file");
    // Copied and cut; an old file that was cut does not hold up the new one.
    std::fs::write(&log, world::text(&lines[20..22])).expect("the log is written");
    assert_eq!(poll_at(62), (2, 0));
    std::fs::rename(&log, &old).expect("a rename");
    std::fs::write(&old, "").expect("the old log is cut");
    append(&log, &world::text(&lines[20..40]));
    assert_eq!(poll_at(63), (18, 2));
    assert_eq!(poll_at(64), (0, 0));
    live.shut_down().expect("a clean end");
    assert_eq!(count(&store, LOG), 40);
}
