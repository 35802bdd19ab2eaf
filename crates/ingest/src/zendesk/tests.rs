use serde_json::json;

use super::*;
use crate::records::testing::{rejected, settings, told};

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
