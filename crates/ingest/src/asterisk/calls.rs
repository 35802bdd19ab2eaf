//! Calls: their visits of queues and their agents.

use std::collections::HashMap;

use events::{
    AcwEnded, AcwStarted, Channel, Direction, EndedBy, Initiation, InteractionEnded,
    InteractionStarted, LeaveReason, LegConnected, LegDisconnected, OfferEnded, OfferOutcome,
    OfferStarted, QueueEntered, QueueLeft, Reject, Role, Text, TransferCompleted, TransferKind,
    TransferTarget, UtcMicros, VisitKind,
};

use super::{
    emit::{Emit, note, rename},
    row::Row,
};
use crate::identity;

/// The calls that may still get rows.
#[derive(Debug, Default)]
pub(super) struct Calls {
    open: HashMap<Text, Call>,
    newest: UtcMicros,
    rows: usize,
}

#[derive(Debug, Default)]
struct Call {
    visits: Vec<Visit>,
    touched: UtcMicros,
}

#[derive(Debug)]
struct Visit {
    id: String,
    queue: Text,
    entered_at: UtcMicros,
    state: State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Waiting,
    Talking,
    Over,
}

impl Visit {
    fn leg_id(&self) -> Text {
        Text::from(format!("{}/leg", self.id))
    }
}

/// How an answered call ends, and in which data fields its durations stand.
#[derive(Debug)]
pub(super) struct Ending {
    hold: usize,
    talk: usize,
    by: EndedBy,
    transfer: Option<(TransferKind, Text)>,
}

impl Ending {
    /// `COMPLETE…|hold|talk|position`.
    pub fn complete(by: EndedBy) -> Self {
        Ending {
            hold: 0,
            talk: 1,
            by,
            transfer: None,
        }
    }

    /// `BLINDTRANSFER|extension|context|hold|talk|position`.
    pub fn blind(row: &Row<'_>) -> Self {
        let to = match (row.data(0), row.data(1)) {
            (Some(extension), Some(context)) => Text::from(format!("{extension}@{context}")),
            (extension, _) => Text::new(extension.unwrap_or("unknown")),
        };
        Ending::transferred(2, TransferKind::Blind, to)
    }

    /// `ATTENDEDTRANSFER|method|id|hold|talk|position`; the method LINK has two ids.
    pub fn attended(row: &Row<'_>) -> Self {
        let ids = if row.data(0) == Some("LINK") { 2 } else { 1 };
        let to = Text::new(row.data(ids).unwrap_or("unknown"));
        Ending::transferred(ids + 1, TransferKind::Consult, to)
    }

    fn transferred(hold: usize, kind: TransferKind, to: Text) -> Self {
        Ending {
            hold,
            talk: hold + 1,
            by: EndedBy::ThirdParty,
            transfer: Some((kind, to)),
        }
    }
}

/// Enough to tell the offers of one visit apart.
const OFFER_HEX: usize = 8;
/// A call without rows for so long gets no more.
const FORGET_AFTER_MS: i64 = 48 * 3_600_000;
/// Rows between two looks for such calls.
const FORGET_EVERY_ROWS: usize = 65_536;

impl Calls {
    /// ENTERQUEUE|url|caller id|position.
    pub fn enter(&mut self, row: &Row<'_>, emit: &mut Emit<'_>) -> Result<bool, Reject> {
        let (id, queue) = (row.call()?, row.queue()?);
        let call = self.touch(id, emit.at);
        if call.visits.is_empty() {
            start(id, emit.at, row.data(1).and_then(identity::of_caller), emit);
        }
        add_visit(call, id, queue, emit.at, emit);
        Ok(true)
    }

    /// RINGNOANSWER|ring in ms.
    pub fn ring(
        &mut self,
        row: &Row<'_>,
        emit: &mut Emit<'_>,
        outcome: OfferOutcome,
    ) -> Result<bool, Reject> {
        let (id, queue) = (row.call()?, row.queue()?);
        let ring_ms = row.number(0)?;
        let Some(agent) = row.agent() else {
            return Ok(false);
        };
        let call = self.touch(id, emit.at);
        // A ring that ends a moment after another agent took the call is still of that visit.
        let Some(visit) = call.visits.iter().rev().find(|v| v.queue == queue) else {
            return Ok(false);
        };
        offer(visit, agent, ring_ms, outcome, emit);
        Ok(true)
    }

    /// CONNECT|hold|channel|ring in s; old logs have no ring.
    pub fn connect(&mut self, row: &Row<'_>, emit: &mut Emit<'_>) -> Result<bool, Reject> {
        let (id, queue) = (row.call()?, row.queue()?);
        let (hold_ms, ring_ms) = (row.seconds(0)?, row.seconds(2)?);
        let agent = agent_of(row, id);
        let call = self.touch(id, emit.at);
        let visit = waiting_visit(call, id, queue, (emit.at, hold_ms), emit);
        offer(visit, &agent, ring_ms, OfferOutcome::Accepted, emit);
        answer(visit, id, &agent, (emit.at, hold_ms), emit);
        Ok(true)
    }

    /// The agent's part is over: completed by a side, or transferred.
    pub fn end(
        &mut self,
        row: &Row<'_>,
        emit: &mut Emit<'_>,
        ending: &Ending,
    ) -> Result<bool, Reject> {
        let (id, queue) = (row.call()?, row.queue()?);
        let (hold_ms, talk_ms) = (row.seconds(ending.hold)?, row.seconds(ending.talk)?);
        let call = self.touch(id, emit.at);
        let talking = |v: &Visit| v.queue == queue && v.state == State::Talking;
        let place = call.visits.iter().rposition(talking);
        let visit = match place {
            Some(place) => &mut call.visits[place],
            None => {
                let connected = emit.at.plus_ms(-talk_ms.unwrap_or(0));
                let visit = waiting_visit(call, id, queue, (connected, hold_ms), emit);
                answer(visit, id, &agent_of(row, id), (connected, hold_ms), emit);
                visit
            }
        };
        visit.state = State::Over;
        let leg_id = visit.leg_id();
        if let Some((kind, to)) = &ending.transfer {
            emit.push(transfer(&leg_id, *kind, to));
        }
        emit.push(LegDisconnected {
            leg_id,
            talk_ms,
            hold_ms: None,
        });
        let reason = ending.transfer.as_ref().map(|_| "transferred");
        end_interaction(id, ending.by, reason, emit);
        Ok(true)
    }

    /// The visit ends without an agent. `wait_field` is where the log states the wait.
    pub fn leave(
        &mut self,
        row: &Row<'_>,
        emit: &mut Emit<'_>,
        reason: LeaveReason,
        wait_field: Option<usize>,
    ) -> Result<bool, Reject> {
        let (id, queue) = (row.call()?, row.queue()?);
        let wait_ms = wait_field.map(|i| row.seconds(i)).transpose()?.flatten();
        let call = self.touch(id, emit.at);
        let visit = waiting_visit(call, id, queue, (emit.at, wait_ms), emit);
        visit.state = State::Over;
        let left = emit.push(left(visit, reason));
        note_wait(left, wait_ms);
        if reason == LeaveReason::Abandoned {
            end_interaction(id, EndedBy::Customer, None, emit);
        }
        Ok(true)
    }

    /// WRAPUPSTART|seconds, of the last agent that talked.
    pub fn wrap_up(&mut self, row: &Row<'_>, emit: &mut Emit<'_>) -> Result<bool, Reject> {
        let Some(acw_ms) = row.seconds(0)? else {
            return Ok(false);
        };
        let Ok(id) = row.call() else { return Ok(false) };
        let Some(visit) = self.open.get(id).and_then(|call| call.visits.last()) else {
            return Ok(false);
        };
        let leg_id = visit.leg_id();
        emit.push(AcwStarted {
            leg_id: leg_id.clone(),
        });
        emit.push_at(
            emit.at.plus_ms(acw_ms),
            AcwEnded {
                leg_id,
                acw_ms: Some(acw_ms),
            },
        );
        Ok(true)
    }

    /// The telephone system started: whoever was still in it is not any more.
    ///
    /// Counted as mapped only if there was somebody.
    pub fn restart(&mut self, emit: &mut Emit<'_>) -> bool {
        let mut cut: Vec<(&Text, &mut Call)> = self
            .open
            .iter_mut()
            .filter(|(_, call)| call.touched <= emit.at && call.is_open())
            .collect();
        cut.sort_by(|a, b| a.0.cmp(b.0));
        let any = !cut.is_empty();
        for (id, call) in cut {
            for visit in &mut call.visits {
                if std::mem::replace(&mut visit.state, State::Over) == State::Waiting {
                    let event = emit.push(left(visit, LeaveReason::Error));
                    note(event, "inferred", "true");
                    rename(event, &visit.id);
                }
            }
            let event = end_interaction(id, EndedBy::System, Some("restart"), emit);
            note(event, "inferred", "true");
            rename(event, id);
        }
        any
    }

    fn touch(&mut self, id: &str, at: UtcMicros) -> &mut Call {
        self.newest = self.newest.max(at);
        self.rows += 1;
        if self.rows.is_multiple_of(FORGET_EVERY_ROWS) {
            let oldest = self.newest.plus_ms(-FORGET_AFTER_MS);
            self.open.retain(|_, call| call.touched >= oldest);
        }
        let call = self.open.entry(Text::new(id)).or_default();
        call.touched = call.touched.max(at);
        call
    }
}

impl Call {
    fn is_open(&self) -> bool {
        self.visits.iter().any(|visit| visit.state != State::Over)
    }
}

/// The visit that waits in the queue. If the log does not have its entry, it is concluded from
/// the end of the wait and the wait that the log states.
fn waiting_visit<'a>(
    call: &'a mut Call,
    id: &str,
    queue: &str,
    (until, wait_ms): (UtcMicros, Option<i64>),
    emit: &mut Emit<'_>,
) -> &'a mut Visit {
    let waits = |v: &Visit| v.queue == queue && v.state == State::Waiting;
    match call.visits.iter().rposition(waits) {
        Some(place) => &mut call.visits[place],
        None => {
            let entered_at = until.plus_ms(-wait_ms.unwrap_or(0));
            if call.visits.is_empty() {
                start(id, entered_at, None, emit);
            }
            add_visit(call, id, queue, entered_at, emit)
        }
    }
}

fn start(id: &str, at: UtcMicros, identity: Option<Text>, emit: &mut Emit<'_>) {
    emit.push_at(
        at,
        InteractionStarted {
            interaction_id: Text::new(id),
            root_id: None,
            parent_id: None,
            thread_id: None,
            customer_id: None,
            identity,
            channel: Channel::Voice,
            direction: Direction::Inbound,
            purpose: None,
            entry_point: None,
            language: None,
            is_test: None,
        },
    );
}

fn add_visit<'a>(
    call: &'a mut Call,
    id: &str,
    queue: &str,
    entered_at: UtcMicros,
    emit: &mut Emit<'_>,
) -> &'a mut Visit {
    let number = 1 + call.visits.iter().filter(|v| v.queue == queue).count();
    let visit_id = format!("{id}/{queue}/{number}");
    let inferred = emit.at != entered_at;
    let event = emit.push_at(
        entered_at,
        QueueEntered {
            visit_id: Text::new(&visit_id),
            interaction_id: Text::new(id),
            queue_id: Text::new(queue),
            visit_kind: VisitKind::Customer,
            priority: None,
            required_skills: None,
            via: None,
        },
    );
    if inferred {
        note(event, "inferred", "true");
    }
    let (queue, place) = (Text::new(queue), call.visits.len());
    call.visits.push(Visit {
        id: visit_id,
        queue,
        entered_at,
        state: State::Waiting,
    });
    &mut call.visits[place]
}

fn offer(
    visit: &Visit,
    agent: &str,
    ring_ms: Option<i64>,
    outcome: OfferOutcome,
    emit: &mut Emit<'_>,
) {
    // Not a running number: the row may come without those before it.
    let offer_id = Text::from(format!("{}/offer/{}", visit.id, &emit.key.id[..OFFER_HEX]));
    let (visit_id, agent_id) = (Text::new(&visit.id), Text::new(agent));
    if let Some(ring_ms) = ring_ms {
        // Whole seconds may put the ring before the entry.
        let at = emit.at.plus_ms(-ring_ms).max(visit.entered_at).min(emit.at);
        let (offer_id, visit_id) = (offer_id.clone(), visit_id.clone());
        emit.push_at(
            at,
            OfferStarted {
                offer_id,
                visit_id,
                agent_id: agent_id.clone(),
            },
        );
    }
    emit.push(OfferEnded {
        offer_id,
        visit_id,
        agent_id,
        outcome,
    });
}

fn answer(
    visit: &mut Visit,
    id: &str,
    agent: &str,
    (at, hold_ms): (UtcMicros, Option<i64>),
    emit: &mut Emit<'_>,
) {
    visit.state = State::Talking;
    let (leg_id, agent_id) = (visit.leg_id(), Text::new(agent));
    let leaving = QueueLeft {
        agent_id: Some(agent_id.clone()),
        leg_id: Some(leg_id.clone()),
        ..left(visit, LeaveReason::Answered)
    };
    note_wait(emit.push_at(at, leaving), hold_ms);
    emit.push_at(
        at,
        LegConnected {
            leg_id,
            interaction_id: Text::new(id),
            agent_id,
            visit_id: Some(Text::new(&visit.id)),
            role: Role::Primary,
            initiation: Initiation::Queue,
            dial_ms: None,
        },
    );
}

fn left(visit: &Visit, reason: LeaveReason) -> QueueLeft {
    QueueLeft {
        visit_id: Text::new(&visit.id),
        reason,
        agent_id: None,
        leg_id: None,
        to_queue_id: None,
        wait_known: None,
    }
}

/// Where a call goes when it leaves the log's sight: an extension, which may be a phone, a queue
/// or the outside. The log does not say which.
fn transfer(leg_id: &Text, kind: TransferKind, to: &Text) -> TransferCompleted {
    TransferCompleted {
        transfer_id: Text::from(format!("{leg_id}/transfer")),
        from_leg_id: leg_id.clone(),
        kind,
        to_kind: TransferTarget::External,
        to_id: to.clone(),
        to_leg_id: None,
        reason: None,
    }
}

fn end_interaction<'e>(
    id: &str,
    ended_by: EndedBy,
    reason: Option<&'static str>,
    emit: &'e mut Emit<'_>,
) -> &'e mut events::Event {
    emit.push(InteractionEnded {
        interaction_id: Text::new(id),
        ended_by,
        end_reason: reason.map(Text::new_static),
    })
}

fn note_wait(event: &mut events::Event, wait_ms: Option<i64>) {
    if let Some(wait_ms) = wait_ms {
        note(event, "wait_s", Text::from((wait_ms / 1_000).to_string()));
    }
}

/// Some logs leave out who answered; the leg must not be taken for another call of one agent.
fn agent_of(row: &Row<'_>, call: &str) -> String {
    row.agent()
        .map_or_else(|| format!("unknown/{call}"), str::to_owned)
}
