use serde_json::json;
use store::Store;

use super::*;
use crate::records::testing::{facts_of, import_at, rejected, settings, told};

fn ticket() -> Value {
    json!({"id": 5, "status": "open", "requester_id": 90, "submitter_id": 90, "tags": [],
        "created_at": "2026-03-02T09:00:00Z", "updated_at": "2026-03-02T09:30:00Z",
        "subject": "My name is Jane", "via": {"channel": "email"}})
}

fn audit(author: i64, events: Value) -> Value {
    json!({"id": 1, "ticket_id": 5, "author_id": author, "created_at": "2026-03-02T10:00:00Z",
        "events": events})
}

fn reader() -> Zendesk {
    let mut reader = Zendesk::new(settings());
    told(&mut reader, &ticket());
    reader
}

#[test]
fn a_ticket_is_a_case_and_a_contact_and_its_words_stay_out() {
    let events = told(&mut Zendesk::new(settings()), &ticket());
    assert_eq!(
        events,
        [
            "5:start 09:00:00Z interaction.started {interaction_id:5,thread_id:5,customer_id:90,\
             channel:email,direction:inbound}",
            "5:open 09:00:00Z case.opened {case_id:5,customer_id:90,interaction_id:5,channel:email,\
             status:new}",
            "5:now 09:30:00Z case.status_changed {case_id:5,status:open}",
        ]
    );
}

#[test]
fn comments_are_of_the_customer_an_agent_or_the_system() {
    let mut reader = reader();
    let mut by = |author: i64, public: bool| {
        let comment = json!([{"id": 7, "type": "Comment", "body": "x", "public": public}]);
        let events = told(&mut reader, &audit(author, comment));
        events[0]
            .split("actor:")
            .nth(1)
            .expect("an actor")
            .to_owned()
    };
    assert_eq!(by(90, true), "customer,actor_id:90,public:true}");
    assert_eq!(by(91, false), "agent,actor_id:91,public:false}");
    assert_eq!(by(-1, true), "system,actor_id:-1,public:true}");
    let mut reader = Zendesk::new(settings());
    let unknown = audit(90, json!([{"id": 7, "type": "Comment", "public": true}]));
    let why = rejected(&mut reader, &unknown);
    assert!(
        why.starts_with("missing_field: field 'events[0].author_id'"),
        "{why}"
    );
    told(&mut reader, &json!({"id": 90, "role": "end-user"}));
    assert!(told(&mut reader, &unknown)[0].contains("actor:customer"));
}

/// Imports records, each command with a reader of its own; the first reply and the events taken.
fn first_reply(store: &Store, records: &[Value]) -> (u64, Vec<String>) {
    let text: String = records.iter().map(|record| format!("{record}\n")).collect();
    let now = "2026-06-01T00:00:00Z";
    let report = import_at(store, Zendesk::new(settings()), (now, &text)).0;
    assert_eq!(report.rejected, 0, "{:?}", report.first_errors);
    (
        report.accepted,
        facts_of(store, "cases", &["first_reply_ms"]),
    )
}

fn comments() -> Value {
    let comment = |id: i64, author: i64| json!({"id": id, "type": "Comment", "author_id": author});
    let mut audit = audit(92, json!([comment(7, 92)]));
    audit["created_at"] = "2026-03-02T09:05:00Z".into();
    json!({"audits": [audit, self::audit(91, json!([comment(8, 91)]))]})
}

#[test]
fn without_users_nobody_becomes_an_agent_who_was_told_to_be_a_customer() {
    let store = Store::in_memory();
    let user = |id: i64, role: &str| json!({"id": id, "role": role});
    let users = [user(91, "agent"), user(92, "end-user")];
    let known = [&users[..], &[ticket(), comments()]].concat();
    let reply = vec!["3600000".to_owned()];
    assert_eq!(first_reply(&store, &known), (5, reply.clone()));
    assert_eq!(first_reply(&store, &[ticket(), comments()]), (0, reply));
}

#[test]
fn who_was_taken_for_an_agent_is_a_customer_once_the_users_say_so() {
    let store = Store::in_memory();
    let guessed = first_reply(&store, &[ticket(), comments()]);
    assert_eq!(guessed, (5, vec!["300000".to_owned()]));
    let user = json!({"id": 92, "role": "end-user"});
    let told = first_reply(&store, &[user, ticket(), comments()]);
    assert_eq!(told, (1, vec!["3600000".to_owned()]));
}

#[test]
fn a_ticket_that_has_its_audits_in_it_is_read_with_them() {
    let mut ticket = ticket();
    ticket["audits"] = comments()["audits"].clone();
    let events = told(&mut Zendesk::new(settings()), &ticket).concat();
    assert_eq!(events.matches("message.sent").count(), 2);
    let page = json!({"ticket": {"id": 5}, "users": [{"id": 92, "role": "agent"}]});
    assert!(rejected(&mut Zendesk::new(settings()), &page).starts_with("bad_line"));
}

#[test]
fn a_rating_that_is_given_weeks_later_replaces_the_one_before() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = Store::create_or_open(folder.path()).expect("a store");
    let rating = |score: &str, at: &str| {
        json!({"id": 55, "ticket_id": 5, "score": score, "assignee_id": 91,
            "created_at": "2026-03-02T10:00:00Z", "updated_at": at})
        .to_string()
    };
    let bad = rating("bad", "2026-03-03T11:00:00Z");
    let good = rating("good", "2026-03-27T11:00:00Z");
    let at = |now: &str, text: &str| {
        import_at(&store, Zendesk::new(settings()), (now, text));
        facts_of(&store, "surveys", &["score"])
    };
    assert_eq!(at("2026-03-04T00:00:00Z", &bad), ["0"]);
    assert_eq!(at("2026-03-29T00:00:00Z", &good), ["1"]);
    assert_eq!(at("2026-04-29T00:00:00Z", &bad), ["1"], "it is known");
}

#[test]
fn tickets_without_audits_are_open_only_if_they_stand_so() {
    let store = Store::in_memory();
    let states = ["solved", "closed", "deleted", "open", "pending"];
    let tickets = states.iter().zip(5..).map(|(status, id)| {
        let mut ticket = ticket();
        (ticket["id"], ticket["status"]) = (id.into(), (*status).into());
        format!("{ticket}\n")
    });
    let text: String = tickets.collect();
    let now = "2026-06-01T00:00:00Z";
    import_at(&store, Zendesk::new(settings()), (now, &text));
    let open = facts_of(&store, "cases", &["status", "is_open"]);
    let is = [
        "closed false",
        "deleted false",
        "open true",
        "pending true",
        "solved false",
    ];
    assert_eq!(open, is);
}

#[test]
fn steps_of_the_status_are_told_the_same_in_audits_and_ticket_events() {
    let change = |before: &str, after: &str| {
        let event = json!([{"id": 8, "type": "Change", "field_name": "status", "value": after,
            "previous_value": before}]);
        let as_audit = told(&mut reader(), &audit(91, event));
        let as_event = told(
            &mut reader(),
            &json!({"id": 1, "ticket_id": 5, "updater_id": 91, "timestamp": 1_772_445_600,
                "child_events": [{"id": 8, "event_type": "Change", "status": after,
                    "previous_value": before}]}),
        );
        assert_eq!(as_audit, as_event);
        let kinds = as_audit
            .iter()
            .map(|e| e.split(' ').nth(2).expect("a type"));
        kinds.collect::<Vec<_>>().join(" ")
    };
    assert_eq!(change("new", "open"), "case.status_changed");
    assert_eq!(change("open", "solved"), "case.status_changed case.solved");
    assert_eq!(
        change("solved", "open"),
        "case.status_changed case.reopened"
    );
    assert_eq!(
        change("solved", "closed"),
        "case.status_changed case.closed"
    );
}

#[test]
fn ratings_are_surveys_of_two_answers() {
    let rating = |score: &str| {
        let record = json!({"id": 3, "ticket_id": 5, "score": score, "assignee_id": 91,
            "created_at": "2026-03-02T10:00:00Z", "updated_at": "2026-03-02T11:00:00Z"});
        told(&mut reader(), &record)
    };
    assert_eq!(rating("offered").len(), 1);
    assert!(rating("unoffered").is_empty(), "nobody was asked");
    assert!(rating("good_with_comment")[1].ends_with("agent_id:91,score:1}"));
    assert!(rating("bad")[1].ends_with("score:0}"));
}

#[test]
fn a_merged_ticket_says_so_and_other_records_are_rejected() {
    let mut merged = ticket();
    merged["tags"] = json!(["closed_by_merge"]);
    assert!(told(&mut reader(), &merged)[2].contains("merged_into:unknown"));
    assert!(rejected(&mut reader(), &json!({"x": 1})).starts_with("bad_line"));
    let mut bad = ticket();
    bad["created_at"] = "today".into();
    let why = rejected(&mut reader(), &bad);
    assert!(why.starts_with("bad_type: field 'created_at'"), "{why}");
}
