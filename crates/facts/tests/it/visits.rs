//! Queue visits.

use events::*;
use facts::fold_all;

use crate::scene::*;

#[test]
fn a_call_that_is_answered_makes_one_visit_one_leg_and_one_interaction() {
    let rows = Scene::call("c1", "billing").fold();
    assert_eq!(
        (
            rows.QueueVisit.len(),
            rows.Leg.len(),
            rows.Interaction.len()
        ),
        (1, 1, 1)
    );
    let v = visit(&rows, "q1");
    assert_eq!(flags(v), "answered");
    assert_eq!(
        (v.outcome.as_str(), v.wait_ms, v.ring_ms),
        ("answered", Some(20_000), 5_000)
    );
    assert_eq!((v.offers, v.offers_missed), (1, 0));
    assert_eq!(
        (v.agent_id.as_deref(), v.leg_id.as_deref()),
        (Some("a1"), Some("l1"))
    );
    let l = leg(&rows, "l1");
    assert_eq!(
        (l.talk_ms, l.hold_ms, l.acw_ms, l.handle_ms),
        (100_000, 0, 30_000, 130_000)
    );
    assert_eq!((l.queue_id.as_deref(), l.ring_ms), (Some("billing"), 5_000));
    assert_eq!(
        (l.offered_at, l.completed_at),
        (Some(at(25.0)), Some(at(160.0)))
    );
    assert!(l.handled);
    let i = interaction(&rows, "c1");
    assert!(i.handled && i.requested_agent && !i.abandoned);
    assert_eq!(
        (i.wait_ms, i.handle_ms, i.experience_ms),
        (20_000, 130_000, 100_000)
    );
    assert!(issues(&rows).is_empty());
}

#[test]
fn waits_in_whole_seconds_are_rounded_up_and_down_from_the_milliseconds() {
    let mut s = Scene::new();
    s.started(0.0, "c1");
    s.entered(0.0, "q1", "c1", "billing");
    s.left(20.001, "q1", LeaveReason::Abandoned);
    let rows = s.fold();
    let v = visit(&rows, "q1");
    assert_eq!(
        (v.wait_ms, v.wait_up_s, v.wait_down_s),
        (Some(20_001), Some(21), Some(20))
    );
}

#[test]
fn a_visit_that_nobody_left_is_waiting_and_has_no_wait() {
    let mut s = Scene::new();
    s.started(0.0, "c1");
    s.entered(10.0, "q1", "c1", "billing");
    let rows = s.fold();
    let v = visit(&rows, "q1");
    assert_eq!(
        (flags(v), v.outcome.as_str(), v.wait_ms),
        ("waiting", "waiting", None)
    );
    assert_eq!(v.left_at, None);
}

#[test]
fn every_reason_to_leave_sets_exactly_one_flag() {
    for reason in LeaveReason::ALL {
        let mut s = Scene::new();
        s.started(0.0, "c1");
        s.entered(10.0, "q1", "c1", "billing");
        s.left(30.0, "q1", *reason);
        let rows = s.fold();
        let v = visit(&rows, "q1");
        let expected = match reason.as_str() {
            "answered" => "answered",
            "abandoned" => "abandoned",
            "full" | "closed" | "join_empty" => "blocked",
            _ => "flowed_out",
        };
        assert_eq!((flags(v), v.outcome.as_str()), (expected, reason.as_str()));
    }
}

#[test]
fn full_closed_and_nobody_logged_in_are_blocked_with_no_wait() {
    let mut s = Scene::new();
    s.started(0.0, "c1");
    s.entered(10.0, "q1", "c1", "billing");
    s.left(10.4, "q1", LeaveReason::Full);
    let rows = s.fold();
    assert_eq!(
        (flags(visit(&rows, "q1")), visit(&rows, "q1").wait_ms),
        ("blocked", Some(0))
    );
    assert!(!interaction(&rows, "c1").abandoned);
    assert!(interaction(&rows, "c1").requested_agent);
}

#[test]
fn ring_without_answer_and_another_offer_stay_one_visit_with_one_missed_offer() {
    let mut s = Scene::new();
    s.started(0.0, "c1");
    s.entered(0.0, "q1", "c1", "billing");
    s.offered(5.0, 25.0, "q1", "a1", OfferOutcome::NoAnswer);
    s.offered(25.0, 30.0, "q1", "a2", OfferOutcome::Rejected);
    s.offered(30.0, 34.0, "q1", "a3", OfferOutcome::Accepted);
    s.left(34.0, "q1", LeaveReason::Answered);
    s.connected(34.0, "l1", "c1", "a3").visit_id = Some("q1".into());
    s.disconnected(60.0, "l1");
    let rows = s.fold();
    let v = visit(&rows, "q1");
    assert_eq!(
        (v.offers, v.offers_missed, v.ring_ms, v.wait_ms),
        (3, 2, 29_000, Some(34_000))
    );
    assert_eq!(
        (leg(&rows, "l1").ring_ms, leg(&rows, "l1").offered_at),
        (4_000, Some(at(30.0)))
    );
}

#[test]
fn abandon_while_ringing_is_abandoned_and_not_a_missed_offer() {
    let mut s = Scene::new();
    s.started(0.0, "c1");
    s.entered(0.0, "q1", "c1", "billing");
    s.offered(5.0, 12.0, "q1", "a1", OfferOutcome::CallerGone);
    s.left(12.0, "q1", LeaveReason::Abandoned);
    s.ended(12.0, "c1", EndedBy::Customer);
    let rows = s.fold();
    let v = visit(&rows, "q1");
    assert_eq!((flags(v), v.offers, v.offers_missed), ("abandoned", 1, 0));
    assert_eq!(
        (v.wait_ms, v.ring_ms, v.agent_id.as_deref()),
        (Some(12_000), 7_000, None)
    );
    assert!(interaction(&rows, "c1").abandoned);
}

#[test]
fn rings_at_several_agents_at_once_are_counted_as_one_stretch_of_time() {
    let mut s = Scene::new();
    s.started(0.0, "c1");
    s.entered(0.0, "q1", "c1", "billing");
    s.offered(5.0, 15.0, "q1", "a1", OfferOutcome::Rescinded);
    s.offered(5.0, 15.0, "q1", "a2", OfferOutcome::Accepted);
    s.left(15.0, "q1", LeaveReason::Answered);
    let rows = s.fold();
    let v = visit(&rows, "q1");
    assert_eq!((v.offers, v.offers_missed, v.ring_ms), (2, 0, 10_000));
}

#[test]
fn an_offer_whose_start_is_not_told_counts_as_an_offer_without_ring() {
    let mut s = Scene::new();
    s.started(0.0, "c1");
    s.entered(0.0, "q1", "c1", "billing");
    s.offered(5.0, 15.0, "q1", "a1", OfferOutcome::NoAnswer);
    s.events.retain(|e| e.data.event_type() != "offer.started");
    s.left(20.0, "q1", LeaveReason::Timeout);
    let rows = s.fold();
    let v = visit(&rows, "q1");
    assert_eq!((v.offers, v.offers_missed, v.ring_ms), (1, 1, 0));
}

#[test]
fn overflow_leaves_the_first_queue_and_enters_the_second_and_the_waits_add_up() {
    let mut s = Scene::new();
    s.started(0.0, "c1");
    s.entered(0.0, "q1", "c1", "billing");
    s.left(60.0, "q1", LeaveReason::Overflow).to_queue_id = Some("backup".into());
    s.entered(60.0, "q2", "c1", "backup").via = Some(Via::Overflow);
    s.left(75.0, "q2", LeaveReason::Answered);
    s.connected(75.0, "l1", "c1", "a1").visit_id = Some("q2".into());
    s.disconnected(100.0, "l1");
    s.ended(100.0, "c1", EndedBy::Customer);
    let rows = s.fold();
    assert_eq!(flags(visit(&rows, "q1")), "flowed_out");
    assert_eq!(
        (flags(visit(&rows, "q2")), visit(&rows, "q2").visit_no),
        ("answered", 2)
    );
    let i = interaction(&rows, "c1");
    assert_eq!((i.wait_ms, i.queue_visits), (75_000, 2));
    assert_eq!(i.first_queue_id.as_deref(), Some("billing"));
    assert_eq!(i.last_queue_id.as_deref(), Some("backup"));
}

#[test]
fn an_agent_lost_and_the_customer_queued_again_is_a_second_visit_in_the_same_queue() {
    let mut s = Scene::call("c1", "billing");
    s.entered(131.0, "q2", "c1", "billing");
    s.left(140.0, "q2", LeaveReason::Answered);
    s.connected(140.0, "l2", "c1", "a2").visit_id = Some("q2".into());
    s.disconnected(200.0, "l2");
    s.ended(200.0, "c1", EndedBy::Customer);
    let rows = s.fold();
    assert_eq!((rows.Interaction.len(), rows.QueueVisit.len()), (1, 2));
    assert_eq!(interaction(&rows, "c1").agent_legs, 2);
    assert_eq!(leg(&rows, "l2").leg_no, 2);
}

#[test]
fn without_a_queue_event_a_leg_out_of_a_queue_makes_a_visit_that_waited_for_no_time() {
    let mut s = Scene::new();
    s.started(0.0, "c1");
    s.connected(3.0, "l1", "c1", "a1");
    s.disconnected(60.0, "l1");
    let rows = s.fold();
    let v = &rows.QueueVisit[0];
    assert_eq!(
        (flags(v), v.wait_ms, v.common.inferred),
        ("answered", Some(0), true)
    );
    assert_eq!(
        (v.visit_id.as_str(), v.leg_id.as_deref()),
        ("l1.visit", Some("l1"))
    );
    assert_eq!(leg(&rows, "l1").visit_id.as_deref(), Some("l1.visit"));
    assert_eq!(interaction(&rows, "c1").queue_visits, 1);
}

#[test]
fn a_leg_reached_directly_makes_no_visit() {
    let mut s = Scene::new();
    s.started(0.0, "c1");
    s.connected(3.0, "l1", "c1", "a1").initiation = Initiation::Direct;
    s.disconnected(60.0, "l1");
    let rows = s.fold();
    assert!(rows.QueueVisit.is_empty());
    assert!(interaction(&rows, "c1").requested_agent);
}

#[test]
fn a_leg_without_a_visit_id_belongs_to_the_visit_that_names_it_or_was_answered_before_it() {
    let mut s = Scene::new();
    s.started(0.0, "c1");
    s.entered(1.0, "q1", "c1", "billing");
    s.left(5.0, "q1", LeaveReason::Answered).agent_id = Some("a1".into());
    s.connected(5.5, "l1", "c1", "a1");
    s.disconnected(60.0, "l1");
    s.entered(60.0, "q2", "c1", "sales");
    s.left(70.0, "q2", LeaveReason::Answered).leg_id = Some("l2".into());
    s.connected(70.5, "l2", "c1", "a2");
    let rows = s.fold();
    assert_eq!(rows.QueueVisit.len(), 2);
    assert_eq!(leg(&rows, "l1").visit_id.as_deref(), Some("q1"));
    assert_eq!(leg(&rows, "l2").queue_id.as_deref(), Some("sales"));
    assert_eq!(visit(&rows, "q1").leg_id.as_deref(), Some("l1"));
}

#[test]
fn a_connected_agent_proves_that_the_wait_is_over() {
    let mut s = Scene::new();
    s.started(0.0, "c1");
    s.entered(1.0, "q1", "c1", "billing");
    s.connected(21.0, "l1", "c1", "a1").visit_id = Some("q1".into());
    let rows = s.fold();
    let v = visit(&rows, "q1");
    assert_eq!(
        (flags(v), v.wait_ms, v.common.inferred),
        ("answered", Some(20_000), true)
    );
    assert_eq!(v.agent_id.as_deref(), Some("a1"));
}

#[test]
fn the_end_of_the_contact_ends_a_wait_as_abandoned_if_the_customer_left_else_as_error() {
    for (by, expected) in [(EndedBy::Customer, "abandoned"), (EndedBy::System, "error")] {
        let mut s = Scene::new();
        s.started(0.0, "c1");
        s.entered(1.0, "q1", "c1", "billing");
        s.ended(31.0, "c1", by);
        let rows = s.fold();
        let v = visit(&rows, "q1");
        assert_eq!((v.outcome.as_str(), v.wait_ms), (expected, Some(30_000)));
        assert!(v.common.inferred);
        flags(v);
    }
}

#[test]
fn of_two_ends_of_one_visit_the_first_valid_one_counts_and_the_other_is_an_issue() {
    let mut s = Scene::new();
    s.started(0.0, "c1");
    s.entered(10.0, "q1", "c1", "billing");
    s.left(5.0, "q1", LeaveReason::Timeout);
    s.left(20.0, "q1", LeaveReason::Abandoned);
    s.left(25.0, "q1", LeaveReason::Overflow);
    let rows = s.fold();
    let v = visit(&rows, "q1");
    assert_eq!((v.outcome.as_str(), v.wait_ms), ("abandoned", Some(10_000)));
    assert!(v.common.flags.is_empty());
    assert_eq!(issues(&rows), ["bad_order", "second_end"]);
}

#[test]
fn an_end_before_the_start_is_flagged_and_has_no_duration() {
    let mut s = Scene::new();
    s.started(0.0, "c1");
    s.entered(10.0, "q1", "c1", "billing");
    s.left(9.0, "q1", LeaveReason::Abandoned);
    let rows = s.fold();
    let v = visit(&rows, "q1");
    assert_eq!(
        (flags(v), v.wait_ms, v.wait_up_s, v.wait_down_s),
        ("abandoned", None, None, None)
    );
    assert_eq!(v.common.flags, ["bad_order"]);
    assert_eq!(issues(&rows), ["bad_order"]);
}

#[test]
fn a_wait_that_the_source_does_not_know_is_null_and_never_zero() {
    let mut s = Scene::new();
    s.started(0.0, "c1");
    s.entered(10.0, "q1", "c1", "billing");
    s.left(10.0, "q1", LeaveReason::Abandoned).wait_known = Some(false);
    let rows = s.fold();
    let v = visit(&rows, "q1");
    assert_eq!(
        (flags(v), v.left_at, v.wait_ms, v.wait_up_s),
        ("abandoned", None, None, None)
    );
    assert_eq!(v.common.flags, ["wait_unknown"]);
    assert!(issues(&rows).is_empty());
}

#[test]
fn of_two_entries_of_one_visit_the_earliest_counts() {
    let mut s = Scene::new();
    s.started(0.0, "c1");
    s.entered(10.0, "q1", "c1", "billing");
    s.entered(12.0, "q1", "c1", "billing");
    s.left(20.0, "q1", LeaveReason::Abandoned);
    assert_eq!(visit(&s.fold(), "q1").wait_ms, Some(10_000));
}

#[test]
fn a_visit_without_entry_is_inferred_from_its_leg_and_without_a_leg_is_an_issue() {
    let mut s = Scene::new();
    s.connected(21.0, "l1", "c1", "a1").visit_id = Some("q1".into());
    s.left(20.0, "q1", LeaveReason::Answered);
    s.left(20.0, "q9", LeaveReason::Answered);
    let rows = s.fold();
    assert_eq!(rows.QueueVisit.len(), 1);
    assert!(visit(&rows, "q1").common.inferred);
    assert_eq!(issues(&rows), ["missing_start"]);
}

#[test]
fn the_first_announced_wait_is_kept() {
    let mut s = Scene::call("c1", "billing");
    for (seconds, ewt_ms) in [(11.0, 60_000), (20.0, 30_000)] {
        let method = "erlang".into();
        s.add(
            seconds,
            EstimateAnnounced {
                visit_id: "q1".into(),
                ewt_ms,
                position: None,
                method,
            },
        );
    }
    assert_eq!(visit(&s.fold(), "q1").ewt_ms, Some(60_000));
}

#[test]
fn a_visit_over_midnight_is_one_visit_and_nothing_is_reset() {
    let mut s = Scene::new();
    let midnight = 23.0 * 3_600.0;
    s.started(midnight - 20.0, "c1");
    s.entered(midnight - 10.0, "q1", "c1", "billing");
    s.left(midnight + 20.0, "q1", LeaveReason::Answered);
    s.connected(midnight + 20.0, "l1", "c1", "a1").visit_id = Some("q1".into());
    s.disconnected(midnight + 80.0, "l1");
    let rows = s.fold();
    assert_eq!(
        (rows.QueueVisit.len(), visit(&rows, "q1").wait_ms),
        (1, Some(30_000))
    );
    assert_eq!(leg(&rows, "l1").talk_ms, 60_000);
}

#[test]
fn an_abandon_in_the_menu_makes_no_visit() {
    let mut s = Scene::new();
    s.started(0.0, "c1");
    s.add(
        1.0,
        SelfServiceStarted {
            session_id: "s1".into(),
            interaction_id: Some("c1".into()),
            customer_id: None,
            kind: SelfServiceKind::Ivr,
        },
    );
    let outcome = SelfServiceOutcome::Abandoned;
    s.add(
        9.0,
        SelfServiceEnded {
            session_id: "s1".into(),
            outcome,
            context_passed: None,
        },
    );
    s.ended(9.0, "c1", EndedBy::Customer);
    let rows = s.fold();
    assert!(rows.QueueVisit.is_empty());
    let i = interaction(&rows, "c1");
    assert!(i.self_service && !i.ss_completed && !i.requested_agent && !i.abandoned);
}

#[test]
fn a_chat_customer_who_never_writes_again_is_answered_and_a_silent_leaver() {
    for (writes, silent) in [(false, true), (true, false)] {
        let mut s = Scene::new();
        s.started_on(0.0, "c1", Channel::Chat);
        s.message(0.0, "c1", Actor::Customer);
        s.entered(1.0, "q1", "c1", "chat");
        s.left(40.0, "q1", LeaveReason::Answered);
        s.connected(40.0, "l1", "c1", "a1").visit_id = Some("q1".into());
        s.message(45.0, "c1", Actor::Agent);
        if writes {
            s.message(50.0, "c1", Actor::Customer);
        }
        s.disconnected(300.0, "l1");
        let rows = s.fold();
        let v = visit(&rows, "q1");
        assert_eq!((flags(v), v.silent_abandon), ("answered", silent));
        assert_eq!(
            leg(&rows, "l1").talk_ms,
            260_000,
            "a chat session counts whole"
        );
    }
}

#[test]
fn a_visit_tells_whether_the_agent_had_the_skills_it_asked_for() {
    let matched = |required: Option<&[&str]>, skills: Option<&[&str]>| {
        let texts = |list: &[&str]| list.iter().map(Text::new).collect::<Vec<_>>();
        let mut s = Scene::new();
        let profile = AgentProfileChanged {
            agent_id: "a1".into(),
            effective_from: at(0.0),
            team_id: None,
            site_id: None,
            supervisor_id: None,
            skills: skills.map(texts),
            skills_required: None,
            fte: None,
        };
        s.add(0.0, profile);
        s.started(0.0, "c1");
        s.entered(10.0, "q1", "c1", "sales").required_skills = required.map(texts);
        s.left(30.0, "q1", LeaveReason::Answered).leg_id = Some("l1".into());
        s.connected(30.0, "l1", "c1", "a1").visit_id = Some("q1".into());
        visit(&fold_all(s.events), "q1").skill_matched
    };
    assert_eq!(
        matched(Some(&["tech", "en"]), Some(&["en", "tech"])),
        Some(true)
    );
    assert_eq!(matched(Some(&["tech", "en"]), Some(&["en"])), Some(false));
    assert_eq!(matched(Some(&[]), Some(&[])), Some(true));
    assert_eq!(matched(None, Some(&["en"])), None, "nothing was asked for");
    assert_eq!(
        matched(Some(&["en"]), None),
        None,
        "nothing is known of the agent"
    );
}
