//! How a KPI request becomes a plan and a number.
//!
//! An [`Engine`] answers SQL and KPI requests over one pinned, immutable version of the stored
//! facts. The only home of KPI arithmetic is the compiled definition ([`KpiPlan`]): the KPI
//! views, `MEASURE`, the grain views, the `kpi()` table function and [`Engine::kpi`] all read it.
//!
//! This is the only crate that names DataFusion. It knows no HTTP, no gRPC and no file layout.

mod compile;
mod error;
mod examples;
mod functions;
mod measure;
mod metadata;
mod models;
mod provider;
mod request;
mod result;
mod session;
mod settings;
mod table_function;
mod views;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use datafusion::execution::runtime_env::RuntimeEnv;
use kpi::{Catalogue, Targets};
use store::{Store, Version};

pub use compile::{KpiPlan, PartPlan};
pub use error::EngineError;
pub use examples::*;
pub use models::model_specs;
pub use request::*;
pub use result::{QueryResult, ResultMeta, UsedKpi};
pub use session::{Bounds, SessionSettings, Snapshot};
pub use settings::Settings;
pub use views::{ModelView, Views};

/// Where an engine takes its data from.
#[derive(Clone)]
pub enum Source {
    /// A store: every query pins its newest version.
    Store(Arc<Store>),
    /// One fixed version, for examples and tests.
    Version(Arc<Version>),
}

impl From<Arc<Store>> for Source {
    fn from(store: Arc<Store>) -> Self {
        Source::Store(store)
    }
}

impl From<Arc<Version>> for Source {
    fn from(version: Arc<Version>) -> Self {
        Source::Version(version)
    }
}

/// Answers SQL and KPI requests. Cheap to share; every query pins one version.
pub struct Engine {
    source: Source,
    catalogue: Arc<Catalogue>,
    targets: Arc<Targets>,
    settings: Arc<Settings>,
    runtime: Arc<RuntimeEnv>,
    /// The snapshot of the newest version seen, with its compiled plans.
    latest: Mutex<Option<Arc<Snapshot>>>,
}

impl Engine {
    /// An engine with the shipped targets.
    ///
    /// # Errors
    /// When the memory pool, the data folder or a KPI definition cannot be used.
    pub fn new(
        source: impl Into<Source>,
        catalogue: Arc<Catalogue>,
        settings: Settings,
    ) -> Result<Engine, EngineError> {
        let source = source.into();
        let targets = Targets::builtin(&catalogue).map_err(EngineError::definitions)?;
        let runtime = session::runtime(&source, &settings)?;
        Ok(Engine {
            source,
            catalogue,
            targets: Arc::new(targets),
            settings: Arc::new(settings),
            runtime,
            latest: Mutex::new(None),
        })
    }

    /// The same engine with other targets.
    #[must_use]
    pub fn with_targets(self, targets: Arc<Targets>) -> Engine {
        Engine {
            targets,
            latest: Mutex::new(None),
            ..self
        }
    }

    /// The KPI definitions it answers with.
    pub fn catalogue(&self) -> &Arc<Catalogue> {
        &self.catalogue
    }

    /// The targets it compares with.
    pub fn targets(&self) -> &Arc<Targets> {
        &self.targets
    }

    /// Its settings.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Pins the newest version. Compiled plans are kept while the version stays the same.
    ///
    /// # Errors
    /// When a KPI definition does not compile against its model.
    pub async fn snapshot(&self) -> Result<Arc<Snapshot>, EngineError> {
        let version = match &self.source {
            Source::Store(store) => store.version(),
            Source::Version(version) => Arc::clone(version),
        };
        if let Some(known) = self.latest().as_ref()
            && Arc::ptr_eq(&known.version, &version)
        {
            return Ok(Arc::clone(known));
        }
        let snapshot = Arc::new(Snapshot::open(self, version).await?);
        *self.latest() = Some(Arc::clone(&snapshot));
        Ok(snapshot)
    }

    /// A panic of another thread leaves a whole value behind: it is replaced, never changed.
    fn latest(&self) -> MutexGuard<'_, Option<Arc<Snapshot>>> {
        self.latest.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Answers one SQL query over the newest version.
    ///
    /// # Errors
    /// A query that does not parse, is refused, or fails while it runs.
    pub async fn sql(&self, text: &str) -> Result<QueryResult, EngineError> {
        self.snapshot().await?.sql(text).await
    }

    /// Answers one SQL statement of a session over the newest version; what it `SET`s holds for
    /// the statements that come with the same `session`.
    ///
    /// # Errors
    /// As [`Engine::sql`]; and a value that the variable cannot have.
    pub async fn sql_in(
        &self,
        text: &str,
        session: &mut SessionSettings,
    ) -> Result<QueryResult, EngineError> {
        self.snapshot().await?.sql_in(text, session).await
    }
}
