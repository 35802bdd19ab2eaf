//! The vocabulary as documents: a JSON Schema and a readable page, both made from [`VOCABULARY`].

use std::fmt::Write as _;

use serde_json::{Map, Value, json};

use crate::{
    Channel, EvaluationItem, Event, FUTURE_MS_MAX, ID_BYTES_MAX, LINE_BYTES_MAX, Money, OrderLine,
    RejectCode, SCHEMA_VERSION, VOCABULARY,
    decode::{EventSpec, FieldKind, FieldSpec, Object, Role},
};

/// One field of the envelope.
struct EnvelopeField {
    name: &'static str,
    kind: &'static str,
    required: bool,
    rule: &'static str,
}

const ENVELOPE: &[EnvelopeField] = &[
    EnvelopeField {
        name: "tenant_id",
        kind: "text",
        required: false,
        rule: "left out, or the tenant that is written to",
    },
    EnvelopeField {
        name: "source",
        kind: "text",
        required: false,
        rule: "the registered sender, 1 to 128 bytes; may be named once for a whole import",
    },
    EnvelopeField {
        name: "event_id",
        kind: "text",
        required: true,
        rule: "1 to 128 bytes, unique per tenant and source; repeated on a retry",
    },
    EnvelopeField {
        name: "source_seq",
        kind: "whole number",
        required: false,
        rule: "grows within a source; breaks ties of time",
    },
    EnvelopeField {
        name: "event_type",
        kind: "text",
        required: true,
        rule: "one of the types below; put it before `data`, that is read faster",
    },
    EnvelopeField {
        name: "schema_version",
        kind: "whole number",
        required: false,
        rule: "version of the type; 1 is the default and the only one so far",
    },
    EnvelopeField {
        name: "occurred_at",
        kind: "time",
        required: true,
        rule: "when it happened; from 1980 to 5 minutes after the receipt",
    },
    EnvelopeField {
        name: "recorded_at",
        kind: "time",
        required: false,
        rule: "set on receipt; a value in the line is not believed",
    },
    EnvelopeField {
        name: "correction_of",
        kind: "text",
        required: false,
        rule: "`event_id` of the event that this one corrects",
    },
    EnvelopeField {
        name: "correction_op",
        kind: "`replace`, `retract`",
        required: false,
        rule: "with `correction_of`; a retraction repeats the `data` of the event it takes back",
    },
    EnvelopeField {
        name: "data",
        kind: "object",
        required: true,
        rule: "the fields of the type",
    },
    EnvelopeField {
        name: "attributes",
        kind: "object",
        required: false,
        rule: "further texts by name; every unknown field ends up here too",
    },
];

/// The JSON Schema (2020-12) of one line, as text with a line end.
pub fn json_schema() -> String {
    let types: Vec<&str> = VOCABULARY.iter().map(|spec| spec.event_type).collect();
    let rules: Vec<Value> = VOCABULARY.iter().map(data_rule).collect();
    let required: Vec<&str> = ENVELOPE
        .iter()
        .filter(|f| f.required)
        .map(|f| f.name)
        .collect();
    let schema = json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "callgauge event",
        "description": "One line of NDJSON: one thing that happened in a contact centre.",
        "type": "object",
        "properties": envelope_properties(&types),
        "required": required,
        "dependentRequired": {
            "correction_of": ["correction_op"],
            "correction_op": ["correction_of"],
        },
        "allOf": rules,
        "$defs": definitions(),
    });
    let mut text = serde_json::to_string_pretty(&schema).expect("a JSON value serialises");
    text.push('\n');
    text
}

fn envelope_properties(types: &[&str]) -> Value {
    let id = json!({ "type": "string", "minLength": 1, "maxLength": ID_BYTES_MAX });
    let properties = ENVELOPE.iter().map(|field| {
        let mut schema = match field.name {
            "source_seq" => json!({ "type": "integer" }),
            "schema_version" => json!({ "const": SCHEMA_VERSION, "default": SCHEMA_VERSION }),
            "event_type" => json!({ "enum": types }),
            "occurred_at" | "recorded_at" => json!({ "$ref": "#/$defs/time" }),
            "correction_op" => json!({ "enum": ["replace", "retract"] }),
            "data" | "attributes" => json!({ "type": "object" }),
            _ => id.clone(),
        };
        schema["description"] = json!(field.rule);
        (field.name.to_owned(), schema)
    });
    Value::Object(properties.collect())
}

/// "If the type is this, `data` looks so."
fn data_rule(spec: &EventSpec) -> Value {
    json!({
        "if": { "properties": { "event_type": { "const": spec.event_type } } },
        "then": {
            "properties": { "data": object_schema(spec.fields, Some(spec.doc.trim())) },
        },
    })
}

fn object_schema(fields: &[FieldSpec], doc: Option<&str>) -> Value {
    let properties: Map<String, Value> = fields
        .iter()
        .map(|field| (field.name.to_owned(), field_schema(field)))
        .collect();
    let required: Vec<&str> = fields
        .iter()
        .filter(|f| f.required)
        .map(|f| f.name)
        .collect();
    let mut schema = Map::new();
    if let Some(doc) = doc {
        schema.insert("description".into(), json!(doc));
    }
    schema.insert("type".into(), json!("object"));
    schema.insert("properties".into(), Value::Object(properties));
    schema.insert("required".into(), json!(required));
    Value::Object(schema)
}

fn field_schema(field: &FieldSpec) -> Value {
    let required_id = field.required && Role::of(field.name) == Role::Id;
    let schema = match field.kind {
        FieldKind::Text if required_id => json!({ "type": "string", "minLength": 1 }),
        FieldKind::Text => json!({ "type": "string" }),
        FieldKind::Integer if Role::of(field.name) == Role::Duration => {
            json!({ "type": "integer", "minimum": 0 })
        }
        FieldKind::Integer => json!({ "type": "integer" }),
        FieldKind::Boolean => json!({ "type": "boolean" }),
        FieldKind::Time => json!({ "$ref": "#/$defs/time" }),
        FieldKind::Date => json!({ "type": "string", "format": "date" }),
        FieldKind::Decimal => json!({ "$ref": "#/$defs/decimal" }),
        FieldKind::Money => json!({ "$ref": "#/$defs/money" }),
        FieldKind::List(members) => json!({ "enum": members }),
        FieldKind::Texts => json!({ "type": "array", "items": { "type": "string" } }),
        FieldKind::Slots => json!({ "$ref": "#/$defs/slots" }),
        FieldKind::OrderLines => {
            json!({ "type": "array", "items": { "$ref": "#/$defs/order_line" } })
        }
        FieldKind::EvaluationItems => {
            json!({ "type": "array", "items": { "$ref": "#/$defs/evaluation_item" } })
        }
    };
    match field.required {
        true => schema,
        false => json!({ "anyOf": [schema, { "type": "null" }] }),
    }
}

fn definitions() -> Value {
    let channels: Vec<&str> = Channel::ALL
        .iter()
        .map(|channel| channel.as_str())
        .collect();
    json!({
        "time": {
            "description": "RFC 3339 with an offset, or integer microseconds since 1970 UTC.",
            "anyOf": [{ "type": "string", "format": "date-time" }, { "type": "integer" }],
        },
        "decimal": {
            "description": "A decimal number as text: at most four places and 18 digits.",
            "type": "string",
            "pattern": "^-?[0-9]{1,14}(\\.[0-9]{0,4})?$",
        },
        "money": object_schema(Money::FIELDS, Some("An amount with its currency.")),
        "slots": {
            "description": "Contacts that can be taken at a time, by channel.",
            "type": "object",
            "propertyNames": { "enum": channels },
            "additionalProperties": { "type": "integer" },
        },
        "order_line": object_schema(OrderLine::FIELDS, Some("One line of an order.")),
        "evaluation_item":
            object_schema(EvaluationItem::FIELDS, Some("One item of an evaluation.")),
    })
}

/// The page `docs/events.md`. `examples` has one event of each type it wants to show.
pub fn markdown(examples: &[Event]) -> String {
    let mut page = INTRODUCTION.to_owned();
    envelope_section(&mut page);
    rules_section(&mut page);
    page.push_str("\n## Event types\n");
    let mut family = "";
    for spec in VOCABULARY {
        let this = spec.event_type.split('.').next().unwrap_or_default();
        if this != family {
            family = this;
            write_line(&mut page, format_args!("\n### {family}"));
        }
        type_section(&mut page, spec, examples);
    }
    objects_section(&mut page);
    rejects_section(&mut page);
    page
}

const INTRODUCTION: &str = "\
# Events

<!-- Made from the vocabulary in crates/events by its tests: `UPDATE=1 cargo test -p events`. -->

An event is one thing that happened, as one line of JSON. `docs/events.schema.json` says the same
for machines. Times, not durations: what took how long is worked out from the events.

";

fn write_line(page: &mut String, line: std::fmt::Arguments<'_>) {
    writeln!(page, "{line}").expect("a String takes any text");
}

fn envelope_section(page: &mut String) {
    page.push_str("## Envelope\n\n| field | type | required | rule |\n|---|---|---|---|\n");
    for field in ENVELOPE {
        let EnvelopeField {
            name,
            kind,
            required,
            rule,
        } = field;
        write_line(
            page,
            format_args!("| `{name}` | {kind} | {} | {rule} |", yes(*required)),
        );
    }
}

fn yes(required: bool) -> &'static str {
    if required { "yes" } else { "" }
}

fn rules_section(page: &mut String) {
    let kib = LINE_BYTES_MAX / 1024;
    let minutes = FUTURE_MS_MAX / 60_000;
    write_line(
        page,
        format_args!(
            "
## Rules for values

- A **time** is RFC 3339 with an offset (`2026-03-02T09:14:02+08:00`, `…Z`) or integer microseconds
  since 1970 UTC. A local time without zone is refused. Finer than a microsecond is cut.
- `occurred_at` lies between 1980 and {minutes} minutes after the receipt, other times between 1900
  and 2200.
- A **decimal** is text with at most four places and 18 digits: `\"12.50\"`.
- A field ending in `_ms` is whole milliseconds and never negative.
- Ids are texts chosen by the source. An empty id counts as absent, so does `null`.
- A list in the tables is closed: another value is refused. Queues, reasons and codes are open.
- A field that is not in the tables is kept as text in `attributes`.
- A payment card number in a free text refuses the line.
- A line has at most {kib} KiB."
        ),
    );
}

fn type_section(page: &mut String, spec: &EventSpec, examples: &[Event]) {
    write_line(
        page,
        format_args!("\n#### `{}`\n\n{}\n", spec.event_type, spec.doc.trim()),
    );
    fields_table(page, spec.fields);
    let example = examples
        .iter()
        .find(|event| event.data.event_type() == spec.event_type);
    if let Some(example) = example {
        write_line(
            page,
            format_args!("\n```json\n{}\n```", example.to_json_line()),
        );
    }
}

fn fields_table(page: &mut String, fields: &[FieldSpec]) {
    page.push_str("| field | type | required |\n|---|---|---|\n");
    for field in fields {
        let (name, kind) = (field.name, kind_cell(field.kind));
        write_line(
            page,
            format_args!("| `{name}` | {kind} | {} |", yes(field.required)),
        );
    }
}

fn kind_cell(kind: FieldKind) -> String {
    match kind {
        FieldKind::Text => "text".to_owned(),
        FieldKind::Integer => "whole number".to_owned(),
        FieldKind::Boolean => "`true` or `false`".to_owned(),
        FieldKind::Time => "time".to_owned(),
        FieldKind::Date => "day, `YYYY-MM-DD`".to_owned(),
        FieldKind::Decimal => "decimal".to_owned(),
        FieldKind::Money => "[money](#money)".to_owned(),
        FieldKind::Texts => "list of texts".to_owned(),
        FieldKind::Slots => "whole numbers by channel".to_owned(),
        FieldKind::OrderLines => "list of [order lines](#order-line)".to_owned(),
        FieldKind::EvaluationItems => "list of [evaluation items](#evaluation-item)".to_owned(),
        FieldKind::List(members) => members
            .iter()
            .map(|member| format!("`{member}`"))
            .collect::<Vec<_>>()
            .join(", "),
    }
}

fn objects_section(page: &mut String) {
    page.push_str("\n## Objects inside events\n");
    let objects = [
        ("money", Money::FIELDS),
        ("order line", OrderLine::FIELDS),
        ("evaluation item", EvaluationItem::FIELDS),
    ];
    for (name, fields) in objects {
        write_line(page, format_args!("\n### {name}\n"));
        fields_table(page, fields);
    }
}

fn rejects_section(page: &mut String) {
    page.push_str(
        "
## Why a line is refused

A refused line is kept in `facts.quarantine` with file, line, reason, detail and its raw bytes. The
first finding of a line is reported.

| reason | finding |
|---|---|
",
    );
    for code in RejectCode::ALL {
        write_line(page, format_args!("| `{code}` | {} |", code.meaning()));
    }
}
