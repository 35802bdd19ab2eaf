//! The importers over whole files: the small ones of this page, and the public data sets if they
//! are there.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use events::{Event, EventData, LeaveReason, Text, UtcMicros};
use ingest::{
    amazon_connect::AmazonConnect,
    asterisk::{QueueLog, QueueLogSettings},
    csv_mapping::{CsvRows, Mapping},
    freeswitch::Freeswitch,
    genesys_cloud::GenesysCloud,
    records::{Meaning, Records, SourceSettings},
    twilio_taskrouter::TwilioTaskrouter,
    zendesk::Zendesk,
};

fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// A file of the public data sets, if they are beside the workspace.
fn shared(path: &str) -> Option<Vec<u8>> {
    let bytes = std::fs::read(workspace().join("../shared/data").join(path)).ok();
    if bytes.is_none() {
        println!("skipped: no ../shared");
    }
    bytes
}

fn now() -> UtcMicros {
    UtcMicros::parse_rfc3339("2026-06-01T00:00:00Z").expect("time")
}

fn queue_log(bytes: &[u8]) -> (Vec<Event>, BTreeMap<Text, u64>) {
    let mut log = QueueLog::new(QueueLogSettings {
        tenant_id: Text::new("default"),
        source: Text::new("pbx"),
        recorded_at: now(),
        clock: None,
    });
    let lines = bytes.split(|b| *b == b'\n');
    let events = lines
        .flat_map(|line| log.line(line).expect("row"))
        .collect();
    (events, log.unmapped().clone())
}

/// The mapping of the table of finished calls, and a table with it.
fn finished_calls(table: &[u8]) -> Vec<Event> {
    let path = workspace().join("data-samples/mappings/pwc_callcenter.yml");
    let text = std::fs::read_to_string(path).expect("mapping");
    let mapping = Mapping::parse("pwc_callcenter.yml", &text).unwrap_or_else(|problems| {
        panic!(
            "{}",
            problems
                .iter()
                .map(|p| format!("{p}\n"))
                .collect::<String>()
        )
    });
    CsvRows::new(&mapping, Text::new("default"), now(), table)
        .unwrap_or_else(|error| panic!("{error}"))
        .flat_map(|row| row.expect("read").result.expect("row"))
        .collect()
}

fn count(events: &[Event], event_type: &str) -> usize {
    events
        .iter()
        .filter(|e| e.data.event_type() == event_type)
        .count()
}

fn left(events: &[Event], reason: LeaveReason) -> usize {
    let is = |e: &&Event| matches!(&e.data, EventData::QueueLeft(l) if l.reason == reason);
    events.iter().filter(is).count()
}

fn all_ids_differ(events: &[Event]) {
    let mut ids: Vec<&Text> = events.iter().map(|e| &e.event_id).collect();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), events.len());
}

#[test]
fn a_finished_call_has_exact_times_and_one_that_gave_up_has_no_wait() {
    let events = finished_calls(
        b"Call Id,Agent,Date,Time,Topic,Answered (Y/N),Resolved,Speed of answer in seconds,\
          AvgTalkDuration,Satisfaction rating\r\n\
          C1,Diane,2021-01-01,09:12:58,Streaming,Y,Y,109,00:02:23,3\r\n\
          C2,Becky,2021-01-01,09:13:00,Streaming,N,N,,,\r\n\
          C3,Becky,2021-01-01,09:14:00,Streaming,Y,N,10,00:00:30,\r\n",
    );
    let told: Vec<String> = events
        .iter()
        .filter(|e| e.event_id.starts_with("C2") || e.data.event_type() == "leg.disconnected")
        .map(|e| {
            format!(
                "{} {}",
                e.occurred_at,
                serde_json::to_string(&e.data).expect("json")
            )
        })
        .collect();
    assert_eq!(
        told,
        [
            r#"2021-01-01T09:17:10Z {"leg_id":"C1/leg","talk_ms":143000}"#,
            r#"2021-01-01T09:13:00Z {"interaction_id":"C2","channel":"voice","direction":"inbound"}"#,
            r#"2021-01-01T09:13:00Z {"interaction_id":"C2","reason_code":"Streaming","by":"import"}"#,
            r#"2021-01-01T09:13:00Z {"visit_id":"C2/visit","interaction_id":"C2","queue_id":"calls","visit_kind":"customer"}"#,
            r#"2021-01-01T09:13:00Z {"visit_id":"C2/visit","reason":"abandoned","wait_known":false}"#,
            r#"2021-01-01T09:14:40Z {"leg_id":"C3/leg","talk_ms":30000}"#,
        ]
    );
    assert_eq!(
        count(&events, "survey.answered"),
        1,
        "no rating is no answer"
    );
    all_ids_differ(&events);
}

#[test]
fn the_public_table_of_finished_calls_is_read_without_a_reject() {
    let Some(table) = shared("pwc_callcenter/calls.csv") else {
        return;
    };
    let events = finished_calls(&table);
    assert_eq!(count(&events, "queue.entered"), 5_000);
    assert_eq!(left(&events, LeaveReason::Answered), 4_054);
    assert_eq!(left(&events, LeaveReason::Abandoned), 946);
    assert_eq!(count(&events, "survey.answered"), 4_054);
    let talk: i64 = events
        .iter()
        .filter_map(|e| match &e.data {
            EventData::LegDisconnected(leg) => leg.talk_ms,
            _ => None,
        })
        .sum();
    assert_eq!(talk, 911_837_000);
    all_ids_differ(&events);
}

#[test]
fn the_public_queue_log_of_2010_gives_its_calls() {
    let Some(bytes) = shared("asterisk_queue_log/queue_log_2010.txt") else {
        return;
    };
    let (events, unmapped) = queue_log(&bytes);
    assert_eq!(count(&events, "queue.entered"), 21);
    assert_eq!(left(&events, LeaveReason::Answered), 8);
    assert_eq!(left(&events, LeaveReason::Abandoned), 12);
    assert_eq!(count(&events, "leg.disconnected"), 7);
    assert_eq!(count(&events, "offer.ended"), 229);
    assert_eq!(events[0].occurred_at.to_string(), "2010-02-22T10:18:31Z");
    let unmapped: Vec<_> = unmapped
        .iter()
        .map(|(name, n)| (name.as_str(), *n))
        .collect();
    assert_eq!(unmapped, [("CONFIGRELOAD", 7), ("QUEUESTART", 2)]);
    all_ids_differ(&events);
    assert_eq!(
        queue_log(&bytes).0,
        events,
        "a second reading gives the same events"
    );
}

#[test]
fn a_truncated_log_gives_the_events_of_its_whole_lines() {
    let Some(bytes) = shared("asterisk_queue_log/queue_log_2010.txt") else {
        return;
    };
    let (whole, _) = queue_log(&bytes);
    for lines in [0, 1, 50, 277] {
        let cut: Vec<&[u8]> = bytes.split(|b| *b == b'\n').take(lines).collect();
        let (part, _) = queue_log(&cut.join(&b'\n'));
        assert_eq!(part[..], whole[..part.len()]);
    }
}

/// Numbers that look random and are the same in every run.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        ((self.0 >> 33) as usize) % sides
    }
}

#[test]
fn no_row_however_odd_makes_the_log_reader_panic() {
    let fields = [
        "",
        "NONE",
        "c1",
        "c2",
        "q",
        "SIP/1",
        "0",
        "5",
        "-1",
        "9223372036854775807",
        "1e9",
        "x",
        "1266832811",
        "1266832811.5",
        "0",
        "99999999999",
        "队列",
        "LINK",
        "BRIDGE",
        "PAUSED",
        "\u{0}",
        "anonymous",
    ];
    let rows = [
        "ENTERQUEUE",
        "RINGNOANSWER",
        "RINGCANCELED",
        "CONNECT",
        "COMPLETEAGENT",
        "ABANDON",
        "COMPLETECALLER",
        "BLINDTRANSFER",
        "TRANSFER",
        "ATTENDEDTRANSFER",
        "EXITWITHTIMEOUT",
        "EXITWITHKEY",
        "EXITEMPTY",
        "FULL",
        "CLOSED",
        "ADDMEMBER",
        "REMOVEMEMBER",
        "AGENTLOGIN",
        "AGENTLOGOFF",
        "PAUSE",
        "UNPAUSEALL",
        "QUEUESTART",
        "WRAPUPSTART",
        "NEWTHING",
    ];
    let mut log = QueueLog::new(QueueLogSettings {
        tenant_id: Text::new("default"),
        source: Text::new("pbx"),
        recorded_at: now(),
        clock: None,
    });
    let (mut dice, mut accepted, mut rejected) = (Dice(7), 0, 0);
    for _ in 0..50_000 {
        let time = fields[12 + dice.roll(2)];
        let mut row = vec![time, fields[dice.roll(6)], fields[dice.roll(5)]];
        row.extend([fields[dice.roll(6)], rows[dice.roll(rows.len())]]);
        for _ in 0..dice.roll(7) {
            row.push(fields[dice.roll(fields.len())]);
        }
        let mut bytes = row.join("|").into_bytes();
        if dice.roll(10) == 0 {
            let place = dice.roll(bytes.len());
            bytes[place] = dice.roll(256) as u8;
        }
        match log.line(&bytes) {
            Ok(events) => accepted += events.len(),
            Err(_) => rejected += 1,
        }
    }
    assert!(
        accepted > 10_000 && rejected > 1_000,
        "{accepted} events, {rejected} rejects"
    );
}

#[test]
fn no_bytes_however_odd_make_the_table_reader_panic() {
    let mapping = "format: 1\nsource: s\ntime: { zone: Europe/London, repeated_hour: later, \
                   missing_hour: shift }\nrow_key: [id]\nemit:\n- event: leg.disconnected\n  \
                   at: { add: [t, s] }\n  data: { leg_id: id, talk_ms: { hms: h } }\n";
    let mapping = Mapping::parse("m.yml", mapping).unwrap_or_else(|p| panic!("{p:?}"));
    let cells = [
        "",
        "\"",
        "1",
        "-1",
        "12:00:00",
        "99:99",
        "2025-03-30 01:30:00",
        "2025-10-26 01:30:00",
        "9999-12-31 23:59:59",
        "\"a\"\"b\"",
        "x\ny",
        "9223372036854775807",
        "\u{feff}",
        "+262142-12-31 23:59:59",
        "-262143-01-01 00:00:00",
        "0.0000001",
        ":",
    ];
    let (mut dice, mut rows) = (Dice(3), 0);
    for _ in 0..5_000 {
        let mut table = b"id,t,s,h\n".to_vec();
        for _ in 0..5 {
            let row: Vec<&str> = (0..3 + dice.roll(3))
                .map(|_| cells[dice.roll(cells.len())])
                .collect();
            table.extend(row.join(",").into_bytes());
            table.push(if dice.roll(20) == 0 {
                dice.roll(256) as u8
            } else {
                b'\n'
            });
        }
        rows += CsvRows::new(&mapping, Text::new("default"), now(), table.as_slice())
            .unwrap_or_else(|error| panic!("{error}"))
            .inspect(|row| assert!(row.is_ok(), "reading from memory cannot fail"))
            .count();
    }
    assert!(rows > 10_000, "{rows}");
}

/// Puts an odd value somewhere into a record.
fn spoil(value: &mut serde_json::Value, dice: &mut Dice) {
    use serde_json::{Value, json};
    let odd = [
        Value::Null,
        json!(true),
        json!(-1),
        json!(i64::MAX),
        json!(1e300),
        json!(""),
        json!("队列"),
        json!("9223372036854775807"),
        json!("0001-01-01T00:00:00Z"),
        json!("9999-12-31T23:59:59.999999999Z"),
        json!([[]]),
        json!({"a": {}}),
        json!("x".repeat(300)),
    ];
    let here = dice.roll(4) == 0;
    match value {
        Value::Object(map) if !map.is_empty() && !here => {
            let key = map.keys().nth(dice.roll(map.len())).cloned();
            if let Some(inner) = key.and_then(|key| map.get_mut(&key)) {
                spoil(inner, dice);
            }
        }
        Value::Array(list) if !list.is_empty() && !here => {
            let at = dice.roll(list.len());
            spoil(&mut list[at], dice);
        }
        _ => *value = odd[dice.roll(odd.len())].clone(),
    }
}

/// Reads the records of a sample as they are, and a hundred times spoilt: events and findings.
fn read_spoilt(mut format: impl Records, file: &str, list: &str) -> (usize, usize) {
    let path = workspace().join("data-samples").join(file);
    let text = std::fs::read_to_string(path).expect("a sample");
    let values = serde_json::Deserializer::from_str(&text).into_iter::<serde_json::Value>();
    let records = values.flat_map(|value| match value.expect("JSON") {
        serde_json::Value::Array(items) => items,
        mut page if page.get(list).is_some() => match page[list].take() {
            serde_json::Value::Array(items) => items,
            other => panic!("{other}"),
        },
        record => vec![record],
    });
    let (mut dice, mut events, mut findings) = (Dice(11), 0, 0);
    for record in records.take(40) {
        for round in 0..100 {
            let mut record = record.clone();
            for _ in 0..round.min(4) {
                spoil(&mut record, &mut dice);
            }
            match format.read(&record) {
                Ok(Meaning::Events(made)) => events += made.len(),
                Ok(Meaning::WithGuesses {
                    events: made,
                    guesses,
                }) => {
                    events += made.len() + guesses.len();
                }
                Ok(Meaning::Nothing(_)) => {}
                Err(_) => findings += 1,
            }
        }
    }
    (events, findings)
}

#[test]
fn no_record_however_odd_makes_a_reader_panic() {
    let source = || SourceSettings {
        tenant_id: Text::new("default"),
        source: Text::new("odd"),
        recorded_at: now(),
    };
    let counts = [
        read_spoilt(AmazonConnect::new(source()), "amazon_connect.ndjson", ""),
        read_spoilt(
            AmazonConnect::new(source()),
            "amazon_connect_agents.json",
            "",
        ),
        read_spoilt(
            GenesysCloud::new(source()),
            "genesys_cloud.json",
            "conversations",
        ),
        read_spoilt(
            TwilioTaskrouter::new(source()),
            "twilio_taskrouter.ndjson",
            "",
        ),
        read_spoilt(Zendesk::new(source()), "zendesk.json", "audits"),
        read_spoilt(Freeswitch::new(source()), "freeswitch.ndjson", ""),
    ];
    for (events, findings) in counts {
        assert!(events > 100 && findings > 50, "{counts:?}");
    }
}
