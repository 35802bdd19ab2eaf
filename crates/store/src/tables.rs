//! The stored tables: columns, key, time column and order on disk.

use std::sync::{Arc, OnceLock};

use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use facts::{
    FactRows,
    table::{ColumnType, Table},
};

/// Name of the table of events.
pub const LOG: &str = "log";
/// Name of the table of rejected lines.
pub const QUARANTINE: &str = "quarantine";
/// Column with the sequence of the commit that wrote a row; every table has it, last.
pub const SEQ: &str = "_seq";
/// Column of the log that tells a repeat of an event from a conflict.
pub const CONTENT_HASH: &str = "_content_hash";

/// Fields of `data` that have a column of their own in the log.
pub(crate) const ID_COLUMNS: [&str; 7] = [
    "interaction_id",
    "visit_id",
    "leg_id",
    "agent_id",
    "queue_id",
    "customer_id",
    "order_id",
];

/// One stored table.
#[derive(Debug)]
pub(crate) struct TableSpec {
    pub name: &'static str,
    pub schema: SchemaRef,
    /// Columns that identify a row within a tenant; of the log: within tenant and source.
    pub key: Vec<&'static str>,
    pub time: &'static str,
    /// Order of the rows in a file.
    pub sort: Vec<&'static str>,
}

/// Every stored table: the fact tables, the log, the quarantine.
pub(crate) fn all() -> &'static [TableSpec] {
    static ALL: OnceLock<Vec<TableSpec>> = OnceLock::new();
    ALL.get_or_init(|| {
        let facts = FactRows::TABLES.iter().map(|table| fact_table(table));
        facts.chain([log_table(), quarantine_table()]).collect()
    })
}

pub(crate) fn get(name: &str) -> Option<&'static TableSpec> {
    all().iter().find(|t| t.name == name)
}

/// As [`get`], for a name that this program wrote itself.
pub(crate) fn known(name: &str) -> &'static TableSpec {
    get(name).expect("only tables of the list are stored")
}

/// Columns of a fact table as it is stored: its own, then [`SEQ`].
pub fn arrow_schema(table: &Table) -> SchemaRef {
    let own = table
        .columns
        .iter()
        .map(|c| Field::new(c.name, arrow_type(c.kind), c.nullable));
    Arc::new(Schema::new(
        own.chain([Field::new(SEQ, DataType::Int64, false)])
            .collect::<Vec<_>>(),
    ))
}

/// Columns of any stored table, also of [`LOG`] and [`QUARANTINE`].
pub fn table_schema(name: &str) -> Option<SchemaRef> {
    get(name).map(|t| Arc::clone(&t.schema))
}

/// UTC microseconds.
pub(crate) fn time_type() -> DataType {
    DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()))
}

fn arrow_type(kind: ColumnType) -> DataType {
    match kind {
        ColumnType::Text => DataType::Utf8,
        ColumnType::Int => DataType::Int64,
        ColumnType::Bool => DataType::Boolean,
        ColumnType::Time => time_type(),
        ColumnType::Decimal => DataType::Decimal128(18, 4),
        ColumnType::Texts => DataType::List(list_item()),
    }
}

/// The element of a list of texts.
pub(crate) fn list_item() -> Arc<Field> {
    Arc::new(Field::new("item", DataType::Utf8, false))
}

fn fact_table(table: &'static Table) -> TableSpec {
    let mut sort = vec!["tenant_id", table.time];
    sort.extend(table.key.iter().filter(|k| **k != table.time));
    TableSpec {
        name: table.name,
        schema: arrow_schema(table),
        key: table.key.to_vec(),
        time: table.time,
        sort,
    }
}

fn log_table() -> TableSpec {
    let text = |name, nullable| Field::new(name, DataType::Utf8, nullable);
    let int = |name, nullable| Field::new(name, DataType::Int64, nullable);
    let mut fields = vec![
        text("tenant_id", false),
        text("source", false),
        text("event_id", false),
        int("source_seq", true),
        text("event_type", false),
        int("schema_version", false),
        Field::new("occurred_at", time_type(), false),
        Field::new("recorded_at", time_type(), false),
        text("correction_of", true),
        text("correction_op", true),
        text("entity", false),
    ];
    fields.extend(ID_COLUMNS.iter().map(|name| text(*name, true)));
    fields.extend([
        text("data", false),
        text("attributes", true),
        int(CONTENT_HASH, false),
        int(SEQ, false),
    ]);
    TableSpec {
        name: LOG,
        schema: Arc::new(Schema::new(fields)),
        key: vec!["source", "event_id"],
        time: "occurred_at",
        sort: vec!["tenant_id", "entity", "occurred_at"],
    }
}

fn quarantine_table() -> TableSpec {
    let text = |name, nullable| Field::new(name, DataType::Utf8, nullable);
    let fields = vec![
        text("tenant_id", false),
        text("source", false),
        text("file", true),
        Field::new("line", DataType::Int64, true),
        Field::new("received_at", time_type(), false),
        text("reason", false),
        text("detail", false),
        text("raw", false),
        text("raw_encoding", false),
        Field::new(SEQ, DataType::Int64, false),
    ];
    TableSpec {
        name: QUARANTINE,
        schema: Arc::new(Schema::new(fields)),
        key: vec![],
        time: "received_at",
        sort: vec!["received_at"],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_table_has_its_sort_and_key_columns_and_ends_in_the_sequence() {
        for table in all() {
            for name in table.sort.iter().chain(&table.key).chain([&table.time]) {
                assert!(
                    table.schema.column_with_name(name).is_some(),
                    "{}.{name}",
                    table.name
                );
            }
            let last = table.schema.fields().last().expect("columns");
            assert_eq!(
                (last.name().as_str(), last.data_type()),
                (SEQ, &DataType::Int64)
            );
        }
    }
}
