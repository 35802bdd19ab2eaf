//! Callbacks: asked for by leaving a queue, and what became of it.
//!
//! The details have no object for a callback. A visit that was left for one is followed by sessions of
//! queues with the medium callback; an agent who takes it has a session with that medium, and beside it
//! a session for each call that is placed out of it. Those calls are no work of their own: they are
//! attempts, and the first one that is connected reaches the customer.

use events::{
    CallbackAttempted, CallbackClosed, CallbackConnected, CallbackKind, CallbackOutcome,
    CallbackRequested, Channel, LeaveReason, Text, UtcMicros,
};

use super::{
    Conversation,
    queue::Answers,
    session::{Purpose, Session},
};
use crate::records::Emit;

/// The events of all callbacks. A voicemail that no agent is given as a callback cannot be followed, so
/// it is none.
pub(super) fn tell(conversation: &Conversation<'_>, answers: &Answers<'_>, emit: &mut Emit<'_>) {
    for (visit, requested_at, reason) in &answers.called_back {
        let waits = conversation
            .of(Purpose::Queue)
            .skip_while(|s| s.id != *visit);
        let returns: Vec<&Session<'_>> = waits.skip(1).take_while(|s| s.is_callback).collect();
        let queue_id = conversation.of(Purpose::Queue).find(|s| s.id == *visit);
        let (Some(queue_id), false) = (queue_id.and_then(Session::queue_id), returns.is_empty())
        else {
            continue;
        };
        let callback = Callback {
            conversation,
            visit,
            queue_id,
            kind: match reason {
                LeaveReason::Voicemail => CallbackKind::Voicemail,
                _ => CallbackKind::Callback,
            },
            returns,
        };
        callback.requested(*requested_at, emit);
        callback.followed(emit);
    }
}

impl<'a> Conversation<'a> {
    /// The calls that an agent places out of a callback.
    pub(super) fn placed_from<'c>(
        &'c self,
        callback: &'c Session<'a>,
    ) -> impl Iterator<Item = &'c Session<'a>> {
        let is_placed = |s: &&Session<'a>| {
            let is_call = s.channel == Channel::Voice && !s.is_callback && !s.monitors;
            let is_same = s.user_id.is_some() && s.user_id == callback.user_id;
            is_call && is_same && s.began().is_some_and(|at| callback.contains(at))
        };
        self.of(Purpose::Agent).filter(is_placed)
    }

    /// Was a call of an agent placed out of a callback?
    pub(super) fn is_placed(&self, call: &Session<'a>) -> bool {
        let mut callbacks = self.of(Purpose::Agent).filter(|s| s.is_callback);
        callbacks.any(|callback| self.placed_from(callback).any(|s| s.id == call.id))
    }
}

/// A callback that was asked for.
struct Callback<'c, 'a> {
    conversation: &'c Conversation<'a>,
    /// The visit that was left for it.
    visit: &'c str,
    queue_id: &'c str,
    kind: CallbackKind,
    /// Where it waited for an agent then.
    returns: Vec<&'c Session<'a>>,
}

/// An event of a callback: all have the same fields.
macro_rules! about {
    ($name:ident, $callback:expr, $due:expr $(, $field:ident: $value:expr)?) => {
        $name {
            callback_id: Text::from(format!("{}/cb", $callback.visit)),
            kind: $callback.kind,
            visit_id: Some(Text::new($callback.visit)),
            interaction_id: Some(Text::new($callback.conversation.id)),
            queue_id: Text::new($callback.queue_id),
            scheduled_for: $due,
            $($field: $value,)?
        }
    };
}

impl<'a> Callback<'_, 'a> {
    fn requested(&self, at: UtcMicros, emit: &mut Emit<'_>) {
        let sessions = &self.conversation.sessions;
        let due = sessions
            .iter()
            .filter(|s| s.is_callback)
            .find_map(|s| s.due_at);
        let requested = about!(CallbackRequested, self, due);
        emit.push(at, (self.visit, "cb"), requested);
    }

    /// The sessions of agents who took it: those that began while it waited.
    fn agents(&self) -> impl Iterator<Item = &Session<'a>> {
        let agents = self
            .conversation
            .of(Purpose::Agent)
            .filter(|s| s.is_callback);
        let took = |agent: &Session<'a>| {
            let waited = |wait: &&Session<'a>| agent.began().is_some_and(|at| wait.contains(at));
            agent.connected().is_some() && self.returns.iter().any(waited)
        };
        agents.filter(move |agent| took(agent))
    }

    /// The attempts, when the customer was reached, and how it ended.
    fn followed(&self, emit: &mut Emit<'_>) {
        let mut reached_at = None;
        for agent in self.agents() {
            let mut calls = self.conversation.placed_from(agent).peekable();
            // Some details have no calls: then the agent's part is the attempt, and the talk.
            if calls.peek().is_none() {
                self.attempted(agent, agent.connected(), emit);
                reached_at = reached_at.or(agent.connected());
            }
            for call in calls {
                self.attempted(call, call.began(), emit);
                reached_at = reached_at.or(call.connected());
            }
        }
        if let Some(at) = reached_at {
            emit.push(
                at,
                (self.visit, "cb.on"),
                about!(CallbackConnected, self, None),
            );
        }
        if let Some(at) = self.over_at() {
            let outcome = match reached_at {
                Some(_) => CallbackOutcome::Done,
                None => CallbackOutcome::Failed,
            };
            let closed = about!(CallbackClosed, self, None, outcome: outcome);
            emit.push(at, (self.visit, "cb.over"), closed);
        }
    }

    fn attempted(&self, by: &Session<'_>, at: Option<UtcMicros>, emit: &mut Emit<'_>) {
        if let Some(at) = at {
            emit.push(at, (by.id, "cb.try"), about!(CallbackAttempted, self, None));
        }
    }

    /// When nobody had anything to do with it any more; `None` while somebody has.
    fn over_at(&self) -> Option<UtcMicros> {
        let waits = self.returns.iter().map(|wait| wait.ended());
        let talks = self.agents().map(Session::hung_up);
        let ends: Option<Vec<_>> = waits.chain(talks).collect();
        ends?.into_iter().max()
    }
}
