//! Sessions of queues: visits, how they ended, and which agent answered.

use std::collections::BTreeMap;

use events::{LeaveReason, QueueEntered, QueueLeft, Text, UtcMicros, Via, VisitKind};

use super::{
    Conversation,
    session::{Purpose, Session},
};
use crate::records::Emit;

/// The visit that a session of an agent answered, or was offered: session ids of agents to those of
/// queues.
#[derive(Debug, Default)]
pub(super) struct Answers<'a> {
    pub answered: BTreeMap<&'a str, &'a str>,
    pub offered: BTreeMap<&'a str, &'a str>,
    /// Visits that were left for a callback or a voicemail: their ids, when, and why.
    pub called_back: Vec<(&'a str, UtcMicros, LeaveReason)>,
}

/// How far the times of two sessions that belong together may differ.
const SLACK_MS: i64 = 2_000;

/// The events of all visits; which agents belong to them.
pub(super) fn tell<'a>(conversation: &Conversation<'a>, emit: &mut Emit<'_>) -> Answers<'a> {
    let mut answers = Answers::default();
    let visits: Vec<&Session<'a>> = conversation.of(Purpose::Queue).collect();
    let agents = || {
        conversation
            .of(Purpose::Agent)
            .filter(|s| !conversation.is_placed(s))
    };
    for (at, session) in visits.iter().enumerate() {
        let (Some(entered_at), Some(queue_id)) = (session.began(), session.queue_id()) else {
            continue;
        };
        let left_at = session.ended();
        for agent in agents() {
            if agent.queue_id() == Some(queue_id) && rings_in(agent, entered_at, left_at) {
                answers.offered.insert(agent.id, session.id);
            }
        }
        let agent = answering(conversation, session, &answers);
        if let Some(agent) = agent {
            answers.answered.insert(agent.id, session.id);
        }
        enter(conversation, session, (entered_at, queue_id), at > 0, emit);
        let Some(left_at) = left_at else { continue };
        let reason = match agent {
            Some(_) => LeaveReason::Answered,
            None => unanswered(conversation, session, left_at, visits.get(at + 1).copied()),
        };
        let left = QueueLeft {
            visit_id: Text::new(session.id),
            reason,
            agent_id: agent.and_then(|agent| agent.user_id).map(Text::new),
            leg_id: agent.map(|agent| Text::new(agent.id)),
            to_queue_id: None,
            wait_known: None,
        };
        emit.push(left_at, (session.id, "out"), left);
        if let LeaveReason::Callback | LeaveReason::Voicemail = reason {
            answers.called_back.push((session.id, left_at, reason));
        }
    }
    answers
}

/// Did the agent's session begin while the customer waited?
fn rings_in(agent: &Session<'_>, entered_at: UtcMicros, left_at: Option<UtcMicros>) -> bool {
    let from = entered_at.plus_ms(-SLACK_MS);
    let rang = agent.began().is_some_and(|at| {
        at >= from && left_at.is_none_or(|left_at| at <= left_at.plus_ms(SLACK_MS))
    });
    rang && !agent.monitors
}

/// The first agent of the queue who was connected when the wait was over.
fn answering<'c, 'a>(
    conversation: &'c Conversation<'a>,
    visit: &Session<'a>,
    answers: &Answers<'a>,
) -> Option<&'c Session<'a>> {
    if visit.has_metric("tAbandon") || visit.has_metric("tFlowOut") {
        return None;
    }
    let left_at = visit.ended()?;
    let agents = conversation.of(Purpose::Agent);
    let fits = |agent: &&Session<'a>| {
        let is_of = answers.offered.get(agent.id) == Some(&visit.id);
        let is_free = !answers.answered.contains_key(agent.id);
        let near = |at: UtcMicros| at.ms_since(left_at).abs() <= SLACK_MS;
        is_of && is_free && agent.user_id.is_some() && agent.connected().is_some_and(near)
    };
    let mut fitting: Vec<&Session<'a>> = agents.filter(fits).collect();
    fitting.sort_by_key(|agent| agent.connected());
    fitting.first().copied()
}

fn enter(
    conversation: &Conversation<'_>,
    session: &Session<'_>,
    (at, queue_id): (UtcMicros, &str),
    is_later: bool,
    emit: &mut Emit<'_>,
) {
    let skills = session.segments.iter().find(|s| !s.skills.is_empty());
    let after_menu = conversation
        .of(Purpose::SelfService)
        .any(|menu| menu.began() <= Some(at));
    let entered = QueueEntered {
        visit_id: Text::new(session.id),
        interaction_id: Text::new(conversation.id),
        queue_id: Text::new(queue_id),
        visit_kind: match session.is_callback {
            true => VisitKind::Callback,
            false => VisitKind::Customer,
        },
        priority: None,
        required_skills: skills.map(|s| s.skills.clone()),
        via: match (is_later, after_menu) {
            (true, _) => Some(Via::Transfer),
            (false, true) => Some(Via::Ivr),
            (false, false) => None,
        },
    };
    emit.push(at, (session.id, "in"), entered);
}

/// Why a visit ended that no agent answered. Details with metrics say so; in others a customer who
/// left when the queue was left has given up.
fn unanswered(
    conversation: &Conversation<'_>,
    visit: &Session<'_>,
    left_at: UtcMicros,
    next: Option<&Session<'_>>,
) -> LeaveReason {
    if visit.has_metric("tAbandon") {
        return LeaveReason::Abandoned;
    }
    if visit.has_metric("tAnswered") {
        return LeaveReason::Answered;
    }
    let near = |at: UtcMicros| at.ms_since(left_at).abs() <= SLACK_MS;
    let follows = |s: &Session<'_>| s.began().is_some_and(near);
    let mut voicemails = conversation.of(Purpose::Voicemail);
    if voicemails.any(follows) {
        return LeaveReason::Voicemail;
    }
    if next.is_some_and(|next| next.is_callback && !visit.is_callback) {
        return LeaveReason::Callback;
    }
    let is_last = next.is_none();
    let mut customers = conversation.of(Purpose::Customer);
    let hung_up = customers.any(|customer| customer.ended().is_some_and(near));
    let gone = hung_up || conversation.end_at().is_some_and(near);
    let how = visit.segments.last().and_then(|s| s.how_ended);
    match how {
        _ if visit.has_metric("tFlowOut") => LeaveReason::Overflow,
        Some("timeout") => LeaveReason::Timeout,
        Some("error" | "transportFailure") => LeaveReason::Error,
        _ if is_last && gone => LeaveReason::Abandoned,
        _ => LeaveReason::Overflow,
    }
}
