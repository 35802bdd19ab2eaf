//! Waiting: customers enter queues, are offered to agents, or leave without one.

use events::{
    Channel, EndedBy, EstimateAnnounced, Initiation, LeaveReason, LegConnected, OfferEnded,
    OfferOutcome, OfferStarted, QueueEntered, QueueLeft, Role, Text, Via, VisitKind,
};

use super::{Action, Call, Key, Visit, Waiting, World};
use crate::{
    centre::{BILLING, GROUPS, MAIL, QUEUES, SALES, SUPPORT},
    ids,
    ledger::{LegRole, Note},
};

const HOUR_MS: i64 = 3_600_000;

/// How a visit may end without an agent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Exit {
    GivesUp,
    Overflow(u8),
    Callback,
    Voicemail,
    Timeout,
    Key,
    Moved(u8),
    Error,
}

impl World {
    pub(super) fn queue_id(queue: u8) -> Text {
        Text::new_static(QUEUES[usize::from(queue)].id)
    }

    pub(super) fn enter(&mut self, key: Key, queue: u8, via: Via) {
        let (now, ledger) = (self.now, self.counters.visit);
        let Some(contact) = self.contact(key) else {
            return;
        };
        contact.visits = contact.visits.saturating_add(1);
        let kind = match contact.callback {
            Some(_) => VisitKind::Callback,
            None => VisitKind::Customer,
        };
        let visit = Visit {
            ledger,
            queue,
            kind,
            entered: now,
            ringing: None,
        };
        contact.visit = Some(visit);
        self.counters.visit += 1;
        self.tell_entered(key, &visit, via);
        self.queues[usize::from(queue)].load += 1;
        if let Some(reason) = self.door(&visit) {
            self.leave(key, reason, None);
            self.finish(key, now + 40, EndedBy::System);
            return;
        }
        self.plan_exit(key, &visit, via);
        match self.idle_agent(queue) {
            Some(agent) => self.offer(key, agent),
            None => {
                self.estimate(key, &visit);
                self.wait(key, &visit, false);
            }
        }
    }

    fn tell_entered(&mut self, key: Key, visit: &Visit, via: Via) {
        let spec = &QUEUES[usize::from(visit.queue)];
        let Some(contact) = self.contact(key) else {
            return;
        };
        let data = QueueEntered {
            visit_id: ids::part(key.no, "q", contact.visits),
            interaction_id: ids::contact(key.no),
            queue_id: Self::queue_id(visit.queue),
            visit_kind: visit.kind,
            priority: spec.priority,
            required_skills: None,
            via: Some(via),
        };
        let note = Note::VisitEntered {
            visit: visit.ledger,
            contact: key.no,
            queue: visit.queue,
            kind: visit.kind,
            at: self.now,
        };
        self.tell(key, self.now, data, Some(note));
    }

    /// Why a visit is not let in at all.
    fn door(&self, visit: &Visit) -> Option<LeaveReason> {
        let queue = &self.queues[usize::from(visit.queue)];
        if visit.queue == MAIL || visit.kind == VisitKind::Callback {
            None
        } else if !self.is_open(visit.queue) {
            Some(LeaveReason::Closed)
        } else if queue.staffed == 0 {
            Some(LeaveReason::JoinEmpty)
        } else if queue.load > 4 + queue.staffed * 6 / 10 {
            Some(LeaveReason::Full)
        } else {
            None
        }
    }

    /// Decides when and how the visit would end if no agent came.
    fn plan_exit(&mut self, key: Key, visit: &Visit, via: Via) {
        let spec = &QUEUES[usize::from(visit.queue)];
        let (after, exit) = match (spec.channel, visit.kind) {
            (_, VisitKind::Callback) => (HOUR_MS, Exit::Timeout),
            (Channel::Email, _) => (20 * HOUR_MS, Exit::Timeout),
            (Channel::Voice, _) => self.voice_exit(visit.queue, via),
            _ => (self.patience(spec.patience_ms), Exit::GivesUp)
                .min_by_time((900_000, Exit::Timeout)),
        };
        self.plan(self.now + after, Action::Exit(key, visit.ledger, exit));
    }

    /// Some hang up at once, the others have patience.
    fn patience(&mut self, mean_ms: i64) -> i64 {
        match self.rng.chance(25) {
            true => self.rng.between(600, 7_000),
            false => self.rng.exponential(mean_ms as f64) as i64 + 1_500,
        }
    }

    /// Of all that may happen to a waiting caller, what happens first.
    fn voice_exit(&mut self, queue: u8, via: Via) -> (i64, Exit) {
        let spec = &QUEUES[usize::from(queue)];
        let mut first = (self.patience(spec.patience_ms), Exit::GivesUp);
        first = first.min_by_time((600_000, Exit::Timeout));
        if let (Some((to, after)), true) = (spec.overflow, via != Via::Overflow) {
            first = first.min_by_time((after, Exit::Overflow(to)));
        }
        if (queue == BILLING || queue == SUPPORT) && self.rng.chance(250) {
            first = first.min_by_time((45_000 + self.rng.between(2_000, 12_000), Exit::Callback));
        }
        if queue == SALES && self.rng.chance(500) {
            first = first.min_by_time((75_000 + self.rng.between(2_000, 9_000), Exit::Voicemail));
        }
        match self.rng.below(250) {
            0 | 1 => first.min_by_time((self.rng.between(8_000, 90_000), Exit::Key)),
            2 if queue == BILLING => {
                first.min_by_time((self.rng.between(15_000, 50_000), Exit::Moved(SUPPORT)))
            }
            3 => first.min_by_time((self.rng.between(2_000, 90_000), Exit::Error)),
            _ => first,
        }
    }

    fn estimate(&mut self, key: Key, visit: &Visit) {
        let queue = &self.queues[usize::from(visit.queue)];
        let (position, staffed) = (i64::from(queue.load), i64::from(queue.staffed.max(1)));
        if visit.queue == MAIL || !self.rng.chance(400) {
            return;
        }
        let Some(contact) = self.contact(key) else {
            return;
        };
        let data = EstimateAnnounced {
            visit_id: ids::part(key.no, "q", contact.visits),
            ewt_ms: (position * 240 / staffed).max(5) * 1_000,
            position: Some(position),
            method: Text::new_static("queue_length"),
        };
        self.tell(key, self.now + 150, data, None);
    }

    fn wait(&mut self, key: Key, visit: &Visit, again: bool) {
        let first = visit.kind == VisitKind::Callback
            || QUEUES[usize::from(visit.queue)].priority.is_some();
        let queue = &mut self.queues[usize::from(visit.queue)];
        let line = if first {
            &mut queue.first
        } else {
            &mut queue.others
        };
        let waiting = Waiting {
            key,
            visit: visit.ledger,
            entered: visit.entered,
        };
        if again {
            line.push_front(waiting);
        } else {
            line.push_back(waiting);
        }
    }

    /// Takes who is next for a group of agents out of the queues: those with priority first, then
    /// the longest wait.
    pub(super) fn next_waiting(&mut self, group: u8) -> Option<Key> {
        for priority in [true, false] {
            let mut best: Option<(i64, u8)> = None;
            for queue in GROUPS[usize::from(group)] {
                if let Some(head) = self.head(*queue, priority)
                    && best.is_none_or(|(entered, _)| head.entered < entered)
                {
                    best = Some((head.entered, *queue));
                }
            }
            if let Some((_, queue)) = best {
                return self.line(queue, priority).pop_front().map(|w| w.key);
            }
        }
        None
    }

    fn line(&mut self, queue: u8, priority: bool) -> &mut std::collections::VecDeque<Waiting> {
        let queue = &mut self.queues[usize::from(queue)];
        if priority {
            &mut queue.first
        } else {
            &mut queue.others
        }
    }

    /// Who is first in a line; those who have left meanwhile are taken out.
    fn head(&mut self, queue: u8, priority: bool) -> Option<Waiting> {
        while let Some(head) = self.line(queue, priority).front().copied() {
            let still = |v: &Visit| v.ledger == head.visit && v.ringing.is_none();
            if self
                .contact(head.key)
                .and_then(|c| c.visit)
                .is_some_and(|v| still(&v))
            {
                return Some(head);
            }
            self.line(queue, priority).pop_front();
        }
        None
    }

    /// Lets an agent's phone or screen ring; his place is taken already.
    pub(super) fn offer(&mut self, key: Key, agent: u16) {
        let agent_id = self.agent_id(agent);
        let Some(contact) = self.contact(key) else {
            return;
        };
        contact.offers = contact.offers.saturating_add(1);
        let (offer, visits, channel) = (contact.offers, contact.visits, contact.channel);
        if let Some(visit) = &mut contact.visit {
            visit.ringing = Some((agent, offer));
        }
        let data = OfferStarted {
            offer_id: ids::part(key.no, "o", offer),
            visit_id: ids::part(key.no, "q", visits),
            agent_id,
        };
        self.tell(key, self.now, data, None);
        let roll = self.rng.below(1_000);
        let (outcome, ms) = match (channel, roll) {
            (Channel::Email, _) => (OfferOutcome::Accepted, self.rng.between(400, 2_500)),
            (_, 0..18) => (OfferOutcome::NoAnswer, self.rng.between(15_000, 20_001)),
            (_, 18..25) => (OfferOutcome::Rejected, self.rng.between(1_500, 8_000)),
            (Channel::Voice, _) => (OfferOutcome::Accepted, self.rng.between(1_200, 7_000)),
            _ => (OfferOutcome::Accepted, self.rng.between(800, 6_000)),
        };
        self.plan(self.now + ms, Action::RingEnd(key, agent, offer, outcome));
    }

    pub(super) fn ring_end(&mut self, key: Key, agent: u16, offer: u8, outcome: OfferOutcome) {
        let visit = self.contact(key).and_then(|c| c.visit);
        let Some(visit) = visit.filter(|v| v.ringing == Some((agent, offer))) else {
            return;
        };
        self.end_offer(key, agent, offer, outcome);
        if outcome == OfferOutcome::Accepted {
            self.answer(key, agent, &visit);
            return;
        }
        self.missed_offer(agent);
        match self.idle_agent(visit.queue) {
            Some(agent) => self.offer(key, agent),
            None => self.wait(key, &visit, true),
        }
    }

    fn end_offer(&mut self, key: Key, agent: u16, offer: u8, outcome: OfferOutcome) {
        let agent_id = self.agent_id(agent);
        let Some(contact) = self.contact(key) else {
            return;
        };
        let visits = contact.visits;
        if let Some(visit) = &mut contact.visit {
            visit.ringing = None;
        }
        let data = OfferEnded {
            offer_id: ids::part(key.no, "o", offer),
            visit_id: ids::part(key.no, "q", visits),
            agent_id,
            outcome,
        };
        self.tell(key, self.now, data, None);
    }

    /// The agent is connected: the visit is over, a leg begins.
    fn answer(&mut self, key: Key, agent: u16, visit: &Visit) {
        let (now, leg) = (self.now, self.counters.leg);
        self.counters.leg += 1;
        let callback = visit.kind == VisitKind::Callback;
        let dial_ms = callback.then(|| self.rng.between(4_000, 22_000));
        let agent_id = self.agent_id(agent);
        let Some(contact) = self.contact(key) else {
            return;
        };
        contact.legs = contact.legs.saturating_add(1);
        let queue = Some(visit.queue);
        let call = Call {
            agent,
            leg: contact.legs,
            ledger: leg,
            visit: visit.ledger,
            queue,
            since: now,
            hold_ms: 0,
        };
        contact.call = Some(call);
        let (visits, channel, callback) = (contact.visits, contact.channel, contact.callback);
        self.leave(key, LeaveReason::Answered, Some((agent, call.leg)));
        let data = LegConnected {
            leg_id: ids::part(key.no, "l", call.leg),
            interaction_id: ids::contact(key.no),
            agent_id,
            visit_id: Some(ids::part(key.no, "q", visits)),
            role: Role::Primary,
            initiation: if callback.is_some() {
                Initiation::Callback
            } else {
                Initiation::Queue
            },
            dial_ms,
        };
        let (contact, role) = (key.no, LegRole::Primary);
        let dial_ms = dial_ms.unwrap_or(0);
        let note = Note::LegConnected {
            leg,
            contact,
            queue,
            role,
            dial_ms,
        };
        self.tell(key, now, data, Some(note));
        if let Some(callback) = callback {
            self.callback_connected(callback);
        }
        match channel {
            Channel::Voice => self.talk(key),
            Channel::Chat => self.chat(key),
            _ => self.mail(key),
        }
    }

    /// The visit is over.
    fn leave(&mut self, key: Key, reason: LeaveReason, answered: Option<(u16, u8)>) {
        self.leave_for(key, reason, answered, None);
    }

    fn leave_for(
        &mut self,
        key: Key,
        reason: LeaveReason,
        answered: Option<(u16, u8)>,
        to: Option<u8>,
    ) {
        let agent_id = answered.map(|(agent, _)| self.agent_id(agent));
        let Some(contact) = self.contact(key) else {
            return;
        };
        let visits = contact.visits;
        let Some(visit) = contact.visit.take() else {
            return;
        };
        self.queues[usize::from(visit.queue)].load -= 1;
        let data = QueueLeft {
            visit_id: ids::part(key.no, "q", visits),
            reason,
            agent_id,
            leg_id: answered.map(|(_, leg)| ids::part(key.no, "l", leg)),
            to_queue_id: to.map(Self::queue_id),
            wait_known: None,
        };
        let note = Note::VisitLeft {
            visit: visit.ledger,
            at: self.now,
            reason,
        };
        self.tell(key, self.now, data, Some(note));
    }

    pub(super) fn exit(&mut self, key: Key, number: u32, exit: Exit) {
        let visit = self
            .contact(key)
            .and_then(|c| c.visit)
            .filter(|v| v.ledger == number);
        let Some(visit) = visit else { return };
        if let Some((agent, offer)) = visit.ringing {
            if exit != Exit::GivesUp {
                // Whatever else was about to happen waits for the end of the ring.
                self.plan(self.now + 21_000, Action::Exit(key, number, exit));
                return;
            }
            self.end_offer(key, agent, offer, OfferOutcome::CallerGone);
            self.leave(key, LeaveReason::Abandoned, None);
            self.finish(key, self.now, EndedBy::Customer);
            self.free(agent);
            return;
        }
        match exit {
            Exit::GivesUp => self.part(key, LeaveReason::Abandoned, EndedBy::Customer),
            Exit::Timeout => self.part(key, LeaveReason::Timeout, EndedBy::System),
            Exit::Key => self.part(key, LeaveReason::KeyExit, EndedBy::Customer),
            Exit::Error => self.part(key, LeaveReason::Error, EndedBy::Telecom),
            Exit::Overflow(to) => self.redirect(key, LeaveReason::Overflow, to),
            Exit::Moved(to) => self.redirect(key, LeaveReason::Moved, to),
            Exit::Callback => self.ask_back(key, &visit, LeaveReason::Callback),
            Exit::Voicemail => self.ask_back(key, &visit, LeaveReason::Voicemail),
        }
    }

    fn part(&mut self, key: Key, reason: LeaveReason, by: EndedBy) {
        self.leave(key, reason, None);
        self.finish(key, self.now, by);
    }

    fn redirect(&mut self, key: Key, reason: LeaveReason, to: u8) {
        self.leave_for(key, reason, None, Some(to));
        let delay = self.rng.between(60, 250);
        let via = if reason == LeaveReason::Overflow {
            Via::Overflow
        } else {
            Via::Direct
        };
        self.plan(self.now + delay, Action::Enter(key, to, via));
    }

    fn ask_back(&mut self, key: Key, visit: &Visit, reason: LeaveReason) {
        self.leave(key, reason, None);
        self.request_callback(key, visit.queue, reason);
        let recording = if reason == LeaveReason::Voicemail {
            25_000
        } else {
            1_000
        };
        self.finish(key, self.now + recording, EndedBy::Customer);
    }

    /// Nobody is there any more: all who wait are sent away.
    pub(super) fn send_all_away(&mut self, queue: u8, reason: LeaveReason) {
        for priority in [true, false] {
            while let Some(head) = self.head(queue, priority) {
                self.line(queue, priority).pop_front();
                self.part(head.key, reason, EndedBy::System);
            }
        }
    }
}

/// The earlier of two exits.
trait Earlier {
    fn min_by_time(self, other: Self) -> Self;
}

impl Earlier for (i64, Exit) {
    fn min_by_time(self, other: Self) -> Self {
        if other.0 < self.0 { other } else { self }
    }
}
