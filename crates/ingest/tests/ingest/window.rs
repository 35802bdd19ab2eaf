//! Exactly once over at least seven days, and what lies before them.

use std::{
    sync::{
        Arc, Condvar, Mutex,
        atomic::{AtomicBool, Ordering},
        mpsc,
    },
    time::Duration,
};

use events::{RejectCode, UtcMicros};
use ingest::{
    ImportReport, ImportSettings, Importer,
    csv_mapping::Mapping,
    formats::{CsvLines, Inputs},
    live::{LiveIngest, OnError, Receipt, examine},
    ndjson::Ndjson,
};
use store::{LOG, Settings, Store};

use crate::{
    count,
    hooked::{HookedIo, Moment, Op},
    intake, live, no_time, settings,
};

const MINUTE_MS: i64 = 60_000;
const DAY_MS: i64 = 24 * 60 * MINUTE_MS;

/// A minute before a day ends.
fn late() -> UtcMicros {
    UtcMicros::parse_rfc3339("2026-03-20T23:59:00Z").expect("a valid time")
}

fn line(id: &str, contact: &str, at: UtcMicros) -> String {
    format!(
        r#"{{"source":"pbx","event_id":"{id}","event_type":"interaction.started","occurred_at":"{at}","data":{{"interaction_id":"{contact}","channel":"voice","direction":"inbound"}}}}"#
    )
}

fn import_at(store: &Store, now: UtcMicros, batch_events: usize, lines: &[String]) -> ImportReport {
    let settings = ImportSettings {
        recorded_at: now,
        ..settings(batch_events)
    };
    let mut importer = Importer::new(store, settings).expect("a readable store");
    let inputs = Inputs::stream(None, std::io::Cursor::new(lines.join("\n")));
    let mut intake = intake();
    intake.recorded_at = now;
    let report = importer.run(&mut Ndjson::new(inputs, intake), &no_time, &mut |_| {});
    report.expect("the import runs")
}

#[test]
fn an_import_knows_an_id_for_seven_days_whatever_the_time_of_its_event() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = Store::create_or_open(folder.path()).expect("the store opens");
    let day = |n: i64| late().plus_ms((n - 20) * DAY_MS);
    let (first, other) = (line("x1", "c1", day(2)), line("x1", "c2", day(12)));
    // One batch after the other, one import after the other, and after another start.
    let report = import_at(&store, late(), 1, &[first.clone(), other.clone()]);
    assert_eq!((report.accepted, report.rejected), (1, 1));
    assert_eq!(report.by_reason[&RejectCode::IdConflict], 1);
    drop(store);
    let store = Store::create_or_open(folder.path()).expect("the store opens");
    for days in [0, 7] {
        let now = late().plus_ms(days * DAY_MS);
        let report = import_at(&store, now, 1, &[first.clone(), other.clone()]);
        let found = (report.accepted, report.duplicate, report.rejected);
        assert_eq!(found, (0, 1, 1), "after {days} days");
    }
    // After the window an id may be used again: a remark, not damage.
    let report = import_at(&store, late().plus_ms(9 * DAY_MS), 1, &[other]);
    assert_eq!((report.accepted, report.rejected), (1, 0));
    let found = store.verify_all().expect("readable");
    assert!(found.errors.is_empty(), "{:?}", found.errors);
    assert_eq!(found.reused_ids, 1);
    let found = examine(&store).expect("readable");
    assert!(found.others.is_empty() && found.damaged.is_empty());
}

/// Imports a table of orders: their number, when they were shipped and when they came back.
fn import_orders(store: &Store, now: UtcMicros, rows: &str) -> ImportReport {
    let mapping = "format: 1\nsource: shop\ntime: { format: rfc3339 }\nrow_key: [no]\nemit:\n\
        - event: order.shipped\n  at: shipped\n  data: { order_id: no }\n\
        - event: order.returned\n  at: returned\n  data: { order_id: no }\n";
    let mapping = Mapping::parse("m.yml", mapping).unwrap_or_else(|p| panic!("{p:?}"));
    let table = format!("no,shipped,returned\n{rows}");
    let inputs = Inputs::stream(Some("orders.csv".into()), std::io::Cursor::new(table));
    let mut rows = CsvLines::new(inputs, &mapping, "default".into(), now);
    let settings = ImportSettings {
        recorded_at: now,
        ..settings(100)
    };
    let mut importer = Importer::new(store, settings).expect("a readable store");
    let report = importer.run(&mut rows, &no_time, &mut |_| {});
    report.expect("the import runs")
}

#[test]
fn a_row_of_a_table_that_is_changed_weeks_later_is_left_out_and_said() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = Store::create_or_open(folder.path()).expect("the store opens");
    let row = |shipped: UtcMicros, returned: UtcMicros| format!("1,{shipped},{returned}\n");
    let (shipped, returned) = (late().plus_ms(-3 * DAY_MS), late().plus_ms(-DAY_MS));
    let first = row(shipped, returned);
    assert_eq!(import_orders(&store, late(), &first).accepted, 2);
    let later = late().plus_ms(30 * DAY_MS);
    let changed = row(shipped, late().plus_ms(20 * DAY_MS));
    let report = import_orders(&store, later, &changed);
    assert_eq!(
        (report.accepted, report.duplicate, report.rejected),
        (0, 1, 1)
    );
    let why = report.first_errors[0].reject.to_string();
    assert!(
        why.contains("of source 'shop'") && why.contains("left out"),
        "{why}"
    );
    let report = import_orders(&store, later, &first);
    assert_eq!(
        (report.accepted, report.duplicate, report.rejected),
        (0, 2, 0)
    );
}

fn deliver(live: &LiveIngest, lines: &[String]) -> Receipt {
    let mut delivery = live.delivery();
    for (number, line) in (1..).zip(lines) {
        delivery.line(number, line.as_bytes());
    }
    let receipt = live.deliver_and_wait(delivery, OnError::KeepGood);
    receipt.expect("a receipt")
}

#[test]
fn an_event_from_a_clock_that_is_ahead_is_known_seven_days_later() {
    for starts_again in [false, true] {
        let folder = tempfile::tempdir().expect("a folder");
        let store = Arc::new(Store::create_or_open(folder.path()).expect("the store opens"));
        let clock = live::clock();
        clock.store(late().0, Ordering::Relaxed);
        let mut live = live::start(&store, live::settings(&clock));
        let ahead = [line("x1", "c1", late().plus_ms(4 * MINUTE_MS))];
        let receipt = deliver(&live, &ahead);
        assert_eq!(receipt.accepted, 1);
        assert!(live.wait_applied(receipt.committed_seq, Duration::from_secs(60)));
        let later = late().plus_ms(7 * DAY_MS + 2 * MINUTE_MS);
        clock.store(later.0, Ordering::Relaxed);
        if starts_again {
            live.shut_down().expect("a clean end");
            live = live::start(&store, live::settings(&clock));
        }
        assert_eq!(deliver(&live, &ahead).duplicate, 1, "{starts_again}");
        live.shut_down().expect("a clean end");
        assert_eq!(count(&store, LOG), 1);
    }
}

/// Holds up whoever reads a file of events, once it is told to.
#[derive(Default)]
struct Gate {
    armed: AtomicBool,
    open: Mutex<bool>,
    opened: Condvar,
}

impl Gate {
    fn pass(&self, reached: &mpsc::Sender<()>) {
        if !self.armed.load(Ordering::Acquire) {
            return;
        }
        // Only the first one is waited for.
        let _ = reached.send(());
        let open = self.open.lock().expect("the gate");
        drop(
            self.opened
                .wait_while(open, |open| !*open)
                .expect("the gate"),
        );
    }

    fn open(&self) {
        *self.open.lock().expect("the gate") = true;
        self.opened.notify_all();
    }
}

#[test]
fn events_of_long_ago_hold_up_nobody_but_their_sender() {
    let folder = tempfile::tempdir().expect("a folder");
    let old: Vec<String> = (0..40)
        .map(|n| {
            line(
                &format!("x{n}"),
                &format!("c{n}"),
                late().plus_ms(-n * DAY_MS),
            )
        })
        .collect();
    let clock = live::clock();
    clock.store(late().0, Ordering::Relaxed);
    let store = Arc::new(Store::create_or_open(folder.path()).expect("the store opens"));
    let live = live::start(&store, live::settings(&clock));
    assert_eq!(deliver(&live, &old).accepted, 40);
    live.shut_down().expect("a clean end");
    drop((live, store));

    let gate = Arc::new(Gate::default());
    let (reached, at_the_gate) = mpsc::channel();
    let hook = {
        let gate = Arc::clone(&gate);
        move |op: Op, moment: Moment, path: &std::path::Path| {
            let is_log = path.parent().is_some_and(|p| p.ends_with("parquet/log"));
            let is_rows = path.extension().is_some_and(|e| e == "parquet");
            if op == Op::Read && moment == Moment::Before && is_log && is_rows {
                gate.pass(&reached);
            }
        }
    };
    let later = late().plus_ms(60 * DAY_MS);
    clock.store(later.0, Ordering::Relaxed);
    let io = Arc::new(HookedIo(Arc::new(hook)));
    let store = Store::open_with(folder.path(), Settings::default(), io);
    let store = Arc::new(store.expect("the store opens"));
    let live = live::start(&store, live::settings(&clock));
    gate.armed.store(true, Ordering::Release);
    let sender = {
        let live = live.clone();
        std::thread::spawn(move || deliver(&live, &old))
    };
    let patience = Duration::from_secs(60);
    at_the_gate
        .recv_timeout(patience)
        .expect("the old events are looked up");
    let (answer, answered) = mpsc::channel();
    let mut fresh = live.delivery();
    fresh.line(1, line("fresh", "fresh", later).as_bytes());
    let answer = Box::new(move |receipt| answer.send(receipt).expect("somebody waits"));
    live.deliver(fresh, OnError::KeepGood, answer);
    let receipt = answered.recv_timeout(patience);
    let receipt = receipt.expect("an answer while the old ones wait");
    assert_eq!(receipt.expect("a receipt").accepted, 1);
    gate.open();
    let receipt = sender.join().expect("the sender ends");
    assert_eq!((receipt.accepted, receipt.duplicate), (0, 40));
    live.shut_down().expect("a clean end");
}
