//! Limits of the fold, in one place.

const MINUTE_MS: i64 = 60_000;
const HOUR_MS: i64 = 60 * MINUTE_MS;

/// What the fold assumes where a source says nothing, and what it keeps in memory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FoldSettings {
    /// A voice leg, or its after-call work, without an end for this long is given up.
    pub max_leg_ms: i64,
    /// An agent's session ends at the last sign of life before a silence of this length.
    pub max_session_ms: i64,
    /// Longest stretch of work that one written message of an agent stands for.
    pub active_gap_ms: i64,
    /// A written contact that was replied to ends at its last message after this silence.
    pub idle_close_ms: i64,
    /// Entities with nothing pending stay in memory for this much event time.
    pub keep_closed_ms: i64,
    /// Most events of such entities kept in memory, whatever their age.
    pub max_kept_events: usize,
    /// Longest span of an agent's time, or planned activity, that is cut into quarters of an hour.
    pub max_span_ms: i64,
    /// Most days that one cost line may cover.
    pub max_cost_days: i64,
    /// Within this time after its opening a case is promised to be solved, if nothing else is said.
    pub case_promise_ms: i64,
}

impl Default for FoldSettings {
    fn default() -> Self {
        FoldSettings {
            max_leg_ms: 4 * HOUR_MS,
            max_session_ms: 16 * HOUR_MS,
            active_gap_ms: 5 * MINUTE_MS,
            idle_close_ms: 24 * HOUR_MS,
            keep_closed_ms: 48 * HOUR_MS,
            max_kept_events: 200_000,
            max_span_ms: 31 * 24 * HOUR_MS,
            max_cost_days: 4_000,
            case_promise_ms: 7 * 24 * HOUR_MS,
        }
    }
}
