//! Parameters of definitions: typed values, defaults, bounds.

use std::collections::BTreeMap;
use std::fmt;

use crate::definition::ParamKind;

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

/// Values of all parameters; `SameAs` follows the other parameter, overridden or not.
pub(crate) fn resolve(
    params: &[Param],
    overrides: &BTreeMap<String, ParamValue>,
) -> BTreeMap<String, ParamValue> {
    let value_of = |param: &Param| {
        let mut param = param;
        // Checked to end when the definition was read; the bound is for safety's sake only.
        for _ in 0..=params.len() {
            if let Some(given) = overrides.get(&param.name)
                && given.kind() == param.kind
            {
                return Some(given.clone());
            }
            match &param.default {
                ParamDefault::Value(value) => return Some(value.clone()),
                ParamDefault::SameAs(other) => {
                    param = params.iter().find(|p| p.name == *other)?;
                }
            }
        }
        None
    };
    params
        .iter()
        .filter_map(|p| Some((p.name.clone(), value_of(p)?)))
        .collect()
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
