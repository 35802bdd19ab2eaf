//! Workforce maths: how long people wait for a number of agents, and how many agents it takes.
//!
//! Erlang C: everybody waits until somebody answers. Erlang A: people give up after an exponential
//! patience (Palm 1957; Garnett, Mandelbaum and Reiman 2002). Calls come at random and take
//! exponential times. Times are seconds, rates of calls are calls per interval.
//!
//! Sums are taken over terms of one sign, largest first where it matters, and scaled on the way: the
//! results are good to about 1e-12 for up to [`AGENTS_MAX`] agents.

mod abandoning;
mod demand;
mod formula;
mod patient;

pub use abandoning::ErlangA;
pub use demand::{Goal, Load, positions};
pub use formula::{FORMULAS, Formula};
pub use patient::ErlangC;

/// More agents than this are refused.
pub const AGENTS_MAX: u32 = 100_000;

/// Erlang B: the share of calls that find all lines busy, where nobody waits. `traffic` is in
/// erlang (calls per interval × handle time / interval). Without lines it is every call. `None`: an
/// argument makes no sense.
pub fn erlang_b(lines: u32, traffic: f64) -> Option<f64> {
    Load::check(traffic, lines.max(1)).then(|| 1.0 / inverse_b(lines, traffic))
}

/// One over the blocking probability of Erlang B; infinite where that is too small for a number.
///
/// It is the sum of `n! / ((n - k)! traffic^k)` over `k`: each term is the probability of `n - k`
/// busy agents in units of that of `n`.
fn inverse_b(agents: u32, traffic: f64) -> f64 {
    let (mut term, mut sum) = (1.0_f64, 1.0_f64);
    for busy in (1..=agents).rev() {
        term *= f64::from(busy) / traffic;
        sum += term;
        // From here on terms only fall, and all of them together change nothing any more.
        let falls = f64::from(busy) < traffic;
        if (falls && term * f64::from(busy) < sum * f64::EPSILON * 1e-3) || sum.is_infinite() {
            break;
        }
    }
    sum
}
