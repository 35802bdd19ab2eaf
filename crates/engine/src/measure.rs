//! `MEASURE(kpi)`: a KPI evaluated at whatever grain the query groups by.
//!
//! An analyzer rule, run before types are coerced. At every `Aggregate` whose arguments are KPI
//! columns of a view it
//!
//! 1. adds the hidden columns that the KPIs' parts need to the view's projection and hands them
//!    up through everything between (`expose`),
//! 2. aggregates the parts, equal ones once, each under the query's own FILTER,
//! 3. puts a projection on top that computes the values and restores names and types.
//!
//! What would give a wrong number is refused with a reason and a hint: KPI columns in places
//! that see single rows, other aggregates, limits or unions below the aggregate, joins that
//! repeat rows, dimensions that the KPI does not have.

mod argument;
mod expose;
mod functions;
mod narrow;
mod refusal;
mod trace;
mod unique;

use std::cell::Cell;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use datafusion::common::metadata::FieldMetadata;
use datafusion::common::tree_node::{Transformed, TreeNodeRecursion};
use datafusion::common::{Column, DFSchema};
use datafusion::config::ConfigOptions;
use datafusion::error::Result;
use datafusion::logical_expr::{Aggregate, Expr, LogicalPlan, Projection, cast};
use datafusion::optimizer::AnalyzerRule;

use crate::error::refuse;
use crate::functions as library;
use crate::result::UsedKpi;
use crate::session::KpiOptions;
use crate::table_function::called_kpis;
use crate::views::{Fold, KPI_KEY, MEASURE_KEY, Measure, Views, kpi_metadata, plain};
use argument::{Argument, Call};
use expose::Hidden;
use narrow::{Depth, narrow};

pub(crate) use functions::{aggregate_functions, measure, measure_part};

/// The rule; see the module.
#[derive(Debug)]
pub(crate) struct MeasureRule {
    views: Arc<Views>,
}

impl MeasureRule {
    pub(crate) fn new(views: Arc<Views>) -> Self {
        MeasureRule { views }
    }
}

impl AnalyzerRule for MeasureRule {
    fn name(&self) -> &str {
        "kpi_measure"
    }

    fn analyze(&self, plan: LogicalPlan, options: &ConfigOptions) -> Result<LogicalPlan> {
        let strict = options
            .extensions
            .get::<KpiOptions>()
            .is_some_and(|o| o.strict);
        let rewriter = Rewriter {
            views: &self.views,
            strict,
        };
        // Nodes above a rewritten one hold its old schema, whose marks are gone.
        let changed = Cell::new(false);
        let plan = narrow(plan, Depth::ToViews)?;
        let done = plan.transform_up_with_subqueries(|node| {
            let node = if changed.get() {
                node.recompute_schema()?
            } else {
                node
            };
            let rewritten = rewriter.node(node)?;
            changed.set(changed.get() || rewritten.transformed);
            Ok(rewritten)
        })?;
        let plan = match changed.get() {
            true => done.data.recompute_schema()?,
            false => done.data,
        };
        narrow(plan, Depth::All)
    }
}

struct Rewriter<'a> {
    views: &'a Views,
    strict: bool,
}

/// One KPI call of an `Aggregate`.
struct Use {
    measure: Arc<Measure>,
    call: Call,
    column: Column,
    filter: Option<Box<Expr>>,
}

impl Rewriter<'_> {
    fn node(&self, node: LogicalPlan) -> Result<Transformed<LogicalPlan>> {
        match node {
            LogicalPlan::Aggregate(aggregate) => self.aggregate(aggregate),
            LogicalPlan::Projection(projection) => self.mark_computed(projection),
            other => {
                self.refuse_row_use(&other)?;
                Ok(Transformed::no(other))
            }
        }
    }

    fn aggregate(&self, aggregate: Aggregate) -> Result<Transformed<LogicalPlan>> {
        let schema = aggregate.input.schema();
        self.refuse_group_by(&aggregate)?;
        let mut uses: BTreeMap<usize, Use> = BTreeMap::new();
        for (position, expr) in aggregate.aggr_expr.iter().enumerate() {
            if let Some(found) = self.kpi_call(expr, schema)? {
                uses.insert(position, found);
            }
        }
        if uses.is_empty() {
            return Ok(Transformed::no(LogicalPlan::Aggregate(aggregate)));
        }
        for found in uses.values() {
            trace::check_dimensions(&aggregate, &found.measure, &found.column)?;
        }
        self.replace(&aggregate, &uses).map(Transformed::yes)
    }

    /// The KPI call that an aggregate expression is, if it is one.
    fn kpi_call(&self, expr: &Expr, schema: &DFSchema) -> Result<Option<Use>> {
        let Expr::AggregateFunction(function) = peel_alias(expr) else {
            return Ok(None);
        };
        let params = &function.params;
        let filter = params.filter.clone();
        if let Some(filter) = &filter {
            self.refuse_in(filter, schema, "FILTER")?;
        }
        match Argument::of(self.views, &params.args, schema) {
            Argument::Kpi(measure, column) => {
                let call = argument::check_call(function, &measure, self.strict)?;
                Ok(Some(Use {
                    measure,
                    call,
                    column,
                    filter,
                }))
            }
            Argument::Computed(kpi) => Err(refusal::computed(function.func.name(), &kpi)),
            Argument::Plain if functions::is_marker(function.func.name()) => {
                Err(refusal::not_a_kpi(function))
            }
            Argument::Plain => Ok(None),
        }
    }

    /// The aggregation over parts and the projection above it.
    fn replace(&self, aggregate: &Aggregate, uses: &BTreeMap<usize, Use>) -> Result<LogicalPlan> {
        let mut input = aggregate.input.as_ref().clone();
        let mut columns: BTreeMap<usize, Hidden> = BTreeMap::new();
        for (&position, found) in uses {
            let (exposed, hidden) = expose::expose(self.views, &input, &found.column)?;
            input = exposed;
            columns.insert(position, hidden);
        }
        let mut shared = Shared::default();
        let mut above: Vec<Expr> = Vec::new();
        let groups = aggregate.schema.fields().len() - aggregate.aggr_expr.len();
        for index in 0..groups {
            above.push(Expr::Column(Column::from(
                aggregate.schema.qualified_field(index),
            )));
        }
        for (position, expr) in aggregate.aggr_expr.iter().enumerate() {
            let (qualifier, field) = aggregate.schema.qualified_field(groups + position);
            above.push(match uses.get(&position) {
                None => {
                    shared.aggregates.push(expr.clone());
                    Expr::Column(Column::from((qualifier, field)))
                }
                Some(found) => {
                    let value = found.value(&columns[&position], &mut shared)?;
                    let metadata = FieldMetadata::new(kpi_metadata(&found.measure.plan));
                    cast(value, field.data_type().clone()).alias_qualified_with_metadata(
                        qualifier.cloned(),
                        field.name(),
                        Some(metadata),
                    )
                }
            });
        }
        let groups = aggregate.group_expr.clone();
        let below = Aggregate::try_new(Arc::new(input), groups, shared.aggregates)?;
        let below = Arc::new(LogicalPlan::Aggregate(below));
        Ok(LogicalPlan::Projection(Projection::try_new(above, below)?))
    }

    /// A column computed from a KPI column is marked, so that aggregating it is refused above.
    fn mark_computed(&self, projection: Projection) -> Result<Transformed<LogicalPlan>> {
        let schema = Arc::clone(projection.input.schema());
        let computed: Vec<Option<String>> = projection
            .expr
            .iter()
            .map(
                |expr| match Argument::of(self.views, std::slice::from_ref(expr), &schema) {
                    Argument::Computed(kpi) => Some(kpi),
                    _ => None,
                },
            )
            .collect();
        let unmarked = |index: usize, kpi: &String| {
            let field = projection.schema.field(index);
            field.metadata().get(MEASURE_KEY) != Some(&computed_mark(kpi))
        };
        let news = computed
            .iter()
            .enumerate()
            .any(|(i, k)| k.as_ref().is_some_and(|k| unmarked(i, k)));
        if !news {
            return Ok(Transformed::no(LogicalPlan::Projection(projection)));
        }
        let mut exprs = Vec::with_capacity(projection.expr.len());
        for (index, (expr, kpi)) in projection.expr.into_iter().zip(computed).enumerate() {
            let (qualifier, field) = projection.schema.qualified_field(index);
            exprs.push(match kpi {
                None => expr,
                Some(kpi) => {
                    let mark = BTreeMap::from([(MEASURE_KEY.to_owned(), computed_mark(&kpi))]);
                    expr.unalias().alias_qualified_with_metadata(
                        qualifier.cloned(),
                        field.name(),
                        Some(FieldMetadata::new(mark)),
                    )
                }
            });
        }
        let projection = Projection::try_new(exprs, projection.input)?;
        Ok(Transformed::yes(LogicalPlan::Projection(projection)))
    }
}

/// Mark of a column that was computed from a KPI column of rows.
fn computed_mark(kpi: &str) -> String {
    format!("{}{kpi}", argument::COMPUTED)
}

/// Aggregates of one node; an aggregate that several KPIs need is there once.
#[derive(Default)]
struct Shared {
    aggregates: Vec<Expr>,
    names: HashMap<Expr, String>,
}

impl Shared {
    fn add(&mut self, aggregate: Expr) -> Expr {
        if let Some(name) = self.names.get(&aggregate) {
            return plain(name);
        }
        let name = format!("__part_{}", self.names.len());
        self.aggregates.push(aggregate.clone().alias(&name));
        self.names.insert(aggregate, name.clone());
        plain(&name)
    }
}

impl Use {
    /// The KPI's value, or one part's, over the aggregates that it adds.
    fn value(&self, hidden: &Hidden, shared: &mut Shared) -> Result<Expr> {
        let plan = &self.measure.plan;
        if let Call::Part(index) = self.call {
            let part = &plan.parts[index];
            return match part.agg {
                // Of a histogram the one number is how many values it holds.
                kpi::Agg::Histogram => {
                    Ok(library::histogram_count(self.part(index, hidden, shared)?))
                }
                _ if part.data_type.is_numeric() => self.part(index, hidden, shared),
                _ => Err(refusal::not_a_number(&part.name)),
            };
        }
        let parts = (0..plan.parts.len())
            .map(|index| self.part(index, hidden, shared))
            .collect::<Result<Vec<_>>>()?;
        Ok(plan.value.expr(&plan.parts, &|index| parts[index].clone()))
    }

    fn part(&self, index: usize, hidden: &Hidden, shared: &mut Shared) -> Result<Expr> {
        let part = &self.measure.parts[index];
        if part.fold == Fold::Unmergeable {
            let reason = format!(
                "{} needs the rows themselves: numbers of a grain view cannot be put together",
                self.measure.plan.kpi.id
            );
            let hint = format!("use kpi.{}", self.measure.plan.model);
            return Err(refuse(reason, hint));
        }
        let column = Expr::Column(hidden[&part.column].clone());
        let aggregate = part
            .fold
            .aggregate(column, self.filter.as_deref().cloned())?;
        Ok(part.fold.finished(shared.add(aggregate)))
    }
}

fn peel_alias(expr: &Expr) -> &Expr {
    match expr {
        Expr::Alias(alias) => peel_alias(&alias.expr),
        other => other,
    }
}

/// The KPIs that an analysed plan evaluates: those under `MEASURE`, those of `kpi()`, and the
/// columns of grain views that its result shows.
pub(crate) fn used_kpis(plan: &LogicalPlan, views: &Views) -> Result<Vec<UsedKpi>> {
    let mut found: BTreeMap<String, UsedKpi> = BTreeMap::new();
    let mut add = |id: &str| {
        if let Some(plan) = views.plan_of(id) {
            found.insert(id.to_owned(), used(plan));
        }
    };
    for field in plan.schema().fields() {
        let measure = field
            .metadata()
            .get(MEASURE_KEY)
            .and_then(|mark| views.measure(mark));
        if let Some(measure) = measure.filter(|m| !m.of_rows) {
            add(&measure.plan.kpi.id);
        }
    }
    let mut called = Vec::new();
    plan.apply_with_subqueries(|node| {
        match node {
            LogicalPlan::Projection(projection) => {
                projection
                    .expr
                    .iter()
                    .filter_map(evaluated)
                    .for_each(&mut add);
            }
            LogicalPlan::TableScan(scan) => called.extend(called_kpis(scan)),
            _ => {}
        }
        Ok(TreeNodeRecursion::Continue)
    })?;
    found.extend(called.into_iter().map(|kpi| (kpi.id.clone(), kpi)));
    Ok(found.into_values().collect())
}

/// The KPI that a column of a rewritten plan is the value of.
fn evaluated(expr: &Expr) -> Option<&str> {
    let Expr::Alias(alias) = expr else {
        return None;
    };
    let metadata = alias.metadata.as_ref().map(FieldMetadata::inner)?;
    let id = metadata.get(KPI_KEY).map(String::as_str);
    id.filter(|_| !metadata.contains_key(MEASURE_KEY))
}

fn used(plan: &crate::KpiPlan) -> UsedKpi {
    UsedKpi {
        id: plan.kpi.id.clone(),
        version: plan.kpi.version,
        hash: plan.hash.clone(),
        params: plan.params.clone(),
    }
}
