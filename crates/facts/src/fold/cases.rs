//! Cases: what was promised, when it was solved, how often it came back.

use events::*;
use smol_str::format_smolstr;

use super::{Sink, drafts::*, gather::Gathered, sink::Flags};
use crate::Case;

/// Adds the rows of all cases.
pub(crate) fn case_rows(g: &Gathered<'_>, sink: &mut Sink<'_>) {
    for draft in g.cases.iter() {
        match draft.opened {
            Some(opened) => {
                let row = case_row(g, draft, opened, sink);
                sink.rows.Case.push(row);
            }
            None => note_missing_start(draft, sink),
        }
    }
}

/// A case that was never opened, as far as we know, makes no row.
fn note_missing_start(draft: &CaseDraft<'_>, sink: &mut Sink<'_>) {
    if let Some(at) = draft.first_at {
        let entity = format_smolstr!("case:{}", draft.id);
        let detail = Text::new_static("no case.opened");
        sink.issue_at("missing_start", entity, detail, at);
    }
}

fn case_row(
    g: &Gathered<'_>,
    draft: &CaseDraft<'_>,
    opened: Said<'_, CaseOpened>,
    sink: &Sink<'_>,
) -> Case {
    let (data, opened_at) = (opened.data, opened.at);
    let course = Course::of(draft, opened_at);
    let since = |at: UtcMicros| at.ms_since(opened_at);
    let first_reply = draft.replies.iter().find(|at| **at >= opened_at);
    let promise_at = draft
        .promise_at
        .unwrap_or_else(|| opened_at.plus_ms(sink.ctx.settings.case_promise_ms));
    let contact = data
        .interaction_id
        .as_ref()
        .and_then(|id| g.interactions.find(id));
    let channel = data
        .channel
        .or(contact.and_then(|c| Some(c.started?.data.channel)));
    Case {
        common: sink.common(false, Flags::NONE),
        case_id: draft.id.clone(),
        customer_id: data.customer_id.clone(),
        channel: channel.map(|c| Text::new_static(c.as_str())),
        reason_code: data.reason_code.clone(),
        issue_id: data.issue_id.clone(),
        complaint: data.complaint == Some(true),
        opened_at,
        promise_at,
        first_solved_at: course.first_solved,
        solved_at: course.solved,
        closed_at: course.closed,
        status: draft.status.cloned(),
        is_open: course.is_open && !draft.status.is_some_and(|status| is_over(status)),
        merged: draft.merged,
        close_ms: course.closed.map(since),
        reopened: course.reopened,
        contacts: draft.contacts.len() as i64,
        agent_replies: draft.replies.len() as i64,
        escalated: draft.escalated,
        first_reply_ms: first_reply.copied().map(since),
        first_solve_ms: course.first_solved.map(since),
        full_solve_ms: course.solved.filter(|_| !course.is_open).map(since),
    }
}

/// Does the status of a case say that nobody works on it any more? Systems tell how a case stands also
/// where they do not tell how it came there; then it is over, and nobody knows since when.
fn is_over(status: &str) -> bool {
    matches!(status, "solved" | "closed" | "deleted")
}

/// How a case went from its opening on.
struct Course {
    first_solved: Option<UtcMicros>,
    solved: Option<UtcMicros>,
    closed: Option<UtcMicros>,
    reopened: i64,
    is_open: bool,
}

impl Course {
    /// Steps before the opening count for nothing. Closing solves what was not solved.
    fn of(draft: &CaseDraft<'_>, opened_at: UtcMicros) -> Self {
        let mut course = Course {
            first_solved: None,
            solved: None,
            closed: None,
            reopened: 0,
            is_open: true,
        };
        for &(at, step) in draft.steps.iter().filter(|(at, _)| *at >= opened_at) {
            match step {
                CaseStep::Solved => course.solve(at),
                CaseStep::Closed => {
                    if course.is_open {
                        course.solve(at);
                    }
                    course.closed = Some(at);
                }
                CaseStep::Reopened => {
                    course.reopened += 1;
                    course.closed = None;
                    course.is_open = true;
                }
            }
        }
        course
    }

    fn solve(&mut self, at: UtcMicros) {
        self.first_solved.get_or_insert(at);
        self.solved = Some(at);
        self.is_open = false;
    }
}
