//! Legs: roles, transfers, durations, missing ends.

use events::*;
use facts::FactRows;

use crate::scene::*;

/// A call whose only leg l1 (agent a1) connects at 30.
fn talking() -> Scene {
    let mut s = Scene::call("c1", "billing");
    s.events.retain(|e| e.occurred_at <= at(30.0));
    s
}

fn durations(rows: &FactRows, id: &str) -> (i64, i64, i64, i64) {
    let l = leg(rows, id);
    assert_eq!(l.handle_ms, l.dial_ms + l.talk_ms + l.hold_ms + l.acw_ms);
    (l.talk_ms, l.hold_ms, l.acw_ms, l.handle_ms)
}

#[test]
fn a_blind_transfer_to_a_queue_is_two_visits_two_legs_and_one_interaction() {
    let mut s = talking();
    let to = (TransferTarget::Queue, "tech");
    s.transferred(90.0, "l1", TransferKind::Blind, to).reason = Some(TransferReason::Skill);
    s.disconnected(90.0, "l1");
    s.entered(90.0, "q2", "c1", "tech").via = Some(Via::Transfer);
    s.left(100.0, "q2", LeaveReason::Answered).leg_id = Some("l2".into());
    let second = s.connected(100.0, "l2", "c1", "a2");
    second.visit_id = Some("q2".into());
    second.initiation = Initiation::TransferBlind;
    s.disconnected(160.0, "l2");
    s.ended(160.0, "c1", EndedBy::Customer);
    let rows = s.fold();
    assert_eq!(
        (
            rows.Interaction.len(),
            rows.QueueVisit.len(),
            rows.Leg.len()
        ),
        (1, 2, 2)
    );
    assert_eq!(
        (flags(visit(&rows, "q1")), flags(visit(&rows, "q2"))),
        ("answered", "answered")
    );
    let a = leg(&rows, "l1");
    assert!(a.transferred_out && a.handled && leg(&rows, "l2").handled);
    assert_eq!(
        (a.transfer_kind.as_deref(), a.transfer_to.as_deref()),
        (Some("blind"), Some("tech"))
    );
    assert_eq!(a.transfer_reason.as_deref(), Some("skill"));
    assert_eq!(a.transfer_to_kind.as_deref(), Some("queue"));
    let i = interaction(&rows, "c1");
    assert_eq!((i.transfers, i.transferred, i.misrouted), (1, true, true));
    assert_eq!((i.wait_ms, i.agent_legs), (30_000, 2));
}

#[test]
fn a_transfer_straight_to_an_agent_is_a_second_leg_without_a_visit() {
    let mut s = talking();
    s.transferred(
        90.0,
        "l1",
        TransferKind::Blind,
        (TransferTarget::Agent, "a2"),
    );
    s.disconnected(90.0, "l1");
    s.connected(91.0, "l2", "c1", "a2").initiation = Initiation::TransferBlind;
    s.disconnected(160.0, "l2");
    let rows = s.fold();
    assert_eq!((rows.QueueVisit.len(), rows.Leg.len()), (1, 2));
    let l = leg(&rows, "l2");
    assert!(l.handled && l.visit_id.is_none() && l.queue_id.is_none());
    assert!(
        !interaction(&rows, "c1").misrouted,
        "another agent is not another queue"
    );
}

#[test]
fn a_transfer_for_escalation_is_escalated_and_not_misrouted() {
    let mut s = talking();
    let to = (TransferTarget::Queue, "vip");
    s.transferred(90.0, "l1", TransferKind::Blind, to).reason = Some(TransferReason::Escalation);
    let rows = s.fold();
    let i = interaction(&rows, "c1");
    assert!(i.escalated && i.transferred && !i.misrouted);
}

/// Agent a1 asks a2 from 60 to 90.
fn consulting() -> Scene {
    let mut s = talking();
    let consult = s.connected(60.0, "l2", "c1", "a2");
    consult.role = Role::Consult;
    consult.initiation = Initiation::TransferConsult;
    s
}

#[test]
fn a_consultant_has_handled_nothing_but_the_time_counts_and_the_first_agents_time_runs_on() {
    let mut s = consulting();
    s.disconnected(90.0, "l2");
    s.disconnected(130.0, "l1");
    s.ended(130.0, "c1", EndedBy::Customer);
    let rows = s.fold();
    assert_eq!(
        rows.QueueVisit.len(),
        1,
        "no visit is made up for a consultant"
    );
    assert!(!leg(&rows, "l2").handled && leg(&rows, "l1").handled);
    assert_eq!(durations(&rows, "l1").0, 100_000);
    assert_eq!(durations(&rows, "l2").3, 30_000);
    let i = interaction(&rows, "c1");
    assert_eq!(
        (i.handle_ms, i.experience_ms, i.transfers),
        (130_000, 100_000, 0)
    );
}

#[test]
fn a_consult_that_becomes_a_transfer_turns_the_consultants_one_leg_primary() {
    for told in [true, false] {
        let mut s = consulting();
        let to = (TransferTarget::Agent, "a2");
        s.transferred(90.0, "l1", TransferKind::Consult, to)
            .to_leg_id = Some("l2".into());
        if told {
            s.add(
                90.0,
                LegRoleChanged {
                    leg_id: "l2".into(),
                    role: Role::Primary,
                },
            );
        }
        s.disconnected(90.0, "l1");
        s.disconnected(150.0, "l2");
        let rows = s.fold();
        let l = leg(&rows, "l2");
        assert_eq!(
            (rows.Leg.len(), l.role.as_str(), l.handled),
            (2, "primary", true)
        );
        assert_eq!(durations(&rows, "l2").0, 90_000);
        let i = interaction(&rows, "c1");
        assert_eq!(
            (i.transfers, i.experience_ms),
            (1, 120_000),
            "the customer waited for nobody"
        );
        assert!(leg(&rows, "l1").transferred_out);
    }
}

#[test]
fn a_queue_used_to_find_a_consultant_is_internal_and_not_a_wait_of_the_customer() {
    let mut s = talking();
    s.entered(60.0, "q2", "c1", "tech").visit_kind = VisitKind::Internal;
    s.left(75.0, "q2", LeaveReason::Answered);
    let consult = s.connected(75.0, "l2", "c1", "a2");
    consult.role = Role::Consult;
    consult.visit_id = Some("q2".into());
    s.disconnected(90.0, "l2");
    s.disconnected(130.0, "l1");
    let rows = s.fold();
    assert_eq!(visit(&rows, "q2").visit_kind, "internal");
    let i = interaction(&rows, "c1");
    assert_eq!((i.wait_ms, i.queue_visits), (20_000, 1));
    assert_eq!(i.last_queue_id.as_deref(), Some("billing"));
}

#[test]
fn a_conference_has_a_leg_per_agent_and_joiners_handled_nothing_but_their_time_counts() {
    let mut s = talking();
    let joiner = s.connected(60.0, "l2", "c1", "a2");
    joiner.role = Role::Conference;
    joiner.initiation = Initiation::Api;
    s.disconnected(100.0, "l2");
    s.disconnected(130.0, "l1");
    let rows = s.fold();
    assert!(!leg(&rows, "l2").handled);
    let i = interaction(&rows, "c1");
    assert_eq!(
        (i.agent_legs, i.handle_ms, i.experience_ms),
        (2, 140_000, 100_000)
    );
}

#[test]
fn listening_in_keeps_a_leg_and_counts_for_nothing() {
    for role in [Role::Monitor, Role::Barge] {
        let mut s = talking();
        let listener = s.connected(60.0, "l2", "c1", "boss");
        listener.role = role;
        listener.initiation = Initiation::Api;
        s.disconnected(90.0, "l2");
        s.disconnected(130.0, "l1");
        let rows = s.fold();
        assert_eq!(leg(&rows, "l2").talk_ms, 30_000);
        let i = interaction(&rows, "c1");
        assert_eq!(
            (i.agent_legs, i.handle_ms, i.experience_ms),
            (1, 100_000, 100_000)
        );
    }
}

#[test]
fn holds_add_up_repeated_starts_count_once_and_an_open_hold_ends_with_the_leg() {
    let mut s = talking();
    s.hold(40.0, 50.0, "l1");
    s.add(
        60.0,
        HoldStarted {
            leg_id: "l1".into(),
        },
    );
    s.hold(62.0, 70.0, "l1");
    s.add(
        75.0,
        HoldEnded {
            leg_id: "l1".into(),
        },
    );
    s.add(
        110.0,
        HoldStarted {
            leg_id: "l1".into(),
        },
    );
    s.disconnected(130.0, "l1");
    let rows = s.fold();
    assert_eq!(durations(&rows, "l1"), (60_000, 40_000, 0, 100_000));
    assert_eq!(leg(&rows, "l1").hold_count, 3);
}

#[test]
fn dialling_counts_as_handle_time() {
    let mut s = Scene::new();
    s.started(0.0, "c1").direction = Direction::Outbound;
    let outbound = s.connected(20.0, "l1", "c1", "a1");
    outbound.initiation = Initiation::Outbound;
    outbound.dial_ms = Some(15_000);
    s.disconnected(50.0, "l1");
    let rows = s.fold();
    assert!(rows.QueueVisit.is_empty());
    assert_eq!(
        (leg(&rows, "l1").dial_ms, leg(&rows, "l1").handle_ms),
        (15_000, 45_000)
    );
}

#[test]
fn durations_that_the_source_gives_win_over_differences_of_times() {
    let mut s = talking();
    let end = s.disconnected(34.1, "l1");
    (end.talk_ms, end.hold_ms) = (Some(10_000), Some(2_000));
    s.add(
        40.0,
        AcwEnded {
            leg_id: "l1".into(),
            acw_ms: Some(7_000),
        },
    );
    let rows = s.fold();
    assert_eq!(durations(&rows, "l1"), (10_000, 2_000, 7_000, 19_000));
    assert_eq!(leg(&rows, "l1").common.flags, ["duration_given"]);
    assert_eq!(leg(&rows, "l1").completed_at, Some(at(40.0)));
}

#[test]
fn after_call_work_without_a_start_began_at_the_disconnect() {
    let mut s = talking();
    s.disconnected(130.0, "l1");
    s.add(
        150.0,
        AcwEnded {
            leg_id: "l1".into(),
            acw_ms: None,
        },
    );
    assert_eq!(durations(&s.fold(), "l1").2, 20_000);
}

#[test]
fn a_leg_without_after_call_work_is_complete_at_its_disconnect() {
    let mut s = talking();
    s.disconnected(130.0, "l1");
    assert_eq!(leg(&s.fold(), "l1").completed_at, Some(at(130.0)));
}

#[test]
fn a_leg_still_talking_or_wrapping_up_is_not_complete() {
    let mut s = talking();
    let rows = s.fold();
    assert_eq!(
        (leg(&rows, "l1").disconnected_at, leg(&rows, "l1").handle_ms),
        (None, 0)
    );
    assert!(
        interaction(&rows, "c1").handled,
        "the contact is handled all the same"
    );
    s.disconnected(130.0, "l1");
    s.add(
        130.0,
        AcwStarted {
            leg_id: "l1".into(),
        },
    );
    let rows = s.fold();
    assert_eq!(
        (leg(&rows, "l1").completed_at, leg(&rows, "l1").handle_ms),
        (None, 100_000)
    );
    assert!(issues(&rows).is_empty());
}

#[test]
fn a_missing_end_is_proven_by_the_end_of_the_contact() {
    let mut s = talking();
    s.ended(100.0, "c1", EndedBy::Agent);
    let rows = s.fold();
    let l = leg(&rows, "l1");
    assert_eq!(
        (l.disconnected_at, l.completed_at),
        (Some(at(100.0)), Some(at(100.0)))
    );
    assert!(l.common.inferred);
    assert_eq!(l.talk_ms, 70_000);
}

#[test]
fn a_missing_end_is_proven_by_the_start_of_after_call_work_or_a_transfer() {
    let mut s = talking();
    s.acw(100.0, 120.0, "l1");
    assert_eq!(durations(&s.fold(), "l1"), (70_000, 0, 20_000, 90_000));
    let mut s = talking();
    s.transferred(
        100.0,
        "l1",
        TransferKind::Blind,
        (TransferTarget::External, "+1"),
    );
    let rows = s.fold();
    assert_eq!(durations(&rows, "l1").0, 70_000);
    assert!(interaction(&rows, "c1").misrouted);
}

#[test]
fn a_missing_end_is_proven_by_the_same_agent_on_another_leg() {
    let mut s = talking();
    s.entered(200.0, "q2", "c1", "billing");
    s.connected(210.0, "l2", "c1", "a1").visit_id = Some("q2".into());
    s.disconnected(250.0, "l2");
    let rows = s.fold();
    assert_eq!(leg(&rows, "l1").disconnected_at, Some(at(210.0)));
    assert!(leg(&rows, "l1").common.inferred);
}

#[test]
fn without_proof_by_four_hours_a_leg_is_given_up_but_its_contact_stays_handled() {
    let mut s = talking();
    s.started(30.0 + 4.0 * 3_600.0 - 1.0, "c2");
    assert!(issues(&s.fold()).is_empty(), "four hours are not over yet");
    s.started(30.0 + 4.0 * 3_600.0, "c3");
    s.ended(30.0 + 5.0 * 3_600.0, "c1", EndedBy::System);
    let rows = s.fold();
    let l = leg(&rows, "l1");
    assert_eq!(
        (l.disconnected_at, l.completed_at, l.handle_ms),
        (None, None, 0)
    );
    assert!(l.handled && interaction(&rows, "c1").handled);
    assert_eq!(issues(&rows), ["missing_end"]);
}

#[test]
fn after_call_work_without_end_is_given_up_after_four_hours() {
    let mut s = talking();
    s.disconnected(130.0, "l1");
    s.add(
        130.0,
        AcwStarted {
            leg_id: "l1".into(),
        },
    );
    s.started(130.0 + 4.0 * 3_600.0, "c2");
    let rows = s.fold();
    assert_eq!(
        (leg(&rows, "l1").completed_at, issues(&rows)),
        (None, vec!["missing_end"])
    );
}

#[test]
fn a_leg_that_ends_before_it_began_has_no_durations_and_is_in_no_average() {
    let mut s = talking();
    s.disconnected(20.0, "l1");
    let rows = s.fold();
    let l = leg(&rows, "l1");
    assert_eq!((l.completed_at, l.handle_ms), (None, 0));
    assert_eq!(
        (l.common.flags.as_slice(), issues(&rows)),
        (&["bad_order".into()][..], vec!["bad_order"])
    );
}

#[test]
fn of_two_ends_of_one_leg_the_first_counts() {
    let mut s = talking();
    s.disconnected(100.0, "l1");
    s.disconnected(130.0, "l1");
    let rows = s.fold();
    assert_eq!(
        (durations(&rows, "l1").0, issues(&rows)),
        (70_000, vec!["second_end"])
    );
}

#[test]
fn times_of_a_leg_that_never_began_are_an_issue_and_no_row() {
    let mut s = Scene::call("c1", "billing");
    s.disconnected(100.0, "l9");
    let rows = s.fold();
    assert_eq!((rows.Leg.len(), issues(&rows)), (1, vec!["missing_start"]));
}

#[test]
fn of_several_wrap_up_codes_the_first_is_the_one() {
    let mut s = Scene::call("c1", "billing");
    let codes = vec!["refund".into(), "complaint".into()];
    s.add(
        161.0,
        DispositionSet {
            leg_id: "l1".into(),
            codes,
            resolved: Some(true),
        },
    );
    s.add(
        170.0,
        AnalysisScored {
            leg_id: "l1".into(),
            sentiment_milli: Some(-250),
            silence_ms: Some(4_000),
            scorer: "m1".into(),
        },
    );
    let rows = s.fold();
    let l = leg(&rows, "l1");
    assert_eq!(l.disposition_codes, ["refund", "complaint"]);
    assert_eq!(l.disposition_code.as_deref(), Some("refund"));
    assert_eq!((l.sentiment_milli, l.silence_ms), (Some(-250), Some(4_000)));
    let i = interaction(&rows, "c1");
    assert_eq!((i.dispositioned, i.resolved), (true, Some(true)));
    assert_eq!(i.disposition_code.as_deref(), Some("refund"));
}

#[test]
fn chats_of_one_agent_at_the_same_time_are_a_leg_each() {
    let mut s = Scene::new();
    for (id, leg, from) in [("c1", "l1", 10.0), ("c2", "l2", 20.0)] {
        s.started_on(from - 5.0, id, Channel::Chat);
        s.connected(from, leg, id, "a1").initiation = Initiation::Direct;
        s.disconnected(from + 100.0, leg);
        s.ended(from + 100.0, id, EndedBy::Customer);
    }
    let rows = s.fold();
    assert_eq!(
        (leg(&rows, "l1").talk_ms, leg(&rows, "l2").talk_ms),
        (100_000, 100_000)
    );
}

#[test]
fn team_and_site_are_those_of_the_time_of_the_row() {
    let mut s = Scene::call("c1", "billing");
    for (number, (from, team, site)) in [
        (-500.0, Some("t1"), Some("north")),
        (29.0, Some("t2"), None),
        (31.0, Some("t3"), None),
    ]
    .into_iter()
    .enumerate()
    {
        s.add(
            -1_000.0 + number as f64,
            AgentProfileChanged {
                agent_id: "a1".into(),
                effective_from: at(from),
                team_id: team.map(Text::from),
                site_id: site.map(Text::from),
                supervisor_id: None,
                skills: None,
                skills_required: None,
                fte: None,
            },
        );
    }
    let rows = facts::fold_all(s.events.clone());
    let l = leg(&rows, "l1");
    assert_eq!(
        (l.team_id.as_deref(), l.site_id.as_deref()),
        (Some("t2"), Some("north"))
    );
    assert_eq!(visit(&rows, "q1").team_id.as_deref(), Some("t2"));
    assert_eq!(
        interaction(&rows, "c1").first_team_id.as_deref(),
        Some("t2")
    );
}

#[test]
fn durations_beyond_all_reason_do_not_overflow() {
    let mut s = talking();
    let end = s.disconnected(34.0, "l1");
    (end.talk_ms, end.hold_ms) = (Some(i64::MAX), Some(i64::MAX));
    for seconds in [40.0, 50.0] {
        s.add(
            seconds - 1.0,
            AcwStarted {
                leg_id: "l1".into(),
            },
        );
        s.add(
            seconds,
            AcwEnded {
                leg_id: "l1".into(),
                acw_ms: Some(i64::MAX),
            },
        );
    }
    assert_eq!(leg(&s.fold(), "l1").handle_ms, i64::MAX);
}
