//! Alerts.

use events::*;
use facts::Alert;

use crate::scene::*;

fn changed(state: AlertState, value: &str, peak: &str) -> AlertChanged {
    AlertChanged {
        alert_id: "al1".into(),
        rule_id: "service_level_low".into(),
        figure: "service_level@30m".into(),
        scope: "q.sales".into(),
        queue_id: Some("sales".into()),
        state,
        value: Decimal::parse(value),
        peak: Decimal::parse(peak),
        n: Some(54),
        rearmed: None,
    }
}

fn seen(by: &str, note: Option<&str>) -> AlertAcknowledged {
    AlertAcknowledged {
        alert_id: "al1".into(),
        acknowledged_by: by.into(),
        note: note.map(Text::from),
    }
}

/// A warning at 0, critical from 60 to 180, a warning again until 240, then well.
fn episode() -> Scene {
    let mut s = Scene::new();
    s.add(0.0, changed(AlertState::Warn, "0.78", "0.78"));
    s.add(60.0, changed(AlertState::Critical, "0.55", "0.55"));
    s.add(180.0, changed(AlertState::Warn, "0.71", "0.41"));
    s.add(240.0, changed(AlertState::Ok, "0.85", "0.41"));
    s
}

#[track_caller]
fn only(s: &Scene) -> Alert {
    let rows = s.fold();
    assert!(issues(&rows).is_empty());
    assert_eq!(rows.len(), 1, "{rows:?}");
    rows.Alert[0].clone()
}

#[test]
fn an_alert_says_how_long_it_was_how_bad() {
    let row = only(&episode());
    assert_eq!(
        (row.warn_ms, row.critical_ms, row.unknown_ms),
        (120_000, 120_000, 0)
    );
    assert_eq!((row.started_at, row.ended_at), (at(0.0), Some(at(240.0))));
    assert_eq!((&*row.level, &*row.state), ("critical", "ok"));
    assert_eq!(row.value, Decimal::parse("0.85"));
    assert_eq!(row.peak, Decimal::parse("0.41"));
    assert_eq!(row.queue_id.as_deref(), Some("sales"));
    assert!(!row.acknowledged);
}

#[test]
fn an_open_alert_counts_only_what_has_ended() {
    let mut s = Scene::new();
    s.add(0.0, changed(AlertState::Critical, "0.5", "0.5"));
    s.add(90.0, changed(AlertState::Unknown, "0.5", "0.3"));
    let row = only(&s);
    assert_eq!((row.critical_ms, row.unknown_ms), (90_000, 0));
    assert_eq!((row.ended_at, row.changed_at), (None, at(90.0)));
    assert_eq!((&*row.level, &*row.state), ("critical", "unknown"));
}

#[test]
fn an_acknowledgement_holds_until_it_gets_worse_or_is_raised_again() {
    let mut s = Scene::new();
    s.add(0.0, changed(AlertState::Warn, "0.78", "0.78"));
    s.add(10.0, seen("maria", Some("two are sick")));
    let row = only(&s);
    assert!(row.acknowledged);
    assert_eq!(row.acknowledged_at, Some(at(10.0)));
    assert_eq!(row.acknowledged_by.as_deref(), Some("maria"));
    assert_eq!(row.note.as_deref(), Some("two are sick"));

    let mut worse = s.clone();
    worse.add(20.0, changed(AlertState::Critical, "0.5", "0.5"));
    let row = only(&worse);
    assert!(!row.acknowledged);
    assert_eq!(row.acknowledged_by.as_deref(), Some("maria"));
    worse.add(30.0, seen("li", None));
    worse.add(40.0, changed(AlertState::Warn, "0.7", "0.5"));
    let row = only(&worse);
    assert!(row.acknowledged, "what got better was seen");
    assert_eq!(
        (row.acknowledged_by.as_deref(), row.note),
        (Some("li"), None)
    );

    let again = AlertChanged {
        rearmed: Some(true),
        ..changed(AlertState::Warn, "0.7", "0.7")
    };
    s.add(1_900.0, again);
    let row = only(&s);
    assert_eq!((row.acknowledged, row.rearmed), (false, 1));
    assert_eq!(
        row.changed_at,
        at(0.0),
        "it has been a warning all the time"
    );
}

#[test]
fn an_acknowledgement_of_what_is_not_known_makes_no_row() {
    let mut s = Scene::new();
    s.add(0.0, seen("maria", None));
    assert!(s.fold().is_empty());
}

#[test]
fn no_contact_is_given_up_because_of_an_alert() {
    let mut s = Scene::new();
    s.started(0.0, "c1");
    s.connected(10.0, "l1", "c1", "a1");
    let alone = s.fold();
    s.add(400.0 * 3_600.0, changed(AlertState::Warn, "0.7", "0.7"));
    let with_alert = s.fold();
    assert_eq!(alone.Leg, with_alert.Leg);
    assert_eq!(alone.Leg[0].completed_at, None);
}
