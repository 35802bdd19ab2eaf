//! How a KPI request becomes a plan and a number.
//!
//! An [`Engine`] answers SQL and KPI requests over one pinned, immutable version of the stored
//! facts. The only home of KPI arithmetic is the compiled definition ([`KpiPlan`]): the KPI
//! views, `MEASURE`, the grain views, the `kpi()` table function and [`Engine::kpi`] all read it.
//!
//! This is the only crate that names DataFusion. It knows no HTTP, no gRPC and no file layout.

mod compile;
mod definitions;
mod error;
mod examples;
mod functions;
pub mod guard;
pub mod live;
mod measure;
mod metadata;
mod models;
mod present;
mod provider;
mod request;
mod result;
pub mod service;
mod session;
mod settings;
mod statements;
mod table_function;
mod views;
mod wire;

use std::sync::{Arc, PoisonError, RwLock};

use datafusion::execution::runtime_env::RuntimeEnv;
use kpi::{Catalogue, Targets};
use store::{Store, Version};
use tokio::sync::Mutex;

pub use compile::{KpiPlan, PartPlan};
use definitions::Defined;
pub use definitions::{Definitions, Params, Redefinition};
pub use error::EngineError;
pub use examples::*;
pub use functions::{FunctionNames, names_by_kind as function_names};
pub use metadata::{KpiEntry, LineageStep, ParamEntry, ParamRuleEntry, PartEntry, TargetEntry};
pub use models::model_specs;
pub use present::Present;
pub use request::*;
pub use result::{QueryResult, ResultMeta, UsedKpi};
pub use session::{Bounds, SessionChange, SessionSettings, Snapshot};
use session::{Compiled, Seen};
pub use settings::Settings;
pub use statements::Action;
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

/// Answers SQL and KPI requests. Cheap to share; every query pins one version of the data and one
/// set of definitions.
pub struct Engine {
    source: Source,
    /// What the next version is compiled with; changed only with `latest` locked.
    defined: RwLock<Arc<Defined>>,
    /// What counts as now, where events are taken as they happen.
    present: Option<Clock>,
    runtime: Arc<RuntimeEnv>,
    latest: Mutex<Latest>,
}

/// Tells what time it is, as far as that says something about the data.
type Clock = Arc<dyn Fn() -> Present + Send + Sync>;

/// What the newest version has in common with the next.
#[derive(Default)]
struct Latest {
    snapshot: Option<Arc<Snapshot>>,
    compiled: Option<Arc<Compiled>>,
    seen: Seen,
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
        let defined = Defined {
            catalogue,
            targets: Arc::new(targets),
            settings: Arc::new(settings),
        };
        Ok(Engine {
            source,
            defined: RwLock::new(Arc::new(defined)),
            present: None,
            runtime,
            latest: Mutex::default(),
        })
    }

    /// The same engine over data that grow as things happen, as those of a server that takes events.
    /// What counts as now (`as_of`) is then the present and not the newest event: if nothing came in
    /// the last hour, nothing happened in it. The live board says so by the same rule. Where events
    /// are not taken any more there is no such present, see [`Present`].
    #[must_use]
    pub fn with_present(self, now: Arc<dyn Fn() -> Present + Send + Sync>) -> Engine {
        Engine {
            present: Some(now),
            ..self
        }
    }

    /// The same engine with other targets.
    #[must_use]
    pub fn with_targets(self, targets: Arc<Targets>) -> Engine {
        let defined = Defined {
            targets,
            ..Defined::clone(&self.defined())
        };
        Engine {
            defined: RwLock::new(Arc::new(defined)),
            latest: Mutex::default(),
            ..self
        }
    }

    /// The KPI definitions that the next question is answered with.
    pub fn catalogue(&self) -> Arc<Catalogue> {
        Arc::clone(&self.defined().catalogue)
    }

    /// The targets that the next answer is compared with.
    pub fn targets(&self) -> Arc<Targets> {
        Arc::clone(&self.defined().targets)
    }

    /// Its settings.
    pub fn settings(&self) -> Arc<Settings> {
        Arc::clone(&self.defined().settings)
    }

    fn defined(&self) -> Arc<Defined> {
        let defined = self.defined.read();
        Arc::clone(&defined.unwrap_or_else(PoisonError::into_inner))
    }

    /// Compiles other definitions against the newest version, and changes nothing so far.
    ///
    /// # Errors
    /// A definition that does not compile against its model, with file, line and column.
    pub fn compile(&self, definitions: Definitions) -> Result<Redefinition, EngineError> {
        let settings = Settings {
            params: definitions.params,
            ..Settings::clone(&self.settings())
        };
        let defined = Defined {
            catalogue: definitions.catalogue,
            targets: definitions.targets,
            settings: Arc::new(settings),
        };
        let compiled = defined.compiled(&self.version(), &self.runtime)?;
        Ok(Redefinition {
            defined: Arc::new(defined),
            compiled: Arc::new(compiled),
        })
    }

    /// From the next question on answers with these definitions, all of them at once. A question
    /// that is being answered, and a statement that is planned, go on with those of before.
    pub async fn adopt(&self, redefinition: Redefinition) {
        let mut latest = self.latest.lock().await;
        latest.compiled = Some(redefinition.compiled);
        latest.snapshot = None;
        let mut defined = self.defined.write().unwrap_or_else(PoisonError::into_inner);
        *defined = redefinition.defined;
    }

    /// Pins the newest version. What is compiled serves all versions, and of the data only what
    /// is new is looked at: this may be done for every query.
    ///
    /// # Errors
    /// As [`Engine::stored`]; and [`EngineError::Behind`].
    pub async fn snapshot(&self) -> Result<Arc<Snapshot>, EngineError> {
        let snapshot = self.stored().await?;
        match self.present() {
            Some(Present::At(now)) => Ok(Arc::new(snapshot.at(now))),
            Some(Present::Behind) => Err(EngineError::Behind),
            Some(Present::Unknown) | None => Ok(snapshot),
        }
    }

    /// The same whatever the present is, and whatever the data lack: for who looks at definitions and
    /// not at numbers.
    ///
    /// # Errors
    /// When a KPI definition does not compile against its model, or a file cannot be read.
    pub async fn stored(&self) -> Result<Arc<Snapshot>, EngineError> {
        // One at a time, and the version is taken inside: so versions are seen in their order.
        let mut latest = self.latest.lock().await;
        let version = self.version();
        if let Some(known) = &latest.snapshot
            && Arc::ptr_eq(&known.version, &version)
        {
            return Ok(Arc::clone(known));
        }
        let compiled = match latest.compiled.take().filter(|known| known.fits(&version)) {
            Some(known) => known,
            None => {
                latest.seen = Seen::default();
                Arc::new(self.defined().compiled(&version, &self.runtime)?)
            }
        };
        latest.compiled = Some(Arc::clone(&compiled));
        let bounds = latest
            .seen
            .bounds(&compiled.state, &version, &compiled.settings)
            .await?;
        let runtime = Arc::clone(&self.runtime);
        let snapshot = Arc::new(Snapshot::new(version, bounds, compiled, runtime));
        latest.snapshot = Some(Arc::clone(&snapshot));
        Ok(snapshot)
    }

    /// What counts as now; `None` over data that were brought.
    pub(crate) fn present(&self) -> Option<Present> {
        self.present.as_ref().map(|now| now())
    }

    /// Everything there is to say about each KPI, in the order of the catalogue that comes with
    /// it. Depends on the definitions alone.
    ///
    /// # Errors
    /// As [`Engine::stored`].
    pub async fn entries(&self) -> Result<(Arc<Catalogue>, Vec<KpiEntry>), EngineError> {
        let snapshot = self.stored().await?;
        let (catalogue, targets) = (snapshot.catalogue(), snapshot.targets());
        let entries = metadata::entries(catalogue, targets, snapshot.views());
        Ok((Arc::clone(catalogue), entries))
    }

    /// Memory, spill folder, caches and object store of its own queries.
    pub(crate) fn runtime(&self) -> &Arc<RuntimeEnv> {
        &self.runtime
    }

    /// Tells `listener` of every newer version, for as long as somebody else holds it.
    pub(crate) fn on_version(&self, listener: &Arc<store::Listener>) {
        if let Source::Store(store) = &self.source {
            store.on_version(listener);
        }
    }

    /// From now on keeps what commits change, as [`Store::follow`]; `None` of one fixed version.
    pub(crate) fn follow(&self, rows_max: usize) -> Option<Arc<store::Follower>> {
        match &self.source {
            Source::Store(store) => Some(store.follow(rows_max)),
            Source::Version(_) => None,
        }
    }

    /// The newest version.
    pub(crate) fn version(&self) -> Arc<Version> {
        match &self.source {
            Source::Store(store) => store.version(),
            Source::Version(version) => Arc::clone(version),
        }
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
