//! What a rule is, once it has been checked.

use std::collections::BTreeSet;
use std::fmt;

use crate::definition::{Title, UnitKind};

/// A rule: when a figure is worth a warning, and when it is critical.
#[derive(Clone, Debug, PartialEq)]
pub struct AlertRule {
    /// Lower-case letters, digits and underscores.
    pub id: String,
    /// What people call it.
    pub title: Title,
    /// As a cell of the live board has it: `service_level@30m`, `waiting`.
    pub figure: String,
    /// What the figure is: durations are milliseconds, ratios 0 to 1.
    pub unit: UnitKind,
    /// Is the figure the begin of something that runs? Then its age is what counts.
    pub runs: bool,
    /// What it watches.
    pub scope: RuleScope,
    /// Which side of a limit is the bad one.
    pub op: Op,
    /// Limit of a warning, in the unit of the figure.
    pub warn: Option<f64>,
    /// Limit of what is critical.
    pub critical: Option<f64>,
    /// How long a worse state must last before it is taken.
    pub on_delay_s: u32,
    /// How long a better state must last before it is taken.
    pub off_delay_s: u32,
    /// How far beyond the limit a level is left, in the unit of the figure.
    pub deadband: f64,
    /// About fewer things nothing is said; 0 where the figure is no ratio or average.
    pub min_n: u32,
    /// Minutes after which an alert that was acknowledged and goes on is raised again; `None`:
    /// never.
    pub rearm_min: Option<u32>,
}

/// What a rule watches.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RuleScope {
    /// The whole centre.
    Total,
    /// Each queue by itself.
    EachQueue,
    /// One queue, by id.
    Queue(String),
}

impl fmt::Display for RuleScope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Total => f.write_str("total"),
            Self::EachQueue => f.write_str("each queue"),
            Self::Queue(id) => write!(f, "queue {id}"),
        }
    }
}

/// Which side of a limit is the bad one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Op {
    /// More than the limit.
    Above,
    /// The limit or more.
    AtLeast,
    /// Less than the limit.
    Below,
    /// The limit or less.
    AtMost,
}

impl Op {
    /// Is the value on the bad side?
    pub fn is_bad(self, value: f64, limit: f64) -> bool {
        match self {
            Self::Above => value > limit,
            Self::AtLeast => value >= limit,
            Self::Below => value < limit,
            Self::AtMost => value <= limit,
        }
    }

    /// Are high values the bad ones?
    pub const fn is_high_bad(self) -> bool {
        matches!(self, Self::Above | Self::AtLeast)
    }

    /// The worse of two values.
    pub fn worse(self, a: f64, b: f64) -> f64 {
        if self.is_high_bad() {
            a.max(b)
        } else {
            a.min(b)
        }
    }

    /// A limit, moved to the good side.
    pub fn relaxed(self, limit: f64, by: f64) -> f64 {
        if self.is_high_bad() {
            limit - by
        } else {
            limit + by
        }
    }
}

/// The rules of some files, by id.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct AlertRules {
    pub(super) all: Vec<AlertRule>,
}

impl AlertRules {
    /// In the order of the file.
    pub fn iter(&self) -> impl Iterator<Item = &AlertRule> {
        self.all.iter()
    }

    /// Ids of the KPIs that they watch: those that frames must have.
    pub fn kpis(&self) -> BTreeSet<&str> {
        let figures = self.all.iter().map(|rule| rule.figure.as_str());
        let kpis = figures.filter_map(|figure| figure.split_once('@'));
        kpis.map(|(kpi, _)| kpi).collect()
    }

    /// The rule of that id.
    pub fn get(&self, id: &str) -> Option<&AlertRule> {
        self.all.iter().find(|rule| rule.id == id)
    }
}
