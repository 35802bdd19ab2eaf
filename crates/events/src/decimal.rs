//! Exact decimal numbers with four places, as Parquet's Decimal(18,4).

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A number of ten-thousandths: `Decimal(12_500)` is 1.25.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Decimal(pub i128);

impl Decimal {
    /// Ten-thousandths in one.
    pub const ONE: i128 = 10_000;
    /// Largest magnitude: eighteen digits in all.
    pub const MAX: i128 = 999_999_999_999_999_999;

    /// Reads `-12.5` or `54000.0000`; `None` for other text, more than four places or 18 digits.
    pub fn parse(text: &str) -> Option<Self> {
        let (negative, digits) = match text.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, text),
        };
        let (whole, places) = digits.split_once('.').unwrap_or((digits, ""));
        let all_digits = |s: &str| s.bytes().all(|b| b.is_ascii_digit());
        if whole.is_empty() || places.len() > 4 || !all_digits(whole) || !all_digits(places) {
            return None;
        }
        let whole: i128 = whole.parse().ok()?;
        let places: i128 = format!("{places:0<4}").parse().ok()?;
        let value = whole.checked_mul(Self::ONE)?.checked_add(places)?;
        (value <= Self::MAX).then_some(Decimal(if negative { -value } else { value }))
    }

    /// The nearest decimal; `None` for what is no number, or has more than 18 digits.
    pub fn nearest(value: f64) -> Option<Self> {
        let scaled = (value * Self::ONE as f64).round();
        (scaled.abs() <= Self::MAX as f64).then_some(Decimal(scaled as i128))
    }

    /// The nearest floating-point number.
    pub fn to_f64(self) -> f64 {
        self.0 as f64 / Self::ONE as f64
    }
}

impl fmt::Display for Decimal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.0 < 0 { "-" } else { "" };
        let (whole, places) = (self.0.abs() / Self::ONE, self.0.abs() % Self::ONE);
        write!(f, "{sign}{whole}.{places:04}")
    }
}

impl Serialize for Decimal {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Decimal {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let text = crate::decode::Str::deserialize(d)?.0;
        Decimal::parse(&text).ok_or_else(|| {
            serde::de::Error::invalid_value(serde::de::Unexpected::Str(&text), &"a decimal")
        })
    }
}
