//! `POST /api/v1/sql`: JSON, CSV, Arrow, parameters, errors.

use arrow::{array::AsArray, datatypes::Int64Type, ipc::reader::StreamReader};
use engine::service::QueryLimits;
use serde_json::json;

use crate::{
    client::JSON,
    real::{self, Real},
};

const CSV: (&str, &str) = ("accept", "text/csv");
const ARROW: (&str, &str) = ("accept", "application/vnd.apache.arrow.stream");

fn empty() -> Real {
    real::start_empty(|_| {})
}

#[test]
fn json_has_types_units_and_where_the_numbers_come_from() {
    let real = real::start();
    let reply = real.sql(
        "SELECT queue_id, MEASURE(service_level) AS sl, MEASURE(offered) AS n, \
         CAST(12.50 AS DECIMAL(10,2)) AS money, TIMESTAMP '2026-03-02T08:00:00Z' AS at, \
         CAST(NULL AS TEXT) AS nothing, true AS yes, DATE '2026-03-02' AS day, \
         make_array(1, NULL) AS list \
         FROM kpi.queue_visits GROUP BY queue_id ORDER BY queue_id",
    );
    assert_eq!(reply.status, 200, "{reply:?}");
    assert_eq!(reply.header("content-type"), "application/json");
    let json = reply.json();
    let columns = json["columns"].as_array().expect("columns");
    let types: Vec<_> = columns
        .iter()
        .map(|c| c["type"].as_str().expect("a type"))
        .collect();
    assert_eq!(
        types,
        [
            "text",
            "number",
            "integer",
            "decimal(10,2)",
            "timestamp",
            "text",
            "boolean",
            "date",
            "list of integer"
        ]
    );
    assert_eq!(columns[1]["kpi"], "service_level");
    assert_eq!(columns[1]["unit"], "ratio");
    let rows = json["rows"].as_array().expect("rows");
    assert_eq!(json["row_count"], rows.len());
    assert_eq!(json["truncated"], false);
    let row = &rows[0];
    assert!(row[2].is_i64() && row[1].is_f64(), "{row}");
    assert_eq!(row[3], "12.50");
    assert_eq!(row[4], "2026-03-02T08:00:00Z");
    assert_eq!(row[5], json!(null));
    assert_eq!(row[6], true);
    assert_eq!(row[7], "2026-03-02");
    assert_eq!(row[8], json!([1, null]));
    let kpis = json["meta"]["kpis"].as_array().expect("KPIs");
    let ids: Vec<_> = kpis
        .iter()
        .map(|k| k["kpi"].as_str().expect("an id"))
        .collect();
    assert_eq!(ids, ["offered", "service_level"]);
    assert_eq!(json["meta"]["request_id"], reply.header("x-request-id"));
}

#[test]
fn whole_numbers_are_texts_on_request_and_limits_cut() {
    let real = empty();
    let question = json!({
        "sql": "SELECT * FROM (VALUES (9007199254740993), (2), (3)) AS t(n)",
        "limit": 2,
    });
    let ask = |line: &str| {
        real.client()
            .ask(line, &[JSON], question.to_string().as_bytes())
    };
    let reply = ask("POST /api/v1/sql?int64=string");
    let json = reply.json();
    assert_eq!(
        json["rows"],
        json!([["9007199254740993"], ["2"]]),
        "{reply:?}"
    );
    assert_eq!(
        (&json["truncated"], &json["row_count"]),
        (&true.into(), &2.into())
    );
    assert_eq!(
        ask("POST /api/v1/sql").json()["rows"][0][0],
        9_007_199_254_740_993_i64
    );
}

#[test]
fn every_form_has_the_same_rows() {
    let real = real::start();
    let question = json!({
        "sql": "SELECT event_id, occurred_at, CAST(octet_length(data) AS BIGINT) AS n \
                FROM events.log ORDER BY event_id",
    });
    let json = real.ask(&question, &[]).json();
    assert_eq!(json["row_count"], real.events);
    let rows = json["rows"].as_array().expect("rows");
    let csv = real.ask(&question, &[CSV]);
    assert_eq!((csv.status, csv.whole), (200, true), "{csv:?}");
    assert_eq!(csv.header("content-type"), "text/csv; charset=utf-8");
    let lines: Vec<&str> = csv.body.split_terminator("\r\n").collect();
    assert_eq!(lines[0], "event_id,occurred_at,n");
    assert_eq!(lines.len(), rows.len() + 1);
    for (line, row) in lines[1..].iter().zip(rows) {
        let text = |cell: &serde_json::Value| cell.as_str().map_or(cell.to_string(), str::to_owned);
        let cells: Vec<String> = row.as_array().expect("a row").iter().map(text).collect();
        assert_eq!(*line, cells.join(","));
    }
    let arrow = real.ask(&question, &[ARROW]);
    assert_eq!((arrow.status, arrow.whole), (200, true));
    let reader = StreamReader::try_new(&*arrow.bytes, None).expect("a stream");
    assert_eq!(
        reader.schema().metadata()["revision"],
        arrow.header("x-revision")
    );
    let batches: Vec<_> = reader.map(|batch| batch.expect("a batch")).collect();
    let numbers = batches.iter().flat_map(|batch| {
        let column = batch.column(2).as_primitive::<Int64Type>();
        column.values().to_vec()
    });
    let expected: Vec<i64> = rows.iter().filter_map(|row| row[2].as_i64()).collect();
    assert_eq!(numbers.collect::<Vec<_>>(), expected);
}

#[test]
fn csv_is_quoted_and_holds_no_formula() {
    let real = empty();
    let question = json!({
        "sql": "SELECT * FROM (VALUES ('=1+1', -1, 'plain'), ('+x', -2, 'a,b'), \
                ('-y', 3, 'say \"hi\"'), ('@z', NULL, ''), (NULL, 0, ' edge')) \
                AS t(\"=head\", n, text)",
    });
    let line = "POST /api/v1/sql?bom=1";
    let body = question.to_string();
    let reply = real.client().ask(line, &[JSON, CSV], body.as_bytes());
    let expected = "\u{feff}\"'=head\",n,text\r\n\
         \"'=1+1\",-1,plain\r\n\
         \"'+x\",-2,\"a,b\"\r\n\
         \"'-y\",3,\"say \"\"hi\"\"\"\r\n\
         \"'@z\",,\"\"\r\n\
         ,0,\" edge\"\r\n";
    assert_eq!(reply.body, expected, "{reply:?}");
    let tabs =
        json!({ "sql": "SELECT chr(9) || 'x' AS a, chr(13) || 'y' AS b, chr(10) || 'z' AS c" });
    let reply = real.ask(&tabs, &[CSV]);
    assert_eq!(reply.body, "a,b,c\r\n\"'\tx\",\"'\ry\",\"\nz\"\r\n");
    let nothing = real.ask(&json!({ "sql": "SELECT 1 AS a WHERE false" }), &[CSV]);
    assert_eq!((&*nothing.body, nothing.whole), ("a\r\n", true));
}

#[test]
fn parameters_are_bound_and_never_text_of_the_query() {
    let real = empty();
    let sql = "SELECT $1 = 'a''b' AS text, $2 + 1 AS n, $3 IS NULL AS none, \
               CAST($4 AS TIMESTAMP) < TIMESTAMP '2026-03-02T00:00:00Z' AS before";
    let params = json!(["a'b", 41, null, "2026-03-01T23:59:59Z"]);
    let reply = real.ask(&json!({ "sql": sql, "params": params }), &[]);
    assert_eq!(reply.status, 200, "{reply:?}");
    assert_eq!(
        reply.json()["rows"],
        json!([[true, 42, true, true]]),
        "{reply:?}"
    );
    let wrong = [
        (json!([1]), "2 parameter(s), and 1"),
        (json!([1, 2, 3]), "2 parameter(s), and 3"),
        (json!([1, [2]]), "$2 is a list"),
        (json!([1, 18_446_744_073_709_551_615_u64]), "too large"),
    ];
    for (params, part) in wrong {
        let question = json!({ "sql": "SELECT $1 + 1, $2 + 1", "params": params });
        let reply = real.ask(&question, &[]);
        assert_eq!(
            (reply.status, &*reply.error_code()),
            (400, "bad_parameter"),
            "{reply:?}"
        );
        assert!(reply.body.contains(part), "{reply:?}");
    }
}

#[test]
fn a_request_has_its_own_zone() {
    let real = empty();
    let sql = "SELECT kpi_bucket(TIMESTAMP '2026-03-02T12:00:00Z', '1d') AS day";
    let day = |zone: &str| real.ask(&json!({ "sql": sql, "zone": zone }), &[]);
    assert_eq!(day("UTC").json()["rows"][0][0], "2026-03-02T00:00:00Z");
    assert_eq!(
        day("Asia/Shanghai").json()["rows"][0][0],
        "2026-03-01T16:00:00Z"
    );
    let wrong = day("Mars/Base");
    assert_eq!((wrong.status, &*wrong.error_code()), (400, "bad_parameter"));
}

#[test]
fn a_question_that_is_wrong_says_what_and_where() {
    let real = empty();
    for (sql, status, code) in [
        ("SELEC 1", 400, "sql_syntax"),
        ("SELECT 1 +", 400, "sql_syntax"),
        ("SELECT nobody FROM kpi.queue_visits", 400, "unknown_name"),
        ("SELECT * FROM nowhere", 400, "unknown_name"),
        (
            "SELECT MEASURE(queue_id) FROM kpi.queue_visits",
            400,
            "kpi_misuse",
        ),
        ("SELECT 1/0", 400, "bad_value"),
    ] {
        let reply = real.sql(sql);
        assert_eq!(reply.status, status, "{sql}: {reply:?}");
        assert_eq!(reply.error_code(), code, "{sql}: {reply:?}");
    }
    for sql in [
        "CREATE TABLE x (a INT)",
        "INSERT INTO facts.orders SELECT * FROM facts.orders",
        "COPY (SELECT 1) TO '/tmp/x.csv'",
        "SET kpi.strict = true",
    ] {
        let reply = real.sql(sql);
        assert_eq!(reply.status, 400, "{sql}: {reply:?}");
    }
    let reply = real.sql("SELECT\n  nobody FROM kpi.queue_visits");
    let position = &reply.json()["error"]["position"];
    assert_eq!(
        (&position["line"], &position["column"]),
        (&2.into(), &3.into()),
        "{reply:?}"
    );
}

#[test]
fn a_body_that_is_no_question_is_refused() {
    let real = empty();
    let ask = |headers: &[(&str, &str)], body: &str| {
        real.client()
            .ask("POST /api/v1/sql", headers, body.as_bytes())
    };
    let good = r#"{"sql":"SELECT 1"}"#;
    for (headers, body, status, code) in [
        (vec![JSON], "", 400, "bad_parameter"),
        (vec![JSON], "SELECT 1", 400, "bad_parameter"),
        (
            vec![JSON],
            r#"{"sql":"SELECT 1","secret":1}"#,
            400,
            "bad_parameter",
        ),
        (vec![JSON], r#"{"sql":1}"#, 400, "bad_parameter"),
        (vec![], good, 415, "unsupported_type"),
        (
            vec![("content-type", "text/plain")],
            good,
            415,
            "unsupported_type",
        ),
        (
            vec![JSON, ("accept", "image/png")],
            good,
            406,
            "not_acceptable",
        ),
        (
            vec![JSON, ("accept", "text/csv;q=0")],
            good,
            406,
            "not_acceptable",
        ),
    ] {
        let reply = ask(&headers, body);
        assert_eq!(reply.status, status, "{body}: {reply:?}");
        assert_eq!(reply.error_code(), code, "{body}: {reply:?}");
    }
    let browser = "text/html,application/xhtml+xml,text/csv;q=0.5,*/*;q=0.8";
    let reply = ask(&[JSON, ("accept", browser)], good);
    assert_eq!(reply.header("content-type"), "application/json");
    let large = format!(r#"{{"sql":"SELECT 1 -- {}"}}"#, "x".repeat(1 << 20));
    assert_eq!(ask(&[JSON], &large).status, 413);
    let unknown = real
        .client()
        .ask("POST /api/v1/sql?x=1", &[JSON], good.as_bytes());
    assert_eq!(
        (unknown.status, &*unknown.error_code()),
        (400, "bad_parameter")
    );
}

#[test]
fn json_is_capped_and_csv_is_not() {
    let real = real::start();
    // Some 30 MB of text.
    let question = json!({
        "sql": "SELECT a.event_id, repeat(b.data, 6) AS data, repeat(a.data, 6) AS more \
                FROM events.log a CROSS JOIN (SELECT data FROM events.log LIMIT 12) b",
    });
    let reply = real.ask(&question, &[]);
    assert_eq!(
        (reply.status, &*reply.error_code()),
        (422, "query_limit"),
        "{:?}",
        reply.headers
    );
    let csv = real.ask(&question, &[CSV]);
    assert!(
        csv.whole && csv.bytes.len() > 10 << 20,
        "{}",
        csv.bytes.len()
    );
    let lines = csv.bytes.iter().filter(|byte| **byte == b'\n').count() as u64;
    assert_eq!(lines, real.events * 12 + 1);
}

#[test]
fn an_error_after_the_first_rows_cuts_the_body_off() {
    let limits = QueryLimits {
        rows_max: 100_000,
        ..QueryLimits::default()
    };
    let real = real::start_with(limits, |_| {});
    let question = json!({
        "sql": "SELECT a.event_id FROM events.log a \
                CROSS JOIN (SELECT data FROM events.log LIMIT 400) b",
    });
    for form in [CSV, ARROW] {
        let reply = real.ask(&question, &[form]);
        assert_eq!(reply.status, 200);
        assert!(
            !reply.whole && reply.bytes.len() > 10_000,
            "{}",
            reply.bytes.len()
        );
    }
    let reply = real.ask(&question, &[]);
    assert_eq!(
        (reply.status, &*reply.error_code()),
        (422, "query_limit"),
        "{reply:?}"
    );
}
