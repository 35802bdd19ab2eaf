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

/// A customer who waited in q1 asked to be called back; q2 is asked for an agent, whose sessions follow.
fn called_back(agent: &[Value]) -> Value {
    let q = |id: &str| json!({"queueId": id});
    let mut again = part(
        "acd",
        "s3",
        json!([seg("interact", "02:00", "02:30", q("q2"))]),
    );
    again["sessions"][0]["mediaType"] = "callback".into();
    let mut all = vec![
        part(
            "customer",
            "s1",
            json!([seg("interact", "00:00", "01:00", json!({}))]),
        ),
        part(
            "acd",
            "s2",
            json!([seg("interact", "00:10", "01:00", q("q1"))]),
        ),
        again,
    ];
    if !agent.is_empty() {
        all.push(json!({"purpose": "agent", "userId": "a1", "sessions": agent}));
    }
    conversation(all.into())
}

/// A session of the agent a1.
fn session(id: &str, media: &str, segments: Value) -> Value {
    json!({"mediaType": media, "sessionId": id, "direction": "outbound", "segments": segments})
}

/// The agent takes the callback and places two calls out of it, of which the second one is answered.
fn taken() -> [Value; 3] {
    let q = json!({"queueId": "q2"});
    [
        session(
            "s4",
            "callback",
            json!([
                seg("alert", "02:20", "02:30", q.clone()),
                seg("interact", "02:30", "07:30", q.clone()),
                seg("wrapup", "07:30", "08:00", q.clone()),
            ]),
        ),
        session(
            "s5",
            "voice",
            json!([seg("dialing", "02:31", "02:50", q.clone())]),
        ),
        session(
            "s6",
            "voice",
            json!([
                seg("dialing", "03:00", "03:30", q.clone()),
                seg("interact", "03:30", "07:00", q),
            ]),
        ),
    ]
}

fn fold(record: &Value) -> facts::FactRows {
    match reader().read(record).expect("a conversation") {
        Meaning::Events(events) => facts::fold_all(events),
        other => panic!("{other:?}"),
    }
}

/// Kind, attempts, seconds until the customer was reached, and outcome of the only callback.
fn callback(rows: &facts::FactRows) -> (i64, Option<i64>, Option<&str>) {
    let [callback] = &rows.Callback[..] else {
        panic!("{:?}", rows.Callback);
    };
    assert!(rows.Issue.is_empty(), "{:?}", rows.Issue);
    let wait = callback.wait_from_request_ms.map(|ms| ms / 1_000);
    (callback.attempts, wait, callback.outcome.as_deref())
}

#[test]
fn a_callback_is_over_when_the_customer_was_reached_or_nobody_was() {
    let reached = fold(&called_back(&taken()));
    assert_eq!(callback(&reached), (2, Some(150), Some("done")));
    let not_reached = fold(&called_back(&taken()[..2]));
    assert_eq!(callback(&not_reached), (1, None, Some("failed")));
    let nobody = fold(&called_back(&[]));
    assert_eq!(callback(&nobody), (0, None, Some("failed")));
    // Without the calls that were placed, the agent's part is all that is known.
    let without_calls = fold(&called_back(&taken()[..1]));
    assert_eq!(callback(&without_calls), (1, Some(90), Some("done")));
}

#[test]
fn the_calls_that_are_placed_out_of_a_callback_are_one_piece_of_work_with_it() {
    let rows = fold(&called_back(&taken()));
    let [leg] = &rows.Leg[..] else {
        panic!("{:?}", rows.Leg);
    };
    assert_eq!((leg.leg_id.as_str(), leg.handled), ("s4", true));
    assert_eq!(
        (leg.talk_ms, leg.acw_ms, leg.handle_ms),
        (300_000, 30_000, 330_000)
    );
    assert_eq!(leg.queue_id.as_deref(), Some("q2"));
}

#[test]
fn a_voicemail_that_nobody_is_given_is_no_callback_that_waits() {
    let voicemail = part(
        "voicemail",
        "s4",
        json!([seg("interact", "01:00", "01:30", json!({}))]),
    );
    let queue = part(
        "acd",
        "s2",
        json!([seg("interact", "00:10", "01:00", json!({"queueId": "q1"}))]),
    );
    let rows = fold(&conversation(json!([queue, voicemail])));
    assert_eq!(rows.QueueVisit[0].outcome, "voicemail");
    assert!(rows.Callback.is_empty(), "{:?}", rows.Callback);
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
            other => panic!("{other:?}"),
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
