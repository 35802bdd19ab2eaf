//! The floor: agents come, are ready, pause and go home.

use events::{
    AgentCapacityChanged, AgentHired, AgentProfileChanged, AgentSessionEnded, AgentSessionStarted,
    AgentState, AgentStateChanged, Channel, Date, Decimal, EventData, LeaveReason, Text, UtcMicros,
};

use super::{Action, World};
use crate::{
    calendar,
    centre::{AgentSpec, GROUPS, MAIL, QUEUES},
    ids,
};

const MINUTE_MS: i64 = 60_000;

/// An agent, as the simulation sees him.
pub(super) struct Agent {
    pub(super) spec: AgentSpec,
    mode: Mode,
    /// Contacts in hand, ringing or being wrapped up.
    busy: u8,
    /// Changes whenever the agent stops taking contacts; free places of an older stamp are void.
    stamp: u32,
    /// What is to be done when the last contact is done.
    pending: Option<Step>,
    events: u32,
    sessions: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    Off,
    Open,
    /// Takes no more contacts and finishes those in hand.
    Closing,
    Away,
}

/// A step in an agent's day.
#[derive(Clone, Copy, Debug)]
pub(super) enum Step {
    LogIn,
    Pause(AgentState, i64),
    Resume,
    LogOut,
}

/// A free place of an agent.
#[derive(Clone, Copy, Debug)]
pub(super) struct Idle {
    agent: u16,
    stamp: u32,
    since: i64,
}

impl Agent {
    pub(super) fn new(spec: AgentSpec) -> Self {
        Agent {
            spec,
            mode: Mode::Off,
            busy: 0,
            stamp: 0,
            pending: None,
            events: 0,
            sessions: 0,
        }
    }
}

impl World {
    pub(super) fn agent_id(&self, agent: u16) -> Text {
        ids::thing("a", u32::from(agent) + 1, 4)
    }

    fn agent_event(&mut self, agent: u16, at: i64, data: impl Into<EventData>) {
        let a = &mut self.agents[usize::from(agent)];
        a.events += 1;
        let id = ids::thing_event("a", u32::from(agent) + 1, 4, a.events);
        self.post(at, id, data, None);
    }

    /// Who works here, told once at the begin of the world.
    pub(super) fn introduce_agents(&mut self) {
        let today = self.day.date.to_epoch_days();
        for agent in 0..self.agents.len() as u16 {
            let spec = self.agents[usize::from(agent)].spec;
            let effective_on = Date(today - self.rng.between(10, 1_500) as i32);
            let agent_id = self.agent_id(agent);
            self.agent_event(
                agent,
                self.start,
                AgentHired {
                    agent_id: agent_id.clone(),
                    effective_on,
                    voluntary: None,
                },
            );
            self.profile(agent, spec.team);
            if spec.slots > 1 {
                let slots = [(Channel::Chat, i64::from(spec.slots))].into();
                self.agent_event(agent, self.start, AgentCapacityChanged { agent_id, slots });
            }
        }
    }

    fn profile(&mut self, agent: u16, team: u32) {
        let spec = self.agents[usize::from(agent)].spec;
        let skill = |q: &u8| Text::new_static(QUEUES[usize::from(*q)].id);
        let skills: Vec<Text> = GROUPS[usize::from(spec.group)].iter().map(skill).collect();
        let data = AgentProfileChanged {
            agent_id: self.agent_id(agent),
            effective_from: UtcMicros(self.now * 1_000),
            team_id: Some(ids::thing("team-", team, 2)),
            site_id: Some(Text::new_static(spec.site)),
            supervisor_id: Some(ids::thing("sup", team, 2)),
            skills_required: Some(skills.clone()),
            skills: Some(skills),
            fte: Some(Decimal(Decimal::ONE)),
        };
        self.agent_event(agent, self.now, data);
    }

    /// Plans the day of everyone who works today; now and then someone changes his team.
    pub(super) fn roster(&mut self) {
        let (start, weekday) = (self.day.start, calendar::weekday(self.day.date));
        for shifts in &mut self.day.shifts {
            shifts.retain(|(_, to)| *to > start);
        }
        for agent in 0..self.agents.len() as u16 {
            let spec = self.agents[usize::from(agent)].spec;
            if spec.free.is_some_and(|free| free.contains(&weekday)) {
                continue;
            }
            let at = |minute| calendar::wall_clock(self.zone, self.day.date, minute);
            let shift = (at(spec.shift.0), at(spec.shift.1));
            let pool = usize::from(spec.group.saturating_sub(4));
            self.day.shifts[pool].push(shift);
            self.plan_shift(agent, shift);
            if start > self.start && self.rng.chance(5) {
                let team = self.rng.between(1, self.agents.len() as i64 / 12 + 2) as u32;
                self.profile(agent, team);
            }
        }
    }

    fn plan_shift(&mut self, agent: u16, (from, to): (i64, i64)) {
        let log_in = from + self.rng.between(-4 * MINUTE_MS, MINUTE_MS);
        let log_out = to + self.rng.between(0, 6 * MINUTE_MS);
        self.plan(log_in.max(self.now), Action::Floor(agent, Step::LogIn));
        self.plan(log_out, Action::Floor(agent, Step::LogOut));
        let length = to - from;
        let breaks = [
            (AgentState::Break, length * 23 / 100, 12),
            (AgentState::Meal, length * 45 / 100, 38),
            (AgentState::Break, length * 76 / 100, 12),
        ];
        for (state, after, minutes) in breaks {
            let at = from + after + self.rng.between(-25 * MINUTE_MS, 25 * MINUTE_MS);
            self.plan_pause(agent, at, state, minutes);
        }
        if self.rng.chance(60) {
            let state = self.rng.pick(&[AgentState::Training, AgentState::Meeting]);
            self.plan_pause(agent, from + length * 62 / 100, state, 30);
        }
    }

    fn plan_pause(&mut self, agent: u16, at: i64, state: AgentState, minutes: i64) {
        let ms = minutes * MINUTE_MS + self.rng.between(-90_000, 150_000);
        self.plan(at, Action::Floor(agent, Step::Pause(state, ms)));
    }

    pub(super) fn floor(&mut self, agent: u16, step: Step) {
        let a = &mut self.agents[usize::from(agent)];
        match step {
            Step::LogIn => {
                if a.mode == Mode::Off {
                    self.log_in(agent);
                }
            }
            Step::Resume => self.resume(agent),
            Step::Pause(..) | Step::LogOut => {
                if a.mode == Mode::Off {
                    return;
                }
                if !matches!(a.pending, Some(Step::LogOut)) {
                    a.pending = Some(step);
                }
                if a.mode == Mode::Open {
                    a.mode = Mode::Closing;
                    a.stamp += 1;
                }
                self.do_pending(agent);
            }
        }
    }

    fn log_in(&mut self, agent: u16) {
        self.agents[usize::from(agent)].sessions += 1;
        let session_id = self.session_id(agent);
        let agent_id = self.agent_id(agent);
        self.agent_event(
            agent,
            self.now,
            AgentSessionStarted {
                session_id,
                agent_id,
            },
        );
        for queue in GROUPS[usize::from(self.agents[usize::from(agent)].spec.group)] {
            self.queues[usize::from(*queue)].staffed += 1;
        }
        self.be_ready(agent);
    }

    fn session_id(&self, agent: u16) -> Text {
        ids::session(
            u32::from(agent) + 1,
            self.agents[usize::from(agent)].sessions,
        )
    }

    fn be_ready(&mut self, agent: u16) {
        self.state(agent, AgentState::Available, None);
        let a = &mut self.agents[usize::from(agent)];
        a.mode = Mode::Open;
        for _ in a.busy..a.spec.slots {
            self.seek(agent);
        }
    }

    fn state(&mut self, agent: u16, state: AgentState, reason: Option<&'static str>) {
        let paid = !matches!(state, AgentState::Meal);
        let productive = matches!(
            state,
            AgentState::Available | AgentState::Training | AgentState::Meeting
        );
        let data = AgentStateChanged {
            agent_id: self.agent_id(agent),
            state,
            reason: reason.map(Text::new_static),
            routable: state == AgentState::Available,
            productive: Some(productive),
            paid: Some(paid),
        };
        self.agent_event(agent, self.now, data);
    }

    /// Does what was put off, if nothing is in hand any more.
    fn do_pending(&mut self, agent: u16) {
        let a = &mut self.agents[usize::from(agent)];
        if a.mode != Mode::Closing || a.busy > 0 {
            return;
        }
        match a.pending.take() {
            Some(Step::Pause(state, ms)) => {
                a.mode = Mode::Away;
                self.state(agent, state, None);
                self.plan(self.now + ms, Action::Floor(agent, Step::Resume));
            }
            Some(Step::LogOut) => self.log_out(agent),
            _ => self.be_ready(agent),
        }
    }

    fn resume(&mut self, agent: u16) {
        let a = &mut self.agents[usize::from(agent)];
        if a.pending.is_some() {
            a.mode = Mode::Closing;
            self.do_pending(agent);
        } else {
            self.be_ready(agent);
        }
    }

    fn log_out(&mut self, agent: u16) {
        self.agents[usize::from(agent)].mode = Mode::Off;
        let (session_id, agent_id) = (self.session_id(agent), self.agent_id(agent));
        self.agent_event(
            agent,
            self.now,
            AgentSessionEnded {
                session_id,
                agent_id,
            },
        );
        for queue in GROUPS[usize::from(self.agents[usize::from(agent)].spec.group)] {
            self.queues[usize::from(*queue)].staffed -= 1;
            if self.queues[usize::from(*queue)].staffed == 0 && *queue != MAIL {
                self.send_all_away(*queue, LeaveReason::LeaveEmpty);
            }
        }
    }

    /// The agent did not take an offer: for a while he gets none.
    pub(super) fn missed_offer(&mut self, agent: u16) {
        let a = &mut self.agents[usize::from(agent)];
        a.busy -= 1;
        if a.mode == Mode::Open {
            a.mode = Mode::Away;
            a.stamp += 1;
            self.state(agent, AgentState::Other, Some("no_answer"));
            let ms = self.rng.between(15_000, 70_000);
            self.plan(self.now + ms, Action::Floor(agent, Step::Resume));
        } else {
            self.do_pending(agent);
        }
    }

    /// One contact less in hand.
    pub(super) fn free(&mut self, agent: u16) {
        let a = &mut self.agents[usize::from(agent)];
        a.busy -= 1;
        match a.mode {
            Mode::Open => self.seek(agent),
            _ => self.do_pending(agent),
        }
    }

    /// A free place takes who waits longest, or waits.
    fn seek(&mut self, agent: u16) {
        let group = self.agents[usize::from(agent)].spec.group;
        if let Some(key) = self.next_waiting(group) {
            self.agents[usize::from(agent)].busy += 1;
            self.offer(key, agent);
        } else {
            let a = &self.agents[usize::from(agent)];
            let idle = Idle {
                agent,
                stamp: a.stamp,
                since: self.now,
            };
            self.idle[usize::from(group)].push_back(idle);
        }
    }

    /// The agent who has been free longest among those who serve a queue; he is taken.
    pub(super) fn idle_agent(&mut self, queue: u8) -> Option<u16> {
        let mut best: Option<(i64, usize)> = None;
        for (group, queues) in GROUPS.iter().enumerate() {
            if !queues.contains(&queue) {
                continue;
            }
            let void = |i: &Idle| self.agents[usize::from(i.agent)].stamp != i.stamp;
            while self.idle[group].front().is_some_and(void) {
                self.idle[group].pop_front();
            }
            if let Some(idle) = self.idle[group].front()
                && best.is_none_or(|(since, _)| idle.since < since)
            {
                best = Some((idle.since, group));
            }
        }
        let idle = self.idle[best?.1].pop_front()?;
        self.agents[usize::from(idle.agent)].busy += 1;
        Some(idle.agent)
    }
}
