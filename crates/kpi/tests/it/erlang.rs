//! Workforce maths against what is slower and surer: the recursion, the chain, worked examples.

use kpi::erlang::{AGENTS_MAX, ErlangA, ErlangC, Goal, Load, erlang_b, positions};
use serde_json::Value;

use crate::random::Random;

fn load(calls: f64, interval_s: f64, aht_s: f64) -> Load {
    Load {
        calls,
        interval_s,
        aht_s,
    }
}

/// A load of so many erlang.
fn erlangs(traffic: f64, aht_s: f64) -> Load {
    load(traffic / aht_s, 1.0, aht_s)
}

#[track_caller]
fn near(found: f64, expected: f64, tolerance: f64, what: &str) {
    assert!(
        (found - expected).abs() <= tolerance,
        "{what}: {found}, not {expected}"
    );
}

/// Erlang B by the recursion over the number of lines.
fn blocked_by_recursion(lines: u32, traffic: f64) -> f64 {
    let mut blocked = 1.0;
    for n in 1..=lines {
        blocked = traffic * blocked / (f64::from(n) + traffic * blocked);
    }
    blocked
}

#[test]
fn erlang_b_and_c_agree_with_the_recursion_on_ten_thousand_points() {
    let mut random = Random::new(6);
    let mut largest = 0;
    for _ in 0..10_000 {
        // As many of a few agents as of thousands.
        let agents = (10.0_f64.powf(4.0 * random.unit()).ceil() as u32).clamp(1, 10_000);
        let load = erlangs(
            f64::from(agents) * random.unit().powf(0.3),
            10.0 + 600.0 * random.unit(),
        );
        let traffic = load.traffic().expect("a load");
        let (n, blocked) = (f64::from(agents), blocked_by_recursion(agents, traffic));
        near(erlang_b(agents, traffic).expect("B"), blocked, 1e-9, "B");
        let Some(model) = ErlangC::new(&load, agents) else {
            assert!(traffic >= n, "{agents} agents, {traffic} erlang");
            continue;
        };
        let p_wait = n * blocked / (n - traffic * (1.0 - blocked));
        let what = format!("{agents} agents, {traffic} erlang");
        near(model.p_wait(), p_wait, 1e-9, &what);
        let asa = p_wait * load.aht_s / (n - traffic);
        near(model.asa() / asa.max(1.0), asa / asa.max(1.0), 1e-9, &what);
        let threshold = 60.0 * random.unit();
        let level = 1.0 - p_wait * (-(n - traffic) * threshold / load.aht_s).exp();
        near(
            model.service_level(threshold).expect("a level"),
            level,
            1e-9,
            &what,
        );
        near(model.occupancy(), traffic / n, 1e-12, &what);
        largest = largest.max(agents);
    }
    assert!(largest > 9_000);
}

/// The states of a queue with impatient people: their probabilities, by number of people in it.
fn chain(agents: u32, load: &Load, patience_s: f64) -> Vec<f64> {
    let calls = load.calls / load.interval_s;
    let leaving = |people: u32| {
        f64::from(people.min(agents)) / load.aht_s
            + f64::from(people.saturating_sub(agents)) / patience_s
    };
    // From the most probable state outwards, so that nothing overflows.
    let mut log = vec![0.0_f64];
    for people in 1..agents + 60_000 {
        log.push(log[log.len() - 1] + (calls / leaving(people)).ln());
    }
    let top = log.iter().copied().fold(f64::MIN, f64::max);
    let all: f64 = log.iter().map(|l| (l - top).exp()).sum();
    log.iter().map(|l| (l - top).exp() / all).collect()
}

/// Who comes when `ahead` people wait is answered within the threshold with this probability, by
/// following the queue ahead in small steps of time.
fn answered_in_time(
    agents: u32,
    load: &Load,
    patience_s: f64,
    (ahead, threshold): (usize, f64),
) -> f64 {
    let (end, give_up) = (f64::from(agents) / load.aht_s, 1.0 / patience_s);
    let flow = |p: &[f64]| -> Vec<f64> {
        let out = |at: usize| end + at as f64 * give_up;
        let change = |at: usize| {
            let comes = p.get(at + 1).map_or(0.0, |p| p * out(at + 1));
            comes - p[at] * (out(at) + give_up)
        };
        (0..p.len()).map(change).chain([p[0] * end]).collect()
    };
    let (mut p, mut answered) = (vec![0.0; ahead + 1], 0.0);
    p[ahead] = 1.0;
    let steps = (threshold * (end + (ahead + 1) as f64 * give_up) * 6.0)
        .ceil()
        .max(1.0);
    let dt = threshold / steps;
    for _ in 0..steps as usize {
        let moved = |by: &[f64], dt: f64| -> Vec<f64> {
            p.iter().zip(by).map(|(p, by)| p + by * dt).collect()
        };
        let k1 = flow(&p);
        let k2 = flow(&moved(&k1, dt / 2.0));
        let k3 = flow(&moved(&k2, dt / 2.0));
        let k4 = flow(&moved(&k3, dt));
        let mean = |at: usize| (k1[at] + 2.0 * k2[at] + 2.0 * k3[at] + k4[at]) / 6.0;
        answered += mean(ahead + 1) * dt;
        p = (0..=ahead).map(|at| p[at] + mean(at) * dt).collect();
    }
    answered
}

#[test]
fn erlang_a_agrees_with_the_exact_chain() {
    let mut random = Random::new(61);
    for round in 0..150 {
        let agents = 1 + random.below(match round % 3 {
            0 => 8,
            1 => 60,
            _ => 2_000,
        }) as u32;
        let load = erlangs(
            f64::from(agents) * (0.3 + 1.2 * random.unit()),
            30.0 + 400.0 * random.unit(),
        );
        let patience_s = 5.0 + 600.0 * random.unit();
        let model = ErlangA::new(&load, agents, patience_s).expect("a queue");
        let what = format!("{agents} agents, {load:?}, patience {patience_s}");
        let chain = chain(agents, &load, patience_s);
        let (busy, n) = (&chain[agents as usize..], f64::from(agents));
        let waiting: f64 = busy.iter().zip(0..).map(|(p, w)| p * f64::from(w)).sum();
        near(model.p_wait(), busy.iter().sum(), 1e-9, &what);
        near(
            model.queue_length() / waiting.max(1.0),
            waiting / waiting.max(1.0),
            1e-9,
            &what,
        );
        let calls = load.calls / load.interval_s;
        near(model.p_abandon(), waiting / patience_s / calls, 1e-9, &what);
        near(model.avg_wait(), waiting / calls, 1e-6, &what);
        let at_work: f64 = chain
            .iter()
            .zip(0..)
            .map(|(p, k)| p * f64::from(k).min(n))
            .sum();
        near(model.occupancy(), at_work / n, 1e-9, &what);
        near(
            model.service_level(0.0).expect("a level"),
            1.0 - model.p_wait(),
            1e-12,
            &what,
        );
        let ever = model.service_level(1e6).expect("a level");
        near(ever, 1.0 - model.p_abandon(), 1e-8, &what);
    }
}

#[test]
fn the_service_level_of_erlang_a_agrees_with_following_a_caller() {
    let mut random = Random::new(62);
    for _ in 0..12 {
        let agents = 1 + random.below(12) as u32;
        let load = erlangs(
            f64::from(agents) * (0.4 + random.unit()),
            60.0 + 200.0 * random.unit(),
        );
        let (patience_s, threshold) = (20.0 + 200.0 * random.unit(), 5.0 + 40.0 * random.unit());
        let chain = chain(agents, &load, patience_s);
        let mut level: f64 = chain[..agents as usize].iter().sum();
        for (ahead, p) in chain[agents as usize..].iter().enumerate().take(200) {
            if *p > 1e-10 {
                let at = (ahead, threshold);
                level += p * answered_in_time(agents, &load, patience_s, at);
            }
        }
        let model = ErlangA::new(&load, agents, patience_s).expect("a queue");
        let found = model.service_level(threshold).expect("a level");
        near(found, level, 1e-6, &format!("{agents} agents, {load:?}"));
    }
}

#[test]
fn endless_patience_is_erlang_c() {
    let load = load(100.0, 1_800.0, 180.0);
    for agents in 11..20 {
        let c = ErlangC::new(&load, agents).expect("enough agents");
        let a = ErlangA::new(&load, agents, 1e9).expect("a queue");
        near(a.p_wait(), c.p_wait(), 1e-6, "waits");
        near(a.avg_wait(), c.asa(), 1e-3, "wait");
        let level = |threshold| (a.service_level(threshold), c.service_level(threshold));
        let (found, expected) = level(20.0);
        near(found.expect("a"), expected.expect("c"), 1e-6, "level");
    }
}

#[test]
fn ten_thousand_agents_are_no_trouble() {
    let load = erlangs(9_900.0, 300.0);
    let goal = Goal {
        service_level: 0.9,
        threshold_s: 10.0,
        max_occupancy: None,
    };
    let patient = load.agents_c(&goal).expect("a number");
    let impatient = load.agents_a(120.0, &goal).expect("a number");
    assert!(
        patient > 9_900 && impatient < patient,
        "{patient} {impatient}"
    );
    // So few that most give up: the queue is long, and nothing overflows.
    let flooded = ErlangA::new(&erlangs(20_000.0, 300.0), 10_000, 3_600.0).expect("a queue");
    near(flooded.p_abandon(), 0.5, 1e-6, "half give up");
    near(flooded.occupancy(), 1.0, 1e-9, "nobody rests");
    assert!(flooded.service_level(20.0).expect("a level") < 1e-9);
}

#[test]
fn the_least_number_of_agents_is_enough_and_one_less_is_not() {
    let mut random = Random::new(63);
    for _ in 0..200 {
        let load = load(
            5.0 + 800.0 * random.unit(),
            1_800.0,
            60.0 + 400.0 * random.unit(),
        );
        let goal = Goal {
            service_level: 0.5 + 0.45 * random.unit(),
            threshold_s: 60.0 * random.unit(),
            max_occupancy: None,
        };
        let level = |agents| {
            let model = ErlangC::new(&load, agents)?;
            model.service_level(goal.threshold_s)
        };
        let agents = load.agents_c(&goal).expect("a number");
        assert!(level(agents).is_some_and(|l| l >= goal.service_level));
        assert!(level(agents - 1).is_none_or(|l| l < goal.service_level));
    }
    let goal = Goal {
        service_level: 0.8,
        threshold_s: 20.0,
        max_occupancy: None,
    };
    assert_eq!(load(0.0, 1_800.0, 180.0).agents_c(&goal), Some(0));
    assert_eq!(
        load(1e9, 1_800.0, 180.0).agents_c(&goal),
        None,
        "more than the most"
    );
}

#[test]
fn arguments_without_sense_have_no_answer() {
    let good = load(100.0, 1_800.0, 180.0);
    let goal = |service_level, threshold_s, max_occupancy| Goal {
        service_level,
        threshold_s,
        max_occupancy,
    };
    for bad in [
        load(-1.0, 1_800.0, 180.0),
        load(f64::NAN, 1_800.0, 180.0),
        load(100.0, 0.0, 180.0),
        load(100.0, 1_800.0, f64::INFINITY),
    ] {
        assert!(
            bad.traffic().is_none() && ErlangC::new(&bad, 20).is_none(),
            "{bad:?}"
        );
        assert!(ErlangA::new(&bad, 20, 60.0).is_none());
    }
    assert!(ErlangC::new(&good, 0).is_none() && ErlangC::new(&good, AGENTS_MAX + 1).is_none());
    assert!(
        ErlangC::new(&good, 10).is_none(),
        "the queue grows for ever"
    );
    assert!(ErlangA::new(&good, 20, 0.0).is_none());
    let model = ErlangC::new(&good, 14).expect("a queue");
    assert!(model.service_level(-1.0).is_none() && model.service_level(f64::NAN).is_none());
    for bad in [
        goal(1.1, 20.0, None),
        goal(1.0, 20.0, None),
        goal(0.8, -1.0, None),
        goal(0.8, 20.0, Some(0.0)),
        goal(f64::NAN, 20.0, None),
    ] {
        assert_eq!(good.agents_c(&bad), None, "{bad:?}");
    }
    assert_eq!((positions(14, 0.3), positions(14, 1.0)), (Some(20), None));
    assert_eq!(good.agents_a(300.0, &goal(1.0, 20.0, None)), None);
    assert_eq!((erlang_b(0, 5.0), erlang_b(0, -1.0)), (Some(1.0), None));
    assert_eq!(erlang_b(AGENTS_MAX + 1, 5.0), None);
}

// ---- worked examples -------------------------------------------------------------------------

/// The worked examples that several sessions share, where they are at hand.
fn examples() -> Option<Value> {
    let path = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../../shared/oracles/staffing_erlang.json"
    );
    let text = std::fs::read_to_string(path).ok()?;
    Some(serde_json::from_str(&text).expect("JSON"))
}

/// A row of inputs.
struct Row<'a>(&'a Value);

impl Row<'_> {
    fn get(&self, name: &str) -> Option<f64> {
        self.0[name].as_f64()
    }

    fn load(&self) -> Option<Load> {
        Some(load(
            self.get("calls")?,
            self.get("interval_s")?,
            self.get("aht_s")?,
        ))
    }

    fn goal(&self) -> Option<Goal> {
        Some(Goal {
            service_level: self.get("target")?,
            threshold_s: self.get("threshold_s")?,
            max_occupancy: self.get("max_occupancy"),
        })
    }

    /// What we say to a metric; the outer `None`: it is not one of these models.
    fn answer(&self, model: &str, metric: &str, agents: Option<u32>) -> Option<Option<f64>> {
        let load = self.load()?;
        let agents = agents.or(self.get("agents").map(|n| n as u32));
        match metric {
            "traffic" => return Some(load.traffic()),
            "agents_required" => return Some(load.agents_c(&self.goal()?).map(f64::from)),
            "positions_required" => {
                let agents = load.agents_c(&self.goal()?)?;
                return Some(positions(agents, self.get("shrinkage")?).map(f64::from));
            }
            _ => {}
        }
        let threshold = self.get("threshold_s")?;
        if model.ends_with("_a") {
            let model = ErlangA::new(&load, agents?, self.get("mean_patience_s")?);
            return a_metric(model, metric, threshold);
        }
        let model = ErlangC::new(&load, agents?);
        Some(match metric {
            "p_wait" => model.map(|m| m.p_wait()),
            "asa" => model.map(|m| m.asa()),
            "service_level" => model.and_then(|m| m.service_level(threshold)),
            "occupancy" => model.map(|m| m.occupancy()),
            "queue_length" => model.map(|m| m.queue_length()),
            _ => return None,
        })
    }
}

fn a_metric(model: Option<ErlangA>, metric: &str, threshold: f64) -> Option<Option<f64>> {
    Some(match metric {
        "p_wait" => model.map(|m| m.p_wait()),
        "p_abandon" => model.map(|m| m.p_abandon()),
        "avg_wait_all" => model.map(|m| m.avg_wait()),
        "service_level" => model.and_then(|m| m.service_level(threshold)),
        "occupancy" => model.map(|m| m.occupancy()),
        "queue_length" => model.map(|m| m.queue_length()),
        _ => return None,
    })
}

#[test]
fn worked_examples_come_out() {
    let Some(examples) = examples() else {
        println!("skipped: the worked examples are not at hand");
        return;
    };
    let mut checked = 0;
    for case in examples["cases"].as_array().expect("cases") {
        let Some(rows) = case["inputs"]["model"].as_array() else {
            continue;
        };
        let model = case["params"]["model"].as_str().unwrap_or_default();
        for entry in case["expected"].as_array().expect("expected") {
            let variant = entry["variant"].as_str().unwrap_or_default();
            let model = if variant.starts_with("erlang") {
                variant
            } else {
                model
            };
            if !["erlang_a", "erlang_c"].contains(&model) {
                continue;
            }
            let group = |name: &str| entry["group"][name].as_u64().map(|n| n as u32);
            let row = Row(&rows[group("row").unwrap_or(1) as usize - 1]);
            let metric = entry["metric"].as_str().expect("a metric");
            let Some(found) = row.answer(model, metric, group("agents")) else {
                continue;
            };
            let what = format!("{} {metric} {variant}", case["id"]);
            match (found, entry["value"].as_f64()) {
                (Some(found), Some(value)) => {
                    near(
                        found,
                        value,
                        entry["tol"].as_f64().expect("a tolerance"),
                        &what,
                    );
                }
                (found, value) => assert_eq!(found, value, "{what}"),
            }
            checked += 1;
        }
    }
    assert!(checked >= 90, "only {checked} figures");
}
