//! Reference data: what reason and disposition codes mean.
//!
//! The key is `reason/<code>` or `disposition/<code>`, the value a list such as
//! `class=wismo; root_cause=late carrier; owner=logistics; avoidable=true`. Other keys are kept as
//! events and mean nothing here.

use events::{Event, ReferenceChanged, Text, UtcMicros};

use super::{Sink, dated::follow, drafts::Said, gather::Gathered, sink::Flags};
use crate::CodeMeaning;

/// Adds a row for each time between two changes of one code.
pub(crate) fn code_rows(g: &Gathered<'_>, sink: &mut Sink<'_>) {
    let mut changes = g.references.clone();
    changes.sort_by_key(|c| c.data.effective_from);
    let mut rows: Vec<CodeMeaning> = Vec::with_capacity(changes.len());
    for change in changes {
        let Some(mut row) = meaning(&change, sink) else {
            continue;
        };
        if change.data.restate == Some(true) {
            // What was said about the past before counts no more.
            rows.clear();
            row.valid_from = UtcMicros::OCCURRED_MIN.min(row.valid_from);
        }
        follow(&mut rows, row);
    }
    sink.rows.CodeMeaning.append(&mut rows);
}

fn meaning(change: &Said<'_, ReferenceChanged>, sink: &mut Sink<'_>) -> Option<CodeMeaning> {
    let (kind, code) = change.data.key.split_once('/')?;
    if !matches!(kind, "reason" | "disposition") {
        return None;
    }
    let mut row = CodeMeaning {
        common: sink.common(false, Flags::NONE),
        kind: Text::new(kind),
        code: Text::new(code),
        valid_from: change.data.effective_from,
        ..CodeMeaning::default()
    };
    for pair in change
        .data
        .value
        .split(';')
        .filter(|p| !p.trim().is_empty())
    {
        if !set(&mut row, pair) {
            note_unknown(pair, change.event, sink);
        }
    }
    Some(row)
}

/// Takes over one `name=value`. Is it one that is known?
fn set(row: &mut CodeMeaning, pair: &str) -> bool {
    let Some((name, value)) = pair.split_once('=') else {
        return false;
    };
    let value = value.trim();
    let text = || Some(Text::new(value));
    let flag = value.parse::<bool>();
    match name.trim() {
        "class" => row.reason_class = text(),
        "root_cause" => row.root_cause = text(),
        "owner" => row.owner_dept = text(),
        "avoidable" => row.avoidable = flag.as_ref().ok().copied(),
        "sales_valid" => row.sales_valid = flag.as_ref().ok().copied(),
        _ => return false,
    }
    !matches!(name.trim(), "avoidable" | "sales_valid") || flag.is_ok()
}

fn note_unknown(pair: &str, event: &Event, sink: &mut Sink<'_>) {
    sink.issue("bad_reference", "part", &Text::new(pair.trim()), event);
}
