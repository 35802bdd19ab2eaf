//! Agents: when they are logged in, and their pauses.

use std::collections::{BTreeSet, HashMap};

use events::{
    AgentSessionEnded, AgentSessionStarted, AgentState, AgentStateChanged, Text, UtcMicros,
};

use super::{
    emit::{Emit, note},
    row::Row,
};

/// What an agent is logged in to by `AGENTLOGIN`, beside the queues of `ADDMEMBER`.
pub(super) const PHONE: &str = "";

/// The agents that are logged in.
#[derive(Debug, Default)]
pub(super) struct Agents {
    logged_in: HashMap<Text, Session>,
}

#[derive(Debug)]
struct Session {
    id: Text,
    /// Queues, or [`PHONE`]: the session ends with the last of them.
    places: BTreeSet<Text>,
}

impl Agents {
    /// ADDMEMBER|PAUSED, or without data.
    pub fn add_member(&mut self, agent: &str, row: &Row<'_>, emit: &mut Emit<'_>) -> bool {
        self.log_in(agent, row.queue, emit);
        if row.data(0) == Some("PAUSED") {
            push_state(agent, AgentState::Break, None, emit);
        }
        true
    }

    /// The agent joins `place`; the first place begins a session.
    pub fn log_in(&mut self, agent: &str, place: &str, emit: &mut Emit<'_>) -> bool {
        let session = self.logged_in.entry(Text::new(agent)).or_insert_with(|| {
            let id = session_id(agent, emit.at);
            let (session_id, agent_id) = (id.clone(), Text::new(agent));
            emit.push(AgentSessionStarted {
                session_id,
                agent_id,
            });
            Session {
                id,
                places: BTreeSet::new(),
            }
        });
        session.places.insert(Text::new(place));
        true
    }

    /// The agent leaves `place`; the last place ends the session.
    ///
    /// Without a known session one is concluded from the time that the log states, if it does;
    /// otherwise the row means nothing.
    pub fn log_out(
        &mut self,
        agent: &str,
        place: &str,
        lasted_ms: Option<i64>,
        emit: &mut Emit<'_>,
    ) -> bool {
        let agent_id = Text::new(agent);
        let Some(session) = self.logged_in.get_mut(agent) else {
            let Some(lasted_ms) = lasted_ms else {
                return false;
            };
            let began = emit.at.plus_ms(-lasted_ms);
            let session_id = session_id(agent, began);
            let started = AgentSessionStarted {
                session_id: session_id.clone(),
                agent_id: agent_id.clone(),
            };
            note(emit.push_at(began, started), "inferred", "true");
            emit.push(AgentSessionEnded {
                session_id,
                agent_id,
            });
            return true;
        };
        let left = session.places.remove(place);
        if left && session.places.is_empty() {
            let session_id = session.id.clone();
            self.logged_in.remove(agent);
            emit.push(AgentSessionEnded {
                session_id,
                agent_id,
            });
        }
        left
    }
}

/// PAUSE|reason and UNPAUSE|reason, for one queue or all.
pub(super) fn state(agent: &str, row: &Row<'_>, state: AgentState, emit: &mut Emit<'_>) -> bool {
    push_state(agent, state, row.data(0).map(Text::new), emit);
    true
}

fn push_state(agent: &str, state: AgentState, reason: Option<Text>, emit: &mut Emit<'_>) {
    emit.push(AgentStateChanged {
        agent_id: Text::new(agent),
        state,
        reason,
        routable: state == AgentState::Available,
        productive: None,
        paid: None,
    });
}

fn session_id(agent: &str, began: UtcMicros) -> Text {
    Text::from(format!("{agent}/{}", began.0 / 1_000_000))
}
