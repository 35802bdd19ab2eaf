//! The folder: batches, late events, memory, checkpoints.

use std::sync::Arc;

use events::*;
use facts::{FoldSettings, Folder, History, HistoryError, NoHistory, event_links, fold_all, links};

use crate::{
    memory::{MemoryStore, assert_same, facts, fold_batches},
    scene::*,
};

fn survey_answer() -> SurveyAnswered {
    SurveyAnswered {
        survey_id: "s1".into(),
        instrument: Instrument::Nps,
        interaction_id: Some("c1".into()),
        leg_id: None,
        case_id: None,
        agent_id: None,
        score: 9,
    }
}

fn forgetful() -> FoldSettings {
    FoldSettings {
        keep_closed_ms: 0,
        max_kept_events: 0,
        ..FoldSettings::default()
    }
}

#[test]
fn a_row_that_did_not_change_is_neither_removed_nor_added() {
    let mut folder = Folder::new(FoldSettings::default());
    let mut s = Scene::call("c1", "billing");
    folder
        .apply(s.events.clone(), &NoHistory)
        .expect("no history");
    s.add(500.0, survey_answer()).recorded_at = at(2_000_000.0);
    let edit = folder.apply(vec![s.events.pop().expect("the survey")], &NoHistory);
    let edit = edit.expect("no history");
    assert!(edit.removed.is_empty());
    // The survey and the issue that it was never sent.
    assert_eq!((edit.added.len(), edit.added.Survey.len()), (2, 1));
}

#[test]
fn a_changed_row_is_removed_and_added_with_a_higher_revision() {
    let mut folder = Folder::new(FoldSettings::default());
    let mut s = Scene::call("c1", "billing");
    let first = folder
        .apply(s.events.clone(), &NoHistory)
        .expect("no history");
    assert_eq!(first.added.Leg[0].common.fact_rev, 1);
    let codes = vec!["refund".into()];
    let (leg_id, resolved) = ("l1".into(), None);
    s.add(
        161.0,
        DispositionSet {
            leg_id,
            codes,
            resolved,
        },
    )
    .recorded_at = at(2_000_000.0);
    let edit = folder.apply(vec![s.events.pop().expect("the code")], &NoHistory);
    let edit = edit.expect("no history");
    assert_eq!((edit.removed.Leg.len(), edit.added.Leg.len()), (1, 1));
    assert_eq!(edit.added.Leg[0].common.fact_rev, 2);
    assert_eq!(edit.added.Leg[0].common.updated_at, at(2_000_000.0));
    assert!(edit.removed.QueueVisit.is_empty() && edit.added.QueueVisit.is_empty());
}

#[test]
fn all_events_of_a_batch_come_back_in_their_order_with_the_name_of_their_entity() {
    let mut s = Scene::call("c1", "billing");
    let (complete_until, history_start) = (at(160.0), None);
    s.add(
        160.0,
        SourceWatermark {
            complete_until,
            history_start,
        },
    );
    let edit = Folder::new(FoldSettings::default()).apply(s.events.clone(), &NoHistory);
    let edit = edit.expect("no history");
    let ids: Vec<_> = edit.events.iter().map(|e| &e.event.event_id).collect();
    assert_eq!(
        ids,
        s.events.iter().map(|e| &e.event_id).collect::<Vec<_>>()
    );
    let names: Vec<&str> = edit.events.iter().map(|e| e.entity.as_str()).collect();
    assert!(
        names[..9].iter().all(|name| *name == "interaction:c1"),
        "{names:?}"
    );
    assert_eq!(names[9], "watermark:pbx");
}

#[test]
fn a_late_event_brings_its_evicted_entity_back() {
    let mut s = Scene::call("c1", "billing");
    s.started(400.0, "c2");
    s.add(500.0, survey_answer());
    let expected = facts(&fold_all(s.events.clone()));
    let late = s.events.pop().expect("the survey");
    let store = fold_batches(&forgetful(), vec![s.events.clone(), vec![late]]);
    assert_same("late survey", &expected, &store.facts);
    assert_eq!(*store.loads.borrow(), 1);
}

#[test]
fn an_event_that_ties_two_stored_entities_together_loads_both() {
    let mut s = Scene::call("c1", "billing");
    s.started(300.0, "c2");
    s.entered(310.0, "q9", "c2", "sales");
    s.started(900.0, "c3");
    let tie = event(
        "tie",
        950.0,
        InteractionStarted {
            parent_id: Some("c1".into()),
            root_id: Some("c2".into()),
            ..match &s.events[0].data {
                EventData::InteractionStarted(d) => InteractionStarted {
                    interaction_id: "c4".into(),
                    is_test: Some(true),
                    ..d.clone()
                },
                _ => unreachable!("the scene starts with its contact"),
            }
        },
    );
    let mut all = s.events.clone();
    all.push(tie.clone());
    let one_by_one: Vec<_> = all.iter().map(|e| vec![e.clone()]).collect();
    let expected = facts(&fold_all(all));
    for settings in [FoldSettings::default(), forgetful()] {
        let store = fold_batches(&settings, vec![s.events.clone(), vec![tie.clone()]]);
        assert_same("tied", &expected, &store.facts);
        let store = fold_batches(&settings, one_by_one.clone());
        assert_same("tied, one by one", &expected, &store.facts);
    }
}

#[test]
fn a_restored_folder_goes_on_where_the_other_stopped() {
    let mut s = Scene::call("c1", "billing");
    s.add(
        0.0,
        AgentSessionStarted {
            session_id: "s1".into(),
            agent_id: "a1".into(),
        },
    );
    s.add(
        170.0,
        AgentSessionEnded {
            session_id: "s1".into(),
            agent_id: "a1".into(),
        },
    );
    s.add(200.0, survey_answer());
    s.started(20.0 * 3_600.0, "c2");
    let expected = facts(&fold_all(s.events.clone()));
    for settings in [FoldSettings::default(), forgetful()] {
        let mut store = MemoryStore::default();
        let mut checkpoint: Vec<Event> = Vec::new();
        for event in &s.events {
            let mut folder = Folder::restore(settings.clone(), checkpoint);
            let edit = folder
                .apply(vec![event.clone()], &store)
                .expect("the store cannot fail");
            store.commit(&edit);
            checkpoint = folder.checkpoint().cloned().collect();
        }
        assert_same("restored after every event", &expected, &store.facts);
    }
}

#[test]
fn the_checkpoint_holds_what_is_pending_and_not_what_is_over() {
    let mut s = Scene::call("c1", "billing");
    s.started(500.0, "c2");
    s.connected(501.0, "l2", "c2", "a2").initiation = Initiation::Direct;
    let mut folder = Folder::new(FoldSettings::default());
    folder
        .apply(s.events.clone(), &NoHistory)
        .expect("no history");
    let ids: Vec<_> = folder.checkpoint().map(|e| e.occurred_at).collect();
    assert_eq!(ids, [at(500.0), at(501.0)]);
    assert_eq!(folder.kept_events(), s.events.len());
}

#[test]
fn closed_entities_leave_memory_after_their_time_and_when_there_are_too_many() {
    let settings = FoldSettings {
        keep_closed_ms: 3_600_000,
        ..FoldSettings::default()
    };
    let mut folder = Folder::new(settings);
    folder
        .apply(Scene::call("c1", "billing").events, &NoHistory)
        .expect("no history");
    let mut s = Scene::new();
    s.started(2.0 * 3_600.0, "c2");
    folder.apply(s.events, &NoHistory).expect("no history");
    assert_eq!(folder.kept_events(), 1);

    let settings = FoldSettings {
        max_kept_events: 40,
        ..FoldSettings::default()
    };
    let mut folder = Folder::new(settings);
    for number in 0..100 {
        let mut call = Scene::call("c1", "billing");
        for event in &mut call.events {
            event.event_id = format!("{number}.{}", event.event_id).into();
            rename(&mut event.data, number);
        }
        folder.apply(call.events, &NoHistory).expect("no history");
        assert!(folder.kept_events() <= 40);
    }
}

/// Gives a call ids of its own.
fn rename(data: &mut EventData, number: usize) {
    let id = |name: &str| Text::from(format!("{name}.{number}"));
    match data {
        EventData::InteractionStarted(d) => d.interaction_id = id("c"),
        EventData::QueueEntered(d) => (d.interaction_id, d.visit_id) = (id("c"), id("q")),
        EventData::OfferStarted(d) => d.visit_id = id("q"),
        EventData::OfferEnded(d) => d.visit_id = id("q"),
        EventData::QueueLeft(d) => (d.visit_id, d.leg_id) = (id("q"), Some(id("l"))),
        EventData::LegConnected(d) => {
            (d.interaction_id, d.leg_id, d.visit_id) = (id("c"), id("l"), Some(id("q")));
        }
        EventData::LegDisconnected(d) => d.leg_id = id("l"),
        EventData::AcwStarted(d) => d.leg_id = id("l"),
        EventData::AcwEnded(d) => d.leg_id = id("l"),
        other => unreachable!("not in a call: {other:?}"),
    }
}

#[test]
fn a_profile_that_comes_late_changes_the_rows_in_memory() {
    let mut s = Scene::call("c1", "billing");
    let profile = AgentProfileChanged {
        agent_id: "a1".into(),
        effective_from: at(0.0),
        team_id: Some("t1".into()),
        site_id: None,
        supervisor_id: None,
        skills: None,
        skills_required: None,
        fte: None,
    };
    s.add(170.0, profile);
    let expected = facts(&fold_all(s.events.clone()));
    let late = s.events.pop().expect("the profile");
    let store = fold_batches(&FoldSettings::default(), vec![s.events, vec![late]]);
    assert_same("late profile", &expected, &store.facts);
}

#[test]
fn the_past_of_an_agent_leaves_memory_and_a_late_event_brings_it_back() {
    let mut s = Scene::new();
    for day in 0..10 {
        let from = f64::from(day) * 86_400.0;
        let session_id: Text = format!("s{day}").into();
        let agent_id = || Text::from("a1");
        s.add(
            from,
            AgentSessionStarted {
                session_id: session_id.clone(),
                agent_id: agent_id(),
            },
        );
        s.add(
            from + 28_800.0,
            AgentSessionEnded {
                session_id,
                agent_id: agent_id(),
            },
        );
    }
    let agent_id = "a1".into();
    let (state, reason, productive, paid) = (AgentState::Break, None, None, None);
    s.add(
        90_000.0,
        AgentStateChanged {
            agent_id,
            state,
            reason,
            routable: false,
            productive,
            paid,
        },
    );
    let expected = facts(&fold_all(s.events.clone()));
    let late = s.events.pop().expect("the break");
    let mut store = MemoryStore::default();
    let mut folder = Folder::new(FoldSettings::default());
    for event in s.events {
        let edit = folder
            .apply(vec![event], &store)
            .expect("the store cannot fail");
        store.commit(&edit);
    }
    assert!(
        folder.kept_events() <= 8,
        "two days and the current session"
    );
    assert!(folder.checkpoint().count() <= 2);
    assert_eq!(*store.loads.borrow(), 0);
    let edit = folder
        .apply(vec![late], &store)
        .expect("the store cannot fail");
    store.commit(&edit);
    assert_same("late break", &expected, &store.facts);
}

/// What a store has let go must not be restated: it would not find the row that goes.
#[test]
fn what_is_forgotten_stands_alone_when_something_new_comes_for_it() {
    let scene = Scene::call("c1", "billing");
    let link = event_links(&scene.events[0]).next().expect("a link");
    let late = |s: &mut Scene| {
        let codes = vec!["refund".into()];
        let (leg_id, resolved) = ("l1".into(), None);
        s.add(
            500.0,
            DispositionSet {
                leg_id,
                codes,
                resolved,
            },
        );
        s.events.pop().expect("the code")
    };
    for forgotten in [false, true] {
        let mut folder = Folder::new(FoldSettings::default());
        let mut s = Scene::call("c1", "billing");
        // Later, so that nothing of the first is awaited any more.
        let mut other = Scene::new();
        other.started(100_000.0, "c2");
        for events in [s.events.clone(), other.events] {
            folder.apply(events, &NoHistory).expect("no history");
        }
        let kept = folder.kept_events();
        folder.forget(|other| forgotten && other == link);
        assert_eq!(folder.kept_events() < kept, forgotten);
        let edit = folder.apply(vec![late(&mut s)], &NoHistory);
        let edit = edit.expect("no history");
        assert_eq!(edit.removed.is_empty(), forgotten, "{edit:?}");
    }
}

/// A time of receipt that had to be moved is the folder's; who shares the event sees it as it was.
#[test]
fn a_shared_event_is_folded_as_an_owned_one_and_stays_as_it_was() {
    let mut s = Scene::call("c1", "billing");
    let first = s.events[0].event_id.clone();
    for seconds in [300.0, 301.0] {
        s.started(seconds, "c1");
        s.correcting(&first, CorrectionOp::Retract);
    }
    let shared: Vec<Arc<Event>> = s.events.iter().cloned().map(Arc::new).collect();
    let mut folder = Folder::new(FoldSettings::default());
    let of_shared = folder.apply(shared.clone(), &NoHistory);
    let of_shared = of_shared.expect("no history");
    let mut folder = Folder::new(FoldSettings::default());
    let of_owned = folder.apply(s.events.clone(), &NoHistory);
    let of_owned = of_owned.expect("no history");
    assert_eq!(of_shared.events, of_owned.events);
    assert_same("shared", &facts(&of_owned.added), &facts(&of_shared.added));
    let received = |at: usize| of_shared.events[at].event.recorded_at;
    let last = s.events.len() - 1;
    assert!(received(last) > received(last - 1));
    assert!(shared.iter().map(|e| &**e).eq(&s.events));
}

#[test]
fn tenants_do_not_share_entities() {
    let mut s = Scene::call("c1", "billing");
    let mut other = Scene::call("c1", "sales").events;
    other.iter_mut().for_each(|e| e.tenant_id = "acme".into());
    s.events.extend(other);
    let rows = fold_all(s.events);
    assert_eq!((rows.Interaction.len(), rows.QueueVisit.len()), (2, 2));
}

#[test]
fn history_that_cannot_be_read_is_an_error() {
    struct Broken;
    impl History for Broken {
        fn may_know(&self, _link: u64) -> bool {
            true
        }
        fn load(&self, _links: &[u64]) -> Result<Vec<Event>, HistoryError> {
            Err(HistoryError::new("disk gone"))
        }
    }
    let mut folder = Folder::new(FoldSettings::default());
    let error = folder
        .apply(Scene::call("c1", "billing").events, &Broken)
        .expect_err("broken");
    assert_eq!(
        error.to_string(),
        "earlier events cannot be read: disk gone"
    );
}

#[test]
fn every_event_has_a_link_and_its_text_form_names_kind_and_id() {
    let s = Scene::call("c1", "billing");
    let text: Vec<String> = s
        .events
        .iter()
        .map(|e| links(e).as_slice()[0].to_string())
        .collect();
    assert_eq!(text[0], "interaction:c1");
    assert_eq!(text[2], "visit:q1");
    assert_eq!(text[7], "leg:l1");
    assert_eq!(links(&s.events[5]).into_iter().count(), 3);
}
