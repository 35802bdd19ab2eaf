//! Twilio TaskRouter: its events, as a stream, a webhook or the events interface gives them.
//!
//! A task is an interaction, and a visit of each queue that it enters; a reservation is an offer, and
//! once accepted a leg. The three forms differ in their envelope and in how names are written; what is
//! believed is always the payload, because envelopes of streams have been seen to contradict it.
//!
//! Workers are known by their ids (`WK…`), not by their names, which are often mail addresses. Events
//! of one task must be in order: which queue a task is in is remembered while its events are read.

mod form;

use std::collections::HashMap;

use events::{
    AcwEnded, AcwStarted, AgentState, Channel, Direction, EndedBy, Initiation, InteractionEnded,
    InteractionStarted, LeaveReason, LegConnected, LegDisconnected, OfferEnded, OfferOutcome,
    OfferStarted, QueueEntered, QueueLeft, Reject, Role, Text, TransferCompleted, TransferKind,
    TransferTarget, Via, VisitKind,
};
use serde_json::Value;

use crate::{
    identity,
    records::{Emit, Meaning, Records, SourceSettings, agent_state, note},
};
use form::Told;

/// Tasks whose place is remembered; a stream with more of them open is missing their ends.
const TASKS_MAX: usize = 262_144;

/// Reader of TaskRouter events (schemas `TaskRouter.WDSEvent` 1 to 4, and event callbacks).
#[derive(Debug)]
pub struct TwilioTaskrouter {
    source: SourceSettings,
    tasks: HashMap<Text, Task>,
}

/// Where a task is.
#[derive(Debug, Default)]
struct Task {
    /// The visits so far: their queue's id.
    visits: Vec<Text>,
    /// Is the last of them still waiting?
    waits: bool,
    /// Was its end told?
    over: bool,
    /// Which visit each reservation is of; of none if the task was with a worker already.
    reservations: Vec<(Text, Option<Text>)>,
    /// The reservation by which each visit was answered.
    answers: Vec<(Text, Text)>,
}

impl Task {
    /// The visit of a reservation: where the task was when it was heard of first. An event that is
    /// delivered again later is still of that visit. A task that a worker hands on to another one waits
    /// nowhere.
    fn reserved(&mut self, task: &str, queue: &str, reservation: &str) -> Option<Text> {
        let known = self.reservations.iter().find(|(id, _)| id == reservation);
        if let Some((_, visit_id)) = known {
            return visit_id.clone();
        }
        if self.visits.is_empty() {
            self.visits.push(Text::new(queue));
        }
        let last = self.visit_id(task, queue);
        let is_answered = self.answers.iter().any(|(visit_id, _)| *visit_id == last);
        let visit_id = (!is_answered).then_some(last);
        self.reservations
            .push((reservation.into(), visit_id.clone()));
        visit_id
    }

    /// The visit that a reservation answers by being accepted, if it is the first to do so.
    fn answered(&mut self, task: &str, queue: &str, reservation: &str) -> Option<Text> {
        let visit_id = self.reserved(task, queue, reservation)?;
        let by = self.answers.iter().find(|(id, _)| *id == visit_id);
        match by {
            Some((_, first)) => (first == reservation).then_some(visit_id),
            None => {
                self.answers.push((visit_id.clone(), reservation.into()));
                Some(visit_id)
            }
        }
    }

    /// The id of the last visit; of the first one if its entry was not seen.
    fn visit_id(&self, task: &str, queue: &str) -> Text {
        let queue = self.visits.last().map_or(queue, Text::as_str);
        let times = self.visits.iter().filter(|other| *other == queue).count();
        match times {
            0 | 1 => Text::from(format!("{task}/{queue}")),
            n => Text::from(format!("{task}/{queue}/{n}")),
        }
    }
}

impl TwilioTaskrouter {
    /// A reader for one workspace.
    pub fn new(source: SourceSettings) -> Self {
        TwilioTaskrouter {
            source,
            tasks: HashMap::new(),
        }
    }

    fn task(&mut self, told: &Told<'_>) -> Result<(Text, &mut Task), Reject> {
        if self.tasks.len() >= TASKS_MAX {
            self.tasks.retain(|_, task| !task.over);
        }
        if self.tasks.len() >= TASKS_MAX {
            self.tasks.clear();
        }
        let id = Text::new(told.need("task_sid")?);
        Ok((id.clone(), self.tasks.entry(id).or_default()))
    }
}

impl Records for TwilioTaskrouter {
    const PAGES: &'static [&'static str] = &["events"];
    const REVISED: bool = false;

    fn read(&mut self, record: &Value) -> Result<Meaning, Reject> {
        let told = Told::read(record)?;
        let source = self.source.clone();
        let mut emit = Emit::new(&source);
        match told.kind {
            "task.created" => created(&told, &mut emit)?,
            "task-queue.entered" => self.entered(&told, &mut emit)?,
            "task-queue.timeout" => self.leaves(&told, LeaveReason::Overflow, &mut emit)?,
            "task.canceled" => self.canceled(&told, &mut emit)?,
            "task.completed" => self.over(&told, EndedBy::Agent, &mut emit)?,
            "task.deleted" | "task.system-deleted" => {
                self.leaves(&told, LeaveReason::Error, &mut emit)?;
                self.over(&told, EndedBy::System, &mut emit)?;
            }
            "task.transfer-completed" => transferred(&told, &mut emit)?,
            "reservation.created" => self.offered(&told, &mut emit)?,
            "reservation.accepted" => self.accepted(&told, &mut emit)?,
            "reservation.rejected" => self.rung(&told, OfferOutcome::Rejected, &mut emit)?,
            "reservation.timeout" => self.rung(&told, OfferOutcome::NoAnswer, &mut emit)?,
            "reservation.canceled" => self.rung(&told, OfferOutcome::CallerGone, &mut emit)?,
            "reservation.rescinded" => self.rung(&told, OfferOutcome::Rescinded, &mut emit)?,
            "reservation.wrapup" => wraps_up(&told, &mut emit)?,
            "reservation.completed" => completed(&told, &mut emit)?,
            "worker.activity.update" => activity(&told, &mut emit)?,
            other => return Ok(Meaning::Nothing(Text::new(other))),
        }
        emit.finish()
    }
}

/// Names of task channels.
const CHANNELS: [(&str, Channel); 7] = [
    ("voice", Channel::Voice),
    ("chat", Channel::Chat),
    ("sms", Channel::Sms),
    ("email", Channel::Email),
    ("video", Channel::Video),
    ("whatsapp", Channel::Message),
    ("default", Channel::Task),
];

fn created(told: &Told<'_>, emit: &mut Emit<'_>) -> Result<(), Reject> {
    let task = told.need("task_sid")?;
    let channel = told.text("task_channel_unique_name")?;
    let channel = channel.or(told.text("task_channel")?).unwrap_or("default");
    let known = CHANNELS
        .iter()
        .find(|(name, _)| name.eq_ignore_ascii_case(channel));
    let attributes = told.attributes("task_attributes")?;
    let attribute = |names: &[&str]| {
        let values = names.iter().map(|name| attributes.get(*name));
        let found = values.flatten().find_map(Value::as_str);
        found.map(str::to_owned)
    };
    let is_outbound = attribute(&["direction"]).is_some_and(|d| d.starts_with("outbound"));
    let theirs = match is_outbound {
        true => attribute(&["to", "called"]),
        false => attribute(&["from", "caller", "customerAddress"]),
    };
    let started = InteractionStarted {
        interaction_id: Text::new(task),
        root_id: None,
        parent_id: None,
        thread_id: None,
        customer_id: None,
        identity: theirs.as_deref().and_then(identity::of_caller),
        channel: known.map_or(Channel::Task, |(_, channel)| *channel),
        direction: match is_outbound {
            true => Direction::Outbound,
            false => Direction::Inbound,
        },
        purpose: None,
        entry_point: attribute(&["to", "called"])
            .filter(|_| !is_outbound)
            .map(Text::from),
        language: None,
        is_test: None,
    };
    emit.push(told.at, (task, "start"), started);
    Ok(())
}

impl TwilioTaskrouter {
    fn entered(&mut self, told: &Told<'_>, emit: &mut Emit<'_>) -> Result<(), Reject> {
        let queue = Text::new(told.queue()?);
        let (id, task) = self.task(told)?;
        let is_repeat = task.waits && task.visits.last() == Some(&queue);
        if task.waits && !is_repeat {
            leave(told, &task.visit_id(&id, &queue), LeaveReason::Moved, emit);
        }
        if !is_repeat {
            task.visits.push(queue.clone());
            task.waits = true;
        }
        let is_later = task.visits.len() > 1;
        let visit_id = task.visit_id(&id, &queue);
        let entered = QueueEntered {
            visit_id: visit_id.clone(),
            interaction_id: id,
            queue_id: queue,
            visit_kind: VisitKind::Customer,
            priority: told.whole("task_priority")?,
            required_skills: None,
            via: is_later.then_some(Via::Overflow),
        };
        emit.push(told.at, (&visit_id, "in"), entered);
        Ok(())
    }

    /// The task leaves the queue it waits in. One whose entry was not seen leaves the queue that
    /// the event names.
    fn leaves(
        &mut self,
        told: &Told<'_>,
        reason: LeaveReason,
        emit: &mut Emit<'_>,
    ) -> Result<(), Reject> {
        let queue = told.queue().map(Text::new);
        let (id, task) = self.task(told)?;
        let queue = match (task.waits, task.visits.is_empty(), queue) {
            (true, _, queue) => queue.unwrap_or_default(),
            (false, true, Ok(queue)) if !task.over => queue,
            _ => return Ok(()),
        };
        task.waits = false;
        leave(told, &task.visit_id(&id, &queue), reason, emit);
        Ok(())
    }

    /// Nobody has taken the task, or an agent has given it up.
    fn canceled(&mut self, told: &Told<'_>, emit: &mut Emit<'_>) -> Result<(), Reject> {
        let why = told.text("task_canceled_reason")?.or(told.text("reason")?);
        let named = why.unwrap_or_default().to_lowercase();
        let reason = if named.contains("voicemail") {
            LeaveReason::Voicemail
        } else if named.contains("callback") {
            LeaveReason::Callback
        } else {
            LeaveReason::Abandoned
        };
        self.leaves(told, reason, emit)?;
        self.over(told, EndedBy::Customer, emit)
    }

    fn over(
        &mut self,
        told: &Told<'_>,
        ended_by: EndedBy,
        emit: &mut Emit<'_>,
    ) -> Result<(), Reject> {
        let (id, task) = self.task(told)?;
        task.over = true;
        let why = match told.text("task_canceled_reason")? {
            Some(why) => Some(why),
            None => told.text("task_completed_reason")?,
        };
        let ended = InteractionEnded {
            interaction_id: id.clone(),
            ended_by,
            end_reason: why.map(Text::new),
        };
        emit.push(told.at, (&id, "end"), ended);
        Ok(())
    }

    fn offered(&mut self, told: &Told<'_>, emit: &mut Emit<'_>) -> Result<(), Reject> {
        if let Some(offer) = self.offer(told)? {
            let started = OfferStarted {
                offer_id: Text::new(offer.id),
                visit_id: offer.visit_id,
                agent_id: offer.agent_id,
            };
            emit.push(told.at, (offer.id, "ring"), started);
        }
        Ok(())
    }

    fn rung(
        &mut self,
        told: &Told<'_>,
        outcome: OfferOutcome,
        emit: &mut Emit<'_>,
    ) -> Result<(), Reject> {
        if let Some(offer) = self.offer(told)? {
            let ended = OfferEnded {
                offer_id: Text::new(offer.id),
                visit_id: offer.visit_id,
                agent_id: offer.agent_id,
                outcome,
            };
            emit.push(told.at, (offer.id, "rung"), ended);
        }
        Ok(())
    }

    /// What a reservation offers to whom; nothing if it is of no visit, as after a transfer.
    fn offer<'a>(&mut self, told: &Told<'a>) -> Result<Option<Offer<'a>>, Reject> {
        let reservation = told.need("reservation_sid")?;
        let queue = told.queue()?;
        let agent_id = Text::new(told.need("worker_sid")?);
        let (id, task) = self.task(told)?;
        let visit_id = task.reserved(&id, queue, reservation);
        Ok(visit_id.map(|visit_id| Offer {
            id: reservation,
            visit_id,
            agent_id,
        }))
    }

    fn accepted(&mut self, told: &Told<'_>, emit: &mut Emit<'_>) -> Result<(), Reject> {
        self.rung(told, OfferOutcome::Accepted, emit)?;
        let (reservation, worker) = (told.need("reservation_sid")?, told.need("worker_sid")?);
        let queue = told.queue()?;
        let (id, task) = self.task(told)?;
        let visit_id = task.answered(&id, queue, reservation);
        if let Some(visit_id) = &visit_id {
            // Delivered again, it says nothing of the queue the task is in by now.
            if *visit_id == task.visit_id(&id, queue) {
                task.waits = false;
            }
            let left = QueueLeft {
                visit_id: visit_id.clone(),
                reason: LeaveReason::Answered,
                agent_id: Some(Text::new(worker)),
                leg_id: Some(Text::new(reservation)),
                to_queue_id: None,
                wait_known: None,
            };
            emit.push(told.at, (visit_id, "out"), left);
        }
        let connected = LegConnected {
            leg_id: Text::new(reservation),
            interaction_id: id,
            agent_id: Text::new(worker),
            initiation: match visit_id {
                Some(_) => Initiation::Queue,
                None => Initiation::TransferBlind,
            },
            visit_id,
            role: Role::Primary,
            dial_ms: None,
        };
        emit.push(told.at, (reservation, "on"), connected);
        Ok(())
    }
}

/// A visit that rings at an agent.
struct Offer<'a> {
    id: &'a str,
    visit_id: Text,
    agent_id: Text,
}

fn leave(told: &Told<'_>, visit_id: &Text, reason: LeaveReason, emit: &mut Emit<'_>) {
    let left = QueueLeft {
        visit_id: visit_id.clone(),
        reason,
        agent_id: None,
        leg_id: None,
        to_queue_id: None,
        wait_known: None,
    };
    emit.push(told.at, (visit_id, "out"), left);
}

fn wraps_up(told: &Told<'_>, emit: &mut Emit<'_>) -> Result<(), Reject> {
    let leg = told.need("reservation_sid")?;
    let disconnected = LegDisconnected {
        leg_id: Text::new(leg),
        talk_ms: None,
        hold_ms: None,
    };
    emit.push(told.at, (leg, "off"), disconnected);
    let leg_id = Text::new(leg);
    emit.push(told.at, (leg, "acw.in"), AcwStarted { leg_id });
    Ok(())
}

/// The end of the after-call work; without any, also that of the leg.
fn completed(told: &Told<'_>, emit: &mut Emit<'_>) -> Result<(), Reject> {
    let leg = told.need("reservation_sid")?;
    let ended = AcwEnded {
        leg_id: Text::new(leg),
        acw_ms: None,
    };
    emit.push(told.at, (leg, "acw.out"), ended);
    Ok(())
}

fn transferred(told: &Told<'_>, emit: &mut Emit<'_>) -> Result<(), Reject> {
    let from = told.need("transfer_initiating_reservation_sid")?;
    let to = told.text("transfer_to")?;
    let is_queue = told
        .text("transfer_type")?
        .is_some_and(|kind| kind.eq_ignore_ascii_case("QUEUE"));
    let is_warm = told
        .text("transfer_mode")?
        .is_some_and(|mode| mode.eq_ignore_ascii_case("WARM"));
    let done = TransferCompleted {
        transfer_id: Text::from(format!("{from}/t")),
        from_leg_id: Text::new(from),
        kind: match is_warm {
            true => TransferKind::Consult,
            false => TransferKind::Blind,
        },
        to_kind: match is_queue {
            true => TransferTarget::Queue,
            false => TransferTarget::Agent,
        },
        to_id: Text::new(to.unwrap_or("unknown")),
        to_leg_id: None,
        reason: None,
    };
    emit.push(told.at, (from, "t"), done);
    Ok(())
}

/// A worker's activity is the login as well: `Offline` is the logout.
fn activity(told: &Told<'_>, emit: &mut Emit<'_>) -> Result<(), Reject> {
    let worker = told.need("worker_sid")?;
    let name = told.need("worker_activity_name")?;
    let state = agent_state(name);
    let event = emit.status(told.at, worker, (state, name));
    if state != AgentState::Offline
        && let Some(before) = told.text("worker_previous_activity_name")?
    {
        note(event, "previous_activity", before);
    }
    Ok(())
}

#[cfg(test)]
mod tests;
