//! Callbacks and voicemails.

use events::*;

use crate::scene::*;

fn requested(s: &mut Scene, seconds: f64, kind: CallbackKind) {
    s.add(
        seconds,
        CallbackRequested {
            callback_id: "cb1".into(),
            kind,
            visit_id: Some("q1".into()),
            interaction_id: Some("c1".into()),
            queue_id: "billing".into(),
            scheduled_for: None,
        },
    );
}

/// Asked for at 100 after 100 s in the queue; attempts at 300 and 350; connected at 365.
fn accepted() -> Scene {
    let mut s = Scene::new();
    s.started(0.0, "c1");
    s.entered(0.0, "q1", "c1", "billing");
    s.left(100.0, "q1", LeaveReason::Callback);
    requested(&mut s, 100.0, CallbackKind::Callback);
    s.ended(101.0, "c1", EndedBy::Customer);
    for seconds in [300.0, 350.0] {
        s.add(
            seconds,
            CallbackAttempted {
                callback_id: "cb1".into(),
                kind: CallbackKind::Callback,
                visit_id: None,
                interaction_id: None,
                queue_id: "billing".into(),
                scheduled_for: None,
            },
        );
    }
    let second = s.started(350.0, "c2");
    second.direction = Direction::Outbound;
    (second.parent_id, second.root_id) = (Some("c1".into()), Some("c1".into()));
    s.entered(340.0, "q2", "c2", "billing").visit_kind = VisitKind::Callback;
    s.left(365.0, "q2", LeaveReason::Answered);
    let leg = s.connected(365.0, "l1", "c2", "a1");
    (leg.initiation, leg.dial_ms) = (Initiation::Callback, Some(15_000));
    s.add(
        365.0,
        CallbackConnected {
            callback_id: "cb1".into(),
            kind: CallbackKind::Callback,
            visit_id: None,
            interaction_id: None,
            queue_id: "billing".into(),
            scheduled_for: None,
        },
    );
    s.disconnected(425.0, "l1");
    s.ended(425.0, "c2", EndedBy::Customer);
    s
}

#[test]
fn an_accepted_callback_flows_out_and_its_return_is_a_second_contact_of_the_same_chain() {
    let rows = accepted().fold();
    let (first, second) = (visit(&rows, "q1"), visit(&rows, "q2"));
    assert_eq!(
        (flags(first), first.outcome.as_str()),
        ("flowed_out", "callback")
    );
    assert_eq!(first.callback_id.as_deref(), Some("cb1"));
    assert_eq!(
        (second.visit_kind.as_str(), flags(second)),
        ("callback", "answered")
    );
    assert!(!interaction(&rows, "c1").abandoned && !interaction(&rows, "c1").handled);
    let back = interaction(&rows, "c2");
    assert_eq!(
        (back.root_id.as_str(), back.parent_id.as_deref()),
        ("c1", Some("c1"))
    );
    assert_eq!(leg(&rows, "l1").visit_id.as_deref(), Some("q2"));
    assert_eq!((leg(&rows, "l1").dial_ms, back.handle_ms), (15_000, 75_000));
}

#[test]
fn the_total_wait_of_a_callback_runs_from_the_first_queue_entry() {
    let rows = accepted().fold();
    let cb = callback(&rows, "cb1");
    assert_eq!(
        (cb.wait_from_request_ms, cb.wait_total_ms),
        (Some(265_000), Some(365_000))
    );
    assert_eq!((cb.attempts, cb.first_attempt_at), (2, Some(at(300.0))));
    assert_eq!(
        (cb.kind.as_str(), cb.channel.as_deref()),
        ("callback", Some("voice"))
    );
    assert_eq!(cb.connected_at, Some(at(365.0)));
}

#[test]
fn a_voicemail_flows_out_and_is_a_callback_of_its_own_kind() {
    let mut s = Scene::new();
    s.started(0.0, "c1");
    s.entered(0.0, "q1", "c1", "billing");
    s.left(40.0, "q1", LeaveReason::Voicemail);
    requested(&mut s, 40.0, CallbackKind::Voicemail);
    let rows = s.fold();
    assert_eq!(flags(visit(&rows, "q1")), "flowed_out");
    let cb = callback(&rows, "cb1");
    assert_eq!(
        (cb.kind.as_str(), cb.connected_at, cb.wait_total_ms),
        ("voicemail", None, None)
    );
}

#[test]
fn a_visit_that_went_on_to_nowhere_was_left_for_the_callback_that_names_it() {
    let outcome = |reason, to_queue: Option<&str>| {
        let mut s = Scene::new();
        s.started(0.0, "c1");
        s.entered(0.0, "q1", "c1", "billing");
        s.left(40.0, "q1", reason).to_queue_id = to_queue.map(Text::from);
        requested(&mut s, 41.0, CallbackKind::Callback);
        let rows = s.fold();
        visit(&rows, "q1").outcome.to_string()
    };
    assert_eq!(outcome(LeaveReason::Overflow, None), "callback");
    assert_eq!(outcome(LeaveReason::Overflow, Some("support")), "overflow");
    // Who gave up and is called back by a campaign for those has still given up.
    assert_eq!(outcome(LeaveReason::Abandoned, None), "abandoned");
}

#[test]
fn a_callback_keeps_its_last_agreed_time_and_its_outcome() {
    let mut s = Scene::new();
    requested(&mut s, 0.0, CallbackKind::Callback);
    let (callback_id, kind, queue_id) =
        (Text::from("cb1"), CallbackKind::Callback, Text::from("b"));
    s.add(
        10.0,
        CallbackScheduled {
            callback_id: callback_id.clone(),
            kind,
            visit_id: None,
            interaction_id: None,
            queue_id: queue_id.clone(),
            scheduled_for: Some(at(900.0)),
        },
    );
    s.add(
        2_000.0,
        CallbackClosed {
            callback_id,
            kind,
            visit_id: None,
            interaction_id: None,
            queue_id,
            scheduled_for: None,
            outcome: CallbackOutcome::Expired,
        },
    );
    let rows = s.fold();
    let cb = callback(&rows, "cb1");
    assert_eq!(
        (cb.scheduled_for, cb.outcome.as_deref(), cb.closed_at),
        (Some(at(900.0)), Some("expired"), Some(at(2_000.0)))
    );
}
