//! Sends `sql/tests/hostile.txt` through the query service: each ends in time and as expected,
//! the process stays small, and between them a plain query gives the right number.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use arrow::array::AsArray;
use arrow::datatypes::Int64Type;
use engine::SessionSettings;
use engine::service::{Caller, QueryError, QueryLimits, QueryService, RunOptions};

use crate::data::{Form, world};
use crate::hostile_list::{Case, cases};

/// How long a query may take that is expected to take too long.
const DEADLINE: Duration = Duration::from_secs(2);
/// How long any other may take.
const PATIENCE: Duration = Duration::from_secs(20);
/// Planning has a limit of its own; the machine may be doing other work too.
const PLANNING: Duration = Duration::from_secs(8);
/// How late an end may come.
const MARGIN: Duration = Duration::from_secs(3);
/// Most that the process may grow.
const GROWTH_BYTES_MAX: u64 = 768 << 20;

fn caller() -> Caller {
    Caller {
        name: "stranger".into(),
        sees_all: false,
        sees_raw: true,
    }
}

/// Reads a result to its end; the first number of it.
async fn ask(
    service: &QueryService,
    sql: &str,
    deadline: Duration,
) -> Result<Option<i64>, QueryError> {
    let session = SessionSettings::default();
    let planned = service.plan(&caller(), sql, &session).await?;
    if planned.set.is_some() {
        return Ok(None);
    }
    let options = RunOptions {
        deadline: Some(deadline),
        ..RunOptions::default()
    };
    let mut result = service.run(&planned, &[], options).await?;
    let mut first = None;
    while let Some(batch) = result.next().await {
        let batch = batch?;
        let column = batch
            .columns()
            .first()
            .and_then(|c| c.as_primitive_opt::<Int64Type>());
        if let Some(column) = column.filter(|c| !c.is_empty()) {
            first = first.or(Some(column.value(0)));
        }
    }
    Ok(first)
}

/// Resident memory of this process.
fn resident_bytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("Linux");
    let line = status
        .lines()
        .find(|l| l.starts_with("VmRSS:"))
        .expect("a line");
    let kib = line
        .split_whitespace()
        .nth(1)
        .and_then(|n| n.parse::<u64>().ok());
    kib.expect("a number") * 1_024
}

/// What is wrong with how a case ended, if anything is.
async fn check(service: &QueryService, case: &Case) -> Option<String> {
    let endless = case.expected.iter().any(|e| e == "deadline");
    let deadline = if endless { DEADLINE } else { PATIENCE };
    let begun = Instant::now();
    let outcome = match ask(service, &case.sql, deadline).await {
        Ok(_) => "answered".to_owned(),
        Err(error) => {
            assert!(
                error.message.lines().count() <= 1,
                "{}: {error:?}",
                case.what
            );
            error.kind.word().to_owned()
        }
    };
    let took = begun.elapsed();
    let control = ask(service, "SELECT count(*) FROM facts.queue_visits", PATIENCE).await;
    if !case.expected.contains(&outcome) {
        return Some(format!("{}: {outcome}, not {:?}", case.what, case.expected));
    }
    if took > deadline + PLANNING + MARGIN {
        return Some(format!("{}: took {took:?}", case.what));
    }
    match control {
        Ok(Some(3_000)) => None,
        other => Some(format!("{}: afterwards a count gives {other:?}", case.what)),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hostile_queries_end_in_time_and_disturb_nobody() {
    let engine = Arc::clone(&world(Form::Memory).engine);
    let limits = QueryLimits {
        memory_bytes: 256 << 20,
        deadline: PATIENCE,
        plan_deadline: PLANNING,
        ..QueryLimits::default()
    };
    let service = QueryService::start(engine, limits).expect("a service");
    let at_first = resident_bytes();
    let (mut wrong, cases) = (Vec::new(), cases());
    for case in &cases {
        wrong.extend(check(&service, case).await);
        let grown = resident_bytes().saturating_sub(at_first);
        if grown > GROWTH_BYTES_MAX {
            wrong.push(format!(
                "{}: the process has grown by {grown} bytes",
                case.what
            ));
        }
    }
    assert!(
        wrong.is_empty(),
        "{} of {}:\n{}",
        wrong.len(),
        cases.len(),
        wrong.join("\n")
    );
    assert!(!Path::new("/tmp/callgauge-hostile.csv").exists());
    assert!(!Path::new("/tmp/callgauge-hostile.parquet").exists());
}
