//! `params.yml`: which rules a parameter gets, and what is refused.

use kpi::{Catalogue, ParamValue, SourceFile};

use crate::{catalogue, models};

fn with(texts: &[&str]) -> Result<Catalogue, String> {
    let file = |text: &&str| {
        vec![SourceFile {
            name: "params.yml".to_owned(),
            text: (*text).to_owned(),
        }]
    };
    let layers: Vec<Vec<SourceFile>> = texts.iter().map(file).collect();
    catalogue()
        .clone()
        .with_params(&layers)
        .map_err(|problems| {
            let lines: Vec<String> = problems.iter().map(ToString::to_string).collect();
            lines.join("\n")
        })
}

/// The rules of a parameter as text, the strongest first.
fn rules(catalogue: &Catalogue, kpi: &str, param: &str) -> Vec<String> {
    let kpi = catalogue.get(kpi).expect("shipped");
    let all = kpi.params_in_force(&Default::default());
    let rules = all[param].rules.iter();
    rules.map(|r| format!("{} {}", r.value, r.when())).collect()
}

#[test]
fn the_entry_with_the_most_dimensions_is_first_and_of_equals_the_last_one() {
    let site = with(&[
        "- { kpi: service_level, where: { queue_id: chat, channel: chat }, params: { threshold: 90s } }
- { kpi: service_level, where: { queue_id: chat }, params: { threshold: 60s } }",
        "- { kpi: service_level, where: { queue_id: chat }, valid_from: 2026-03-01, params: { threshold: 45s } }",
    ]);
    assert_eq!(
        rules(&site.expect("it fits"), "service_level", "threshold"),
        [
            "90s channel = chat, queue_id = chat",
            "45s queue_id = chat, from 2026-03-01T00:00:00Z",
            "1m queue_id = chat",
        ]
    );
}

#[test]
fn variants_go_with_their_base_unless_another_value_makes_them_variants() {
    let site = with(&["- { kpi: fcr, where: { channel: chat }, params: { window: 3d } }"]);
    let site = site.expect("it fits");
    assert_eq!(rules(&site, "fcr_net", "window"), ["3d channel = chat"]);
    assert!(rules(&site, "fcr_1d", "window").is_empty());
    // What takes its default from the window takes its rules too.
    assert_eq!(rules(&site, "fcr", "lookback"), ["3d channel = chat"]);
}

#[test]
fn an_entry_that_names_a_kpi_goes_before_one_of_its_base() {
    let site = with(&[
        "- { kpi: service_level_answered_only, params: { threshold: 30s } }
- { kpi: service_level, where: { channel: chat }, params: { threshold: 60s } }",
    ]);
    let site = site.expect("it fits");
    assert_eq!(
        rules(&site, "service_level_answered_only", "threshold"),
        ["30s always", "1m channel = chat"]
    );
    assert_eq!(
        rules(&site, "service_level", "threshold"),
        ["1m channel = chat"]
    );
}

#[test]
fn a_value_of_a_dimension_is_what_is_written() {
    let site = with(&[
        "- { kpi: service_level, where: { queue_id: 7 }, params: { threshold: 60s } }
- kpi: service_level
  params: { threshold: 30s }
  where:
    queue_id: '007'
- { kpi: service_level, where: { queue_id: \"1e3\" }, params: { threshold: 10s } }",
    ]);
    assert_eq!(
        rules(&site.expect("it fits"), "service_level", "threshold"),
        [
            "10s queue_id = 1e3",
            "30s queue_id = 007",
            "1m queue_id = 7"
        ]
    );
}

/// What the tutorial teaches for a KPI that is to be another one.
#[test]
fn an_overridden_kpi_is_of_its_own_family_only() {
    let mine = SourceFile {
        name: "surveys.yml".to_owned(),
        text: "format: 1
kpis:
- kpi: survey_response_rate
  override: true
  extends: survey_response_rate
  version: 2
  title: { en: Survey response rate }
  params:
    window: { type: duration, default: 14d, min: 0 }
  examples: [{ name: none, rows: [], expect: { survey_response_rate: null } }]
"
        .to_owned(),
    };
    let entry = SourceFile {
        name: "params.yml".to_owned(),
        text: "- { kpi: csat_by_contact, params: { window: 7d } }".to_owned(),
    };
    let site = Catalogue::load(&[kpi::builtin_files(), vec![mine]], &models())
        .and_then(|catalogue| catalogue.with_params(&[vec![entry]]))
        .expect("it fits");
    assert_eq!(rules(&site, "csat_by_contact", "window"), ["7d always"]);
    assert!(rules(&site, "survey_response_rate", "window").is_empty());
    let overridden = site.get("survey_response_rate").expect("shipped");
    assert_eq!(overridden.variant_of, None);
}

#[test]
fn an_override_holds_for_every_row() {
    let site = with(&["- { kpi: fcr, where: { channel: chat }, params: { window: 3d } }"]);
    let site = site.expect("it fits");
    let fcr = site.get("fcr").expect("shipped");
    let day = ParamValue::Duration(86_400_000);
    let given = [("window".to_owned(), day.clone())].into();
    let forced = &fcr.params_in_force(&given)["lookback"];
    assert_eq!((&forced.value, forced.rules.len()), (&day, 0));
}

#[test]
fn what_does_not_fit_is_refused_with_its_place() {
    let refused = |text: &str| with(&[text]).expect_err("refused");
    for (text, told) in [
        (
            "- { kpi: service_levle, params: { threshold: 60s } }",
            "params.yml:1:10: service_levle: there is no KPI `service_levle`\n  hint: did you mean `service_level`?",
        ),
        (
            "- { kpi: service_level, params: { treshold: 60s } }",
            "params.yml:1:45: service_level: the KPI has no parameter `treshold`\n  hint: did you mean `threshold`?",
        ),
        (
            "- { kpi: service_level, where: { agent_id: a1 }, params: { threshold: 60s } }",
            "params.yml:1:44: service_level: `threshold` does not differ by `agent_id`\n  hint: it may differ by: queue_id, channel",
        ),
        (
            "- { kpi: service_level, where: { queue_id: 007 }, params: { threshold: 60s } }",
            "params.yml:1:44: service_level: `007` is read as 7, not as it is written\n  hint: put it in quotes: '007'",
        ),
        (
            "- { kpi: service_level, where: { queue_id: 1e3 }, params: { threshold: 60s } }",
            "params.yml:1:44: service_level: `1e3` is read as 1000, not as it is written\n  hint: put it in quotes: '1e3'",
        ),
        (
            "- { kpi: service_level, where: { queue_id: null }, params: { threshold: 60s } }",
            "params.yml:1:44: service_level: `null` is no value of `queue_id`\n  hint: name one, or leave the dimension out: then it is for all of them",
        ),
        (
            "- { kpi: service_level, where: { queue_id: [a, b] }, params: { threshold: 60s } }",
            "params.yml:1:44: service_level: `[a, b]` is no value of `queue_id`\n  hint: one value an entry: write one entry for each",
        ),
        (
            "- { kpi: service_level, where: { channel: chats }, params: { threshold: 60s } }",
            "params.yml:1:43: service_level: there is no channel `chats`\n  hint: did you mean `chat`?",
        ),
        (
            "- { kpi: service_level, params: { threshold: soon } }",
            "params.yml:1:46: service_level: `soon` is not a duration: write a whole number and ms, s, m, h, d or w",
        ),
        (
            "- { kpi: service_level, valid_from: 2026-01-01T10:07:00Z, params: { threshold: 60s } }",
            "params.yml:1:37: service_level: a value cannot change at `2026-01-01T10:07:00Z`, inside of a bucket\n  hint: the last quarter of an hour before, or the next one",
        ),
        (
            "- { kpi: service_level, valid_from: 2026-02-01, valid_to: 2026-01-01, params: { threshold: 60s } }",
            "params.yml:1:10: service_level: the entry ends before it begins\n  hint: swap valid_from and valid_to",
        ),
        (
            "- { kpi: service_level, params: {} }",
            "params.yml:1:10: service_level: no parameter is set\n  hint: name at least one, as `params: { threshold: 60s }`",
        ),
        (
            "- { kpi: service_level, parms: { threshold: 60s } }",
            "params.yml:1:25: unknown key `parms`\n  hint: did you mean `params`?",
        ),
        (
            "- { kpi: cost_per_valid_order, params: { threshold: 60s } }",
            "params.yml:1:53: cost_per_valid_order: the KPI has no parameter `threshold`\n  hint: it is made of other KPIs: sales_cost, valid_orders",
        ),
    ] {
        assert_eq!(refused(text), told, "{text}");
    }
}
