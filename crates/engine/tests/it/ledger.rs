//! The engine against the simulator's own count, which shares no code with it: every KPI of the
//! ledger, by queue and in total, by quarter hour, hour, day and as a whole.
//!
//! `CALLGAUGE_LEDGER_SEEDS` sets how many weeks are tried (default 4, `scripts/soak` 20); each is asked in all
//! of three zones, one of which changes its clocks during the week. A week is too short for KPIs that
//! look at what comes days later: one longer world with few agents has them all, of three weeks,
//! and of nine when the variable is set.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use engine::{Engine, Grain, KpiRequest, KpiRow, Settings};
use events::{Event, UtcMicros};
use facts::{FoldSettings, Folder, NoHistory};
use kpi::{Catalogue, Maturity};
use sim::{Bucket, Config, Grouping, Ledger, LedgerRow, METRICS, Metric, World};
use store::{Commit, Mode, Store};

/// Monday before the clocks of New York change (2026-03-08).
const START: UtcMicros = UtcMicros(1_772_380_800_000_000);
const ZONES: [&str; 3] = ["America/New_York", "Asia/Shanghai", "Asia/Kathmandu"];
const FIRST_SEED: u64 = 1_000;

/// The KPIs that have no value before a world is so many days old: what a row needs before it and
/// behind it. All others have one after three weeks.
const NEEDS_DAYS: [(&str, u32); 6] = [
    // Returns are judged 45 days after the order.
    ("net_orders", 45),
    ("net_order_rate", 45),
    ("cost_per_net_order", 45),
    ("cost_per_net_order_with_media", 45),
    // A window of history before the contact, and one of waiting behind it.
    ("fcr_14d", 28),
    ("fcr_30d", 60),
];

/// The core of the catalogue: the KPIs of the first delivery, whose variants are core too.
const CORE: [&str; 22] = [
    "fcr",
    "repeat_rate",
    "csat",
    "nps",
    "ces",
    "offered",
    "answered",
    "abandoned",
    "service_level",
    "abandon_rate",
    "asa",
    "avg_wait",
    "longest_wait",
    "aht",
    "avg_talk",
    "avg_hold",
    "avg_acw",
    "acw_time",
    "transfer_rate",
    "valid_order_rate",
    "cost_per_contact",
    "cost_per_valid_order",
];

#[test]
fn the_ledger_knows_every_core_kpi_with_its_variants() {
    let models = engine::model_specs().unwrap();
    let catalogue = Catalogue::builtin(&models).unwrap();
    let is_core = |kpi: &&kpi::Kpi| {
        let base = kpi.variant_of.as_deref().unwrap_or(&kpi.id);
        CORE.contains(&kpi.id.as_str()) || CORE.contains(&base)
    };
    let core: BTreeSet<&str> = catalogue
        .iter()
        .filter(is_core)
        .map(|k| k.id.as_str())
        .collect();
    assert!(CORE.iter().all(|id| core.contains(id)));
    let known: BTreeSet<&str> = METRICS.iter().map(|m| m.id).collect();
    let unknown: Vec<&str> = core.difference(&known).copied().collect();
    assert!(unknown.is_empty(), "the ledger does not know {unknown:?}");
}

#[test]
fn every_kpi_equals_the_simulators_ledger_first_half_of_seeds() {
    compare_seeds(0);
}

#[test]
fn every_kpi_equals_the_simulators_ledger_second_half_of_seeds() {
    compare_seeds(1);
}

#[test]
fn every_kpi_of_the_ledger_has_a_value_to_compare_in_a_world_that_is_old_enough() {
    let days = if seeds_asked().is_some() { 63 } else { 21 };
    let config = Config {
        seed: FIRST_SEED,
        start: START,
        days,
        agents: 5,
        ..Config::default()
    };
    let zone = config.zone.name();
    // Finer cuts are those of the weeks.
    let compared = runtime().block_on(compare_world(&config, &[(zone, &[None, Some("1d")])]));
    println!("{days} days, {} numbers compared", compared.numbers);
    for metric in METRICS {
        let needs = NEEDS_DAYS.iter().find(|(id, _)| *id == metric.id);
        let old_enough = needs.is_none_or(|(_, needs)| *needs < days);
        assert_eq!(
            compared.valued.contains(metric.id),
            old_enough,
            "has {} a value other than zero after {days} days?",
            metric.id
        );
    }
}

/// How many weeks are asked for, if it is said.
fn seeds_asked() -> Option<u64> {
    let text = std::env::var("CALLGAUGE_LEDGER_SEEDS").ok()?;
    Some(text.parse().expect("CALLGAUGE_LEDGER_SEEDS is a number"))
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().build().unwrap()
}

/// Every second seed: two tests, so that two cores share them.
fn compare_seeds(offset: u64) {
    let count = seeds_asked().unwrap_or(4);
    let runtime = runtime();
    let mut compared = 0;
    for n in (offset..count).step_by(2) {
        let config = Config {
            seed: FIRST_SEED + n,
            start: START,
            days: 7,
            agents: 14,
            ..Config::default()
        };
        println!("seed {}", config.seed);
        let asks = asks_of(n);
        let world = compare_world(&config, &asks);
        compared += runtime.block_on(world).numbers;
    }
    println!("{compared} numbers compared");
    assert!(
        count <= offset || compared > 100_000,
        "only {compared} numbers were compared"
    );
}

/// A zone, and by what time is cut in it.
type Ask<'a> = (&'a str, &'a [Option<&'a str>]);

/// What is asked of a week: hours and days in all zones. Quarter hours and totals are the same in
/// all: without a number of seeds they are asked in one zone, by turns.
fn asks_of(n: u64) -> Vec<Ask<'static>> {
    let grains: &[Option<&str>] = &[None, Some("15m"), Some("1h"), Some("1d")];
    let turn = usize::try_from(n).unwrap() % ZONES.len();
    let ask = |(at, zone): (usize, &&'static str)| {
        let whole = at == turn || seeds_asked().is_some();
        (*zone, if whole { grains } else { &grains[2..] })
    };
    ZONES.iter().enumerate().map(ask).collect()
}

/// What was compared.
#[derive(Default)]
struct Compared {
    numbers: usize,
    /// The KPIs that had a value other than zero somewhere.
    valued: BTreeSet<&'static str>,
}

/// How all KPIs of a world are asked for at once.
struct Cut<'a> {
    zone: &'a str,
    grain: Option<&'a str>,
    dimension: Option<&'a str>,
    /// Is the zone that of the centre?
    at_home: bool,
}

/// The world is folded once, and then asked.
async fn compare_world(config: &Config, asks: &[Ask<'_>]) -> Compared {
    let mut world = World::with_ledger(config).unwrap();
    let engine = engine_of(&mut world);
    let ledger = world.into_ledger().unwrap();
    let mut compared = Compared::default();
    for &(zone, grains) in asks {
        for &grain in grains {
            for dimension in [None, Some("queue_id"), Some("first_queue_id")] {
                let cut = Cut {
                    zone,
                    grain,
                    dimension,
                    at_home: zone == config.zone.name(),
                };
                compare_cut(&engine, &ledger, &cut, config.seed, &mut compared).await;
            }
        }
    }
    compared
}

async fn compare_cut(
    engine: &Engine,
    ledger: &Ledger,
    cut: &Cut<'_>,
    seed: u64,
    compared: &mut Compared,
) {
    let metrics = metrics_of(&engine.catalogue(), cut);
    let request = KpiRequest {
        ids: metrics.iter().map(|m| m.id.to_owned()).collect(),
        grain: cut.grain.map(|g| engine::parse_grain(g).unwrap()),
        by: cut.dimension.iter().map(|d| (*d).to_owned()).collect(),
        zone: Some(cut.zone.to_owned()),
        ..KpiRequest::default()
    };
    let answer = engine.kpi(&request).await.unwrap();
    let tz: chrono_tz::Tz = cut.zone.parse().unwrap();
    let grouping = Grouping {
        bucket: match cut.grain {
            None => Bucket::Total,
            Some("15m") => Bucket::QuarterHour,
            Some("1h") => Bucket::Hour(tz),
            Some(_) => Bucket::Day(tz),
        },
        by_queue: cut.dimension.is_some(),
    };
    let mut of_kpi: BTreeMap<&str, Vec<&KpiRow>> = BTreeMap::new();
    for row in &answer.rows {
        of_kpi.entry(&row.kpi).or_default().push(row);
    }
    for metric in metrics {
        let rows = of_kpi.remove(metric.id).unwrap_or_default();
        let truth = truth_of(ledger, metric, grouping);
        compare_metric(&truth, metric, grouping, &rows, seed);
        compared.numbers += truth.len();
        let valued = |row: &LedgerRow| row.value(metric).is_some_and(|v| v != 0.0);
        if truth.values().any(valued) {
            compared.valued.insert(metric.id);
        }
    }
}

/// The KPIs that can be asked for that way.
fn metrics_of(catalogue: &Catalogue, cut: &Cut<'_>) -> Vec<&'static Metric> {
    let mut metrics = metrics_with(catalogue, cut.grain, cut.dimension);
    // Costs are posted by days of the centre's zone: days of another zone cut them.
    let fits = |id: &str| {
        let kpi = catalogue.get(id).unwrap();
        let inputs = catalogue.inputs_of(kpi);
        match inputs.iter().any(|k| k.maturity == Maturity::Posted) {
            true => cut.grain.is_none(),
            false => kpi.model().is_some(),
        }
    };
    metrics.retain(|m| cut.at_home || fits(m.id));
    metrics
}

/// The KPIs that can be cut that way, by the dimension that is theirs.
fn metrics_with(
    catalogue: &Catalogue,
    grain: Option<&str>,
    dimension: Option<&str>,
) -> Vec<&'static Metric> {
    let grain: Option<Grain> = grain.map(|g| engine::parse_grain(g).unwrap());
    METRICS
        .iter()
        .filter(|metric| {
            let kpi = catalogue
                .get(metric.id)
                .unwrap_or_else(|| panic!("no KPI {}", metric.id));
            let fine = metric.unit != sim::Unit::Money || grain.is_none_or(|g| g == Grain::D1);
            let has = |name: &str| kpi.dimensions.iter().any(|d| d == name);
            fine && match dimension {
                None => true,
                Some("first_queue_id") => {
                    metric.by_queue && has("first_queue_id") && !has("queue_id")
                }
                Some(name) => metric.by_queue && has(name),
            }
        })
        .collect()
}

type Groups<T> = BTreeMap<(Option<String>, Option<UtcMicros>), T>;

/// What the ledger says about one KPI, group by group.
fn truth_of(ledger: &Ledger, metric: &Metric, grouping: Grouping) -> Groups<LedgerRow> {
    let rows = ledger
        .kpi(metric.id, grouping)
        .unwrap_or_else(|| panic!("the ledger cannot cut {} that way", metric.id));
    let group = |row: &LedgerRow| {
        let queue = row.queue.as_ref().map(ToString::to_string);
        (queue, row.bucket_start)
    };
    rows.into_iter().map(|row| (group(&row), row)).collect()
}

/// Compares one KPI in every group.
fn compare_metric(
    truth: &Groups<LedgerRow>,
    metric: &Metric,
    grouping: Grouping,
    rows: &[&KpiRow],
    seed: u64,
) {
    let ours: Groups<&KpiRow> = rows
        .iter()
        .map(|row| {
            (
                (
                    row.dims.first().and_then(|(_, v)| v.clone()),
                    row.period_start,
                ),
                *row,
            )
        })
        .collect();
    for (group, row) in &ours {
        let expected = truth.get(group);
        let place = || format!("seed {seed}: {} in {group:?} ({grouping:?})", metric.id);
        let value = expected.and_then(|t| t.value(metric));
        assert!(
            same(row.value, value, metric),
            "{}: {:?}, ledger {expected:?}",
            place(),
            row
        );
        if let (Some(t), true) = (expected, metric.ratio && metric.unit != sim::Unit::Money) {
            let parts = (row.numerator.unwrap_or(0.0), row.denominator.unwrap_or(0.0));
            // A constant factor of the definition may stand in the numerator (100 * (a - b) / c).
            let (above, below) = (t.numerator as f64, t.denominator.unwrap_or(0) as f64);
            let factor = if parts.0 == above { 1.0 } else { metric.scale };
            assert_eq!(parts, (above * factor, below), "{}: {row:?}", place());
        }
    }
    for (group, expected) in truth {
        let missing = !ours.contains_key(group) && !same(None, expected.value(metric), metric);
        assert!(
            !missing,
            "seed {seed}: {} misses {group:?}: {expected:?}",
            metric.id
        );
    }
}

/// Equal to the last digit that a division leaves; nothing counted and 0 are one for sums.
fn same(ours: Option<f64>, truth: Option<f64>, metric: &Metric) -> bool {
    match (ours, truth) {
        (Some(a), Some(b)) => (a - b).abs() <= 1e-12 * b.abs().max(1.0),
        (None, None) => true,
        (None, Some(b)) | (Some(b), None) => !metric.ratio && b == 0.0,
    }
}

/// The world's events, folded in batches and kept in memory.
fn engine_of(world: &mut World) -> Engine {
    let store = Store::in_memory();
    // A case is opened again, an order is returned long after: without history all must stay in memory.
    let mut folder = Folder::new(FoldSettings {
        keep_closed_ms: i64::from(Config::DAYS_MAX) * 86_400_000,
        max_kept_events: usize::MAX,
        ..FoldSettings::default()
    });
    loop {
        let batch: Vec<Event> = world.by_ref().take(20_000).collect();
        let Some(last) = batch.last() else { break };
        let recorded_at = last.recorded_at;
        let edit = folder.apply(batch, &NoHistory).unwrap();
        let checkpoint: Vec<&Event> = folder.checkpoint().collect();
        let commit = Commit {
            edit: &edit,
            quarantine: &[],
            checkpoint: Some(&checkpoint),
            arrived_seq: None,
            mode: Mode::Memory,
            recorded_at,
        };
        store.commit(commit).unwrap();
    }
    let models = engine::model_specs().unwrap();
    let catalogue = Catalogue::builtin(&models).unwrap();
    Engine::new(Arc::new(store), Arc::new(catalogue), Settings::default()).unwrap()
}
