//! Sessions and states of agents.

use events::*;
use facts::{AgentStateSpan, FactRows};

use crate::scene::*;

const HOUR: f64 = 3_600.0;

fn login(s: &mut Scene, seconds: f64, session: &str) {
    s.add(
        seconds,
        AgentSessionStarted {
            session_id: session.into(),
            agent_id: "a1".into(),
        },
    );
}

fn logout(s: &mut Scene, seconds: f64, session: &str) {
    s.add(
        seconds,
        AgentSessionEnded {
            session_id: session.into(),
            agent_id: "a1".into(),
        },
    );
}

/// State, start and duration in seconds of a timeline, by start.
fn spans(rows: &FactRows, timeline: &str) -> Vec<(String, f64, Option<f64>)> {
    let mut spans: Vec<&AgentStateSpan> = rows
        .AgentStateSpan
        .iter()
        .filter(|s| s.timeline == timeline)
        .collect();
    spans.sort_by_key(|s| s.started_at);
    let seconds = |from: UtcMicros| (from.0 - START.0) as f64 / 1e6;
    let span = |s: &AgentStateSpan| {
        (
            s.state.to_string(),
            seconds(s.started_at),
            s.duration_ms.map(|ms| ms as f64 / 1e3),
        )
    };
    spans.into_iter().map(span).collect()
}

fn span(state: &str, from: f64, length: Option<f64>) -> (String, f64, Option<f64>) {
    (state.to_owned(), from, length)
}

#[test]
fn a_session_is_a_span_and_states_follow_each_other_without_gap() {
    let mut s = Scene::new();
    login(&mut s, 0.0, "s1");
    state(&mut s, 0.0, AgentState::Available);
    state(&mut s, 100.0, AgentState::Break);
    state(&mut s, 400.0, AgentState::Available);
    logout(&mut s, 1_000.0, "s1");
    let rows = s.fold();
    assert_eq!(
        spans(&rows, "session"),
        [span("logged_in", 0.0, Some(1_000.0))]
    );
    assert_eq!(
        spans(&rows, "status"),
        [
            span("available", 0.0, Some(100.0)),
            span("break", 100.0, Some(300.0)),
            span("available", 400.0, Some(600.0)),
        ]
    );
    let a_break = rows
        .AgentStateSpan
        .iter()
        .find(|s| s.state == "break")
        .expect("the break");
    assert!(!a_break.routable && !a_break.productive && a_break.paid);
    assert_eq!(a_break.session_id.as_deref(), Some("s1"));
}

#[test]
fn who_logs_in_without_a_word_is_available() {
    let mut s = Scene::new();
    login(&mut s, 0.0, "s1");
    state(&mut s, 60.0, AgentState::Break);
    let rows = s.fold();
    assert_eq!(
        spans(&rows, "status"),
        [
            span("available", 0.0, Some(60.0)),
            span("break", 60.0, None)
        ]
    );
    assert!(
        rows.AgentStateSpan
            .iter()
            .any(|s| s.state == "available" && s.common.inferred)
    );
}

#[test]
fn repeated_logins_and_pauses_are_one_span_from_the_first() {
    let mut s = Scene::new();
    login(&mut s, 0.0, "s1");
    login(&mut s, 10.0, "s1");
    state(&mut s, 20.0, AgentState::Break);
    state(&mut s, 30.0, AgentState::Break);
    logout(&mut s, 50.0, "s1");
    logout(&mut s, 60.0, "s1");
    let rows = s.fold();
    assert_eq!(
        spans(&rows, "session"),
        [span("logged_in", 0.0, Some(50.0))]
    );
    assert_eq!(
        spans(&rows, "status"),
        [
            span("available", 0.0, Some(20.0)),
            span("break", 20.0, Some(30.0))
        ]
    );
}

#[test]
fn a_session_without_logout_ends_at_the_last_sign_of_life_before_the_next_login() {
    let mut s = Scene::new();
    login(&mut s, 0.0, "s1");
    s.add(
        500.0,
        AgentHeartbeat {
            agent_id: "a1".into(),
            state: AgentState::Available,
            contacts: None,
        },
    );
    login(&mut s, 2_000.0, "s2");
    logout(&mut s, 3_000.0, "s2");
    let rows = s.fold();
    assert_eq!(
        spans(&rows, "session"),
        [
            span("logged_in", 0.0, Some(500.0)),
            span("logged_in", 2_000.0, Some(1_000.0))
        ]
    );
    assert_eq!(issues(&rows), ["missing_end"]);
}

#[test]
fn after_sixteen_hours_of_silence_no_idle_time_is_invented() {
    let mut s = Scene::new();
    login(&mut s, 0.0, "s1");
    state(&mut s, 100.0, AgentState::Break);
    state(&mut s, 400.0, AgentState::Available);
    s.started(400.0 + 16.0 * HOUR - 1.0, "c1");
    assert_eq!(spans(&s.fold(), "session"), [span("logged_in", 0.0, None)]);
    s.started(400.0 + 16.0 * HOUR, "c2");
    let rows = s.fold();
    assert_eq!(
        spans(&rows, "session"),
        [span("logged_in", 0.0, Some(400.0))]
    );
    assert_eq!(
        spans(&rows, "status").len(),
        2,
        "no time was spent in the last state"
    );
    assert!(
        rows.AgentStateSpan
            .iter()
            .any(|s| s.timeline == "session" && s.common.inferred)
    );
}

#[test]
fn states_without_any_session_go_from_change_to_change() {
    let mut s = Scene::new();
    state(&mut s, 0.0, AgentState::Break);
    state(&mut s, 50.0, AgentState::Available);
    state(&mut s, 80.0, AgentState::Available);
    state(&mut s, 90.0, AgentState::Offline);
    let rows = s.fold();
    assert_eq!(
        spans(&rows, "status"),
        [
            span("break", 0.0, Some(50.0)),
            span("available", 50.0, Some(40.0))
        ]
    );
    assert!(spans(&rows, "session").is_empty());
}

#[test]
fn a_heartbeat_shows_a_change_that_was_missed() {
    let mut s = Scene::new();
    login(&mut s, 0.0, "s1");
    s.add(
        120.0,
        AgentHeartbeat {
            agent_id: "a1".into(),
            state: AgentState::Meal,
            contacts: None,
        },
    );
    let rows = s.fold();
    assert_eq!(
        spans(&rows, "status"),
        [
            span("available", 0.0, Some(120.0)),
            span("meal", 120.0, None)
        ]
    );
}

#[test]
fn a_state_over_midnight_is_one_span() {
    let mut s = Scene::new();
    login(&mut s, 20.0 * HOUR, "s1");
    logout(&mut s, 26.0 * HOUR, "s1");
    let rows = s.fold();
    assert_eq!(
        spans(&rows, "status"),
        [span("available", 20.0 * HOUR, Some(6.0 * HOUR))]
    );
}

#[test]
fn the_logout_of_another_session_ends_nothing() {
    let mut s = Scene::new();
    login(&mut s, 0.0, "s1");
    logout(&mut s, 50.0, "s0");
    let rows = s.fold();
    assert_eq!(spans(&rows, "session"), [span("logged_in", 0.0, None)]);
    assert_eq!(issues(&rows), ["second_end"]);
}
