//! Interactions: the whole contact, seen over all its queues and agents.

use events::*;

use super::{
    Sink,
    contacts::{Contact, Contacts},
    drafts::*,
    gather::Gathered,
    legs::{Leg, Legs},
    orders::Sale,
    sink::Flags,
    visits::{Visit, Visits, union_ms},
};
use crate::Interaction;

/// Everything concluded about the contacts of an entity.
#[derive(Debug, Default)]
pub(crate) struct Story<'a> {
    pub contacts: Contacts<'a>,
    pub visits: Visits<'a>,
    pub legs: Legs<'a>,
    /// Visits of each contact, by entry.
    visits_of: Vec<Vec<usize>>,
    /// Legs of each contact, by connection.
    legs_of: Vec<Vec<usize>>,
}

impl<'a> Story<'a> {
    pub fn new(contacts: Contacts<'a>, visits: Visits<'a>, legs: Legs<'a>) -> Self {
        let mut visits_of = vec![Vec::new(); contacts.len()];
        let mut legs_of = vec![Vec::new(); contacts.len()];
        for (at, visit) in visits.all.iter().enumerate() {
            visits_of[visit.contact].push(at);
        }
        for list in &mut visits_of {
            list.sort_by_key(|&at| visits.all[at].entered_at);
        }
        for (at, leg) in legs.all.iter().enumerate() {
            legs_of[leg.contact].push(at);
        }
        Story {
            contacts,
            visits,
            legs,
            visits_of,
            legs_of,
        }
    }

    /// The contact that an interaction id names at a moment, if its events are known.
    pub fn contact(&self, g: &Gathered<'a>, id: Option<&Text>, at: UtcMicros) -> Option<usize> {
        Some(self.contacts.at(g.interactions.position(id?)?, at))
    }

    /// Visits of customers in a contact, by entry. Those that look for a consultant are not.
    pub fn visits_in(&self, contact: usize) -> impl Iterator<Item = &Visit<'a>> + Clone {
        let visits = self.visits_of[contact]
            .iter()
            .map(|&at| &self.visits.all[at]);
        visits.filter(|v| v.kind != VisitKind::Internal)
    }

    /// Legs of a contact, by connection.
    pub fn legs_in(&self, contact: usize) -> impl DoubleEndedIterator<Item = &Leg<'a>> + Clone {
        self.legs_of[contact].iter().map(|&at| &self.legs.all[at])
    }

    /// The last agent who helped in a contact.
    pub fn last_handled(&self, contact: usize) -> Option<&Leg<'a>> {
        self.legs_in(contact).rfind(|l| l.is_handled())
    }
}

impl<'a> InteractionDraft<'a> {
    /// The reason: an agent's word before an import's, a model's or a menu's; then the first.
    pub fn reason_code(&self) -> Option<&'a Text> {
        let trust = |by| match by {
            Classifier::Agent => 0,
            Classifier::Import => 1,
            Classifier::Model => 2,
            Classifier::Ivr => 3,
        };
        self.classified
            .iter()
            .min_by_key(|c| trust(c.by))
            .map(|c| &c.reason_code)
    }

    fn reason_codes(&self) -> Vec<Text> {
        let mut codes: Vec<Text> = self.reason_code().into_iter().cloned().collect();
        for said in &self.classified {
            if !codes.contains(&said.reason_code) {
                codes.push(said.reason_code.clone());
            }
        }
        codes
    }

    fn is_said(&self, mark: impl Fn(&InteractionClassified) -> Option<bool>) -> bool {
        self.classified.iter().any(|c| mark(c) == Some(true))
    }

    fn purpose(&self) -> Option<Purpose> {
        let said = self.classified.iter().rev().find_map(|c| c.purpose);
        said.or(self.started.and_then(|s| s.data.purpose))
    }
}

/// Adds the rows of all contacts.
pub(crate) fn interaction_rows(
    g: &Gathered<'_>,
    story: &Story<'_>,
    sales: &[Sale],
    sink: &mut Sink<'_>,
) {
    let mut sold = vec![Sold::default(); story.contacts.len()];
    for sale in sales {
        if let Some(contact) = sale.contact {
            sold[contact].add(sale);
        }
    }
    for (at, sold) in sold.into_iter().enumerate() {
        let row = interaction_row(g, story, at, sink);
        let row = with_sales(sold, with_agents(g, story, at, row, sink));
        sink.rows.Interaction.push(row);
    }
}

/// The columns that come from the contact itself and from its queues.
fn interaction_row(g: &Gathered<'_>, story: &Story<'_>, at: usize, sink: &Sink<'_>) -> Interaction {
    let contact = &story.contacts[at];
    let draft = &g.interactions[contact.draft];
    let started = draft.started.map(|s| s.data);
    let told = contact.end.and_then(|end| end.told);
    let visits = story.visits_in(at);
    let mut flags = Flags::NONE;
    flags.set_if(Flags::BAD_ORDER, contact.bad_order);
    let concluded = contact.inferred || (contact.end.is_some() && told.is_none());
    let abandoned = visits
        .clone()
        .last()
        .is_some_and(|v| v.reason == Some(LeaveReason::Abandoned));
    Interaction {
        common: sink.common(concluded, flags),
        interaction_id: contact.id.clone(),
        root_id: contact.root_id.clone(),
        parent_id: started.and_then(|s| s.parent_id.clone()),
        thread_id: contact.thread_id.clone(),
        customer_id: contact.customer_id.clone(),
        channel: Text::new_static(contact.channel.as_str()),
        direction: Text::new_static(contact.direction.as_str()),
        purpose: draft.purpose().map(|p| Text::new_static(p.as_str())),
        entry_point: started.and_then(|s| s.entry_point.clone()),
        language: started.and_then(|s| s.language.clone()),
        started_at: contact.started_at,
        ended_at: contact.end.map(|end| end.at),
        ended_by: told.map(|e| Text::new_static(e.ended_by.as_str())),
        end_reason: told.and_then(|e| e.end_reason.clone()),
        requested_agent: draft.ss_escalated || visits.clone().next().is_some(),
        abandoned,
        queue_visits: visits.clone().count() as i64,
        first_queue_id: visits.clone().next().map(|v| v.queue_id.clone()),
        last_queue_id: visits.clone().last().map(|v| v.queue_id.clone()),
        wait_ms: visits.clone().filter_map(Visit::wait_ms).sum(),
        first_reply_ms: first_reply_ms(draft, contact),
        ivr_routed: is_ivr_routed(draft, visits.clone().next()),
        escalated: draft.escalated,
        self_service: draft.self_service,
        ss_completed: draft.ss_completed,
        reason_code: draft.reason_code().cloned(),
        reason_codes: draft.reason_codes(),
        not_resolvable_first: draft.is_said(|c| c.not_resolvable_first),
        complaint: draft.is_said(|c| c.complaint),
        cancel_intent: draft.is_said(|c| c.cancel_intent),
        duplicate: draft.is_said(|c| c.duplicate),
        spam: draft.is_said(|c| c.spam),
        order_id: draft.classified.iter().find_map(|c| c.order_id.clone()),
        case_id: draft
            .classified
            .iter()
            .find_map(|c| c.case_id.as_ref())
            .or(draft.case_id)
            .cloned(),
        ..Interaction::default()
    }
}

/// Did a menu choose the first queue?
fn is_ivr_routed(draft: &InteractionDraft<'_>, first: Option<&Visit<'_>>) -> bool {
    first.is_some_and(|v| v.via() == Some(Via::Ivr) || (v.via().is_none() && draft.ivr))
}

fn first_reply_ms(draft: &InteractionDraft<'_>, contact: &Contact<'_>) -> Option<i64> {
    let within = |m: &&Message<'_>| {
        m.at >= contact.started_at && contact.until.is_none_or(|until| m.at < until)
    };
    let by_agent = |m: &&Message<'_>| m.data.actor == Actor::Agent && m.data.public;
    let reply = draft.messages.iter().filter(within).find(by_agent)?;
    Some(reply.at.ms_since(contact.started_at))
}

/// The columns that come from the legs.
fn with_agents(
    g: &Gathered<'_>,
    story: &Story<'_>,
    at: usize,
    mut row: Interaction,
    sink: &Sink<'_>,
) -> Interaction {
    let legs = story.legs_in(at);
    let handled = legs.clone().find(|l| l.is_handled());
    let first = handled.or_else(|| legs.clone().next());
    let counted = legs.clone().filter(|l| l.counts());
    let mut together = Vec::new();
    for leg in counted.clone() {
        leg.with_customer(g, &mut together);
    }
    let transfers = legs
        .clone()
        .flat_map(|l| &g.legs[l.draft].transfers)
        .map(|t| t.data);
    let escalates = |t: &TransferCompleted| t.reason == Some(TransferReason::Escalation);
    let dispositions = legs.clone().filter_map(|l| g.legs[l.draft].disposition);
    row.handled = handled.is_some();
    row.abandoned &= !row.handled;
    row.requested_agent |= row.handled;
    row.agent_legs = counted.clone().count() as i64;
    row.first_agent_id = first.map(|l| l.connected.data.agent_id.clone());
    row.first_team_id = first.and_then(|l| sink.team(&l.connected.data.agent_id, l.connected.at));
    row.handle_ms = counted
        .map(|l| l.work.handle_ms())
        .fold(0, i64::saturating_add);
    row.experience_ms = union_ms(&mut together);
    row.transfers = transfers.clone().count() as i64;
    row.transferred = row.transfers > 0;
    row.misrouted = handled.is_some_and(|l| is_misrouted(g, story, l));
    row.escalated |= transfers.clone().any(escalates);
    row.dispositioned = dispositions.clone().next().is_some();
    row.disposition_code = dispositions
        .clone()
        .filter_map(|d| d.codes.first())
        .next_back()
        .cloned();
    row.resolved = dispositions.filter_map(|d| d.resolved).next_back();
    row
}

/// Did the first agent have to send the contact elsewhere, for no reason of business?
fn is_misrouted(g: &Gathered<'_>, story: &Story<'_>, leg: &Leg<'_>) -> bool {
    let Some(transfer) = g.legs[leg.draft].transfers.first().map(|t| t.data) else {
        return false;
    };
    let queue = leg.visit.map(|at| &story.visits.all[at].queue_id);
    let elsewhere = match transfer.to_kind {
        TransferTarget::Queue => queue != Some(&transfer.to_id),
        TransferTarget::External => true,
        TransferTarget::Agent => false,
    };
    let wanted = matches!(
        transfer.reason,
        Some(TransferReason::Escalation | TransferReason::Business)
    );
    elsewhere && !wanted
}

/// A sum as a decimal; beyond the largest one there is no more.
pub(crate) fn clamped(sum: i128) -> Decimal {
    Decimal(sum.clamp(-Decimal::MAX, Decimal::MAX))
}

/// What was sold in one contact.
#[derive(Clone, Debug, Default)]
struct Sold {
    placed: i64,
    valid: i64,
    net: i64,
    value: Decimal,
    currency: Option<Text>,
    mixed: bool,
    order_id: Option<Text>,
}

impl Sold {
    fn add(&mut self, sale: &Sale) {
        self.placed += 1;
        self.valid += i64::from(sale.valid);
        self.net += i64::from(sale.net_kept);
        self.order_id.get_or_insert_with(|| sale.order_id.clone());
        if self.currency.is_none() {
            self.currency = sale.currency.clone();
        }
        if self.currency == sale.currency {
            self.value = clamped(self.value.0 + sale.value_net.0);
        } else {
            self.mixed = true;
        }
    }
}

fn with_sales(sold: Sold, mut row: Interaction) -> Interaction {
    row.orders_placed = sold.placed;
    row.orders_valid = sold.valid;
    row.orders_net = sold.net;
    row.value_net = sold.value;
    row.currency = sold.currency;
    row.order_id = row.order_id.or(sold.order_id);
    if sold.mixed {
        row.common.flags.push(Text::new_static("mixed_currency"));
    }
    row
}
