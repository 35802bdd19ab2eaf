use serde_json::json;

use super::*;
use crate::records::testing::{rejected, settings, shared, told};

fn reader() -> GenesysCloud {
    GenesysCloud::new(settings())
}

fn seg(kind: &str, start: &str, end: &str, more: Value) -> Value {
    let time = |t: &str| format!("2026-03-02T09:{t}Z");
    let mut segment =
        json!({"segmentType": kind, "segmentStart": time(start), "segmentEnd": time(end)});
    for (name, value) in more.as_object().expect("fields") {
        segment[name] = value.clone();
    }
    segment
}

fn part(purpose: &str, id: &str, segments: Value) -> Value {
    json!({"purpose": purpose, "userId": format!("user-{id}"), "participantName": "Jane Doe",
        "sessions": [{"mediaType": "voice", "sessionId": id, "ani": "tel:+12025550101",
            "direction": "inbound", "segments": segments}]})
}

fn conversation(participants: Value) -> Value {
    json!({"conversationId": "v1", "conversationStart": "2026-03-02T09:00:00Z",
        "conversationEnd": "2026-03-02T09:10:00Z", "originatingDirection": "inbound",
        "participants": participants})
}

#[test]
fn an_answered_call_is_a_visit_an_offer_and_a_leg_and_names_nobody() {
    let q = json!({"queueId": "q1"});
    let events = told(
        &mut reader(),
        &conversation(json!([
            part(
                "customer",
                "s1",
                json!([seg(
                    "interact",
                    "00:00",
                    "03:00",
                    json!({"disconnectType": "endpoint"})
                )])
            ),
            part(
                "acd",
                "s2",
                json!([seg("interact", "00:10", "00:30", q.clone())])
            ),
            part(
                "agent",
                "s3",
                json!([
                    seg("alert", "00:24", "00:30", q.clone()),
                    seg("interact", "00:30", "01:00", q.clone()),
                    seg("hold", "01:00", "01:20", q.clone()),
                    seg(
                        "interact",
                        "01:20",
                        "03:00",
                        json!({"queueId": "q1", "disconnectType": "peer"})
                    ),
                    seg(
                        "wrapup",
                        "03:00",
                        "03:15",
                        json!({"queueId": "q1", "wrapUpCode": "sold"})
                    )
                ])
            ),
        ])),
    );
    assert_eq!(
        events[1..],
        [
            "s2:in 09:00:10Z queue.entered {visit_id:s2,interaction_id:v1,queue_id:q1,visit_kind:customer}",
            "s2:out 09:00:30Z queue.left {visit_id:s2,reason:answered,agent_id:user-s3,leg_id:s3}",
            "s3:ring.1 09:00:24Z offer.started {offer_id:s3/1,visit_id:s2,agent_id:user-s3}",
            "s3:rung.1 09:00:30Z offer.ended {offer_id:s3/1,visit_id:s2,agent_id:user-s3,outcome:accepted}",
            "s3:on 09:00:30Z leg.connected {leg_id:s3,interaction_id:v1,agent_id:user-s3,visit_id:s2,\
             role:primary,initiation:queue}",
            "s3:hold.1 09:01:00Z hold.started {leg_id:s3}",
            "s3:held.1 09:01:20Z hold.ended {leg_id:s3}",
            "s3:off 09:03:00Z leg.disconnected {leg_id:s3}",
            "s3:acw.in 09:03:00Z acw.started {leg_id:s3}",
            "s3:acw.out 09:03:15Z acw.ended {leg_id:s3}",
            "s3:code 09:03:15Z disposition.set {leg_id:s3,codes:[sold]}",
            "v1:end 09:10:00Z interaction.ended {interaction_id:v1,ended_by:customer,end_reason:peer}",
        ]
    );
    assert!(events[0].contains("identity:+12025550101") && !events.concat().contains("Jane"));
}

/// How a wait ended whose queue session ended this way, with the customer there until `until`.
fn left_by(until: &str, metric: Option<&str>, how: &str) -> String {
    let mut queue = part(
        "acd",
        "s2",
        json!([seg(
            "interact",
            "00:10",
            "01:00",
            json!({"queueId": "q1", "disconnectType": how})
        )]),
    );
    if let Some(metric) = metric {
        queue["sessions"][0]["metrics"] = json!([{"name": metric, "value": 1}]);
    }
    let customer = part(
        "customer",
        "s1",
        json!([seg("interact", "00:00", until, json!({}))]),
    );
    let events = told(&mut reader(), &conversation(json!([customer, queue])));
    let left = events
        .iter()
        .find(|e| e.contains("queue.left"))
        .expect("left");
    let reason = left.split("reason:").nth(1).expect("a reason");
    reason.trim_end_matches('}').to_owned()
}

#[test]
fn a_wait_without_an_agent_ends_as_metrics_or_the_customer_say() {
    assert_eq!(left_by("01:00", None, "endpoint"), "abandoned");
    assert_eq!(left_by("05:00", None, "transfer"), "overflow");
    assert_eq!(left_by("05:00", None, "timeout"), "timeout");
    assert_eq!(left_by("05:00", Some("tAbandon"), "system"), "abandoned");
    assert_eq!(left_by("01:00", Some("tFlowOut"), "endpoint"), "overflow");
    assert_eq!(left_by("01:00", Some("tAnswered"), "transfer"), "answered");
}

#[test]
fn a_conversation_that_goes_on_has_no_end_yet() {
    let mut open = seg("interact", "00:10", "00:10", json!({"queueId": "q1"}));
    open.as_object_mut().expect("fields").remove("segmentEnd");
    let mut going_on = conversation(json!([part("acd", "s2", json!([open]))]));
    going_on
        .as_object_mut()
        .expect("fields")
        .remove("conversationEnd");
    let events = told(&mut reader(), &going_on);
    assert_eq!(events.len(), 2, "{events:?}");
}

#[test]
fn what_cannot_be_understood_is_rejected_with_its_place() {
    let told = rejected(&mut reader(), &json!({"conversationId": "v"}));
    assert!(
        told.starts_with("missing_field: field 'conversationStart'"),
        "{told}"
    );
    let bad = conversation(json!([part(
        "acd",
        "s",
        json!([{"segmentType": "interact",
        "segmentStart": "now"}])
    )]));
    let told = rejected(&mut reader(), &bad);
    let place = "bad_type: field 'participants[0].sessions[0].segments[0].segmentStart'";
    assert!(told.starts_with(place), "{told}");
}

#[test]
fn the_public_conversations_of_2016_are_read_whole() {
    let Some(details) = shared("genesys_cloud/conversation_details.json") else {
        return;
    };
    let mut reader = reader();
    let conversations = details["conversations"].as_array().expect("a list");
    let events: Vec<String> = conversations
        .iter()
        .flat_map(|c| told(&mut reader, c))
        .collect();
    let count = |what: &str| events.iter().filter(|e| e.contains(what)).count();
    assert_eq!(count("interaction.started"), 25);
    assert_eq!(count("channel:chat"), 4);
    assert_eq!(count("queue.entered"), 21);
    assert_eq!(
        count("reason:answered"),
        21,
        "one of them at the second ring"
    );
    assert_eq!(count("acw.started"), 24);
    assert_eq!(count("selfservice.started"), 2);
    assert_eq!(count("hold.started"), 1);
    let mut all = Vec::new();
    for conversation in conversations {
        match reader.read(conversation).expect("a conversation") {
            Meaning::Events(events) => all.extend(events),
            Meaning::Nothing(kind) => panic!("{kind}"),
        }
    }
    let rows = facts::fold_all(all);
    let legs = rows.Leg.iter();
    assert!(legs.clone().all(|leg| leg.completed_at.is_some()));
    assert_eq!(legs.clone().map(|leg| leg.hold_ms).sum::<i64>(), 169_428);
    // Added up from the segments: wrap-up after the end of the talk.
    assert_eq!(legs.map(|leg| leg.acw_ms).sum::<i64>(), 3_151_717);
    let waits = rows.QueueVisit.iter().filter_map(|visit| visit.wait_ms);
    assert_eq!(waits.sum::<i64>(), 320_663);
    assert!(rows.Issue.is_empty(), "{:?}", rows.Issue);
}
