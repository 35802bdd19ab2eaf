//! Written channels: active windows, first replies, idle threads.

use events::*;

use crate::scene::*;

const HOUR: f64 = 3_600.0;

/// A mail that arrives at 0, is accepted by a1 (leg l1) at 600.
fn mail() -> Scene {
    let mut s = Scene::new();
    s.started_on(0.0, "c1", Channel::Email);
    s.message(0.0, "c1", Actor::Customer);
    s.entered(0.0, "q1", "c1", "mail");
    s.left(600.0, "q1", LeaveReason::Answered);
    s.connected(600.0, "l1", "c1", "a1").visit_id = Some("q1".into());
    s
}

#[test]
fn work_on_a_mail_is_the_window_before_each_reply_and_never_the_idle_days() {
    let mut s = mail();
    s.message(700.0, "c1", Actor::Agent);
    s.message(5_000.0, "c1", Actor::Customer);
    s.message(5_100.0, "c1", Actor::Agent);
    s.message(9_000.0, "c1", Actor::Agent);
    s.disconnected(9_000.0, "l1");
    let rows = s.fold();
    // 100 s since the acceptance, 100 s since the customer's message, and at most 5 minutes.
    assert_eq!(leg(&rows, "l1").talk_ms, 100_000 + 100_000 + 300_000);
    assert_eq!(interaction(&rows, "c1").first_reply_ms, Some(700_000));
}

#[test]
fn messages_of_other_agents_and_outside_the_leg_are_not_this_legs_work() {
    let mut s = mail();
    s.message(650.0, "c1", Actor::Agent);
    if let EventData::MessageSent(m) = &mut s.events.last_mut().expect("the message").data {
        m.actor_id = Some("a2".into());
    }
    s.message(700.0, "c1", Actor::Agent);
    s.disconnected(800.0, "l1");
    s.message(900.0, "c1", Actor::Agent);
    assert_eq!(leg(&s.fold(), "l1").talk_ms, 50_000);
}

#[test]
fn a_written_contact_without_any_message_counts_from_connection_to_disconnect() {
    let mut s = mail();
    s.events.retain(|e| e.data.event_type() != "message.sent");
    s.disconnected(700.0, "l1");
    assert_eq!(leg(&s.fold(), "l1").talk_ms, 100_000);
}

#[test]
fn an_idle_thread_ends_at_its_last_message_and_the_next_one_starts_a_new_contact() {
    let mut s = mail();
    s.message(700.0, "c1", Actor::Agent);
    s.disconnected(700.0, "l1");
    s.message(30.0 * HOUR, "c1", Actor::Customer);
    s.connected(31.0 * HOUR, "l2", "c1", "a2").initiation = Initiation::Api;
    s.message(31.0 * HOUR + 60.0, "c1", Actor::Agent);
    s.disconnected(31.0 * HOUR + 60.0, "l2");
    s.ended(31.0 * HOUR + 60.0, "c1", EndedBy::Agent);
    let rows = s.fold();
    assert_eq!(rows.Interaction.len(), 2);
    let (first, second) = (interaction(&rows, "c1"), interaction(&rows, "c1#2"));
    assert_eq!(
        (first.ended_at, first.ended_by.as_deref()),
        (Some(at(700.0)), None)
    );
    assert!(first.common.inferred);
    assert_eq!(
        (second.started_at, second.ended_at),
        (at(30.0 * HOUR), Some(at(31.0 * HOUR + 60.0)))
    );
    assert_eq!(
        (first.thread_id.as_deref(), second.thread_id.as_deref()),
        (Some("c1"), Some("c1"))
    );
    assert_eq!(second.root_id, "c1#2");
    assert_eq!(second.first_reply_ms, Some(3_660_000));
    assert_eq!(leg(&rows, "l2").interaction_id, "c1#2");
    assert_eq!(leg(&rows, "l2").talk_ms, 60_000);
    assert_eq!((first.agent_legs, second.agent_legs), (1, 1));
}

#[test]
fn a_mail_that_waits_for_its_first_reply_is_not_idle() {
    let mut s = mail();
    s.message(40.0 * HOUR, "c1", Actor::Agent);
    s.disconnected(40.0 * HOUR, "l1");
    let rows = s.fold();
    assert_eq!(
        (rows.Interaction.len(), leg(&rows, "l1").talk_ms),
        (1, 300_000)
    );
}

#[test]
fn silence_alone_ends_a_thread_that_was_replied_to_after_a_day() {
    let mut s = mail();
    s.message(700.0, "c1", Actor::Agent);
    s.started(700.0 + 24.0 * HOUR - 1.0, "other");
    let rows = s.fold();
    assert_eq!(
        (
            interaction(&rows, "c1").ended_at,
            leg(&rows, "l1").disconnected_at
        ),
        (None, None)
    );
    s.started(700.0 + 24.0 * HOUR, "another");
    let rows = s.fold();
    assert_eq!(interaction(&rows, "c1").ended_at, Some(at(700.0)));
    assert_eq!(leg(&rows, "l1").disconnected_at, Some(at(700.0)));
    assert_eq!(leg(&rows, "l1").talk_ms, 100_000);
}
