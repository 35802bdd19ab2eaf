//! Agents' time on contacts: stretches of work, and rings.

use events::*;
use smol_str::format_smolstr;

use super::{
    Sink, drafts::OfferDraft, gather::Gathered, interactions::Story, legs::Leg, sink::Flags, slices,
};
use crate::AgentTime;

/// Adds the time of all legs and of all rings that are over.
pub(crate) fn time_rows(g: &Gathered<'_>, story: &Story<'_>, sink: &mut Sink<'_>) {
    for leg in story.legs.all.iter().filter(|l| l.counts()) {
        let told = AgentTime {
            common: sink.common(false, Flags::NONE),
            agent_id: leg.connected.data.agent_id.clone(),
            timeline: Text::new_static("contact"),
            span_id: leg.connected.data.leg_id.clone(),
            productive: true,
            paid: true,
            ..AgentTime::default()
        };
        if leg.is_running(g, &story.contacts[leg.contact], sink) {
            slices::begin(&told, leg.connected.at, sink);
        }
        for span in work_spans(leg) {
            slices::add(&told, span, sink);
        }
    }
    for visit in g.visits.iter() {
        let left_at = story.visits.find(g, visit.id).and_then(|v| v.left_at);
        for offer in &visit.offers {
            ring(visit.id, offer, left_at, sink);
        }
    }
}

fn ring(visit_id: &Text, offer: &OfferDraft<'_>, left_at: Option<UtcMicros>, sink: &mut Sink<'_>) {
    let ended_at = offer.ended.map(|(at, _)| at).or(left_at);
    let (Some(started_at), Some(ended_at)) = (offer.started.or(ended_at), ended_at) else {
        return;
    };
    let told = AgentTime {
        common: sink.common(offer.ended.is_none(), Flags::NONE),
        agent_id: offer.agent_id.clone(),
        timeline: Text::new_static("ring"),
        span_id: format_smolstr!("{visit_id}/{}", offer.id),
        productive: true,
        paid: true,
        offers: 1,
        offers_missed: i64::from(offer.is_missed()),
        ..AgentTime::default()
    };
    slices::add(&told, (started_at, ended_at.max(started_at)), sink);
}

/// When the agent was at work on a leg, once it is complete: rising, without overlap, of whole
/// milliseconds from where each begins. After-call work is one stretch at the end of the leg.
fn work_spans(leg: &Leg<'_>) -> Vec<(UtcMicros, UtcMicros)> {
    let Some(completed_at) = leg.completed_at else {
        return Vec::new();
    };
    let connected_at = leg.connected.at;
    let mut spans = match &leg.active {
        Some(active) => active.clone(),
        None => {
            let connected_ms = leg.work.talk.saturating_add(leg.work.hold);
            vec![(connected_at, connected_at.plus_ms(connected_ms))]
        }
    };
    spans.push((connected_at.plus_ms(-leg.work.dial), connected_at));
    spans.push((completed_at.plus_ms(-leg.work.acw), completed_at));
    spans.retain(|(from, to)| from < to);
    spans.sort_unstable();
    let mut merged: Vec<(UtcMicros, UtcMicros)> = Vec::with_capacity(spans.len());
    for (from, to) in spans {
        match merged.last_mut() {
            // Less than a millisecond apart is together: nothing shorter is told apart.
            Some(last) if from.0 < last.1.0.saturating_add(1_000) => last.1 = last.1.max(to),
            _ => merged.push((from, to)),
        }
    }
    merged
}
