//! The live board against everything that says the same by another way.
//!
//! Simulated weeks are taken event by event, shuffled, late, some twice, cut into random batches,
//! partly flushed to files, while boards make frames, are thrown away and made again. At random
//! moments all cells must be those of a board that was made just then, and of these the KPIs of a
//! window what [`Engine::kpi`] answers over the same range, and states what SQL counts in the facts.
//!
//! `CALLGAUGE_LIVE_DAYS` sets how many days are tried; the zones change their clocks in the week.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use engine::live::{Cell, CellKey, CellValue, Frame, LiveBoard, LiveSettings, Scope};
use engine::{Engine, Grain, KpiRequest, KpiRow, Present, Settings, parse_zone};
use events::{Event, EventData, UtcMicros};
use facts::{FoldSettings, Folder, NoHistory};
use sim::{Config, World};
use store::{Commit, Mode, Store};

use crate::data::catalogue;

const DAYS: u64 = 42;
const WEEK: u64 = 7;
const HOUR_US: i64 = 3_600_000_000;

/// Zones with a day in a week in which something happens to their clocks; one has no such days.
const WEEKS: [(&str, &str); 6] = [
    ("America/New_York", "2026-03-06T05:00:00Z"),
    ("America/New_York", "2026-10-30T04:00:00Z"),
    ("Australia/Lord_Howe", "2026-04-02T13:00:00Z"),
    ("America/Santiago", "2026-09-03T04:00:00Z"),
    ("Asia/Kathmandu", "2026-03-02T18:15:00Z"),
    ("Europe/Lisbon", "2026-03-26T00:00:00Z"),
];

/// A small generator (xorshift), so that a seed is a test.
struct Dice(u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, n: u64) -> u64 {
        self.next() % n
    }

    fn percent(&mut self, n: u64) -> bool {
        self.below(100) < n
    }
}

/// A store that takes events as a live server does, with an engine over it.
pub struct Centre {
    store: Arc<Store>,
    pub engine: Arc<Engine>,
    /// The present of the engine.
    pub clock: Arc<AtomicI64>,
    folder: Folder,
    _files: Option<tempfile::TempDir>,
}

impl Centre {
    pub fn new(on_disk: bool) -> Self {
        let files = on_disk.then(|| tempfile::tempdir().unwrap());
        let store = match &files {
            Some(files) => Store::create_or_open(files.path()).unwrap(),
            None => Store::in_memory(),
        };
        let store = Arc::new(store);
        let engine = Engine::new(Arc::clone(&store), catalogue(), Settings::default()).unwrap();
        let clock = Arc::new(AtomicI64::new(0));
        let now = Arc::clone(&clock);
        let present = move || Present::At(UtcMicros(now.load(Ordering::SeqCst)));
        let engine = engine.with_present(Arc::new(present));
        Centre {
            store,
            engine: Arc::new(engine),
            clock,
            folder: Folder::new(FoldSettings::default()),
            _files: files,
        }
    }

    pub fn take(&mut self, events: Vec<Event>) {
        if events.is_empty() {
            return;
        }
        let recorded_at = events.iter().map(|e| e.recorded_at).max().unwrap();
        let edit = self.folder.apply(events, &NoHistory).unwrap();
        let checkpoint: Vec<&Event> = self.folder.checkpoint().collect();
        let commit = Commit {
            edit: &edit,
            quarantine: &[],
            checkpoint: Some(&checkpoint),
            arrived_seq: None,
            mode: Mode::Memory,
            recorded_at,
        };
        self.store.commit(commit).unwrap();
    }
}

/// The events of a world in the order in which they arrive: some late, some twice.
fn arriving(config: &Config, dice: &mut Dice) -> Vec<Event> {
    let mut all: Vec<Event> = Vec::new();
    for mut event in World::new(config).unwrap() {
        let late_s = match dice.below(100) {
            0 => dice.below(6 * 3_600),
            1..=4 => dice.below(1_200),
            _ => dice.below(2),
        };
        event.recorded_at = event.occurred_at.plus_ms(late_s as i64 * 1_000);
        if dice.percent(3) {
            let mut again = event.clone();
            again.recorded_at = again.recorded_at.plus_ms(dice.below(600_000) as i64);
            all.push(again);
        }
        all.push(event);
    }
    all.sort_by_key(|event| event.recorded_at);
    all
}

pub fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap()
}

fn days() -> u64 {
    let text = std::env::var("CALLGAUGE_LIVE_DAYS").ok();
    text.map_or(DAYS, |text| {
        text.parse().expect("CALLGAUGE_LIVE_DAYS is a number")
    })
}

#[test]
fn what_was_loaded_before_the_board_began_is_no_update_and_what_comes_late_is() {
    let at = |time: &str| UtcMicros::parse_rfc3339(time).unwrap();
    let (noon, late) = (at("2026-03-02T12:00:00Z"), at("2026-03-02T12:10:00Z"));
    let eight = at("2026-03-02T08:00:00Z")..at("2026-03-02T08:20:00Z");
    let config = Config {
        seed: 7,
        days: 1,
        agents: 5,
        start: at("2026-03-02T00:00:00Z"),
        ..Config::default()
    };
    let events = World::new(&config)
        .unwrap()
        .filter(|e| e.occurred_at < noon);
    let (held, mut loaded): (Vec<Event>, Vec<Event>) =
        events.partition(|event| eight.contains(&event.occurred_at));
    loaded.iter_mut().for_each(|event| event.recorded_at = noon);
    let mut centre = Centre::new(false);
    centre.take(loaded);
    let board = |began| {
        let settings = LiveSettings {
            began,
            ..LiveSettings::default()
        };
        LiveBoard::new(Arc::clone(&centre.engine), settings).unwrap()
    };
    let (early, board) = (board(UtcMicros(0)), board(noon));
    let updated = |frame: &Frame| -> Vec<UtcMicros> {
        let keys = frame.cells.keys().filter(|key| &*key.figure == "updated");
        let start = |scope: &Scope| match scope {
            Scope::Interval(start) => *start,
            other => panic!("{other:?}"),
        };
        keys.map(|key| start(&key.scope)).collect()
    };
    let frame = |board: &LiveBoard, now: UtcMicros| runtime().block_on(board.frame(now)).unwrap();
    assert!(updated(&frame(&early, noon.plus_ms(1_000))).len() > 5);
    assert_eq!(updated(&frame(&board, noon.plus_ms(1_000))), []);
    centre.take(
        held.into_iter()
            .map(|event| Event {
                recorded_at: late,
                ..event
            })
            .collect(),
    );
    let after = updated(&frame(&board, late.plus_ms(1_000)));
    assert!(after.contains(&eight.start), "{after:?}");
    assert!(
        after
            .iter()
            .all(|start| *start < at("2026-03-02T10:00:00Z")),
        "{after:?}"
    );
}

/// Of one interval: what the board shows, what the report says.
fn offered_in(centre: &Centre, frame: &Frame, start: UtcMicros) -> [Option<f64>; 2] {
    let request = KpiRequest {
        ids: vec!["offered".to_owned()],
        from: Some(start),
        to: Some(UtcMicros(start.0 + HOUR_US / 2)),
        grain: Some(Grain::M30),
        fill: true,
        ..KpiRequest::default()
    };
    centre.clock.store(frame.as_of.0, Ordering::SeqCst);
    let report = runtime().block_on(centre.engine.kpi(&request)).unwrap();
    let is_cell =
        |key: &&CellKey| key.scope == Scope::Interval(start) && &*key.figure == "offered@today";
    let cell = frame.cells.keys().find(is_cell).expect("the interval");
    let shown = match frame.cells[cell].value {
        CellValue::Number(value, _) => Some(value),
        _ => None,
    };
    [shown, report.rows[0].value]
}

#[test]
fn an_interval_before_the_first_event_is_unknown_and_a_quiet_one_is_zero_on_board_and_in_report() {
    let at = |time: &str| UtcMicros::parse_rfc3339(time).unwrap();
    let (nine, one) = (at("2026-03-02T09:00:00Z"), at("2026-03-02T13:00:00Z"));
    let config = Config {
        seed: 7,
        days: 1,
        agents: 5,
        start: at("2026-03-02T00:00:00Z"),
        ..Config::default()
    };
    let events = World::new(&config).unwrap();
    let tells = |event: &Event| matches!(event.data, EventData::SourceWatermark(_));
    let before_one = events.filter(|e| e.occurred_at < one && !tells(e));
    let (early, late): (Vec<Event>, Vec<Event>) = before_one.partition(|e| e.occurred_at < nine);
    let mut centre = Centre::new(false);
    let settings = LiveSettings::default();
    let board = LiveBoard::new(Arc::clone(&centre.engine), settings).unwrap();
    let frame = |now: &str| runtime().block_on(board.frame(at(now))).unwrap();
    let eight = at("2026-03-02T08:00:00Z");

    let empty = frame("2026-03-02T09:20:00Z");
    assert_eq!(
        offered_in(&centre, &empty, eight),
        [None; 2],
        "no event yet"
    );
    centre.take(late);
    let first = frame("2026-03-02T17:10:00Z");
    assert_eq!(
        offered_in(&centre, &first, eight),
        [None; 2],
        "before the first"
    );
    let [shown, report] = offered_in(&centre, &first, at("2026-03-02T10:00:00Z"));
    assert!(shown.is_some() && shown == report, "{shown:?} {report:?}");
    let quiet = at("2026-03-02T16:00:00Z");
    assert_eq!(
        offered_in(&centre, &first, quiet),
        [Some(0.0); 2],
        "a quiet one"
    );
    let series = first
        .cells
        .iter()
        .find(|(key, _)| key.to_string() == "t.offered@today_30m");
    match series.map(|(_, cell)| &cell.value) {
        Some(CellValue::Series(values)) => assert_eq!(values[16], None, "{values:?}"),
        other => panic!("{other:?}"),
    }

    // What comes late makes the board know more, also of intervals in which nothing happened.
    centre.take(early);
    let second = frame("2026-03-02T17:11:00Z");
    let [shown, report] = offered_in(&centre, &second, eight);
    assert!(shown.is_some() && shown == report, "{shown:?} {report:?}");
    let [shown, report] = offered_in(&centre, &second, at("2026-03-02T03:00:00Z"));
    assert_eq!(shown, report, "in the night");
}

#[test]
fn live_board_equals_report_and_facts_on_random_days_first_half() {
    random_weeks(0);
}

#[test]
fn live_board_equals_report_and_facts_on_random_days_second_half() {
    random_weeks(1);
}

/// Every second week: two tests, so that two cores share them.
fn random_weeks(offset: u64) {
    let runtime = runtime();
    let mut checked = Checked::default();
    for week in (offset..days().div_ceil(WEEK)).step_by(2) {
        let seed = 7_000 + week;
        println!("seed {seed}");
        runtime.block_on(random_week(seed, &mut checked));
    }
    println!("{checked:?}");
    if days() >= DAYS {
        assert!(
            checked.numbers > 1_000 && checked.waiting > 0,
            "{checked:?}"
        );
        assert!(checked.agents > 0 && checked.updated > 10, "{checked:?}");
    }
}

/// What was compared, so that a test that compares nothing fails.
#[derive(Debug, Default)]
struct Checked {
    moments: usize,
    /// KPI cells.
    numbers: usize,
    /// Contacts that waited at a moment of comparison.
    waiting: usize,
    agents: usize,
    updated: usize,
    restarts: usize,
}

async fn random_week(seed: u64, checked: &mut Checked) {
    let mut dice = Dice(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1);
    let (zone, start) = WEEKS[(seed % WEEKS.len() as u64) as usize];
    let config = Config {
        seed,
        start: UtcMicros::parse_rfc3339(start).unwrap(),
        days: WEEK as u32,
        agents: 2 + dice.below(3) as u32,
        zone: parse_zone(zone).unwrap(),
        ..Config::default()
    };
    let settings = LiveSettings {
        zone: zone.to_owned(),
        day_start_minutes: [0, 0, 300, 1_410][dice.below(4) as usize],
        epoch: seed,
        ..LiveSettings::default()
    };
    let mut centre = Centre::new(dice.percent(50));
    let mut board = LiveBoard::new(Arc::clone(&centre.engine), settings.clone()).unwrap();
    let mut events = arriving(&config, &mut dice).into_iter().peekable();
    let moments = 2 * WEEK;
    let mut now = UtcMicros(0);
    let every = (1 + config.agents as u64) * 700 * WEEK / moments;
    while events.peek().is_some() {
        let until = 1 + dice.below(every);
        let mut taken = 0;
        while taken < until && events.peek().is_some() {
            let size = 1 + dice.below(60) as usize;
            let mut batch: Vec<Event> = events.by_ref().take(size).collect();
            taken += batch.len() as u64;
            now = now.max(batch.iter().map(|e| e.recorded_at).max().unwrap());
            for i in (1..batch.len()).rev() {
                batch.swap(i, dice.below(i as u64 + 1) as usize);
            }
            centre.take(batch);
            if dice.percent(10) {
                board.frame(now).await.unwrap();
            }
            if dice.percent(2) {
                centre.store.flush().unwrap();
            }
        }
        if dice.percent(20) {
            checked.restarts += 1;
            board = LiveBoard::new(Arc::clone(&centre.engine), settings.clone()).unwrap();
        }
        // Sometimes it is quiet for some time, also over midnight.
        let quiet_ms = [0, 1, 61_000, 3_600_000 * dice.below(9) as i64][dice.below(4) as usize];
        now = now.plus_ms(quiet_ms);
        centre.clock.store(now.0, Ordering::SeqCst);
        let frame = board.frame(now).await.unwrap();
        let fresh = LiveBoard::new(Arc::clone(&centre.engine), settings.clone()).unwrap();
        let fresh = fresh.frame(now).await.unwrap();
        same_cells(&frame, &fresh, seed);
        check_kpis(&centre.engine, &frame, &mut dice, checked).await;
        check_states(&centre.engine, &frame, &mut dice, checked).await;
        checked.moments += 1;
    }
}

/// A board that has followed and one that was made just now.
fn same_cells(frame: &Frame, fresh: &Frame, seed: u64) {
    for (key, cell) in &frame.cells {
        let other = fresh.cells.get(key);
        assert_eq!(Some(cell), other, "{key} at {} (seed {seed})", frame.as_of);
    }
    for key in fresh.cells.keys() {
        let known = frame.cells.contains_key(key);
        assert!(known, "{key} is missing at {} (seed {seed})", frame.as_of);
    }
}

/// One of the windows in each cut against the report.
async fn check_kpis(engine: &Engine, frame: &Frame, dice: &mut Dice, checked: &mut Checked) {
    let minute = frame.as_of.0 - frame.as_of.0.rem_euclid(60_000_000) + 60_000_000;
    let recent = (UtcMicros(minute - HOUR_US / 2), UtcMicros(minute));
    let today = (frame.day.start, frame.day.end);
    let ids: Vec<String> = frame.kpis.iter().map(|kpi| kpi.id.clone()).collect();
    let request = |(from, to): (UtcMicros, UtcMicros), by: &str, grain| KpiRequest {
        ids: ids.clone(),
        from: Some(from),
        to: Some(to),
        by: (!by.is_empty())
            .then(|| by.to_owned())
            .into_iter()
            .collect(),
        grain,
        fill: grain.is_some(),
        zone: Some(frame.zone.to_string()),
        ..KpiRequest::default()
    };
    let (window, request) = match dice.below(6) {
        0 => ("today", request(today, "", None)),
        1 => ("today", request(today, "queue_id", None)),
        2 => ("today", request(today, "channel", None)),
        3 => ("30m", request(recent, "", None)),
        4 => ("30m", request(recent, "queue_id", None)),
        _ => ("today", request(today, "", Some(Grain::M30))),
    };
    let rows = report(engine, request.clone(), frame).await;
    let expected: BTreeMap<String, &KpiRow> = rows
        .iter()
        .filter_map(|row| Some((key_of(row, window)?, row)))
        .collect();
    let shown: BTreeMap<String, &Cell> = frame
        .cells
        .iter()
        .filter(|(key, _)| {
            let of_cut = match &key.scope {
                Scope::Total => request.by.is_empty() && request.grain.is_none(),
                Scope::Interval(_) => request.grain.is_some(),
                Scope::Queue(_) => request.by == ["queue_id"],
                Scope::Channel(_) => request.by == ["channel"],
                Scope::Agent(_) => false,
            };
            of_cut && key.figure.ends_with(&format!("@{window}"))
        })
        .map(|(key, cell)| (key.to_string(), &**cell))
        .collect();
    let place = format!("{} of {window} by {:?}", frame.as_of, request.by);
    let names = |keys: Vec<&String>| format!("{keys:?}");
    assert_eq!(
        names(shown.keys().collect()),
        names(expected.keys().collect()),
        "{place} (epoch {})",
        frame.epoch
    );
    for (key, row) in expected {
        same_number(
            shown[&key],
            row,
            &format!("{key} at {place} (epoch {})", frame.epoch),
        );
        checked.numbers += 1;
    }
}

/// The report's rows. The end of the last half hour is that of the half hour, not of the moment.
async fn report(engine: &Engine, mut request: KpiRequest, frame: &Frame) -> Vec<KpiRow> {
    if request.grain.is_some() {
        let known = frame.cells.keys().filter_map(|key| match &key.scope {
            Scope::Interval(start) => Some(start.0),
            _ => None,
        });
        let last = known.max().unwrap();
        request.to = Some(UtcMicros((last + HOUR_US / 2).min(frame.day.end.0)));
    }
    engine.kpi(&request).await.unwrap().rows
}

fn key_of(row: &KpiRow, window: &str) -> Option<String> {
    let scope = match (row.period_start, row.dims.first()) {
        (Some(start), None) => format!("i.{}", start.0.div_euclid(1_000_000)),
        (None, None) => "t".to_owned(),
        (None, Some((name, Some(id)))) => format!("{}.{id}", &name[..1]),
        _ => return None,
    };
    Some(format!("{scope}.{}@{window}", row.kpi))
}

fn same_number(cell: &Cell, row: &KpiRow, place: &str) {
    let value = match &cell.value {
        CellValue::Number(value, unit) => {
            assert_eq!(*unit, row.unit, "{place}");
            Some(*value)
        }
        CellValue::Nothing => None,
        other => panic!("{place}: {other:?}"),
    };
    assert_eq!(value, row.value, "{place}");
    let operands = (cell.numerator, cell.denominator, cell.n);
    assert_eq!(operands, (row.numerator, row.denominator, row.n), "{place}");
    let judged = (cell.status, cell.target);
    assert_eq!(judged, (row.status, row.target), "{place}");
}

/// Counts in the facts, by SQL that knows nothing of the board: who waits, and one other state.
async fn check_states(engine: &Engine, frame: &Frame, dice: &mut Dice, checked: &mut Checked) {
    let waiting = "queue_visits WHERE waiting AND visit_kind <> 'internal'";
    checked.waiting += compare(engine, frame, "waiting", waiting, "count(*)").await as usize;
    let talking = "legs WHERE disconnected_at IS NULL AND completed_at IS NULL \
                   AND role NOT IN ('monitor', 'barge')";
    let open = "callbacks WHERE connected_at IS NULL AND outcome IS NULL";
    let (figure, rows, of) = match dice.below(5) {
        0 => ("oldest", waiting, "min(CAST(entered_at AS BIGINT))"),
        1 => ("in_progress", talking, "count(DISTINCT interaction_id)"),
        2 => ("callbacks", open, "count(*)"),
        3 => return check_agents(engine, frame, checked).await,
        _ => return check_history(engine, frame).await,
    };
    compare(engine, frame, figure, rows, of).await;
    let updated = frame.cells.keys().filter(|key| &*key.figure == "updated");
    checked.updated += updated.count();
}

/// A state in all and by queue; gives the total.
async fn compare(engine: &Engine, frame: &Frame, figure: &str, rows: &str, of: &str) -> f64 {
    let sql = |queue: &str, groups: &str| {
        format!(
            "SELECT {queue} AS q, CAST({of} AS DOUBLE) AS n FROM facts.{rows} AND NOT is_test \
             {groups}"
        )
    };
    let total = table(engine, &sql("CAST(NULL AS VARCHAR)", "")).await[0].1;
    let total = total.unwrap_or(0.0);
    let queues = table(engine, &sql("queue_id", "GROUP BY queue_id")).await;
    let expected: BTreeMap<&str, f64> = queues
        .iter()
        .filter_map(|(queue, n)| Some((queue.as_deref()?, n.unwrap_or(0.0))))
        .filter(|(_, n)| *n != 0.0)
        .collect();
    let mut shown = BTreeMap::new();
    let mut shown_total = 0.0;
    for (key, cell) in frame.cells.iter().filter(|(key, _)| &*key.figure == figure) {
        let number = match &cell.value {
            CellValue::Number(n, _) => *n,
            CellValue::Since(at) => at.0 as f64,
            _ => 0.0,
        };
        match &key.scope {
            Scope::Total => shown_total = number,
            Scope::Queue(id) if number != 0.0 => {
                shown.insert(&**id, number);
            }
            _ => {}
        }
    }
    let place = format!("{figure} at {} (epoch {})", frame.as_of, frame.epoch);
    assert_eq!(shown_total, total, "{place}");
    assert_eq!(shown, expected, "{place}");
    total
}

/// Agents are distinct, and their contacts are the report's.
async fn check_agents(engine: &Engine, frame: &Frame, checked: &mut Checked) {
    let sql = "SELECT count(DISTINCT agent_id), count(DISTINCT CASE WHEN busy THEN agent_id END) FROM (\
         SELECT agent_id, false AS busy FROM facts.agent_states WHERE ended_at IS NULL AND NOT is_test \
         UNION ALL SELECT agent_id, disconnected_at IS NULL FROM facts.legs \
         WHERE completed_at IS NULL AND NOT is_test AND role NOT IN ('monitor', 'barge'))";
    let found = engine.sql(sql).await.unwrap();
    let column = |i: usize| {
        let column = found.batches[0].column(i);
        arrow::array::AsArray::as_primitive::<arrow::datatypes::Int64Type>(column).value(0) as f64
    };
    let total = |figure: &str| {
        let mut cells = frame.cells.iter();
        let cell = cells.find(|(key, _)| key.scope == Scope::Total && &*key.figure == figure);
        match cell.map(|(_, cell)| &cell.value) {
            Some(CellValue::Number(n, _)) => *n,
            _ => 0.0,
        }
    };
    let place = format!("agents at {} (epoch {})", frame.as_of, frame.epoch);
    assert_eq!(
        (total("agents_in"), total("agents_contact")),
        (column(0), column(1)),
        "{place}"
    );
    let handled = KpiRequest {
        ids: vec!["handled".to_owned()],
        from: Some(frame.day.start),
        to: Some(frame.day.end),
        by: vec!["agent_id".to_owned()],
        ..KpiRequest::default()
    };
    let handled = engine.kpi(&handled).await.unwrap();
    let handled: BTreeMap<&str, f64> = handled
        .rows
        .iter()
        .filter_map(|row| Some((row.dims[0].1.as_deref()?, row.value?)))
        .collect();
    for (key, cell) in &frame.cells {
        if let (Scope::Agent(id), "contacts") = (&key.scope, &*key.figure) {
            let expected = handled.get(&**id).copied().unwrap_or(0.0);
            match cell.value {
                CellValue::Number(n, _) => assert_eq!(n, expected, "{key}, {place}"),
                _ => panic!("{key}: {:?}", cell.value),
            }
            checked.agents += 1;
        }
    }
}

/// How many waited a quarter of an hour ago, at the end of that minute.
async fn check_history(engine: &Engine, frame: &Frame) {
    let ago = 15;
    let at = frame.as_of.0 - frame.as_of.0.rem_euclid(60_000_000) - ago * 60_000_000;
    let at = UtcMicros(at);
    let sql = format!(
        "SELECT CAST(NULL AS VARCHAR) AS q, CAST(count(*) AS DOUBLE) AS n FROM facts.queue_visits \
         WHERE NOT is_test AND NOT blocked AND visit_kind <> 'internal' \
         AND entered_at <= TIMESTAMP '{at}' AND (waiting OR left_at > TIMESTAMP '{at}')"
    );
    let expected = table(engine, &sql).await[0].1;
    let mut cells = frame.cells.iter();
    let cell = cells.find(|(key, _)| key.to_string() == "t.waiting_30m");
    match cell.map(|(_, cell)| &cell.value) {
        Some(CellValue::Series(values)) => {
            let got = values[values.len() - 1 - ago as usize];
            assert_eq!(got, expected, "waiting at {at} (epoch {})", frame.epoch);
        }
        other => panic!("{other:?}"),
    }
}

/// A text and a number, row by row.
pub async fn table(engine: &Engine, sql: &str) -> Vec<(Option<String>, Option<f64>)> {
    use arrow::array::{Array, AsArray};
    let result = engine.sql(sql).await.unwrap();
    let mut rows = Vec::new();
    for batch in &result.batches {
        let texts = batch.column(0).as_string_opt::<i32>();
        let numbers = batch
            .column(1)
            .as_primitive::<arrow::datatypes::Float64Type>();
        for row in 0..batch.num_rows() {
            let text = texts
                .filter(|t| t.is_valid(row))
                .map(|t| t.value(row).to_owned());
            rows.push((text, numbers.is_valid(row).then(|| numbers.value(row))));
        }
    }
    rows
}
