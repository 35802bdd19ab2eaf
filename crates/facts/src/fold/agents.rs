//! Agents: sessions and states.
//!
//! An agent without a session can still have states, as in a log that only says who paused.
//! Nothing is concluded about time in which an agent gave no sign of life.

use events::{EventData as E, *};

use super::slices;
use super::{Sink, drafts::*, gather::Gathered};
use crate::{AgentStateSpan, AgentTime, Common};

/// From where on the events of an agent suffice.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Settled {
    /// Everything before this moment was over, and that is long ago.
    pub long_ago: Option<UtcMicros>,
    /// Everything before this moment is over; if the agent is away, the moment of the last event.
    pub now: Option<UtcMicros>,
}

/// Adds the rows of all agents. Says what is settled about the last of them.
pub(crate) fn agent_rows(g: &Gathered<'_>, sink: &mut Sink<'_>) -> Settled {
    let mut settled = Settled::default();
    for draft in g.agents.iter() {
        let mut watch = Watch::new(draft.id, sink);
        for sign in &draft.signs {
            watch.see(sign);
        }
        watch.wait();
        settled = watch.settled;
    }
    settled
}

/// A session or a state that has begun.
#[derive(Clone, Debug)]
struct Open<'a> {
    at: UtcMicros,
    event: &'a Event,
    status: Status<'a>,
    inferred: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Status<'a> {
    state: &'static str,
    reason: Option<&'a Text>,
    routable: bool,
    productive: bool,
    paid: bool,
}

impl<'a> Status<'a> {
    fn new(state: AgentState) -> Self {
        use AgentState as S;
        Status {
            state: state.as_str(),
            reason: None,
            routable: state == S::Available,
            productive: !matches!(state, S::Break | S::Meal | S::Offline | S::Error | S::Other),
            paid: !matches!(state, S::Meal | S::Offline),
        }
    }

    fn told(data: &'a AgentStateChanged) -> Self {
        let usual = Status::new(data.state);
        Status {
            reason: data.reason.as_ref(),
            routable: data.routable,
            productive: data.productive.unwrap_or(usual.productive),
            paid: data.paid.unwrap_or(usual.paid),
            ..usual
        }
    }

    /// Is the agent there at all? Offline is a word for being away, also inside a session.
    fn is_there(&self) -> bool {
        self.state != AgentState::Offline.as_str()
    }

    fn logged_in() -> Self {
        Status {
            state: "logged_in",
            reason: None,
            routable: false,
            productive: false,
            paid: true,
        }
    }
}

/// Follows one agent through the events.
struct Watch<'a, 's, 'c> {
    agent_id: &'a Text,
    sink: &'s mut Sink<'c>,
    session: Option<(&'a Text, Open<'a>)>,
    status: Option<Open<'a>>,
    last_sign: Option<(UtcMicros, &'a Event)>,
    settled: Settled,
    /// Row of the latest session, if it lasted no time at all.
    empty_session: Option<usize>,
}

impl<'a, 's, 'c> Watch<'a, 's, 'c> {
    fn new(agent_id: &'a Text, sink: &'s mut Sink<'c>) -> Self {
        Watch {
            agent_id,
            sink,
            session: None,
            status: None,
            last_sign: None,
            settled: Settled::default(),
            empty_session: None,
        }
    }

    fn see(&mut self, sign: &AgentSign<'a>) {
        self.silence(sign.at);
        self.note_settled(sign.at);
        match &sign.event.data {
            E::AgentSessionStarted(d) => self.login(sign, &d.session_id),
            E::AgentSessionEnded(d) => self.logout(sign, &d.session_id),
            E::AgentStateChanged(d) => self.change(sign, Status::told(d), false),
            E::AgentHeartbeat(d) => self.heartbeat(sign, d.state),
            _ => {}
        }
        self.last_sign = Some((sign.at, sign.event));
    }

    /// Ends everything at the last sign of life if the agent was silent for too long.
    fn silence(&mut self, until: UtcMicros) {
        let Some((last, event)) = self.last_sign else {
            return;
        };
        if until.ms_since(last) >= self.sink.ctx.settings.max_session_ms {
            self.end_all(last, event, true);
        }
    }

    /// Where nothing is open, the past is settled.
    fn note_settled(&mut self, at: UtcMicros) {
        let alone = self.last_sign.is_none_or(|(last, _)| last < at);
        if self.session.is_none() && self.status.is_none() && alone {
            let keep_ms = self.sink.ctx.settings.keep_closed_ms;
            let long_ago = at.plus_ms(keep_ms) <= self.sink.ctx.horizon;
            self.settled.now = Some(at);
            self.settled.long_ago = if long_ago {
                Some(at)
            } else {
                self.settled.long_ago
            };
        }
    }

    /// A repeated login counts once; a new one ends the session before at the last sign of life.
    fn login(&mut self, sign: &AgentSign<'a>, session_id: &'a Text) {
        if self
            .session
            .as_ref()
            .is_some_and(|(id, _)| *id == session_id)
        {
            return;
        }
        match (self.session.is_some(), self.last_sign) {
            (true, Some((last, event))) => {
                self.sink
                    .issue("missing_end", "agent", self.agent_id, event);
                self.end_all(last, event, true);
            }
            _ => self.end_status(sign.at, sign.event, false),
        }
        let open = |status, inferred| Open {
            at: sign.at,
            event: sign.event,
            status,
            inferred,
        };
        self.session = Some((session_id, open(Status::logged_in(), false)));
        // Until a state is told: who logs in without a word is ready for work.
        self.status = Some(open(Status::new(AgentState::Available), true));
    }

    fn logout(&mut self, sign: &AgentSign<'a>, session_id: &'a Text) {
        match &self.session {
            Some((open, _)) if *open != session_id => {
                self.sink
                    .issue("second_end", "agent", self.agent_id, sign.event);
            }
            _ => self.end_all(sign.at, sign.event, false),
        }
    }

    fn change(&mut self, sign: &AgentSign<'a>, status: Status<'a>, inferred: bool) {
        if let Some(open) = &mut self.status
            && open.status == status
        {
            open.inferred &= inferred;
            return;
        }
        self.end_status(sign.at, sign.event, false);
        if self.session.is_some() || status.state != AgentState::Offline.as_str() {
            self.status = Some(Open {
                at: sign.at,
                event: sign.event,
                status,
                inferred,
            });
        }
    }

    /// A heartbeat is a sign of life; its state counts if a change was missed.
    fn heartbeat(&mut self, sign: &AgentSign<'a>, state: AgentState) {
        if self
            .status
            .as_ref()
            .is_none_or(|open| open.status.state != state.as_str())
        {
            self.change(sign, Status::new(state), true);
        }
    }

    /// What is still open at the end of the events: given up after a long silence.
    fn wait(&mut self) {
        let Some((last, event)) = self.last_sign else {
            return;
        };
        if self.session.is_none() && self.status.is_none() {
            return;
        }
        if self
            .sink
            .has_passed(last.plus_ms(self.sink.ctx.settings.max_session_ms))
        {
            self.end_all(last, event, true);
            return;
        }
        let session_id = self.session.as_ref().map(|(id, _)| *id);
        let session = self.session.take().map(|(_, open)| open);
        for open in self.status.take().into_iter().chain(session) {
            self.row(&open, None, session_id);
        }
    }

    fn end_all(&mut self, at: UtcMicros, event: &'a Event, inferred: bool) {
        self.end_status(at, event, inferred);
        if let Some((id, mut open)) = self.session.take() {
            open.inferred |= inferred;
            self.row(&open, Some((at, event)), Some(id));
        }
    }

    fn end_status(&mut self, at: UtcMicros, event: &'a Event, inferred: bool) {
        if let Some(mut open) = self.status.take() {
            open.inferred |= inferred;
            let session_id = self.session.as_ref().map(|(id, _)| *id);
            self.row(&open, Some((at, event)), session_id);
        }
    }

    /// Adds a row; a state that lasted no time at all makes none. Two sessions that began at the
    /// same time are one row: that of the second, because the first lasted no time.
    fn row(&mut self, open: &Open<'a>, end: Option<(UtcMicros, &Event)>, session: Option<&Text>) {
        let is_session = open.status.state == "logged_in";
        if !is_session && end.is_some_and(|(at, _)| at <= open.at) {
            return;
        }
        let started = open.event.recorded_at;
        let ended = end.map_or(started, |(_, event)| event.recorded_at);
        let common = Common {
            source: open.event.source.clone(),
            inferred: open.inferred,
            fact_rev: 1 + i64::from(ended != started),
            updated_at: started.max(ended),
            ..self.sink.common.clone()
        };
        let ended_at = end.map(|(at, _)| at);
        if !is_session && open.status.is_there() {
            let told = status_time(self.agent_id, &open.status, common.clone());
            match ended_at {
                Some(ended_at) => slices::add(&told, (open.at, ended_at), self.sink),
                None => slices::begin(&told, open.at, self.sink),
            }
        }
        let row = AgentStateSpan {
            common,
            agent_id: self.agent_id.clone(),
            timeline: Text::new_static(if is_session { "session" } else { "status" }),
            state: Text::new_static(open.status.state),
            reason: open.status.reason.cloned(),
            started_at: open.at,
            ended_at,
            duration_ms: ended_at.map(|at| at.ms_since(open.at)),
            routable: open.status.routable,
            productive: open.status.productive,
            paid: open.status.paid,
            session_id: session.cloned(),
            team_id: self.sink.team(self.agent_id, open.at),
            leg_id: None,
        };
        self.add(row, is_session);
    }

    fn add(&mut self, row: AgentStateSpan, is_session: bool) {
        let rows = &mut self.sink.rows.AgentStateSpan;
        if !is_session {
            return rows.push(row);
        }
        let is_empty = row.ended_at == Some(row.started_at);
        let same = self
            .empty_session
            .filter(|&at| rows[at].started_at == row.started_at);
        let at = same.unwrap_or(rows.len());
        match same {
            Some(at) => rows[at] = row,
            None => rows.push(row),
        }
        self.empty_session = is_empty.then_some(at);
    }
}

/// A status as a part of the agent's time.
fn status_time(agent_id: &Text, status: &Status<'_>, common: Common) -> AgentTime {
    AgentTime {
        common,
        agent_id: agent_id.clone(),
        timeline: Text::new_static("status"),
        state: Some(Text::new_static(status.state)),
        productive: status.productive,
        paid: status.paid,
        ..AgentTime::default()
    }
}
