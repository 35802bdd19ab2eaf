//! A small seeded random number generator (xoshiro256++, seeded by splitmix64) and the few
//! distributions that the simulator needs.
//!
//! It is written out here so that a seed gives the same world with every version of every
//! library and on every machine: beside integers it uses only additions, multiplications and
//! divisions of floats, which IEEE 754 fixes to the last bit; even the logarithm is our own.

/// The generator.
#[derive(Clone, Debug)]
pub(crate) struct Rng([u64; 4]);

impl Rng {
    /// A generator whose whole sequence is given by `seed`.
    pub(crate) fn new(seed: u64) -> Self {
        let mut z = seed;
        Rng(std::array::from_fn(|_| {
            z = z.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let a = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            let b = (a ^ (a >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            b ^ (b >> 31)
        }))
    }

    /// A sequence of the same seed for one purpose: who draws from it changes nothing for others.
    pub(crate) fn stream(seed: u64, purpose: &str) -> Self {
        let mix = |z: u64, byte: u8| (z ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
        Rng::new(purpose.bytes().fold(seed, mix))
    }

    /// 64 random bits.
    fn next(&mut self) -> u64 {
        let s = &mut self.0;
        let result = s[0].wrapping_add(s[3]).rotate_left(23).wrapping_add(s[0]);
        let t = s[1] << 17;
        s[2] ^= s[0];
        s[3] ^= s[1];
        s[1] ^= s[2];
        s[0] ^= s[3];
        s[2] ^= t;
        s[3] = s[3].rotate_left(45);
        result
    }

    /// A whole number in `0..n` (`n` of at least 1).
    pub(crate) fn below(&mut self, n: u64) -> u64 {
        ((u128::from(self.next()) * u128::from(n)) >> 64) as u64
    }

    /// A whole number in `low..high`; `low` if the range is empty.
    pub(crate) fn between(&mut self, low: i64, high: i64) -> i64 {
        if high <= low {
            low
        } else {
            low + self.below((high - low) as u64) as i64
        }
    }

    /// True in `permille` of a thousand cases.
    pub(crate) fn chance(&mut self, permille: u64) -> bool {
        self.below(1_000) < permille
    }

    /// One of the items.
    pub(crate) fn pick<T: Copy>(&mut self, items: &[T]) -> T {
        items[self.below(items.len() as u64) as usize]
    }

    /// The index drawn by the given weights (their sum at least 1).
    pub(crate) fn weighted(&mut self, weights: &[u64]) -> usize {
        let mut rest = self.below(weights.iter().sum());
        for (i, weight) in weights.iter().enumerate() {
            if rest < *weight {
                return i;
            }
            rest -= weight;
        }
        weights.len() - 1
    }

    /// An exponentially distributed time of the given mean.
    pub(crate) fn exponential(&mut self, mean: f64) -> f64 {
        // 53 bits, shifted off zero so that the logarithm is finite.
        let unit = ((self.next() >> 11) as f64 + 0.5) / (1u64 << 53) as f64;
        -ln(unit) * mean
    }

    /// A time of the given mean with the hump of three exponential stages, in milliseconds.
    pub(crate) fn humped(&mut self, mean_ms: i64) -> i64 {
        let stage = mean_ms as f64 / 3.0;
        let sum = self.exponential(stage) + self.exponential(stage) + self.exponential(stage);
        sum as i64
    }

    /// A factor around 1 with about this standard deviation, never below 0.2.
    pub(crate) fn noise(&mut self, deviation: f64) -> f64 {
        let unit = |r: &mut Rng| (r.next() >> 11) as f64 / (1u64 << 53) as f64;
        let sum = unit(self) + unit(self) + unit(self) + unit(self);
        // Four uniforms have the variance 4/12, so this is scaled to a variance of one.
        (1.0 + (sum - 2.0) * 1.732 * deviation).max(0.2)
    }
}

/// Natural logarithm of a positive, normal number, good to about 12 digits.
fn ln(x: f64) -> f64 {
    let bits = x.to_bits();
    let mut exponent = ((bits >> 52) & 0x7ff) as i64 - 1023;
    let mut m = f64::from_bits((bits & 0x000f_ffff_ffff_ffff) | (1023 << 52));
    if m > std::f64::consts::SQRT_2 {
        m /= 2.0;
        exponent += 1;
    }
    let s = (m - 1.0) / (m + 1.0);
    let s2 = s * s;
    let series = [15.0, 13.0, 11.0, 9.0, 7.0, 5.0, 3.0]
        .iter()
        .fold(0.0, |a, d| (a + 1.0 / d) * s2);
    2.0 * s * (1.0 + series) + exponent as f64 * std::f64::consts::LN_2
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_own_logarithm_agrees_with_the_library() {
        for x in [1e-17, 0.001, 0.3, 0.5, 0.999, 1.0, 1.5, 2.0, 1234.5] {
            assert!((ln(x) - x.ln()).abs() < 1e-11, "{x}: {} {}", ln(x), x.ln());
        }
    }

    #[test]
    fn a_seed_fixes_the_sequence() {
        let draw = |seed| {
            let mut rng = Rng::new(seed);
            (0..5).map(|_| rng.below(1_000_000)).collect::<Vec<_>>()
        };
        assert_eq!(draw(7), draw(7));
        assert_ne!(draw(7), draw(8));
    }

    #[test]
    fn streams_of_a_seed_differ_by_purpose_and_seed() {
        let draw = |mut rng: Rng| (0..5).map(|_| rng.below(1_000_000)).collect::<Vec<_>>();
        let desk = draw(Rng::stream(7, "desk"));
        assert_eq!(desk, draw(Rng::stream(7, "desk")));
        assert_ne!(desk, draw(Rng::stream(7, "staff")));
        assert_ne!(desk, draw(Rng::stream(8, "desk")));
        assert_ne!(desk, draw(Rng::new(7)));
    }

    #[test]
    fn means_come_out_near_what_was_asked() {
        let mut rng = Rng::new(3);
        let n = 100_000;
        let mean = |sum: f64| sum / f64::from(n);
        let exponential = mean((0..n).map(|_| rng.exponential(10.0)).sum());
        let humped = mean((0..n).map(|_| rng.humped(1_000) as f64).sum());
        let noise = mean((0..n).map(|_| rng.noise(0.1)).sum());
        assert!((exponential - 10.0).abs() < 0.1, "{exponential}");
        assert!((humped - 1_000.0).abs() < 10.0, "{humped}");
        assert!((noise - 1.0).abs() < 0.01, "{noise}");
    }
}
