//! Tables that tell about the KPIs: `kpi.catalog`, `kpi.parts`, `kpi.lineage`, `kpi.targets`.
//!
//! They are made from the definitions alone, so they never disagree with the numbers.

pub(crate) mod columns;
mod entry;

use std::collections::BTreeSet;
use std::sync::Arc;

use datafusion::catalog::TableProvider;
use kpi::{Agg, Catalogue, Empty, Kind, Kpi, Lifecycle, Limit, Maturity, Targets, Window, rowsql};

use crate::{EngineError, Views};
use columns::Columns;
pub(crate) use entry::entries;
pub use entry::{KpiEntry, LineageStep, ParamEntry, ParamRuleEntry, PartEntry, TargetEntry};

/// Tables with their names in schema `kpi`.
pub(crate) type NamedTables = Vec<(&'static str, Arc<dyn TableProvider>)>;

/// The tables by name.
pub(crate) fn metadata_tables(
    catalogue: &Catalogue,
    targets: &Targets,
    views: &Views,
) -> Result<NamedTables, EngineError> {
    Ok(vec![
        ("catalog", catalog(catalogue).table()?),
        ("parts", parts(catalogue).table()?),
        ("lineage", lineage(catalogue, views).table()?),
        ("targets", self::targets(targets).table()?),
    ])
}

/// One row a KPI.
fn catalog(catalogue: &Catalogue) -> Columns {
    let all: Vec<&Kpi> = catalogue.iter().collect();
    let mut columns = Columns::default();
    add_identity(&mut columns, &all);
    add_definition(&mut columns, &all);
    add_presentation(&mut columns, &all);
    columns
}

fn add_identity(columns: &mut Columns, all: &[&Kpi]) {
    let text = |of: fn(&Kpi) -> &str| all.iter().map(|k| Some(of(k).to_owned())).collect();
    let some = |of: fn(&Kpi) -> Option<String>| all.iter().map(|k| of(k)).collect();
    let int = |of: fn(&Kpi) -> u32| all.iter().map(|k| Some(i64::from(of(k)))).collect();
    columns.text("kpi", text(|k| &k.id));
    columns.int("version", int(|k| k.version));
    columns.text("title", text(|k| &k.title.en));
    columns.text("title_zh_cn", text(|k| &k.title.zh_cn));
    columns.text("title_zh_tw", text(|k| &k.title.zh_tw));
    columns.texts("aliases", all.iter().map(|k| k.aliases.clone()).collect());
    columns.text("kpi_group", text(|k| &k.group));
    columns.text("description", text(|k| &k.description));
    columns.text("formula", text(|k| &k.formula));
    columns.text("status", text(|k| lifecycle(&k.status)));
    columns.text("replaced_by", some(replaced_by));
    columns.text("variant_of", some(|k| k.variant_of.clone()));
    columns.text("definition_hash", text(|k| &k.hash));
    columns.text("basis", text(|k| &k.source.basis));
    columns.texts(
        "seeds",
        all.iter().map(|k| k.source.seeds.clone()).collect(),
    );
    columns.text("file", text(|k| &k.place.file));
    columns.int("line", int(|k| k.place.line));
}

fn add_definition(columns: &mut Columns, all: &[&Kpi]) {
    let some = |of: fn(&Kpi) -> Option<String>| all.iter().map(|k| of(k)).collect();
    let list = |of: fn(&Kpi) -> &[String]| all.iter().map(|k| of(k).to_vec()).collect();
    let empty = |k: &Kpi| {
        if k.empty == Empty::Zero {
            "zero"
        } else {
            "no_value"
        }
    };
    columns.text("model", some(|k| k.model().map(str::to_owned)));
    columns.text("grain", some(|k| k.measured().map(|m| m.grain.clone())));
    columns.text(
        "clock",
        some(|k| Some(k.measured()?.clock.word().to_owned())),
    );
    columns.text("time_column", some(|k| k.time().map(str::to_owned)));
    columns.texts("inputs", list(Kpi::inputs));
    columns.texts("filters", list(Kpi::filters));
    columns.text("value", some(|k| Some(k.value.to_string())));
    columns.texts("params", all.iter().map(|k| params(k)).collect());
    columns.text(
        "empty",
        all.iter().map(|k| Some(empty(k).to_owned())).collect(),
    );
    columns.text("maturity", some(|k| Some(maturity(&k.maturity))));
    columns.bool("sample", all.iter().map(|k| Some(k.sample)).collect());
    columns.texts("dimensions", list(|k| &k.dimensions));
    columns.text("smallest_bucket", some(|k| Some(k.buckets.min.to_string())));
    columns.text(
        "usual_bucket",
        some(|k| Some(k.buckets.default.to_string())),
    );
    columns.text(
        "additivity",
        some(|k| Some(snake(&format!("{:?}", k.additivity())))),
    );
}

fn add_presentation(columns: &mut Columns, all: &[&Kpi]) {
    let text = |of: fn(&Kpi) -> &str| all.iter().map(|k| Some(of(k).to_owned())).collect();
    let some = |of: fn(&Kpi) -> Option<String>| all.iter().map(|k| of(k)).collect();
    let least = |k: &&Kpi| k.thresholds.min_n.and_then(|n| i64::try_from(n).ok());
    columns.text("unit", text(|k| k.unit.kind.word()));
    columns.text("unit_of", some(|k| k.unit.of.clone()));
    columns.text("shown_in", text(|k| &k.unit.show.suffix));
    columns.text("direction", text(|k| k.direction.word()));
    columns.number("target", all.iter().map(|k| k.target).collect());
    columns.text("good", some(|k| k.thresholds.good.map(limit)));
    columns.text("warn", some(|k| k.thresholds.warn.map(limit)));
    columns.int("min_n", all.iter().map(least).collect());
}

/// One row a part of a measured KPI.
fn parts(catalogue: &Catalogue) -> Columns {
    let all: Vec<(&Kpi, usize, &kpi::Part)> = catalogue
        .iter()
        .flat_map(|k| {
            k.parts()
                .iter()
                .enumerate()
                .map(move |(i, part)| (k, i, part))
        })
        .collect();
    let mut columns = Columns::default();
    columns.text(
        "kpi",
        all.iter().map(|(k, ..)| Some(k.id.clone())).collect(),
    );
    columns.int(
        "position",
        all.iter().map(|(_, i, _)| Some(*i as i64 + 1)).collect(),
    );
    columns.text(
        "part",
        all.iter().map(|(.., p)| Some(p.name.clone())).collect(),
    );
    columns.text(
        "model",
        all.iter()
            .map(|(k, ..)| k.model().map(str::to_owned))
            .collect(),
    );
    columns.text(
        "agg",
        all.iter()
            .map(|(.., p)| Some(agg(p.agg).to_owned()))
            .collect(),
    );
    columns.text(
        "expr",
        all.iter().map(|(.., p)| Some(p.expr.clone())).collect(),
    );
    let per = |p: &kpi::Part| p.per.as_ref().map(ToString::to_string);
    columns.text("per", all.iter().map(|(.., p)| per(p)).collect());
    columns.texts(
        "columns",
        all.iter().map(|(.., p)| p.columns.clone()).collect(),
    );
    columns.texts(
        "params",
        all.iter().map(|(.., p)| p.params.clone()).collect(),
    );
    columns
}

/// KPI -> input -> part -> column of the model -> column of the fact. `role` is `part`, `filter`
/// or `time`; `input` is the KPI itself unless it is made of others.
fn lineage(catalogue: &Catalogue, views: &Views) -> Columns {
    let mut steps = BTreeSet::new();
    for kpi in catalogue.iter() {
        for input in catalogue.inputs_of(kpi) {
            steps.extend(steps_of(kpi, input, views));
        }
    }
    let mut columns = Columns::default();
    let text =
        |of: fn(&LineageStep) -> &str| steps.iter().map(|s| Some(of(s).to_owned())).collect();
    columns.text("kpi", text(|s| &s.kpi));
    columns.text("input", text(|s| &s.input));
    columns.text("part", steps.iter().map(|s| s.part.clone()).collect());
    columns.text("role", text(|s| s.role));
    columns.text("model", text(|s| &s.model));
    columns.text("model_column", text(|s| &s.model_column));
    columns.text("fact_table", text(|s| &s.fact_table));
    columns.text("fact_column", text(|s| &s.fact_column));
    columns
}

fn steps_of(kpi: &Kpi, input: &Kpi, views: &Views) -> Vec<LineageStep> {
    let Kind::Measured(measured) = &input.kind else {
        return Vec::new();
    };
    let mut used: Vec<(Option<&str>, &'static str, String)> = Vec::new();
    for part in &measured.parts {
        used.extend(
            part.columns
                .iter()
                .map(|c| (Some(part.name.as_str()), "part", c.clone())),
        );
    }
    for filter in &measured.filters {
        let names = rowsql::used(filter).map_or(Vec::new(), |u| u.column_names());
        used.extend(names.into_iter().map(|c| (None, "filter", c)));
    }
    used.push((None, "time", measured.time.clone()));
    let mut steps = Vec::new();
    for (part, role, column) in used {
        for (fact_table, fact_column) in facts_of(&measured.model, &column, views) {
            steps.push(LineageStep {
                kpi: kpi.id.clone(),
                input: input.id.clone(),
                part: part.map(str::to_owned),
                role,
                model: measured.model.clone(),
                model_column: column.clone(),
                fact_table,
                fact_column,
            });
        }
    }
    steps
}

/// A column whose name is also a KPI's is not shown by the view; the fact has it.
fn facts_of(model: &str, column: &str, views: &Views) -> Vec<(String, String)> {
    let found = views.model(model).map_or(Vec::new(), |m| m.lineage(column));
    if found.is_empty() {
        vec![(model.to_owned(), column.to_owned())]
    } else {
        found
    }
}

/// One row an entry of the targets files, as they hold now.
fn targets(targets: &Targets) -> Columns {
    let all: Vec<&kpi::Target> = targets.iter().collect();
    let mut columns = Columns::default();
    columns.text("kpi", all.iter().map(|t| Some(t.kpi.clone())).collect());
    let matches = |t: &&kpi::Target| -> Vec<String> {
        t.matches
            .iter()
            .map(|(dimension, value)| format!("{dimension}={value}"))
            .collect()
    };
    columns.texts("dimensions", all.iter().map(matches).collect());
    columns.time("valid_from", all.iter().map(|t| t.valid_from).collect());
    columns.time("valid_to", all.iter().map(|t| t.valid_to).collect());
    columns.number("target", all.iter().map(|t| t.target).collect());
    columns.text("good", all.iter().map(|t| t.good.map(limit)).collect());
    columns.text("warn", all.iter().map(|t| t.warn.map(limit)).collect());
    columns.text(
        "file",
        all.iter().map(|t| Some(t.place.file.clone())).collect(),
    );
    columns.int(
        "line",
        all.iter().map(|t| Some(i64::from(t.place.line))).collect(),
    );
    columns
}

fn lifecycle(status: &Lifecycle) -> &'static str {
    match status {
        Lifecycle::Draft => "draft",
        Lifecycle::Certified => "certified",
        Lifecycle::Deprecated { .. } => "deprecated",
    }
}

fn replaced_by(kpi: &Kpi) -> Option<String> {
    match &kpi.status {
        Lifecycle::Deprecated { replaced_by } => Some(replaced_by.clone()),
        _ => None,
    }
}

fn agg(agg: Agg) -> &'static str {
    match agg {
        Agg::CountIf => "count_if",
        Agg::Sum => "sum",
        Agg::Min => "min",
        Agg::Max => "max",
        Agg::Distinct => "distinct",
        Agg::Histogram => "histogram",
        Agg::LastByTime => "last_by_time",
        Agg::MaxLastByTime => "max_last_by_time",
        Agg::Peak => "peak",
        Agg::PeakOpen => "peak_open",
        Agg::TimeWeighted => "time_weighted",
    }
}

fn maturity(maturity: &Maturity) -> String {
    match maturity {
        Maturity::None => "none".to_owned(),
        Maturity::Posted => "posted".to_owned(),
        Maturity::Common => "common".to_owned(),
        Maturity::Window {
            column,
            window: Window::Param(name),
        } => format!("{column} + :{name}"),
        Maturity::Window {
            column,
            window: Window::Ms(ms),
        } => {
            format!("{column} + {}", kpi::duration_text(*ms))
        }
    }
}

fn limit(limit: Limit) -> String {
    match limit {
        Limit::At(at) => at.to_string(),
        Limit::Between(from, to) => format!("{from} to {to}"),
    }
}

fn params(kpi: &Kpi) -> Vec<String> {
    let mut all = Vec::new();
    for (name, param) in kpi.params_in_force(&Default::default()) {
        all.push(format!("{name}={}", param.value));
        let rules = param.rules.iter();
        all.extend(rules.map(|rule| format!("{name}={} where {}", rule.value, rule.when())));
    }
    all
}

/// `CrossModel` becomes `cross_model`.
fn snake(name: &str) -> String {
    let mut out = String::new();
    for c in name.chars() {
        if c.is_ascii_uppercase() && !out.is_empty() {
            out.push('_');
        }
        out.push(c.to_ascii_lowercase());
    }
    out
}
