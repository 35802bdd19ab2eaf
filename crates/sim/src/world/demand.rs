//! The day as it begins, and the customers that it brings.

use chrono::NaiveDate;
use events::{
    Actor, Channel, Classifier, Direction, EndedBy, InteractionClassified, InteractionEnded,
    InteractionIdentified, InteractionStarted, MessageSent, SelfServiceEnded, SelfServiceKind,
    SelfServiceOutcome, SelfServiceStarted, Text, Via,
};

use super::{Action, Contact, Key, World};
use crate::{
    calendar,
    centre::{self, CHAT, MAIL, QUEUES, REASONS, SUPPORT},
    ids,
    ledger::Note,
};

const QUARTER_MS: i64 = 15 * 60_000;
const HOUR_MS: i64 = 3_600_000;
/// What one new call takes of an agent's time in the mean, transfers and returning customers
/// included.
const WORK_PER_CALL_MS: f64 = 425_000.0;
const WORK_PER_CHAT_MS: f64 = 530_000.0;
const WORK_PER_MAIL_MS: f64 = 330_000.0;
/// Part of a shift that is left when breaks are taken out.
const PRESENT: f64 = 0.87;

/// What is the same for a whole local day.
pub(super) struct Today {
    pub(super) date: NaiveDate,
    pub(super) start: i64,
    pub(super) end: i64,
    /// Opening hours by queue.
    pub(super) open: [(i64, i64); QUEUES.len()],
    /// Shifts of agents for calls, chats and mails that touch this day.
    pub(super) shifts: [Vec<(i64, i64)>; 3],
    /// Is more (or less) going on than usual?
    busy: f64,
    /// A stretch of the day in which something unexpected brings more calls.
    rush: (i64, i64),
}

impl Today {
    pub(super) fn new(date: NaiveDate) -> Self {
        Today {
            date,
            start: 0,
            end: 0,
            open: Default::default(),
            shifts: Default::default(),
            busy: 1.0,
            rush: (0, 0),
        }
    }
}

/// A customer who is about to contact us.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wish {
    pub(super) queue: u8,
    /// A customer who comes again; `None`: anyone.
    pub(super) again: Option<(u32, u8)>,
}

impl World {
    pub(super) fn new_day(&mut self) {
        let date = match calendar::local_date(self.zone, self.now) {
            Some(date) => date,
            None => self.day.date,
        };
        let next = calendar::plus_days(date, 1).unwrap_or(date);
        self.day.date = date;
        self.day.start = self.now;
        self.day.end = calendar::midnight(self.zone, next);
        self.day.busy = self.rng.noise(0.04);
        self.day.rush = self.rush();
        let nights = self.agents.iter().any(|a| centre::has_nights(&[a.spec]));
        for (open, spec) in self.day.open.iter_mut().zip(&QUEUES) {
            let hours = if nights && spec.nights {
                (0, 24 * 60)
            } else {
                spec.open
            };
            let at = |minute| calendar::wall_clock(self.zone, date, minute);
            *open = (
                at(hours.0),
                if hours.1 == 24 * 60 {
                    self.day.end
                } else {
                    at(hours.1)
                },
            );
        }
        self.roster();
        self.close_books();
        self.ask_employees();
        self.plan(self.now, Action::NewQuarter);
        if self.day.end < self.end {
            self.plan(self.day.end, Action::NewDay);
        }
    }

    fn rush(&mut self) -> (i64, i64) {
        if !self.rng.chance(80) {
            return (0, 0);
        }
        let from = self.day.start + self.rng.between(9 * HOUR_MS, 17 * HOUR_MS);
        (from, from + self.rng.between(HOUR_MS / 2, 2 * HOUR_MS))
    }

    /// Draws the new contacts of a quarter hour. The rates follow the staffing, as a planner who
    /// knows his Erlang formulas would have it; what then happens is left to chance.
    pub(super) fn new_quarter(&mut self) {
        let until = (self.now + QUARTER_MS).min(self.day.end);
        if until < self.day.end {
            self.plan(until, Action::NewQuarter);
        }
        let middle = self.now + QUARTER_MS / 2;
        let present = |shifts: &[(i64, i64)]| {
            shifts
                .iter()
                .filter(|(a, b)| (*a..*b).contains(&middle))
                .count() as f64
                * PRESENT
        };
        let rush = (self.day.rush.0..self.day.rush.1).contains(&self.now);
        let busy = self.day.busy * if rush { 1.15 } else { 1.0 } * self.rng.noise(0.04);
        let [calls, chats, _] = &self.day.shifts;
        let (calls, chats) = (present(calls), present(chats));
        let spare = (calls - 0.75 * calls.sqrt()).max(0.4 * calls);
        let employed = self.agents.iter().filter(|a| a.spec.group < 5).count() as f64;
        let call_rate = (spare * busy / WORK_PER_CALL_MS).max(employed * 0.1 / HOUR_MS as f64);
        // One alone has nobody to step in during a break: he is not given as much.
        let alone = if self.day.shifts[1].len() < 3 {
            0.3
        } else {
            0.53
        };
        let chat_rate = chats * 3.0 * alone * busy / WORK_PER_CHAT_MS;
        self.calls_of_quarter(call_rate, until);
        self.wishes(CHAT, chat_rate, until);
        self.wishes(MAIL, self.mail_rate(middle), until);
        self.web_orders(call_rate * 0.05, until);
        self.web_forms(until);
    }

    /// Mails come around the clock, most of them while the desk is open.
    fn mail_rate(&self, middle: i64) -> f64 {
        let work_ms = self.day.shifts[2].len() as f64 * 8.5 * HOUR_MS as f64 * PRESENT;
        let load = if self.day.shifts[2].len() < 3 {
            0.35
        } else {
            0.6
        };
        let per_day = load * work_ms / WORK_PER_MAIL_MS;
        let (open, close) = self.day.open[usize::from(MAIL)];
        let weight = if (open..close).contains(&middle) {
            2.35
        } else {
            0.33
        };
        per_day * weight / (self.day.end - self.day.start) as f64
    }

    fn calls_of_quarter(&mut self, rate: f64, until: i64) {
        let night = !self.is_open(SUPPORT - 1);
        let total: u64 = QUEUES.iter().map(|q| q.weight).sum();
        for queue in 0..CHAT {
            // By night almost all calls are for the queues that are open then.
            let spec = &QUEUES[usize::from(queue)];
            let here = if night && spec.nights && self.is_open(queue) {
                2.0
            } else {
                1.0
            };
            let away = if night && !self.is_open(queue) {
                0.1
            } else {
                1.0
            };
            let share = spec.weight as f64 / total as f64;
            self.wishes(queue, rate * share * here * away, until);
        }
    }

    /// Customers who come one by one at a rate per millisecond.
    fn wishes(&mut self, queue: u8, rate: f64, until: i64) {
        if rate <= 0.0 {
            return;
        }
        let mut at = self.now as f64 + self.rng.exponential(1.0 / rate);
        while at < until as f64 {
            self.plan(at as i64, Action::Arrive(Wish { queue, again: None }));
            at += self.rng.exponential(1.0 / rate);
        }
    }

    pub(super) fn arrive(&mut self, wish: Wish) {
        let spec = &QUEUES[usize::from(wish.queue)];
        let (customer, reason) = match wish.again {
            Some((customer, reason)) => (Some(customer), reason),
            None => (self.someone(), self.rng.pick(spec.reasons)),
        };
        let test = wish.again.is_none() && self.rng.chance(2);
        let late_identity = self.rng.chance(100);
        let key = self.new_contact(Contact {
            customer,
            channel: spec.channel,
            purpose: spec.purpose,
            reason,
            test,
            ..Contact::default()
        });
        let shown = customer.filter(|_| !late_identity);
        self.start_contact(key, shown, wish.queue);
        if let (Some(customer), true) = (customer, late_identity) {
            let data = InteractionIdentified {
                interaction_id: ids::contact(key.no),
                customer_id: ids::thing("cu", customer, 6),
            };
            let note = Note::ContactIdentified {
                contact: key.no,
                customer,
            };
            self.tell(key, self.now + 900, data, Some(note));
        }
        match spec.channel {
            Channel::Voice => self.menu(key, wish.queue),
            _ => self.first_message(key, wish.queue),
        }
    }

    /// Anyone of the customers, or one who cannot be recognised.
    pub(super) fn someone(&mut self) -> Option<u32> {
        let customers = u64::from(self.customers);
        (!self.rng.chance(80)).then(|| self.rng.below(customers) as u32 + 1)
    }

    pub(super) fn new_contact(&mut self, contact: Contact) -> Key {
        self.counters.contact += 1;
        let no = self.counters.contact;
        Key {
            place: self.contacts.insert(Contact { no, ..contact }),
            no,
        }
    }

    fn start_contact(&mut self, key: Key, customer: Option<u32>, queue: u8) {
        let english = self.rng.chance(60);
        let Some(contact) = self.contact(key) else {
            return;
        };
        let (test, channel, purpose) = (contact.test, contact.channel, contact.purpose);
        let data = InteractionStarted {
            interaction_id: ids::contact(key.no),
            root_id: None,
            parent_id: None,
            thread_id: None,
            customer_id: customer.map(|c| ids::thing("cu", c, 6)),
            identity: None,
            channel,
            direction: Direction::Inbound,
            purpose: Some(purpose),
            entry_point: Some(Text::new_static(entry_point(queue))),
            language: Some(Text::new_static(if english { "en" } else { "zh" })),
            is_test: test.then_some(true),
        };
        let (contact, at) = (key.no, self.now);
        let note = Note::ContactStarted {
            contact,
            root: None,
            at,
            customer,
            test,
        };
        self.tell(key, at, data, Some(note));
    }

    /// A call first meets a menu; some get what they want there, or give up.
    fn menu(&mut self, key: Key, queue: u8) {
        let over = self.now + self.rng.between(5_000, 26_000);
        let leaves = self.rng.chance(35);
        if leaves || self.rng.chance(60) {
            self.self_service(key, over, leaves);
        }
        if leaves {
            self.finish(key, over, EndedBy::Customer);
            return;
        }
        if self.rng.chance(100) {
            self.classify(key, self.now + 4_000, Classifier::Ivr);
        }
        self.plan(over, Action::Enter(key, queue, Via::Ivr));
    }

    fn self_service(&mut self, key: Key, over: i64, leaves: bool) {
        let session_id = ids::part(key.no, "v", 1);
        let completed = leaves && self.rng.chance(400);
        let Some(contact) = self.contact(key) else {
            return;
        };
        let customer_id = contact.customer.map(|c| ids::thing("cu", c, 6));
        let started = SelfServiceStarted {
            session_id: session_id.clone(),
            interaction_id: Some(ids::contact(key.no)),
            customer_id,
            kind: SelfServiceKind::Ivr,
        };
        let outcome = match (leaves, completed) {
            (false, _) => SelfServiceOutcome::Escalated,
            (true, true) => SelfServiceOutcome::Completed,
            (true, false) => SelfServiceOutcome::Abandoned,
        };
        let context_passed = (!leaves).then_some(true);
        self.tell(key, self.now + 300, started, None);
        self.tell(
            key,
            over,
            SelfServiceEnded {
                session_id,
                outcome,
                context_passed,
            },
            None,
        );
    }

    /// Who writes is at once in the queue, but a mail only while its desk is open.
    fn first_message(&mut self, key: Key, queue: u8) {
        if queue == MAIL {
            self.file_mail(key);
        }
        self.message(key, self.now, Actor::Customer, None, None);
        let delay = self.rng.between(300, 1_500);
        let (open, close) = self.day.open[usize::from(queue)];
        let at = if queue != MAIL || (open..close).contains(&self.now) {
            self.now + delay
        } else {
            self.next_opening(queue) + self.rng.between(0, HOUR_MS / 2)
        };
        self.plan(at, Action::Enter(key, queue, Via::Api));
    }

    /// When a queue opens next, if it is closed now.
    pub(super) fn next_opening(&self, queue: u8) -> i64 {
        let today = self.day.open[usize::from(queue)].0;
        if self.now < today {
            return today;
        }
        let tomorrow = calendar::plus_days(self.day.date, 1).unwrap_or(self.day.date);
        calendar::wall_clock(self.zone, tomorrow, QUEUES[usize::from(queue)].open.0)
    }

    pub(super) fn message(
        &mut self,
        key: Key,
        at: i64,
        actor: Actor,
        agent: Option<u16>,
        note: Option<Note>,
    ) {
        let Some(contact) = self.contact(key) else {
            return;
        };
        contact.messages = contact.messages.saturating_add(1);
        let (n, customer, case) = (contact.messages, contact.customer, contact.case);
        let replied = case.filter(|_| actor == Actor::Agent);
        let note = note.or(replied.map(|case| Note::CaseReplied { case }));
        let actor_id = match actor {
            Actor::Customer => customer.map(|c| ids::thing("cu", c, 6)),
            _ => agent.map(|a| self.agent_id(a)),
        };
        let data = MessageSent {
            message_id: ids::part(key.no, "m", n),
            interaction_id: Some(ids::contact(key.no)),
            case_id: case.map(Self::case_id),
            actor,
            actor_id,
            public: true,
        };
        self.tell(key, at, data, note);
    }

    /// The reason of the contact, given at most once.
    pub(super) fn classify(&mut self, key: Key, at: i64, by: Classifier) {
        let mut yes = |permille| self.rng.chance(permille).then_some(true);
        let (complaint, cancel_intent, not_resolvable_first) = (yes(30), yes(10), yes(40));
        let Some(contact) = self.contact(key).filter(|c| !c.classified) else {
            return;
        };
        contact.classified = true;
        let (reason, no) = (contact.reason, contact.no);
        let data = InteractionClassified {
            interaction_id: ids::contact(no),
            reason_code: Text::new_static(REASONS[usize::from(reason)]),
            by,
            purpose: None,
            order_id: None,
            case_id: None,
            complaint,
            cancel_intent,
            not_resolvable_first,
            duplicate: None,
            spam: None,
        };
        let not_resolvable_first = not_resolvable_first.is_some();
        let note = Note::ContactClassified {
            contact: no,
            reason,
            not_resolvable_first,
        };
        self.tell(key, at, data, Some(note));
    }

    /// The contact is over at that moment; nothing can be told about it afterwards.
    pub(super) fn finish(&mut self, key: Key, at: i64, ended_by: EndedBy) {
        let data = InteractionEnded {
            interaction_id: ids::contact(key.no),
            ended_by,
            end_reason: None,
        };
        self.tell(
            key,
            at,
            data,
            Some(Note::ContactEnded {
                contact: key.no,
                at,
            }),
        );
        if self.contact(key).is_some() {
            let contact = self.contacts.remove(key.place);
            if let Some((callback, legs)) = contact.and_then(|c| Some((c.callback?, c.legs))) {
                self.close_callback(callback, at, legs > 0);
            }
        }
    }

    pub(super) fn is_open(&self, queue: u8) -> bool {
        let (from, to) = self.day.open[usize::from(queue)];
        (from..to).contains(&self.now)
    }
}

fn entry_point(queue: u8) -> &'static str {
    match QUEUES[usize::from(queue)].channel {
        Channel::Voice if queue == centre::SALES => "400-sales",
        Channel::Voice => "400-service",
        Channel::Chat => "app",
        _ => "service-mailbox",
    }
}
