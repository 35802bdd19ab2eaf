//! Stage one: a definition file as it is written. Every key is optional but `kpi`, because a
//! variant names only what differs; what is missing is found when the definition is whole.

use std::borrow::Cow;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::Deserialize;
use serde::de::{self, Deserializer, MapAccess, Visitor};

use crate::definition::{Agg, Clock, Direction, Empty, ParamKind, UnitKind};
use crate::place::{At, Named, Scalar, no_places, places_in};

/// A definition file: `format: 1` and a list of KPIs.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct KpiFile {
    /// Version of this file format: 1.
    pub format: At<u32>,
    /// The KPIs of the family.
    pub kpis: Vec<RawKpi>,
}

/// One KPI, or one variant of a KPI (which names only the keys that differ).
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawKpi {
    /// Id: the SQL column and URL segment, `^[a-z][a-z0-9_]{0,62}$`, never reused.
    pub kpi: At<String>,
    /// Rises when any number can change.
    pub version: Option<At<u32>>,
    /// "The same as that KPI, but": takes every key that is not named here from it.
    pub extends: Option<At<String>>,
    /// Replaces the KPI of the same id of an earlier layer.
    #[serde(rename = "override")]
    pub replaces: Option<At<bool>>,
    /// Allows an override to change unit or direction.
    pub breaking: Option<At<bool>>,
    /// What people call it.
    pub title: Option<At<RawTitle>>,
    /// Other names, found by search.
    pub aliases: Option<Vec<String>>,
    /// Where it is listed: customer, operations, workforce, quality, financial or a group of yours.
    pub group: Option<At<String>>,
    /// What it tells and what it leaves out.
    pub description: Option<At<String>>,
    /// The definition in words.
    pub formula: Option<At<String>>,
    /// Where the definition comes from.
    pub source: Option<At<RawSource>>,
    /// `draft`, `certified` (the default) or `deprecated`.
    pub status: Option<At<RawLifecycle>>,
    /// With `status: deprecated`: the id to use instead.
    pub replaced_by: Option<At<String>>,
    /// The fact model its rows come from.
    pub model: Option<At<String>>,
    /// What one row is.
    pub grain: Option<At<String>>,
    /// Which moment decides the bucket: when the item came in, ended, or each part of its time.
    pub clock: Option<At<Clock>>,
    /// The one column that decides the bucket.
    pub time: Option<At<String>>,
    /// Typed parameters of the expressions, or of `value` over other KPIs, as `:name`.
    pub params: Option<At<Named<RawParam>>>,
    /// Row conditions of every part.
    pub filters: Option<Vec<At<String>>>,
    /// The mergeable sums that the value is made of.
    pub parts: Option<At<Named<RawPart>>>,
    /// Scalar over parts; or over other KPIs, with parameters, `range_ms`, `baseline(input)` and
    /// functions.
    pub value: Option<At<String>>,
    /// The KPIs that `value` is made of, each aggregated apart.
    pub inputs: Option<Vec<At<String>>>,
    /// How the inputs are brought together.
    pub align: Option<At<RawAlign>>,
    /// What nothing is: `no_value` or `zero`.
    pub empty: Option<At<Empty>>,
    /// `none`, `posted`, or the column and window after which a row counts.
    pub maturity: Option<At<RawMaturity>>,
    /// Its rows are a sample, drawn from more: values are shown with their interval. For quotients
    /// of two counts.
    pub sample: Option<At<bool>>,
    /// Unit and how it is shown.
    pub unit: Option<At<RawUnit>>,
    /// Which way is better.
    pub direction: Option<At<Direction>>,
    /// Reference target, or null for none; dated ones stand in the targets file.
    #[serde(default, deserialize_with = "even_null")]
    pub target: Option<At<Scalar>>,
    /// Limits of good and warning, and the least denominator that is judged.
    pub thresholds: Option<At<RawThresholds>>,
    /// Columns it may be grouped by.
    pub dimensions: Option<Vec<At<String>>>,
    /// Smallest and usual time bucket.
    pub buckets: Option<At<RawBuckets>>,
    /// Columns shown beside the number; taken from the expressions if not given.
    pub supporting: Option<Vec<At<String>>>,
    /// Other ids that differ in the named keys only.
    pub variants: Option<Vec<RawKpi>>,
    /// Executable examples.
    pub examples: Option<Vec<At<RawExample>>>,
}

/// Titles by language.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawTitle {
    /// English.
    pub en: String,
    /// Simplified Chinese; English if not given.
    #[serde(rename = "zh-CN")]
    pub zh_cn: Option<String>,
    /// Traditional Chinese; simplified if not given.
    #[serde(rename = "zh-TW")]
    pub zh_tw: Option<String>,
}

/// Where a definition comes from.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawSource {
    /// Whose definition it is.
    pub basis: String,
    /// Requirement documents that ask for it.
    pub seeds: Option<Vec<String>>,
}

/// Life of a definition.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum RawLifecycle {
    /// May still change.
    Draft,
    /// Reviewed.
    Certified,
    /// Not for new use.
    Deprecated,
}

/// A parameter.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawParam {
    /// Its type.
    #[serde(rename = "type")]
    pub kind: ParamKind,
    /// Its default, or `:other` for "the same as".
    pub default: At<Scalar>,
    /// Least value.
    pub min: Option<At<Scalar>>,
    /// Greatest value.
    pub max: Option<At<Scalar>>,
    /// Dimensions that may override it.
    pub by: Option<Vec<At<String>>>,
    /// What it is.
    pub description: Option<String>,
}

/// A part: one row expression and one aggregate.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawPart {
    /// How rows become one number.
    pub agg: Agg,
    /// SQL over the columns of one row.
    pub expr: At<String>,
    /// Of `last_by_time` and `max_last_by_time`: the column that tells whose latest row counts. Of
    /// `peak`: how long the stretches are that are added up, such as `30m`.
    pub per: Option<At<String>>,
}

/// How the inputs of a derived KPI are brought together.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[expect(
    dead_code,
    reason = "one choice each: to name it is to say aloud what holds anyway"
)]
pub(crate) struct RawAlign {
    /// Buckets; those of the inputs if not given.
    pub buckets: Option<At<RawBuckets>>,
    /// `intersect`: only dimensions that all inputs have.
    pub dimensions: Option<AlignDimensions>,
    /// `common`: all inputs are cut to the range where all are mature.
    pub mature: Option<AlignMature>,
    /// A duration: over more time than this there is no value, and a note says so.
    pub longest: Option<At<Scalar>>,
}

/// Dimensions of a derived KPI.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum AlignDimensions {
    /// Only those that all inputs have.
    Intersect,
}

/// Maturity of a derived KPI.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum AlignMature {
    /// The range where all inputs are mature.
    Common,
}

/// Time buckets.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawBuckets {
    /// The smallest that makes sense: 15m, 30m, 1h, 1d, 1w, 1mo, 1q, 1y.
    pub min: At<String>,
    /// The usual one.
    pub default: At<String>,
}

/// Unit and presentation.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawUnit {
    /// What the value is; durations are milliseconds, ratios 0 to 1.
    pub kind: At<UnitKind>,
    /// For money: the currency column, or the input whose currency it is.
    pub of: Option<At<String>>,
    /// How it is shown: `0.0 %`, `0.0 s`, `0.00`.
    pub show: Option<At<String>>,
}

/// When a value is good, needs a look, or is not judged.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawThresholds {
    /// Limit of good; `[from, to]` for a band.
    pub good: Option<At<Scalar>>,
    /// Limit of warning; beyond it is bad.
    pub warn: Option<At<Scalar>>,
    /// With a smaller denominator nothing is judged.
    pub min_n: Option<At<u64>>,
}

/// `none`, `posted`, or a column and a window.
#[derive(Clone, Debug)]
pub(crate) enum RawMaturity {
    Word(String),
    Window(RawWindow),
}

/// A row counts once the horizon is past column + window.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawWindow {
    /// A time column.
    pub column: At<String>,
    /// A duration, or `:param`.
    pub window: At<Scalar>,
}

/// An executable example.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawExample {
    /// What it shows.
    pub name: At<String>,
    /// Rows of the KPI's model; `times` repeats a row, columns not named are neutral.
    pub rows: Option<Vec<At<Named<Scalar>>>>,
    /// Rows of several models.
    pub tables: Option<Named<Vec<At<Named<Scalar>>>>>,
    /// Values of the inputs of a derived KPI, instead of rows.
    pub inputs: Option<Named<Scalar>>,
    /// With `inputs`: the length of the time that they are of, as `30m`.
    pub range: Option<At<Scalar>>,
    /// With `inputs`: their values in the period compared with.
    pub baseline: Option<Named<Scalar>>,
    /// With `inputs`: their values in the control group.
    pub control: Option<Named<Scalar>>,
    /// With `inputs`: their values in the control group, in the period compared with.
    pub control_baseline: Option<Named<Scalar>>,
    /// Parameters that differ from their defaults.
    pub params: Option<Named<Scalar>>,
    /// Data are complete up to this moment.
    pub horizon: Option<At<String>>,
    /// Data begin at this moment.
    pub history_start: Option<At<String>>,
    /// The moment the question is asked; the horizon if not given.
    pub as_of: Option<At<String>>,
    /// Parts and KPI ids with their values: a number, `a/b`, or null for no value.
    pub expect: At<Named<Scalar>>,
}

/// `key: null` is something said, not nothing: a variant takes a target away with it.
fn even_null<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<At<Scalar>>, D::Error> {
    At::deserialize(deserializer).map(Some)
}

impl<'de> Deserialize<'de> for RawMaturity {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct WordOrWindow;
        impl<'de> Visitor<'de> for WordOrWindow {
            type Value = RawMaturity;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("none, posted or {column, window}")
            }
            fn visit_str<E: de::Error>(self, v: &str) -> Result<RawMaturity, E> {
                Ok(RawMaturity::Word(v.to_owned()))
            }
            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<RawMaturity, A::Error> {
                RawWindow::deserialize(de::value::MapAccessDeserializer::new(map))
                    .map(RawMaturity::Window)
            }
        }
        deserializer.deserialize_any(WordOrWindow)
    }
}

impl JsonSchema for RawMaturity {
    fn schema_name() -> Cow<'static, str> {
        "RawMaturity".into()
    }
    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let window = generator.subschema_for::<RawWindow>();
        schemars::json_schema!({
            "description": "none, posted, or the column and window after which a row counts",
            "anyOf": [{ "enum": ["none", "posted"] }, window],
        })
    }
}

no_places!(
    RawTitle,
    RawSource,
    RawLifecycle,
    ParamKind,
    Agg,
    Clock,
    Empty,
    Direction,
    UnitKind,
    AlignDimensions,
    AlignMature,
);
places_in!(KpiFile: format, kpis);
places_in!(RawKpi: kpi, version, extends, replaces, breaking, title, group, description, formula,
    source, status, replaced_by, model, grain, clock, time, params, filters, parts, value, inputs,
    align, empty, maturity, sample, unit, direction, target, thresholds, dimensions, buckets, supporting,
    variants, examples);
places_in!(RawParam: default, min, max, by);
places_in!(RawPart: expr, per);
places_in!(RawAlign: buckets, longest);
places_in!(RawBuckets: min, default);
places_in!(RawUnit: kind, of, show);
places_in!(RawThresholds: good, warn, min_n);
places_in!(RawWindow: column, window);
places_in!(RawExample: name, rows, tables, inputs, range, baseline, control, control_baseline, params,
    horizon, history_start, as_of, expect);

impl crate::place::InFile for RawMaturity {
    fn set_file(&mut self, file: usize) {
        if let Self::Window(window) = self {
            window.set_file(file);
        }
    }
}

/// The JSON Schema of definition files, for editors.
pub fn json_schema() -> Schema {
    schemars::schema_for!(KpiFile)
}
