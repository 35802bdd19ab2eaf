//! A KPI as the catalogue tells it to other programs: everything its definition says.

use std::collections::BTreeMap;

use kpi::{Catalogue, Empty, Kpi, Param, ParamDefault, Targets};
use schemars::JsonSchema;
use serde::Serialize;

use super::{agg, lifecycle, limit, maturity, replaced_by, snake, steps_of};
use crate::Views;

/// One KPI.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct KpiEntry {
    /// Id: SQL column and URL segment.
    pub kpi: String,
    /// Rises when any number can change.
    pub version: u32,
    /// Hash of everything that can change a number.
    pub definition_hash: String,
    /// By language: `en`, `zh-CN`, `zh-TW`.
    pub title: BTreeMap<&'static str, String>,
    /// Other names.
    pub aliases: Vec<String>,
    /// Where it is listed.
    pub group: String,
    /// What it tells and what it leaves out.
    pub description: String,
    /// The definition in words.
    pub formula: String,
    /// Whose definition it is.
    pub basis: String,
    /// Requirements that ask for it.
    pub seeds: Vec<String>,
    /// `draft`, `certified` or `deprecated`.
    pub status: &'static str,
    /// What to use instead of a deprecated one.
    pub replaced_by: Option<String>,
    /// The KPI it was derived from.
    pub variant_of: Option<String>,
    /// The model that is measured; none if it is made of other KPIs.
    pub model: Option<String>,
    /// What one row of the model is.
    pub grain: Option<String>,
    /// Which moment decides the bucket: `cohort`, `event` or `spread`.
    pub clock: Option<&'static str>,
    /// The column of that moment.
    pub time_column: Option<String>,
    /// The KPIs it is made of.
    pub inputs: Vec<String>,
    /// Conditions of rows, as SQL.
    pub filters: Vec<String>,
    /// The value over parts or inputs.
    pub value: String,
    /// What is summed, counted, collected.
    pub parts: Vec<PartEntry>,
    /// What may be set.
    pub params: Vec<ParamEntry>,
    /// What nothing is: `zero` or `no_value`.
    pub empty: &'static str,
    /// From when a row counts.
    pub maturity: String,
    /// Are its rows a sample? Then values have their interval at 95 % beside them.
    pub sample: bool,
    /// What it may be split and filtered by.
    pub dimensions: Vec<String>,
    /// All bucket sizes it has, smallest first.
    pub grains: Vec<String>,
    /// The bucket size that is usual.
    pub usual_grain: String,
    /// How values of it combine.
    pub additivity: String,
    /// `ratio` (0 to 1), `count`, `ms`, `currency`, `points` or `number`.
    pub unit: &'static str,
    /// Where the currency of money comes from.
    pub unit_of: Option<String>,
    /// What people see behind the number: `%`, `s` ...
    pub shown_in: String,
    /// Digits behind the point that people see.
    pub decimals: u8,
    /// Which way is better: `higher`, `lower`, `band` or `neutral`.
    pub direction: &'static str,
    /// What the definition itself aims at, in the unit of the value.
    pub target: Option<f64>,
    /// Limit of good.
    pub good: Option<String>,
    /// Limit of warning; beyond it is bad.
    pub warn: Option<String>,
    /// With a smaller denominator nothing is judged.
    pub min_n: Option<u64>,
    /// Targets for some dimension values or times, which go before the definition's.
    pub targets: Vec<TargetEntry>,
    /// The way from the KPI to the columns of the facts.
    pub lineage: Vec<LineageStep>,
}

/// One part.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct PartEntry {
    /// Its name in `value`.
    pub part: String,
    /// The aggregate: `count_if`, `sum`, `histogram` ...
    pub agg: &'static str,
    /// SQL over one row of the model.
    pub expr: String,
    /// The columns that it reads.
    pub columns: Vec<String>,
    /// The parameters that it reads.
    pub params: Vec<String>,
}

/// One parameter.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct ParamEntry {
    /// Its name.
    pub name: String,
    /// `duration`, `integer`, `number` or `text`.
    pub kind: String,
    /// What it is when nothing is said.
    pub default: String,
    /// Dimensions that it may differ by.
    pub by: Vec<String>,
    /// Other values for some rows; of those that fit a row the first holds.
    pub rules: Vec<ParamRuleEntry>,
    /// What it is.
    pub description: String,
}

/// Another value of a parameter for some rows.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct ParamRuleEntry {
    /// Dimension values that a row must have.
    pub dimensions: BTreeMap<String, String>,
    /// From this moment on.
    pub valid_from: Option<String>,
    /// Up to and without this moment.
    pub valid_to: Option<String>,
    /// The value.
    pub value: String,
}

/// One entry of a targets file.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct TargetEntry {
    /// Dimension values that a result must have.
    pub dimensions: BTreeMap<String, String>,
    /// From this moment on.
    pub valid_from: Option<String>,
    /// Up to and without this moment.
    pub valid_to: Option<String>,
    /// The target; none says that there is none here.
    pub target: Option<f64>,
    /// Limit of good.
    pub good: Option<String>,
    /// Limit of warning.
    pub warn: Option<String>,
}

/// One step of the way from a KPI to a column of a fact table.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema)]
pub struct LineageStep {
    /// The KPI.
    #[serde(skip)]
    pub kpi: String,
    /// The KPI itself, or one it is made of.
    pub input: String,
    /// The part; none where a filter or the time reads the column.
    pub part: Option<String>,
    /// `part`, `filter` or `time`.
    pub role: &'static str,
    /// The model.
    pub model: String,
    /// Its column.
    pub model_column: String,
    /// The fact table.
    pub fact_table: String,
    /// Its column.
    pub fact_column: String,
}

/// All KPIs, in the order of the catalogue.
pub(crate) fn entries(catalogue: &Catalogue, targets: &Targets, views: &Views) -> Vec<KpiEntry> {
    let entry = |kpi| entry(kpi, catalogue, targets, views);
    catalogue.iter().map(entry).collect()
}

fn entry(kpi: &Kpi, catalogue: &Catalogue, targets: &Targets, views: &Views) -> KpiEntry {
    let measured = kpi.measured();
    let grains = kpi::Bucket::ALL
        .iter()
        .filter(|(b, _)| *b >= kpi.buckets.min);
    KpiEntry {
        kpi: kpi.id.clone(),
        version: kpi.version,
        definition_hash: kpi.hash.clone(),
        title: titles(kpi),
        aliases: kpi.aliases.clone(),
        group: kpi.group.clone(),
        description: kpi.description.clone(),
        formula: kpi.formula.clone(),
        basis: kpi.source.basis.clone(),
        seeds: kpi.source.seeds.clone(),
        status: lifecycle(&kpi.status),
        replaced_by: replaced_by(kpi),
        variant_of: kpi.variant_of.clone(),
        model: kpi.model().map(str::to_owned),
        grain: measured.map(|m| m.grain.clone()),
        clock: measured.map(|m| m.clock.word()),
        time_column: kpi.time().map(str::to_owned),
        inputs: kpi.inputs().to_vec(),
        filters: kpi.filters().to_vec(),
        value: kpi.value.to_string(),
        parts: kpi.parts().iter().map(part).collect(),
        params: kpi.params.iter().map(param).collect(),
        empty: if kpi.empty == Empty::Zero {
            "zero"
        } else {
            "no_value"
        },
        maturity: maturity(&kpi.maturity),
        sample: kpi.sample,
        dimensions: kpi.dimensions.clone(),
        grains: grains.map(|(_, text)| (*text).to_owned()).collect(),
        usual_grain: kpi.buckets.default.to_string(),
        additivity: snake(&format!("{:?}", kpi.additivity())),
        unit: kpi.unit.kind.word(),
        unit_of: kpi.unit.of.clone(),
        shown_in: kpi.unit.show.suffix.clone(),
        decimals: kpi.unit.show.decimals,
        direction: kpi.direction.word(),
        target: kpi.target,
        good: kpi.thresholds.good.map(limit),
        warn: kpi.thresholds.warn.map(limit),
        min_n: kpi.thresholds.min_n,
        targets: targets
            .iter()
            .filter(|t| t.kpi == kpi.id)
            .map(target)
            .collect(),
        lineage: lineage(kpi, catalogue, views),
    }
}

fn titles(kpi: &Kpi) -> BTreeMap<&'static str, String> {
    let title = &kpi.title;
    let texts = [
        ("en", &title.en),
        ("zh-CN", &title.zh_cn),
        ("zh-TW", &title.zh_tw),
    ];
    texts.map(|(lang, text)| (lang, text.clone())).into()
}

fn part(part: &kpi::Part) -> PartEntry {
    PartEntry {
        part: part.name.clone(),
        agg: agg(part.agg),
        expr: part.expr.clone(),
        columns: part.columns.clone(),
        params: part.params.clone(),
    }
}

fn param(param: &Param) -> ParamEntry {
    ParamEntry {
        name: param.name.clone(),
        kind: snake(&format!("{:?}", param.kind)),
        default: match &param.default {
            ParamDefault::Value(value) => value.to_string(),
            ParamDefault::SameAs(other) => format!("that of {other}"),
        },
        by: param.by.clone(),
        rules: param.rules.iter().map(rule).collect(),
        description: param.description.clone(),
    }
}

fn rule(rule: &kpi::ParamRule) -> ParamRuleEntry {
    ParamRuleEntry {
        dimensions: rule.matches.clone(),
        valid_from: rule.valid_from.map(|at| at.to_string()),
        valid_to: rule.valid_to.map(|at| at.to_string()),
        value: rule.value.to_string(),
    }
}

fn target(target: &kpi::Target) -> TargetEntry {
    TargetEntry {
        dimensions: target.matches.clone(),
        valid_from: target.valid_from.map(|at| at.to_string()),
        valid_to: target.valid_to.map(|at| at.to_string()),
        target: target.target,
        good: target.good.map(limit),
        warn: target.warn.map(limit),
    }
}

fn lineage(kpi: &Kpi, catalogue: &Catalogue, views: &Views) -> Vec<LineageStep> {
    let inputs = catalogue.inputs_of(kpi).into_iter();
    let mut steps: Vec<_> = inputs
        .flat_map(|input| steps_of(kpi, input, views))
        .collect();
    steps.sort();
    steps.dedup();
    steps
}
