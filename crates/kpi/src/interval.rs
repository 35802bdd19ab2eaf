//! How far a share may lie from what a sample shows of it, and a difference of two shares.
//!
//! Both at a level of 95 %: of a hundred such intervals about 95 hold the true share. They are for
//! things that were drawn and that are there or not (an answer that is satisfied, an evaluation
//! with an error), not for means of scores.

/// Share of intervals that hold what they are about.
pub const LEVEL: f64 = 0.95;

/// The 97.5 % point of the normal distribution.
const Z: f64 = 1.959_963_984_540_054;

/// From, to; both inside.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Interval {
    /// The lower end.
    pub low: f64,
    /// The upper end.
    pub high: f64,
}

/// So many of so many.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Share {
    hits: f64,
    n: f64,
}

impl Share {
    /// `None` where there is nothing, or where the one is no part of the other.
    pub fn new(hits: f64, n: f64) -> Option<Share> {
        let is_share = n > 0.0 && (0.0..=n).contains(&hits);
        is_share.then_some(Share { hits, n })
    }

    /// The share itself, 0 to 1.
    pub fn value(self) -> f64 {
        self.hits / self.n
    }

    /// The score interval of Wilson without correction for continuity (E. B. Wilson, "Probable
    /// inference, the law of succession, and statistical inference", JASA 22, 1927): inside 0 to 1,
    /// and sensible for few and for extreme shares.
    pub fn interval(self) -> Interval {
        let (p, n) = (self.value(), self.n);
        let spread = Z * Z / n;
        let centre = (p + spread / 2.0) / (1.0 + spread);
        let half = Z / (1.0 + spread) * (p * (1.0 - p) / n + spread / (4.0 * n)).sqrt();
        // None and all are their own limits, without what rounding makes of it.
        let low = if self.hits == 0.0 { 0.0 } else { centre - half };
        let high = if self.hits == n { 1.0 } else { centre + half };
        Interval { low, high }
    }

    /// The interval of `self` less `other`, two independent shares: the hybrid of both score
    /// intervals (R. G. Newcombe, "Interval estimation for the difference between independent
    /// proportions", Statistics in Medicine 17, 1998, method 10).
    pub fn difference(self, other: Share) -> Interval {
        let (a, b) = (self.interval(), other.interval());
        let (p, q) = (self.value(), other.value());
        Interval {
            low: p - q - (p - a.low).hypot(b.high - q),
            high: p - q + (a.high - p).hypot(q - b.low),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn share(hits: u32, n: u32) -> Share {
        Share::new(hits.into(), n.into()).unwrap()
    }

    #[track_caller]
    fn near(found: Interval, low: f64, high: f64) {
        let off = (found.low - low).abs().max((found.high - high).abs());
        assert!(off < 0.000_05, "{found:?}, not {low} to {high}");
    }

    /// Newcombe, "Two-sided confidence intervals for the single proportion", Statistics in
    /// Medicine 17 (1998), table I, method 3.
    #[test]
    fn shares_of_samples_have_the_published_intervals() {
        near(share(81, 263).interval(), 0.2553, 0.3662);
        near(share(15, 148).interval(), 0.0624, 0.1605);
        near(share(0, 20).interval(), 0.0, 0.1611);
        near(share(1, 29).interval(), 0.0061, 0.1718);
        near(share(20, 20).interval(), 1.0 - 0.1611, 1.0);
    }

    /// Newcombe, "Interval estimation for the difference between independent proportions", table
    /// II, method 10.
    #[test]
    fn differences_have_the_published_intervals() {
        let check = |[a, m, b, n]: [u32; 4], low: f64, high: f64| {
            near(share(a, m).difference(share(b, n)), low, high);
        };
        check([56, 70, 48, 80], 0.0524, 0.3339);
        check([9, 10, 3, 10], 0.1705, 0.8090);
        check([6, 7, 2, 7], 0.0582, 0.8062);
        check([5, 56, 0, 29], -0.0381, 0.1926);
        check([0, 10, 0, 20], -0.1611, 0.2775);
        check([0, 10, 0, 10], -0.2775, 0.2775);
        check([10, 10, 0, 20], 0.6791, 1.0);
        check([10, 10, 0, 10], 0.6075, 1.0);
    }

    #[test]
    fn none_and_all_are_exact_ends_and_nothing_has_no_share() {
        for n in 1..400 {
            assert_eq!(share(0, n).interval().low, 0.0);
            assert_eq!(share(n, n).interval().high, 1.0);
            let inside = share(n / 2, n).interval();
            assert!(0.0 <= inside.low && inside.low <= inside.high && inside.high <= 1.0);
        }
        assert_eq!(Share::new(0.0, 0.0), None);
        assert_eq!(Share::new(3.0, 2.0), None);
        assert_eq!(Share::new(-1.0, 2.0), None);
        assert_eq!(Share::new(f64::NAN, 2.0), None);
    }
}
