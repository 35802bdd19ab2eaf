//! Targets files and the verdict on a value.

use events::UtcMicros;
use kpi::{Direction, Goal, Limit, SourceFile, Status, Targets, Thresholds, status};

use crate::catalogue;

fn file(name: &str, text: &str) -> Vec<SourceFile> {
    vec![SourceFile {
        name: name.to_owned(),
        text: text.to_owned(),
    }]
}

fn at(text: &str) -> UtcMicros {
    UtcMicros::parse_rfc3339(text).expect("a moment")
}

#[track_caller]
fn refuses(text: &str, expected: &str) {
    let problems = Targets::load(&[file("t.yml", text)], catalogue()).expect_err("refused");
    let lines: Vec<_> = problems.iter().map(ToString::to_string).collect();
    assert_eq!(lines.join("\n"), expected);
}

const SITE: &str = "
- { kpi: service_level, target: 0.75, good: 0.75, warn: 0.6 }
- kpi: service_level
  where: { queue_id: vip }
  valid_from: 2026-01-01
  valid_to: 2026-07-01
  target: 0.90
  good: 0.90
  warn: 0.80
- { kpi: service_level, where: { queue_id: vip, channel: chat }, target: 0.95 }
- { kpi: asa, where: { queue_id: vip }, target: 10s }
";

#[test]
fn the_most_specific_entry_wins_and_dates_decide() {
    let catalogue = catalogue();
    let targets = Targets::load(&[file("t.yml", SITE)], catalogue).expect("valid");
    let level = catalogue.get("service_level").expect("core");
    let spring = at("2026-03-01T00:00:00Z");
    let target = |dims: &[(&str, &str)], when| targets.goal(level, dims, when).target;
    assert_eq!(target(&[], spring), Some(0.75));
    assert_eq!(target(&[("queue_id", "billing")], spring), Some(0.75));
    assert_eq!(target(&[("queue_id", "vip")], spring), Some(0.90));
    assert_eq!(
        target(&[("channel", "chat"), ("queue_id", "vip")], spring),
        Some(0.95)
    );
    assert_eq!(
        target(&[("queue_id", "vip")], at("2025-12-31T23:59:59Z")),
        Some(0.75)
    );
    assert_eq!(
        target(&[("queue_id", "vip")], at("2026-01-01T00:00:00Z")),
        Some(0.90)
    );
    assert_eq!(
        target(&[("queue_id", "vip")], at("2026-07-01T00:00:00Z")),
        Some(0.75)
    );
}

#[test]
fn without_an_entry_the_definition_holds_and_its_least_n_always() {
    let catalogue = catalogue();
    let targets = Targets::load(&[file("t.yml", SITE)], catalogue).expect("valid");
    let rate = catalogue.get("abandon_rate").expect("core");
    assert_eq!(
        targets.goal(rate, &[], at("2026-03-01T00:00:00Z")).target,
        Some(0.05)
    );
    let asa = catalogue.get("asa").expect("core");
    let goal = targets.goal(asa, &[("queue_id", "vip")], at("2026-03-01T00:00:00Z"));
    assert_eq!(
        (goal.target, goal.thresholds.min_n),
        (Some(10_000.0), Some(10))
    );
    assert_eq!(
        goal.thresholds.good, None,
        "the limits of the definition are for its own target"
    );
}

#[test]
fn user_targets_override_shipped_ones() {
    let catalogue = catalogue();
    let mine = file(
        "mine.yml",
        "- { kpi: service_level, where: { channel: email }, target: 0.5 }",
    );
    let targets = Targets::load(&[kpi::builtin_targets(), mine], catalogue).expect("valid");
    let level = catalogue.get("service_level").expect("core");
    let now = at("2026-03-01T00:00:00Z");
    assert_eq!(
        targets.goal(level, &[("channel", "email")], now).target,
        Some(0.5)
    );
    let shipped = Targets::builtin(catalogue).expect("valid");
    assert_eq!(
        shipped.goal(level, &[("channel", "email")], now),
        Goal {
            target: None,
            thresholds: Thresholds {
                good: None,
                warn: None,
                min_n: Some(10)
            },
        }
    );
    assert_eq!(
        shipped.goal(level, &[("channel", "voice")], now).target,
        Some(0.8)
    );
}

#[test]
fn wrong_entries_are_refused_with_place_and_hint() {
    refuses(
        "- { kpi: servce_level, target: 0.8 }",
        "t.yml:1:10: servce_level: there is no KPI `servce_level`\n  hint: did you mean `service_level`?",
    );
    refuses(
        "- { kpi: service_level, where: { queue: vip }, target: 0.8 }",
        "t.yml:1:41: service_level: the KPI has no dimension `queue`\n  hint: did you mean `queue_id`?",
    );
    refuses(
        "- { kpi: service_level, where: { queue_id: 0x10 }, target: 0.8 }",
        "t.yml:1:44: service_level: `0x10` is read as 16, not as it is written\n  hint: put it in quotes: '0x10'",
    );
    refuses(
        "- { kpi: service_level, where: { channel: phone }, target: 0.8 }",
        "t.yml:1:43: service_level: there is no channel `phone`\n  hint: channels: voice, chat, message, email, sms, social, video, fax, web, store, task",
    );
    refuses(
        "- { kpi: asa, target: 28 }",
        "t.yml:1:23: asa: `28` is no value of this KPI\n  hint: write a duration such as 28s or 5m",
    );
    refuses(
        "- { kpi: asa, target: 28s, good: 28s, warn: 20s }",
        "t.yml:1:10: asa: good 28000 and warn 20000 do not fit `lower` is better\n  \
         hint: put the limit of good on the better side of the limit of warning",
    );
    refuses(
        "- { kpi: asa, target: 28s, valid_from: 2026-02-01, valid_to: 2026-01-01 }",
        "t.yml:1:10: asa: the entry ends before it begins\n  hint: swap valid_from and valid_to",
    );
    refuses(
        "- { kpi: asa, target: 28s, valid_from: 2026-13-01 }",
        "t.yml:1:40: asa: `2026-13-01` is no day\n  hint: write 2026-01-01, or a moment with its offset",
    );
    refuses(
        "- { kpi: asa }",
        "t.yml:1:5: the key `target` is missing\n  hint: add `target:`",
    );
    refuses(
        "- { kpi: asa, traget: 28s }",
        "t.yml:1:15: unknown key `traget`\n  hint: did you mean `target`?",
    );
    refuses(
        "- { kpi: offered, target: 5, good: 5 }",
        "t.yml:1:36: offered: a neutral KPI has no thresholds\n  \
         hint: take them away, or choose another direction",
    );
}

fn goal(good: Limit, warn: Option<Limit>) -> Goal {
    Goal {
        target: None,
        thresholds: Thresholds {
            good: Some(good),
            warn,
            min_n: Some(10),
        },
    }
}

#[test]
fn higher_is_better_and_the_limit_is_inside() {
    let goal = goal(Limit::At(0.8), Some(Limit::At(0.7)));
    let judge = |value| status(Some(value), Some(10.0), &goal, Direction::Higher);
    assert_eq!(
        [0.81, 0.8, 0.79, 0.7, 0.69].map(judge),
        [
            Status::Good,
            Status::Good,
            Status::Warn,
            Status::Warn,
            Status::Bad,
        ]
    );
}

#[test]
fn lower_is_better_and_the_limit_is_inside() {
    let goal = goal(Limit::At(5.0), Some(Limit::At(8.0)));
    let judge = |value| status(Some(value), Some(10.0), &goal, Direction::Lower);
    assert_eq!(
        [5.0, 5.1, 8.0, 8.1].map(judge),
        [Status::Good, Status::Warn, Status::Warn, Status::Bad,]
    );
}

#[test]
fn a_band_is_good_inside_and_warns_around() {
    let goal = goal(
        Limit::Between(240.0, 360.0),
        Some(Limit::Between(200.0, 400.0)),
    );
    let judge = |value| status(Some(value), None, &goal, Direction::Band);
    assert_eq!(
        [199.0, 200.0, 240.0, 360.0, 361.0, 401.0].map(judge),
        [
            Status::Bad,
            Status::Warn,
            Status::Good,
            Status::Good,
            Status::Warn,
            Status::Bad,
        ]
    );
}

#[test]
fn too_few_none_and_neutral_are_not_judged() {
    let limits = goal(Limit::At(0.8), None);
    assert_eq!(
        status(Some(0.9), Some(9.0), &limits, Direction::Higher),
        Status::TooFew
    );
    assert_eq!(
        status(None, Some(0.0), &limits, Direction::Higher),
        Status::None
    );
    assert_eq!(
        status(Some(0.9), None, &limits, Direction::Neutral),
        Status::None
    );
    assert_eq!(
        status(Some(f64::NAN), None, &limits, Direction::Higher),
        Status::None
    );
    assert_eq!(
        status(Some(0.9), None, &Goal::default(), Direction::Higher),
        Status::None
    );
    assert_eq!(
        status(Some(0.1), Some(10.0), &limits, Direction::Higher),
        Status::Bad
    );
    assert_eq!(Status::TooFew.word(), "too few");
}

#[test]
fn a_target_alone_is_the_limit_of_good() {
    let goal = Goal {
        target: Some(0.8),
        thresholds: Thresholds::default(),
    };
    assert_eq!(
        status(Some(0.8), None, &goal, Direction::Higher),
        Status::Good
    );
    assert_eq!(
        status(Some(0.7), None, &goal, Direction::Higher),
        Status::Bad
    );
    assert_eq!(
        status(Some(0.7), None, &goal, Direction::Lower),
        Status::Good
    );
    assert_eq!(
        status(Some(0.7), None, &goal, Direction::Band),
        Status::None
    );
}
