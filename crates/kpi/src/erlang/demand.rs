//! What comes in, and how many it takes.

use super::{AGENTS_MAX, ErlangA, ErlangC};

/// Calls that come at random.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Load {
    /// Calls of an interval.
    pub calls: f64,
    /// Length of the interval, in seconds.
    pub interval_s: f64,
    /// Average handle time, in seconds.
    pub aht_s: f64,
}

/// What is to be reached.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Goal {
    /// Share of calls answered within the threshold, 0 to 1. No number of agents answers all of them.
    pub service_level: f64,
    /// The threshold, in seconds.
    pub threshold_s: f64,
    /// Agents may be busy for at most this share of their time.
    pub max_occupancy: Option<f64>,
}

impl Load {
    /// Work that comes in, in erlang: so many agents would never rest. `None`: an argument makes
    /// no sense.
    pub fn traffic(&self) -> Option<f64> {
        let sound = |v: f64| v.is_finite() && v > 0.0;
        let all = self.calls >= 0.0 && self.calls.is_finite();
        (all && sound(self.interval_s) && sound(self.aht_s))
            .then(|| self.calls * self.aht_s / self.interval_s)
            .filter(|traffic| traffic.is_finite())
    }

    pub(super) fn check(traffic: f64, agents: u32) -> bool {
        traffic >= 0.0 && traffic.is_finite() && (1..=AGENTS_MAX).contains(&agents)
    }

    /// The least number of agents that reaches the goal if everybody waits (Erlang C); 0 without
    /// calls. `None`: it takes more than [`AGENTS_MAX`], or an argument makes no sense.
    pub fn agents_c(&self, goal: &Goal) -> Option<u32> {
        let reaches = |agents| {
            let model = ErlangC::new(self, agents);
            let level = model.and_then(|m| m.service_level(goal.threshold_s));
            level.is_some_and(|level| level >= goal.service_level)
                && model.is_some_and(|m| goal.allows(m.occupancy()))
        };
        self.least(goal, reaches)
    }

    /// As [`Load::agents_c`], where people give up after `patience_s` on average (Erlang A).
    pub fn agents_a(&self, patience_s: f64, goal: &Goal) -> Option<u32> {
        let reaches = |agents| {
            let model = ErlangA::new(self, agents, patience_s);
            let level = model.and_then(|m| m.service_level(goal.threshold_s));
            level.is_some_and(|level| level >= goal.service_level)
                && model.is_some_and(|m| goal.allows(m.occupancy()))
        };
        self.least(goal, reaches)
    }

    /// More agents are never worse: so the least number is found by halving.
    fn least(&self, goal: &Goal, reaches: impl Fn(u32) -> bool) -> Option<u32> {
        let traffic = self.traffic().filter(|_| goal.is_sound())?;
        if traffic == 0.0 {
            return Some(0);
        }
        // However many agents there are, now and then all are busy: only rounding says "never".
        if goal.service_level >= 1.0 {
            return None;
        }
        let mut enough = (traffic.ceil().min(f64::from(AGENTS_MAX)) as u32).max(1);
        while !reaches(enough) {
            if enough == AGENTS_MAX {
                return None;
            }
            enough = enough.saturating_mul(2).min(AGENTS_MAX);
        }
        let mut too_few = 0;
        while enough - too_few > 1 {
            let middle = too_few + (enough - too_few) / 2;
            match reaches(middle) {
                true => enough = middle,
                false => too_few = middle,
            }
        }
        Some(enough)
    }
}

impl Goal {
    fn is_sound(&self) -> bool {
        let share = |v: f64| (0.0..=1.0).contains(&v);
        let occupancy = self.max_occupancy.is_none_or(|max| max > 0.0 && max <= 1.0);
        share(self.service_level) && self.threshold_s >= 0.0 && occupancy
    }

    fn allows(&self, occupancy: f64) -> bool {
        // A share that is reached exactly must not fail by the last bit.
        self.max_occupancy
            .is_none_or(|max| occupancy <= max + 1e-12)
    }
}

/// How many must be on the pay-roll of the interval so that `agents` work: some are on a break, in
/// a training or ill. `shrinkage` is their share, 0 to below 1.
pub fn positions(agents: u32, shrinkage: f64) -> Option<u32> {
    let sound = (0.0..1.0).contains(&shrinkage);
    // 14 / (1 - 0.3) is 20, whatever the last bit says.
    let positions = (f64::from(agents) / (1.0 - shrinkage) - 1e-9).ceil();
    (sound && positions <= f64::from(u32::MAX)).then_some(positions as u32)
}
