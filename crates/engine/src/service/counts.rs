//! What came of the queries so far.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::ErrorKind;

/// Numbers of the service, for its operator.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct QueryStats {
    /// Queries by what came of them: `ok`, or the word of an error's kind.
    pub outcomes: BTreeMap<&'static str, u64>,
    /// Queries that run now.
    pub running: usize,
    /// Queries that wait for their turn.
    pub waiting: usize,
    /// Queries that were told to end more than a second ago and still have work going on.
    pub lingering: usize,
    /// Planners past their deadline that are still at work.
    pub stuck_planners: usize,
    /// Bytes that queries have reserved.
    pub memory_bytes: usize,
    /// Bytes that queries have spilled to disk and still need.
    pub spilled_bytes: u64,
    /// How long the phases of queries took.
    pub phases: Vec<PhaseTimes>,
}

/// How often a phase of a query took how long.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PhaseTimes {
    /// `plan`: from a text to what runs; `wait`: for its turn; `execute`: from its turn to the end of
    /// its last operator, with waiting for whoever reads it.
    pub phase: &'static str,
    /// Upper bounds in microseconds, the last one `u64::MAX`, and how many took at most that long.
    pub micros: Vec<(u64, u64)>,
    /// Microseconds of all of them together.
    pub sum_us: u64,
}

/// A phase of a query.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    Plan,
    Wait,
    Execute,
}

const PHASES: [(Phase, &str); 3] = [
    (Phase::Plan, "plan"),
    (Phase::Wait, "wait"),
    (Phase::Execute, "execute"),
];

/// Upper bounds of the times that are told apart, in microseconds.
const BOUNDS_US: [u64; 12] = [
    1_000, 2_500, 5_000, 10_000, 25_000, 100_000, 250_000, 1_000_000, 2_500_000, 10_000_000,
    30_000_000, 60_000_000,
];

/// The times of the phases.
#[derive(Debug, Default)]
pub(super) struct Phases([Times; PHASES.len()]);

#[derive(Debug, Default)]
struct Times {
    counts: [AtomicU64; BOUNDS_US.len() + 1],
    sum_us: AtomicU64,
}

impl Phases {
    pub(super) fn add(&self, phase: Phase, time: Duration) {
        let micros = u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        let times = &self.0[phase as usize];
        let at = BOUNDS_US.partition_point(|bound| *bound < micros);
        times.counts[at].fetch_add(1, Ordering::Relaxed);
        times.sum_us.fetch_add(micros, Ordering::Relaxed);
    }

    pub(super) fn all(&self) -> Vec<PhaseTimes> {
        let told = |(times, (_, phase)): (&Times, &(Phase, &'static str))| {
            let bounds = BOUNDS_US.iter().copied().chain([u64::MAX]);
            let mut total = 0;
            let add = |(bound, count): (u64, &AtomicU64)| {
                total += count.load(Ordering::Relaxed);
                (bound, total)
            };
            PhaseTimes {
                phase,
                micros: bounds.zip(&times.counts).map(add).collect(),
                sum_us: times.sum_us.load(Ordering::Relaxed),
            }
        };
        self.0.iter().zip(&PHASES).map(told).collect()
    }
}

/// Adds the time of a phase when it is dropped, however the phase ends.
pub(super) struct Timed {
    phases: Arc<Phases>,
    phase: Phase,
    begun: Instant,
}

impl Timed {
    pub(super) fn begin(phases: &Arc<Phases>, phase: Phase) -> Self {
        Timed {
            phases: Arc::clone(phases),
            phase,
            begun: Instant::now(),
        }
    }
}

impl Drop for Timed {
    fn drop(&mut self) {
        self.phases.add(self.phase, self.begun.elapsed());
    }
}

/// Counts of outcomes by word.
#[derive(Default)]
pub(super) struct Counts(Mutex<BTreeMap<&'static str, u64>>);

impl Counts {
    /// One more; `None` is a good end.
    pub(super) fn add(&self, failed: Option<ErrorKind>) {
        let word = failed.map_or("ok", ErrorKind::word);
        *self
            .0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .entry(word)
            .or_default() += 1;
    }

    pub(super) fn all(&self) -> BTreeMap<&'static str, u64> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}
