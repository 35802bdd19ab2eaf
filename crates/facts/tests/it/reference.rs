//! Self-service, forecasts, customers and what codes mean.

use events::*;
use facts::FactRows;

use crate::scene::*;

fn session(s: &mut Scene, seconds: f64, id: &str, contact: Option<&str>) {
    s.add(
        seconds,
        SelfServiceStarted {
            session_id: id.into(),
            interaction_id: contact.map(Into::into),
            customer_id: None,
            kind: SelfServiceKind::Ivr,
        },
    );
}

fn session_ended(s: &mut Scene, seconds: f64, id: &str, outcome: SelfServiceOutcome) {
    let context_passed = Some(outcome == SelfServiceOutcome::Escalated);
    s.add(
        seconds,
        SelfServiceEnded {
            session_id: id.into(),
            outcome,
            context_passed,
        },
    );
}

/// Outcome and containment of the one session.
fn ended(rows: &FactRows) -> (Option<&str>, bool) {
    let [row] = rows.SelfService.as_slice() else {
        panic!("not one session: {:?}", rows.SelfService)
    };
    (row.outcome.as_deref(), row.contained)
}

#[test]
fn a_session_counts_its_steps_and_takes_customer_and_channel_of_its_contact() {
    let mut s = Scene::new();
    s.started(0.0, "c1");
    session(&mut s, 1.0, "m1", Some("c1"));
    let steps = [
        (Some(true), None),
        (Some(false), Some(Vote::Helpful)),
        (None, Some(Vote::NotHelpful)),
    ];
    for (at, (answered, vote)) in (2..).zip(steps) {
        let question = answered.map(|_| true);
        let intent = Some(format!("i{at}").into());
        let session_id = "m1".into();
        s.add(
            f64::from(at),
            SelfServiceStep {
                session_id,
                intent,
                question,
                answered,
                vote,
            },
        );
    }
    session_ended(&mut s, 9.0, "m1", SelfServiceOutcome::Completed);
    let rows = s.fold();
    assert_eq!(ended(&rows), (Some("completed"), true));
    let row = &rows.SelfService[0];
    assert_eq!(
        (row.steps, row.questions, row.questions_answered),
        (3, 2, 1)
    );
    assert_eq!(
        (row.votes, row.votes_helpful, row.intent.as_deref()),
        (2, 1, Some("i4"))
    );
    assert_eq!(
        (row.customer_id.as_deref(), row.channel.as_deref()),
        (Some("cu1"), Some("voice"))
    );
    assert!(interaction(&rows, "c1").ss_completed);
}

#[test]
fn without_an_end_of_its_own_a_session_ends_as_its_contact_did() {
    let mut s = Scene::new();
    s.started(0.0, "c1");
    session(&mut s, 1.0, "m1", Some("c1"));
    assert_eq!(ended(&s.fold()), (None, false));
    let mut given_up = s.clone();
    given_up.ended(20.0, "c1", EndedBy::Customer);
    assert_eq!(ended(&given_up.fold()), (Some("abandoned"), true));
    s.entered(10.0, "q1", "c1", "billing");
    assert_eq!(ended(&s.fold()), (Some("escalated"), false));
}

#[test]
fn who_was_served_and_then_asked_for_an_agent_is_not_contained() {
    let mut s = Scene::new();
    s.started(0.0, "c1");
    session(&mut s, 1.0, "m1", Some("c1"));
    session_ended(&mut s, 5.0, "m1", SelfServiceOutcome::Completed);
    s.entered(10.0, "q1", "c1", "billing");
    assert_eq!(ended(&s.fold()), (Some("completed"), false));
}

#[test]
fn a_second_end_and_an_end_without_a_start_are_noted() {
    let mut s = Scene::new();
    session(&mut s, 1.0, "m1", None);
    session_ended(&mut s, 5.0, "m1", SelfServiceOutcome::Failed);
    session_ended(&mut s, 6.0, "m1", SelfServiceOutcome::Completed);
    session_ended(&mut s, 6.0, "m2", SelfServiceOutcome::Completed);
    let rows = s.fold();
    assert_eq!(ended(&rows), (Some("failed"), true));
    assert_eq!(issues(&rows), ["missing_start", "second_end"]);
}

#[test]
fn of_one_version_of_a_forecast_the_last_word_counts() {
    let mut s = Scene::new();
    let published = |version, offered| ForecastPublished {
        queue_id: "billing".into(),
        channel: Channel::Voice,
        version,
        slice_at: START,
        offered,
        aht_ms: 300_000,
        required_agents: None,
    };
    s.add(0.0, published(1, 10));
    s.add(1.0, published(1, 12));
    s.add(2.0, published(2, 11));
    let mut rows = s.fold().Forecast;
    rows.sort_by_key(|f| f.version);
    let told: Vec<_> = rows
        .iter()
        .map(|f| (f.version, f.forecast_offered))
        .collect();
    assert_eq!(told, [(1, 12), (2, 11)]);
    assert_eq!(rows[0].published_at, at(1.0));
}

#[test]
fn a_customer_keeps_segment_and_value_until_a_change_names_them() {
    let mut s = Scene::new();
    let mut changed = |from: f64, status, segment: Option<&str>| {
        let recurring_value = segment.map(|_| Money {
            amount: Decimal(990_000),
            currency: "EUR".into(),
        });
        s.add(
            from,
            CustomerChanged {
                customer_id: "cu1".into(),
                effective_from: at(from),
                status,
                segment: segment.map(Into::into),
                recurring_value,
            },
        );
    };
    changed(0.0, CustomerStatus::Active, Some("gold"));
    changed(100.0, CustomerStatus::Ended, None);
    let mut rows = s.fold().Customer;
    rows.sort_by_key(|c| c.valid_from);
    let [first, second] = rows.as_slice() else {
        panic!("{rows:?}")
    };
    assert_eq!(
        (first.status.as_str(), first.valid_to),
        ("active", Some(at(100.0)))
    );
    assert_eq!((second.status.as_str(), second.valid_to), ("ended", None));
    assert_eq!(second.segment.as_deref(), Some("gold"));
    assert_eq!(second.recurring_value, Some(Decimal(990_000)));
}

fn meaning(s: &mut Scene, from: f64, key: &str, value: &str, restate: Option<bool>) {
    let (key, value, effective_from) = (key.into(), value.into(), at(from));
    s.add(
        from,
        ReferenceChanged {
            key,
            value,
            effective_from,
            restate,
        },
    );
}

#[test]
fn a_code_means_something_else_from_a_moment_on() {
    let mut s = Scene::new();
    meaning(
        &mut s,
        0.0,
        "reason/late",
        "class=wismo; owner=logistics; avoidable=true",
        None,
    );
    meaning(
        &mut s,
        100.0,
        "reason/late",
        "class=promise_missed; root_cause=late carrier",
        None,
    );
    meaning(&mut s, 0.0, "disposition/sale", "sales_valid=true", None);
    meaning(&mut s, 0.0, "threshold/billing", "30", None);
    let mut rows = s.fold().CodeMeaning;
    rows.sort_by_key(|m| (m.kind.clone(), m.valid_from));
    let [sale, first, second] = rows.as_slice() else {
        panic!("{rows:?}")
    };
    assert_eq!((sale.code.as_str(), sale.sales_valid), ("sale", Some(true)));
    assert_eq!(
        (first.reason_class.as_deref(), first.avoidable),
        (Some("wismo"), Some(true))
    );
    assert_eq!(
        (first.valid_from, first.valid_to),
        (at(0.0), Some(at(100.0)))
    );
    assert_eq!(
        (second.root_cause.as_deref(), second.avoidable),
        (Some("late carrier"), None)
    );
}

#[test]
fn a_restatement_tells_the_past_anew() {
    let mut s = Scene::new();
    meaning(&mut s, 0.0, "reason/late", "class=wismo", None);
    meaning(&mut s, 100.0, "reason/late", "class=other", Some(true));
    let rows = s.fold().CodeMeaning;
    assert_eq!(rows.len(), 1);
    assert!(rows[0].valid_from < at(-1e9));
}

#[test]
fn what_is_not_understood_of_a_meaning_is_noted_and_the_rest_counts() {
    let mut s = Scene::new();
    meaning(
        &mut s,
        0.0,
        "reason/late",
        "klass=x; avoidable=maybe; owner=shop",
        None,
    );
    let rows = s.fold();
    assert_eq!(rows.CodeMeaning[0].owner_dept.as_deref(), Some("shop"));
    assert_eq!(issues(&rows), ["bad_reference", "bad_reference"]);
}

#[test]
fn hours_of_a_place_change_and_a_date_has_its_own() {
    let mut s = Scene::new();
    let office = "mon-fri 09:00-18:00 ; zone=Asia/Shanghai; sat 10:00-14:00";
    meaning(&mut s, 0.0, "calendar/default", office, None);
    meaning(&mut s, 100.0, "calendar/default", "zone=UTC", None);
    meaning(&mut s, 0.0, "holiday/site/1/2026-10-01", "closed", None);
    meaning(
        &mut s,
        50.0,
        "holiday/site/1/2026-10-01",
        " 10:00-12:00 ",
        Some(true),
    );
    let mut rows = s.fold().CalendarHours;
    rows.sort_by_key(|row| (row.calendar.clone(), row.valid_from));
    let [first, second, holiday] = rows.as_slice() else {
        panic!("{rows:?}")
    };
    assert_eq!(
        (first.hours.as_deref(), first.zone.as_deref()),
        (
            Some("mon-fri 09:00-18:00; sat 10:00-14:00"),
            Some("Asia/Shanghai")
        )
    );
    assert_eq!(
        (first.valid_from, first.valid_to),
        (at(0.0), Some(at(100.0)))
    );
    assert_eq!(second.hours.as_deref(), Some("mon-sun closed"));
    assert_eq!(
        (holiday.calendar.as_str(), holiday.day.as_str()),
        ("site/1", "2026-10-01")
    );
    assert_eq!(holiday.hours.as_deref(), Some("10:00-12:00"));
    assert!(holiday.valid_from < at(-1e9) && holiday.zone.is_none());
}

#[test]
fn hours_that_cannot_be_read_are_noted_and_not_known() {
    let mut s = Scene::new();
    meaning(
        &mut s,
        0.0,
        "calendar/default",
        "mon-fri 09:00-18:00; zone=UTC",
        None,
    );
    meaning(
        &mut s,
        100.0,
        "calendar/default",
        "mon-fri 9 to 5; zone=UTC",
        None,
    );
    meaning(&mut s, 0.0, "holiday/default/2026-13-01", "closed", None);
    meaning(&mut s, 0.0, "holiday/default/2026-10-01", "shut", None);
    let rows = s.fold();
    let mut hours: Vec<_> = rows
        .CalendarHours
        .iter()
        .map(|row| (row.day.as_str(), row.valid_from, row.hours.is_some()))
        .collect();
    hours.sort_unstable();
    assert_eq!(
        hours,
        [
            ("", at(0.0), true),
            ("", at(100.0), false),
            ("2026-10-01", at(0.0), false)
        ]
    );
    assert_eq!(issues(&rows), ["bad_reference"; 3]);
}
