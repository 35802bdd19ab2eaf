//! Own definitions: what compiles, what is refused and how it is said.

use std::collections::HashMap;
use std::sync::Arc;

use engine::{Engine, EngineError, model_specs};
use events::Decimal;
use facts::{Common, Cost, QueueVisit};
use kpi::{Catalogue, SourceFile, builtin_files};
use store::Version;

use crate::data::settings;
use crate::slt::text_rows;

/// A definition over queue visits with one part and a value.
fn visits(part: &str, value: &str) -> String {
    definition("queue_visits", "entered_at", part, value)
}

fn definition(model: &str, time: &str, part: &str, value: &str) -> String {
    format!(
        r#"
format: 1
kpis:
- kpi: own_kpi
  version: 1
  title: {{ en: Own, zh-CN: 自有, zh-TW: 自有 }}
  group: operations
  description: A definition of a test.
  formula: as written
  source: {{ basis: "test", seeds: [] }}
  model: {model}
  grain: row
  clock: cohort
  time: {time}
  buckets: {{ min: 15m, default: 30m }}
  params: {{ limit: {{ type: duration, default: 20s }} }}
  parts: {{ a: {part} }}
  value: "{value}"
  empty: no_value
  maturity: none
  dimensions: [channel]
  unit: {{ kind: number, show: "0.00" }}
  direction: neutral
  examples: [{{ name: none, rows: [], expect: {{ own_kpi: null }} }}]
"#
    )
}

fn catalogue(definition: &str) -> Result<Arc<Catalogue>, String> {
    let models = model_specs().expect("the models plan");
    let own = SourceFile {
        name: "own.yml".to_owned(),
        text: definition.to_owned(),
    };
    Catalogue::load(&[builtin_files(), vec![own]], &models)
        .map(Arc::new)
        .map_err(|problems| {
            let text: Vec<String> = problems.iter().map(ToString::to_string).collect();
            text.join("\n")
        })
}

fn engine(definition: &str, version: Version) -> Result<Engine, EngineError> {
    let catalogue = catalogue(definition).unwrap_or_else(|e| panic!("{e}"));
    Engine::new(Arc::new(version), catalogue, settings())
}

fn no_rows() -> Version {
    Version::from_batches(HashMap::new())
}

/// The message with which a definition is refused, by the catalogue or by the engine.
async fn refusal(definition: &str) -> String {
    let catalogue = match catalogue(definition) {
        Ok(catalogue) => catalogue,
        Err(text) => return text,
    };
    let engine = Engine::new(Arc::new(no_rows()), catalogue, settings()).expect("an engine");
    match engine.snapshot().await {
        Ok(_) => panic!("accepted: {definition}"),
        Err(error) => error.to_string(),
    }
}

#[tokio::test]
async fn a_row_expression_that_does_not_fit_is_refused_with_its_place_and_reason() {
    let cases = [
        ("{ agg: count_if, expr: \"wait_ms\" }", "condition"),
        ("{ agg: sum, expr: \"queue_id\" }", "Utf8"),
        ("{ agg: sum, expr: \"wait_ms / 2.5\" }", "Float64"),
        ("{ agg: sum, expr: \"wait_ms + queue_id IS NULL\" }", "own"),
        ("{ agg: count_if, expr: \"wiat_ms > 0\" }", "wiat_ms"),
        ("{ agg: count_if, expr: \"entered_at > now()\" }", "now"),
        ("{ agg: count_if, expr: \"random() > 0.5\" }", "random"),
        ("{ agg: sum, expr: \"sum(wait_ms)\" }", "sum"),
        ("{ agg: sum, expr: \"row_number() OVER ()\" }", "own"),
        ("{ agg: sum, expr: \"(SELECT 1)\" }", "own"),
        ("{ agg: count_if, expr: \"wait_ms > :nothing\" }", "nothing"),
        ("{ agg: count_if, expr: \"answered AND\" }", "own"),
    ];
    for (part, expected) in cases {
        let text = refusal(&visits(part, "a")).await;
        assert!(text.contains("own.yml:"), "{part}: {text}");
        assert!(text.contains("own_kpi"), "{part}: {text}");
        assert!(text.contains(expected), "{part}: {text}");
    }
}

fn visit(wait_ms: Option<i64>, channel: &str) -> QueueVisit {
    QueueVisit {
        common: Common {
            tenant_id: "default".into(),
            ..Common::default()
        },
        visit_kind: "customer".into(),
        channel: channel.into(),
        wait_ms,
        wait_up_s: wait_ms.map(|w| w.saturating_add(999) / 1_000),
        answered: true,
        ..QueueVisit::default()
    }
}

async fn value(part: &str, value: &str) -> String {
    let rows = [
        visit(Some(1_000), "voice"),
        visit(Some(30_000), "voice"),
        visit(None, "chat"),
        visit(Some(5_000), "chat"),
    ];
    let batch = store::batch(&rows, 1).expect("a batch");
    let version = Version::from_batches(HashMap::from([("queue_visits".to_owned(), vec![batch])]));
    let engine = engine(&visits(part, value), version).expect("an engine");
    let answer = engine
        .sql("SELECT MEASURE(own_kpi) FROM kpi.queue_visits")
        .await;
    text_rows(&answer.unwrap_or_else(|e| panic!("{part}, {value}: {e}")))[0][0].clone()
}

#[tokio::test]
async fn every_aggregate_gives_its_value() {
    let cases = [
        ("{ agg: count_if, expr: \"wait_ms <= :limit\" }", "a", "2"),
        ("{ agg: count_if, expr: \"wait_ms > 99999\" }", "a", "0"),
        ("{ agg: sum, expr: \"wait_ms\" }", "a", "36000"),
        (
            "{ agg: sum, expr: \"CASE WHEN channel = 'chat' THEN wait_ms END\" }",
            "a",
            "5000",
        ),
        (
            "{ agg: sum, expr: \"CASE WHEN channel = 'fax' THEN wait_ms END\" }",
            "a",
            "NULL",
        ),
        ("{ agg: min, expr: \"wait_ms\" }", "a", "1000"),
        ("{ agg: max, expr: \"wait_ms\" }", "a", "30000"),
        ("{ agg: distinct, expr: \"channel\" }", "a", "2"),
        (
            "{ agg: last_by_time, expr: \"wait_ms\", per: channel }",
            "a",
            "35000",
        ),
        (
            "{ agg: last_by_time, expr: \"CASE WHEN wait_ms > 2000 THEN 1 END\", per: channel }",
            "100 * a",
            "200",
        ),
        (
            "{ agg: max_last_by_time, expr: \"wait_ms\", per: channel }",
            "a",
            "30000",
        ),
        ("{ agg: peak, expr: \"wait_ms\", per: 15m }", "a", "36000"),
        ("{ agg: peak_open, expr: \"left_at\" }", "a", "4"),
        (
            "{ agg: histogram, expr: \"wait_up_s\" }",
            "percentile(a, 0.5)",
            "5",
        ),
        (
            "{ agg: histogram, expr: \"wait_up_s\" }",
            "share_within(a, 5)",
            "0.6666666666666666",
        ),
        (
            "{ agg: sum, expr: \"wait_ms\" }",
            "a / 7",
            "5142.857142857143",
        ),
        ("{ agg: sum, expr: \"wait_ms\" }", "-a + 1", "-35999"),
        (
            "{ agg: count_if, expr: \"wait_ms > 99999\" }",
            "1 / a",
            "NULL",
        ),
        (
            "{ agg: max, expr: \"ms_between(entered_at, :horizon)\" }",
            "a",
            "1770163200000",
        ),
    ];
    for (part, over, expected) in cases {
        assert_eq!(value(part, over).await, expected, "{part}, {over}");
    }
}

#[tokio::test]
async fn what_is_open_is_counted_only_where_the_condition_of_its_case_holds() {
    let part = "{ agg: peak_open, expr: \"CASE WHEN channel = 'chat' THEN left_at END\" }";
    assert_eq!(value(part, "a").await, "2");
}

#[tokio::test]
async fn latest_rows_and_peaks_are_not_put_together_from_numbers_of_a_grain_view() {
    for part in [
        "{ agg: last_by_time, expr: \"wait_ms\", per: channel }",
        "{ agg: max_last_by_time, expr: \"wait_ms\", per: channel }",
        "{ agg: peak, expr: \"wait_ms\", per: 1h }",
        "{ agg: peak_open, expr: \"entered_at + INTERVAL '1 second' * (wait_ms / 1000)\" }",
    ] {
        not_put_together(part).await;
    }
}

async fn not_put_together(part: &str) {
    let batch = store::batch(&[visit(Some(1_000), "voice")], 1).expect("a batch");
    let version = Version::from_batches(HashMap::from([("queue_visits".to_owned(), vec![batch])]));
    let engine = engine(&visits(part, "a"), version).expect("an engine");
    let day = engine
        .sql("SELECT own_kpi FROM kpi.queue_visits_1d")
        .await
        .expect("its own value");
    let expected = if part.contains("peak_open") {
        "1"
    } else {
        "1000"
    };
    assert_eq!(text_rows(&day)[0][0], expected);
    let again = engine
        .sql("SELECT MEASURE(own_kpi) FROM kpi.queue_visits_1d")
        .await;
    let error = again.expect_err("refused").to_string();
    assert!(error.contains("use kpi.queue_visits"), "{error}");
}

fn cost(amount: i128, currency: &str) -> Cost {
    Cost {
        common: Common {
            tenant_id: "default".into(),
            ..Common::default()
        },
        amount: Decimal(amount),
        currency: currency.into(),
        channel: Some("voice".into()),
        ..Cost::default()
    }
}

#[tokio::test]
async fn money_of_two_currencies_is_not_added() {
    let part = "{ agg: sum, expr: \"amount\" }";
    let text = definition("costs", "day_at", part, "a");
    let sql = "SELECT MEASURE(own_kpi) FROM kpi.costs";
    for (currencies, expected) in [(["CNY", "CNY"], Ok("3.0000")), (["CNY", "USD"], Err("USD"))] {
        let rows = [cost(10_000, currencies[0]), cost(20_000, currencies[1])];
        let batch = store::batch(&rows, 1).expect("a batch");
        let version = Version::from_batches(HashMap::from([("costs".to_owned(), vec![batch])]));
        let answer = engine(&text, version).expect("an engine").sql(sql).await;
        match expected {
            Ok(sum) => assert_eq!(text_rows(&answer.expect("one currency"))[0][0], sum),
            Err(name) => {
                let error = answer.expect_err("two currencies").to_string();
                assert!(error.contains("CNY") && error.contains(name), "{error}");
            }
        }
    }
}

#[tokio::test]
async fn an_overflowing_sum_is_an_error_and_no_number() {
    let rows = [visit(Some(i64::MAX), "voice"), visit(Some(1), "voice")];
    let batch = store::batch(&rows, 1).expect("a batch");
    let version = Version::from_batches(HashMap::from([("queue_visits".to_owned(), vec![batch])]));
    let text = visits("{ agg: sum, expr: \"wait_ms\" }", "a");
    let engine = engine(&text, version).expect("an engine");
    let error = engine
        .sql("SELECT MEASURE(own_kpi) FROM kpi.queue_visits")
        .await;
    assert!(matches!(error, Err(EngineError::Overflow(_))), "{error:?}");
}

#[tokio::test]
async fn the_examples_on_the_page_about_kpi_files_come_out() {
    let page = include_str!("../../../../docs/kpi-files.md");
    let (_, rest) = page.split_once("```yaml\n").expect("a definition");
    let (definition, _) = rest.split_once("```\n").expect("its end");
    let catalogue = catalogue(definition).unwrap_or_else(|e| panic!("{e}"));
    let own = |kpi: &kpi::Kpi| kpi.place.file == "own.yml";
    let checked = engine::check_some(&catalogue, &own)
        .await
        .expect("the models plan");
    assert!(checked.problems.is_empty(), "{:?}", checked.problems);
    assert_eq!((checked.examples, checked.numbers), (3, 7));
}
