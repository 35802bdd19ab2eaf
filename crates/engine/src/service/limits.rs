//! What queries may use: every limit of the service.

use std::time::Duration;

/// What queries may use. The defaults suit a machine with a few cores and some GiB of memory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueryLimits {
    /// Queries that run at the same time.
    pub running: usize,
    /// Queries that wait for their turn; one more is refused.
    pub waiting: usize,
    /// How long planning one statement may take.
    pub plan_deadline: Duration,
    /// How long a query may take, waiting and reading included. Nobody gets more.
    pub deadline: Duration,
    /// Rows of one result.
    pub rows_max: u64,
    /// Bytes of one result, as it lies in memory.
    pub bytes_max: u64,
    /// Bytes that all queries may reserve together; one gets at most a quarter.
    pub memory_bytes: usize,
    /// Bytes that all queries may spill to disk together.
    pub spill_bytes: u64,
    /// Threads that work on queries.
    pub threads: usize,
    /// Memory of the whole process, in bytes, above which the largest query is ended; not
    /// watched when absent. Reservations leave out results on their way and small allocations.
    pub process_bytes_max: Option<u64>,
}

impl Default for QueryLimits {
    fn default() -> Self {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        QueryLimits {
            running: 4,
            waiting: 32,
            plan_deadline: Duration::from_secs(2),
            deadline: Duration::from_secs(60),
            rows_max: 20_000_000,
            bytes_max: 4 << 30,
            memory_bytes: 512 << 20,
            spill_bytes: 4 << 30,
            threads: cores.saturating_sub(1).max(1),
            process_bytes_max: None,
        }
    }
}

/// Stack of the threads that plan and run, in bytes: plans are trees, and walked by recursion.
pub(super) const STACK_BYTES: usize = 32 << 20;

/// Statements that are planned at the same time.
pub(super) const PLANNERS: usize = 4;

/// Planners past their deadline, from which on no statement is planned.
pub(super) const STUCK_MAX: usize = 4;

/// Part of the memory that one query gets.
pub(super) const QUERY_SHARE: usize = 4;

/// Batches between a query and its reader.
pub(super) const BATCHES_BUFFERED: usize = 2;

/// Pairs of rows that a join without an equality may compare. About a second of work, in which
/// such a join does not listen.
pub(super) const COMPARED_PAIRS_MAX: u128 = 200_000_000;

/// Batches of pairs that a join asks its condition about before others get their turn on its
/// thread: some milliseconds of work.
pub(super) const BATCHES_BETWEEN_TURNS: u64 = 64;

/// What the rows of an input are taken for when nothing is known about it.
pub(super) const ROWS_UNKNOWN: usize = 1_000_000;

/// Parameters of one statement.
pub(super) const PARAMS_MAX: usize = 1_000;

/// What a refused caller is told to wait.
pub(super) const RETRY_AFTER: Duration = Duration::from_secs(1);

/// Work that goes on for longer than this after its end was ordered is counted.
pub(super) const LINGER_MAX: Duration = Duration::from_secs(1);

/// How often the memory of the process is looked at.
pub(super) const WATCH_EVERY: Duration = Duration::from_millis(500);

/// Longest part of an engine's message that is passed on, in characters.
pub(super) const MESSAGE_CHARS_MAX: usize = 300;
