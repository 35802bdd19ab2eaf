//! Tests of the catalogue through its public face.

mod builtin;
mod layers;
mod parts;
mod refusals;
mod targets;

use facts::table::ColumnType;
use facts::{FactRows, table::Table};
use kpi::{Catalogue, ColumnKind, ColumnSpec, ModelSpec};

/// The shipped catalogue, read once.
pub fn catalogue() -> &'static Catalogue {
    static SHIPPED: std::sync::OnceLock<Catalogue> = std::sync::OnceLock::new();
    SHIPPED.get_or_init(|| {
        Catalogue::builtin(&models()).unwrap_or_else(|problems| {
            let lines: Vec<_> = problems.iter().map(ToString::to_string).collect();
            panic!("{}", lines.join("\n"))
        })
    })
}

/// The models as the engine knows them: the fact tables and `repeat_links`.
pub fn models() -> Vec<ModelSpec> {
    let mut models: Vec<ModelSpec> = FactRows::TABLES.iter().copied().map(model).collect();
    models.push(repeat_links());
    models
}

fn model(table: &Table) -> ModelSpec {
    let column = |column: &facts::table::Column| ColumnSpec {
        name: column.name.to_owned(),
        kind: match column.kind {
            ColumnType::Text => ColumnKind::Text,
            ColumnType::Int => ColumnKind::Int,
            ColumnType::Bool => ColumnKind::Bool,
            ColumnType::Time => ColumnKind::Time,
            ColumnType::Decimal => ColumnKind::Decimal,
            ColumnType::Texts => ColumnKind::Texts,
        },
        nullable: column.nullable,
    };
    ModelSpec {
        name: table.name.to_owned(),
        columns: table.columns.iter().map(column).collect(),
    }
}

fn repeat_links() -> ModelSpec {
    use ColumnKind::{Bool, Int, Text, Time};
    let columns = [
        ("tenant_id", Text, false),
        ("is_test", Bool, false),
        ("interaction_id", Text, false),
        ("root_id", Text, false),
        ("scope", Text, false),
        ("contact_at", Time, false),
        ("customer_id", Text, false),
        ("queue_id", Text, true),
        ("agent_id", Text, true),
        ("team_id", Text, true),
        ("channel", Text, false),
        ("reason_code", Text, true),
        ("not_resolvable_first", Bool, false),
        ("prev_interaction_id", Text, true),
        ("prev_gap_ms", Int, true),
        ("next_interaction_id", Text, true),
        ("next_gap_ms", Int, true),
    ];
    let column = |(name, kind, nullable): (&str, ColumnKind, bool)| ColumnSpec {
        name: name.to_owned(),
        kind,
        nullable,
    };
    let columns = columns.into_iter().map(column).collect();
    ModelSpec {
        name: "repeat_links".to_owned(),
        columns,
    }
}
