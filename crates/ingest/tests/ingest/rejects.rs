//! Lines that are not accepted.

use events::{RejectCode, UtcMicros};
use ingest::{Importer, formats::Inputs, ndjson::Ndjson};
use store::{QUARANTINE, Store};

use crate::{count, import, import_text, intake, no_time, rows, settings};

fn started(event_id: &str, interaction_id: &str, more: &str) -> String {
    format!(
        r#"{{"source":"pbx","event_id":"{event_id}","event_type":"interaction.started","occurred_at":"2026-03-02T01:14:02Z","data":{{"interaction_id":"{interaction_id}","channel":"voice","direction":"inbound"{more}}}}}"#
    )
}

#[test]
fn bad_lines_are_counted_with_their_place_and_kept() {
    let mut text = Vec::new();
    for line in [
        started("e1", "c1", "").as_bytes(),
        b"",
        b"{",
        b"\xff\xfe",
        started("e2", "", "").as_bytes(),
        b"   \t",
        started("e3", "c3", r#","note":"4111111111111111""#).as_bytes(),
        started("e4", "c4", "").as_bytes(),
    ] {
        text.extend_from_slice(line);
        text.extend_from_slice(b"\r\n");
    }
    let store = Store::in_memory();
    let report = import_text(&store, 100, text);
    assert_eq!(
        (report.lines, report.accepted, report.rejected, report.blank),
        (8, 2, 4, 2)
    );
    let found: Vec<(u64, RejectCode)> = report
        .first_errors
        .iter()
        .map(|e| (e.place.line, e.reject.code))
        .collect();
    assert_eq!(
        found,
        [
            (3, RejectCode::BadJson),
            (4, RejectCode::BadEncoding),
            (5, RejectCode::MissingField),
            (7, RejectCode::ForbiddenContent),
        ]
    );
    assert_eq!(
        report.first_errors[0].place.file.as_deref(),
        Some("calls.ndjson")
    );
    assert_eq!(report.by_reason.values().sum::<u64>(), 4);
    let kept = rows(&store, &[])[QUARANTINE].join("\n");
    for part in [
        "line=3",
        "reason=bad_json",
        "raw={",
        "raw=fffe raw_encoding=hex",
        "field 'inter",
    ] {
        assert!(kept.contains(part), "no '{part}' in\n{kept}");
    }
    assert!(kept.contains("************1111") && !kept.contains("4111111111111111"));
}

#[test]
fn a_line_without_end_of_a_megabyte_is_one_reject() {
    let mut text = started("e1", "c1", "").into_bytes();
    text.push(b'\n');
    text.extend(std::iter::repeat_n(b'x', 1_000_000));
    let store = Store::in_memory();
    let report = import_text(&store, 100, text);
    assert_eq!((report.lines, report.accepted, report.rejected), (2, 1, 1));
    assert_eq!(report.first_errors[0].reject.code, RejectCode::TooLarge);
}

#[test]
fn a_byte_order_mark_and_an_empty_file_are_no_problem() {
    let store = Store::in_memory();
    let text = format!("\u{feff}{}", started("e1", "c1", ""));
    assert_eq!(import_text(&store, 100, text).accepted, 1);
    let report = import_text(&store, 100, "");
    assert_eq!((report.lines, report.commits), (0, 0));
}

#[test]
fn an_id_with_other_content_is_a_conflict_and_the_first_one_stays() {
    for batch_events in [1, 100] {
        let store = Store::in_memory();
        let lines = [
            started("e1", "c1", ""),
            started("e1", "c1", ""),
            started("e1", "c2", ""),
            started("e1", "c1", "").replace("pbx", "pbx-2"),
        ];
        let report = import_text(&store, batch_events, lines.join("\n"));
        assert_eq!(
            (report.accepted, report.duplicate, report.rejected),
            (2, 1, 1)
        );
        assert_eq!(report.by_reason[&RejectCode::IdConflict], 1);
        assert_eq!(report.first_errors[0].place.line, 3);
        let kept = rows(&store, &[])[QUARANTINE].join("\n");
        assert!(
            kept.contains("source=pbx") && kept.contains(&lines[2]),
            "{kept}"
        );
        let interactions = rows(&store, &[])["interactions"].join("\n");
        assert!(interactions.contains("interaction_id=c1"), "{interactions}");
        assert!(
            !interactions.contains("interaction_id=c2"),
            "{interactions}"
        );
    }
}

#[test]
fn only_rejected_lines_are_one_commit_and_the_second_time_none() {
    let store = Store::in_memory();
    let report = import_text(&store, 100, "bad\nbad\nworse\n");
    assert_eq!((report.rejected, report.commits), (3, 1));
    let report = import_text(&store, 100, "bad\nbad\nworse\n");
    assert_eq!((report.rejected, report.commits), (3, 0));
    assert_eq!(count(&store, QUARANTINE), 3);
}

#[test]
fn identities_become_tokens() {
    let store = Store::in_memory();
    let phone = "+8613800138000";
    let more = format!(r#","identity":"{phone}""#);
    let report = import_text(&store, 100, started("e1", "c1", &more));
    assert_eq!(report.accepted, 1);
    let all = format!("{:?}", rows(&store, &[]));
    assert!(!all.contains(phone) && all.contains("tok_"), "{all}");
    assert_eq!(
        import_text(&store, 100, started("e1", "c1", &more)).duplicate,
        1
    );
}

#[test]
fn times_of_receipt_rise_from_batch_to_batch_and_over_restarts() {
    let store = Store::in_memory();
    let text = |from: usize| {
        let line = |i| started(&format!("e{i}"), &format!("c{i}"), "") + "\n";
        (from..from + 3).map(line).collect::<String>()
    };
    import_text(&store, 1, text(0));
    import_text(&store, 1, text(3));
    let log = rows(&store, &[]).remove("log").expect("a log");
    let mut times: Vec<&str> = log
        .iter()
        .filter_map(|row| row.split("recorded_at=").nth(1)?.split(' ').next())
        .collect();
    times.sort_unstable();
    times.dedup();
    assert_eq!(times.len(), 6, "{times:?}");
}

#[test]
fn an_input_that_cannot_be_read_stops_the_import_and_keeps_what_was_committed() {
    let folder = tempfile::tempdir().expect("a folder");
    let good = folder.path().join("good.ndjson");
    std::fs::write(&good, started("e1", "c1", "") + "\n").expect("written");
    let missing = folder.path().join("missing.ndjson");
    let store = Store::in_memory();
    let mut importer = Importer::new(&store, settings(1)).expect("a store");
    let inputs = Inputs::files(vec![good, missing]);
    let result = importer.run(&mut Ndjson::new(inputs, intake()), &no_time, &mut |_| {});
    let message = result.expect_err("a file is missing").to_string();
    assert!(message.contains("missing.ndjson"), "{message}");
    assert_eq!(count(&store, "log"), 1);
}

#[test]
fn the_source_of_a_file_without_sources_is_the_default() {
    let store = Store::in_memory();
    let line = started("e1", "c1", "").replace(r#""source":"pbx","#, "");
    let inputs = Inputs::stream(None, std::io::Cursor::new(line.into_bytes()));
    let late = events::Intake {
        recorded_at: UtcMicros(intake().recorded_at.0 + 5),
        ..intake()
    };
    assert_eq!(
        import(&store, 10, &mut Ndjson::new(inputs, late)).accepted,
        1
    );
    assert!(rows(&store, &[])["log"][0].contains("source=test"));
}
