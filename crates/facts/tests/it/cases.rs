//! Cases and evaluations.

use events::*;
use facts::{Case, Evaluation, FactRows, fold_all};

use crate::scene::*;

fn opened(interaction: Option<&str>) -> CaseOpened {
    CaseOpened {
        case_id: "k1".into(),
        customer_id: Some("cu1".into()),
        interaction_id: interaction.map(Text::from),
        channel: None,
        reason_code: Some("bill".into()),
        issue_id: None,
        complaint: Some(true),
        promise_at: None,
        status: Some("new".into()),
        merged_into: None,
    }
}

fn solved() -> CaseSolved {
    CaseSolved {
        case_id: "k1".into(),
        interaction_id: None,
    }
}

fn closed() -> CaseClosed {
    CaseClosed {
        case_id: "k1".into(),
        interaction_id: None,
    }
}

fn reopened(interaction: &str) -> CaseReopened {
    CaseReopened {
        case_id: "k1".into(),
        interaction_id: Some(interaction.into()),
    }
}

fn reply(id: &str, actor: Actor, public: bool) -> MessageSent {
    MessageSent {
        message_id: id.into(),
        interaction_id: None,
        case_id: Some("k1".into()),
        actor,
        actor_id: None,
        public,
    }
}

fn the_case(rows: &FactRows) -> &Case {
    assert_eq!(rows.Case.len(), 1);
    &rows.Case[0]
}

#[test]
fn a_case_that_comes_back_counts_its_contacts_replies_and_solutions() {
    let mut s = Scene::call("c1", "billing");
    s.add(170.0, opened(Some("c1")));
    s.add(180.0, reply("m1", Actor::Customer, true));
    s.add(190.0, reply("m2", Actor::Agent, false));
    s.add(200.0, reply("m3", Actor::Agent, true));
    s.add(270.0, solved());
    let rows = fold_all(s.events.clone());
    let case = the_case(&rows);
    assert_eq!(
        (case.contacts, case.agent_replies, case.reopened),
        (1, 1, 0)
    );
    assert_eq!(case.first_reply_ms, Some(30_000));
    assert_eq!(
        (case.first_solve_ms, case.full_solve_ms),
        (Some(100_000), Some(100_000))
    );
    assert!(!case.is_open && case.complaint && !case.merged);
    assert_eq!(
        case.channel.as_deref(),
        Some("voice"),
        "that of its contact"
    );
    assert_eq!(case.promise_at, at(170.0).plus_ms(7 * 86_400_000));
    assert_eq!(interaction(&rows, "c1").case_id.as_deref(), Some("k1"));

    s.started(300.0, "c2");
    s.add(310.0, reopened("c2"));
    let open = fold_all(s.events.clone());
    let case = the_case(&open);
    assert!(case.is_open);
    assert_eq!((case.contacts, case.reopened), (2, 1));
    assert_eq!(case.solved_at, Some(at(270.0)), "the last time it was");
    assert_eq!(case.full_solve_ms, None, "it is open again");

    s.add(370.0, solved());
    s.add(400.0, closed());
    let rows = s.fold();
    let case = the_case(&rows);
    assert_eq!(
        (case.first_solve_ms, case.full_solve_ms),
        (Some(100_000), Some(200_000))
    );
    assert_eq!(case.close_ms, Some(230_000));
}

#[test]
fn a_case_that_is_closed_without_a_word_is_solved_then() {
    let mut s = Scene::new();
    s.add(0.0, opened(None));
    s.add(60.0, closed());
    let rows = s.fold();
    let case = the_case(&rows);
    assert_eq!(
        (case.full_solve_ms, case.close_ms),
        (Some(60_000), Some(60_000))
    );
    assert_eq!((case.contacts, case.channel.as_deref()), (0, None));
}

fn status(status: &str) -> CaseStatusChanged {
    CaseStatusChanged {
        case_id: "k1".into(),
        interaction_id: None,
        status: Some(status.into()),
        merged_into: None,
        promise_at: None,
    }
}

#[test]
fn a_case_that_stands_as_over_is_not_open_and_nobody_knows_since_when() {
    for (last, is_open) in [
        ("open", true),
        ("pending", true),
        ("solved", false),
        ("closed", false),
        ("deleted", false),
    ] {
        let mut s = Scene::new();
        s.add(0.0, opened(None));
        s.add(60.0, status(last));
        let rows = s.fold();
        let case = the_case(&rows);
        assert_eq!(case.is_open, is_open, "{last}");
        assert_eq!((case.solved_at, case.close_ms), (None, None), "{last}");
    }
    let mut s = Scene::new();
    s.add(0.0, opened(None));
    s.add(60.0, status("solved"));
    s.add(90.0, status("open"));
    assert!(the_case(&s.fold()).is_open, "the last one counts");
}

#[test]
fn a_case_that_was_never_opened_is_an_issue_and_no_row() {
    let mut s = Scene::new();
    s.add(0.0, solved());
    let rows = s.fold();
    assert!(rows.Case.is_empty());
    assert_eq!(rows.Issue[0].kind, "missing_start");
}

fn item(critical: Critical, error: bool, points: i64) -> EvaluationItem {
    EvaluationItem {
        item_id: "i".into(),
        critical,
        applicable: true,
        error,
        points,
        max_points: 10,
        weight: 1,
        auto_fail: false,
    }
}

fn evaluation(items: Vec<EvaluationItem>) -> EvaluationCompleted {
    EvaluationCompleted {
        evaluation_id: "e1".into(),
        leg_id: "l1".into(),
        form_id: "f".into(),
        form_version: 2,
        evaluator_id: "qa".into(),
        stratum: None,
        sample_weight: None,
        resolved_judged: Some(true),
        items,
    }
}

fn evaluated(items: Vec<EvaluationItem>) -> Evaluation {
    let mut s = Scene::call("c1", "billing");
    s.add(500.0, evaluation(items));
    s.fold().Evaluation[0].clone()
}

#[test]
fn an_evaluation_counts_errors_and_points_of_the_items_that_applied() {
    let mut absent = item(Critical::Customer, true, 0);
    absent.applicable = false;
    let mut heavy = item(Critical::None, false, 10);
    heavy.weight = 3;
    let row = evaluated(vec![
        item(Critical::None, true, 5),
        item(Critical::Compliance, true, 0),
        heavy,
        absent.clone(),
    ]);
    assert_eq!(
        (
            row.noncritical_errors,
            row.noncritical_opportunities,
            row.critical_errors
        ),
        (1, 2, 1)
    );
    assert_eq!((row.critical_compliance, row.critical_customer), (1, 0));
    assert_eq!((row.points, row.max_points), (15, 30));
    assert_eq!(row.score_bp, Some(7_000), "(5 + 0 + 3 x 10) of 50");
    assert_eq!(
        (
            row.agent_id.as_deref(),
            row.queue_id.as_deref(),
            row.channel.as_deref()
        ),
        (Some("a1"), Some("billing"), Some("voice"))
    );
    assert_eq!(
        (row.contact_at, row.resolved_judged),
        (Some(at(0.0)), Some(true))
    );
    let mut fatal = item(Critical::Business, true, 9);
    fatal.auto_fail = true;
    let failed = evaluated(vec![fatal, item(Critical::None, false, 10)]);
    assert_eq!((failed.auto_fail, failed.score_bp), (true, Some(0)));
    let mut pointless = item(Critical::Compliance, true, 0);
    (pointless.auto_fail, pointless.max_points) = (true, 0);
    assert_eq!(
        evaluated(vec![pointless]).score_bp,
        Some(0),
        "it fails the whole"
    );
    assert_eq!(evaluated(vec![absent]).score_bp, None, "nothing to score");
}

#[test]
fn an_evaluation_that_is_taken_back_stays_as_void() {
    let mut s = Scene::call("c1", "billing");
    s.add(500.0, evaluation(Vec::new()));
    let voided = EvaluationVoided {
        evaluation_id: "e1".into(),
        leg_id: None,
    };
    s.add(600.0, voided);
    let rows = s.fold();
    assert_eq!(rows.Evaluation[0].status, "void");
}
