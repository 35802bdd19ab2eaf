//! Links: the ids that tie events into one entity.
//!
//! An entity is a connected component: events that share a link belong together, and so do all
//! that are tied through them. A contact with its visits, legs, surveys, orders and cases is one
//! entity; a callback belongs to the contact that asked for it. Ids are scoped by tenant.

use std::fmt;

use events::{Event, EventData, Text};

use crate::hash::{self, LinkMap};

/// What a link's id names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[allow(missing_docs)]
pub enum LinkKind {
    Interaction,
    Visit,
    Leg,
    Order,
    Survey,
    Case,
    Callback,
    SelfService,
    Evaluation,
    Cost,
    /// Sessions and states of one agent.
    Agent,
    /// Profile changes, hire, leaving and capacity of one agent.
    Profile,
    /// Schedules and absences of one agent.
    Plan,
    Customer,
    Forecast,
    Reference,
    Watermark,
    Message,
    Alert,
    /// An event that belongs to nothing else.
    Single,
}

/// Kinds of what is over one day: all that is tied to contacts, and alerts, which end like them.
/// Agents, profiles, plans, customers, forecasts, references and costs are not among them: what they
/// say is needed later.
const CONTACT_KINDS: [LinkKind; 11] = [
    LinkKind::Interaction,
    LinkKind::Visit,
    LinkKind::Leg,
    LinkKind::Order,
    LinkKind::Survey,
    LinkKind::Case,
    LinkKind::Callback,
    LinkKind::SelfService,
    LinkKind::Evaluation,
    LinkKind::Message,
    LinkKind::Alert,
];

impl LinkKind {
    /// The kind in the text form of a link.
    pub const fn as_str(self) -> &'static str {
        match self {
            LinkKind::Interaction => "interaction",
            LinkKind::Visit => "visit",
            LinkKind::Leg => "leg",
            LinkKind::Order => "order",
            LinkKind::Survey => "survey",
            LinkKind::Case => "case",
            LinkKind::Callback => "callback",
            LinkKind::SelfService => "self_service",
            LinkKind::Evaluation => "evaluation",
            LinkKind::Cost => "cost",
            LinkKind::Agent => "agent",
            LinkKind::Profile => "profile",
            LinkKind::Plan => "plan",
            LinkKind::Customer => "customer",
            LinkKind::Forecast => "forecast",
            LinkKind::Reference => "reference",
            LinkKind::Watermark => "watermark",
            LinkKind::Message => "message",
            LinkKind::Alert => "alert",
            LinkKind::Single => "event",
        }
    }

    /// Part of the stored hash: numbers are never reused.
    const fn number(self) -> u64 {
        match self {
            LinkKind::Interaction => 1,
            LinkKind::Visit => 2,
            LinkKind::Leg => 3,
            LinkKind::Order => 4,
            LinkKind::Survey => 5,
            LinkKind::Case => 6,
            LinkKind::Callback => 7,
            LinkKind::SelfService => 8,
            LinkKind::Evaluation => 9,
            LinkKind::Cost => 10,
            LinkKind::Agent => 11,
            LinkKind::Profile => 12,
            LinkKind::Plan => 13,
            LinkKind::Customer => 14,
            LinkKind::Forecast => 15,
            LinkKind::Reference => 16,
            LinkKind::Watermark => 17,
            LinkKind::Message => 18,
            LinkKind::Single => 19,
            LinkKind::Alert => 32,
        }
    }

    /// Do its events tell how far the sources have come? Alerts are what this program itself has
    /// found, and profiles are kept by other people than contacts are: no contact may be given up
    /// because of one.
    pub(crate) const fn tells_time(self) -> bool {
        !matches!(self, LinkKind::Alert | LinkKind::Profile)
    }

    /// Is it part of a contact's story, or an alert's?
    fn is_contact(self) -> bool {
        CONTACT_KINDS.contains(&self)
    }

    /// Do events of this kind make facts today? The others are only kept in the log.
    pub(crate) const fn is_folded(self) -> bool {
        !matches!(
            self,
            LinkKind::Watermark | LinkKind::Message | LinkKind::Single
        )
    }
}

/// One id that an event names. Its text form is `<kind>:<id>`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Link<'a> {
    /// What the id names.
    pub kind: LinkKind,
    /// The id.
    pub id: &'a str,
}

impl fmt::Display for Link<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.kind.as_str(), self.id)
    }
}

/// Is an entity with that name, as [`StoredEvent`](crate::StoredEvent) has it, a contact's, or an
/// alert?
pub fn is_contact_name(entity: &str) -> bool {
    let kind = entity.split_once(':').map(|(kind, _)| kind);
    CONTACT_KINDS
        .iter()
        .any(|known| kind == Some(known.as_str()))
}

/// Is the event part of a contact's story, or an alert's?
pub fn is_contact_event(event: &Event) -> bool {
    links(event).into_iter().all(|link| link.kind.is_contact())
}

/// Does the event tell how far the sources have come, as the fold sees it?
pub fn tells_time(event: &Event) -> bool {
    let kind = links(event).as_slice()[0].kind;
    kind.is_folded() && kind.tells_time()
}

/// Types of the events that are the floor's own work as it happens: contacts and what agents are at.
/// From the first of them to the last it is known that nothing else happened there. What is said of a
/// contact later on (its classification, the analysis of a talk), what is said about agents, plans
/// and references, and the lives of orders, surveys, cases and alerts go on while no floor is
/// connected.
pub const FLOOR_EVENTS: [&str; 31] = [
    "interaction.started",
    "interaction.identified",
    "interaction.ended",
    "selfservice.started",
    "selfservice.step",
    "selfservice.ended",
    "queue.entered",
    "estimate.announced",
    "offer.started",
    "offer.ended",
    "queue.left",
    "leg.connected",
    "leg.role_changed",
    "leg.disconnected",
    "hold.started",
    "hold.ended",
    "acw.started",
    "acw.ended",
    "transfer.initiated",
    "transfer.completed",
    "message.sent",
    "disposition.set",
    "callback.requested",
    "callback.scheduled",
    "callback.attempted",
    "callback.connected",
    "callback.closed",
    "agent.session_started",
    "agent.session_ended",
    "agent.state_changed",
    "agent.heartbeat",
];

/// The links of one event: one to four.
#[derive(Clone, Copy, Debug)]
pub struct Links<'a> {
    items: [Link<'a>; 4],
    len: usize,
}

impl<'a> Links<'a> {
    fn one(kind: LinkKind, id: &'a str) -> Self {
        Links {
            items: [Link { kind, id }; 4],
            len: 1,
        }
    }

    fn and(mut self, kind: LinkKind, id: &'a str) -> Self {
        debug_assert!(self.len < 4, "an event names at most four ids");
        self.items[self.len] = Link { kind, id };
        self.len += 1;
        self
    }

    fn maybe(self, kind: LinkKind, id: &'a Option<Text>) -> Self {
        match id {
            Some(id) => self.and(kind, id),
            None => self,
        }
    }

    /// All of them; the first is the one that the event is about.
    pub fn as_slice(&self) -> &[Link<'a>] {
        &self.items[..self.len]
    }
}

impl<'a> IntoIterator for Links<'a> {
    type Item = Link<'a>;
    type IntoIter = std::iter::Take<std::array::IntoIter<Link<'a>, 4>>;
    fn into_iter(self) -> Self::IntoIter {
        self.items.into_iter().take(self.len)
    }
}

/// The key of a link for indexes. It is stable for ever, so it may be stored.
pub fn link_hash(tenant_id: &str, link: Link<'_>) -> u64 {
    hash::bytes(
        hash::bytes(link.kind.number(), tenant_id.as_bytes()),
        link.id.as_bytes(),
    )
}

/// The keys of all links of an event.
pub fn event_links(event: &Event) -> impl Iterator<Item = u64> + '_ {
    links(event)
        .into_iter()
        .map(|link| link_hash(&event.tenant_id, link))
}

/// The links of an event: the first names what the event is about.
pub fn links(event: &Event) -> Links<'_> {
    use EventData as E;
    use LinkKind as K;
    match &event.data {
        E::InteractionStarted(d) => Links::one(K::Interaction, &d.interaction_id)
            .maybe(K::Interaction, &d.root_id)
            .maybe(K::Interaction, &d.parent_id),
        E::InteractionIdentified(d) => Links::one(K::Interaction, &d.interaction_id),
        E::InteractionClassified(d) => Links::one(K::Interaction, &d.interaction_id)
            .maybe(K::Order, &d.order_id)
            .maybe(K::Case, &d.case_id),
        E::InteractionEnded(d) => Links::one(K::Interaction, &d.interaction_id),
        E::SelfServiceStarted(d) => {
            Links::one(K::SelfService, &d.session_id).maybe(K::Interaction, &d.interaction_id)
        }
        E::SelfServiceStep(d) => Links::one(K::SelfService, &d.session_id),
        E::SelfServiceEnded(d) => Links::one(K::SelfService, &d.session_id),
        E::QueueEntered(d) => {
            Links::one(K::Interaction, &d.interaction_id).and(K::Visit, &d.visit_id)
        }
        E::EstimateAnnounced(d) => Links::one(K::Visit, &d.visit_id),
        E::OfferStarted(d) => Links::one(K::Visit, &d.visit_id),
        E::OfferEnded(d) => Links::one(K::Visit, &d.visit_id),
        E::QueueLeft(d) => Links::one(K::Visit, &d.visit_id).maybe(K::Leg, &d.leg_id),
        E::LegConnected(d) => Links::one(K::Interaction, &d.interaction_id)
            .and(K::Leg, &d.leg_id)
            .maybe(K::Visit, &d.visit_id),
        E::MessageSent(d) => message_links(d),
        E::CaseOpened(d) => Links::one(K::Case, &d.case_id)
            .maybe(K::Interaction, &d.interaction_id)
            .maybe(K::Case, &d.merged_into),
        E::CaseStatusChanged(d) => Links::one(K::Case, &d.case_id)
            .maybe(K::Interaction, &d.interaction_id)
            .maybe(K::Case, &d.merged_into),
        E::CaseEscalated(d) => case_links(&d.case_id, &d.interaction_id),
        E::CaseSolved(d) => case_links(&d.case_id, &d.interaction_id),
        E::CaseReopened(d) => case_links(&d.case_id, &d.interaction_id),
        E::CaseClosed(d) => case_links(&d.case_id, &d.interaction_id),
        E::EvaluationCompleted(d) => {
            Links::one(K::Evaluation, &d.evaluation_id).and(K::Leg, &d.leg_id)
        }
        E::EvaluationVoided(d) => {
            Links::one(K::Evaluation, &d.evaluation_id).maybe(K::Leg, &d.leg_id)
        }
        E::CostPosted(d) => Links::one(K::Cost, &d.cost_id),
        E::CustomerChanged(d) => Links::one(K::Customer, &d.customer_id),
        E::ForecastPublished(d) => Links::one(K::Forecast, &d.queue_id),
        E::TargetSet(d) => Links::one(K::Reference, &d.key),
        E::ReferenceChanged(d) => Links::one(K::Reference, &d.key),
        E::AlertChanged(d) => Links::one(K::Alert, &d.alert_id),
        E::AlertAcknowledged(d) => Links::one(K::Alert, &d.alert_id),
        E::SourceWatermark(_) => Links::one(K::Watermark, &event.source),
        other => leg_links(other)
            .or_else(|| callback_links(other))
            .or_else(|| order_links(other))
            .or_else(|| agent_links(other))
            .unwrap_or_else(|| Links::one(K::Single, &event.event_id)),
    }
}

fn message_links(d: &events::MessageSent) -> Links<'_> {
    match (&d.interaction_id, &d.case_id) {
        (Some(id), case) => Links::one(LinkKind::Interaction, id).maybe(LinkKind::Case, case),
        (None, Some(case)) => Links::one(LinkKind::Case, case),
        (None, None) => Links::one(LinkKind::Message, &d.message_id),
    }
}

fn case_links<'a>(case: &'a str, interaction: &'a Option<Text>) -> Links<'a> {
    Links::one(LinkKind::Case, case).maybe(LinkKind::Interaction, interaction)
}

fn leg_links(data: &EventData) -> Option<Links<'_>> {
    use EventData as E;
    let leg = |id| Links::one(LinkKind::Leg, id);
    Some(match data {
        E::LegRoleChanged(d) => leg(&d.leg_id),
        E::LegDisconnected(d) => leg(&d.leg_id),
        E::HoldStarted(d) => leg(&d.leg_id),
        E::HoldEnded(d) => leg(&d.leg_id),
        E::AcwStarted(d) => leg(&d.leg_id),
        E::AcwEnded(d) => leg(&d.leg_id),
        E::TransferInitiated(d) => leg(&d.from_leg_id).maybe(LinkKind::Leg, &d.to_leg_id),
        E::TransferCompleted(d) => leg(&d.from_leg_id).maybe(LinkKind::Leg, &d.to_leg_id),
        E::DispositionSet(d) => leg(&d.leg_id),
        E::AnalysisScored(d) => leg(&d.leg_id),
        _ => return None,
    })
}

fn callback_links(data: &EventData) -> Option<Links<'_>> {
    use EventData as E;
    fn all<'a>(id: &'a Text, visit: &'a Option<Text>, contact: &'a Option<Text>) -> Links<'a> {
        Links::one(LinkKind::Callback, id)
            .maybe(LinkKind::Visit, visit)
            .maybe(LinkKind::Interaction, contact)
    }
    Some(match data {
        E::CallbackRequested(d) => all(&d.callback_id, &d.visit_id, &d.interaction_id),
        E::CallbackScheduled(d) => all(&d.callback_id, &d.visit_id, &d.interaction_id),
        E::CallbackAttempted(d) => all(&d.callback_id, &d.visit_id, &d.interaction_id),
        E::CallbackConnected(d) => all(&d.callback_id, &d.visit_id, &d.interaction_id),
        E::CallbackClosed(d) => all(&d.callback_id, &d.visit_id, &d.interaction_id),
        _ => return None,
    })
}

fn order_links(data: &EventData) -> Option<Links<'_>> {
    use EventData as E;
    let order = |id| Links::one(LinkKind::Order, id);
    Some(match data {
        E::OrderPlaced(d) => order(&d.order_id)
            .maybe(LinkKind::Interaction, &d.interaction_id)
            .maybe(LinkKind::Leg, &d.leg_id),
        E::OrderVerified(d) => order(&d.order_id),
        E::OrderCancelled(d) => order(&d.order_id),
        E::OrderShipped(d) => order(&d.order_id),
        E::OrderDelivered(d) => order(&d.order_id),
        E::OrderRefused(d) => order(&d.order_id),
        E::OrderReturned(d) => order(&d.order_id),
        E::OrderExchanged(d) => order(&d.order_id),
        E::OrderRefunded(d) => order(&d.order_id),
        E::NotificationSent(d) => match (&d.order_id, &d.case_id) {
            (Some(id), case) => order(id).maybe(LinkKind::Case, case),
            (None, Some(case)) => Links::one(LinkKind::Case, case),
            (None, None) => return None,
        },
        E::SurveySent(d) => Links::one(LinkKind::Survey, &d.survey_id)
            .maybe(LinkKind::Interaction, &d.interaction_id)
            .maybe(LinkKind::Leg, &d.leg_id)
            .maybe(LinkKind::Case, &d.case_id),
        E::SurveyAnswered(d) => Links::one(LinkKind::Survey, &d.survey_id)
            .maybe(LinkKind::Interaction, &d.interaction_id)
            .maybe(LinkKind::Leg, &d.leg_id)
            .maybe(LinkKind::Case, &d.case_id),
        _ => return None,
    })
}

fn agent_links(data: &EventData) -> Option<Links<'_>> {
    use EventData as E;
    use LinkKind as K;
    Some(match data {
        E::AgentSessionStarted(d) => Links::one(K::Agent, &d.agent_id),
        E::AgentSessionEnded(d) => Links::one(K::Agent, &d.agent_id),
        E::AgentStateChanged(d) => Links::one(K::Agent, &d.agent_id),
        E::AgentHeartbeat(d) => Links::one(K::Agent, &d.agent_id),
        E::AgentProfileChanged(d) => Links::one(K::Profile, &d.agent_id),
        E::AgentCapacityChanged(d) => Links::one(K::Profile, &d.agent_id),
        E::AgentHired(d) => Links::one(K::Profile, &d.agent_id),
        E::AgentLeft(d) => Links::one(K::Profile, &d.agent_id),
        E::SchedulePublished(d) => Links::one(K::Plan, &d.agent_id),
        E::AbsenceRecorded(d) => Links::one(K::Plan, &d.agent_id),
        _ => return None,
    })
}

/// Groups things that stand for events into entities; keeps their order within each.
pub(crate) fn components<T>(items: Vec<T>, event: impl Fn(&T) -> &Event) -> Vec<Vec<T>> {
    let mut parents: Vec<usize> = (0..items.len()).collect();
    let mut first_with: LinkMap<usize> = LinkMap::default();
    for (at, item) in items.iter().enumerate() {
        for link in event_links(event(item)) {
            let first = *first_with.entry(link).or_insert(at);
            let (a, b) = (root(&mut parents, first), root(&mut parents, at));
            parents[a.max(b)] = a.min(b);
        }
    }
    let mut parts: Vec<Vec<T>> = Vec::new();
    parts.resize_with(items.len(), Vec::new);
    for (at, item) in items.into_iter().enumerate() {
        parts[root(&mut parents, at)].push(item);
    }
    parts.retain(|part| !part.is_empty());
    parts
}

fn root(parents: &mut [usize], mut at: usize) -> usize {
    while parents[at] != at {
        parents[at] = parents[parents[at]];
        at = parents[at];
    }
    at
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A new type has to be of one or the other: what is of neither tells nothing by accident.
    #[test]
    fn every_type_is_of_the_floor_or_is_known_not_to_be() {
        let apart = [
            "absence.",
            "alert.",
            "analysis.",
            "case.",
            "cost.",
            "customer.",
            "evaluation.",
            "forecast.",
            "notification.",
            "order.",
            "reference.",
            "schedule.",
            "source.",
            "survey.",
            "target.",
            "agent.capacity_changed",
            "agent.profile_changed",
            "agent.hired",
            "agent.left",
            "interaction.classified",
        ];
        let types = events::VOCABULARY.iter().map(|spec| spec.event_type);
        for name in types.clone() {
            let is_apart = apart.iter().any(|known| name.starts_with(known));
            assert_ne!(FLOOR_EVENTS.contains(&name), is_apart, "{name}");
        }
        let mut named = FLOOR_EVENTS.into_iter();
        assert!(named.all(|name| types.clone().any(|known| known == name)));
    }
}
