//! The ledger's own records and how notes change them.

use chrono_tz::Tz;
use events::{CostPool, CostPurpose, Instrument, LeaveReason, VisitKind};

use super::{
    LegRole, Note,
    cases::{Case, Opinion},
};

/// Everything that happened, by the simulation's own knowledge. Made by
/// [`World::into_ledger`](crate::World::into_ledger).
#[derive(Clone, Debug)]
pub struct Ledger {
    /// Begin of the world, in milliseconds since 1970 UTC.
    pub(super) start: i64,
    /// End of the world: all that happened before is known.
    pub(super) horizon: i64,
    /// Where the centre is.
    pub(super) zone: Tz,
    pub(super) contacts: Vec<Contact>,
    pub(super) visits: Vec<Option<Visit>>,
    pub(super) legs: Vec<Option<Leg>>,
    pub(super) surveys: Vec<Survey>,
    pub(super) evaluations: Vec<Evaluation>,
    pub(super) orders: Vec<Option<Order>>,
    pub(super) costs: Vec<Cost>,
    pub(super) cases: Vec<Option<Case>>,
    /// Of employees.
    pub(super) opinions: Vec<Opinion>,
}

#[derive(Clone, Debug, Default)]
pub(super) struct Contact {
    pub(super) started: Option<i64>,
    pub(super) ended: Option<i64>,
    pub(super) customer: Option<u32>,
    /// The first contact of the chain, if this one is an outbound call back.
    pub(super) root: Option<u32>,
    pub(super) test: bool,
    pub(super) reason: Option<u8>,
    pub(super) not_resolvable_first: bool,
    pub(super) resolved: Option<bool>,
    pub(super) transfers: i64,
    pub(super) handled: bool,
    /// Of the first visit.
    pub(super) queue: Option<u8>,
    /// Of the last visit; `None` while it waits.
    pub(super) last_left: Option<LeaveReason>,
    pub(super) handle_ms: i64,
}

#[derive(Clone, Debug)]
pub(super) struct Visit {
    pub(super) contact: u32,
    pub(super) queue: u8,
    pub(super) kind: VisitKind,
    pub(super) entered: i64,
    pub(super) left: Option<(i64, LeaveReason)>,
    pub(super) silent: bool,
}

#[derive(Clone, Debug, Default)]
pub(super) struct Leg {
    pub(super) contact: u32,
    pub(super) queue: Option<u8>,
    pub(super) role: LegRole,
    pub(super) completed: Option<i64>,
    pub(super) dial_ms: i64,
    pub(super) talk_ms: i64,
    pub(super) hold_ms: i64,
    pub(super) acw_ms: i64,
    /// Ended in a transfer without announcement.
    pub(super) sent_blind: bool,
    /// Ended in a transfer out of the centre.
    pub(super) sent_outside: bool,
}

#[derive(Clone, Debug)]
pub(super) struct Survey {
    pub(super) contact: u32,
    pub(super) queue: Option<u8>,
    pub(super) instrument: Instrument,
    pub(super) score: i64,
    pub(super) answered: i64,
}

#[derive(Clone, Debug)]
pub(super) struct Evaluation {
    pub(super) contact: u32,
    pub(super) queue: Option<u8>,
    pub(super) at: i64,
    pub(super) solved: bool,
}

#[derive(Clone, Debug, Default)]
pub(super) struct Order {
    pub(super) placed: i64,
    pub(super) queue: Option<u8>,
    pub(super) test: bool,
    pub(super) passed: bool,
    pub(super) shipped: bool,
    pub(super) cancelled_unshipped: bool,
    pub(super) refused: bool,
    pub(super) returned: bool,
}

#[derive(Clone, Debug)]
pub(super) struct Cost {
    pub(super) day: (i64, i64),
    pub(super) pool: CostPool,
    pub(super) purpose: CostPurpose,
    pub(super) cents: i64,
}

impl Visit {
    pub(super) fn left_by(&self, reason: LeaveReason) -> bool {
        self.left.is_some_and(|(_, r)| r == reason)
    }

    pub(super) fn answered(&self) -> bool {
        self.left_by(LeaveReason::Answered)
    }

    pub(super) fn abandoned(&self) -> bool {
        self.left_by(LeaveReason::Abandoned)
    }

    pub(super) fn blocked(&self) -> bool {
        use LeaveReason::{Closed, Full, JoinEmpty};
        [Full, Closed, JoinEmpty].iter().any(|r| self.left_by(*r))
    }

    pub(super) fn waiting(&self) -> bool {
        self.left.is_none()
    }

    /// Left, but in none of the other ways.
    pub(super) fn flowed_out(&self) -> bool {
        !self.waiting() && !self.answered() && !self.abandoned() && !self.blocked()
    }

    /// Milliseconds from entry to leaving; while waiting, up to `until`.
    pub(super) fn wait_ms(&self, until: i64) -> i64 {
        self.left.map_or(until, |(at, _)| at) - self.entered
    }
}

impl Leg {
    pub(super) fn handle_ms(&self) -> i64 {
        self.dial_ms + self.talk_ms + self.hold_ms + self.acw_ms
    }
}

impl Order {
    pub(super) fn valid(&self) -> bool {
        self.passed && !self.cancelled_unshipped
    }

    pub(super) fn net_kept(&self) -> bool {
        self.valid() && self.shipped && !self.refused && !self.returned
    }
}

impl Ledger {
    pub(crate) fn new(start: i64, horizon: i64, zone: Tz) -> Self {
        Ledger {
            start,
            horizon,
            zone,
            contacts: Vec::new(),
            visits: Vec::new(),
            legs: Vec::new(),
            surveys: Vec::new(),
            evaluations: Vec::new(),
            orders: Vec::new(),
            costs: Vec::new(),
            cases: Vec::new(),
            opinions: Vec::new(),
        }
    }

    /// Takes note. The simulation numbers the records; what has not begun by the horizon has a
    /// number and no record.
    pub(crate) fn take(&mut self, note: Note) {
        match note {
            Note::ContactStarted { .. }
            | Note::ContactIdentified { .. }
            | Note::ContactClassified { .. }
            | Note::ContactResolved { .. }
            | Note::ContactEnded { .. } => self.take_contact(note),
            Note::VisitEntered { .. } | Note::VisitLeft { .. } | Note::VisitSilent { .. } => {
                self.take_visit(note);
            }
            Note::LegConnected { .. }
            | Note::LegTakesOver { .. }
            | Note::LegDisconnected { .. }
            | Note::LegWrappedUp { .. }
            | Note::Transferred { .. } => self.take_leg(note),
            Note::SurveyAnswered { .. } | Note::Evaluated { .. } => self.take_verdict(note),
            Note::CostPosted {
                day,
                pool,
                purpose,
                cents,
            } => {
                self.costs.push(Cost {
                    day,
                    pool,
                    purpose,
                    cents,
                });
            }
            Note::OrderPlaced { .. }
            | Note::OrderVerified { .. }
            | Note::OrderCancelled { .. }
            | Note::OrderShipped { .. }
            | Note::OrderRefused { .. }
            | Note::OrderReturned { .. } => self.take_order(note),
            Note::EmployeeAnswered { .. } => self.take_opinion(note),
            _ => self.take_case(note),
        }
    }

    /// What a customer or an evaluator says of a contact.
    fn take_verdict(&mut self, note: Note) {
        match note {
            Note::SurveyAnswered {
                contact,
                queue,
                instrument,
                score,
                at,
            } => {
                self.surveys.push(Survey {
                    contact,
                    queue,
                    instrument,
                    score,
                    answered: at,
                });
            }
            Note::Evaluated {
                contact,
                queue,
                at,
                solved,
            } => {
                self.evaluations.push(Evaluation {
                    contact,
                    queue,
                    at,
                    solved,
                });
            }
            _ => {}
        }
    }

    fn contact(&mut self, contact: u32) -> &mut Contact {
        let i = contact as usize;
        if self.contacts.len() <= i {
            self.contacts.resize(i + 1, Contact::default());
        }
        &mut self.contacts[i]
    }

    fn take_contact(&mut self, note: Note) {
        match note {
            Note::ContactStarted {
                contact,
                root,
                at,
                customer,
                test,
            } => {
                let c = self.contact(contact);
                (c.started, c.root, c.customer, c.test) = (Some(at), root, customer, test);
            }
            Note::ContactIdentified { contact, customer } => {
                self.contact(contact).customer = Some(customer);
            }
            Note::ContactClassified {
                contact,
                reason,
                not_resolvable_first,
            } => {
                let c = self.contact(contact);
                (c.reason, c.not_resolvable_first) = (Some(reason), not_resolvable_first);
            }
            Note::ContactResolved { contact, resolved } => {
                self.contact(contact).resolved = resolved;
            }
            Note::ContactEnded { contact, at } => self.contact(contact).ended = Some(at),
            _ => {}
        }
    }

    fn take_visit(&mut self, note: Note) {
        match note {
            Note::VisitEntered {
                visit,
                contact,
                queue,
                kind,
                at,
            } => {
                let (left, silent) = (None, false);
                let v = Visit {
                    contact,
                    queue,
                    kind,
                    entered: at,
                    left,
                    silent,
                };
                put(&mut self.visits, visit, v);
                if kind != VisitKind::Internal {
                    let c = self.contact(contact);
                    c.queue = c.queue.or(Some(queue));
                    c.last_left = None;
                }
            }
            Note::VisitLeft { visit, at, reason } => {
                let v = get(&mut self.visits, visit);
                v.left = Some((at, reason));
                let (contact, kind) = (v.contact, v.kind);
                if kind != VisitKind::Internal {
                    self.contact(contact).last_left = Some(reason);
                }
            }
            Note::VisitSilent { visit } => get(&mut self.visits, visit).silent = true,
            _ => {}
        }
    }

    fn take_leg(&mut self, note: Note) {
        match note {
            Note::LegConnected {
                leg,
                contact,
                queue,
                role,
                dial_ms,
            } => {
                let l = Leg {
                    contact,
                    queue,
                    role,
                    dial_ms,
                    ..Leg::default()
                };
                put(&mut self.legs, leg, l);
                let c = self.contact(contact);
                c.handled |= role == LegRole::Primary;
                c.handle_ms += dial_ms;
            }
            Note::LegTakesOver { leg } => {
                let l = get(&mut self.legs, leg);
                l.role = LegRole::Primary;
                let contact = l.contact;
                self.contact(contact).handled = true;
            }
            Note::Transferred {
                contact,
                leg,
                blind,
                outside,
            } => {
                self.contact(contact).transfers += 1;
                let leg = get(&mut self.legs, leg);
                leg.sent_blind |= blind;
                leg.sent_outside |= outside;
            }
            Note::LegDisconnected {
                leg,
                at,
                talk_ms,
                hold_ms,
                done,
            } => {
                let l = get(&mut self.legs, leg);
                (l.talk_ms, l.hold_ms) = (talk_ms, hold_ms);
                l.completed = done.then_some(at);
                let (contact, role) = (l.contact, l.role);
                if role != LegRole::Listener {
                    self.contact(contact).handle_ms += talk_ms + hold_ms;
                }
            }
            Note::LegWrappedUp { leg, at, acw_ms } => {
                let l = get(&mut self.legs, leg);
                (l.acw_ms, l.completed) = (acw_ms, Some(at));
                let contact = l.contact;
                self.contact(contact).handle_ms += acw_ms;
            }
            _ => {}
        }
    }

    fn take_order(&mut self, note: Note) {
        match note {
            Note::OrderPlaced {
                order,
                at,
                queue,
                test,
            } => {
                put(
                    &mut self.orders,
                    order,
                    Order {
                        placed: at,
                        queue,
                        test,
                        ..Order::default()
                    },
                );
            }
            Note::OrderVerified { order, passed } => get(&mut self.orders, order).passed = passed,
            Note::OrderCancelled { order } => {
                let o = get(&mut self.orders, order);
                o.cancelled_unshipped = !o.shipped;
            }
            Note::OrderShipped { order } => get(&mut self.orders, order).shipped = true,
            Note::OrderRefused { order } => get(&mut self.orders, order).refused = true,
            Note::OrderReturned { order } => get(&mut self.orders, order).returned = true,
            _ => {}
        }
    }
}

/// Keeps a record under its number.
pub(super) fn put<T: Clone>(records: &mut Vec<Option<T>>, number: u32, record: T) {
    let i = number as usize;
    if records.len() <= i {
        records.resize(i + 1, None);
    }
    records[i] = Some(record);
}

/// The record of that number, which has begun.
pub(super) fn get<T>(records: &mut [Option<T>], number: u32) -> &mut T {
    records[number as usize]
        .as_mut()
        .expect("notes about a thing follow the note of its begin")
}
