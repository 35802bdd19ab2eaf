//! Self-service: what the menu, the bot or the page did for the customer.

use events::*;
use smol_str::format_smolstr;

use super::{Sink, drafts::*, gather::Gathered, interactions::Story, sink::Flags};
use crate::SelfService;

/// Adds the rows of all sessions.
pub(crate) fn session_rows(g: &Gathered<'_>, story: &Story<'_>, sink: &mut Sink<'_>) {
    for draft in g.sessions.iter() {
        match draft.started {
            Some(started) => {
                let row = session_row(g, story, draft, started, sink);
                sink.rows.SelfService.push(row);
            }
            None => note_missing_start(draft, sink),
        }
    }
}

/// Steps of a session that never began, as far as we know, make no row.
fn note_missing_start(draft: &SessionDraft<'_>, sink: &mut Sink<'_>) {
    let entity = format_smolstr!("session:{}", draft.id);
    let detail = Text::new_static("no selfservice.started");
    let at = draft.first_at.unwrap_or_default();
    sink.issue_at("missing_start", entity, detail, at);
}

fn session_row(
    g: &Gathered<'_>,
    story: &Story<'_>,
    draft: &SessionDraft<'_>,
    started: Said<'_, SelfServiceStarted>,
    sink: &mut Sink<'_>,
) -> SelfService {
    let data = started.data;
    let told = draft.ends.iter().position(|e| e.at >= started.at);
    for (at, other) in draft.ends.iter().enumerate() {
        if Some(at) != told {
            let is_early = other.at < started.at;
            let kind = if is_early { "bad_order" } else { "second_end" };
            sink.issue(kind, "session", draft.id, other.event);
        }
    }
    let told = told.map(|at| draft.ends[at]);
    let at = story.contact(g, data.interaction_id.as_ref(), started.at);
    let contact = at.map(|at| &story.contacts[at]);
    let asked = at.is_some_and(|at| {
        story.visits_in(at).next().is_some() || story.legs_in(at).any(|l| l.is_handled())
    });
    let contact_end = contact.and_then(|c| c.end).map(|end| end.at);
    let concluded = match (told, asked, contact_end) {
        (Some(told), ..) => Some(told.data.outcome),
        (None, true, _) => Some(SelfServiceOutcome::Escalated),
        (None, false, Some(_)) => Some(SelfServiceOutcome::Abandoned),
        (None, false, None) => None,
    };
    let steps = || draft.steps.iter();
    let count = |wanted: fn(&SelfServiceStep) -> bool| steps().filter(|s| wanted(s)).count() as i64;
    SelfService {
        common: sink.common(told.is_none() && concluded.is_some(), Flags::NONE),
        session_id: draft.id.clone(),
        interaction_id: contact
            .map(|c| c.id.clone())
            .or(data.interaction_id.clone()),
        customer_id: data
            .customer_id
            .clone()
            .or(contact.and_then(|c| c.customer_id.clone())),
        kind: Text::new_static(data.kind.as_str()),
        channel: contact.map(|c| Text::new_static(c.channel.as_str())),
        intent: steps().rev().find_map(|s| s.intent.clone()),
        started_at: started.at,
        ended_at: told.map(|t| t.at).or(contact_end.filter(|_| !asked)),
        outcome: concluded.map(|o| Text::new_static(o.as_str())),
        contained: concluded.is_some_and(|o| o != SelfServiceOutcome::Escalated) && !asked,
        context_passed: told.and_then(|t| t.data.context_passed),
        questions: count(|s| s.question == Some(true)),
        questions_answered: count(|s| s.question == Some(true) && s.answered == Some(true)),
        votes: count(|s| s.vote.is_some()),
        votes_helpful: count(|s| s.vote == Some(Vote::Helpful)),
        steps: draft.steps.len() as i64,
    }
}
