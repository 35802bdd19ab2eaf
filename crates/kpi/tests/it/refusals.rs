//! Every refusal: what is wrong, where, and the hint, word for word.

use kpi::{Catalogue, SourceFile};

use crate::models;

/// A valid file; the tests change one thing in it.
const GOOD: &str = r#"format: 1
kpis:
- kpi: in_time
  version: 1
  title: { en: In time }
  group: operations
  description: Share of visits answered in time.
  formula: answered in time / answered
  model: queue_visits
  grain: queue_visit
  clock: cohort
  time: entered_at
  params:
    limit: { type: duration, default: 20s, min: 1s, max: 1h, by: [queue_id] }
  filters: ["visit_kind = 'customer'"]
  parts:
    met: { agg: count_if, expr: "answered AND wait_ms <= :limit" }
    base: { agg: count_if, expr: "answered" }
  value: met / base
  empty: no_value
  maturity: none
  dimensions: [queue_id, channel]
  unit: { kind: ratio, show: "0.0 %" }
  direction: higher
  target: 0.8
  thresholds: { good: 0.8, warn: 0.7, min_n: 10 }
  supporting: [visit_kind, entered_at, answered, wait_ms]
  examples:
  - name: one
    rows: [{ answered: true, wait_ms: 5s }]
    expect: { in_time: 1, late_visits: 0, lateness: 0 }
- kpi: late_visits
  version: 1
  title: { en: Late visits }
  group: operations
  description: Visits that were answered late.
  formula: visits answered late
  model: queue_visits
  grain: queue_visit
  clock: cohort
  time: entered_at
  parts: { late: { agg: count_if, expr: "answered AND wait_ms > 20000" } }
  value: late
  empty: zero
  maturity: none
  dimensions: [queue_id]
  unit: { kind: count }
  direction: lower
- kpi: lateness
  version: 1
  title: { en: Lateness }
  group: operations
  description: Late visits times the share in time.
  formula: late visits x in time
  inputs: [late_visits, in_time]
  value: late_visits * in_time
  empty: no_value
  unit: { kind: number }
  direction: lower
"#;

fn file(name: &str, text: &str) -> SourceFile {
    SourceFile {
        name: name.to_owned(),
        text: text.to_owned(),
    }
}

/// What loading these layers says, one problem after the other.
fn errors(layers: &[&str]) -> String {
    let name = |index: usize| {
        if index == 0 {
            "a.yml".to_owned()
        } else {
            format!("own{index}.yml")
        }
    };
    let layers: Vec<Vec<SourceFile>> = layers
        .iter()
        .enumerate()
        .map(|(i, text)| vec![file(&name(i), text)])
        .collect();
    match Catalogue::load(&layers, &models()) {
        Ok(_) => "accepted".to_owned(),
        Err(problems) => problems
            .iter()
            .map(ToString::to_string)
            .collect::<Vec<_>>()
            .join("\n"),
    }
}

fn error(text: &str) -> String {
    errors(&[text])
}

/// The good file with one piece of text replaced, which has to be there.
fn with(from: &str, to: &str) -> String {
    assert!(GOOD.contains(from), "the good file has no `{from}`");
    GOOD.replacen(from, to, 1)
}

#[track_caller]
fn refuses(from: &str, to: &str, expected: &str) {
    assert_eq!(error(&with(from, to)), expected);
}

#[test]
fn the_good_file_is_accepted() {
    assert_eq!(error(GOOD), "accepted");
}

// One thing wrong at a time.

#[test]
fn an_unknown_key_with_a_near_one_is_refused() {
    refuses(
        "  direction: higher",
        "  directon: higher",
        "a.yml:24:3: unknown key `directon`
  hint: did you mean `direction`?",
    );
}

#[test]
fn an_unknown_key_deep_inside_is_refused() {
    refuses(
        "min: 1s,",
        "mim: 1s,",
        "a.yml:14:44: unknown key `mim`
  hint: did you mean `min`?",
    );
}

#[test]
fn a_key_that_is_like_no_other_is_refused() {
    refuses(
        "  direction: higher",
        "  colour: red\n  direction: higher",
        "a.yml:24:3: unknown key `colour`
  hint: keys here: kpi, version, extends, override, breaking, title, aliases, group, \
description, formula, source, status, ...",
    );
}

#[test]
fn a_word_that_is_not_in_the_list_is_refused() {
    refuses(
        r#"agg: count_if, expr: "answered AND wait_ms <="#,
        r#"agg: count_of, expr: "answered AND wait_ms <="#,
        "a.yml:17:17: `count_of` is not one of: count_if, sum, min, max, distinct, histogram, \
last_by_time, max_last_by_time, peak, peak_open, time_weighted
  hint: did you mean `count_if`?",
    );
}

#[test]
fn the_latest_row_needs_to_know_whose_and_nothing_else_may() {
    refuses(
        r#"base: { agg: count_if, expr: "answered" }"#,
        r#"base: { agg: last_by_time, expr: "wait_ms" }"#,
        "a.yml:18:38: in_time: last_by_time needs `per`: whose latest row counts
  hint: write `per: customer_id`",
    );
    refuses(
        r#"base: { agg: count_if, expr: "answered" }"#,
        r#"base: { agg: count_if, expr: "answered", per: customer_id }"#,
        "a.yml:18:51: in_time: `per` is for last_by_time, max_last_by_time and peak
  hint: take it away",
    );
    refuses(
        r#"base: { agg: count_if, expr: "answered" }"#,
        r#"base: { agg: last_by_time, expr: "wait_ms", per: costumer_id }"#,
        "a.yml:18:54: in_time: model `queue_visits` has no column `costumer_id`
  hint: did you mean `customer_id`?",
    );
}

#[test]
fn a_peak_needs_stretches_that_fill_a_day() {
    let part = r#"base: { agg: count_if, expr: "answered" }"#;
    refuses(
        part,
        r#"base: { agg: peak, expr: "1" }"#,
        "a.yml:18:30: in_time: peak needs `per`: how long the stretches are that are added up
  hint: write `per: 30m`",
    );
    for width in ["7m", "90s", "2d", "0", "half"] {
        refuses(
            part,
            &format!(r#"base: {{ agg: peak, expr: "1", per: {width} }}"#),
            &format!(
                "a.yml:18:40: in_time: a day is no number of stretches of `{width}`
  hint: write 15m, 30m, 1h or another part of a day in whole minutes"
            ),
        );
    }
    refuses(
        part,
        r#"base: { agg: peak_open, expr: "left_at", per: 30m }"#,
        "a.yml:18:51: in_time: `per` is for last_by_time, max_last_by_time and peak
  hint: take it away",
    );
}

#[test]
fn an_unknown_clock_is_refused() {
    refuses(
        "clock: cohort",
        "clock: choort",
        "a.yml:11:10: `choort` is not one of: cohort, event, spread
  hint: did you mean `cohort`?",
    );
}

#[test]
fn a_missing_key_inside_a_record_is_refused() {
    refuses(
        r#"{ agg: count_if, expr: "answered" }"#,
        "{ agg: count_if }",
        "a.yml:18:13: the key `expr` is missing
  hint: add `expr:`",
    );
}

#[test]
fn a_key_that_stands_twice_is_refused() {
    refuses(
        "  version: 1\n  title: { en: In time }",
        "  version: 1\n  version: 2\n  title: { en: In time }",
        "a.yml:5:3: the key `version` stands here twice
  hint: keep one of them",
    );
}

#[test]
fn a_number_where_a_list_belongs_is_refused() {
    refuses(
        "dimensions: [queue_id, channel]",
        "dimensions: 5",
        "a.yml:22:15: a list belongs here: write `[...]`",
    );
}

#[test]
fn a_version_that_is_no_number_is_refused() {
    refuses(
        "  version: 1\n  title: { en: In time }",
        "  version: one\n  title: { en: In time }",
        "a.yml:4:12: a whole number belongs here",
    );
}

#[test]
fn a_format_of_the_future_is_refused() {
    refuses(
        "format: 1",
        "format: 2",
        "a.yml:1:9: format 2 is not known
  hint: this version reads `format: 1`",
    );
}

#[test]
fn broken_yaml_is_refused() {
    refuses(
        "dimensions: [queue_id, channel]",
        "dimensions: [queue_id, channel",
        "a.yml:23:7: illegal placement of ':' indicator
  hint: look at the indentation, brackets and quotes before it",
    );
}

#[test]
fn a_missing_title_is_refused() {
    refuses(
        "  title: { en: In time }\n",
        "",
        "a.yml:3:8: in_time: the key `title` is missing
  hint: add `title:`",
    );
}

#[test]
fn an_empty_title_is_refused() {
    refuses(
        "{ en: In time }",
        r#"{ en: "" }"#,
        "a.yml:5:10: in_time: the English title is empty
  hint: add `en: ...`",
    );
}

#[test]
fn a_missing_formula_is_refused() {
    refuses(
        "  formula: answered in time / answered\n",
        "",
        "a.yml:3:8: in_time: the key `formula` is missing
  hint: add `formula:`",
    );
}

#[test]
fn missing_dimensions_is_refused() {
    refuses(
        "  dimensions: [queue_id, channel]\n",
        "",
        "a.yml:3:8: in_time: the key `dimensions` is missing
  hint: add `dimensions: [queue_id, ...]`, or `dimensions: []` for none",
    );
}

#[test]
fn a_missing_maturity_is_refused() {
    refuses(
        "  maturity: none\n  dimensions: [queue_id, channel]",
        "  dimensions: [queue_id, channel]",
        "a.yml:3:8: in_time: the key `maturity` is missing
  hint: add `maturity:`",
    );
}

#[test]
fn version_zero_is_refused() {
    refuses(
        "  version: 1\n  title: { en: In time }",
        "  version: 0\n  title: { en: In time }",
        "a.yml:4:12: in_time: versions begin at 1
  hint: write `version: 1`",
    );
}

#[test]
fn an_id_in_capitals_is_refused() {
    refuses(
        "kpi: in_time",
        "kpi: InTime",
        "a.yml:3:8: InTime: `InTime` is not an id
  hint: use a to z, 0 to 9 and _, a letter first, at most 63 of them
a.yml:55:25: lateness: there is no KPI `in_time`
  hint: `callgauge kpi list` shows all ids",
    );
}

#[test]
fn a_group_that_is_no_id_is_refused() {
    refuses(
        "group: operations",
        "group: Our Operations",
        "a.yml:6:10: in_time: `Our Operations` is not an id
  hint: use a to z, 0 to 9 and _, a letter first, at most 63 of them",
    );
}

#[test]
fn an_id_defined_twice_is_refused() {
    refuses(
        "kpi: late_visits",
        "kpi: in_time",
        "a.yml:32:8: in_time: this id is defined twice
  hint: ids are never reused
a.yml:55:12: lateness: there is no KPI `late_visits`
  hint: `callgauge kpi list` shows all ids",
    );
}

#[test]
fn an_unknown_model_is_refused() {
    refuses(
        "model: queue_visits",
        "model: queue_visit",
        "a.yml:9:10: in_time: there is no model `queue_visit`
  hint: did you mean `queue_visits`?",
    );
}

#[test]
fn an_unknown_time_column_is_refused() {
    refuses(
        "time: entered_at",
        "time: enterd_at",
        "a.yml:12:9: in_time: model `queue_visits` has no column `enterd_at`
  hint: did you mean `entered_at`?",
    );
}

#[test]
fn a_time_that_is_no_time_is_refused() {
    refuses(
        "time: entered_at",
        "time: wait_ms",
        "a.yml:12:9: in_time: column `wait_ms` is not a time
  hint: time columns of `queue_visits`: updated_at, entered_at, left_at",
    );
}

#[test]
fn an_unknown_column_at_its_place_is_refused() {
    refuses(
        "answered AND wait_ms <= :limit",
        "answered AND wait_s <= :limit",
        "a.yml:17:47: in_time: model `queue_visits` has no column `wait_s`
  hint: did you mean `wait_ms`?",
    );
}

#[test]
fn an_unknown_parameter_at_its_place_is_refused() {
    refuses(
        "wait_ms <= :limit",
        "wait_ms <= :limmit",
        "a.yml:17:58: in_time: there is no parameter `:limmit`
  hint: did you mean `limit`?",
    );
}

#[test]
fn an_aggregate_in_a_row_expression_is_refused() {
    refuses(
        "answered AND wait_ms <= :limit",
        "sum(wait_ms) <= :limit",
        "a.yml:17:34: in_time: `sum()` aggregates, and a row expression is over one row
  hint: say it with `agg:` of the part",
    );
}

#[test]
fn a_subquery_in_a_row_expression_is_refused() {
    refuses(
        "answered AND wait_ms <= :limit",
        "wait_ms <= (SELECT 1)",
        "a.yml:17:46: in_time: a row expression cannot hold a subquery
  hint: derive the column in the model's SQL file instead",
    );
}

#[test]
fn a_window_function_is_refused() {
    refuses(
        "answered AND wait_ms <= :limit",
        "lag(wait_ms) OVER (ORDER BY entered_at) <= :limit",
        "a.yml:17:47: in_time: a row expression cannot hold a window function
  hint: derive the column in the model's SQL file instead",
    );
}

#[test]
fn a_volatile_function_is_refused() {
    refuses(
        "answered AND wait_ms <= :limit",
        "entered_at < now()",
        "a.yml:17:47: in_time: `now` gives another answer each time
  hint: use :as_of or :horizon",
    );
}

#[test]
fn a_comment_in_an_expression_is_refused() {
    refuses(
        "answered AND wait_ms <= :limit",
        "answered -- all",
        "a.yml:17:43: in_time: comments do not belong into an expression
  hint: use a YAML comment",
    );
}

#[test]
fn an_open_quote_is_refused() {
    refuses(
        "visit_kind = 'customer'",
        "visit_kind = 'customer",
        "a.yml:15:27: in_time: the quote ' is not closed
  hint: add the closing quote",
    );
}

#[test]
fn an_open_parenthesis_is_refused() {
    refuses(
        "answered AND wait_ms <= :limit",
        "answered AND (wait_ms <= :limit",
        "a.yml:17:47: in_time: `(` is not closed
  hint: count the parentheses",
    );
}

#[test]
fn a_second_statement_is_refused() {
    refuses(
        "answered AND wait_ms <= :limit",
        "answered; DROP TABLE x",
        "a.yml:17:42: in_time: `;` ends nothing here
  hint: write one expression",
    );
}

#[test]
fn a_qualified_name_is_refused() {
    refuses(
        "answered AND wait_ms <= :limit",
        "legs.handled",
        "a.yml:17:38: in_time: qualified names are not allowed
  hint: name the column alone: an expression reads one model",
    );
}

#[test]
fn an_empty_expression_is_refused() {
    refuses(
        r#""answered AND wait_ms <= :limit""#,
        r#""""#,
        "a.yml:17:34: in_time: the expression is empty
  hint: write SQL over the model's columns",
    );
}

#[test]
fn an_unknown_part_in_the_value_is_refused() {
    refuses(
        "value: met / base",
        "value: met / bass",
        "a.yml:19:16: in_time: `bass` is neither a part nor an input of this KPI
  hint: did you mean `base`?",
    );
}

#[test]
fn a_value_that_ends_early_is_refused() {
    refuses(
        "value: met / base",
        "value: met /",
        "a.yml:19:15: in_time: the value ends too early
  hint: a name or a number fits here",
    );
}

#[test]
fn a_value_with_a_stray_sign_is_refused() {
    refuses(
        "value: met / base",
        "value: met % base",
        "a.yml:19:14: in_time: unexpected `%`
  hint: write + - * / between names",
    );
}

#[test]
fn an_unknown_function_in_a_value_is_refused() {
    refuses(
        "value: met / base",
        "value: sqrt(met) / base",
        "a.yml:19:10: in_time: there is no function `sqrt` in a value
  hint: there are percentile(part, 0.9) and share_within(part, 20)",
    );
}

#[test]
fn a_percentile_of_a_count_is_refused() {
    refuses(
        "value: met / base",
        "value: percentile(met, 0.9) / base",
        "a.yml:19:21: in_time: `met` is not a histogram part of this KPI
  hint: histogram parts: none",
    );
}

#[test]
fn a_histogram_read_as_a_number_is_refused() {
    refuses(
        r#"met: { agg: count_if, expr: "answered AND wait_ms <= :limit" }"#,
        r#"met: { agg: histogram, expr: "wait_up_s" }"#,
        "a.yml:19:10: in_time: part `met` is a histogram, not a number
  hint: write percentile(met, 0.9) or share_within(met, 20)",
    );
}

#[test]
fn a_part_that_is_not_used_is_refused() {
    refuses(
        "value: met / base",
        "value: met / 2",
        "a.yml:18:34: in_time: `value` does not read the part `base`
  hint: use it or take it away",
    );
}

#[test]
fn no_parts_is_refused() {
    refuses(
        r#"  parts: { late: { agg: count_if, expr: "answered AND wait_ms > 20000" } }"#,
        "  parts: {}",
        "a.yml:42:10: late_visits: there are no parts
  hint: write `name: { agg: count_if, expr: ... }`",
    );
}

#[test]
fn an_id_that_hides_a_column_is_refused() {
    refuses(
        "kpi: in_time",
        "kpi: wait_ms",
        "a.yml:3:8: wait_ms: the id hides the column `wait_ms` of model `queue_visits`
  hint: choose another id; only the plain count or sum of a column may have its name
a.yml:55:25: lateness: there is no KPI `in_time`
  hint: `callgauge kpi list` shows all ids",
    );
}

#[test]
fn a_parameter_without_unit_is_refused() {
    refuses(
        "default: 20s",
        "default: 20",
        "a.yml:14:39: in_time: `20` is not a duration: write a whole number and ms, s, m, h, d or w",
    );
}

#[test]
fn a_default_below_its_bounds_is_refused() {
    refuses(
        "default: 20s",
        "default: 0",
        "a.yml:14:39: in_time: `0s` is below the least value `1s`
  hint: change the value or the bounds",
    );
}

#[test]
fn bounds_that_contradict_each_other_is_refused() {
    refuses(
        "min: 1s, max: 1h",
        "min: 1h, max: 1s",
        "a.yml:14:58: in_time: `1s` is below the least value `1h`
  hint: change the value or the bounds",
    );
}

#[test]
fn a_default_of_an_unknown_parameter_is_refused() {
    refuses(
        "default: 20s",
        r#"default: ":window""#,
        "a.yml:14:39: in_time: there is no parameter `:window`
  hint: parameters here: limit",
    );
}

#[test]
fn defaults_in_a_circle_is_refused() {
    refuses(
        "default: 20s",
        r#"default: ":limit""#,
        "a.yml:14:39: in_time: the defaults refer to each other in a circle
  hint: give one of them a value",
    );
}

#[test]
fn a_parameter_of_the_engine_is_refused() {
    refuses(
        "limit: { type",
        "horizon: { type",
        "a.yml:14:14: in_time: `:horizon` is given by the engine
  hint: choose another name",
    );
}

#[test]
fn a_parameter_by_no_column_is_refused() {
    refuses(
        "by: [queue_id]",
        "by: [queue]",
        "a.yml:14:67: in_time: model `queue_visits` has no column `queue`
  hint: did you mean `queue_id`?",
    );
}

#[test]
fn a_dimension_that_is_no_column_is_refused() {
    refuses(
        "dimensions: [queue_id, channel]",
        "dimensions: [queue_id, chanel]",
        "a.yml:22:26: in_time: model `queue_visits` has no column `chanel`
  hint: did you mean `channel`?",
    );
}

#[test]
fn a_dimension_that_is_a_time_is_refused() {
    refuses(
        "dimensions: [queue_id, channel]",
        "dimensions: [queue_id, left_at]",
        "a.yml:22:26: in_time: column `left_at` is no dimension
  hint: a dimension is a text, a flag or a whole number",
    );
}

#[test]
fn a_dimension_twice_is_refused() {
    refuses(
        "dimensions: [queue_id, channel]",
        "dimensions: [queue_id, queue_id]",
        "a.yml:22:26: in_time: dimension `queue_id` stands here twice
  hint: keep one of them",
    );
}

#[test]
fn supporting_without_a_column_that_is_read_is_refused() {
    refuses(
        "supporting: [visit_kind, entered_at, answered, wait_ms]",
        "supporting: [visit_kind, entered_at, answered]",
        "a.yml:27:16: in_time: `supporting` lacks `wait_ms`, which the KPI reads
  hint: add it, or leave `supporting` out",
    );
}

#[test]
fn supporting_with_an_unknown_column_is_refused() {
    refuses(
        "supporting: [visit_kind,",
        "supporting: [visit_knd,",
        "a.yml:27:16: in_time: model `queue_visits` has no column `visit_knd`
  hint: did you mean `visit_kind`?",
    );
}

#[test]
fn an_unknown_maturity_is_refused() {
    refuses(
        "maturity: none",
        "maturity: later",
        "a.yml:21:13: in_time: `later` is no maturity
  hint: write none, posted or { column: placed_at, window: 7d }",
    );
}

#[test]
fn a_maturity_that_no_part_asks_for_is_refused() {
    refuses(
        "maturity: none",
        "maturity: { column: entered_at, window: 7d }",
        "a.yml:21:13: in_time: no part asks whether its rows are matured
  hint: write `AND matured(column, :window)` into the parts",
    );
}

#[test]
fn matured_without_a_window_is_refused() {
    refuses(
        "answered AND wait_ms <= :limit",
        "answered AND matured(entered_at, :limit)",
        "a.yml:21:13: in_time: a part calls matured(), but `maturity` has no window
  hint: write `maturity: { column: ..., window: ... }`",
    );
}

#[test]
fn a_maturity_of_no_duration_is_refused() {
    refuses(
        "maturity: none",
        "maturity: { column: entered_at, window: soon }",
        "a.yml:21:43: in_time: `soon` is not a duration
  hint: write 0, 7d or :parameter",
    );
}

#[test]
fn a_maturity_of_an_unknown_parameter_is_refused() {
    refuses(
        "maturity: none",
        r#"maturity: { column: entered_at, window: ":limits" }"#,
        "a.yml:21:43: in_time: there is no duration parameter `limits`
  hint: did you mean `limit`?",
    );
}

#[test]
fn an_unknown_key_in_maturity_is_refused() {
    refuses(
        "maturity: none",
        "maturity: { column: entered_at, windw: 7d }",
        "a.yml:21:35: unknown key `windw`
  hint: did you mean `window`?",
    );
}

#[test]
fn an_unknown_bucket_is_refused() {
    refuses(
        "  empty: no_value\n  maturity",
        "  buckets: { min: 15min, default: 1h }\n  empty: no_value\n  maturity",
        "a.yml:20:19: in_time: `15min` is not a bucket
  hint: buckets: 15m, 30m, 1h, 1d, 1w, 1mo, 1q, 1y",
    );
}

#[test]
fn buckets_the_wrong_way_round_is_refused() {
    refuses(
        "  empty: no_value\n  maturity",
        "  buckets: { min: 1h, default: 15m }\n  empty: no_value\n  maturity",
        "a.yml:20:32: in_time: the usual bucket 15m is smaller than the smallest 1h
  hint: swap them",
    );
}

#[test]
fn money_without_currency_is_refused() {
    refuses(
        r#"unit: { kind: ratio, show: "0.0 %" }"#,
        "unit: { kind: currency }",
        "a.yml:23:9: in_time: money needs its currency
  hint: add `of:` with the currency column, or with the input that is money",
    );
}

#[test]
fn money_of_an_unknown_column_is_refused() {
    refuses(
        r#"unit: { kind: ratio, show: "0.0 %" }"#,
        "unit: { kind: currency, of: currency }",
        "a.yml:23:31: in_time: there is no text column `currency`
  hint: known here: tenant_id, source, visit_id, interaction_id, root_id, visit_kind, \
customer_id, channel, direction, queue_id, site_id, entry_point, ...",
    );
}

#[test]
fn a_currency_of_no_money_is_refused() {
    refuses(
        r#"unit: { kind: ratio, show: "0.0 %" }"#,
        "unit: { kind: ratio, of: channel }",
        "a.yml:23:28: in_time: `of` is for money
  hint: take it away",
    );
}

#[test]
fn a_way_to_show_that_is_none_is_refused() {
    refuses(
        r#"show: "0.0 %""#,
        r##"show: "#.# %""##,
        "a.yml:23:30: in_time: cannot show values as `#.# %`
  hint: write 0, 0.0, 0.00 ... and perhaps a space and a unit",
    );
}

#[test]
fn a_suffix_that_does_not_fit_is_refused() {
    refuses(
        r#"show: "0.0 %""#,
        r#"show: "0.0 s""#,
        "a.yml:23:30: in_time: cannot show values as `0.0 s`
  hint: the suffix of this kind of unit is one of: %",
    );
}

#[test]
fn thresholds_against_the_direction_is_refused() {
    refuses(
        "good: 0.8, warn: 0.7",
        "good: 0.7, warn: 0.8",
        "a.yml:26:34: in_time: good 0.7 and warn 0.8 do not fit `higher` is better
  hint: put the limit of good on the better side of the limit of warning",
    );
}

#[test]
fn thresholds_against_lower_is_refused() {
    refuses(
        "direction: higher",
        "direction: lower",
        "a.yml:26:34: in_time: good 0.8 and warn 0.7 do not fit `lower` is better
  hint: put the limit of good on the better side of the limit of warning",
    );
}

#[test]
fn a_target_worse_than_the_warning_is_refused() {
    refuses(
        "target: 0.8",
        "target: 0.6",
        "a.yml:26:34: in_time: the target 0.6 is worse than the limit of warning 0.7
  hint: change one of them",
    );
}

#[test]
fn a_limit_of_warning_alone_is_refused() {
    refuses(
        "  target: 0.8\n  thresholds: { good: 0.8, warn: 0.7,",
        "  thresholds: { warn: 0.7,",
        "a.yml:25:23: in_time: there is `warn` but no `good`
  hint: add `good:`",
    );
}

#[test]
fn thresholds_of_a_neutral_kpi_is_refused() {
    refuses(
        "direction: higher",
        "direction: neutral",
        "a.yml:26:23: in_time: a neutral KPI has no thresholds
  hint: take them away, or choose another direction",
    );
}

#[test]
fn a_number_as_band_is_refused() {
    refuses(
        "direction: higher",
        "direction: band",
        "a.yml:26:23: in_time: `0.8` is no band
  hint: write `[from, to]`",
    );
}

#[test]
fn a_band_of_a_higher_kpi_is_refused() {
    refuses(
        "good: 0.8, warn",
        "good: [0.8, 0.9], warn",
        "a.yml:26:23: in_time: `[0.8, 0.9]` is no limit
  hint: write one number; `[from, to]` is for `direction: band`",
    );
}

#[test]
fn a_target_that_is_no_number_is_refused() {
    refuses(
        "target: 0.8",
        "target: lots",
        "a.yml:25:11: in_time: `lots` is no value of this KPI
  hint: write a number",
    );
}

#[test]
fn a_duration_target_without_unit_is_refused() {
    refuses(
        "  unit: { kind: count }",
        "  unit: { kind: duration }\n  target: 28",
        "a.yml:48:11: late_visits: `28` is no value of this KPI
  hint: write a duration such as 28s or 5m",
    );
}

#[test]
fn deprecated_without_successor_is_refused() {
    refuses(
        "  version: 1\n  title: { en: In time }",
        "  version: 1\n  status: deprecated\n  title: { en: In time }",
        "a.yml:3:8: in_time: a deprecated KPI names its successor
  hint: add `replaced_by:`",
    );
}

#[test]
fn a_successor_that_does_not_exist_is_refused() {
    refuses(
        "  version: 1\n  title: { en: In time }",
        "  version: 1\n  status: deprecated\n  replaced_by: gone\n  title: { en: In time }",
        "a.yml:6:16: in_time: there is no KPI `gone` to use instead
  hint: name an id that exists",
    );
}

#[test]
fn a_successor_of_a_living_kpi_is_refused() {
    refuses(
        "  version: 1\n  title: { en: In time }",
        "  version: 1\n  replaced_by: lateness\n  title: { en: In time }",
        "a.yml:5:16: in_time: `replaced_by` is for deprecated KPIs
  hint: add `status: deprecated` or take it away",
    );
}

#[test]
fn no_example_is_refused() {
    refuses(
        "late_visits: 0, lateness: 0",
        "lateness: 0",
        "a.yml:32:8: late_visits: no example shows this KPI
  hint: add one, or expect `late_visits` in the example of another KPI",
    );
}

#[test]
fn an_example_that_expects_nothing_is_refused() {
    refuses(
        "{ in_time: 1, late_visits: 0, lateness: 0 }",
        "{}",
        "a.yml:31:13: in_time: the example expects nothing
  hint: write `expect: { in_time: ... }`",
    );
}

#[test]
fn an_example_of_an_unknown_kpi_is_refused() {
    refuses(
        "{ in_time: 1,",
        "{ in_tme: 1,",
        "a.yml:31:23: in_time: `in_tme` is neither a KPI nor a part of this one
  hint: did you mean `in_time`?",
    );
}

#[test]
fn an_example_with_an_unknown_column_is_refused() {
    refuses(
        "wait_ms: 5s }",
        "waits_ms: 5s }",
        "a.yml:30:40: in_time: model `queue_visits` has no column `waits_ms`
  hint: did you mean `wait_ms`?",
    );
}

#[test]
fn an_example_with_a_text_for_a_flag_is_refused() {
    refuses(
        "answered: true,",
        "answered: yes,",
        "a.yml:30:24: in_time: `yes` does not fit: column `answered` holds true or false",
    );
}

#[test]
fn an_example_with_a_text_for_milliseconds_is_refused() {
    refuses(
        "wait_ms: 5s }",
        "wait_ms: long }",
        "a.yml:30:39: in_time: `long` does not fit: column `wait_ms` holds milliseconds: write a \
whole number or a duration such as 3d",
    );
}

#[test]
fn an_example_with_null_for_a_flag_is_refused() {
    refuses(
        "answered: true,",
        "answered: null,",
        "a.yml:30:24: in_time: `null` does not fit: column `answered` is never NULL",
    );
}

#[test]
fn an_example_row_never_is_refused() {
    refuses(
        "rows: [{ answered",
        "rows: [{ times: 0, answered",
        "a.yml:30:21: in_time: `0` is no number of rows
  hint: write 1 to 1000000",
    );
}

#[test]
fn an_example_with_an_unknown_parameter_is_refused() {
    refuses(
        "  - name: one\n",
        "  - name: one\n    params: { limt: 5s }\n",
        "a.yml:30:21: in_time: there is no parameter `:limt`
  hint: did you mean `limit`?",
    );
}

#[test]
fn an_example_parameter_out_of_bounds_is_refused() {
    refuses(
        "  - name: one\n",
        "  - name: one\n    params: { limit: 2h }\n",
        "a.yml:30:22: in_time: `2h` is above the greatest value `1h`",
    );
}

#[test]
fn an_example_with_a_horizon_that_is_none_is_refused() {
    refuses(
        "  - name: one\n",
        "  - name: one\n    horizon: tomorrow\n",
        "a.yml:30:14: in_time: `tomorrow` is no moment
  hint: write it as 2026-01-05T09:00:00Z",
    );
}

#[test]
fn an_example_with_a_value_that_is_none_is_refused() {
    refuses(
        "in_time: 1,",
        "in_time: many,",
        "a.yml:31:24: in_time: `many` is no expected value
  hint: write a number, a fraction a/b, or null for no value",
    );
}

#[test]
fn an_example_without_rows_is_refused() {
    refuses(
        "    rows: [{ answered: true, wait_ms: 5s }]\n",
        "",
        "a.yml:29:11: in_time: `in_time` needs rows of model `queue_visits`
  hint: add `tables: { queue_visits: [...] }`; `[]` is no rows",
    );
}

#[test]
fn an_unknown_input_is_refused() {
    refuses(
        "inputs: [late_visits, in_time]",
        "inputs: [late_visit, in_time]",
        "a.yml:55:12: lateness: there is no KPI `late_visit`
  hint: did you mean `late_visits`?",
    );
}

#[test]
fn an_input_that_is_not_used_is_refused() {
    refuses(
        "value: late_visits * in_time",
        "value: late_visits * 2",
        "a.yml:55:25: lateness: `value` does not read the input `in_time`
  hint: use it or take it away",
    );
}

#[test]
fn a_kpi_that_is_no_input_is_refused() {
    refuses(
        "value: late_visits * in_time",
        "value: late_visits * in_tim",
        "a.yml:56:24: lateness: `in_tim` is neither a part nor an input of this KPI
  hint: did you mean `in_time`?",
    );
}

/// What is said of the value of the KPI over other KPIs.
#[track_caller]
fn refuses_value(value: &str, expected: &str) {
    refuses(
        "value: late_visits * in_time",
        &format!("value: {value}"),
        expected,
    );
}

#[test]
fn a_function_over_kpis_that_there_is_not_is_refused() {
    refuses_value(
        "erlang_c_agent(late_visits, in_time)",
        "a.yml:56:10: lateness: there is no function `erlang_c_agent` in a value
  hint: did you mean `erlang_c_agents`?",
    );
    refuses_value(
        "log(late_visits, in_time)",
        "a.yml:56:10: lateness: there is no function `log` in a value
  hint: functions: baseline, control, control_baseline, first_of, erlang_b, erlang_c_wait_probability, \
         erlang_c_asa, erlang_c_occupancy, erlang_c_service_level, erlang_c_agents, \
         erlang_a_wait_probability, erlang_a_abandonment, ...",
    );
}

#[test]
fn a_function_with_too_few_or_too_many_arguments_is_refused() {
    refuses_value(
        "erlang_c_asa(late_visits, range_ms, in_time)",
        "a.yml:56:10: lateness: erlang_c_asa does not take 3 argument(s)
  hint: erlang_c_asa takes (calls, interval_ms, aht_ms, agents)",
    );
    refuses_value(
        "late_visits * first_of(in_time)",
        "a.yml:56:24: lateness: first_of does not take 1 argument(s)
  hint: first_of takes (a, b [, ...])",
    );
    refuses_value(
        "erlang_b(late_visits, in_time",
        "a.yml:56:39: lateness: `)` is missing here
  hint: count the parentheses",
    );
}

#[test]
fn a_baseline_of_what_is_no_input_is_refused() {
    refuses_value(
        "late_visits * baseline(in_tim)",
        "a.yml:56:33: lateness: `in_tim` is no input of this KPI
  hint: did you mean `in_time`?",
    );
}

#[test]
fn a_parameter_over_kpis_that_there_is_not_is_refused() {
    refuses_value(
        "late_visits * in_time * :weight",
        "a.yml:56:34: lateness: there is no parameter `:weight` here
  hint: `params`: none",
    );
}

#[test]
fn what_depends_on_the_question_is_not_for_parts() {
    for (value, said) in [
        (
            "met / base * range_ms",
            "`range_ms` is neither a part nor an input of this KPI",
        ),
        ("met / base * :limit", "there is no parameter `:limit` here"),
        (
            "met / base * baseline(met)",
            "there is no function `baseline` in a value",
        ),
        (
            "first_of(met, base)",
            "there is no function `first_of` in a value",
        ),
    ] {
        let told = error(&with("value: met / base", &format!("value: \"{value}\"")));
        assert!(told.contains(said), "{told}");
    }
}

#[test]
fn parameters_over_kpis_are_numbers_for_all_rows_and_are_read() {
    let value = "  value: late_visits * in_time";
    refuses(
        value,
        &format!("  params: {{ a: {{ type: integer, default: 2 }} }}\n{value}"),
        "a.yml:56:16: lateness: `value` does not read the parameter `:a`
  hint: use it or take it away",
    );
    refuses(
        value,
        &format!("  params: {{ a: {{ type: text, default: b }} }}\n{value} * :a"),
        "a.yml:56:16: lateness: `:a` is a text, and nothing is computed with one here
  hint: take a duration, an integer or a number",
    );
    refuses(
        value,
        &format!(
            "  params: {{ a: {{ type: integer, default: 2, by: [queue_id] }} }}\n{value} * :a"
        ),
        "a.yml:56:50: lateness: `:a` of a KPI with `inputs` is one for all rows
  hint: take `by` away",
    );
}

#[test]
fn a_longest_time_that_is_none_is_refused() {
    let value = "  value: late_visits * in_time";
    refuses(
        value,
        &format!("{value}\n  align: {{ longest: soon }}"),
        "a.yml:57:21: lateness: `soon` is not a duration
  hint: write `longest: 1h`",
    );
}

#[test]
fn a_range_or_a_baseline_beside_rows_is_refused() {
    refuses(
        "  - name: one\n",
        "  - name: one\n    range: 30m\n",
        "a.yml:29:11: in_time: `range` goes with `inputs`
  hint: give the values of the inputs",
    );
    refuses(
        "  - name: one\n",
        "  - name: one\n    baseline: { in_time: 1 }\n",
        "a.yml:29:11: in_time: `baseline` goes with `inputs`
  hint: give the values of the inputs",
    );
}

#[test]
fn inputs_in_a_circle_is_refused() {
    refuses(
        "inputs: [late_visits, in_time]",
        "inputs: [late_visits, in_time, lateness]",
        "a.yml:55:34: lateness: the inputs run in a circle: lateness -> lateness
  hint: a KPI cannot be made of itself",
    );
}

#[test]
fn a_derived_kpi_with_dimensions_is_refused() {
    refuses(
        "  value: late_visits * in_time",
        "  value: late_visits * in_time\n  dimensions: [queue_id]",
        "a.yml:57:16: lateness: a KPI with `inputs` takes `dimensions` from them
  hint: take `dimensions` away",
    );
}

#[test]
fn a_derived_kpi_with_smaller_buckets_is_refused() {
    refuses(
        "  value: late_visits * in_time",
        "  value: late_visits * in_time\n  align: { buckets: { min: 5m, default: 1h } }",
        "a.yml:57:28: lateness: `5m` is not a bucket
  hint: buckets: 15m, 30m, 1h, 1d, 1w, 1mo, 1q, 1y",
    );
}

#[test]
fn a_model_and_inputs_is_refused() {
    refuses(
        "  model: queue_visits
  grain: queue_visit
  clock: cohort
  time: entered_at
  params",
        "  model: queue_visits
  inputs: [late_visits]
  grain: queue_visit
  clock: cohort
  time: entered_at
  params",
        "a.yml:10:12: in_time: a KPI has either a `model` or `inputs`
  hint: make it two KPIs: one with parts, one with `inputs`",
    );
}

#[test]
fn an_align_without_inputs_is_refused() {
    refuses(
        "  value: met / base",
        "  value: met / base\n  align: { mature: common }",
        "a.yml:20:10: in_time: `align` is for KPIs with `inputs`
  hint: take it away",
    );
}

#[test]
fn a_sample_of_what_is_no_share_is_refused() {
    let sampled = with(
        "  dimensions: [queue_id, channel]",
        "  sample: true\n  dimensions: [queue_id, channel]",
    );
    assert_eq!(error(&sampled), "accepted");
    refuses(
        "  unit: { kind: count }",
        "  sample: true\n  unit: { kind: count }",
        "a.yml:47:11: late_visits: `sample` is for ratios that are one count_if part over another
  hint: take it away, or write `sample: false`",
    );
}
