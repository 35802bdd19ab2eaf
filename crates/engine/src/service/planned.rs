//! A planned statement: all that a client is told before it runs.

use std::sync::{Arc, Mutex, PoisonError};

use arrow::array::ArrayRef;
use arrow::datatypes::{Field, Schema, SchemaRef};
use datafusion::execution::SessionState;
use datafusion::logical_expr::{LogicalPlan, LogicalPlanBuilder};
use datafusion::physical_plan::ExecutionPlan;

use super::params::Parameters;
use super::{Caller, ErrorKind, QueryError};
use crate::guard::{self, GuardLimits};
use crate::result::ResultMeta;
use crate::session::{SessionChange, SessionSettings, Snapshot, read_only};
use crate::statements::Action;
use crate::wire::{native_schema, wire_schema};
use crate::{Engine, EngineError};

/// A statement that has been planned and can be run, any number of times. It pins its version
/// until it is dropped; clones share it.
#[derive(Clone)]
pub struct Planned {
    /// Columns of the result in the types of the wire, with nullability; field metadata tell
    /// `title`, `unit`, `formula` and `kpi` of KPI columns, the schema's what the result was
    /// computed from. No columns: the statement was a `SET`.
    pub schema: SchemaRef,
    /// Parameters by position, named `$1` and so on, in wire types, all nullable.
    pub params: Vec<Field>,
    /// What the statement does to the session, if it is a `SET` or `RESET`. There is nothing to run.
    pub set: Option<SessionChange>,
    /// What the result is computed from.
    pub meta: ResultMeta,
    /// Are the rows in an order that the statement asks for?
    pub ordered: bool,
    pub(super) work: Arc<Work>,
}

/// What running needs.
pub(super) struct Work {
    pub asked: Asked,
    pub snapshot: Arc<Snapshot>,
    state: SessionState,
    logical: LogicalPlan,
    parameters: Parameters,
    /// In the engine's own types.
    native: SchemaRef,
    /// Made while planning; a physical plan runs once.
    first: Mutex<Option<Arc<dyn ExecutionPlan>>>,
}

impl Planned {
    /// The schema of a result in the engine's own types.
    pub fn native_schema(&self) -> &SchemaRef {
        &self.work.native
    }
}

/// A statement, who asks it and in what session.
pub(super) struct Asked {
    pub caller: Caller,
    pub text: Arc<str>,
    pub session: SessionSettings,
}

/// Plans a statement over the newest version.
pub(super) async fn plan(engine: Arc<Engine>, asked: Asked) -> Result<Planned, QueryError> {
    let checked = guard::check(&asked.text, &GuardLimits::default())?;
    let snapshot = engine.snapshot().await?;
    let state = snapshot.state_in(&asked.session, asked.caller.sees_raw);
    let statement = match checked.action {
        Action::Query(statement) => *statement,
        Action::Change(change) => {
            // What cannot be made is said at once.
            let tried = change.make(&mut asked.session.clone());
            tried.map_err(|e| of_kind(ErrorKind::BadParameter, e))?;
            return changed(snapshot, state, asked, change);
        }
    };
    let logical = state.statement_to_plan(statement).await;
    let logical = logical.map_err(|e| told(&snapshot, e))?;
    of_logical(snapshot, state, asked, (logical, checked.parameters)).await
}

fn of_kind(kind: ErrorKind, error: EngineError) -> QueryError {
    QueryError {
        kind,
        ..QueryError::from(error)
    }
}

/// A statement that only changes the session.
fn changed(
    snapshot: Arc<Snapshot>,
    state: SessionState,
    asked: Asked,
    change: SessionChange,
) -> Result<Planned, QueryError> {
    let nothing = LogicalPlanBuilder::empty(false).build();
    let meta = snapshot.meta(Vec::new());
    let empty = Arc::new(Schema::empty());
    Ok(Planned {
        schema: wire_schema(&empty, meta.entries()),
        params: Vec::new(),
        set: Some(change),
        ordered: false,
        meta,
        work: Arc::new(Work {
            asked,
            snapshot,
            state,
            logical: nothing.map_err(QueryError::from)?,
            parameters: Parameters::default(),
            native: empty,
            first: Mutex::default(),
        }),
    })
}

/// What a parsed query will give. `parameters`: how many its text has, known to its plan or not.
pub(super) async fn of_logical(
    snapshot: Arc<Snapshot>,
    state: SessionState,
    asked: Asked,
    (logical, parameters): (LogicalPlan, usize),
) -> Result<Planned, QueryError> {
    read_only(&logical).map_err(|e| of_kind(ErrorKind::SqlSyntax, e))?;
    let parameters = Parameters::of(&logical, parameters)?;
    let probe = bound(&logical, &parameters, None)?;
    let physical = snapshot.physical(&state, probe).await;
    let (physical, kpis) = physical.map_err(|e| told(&snapshot, e))?;
    let columns = physical.schema();
    let meta = snapshot.meta(kpis);
    Ok(Planned {
        schema: wire_schema(&columns, meta.entries()),
        params: parameters.fields(),
        set: None,
        ordered: is_ordered(&logical),
        work: Arc::new(Work {
            asked,
            snapshot,
            state,
            logical,
            native: native_schema(&columns, meta.entries()),
            // With NULL for its parameters it is another plan.
            first: Mutex::new(parameters.is_empty().then_some(physical)),
            parameters,
        }),
        meta,
    })
}

/// The error, unless the snapshot can say more about what it means here.
fn told(snapshot: &Snapshot, error: datafusion::error::DataFusionError) -> QueryError {
    if let Some(elsewhere) = snapshot.of_another_view(&error) {
        return QueryError {
            position: QueryError::from(error).position,
            ..QueryError::from(elsewhere)
        };
    }
    let told = QueryError::from(error);
    if told.kind != ErrorKind::SqlSyntax {
        return told;
    }
    match snapshot.flag_or(EngineError::Invalid(told.message.clone())) {
        EngineError::Invalid(_) => told,
        explained => QueryError {
            position: told.position,
            ..QueryError::from(explained)
        },
    }
}

/// The plan with values for its parameters; without `given`, with NULL for each.
fn bound(
    logical: &LogicalPlan,
    parameters: &Parameters,
    given: Option<&[ArrayRef]>,
) -> Result<LogicalPlan, QueryError> {
    let values = match given {
        None => parameters.nulls()?,
        Some(given) => parameters.values(given)?,
    };
    if parameters.is_empty() {
        return Ok(logical.clone());
    }
    Ok(logical.clone().replace_params_with_values(&values)?)
}

impl Work {
    /// A plan to run once, made before if there is one.
    pub(super) fn ready(
        &self,
        given: &[ArrayRef],
    ) -> Result<Option<Arc<dyn ExecutionPlan>>, QueryError> {
        self.parameters.values(given)?;
        let mut first = self.first.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(first.take())
    }

    /// Plans it with these values.
    pub(super) async fn physical(
        &self,
        given: &[ArrayRef],
    ) -> Result<Arc<dyn ExecutionPlan>, QueryError> {
        let plan = bound(&self.logical, &self.parameters, Some(given))?;
        let physical = self.snapshot.physical(&self.state, plan).await;
        Ok(physical.map_err(|e| told(&self.snapshot, e))?.0)
    }

    /// The session that its operators run in.
    pub(super) fn state(&self) -> &SessionState {
        &self.state
    }
}

fn is_ordered(plan: &LogicalPlan) -> bool {
    match plan {
        LogicalPlan::Sort(_) => true,
        LogicalPlan::Projection(p) => is_ordered(&p.input),
        LogicalPlan::Limit(l) => is_ordered(&l.input),
        LogicalPlan::SubqueryAlias(a) => is_ordered(&a.input),
        _ => false,
    }
}
