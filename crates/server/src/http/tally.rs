//! What became of a query, for the metrics.

use std::{fmt, sync::Arc};

use tokio::time::Instant;

use super::App;
use crate::error::{ApiError, Code};

/// Counts one query when it is dropped: as cancelled, unless somebody said otherwise. A client
/// that goes away drops everything that works for it.
pub(super) struct Tally {
    app: Arc<App>,
    begun: Instant,
    word: &'static str,
}

impl Tally {
    pub(super) fn new(app: &Arc<App>, begun: Instant) -> Self {
        Tally {
            app: Arc::clone(app),
            begun,
            word: Code::Cancelled.word(),
        }
    }

    pub(super) fn done(&mut self) {
        self.word = "ok";
    }

    pub(super) fn failed(&mut self, error: &ApiError) {
        self.word = error.code.word();
    }
}

impl Drop for Tally {
    fn drop(&mut self) {
        self.app
            .metrics
            .query("http", self.word, self.begun.elapsed());
    }
}

impl fmt::Debug for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tally").field("word", &self.word).finish()
    }
}
