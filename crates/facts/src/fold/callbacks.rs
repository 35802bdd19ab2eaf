//! Callbacks and voicemails: from the request to the return call.

use events::*;

use super::{Sink, drafts::*, gather::Gathered, interactions::Story, sink::Flags};
use crate::Callback;

/// Adds the rows of all callbacks.
pub(crate) fn callback_rows(g: &Gathered<'_>, story: &Story<'_>, sink: &mut Sink<'_>) {
    for draft in g.callbacks.iter() {
        let Some(fields) = draft.fields else { continue };
        let row = callback_row(g, story, draft, fields, sink);
        sink.rows.Callback.push(row);
    }
}

fn callback_row(
    g: &Gathered<'_>,
    story: &Story<'_>,
    draft: &CallbackDraft<'_>,
    fields: CallbackFields<'_>,
    sink: &mut Sink<'_>,
) -> Callback {
    let named_at = draft.first_at.unwrap_or_default();
    let requested_at = draft.requested_at.unwrap_or(named_at);
    let visit = fields.visit_id.and_then(|id| story.visits.find(g, id));
    let contact = story
        .contact(g, fields.interaction_id, requested_at)
        .or_else(|| visit.map(|v| v.contact));
    let first_entry = contact
        .and_then(|c| story.visits_in(c).next())
        .map(|v| v.entered_at);
    let bad_order = draft.connected_at.is_some_and(|at| at < requested_at);
    let mut flags = Flags::NONE;
    flags.set_if(Flags::BAD_ORDER, bad_order);
    if bad_order {
        let entity = smol_str::format_smolstr!("callback:{}", draft.id);
        sink.issue_at(
            "bad_order",
            entity,
            Text::new_static("callback.connected"),
            requested_at,
        );
    }
    let connected_at = draft.connected_at;
    let wait_from = |from: Option<UtcMicros>| {
        let wait_ms = connected_at?.ms_since(from?);
        (wait_ms >= 0 && !bad_order).then_some(wait_ms)
    };
    Callback {
        common: sink.common(draft.requested_at.is_none(), flags),
        callback_id: draft.id.clone(),
        kind: Text::new_static(fields.kind.as_str()),
        visit_id: fields.visit_id.cloned(),
        interaction_id: contact
            .map(|c| story.contacts[c].id.clone())
            .or(fields.interaction_id.cloned()),
        queue_id: fields.queue_id.clone(),
        channel: contact.map(|c| Text::new_static(story.contacts[c].channel.as_str())),
        requested_at,
        scheduled_for: draft.scheduled_for,
        first_attempt_at: draft.attempts.first().copied(),
        connected_at,
        closed_at: draft.closed.map(|(at, _)| at),
        attempts: draft.attempts.len() as i64,
        outcome: draft.closed.map(|(_, o)| Text::new_static(o.as_str())),
        wait_from_request_ms: wait_from(Some(requested_at)),
        wait_total_ms: wait_from(first_entry.or(Some(requested_at))),
    }
}
