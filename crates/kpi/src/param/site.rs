//! `params.yml`: values of parameters at a site, for some queues or channels, from some time on.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use events::UtcMicros;
use serde::Deserialize;

use super::{Param, ParamRule, ParamValue};
use crate::catalogue::Catalogue;
use crate::definition::{Kpi, Place};
use crate::matches::matches;
use crate::place::{At, InFile, Named, Scalar, places_in};
use crate::problem::Problem;
use crate::read::{SourceFile, read};
use crate::targets::{Refusal, known_kpi, refused, validity};
use crate::words;

/// Values change at these moments only, so that every bucket lies on one side.
const BOUNDARY_US: i64 = 15 * 60 * 1_000_000;

/// A list of entries.
#[derive(Debug, Deserialize)]
#[serde(transparent)]
struct ParamsFile(Vec<At<RawEntry>>);

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawEntry {
    kpi: At<String>,
    #[serde(rename = "where")]
    matches: Option<Named<Scalar>>,
    valid_from: Option<At<Scalar>>,
    valid_to: Option<At<Scalar>>,
    params: Named<Scalar>,
}

places_in!(RawEntry: kpi, matches, valid_from, valid_to, params);

impl InFile for ParamsFile {
    fn set_file(&mut self, file: usize) {
        self.0.set_file(file);
    }
}

/// By KPI: the rules of its parameters, the strongest first.
pub(crate) type Rules = BTreeMap<String, Vec<Rule>>;

/// A rule of one parameter of one KPI.
pub(crate) struct Rule {
    /// The parameter.
    pub param: String,
    /// How many steps up in its family the KPI is that the entry names: 0 is the KPI itself.
    steps: usize,
    /// What holds for which rows.
    pub rule: ParamRule,
}

/// For which rows an entry holds.
struct Scope {
    matches: BTreeMap<String, String>,
    from: Option<UtcMicros>,
    to: Option<UtcMicros>,
    place: Place,
}

/// What the files of `layers` say about the parameters of a catalogue: see
/// [`Catalogue::with_params`].
pub(crate) fn apply(kpis: &Catalogue, layers: &[Vec<SourceFile>]) -> Result<Rules, Vec<Problem>> {
    let (mut rules, mut problems) = (Rules::new(), Vec::new());
    for source in layers.iter().flatten() {
        let entries = match read::<ParamsFile>(source, 0) {
            Ok(file) => file.0,
            Err(problem) => {
                problems.push(problem);
                continue;
            }
        };
        for entry in &entries {
            match rules_of(source, entry, kpis) {
                Ok(found) => {
                    for (kpi, rule) in found {
                        rules.entry(kpi).or_default().push(rule);
                    }
                }
                Err(refusal) => problems.push(refused(&source.name, &entry.kpi, refusal)),
            }
        }
    }
    if !problems.is_empty() {
        return Err(problems);
    }
    for all in rules.values_mut() {
        // The strongest first: what names the KPI itself or is nearer to it in its family, of these
        // the most dimension values, of these the one read last.
        all.reverse();
        all.sort_by_key(|r| (r.steps, Reverse(r.rule.matches.len())));
    }
    Ok(rules)
}

/// What one entry says, by KPI.
fn rules_of(
    source: &SourceFile,
    entry: &At<RawEntry>,
    kpis: &Catalogue,
) -> Result<Vec<(String, Rule)>, Refusal> {
    let base = known_kpi(&entry.kpi, kpis)?;
    for (name, value) in &entry.params.0 {
        by_dimensions(entry, param_of(base, name, value)?)?;
    }
    let scope = scope(source, entry)?;
    let mut rules = Vec::new();
    for (name, value) in &entry.params.0 {
        let param = param_of(base, name, value)?;
        let text = value.to_string();
        let value = param
            .parse(&text)
            .map_err(|message| (value.pos, message, String::new()))?;
        for kpi in kpis.iter() {
            if let Some(steps) = takes_over(kpi, base, param, kpis) {
                let (param, rule) = (name.clone(), scope.rule(value.clone()));
                rules.push((kpi.id.clone(), Rule { param, steps, rule }));
            }
        }
    }
    if rules.is_empty() {
        let hint = "name at least one, as `params: { threshold: 60s }`";
        return Err((
            entry.kpi.pos,
            "no parameter is set".to_owned(),
            hint.to_owned(),
        ));
    }
    Ok(rules)
}

impl Scope {
    fn rule(&self, value: ParamValue) -> ParamRule {
        ParamRule {
            matches: self.matches.clone(),
            valid_from: self.from,
            valid_to: self.to,
            value,
            place: self.place.clone(),
        }
    }
}

fn scope(source: &SourceFile, entry: &At<RawEntry>) -> Result<Scope, Refusal> {
    let (from, to) = validity(
        &entry.kpi,
        entry.valid_from.as_ref(),
        entry.valid_to.as_ref(),
    )?;
    for (raw, at) in [(&entry.valid_from, from), (&entry.valid_to, to)] {
        if let (Some(raw), Some(at)) = (raw, at)
            && at.0 % BOUNDARY_US != 0
        {
            let hint = "the last quarter of an hour before, or the next one";
            let message = format!(
                "a value cannot change at `{}`, inside of a bucket",
                raw.value
            );
            return Err((raw.pos, message, hint.to_owned()));
        }
    }
    Ok(Scope {
        matches: matches(source, entry.matches.as_ref())?,
        from,
        to,
        place: Place {
            file: source.name.clone(),
            line: entry.pos.line,
            column: entry.pos.column,
        },
    })
}

fn param_of<'a>(kpi: &'a Kpi, name: &str, value: &At<Scalar>) -> Result<&'a Param, Refusal> {
    let found = kpi.params.iter().find(|p| p.name == name);
    found.ok_or_else(|| {
        let hint = if kpi.measured().is_none() && kpi.params.is_empty() {
            format!("it is made of other KPIs: {}", kpi.inputs().join(", "))
        } else {
            let known = kpi.params.iter().map(|p| p.name.as_str());
            words::suggest(name, known, "its parameters")
        };
        let message = format!("the KPI has no parameter `{name}`");
        (value.pos, message, hint)
    })
}

fn by_dimensions(entry: &RawEntry, param: &Param) -> Result<(), Refusal> {
    for (dimension, value) in entry.matches.iter().flat_map(|m| &m.0) {
        if !param.by.contains(dimension) {
            let known = param.by.iter().map(String::as_str);
            let hint = words::suggest(dimension, known, "it may differ by");
            let message = format!("`{}` does not differ by `{dimension}`", param.name);
            return Err((value.pos, message, hint));
        }
    }
    Ok(())
}

/// Does an entry about `base` hold for this KPI too, and how many steps is that up its family? For
/// the base itself, and for its variants unless another value of the parameter is what makes them
/// variants.
fn takes_over(kpi: &Kpi, base: &Kpi, param: &Param, kpis: &Catalogue) -> Option<usize> {
    if kpi.id == base.id {
        return Some(0);
    }
    let same = |p: &Param| p.name == param.name && p.default == param.default && p.by == param.by;
    if !kpi.params.iter().any(same) {
        return None;
    }
    let up = |k: &&Kpi| k.variant_of.as_deref().and_then(|id| kpis.get(id));
    // Bounded: overrides that extend each other's variants make a family that goes round.
    std::iter::successors(Some(kpi), up)
        .take(kpis.iter().count())
        .position(|k| k.id == base.id)
}
