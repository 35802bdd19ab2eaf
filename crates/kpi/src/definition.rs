//! Stage two: one KPI, whole and checked. After this nothing is checked again.

use std::collections::BTreeMap;
use std::fmt;

use schemars::JsonSchema;
use serde::Deserialize;

use crate::example::Example;
use crate::param::{Param, ParamInForce, ParamValue};
use crate::status::Thresholds;
use crate::unit::Unit;
use crate::value::Value;

/// A validated KPI.
#[derive(Clone, Debug)]
pub struct Kpi {
    /// Id: SQL column and URL segment.
    pub id: String,
    /// Rises when any number can change.
    pub version: u32,
    /// What people call it.
    pub title: Title,
    /// Other names, for search.
    pub aliases: Vec<String>,
    /// Where it is listed.
    pub group: String,
    /// What it tells and what it leaves out.
    pub description: String,
    /// The definition in words.
    pub formula: String,
    /// Where the definition comes from.
    pub source: Source,
    /// Draft, certified or deprecated.
    pub status: Lifecycle,
    /// The KPI it was derived from by `variants` or `extends`.
    pub variant_of: Option<String>,
    /// Over one model, or over other KPIs.
    pub kind: Kind,
    /// The parameters that its expressions use.
    pub params: Vec<Param>,
    /// Scalar over the parts, or over the inputs.
    pub value: Value,
    /// What nothing is.
    pub empty: Empty,
    /// From when a row counts.
    pub maturity: Maturity,
    /// Are its rows a sample, drawn from more? Then its values have an interval; it is a
    /// proportion, see [`Kpi::is_proportion`].
    pub sample: bool,
    /// Unit and presentation.
    pub unit: Unit,
    /// Which way is better.
    pub direction: Direction,
    /// Reference target, in the unit of the value.
    pub target: Option<f64>,
    /// Limits, in the unit of the value.
    pub thresholds: Thresholds,
    /// Columns it may be grouped by. A derived KPI has those that all its inputs have.
    pub dimensions: Vec<String>,
    /// Smallest and usual time bucket.
    pub buckets: Buckets,
    /// Columns shown beside the number; includes every column that is read.
    pub supporting: Vec<String>,
    /// Executable examples.
    pub examples: Vec<Example>,
    /// Blake3, in hex, of everything that can change a number.
    pub hash: String,
    /// Where it is defined.
    pub place: Place,
}

/// Over what a KPI is computed.
#[derive(Clone, Debug)]
pub enum Kind {
    /// Parts over the rows of one model.
    Measured(Measured),
    /// A scalar over other KPIs, each aggregated apart.
    Derived(Derived),
}

/// Rows of one model.
#[derive(Clone, Debug)]
pub struct Measured {
    /// The fact model.
    pub model: String,
    /// What one row is.
    pub grain: String,
    /// Which moment decides the bucket.
    pub clock: Clock,
    /// The column of that moment; a row with NULL there is in no bucket.
    pub time: String,
    /// Row conditions of every part, joined by AND.
    pub filters: Vec<String>,
    /// The parts, in the order of the file.
    pub parts: Vec<Part>,
}

/// Other KPIs.
#[derive(Clone, Debug)]
pub struct Derived {
    /// Ids named in `value`, in the order of the file.
    pub inputs: Vec<String>,
    /// The models below, sorted.
    pub models: Vec<String>,
    /// Over more time than this it has no value, in milliseconds.
    pub longest_ms: Option<i64>,
}

/// One row expression and one mergeable aggregate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// Its name in `value` and in examples.
    pub name: String,
    /// The aggregate.
    pub agg: Agg,
    /// SQL over the columns of one row.
    pub expr: String,
    /// By what its rows are put together first.
    pub per: Option<Per>,
    /// Columns that `expr` reads, sorted.
    pub columns: Vec<String>,
    /// Parameters that `expr` reads, sorted, without `horizon`, `history_start`, `as_of`.
    pub params: Vec<String>,
}

/// By what the rows of a part are put together before they become one number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Per {
    /// Of each value of this column only the latest row counts: `last_by_time`, `max_last_by_time`.
    Column(String),
    /// Rows of one stretch of this length, counted from midnight UTC, are added up: `peak`.
    Width {
        /// A divisor of a day, in whole minutes.
        ms: i64,
    },
}

impl fmt::Display for Per {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Column(name) => f.write_str(name),
            Self::Width { ms } => f.write_str(&crate::param::duration_text(*ms)),
        }
    }
}

/// Titles by language.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Title {
    /// English.
    pub en: String,
    /// Simplified Chinese.
    pub zh_cn: String,
    /// Traditional Chinese.
    pub zh_tw: String,
    /// Languages that the file does not have; another one stands in for them.
    pub missing: Vec<&'static str>,
}

/// Where a definition comes from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Source {
    /// Whose definition it is.
    pub basis: String,
    /// Requirement documents that ask for it.
    pub seeds: Vec<String>,
}

/// Life of a definition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Lifecycle {
    /// May still change.
    Draft,
    /// Reviewed.
    Certified,
    /// Not for new use.
    Deprecated {
        /// The id to use instead.
        replaced_by: String,
    },
}

/// The closed list of mergeable aggregates.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Agg {
    /// Rows for which the expression is true; NULL is not true. Nothing is 0.
    CountIf,
    /// Checked sum of integers or decimals. Nothing is NULL.
    Sum,
    /// Smallest value.
    Min,
    /// Greatest value.
    Max,
    /// Different values, NULL not counted.
    Distinct,
    /// Exact histogram of whole numbers, for `percentile` and `share_within`.
    Histogram,
    /// Whole numbers: of each value of `per` that of its latest row by the KPI's time, summed.
    /// Nothing is NULL.
    LastByTime,
    /// As `last_by_time`, but the greatest of the latest rows instead of their sum.
    MaxLastByTime,
    /// Whole numbers: summed by stretches of the KPI's time as long as `per`, then the greatest of
    /// these sums. Nothing is NULL.
    Peak,
    /// How many were open at once at most: each from the KPI's time up to and without the time
    /// that the expression says, or open still where that is NULL. Nothing is NULL.
    PeakOpen,
    /// Value times the time it held.
    TimeWeighted,
}

/// Which moment decides the bucket.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Clock {
    /// When the item came in.
    Cohort,
    /// When the thing ended.
    Event,
    /// The time is cut over the buckets.
    Spread,
}

impl Clock {
    /// As it is written.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Cohort => "cohort",
            Self::Event => "event",
            Self::Spread => "spread",
        }
    }
}

/// What nothing is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Empty {
    /// NULL.
    NoValue,
    /// 0.
    Zero,
}

/// Which way is better.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    /// More is better.
    Higher,
    /// Less is better.
    Lower,
    /// Inside a band is better.
    Band,
    /// Neither; never judged.
    Neutral,
}

impl Direction {
    /// As definitions write it.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Higher => "higher",
            Self::Lower => "lower",
            Self::Band => "band",
            Self::Neutral => "neutral",
        }
    }
}

/// What a value is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum UnitKind {
    /// 0 to 1, shown in percent.
    Ratio,
    /// Whole number.
    Count,
    /// Milliseconds.
    Duration,
    /// Money.
    Currency,
    /// Points of a scale.
    Points,
    /// A plain number.
    Number,
}

impl UnitKind {
    /// A word for programs: `ratio` (0 to 1), `count`, `ms`, `currency`, `points`, `number`.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Ratio => "ratio",
            Self::Count => "count",
            Self::Duration => "ms",
            Self::Currency => "currency",
            Self::Points => "points",
            Self::Number => "number",
        }
    }
}

/// Type of a parameter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ParamKind {
    /// Whole milliseconds, written `20s`, `5m`, `7d`.
    Duration,
    /// Int64.
    Integer,
    /// Float64.
    Number,
    /// Text.
    Text,
}

/// From when a row counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Maturity {
    /// At once.
    None,
    /// When cost lines are posted for the whole range.
    Posted,
    /// When the horizon is past `column + window`. The parts say so themselves with `matured()`;
    /// this tells up to when a result is mature.
    Window {
        /// A time column of the model.
        column: String,
        /// How long after.
        window: Window,
    },
    /// Of a derived KPI: where all inputs are mature.
    Common,
}

/// Length of a maturity window.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Window {
    /// A duration parameter.
    Param(String),
    /// Milliseconds.
    Ms(i64),
}

/// Smallest and usual bucket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Buckets {
    /// Smaller ones are refused.
    pub min: Bucket,
    /// Used when none is asked for.
    pub default: Bucket,
}

/// Length of a time bucket, smallest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Bucket {
    /// 15 minutes.
    M15,
    /// 30 minutes.
    M30,
    /// An hour.
    H1,
    /// A calendar day.
    D1,
    /// A calendar week, from Monday.
    W1,
    /// A calendar month.
    Mo1,
    /// A calendar quarter.
    Q1,
    /// A calendar year.
    Y1,
}

impl Bucket {
    /// All, smallest first, with their text form.
    pub const ALL: [(Self, &'static str); 8] = [
        (Self::M15, "15m"),
        (Self::M30, "30m"),
        (Self::H1, "1h"),
        (Self::D1, "1d"),
        (Self::W1, "1w"),
        (Self::Mo1, "1mo"),
        (Self::Q1, "1q"),
        (Self::Y1, "1y"),
    ];

    /// From `15m`, `1h`, `1d` ...
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.iter().find(|(_, t)| *t == text).map(|(b, _)| *b)
    }
}

impl fmt::Display for Bucket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = Self::ALL
            .iter()
            .find(|(b, _)| b == self)
            .map_or("", |(_, t)| t);
        f.write_str(text)
    }
}

/// A spot in a file; line and column are counted from 1.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// Name of the file.
    pub file: String,
    /// Line.
    pub line: u32,
    /// Column, in characters.
    pub column: u32,
}

/// How values of a KPI combine, computed from its parts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Additivity {
    /// Values of disjoint sets of rows add up.
    Additive,
    /// The parts add up, the value does not.
    Ratio,
    /// Histograms merge; the value is read from the merged one.
    Histogram,
    /// Min and max merge, but nothing can be taken away again.
    Extreme,
    /// Sets of ids merge; numbers of them do not.
    Distinct,
    /// Adds over entities, not over time.
    SemiAdditive,
    /// Sums by moments or stretches merge, and the greatest of them is taken after that.
    Peak,
    /// Each model is merged on shared dimensions first.
    CrossModel,
}

impl Agg {
    /// How states of this aggregate combine.
    pub const fn additivity(self) -> Additivity {
        match self {
            Self::CountIf | Self::Sum => Additivity::Additive,
            Self::Histogram => Additivity::Histogram,
            Self::Min | Self::Max => Additivity::Extreme,
            Self::Distinct => Additivity::Distinct,
            Self::LastByTime | Self::MaxLastByTime | Self::TimeWeighted => Additivity::SemiAdditive,
            Self::Peak | Self::PeakOpen => Additivity::Peak,
        }
    }
}

impl Kpi {
    /// What a whole definition has and this one does not, though it works without.
    pub fn remarks(&self) -> Vec<String> {
        let title = |language: &&str| {
            format!("there is no {language} title: another language is shown instead")
        };
        let mut remarks: Vec<String> = self.title.missing.iter().map(title).collect();
        if self.source.basis.trim().is_empty() {
            let text = "there is no `source`: say whose definition it is";
            remarks.push(text.to_owned());
        }
        remarks
    }

    /// The model of a measured KPI.
    pub fn model(&self) -> Option<&str> {
        self.measured().map(|m| m.model.as_str())
    }

    /// The time column of a measured KPI.
    pub fn time(&self) -> Option<&str> {
        self.measured().map(|m| m.time.as_str())
    }

    /// The row conditions; none for a derived KPI.
    pub fn filters(&self) -> &[String] {
        self.measured().map_or(&[], |m| &m.filters)
    }

    /// The parts; none for a derived KPI.
    pub fn parts(&self) -> &[Part] {
        self.measured().map_or(&[], |m| &m.parts)
    }

    /// The part of that name.
    pub fn part(&self, name: &str) -> Option<&Part> {
        self.parts().iter().find(|p| p.name == name)
    }

    /// The input ids; none for a measured KPI.
    pub fn inputs(&self) -> &[String] {
        match &self.kind {
            Kind::Derived(derived) => &derived.inputs,
            Kind::Measured(_) => &[],
        }
    }

    /// Over more time than this it has no value, in milliseconds, if there is such a length.
    pub fn longest_ms(&self) -> Option<i64> {
        match &self.kind {
            Kind::Derived(derived) => derived.longest_ms,
            Kind::Measured(_) => None,
        }
    }

    /// The measured half, if it is one.
    pub fn measured(&self) -> Option<&Measured> {
        match &self.kind {
            Kind::Measured(measured) => Some(measured),
            Kind::Derived(_) => None,
        }
    }

    /// Is the value the plain quotient of two counts of rows, a ratio? Whether the upper one is a
    /// part of the lower one is known only of a result.
    pub fn is_proportion(&self) -> bool {
        let count = |value: &Value| match value {
            Value::Part(name) => self.part(name).is_some_and(|p| p.agg == Agg::CountIf),
            _ => false,
        };
        let quotient = match &self.value {
            Value::Div(hits, n) => count(hits) && count(n),
            _ => false,
        };
        quotient && self.unit.kind == UnitKind::Ratio
    }

    /// How values of this KPI combine.
    pub fn additivity(&self) -> Additivity {
        let Kind::Measured(measured) = &self.kind else {
            return Additivity::CrossModel;
        };
        let has = |class| measured.parts.iter().any(|p| p.agg.additivity() == class);
        let inherent = [
            Additivity::Peak,
            Additivity::Distinct,
            Additivity::Extreme,
            Additivity::Histogram,
            Additivity::SemiAdditive,
        ];
        match inherent.into_iter().find(|class| has(*class)) {
            Some(class) => class,
            None if self.value.is_linear() => Additivity::Additive,
            None => Additivity::Ratio,
        }
    }

    /// The parameters as they are in force: overrides first, then rules, then defaults.
    ///
    /// An override of another type than the parameter's is ignored: [`Param::parse`] makes one.
    pub fn params_in_force(
        &self,
        overrides: &BTreeMap<String, ParamValue>,
    ) -> BTreeMap<String, ParamInForce> {
        crate::param::resolve(&self.params, overrides)
    }
}
