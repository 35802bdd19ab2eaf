//! Alert rules, and what they say from moment to moment.

use std::collections::BTreeSet;

use events::UtcMicros;
use kpi::SourceFile;
use kpi::alert::{
    Alert, AlertRule, AlertRules, Change, Op, Reading, RuleScope, State, Watch, alert_id,
};

use crate::{catalogue, random::Random};

fn load(text: &str) -> Result<AlertRules, String> {
    let file = SourceFile {
        name: "a.yml".to_owned(),
        text: text.to_owned(),
    };
    AlertRules::load(&[file], catalogue(), &live()).map_err(|problems| {
        let lines: Vec<_> = problems.iter().map(ToString::to_string).collect();
        lines.join("\n")
    })
}

/// KPIs that a live board has: some of many.
fn live() -> BTreeSet<String> {
    let live = ["service_level", "abandon_rate", "contacts"];
    live.map(str::to_owned).into()
}

/// One rule of these keys beside id and title.
fn one(keys: &str) -> Result<AlertRule, String> {
    let rules = load(&format!("- {{ id: r, title: {{ en: R }}, {keys} }}"))?;
    Ok(rules.get("r").expect("the rule").clone())
}

#[track_caller]
fn refuses(keys: &str, expected: &str) {
    assert_eq!(one(keys).expect_err("refused"), expected);
}

#[test]
fn the_shipped_rules_are_sound_and_in_three_languages() {
    let rules = AlertRules::builtin(catalogue(), &live()).expect("sound");
    let figures: Vec<_> = rules.iter().map(|rule| rule.figure.as_str()).collect();
    assert_eq!(
        figures,
        ["service_level@30m", "oldest", "abandon_rate@30m", "waiting"]
    );
    for rule in rules.iter() {
        assert!(rule.title.missing.is_empty(), "{}", rule.id);
        assert!(
            rule.warn.is_some() && rule.critical.is_some(),
            "{}",
            rule.id
        );
    }
}

#[test]
fn what_a_rule_does_not_say_has_a_default() {
    let rule = one("figure: service_level@30m, scope: queue tech support, op: below, warn: 0.8");
    let rule = rule.expect("sound");
    assert_eq!(rule.scope, RuleScope::Queue("tech support".to_owned()));
    assert_eq!((rule.on_delay_s, rule.off_delay_s), (10, 30));
    assert_eq!((rule.min_n, rule.deadband), (10, 0.0));
    assert_eq!((rule.critical, rule.rearm_min), (None, None));
    let rule = one("figure: oldest, scope: total, op: above, warn: 2m, deadband: 10s");
    let rule = rule.expect("sound");
    assert_eq!((rule.warn, rule.deadband), (Some(120_000.0), 10_000.0));
    assert!(rule.runs);
    assert_eq!(rule.min_n, 0, "a wait is no average");
}

#[test]
fn what_is_wrong_has_its_place_and_a_hint() {
    refuses(
        "figure: servce_level@30m, scope: total, op: below, warn: 0.8",
        "a.yml:1:38: r: there is no figure `servce_level@30m`\n  \
         hint: did you mean `service_level@30m`?",
    );
    refuses(
        "figure: waiting, scope: queue, op: above, warn: 1",
        "a.yml:1:54: r: `queue` is no scope\n  \
         hint: write `total`, `each queue`, or `queue` and the id of one",
    );
    refuses(
        "figure: ewt, scope: total, op: above, warn: 1m",
        "a.yml:1:50: r: `ewt` is a figure of queues only\n  hint: write `each queue`",
    );
    refuses(
        "figure: waiting, scope: total, op: over, warn: 1",
        "a.yml:1:65: `over` is not one of: above, at_least, below, at_most",
    );
    refuses(
        "figure: oldest, scope: total, op: above, warn: 120",
        "a.yml:1:77: r: `120` is no value of this figure\n  \
         hint: write a duration such as 28s or 5m",
    );
    refuses(
        "figure: waiting, scope: total, op: above, warn: 20, critical: 10",
        "a.yml:1:92: r: critical 10 is reached before warn 20\n  \
         hint: swap them, or turn `op` round",
    );
    refuses(
        "figure: waiting, scope: total, op: above",
        "a.yml:1:9: r: the rule has no limit\n  hint: add `warn:`, `critical:` or both",
    );
    refuses(
        "figure: waiting, scope: total, op: above, warn: 2, min_n: 5",
        "a.yml:1:88: r: the figure is no ratio and no average\n  \
         hint: take it away: `min_n` is for ratios and averages",
    );
    refuses(
        "figure: waiting, scope: total, op: above, warn: 2, deadband: -1",
        "a.yml:1:91: r: the dead band is negative\n  \
         hint: it is a distance from the limit, on its good side",
    );
    refuses(
        "figure: waiting, scope: total, op: above, warn: 2, on_delay_s: 100000",
        "a.yml:1:93: r: 100000 seconds are more than a day\n  hint: delays are seconds",
    );
    refuses(
        "figure: waiting, scope: total, op: above, warn: 2, on_delay: 3",
        "a.yml:1:81: unknown key `on_delay`\n  hint: did you mean `on_delay_s`?",
    );
    let twice =
        "- { id: a, title: { en: A }, figure: waiting, scope: total, op: above, warn: 1 }\n";
    assert_eq!(
        load(&twice.repeat(2)).expect_err("refused"),
        "a.yml:2:9: a: there are two rules `a`\n  hint: give one of them another id"
    );
}

#[test]
fn a_rule_that_could_never_say_anything_is_refused() {
    let keys = |figure: &str, scope: &str| {
        format!("figure: {figure}, scope: {scope}, op: above, critical: 1")
    };
    for figure in ["agents_ringing", "agents_hold", "ewt_error"] {
        refuses(
            &keys(figure, "each queue"),
            &format!(
                "a.yml:1:38: r: the live board has no `{figure}` so far\n  \
                 hint: docs/live.md says which figures have no data source yet"
            ),
        );
    }
    for (kpi, why) in [
        (
            "sales_cost",
            "money is not shown live: watch a count, a ratio or a time",
        ),
        (
            "fcr",
            "it counts only when it is mature: ask for it in a report",
        ),
        (
            "answered_event",
            "it cannot be kept from commit to commit: ask for it in a report",
        ),
    ] {
        refuses(
            &keys(&format!("{kpi}@today"), "total"),
            &format!("a.yml:1:38: r: the live board cannot have `{kpi}`\n  hint: {why}"),
        );
    }
    for scope in ["each queue", "queue sales"] {
        refuses(
            &keys("contacts@today", scope),
            "a.yml:1:61: r: `contacts@today` is not known of queues\n  \
             hint: write `total`: the KPI has no dimension `queue_id`",
        );
    }
    assert!(one(&keys("contacts@today", "total")).is_ok());
    let rules = load(&format!(
        "- {{ id: r, title: {{ en: R }}, {} }}",
        keys("contacts@30m", "total")
    ));
    assert_eq!(rules.expect("sound").kpis(), BTreeSet::from(["contacts"]));
}

// ---- from moment to moment -------------------------------------------------------------------

const START: i64 = 1_772_413_200;

fn second(seconds: f64) -> UtcMicros {
    UtcMicros(START * 1_000_000 + (seconds * 1e6) as i64)
}

fn reading(value: f64) -> Reading {
    Reading {
        value: Some(value),
        n: Some(50.0),
        stale: false,
    }
}

/// Shows a value from one second to another, once a second; the changes with their seconds.
fn show(
    watch: &mut Watch,
    rule: &AlertRule,
    span: (u32, u32),
    reading: Reading,
) -> Vec<(u32, State)> {
    let step = |at: u32| {
        let change = watch.step(rule, second(f64::from(at)), &reading)?;
        Some((at, change.alert.state))
    };
    (span.0..span.1).filter_map(step).collect()
}

fn low_service() -> AlertRule {
    one(
        "figure: service_level@30m, scope: total, op: below, warn: 0.8, critical: 0.6, \
         deadband: 0.05, rearm_min: 1",
    )
    .expect("sound")
}

#[test]
fn a_level_is_taken_after_its_delay_and_left_after_its_delay_beyond_the_dead_band() {
    let (rule, mut watch) = (low_service(), Watch::default());
    assert_eq!(show(&mut watch, &rule, (0, 100), reading(0.9)), []);
    assert_eq!(watch.state(), State::Ok);
    assert_eq!(show(&mut watch, &rule, (100, 109), reading(0.7)), []);
    assert_eq!(
        show(&mut watch, &rule, (109, 110), reading(0.9)),
        [],
        "it was a slip"
    );
    assert_eq!(
        show(&mut watch, &rule, (110, 130), reading(0.7)),
        [(120, State::Warn)]
    );
    assert_eq!(
        show(&mut watch, &rule, (130, 150), reading(0.5)),
        [(140, State::Critical)]
    );
    assert_eq!(
        show(&mut watch, &rule, (150, 300), reading(0.64)),
        [],
        "within the dead band"
    );
    assert_eq!(
        show(&mut watch, &rule, (300, 400), reading(0.9)),
        [(330, State::Ok)]
    );
    assert!(watch.alert().is_none());
}

#[test]
fn a_figure_that_falls_through_both_limits_is_a_warning_in_time() {
    let (rule, mut watch) = (low_service(), Watch::default());
    assert_eq!(show(&mut watch, &rule, (0, 5), reading(0.7)), []);
    assert_eq!(
        show(&mut watch, &rule, (5, 20), reading(0.5)),
        [(10, State::Warn), (15, State::Critical)]
    );
    let alert = watch.alert().expect("open");
    assert_eq!(
        (alert.since, alert.state_since),
        (second(10.0), second(15.0))
    );
    assert_eq!(alert.peak, Some(0.5));
}

#[test]
fn nobody_can_tell_from_stale_data_no_value_or_too_few() {
    let rule = low_service();
    let fine = reading(0.5);
    for unknown in [
        Reading {
            stale: true,
            ..fine
        },
        Reading {
            value: None,
            ..fine
        },
        Reading {
            n: Some(9.0),
            ..fine
        },
        Reading {
            value: Some(f64::NAN),
            ..fine
        },
    ] {
        let mut watch = Watch::default();
        assert_eq!(
            show(&mut watch, &rule, (0, 60), unknown),
            [],
            "no news of nothing"
        );
        show(&mut watch, &rule, (60, 120), fine);
        assert_eq!(watch.state(), State::Critical);
        assert_eq!(
            show(&mut watch, &rule, (120, 150), unknown),
            [(130, State::Unknown)]
        );
        assert_eq!(
            show(&mut watch, &rule, (150, 180), fine),
            [(160, State::Critical)]
        );
        show(&mut watch, &rule, (180, 200), unknown);
        assert_eq!(
            show(&mut watch, &rule, (200, 300), reading(0.9)),
            [(230, State::Ok)]
        );
    }
    // Where nobody knows how many there are, there are enough.
    let mut watch = Watch::default();
    let unsaid = Reading { n: None, ..fine };
    show(&mut watch, &rule, (0, 60), unsaid);
    assert_eq!(watch.state(), State::Critical);
}

#[test]
fn what_was_seen_is_quiet_until_it_is_worse_or_goes_on_too_long() {
    let (rule, mut watch) = (low_service(), Watch::default());
    let none = watch.acknowledge(second(0.0), State::Warn);
    assert!(none.is_none(), "nothing to see");
    show(&mut watch, &rule, (0, 20), reading(0.7));
    watch.acknowledge(second(20.0), State::Warn).expect("open");
    let change = |watch: &mut Watch, at: f64, value: f64| -> Option<Change> {
        watch.step(&rule, second(at), &reading(value))
    };
    assert_eq!(change(&mut watch, 79.0, 0.7), None);
    let again = change(&mut watch, 80.0, 0.7).expect("a minute after it was seen");
    assert!(again.rearmed && again.alert.state == State::Warn);
    assert_eq!(again.alert.acknowledged, None);
    assert_eq!(change(&mut watch, 81.0, 0.7), None, "once");
    watch.acknowledge(second(90.0), State::Warn).expect("open");
    assert_eq!(change(&mut watch, 91.0, 0.5), None);
    let worse = change(&mut watch, 101.0, 0.5).expect("critical");
    assert_eq!(worse.alert.state, State::Critical);
    assert_eq!(worse.alert.acknowledged, None);
    // Written down when it had got worse already: what was seen was the warning.
    let alert = watch.acknowledge(second(102.0), State::Warn).expect("open");
    assert_eq!(alert.acknowledged, None);
    let alert = watch
        .acknowledge(second(103.0), State::Critical)
        .expect("open");
    assert_eq!(alert.acknowledged, Some((second(103.0), State::Critical)));
}

#[test]
fn a_clock_that_is_put_back_does_not_switch_a_rule_off() {
    const HOUR: u32 = 3_600;
    let (rule, mut watch) = (low_service(), Watch::default());
    let from = 2 * HOUR;
    assert_eq!(show(&mut watch, &rule, (from, from + 9), reading(0.7)), []);
    assert_eq!(
        show(&mut watch, &rule, (HOUR, HOUR + 12), reading(0.7)),
        [(HOUR + 10, State::Warn)]
    );
    // What was seen before the clock was put back is raised again in time.
    watch
        .acknowledge(second(f64::from(from)), State::Warn)
        .expect("open");
    let mut raised = Vec::new();
    for at in HOUR + 20..HOUR + 100 {
        let change = watch.step(&rule, second(f64::from(at)), &reading(0.7));
        raised.extend(change.map(|change| (at, change.rearmed)));
    }
    assert_eq!(raised, [(HOUR + 80, true)]);
    let off = show(&mut watch, &rule, (0, 40), reading(0.9));
    assert_eq!(off, [(30, State::Ok)]);
}

#[test]
fn a_watch_goes_on_with_its_alert_after_a_restart() {
    let (rule, mut watch) = (low_service(), Watch::default());
    show(&mut watch, &rule, (0, 40), reading(0.5));
    let open = watch.alert().cloned();
    let mut second_life = Watch::resume(open.clone());
    assert_eq!(
        show(&mut second_life, &rule, (50, 100), reading(0.5)),
        [],
        "it is no news"
    );
    assert_eq!(second_life.alert(), open.as_ref());
    let ended = second_life.end(second(100.0)).expect("an alert that ends");
    assert_eq!(ended.alert.state, State::Ok);
    assert!(second_life.end(second(101.0)).is_none());
}

#[test]
fn ids_differ_by_rule_scope_and_begin() {
    let id = |rule, scope, at| alert_id(rule, scope, second(at));
    assert_eq!(id("a", "t", 1.0), id("a", "t", 1.0));
    let ids = [
        id("a", "t", 1.0),
        id("a", "t", 2.0),
        id("a", "q.t", 1.0),
        id("b", "t", 1.0),
    ];
    for (at, one) in ids.iter().enumerate() {
        assert_eq!(one.len(), 20);
        assert!(ids[..at].iter().all(|other| other != one));
    }
}

// ---- against a naive reference ---------------------------------------------------------------

/// Since when it is open, its worst value, when it was seen and at what level.
type Open = (f64, f64, Option<(f64, u8)>);

/// The rule, told anew from all readings at every step: 0 ok, 1 warn, 2 critical.
#[derive(Default)]
struct Naive {
    /// Second and level that was asked for; `None`: nobody could tell.
    asked: Vec<(f64, Option<u8>)>,
    state: Option<Option<u8>>,
    level: u8,
    open: Option<Open>,
}

impl Naive {
    fn wants(&self, rule: &AlertRule, reading: &Reading) -> Option<u8> {
        let value = reading.value?;
        if reading.stale || reading.n.is_some_and(|n| n < f64::from(rule.min_n)) {
            return None;
        }
        let mut wanted = 0;
        for (level, limit) in [(1, rule.warn), (2, rule.critical)] {
            let Some(mut limit) = limit else { continue };
            if self.level >= level {
                let sign = if matches!(rule.op, Op::Above | Op::AtLeast) {
                    -1.0
                } else {
                    1.0
                };
                limit += sign * rule.deadband;
            }
            let bad = match rule.op {
                Op::Above => value > limit,
                Op::AtLeast => value >= limit,
                Op::Below => value < limit,
                Op::AtMost => value <= limit,
            };
            if bad {
                wanted = level;
            }
        }
        Some(wanted)
    }

    /// Did every reading for that long ask for what fits? Looks back from the newest.
    fn for_long(&self, delay_s: u32, fits: impl Fn(Option<u8>) -> bool) -> bool {
        let newest = self.asked.last().expect("a reading").0;
        let fitting = self
            .asked
            .iter()
            .rev()
            .take_while(|(_, asked)| fits(*asked));
        let first = fitting.map(|(at, _)| *at).last();
        first.is_some_and(|first| newest - first >= f64::from(delay_s))
    }

    fn step(&mut self, rule: &AlertRule, at: f64, reading: &Reading) -> Option<(Option<u8>, bool)> {
        let wanted = self.wants(rule, reading);
        self.asked.push((at, wanted));
        if let (Some(open), Some(value), Some(_)) = (&mut self.open, reading.value, wanted) {
            let high = matches!(rule.op, Op::Above | Op::AtLeast);
            open.1 = if high {
                open.1.max(value)
            } else {
                open.1.min(value)
            };
        }
        let known = matches!(self.state, Some(Some(_)));
        let mut next = None;
        if self.for_long(rule.on_delay_s, |asked| asked.is_none()) && known {
            next = Some(None);
        }
        if wanted.is_some() {
            let as_bad = |asked: Option<u8>| asked.is_some_and(|a| a >= self.level);
            let back = self.for_long(rule.on_delay_s, as_bad);
            next = (!known && back).then_some(Some(self.level));
            for level in (0..self.level).rev() {
                if self.for_long(rule.off_delay_s, |asked| asked.is_some_and(|a| a <= level)) {
                    next = Some(Some(level));
                }
            }
            for level in self.level + 1..=2 {
                if self.for_long(rule.on_delay_s, |asked| asked.is_some_and(|a| a >= level)) {
                    next = Some(Some(level));
                }
            }
        }
        match next {
            Some(state) => self.enter(state, at, reading.value),
            None => self.rearm(rule, at),
        }
    }

    fn enter(
        &mut self,
        state: Option<u8>,
        at: f64,
        value: Option<f64>,
    ) -> Option<(Option<u8>, bool)> {
        self.state = Some(state);
        self.level = state.unwrap_or(self.level);
        if self.open.is_none() && self.level == 0 {
            return None;
        }
        let value = value.unwrap_or(f64::NAN);
        let open = self.open.get_or_insert((at, value, None));
        if open
            .2
            .is_some_and(|(_, seen)| state.is_some_and(|state| state > seen))
        {
            open.2 = None;
        }
        if state == Some(0) {
            self.open = None;
        }
        Some((state, false))
    }

    fn rearm(&mut self, rule: &AlertRule, at: f64) -> Option<(Option<u8>, bool)> {
        let open = self.open.as_mut()?;
        let since = at - open.2?.0;
        if self.state == Some(None) || since < f64::from(rule.rearm_min?) * 60.0 {
            return None;
        }
        open.2 = None;
        Some((self.state?, true))
    }
}

fn random_rule(random: &mut Random) -> AlertRule {
    let high = random.below(2) == 0;
    let ops = [Op::Above, Op::AtLeast, Op::Below, Op::AtMost];
    let (warn, critical) = if high { (10.0, 14.0) } else { (14.0, 10.0) };
    let which = random.below(4);
    AlertRule {
        op: ops[random.below(2) as usize + if high { 0 } else { 2 }],
        warn: (which != 0).then_some(warn),
        critical: (which != 1).then_some(critical),
        on_delay_s: random.below(6) as u32,
        off_delay_s: random.below(8) as u32,
        deadband: random.below(3) as f64,
        min_n: random.below(3) as u32 * 10,
        rearm_min: [None, Some(1)][random.below(2) as usize],
        ..low_service()
    }
}

/// Values that walk about the limits, with gaps.
fn random_reading(random: &mut Random, last: f64) -> Reading {
    let value = match random.below(3) {
        0 => last,
        1 => (last + random.below(5) as f64 - 2.0).clamp(4.0, 20.0),
        _ => 6.0 + random.below(13) as f64,
    };
    Reading {
        value: (random.below(25) != 0).then_some(value),
        n: [None, Some(5.0), Some(30.0), Some(30.0)][random.below(4) as usize],
        stale: random.below(40) == 0,
    }
}

fn number(state: State) -> Option<u8> {
    match state {
        State::Ok => Some(0),
        State::Warn => Some(1),
        State::Critical => Some(2),
        State::Unknown => None,
    }
}

fn agree(alert: Option<&Alert>, open: Option<Open>) -> bool {
    match (alert, open) {
        (None, None) => true,
        (Some(alert), Some((since, peak, seen))) => {
            let acknowledged = alert.acknowledged.map(|(at, held)| (at, number(held)));
            alert.since == second(since)
                && alert.peak == Some(peak)
                && acknowledged == seen.map(|(at, level)| (second(at), Some(level)))
        }
        _ => false,
    }
}

#[test]
fn a_watch_says_what_a_naive_reference_says() {
    let (mut alerts, mut rearmed, mut unknown) = (0, 0, 0);
    for seed in 0..400 {
        let mut random = Random::new(seed);
        let rule = random_rule(&mut random);
        let (mut watch, mut naive) = (Watch::default(), Naive::default());
        let (mut at, mut last) = (0.0, 12.0);
        for step in 0..300 {
            at += [0.25, 0.5, 1.0, 2.0, 15.0][random.below(5) as usize];
            let reading = random_reading(&mut random, last);
            last = reading.value.unwrap_or(last);
            let found = watch.step(&rule, second(at), &reading);
            let expected = naive.step(&rule, at, &reading);
            let said = found.as_ref().map(|c| (number(c.alert.state), c.rearmed));
            assert_eq!(said, expected, "seed {seed}, step {step}, {rule:?}");
            assert_eq!(
                number(watch.state()),
                naive.state.flatten(),
                "seed {seed}, step {step}"
            );
            alerts += u32::from(found.is_some());
            rearmed += u32::from(said.is_some_and(|(_, again)| again));
            unknown += u32::from(said.is_some_and(|(state, _)| state.is_none()));
            let held = watch.alert().map_or(State::Ok, |alert| alert.held);
            if random.below(12) == 0 && watch.acknowledge(second(at), held).is_some() {
                let open = naive.open.as_mut().expect("open there too");
                open.2 = Some((at, naive.level));
            }
            assert!(agree(watch.alert(), naive.open), "seed {seed}, step {step}");
        }
    }
    assert!(
        alerts > 5_000 && rearmed > 100 && unknown > 100,
        "{alerts} {rearmed} {unknown}"
    );
}
