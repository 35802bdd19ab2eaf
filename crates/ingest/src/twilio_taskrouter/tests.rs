use serde_json::json;

use super::*;
use crate::records::testing::{rejected, settings, shared, told};

fn reader() -> TwilioTaskrouter {
    TwilioTaskrouter::new(settings())
}

fn stream(kind: &str, time: &str, more: Value) -> Value {
    let mut payload = json!({"eventtype": kind, "timestamp": format!("2026-03-02T09:{time}Z"),
        "task_sid": "WT1", "task_queue_sid": "WQ1", "task_queue_name": "billing",
        "worker_sid": "WK1", "worker_name": "jane@example.com", "reservation_sid": "WR1"});
    for (name, value) in more.as_object().expect("fields") {
        payload[name] = value.clone();
    }
    json!({"type": "com.twilio.taskrouter.task.canceled", "data": {"payload": payload}})
}

#[test]
fn a_task_is_an_interaction_a_visit_an_offer_and_a_leg_and_names_nobody() {
    let attributes = json!({"from": "+12025550101", "to": "+12025550199"}).to_string();
    let mut reader = reader();
    let mut all = Vec::new();
    for (kind, time, more) in [
        (
            "task.created",
            "00:00",
            json!({"task_attributes": attributes, "task_channel_unique_name": "voice"}),
        ),
        ("task-queue.entered", "00:01", json!({"task_priority": "5"})),
        ("reservation.created", "00:10.250", json!({})),
        ("reservation.accepted", "00:15.500", json!({})),
        ("reservation.wrapup", "03:00", json!({})),
        ("reservation.completed", "03:20", json!({})),
        (
            "task.completed",
            "03:20",
            json!({"task_completed_reason": "done"}),
        ),
    ] {
        all.extend(told(&mut reader, &stream(kind, time, more)));
    }
    assert_eq!(
        all,
        [
            "WT1:start 09:00:00Z interaction.started {interaction_id:WT1,identity:+12025550101,\
             channel:voice,direction:inbound,entry_point:+12025550199}",
            "WT1/billing:in 09:00:01Z queue.entered {visit_id:WT1/billing,interaction_id:WT1,\
             queue_id:billing,visit_kind:customer,priority:5}",
            "WR1:ring 09:00:10.250Z offer.started {offer_id:WR1,visit_id:WT1/billing,agent_id:WK1}",
            "WR1:rung 09:00:15.500Z offer.ended {offer_id:WR1,visit_id:WT1/billing,agent_id:WK1,\
             outcome:accepted}",
            "WT1/billing:out 09:00:15.500Z queue.left {visit_id:WT1/billing,reason:answered,\
             agent_id:WK1,leg_id:WR1}",
            "WR1:on 09:00:15.500Z leg.connected {leg_id:WR1,interaction_id:WT1,agent_id:WK1,\
             visit_id:WT1/billing,role:primary,initiation:queue}",
            "WR1:off 09:03:00Z leg.disconnected {leg_id:WR1}",
            "WR1:acw.in 09:03:00Z acw.started {leg_id:WR1}",
            "WR1:acw.out 09:03:20Z acw.ended {leg_id:WR1}",
            "WT1:end 09:03:20Z interaction.ended {interaction_id:WT1,ended_by:agent,end_reason:done}",
        ]
    );
}

#[test]
fn another_queue_is_another_visit_and_the_same_one_again_a_second_one() {
    let mut reader = reader();
    let mut enter = |queue: &str, time: &str| {
        told(
            &mut reader,
            &stream(
                "task-queue.entered",
                time,
                json!({"task_queue_name": queue}),
            ),
        )
    };
    assert!(enter("a", "00:01")[0].starts_with("WT1/a:in"));
    let second = enter("b", "00:05");
    assert!(
        second[0].ends_with("{visit_id:WT1/a,reason:moved}"),
        "{second:?}"
    );
    assert!(enter("a", "00:09")[1].starts_with("WT1/a/2:in"));
}

#[test]
fn an_event_that_is_delivered_again_says_nothing_new() {
    let mut reader = reader();
    let entered = |queue: &str, time: &str| {
        stream(
            "task-queue.entered",
            time,
            json!({"task_queue_name": queue}),
        )
    };
    let first = entered("a", "00:01");
    let accepted = stream(
        "reservation.accepted",
        "00:05",
        json!({"task_queue_name": "a"}),
    );
    let before = [told(&mut reader, &first), told(&mut reader, &first)];
    assert_eq!(before[0], before[1]);
    let taken = told(&mut reader, &accepted);
    told(&mut reader, &entered("b", "00:09"));
    assert_eq!(
        told(&mut reader, &accepted),
        taken,
        "of the visit it was of"
    );
    let gone = stream("task.canceled", "00:20", json!({"task_queue_name": "b"}));
    assert!(told(&mut reader, &gone)[0].contains("visit_id:WT1/b,reason:abandoned"));
    let again = told(&mut reader, &gone);
    assert!(
        again.len() == 1 && again[0].starts_with("WT1:end"),
        "{again:?}"
    );
}

#[test]
fn a_task_that_is_handed_on_to_another_worker_is_a_second_leg_and_answers_no_visit_again() {
    let mut reader = reader();
    let mut tell =
        |kind: &str, time: &str, more: Value| told(&mut reader, &stream(kind, time, more));
    let second = json!({"reservation_sid": "WR2", "worker_sid": "WK2"});
    tell("task-queue.entered", "00:01", json!({}));
    tell("reservation.created", "00:04", json!({}));
    let first = tell("reservation.accepted", "00:05", json!({}));
    assert_eq!(
        tell("reservation.created", "01:00", second.clone()),
        [""; 0]
    );
    let on = tell("reservation.accepted", "01:05", second.clone());
    assert_eq!(
        on,
        [
            "WR2:on 09:01:05Z leg.connected {leg_id:WR2,interaction_id:WT1,agent_id:WK2,\
          role:primary,initiation:transfer_blind}"
        ]
    );
    assert_eq!(
        tell("reservation.accepted", "00:05", json!({})),
        first,
        "delivered again"
    );
    assert_eq!(
        tell("reservation.accepted", "01:05", second),
        on,
        "delivered again"
    );
    // Another queue is another visit.
    tell(
        "task-queue.entered",
        "02:00",
        json!({"task_queue_name": "sales"}),
    );
    let third = json!({"reservation_sid": "WR3", "task_queue_name": "sales"});
    let third = tell("reservation.accepted", "02:05", third);
    assert!(
        third[1].contains("visit_id:WT1/sales,reason:answered"),
        "{third:?}"
    );
}

#[test]
fn a_canceled_task_is_an_abandon_unless_its_reason_says_better() {
    let canceled = |why: &str, accepted: bool| {
        let mut reader = reader();
        told(
            &mut reader,
            &stream("task-queue.entered", "00:01", json!({})),
        );
        if accepted {
            told(
                &mut reader,
                &stream("reservation.accepted", "00:02", json!({})),
            );
        }
        let event = stream(
            "task.canceled",
            "00:09",
            json!({"task_canceled_reason": why}),
        );
        told(&mut reader, &event).join(" ")
    };
    assert!(canceled("hangup", false).contains("reason:abandoned"));
    assert!(canceled("Left a Voicemail", false).contains("reason:voicemail"));
    assert!(canceled("callback requested", false).contains("reason:callback"));
    assert!(!canceled("hangup", true).contains("queue.left"));
}

#[test]
fn the_forms_of_an_event_say_the_same() {
    let a = stream("reservation.accepted", "00:15", json!({}));
    let b = json!({"EventType": "reservation.accepted", "Timestamp": "1772442015", "TaskSid": "WT1",
        "TaskQueueSid": "WQ1", "TaskQueueName": "billing", "WorkerSid": "WK1", "ReservationSid": "WR1"});
    let c = json!({"event_type": "reservation.accepted", "event_date": "2026-03-02T09:00:15Z",
        "event_data": {"task_sid": "WT1", "task_queue_name": "billing", "worker_sid": "WK1",
            "reservation_sid": "WR1"}});
    let first = told(&mut reader(), &a);
    assert_eq!(told(&mut reader(), &b), first);
    assert_eq!(told(&mut reader(), &c), first);
}

#[test]
fn what_cannot_be_understood_is_rejected_with_its_field() {
    let with = |kind: &str, more: Value| rejected(&mut reader(), &stream(kind, "00:00", more));
    let told = with("reservation.accepted", json!({"worker_sid": null}));
    assert!(
        told.starts_with("missing_field: field 'data.payload.worker_sid'"),
        "{told}"
    );
    let told = with("task.created", json!({"task_attributes": "{"}));
    assert!(
        told.starts_with("bad_type: field 'data.payload.task_attributes'"),
        "{told}"
    );
    let told = with("task.created", json!({"timestamp": "soon"}));
    assert!(
        told.starts_with("bad_type: field 'data.payload.timestamp'"),
        "{told}"
    );
    assert!(rejected(&mut reader(), &json!({"x": 1})).starts_with("bad_line"));
}

#[test]
fn the_documented_payload_is_believed_not_its_envelope() {
    let Some(events) = shared("twilio_taskrouter/sample_events.json") else {
        return;
    };
    // The sample has no time of its own and no worker: the payload's type is what counts here.
    let told = rejected(&mut reader(), &events[0]);
    assert!(told.contains("data.payload.timestamp"), "{told}");
    let canceled = &events[1];
    let mut canceled = canceled.clone();
    canceled["TaskSid"] = canceled["ResourceSid"].clone();
    let events = crate::records::testing::told(&mut reader(), &canceled);
    assert!(
        events[0].ends_with("ended_by:customer,end_reason:hangup}"),
        "{events:?}"
    );
}
