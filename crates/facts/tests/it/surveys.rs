//! Surveys.

use events::*;

use crate::scene::*;

fn sent(leg: Option<&str>, interaction: Option<&str>) -> SurveySent {
    SurveySent {
        survey_id: "s1".into(),
        instrument: Instrument::Csat5,
        interaction_id: interaction.map(Text::from),
        leg_id: leg.map(Text::from),
        case_id: None,
        agent_id: None,
    }
}

fn answered(score: i64) -> SurveyAnswered {
    SurveyAnswered {
        survey_id: "s1".into(),
        instrument: Instrument::Csat5,
        interaction_id: None,
        leg_id: None,
        case_id: None,
        agent_id: None,
        score,
    }
}

#[test]
fn a_survey_shows_the_start_agent_and_queue_of_its_contact() {
    for (leg, contact) in [
        (Some("l1"), None),
        (None, Some("c1")),
        (Some("l1"), Some("c1")),
    ] {
        let mut s = Scene::call("c1", "billing");
        s.add(200.0, sent(leg, contact));
        s.add(900.0, answered(5));
        let rows = s.fold();
        let row = survey(&rows, "s1");
        assert_eq!((row.contact_at, row.sent_at), (Some(at(0.0)), at(200.0)));
        assert_eq!((row.answered_at, row.score), (Some(at(900.0)), Some(5)));
        assert_eq!(row.agent_id.as_deref(), Some("a1"));
        assert_eq!(
            (row.queue_id.as_deref(), row.channel.as_deref()),
            (Some("billing"), Some("voice"))
        );
        assert_eq!(row.customer_id.as_deref(), Some("cu1"));
        assert_eq!(row.interaction_id.as_deref(), Some("c1"));
    }
}

#[test]
fn an_unanswered_survey_has_no_score() {
    let mut s = Scene::call("c1", "billing");
    s.add(200.0, sent(Some("l1"), None));
    assert_eq!(
        (
            survey(&s.fold(), "s1").score,
            survey(&s.fold(), "s1").answered_at
        ),
        (None, None)
    );
}

#[test]
fn an_answer_to_a_survey_nobody_sent_stands_and_is_inferred() {
    let mut s = Scene::new();
    s.add(900.0, answered(3));
    let rows = s.fold();
    let row = survey(&rows, "s1");
    assert_eq!(
        (row.sent_at, row.score, row.common.inferred),
        (at(900.0), Some(3), true)
    );
    assert_eq!(issues(&rows), ["missing_start"]);
}

#[test]
fn of_two_answers_the_first_counts() {
    let mut s = Scene::new();
    s.add(100.0, sent(None, None));
    s.add(900.0, answered(3));
    s.add(950.0, answered(1));
    let rows = s.fold();
    assert_eq!(
        (survey(&rows, "s1").score, issues(&rows)),
        (Some(3), vec!["second_end"])
    );
}
