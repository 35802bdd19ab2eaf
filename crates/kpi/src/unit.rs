//! Units: what a value is, and the one place where it is rounded for people.

use crate::definition::UnitKind;

/// Unit of a KPI's value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unit {
    /// What the value is: durations are milliseconds, ratios 0 to 1.
    pub kind: UnitKind,
    /// For money: the currency column of the model, or the input KPI whose currency it is.
    pub of: Option<String>,
    /// How people see it.
    pub show: Show,
}

/// How a value is shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Show {
    /// Digits after the point.
    pub decimals: u8,
    /// `%`, `s`, `min` ... or nothing.
    pub suffix: String,
}

impl Unit {
    /// The value in the shown unit, not rounded: 0.729 becomes 72.9, 28000 ms become 28 s.
    pub fn shown(&self, value: f64) -> f64 {
        match self.show.suffix.as_str() {
            "%" => value * 100.0,
            "s" => value / 1_000.0,
            "min" => value / 60_000.0,
            "h" => value / 3_600_000.0,
            _ => value,
        }
    }

    /// The value as people read it: `72.9 %`, `28.0 s`, `54000.00`.
    pub fn format(&self, value: f64) -> String {
        let decimals = usize::from(self.show.decimals);
        let number = format!("{:.decimals$}", self.shown(value));
        if self.show.suffix.is_empty() {
            return number;
        }
        format!("{number} {}", self.show.suffix)
    }
}

impl Show {
    /// How values of a kind are shown when the definition does not say.
    pub fn usual(kind: UnitKind) -> Self {
        let (decimals, suffix) = match kind {
            UnitKind::Ratio => (1, "%"),
            UnitKind::Count => (0, ""),
            UnitKind::Duration => (1, "s"),
            UnitKind::Currency | UnitKind::Number => (2, ""),
            UnitKind::Points => (1, "pt"),
        };
        Self {
            decimals,
            suffix: suffix.to_owned(),
        }
    }

    /// Reads `0.0 %`, `0`, `0.00 min`.
    ///
    /// # Errors
    /// A sentence that says what is expected.
    pub(crate) fn parse(text: &str, kind: UnitKind) -> Result<Self, String> {
        let (digits, suffix) = text.split_once(' ').unwrap_or((text, ""));
        let decimals = match digits.strip_prefix("0.") {
            Some(zeros) if !zeros.is_empty() && zeros.bytes().all(|b| b == b'0') => zeros.len(),
            None if digits == "0" => 0,
            _ => return Err("write 0, 0.0, 0.00 ... and perhaps a space and a unit".to_owned()),
        };
        let suffixes: &[&str] = match kind {
            UnitKind::Ratio => &["%", ""],
            UnitKind::Duration => &["s", "ms", "min", "h"],
            UnitKind::Points => &["pt", ""],
            UnitKind::Count | UnitKind::Currency | UnitKind::Number => &[""],
        };
        if !suffixes.contains(&suffix) {
            let listed: Vec<_> = suffixes.iter().filter(|s| !s.is_empty()).copied().collect();
            return Err(if listed.is_empty() {
                "this kind of unit is shown without a suffix".to_owned()
            } else {
                format!(
                    "the suffix of this kind of unit is one of: {}",
                    listed.join(", ")
                )
            });
        }
        let decimals = u8::try_from(decimals).unwrap_or(u8::MAX).min(9);
        Ok(Self {
            decimals,
            suffix: suffix.to_owned(),
        })
    }
}
