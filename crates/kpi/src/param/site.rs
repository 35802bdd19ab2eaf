//! `params.yml`: values of parameters at a site, for some queues or channels, from some time on.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use events::UtcMicros;
use serde::Deserialize;

use super::{Param, ParamRule, ParamValue};
use crate::catalogue::Catalogue;
use crate::definition::{Kpi, Place};
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

/// By KPI: a parameter's name and a rule of it, the strongest first.
pub(crate) type Rules = BTreeMap<String, Vec<(String, ParamRule)>>;

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
            match rules_of(&source.name, entry, kpis) {
                Ok(found) => {
                    for (kpi, param, rule) in found {
                        rules.entry(kpi).or_default().push((param, rule));
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
        // The strongest first: the most dimension values, of these the one read last.
        all.reverse();
        all.sort_by_key(|(_, rule)| Reverse(rule.matches.len()));
    }
    Ok(rules)
}

/// What one entry says: KPI, parameter, rule.
fn rules_of(
    file: &str,
    entry: &At<RawEntry>,
    kpis: &Catalogue,
) -> Result<Vec<(String, String, ParamRule)>, Refusal> {
    let kpi = known_kpi(&entry.kpi, kpis)?;
    let scope = scope(file, entry)?;
    let mut rules = Vec::new();
    for (name, value) in &entry.params.0 {
        let param = param_of(kpi, name, value)?;
        by_dimensions(entry, param)?;
        let text = value.to_string();
        let value = param
            .parse(&text)
            .map_err(|message| (value.pos, message, String::new()))?;
        for kpi in kpis.iter().filter(|k| takes_over(k, kpi, param, kpis)) {
            let rule = scope.rule(value.clone());
            rules.push((kpi.id.clone(), name.clone(), rule));
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

fn scope(file: &str, entry: &At<RawEntry>) -> Result<Scope, Refusal> {
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
    let named = entry.matches.iter().flat_map(|m| &m.0);
    Ok(Scope {
        matches: named
            .map(|(name, value)| (name.clone(), value.to_string()))
            .collect(),
        from,
        to,
        place: Place {
            file: file.to_owned(),
            line: entry.pos.line,
            column: entry.pos.column,
        },
    })
}

fn param_of<'a>(kpi: &'a Kpi, name: &str, value: &At<Scalar>) -> Result<&'a Param, Refusal> {
    let found = kpi.params.iter().find(|p| p.name == name);
    found.ok_or_else(|| {
        let hint = if kpi.measured().is_none() {
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

/// Does an entry about `base` hold for this KPI too? For the base itself, and for its variants
/// unless another value of the parameter is what makes them variants.
fn takes_over(kpi: &Kpi, base: &Kpi, param: &Param, kpis: &Catalogue) -> bool {
    let same = |p: &Param| p.name == param.name && p.default == param.default && p.by == param.by;
    let is_of_family = || {
        let up = |k: &&Kpi| k.variant_of.as_deref().and_then(|id| kpis.get(id));
        std::iter::successors(Some(kpi), up).any(|k| k.id == base.id)
    };
    kpi.id == base.id || (kpi.params.iter().any(same) && is_of_family())
}
