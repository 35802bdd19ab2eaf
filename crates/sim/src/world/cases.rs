//! The back office: cases about what a contact left open, about mails and about web forms, and how
//! they go on.
//!
//! It throws dice of its own: contacts, surveys and orders are the same whatever it does.

use std::collections::BTreeMap;

use events::{
    Actor, CaseClosed, CaseEscalated, CaseOpened, CaseReopened, CaseSolved, CaseStatusChanged,
    Channel, EventData, MessageSent, Text, UtcMicros,
};

use super::{Action, Call, Contact, Key, World};
use crate::{
    centre::{COMPLAINT, MAIL, QUEUES, REASONS},
    ids,
    ledger::Note,
    rng::Rng,
};

const MINUTE_MS: i64 = 60_000;
const HOUR_MS: i64 = 60 * MINUTE_MS;
const DAY_MS: i64 = 24 * HOUR_MS;
/// Web forms in a day for each agent employed.
const FORMS_PER_AGENT: f64 = 0.3;
/// A case of which nothing is heard for so long is closed for good.
const SILENCE_MS: i64 = 4 * DAY_MS;

/// The desk and its cases.
pub(super) struct Desk {
    rng: Rng,
    cases: Vec<Case>,
    /// Cases that are not closed for good, by customer and reason.
    running: BTreeMap<(u32, u8), u32>,
}

/// A case, as the desk remembers it.
#[derive(Clone, Copy, Debug)]
struct Case {
    customer: Option<u32>,
    reason: u8,
    /// The agent whose case it is.
    owner: u16,
    state: State,
    /// Number of the last step that was planned: all before it are void.
    planned: u32,
    events: u32,
    messages: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Open,
    Solved,
    Closed,
}

/// A step in a case.
#[derive(Clone, Copy, Debug)]
pub(super) enum Step {
    /// The desk writes to the customer.
    Reply,
    /// The customer writes to the desk.
    Answer,
    /// Solved, perhaps in a contact.
    Solve(Option<u32>),
    /// The customer writes that it is not solved.
    Reopen,
    /// It is the same as another case.
    Merge(u32),
    Close,
}

/// What the desk hears about a contact that is over.
#[derive(Clone, Copy, Debug)]
pub(super) struct Report {
    contact: u32,
    customer: Option<u32>,
    reason: u8,
    agent: u16,
    solved: bool,
    /// The case that it was about from its begin.
    case: Option<u32>,
}

/// Who a new case is about, and how it came.
struct Opening {
    customer: Option<u32>,
    reason: u8,
    owner: u16,
    channel: Option<Channel>,
    contact: Option<u32>,
}

impl Desk {
    pub(super) fn new(seed: u64) -> Self {
        Desk {
            rng: Rng::stream(seed, "desk"),
            cases: Vec::new(),
            running: BTreeMap::new(),
        }
    }

    fn case(&mut self, case: u32) -> &mut Case {
        &mut self.cases[case as usize]
    }

    /// The case that a customer has about a reason.
    fn running(&self, customer: Option<u32>, reason: u8) -> Option<u32> {
        self.running.get(&(customer?, reason)).copied()
    }

    /// A time from now on: at least `least_ms`, mostly about `mean_ms` more.
    fn later(&mut self, least_ms: i64, mean_ms: i64) -> i64 {
        least_ms + self.rng.exponential(mean_ms as f64) as i64
    }
}

impl World {
    pub(super) fn case_id(case: u32) -> Text {
        ids::thing("t", case + 1, 7)
    }

    /// The desk hears about a contact when it is over. Of tests it hears nothing.
    pub(super) fn report(&mut self, contact: &Contact, call: &Call, over: i64, solved: bool) {
        if contact.test {
            return;
        }
        let report = Report {
            contact: contact.no,
            customer: contact.customer,
            reason: contact.reason,
            agent: call.agent,
            solved,
            case: contact.case,
        };
        self.plan(over, Action::Report(report));
    }

    /// The contact belongs to a case that runs, or makes one, or needs none.
    pub(super) fn take_report(&mut self, report: Report) {
        let running = self.desk.running(report.customer, report.reason);
        let case = match (report.case, running) {
            (Some(case), _) => case,
            (None, Some(case)) => {
                self.comes_again(case, report.contact);
                case
            }
            (None, None) => {
                if !self.desk.rng.chance(if report.solved { 100 } else { 450 }) {
                    return;
                }
                self.open_case(&Opening {
                    customer: report.customer,
                    reason: report.reason,
                    owner: report.agent,
                    channel: None,
                    contact: Some(report.contact),
                })
            }
        };
        if self.desk.case(case).state != State::Open {
            // A mail whose case somebody else has solved before it was answered.
            return;
        }
        if report.solved {
            let ms = self.desk.rng.between(1_000, 120_000);
            self.plan_step(case, ms, Step::Solve(Some(report.contact)));
            return;
        }
        if self.desk.rng.chance(60) {
            let data = CaseEscalated {
                case_id: Self::case_id(case),
                interaction_id: None,
            };
            self.tell_case(case, data, None);
        }
        let ms = self.desk.later(10 * MINUTE_MS, 5 * HOUR_MS);
        self.plan_step(case, ms, Step::Reply);
    }

    /// One more contact is about the case; a solved one is open again.
    fn comes_again(&mut self, case: u32, contact: u32) {
        let (case_id, interaction_id) = (Self::case_id(case), Some(ids::contact(contact)));
        if self.desk.case(case).state == State::Open {
            let data = CaseStatusChanged {
                case_id,
                interaction_id,
                status: Some(Text::new_static("open")),
                merged_into: None,
                promise_at: None,
            };
            self.tell_case(case, data, Some(Note::CaseContact { case }));
            return;
        }
        self.desk.case(case).state = State::Open;
        let data = CaseReopened {
            case_id,
            interaction_id,
        };
        let by_contact = true;
        self.tell_case(case, data, Some(Note::CaseReopened { case, by_contact }));
    }

    fn open_case(&mut self, opening: &Opening) -> u32 {
        let case = self.desk.cases.len() as u32;
        let reason = opening.reason;
        self.desk.cases.push(Case {
            customer: opening.customer,
            reason,
            owner: opening.owner,
            state: State::Open,
            planned: 0,
            events: 0,
            messages: 0,
        });
        if let Some(customer) = opening.customer {
            self.desk.running.entry((customer, reason)).or_insert(case);
        }
        let complaint = reason == COMPLAINT || self.desk.rng.chance(30);
        let promise_at = self.now + if complaint { DAY_MS } else { 3 * DAY_MS };
        let data = CaseOpened {
            case_id: Self::case_id(case),
            customer_id: opening.customer.map(|c| ids::thing("cu", c, 6)),
            interaction_id: opening.contact.map(ids::contact),
            channel: opening.channel,
            reason_code: Some(Text::new_static(REASONS[usize::from(reason)])),
            issue_id: None,
            complaint: Some(complaint),
            promise_at: Some(UtcMicros(promise_at * 1_000)),
            status: Some(Text::new_static("new")),
            merged_into: None,
        };
        let by_contact = opening.contact.is_some();
        self.tell_case(case, data, Some(Note::CaseOpened { case, by_contact }));
        case
    }

    /// A mail is a case at once, or belongs to one.
    pub(super) fn file_mail(&mut self, key: Key) {
        let owner = self.someone_at_the_desk();
        let Some((no, customer, reason)) = self
            .contact(key)
            .filter(|c| !c.test)
            .map(|c| (c.no, c.customer, c.reason))
        else {
            return;
        };
        let case = match self.desk.running(customer, reason) {
            Some(case) => {
                self.comes_again(case, no);
                case
            }
            None => self.open_case(&Opening {
                customer,
                reason,
                owner,
                channel: None,
                contact: Some(no),
            }),
        };
        if let Some(contact) = self.contact(key) {
            contact.case = Some(case);
        }
        // If nobody answers the mail, someone looks at the case all the same.
        let ms = self.desk.later(30 * HOUR_MS, 6 * HOUR_MS);
        self.plan_step(case, ms, Step::Reply);
    }

    /// The web forms of a quarter hour. They come around the clock.
    pub(super) fn web_forms(&mut self, until: i64) {
        let mean_ms = DAY_MS as f64 / (FORMS_PER_AGENT * self.agents.len() as f64);
        let mut at = self.now as f64 + self.desk.rng.exponential(mean_ms);
        while at < until as f64 {
            let customer = self.desk.rng.below(self.customers.into()) as u32 + 1;
            let reason = self.desk.rng.pick(QUEUES[usize::from(MAIL)].reasons);
            self.plan(at as i64, Action::WebForm(customer, reason));
            if self.desk.rng.chance(60) {
                // Sent twice.
                let ms = self.desk.rng.between(MINUTE_MS, 20 * MINUTE_MS);
                self.plan(at as i64 + ms, Action::WebForm(customer, reason));
            }
            at += self.desk.rng.exponential(mean_ms);
        }
    }

    /// A case that no contact led to.
    pub(super) fn take_form(&mut self, customer: u32, reason: u8) {
        let running = self.desk.running(Some(customer), reason);
        let owner = self.someone_at_the_desk();
        let case = self.open_case(&Opening {
            customer: Some(customer),
            reason,
            owner,
            channel: Some(Channel::Web),
            contact: None,
        });
        self.write(case, Actor::Customer, true, None);
        match running {
            Some(other) => {
                let ms = self.desk.later(5 * MINUTE_MS, HOUR_MS);
                self.plan_step(case, ms, Step::Merge(other));
            }
            None => {
                let ms = self.desk.later(20 * MINUTE_MS, 4 * HOUR_MS);
                self.plan_step(case, ms, Step::Reply);
            }
        }
    }

    fn someone_at_the_desk(&mut self) -> u16 {
        self.desk.rng.below(self.agents.len() as u64) as u16
    }

    /// What comes next in a case, after so long: whatever was planned before is void.
    fn plan_step(&mut self, case: u32, after_ms: i64, step: Step) {
        let c = self.desk.case(case);
        c.planned += 1;
        let number = c.planned;
        self.plan(self.now + after_ms, Action::Case(case, number, step));
    }

    pub(super) fn case_step(&mut self, case: u32, number: u32, step: Step) {
        if self.desk.case(case).planned != number {
            return;
        }
        match step {
            Step::Reply => self.reply(case),
            Step::Answer => {
                self.write(case, Actor::Customer, true, None);
                let ms = self.desk.later(10 * MINUTE_MS, 3 * HOUR_MS);
                self.plan_step(case, ms, Step::Reply);
            }
            Step::Solve(contact) => self.solve(case, contact),
            Step::Reopen => self.reopen(case),
            Step::Merge(other) => self.merge(case, other),
            Step::Close => self.close_case(case),
        }
    }

    /// The desk writes to the customer, if it is open now; else when it opens.
    fn reply(&mut self, case: u32) {
        if !self.is_open(MAIL) {
            let ms = self.next_opening(MAIL) - self.now + self.desk.rng.between(0, HOUR_MS);
            self.plan_step(case, ms, Step::Reply);
            return;
        }
        if self.desk.rng.chance(250) {
            // A note for colleagues, which the customer does not see.
            self.write(case, Actor::Agent, false, None);
        }
        self.write(case, Actor::Agent, true, Some(Note::CaseReplied { case }));
        match self.desk.rng.below(1_000) {
            0..620 => {
                let ms = self.desk.rng.between(1_000, 10 * MINUTE_MS);
                self.plan_step(case, ms, Step::Solve(None));
            }
            620..920 => {
                let ms = self.desk.later(10 * MINUTE_MS, 8 * HOUR_MS);
                self.plan_step(case, ms, Step::Answer);
            }
            _ => self.plan_step(case, SILENCE_MS, Step::Close),
        }
    }

    fn solve(&mut self, case: u32, contact: Option<u32>) {
        self.desk.case(case).state = State::Solved;
        let data = CaseSolved {
            case_id: Self::case_id(case),
            interaction_id: contact.map(ids::contact),
        };
        let at = self.now;
        self.tell_case(case, data, Some(Note::CaseSolved { case, at }));
        if self.desk.rng.chance(70) {
            let ms = self.desk.later(30 * MINUTE_MS, 20 * HOUR_MS);
            self.plan_step(case, ms, Step::Reopen);
        } else {
            self.plan_step(case, SILENCE_MS, Step::Close);
        }
    }

    fn reopen(&mut self, case: u32) {
        self.desk.case(case).state = State::Open;
        self.write(case, Actor::Customer, true, None);
        let data = CaseReopened {
            case_id: Self::case_id(case),
            interaction_id: None,
        };
        let by_contact = false;
        self.tell_case(case, data, Some(Note::CaseReopened { case, by_contact }));
        let ms = self.desk.later(20 * MINUTE_MS, 4 * HOUR_MS);
        self.plan_step(case, ms, Step::Reply);
    }

    fn merge(&mut self, case: u32, other: u32) {
        let data = CaseStatusChanged {
            case_id: Self::case_id(case),
            interaction_id: None,
            status: Some(Text::new_static("closed")),
            merged_into: Some(Self::case_id(other)),
            promise_at: None,
        };
        self.tell_case(case, data, Some(Note::CaseMerged { case }));
        self.close_case(case);
    }

    fn close_case(&mut self, case: u32) {
        let c = self.desk.case(case);
        c.state = State::Closed;
        let key = c.customer.map(|customer| (customer, c.reason));
        if let Some(key) = key
            && self.desk.running.get(&key) == Some(&case)
        {
            self.desk.running.remove(&key);
        }
        let data = CaseClosed {
            case_id: Self::case_id(case),
            interaction_id: None,
        };
        let at = self.now;
        self.tell_case(case, data, Some(Note::CaseClosed { case, at }));
    }

    /// A message in a case that belongs to no contact.
    fn write(&mut self, case: u32, actor: Actor, public: bool, note: Option<Note>) {
        let c = self.desk.case(case);
        c.messages += 1;
        let (n, customer, owner) = (c.messages, c.customer, c.owner);
        let actor_id = match actor {
            Actor::Customer => customer.map(|c| ids::thing("cu", c, 6)),
            _ => Some(self.agent_id(owner)),
        };
        let data = MessageSent {
            message_id: ids::thing_part("t", case + 1, 7, ("m", n)),
            interaction_id: None,
            case_id: Some(Self::case_id(case)),
            actor,
            actor_id,
            public,
        };
        self.tell_case(case, data, note);
    }

    /// Lets an event of a case come out now.
    fn tell_case(&mut self, case: u32, data: impl Into<EventData>, note: Option<Note>) {
        let c = self.desk.case(case);
        c.events += 1;
        let id = ids::thing_event("t", case + 1, 7, c.events);
        self.post(self.now, id, data, note);
    }
}
