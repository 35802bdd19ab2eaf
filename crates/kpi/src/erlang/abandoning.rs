//! Erlang A: people wait, and give up.

use super::{Load, inverse_b};

/// Sums are scaled down when they come here, so that overload does not overflow.
const LARGE: f64 = 1e200;
/// Longer queues than this are not summed up.
const QUEUE_MAX: u32 = 20_000_000;
/// What lies so many powers of e below the largest value does not count.
const DEPTH: f64 = 45.0;
/// Pieces that an integral is cut into.
const PIECES: u32 = 200;
/// Gauss and Legendre's points between -1 and 1, and their weights.
const POINTS: [(f64, f64); 4] = [
    (-0.861_136_311_594_052_6, 0.347_854_845_137_453_85),
    (-0.339_981_043_584_856_3, 0.652_145_154_862_546_1),
    (0.339_981_043_584_856_3, 0.652_145_154_862_546_1),
    (0.861_136_311_594_052_6, 0.347_854_845_137_453_85),
];

/// A queue of people with an exponential patience (M/M/n+M).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ErlangA {
    /// Calls in a second.
    calls: f64,
    /// Calls that all agents together end in a second.
    ended: f64,
    /// One over the mean patience, per second.
    give_up: f64,
    /// Logarithm of the probability that all agents are busy and nobody waits.
    log_full: f64,
    p_wait: f64,
    queue_length: f64,
}

impl ErlangA {
    /// `patience_s` is the mean time after which people give up. `None`: an argument makes no
    /// sense, or so many people would wait that nobody could sum them up.
    pub fn new(load: &Load, agents: u32, patience_s: f64) -> Option<Self> {
        let traffic = load.traffic()?;
        let patient = patience_s > 0.0 && patience_s.is_finite();
        if !Load::check(traffic, agents) || !patient {
            return None;
        }
        let mut queue = ErlangA {
            calls: load.calls / load.interval_s,
            ended: f64::from(agents) / load.aht_s,
            give_up: 1.0 / patience_s,
            log_full: f64::NEG_INFINITY,
            p_wait: 0.0,
            queue_length: 0.0,
        };
        if traffic > 0.0 {
            queue.sum_up(inverse_b(agents, traffic))?;
        }
        Some(queue)
    }

    /// Sums over the number of people who wait, in units of the probability that all agents are
    /// busy and nobody waits; `idle` is the same sum over fewer busy agents and none.
    fn sum_up(&mut self, mut idle: f64) -> Option<()> {
        if idle.is_infinite() {
            return Some(());
        }
        let (mut term, mut busy, mut waiting, mut log_scale) = (1.0_f64, 1.0_f64, 0.0_f64, 0.0_f64);
        for ahead in 1.. {
            let position = f64::from(ahead);
            let leaving = self.ended + position * self.give_up;
            term *= self.calls / leaving;
            busy += term;
            waiting += position * term;
            if busy > LARGE {
                for sum in [&mut term, &mut busy, &mut waiting, &mut idle] {
                    *sum /= LARGE;
                }
                log_scale += LARGE.ln();
            }
            // The rest is less than a geometric series of the present ratio.
            let ratio = self.calls / leaving;
            if ratio < 1.0 && term * position / (1.0 - ratio).powi(2) < waiting * 1e-17 {
                break;
            }
            if ahead == QUEUE_MAX {
                return None;
            }
        }
        // The state with all agents busy and nobody waiting is in both sums.
        let unit = if log_scale > 0.0 {
            (-log_scale).exp()
        } else {
            1.0
        };
        let all = idle + busy - unit;
        self.log_full = -all.ln() - log_scale;
        self.p_wait = busy / all;
        self.queue_length = waiting / all;
        Some(())
    }

    /// Share of calls that find nobody free.
    pub fn p_wait(&self) -> f64 {
        self.p_wait
    }

    /// Share of calls that give up.
    pub fn p_abandon(&self) -> f64 {
        match self.calls > 0.0 {
            true => self.give_up * self.queue_length / self.calls,
            false => 0.0,
        }
    }

    /// Mean wait of all calls in seconds, of those who give up too.
    pub fn avg_wait(&self) -> f64 {
        match self.calls > 0.0 {
            true => self.queue_length / self.calls,
            false => 0.0,
        }
    }

    /// Share of their time for which agents are busy.
    pub fn occupancy(&self) -> f64 {
        self.calls * (1.0 - self.p_abandon()) / self.ended
    }

    /// Mean number of calls that wait.
    pub fn queue_length(&self) -> f64 {
        self.queue_length
    }

    /// Share of all calls answered within the threshold: who gives up is not answered. `None`:
    /// that is no time.
    ///
    /// The time that somebody with endless patience would wait has the density
    /// `ended × P(full) × exp(calls × (1 - exp(-give_up × x)) / give_up - ended × x)` (Zeltyn and
    /// Mandelbaum 2005); who comes to an answer has not given up before.
    pub fn service_level(&self, threshold_s: f64) -> Option<f64> {
        if threshold_s.is_nan() || threshold_s < 0.0 {
            return None;
        }
        let at_once = 1.0 - self.p_wait;
        if self.p_wait == 0.0 || threshold_s == 0.0 {
            return Some(at_once);
        }
        // It rises while more come than leave, and falls from then on.
        let turn = (self.calls / (self.ended + self.give_up)).ln().max(0.0) / self.give_up;
        let top = turn.min(threshold_s);
        let lowest = self.exponent(top) - DEPTH;
        let from = self.crossing(lowest, (0.0, top));
        let to = self.crossing(lowest, (threshold_s.min(1e12), top));
        let height = self.ended.ln() + self.log_full + self.exponent(top);
        let shape = |x: f64| (self.exponent(x) - self.exponent(top)).exp();
        let later = height.exp() * integral(shape, from, to);
        Some((at_once + later).clamp(0.0, 1.0))
    }

    /// Logarithm of that density times the share of those who have not given up, but for a
    /// constant.
    fn exponent(&self, x: f64) -> f64 {
        let came = -(-self.give_up * x).exp_m1() / self.give_up;
        self.calls * came - (self.ended + self.give_up) * x
    }

    /// Where the exponent comes to `value` between an outer point and the top; the outer point if
    /// it is not that low there.
    fn crossing(&self, value: f64, (outer, top): (f64, f64)) -> f64 {
        if self.exponent(outer) >= value {
            return outer;
        }
        let (mut low, mut high) = (outer, top);
        for _ in 0..100 {
            let middle = 0.5 * (low + high);
            match self.exponent(middle) < value {
                true => low = middle,
                false => high = middle,
            }
        }
        low
    }
}

fn integral(of: impl Fn(f64) -> f64, from: f64, to: f64) -> f64 {
    let half = 0.5 * (to - from) / f64::from(PIECES);
    let piece = |number: u32| {
        let middle = from + half * f64::from(2 * number + 1);
        let value = |(point, weight): (f64, f64)| weight * of(middle + half * point);
        POINTS.map(value).iter().sum::<f64>()
    };
    (0..PIECES).map(piece).sum::<f64>() * half
}
