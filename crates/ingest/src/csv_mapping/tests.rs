use events::{Event, RejectCode, Text, UtcMicros};

use super::*;

/// The mapping of the documentation.
const FULL: &str = r#"
format: 1
source: legacy_pbx
file: { delimiter: ",", encoding: utf-8, header: true, nulls: ["", "NULL"] }
time: { zone: Asia/Shanghai, format: "%Y-%m-%d %H:%M:%S", repeated_hour: earlier, missing_hour: reject, resolution: 1s }
row_key: [call_no]
emit:
- event: interaction.started
  at: queue_time
  data: { interaction_id: call_no, channel: { const: voice }, direction: { const: inbound } }
- event: queue.entered
  at: queue_time
  when: "queue_time IS NOT NULL"
  data: { visit_id: { concat: [call_no, ".q"] }, interaction_id: call_no, queue_id: skill_group, visit_kind: { const: customer } }
- event: queue.left
  at: { first_of: [answer_time, hangup_time] }
  when: "queue_time IS NOT NULL"
  data: { visit_id: { concat: [call_no, ".q"] }, reason: { map: result, values: { 接通: answered, 放弃: abandoned, 溢出: overflow } } }
"#;

fn rows(mapping: &str, table: &[u8]) -> Vec<CsvRow> {
    let mapping = Mapping::parse("m.yml", mapping).unwrap_or_else(|p| panic!("{}", show(&p)));
    let now = UtcMicros::parse_rfc3339("2026-06-01T00:00:00Z").expect("time");
    CsvRows::new(&mapping, Text::new("default"), now, table)
        .unwrap_or_else(|e| panic!("{e}"))
        .map(|row| row.expect("read"))
        .collect()
}

fn show(problems: &[Problem]) -> String {
    problems
        .iter()
        .map(Problem::to_string)
        .collect::<Vec<_>>()
        .join("\n")
}

fn told(row: &CsvRow) -> Vec<String> {
    let tell = |e: &Event| {
        let data = serde_json::to_string(&e.data)
            .expect("json")
            .replace('"', "");
        format!("{} {} {data}", e.occurred_at, e.event_id)
    };
    match &row.result {
        Ok(events) => events.iter().map(tell).collect(),
        Err(reject) => vec![reject.to_string()],
    }
}

/// A mapping of one survey event with the given `data` and file options.
fn survey(file: &str, data: &str) -> String {
    format!(
        "format: 1\nsource: s\nfile: {file}\ntime: {{ format: epoch_s }}\nrow_key: [id]\nemit:\n\
         - event: survey.answered\n  at: t\n  data: {data}\n"
    )
}

fn problems(mapping: &str) -> String {
    show(&Mapping::parse("m.yml", mapping).expect_err("problems"))
}

#[test]
fn a_table_of_finished_calls_becomes_events_in_utc() {
    let table = "call_no,skill_group,queue_time,answer_time,hangup_time,result\n\
                 7,账单,2026-03-02 09:00:00,2026-03-02 09:00:12,2026-03-02 09:03:00,接通\n\
                 8,账单,2026-03-02 09:01:00,NULL,2026-03-02 09:01:40,放弃\n";
    let rows = rows(FULL, table.as_bytes());
    assert_eq!(
        told(&rows[0]),
        [
            "2026-03-02T01:00:00Z 7:interaction.started {interaction_id:7,channel:voice,\
             direction:inbound}",
            "2026-03-02T01:00:00Z 7:queue.entered {visit_id:7.q,interaction_id:7,\
             queue_id:账单,visit_kind:customer}",
            "2026-03-02T01:00:12Z 7:queue.left {visit_id:7.q,reason:answered}",
        ]
    );
    assert_eq!(
        told(&rows[1])[2],
        "2026-03-02T01:01:40Z 8:queue.left {visit_id:8.q,reason:abandoned}"
    );
    assert_eq!(rows[1].line, 3);
}

#[test]
fn a_row_is_taken_whole_or_rejected_with_its_line_and_bytes() {
    let table = "call_no,skill_group,queue_time,answer_time,hangup_time,result\r\n\
                 7,a,2026-03-02 09:00:00,,,接通\r\n\
                 8,a,2026-03-02 09:00:00,,2026-03-02 09:01:40,Unknown\r\n\
                 9,a,02.03.2026,,,接通\r\n\
                 ,a,2026-03-02 09:00:00,,,接通\r\n\
                 10,a\r\n\
                 11,a,\"2026-03-02 09:00:00,,,\r\n";
    let rows = rows(FULL, table.as_bytes());
    let all: Vec<(u64, String)> = rows.iter().map(|r| (r.line, told(r).join("; "))).collect();
    let expected = [
        (
            2,
            "missing_field: field 'at' has no value, so queue.left has no time",
        ),
        (
            3,
            "bad_type: field 'result' is not in the mapping's `values`: 'Unknown' (in queue.left)",
        ),
        (
            4,
            "bad_type: field 'queue_time' is not a time as %Y-%m-%d %H:%M:%S: '02.03.2026' \
             (in interaction.started)",
        ),
        (
            5,
            "missing_field: field 'row_key' a column of the row key has no value",
        ),
        (6, "bad_line: the row has 2 fields, not 6"),
        (7, "bad_line: a quote is opened and never closed"),
    ];
    for (found, expected) in all.iter().zip(expected) {
        assert_eq!((found.0, found.1.as_str()), expected);
    }
    assert_eq!(
        rows[1].raw,
        "8,a,2026-03-02 09:00:00,,2026-03-02 09:01:40,Unknown".as_bytes()
    );
}

#[test]
fn every_form_of_value_gives_what_the_field_holds() {
    let mapping = r#"
format: 1
source: s
time: { zone: UTC, format: "%d/%m/%Y %H:%M", repeated_hour: reject, missing_hour: reject }
row_key: [a, b]
emit:
- event: leg.disconnected
  at: { add: [ { concat: [d, " ", t] }, s, { minutes: m }, { hms: h } ] }
  data: { leg_id: { first_of: [e, a] }, talk_ms: { hms: h }, hold_ms: { seconds: s } }
  attributes: { agent: b }
- event: disposition.set
  at: { first_of: [ e, { concat: [d, " ", t] } ] }
  data: { leg_id: a, codes: { list: l, separator: ";" }, resolved: { boolean: y, true: [Y], false: [N] } }
- event: order.placed
  at: { concat: [d, " ", t] }
  data:
    order_id: a
    customer_id: b
    kind: { map: y, values: { N: repeat }, other: new }
    promise_at: { concat: [d, " ", t] }
    lines: { array: [ { object: { line_id: { const: "1" }, sku: b, units: { integer: n }, value: { object: { amount: p, currency: { const: EUR } } } } } ] }
"#;
    let table =
        "a,b,d,t,s,m,h,e,l,y,n,p\n1,x,02/03/2026,09:30,90.5,2,00:01:00,,sale; done,Y,3.0,12.50\n";
    let rows = rows(mapping, table.as_bytes());
    assert_eq!(
        told(&rows[0]),
        [
            "2026-03-02T09:34:30.500Z 1|x:leg.disconnected {leg_id:1,talk_ms:60000,hold_ms:90500}",
            "2026-03-02T09:30:00Z 1|x:disposition.set {leg_id:1,codes:[sale,done],resolved:true}",
            "2026-03-02T09:30:00Z 1|x:order.placed {order_id:1,customer_id:x,lines:[{line_id:1,\
             sku:x,units:3,value:{amount:12.5000,currency:EUR}}],kind:new,\
             promise_at:2026-03-02T09:30:00Z}",
        ]
    );
    let events = rows[0].result.as_ref().expect("events");
    assert_eq!(
        events[0].attributes.get("agent").map(Text::as_str),
        Some("x")
    );
}

#[test]
fn a_null_leaves_the_field_out_and_never_becomes_zero() {
    let data = "{ survey_id: id, instrument: { const: csat5 }, score: score, agent_id: agent }";
    let rows = rows(
        &survey("{}", data),
        b"id,t,agent,score\n1,100000000,,\n2,1000000000,x,4\n",
    );
    assert_eq!(
        rows[0].result.as_ref().expect_err("no score").code,
        RejectCode::MissingField
    );
    assert!(told(&rows[1])[0].ends_with("{survey_id:2,instrument:csat5,agent_id:x,score:4}"));
}

#[test]
fn a_null_leaves_its_item_out_of_a_list() {
    let mapping = "format: 1\nsource: s\ntime: { format: epoch_s }\nrow_key: [id]\nemit:\n\
                   - event: disposition.set\n  at: t\n  data: { leg_id: id, codes: { array: [a, b] } }\n";
    let table = b"id,t,a,b\n1,1000000000,x,y\n2,1000000000,,y\n3,1000000000,,\n";
    let rows = rows(mapping, table);
    assert!(told(&rows[0])[0].ends_with("{leg_id:1,codes:[x,y]}"));
    assert!(
        told(&rows[1])[0].ends_with("{leg_id:2,codes:[y]}"),
        "{:?}",
        told(&rows[1])
    );
    // Nothing to list is no list, not an empty one.
    let none = rows[2].result.as_ref().expect_err("codes are required");
    assert_eq!(none.code, RejectCode::MissingField);
}

#[test]
fn encodings_delimiters_and_missing_headers_are_options() {
    let data = "{ survey_id: id, instrument: { const: nps }, score: n, agent_id: 座席 }";
    let file = "{ encoding: gb18030, delimiter: tab, header: false, columns: [id, t, 座席, n] }";
    let (table, _, _) = encoding_rs::GB18030.encode("1\t1000000000\t张三\t9\n");
    let rows = rows(&survey(file, data), &table);
    assert!(
        told(&rows[0])[0].ends_with("agent_id:张三,score:9}"),
        "{:?}",
        told(&rows[0])
    );
}

#[test]
fn bad_bytes_are_a_reject_and_a_byte_order_mark_is_not() {
    let data = "{ survey_id: id, instrument: { const: nps }, score: n }";
    let rows = rows(
        &survey("{}", data),
        b"\xef\xbb\xbfid,t,n\n1,1000000000,\xff\n2,1000000000,9\n",
    );
    assert_eq!(
        rows[0].result.as_ref().expect_err("bytes").code,
        RejectCode::BadEncoding
    );
    assert!(rows[1].result.is_ok());
}

#[test]
fn events_pass_the_same_checks_as_ndjson() {
    let data = "{ survey_id: id, instrument: kind, score: n }";
    let table = b"id,t,kind,n\n1,1000000000,csat9,3\n2,99999999999,nps,3\n3,1,nps,3\n";
    let codes: Vec<RejectCode> = rows(&survey("{}", data), table)
        .iter()
        .map(|row| row.result.as_ref().expect_err("reject").code)
        .collect();
    assert_eq!(
        codes,
        [
            RejectCode::BadEnum,
            RejectCode::FutureTime,
            RejectCode::TimeOutOfRange
        ]
    );
}

#[test]
fn a_mapping_with_typing_errors_says_where_and_what_to_do() {
    let good = FULL;
    for (from, to, expected) in [
        (
            "event: queue.left",
            "event: queue.leave",
            "m.yml:15:10: emit[2].event: there is no event 'queue.leave'\n  hint: did you mean \
             'queue.left'?",
        ),
        (
            "visit_kind: { const: customer }",
            "visit_kind: { const: customr }",
            "emit[1].data.visit_kind: \"customr\" is not in the list of this field\n  hint: did \
             you mean 'customer'?",
        ),
        (
            "queue_id: skill_group",
            "quue_id: skill_group",
            "unknown key 'quue_id'\n  hint: did you mean 'queue_id'?",
        ),
        (
            "queue_id: skill_group",
            "quue_id: skill_group",
            "emit[1].data.queue_id: queue.entered needs it",
        ),
        (
            "放弃: abandoned",
            "放弃: abandon",
            "\"abandon\" is not in the list of this field",
        ),
        (
            "Asia/Shanghai",
            "Asia/Shangai",
            "time.zone: unknown time zone 'Asia/Shangai'",
        ),
        (
            "repeated_hour: earlier, ",
            "",
            "time.repeated_hour: is missing\n  hint: add `repeated_hour: earlier`",
        ),
        (
            "missing_hour: reject",
            "missing_hour: skip",
            "'skip' is not known\n  hint: one of reject, shift",
        ),
        (
            "encoding: utf-8",
            "encoding: utf-16",
            "encoding 'utf-16' cannot be read line by line",
        ),
        (
            "row_key: [call_no]\n",
            "",
            "row_key: must be a list of columns",
        ),
        (
            "format: 1",
            "format: 2",
            "m.yml:2:9: format: format 2 is not known",
        ),
        (
            "%H:%M:%S\"",
            "%H:%Q\"",
            "time.format: '%Y-%m-%d %H:%Q' is no time format",
        ),
        (
            "queue_time IS NOT NULL",
            "queue_time IS",
            "emit[1].when: expected NULL at the end",
        ),
        (
            "delimiter: \",\"",
            "delimiter: \"||\"",
            "file.delimiter: must be one ASCII character",
        ),
        (
            "{ first_of: [answer_time, hangup_time] }",
            "{ first: [a] }",
            "emit[2].at: must be a time",
        ),
        (
            "{ map: result, values:",
            "{ map: result, value:",
            "needs `values`, a map",
        ),
        (
            "{ const: voice }",
            "{ konst: voice }",
            "unknown form 'konst'",
        ),
    ] {
        assert!(good.contains(from), "{from}");
        let found = problems(&good.replacen(from, to, 1));
        assert!(found.contains(expected), "{expected}\n--- found:\n{found}");
    }
    assert!(problems("a: [").starts_with("m.yml:1:"));
    assert!(problems("").contains("m.yml:1:1"));
    assert!(problems("- 1").contains("must be a map"));
}

#[test]
fn a_column_that_the_table_lacks_is_named_with_its_place() {
    let mapping = Mapping::parse("m.yml", FULL).expect("mapping");
    let table = b"call_no,skil_group,queue_time,answer_time,hangup_time,result\n".as_slice();
    let error = CsvRows::new(&mapping, Text::new("default"), UtcMicros(0), table).expect_err("no");
    let text = error.to_string();
    assert!(
        text.contains("m.yml:14:85: emit[1].data.queue_id: the table has no column"),
        "{text}"
    );
    assert!(text.contains("did you mean 'skil_group'?"), "{text}");
    let empty = CsvRows::new(&mapping, Text::new("default"), UtcMicros(0), b"".as_slice());
    assert!(matches!(empty, Err(CsvError::Mapping(_))));
}

#[test]
fn a_typing_error_in_concat_is_a_missing_column_not_a_text() {
    let mapping = FULL.replace("[call_no, \".q\"]", "[call_on, \".q\"]");
    let mapping = Mapping::parse("m.yml", &mapping).expect("mapping");
    let table = b"call_no,skill_group,queue_time,answer_time,hangup_time,result\n".as_slice();
    let error = CsvRows::new(&mapping, Text::new("default"), UtcMicros(0), table).expect_err("no");
    assert!(
        error
            .to_string()
            .contains("the table has no column 'call_on'"),
        "{error}"
    );
}

#[test]
fn two_rules_of_one_type_and_long_keys_have_their_own_ids() {
    let data = "{ survey_id: id, instrument: { const: csat5 }, score: n }";
    let second = "- event: survey.answered\n  at: t\n  data: \
                  { survey_id: { concat: [id, \".2\"] }, instrument: { const: nps }, score: n }\n";
    let mapping = format!("{}{second}", survey("{}", data));
    let long = "k".repeat(300);
    let table = format!("id,t,n\n1,1000000000,5\n{long},1000000000,5\n");
    let rows = rows(&mapping, table.as_bytes());
    let ids = |row: &CsvRow| -> Vec<String> {
        let events = row.result.as_ref().expect("events");
        events.iter().map(|e| e.event_id.to_string()).collect()
    };
    assert_eq!(ids(&rows[0]), ["1:survey.answered", "1:survey.answered.2"]);
    assert!(ids(&rows[1])[0].len() <= 128);
    assert_ne!(ids(&rows[1])[0], ids(&rows[1])[1]);
}
