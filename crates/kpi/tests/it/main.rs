//! Tests of the catalogue through its public face.

mod alerts;
mod builtin;
mod erlang;
mod ids;
mod layers;
mod parts;
mod random;
mod refusals;
mod site_params;
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

/// The models as the engine knows them: the fact tables, with what their SELECT adds, and those
/// that are a SELECT only.
pub fn models() -> Vec<ModelSpec> {
    let mut models: Vec<ModelSpec> = FactRows::TABLES.iter().copied().map(model).collect();
    for (name, from, added) in SELECTS {
        let base = models.iter().find(|m| m.name == *from);
        let mut columns = base.map_or_else(Vec::new, |m| m.columns.clone());
        columns.extend(added.split_whitespace().map(column));
        models.retain(|m| m.name != *name);
        models.push(ModelSpec {
            name: (*name).to_owned(),
            columns,
            made_by: String::new(),
        });
    }
    models
}

/// Name of a model, the table whose columns it has, and the columns that its SELECT adds.
const SELECTS: &[(&str, &str, &str)] = &[
    (
        "repeat_links",
        "",
        "tenant_id:text is_test:bool interaction_id:text root_id:text scope:text contact_at:time
         customer_id:text queue_id:text? agent_id:text? team_id:text? channel:text
         reason_code:text? not_resolvable_first:bool prev_interaction_id:text? prev_gap_ms:int?
         next_interaction_id:text? next_gap_ms:int?",
    ),
    (
        "agent_slices",
        "",
        "tenant_id:text is_test:bool agent_id:text slice_at:time team_id:text? site_id:text?
         tenure_band:text? logged_in_ms:int? paid_ms:int? paid_work_ms:int? available_ms:int? idle_ms:int?
         on_contact_ms:int? ring_ms:int? break_ms:int? meal_ms:int? training_ms:int?
         meeting_ms:int? other_ms:int? productive_other_ms:int? conflict_ms:int?
         contact_sum_ms:int? capacity_ms:int? conc_1_ms:int? conc_2_ms:int? conc_3_ms:int?
         conc_more_ms:int? offers:int? offers_missed:int?",
    ),
    ("leg_shares", "legs", "share_ms:int"),
    ("self_service", "self_service", "next_assisted_gap_ms:int?"),
    (
        "contact_reasons",
        "interactions",
        "reason_class:text? root_cause:text? owner_dept:text? avoidable:bool? sales_valid:bool",
    ),
    (
        "customer_contacts",
        "interactions",
        "customer_segment:text? customer_status:text? churn_gap_ms:int? return_gap_ms:int?",
    ),
    ("orders", "orders", "existing_customer:bool"),
    (
        "order_contacts",
        "orders",
        "contact_no:int contact_gap_ms:int? contact_class:text?",
    ),
    (
        "schedules",
        "",
        "tenant_id:text is_test:bool agent_id:text slice_at:time activity:text on_queue:bool
         productive:bool tracked:bool absence_kind:text? team_id:text? site_id:text?
         tenure_band:text? version:int? scheduled_ms:int? paid_ms:int? on_queue_scheduled_ms:int?
         on_queue_actual_ms:int? adherent_ms:int? absent_ms:int?
         missing_ms:int? shrink_ms:int?",
    ),
    (
        "cases",
        "cases",
        "first_solve_business_ms:int? full_solve_business_ms:int? close_business_ms:int?",
    ),
    ("callbacks", "callbacks", "business_ms:int?"),
    (
        "business_calendars",
        "",
        "tenant_id:text is_test:bool calendar:text valid_from:time? opening:text?",
    ),
    (
        "open_snapshots",
        "",
        "tenant_id:text is_test:bool kind:text queue_id:text? channel:text? slice_at:time as_of:time?
         series:text open_count:int? oldest_since:time? oldest_ms:int? open_ms:int?",
    ),
    (
        "complaint_links",
        "",
        "tenant_id:text source:text is_test:bool interaction_id:text root_id:text complaint_at:time
         customer_id:text? channel:text direction:text reason_code:text? first_queue_id:text?
         first_agent_id:text? first_team_id:text? prev_interaction_id:text? prev_gap_ms:int?",
    ),
    (
        "customer_months",
        "",
        "tenant_id:text source:text? is_test:bool customer_id:text month_at:time? month_ends_at:time?
         segment:text? active_start:bool active_end:bool joined:bool joined_at:time? contacted:bool
         contacts:int recurring_start:decimal? recurring_end:decimal? currency:text?",
    ),
    (
        "headcount",
        "",
        "tenant_id:text source:text? is_test:bool agent_id:text day_at:time? day_ends_at:time?
         team_id:text? site_id:text? tenure_band:text? tenure_days:int? employed:bool hired:bool?
         left_company:bool? voluntary:bool? fte:decimal? skills:texts? skills_required:texts?",
    ),
    (
        "agent_skills",
        "",
        "tenant_id:text source:text? is_test:bool agent_id:text day_at:time? skill:text? team_id:text?
         site_id:text? tenure_band:text? required:bool? held:bool?",
    ),
    (
        "contact_costs",
        "",
        "tenant_id:text source:text? is_test:bool day_at:time day_ends_at:time? pool:text purpose:text
         cost_site_id:text? cost_queue_id:text? cost_channel:text? contact_no:int interaction_id:text?
         share_ms:int amount:decimal? currency:text started_at:time? channel:text? direction:text?
         entry_point:text? language:text? first_queue_id:text? first_team_id:text? reason_code:text?
         reason_class:text? root_cause:text? owner_dept:text? avoidable:bool?",
    ),
    (
        "forecasts",
        "forecasts",
        "actual_offered:int abs_error:int is_latest:bool",
    ),
];

/// A column written as `name:kind`, with `?` if it may be NULL.
fn column(text: &str) -> ColumnSpec {
    let (name, kind) = text.split_once(':').expect("name:kind");
    let kind = match kind.trim_end_matches('?') {
        "text" => ColumnKind::Text,
        "int" => ColumnKind::Int,
        "bool" => ColumnKind::Bool,
        "texts" => ColumnKind::Texts,
        "decimal" => ColumnKind::Decimal,
        "time" => ColumnKind::Time,
        other => panic!("{name} is of no kind: {other}"),
    };
    ColumnSpec {
        name: name.to_owned(),
        kind,
        nullable: text.ends_with('?'),
    }
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
        made_by: String::new(),
    }
}
