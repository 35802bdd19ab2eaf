//! Corrections: replaced and retracted events.

use events::*;
use facts::fold_all;

use crate::{
    memory::{assert_same, facts},
    scene::*,
};

/// A verification result with an id of its own.
fn verified(s: &mut Scene, id: &str, result: VerifyResult) {
    let event = s.add(
        200.0,
        OrderVerified {
            order_id: "o1".into(),
            result,
        },
    );
    event.event_id = id.into();
}

fn placed() -> Scene {
    let mut s = Scene::new();
    s.add(
        100.0,
        OrderPlaced {
            order_id: "o1".into(),
            customer_id: "cu1".into(),
            interaction_id: None,
            leg_id: None,
            agent_id: None,
            channel: None,
            lines: Vec::new(),
            kind: OrderKind::New,
            site_id: None,
            campaign: None,
            upsell_offered: None,
            cross_sell_offered: None,
            promise_at: None,
            notify_eligible: None,
            holdout: None,
            is_test: None,
        },
    );
    s
}

fn result(s: &Scene) -> Option<String> {
    order(&s.fold(), "o1")
        .verify_result
        .as_ref()
        .map(ToString::to_string)
}

#[test]
fn a_replacement_takes_the_place_of_its_target() {
    let mut s = placed();
    verified(&mut s, "r1", VerifyResult::Passed);
    verified(&mut s, "r2", VerifyResult::Duplicate);
    s.correcting("r1", CorrectionOp::Replace);
    let rows = s.fold();
    assert_eq!(
        order(&rows, "o1").verify_result.as_deref(),
        Some("duplicate")
    );
    assert!(!order(&rows, "o1").valid);
}

#[test]
fn a_retraction_takes_its_target_away() {
    let mut s = placed();
    verified(&mut s, "r1", VerifyResult::Passed);
    verified(&mut s, "r2", VerifyResult::Passed);
    s.correcting("r1", CorrectionOp::Retract);
    assert_eq!(result(&s), None);
}

#[test]
fn a_chain_of_corrections_ends_with_the_last_whatever_the_order_of_arrival() {
    let mut s = placed();
    verified(&mut s, "r1", VerifyResult::Passed);
    verified(&mut s, "r2", VerifyResult::Failed);
    s.correcting("r1", CorrectionOp::Replace);
    verified(&mut s, "r3", VerifyResult::Fraud);
    s.correcting("r2", CorrectionOp::Replace);
    assert_eq!(result(&s).as_deref(), Some("fraud"));
    s.events.reverse();
    assert_eq!(result(&s).as_deref(), Some("fraud"));
}

#[test]
fn a_retracted_correction_gives_back_what_it_corrected() {
    let mut s = placed();
    verified(&mut s, "r1", VerifyResult::Passed);
    verified(&mut s, "r2", VerifyResult::Failed);
    s.correcting("r1", CorrectionOp::Replace);
    verified(&mut s, "r3", VerifyResult::Failed);
    s.correcting("r2", CorrectionOp::Retract);
    assert_eq!(result(&s).as_deref(), Some("passed"));
}

#[test]
fn a_replaced_retraction_stands_with_its_new_content() {
    let mut s = placed();
    verified(&mut s, "r1", VerifyResult::Passed);
    verified(&mut s, "r2", VerifyResult::Passed);
    s.correcting("r1", CorrectionOp::Retract);
    verified(&mut s, "r3", VerifyResult::Unpaid);
    s.correcting("r2", CorrectionOp::Replace);
    assert_eq!(result(&s).as_deref(), Some("unpaid"));
}

#[test]
fn of_two_corrections_of_one_event_the_one_that_arrived_last_counts() {
    let mut s = placed();
    verified(&mut s, "r1", VerifyResult::Passed);
    verified(&mut s, "r3", VerifyResult::Failed);
    s.correcting("r1", CorrectionOp::Replace);
    verified(&mut s, "r2", VerifyResult::Fraud);
    s.correcting("r1", CorrectionOp::Replace);
    assert_eq!(
        result(&s).as_deref(),
        Some("fraud"),
        "in one batch and in several"
    );
    let last = s.events.len() - 1;
    s.events.swap(last, last - 1);
    assert_eq!(result(&s).as_deref(), Some("failed"));
}

#[test]
fn a_correction_that_arrives_before_its_target_waits() {
    let mut s = placed();
    verified(&mut s, "r2", VerifyResult::Duplicate);
    s.correcting("r1", CorrectionOp::Replace);
    let rows = s.fold();
    assert_eq!(order(&rows, "o1").verify_result, None);
    assert_eq!(issues(&rows), ["waiting_correction"]);
    verified(&mut s, "r1", VerifyResult::Passed);
    let rows = s.fold();
    assert_eq!(
        order(&rows, "o1").verify_result.as_deref(),
        Some("duplicate")
    );
    assert!(issues(&rows).is_empty());
}

#[test]
fn corrections_in_a_circle_change_nothing_and_are_listed() {
    let mut s = placed();
    verified(&mut s, "r1", VerifyResult::Passed);
    for (id, of) in [("r2", "r3"), ("r3", "r2"), ("r4", "r4")] {
        verified(&mut s, id, VerifyResult::Fraud);
        s.correcting(of, CorrectionOp::Replace);
    }
    let rows = s.fold();
    assert_eq!(order(&rows, "o1").verify_result.as_deref(), Some("passed"));
    assert_eq!(issues(&rows), ["bad_correction"; 3]);
}

#[test]
fn a_correction_of_another_source_or_entity_has_no_target() {
    let mut s = placed();
    verified(&mut s, "r1", VerifyResult::Passed);
    verified(&mut s, "r2", VerifyResult::Fraud);
    s.correcting("r1", CorrectionOp::Replace);
    s.events.last_mut().expect("the correction").source = "shop".into();
    let rows = s.fold();
    assert_eq!(order(&rows, "o1").verify_result.as_deref(), Some("passed"));
    assert_eq!(issues(&rows), ["waiting_correction"]);
}

#[test]
fn a_replaced_event_keeps_its_place_among_events_of_the_same_second() {
    let mut s = Scene::call("c1", "billing");
    s.add(
        130.0,
        HoldStarted {
            leg_id: "l1".into(),
        },
    )
    .source_seq = Some(7);
    for (at, event) in s.events.iter_mut().enumerate() {
        event.source_seq = Some(at as i64);
    }
    let mut corrected = s.clone();
    let mut correction = s.events[6].clone();
    correction.event_id = "later".into();
    correction.source_seq = Some(99_000);
    correction.occurred_at = at(120.0);
    correction.correction = Some(Correction {
        of: s.events[6].event_id.clone(),
        op: CorrectionOp::Replace,
    });
    corrected.events[6].occurred_at = at(120.0);
    s.events.push(correction);
    assert_same(
        "file + corrections = corrected file",
        &facts(&fold_all(corrected.events)),
        &facts(&s.fold()),
    );
}

#[test]
fn a_chain_of_a_hundred_thousand_corrections_is_followed_to_its_end() {
    let mut s = placed();
    verified(&mut s, "r0", VerifyResult::Passed);
    for number in 1..100_000 {
        verified(&mut s, &format!("r{number}"), VerifyResult::Failed);
        s.correcting(&format!("r{}", number - 1), CorrectionOp::Replace);
    }
    verified(&mut s, "last", VerifyResult::Fraud);
    s.correcting("r99999", CorrectionOp::Replace);
    let rows = fold_all(s.events);
    assert_eq!(order(&rows, "o1").verify_result.as_deref(), Some("fraud"));
}

#[test]
fn a_corrected_profile_moves_the_rows_of_its_agent() {
    let mut s = Scene::call("c1", "billing");
    let profile = |team: &str| AgentProfileChanged {
        agent_id: "a1".into(),
        effective_from: at(0.0),
        team_id: Some(team.into()),
        site_id: None,
        supervisor_id: None,
        skills: None,
        skills_required: None,
        fte: None,
    };
    s.add(170.0, profile("t1")).event_id = "p1".into();
    assert_eq!(
        leg(&fold_all(s.events.clone()), "l1").team_id.as_deref(),
        Some("t1")
    );
    s.add(180.0, profile("t2"));
    s.correcting("p1", CorrectionOp::Replace);
    assert_eq!(
        leg(&fold_all(s.events), "l1").team_id.as_deref(),
        Some("t2")
    );
}
