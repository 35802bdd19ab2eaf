//! Runs `sql/tests/**/*.slt`, each over rows in memory, in Parquet, and half in each.
//!
//! `CALLGAUGE_SLT=rewrite` writes what the engine answers (over memory) into the files instead;
//! read the difference before committing it. Queries that share a label must answer the same:
//! so a KPI query stands beside SQL written by hand.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::{DataType, Float64Type, TimestampMicrosecondType};
use arrow::util::display::{ArrayFormatter, FormatOptions};
use async_trait::async_trait;
use engine::{EngineError, QueryResult, SessionSettings};
use events::UtcMicros;
use sqllogictest::{
    AsyncDB, DBOutput, DefaultColumnType, MakeConnection, QueryExpect, Record, Runner,
    default_normalizer, default_validator, parse_file,
};

use crate::data::{Form, World, world};

struct Connection {
    world: Arc<World>,
    session: SessionSettings,
}

#[async_trait]
impl AsyncDB for Connection {
    type Error = EngineError;
    type ColumnType = DefaultColumnType;

    async fn run(&mut self, sql: &str) -> Result<DBOutput<DefaultColumnType>, EngineError> {
        let result = self.world.engine.sql_in(sql, &mut self.session).await?;
        if result.schema.fields().is_empty() {
            return Ok(DBOutput::StatementComplete(0));
        }
        let types = result
            .schema
            .fields()
            .iter()
            .map(|f| column_type(f.data_type()))
            .collect();
        Ok(DBOutput::Rows {
            types,
            rows: text_rows(&result),
        })
    }

    async fn shutdown(&mut self) {}
}

fn column_type(of: &DataType) -> DefaultColumnType {
    match of {
        DataType::Int64 => DefaultColumnType::Integer,
        DataType::Float64 => DefaultColumnType::FloatingPoint,
        _ => DefaultColumnType::Text,
    }
}

/// The rows as text: NULL, floats so that they read back as themselves, times as RFC 3339.
pub fn text_rows(result: &QueryResult) -> Vec<Vec<String>> {
    let rows = |batch: &RecordBatch| -> Vec<Vec<String>> {
        let cells = |row| {
            batch
                .columns()
                .iter()
                .map(|c| cell(c.as_ref(), row))
                .collect()
        };
        (0..batch.num_rows()).map(cells).collect()
    };
    result.batches.iter().flat_map(rows).collect()
}

fn cell(column: &dyn Array, row: usize) -> String {
    if column.is_null(row) {
        return "NULL".to_owned();
    }
    match column.data_type() {
        DataType::Float64 => column.as_primitive::<Float64Type>().value(row).to_string(),
        DataType::Timestamp(_, _) => {
            UtcMicros(column.as_primitive::<TimestampMicrosecondType>().value(row)).to_string()
        }
        DataType::Utf8 if column.as_string::<i32>().value(row).is_empty() => "(empty)".to_owned(),
        _ => ArrayFormatter::try_new(column, &FormatOptions::default())
            .map_or_else(|e| e.to_string(), |f| f.value(row).to_string()),
    }
}

/// Every file of SQL tests.
pub fn files() -> Vec<PathBuf> {
    fn walk(folder: &Path, found: &mut Vec<PathBuf>) {
        for entry in std::fs::read_dir(folder)
            .expect("a folder of tests")
            .flatten()
        {
            let path = entry.path();
            if path.is_dir() {
                walk(&path, found);
            } else if path.extension().is_some_and(|e| e == "slt") {
                found.push(path);
            }
        }
    }
    let mut found = Vec::new();
    walk(
        &Path::new(env!("CARGO_MANIFEST_DIR")).join("../../sql/tests"),
        &mut found,
    );
    found.sort();
    found
}

async fn run(form: Form) {
    let world = Arc::new(world(form));
    for file in files() {
        let mut runner = runner(&world);
        if let Err(error) = runner.run_file_async(&file).await {
            panic!("{form:?}: {}", error.display(false));
        }
    }
}

fn runner(
    world: &Arc<World>,
) -> Runner<Connection, impl MakeConnection<Conn = Connection> + use<>> {
    let world = Arc::clone(world);
    Runner::new(move || {
        let world = Arc::clone(&world);
        let session = SessionSettings::default();
        async move { Ok(Connection { world, session }) }
    })
}

async fn rewrite() {
    let world = Arc::new(world(Form::Memory));
    for file in files() {
        runner(&world)
            .update_test_file(&file, " ", default_validator, default_normalizer, |_, _| {
                true
            })
            .await
            .expect("a file that can be rewritten");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sql_files_hold_over_rows_in_memory() {
    if std::env::var("CALLGAUGE_SLT").is_ok_and(|v| v == "rewrite") {
        rewrite().await;
    }
    run(Form::Memory).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sql_files_hold_over_parquet() {
    run(Form::Parquet).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sql_files_hold_over_rows_half_in_memory_and_half_in_parquet() {
    run(Form::Mixed).await;
}

#[test]
fn queries_of_one_label_expect_the_same() {
    let mut labels = 0;
    for file in files() {
        let records = parse_file::<DefaultColumnType>(&file).expect("a readable file");
        let mut by_label: HashMap<String, Vec<(String, Vec<String>)>> = HashMap::new();
        for record in records {
            let Record::Query { sql, expected, .. } = record else {
                continue;
            };
            if let QueryExpect::Results {
                label: Some(label),
                results,
                ..
            } = expected
            {
                by_label.entry(label).or_default().push((sql, results));
            }
        }
        for (label, queries) in by_label {
            assert!(
                queries.len() > 1,
                "{label} stands alone: did its partner fail?"
            );
            let (first, expected) = &queries[0];
            for (sql, results) in &queries[1..] {
                assert_eq!(expected, results, "{label}:\n{first}\n\n{sql}");
            }
            labels += 1;
        }
    }
    assert!(labels >= 14, "only {labels} queries have a partner");
}
