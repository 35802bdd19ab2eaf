//! Evaluations: what somebody who listened thought of an agent's work.

use events::*;

use super::{Sink, drafts::*, gather::Gathered, interactions::Story, sink::Flags};
use crate::Evaluation;

/// The best score, in hundredths of a percent.
const BEST_BP: i128 = 10_000;

/// Adds the rows of all evaluations. One that was only voided, as far as we know, makes none.
pub(crate) fn evaluation_rows(g: &Gathered<'_>, story: &Story<'_>, sink: &mut Sink<'_>) {
    for draft in g.evaluations.iter() {
        let Some((first, others)) = draft.completed.split_first() else {
            continue;
        };
        for other in others {
            sink.issue("second_start", "evaluation", draft.id, other.event);
        }
        let row = evaluation_row(g, story, draft, *first, sink);
        let items = item_rows(&row, &first.data.items);
        sink.rows.EvaluationItem.extend(items);
        sink.rows.Evaluation.push(row);
    }
}

/// The items of the form, each once: of a repeated one the first counts.
fn item_rows(row: &Evaluation, items: &[EvaluationItem]) -> Vec<crate::EvaluationItem> {
    let mut seen = hashbrown::HashSet::new();
    let fresh = items.iter().filter(|item| seen.insert(&item.item_id));
    fresh
        .map(|item| crate::EvaluationItem {
            common: row.common.clone(),
            evaluation_id: row.evaluation_id.clone(),
            item_id: item.item_id.clone(),
            evaluated_at: row.evaluated_at,
            critical: Text::new_static(item.critical.as_str()),
            applicable: item.applicable,
            error: item.error,
            points: item.points,
            max_points: item.max_points,
            weight: item.weight,
            auto_fail: item.auto_fail,
        })
        .collect()
}

fn evaluation_row(
    g: &Gathered<'_>,
    story: &Story<'_>,
    draft: &EvaluationDraft<'_>,
    completed: Said<'_, EvaluationCompleted>,
    sink: &Sink<'_>,
) -> Evaluation {
    let data = completed.data;
    let leg = story.legs.find(g, Some(&data.leg_id));
    let contact = leg.map(|l| &story.contacts[l.contact]);
    let agent = leg.map(|l| &l.connected.data.agent_id);
    let applied: Vec<&EvaluationItem> = data.items.iter().filter(|i| i.applicable).collect();
    let count = |wanted: &dyn Fn(&EvaluationItem) -> bool| {
        applied.iter().filter(|item| wanted(item)).count() as i64
    };
    let errors = |critical: Critical| count(&|i| i.error && i.critical == critical);
    let [customer, business, compliance] =
        [Critical::Customer, Critical::Business, Critical::Compliance].map(errors);
    let auto_fail = applied.iter().any(|i| i.error && i.auto_fail);
    let sum =
        |of: fn(&EvaluationItem) -> i64| applied.iter().map(|i| of(i)).fold(0, i64::saturating_add);
    Evaluation {
        common: sink.common(leg.is_none(), Flags::NONE),
        evaluation_id: draft.id.clone(),
        evaluated_at: completed.at,
        contact_at: contact.map(|c| c.started_at),
        leg_id: data.leg_id.clone(),
        interaction_id: contact.map(|c| c.id.clone()),
        agent_id: agent.cloned(),
        team_id: leg
            .zip(agent)
            .and_then(|(l, agent)| sink.team(agent, l.connected.at)),
        queue_id: leg
            .and_then(|l| l.visit)
            .map(|at| story.visits.all[at].queue_id.clone()),
        channel: contact.map(|c| Text::new_static(c.channel.as_str())),
        form_id: data.form_id.clone(),
        form_version: data.form_version,
        evaluator_id: data.evaluator_id.clone(),
        status: Text::new_static(if draft.voided { "void" } else { "final" }),
        critical_errors: customer + business + compliance,
        critical_customer: customer,
        critical_business: business,
        critical_compliance: compliance,
        noncritical_errors: errors(Critical::None),
        noncritical_opportunities: count(&|i| i.critical == Critical::None),
        points: sum(|i| i.points),
        max_points: sum(|i| i.max_points),
        score_bp: score_bp(&applied, auto_fail),
        auto_fail,
        resolved_judged: data.resolved_judged,
        stratum: data.stratum.clone(),
        sample_weight: data.sample_weight,
    }
}

/// Weighted points of those possible, 0 to 10,000; 0 after an error that fails the whole, also where
/// there were no points to have. `None`: nothing could be scored.
fn score_bp(applied: &[&EvaluationItem], auto_fail: bool) -> Option<i64> {
    let sum = |of: fn(&EvaluationItem) -> i64| -> i128 {
        let weighted = |i: &&EvaluationItem| i128::from(of(i)) * i128::from(i.weight);
        applied.iter().map(weighted).sum()
    };
    let (given, possible) = (sum(|i| i.points), sum(|i| i.max_points));
    if auto_fail {
        return Some(0);
    }
    if possible <= 0 {
        return None;
    }
    let share = (given.checked_mul(BEST_BP)? + possible / 2).div_euclid(possible);
    i64::try_from(share.clamp(0, BEST_BP)).ok()
}
