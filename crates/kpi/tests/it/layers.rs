//! Variants, `extends`, overriding, and what becomes part of the hash.

use kpi::{
    Additivity, Bucket, Catalogue, Kpi, Lifecycle, Maturity, ParamValue, Problem, SourceFile,
};

use crate::models;

const BASE: &str = r#"format: 1
kpis:
- kpi: speed
  version: 1
  title: { en: Speed, zh-CN: 速度, zh-TW: 速度 }
  aliases: [ASA2]
  group: operations
  description: Mean wait.
  formula: wait / answered
  model: queue_visits
  grain: queue_visit
  clock: cohort
  time: entered_at
  params:
    limit: { type: duration, default: 20s }
    other: { type: duration, default: ":limit" }
  parts:
    waited: { agg: sum, expr: "CASE WHEN answered AND wait_ms > :other THEN wait_ms END" }
    visits: { agg: count_if, expr: "answered" }
  value: waited / visits
  empty: no_value
  maturity: none
  dimensions: [queue_id, channel]
  unit: { kind: duration }
  direction: lower
  variants:
  - kpi: speed_all
    version: 3
    title: { en: Speed of all }
    parts: { visits: { agg: count_if, expr: "answered OR abandoned" } }
  - kpi: visits_only
    version: 1
    title: { en: Visits }
    value: visits
    unit: { kind: count }
    empty: zero
  examples:
  - name: none
    rows: []
    expect: { speed: null, speed_all: null, visits_only: 0 }
"#;

fn file(name: &str, text: &str) -> SourceFile {
    SourceFile {
        name: name.to_owned(),
        text: text.to_owned(),
    }
}

fn try_load(layers: &[&str]) -> Result<Catalogue, Vec<Problem>> {
    let layers: Vec<Vec<SourceFile>> = layers
        .iter()
        .enumerate()
        .map(|(index, text)| vec![file(&format!("layer{index}.yml"), text)])
        .collect();
    Catalogue::load(&layers, &models())
}

fn load(layers: &[&str]) -> Catalogue {
    try_load(layers).unwrap_or_else(|problems| panic!("{problems:#?}"))
}

fn error(layers: &[&str]) -> String {
    let problems = try_load(layers).expect_err("refused");
    problems
        .iter()
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join("\n")
}

fn kpi<'a>(catalogue: &'a Catalogue, id: &str) -> &'a Kpi {
    catalogue.get(id).unwrap_or_else(|| panic!("no {id}"))
}

fn own(body: &str) -> String {
    let indented: Vec<String> = body.lines().map(|line| format!("  {line}")).collect();
    format!("format: 1\nkpis:\n- {}\n", indented.join("\n").trim_start())
}

const SHOWN: &str = "\nexamples: [{ name: none, rows: [], expect: { ID: null } }]";

fn shown(body: &str, id: &str) -> String {
    own(&format!("{body}{}", SHOWN.replace("ID", id)))
}

#[test]
fn a_variant_differs_in_the_named_keys_only() {
    let catalogue = load(&[BASE]);
    let (base, variant) = (kpi(&catalogue, "speed"), kpi(&catalogue, "speed_all"));
    assert_eq!(variant.variant_of.as_deref(), Some("speed"));
    assert_eq!(
        (variant.version, variant.title.en.as_str()),
        (3, "Speed of all")
    );
    assert_eq!(variant.parts()[0], base.parts()[0]);
    assert_eq!(variant.parts()[1].expr, "answered OR abandoned");
    assert_eq!(variant.formula, base.formula);
    assert!(variant.aliases.is_empty(), "names are its own");
    assert_ne!(variant.hash, base.hash);
}

#[test]
fn a_variant_leaves_behind_the_parts_and_parameters_that_it_does_not_read() {
    let catalogue = load(&[BASE]);
    let variant = kpi(&catalogue, "visits_only");
    assert_eq!(variant.parts().len(), 1);
    assert!(variant.params.is_empty());
    assert_eq!(variant.supporting, ["entered_at", "answered"]);
}

#[test]
fn a_variant_in_another_unit_does_not_take_over_limits() {
    let text = BASE.replace(
        "direction: lower",
        "direction: lower\n  target: 20s\n  thresholds: { good: 20s, min_n: 5 }",
    );
    let catalogue = load(&[&text]);
    assert_eq!(kpi(&catalogue, "speed_all").target, Some(20_000.0));
    assert_eq!(kpi(&catalogue, "visits_only").target, None);
    let kept = kpi(&catalogue, "visits_only").thresholds;
    assert_eq!((kept.good, kept.min_n), (None, Some(5)));
}

#[test]
fn a_parameter_may_take_its_default_from_another() {
    let catalogue = load(&[BASE]);
    let speed = kpi(&catalogue, "speed");
    assert_eq!(speed.params.len(), 2, "the one read and the one behind it");
    let values = speed.params_in_force(&Default::default());
    assert_eq!(values["other"].value, ParamValue::Duration(20_000));
    let given = [("limit".to_owned(), ParamValue::Duration(5_000))].into();
    assert_eq!(
        speed.params_in_force(&given)["other"].value,
        ParamValue::Duration(5_000)
    );
    let given = [("other".to_owned(), ParamValue::Duration(7_000))].into();
    assert_eq!(
        speed.params_in_force(&given)["limit"].value,
        ParamValue::Duration(20_000)
    );
}

#[test]
fn a_later_layer_adds_a_kpi_that_extends_an_earlier_one() {
    let mine = shown(
        "kpi: my_speed\nversion: 1\ntitle: { en: Mine }\nextends: speed\nfilters: [answered]",
        "my_speed",
    );
    let catalogue = load(&[BASE, &mine]);
    let extended = kpi(&catalogue, "my_speed");
    assert_eq!(extended.variant_of.as_deref(), Some("speed"));
    assert_eq!(extended.filters(), ["answered"]);
    assert_eq!(extended.place.file, "layer1.yml");
    assert_eq!(extended.buckets.min, Bucket::M15);
}

#[test]
fn what_is_wrong_in_an_extended_definition_is_shown_where_it_is_written() {
    let mine = shown(
        "kpi: my_speed\nversion: 1\ntitle: { en: Mine }\nextends: speed\nmodel: legs\ngrain: leg\n\
         time: completed_at\nparts: { waited: { agg: sum, expr: talk_mss }, \
         visits: { agg: count_if, expr: handled } }\ndimensions: []",
        "my_speed",
    );
    assert_eq!(
        error(&[BASE, &mine]),
        "layer1.yml:10:38: my_speed: model `legs` has no column `talk_mss`\n  \
         hint: did you mean `talk_ms`?"
    );
}

#[test]
fn a_sample_that_is_taken_over_and_does_not_fit_is_told_in_the_own_file() {
    let sampled = BASE.replace(
        "agg: sum, expr: \"CASE WHEN answered AND wait_ms > :other THEN wait_ms END\"",
        "agg: count_if, expr: \"answered AND wait_ms > :other\"",
    );
    let sampled = sampled.replace(
        "unit: { kind: duration }",
        "unit: { kind: ratio }\n  sample: true",
    );
    let mine = shown(
        "kpi: my_speed\nversion: 1\ntitle: { en: Mine }\nextends: speed\n\
         parts: { waited: { agg: sum, expr: wait_ms } }",
        "my_speed",
    );
    assert_eq!(
        error(&[&sampled, &mine]),
        "layer1.yml:3:8: my_speed: `sample` is for ratios that are one count_if part over another\n  \
         hint: it takes `sample: true` over from `speed`: write `sample: false`"
    );
}

#[test]
fn extends_of_an_unknown_kpi_is_refused() {
    let mine = shown(
        "kpi: my_speed\nversion: 1\ntitle: { en: Mine }\nextends: sped",
        "my_speed",
    );
    assert_eq!(
        error(&[BASE, &mine]),
        "layer1.yml:6:12: my_speed: there is no KPI `sped` to extend\n  hint: did you mean `speed`?"
    );
}

#[test]
fn extends_in_a_circle_is_refused() {
    let a = "format: 1\nkpis:\n- { kpi: a, version: 1, extends: b }\n- { kpi: b, version: 1, extends: a }\n";
    assert_eq!(
        error(&[a]),
        "layer0.yml:3:10: a: `extends` runs in a circle: a -> b\n  \
         hint: one of them must stand on its own\n\
         layer0.yml:4:10: b: `extends` runs in a circle: b -> a\n  \
         hint: one of them must stand on its own"
    );
}

#[test]
fn a_variant_of_a_variant_is_refused() {
    let text = BASE.replace(
        "    value: visits\n",
        "    value: visits\n    extends: speed\n",
    );
    assert!(
        error(&[&text]).starts_with(
            "layer0.yml:31:10: visits_only: a variant has neither `variants` nor `extends`\n  \
             hint: name the keys that differ from the KPI above"
        ),
        "{}",
        error(&[&text])
    );
}

#[test]
fn an_id_of_an_earlier_layer_needs_override() {
    let mine = shown(
        "kpi: speed\nversion: 2\nextends: speed_all\ntitle: { en: Mine }",
        "speed",
    );
    assert!(error(&[BASE, &mine]).starts_with(
        "layer1.yml:3:8: speed: this id exists already\n  \
         hint: add `override: true` to replace it, or choose another id"
    ));
}

#[test]
fn override_of_nothing_is_refused() {
    let mine = shown(
        "kpi: mine\nversion: 2\nextends: speed\noverride: true\ntitle: { en: Mine }",
        "mine",
    );
    assert!(error(&[BASE, &mine]).starts_with(
        "layer1.yml:3:8: mine: there is no earlier KPI to override\n  hint: take `override: true` away"
    ));
}

#[test]
fn an_override_may_extend_what_it_replaces_and_variants_keep_theirs() {
    let mine = own("kpi: speed\nversion: 2\noverride: true\nextends: speed\n\
         title: { en: Ours }\nfilters: [\"channel = 'voice'\"]");
    let before = load(&[BASE]);
    let catalogue = load(&[
        BASE,
        &format!(
            "{mine}  examples: [{{ name: none, rows: [], \
             expect: {{ speed: null, speed_all: null, visits_only: 0 }} }}]\n"
        ),
    ]);
    let replaced = kpi(&catalogue, "speed");
    assert_eq!((replaced.version, replaced.title.en.as_str()), (2, "Ours"));
    assert_eq!(replaced.filters(), ["channel = 'voice'"]);
    assert_ne!(replaced.hash, kpi(&before, "speed").hash);
    assert_eq!(
        kpi(&catalogue, "speed_all").hash,
        kpi(&before, "speed_all").hash
    );
    assert_eq!(
        catalogue.iter().next().map(|k| k.id.as_str()),
        Some("speed"),
        "keeps its place"
    );
}

const ALL_SHOWN: &str = "\nexamples: [{ name: none, rows: [], expect: { speed: null, speed_all: null, visits_only: 0 } }]";

#[test]
fn an_override_is_no_variant_of_itself_and_an_overridden_variant_stays_one() {
    let again = "kpi: speed\nversion: 2\noverride: true\nextends: speed\ntitle: { en: Ours }";
    let mine = own(&format!("{again}{ALL_SHOWN}"));
    let catalogue = load(&[BASE, &mine, &mine]);
    assert_eq!(kpi(&catalogue, "speed").variant_of, None);
    let family = |id: &str| kpi(&catalogue, id).variant_of.clone();
    assert_eq!(family("speed_all").as_deref(), Some("speed"));
    let variant = shown(
        "kpi: speed_all\nversion: 4\noverride: true\nextends: speed_all\ntitle: { en: Ours }",
        "speed_all",
    );
    let catalogue = load(&[BASE, &variant]);
    let overridden = kpi(&catalogue, "speed_all");
    assert_eq!(overridden.variant_of.as_deref(), Some("speed"));
    // It takes over all the same: what it does not need it leaves behind.
    let other = own(&format!("{again}\nvalue: 2 * visits{ALL_SHOWN}"));
    assert_eq!(kpi(&load(&[BASE, &other]), "speed").parts().len(), 1);
}

/// An override that stands on a variant of what it replaces is the base and the variant of it.
#[test]
fn a_family_that_goes_round_has_an_end() {
    let round = format!(
        "kpi: speed\nversion: 2\noverride: true\nextends: speed_all\ntitle: {{ en: Ours }}{ALL_SHOWN}"
    );
    let other = "kpi: late\nversion: 1\ntitle: { en: Late }\ngroup: operations\ndescription: Late.\n\
         formula: late\nmodel: queue_visits\ngrain: queue_visit\nclock: cohort\ntime: entered_at\n\
         params: { limit: { type: duration, default: 20s } }\n\
         parts: { late: { agg: count_if, expr: \"wait_ms > :limit\" } }\nvalue: late\nempty: zero\n\
         maturity: none\ndimensions: []\nunit: { kind: count }\ndirection: lower\n\
         examples: [{ name: none, rows: [], expect: { late: 0 } }]";
    let catalogue = load(&[BASE, &own(&round), &own(other)]);
    let entry = file("params.yml", "- { kpi: late, params: { limit: 5s } }");
    let site = catalogue.with_params(&[vec![entry]]).expect("it fits");
    let rules = |id: &str| {
        let limit = kpi(&site, id).params.iter().find(|p| p.name == "limit");
        limit.map_or(0, |limit| limit.rules.len())
    };
    assert_eq!(
        (rules("late"), rules("speed"), rules("speed_all")),
        (1, 0, 0)
    );
}

#[test]
fn an_override_keeps_unit_and_direction_or_says_breaking() {
    let body = "kpi: speed\nversion: 2\noverride: true\nextends: speed\n\
         title: { en: Ours }\nunit: { kind: number }";
    let all = "\nexamples: [{ name: none, rows: [], \
               expect: { speed: null, speed_all: null, visits_only: 0 } }]";
    assert_eq!(
        error(&[BASE, &own(&format!("{body}{all}"))]),
        "layer1.yml:3:8: speed: this override changes the unit\n  \
         hint: say `breaking: true` if readers of `speed` can bear it"
    );
    load(&[BASE, &own(&format!("{body}\nbreaking: true{all}"))]);
    let turned = body.replace("unit: { kind: number }", "direction: higher");
    assert!(error(&[BASE, &own(&format!("{turned}{all}"))]).contains("changes the direction"));
}

#[test]
fn titles_targets_and_presentation_are_not_in_the_hash_but_every_number_is() {
    let hash = |text: &str| kpi(&load(&[text]), "speed").hash.clone();
    let base = hash(BASE);
    let same = [
        ("title: { en: Speed,", "title: { en: Haste,"),
        ("description: Mean wait.", "description: Another."),
        ("version: 1", "version: 7"),
        (
            "unit: { kind: duration }",
            "unit: { kind: duration, show: \"0 min\" }",
        ),
        ("direction: lower", "direction: lower\n  target: 20s"),
        (
            "CASE WHEN answered AND wait_ms",
            "case  when answered and wait_ms",
        ),
        (
            "    waited: { agg: sum, expr: \"CASE WHEN answered AND wait_ms > :other \
             THEN wait_ms END\" }\n    \
             visits: { agg: count_if, expr: \"answered\" }",
            "    visits: { agg: count_if, expr: \"answered\" }\n    \
             waited: { agg: sum, expr: \"CASE WHEN answered AND wait_ms > :other THEN wait_ms END\" }",
        ),
    ];
    for (from, to) in same {
        assert!(BASE.contains(from), "{from}");
        assert_eq!(hash(&BASE.replacen(from, to, 1)), base, "{to}");
    }
    let other = [
        ("default: 20s", "default: 21s"),
        ("wait_ms > :other", "wait_ms >= :other"),
        ("time: entered_at", "time: left_at"),
        ("clock: cohort", "clock: event"),
        ("value: waited / visits", "value: 2 * waited / visits"),
        ("agg: sum", "agg: max"),
        ("  parts:", "  filters: [answered]\n  parts:"),
        ("empty: no_value", "empty: zero"),
    ];
    for (from, to) in other {
        let expect = if from.starts_with("empty") {
            BASE.replace("speed: null, speed_all: null", "speed: 0, speed_all: 0")
        } else {
            BASE.to_owned()
        };
        assert_ne!(hash(&expect.replacen(from, to, 1)), base, "{to}");
    }
}

#[test]
fn a_derived_kpi_takes_dimensions_buckets_and_hash_from_its_inputs() {
    let derived = r#"
- kpi: both
  version: 1
  title: { en: Both }
  group: operations
  description: Speed for each money.
  formula: speed / money
  inputs: [speed, money]
  value: speed / money
  empty: no_value
  unit: { kind: number }
  direction: lower
  examples:
  - name: no rows
    tables: { queue_visits: [], costs: [] }
    expect: { both: null, money: null }
- kpi: money
  version: 1
  title: { en: Money }
  group: financial
  description: Money.
  formula: money
  model: costs
  grain: cost_line
  clock: spread
  time: day_at
  buckets: { min: 1d, default: 1mo }
  parts: { amount: { agg: sum, expr: amount } }
  value: amount
  empty: no_value
  maturity: posted
  dimensions: [site_id, channel]
  unit: { kind: currency, of: currency }
  direction: lower
"#;
    let text = format!("{BASE}{}", derived.trim_start_matches('\n'));
    let catalogue = load(&[&text]);
    let both = kpi(&catalogue, "both");
    assert_eq!(both.inputs(), ["speed", "money"]);
    assert_eq!(both.dimensions, ["channel"]);
    assert_eq!(both.buckets.min, Bucket::D1);
    assert_eq!(both.maturity, Maturity::Common);
    assert_eq!(both.additivity(), Additivity::CrossModel);
    let below: Vec<_> = catalogue
        .inputs_of(both)
        .iter()
        .map(|k| k.id.clone())
        .collect();
    assert_eq!(below, ["speed", "money"]);
    let changed = load(&[&text.replace("default: 20s", "default: 30s")]);
    assert_ne!(
        kpi(&changed, "both").hash,
        both.hash,
        "an input's meaning is part of its own"
    );
    assert_eq!(catalogue.models(), ["costs", "queue_visits"]);
    let of_costs: Vec<_> = catalogue.of_model("costs").map(|k| k.id.as_str()).collect();
    assert_eq!(of_costs, ["money"]);
}

#[test]
fn a_deprecated_kpi_names_its_successor() {
    let text = BASE.replacen(
        "version: 1",
        "version: 1\n  status: deprecated\n  replaced_by: speed_all",
        1,
    );
    let catalogue = load(&[&text]);
    let expected = Lifecycle::Deprecated {
        replaced_by: "speed_all".to_owned(),
    };
    assert_eq!(kpi(&catalogue, "speed").status, expected);
}

#[test]
fn a_kpi_is_found_by_its_alias_and_a_near_id_is_suggested() {
    let catalogue = load(&[BASE]);
    assert_eq!(catalogue.find("asa2").map(|k| k.id.as_str()), Ok("speed"));
    let error = catalogue.find("sped").expect_err("unknown");
    assert_eq!(
        error.to_string(),
        "there is no KPI `sped`; did you mean `speed`?"
    );
    let error = catalogue.find("xyz").expect_err("unknown");
    assert_eq!(
        error.to_string(),
        "there is no KPI `xyz`; `callgauge kpi list` shows all ids"
    );
}

#[test]
fn problems_of_several_files_are_all_told_in_order() {
    let first = BASE.replace("time: entered_at", "time: enterd_at");
    let second = BASE.replace("clock: cohort", "clok: cohort");
    let files = vec![file("a.yml", &first), file("b.yml", &second)];
    let problems = Catalogue::load(&[files], &models()).expect_err("refused");
    let places: Vec<_> = problems
        .iter()
        .map(|p| (p.file.as_str(), p.line, p.column))
        .collect();
    assert_eq!(
        places,
        [("a.yml", 13, 9), ("b.yml", 12, 3)],
        "{problems:#?}"
    );
}

#[test]
fn a_title_that_is_not_given_falls_back_to_the_next_language() {
    let catalogue = load(&[BASE]);
    let title = &kpi(&catalogue, "visits_only").title;
    assert_eq!(
        (title.zh_cn.as_str(), title.zh_tw.as_str()),
        ("Visits", "Visits")
    );
}

#[test]
fn bad_input_is_refused_and_never_a_panic() {
    let long = format!("format: 1\nkpis: [{{ kpi: {} }}]", "a".repeat(1_000_000));
    let nested = format!("format: 1\nkpis: {}", "[".repeat(100_000));
    let value = BASE.replace(
        "value: waited / visits",
        &format!("value: \"{}1\"", "(".repeat(100_000)),
    );
    let minus = BASE.replace(
        "value: waited / visits",
        &format!("value: \"{}1\"", "-".repeat(100_000)),
    );
    let alias = "a: &a [x, x]\nb: &b [*a, *a, *a]\nformat: [*b, *b, *b, *b]";
    for text in [
        "",
        "\u{0}",
        "- 1",
        "format: 1",
        "format: 1\nkpis: null",
        alias,
        &long,
        &nested,
        &value,
        &minus,
    ] {
        assert!(
            try_load(&[text]).is_err() || text.is_empty(),
            "{}",
            &text[..text.len().min(80)]
        );
    }
    for end in (0..BASE.len())
        .filter(|end| BASE.is_char_boundary(*end))
        .step_by(17)
    {
        let _ = try_load(&[&BASE[..end]]);
    }
    for (at, _) in BASE.char_indices().step_by(83) {
        for piece in ["\"", "{", "]", ":", "\u{7f}", "漢", "\n", "'"] {
            let _ = try_load(&[&format!("{}{piece}{}", &BASE[..at], &BASE[at..])]);
        }
    }
}
