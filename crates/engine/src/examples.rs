//! Runs the examples that stand in KPI files, through the same path as every request.
//!
//! An example is rows of the models and the numbers they must give, with its own parameters and
//! its own idea of now. Stored data play no part in it.

mod rows;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;
use std::sync::Arc;

use arrow::array::RecordBatch;
use kpi::{Catalogue, Example, Expected, ExpectedOf, Kpi, ModelSpec, ParamValue, Place, Value};
use store::Version;

use crate::request::{KpiAnswer, KpiRequest};
use crate::{Engine, EngineError, Settings, model_specs};

/// An example that does not give what it says. Displayed as `file:line:column: kpi: ...`.
#[derive(Clone, Debug, PartialEq)]
pub struct ExampleProblem {
    /// Where the example stands.
    pub place: Place,
    /// The KPI in whose definition it stands.
    pub kpi: String,
    /// Name of the example.
    pub example: String,
    /// What is wrong.
    pub what: Wrong,
}

/// What is wrong with an example.
#[derive(Clone, Debug, PartialEq)]
pub enum Wrong {
    /// A number is another one.
    Number {
        /// The KPI, or `kpi.part`.
        of: String,
        /// What the file says; `None` is no value.
        expected: Option<f64>,
        /// What came out.
        got: Option<f64>,
    },
    /// It could not be run.
    Failed(String),
}

impl fmt::Display for ExampleProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Place { file, line, column } = &self.place;
        write!(
            f,
            "{file}:{line}:{column}: {}: example {}: ",
            self.kpi, self.example
        )?;
        match &self.what {
            Wrong::Failed(why) => f.write_str(why),
            Wrong::Number { of, expected, got } => {
                write!(f, "{of} is {}, expected {}", shown(*got), shown(*expected))
            }
        }
    }
}

fn shown(value: Option<f64>) -> String {
    value.map_or_else(|| "no value".to_owned(), |v| v.to_string())
}

/// What running the examples of a catalogue came to.
#[derive(Clone, Debug, Default)]
pub struct Checked {
    /// Examples that were run.
    pub examples: usize,
    /// Numbers that were compared.
    pub numbers: usize,
    /// What did not come out.
    pub problems: Vec<ExampleProblem>,
}

impl Engine {
    /// Runs every example of the engine's catalogue. Stored data play no part in it.
    ///
    /// # Errors
    /// When the models cannot be planned, or a definition does not compile. Failing examples are
    /// in the result.
    pub async fn check(&self) -> Result<Checked, EngineError> {
        check(&self.catalogue()).await
    }
}

/// Runs every example of a catalogue; see [`Engine::check`].
///
/// # Errors
/// When the models cannot be planned, or a definition does not compile: then no example can run,
/// and the definition is named once.
pub async fn check(catalogue: &Arc<Catalogue>) -> Result<Checked, EngineError> {
    let nothing = Arc::new(Version::from_batches(HashMap::new()));
    let engine = Engine::new(nothing, Arc::clone(catalogue), Settings::default())?;
    engine.snapshot().await?;
    check_some(catalogue, &|_| true).await
}

/// Runs the examples that stand with the KPIs that are `wanted`.
///
/// # Errors
/// When the models cannot be planned.
pub async fn check_some(
    catalogue: &Arc<Catalogue>,
    wanted: &dyn Fn(&Kpi) -> bool,
) -> Result<Checked, EngineError> {
    let models = model_specs()?;
    let mut checked = Checked::default();
    // Variants have the examples of their base: each place is run once.
    let mut seen = BTreeSet::new();
    let mut groups: BTreeMap<String, Vec<Case<'_>>> = BTreeMap::new();
    for kpi in catalogue.iter().filter(|kpi| wanted(kpi)) {
        for example in &kpi.examples {
            let place = &example.place;
            if !seen.insert((place.file.clone(), place.line, place.column)) {
                continue;
            }
            let case = Case {
                number: seen.len(),
                kpi,
                example,
            };
            checked.examples += 1;
            checked.numbers += example.expect.len();
            if case.is_of_inputs() {
                checked
                    .problems
                    .extend(case.problems(from_inputs(catalogue, example)));
            } else {
                let settings = settings(catalogue, example);
                groups
                    .entry(format!("{settings:?}"))
                    .or_default()
                    .push(case);
            }
        }
    }
    for cases in groups.values() {
        checked
            .problems
            .extend(run_together(catalogue, &models, cases).await);
    }
    Ok(checked)
}

/// An example to run.
struct Case<'a> {
    number: usize,
    kpi: &'a Kpi,
    example: &'a Example,
}

impl Case<'_> {
    fn is_of_inputs(&self) -> bool {
        self.example.tables.is_empty() && !self.example.inputs.is_empty()
    }

    /// Examples run over one engine as tenants of it: no number sees another tenant's rows.
    fn tenant(&self) -> String {
        format!("example-{}", self.number)
    }

    fn problem(&self, what: Wrong) -> ExampleProblem {
        ExampleProblem {
            place: self.example.place.clone(),
            kpi: self.kpi.id.clone(),
            example: self.example.name.clone(),
            what,
        }
    }

    fn problems(&self, numbers: Result<Numbers, EngineError>) -> Vec<ExampleProblem> {
        let numbers = match numbers {
            Ok(numbers) => numbers,
            Err(error) => return vec![self.problem(Wrong::Failed(error.to_string()))],
        };
        let compare = |expected: &Expected| {
            let of = name_of(&expected.of);
            let Some(&got) = numbers.get(&of) else {
                return Some(Wrong::Failed(format!("there is no {of}")));
            };
            let (matches, expected) = (expected.matches(got), expected.value);
            (!matches).then_some(Wrong::Number { of, expected, got })
        };
        self.example
            .expect
            .iter()
            .filter_map(compare)
            .map(|what| self.problem(what))
            .collect()
    }

    async fn ask(&self, engine: &Engine) -> Result<Numbers, EngineError> {
        let ids: BTreeSet<&str> = self
            .example
            .expect
            .iter()
            .map(|expected| match &expected.of {
                ExpectedOf::Kpi(id) | ExpectedOf::Part { kpi: id, .. } => id.as_str(),
            })
            .collect();
        let request = KpiRequest {
            ids: ids.into_iter().map(str::to_owned).collect(),
            filters: vec![format!("tenant_id = '{}'", self.tenant())],
            ..KpiRequest::default()
        };
        Ok(numbers_of(&engine.kpi(&request).await?))
    }
}

/// Runs examples with the same settings over one engine that holds all their rows. An example
/// whose rows make no table is a problem of its own.
async fn run_together(
    catalogue: &Arc<Catalogue>,
    models: &[ModelSpec],
    cases: &[Case<'_>],
) -> Vec<ExampleProblem> {
    let mut problems = Vec::new();
    let mut sound: Vec<&Case<'_>> = Vec::new();
    let mut rows: HashMap<String, Vec<RecordBatch>> = HashMap::new();
    for case in cases {
        match batches(models, case) {
            Ok(tables) => {
                sound.push(case);
                for (model, batch) in tables {
                    rows.entry(model).or_default().push(batch);
                }
            }
            Err(error) => problems.push(case.problem(Wrong::Failed(error.to_string()))),
        }
    }
    let Some(first) = sound.first() else {
        return problems;
    };
    let version = Arc::new(Version::from_batches(rows));
    let settings = settings(catalogue, first.example);
    let engine = match Engine::new(version, Arc::clone(catalogue), settings) {
        Ok(engine) => engine,
        Err(error) => {
            let failed = |case: &&Case<'_>| case.problem(Wrong::Failed(error.to_string()));
            problems.extend(sound.iter().map(failed));
            return problems;
        }
    };
    for case in sound {
        problems.extend(case.problems(case.ask(&engine).await));
    }
    problems
}

/// The rows of an example, table by table.
fn batches(
    models: &[ModelSpec],
    case: &Case<'_>,
) -> Result<Vec<(String, RecordBatch)>, EngineError> {
    let mut batches = Vec::new();
    for table in &case.example.tables {
        let missing = || EngineError::Invalid(format!("there is no model {}", table.model));
        let model = models
            .iter()
            .find(|m| m.name == table.model)
            .ok_or_else(missing)?;
        let batch = rows::batch(model, &table.rows, &case.tenant())?;
        batches.push((table.model.clone(), batch));
    }
    Ok(batches)
}

fn name_of(of: &ExpectedOf) -> String {
    match of {
        ExpectedOf::Kpi(id) => id.clone(),
        ExpectedOf::Part { kpi, part } => format!("{kpi}.{part}"),
    }
}

/// Numbers by KPI, or by `kpi.part`.
type Numbers = BTreeMap<String, Option<f64>>;

fn numbers_of(answer: &KpiAnswer) -> Numbers {
    let mut numbers = Numbers::new();
    for row in &answer.rows {
        numbers.insert(row.kpi.clone(), row.value);
        let parts = row.parts.iter();
        numbers.extend(parts.map(|(part, value)| (format!("{}.{part}", row.kpi), *value)));
    }
    numbers
}

/// One partition and the example's own parameters and moments. An example is about the definition:
/// parameters that it does not set have their defaults, whatever a site's rules say.
fn settings(catalogue: &Catalogue, example: &Example) -> Settings {
    let params = catalogue
        .iter()
        .filter(|kpi| !kpi.params.is_empty())
        .map(|kpi| (kpi.id.clone(), params_of(kpi, example)))
        .collect();
    Settings {
        target_partitions: 1,
        params,
        horizon: Some(example.horizon),
        history_start: Some(example.history_start),
        as_of: Some(example.as_of),
        ..Settings::default()
    }
}

/// The parameters of a KPI in an example.
fn params_of(kpi: &Kpi, example: &Example) -> BTreeMap<String, ParamValue> {
    let given = kpi.params.iter().filter_map(|p| {
        let value = example.params.get(&p.name)?;
        Some((p.name.clone(), value.clone()))
    });
    let all = kpi.params_in_force(&given.collect()).into_iter();
    all.map(|(name, param)| (name, param.value)).collect()
}

/// The values of KPIs over other KPIs, from what the example says these are.
fn from_inputs(catalogue: &Catalogue, example: &Example) -> Result<Numbers, EngineError> {
    let mut numbers = Numbers::new();
    for expected in &example.expect {
        if let ExpectedOf::Kpi(id) = &expected.of {
            let unknown = || EngineError::UnknownKpi(format!("there is no KPI {id}"));
            let kpi = catalogue.get(id).ok_or_else(unknown)?;
            numbers.insert(id.clone(), derived(catalogue, kpi, example));
        }
    }
    Ok(numbers)
}

fn derived(catalogue: &Catalogue, kpi: &Kpi, example: &Example) -> Option<f64> {
    if let Some((_, given)) = example.inputs.iter().find(|(id, _)| *id == kpi.id) {
        return Some(*given);
    }
    let longest = kpi.longest_ms().unwrap_or(i64::MAX);
    if example.range_ms.is_some_and(|ms| ms > longest) {
        return None;
    }
    let params = params_of(kpi, example);
    let value = kpi.value.eval(&mut |leaf| match leaf {
        Value::Kpi(id) => derived(catalogue, catalogue.get(id)?, example),
        Value::RangeMs => example.range_ms.map(|ms| ms as f64),
        Value::Param(name) => params.get(name)?.number(),
        Value::Beside(side, id) => example.beside.get(&(*side, id.clone())).copied(),
        _ => None,
    });
    value.or((kpi.empty == kpi::Empty::Zero).then_some(0.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn builtin() -> Arc<Catalogue> {
        let models = model_specs().expect("the models plan");
        Arc::new(Catalogue::builtin(&models).expect("the built-in catalogue is sound"))
    }

    #[tokio::test]
    async fn every_example_of_the_built_in_catalogue_comes_out() {
        let checked = check(&builtin()).await.expect("the models plan");
        let problems: Vec<String> = checked.problems.iter().map(ToString::to_string).collect();
        assert!(problems.is_empty(), "{}", problems.join("\n"));
        assert!(checked.examples > 0 && checked.numbers >= checked.examples);
    }

    #[tokio::test]
    async fn a_wrong_example_is_named_with_expected_and_got() {
        let models = model_specs().expect("the models plan");
        let mut files = kpi::builtin_files();
        let wrong = files
            .iter_mut()
            .find(|f| f.text.contains("kpi: service_level\n"));
        let file = wrong.expect("service_level is built in");
        file.text = file.text.replace("met: 70\n", "met: 71\n");
        let catalogue = Catalogue::load(&[files], &models).expect("still sound");
        let only = |kpi: &Kpi| kpi.id == "service_level";
        let checked = check_some(&Arc::new(catalogue), &only)
            .await
            .expect("the models plan");
        let problems: Vec<String> = checked.problems.iter().map(ToString::to_string).collect();
        assert!(
            problems
                .iter()
                .any(|p| p.contains("service_level.met is 70, expected 71")),
            "{problems:?}"
        );
    }
}
