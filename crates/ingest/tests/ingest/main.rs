//! The way of events from a file into the store, seen from outside.

mod damage;
#[path = "../../../store/tests/it/disk.rs"]
#[allow(
    dead_code,
    clippy::unwrap_used,
    reason = "shared with the store's own tests"
)]
mod disk;
mod files;
mod hooked;
mod kill;
mod live;
mod live_kill;
mod power;
mod rejects;
mod retention;
mod script;
mod trouble;
mod window;
mod world;

use std::{collections::BTreeMap, path::Path, time::Duration};

use arrow::{
    array::RecordBatch,
    util::display::{ArrayFormatter, FormatOptions},
};
use events::{Intake, UtcMicros};
use ingest::{
    IdentityKey, ImportReport, ImportSettings, Importer, formats::Inputs, ndjson::Ndjson,
    pipeline::Lines,
};
use store::Store;

/// When every test import is received: after all that the simulated world does.
fn received() -> UtcMicros {
    UtcMicros::parse_rfc3339("2026-06-01T00:00:00Z").expect("a valid time")
}

fn settings(batch_events: usize) -> ImportSettings {
    let key = IdentityKey::new([1; 32]);
    ImportSettings {
        batch_events,
        ..ImportSettings::new(received(), key)
    }
}

fn intake() -> Intake {
    Intake {
        tenant_id: "default".into(),
        default_source: Some("test".into()),
        recorded_at: received(),
    }
}

/// Time does not matter here.
fn no_time() -> Duration {
    Duration::ZERO
}

fn import(store: &Store, batch_events: usize, lines: &mut dyn Lines) -> ImportReport {
    let mut importer = Importer::new(store, settings(batch_events)).expect("a readable store");
    importer
        .run(lines, &no_time, &mut |_| {})
        .expect("the import runs")
}

/// Imports a text as if it were the file `calls.ndjson`.
fn import_text(store: &Store, batch_events: usize, text: impl Into<Vec<u8>>) -> ImportReport {
    let stream = std::io::Cursor::new(text.into());
    let inputs = Inputs::stream(Some("calls.ndjson".into()), stream);
    import(store, batch_events, &mut Ndjson::new(inputs, intake()))
}

fn import_file(store: &Store, batch_events: usize, path: &Path) -> ImportReport {
    let inputs = Inputs::files(vec![path.to_owned()]);
    import(store, batch_events, &mut Ndjson::new(inputs, intake()))
}

/// Every row of every table as text, sorted; without the columns `left_out`.
fn rows(store: &Store, left_out: &[&str]) -> BTreeMap<String, Vec<String>> {
    rows_but(store, left_out, &[])
}

/// As [`rows`], without some tables.
fn rows_but(
    store: &Store,
    left_out: &[&str],
    tables_left_out: &[String],
) -> BTreeMap<String, Vec<String>> {
    let version = store.version();
    let names: Vec<String> = version
        .tables()
        .map(|table| table.name.to_string())
        .collect();
    names
        .into_iter()
        .filter(|name| !tables_left_out.contains(name))
        .map(|name| {
            let batches = store.read(&version, &name).expect("a readable table");
            let mut rows: Vec<String> = batches.iter().flat_map(|b| texts(b, left_out)).collect();
            rows.sort_unstable();
            (name, rows)
        })
        .filter(|(_, rows)| !rows.is_empty())
        .collect()
}

fn texts(batch: &RecordBatch, left_out: &[&str]) -> Vec<String> {
    let options = FormatOptions::default().with_null("NULL");
    let schema = batch.schema();
    let columns: Vec<(&str, ArrayFormatter<'_>)> = schema
        .fields()
        .iter()
        .zip(batch.columns())
        .filter(|(field, _)| !left_out.contains(&field.name().as_str()))
        .map(|(field, column)| {
            let formatter = ArrayFormatter::try_new(column, &options).expect("a known type");
            (field.name().as_str(), formatter)
        })
        .collect();
    let row = |row| {
        let cells = columns
            .iter()
            .map(|(name, column)| format!("{name}={}", column.value(row)));
        cells.collect::<Vec<_>>().join(" ")
    };
    (0..batch.num_rows()).map(row).collect()
}

/// Columns that tell when something was received, not what happened.
const ARRIVAL: &[&str] = &[
    "_seq",
    "recorded_at",
    "received_at",
    "updated_at",
    "fact_rev",
    "entity",
];

fn assert_same_rows(left: &Store, right: &Store, left_out: &[&str]) {
    let (lefts, rights) = (rows(left, left_out), rows(right, left_out));
    assert_eq!(
        lefts.keys().collect::<Vec<_>>(),
        rights.keys().collect::<Vec<_>>()
    );
    for (table, left) in &lefts {
        let right = &rights[table];
        if left != right {
            let left = left.iter().find(|row| !right.contains(row));
            let right = right.iter().find(|row| !lefts[table].contains(row));
            panic!("table {table} differs, as in\nleft:  {left:?}\nright: {right:?}");
        }
    }
}

fn count(store: &Store, table: &str) -> u64 {
    store
        .version()
        .table(table)
        .map_or(0, store::TableData::rows)
}
