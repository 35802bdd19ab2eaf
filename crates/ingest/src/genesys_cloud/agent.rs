//! Sessions of agents: offers, legs with their holds, after-call work, transfers.

use events::{
    AcwEnded, AcwStarted, Direction, DispositionSet, HoldEnded, HoldStarted, Initiation,
    LegConnected, LegDisconnected, OfferEnded, OfferOutcome, OfferStarted, Role, Text,
    TransferCompleted, TransferKind, TransferTarget, UtcMicros,
};

use super::{
    Conversation, is_transfer,
    queue::Answers,
    session::{Purpose, Segment, Session},
};
use crate::records::Emit;

/// The events of all agents.
pub(super) fn tell(conversation: &Conversation<'_>, answers: &Answers<'_>, emit: &mut Emit<'_>) {
    for session in conversation.of(Purpose::Agent) {
        let Some(agent) = session.user_id.filter(|_| !conversation.is_placed(session)) else {
            continue;
        };
        let part = Part {
            conversation,
            session,
            agent,
            visit: answers.answered.get(session.id).copied(),
        };
        if let Some(visit) = answers.offered.get(session.id) {
            part.offers(visit, emit);
        }
        if let Some(at) = session.connected() {
            part.leg(at, emit);
        }
    }
}

/// The part of one agent in a conversation.
#[derive(Debug)]
struct Part<'c, 'a> {
    conversation: &'c Conversation<'a>,
    session: &'c Session<'a>,
    agent: &'a str,
    visit: Option<&'a str>,
}

impl Part<'_, '_> {
    fn leg_id(&self) -> Text {
        Text::new(self.session.id)
    }

    fn offers(&self, visit: &str, emit: &mut Emit<'_>) {
        for (number, alert) in self.session.of_kind(&["alert"]).enumerate() {
            let number = number + 1;
            let offer_id = Text::from(format!("{}/{number}", self.session.id));
            let started = OfferStarted {
                offer_id: offer_id.clone(),
                visit_id: Text::new(visit),
                agent_id: Text::new(self.agent),
            };
            let what = format!("ring.{number}");
            emit.push(alert.start, (self.session.id, &what), started);
            let Some(end) = alert.end else { continue };
            let ended = OfferEnded {
                offer_id,
                visit_id: Text::new(visit),
                agent_id: Text::new(self.agent),
                outcome: self.outcome(alert, end),
            };
            let what = format!("rung.{number}");
            emit.push(end, (self.session.id, &what), ended);
        }
    }

    fn outcome(&self, alert: &Segment<'_>, end: UtcMicros) -> OfferOutcome {
        let taken = self.session.connected().is_some_and(|at| at >= end);
        match alert.how_ended {
            _ if taken => OfferOutcome::Accepted,
            Some("client" | "endpoint" | "dndEndpoint" | "dndTransfer") => OfferOutcome::Rejected,
            Some("peer") => OfferOutcome::CallerGone,
            Some("system" | "error" | "transportFailure") => OfferOutcome::Rescinded,
            _ => OfferOutcome::NoAnswer,
        }
    }

    fn leg(&self, at: UtcMicros, emit: &mut Emit<'_>) {
        let dialling = self.session.of_kind(&["dialing", "contacting"]);
        let dialled = dialling.filter_map(|s| Some(s.end?.ms_since(s.start)));
        let dial_ms: i64 = dialled.sum();
        let connected = LegConnected {
            leg_id: self.leg_id(),
            interaction_id: Text::new(self.conversation.id),
            agent_id: Text::new(self.agent),
            visit_id: self.visit.map(Text::new),
            role: match self.session.monitors {
                true => Role::Monitor,
                false => Role::Primary,
            },
            initiation: self.initiation(),
            dial_ms: (dial_ms > 0).then_some(dial_ms),
        };
        emit.push(at, (self.session.id, "on"), connected);
        self.holds(emit);
        if let Some(at) = self.session.hung_up() {
            let disconnected = LegDisconnected {
                leg_id: self.leg_id(),
                talk_ms: None,
                hold_ms: None,
            };
            emit.push(at, (self.session.id, "off"), disconnected);
            if self.session.how_ended().is_some_and(is_transfer) {
                self.transfer(at, emit);
            }
        }
        self.wrap_up(emit);
    }

    fn initiation(&self) -> Initiation {
        match (self.visit, self.session.direction) {
            _ if self.session.is_callback => Initiation::Callback,
            (Some(_), _) => Initiation::Queue,
            (None, Some(Direction::Outbound)) => Initiation::Outbound,
            (None, _) => Initiation::Direct,
        }
    }

    fn holds(&self, emit: &mut Emit<'_>) {
        for (number, hold) in self.session.of_kind(&["hold"]).enumerate() {
            let leg_id = self.leg_id();
            let what = format!("hold.{}", number + 1);
            emit.push(hold.start, (self.session.id, &what), HoldStarted { leg_id });
            if let Some(end) = hold.end {
                let leg_id = self.leg_id();
                let what = format!("held.{}", number + 1);
                emit.push(end, (self.session.id, &what), HoldEnded { leg_id });
            }
        }
    }

    /// The wrap-up after a callback may stand in the call that was placed out of it.
    fn wraps(&self) -> Vec<&Segment<'_>> {
        let own: Vec<&Segment<'_>> = self.session.of_kind(&["wrapup"]).collect();
        if !own.is_empty() || !self.session.is_callback {
            return own;
        }
        let calls = self.conversation.placed_from(self.session);
        calls.flat_map(|call| call.of_kind(&["wrapup"])).collect()
    }

    /// Some details say that the wrap-up began, or was over, while the two sides were connected:
    /// work counts as after-call work from the end of the call on.
    fn wrap_up(&self, emit: &mut Emit<'_>) {
        let wraps = self.wraps();
        let Some(first) = wraps.first() else { return };
        let hung_up = self.session.hung_up().unwrap_or(first.start);
        let leg_id = self.leg_id();
        let start = first.start.max(hung_up);
        emit.push(start, (self.session.id, "acw.in"), AcwStarted { leg_id });
        let ends: Option<Vec<_>> = wraps.iter().map(|wrap| wrap.end).collect();
        let Some(end) = ends.and_then(|ends| ends.into_iter().max()) else {
            return;
        };
        let end = end.max(start);
        let ended = AcwEnded {
            leg_id: self.leg_id(),
            acw_ms: None,
        };
        emit.push(end, (self.session.id, "acw.out"), ended);
        let codes: Vec<Text> = wraps
            .iter()
            .filter_map(|w| w.wrap_up)
            .map(Text::new)
            .collect();
        if !codes.is_empty() {
            let disposition = DispositionSet {
                leg_id: self.leg_id(),
                codes,
                resolved: None,
            };
            emit.push(end, (self.session.id, "code"), disposition);
        }
    }

    /// To the queue or the agent that came next, else to somebody outside.
    fn transfer(&self, at: UtcMicros, emit: &mut Emit<'_>) {
        let began = self.session.began();
        let later = |s: &&Session<'_>| s.began() > began && s.id != self.session.id;
        let queue = self.conversation.of(Purpose::Queue).find(later);
        let mut agents = self.conversation.of(Purpose::Agent).filter(later);
        let agent = agents.find(|s| s.connected().is_some() && !self.conversation.is_placed(s));
        let (to_kind, to_id) = match (queue.and_then(Session::queue_id), agent) {
            (Some(queue), _) => (TransferTarget::Queue, queue),
            (None, Some(agent)) => (TransferTarget::Agent, agent.user_id.unwrap_or("unknown")),
            (None, None) => (TransferTarget::External, "external"),
        };
        let spoke_first = matches!(
            self.session.how_ended(),
            Some("consultTransfer" | "conferenceTransfer")
        );
        let done = TransferCompleted {
            transfer_id: Text::from(format!("{}/t", self.session.id)),
            from_leg_id: self.leg_id(),
            kind: match spoke_first {
                true => TransferKind::Consult,
                false => TransferKind::Blind,
            },
            to_kind,
            to_id: Text::new(to_id),
            to_leg_id: agent.map(|agent| Text::new(agent.id)),
            reason: None,
        };
        emit.push(at, (self.session.id, "t"), done);
    }
}
