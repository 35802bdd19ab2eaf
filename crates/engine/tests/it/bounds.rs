//! Up to where the data are complete, and from where.

use std::sync::Arc;

use engine::{Engine, Settings};
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

async fn bounds(events: Vec<StoredEvent>, settings: Settings) -> engine::Bounds {
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
    let commit = Commit {
        edit: &edit,
        quarantine: &[],
        checkpoint: Some(&[]),
        arrived_seq: None,
        mode: Mode::Durable,
        recorded_at: DAY_0,
    };
    store.commit(commit).expect("a commit");
    let engine = Engine::new(Arc::new(store), catalogue(), settings).expect("an engine");
    engine.snapshot().await.expect("a snapshot").bounds
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
    assert_eq!(bounds.as_of, DAY_0.plus_ms(5 * DAY_MS));
}

#[tokio::test]
async fn without_watermarks_the_horizon_is_the_last_time_less_the_lateness() {
    let bounds = bounds(Vec::new(), Settings::default()).await;
    let last = visit(99).entered_at;
    assert_eq!(bounds.horizon, last.plus_ms(-15 * 60_000));
    assert_eq!(bounds.history_start, DAY_0);
    assert_eq!(bounds.as_of, last);
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
}
