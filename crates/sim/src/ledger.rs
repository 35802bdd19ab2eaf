//! The truth about a simulated world: what happened, as the simulation itself knows it, and the
//! core KPIs counted from that in the plainest way.
//!
//! The ledger exists to disagree. It never looks at an event and shares no code with the fold,
//! the KPI definitions or the engine: whoever computes KPIs from the world's events must arrive
//! at its figures to the last digit.

mod buckets;
mod cases;
mod export;
mod metrics;
mod note;
mod records;
mod repeats;

use std::collections::{BTreeMap, HashMap, HashSet};

use events::{Text, UtcMicros};

pub use buckets::Bucket;
use buckets::Buckets;
pub use metrics::{METRICS, Metric, Unit};
pub(crate) use note::{LegRole, Note};
pub use records::Ledger;

/// Longest wait that meets the service level, in milliseconds.
pub const THRESHOLD_MS: i64 = 20_000;
/// An abandon after less than this is short, in milliseconds.
pub const SHORT_ABANDON_MS: i64 = 5_000;

/// How to cut a KPI.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Grouping {
    /// By time.
    pub bucket: Bucket,
    /// By queue; the queue of a contact is the first that it entered, that of a leg, a survey or
    /// an order the queue that the leg was answered from.
    pub by_queue: bool,
}

/// One group of a KPI.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LedgerRow {
    /// The queue, when cut by queue and there is one.
    pub queue: Option<Text>,
    /// Start of the bucket, when cut by time.
    pub bucket_start: Option<UtcMicros>,
    /// In the metric's unit.
    pub numerator: i128,
    /// `None` for counts and sums.
    pub denominator: Option<i128>,
}

impl LedgerRow {
    /// The KPI; `None` for a ratio over nothing.
    pub fn value(&self, metric: &Metric) -> Option<f64> {
        match self.denominator {
            Some(0) => None,
            Some(n) => Some(metric.scale * self.numerator as f64 / n as f64),
            None => Some(metric.scale * self.numerator as f64),
        }
    }
}

/// How the counts of one group are put together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Merge {
    Sum,
    Max,
    /// Counts different numbers; a negative one is none.
    Distinct,
}

/// A queue and the start of a bucket, in milliseconds, where things are cut by them.
type Group = (Option<u8>, Option<i64>);

/// Collects counts by group.
struct Sink {
    merge: Merge,
    by_queue: bool,
    buckets: Buckets,
    groups: BTreeMap<Group, (i128, i128)>,
    seen: HashSet<(Group, i64, bool)>,
    /// Of each person the time and the count of the latest word.
    latest: HashMap<(Group, u32), (i64, i64)>,
}

impl Sink {
    /// Adds to the group of a queue and an instant in milliseconds. Something that has no instant
    /// is in no group.
    fn add(&mut self, queue: Option<u8>, at: Option<i64>, numerator: i64, denominator: i64) {
        let Some(at) = at else { return };
        let queue = if self.by_queue { queue } else { None };
        let group = (queue, self.buckets.start_of(at));
        let (a, b) = self.groups.entry(group).or_default();
        let mut new = |n: i64, above| n >= 0 && self.seen.insert((group, n, above));
        match self.merge {
            Merge::Sum => {
                *a += i128::from(numerator);
                *b += i128::from(denominator);
            }
            Merge::Max => *a = (*a).max(numerator.into()),
            Merge::Distinct => {
                *a += i128::from(new(numerator, true));
                *b += i128::from(new(denominator, false));
            }
        }
    }

    /// Of all that is said of one person in a group the latest counts: `numerator` above, one
    /// person below.
    fn last_word(&mut self, queue: Option<u8>, at: i64, person: u32, numerator: i64) {
        let queue = if self.by_queue { queue } else { None };
        let group = ((queue, self.buckets.start_of(at)), person);
        let before = self.latest.get(&group).copied();
        if before.is_some_and(|(said_at, _)| said_at > at) {
            return;
        }
        self.latest.insert(group, (at, numerator));
        let taken_back = before.map_or(0, |(_, numerator)| numerator);
        self.add(
            queue,
            Some(at),
            numerator - taken_back,
            before.is_none().into(),
        );
    }

    /// Adds one thing that counts above and below, as said.
    fn share(&mut self, queue: Option<u8>, at: Option<i64>, above: bool, below: bool) {
        self.add(queue, at, above.into(), below.into());
    }
}

impl Ledger {
    /// The metric of that KPI id.
    pub fn metric(id: &str) -> Option<&'static Metric> {
        METRICS.iter().find(|m| m.id == id)
    }

    /// One KPI, cut as said, sorted by queue and bucket. There is a row for every group in which
    /// something could have counted. `None`: the ledger does not know the KPI, or it has no queue.
    pub fn kpi(&self, id: &str, grouping: Grouping) -> Option<Vec<LedgerRow>> {
        let metric = Self::metric(id)?;
        if grouping.by_queue && !metric.by_queue {
            return None;
        }
        let mut sink = Sink {
            merge: metric.merge,
            by_queue: grouping.by_queue,
            buckets: Buckets::new(grouping.bucket),
            groups: BTreeMap::new(),
            seen: HashSet::new(),
            latest: HashMap::new(),
        };
        (metric.count)(self, &mut sink);
        let row = |((queue, start), (a, b)): (Group, (i128, i128))| LedgerRow {
            queue: queue.map(|q| Text::new_static(crate::centre::QUEUES[usize::from(q)].id)),
            bucket_start: start.map(|ms| UtcMicros(ms * 1_000)),
            numerator: a,
            denominator: metric.ratio.then_some(b),
        };
        let mut rows: Vec<LedgerRow> = sink.groups.into_iter().map(row).collect();
        rows.sort_by(|a, b| (&a.queue, a.bucket_start).cmp(&(&b.queue, b.bucket_start)));
        Some(rows)
    }
}
