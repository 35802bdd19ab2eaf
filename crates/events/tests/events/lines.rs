//! Lines that are accepted, and their way back.

use events::{
    Decimal, Event, EventData, UtcMicros, VOCABULARY,
    decode::{EventSpec, FieldKind},
    decode_data, decode_line, decode_own_line,
};
use serde_json::{Map, Value, json};

use crate::{decode, intake, line, received};

/// A value that a field of this kind takes.
fn sample(kind: FieldKind) -> Value {
    let money = json!({ "amount": "54000.0000", "currency": "CNY" });
    match kind {
        FieldKind::Text => json!("账单 \"billing\" \u{0} \n"),
        FieldKind::Integer => json!(1),
        FieldKind::Boolean => json!(true),
        FieldKind::Time => json!("2026-03-09T00:00:00.250Z"),
        FieldKind::Date => json!("2026-02-28"),
        FieldKind::Decimal => json!("0.5000"),
        FieldKind::Money => money,
        FieldKind::List(members) => json!(members[members.len() - 1]),
        FieldKind::Texts => json!(["a", ""]),
        FieldKind::Slots => json!({ "voice": 1, "chat": 3 }),
        FieldKind::OrderLines => {
            json!([{ "line_id": "1", "sku": "s", "units": 2, "value": money }])
        }
        FieldKind::EvaluationItems => json!([{
            "item_id": "i", "critical": "business", "applicable": true, "error": false,
            "points": 3, "max_points": 5, "weight": 1, "auto_fail": false,
        }]),
    }
}

/// A line of this type with all fields, or with the required ones only.
fn sample_line(spec: &EventSpec, all: bool) -> String {
    let mut data = Map::new();
    for field in spec.fields.iter().filter(|field| all || field.required) {
        let value = match field.name {
            "slice_at" | "covers_end" => json!("2026-03-09T00:15:00Z"),
            name if name.ends_with("_ids") => json!(["l1"]),
            _ => sample(field.kind),
        };
        data.insert(field.name.to_owned(), value);
    }
    line(spec.event_type, &Value::Object(data).to_string())
}

#[test]
fn every_event_type_survives_the_way_out_and_back() {
    for spec in VOCABULARY {
        for all in [true, false] {
            let text = sample_line(spec, all);
            let event =
                decode(&text).unwrap_or_else(|e| panic!("{}: {e}\n{text}", spec.event_type));
            assert_eq!(event.data.event_type(), spec.event_type);
            assert_eq!(event.data.rank(), spec.rank);
            assert!(event.attributes.is_empty(), "{text}");
            assert_eq!(event.check(), Ok(()));
            let written = event.to_json_line();
            assert_eq!(
                decode_own_line(written.as_bytes()).as_ref(),
                Ok(&event),
                "{written}"
            );
        }
    }
}

#[test]
fn data_before_its_type_is_read_the_same() {
    let usual = r#"{"source":"s","event_id":"1","event_type":"queue.entered","occurred_at":"2026-03-02T01:14:20.25Z","data":{"visit_id":"v","interaction_id":"i","queue_id":"q","visit_kind":"customer","floor":3}}"#;
    let other = r#"{"data":{"visit_id":"v","interaction_id":"i","queue_id":"q","visit_kind":"customer","floor":3},"occurred_at":1772414060250000,"event_type":"queue.entered","event_id":"1","source":"s"}"#;
    assert_eq!(decode(usual), decode(other));
    let event = decode(usual).expect("a valid line");
    assert_eq!(event.occurred_at, UtcMicros(1_772_414_060_250_000));
    assert_eq!(event.recorded_at, received());
    assert_eq!(event.attributes["floor"], "3");
}

#[test]
fn unknown_fields_become_attributes_as_text() {
    let text = r#"{"event_id":"1","event_type":"hold.started","occurred_at":"2026-03-02T01:14:02Z","zone":"eu","data":{"leg_id":"l","zone":"asia","nested":{"a":[1, 2.50]},"big":12345678901234567890123,"nothing":null,"line":"a\nb"},"attributes":{"k":"v"}}"#;
    let event = decode(text).expect("a valid line");
    let found: Vec<(&str, &str)> = event
        .attributes
        .iter()
        .map(|(name, text)| (name.as_str(), text.as_str()))
        .collect();
    assert_eq!(
        found,
        [
            ("big", "12345678901234567890123"),
            ("k", "v"),
            ("line", "a\nb"),
            ("nested", r#"{"a":[1, 2.50]}"#),
            ("other.zone", "asia"),
            ("zone", "eu"),
        ]
    );
}

#[test]
fn an_unknown_field_of_an_order_line_keeps_its_place() {
    let data = r#"{"order_id":"o","customer_id":"c","kind":"new","lines":[{"line_id":"1","sku":"s","units":1,"value":{"amount":"1","currency":"CNY","tax":"0.06"},"colour":"red"}]}"#;
    let event = decode(&line("order.placed", data)).expect("a valid line");
    assert_eq!(event.attributes["lines[0].colour"], "red");
    assert_eq!(event.attributes["lines[0].value.tax"], "0.06");
    let EventData::OrderPlaced(order) = event.data else {
        panic!("another type")
    };
    assert_eq!(order.lines[0].value.amount, Decimal(10_000));
}

#[test]
fn times_are_read_in_every_allowed_form() {
    for (text, micros) in [
        (r#""2026-03-02T01:14:02Z""#, 1_772_414_042_000_000),
        (r#""2026-03-02T09:14:02+08:00""#, 1_772_414_042_000_000),
        (
            r#""2026-03-02T09:14:02.1234567899+08:00""#,
            1_772_414_042_123_456,
        ),
        (
            r#""2026-03-02T01:14:02.1234567899Z""#,
            1_772_414_042_123_456,
        ),
        (r#""2026-03-02t01:14:02z""#, 1_772_414_042_000_000),
        (r#""2024-02-29T23:59:59.5Z""#, 1_709_251_199_500_000),
        ("1772414042000000", 1_772_414_042_000_000),
    ] {
        let text =
            line("hold.started", r#"{"leg_id":"l"}"#).replace(r#""2026-03-02T01:14:02Z""#, text);
        let event = decode(&text).unwrap_or_else(|e| panic!("{e}: {text}"));
        assert_eq!(event.occurred_at, UtcMicros(micros), "{text}");
        let again = UtcMicros::parse_rfc3339(&event.occurred_at.to_string());
        assert_eq!(again, Some(event.occurred_at));
    }
}

#[test]
fn the_quick_way_to_read_a_time_agrees_with_the_thorough_one() {
    let step = 86_400_000_000 * 13 + 3_723_456_789;
    for i in 0..20_000 {
        let time = UtcMicros(UtcMicros::DATA_MIN.0 + i * step / 4);
        let text = time.to_string();
        assert_eq!(UtcMicros::parse_rfc3339(&text), Some(time), "{text}");
        let offset = text.replace('Z', "+00:00");
        assert_eq!(UtcMicros::parse_rfc3339(&offset), Some(time), "{offset}");
    }
}

#[test]
fn long_and_chinese_names_are_accepted() {
    for queue in ["账单查询".to_owned(), "q".repeat(300), "😀".repeat(200)] {
        let data = json!({
            "visit_id": "v", "interaction_id": "i", "queue_id": queue, "visit_kind": "customer",
        });
        let event = decode(&line("queue.entered", &data.to_string())).expect("a valid line");
        let EventData::QueueEntered(entered) = event.data else {
            panic!("another type")
        };
        assert_eq!(entered.queue_id, queue);
    }
}

#[test]
fn null_and_empty_optional_ids_are_absent() {
    let data = r#"{"interaction_id":"i","channel":"voice","direction":"inbound","customer_id":"","root_id":null}"#;
    let event = decode(&line("interaction.started", data)).expect("a valid line");
    let EventData::InteractionStarted(started) = event.data else {
        panic!("another type")
    };
    assert_eq!((started.customer_id, started.root_id), (None, None));
}

#[test]
fn the_source_of_the_line_wins_over_the_default() {
    let text = line("hold.started", r#"{"leg_id":"l"}"#);
    assert_eq!(decode(&text).expect("valid").source, "test");
    let named = text.replacen('{', r#"{"source":"pbx","#, 1);
    assert_eq!(decode(&named).expect("valid").source, "pbx");
}

#[test]
fn a_correction_names_its_target() {
    let text = line(
        "order.verified",
        r#"{"order_id":"o77","result":"duplicate"}"#,
    )
    .replacen(
        '{',
        r#"{"correction_of":"e0","correction_op":"replace","#,
        1,
    );
    let event = decode(&text).expect("a valid line");
    let correction = event.correction.as_ref().expect("a correction");
    assert_eq!(
        (correction.of.as_str(), correction.op.as_str()),
        ("e0", "replace")
    );
    assert_eq!(decode_own_line(event.to_json_line().as_bytes()), Ok(event));
}

#[test]
fn importers_can_decode_data_from_other_values() {
    let data = json!({ "leg_id": "l", "talk_ms": 5, "extra": { "a": 1 } });
    let (data, unknown) = decode_data("leg.disconnected", data).expect("valid data");
    assert_eq!(data.event_type(), "leg.disconnected");
    assert_eq!(unknown["extra"], r#"{"a":1}"#);
    let reject = decode_data("leg.disconnected", json!({ "leg_id": "l", "talk_ms": -5 }));
    assert_eq!(reject.expect_err("negative").field, "talk_ms");
}

#[test]
fn data_can_be_read_from_columns_that_know_only_what_they_have() {
    use serde::de::value::{Error, MapDeserializer};
    let columns = [("leg_id", "l1"), ("unknown", "kept")];
    let columns = MapDeserializer::<_, Error>::new(columns.into_iter());
    let (data, unknown) = decode_data("hold.started", columns).expect("valid data");
    assert_eq!(
        data,
        events::HoldStarted {
            leg_id: "l1".into()
        }
        .into()
    );
    assert_eq!(unknown["unknown"], "kept");
}

#[test]
fn a_received_time_in_the_line_is_not_believed_but_our_own_lines_are() {
    let text = line("hold.started", r#"{"leg_id":"l"}"#).replacen(
        '{',
        r#"{"recorded_at":"2020-01-01T00:00:00Z","#,
        1,
    );
    let foreign: Event = decode_line(text.as_bytes(), &intake()).expect("valid");
    assert_eq!(foreign.recorded_at, received());
    let own = decode_own_line(text.replacen('{', r#"{"source":"s","#, 1).as_bytes());
    assert_eq!(
        own.expect("valid").recorded_at.to_string(),
        "2020-01-01T00:00:00Z"
    );
}
