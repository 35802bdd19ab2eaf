//! The agent event stream: sessions, states, and what changed between two snapshots of an agent.
//!
//! Each event tells the agent's snapshot before and after it, so that every event can be understood
//! alone: nothing is remembered, and parts of a stream may be imported in any order.

use std::collections::BTreeMap;

use events::{
    AcwEnded, AcwStarted, AgentHeartbeat, AgentProfileChanged, AgentSessionEnded,
    AgentSessionStarted, AgentState, AgentStateChanged, HoldEnded, HoldStarted, LegConnected,
    LegDisconnected, OfferEnded, OfferOutcome, OfferStarted, QueueEntered, Reject, Role, Text,
    UtcMicros, VisitKind,
};

use super::{METHODS, Method, interaction_id, leg_id, queue_id, tail, visit_id};
use crate::records::{Emit, Fields, Meaning, SourceSettings, agent_state};

pub(super) fn events(source: &SourceSettings, record: &Fields<'_>) -> Result<Meaning, Reject> {
    let agent = tail(record.need_text("AgentARN")?);
    let at = record.need_time("EventTimestamp")?;
    let before = Snapshot::read(record.part("PreviousAgentSnapshot")?)?;
    let after = Snapshot::read(record.part("CurrentAgentSnapshot")?)?;
    let mut emit = Emit::new(source);
    let mut told = Told {
        agent,
        at,
        emit: &mut emit,
    };
    match record.need_text("EventType")? {
        "LOGIN" => told.login(&after),
        "LOGOUT" => told.logout(),
        "STATE_CHANGE" => told.change(&before, &after),
        "HEART_BEAT" => told.heartbeat(&before, &after),
        other => return Ok(Meaning::Nothing(Text::new(other))),
    }
    emit.finish()
}

/// An agent at one moment.
#[derive(Debug, Default)]
struct Snapshot<'a> {
    status: Option<Status<'a>>,
    /// The deepest group of the agent in the hierarchy.
    team: Option<&'a str>,
    contacts: BTreeMap<&'a str, Contact<'a>>,
}

#[derive(Debug, PartialEq, Eq)]
struct Status<'a> {
    name: &'a str,
    state: AgentState,
    since: UtcMicros,
}

/// A contact in a snapshot.
#[derive(Debug)]
struct Contact<'a> {
    id: &'a str,
    state: &'a str,
    since: UtcMicros,
    connected_at: Option<UtcMicros>,
    queued_at: Option<UtcMicros>,
    queue_id: Option<Text>,
    method: Method,
    interaction_id: Text,
}

impl<'a> Snapshot<'a> {
    fn read(snapshot: Option<Fields<'a>>) -> Result<Self, Reject> {
        let Some(snapshot) = snapshot else {
            return Ok(Snapshot::default());
        };
        let status = snapshot.part("AgentStatus")?;
        let mut contacts = BTreeMap::new();
        for contact in snapshot.list("Contacts")? {
            let contact = Contact::read(&contact)?;
            // A call to somebody else about a contact is no work on another one.
            if contact.method != Method::ThirdParty {
                contacts.insert(contact.id, contact);
            }
        }
        Ok(Snapshot {
            status: status.map(|status| Status::read(&status)).transpose()?,
            team: match snapshot.part("Configuration")? {
                Some(configuration) => team(&configuration)?,
                None => None,
            },
            contacts,
        })
    }
}

fn team<'a>(configuration: &Fields<'a>) -> Result<Option<&'a str>, Reject> {
    let Some(groups) = configuration.part("AgentHierarchyGroups")? else {
        return Ok(None);
    };
    for level in ["Level5", "Level4", "Level3", "Level2", "Level1"] {
        if let Some(group) = groups.part(level)? {
            return group.text("Name");
        }
    }
    Ok(None)
}

impl<'a> Status<'a> {
    fn read(status: &Fields<'a>) -> Result<Self, Reject> {
        let name = status.need_text("Name")?;
        // Newer streams say what kind of status it is; a name alone may be one that people gave.
        let state = match status.text("Type")? {
            Some("ROUTABLE") => AgentState::Available,
            Some("OFFLINE") => AgentState::Offline,
            // Whatever people call it, no contact is routed to an agent in it.
            Some("CUSTOM") => match agent_state(name) {
                AgentState::Available => AgentState::Other,
                state => state,
            },
            _ => agent_state(name),
        };
        Ok(Status {
            name,
            state,
            since: status.need_time("StartTimestamp")?,
        })
    }
}

impl<'a> Contact<'a> {
    fn read(contact: &Fields<'a>) -> Result<Self, Reject> {
        let id = contact.need_text("ContactId")?;
        let method = contact.word("InitiationMethod", &METHODS)?;
        let method = method.unwrap_or(Method::Inbound);
        let queue = contact.part("Queue")?;
        Ok(Contact {
            id,
            state: contact.need_text("State")?,
            since: contact.need_time("StateStartTimestamp")?,
            connected_at: contact.time("ConnectedToAgentTimestamp")?,
            queued_at: contact.time("QueueTimestamp")?,
            queue_id: queue.map(|queue| queue_id(&queue)).transpose()?,
            method,
            interaction_id: interaction_id(method, id, contact)?,
        })
    }

    /// The queue it waited in and since when. A call that the agent makes waits in none.
    fn waited(&self) -> Option<(&Text, UtcMicros)> {
        let queue = self.queue_id.as_ref().zip(self.queued_at);
        queue.filter(|_| self.method != Method::Outbound)
    }

    fn is_over(&self) -> bool {
        matches!(self.state, "ENDED" | "MISSED" | "ERROR" | "REJECTED")
    }
}

/// One event while it is told.
struct Told<'e, 's, 'a> {
    agent: &'a str,
    at: UtcMicros,
    emit: &'e mut Emit<'s>,
}

impl Told<'_, '_, '_> {
    /// The session of an agent has no id of its own; a second login without a logout goes on with it.
    fn login(&mut self, after: &Snapshot<'_>) {
        let (session_id, agent_id) = (Text::new(self.agent), Text::new(self.agent));
        let started = AgentSessionStarted {
            session_id,
            agent_id,
        };
        let what = format!("login.{}", self.at.0);
        self.emit.push(self.at, (self.agent, &what), started);
        if let Some(status) = &after.status {
            // The status may be older than the login; it counts from then on.
            self.state(status, self.at.max(status.since));
        }
        self.profile(after);
    }

    fn logout(&mut self) {
        let (session_id, agent_id) = (Text::new(self.agent), Text::new(self.agent));
        let ended = AgentSessionEnded {
            session_id,
            agent_id,
        };
        let what = format!("logout.{}", self.at.0);
        self.emit.push(self.at, (self.agent, &what), ended);
    }

    fn change(&mut self, before: &Snapshot<'_>, after: &Snapshot<'_>) {
        if let Some(status) = after.status.as_ref()
            && before.status.as_ref() != Some(status)
        {
            self.state(status, status.since);
        }
        if before.team != after.team {
            self.profile(after);
        }
        for (id, contact) in &after.contacts {
            self.contact(before.contacts.get(id), contact);
        }
        for (id, gone) in &before.contacts {
            if !after.contacts.contains_key(id) {
                self.gone(gone);
            }
        }
    }

    /// A sign of life, which also repeats the status in case its change was lost.
    fn heartbeat(&mut self, before: &Snapshot<'_>, after: &Snapshot<'_>) {
        self.change(before, after);
        let Some(status) = &after.status else { return };
        let beat = AgentHeartbeat {
            agent_id: Text::new(self.agent),
            state: status.state,
            contacts: Some(after.contacts.keys().map(Text::new).collect()),
        };
        let what = format!("beat.{}", self.at.0);
        self.emit.push(self.at, (self.agent, &what), beat);
    }

    fn state(&mut self, status: &Status<'_>, at: UtcMicros) {
        let changed = AgentStateChanged {
            agent_id: Text::new(self.agent),
            state: status.state,
            reason: Some(Text::new(status.name)),
            routable: status.state == AgentState::Available,
            productive: None,
            paid: None,
        };
        let what = format!("state.{}", at.0);
        self.emit.push(at, (self.agent, &what), changed);
    }

    fn profile(&mut self, after: &Snapshot<'_>) {
        let Some(team) = after.team else { return };
        let changed = AgentProfileChanged {
            agent_id: Text::new(self.agent),
            effective_from: self.at,
            team_id: Some(Text::new(team)),
            site_id: None,
            supervisor_id: None,
            skills: None,
            skills_required: None,
            fte: None,
        };
        let what = format!("profile.{}", self.at.0);
        self.emit.push(self.at, (self.agent, &what), changed);
    }

    /// What a contact in the list says that it did not say before.
    fn contact(&mut self, before: Option<&Contact<'_>>, now: &Contact<'_>) {
        let was = before.map_or("", |before| before.state);
        if was == now.state {
            return;
        }
        if now.state == "CONNECTING" {
            self.ring(now);
        }
        if let Some(before) = before.filter(|_| was == "CONNECTING") {
            let outcome = match now.state {
                "MISSED" => OfferOutcome::NoAnswer,
                "REJECTED" => OfferOutcome::Rejected,
                "ERROR" => OfferOutcome::Rescinded,
                _ if now.connected_at.is_some() => OfferOutcome::Accepted,
                _ => OfferOutcome::CallerGone,
            };
            self.ring_over(before, now.since, outcome);
        }
        if let Some(at) = now.connected_at {
            self.connected(now, at);
        }
        if now.state == "CONNECTED_ONHOLD" {
            let leg_id = leg_id(now.id);
            let what = format!("hold.{}", now.since.0);
            self.emit
                .push(now.since, (now.id, &what), HoldStarted { leg_id });
        }
        if was == "CONNECTED_ONHOLD" {
            self.hold_over(now.id, now.since);
        }
        if now.state == "ENDED" && now.connected_at.is_some() {
            self.disconnected(now.id, now.since);
            let leg_id = leg_id(now.id);
            self.emit
                .push(now.since, (now.id, "acw.in"), AcwStarted { leg_id });
        }
    }

    /// A contact is no longer in the list.
    fn gone(&mut self, was: &Contact<'_>) {
        let is_connected = was.connected_at.is_some();
        match was.state {
            "CONNECTING" => self.ring_over(was, self.at, OfferOutcome::CallerGone),
            "ENDED" if is_connected => {
                let (leg_id, acw_ms) = (leg_id(was.id), None);
                let ended = AcwEnded { leg_id, acw_ms };
                self.emit.push(self.at, (was.id, "acw.out"), ended);
            }
            "CONNECTED_ONHOLD" => {
                self.hold_over(was.id, self.at);
                self.disconnected(was.id, self.at);
            }
            _ if is_connected && !was.is_over() => self.disconnected(was.id, self.at),
            _ => {}
        }
    }

    /// The agent is rung for a contact out of a queue.
    fn ring(&mut self, contact: &Contact<'_>) {
        if contact.waited().is_some() {
            let started = OfferStarted {
                offer_id: self.offer_id(contact),
                visit_id: visit_id(contact.id),
                agent_id: Text::new(self.agent),
            };
            let what = format!("ring.{}", contact.since.0);
            self.emit.push(contact.since, (contact.id, &what), started);
        }
    }

    fn ring_over(&mut self, rang: &Contact<'_>, at: UtcMicros, outcome: OfferOutcome) {
        if rang.waited().is_some() {
            let ended = OfferEnded {
                offer_id: self.offer_id(rang),
                visit_id: visit_id(rang.id),
                agent_id: Text::new(self.agent),
                outcome,
            };
            let what = format!("rung.{}", rang.since.0);
            self.emit.push(at, (rang.id, &what), ended);
        }
    }

    fn offer_id(&self, rings: &Contact<'_>) -> Text {
        Text::from(format!("{}/{}/{}", rings.id, self.agent, rings.since.0))
    }

    fn connected(&mut self, contact: &Contact<'_>, at: UtcMicros) {
        if let Some((queue_id, queued_at)) = contact.waited() {
            let entered = QueueEntered {
                visit_id: visit_id(contact.id),
                interaction_id: contact.interaction_id.clone(),
                queue_id: queue_id.clone(),
                visit_kind: match contact.method {
                    Method::Callback => VisitKind::Callback,
                    _ => VisitKind::Customer,
                },
                priority: None,
                required_skills: None,
                via: contact.method.via(),
            };
            self.emit.push(queued_at, (contact.id, "q.in"), entered);
        }
        let connected = LegConnected {
            leg_id: leg_id(contact.id),
            interaction_id: contact.interaction_id.clone(),
            agent_id: Text::new(self.agent),
            visit_id: contact.waited().map(|_| visit_id(contact.id)),
            role: match contact.method {
                Method::Monitor => Role::Monitor,
                _ => Role::Primary,
            },
            initiation: contact.method.initiation(),
            dial_ms: None,
        };
        self.emit.push(at, (contact.id, "a.on"), connected);
    }

    fn disconnected(&mut self, contact: &str, at: UtcMicros) {
        let disconnected = LegDisconnected {
            leg_id: leg_id(contact),
            talk_ms: None,
            hold_ms: None,
        };
        self.emit.push(at, (contact, "a.off"), disconnected);
    }

    fn hold_over(&mut self, contact: &str, at: UtcMicros) {
        let leg_id = leg_id(contact);
        let what = format!("held.{}", at.0);
        self.emit.push(at, (contact, &what), HoldEnded { leg_id });
    }
}
