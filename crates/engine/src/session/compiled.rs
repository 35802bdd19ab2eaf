//! What all versions share: tables without rows, compiled KPIs, views, and a session to copy.
//!
//! Compiling takes longer than most queries, and a live server has a new version many times a
//! second. So it is done once for tables of the same names and columns, which are those of every
//! version of a store.

use std::num::NonZeroUsize;
use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use datafusion::catalog::{
    CatalogProvider, CatalogProviderList, MemoryCatalogProvider, MemoryCatalogProviderList,
    MemorySchemaProvider, SchemaProvider, TableProvider,
};
use datafusion::datasource::ViewTable;
use datafusion::execution::FunctionRegistry;
use datafusion::execution::memory_pool::{FairSpillPool, TrackConsumersPool};
use datafusion::execution::object_store::ObjectStoreUrl;
use datafusion::execution::runtime_env::{RuntimeEnv, RuntimeEnvBuilder};
use datafusion::execution::{SessionState, SessionStateBuilder, SessionStateDefaults};
use datafusion::logical_expr::LogicalPlan;
use datafusion::logical_expr::planner::ExprPlanner;
use datafusion::optimizer::Analyzer;
use datafusion::prelude::SessionConfig;
use futures::FutureExt;
use kpi::{Catalogue, Targets};
use store::Version;

use super::Result;
use super::fact_schema::FactSchema;
use super::kpi_schema::KpiSchema;
use super::options::KpiOptions;
use crate::compile::matured_function;
use crate::error::EngineError;
use crate::measure::{self, MeasureRule};
use crate::models::{MODELS, Model};
use crate::provider::{DATA_URL, FactTable};
use crate::settings::{METADATA_CACHE_BYTES, Settings};
use crate::views::{CompilerInput, Views};
use crate::{Source, functions, metadata, table_function};

/// The catalogue's name in SQL.
pub(crate) const CATALOGUE: &str = "callgauge";

const FACTS: &str = "facts";

/// Schemas of the catalogue that have tables of their own.
pub(crate) const SCHEMAS: [&str; 3] = ["kpi", FACTS, "events"];

/// See the module.
pub(crate) struct Compiled {
    pub views: Arc<Views>,
    pub catalogue: Arc<Catalogue>,
    pub targets: Arc<Targets>,
    pub settings: Arc<Settings>,
    /// Without anything pinned.
    pub state: SessionState,
    /// The same for those who do not see raw lines.
    pub masked: SessionState,
    shape: Vec<(Arc<str>, SchemaRef)>,
}

impl Compiled {
    /// Registers the tables of a version, compiles the KPIs, builds the views.
    pub(crate) fn new(
        version: &Version,
        (catalogue, targets): (&Arc<Catalogue>, &Arc<Targets>),
        settings: &Arc<Settings>,
        runtime: Arc<RuntimeEnv>,
    ) -> Result<Compiled> {
        let base = Base::new(version, settings, runtime)?;
        let views = Arc::new(base.views(catalogue, settings)?);
        let facts = FactSchema::new(&base.facts, false);
        let state = base.finished((catalogue, targets), settings, &views)?;
        Ok(Compiled {
            masked: masked(&state, facts)?,
            views,
            catalogue: Arc::clone(catalogue),
            targets: Arc::clone(targets),
            settings: Arc::clone(settings),
            state,
            shape: shape(version),
        })
    }

    /// Do its plans fit this version too?
    pub(crate) fn fits(&self, version: &Version) -> bool {
        self.shape == shape(version)
    }

    /// `kpi()` with another zone for instants and buckets that name none.
    pub(crate) fn kpi_function(
        &self,
        zone: &str,
    ) -> Arc<dyn datafusion::catalog::TableFunctionImpl> {
        kpi_function((&self.catalogue, &self.targets), &self.views, zone)
    }
}

fn kpi_function(
    (catalogue, targets): (&Arc<Catalogue>, &Arc<Targets>),
    views: &Arc<Views>,
    zone: &str,
) -> Arc<dyn datafusion::catalog::TableFunctionImpl> {
    table_function::kpi_function(
        Arc::clone(catalogue),
        Arc::clone(targets),
        Arc::clone(views),
        zone,
    )
}

/// Names and columns of the tables. Versions of one store share their schemas.
fn shape(version: &Version) -> Vec<(Arc<str>, SchemaRef)> {
    let of = |data: &store::TableData| (Arc::clone(&data.name), Arc::clone(&data.schema));
    version.tables().map(of).collect()
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
    options.execution.enable_recursive_ctes = false;
    options.execution.enable_file_stream_work_stealing = false;
    options
        .execution
        .use_row_number_estimates_to_optimize_partitioning = true;
    options.execution.parquet.schema_force_view_types = false;
    options.sql_parser.map_string_types_to_utf8view = false;
    options.sql_parser.collect_spans = true;
    options.optimizer.expand_views_at_output = false;
    // It writes fields of structs below the views, whose columns it then names twice.
    options.optimizer.enable_leaf_expression_pushdown = false;
    config
}

/// A session that knows the functions of the list and no file format: what is not named here, a
/// query cannot do.
fn session(settings: &Settings, runtime: Arc<RuntimeEnv>) -> SessionState {
    // Later ones replace those of the same name: our own come last.
    let mut scalars = functions::builtin_scalars();
    scalars.extend(functions::scalar_functions(&settings.zone));
    scalars.push(Arc::new(matured_function()));
    let mut aggregates = functions::builtin_aggregates();
    aggregates.extend(functions::aggregate_functions());
    aggregates.extend(measure::aggregate_functions());
    let mut planners: Vec<Arc<dyn ExprPlanner>> = vec![Arc::new(functions::OperatorPlanner)];
    planners.extend(SessionStateDefaults::default_expr_planners());
    SessionStateBuilder::new()
        .with_config(config(settings))
        .with_runtime_env(runtime)
        .with_expr_planners(planners)
        .with_scalar_functions(scalars)
        .with_higher_order_functions(SessionStateDefaults::default_higher_order_functions())
        .with_aggregate_functions(aggregates)
        .with_window_functions(functions::builtin_windows())
        .with_table_function_list(functions::builtin_tables())
        .build()
}

/// A session with the fact tables and functions, before there are KPIs.
struct Base {
    state: SessionState,
    catalogue: Arc<MemoryCatalogProvider>,
    facts: Arc<MemorySchemaProvider>,
    models: Vec<Model>,
}

impl Base {
    fn new(version: &Version, settings: &Settings, runtime: Arc<RuntimeEnv>) -> Result<Self> {
        let state = session(settings, runtime);

        let catalogue = Arc::new(MemoryCatalogProvider::new());
        let (facts, events) = (fact_schema(version)?, event_schema(version)?);
        catalogue.register_schema(FACTS, Arc::new(FactSchema::new(&facts, true)))?;
        catalogue.register_schema("events", events)?;
        let shared = Arc::<MemoryCatalogProvider>::clone(&catalogue);
        state
            .catalog_list()
            .register_catalog(CATALOGUE.to_owned(), shared);

        let models = models_of(&state, &facts)?;
        Ok(Base {
            state,
            catalogue,
            facts,
            models,
        })
    }

    /// Compiles the catalogue against the models.
    fn views(&self, catalogue: &Catalogue, settings: &Arc<Settings>) -> Result<Views> {
        let state = Arc::new(self.state.clone());
        let input = |_: &Model| CompilerInput {
            state: Arc::clone(&state),
            settings: Arc::clone(settings),
        };
        Views::build(self.models.clone(), catalogue, &input, settings)
    }

    /// The session of queries: with the measure rule, `kpi()` and the metadata tables.
    fn finished(
        self,
        (catalogue, targets): (&Arc<Catalogue>, &Arc<Targets>),
        settings: &Settings,
        views: &Arc<Views>,
    ) -> Result<SessionState> {
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
        state.register_udtf(
            "kpi",
            kpi_function((catalogue, targets), views, &settings.zone),
        );
        Ok(state)
    }
}

/// The session with other facts.
fn masked(state: &SessionState, facts: FactSchema) -> Result<SessionState> {
    let masked = Arc::new(MemoryCatalogProvider::new());
    if let Some(catalogue) = state.catalog_list().catalog(CATALOGUE) {
        for name in catalogue
            .schema_names()
            .iter()
            .filter(|name| *name != FACTS)
        {
            if let Some(schema) = catalogue.schema(name) {
                masked.register_schema(name, schema)?;
            }
        }
    }
    masked.register_schema(FACTS, Arc::new(facts))?;
    let list = MemoryCatalogProviderList::new();
    list.register_catalog(CATALOGUE.to_owned(), masked);
    Ok(SessionStateBuilder::new_from_existing(state.clone())
        .with_catalog_list(Arc::new(list))
        .build())
}

fn register(schema: &dyn SchemaProvider, name: &str, table: Arc<dyn TableProvider>) -> Result<()> {
    schema.register_table(name.to_owned(), table)?;
    Ok(())
}

/// All fact tables and the quarantine; a version has those without rows too.
fn fact_schema(version: &Version) -> Result<Arc<MemorySchemaProvider>> {
    let schema = MemorySchemaProvider::new();
    for data in version.tables().filter(|t| &*t.name != store::LOG) {
        register(&schema, &data.name, Arc::new(FactTable::new(data)?))?;
    }
    Ok(Arc::new(schema))
}

/// `events.log`.
fn event_schema(version: &Version) -> Result<Arc<MemorySchemaProvider>> {
    let schema = MemorySchemaProvider::new();
    if let Some(log) = version.table(store::LOG) {
        register(&schema, "log", Arc::new(FactTable::new(log)?))?;
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
    let mut planner = state.clone();
    for function in functions::model_functions() {
        planner.register_udf(function)?;
    }
    for (name, select) in MODELS {
        let is_fact = facts::FactRows::TABLES.iter().any(|t| t.name == name);
        let given = !is_fact && facts.table_exist(name);
        let rows = format!("SELECT * FROM facts.{name}");
        let text = if given { rows.as_str() } else { select };
        let plan = plan_now(&planner, &functions::with_calls(text))?;
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
