//! The shipped files: complete, current, and what they promise.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use kpi::{Additivity, Catalogue, Cell, Kpi, SourceFile, Targets, builtin_files, builtin_targets};

use crate::{catalogue, models};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn kpi<'a>(catalogue: &'a Catalogue, id: &str) -> &'a Kpi {
    catalogue.find(id).unwrap_or_else(|error| panic!("{error}"))
}

/// The core of the catalogue with variants and inputs, as far as the facts of today reach.
const CORE: &str = "
fcr fcr_1d fcr_3d fcr_14d fcr_30d fcr_any_issue fcr_any_attempt fcr_forward fcr_agent_flag
fcr_survey fcr_net repeat_rate repeat_rate_any_issue repeat_rate_forward repeat_customers
csat csat_mean csat_top1 csat_2point csat_by_contact nps ces ces_top3 ces_index ces_net ces_effort
resolution_rate resolution_rate_known
offered offered_net offered_interactions answered answered_event abandoned abandoned_event
short_abandoned answer_rate
service_level service_level_answered_only service_level_all_abandons
service_level_early_abandons_out service_level_early_abandons_met service_level_flow_outs
service_level_flow_outs_all service_level_removed service_level_no_abandons service_level_live
abandon_rate abandon_rate_all abandon_rate_short_in_base abandon_rate_of_offered
abandon_rate_flow_outs abandon_rate_app_queue abandon_rate_silent abandon_rate_interaction
asa asa_event avg_wait avg_wait_abandoned longest_wait longest_wait_answered wait_p50 wait_p90
wait_p95 avg_patience flow_out_rate overflow_rate timeout_rate blocked_rate callback_rate
voicemail_rate contacts contacts_handled assisted agent_requests
handled aht aht_interaction avg_talk avg_hold avg_hold_held_only hold_rate hold_time avg_acw
avg_acw_when_used acw_time talk_time handle_time transfer_rate transfers_per_handle
transfer_rate_blind transfer_rate_external nps_last_per_customer fcr_qa fcr_case fcr_one_touch
orders_placed valid_orders net_orders gross_close_rate net_close_rate valid_order_rate
net_order_rate
cost_total sales_cost media_cost cost_per_contact cost_per_contact_labour cost_per_valid_order
cost_per_valid_order_with_media cost_per_order_placed cost_per_net_order
cost_per_net_order_with_media";

#[test]
fn every_core_kpi_is_there() {
    let catalogue = catalogue();
    let missing: Vec<_> = CORE
        .split_whitespace()
        .filter(|id| catalogue.get(id).is_none())
        .collect();
    assert_eq!(missing, Vec::<&str>::new());
}

#[test]
fn every_shipped_target_fits_the_catalogue() {
    let targets = Targets::builtin(catalogue()).unwrap_or_else(|problems| {
        let lines: Vec<_> = problems.iter().map(ToString::to_string).collect();
        panic!("{}", lines.join("\n"))
    });
    assert!(targets.iter().count() > 0);
}

#[test]
fn every_shipped_kpi_has_three_titles_a_source_and_a_usual_bucket() {
    let catalogue = catalogue();
    let mut titles = BTreeSet::new();
    for kpi in catalogue.iter() {
        assert!(
            kpi.title.zh_cn != kpi.title.en,
            "{} has no zh-CN title",
            kpi.id
        );
        assert!(
            kpi.title.zh_tw != kpi.title.en,
            "{} has no zh-TW title",
            kpi.id
        );
        assert!(!kpi.source.basis.is_empty(), "{} has no source", kpi.id);
        assert!(
            titles.insert(kpi.title.en.clone()),
            "two KPIs are called {}",
            kpi.title.en
        );
        assert!(kpi.description.ends_with('.'), "{} has no sentence", kpi.id);
        // Cost lines name no segment of customers, and customers no site.
        let of_customers = ["acquisition_", "retention_cost"];
        let is_empty = kpi.dimensions.is_empty() && kpi.measured().is_none();
        let is_known = of_customers.iter().any(|name| kpi.id.starts_with(name));
        assert!(!is_empty || is_known, "{} cannot be grouped", kpi.id);
    }
}

#[test]
fn every_definition_file_is_built_in() {
    let built_in: BTreeSet<String> = builtin_files()
        .into_iter()
        .chain(builtin_targets())
        .map(|SourceFile { name, .. }| name)
        .collect();
    let mut on_disk: BTreeSet<String> = ["sql/targets.yml".to_owned()].into();
    for family in std::fs::read_dir(root().join("sql/kpis")).expect("sql/kpis") {
        let family = family.expect("a folder").path();
        for file in std::fs::read_dir(&family).expect("a folder of definitions") {
            let path = file.expect("a file").path();
            let relative = path.strip_prefix(root()).expect("inside the project");
            on_disk.insert(relative.to_string_lossy().into_owned());
        }
    }
    assert_eq!(
        on_disk, built_in,
        "register the file in crates/kpi/src/builtin.rs"
    );
}

#[test]
fn the_schema_of_definition_files_is_current() {
    let path = root().join("docs/kpi.schema.json");
    let text = serde_json::to_string_pretty(&kpi::json_schema()).expect("a schema is JSON") + "\n";
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(&path, &text).expect("docs/kpi.schema.json can be written");
    }
    let written = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        written == text,
        "run `UPDATE=1 cargo test -p kpi schema` to renew {}",
        path.display()
    );
}

#[test]
fn every_kpi_has_a_page_and_all_pages_are_current() {
    let folder = root().join("docs/kpis");
    let catalogue = catalogue();
    let specs = models();
    let page = |kpi: &Kpi| (format!("{}.md", kpi.id), kpi::page(catalogue, kpi, &specs));
    let mut pages: BTreeMap<String, String> = catalogue.iter().map(page).collect();
    pages.insert("README.md".to_owned(), kpi::index(catalogue));
    if std::env::var_os("UPDATE").is_some() {
        let _ = std::fs::remove_dir_all(&folder);
        std::fs::create_dir_all(&folder).expect("docs/kpis can be made");
        for (name, text) in &pages {
            std::fs::write(folder.join(name), text).expect("docs/kpis can be written");
        }
    }
    let files = std::fs::read_dir(&folder).into_iter().flatten();
    let written = files.map(|file| {
        let file = file.expect("a file");
        let text = std::fs::read_to_string(file.path()).expect("a page");
        (file.file_name().to_string_lossy().into_owned(), text)
    });
    let written: BTreeMap<String, String> = written.collect();
    let stale: Vec<&String> = pages
        .keys()
        .chain(written.keys())
        .filter(|name| pages.get(*name) != written.get(*name))
        .collect();
    assert!(
        stale.is_empty(),
        "run `UPDATE=1 cargo nextest run -p kpi`: {stale:?}"
    );
}

#[test]
fn service_level_and_abandonment_share_their_denominator() {
    let catalogue = catalogue();
    let level = kpi(catalogue, "service_level");
    let rate = kpi(catalogue, "abandon_rate");
    assert_eq!(level.part("base"), rate.part("base"));
    assert_eq!(level.filters(), rate.filters());
}

/// What people are asked and what is evaluated is drawn from more; a mean of scores, points of a
/// scale, and what counts everything has no interval of this kind.
#[test]
fn shares_of_samples_are_known_as_such() {
    let sampled: BTreeSet<&str> = catalogue()
        .iter()
        .filter(|kpi| kpi.sample)
        .map(|kpi| kpi.id.as_str())
        .collect();
    let expected = "auto_fail_rate ces_top3 critical_accuracy critical_error_rate \
                    critical_error_rate_business critical_error_rate_by_contact \
                    critical_error_rate_compliance critical_error_rate_customer csat csat_2point \
                    csat_by_contact csat_top1 esat fcr_qa fcr_survey \
                    noncritical_error_rate_contacts resolution_rate_survey";
    assert_eq!(sampled, expected.split_whitespace().collect());
}

#[test]
fn additivity_is_computed_from_the_parts() {
    let catalogue = catalogue();
    let class = |id: &str| kpi(catalogue, id).additivity();
    assert_eq!(class("offered"), Additivity::Additive);
    assert_eq!(class("acw_time"), Additivity::Additive);
    assert_eq!(class("cost_total"), Additivity::Additive);
    assert_eq!(class("service_level"), Additivity::Ratio);
    assert_eq!(class("nps"), Additivity::Ratio);
    assert_eq!(class("longest_wait"), Additivity::Extreme);
    assert_eq!(class("wait_p90"), Additivity::Histogram);
    assert_eq!(class("offered_interactions"), Additivity::Distinct);
    assert_eq!(class("repeat_customers"), Additivity::Distinct);
    assert_eq!(class("waiting_now"), Additivity::SemiAdditive);
    assert_eq!(class("peak_factor"), Additivity::Peak);
    assert_eq!(class("peak_in_queue"), Additivity::Peak);
    assert_eq!(class("cost_per_valid_order"), Additivity::CrossModel);
}

#[test]
fn a_result_carries_its_denominator() {
    let catalogue = catalogue();
    let base = |id: &str| {
        let kpi = kpi(catalogue, id);
        kpi.value.ratio().map(|(a, b)| format!("{a} | {b}"))
    };
    assert_eq!(base("service_level").as_deref(), Some("met | base"));
    assert_eq!(
        base("nps").as_deref(),
        Some("100 * (promoters - detractors) | answers")
    );
    assert_eq!(base("sentiment").as_deref(), Some("total | n"));
    assert_eq!(
        base("cost_per_contact").as_deref(),
        Some("cost_total | contacts_handled")
    );
    assert_eq!(base("wait_p90"), None);
    assert_eq!(base("offered"), None);
}

#[test]
fn rows_of_examples_are_whole_and_typed() {
    let catalogue = catalogue();
    let level = kpi(catalogue, "service_level");
    let models = models();
    let visits = models
        .iter()
        .find(|m| m.name == "queue_visits")
        .expect("a model");
    let example = &level.examples[0];
    let row = &example.tables[0].rows[0];
    let cell = |name: &str| {
        let index = visits
            .columns
            .iter()
            .position(|c| c.name == name)
            .expect("a column");
        &row.cells[index]
    };
    assert_eq!((example.name.as_str(), row.times), ("X1", 70));
    assert_eq!(row.cells.len(), visits.columns.len());
    assert_eq!(cell("visit_kind"), &Cell::Text("customer".to_owned()));
    assert_eq!(cell("outcome"), &Cell::Text("answered".to_owned()));
    assert_eq!(cell("wait_up_s"), &Cell::Int(12));
    assert_eq!(cell("agent_id"), &Cell::Null);
    assert_eq!(cell("is_test"), &Cell::Bool(false));
    let (Cell::Time(entered), Cell::Time(left)) = (cell("entered_at"), cell("left_at")) else {
        panic!("both moments are set")
    };
    assert_eq!(left.ms_since(*entered), 12_000);
}

#[test]
fn no_core_threshold_is_given_as_a_target_of_a_neutral_kpi() {
    for kpi in catalogue().iter() {
        if kpi.direction == kpi::Direction::Neutral {
            assert_eq!(kpi.target, None, "{}", kpi.id);
        }
    }
}

#[test]
fn every_shipped_kpi_has_titles_in_three_languages_and_a_source() {
    for kpi in catalogue().iter() {
        assert_eq!(kpi.remarks(), Vec::<String>::new(), "{}", kpi.id);
    }
}
