//! The query service from outside: what it tells beforehand, its limits, and how queries end.

use std::sync::Arc;
use std::time::{Duration, Instant};

use arrow::array::{
    ArrayRef, AsArray, Float64Array, Int64Array, StringArray, TimestampMillisecondArray,
};
use arrow::datatypes::{DataType, Field, Int64Type, SchemaRef, TimeUnit};
use arrow::record_batch::RecordBatch;
use engine::service::{
    Caller, ErrorKind, Planned, QueryError, QueryLimits, QueryService, RelationKind, ResultStream,
    RunOptions,
};
use engine::{KpiRequest, SessionSettings};
use facts::{FactEdit, FactRows};
use sqllogictest::{DefaultColumnType, QueryExpect, Record, StatementExpect, parse_file};
use store::{Commit, Mode};

use crate::data::{DAY_0, DAY_MS, Form, World, visit, world};
use crate::slt::files;

/// Longer than anything here takes, on the slowest machine.
const LONG: Duration = Duration::from_secs(120);

/// 27,000,000,000 rows.
const ENDLESS: &str = "SELECT a.visit_id FROM facts.queue_visits a \
    JOIN facts.queue_visits b ON a.channel = b.channel \
    JOIN facts.queue_visits c ON b.channel = c.channel";

fn limits() -> QueryLimits {
    QueryLimits {
        plan_deadline: LONG,
        deadline: LONG,
        threads: 2,
        ..QueryLimits::default()
    }
}

struct Door {
    service: QueryService,
    world: World,
}

fn door(limits: QueryLimits) -> Door {
    let world = world(Form::Memory);
    let service = QueryService::start(Arc::clone(&world.engine), limits).expect("threads");
    Door { service, world }
}

fn caller(name: &str) -> Caller {
    Caller {
        name: name.into(),
        sees_all: false,
        sees_raw: true,
    }
}

impl Door {
    async fn plan(&self, sql: &str) -> Result<Planned, QueryError> {
        self.service
            .plan(&caller("a"), sql, &SessionSettings::default())
            .await
    }

    async fn start(&self, sql: &str, options: RunOptions) -> ResultStream {
        let planned = self
            .plan(sql)
            .await
            .unwrap_or_else(|e| panic!("{sql}: {e}"));
        self.service
            .run(&planned, &[], options)
            .await
            .unwrap_or_else(|e| panic!("{sql}: {e}"))
    }

    async fn number(&self, sql: &str, params: &[ArrayRef]) -> Result<i64, QueryError> {
        let planned = self.plan(sql).await?;
        let mut rows = self
            .service
            .run(&planned, params, RunOptions::default())
            .await?;
        let batches = all(&mut rows).await?;
        Ok(batches[0].column(0).as_primitive::<Int64Type>().value(0))
    }

    /// Waits until nothing of any query is left.
    async fn quiet(&self) {
        let since = Instant::now();
        while !self.service.running(&caller("a")).is_empty() {
            assert!(since.elapsed() < LONG, "a query does not end");
            tokio::task::yield_now().await;
        }
    }
}

async fn all(rows: &mut ResultStream) -> Result<Vec<RecordBatch>, QueryError> {
    let mut batches = Vec::new();
    while let Some(batch) = rows.next().await {
        batches.push(batch?);
    }
    Ok(batches)
}

fn within(deadline: Duration) -> RunOptions {
    RunOptions {
        deadline: Some(deadline),
        ..RunOptions::default()
    }
}

async fn error_of(rows: &mut ResultStream) -> QueryError {
    loop {
        match rows.next().await.expect("rows or an error") {
            Ok(_) => {}
            Err(error) => return error,
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_planned_is_what_comes_for_every_query_of_the_sql_tests() {
    let door = door(limits());
    let mut queries = 0;
    for file in files() {
        let mut session = SessionSettings::default();
        for record in parse_file::<DefaultColumnType>(&file).expect("a readable file") {
            let sql = match record {
                Record::Query {
                    sql,
                    expected: QueryExpect::Results { .. },
                    ..
                } => sql,
                Record::Statement {
                    sql,
                    expected: StatementExpect::Ok,
                    ..
                } => sql,
                _ => continue,
            };
            let planned = door.service.plan(&caller("a"), &sql, &session).await;
            let planned = planned.unwrap_or_else(|e| panic!("{sql}: {e}"));
            if let Some(change) = planned.set {
                change
                    .make(&mut session)
                    .unwrap_or_else(|e| panic!("{sql}: {e}"));
                continue;
            }
            for native in [false, true] {
                let options = RunOptions {
                    native,
                    ..RunOptions::default()
                };
                let rows = door.service.run(&planned, &[], options).await;
                let mut rows = rows.unwrap_or_else(|e| panic!("{sql}: {e}"));
                let told = if native {
                    planned.native_schema()
                } else {
                    &planned.schema
                };
                assert_eq!(rows.schema(), told, "{sql}");
                for batch in all(&mut rows)
                    .await
                    .unwrap_or_else(|e| panic!("{sql}: {e}"))
                {
                    assert_eq!(&batch.schema(), told, "{sql}");
                }
            }
            queries += 1;
        }
    }
    assert!(queries > 100, "only {queries} queries");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_query_ends_when_it_is_cancelled_and_when_nobody_reads_it() {
    let door = door(limits());
    let mut rows = door.start(ENDLESS, RunOptions::default()).await;
    rows.next().await.expect("rows").expect("a batch");
    assert!(
        !door.service.cancel(&caller("b"), rows.id()),
        "not the query of b"
    );
    assert!(door.service.cancel(&caller("a"), rows.id()));
    assert_eq!(error_of(&mut rows).await.kind, ErrorKind::Cancelled);
    assert!(rows.next().await.is_none());
    door.quiet().await;

    let mut rows = door.start(ENDLESS, RunOptions::default()).await;
    rows.next().await.expect("rows").expect("a batch");
    let all_seen = Caller {
        sees_all: true,
        sees_raw: true,
        ..caller("b")
    };
    assert_eq!(door.service.running(&all_seen).len(), 1);
    assert!(door.service.running(&caller("b")).is_empty());
    drop(rows);
    door.quiet().await;
    assert_eq!(door.service.stats().outcomes["cancelled"], 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn work_that_gives_no_row_ends_at_its_deadline() {
    let door = door(limits());
    let count = format!("SELECT count(*) FROM ({ENDLESS})");
    let since = Instant::now();
    let mut rows = door.start(&count, within(Duration::from_millis(100))).await;
    let error = error_of(&mut rows).await;
    assert_eq!(error.kind, ErrorKind::Deadline, "{error}");
    door.quiet().await;
    assert!(since.elapsed() < LONG);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_is_late_is_told_the_time_that_was_asked_for_not_what_was_left_of_it() {
    let door = door(limits());
    let count = format!("SELECT count(*) FROM ({ENDLESS})");
    let options = RunOptions {
        allowed: Some(Duration::from_secs(1)),
        ..within(Duration::from_millis(100))
    };
    let mut rows = door.start(&count, options).await;
    let error = error_of(&mut rows).await;
    assert_eq!(error.message, "the query took longer than 1000 ms");
    door.quiet().await;
}

/// Joins of `count` rows with as many, all of one key, that keep no pair: nothing comes of them.
fn joins_that_give_nothing(count: u64) -> [String; 4] {
    let side = format!("(SELECT value, value / 10000000 AS k FROM generate_series(1, {count}))");
    let filtered = |kind: &str| {
        let on = "a.k = b.k AND a.value + b.value < 0";
        format!("SELECT count(a.value) FROM {side} a {kind} JOIN {side} b ON {on}")
    };
    let exists = |not: &str| {
        let inner = format!("SELECT 1 FROM {side} b WHERE b.k = a.k AND a.value + b.value < 0");
        format!("SELECT count(*) FROM {side} a WHERE {not} EXISTS ({inner})")
    };
    let any_key = format!("SELECT count(*) FROM {side} a WHERE a.k IN (SELECT k FROM {side})");
    [filtered("INNER"), filtered("LEFT"), exists("NOT"), any_key]
}

/// As the server runs queries on a small machine: all of them on one thread.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_join_that_keeps_no_row_hears_its_end_and_lets_others_run_meanwhile() {
    let door = door(QueryLimits {
        threads: 1,
        ..limits()
    });
    for (number, sql) in joins_that_give_nothing(1_000_000).iter().enumerate() {
        let rows = door.start(sql, RunOptions::default()).await;
        let other = door.number("SELECT count(*) FROM facts.queue_visits", &[]);
        assert_eq!(other.await.expect("an answer"), 3_000, "beside {sql}");
        let queries = door.service.running(&caller("a"));
        assert_eq!(queries.len(), 1, "{sql} is still at work: {queries:?}");
        assert!(door.service.cancel(&caller("a"), rows.id()));
        let since = Instant::now();
        door.quiet().await;
        assert!(since.elapsed() < Duration::from_secs(20), "join {number}");
        assert_eq!(door.service.stats().memory_bytes, 0);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_condition_that_listens_changes_no_answer() {
    let door = door(limits());
    let expected = [0, 2_000, 2_000, 2_000];
    for (sql, expected) in joins_that_give_nothing(2_000).iter().zip(expected) {
        let counted = door.number(sql, &[]).await;
        assert_eq!(counted.expect("an answer"), expected, "{sql}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn long_chains_mean_what_they_say() {
    let door = door(limits());
    // 1e16 + 1 is 1e16 again: so often one after the other, but not 17 ones first.
    let ones = " + x".repeat(17);
    let sum = format!(
        "SELECT CAST(10000000000000000.0{ones} - 10000000000000000.0 AS BIGINT) \
         FROM (SELECT CAST(value AS DOUBLE) AS x FROM generate_series(1, 1))"
    );
    assert_eq!(door.number(&sum, &[]).await.expect("a number"), 0);
    let others: String = (1..=20).map(|i| format!(" OR a = {i}")).collect();
    let found = format!(
        "SELECT count(*) FROM (SELECT value + 9007199254740991 AS a FROM generate_series(1, 1)) \
         WHERE a = 9007199254740993 OR a = 99999999999999999999{others}"
    );
    assert_eq!(door.number(&found, &[]).await.expect("a number"), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_explanation_names_no_file() {
    let world = world(Form::Parquet);
    let service = QueryService::start(Arc::clone(&world.engine), limits()).expect("threads");
    let door = Door { service, world };
    for how in [
        "EXPLAIN",
        "EXPLAIN VERBOSE",
        "EXPLAIN ANALYZE",
        "EXPLAIN ANALYZE VERBOSE",
    ] {
        let sql = format!("{how} SELECT queue_id, count(*) FROM facts.queue_visits GROUP BY 1");
        let mut rows = door.start(&sql, RunOptions::default()).await;
        let batches = all(&mut rows).await.expect("rows");
        let plans: Vec<&str> = batches
            .iter()
            .flat_map(|batch| batch.column(1).as_string::<i32>().iter().flatten())
            .collect();
        let text = plans.join("\n");
        assert!(
            text.contains("DataSourceExec: file_groups={") && text.contains("[<file>"),
            "{how}: {text}"
        );
        assert!(
            !text.contains(".parquet") && !text.contains("/tmp"),
            "{how}: {text}"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_runs_one_waits_and_the_next_is_refused() {
    let door = Arc::new(door(QueryLimits {
        running: 1,
        waiting: 1,
        ..limits()
    }));
    let first = door.start(ENDLESS, RunOptions::default()).await;
    let planned = door.plan("SELECT 1").await.expect("a plan");
    let waits = tokio::spawn({
        let (door, planned) = (Arc::clone(&door), planned.clone());
        async move { door.service.run(&planned, &[], RunOptions::default()).await }
    });
    while door.service.stats().waiting == 0 {
        tokio::task::yield_now().await;
    }
    let refused = door.service.run(&planned, &[], RunOptions::default()).await;
    let refused = refused.err().expect("one too many");
    assert!(matches!(refused.kind, ErrorKind::Busy { .. }), "{refused}");
    drop(first);
    let mut second = waits.await.expect("no panic").expect("its turn");
    assert_eq!(all(&mut second).await.expect("rows").len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_query_that_waits_hears_that_it_is_cancelled() {
    let door = Arc::new(door(QueryLimits {
        running: 1,
        ..limits()
    }));
    let _first = door.start(ENDLESS, RunOptions::default()).await;
    let waits = tokio::spawn({
        let door = Arc::clone(&door);
        async move { door.number("SELECT count(*) FROM facts.legs", &[]).await }
    });
    let waiting = loop {
        let running = door.service.running(&caller("a"));
        if let Some(second) = running.iter().find(|q| q.state.word() == "waiting") {
            break second.id;
        }
        tokio::task::yield_now().await;
    };
    assert!(door.service.cancel(&caller("a"), waiting));
    let error = waits
        .await
        .expect("no panic")
        .expect_err("it was cancelled");
    assert_eq!(error.kind, ErrorKind::Cancelled);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_query_gets_its_share_of_the_memory_and_no_more() {
    let door = door(QueryLimits {
        memory_bytes: 800_000,
        ..limits()
    });
    let sql = "SELECT a.visit_id, count(*) FROM facts.queue_visits a, facts.queue_visits b \
               WHERE a.channel = b.channel AND a.outcome = b.outcome GROUP BY 1 ORDER BY 2";
    let mut rows = door.start(sql, RunOptions::default()).await;
    let error = error_of(&mut rows).await;
    assert_eq!(error.kind, ErrorKind::QueryLimit, "{error}");
    assert!(error.message.contains("memory"), "{error}");
    door.quiet().await;
    assert_eq!(door.service.stats().memory_bytes, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rows_asked_for_are_cut_and_rows_allowed_are_an_error() {
    let sql = "SELECT visit_id FROM facts.queue_visits";
    let door = door(QueryLimits {
        rows_max: 2_000,
        ..limits()
    });
    let some = RunOptions {
        rows: Some(10),
        ..RunOptions::default()
    };
    let mut rows = door.start(sql, some).await;
    let batches = all(&mut rows).await.expect("rows");
    assert_eq!(batches.iter().map(RecordBatch::num_rows).sum::<usize>(), 10);
    assert!(rows.truncated());
    let mut rows = door.start(&format!("{sql} LIMIT 10"), some).await;
    all(&mut rows).await.expect("rows");
    assert!(!rows.truncated(), "nothing was left out");
    let mut rows = door.start(sql, RunOptions::default()).await;
    assert_eq!(error_of(&mut rows).await.kind, ErrorKind::QueryLimit);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_join_that_would_compare_all_pairs_of_many_rows_is_refused() {
    let door = door(limits());
    let pairs = "SELECT count(*) FROM facts.queue_visits a \
                 JOIN facts.legs b ON a.wait_ms < b.talk_ms";
    door.number(pairs, &[])
        .await
        .expect("1,800,000 pairs are few");
    let more = format!("{pairs} JOIN facts.queue_visits c ON b.talk_ms < c.wait_ms");
    let error = door
        .number(&more, &[])
        .await
        .expect_err("5,400,000,000 pairs");
    assert_eq!(error.kind, ErrorKind::TooComplex, "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn parameters_are_told_by_type_and_bound_by_position() {
    let door = door(limits());
    let sql = "SELECT count(*) FROM facts.queue_visits WHERE entered_at >= $2 AND queue_id = $1";
    let planned = door.plan(sql).await.expect("a plan");
    let types: Vec<_> = planned
        .params
        .iter()
        .map(|p| p.data_type().clone())
        .collect();
    let time = DataType::Timestamp(TimeUnit::Millisecond, Some("UTC".into()));
    assert_eq!(types, [DataType::Utf8, time]);
    let day_3 = DAY_0.plus_ms(3 * DAY_MS);
    let queue: ArrayRef = Arc::new(StringArray::from(vec!["billing"]));
    let since: ArrayRef = Arc::new(TimestampMillisecondArray::from(vec![day_3.0 / 1_000]));
    let by_hand = format!(
        "SELECT count(*) FROM facts.queue_visits \
         WHERE entered_at >= '{day_3}' AND queue_id = 'billing'"
    );
    let wanted = door.number(&by_hand, &[]).await.expect("a number");
    assert!(wanted > 0);
    let text: ArrayRef = Arc::new(StringArray::from(vec![day_3.to_string()]));
    for since in [since, text] {
        let params = [Arc::clone(&queue), since];
        assert_eq!(door.number(sql, &params).await.expect("a number"), wanted);
    }
    let few = door
        .number(sql, std::slice::from_ref(&queue))
        .await
        .expect_err("one is missing");
    assert_eq!(few.kind, ErrorKind::BadParameter);
    assert!(
        few.message.contains('2') && few.message.contains('1'),
        "{few}"
    );
    let wrong = door
        .number(sql, &[Arc::clone(&queue), queue])
        .await
        .expect_err("no time");
    assert_eq!(wrong.kind, ErrorKind::BadParameter);
    assert!(!wrong.message.contains("billing"), "{wrong}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_parameter_that_would_lose_a_part_is_refused() {
    let door = door(limits());
    let sql = "SELECT count(*) FROM facts.queue_visits WHERE wait_ms / 1000 > $1";
    let number = |x: f64| -> ArrayRef { Arc::new(Float64Array::from(vec![x])) };
    let whole = door.number(sql, &[number(2.0)]).await.expect("a number");
    let by_hand = "SELECT count(*) FROM facts.queue_visits WHERE wait_ms / 1000 > 2";
    assert_eq!(whole, door.number(by_hand, &[]).await.expect("a number"));
    let error = door
        .number(sql, &[number(1.5)])
        .await
        .expect_err("no integer");
    assert_eq!(error.kind, ErrorKind::BadParameter);
    assert!(!error.message.contains("1.5"), "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_parameter_of_unknown_type_is_a_text() {
    let door = door(limits());
    let planned = door.plan("SELECT $1 AS x").await.expect("a plan");
    assert_eq!(planned.params[0].data_type(), &DataType::Utf8);
    assert_eq!(planned.schema.field(0).data_type(), &DataType::Utf8);
    let seven: ArrayRef = Arc::new(Int64Array::from(vec![7]));
    for _ in 0..2 {
        let params = std::slice::from_ref(&seven);
        let rows = door
            .service
            .run(&planned, params, RunOptions::default())
            .await;
        let mut rows = rows.expect("it runs");
        assert_eq!(rows.schema(), &planned.schema);
        let batches = all(&mut rows).await.expect("rows");
        assert_eq!(batches[0].column(0).as_string::<i32>().value(0), "7");
        assert_eq!(batches[0].schema(), planned.schema);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn errors_name_the_place_and_what_to_write() {
    let door = door(limits());
    let syntax = door
        .plan("SELECT (1\nFROM facts.legs")
        .await
        .err()
        .expect("no SQL");
    assert_eq!(syntax.kind, ErrorKind::SqlSyntax);
    assert_eq!(syntax.position.expect("a place").line, 2, "{syntax:?}");
    let column = "SELECT queue_idd FROM facts.queue_visits";
    let unknown = door.plan(column).await.err().expect("no column");
    assert_eq!(unknown.kind, ErrorKind::UnknownName, "{unknown}");
    assert_eq!(unknown.hint.as_deref(), Some("did you mean queue_id?"));
    assert_eq!(unknown.position.expect("a place").column, 8, "{unknown:?}");
    let table = door
        .plan("SELECT * FROM facts.nothing")
        .await
        .err()
        .expect("no table");
    assert_eq!(table.kind, ErrorKind::UnknownName);
    assert_eq!(table.message, "there is no table facts.nothing");
    for refused in [
        "DELETE FROM facts.legs",
        "CREATE TABLE x AS SELECT 1",
        "COPY (SELECT 1) TO 'x'",
    ] {
        let error = door.plan(refused).await.err().expect("only queries");
        assert_eq!(error.kind, ErrorKind::SqlSyntax, "{error}");
    }
    let misuse = "SELECT MEASURE(wait_ms) FROM kpi.queue_visits";
    assert_eq!(
        door.plan(misuse).await.err().expect("no KPI").kind,
        ErrorKind::KpiMisuse
    );
    let cast = "SELECT CAST(queue_id AS BIGINT) FROM facts.queue_visits";
    let mut rows = door.start(cast, RunOptions::default()).await;
    let value = error_of(&mut rows).await;
    assert_eq!(value.kind, ErrorKind::BadValue);
    assert!(!format!("{value:?}").contains("billing"), "{value:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_may_not_see_raw_lines_finds_no_such_table() {
    let door = door(limits());
    let seeing = caller("a");
    let masked = Caller {
        sees_raw: false,
        ..caller("b")
    };
    let session = SessionSettings::default();
    let names = "SELECT count(*) FROM information_schema.tables WHERE table_name = 'quarantine'";
    for (who, listed) in [(&seeing, 1), (&masked, 0)] {
        let relations = door.service.relations(who).await.expect("relations");
        let raw = relations.iter().filter(|r| r.name == "quarantine").count();
        assert_eq!(raw, listed, "{}", who.name);
        let planned = door.service.plan(who, names, &session).await.expect(names);
        let options = RunOptions::default();
        let mut rows = door.service.run(&planned, &[], options).await.expect(names);
        let batches = all(&mut rows).await.expect(names);
        let count = batches[0].column(0).as_primitive::<Int64Type>().value(0);
        assert_eq!(count, listed as i64, "{}", who.name);
        for sql in [
            "SELECT * FROM facts.quarantine",
            "SELECT raw FROM callgauge.facts.quarantine",
            "SELECT (SELECT max(raw) FROM facts.quarantine) AS raw FROM facts.queue_visits",
            "DESCRIBE facts.quarantine",
        ] {
            let planned = door.service.plan(who, sql, &session).await;
            assert_eq!(planned.is_ok(), listed == 1, "{}: {sql}", who.name);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_limit_may_be_a_parameter() {
    let door = door(limits());
    let sql = "SELECT count(*) FROM (SELECT 1 FROM facts.queue_visits LIMIT $1 OFFSET $2) AS some";
    let planned = door.plan(sql).await.expect("it is planned");
    let types: Vec<_> = planned.params.iter().map(Field::data_type).collect();
    assert_eq!(types, [&DataType::Int64, &DataType::Int64]);
    let number = |n: i64| Arc::new(Int64Array::from(vec![n])) as ArrayRef;
    let count = door.number(sql, &[number(3), number(1)]).await;
    assert_eq!(count.expect("a number"), 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn parameters_of_own_functions_are_numbers_and_patterns_texts() {
    let door = door(limits());
    let sql = "SELECT erlang_c_agents($1, 1800000, 180000, $2, 20000) \
               + ms_between(t, t + INTERVAL '1 minute' * $3) AS n \
               FROM (SELECT to_timestamp('01/02/2026', $4) AS t) AS times";
    let planned = door.plan(sql).await.expect("it is planned");
    let types: Vec<_> = planned.params.iter().map(Field::data_type).collect();
    let number = &DataType::Float64;
    assert_eq!(types, [number, number, number, &DataType::Utf8]);
    let given = [
        Arc::new(Int64Array::from(vec![100])) as ArrayRef,
        Arc::new(Float64Array::from(vec![0.8])),
        Arc::new(Int64Array::from(vec![2])),
        Arc::new(StringArray::from(vec!["DD/MM/YYYY"])),
    ];
    let n = door.number(sql, &given).await;
    assert_eq!(n.expect("a number"), 14 + 120_000);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_error_of_a_function_names_no_value_of_the_data() {
    let door = door(limits());
    for call in [
        "to_date(queue_id, 'YYYY')",
        "to_timestamp(queue_id)",
        "to_timestamp(queue_id, 'YYYY')",
        "to_char(entered_at, queue_id)",
    ] {
        let sql = format!("SELECT count({call}) FROM facts.queue_visits");
        let told = door.number(&sql, &[]).await.expect_err(call);
        assert_eq!(told.kind, ErrorKind::BadValue, "{call}: {told:?}");
        let text = format!("{told:?}");
        for value in ["billing", "sales", "support"] {
            assert!(!text.contains(value), "{call}: {text}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn relations_have_the_columns_that_selecting_all_of_them_gives() {
    let door = door(limits());
    let relations = door
        .service
        .relations(&caller("test"))
        .await
        .expect("relations");
    assert!(relations.iter().any(|r| r.kind == RelationKind::System));
    assert!(
        relations
            .iter()
            .any(|r| r.schema == "events" && r.name == "log")
    );
    assert!(relations.iter().any(|r| r.name == "queue_visits_1h"));
    for relation in relations
        .iter()
        .filter(|r| r.schema == "facts" || r.name == "queue_visits")
    {
        let sql = format!("SELECT * FROM {}.{}", relation.schema, relation.name);
        let planned = door
            .plan(&sql)
            .await
            .unwrap_or_else(|e| panic!("{sql}: {e}"));
        // The plan may know less about what is never NULL.
        let nullable = |schema: &SchemaRef| -> Vec<Field> {
            let fields = schema.fields().iter();
            fields
                .map(|f| f.as_ref().clone().with_nullable(true))
                .collect()
        };
        let (planned, relation) = (nullable(&planned.schema), nullable(&relation.columns));
        assert_eq!(planned, relation, "{sql}");
    }
    let visits = relations
        .iter()
        .find(|r| r.schema == "kpi" && r.name == "queue_visits");
    let column = visits
        .expect("the view")
        .columns
        .field_with_name("asa")
        .expect("a KPI")
        .clone();
    assert_eq!(column.metadata()["kpi"], "asa");
    assert!(
        ["title", "unit", "formula"]
            .iter()
            .all(|key| column.metadata().contains_key(*key))
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_kpi_request_is_answered_as_the_engine_answers_it() {
    let door = door(limits());
    let request = KpiRequest {
        ids: vec!["service_level".into(), "asa".into()],
        by: vec!["queue_id".into()],
        ..KpiRequest::default()
    };
    let wanted = door.world.engine.kpi(&request).await.expect("an answer");
    let answer = door
        .service
        .kpi(&caller("a"), request, None)
        .await
        .expect("an answer");
    assert_eq!(answer.rows, wanted.rows);
    let unknown = KpiRequest {
        ids: vec!["servce_level".into()],
        ..KpiRequest::default()
    };
    let error = door
        .service
        .kpi(&caller("a"), unknown, None)
        .await
        .expect_err("no KPI");
    assert_eq!(error.kind, ErrorKind::NotFound, "{error}");
    door.quiet().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_waits_for_a_sequence_sees_it_as_soon_as_it_is_there() {
    let door = Arc::new(door(limits()));
    let early = door.service.wait_for_seq(9, Duration::from_millis(1)).await;
    assert_eq!(early.expect_err("not there yet").kind, ErrorKind::Deadline);
    let waits = tokio::spawn({
        let service = door.service.clone();
        async move { service.wait_for_seq(9, LONG).await }
    });
    let added = FactRows {
        QueueVisit: vec![visit(9_000)],
        ..FactRows::default()
    };
    let edit = FactEdit {
        added,
        ..FactEdit::default()
    };
    let commit = Commit {
        edit: &edit,
        quarantine: &[],
        checkpoint: Some(&[]),
        arrived_seq: Some(9),
        mode: Mode::Memory,
        recorded_at: DAY_0,
    };
    door.world.store.commit(commit).expect("rows that fit");
    waits.await.expect("no panic").expect("it is there");
    let count = "SELECT count(*) FROM facts.queue_visits";
    assert_eq!(door.number(count, &[]).await.expect("a number"), 3_001);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_service_that_stops_ends_its_queries_and_takes_no_more() {
    let door = door(limits());
    let mut rows = door.start(ENDLESS, RunOptions::default()).await;
    door.service.stop();
    assert_eq!(error_of(&mut rows).await.kind, ErrorKind::Stopped);
    let refused = door.plan("SELECT 1").await.err().expect("it has stopped");
    assert_eq!(refused.kind, ErrorKind::Stopped);
    door.quiet().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_planned_statement_keeps_its_version_and_can_be_run_again() {
    let door = door(limits());
    let planned = door
        .plan("SELECT count(*) FROM facts.queue_visits")
        .await
        .expect("a plan");
    let more = FactRows {
        QueueVisit: vec![visit(9_001)],
        ..FactRows::default()
    };
    crate::data::commit(&door.world.store, more, Mode::Memory);
    for _ in 0..2 {
        let rows = door.service.run(&planned, &[], RunOptions::default()).await;
        let batches = all(&mut rows.expect("it runs")).await.expect("rows");
        assert_eq!(
            batches[0].column(0).as_primitive::<Int64Type>().value(0),
            3_000
        );
    }
}
