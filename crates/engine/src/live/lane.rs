//! Part states of the KPIs of one model by one of its times.
//!
//! The aggregates are those of the compiled definitions, run by the query engine's own operator:
//! over the rows of a minute to states, over states to states of a quarter of an hour, over these
//! to values. So a count, a histogram or a set of distinct ids is merged as it is in any query,
//! and rows are read again only in the minutes that have changed.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::sync::Arc;

use arrow::array::{
    ArrayRef, AsArray, BooleanArray, RecordBatch, StringArray, TimestampMicrosecondArray,
};
use arrow::compute::{concat_batches, filter_record_batch};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimestampMicrosecondType};
use arrow::error::ArrowError;
use datafusion::common::DFSchema;
use datafusion::datasource::memory::MemorySourceConfig;
use datafusion::execution::{SessionState, TaskContext};
use datafusion::logical_expr::Expr;
use datafusion::logical_expr::simplify::SimplifyContext;
use datafusion::optimizer::simplify_expressions::ExprSimplifier;
use datafusion::physical_expr::aggregate::{AggregateExprBuilder, AggregateFunctionExpr};
use datafusion::physical_expr::expressions::Column;
use datafusion::physical_plan::aggregates::{AggregateExec, AggregateMode, PhysicalGroupBy};
use datafusion::physical_plan::{ExecutionPlan, PhysicalExpr, collect};
use kpi::Agg;

use super::day::{QUARTER, quarter_of};
use super::mirror::Mirror;
use crate::functions::{histogram_count, instant_type};
use crate::views::{Fold, plain, row_argument};
use crate::{EngineError, KpiPlan};

/// The dimensions that boards cut by.
pub(super) const QUEUE: &str = "queue_id";
/// See [`QUEUE`].
pub(super) const CHANNEL: &str = "channel";
/// Start of a row's minute.
const MINUTE: &str = "__minute";
/// Start of the stretch that a row is of.
const PERIOD: &str = "__period";
/// When the newest event behind the rows was received.
const RECEIVED: &str = "updated_at";

/// A KPI's value and parts, over the aggregates.
type Outputs = Vec<Arc<dyn PhysicalExpr>>;

/// See the module.
pub(super) struct Lane {
    /// The time column.
    pub time: String,
    /// Columns of a row: those of the mirror, then dimensions that the table lacks, the minute.
    row_schema: SchemaRef,
    aggregates: Vec<Arc<AggregateFunctionExpr>>,
    outputs: BTreeMap<String, Outputs>,
    quarters: BTreeMap<i64, Quarter>,
    task: Arc<TaskContext>,
}

/// The states of a quarter of an hour.
struct Quarter {
    /// By dimensions and minute.
    minutes: RecordBatch,
    /// By dimensions.
    whole: RecordBatch,
}

/// The values of some groups.
pub(super) struct Values {
    /// Dimensions of the groups, in the order asked, then the start of the stretch.
    pub groups: Vec<ArrayRef>,
    /// Number of groups.
    pub rows: usize,
    results: RecordBatch,
}

/// Columns that the KPIs of a lane read, beside its time.
pub(super) fn columns_of(plans: &[&Arc<KpiPlan>]) -> Result<BTreeSet<String>, EngineError> {
    let mut names = BTreeSet::from([RECEIVED.to_owned()]);
    for part in plans.iter().flat_map(|plan| &plan.parts) {
        let argument = row_argument(part)?;
        names.extend(argument.column_refs().iter().map(|c| c.name.clone()));
    }
    Ok(names)
}

impl Lane {
    /// Prepares the aggregates and values of the KPIs `plans`, which all count rows of `model` by
    /// `time`. `rows` are the columns of its mirror.
    pub fn new(
        (model, time): (&str, &str),
        plans: &[&Arc<KpiPlan>],
        rows: &SchemaRef,
        state: &SessionState,
        task: Arc<TaskContext>,
    ) -> Result<Lane, EngineError> {
        let row_schema = with_groups(rows);
        let df_schema = DFSchema::try_from_qualified_schema(model, &row_schema)?;
        let mut wanted: Vec<Expr> = vec![Fold::Max.aggregate(plain(RECEIVED), None)?];
        let mut parts: Vec<Vec<usize>> = Vec::new();
        for plan in plans {
            let mut own = Vec::new();
            for part in &plan.parts {
                let aggregate = Fold::of_rows(part.agg).aggregate(row_argument(part)?, None)?;
                let known = wanted.iter().position(|w| *w == aggregate);
                own.push(known.unwrap_or(wanted.len()));
                if known.is_none() {
                    wanted.push(aggregate);
                }
            }
            parts.push(own);
        }
        let aggregates = wanted.iter().enumerate().map(|(i, wanted)| {
            physical_aggregate(wanted, &result_name(i), &row_schema, &df_schema, state)
        });
        let aggregates = aggregates.collect::<Result<Vec<_>, _>>()?;
        let results: Vec<_> = aggregates.iter().map(|a| a.field()).collect();
        let results = DFSchema::try_from(Schema::new(results))?;
        let outputs = plans.iter().zip(&parts).map(|(plan, own)| {
            let outputs = outputs(plan, own, &results, state)?;
            Ok((plan.kpi.id.clone(), outputs))
        });
        Ok(Lane {
            time: time.to_owned(),
            outputs: outputs.collect::<Result<_, EngineError>>()?,
            row_schema,
            aggregates,
            quarters: BTreeMap::new(),
            task,
        })
    }

    /// Brings the states of the minutes that have changed up to date. Says which those were.
    pub async fn refresh(&mut self, mirror: &mut Mirror) -> Result<BTreeSet<i64>, EngineError> {
        let touched = mirror.touched(&self.time);
        if touched.is_empty() {
            return Ok(touched);
        }
        let (rows, of) = mirror.rows(&self.time, &touched).map_err(arrow)?;
        let rows = self.with_group_columns(&rows, of)?;
        let groups = [QUEUE, CHANNEL, MINUTE];
        let fresh = self
            .aggregate(AggregateMode::Partial, &groups, rows)
            .await?;
        let quarters: BTreeSet<i64> = touched.iter().map(|minute| quarter_of(*minute)).collect();
        for start in quarters {
            let here = |at: i64| (start..start + QUARTER).contains(&at);
            let mut minutes = vec![by_minute(&fresh, here)?];
            if let Some(known) = self.quarters.remove(&start) {
                minutes.push(by_minute(&known.minutes, |at| !touched.contains(&at))?);
            }
            let minutes = concat_batches(&fresh.schema(), &minutes).map_err(arrow)?;
            if minutes.num_rows() == 0 {
                continue;
            }
            let states = states_by(&minutes, &[QUEUE, CHANNEL], true)?;
            let reduce = AggregateMode::PartialReduce;
            let whole = self.aggregate(reduce, &[QUEUE, CHANNEL], states).await?;
            self.quarters.insert(start, Quarter { minutes, whole });
        }
        Ok(touched)
    }

    /// Forgets what is before `start`, the start of a quarter of an hour.
    pub fn forget(&mut self, start: i64) {
        self.quarters = self.quarters.split_off(&start);
    }

    /// The aggregates over all rows of stretches of whole minutes, by some of the dimensions: of all
    /// stretches together, or of each by its start. Together and without dimensions there is always
    /// one group.
    pub async fn over(
        &self,
        ranges: &[Range<i64>],
        by: &[&str],
        each: bool,
    ) -> Result<Values, EngineError> {
        let period = each.then_some(PERIOD);
        let groups: Vec<&str> = by.iter().copied().chain(period).collect();
        let schema = self.state_schema(by, each)?;
        let mut batches = Vec::new();
        for range in ranges {
            for states in self.states_in(range, by)? {
                let start = each.then_some(range.start);
                batches.push(under(&schema, &states, by.len(), start)?);
            }
        }
        let states = concat_batches(&schema, &batches).map_err(arrow)?;
        let values = self
            .aggregate(AggregateMode::Final, &groups, states)
            .await?;
        let results: Vec<usize> = (groups.len()..values.num_columns()).collect();
        Ok(Values {
            groups: values.columns()[..groups.len()].to_vec(),
            rows: values.num_rows(),
            results: values.project(&results).map_err(arrow)?,
        })
    }

    /// The states of a stretch of whole minutes, not merged.
    fn states_in(&self, range: &Range<i64>, by: &[&str]) -> Result<Vec<RecordBatch>, EngineError> {
        let quarters = self.quarters.range(quarter_of(range.start)..range.end);
        let states = quarters.map(|(start, quarter)| {
            if range.start <= *start && start + QUARTER <= range.end {
                return states_by(&quarter.whole, by, false);
            }
            let inside = by_minute(&quarter.minutes, |at| range.contains(&at))?;
            states_by(&inside, by, true)
        });
        states.collect()
    }

    /// The value of a KPI in each group, then its parts.
    pub fn columns(&self, kpi: &str, values: &Values) -> Result<Vec<ArrayRef>, EngineError> {
        let outputs = self.outputs.get(kpi).ok_or_else(|| {
            EngineError::Internal(format!("{kpi} is not prepared for the live board"))
        })?;
        let column = |output: &Arc<dyn PhysicalExpr>| {
            let value = output.evaluate(&values.results)?;
            Ok(value.into_array(values.rows)?)
        };
        outputs.iter().map(column).collect()
    }

    async fn aggregate(
        &self,
        mode: AggregateMode,
        by: &[&str],
        input: RecordBatch,
    ) -> Result<RecordBatch, EngineError> {
        let schema = input.schema();
        let source = MemorySourceConfig::try_new_exec(&[vec![input]], Arc::clone(&schema), None)?;
        let plan = AggregateExec::try_new(
            mode,
            group_by(by, &schema)?,
            self.aggregates.clone(),
            vec![None; self.aggregates.len()],
            source,
            Arc::clone(&self.row_schema),
        )?;
        let schema = plan.schema();
        let batches = collect(Arc::new(plan), Arc::clone(&self.task)).await?;
        concat_batches(&schema, &batches).map_err(arrow)
    }

    /// The columns of states, grouped by `by` and perhaps by the start of a stretch.
    fn state_schema(&self, by: &[&str], period: bool) -> Result<SchemaRef, EngineError> {
        let mut fields: Vec<Arc<Field>> = Vec::new();
        for name in by {
            fields.push(Arc::new(Field::new(*name, DataType::Utf8, true)));
        }
        if period {
            fields.push(Arc::new(Field::new(PERIOD, instant_type(), false)));
        }
        for aggregate in &self.aggregates {
            fields.extend(aggregate.state_fields()?);
        }
        Ok(Arc::new(Schema::new(fields)))
    }

    /// Rows with the columns that they are grouped by.
    fn with_group_columns(
        &self,
        rows: &RecordBatch,
        minutes: Vec<i64>,
    ) -> Result<RecordBatch, EngineError> {
        let mut columns = rows.columns().to_vec();
        let missing = self.row_schema.fields().len() - 1 - columns.len();
        for _ in 0..missing {
            columns.push(Arc::new(StringArray::new_null(rows.num_rows())));
        }
        columns.push(instants(minutes));
        RecordBatch::try_new(Arc::clone(&self.row_schema), columns).map_err(arrow)
    }
}

impl Values {
    /// Of each stretch, when the newest event behind its rows was received, in UTC microseconds.
    /// Only of values by stretch alone.
    pub fn received(&self) -> impl Iterator<Item = (i64, i64)> {
        let times = |column: &ArrayRef| {
            let times = column.as_primitive_opt::<TimestampMicrosecondType>();
            times
                .map(|times| times.values().to_vec())
                .unwrap_or_default()
        };
        let starts = self.groups.first().map(times).unwrap_or_default();
        starts.into_iter().zip(times(self.results.column(0)))
    }
}

fn result_name(index: usize) -> String {
    format!("__result_{index}")
}

fn with_groups(rows: &SchemaRef) -> SchemaRef {
    let mut fields: Vec<Arc<Field>> = rows.fields().iter().cloned().collect();
    for name in [QUEUE, CHANNEL] {
        if rows.column_with_name(name).is_none() {
            fields.push(Arc::new(Field::new(name, DataType::Utf8, true)));
        }
    }
    fields.push(Arc::new(Field::new(MINUTE, instant_type(), false)));
    Arc::new(Schema::new(fields))
}

fn physical_aggregate(
    wanted: &Expr,
    name: &str,
    schema: &SchemaRef,
    df_schema: &DFSchema,
    state: &SessionState,
) -> Result<Arc<AggregateFunctionExpr>, EngineError> {
    let Expr::AggregateFunction(call) = wanted else {
        return Err(EngineError::Internal(format!("{wanted} is no aggregate")));
    };
    let args = call.params.args.iter();
    let args = args.map(|arg| physical(arg.clone(), df_schema, state));
    let mut builder =
        AggregateExprBuilder::new(Arc::clone(&call.func), args.collect::<Result<_, _>>()?)
            .schema(Arc::clone(schema))
            .alias(name);
    if call.params.distinct {
        builder = builder.distinct();
    }
    Ok(Arc::new(builder.build()?))
}

/// The value of a KPI and its parts, as a request shows them.
fn outputs(
    plan: &KpiPlan,
    own: &[usize],
    results: &DFSchema,
    state: &SessionState,
) -> Result<Outputs, EngineError> {
    let part = |index: usize| plain(&result_name(own[index]));
    let mut exprs = vec![plan.value.expr(&plan.parts, &part)];
    for named in plan.kpi.parts() {
        let index = plan.parts.iter().position(|p| p.name == named.name);
        let index = index.ok_or_else(|| {
            EngineError::Internal(format!("{} has no part {}", plan.kpi.id, named.name))
        })?;
        exprs.push(match named.agg {
            Agg::Histogram => histogram_count(part(index)),
            _ => part(index),
        });
    }
    let exprs = exprs.into_iter();
    exprs.map(|expr| physical(expr, results, state)).collect()
}

/// The expression as the planner makes it: some functions exist only to be simplified.
fn physical(
    expr: Expr,
    schema: &DFSchema,
    state: &SessionState,
) -> Result<Arc<dyn PhysicalExpr>, EngineError> {
    let context = SimplifyContext::builder()
        .with_schema(Arc::new(schema.clone()))
        .with_config_options(Arc::clone(state.config_options()))
        .build();
    let simplifier = ExprSimplifier::new(context);
    let expr = simplifier.simplify(simplifier.coerce(expr, schema)?)?;
    Ok(state.create_physical_expr(expr, schema)?)
}

fn group_by(by: &[&str], schema: &Schema) -> Result<PhysicalGroupBy, EngineError> {
    let mut exprs: Vec<(Arc<dyn PhysicalExpr>, String)> = Vec::new();
    for name in by {
        let column = Column::new_with_schema(name, schema)?;
        exprs.push((Arc::new(column), (*name).to_owned()));
    }
    Ok(PhysicalGroupBy::new_single(exprs))
}

/// The states of the minutes that `keep` names.
fn by_minute(states: &RecordBatch, keep: impl Fn(i64) -> bool) -> Result<RecordBatch, EngineError> {
    let minutes = states.column_by_name(MINUTE);
    let minutes = minutes.and_then(|c| c.as_primitive_opt::<TimestampMicrosecondType>());
    let minutes =
        minutes.ok_or_else(|| EngineError::Internal("states without their minute".to_owned()))?;
    let kept = BooleanArray::from_iter((0..minutes.len()).map(|i| Some(keep(minutes.value(i)))));
    filter_record_batch(states, &kept).map_err(arrow)
}

/// States by queue, channel and perhaps minute as states by some of the dimensions, not merged.
fn states_by(
    states: &RecordBatch,
    by: &[&str],
    with_minute: bool,
) -> Result<RecordBatch, EngineError> {
    let groups = if with_minute { 3 } else { 2 };
    let mut columns = Vec::new();
    for name in by {
        columns.push(states.schema().index_of(name).map_err(arrow)?);
    }
    columns.extend(groups..states.num_columns());
    states.project(&columns).map_err(arrow)
}

/// The same columns under the schema of states, because operators differ in what they say may be
/// NULL; with the start of their stretch, if it is wanted, behind the dimensions.
fn under(
    schema: &SchemaRef,
    states: &RecordBatch,
    dims: usize,
    start: Option<i64>,
) -> Result<RecordBatch, EngineError> {
    let mut columns = states.columns().to_vec();
    if let Some(start) = start {
        columns.insert(dims, instants(vec![start; states.num_rows()]));
    }
    RecordBatch::try_new(Arc::clone(schema), columns).map_err(arrow)
}

fn instants(micros: Vec<i64>) -> ArrayRef {
    Arc::new(TimestampMicrosecondArray::from(micros).with_timezone("UTC"))
}

pub(super) fn arrow(error: ArrowError) -> EngineError {
    EngineError::Internal(error.to_string())
}
