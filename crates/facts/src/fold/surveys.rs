//! Surveys, tied to the contact, agent and queue that they are about.

use events::*;
use smol_str::format_smolstr;

use super::{Sink, drafts::*, gather::Gathered, interactions::Story, sink::Flags};
use crate::Survey;

/// Adds the rows of all surveys.
pub(crate) fn survey_rows(g: &Gathered<'_>, story: &Story<'_>, sink: &mut Sink<'_>) {
    for draft in g.surveys.iter() {
        let Some(fields) = draft.fields else { continue };
        let row = survey_row(g, story, draft, fields, sink);
        sink.rows.Survey.push(row);
    }
}

/// The first answer that is not older than the question.
fn answer<'d, 'a>(
    draft: &'d SurveyDraft<'a>,
    sink: &mut Sink<'_>,
) -> Option<&'d Said<'a, SurveyAnswered>> {
    let fits = |a: &&Said<'_, SurveyAnswered>| draft.sent.is_none_or(|sent| a.at >= sent);
    let chosen = draft.answers.iter().find(fits);
    for other in &draft.answers {
        if chosen.is_none_or(|c| c.event.event_id != other.event.event_id) {
            let late = draft.sent.is_none_or(|sent| other.at >= sent);
            let kind = if late { "second_end" } else { "bad_order" };
            sink.issue(kind, "survey", draft.id, other.event);
        }
    }
    chosen
}

fn survey_row(
    g: &Gathered<'_>,
    story: &Story<'_>,
    draft: &SurveyDraft<'_>,
    fields: SurveyFields<'_>,
    sink: &mut Sink<'_>,
) -> Survey {
    let answered = answer(draft, sink);
    let first = answered
        .map(|a| a.at)
        .or_else(|| draft.answers.first().map(|a| a.at));
    let sent_at = draft.sent.or(first).unwrap_or_default();
    let leg = story.legs.find(g, fields.leg_id);
    let contact = leg
        .map(|l| l.contact)
        .or_else(|| story.contact(g, fields.interaction_id, sent_at));
    let rated = leg.or_else(|| story.last_handled(contact?));
    let leg_agent = rated.map(|l| &l.connected.data.agent_id);
    let agent = fields.agent_id.or(leg_agent);
    let worked_at = rated
        .filter(|_| agent == leg_agent)
        .map_or(sent_at, |l| l.connected.at);
    let queue = rated
        .and_then(|l| l.visit)
        .map(|at| story.visits.all[at].queue_id.clone());
    let asked = contact
        .and_then(|c| story.visits_in(c).last())
        .map(|v| v.queue_id.clone());
    let contact = contact.map(|c| &story.contacts[c]);
    if draft.sent.is_none() {
        let entity = format_smolstr!("survey:{}", draft.id);
        sink.issue_at(
            "missing_start",
            entity,
            Text::new_static("no survey.sent"),
            sent_at,
        );
    }
    Survey {
        common: sink.common(draft.sent.is_none(), Flags::NONE),
        survey_id: draft.id.clone(),
        instrument: Text::new_static(fields.instrument.as_str()),
        sent_at,
        answered_at: answered.map(|a| a.at),
        contact_at: contact.map(|c| c.started_at),
        score: answered.map(|a| a.data.score),
        customer_id: contact.and_then(|c| c.customer_id.clone()),
        interaction_id: contact
            .map(|c| c.id.clone())
            .or(fields.interaction_id.cloned()),
        leg_id: fields.leg_id.cloned(),
        case_id: fields.case_id.cloned(),
        agent_id: agent.cloned(),
        team_id: agent.and_then(|a| sink.team(a, worked_at)),
        queue_id: if rated.is_some() { queue } else { asked },
        channel: contact.map(|c| Text::new_static(c.channel.as_str())),
    }
}
