//! The KPI views: what a tool sees as tables, and what `MEASURE` finds below their KPI columns.
//!
//! A *model view* `kpi.<model>` shows the model's columns and one column a KPI, which is a typed
//! NULL marked with Arrow field metadata. A *grain view* `kpi.<model>_1h` shows dimensions,
//! `period_start`, the part columns and the true value of each KPI. In both, the mark names a
//! [`Measure`]: the expressions that the analyzer rule adds to the view's projection, and how
//! they are aggregated. Those columns exist only inside a plan that needs them.

mod grain;

pub(crate) use grain::PERIOD;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, PoisonError, RwLock};

use arrow::datatypes::DataType;
use datafusion::common::metadata::FieldMetadata;
use datafusion::common::{Column, ScalarValue};
use datafusion::error::Result;
use datafusion::functions::core::expr_fn::coalesce;
use datafusion::functions_aggregate::expr_fn::{count_distinct, max, min};
use datafusion::logical_expr::{Expr, LogicalPlan, LogicalPlanBuilder, col, lit, when};
use kpi::{Agg, Catalogue, Kind, Kpi, ParamInForce};

use crate::compile::{Compiler, KpiPlan, PartPlan};
use crate::error::EngineError;
use crate::functions;
use crate::models::{self, Model};
use crate::session::Apart;
use crate::settings::Settings;

/// Keys of metadata that never leave the engine begin so.
pub(crate) const INTERNAL: &str = "callgauge.";
/// Marks a KPI column: `<view>/<kpi>`.
pub(crate) const MEASURE_KEY: &str = "callgauge.measure";
/// Names the KPI of a marked or computed column, for people.
pub(crate) const KPI_KEY: &str = "kpi";

/// Columns of every fact that say how the row came to be; views leave them out.
const BOOKKEEPING: [&str; 6] = [
    "is_test",
    "fact_rev",
    "updated_at",
    "inferred",
    "flags",
    "_seq",
];

/// Every model's view and every compiled KPI. Grain views are built when they are first read.
#[derive(Debug)]
pub struct Views {
    models: BTreeMap<String, ModelView>,
    plans: BTreeMap<String, Arc<KpiPlan>>,
    /// Parameters of KPIs over other KPIs, by id.
    params: BTreeMap<String, BTreeMap<String, ParamInForce>>,
    measures: RwLock<HashMap<String, Arc<Measure>>>,
    grains: RwLock<HashMap<String, LogicalPlan>>,
    zone: String,
}

/// One model with its KPI columns.
#[derive(Clone, Debug)]
pub struct ModelView {
    /// Name of the model and of its view in schema `kpi`.
    pub name: String,
    columns: Vec<String>,
    plan: LogicalPlan,
    lineage: BTreeMap<String, Vec<(String, String)>>,
    apart: Apart,
    model: Model,
    /// The model's rows that count: those that are no test.
    input: LogicalPlan,
    kpis: Vec<Arc<KpiPlan>>,
}

/// What a KPI column of a view stands for.
#[derive(Debug)]
pub(crate) struct Measure {
    pub plan: Arc<KpiPlan>,
    /// Is the column's own value NULL (a model view), not the row's true value (a grain view)?
    pub of_rows: bool,
    /// Expressions over the input of the view's projection, with the names they get there.
    pub hidden: Arc<Vec<(String, Expr)>>,
    /// One a part of the plan.
    pub parts: Vec<MeasurePart>,
}

/// How one part is aggregated from a hidden column.
///
/// The column holds the part's argument where its condition is true and NULL elsewhere (of a
/// count the condition itself): so a row that an outer join adds counts for nothing, and no
/// aggregate needs a FILTER, which DataFusion runs by copying the whole batch.
#[derive(Clone, Copy, Debug)]
pub(crate) struct MeasurePart {
    pub column: usize,
    pub fold: Fold,
}

/// An aggregate over rows, or the merge of such aggregates.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fold {
    Count,
    Sum,
    Min,
    Max,
    Distinct,
    Histogram,
    LastByTime,
    MaxLastByTime,
    Peak,
    PeakOpen,
    MergeCount,
    MergeHistogram,
    /// Distinct or latest rows and peaks cannot be merged from their numbers.
    Unmergeable,
}

impl Fold {
    pub(crate) fn of_rows(agg: Agg) -> Fold {
        match agg {
            Agg::CountIf => Fold::Count,
            Agg::Min => Fold::Min,
            Agg::Max => Fold::Max,
            Agg::Distinct => Fold::Distinct,
            Agg::Histogram => Fold::Histogram,
            Agg::LastByTime => Fold::LastByTime,
            Agg::MaxLastByTime => Fold::MaxLastByTime,
            Agg::Peak => Fold::Peak,
            Agg::PeakOpen => Fold::PeakOpen,
            Agg::Sum | Agg::TimeWeighted => Fold::Sum,
        }
    }

    fn of_states(agg: Agg) -> Fold {
        match agg {
            Agg::CountIf => Fold::MergeCount,
            Agg::Histogram => Fold::MergeHistogram,
            Agg::Distinct | Agg::LastByTime | Agg::MaxLastByTime | Agg::Peak | Agg::PeakOpen => {
                Fold::Unmergeable
            }
            other => Fold::of_rows(other),
        }
    }

    /// The aggregate of `arg`, over the rows where `filter`.
    pub(crate) fn aggregate(self, arg: Expr, filter: Option<Expr>) -> Result<Expr> {
        let arg = match filter {
            None => arg,
            Some(filter) if self == Fold::Count => filter.and(arg),
            Some(filter) => when(filter, arg).end()?,
        };
        Ok(match self {
            Fold::Count => functions::count_if(arg),
            Fold::Sum | Fold::MergeCount => functions::checked_sum(arg),
            Fold::Min => min(arg),
            Fold::Max | Fold::Unmergeable => max(arg),
            Fold::Distinct => count_distinct(arg),
            Fold::Histogram => functions::histogram(arg),
            Fold::LastByTime => functions::last_by_time(arg),
            Fold::MaxLastByTime => functions::max_last_by_time(arg),
            Fold::Peak => functions::peak(arg),
            Fold::PeakOpen => functions::peak_open(arg),
            Fold::MergeHistogram => functions::merge_histogram(arg),
        })
    }

    /// What a part's aggregate means when no row was there to aggregate.
    pub(crate) fn finished(self, aggregated: Expr) -> Expr {
        match self {
            Fold::MergeCount => coalesce(vec![aggregated, lit(0_i64)]),
            _ => aggregated,
        }
    }
}

impl ModelView {
    /// The view's plan, its columns unqualified: model columns, then marked KPI columns.
    pub fn plan(&self) -> LogicalPlan {
        self.plan.clone()
    }

    /// Its columns that are not KPIs.
    pub fn columns(&self) -> &[String] {
        &self.columns
    }

    /// Fact tables and columns that a model column is made from.
    pub fn lineage(&self, column: &str) -> Vec<(String, String)> {
        self.lineage.get(column).cloned().unwrap_or_default()
    }

    /// Of which time its rows can tell.
    pub(crate) fn apart(&self) -> Apart {
        self.apart
    }
}

impl Views {
    /// A compiled KPI that has a column in a view: one over a single model and time.
    pub fn plan_of(&self, kpi: &str) -> Option<&Arc<KpiPlan>> {
        self.plans.get(kpi)
    }

    /// The parameters in force of a KPI over other KPIs.
    pub(crate) fn params_of(&self, kpi: &str) -> Option<&BTreeMap<String, ParamInForce>> {
        self.params.get(kpi)
    }

    /// The view of a model.
    pub fn model(&self, name: &str) -> Option<&ModelView> {
        self.models.get(name)
    }

    /// All views, by name.
    pub fn iter(&self) -> impl Iterator<Item = &ModelView> {
        self.models.values()
    }

    /// What a marked column stands for.
    pub(crate) fn measure(&self, mark: &str) -> Option<Arc<Measure>> {
        let measures = self.measures.read().unwrap_or_else(PoisonError::into_inner);
        measures.get(mark).cloned()
    }

    fn add_measure(&self, mark: String, measure: Measure) {
        let mut measures = self
            .measures
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        measures.insert(mark, Arc::new(measure));
    }

    /// Compiles every KPI and builds every view.
    pub(crate) fn build(
        models: Vec<Model>,
        catalogue: &Catalogue,
        compiler: &dyn Fn(&Model) -> CompilerInput,
        settings: &Settings,
    ) -> Result<Views, EngineError> {
        let mut views = Views {
            models: BTreeMap::new(),
            plans: BTreeMap::new(),
            params: derived_params(catalogue, settings),
            measures: RwLock::default(),
            grains: RwLock::default(),
            zone: settings.zone.clone(),
        };
        for model in models {
            let input = compiler(&model);
            let plans = compile_model(&model, catalogue, &input.compiler(&model))?;
            let ids = plans.iter().map(|p| (p.kpi.id.clone(), Arc::clone(p)));
            views.plans.extend(ids);
            let view = views.model_view(model, plans)?;
            views.models.insert(view.name.clone(), view);
        }
        Ok(views)
    }

    /// The view of a model; its measures are registered.
    fn model_view(&self, model: Model, plans: Vec<Arc<KpiPlan>>) -> Result<ModelView> {
        let input = LogicalPlanBuilder::from(model.plan.clone())
            .filter(not_test())?
            .build()?;
        let columns: Vec<String> = model
            .columns()
            .filter(|c| !BOOKKEEPING.contains(c) && !plans.iter().any(|p| p.kpi.id == **c))
            .map(str::to_owned)
            .collect();
        let mut exprs: Vec<Expr> = columns
            .iter()
            .map(|c| model.column(c).alias(c.clone()))
            .collect();
        let mut hidden = Hidden::new(&model.name);
        let parts: Vec<Vec<MeasurePart>> = plans
            .iter()
            .map(|plan| hidden.parts_of_rows(plan))
            .collect::<Result<_>>()?;
        let hidden = Arc::new(hidden.exprs);
        for (plan, parts) in plans.iter().zip(parts) {
            let mark = format!("{}/{}", model.name, plan.kpi.id);
            exprs.push(marked(null(&plan.data_type), plan, &mark));
            let hidden = Arc::clone(&hidden);
            let measure = Measure {
                plan: Arc::clone(plan),
                of_rows: true,
                hidden,
                parts,
            };
            self.add_measure(mark, measure);
        }
        let plan = LogicalPlanBuilder::from(input.clone())
            .project(exprs)?
            .build()?;
        let lineage = columns
            .iter()
            .map(|c| (c.clone(), models::lineage(&model.plan, c)))
            .collect();
        Ok(ModelView {
            name: model.name.clone(),
            columns,
            plan,
            lineage,
            apart: Apart::of(models::tables(&model.plan)?.iter().map(String::as_str)),
            model,
            input,
            kpis: plans,
        })
    }
}

/// What a model's compiler borrows.
pub(crate) struct CompilerInput {
    pub state: Arc<datafusion::execution::SessionState>,
    pub settings: Arc<crate::settings::Settings>,
}

impl CompilerInput {
    fn compiler<'a>(&'a self, model: &'a Model) -> Compiler<'a> {
        Compiler {
            state: &self.state,
            schema: model.plan.schema(),
            settings: &self.settings,
        }
    }
}

/// The parameters of all KPIs over other KPIs, as they are in force.
fn derived_params(
    catalogue: &Catalogue,
    settings: &Settings,
) -> BTreeMap<String, BTreeMap<String, ParamInForce>> {
    let none = BTreeMap::new();
    let derived = catalogue.iter().filter(|kpi| kpi.measured().is_none());
    let with_params = derived.filter(|kpi| !kpi.params.is_empty());
    let of = |kpi: &Kpi| kpi.params_in_force(settings.params.get(&kpi.id).unwrap_or(&none));
    with_params.map(|kpi| (kpi.id.clone(), of(kpi))).collect()
}

/// All KPIs that have a column in the model's view, in the order of the catalogue.
fn compile_model(
    model: &Model,
    catalogue: &Catalogue,
    compiler: &Compiler<'_>,
) -> Result<Vec<Arc<KpiPlan>>, EngineError> {
    let mut plans = Vec::new();
    for kpi in catalogue.iter() {
        let plan = match &kpi.kind {
            Kind::Measured(m) if m.model == model.name => Some(compiler.measured(kpi)?),
            Kind::Derived(d) if d.models == [model.name.as_str()] => {
                compiler.derived(kpi, catalogue)?
            }
            _ => None,
        };
        plans.extend(plan.map(Arc::new));
    }
    Ok(plans)
}

fn not_test() -> Expr {
    Expr::Not(Box::new(col("is_test")))
}

fn null(of: &DataType) -> Expr {
    Expr::Literal(ScalarValue::try_from(of).unwrap_or(ScalarValue::Null), None)
}

/// The expression as the KPI's column, with everything a reader wants to know about it.
fn marked(expr: Expr, plan: &KpiPlan, mark: &str) -> Expr {
    let mut metadata = kpi_metadata(plan);
    metadata.insert(MEASURE_KEY.to_owned(), mark.to_owned());
    expr.alias_with_metadata(&plan.kpi.id, Some(FieldMetadata::new(metadata)))
}

/// Field metadata that tells about a KPI: id, title, unit, formula, version, hash.
pub(crate) fn kpi_metadata(plan: &KpiPlan) -> BTreeMap<String, String> {
    let kpi = &plan.kpi;
    let entries = [
        (KPI_KEY, kpi.id.clone()),
        ("title", kpi.title.en.clone()),
        ("unit", kpi.unit.kind.word().to_owned()),
        ("formula", kpi.formula.clone()),
        ("version", kpi.version.to_string()),
        ("definition_hash", plan.hash.clone()),
    ];
    entries
        .into_iter()
        .map(|(k, v)| (k.to_owned(), v))
        .collect()
}

/// Hidden columns of one view; equal expressions are one column.
struct Hidden {
    prefix: String,
    exprs: Vec<(String, Expr)>,
    index: HashMap<Expr, usize>,
}

impl Hidden {
    fn new(view: &str) -> Self {
        Hidden {
            prefix: format!("__{view}_"),
            exprs: Vec::new(),
            index: HashMap::new(),
        }
    }

    fn add(&mut self, expr: &Expr) -> usize {
        if let Some(&known) = self.index.get(expr) {
            return known;
        }
        let position = self.exprs.len();
        self.exprs
            .push((format!("{}{position}", self.prefix), expr.clone()));
        self.index.insert(expr.clone(), position);
        position
    }

    fn parts_of_rows(&mut self, plan: &KpiPlan) -> Result<Vec<MeasurePart>> {
        let part = |part: &PartPlan| {
            let fold = Fold::of_rows(part.agg);
            Ok(MeasurePart {
                column: self.add(&row_argument(part)?),
                fold,
            })
        };
        plan.parts.iter().map(part).collect()
    }
}

/// What of a row a part aggregates: its argument where its condition holds.
pub(crate) fn row_argument(part: &PartPlan) -> Result<Expr> {
    let filter = part
        .filter
        .clone()
        .map(functions::over_whole_batches)
        .transpose()?;
    match (part.arg.clone(), filter) {
        (Some(arg), Some(filter)) => when(filter, arg).end(),
        (Some(one), None) | (None, Some(one)) => Ok(one),
        (None, None) => Ok(lit(true)),
    }
}

/// Dimensions that all the plans may be grouped by, in the model's order of columns.
fn shared_dimensions(model: &Model, plans: &[&Arc<KpiPlan>]) -> Vec<String> {
    let sets: Vec<BTreeSet<&str>> = plans
        .iter()
        .map(|p| p.kpi.dimensions.iter().map(String::as_str).collect())
        .collect();
    let in_all = |column: &&str| sets.iter().all(|set| set.contains(column));
    model.columns().filter(in_all).map(str::to_owned).collect()
}

/// A column without qualifier, whatever its name looks like.
pub(crate) fn plain(name: &str) -> Expr {
    Expr::Column(Column::new_unqualified(name))
}
