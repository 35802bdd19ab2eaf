//! The binary as people and scripts meet it: exit codes, messages, formats.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod common;

use std::{
    path::Path,
    process::{Command, Output},
};

use common::{BINARY, callgauge, text};

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
fn an_import_of_records_that_tell_of_no_event_says_so() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data").display().to_string();
    let key = write(&dir.path().join("key"), "ab".repeat(32).as_bytes());
    let file = dir.path().join("tickets.json");
    let zendesk = |page: &str| {
        std::fs::write(&file, page).unwrap();
        let path = file.display().to_string();
        let mut args = vec!["import", "--data", &data, "--format", "zendesk"];
        args.extend(["--identity-key", &key, &path]);
        let output = callgauge(&args);
        (
            output.status.code(),
            text(&output.stdout),
            text(&output.stderr),
        )
    };
    let (code, out, err) = zendesk("{\"tickets\": [], \"count\": 0}");
    assert_eq!(code, Some(0), "{out}{err}");
    assert!(out.contains("nothing to store"), "{out}");
    // A record beside a list is no page: it is not passed over.
    let (code, out, err) =
        zendesk("{\"ticket\": {\"id\": 1}, \"users\": [{\"id\": 2, \"role\": \"agent\"}]}");
    assert_eq!(code, Some(1), "{out}{err}");
    assert!(
        out.contains("rejected 1") && !out.contains("nothing to store"),
        "{out}"
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

/// Imports a queue_log into a new folder with a key of its own.
fn import_log(dir: &Path, data: &str, lines: &str, more: &[&str]) -> Output {
    let file = write(&dir.join("queue_log"), lines.as_bytes());
    let key = write(&dir.join("key"), "ab".repeat(32).as_bytes());
    let mut args = vec!["import", "--data", data, "--format", "asterisk-queue-log"];
    args.extend(["--identity-key", &key]);
    args.extend(more);
    args.push(&file);
    callgauge(&args)
}

#[test]
fn a_queue_log_with_local_times_needs_the_zone_of_its_clock() {
    let log = "2025-11-02 01:10:00.5|c1|sales|NONE|ENTERQUEUE||100|1\n\
               2025-11-03 09:00:00|c2|sales|NONE|ENTERQUEUE||101|1\n\
               2025-11-03 09:00:12|c2|sales|SIP/1|CONNECT|12|x|3\n";
    let dir = tempfile::tempdir().unwrap();
    let folder = |name: &str| dir.path().join(name).display().to_string();

    let without = import_log(dir.path(), &folder("without"), log, &[]);
    assert_eq!(without.status.code(), Some(1));
    assert!(
        text(&without.stderr).contains("--zone") && text(&without.stdout).contains("rejected 3"),
        "{}{}",
        text(&without.stdout),
        text(&without.stderr)
    );

    let unknown = import_log(dir.path(), &folder("unknown"), log, &["--zone", "Mars"]);
    assert_eq!(unknown.status.code(), Some(2));
    let err = text(&unknown.stderr);
    assert!(
        err.contains("Mars") && err.contains("Asia/Shanghai"),
        "{err}"
    );
    assert!(!dir.path().join("unknown").exists(), "nothing was begun");

    // The hour that comes twice is rejected, unless there is a rule for it.
    let zone = ["--zone", "America/New_York"];
    let strict = import_log(dir.path(), &folder("strict"), log, &zone);
    assert_eq!(strict.status.code(), Some(1));
    assert!(
        text(&strict.stderr).contains("repeated_hour"),
        "{}",
        text(&strict.stderr)
    );

    let rule = [&zone[..], &["--repeated-hour", "later"]].concat();
    let data = folder("rule");
    let imported = import_log(dir.path(), &data, log, &rule);
    assert_eq!(
        imported.status.code(),
        Some(0),
        "{}",
        text(&imported.stderr)
    );
    let sql = "SELECT entered_at, wait_ms FROM facts.queue_visits ORDER BY 1";
    let csv = callgauge(&["sql", "--data", &data, "--format", "csv", sql]);
    assert_eq!(
        text(&csv.stdout),
        "entered_at,wait_ms\n2025-11-02T06:10:00.500Z,\n2025-11-03T14:00:00Z,12000\n"
    );
}

#[test]
fn a_zone_is_refused_where_the_times_say_their_own() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data").display().to_string();
    let output = import(dir.path(), &data, CALL.as_bytes(), &["--zone", "UTC"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(
        text(&output.stderr).contains("offset"),
        "{}",
        text(&output.stderr)
    );
}

#[test]
fn statements_by_pipe_are_one_session() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data").display().to_string();
    assert_eq!(
        import(dir.path(), &data, CALL.as_bytes(), &[])
            .status
            .code(),
        Some(0)
    );
    let piped = |statements: &str| {
        let file = write(&dir.path().join("q.sql"), statements.as_bytes());
        Command::new(env!("CARGO_BIN_EXE_callgauge"))
            .args(["sql", "--data", &data, "--format", "csv"])
            .stdin(std::fs::File::open(file).unwrap())
            .output()
            .expect("the binary runs")
    };
    let sum = "SELECT SUM(asa) AS asa FROM kpi.queue_visits;\n";
    let set = |value: &str| format!("SET kpi.strict = {value};\n");

    let both = piped(&format!("{sum}{}{sum}", set("true")));
    assert_eq!(both.status.code(), Some(2));
    assert_eq!(text(&both.stdout), "asa\n15000.0\n");
    assert!(
        text(&both.stderr).contains("kpi.strict is on"),
        "{}",
        text(&both.stderr)
    );

    let back = piped(&format!("{}{}{sum}", set("true"), set("false")));
    assert_eq!(
        text(&back.stdout),
        "asa\n15000.0\n",
        "{}",
        text(&back.stderr)
    );

    let wrong = piped(&set("maybe"));
    assert_eq!(wrong.status.code(), Some(2));
    assert!(
        text(&wrong.stderr).contains("true or false"),
        "{}",
        text(&wrong.stderr)
    );
}

#[test]
fn statements_end_where_sql_ends_them_and_null_is_null() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data").display().to_string();
    import(dir.path(), &data, CALL.as_bytes(), &[]);
    let sql =
        |format: &str, query: &str| callgauge(&["sql", "--data", &data, "--format", format, query]);
    let two = sql("csv", "SELECT 'a;b' AS x; -- one;\r\nSELECT 2 AS y");
    assert_eq!(text(&two.stdout), "x\na;b\ny\n2\n", "{}", text(&two.stderr));
    let second = sql("csv", "SELECT 1 AS x;\nSELECT nothing");
    assert_eq!(second.status.code(), Some(2));
    assert!(
        text(&second.stderr).contains("line 2"),
        "{}",
        text(&second.stderr)
    );
    let json = sql("json", "SELECT 1 AS a, CAST(NULL AS BIGINT) AS b");
    let rows: serde_json::Value = serde_json::from_slice(&json.stdout).unwrap();
    assert_eq!(rows, serde_json::json!([{ "a": 1, "b": null }]));
    let mars = callgauge(&["sql", "--data", &data, "--zone", "Mars", "SELECT 1"]);
    assert_eq!(mars.status.code(), Some(2));
    assert!(
        text(&mars.stderr).contains("Asia/Shanghai"),
        "{}",
        text(&mars.stderr)
    );
}

#[test]
fn own_definitions_and_targets_can_be_asked_for_with_their_parameters() {
    let page = include_str!("../../../docs/kpi-files.md");
    let (_, rest) = page.split_once("```yaml\n").unwrap();
    let (definition, _) = rest.split_once("```\n").unwrap();
    let dir = tempfile::tempdir().unwrap();
    let own = dir.path().join("my-kpis");
    std::fs::create_dir(&own).unwrap();
    write(&own.join("waits.yml"), definition.as_bytes());
    let targets = "- { kpi: long_wait_rate, where: { queue_id: vip }, valid_from: 2026-01-01, \
                   target: 0.05, good: 0.05, warn: 0.10 }\n";
    assert!(page.contains(targets));
    write(&own.join("targets.yml"), targets.as_bytes());
    let own = own.display().to_string();

    let data = dir.path().join("data").display().to_string();
    assert_eq!(
        import(dir.path(), &data, CALL.as_bytes(), &[])
            .status
            .code(),
        Some(0)
    );
    let ask = |limit: &str| {
        let limit = format!("long_wait_rate.limit={limit}");
        let sql = "SELECT MEASURE(long_wait_rate) AS x FROM kpi.queue_visits";
        let args = ["sql", "--data", &data, "--kpi-dir", &own, "--format", "csv"];
        let output = callgauge(&[&args[..], &["--param", &limit, sql]].concat());
        text(&output.stdout) + &text(&output.stderr)
    };
    assert_eq!(ask("15s"), "x\n0.0\n", "the call waited 15 s");
    assert_eq!(ask("14s"), "x\n1.0\n");
}

/// What is counted before the day from which contacts are kept is said to be incomplete, in the table
/// and beside it.
fn says_what_is_incomplete(data: &str) {
    let ask = |from: &str, more: &[&str]| {
        let kpi = [
            "kpi",
            "--data",
            data,
            "offered",
            "--from",
            from,
            "--to",
            "2025-07-01",
        ];
        let output = callgauge(&[&kpi[..], more].concat());
        (text(&output.stdout), text(&output.stderr))
    };
    for (lang, words) in [
        ("en", "not complete"),
        ("zh-CN", "不完整"),
        ("zh-TW", "不完整"),
    ] {
        let (table, _) = ask("2025-01-01", &["--lang", lang]);
        assert!(
            table.contains(words) && table.contains("2025-02-22T00:00:00Z"),
            "{table}"
        );
    }
    let (json, note) = ask("2025-01-01", &["--format", "json"]);
    assert!(
        json.contains(r#""incomplete_before": "2025-02-22T00:00:00Z""#),
        "{json}"
    );
    assert!(note.contains("not complete"), "{note}");
    let (table, note) = ask("2025-03-01", &["--lang", "en"]);
    assert!(!(table + &note).contains("not complete"));
}

#[test]
fn what_was_kept_long_enough_goes_after_a_yes_and_does_not_come_back() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data").display().to_string();
    let old = CALL.replace("2026-03-02", "2025-01-02");
    let new = CALL.replace("2026-03-02", "2025-06-02").replace("c1", "c2");
    let new = new.replace(r#""event_id":""#, r#""event_id":"n"#);
    let lines = [old.as_bytes(), new.as_bytes()].concat();
    let retain = |more: &[&str]| {
        let args = [&["retain", "--data", &data, "--keep"], more].concat();
        let output = callgauge(&args);
        let said = text(&output.stdout) + &text(&output.stderr);
        (output.status.code(), said)
    };
    let (code, said) = retain(&["100d"]);
    assert_eq!(code, Some(2), "{said}");
    assert!(!dir.path().join("data").exists(), "looking makes no folder");
    assert!(import(dir.path(), &data, &lines, &[]).status.success());
    let (code, said) = retain(&["30d"]);
    assert_eq!(code, Some(2));
    assert!(said.contains("31d at least"), "{said}");
    for more in [&["100d"][..], &["100d", "--dry-run"]] {
        let (code, said) = retain(more);
        assert_eq!(code, Some(1), "{said}");
        let would =
            "would go: 1 contact(s) that were over before 2025-02-22T00:00:00Z, with 3 event(s)";
        assert!(said.contains(would), "{said}");
        assert_eq!(said.contains("--yes"), more.len() == 1, "{said}");
    }
    let again = import(dir.path(), &data, &lines, &[]);
    assert!(
        text(&again.stdout).contains("duplicate 6"),
        "nothing has gone"
    );

    let (code, said) = retain(&["100d", "--yes"]);
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("gone: 1 contact(s)"), "{said}");
    says_what_is_incomplete(&data);
    let again = import(dir.path(), &data, &lines, &[]);
    assert_eq!(again.status.code(), Some(1));
    let said = text(&again.stdout);
    assert!(said.contains("too_old: 3"), "{said}");
    assert!(said.contains("duplicate 3 · rejected 3"), "{said}");
    let (code, said) = retain(&["100d"]);
    assert_eq!(
        (code, said.as_str()),
        (Some(0), "nothing is older than 100 days\n")
    );
    // A shorter time takes two days a run.
    let (code, said) = retain(&["90d"]);
    assert_eq!(code, Some(0), "{said}");
    assert!(
        said.contains("gone: 0 contact(s) that were over before 2025-02-24"),
        "{said}"
    );
    assert!(
        said.contains("up to 2025-03-04") && said.contains("2 days a run"),
        "{said}"
    );
    let check = callgauge(&["check", "--data", &data]);
    assert_eq!(check.status.code(), Some(0));
    let said = text(&check.stdout);
    assert!(
        said.contains("contacts are kept from 2025-02-24T00:00:00Z"),
        "{said}"
    );
}

/// A block of code of a page: its language and its lines.
fn blocks(page: &str) -> Vec<(String, String)> {
    let mut blocks = Vec::new();
    let mut rest = page;
    while let Some((_, after)) = rest.split_once("\n```") {
        let (language, after) = after.split_once('\n').unwrap();
        let (code, after) = after.split_once("```").unwrap();
        blocks.push((language.to_owned(), code.to_owned()));
        rest = after;
    }
    blocks
}

/// Runs a line as a shell does, in a folder.
fn shell(line: &str, folder: &Path) -> Output {
    let line = line.replacen("callgauge", "\"$CALLGAUGE\"", 1);
    Command::new("sh")
        .args(["-c", &line])
        .current_dir(folder)
        .env("CALLGAUGE", BINARY)
        .env_remove("CALLGAUGE_DATA")
        .env("LANG", "C")
        .env("HOME", folder)
        .output()
        .unwrap()
}

#[test]
fn the_tutorial_on_own_kpis_does_what_it_says() {
    let page = include_str!("../../../docs/custom-kpis.md");
    let dir = tempfile::tempdir().unwrap();
    let mut said = String::new();
    let (mut files, mut commands) = (0, 0);
    for (language, code) in blocks(page) {
        match language.as_str() {
            "yaml" => {
                let name = code.lines().next().unwrap().trim_start_matches("# ");
                let path = dir.path().join(name);
                std::fs::create_dir_all(path.parent().unwrap()).unwrap();
                std::fs::write(path, &code).unwrap();
                files += 1;
            }
            // Those that go on until they are told to stop have tests of their own.
            "sh" if code.contains("callgauge serve") => {}
            "sh" => {
                for line in code.lines() {
                    let output = shell(line, dir.path());
                    let (out, error) = (text(&output.stdout), text(&output.stderr));
                    assert!(output.status.success(), "{line}\n{out}\n{error}");
                    said.push_str(&out);
                    commands += 1;
                }
            }
            _ => {}
        }
    }
    assert_eq!((files, commands), (2, 8));
    assert_eq!(said.matches(", 0 problem(s)").count(), 2, "{said}");
    assert!(said.contains("Long holds"), "{said}");
    // What the page shows of a slip is what is said.
    let file = dir.path().join("my-kpis/holds.yml");
    let right = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, right.replace("AND hold_ms", "AND hold_m")).unwrap();
    let check = shell("callgauge kpi check --kpi-dir my-kpis", dir.path());
    let (_, shown) = page.split_once("```text\n").unwrap();
    let (shown, _) = shown.split_once("```").unwrap();
    let error = text(&check.stderr);
    assert!(error.contains(shown.trim_end()), "{error}\n{shown}");
}
