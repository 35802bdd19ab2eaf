//! Values, units, durations and the tokens of row expressions.

use kpi::rowsql::{self, TokenKind};
use kpi::{
    Catalogue, Param, ParamValue, Show, Side, Unit, UnitKind, Value, duration_text,
    parse_duration_ms,
};

use crate::{catalogue, models};

#[test]
fn durations_are_whole_and_say_their_unit() {
    let cases = [
        ("20s", 20_000),
        ("1500ms", 1_500),
        ("5m", 300_000),
        ("2h", 7_200_000),
        ("7d", 604_800_000),
        ("1w", 604_800_000),
        ("0", 0),
    ];
    for (text, ms) in cases {
        assert_eq!(parse_duration_ms(text), Some(ms), "{text}");
    }
    for text in [
        "",
        "s",
        "20",
        "-5s",
        "1.5s",
        "5 s",
        "5y",
        "99999999999999999999s",
        "9223372036854775807d",
    ] {
        assert_eq!(parse_duration_ms(text), None, "{text}");
    }
    assert_eq!(
        [20_000, 90_000, 604_800_000, 1_500, 0].map(duration_text),
        ["20s", "90s", "7d", "1500ms", "0s"]
    );
}

#[test]
fn values_are_rounded_for_people_in_one_place() {
    let unit = |kind, decimals, suffix: &str| Unit {
        kind,
        of: None,
        show: Show {
            decimals,
            suffix: suffix.to_owned(),
        },
    };
    assert_eq!(unit(UnitKind::Ratio, 1, "%").format(70.0 / 96.0), "72.9 %");
    assert_eq!(unit(UnitKind::Duration, 1, "s").format(22_500.0), "22.5 s");
    assert_eq!(
        unit(UnitKind::Duration, 2, "h").format(5_400_000.0),
        "1.50 h"
    );
    assert_eq!(
        unit(UnitKind::Duration, 0, "min").format(120_000.0),
        "2 min"
    );
    assert_eq!(unit(UnitKind::Count, 0, "").format(105.0), "105");
    assert_eq!(unit(UnitKind::Currency, 2, "").format(54_000.0), "54000.00");
    assert_eq!(
        Show::usual(UnitKind::Points),
        Show {
            decimals: 1,
            suffix: "pt".to_owned()
        }
    );
}

/// A value over parts a, b, c and the histogram h.
fn value(text: &str) -> Value {
    let file = format!(
        r#"format: 1
kpis:
- kpi: v
  version: 1
  title: {{ en: V }}
  group: g
  description: V.
  formula: v
  model: queue_visits
  grain: queue_visit
  clock: cohort
  time: entered_at
  parts:
    a: {{ agg: count_if, expr: answered }}
    b: {{ agg: count_if, expr: abandoned }}
    c: {{ agg: count_if, expr: waiting }}
    h: {{ agg: histogram, expr: wait_up_s }}
  value: "{text} + 0 * (a + b + c + percentile(h, 0.5))"
  empty: no_value
  maturity: none
  dimensions: []
  unit: {{ kind: number }}
  direction: neutral
  examples: [{{ name: none, rows: [], expect: {{ v: null }} }}]
"#
    );
    let source = kpi::SourceFile {
        name: "v.yml".to_owned(),
        text: file,
    };
    let catalogue = Catalogue::load(&[vec![source]], &models())
        .unwrap_or_else(|problems| panic!("{}", problems[0]));
    match &catalogue.get("v").expect("loaded").value {
        Value::Add(value, _) => (**value).clone(),
        other => panic!("{other}"),
    }
}

fn compute(text: &str, a: Option<f64>, b: Option<f64>) -> Option<f64> {
    value(text).eval(&mut |leaf| match leaf {
        Value::Part(name) if name == "a" => a,
        Value::Part(name) if name == "b" => b,
        Value::Percentile { .. } => Some(7.0),
        Value::ShareWithin { limit, .. } => Some(*limit),
        _ => None,
    })
}

#[test]
fn operators_bind_and_group_as_in_school() {
    assert_eq!(compute("a + b * 2", Some(1.0), Some(2.0)), Some(5.0));
    assert_eq!(compute("(a + b) * 2", Some(1.0), Some(2.0)), Some(6.0));
    assert_eq!(compute("a - b - 1", Some(9.0), Some(2.0)), Some(6.0));
    assert_eq!(compute("a / b / 2", Some(8.0), Some(2.0)), Some(2.0));
    assert_eq!(compute("-a + b", Some(1.0), Some(3.0)), Some(2.0));
    assert_eq!(
        compute("100 * (a - b) / 4", Some(3.0), Some(1.0)),
        Some(50.0)
    );
    assert_eq!(compute("1 - a/b", Some(1.0), Some(4.0)), Some(0.75));
    assert_eq!(compute("percentile(h, 0.9)", None, None), Some(7.0));
    assert_eq!(compute("share_within(h, 20)", None, None), Some(20.0));
}

#[test]
fn null_in_is_null_out_and_division_by_zero_is_null() {
    assert_eq!(compute("a / b", Some(0.0), Some(0.0)), None);
    assert_eq!(compute("a / b", Some(0.0), Some(3.0)), Some(0.0));
    assert_eq!(compute("a / b", None, Some(3.0)), None);
    assert_eq!(compute("a + b", Some(1.0), None), None);
}

#[test]
fn the_canonical_text_of_a_value_reads_back_as_the_same_value() {
    for text in [
        "a",
        "a / b",
        "100 * (a - b) / c",
        "a - (b - c)",
        "a / (b / c)",
        "a / (b * c)",
        "-(a + b)",
        "-a * -b",
        "0.5 * a",
        "percentile(h, 0.95)",
        "share_within(h, 20) - a",
        "a - -b",
    ] {
        let parsed = value(text);
        assert_eq!(parsed.to_string(), text);
        assert_eq!(value(&parsed.to_string()), parsed);
    }
    assert_eq!(value("((a))/  b").to_string(), "a / b");
}

#[test]
fn linear_values_add_up_and_others_do_not() {
    for (text, linear) in [
        ("a", true),
        ("a - 2 * b", true),
        ("a / 60", true),
        ("-a", true),
        ("a / b", false),
        ("a * b", false),
        ("a + 1", false),
        ("percentile(h, 0.5)", false),
    ] {
        assert_eq!(value(text).is_linear(), linear, "{text}");
    }
}

#[test]
fn an_expression_tells_its_columns_parameters_and_functions() {
    let used = rowsql::used(
        "answered AND (\"wait_ms\" <= :limit OR outcome IN ('x', 'it''s') AND matured(entered_at, :w)) \
         AND ms_between(:as_of, left_at) > 0",
    )
    .expect("sound");
    assert_eq!(
        used.column_names(),
        ["answered", "entered_at", "left_at", "outcome", "wait_ms"]
    );
    assert_eq!(used.param_names(), ["limit", "w"]);
    let functions: Vec<_> = used
        .functions
        .iter()
        .map(|(name, _)| name.as_str())
        .collect();
    assert_eq!(functions, ["matured", "ms_between"]);
}

#[test]
fn words_inside_texts_are_no_columns() {
    let used = rowsql::used("reason_code = 'select sum(x) from :y -- z'").expect("sound");
    assert_eq!(used.column_names(), ["reason_code"]);
    assert!(used.params.is_empty() && used.functions.is_empty());
}

#[test]
fn parameters_are_replaced_outside_of_texts_only() {
    let sql = rowsql::substitute(
        "a <= :t AND b = ':t' AND c < :u AND d::bigint > :t",
        &mut |name| (name == "t").then(|| "20000".to_owned()),
    );
    assert_eq!(
        sql.as_deref(),
        Ok("a <= 20000 AND b = ':t' AND c < :u AND d::bigint > 20000")
    );
}

#[test]
fn tokens_know_their_place_also_after_other_scripts() {
    let tokens = rowsql::tokens("queue_id = '客服' AND x<=1.5e3").expect("sound");
    let offsets: Vec<usize> = tokens.iter().map(|t| t.offset).collect();
    assert_eq!(offsets, [0, 9, 11, 16, 20, 21, 23]);
    assert_eq!(tokens[2].kind, TokenKind::Text("客服".to_owned()));
    assert_eq!(tokens[6].kind, TokenKind::Number("1.5e3".to_owned()));
}

#[test]
fn an_override_of_a_parameter_is_typed_and_bounded() {
    let fcr = catalogue().get("fcr").expect("core");
    let window: &Param = fcr
        .params
        .iter()
        .find(|p| p.name == "window")
        .expect("a parameter");
    assert_eq!(window.parse("3d"), Ok(ParamValue::Duration(259_200_000)));
    assert_eq!(
        window.parse("5m"),
        Err("`5m` is below the least value `1h`".to_owned())
    );
    assert_eq!(
        window.parse("soon"),
        Err("`soon` is not a duration: write a whole number and ms, s, m, h, d or w".to_owned())
    );
    let values =
        fcr.params_in_force(&[("window".to_owned(), ParamValue::Duration(259_200_000))].into());
    assert_eq!(values["lookback"].value, ParamValue::Duration(259_200_000));
}

/// The value of a KPI over two others, `a` and `b`, with a parameter.
fn over_kpis(text: &str) -> Value {
    let file = format!(
        r#"format: 1
kpis:
- kpi: a
  version: 1
  title: {{ en: A }}
  group: mine
  description: A.
  formula: a
  model: queue_visits
  grain: queue_visit
  clock: cohort
  time: entered_at
  parts: {{ n: {{ agg: count_if, expr: answered }} }}
  value: n
  empty: no_value
  maturity: none
  dimensions: []
  unit: {{ kind: number }}
  direction: neutral
  variants: [{{ kpi: b, version: 1, title: {{ en: B }} }}]
  examples: [{{ name: none, rows: [], expect: {{ a: 0, b: 0 }} }}]
- kpi: v
  version: 1
  title: {{ en: V }}
  group: mine
  description: V.
  formula: v
  inputs: [a, b]
  params: {{ p: {{ type: duration, default: 2s }} }}
  value: "{text} + 0 * (a + b + :p)"
  empty: no_value
  unit: {{ kind: number }}
  direction: neutral
  examples: [{{ name: none, inputs: {{ a: 1 }}, expect: {{ v: null }} }}]
"#
    );
    let source = kpi::SourceFile {
        name: "v.yml".to_owned(),
        text: file,
    };
    let catalogue = Catalogue::load(&[vec![source]], &models())
        .unwrap_or_else(|problems| panic!("{}", problems[0]));
    match &catalogue.get("v").expect("loaded").value {
        Value::Add(value, _) => (**value).clone(),
        other => panic!("{other}"),
    }
}

#[test]
fn a_value_over_kpis_reads_back_as_the_same_value() {
    for text in [
        "range_ms",
        "a / range_ms * :p",
        "baseline(a) / control(b) - control_baseline(a)",
        "first_of(a, -b, a + b)",
        "2 * erlang_c_agents(a, range_ms, b, 0.8, :p)",
        "scheduled_agents(erlang_c_agents(a, 1800000, b, 0.8, :p, 0.85), 0.3)",
    ] {
        let parsed = over_kpis(text);
        assert_eq!(parsed.to_string(), text);
        assert_eq!(over_kpis(&parsed.to_string()), parsed);
        assert!(!parsed.is_linear() && !parsed.is_plain(), "{text}");
    }
    assert!(over_kpis("a - 2 * b").is_plain());
}

fn computed(text: &str, a: Option<f64>, b: Option<f64>) -> Option<f64> {
    over_kpis(text).eval(&mut |leaf| match leaf {
        Value::Kpi(id) if id == "a" => a,
        Value::Kpi(id) if id == "b" => b,
        Value::Beside(Side::Baseline, _) => Some(10.0),
        Value::Param(_) => Some(20_000.0),
        Value::RangeMs => Some(1_800_000.0),
        _ => None,
    })
}

#[test]
fn functions_are_those_of_staffing() {
    let agents = "erlang_c_agents(a, range_ms, b, 0.8, :p)";
    assert_eq!(computed(agents, Some(100.0), Some(180_000.0)), Some(14.0));
    let level = |agents: f64| {
        let text = format!("erlang_c_service_level(a, range_ms, b, {agents}, :p)");
        computed(&text, Some(100.0), Some(180_000.0))
    };
    let (fewer, more) = (level(13.0).expect("known"), level(14.0).expect("known"));
    let between = level(13.25).expect("known");
    assert!((between - (0.75 * fewer + 0.25 * more)).abs() < 1e-12);
    assert_eq!(
        level(10.5),
        None,
        "with ten agents the queue grows for ever"
    );
}

#[test]
fn an_argument_without_a_value_gives_none_but_no_calls_take_no_agents() {
    let agents = "erlang_c_agents(a, range_ms, b, 0.8, :p)";
    assert_eq!(computed(agents, Some(100.0), None), None);
    assert_eq!(computed(agents, None, Some(180_000.0)), None);
    assert_eq!(computed(agents, Some(0.0), None), Some(0.0));
    let level = "erlang_c_service_level(a, range_ms, b, 3, :p)";
    assert_eq!(computed(level, Some(0.0), Some(1_000.0)), None, "and not 1");
    assert_eq!(computed("erlang_b(a, b)", Some(0.0), None), None);
    assert_eq!(computed("first_of(b, a)", Some(3.0), None), Some(3.0));
    assert_eq!(computed("first_of(b, a)", None, None), None);
    assert_eq!(computed("a / baseline(a)", Some(5.0), None), Some(0.5));
    assert_eq!(computed("a / control(a)", Some(5.0), None), None);
}

#[test]
fn what_nobody_could_sum_up_has_no_value() {
    // A thousand calls in a second, and a patience of years.
    let text = "erlang_a_avg_wait(a, 1000, b, 50000, 100000000000)";
    assert_eq!(computed(text, Some(1_000.0), Some(60_000.0)), None);
}
