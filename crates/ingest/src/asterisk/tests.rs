use super::*;
use crate::local_time::{MissingHour, RepeatedHour};

fn settings() -> QueueLogSettings {
    QueueLogSettings {
        tenant_id: Text::new("default"),
        source: Text::new("pbx"),
        recorded_at: UtcMicros::parse_rfc3339("2026-01-01T00:00:00Z").expect("time"),
        clock: None,
    }
}

fn read(lines: &str) -> Vec<Event> {
    let mut log = QueueLog::new(settings());
    lines
        .lines()
        .flat_map(|l| log.line(l.as_bytes()).expect("row"))
        .collect()
}

/// `seconds after 2010-02-22T10:00:00Z, type, data` per event.
fn told(lines: &str) -> Vec<String> {
    read(lines).iter().map(tell).collect()
}

fn tell(event: &Event) -> String {
    let data = serde_json::to_string(&event.data)
        .expect("json")
        .replace('"', "");
    let data = match data.split_once("/offer/") {
        Some((before, id)) => format!("{before}/offer/ID{}", &id[8..]),
        None => data,
    };
    let seconds = (event.occurred_at.0 - 1_266_832_800_000_000) as f64 / 1e6;
    format!("{seconds} {} {data}", event.data.event_type())
}

fn rejected(line: &str) -> String {
    let mut log = QueueLog::new(settings());
    log.line(line.as_bytes()).expect_err("reject").to_string()
}

#[test]
fn an_answered_call_of_the_old_dialect_has_no_ring_time() {
    assert_eq!(
        told(
            "1266832811|c1|9000|NONE|ENTERQUEUE||01632960001\n\
             1266832812|c1|9000|Local/2004@x/n|CONNECT|1|1266832811.7\n\
             1266832815|c1|9000|Local/2004@x/n|COMPLETEAGENT|1|3|1"
        ),
        [
            "11 interaction.started {interaction_id:c1,identity:01632960001,channel:voice,\
             direction:inbound}",
            "11 queue.entered {visit_id:c1/9000/1,interaction_id:c1,queue_id:9000,\
             visit_kind:customer}",
            "12 offer.ended {offer_id:c1/9000/1/offer/ID,visit_id:c1/9000/1,\
             agent_id:Local/2004@x/n,outcome:accepted}",
            "12 queue.left {visit_id:c1/9000/1,reason:answered,agent_id:Local/2004@x/n,\
             leg_id:c1/9000/1/leg}",
            "12 leg.connected {leg_id:c1/9000/1/leg,interaction_id:c1,\
             agent_id:Local/2004@x/n,visit_id:c1/9000/1,role:primary,initiation:queue}",
            "15 leg.disconnected {leg_id:c1/9000/1/leg,talk_ms:3000}",
            "15 interaction.ended {interaction_id:c1,ended_by:agent}",
        ]
    );
}

#[test]
fn a_ring_without_answer_is_an_offer_and_never_begins_before_the_entry() {
    let told = told(
        "1266832811|c1|9000|NONE|ENTERQUEUE||anonymous|1\n\
         1266832812|c1|9000|SIP/1|RINGNOANSWER|5000\n\
         1266832830|c1|9000|SIP/2|CONNECT|19|x|4",
    );
    let offers: Vec<&String> = told.iter().filter(|t| t.contains("offer.")).collect();
    assert_eq!(offers.len(), 4);
    assert!(offers[0].starts_with("11 offer.started"), "{}", offers[0]);
    assert!(offers[1].contains("outcome:no_answer"));
    assert!(
        offers[2].starts_with("26 offer.started"),
        "ring of 4 s: {}",
        offers[2]
    );
    assert!(!told[0].contains("identity"), "a hidden number is nobody");
}

#[test]
fn one_call_in_two_queues_is_one_interaction_and_two_visits() {
    let events = read(
        "1383900789.948070|c|q01|NONE|ENTERQUEUE||0000000000|1\n\
         1383900792.684547|c|q01|Agent/1240|CONNECT|3|1383900789.167040|2\n\
         1383901350.219402|c|q01|Agent/1240|COMPLETECALLER|3|558|1\n\
         1383901350.569451|c|q02|NONE|ENTERQUEUE||0000000000|1\n\
         1383901350.686291|c|q02|Agent/1255|RINGNOANSWER|0\n\
         1383901352.770339|c|q02|Agent/1246|CONNECT|2|1383901350.167967|2\n\
         1383901459.485883|c|q02|Agent/1246|COMPLETECALLER|2|107|1",
    );
    let count = |kind: &str| {
        events
            .iter()
            .filter(|e| e.data.event_type() == kind)
            .count()
    };
    assert_eq!(count("interaction.started"), 1);
    assert_eq!(count("queue.entered"), 2);
    assert_eq!(count("leg.connected"), 2);
    assert_eq!(count("interaction.ended"), 2);
    assert_eq!(events[0].occurred_at, UtcMicros(1_383_900_789_948_070));
}

#[test]
fn a_call_back_in_the_same_queue_is_a_new_visit() {
    let told = told(
        "1266832811|c1|a|NONE|ENTERQUEUE||1|1\n1266832821|c1|a|NONE|EXITWITHTIMEOUT|1|1|10\n\
         1266832822|c1|a|NONE|ENTERQUEUE||1|1\n1266832832|c1|a|NONE|EXITWITHKEY|5|1|1|10",
    );
    assert!(told[2].contains("c1/a/1,reason:timeout"), "{}", told[2]);
    assert!(told[4].contains("c1/a/2,reason:key_exit"), "{}", told[4]);
}

#[test]
fn every_way_out_has_its_reason_and_keeps_the_logged_wait() {
    let cases = [
        ("ABANDON|2|2|13", "abandoned", Some("13")),
        ("EXITWITHTIMEOUT|1|2|30", "timeout", Some("30")),
        ("EXITEMPTY|1|2|30", "leave_empty", Some("30")),
        ("EXITWITHKEY|5|1|2|30", "key_exit", Some("30")),
        ("LEAVEEMPTY", "leave_empty", None),
        ("FULL", "full", None),
        ("CLOSED", "closed", None),
        ("JOINEMPTY", "join_empty", None),
        ("DIVERT_CA_RATIO", "overflow", None),
        ("DIVERT_HOLDTIME", "overflow", None),
    ];
    for (row, reason, wait) in cases {
        let events = read(&format!(
            "1266832811|c1|a|NONE|ENTERQUEUE||1|1\n1266832841|c1|a|NONE|{row}"
        ));
        let left = events
            .iter()
            .find(|e| e.data.event_type() == "queue.left")
            .expect(row);
        assert!(
            tell(left).contains(&format!("reason:{reason}")),
            "{row}: {}",
            tell(left)
        );
        assert_eq!(
            left.attributes.get("wait_s").map(Text::as_str),
            wait,
            "{row}"
        );
    }
}

#[test]
fn a_call_refused_at_the_door_enters_and_leaves_at_once() {
    let told = told("1266832811|c1|q|NONE|CLOSED|");
    assert_eq!(told.len(), 3);
    assert!(told[1].starts_with("11 queue.entered"));
    assert!(told[2].starts_with("11 queue.left") && told[2].contains("reason:closed"));
}

#[test]
fn each_of_six_endings_gives_its_own_talk_time() {
    let endings = [
        "COMPLETEAGENT|4|10",
        "COMPLETECALLER|4|10",
        "TRANSFER|1001|default|0|10",
        "BLINDTRANSFER|1001|default|0|10",
        "ATTENDEDTRANSFER|BRIDGE|foobar|0|10",
        "ATTENDEDTRANSFER|LINK|SIP/a-1|SIP/b-2|0|10|1",
    ];
    for ending in endings {
        let told = told(&format!(
            "1266832806|c|q|Agent/2|ENTERQUEUE\n1266832806|c|q|Agent/2|CONNECT|4|1.4\n\
             1266832810|c|q|Agent/2|{ending}"
        ));
        let end = told
            .iter()
            .find(|t| t.contains("leg.disconnected"))
            .expect(ending);
        assert_eq!(
            end, "10 leg.disconnected {leg_id:c/q/1/leg,talk_ms:10000}",
            "{ending}"
        );
        let transferred = told.iter().any(|t| t.contains("transfer.completed"));
        assert_eq!(transferred, ending.contains("TRANSFER"), "{ending}");
    }
}

#[test]
fn an_answer_without_an_entry_concludes_the_visit_from_the_logged_wait() {
    let events = read("1266832830|c1|q|SIP/1|CONNECT|12|x|3");
    assert!(tell(&events[0]).starts_with("18 interaction.started"));
    assert!(tell(&events[1]).starts_with("18 queue.entered"));
    assert_eq!(
        events[1].attributes.get("inferred").map(Text::as_str),
        Some("true")
    );
    let events = read("1266832850|c1|q|SIP/1|COMPLETEAGENT|12|20|1");
    assert!(
        tell(&events[1]).starts_with("18 queue.entered"),
        "{}",
        tell(&events[1])
    );
    assert!(
        tell(&events[3]).starts_with("30 leg.connected"),
        "{}",
        tell(&events[3])
    );
}

#[test]
fn a_restart_ends_whoever_was_waiting_and_nobody_twice() {
    let log = "1266832811|c1|q|NONE|ENTERQUEUE||1|1\n1266832812|c2|q|NONE|ENTERQUEUE||2|2\n\
               1266832813|c2|q|SIP/1|CONNECT|1|x\n1266832900|NONE|NONE|NONE|QUEUESTART|\n\
               1266832950|NONE|NONE|NONE|QUEUESTART|";
    let events = read(log);
    let ends: Vec<String> = events.iter().skip(7).map(tell).collect();
    assert_eq!(
        ends,
        [
            "100 queue.left {visit_id:c1/q/1,reason:error}",
            "100 interaction.ended {interaction_id:c1,ended_by:system,end_reason:restart}",
            "100 interaction.ended {interaction_id:c2,ended_by:system,end_reason:restart}",
        ]
    );
    let mut ids: Vec<&Text> = events.iter().map(|e| &e.event_id).collect();
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), events.len(), "every event has its own id");
}

#[test]
fn an_agent_is_logged_in_from_the_first_queue_to_the_last() {
    assert_eq!(
        told(
            "1266832801|MANAGER|a|SIP/1|ADDMEMBER|\n1266832802|MANAGER|b|SIP/1|ADDMEMBER|PAUSED\n\
             1266832803|MANAGER|a|SIP/1|REMOVEMEMBER|\n1266832804|MANAGER|b|SIP/1|REMOVEMEMBER|\n\
             1266832805|MANAGER|b|SIP/1|REMOVEMEMBER|"
        ),
        [
            "1 agent.session_started {session_id:SIP/1/1266832801,agent_id:SIP/1}",
            "2 agent.state_changed {agent_id:SIP/1,state:break,routable:false}",
            "4 agent.session_ended {session_id:SIP/1/1266832801,agent_id:SIP/1}",
        ]
    );
}

#[test]
fn a_logoff_without_login_concludes_it_from_the_logged_time() {
    let told = told("1266833000|x|NONE|Agent/9|AGENTCALLBACKLOGOFF|1003@default|105|CommandLogoff");
    assert_eq!(
        told,
        [
            "95 agent.session_started {session_id:Agent/9/1266832895,agent_id:Agent/9}",
            "200 agent.session_ended {session_id:Agent/9/1266832895,agent_id:Agent/9}",
        ]
    );
}

#[test]
fn pauses_are_state_changes_with_their_reason() {
    assert_eq!(
        told(
            "1266832801|NONE|NONE|Agent/1|PAUSEALL|lunch\n\
             1266832802|NONE|NONE|Agent/1|UNPAUSEALL|"
        ),
        [
            "1 agent.state_changed {agent_id:Agent/1,state:break,reason:lunch,routable:false}",
            "2 agent.state_changed {agent_id:Agent/1,state:available,routable:true}",
        ]
    );
}

#[test]
fn rows_that_mean_nothing_are_counted_by_name() {
    let mut log = QueueLog::new(settings());
    for line in [
        "1|NONE|NONE|NONE|CONFIGRELOAD|",
        "2|NONE|NONE|NONE|CONFIGRELOAD|",
        "3|NONE|NONE|NONE|QUEUESTART|",
        "4|c|q|SIP/1|RINGNOANSWER|5",
        "5|MANAGER|q|NONE|ADDMEMBER|",
        "",
        "   ",
    ] {
        assert_eq!(log.line(line.as_bytes()), Ok(Vec::new()), "{line}");
    }
    let counts: Vec<(&str, u64)> = log
        .unmapped()
        .iter()
        .map(|(k, n)| (k.as_str(), *n))
        .collect();
    assert_eq!(
        counts,
        [
            ("ADDMEMBER", 1),
            ("CONFIGRELOAD", 2),
            ("QUEUESTART", 1),
            ("RINGNOANSWER", 1)
        ]
    );
}

#[test]
fn a_bad_line_is_rejected_with_the_field_and_the_next_one_is_read() {
    for (line, start) in [
        ("hello", "bad_line: field 'time'"),
        ("1266832811|c|q", "bad_line: field 'agent'"),
        ("1266832811|c|q|a|", "missing_field: field 'event'"),
        (
            "2013-11-08 09:53:09.948070|c|q|NONE|ENTERQUEUE",
            "local_time: field 'time'",
        ),
        (
            "1266832811|NONE|q|NONE|ENTERQUEUE",
            "missing_field: field 'call'",
        ),
        (
            "1266832811|c|NONE|NONE|ENTERQUEUE",
            "missing_field: field 'queue'",
        ),
        (
            "1266832811|c|q|a|CONNECT|-3",
            "negative_duration: field 'data1'",
        ),
        ("1266832811|c|q|a|CONNECT|soon", "bad_type: field 'data1'"),
        (
            "1266832811|c|q|a|CONNECT|999999999999999",
            "time_out_of_range",
        ),
        ("253402214400|c|q|NONE|ENTERQUEUE", "future_time"),
        (
            "99999999999999999999|c|q|NONE|ENTERQUEUE",
            "bad_line: field 'time'",
        ),
    ] {
        let told = rejected(line);
        assert!(told.starts_with(start), "{line}: {told}");
    }
    let mut log = QueueLog::new(settings());
    assert_eq!(
        log.line(b"12\xff|x").expect_err("bytes").code,
        RejectCode::BadEncoding
    );
    let long = vec![b'x'; 1024 * 1024];
    assert_eq!(
        log.line(&long).expect_err("1 MB").code,
        RejectCode::TooLarge
    );
    assert_eq!(
        log.line(b"1266832811|c|q|NONE|ENTERQUEUE||1\r\n")
            .expect("row")
            .len(),
        2
    );
}

#[test]
fn queue_names_may_be_chinese_or_long() {
    let long = "队".repeat(300);
    for queue in ["售后服务", long.as_str()] {
        let events = read(&format!("1266832811|c|{queue}|NONE|ENTERQUEUE||1"));
        assert!(tell(&events[1]).contains(&format!("queue_id:{queue}")));
    }
}

#[test]
fn importing_again_or_a_grown_file_gives_the_same_events() {
    let log = "1266832811|c1|q|NONE|ENTERQUEUE||1|1\n1266832812|c1|q|SIP/1|RINGNOANSWER|0\n\
               1266832812|c1|q|SIP/1|RINGNOANSWER|0\n1266832813|c1|q|SIP/1|CONNECT|2|x|0\n\
               1266832823|c1|q|SIP/1|COMPLETEAGENT|2|10|1";
    let whole = read(log);
    assert_eq!(whole, read(log));
    let part: Vec<&str> = log.lines().take(3).collect();
    assert_eq!(read(&part.join("\n")), whole[..6]);
    // The second part of a rotated log alone: what it says of the visit is the same.
    let rest: Vec<&str> = log.lines().skip(3).collect();
    let rest = read(&rest.join("\n"));
    let of_rows = |events: &[Event]| -> Vec<Event> {
        events
            .iter()
            .filter(|e| e.occurred_at.0 >= 1_266_832_813_000_000)
            .cloned()
            .collect()
    };
    assert_eq!(of_rows(&rest), of_rows(&whole));
}

#[test]
fn a_local_clock_is_read_in_its_zone() {
    let clock = LocalClock::new("Asia/Shanghai", RepeatedHour::Reject, MissingHour::Reject);
    let settings = QueueLogSettings {
        clock: Some(clock.expect("zone")),
        ..settings()
    };
    let mut log = QueueLog::new(settings);
    let events = log
        .line(b"2012-07-01 08:59:59.999999|c|q|NONE|ENTERQUEUE||")
        .expect("row");
    assert_eq!(
        events[0].occurred_at.to_string(),
        "2012-07-01T00:59:59.999999Z"
    );
}

#[test]
fn wrap_up_is_after_call_work_of_the_last_agent() {
    let told = told(
        "1266832811|c|q|NONE|ENTERQUEUE||1\n1266832812|c|q|Agent/1|CONNECT|1|x|1\n\
         1266832822|c|q|Agent/1|COMPLETEAGENT|1|10|1\n1266832822|c|q|Agent/1|WRAPUPSTART|15",
    );
    assert_eq!(
        told[told.len() - 1],
        "37 acw.ended {leg_id:c/q/1/leg,acw_ms:15000}"
    );
}
