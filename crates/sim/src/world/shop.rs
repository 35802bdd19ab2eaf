//! The shop: orders from calls and from the web, and what becomes of them.

use events::{
    Channel, Decimal, EventData, Money, NotificationSent, OrderCancelled, OrderDelivered,
    OrderExchanged, OrderKind, OrderLine, OrderPlaced, OrderRefunded, OrderRefused, OrderReturned,
    OrderShipped, OrderVerified, Text, UtcMicros, VerifyResult,
};

use super::{Action, Call, Contact, World};
use crate::{ids, ledger::Note};

const HOUR_MS: i64 = 3_600_000;
/// Articles with their price in hundredths.
const ARTICLES: [(&str, i64); 6] = [
    ("router", 29_900),
    ("phone", 259_900),
    ("sim-card", 2_990),
    ("headset", 39_900),
    ("warranty", 19_900),
    ("tv-box", 45_050),
];

/// An order, as the shop remembers it.
#[derive(Clone, Debug)]
pub(super) struct Order {
    lines: u8,
    gross_cents: i64,
    events: u8,
    notify: bool,
}

/// An order that is about to be placed.
#[derive(Clone, Copy, Debug)]
pub(super) struct Basket {
    customer: u32,
    test: bool,
    call: Option<Source>,
}

/// The call that an order comes from.
#[derive(Clone, Copy, Debug)]
struct Source {
    contact: u32,
    leg: u8,
    agent: u16,
    queue: Option<u8>,
}

/// What becomes of an order.
#[derive(Clone, Copy, Debug)]
pub(super) enum Step {
    Verify(VerifyResult),
    /// The check was wrong: a later look gives another result.
    Correct(VerifyResult),
    Cancel,
    Ship,
    Deliver,
    Refuse,
    Return,
    ReturnSome,
    Exchange,
    Refund,
}

impl World {
    /// The customer orders during a call.
    pub(super) fn basket(&mut self, contact: &Contact, call: &Call, at: i64) {
        // Who orders says who he is.
        let Some(customer) = contact.customer else {
            return;
        };
        let (leg, agent, queue) = (call.leg, call.agent, call.queue);
        let source = Source {
            contact: contact.no,
            leg,
            agent,
            queue,
        };
        let basket = Basket {
            customer,
            test: contact.test,
            call: Some(source),
        };
        self.plan(at, Action::PlaceOrder(basket));
    }

    /// Customers who order by themselves.
    pub(super) fn web_orders(&mut self, rate: f64, until: i64) {
        if rate <= 0.0 {
            return;
        }
        let mut at = self.now as f64 + self.rng.exponential(1.0 / rate);
        while at < until as f64 {
            let customer = self.rng.below(self.customers.into()) as u32 + 1;
            let basket = Basket {
                customer,
                test: false,
                call: None,
            };
            self.plan(at as i64, Action::PlaceOrder(basket));
            at += self.rng.exponential(1.0 / rate);
        }
    }

    pub(super) fn place_order(&mut self, basket: Basket) {
        let order = self.orders.len() as u32;
        let lines = self.lines();
        let gross_cents = lines.iter().map(|l| (l.value.amount.0 / 100) as i64).sum();
        let (offered, cross) = (self.rng.chance(400), self.rng.chance(300));
        let kinds = [
            OrderKind::New,
            OrderKind::Repeat,
            OrderKind::Upsell,
            OrderKind::CrossSell,
        ];
        let kind = kinds[self.rng.weighted(&[60, 25, 9, 6])];
        let notify = self.rng.chance(800);
        let promise_at = self.now + self.rng.between(72, 120) * HOUR_MS;
        let by_call = basket.call.is_some();
        self.orders.push(Order {
            lines: lines.len() as u8,
            gross_cents,
            events: 0,
            notify,
        });
        let data = OrderPlaced {
            order_id: Self::order_id(order),
            customer_id: ids::thing("cu", basket.customer, 6),
            interaction_id: basket.call.map(|s| ids::contact(s.contact)),
            leg_id: basket.call.map(|s| ids::part(s.contact, "l", s.leg)),
            agent_id: basket.call.map(|s| self.agent_id(s.agent)),
            channel: Some(if by_call {
                Channel::Voice
            } else {
                Channel::Web
            }),
            lines,
            kind,
            site_id: None,
            campaign: (!by_call).then_some(Text::new_static("spring")),
            upsell_offered: by_call.then_some(offered),
            cross_sell_offered: by_call.then_some(cross),
            promise_at: Some(UtcMicros(promise_at * 1_000)),
            notify_eligible: Some(notify),
            holdout: None,
            is_test: basket.test.then_some(true),
        };
        let queue = basket.call.and_then(|s| s.queue);
        let note = Note::OrderPlaced {
            order,
            at: self.now,
            queue,
            test: basket.test,
        };
        self.tell_order(order, data, Some(note));
        self.plan_check(order);
    }

    fn lines(&mut self) -> Vec<OrderLine> {
        let count = 1 + self.rng.weighted(&[70, 22, 8]) as u32;
        let line = |n: u32| {
            let (sku, cents) = self.rng.pick(&ARTICLES);
            let units = 1 + self.rng.weighted(&[85, 12, 3]) as i64;
            OrderLine {
                line_id: ids::thing("n", n, 1),
                sku: Text::new_static(sku),
                units,
                value: self.money(units * cents),
            }
        };
        (1..=count).map(line).collect()
    }

    fn money(&self, cents: i64) -> Money {
        Money {
            amount: Decimal(i128::from(cents) * 100),
            currency: self.currency.clone(),
        }
    }

    fn plan_check(&mut self, order: u32) {
        let results = [
            VerifyResult::Passed,
            VerifyResult::Failed,
            VerifyResult::Duplicate,
            VerifyResult::Fraud,
            VerifyResult::Unreachable,
            VerifyResult::Unpaid,
        ];
        let result = results[self.rng.weighted(&[910, 20, 15, 10, 25, 20])];
        let at = self.now + 60_000 + self.rng.exponential(1.5 * HOUR_MS as f64) as i64;
        self.plan(at, Action::Order(order, Step::Verify(result)));
        if self.rng.chance(20) {
            // Some are withdrawn before anyone has looked at them.
            self.plan(at - 30_000, Action::Order(order, Step::Cancel));
        }
    }

    fn order_id(order: u32) -> Text {
        ids::thing("o", order + 1, 7)
    }

    fn tell_order(&mut self, order: u32, data: impl Into<EventData>, note: Option<Note>) {
        let o = &mut self.orders[order as usize];
        o.events += 1;
        let id = ids::thing_event("o", order + 1, 7, o.events.into());
        self.post(self.now, id, data, note);
    }

    pub(super) fn order_step(&mut self, order: u32, step: Step) {
        match step {
            Step::Verify(result) => self.verify(order, result),
            Step::Correct(result) => self.correct(order, result),
            Step::Ship => self.ship(order),
            Step::Deliver => self.deliver(order),
            _ => self.change_order(order, step),
        }
    }

    fn after(&mut self, order: u32, (from_h, to_h): (i64, i64), step: Step) {
        let at = self.now + self.rng.between(from_h * HOUR_MS, to_h * HOUR_MS);
        self.plan(at, Action::Order(order, step));
    }

    fn verify(&mut self, order: u32, result: VerifyResult) {
        let passed = result == VerifyResult::Passed;
        let data = OrderVerified {
            order_id: Self::order_id(order),
            result,
        };
        self.tell_order(order, data, Some(Note::OrderVerified { order, passed }));
        match (passed, self.rng.below(1_000)) {
            (false, 0..60) => self.after(order, (2, 12), Step::Correct(VerifyResult::Passed)),
            (false, _) => {}
            (true, 0..10) => self.after(order, (1, 10), Step::Correct(VerifyResult::Duplicate)),
            (true, 10..70) => self.after(order, (1, 20), Step::Cancel),
            (true, _) => self.after(order, (20, 50), Step::Ship),
        }
    }

    fn correct(&mut self, order: u32, result: VerifyResult) {
        let o = &mut self.orders[order as usize];
        // The verification is the event before this one, or before a cancellation.
        let verified = o.events;
        o.events += 1;
        let number = |n: u8| ids::thing_event("o", order + 1, 7, n.into());
        let ids = (self.now, number(verified + 1), number(verified));
        let passed = result == VerifyResult::Passed;
        let data = OrderVerified {
            order_id: Self::order_id(order),
            result,
        };
        self.post_replacement(ids, data, Some(Note::OrderVerified { order, passed }));
        if passed {
            self.after(order, (10, 40), Step::Ship);
        }
    }

    fn ship(&mut self, order: u32) {
        let id = Self::order_id(order);
        let data = OrderShipped {
            order_id: id.clone(),
            line_ids: None,
            reason: None,
            value: None,
        };
        self.tell_order(order, data, Some(Note::OrderShipped { order }));
        if self.orders[order as usize].notify && self.rng.chance(900) {
            let kind = Text::new_static("shipped");
            let data = NotificationSent {
                order_id: Some(id),
                case_id: None,
                kind,
                proactive: true,
            };
            self.tell_order(order, data, None);
        }
        if self.rng.chance(10) {
            self.after(order, (1, 12), Step::Cancel);
        }
        let step = if self.rng.chance(45) {
            Step::Refuse
        } else {
            Step::Deliver
        };
        self.after(order, (20, 80), step);
    }

    fn deliver(&mut self, order: u32) {
        let order_id = Self::order_id(order);
        let data = OrderDelivered {
            order_id,
            line_ids: None,
            reason: None,
            value: None,
        };
        self.tell_order(order, data, None);
        match self.rng.below(1_000) {
            0..60 => self.after(order, (24, 400), Step::Return),
            60..85 => self.after(order, (24, 400), Step::ReturnSome),
            85..110 => self.after(order, (24, 400), Step::Exchange),
            _ => {}
        }
    }

    /// Changes that only say what happened.
    fn change_order(&mut self, order: u32, step: Step) {
        let order_id = Self::order_id(order);
        let o = self.orders[order as usize].clone();
        let (reason, value) = (
            Some(Text::new_static("customer")),
            Some(self.money(o.gross_cents)),
        );
        match step {
            Step::Cancel => {
                let data = OrderCancelled {
                    order_id,
                    line_ids: None,
                    reason,
                    value: None,
                };
                self.tell_order(order, data, Some(Note::OrderCancelled { order }));
            }
            Step::Refuse => {
                let data = OrderRefused {
                    order_id,
                    line_ids: None,
                    reason,
                    value: None,
                };
                self.tell_order(order, data, Some(Note::OrderRefused { order }));
            }
            Step::Return => {
                let data = OrderReturned {
                    order_id,
                    line_ids: None,
                    reason,
                    value: None,
                };
                self.tell_order(order, data, Some(Note::OrderReturned { order }));
                self.after(order, (24, 96), Step::Refund);
            }
            Step::ReturnSome if o.lines > 1 => {
                let line_ids = Some(vec![ids::thing("n", 1, 1)]);
                let data = OrderReturned {
                    order_id,
                    line_ids,
                    reason,
                    value: None,
                };
                self.tell_order(order, data, None);
            }
            Step::Exchange => {
                let data = OrderExchanged {
                    order_id,
                    line_ids: None,
                    reason,
                    value: None,
                };
                self.tell_order(order, data, None);
            }
            Step::Refund => {
                let data = OrderRefunded {
                    order_id,
                    line_ids: None,
                    reason: None,
                    value,
                };
                self.tell_order(order, data, None);
            }
            _ => {}
        }
    }
}
