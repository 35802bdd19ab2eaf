//! Targets and limits that hold for some dimension values and for some time.

use std::collections::BTreeMap;

use events::UtcMicros;
use schemars::JsonSchema;
use serde::Deserialize;

use crate::catalogue::Catalogue;
use crate::check::{agreement, limit, limit_value};
use crate::definition::{Kpi, Place};
use crate::matches::matches;
use crate::place::{At, InFile, Named, Pos, Scalar, places_in};
use crate::problem::Problem;
use crate::read::{SourceFile, read};
use crate::status::{Goal, Limit, Thresholds};
use crate::words;

/// One entry of a targets file.
#[derive(Clone, Debug, PartialEq)]
pub struct Target {
    /// The KPI.
    pub kpi: String,
    /// Dimension values that a result must have; none is "everywhere".
    pub matches: BTreeMap<String, String>,
    /// From this moment on.
    pub valid_from: Option<UtcMicros>,
    /// Up to and without this moment.
    pub valid_to: Option<UtcMicros>,
    /// The target; None says that there is none here.
    pub target: Option<f64>,
    /// Limit of good.
    pub good: Option<Limit>,
    /// Limit of warning.
    pub warn: Option<Limit>,
    /// Where it is written.
    pub place: Place,
}

/// All targets, later ones stronger.
#[derive(Clone, Debug, Default)]
pub struct Targets {
    all: Vec<Target>,
    by_kpi: BTreeMap<String, Vec<usize>>,
}

/// A targets file: a list of entries.
#[derive(Debug, Deserialize)]
#[serde(transparent)]
struct TargetsFile(Vec<At<RawTarget>>);

#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct RawTarget {
    kpi: At<String>,
    #[serde(rename = "where")]
    matches: Option<Named<Scalar>>,
    valid_from: Option<At<Scalar>>,
    valid_to: Option<At<Scalar>>,
    target: At<Scalar>,
    good: Option<At<Scalar>>,
    warn: Option<At<Scalar>>,
}

places_in!(RawTarget: kpi, matches, valid_from, valid_to, target, good, warn);

impl InFile for TargetsFile {
    fn set_file(&mut self, file: usize) {
        self.0.set_file(file);
    }
}

impl Targets {
    /// The shipped reference targets.
    ///
    /// # Errors
    /// If they do not fit the catalogue, because an override changed a KPI.
    pub fn builtin(catalogue: &Catalogue) -> Result<Self, Vec<Problem>> {
        Self::load(&[crate::builtin_targets()], catalogue)
    }

    /// Reads layers of targets files; where two entries fit equally well, the later one holds.
    ///
    /// # Errors
    /// Everything that is wrong, by file, line and column.
    pub fn load(layers: &[Vec<SourceFile>], catalogue: &Catalogue) -> Result<Self, Vec<Problem>> {
        let (mut targets, mut problems) = (Self::default(), Vec::new());
        for source in layers.iter().flatten() {
            let entries = match read::<TargetsFile>(source, 0) {
                Ok(file) => file.0,
                Err(problem) => {
                    problems.push(problem);
                    continue;
                }
            };
            for entry in entries {
                match target(source, &entry, catalogue) {
                    Ok(target) => targets.add(target),
                    Err(problem) => problems.push(problem),
                }
            }
        }
        if problems.is_empty() {
            Ok(targets)
        } else {
            Err(problems)
        }
    }

    fn add(&mut self, target: Target) {
        self.by_kpi
            .entry(target.kpi.clone())
            .or_default()
            .push(self.all.len());
        self.all.push(target);
    }

    /// All entries, in the order they were read.
    pub fn iter(&self) -> impl Iterator<Item = &Target> {
        self.all.iter()
    }

    /// The entry that fits a result best: the one with the most dimension values, of these the one
    /// read last. `dims` are the dimensions of the result, `at` is the start of its period.
    pub fn best(&self, kpi: &str, dims: &[(&str, &str)], at: UtcMicros) -> Option<&Target> {
        let fits = |target: &&Target| {
            let holds = target.valid_from.is_none_or(|from| from <= at)
                && target.valid_to.is_none_or(|to| at < to);
            holds
                && target
                    .matches
                    .iter()
                    .all(|(d, v)| dims.contains(&(d.as_str(), v.as_str())))
        };
        let entries = self
            .by_kpi
            .get(kpi)?
            .iter()
            .filter_map(|index| self.all.get(*index));
        entries
            .filter(fits)
            .max_by_key(|target| target.matches.len())
    }

    /// What a result is measured against: the best entry, else what the definition says. The least
    /// denominator is always the definition's.
    pub fn goal(&self, kpi: &Kpi, dims: &[(&str, &str)], at: UtcMicros) -> Goal {
        let Some(best) = self.best(&kpi.id, dims, at) else {
            return Goal {
                target: kpi.target,
                thresholds: kpi.thresholds,
            };
        };
        let (good, warn, min_n) = (best.good, best.warn, kpi.thresholds.min_n);
        Goal {
            target: best.target,
            thresholds: Thresholds { good, warn, min_n },
        }
    }
}

/// Why an entry is refused: where, what, what to do.
pub(crate) type Refusal = (Pos, String, String);

/// The refusal of an entry about a KPI.
pub(crate) fn refused(file: &str, kpi: &str, (pos, message, hint): Refusal) -> Problem {
    Problem {
        file: file.to_owned(),
        line: pos.line,
        column: pos.column,
        kpi: Some(kpi.to_owned()),
        message,
        hint: Some(hint).filter(|h| !h.is_empty()),
    }
}

/// The KPI of that id.
pub(crate) fn known_kpi<'a>(id: &At<String>, catalogue: &'a Catalogue) -> Result<&'a Kpi, Refusal> {
    catalogue.get(id).ok_or_else(|| {
        let near = words::nearest(id, catalogue.iter().map(|k| k.id.as_str()));
        let hint = near.map_or_else(
            || "`callgauge kpi list` shows all ids".to_owned(),
            |near| format!("did you mean `{near}`?"),
        );
        (id.pos, format!("there is no KPI `{}`", id.value), hint)
    })
}

fn target(
    source: &SourceFile,
    entry: &At<RawTarget>,
    catalogue: &Catalogue,
) -> Result<Target, Problem> {
    checked(entry, source, catalogue).map_err(|refusal| refused(&source.name, &entry.kpi, refusal))
}

fn checked(
    raw: &At<RawTarget>,
    source: &SourceFile,
    catalogue: &Catalogue,
) -> Result<Target, Refusal> {
    let kpi = known_kpi(&raw.kpi, catalogue)?;
    let target = match &raw.target.value {
        Scalar::Null => None,
        value => Some(limit_value(value, kpi.unit.kind).map_err(|hint| {
            (
                raw.target.pos,
                format!("`{value}` is no value of this KPI"),
                hint,
            )
        })?),
    };
    let of = |raw: &Option<At<Scalar>>| match raw {
        Some(at) if at.value != Scalar::Null => limit(&at.value, &kpi.unit, kpi.direction)
            .map(Some)
            .map_err(|(message, hint)| (at.pos, message, hint)),
        _ => Ok(None),
    };
    let (good, warn) = (of(&raw.good)?, of(&raw.warn)?);
    let thresholds = Thresholds {
        good,
        warn,
        min_n: None,
    };
    agreement(target, &thresholds, kpi.direction)
        .map_err(|(message, hint)| (raw.kpi.pos, message, hint))?;
    let (valid_from, valid_to) =
        validity(&raw.kpi, raw.valid_from.as_ref(), raw.valid_to.as_ref())?;
    known_dimensions(raw, kpi)?;
    let matches = matches(source, raw.matches.as_ref())?;
    let place = Place {
        file: source.name.clone(),
        line: raw.pos.line,
        column: raw.pos.column,
    };
    Ok(Target {
        kpi: kpi.id.clone(),
        matches,
        valid_from,
        valid_to,
        target,
        good,
        warn,
        place,
    })
}

fn known_dimensions(raw: &RawTarget, kpi: &Kpi) -> Result<(), Refusal> {
    for (name, value) in raw.matches.iter().flat_map(|m| &m.0) {
        if !kpi.dimensions.contains(name) {
            let known = kpi.dimensions.iter().map(String::as_str);
            let hint = words::suggest(name, known, "its dimensions");
            return Err((
                value.pos,
                format!("the KPI has no dimension `{name}`"),
                hint,
            ));
        }
    }
    Ok(())
}

/// From when and up to when an entry holds.
pub(crate) fn validity(
    kpi: &At<String>,
    from: Option<&At<Scalar>>,
    to: Option<&At<Scalar>>,
) -> Result<(Option<UtcMicros>, Option<UtcMicros>), Refusal> {
    let (from, to) = (day(from)?, day(to)?);
    if let (Some(from), Some(to)) = (from, to)
        && to <= from
    {
        let message = "the entry ends before it begins".to_owned();
        let hint = "swap valid_from and valid_to".to_owned();
        return Err((kpi.pos, message, hint));
    }
    Ok((from, to))
}

/// A day (its start in UTC) or a moment; null is none.
fn day(raw: Option<&At<Scalar>>) -> Result<Option<UtcMicros>, Refusal> {
    let Some(at) = raw.filter(|at| at.value != Scalar::Null) else {
        return Ok(None);
    };
    let text = at.to_string();
    let moment = UtcMicros::parse_rfc3339(&text)
        .or_else(|| UtcMicros::parse_rfc3339(&format!("{text}T00:00:00Z")));
    moment.map(Some).ok_or_else(|| {
        let hint = "write 2026-01-01, or a moment with its offset";
        (at.pos, format!("`{text}` is no day"), hint.to_owned())
    })
}
