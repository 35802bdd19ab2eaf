//! Erlang C: everybody waits until somebody answers.

use super::{Load, inverse_b};

/// A queue of patient people (M/M/n).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ErlangC {
    traffic: f64,
    agents: f64,
    aht_s: f64,
    p_wait: f64,
}

impl ErlangC {
    /// `None`: as much work comes in as the agents can do, or more, so that the queue grows for
    /// ever; or an argument makes no sense.
    pub fn new(load: &Load, agents: u32) -> Option<Self> {
        let traffic = load.traffic()?;
        if !Load::check(traffic, agents) || traffic >= f64::from(agents) {
            return None;
        }
        let busy = traffic / f64::from(agents);
        // No calls: nobody waits.
        let p_wait = match traffic > 0.0 {
            true => 1.0 / (inverse_b(agents, traffic) * (1.0 - busy) + busy),
            false => 0.0,
        };
        Some(Self {
            traffic,
            agents: f64::from(agents),
            aht_s: load.aht_s,
            p_wait,
        })
    }

    /// Share of calls that wait at all.
    pub fn p_wait(&self) -> f64 {
        self.p_wait
    }

    /// Mean wait of all calls, in seconds.
    pub fn asa(&self) -> f64 {
        self.p_wait * self.aht_s / (self.agents - self.traffic)
    }

    /// Share of calls answered within the threshold. `None`: that is no time.
    pub fn service_level(&self, threshold_s: f64) -> Option<f64> {
        let waits_longer = || (-(self.agents - self.traffic) * threshold_s / self.aht_s).exp();
        (threshold_s >= 0.0).then(|| 1.0 - self.p_wait * waits_longer())
    }

    /// Share of their time for which agents are busy.
    pub fn occupancy(&self) -> f64 {
        self.traffic / self.agents
    }

    /// Mean number of calls that wait.
    pub fn queue_length(&self) -> f64 {
        self.p_wait * self.traffic / (self.agents - self.traffic)
    }
}
