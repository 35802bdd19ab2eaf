//! FreeSWITCH `mod_callcenter`: its `callcenter::info` events as JSON.
//!
//! One caller in one queue is a member; a member with the call that it is becomes a visit, because a
//! member who hung up may come back with another call. Times are those of the events, in microseconds;
//! an event without a time of its own (only its headers were kept) is placed by the whole seconds that
//! the module tells about the call.
//!
//! All an event means stands in itself, but for two things: when an agent's phone began to ring is only
//! told when it does, and who answered not always when the caller leaves. So the events of one call must
//! be in order, and in one import.

use std::collections::{HashMap, HashSet};

use events::{
    AgentState, Channel, Direction, EndedBy, Initiation, InteractionEnded, InteractionStarted,
    LeaveReason, LegConnected, LegDisconnected, OfferEnded, OfferOutcome, OfferStarted,
    QueueEntered, QueueLeft, Reject, RejectCode, Role, Text, UtcMicros, VisitKind,
};
use serde_json::Value;

use crate::{
    identity,
    records::{Emit, Fields, Meaning, Records, SourceSettings},
};

/// Rings that may be open at a time; a log with more is missing their ends.
const RINGS_MAX: usize = 65_536;
const SECOND: i64 = 1_000_000;

/// Reader of events of FreeSWITCH 1.6 to 1.10.
#[derive(Debug)]
pub struct Freeswitch {
    source: SourceSettings,
    /// Since when an agent's phone rings for a visit.
    rings: HashMap<(Text, Text), UtcMicros>,
    /// Visits of which an event has told that, and when, and by whom they were answered.
    answered: HashSet<Text>,
}

impl Freeswitch {
    /// A reader for the events of one switch.
    pub fn new(source: SourceSettings) -> Self {
        Freeswitch {
            source,
            rings: HashMap::new(),
            answered: HashSet::new(),
        }
    }
}

impl Records for Freeswitch {
    const PAGES: &'static [&'static str] = &[];
    const REVISED: bool = false;

    fn read(&mut self, record: &Value) -> Result<Meaning, Reject> {
        let fields = Fields::of(record)?;
        let subclass = fields.text("Event-Subclass")?;
        if subclass.is_some_and(|name| !matches!(name, "callcenter::info" | "callcenter%3A%3Ainfo"))
        {
            return Ok(Meaning::Nothing(Text::new(subclass.unwrap_or_default())));
        }
        let action = fields.need_text("CC-Action")?;
        let mut emit = Emit::new(&self.source);
        match action {
            "agent-status-change" => status(&fields, &mut emit)?,
            "agent-offering" => ring(&fields, &mut self.rings, &mut emit)?,
            "bridge-agent-fail" => ring_failed(&fields, &mut self.rings, &mut emit)?,
            "bridge-agent-start" => {
                let visit_id = answered(&fields, &mut self.rings, &mut emit)?;
                if self.answered.len() >= RINGS_MAX {
                    self.answered.clear();
                }
                self.answered.insert(visit_id);
            }
            "bridge-agent-end" => hung_up(&fields, &mut emit)?,
            "member-queue-start" | "member-queue-resume" => joined(&fields, &mut emit)?,
            "member-queue-end" => left(&fields, &mut self.answered, &mut emit)?,
            other => return Ok(Meaning::Nothing(Text::new(other))),
        }
        emit.finish()
    }
}

/// When the event happened: its own time, or the seconds in a header.
fn time(fields: &Fields<'_>, header: &str) -> Result<UtcMicros, Reject> {
    if let Some(at) = own_time(fields)? {
        return Ok(at);
    }
    fields.epoch(header, SECOND)?.ok_or_else(|| {
        let detail = format!("is missing, and so is {header}: the event has no time");
        fields.reject("Event-Date-Timestamp", RejectCode::MissingField, detail)
    })
}

fn own_time(fields: &Fields<'_>) -> Result<Option<UtcMicros>, Reject> {
    fields.epoch("Event-Date-Timestamp", 1)
}

/// The caller in the queue.
#[derive(Debug)]
struct Member<'a> {
    call: &'a str,
    queue: &'a str,
    visit_id: Text,
}

impl<'a> Member<'a> {
    fn read(fields: &Fields<'a>) -> Result<Self, Reject> {
        let call = fields.need_text("CC-Member-Session-UUID")?;
        let member = fields.need_text("CC-Member-UUID")?;
        Ok(Member {
            call,
            queue: fields.need_text("CC-Queue")?,
            visit_id: Text::from(format!("{member}/{call}")),
        })
    }

    /// The caller enters the queue.
    fn enter(&self, fields: &Fields<'_>, at: UtcMicros, emit: &mut Emit<'_>) -> Result<(), Reject> {
        let caller = fields.text("CC-Member-CID-Number")?;
        let started = InteractionStarted {
            interaction_id: Text::new(self.call),
            root_id: None,
            parent_id: None,
            thread_id: None,
            customer_id: None,
            identity: caller.and_then(identity::of_caller),
            channel: Channel::Voice,
            direction: Direction::Inbound,
            purpose: None,
            entry_point: None,
            language: None,
            is_test: None,
        };
        emit.push(at, (&self.visit_id, "start"), started);
        let entered = QueueEntered {
            visit_id: self.visit_id.clone(),
            interaction_id: Text::new(self.call),
            queue_id: Text::new(self.queue),
            visit_kind: VisitKind::Customer,
            priority: None,
            required_skills: None,
            via: None,
        };
        emit.push(at, (&self.visit_id, "in"), entered);
        Ok(())
    }

    /// An event that has only headers stands alone: it tells the entry as well.
    fn enter_if_untold(&self, fields: &Fields<'_>, emit: &mut Emit<'_>) -> Result<(), Reject> {
        if own_time(fields)?.is_some() {
            return Ok(());
        }
        match fields.epoch("CC-Member-Joined-Time", SECOND)? {
            Some(at) => self.enter(fields, at, emit),
            None => Ok(()),
        }
    }

    fn left(&self, reason: LeaveReason) -> QueueLeft {
        QueueLeft {
            visit_id: self.visit_id.clone(),
            reason,
            agent_id: None,
            leg_id: None,
            to_queue_id: None,
            wait_known: None,
        }
    }

    /// An agent has answered: the one that the event names, if it names one.
    fn taken(&self, fields: &Fields<'_>, at: UtcMicros, emit: &mut Emit<'_>) -> Result<(), Reject> {
        let agent = fields.text("CC-Agent")?;
        let left = QueueLeft {
            agent_id: agent.map(Text::new),
            leg_id: agent.map(|agent| self.leg_id(fields, agent)).transpose()?,
            ..self.left(LeaveReason::Answered)
        };
        emit.push(at, (&self.visit_id, "out"), left);
        Ok(())
    }

    /// The id of the agent's part: the agent's own call, where the event tells it.
    fn leg_id(&self, fields: &Fields<'_>, agent: &str) -> Result<Text, Reject> {
        let call = fields.text("CC-Agent-UUID")?.unwrap_or(agent);
        Ok(Text::from(format!("{}/{call}", self.visit_id)))
    }
}

fn joined(fields: &Fields<'_>, emit: &mut Emit<'_>) -> Result<(), Reject> {
    let at = time(fields, "CC-Member-Joined-Time")?;
    Member::read(fields)?.enter(fields, at, emit)
}

fn ring(
    fields: &Fields<'_>,
    rings: &mut HashMap<(Text, Text), UtcMicros>,
    emit: &mut Emit<'_>,
) -> Result<(), Reject> {
    let at = time(fields, "CC-Agent-Called-Time")?;
    let (member, agent) = (Member::read(fields)?, fields.need_text("CC-Agent")?);
    if rings.len() >= RINGS_MAX {
        rings.clear();
    }
    rings.insert((member.visit_id.clone(), Text::new(agent)), at);
    begin_ring(&member, agent, at, emit);
    Ok(())
}

fn begin_ring(member: &Member<'_>, agent: &str, at: UtcMicros, emit: &mut Emit<'_>) {
    let started = OfferStarted {
        offer_id: offer_id(member, agent, at),
        visit_id: member.visit_id.clone(),
        agent_id: Text::new(agent),
    };
    let offer_id = started.offer_id.clone();
    emit.push(at, (&offer_id, "ring"), started);
}

fn offer_id(member: &Member<'_>, agent: &str, since: UtcMicros) -> Text {
    Text::from(format!("{}/{agent}/{}", member.visit_id, since.0))
}

/// The ring is over. One that nobody saw begin is known by its end.
fn end_ring(
    (member, agent): (&Member<'_>, &str),
    at: UtcMicros,
    outcome: OfferOutcome,
    rings: &mut HashMap<(Text, Text), UtcMicros>,
    emit: &mut Emit<'_>,
) {
    let key = (member.visit_id.clone(), Text::new(agent));
    let since = rings.remove(&key).unwrap_or(at);
    let ended = OfferEnded {
        offer_id: offer_id(member, agent, since),
        visit_id: member.visit_id.clone(),
        agent_id: Text::new(agent),
        outcome,
    };
    let offer_id = ended.offer_id.clone();
    emit.push(at, (&offer_id, "rung"), ended);
}

fn ring_failed(
    fields: &Fields<'_>,
    rings: &mut HashMap<(Text, Text), UtcMicros>,
    emit: &mut Emit<'_>,
) -> Result<(), Reject> {
    let at = time(fields, "CC-Agent-Aborted-Time")?;
    let (member, agent) = (Member::read(fields)?, fields.need_text("CC-Agent")?);
    let outcome = match fields.text("CC-Hangup-Cause")?.unwrap_or_default() {
        "CALL_REJECTED" | "USER_BUSY" => OfferOutcome::Rejected,
        "ORIGINATOR_CANCEL" | "LOSE_RACE" | "PICKED_OFF" => OfferOutcome::Rescinded,
        _ => OfferOutcome::NoAnswer,
    };
    end_ring((&member, agent), at, outcome, rings, emit);
    Ok(())
}

fn answered(
    fields: &Fields<'_>,
    rings: &mut HashMap<(Text, Text), UtcMicros>,
    emit: &mut Emit<'_>,
) -> Result<Text, Reject> {
    let at = time(fields, "CC-Agent-Answered-Time")?;
    let (member, agent) = (Member::read(fields)?, fields.need_text("CC-Agent")?);
    member.enter_if_untold(fields, emit)?;
    if own_time(fields)?.is_none()
        && let Some(called_at) = fields.epoch("CC-Agent-Called-Time", SECOND)?
    {
        let key = (member.visit_id.clone(), Text::new(agent));
        rings.insert(key, called_at);
        begin_ring(&member, agent, called_at, emit);
    }
    end_ring((&member, agent), at, OfferOutcome::Accepted, rings, emit);
    let leg_id = member.leg_id(fields, agent)?;
    member.taken(fields, at, emit)?;
    let connected = LegConnected {
        leg_id: leg_id.clone(),
        interaction_id: Text::new(member.call),
        agent_id: Text::new(agent),
        visit_id: Some(member.visit_id.clone()),
        role: Role::Primary,
        initiation: Initiation::Queue,
        dial_ms: None,
    };
    emit.push(at, (&leg_id, "on"), connected);
    Ok(member.visit_id)
}

fn hung_up(fields: &Fields<'_>, emit: &mut Emit<'_>) -> Result<(), Reject> {
    let at = time(fields, "CC-Bridge-Terminated-Time")?;
    let (member, agent) = (Member::read(fields)?, fields.need_text("CC-Agent")?);
    let leg_id = member.leg_id(fields, agent)?;
    let disconnected = LegDisconnected {
        leg_id: leg_id.clone(),
        talk_ms: None,
        hold_ms: None,
    };
    emit.push(at, (&leg_id, "off"), disconnected);
    Ok(())
}

/// The caller is out of the queue: after the talk with an agent, or without one.
fn left(
    fields: &Fields<'_>,
    answered: &mut HashSet<Text>,
    emit: &mut Emit<'_>,
) -> Result<(), Reject> {
    let at = time(fields, "CC-Member-Leaving-Time")?;
    let member = Member::read(fields)?;
    member.enter_if_untold(fields, emit)?;
    let cause = fields.need_text("CC-Cause")?;
    if cause.eq_ignore_ascii_case("Terminated") {
        // What the answer itself has told is more exact, and this event need not name the agent.
        let is_told = answered.remove(&member.visit_id) || own_time(fields)?.is_some();
        if !is_told && let Some(at) = fields.epoch("CC-Agent-Answered-Time", SECOND)? {
            member.taken(fields, at, emit)?;
        }
        return end(fields, &member, at, emit);
    }
    let reason = match fields.text("CC-Cancel-Reason")?.unwrap_or("NONE") {
        "NONE" | "BREAK_OUT" => LeaveReason::Abandoned,
        "TIMEOUT" => LeaveReason::Timeout,
        "NO_AGENT_TIMEOUT" => LeaveReason::LeaveEmpty,
        "EXIT_WITH_KEY" => LeaveReason::KeyExit,
        _ => LeaveReason::Error,
    };
    emit.push(at, (&member.visit_id, "out"), member.left(reason));
    match reason {
        LeaveReason::Abandoned => end(fields, &member, at, emit),
        // The dial plan goes on with the caller.
        _ => Ok(()),
    }
}

/// Who hung up is told by a variable of the call, if at all.
fn end(
    fields: &Fields<'_>,
    member: &Member<'_>,
    at: UtcMicros,
    emit: &mut Emit<'_>,
) -> Result<(), Reject> {
    let gave_up = fields
        .text("CC-Cause")?
        .is_some_and(|cause| cause == "Cancel");
    let ended_by = match fields.text("variable_sip_hangup_disposition")? {
        _ if gave_up => EndedBy::Customer,
        Some("recv_bye" | "recv_cancel") => EndedBy::Customer,
        Some(_) => EndedBy::Agent,
        None => EndedBy::System,
    };
    let cause = fields.text("CC-Hangup-Cause")?;
    let ended = InteractionEnded {
        interaction_id: Text::new(member.call),
        ended_by,
        end_reason: cause.map(|cause| Text::from(cause.to_lowercase())),
    };
    emit.push(at, (&member.visit_id, "end"), ended);
    Ok(())
}

/// An agent's status is the login as well: the module knows no other.
fn status(fields: &Fields<'_>, emit: &mut Emit<'_>) -> Result<(), Reject> {
    let at = time(fields, "CC-Agent-Status-Time")?;
    let agent = fields.need_text("CC-Agent")?;
    let name = fields.need_text("CC-Agent-Status")?;
    let state = match name {
        "Logged Out" => AgentState::Offline,
        "Available" | "Available (On Demand)" => AgentState::Available,
        "On Break" => AgentState::Break,
        _ => AgentState::Other,
    };
    emit.status(at, agent, (state, name));
    Ok(())
}

#[cfg(test)]
mod tests;
