//! `data-samples/`: small files made with the simulator, each with the figures that must come out.
//!
//! `UPDATE=1 cargo test -p sim --test it samples` writes them anew; without it the test checks
//! that they are what the simulator makes.

mod call_table;
mod queue_log;

use std::{fs, path::PathBuf};

use serde_json::{Map, Value, json};
use sim::{Bucket, Config, Grouping, Ledger, LedgerRow, Unit, World, write_ndjson};

/// KPIs in the expected figures of the day of events.
const SHOWN: [&str; 30] = [
    "offered",
    "answered",
    "abandoned",
    "service_level",
    "service_level_answered_only",
    "service_level_flow_outs_all",
    "abandon_rate",
    "abandon_rate_all",
    "asa",
    "avg_wait",
    "longest_wait",
    "handled",
    "aht",
    "avg_talk",
    "avg_hold",
    "avg_acw",
    "acw_time",
    "transfer_rate",
    "repeat_rate",
    "csat",
    "nps",
    "ces",
    "orders_placed",
    "cost_total",
    "cost_per_contact",
    "fcr_agent_flag",
    "fcr_case",
    "fcr_one_touch",
    "enps",
    "esat",
];

/// A Monday of a centre with eight agents.
fn config() -> Config {
    Config {
        seed: 104,
        days: 1,
        agents: 8,
        ..Config::default()
    }
}

fn check(name: &str, made: &str) {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("../../data-samples")
        .join(name);
    if std::env::var_os("UPDATE").is_some() {
        fs::create_dir_all(path.parent().expect("a folder")).expect("the folder can be made");
        fs::write(&path, made).expect("the sample can be written");
        return;
    }
    let found = fs::read_to_string(&path).unwrap_or_default();
    let hint = "run UPDATE=1 cargo test -p sim --test it samples";
    assert!(
        found == made,
        "data-samples/{name} is not what the simulator makes: {hint}"
    );
}

fn pretty(value: &Value) -> String {
    let mut text = serde_json::to_string_pretty(value).expect("JSON");
    text.push('\n');
    text
}

/// A ratio as its two numbers and its value.
fn ratio(numerator: i64, denominator: i64) -> Value {
    let value = (denominator != 0).then(|| numerator as f64 / denominator as f64);
    json!({ "numerator": numerator, "denominator": denominator, "value": value })
}

#[test]
fn the_day_of_events_is_current() {
    let mut lines = Vec::new();
    let mut world = World::with_ledger(&config()).expect("valid");
    for event in world.by_ref() {
        write_ndjson(&event, &mut lines).expect("memory");
    }
    let ledger = world.into_ledger().expect("asked for");
    let mut total = Map::new();
    let mut queues = Map::new();
    for id in SHOWN {
        let rows = |by_queue| {
            ledger.kpi(
                id,
                Grouping {
                    bucket: Bucket::Total,
                    by_queue,
                },
            )
        };
        for row in rows(false).unwrap_or_default() {
            total.insert(id.into(), figure(id, &row));
        }
        for row in rows(true).unwrap_or_default() {
            let Some(queue) = &row.queue else { continue };
            let kpis = queues.entry(queue.as_str()).or_insert_with(|| json!({}));
            kpis[id] = figure(id, &row);
        }
    }
    let events = lines.iter().filter(|b| **b == b'\n').count();
    let expected = json!({ "events": events, "total": total, "queues": queues });
    assert!(lines.len() < 1_000_000, "{} bytes", lines.len());
    check("day.ndjson", &String::from_utf8(lines).expect("UTF-8"));
    check("day.expected.json", &pretty(&expected));
}

/// A KPI as one number or, for a ratio, as its two numbers and its value.
fn figure(id: &str, row: &LedgerRow) -> Value {
    let metric = Ledger::metric(id).expect("a KPI of the ledger");
    let numerator = match metric.unit {
        Unit::Money => Value::from(events::Decimal(row.numerator).to_string()),
        _ => Value::from(row.numerator as i64),
    };
    match row.denominator {
        None => numerator,
        Some(n) => {
            json!({ "numerator": numerator, "denominator": n as i64, "value": row.value(metric) })
        }
    }
}

#[test]
fn the_queue_log_is_current() {
    let log = queue_log::log(World::new(&config()).expect("valid"));
    check(
        "queue_log.expected.json",
        &pretty(&queue_log::figures(&log)),
    );
    check("queue_log", &log);
}

#[test]
fn the_table_of_finished_calls_is_current() {
    let table = call_table::table(World::new(&config()).expect("valid"));
    check("calls.expected.json", &pretty(&call_table::figures(&table)));
    check("calls.csv", &table);
}
