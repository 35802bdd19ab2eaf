//! Interactions: chains, customers, reasons, tests, what is inferred.

use events::*;

use crate::scene::*;

fn classified(id: &str, reason: &str, by: Classifier) -> InteractionClassified {
    InteractionClassified {
        interaction_id: id.into(),
        reason_code: reason.into(),
        by,
        purpose: None,
        order_id: None,
        case_id: None,
        complaint: None,
        cancel_intent: None,
        not_resolvable_first: None,
        duplicate: None,
        spam: None,
    }
}

#[test]
fn a_contact_whose_start_is_not_told_is_inferred_and_completed_when_it_comes() {
    let mut s = Scene::call("c1", "billing");
    let start = s.events.remove(0);
    let rows = s.fold();
    let i = interaction(&rows, "c1");
    assert!(i.common.inferred);
    assert_eq!(
        (i.started_at, i.channel.as_str(), i.direction.as_str()),
        (at(10.0), "voice", "inbound")
    );
    s.events.push(start);
    let rows = s.fold();
    assert!(!interaction(&rows, "c1").common.inferred);
    assert_eq!(interaction(&rows, "c1").customer_id.as_deref(), Some("cu1"));
}

#[test]
fn orders_and_surveys_alone_make_no_contact() {
    let mut s = Scene::new();
    s.add(
        5.0,
        SurveySent {
            survey_id: "s1".into(),
            instrument: Instrument::Nps,
            interaction_id: Some("c1".into()),
            leg_id: None,
            case_id: None,
            agent_id: None,
        },
    );
    let rows = s.fold();
    assert!(rows.Interaction.is_empty());
    assert_eq!(survey(&rows, "s1").interaction_id.as_deref(), Some("c1"));
}

#[test]
fn the_customer_is_who_was_identified_last_else_as_told_at_the_start_else_the_token() {
    let mut s = Scene::call("c1", "billing");
    if let EventData::InteractionStarted(d) = &mut s.events[0].data {
        (d.customer_id, d.identity) = (None, Some("token".into()));
    }
    assert_eq!(
        interaction(&s.fold(), "c1").customer_id.as_deref(),
        Some("token")
    );
    let (interaction_id, customer_id) = ("c1".into(), "cu9".into());
    s.add(
        50.0,
        InteractionIdentified {
            interaction_id,
            customer_id,
        },
    );
    let rows = s.fold();
    assert_eq!(interaction(&rows, "c1").customer_id.as_deref(), Some("cu9"));
    assert_eq!(visit(&rows, "q1").customer_id.as_deref(), Some("cu9"));
}

#[test]
fn an_agents_reason_counts_before_a_menus_and_all_are_listed() {
    let mut s = Scene::call("c1", "billing");
    s.add(5.0, classified("c1", "menu3", Classifier::Ivr));
    let mut by_agent = classified("c1", "refund", Classifier::Agent);
    (by_agent.complaint, by_agent.purpose) = (Some(true), Some(Purpose::Retention));
    s.add(140.0, by_agent);
    let rows = s.fold();
    let i = interaction(&rows, "c1");
    assert_eq!(i.reason_code.as_deref(), Some("refund"));
    assert_eq!(i.reason_codes, ["refund", "menu3"]);
    assert_eq!(
        (i.purpose.as_deref(), i.complaint, i.spam),
        (Some("retention"), true, false)
    );
    assert_eq!(visit(&rows, "q1").reason_code.as_deref(), Some("refund"));
}

#[test]
fn a_chain_of_contacts_has_the_first_as_root() {
    let mut s = Scene::new();
    s.started(0.0, "c1");
    s.started(100.0, "c2").parent_id = Some("c1".into());
    s.started(200.0, "c3").parent_id = Some("c2".into());
    s.started(300.0, "c4").parent_id = Some("elsewhere".into());
    let rows = s.fold();
    let roots: Vec<_> = ["c1", "c2", "c3", "c4"]
        .map(|id| interaction(&rows, id).root_id.clone())
        .into();
    assert_eq!(roots, ["c1", "c1", "c1", "elsewhere"]);
}

#[test]
fn parents_in_a_circle_do_no_harm() {
    let mut s = Scene::new();
    s.started(0.0, "c1").parent_id = Some("c2".into());
    s.started(1.0, "c2").parent_id = Some("c1".into());
    assert_eq!(s.fold().Interaction.len(), 2);
}

#[test]
fn test_contacts_mark_all_rows_of_their_entity() {
    let mut s = Scene::call("c1", "billing");
    if let EventData::InteractionStarted(d) = &mut s.events[0].data {
        d.is_test = Some(true);
    }
    let rows = s.fold();
    assert!(interaction(&rows, "c1").common.is_test);
    assert!(visit(&rows, "q1").common.is_test && leg(&rows, "l1").common.is_test);
}

#[test]
fn an_end_that_is_followed_by_another_queue_is_not_the_end() {
    let mut s = Scene::call("c1", "billing");
    s.ended(130.0, "c1", EndedBy::Agent);
    s.entered(130.3, "q2", "c1", "sales");
    assert_eq!(interaction(&s.fold(), "c1").ended_at, None);
    s.left(140.0, "q2", LeaveReason::Abandoned);
    let rows = s.fold();
    assert_eq!(interaction(&rows, "c1").ended_at, Some(at(140.0)));
    assert!(interaction(&rows, "c1").common.inferred);
    s.ended(141.0, "c1", EndedBy::Customer);
    let rows = s.fold();
    let i = interaction(&rows, "c1");
    assert_eq!(
        (i.ended_at, i.ended_by.as_deref()),
        (Some(at(141.0)), Some("customer"))
    );
    assert!(
        !i.common.inferred && !i.abandoned,
        "an agent had helped before"
    );
}

#[test]
fn of_two_ends_of_one_contact_the_first_counts_and_one_before_the_start_never() {
    let mut s = Scene::call("c1", "billing");
    s.ended(130.0, "c1", EndedBy::Agent);
    s.ended(135.0, "c1", EndedBy::Customer);
    let rows = s.fold();
    assert_eq!(interaction(&rows, "c1").ended_at, Some(at(130.0)));
    assert_eq!(issues(&rows), ["second_end"]);
    let mut s = Scene::new();
    s.started(10.0, "c1");
    s.ended(5.0, "c1", EndedBy::Agent);
    let rows = s.fold();
    assert_eq!(interaction(&rows, "c1").ended_at, None);
    assert_eq!(interaction(&rows, "c1").common.flags, ["bad_order"]);
    assert_eq!(issues(&rows), ["bad_order"]);
}

#[test]
fn self_service_and_cases_show_on_the_contact() {
    let mut s = Scene::call("c1", "billing");
    if let EventData::QueueEntered(d) = &mut s.events[1].data {
        d.via = Some(Via::Ivr);
    }
    s.add(
        1.0,
        SelfServiceStarted {
            session_id: "s1".into(),
            interaction_id: Some("c1".into()),
            customer_id: None,
            kind: SelfServiceKind::Ivr,
        },
    );
    let outcome = SelfServiceOutcome::Completed;
    s.add(
        9.0,
        SelfServiceEnded {
            session_id: "s1".into(),
            outcome,
            context_passed: None,
        },
    );
    s.add(
        50.0,
        CaseEscalated {
            case_id: "k1".into(),
            interaction_id: Some("c1".into()),
        },
    );
    let rows = s.fold();
    let i = interaction(&rows, "c1");
    assert!(i.self_service && i.ss_completed && i.ivr_routed && i.escalated);
    assert_eq!(i.case_id.as_deref(), Some("k1"));
}

#[test]
fn a_contact_of_thousands_of_legs_is_folded_in_reasonable_time() {
    let mut s = Scene::new();
    s.started(0.0, "unknown");
    for number in 0..20_000 {
        let (visit, leg) = (format!("q{number}"), format!("l{number}"));
        let from = f64::from(number);
        s.entered(from, &visit, "unknown", "billing");
        s.left(from + 0.5, &visit, LeaveReason::Answered);
        s.connected(from + 0.5, &leg, "unknown", "a1");
        s.disconnected(from + 0.9, &leg);
    }
    let rows = facts::fold_all(s.events);
    assert_eq!((rows.QueueVisit.len(), rows.Leg.len()), (20_000, 20_000));
    assert!(rows.Leg.iter().all(|leg| leg.visit_id.is_some()));
}
