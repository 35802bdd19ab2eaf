//! The shipped definitions, built into the program: one line a file.

use crate::read::SourceFile;

/// Name and text of every file under `sql/kpis`, in the order of the catalogue.
const FILES: &[(&str, &str)] = &[
    (
        "sql/kpis/operations/service_level.yml",
        include_str!("../../../sql/kpis/operations/service_level.yml"),
    ),
    (
        "sql/kpis/operations/abandonment.yml",
        include_str!("../../../sql/kpis/operations/abandonment.yml"),
    ),
    (
        "sql/kpis/operations/volume.yml",
        include_str!("../../../sql/kpis/operations/volume.yml"),
    ),
    (
        "sql/kpis/operations/wait.yml",
        include_str!("../../../sql/kpis/operations/wait.yml"),
    ),
    (
        "sql/kpis/operations/flow.yml",
        include_str!("../../../sql/kpis/operations/flow.yml"),
    ),
    (
        "sql/kpis/operations/contacts.yml",
        include_str!("../../../sql/kpis/operations/contacts.yml"),
    ),
    (
        "sql/kpis/operations/handling.yml",
        include_str!("../../../sql/kpis/operations/handling.yml"),
    ),
    (
        "sql/kpis/operations/transfer.yml",
        include_str!("../../../sql/kpis/operations/transfer.yml"),
    ),
    (
        "sql/kpis/operations/orders.yml",
        include_str!("../../../sql/kpis/operations/orders.yml"),
    ),
    (
        "sql/kpis/operations/sales.yml",
        include_str!("../../../sql/kpis/operations/sales.yml"),
    ),
    (
        "sql/kpis/customer/fcr.yml",
        include_str!("../../../sql/kpis/customer/fcr.yml"),
    ),
    (
        "sql/kpis/customer/resolution.yml",
        include_str!("../../../sql/kpis/customer/resolution.yml"),
    ),
    (
        "sql/kpis/customer/satisfaction.yml",
        include_str!("../../../sql/kpis/customer/satisfaction.yml"),
    ),
    (
        "sql/kpis/customer/nps.yml",
        include_str!("../../../sql/kpis/customer/nps.yml"),
    ),
    (
        "sql/kpis/customer/effort.yml",
        include_str!("../../../sql/kpis/customer/effort.yml"),
    ),
    (
        "sql/kpis/financial/cost.yml",
        include_str!("../../../sql/kpis/financial/cost.yml"),
    ),
    (
        "sql/kpis/financial/cost_per_order.yml",
        include_str!("../../../sql/kpis/financial/cost_per_order.yml"),
    ),
    (
        "sql/kpis/customer/cases.yml",
        include_str!("../../../sql/kpis/customer/cases.yml"),
    ),
    (
        "sql/kpis/customer/complaints.yml",
        include_str!("../../../sql/kpis/customer/complaints.yml"),
    ),
    (
        "sql/kpis/customer/loyalty.yml",
        include_str!("../../../sql/kpis/customer/loyalty.yml"),
    ),
    (
        "sql/kpis/customer/retention.yml",
        include_str!("../../../sql/kpis/customer/retention.yml"),
    ),
    (
        "sql/kpis/operations/self_service.yml",
        include_str!("../../../sql/kpis/operations/self_service.yml"),
    ),
    (
        "sql/kpis/operations/drivers.yml",
        include_str!("../../../sql/kpis/operations/drivers.yml"),
    ),
    (
        "sql/kpis/operations/order_contacts.yml",
        include_str!("../../../sql/kpis/operations/order_contacts.yml"),
    ),
    (
        "sql/kpis/operations/order_flow.yml",
        include_str!("../../../sql/kpis/operations/order_flow.yml"),
    ),
    (
        "sql/kpis/operations/deflection.yml",
        include_str!("../../../sql/kpis/operations/deflection.yml"),
    ),
    (
        "sql/kpis/operations/open.yml",
        include_str!("../../../sql/kpis/operations/open.yml"),
    ),
    (
        "sql/kpis/operations/peaks.yml",
        include_str!("../../../sql/kpis/operations/peaks.yml"),
    ),
    (
        "sql/kpis/workforce/slices.yml",
        include_str!("../../../sql/kpis/workforce/slices.yml"),
    ),
    (
        "sql/kpis/workforce/effective.yml",
        include_str!("../../../sql/kpis/workforce/effective.yml"),
    ),
    (
        "sql/kpis/workforce/schedules.yml",
        include_str!("../../../sql/kpis/workforce/schedules.yml"),
    ),
    (
        "sql/kpis/workforce/forecasts.yml",
        include_str!("../../../sql/kpis/workforce/forecasts.yml"),
    ),
    (
        "sql/kpis/workforce/staffing.yml",
        include_str!("../../../sql/kpis/workforce/staffing.yml"),
    ),
    (
        "sql/kpis/workforce/employment.yml",
        include_str!("../../../sql/kpis/workforce/employment.yml"),
    ),
    (
        "sql/kpis/quality/evaluations.yml",
        include_str!("../../../sql/kpis/quality/evaluations.yml"),
    ),
    (
        "sql/kpis/financial/cost_per_minute.yml",
        include_str!("../../../sql/kpis/financial/cost_per_minute.yml"),
    ),
    (
        "sql/kpis/financial/customer_cost.yml",
        include_str!("../../../sql/kpis/financial/customer_cost.yml"),
    ),
    (
        "sql/kpis/financial/contact_cost.yml",
        include_str!("../../../sql/kpis/financial/contact_cost.yml"),
    ),
];

const TARGETS: &[(&str, &str)] = &[("sql/targets.yml", include_str!("../../../sql/targets.yml"))];

const ALERTS: &[(&str, &str)] = &[("sql/alerts.yml", include_str!("../../../sql/alerts.yml"))];

fn files(table: &[(&str, &str)]) -> Vec<SourceFile> {
    let file = |(name, text): &(&str, &str)| SourceFile {
        name: (*name).to_owned(),
        text: (*text).to_owned(),
    };
    table.iter().map(file).collect()
}

/// The shipped definition files: the first layer of [`crate::Catalogue::load`].
pub fn builtin_files() -> Vec<SourceFile> {
    files(FILES)
}

/// The shipped alert rules: what [`crate::alert::AlertRules::builtin`] reads.
pub(crate) fn builtin_alerts() -> Vec<SourceFile> {
    files(ALERTS)
}

/// The shipped targets file: the first layer of [`crate::Targets::load`].
pub fn builtin_targets() -> Vec<SourceFile> {
    files(TARGETS)
}
