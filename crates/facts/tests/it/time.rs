//! Agents' time by quarters of an hour. Scenes begin at a full hour.

use events::*;
use facts::{AgentTime, FactRows, fold_all};

use crate::scene::*;

/// Timeline, slice (minutes after the start), begin and end in it in seconds; by slice and begin.
fn pieces(rows: &FactRows, agent: &str) -> Vec<(String, i64, f64, f64)> {
    let mut found: Vec<&AgentTime> = rows
        .AgentTime
        .iter()
        .filter(|t| t.agent_id == agent)
        .collect();
    found.sort_by_key(|t| (t.slice_at, t.from_ms, t.timeline.clone()));
    let piece = |t: &AgentTime| {
        let minutes = t.slice_at.ms_since(START) / 60_000;
        let what = t.state.as_ref().unwrap_or(&t.timeline);
        (
            what.to_string(),
            minutes,
            t.from_ms as f64 / 1e3,
            t.to_ms as f64 / 1e3,
        )
    };
    found.into_iter().map(piece).collect()
}

fn piece(what: &str, minutes: i64, from: f64, to: f64) -> (String, i64, f64, f64) {
    (what.to_owned(), minutes, from, to)
}

#[test]
fn a_ring_and_the_work_that_follows_are_cut_at_the_quarter() {
    let mut s = Scene::new();
    s.started(0.0, "c1");
    s.entered(800.0, "q1", "c1", "billing");
    s.offered(880.0, 890.0, "q1", "a1", OfferOutcome::Accepted);
    s.left(890.0, "q1", LeaveReason::Answered).leg_id = Some("l1".into());
    s.connected(890.0, "l1", "c1", "a1").visit_id = Some("q1".into());
    s.disconnected(1_000.0, "l1");
    s.acw(1_000.0, 1_060.0, "l1");
    let rows = s.fold();
    assert_eq!(
        pieces(&rows, "a1"),
        [
            piece("ring", 0, 880.0, 890.0),
            piece("contact", 0, 890.0, 900.0),
            piece("contact", 15, 0.0, 160.0),
        ]
    );
    let offers: Vec<_> = rows
        .AgentTime
        .iter()
        .map(|t| (t.offers, t.offers_missed))
        .collect();
    assert_eq!(offers.iter().filter(|o| **o == (1, 0)).count(), 1);
    assert_eq!(offers.iter().filter(|o| **o == (0, 0)).count(), 2);
}

#[test]
fn a_missed_offer_counts_once_even_if_it_rang_over_the_quarter_or_for_no_time() {
    let mut s = Scene::new();
    s.started(0.0, "c1");
    s.entered(800.0, "q1", "c1", "billing");
    s.offered(890.0, 910.0, "q1", "a1", OfferOutcome::NoAnswer);
    s.offered(910.0, 910.0, "q1", "a1", OfferOutcome::Rejected);
    let rows = s.fold();
    let sum = |f: fn(&AgentTime) -> i64| rows.AgentTime.iter().map(f).sum::<i64>();
    assert_eq!((sum(|t| t.offers), sum(|t| t.offers_missed)), (2, 2));
    assert_eq!(sum(|t| t.to_ms - t.from_ms), 20_000);
}

/// Timelines of what has begun and is not over, with slice and begin.
fn begun(rows: &FactRows, agent: &str) -> Vec<(String, i64, f64)> {
    let open = rows.AgentTime.iter();
    let open = open.filter(|t| t.agent_id == agent && t.timeline.starts_with("open_"));
    open.map(|t| {
        assert_eq!(t.from_ms, t.to_ms, "who adds up what is over sees nothing");
        let minutes = t.slice_at.ms_since(START) / 60_000;
        (t.timeline.to_string(), minutes, t.from_ms as f64 / 1e3)
    })
    .collect()
}

#[test]
fn a_status_that_is_not_over_is_a_row_without_length() {
    let mut s = Scene::new();
    state(&mut s, 0.0, AgentState::Available);
    state(&mut s, 1_000.0, AgentState::Break);
    let rows = s.fold();
    assert_eq!(
        pieces(&rows, "a1"),
        [
            piece("available", 0, 0.0, 900.0),
            piece("available", 15, 0.0, 100.0),
            piece("break", 15, 100.0, 100.0)
        ]
    );
    assert_eq!(begun(&rows, "a1"), [("open_status".to_owned(), 15, 100.0)]);
}

#[test]
fn an_end_that_comes_later_takes_the_place_of_the_open_begin() {
    let mut s = Scene::new();
    state(&mut s, 0.0, AgentState::Available);
    assert_eq!(begun(&s.fold(), "a1"), [("open_status".to_owned(), 0, 0.0)]);
    state(&mut s, 300.0, AgentState::Offline);
    let rows = s.fold();
    assert_eq!(pieces(&rows, "a1"), [piece("available", 0, 0.0, 300.0)]);
}

#[test]
fn offline_inside_a_session_is_not_time_of_the_agent() {
    let mut s = Scene::new();
    let session_id = Text::from("s1");
    let agent_id = Text::from("a1");
    s.add(
        0.0,
        AgentSessionStarted {
            session_id: session_id.clone(),
            agent_id: agent_id.clone(),
        },
    );
    state(&mut s, 0.0, AgentState::Available);
    state(&mut s, 100.0, AgentState::Offline);
    s.add(
        700.0,
        AgentSessionEnded {
            session_id,
            agent_id,
        },
    );
    assert_eq!(pieces(&s.fold(), "a1"), [piece("available", 0, 0.0, 100.0)]);
}

#[test]
fn an_open_leg_is_work_that_has_begun_and_listeners_take_no_time() {
    let mut s = Scene::new();
    s.started(0.0, "c1");
    s.connected(10.0, "l1", "c1", "a1");
    s.connected(20.0, "l2", "c1", "a2").role = Role::Monitor;
    s.disconnected(60.0, "l2");
    let rows = s.fold();
    assert_eq!(begun(&rows, "a1"), [("open_contact".to_owned(), 0, 10.0)]);
    assert_eq!(rows.AgentTime.len(), 1);
}

#[test]
fn a_leg_that_was_given_up_or_is_told_by_messages_is_not_open_work() {
    let mut s = Scene::new();
    s.started(0.0, "c1");
    s.connected(10.0, "l1", "c1", "a1");
    s.started_on(5.0 * 3_600.0, "c2", Channel::Email);
    s.connected(5.0 * 3_600.0, "l2", "c2", "a1");
    s.message(5.0 * 3_600.0 + 30.0, "c2", Actor::Agent);
    assert_eq!(begun(&s.fold(), "a1"), []);
}

#[test]
fn written_contacts_take_the_time_in_which_the_agent_wrote() {
    let mut s = Scene::new();
    s.started_on(0.0, "c1", Channel::Email);
    s.connected(0.0, "l1", "c1", "a1");
    s.message(30.0, "c1", Actor::Agent);
    s.message(400.0, "c1", Actor::Customer);
    s.message(430.0, "c1", Actor::Agent);
    s.disconnected(500.0, "l1");
    let rows = s.fold();
    assert_eq!(
        pieces(&rows, "a1"),
        [
            piece("contact", 0, 0.0, 30.0),
            piece("contact", 0, 400.0, 430.0)
        ]
    );
    assert_eq!(leg(&rows, "l1").handle_ms, 60_000);
}

#[test]
fn dialling_and_given_durations_are_the_time_of_the_leg() {
    let mut s = Scene::new();
    s.started(0.0, "c1");
    s.connected(100.0, "l1", "c1", "a1").dial_ms = Some(20_000);
    s.disconnected(400.0, "l1").talk_ms = Some(50_000);
    let rows = s.fold();
    assert_eq!(pieces(&rows, "a1"), [piece("contact", 0, 80.0, 150.0)]);
}

#[test]
fn a_span_of_months_is_noted_and_not_cut() {
    let mut s = Scene::new();
    s.started_on(0.0, "c1", Channel::Chat);
    s.connected(0.0, "l1", "c1", "a1");
    s.disconnected(90.0 * 86_400.0, "l1");
    let rows = s.fold();
    assert_eq!(rows.AgentTime, []);
    assert!(issues(&rows).contains(&"too_long"), "{:?}", issues(&rows));
}

#[test]
fn slots_and_length_of_service_are_those_of_the_day() {
    let mut s = Scene::new();
    let day = |days: i64| Date(i32::try_from(START.0 / 86_400_000_000 - days).expect("a day"));
    s.add(
        -40.0 * 86_400.0,
        AgentHired {
            agent_id: "a1".into(),
            effective_on: day(40),
            voluntary: None,
        },
    );
    let slots = [(Channel::Voice, 1), (Channel::Chat, 3)].into();
    s.add(
        -60.0,
        AgentCapacityChanged {
            agent_id: "a1".into(),
            slots,
        },
    );
    s.started(0.0, "c1");
    s.connected(10.0, "l1", "c1", "a1");
    s.disconnected(20.0, "l1");
    state(&mut s, 0.0, AgentState::Available);
    state(&mut s, 100.0, AgentState::Break);
    let rows = fold_all(s.events);
    assert_eq!(leg(&rows, "l1").tenure_band.as_deref(), Some("31-90d"));
    let status = rows
        .AgentTime
        .iter()
        .find(|t| t.state.is_some())
        .expect("a status");
    assert_eq!(
        (status.slots, status.tenure_band.as_deref()),
        (Some(3), Some("31-90d"))
    );
}

fn planned(s: &mut Scene, (from, to): (f64, f64), activity: &str, version: i64) {
    s.add(
        -3_600.0,
        SchedulePublished {
            agent_id: "a1".into(),
            version,
            activity: activity.into(),
            start: at(from),
            end: at(to),
            on_queue: activity == "queue",
            productive: true,
            paid: true,
            tracked: true,
            covers_start: None,
            covers_end: None,
        },
    );
}

/// Activity, slice in minutes, begin and end in seconds, absence.
fn plan(rows: &FactRows) -> Vec<(String, i64, f64, f64, String)> {
    let mut found: Vec<_> = rows.ScheduleTime.iter().collect();
    found.sort_by_key(|p| (p.slice_at, p.from_ms));
    let piece = |p: &facts::ScheduleTime| {
        let minutes = p.slice_at.ms_since(START) / 60_000;
        let away = p.absence_kind.as_deref().unwrap_or("-").to_owned();
        let (from, to) = (p.from_ms as f64 / 1e3, p.to_ms as f64 / 1e3);
        (p.activity.to_string(), minutes, from, to, away)
    };
    found.into_iter().map(piece).collect()
}

#[test]
fn the_newest_version_of_a_plan_counts_and_each_moment_once() {
    let mut s = Scene::new();
    planned(&mut s, (0.0, 1_800.0), "queue", 1);
    planned(&mut s, (600.0, 1_000.0), "training", 2);
    s.add(
        -60.0,
        AbsenceRecorded {
            agent_id: "a1".into(),
            start: at(1_500.0),
            end: at(9_000.0),
            kind: AbsenceKind::Sick,
        },
    );
    let rows = s.fold();
    let row = |a: &str, m, from, to, away: &str| (a.to_owned(), m, from, to, away.to_owned());
    assert_eq!(
        plan(&rows),
        [
            row("queue", 0, 0.0, 600.0, "-"),
            row("training", 0, 600.0, 900.0, "-"),
            row("training", 15, 0.0, 100.0, "-"),
            row("queue", 15, 100.0, 600.0, "-"),
            row("queue", 15, 600.0, 900.0, "sick"),
        ]
    );
}

/// Says that the version of the last planned activity is the whole plan from then to then.
fn covering(s: &mut Scene, (from, to): (f64, f64)) {
    let last = s.events.last_mut().expect("a planned activity");
    let EventData::SchedulePublished(planned) = &mut last.data else {
        panic!("{last:?} is no planned activity");
    };
    (planned.covers_start, planned.covers_end) = (Some(at(from)), Some(at(to)));
}

#[test]
fn a_version_takes_time_away_where_it_is_the_whole_plan() {
    let mut s = Scene::new();
    planned(&mut s, (0.0, 900.0), "queue", 1);
    planned(&mut s, (1_800.0, 2_700.0), "queue", 1);
    planned(&mut s, (100.0, 300.0), "queue", 2);
    covering(&mut s, (0.0, 1_800.0));
    let row = |a: &str, m, from, to| (a.to_owned(), m, from, to, "-".to_owned());
    let expected = [row("queue", 0, 100.0, 300.0), row("queue", 30, 0.0, 900.0)];
    assert_eq!(plan(&s.fold()), expected);
    planned(&mut s, (0.0, 0.0), "none", 3);
    covering(&mut s, (0.0, 1_800.0));
    assert_eq!(plan(&s.fold()), expected[1..]);
}

#[test]
fn a_plan_that_ends_before_it_begins_is_noted() {
    let mut s = Scene::new();
    planned(&mut s, (600.0, 0.0), "queue", 1);
    let rows = s.fold();
    assert_eq!(
        (rows.ScheduleTime.len(), issues(&rows)),
        (0, vec!["bad_order"])
    );
}
