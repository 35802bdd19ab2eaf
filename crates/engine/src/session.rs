//! One pinned version with everything that queries over it need.
//!
//! Guarantees: a query reads one immutable version; the session zone is UTC; queries can read
//! but not write, and see no file but the version's; `:horizon`, `:history_start` and `:as_of`
//! are worked out once a version.

mod bounds;
mod kpi_schema;
mod options;

use std::num::NonZeroUsize;
use std::sync::Arc;

use arrow::datatypes::{Schema, SchemaRef};
use datafusion::catalog::{
    CatalogProvider, MemoryCatalogProvider, MemorySchemaProvider, SchemaProvider, TableProvider,
};
use datafusion::datasource::ViewTable;
use datafusion::error::DataFusionError;
use datafusion::execution::context::SQLOptions;
use datafusion::execution::memory_pool::{FairSpillPool, TrackConsumersPool};
use datafusion::execution::object_store::ObjectStoreUrl;
use datafusion::execution::runtime_env::{RuntimeEnv, RuntimeEnvBuilder};
use datafusion::execution::{SessionState, SessionStateBuilder};
use datafusion::logical_expr::LogicalPlan;
use datafusion::optimizer::Analyzer;
use datafusion::physical_plan::execute_stream;
use datafusion::prelude::SessionConfig;
use futures::{FutureExt, TryStreamExt};
use kpi::{Catalogue, Targets};
use store::Version;

use crate::compile::matured_function;
use crate::error::EngineError;
use crate::measure::{self, MeasureRule};
use crate::models::{MODELS, Model};
use crate::provider::{DATA_URL, FactTable};
use crate::result::{self, QueryResult, ResultMeta};
use crate::settings::{METADATA_CACHE_BYTES, SQL_BYTES_MAX, Settings};
use crate::views::{CompilerInput, Views};
use crate::{Engine, Source, functions, metadata, table_function};

use kpi_schema::KpiSchema;

pub use bounds::Bounds;
pub(crate) use options::KpiOptions;
pub use options::SessionSettings;

type Result<T, E = EngineError> = std::result::Result<T, E>;

/// The catalogue's name in SQL.
const CATALOGUE: &str = "callgauge";

/// A version, the compiled KPIs over it, and a session that every query copies.
pub struct Snapshot {
    /// The pinned version.
    pub version: Arc<Version>,
    /// What the data cover.
    pub bounds: Bounds,
    views: Arc<Views>,
    catalogue: Arc<Catalogue>,
    targets: Arc<Targets>,
    state: SessionState,
}

impl Snapshot {
    /// Opens a version: registers its tables, compiles the KPIs, builds the views.
    pub(crate) async fn open(engine: &Engine, version: Arc<Version>) -> Result<Snapshot> {
        let base = Base::new(&version, &engine.settings, Arc::clone(&engine.runtime))?;
        let bounds = bounds::of(&base.state, &version, &engine.settings).await?;
        let views = Arc::new(base.views(&engine.catalogue, bounds, &engine.settings)?);
        let state = base.finished(engine, &views, bounds)?;
        Ok(Snapshot {
            version,
            bounds,
            views,
            catalogue: Arc::clone(&engine.catalogue),
            targets: Arc::clone(&engine.targets),
            state,
        })
    }

    /// The views and the compiled KPIs.
    pub fn views(&self) -> &Arc<Views> {
        &self.views
    }

    /// The definitions.
    pub fn catalogue(&self) -> &Arc<Catalogue> {
        &self.catalogue
    }

    /// The targets.
    pub fn targets(&self) -> &Arc<Targets> {
        &self.targets
    }

    /// A session of its own for one query.
    pub(crate) fn state(&self) -> SessionState {
        let mut state = self.state.clone();
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
        if text.len() > SQL_BYTES_MAX {
            let reason = format!("the query is longer than {SQL_BYTES_MAX} bytes");
            return Err(EngineError::refused(
                reason,
                "split it, or make a list shorter",
            ));
        }
        let mut state = self.state();
        session.apply(&mut state);
        let planned = state.create_logical_plan(text).await;
        let plan = planned.map_err(|e| self.explained(e.into()))?;
        if session.take(&plan)? {
            return result::finish(&Schema::empty(), Vec::new(), self.meta(Vec::new()));
        }
        read_only(&plan)?;
        self.run_in(&state, plan).await
    }

    /// A flag of a fact whose name is also a KPI's is not in the KPI view: say so.
    fn explained(&self, error: EngineError) -> EngineError {
        let EngineError::Invalid(text) = &error else {
            return error;
        };
        let quoted = text
            .split_once("non-boolean predicate '")
            .and_then(|(_, t)| t.split_once('\''));
        let name = quoted.map(|(column, _)| column.rsplit('.').next().unwrap_or(column));
        match name.and_then(|name| self.views.plan_of(name)) {
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

    /// Analyses (`MEASURE`), optimises and runs a plan.
    pub(crate) async fn run(&self, plan: LogicalPlan) -> Result<QueryResult> {
        self.run_in(&self.state(), plan).await
    }

    async fn run_in(&self, state: &SessionState, plan: LogicalPlan) -> Result<QueryResult> {
        let explained = matches!(plan, LogicalPlan::Explain(_) | LogicalPlan::Analyze(_));
        let (physical, kpis) = if explained {
            (state.create_physical_plan(&plan).await?, Vec::new())
        } else {
            let options = state.config_options();
            let analysed = state
                .analyzer()
                .execute_and_check(plan, options, |_, _| {})?;
            let kpis = measure::used_kpis(&analysed, &self.views)?;
            let optimised = state.optimizer().optimize(analysed, state, |_, _| {})?;
            (
                state
                    .query_planner()
                    .create_physical_plan(&optimised, state)
                    .await?,
                kpis,
            )
        };
        let schema: SchemaRef = physical.schema();
        let stream = execute_stream(physical, state.task_ctx())?;
        let batches = stream.try_collect().await?;
        result::finish(&schema, batches, self.meta(kpis))
    }

    fn meta(&self, kpis: Vec<result::UsedKpi>) -> ResultMeta {
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
fn read_only(plan: &LogicalPlan) -> Result<()> {
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

/// Memory pool, caches and the one object store.
pub(crate) fn runtime(source: &Source, settings: &Settings) -> Result<Arc<RuntimeEnv>> {
    let largest_named = NonZeroUsize::MIN.saturating_add(4);
    let pool = TrackConsumersPool::new(FairSpillPool::new(settings.memory_bytes), largest_named);
    let mut builder = RuntimeEnvBuilder::new()
        .with_memory_pool(Arc::new(pool))
        .with_metadata_cache_limit(METADATA_CACHE_BYTES)
        .with_object_list_cache_limit(0)
        .with_file_statistics_cache_limit(0);
    if let Some(folder) = &settings.spill_dir {
        builder = builder.with_temp_file_path(folder);
    }
    let runtime = builder.build_arc()?;
    let local = ObjectStoreUrl::local_filesystem();
    runtime.deregister_object_store(local.as_ref())?;
    if let Source::Store(store) = source {
        let url = ObjectStoreUrl::parse(DATA_URL)?;
        let objects = store
            .object_store()
            .map_err(|e| EngineError::Store(e.to_string()))?;
        runtime.register_object_store(url.as_ref(), objects);
    }
    Ok(runtime)
}

fn config(settings: &Settings) -> SessionConfig {
    let mut config = SessionConfig::new()
        .with_target_partitions(settings.target_partitions.max(1))
        .with_default_catalog_and_schema(CATALOGUE, "kpi")
        .with_create_default_catalog_and_schema(false)
        .with_information_schema(true)
        .with_option_extension(KpiOptions {
            strict: settings.strict,
        });
    let options = config.options_mut();
    options.execution.time_zone = Some("UTC".to_owned());
    options.execution.collect_statistics = false;
    options.execution.enable_file_stream_work_stealing = false;
    options
        .execution
        .use_row_number_estimates_to_optimize_partitioning = true;
    options.execution.parquet.schema_force_view_types = false;
    options.sql_parser.map_string_types_to_utf8view = false;
    options.optimizer.expand_views_at_output = false;
    config
}

/// A session with the fact tables and functions, before there are KPIs.
struct Base {
    state: SessionState,
    catalogue: Arc<MemoryCatalogProvider>,
    models: Vec<Model>,
}

impl Base {
    fn new(version: &Version, settings: &Settings, runtime: Arc<RuntimeEnv>) -> Result<Self> {
        let mut builder = SessionStateBuilder::new_with_default_features()
            .with_config(config(settings))
            .with_runtime_env(runtime);
        let scalar = functions::scalar_functions(&settings.zone);
        let own = scalar.into_iter().chain([Arc::new(matured_function())]);
        builder
            .scalar_functions()
            .get_or_insert_default()
            .extend(own);
        let aggregates = functions::aggregate_functions().into_iter();
        let aggregates = aggregates.chain(measure::aggregate_functions());
        builder
            .aggregate_functions()
            .get_or_insert_default()
            .extend(aggregates);
        let state = builder.build();

        let catalogue = Arc::new(MemoryCatalogProvider::new());
        let (facts, events) = (fact_schema(version)?, event_schema(version)?);
        catalogue.register_schema("facts", Arc::<MemorySchemaProvider>::clone(&facts))?;
        catalogue.register_schema("events", events)?;
        let shared = Arc::<MemoryCatalogProvider>::clone(&catalogue);
        state
            .catalog_list()
            .register_catalog(CATALOGUE.to_owned(), shared);

        let models = models_of(&state, &facts)?;
        Ok(Base {
            state,
            catalogue,
            models,
        })
    }

    /// Compiles the catalogue against the models.
    fn views(
        &self,
        catalogue: &Catalogue,
        bounds: Bounds,
        settings: &Arc<Settings>,
    ) -> Result<Views> {
        let state = Arc::new(self.state.clone());
        let input = |_: &Model| CompilerInput {
            state: Arc::clone(&state),
            bounds,
            settings: Arc::clone(settings),
        };
        Views::build(self.models.clone(), catalogue, &input, &settings.zone)
    }

    /// The session of queries: with the measure rule, `kpi()` and the metadata tables.
    fn finished(self, engine: &Engine, views: &Arc<Views>, bounds: Bounds) -> Result<SessionState> {
        let (catalogue, targets) = (&engine.catalogue, &engine.targets);
        let kpi = KpiSchema::new(views)?;
        for (name, table) in metadata::metadata_tables(catalogue, targets, views)? {
            register(&kpi, name, table)?;
        }
        self.catalogue.register_schema("kpi", Arc::new(kpi))?;
        let mut rules = Analyzer::new().rules;
        // After `grouping()` is resolved, which takes columns away; before types are coerced.
        let coercion = rules
            .iter()
            .position(|r| r.name() == "type_coercion")
            .unwrap_or(0);
        rules.insert(coercion, Arc::new(MeasureRule::new(Arc::clone(views))));
        let mut state = SessionStateBuilder::new_from_existing(self.state)
            .with_analyzer_rules(rules)
            .build();
        let function = table_function::kpi_function(
            Arc::clone(catalogue),
            Arc::clone(targets),
            Arc::clone(views),
            bounds,
            &engine.settings.zone,
        );
        state.register_udtf("kpi", function);
        Ok(state)
    }
}

fn register(schema: &dyn SchemaProvider, name: &str, table: Arc<dyn TableProvider>) -> Result<()> {
    schema.register_table(name.to_owned(), table)?;
    Ok(())
}

/// All fact tables, those without rows too, and the quarantine.
fn fact_schema(version: &Version) -> Result<Arc<MemorySchemaProvider>> {
    let schema = MemorySchemaProvider::new();
    for data in version.tables().filter(|t| &*t.name != store::LOG) {
        register(&schema, &data.name, Arc::new(FactTable::new(data)?))?;
    }
    for table in facts::FactRows::TABLES {
        if !schema.table_exist(table.name) {
            register(&schema, table.name, Arc::new(FactTable::empty(table)))?;
        }
    }
    if !schema.table_exist(store::QUARANTINE)
        && let Some(columns) = store::table_schema(store::QUARANTINE)
    {
        register(
            &schema,
            store::QUARANTINE,
            Arc::new(FactTable::empty_of(columns)),
        )?;
    }
    Ok(Arc::new(schema))
}

/// `events.log`.
fn event_schema(version: &Version) -> Result<Arc<MemorySchemaProvider>> {
    let schema = MemorySchemaProvider::new();
    let table = match version.table(store::LOG) {
        Some(data) => Some(FactTable::new(data)?),
        None => store::table_schema(store::LOG).map(FactTable::empty_of),
    };
    if let Some(table) = table {
        register(&schema, "log", Arc::new(table))?;
    }
    Ok(Arc::new(schema))
}

/// Plans the models of a version without KPIs, to learn their columns.
pub(crate) fn plan_models(version: &Version, settings: &Settings) -> Result<Vec<Model>> {
    let runtime = RuntimeEnvBuilder::new().build_arc()?;
    Base::new(version, settings, runtime).map(|base| base.models)
}

/// Plans every model. One that is no fact table becomes a view in schema `facts`, unless the
/// version brings its rows along (as examples do).
fn models_of(state: &SessionState, facts: &MemorySchemaProvider) -> Result<Vec<Model>> {
    let mut models = Vec::new();
    for (name, select) in MODELS {
        let is_fact = facts::FactRows::TABLES.iter().any(|t| t.name == name);
        let given = !is_fact && facts.table_exist(name);
        let rows = format!("SELECT * FROM facts.{name}");
        let text = if given { rows.as_str() } else { select };
        let plan = plan_now(state, text)?;
        if !facts.table_exist(name) {
            register(
                facts,
                name,
                Arc::new(ViewTable::new(plan.clone(), Some(select.to_owned()))),
            )?;
        }
        models.push(Model::new(name, plan)?);
    }
    Ok(models)
}

/// Plans SQL over tables that are all in memory, where planning never waits.
fn plan_now(state: &SessionState, text: &str) -> Result<LogicalPlan> {
    match state.create_logical_plan(text).now_or_never() {
        Some(plan) => Ok(plan?),
        None => Err(EngineError::Internal(
            "planning a model had to wait".to_owned(),
        )),
    }
}
