//! Agents: since when they are with us and until when, and their profile meanwhile.
//!
//! The day of hire is the first with us and the day of leaving the last. Rows begin and end with days
//! of UTC; the texts keep the days themselves, for who counts days of another zone. An agent of whom
//! no hire was told is with us from the first that was told. Who is hired while with us is no
//! newcomer, and who leaves after having left was told twice.

use events::{AgentLeft, AgentProfileChanged, Date, Text, UtcMicros};
use smol_str::format_smolstr;

use super::{Sink, dated::follow, drafts::Said, gather::Gathered, sink::Flags};
use crate::Agent;

const DAY_MICROS: i64 = 86_400_000_000;

/// Adds a row for each time between two changes of an agent's profile or employment.
pub(crate) fn agent_rows(g: &Gathered<'_>, sink: &mut Sink<'_>) {
    let Some(agent_id) = agent_id(g) else {
        return;
    };
    let mut changes = g.profiles.clone();
    changes.sort_by_key(|c| c.data.effective_from);
    let stays = stays(g, changes.first().map(|c| c.data.effective_from));
    let mut known = Agent {
        common: sink.common(false, Flags::NONE),
        agent_id: agent_id.clone(),
        ..Agent::default()
    };
    let mut changes = changes.into_iter().peekable();
    let mut rows = Vec::new();
    for at in marks(g, &stays) {
        while let Some(change) = changes.next_if(|c| c.data.effective_from <= at) {
            take_profile(&mut known, &change);
        }
        take_stay(&mut known, &stays, at);
        known.valid_from = at;
        follow(&mut rows, known.clone());
    }
    sink.rows.Agent.append(&mut rows);
}

/// The one agent that the events are about.
fn agent_id<'a>(g: &Gathered<'a>) -> Option<&'a Text> {
    let profiles = g.profiles.iter().map(|said| &said.data.agent_id);
    let hired = g.hired.iter().map(|said| &said.data.agent_id);
    let left = g.left.iter().map(|said| &said.data.agent_id);
    profiles.chain(hired).chain(left).next()
}

/// One time with the company.
struct Stay<'a> {
    from: UtcMicros,
    hired_on: Option<Date>,
    left: Option<&'a AgentLeft>,
}

impl Stay<'_> {
    /// The end of the last day.
    fn ends_at(&self) -> Option<UtcMicros> {
        self.left.map(|left| day_start(left.effective_on, 1))
    }
}

/// The times of an agent with the company, in order. `told` is where the profile begins.
fn stays<'a>(g: &Gathered<'a>, told: Option<UtcMicros>) -> Vec<Stay<'a>> {
    let hires = g.hired.iter().map(|said| (said.data.effective_on, None));
    let ends = g.left.iter();
    let ends = ends.map(|said| (said.data.effective_on, Some(said.data)));
    let mut steps: Vec<(Date, Option<&AgentLeft>)> = hires.chain(ends).collect();
    // A day begins with the hire and ends with the leaving.
    steps.sort_by_key(|(on, left)| (*on, left.is_some()));
    let mut stays: Vec<Stay<'a>> = Vec::new();
    let begins_untold = steps.first().is_none_or(|(_, left)| left.is_some());
    let begin = steps.first().map(|(on, _)| day_start(*on, 0)).into_iter();
    if let Some(from) = begin.chain(told).min().filter(|_| begins_untold) {
        stays.push(Stay {
            from,
            hired_on: None,
            left: None,
        });
    }
    for (on, left) in steps {
        let is_here = stays.last().is_some_and(|stay| stay.left.is_none());
        match (left, stays.last_mut()) {
            (Some(left), Some(stay)) if is_here => stay.left = Some(left),
            (None, _) if !is_here => stays.push(Stay {
                from: day_start(on, 0),
                hired_on: Some(on),
                left: None,
            }),
            _ => {}
        }
    }
    stays
}

/// The start of a day, or of one some days later.
fn day_start(on: Date, later: i64) -> UtcMicros {
    UtcMicros((i64::from(on.0) + later).saturating_mul(DAY_MICROS))
}

/// The moments at which something changes, in order, each once.
fn marks(g: &Gathered<'_>, stays: &[Stay<'_>]) -> Vec<UtcMicros> {
    let mut marks: Vec<UtcMicros> = g.profiles.iter().map(|c| c.data.effective_from).collect();
    marks.extend(stays.iter().map(|stay| stay.from));
    marks.extend(stays.iter().filter_map(Stay::ends_at));
    marks.sort_unstable();
    marks.dedup();
    marks
}

fn take_profile(known: &mut Agent, change: &Said<'_, AgentProfileChanged>) {
    let data = change.data;
    let newer = |new: &Option<Text>, old: &mut Option<Text>| *old = new.clone().or(old.take());
    newer(&data.team_id, &mut known.team_id);
    newer(&data.site_id, &mut known.site_id);
    newer(&data.supervisor_id, &mut known.supervisor_id);
    if let Some(skills) = &data.skills {
        known.skills.clone_from(skills);
    }
    if let Some(required) = &data.skills_required {
        known.skills_required.clone_from(required);
    }
    known.fte = data.fte.or(known.fte);
}

/// What a moment says of the employment: that of the last stay that has begun.
fn take_stay(known: &mut Agent, stays: &[Stay<'_>], at: UtcMicros) {
    let Some(stay) = stays.iter().rfind(|stay| stay.from <= at) else {
        return;
    };
    known.employed = stay.ends_at().is_none_or(|end| at < end);
    known.hired_on = stay.hired_on.map(day_text);
    known.left_on = stay.left.map(|left| day_text(left.effective_on));
    known.voluntary = stay.left.and_then(|left| left.voluntary);
}

fn day_text(on: Date) -> Text {
    format_smolstr!("{on}")
}
