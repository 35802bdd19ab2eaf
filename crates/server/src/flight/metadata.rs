//! What the server tells about itself and its tables: every command whose answer is not a query's.
//!
//! Filters are applied here and not by the builders of `arrow-flight`: theirs take a pattern for a
//! regular expression, know one spelling of a table's type, and sort by what was filtered.

mod relations;
mod server_info;
mod types;

use std::sync::Arc;

use arrow::{
    array::{RecordBatch, StringArray},
    datatypes::{DataType, Field, Schema, SchemaRef},
};
use arrow_flight::sql::{
    Command, CommandGetDbSchemas, CommandGetTableTypes, CommandGetTables,
    metadata::{
        GetDbSchemasBuilder, GetTablesBuilder, SqlInfoDataBuilder, XdbcTypeInfoDataBuilder,
    },
};
use engine::service::Relation;

pub(super) use self::relations::{Kept, table_schema};
pub(super) use self::server_info::About;
use crate::error::ApiError;

/// The one catalogue.
pub(super) const CATALOGUE: &str = "callgauge";

/// The columns of the answer; nothing for a command that is answered elsewhere.
pub(super) fn schema(command: &Command) -> Option<SchemaRef> {
    Some(match command {
        Command::CommandGetCatalogs(_) => catalogs_schema(),
        Command::CommandGetDbSchemas(_) => {
            GetDbSchemasBuilder::new(None::<String>, None::<String>).schema()
        }
        Command::CommandGetTables(command) => tables_builder(command).schema(),
        Command::CommandGetTableTypes(_) => CommandGetTableTypes {}.into_builder().schema(),
        Command::CommandGetSqlInfo(_) => Arc::new(SqlInfoDataBuilder::schema().clone()),
        Command::CommandGetXdbcTypeInfo(_) => XdbcTypeInfoDataBuilder::new().schema(),
        Command::CommandGetPrimaryKeys(_) => primary_keys_schema(),
        Command::CommandGetExportedKeys(_)
        | Command::CommandGetImportedKeys(_)
        | Command::CommandGetCrossReference(_) => foreign_keys_schema(),
        _ => return None,
    })
}

/// Does the answer need the list of relations?
pub(super) fn needs_relations(command: &Command) -> bool {
    matches!(
        command,
        Command::CommandGetTables(_) | Command::CommandGetDbSchemas(_)
    )
}

/// The rows; nothing for a command that is answered elsewhere. `relations` are those that the
/// caller may read.
pub(super) fn answer(
    command: &Command,
    relations: &[Relation],
    about: &About<'_>,
) -> Option<Result<RecordBatch, ApiError>> {
    let answer = match command {
        Command::CommandGetCatalogs(_) => catalogs(),
        Command::CommandGetDbSchemas(command) => db_schemas(command, relations),
        Command::CommandGetTables(command) => tables(command, relations),
        Command::CommandGetTableTypes(command) => table_types(*command),
        Command::CommandGetSqlInfo(command) => server_info::answer(command, about),
        Command::CommandGetXdbcTypeInfo(command) => types::answer(*command),
        other => Ok(RecordBatch::new_empty(schema(other)?)),
    };
    Some(answer.map_err(|error| {
        tracing::error!(%error, "an answer about the server could not be made");
        ApiError::internal()
    }))
}

type Made = Result<RecordBatch, arrow_flight::error::FlightError>;

/// The builder of `arrow-flight` lets the name be null, which none is.
fn catalogs_schema() -> SchemaRef {
    Arc::new(Schema::new(vec![Field::new(
        "catalog_name",
        DataType::Utf8,
        false,
    )]))
}

fn catalogs() -> Made {
    let names = StringArray::from(vec![CATALOGUE]);
    Ok(RecordBatch::try_new(
        catalogs_schema(),
        vec![Arc::new(names)],
    )?)
}

fn db_schemas(command: &CommandGetDbSchemas, relations: &[Relation]) -> Made {
    let kept = Kept::schemas(
        relations,
        command.catalog.as_deref(),
        command.db_schema_filter_pattern.as_deref(),
    );
    let mut builder = GetDbSchemasBuilder::new(None::<String>, None::<String>);
    for schema in kept {
        builder.append(CATALOGUE, schema);
    }
    builder.build()
}

fn tables_builder(command: &CommandGetTables) -> GetTablesBuilder {
    GetTablesBuilder::new(
        None::<String>,
        None::<String>,
        None::<String>,
        [""; 0],
        command.include_schema,
    )
}

fn tables(command: &CommandGetTables, relations: &[Relation]) -> Made {
    let mut builder = tables_builder(command);
    for (relation, table_type) in Kept::tables(relations, command) {
        let schema = match command.include_schema {
            true => table_schema(relation),
            false => Schema::empty(),
        };
        builder.append(
            CATALOGUE,
            &relation.schema,
            &relation.name,
            table_type,
            &schema,
        )?;
    }
    builder.build()
}

fn table_types(command: CommandGetTableTypes) -> Made {
    let mut builder = command.into_builder();
    for table_type in relations::TABLE_TYPES {
        builder.append(table_type);
    }
    builder.build()
}

/// No relation has a key that a client could use.
fn primary_keys_schema() -> SchemaRef {
    Arc::new(Schema::new(vec![
        text("catalog_name", true),
        text("db_schema_name", true),
        text("table_name", false),
        text("column_name", false),
        text("key_name", true),
        Field::new("key_sequence", DataType::Int32, false),
    ]))
}

fn foreign_keys_schema() -> SchemaRef {
    Arc::new(Schema::new(vec![
        text("pk_catalog_name", true),
        text("pk_db_schema_name", true),
        text("pk_table_name", false),
        text("pk_column_name", false),
        text("fk_catalog_name", true),
        text("fk_db_schema_name", true),
        text("fk_table_name", false),
        text("fk_column_name", false),
        Field::new("key_sequence", DataType::Int32, false),
        text("fk_key_name", true),
        text("pk_key_name", true),
        Field::new("update_rule", DataType::UInt8, false),
        Field::new("delete_rule", DataType::UInt8, false),
    ]))
}

fn text(name: &str, nullable: bool) -> Field {
    Field::new(name, DataType::Utf8, nullable)
}
