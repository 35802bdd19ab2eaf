//! Live ingest: acknowledged is durable, twice is once, and the facts are those of an import.

use std::{
    ops::ControlFlow,
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use events::{RejectCode, UtcMicros};
use facts::FoldSettings;
use ingest::{
    IdentityKey,
    asterisk::{QueueLog, QueueLogSettings},
    formats::{Inputs, QueueLogLines},
    live::{
        Delivery, Follow, Grammar, LiveError, LiveIngest, LiveSettings, OnError, Receipt, recover,
    },
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
        ballast_bytes: 0,
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

#[test]
fn a_replay_that_is_ended_leaves_the_log_as_it_was() {
    let lines = world::lines(7, 6);
    let folder = tempfile::tempdir().expect("a folder");
    let copy = tempfile::tempdir().expect("a folder");
    let live = start(&open(&folder), settings(&clock()));
    deliver(&live, &lines);
    copy_folder(folder.path(), copy.path());
    live.shut_down().expect("a clean end");
    let all = lines.len() as u64;
    for end_at in [0, all] {
        let mut told = Vec::new();
        let ended = LiveIngest::start_watched(open(&copy), settings(&clock()), &mut |step| {
            assert_eq!(step.all, all);
            told.push(step.done);
            match step.done == end_at {
                true => ControlFlow::Break(()),
                false => ControlFlow::Continue(()),
            }
        });
        let error = ended.expect_err("it was ended");
        assert!(matches!(error, LiveError::Interrupted), "{error}");
        assert_eq!(told.last(), Some(&end_at));
    }
    let store = open(&copy);
    let (live, recovered) =
        LiveIngest::start(Arc::clone(&store), settings(&clock())).expect("a start");
    assert_eq!(recovered.events, all);
    assert_eq!(deliver(&live, &lines).duplicate, all);
    live.shut_down().expect("a clean end");
    assert_same_rows(&store, &imported(&lines), ARRIVAL);
}

/// The lines of a world of which every fifth comes late, the last one first. Who is in which team comes
/// before all: a profile restates only what is in memory.
fn disordered(seed: u64) -> Vec<String> {
    let profiles = ["agent.profile", "agent.hired", "agent.capacity"];
    let is_profile = |line: &String| profiles.iter().any(|kind| line.contains(kind));
    let (mut lines, mut others): (Vec<_>, Vec<_>) =
        world::lines(seed, 5).into_iter().partition(is_profile);
    others.truncate(800);
    let mut late = Vec::new();
    for (at, line) in others.into_iter().enumerate() {
        match at % 5 {
            0 => late.push(line),
            _ => lines.push(line),
        }
    }
    lines.extend(late.into_iter().rev());
    lines
}

#[test]
fn a_replay_in_any_pieces_gives_the_facts_of_an_import_whatever_the_fold_forgets() {
    let lines = disordered(13);
    let all = lines.len() as u64;
    let folder = tempfile::tempdir().expect("a folder");
    let unflushed = LiveSettings {
        flush_age: Duration::from_secs(3_600),
        ..settings(&clock())
    };
    let live = start(&open(&folder), unflushed);
    lines.chunks(31).for_each(|chunk| {
        deliver(&live, chunk);
    });
    let expected = imported(&lines);
    // Pieces of one delivery, of some, and of all; a flush every few of them.
    for (budget_bytes, flushes) in [(8, true), (100_000, true), (u64::MAX, false)] {
        let copy = tempfile::tempdir().expect("a folder");
        copy_folder(folder.path(), copy.path());
        let store = open(&copy);
        let forgetful = FoldSettings {
            keep_closed_ms: 0,
            max_kept_events: 20,
            ..FoldSettings::default()
        };
        let settings = LiveSettings {
            budget_bytes,
            fold: forgetful,
            ..settings(&clock())
        };
        let mut told = Vec::new();
        let (live, recovered) = LiveIngest::start_watched(Arc::clone(&store), settings, &mut |s| {
            told.push(s.done);
            ControlFlow::Continue(())
        })
        .expect("a start");
        assert_eq!(recovered.events, all);
        assert!(told.is_sorted_by(|a, b| a < b), "{told:?}");
        assert_eq!((told[0], told.last()), (0, Some(&all)));
        let in_files = store.version().table(LOG).map_or(0, |t| t.files.len());
        assert_eq!(in_files > 0, flushes, "{budget_bytes}");
        assert_same_rows(&store, &expected, ARRIVAL);
        live.shut_down().expect("a clean end");
        drop((live, store));
        let again = open(&copy);
        assert_same_rows(&again, &expected, ARRIVAL);
        assert!(again.verify().expect("readable").is_empty());
    }
    live.shut_down().expect("a clean end");
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

/// Rejected lines may hold personal data: they are not kept for ever.
#[test]
fn rejected_lines_go_after_whole_days_and_nothing_else_does() {
    const DAY: i64 = 86_400_000_000;
    let folder = tempfile::tempdir().expect("a folder");
    let clock = clock();
    let keeps = |days| LiveSettings {
        keep_rejected_days: days,
        flush_age: Duration::ZERO,
        ..settings(&clock)
    };
    let bad = |n: i64| format!("{{\"event_id\":\"bad-{n}\"}}");
    let days_kept = |store: &Store| {
        let rows = store.quarantine(None).expect("readable").into_iter();
        let mut days: Vec<i64> = rows
            .map(|r| (r.received_at.0 - received().0) / DAY)
            .collect();
        days.sort_unstable();
        days
    };
    let lines = world::lines(2, 5);
    // One day after the other, each with a rejected line; the first are in one file.
    for (day, keep) in [
        (0, None),
        (1, None),
        (2, None),
        (31, None),
        (32, Some(30)),
        (33, Some(2)),
    ] {
        clock.store(received().0 + day * DAY + 5, Ordering::Relaxed);
        let store = open(&folder);
        let live = start(&store, keeps(keep));
        deliver(&live, &[bad(day), lines[day as usize].clone()]);
        live.shut_down().expect("a clean end");
        let (rows, days) = (count(&store, LOG), days_kept(&store));
        let expected: &[i64] = match (day, keep) {
            (0..=2, _) => &[0, 1, 2][..=day as usize],
            (31, _) => &[0, 1, 2, 31],
            (32, _) => &[2, 31, 32],
            _ => &[31, 32, 33],
        };
        assert_eq!(days, expected, "on day {day}");
        assert!(rows > 0 && store.verify().expect("readable").is_empty());
        if day == 2 {
            store.compact(2).expect("files are put together");
            assert_eq!(
                store
                    .version()
                    .table(QUARANTINE)
                    .expect("the table")
                    .files
                    .len(),
                1
            );
        }
    }
    assert_eq!(count(&open(&folder), LOG), 6);
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

#[test]
fn what_was_written_before_a_rotation_that_nobody_saw_is_read_at_the_next_start() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = open(&folder);
    let live = start(&store, settings(&clock()));
    let lines = world::lines(2, 5)[..20].to_vec();
    let log = folder.path().join("calls.ndjson");
    let old = folder.path().join("calls.ndjson.1");
    let poll = || {
        let mut follow = Follow::new(&log, Grammar::Ndjson(crate::intake()));
        let polled = follow.poll(&live, received()).expect("a readable log");
        (polled.receipt.accepted, polled.receipt.duplicate)
    };
    append(&log, &world::text(&lines[..10]));
    assert_eq!(poll(), (10, 0));
    append(&log, &world::text(&lines[10..15]));
    std::fs::rename(&log, &old).expect("a rename");
    // Between the two files of a rotation.
    assert_eq!(poll(), (5, 10));
    append(&log, &world::text(&lines[15..20]));
    assert_eq!(poll(), (5, 15));
    // Somebody's copy of the file is not the one before it.
    std::fs::copy(&log, &old).expect("a copy");
    assert_eq!(poll(), (0, 5));
    live.shut_down().expect("a clean end");
    assert_eq!(count(&store, LOG), 20);
}

/// Three months of a `queue_log`. The first call comes back into its queue in the second month, the
/// second and the third go on in the month after the one in which they begin.
const MONTHS: [&str; 3] = [
    "1780000000|c1|q1|NONE|ENTERQUEUE||0601|1\n\
     1780000010|c1|q1|SIP/a|CONNECT|10|x|2\n\
     1780000020|c1|q1|SIP/a|COMPLETEAGENT|10|10|1\n\
     1780000030|c2|q1|NONE|ENTERQUEUE||0602|1\n",
    "1780000100|c1|q1|NONE|ENTERQUEUE||0601|1\n\
     1780000105|c1|q1|SIP/b|RINGNOANSWER|2000\n\
     1780000110|c1|q1|SIP/a|CONNECT|10|x|2\n\
     1780000120|c1|q1|SIP/a|COMPLETECALLER|10|10|1\n\
     1780000130|c2|q1|SIP/b|CONNECT|100|x|3\n\
     1780000200|c2|q1|SIP/b|COMPLETECALLER|100|70|1\n\
     1780000210|c3|q1|NONE|ENTERQUEUE||0603|1\n",
    "1780000300|c3|q1|SIP/a|CONNECT|90|x|3\n\
     1780000310|c3|q1|SIP/a|COMPLETECALLER|90|10|1\n",
];

const AFTERWARDS: &str = "1780000400|c4|q1|NONE|ENTERQUEUE||0604|1\n";

fn queue_log() -> QueueLogSettings {
    QueueLogSettings {
        tenant_id: "default".into(),
        source: "pbx".into(),
        recorded_at: received(),
        clock: None,
    }
}

/// A new start of `--follow` on a log; what it did.
fn follow_calls(live: &LiveIngest, log: &std::path::Path) -> (u64, u64, u64) {
    let queue_log = QueueLog::new(queue_log());
    let mut follow = Follow::new(log, Grammar::QueueLog(Box::new(queue_log)));
    let polled = follow.poll(live, received()).expect("a readable log");
    let receipt = polled.receipt;
    (receipt.accepted, receipt.duplicate, receipt.rejected)
}

#[test]
fn starts_after_any_number_of_rotations_give_the_facts_of_the_whole_log() {
    let whole = tempfile::tempdir().expect("a folder");
    let expected = open(&whole);
    let live = start(&expected, settings(&clock()));
    let log = whole.path().join("queue_log");
    append(&log, &(MONTHS.concat() + AFTERWARDS));
    let (all, ..) = follow_calls(&live, &log);
    live.shut_down().expect("a clean end");

    let folder = tempfile::tempdir().expect("a folder");
    let store = open(&folder);
    let live = start(&store, settings(&clock()));
    let log = folder.path().join("queue_log");
    let older = |number: usize| folder.path().join(format!("queue_log.{number}"));
    let mut known = 0;
    for (before, month) in MONTHS.iter().enumerate() {
        for number in (1..before).rev() {
            std::fs::rename(older(number), older(number + 1)).expect("a rename");
        }
        if before > 0 {
            std::fs::rename(&log, older(1)).expect("a rename");
        }
        append(&log, month);
        let (accepted, duplicate, rejected) = follow_calls(&live, &log);
        assert_eq!((duplicate, rejected), (known, 0), "start {before}");
        known += accepted;
    }
    // Where a call began is there no more; what was read of it stays as it was read.
    std::fs::remove_file(older(2)).expect("it is removed");
    let (accepted, _, rejected) = follow_calls(&live, &log);
    assert_eq!((accepted, rejected), (0, 0));
    // Somebody's folder of that name holds nothing up.
    std::fs::remove_file(older(1)).expect("it is removed");
    std::fs::create_dir(older(1)).expect("a folder");
    append(&log, AFTERWARDS);
    let (accepted, _, rejected) = follow_calls(&live, &log);
    assert_eq!((known + accepted, rejected), (all, 0));
    live.shut_down().expect("a clean end");
    assert_same_rows(&store, &expected, ARRIVAL);
}

#[test]
fn a_log_that_is_imported_again_without_its_beginning_changes_nothing() {
    let store = Store::in_memory();
    let import = |months: &[&str]| {
        let text = std::io::Cursor::new(months.concat().into_bytes());
        let inputs = Inputs::stream(Some("queue_log".into()), text);
        let mut lines = QueueLogLines::new(inputs, queue_log());
        let report = crate::import(&store, 7, &mut lines);
        (report.accepted, report.duplicate, report.rejected)
    };
    let (all, ..) = import(&MONTHS);
    let before = crate::rows(&store, &[]);
    assert_eq!(import(&MONTHS), (0, all, 0));
    for months in [&MONTHS[1..], &MONTHS[2..]] {
        let (accepted, _, rejected) = import(months);
        assert_eq!((accepted, rejected), (0, 0));
    }
    assert_eq!(crate::rows(&store, &[]), before);
}

#[test]
fn a_bad_line_of_a_log_is_kept_once_however_often_the_log_is_read() {
    let folder = tempfile::tempdir().expect("a folder");
    let log = folder.path().join("queue_log");
    append(&log, "what is this\n");
    append(&log, MONTHS[0]);
    for number in 0..3 {
        let store = open(&folder);
        let live = start(&store, settings(&clock()));
        let (_, _, rejected) = follow_calls(&live, &log);
        assert_eq!(rejected, 1, "start {number}");
        live.shut_down().expect("a clean end");
        assert_eq!(count(&store, QUARANTINE), 1, "start {number}");
    }
}

/// T9. Hours forward and back, as far as a wrong year, over stops and starts: the order of receipt
/// never falls, and nothing is lost or stored twice. Zones and their changes are no matter here: all
/// times are UTC.
#[test]
fn a_clock_that_jumps_loses_nothing_and_doubles_nothing() {
    const HOUR: i64 = 3_600_000_000;
    const JUMPS: [i64; 9] = [0, 1, -1, 0, 9 * 24, 10 * 24, -1, 365 * 24, 2];
    let lines = world::lines(6, 6);
    let chunks: Vec<&[String]> = lines.chunks(lines.len().div_ceil(JUMPS.len())).collect();
    let folder = tempfile::tempdir().expect("a folder");
    let clock = clock();
    for (turn, (chunk, hours)) in chunks.iter().zip(JUMPS).enumerate() {
        clock.store(received().0 + hours * HOUR, Ordering::Relaxed);
        let store = open(&folder);
        let flushes = LiveSettings {
            flush_age: Duration::ZERO,
            ..settings(&clock)
        };
        let live = start(&store, flushes);
        let receipt = deliver(&live, *chunk);
        assert_eq!(
            (receipt.accepted, receipt.rejected),
            (chunk.len() as u64, 0)
        );
        for known in &chunks[..=turn] {
            let receipt = deliver(&live, *known);
            assert_eq!(receipt.duplicate, known.len() as u64, "at {hours} hours");
        }
        // It is flushed by how long ago it came, whatever the clock says.
        let seq = live.state().committed_seq;
        live.shut_down().expect("a clean end");
        assert_eq!(store.version().arrived_seq, seq);
    }
    let store = open(&folder);
    assert_same_rows(&store, &imported(&lines), ARRIVAL);
    assert!(received_rises(&store));
}

/// Is no event received before one of an earlier commit?
fn received_rises(store: &Store) -> bool {
    use arrow::array::AsArray;
    use arrow::datatypes::{Int64Type, TimestampMicrosecondType};
    let mut received: Vec<(i64, i64)> = Vec::new();
    for batch in store.read(&store.version(), LOG).expect("readable") {
        let seqs = batch.column_by_name("_seq").expect("sequences");
        let times = batch.column_by_name("recorded_at").expect("times");
        let seqs = seqs.as_primitive::<Int64Type>().values().iter();
        let times = times.as_primitive::<TimestampMicrosecondType>().values();
        received.extend(seqs.copied().zip(times.iter().copied()));
    }
    received.sort_unstable();
    received.is_sorted_by_key(|(_, time)| *time)
}

const READER_SECONDS: &str = "CALLGAUGE_READER_SECONDS";

/// A query sees the events up to some sequence, whatever is written meanwhile.
#[test]
fn a_reader_sees_a_count_that_only_grows_while_files_are_written_and_put_together() {
    let seconds = crate::disk::tries(READER_SECONDS, 0) as u64;
    let folder = tempfile::tempdir().expect("a folder");
    let store = open(&folder);
    let flushes = LiveSettings {
        flush_age: Duration::ZERO,
        ..settings(&clock())
    };
    let live = start(&store, flushes);
    let begun = std::time::Instant::now();
    let done = std::sync::atomic::AtomicBool::new(false);
    let (looks, most_files) = std::thread::scope(|scope| {
        let reader = scope.spawn(|| {
            let (mut looks, mut last, mut most_files) = (0u64, 0, 0);
            while !done.load(Ordering::Acquire) {
                let version = store.version();
                let rows = |table: &str| {
                    let read = store.read(&version, table).expect("readable");
                    read.iter()
                        .map(|batch| batch.num_rows() as u64)
                        .sum::<u64>()
                };
                // A line that was not taken has a sequence too.
                let seen = rows(LOG) + rows(QUARANTINE);
                assert_eq!(seen, version.arrived_seq);
                assert!(seen >= last, "{seen} after {last}");
                last = seen;
                let files = version.table(LOG).expect("the log").files.len();
                most_files = most_files.max(files);
                looks += 1;
            }
            (looks, most_files)
        });
        let mut seed = 20;
        loop {
            for chunk in world::lines(seed, 5).chunks(40) {
                let receipt = deliver(&live, chunk);
                assert!(live.wait_applied(receipt.committed_seq, Duration::from_secs(60)));
            }
            seed += 1;
            let compacted = live.state().compaction_micros;
            let compactions = compacted.last().map_or(0, |(_, count)| *count);
            if begun.elapsed().as_secs() >= seconds && compactions > 0 {
                break;
            }
            assert!(compactions > 0 || seed < 60, "nothing is put together");
        }
        done.store(true, Ordering::Release);
        reader.join().expect("the reader sees no gap")
    });
    live.shut_down().expect("a clean end");
    println!("{looks} looks, at most {most_files} files of events at once");
    let flushes = live
        .state()
        .flush_micros
        .last()
        .map_or(0, |(_, count)| *count);
    assert!(looks > 0 && flushes > 5, "{looks} looks, {flushes} flushes");
}
