//! The ledger against a second count of small worlds: from their events, by loops over everything.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use chrono_tz::Tz;
use events::{
    Actor, Channel, CostPool, CostPurpose, Direction, Event, EventData, Instrument, LeaveReason,
    Role, Text, VerifyResult, VisitKind,
};
use sim::{Bucket, Config, Grouping, Ledger, World};

const DAY_MS: i64 = 86_400_000;
/// Kathmandu is five and three quarter hours ahead of UTC, all year.
const KATHMANDU_MS: i64 = 20_700_000;

#[derive(Default)]
struct Visit {
    contact: Text,
    queue: Text,
    customer: bool,
    entered: i64,
    left: Option<(i64, LeaveReason)>,
}

#[derive(Default)]
struct Leg {
    contact: Text,
    agent: Text,
    queue: Option<Text>,
    role: Option<Role>,
    connected: i64,
    disconnected: Option<i64>,
    dial_ms: i64,
    holds: Vec<(i64, Option<i64>)>,
    acw: Vec<(i64, Option<i64>)>,
    transferred: bool,
}

#[derive(Default)]
struct Contact {
    customer: Option<Text>,
    root: Option<Text>,
    inbound: bool,
    test: bool,
    channel: Option<Channel>,
    started: i64,
    ended: Option<i64>,
    reason: Option<Text>,
    messages: Vec<(i64, Actor)>,
}

#[derive(Default)]
struct Order {
    placed: i64,
    test: bool,
    checks: Vec<(Text, VerifyResult)>,
    cancelled: Option<i64>,
    shipped: Option<i64>,
}

/// What was said of a case, one after the other.
#[derive(Default)]
struct Case {
    contacts: BTreeSet<Text>,
    replies: i64,
    /// Each with whether it was then solved.
    steps: Vec<(i64, bool)>,
    merged: bool,
}

/// Everything that the events say.
#[derive(Default)]
struct Seen {
    horizon: i64,
    start: i64,
    visits: BTreeMap<Text, Visit>,
    legs: BTreeMap<Text, Leg>,
    contacts: BTreeMap<Text, Contact>,
    orders: BTreeMap<Text, Order>,
    answers: Vec<(i64, Text, Instrument, i64)>,
    cases: BTreeMap<Text, Case>,
    /// Of employees.
    opinions: Vec<(i64, Instrument, i64)>,
    costs: Vec<(i64, i64, CostPool, CostPurpose, i128)>,
    handled: BTreeSet<Text>,
}

impl Seen {
    fn of(events: &[Event]) -> Self {
        let mut seen = Seen::default();
        for event in events {
            let at = event.occurred_at.0 / 1_000;
            seen.contact_event(at, &event.data);
            seen.visit_event(at, &event.data);
            seen.leg_event(at, &event.data);
            seen.case_event(at, &event.data);
            seen.other_event(at, event);
        }
        let primary = seen.legs.values().filter(|l| l.role == Some(Role::Primary));
        seen.handled = primary.map(|l| l.contact.clone()).collect();
        seen
    }

    fn contact_event(&mut self, at: i64, data: &EventData) {
        match data {
            EventData::InteractionStarted(e) => {
                let contact = Contact {
                    customer: e.customer_id.clone(),
                    root: e.root_id.clone(),
                    inbound: e.direction == Direction::Inbound,
                    test: e.is_test == Some(true),
                    channel: Some(e.channel),
                    started: at,
                    ..Contact::default()
                };
                self.contacts.insert(e.interaction_id.clone(), contact);
            }
            EventData::InteractionIdentified(e) => {
                self.contact(&e.interaction_id).customer = Some(e.customer_id.clone());
            }
            EventData::InteractionClassified(e) => {
                self.contact(&e.interaction_id).reason = Some(e.reason_code.clone());
            }
            EventData::InteractionEnded(e) => self.contact(&e.interaction_id).ended = Some(at),
            EventData::MessageSent(e) => {
                if let Some(contact) = &e.interaction_id {
                    self.contact(contact).messages.push((at, e.actor));
                }
            }
            _ => {}
        }
    }

    fn contact(&mut self, id: &Text) -> &mut Contact {
        self.contacts.get_mut(id).expect("a contact that has begun")
    }

    fn visit_event(&mut self, at: i64, data: &EventData) {
        match data {
            EventData::QueueEntered(e) => {
                let visit = Visit {
                    contact: e.interaction_id.clone(),
                    queue: e.queue_id.clone(),
                    customer: e.visit_kind == VisitKind::Customer,
                    entered: at,
                    left: None,
                };
                self.visits.insert(e.visit_id.clone(), visit);
            }
            EventData::QueueLeft(e) => {
                let visit = self
                    .visits
                    .get_mut(&e.visit_id)
                    .expect("a visit that has begun");
                visit.left = Some((at, e.reason));
            }
            _ => {}
        }
    }

    fn leg_event(&mut self, at: i64, data: &EventData) {
        if let EventData::LegConnected(e) = data {
            let queue = e.visit_id.as_ref().map(|v| self.visits[v].queue.clone());
            let leg = Leg {
                contact: e.interaction_id.clone(),
                agent: e.agent_id.clone(),
                queue,
                role: Some(e.role),
                connected: at,
                dial_ms: e.dial_ms.unwrap_or(0),
                ..Leg::default()
            };
            self.legs.insert(e.leg_id.clone(), leg);
            return;
        }
        let mut leg = |id: &Text, change: &dyn Fn(&mut Leg)| {
            change(self.legs.get_mut(id).expect("a leg that has begun"));
        };
        match data {
            EventData::LegRoleChanged(e) => leg(&e.leg_id, &|l| l.role = Some(e.role)),
            EventData::LegDisconnected(e) => leg(&e.leg_id, &|l| l.disconnected = Some(at)),
            EventData::HoldStarted(e) => leg(&e.leg_id, &|l| l.holds.push((at, None))),
            EventData::HoldEnded(e) => leg(&e.leg_id, &|l| {
                l.holds.last_mut().expect("a hold that has begun").1 = Some(at);
            }),
            EventData::AcwStarted(e) => leg(&e.leg_id, &|l| l.acw.push((at, None))),
            EventData::AcwEnded(e) => leg(&e.leg_id, &|l| {
                l.acw.last_mut().expect("work that has begun").1 = Some(at);
            }),
            EventData::TransferCompleted(e) => leg(&e.from_leg_id, &|l| l.transferred = true),
            _ => {}
        }
    }

    fn case_event(&mut self, at: i64, data: &EventData) {
        let (id, contact, step) = match data {
            EventData::MessageSent(e) => {
                let reply = e.public && e.actor == Actor::Agent;
                if let Some(id) = e.case_id.as_ref().filter(|_| reply) {
                    self.cases.get_mut(id).expect("a case that is open").replies += 1;
                }
                return;
            }
            EventData::CaseOpened(e) => {
                let before = self.cases.insert(e.case_id.clone(), Case::default());
                assert!(before.is_none(), "{} is opened twice", e.case_id);
                (&e.case_id, &e.interaction_id, None)
            }
            EventData::CaseStatusChanged(e) => {
                let case = self.cases.get_mut(&e.case_id).expect("a case that is open");
                case.merged |= e.merged_into.is_some();
                (&e.case_id, &e.interaction_id, None)
            }
            EventData::CaseSolved(e) => (&e.case_id, &e.interaction_id, Some(true)),
            EventData::CaseReopened(e) => (&e.case_id, &e.interaction_id, Some(false)),
            EventData::CaseClosed(e) => {
                let steps = &self.cases[&e.case_id].steps;
                let solved = steps.last().is_some_and(|(_, solved)| *solved);
                (&e.case_id, &e.interaction_id, (!solved).then_some(true))
            }
            _ => return,
        };
        let case = self.cases.get_mut(id).expect("a case that is open");
        case.contacts.extend(contact.clone());
        case.steps.extend(step.map(|solved| (at, solved)));
    }

    fn other_event(&mut self, at: i64, event: &Event) {
        match &event.data {
            EventData::SourceWatermark(e) => {
                self.horizon = e.complete_until.0 / 1_000;
                self.start = e.history_start.map_or(self.start, |t| t.0 / 1_000);
            }
            EventData::SurveyAnswered(e) => {
                let of_staff = matches!(e.instrument, Instrument::Enps | Instrument::Esat5);
                match &e.leg_id {
                    None if of_staff => self.opinions.push((at, e.instrument, e.score)),
                    leg => {
                        let leg = leg.clone().expect("surveys of customers name their leg");
                        self.answers.push((at, leg, e.instrument, e.score));
                    }
                }
            }
            EventData::CostPosted(e) => {
                let (from, to) = (e.period_start.0 / 1_000, e.period_end.0 / 1_000);
                self.costs
                    .push((from, to, e.pool, e.purpose, e.amount.amount.0));
            }
            EventData::OrderPlaced(e) => {
                let test = e.is_test == Some(true);
                let order = Order {
                    placed: at,
                    test,
                    ..Order::default()
                };
                self.orders.insert(e.order_id.clone(), order);
            }
            EventData::OrderVerified(e) => {
                let order = self
                    .orders
                    .get_mut(&e.order_id)
                    .expect("an order that was placed");
                if let Some(correction) = &event.correction {
                    order.checks.retain(|(id, _)| *id != correction.of);
                    assert!(order.checks.is_empty(), "a correction names the check");
                }
                order.checks.push((event.event_id.clone(), e.result));
            }
            EventData::OrderCancelled(e) => {
                let order = self
                    .orders
                    .get_mut(&e.order_id)
                    .expect("an order that was placed");
                order.cancelled.get_or_insert(at);
            }
            EventData::OrderShipped(e) => {
                let order = self
                    .orders
                    .get_mut(&e.order_id)
                    .expect("an order that was placed");
                order.shipped = Some(at);
            }
            _ => {}
        }
    }

    fn counts(&self, contact: &Text) -> bool {
        !self.contacts[contact].test
    }

    fn handled(&self, contact: &Text) -> bool {
        self.handled.contains(contact)
    }

    /// Talk, hold and after-call work of a leg whose end is known; `None` while it is open.
    fn work(&self, leg: &Leg) -> Option<(i64, i64, i64, i64)> {
        let over = leg.disconnected?;
        let hold: i64 = leg
            .holds
            .iter()
            .map(|(from, to)| to.unwrap_or(over) - from)
            .sum();
        let contact = &self.contacts[&leg.contact];
        let talk = match contact.channel {
            Some(Channel::Email) => {
                let replies = contact.messages.iter().filter(|(_, a)| *a == Actor::Agent);
                replies
                    .map(|(at, _)| (at - leg.connected).min(300_000))
                    .sum()
            }
            _ => over - leg.connected - hold,
        };
        let mut completed = over;
        let mut acw = 0;
        for (from, to) in &leg.acw {
            completed = (*to)?;
            acw += completed - from;
        }
        Some((talk, hold, acw, completed))
    }
}

/// Numerators and denominators by queue and instant.
type Counts = Vec<(Option<Text>, i64, i128, i128)>;

fn visits(
    seen: &Seen,
    count: impl Fn(&Visit, Option<(i64, LeaveReason)>) -> (i128, i128),
) -> Counts {
    let counted = seen
        .visits
        .values()
        .filter(|v| v.customer && seen.counts(&v.contact));
    counted
        .map(|v| {
            let left = v.left.map(|(at, reason)| (at - v.entered, reason));
            let (above, below) = count(v, left);
            (Some(v.queue.clone()), v.entered, above, below)
        })
        .collect()
}

fn service_level(seen: &Seen) -> Counts {
    visits(seen, |_, left| match left {
        Some((wait, LeaveReason::Answered)) => ((wait <= 20_000).into(), 1),
        Some((wait, LeaveReason::Abandoned)) => (0, (wait >= 5_000).into()),
        _ => (0, 0),
    })
}

fn service_level_live(seen: &Seen) -> Counts {
    use LeaveReason as R;
    visits(seen, |v, left| match left {
        Some((wait, R::Answered)) => ((wait <= 20_000).into(), 1),
        Some((wait, R::Abandoned)) => (0, (wait >= 5_000).into()),
        Some((_, R::Full | R::Closed | R::JoinEmpty)) => (0, 0),
        Some((wait, _)) => (0, (wait > 20_000).into()),
        None => (0, (seen.horizon - v.entered > 20_000).into()),
    })
}

fn offered(seen: &Seen) -> Counts {
    use LeaveReason as R;
    let blocked = |reason| matches!(reason, R::Full | R::Closed | R::JoinEmpty);
    visits(seen, |_, left| {
        ((!left.is_some_and(|(_, reason)| blocked(reason))).into(), 0)
    })
}

fn asa(seen: &Seen) -> Counts {
    visits(seen, |_, left| match left {
        Some((wait, LeaveReason::Answered)) => (wait.into(), 1),
        _ => (0, 0),
    })
}

fn legs(seen: &Seen, count: impl Fn((i64, i64, i64), &Leg) -> i64) -> Counts {
    let counted = seen.legs.values().filter(|l| seen.counts(&l.contact));
    counted
        .filter(|l| l.role != Some(Role::Monitor))
        .filter_map(|l| {
            let (talk, hold, acw, completed) = seen.work(l)?;
            let above = count((talk, hold, acw), l).into();
            Some((
                l.queue.clone(),
                completed,
                above,
                (l.role == Some(Role::Primary)).into(),
            ))
        })
        .collect()
}

fn transfer_rate(seen: &Seen) -> Counts {
    let counted = seen.contacts.iter().filter(|(_, c)| !c.test);
    counted
        .filter_map(|(id, c)| {
            let transferred = seen
                .legs
                .values()
                .any(|l| l.contact == *id && l.transferred);
            let handled = seen.handled(id);
            Some((
                None,
                c.ended?,
                (handled && transferred).into(),
                handled.into(),
            ))
        })
        .collect()
}

/// First contact resolution by comparing every contact with every other one.
fn fcr(seen: &Seen, days: i64, same_reason: bool, attempts: bool) -> Counts {
    let window = days * DAY_MS;
    let roots: Vec<Chain> = chains(seen);
    let mut counts = Vec::new();
    for (i, a) in roots.iter().enumerate() {
        if !a.handled || (same_reason && a.reason.is_none()) {
            continue;
        }
        let others = || {
            let same =
                |b: &&Chain| b.customer == a.customer && (!same_reason || b.reason == a.reason);
            roots
                .iter()
                .enumerate()
                .filter(move |(k, _)| *k != i)
                .map(|(_, b)| b)
                .filter(same)
        };
        let before = |b: &Chain| (b.started, &b.id) < (a.started, &a.id);
        let earlier = others()
            .filter(|b| b.handled && before(b))
            .any(|b| a.started - b.started <= window);
        let later = others()
            .filter(|b| (b.handled || attempts) && !before(b))
            .any(|b| b.started - a.started <= window);
        let known = a.started + window <= seen.horizon && a.started - seen.start >= window;
        if known && !earlier {
            counts.push((None, a.started, (!later).into(), 1));
        }
    }
    counts
}

struct Chain {
    id: Text,
    customer: Text,
    started: i64,
    reason: Option<Text>,
    handled: bool,
}

/// Inbound contacts of known customers, each with what the calls back add to it.
fn chains(seen: &Seen) -> Vec<Chain> {
    let mut chains = Vec::new();
    for (id, c) in seen.contacts.iter().filter(|(_, c)| c.inbound && !c.test) {
        let back: Vec<(&Text, &Contact)> = seen
            .contacts
            .iter()
            .filter(|(_, b)| b.root.as_ref() == Some(id))
            .collect();
        let Some(customer) = c.customer.clone() else {
            continue;
        };
        let later = back.iter().find_map(|(_, b)| b.reason.clone());
        chains.push(Chain {
            id: id.clone(),
            customer,
            started: c.started,
            reason: c.reason.clone().or(later),
            handled: seen.handled(id) || back.iter().any(|(b, _)| seen.handled(b)),
        });
    }
    chains
}

fn answers(seen: &Seen, instrument: Instrument, above: fn(i64) -> i64) -> Counts {
    let of_leg = |leg: &Text| &seen.legs[leg];
    let counted = seen
        .answers
        .iter()
        .filter(|(_, leg, _, _)| seen.counts(&of_leg(leg).contact));
    counted
        .filter(|(_, _, i, _)| *i == instrument)
        .map(|(at, leg, _, score)| (of_leg(leg).queue.clone(), *at, above(*score).into(), 1))
        .collect()
}

fn solved_cases(seen: &Seen, above: fn(&Case) -> bool) -> Counts {
    let counted = seen.cases.values().filter(|c| !c.merged);
    counted
        .filter_map(|c| {
            let (at, solved) = c.steps.last()?;
            solved.then(|| (None, *at, above(c).into(), 1))
        })
        .collect()
}

fn opinions(seen: &Seen, instrument: Instrument, above: fn(i64) -> i64) -> Counts {
    let counted = seen.opinions.iter().filter(|(_, i, _)| *i == instrument);
    counted
        .map(|(at, _, score)| (None, *at, above(*score).into(), 1))
        .collect()
}

fn valid_order_rate(seen: &Seen) -> Counts {
    let counted = seen.orders.values().filter(|o| !o.test);
    counted
        .filter(|o| o.placed + 7 * DAY_MS <= seen.horizon)
        .map(|o| {
            let passed = o
                .checks
                .last()
                .is_some_and(|(_, r)| *r == VerifyResult::Passed);
            let withdrawn = o.cancelled.is_some_and(|c| o.shipped.is_none_or(|s| c < s));
            (None, o.placed, (passed && !withdrawn).into(), 1)
        })
        .collect()
}

fn cost_per_valid_order(seen: &Seen) -> Counts {
    let sales = |pool, purpose| pool != CostPool::Media && purpose == CostPurpose::Sales;
    let costs = seen.costs.iter().filter(|(_, to, pool, purpose, _)| {
        sales(*pool, *purpose) && to + 7 * DAY_MS <= seen.horizon
    });
    let orders = valid_order_rate(seen)
        .into_iter()
        .map(|(q, at, valid, _)| (q, at, 0, valid));
    costs
        .map(|(from, _, _, _, amount)| (None, *from, *amount, 0))
        .chain(orders)
        .collect()
}

/// Compares one KPI in total, by hour in Kathmandu, and by queue and quarter hour.
fn compare(ledger: &Ledger, id: &str, counts: &Counts, queues: bool) {
    let hour = |at: i64| (at + KATHMANDU_MS).div_euclid(3_600_000) * 3_600_000 - KATHMANDU_MS;
    let quarter = |at: i64| at.div_euclid(900_000) * 900_000;
    type Start<'a> = &'a dyn Fn(i64) -> Option<i64>;
    let cuts: [(Bucket, bool, Start<'_>); 3] = [
        (Bucket::Total, false, &|_| None),
        (Bucket::Hour(Tz::Asia__Kathmandu), false, &|at| {
            Some(hour(at))
        }),
        (Bucket::QuarterHour, queues, &|at| Some(quarter(at))),
    ];
    for (bucket, by_queue, start) in cuts {
        let mut groups: BTreeMap<(Option<Text>, Option<i64>), (i128, i128)> = BTreeMap::new();
        for (queue, at, above, below) in counts {
            let queue = queue.clone().filter(|_| by_queue);
            let group = groups.entry((queue, start(*at))).or_default();
            *group = (group.0 + above, group.1 + below);
        }
        groups.retain(|_, counts| *counts != (0, 0));
        let rows = ledger
            .kpi(id, Grouping { bucket, by_queue })
            .expect("a KPI of the ledger");
        let counted = rows.into_iter().map(|r| {
            let start = r.bucket_start.map(|t| t.0 / 1_000);
            ((r.queue, start), (r.numerator, r.denominator.unwrap_or(0)))
        });
        let of_ledger: BTreeMap<_, _> = counted.filter(|(_, c)| *c != (0, 0)).collect();
        assert_eq!(of_ledger, groups, "{id} by {bucket:?}");
    }
}

fn compare_all(config: &Config) {
    let events: Vec<Event> = World::new(config).expect("valid").collect();
    let world = World::with_ledger(config).expect("valid");
    let ledger = world.into_ledger().expect("asked for");
    let seen = Seen::of(&events);
    for (id, counts) in visits_and_legs(&seen) {
        compare(&ledger, id, &counts, true);
    }
    for (id, counts) in surveys(&seen) {
        compare(&ledger, id, &counts, true);
    }
    for (id, counts) in contacts_and_orders(&seen) {
        compare(&ledger, id, &counts, false);
    }
    for (id, counts) in cases_and_employees(&seen) {
        compare(&ledger, id, &counts, false);
    }
}

fn visits_and_legs(seen: &Seen) -> Vec<(&'static str, Counts)> {
    let all = |(talk, hold, acw), leg: &Leg| talk + hold + acw + leg.dial_ms;
    vec![
        ("offered", offered(seen)),
        ("service_level", service_level(seen)),
        ("service_level_live", service_level_live(seen)),
        ("asa", asa(seen)),
        ("aht", legs(seen, all)),
        ("avg_talk", legs(seen, |(talk, _, _), _| talk)),
        ("avg_hold", legs(seen, |(_, hold, _), _| hold)),
        ("avg_acw", legs(seen, |(_, _, acw), _| acw)),
    ]
}

fn surveys(seen: &Seen) -> Vec<(&'static str, Counts)> {
    let nps = |score| i64::from(score >= 9) - i64::from(score <= 6);
    vec![
        (
            "csat",
            answers(seen, Instrument::Csat5, |s| (s >= 4).into()),
        ),
        ("nps", answers(seen, Instrument::Nps, nps)),
        ("ces", answers(seen, Instrument::Ces7, |score| score)),
    ]
}

fn contacts_and_orders(seen: &Seen) -> Vec<(&'static str, Counts)> {
    vec![
        ("transfer_rate", transfer_rate(seen)),
        ("fcr", fcr(seen, 7, true, false)),
        ("fcr_3d", fcr(seen, 3, true, false)),
        ("fcr_any_issue", fcr(seen, 7, false, false)),
        ("fcr_any_attempt", fcr(seen, 7, false, true)),
        ("valid_order_rate", valid_order_rate(seen)),
        ("cost_per_valid_order", cost_per_valid_order(seen)),
    ]
}

fn cases_and_employees(seen: &Seen) -> Vec<(&'static str, Counts)> {
    let net = |score| i64::from(score >= 9) - i64::from(score <= 6);
    vec![
        ("fcr_case", solved_cases(seen, |c| c.contacts.len() == 1)),
        ("fcr_one_touch", solved_cases(seen, |c| c.replies < 2)),
        ("enps", opinions(seen, Instrument::Enps, net)),
        (
            "esat",
            opinions(seen, Instrument::Esat5, |score| (score >= 4).into()),
        ),
    ]
}

#[test]
fn the_ledger_agrees_with_a_recount_of_the_events() {
    for (seed, days, agents) in [(1, 16, 2), (2, 15, 3), (3, 1, 24), (4, 1, 1)] {
        compare_all(&Config {
            seed,
            days,
            agents,
            ..Config::default()
        });
    }
}

#[test]
fn no_agent_has_two_calls_at_a_time() {
    let config = Config {
        seed: 6,
        days: 2,
        agents: 45,
        ..Config::default()
    };
    let events: Vec<Event> = World::new(&config).expect("valid").collect();
    let seen = Seen::of(&events);
    let mut by_agent: HashMap<&Text, BTreeSet<(i64, i64)>> = HashMap::new();
    let voice = |l: &&Leg| seen.contacts[&l.contact].channel == Some(Channel::Voice);
    for leg in seen
        .legs
        .values()
        .filter(voice)
        .filter(|l| l.agent.starts_with('a'))
    {
        if let Some((_, _, _, completed)) = seen.work(leg) {
            by_agent
                .entry(&leg.agent)
                .or_default()
                .insert((leg.connected, completed));
        }
    }
    for (agent, spans) in by_agent {
        let spans: Vec<_> = spans.into_iter().collect();
        assert!(spans.windows(2).all(|w| w[0].1 <= w[1].0), "{agent}");
    }
}
