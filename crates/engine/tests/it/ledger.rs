//! The engine against the simulator's own count, which shares no code with it: every KPI of the
//! ledger, by queue and in total, by quarter hour, hour, day and as a whole.
//!
//! `CALLGAUGE_LEDGER_SEEDS` sets how many worlds are tried (default 4, `scripts/soak` 20); each takes the next of
//! three zones, one of which changes its clocks during the week.

use std::collections::BTreeMap;
use std::sync::Arc;

use engine::{Engine, Grain, KpiRequest, KpiRow, Settings};
use events::{Event, UtcMicros};
use facts::{FoldSettings, Folder, NoHistory};
use kpi::Catalogue;
use sim::{Bucket, Config, Grouping, Ledger, LedgerRow, METRICS, Metric, World};
use store::{Commit, Mode, Store};

/// Monday before the clocks of New York change (2026-03-08).
const START: UtcMicros = UtcMicros(1_772_380_800_000_000);
const ZONES: [&str; 3] = ["America/New_York", "Asia/Shanghai", "Asia/Kathmandu"];
const FIRST_SEED: u64 = 1_000;

#[test]
fn every_kpi_equals_the_simulators_ledger_first_half_of_seeds() {
    compare_seeds(0);
}

#[test]
fn every_kpi_equals_the_simulators_ledger_second_half_of_seeds() {
    compare_seeds(1);
}

/// Every second seed: two tests, so that two cores share them.
fn compare_seeds(offset: u64) {
    let count: u64 = std::env::var("CALLGAUGE_LEDGER_SEEDS").map_or(4, |text| {
        text.parse().expect("CALLGAUGE_LEDGER_SEEDS is a number")
    });
    let runtime = tokio::runtime::Builder::new_multi_thread().build().unwrap();
    let mut compared = 0;
    for n in (offset..count).step_by(2) {
        let seed = FIRST_SEED + n;
        let zone = ZONES[usize::try_from(n).unwrap() % ZONES.len()];
        println!("seed {seed}, zone {zone}");
        compared += runtime.block_on(compare_world(seed, zone));
    }
    println!("{compared} numbers compared");
    assert!(
        count <= offset || compared > 5_000,
        "only {compared} numbers were compared"
    );
}

async fn compare_world(seed: u64, zone: &str) -> usize {
    let config = Config {
        seed,
        start: START,
        days: 7,
        agents: 14,
        ..Config::default()
    };
    let mut world = World::with_ledger(&config).unwrap();
    let engine = engine_of(&mut world);
    let ledger = world.into_ledger().unwrap();
    let tz: chrono_tz::Tz = zone.parse().unwrap();
    let cuts = [
        (Bucket::Total, None),
        (Bucket::QuarterHour, Some("15m")),
        (Bucket::Hour(tz), Some("1h")),
        (Bucket::Day(tz), Some("1d")),
    ];
    let mut compared = 0;
    for (bucket, grain) in cuts {
        for dimension in [None, Some("queue_id"), Some("first_queue_id")] {
            let mut metrics = metrics_with(engine.catalogue(), grain, dimension);
            // Costs are posted by days of the centre's zone: days of another zone cut them.
            let derived = |id: &str| {
                engine
                    .catalogue()
                    .get(id)
                    .is_some_and(|k| k.model().is_none())
            };
            metrics.retain(|m| zone == config.zone.name() || !derived(m.id));
            let request = KpiRequest {
                ids: metrics.iter().map(|m| m.id.to_owned()).collect(),
                grain: grain.map(|g| engine::parse_grain(g).unwrap()),
                by: dimension.iter().map(|d| (*d).to_owned()).collect(),
                zone: Some(zone.to_owned()),
                ..KpiRequest::default()
            };
            let answer = engine.kpi(&request).await.unwrap();
            let grouping = Grouping {
                bucket,
                by_queue: dimension.is_some(),
            };
            for metric in metrics {
                let rows: Vec<&KpiRow> = answer
                    .rows
                    .iter()
                    .filter(|row| row.kpi == metric.id)
                    .collect();
                compared += compare_metric(&ledger, metric, grouping, &rows, seed);
            }
        }
    }
    compared
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

/// Compares one KPI in every group; returns how many there were.
fn compare_metric(
    ledger: &Ledger,
    metric: &Metric,
    grouping: Grouping,
    rows: &[&KpiRow],
    seed: u64,
) -> usize {
    let truth: Groups<LedgerRow> = ledger
        .kpi(metric.id, grouping)
        .unwrap_or_else(|| panic!("the ledger cannot cut {} that way", metric.id))
        .into_iter()
        .map(|row| {
            (
                (
                    row.queue.as_ref().map(ToString::to_string),
                    row.bucket_start,
                ),
                row,
            )
        })
        .collect();
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
    for (group, expected) in &truth {
        let missing = !ours.contains_key(group) && !same(None, expected.value(metric), metric);
        assert!(
            !missing,
            "seed {seed}: {} misses {group:?}: {expected:?}",
            metric.id
        );
    }
    truth.len()
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
    let mut folder = Folder::new(FoldSettings::default());
    loop {
        let batch: Vec<Event> = world.by_ref().take(20_000).collect();
        let Some(last) = batch.last() else { break };
        let recorded_at = last.recorded_at;
        let edit = folder.apply(batch, &NoHistory).unwrap();
        let checkpoint: Vec<&Event> = folder.checkpoint().collect();
        let commit = Commit {
            edit: &edit,
            quarantine: &[],
            checkpoint: &checkpoint,
            mode: Mode::Memory,
            recorded_at,
        };
        store.commit(commit).unwrap();
    }
    let models = engine::model_specs().unwrap();
    let catalogue = Catalogue::builtin(&models).unwrap();
    Engine::new(Arc::new(store), Arc::new(catalogue), Settings::default()).unwrap()
}
