//! What an engine answers with, and how other definitions take its place.
//!
//! Definitions, targets and values of parameters belong together: they are compiled as one and
//! adopted as one. [`Engine::compile`](crate::Engine::compile) finds everything that is wrong
//! while the old ones still answer; [`Engine::adopt`](crate::Engine::adopt) cannot fail.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use datafusion::execution::runtime_env::RuntimeEnv;
use kpi::{Catalogue, ParamValue, Targets};
use store::Version;

use crate::session::Compiled;
use crate::{EngineError, Settings, live};

/// Values of parameters that replace the defaults: KPI id, parameter name, value.
pub type Params = BTreeMap<String, BTreeMap<String, ParamValue>>;

/// What may take the place of what an engine answers with.
#[derive(Clone, Debug)]
pub struct Definitions {
    /// The KPIs.
    pub catalogue: Arc<Catalogue>,
    /// What they are measured against.
    pub targets: Arc<Targets>,
    /// Parameters of these KPIs, as [`Settings::params`].
    pub params: Params,
}

/// Definitions that have been compiled and can be adopted.
pub struct Redefinition {
    pub(crate) defined: Arc<Defined>,
    pub(crate) compiled: Arc<Compiled>,
}

impl Redefinition {
    /// The KPIs.
    pub fn catalogue(&self) -> &Arc<Catalogue> {
        &self.defined.catalogue
    }

    /// Ids of the KPIs that a live board could have, as
    /// [`possible_kpis`](crate::live::possible_kpis).
    ///
    /// # Errors
    /// When a row expression cannot be read.
    pub fn live_kpis(&self) -> Result<BTreeSet<String>, EngineError> {
        live::possible(&self.defined.catalogue, &self.compiled.views)
    }
}

/// What holds now.
#[derive(Clone)]
pub(crate) struct Defined {
    pub catalogue: Arc<Catalogue>,
    pub targets: Arc<Targets>,
    /// With the values of parameters.
    pub settings: Arc<Settings>,
}

impl Defined {
    pub(crate) fn compiled(
        &self,
        version: &Version,
        runtime: &Arc<RuntimeEnv>,
    ) -> Result<Compiled, EngineError> {
        let definitions = (&self.catalogue, &self.targets);
        Compiled::new(version, definitions, &self.settings, Arc::clone(runtime))
    }
}
