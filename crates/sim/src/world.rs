//! The simulation: a clock, actions that are due, and events that come out in the order of time.

mod aftermath;
mod books;
mod callbacks;
mod calls;
mod cases;
mod demand;
mod floor;
mod queueing;
mod shop;
mod staff;
mod written;

use std::{
    cmp::Reverse,
    collections::{BinaryHeap, VecDeque},
};

use chrono_tz::Tz;
use events::{
    Channel, Correction, DEFAULT_TENANT, Event, EventData, Purpose, Text, UtcMicros, Via, VisitKind,
};

use crate::{
    Config, ConfigError, Ledger, calendar,
    centre::{self, QUEUES},
    ids,
    ledger::Note,
    rng::Rng,
    slab::Slab,
};

/// The only source of simulated events.
const SOURCE: &str = "sim";

/// A simulated contact centre: an iterator over its events in the order of `occurred_at`.
///
/// The world begins at a local midnight and ends at one; what would happen later does not come
/// out, so that some contacts are still open at the end, as in every real export.
pub struct World {
    zone: Tz,
    currency: Text,
    start: i64,
    end: i64,
    now: i64,
    rng: Rng,
    actions: BinaryHeap<Reverse<Due>>,
    outbox: Outbox,
    ledger: Option<Ledger>,
    counters: Counters,
    contacts: Slab<Contact>,
    callbacks: Slab<callbacks::Callback>,
    orders: Vec<shop::Order>,
    desk: cases::Desk,
    staff_rng: Rng,
    queues: [Queue; QUEUES.len()],
    agents: Vec<floor::Agent>,
    /// Free places of agents by group, longest idle first.
    idle: [VecDeque<floor::Idle>; centre::GROUPS.len()],
    day: demand::Today,
    customers: u32,
    /// Event of the last midnight, which comes after everything else.
    closing: Option<Event>,
}

/// The next numbers of everything that is numbered.
#[derive(Default)]
struct Counters {
    contact: u32,
    visit: u32,
    leg: u32,
    cost: u32,
    staff_survey: u32,
    planned: u64,
}

/// A contact on its way.
#[derive(Clone, Debug)]
struct Contact {
    no: u32,
    customer: Option<u32>,
    channel: Channel,
    purpose: Purpose,
    reason: u8,
    test: bool,
    /// Has a reason been given?
    classified: bool,
    events: u16,
    visits: u8,
    legs: u8,
    offers: u8,
    transfers: u8,
    messages: u8,
    visit: Option<Visit>,
    call: Option<Call>,
    /// What it returns, if it is a call back.
    callback: Option<u32>,
    /// The case that it is about from its begin.
    case: Option<u32>,
}

impl Default for Contact {
    fn default() -> Self {
        Contact {
            no: 0,
            customer: None,
            channel: Channel::Voice,
            purpose: Purpose::Service,
            reason: 0,
            test: false,
            classified: false,
            events: 0,
            visits: 0,
            legs: 0,
            offers: 0,
            transfers: 0,
            messages: 0,
            visit: None,
            call: None,
            callback: None,
            case: None,
        }
    }
}

/// A stay in a queue that is not over.
#[derive(Clone, Copy, Debug)]
struct Visit {
    ledger: u32,
    queue: u8,
    kind: VisitKind,
    entered: i64,
    ringing: Option<(u16, u8)>,
}

/// An agent's connection that is not over.
#[derive(Clone, Copy, Debug)]
struct Call {
    agent: u16,
    leg: u8,
    ledger: u32,
    /// The visit that it was answered from, in the ledger.
    visit: u32,
    queue: Option<u8>,
    /// Connected at.
    since: i64,
    hold_ms: i64,
}

impl Call {
    /// As it is before anyone was put on hold.
    const fn fresh(self) -> Self {
        Call { hold_ms: 0, ..self }
    }
}

/// A contact, as actions name it: its place, and its number because places are used again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Key {
    place: u32,
    no: u32,
}

/// Who waits in a queue.
#[derive(Default)]
struct Queue {
    first: VecDeque<Waiting>,
    others: VecDeque<Waiting>,
    /// Visits that are not over.
    load: u32,
    /// Agents logged in who serve it.
    staffed: u32,
}

#[derive(Clone, Copy, Debug)]
struct Waiting {
    key: Key,
    visit: u32,
    entered: i64,
}

/// What is to be done at a moment.
#[derive(Clone, Copy, Debug)]
enum Action {
    NewDay,
    NewQuarter,
    Arrive(demand::Wish),
    Enter(Key, u8, Via),
    Exit(Key, u32, queueing::Exit),
    RingEnd(Key, u16, u8, events::OfferOutcome),
    Transfer(Key, calls::Transfer),
    TakeOver(Key, u16),
    Consult(Key, i64),
    Free(u16),
    Floor(u16, floor::Step),
    Return(u32),
    Survey(aftermath::Answer),
    Evaluate(aftermath::Sample),
    PlaceOrder(shop::Basket),
    Order(u32, shop::Step),
    Report(cases::Report),
    WebForm(u32, u8),
    /// A step of a case, if it is still the one of that number.
    Case(u32, u32, cases::Step),
    StaffAnswer(staff::Answer),
}

struct Due {
    at: i64,
    order: u64,
    action: Action,
}

impl PartialEq for Due {
    fn eq(&self, other: &Self) -> bool {
        (self.at, self.order) == (other.at, other.order)
    }
}
impl Eq for Due {}
impl PartialOrd for Due {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for Due {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.at, self.order).cmp(&(other.at, other.order))
    }
}

/// Events that are certain but not yet due, with what the ledger is told when they come out.
#[derive(Default)]
struct Outbox {
    due: BinaryHeap<Reverse<(i64, u64, u32)>>,
    waiting: Vec<Option<(Event, Option<Note>)>>,
    free: Vec<u32>,
}

impl Outbox {
    fn push(&mut self, order: u64, event: Event, note: Option<Note>) {
        let at = event.occurred_at.0;
        let place = self.free.pop().unwrap_or_else(|| {
            self.waiting.push(None);
            u32::try_from(self.waiting.len() - 1).expect("fewer than 2^32 events wait")
        });
        self.waiting[place as usize] = Some((event, note));
        self.due.push(Reverse((at, order, place)));
    }

    fn next_at(&self) -> Option<i64> {
        self.due.peek().map(|Reverse((at, _, _))| at / 1_000)
    }

    fn pop(&mut self) -> Option<(Event, Option<Note>)> {
        let Reverse((_, _, place)) = self.due.pop()?;
        self.free.push(place);
        self.waiting[place as usize].take()
    }
}

impl World {
    /// A world without a ledger.
    ///
    /// # Errors
    /// A configuration outside its limits.
    pub fn new(config: &Config) -> Result<Self, ConfigError> {
        Self::build(config, false)
    }

    /// A world with a ledger, which takes some 200 bytes for every contact.
    ///
    /// # Errors
    /// A configuration outside its limits.
    pub fn with_ledger(config: &Config) -> Result<Self, ConfigError> {
        Self::build(config, true)
    }

    fn build(config: &Config, ledger: bool) -> Result<Self, ConfigError> {
        config.check()?;
        let zone = config.zone;
        let bad_start = || ConfigError::Start(config.start);
        let first = calendar::local_date(zone, config.start.0 / 1_000).ok_or_else(bad_start)?;
        let last = calendar::plus_days(first, config.days).ok_or_else(bad_start)?;
        let (start, end) = (
            calendar::midnight(zone, first),
            calendar::midnight(zone, last),
        );
        let mut world = World {
            zone,
            currency: config.currency.clone(),
            start,
            end,
            now: start,
            rng: Rng::new(config.seed),
            actions: BinaryHeap::new(),
            outbox: Outbox::default(),
            ledger: ledger.then(|| Ledger::new(start, end, zone)),
            counters: Counters::default(),
            contacts: Slab::new(),
            callbacks: Slab::new(),
            orders: Vec::new(),
            desk: cases::Desk::new(config.seed),
            staff_rng: Rng::stream(config.seed, "staff"),
            queues: Default::default(),
            agents: centre::staff(config.agents)
                .into_iter()
                .map(floor::Agent::new)
                .collect(),
            idle: Default::default(),
            day: demand::Today::new(first),
            customers: (config.agents * 1_500).max(500),
            closing: None,
        };
        world.introduce_agents();
        world.plan(start, Action::NewDay);
        Ok(world)
    }

    /// Begin of the world: a local midnight.
    pub const fn start(&self) -> UtcMicros {
        UtcMicros(self.start * 1_000)
    }

    /// End of the world, a local midnight: the last watermark, up to which everything is known.
    pub const fn end(&self) -> UtcMicros {
        UtcMicros(self.end * 1_000)
    }

    /// How much of the simulated time has passed, 0 to 1.
    pub fn progress(&self) -> f64 {
        (self.now - self.start) as f64 / (self.end - self.start) as f64
    }

    /// The truth about the whole world; events that have not been taken yet still happen.
    /// `None` for a world without a ledger.
    pub fn into_ledger(mut self) -> Option<Ledger> {
        self.by_ref().for_each(drop);
        self.ledger
    }

    /// Counts what is planned, so that things of the same moment keep their order.
    fn order(&mut self) -> u64 {
        self.counters.planned += 1;
        self.counters.planned
    }

    /// Has something done at a moment, not before now.
    fn plan(&mut self, at: i64, action: Action) {
        let order = self.order();
        self.actions.push(Reverse(Due {
            at: at.max(self.now),
            order,
            action,
        }));
    }

    /// Lets an event come out at a moment, not before now.
    fn post(&mut self, at: i64, event_id: Text, data: impl Into<EventData>, note: Option<Note>) {
        let event = self.event(at, event_id, data.into());
        let order = self.order();
        self.outbox.push(order, event, note);
    }

    /// As [`Self::post`], for an event that replaces an earlier one.
    fn post_replacement(
        &mut self,
        (at, event_id, of): (i64, Text, Text),
        data: impl Into<EventData>,
        note: Option<Note>,
    ) {
        let mut event = self.event(at, event_id, data.into());
        event.correction = Some(Correction {
            of,
            op: events::CorrectionOp::Replace,
        });
        let order = self.order();
        self.outbox.push(order, event, note);
    }

    fn event(&self, at: i64, event_id: Text, data: EventData) -> Event {
        let at = UtcMicros(at.max(self.now) * 1_000);
        Event {
            tenant_id: Text::new_static(DEFAULT_TENANT),
            source: Text::new_static(SOURCE),
            event_id,
            source_seq: None,
            schema_version: 1,
            occurred_at: at,
            recorded_at: at,
            correction: None,
            data,
            attributes: Default::default(),
        }
    }

    /// Lets an event of a contact come out.
    fn tell(&mut self, key: Key, at: i64, data: impl Into<EventData>, note: Option<Note>) {
        let Some(contact) = self.contact(key) else {
            return;
        };
        contact.events += 1;
        let id = ids::contact_event(contact.no, contact.events);
        self.post(at, id, data, note);
    }

    /// The contact, if it is still there.
    fn contact(&mut self, key: Key) -> Option<&mut Contact> {
        self.contacts.get_mut(key.place).filter(|c| c.no == key.no)
    }

    fn act(&mut self, action: Action) {
        match action {
            Action::NewDay => self.new_day(),
            Action::NewQuarter => self.new_quarter(),
            Action::Arrive(wish) => self.arrive(wish),
            Action::Enter(key, queue, via) => self.enter(key, queue, via),
            Action::Exit(key, visit, exit) => self.exit(key, visit, exit),
            Action::RingEnd(key, agent, offer, outcome) => {
                self.ring_end(key, agent, offer, outcome);
            }
            Action::Transfer(key, transfer) => self.transfer(key, transfer),
            Action::TakeOver(key, agent) => self.take_over(key, agent),
            Action::Consult(key, rest_ms) => self.consult(key, rest_ms),
            Action::Free(agent) => self.free(agent),
            Action::Floor(agent, step) => self.floor(agent, step),
            Action::Return(callback) => self.return_call(callback),
            Action::Survey(answer) => self.answer_survey(answer),
            Action::Evaluate(sample) => self.evaluate(sample),
            Action::PlaceOrder(basket) => self.place_order(basket),
            Action::Order(order, step) => self.order_step(order, step),
            Action::Report(report) => self.take_report(report),
            Action::WebForm(customer, reason) => self.take_form(customer, reason),
            Action::Case(case, number, step) => self.case_step(case, number, step),
            Action::StaffAnswer(answer) => self.answer_of_employee(answer),
        }
    }
}

impl Iterator for World {
    type Item = Event;

    fn next(&mut self) -> Option<Event> {
        loop {
            let action_at = self.actions.peek().map_or(i64::MAX, |Reverse(due)| due.at);
            let event_at = self.outbox.next_at().unwrap_or(i64::MAX);
            if event_at.min(action_at) >= self.end {
                self.now = self.end;
                self.actions.clear();
                return self.closing.take();
            }
            if event_at <= action_at {
                let (event, note) = self.outbox.pop()?;
                self.now = event_at;
                if let (Some(ledger), Some(note)) = (&mut self.ledger, note) {
                    ledger.take(note);
                }
                return Some(event);
            }
            let Reverse(due) = self.actions.pop()?;
            self.now = due.at;
            self.act(due.action);
        }
    }
}
