//! One pinned version with everything that queries over it need.
//!
//! Guarantees: a query reads one immutable version; the session zone is UTC; queries can read
//! but not write, and see no file but the version's; `:horizon`, `:history_start` and `:as_of`
//! are worked out once a version, and `:as_of` once a query where it is the present. All versions
//! share what is compiled: opening one is cheap.

mod bounds;
mod compiled;
mod explained;
mod fact_schema;
mod known;
mod kpi_schema;
mod options;
mod pinned;

use std::sync::Arc;

use arrow::datatypes::{Schema, SchemaRef};
use chrono_tz::Tz;
use datafusion::error::DataFusionError;
use datafusion::execution::SessionState;
use datafusion::execution::TaskContext;
use datafusion::execution::context::SQLOptions;
use datafusion::execution::runtime_env::RuntimeEnv;
use datafusion::logical_expr::LogicalPlan;
use datafusion::physical_plan::{ExecutionPlan, execute_stream};
use events::UtcMicros;
use futures::TryStreamExt;
use kpi::{Catalogue, Kpi, Targets};
use store::Version;

use crate::compile::depends_on_the_question;
use crate::error::{EngineError, missing_column};
use crate::functions::calendar::parse_zone;
use crate::guard::{self, GuardLimits};
use crate::measure;
use crate::result::{self, QueryResult, ResultMeta};
use crate::settings::Settings;
use crate::statements::Action;
use crate::views::Views;

pub use bounds::Bounds;
pub(crate) use bounds::Seen;
pub(crate) use compiled::{CATALOGUE, Compiled, SCHEMAS, plan_models, runtime};
pub(crate) use known::Apart;
pub(crate) use options::KpiOptions;
pub use options::{SessionChange, SessionSettings};
use pinned::PinnedNow;
pub(crate) use pinned::{Now, Pinned, now_of, pinned};

type Result<T, E = EngineError> = std::result::Result<T, E>;

/// A version, its bounds, and the compiled KPIs that it shares with other versions.
#[derive(Clone)]
pub struct Snapshot {
    /// The pinned version.
    pub version: Arc<Version>,
    /// What the data cover.
    pub bounds: Bounds,
    compiled: Arc<Compiled>,
    /// Memory, spill folder and caches of its queries.
    runtime: Arc<RuntimeEnv>,
    /// Whose days and months models count.
    zone: Tz,
}

impl Snapshot {
    pub(crate) fn new(
        version: Arc<Version>,
        bounds: Bounds,
        compiled: Arc<Compiled>,
        runtime: Arc<RuntimeEnv>,
    ) -> Snapshot {
        // Whoever takes the settings has read the zone already.
        let zone = parse_zone(&compiled.settings.zone).unwrap_or(Tz::UTC);
        Snapshot {
            version,
            bounds,
            compiled,
            runtime,
            zone,
        }
    }

    /// The same version with other memory for its queries.
    pub(crate) fn under(&self, runtime: Arc<RuntimeEnv>) -> Snapshot {
        Snapshot {
            runtime,
            ..self.clone()
        }
    }

    /// The same version for a report of another zone.
    pub(crate) fn in_zone(&self, zone: Tz) -> Snapshot {
        Snapshot {
            zone,
            ..self.clone()
        }
    }

    /// The same version at the present, see [`Bounds::at`]. A set `as_of` goes before.
    pub(crate) fn at(&self, now: UtcMicros) -> Snapshot {
        let bounds = match self.settings().as_of {
            Some(_) => self.bounds,
            None => self.bounds.at(now),
        };
        Snapshot {
            bounds,
            ..self.clone()
        }
    }

    /// The views and the compiled KPIs.
    pub fn views(&self) -> &Arc<Views> {
        &self.compiled.views
    }

    /// The definitions.
    pub fn catalogue(&self) -> &Arc<Catalogue> {
        &self.compiled.catalogue
    }

    /// The targets.
    pub fn targets(&self) -> &Arc<Targets> {
        &self.compiled.targets
    }

    /// The settings that it was compiled with.
    pub(crate) fn settings(&self) -> &Settings {
        &self.compiled.settings
    }

    /// What the version covers, and which one it is.
    fn now(&self) -> Now {
        Now {
            bounds: self.bounds,
            revision: self.version.committed_seq,
            zone: self.zone,
        }
    }

    /// A session of its own for one query.
    pub(crate) fn state(&self) -> SessionState {
        self.pinned(&self.compiled.state)
    }

    fn pinned(&self, state: &SessionState) -> SessionState {
        let mut state = state.clone();
        Arc::new(Pinned::Version(Arc::clone(&self.version))).pin(&mut state);
        let extensions = &mut state.config_mut().options_mut().extensions;
        extensions.insert(PinnedNow(self.now()));
        state.mark_start_execution();
        state
    }

    /// A session for one query after what earlier statements have `SET`. `raw`: does it see the
    /// lines that were refused?
    pub(crate) fn state_in(&self, session: &SessionSettings, raw: bool) -> SessionState {
        let compiled = &self.compiled;
        let mut state = self.pinned(if raw {
            &compiled.state
        } else {
            &compiled.masked
        });
        session.apply(&mut state, compiled);
        // Functions see the options as they are when this is said, so what was `SET` comes before.
        state.mark_start_execution();
        state
    }

    /// Answers one SQL query.
    ///
    /// # Errors
    /// A query that does not parse, is refused, or fails while it runs.
    pub async fn sql(&self, text: &str) -> Result<QueryResult> {
        self.sql_in(text, &mut SessionSettings::default()).await
    }

    /// Answers one SQL statement of a session. `SET kpi.strict` changes the session and has a
    /// result without columns.
    ///
    /// # Errors
    /// As [`Snapshot::sql`]; and a value that the variable cannot have.
    pub async fn sql_in(&self, text: &str, session: &mut SessionSettings) -> Result<QueryResult> {
        let action = guard::check(text, &GuardLimits::default())?.action;
        let statement = match action {
            Action::Query(statement) => *statement,
            Action::Change(change) => {
                change.make(session)?;
                return result::finish(&Schema::empty(), Vec::new(), self.meta(Vec::new()));
            }
        };
        let state = self.state_in(session, true);
        let planned = state.statement_to_plan(statement).await;
        let plan = planned.map_err(|e| self.explained(e))?;
        read_only(&plan)?;
        self.run_in(&state, plan).await
    }

    /// What is wrong, as well as it can be told here.
    fn explained(&self, error: DataFusionError) -> EngineError {
        match self.of_another_view(&error) {
            Some(told) => told,
            None => self.flag_or(error.into()),
        }
    }

    /// A KPI that is no column of the view that was read.
    pub(crate) fn of_another_view(&self, error: &DataFusionError) -> Option<EngineError> {
        let kpi = self.catalogue().get(missing_column(error)?)?;
        Some(self.elsewhere(kpi))
    }

    /// A flag of a fact whose name is also a KPI's is not in the KPI view: say so.
    pub(crate) fn flag_or(&self, error: EngineError) -> EngineError {
        let EngineError::Invalid(text) = &error else {
            return error;
        };
        let quoted = text
            .split_once("non-boolean predicate '")
            .and_then(|(_, t)| t.split_once('\''));
        let name = quoted.map(|(column, _)| column.rsplit('.').next().unwrap_or(column));
        match name.and_then(|name| self.views().plan_of(name)) {
            None => error,
            Some(plan) => EngineError::refused(
                format!(
                    "{} in WHERE: in a kpi view this is the KPI, not the flag",
                    plan.kpi.id
                ),
                format!("the flag of a row stands in facts.{}", plan.model),
            ),
        }
    }

    /// Where a KPI is that is not here.
    fn elsewhere(&self, kpi: &Kpi) -> EngineError {
        let id = &kpi.id;
        match self.views().plan_of(id) {
            Some(plan) => EngineError::refused(
                format!(
                    "{id} is no column of what is read here: it counts rows of {}",
                    plan.model
                ),
                format!("read it FROM kpi.{}", plan.model),
            ),
            None => {
                let why = match depends_on_the_question(kpi, self.catalogue()) {
                    true => "depends on the question: on its time, parameters or comparison",
                    false => "is made of several tables",
                };
                let grain = match kpi.longest_ms() {
                    Some(_) => "30 minutes",
                    None => "1 day",
                };
                let compared = match kpi.value.beside().is_empty() {
                    true => "",
                    false => ", 'compare=previous'",
                };
                EngineError::refused(
                    format!("{id} {why}, so no view has it as a column"),
                    format!(
                        "SELECT * FROM kpi('{id}', '{grain}', NULL, '2026-03-01', '2026-04-01'{compared})"
                    ),
                )
            }
        }
    }

    /// Analyses (`MEASURE`), optimises and runs a plan.
    pub(crate) async fn run(&self, plan: LogicalPlan) -> Result<QueryResult> {
        self.run_in(&self.state(), plan).await
    }

    async fn run_in(&self, state: &SessionState, plan: LogicalPlan) -> Result<QueryResult> {
        let (physical, kpis) = self.physical(state, plan).await?;
        let schema: SchemaRef = physical.schema();
        let stream = execute_stream(physical, self.task(state))?;
        let batches = stream.try_collect().await?;
        result::finish(&schema, batches, self.meta(kpis))
    }

    /// What the operators of a query run in.
    pub(crate) fn task(&self, state: &SessionState) -> Arc<TaskContext> {
        Arc::new(TaskContext::from(state).with_runtime(Arc::clone(&self.runtime)))
    }

    /// Analyses (`MEASURE`) and optimises a plan: what will run, and the KPIs that it evaluates.
    pub(crate) async fn physical(
        &self,
        state: &SessionState,
        plan: LogicalPlan,
    ) -> datafusion::error::Result<(Arc<dyn ExecutionPlan>, Vec<result::UsedKpi>)> {
        if matches!(plan, LogicalPlan::Explain(_) | LogicalPlan::Analyze(_)) {
            let explanation = state.create_physical_plan(&plan).await?;
            return Ok((explained::without_files(explanation, state)?, Vec::new()));
        }
        let options = state.config_options();
        let analysed = state
            .analyzer()
            .execute_and_check(plan, options, |_, _| {})?;
        let kpis = measure::used_kpis(&analysed, self.views())?;
        let optimised = state.optimizer().optimize(analysed, state, |_, _| {})?;
        let planner = state.query_planner();
        let physical = planner.create_physical_plan(&optimised, state).await?;
        Ok((physical, kpis))
    }

    pub(crate) fn meta(&self, kpis: Vec<result::UsedKpi>) -> ResultMeta {
        ResultMeta {
            as_of: self.bounds.as_of,
            horizon: self.bounds.horizon,
            revision: self.version.committed_seq,
            approx: false,
            kpis,
        }
    }
}

/// Refuses everything that is not a query.
pub(crate) fn read_only(plan: &LogicalPlan) -> Result<()> {
    let options = SQLOptions::new()
        .with_allow_ddl(false)
        .with_allow_dml(false)
        .with_allow_statements(false);
    options.verify_plan(plan).map_err(|e| match e {
        DataFusionError::Plan(reason) => EngineError::refused(
            reason,
            "only queries are answered here: SELECT, SHOW, EXPLAIN",
        ),
        other => other.into(),
    })
}
