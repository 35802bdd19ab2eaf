//! Agent profiles: who was in which team, at which site, at which time.
//!
//! What facts of contacts show of their agents. The table of the agents themselves is folded as any
//! other entity (`fold/employment.rs`), of the same events.

use std::sync::Arc;

use events::{Date, Event, EventData, Text, UtcMicros};
use hashbrown::{HashMap, HashSet};

use crate::fold::{Effective, effective};

/// Names of the lengths of service, each with its last day after the day of hire.
pub const TENURE_BANDS: [(i32, &str); 6] = [
    (30, "0-30d"),
    (90, "31-90d"),
    (180, "91-180d"),
    (365, "181-365d"),
    (730, "1-2y"),
    (i32::MAX, "2y+"),
];

const DAY_MICROS: i64 = 86_400_000_000;

/// Where an agent belongs from a moment on.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Profile {
    /// Start of validity.
    pub from: UtcMicros,
    /// Team; carried over from before where a change does not name it.
    pub team_id: Option<Text>,
    /// Site; carried over likewise.
    pub site_id: Option<Text>,
    /// Skills that the agent has; carried over likewise.
    pub skills: Option<Vec<Text>>,
    /// Contacts that the agent may have at a time: those of the channel with most, because
    /// channels exclude each other; carried over likewise.
    pub slots: Option<i64>,
    /// The latest day of hire; carried over likewise.
    pub hired_on: Option<Date>,
}

impl Profile {
    /// The length of service at a moment, of [`TENURE_BANDS`]. Days are those of UTC.
    pub fn tenure_band(&self, at: UtcMicros) -> Option<Text> {
        let today = at.0.div_euclid(DAY_MICROS);
        let days = today - i64::from(self.hired_on?.0);
        let band = TENURE_BANDS
            .iter()
            .find(|(last, _)| days <= i64::from(*last))?;
        (days >= 0).then(|| Text::new_static(band.1))
    }
}

/// The profile history of all agents, made of `agent.profile_changed`, `agent.hired` and
/// `agent.capacity_changed` events; who has left keeps the last profile.
#[derive(Clone, Debug, Default)]
pub struct Profiles {
    tenants: HashMap<Text, Tenant>,
}

type Tenant = HashMap<Text, Agent>;

#[derive(Clone, Debug, Default)]
struct Agent {
    events: Vec<Arc<Event>>,
    /// By `from`, rising.
    changes: Vec<Profile>,
}

impl Profiles {
    /// Takes in the profile changes among some events, in order of arrival. Returns the agents
    /// whose history they change.
    pub fn learn<'a>(&mut self, events: impl IntoIterator<Item = &'a Arc<Event>>) -> Changed {
        let mut changed = Changed::default();
        for event in events {
            if let Some(agent_id) = profiled(&event.data) {
                let tenant = self.tenants.entry(event.tenant_id.clone()).or_default();
                let agent = tenant.entry(agent_id.clone()).or_default();
                agent.events.push(Arc::clone(event));
                changed
                    .agents
                    .insert((event.tenant_id.clone(), agent_id.clone()));
            }
        }
        for (tenant, agent) in &changed.agents {
            let known = self.tenants.get_mut(tenant).and_then(|t| t.get_mut(agent));
            if let Some(agent) = known {
                agent.changes = history(&agent.events);
            }
        }
        changed
    }

    /// A copy, if some of these events will change the profiles.
    pub(crate) fn clone_if_any(&self, events: &[Arc<Event>]) -> Option<Self> {
        let is_change = |e: &Arc<Event>| profiled(&e.data).is_some();
        events.iter().any(is_change).then(|| self.clone())
    }

    /// The profile of an agent at a time; `None` before the first one.
    pub fn at(&self, tenant_id: &str, agent_id: &str, at: UtcMicros) -> Option<&Profile> {
        let changes = &self.tenants.get(tenant_id)?.get(agent_id)?.changes;
        let later = changes.partition_point(|c| c.from <= at);
        changes.get(later.checked_sub(1)?)
    }

    /// The events behind the profiles.
    pub fn events(&self) -> impl Iterator<Item = &Event> {
        self.shared_events().map(|e| &**e)
    }

    pub(crate) fn shared_events(&self) -> impl Iterator<Item = &Arc<Event>> {
        self.tenants
            .values()
            .flat_map(HashMap::values)
            .flat_map(|a| &a.events)
    }
}

/// Agents with a new profile history.
#[derive(Clone, Debug, Default)]
pub struct Changed {
    agents: HashSet<(Text, Text)>,
}

impl Changed {
    pub(crate) fn is_empty(&self) -> bool {
        self.agents.is_empty()
    }

    /// May the facts of this event depend on one of these agents?
    pub(crate) fn touches(&self, event: &Event) -> bool {
        agent_of(&event.data).is_some_and(|agent| {
            self.agents
                .contains(&(event.tenant_id.clone(), agent.clone()))
        })
    }
}

/// The agent whose profile, or employment, an event changes. All of them are kept here, so that a
/// restored folder has every event of the agents that it knows.
pub fn profiled(data: &EventData) -> Option<&Text> {
    match data {
        EventData::AgentProfileChanged(d) => Some(&d.agent_id),
        EventData::AgentHired(d) => Some(&d.agent_id),
        EventData::AgentLeft(d) => Some(&d.agent_id),
        EventData::AgentCapacityChanged(d) => Some(&d.agent_id),
        _ => None,
    }
}

/// The agent whose profile an event's facts show.
fn agent_of(data: &EventData) -> Option<&Text> {
    match data {
        EventData::LegConnected(d) => Some(&d.agent_id),
        EventData::QueueLeft(d) => d.agent_id.as_ref(),
        EventData::OfferStarted(d) => Some(&d.agent_id),
        EventData::OfferEnded(d) => Some(&d.agent_id),
        EventData::SchedulePublished(d) => Some(&d.agent_id),
        EventData::SurveySent(d) => d.agent_id.as_ref(),
        EventData::SurveyAnswered(d) => d.agent_id.as_ref(),
        EventData::OrderPlaced(d) => d.agent_id.as_ref(),
        EventData::AgentSessionStarted(d) => Some(&d.agent_id),
        EventData::AgentSessionEnded(d) => Some(&d.agent_id),
        EventData::AgentStateChanged(d) => Some(&d.agent_id),
        EventData::AgentHeartbeat(d) => Some(&d.agent_id),
        _ => None,
    }
}

fn history(events: &[Arc<Event>]) -> Vec<Profile> {
    let known = effective(events.iter().map(|e| &**e));
    let mut changes: Vec<_> = known.events.iter().filter_map(change).collect();
    changes.sort_by_key(|c| c.from);
    for at in 1..changes.len() {
        let before = changes[at - 1].clone();
        let change = &mut changes[at];
        change.team_id = change.team_id.take().or(before.team_id);
        change.site_id = change.site_id.take().or(before.site_id);
        change.skills = change.skills.take().or(before.skills);
        change.slots = change.slots.or(before.slots);
        change.hired_on = change.hired_on.or(before.hired_on);
    }
    changes
}

fn change(known: &Effective<'_>) -> Option<Profile> {
    match &known.event.data {
        EventData::AgentProfileChanged(d) => Some(Profile {
            from: d.effective_from,
            team_id: d.team_id.clone(),
            site_id: d.site_id.clone(),
            skills: d.skills.clone(),
            ..Profile::default()
        }),
        EventData::AgentCapacityChanged(d) => Some(Profile {
            from: known.at,
            slots: d.slots.values().copied().max(),
            ..Profile::default()
        }),
        EventData::AgentHired(d) => Some(Profile {
            from: UtcMicros(i64::from(d.effective_on.0).saturating_mul(DAY_MICROS)),
            hired_on: Some(d.effective_on),
            ..Profile::default()
        }),
        _ => None,
    }
}
