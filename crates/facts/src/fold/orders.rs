//! Orders: what was placed, what became of it, what it is worth in the end.

use events::*;
use smol_str::format_smolstr;

use super::{
    Sink,
    drafts::*,
    gather::Gathered,
    interactions::{Story, clamped},
    sink::Flags,
};
use crate::Order;

/// What an order means for the contact that sold it.
#[derive(Debug)]
pub(crate) struct Sale {
    pub contact: Option<usize>,
    pub order_id: Text,
    pub valid: bool,
    pub net_kept: bool,
    pub value_net: Decimal,
    pub currency: Option<Text>,
}

/// Adds the rows of all orders.
pub(crate) fn order_rows(g: &Gathered<'_>, story: &Story<'_>, sink: &mut Sink<'_>) -> Vec<Sale> {
    let mut sales = Vec::new();
    for draft in g.orders.iter() {
        let Some(placed) = draft.placed else {
            note_missing_start(draft, sink);
            continue;
        };
        let (row, contact) = order_row(g, story, draft, placed, sink);
        sales.push(Sale {
            contact,
            order_id: row.order_id.clone(),
            valid: row.valid,
            net_kept: row.net_kept,
            value_net: row.value_net,
            currency: row.currency.clone(),
        });
        sink.rows.Order.push(row);
    }
    sales
}

/// Steps of an order that was never placed, as far as we know, make no row.
fn note_missing_start(draft: &OrderDraft<'_>, sink: &mut Sink<'_>) {
    if let Some(at) = draft.first_at {
        let entity = format_smolstr!("order:{}", draft.id);
        sink.issue_at(
            "missing_start",
            entity,
            Text::new_static("no order.placed"),
            at,
        );
    }
}

fn order_row(
    g: &Gathered<'_>,
    story: &Story<'_>,
    draft: &OrderDraft<'_>,
    placed: Said<'_, OrderPlaced>,
    sink: &mut Sink<'_>,
) -> (Order, Option<usize>) {
    let data = placed.data;
    let leg = story.legs.find(g, data.leg_id.as_ref());
    let contact = leg
        .map(|l| l.contact)
        .or_else(|| story.contact(g, data.interaction_id.as_ref(), placed.at));
    let leg_agent = leg.map(|l| &l.connected.data.agent_id);
    let agent = data.agent_id.as_ref().or(leg_agent);
    let worked_at = leg
        .filter(|_| agent == leg_agent)
        .map_or(placed.at, |l| l.connected.at);
    let profile = agent.and_then(|a| sink.profile(a, worked_at));
    let course = Course::new(draft, data, sink);
    let verified = draft.verified;
    let site_id = data
        .site_id
        .clone()
        .or_else(|| profile.and_then(|p| p.site_id.clone()));
    let about = contact.map(|c| &story.contacts[c]);
    let channel = data.channel.or(about.map(|c| c.channel));
    let row = Order {
        common: sink.common(false, course.flags),
        order_id: draft.id.clone(),
        customer_id: Some(data.customer_id.clone()),
        channel: channel.map(|c| Text::new_static(c.as_str())),
        site_id,
        campaign: data.campaign.clone(),
        interaction_id: about.map(|c| c.id.clone()).or(data.interaction_id.clone()),
        leg_id: data.leg_id.clone(),
        agent_id: agent.cloned(),
        team_id: profile.and_then(|p| p.team_id.clone()),
        queue_id: leg
            .and_then(|l| l.visit)
            .map(|at| story.visits.all[at].queue_id.clone()),
        placed_at: placed.at,
        verify_result: verified.map(|v| Text::new_static(v.data.result.as_str())),
        verified_at: verified.map(|v| v.at),
        promise_at: data.promise_at,
        kind: Text::new_static(data.kind.as_str()),
        upsell_offered: data.upsell_offered == Some(true),
        has_upsell: data.kind == OrderKind::Upsell,
        cross_sell_offered: data.cross_sell_offered == Some(true),
        has_cross_sell: data.kind == OrderKind::CrossSell,
        notify_eligible: data.notify_eligible == Some(true),
        notified: draft.notified,
        holdout: data.holdout == Some(true),
        ..course.row()
    };
    (row, contact)
}

/// What became of the lines of an order.
struct Course<'a> {
    lines: &'a [OrderLine],
    currency: Option<&'a Text>,
    steps: &'a [OrderStep<'a>],
    passed: bool,
    flags: Flags,
}

impl<'a> Course<'a> {
    fn new(draft: &'a OrderDraft<'a>, data: &'a OrderPlaced, sink: &mut Sink<'_>) -> Self {
        let mut flags = Flags::NONE;
        let currency = data.lines.first().map(|l| &l.value.currency);
        let given = draft.steps.iter().filter_map(|s| s.value);
        let mut money = data.lines.iter().map(|l| &l.value).chain(given);
        if money.any(|m| Some(&m.currency) != currency) {
            flags.set_if(Flags::MIXED_CURRENCY, true);
            let entity = format_smolstr!("order:{}", draft.id);
            let detail = Text::new_static("values in several currencies");
            sink.issue_at(
                "mixed_currency",
                entity,
                detail,
                draft.first_at.unwrap_or_default(),
            );
        }
        let passed = draft
            .verified
            .is_some_and(|v| v.data.result == VerifyResult::Passed);
        Course {
            lines: &data.lines,
            currency,
            steps: &draft.steps,
            passed,
            flags,
        }
    }

    fn first(&self, kind: StepKind) -> Option<UtcMicros> {
        self.of(kind).next().map(|s| s.at)
    }

    fn of(&self, kind: StepKind) -> impl Iterator<Item = &OrderStep<'a>> {
        self.steps.iter().filter(move |s| s.kind == kind)
    }

    fn value(&self, money: &Money) -> i128 {
        if Some(&money.currency) == self.currency {
            money.amount.0
        } else {
            0
        }
    }

    /// Which lines steps of one kind have touched, except those set in `without`; the moment when
    /// the last of all lines was; and the value that the steps name or the lines have.
    fn touched(&self, kind: StepKind, without: &[bool]) -> Touched {
        let mut lines = vec![false; self.lines.len()];
        let (mut all_at, mut value) = (None, 0);
        for step in self.of(kind) {
            let named = |line: &OrderLine| step.line_ids.is_none_or(|l| l.contains(&line.line_id));
            let (mut whole, mut lines_value) = (true, 0);
            for (at, line) in self.lines.iter().enumerate().filter(|(_, l)| named(l)) {
                if without[at] {
                    whole = false;
                } else if !lines[at] {
                    lines[at] = true;
                    lines_value += self.value(&line.value);
                }
            }
            value += match step.value {
                Some(given) if whole => self.value(given),
                _ => lines_value,
            };
            if all_at.is_none() && lines.iter().all(|touched| *touched) {
                all_at = Some(step.at);
            }
        }
        Touched {
            lines,
            all_at,
            value,
        }
    }

    /// The columns of the course.
    fn row(&self) -> Order {
        let none = vec![false; self.lines.len()];
        let exchanged = self.touched(StepKind::Exchanged, &none);
        let returned = self.touched(StepKind::Returned, &exchanged.lines);
        let cancelled = self.touched(StepKind::Cancelled, &none);
        let shipped_at = self.first(StepKind::Shipped);
        let refused_at = self.first(StepKind::Refused);
        let cancelled_before = cancelled
            .all_at
            .is_some_and(|at| shipped_at.is_none_or(|shipped| at < shipped));
        let valid = self.passed && !cancelled_before;
        let is_kept = shipped_at.is_some() && refused_at.is_none() && returned.all_at.is_none();
        let net_kept = valid && is_kept;
        let gross: i128 = self.lines.iter().map(|l| self.value(&l.value)).sum();
        let left = gross - returned.value - cancelled.value;
        Order {
            cancelled_at: cancelled.all_at,
            shipped_at,
            delivered_at: self.first(StepKind::Delivered),
            refused_at,
            returned_at: returned.all_at,
            exchanged_at: self.first(StepKind::Exchanged),
            refunded_at: self.first(StepKind::Refunded),
            valid,
            net_kept,
            lines: self.lines.len() as i64,
            lines_returned: returned.lines.iter().filter(|r| **r).count() as i64,
            units: self
                .lines
                .iter()
                .map(|l| l.units)
                .fold(0, i64::saturating_add),
            value_gross: clamped(gross),
            value_returned: clamped(returned.value),
            value_net: clamped(if net_kept { left } else { 0 }),
            currency: self.currency.cloned(),
            ..Order::default()
        }
    }
}

/// Lines of an order that one kind of step concerned.
struct Touched {
    lines: Vec<bool>,
    all_at: Option<UtcMicros>,
    value: i128,
}
