//! Callbacks and voicemails: who did not want to wait is called back.

use events::{
    CallbackAttempted, CallbackClosed, CallbackConnected, CallbackKind, CallbackOutcome,
    CallbackRequested, Channel, Direction, EventData, InteractionStarted, LeaveReason, Purpose,
    Text, UtcMicros, Via,
};

use super::{Action, Contact, Key, World};
use crate::{ids, ledger::Note};

const MINUTE_MS: i64 = 60_000;

/// A promise to call back.
#[derive(Clone, Debug)]
pub(super) struct Callback {
    /// The contact that asked for it, and its visit.
    contact: u32,
    visit: u8,
    customer: Option<u32>,
    reason: u8,
    purpose: Purpose,
    test: bool,
    queue: u8,
    kind: CallbackKind,
    scheduled_for: Option<UtcMicros>,
    events: u8,
    missed: u8,
    put_off: u8,
}

impl World {
    /// A waiting customer asks to be called back, or leaves a voicemail.
    pub(super) fn request_callback(&mut self, key: Key, queue: u8, reason: LeaveReason) {
        let voicemail = reason == LeaveReason::Voicemail;
        let minutes = if voicemail {
            self.rng.between(30, 180)
        } else {
            self.rng.between(5, 45)
        };
        let due = self.now + minutes * MINUTE_MS + self.rng.between(0, MINUTE_MS);
        let agreed = !voicemail && self.rng.chance(300);
        let Some(contact) = self.contact(key).cloned() else {
            return;
        };
        let callback = self.callbacks.insert(Callback {
            contact: key.no,
            visit: contact.visits,
            customer: contact.customer,
            reason: contact.reason,
            purpose: contact.purpose,
            test: contact.test,
            queue,
            kind: if voicemail {
                CallbackKind::Voicemail
            } else {
                CallbackKind::Callback
            },
            scheduled_for: agreed.then_some(UtcMicros(due * 1_000)),
            events: 0,
            missed: 0,
            put_off: 0,
        });
        self.tell_callback(callback, self.now, |id, c| CallbackRequested {
            callback_id: id,
            kind: c.kind,
            visit_id: Some(ids::part(c.contact, "q", c.visit)),
            interaction_id: Some(ids::contact(c.contact)),
            queue_id: Self::queue_id(c.queue),
            scheduled_for: c.scheduled_for,
        });
        self.plan(due, Action::Return(callback));
    }

    fn tell_callback<E: Into<EventData>>(
        &mut self,
        callback: u32,
        at: i64,
        data: impl FnOnce(Text, &Callback) -> E,
    ) {
        let Some(c) = self.callbacks.get_mut(callback) else {
            return;
        };
        c.events += 1;
        let event_id = ids::part_event(c.contact, "cb", 1, c.events);
        let data = data(ids::part(c.contact, "cb", 1), c);
        self.post(at, event_id, data, None);
    }

    /// A callback is due: the customer is dialled, and queued first for an agent.
    pub(super) fn return_call(&mut self, callback: u32) {
        let Some(c) = self.callbacks.get(callback).cloned() else {
            return;
        };
        if !self.is_open(c.queue) || self.queues[usize::from(c.queue)].staffed == 0 {
            self.put_off(callback, &c);
            return;
        }
        if !self.rng.chance(820) {
            self.not_reached(callback, &c);
            return;
        }
        let key = self.new_contact(Contact {
            customer: c.customer,
            reason: c.reason,
            purpose: c.purpose,
            test: c.test,
            callback: Some(callback),
            ..Contact::default()
        });
        let first = ids::contact(c.contact);
        let data = InteractionStarted {
            interaction_id: ids::contact(key.no),
            root_id: Some(first.clone()),
            parent_id: Some(first),
            thread_id: None,
            customer_id: c.customer.map(|n| ids::thing("cu", n, 6)),
            identity: None,
            channel: Channel::Voice,
            direction: Direction::Outbound,
            purpose: Some(c.purpose),
            entry_point: None,
            language: None,
            is_test: c.test.then_some(true),
        };
        let (contact, at, root) = (key.no, self.now, Some(c.contact));
        let (customer, test) = (c.customer, c.test);
        let note = Note::ContactStarted {
            contact,
            root,
            at,
            customer,
            test,
        };
        self.tell(key, at, data, Some(note));
        self.plan(at + 150, Action::Enter(key, c.queue, Via::Api));
    }

    /// Not now: later today, or tomorrow when the queue opens.
    fn put_off(&mut self, callback: u32, c: &Callback) {
        let Some(callback_now) = self.callbacks.get_mut(callback) else {
            return;
        };
        callback_now.put_off += 1;
        if callback_now.put_off > 20 {
            self.close(callback, self.now, CallbackOutcome::Expired);
            return;
        }
        let later = if self.is_open(c.queue) {
            self.now + 30 * MINUTE_MS
        } else {
            self.next_opening(c.queue) + self.rng.between(15 * MINUTE_MS, 75 * MINUTE_MS)
        };
        self.plan(later, Action::Return(callback));
    }

    fn not_reached(&mut self, callback: u32, c: &Callback) {
        self.attempted(callback, self.now);
        if let Some(c) = self.callbacks.get_mut(callback) {
            c.missed += 1;
        }
        if c.missed >= 1 {
            self.close(callback, self.now + 25_000, CallbackOutcome::Failed);
        } else {
            let ms = self.rng.between(20 * MINUTE_MS, 90 * MINUTE_MS);
            self.plan(self.now + ms, Action::Return(callback));
        }
    }

    fn attempted(&mut self, callback: u32, at: i64) {
        self.tell_callback(callback, at, |id, c| CallbackAttempted {
            callback_id: id,
            kind: c.kind,
            visit_id: None,
            interaction_id: Some(ids::contact(c.contact)),
            queue_id: Self::queue_id(c.queue),
            scheduled_for: None,
        });
    }

    pub(super) fn callback_connected(&mut self, callback: u32) {
        self.attempted(callback, self.now);
        self.tell_callback(callback, self.now, |id, c| CallbackConnected {
            callback_id: id,
            kind: c.kind,
            visit_id: None,
            interaction_id: Some(ids::contact(c.contact)),
            queue_id: Self::queue_id(c.queue),
            scheduled_for: None,
        });
    }

    /// The contact that returned it is over.
    pub(super) fn close_callback(&mut self, callback: u32, at: i64, reached: bool) {
        let outcome = if reached {
            CallbackOutcome::Done
        } else {
            CallbackOutcome::Expired
        };
        self.close(callback, at, outcome);
    }

    fn close(&mut self, callback: u32, at: i64, outcome: CallbackOutcome) {
        self.tell_callback(callback, at, |id, c| CallbackClosed {
            callback_id: id,
            kind: c.kind,
            visit_id: None,
            interaction_id: Some(ids::contact(c.contact)),
            queue_id: Self::queue_id(c.queue),
            scheduled_for: None,
            outcome,
        });
        self.callbacks.remove(callback);
    }
}
