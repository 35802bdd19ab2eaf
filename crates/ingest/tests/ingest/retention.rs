//! Letting contacts go that were over long ago.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::{Duration, Instant},
};

use events::{Event, RejectCode, UtcMicros};
use facts::{event_links, fold_all, is_contact_event};
use ingest::{
    live::{LiveIngest, LiveSettings, LiveState, OnError, Receipt, examine, recover, repair},
    retention::{KEEP_DAYS_MIN, STEP_EVENTS, let_go, plan, preview},
};
use sim::{Config, World};
use store::{Error, LOG, QUARANTINE, Settings, Store};

use crate::{
    ARRIVAL, assert_same_rows, count,
    disk::{Disk, EIO, ENOSPC, Fault, Left, Plan, Random},
    import_text, live, received, rows,
    script::Script,
    world,
};

const DAY: i64 = 86_400_000_000;
const KEEP: u32 = KEEP_DAYS_MIN;
/// An order that hangs on the first call.
const ORDER: &str =
    r#""order_id":"o","customer_id":"cu","interaction_id":"c000","kind":"new","lines":[]"#;

const SHIFT: &str = r#""session_id":"s","agent_id":"ann""#;

/// Who is where since when: comes first, because a new one restates only what is in memory.
const PROFILES: [&str; 3] = [
    "agent.profile_changed",
    "agent.hired",
    "agent.capacity_changed",
];

/// Midnight that begins a day of 2026, the first being 0.
fn day(number: i64) -> UtcMicros {
    let first = UtcMicros::parse_rfc3339("2026-01-01T00:00:00Z").expect("a valid time");
    UtcMicros(first.0 + number * DAY)
}

fn line(id: &str, kind: &str, at: UtcMicros, data: &str) -> String {
    format!(
        r#"{{"source":"pbx","event_id":"{id}","event_type":"{kind}","occurred_at":"{at}","data":{{{data}}}}}"#
    )
}

/// A call that waits, is taken by an agent and ends, within two minutes from `hour` o'clock.
fn call(id: &str, on: i64, hour: i64) -> Vec<String> {
    let at = |second: i64| UtcMicros(day(on).0 + (hour * 3_600 + second) * 1_000_000);
    let contact = format!(r#""interaction_id":"{id}""#);
    let visit = format!(r#""visit_id":"{id}.q""#);
    let leg = format!(r#""leg_id":"{id}.l""#);
    vec![
        line(
            &format!("{id}-1"),
            "interaction.started",
            at(0),
            &format!(r#"{contact},"channel":"voice","direction":"inbound""#),
        ),
        line(
            &format!("{id}-2"),
            "queue.entered",
            at(1),
            &format!(r#"{visit},{contact},"queue_id":"billing","visit_kind":"customer""#),
        ),
        line(
            &format!("{id}-3"),
            "leg.connected",
            at(20),
            &format!(
                r#"{leg},{contact},{visit},"agent_id":"ann","role":"primary","initiation":"queue""#
            ),
        ),
        line(
            &format!("{id}-4"),
            "queue.left",
            at(20),
            &format!(r#"{visit},"reason":"answered","agent_id":"ann",{leg}"#),
        ),
        line(&format!("{id}-5"), "leg.disconnected", at(100), &leg),
        line(
            &format!("{id}-6"),
            "interaction.ended",
            at(100),
            &format!(r#"{contact},"ended_by":"customer""#),
        ),
    ]
}

/// Calls of 60 days, three a day, in two imports.
fn calls() -> [Vec<String>; 2] {
    let of = |days: std::ops::Range<i64>| {
        let ids = days.flat_map(|on| (0..3).map(move |n| (format!("c{on:02}{n}"), on, 8 + n)));
        ids.flat_map(|(id, on, hour)| call(&id, on, hour)).collect()
    };
    [of(0..40), of(40..60)]
}

/// The same, and an order of the first call that is delivered on day 50.
fn calls_and_an_order() -> [Vec<String>; 2] {
    let [mut first, mut second] = calls();
    let placed = UtcMicros(day(0).0 + 30_000_000_000);
    first.push(line("o-1", "order.placed", placed, ORDER));
    second.push(line("o-2", "order.delivered", day(50), r#""order_id":"o""#));
    [first, second]
}

fn open(folder: &Path) -> Store {
    Store::create_or_open(folder).expect("the store opens")
}

/// A folder with these lines, imported one after the other.
fn folder(imports: &[Vec<String>]) -> (tempfile::TempDir, Store) {
    let folder = tempfile::tempdir().expect("a folder");
    let store = open(folder.path());
    for lines in imports {
        let report = import_text(&store, 10_000, world::text(lines));
        assert_eq!(report.accepted, lines.len() as u64, "{report:?}");
    }
    (folder, store)
}

fn retain(store: &Store, step_events: u64) -> Option<(UtcMicros, ingest::retention::Gone)> {
    let plan = plan(store, KEEP, received(), true).expect("readable")?;
    let expected = preview(store, &plan).expect("readable");
    let gone = let_go(store, &plan, step_events).expect("it can be let go");
    assert_eq!(gone, expected);
    let floor = store.version().floors.contacts;
    assert_eq!(floor, Some(plan.target.0));
    Some((plan.target, gone))
}

/// The stored events.
fn stored(store: &Store) -> Vec<Event> {
    let version = store.version();
    let files = &version.table(LOG).expect("the log").files;
    let events = files
        .iter()
        .flat_map(|f| store.read_events(f).expect("readable"));
    events.collect()
}

fn lines_of(events: &[Event]) -> Vec<String> {
    events.iter().map(Event::to_json_line).collect()
}

/// What is stored is the fold of what is stored, and nothing is left that does not count.
fn assert_whole(store: &Store) {
    let again = Store::in_memory();
    let (mut lines, rest): (Vec<Event>, Vec<Event>) = stored(store)
        .into_iter()
        .partition(|e| PROFILES.contains(&e.data.event_type()));
    lines.extend(rest);
    import_text(&again, 10_000, world::text(&lines_of(&lines)));
    assert_same_rows(store, &again, ARRIVAL);
    assert_eq!(store.verify().expect("readable").len(), 0);
}

/// Events by contact, worked out the slow way.
fn components(events: &[Event]) -> Vec<Vec<&Event>> {
    let mut owner: HashMap<u64, usize> = HashMap::new();
    let mut parts: Vec<Vec<&Event>> = Vec::new();
    for event in events {
        let mut own: Vec<usize> = event_links(event)
            .filter_map(|link| owner.get(&link).copied())
            .collect();
        own.sort_unstable();
        own.dedup();
        let to = own.first().copied().unwrap_or(parts.len());
        if to == parts.len() {
            parts.push(Vec::new());
        }
        for from in own.into_iter().skip(1) {
            let moved = std::mem::take(&mut parts[from]);
            for link in moved.iter().flat_map(|e| event_links(e)) {
                owner.insert(link, to);
            }
            parts[to].extend(moved);
        }
        owner.extend(event_links(event).map(|link| (link, to)));
        parts[to].push(event);
    }
    parts.retain(|part| !part.is_empty());
    parts
}

#[test]
fn contacts_go_whole_and_the_facts_are_those_of_what_is_kept() {
    let config = Config {
        seed: 3,
        days: 35,
        agents: 5,
        ..Config::default()
    };
    let world: Vec<String> = World::new(&config)
        .expect("a valid configuration")
        .map(|event| event.to_json_line())
        .collect();
    let (mut lines, rest): (Vec<String>, Vec<String>) = world
        .into_iter()
        .partition(|line| PROFILES.iter().any(|kind| line.contains(kind)));
    lines.extend(rest);
    let parts: Vec<Vec<String>> = lines
        .chunks(lines.len() / 3 + 1)
        .map(<[_]>::to_vec)
        .collect();
    let (at, store) = folder(&parts);
    let before = stored(&store);
    let open_ids: HashSet<String> = ids(&store.checkpoint().expect("readable"));
    let (floor, gone) = retain(&store, 2_000).expect("something is due");
    let kept: HashSet<String> = ids(&stored(&store));
    println!(
        "{} events before, {gone:?}, kept from {floor}",
        before.len()
    );
    assert!(gone.contacts > 50 && gone.rows > gone.contacts);
    assert_eq!(gone.events, (before.len() - kept.len()) as u64);
    let mut old_but_kept = 0;
    for contact in components(&before) {
        let stays = contact
            .iter()
            .filter(|e| kept.contains(&*e.event_id))
            .count();
        assert!(
            stays == 0 || stays == contact.len(),
            "a part of {contact:?}"
        );
        let is_over = contact
            .iter()
            .all(|e| e.occurred_at < floor && is_contact_event(e));
        assert!(is_over || stays > 0, "too much: {contact:?}");
        if is_over && stays > 0 {
            old_but_kept += 1;
            let events: Vec<Event> = contact.iter().map(|e| (*e).clone()).collect();
            let waits = fold_all(events).Case.iter().any(|case| case.is_open);
            let is_open = contact.iter().any(|e| open_ids.contains(&*e.event_id));
            assert!(waits || is_open, "for no reason: {contact:?}");
        }
    }
    println!("{old_but_kept} contacts are old and open");
    assert_whole(&store);
    // Nothing is due any more, also after a start.
    assert_eq!(retain(&store, STEP_EVENTS), None);
    let rows_before = rows(&store, &[]);
    drop(store);
    let store = open(at.path());
    assert_eq!(store.unknown_files(), [] as [PathBuf; 0]);
    assert_eq!(retain(&store, STEP_EVENTS), None);
    assert_eq!(rows(&store, &[]), rows_before);
}

fn ids(events: &[Event]) -> HashSet<String> {
    events.iter().map(|e| e.event_id.to_string()).collect()
}

#[test]
fn one_step_and_many_let_the_same_go() {
    let (_one, once) = folder(&calls());
    let (_many, often) = folder(&calls());
    let gone = retain(&once, STEP_EVENTS);
    assert_eq!(gone, retain(&often, 1));
    let (floor, gone) = gone.expect("something is due");
    // The newest call is of day 59, so that days 28 to 59 are kept, the newest not counted.
    assert_eq!((floor, gone.contacts, gone.events), (day(28), 84, 84 * 6));
    assert_same_rows(&once, &often, ARRIVAL);
    assert!(often.version().committed_seq > once.version().committed_seq + 20);
    assert_whole(&once);
}

#[test]
fn what_is_tied_to_something_newer_or_open_stays_whatever_its_age() {
    let [mut first, second] = calls_and_an_order();
    // A case of day 2 is open for ever, and one of day 3 solved.
    for (case, on) in [("open", 2), ("solved", 3)] {
        let data = format!(r#""case_id":"{case}","channel":"email""#);
        first.push(line(&format!("{case}-1"), "case.opened", day(on), &data));
    }
    let solved = r#""case_id":"solved""#;
    first.push(line("solved-2", "case.solved", day(4), solved));
    // An alert lasts, and another one has ended.
    for (alert, ends) in [("lasts", "warn"), ("ended", "ok")] {
        for (n, state) in [(1, "critical"), (2, ends)] {
            let data = format!(
                r#""alert_id":"{alert}","rule_id":"r","figure":"waiting","scope":"t","state":"{state}""#
            );
            first.push(line(
                &format!("{alert}-{n}"),
                "alert.changed",
                day(n),
                &data,
            ));
        }
    }
    // What an agent did, and who it is, is not a contact's.
    let shift = |id: &str, kind: &str, at| line(id, kind, at, SHIFT);
    first.push(shift("a-1", "agent.session_started", day(0)));
    first.push(shift(
        "a-2",
        "agent.session_ended",
        UtcMicros(day(0).0 + DAY / 3),
    ));
    let (_folder, store) = folder(&[first, second]);
    retain(&store, STEP_EVENTS).expect("something is due");
    let kept = ids(&stored(&store));
    let stays = |id: &str| kept.contains(id);
    assert!(stays("c000-1") && stays("o-1") && stays("o-2"));
    assert!(!stays("c001-1") && !stays("c272-6") && stays("c280-1"));
    assert!(stays("open-1") && !stays("solved-1") && !stays("solved-2"));
    assert!(stays("a-1") && stays("a-2"));
    assert!(stays("lasts-1") && stays("lasts-2") && !stays("ended-1") && !stays("ended-2"));
    assert_whole(&store);
}

#[test]
fn what_happened_before_the_floor_is_refused_by_name_and_what_is_stored_is_a_repeat() {
    let [first, second] = calls_and_an_order();
    let (_folder, store) = folder(&[first.clone(), second.clone()]);
    let (floor, gone) = retain(&store, STEP_EVENTS).expect("something is due");
    let after = rows_of_facts(&store);
    let mut late = call("late", 27, 23);
    late.extend(call("new", 28, 0));
    let report = import_text(
        &store,
        10_000,
        world::text(&[first.clone(), second, late].concat()),
    );
    assert_eq!((report.accepted, report.rejected), (6, gone.events + 6));
    assert_eq!(report.by_reason[&RejectCode::TooOld], gone.events + 6);
    let refused = &report.first_errors[0].reject;
    assert_eq!(refused.field, "occurred_at");
    for part in [floor.to_string().as_str(), "callgauge retain --keep"] {
        assert!(refused.detail.contains(part), "{}", refused.detail);
    }
    assert_eq!(count(&store, QUARANTINE), 0, "it is not kept as a reject");
    assert_ne!(rows_of_facts(&store), after, "the new call counts");
    assert_whole_but_quarantine(&store);

    // The same by the other door, where nothing of it is in the window.
    let store = Arc::new(store);
    let live = live::start(&store, live::settings(&live::clock()));
    let mut delivery = live.delivery();
    for (number, line) in (1..).zip(&first) {
        delivery.line(number, line.as_bytes());
    }
    let receipt = live
        .deliver_and_wait(delivery, OnError::KeepGood)
        .expect("a receipt");
    assert_eq!((receipt.accepted, receipt.rejected), (0, gone.events));
    assert_eq!(receipt.duplicate, first.len() as u64 - gone.events);
    assert_eq!(receipt.errors[0].code, RejectCode::TooOld);
    assert_eq!(receipt.too_old, gone.events);
    // Something new of a contact that went is taken: it stands alone.
    let mut delivery = live.delivery();
    let ended = r#""interaction_id":"c100","ended_by":"customer""#;
    let line = line("c100-7", "interaction.ended", day(58), ended);
    delivery.line(1, line.as_bytes());
    let receipt = live
        .deliver_and_wait(delivery, OnError::KeepGood)
        .expect("a receipt");
    assert_eq!(receipt.accepted, 1);
    live.shut_down().expect("a clean end");
    assert_eq!(count(&store, QUARANTINE), 0);
    let alone = |row: &&String| row.contains("interaction_id=c100 ");
    let facts = rows_of_facts(&store);
    let row = facts["interactions"].iter().find(alone).expect("a row");
    assert!(row.contains("inferred=true"), "{row}");
    assert_whole_but_quarantine(&store);
}

fn rows_of_facts(store: &Store) -> BTreeMap<String, Vec<String>> {
    let mut all = rows(store, ARRIVAL);
    all.remove(QUARANTINE);
    all
}

fn assert_whole_but_quarantine(store: &Store) {
    let again = Store::in_memory();
    import_text(&again, 10_000, world::text(&lines_of(&stored(store))));
    assert_eq!(rows_of_facts(store), rows_of_facts(&again));
    assert_eq!(store.verify().expect("readable").len(), 0);
}

#[test]
fn a_wrong_clock_lets_no_more_go_than_the_rule() {
    let year = UtcMicros(day(59).0 + 365 * DAY);
    let target = |store: &Store, now, all| {
        let plan = plan(store, KEEP, now, all).expect("readable");
        plan.map(|plan| plan.target)
    };
    let (_folder, store) = folder(&calls());
    // The newest event counts, and a clock that is behind keeps more.
    assert_eq!(target(&store, year, true), Some(day(28)));
    assert_eq!(target(&store, day(45), true), Some(day(14)));
    assert_eq!(
        target(&store, UtcMicros(0), true),
        Some(UtcMicros(-31 * DAY))
    );
    let first = plan(&store, KEEP, day(45), false).expect("readable");
    let_go(&store, &first.expect("due"), 1).expect("it is let go");
    // From then on two days a run, unless somebody says yes; and never back.
    assert_eq!(target(&store, year, false), Some(day(16)));
    assert_eq!(target(&store, year, true), Some(day(28)));
    assert_eq!(target(&store, day(40), true), None);
    let few = plan(&store, 1, year, true).expect("readable");
    assert_eq!(
        few.map(|plan| plan.target),
        Some(day(28)),
        "a month at least"
    );
    // An event of a later year, taken while the clock was wrong, does not outweigh the clock.
    import_text(&store, 10, world::text(&call("far", 150, 1)));
    assert_eq!(target(&store, day(60), true), Some(day(29)));
}

#[test]
fn nothing_to_keep_by_lets_nothing_go() {
    let (_folder, store) = folder(&[]);
    assert_eq!(
        plan(&store, KEEP, received(), true).expect("readable"),
        None
    );
    let lines = vec![line("a-1", "agent.session_started", day(0), SHIFT)];
    import_text(&store, 10, world::text(&lines));
    let (_, gone) = retain(&store, STEP_EVENTS).expect("the floor rises");
    assert_eq!((gone.events, count(&store, LOG)), (0, 1));
}

#[test]
fn a_version_in_use_keeps_its_rows_and_its_files() {
    let (folder, store) = folder(&calls());
    let reader = Store::open_read_only(folder.path()).expect("it opens");
    let all = rows(&store, &[]);
    let pinned = store.version();
    retain(&store, 1).expect("something is due");
    let visits = |version: &store::Version, store: &Store| -> usize {
        let batches = store.read(version, "queue_visits").expect("readable");
        batches
            .iter()
            .map(arrow::array::RecordBatch::num_rows)
            .sum()
    };
    assert_eq!(visits(&pinned, &store), 180);
    assert_eq!(visits(&store.version(), &store), 96);
    assert_eq!(rows(&reader, &[]), all);
    assert!(reader.refresh().expect("readable"));
    assert_eq!(rows(&reader, &[]), rows(&store, &[]));
    assert_eq!(reader.version().floors, store.version().floors);
    drop((reader, pinned));
    import_text(&store, 10, world::text(&call("next", 59, 20)));
    let named: u64 = store
        .version()
        .tables()
        .map(|t| {
            t.files
                .iter()
                .map(|f| 1 + u64::from(f.links.is_some()))
                .sum::<u64>()
        })
        .sum();
    let there = walk(&folder.path().join("parquet"));
    assert_eq!(there, named, "what nobody needs is gone from the disk");
}

fn walk(path: &Path) -> u64 {
    let entries = std::fs::read_dir(path).expect("a folder");
    let size = |entry: std::io::Result<std::fs::DirEntry>| {
        let path = entry.expect("an entry").path();
        if path.is_dir() { walk(&path) } else { 1 }
    };
    entries.map(size).sum()
}

#[test]
fn what_was_let_go_comes_back_neither_with_a_commit_nor_with_a_start() {
    let (folder, store) = folder(&calls());
    retain(&store, STEP_EVENTS).expect("something is due");
    import_text(&store, 10, world::text(&call("next", 59, 20)));
    store.compact(2).expect("files are put together");
    let floors = store.version().floors;
    assert_whole(&store);
    drop(store);
    // Also through new manifest files, which begin with the whole state.
    for _ in 0..3 {
        assert_eq!(open(folder.path()).version().floors, floors);
    }
    let stale = Store::open_read_only(folder.path()).expect("it opens");
    let (over, rows) = over(&stale, day(29));
    let refused = stale.prepare_let_go(&over, &rows);
    assert!(matches!(refused, Err(Error::ReadOnly)), "{refused:?}");
}

/// Contacts that can go, and their rows.
fn over(store: &Store, floor: UtcMicros) -> (store::Over, facts::FactRows) {
    let pinned = store.pinned().expect("readable");
    let over = store.contacts_over(&pinned, floor, &|| true);
    let over = over.expect("readable");
    let mut rows = facts::FactRows::default();
    for events in store.events_over(&over).expect("readable") {
        rows.append(&mut fold_all(events));
    }
    (over, rows)
}

fn files(folder: &Path) -> u64 {
    walk(&folder.join("parquet"))
}

#[test]
fn what_comes_while_it_is_prepared_keeps_the_contact_it_is_about_and_no_other() {
    let tied = vec![line("o-1", "order.placed", day(59), ORDER)];
    for (comes, goes) in [(call("other", 59, 20), true), (tied, false)] {
        let (folder, store) = folder(&calls());
        let (over, gone) = over(&store, day(2));
        assert_eq!(over.contacts(), 6);
        let prepared = store.prepare_let_go(&over, &gone).expect("written");
        let prepared = prepared.expect("all of it is in files");
        drop(over);
        import_text(&store, 10, world::text(&comes));
        let before = files(folder.path());
        let installed = store.install_let_go(prepared).expect("readable");
        assert_eq!(installed, goes);
        assert_eq!(store.version().floors.contacts, goes.then_some(day(2).0));
        assert_eq!(ids(&stored(&store)).contains("c000-1"), !goes);
        assert!(files(folder.path()) < before, "what nobody needs is gone");
        assert_whole(&store);
    }
}

#[test]
fn files_that_were_put_together_meanwhile_are_looked_at_anew() {
    let (_folder, store) = folder(&calls());
    let (over, rows) = over(&store, day(2));
    let prepared = store.prepare_let_go(&over, &rows).expect("written");
    drop(over);
    assert!(store.compact(2).expect("files are put together") > 0);
    let prepared = prepared.expect("all of it is in files");
    assert!(!store.install_let_go(prepared).expect("readable"));
    assert_eq!(
        retain(&store, STEP_EVENTS).map(|(floor, _)| floor),
        Some(day(28))
    );
    assert_whole(&store);
}

/// A server's ingest that lets contacts go, and its clock.
fn serving(store: &Arc<Store>) -> (LiveIngest, Arc<AtomicI64>) {
    let clock = live::clock();
    clock.store(day(60).0, Ordering::Relaxed);
    let settings = LiveSettings {
        keep_days: Some(KEEP),
        retain_every: Duration::from_millis(5),
        flush_age: Duration::from_millis(50),
        ..live::settings(&clock)
    };
    (live::start(store, settings), clock)
}

fn send(live: &LiveIngest, lines: &[String]) -> Receipt {
    let mut delivery = live.delivery();
    for (number, line) in (1..).zip(lines) {
        delivery.line(number, line.as_bytes());
    }
    let receipt = live.deliver_and_wait(delivery, OnError::KeepGood);
    receipt.expect("a receipt")
}

#[track_caller]
fn wait_for(live: &LiveIngest, holds: impl Fn(&LiveState) -> bool) {
    let begun = Instant::now();
    while !holds(&live.state()) {
        let state = live.state();
        assert!(begun.elapsed() < Duration::from_secs(60), "{state:?}");
        std::thread::yield_now();
    }
}

#[track_caller]
fn wait_for_floor(live: &LiveIngest, floor: UtcMicros) {
    wait_for(live, |state| state.kept_from >= Some(floor));
    assert_eq!(live.state().kept_from, Some(floor));
}

#[test]
fn a_server_lets_contacts_go_a_day_at_a_time_while_events_come() {
    let [first, second] = calls_and_an_order();
    let (at, store) = folder(&[first.clone(), second.clone()]);
    let store = Arc::new(store);
    let (live, clock) = serving(&store);
    // The oldest contact is of day 0: two days go at most on the first day, and two on each after.
    let mut sent = second;
    for run in 1..=14 {
        wait_for_floor(&live, day(2 * run));
        let more = call(&format!("late{run}"), 59, 9 + run % 10);
        assert_eq!(send(&live, &more).accepted, 6, "a contact that begins now");
        sent.extend(more);
        clock.fetch_add(DAY, Ordering::Relaxed);
    }
    // 83 contacts went; that with the order stays, so its events are repeats.
    let gone = 83 * 6;
    wait_for(&live, |state| state.let_go == gone);
    // Nothing is due any more: the newest event counts, whatever the clock says.
    assert_eq!(send(&live, &sent).duplicate, sent.len() as u64);
    let again = send(&live, &first);
    assert_eq!(live.state().kept_from, Some(day(28)));
    assert_eq!((again.accepted, again.rejected), (0, gone), "{again:?}");
    assert_eq!(again.duplicate, first.len() as u64 - gone);
    assert_eq!(again.errors[0].code, RejectCode::TooOld);
    live.shut_down().expect("a clean end");
    assert_whole_but_quarantine(&store);

    // The same as by hand, with everything else at rest.
    let (_folder, by_hand) = folder(&[[first, sent].concat()]);
    retain(&by_hand, STEP_EVENTS).expect("something is due");
    assert_eq!(rows_of_facts(&store), rows_of_facts(&by_hand));
    drop((live, store));
    let store = Arc::new(open(at.path()));
    assert_eq!(store.unknown_files(), [] as [PathBuf; 0]);
    assert_eq!(rows_of_facts(&store), rows_of_facts(&by_hand));
}

#[test]
fn what_the_fold_still_has_in_memory_is_forgotten_with_its_rows() {
    let (_at, store) = folder(&calls());
    let store = Arc::new(store);
    let (live, clock) = serving(&store);
    wait_for_floor(&live, day(2));
    // What is old leaves memory now, and then not before hours of events have come.
    send(&live, &call("now", 59, 20));
    let seq = live.state().committed_seq;
    assert!(live.wait_applied(seq, Duration::from_secs(60)));
    // A late word about a contact brings all of it to memory; then nothing comes for it any more.
    let late = line(
        "c020-7",
        "interaction.classified",
        UtcMicros(day(2).0 + 9 * 3_600_000_000),
        r#""interaction_id":"c020","reason_code":"billing","by":"agent""#,
    );
    assert_eq!(send(&live, &[late]).accepted, 1);
    clock.fetch_add(DAY, Ordering::Relaxed);
    wait_for_floor(&live, day(4));
    // Who is in which team restates what is in memory.
    let profile = r#""agent_id":"ann","effective_from":"2026-01-01T00:00:00Z","team_id":"t""#;
    let moved = line("p-1", "agent.profile_changed", day(59), profile);
    assert_eq!(send(&live, &[moved]).accepted, 1);
    let seq = live.state().committed_seq;
    assert!(live.wait_applied(seq, Duration::from_secs(60)));
    assert_eq!(live.state().stopped, None);
    // Something new of what went stands alone.
    let ended = r#""interaction_id":"c020","ended_by":"customer""#;
    let ended = line("c020-8", "interaction.ended", day(58), ended);
    assert_eq!(send(&live, &[ended]).accepted, 1);
    live.shut_down().expect("a clean end");
    assert_eq!(store.verify().expect("readable").len(), 0);
    let kept = ids(&stored(&store));
    assert!(kept.contains("c020-8") && !kept.contains("c020-1") && !kept.contains("c020-7"));
}

/// A crash in the middle leaves the contacts of a day whole or gone, and what was acknowledged.
#[test]
fn a_power_cut_of_a_server_that_lets_go_leaves_contacts_whole_or_gone() {
    let (locks, disk) = disk();
    let open = |disk: &Disk| Script::open_at(locks.path(), disk.io());
    let store = open(&disk).expect("the store opens");
    let before = ids(&stored(&store));
    disk.record();
    let (live, clock) = serving(&store);
    // What was acknowledged once so many changes of the disk were recorded.
    let mut acked = vec![(0, Vec::new())];
    for run in 1..=4 {
        wait_for_floor(&live, day(2 * run));
        let more = call(&format!("late{run}"), 59, 9 + run);
        send(&live, &more);
        let mut all = acked[acked.len() - 1].1.clone();
        all.extend(ids_of(&more));
        acked.push((disk.recorded(), all));
        clock.fetch_add(DAY, Ordering::Relaxed);
    }
    live.shut_down().expect("a clean end");
    drop((live, store));
    let mut states = disk.take_history();
    states.push(disk.state());
    let mut random = Random(5);
    let (mut tried, mut floors) = (0, HashSet::new());
    for (at, state) in states
        .iter()
        .enumerate()
        .filter(|(at, _)| at % one_of() == 0)
    {
        let known = acked.iter().rev().find(|(changes, _)| *changes <= at);
        let left = Left::any(&mut random);
        let what = format!("change {at}, {left:?}");
        let cut = Disk::of(state.after_power_cut(left, &mut random));
        let store = open(&cut).unwrap_or_else(|e| panic!("{what}: {e}"));
        recover(&store, live::SEED).unwrap_or_else(|e| panic!("{what}: {e}"));
        let there = ids(&stored(&store));
        let known = known.map_or(&[][..], |(_, all)| all);
        assert!(known.iter().all(|id| there.contains(id)), "{what}: lost");
        let floor = store.version().floors.contacts;
        // Six events a contact: all of them or none, and none only before the floor.
        for contact in before.iter().filter_map(|id| id.strip_suffix("-1")) {
            let events = (1..=6).filter(|n| there.contains(&format!("{contact}-{n}")));
            let events = events.count();
            let on: i64 = contact[1..3].parse().expect("a day");
            let may_go = floor.is_some_and(|floor| day(on).0 < floor);
            assert!(
                events == 6 || (events == 0 && may_go),
                "{what}: {events} of {contact}"
            );
        }
        assert_eq!(store.verify().expect("readable").len(), 0, "{what}");
        let again = Store::in_memory();
        import_text(&again, 10_000, world::text(&lines_of(&stored(&store))));
        assert_eq!(rows_of_facts(&store), rows_of_facts(&again), "{what}");
        floors.insert(floor);
        tried += 1;
    }
    println!(
        "{tried} states of {} changes, {} floors",
        states.len(),
        floors.len()
    );
    assert!(
        tried > 100 / one_of() && floors.len() >= 4,
        "{tried}, {floors:?}"
    );
}

fn ids_of(lines: &[String]) -> Vec<String> {
    let id = |line: &String| {
        let rest = line.split(r#""event_id":""#).nth(1).expect("an id");
        rest.split('"').next().expect("an id").to_owned()
    };
    lines.iter().map(id).collect()
}

/// A disk with calls of 60 days on it, a restart behind, and where its locks are.
fn disk() -> (tempfile::TempDir, Disk) {
    let locks = tempfile::tempdir().expect("a folder");
    let disk = Disk::default();
    let store = open_disk(&locks, &disk).expect("the store opens");
    for lines in calls() {
        import_text(&store, 10_000, world::text(&lines));
    }
    drop(store);
    let settled = disk.state().settled();
    (locks, Disk::of(settled))
}

fn open_disk(locks: &tempfile::TempDir, disk: &Disk) -> store::Result<Store> {
    let settings = Settings {
        threads: 1,
        manifest_edits: 3,
        ..Settings::default()
    };
    Store::open_with(locks.path(), settings, disk.io())
}

/// Lets go in four edits of a week each; the number of those that were made.
fn in_weeks(store: &Store) -> store::Result<usize> {
    let Some(due) = plan(store, KEEP, received(), true)? else {
        return Ok(4);
    };
    let week = |n: i64| day(7 * n);
    let done = (1..=4).filter(|n| due.floor >= Some(week(*n))).count();
    for n in done + 1..=4 {
        let target = week(n as i64);
        let_go(store, &due.up_to(target), STEP_EVENTS)?;
    }
    Ok(4)
}

type Contents = BTreeMap<String, Vec<String>>;

/// What a store holds after each edit, with its floor.
fn expected() -> Vec<(Option<i64>, Contents)> {
    let (locks, disk) = disk();
    let store = open_disk(&locks, &disk).expect("the store opens");
    let due = plan(&store, KEEP, received(), true).expect("readable");
    let due = due.expect("something is due");
    let mut all = vec![(None, rows(&store, &[]))];
    for n in 1..=4 {
        let target = day(7 * n);
        let step = due.up_to(target);
        let gone = let_go(&store, &step, STEP_EVENTS).expect("it is let go");
        assert_eq!(gone.contacts, 21);
        all.push((store.version().floors.contacts, rows(&store, &[])));
    }
    assert_eq!(all[4].0, Some(due.target.0));
    assert_eq!(store.verify().expect("readable").len(), 0);
    all
}

/// The number of edits that the store has seen: all of each or nothing.
fn edits(store: &Store, expected: &[(Option<i64>, Contents)], what: &str) -> usize {
    let found = (store.version().floors.contacts, rows(store, &[]));
    let edits = expected.iter().position(|state| *state == found);
    let edits = edits.unwrap_or_else(|| panic!("{what}: a part of an edit"));
    assert_eq!(store.verify().expect("readable").len(), 0, "{what}");
    assert_eq!(store.unknown_files(), [] as [PathBuf; 0], "{what}");
    edits
}

/// Of so many states and faults one is tried: all of them take minutes, which is for `scripts/soak`.
fn one_of() -> usize {
    let asked = std::env::var("CALLGAUGE_RETAIN_ONE_OF").ok();
    asked.map_or(7, |one_of| one_of.parse().expect("a number above 0"))
}

#[test]
fn a_power_cut_at_any_operation_leaves_all_of_an_edit_or_nothing() {
    let expected = expected();
    let (locks, disk) = disk();
    disk.record();
    let store = open_disk(&locks, &disk).expect("the store opens");
    // How many edits were acknowledged once so many changes of the disk were recorded.
    let mut acknowledged = vec![(0, 0)];
    let due = plan(&store, KEEP, received(), true).expect("readable");
    let due = due.expect("something is due");
    for n in 1..=4 {
        let target = day(7 * n);
        let step = due.up_to(target);
        let_go(&store, &step, STEP_EVENTS).expect("it is let go");
        acknowledged.push((disk.recorded(), n as usize));
    }
    drop(store);
    let mut states = disk.take_history();
    states.push(disk.state());
    let mut random = Random(11);
    let mut tried = 0;
    for (at, state) in states.iter().enumerate() {
        let known = acknowledged
            .iter()
            .rev()
            .find(|(changes, _)| *changes <= at);
        let known = known.map_or(0, |(_, edits)| *edits);
        for turn in (0..6).filter(|turn| (at + turn).is_multiple_of(one_of())) {
            let left = Left::any(&mut random);
            let what = format!("change {at}, turn {turn}, {left:?}");
            let cut = Disk::of(state.after_power_cut(left, &mut random));
            let store = open_disk(&locks, &cut).unwrap_or_else(|e| panic!("{what}: {e}"));
            let there = edits(&store, &expected, &what);
            assert!(
                there == known || there == known + 1,
                "{what}: {there}, {known}"
            );
            tried += 1;
            // Whatever was reached, the next run goes on from there to the same end.
            if at.is_multiple_of(4) && turn == 0 {
                in_weeks(&store).unwrap_or_else(|e| panic!("{what}: {e}"));
                // The sequence tells how many edits there were, which is the same.
                assert_eq!(edits(&store, &expected, &what), 4, "{what}");
            }
        }
    }
    println!(
        "{tried} states after power cuts of {} changes",
        states.len()
    );
    assert!(tried > 300 / one_of(), "{tried}");
}

#[test]
fn an_operation_that_fails_loses_nothing_and_the_next_run_completes_it() {
    let expected = expected();
    let (locks, whole) = disk();
    let begun = whole.state();
    let operations = {
        let disk = Disk::of(begun.clone());
        let store = open_disk(&locks, &disk).expect("the store opens");
        in_weeks(&store).expect("it is let go");
        disk.operations()
    };
    let mut failed = 0;
    for at in (0..operations).filter(|at| (at / 3).is_multiple_of(one_of())) {
        for (number, fault) in [Fault::Error(EIO), Fault::Error(ENOSPC), Fault::Half]
            .into_iter()
            .enumerate()
        {
            // Each operation with one of them, and each of them with a third of the operations.
            if at % 3 != number {
                continue;
            }
            let what = format!("{fault:?} at operation {at}");
            let disk = Disk::of(begun.clone());
            let for_ever = at % 2 == 0;
            disk.plan(Some(Plan {
                at,
                fault,
                for_ever,
            }));
            let mut known = 0;
            if let Ok(store) = open_disk(&locks, &disk) {
                let done = in_weeks(&store);
                failed += usize::from(done.is_err());
                known = done.unwrap_or(0);
            }
            disk.plan(None);
            let store = open_disk(&locks, &disk).unwrap_or_else(|e| panic!("{what}: {e}"));
            let there = edits(&store, &expected, &what);
            assert!(there >= known, "{what}: {there} of {known}");
            in_weeks(&store).unwrap_or_else(|e| panic!("{what}: {e}"));
            assert_eq!(edits(&store, &expected, &what), 4, "{what}");
        }
    }
    println!("{operations} operations, {failed} runs failed");
    assert!(
        failed > operations / 4 / one_of(),
        "{failed} of {operations}"
    );
}

/// Changes one bit of a file.
fn damage(path: &Path) {
    let mut bytes = std::fs::read(path).expect("the file");
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(path, bytes).expect("the file is written");
}

#[test]
fn a_damaged_file_stops_it_before_anything_goes() {
    for table in [LOG, "queue_visits"] {
        let (folder, store) = folder(&calls());
        let before = store.version().committed_seq;
        let file = Arc::clone(&store.version().table(table).expect("a table").files[0]);
        drop(store);
        damage(&folder.path().join(&file.path));
        let store = open(folder.path());
        let due = plan(&store, KEEP, received(), true).expect("readable");
        let refused = let_go(&store, &due.expect("something is due"), STEP_EVENTS);
        assert!(matches!(refused, Err(Error::Damaged { .. })), "{refused:?}");
        assert_eq!(store.version().committed_seq, before);
        assert_eq!(store.version().floors.contacts, None);
    }
}

#[test]
fn a_repair_brings_back_what_is_older_than_the_floor_and_was_kept() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = Arc::new(open(folder.path()));
    let live = live::start(&store, live::settings(&live::clock()));
    let mut delivery = live.delivery();
    for (number, line) in (1..).zip(calls_and_an_order().concat()) {
        delivery.line(number, line.as_bytes());
    }
    let receipt = live.deliver_and_wait(delivery, OnError::KeepGood);
    assert_eq!(receipt.expect("a receipt").rejected, 0);
    live.shut_down().expect("a clean end");
    drop(live);
    retain(&store, STEP_EVENTS).expect("something is due");
    let kept = ids(&stored(&store));
    assert!(kept.contains("c000-1") && !kept.contains("c001-1"));
    let before = rows_of_facts(&store);
    let files: Vec<PathBuf> = {
        let version = store.version();
        let log = &version.table(LOG).expect("the log").files;
        log.iter().map(|f| folder.path().join(&f.path)).collect()
    };
    drop(store);
    files.iter().for_each(|file| damage(file));
    let store = open(folder.path());
    let found = examine(&store).expect("readable");
    assert!(found.lost.is_empty(), "{found:?}");
    repair(&store, &found, received()).expect("it is repaired");
    drop(store);
    let store = open(folder.path());
    assert_eq!(ids(&stored(&store)), kept);
    assert_eq!(rows_of_facts(&store), before);
    // A correction of it is as old as it is.
    let refused = line("late", "order.placed", day(0), ORDER);
    let report = import_text(&store, 10, world::text(&[refused]));
    let detail = &report.first_errors[0].reject.detail;
    assert!(detail.contains("nothing new is taken"), "{detail}");
}

#[test]
fn a_repair_afterwards_folds_the_same_and_brings_back_nothing_that_was_let_go() {
    let folder = tempfile::tempdir().expect("a folder");
    // By the log of a server, which may still hold what is in files.
    for lines in calls() {
        let store = Arc::new(open(folder.path()));
        let live = live::start(&store, live::settings(&live::clock()));
        let mut delivery = live.delivery();
        for (number, line) in (1..).zip(&lines) {
            delivery.line(number, line.as_bytes());
        }
        let receipt = live.deliver_and_wait(delivery, OnError::KeepGood);
        assert_eq!(receipt.expect("a receipt").accepted, lines.len() as u64);
        live.shut_down().expect("a clean end");
    }
    let store = open(folder.path());
    let kept_log = || -> usize {
        let frames = store
            .read_kept_wal()
            .expect("readable")
            .into_iter()
            .flatten();
        frames.map(|f| f.expect("whole").payload.len()).sum()
    };
    assert!(kept_log() > 10_000, "the log holds what is in files");
    recover(&store, live::SEED).expect("a log");
    retain(&store, 100).expect("something is due");
    let before = rows_of_facts(&store);
    let file = Arc::clone(
        &store
            .version()
            .table("interactions")
            .expect("a table")
            .files[0],
    );
    let path = |file: &str| folder.path().join(file);
    drop(store);
    damage(&path(&file.path));
    let store = open(folder.path());
    let found = examine(&store).expect("readable");
    assert!(found.lost.is_empty(), "{found:?}");
    repair(&store, &found, received()).expect("it is repaired");
    assert_eq!(rows_of_facts(&store), before);
    assert_whole(&store);

    // A file of the log: what is in the write-ahead log still comes back, and nothing older.
    let floor = store.version().floors.contacts;
    let events = ids(&stored(&store));
    let files: Vec<String> = {
        let version = store.version();
        let log = &version.table(LOG).expect("the log").files;
        log.iter().map(|f| f.path.clone()).collect()
    };
    drop(store);
    files.iter().for_each(|file| damage(&path(file)));
    let store = open(folder.path());
    let found = examine(&store).expect("readable");
    repair(&store, &found, received()).expect("it is repaired");
    drop(store);
    let store = open(folder.path());
    assert!(ids(&stored(&store)).is_subset(&events));
    assert_eq!(store.version().floors.contacts, floor);
    assert_whole_but_quarantine(&store);
}
