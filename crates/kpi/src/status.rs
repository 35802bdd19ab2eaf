//! Is a value good? A pure function of value, denominator, limits and direction.

use crate::definition::Direction;

/// The verdict on a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Status {
    /// On the good side of the limit.
    Good,
    /// Between good and bad.
    Warn,
    /// Beyond the warning limit.
    Bad,
    /// No value, no limits, or a neutral KPI: nothing is judged.
    None,
    /// The denominator is too small to judge.
    TooFew,
}

impl Status {
    /// A word for people and programs.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Good => "good",
            Self::Warn => "warn",
            Self::Bad => "bad",
            Self::None => "none",
            Self::TooFew => "too few",
        }
    }
}

/// A limit, in the unit of the value.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Limit {
    /// At least or at most, as the direction says; the limit itself is inside.
    At(f64),
    /// From, to; both inside.
    Between(f64, f64),
}

/// Limits of a KPI.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Thresholds {
    /// Limit of good.
    pub good: Option<Limit>,
    /// Limit of warning; beyond it is bad.
    pub warn: Option<Limit>,
    /// With a smaller denominator nothing is judged.
    pub min_n: Option<u64>,
}

/// What a value is measured against.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Goal {
    /// The target, in the unit of the value.
    pub target: Option<f64>,
    /// The limits. Without a limit of good the target is that limit.
    pub thresholds: Thresholds,
}

/// Judges a value. `n` is its denominator; unknown is enough.
pub fn status(value: Option<f64>, n: Option<f64>, goal: &Goal, direction: Direction) -> Status {
    let good = goal.thresholds.good.or(match direction {
        Direction::Higher | Direction::Lower => goal.target.map(Limit::At),
        Direction::Band | Direction::Neutral => None,
    });
    let (Some(value), Some(good)) = (value, good) else {
        return Status::None;
    };
    if direction == Direction::Neutral || value.is_nan() {
        return Status::None;
    }
    if let (Some(n), Some(min_n)) = (n, goal.thresholds.min_n)
        && n < min_n as f64
    {
        return Status::TooFew;
    }
    if within(value, good, direction) {
        return Status::Good;
    }
    match goal.thresholds.warn {
        Some(warn) if within(value, warn, direction) => Status::Warn,
        _ => Status::Bad,
    }
}

fn within(value: f64, limit: Limit, direction: Direction) -> bool {
    match limit {
        Limit::At(limit) if direction == Direction::Lower => value <= limit,
        Limit::At(limit) => value >= limit,
        Limit::Between(from, to) => from <= value && value <= to,
    }
}
