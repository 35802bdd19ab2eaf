//! The binary as people and scripts meet it: exit codes, messages, formats.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::{
    path::Path,
    process::{Command, Output},
};

fn callgauge(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_callgauge"))
        .args(args)
        .env_remove("CALLGAUGE_DATA")
        .env("LANG", "C")
        .output()
        .expect("the binary runs")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn write(path: &Path, bytes: &[u8]) -> String {
    std::fs::write(path, bytes).unwrap();
    path.display().to_string()
}

/// Imports lines into a new folder with a key of its own.
fn import(dir: &Path, data: &str, lines: &[u8], more: &[&str]) -> Output {
    let file = write(&dir.join("events.ndjson"), lines);
    let key = write(&dir.join("key"), "ab".repeat(32).as_bytes());
    let mut args = vec![
        "import",
        "--data",
        data,
        "--format",
        "ndjson",
        "--identity-key",
        &key,
    ];
    args.extend(more);
    args.push(&file);
    callgauge(&args)
}

const CALL: &str = r#"{"source":"pbx","event_id":"1","event_type":"interaction.started","occurred_at":"2026-03-02T01:00:00Z","data":{"interaction_id":"c1","channel":"voice","direction":"inbound"}}
{"source":"pbx","event_id":"2","event_type":"queue.entered","occurred_at":"2026-03-02T01:00:10Z","data":{"visit_id":"c1.q1","interaction_id":"c1","queue_id":"账单","visit_kind":"customer"}}
{"source":"pbx","event_id":"3","event_type":"queue.left","occurred_at":"2026-03-02T01:00:25Z","data":{"visit_id":"c1.q1","reason":"answered"}}
"#;

#[test]
fn wrong_usage_exits_with_2_and_says_what_is_right() {
    let output = callgauge(&["import", "--format", "excel", "x"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(
        text(&output.stderr).contains("asterisk-queue-log"),
        "{}",
        text(&output.stderr)
    );
}

#[test]
fn a_folder_without_data_is_an_error_that_says_what_to_do() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("nothing").display().to_string();
    let output = callgauge(&["kpi", "--data", &data]);
    assert_eq!(output.status.code(), Some(2));
    assert!(
        text(&output.stderr).contains("callgauge demo"),
        "{}",
        text(&output.stderr)
    );
}

#[test]
fn a_file_that_is_not_there_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data").display().to_string();
    let output = callgauge(&[
        "import",
        "--data",
        &data,
        "--format",
        "ndjson",
        "no-such-file",
    ]);
    assert_eq!(output.status.code(), Some(2));
    assert!(
        text(&output.stderr).contains("no-such-file"),
        "{}",
        text(&output.stderr)
    );
}

#[test]
fn rejected_lines_are_named_and_exit_with_1_unless_allowed() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data").display().to_string();
    let mut lines = CALL.as_bytes().to_vec();
    lines.extend_from_slice(b"{\"source\":\"pbx\",\"event_id\":\"4\",\"event_type\":\"queue.lost\",\"occurred_at\":\"2026-03-02T01:00:00Z\",\"data\":{}}\n");
    lines.extend_from_slice(b"\xff\xfe not text\n");
    lines.extend_from_slice(b"{\"source\":\"pbx\",\"event_id\":\"5\",\"event_type\":\"source.watermark\",\"occurred_at\":\"9999-03-02T01:00:00Z\",\"data\":{}}\n");
    lines.extend_from_slice(&[b"[".repeat(1_000_000), b"\n".to_vec()].concat());
    lines.extend_from_slice(b"{\"source\":\"pbx\",\"event_id\":\"6");
    let output = import(dir.path(), &data, &lines, &[]);
    let (out, err) = (text(&output.stdout), text(&output.stderr));
    assert_eq!(output.status.code(), Some(1), "{out}{err}");
    assert!(
        out.contains("accepted 3 · duplicate 0 · rejected 5"),
        "{out}{err}"
    );
    assert!(
        err.contains("events.ndjson:4:") && err.contains("queue.lost"),
        "{err}"
    );

    let again = import(dir.path(), &data, &lines, &["--allow-rejects"]);
    assert_eq!(again.status.code(), Some(0), "{}", text(&again.stderr));
    assert!(
        text(&again.stdout).contains("accepted 0 · duplicate 3"),
        "{}",
        text(&again.stdout)
    );

    let csv = callgauge(&[
        "sql",
        "--data",
        &data,
        "--format",
        "csv",
        "SELECT queue_id, MEASURE(asa) AS asa FROM kpi.queue_visits GROUP BY queue_id",
    ]);
    assert_eq!(
        text(&csv.stdout),
        "queue_id,asa\n账单,15000.0\n",
        "{}",
        text(&csv.stderr)
    );
    let check = callgauge(&["check", "--data", &data]);
    assert_eq!(check.status.code(), Some(0), "{}", text(&check.stdout));
}

#[test]
fn a_refused_query_exits_with_2_a_reason_and_a_hint() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data").display().to_string();
    assert_eq!(
        import(dir.path(), &data, CALL.as_bytes(), &[])
            .status
            .code(),
        Some(0)
    );
    let output = callgauge(&[
        "sql",
        "--data",
        &data,
        "SELECT COUNT(asa) FROM kpi.queue_visits",
    ]);
    assert_eq!(output.status.code(), Some(2));
    assert!(
        text(&output.stderr).contains("MEASURE(asa)"),
        "{}",
        text(&output.stderr)
    );

    let params = callgauge(&[
        "kpi",
        "--data",
        &data,
        "asa",
        "--param",
        "service_level.treshold=3s",
    ]);
    assert_eq!(params.status.code(), Some(2));
    assert!(
        text(&params.stderr).contains("threshold"),
        "{}",
        text(&params.stderr)
    );

    let json = callgauge(&["kpi", "--data", &data, "asa", "--format", "json"]);
    let rows: serde_json::Value = serde_json::from_slice(&json.stdout).unwrap();
    assert_eq!(rows[0]["value"], 15_000.0);
    assert_eq!(rows[0]["denominator"], 1.0);
    assert_eq!(rows[0]["definition_hash"].as_str().map(str::len), Some(64));
}

#[test]
fn a_kpi_file_with_a_typo_is_refused_with_its_line() {
    let dir = tempfile::tempdir().unwrap();
    write(
        &dir.path().join("own.yml"),
        b"format: 1\nkpis:\n- kpi: my_kpi\n  versoin: 1\n",
    );
    let output = callgauge(&[
        "kpi",
        "check",
        "--kpi-dir",
        &dir.path().display().to_string(),
    ]);
    assert_eq!(output.status.code(), Some(2));
    let err = text(&output.stderr);
    assert!(
        err.contains("own.yml:4") && err.contains("version"),
        "{err}"
    );
}
