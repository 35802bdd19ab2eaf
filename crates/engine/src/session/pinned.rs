//! What a session reads: the rows and bounds of one version.
//!
//! Plans hold tables without rows and bounds without values, so they are compiled once and serve
//! every version. A session carries what they stand for, as an extension of its configuration.

use std::any::Any;
use std::sync::Arc;

use chrono_tz::Tz;
use datafusion::catalog::Session;
use datafusion::common::config::{ConfigEntry, ConfigExtension, ExtensionOptions};
use datafusion::common::plan_err;
use datafusion::error::Result;
use datafusion::execution::SessionState;
use store::{DataFile, MemoryRows, Version};

use super::Bounds;
use crate::error::EngineError;

/// The rows that the scans of a session find.
#[derive(Debug)]
pub(crate) enum Pinned {
    /// All of a version.
    Version(Arc<Version>),
    /// Some files of one table.
    Files {
        /// Its name in the store.
        table: Arc<str>,
        /// The files.
        files: Vec<Arc<DataFile>>,
    },
}

/// The rows of one table.
#[derive(Clone, Copy, Default)]
pub(crate) struct Rows<'a> {
    pub files: &'a [Arc<DataFile>],
    pub memory: &'a [MemoryRows],
}

impl Pinned {
    /// The rows of a table; none if there is no such table.
    pub(crate) fn rows(&self, name: &str) -> Rows<'_> {
        match self {
            Pinned::Version(version) => version.table(name).map_or(Rows::default(), |data| Rows {
                files: &data.files,
                memory: &data.memory,
            }),
            Pinned::Files { table, files } if **table == *name => Rows { files, memory: &[] },
            Pinned::Files { .. } => Rows::default(),
        }
    }

    /// Makes the scans of a session find these rows.
    pub(super) fn pin(self: Arc<Self>, state: &mut SessionState) {
        state.config_mut().set_extension(self);
    }
}

/// What a session reads.
pub(crate) fn pinned(session: &dyn Session) -> Result<Arc<Pinned>> {
    let missing = || EngineError::Internal("the session has no version".to_owned());
    Ok(session
        .config()
        .get_extension::<Pinned>()
        .ok_or_else(missing)?)
}

/// What a version covers, which one it is, and for which zone it is asked.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Now {
    pub bounds: Bounds,
    /// Its committed sequence.
    pub revision: u64,
    /// Whose days and months models count.
    pub zone: Tz,
}

/// What a session reads covers, where expressions can see it: in its options. It is no option that
/// anyone can list or set.
#[derive(Clone, Debug)]
pub(crate) struct PinnedNow(pub Now);

impl ConfigExtension for PinnedNow {
    const PREFIX: &'static str = "callgauge_bounds";
}

impl ExtensionOptions for PinnedNow {
    fn as_any(&self) -> &dyn Any {
        self
    }

    fn as_any_mut(&mut self) -> &mut dyn Any {
        self
    }

    fn cloned(&self) -> Box<dyn ExtensionOptions> {
        Box::new(self.clone())
    }

    fn set(&mut self, key: &str, _: &str) -> Result<()> {
        plan_err!("there is no option {}.{key}", Self::PREFIX)
    }

    fn entries(&self) -> Vec<ConfigEntry> {
        Vec::new()
    }
}

/// What the version that a session reads covers.
pub(crate) fn now_of(options: &datafusion::config::ConfigOptions) -> Result<Now> {
    let missing = || EngineError::Internal("the session has no bounds".to_owned());
    let pinned = options.extensions.get::<PinnedNow>().ok_or_else(missing)?;
    Ok(pinned.0)
}
