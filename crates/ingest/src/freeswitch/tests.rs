use serde_json::json;

use super::*;
use crate::records::testing::{rejected, settings, told};

fn reader() -> Freeswitch {
    Freeswitch::new(settings())
}

fn event(action: &str, second: i64, more: Value) -> Value {
    let at = 1_772_442_000_000_000_i64 + second * 1_000_000;
    let mut event = json!({"Event-Subclass": "callcenter::info", "CC-Action": action,
        "Event-Date-Timestamp": at.to_string(), "CC-Queue": "q@d", "CC-Agent": "1001@d",
        "CC-Member-UUID": "m1", "CC-Member-Session-UUID": "call-1",
        "CC-Member-CID-Number": "2025550101", "CC-Member-CID-Name": "Jane Doe"});
    for (name, value) in more.as_object().expect("fields") {
        event[name] = value.clone();
    }
    event
}

#[test]
fn an_answered_call_after_a_missed_ring_and_nobody_is_named() {
    let mut reader = reader();
    let mut all = Vec::new();
    let agent = json!({"CC-Agent-UUID": "leg-1"});
    for (action, second, more) in [
        ("member-queue-start", 0, json!({})),
        ("agent-offering", 2, json!({})),
        (
            "bridge-agent-fail",
            12,
            json!({"CC-Hangup-Cause": "NO_ANSWER"}),
        ),
        ("agent-offering", 14, json!({"CC-Agent": "1002@d"})),
        (
            "bridge-agent-start",
            19,
            json!({"CC-Agent": "1002@d", "CC-Agent-UUID": "leg-1"}),
        ),
        ("bridge-agent-end", 79, agent.clone()),
        (
            "member-queue-end",
            79,
            json!({"CC-Cause": "Terminated",
            "variable_sip_hangup_disposition": "recv_bye"}),
        ),
    ] {
        all.extend(told(&mut reader, &event(action, second, more)));
    }
    assert_eq!(
        all,
        [
            "m1/call-1:start 09:00:00Z interaction.started {interaction_id:call-1,\
             identity:2025550101,channel:voice,direction:inbound}",
            "m1/call-1:in 09:00:00Z queue.entered {visit_id:m1/call-1,interaction_id:call-1,\
             queue_id:q@d,visit_kind:customer}",
            "m1/call-1/1001@d/1772442002000000:ring 09:00:02Z offer.started \
             {offer_id:m1/call-1/1001@d/1772442002000000,visit_id:m1/call-1,agent_id:1001@d}",
            "m1/call-1/1001@d/1772442002000000:rung 09:00:12Z offer.ended \
             {offer_id:m1/call-1/1001@d/1772442002000000,visit_id:m1/call-1,agent_id:1001@d,\
             outcome:no_answer}",
            "m1/call-1/1002@d/1772442014000000:ring 09:00:14Z offer.started \
             {offer_id:m1/call-1/1002@d/1772442014000000,visit_id:m1/call-1,agent_id:1002@d}",
            "m1/call-1/1002@d/1772442014000000:rung 09:00:19Z offer.ended \
             {offer_id:m1/call-1/1002@d/1772442014000000,visit_id:m1/call-1,agent_id:1002@d,\
             outcome:accepted}",
            "m1/call-1:out 09:00:19Z queue.left {visit_id:m1/call-1,reason:answered,\
             agent_id:1002@d,leg_id:m1/call-1/leg-1}",
            "m1/call-1/leg-1:on 09:00:19Z leg.connected {leg_id:m1/call-1/leg-1,\
             interaction_id:call-1,agent_id:1002@d,visit_id:m1/call-1,role:primary,initiation:queue}",
            "m1/call-1/leg-1:off 09:01:19Z leg.disconnected {leg_id:m1/call-1/leg-1}",
            "m1/call-1:end 09:01:19Z interaction.ended {interaction_id:call-1,ended_by:customer}",
        ]
    );
}

#[test]
fn events_without_a_time_of_their_own_tell_an_answer_once() {
    let untimed = |action: &str, more: Value| {
        let mut event = event(action, 0, more);
        event["Event-Date-Timestamp"] = Value::Null;
        for (name, second) in [
            ("CC-Member-Joined-Time", 0),
            ("CC-Agent-Called-Time", 10),
            ("CC-Agent-Answered-Time", 19),
            ("CC-Member-Leaving-Time", 79),
        ] {
            event[name] = (1_772_442_000 + second).to_string().into();
        }
        event
    };
    let agent = json!({"CC-Agent-UUID": "leg-1"});
    let start = untimed("bridge-agent-start", agent.clone());
    let out = |events: &[String]| -> Vec<String> {
        let out = events.iter().filter(|e| e.contains("queue.left"));
        out.cloned().collect()
    };
    let answered = out(&told(&mut reader(), &start));
    assert_eq!(
        answered,
        [
            "m1/call-1:out 09:00:19Z queue.left {visit_id:m1/call-1,reason:answered,agent_id:1001@d,\
          leg_id:m1/call-1/leg-1}"
        ]
    );
    let named = untimed(
        "member-queue-end",
        json!({"CC-Cause": "Terminated", "CC-Agent-UUID": "leg-1"}),
    );
    let mut unnamed = named.clone();
    (unnamed["CC-Agent"], unnamed["CC-Agent-UUID"]) = (Value::Null, Value::Null);
    for end in [&named, &unnamed] {
        let mut reader = reader();
        told(&mut reader, &start);
        assert_eq!(out(&told(&mut reader, end)), [""; 0], "it is told");
    }
    // Apart from the answer it stands for it, in the same words if it names the agent.
    assert_eq!(out(&told(&mut reader(), &named)), answered);
    assert_eq!(
        out(&told(&mut reader(), &unnamed)),
        ["m1/call-1:out 09:00:19Z queue.left {visit_id:m1/call-1,reason:answered}"]
    );
}

#[test]
fn two_statuses_in_one_second_are_two_events() {
    let status = |name: &str| {
        let event = event("agent-status-change", 5, json!({"CC-Agent-Status": name}));
        let told = told(&mut reader(), &event);
        told[1].split(' ').next().expect("an id").to_owned()
    };
    assert_ne!(status("Available"), status("On Break"));
}

#[test]
fn a_caller_who_leaves_without_an_agent_leaves_for_the_told_reason() {
    let left_by = |why: Value| {
        let more = json!({"CC-Cause": "Cancel", "CC-Cancel-Reason": why});
        told(&mut reader(), &event("member-queue-end", 9, more)).join(" ")
    };
    let gave_up = left_by("BREAK_OUT".into());
    assert!(gave_up.contains("reason:abandoned") && gave_up.contains("ended_by:customer"));
    for (why, reason) in [
        ("NONE", "abandoned"),
        ("TIMEOUT", "timeout"),
        ("NO_AGENT_TIMEOUT", "leave_empty"),
        ("EXIT_WITH_KEY", "key_exit"),
        ("SOMETHING_NEW", "error"),
    ] {
        let told = left_by(why.into());
        assert!(told.contains(&format!("reason:{reason}")), "{why}: {told}");
    }
    assert!(!left_by("TIMEOUT".into()).contains("interaction.ended"));
}

#[test]
fn other_events_are_counted_and_broken_ones_rejected_with_their_field() {
    let count = event("members-count", 0, json!({}));
    assert_eq!(told(&mut reader(), &count), ["nothing: members-count"]);
    let other = json!({"Event-Subclass": "sofia::register"});
    assert_eq!(told(&mut reader(), &other), ["nothing: sofia::register"]);
    let with = |name: &str, value: Value| {
        rejected(
            &mut reader(),
            &event("bridge-agent-start", 0, json!({name: value})),
        )
    };
    let told = with("CC-Agent", Value::Null);
    assert!(
        told.starts_with("missing_field: field 'CC-Agent'"),
        "{told}"
    );
    let told = with("Event-Date-Timestamp", Value::Null);
    assert!(
        told.starts_with("missing_field: field 'Event-Date-Timestamp'"),
        "{told}"
    );
    let told = with("Event-Date-Timestamp", "noon".into());
    assert!(
        told.starts_with("bad_type: field 'Event-Date-Timestamp'"),
        "{told}"
    );
}

#[test]
fn the_documented_events_have_the_published_times() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let path = root.join("../shared/data/freeswitch_callcenter/events.jsonl");
    let Ok(text) = std::fs::read_to_string(path) else {
        println!("skipped: no ../shared");
        return;
    };
    // Their toy times are hours after 1970, before any that is believed: we move them to a real day.
    let day = 1_772_409_600_i64;
    let mut reader = reader();
    let mut all = Vec::new();
    for line in text.lines() {
        let mut record: Value = serde_json::from_str(line).expect("JSON");
        let fields = record.as_object_mut().expect("fields");
        for (_, value) in fields
            .iter_mut()
            .filter(|(name, _)| name.ends_with("-Time"))
        {
            let seconds: i64 = value.as_str().expect("a text").parse().expect("seconds");
            *value = (day + seconds).to_string().into();
        }
        if fields.keys().any(|name| name.ends_with("-Time")) {
            all.extend(told(&mut reader, &record));
        }
    }
    // 9000 s are 02:30:00, 10000 s 02:46:40 of the day.
    let times: Vec<String> = all
        .iter()
        .map(|event| event.splitn(3, ' ').skip(1).collect::<Vec<_>>().join(" "))
        .collect();
    let has = |what: &str| times.iter().any(|t| t.starts_with(what));
    assert!(has("02:30:00Z queue.entered"), "{times:#?}");
    assert!(has("02:46:40Z offer.started"), "ring of 9 s");
    assert!(has("02:46:49Z queue.left"), "wait of 1009 s");
    assert!(has("02:55:00Z leg.disconnected"), "talk of 491 s");
    assert!(
        times
            .iter()
            .any(|t| t.starts_with("02:47:30Z queue.left") && t.contains("timeout"))
    );
}
