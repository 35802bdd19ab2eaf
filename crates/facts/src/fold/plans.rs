//! Plans: what agents were to do, by the newest version of the schedule, and when they were away.

use events::{AbsenceKind, SchedulePublished, Text, UtcMicros};

use super::{Sink, gather::Gathered, sink::Flags, slices};
use crate::ScheduleTime;

/// Adds the planned time of an agent, each moment once.
pub(crate) fn schedule_rows(g: &Gathered<'_>, sink: &mut Sink<'_>) {
    let plan = Plan::new(g, sink);
    for (span, data, absence) in plan.stretches() {
        let seed = ScheduleTime {
            common: sink.common(false, Flags::NONE),
            agent_id: data.agent_id.clone(),
            activity: data.activity.clone(),
            version: data.version,
            on_queue: data.on_queue,
            productive: data.productive,
            paid: data.paid,
            tracked: data.tracked,
            absence_kind: absence.map(|kind| Text::new_static(kind.as_str())),
            ..ScheduleTime::default()
        };
        add(&seed, span, sink);
    }
}

fn add(seed: &ScheduleTime, span: (UtcMicros, UtcMicros), sink: &mut Sink<'_>) {
    for piece in slices::pieces(span).filter(|p| p.from_ms < p.to_ms) {
        let profile = sink.profile(&seed.agent_id, piece.slice_at);
        let row = ScheduleTime {
            slice_at: piece.slice_at,
            from_ms: piece.from_ms,
            to_ms: piece.to_ms,
            team_id: profile.and_then(|p| p.team_id.clone()),
            site_id: profile.and_then(|p| p.site_id.clone()),
            tenure_band: profile.and_then(|p| p.tenure_band(piece.slice_at)),
            ..seed.clone()
        };
        sink.rows.ScheduleTime.push(row);
    }
}

type Span = (UtcMicros, UtcMicros);

/// What was published and recorded about one agent, by start.
struct Plan<'a> {
    activities: Vec<&'a SchedulePublished>,
    /// Where a version is the whole plan.
    covers: Vec<(Span, i64)>,
    absences: Vec<(Span, AbsenceKind)>,
}

impl<'a> Plan<'a> {
    /// Leaves out, with a note, what ends before it begins and what is far too long.
    fn new(g: &Gathered<'a>, sink: &mut Sink<'_>) -> Self {
        let mut plan = Plan {
            activities: Vec::new(),
            covers: Vec::new(),
            absences: Vec::new(),
        };
        for said in &g.schedules {
            let data = said.data;
            if data.end < data.start {
                sink.issue("bad_order", "agent", &data.agent_id, said.event);
            } else if !slices::is_too_long(&data.agent_id, (data.start, data.end), sink) {
                plan.activities.push(data);
                let covers = data.covers_start.zip(data.covers_end);
                plan.covers.extend(covers.map(|span| (span, data.version)));
            }
        }
        for said in &g.absences {
            let data = said.data;
            if data.end < data.start {
                sink.issue("bad_order", "agent", &data.agent_id, said.event);
            } else {
                plan.absences.push(((data.start, data.end), data.kind));
            }
        }
        // Every activity of a version may say the same.
        plan.covers.sort_unstable();
        plan.covers.dedup();
        plan.activities.sort_by_key(|a| a.start);
        plan.absences.sort_by_key(|((start, _), _)| *start);
        plan
    }

    /// Versions below this one do not count at a moment.
    fn least_version(&self, at: UtcMicros) -> i64 {
        let here = self.covers.iter();
        let here = here.filter(|((start, end), _)| *start <= at && at < *end);
        here.map(|(_, version)| *version).max().unwrap_or(i64::MIN)
    }

    /// Stretches in which one activity and one absence hold, by start.
    fn stretches(&self) -> Vec<(Span, &'a SchedulePublished, Option<AbsenceKind>)> {
        let activities = self.activities.iter().flat_map(|a| [a.start, a.end]);
        let absences = self
            .absences
            .iter()
            .flat_map(|((start, end), _)| [*start, *end]);
        let covers = self
            .covers
            .iter()
            .flat_map(|((start, end), _)| [*start, *end]);
        let mut marks: Vec<UtcMicros> = activities.chain(absences).chain(covers).collect();
        marks.sort_unstable();
        marks.dedup();
        let (mut waiting, mut running) = (self.activities.iter().peekable(), Vec::new());
        let (mut away, mut absent) = (self.absences.iter().peekable(), Vec::new());
        let mut found = Vec::new();
        for pair in marks.windows(2) {
            let (from, to) = (pair[0], pair[1]);
            while let Some(activity) = waiting.next_if(|a| a.start <= from) {
                running.push(*activity);
            }
            while let Some(absence) = away.next_if(|((start, _), _)| *start <= from) {
                absent.push(absence);
            }
            running.retain(|a| a.end > from);
            absent.retain(|((_, end), _)| *end > from);
            let least = self.least_version(from);
            let counts = running.iter().copied().filter(|a| a.version >= least);
            // Of equal versions the activity that began last.
            let newest = counts.max_by_key(|a| a.version);
            let absence = absent.last().map(|(_, kind)| *kind);
            found.extend(newest.map(|activity| ((from, to), activity, absence)));
        }
        found
    }
}
