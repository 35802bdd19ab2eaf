//! Scenes: short scripts of events. Times are seconds after 2026-03-02T01:00:00Z.

use events::*;
use facts::{
    Callback, Cost, FactRows, FoldSettings, Interaction, Leg, Order, QueueVisit, Survey, fold_all,
};

use crate::memory::{assert_same, facts, fold_batches};

/// 2026-03-02T01:00:00Z.
pub const START: UtcMicros = UtcMicros(1_772_413_200_000_000);

pub fn at(seconds: f64) -> UtcMicros {
    UtcMicros(START.0 + (seconds * 1e6).round() as i64)
}

pub fn event(id: &str, seconds: f64, data: impl Into<EventData>) -> Event {
    Event {
        tenant_id: DEFAULT_TENANT.into(),
        source: "pbx".into(),
        event_id: id.into(),
        source_seq: None,
        schema_version: 1,
        occurred_at: at(seconds),
        recorded_at: at(1_000_000.0),
        correction: None,
        data: data.into(),
        attributes: Attributes::new(),
    }
}

/// A script of events.
#[derive(Clone, Default)]
pub struct Scene {
    pub events: Vec<Event>,
    made: usize,
}

impl Scene {
    pub fn new() -> Self {
        Scene::default()
    }

    /// Adds an event; returns it for changes.
    pub fn add(&mut self, seconds: f64, data: impl Into<EventData>) -> &mut Event {
        let id = format!("e{:06}", self.made);
        self.made += 1;
        self.events.push(event(&id, seconds, data));
        self.events.last_mut().expect("just added")
    }

    pub fn started(&mut self, s: f64, id: &str) -> &mut InteractionStarted {
        self.started_on(s, id, Channel::Voice)
    }

    pub fn started_on(&mut self, s: f64, id: &str, channel: Channel) -> &mut InteractionStarted {
        let data = InteractionStarted {
            interaction_id: id.into(),
            root_id: None,
            parent_id: None,
            thread_id: None,
            customer_id: Some("cu1".into()),
            identity: None,
            channel,
            direction: Direction::Inbound,
            purpose: Some(Purpose::Service),
            entry_point: None,
            language: None,
            is_test: None,
        };
        match &mut self.add(s, data).data {
            EventData::InteractionStarted(d) => d,
            _ => unreachable!("just made"),
        }
    }

    pub fn ended(&mut self, s: f64, id: &str, by: EndedBy) {
        let ended_by = by;
        self.add(
            s,
            InteractionEnded {
                interaction_id: id.into(),
                ended_by,
                end_reason: None,
            },
        );
    }

    pub fn entered(&mut self, s: f64, visit: &str, id: &str, queue: &str) -> &mut QueueEntered {
        let data = QueueEntered {
            visit_id: visit.into(),
            interaction_id: id.into(),
            queue_id: queue.into(),
            visit_kind: VisitKind::Customer,
            priority: None,
            required_skills: None,
            via: None,
        };
        match &mut self.add(s, data).data {
            EventData::QueueEntered(d) => d,
            _ => unreachable!("just made"),
        }
    }

    pub fn offered(&mut self, from: f64, to: f64, visit: &str, agent: &str, out: OfferOutcome) {
        let offer_id: Text = format!("{visit}.{agent}.{from}").into();
        let (visit_id, agent_id): (Text, Text) = (visit.into(), agent.into());
        self.add(
            from,
            OfferStarted {
                offer_id: offer_id.clone(),
                visit_id: visit_id.clone(),
                agent_id: agent_id.clone(),
            },
        );
        self.add(
            to,
            OfferEnded {
                offer_id,
                visit_id,
                agent_id,
                outcome: out,
            },
        );
    }

    pub fn left(&mut self, s: f64, visit: &str, reason: LeaveReason) -> &mut QueueLeft {
        let data = QueueLeft {
            visit_id: visit.into(),
            reason,
            agent_id: None,
            leg_id: None,
            to_queue_id: None,
            wait_known: None,
        };
        match &mut self.add(s, data).data {
            EventData::QueueLeft(d) => d,
            _ => unreachable!("just made"),
        }
    }

    pub fn connected(&mut self, s: f64, leg: &str, id: &str, agent: &str) -> &mut LegConnected {
        let data = LegConnected {
            leg_id: leg.into(),
            interaction_id: id.into(),
            agent_id: agent.into(),
            visit_id: None,
            role: Role::Primary,
            initiation: Initiation::Queue,
            dial_ms: None,
        };
        match &mut self.add(s, data).data {
            EventData::LegConnected(d) => d,
            _ => unreachable!("just made"),
        }
    }

    pub fn disconnected(&mut self, s: f64, leg: &str) -> &mut LegDisconnected {
        let data = LegDisconnected {
            leg_id: leg.into(),
            talk_ms: None,
            hold_ms: None,
        };
        match &mut self.add(s, data).data {
            EventData::LegDisconnected(d) => d,
            _ => unreachable!("just made"),
        }
    }

    pub fn hold(&mut self, from: f64, to: f64, leg: &str) {
        self.add(from, HoldStarted { leg_id: leg.into() });
        self.add(to, HoldEnded { leg_id: leg.into() });
    }

    pub fn acw(&mut self, from: f64, to: f64, leg: &str) {
        self.add(from, AcwStarted { leg_id: leg.into() });
        self.add(
            to,
            AcwEnded {
                leg_id: leg.into(),
                acw_ms: None,
            },
        );
    }

    pub fn transferred(
        &mut self,
        s: f64,
        leg: &str,
        kind: TransferKind,
        to: (TransferTarget, &str),
    ) -> &mut TransferCompleted {
        let data = TransferCompleted {
            transfer_id: format!("t.{leg}.{s}").into(),
            from_leg_id: leg.into(),
            kind,
            to_kind: to.0,
            to_id: to.1.into(),
            to_leg_id: None,
            reason: None,
        };
        match &mut self.add(s, data).data {
            EventData::TransferCompleted(d) => d,
            _ => unreachable!("just made"),
        }
    }

    /// A call through one queue: entered at 10, answered at 30 after ringing from 25 by agent a1
    /// (leg l1), over at 130, after-call work until 160.
    pub fn call(id: &str, queue: &str) -> Self {
        let mut s = Scene::new();
        s.started(0.0, id);
        s.entered(10.0, "q1", id, queue);
        s.offered(25.0, 30.0, "q1", "a1", OfferOutcome::Accepted);
        s.left(30.0, "q1", LeaveReason::Answered).leg_id = Some("l1".into());
        s.connected(30.0, "l1", id, "a1").visit_id = Some("q1".into());
        s.disconnected(130.0, "l1");
        s.acw(130.0, 160.0, "l1");
        s
    }

    /// A message in a written contact.
    pub fn message(&mut self, s: f64, id: &str, actor: Actor) {
        let message_id = format!("m{}", self.made).into();
        self.add(
            s,
            MessageSent {
                message_id,
                interaction_id: Some(id.into()),
                case_id: None,
                actor,
                actor_id: None,
                public: true,
            },
        );
    }

    /// Makes the last event a correction of the one before it with this id.
    pub fn correcting(&mut self, of: &str, op: CorrectionOp) {
        let event = self
            .events
            .last_mut()
            .expect("an event to make a correction");
        event.correction = Some(Correction { of: of.into(), op });
    }

    /// The facts, after checking that order, batches and repeats change nothing.
    pub fn fold(&self) -> FactRows {
        let rows = fold_all(self.events.clone());
        let expected = facts(&rows);
        let forgetful = FoldSettings {
            keep_closed_ms: 0,
            max_kept_events: 0,
            ..Default::default()
        };
        let reversed: Vec<Event> = self.events.iter().rev().cloned().collect();
        let twice: Vec<Event> = self.events.iter().chain(&reversed).cloned().collect();
        let one_by_one = |events: &[Event]| events.iter().map(|e| vec![e.clone()]).collect();
        let ways: [(&str, Vec<Vec<Event>>); 4] = [
            ("reversed", vec![reversed.clone()]),
            ("one by one", one_by_one(&self.events)),
            ("one by one, reversed", one_by_one(&reversed)),
            ("twice, one by one", one_by_one(&twice)),
        ];
        // Which of two corrections came last does depend on the order of arrival.
        let corrected = self
            .events
            .iter()
            .filter(|e| e.correction.is_some())
            .count()
            > 1;
        for (way, batches) in ways {
            if corrected && way != "one by one" {
                continue;
            }
            for settings in [FoldSettings::default(), forgetful.clone()] {
                let store = fold_batches(&settings, batches.clone());
                assert_same(way, &expected, &store.facts);
            }
        }
        rows
    }
}

/// The one row with this id.
macro_rules! find {
    ($name:ident, $table:ident, $key:ident) => {
        pub fn $name<'a>(rows: &'a FactRows, id: &str) -> &'a $table {
            let mut found = rows.$table.iter().filter(|row| row.$key == id);
            let row = found
                .next()
                .unwrap_or_else(|| panic!("no {} '{id}'", stringify!($table)));
            assert!(found.next().is_none(), "two rows '{id}'");
            row
        }
    };
}
find!(visit, QueueVisit, visit_id);
find!(leg, Leg, leg_id);
find!(interaction, Interaction, interaction_id);
find!(survey, Survey, survey_id);
find!(order, Order, order_id);
find!(cost_day, Cost, day);
find!(callback, Callback, callback_id);

/// The kinds of all issues, sorted.
pub fn issues(rows: &FactRows) -> Vec<&str> {
    let mut kinds: Vec<&str> = rows.Issue.iter().map(|issue| issue.kind.as_str()).collect();
    kinds.sort_unstable();
    kinds
}

/// `[waiting, answered, abandoned, flowed_out, blocked]`, of which exactly one must be set.
pub fn flags(visit: &QueueVisit) -> &'static str {
    let flags = [
        visit.waiting,
        visit.answered,
        visit.abandoned,
        visit.flowed_out,
        visit.blocked,
    ];
    assert_eq!(
        flags.iter().filter(|f| **f).count(),
        1,
        "exactly one flag: {visit:?}"
    );
    let names = ["waiting", "answered", "abandoned", "flowed_out", "blocked"];
    names[flags.iter().position(|f| *f).expect("one is set")]
}

/// The status of agent a1 changes; it is routable while it is available.
pub fn state(s: &mut Scene, seconds: f64, state: AgentState) {
    s.add(
        seconds,
        AgentStateChanged {
            agent_id: "a1".into(),
            state,
            reason: None,
            routable: state == AgentState::Available,
            productive: None,
            paid: None,
        },
    );
}
