//! Making the events of a record.

use events::{
    AgentSessionEnded, AgentSessionStarted, AgentState, AgentStateChanged, Correction,
    CorrectionOp, Event, EventData, ID_BYTES_MAX, Reject, Text, UtcMicros,
};

use super::{Meaning, SourceSettings};
use crate::dedupe::REVISION_BYTES;

/// The events of one record while they are made.
#[derive(Debug)]
pub(crate) struct Emit<'a> {
    source: &'a SourceSettings,
    events: Vec<Event>,
    guesses: Vec<Event>,
}

impl<'a> Emit<'a> {
    pub fn new(source: &'a SourceSettings) -> Self {
        Emit {
            source,
            events: Vec::new(),
            guesses: Vec::new(),
        }
    }

    /// An event: `key` is the id of what it is about, `what` tells its events apart.
    pub fn push(
        &mut self,
        at: UtcMicros,
        (key, what): (&str, &str),
        data: impl Into<EventData>,
    ) -> &mut Event {
        let last = self.events.len();
        self.events.push(Event {
            tenant_id: self.source.tenant_id.clone(),
            source: self.source.source.clone(),
            event_id: event_id(key, what),
            source_seq: None,
            schema_version: 1,
            occurred_at: at,
            recorded_at: self.source.recorded_at,
            correction: None,
            data: data.into(),
            attributes: Default::default(),
        });
        &mut self.events[last]
    }

    /// As [`Emit::push`], of something that the import has no record of its own for: it does not replace
    /// what was told before.
    pub fn guess(&mut self, at: UtcMicros, id: (&str, &str), data: impl Into<EventData>) {
        self.push(at, id, data);
        self.guesses.extend(self.events.pop());
    }

    /// An agent's status, by what its system calls it, of a system in which the status is the login as
    /// well and `offline` the logout. Gives back the last event.
    pub fn status(
        &mut self,
        at: UtcMicros,
        agent: &str,
        (state, name): (AgentState, &str),
    ) -> &mut Event {
        let (session_id, agent_id) = (Text::new(agent), Text::new(agent));
        let what = |step: &str| format!("{step}.{}", at.0);
        // Two statuses may begin in the same second.
        let named = format!("state.{}.{name}", at.0);
        if state == AgentState::Offline {
            let ended = AgentSessionEnded {
                session_id,
                agent_id,
            };
            return self.push(at, (agent, &what("logout")), ended);
        }
        let started = AgentSessionStarted {
            session_id,
            agent_id: agent_id.clone(),
        };
        self.push(at, (agent, &what("login")), started);
        let changed = AgentStateChanged {
            agent_id,
            state,
            reason: Some(Text::new(name)),
            routable: state == AgentState::Available,
            productive: None,
            paid: None,
        };
        self.push(at, (agent, &named), changed)
    }

    /// The events, each a valid one.
    pub fn finish(self) -> Result<Meaning, Reject> {
        let (events, guesses) = (self.events, self.guesses);
        events.iter().chain(&guesses).try_for_each(Event::check)?;
        Ok(match guesses.is_empty() {
            true => Meaning::Events(events),
            false => Meaning::WithGuesses { events, guesses },
        })
    }
}

/// The id of an event, readable unless it would be too long. There is room for [a
/// revision](crate::dedupe).
pub(crate) fn event_id(key: &str, what: &str) -> Text {
    let id = format!("{key}:{what}");
    if id.len() <= ID_BYTES_MAX - REVISION_BYTES {
        return Text::from(id);
    }
    Text::from(&blake3::hash(id.as_bytes()).to_hex()[..40])
}

/// Makes an event stand for another one of the same source.
pub(crate) fn replaces(event: &mut Event, of: Text) {
    event.correction = Some(Correction {
        of,
        op: CorrectionOp::Replace,
    });
}

/// Keeps a fact of the record that no field has.
pub(crate) fn note(event: &mut Event, name: &'static str, value: impl Into<Text>) {
    event
        .attributes
        .insert(Text::new_static(name), value.into());
}

/// Parts of the names that people give to the states of agents, and what they mean.
const STATE_WORDS: [(&str, AgentState); 18] = [
    ("lunch", AgentState::Meal),
    ("meal", AgentState::Meal),
    ("break", AgentState::Break),
    ("training", AgentState::Training),
    ("coaching", AgentState::Training),
    ("meeting", AgentState::Meeting),
    ("outbound", AgentState::Outbound),
    ("back office", AgentState::Admin),
    ("admin", AgentState::Admin),
    ("offline", AgentState::Offline),
    ("logged out", AgentState::Offline),
    ("logged off", AgentState::Offline),
    ("log off", AgentState::Offline),
    ("unavailable", AgentState::Other),
    ("not available", AgentState::Other),
    ("not ready", AgentState::Other),
    ("available", AgentState::Available),
    ("idle", AgentState::Available),
];

/// What the name of an agent's state means, as far as its words tell; `other` if they do not.
pub(crate) fn agent_state(name: &str) -> AgentState {
    let name = name.to_lowercase();
    let known = STATE_WORDS.iter().find(|(word, _)| name.contains(word));
    known.map_or(AgentState::Other, |(_, state)| *state)
}
