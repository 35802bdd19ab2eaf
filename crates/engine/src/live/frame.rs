//! What a board shows at one moment.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use events::UtcMicros;
use kpi::{Status, Unit};

use crate::UsedKpi;

/// All cells of one moment. Every number in it is of the same `as_of`, version and day.
#[derive(Clone, Debug)]
pub struct Frame {
    /// Which life of the process made it; another one after each start.
    pub epoch: u64,
    /// Rises with every frame of an epoch.
    pub seq: u64,
    /// What counted as now.
    pub as_of: UtcMicros,
    /// When the newest event in it was received; absent before the first.
    pub watermark: Option<UtcMicros>,
    /// Commit sequence of the version it was computed from.
    pub revision: u64,
    /// IANA zone of the day and the intervals.
    pub zone: Arc<str>,
    /// The business day that `@today` means.
    pub day: Day,
    /// Definitions its KPI cells were computed by.
    pub kpis: Arc<[UsedKpi]>,
    /// The cells. Values that did not change since the last frame are the same allocation.
    pub cells: BTreeMap<CellKey, Arc<Cell>>,
}

/// A business day, half-open.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Day {
    /// As `2026-11-22`.
    pub date: String,
    /// Its first moment.
    pub start: UtcMicros,
    /// The first moment of the next day.
    pub end: UtcMicros,
}

/// What a cell is about.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Scope {
    /// The whole centre.
    Total,
    /// A channel, by its word.
    Channel(Arc<str>),
    /// A queue, by id.
    Queue(Arc<str>),
    /// An agent, by id.
    Agent(Arc<str>),
    /// The 30 minutes of today that begin here, over the whole centre.
    Interval(UtcMicros),
}

/// The place of a cell. As text: `t.waiting`, `q.sales.oldest`, `a.7.state`, `i.1763769600.offered`
/// (seconds since 1970). The figure holds no dot, so an id may.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CellKey {
    /// What it is about.
    pub scope: Scope,
    /// What it says, as `waiting` or `service_level@today`.
    pub figure: Arc<str>,
}

impl fmt::Display for CellKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.scope {
            Scope::Total => write!(f, "t")?,
            Scope::Channel(id) => write!(f, "c.{id}")?,
            Scope::Queue(id) => write!(f, "q.{id}")?,
            Scope::Agent(id) => write!(f, "a.{id}")?,
            Scope::Interval(start) => write!(f, "i.{}", start.0.div_euclid(1_000_000))?,
        }
        write!(f, ".{}", self.figure)
    }
}

/// One figure.
#[derive(Clone, Debug, PartialEq)]
pub struct Cell {
    /// What it says.
    pub value: CellValue,
    /// How it stands to its target; [`Status::None`] where nothing is judged.
    pub status: Status,
    /// How many things the value is about, where that is known.
    pub n: Option<f64>,
    /// Upper operand of the value's division, if it is a ratio.
    pub numerator: Option<f64>,
    /// Lower operand of the value's division, if it is a ratio.
    pub denominator: Option<f64>,
    /// The target, in the unit of the value.
    pub target: Option<f64>,
}

impl Cell {
    /// A figure that nothing judges.
    pub fn plain(value: CellValue) -> Self {
        Self {
            value,
            status: Status::None,
            n: None,
            numerator: None,
            denominator: None,
            target: None,
        }
    }
}

/// The value of a cell.
#[derive(Clone, Debug, PartialEq)]
pub enum CellValue {
    /// There is no value: nothing happened that it could be about.
    Nothing,
    /// A number in its unit: ratios 0 to 1, durations in milliseconds of things that have ended.
    Number(f64, Unit),
    /// When something that still runs began.
    Since(UtcMicros),
    /// A word or a name.
    Text(Arc<str>),
    /// Values of equal steps, the oldest first.
    Series(Arc<[Option<f64>]>),
}
