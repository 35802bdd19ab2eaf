//! Both estimates of the wait against what customers then waited, on simulated days.

use std::collections::BTreeMap;
use std::sync::Arc;

use engine::live::{CellKey, CellValue, Frame, LiveBoard, LiveSettings, Scope};
use events::{Event, UtcMicros};
use kpi::{Ahead, Ewt};
use sim::{Config, World};

use crate::live::{Centre, runtime, table};

const MINUTE_MS: i64 = 60_000;
/// How often a customer is told an estimate.
const EVERY_MS: i64 = 10 * MINUTE_MS;

/// How far estimates were off.
#[derive(Debug, Default)]
struct Errors {
    count: f64,
    absolute_ms: f64,
    signed_ms: f64,
}

impl Errors {
    fn add(&mut self, estimate_ms: f64, waited_ms: f64) {
        self.count += 1.0;
        self.absolute_ms += (estimate_ms - waited_ms).abs();
        self.signed_ms += estimate_ms - waited_ms;
    }

    fn mean_absolute_ms(&self) -> f64 {
        self.absolute_ms / self.count
    }

    fn bias_ms(&self) -> f64 {
        self.signed_ms / self.count
    }
}

#[test]
fn the_default_estimate_of_the_wait_is_the_one_with_the_smaller_error() {
    let methods = [Ewt::QueueLength, Ewt::Simple];
    let mut errors = [Errors::default(), Errors::default()];
    for (seed, agents) in [(1, 14), (2, 26)] {
        let estimates = runtime().block_on(estimates(seed, agents, methods));
        for (told, waited_ms) in estimates {
            for (errors, told) in errors.iter_mut().zip(told) {
                errors.add(told, waited_ms);
            }
        }
    }
    for (method, errors) in methods.iter().zip(&errors) {
        println!(
            "{method:?}: {} estimates, mean absolute error {:.1} s, bias {:+.1} s",
            errors.count,
            errors.mean_absolute_ms() / 1e3,
            errors.bias_ms() / 1e3
        );
    }
    assert!(errors[0].count >= 100.0, "{errors:?}");
    let best = match errors[0].mean_absolute_ms() <= errors[1].mean_absolute_ms() {
        true => methods[0],
        false => methods[1],
    };
    assert_eq!(LiveSettings::default().ewt, best);
}

/// Estimates by both methods, and the wait of those who joined in the minute after and were
/// answered.
async fn estimates(seed: u64, agents: u32, methods: [Ewt; 2]) -> Vec<([f64; 2], f64)> {
    let config = Config {
        seed,
        agents,
        days: 2,
        ..Config::default()
    };
    let mut centre = Centre::new(false);
    let settings = LiveSettings {
        zone: config.zone.name().to_owned(),
        ewt: methods[0],
        ..LiveSettings::default()
    };
    let board = LiveBoard::new(Arc::clone(&centre.engine), settings).unwrap();
    let mut events = World::new(&config).unwrap().peekable();
    // The second day, from nine to six on the centre's clock, eight hours before UTC.
    let mut told: Vec<(UtcMicros, BTreeMap<String, [f64; 2]>)> = Vec::new();
    for step in 0..54 {
        let now = config
            .start
            .plus_ms((24 + 9) * 60 * MINUTE_MS + step * EVERY_MS);
        let mut batch: Vec<Event> = Vec::new();
        while events.peek().is_some_and(|event| event.occurred_at <= now) {
            batch.extend(events.next());
        }
        centre.take(batch);
        let frame = board.frame(now).await.unwrap();
        told.push((now, both(&frame, methods)));
    }
    centre.take(events.collect());
    let mut found = Vec::new();
    for (at, told) in told {
        let sql = format!(
            "SELECT queue_id, CAST(wait_ms AS DOUBLE) AS wait_ms FROM facts.queue_visits \
             WHERE answered AND visit_kind = 'customer' AND NOT is_test AND channel = 'voice' \
             AND entered_at > TIMESTAMP '{at}' AND entered_at <= TIMESTAMP '{}'",
            at.plus_ms(MINUTE_MS)
        );
        for (queue, waited_ms) in table(&centre.engine, &sql).await {
            let told = queue.and_then(|queue| told.get(&queue).copied());
            found.extend(told.zip(waited_ms));
        }
    }
    found
}

/// The estimates of a frame by both methods; the first one's is that of the frame's own cell.
fn both(frame: &Frame, methods: [Ewt; 2]) -> BTreeMap<String, [f64; 2]> {
    let number = |queue: &str, figure: &str| {
        let key = CellKey {
            scope: Scope::Queue(queue.into()),
            figure: figure.into(),
        };
        match frame.cells.get(&key)?.value {
            CellValue::Number(value, _) => Some(value),
            _ => None,
        }
    };
    let mut told = BTreeMap::new();
    for key in frame.cells.keys().filter(|key| &*key.figure == "ewt") {
        let Scope::Queue(queue) = &key.scope else {
            continue;
        };
        let count = |figure: &str| number(queue, figure).unwrap_or_default() as u32;
        let lately = |kpi: &str| {
            number(queue, &format!("{kpi}@30m")).or(number(queue, &format!("{kpi}@today")))
        };
        let free = count("agents_available");
        let ahead = Ahead {
            waiting: count("waiting"),
            agents: free + count("agents_contact") + count("agents_acw"),
            free,
            handle_ms: lately("aht").unwrap(),
            patience_ms: lately("avg_patience"),
        };
        let estimates = methods.map(|method| method.estimate_ms(&ahead));
        assert_eq!(
            number(queue, "ewt"),
            estimates[0],
            "{key} at {}",
            frame.as_of
        );
        if let [Some(one), Some(other)] = estimates {
            told.insert(queue.to_string(), [one, other]);
        }
    }
    told
}
