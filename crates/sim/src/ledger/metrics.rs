//! The core KPIs, each counted on its own from the records.

use events::{CostPool, CostPurpose, Instrument, LeaveReason, VisitKind};

use super::{
    Ledger, Merge, SHORT_ABANDON_MS, Sink, THRESHOLD_MS, cases,
    records::{Contact, Cost, Leg, Order, Survey, Visit},
    repeats::Scope,
};

/// What a numerator is counted in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// Things.
    Count,
    /// Milliseconds.
    Ms,
    /// Ten-thousandths of the currency.
    Money,
    /// Points of a survey.
    Score,
}

/// A KPI that the ledger knows.
#[derive(Clone, Copy)]
pub struct Metric {
    /// KPI id.
    pub id: &'static str,
    /// Of the numerator.
    pub unit: Unit,
    /// The KPI is this × numerator / denominator.
    pub scale: f64,
    /// Has it a denominator?
    pub ratio: bool,
    /// Can it be cut by queue?
    pub by_queue: bool,
    pub(super) merge: Merge,
    pub(super) count: fn(&Ledger, &mut Sink),
}

type Count = fn(&Ledger, &mut Sink);

const fn ratio(id: &'static str, unit: Unit, count: Count) -> Metric {
    Metric {
        id,
        unit,
        scale: 1.0,
        ratio: true,
        by_queue: true,
        merge: Merge::Sum,
        count,
    }
}

const fn sum(id: &'static str, unit: Unit, count: Count) -> Metric {
    Metric {
        ratio: false,
        ..ratio(id, unit, count)
    }
}

const fn max(id: &'static str, count: Count) -> Metric {
    Metric {
        ratio: false,
        merge: Merge::Max,
        ..ratio(id, Unit::Ms, count)
    }
}

const fn distinct(id: &'static str, count: Count) -> Metric {
    Metric {
        ratio: false,
        merge: Merge::Distinct,
        ..ratio(id, Unit::Count, count)
    }
}

/// A ratio over what has no queue.
const fn unqueued(id: &'static str, count: Count) -> Metric {
    Metric {
        by_queue: false,
        ..ratio(id, Unit::Count, count)
    }
}

/// Money divided by things, or money alone: has no queue.
const fn money(id: &'static str, ratio_of: bool, count: Count) -> Metric {
    let metric = ratio(id, Unit::Money, count);
    Metric {
        scale: 0.0001,
        ratio: ratio_of,
        by_queue: false,
        ..metric
    }
}

/// Every KPI of the ledger.
pub static METRICS: &[Metric] = &[
    // ---- visits by entry ----------------------------------------------------------------------
    sum("offered", Unit::Count, |l, s| {
        visits(l, s, |v| !v.blocked())
    }),
    sum("offered_net", Unit::Count, |l, s| {
        visits(l, s, |v| !v.blocked() && !short(v))
    }),
    distinct("offered_interactions", |l, s| {
        for v in l.customer_visits().filter(|v| !v.blocked()) {
            s.add(Some(v.queue), Some(v.entered), v.contact.into(), -1);
        }
    }),
    sum("answered", Unit::Count, |l, s| {
        visits(l, s, Visit::answered)
    }),
    sum("abandoned", Unit::Count, |l, s| {
        visits(l, s, Visit::abandoned)
    }),
    sum("short_abandoned", Unit::Count, |l, s| visits(l, s, short)),
    ratio("answer_rate", Unit::Count, |l, s| {
        shares(l, s, Visit::answered, |v| !v.blocked() && !v.waiting());
    }),
    // ---- visits by leaving --------------------------------------------------------------------
    sum("answered_event", Unit::Count, |l, s| {
        left(l, s, Visit::answered)
    }),
    sum("abandoned_event", Unit::Count, |l, s| {
        left(l, s, Visit::abandoned)
    }),
    ratio("asa_event", Unit::Ms, |l, s| {
        for v in l.customer_visits() {
            let at = v.left.map(|(at, _)| at);
            let wait = if v.answered() { v.wait_ms(0) } else { 0 };
            s.add(Some(v.queue), at, wait, v.answered().into());
        }
    }),
    // ---- service level: count as met / denominator --------------------------------------------
    ratio("service_level", Unit::Count, |l, s| {
        shares(l, s, quick, |v| v.answered() || long_abandon(v));
    }),
    ratio("service_level_answered_only", Unit::Count, |l, s| {
        shares(l, s, quick, Visit::answered)
    }),
    ratio("service_level_all_abandons", Unit::Count, |l, s| {
        shares(l, s, quick, |v| v.answered() || v.abandoned());
    }),
    ratio("service_level_early_abandons_out", Unit::Count, |l, s| {
        shares(l, s, quick, |v| {
            v.answered() || (v.abandoned() && v.wait_ms(0) > THRESHOLD_MS)
        });
    }),
    ratio("service_level_early_abandons_met", Unit::Count, |l, s| {
        let met = |v: &Visit| (v.answered() || v.abandoned()) && v.wait_ms(0) <= THRESHOLD_MS;
        shares(l, s, met, |v| v.answered() || v.abandoned());
    }),
    ratio("service_level_flow_outs", Unit::Count, |l, s| {
        shares(l, s, quick, |v| {
            v.answered() || v.flowed_out() || long_abandon(v)
        });
    }),
    ratio("service_level_flow_outs_all", Unit::Count, |l, s| {
        shares(l, s, quick, |v| {
            v.answered() || v.flowed_out() || v.abandoned()
        });
    }),
    ratio("service_level_removed", Unit::Count, |l, s| {
        let met = |v: &Visit| {
            (v.answered() || v.abandoned() || v.left_by(LeaveReason::Callback))
                && v.wait_ms(0) <= THRESHOLD_MS
        };
        shares(l, s, met, |v| {
            v.answered() || v.abandoned() || v.flowed_out()
        });
    }),
    ratio("service_level_no_abandons", Unit::Count, |l, s| {
        shares(l, s, quick, |v| v.answered() || v.flowed_out());
    }),
    ratio("service_level_live", Unit::Count, |l, s| {
        for v in l.customer_visits() {
            let late = (v.waiting() || v.flowed_out()) && v.wait_ms(l.horizon) > THRESHOLD_MS;
            let base = v.answered() || long_abandon(v) || late;
            s.share(Some(v.queue), Some(v.entered), quick(v), base);
        }
    }),
    // ---- abandonment --------------------------------------------------------------------------
    ratio("abandon_rate", Unit::Count, |l, s| {
        shares(l, s, long_abandon, |v| v.answered() || long_abandon(v));
    }),
    ratio("abandon_rate_all", Unit::Count, |l, s| {
        shares(l, s, Visit::abandoned, |v| v.answered() || v.abandoned());
    }),
    ratio("abandon_rate_short_in_base", Unit::Count, |l, s| {
        shares(l, s, long_abandon, |v| v.answered() || v.abandoned());
    }),
    ratio("abandon_rate_of_offered", Unit::Count, |l, s| {
        shares(l, s, Visit::abandoned, |v| {
            v.answered() || v.abandoned() || v.flowed_out()
        });
    }),
    ratio("abandon_rate_flow_outs", Unit::Count, |l, s| {
        shares(l, s, long_abandon, |v| {
            v.answered() || v.flowed_out() || long_abandon(v)
        });
    }),
    ratio("abandon_rate_app_queue", Unit::Count, |l, s| {
        let lost = |v: &Visit| {
            v.abandoned() || v.left_by(LeaveReason::Timeout) || v.left_by(LeaveReason::LeaveEmpty)
        };
        shares(l, s, lost, |v| v.answered() || lost(v));
    }),
    ratio("abandon_rate_silent", Unit::Count, |l, s| {
        shares(
            l,
            s,
            |v| v.abandoned() || v.silent,
            |v| v.answered() || v.abandoned(),
        );
    }),
    ratio("abandon_rate_interaction", Unit::Count, |l, s| {
        for c in l.counted_contacts() {
            let abandoned = !c.handled && c.last_left == Some(LeaveReason::Abandoned);
            s.share(c.queue, c.started, abandoned, c.handled || abandoned);
        }
    }),
    // ---- waits --------------------------------------------------------------------------------
    ratio("asa", Unit::Ms, |l, s| waits(l, s, Visit::answered)),
    ratio("avg_wait", Unit::Ms, |l, s| {
        waits(l, s, |v| !v.waiting() && !v.blocked())
    }),
    ratio("avg_wait_abandoned", Unit::Ms, |l, s| {
        waits(l, s, Visit::abandoned)
    }),
    max("longest_wait", |l, s| {
        longest(l, s, |v| !v.waiting() && !v.blocked())
    }),
    max("longest_wait_answered", |l, s| {
        longest(l, s, Visit::answered)
    }),
    // ---- handling -----------------------------------------------------------------------------
    sum("handled", Unit::Count, |l, s| {
        legs(l, s, |g| i64::from(primary(g)), |_| false)
    }),
    ratio("aht", Unit::Ms, |l, s| legs(l, s, Leg::handle_ms, primary)),
    ratio("avg_dial", Unit::Ms, |l, s| {
        legs(l, s, |g| g.dial_ms, primary)
    }),
    ratio("avg_talk", Unit::Ms, |l, s| {
        legs(l, s, |g| g.talk_ms, primary)
    }),
    ratio("avg_hold", Unit::Ms, |l, s| {
        legs(l, s, |g| g.hold_ms, primary)
    }),
    ratio("avg_hold_held_only", Unit::Ms, |l, s| {
        legs(l, s, |g| g.hold_ms, |g| primary(g) && g.hold_ms > 0);
    }),
    ratio("hold_rate", Unit::Count, |l, s| {
        legs(l, s, |g| i64::from(primary(g) && g.hold_ms > 0), primary);
    }),
    sum("hold_time", Unit::Ms, |l, s| {
        legs(l, s, |g| g.hold_ms, |_| false)
    }),
    ratio("avg_acw", Unit::Ms, |l, s| {
        legs(l, s, |g| g.acw_ms, primary)
    }),
    ratio("avg_acw_when_used", Unit::Ms, |l, s| {
        legs(l, s, |g| g.acw_ms, |g| g.acw_ms > 0)
    }),
    sum("acw_time", Unit::Ms, |l, s| {
        legs(l, s, |g| g.acw_ms, |_| false)
    }),
    sum("talk_time", Unit::Ms, |l, s| {
        legs(l, s, |g| g.talk_ms, |_| false)
    }),
    sum("handle_time", Unit::Ms, |l, s| {
        legs(l, s, Leg::handle_ms, |_| false)
    }),
    ratio("aht_interaction", Unit::Ms, |l, s| {
        for c in l.counted_contacts() {
            let work_ms = if c.handled { c.handle_ms } else { 0 };
            s.add(c.queue, c.ended, work_ms, c.handled.into());
        }
    }),
    // ---- contacts -----------------------------------------------------------------------------
    sum("contacts", Unit::Count, |l, s| started(l, s, |_| true)),
    sum("assisted", Unit::Count, |l, s| started(l, s, |c| c.handled)),
    sum("contacts_handled", Unit::Count, |l, s| {
        ended(l, s, |c| c.handled, |_| false)
    }),
    ratio("transfer_rate", Unit::Count, |l, s| {
        ended(l, s, |c| c.handled && c.transfers > 0, |c| c.handled);
    }),
    ratio("transfers_per_handle", Unit::Count, |l, s| {
        for c in l.counted_contacts() {
            let transfers = if c.handled { c.transfers } else { 0 };
            s.add(c.queue, c.ended, transfers, c.handled.into());
        }
    }),
    ratio("transfer_rate_blind", Unit::Count, |l, s| {
        legs(l, s, |g| i64::from(primary(g) && g.sent_blind), primary);
    }),
    ratio("transfer_rate_external", Unit::Count, |l, s| {
        legs(l, s, |g| i64::from(primary(g) && g.sent_outside), primary);
    }),
    // ---- first contact resolution -------------------------------------------------------------
    ratio("fcr", Unit::Count, |l, s| {
        first_contacts(l, s, Scope::Issue, 7)
    }),
    ratio("fcr_1d", Unit::Count, |l, s| {
        first_contacts(l, s, Scope::Issue, 1)
    }),
    ratio("fcr_3d", Unit::Count, |l, s| {
        first_contacts(l, s, Scope::Issue, 3)
    }),
    ratio("fcr_14d", Unit::Count, |l, s| {
        first_contacts(l, s, Scope::Issue, 14)
    }),
    ratio("fcr_30d", Unit::Count, |l, s| {
        first_contacts(l, s, Scope::Issue, 30)
    }),
    ratio("fcr_any_issue", Unit::Count, |l, s| {
        first_contacts(l, s, Scope::Any, 7)
    }),
    ratio("fcr_any_attempt", Unit::Count, |l, s| {
        first_contacts(l, s, Scope::AnyAttempt, 7)
    }),
    ratio("fcr_net", Unit::Count, |l, s| {
        for (link, alone) in l.first_contacts(Scope::Issue, 7) {
            let counts = !link.not_resolvable_first;
            s.share(link.queue, Some(link.started), counts && alone, counts);
        }
    }),
    ratio("fcr_forward", Unit::Count, |l, s| {
        for link in l.links(Scope::Issue) {
            let known = l.matured(link.started, 7);
            let alone = !within(link.next_gap_ms, 7);
            s.share(link.queue, Some(link.started), known && alone, known);
        }
    }),
    ratio("fcr_agent_flag", Unit::Count, |l, s| {
        let resolved = |c: &Contact| c.handled && c.resolved == Some(true);
        ended(l, s, resolved, |c| c.handled && c.resolved.is_some());
    }),
    ratio("fcr_survey", Unit::Count, |l, s| {
        surveys(l, s, Instrument::ResolvedYn, |v| (v.score == 1).into());
    }),
    ratio("fcr_qa", Unit::Count, |l, s| {
        for e in l.evaluations.iter().filter(|e| !l.is_test(e.contact)) {
            s.share(e.queue, Some(e.at), e.solved, true);
        }
    }),
    unqueued("fcr_case", cases::in_one_contact),
    unqueued("fcr_one_touch", cases::in_one_touch),
    ratio("repeat_rate", Unit::Count, |l, s| {
        repeats(l, s, Scope::Issue)
    }),
    ratio("repeat_rate_any_issue", Unit::Count, |l, s| {
        repeats(l, s, Scope::Any)
    }),
    ratio("repeat_rate_forward", Unit::Count, |l, s| {
        for link in l.links(Scope::Issue) {
            let known = l.matured(link.started, 7);
            let again = within(link.next_gap_ms, 7);
            s.share(link.queue, Some(link.started), known && again, known);
        }
    }),
    Metric {
        ratio: true,
        ..distinct("repeat_customers", |l, s| {
            for link in l.links(Scope::Issue) {
                let customer = i64::from(link.customer);
                let again = within(link.prev_gap_ms, 7);
                let counted = if again { customer } else { -1 };
                s.add(link.queue, Some(link.started), counted, customer);
            }
        })
    },
    // ---- surveys ------------------------------------------------------------------------------
    ratio("csat", Unit::Count, |l, s| {
        surveys(l, s, Instrument::Csat5, |v| (v.score >= 4).into());
    }),
    ratio("csat_mean", Unit::Score, |l, s| {
        surveys(l, s, Instrument::Csat5, |v| v.score)
    }),
    ratio("csat_top1", Unit::Count, |l, s| {
        surveys(l, s, Instrument::Csat5, |v| (v.score == 5).into());
    }),
    ratio("csat_2point", Unit::Count, |l, s| {
        surveys(l, s, Instrument::Csat2, |v| (v.score == 1).into());
    }),
    ratio("csat_by_contact", Unit::Count, |l, s| {
        for v in l
            .counted_surveys()
            .filter(|v| v.instrument == Instrument::Csat5)
        {
            let contact_at = l.contacts[v.contact as usize].started;
            let known = contact_at.is_some_and(|at| l.matured(at, 14));
            s.share(v.queue, contact_at, known && v.score >= 4, known);
        }
    }),
    Metric {
        scale: 100.0,
        ..ratio("nps", Unit::Count, |l, s| {
            surveys(l, s, Instrument::Nps, |v| {
                i64::from(v.score >= 9) - i64::from(v.score <= 6)
            });
        })
    },
    Metric {
        scale: 100.0,
        ..ratio("nps_last_per_customer", Unit::Count, |l, s| {
            for v in l
                .counted_surveys()
                .filter(|v| v.instrument == Instrument::Nps)
            {
                if let Some(customer) = l.contacts[v.contact as usize].customer {
                    let above = i64::from(v.score >= 9) - i64::from(v.score <= 6);
                    s.last_word(v.queue, v.answered, customer, above);
                }
            }
        })
    },
    ratio("ces", Unit::Score, |l, s| {
        surveys(l, s, Instrument::Ces7, |v| v.score)
    }),
    ratio("ces_top3", Unit::Count, |l, s| {
        surveys(l, s, Instrument::Ces7, |v| (v.score >= 5).into());
    }),
    Metric {
        scale: 100.0,
        ..ratio("ces_index", Unit::Count, |l, s| {
            surveys(l, s, Instrument::Ces7, |v| {
                i64::from(v.score >= 6) - i64::from(v.score <= 3)
            });
        })
    },
    Metric {
        scale: 100.0,
        ..ratio("ces_net", Unit::Count, |l, s| {
            surveys(l, s, Instrument::Ces7, |v| {
                i64::from(v.score >= 5) - i64::from(v.score <= 3)
            });
        })
    },
    ratio("ces_effort", Unit::Score, |l, s| {
        surveys(l, s, Instrument::Ces5, |v| v.score)
    }),
    Metric {
        scale: 100.0,
        ..unqueued("enps", cases::recommend)
    },
    unqueued("esat", cases::content),
    // ---- orders -------------------------------------------------------------------------------
    sum("orders_placed", Unit::Count, |l, s| {
        orders(l, s, |_| true, |_| false, 0)
    }),
    sum("valid_orders", Unit::Count, |l, s| {
        orders(l, s, Order::valid, |_| false, 7)
    }),
    sum("net_orders", Unit::Count, |l, s| {
        orders(l, s, Order::net_kept, |_| false, 45)
    }),
    ratio("valid_order_rate", Unit::Count, |l, s| {
        orders(l, s, Order::valid, |_| true, 7)
    }),
    ratio("net_order_rate", Unit::Count, |l, s| {
        orders(l, s, Order::net_kept, |_| true, 45)
    }),
    // ---- money --------------------------------------------------------------------------------
    money("cost_total", false, |l, s| {
        costs(l, s, 0, |c| c.pool != CostPool::Media)
    }),
    money("sales_cost", false, |l, s| costs(l, s, 0, sales)),
    money("sales_cost_with_media", false, |l, s| {
        costs(l, s, 0, sales_with_media)
    }),
    money("labour_cost", false, |l, s| {
        costs(l, s, 0, |c| c.pool == CostPool::Labour)
    }),
    money("media_cost", false, |l, s| {
        costs(l, s, 0, |c| c.pool == CostPool::Media)
    }),
    money("cost_per_contact", true, |l, s| {
        costs(l, s, 0, |c| c.pool != CostPool::Media);
        ended(l, s, |_| false, |c| c.handled);
    }),
    money("cost_per_contact_labour", true, |l, s| {
        costs(l, s, 0, |c| c.pool == CostPool::Labour);
        ended(l, s, |_| false, |c| c.handled);
    }),
    money("cost_per_valid_order", true, |l, s| {
        costs(l, s, 7, sales);
        orders(l, s, |_| false, Order::valid, 7);
    }),
    money("cost_per_valid_order_with_media", true, |l, s| {
        costs(l, s, 7, sales_with_media);
        orders(l, s, |_| false, Order::valid, 7);
    }),
    money("cost_per_net_order", true, |l, s| {
        costs(l, s, 45, sales);
        orders(l, s, |_| false, Order::net_kept, 45);
    }),
    money("cost_per_net_order_with_media", true, |l, s| {
        costs(l, s, 45, sales_with_media);
        orders(l, s, |_| false, Order::net_kept, 45);
    }),
    money("cost_per_order_placed", true, |l, s| {
        costs(l, s, 0, sales);
        orders(l, s, |_| false, |_| true, 0);
    }),
];

fn short(v: &Visit) -> bool {
    v.abandoned() && v.wait_ms(0) < SHORT_ABANDON_MS
}

fn long_abandon(v: &Visit) -> bool {
    v.abandoned() && v.wait_ms(0) >= SHORT_ABANDON_MS
}

/// Answered within the threshold.
fn quick(v: &Visit) -> bool {
    v.answered() && v.wait_ms(0) <= THRESHOLD_MS
}

fn primary(leg: &Leg) -> bool {
    leg.role == super::LegRole::Primary
}

fn sales(cost: &Cost) -> bool {
    cost.pool != CostPool::Media && sales_with_media(cost)
}

fn sales_with_media(cost: &Cost) -> bool {
    cost.purpose == CostPurpose::Sales
}

fn within(gap_ms: Option<i64>, days: i64) -> bool {
    gap_ms.is_some_and(|gap| gap <= days * 86_400_000)
}

fn visits(l: &Ledger, s: &mut Sink, which: fn(&Visit) -> bool) {
    shares(l, s, which, |_| false);
}

fn shares(
    l: &Ledger,
    s: &mut Sink,
    above: impl Fn(&Visit) -> bool,
    below: impl Fn(&Visit) -> bool,
) {
    for v in l.customer_visits() {
        s.share(Some(v.queue), Some(v.entered), above(v), below(v));
    }
}

fn left(l: &Ledger, s: &mut Sink, which: fn(&Visit) -> bool) {
    for v in l.customer_visits() {
        s.share(Some(v.queue), v.left.map(|(at, _)| at), which(v), false);
    }
}

fn waits(l: &Ledger, s: &mut Sink, which: fn(&Visit) -> bool) {
    for v in l.customer_visits() {
        let wait = if which(v) { v.wait_ms(0) } else { 0 };
        s.add(Some(v.queue), Some(v.entered), wait, which(v).into());
    }
}

fn longest(l: &Ledger, s: &mut Sink, which: fn(&Visit) -> bool) {
    for v in l.customer_visits().filter(|v| which(v)) {
        s.add(Some(v.queue), Some(v.entered), v.wait_ms(0), 0);
    }
}

fn legs(l: &Ledger, s: &mut Sink, above: fn(&Leg) -> i64, below: fn(&Leg) -> bool) {
    for leg in l.legs.iter().flatten() {
        let listens = leg.role == super::LegRole::Listener;
        if !listens && !l.is_test(leg.contact) {
            s.add(leg.queue, leg.completed, above(leg), below(leg).into());
        }
    }
}

fn started(l: &Ledger, s: &mut Sink, which: fn(&Contact) -> bool) {
    for c in l.counted_contacts() {
        s.share(c.queue, c.started, which(c), false);
    }
}

fn ended(l: &Ledger, s: &mut Sink, above: fn(&Contact) -> bool, below: fn(&Contact) -> bool) {
    for c in l.counted_contacts() {
        s.share(c.queue, c.ended, above(c), below(c));
    }
}

fn first_contacts(l: &Ledger, s: &mut Sink, scope: Scope, days: i64) {
    for (link, alone) in l.first_contacts(scope, days) {
        s.share(link.queue, Some(link.started), alone, true);
    }
}

fn repeats(l: &Ledger, s: &mut Sink, scope: Scope) {
    for link in l.links(scope) {
        s.share(
            link.queue,
            Some(link.started),
            within(link.prev_gap_ms, 7),
            true,
        );
    }
}

fn surveys(l: &Ledger, s: &mut Sink, instrument: Instrument, above: fn(&Survey) -> i64) {
    for v in l.counted_surveys().filter(|v| v.instrument == instrument) {
        s.add(v.queue, Some(v.answered), above(v), 1);
    }
}

/// Orders placed long enough ago to be judged.
fn orders(
    l: &Ledger,
    s: &mut Sink,
    above: fn(&Order) -> bool,
    below: fn(&Order) -> bool,
    days: i64,
) {
    for o in l.orders.iter().flatten().filter(|o| !o.test) {
        let known = l.matured(o.placed, days);
        s.share(
            o.queue,
            Some(o.placed),
            known && above(o),
            known && below(o),
        );
    }
}

/// Cost of days that ended long enough ago.
fn costs(l: &Ledger, s: &mut Sink, days: i64, which: fn(&Cost) -> bool) {
    for c in l
        .costs
        .iter()
        .filter(|c| which(c) && l.matured(c.day.1, days))
    {
        s.add(None, Some(c.day.0), c.cents * 100, 0);
    }
}

impl Ledger {
    fn counted_contacts(&self) -> impl Iterator<Item = &Contact> {
        self.contacts
            .iter()
            .filter(|c| c.started.is_some() && !c.test)
    }

    fn customer_visits(&self) -> impl Iterator<Item = &Visit> {
        let counted = |v: &&Visit| v.kind == VisitKind::Customer && !self.is_test(v.contact);
        self.visits.iter().flatten().filter(counted)
    }

    fn counted_surveys(&self) -> impl Iterator<Item = &Survey> {
        self.surveys.iter().filter(|s| !self.is_test(s.contact))
    }

    fn is_test(&self, contact: u32) -> bool {
        self.contacts[contact as usize].test
    }
}
