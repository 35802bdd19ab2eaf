//! Quarters of an hour: what agents did and were to do is cut at them.
//!
//! Offsets of all zones since 1980 are whole quarters, so the buckets of any zone are made of them.

use events::{Text, UtcMicros};
use smol_str::format_smolstr;

use super::Sink;
use crate::AgentTime;

/// Length of a slice.
const SLICE_MS: i64 = 15 * 60_000;

/// The part of a span that lies in one slice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Piece {
    pub slice_at: UtcMicros,
    /// Milliseconds from the start of the slice.
    pub from_ms: i64,
    pub to_ms: i64,
    /// Does the span begin here?
    pub is_first: bool,
}

/// Cuts a span. Both its ends count in whole milliseconds, rounded down, so that the pieces of spans
/// that follow each other add up. A span of no length is one piece; one that ends before it begins
/// is none.
pub(crate) fn pieces((start, end): (UtcMicros, UtcMicros)) -> impl Iterator<Item = Piece> {
    let (start, end) = (start.0.div_euclid(1_000), end.0.div_euclid(1_000));
    let first = start.div_euclid(SLICE_MS);
    let last = (end - 1).max(start).div_euclid(SLICE_MS);
    let slices = if end < start {
        first..first
    } else {
        first..last + 1
    };
    slices.map(move |slice| {
        let at = slice * SLICE_MS;
        Piece {
            slice_at: UtcMicros(at * 1_000),
            from_ms: (start - at).max(0),
            to_ms: (end - at).min(SLICE_MS),
            is_first: slice == first,
        }
    })
}

/// Is the span too long to be cut? Then that is noted, because it counts nowhere.
pub(crate) fn is_too_long(
    agent_id: &Text,
    (start, end): (UtcMicros, UtcMicros),
    sink: &mut Sink<'_>,
) -> bool {
    let is_long = end.ms_since(start) > sink.ctx.settings.max_span_ms;
    if is_long {
        let entity = format_smolstr!("agent:{agent_id}");
        let detail = format_smolstr!("a span of {} ms", end.ms_since(start));
        sink.issue_at("too_long", entity, detail, start);
    }
    is_long
}

/// Adds the pieces of a span of an agent's time: rows like `told`, which leaves out only what the
/// slice decides. A ring counts as an offer in its first piece; other pieces have a length.
pub(crate) fn add(told: &AgentTime, span: (UtcMicros, UtcMicros), sink: &mut Sink<'_>) {
    if is_too_long(&told.agent_id, span, sink) {
        return;
    }
    for piece in pieces(span) {
        let counts = piece.is_first && told.offers > 0;
        if piece.to_ms <= piece.from_ms && !counts {
            continue;
        }
        let row = AgentTime {
            offers: if counts { told.offers } else { 0 },
            offers_missed: if counts { told.offers_missed } else { 0 },
            ..row(told, piece, sink)
        };
        sink.rows.AgentTime.push(row);
    }
}

/// Adds the begin of a span that is not over: a row without length, so that whoever adds up what
/// is over need not know of it. How long it lasts depends on the moment of the question.
pub(crate) fn begin(told: &AgentTime, at: UtcMicros, sink: &mut Sink<'_>) {
    for piece in pieces((at, at)) {
        let row = AgentTime {
            timeline: format_smolstr!("open_{}", told.timeline),
            ..row(told, piece, sink)
        };
        sink.rows.AgentTime.push(row);
    }
}

/// A row like `told` with what the slice decides.
fn row(told: &AgentTime, piece: Piece, sink: &Sink<'_>) -> AgentTime {
    let profile = sink.profile(&told.agent_id, piece.slice_at);
    AgentTime {
        slice_at: piece.slice_at,
        from_ms: piece.from_ms,
        to_ms: piece.to_ms,
        slots: profile
            .and_then(|p| p.slots)
            .filter(|_| told.state.is_some()),
        team_id: profile.and_then(|p| p.team_id.clone()),
        site_id: profile.and_then(|p| p.site_id.clone()),
        tenure_band: profile.and_then(|p| p.tenure_band(piece.slice_at)),
        ..told.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cut(start_ms: i64, end_ms: i64) -> Vec<(i64, i64, i64, bool)> {
        let span = (UtcMicros(start_ms * 1_000), UtcMicros(end_ms * 1_000));
        pieces(span)
            .map(|p| (p.slice_at.0 / 1_000, p.from_ms, p.to_ms, p.is_first))
            .collect()
    }

    #[test]
    fn a_span_is_cut_at_the_quarters_and_its_pieces_add_up() {
        assert_eq!(
            cut(300_000, 2_000_000),
            [
                (0, 300_000, 900_000, true),
                (900_000, 0, 900_000, false),
                (1_800_000, 0, 200_000, false),
            ]
        );
    }

    #[test]
    fn a_span_that_ends_at_a_quarter_has_nothing_after_it() {
        assert_eq!(cut(0, 900_000), [(0, 0, 900_000, true)]);
        assert_eq!(cut(-900_000, 0), [(-900_000, 0, 900_000, true)]);
    }

    #[test]
    fn a_span_of_no_length_is_one_piece_and_a_reversed_one_is_none() {
        assert_eq!(cut(900_000, 900_000), [(900_000, 0, 0, true)]);
        assert_eq!(cut(900_000, 899_999), []);
    }
}
