//! What every simulated world must be: the same for a seed, in order, complete, plausible.

use std::collections::{HashMap, HashSet};

use chrono_tz::Tz;
use events::{Event, EventData, UtcMicros};
use sim::{Bucket, Config, ConfigError, Grouping, Ledger, METRICS, World, write_ndjson};

const TOTAL: Grouping = Grouping {
    bucket: Bucket::Total,
    by_queue: false,
};

fn config(seed: u64, days: u32, agents: u32) -> Config {
    Config {
        seed,
        days,
        agents,
        ..Config::default()
    }
}

fn world(config: &Config) -> World {
    World::with_ledger(config).expect("a valid configuration")
}

fn ledger(config: &Config) -> Ledger {
    world(config).into_ledger().expect("asked for")
}

fn bytes(config: &Config) -> Vec<u8> {
    let mut out = Vec::new();
    for event in World::new(config).expect("a valid configuration") {
        write_ndjson(&event, &mut out).expect("memory");
    }
    out
}

fn total(ledger: &Ledger, id: &str) -> i128 {
    let rows = ledger.kpi(id, TOTAL).expect("a KPI of the ledger");
    rows.first().map_or(0, |row| row.numerator)
}

fn value(ledger: &Ledger, id: &str) -> f64 {
    let metric = Ledger::metric(id).expect("a KPI of the ledger");
    let rows = ledger.kpi(id, TOTAL).expect("a KPI of the ledger");
    rows.first()
        .and_then(|row| row.value(metric))
        .unwrap_or(f64::NAN)
}

#[test]
fn the_same_seed_gives_the_same_bytes_and_another_seed_others() {
    let first = bytes(&config(1, 2, 12));
    assert_eq!(first, bytes(&config(1, 2, 12)));
    assert_ne!(first, bytes(&config(2, 2, 12)));
}

#[test]
fn keeping_a_ledger_changes_no_event() {
    let config = config(9, 2, 12);
    let with: Vec<Event> = world(&config).collect();
    let without: Vec<Event> = World::new(&config).expect("valid").collect();
    assert_eq!(with, without);
}

#[test]
fn a_longer_world_begins_like_a_shorter_one() {
    let watermark = |e: &Event| matches!(e.data, EventData::SourceWatermark(_));
    let short: Vec<Event> = world(&config(4, 1, 12)).filter(|e| !watermark(e)).collect();
    let long: Vec<Event> = world(&config(4, 2, 12)).filter(|e| !watermark(e)).collect();
    assert_eq!(short[..], long[..short.len()]);
}

#[test]
fn events_come_in_the_order_of_time_with_ids_of_their_own() {
    let world = world(&config(3, 7, 40));
    let (start, end) = (world.start(), world.end());
    let mut ids = HashSet::new();
    let mut last = start;
    for event in world {
        assert!(event.occurred_at >= last, "{} is late", event.event_id);
        assert_eq!(event.occurred_at.0 % 1_000, 0, "whole milliseconds");
        assert!(
            ids.insert(event.event_id.clone()),
            "{} comes twice",
            event.event_id
        );
        last = event.occurred_at;
    }
    assert_eq!(last, end, "the last event is the watermark of the end");
}

#[test]
fn every_event_is_valid_as_a_line() {
    let received = UtcMicros::parse_rfc3339("2030-01-01T00:00:00Z").expect("a time");
    let intake = events::Intake {
        tenant_id: events::DEFAULT_TENANT.into(),
        default_source: None,
        recorded_at: received,
    };
    for event in world(&config(5, 3, 30)) {
        let mut line = Vec::new();
        write_ndjson(&event, &mut line).expect("memory");
        let read = events::decode_line(line.trim_ascii_end(), &intake).expect("a valid event");
        assert_eq!(
            read,
            Event {
                recorded_at: received,
                ..event
            }
        );
    }
}

#[test]
fn every_local_day_ends_with_a_watermark_and_the_first_says_where_history_begins() {
    let zone = Tz::America__New_York;
    let start = UtcMicros::parse_rfc3339("2025-03-07T15:30:00Z").expect("a time");
    let config = Config {
        zone,
        start,
        ..config(1, 4, 6)
    };
    let marks: Vec<(String, Option<UtcMicros>)> = world(&config)
        .filter_map(|e| match e.data {
            EventData::SourceWatermark(w) => Some((w.complete_until.to_string(), w.history_start)),
            _ => None,
        })
        .collect();
    let until: Vec<&str> = marks.iter().map(|(until, _)| until.as_str()).collect();
    // The clocks go forward on 2025-03-09: that day has 23 hours.
    let expected = [
        "2025-03-08T05:00:00Z",
        "2025-03-09T05:00:00Z",
        "2025-03-10T04:00:00Z",
        "2025-03-11T04:00:00Z",
    ];
    assert_eq!(until, expected);
    let midnight = UtcMicros::parse_rfc3339("2025-03-07T05:00:00Z");
    assert_eq!(marks[0].1, midnight);
    assert!(marks[1..].iter().all(|(_, history)| history.is_none()));
}

#[test]
fn answered_abandoned_flowed_out_and_waiting_make_up_offered() {
    for seed in 1..=5 {
        // At night some queues are open, so that visits wait when the world ends.
        let config = config(seed, 2, 80);
        let mut waiting = HashSet::new();
        let mut count = HashMap::<&str, i128>::new();
        let mut test = HashSet::new();
        for event in world(&config) {
            match event.data {
                EventData::InteractionStarted(s) if s.is_test == Some(true) => {
                    test.insert(s.interaction_id);
                }
                EventData::QueueEntered(q)
                    if q.visit_kind == events::VisitKind::Customer
                        && !test.contains(&q.interaction_id) =>
                {
                    waiting.insert(q.visit_id);
                }
                EventData::QueueLeft(q) if waiting.remove(&q.visit_id) => {
                    *count.entry(kind(q.reason)).or_default() += 1;
                }
                _ => {}
            }
        }
        let ledger = ledger(&config);
        let get = |kind: &str| count.get(kind).copied().unwrap_or(0);
        assert_eq!(total(&ledger, "answered"), get("answered"));
        assert_eq!(total(&ledger, "abandoned"), get("abandoned"));
        let parts = get("answered") + get("abandoned") + get("flowed_out") + waiting.len() as i128;
        assert_eq!(total(&ledger, "offered"), parts);
    }
}

fn kind(reason: events::LeaveReason) -> &'static str {
    use events::LeaveReason as R;
    match reason {
        R::Answered => "answered",
        R::Abandoned => "abandoned",
        R::Full | R::Closed | R::JoinEmpty => "blocked",
        _ => "flowed_out",
    }
}

#[test]
fn parts_of_every_kpi_sum_to_its_total_in_any_zone() {
    let ledger = ledger(&config(8, 8, 6));
    let zones = [
        Tz::Asia__Shanghai,
        Tz::America__New_York,
        Tz::Asia__Kathmandu,
    ];
    let hours = zones.map(Bucket::Hour);
    let days = zones.map(Bucket::Day);
    let buckets: Vec<Bucket> = [Bucket::QuarterHour]
        .into_iter()
        .chain(hours)
        .chain(days)
        .collect();
    // Neither maxima nor numbers of different things can be added.
    let others = [
        "longest_wait",
        "longest_wait_answered",
        "offered_interactions",
        "repeat_customers",
    ];
    for id in METRICS
        .iter()
        .map(|m| m.id)
        .filter(|id| !others.contains(id))
    {
        let sums = |grouping| {
            let rows = ledger.kpi(id, grouping)?;
            let below: i128 = rows.iter().filter_map(|r| r.denominator).sum();
            Some((rows.iter().map(|r| r.numerator).sum::<i128>(), below))
        };
        let whole = sums(TOTAL);
        for bucket in &buckets {
            for by_queue in [false, true] {
                let parts = sums(Grouping {
                    bucket: *bucket,
                    by_queue,
                });
                assert!(parts.is_none() || parts == whole, "{id} by {bucket:?}");
            }
        }
    }
}

#[test]
fn a_centre_of_usual_size_works_plausibly() {
    for seed in 1..=3 {
        let ledger = ledger(&config(seed, 21, 24));
        let between = |id: &str, low: f64, high: f64| {
            let value = value(&ledger, id);
            assert!((low..=high).contains(&value), "seed {seed}: {id} = {value}");
        };
        between("service_level", 0.70, 0.92);
        between("abandon_rate", 0.01, 0.10);
        between("aht", 200_000.0, 600_000.0);
        between("fcr", 0.65, 0.93);
        between("transfer_rate", 0.02, 0.12);
        between("csat", 0.55, 0.90);
        between("nps", -20.0, 60.0);
        between("ces", 3.5, 6.5);
        between("fcr_case", 0.35, 0.90);
        between("fcr_one_touch", 0.50, 0.95);
        between("enps", -30.0, 40.0);
        between("esat", 0.40, 0.80);
        between("valid_order_rate", 0.70, 0.95);
        between("cost_per_contact", 3.0, 30.0);
        between("cost_per_valid_order", 10.0, 200.0);
    }
}

#[test]
fn a_small_and_a_large_centre_keep_their_service_level_too() {
    for (days, agents) in [(14, 8), (5, 120)] {
        let level = value(&ledger(&config(2, days, agents)), "service_level");
        assert!((0.65..=0.95).contains(&level), "{agents} agents: {level}");
    }
}

#[test]
fn a_world_has_all_that_a_contact_centre_can_do() {
    let mut seen = HashSet::new();
    let mut reasons = HashSet::new();
    for event in world(&config(1, 21, 50)) {
        seen.insert(event.data.event_type());
        if event.correction.is_some() {
            seen.insert("a correction");
        }
        if let EventData::QueueLeft(left) = &event.data {
            reasons.insert(left.reason);
        }
        seen.extend(case_or_survey(&event.data));
    }
    let wanted = [
        "transfer.initiated",
        "transfer.completed",
        "leg.role_changed",
        "callback.closed",
        "survey.answered",
        "evaluation.completed",
        "order.cancelled",
        "order.shipped",
        "order.delivered",
        "order.refused",
        "order.returned",
        "order.exchanged",
        "order.refunded",
        "cost.posted",
        "agent.state_changed",
        "message.sent",
        "selfservice.ended",
        "interaction.identified",
        "agent.capacity_changed",
        "case.opened",
        "case.status_changed",
        "case.escalated",
        "case.solved",
        "case.reopened",
        "case.closed",
        "a correction",
        "a merged case",
        "a reply in a case",
        "a note in a case",
        "a mail in a case",
        "a case of two contacts",
        "a survey of an employee",
        "a survey without a name",
    ];
    for event_type in wanted {
        assert!(seen.contains(event_type), "no {event_type}");
    }
    for reason in events::LeaveReason::ALL {
        assert!(reasons.contains(reason), "nobody left as {reason}");
    }
}

/// What is special about an event of a case or a survey.
fn case_or_survey(data: &EventData) -> Option<&'static str> {
    use events::Actor;
    match data {
        EventData::CaseStatusChanged(e) if e.merged_into.is_some() => Some("a merged case"),
        EventData::CaseStatusChanged(e) => {
            e.interaction_id.as_ref().map(|_| "a case of two contacts")
        }
        EventData::MessageSent(e) if e.case_id.is_some() && e.actor == Actor::Agent => {
            Some(match (&e.interaction_id, e.public) {
                (Some(_), _) => "a mail in a case",
                (None, true) => "a reply in a case",
                (None, false) => "a note in a case",
            })
        }
        EventData::SurveyAnswered(e) if e.leg_id.is_none() => Some(match e.agent_id {
            Some(_) => "a survey of an employee",
            None => "a survey without a name",
        }),
        _ => None,
    }
}

#[test]
fn every_case_is_opened_once_and_ends_or_is_still_young() {
    let world = world(&config(11, 28, 12));
    let end = world.end();
    let mut last = HashMap::new();
    let mut closed = HashSet::new();
    for event in world {
        let at = event.occurred_at;
        match event.data {
            EventData::CaseOpened(e) => {
                assert!(last.insert(e.case_id, at).is_none(), "a case opens twice");
            }
            EventData::CaseSolved(e) => *last.get_mut(&e.case_id).expect("open") = at,
            EventData::CaseReopened(e) => *last.get_mut(&e.case_id).expect("open") = at,
            EventData::CaseClosed(e) => assert!(closed.insert(e.case_id), "closed twice"),
            EventData::MessageSent(e) => {
                if let Some(case) = e.case_id {
                    *last.get_mut(&case).expect("open") = at;
                }
            }
            _ => {}
        }
    }
    let silent = |at: UtcMicros| end.ms_since(at) > 7 * 86_400_000;
    let left: Vec<_> = last
        .iter()
        .filter(|(case, at)| silent(**at) && !closed.contains(*case))
        .collect();
    assert!(closed.len() > 100, "{}", closed.len());
    assert!(left.is_empty(), "nobody looks at {left:?}");
}

#[test]
fn a_configuration_outside_its_limits_is_refused() {
    let refused = |config: Config| World::new(&config).err();
    let good = Config::default();
    assert_eq!(
        refused(Config {
            days: 0,
            ..good.clone()
        }),
        Some(ConfigError::Days(0))
    );
    assert_eq!(
        refused(Config {
            agents: 0,
            ..good.clone()
        }),
        Some(ConfigError::Agents(0))
    );
    let far = UtcMicros(i64::MAX);
    assert_eq!(
        refused(Config {
            start: far,
            ..good.clone()
        }),
        Some(ConfigError::Start(far))
    );
    let currency = events::Text::new("yuan");
    let error = refused(Config {
        currency: currency.clone(),
        ..good
    });
    assert_eq!(error, Some(ConfigError::Currency(currency)));
}

#[test]
fn progress_runs_from_nothing_to_one() {
    let mut world = World::new(&config(1, 1, 3)).expect("valid");
    assert_eq!(world.progress(), 0.0);
    world.by_ref().for_each(drop);
    assert_eq!(world.progress(), 1.0);
    assert!(world.next().is_none());
}

#[test]
fn the_truth_as_json_has_every_kpi() {
    let truth = ledger(&config(1, 2, 6)).to_json();
    let kpis = truth["kpis"].as_object().expect("an object");
    assert_eq!(kpis.len(), METRICS.len());
    assert_eq!(truth["horizon"], "2026-03-03T16:00:00Z");
    let offered = &kpis["offered"];
    let days = offered["days"].as_array().expect("a list");
    let sum: i64 = days.iter().filter_map(|d| d["numerator"].as_i64()).sum();
    assert_eq!(Some(sum), offered["total"]["numerator"].as_i64());
    assert!(
        days.iter()
            .any(|d| d["queue"] == "billing" && d["day"] == "2026-03-02")
    );
    assert!(
        kpis["cost_total"]["total"]["numerator"].is_string(),
        "money is decimal text"
    );
}
