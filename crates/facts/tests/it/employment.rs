//! Agents: profile and employment, and how one follows the other.

use events::*;
use facts::Agent;

use crate::scene::*;

const HOUR: f64 = 3_600.0;
/// Day of [`START`], 2026-03-02.
const DAY: i32 = 20_514;

fn profile(s: &mut Scene, hours: f64, team: Option<&str>, skills: Option<&[&str]>) {
    s.add(
        hours * HOUR,
        AgentProfileChanged {
            agent_id: "a1".into(),
            effective_from: at(hours * HOUR),
            team_id: team.map(Into::into),
            site_id: None,
            supervisor_id: None,
            skills: skills.map(|s| s.iter().copied().map(Into::into).collect()),
            skills_required: None,
            fte: None,
        },
    );
}

fn hired(s: &mut Scene, day: i32) {
    s.add(
        0.0,
        AgentHired {
            agent_id: "a1".into(),
            effective_on: Date(DAY + day),
            voluntary: None,
        },
    );
}

fn left(s: &mut Scene, day: i32, voluntary: Option<bool>) {
    s.add(
        1.0,
        AgentLeft {
            agent_id: "a1".into(),
            effective_on: Date(DAY + day),
            voluntary,
        },
    );
}

/// Begin in hours after midnight of 2026-03-02, employed, first and last day, team.
type Told<'r> = (i64, bool, Option<&'r str>, Option<&'r str>, Option<&'r str>);

fn told(row: &Agent) -> Told<'_> {
    (
        row.valid_from.0 / 3_600_000_000 - i64::from(DAY) * 24,
        row.employed,
        row.hired_on.as_deref(),
        row.left_on.as_deref(),
        row.team_id.as_deref(),
    )
}

fn check(s: &Scene, expected: &[Told<'_>]) {
    let mut rows = s.fold().Agent;
    rows.sort_by_key(|r| r.valid_from);
    assert_eq!(rows.iter().map(told).collect::<Vec<_>>(), expected);
    let ends: Vec<_> = rows.iter().map(|r| r.valid_to).collect();
    let begins = rows.iter().skip(1).map(|r| Some(r.valid_from));
    let followed: Vec<_> = begins.chain([None]).collect();
    assert_eq!(ends, followed, "each row ends where the next begins");
}

#[test]
fn an_agent_is_with_us_from_the_day_of_hire_to_the_end_of_the_last_day() {
    let mut s = Scene::new();
    hired(&mut s, 1);
    profile(&mut s, 7.0, Some("t1"), None);
    profile(&mut s, 55.0, Some("t2"), None);
    left(&mut s, 4, Some(true));
    let (first, last) = (Some("2026-03-03"), Some("2026-03-06"));
    check(
        &s,
        &[
            (8, false, None, None, Some("t1")),
            (24, true, first, last, Some("t1")),
            (56, true, first, last, Some("t2")),
            (120, false, first, last, Some("t2")),
        ],
    );
    assert!(s.fold().Agent.iter().any(|r| r.voluntary == Some(true)));
}

#[test]
fn without_a_hire_an_agent_is_with_us_from_the_first_profile() {
    let mut s = Scene::new();
    profile(&mut s, 7.0, Some("t1"), Some(&["billing", "sales"]));
    profile(&mut s, 9.0, None, Some(&[]));
    check(
        &s,
        &[
            (8, true, None, None, Some("t1")),
            (10, true, None, None, Some("t1")),
        ],
    );
    let mut rows = s.fold().Agent;
    rows.sort_by_key(|r| r.valid_from);
    assert_eq!(rows[0].skills, ["billing", "sales"]);
    assert!(rows[1].skills.is_empty(), "no skills is something told");
    left(&mut s, 2, None);
    let last = Some("2026-03-04");
    check(
        &s,
        &[
            (8, true, None, last, Some("t1")),
            (10, true, None, last, Some("t1")),
            (72, false, None, last, Some("t1")),
        ],
    );
}

#[test]
fn who_leaves_and_was_never_told_of_was_here_that_day() {
    let mut s = Scene::new();
    left(&mut s, 3, None);
    let last = Some("2026-03-05");
    check(
        &s,
        &[(72, true, None, last, None), (96, false, None, last, None)],
    );
}

#[test]
fn a_second_hire_or_leaving_says_nothing_new_and_who_comes_back_is_hired_again() {
    let mut s = Scene::new();
    hired(&mut s, 0);
    hired(&mut s, 1);
    left(&mut s, 1, Some(false));
    left(&mut s, 2, Some(true));
    hired(&mut s, 5);
    let (first, last) = (Some("2026-03-02"), Some("2026-03-03"));
    check(
        &s,
        &[
            (0, true, first, last, None),
            (48, false, first, last, None),
            (120, true, Some("2026-03-07"), None, None),
        ],
    );
}

#[test]
fn hired_and_gone_on_one_day_is_a_day_with_us() {
    let mut s = Scene::new();
    left(&mut s, 0, None);
    hired(&mut s, 0);
    let day = Some("2026-03-02");
    check(
        &s,
        &[(0, true, day, day, None), (24, false, day, day, None)],
    );
}

#[test]
fn a_leaving_that_is_taken_back_has_not_been() {
    let mut s = Scene::new();
    hired(&mut s, 0);
    left(&mut s, 3, None);
    let mut back = s.events[1].clone();
    back.event_id = "taken-back".into();
    back.correction = Some(Correction {
        of: s.events[1].event_id.clone(),
        op: CorrectionOp::Retract,
    });
    s.events.push(back);
    check(&s, &[(0, true, Some("2026-03-02"), None, None)]);
}

#[test]
fn how_many_contacts_an_agent_may_have_is_no_profile_of_this_table() {
    let mut s = Scene::new();
    let slots = [(Channel::Chat, 3)].into();
    s.add(
        0.0,
        AgentCapacityChanged {
            agent_id: "a1".into(),
            slots,
        },
    );
    assert_eq!(s.fold().Agent, []);
}
