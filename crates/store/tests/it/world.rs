//! Small contact centres to store: calls with events and rows, and what a store should hold.

use std::{collections::BTreeMap, sync::Arc};

use arrow::{
    array::{AsArray, RecordBatch},
    row::{RowConverter, SortField},
    util::pretty::pretty_format_batches,
};
use events::{
    Attributes, Channel, Direction, Event, EventData, InteractionEnded, InteractionStarted,
    LeaveReason, QueueEntered, Text, UtcMicros, VisitKind,
};
use facts::{Common, FactEdit, Interaction, QueueVisit, StoredEvent};
use store::{Commit, Committed, Mode, Result, Store};

/// 2026-03-02T00:00:00Z.
pub const START: i64 = 1_772_409_600_000_000;
pub const SECOND: i64 = 1_000_000;

pub fn event(id: &str, at: i64, data: impl Into<EventData>) -> Event {
    Event {
        tenant_id: "default".into(),
        source: "pbx".into(),
        event_id: id.into(),
        source_seq: None,
        schema_version: 1,
        occurred_at: UtcMicros(at),
        recorded_at: UtcMicros(at + 1),
        correction: None,
        data: data.into(),
        attributes: Attributes::new(),
    }
}

/// The events of call number `call`, which begins `call` seconds after the start.
pub fn call_events(call: usize) -> Vec<Event> {
    let id = Text::from(format!("c{call:05}"));
    let visit = Text::from(format!("c{call:05}.q1"));
    let at = START + call as i64 * SECOND;
    let started = InteractionStarted {
        interaction_id: id.clone(),
        root_id: None,
        parent_id: None,
        thread_id: None,
        customer_id: Some("cu1".into()),
        identity: None,
        channel: Channel::Voice,
        direction: Direction::Inbound,
        purpose: None,
        entry_point: None,
        language: None,
        is_test: None,
    };
    let entered = QueueEntered {
        visit_id: visit.clone(),
        interaction_id: id.clone(),
        queue_id: "billing".into(),
        visit_kind: VisitKind::Customer,
        priority: None,
        required_skills: None,
        via: None,
    };
    let left: EventData = EventData::decode(
        "queue.left",
        serde_json::json!({"visit_id": visit, "reason": LeaveReason::Answered}),
        &mut Attributes::new(),
    )
    .expect("a known type")
    .expect("valid data");
    let ended = InteractionEnded {
        interaction_id: id.clone(),
        ended_by: events::EndedBy::Customer,
        end_reason: None,
    };
    vec![
        event(&format!("{id}-1"), at, started),
        event(&format!("{id}-2"), at + SECOND, entered),
        event(&format!("{id}-3"), at + 2 * SECOND, left),
        event(&format!("{id}-4"), at + 3 * SECOND, ended),
    ]
}

fn common(rev: i64) -> Common {
    Common {
        tenant_id: "default".into(),
        source: "pbx".into(),
        fact_rev: rev,
        ..Common::default()
    }
}

pub fn visit(call: usize, rev: i64) -> QueueVisit {
    QueueVisit {
        common: common(rev),
        visit_id: format!("c{call:05}.q1").into(),
        interaction_id: format!("c{call:05}").into(),
        queue_id: "billing".into(),
        outcome: if rev == 1 {
            "waiting".into()
        } else {
            "answered".into()
        },
        entered_at: UtcMicros(START + call as i64 * SECOND),
        wait_ms: (rev > 1).then_some(rev * 1000),
        required_skills: vec!["de".into(), "計費".into()],
        ..QueueVisit::default()
    }
}

pub fn interaction(call: usize, rev: i64) -> Interaction {
    Interaction {
        common: common(rev),
        interaction_id: format!("c{call:05}").into(),
        started_at: UtcMicros(START + call as i64 * SECOND),
        value_net: events::Decimal(12_500 * rev as i128),
        ..Interaction::default()
    }
}

fn stored(events: Vec<Event>) -> Vec<StoredEvent> {
    let entity = |event: &Event| format!("interaction:{}", &event.event_id[..6]).into();
    let stored = |event| StoredEvent {
        entity: entity(&event),
        event: Arc::new(event),
    };
    events.into_iter().map(stored).collect()
}

/// New calls, with their events and first rows.
pub fn new_calls(calls: std::ops::Range<usize>) -> FactEdit {
    let mut edit = FactEdit::default();
    for call in calls {
        edit.events.extend(stored(call_events(call)));
        edit.added.QueueVisit.push(visit(call, 1));
        edit.added.Interaction.push(interaction(call, 1));
    }
    edit
}

/// An edit that raises calls from one revision to the next.
pub fn restated(calls: &[usize], from: i64) -> FactEdit {
    let mut edit = FactEdit::default();
    for call in calls {
        edit.removed.QueueVisit.push(visit(*call, from));
        edit.removed.Interaction.push(interaction(*call, from));
        edit.added.QueueVisit.push(visit(*call, from + 1));
        edit.added.Interaction.push(interaction(*call, from + 1));
    }
    edit
}

pub fn commit(store: &Store, edit: &FactEdit) -> Result<Committed> {
    commit_with(store, edit, Mode::Durable, &[])
}

pub fn commit_with(
    store: &Store,
    edit: &FactEdit,
    mode: Mode,
    checkpoint: &[&Event],
) -> Result<Committed> {
    let recorded_at = UtcMicros(START);
    store.commit(Commit {
        edit,
        quarantine: &[],
        checkpoint: Some(checkpoint),
        arrived_seq: None,
        mode,
        recorded_at,
    })
}

/// Every row of a table as text, sorted: equal for equal contents, however they are stored.
pub fn rows(store: &Store, table: &str) -> Vec<String> {
    let version = store.version();
    let mut rows: Vec<String> = store
        .read(&version, table)
        .expect("the table can be read")
        .iter()
        .flat_map(|batch| {
            let text = pretty_format_batches(std::slice::from_ref(batch)).expect("printable");
            let lines: Vec<String> = text.to_string().lines().map(normal).collect();
            lines[3..lines.len() - 1].to_vec()
        })
        .collect();
    rows.sort();
    rows
}

fn normal(line: &str) -> String {
    line.split_whitespace().collect::<Vec<_>>().join(" ")
}

pub const TABLES: [&str; 4] = ["log", "queue_visits", "interactions", "quarantine"];

/// Rows of each table as bytes.
pub type Contents = BTreeMap<&'static str, Vec<Vec<u8>>>;

/// All tables that these tests use; equal for equal contents, however they are stored.
pub fn contents(store: &Store) -> Contents {
    let version = store.version();
    let rows = |table: &&'static str| {
        let batches = store.read(&version, table).expect("the table can be read");
        let mut rows: Vec<Vec<u8>> = batches.iter().flat_map(row_bytes).collect();
        rows.sort();
        (*table, rows)
    };
    TABLES.iter().map(rows).collect()
}

fn row_bytes(batch: &RecordBatch) -> Vec<Vec<u8>> {
    let schema = batch.schema();
    let fields = schema
        .fields()
        .iter()
        .map(|f| SortField::new(f.data_type().clone()));
    let converter = RowConverter::new(fields.collect()).expect("types that can be sorted");
    let rows = converter.convert_columns(batch.columns()).expect("rows");
    rows.iter().map(|row| row.as_ref().to_vec()).collect()
}

/// Number of rows of a table.
pub fn count(store: &Store, table: &str) -> u64 {
    store.version().table(table).expect("a table").rows()
}

/// A text column of a batch.
pub fn texts(batch: &RecordBatch, column: &str) -> Vec<Option<String>> {
    let array = batch
        .column_by_name(column)
        .expect("the column")
        .as_string::<i32>();
    array.iter().map(|text| text.map(str::to_owned)).collect()
}
