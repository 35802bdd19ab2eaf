//! What can be read, with the columns that clients will see.

use std::collections::HashMap;

use arrow::datatypes::SchemaRef;
use datafusion::catalog::information_schema::{INFORMATION_SCHEMA, InformationSchemaProvider};
use datafusion::catalog::{CatalogProvider, SchemaProvider};
use datafusion::execution::SessionState;
use std::sync::Arc;

use super::QueryError;
use crate::session::{CATALOGUE, SCHEMAS, SessionSettings, Snapshot};
use crate::wire::wire_schema;

/// A table or view.
#[derive(Clone, Debug, PartialEq)]
pub struct Relation {
    /// Its schema: `kpi`, `facts`, `events` or `information_schema`.
    pub schema: String,
    /// Its name.
    pub name: String,
    /// What tools take it for.
    pub kind: RelationKind,
    /// Its columns in wire types, as `SELECT *` gives them, where a plan may say of more of them
    /// that they can be NULL; the metadata of KPI columns tell `title`, `unit`, `formula`, `kpi`,
    /// those of a view what it holds as `comment`.
    pub columns: SchemaRef,
}

/// What tools take a relation for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RelationKind {
    /// A table; KPI views too, or BI tools would not see them.
    Table,
    /// A table about tables.
    System,
}

/// All relations, by schema and name. `raw`: with the lines that were refused.
pub(super) async fn relations(snapshot: &Snapshot, raw: bool) -> Result<Vec<Relation>, QueryError> {
    let state = snapshot.state_in(&SessionSettings::default(), raw);
    let mut all = Vec::new();
    for schema in SCHEMAS {
        if let Some(provider) = provider(&state, schema) {
            add(&mut all, schema, RelationKind::Table, provider).await?;
        }
    }
    let about = InformationSchemaProvider::new(Arc::clone(state.catalog_list()));
    add(
        &mut all,
        INFORMATION_SCHEMA,
        RelationKind::System,
        Arc::new(about),
    )
    .await?;
    all.sort_by(|a, b| (&a.schema, &a.name).cmp(&(&b.schema, &b.name)));
    Ok(all)
}

fn provider(state: &SessionState, schema: &str) -> Option<Arc<dyn SchemaProvider>> {
    let catalogue: Arc<dyn CatalogProvider> = state.catalog_list().catalog(CATALOGUE)?;
    catalogue.schema(schema)
}

async fn add(
    all: &mut Vec<Relation>,
    schema: &str,
    kind: RelationKind,
    provider: Arc<dyn SchemaProvider>,
) -> Result<(), QueryError> {
    let names = provider.table_names();
    // The guard shows nobody how the engine is set.
    for name in names.into_iter().filter(|name| name != "df_settings") {
        let Some(table) = provider.table(&name).await? else {
            continue;
        };
        all.push(Relation {
            schema: schema.to_owned(),
            columns: wire_schema(&table.schema(), about(schema, &name)),
            kind,
            name,
        });
    }
    Ok(())
}

fn about(schema: &str, name: &str) -> HashMap<String, String> {
    let comment = comment(schema, name).map(|text| ("comment".to_owned(), text));
    comment.into_iter().collect()
}

/// Of the views, whose names say little; facts are in `docs/events.md`.
fn comment(schema: &str, name: &str) -> Option<String> {
    let of = |model: &str, period: &str| {
        Some(format!("KPIs of {model} by their dimensions and {period}"))
    };
    match (schema, name) {
        ("kpi", "catalog") => Some("One row a KPI: titles, formula, unit, target".to_owned()),
        ("kpi", "parts") => Some("One row a part of a KPI".to_owned()),
        ("kpi", "lineage") => Some("From KPIs to columns of facts".to_owned()),
        ("kpi", "targets") => Some("Targets by dimension and time".to_owned()),
        ("kpi", view) => match view.rsplit_once('_') {
            Some((model, "15m")) => of(model, "quarter of an hour"),
            Some((model, "1h")) => of(model, "hour"),
            Some((model, "1d")) => of(model, "day"),
            _ => Some(format!(
                "Rows of {view} and its KPIs, to be read with MEASURE"
            )),
        },
        ("events", "log") => Some("Every event, as it came".to_owned()),
        _ => None,
    }
}
