//! Talking: what becomes of a call after it was answered.

use events::{
    AcwEnded, AcwStarted, Classifier, DispositionSet, EndedBy, HoldEnded, HoldStarted, Initiation,
    LeaveReason, LegConnected, LegDisconnected, LegRoleChanged, OfferEnded, OfferOutcome,
    OfferStarted, Purpose, QueueEntered, QueueLeft, Role, Text, TransferCompleted,
    TransferInitiated, TransferKind, TransferReason, TransferTarget, Via, VisitKind,
};

use super::{Action, Call, Key, World};
use crate::{
    centre::{QUEUES, REASONS, TECH},
    ids,
    ledger::{LegRole, Note},
};

/// How a leg ends when the contact goes on.
#[derive(Clone, Copy, Debug)]
pub(super) enum Transfer {
    /// Into another queue.
    Blind,
    /// To a colleague who is free.
    Direct,
    /// Out of the house.
    External,
    /// The agent's phone failed; the customer queues again.
    Lost,
}

/// How a leg is brought to its end.
pub(super) struct HangUp {
    pub(super) at: i64,
    pub(super) talk_ms: i64,
    /// Is it the contact's last leg, and did the agent then call it resolved?
    pub(super) last: Option<Option<bool>>,
}

impl HangUp {
    /// All since the answer was talk, but for the holds.
    pub(super) fn after_talk(call: &Call, at: i64, last: Option<Option<bool>>) -> Self {
        let talk_ms = at - call.since - call.hold_ms;
        HangUp { at, talk_ms, last }
    }
}

impl World {
    /// An answered call: how long, and what then.
    pub(super) fn talk(&mut self, key: Key) {
        let Some((call, contact)) = self.call(key) else {
            return;
        };
        let spec = &QUEUES[usize::from(call.queue.unwrap_or(TECH))];
        let talk_ms = self.rng.humped(spec.talk_ms).max(5_000);
        let over = self.now + talk_ms;
        if contact.callback.is_some() || contact.legs > 2 {
            self.settle(key, self.now, over);
            return;
        }
        match self.rng.below(1_000) {
            0..40 => self.plan(over, Action::Transfer(key, Transfer::Blind)),
            40..60 => self.plan(over, Action::Transfer(key, Transfer::Direct)),
            60..66 => self.plan(over, Action::Transfer(key, Transfer::External)),
            66..70 => self.plan(over, Action::Transfer(key, Transfer::Lost)),
            70..95 => {
                let rest_ms = talk_ms / 2;
                self.plan(over - rest_ms, Action::Consult(key, rest_ms));
            }
            _ => self.settle(key, self.now, over),
        }
    }

    /// The contact and its call, if both are still there.
    pub(super) fn call(&mut self, key: Key) -> Option<(Call, super::Contact)> {
        let contact = self.contact(key)?.clone();
        Some((contact.call?, contact))
    }

    /// The last leg: talks on from a moment until about `over`, then the contact is over.
    fn settle(&mut self, key: Key, from: i64, over: i64) {
        let Some((mut call, contact)) = self.call(key) else {
            return;
        };
        let over = over + self.hold_on(key, &mut call, (from, over));
        self.listen_in(key, &call, (from, over));
        if contact.purpose == Purpose::Sales && self.rng.chance(320) {
            let at = over - self.rng.between(500, 20_000);
            self.basket(&contact, &call, at.max(call.since + 400));
        }
        let solved = self.rng.chance(760);
        let said = self.rng.chance(880).then_some(solved);
        self.hang_up(key, &call, HangUp::after_talk(&call, over, Some(said)));
        let by = self
            .rng
            .pick(&[EndedBy::Customer, EndedBy::Customer, EndedBy::Agent]);
        self.finish(key, over, by);
        self.afterwards(&contact, &call, over, solved);
    }

    /// Puts the customer on hold now and then; gives the time that it adds to the call.
    fn hold_on(&mut self, key: Key, call: &mut Call, (from, over): (i64, i64)) -> i64 {
        if over <= from || !self.rng.chance(170) {
            return 0;
        }
        let talked = over - from;
        let mut from = from + talked / 4;
        let mut added = 0;
        for _ in 0..=u32::from(self.rng.chance(150)) {
            let ms = self.rng.between(8_000, 95_000);
            self.hold(key, call, from, from + ms);
            added += ms;
            from += ms + talked / 3;
        }
        added
    }

    fn hold(&mut self, key: Key, call: &mut Call, from: i64, to: i64) {
        let leg_id = ids::part(key.no, "l", call.leg);
        self.tell(
            key,
            from,
            HoldStarted {
                leg_id: leg_id.clone(),
            },
            None,
        );
        self.tell(key, to, HoldEnded { leg_id }, None);
        call.hold_ms += to - from;
    }

    /// Now and then a supervisor listens or joins.
    fn listen_in(&mut self, key: Key, call: &Call, (from, over): (i64, i64)) {
        let role = match self.rng.below(1_000) {
            0..6 => Role::Monitor,
            6..9 => Role::Conference,
            _ => return,
        };
        let from = from + (over - from) / 3;
        let team = self.agents[usize::from(call.agent)].spec.team;
        let supervisor = ids::thing("sup", team, 2);
        let Some(joined) = self.join(key, supervisor, (from, role, Initiation::Api), None) else {
            return;
        };
        self.part_leg(key, joined, from, over);
    }

    /// Connects one more agent; gives his leg and its number in the ledger.
    fn join(
        &mut self,
        key: Key,
        agent_id: Text,
        (at, role, initiation): (i64, Role, Initiation),
        visit: Option<(Text, u8)>,
    ) -> Option<(u8, u32)> {
        let leg = self.counters.leg;
        let contact = self.contact(key)?;
        contact.legs = contact.legs.saturating_add(1);
        let number = contact.legs;
        let (visit_id, queue) = visit.unzip();
        let data = LegConnected {
            leg_id: ids::part(key.no, "l", number),
            interaction_id: ids::contact(key.no),
            agent_id,
            visit_id,
            role,
            initiation,
            dial_ms: None,
        };
        let ledger_role = match role {
            Role::Primary => LegRole::Primary,
            Role::Consult | Role::Conference => LegRole::Helper,
            Role::Monitor | Role::Barge => LegRole::Listener,
        };
        let (contact, role) = (key.no, ledger_role);
        let note = Note::LegConnected {
            leg,
            contact,
            queue,
            role,
            dial_ms: 0,
        };
        self.counters.leg += 1;
        self.tell(key, at, data, Some(note));
        Some((number, leg))
    }

    /// Disconnects an agent who only helped: without wrap-up.
    fn part_leg(&mut self, key: Key, leg: (u8, u32), from: i64, at: i64) {
        self.disconnect(key, leg, at, (at - from, 0), true);
    }

    /// The leg of a number, and of a number in the ledger, is over; `done` if no wrap-up follows.
    fn disconnect(
        &mut self,
        key: Key,
        (number, leg): (u8, u32),
        at: i64,
        (talk_ms, hold_ms): (i64, i64),
        done: bool,
    ) {
        let data = LegDisconnected {
            leg_id: ids::part(key.no, "l", number),
            talk_ms: None,
            hold_ms: None,
        };
        let note = Note::LegDisconnected {
            leg,
            at,
            talk_ms,
            hold_ms,
            done,
        };
        self.tell(key, at, data, Some(note));
    }

    /// Ends a leg: disconnect, wrap-up, disposition; then the agent is free.
    pub(super) fn hang_up(&mut self, key: Key, call: &Call, end: HangUp) {
        let spec = &QUEUES[usize::from(call.queue.unwrap_or(TECH))];
        let wraps = spec.acw_ms > 0 && !self.rng.chance(110);
        let acw_ms = if wraps {
            self.rng.humped(spec.acw_ms) + 700
        } else {
            0
        };
        let (leg, at, wrapped) = (call.ledger, end.at, end.at + acw_ms);
        let leg_id = ids::part(key.no, "l", call.leg);
        self.disconnect(
            key,
            (call.leg, leg),
            at,
            (end.talk_ms, call.hold_ms),
            !wraps,
        );
        if wraps {
            self.tell(
                key,
                at,
                AcwStarted {
                    leg_id: leg_id.clone(),
                },
                None,
            );
            let note = Note::LegWrappedUp {
                leg,
                at: wrapped,
                acw_ms,
            };
            self.tell(
                key,
                wrapped,
                AcwEnded {
                    leg_id: leg_id.clone(),
                    acw_ms: None,
                },
                Some(note),
            );
        }
        if let Some(said) = end.last {
            if self.rng.chance(930) {
                self.classify(key, wrapped, Classifier::Agent);
            }
            self.disposition(key, leg_id, wrapped, said);
        }
        self.plan(wrapped, Action::Free(call.agent));
    }

    fn disposition(&mut self, key: Key, leg_id: Text, at: i64, resolved: Option<bool>) {
        if self.rng.chance(70) {
            return;
        }
        let more = self.rng.chance(60);
        let Some(contact) = self.contact(key) else {
            return;
        };
        let mut codes = vec![Text::new_static(REASONS[usize::from(contact.reason)])];
        if more {
            codes.push(Text::new_static("follow_up"));
        }
        let note = Note::ContactResolved {
            contact: key.no,
            resolved,
        };
        self.tell(
            key,
            at,
            DispositionSet {
                leg_id,
                codes,
                resolved,
            },
            Some(note),
        );
    }

    pub(super) fn transfer(&mut self, key: Key, transfer: Transfer) {
        let Some((call, contact)) = self.call(key) else {
            return;
        };
        let from = call.queue.unwrap_or(TECH);
        match transfer {
            Transfer::Direct => match self.idle_agent(from) {
                Some(agent) => {
                    let delay = self.rng.between(1_500, 6_000);
                    self.plan(self.now + delay, Action::TakeOver(key, agent));
                }
                None => self.transfer(key, Transfer::Blind),
            },
            Transfer::Blind => {
                let to = QUEUES[usize::from(from)].transfer_to;
                if self.queues[usize::from(to)].staffed == 0 || !self.is_open(to) {
                    self.settle(key, self.now, self.now);
                    return;
                }
                let target = (TransferTarget::Queue, Self::queue_id(to), None);
                self.transferred(key, &call, TransferKind::Blind, target, self.now);
                self.pass_on(key, &call, to, Via::Transfer);
            }
            Transfer::Lost => self.pass_on(key, &call, from, Via::Api),
            Transfer::External => {
                let target = (TransferTarget::External, Text::new_static("bank"), None);
                self.transferred(key, &call, TransferKind::Blind, target, self.now);
                let end = HangUp::after_talk(&call, self.now, Some(None));
                self.hang_up(key, &call, end);
                let rest_ms = self.rng.between(20_000, 200_000);
                self.finish(key, self.now + rest_ms, EndedBy::ThirdParty);
                self.afterwards(&contact, &call, self.now + rest_ms, true);
            }
        }
    }

    /// The leg ends and the customer enters a queue again.
    fn pass_on(&mut self, key: Key, call: &Call, to: u8, via: Via) {
        self.hang_up(key, call, HangUp::after_talk(call, self.now, None));
        if let Some(contact) = self.contact(key) {
            contact.call = None;
        }
        let delay = self.rng.between(200, 900);
        self.plan(self.now + delay, Action::Enter(key, to, via));
    }

    fn transferred(
        &mut self,
        key: Key,
        from: &Call,
        kind: TransferKind,
        (to_kind, to_id, to_leg_id): (TransferTarget, Text, Option<Text>),
        at: i64,
    ) {
        let reason = self.rng.pick(&[
            TransferReason::Misroute,
            TransferReason::Skill,
            TransferReason::Skill,
            TransferReason::Business,
            TransferReason::Escalation,
        ]);
        let Some(contact) = self.contact(key) else {
            return;
        };
        contact.transfers = contact.transfers.saturating_add(1);
        let data = TransferCompleted {
            transfer_id: ids::part(key.no, "t", contact.transfers),
            from_leg_id: ids::part(key.no, "l", from.leg),
            kind,
            to_kind,
            to_id,
            to_leg_id,
            reason: Some(reason),
        };
        let (contact, leg, blind) = (key.no, from.ledger, kind == TransferKind::Blind);
        let outside = to_kind == TransferTarget::External;
        self.tell(
            key,
            at,
            data,
            Some(Note::Transferred {
                contact,
                leg,
                blind,
                outside,
            }),
        );
    }

    /// A colleague, who is free and reserved, takes the call over.
    pub(super) fn take_over(&mut self, key: Key, agent: u16) {
        let Some((call, _)) = self.call(key) else {
            return;
        };
        let how = (self.now, Role::Primary, Initiation::TransferBlind);
        let Some((leg, ledger)) = self.join(key, self.agent_id(agent), how, None) else {
            return;
        };
        let to_leg = ids::part(key.no, "l", leg);
        let target = (TransferTarget::Agent, self.agent_id(agent), Some(to_leg));
        self.transferred(key, &call, TransferKind::Blind, target, self.now);
        self.hang_up(key, &call, HangUp::after_talk(&call, self.now, None));
        let (queue, since) = (None, self.now);
        let next = Call {
            agent,
            leg,
            ledger,
            queue,
            since,
            ..call.fresh()
        };
        if let Some(contact) = self.contact(key) {
            contact.call = Some(next);
        }
        let talk_ms = self.rng.humped(180_000) + 3_000;
        self.settle(key, self.now, self.now + talk_ms);
    }

    /// The agent asks a colleague while the customer holds; the colleague may take over.
    pub(super) fn consult(&mut self, key: Key, rest_ms: i64) {
        let Some((mut call, _)) = self.call(key) else {
            return;
        };
        let Some(agent) = self.idle_agent(TECH) else {
            self.settle(key, self.now, self.now + rest_ms);
            return;
        };
        let (begin, from) = (self.now, self.now + self.rng.between(1_500, 4_500));
        let to = from + self.rng.humped(45_000) + 4_000;
        let agent_id = self.agent_id(agent);
        self.initiate(key, call.leg, agent_id.clone());
        let visit = if self.rng.chance(500) {
            self.find_consultant(key, agent, from)
        } else {
            None
        };
        let queue = visit.as_ref().map(|(_, queue)| *queue);
        let how = (from, Role::Consult, Initiation::TransferConsult);
        let Some((leg, ledger)) = self.join(key, agent_id.clone(), how, visit) else {
            return;
        };
        self.hold(key, &mut call, begin, to);
        if self.rng.chance(600) {
            self.part_leg(key, (leg, ledger), from, to);
            self.plan(to, Action::Free(agent));
            if let Some(contact) = self.contact(key) {
                contact.call = Some(call);
            }
            self.settle(key, to, to + rest_ms);
            return;
        }
        let to_leg = ids::part(key.no, "l", leg);
        let target = (TransferTarget::Agent, agent_id, Some(to_leg.clone()));
        self.transferred(key, &call, TransferKind::Consult, target, to);
        let data = LegRoleChanged {
            leg_id: to_leg,
            role: Role::Primary,
        };
        self.tell(key, to, data, Some(Note::LegTakesOver { leg: ledger }));
        self.hang_up(key, &call, HangUp::after_talk(&call, to, None));
        if let Some(contact) = self.contact(key) {
            contact.call = Some(Call {
                agent,
                leg,
                ledger,
                queue,
                since: from,
                ..call.fresh()
            });
        }
        self.settle(key, to, to + rest_ms);
    }

    fn initiate(&mut self, key: Key, from_leg: u8, to_id: Text) {
        let Some(contact) = self.contact(key) else {
            return;
        };
        let data = TransferInitiated {
            // The number that the transfer gets if it comes about.
            transfer_id: ids::part(key.no, "t", contact.transfers.saturating_add(1)),
            from_leg_id: ids::part(key.no, "l", from_leg),
            kind: TransferKind::Consult,
            to_kind: TransferTarget::Agent,
            to_id,
            to_leg_id: None,
            reason: None,
        };
        self.tell(key, self.now, data, None);
    }

    /// The consultant is found through a queue: a visit that is no customer's.
    fn find_consultant(&mut self, key: Key, agent: u16, at: i64) -> Option<(Text, u8)> {
        let (visit, now) = (self.counters.visit, self.now);
        self.counters.visit += 1;
        let agent_id = self.agent_id(agent);
        let contact = self.contact(key)?;
        contact.visits = contact.visits.saturating_add(1);
        contact.offers = contact.offers.saturating_add(1);
        let visit_id = ids::part(key.no, "q", contact.visits);
        let offer_id = ids::part(key.no, "o", contact.offers);
        let leg_id = ids::part(key.no, "l", contact.legs.saturating_add(1));
        let entered = QueueEntered {
            visit_id: visit_id.clone(),
            interaction_id: ids::contact(key.no),
            queue_id: Self::queue_id(TECH),
            visit_kind: VisitKind::Internal,
            priority: None,
            required_skills: None,
            via: Some(Via::Transfer),
        };
        let started = OfferStarted {
            offer_id: offer_id.clone(),
            visit_id: visit_id.clone(),
            agent_id: agent_id.clone(),
        };
        let ended = OfferEnded {
            offer_id,
            visit_id: visit_id.clone(),
            agent_id: agent_id.clone(),
            outcome: OfferOutcome::Accepted,
        };
        let left = QueueLeft {
            visit_id: visit_id.clone(),
            reason: LeaveReason::Answered,
            agent_id: Some(agent_id),
            leg_id: Some(leg_id),
            to_queue_id: None,
            wait_known: None,
        };
        let (contact, queue, kind) = (key.no, TECH, VisitKind::Internal);
        let note = Note::VisitEntered {
            visit,
            contact,
            queue,
            kind,
            at: now,
        };
        self.tell(key, now, entered, Some(note));
        self.tell(key, now + 300, started, None);
        self.tell(key, at, ended, None);
        let note = Note::VisitLeft {
            visit,
            at,
            reason: LeaveReason::Answered,
        };
        self.tell(key, at, left, Some(note));
        Some((visit_id, TECH))
    }
}
