//! All KPIs that hold: read, resolved, checked.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use crate::check::{ById, Checker};
use crate::definition::{Kpi, Lifecycle};
use crate::file::{KpiFile, RawKpi};
use crate::hash;
use crate::model::ModelSpec;
use crate::problem::{Problem, UnknownKpi};
use crate::read::{SourceFile, Sources, read};
use crate::resolve::{Finding, Whole, resolve};
use crate::words;

/// The KPIs of a site: the built-in ones and its own.
#[derive(Clone, Debug)]
pub struct Catalogue {
    kpis: Vec<Kpi>,
    by_id: HashMap<String, usize>,
    models: Vec<String>,
}

impl Catalogue {
    /// The built-in catalogue.
    ///
    /// # Errors
    /// If the models lack a column that a definition reads.
    pub fn builtin(models: &[ModelSpec]) -> Result<Self, Vec<Problem>> {
        Self::load(&[crate::builtin_files()], models)
    }

    /// Reads layers of definition files, the built-in ones first: a later layer may add KPIs, and
    /// replace one with `override: true`.
    ///
    /// # Errors
    /// Everything that is wrong, by file, line and column.
    pub fn load(layers: &[Vec<SourceFile>], models: &[ModelSpec]) -> Result<Self, Vec<Problem>> {
        let sources = Sources {
            files: layers.iter().flatten().collect(),
        };
        let mut problems = Vec::new();
        let layers = read_layers(layers, &mut problems);
        let mut findings = Vec::new();
        let whole = resolve(layers, &mut findings);
        let mut build = Build {
            checker: Checker::new(&sources, models, findings),
            built: BTreeMap::new(),
            failed: BTreeSet::new(),
        };
        // What stands in a file that cannot be read is not missing.
        build.checker.all_sound = problems.is_empty();
        build.all(&whole);
        problems.extend(build.checker.problems());
        if !problems.is_empty() {
            problems.sort_by(|a, b| (&a.file, a.line, a.column).cmp(&(&b.file, b.line, b.column)));
            problems
                .dedup_by(|a, b| (a.line, &a.file, &a.message) == (b.line, &b.file, &b.message));
            return Err(problems);
        }
        let mut built = build.built;
        Ok(Self::of(
            whole
                .iter()
                .filter_map(|w| built.remove(&w.raw.kpi.value))
                .collect(),
        ))
    }

    /// The same KPIs with the values of parameters that files `params.yml` give to some queues or
    /// channels or from some time on. An entry holds for the KPI it names and for its variants
    /// that keep the parameter's default; of those that fit a row one that names the KPI itself
    /// goes before one of its base, of these the one with the most dimension values, of these the
    /// one read last.
    ///
    /// # Errors
    /// Everything that is wrong, by file, line and column.
    pub fn with_params(mut self, layers: &[Vec<SourceFile>]) -> Result<Self, Vec<Problem>> {
        let rules = crate::param::site::apply(&self, layers)?;
        for kpi in &mut self.kpis {
            for found in rules.get(&kpi.id).into_iter().flatten() {
                let param = kpi.params.iter_mut().find(|p| p.name == found.param);
                param
                    .into_iter()
                    .for_each(|p| p.rules.push(found.rule.clone()));
            }
        }
        Ok(self)
    }

    fn of(kpis: Vec<Kpi>) -> Self {
        let by_id = kpis
            .iter()
            .enumerate()
            .map(|(i, k)| (k.id.clone(), i))
            .collect();
        let models: BTreeSet<_> = kpis.iter().filter_map(Kpi::model).collect();
        let models = models.into_iter().map(str::to_owned).collect();
        Self {
            kpis,
            by_id,
            models,
        }
    }

    /// The KPI of that id.
    pub fn get(&self, id: &str) -> Option<&Kpi> {
        self.by_id.get(id).and_then(|index| self.kpis.get(*index))
    }

    /// The KPI of that id or alias.
    ///
    /// # Errors
    /// Names what is near.
    pub fn find(&self, id: &str) -> Result<&Kpi, UnknownKpi> {
        let by_alias = || {
            let wanted = id.to_lowercase();
            self.kpis
                .iter()
                .find(|k| k.aliases.iter().any(|a| a.to_lowercase() == wanted))
        };
        self.get(id).or_else(by_alias).ok_or_else(|| {
            let ids = self.kpis.iter().map(|k| k.id.as_str());
            let hint = words::nearest(id, ids).map_or_else(
                || "`callgauge kpi list` shows all ids".to_owned(),
                |near| format!("did you mean `{near}`?"),
            );
            UnknownKpi {
                id: id.to_owned(),
                hint,
            }
        })
    }

    /// All KPIs, in the order of the files, a base before its variants.
    pub fn iter(&self) -> impl Iterator<Item = &Kpi> {
        self.kpis.iter()
    }

    /// The measured KPIs of one model.
    pub fn of_model<'a>(&'a self, model: &'a str) -> impl Iterator<Item = &'a Kpi> {
        self.kpis.iter().filter(move |k| k.model() == Some(model))
    }

    /// The models that some KPI measures, sorted.
    pub fn models(&self) -> &[String] {
        &self.models
    }

    /// The measured KPIs below a derived one, each once; a measured one itself.
    pub fn inputs_of<'a>(&'a self, kpi: &'a Kpi) -> Vec<&'a Kpi> {
        let all = self.made_of(kpi).into_iter();
        all.filter(|kpi| kpi.measured().is_some()).collect()
    }

    /// A KPI and all that it is made of, each once, before its inputs.
    pub fn made_of<'a>(&'a self, kpi: &'a Kpi) -> Vec<&'a Kpi> {
        let mut found: Vec<&Kpi> = Vec::new();
        let mut open = vec![kpi];
        while let Some(next) = open.pop() {
            if found.iter().any(|k| k.id == next.id) {
                continue;
            }
            found.push(next);
            open.extend(next.inputs().iter().rev().filter_map(|id| self.get(id)));
        }
        found
    }
}

fn read_layers(layers: &[Vec<SourceFile>], problems: &mut Vec<Problem>) -> Vec<Vec<RawKpi>> {
    let mut number = 0;
    let mut read_layers = Vec::new();
    for layer in layers {
        let mut kpis = Vec::new();
        for source in layer {
            match read::<KpiFile>(source, number) {
                Ok(file) if file.format.value == 1 => kpis.extend(file.kpis),
                Ok(file) => problems.push(Problem {
                    file: source.name.clone(),
                    line: file.format.pos.line,
                    column: file.format.pos.column,
                    kpi: None,
                    message: format!("format {} is not known", file.format.value),
                    hint: Some("this version reads `format: 1`".to_owned()),
                }),
                Err(problem) => problems.push(problem),
            }
            number += 1;
        }
        read_layers.push(kpis);
    }
    read_layers
}

struct Build<'a> {
    checker: Checker<'a>,
    built: BTreeMap<String, Kpi>,
    /// Ids that could not be built: what builds on them is not reported again.
    failed: BTreeSet<String>,
}

impl Build<'_> {
    fn all(&mut self, whole: &[Whole]) {
        let by_id: HashMap<&str, &Whole> = whole
            .iter()
            .map(|w| (w.raw.kpi.value.as_str(), w))
            .collect();
        for kpi in whole {
            self.one(kpi, &by_id, &mut Vec::new());
        }
        self.successors(whole);
        self.checker.all_sound &= self.checker.findings.is_empty();
        self.examples(whole);
    }

    fn one(&mut self, whole: &Whole, by_id: &HashMap<&str, &Whole>, path: &mut Vec<String>) {
        let id = &whole.raw.kpi.value;
        if self.built.contains_key(id) || self.failed.contains(id) {
            return;
        }
        path.push(id.clone());
        let ready = self.inputs(whole, by_id, path);
        path.pop();
        self.checker.turn_to(whole);
        let inputs = ready
            .then(|| whole.raw.inputs.iter().flatten())
            .into_iter()
            .flatten();
        let inputs: Vec<&Kpi> = inputs
            .filter_map(|input| self.built.get(&input.value))
            .collect();
        let kpi = match (&whole.raw.inputs, ready) {
            (_, false) => None,
            (Some(_), true) if whole.raw.model.is_none() => {
                self.checker.derived(whole, &inputs).ok()
            }
            _ => self.checker.measured(whole).ok(),
        };
        let hashes: Vec<_> = inputs
            .iter()
            .map(|k| (k.id.clone(), k.hash.clone()))
            .collect();
        match kpi {
            Some(mut kpi) => {
                kpi.hash = hash::of(&kpi, &hashes, self.checker.made_by(&kpi));
                self.built.insert(id.clone(), kpi);
            }
            None => {
                self.failed.insert(id.clone());
            }
        }
    }

    /// Builds the inputs first; false if one is missing, broken, or runs in a circle.
    fn inputs(
        &mut self,
        whole: &Whole,
        by_id: &HashMap<&str, &Whole>,
        path: &mut Vec<String>,
    ) -> bool {
        let mut ready = true;
        for input in whole.raw.inputs.iter().flatten() {
            self.checker.turn_to(whole);
            if path.contains(&input.value) {
                let circle = format!("{} -> {}", path.join(" -> "), input.value);
                let message = format!("the inputs run in a circle: {circle}");
                self.checker
                    .note(input.pos, message, "a KPI cannot be made of itself");
                ready = false;
            } else if let Some(next) = by_id.get(input.value.as_str()) {
                self.one(next, by_id, path);
                ready &= self.built.contains_key(&input.value);
            } else if !self.checker.all_sound {
                ready = false;
            } else {
                let known = by_id.keys().copied();
                let hint = words::nearest(&input.value, known).map_or_else(
                    || "`callgauge kpi list` shows all ids".to_owned(),
                    |near| format!("did you mean `{near}`?"),
                );
                let message = format!("there is no KPI `{}`", input.value);
                self.checker.note(input.pos, message, hint);
                ready = false;
            }
        }
        ready
    }

    fn successors(&mut self, whole: &[Whole]) {
        for kpi in whole {
            let (Some(id), true) = (&kpi.raw.replaced_by, self.failed.is_empty()) else {
                continue;
            };
            let known = self.built.get(&kpi.raw.kpi.value);
            let is_deprecated =
                known.is_some_and(|k| matches!(k.status, Lifecycle::Deprecated { .. }));
            if is_deprecated && !self.built.contains_key(&id.value) {
                self.checker.turn_to(kpi);
                let message = format!("there is no KPI `{}` to use instead", id.value);
                self.checker.note(id.pos, message, "name an id that exists");
            }
        }
    }

    fn examples(&mut self, whole: &[Whole]) {
        let mut found: Vec<(String, crate::example::Example)> = Vec::new();
        let mut all_read = true;
        let all: ById<'_> = self
            .built
            .iter()
            .map(|(id, kpi)| (id.as_str(), kpi))
            .collect();
        for raw in whole {
            let Some(kpi) = all.get(raw.raw.kpi.value.as_str()) else {
                continue;
            };
            self.checker.turn_to(raw);
            for example in raw.raw.examples.iter().flatten() {
                match self.checker.example(kpi, example, &all) {
                    Ok(example) => found.push((kpi.id.clone(), example)),
                    Err(_) => all_read = false,
                }
            }
        }
        if all_read && self.failed.is_empty() {
            self.all_shown(whole, &found);
        }
        for (id, example) in found {
            if let Some(kpi) = self.built.get_mut(&id) {
                kpi.examples.push(example);
            }
        }
    }

    /// Every KPI has an example, its own or another's.
    fn all_shown(&mut self, whole: &[Whole], found: &[(String, crate::example::Example)]) {
        let shown: BTreeSet<&str> = found
            .iter()
            .flat_map(|(_, example)| &example.expect)
            .filter_map(|expected| match &expected.of {
                crate::example::ExpectedOf::Kpi(id) => Some(id.as_str()),
                crate::example::ExpectedOf::Part { .. } => None,
            })
            .collect();
        for kpi in whole {
            let id = &kpi.raw.kpi.value;
            if self.built.contains_key(id) && !shown.contains(id.as_str()) {
                self.checker.turn_to(kpi);
                let hint = format!("add one, or expect `{id}` in the example of another KPI");
                self.checker
                    .note(kpi.raw.kpi.pos, "no example shows this KPI", hint);
            }
        }
    }
}

impl<'a> Checker<'a> {
    fn new(sources: &'a Sources<'a>, models: &'a [ModelSpec], findings: Vec<Finding>) -> Self {
        let pos = crate::place::Pos::default();
        Self {
            sources,
            models,
            findings,
            all_sound: true,
            id: String::new(),
            pos,
        }
    }

    fn turn_to(&mut self, whole: &Whole) {
        self.id.clone_from(&whole.raw.kpi.value);
        self.pos = whole.raw.kpi.pos;
    }

    fn problems(self) -> Vec<Problem> {
        let sources = self.sources;
        let problem = |finding: Finding| Problem {
            file: sources.name(finding.pos).to_owned(),
            line: finding.pos.line,
            column: finding.pos.column,
            kpi: finding.kpi,
            message: finding.message,
            hint: finding.hint,
        };
        self.findings.into_iter().map(problem).collect()
    }
}
