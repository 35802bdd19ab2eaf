use std::io::Cursor;

use events::{InteractionIdentified, UtcMicros};
use serde_json::Value;
use store::Store;

use super::*;
use crate::{IdentityKey, ImportReport, ImportSettings, Importer};

/// Records as `{"id": "1", "name": "a"}`, each an event.
struct Toy(SourceSettings);

impl Records for Toy {
    const PAGES: &'static [&'static str] = &["items"];
    const REVISED: bool = true;

    fn read(&mut self, record: &Value) -> Result<Meaning, Reject> {
        let fields = Fields::of(record)?;
        if fields.has("skip") {
            return Ok(Meaning::Nothing("skip".into()));
        }
        let id = fields.need_text("id")?;
        let mut emit = Emit::new(&self.0);
        let identified = InteractionIdentified {
            interaction_id: id.into(),
            customer_id: fields.need_text("name")?.into(),
        };
        emit.push(UtcMicros(1_772_442_000_000_000), (id, "who"), identified);
        emit.finish()
    }
}

fn import(store: &Store, text: &str) -> (ImportReport, Vec<(String, u64)>) {
    let now = UtcMicros::parse_rfc3339("2026-06-01T00:00:00Z").expect("a time");
    let source = SourceSettings {
        tenant_id: "default".into(),
        source: "toy".into(),
        recorded_at: now,
    };
    let stream = Cursor::new(text.to_owned().into_bytes());
    let inputs = Inputs::stream(Some("items.json".into()), stream);
    let mut lines = RecordLines::new(inputs, Toy(source));
    let settings = ImportSettings::new(now, IdentityKey::new([1; 32]));
    let mut importer = Importer::new(store, settings).expect("a store");
    let report = importer
        .run(&mut lines, &|| std::time::Duration::ZERO, &mut |_| {})
        .expect("the import runs");
    let unmapped = lines.unmapped().iter();
    let unmapped = unmapped.map(|(kind, n, _)| (kind.to_string(), n)).collect();
    (report, unmapped)
}

/// Who each interaction is with, by the facts.
fn customers(store: &Store) -> Vec<String> {
    let batches = store
        .read(&store.version(), "interactions")
        .expect("a table");
    let mut found = Vec::new();
    for batch in batches {
        for row in 0..batch.num_rows() {
            let cell = |name| {
                let column = batch.column_by_name(name).expect("a column");
                arrow::util::display::array_value_to_string(column, row).expect("a text")
            };
            found.push(format!(
                "{}={}",
                cell("interaction_id"),
                cell("customer_id")
            ));
        }
    }
    found.sort();
    found
}

#[test]
fn records_of_a_page_become_events_and_bad_ones_are_named_with_line_and_field() {
    let store = Store::in_memory();
    let text = "{\"count\": 3, \"items\": [{\"id\":\"1\",\"name\":\"a\"},\n{\"id\":\"2\"},\n\
                {\"skip\":true}]}\n{\"id\":\"3\",\"name\":7}\n[1]\n";
    let (report, unmapped) = import(&store, text);
    assert_eq!((report.accepted, report.rejected), (1, 3));
    assert_eq!(unmapped, [("skip".to_owned(), 1)]);
    let errors = report.first_errors.iter();
    let errors: Vec<String> = errors
        .map(|e| format!("{}: {}", e.place.line, e.reject))
        .collect();
    assert_eq!(
        errors[..2],
        [
            "2: missing_field: field 'name' is missing, null or empty",
            "4: bad_type: field 'name' is not a text but 7",
        ]
    );
    assert!(errors[2].starts_with("5: bad_json"), "{}", errors[2]);
}

#[test]
fn a_record_that_comes_again_with_other_content_replaces_what_it_said() {
    let store = Store::in_memory();
    let (first, second) = (
        "{\"id\":\"1\",\"name\":\"a\"}",
        "{\"id\":\"1\",\"name\":\"b\"}",
    );
    assert_eq!(import(&store, first).0.accepted, 1);
    assert_eq!(customers(&store), ["1=a"]);
    assert_eq!(import(&store, second).0.accepted, 1);
    assert_eq!(customers(&store), ["1=b"]);
    for text in [first, second] {
        let report = import(&store, text).0;
        assert_eq!(
            (report.accepted, report.duplicate, report.rejected),
            (0, 1, 0)
        );
    }
    assert_eq!(
        customers(&store),
        ["1=b"],
        "what was known before changes nothing"
    );
    assert_eq!(
        import(&store, "{\"id\":\"1\",\"name\":\"c\"}").0.accepted,
        1
    );
    assert_eq!(customers(&store), ["1=c"]);
}

#[test]
fn two_versions_in_one_file_are_one_fact() {
    let store = Store::in_memory();
    let (a, b) = (
        "{\"id\":\"1\",\"name\":\"a\"}",
        "{\"id\":\"1\",\"name\":\"b\"}",
    );
    let report = import(&store, &format!("{a}\n{b}\n{b}\n{a}\n")).0;
    assert_eq!(
        (report.accepted, report.duplicate, report.rejected),
        (2, 2, 0)
    );
    assert_eq!(customers(&store), ["1=b"]);
}

#[test]
fn ids_are_readable_and_never_too_long() {
    assert_eq!(event_id("c-1", "q.in"), "c-1:q.in");
    let long = event_id(&"x".repeat(200), "q.in");
    assert_eq!(long.len(), 40);
    assert_ne!(long, event_id(&"x".repeat(200), "q.out"));
}

#[test]
fn names_of_states_are_understood_by_their_words() {
    use events::AgentState as S;
    let told = [
        "Available",
        "Unavailable",
        "Lunch Break",
        "Coffee break",
        "Team meeting",
        "Project X",
    ];
    let states = told.map(agent_state);
    let expected = [
        S::Available,
        S::Other,
        S::Meal,
        S::Break,
        S::Meeting,
        S::Other,
    ];
    assert_eq!(states, expected);
}
