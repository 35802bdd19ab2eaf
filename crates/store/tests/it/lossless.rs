//! Nothing is lost between an event and its columns.

use events::{
    Attributes, Correction, CorrectionOp, Event, EventData, UtcMicros, VOCABULARY,
    decode::{EventSpec, FieldKind},
};
use facts::{FactEdit, StoredEvent};
use serde_json::{Value, json};
use store::{Mode, Store};

use crate::world::{START, commit, event, interaction, rows, texts};

/// A value for a field; `turn` varies it.
fn value(kind: FieldKind, turn: usize) -> Value {
    let text = [
        "a \"quoted\" \\ text",
        "计费 — 超长",
        " ",
        &"长".repeat(300),
    ][turn % 4]
        .to_owned();
    match kind {
        FieldKind::Text => json!(if text.is_empty() {
            "x".to_owned()
        } else {
            text
        }),
        FieldKind::Integer => json!([0, 1, i64::MAX, 1_234_567][turn % 4]),
        FieldKind::Boolean => json!(turn.is_multiple_of(2)),
        FieldKind::Time => {
            json!(["2026-03-02T01:14:02.123456Z", "1999-12-31T23:59:59Z"][turn % 2])
        }
        FieldKind::Date => json!("2024-02-29"),
        FieldKind::Decimal => json!(["99999999999999.9999", "-0.0001"][turn % 2]),
        FieldKind::Money => json!({"amount": "54000.5000", "currency": "CNY"}),
        FieldKind::List(all) => json!(all[turn % all.len()]),
        FieldKind::Texts => json!(["de", &text, "b"][..turn % 4]),
        FieldKind::Slots => json!({"voice": 1, "chat": 3}),
        FieldKind::OrderLines => json!([{
            "line_id": "1", "sku": format!("長-{turn}"), "units": 2,
            "value": {"amount": "-1.0000", "currency": "EUR"},
        }]),
        FieldKind::EvaluationItems => json!([{
            "item_id": "i", "critical": "customer", "applicable": true, "error": false,
            "points": 3, "max_points": 5, "weight": 2, "auto_fail": false,
        }]),
    }
}

/// An event of that type with every field set, or with the required ones only.
fn event_of(spec: &EventSpec, turn: usize, all: bool) -> Event {
    let fields = spec
        .fields
        .iter()
        .enumerate()
        .filter(|(_, field)| all || field.required);
    let data: serde_json::Map<String, Value> = fields
        .map(|(at, field)| {
            let required = field.required && field.kind == FieldKind::Text;
            let id = required || field.name.ends_with("_id");
            let value = match id {
                true => json!(format!("{}-{turn}", field.name)),
                false => value(field.kind, turn + at),
            };
            (field.name.to_owned(), value)
        })
        .collect();
    let mut unknown = Attributes::new();
    let data = EventData::decode(spec.event_type, Value::Object(data), &mut unknown)
        .expect("a type of the vocabulary")
        .unwrap_or_else(|e| panic!("{}: {e}", spec.event_type));
    assert!(unknown.is_empty(), "{unknown:?}");
    let at = START + turn as i64;
    let mut made = event(&format!("{}/{turn}/{all}", spec.event_type), at, data);
    if all {
        made.source_seq = Some(i64::MIN + turn as i64);
        made.schema_version = 3;
        made.correction = Some(Correction {
            of: "é".into(),
            op: CorrectionOp::Retract,
        });
        made.attributes
            .insert("weird \"key\"".into(), "值\n\u{0}".into());
        made.attributes.insert("empty".into(), "".into());
    }
    made.recorded_at = UtcMicros(at - 17);
    made
}

fn every_event() -> Vec<Event> {
    let mut events = Vec::new();
    for spec in VOCABULARY {
        for turn in 0..4 {
            events.push(event_of(spec, turn, true));
        }
        events.push(event_of(spec, 0, false));
    }
    events
}

#[test]
fn every_event_type_with_every_field_reads_back_equal() {
    let events = every_event();
    let mut edit = FactEdit::default();
    let stored = |e: &Event| StoredEvent {
        event: e.clone().into(),
        entity: e.event_id.clone(),
    };
    edit.events.extend(events.iter().map(stored));
    let folder = tempfile::tempdir().unwrap();
    let store = Store::create_or_open(folder.path()).unwrap();
    let checkpoint: Vec<&Event> = events.iter().collect();
    crate::world::commit_with(&store, &edit, Mode::Durable, &checkpoint).unwrap();
    drop(store);
    let store = Store::open_read_only(folder.path()).unwrap();
    let links: Vec<u64> = events.iter().flat_map(facts::event_links).collect();
    let by_id = |mut events: Vec<Event>| {
        events.sort_by(|a, b| a.event_id.cmp(&b.event_id));
        events
    };
    let expected = by_id(events);
    for found in [
        store.load_events(&links).unwrap(),
        store.checkpoint().unwrap(),
    ] {
        let found = by_id(found);
        assert_eq!(found.len(), expected.len());
        for (found, expected) in found.iter().zip(&expected) {
            assert_eq!(found, expected);
        }
    }
}

#[test]
fn odd_names_lists_and_decimals_survive_in_fact_rows() {
    let long = "队".repeat(300);
    let mut edit = FactEdit::default();
    let mut row = interaction(1, 1);
    row.first_queue_id = Some(long.as_str().into());
    row.reason_codes = vec!["".into(), "a,b".into(), long.as_str().into()];
    row.value_net = events::Decimal(-999_999_999_999_999_999);
    row.customer_id = Some("".into());
    edit.added.Interaction.extend([row, interaction(2, 1)]);
    let folder = tempfile::tempdir().unwrap();
    let store = Store::create_or_open(folder.path()).unwrap();
    commit(&store, &edit).unwrap();
    drop(store);
    let store = Store::create_or_open(folder.path()).unwrap();
    let batch = &store.read(&store.version(), "interactions").unwrap()[0];
    assert_eq!(batch.schema(), store::table_schema("interactions").unwrap());
    assert_eq!(texts(batch, "first_queue_id"), [Some(long.clone()), None]);
    assert_eq!(texts(batch, "customer_id"), [Some(String::new()), None]);
    let rows = rows(&store, "interactions");
    assert!(
        rows[0].contains("-99999999999999.9999") && rows[0].contains(&long),
        "{}",
        rows[0]
    );
    assert!(rows[0].contains(&format!("[, a,b, {long}]")), "{}", rows[0]);
}

#[test]
fn tables_without_rows_are_there() {
    let store = Store::in_memory();
    let version = store.version();
    for table in facts::FactRows::TABLES {
        assert_eq!(version.table(table.name).unwrap().rows(), 0);
        assert_eq!(
            store::arrow_schema(table),
            version.table(table.name).unwrap().schema
        );
    }
    assert!(store.read(&version, "log").unwrap().is_empty());
    assert!(version.table("nonsense").is_none());
}
