//! Every finding that refuses a line, each with its place.

use events::{
    Correction, CorrectionOp, Event, HoldStarted, LINE_BYTES_MAX, LegDisconnected, Reject,
    RejectCode, UtcMicros, decode_line, quarantine_raw,
};

use crate::{decode, intake, line, received};

/// The code, field and a part of the detail that a line must be refused with.
fn check(line: &str, expected: (RejectCode, &str, &str)) {
    let (code, field, detail) = expected;
    let reject = decode(line).expect_err(line);
    assert_eq!(
        (reject.code, reject.field.as_str()),
        (code, field),
        "{reject}\n{line}"
    );
    assert!(
        reject.detail.contains(detail),
        "{reject}\nhas no '{detail}'"
    );
}

fn visit(extra: &str) -> String {
    let data = format!(
        r#"{{"visit_id":"v","interaction_id":"i","queue_id":"q","visit_kind":"customer"{extra}}}"#
    );
    line("queue.entered", &data)
}

#[test]
fn what_is_not_one_json_object_is_bad_json() {
    for text in [
        "",
        "   ",
        "hello",
        "{",
        "{}{}",
        r#"{"event_id":"1","#,
        &visit("").replace("}}", "}"),
        &visit(",\"x\":1e999}"),
        &visit(",\"x\":\"\u{1}\""),
        "\0\0\0",
        &visit("").replace("e1", "\0"),
    ] {
        let reject = decode(text).expect_err(text);
        assert_eq!(reject.code, RejectCode::BadJson, "{text}: {reject}");
    }
    check("[]", (RejectCode::BadType, "", "JSON object"));
    check("12", (RejectCode::BadType, "", "JSON object"));
}

#[test]
fn a_field_given_twice_is_bad_json() {
    check(
        &visit(r#","queue_id":"r""#),
        (RejectCode::BadJson, "queue_id", "twice"),
    );
    let twice = visit("").replacen('{', r#"{"event_id":"e0","#, 1);
    check(&twice, (RejectCode::BadJson, "event_id", "twice"));
}

#[test]
fn bytes_that_are_not_utf8_are_bad_encoding() {
    let mut bytes = visit("").into_bytes();
    bytes[15] = 0xff;
    let reject = decode_line(&bytes, &intake()).expect_err("not UTF-8");
    assert_eq!(reject.code, RejectCode::BadEncoding);
    assert!(reject.detail.contains("byte 16"), "{reject}");
}

#[test]
fn a_line_of_a_megabyte_is_too_large() {
    let long = visit(&format!(r#","note":"{}""#, "x".repeat(1_000_000)));
    check(&long, (RejectCode::TooLarge, "", "262144"));
    let just = visit(&format!(
        r#","note":"{}""#,
        "x".repeat(LINE_BYTES_MAX - 400)
    ));
    assert!(decode(&just).is_ok());
}

#[test]
fn deep_nesting_is_no_danger() {
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    let known = visit(&format!(r#","required_skills":{deep}"#));
    assert_eq!(
        decode(&known).expect_err("too deep").code,
        RejectCode::BadType
    );
    let unknown = decode(&visit(&format!(r#","tree":{deep}"#)));
    assert!(unknown.is_ok_and(|event| event.attributes["tree"].len() == deep.len()));
    let open = visit(&format!(r#","tree":{}"#, "[".repeat(100_000)));
    assert_eq!(decode(&open).expect_err("open").code, RejectCode::BadJson);
}

#[test]
fn an_unknown_type_or_version_is_named_with_a_hint() {
    let data = "{}";
    check(
        &line("queue.entred", data),
        (
            RejectCode::UnknownType,
            "event_type",
            "did you mean 'queue.entered'?",
        ),
    );
    check(
        &line("weather", data),
        (RejectCode::UnknownType, "event_type", "docs/events.md"),
    );
    let newer = visit("").replacen('{', r#"{"schema_version":2,"#, 1);
    check(
        &newer,
        (RejectCode::UnknownVersion, "schema_version", "is 2"),
    );
}

#[test]
fn a_missing_field_is_named() {
    let data = r#"{"visit_id":"v","interaction_id":"i","visit_kind":"customer"}"#;
    check(
        &line("queue.entered", data),
        (RejectCode::MissingField, "queue_id", "send a text"),
    );
    let null = visit("").replace(r#""q""#, "null");
    check(&null, (RejectCode::MissingField, "queue_id", "null"));
    let empty = visit("").replace(r#""q""#, r#""""#);
    check(&empty, (RejectCode::MissingField, "queue_id", "empty"));
    for field in ["event_id", "event_type", "occurred_at", "data"] {
        let other = visit("").replacen(&format!(r#""{field}""#), r#""renamed""#, 1);
        check(&other, (RejectCode::MissingField, field, "missing"));
    }
    let nested = r#"{"order_id":"o","customer_id":"c","kind":"new","lines":[{"line_id":"1","sku":"s","units":1,"value":{"amount":"1"}}]}"#;
    check(
        &line("order.placed", nested),
        (
            RejectCode::MissingField,
            "lines[0].value.currency",
            "missing",
        ),
    );
}

#[test]
fn a_line_without_source_needs_a_default() {
    let none = events::Intake {
        default_source: None,
        ..intake()
    };
    let reject = decode_line(visit("").as_bytes(), &none).expect_err("no source");
    assert_eq!(
        (reject.code, reject.field.as_str()),
        (RejectCode::MissingField, "source")
    );
}

#[test]
fn a_value_of_another_type_is_named_with_what_was_found() {
    let bad = |extra, field, detail| check(&visit(extra), (RejectCode::BadType, field, detail));
    bad(
        r#","priority":"high""#,
        "priority",
        r#"a whole number, not string "high""#,
    );
    bad(r#","priority":1.5"#, "priority", "a whole number");
    bad(
        r#","priority":9223372036854775808"#,
        "priority",
        "a whole number",
    );
    bad(
        r#","required_skills":"de""#,
        "required_skills",
        "a list of texts",
    );
    bad(
        r#","required_skills":[1]"#,
        "required_skills",
        "a list of texts",
    );
    bad(r#","via":3"#, "via", "closed list");
    check(
        &line("hold.started", "[]"),
        (RejectCode::BadType, "data", "an object"),
    );
    check(
        &line("hold.started", "7"),
        (RejectCode::BadType, "data", "an object"),
    );
    let number = visit("").replace(r#""e1""#, "17");
    check(&number, (RejectCode::BadType, "event_id", "a text"));
    let cost = |amount: &str| {
        line(
            "customer.changed",
            &format!(
                r#"{{"customer_id":"c","effective_from":0,"status":"active","recurring_value":{amount}}}"#
            ),
        )
    };
    let money = |amount, field, detail| check(&cost(amount), (RejectCode::BadType, field, detail));
    money(
        r#"{"amount":12.5,"currency":"CNY"}"#,
        "recurring_value.amount",
        "as text",
    );
    money(
        r#"{"amount":"12.34567","currency":"CNY"}"#,
        "recurring_value.amount",
        "four places",
    );
    money(r#""12""#, "recurring_value", "{amount, currency}");
    let hired = |day| {
        line(
            "agent.hired",
            &format!(r#"{{"agent_id":"a","effective_on":"{day}"}}"#),
        )
    };
    for day in ["2026-02-30", "yesterday", "2026-03-02T00:00:00Z"] {
        check(
            &hired(day),
            (RejectCode::BadType, "effective_on", "YYYY-MM-DD"),
        );
    }
}

#[test]
fn a_value_outside_its_list_is_named_with_the_list() {
    check(
        &visit(r#","via":"fax""#),
        (RejectCode::BadEnum, "via", "ivr, transfer, overflow"),
    );
    let slots = line(
        "agent.capacity_changed",
        r#"{"agent_id":"a","slots":{"pigeon":1}}"#,
    );
    check(&slots, (RejectCode::BadEnum, "slots", "'pigeon'"));
    let op = visit("").replacen('{', r#"{"correction_of":"e0","correction_op":"undo","#, 1);
    check(
        &op,
        (RejectCode::BadEnum, "correction_op", "replace, retract"),
    );
}

#[test]
fn a_negative_duration_is_refused() {
    let data = r#"{"leg_id":"l","talk_ms":-1}"#;
    check(
        &line("leg.disconnected", data),
        (RejectCode::NegativeDuration, "talk_ms", "is -1"),
    );
}

#[test]
fn a_time_without_zone_or_out_of_range_is_refused() {
    let at = |time: &str| visit("").replace("\"2026-03-02T01:14:02Z\"", time);
    let bad = |time: &str, code, detail| check(&at(time), (code, "occurred_at", detail));
    bad(
        r#""2026-03-02T01:14:02""#,
        RejectCode::BadType,
        "with an offset",
    );
    bad(
        r#""2026-03-02 01:14:02""#,
        RejectCode::BadType,
        "with an offset",
    );
    bad(
        r#""2026-02-30T01:14:02Z""#,
        RejectCode::BadType,
        "with an offset",
    );
    bad(
        r#""2026-03-02T25:14:02Z""#,
        RejectCode::BadType,
        "with an offset",
    );
    bad("1.5e15", RejectCode::BadType, "with an offset");
    bad(
        r#""1979-12-31T23:59:59Z""#,
        RejectCode::TimeOutOfRange,
        "before 1980",
    );
    bad("1772414042", RejectCode::TimeOutOfRange, "microseconds?");
    bad(
        "-9223372036854775808",
        RejectCode::TimeOutOfRange,
        "before 1980",
    );
    bad(
        r#""2026-03-02T02:05:00.000001Z""#,
        RejectCode::FutureTime,
        "5 minutes",
    );
    bad(
        r#""9999-12-31T23:59:59Z""#,
        RejectCode::FutureTime,
        "clock and zone",
    );
    bad("9223372036854775807", RejectCode::FutureTime, "5 minutes");
    assert!(decode(&at(r#""2026-03-02T02:05:00Z""#)).is_ok());
    let far = r#"{"complete_until":"9999-12-31T00:00:00Z"}"#;
    check(
        &line("source.watermark", far),
        (
            RejectCode::TimeOutOfRange,
            "complete_until",
            "1900 and 2200",
        ),
    );
    let hired = r#"{"agent_id":"a","effective_on":"9999-12-31"}"#;
    check(
        &line("agent.hired", hired),
        (RejectCode::TimeOutOfRange, "effective_on", "2200"),
    );
}

#[test]
fn another_tenant_is_refused() {
    let other = visit("").replacen('{', r#"{"tenant_id":"acme","#, 1);
    check(&other, (RejectCode::TenantMismatch, "tenant_id", "'acme'"));
    let same = visit("").replacen('{', r#"{"tenant_id":"default","#, 1);
    assert!(decode(&same).is_ok());
}

#[test]
fn a_card_number_is_refused_and_masked() {
    let card = "4111 1111 1111 1111";
    let text = line(
        "interaction.ended",
        &format!(
            r#"{{"interaction_id":"4111111111111111","ended_by":"agent","end_reason":"paid {card}"}}"#
        ),
    );
    check(
        &text,
        (RejectCode::ForbiddenContent, "end_reason", "card number"),
    );
    let reject = decode(&text).expect_err("forbidden");
    let kept = quarantine_raw(text.as_bytes(), &reject);
    assert!(!String::from_utf8_lossy(&kept).contains(card));
    assert_eq!(kept.len(), text.len());
    check(
        &visit(r#","note":"4111111111111111""#),
        (RejectCode::ForbiddenContent, "note", "card number"),
    );
    check(
        &visit("").replacen('{', r#"{"attributes":{"note":"4111111111111111"},"#, 1),
        (RejectCode::ForbiddenContent, "note", "card number"),
    );
    let codes = line(
        "disposition.set",
        r#"{"leg_id":"l","codes":["ok","4111111111111111"]}"#,
    );
    check(
        &codes,
        (RejectCode::ForbiddenContent, "codes", "card number"),
    );
}

#[test]
fn ids_that_look_like_card_numbers_are_accepted_and_kept_whole_in_the_quarantine() {
    let data = r#"{"order_id":"4111111111111111","result":"odd"}"#;
    let text = line("order.verified", data);
    let reject = decode(&text).expect_err("a bad list member");
    assert_eq!(reject.code, RejectCode::BadEnum);
    assert_eq!(&*quarantine_raw(text.as_bytes(), &reject), text.as_bytes());
    assert!(decode(&text.replace("odd", "passed")).is_ok());
    let broken = r#"{"note":"4111111111111111""#;
    let reject = decode(broken).expect_err("broken");
    assert_eq!(
        &*quarantine_raw(broken.as_bytes(), &reject),
        br#"{"note":"************1111""#
    );
}

#[test]
fn a_value_shown_in_a_message_has_its_card_number_masked() {
    let reject = decode(&visit(r#","priority":"4111111111111111""#)).expect_err("mistyped");
    assert!(reject.detail.contains("************1111"), "{reject}");
}

#[test]
fn an_event_id_has_1_to_128_bytes() {
    let with = |id: &str| visit("").replace(r#""e1""#, &format!("\"{id}\""));
    check(
        &with(""),
        (RejectCode::MissingField, "event_id", "1 to 128"),
    );
    check(
        &with(&"é".repeat(65)),
        (RejectCode::BadType, "event_id", "130 bytes"),
    );
    assert!(decode(&with(&"é".repeat(64))).is_ok());
}

#[test]
fn a_correction_needs_target_and_operation_and_is_not_of_itself() {
    let with = |fields: &str| visit("").replacen('{', &format!("{{{fields},"), 1);
    let bad = |fields, field| check(&with(fields), (RejectCode::BadCorrection, field, ""));
    bad(r#""correction_of":"e0""#, "correction_op");
    bad(r#""correction_op":"retract""#, "correction_of");
    bad(
        r#""correction_of":"e1","correction_op":"retract""#,
        "correction_of",
    );
}

#[test]
fn events_made_by_importers_are_checked_by_the_same_rules() {
    let good = Event {
        tenant_id: "default".into(),
        source: "pbx".into(),
        event_id: "e1".into(),
        source_seq: None,
        schema_version: 1,
        occurred_at: received(),
        recorded_at: received(),
        correction: None,
        data: HoldStarted { leg_id: "l".into() }.into(),
        attributes: Default::default(),
    };
    assert_eq!(good.check(), Ok(()));
    let code = |event: Event| event.check().map_err(|Reject { code, .. }| code);
    let leg = |talk_ms| {
        LegDisconnected {
            leg_id: "l".into(),
            talk_ms,
            hold_ms: None,
        }
        .into()
    };
    let bad = [
        (
            RejectCode::MissingField,
            Event {
                event_id: "".into(),
                ..good.clone()
            },
        ),
        (
            RejectCode::MissingField,
            Event {
                data: HoldStarted { leg_id: "".into() }.into(),
                ..good.clone()
            },
        ),
        (
            RejectCode::NegativeDuration,
            Event {
                data: leg(Some(-1)),
                ..good.clone()
            },
        ),
        (
            RejectCode::FutureTime,
            Event {
                occurred_at: received().plus_ms(300_001),
                ..good.clone()
            },
        ),
        (
            RejectCode::TimeOutOfRange,
            Event {
                occurred_at: UtcMicros(0),
                ..good.clone()
            },
        ),
        (
            RejectCode::BadCorrection,
            Event {
                correction: Some(Correction {
                    of: "e1".into(),
                    op: CorrectionOp::Retract,
                }),
                ..good.clone()
            },
        ),
        (
            RejectCode::ForbiddenContent,
            Event {
                attributes: [("note".into(), "4111111111111111".into())].into(),
                ..good.clone()
            },
        ),
    ];
    for (expected, event) in bad {
        assert_eq!(code(event), Err(expected));
    }
}

#[test]
fn no_cut_or_changed_byte_of_a_line_panics() {
    let text = visit(r#","priority":1,"required_skills":["a","b"],"note":{"x":[1,2,{"y":null}]}"#);
    for end in 0..text.len() {
        assert!(decode_line(&text.as_bytes()[..end], &intake()).is_err());
    }
    for at in 0..text.len() {
        for byte in [0, b'"', b'{', b'}', b',', b'9', b'\\', 0x80, 0xff] {
            let mut bytes = text.clone().into_bytes();
            bytes[at] = byte;
            if let Err(reject) = decode_line(&bytes, &intake()) {
                assert_eq!(quarantine_raw(&bytes, &reject).len(), bytes.len());
            }
        }
    }
}

#[test]
fn a_forecast_off_the_quarter_of_an_hour_is_refused() {
    let forecast = |at: &str| {
        let data = r#"{"queue_id":"q","channel":"voice","version":1,"offered":9,"aht_ms":1"#;
        line(
            "forecast.published",
            &format!(r#"{data},"slice_at":"2026-03-02T{at}Z"}}"#),
        )
    };
    decode(&forecast("09:45:00")).expect("the start of a quarter");
    decode(&forecast("09:15:00")).expect("the start of a quarter");
    for at in ["09:05:00", "09:15:01", "09:15:00.000001"] {
        let expected = (
            RejectCode::TimeOutOfRange,
            "slice_at",
            ":00, :15, :30 or :45",
        );
        check(&forecast(at), expected);
    }
}

#[test]
fn a_plan_that_covers_half_a_stretch_or_none_is_refused() {
    let planned = |covers: &str| {
        let data =
            r#""agent_id":"a","version":2,"activity":"queue","on_queue":true,"productive":true"#;
        let times = r#""start":"2026-03-02T09:00:00Z","end":"2026-03-02T10:00:00Z""#;
        let data = format!(r#"{{{data},"paid":true,"tracked":true,{times}{covers}}}"#);
        line("schedule.published", &data)
    };
    let start = r#","covers_start":"2026-03-02T09:00:00Z""#;
    let end = |at: &str| format!(r#","covers_end":"2026-03-02T{at}Z""#);
    for good in [
        String::new(),
        r#","covers_start":null"#.to_owned(),
        format!("{start}{}", end("09:00:01")),
    ] {
        decode(&planned(&good)).unwrap_or_else(|e| panic!("{e}: {good}"));
    }
    let missing = |field, covers: &str| {
        let expected = (RejectCode::MissingField, field, "both or neither");
        check(&planned(covers), expected);
    };
    missing("covers_end", start);
    missing("covers_start", &end("10:00:00"));
    for at in ["08:00:00", "09:00:00"] {
        let covers = format!("{start}{}", end(at));
        let expected = (
            RejectCode::TimeOutOfRange,
            "covers_end",
            "after `covers_start`",
        );
        check(&planned(&covers), expected);
    }
}

#[test]
fn a_score_outside_of_its_scale_is_refused() {
    let answer = |instrument: &str, score: i64| {
        let data = format!(r#"{{"survey_id":"s","instrument":"{instrument}","score":{score}}}"#);
        line("survey.answered", &data)
    };
    let scales = [
        ("csat5", 1, 5),
        ("csat2", 0, 1),
        ("nps", 0, 10),
        ("ces7", 1, 7),
        ("resolved_yn", 0, 1),
    ];
    for (instrument, least, most) in scales {
        for score in [least, most] {
            decode(&answer(instrument, score)).expect("a score of the scale");
        }
        for score in [least - 1, most + 1] {
            check(
                &answer(instrument, score),
                (RejectCode::BadEnum, "score", instrument),
            );
        }
    }
}
