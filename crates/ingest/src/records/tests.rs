use events::{InteractionIdentified, UtcMicros};
use serde_json::Value;
use store::Store;

use super::{
    testing::{facts_of, import_at, settings},
    *,
};
use crate::ImportReport;

/// Records as `{"id": "1", "name": "a"}`, each an event, at the time `at` if they have one.
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
        let at = fields
            .time("at")?
            .unwrap_or(UtcMicros(1_772_442_000_000_000));
        emit.push(at, (id, "who"), identified);
        emit.finish()
    }
}

fn import(store: &Store, text: &str) -> (ImportReport, Vec<(String, u64)>) {
    import_at(store, Toy(settings()), ("2026-06-01T00:00:00Z", text))
}

/// Who each interaction is with, by the facts.
fn customers(store: &Store) -> Vec<String> {
    facts_of(store, "interactions", &["interaction_id", "customer_id"])
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
    assert_eq!(customers(&store), ["1 a"]);
    assert_eq!(import(&store, second).0.accepted, 1);
    assert_eq!(customers(&store), ["1 b"]);
    for text in [first, second] {
        let report = import(&store, text).0;
        assert_eq!(
            (report.accepted, report.duplicate, report.rejected),
            (0, 1, 0)
        );
    }
    assert_eq!(
        customers(&store),
        ["1 b"],
        "what was known before changes nothing"
    );
    assert_eq!(
        import(&store, "{\"id\":\"1\",\"name\":\"c\"}").0.accepted,
        1
    );
    assert_eq!(customers(&store), ["1 c"]);
}

#[test]
fn a_record_that_comes_again_weeks_later_with_another_time_replaces_what_it_said() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = Store::create_or_open(folder.path()).expect("a store");
    let record =
        |name: &str, at: &str| format!("{{\"id\":\"1\",\"name\":\"{name}\",\"at\":\"{at}\"}}");
    let first = record("a", "2026-03-01T09:00:00Z");
    let second = record("b", "2026-04-20T09:00:00Z");
    let third = record("c", "2026-05-30T09:00:00Z");
    let at = |now: &str, text: &str| {
        let report = import_at(&store, Toy(settings()), (now, text)).0;
        (report.accepted, report.duplicate, report.rejected)
    };
    assert_eq!(at("2026-03-02T00:00:00Z", &first), (1, 0, 0));
    assert_eq!(at("2026-04-21T00:00:00Z", &second), (1, 0, 0));
    assert_eq!(customers(&store), ["1 b"]);
    // Each version is found after the window too, as the event or as its revision.
    assert_eq!(at("2026-07-01T00:00:00Z", &first), (0, 1, 0));
    assert_eq!(at("2026-07-01T00:00:00Z", &second), (0, 1, 0));
    assert_eq!(at("2026-07-01T00:00:00Z", &third), (1, 0, 0));
    assert_eq!(customers(&store), ["1 c"]);
    let found = store.verify_all().expect("readable");
    assert_eq!((found.reused_ids, found.errors.len()), (0, 0));
}

#[test]
fn what_a_page_has_beside_its_records_is_counted() {
    let store = Store::in_memory();
    let text = "{\"items\": [{\"id\":\"1\",\"name\":\"a\"}], \"groups\": [{\"x\":1}]}";
    let (report, unmapped) = import(&store, text);
    assert_eq!((report.accepted, report.rejected), (1, 0));
    assert_eq!(unmapped, [("groups".to_owned(), 1)]);
    let text = "{\"item\": {\"id\":\"2\"}, \"items\": [{\"id\":\"3\",\"name\":\"a\"}]}";
    let (report, _) = import(&store, text);
    assert_eq!((report.accepted, report.rejected), (0, 1), "no page");
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
    assert_eq!(customers(&store), ["1 b"]);
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
        "Not available",
        "Not ready",
        "Not ready: lunch",
        "Logged out",
    ];
    let states = told.map(agent_state);
    let expected = [
        S::Available,
        S::Other,
        S::Meal,
        S::Break,
        S::Meeting,
        S::Other,
        S::Other,
        S::Other,
        S::Meal,
        S::Offline,
    ];
    assert_eq!(states, expected);
}
