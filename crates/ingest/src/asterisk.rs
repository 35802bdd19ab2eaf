//! Asterisk `queue_log` (and its Wazo/XiVO dialect) as events.
//!
//! A line is `time|call|queue|agent|event|data…`. [`QueueLog`] takes the lines of one log in the
//! order of the file and gives the events of each. It remembers open calls and agent sessions,
//! nothing else. Event ids are made from the row alone, so that importing a file twice, a file
//! that has grown, or its rotated parts gives the same events again.
//!
//! What it does not do: it never invents after-call work (unless the log has WRAPUPSTART), it
//! does not end what the log leaves open, and the waits that the log states are kept only as the
//! attribute `wait_s`; the wait of a visit is the difference of its times.

mod agents;
mod calls;
mod emit;
mod row;

use std::collections::BTreeMap;

use events::{
    AgentState, EndedBy, Event, LINE_BYTES_MAX, LeaveReason, OfferOutcome, Reject, RejectCode,
    Text, UtcMicros,
};

use crate::local_time::LocalClock;
use agents::Agents;
use calls::{Calls, Ending};
use emit::{Emit, Repeats};
use row::Row;

/// What the importer has to be told about a log.
#[derive(Clone, Debug)]
pub struct QueueLogSettings {
    /// Whose contact centre.
    pub tenant_id: Text,
    /// Name of the telephone system; ids are unique within it.
    pub source: Text,
    /// The time of the import.
    pub recorded_at: UtcMicros,
    /// Only for logs whose times are a local clock (`2013-11-08 09:53:09.948070`).
    pub clock: Option<LocalClock>,
}

/// Reader of one log, or of its rotated parts from the oldest to the newest.
#[derive(Debug)]
pub struct QueueLog {
    settings: QueueLogSettings,
    repeats: Repeats,
    calls: Calls,
    agents: Agents,
    unmapped: BTreeMap<Text, u64>,
    last_unmapped: Option<Text>,
}

impl QueueLog {
    /// A reader that has seen nothing yet.
    pub fn new(settings: QueueLogSettings) -> Self {
        Self {
            settings,
            repeats: Repeats::default(),
            calls: Calls::default(),
            agents: Agents::default(),
            unmapped: BTreeMap::new(),
            last_unmapped: None,
        }
    }

    /// The events of the next line; none for a blank line and for rows that mean no event.
    ///
    /// # Errors
    /// When the line is not a row of a queue log, or an event of it is not valid. The next line
    /// can be read all the same.
    pub fn line(&mut self, bytes: &[u8]) -> Result<Vec<Event>, Reject> {
        self.last_unmapped = None;
        let text = text_of(bytes)?;
        if text.is_empty() {
            return Ok(Vec::new());
        }
        let row = Row::parse(text, self.settings.clock.as_ref())?;
        let mut emit = Emit::new(&self.settings, row.at, self.repeats.next(text, row.at));
        let mapped = apply(&row, &mut emit, &mut self.calls, &mut self.agents)?;
        if !mapped {
            let kind = Text::new(row.event);
            *self.unmapped.entry(kind.clone()).or_default() += 1;
            self.last_unmapped = Some(kind);
        }
        let events = emit.finish();
        events.iter().try_for_each(Event::check)?;
        Ok(events)
    }

    /// What follows is received at that time.
    pub fn received_at(&mut self, at: UtcMicros) {
        self.settings.recorded_at = at;
    }

    /// How many rows of each kind meant no event, as `CONFIGRELOAD`.
    pub fn unmapped(&self) -> &BTreeMap<Text, u64> {
        &self.unmapped
    }

    /// The kind of the row that [`QueueLog::line`] read last, if it meant no event.
    pub fn last_unmapped(&self) -> Option<&Text> {
        self.last_unmapped.as_ref()
    }
}

/// Did the row mean anything?
fn apply(
    row: &Row<'_>,
    emit: &mut Emit<'_>,
    calls: &mut Calls,
    agents: &mut Agents,
) -> Result<bool, Reject> {
    match row.event {
        "ENTERQUEUE" => calls.enter(row, emit),
        "RINGNOANSWER" => calls.ring(row, emit, OfferOutcome::NoAnswer),
        "RINGCANCELED" => calls.ring(row, emit, OfferOutcome::Rescinded),
        "CONNECT" => calls.connect(row, emit),
        "COMPLETEAGENT" => calls.end(row, emit, &Ending::complete(EndedBy::Agent)),
        "COMPLETECALLER" => calls.end(row, emit, &Ending::complete(EndedBy::Customer)),
        "BLINDTRANSFER" | "TRANSFER" => calls.end(row, emit, &Ending::blind(row)),
        "ATTENDEDTRANSFER" => calls.end(row, emit, &Ending::attended(row)),
        "ABANDON" => calls.leave(row, emit, LeaveReason::Abandoned, Some(2)),
        "EXITWITHTIMEOUT" => calls.leave(row, emit, LeaveReason::Timeout, Some(2)),
        "EXITEMPTY" => calls.leave(row, emit, LeaveReason::LeaveEmpty, Some(2)),
        "EXITWITHKEY" => calls.leave(row, emit, LeaveReason::KeyExit, Some(3)),
        "LEAVEEMPTY" => calls.leave(row, emit, LeaveReason::LeaveEmpty, None),
        "FULL" => calls.leave(row, emit, LeaveReason::Full, None),
        "CLOSED" => calls.leave(row, emit, LeaveReason::Closed, None),
        "JOINEMPTY" => calls.leave(row, emit, LeaveReason::JoinEmpty, None),
        "DIVERT_CA_RATIO" | "DIVERT_HOLDTIME" | "DIVERT_WAITTIME" => {
            calls.leave(row, emit, LeaveReason::Overflow, None)
        }
        "WRAPUPSTART" => calls.wrap_up(row, emit),
        "QUEUESTART" => Ok(calls.restart(emit)),
        _ => apply_to_agent(row, emit, agents),
    }
}

fn apply_to_agent(row: &Row<'_>, emit: &mut Emit<'_>, agents: &mut Agents) -> Result<bool, Reject> {
    let Some(agent) = row.agent() else {
        return Ok(false);
    };
    match row.event {
        "ADDMEMBER" => Ok(agents.add_member(agent, row, emit)),
        "REMOVEMEMBER" => Ok(agents.log_out(agent, row.queue, None, emit)),
        "AGENTLOGIN" | "AGENTCALLBACKLOGIN" => Ok(agents.log_in(agent, agents::PHONE, emit)),
        "AGENTLOGOFF" | "AGENTCALLBACKLOGOFF" => {
            Ok(agents.log_out(agent, agents::PHONE, row.seconds(1)?, emit))
        }
        "PAUSE" | "PAUSEALL" => Ok(agents::state(agent, row, AgentState::Break, emit)),
        "UNPAUSE" | "UNPAUSEALL" => Ok(agents::state(agent, row, AgentState::Available, emit)),
        _ => Ok(false),
    }
}

fn text_of(bytes: &[u8]) -> Result<&str, Reject> {
    if bytes.len() > LINE_BYTES_MAX {
        let detail = format!("the line has {} bytes, more than 256 KiB", bytes.len());
        return Err(Reject::new(RejectCode::TooLarge, "", detail));
    }
    let text = std::str::from_utf8(bytes).map_err(|e| {
        let detail = format!("the line is not UTF-8 from byte {} on", e.valid_up_to() + 1);
        Reject::new(RejectCode::BadEncoding, "", detail)
    })?;
    Ok(text.trim_matches(['\r', '\n', ' ', '\t', '\u{feff}']))
}

#[cfg(test)]
mod tests;
