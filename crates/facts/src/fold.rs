//! The fold: from the events of one entity to its fact rows.
//!
//! [`fold_entity`] is a pure function of the set of events, the profiles of the agents and the
//! settings. The one thing that changes with time alone is what is given up: a leg without an
//! end, a silent agent, an idle thread. That depends on the horizon, the newest event time seen,
//! and the fold says at which horizon it would decide anew ([`Folded::deadline`]).

mod agents;
mod alerts;
mod by_id;
mod callbacks;
mod cases;
mod contacts;
mod costs;
mod customers;
mod dated;
mod drafts;
mod effective;
mod employment;
mod evaluations;
mod forecasts;
mod gather;
mod interactions;
mod legs;
mod orders;
mod plans;
mod references;
mod self_service;
mod sink;
mod slices;
mod surveys;
mod visits;
mod work;

use events::{Event, UtcMicros};

use crate::{Common, FactRows, FoldSettings, Profiles, links::components};
use gather::{Gathered, gather};
use sink::Sink;

pub(crate) use effective::{Effective, Known, effective};

/// What the fold knows besides the events of the entity.
#[derive(Clone, Copy, Debug)]
pub struct FoldContext<'a> {
    /// Limits and assumptions.
    pub settings: &'a FoldSettings,
    /// Teams and sites of the agents.
    pub profiles: &'a Profiles,
    /// Newest event time seen, of any entity.
    pub horizon: UtcMicros,
}

/// What the fold of one entity found besides rows.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Folded {
    /// The earliest horizon at which the rows may change without a new event.
    pub deadline: Option<UtcMicros>,
    /// For an agent: what is settled.
    pub agent: agents::Settled,
}

/// The fact rows of one entity. Neither the order of the events nor a repeat of one matters.
///
/// Events of several entities give the rows of each; they must be all events of each.
pub fn fold_entity(events: &[Event], ctx: &FoldContext<'_>) -> FactRows {
    let mut rows = FactRows::default();
    for entity in components(events.iter().collect(), |event| event) {
        fold(entity.into_iter(), ctx, &mut rows);
    }
    rows
}

/// Adds the fact rows of one entity to `rows`.
pub(crate) fn fold<'a>(
    events: impl Iterator<Item = &'a Event> + Clone,
    ctx: &FoldContext<'_>,
    rows: &mut FactRows,
) -> Folded {
    let known = effective(events.clone());
    let Some(common) = common(events, &known) else {
        return Folded::default();
    };
    let mut folded = Folded::default();
    if known.corrected {
        note_ineffective(&known, Sink::new(ctx, common.clone(), rows));
        // An event that is gone may have been all that held two entities together.
        for part in components(known.events, |known| known.event) {
            let of_part = Common {
                source: part[0].event.source.clone(),
                ..common.clone()
            };
            folded.add(fold_effective(&part, of_part, ctx, rows));
        }
    } else {
        folded.add(fold_effective(&known.events, common, ctx, rows));
    }
    folded
}

impl Folded {
    fn add(&mut self, part: Folded) {
        let deadlines = self.deadline.into_iter().chain(part.deadline);
        *self = Folded {
            deadline: deadlines.min(),
            agent: part.agent,
        };
    }
}

fn note_ineffective(known: &Known<'_>, mut sink: Sink<'_>) {
    for event in &known.circular {
        sink.issue("bad_correction", "event", &event.event_id, event);
    }
    for event in &known.waiting {
        sink.issue("waiting_correction", "event", &event.event_id, event);
    }
}

fn fold_effective(
    events: &[Effective<'_>],
    common: Common,
    ctx: &FoldContext<'_>,
    rows: &mut FactRows,
) -> Folded {
    let g = gather(events);
    let mut sink = Sink::new(
        ctx,
        Common {
            is_test: g.is_test,
            ..common
        },
        rows,
    );
    let agent = rows_of(&g, &mut sink);
    Folded {
        deadline: sink.deadline,
        agent,
    }
}

fn rows_of(g: &Gathered<'_>, sink: &mut Sink<'_>) -> agents::Settled {
    if !g.interactions.is_empty() || !g.visits.is_empty() || !g.legs.is_empty() {
        contact_rows(g, sink);
    } else {
        let nothing = interactions::Story::default();
        others(g, &nothing, sink);
    }
    costs::cost_rows(g, sink);
    plans::schedule_rows(g, sink);
    forecasts::forecast_rows(g, sink);
    customers::customer_rows(g, sink);
    employment::agent_rows(g, sink);
    references::reference_rows(g, sink);
    alerts::alert_rows(g, sink);
    agents::agent_rows(g, sink)
}

/// Rows of contacts and of everything that hangs on them.
fn contact_rows(g: &Gathered<'_>, sink: &mut Sink<'_>) {
    let contacts = contacts::contacts(g, sink);
    let mut visits = visits::visits(g, &contacts, sink);
    let legs = legs::legs(g, &contacts, &mut visits, sink);
    visits::close(g, &contacts, &legs, &mut visits);
    let story = interactions::Story::new(contacts, visits, legs);
    visits::visit_rows(g, &story, sink);
    legs::leg_rows(g, &story, sink);
    work::time_rows(g, &story, sink);
    let orders = others(g, &story, sink);
    interactions::interaction_rows(g, &story, &orders, sink);
}

fn others(
    g: &Gathered<'_>,
    story: &interactions::Story<'_>,
    sink: &mut Sink<'_>,
) -> Vec<orders::Sale> {
    callbacks::callback_rows(g, story, sink);
    surveys::survey_rows(g, story, sink);
    evaluations::evaluation_rows(g, story, sink);
    self_service::session_rows(g, story, sink);
    cases::case_rows(g, sink);
    orders::order_rows(g, story, sink)
}

/// The columns that all rows of the entity share; `None` without events.
fn common<'a>(
    events: impl Iterator<Item = &'a Event> + Clone,
    known: &Known<'a>,
) -> Option<Common> {
    let first = known
        .events
        .first()
        .map(|k| k.event)
        .or_else(|| events.clone().next())?;
    let newest = events.clone().map(|e| e.recorded_at).max()?;
    Some(Common {
        tenant_id: first.tenant_id.clone(),
        source: first.source.clone(),
        fact_rev: receipts(events, newest),
        updated_at: newest,
        ..Common::default()
    })
}

/// At how many different times were these events received?
fn receipts<'a>(events: impl Iterator<Item = &'a Event> + Clone, newest: UtcMicros) -> i64 {
    if events.clone().all(|e| e.recorded_at == newest) {
        return 1;
    }
    let mut times: Vec<UtcMicros> = events.map(|e| e.recorded_at).collect();
    times.sort_unstable();
    times.dedup();
    i64::try_from(times.len()).unwrap_or(i64::MAX)
}
