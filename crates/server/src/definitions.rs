//! What is known of the KPI definitions that the server answers with.
//!
//! Whoever reads definition files tells it here when others are in use, or were found wrong; the
//! catalogue, the metrics and `/healthz` show it. The server itself never reads such a file.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use events::UtcMicros;

/// Which definitions are in use, and what was wrong with the newest files. Clones share it.
#[derive(Clone, Debug)]
pub struct DefinitionsNews(Arc<Mutex<DefinitionsState>>);

/// What is known at a moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DefinitionsState {
    /// Names the texts of the files in use: the same texts have the same hash anywhere.
    pub hash: String,
    /// When they came into use.
    pub since: UtcMicros,
    /// How often others have taken the place of those before.
    pub taken: u64,
    /// How often files were not taken.
    pub refused: u64,
    /// Why the newest files are not in use; `None` when they are.
    pub problem: Option<DefinitionsProblem>,
}

/// Why files were not taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DefinitionsProblem {
    /// When they were looked at.
    pub at: UtcMicros,
    /// What is wrong, with file, line and what to do.
    pub message: String,
}

impl DefinitionsNews {
    /// The definitions that a server begins with.
    pub fn new(hash: impl Into<String>, since: UtcMicros) -> Self {
        DefinitionsNews(Arc::new(Mutex::new(DefinitionsState {
            hash: hash.into(),
            since,
            taken: 0,
            refused: 0,
            problem: None,
        })))
    }

    /// Others are in use.
    pub fn taken(&self, hash: impl Into<String>, at: UtcMicros) {
        let mut state = self.lock();
        state.taken += 1;
        (state.hash, state.since, state.problem) = (hash.into(), at, None);
    }

    /// The newest files cannot be used: those of before stay.
    pub fn refused(&self, message: impl Into<String>, at: UtcMicros) {
        let mut state = self.lock();
        state.refused += 1;
        let message = message.into();
        state.problem = Some(DefinitionsProblem { at, message });
    }

    /// The files are again those in use.
    pub fn settled(&self) {
        self.lock().problem = None;
    }

    /// What is known now.
    pub fn state(&self) -> DefinitionsState {
        self.lock().clone()
    }

    fn lock(&self) -> MutexGuard<'_, DefinitionsState> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
