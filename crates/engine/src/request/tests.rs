//! Requests over a few hand-written facts and the built-in catalogue.

mod question;

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::RecordBatch;
use events::Decimal;
use facts::{Cost, Interaction, Leg, Order, QueueVisit};
use kpi::Catalogue;
use store::Version;

use super::*;
use crate::{Settings, model_specs};

fn at(text: &str) -> UtcMicros {
    UtcMicros::parse_rfc3339(text).expect("a time")
}

fn visit(id: usize, queue: &str, entered: &str, wait_ms: i64, answered: bool) -> QueueVisit {
    QueueVisit {
        visit_id: format!("v{id}").into(),
        interaction_id: format!("i{id}").into(),
        visit_kind: "customer".into(),
        channel: "voice".into(),
        direction: "inbound".into(),
        queue_id: queue.into(),
        entered_at: at(entered),
        left_at: Some(at(entered).plus_ms(wait_ms)),
        outcome: if answered { "answered" } else { "abandoned" }.into(),
        answered,
        abandoned: !answered,
        wait_ms: Some(wait_ms),
        wait_up_s: Some((wait_ms + 999) / 1_000),
        wait_down_s: Some(wait_ms / 1_000),
        ..QueueVisit::default()
    }
}

/// Two queues on 5 January and one visit on the 4th.
fn visits() -> Vec<QueueVisit> {
    [
        ("sales", "2026-01-05T09:00:00Z", 10_000, true),
        ("sales", "2026-01-05T09:05:00Z", 25_000, true),
        ("sales", "2026-01-05T09:40:00Z", 20_000, true),
        ("sales", "2026-01-05T09:45:00Z", 3_000, false),
        ("support", "2026-01-05T09:10:00Z", 40_000, false),
        ("support", "2026-01-05T11:00:00Z", 5_000, true),
        ("sales", "2026-01-04T09:00:00Z", 5_000, true),
    ]
    .into_iter()
    .enumerate()
    .map(|(id, (queue, entered, wait_ms, answered))| visit(id, queue, entered, wait_ms, answered))
    .collect()
}

fn cost(id: &str, day: &str, amount: i128, currency: &str) -> Cost {
    Cost {
        cost_id: id.into(),
        day: day.into(),
        day_at: at(&format!("{day}T00:00:00Z")),
        day_ends_at: Some(at(&format!("{day}T00:00:00Z")).plus_ms(86_400_000)),
        pool: "labour".into(),
        purpose: "sales".into(),
        amount: Decimal(amount * 10_000),
        currency: currency.into(),
        ..Cost::default()
    }
}

fn order(id: usize, placed: &str) -> Order {
    Order {
        order_id: format!("o{id}").into(),
        placed_at: at(placed),
        valid: true,
        kind: "new".into(),
        ..Order::default()
    }
}

struct World {
    visits: Vec<QueueVisit>,
    costs: Vec<Cost>,
    orders: Vec<Order>,
    interactions: Vec<Interaction>,
    horizon: &'static str,
}

impl Default for World {
    fn default() -> Self {
        let horizon = "2026-01-06T00:00:00Z";
        World {
            visits: visits(),
            costs: Vec::new(),
            orders: Vec::new(),
            interactions: Vec::new(),
            horizon,
        }
    }
}

impl World {
    fn engine(&self) -> Engine {
        let mut batches = HashMap::new();
        let mut add = |name: &str, batch: Result<RecordBatch, store::Error>| {
            batches.insert(name.to_owned(), vec![batch.expect("well-formed rows")]);
        };
        add("queue_visits", store::batch(&self.visits, 1));
        add("costs", store::batch(&self.costs, 1));
        add("orders", store::batch(&self.orders, 1));
        add("interactions", store::batch(&self.interactions, 1));
        add("legs", store::batch::<Leg>(&[], 1));
        let models = model_specs().expect("the models plan");
        let catalogue = Arc::new(Catalogue::builtin(&models).expect("a sound catalogue"));
        let settings = Settings {
            horizon: Some(at(self.horizon)),
            history_start: Some(at("2026-01-01T00:00:00Z")),
            as_of: Some(at(self.horizon)),
            ..Settings::default()
        };
        Engine::new(
            Arc::new(Version::from_batches(batches)),
            catalogue,
            settings,
        )
        .expect("opens")
    }
}

fn request(ids: &[&str]) -> KpiRequest {
    KpiRequest {
        ids: ids.iter().map(|id| (*id).to_owned()).collect(),
        from: Some(at("2026-01-05T00:00:00Z")),
        to: Some(at("2026-01-06T00:00:00Z")),
        ..KpiRequest::default()
    }
}

async fn answer(request: &KpiRequest) -> KpiAnswer {
    World::default()
        .engine()
        .kpi(request)
        .await
        .expect("answered")
}

async fn refusal(request: &KpiRequest) -> String {
    World::default()
        .engine()
        .kpi(request)
        .await
        .expect_err("refused")
        .to_string()
}

fn find<'a>(answer: &'a KpiAnswer, kpi: &str, dim: Option<&str>) -> &'a KpiRow {
    let same =
        |row: &&KpiRow| row.kpi == kpi && row.dims.first().and_then(|(_, v)| v.as_deref()) == dim;
    answer.rows.iter().find(same).expect("the row is there")
}

#[tokio::test]
async fn totals_have_value_operands_and_where_they_come_from() {
    let answer = answer(&request(&["service_level", "asa", "offered", "wait_p90"])).await;
    assert_eq!(answer.rows.len(), 4);
    let level = &answer.rows[0];
    // The abandon after 3 s is short: not in the base.
    assert_eq!((level.numerator, level.denominator), (Some(3.0), Some(5.0)));
    assert_eq!((level.value, level.n), (Some(0.6), Some(5.0)));
    assert_eq!(level.version, answer.kpis[0].version);
    assert_eq!((level.hash.len(), level.period_start), (64, None));
    assert_eq!(find(&answer, "asa", None).value, Some(15_000.0));
    let offered = find(&answer, "offered", None);
    assert_eq!((offered.value, offered.denominator), (Some(6.0), None));
    let p90 = find(&answer, "wait_p90", None);
    assert_eq!(p90.n, Some(4.0), "values behind the percentile");
}

#[tokio::test]
async fn dimensions_and_buckets_cut_the_same_numbers() {
    let mut by_queue = request(&["service_level", "offered"]);
    by_queue.by = vec!["queue_id".to_owned()];
    let answer = answer(&by_queue).await;
    assert_eq!(
        find(&answer, "service_level", Some("sales")).denominator,
        Some(3.0)
    );
    assert_eq!(
        find(&answer, "service_level", Some("support")).value,
        Some(0.5)
    );
    assert_eq!(find(&answer, "offered", Some("sales")).value, Some(4.0));

    let mut half_hours = request(&["offered"]);
    half_hours.grain = Some(Grain::M30);
    half_hours.zone = Some("Asia/Kathmandu".to_owned());
    let answer = World::default()
        .engine()
        .kpi(&half_hours)
        .await
        .expect("answered");
    let starts: Vec<UtcMicros> = answer.rows.iter().filter_map(|r| r.period_start).collect();
    let wanted = [
        "2026-01-05T08:45:00Z",
        "2026-01-05T09:15:00Z",
        "2026-01-05T09:45:00Z",
    ];
    assert_eq!(starts[..3], wanted.map(at));
    assert_eq!(answer.rows.iter().filter_map(|r| r.value).sum::<f64>(), 6.0);
}

#[tokio::test]
async fn rows_without_the_time_of_a_kpi_are_in_no_bucket_and_no_group() {
    let mut world = World::default();
    // Still waiting, in a queue of their own: `answered_event` goes by when a visit left.
    for id in 7..10 {
        let waits = visit(id, "night", "2026-01-05T22:00:00Z", 0, false);
        world.visits.push(QueueVisit {
            left_at: None,
            outcome: "waiting".into(),
            waiting: true,
            abandoned: false,
            wait_ms: None,
            ..waits
        });
    }
    let engine = world.engine();
    let ranges = [
        request(&["answered_event", "asa_event"]),
        KpiRequest {
            from: None,
            to: None,
            ..request(&["answered_event", "asa_event"])
        },
    ];
    for mut asked in ranges {
        let total = engine.kpi(&asked).await.expect("answered");
        asked.by = vec!["queue_id".to_owned()];
        for grain in [None, Some(Grain::H1), Some(Grain::D1)] {
            asked.grain = grain;
            let answer = engine.kpi(&asked).await.expect("answered");
            let timed = |row: &KpiRow| row.period_start.is_some() == grain.is_some();
            assert!(answer.rows.iter().all(timed), "{:?}", answer.rows);
            let groups: Vec<_> = answer.rows.iter().map(|r| &r.dims[0].1).collect();
            assert!(!groups.contains(&&Some("night".to_owned())), "{groups:?}");
            let counted = answer.rows.iter().filter(|r| r.kpi == "answered_event");
            let sum: f64 = counted.filter_map(|r| r.value).sum();
            assert_eq!(Some(sum), total.rows[0].value, "{grain:?}");
        }
    }
}

#[tokio::test]
async fn nothing_is_zero_for_counts_and_no_value_for_ratios() {
    let mut empty = request(&["offered", "service_level", "longest_wait"]);
    empty.from = Some(at("2026-01-02T00:00:00Z"));
    empty.to = Some(at("2026-01-03T00:00:00Z"));
    let answer = answer(&empty).await;
    let values: Vec<Option<f64>> = answer.rows.iter().map(|r| r.value).collect();
    assert_eq!(values, [Some(0.0), None, None]);
}

/// The data of [`World`] begin on 1 January and end with the 5th.
#[tokio::test]
async fn before_and_after_the_data_a_count_is_not_zero_but_unknown() {
    let engine = World::default().engine();
    for (from, to, offered) in [
        ("2025-06-01T00:00:00Z", "2025-06-02T00:00:00Z", None),
        ("2025-12-31T00:00:00Z", "2026-01-01T00:00:00Z", None),
        ("2025-12-31T00:00:00Z", "2026-01-01T00:00:01Z", Some(0.0)),
        ("2026-01-05T23:59:00Z", "2026-02-01T00:00:00Z", Some(0.0)),
        ("2026-01-06T00:00:00Z", "2026-02-01T00:00:00Z", None),
        ("2025-01-01T00:00:00Z", "2027-01-01T00:00:00Z", Some(7.0)),
    ] {
        let mut asked = request(&["offered", "service_level"]);
        (asked.from, asked.to) = (Some(at(from)), Some(at(to)));
        let answer = engine.kpi(&asked).await.expect("answered");
        let row = find(&answer, "offered", None);
        assert_eq!(row.value, offered, "{from} to {to}");
        assert_eq!(row.parts.is_empty(), offered.is_none(), "{row:?}");
        let level = find(&answer, "service_level", None);
        let n = offered.map(|offered| (offered - 1.0).max(0.0));
        assert_eq!((level.denominator, level.n), (n, n), "{from} to {to}");
        assert_eq!(answer.incomplete_before, None);
    }
}

/// Values with blanks between, `-` where there is none.
fn words(values: impl Iterator<Item = Option<f64>>) -> String {
    let word = |value: Option<f64>| value.map_or("-".to_owned(), |value| value.to_string());
    values.map(word).collect::<Vec<_>>().join(" ")
}

#[tokio::test]
async fn buckets_before_and_after_the_data_are_filled_with_no_value() {
    let engine = World::default().engine();
    let mut asked = request(&["offered"]);
    asked.from = Some(at("2025-12-30T00:00:00Z"));
    asked.to = Some(at("2026-01-08T00:00:00Z"));
    asked.grain = Some(Grain::D1);
    asked.fill = true;
    let told = async |asked: &KpiRequest| {
        let answer = engine.kpi(asked).await.expect("answered");
        words(answer.rows.iter().map(|row| row.value))
    };
    assert_eq!(told(&asked).await, "- - 0 0 0 1 6 - -");
    asked.over = Some(Over::Buckets(2));
    assert_eq!(told(&asked).await, "- - 0 0 0 1 7 6 -", "over two days");
    asked.by = vec!["queue_id".to_owned()];
    let (sales, support) = ("- - 0 0 0 1 5 4 -", "- - 0 0 0 0 2 2 -");
    assert_eq!(told(&asked).await, format!("{sales} {support}"));
    asked.over = None;
    let (sales, support) = ("- - 0 0 0 1 4 - -", "- - 0 0 0 0 2 - -");
    assert_eq!(told(&asked).await, format!("{sales} {support}"));

    // The small chart of who does not ask for every bucket.
    (asked.by, asked.fill) = (Vec::new(), false);
    let answer = engine.kpi(&asked).await.expect("answered");
    let series = answer.series("offered", &[]);
    let series = words(series.into_iter().map(|(_, value)| value));
    assert_eq!(series, "- - 0 0 0 1 6 - -");

    let sql = "SELECT count(*), count(value) \
               FROM kpi('offered', '1 day', NULL, '2025-12-30', '2026-01-08', 'fill')";
    assert_eq!(number(&engine, sql).await, Some(9.0));
    let sql = sql.replace("count(*), ", "");
    assert_eq!(number(&engine, &sql).await, Some(5.0));
}

#[tokio::test]
async fn a_period_before_the_data_is_no_zero_to_compare_with_and_that_is_said() {
    let engine = World::default().engine();
    let begin = Some(at("2026-01-01T00:00:00Z"));
    let previous = Compare::Previous;
    for (from, to, compare, before, said) in [
        ("2026-01-01", "2026-01-03", previous, None, begin),
        ("2026-01-01", "2026-01-06", Compare::Months(12), None, begin),
        ("2026-01-02", "2026-01-06", previous, Some(0.0), begin),
        ("2026-01-03", "2026-01-05", previous, Some(0.0), None),
        ("2026-01-05", "2026-01-06", previous, Some(1.0), None),
        ("2026-01-05", "2026-01-06", Compare::Weeks(4), None, None),
    ] {
        let mut asked = request(&["offered"]);
        let midnight = |day: &str| Some(at(&format!("{day}T00:00:00Z")));
        (asked.from, asked.to) = (midnight(from), midnight(to));
        asked.compare = Some(compare);
        let answer = engine.kpi(&asked).await.expect("answered");
        let row = find(&answer, "offered", None);
        let told = (row.previous, answer.incomplete_before);
        assert_eq!(told, (before, said), "{from} to {to} {compare:?}");
        assert!(row.value.is_some() && row.difference.is_none(), "{row:?}");
    }
    let mut hours = request(&["offered"]);
    hours.grain = Some(Grain::H1);
    hours.fill = true;
    hours.compare = Some(Compare::Days(7));
    let hours = engine.kpi(&hours).await.expect("answered");
    assert!(hours.rows.iter().all(|row| row.previous.is_none()));
    assert!(hours.rows.iter().all(|row| row.value.is_some()));
}

/// Support had no call on the 4th: that is 0 beside the hours of the 5th, whether rows of nothing were
/// asked for or not.
#[tokio::test]
async fn beside_a_row_stands_what_nothing_means_also_without_fill() {
    let engine = World::default().engine();
    let mut asked = request(&["offered"]);
    asked.from = Some(at("2026-01-05T00:00:00Z"));
    asked.to = Some(at("2026-01-06T00:00:00Z"));
    asked.by = vec!["queue_id".to_owned()];
    asked.grain = Some(Grain::H1);
    for (compare, before) in [
        (Compare::Days(1), ["1", "0", "0"]),
        (Compare::Previous, ["1", "0", "0"]),
        (Compare::Months(12), ["-", "-", "-"]),
    ] {
        asked.compare = Some(compare);
        for fill in [false, true] {
            asked.fill = fill;
            let answer = engine.kpi(&asked).await.expect("answered");
            let rows = answer.rows.iter();
            let counted = rows.filter(|row| row.value.is_some_and(|value| value > 0.0));
            let told = words(counted.map(|row| row.previous));
            assert_eq!(told, before.join(" "), "{compare:?} {fill}");
        }
    }
    (asked.grain, asked.fill) = (None, false);
    asked.compare = Some(Compare::Days(1));
    let answer = engine.kpi(&asked).await.expect("answered");
    assert_eq!(words(answer.rows.iter().map(|row| row.previous)), "1 0");
}

#[tokio::test]
async fn a_rolling_value_that_begins_before_the_data_says_so() {
    let engine = World::default().engine();
    let begin = Some(at("2026-01-01T00:00:00Z"));
    for (over, said) in [
        (Over::Buckets(7), begin),
        (Over::Buckets(5), None),
        (Over::Start, None),
    ] {
        let mut asked = request(&["offered"]);
        asked.from = Some(at("2026-01-05T00:00:00Z"));
        asked.to = Some(at("2026-01-06T00:00:00Z"));
        asked.grain = Some(Grain::D1);
        asked.over = Some(over);
        let answer = engine.kpi(&asked).await.expect("answered");
        assert_eq!(answer.incomplete_before, said, "{over:?}");
    }
}

#[tokio::test]
async fn where_no_row_counts_yet_a_count_is_not_zero() {
    let mut world = trade("2026-02-17T00:00:00Z");
    for order in &mut world.orders {
        order.agent_id = Some("a".into());
        order.value_net = Decimal(100_000);
        order.currency = Some("EUR".into());
    }
    // Orders count 45 days after they were placed: up to the 3rd at midnight.
    let mut asked = request(&["order_value_net_agents"]);
    asked.from = Some(at("2025-12-31T00:00:00Z"));
    asked.grain = Some(Grain::D1);
    asked.fill = true;
    let answer = world.engine().kpi(&asked).await.expect("answered");
    let matured_to = answer.kpis[0].matured_to;
    assert_eq!(matured_to, Some(at("2026-01-03T00:00:00Z")));
    let values: Vec<_> = answer.rows.iter().map(|row| row.value).collect();
    let twenty = Some(20.0);
    assert_eq!(values, [None, twenty, twenty, None, None, None]);
}

/// Of a plan there are rows in days to come.
#[tokio::test]
async fn what_counts_rows_after_the_data_has_its_value() {
    let mut world = World::default();
    let ahead = visit(9, "sales", "2026-01-07T09:00:00Z", 60_000, true);
    world.visits.push(ahead);
    let mut asked = request(&["offered", "abandoned", "service_level"]);
    asked.from = Some(at("2026-01-07T00:00:00Z"));
    asked.to = Some(at("2026-01-08T00:00:00Z"));
    let answer = world.engine().kpi(&asked).await.expect("answered");
    let values: Vec<_> = answer.rows.iter().map(|row| row.value).collect();
    assert_eq!(values, [Some(1.0), None, Some(0.0)]);
}

#[tokio::test]
async fn filters_are_conditions_on_columns() {
    let mut filtered = request(&["offered"]);
    filtered.filters = vec![
        "queue_id = 'sales'".to_owned(),
        "wait_ms < 25000".to_owned(),
    ];
    assert_eq!(answer(&filtered).await.rows[0].value, Some(3.0));
    filtered.filters = vec!["queue = 'sales'".to_owned()];
    assert!(refusal(&filtered).await.contains("queue = 'sales'"));
    assert!(
        refusal(&filtered)
            .await
            .contains("did you mean `queue_id`?")
    );
    filtered.filters = vec!["nope = 1".to_owned()];
    let text = refusal(&filtered).await;
    assert!(
        text.contains("queue_visits has no column nope") && text.contains("its columns"),
        "{text}"
    );
    filtered.filters = vec!["service_level > 0.5".to_owned()];
    assert!(refusal(&filtered).await.contains("service_level"));
}

#[tokio::test]
async fn the_period_before_stands_beside_each_value() {
    let mut compared = request(&["offered", "service_level"]);
    compared.compare = Some(Compare::Previous);
    compared.by = vec!["queue_id".to_owned()];
    let now = answer(&compared).await;
    let sales = find(&now, "offered", Some("sales"));
    assert_eq!((sales.value, sales.previous), (Some(4.0), Some(1.0)));
    assert_eq!(find(&now, "service_level", Some("support")).previous, None);
    compared.grain = Some(Grain::H1);
    let hours = answer(&compared).await;
    let nine = hours
        .rows
        .iter()
        .find(|r| r.kpi == "offered" && r.period_start == Some(at("2026-01-05T09:00:00Z")));
    assert_eq!(nine.expect("nine o'clock").previous, Some(1.0));
    compared.to = None;
    assert!(
        refusal(&compared)
            .await
            .contains("needs a start and an end")
    );
}

#[tokio::test]
async fn a_day_stands_beside_the_day_before_hour_by_hour() {
    let mut compared = request(&["offered"]);
    compared.compare = Some(Compare::Days(1));
    compared.grain = Some(Grain::H1);
    compared.fill = true;
    let answer = answer(&compared).await;
    assert_eq!(answer.rows.len(), 24);
    let both: Vec<_> = [8, 9, 11]
        .map(|hour| (answer.rows[hour].value, answer.rows[hour].previous))
        .into();
    assert_eq!(
        both,
        [
            (Some(0.0), Some(0.0)),
            (Some(5.0), Some(1.0)),
            (Some(1.0), Some(0.0))
        ]
    );
    let yesterday = (at("2026-01-04T00:00:00Z"), at("2026-01-05T00:00:00Z"));
    assert_eq!(answer.compared, Some(yesterday));
}

#[tokio::test]
async fn a_dimension_may_be_held_to_values_that_are_no_sql() {
    let mut held = request(&["offered", "service_level"]);
    let only = |values: &[&str]| {
        vec![Only {
            dimension: "queue_id".to_owned(),
            values: values.iter().map(|v| (*v).to_owned()).collect(),
        }]
    };
    held.only = only(&["support", "'; DROP TABLE x; --"]);
    assert_eq!(answer(&held).await.rows[0].value, Some(2.0));
    held.only = only(&["support", "sales"]);
    assert_eq!(answer(&held).await.rows[0].value, Some(6.0));
    held.only = only(&["nobody"]);
    assert_eq!(answer(&held).await.rows[0].value, Some(0.0));
    held.only = only(&[]);
    assert!(refusal(&held).await.contains("has no value"));
    held.only[0].dimension = "agent_id".to_owned();
    let text = refusal(&held).await;
    assert!(text.contains("filtered by agent_id"), "{text}");
}

#[tokio::test]
async fn totals_come_from_the_parts_and_not_from_the_groups() {
    let mut split = request(&["service_level", "offered"]);
    split.by = vec!["queue_id".to_owned()];
    split.totals = true;
    let split = answer(&split).await;
    let whole = answer(&request(&["service_level", "offered"])).await;
    let totals: Vec<_> = split.rows.iter().filter(|r| r.dims.is_empty()).collect();
    assert_eq!(totals, whole.rows.iter().collect::<Vec<_>>());
    assert_eq!(split.rows.len(), 4 + 2);
    assert!(split.rows[4..].iter().all(|row| row.dims.is_empty()));
}

#[tokio::test]
async fn every_bucket_of_every_group_has_a_row_when_asked_for() {
    let mut filled = request(&["offered", "service_level"]);
    filled.grain = Some(Grain::H1);
    filled.by = vec!["queue_id".to_owned()];
    filled.fill = true;
    let full = answer(&filled).await;
    assert_eq!(full.rows.len(), 2 * 2 * 24);
    let nothing = find(&full, "service_level", Some("support"));
    assert_eq!((nothing.value, nothing.n), (None, None));
    filled.only = vec![Only {
        dimension: "queue_id".to_owned(),
        values: vec!["nobody".to_owned()],
    }];
    assert_eq!(answer(&filled).await.rows.len(), 0);
    filled.by.clear();
    assert_eq!(answer(&filled).await.rows.len(), 2 * 24);
    filled.grain = None;
    assert!(refusal(&filled).await.contains("bucket size"));
    filled.grain = Some(Grain::M15);
    filled.from = Some(at("2020-01-01T00:00:00Z"));
    assert!(refusal(&filled).await.contains("more than 10000 buckets"));
}

#[tokio::test]
async fn a_series_has_every_bucket_once() {
    let mut hours = request(&["offered", "service_level"]);
    hours.grain = Some(Grain::H1);
    let answer = answer(&hours).await;
    let offered = answer.series("offered", &[]);
    assert_eq!(offered.len(), 24);
    assert_eq!(offered[9], (at("2026-01-05T09:00:00Z"), Some(5.0)));
    assert_eq!(offered[10].1, Some(0.0), "nothing is zero for a count");
    assert_eq!(answer.series("service_level", &[])[10].1, None);
}

#[tokio::test]
async fn what_a_kpi_does_not_have_is_refused_with_what_it_has() {
    let mut wrong = request(&["service_level"]);
    wrong.by = vec!["agent_id".to_owned()];
    let text = refusal(&wrong).await;
    assert!(
        text.contains("agent_id") && text.contains("queue_id, channel"),
        "{text}"
    );
    let mut wrong = request(&["cost_per_valid_order"]);
    wrong.by = vec!["agent_id".to_owned()];
    assert!(refusal(&wrong).await.contains("not all of its inputs"));
    let mut wrong = request(&["cost_per_valid_order"]);
    wrong.grain = Some(Grain::H1);
    assert!(refusal(&wrong).await.contains("smallest bucket is 1d"));
    let months = refusal(&request(&["retention_cost"])).await;
    assert!(months.contains("whole buckets of 1mo"), "{months}");
    assert!(
        refusal(&request(&["servise_level"]))
            .await
            .contains("service_level")
    );
    let mut wrong = request(&["offered"]);
    wrong.zone = Some("Mars".to_owned());
    assert!(refusal(&wrong).await.contains("IANA"));
    wrong = request(&["offered"]);
    wrong.to = wrong.from;
    assert!(refusal(&wrong).await.contains("is empty"));
    assert!(refusal(&request(&[])).await.contains("ask for 1"));
}

/// Costs of 1 to 3 January; two orders a day from the 1st to the 4th.
fn trade(horizon: &'static str) -> World {
    let days = ["2026-01-01", "2026-01-02", "2026-01-03", "2026-01-04"];
    World {
        interactions: Vec::new(),
        visits: Vec::new(),
        costs: days[..3]
            .iter()
            .map(|day| cost(day, day, 100, "EUR"))
            .collect(),
        orders: (0..8)
            .map(|i| order(i, &format!("{}T12:00:00Z", days[i / 2])))
            .collect(),
        horizon,
    }
}

#[tokio::test]
async fn models_are_aggregated_apart_and_cut_to_where_all_are_mature() {
    let mut whole = request(&["cost_per_valid_order"]);
    (whole.from, whole.to) = (None, None);
    // Everything is mature; costs are posted up to the 3rd.
    let late = trade("2026-02-01T00:00:00Z")
        .engine()
        .kpi(&whole)
        .await
        .expect("answered");
    let row = &late.rows[0];
    assert_eq!((row.numerator, row.denominator), (Some(300.0), Some(6.0)));
    assert_eq!(
        (row.value, row.currency.as_deref()),
        (Some(50.0), Some("EUR"))
    );
    assert_eq!(late.kpis[0].matured_to, Some(at("2026-01-04T00:00:00Z")));
    // Seven days after the 2nd only the orders of the 1st have matured as a whole day.
    let early = trade("2026-01-09T18:00:00Z")
        .engine()
        .kpi(&whole)
        .await
        .expect("answered");
    assert_eq!(early.rows[0].numerator, Some(100.0));
    assert_eq!(early.rows[0].denominator, Some(2.0));
    assert_eq!(early.kpis[0].matured_to, Some(at("2026-01-02T00:00:00Z")));
    // By day: a day each, and none beyond.
    whole.grain = Some(Grain::D1);
    let days = trade("2026-02-01T00:00:00Z")
        .engine()
        .kpi(&whole)
        .await
        .expect("answered");
    assert_eq!(
        days.rows.iter().map(|r| r.value).collect::<Vec<_>>(),
        [Some(50.0); 3]
    );
}

#[tokio::test]
async fn money_of_two_currencies_is_not_added() {
    let mut world = trade("2026-02-01T00:00:00Z");
    world.costs.push(cost("x", "2026-01-02", 100, "CNY"));
    let mut whole = request(&["sales_cost"]);
    (whole.from, whole.to) = (None, None);
    let text = world
        .engine()
        .kpi(&whole)
        .await
        .expect_err("refused")
        .to_string();
    assert!(text.contains("CNY") && text.contains("EUR"), "{text}");
    whole.filters = vec!["currency = 'EUR'".to_owned()];
    let answer = world.engine().kpi(&whole).await.expect("answered");
    assert_eq!(answer.rows[0].value, Some(300.0));
}

#[tokio::test]
async fn amounts_of_two_currencies_do_not_stand_beside_each_other() {
    let mut world = trade("2026-02-01T00:00:00Z");
    world.costs = vec![
        cost("a", "2026-01-01", 7_800, "CNY"),
        cost("b", "2026-01-02", 1_000, "EUR"),
    ];
    let mut asked = request(&["sales_cost"]);
    asked.from = Some(at("2026-01-02T00:00:00Z"));
    asked.to = Some(at("2026-01-03T00:00:00Z"));
    asked.compare = Some(Compare::Days(1));
    let answer = world.engine().kpi(&asked).await.expect("answered");
    let row = &answer.rows[0];
    assert_eq!((row.value, row.previous), (Some(1_000.0), None));
    let note = answer.kpis[0].note.as_deref().unwrap_or_default();
    assert!(note.contains("CNY and EUR"), "{note}");
}

/// The values, numerators and whether there is a note.
fn told(answer: &KpiAnswer) -> Vec<(Option<f64>, Option<f64>, bool)> {
    let noted = |kpi: &str| answer.kpis.iter().any(|k| k.id == kpi && k.note.is_some());
    let rows = answer.rows.iter();
    rows.map(|r| (r.value, r.numerator, noted(&r.kpi)))
        .collect()
}

#[tokio::test]
async fn a_day_without_posted_costs_leaves_its_range_without_a_value() {
    let mut world = trade("2026-02-01T00:00:00Z");
    world.costs.remove(1);
    let engine = world.engine();
    let mut asked = request(&["cost_per_valid_order", "sales_cost"]);
    (asked.from, asked.to) = (None, None);
    let whole = engine.kpi(&asked).await.expect("answered");
    assert_eq!(told(&whole), [(None, None, true), (None, None, true)]);
    assert_eq!(
        whole.kpis[0].matured_to,
        Some(at("2026-01-04T00:00:00Z")),
        "the newest day is posted"
    );
    asked.grain = Some(Grain::D1);
    let days = engine.kpi(&asked).await.expect("answered");
    let of = |kpi: &str| -> Vec<Option<f64>> {
        let rows = days.rows.iter().filter(|r| r.kpi == kpi);
        rows.map(|r| r.value).collect()
    };
    assert_eq!(of("cost_per_valid_order"), [Some(50.0), None, Some(50.0)]);
    assert_eq!(of("sales_cost"), [Some(100.0), Some(100.0)]);
    asked.grain = Some(Grain::Mo1);
    let month = engine.kpi(&asked).await.expect("answered");
    assert!(month.rows.iter().all(|r| r.value.is_none()), "{month:?}");
    (asked.grain, asked.from) = (None, Some(at("2026-01-03T00:00:00Z")));
    let last = engine.kpi(&asked).await.expect("answered");
    assert_eq!(
        last.rows[0].value,
        Some(50.0),
        "the hole is before the range"
    );
    asked.from = Some(at("2025-12-01T00:00:00Z"));
    asked.to = Some(at("2026-01-02T00:00:00Z"));
    let first = engine.kpi(&asked).await.expect("answered");
    assert_eq!(first.rows[0].value, Some(50.0), "there was nothing before");
    // The same through SQL.
    let sql = "SELECT value, matured_to FROM kpi('cost_per_valid_order')";
    let result = engine.sql(sql).await.expect("answered");
    let text = arrow::util::pretty::pretty_format_batches(&result.batches).expect("printable");
    assert!(
        text.to_string()
            .contains("|       | 2026-01-04T00:00:00Z |"),
        "{text}"
    );
}

#[tokio::test]
async fn orders_before_the_first_posted_day_leave_a_range_without_a_value() {
    let mut world = trade("2026-02-01T00:00:00Z");
    world.costs.remove(0);
    let mut asked = request(&["cost_per_valid_order", "sales_cost"]);
    (asked.from, asked.to) = (None, None);
    let answer = world.engine().kpi(&asked).await.expect("answered");
    assert_eq!(
        told(&answer),
        [(None, None, true), (Some(200.0), None, false)]
    );
}

#[tokio::test]
async fn a_group_needs_costs_of_its_own_on_every_day() {
    let mut world = trade("2026-02-01T00:00:00Z");
    for (i, cost) in world.costs.iter_mut().enumerate() {
        cost.channel = Some(if i == 1 { "chat" } else { "voice" }.into());
    }
    for order in &mut world.orders {
        order.channel = Some("voice".into());
    }
    let mut asked = request(&["cost_per_valid_order", "sales_cost"]);
    (asked.from, asked.to) = (None, None);
    asked.by = vec!["channel".to_owned()];
    let answer = world.engine().kpi(&asked).await.expect("answered");
    let voice = find(&answer, "cost_per_valid_order", Some("voice"));
    assert_eq!((voice.value, voice.denominator), (None, Some(6.0)));
    assert_eq!(find(&answer, "sales_cost", Some("chat")).value, Some(100.0));
}

#[tokio::test]
async fn days_of_another_zone_are_not_laid_over_those_of_the_costs() {
    let engine = trade("2026-02-01T00:00:00Z").engine();
    let mut asked = request(&["cost_per_valid_order", "sales_cost"]);
    (asked.from, asked.to) = (None, None);
    asked.zone = Some("Asia/Shanghai".to_owned());
    let whole = engine.kpi(&asked).await.expect("answered");
    assert_eq!(
        told(&whole),
        [(Some(50.0), Some(300.0), false), (Some(300.0), None, false)],
        "nothing is cut"
    );
    asked.grain = Some(Grain::D1);
    let days = engine.kpi(&asked).await.expect("answered");
    assert!(!days.rows.is_empty());
    assert!(days.rows.iter().all(|r| r.value.is_none()), "{days:?}");
    asked.grain = None;
    asked.from = Some(at("2026-01-01T00:00:00+08:00"));
    asked.to = Some(at("2026-01-03T00:00:00+08:00"));
    let range = engine.kpi(&asked).await.expect("answered");
    assert_eq!(told(&range), [(None, None, true), (None, None, true)]);
}

#[tokio::test]
async fn one_kpi_that_the_data_forbid_leaves_the_others_their_rows() {
    let mut world = trade("2026-02-01T00:00:00Z");
    world.visits = visits();
    world.costs.push(cost("x", "2026-01-02", 100, "CNY"));
    for id in [90, 91] {
        world.visits.push(QueueVisit {
            wait_ms: Some(i64::MAX),
            ..visit(id, "sales", "2026-01-02T13:00:00Z", 0, true)
        });
    }
    let engine = world.engine();
    let mut asked = request(&["offered", "cost_per_valid_order", "sales_cost", "asa"]);
    (asked.from, asked.to) = (None, None);
    let answer = engine.kpi(&asked).await.expect("the others are answered");
    let failed: Vec<Option<&str>> = answer.kpis.iter().map(|k| k.failed.as_deref()).collect();
    assert_eq!(failed[0], None);
    let overflow = failed[3].expect("a sum beyond 64 bits");
    assert!(overflow.starts_with("asa: "), "{overflow}");
    for why in [failed[1], failed[2]] {
        let why = why.expect("two currencies");
        assert!(
            why.contains("sales_cost") && why.contains("CNY and EUR"),
            "{why}"
        );
    }
    let rows: Vec<&str> = answer.rows.iter().map(|r| r.kpi.as_str()).collect();
    assert_eq!(rows, ["offered"]);
    // Alone there is nothing to answer with.
    asked.ids = vec!["cost_per_valid_order".to_owned()];
    let text = engine.kpi(&asked).await.expect_err("refused").to_string();
    assert!(text.contains("sales_cost"), "{text}");
    asked.compare = Some(Compare::Previous);
    asked.ids = vec!["offered".to_owned(), "sales_cost".to_owned()];
    asked.from = Some(at("2026-01-03T00:00:00Z"));
    asked.to = Some(at("2026-01-04T00:00:00Z"));
    let compared = engine.kpi(&asked).await.expect("answered");
    assert_eq!(find(&compared, "sales_cost", None).previous, None);
}

#[tokio::test]
async fn every_row_of_the_table_function_tells_what_it_was_computed_from() {
    let engine = World::default().engine();
    let sql = "SELECT as_of, horizon, matured_to, revision, approx, clock, params \
               FROM kpi('service_level, fcr')";
    let result = engine.sql(sql).await.expect("answered");
    let text = arrow::util::pretty::pretty_format_batches(&result.batches).expect("printable");
    let text = text.to_string();
    for told in [
        "2026-01-06T00:00:00Z",
        "2025-12-30T00:00:00Z",
        "false",
        "cohort",
        r#"{"short_abandon":5000,"threshold":20000}"#,
    ] {
        assert!(text.contains(told), "{told} in {text}");
    }
    let ids: Vec<&str> = result.meta.kpis.iter().map(|k| k.id.as_str()).collect();
    assert_eq!(ids, ["fcr", "service_level"]);
}

#[tokio::test]
async fn the_table_function_gives_the_same_rows() {
    let engine = World::default().engine();
    let sql = "SELECT queue_id, sum(numerator) AS a, sum(denominator) AS b, max(unit) AS u \
               FROM kpi('service_level', '30 minutes', 'queue_id', '2026-01-05', '2026-01-06') \
               WHERE version >= 1 GROUP BY queue_id ORDER BY queue_id";
    let result = engine.sql(sql).await.expect("answered");
    let text = arrow::util::pretty::pretty_format_batches(&result.batches).expect("printable");
    let text = text.to_string();
    assert!(text.contains("| sales    | 2.0 | 3.0 | ratio |"), "{text}");
    assert!(text.contains("| support  | 1.0 | 2.0 | ratio |"), "{text}");
    let total = engine
        .sql("SELECT value FROM kpi('SL, offered')")
        .await
        .expect("answered");
    assert_eq!(total.rows(), 2);
    for (wrong, why) in [
        ("kpi('service_level', '30 minutes', 'agent_id')", "agent_id"),
        ("kpi('servise_level')", "service_level"),
        ("kpi('service_level', '7m')", "15m"),
        ("kpi('service_level', '1h', '', 'yesterday')", "yesterday"),
        ("kpi()", "1 to 6 arguments"),
    ] {
        let error = engine
            .sql(&format!("SELECT * FROM {wrong}"))
            .await
            .expect_err(wrong);
        assert!(error.to_string().contains(why), "{wrong}: {error}");
    }
}

#[tokio::test]
async fn the_metadata_tables_tell_how_a_kpi_is_made() {
    let engine = World::default().engine();
    for (sql, rows) in [
        (
            "SELECT * FROM kpi.catalog WHERE kpi = 'service_level' AND unit = 'ratio'",
            1,
        ),
        (
            "SELECT * FROM kpi.parts WHERE kpi = 'service_level' AND agg = 'count_if'",
            2,
        ),
        (
            "SELECT * FROM kpi.lineage WHERE kpi = 'service_level' AND part = 'met' \
             AND fact_table = 'queue_visits' AND fact_column IN ('answered', 'wait_ms')",
            2,
        ),
        (
            "SELECT DISTINCT input FROM kpi.lineage WHERE kpi = 'cost_per_valid_order'",
            2,
        ),
    ] {
        assert_eq!(engine.sql(sql).await.expect(sql).rows(), rows, "{sql}");
    }
    assert!(
        engine
            .sql("SELECT * FROM kpi.targets")
            .await
            .expect("answered")
            .rows()
            > 0
    );
}

/// What a query gives in its first row and column.
async fn number(engine: &Engine, sql: &str) -> Option<f64> {
    let result = engine.sql(sql).await.expect("an answer");
    let column = arrow::compute::cast(
        result.batches[0].column(0),
        &arrow::datatypes::DataType::Float64,
    );
    let column = column.expect("a number");
    let numbers = arrow::array::AsArray::as_primitive::<arrow::datatypes::Float64Type>(&column);
    arrow::array::Array::is_valid(numbers, 0).then(|| numbers.value(0))
}

/// Service level by hand: of visits with a verdict, those answered within 20 s; a short abandon
/// has none. Also the wait behind the percentile, and a count.
async fn by_hand(engine: &Engine, from: &str, to: &str, queue: Option<&str>) -> [Option<f64>; 3] {
    let queue = queue.map_or(String::new(), |queue| format!(" AND queue_id = '{queue}'"));
    let rows = format!(
        "FROM facts.queue_visits WHERE entered_at >= '{from}' AND entered_at < '{to}'{queue}"
    );
    let level = format!(
        "SELECT CAST(SUM(CASE WHEN answered AND wait_ms <= 20000 THEN 1 ELSE 0 END) AS DOUBLE) \
         / NULLIF(SUM(CASE WHEN answered OR wait_ms >= 5000 THEN 1 ELSE 0 END), 0) {rows}"
    );
    let longest = format!("SELECT MAX(wait_ms) {rows}");
    [
        number(engine, &level).await,
        number(engine, &longest).await,
        number(engine, &format!("SELECT COUNT(*) {rows}")).await,
    ]
}

#[tokio::test]
async fn rolling_and_running_values_are_those_of_their_rows_in_hand_written_sql() {
    let engine = World::default().engine();
    let ids = ["service_level", "longest_wait", "offered"];
    for (over, back) in [(Over::Buckets(3), Some(2)), (Over::Start, None)] {
        for queues in [&[None][..], &[Some("sales"), Some("support")]] {
            let asked = KpiRequest {
                from: Some(at("2026-01-05T08:00:00Z")),
                to: Some(at("2026-01-05T12:00:00Z")),
                grain: Some(Grain::H1),
                over: Some(over),
                fill: true,
                by: queues[0]
                    .map(|_| "queue_id".to_owned())
                    .into_iter()
                    .collect(),
                ..request(&ids)
            };
            let answer = engine.kpi(&asked).await.expect("answered");
            assert_eq!(answer.rows.len(), ids.len() * queues.len() * 4);
            for row in &answer.rows {
                let queue = row.dims.first().and_then(|(_, value)| value.as_deref());
                let start = row.period_start.expect("a bucket");
                let from = match back {
                    Some(back) => start.plus_ms(-back * 3_600_000),
                    None => at("2026-01-05T08:00:00Z"),
                };
                let (from, to) = (from.to_string(), start.plus_ms(3_600_000).to_string());
                let expected = by_hand(&engine, &from, &to, queue).await;
                let place = ids.iter().position(|id| *id == row.kpi).expect("asked for");
                assert_eq!(row.value, expected[place], "{over:?} {row:?}");
            }
        }
    }
}

#[tokio::test]
async fn a_rolling_ratio_is_one_division_and_has_the_target_of_its_bucket() {
    let mut asked = request(&["service_level", "offered"]);
    asked.from = Some(at("2026-01-04T00:00:00Z"));
    asked.grain = Some(Grain::D1);
    asked.over = Some(Over::Buckets(7));
    let answer = answer(&asked).await;
    let rows: Vec<_> = answer
        .rows
        .iter()
        .filter(|r| r.kpi == "service_level")
        .collect();
    assert_eq!(rows.len(), 2);
    // The 4th has one good of one, the 5th three of five.
    assert_eq!(
        (rows[1].numerator, rows[1].denominator),
        (Some(4.0), Some(6.0))
    );
    assert_eq!(rows[1].value, Some(4.0 / 6.0));
    assert_eq!(rows[1].period_start, Some(at("2026-01-05T00:00:00Z")));
    assert_eq!(
        (answer.from, answer.to, answer.grain),
        (asked.from, asked.to, asked.grain)
    );
    let mut one = request(&["service_level"]);
    one.grain = Some(Grain::D1);
    let one = World::default().engine().kpi(&one).await.expect("answered");
    assert_eq!(rows[1].target, one.rows[0].target);
}

#[tokio::test]
async fn a_rolling_value_needs_buckets_and_not_too_many_of_them() {
    let mut asked = request(&["offered"]);
    asked.over = Some(Over::Start);
    assert!(refusal(&asked).await.contains("needs a bucket size"));
    asked.grain = Some(Grain::M15);
    asked.from = Some(at("2025-01-05T00:00:00Z"));
    assert!(refusal(&asked).await.contains("more than 400 buckets"));
    asked.over = Some(Over::Buckets(0));
    assert!(refusal(&asked).await.contains("1 to 366"));
}

/// Six weeks of one queue: in week `w` after the first, `w + 1` visits on Monday at nine, of
/// which one waits too long.
fn weeks() -> World {
    let mut visits = Vec::new();
    for week in 0..6_i64 {
        for n in 0..=week {
            let entered = at("2026-01-05T09:00:00Z").plus_ms(week * 7 * 86_400_000);
            let wait_ms = if n == 0 { 60_000 } else { 1_000 };
            visits.push(visit(
                visits.len(),
                "sales",
                &entered.to_string(),
                wait_ms,
                true,
            ));
        }
    }
    World {
        visits,
        horizon: "2026-02-10T00:00:00Z",
        ..World::default()
    }
}

#[tokio::test]
async fn the_mean_of_weeks_takes_ratios_from_their_parts_and_counts_by_the_week() {
    let engine = weeks().engine();
    let mut asked = request(&["offered", "service_level", "longest_wait"]);
    asked.from = Some(at("2026-02-09T00:00:00Z"));
    asked.to = Some(at("2026-02-10T00:00:00Z"));
    asked.compare = Some(Compare::Weeks(4));
    let answer = engine.kpi(&asked).await.expect("answered");
    // 2, 3, 4 and 5 visits, one bad in each.
    assert_eq!(find(&answer, "offered", None).previous, Some(3.5));
    assert_eq!(
        find(&answer, "service_level", None).previous,
        Some(10.0 / 14.0)
    );
    assert_eq!(find(&answer, "longest_wait", None).previous, Some(60_000.0));
    let (from, to) = (at("2026-01-12T00:00:00Z"), at("2026-02-03T00:00:00Z"));
    assert_eq!(answer.compared, Some((from, to)));

    asked.grain = Some(Grain::H1);
    asked.fill = true;
    let answer = engine.kpi(&asked).await.expect("answered");
    let offered = answer.rows.iter().filter(|row| row.kpi == "offered");
    let offered: Vec<_> = offered.map(|row| row.previous).collect();
    let expected = (0..24).map(|hour| Some(if hour == 9 { 3.5 } else { 0.0 }));
    assert_eq!(offered, expected.collect::<Vec<_>>());

    // Three of the four weeks are before there was anything.
    asked.grain = None;
    asked.fill = false;
    asked.from = Some(at("2026-01-12T00:00:00Z"));
    asked.to = Some(at("2026-01-13T00:00:00Z"));
    let answer = engine.kpi(&asked).await.expect("answered");
    assert_eq!(find(&answer, "offered", None).previous, Some(1.0));
}

#[tokio::test]
async fn percentiles_of_several_weeks_have_no_mean() {
    let mut asked = request(&["wait_p90"]);
    asked.compare = Some(Compare::Weeks(4));
    let why = refusal(&asked).await;
    assert!(
        why.contains("wait_p90 is a percentile") && why.contains("-7d"),
        "{why}"
    );
}

/// Newcombe's first example of a difference: 56 of 70 in one queue and week, 48 of 80 in another
/// queue and week.
fn improved() -> World {
    let of = |queue, day: &str, in_time: usize, all: usize| -> Vec<QueueVisit> {
        let wait = |n| if n < in_time { 1_000 } else { 60_000 };
        let visit = |n| visit(n, queue, &format!("2026-01-{day}T09:00:00Z"), wait(n), true);
        (0..all).map(visit).collect()
    };
    let mut visits = [of("trial", "12", 56, 70), of("rest", "05", 48, 80)].concat();
    for (number, visit) in visits.iter_mut().enumerate() {
        visit.visit_id = format!("v{number}").into();
    }
    World {
        visits,
        horizon: "2026-02-10T00:00:00Z",
        ..World::default()
    }
}

#[track_caller]
fn improves(row: &KpiRow) {
    assert_eq!((row.value, row.previous), (Some(0.8), Some(0.6)));
    let found = row.difference.expect("an interval");
    let off = (found.low - 0.0524).abs().max((found.high - 0.3339).abs());
    assert!(off < 0.000_05, "{found:?}");
    assert_eq!(row.interval, None, "every visit counts: it is no sample");
}

#[tokio::test]
async fn a_baseline_stands_beside_with_the_interval_of_the_difference() {
    let engine = improved().engine();
    let mut asked = request(&["service_level", "asa", "offered"]);
    asked.from = Some(at("2026-01-12T00:00:00Z"));
    asked.to = Some(at("2026-01-19T00:00:00Z"));
    let before = (at("2026-01-05T00:00:00Z"), at("2026-01-06T00:00:00Z"));
    asked.compare = Some(Compare::Baseline(before.0, before.1));
    let answer = engine.kpi(&asked).await.expect("answered");
    assert_eq!(answer.compared, Some(before));
    improves(find(&answer, "service_level", None));
    let offered = find(&answer, "offered", None);
    assert_eq!((offered.value, offered.previous), (Some(70.0), Some(80.0)));
    assert_eq!((offered.difference, offered.interval), (None, None));
    assert_eq!(
        find(&answer, "asa", None).difference,
        None,
        "a mean is no share"
    );
    asked.grain = Some(Grain::D1);
    let why = engine.kpi(&asked).await.expect_err("refused").to_string();
    assert!(why.contains("baseline"), "{why}");
    // Two weeks of which one is in both periods are not apart.
    asked.grain = None;
    let overlapping = KpiRequest {
        from: Some(at("2026-01-05T00:00:00Z")),
        ..asked.clone()
    };
    let answer = engine.kpi(&overlapping).await.expect("answered");
    let row = find(&answer, "service_level", None);
    assert_eq!((row.previous, row.difference), (Some(0.6), None));
    // The week before is the same week here.
    asked.compare = Some(Compare::Previous);
    let answer = engine.kpi(&asked).await.expect("answered");
    improves(find(&answer, "service_level", None));
}

#[tokio::test]
async fn a_control_group_is_the_same_period_of_other_rows() {
    let engine = improved().engine();
    let mut asked = request(&["service_level"]);
    asked.to = Some(at("2026-01-19T00:00:00Z"));
    asked.filters = vec!["queue_id = 'trial'".to_owned()];
    asked.control = Some(Control {
        filters: vec!["queue_id = 'rest'".to_owned()],
        only: Vec::new(),
    });
    let answer = engine.kpi(&asked).await.expect("answered");
    improves(find(&answer, "service_level", None));
    let only = |queue: &str| {
        vec![Only {
            dimension: "queue_id".to_owned(),
            values: vec![queue.to_owned()],
        }]
    };
    asked.filters.clear();
    asked.only = only("trial");
    asked.control = Some(Control {
        filters: Vec::new(),
        only: only("rest"),
    });
    let answer = engine.kpi(&asked).await.expect("answered");
    improves(find(&answer, "service_level", None));
    // Without a condition the group has the control group in it.
    let all = KpiRequest {
        only: Vec::new(),
        ..asked.clone()
    };
    let answer = engine.kpi(&all).await.expect("answered");
    let row = find(&answer, "service_level", None);
    assert_eq!((row.previous, row.difference), (Some(0.6), None));
    let note = answer.kpis[0].note.as_deref().unwrap_or_default();
    assert!(note.contains("exclude each other"), "{note}");
    let buckets = KpiRequest {
        grain: Some(Grain::W1),
        ..asked.clone()
    };
    let answer = engine.kpi(&buckets).await.expect("answered");
    // In the week of the one there is nothing of the other.
    assert_eq!(answer.rows.len(), 1);
    assert_eq!(answer.rows[0].previous, None);

    let both = KpiRequest {
        compare: Some(Compare::Previous),
        ..asked.clone()
    };
    let why = engine.kpi(&both).await.expect_err("refused").to_string();
    assert!(why.contains("not with both"), "{why}");
    asked.by = vec!["queue_id".to_owned()];
    let why = engine.kpi(&asked).await.expect_err("refused").to_string();
    assert!(why.contains("split by queue_id"), "{why}");
}
