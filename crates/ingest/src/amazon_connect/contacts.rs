//! Contact records (contact trace records): one contact, its queue, its agent, its end.

use events::{
    AcwEnded, AcwStarted, CallbackAttempted, CallbackClosed, CallbackConnected, CallbackKind,
    CallbackOutcome, CallbackRequested, Channel, Direction, EndedBy, InteractionEnded,
    InteractionStarted, LeaveReason, LegConnected, LegDisconnected, QueueEntered, QueueLeft,
    Reject, RejectCode, Role, Text, TransferCompleted, TransferKind, TransferTarget, UtcMicros,
    VisitKind,
};

use super::{
    CHANNELS, METHODS, Method, agent_of_queue, interaction_id, leg_id, queue_id, tail, visit_id,
};
use crate::{
    identity,
    records::{Emit, Fields, Meaning, SourceSettings, event_id, note, replaces},
};

pub(super) fn events(source: &SourceSettings, record: &Fields<'_>) -> Result<Meaning, Reject> {
    let contact = Contact::read(record)?;
    let mut emit = Emit::new(source);
    match contact.method {
        Method::ThirdParty => return Ok(Meaning::Nothing("EXTERNAL_OUTBOUND".into())),
        Method::Monitor => contact.leg(Role::Monitor, &mut emit),
        _ => contact.tell(record, &mut emit)?,
    }
    emit.finish()
}

/// A contact record, read.
#[derive(Debug)]
struct Contact<'a> {
    id: &'a str,
    method: Method,
    channel: Channel,
    interaction_id: Text,
    /// First contact of the chain, if it is another one.
    initial: Option<&'a str>,
    previous: Option<&'a str>,
    has_next: bool,
    started_at: UtcMicros,
    ended_at: Option<UtcMicros>,
    ended_by: Option<&'a str>,
    queue: Option<Queue<'a>>,
    agent: Option<Agent<'a>>,
    transferred_at: Option<UtcMicros>,
}

#[derive(Debug)]
struct Queue<'a> {
    id: Text,
    /// Whose own queue it is, if it is an agent's.
    of_agent: Option<&'a str>,
    entered_at: Option<UtcMicros>,
    left_at: Option<UtcMicros>,
}

#[derive(Debug)]
struct Agent<'a> {
    id: &'a str,
    connected_at: UtcMicros,
    talk_ms: Option<i64>,
    hold_ms: Option<i64>,
    holds: Option<i64>,
    acw_started_at: Option<UtcMicros>,
    acw_ended_at: Option<UtcMicros>,
}

impl<'a> Contact<'a> {
    fn read(record: &Fields<'a>) -> Result<Self, Reject> {
        let id = record.need_text("ContactId")?;
        let method = record.word("InitiationMethod", &METHODS)?;
        let method = method.ok_or_else(|| {
            let detail = "is missing, null or empty";
            record.reject("InitiationMethod", RejectCode::MissingField, detail)
        })?;
        Ok(Contact {
            id,
            method,
            // The first version of the format knew nothing else.
            channel: record.word("Channel", &CHANNELS)?.unwrap_or(Channel::Voice),
            interaction_id: interaction_id(method, id, record)?,
            initial: record
                .text("InitialContactId")?
                .filter(|first| *first != id),
            previous: record.text("PreviousContactId")?,
            has_next: record.has("NextContactId"),
            started_at: record.need_time("InitiationTimestamp")?,
            ended_at: record.time("DisconnectTimestamp")?,
            ended_by: record.text("DisconnectReason")?,
            queue: record.part("Queue")?.map(|q| Queue::read(&q)).transpose()?,
            agent: match record.part("Agent")? {
                Some(agent) => Agent::read(&agent)?,
                None => None,
            },
            transferred_at: record.time("TransferCompletedTimestamp")?,
        })
    }

    fn tell(&self, record: &Fields<'_>, emit: &mut Emit<'_>) -> Result<(), Reject> {
        if self.method.begins() {
            self.start(record, emit)?;
        }
        if let (Method::Callback, Some(queue)) = (self.method, &self.queue) {
            self.callback(queue, record.time("ScheduledTimestamp")?, emit);
            let answered_at = record.time("ConnectedToSystemTimestamp")?;
            self.callback_outcome(queue, answered_at, emit);
        }
        if let (Method::Transfer, Some(previous)) = (self.method, self.previous) {
            self.transfer_from(previous, emit);
        }
        if let Some(queue) = self.waited_in() {
            let attempts = record.whole("AgentConnectionAttempts")?;
            self.visit(queue, attempts, emit);
        }
        self.leg(Role::Primary, emit);
        if let (Some(at), Some(_)) = (self.transferred_at, &self.agent) {
            let (kind, to) = (TransferTarget::External, Text::new_static("external"));
            let from = self.transfer(self.id, kind, to, None);
            emit.push(at, (self.id, "t.out"), from);
        }
        // The customer goes on in the next contact; times of whole seconds would not tell that this
        // end was none.
        if let Some(at) = self.ended_at.filter(|_| !self.has_next) {
            let ended = InteractionEnded {
                interaction_id: self.interaction_id.clone(),
                ended_by: ended_by(self.ended_by),
                end_reason: self
                    .ended_by
                    .map(|reason| Text::from(reason.to_lowercase())),
            };
            emit.push(at, (self.id, "end"), ended);
        }
        Ok(())
    }

    fn start(&self, record: &Fields<'_>, emit: &mut Emit<'_>) -> Result<(), Reject> {
        let customer = record.part("CustomerEndpoint")?;
        let address = customer.map(|c| c.text("Address")).transpose()?.flatten();
        let ours = record.part("SystemEndpoint")?;
        let entry_point = ours.map(|ours| ours.text("Address")).transpose()?.flatten();
        let is_campaign = record.has("Campaign");
        let direction = match (self.method, self.channel) {
            (Method::Api, Channel::Voice) => Direction::Outbound,
            (Method::Inbound | Method::Api, _) if !is_campaign => Direction::Inbound,
            _ => Direction::Outbound,
        };
        let started = InteractionStarted {
            interaction_id: self.interaction_id.clone(),
            root_id: self.initial.map(Text::new),
            parent_id: self.previous.map(Text::new),
            thread_id: None,
            customer_id: None,
            identity: address.and_then(identity::of_caller),
            channel: self.channel,
            direction,
            purpose: None,
            entry_point: entry_point
                .filter(|_| direction == Direction::Inbound)
                .map(Text::new),
            language: None,
            is_test: None,
        };
        emit.push(self.started_at, (self.id, "start"), started);
        Ok(())
    }

    /// The queue in which the contact waited. A call that an agent makes has the agent's queue for
    /// outbound calls and waits in none.
    fn waited_in(&self) -> Option<&Queue<'a>> {
        let queue = self.queue.as_ref()?;
        (queue.entered_at.is_some() && self.method != Method::Outbound).then_some(queue)
    }

    fn visit(&self, queue: &Queue<'_>, attempts: Option<i64>, emit: &mut Emit<'_>) {
        let Some(entered_at) = queue.entered_at else {
            return;
        };
        let is_callback = self.method == Method::Callback;
        let entered = QueueEntered {
            visit_id: visit_id(self.id),
            interaction_id: self.interaction_id.clone(),
            queue_id: queue.id.clone(),
            visit_kind: match is_callback {
                true => VisitKind::Callback,
                false => VisitKind::Customer,
            },
            priority: None,
            required_skills: None,
            via: self.method.via(),
        };
        emit.push(entered_at, (self.id, "q.in"), entered);
        let Some((at, reason)) = self.leaves(queue) else {
            return;
        };
        let answered = self.agent.as_ref();
        let left = QueueLeft {
            visit_id: visit_id(self.id),
            reason,
            agent_id: answered.map(|agent| Text::new(agent.id)),
            leg_id: answered.map(|_| leg_id(self.id)),
            to_queue_id: None,
            wait_known: None,
        };
        let event = emit.push(at, (self.id, "q.out"), left);
        if let Some(attempts) = attempts {
            note(event, "agent_connection_attempts", attempts.to_string());
        }
    }

    /// When and why the contact left the queue.
    fn leaves(&self, queue: &Queue<'_>) -> Option<(UtcMicros, LeaveReason)> {
        if let Some(agent) = &self.agent {
            let at = queue.left_at.unwrap_or(agent.connected_at);
            return Some((at, LeaveReason::Answered));
        }
        let at = queue.left_at.or(self.ended_at)?;
        let reason = match self.ended_by.map(str::to_uppercase).as_deref() {
            _ if self.has_next || self.transferred_at.is_some() => LeaveReason::Overflow,
            None | Some("CUSTOMER_DISCONNECT") => LeaveReason::Abandoned,
            Some("CONTACT_FLOW_DISCONNECT" | "EXPIRED") => LeaveReason::Timeout,
            Some(_) => LeaveReason::Error,
        };
        Some((at, reason))
    }

    /// The request for a callback. The contact before did not move to another queue, as its own record
    /// makes believe: it was given a callback, and that is its end.
    fn callback(&self, queue: &Queue<'_>, due: Option<UtcMicros>, emit: &mut Emit<'_>) {
        let requested = CallbackRequested {
            callback_id: Text::new(self.id),
            kind: CallbackKind::Callback,
            visit_id: self.previous.map(visit_id),
            interaction_id: self.initial.or(self.previous).map(Text::new),
            queue_id: queue.id.clone(),
            scheduled_for: due,
        };
        emit.push(self.started_at, (self.id, "cb.requested"), requested);
        if let Some(previous) = self.previous {
            let left = QueueLeft {
                visit_id: visit_id(previous),
                reason: LeaveReason::Callback,
                agent_id: None,
                leg_id: None,
                to_queue_id: None,
                wait_known: None,
            };
            let event = emit.push(self.started_at, (self.id, "cb.instead"), left);
            replaces(event, event_id(previous, "q.out"));
            let ended = InteractionEnded {
                interaction_id: Text::new(self.initial.unwrap_or(previous)),
                ended_by: EndedBy::System,
                end_reason: Some("callback".into()),
            };
            emit.push(self.started_at, (self.id, "cb.end"), ended);
        }
    }

    fn callback_outcome(
        &self,
        queue: &Queue<'_>,
        picked_up_at: Option<UtcMicros>,
        emit: &mut Emit<'_>,
    ) {
        let callback_id = Text::new(self.id);
        let kind = CallbackKind::Callback;
        let visit_id = self.previous.map(visit_id);
        let interaction_id = self.initial.or(self.previous).map(Text::new);
        let queue_id = queue.id.clone();
        if let Some(at) = picked_up_at {
            let attempted = CallbackAttempted {
                callback_id: callback_id.clone(),
                kind,
                visit_id: visit_id.clone(),
                interaction_id: interaction_id.clone(),
                queue_id: queue_id.clone(),
                scheduled_for: None,
            };
            emit.push(at, (self.id, "cb.attempted"), attempted);
        }
        if let Some(agent) = &self.agent {
            let connected = CallbackConnected {
                callback_id: callback_id.clone(),
                kind,
                visit_id: visit_id.clone(),
                interaction_id: interaction_id.clone(),
                queue_id: queue_id.clone(),
                scheduled_for: None,
            };
            emit.push(agent.connected_at, (self.id, "cb.connected"), connected);
        }
        if let Some(at) = self.ended_at {
            let closed = CallbackClosed {
                callback_id,
                kind,
                visit_id,
                interaction_id,
                queue_id,
                scheduled_for: None,
                outcome: match self.agent {
                    Some(_) => CallbackOutcome::Done,
                    None => CallbackOutcome::Failed,
                },
            };
            emit.push(at, (self.id, "cb.closed"), closed);
        }
    }

    /// The agent of the contact before has sent the customer here.
    fn transfer_from(&self, previous: &str, emit: &mut Emit<'_>) {
        let queue = self.queue.as_ref();
        let own = queue.and_then(|queue| queue.of_agent);
        let agent = own.or(self.agent.as_ref().map(|agent| agent.id));
        let (kind, to) = match (queue, agent) {
            (Some(queue), _) if own.is_none() => (TransferTarget::Queue, queue.id.clone()),
            (_, Some(agent)) => (TransferTarget::Agent, Text::new(agent)),
            _ => (TransferTarget::Agent, Text::new_static("unknown")),
        };
        let to_leg = self.agent.as_ref().map(|_| leg_id(self.id));
        let done = self.transfer(previous, kind, to, to_leg);
        emit.push(self.started_at, (self.id, "t.in"), done);
    }

    /// The records do not tell whether the agents have spoken first.
    fn transfer(
        &self,
        from: &str,
        to_kind: TransferTarget,
        to_id: Text,
        to_leg_id: Option<Text>,
    ) -> TransferCompleted {
        TransferCompleted {
            transfer_id: Text::from(format!("{}/t", self.id)),
            from_leg_id: leg_id(from),
            kind: TransferKind::Blind,
            to_kind,
            to_id,
            to_leg_id,
            reason: None,
        }
    }

    fn leg(&self, role: Role, emit: &mut Emit<'_>) {
        let Some(agent) = &self.agent else { return };
        let leg_id = leg_id(self.id);
        let connected = LegConnected {
            leg_id: leg_id.clone(),
            interaction_id: self.interaction_id.clone(),
            agent_id: Text::new(agent.id),
            visit_id: self.waited_in().map(|_| visit_id(self.id)),
            role,
            initiation: self.method.initiation(),
            dial_ms: None,
        };
        emit.push(agent.connected_at, (self.id, "a.on"), connected);
        let Some(off_at) = agent.acw_started_at.or(self.ended_at) else {
            return;
        };
        let disconnected = LegDisconnected {
            leg_id: leg_id.clone(),
            talk_ms: agent.talk_ms,
            hold_ms: agent.hold_ms,
        };
        let event = emit.push(off_at, (self.id, "a.off"), disconnected);
        if let Some(holds) = agent.holds {
            note(event, "number_of_holds", holds.to_string());
        }
        if let Some(at) = agent.acw_started_at {
            let leg_id = leg_id.clone();
            emit.push(at, (self.id, "acw.in"), AcwStarted { leg_id });
        }
        if let Some(at) = agent.acw_ended_at {
            let acw_ms = None;
            emit.push(at, (self.id, "acw.out"), AcwEnded { leg_id, acw_ms });
        }
    }
}

impl<'a> Queue<'a> {
    fn read(queue: &Fields<'a>) -> Result<Self, Reject> {
        Ok(Queue {
            id: queue_id(queue)?,
            of_agent: agent_of_queue(queue)?,
            entered_at: queue.time("EnqueueTimestamp")?,
            left_at: queue.time("DequeueTimestamp")?,
        })
    }
}

impl<'a> Agent<'a> {
    /// `None` if the contact never reached the agent.
    fn read(agent: &Fields<'a>) -> Result<Option<Self>, Reject> {
        let Some(connected_at) = agent.time("ConnectedToAgentTimestamp")? else {
            return Ok(None);
        };
        let id = match agent.text("ARN")? {
            Some(arn) => tail(arn),
            None => agent.need_text("Username")?,
        };
        Ok(Some(Agent {
            id,
            connected_at,
            talk_ms: agent.seconds("AgentInteractionDuration")?,
            hold_ms: agent.seconds("CustomerHoldDuration")?,
            holds: agent.whole("NumberOfHolds")?,
            acw_started_at: agent.time("AfterContactWorkStartTimestamp")?,
            acw_ended_at: agent.time("AfterContactWorkEndTimestamp")?,
        }))
    }
}

fn ended_by(reason: Option<&str>) -> EndedBy {
    match reason.map(str::to_uppercase).as_deref() {
        Some("CUSTOMER_DISCONNECT") => EndedBy::Customer,
        Some("AGENT_DISCONNECT") => EndedBy::Agent,
        Some("THIRD_PARTY_DISCONNECT") => EndedBy::ThirdParty,
        Some(
            "TELECOM_PROBLEM"
            | "TELECOM_BUSY"
            | "TELECOM_NUMBER_INVALID"
            | "TELECOM_POTENTIAL_BLOCKING"
            | "TELECOM_UNANSWERED"
            | "TELECOM_TIMEOUT"
            | "TELECOM_ORIGINATOR_CANCEL"
            | "CUSTOMER_NEVER_ARRIVED"
            | "OUTBOUND_DESTINATION_ENDPOINT_ERROR"
            | "OUTBOUND_RESOURCE_ERROR"
            | "OUTBOUND_ATTEMPT_FAILED",
        ) => EndedBy::Telecom,
        _ => EndedBy::System,
    }
}
