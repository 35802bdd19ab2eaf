//! `kpi(ids, grain, dimensions, from, to, modifiers)`: KPIs as rows, in long form.
//!
//! ```sql
//! SELECT * FROM kpi('service_level, asa', '30 minutes', 'queue_id', '2026-01-05', '2026-01-06')
//! ```
//!
//! Arguments go by position; all but the ids may be NULL or left out from the end. Several ids
//! and dimensions are separated by commas. Dates and times without an offset are on the wall
//! clock of the session's zone (UTC unless set). The rows are those of
//! [`Engine::kpi`](crate::Engine::kpi): the same code makes them. Here a KPI that the data do not
//! let be computed fails the query: SQL has no row that is an error.

use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use async_trait::async_trait;
use datafusion::catalog::{Session, TableFunctionArgs, TableFunctionImpl, TableProvider};
use datafusion::common::ScalarValue;
use datafusion::datasource::source_as_provider;
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::{SendableRecordBatchStream, SessionState, TaskContext};
use datafusion::logical_expr::{Expr, LogicalPlan, TableScan, TableType};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::streaming::{PartitionStream, StreamingTableExec};
use datafusion::physical_plan::{ExecutionPlan, collect};
use kpi::{Catalogue, Targets};

use crate::functions::calendar::{parse_grain, parse_zone};
use crate::functions::instant_type;
use crate::metadata::columns::Columns;
use crate::request::{
    AnsweredKpi, Asker, Asking, KpiAnswer, KpiRequest, KpiRow, Runner, modify, parse_instant,
};
use crate::session::{Now, now_of};
use crate::{EngineError, UsedKpi, Views};

/// The function; it reads what its session has pinned.
pub(crate) fn kpi_function(
    catalogue: Arc<Catalogue>,
    targets: Arc<Targets>,
    views: Arc<Views>,
    default_zone: &str,
) -> Arc<dyn TableFunctionImpl> {
    let default_zone = default_zone.to_owned();
    Arc::new(KpiFunction(Arc::new(Source {
        catalogue,
        targets,
        views,
        default_zone,
    })))
}

#[derive(Debug)]
struct Source {
    catalogue: Arc<Catalogue>,
    targets: Arc<Targets>,
    views: Arc<Views>,
    default_zone: String,
}

impl Source {
    fn asker(&self, now: Now) -> Asker<'_> {
        Asker {
            catalogue: &self.catalogue,
            targets: &self.targets,
            views: &self.views,
            bounds: now.bounds,
            default_zone: &self.default_zone,
            revision: now.revision,
        }
    }
}

#[derive(Debug)]
struct KpiFunction(Arc<Source>);

impl TableFunctionImpl for KpiFunction {
    fn call_with_args(&self, args: TableFunctionArgs<'_, '_>) -> Result<Arc<dyn TableProvider>> {
        let request = read_arguments(args.exprs(), &self.0.default_zone)?;
        let now = now_of(args.session().config_options())?;
        // Wrong ids, dimensions and modifiers are errors of planning.
        let kpis = self.0.asker(now).check(&request)?.used();
        let schema = schema_of(&request.by);
        Ok(Arc::new(KpiTable {
            source: Arc::clone(&self.0),
            request,
            kpis,
            schema,
        }))
    }
}

const USAGE: &str = "write kpi('service_level', '30 minutes', 'queue_id', '2026-01-05', \
                     '2026-01-06', 'compare=-7d'): ids, bucket, dimensions, from, to, modifiers";

fn read_arguments(args: &[Expr], zone: &str) -> Result<KpiRequest> {
    if args.is_empty() || args.len() > 6 {
        return Err(crate::error::refuse("kpi() takes 1 to 6 arguments", USAGE));
    }
    let texts = args.iter().map(text).collect::<Result<Vec<_>>>()?;
    let given = |i: usize| {
        texts
            .get(i)
            .and_then(|t| t.as_deref())
            .filter(|t| !t.is_empty())
    };
    let list = |i: usize| -> Vec<String> {
        let items = given(i)
            .unwrap_or("")
            .split(',')
            .map(str::trim)
            .filter(|s| !s.is_empty());
        items.map(str::to_owned).collect()
    };
    let invalid = |e: crate::CalendarError| EngineError::Invalid(format!("kpi(): {e}"));
    let tz = parse_zone(zone).map_err(invalid)?;
    let instant = |i: usize| given(i).map(|text| parse_instant(text, tz)).transpose();
    let mut request = KpiRequest {
        ids: list(0),
        grain: given(1).map(parse_grain).transpose().map_err(invalid)?,
        by: list(2),
        from: instant(3)?,
        to: instant(4)?,
        zone: Some(zone.to_owned()),
        ..KpiRequest::default()
    };
    modify(&mut request, given(5).unwrap_or(""), tz)?;
    Ok(request)
}

/// The text of an argument; instants are written out, NULL is `None`.
fn text(arg: &Expr) -> Result<Option<String>> {
    let wrong = || crate::error::refuse(format!("kpi() takes literals, not {arg}"), USAGE);
    let value = match arg {
        Expr::Literal(value, _) => value.clone(),
        Expr::Cast(cast) => match cast.expr.as_ref() {
            Expr::Literal(value, _) => value.clone(),
            _ => return Err(wrong()),
        },
        _ => return Err(wrong()),
    };
    match &value {
        value if value.is_null() => Ok(None),
        ScalarValue::Date32(_)
        | ScalarValue::TimestampMicrosecond(..)
        | ScalarValue::TimestampNanosecond(..) => {
            let at = value.cast_to(&instant_type())?;
            match at {
                ScalarValue::TimestampMicrosecond(Some(at), _) => {
                    Ok(Some(events::UtcMicros(at).to_string()))
                }
                _ => Err(wrong()),
            }
        }
        value => match value.try_as_str() {
            Some(text) => Ok(text.map(str::to_owned)),
            None => Err(wrong()),
        },
    }
}

fn schema_of(by: &[String]) -> SchemaRef {
    let mut fields = vec![
        Field::new("kpi", DataType::Utf8, true),
        Field::new("period_start", instant_type(), true),
    ];
    fields.extend(by.iter().map(|d| Field::new(d, DataType::Utf8, true)));
    for name in ["value", "numerator", "denominator", "n", "target"] {
        fields.push(Field::new(name, DataType::Float64, true));
    }
    for name in ["status", "unit", "currency"] {
        fields.push(Field::new(name, DataType::Utf8, true));
    }
    fields.push(Field::new("version", DataType::Int64, true));
    fields.push(Field::new("definition_hash", DataType::Utf8, true));
    for name in ["clock", "params"] {
        fields.push(Field::new(name, DataType::Utf8, true));
    }
    for name in ["as_of", "horizon", "matured_to", "incomplete_before"] {
        fields.push(Field::new(name, instant_type(), true));
    }
    fields.push(Field::new("revision", DataType::Int64, true));
    fields.push(Field::new("approx", DataType::Boolean, true));
    for name in BESIDE {
        fields.push(Field::new(name, DataType::Float64, true));
    }
    Arc::new(Schema::new(fields))
}

/// The answer as rows.
fn batch_of(answer: &KpiAnswer, by: &[String]) -> Result<RecordBatch, EngineError> {
    let rows = &answer.rows;
    let mut columns = Columns::default();
    columns.text("kpi", rows.iter().map(|r| Some(r.kpi.clone())).collect());
    columns.time(
        "period_start",
        rows.iter().map(|r| r.period_start).collect(),
    );
    for (i, dimension) in by.iter().enumerate() {
        columns.text(
            dimension,
            rows.iter().map(|r| r.dims[i].1.clone()).collect(),
        );
    }
    columns.number("value", rows.iter().map(|r| r.value).collect());
    columns.number("numerator", rows.iter().map(|r| r.numerator).collect());
    columns.number("denominator", rows.iter().map(|r| r.denominator).collect());
    columns.number("n", rows.iter().map(|r| r.n).collect());
    columns.number("target", rows.iter().map(|r| r.target).collect());
    columns.text(
        "status",
        rows.iter()
            .map(|r| Some(r.status.word().to_owned()))
            .collect(),
    );
    columns.text(
        "unit",
        rows.iter()
            .map(|r| Some(r.unit.kind.word().to_owned()))
            .collect(),
    );
    columns.text(
        "currency",
        rows.iter().map(|r| r.currency.clone()).collect(),
    );
    columns.int(
        "version",
        rows.iter().map(|r| Some(i64::from(r.version))).collect(),
    );
    columns.text(
        "definition_hash",
        rows.iter().map(|r| Some(r.hash.clone())).collect(),
    );
    add_origin(&mut columns, answer);
    add_beside(&mut columns, rows);
    columns.batch()
}

/// What each number was computed from.
fn add_origin(columns: &mut Columns, answer: &KpiAnswer) {
    let rows = &answer.rows;
    let about = |row: &KpiRow| answer.kpis.iter().find(|kpi| kpi.id == row.kpi);
    let text = |of: fn(&AnsweredKpi) -> String| -> Vec<Option<String>> {
        rows.iter().map(|row| about(row).map(of)).collect()
    };
    columns.text("clock", text(AnsweredKpi::clock));
    columns.text(
        "params",
        text(|kpi| serde_json::Value::from(kpi.params_json()).to_string()),
    );
    columns.time("as_of", vec![Some(answer.as_of); rows.len()]);
    columns.time("horizon", vec![Some(answer.horizon); rows.len()]);
    let matured_to = |row| about(row).and_then(|kpi| kpi.matured_to);
    columns.time("matured_to", rows.iter().map(matured_to).collect());
    let incomplete = answer.incomplete_before;
    columns.time("incomplete_before", vec![incomplete; rows.len()]);
    let revision = i64::try_from(answer.revision).ok();
    columns.int("revision", vec![revision; rows.len()]);
    columns.bool("approx", vec![Some(answer.approx); rows.len()]);
}

/// The columns of what stands beside a number: the ends of its interval, the period compared with,
/// and the ends of the interval of the difference.
const BESIDE: [&str; 6] = [
    "low",
    "high",
    "previous",
    "difference",
    "difference_low",
    "difference_high",
];

fn add_beside(columns: &mut Columns, rows: &[KpiRow]) {
    let of = |row: &KpiRow| {
        [
            row.interval.map(|interval| interval.low),
            row.interval.map(|interval| interval.high),
            row.previous,
            row.value.zip(row.previous).map(|(now, then)| now - then),
            row.difference.map(|difference| difference.low),
            row.difference.map(|difference| difference.high),
        ]
    };
    let values: Vec<_> = rows.iter().map(of).collect();
    for (at, name) in BESIDE.into_iter().enumerate() {
        columns.number(name, values.iter().map(|row| row[at]).collect());
    }
}

/// The KPIs of the call that a plan reads, if it reads one.
pub(crate) fn called_kpis(scan: &TableScan) -> Vec<UsedKpi> {
    let provider = source_as_provider(&scan.source).ok();
    let table = provider.as_ref().and_then(|p| p.downcast_ref::<KpiTable>());
    table.map_or(Vec::new(), |table| table.kpis.clone())
}

/// The rows of one call.
#[derive(Debug)]
struct KpiTable {
    source: Arc<Source>,
    request: KpiRequest,
    kpis: Vec<UsedKpi>,
    schema: SchemaRef,
}

#[async_trait]
impl TableProvider for KpiTable {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    fn table_type(&self) -> TableType {
        TableType::View
    }

    async fn scan(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        _filters: &[Expr],
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let session = state.as_any().downcast_ref::<SessionState>();
        let session = session.ok_or_else(|| {
            EngineError::Internal("kpi() is read in a session of another kind".to_owned())
        })?;
        let rows = Rows {
            schema: Arc::clone(&self.schema),
            source: Arc::clone(&self.source),
            request: self.request.clone(),
            session: session.clone(),
        };
        Ok(Arc::new(StreamingTableExec::try_new(
            Arc::clone(&self.schema),
            vec![Arc::new(rows)],
            projection,
            None,
            false,
            limit,
        )?))
    }
}

/// The rows, computed when they are asked for.
struct Rows {
    schema: SchemaRef,
    source: Arc<Source>,
    request: KpiRequest,
    session: SessionState,
}

impl std::fmt::Debug for Rows {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("KpiRows")
            .field("by", &self.request.by)
            .finish_non_exhaustive()
    }
}

impl PartitionStream for Rows {
    fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    fn execute(&self, context: Arc<TaskContext>) -> SendableRecordBatchStream {
        let (source, request) = (Arc::clone(&self.source), self.request.clone());
        let within = Within {
            session: self.session.clone(),
            context,
        };
        let batch = async move {
            let asking = Asking {
                asker: source.asker(now_of(within.session.config_options())?),
                session: None,
                runner: &within,
                whole: true,
            };
            let answer = asking.answer(&request).await?;
            batch_of(&answer, &request.by).map_err(DataFusionError::from)
        };
        let stream = futures::stream::once(batch);
        Box::pin(RecordBatchStreamAdapter::new(
            Arc::clone(&self.schema),
            stream,
        ))
    }
}

/// Runs the queries of a call inside of the query that has it: with its version and its memory.
struct Within {
    session: SessionState,
    context: Arc<TaskContext>,
}

impl Runner for Within {
    async fn rows(&self, plan: LogicalPlan) -> Result<Vec<RecordBatch>, EngineError> {
        let plan = self.session.create_physical_plan(&plan).await?;
        Ok(collect(plan, Arc::clone(&self.context)).await?)
    }
}
