//! Genesys Cloud: conversation details of its analytics interface.
//!
//! A conversation has participants, they have sessions, and sessions have segments; what happened
//! stands in the segments. A session of a queue (`acd`) is a visit, a session of an agent is that agent's
//! offers and leg. Which agent answered which visit is concluded from queue and time, because the
//! details do not say it. A conversation that is told again when it has gone on, or ended, replaces what
//! was known of it.

mod agent;
mod callback;
mod queue;
mod session;

use events::{
    Channel, Direction, EndedBy, InteractionEnded, InteractionStarted, Reject, SelfServiceKind,
    SelfServiceStarted, Text, UtcMicros,
};
use serde_json::Value;

use crate::{
    identity,
    records::{Emit, Fields, Meaning, Records, SourceSettings},
};
use session::{Purpose, Session};

/// Reader of conversation details (interface v2), with or without metrics.
#[derive(Debug)]
pub struct GenesysCloud {
    source: SourceSettings,
}

impl GenesysCloud {
    /// A reader for one organisation.
    pub fn new(source: SourceSettings) -> Self {
        GenesysCloud { source }
    }
}

impl Records for GenesysCloud {
    const PAGES: &'static [&'static str] = &["conversations"];
    const REVISED: bool = true;

    fn read(&mut self, record: &Value) -> Result<Meaning, Reject> {
        let conversation = Conversation::read(&Fields::of(record)?)?;
        let mut emit = Emit::new(&self.source);
        conversation.start(&mut emit);
        conversation.self_service(&mut emit);
        let answers = queue::tell(&conversation, &mut emit);
        callback::tell(&conversation, &answers, &mut emit);
        agent::tell(&conversation, &answers, &mut emit);
        conversation.end(&mut emit);
        emit.finish()
    }
}

/// A conversation, read.
#[derive(Debug)]
struct Conversation<'a> {
    id: &'a str,
    started_at: UtcMicros,
    ended_at: Option<UtcMicros>,
    direction: Direction,
    channel: Channel,
    /// By their beginning.
    sessions: Vec<Session<'a>>,
}

impl<'a> Conversation<'a> {
    fn read(fields: &Fields<'a>) -> Result<Self, Reject> {
        let sessions = session::read(fields)?;
        let told = fields.word("originatingDirection", &session::DIRECTIONS)?;
        Ok(Conversation {
            id: fields.need_text("conversationId")?,
            started_at: fields.need_time("conversationStart")?,
            ended_at: fields.time("conversationEnd")?,
            direction: told.unwrap_or_else(|| direction(&sessions)),
            channel: channel(&sessions),
            sessions,
        })
    }

    fn of(&self, purpose: Purpose) -> impl Iterator<Item = &Session<'a>> {
        self.sessions.iter().filter(move |s| s.purpose == purpose)
    }

    fn start(&self, emit: &mut Emit<'_>) {
        let customer = self.of(Purpose::Customer).next();
        let any = customer.or_else(|| self.sessions.first());
        let is_inbound = self.direction == Direction::Inbound;
        let (theirs, ours) = match is_inbound {
            true => (any.and_then(|s| s.from), any.and_then(|s| s.to)),
            false => (any.and_then(|s| s.to), None),
        };
        let started = InteractionStarted {
            interaction_id: Text::new(self.id),
            root_id: None,
            parent_id: None,
            thread_id: None,
            customer_id: customer.and_then(|s| s.contact_id).map(Text::new),
            identity: theirs.map(bare).and_then(identity::of_caller),
            channel: self.channel,
            direction: self.direction,
            purpose: None,
            entry_point: ours.map(|to| Text::new(bare(to))),
            language: None,
            is_test: None,
        };
        emit.push(self.started_at, (self.id, "start"), started);
    }

    /// Menus and bots that the customer was in. How it came out is concluded from what followed.
    fn self_service(&self, emit: &mut Emit<'_>) {
        for session in self.of(Purpose::SelfService) {
            let Some(at) = session.began() else { continue };
            let started = SelfServiceStarted {
                session_id: Text::new(session.id),
                interaction_id: Some(Text::new(self.id)),
                customer_id: None,
                kind: match session.is_bot {
                    true => SelfServiceKind::Bot,
                    false => SelfServiceKind::Ivr,
                },
            };
            emit.push(at, (session.id, "start"), started);
        }
    }

    /// When it was over: as told, or when the last session ended if all have.
    fn end_at(&self) -> Option<UtcMicros> {
        let last = || {
            let ends: Option<Vec<_>> = self.sessions.iter().map(Session::ended).collect();
            ends?.into_iter().max()
        };
        self.ended_at.or_else(last)
    }

    fn end(&self, emit: &mut Emit<'_>) {
        let Some(at) = self.end_at() else { return };
        let (ended_by, how) = self.ended_by();
        let ended = InteractionEnded {
            interaction_id: Text::new(self.id),
            ended_by,
            end_reason: how.map(Text::new),
        };
        emit.push(at, (self.id, "end"), ended);
    }

    /// Who hung up: an agent whose own client did, or the other side of the agent's session.
    fn ended_by(&self) -> (EndedBy, Option<&'a str>) {
        let last = |purpose| {
            let sessions = self.of(purpose).filter(|s| s.connected().is_some());
            let last = sessions.max_by_key(|s| s.hung_up())?;
            last.how_ended()
        };
        let by_agent = last(Purpose::Agent);
        let how = by_agent.or_else(|| last(Purpose::Customer));
        let ended_by = match (by_agent.is_some(), how) {
            (true, Some("client" | "endpoint")) => EndedBy::Agent,
            (true, Some("peer")) | (false, Some("client" | "endpoint" | "peer")) => {
                EndedBy::Customer
            }
            (_, Some("transportFailure" | "error" | "uncallable")) => EndedBy::Telecom,
            (_, Some(how)) if is_transfer(how) => EndedBy::ThirdParty,
            _ => EndedBy::System,
        };
        (ended_by, how)
    }
}

/// Ways of a session's end that hand the customer on.
fn is_transfer(how: &str) -> bool {
    matches!(
        how,
        "transfer" | "consultTransfer" | "conferenceTransfer" | "forwardTransfer"
    )
}

/// An address without its scheme, so that one customer is one whatever the trunk.
fn bare(address: &str) -> &str {
    let schemes = ["tel:", "sip:", "sips:", "mailto:"];
    let known = schemes.iter().find_map(|s| address.strip_prefix(s));
    known.unwrap_or(address)
}

/// Older details do not tell who began: an agent who dialled, or a callback, did it for us.
fn direction(sessions: &[Session<'_>]) -> Direction {
    let first = sessions.first();
    let told = first.and_then(|s| s.direction);
    let is_user = first.is_some_and(|s| s.purpose == Purpose::Agent);
    match told {
        _ if first.is_some_and(|s| s.is_callback) => Direction::Outbound,
        Some(Direction::Inbound) if is_user => Direction::Inbound,
        Some(told) => told,
        None => Direction::Inbound,
    }
}

/// The medium of the customer, or of whoever was first.
fn channel(sessions: &[Session<'_>]) -> Channel {
    let customer = sessions.iter().find(|s| s.purpose == Purpose::Customer);
    let any = customer.or_else(|| sessions.first());
    any.map_or(Channel::Voice, |s| s.channel)
}

#[cfg(test)]
mod tests;
