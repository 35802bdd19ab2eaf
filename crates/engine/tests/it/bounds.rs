//! Up to where the data are complete, and from where.

use std::sync::Arc;

use engine::{Compare, Engine, EngineError, KpiRequest, Over, Present, Settings, parse_grain};
use events::{Event, EventData, SourceWatermark, UtcMicros};
use facts::{FactEdit, FactRows, StoredEvent};
use store::{Commit, Mode, Store};

use crate::data::{DAY_0, DAY_MS, catalogue, visit};

fn watermark(source: &str, day: i64, history_start: Option<UtcMicros>) -> StoredEvent {
    let at = DAY_0.plus_ms(day * DAY_MS);
    let data = SourceWatermark {
        complete_until: at,
        history_start,
    };
    let event = Event {
        tenant_id: "default".into(),
        source: source.into(),
        event_id: format!("{source}-{day}").into(),
        source_seq: None,
        schema_version: 1,
        occurred_at: at,
        recorded_at: at,
        correction: None,
        data: EventData::SourceWatermark(data),
        attributes: Default::default(),
    };
    StoredEvent {
        event: Arc::new(event),
        entity: format!("source:{source}").into(),
    }
}

fn store(events: Vec<StoredEvent>) -> (Store, tempfile::TempDir) {
    let added = FactRows {
        QueueVisit: (0..100).map(visit).collect(),
        ..FactRows::default()
    };
    let edit = FactEdit {
        events,
        added,
        ..FactEdit::default()
    };
    let folder = tempfile::tempdir().expect("a folder");
    let store = Store::create_or_open(folder.path()).expect("a store");
    commit(&store, &edit, Mode::Durable);
    (store, folder)
}

fn commit(store: &Store, edit: &FactEdit, mode: Mode) {
    let commit = Commit {
        edit,
        quarantine: &[],
        checkpoint: Some(&[]),
        arrived_seq: None,
        mode,
        recorded_at: DAY_0,
    };
    store.commit(commit).expect("a commit");
}

async fn bounds(events: Vec<StoredEvent>, settings: Settings) -> engine::Bounds {
    let (store, _folder) = store(events);
    let engine = Engine::new(Arc::new(store), catalogue(), settings).expect("an engine");
    engine.snapshot().await.expect("a snapshot").bounds
}

/// The bounds of each version are those that an engine sees which never saw another version.
#[tokio::test]
async fn bounds_follow_from_version_to_version() {
    let day = |n: i64| DAY_0.plus_ms(n * DAY_MS);
    let (store, _folder) = store(vec![watermark("a", 1, None)]);
    let store = Arc::new(store);
    let following = Engine::new(Arc::clone(&store), catalogue(), Settings::default());
    let following = following.expect("an engine");
    let horizon = async || {
        following
            .snapshot()
            .await
            .expect("a snapshot")
            .bounds
            .horizon
    };
    assert_eq!(horizon().await, day(1));
    let steps = [
        (watermark("a", 4, Some(day(-3))), Mode::Memory, 4),
        (watermark("b", 2, Some(day(-9))), Mode::Memory, 2),
        (watermark("b", 6, None), Mode::Durable, 4),
        (watermark("a", 5, None), Mode::Memory, 5),
    ];
    for (event, mode, complete) in steps {
        let edit = FactEdit {
            events: vec![event],
            ..FactEdit::default()
        };
        commit(&store, &edit, mode);
        assert_eq!(horizon().await, day(complete));
        let fresh = Engine::new(Arc::clone(&store), catalogue(), Settings::default());
        let fresh = fresh
            .expect("an engine")
            .snapshot()
            .await
            .expect("a snapshot")
            .bounds;
        assert_eq!(
            following.snapshot().await.expect("a snapshot").bounds,
            fresh
        );
    }
    store.flush().expect("a flush");
    assert_eq!(horizon().await, day(5));
}

/// Compiled once, a KPI still counts by the bounds of the version that it is asked over.
#[tokio::test]
async fn a_kpi_counts_by_the_bounds_of_its_own_version() {
    let (store, _folder) = store(vec![watermark("a", 1, None)]);
    let store = Arc::new(store);
    let engine = Engine::new(Arc::clone(&store), catalogue(), Settings::default());
    let engine = engine.expect("an engine");
    let sql = "SELECT MEASURE(fcr) FROM kpi.repeat_links";
    let first = engine.snapshot().await.expect("a snapshot");
    let explained = |snapshot: Arc<engine::Snapshot>| async move {
        let plan = snapshot
            .sql(&format!("EXPLAIN {sql}"))
            .await
            .expect("a plan");
        crate::slt::text_rows(&plan)
            .into_iter()
            .flatten()
            .collect::<String>()
    };
    let before = explained(Arc::clone(&first)).await;
    let edit = FactEdit {
        events: vec![watermark("a", 20, None)],
        ..FactEdit::default()
    };
    commit(&store, &edit, Mode::Memory);
    let after = explained(engine.snapshot().await.expect("a snapshot")).await;
    assert_ne!(before, after, "the horizon is in the plan");
    assert_eq!(
        explained(first).await,
        before,
        "a pinned version keeps its own"
    );
}

#[tokio::test]
async fn the_horizon_is_the_lowest_of_the_sources_newest_watermarks() {
    let start = Some(DAY_0.plus_ms(-DAY_MS));
    let events = vec![
        watermark("a", 1, start),
        watermark("a", 5, None),
        watermark("b", 3, None),
        watermark("b", 2, None),
    ];
    let bounds = bounds(events, Settings::default()).await;
    assert_eq!(bounds.horizon, DAY_0.plus_ms(3 * DAY_MS));
    assert_eq!(bounds.history_start, DAY_0.plus_ms(-DAY_MS));
    // That a source speaks does not make the others complete.
    assert_eq!(bounds.as_of, bounds.horizon);
    assert_eq!(bounds.known_from, start);
    assert_eq!(bounds.known_to, bounds.as_of);
}

/// What looks back needs all of the sources; something is known from the first of them on.
#[tokio::test]
async fn something_is_known_from_where_the_first_source_begins() {
    let day = |n: i64| DAY_0.plus_ms(n * DAY_MS);
    let told = |a: Option<i64>, b: Option<i64>| {
        vec![watermark("a", 1, a.map(day)), watermark("b", 2, b.map(day))]
    };
    for (a, b, history_start, known_from) in [
        (Some(-9), Some(-3), -3, -9),
        (Some(-9), None, -9, -9),
        (None, Some(2), 2, 0),
        (None, None, 0, 0),
    ] {
        let bounds = bounds(told(a, b), Settings::default()).await;
        assert_eq!(bounds.history_start, day(history_start), "{a:?} {b:?}");
        assert_eq!(bounds.known_from, Some(day(known_from)), "{a:?} {b:?}");
    }
    let nothing = Store::in_memory();
    let engine = Engine::new(Arc::new(nothing), catalogue(), Settings::default());
    let engine = engine.expect("an engine");
    let bounds = engine.snapshot().await.expect("a snapshot").bounds;
    assert_eq!(bounds.known_from, None);
}

/// A server knows that nothing came in a quiet hour; of data that were brought nobody does.
#[tokio::test]
async fn at_the_present_a_quiet_hour_is_one_in_which_nothing_happened() {
    let (store, _folder) = store(vec![watermark("a", 5, None)]);
    let store = Arc::new(store);
    let engine = || Engine::new(Arc::clone(&store), catalogue(), Settings::default());
    let later = |hours: i64| DAY_0.plus_ms(5 * DAY_MS + hours * 3_600_000);
    let present = |present| {
        engine()
            .expect("an engine")
            .with_present(Arc::new(move || present))
    };
    let serving = present(Present::At(later(2)));
    let unused = present(Present::Unknown);
    let brought = engine().expect("an engine");
    for (from, to, served) in [(1, 2, Some(0.0)), (2, 3, Some(0.0)), (3, 4, None)] {
        let request = KpiRequest {
            ids: vec!["offered".to_owned()],
            from: Some(later(from)),
            to: Some(later(to)),
            ..KpiRequest::default()
        };
        let answer = serving.kpi(&request).await.expect("an answer");
        assert_eq!(answer.rows[0].value, served, "hour {from}");
        assert_eq!(answer.as_of, later(2));
        for brought in [&brought, &unused] {
            let answer = brought.kpi(&request).await.expect("an answer");
            assert_eq!(answer.rows[0].value, None, "hour {from}");
            assert_eq!(answer.as_of, later(0));
        }
    }
    let behind = present(Present::Behind);
    let refused = behind.sql("SELECT 1").await.expect_err("no right answer");
    assert!(matches!(refused, EngineError::Behind), "{refused}");
    assert!(behind.stored().await.is_ok() && behind.entries().await.is_ok());
}

/// An event of the type at a day; of another source than the floor's.
fn told(day: i64, event_type: &str, data: &str) -> StoredEvent {
    let at = DAY_0.plus_ms(day * DAY_MS);
    let line = format!(
        r#"{{"source":"shop","event_id":"{event_type}-{day}","event_type":"{event_type}",
        "occurred_at":"{at}","data":{data}}}"#
    );
    let intake = events::Intake {
        tenant_id: "default".into(),
        default_source: None,
        recorded_at: at,
    };
    let event = events::decode_line(line.as_bytes(), &intake).expect("an event");
    StoredEvent {
        event: Arc::new(event),
        entity: "event:other".into(),
    }
}

/// A shop, a price list or an alert says nothing about the floor: neither where its contacts begin nor
/// up to where there were none.
#[tokio::test]
async fn only_what_the_floor_does_stretches_what_is_known_of_it() {
    const STARTED: &str = r#"{"interaction_id":"c1","channel":"voice","direction":"inbound"}"#;
    const AGENT: &str = r#"{"agent_id":"a1","state":"available"}"#;
    const PLACED: &str = r#"{"order_id":"o1","customer_id":"u1","kind":"new","lines":[{"line_id":"1","sku":"kettle",
        "units":1,"value":{"amount":"249.0000","currency":"CNY"}}]}"#;
    const ALERT: &str = r#"{"alert_id":"x1","rule_id":"r","figure":"waiting","scope":"all",
        "state":"warn"}"#;
    for mode in [Mode::Memory, Mode::Durable] {
        let (store, _folder) = store(Vec::new());
        let store = Arc::new(store);
        let engine = Engine::new(Arc::clone(&store), catalogue(), Settings::default());
        let engine = engine.expect("an engine");
        for events in [
            vec![
                told(2, "interaction.started", STARTED),
                told(3, "agent.heartbeat", AGENT),
            ],
            vec![told(-60, "order.placed", PLACED)],
            vec![told(90, "alert.changed", ALERT)],
        ] {
            let edit = FactEdit {
                events,
                ..FactEdit::default()
            };
            commit(&store, &edit, mode);
        }
        let bounds = engine.snapshot().await.expect("a snapshot").bounds;
        assert_eq!(bounds.known_from, Some(DAY_0.plus_ms(2 * DAY_MS)));
        let last = DAY_0.plus_ms(3 * DAY_MS);
        assert_eq!(bounds.known_to, UtcMicros(last.0 + 1));
        assert_eq!(bounds.as_of, last);
        assert_eq!(Some(bounds.history_start), bounds.known_from);
    }
}

#[tokio::test]
async fn without_watermarks_the_horizon_is_the_last_time_less_the_lateness() {
    let bounds = bounds(Vec::new(), Settings::default()).await;
    let last = visit(99).entered_at;
    assert_eq!(bounds.horizon, last.plus_ms(-15 * 60_000));
    assert_eq!(bounds.history_start, DAY_0);
    assert_eq!(bounds.as_of, last);
    assert_eq!(bounds.known_from, Some(DAY_0));
    assert_eq!(bounds.known_to, UtcMicros(last.0 + 1));
}

#[tokio::test]
async fn settings_overrule_what_the_data_say() {
    let day = |n: i64| Some(DAY_0.plus_ms(n * DAY_MS));
    let (horizon, history_start, as_of) = (day(7), day(-7), day(8));
    let settings = Settings {
        horizon,
        history_start,
        as_of,
        ..Settings::default()
    };
    let bounds = bounds(vec![watermark("a", 1, None)], settings).await;
    assert_eq!(Some(bounds.horizon), horizon);
    assert_eq!(Some(bounds.history_start), history_start);
    assert_eq!(Some(bounds.as_of), as_of);
    assert_eq!(
        (bounds.known_from, Some(bounds.known_to)),
        (history_start, as_of)
    );
}

#[tokio::test]
async fn history_begins_where_contacts_are_kept_from_whatever_a_source_has_said() {
    let day = |n: i64| DAY_0.plus_ms(n * DAY_MS);
    for (told, begins) in [
        (Some(day(-9)), day(2)),
        (None, day(2)),
        (Some(day(3)), day(3)),
    ] {
        let (store, _folder) = store(vec![watermark("a", 5, told)]);
        let pinned = store.pinned().expect("readable");
        let over = store.contacts_over(&pinned, day(2), &|| true);
        store
            .let_go(over.expect("readable"), &FactRows::default())
            .expect("it is let go");
        let engine = Engine::new(Arc::new(store), catalogue(), Settings::default());
        let engine = engine.expect("an engine");
        let bounds = engine.snapshot().await.expect("a snapshot").bounds;
        assert_eq!(bounds.history_start, begins, "{told:?}");
        assert_eq!(bounds.known_from, Some(day(2)), "{told:?}");
    }
}

/// A small number is never taken for the whole: whoever asks about days of which contacts were let go
/// is told so, also where only the period beside it, or what a value is over, begins there.
#[tokio::test]
async fn a_range_that_begins_before_what_is_kept_says_so() {
    let day = |n: i64| DAY_0.plus_ms(n * DAY_MS);
    let (store, _folder) = store(Vec::new());
    let store = Arc::new(store);
    let engine = Engine::new(Arc::clone(&store), catalogue(), Settings::default());
    let engine = engine.expect("an engine");
    let request = |from: Option<i64>| KpiRequest {
        ids: vec!["offered".to_owned()],
        from: from.map(day),
        to: Some(day(9)),
        ..KpiRequest::default()
    };
    let told = async |request: &KpiRequest| {
        let answer = engine.kpi(request).await.expect("an answer");
        answer.incomplete_before
    };
    assert_eq!(told(&request(None)).await, None, "nothing has gone");
    let pinned = store.pinned().expect("readable");
    let over = store.contacts_over(&pinned, day(2), &|| true);
    store
        .let_go(over.expect("readable"), &FactRows::default())
        .expect("it is let go");
    for (from, incomplete) in [
        (None, true),
        (Some(1), true),
        (Some(2), false),
        (Some(5), false),
    ] {
        let said = told(&request(from)).await;
        assert_eq!(said, incomplete.then_some(day(2)), "{from:?}");
    }
    // From day 5 to 9, and the four days before.
    let beside = KpiRequest {
        compare: Some(Compare::Previous),
        ..request(Some(5))
    };
    assert_eq!(told(&beside).await, Some(day(2)));
    let over = KpiRequest {
        grain: Some(parse_grain("1d").expect("a grain")),
        over: Some(Over::Buckets(3)),
        ..request(Some(3))
    };
    assert_eq!(told(&over).await, Some(day(2)));
    let over = KpiRequest {
        over: Some(Over::Buckets(2)),
        ..over
    };
    assert_eq!(told(&over).await, None);
}
