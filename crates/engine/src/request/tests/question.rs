//! Values that depend on the question: how long its time is, its parameters, what it compares with.

use facts::Interaction;
use kpi::{ParamValue, SourceFile};

use super::*;

/// Calls for each `hours` hours, and how they were in the period before.
const OWN: &str = r#"
format: 1
kpis:
- kpi: calls_per_hour
  version: 1
  title: { en: Calls }
  group: mine
  description: Calls of an hour.
  formula: calls / hours
  inputs: [offered]
  params: { hours: { type: number, default: 1, min: 0 } }
  value: offered * :hours * 3600000 / range_ms
  empty: no_value
  unit: { kind: number }
  direction: neutral
  examples: [{ name: four, inputs: { offered: 2 }, range: 30m, expect: { calls_per_hour: 4 } }]
- kpi: calls_of_an_hour
  version: 1
  extends: calls_per_hour
  title: { en: Calls of short times }
  align: { longest: 1h }
  empty: zero
  examples: [{ name: too long, inputs: { offered: 2 }, range: 61m, expect: { calls_of_an_hour: null } }]
- kpi: growth
  version: 1
  title: { en: Growth }
  group: mine
  description: Calls for those of before.
  formula: calls / calls before
  inputs: [offered]
  value: offered / baseline(offered)
  empty: no_value
  unit: { kind: number }
  direction: neutral
  examples:
  - { name: half, inputs: { offered: 2 }, baseline: { offered: 4 }, expect: { growth: 0.5 } }
"#;

fn own(text: &str) -> Vec<SourceFile> {
    vec![SourceFile {
        name: "own.yml".to_owned(),
        text: text.to_owned(),
    }]
}

/// An engine with these definitions; data begin on 1 January and are complete up to noon of the 5th.
fn engine(visits: &[QueueVisit], params: &str, given: &[(&str, f64)]) -> Engine {
    let models = model_specs().expect("the models plan");
    let catalogue = Catalogue::load(&[kpi::builtin_files(), own(OWN)], &models);
    let catalogue = catalogue.and_then(|catalogue| catalogue.with_params(&[own(params)]));
    let catalogue = Arc::new(catalogue.unwrap_or_else(|problems| panic!("{}", problems[0])));
    let batch = store::batch(visits, 1).expect("well-formed rows");
    let hours = |hours: f64| [("hours".to_owned(), ParamValue::Number(hours))].into();
    let settings = Settings {
        horizon: Some(at("2026-01-05T12:00:00Z")),
        history_start: Some(at("2026-01-01T00:00:00Z")),
        as_of: Some(at("2026-01-05T12:00:00Z")),
        params: given
            .iter()
            .map(|(id, value)| ((*id).to_owned(), hours(*value)))
            .collect(),
        ..Settings::default()
    };
    let version = Version::from_batches([("queue_visits".to_owned(), vec![batch])].into());
    Engine::new(Arc::new(version), catalogue, settings).expect("opens")
}

/// Start and value of each row.
async fn values(engine: &Engine, request: &KpiRequest) -> Vec<(String, Option<f64>)> {
    let answer = engine.kpi(request).await.expect("answered");
    let start = |row: &KpiRow| row.period_start.map_or(String::new(), |at| at.to_string());
    answer
        .rows
        .iter()
        .map(|row| (start(row), row.value))
        .collect()
}

fn between(ids: &[&str], from: &str, to: &str) -> KpiRequest {
    KpiRequest {
        from: Some(at(from)),
        to: Some(at(to)),
        ..request(ids)
    }
}

#[tokio::test]
async fn the_length_of_the_time_is_that_of_the_bucket_in_the_range_as_far_as_it_is_known() {
    let engine = engine(&visits(), "[]", &[]);
    let mut asked = between(
        &["calls_per_hour"],
        "2026-01-05T08:30:00Z",
        "2026-01-05T14:00:00Z",
    );
    (asked.grain, asked.fill) = (Some(Grain::H1), true);
    let found = values(&engine, &asked).await;
    let told: Vec<(&str, Option<f64>)> = found.iter().map(|(at, v)| (&at[11..13], *v)).collect();
    // Half of the hour of eight is asked for; of noon on nothing is known.
    let expected = [
        ("08", Some(0.0)),
        ("09", Some(5.0)),
        ("10", Some(0.0)),
        ("11", Some(1.0)),
        ("12", None),
        ("13", None),
    ];
    assert_eq!(told, expected);
    let half = between(
        &["calls_per_hour"],
        "2026-01-05T09:00:00Z",
        "2026-01-05T09:30:00Z",
    );
    assert_eq!(values(&engine, &half).await[0].1, Some(6.0));
    let to_noon = between(
        &["calls_per_hour"],
        "2026-01-05T10:00:00Z",
        "2026-01-06T00:00:00Z",
    );
    assert_eq!(values(&engine, &to_noon).await[0].1, Some(0.5));
    // Without a range it is all the time of which something is known: four and a half days.
    let open = KpiRequest {
        from: None,
        to: None,
        ..to_noon
    };
    assert_eq!(values(&engine, &open).await[0].1, Some(7.0 / 108.0));
}

#[tokio::test]
async fn over_more_than_the_longest_time_there_is_no_value_and_a_note() {
    let engine = engine(&visits(), "[]", &[]);
    let ids = ["calls_of_an_hour", "calls_per_hour"];
    let day = between(&ids, "2026-01-05T00:00:00Z", "2026-01-06T00:00:00Z");
    let answer = engine.kpi(&day).await.expect("answered");
    assert_eq!(find(&answer, ids[0], None).value, None, "and not 0");
    let note = answer.kpis[0].note.as_deref().unwrap_or_default();
    assert!(note.contains("no value over more than 1h"), "{note}");
    assert_eq!(answer.kpis[1].note, None);
    let mut hours = day;
    hours.grain = Some(Grain::H1);
    let answer = engine.kpi(&hours).await.expect("answered");
    assert_eq!(answer.kpis[0].note, None);
    assert_eq!(answer.rows[0].value, Some(5.0));
}

#[tokio::test]
async fn parameters_are_given_dated_and_echoed() {
    let dated = "
- { kpi: calls_per_hour, params: { hours: 2 } }
- { kpi: calls_per_hour, valid_from: 2026-01-05T11:00:00Z, params: { hours: 8 } }
";
    let asked = KpiRequest {
        grain: Some(Grain::H1),
        ..between(
            &["calls_per_hour"],
            "2026-01-05T09:00:00Z",
            "2026-01-05T12:00:00Z",
        )
    };
    let site = engine(&visits(), dated, &[]);
    let found = values(&site, &asked).await;
    let found: Vec<Option<f64>> = found.into_iter().map(|(_, value)| value).collect();
    assert_eq!(found, [Some(10.0), Some(8.0)]);
    let given = engine(&visits(), dated, &[("calls_per_hour", 3.0)]);
    let answer = given.kpi(&asked).await.expect("answered");
    assert_eq!(answer.rows[0].value, Some(15.0));
    let told = serde_json::Value::from(answer.kpis[0].params_json());
    assert_eq!(told, serde_json::json!({ "hours": 3.0 }));
    let models = model_specs().expect("the models plan");
    let catalogue = Catalogue::load(&[kpi::builtin_files(), own(OWN)], &models).expect("sound");
    let by_queue = "- { kpi: calls_per_hour, where: { queue_id: a }, params: { hours: 2 } }";
    let refused = catalogue
        .with_params(&[own(by_queue)])
        .expect_err("one for all rows");
    assert!(
        refused[0].message.contains("does not differ by"),
        "{}",
        refused[0]
    );
}

#[tokio::test]
async fn a_baseline_is_that_of_the_counterpart_of_the_bucket_and_of_the_group() {
    let mut all = visits();
    for day in [3, 4] {
        let entered = format!("2026-01-0{day}T09:10:00Z");
        all.push(visit(20 + day, "support", &entered, 1_000, true));
    }
    let engine = engine(&all, "[]", &[]);
    let mut asked = between(&["growth"], "2026-01-04T00:00:00Z", "2026-01-06T00:00:00Z");
    asked.grain = Some(Grain::D1);
    asked.by = vec!["queue_id".to_owned()];
    let answer = engine.kpi(&asked).await.expect("answered");
    let note = answer.kpis[0].note.as_deref();
    assert_eq!(note, Some("growth needs a baseline: --compare FROM..TO"));
    assert!(answer.rows.iter().all(|row| row.value.is_none()));

    asked.compare = Some(Compare::Days(1));
    let answer = engine.kpi(&asked).await.expect("answered");
    assert_eq!(answer.kpis[0].note, None);
    let told = |row: &KpiRow| (row.dims[0].1.clone().unwrap_or_default(), row.value);
    let told: Vec<_> = answer.rows.iter().map(told).collect();
    let of = |queue: &str, value| (queue.to_owned(), value);
    let expected = [
        // Nobody called sales on the 3rd: a quotient of nothing.
        of("sales", None),
        of("sales", Some(4.0)),
        of("support", Some(1.0)),
        of("support", Some(2.0)),
    ];
    assert_eq!(told, expected);
    asked.over = Some(Over::Buckets(2));
    let why = engine.kpi(&asked).await.expect_err("refused").to_string();
    assert!(why.contains("neither rolling nor running"), "{why}");
}

fn contact(id: usize, channel: &str, started: &str, handled: bool) -> Interaction {
    Interaction {
        interaction_id: format!("c{id}").into(),
        root_id: format!("c{id}").into(),
        channel: channel.into(),
        direction: "inbound".into(),
        started_at: at(started),
        handled,
        ..Interaction::default()
    }
}

/// Handled contacts and orders of two channels on 4 and 5 January.
fn two_days() -> World {
    let (before, now) = ("2026-01-04T10:00:00Z", "2026-01-05T10:00:00Z");
    let counts = [
        ("voice", before, 8, 4),
        ("voice", now, 6, 4),
        ("chat", before, 4, 4),
        ("chat", now, 2, 4),
    ];
    let mut world = World::default();
    for (channel, moment, contacts, orders) in counts {
        let first = world.interactions.len();
        let contact = |n: usize| contact(first + n, channel, moment, n < contacts);
        // One more that nobody handled.
        world.interactions.extend((0..=contacts).map(contact));
        let first = world.orders.len();
        world.orders.extend((0..orders).map(|n| Order {
            channel: Some(channel.into()),
            ..order(first + n, moment)
        }));
    }
    world
}

#[tokio::test]
async fn the_deflection_index_is_of_contacts_for_each_order() {
    let engine = two_days().engine();
    let mut asked = request(&["deflection_index"]);
    asked.compare = Some(Compare::Previous);
    let answer = engine.kpi(&asked).await.expect("answered");
    let row = find(&answer, "deflection_index", None);
    assert_eq!(row.value, Some(100.0 * 8.0 / 12.0));
    assert_eq!((row.numerator, row.denominator), (Some(100.0), Some(1.5)));
    (asked.by, asked.totals) = (vec!["channel".to_owned()], true);
    let answer = engine.kpi(&asked).await.expect("answered");
    let value = |dim| find(&answer, "deflection_index", dim).value;
    assert_eq!(value(Some("voice")), Some(75.0));
    assert_eq!(value(Some("chat")), Some(50.0));
    assert_eq!(value(None), Some(100.0 * 8.0 / 12.0));
}

#[tokio::test]
async fn a_control_group_and_another_period_go_together_where_a_value_reads_both() {
    let engine = two_days().engine();
    let only = |channel: &str| {
        vec![Only {
            dimension: "channel".to_owned(),
            values: vec![channel.to_owned()],
        }]
    };
    let mut asked = KpiRequest {
        only: only("chat"),
        compare: Some(Compare::Previous),
        ..request(&["deflection_index_control"])
    };
    let answer = engine.kpi(&asked).await.expect("answered");
    let note = answer.kpis[0].note.as_deref().unwrap_or_default();
    assert!(note.contains("needs a control group"), "{note}");
    asked.control = Some(Control {
        filters: Vec::new(),
        only: only("voice"),
    });
    let answer = engine.kpi(&asked).await.expect("answered");
    let row = find(&answer, "deflection_index_control", None);
    assert_eq!(row.value, Some(100.0 * 0.5 / 0.75));
    assert_eq!(row.previous, None, "the period before has none before it");
    asked.ids.push("offered".to_owned());
    let why = engine.kpi(&asked).await.expect_err("refused").to_string();
    assert!(why.contains("not with both"), "{why}");
}

#[tokio::test]
async fn measure_tells_where_a_kpi_of_the_question_is() {
    let engine = engine(&visits(), "[]", &[]);
    let why = |query: &'static str| {
        let engine = &engine;
        async move { engine.sql(query).await.expect_err("refused").to_string() }
    };
    let said = why("SELECT MEASURE(calls_of_an_hour) FROM kpi.queue_visits").await;
    assert!(said.contains("depends on the question"), "{said}");
    assert!(
        said.contains("kpi('calls_of_an_hour', '30 minutes'"),
        "{said}"
    );
    let said = why("SELECT MEASURE(growth) FROM kpi.queue_visits").await;
    assert!(said.contains("'compare=previous')"), "{said}");
}
