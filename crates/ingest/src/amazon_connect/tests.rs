use serde_json::json;
use store::Store;

use super::*;
use crate::records::testing::{facts_of, import_at, rejected, settings, shared, told};

fn reader() -> AmazonConnect {
    AmazonConnect::new(settings())
}

fn record() -> Value {
    json!({
        "ContactId": "c2", "InitialContactId": "c1", "PreviousContactId": "c1",
        "InitiationMethod": "TRANSFER", "Channel": "VOICE",
        "InitiationTimestamp": "2026-03-02T09:00:00Z",
        "DisconnectTimestamp": "2026-03-02T09:05:00Z", "DisconnectReason": "AGENT_DISCONNECT",
        "CustomerEndpoint": {"Type": "TELEPHONE_NUMBER", "Address": "+12025550101"},
        "Queue": {"ARN": "arn:x/queue/q9", "Name": "billing",
            "EnqueueTimestamp": "2026-03-02T09:00:05Z", "DequeueTimestamp": "2026-03-02T09:00:25Z"},
        "Agent": {"ARN": "arn:x/agent/a7", "Username": "anna",
            "ConnectedToAgentTimestamp": "2026-03-02T09:00:26Z", "AgentInteractionDuration": 240,
            "CustomerHoldDuration": 34, "NumberOfHolds": 2,
            "AfterContactWorkStartTimestamp": "2026-03-02T09:05:00Z",
            "AfterContactWorkEndTimestamp": "2026-03-02T09:05:12Z"}
    })
}

#[test]
fn a_transferred_contact_is_a_visit_and_a_leg_of_the_first_contact_and_names_nobody() {
    let events = told(&mut reader(), &record());
    assert_eq!(
        events,
        [
            "c2:t.in 09:00:00Z transfer.completed {transfer_id:c2/t,from_leg_id:c1/a,kind:blind,\
             to_kind:queue,to_id:billing,to_leg_id:c2/a}",
            "c2:q.in 09:00:05Z queue.entered {visit_id:c2/q,interaction_id:c1,queue_id:billing,\
             visit_kind:customer,via:transfer}",
            "c2:q.out 09:00:25Z queue.left {visit_id:c2/q,reason:answered,agent_id:a7,leg_id:c2/a}",
            "c2:a.on 09:00:26Z leg.connected {leg_id:c2/a,interaction_id:c1,agent_id:a7,\
             visit_id:c2/q,role:primary,initiation:transfer_blind}",
            "c2:a.off 09:05:00Z leg.disconnected {leg_id:c2/a,talk_ms:240000,hold_ms:34000}",
            "c2:acw.in 09:05:00Z acw.started {leg_id:c2/a}",
            "c2:acw.out 09:05:12Z acw.ended {leg_id:c2/a}",
            "c2:end 09:05:00Z interaction.ended {interaction_id:c1,ended_by:agent,\
             end_reason:agent_disconnect}",
        ]
    );
    assert!(!events.concat().contains("anna"));
}

fn left_by(change: Value) -> String {
    let mut record = record();
    record["Agent"] = Value::Null;
    for (name, value) in change.as_object().expect("fields") {
        record[name] = value.clone();
    }
    let events = told(&mut reader(), &record);
    let left = events.iter().find(|e| e.contains("queue.left"));
    let left = left.map_or("", |e| e.split("reason:").nth(1).unwrap_or_default());
    left.trim_end_matches('}').to_owned()
}

#[test]
fn a_wait_without_an_agent_ends_as_the_record_says() {
    assert_eq!(
        left_by(json!({"DisconnectReason": "CUSTOMER_DISCONNECT"})),
        "abandoned"
    );
    assert_eq!(left_by(json!({"DisconnectReason": null})), "abandoned");
    assert_eq!(
        left_by(json!({"DisconnectReason": "CONTACT_FLOW_DISCONNECT"})),
        "timeout"
    );
    assert_eq!(
        left_by(json!({"DisconnectReason": "TELECOM_PROBLEM"})),
        "error"
    );
    assert_eq!(left_by(json!({"NextContactId": "c3"})), "overflow");
    let open = json!({"DisconnectTimestamp": null, "Queue": {"Name": "q",
        "EnqueueTimestamp": "2026-03-02T09:00:05Z"}});
    assert_eq!(left_by(open), "", "who waits has not left");
}

#[test]
fn calls_of_agents_wait_in_no_queue_and_supervisors_who_listen_are_counted_for_nothing() {
    let mut call = record();
    call["InitiationMethod"] = "OUTBOUND".into();
    let events = told(&mut reader(), &call).join("\n");
    assert!(!events.contains("queue."), "{events}");
    assert!(events.contains("direction:outbound") && events.contains("initiation:outbound"));
    call["InitiationMethod"] = "MONITOR".into();
    let events = told(&mut reader(), &call);
    assert!(
        events[0].contains("role:monitor") && events.len() == 4,
        "{events:?}"
    );
    call["InitiationMethod"] = "EXTERNAL_OUTBOUND".into();
    assert_eq!(told(&mut reader(), &call), ["nothing: EXTERNAL_OUTBOUND"]);
}

#[test]
fn a_call_that_a_program_places_is_outbound_and_a_chat_that_it_begins_inbound() {
    let direction = |method: &str, channel: &str| {
        let mut record = record();
        (record["InitiationMethod"], record["Channel"]) = (method.into(), channel.into());
        let events = told(&mut reader(), &record).join("\n");
        assert!(events.contains("initiation:queue"), "{events}");
        events.contains("direction:outbound")
    };
    assert!(direction("API", "VOICE"));
    assert!(!direction("API", "CHAT") && !direction("API", "TASK"));
    assert!(!direction("WEBRTC_API", "VOICE") && !direction("INBOUND", "VOICE"));
}

#[test]
fn a_status_that_is_not_for_routing_is_not_available_whatever_its_name() {
    let status = |name: &str, kind: &str| {
        let snapshot = json!({"AgentStatus": {"Name": name, "Type": kind,
            "StartTimestamp": "2026-03-02T08:00:00Z"}, "Contacts": []});
        let event = json!({"AgentARN": "arn:x/agent/a7", "EventType": "STATE_CHANGE",
            "EventTimestamp": "2026-03-02T08:00:00Z", "CurrentAgentSnapshot": snapshot});
        let told = told(&mut reader(), &event).concat();
        let state = told.split("state:").nth(1).expect("a state");
        state.split(',').next().expect("a word").to_owned()
    };
    assert_eq!(status("Available", "ROUTABLE"), "available");
    assert_eq!(status("Available for chats", "CUSTOM"), "other");
    assert_eq!(status("Not available", "CUSTOM"), "other");
    assert_eq!(status("Lunch", "CUSTOM"), "meal");
}

#[test]
fn a_contact_record_that_comes_again_does_not_take_the_callback_away() {
    let store = Store::in_memory();
    let asked = |next: Value| {
        json!({"ContactId": "p1", "InitiationMethod": "INBOUND", "Channel": "VOICE",
            "InitiationTimestamp": "2026-03-02T09:00:00Z", "NextContactId": next,
            "DisconnectTimestamp": "2026-03-02T09:01:00Z", "DisconnectReason": "CONTACT_FLOW_DISCONNECT",
            "Queue": {"Name": "billing", "EnqueueTimestamp": "2026-03-02T09:00:05Z",
                "DequeueTimestamp": "2026-03-02T09:01:00Z"}})
    };
    let callback = json!({"ContactId": "c2", "InitiationMethod": "CALLBACK", "Channel": "VOICE",
        "PreviousContactId": "p1", "InitialContactId": "p1",
        "InitiationTimestamp": "2026-03-02T09:01:00Z", "Queue": {"Name": "billing",
            "EnqueueTimestamp": "2026-03-02T09:05:00Z"}});
    let outcome = |record: &Value| {
        let now = "2026-03-03T00:00:00Z";
        import_at(&store, reader(), (now, &record.to_string()));
        facts_of(&store, "queue_visits", &["visit_id", "outcome"])
    };
    assert_eq!(outcome(&asked(Value::Null)), ["p1/q timeout"]);
    assert_eq!(outcome(&callback), ["c2/q waiting", "p1/q callback"]);
    assert_eq!(
        outcome(&asked("c2".into())),
        ["c2/q waiting", "p1/q callback"]
    );
}

#[test]
fn what_cannot_be_understood_is_rejected_with_its_field() {
    let with = |name: &str, value: Value| {
        let mut record = record();
        record[name] = value;
        rejected(&mut reader(), &record)
    };
    let told = with("InitiationMethod", "TELEPATHY".into());
    assert!(
        told.starts_with("bad_enum: field 'InitiationMethod'"),
        "{told}"
    );
    let told = with("InitiationTimestamp", Value::Null);
    assert!(
        told.starts_with("missing_field: field 'InitiationTimestamp'"),
        "{told}"
    );
    let told = with("Queue", json!({"Name": "q", "EnqueueTimestamp": "09:00"}));
    assert!(
        told.starts_with("bad_type: field 'Queue.EnqueueTimestamp'"),
        "{told}"
    );
    let told = with(
        "Agent",
        json!({"ConnectedToAgentTimestamp": "2026-03-02T09:00:26Z",
        "Username": "x", "CustomerHoldDuration": -1}),
    );
    assert!(
        told.starts_with("negative_duration: field 'Agent.CustomerHoldDuration'"),
        "{told}"
    );
    assert!(rejected(&mut reader(), &json!({"a": 1})).starts_with("bad_line"));
    assert!(rejected(&mut reader(), &json!([1])).starts_with("bad_type"));
}

#[test]
fn the_documented_callback_waits_from_its_request_and_is_no_abandon() {
    let Some(records) = shared("amazon_connect/contact_records.json") else {
        return;
    };
    let records = records.as_array().expect("a list");
    let never_queued = told(&mut reader(), &records[0]).join("\n");
    assert!(!never_queued.contains("queue."), "{never_queued}");
    let events = told(&mut reader(), &records[2]).join("\n");
    for part in [
        "cb.instead instead of contact-1:q.out 11:37:00Z queue.left {visit_id:contact-1/q,reason:callback}",
        "11:37:00Z callback.requested",
        "11:39:25Z callback.connected",
        "11:38:39Z queue.entered {visit_id:contact-2/q,interaction_id:contact-2,\
         queue_id:CallbackQueue,visit_kind:callback}",
        "11:45:00Z leg.disconnected {leg_id:contact-2/a,talk_ms:335000,hold_ms:0}",
    ] {
        assert!(events.contains(part), "{part}\nis not in\n{events}");
    }
}

#[test]
fn the_documented_agent_events_have_their_talk_and_after_call_work() {
    let Some(records) = shared("amazon_connect/agent_events_acw.json") else {
        return;
    };
    let mut reader = reader();
    let records = records.as_array().expect("a list").iter();
    let events: Vec<String> = records.flat_map(|r| told(&mut reader, r)).collect();
    let at = |what: &str| {
        let event = events.iter().find(|e| e.contains(what));
        let event = event.unwrap_or_else(|| panic!("no {what} in {events:?}"));
        event.split(' ').nth(1).expect("a time").to_owned()
    };
    assert_eq!(at("leg.connected"), "18:55:21.011Z");
    assert_eq!(at("leg.disconnected"), "18:55:27.017Z");
    assert_eq!(at("acw.started"), "18:55:27.017Z");
    assert_eq!(at("acw.ended"), "18:55:32.022Z");
}

#[test]
fn the_documented_heartbeat_is_a_sign_of_life_with_the_state() {
    let Some(record) = shared("amazon_connect/agent_event_heartbeat.json") else {
        return;
    };
    let events = told(&mut reader(), &record);
    assert_eq!(
        events[events.len() - 1],
        "agent-ARN:beat.1565729924031000 20:58:44.031Z agent.heartbeat {agent_id:agent-ARN,\
         state:available,contacts:[]}"
    );
}

#[test]
fn a_ring_that_is_missed_is_an_offer_without_answer() {
    let contact = |state: &str, since: &str| {
        json!({"ContactId": "c1", "InitiationMethod": "INBOUND", "State": state,
            "StateStartTimestamp": since, "QueueTimestamp": "2026-03-02T09:00:00Z",
            "Queue": {"ARN": "arn:x/queue/1", "Name": "billing"}})
    };
    let snapshot = |contacts: Value| {
        json!({"AgentStatus": {"Name": "Available",
            "StartTimestamp": "2026-03-02T08:00:00Z"}, "Contacts": contacts})
    };
    let event = |at: &str, before: Value, after: Value| {
        json!({"AgentARN": "arn:x/agent/a7", "EventType": "STATE_CHANGE", "EventTimestamp": at,
            "PreviousAgentSnapshot": snapshot(before), "CurrentAgentSnapshot": snapshot(after)})
    };
    let ring = contact("CONNECTING", "2026-03-02T09:00:10Z");
    let missed = contact("MISSED", "2026-03-02T09:00:30Z");
    let mut reader = reader();
    let began = event("2026-03-02T09:00:10Z", json!([]), json!([ring]));
    let over = event("2026-03-02T09:00:30Z", json!([ring]), json!([missed]));
    let gone = event("2026-03-02T09:00:40Z", json!([missed]), json!([]));
    let events: Vec<String> = [began, over, gone]
        .iter()
        .flat_map(|e| told(&mut reader, e))
        .collect();
    let offer = "c1/a7/1772442010000000";
    assert_eq!(
        events,
        [
            format!(
                "c1:ring.1772442010000000 09:00:10Z offer.started {{offer_id:{offer},visit_id:c1/q,agent_id:a7}}"
            ),
            format!(
                "c1:rung.1772442010000000 09:00:30Z offer.ended {{offer_id:{offer},visit_id:c1/q,agent_id:a7,outcome:no_answer}}"
            ),
        ]
    );
}
