//! Parameters of definitions: typed values, defaults, bounds.

pub(crate) mod site;

use std::collections::BTreeMap;
use std::fmt;

use events::UtcMicros;

use crate::definition::{ParamKind, Place};

/// A parameter that expressions use as `:name`.
#[derive(Clone, Debug, PartialEq)]
pub struct Param {
    /// Its name.
    pub name: String,
    /// Its type.
    pub kind: ParamKind,
    /// What it is when nothing is said.
    pub default: ParamDefault,
    /// Least value.
    pub min: Option<ParamValue>,
    /// Greatest value.
    pub max: Option<ParamValue>,
    /// Dimensions that may override it.
    pub by: Vec<String>,
    /// What it is.
    pub description: String,
    /// Other values for some rows; of those that fit a row the first holds.
    pub rules: Vec<ParamRule>,
}

/// Another value of a parameter for some rows, from a site's `params.yml`.
#[derive(Clone, Debug, PartialEq)]
pub struct ParamRule {
    /// Dimension values that a row must have; none is "every row".
    pub matches: BTreeMap<String, String>,
    /// The row's time is not before.
    pub valid_from: Option<UtcMicros>,
    /// The row's time is before.
    pub valid_to: Option<UtcMicros>,
    /// The value.
    pub value: ParamValue,
    /// Where it is written.
    pub place: Place,
}

/// What a parameter is when everything is said: by row, and otherwise.
#[derive(Clone, Debug, PartialEq)]
pub struct ParamInForce {
    /// Where no rule fits.
    pub value: ParamValue,
    /// Of the rules that fit a row the first holds.
    pub rules: Vec<ParamRule>,
}

/// What a parameter is when nothing is said.
#[derive(Clone, Debug, PartialEq)]
pub enum ParamDefault {
    /// A value.
    Value(ParamValue),
    /// The value of another parameter of the KPI.
    SameAs(String),
}

/// A value of a parameter.
#[derive(Clone, Debug, PartialEq)]
pub enum ParamValue {
    /// Milliseconds.
    Duration(i64),
    /// An integer.
    Integer(i64),
    /// A number.
    Number(f64),
    /// A text.
    Text(String),
}

impl ParamValue {
    /// Its type.
    pub const fn kind(&self) -> ParamKind {
        match self {
            Self::Duration(_) => ParamKind::Duration,
            Self::Integer(_) => ParamKind::Integer,
            Self::Number(_) => ParamKind::Number,
            Self::Text(_) => ParamKind::Text,
        }
    }

    /// To compute with: durations in milliseconds. A text is no number.
    pub fn number(&self) -> Option<f64> {
        match self {
            Self::Duration(n) | Self::Integer(n) => Some(*n as f64),
            Self::Number(x) => Some(*x),
            Self::Text(_) => None,
        }
    }

    /// For programs: durations in milliseconds.
    pub fn json(&self) -> serde_json::Value {
        match self {
            Self::Duration(n) | Self::Integer(n) => (*n).into(),
            Self::Number(x) => (*x).into(),
            Self::Text(text) => text.as_str().into(),
        }
    }

    /// From text: `20s`, `-3`, `0.5`, `anything`.
    ///
    /// # Errors
    /// A sentence that says what is expected.
    pub fn parse(kind: ParamKind, text: &str) -> Result<Self, String> {
        match kind {
            ParamKind::Duration => parse_duration_ms(text).map(Self::Duration).ok_or_else(|| {
                format!("`{text}` is not a duration: write a whole number and ms, s, m, h, d or w")
            }),
            ParamKind::Integer => text
                .parse()
                .map(Self::Integer)
                .map_err(|_| format!("`{text}` is not a whole number")),
            ParamKind::Number => match text.parse::<f64>() {
                Ok(number) if number.is_finite() => Ok(Self::Number(number)),
                _ => Err(format!("`{text}` is not a number")),
            },
            ParamKind::Text => Ok(Self::Text(text.to_owned())),
        }
    }

    fn is_below(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Duration(a), Self::Duration(b)) | (Self::Integer(a), Self::Integer(b)) => a < b,
            (Self::Number(a), Self::Number(b)) => a < b,
            _ => false,
        }
    }
}

impl fmt::Display for ParamValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Duration(ms) => f.write_str(&duration_text(*ms)),
            Self::Integer(n) => write!(f, "{n}"),
            Self::Number(x) => write!(f, "{x}"),
            Self::Text(t) => f.write_str(t),
        }
    }
}

impl Param {
    /// A value for this parameter from text, type and bounds checked.
    ///
    /// # Errors
    /// A sentence that says what is expected.
    pub fn parse(&self, text: &str) -> Result<ParamValue, String> {
        let value = ParamValue::parse(self.kind, text)?;
        self.in_bounds(&value)?;
        Ok(value)
    }

    /// The parameter whose value is its default.
    pub fn same_as(&self) -> Option<&str> {
        match &self.default {
            ParamDefault::SameAs(other) => Some(other),
            ParamDefault::Value(_) => None,
        }
    }

    pub(crate) fn in_bounds(&self, value: &ParamValue) -> Result<(), String> {
        match (&self.min, &self.max) {
            (Some(min), _) if value.is_below(min) => {
                Err(format!("`{value}` is below the least value `{min}`"))
            }
            (_, Some(max)) if max.is_below(value) => {
                Err(format!("`{value}` is above the greatest value `{max}`"))
            }
            _ => Ok(()),
        }
    }
}

/// All parameters as they are in force; `SameAs` follows the other parameter, overridden or not.
/// An override holds for every row: no rule of the overridden parameter remains.
pub(crate) fn resolve(
    params: &[Param],
    overrides: &BTreeMap<String, ParamValue>,
) -> BTreeMap<String, ParamInForce> {
    let in_force = |param: &Param| {
        let (mut param, mut rules) = (param, Vec::new());
        // Checked to end when the definition was read; the bound is for safety's sake only.
        for _ in 0..=params.len() {
            if let Some(given) = overrides.get(&param.name)
                && given.kind() == param.kind
            {
                let value = given.clone();
                return Some(ParamInForce { value, rules });
            }
            rules.extend(param.rules.iter().cloned());
            match &param.default {
                ParamDefault::Value(value) => {
                    let value = value.clone();
                    return Some(ParamInForce { value, rules });
                }
                ParamDefault::SameAs(other) => {
                    param = params.iter().find(|p| p.name == *other)?;
                }
            }
        }
        None
    };
    params
        .iter()
        .filter_map(|p| Some((p.name.clone(), in_force(p)?)))
        .collect()
}

impl ParamInForce {
    /// The value at a moment, where it is one for all rows.
    pub fn at(&self, at: UtcMicros) -> &ParamValue {
        let holds = |rule: &&ParamRule| {
            let begun = rule.valid_from.is_none_or(|from| from <= at);
            begun && rule.valid_to.is_none_or(|to| at < to) && rule.matches.is_empty()
        };
        let rule = self.rules.iter().find(holds);
        rule.map_or(&self.value, |rule| &rule.value)
    }

    /// The longest duration that any row has; `None` if it is no duration.
    pub fn longest_ms(&self) -> Option<i64> {
        let all = self.rules.iter().map(|rule| &rule.value);
        let ms = |value: &ParamValue| match value {
            ParamValue::Duration(ms) => Some(*ms),
            _ => None,
        };
        all.chain([&self.value]).filter_map(ms).max()
    }

    /// For programs: the value alone, durations in milliseconds; with rules
    /// `{"default": 20000, "rules": [{"where": {"queue_id": "chat"}, "value": 60000}]}`, of which
    /// the first that fits a row holds.
    pub fn json(&self) -> serde_json::Value {
        if self.rules.is_empty() {
            return self.value.json();
        }
        let rules: Vec<_> = self.rules.iter().map(ParamRule::json).collect();
        serde_json::json!({ "default": self.value.json(), "rules": rules })
    }
}

impl ParamRule {
    fn json(&self) -> serde_json::Value {
        let mut rule = serde_json::Map::new();
        if !self.matches.is_empty() {
            rule.insert("where".to_owned(), serde_json::json!(self.matches));
        }
        for (name, at) in [("valid_from", self.valid_from), ("valid_to", self.valid_to)] {
            if let Some(at) = at {
                rule.insert(name.to_owned(), at.to_string().into());
            }
        }
        rule.insert("value".to_owned(), self.value.json());
        rule.into()
    }

    /// For people: `queue_id = chat, from 2026-03-01T00:00:00Z`; `always` without conditions.
    pub fn when(&self) -> String {
        let named = self.matches.iter().map(|(dim, v)| format!("{dim} = {v}"));
        let from = self.valid_from.map(|at| format!("from {at}"));
        let to = self.valid_to.map(|at| format!("until {at}"));
        let all: Vec<String> = named.chain(from).chain(to).collect();
        if all.is_empty() {
            return "always".to_owned();
        }
        all.join(", ")
    }
}

const UNITS: [(&str, i64); 6] = [
    ("ms", 1),
    ("w", 604_800_000),
    ("d", 86_400_000),
    ("h", 3_600_000),
    ("m", 60_000),
    ("s", 1_000),
];

/// Milliseconds of `20s`, `5m`, `7d`, `1500ms`; whole and not negative.
pub fn parse_duration_ms(text: &str) -> Option<i64> {
    if text == "0" {
        return Some(0);
    }
    let (unit, factor) = UNITS.iter().find(|(unit, _)| text.ends_with(unit))?;
    let digits = &text[..text.len() - unit.len()];
    if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    digits.parse::<i64>().ok()?.checked_mul(*factor)
}

/// The shortest exact form of a duration: `20s`, `90s`, `7d`.
pub fn duration_text(ms: i64) -> String {
    let largest = [
        ("d", 86_400_000),
        ("h", 3_600_000),
        ("m", 60_000),
        ("s", 1_000),
    ];
    match largest
        .iter()
        .find(|(_, factor)| ms != 0 && ms % factor == 0)
    {
        Some((unit, factor)) => format!("{}{unit}", ms / factor),
        None if ms == 0 => "0s".to_owned(),
        None => format!("{ms}ms"),
    }
}
