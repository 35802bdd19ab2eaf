//! Random worlds: however events are shuffled, repeated, cut into batches, forgotten and restored,
//! the facts are the same; and a file with corrections gives the facts of the corrected file.
//!
//! `FACTS_SEED=n` runs one world, `FACTS_WORLDS=n` that many.

use std::env;

use events::*;
use facts::{FactRows, FoldSettings, Folder, fold_all};

use crate::{
    memory::{Facts, MemoryStore, assert_same, facts},
    random::Random,
    scene::*,
};

const WORLDS: u64 = 25;
const HOUR: f64 = 3_600.0;

fn seeds() -> Vec<u64> {
    let number = |name| {
        env::var(name)
            .ok()
            .and_then(|v: String| v.parse::<u64>().ok())
    };
    match number("FACTS_SEED") {
        Some(seed) => vec![seed],
        None => (1..=number("FACTS_WORLDS").unwrap_or(WORLDS)).collect(),
    }
}

/// A world of some contacts, agents, orders and costs, with all the faults that sources have.
struct World<'r> {
    random: &'r mut Random,
    scene: Scene,
}

fn world(random: &mut Random) -> Vec<Event> {
    let mut world = World {
        random,
        scene: Scene::new(),
    };
    let contacts = 1 + world.random.below(6);
    for number in 0..contacts {
        world.contact(number);
    }
    for number in 0..world.random.below(3) {
        world.agent(number);
    }
    for number in 0..world.random.below(3) {
        world.staff(number);
    }
    world.cost();
    world.alert();
    let end = world.random.below(80) as f64 * HOUR;
    world.scene.started(end, "the-last");
    for event in &mut world.scene.events {
        // Sources with whole seconds: many events at the same time.
        if world.random.chance(50) {
            event.occurred_at.0 -= event.occurred_at.0.rem_euclid(10_000_000);
        }
        if world.random.chance(30) {
            event.source_seq = Some(world.random.below(50));
        }
    }
    let lost = world.random.below(12);
    let mut random = Random::new(world.random.next());
    world
        .scene
        .events
        .retain(|e| is_profile(e) || !random.chance(lost));
    world.scene.events
}

/// A profile that contacts show.
fn is_profile(event: &Event) -> bool {
    match &event.data {
        EventData::AgentProfileChanged(profile) => profile.agent_id.starts_with('a'),
        _ => false,
    }
}

impl World<'_> {
    fn contact(&mut self, number: i64) {
        let id = format!("c{number}");
        let from = self.random.below(40) as f64 * 900.0;
        let channels = [
            Channel::Voice,
            Channel::Voice,
            Channel::Chat,
            Channel::Email,
        ];
        let channel = *self.random.pick(&channels);
        let parent = self.random.below(number + 1);
        let chained = self.random.chance(20);
        let is_test = self.random.chance(5).then_some(true);
        let started = self.scene.started_on(from, &id, channel);
        started.parent_id = chained.then(|| format!("c{parent}").into());
        started.is_test = is_test;
        let mut at = from;
        for visit in 0..self.random.below(4) {
            at = self.visit(&id, &format!("{id}.q{visit}"), at);
        }
        for _ in 0..self.random.below(6) {
            let actor = *self
                .random
                .pick(&[Actor::Agent, Actor::Customer, Actor::Bot]);
            let when = from + self.random.below(60) as f64 * HOUR / 2.0;
            self.scene.message(when, &id, actor);
        }
        for _ in 0..self.random.below(3) {
            let by = *self.random.pick(&[EndedBy::Customer, EndedBy::Agent]);
            let when = at + self.random.below(100) as f64 - 20.0;
            self.scene.ended(when, &id, by);
        }
        if self.random.chance(30) {
            self.survey(&id, at);
        }
        if self.random.chance(30) {
            self.order(&id, at);
        }
    }

    fn agent_id(&mut self) -> String {
        format!("a{}", self.random.below(3))
    }

    fn visit(&mut self, id: &str, visit: &str, from: f64) -> f64 {
        let queue = *self.random.pick(&["billing", "sales"]);
        self.scene.entered(from, visit, id, queue);
        let mut at = from;
        for _ in 0..self.random.below(3) {
            let agent = self.agent_id();
            let outcome = *self.random.pick(OfferOutcome::ALL);
            self.scene.offered(at, at + 5.0, visit, &agent, outcome);
            at += 5.0;
        }
        let reason = *self.random.pick(LeaveReason::ALL);
        at += self.random.below(200) as f64;
        for _ in 0..1 + self.random.below(6) / 5 {
            self.scene.left(at, visit, reason);
        }
        match reason {
            LeaveReason::Answered => self.leg(id, visit, at),
            LeaveReason::Callback | LeaveReason::Voicemail => self.callback(id, visit, at),
            _ => at,
        }
    }

    fn leg(&mut self, id: &str, visit: &str, from: f64) -> f64 {
        let leg = format!("{visit}.l");
        let agent = self.agent_id();
        let (named, role) = (self.random.chance(60), *self.random.pick(Role::ALL));
        let initiation = *self.random.pick(Initiation::ALL);
        let connected = self.scene.connected(from, &leg, id, &agent);
        connected.visit_id = named.then(|| visit.into());
        connected.role = role;
        connected.initiation = initiation;
        let mut at = from + self.random.below(400) as f64;
        if self.random.chance(40) {
            self.scene.hold(from + 5.0, at - 5.0, &leg);
        }
        if self.random.chance(20) {
            let to = (TransferTarget::Queue, "sales");
            let transfer = self.scene.transferred(at, &leg, TransferKind::Consult, to);
            transfer.to_leg_id = Some(format!("{id}.q1.l").into());
        }
        self.scene.disconnected(at, &leg);
        if self.random.chance(50) {
            self.scene.acw(at, at + 20.0, &leg);
            at += 20.0;
        }
        if self.random.chance(30) {
            let (leg_id, codes) = (leg.into(), vec!["done".into()]);
            self.scene.add(
                at,
                DispositionSet {
                    leg_id,
                    codes,
                    resolved: Some(true),
                },
            );
        }
        at
    }

    fn callback(&mut self, id: &str, visit: &str, from: f64) -> f64 {
        let callback_id: Text = format!("{visit}.cb").into();
        let (kind, queue_id) = (CallbackKind::Callback, Text::from("billing"));
        let (visit_id, interaction_id) = (Some(visit.into()), Some(id.into()));
        self.scene.add(
            from,
            CallbackRequested {
                callback_id: callback_id.clone(),
                kind,
                visit_id,
                interaction_id,
                queue_id: queue_id.clone(),
                scheduled_for: None,
            },
        );
        self.scene.add(
            from + 600.0,
            CallbackConnected {
                callback_id,
                kind,
                visit_id: None,
                interaction_id: None,
                queue_id,
                scheduled_for: None,
            },
        );
        from + 600.0
    }

    fn survey(&mut self, id: &str, from: f64) {
        let survey_id: Text = format!("{id}.s").into();
        let leg_id = self.random.chance(50).then(|| format!("{id}.q0.l").into());
        let (interaction_id, instrument) = (Some(id.into()), Instrument::Nps);
        let (case_id, agent_id) = (None, None);
        self.scene.add(
            from + 100.0,
            SurveySent {
                survey_id: survey_id.clone(),
                instrument,
                interaction_id,
                leg_id,
                case_id: None,
                agent_id: None,
            },
        );
        let when = from + self.random.below(50) as f64 * HOUR;
        let score = self.random.below(11);
        self.scene.add(
            when,
            SurveyAnswered {
                survey_id,
                instrument,
                interaction_id: None,
                leg_id: None,
                case_id,
                agent_id,
                score,
            },
        );
    }

    fn order(&mut self, id: &str, from: f64) {
        let order_id: Text = format!("{id}.o").into();
        let amount = Decimal(i128::from(self.random.below(1_000_000)));
        let line = OrderLine {
            line_id: "1".into(),
            sku: "x".into(),
            units: 2,
            value: Money {
                amount,
                currency: "CNY".into(),
            },
        };
        self.scene.add(
            from,
            OrderPlaced {
                order_id: order_id.clone(),
                customer_id: "cu1".into(),
                interaction_id: Some(id.into()),
                leg_id: Some(format!("{id}.q0.l").into()),
                agent_id: None,
                channel: None,
                lines: vec![line],
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
        let result = *self.random.pick(VerifyResult::ALL);
        self.scene.add(
            from + 60.0,
            OrderVerified {
                order_id: order_id.clone(),
                result,
            },
        );
        let (line_ids, reason, value) = (None, None, None);
        let when = from + self.random.below(70) as f64 * HOUR;
        self.scene.add(
            when,
            OrderShipped {
                order_id,
                line_ids,
                reason,
                value,
            },
        );
    }

    fn agent(&mut self, number: i64) {
        let agent_id: Text = format!("a{number}").into();
        for (from, team) in [(-5.0, "t1"), (10.0, "t2")] {
            self.scene.add(
                -10.0,
                AgentProfileChanged {
                    agent_id: agent_id.clone(),
                    effective_from: at(from * HOUR),
                    team_id: Some(team.into()),
                    site_id: None,
                    supervisor_id: None,
                    skills: None,
                    skills_required: None,
                    fte: None,
                },
            );
        }
        let mut at = 0.0;
        for session in 0..self.random.below(5) {
            at += self.random.below(20) as f64 * HOUR;
            let session_id: Text = format!("{agent_id}.{session}").into();
            let agent = || agent_id.clone();
            let start = AgentSessionStarted {
                session_id: session_id.clone(),
                agent_id: agent(),
            };
            self.scene.add(at, start);
            for _ in 0..self.random.below(4) {
                at += self.random.below(3) as f64 * HOUR;
                let state = *self.random.pick(AgentState::ALL);
                let (agent_id, routable) = (agent(), state == AgentState::Available);
                let (reason, productive, paid) = (None, None, None);
                self.scene.add(
                    at,
                    AgentStateChanged {
                        agent_id,
                        state,
                        reason,
                        routable,
                        productive,
                        paid,
                    },
                );
            }
            at += self.random.below(3) as f64 * HOUR;
            self.scene.add(
                at,
                AgentSessionEnded {
                    session_id,
                    agent_id: agent(),
                },
            );
        }
    }

    /// People of whom only the office tells: hired, moved, gone, and hired again.
    fn staff(&mut self, number: i64) {
        let agent_id: Text = format!("s{number}").into();
        for _ in 0..self.random.below(8) {
            let when = self.random.below(60) as f64 * HOUR;
            let effective_on =
                Date((START.0 / 86_400_000_000) as i32 + self.random.below(6) as i32);
            let agent_id = agent_id.clone();
            match self.random.below(4) {
                0 => self.scene.add(
                    when,
                    AgentHired {
                        agent_id,
                        effective_on,
                        voluntary: None,
                    },
                ),
                1 => self.scene.add(
                    when,
                    AgentLeft {
                        agent_id,
                        effective_on,
                        voluntary: self.random.chance(50).then_some(true),
                    },
                ),
                _ => self.scene.add(
                    when,
                    AgentProfileChanged {
                        agent_id,
                        effective_from: at(self.random.below(100) as f64 * HOUR),
                        team_id: self.random.chance(50).then(|| "t1".into()),
                        site_id: None,
                        supervisor_id: None,
                        skills: self.random.chance(50).then(|| vec!["billing".into()]),
                        skills_required: None,
                        fte: Some(Decimal(Decimal::ONE)),
                    },
                ),
            };
        }
    }

    fn alert(&mut self) {
        let mut when = 0.0;
        for _ in 0..self.random.below(8) {
            when += self.random.below(40) as f64 * 900.0;
            let alert_id: Text = format!("al{}", self.random.below(2)).into();
            if self.random.chance(25) {
                let acknowledged_by = format!("s{}", self.random.below(3)).into();
                let note = self.random.chance(50).then(|| "seen".into());
                self.scene.add(
                    when,
                    AlertAcknowledged {
                        alert_id,
                        acknowledged_by,
                        note,
                    },
                );
                continue;
            }
            let data = AlertChanged {
                alert_id,
                rule_id: "r".into(),
                figure: "waiting".into(),
                scope: "t".into(),
                queue_id: None,
                state: *self.random.pick(AlertState::ALL),
                value: Some(Decimal(i128::from(self.random.below(50)) * Decimal::ONE)),
                peak: None,
                n: None,
                rearmed: self.random.chance(20).then_some(true),
            };
            self.scene.add(when, data);
        }
    }

    fn cost(&mut self) {
        self.scene.add(
            5.0,
            CostPosted {
                cost_id: "k1".into(),
                pool: CostPool::Labour,
                purpose: CostPurpose::Service,
                period_start: at(0.0),
                period_end: at(self.random.below(100) as f64 * HOUR),
                zone: "Asia/Shanghai".into(),
                amount: Money {
                    amount: Decimal(i128::from(self.random.below(9_999_999))),
                    currency: "CNY".into(),
                },
                site_id: None,
                queue_id: None,
                channel: None,
                campaign: None,
                allocate_by: AllocateBy::None,
            },
        );
    }
}

/// Folds the events in random batches by a folder that forgets and dies at random.
fn fold_somehow(events: &[Event], random: &mut Random) -> Facts {
    let keep_hours = *random.pick(&[0, 0, 1, 48]);
    let settings = FoldSettings {
        keep_closed_ms: keep_hours * 3_600_000,
        max_kept_events: *random.pick(&[0, 20, 200_000]),
        ..FoldSettings::default()
    };
    let deaths = *random.pick(&[0, 0, 30]);
    let mut store = MemoryStore::default();
    let mut folder = Folder::new(settings.clone());
    // Profiles that come late change rows in memory only: here they come first.
    let (mut batch, mut rest): (Vec<Event>, Vec<Event>) =
        events.iter().cloned().partition(is_profile);
    while !batch.is_empty() || !rest.is_empty() {
        let edit = folder
            .apply(batch, &store)
            .expect("the store in memory cannot fail");
        store.commit(&edit);
        if random.chance(deaths) {
            let checkpoint: Vec<Event> = folder.checkpoint().cloned().collect();
            folder = Folder::restore(settings.clone(), checkpoint);
        }
        let parts = 1 + random.below(12);
        let size = 1 + random.below(rest.len() as i64 * 2 / parts + 2);
        let size = (size as usize).min(rest.len());
        batch = rest.drain(..size).collect();
    }
    store.facts
}

/// Repeats some events.
fn repeated(events: &[Event], random: &mut Random) -> Vec<Event> {
    let mut events = events.to_vec();
    for _ in 0..random.below(1 + events.len() as i64 / 4) {
        events.push(events[random.below(events.len() as i64) as usize].clone());
    }
    events
}

#[test]
fn order_repeats_batches_memory_and_crashes_change_no_fact() {
    for seed in seeds() {
        println!("seed {seed}");
        let mut random = Random::new(seed);
        let events = world(&mut random);
        let expected = facts(&fold_all(events.clone()));
        for round in 0..6 {
            let mut shuffled = repeated(&events, &mut random);
            if round > 0 {
                random.shuffle(&mut shuffled);
            }
            let found = fold_somehow(&shuffled, &mut random);
            assert_same(&format!("seed {seed}, round {round}"), &expected, &found);
        }
    }
}

/// Corrects some events of a file: the corrections, and the file as it should have been.
fn corrections(events: &[Event], random: &mut Random) -> (Vec<Event>, Vec<Event>) {
    let (mut added, mut corrected) = (Vec::new(), Vec::new());
    for event in events {
        let mut now = Some(event.clone());
        let mut of = event.event_id.clone();
        for step in 0..(if random.chance(25) {
            1 + random.below(3)
        } else {
            0
        }) {
            let op = if random.chance(70) {
                CorrectionOp::Replace
            } else {
                CorrectionOp::Retract
            };
            let mut correction = event.clone();
            correction.event_id = format!("{}.k{step}", event.event_id).into();
            correction.correction = Some(Correction { of: of.clone(), op });
            correction.occurred_at.0 += random.below(60) * 1_000_000;
            correction.source_seq = Some(1_000_000 + random.below(100));
            of = correction.event_id.clone();
            // Taking back a correction gives back what it corrected: tested by itself.
            let taken_back = op == CorrectionOp::Retract;
            if taken_back && step > 0 {
                break;
            }
            now = (!taken_back).then(|| Event {
                occurred_at: correction.occurred_at,
                source_seq: event.source_seq.or(correction.source_seq),
                ..event.clone()
            });
            added.push(correction);
        }
        corrected.extend(now);
    }
    (added, corrected)
}

#[test]
fn a_file_with_its_corrections_gives_the_facts_of_the_corrected_file() {
    for seed in seeds() {
        println!("seed {seed}");
        let mut random = Random::new(seed ^ 0xc0ffee);
        let mut events = world(&mut random);
        let (added, mut corrected) = corrections(&events, &mut random);
        // The same newest time in both, so that both give up the same things.
        let mut last = Scene::new();
        last.started(200.0 * HOUR, "after-all").customer_id = None;
        last.events[0].event_id = "after-all".into();
        corrected.extend(last.events.clone());
        events.extend(last.events);
        events.extend(added);
        let expected = facts(&fold_all(corrected));
        for round in 0..4 {
            let mut shuffled = events.clone();
            if round > 0 {
                random.shuffle(&mut shuffled);
            }
            let found = fold_somehow(&shuffled, &mut random);
            let found = with_first_ids(found);
            assert_same(&format!("seed {seed}, round {round}"), &expected, &found);
        }
    }
}

/// An issue names the event it found, which may be a correction: here the corrected one.
fn with_first_ids(facts: Facts) -> Facts {
    let first = |text: String| match text.split_once(".k") {
        Some((id, rest)) if text.starts_with("detail=") => {
            format!(
                "{id}{}",
                rest.trim_start_matches(|c: char| c.is_ascii_digit())
            )
        }
        _ => text,
    };
    let rows = facts.into_iter().map(|((table, key), row)| {
        let key = key.into_iter().map(first).collect();
        ((table, key), row.into_iter().map(first).collect())
    });
    rows.collect()
}

#[test]
fn what_must_hold_in_every_world_holds() {
    for seed in seeds() {
        println!("seed {seed}");
        let rows: FactRows = fold_all(world(&mut Random::new(seed)));
        for v in &rows.QueueVisit {
            flags(v);
            assert!(
                v.wait_ms
                    .is_none_or(|ms| v.blocked || (0..=ms).contains(&v.ring_ms)),
                "{v:?}"
            );
            assert!(v.offers_missed <= v.offers);
        }
        for l in &rows.Leg {
            assert_eq!(l.handle_ms, l.dial_ms + l.talk_ms + l.hold_ms + l.acw_ms);
            assert!(l.talk_ms >= 0 && l.hold_ms >= 0 && l.acw_ms >= 0, "{l:?}");
        }
        for a in &rows.Alert {
            let lasted = a.ended_at.unwrap_or(a.changed_at).ms_since(a.started_at);
            let known = a.warn_ms + a.critical_ms + a.unknown_ms;
            assert!((0..=lasted).contains(&known), "{a:?}");
            assert_eq!(a.ended_at.is_some(), a.state == "ok", "{a:?}");
            assert!(!a.acknowledged || a.acknowledged_at.is_some(), "{a:?}");
        }
        for i in &rows.Interaction {
            let visits = rows
                .QueueVisit
                .iter()
                .filter(|v| v.interaction_id == i.interaction_id);
            assert_eq!(
                visits.filter(|v| v.visit_kind != "internal").count() as i64,
                i.queue_visits
            );
            assert!(!(i.handled && i.abandoned));
        }
        let mut agents = rows.Agent.iter().collect::<Vec<_>>();
        agents.sort_by_key(|a| (&a.agent_id, a.valid_from));
        for pair in agents.windows(2) {
            let next = (pair[0].agent_id == pair[1].agent_id).then_some(pair[1].valid_from);
            assert_eq!(pair[0].valid_to, next, "{pair:?}");
        }
    }
}
