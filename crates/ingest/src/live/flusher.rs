//! The thread that writes and reads whole files, so that neither answers nor folding wait for it.

use std::{
    sync::{
        Arc,
        mpsc::{Receiver, Sender},
    },
    time::Instant,
};

use events::UtcMicros;
use store::Store;

use super::{LiveSettings, applier::Unit, repair::DATA_LOST, state::Shared};
use crate::dedupe::{DAY_MICROS, utc_day};

/// Small files of a table before they are put together.
const FILES_TOGETHER: usize = 8;

/// Work for the flusher.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Task {
    /// Write the events in memory to a file.
    Prepare,
    /// Read back what the last flush wrote, then put small files together.
    Confirm,
}

/// See the module.
pub(super) struct Flusher {
    pub store: Arc<Store>,
    pub shared: Arc<Shared>,
    pub settings: Arc<LiveSettings>,
    pub answers: Sender<Unit>,
}

impl Flusher {
    /// Works until nobody can ask any more.
    pub fn run(self, tasks: &Receiver<Task>) {
        while let Ok(task) = tasks.recv() {
            let answer = match task {
                Task::Prepare => Unit::Prepared(self.store.prepare_log()),
                Task::Confirm => Unit::Confirmed(self.store.confirm_flush()),
            };
            if self.answers.send(answer).is_err() {
                return;
            }
            if task == Task::Confirm && !self.shared.is_stopped() {
                self.compact();
                self.drop_rejected();
            }
        }
        if !self.shared.is_stopped() {
            self.drop_rejected();
        }
    }

    /// Lets rejected lines go that have been kept long enough.
    fn drop_rejected(&self) {
        let Some(days) = self.settings.keep_rejected_days else {
            return;
        };
        let first = utc_day((self.settings.clock)()).saturating_sub(days.into());
        let before = UtcMicros(first.saturating_mul(DAY_MICROS));
        match self.store.drop_rejected(before, DATA_LOST) {
            Ok(0) => {}
            Ok(rows) => tracing::info!(rows, %before, "rejected lines were kept long enough"),
            Err(error) => tracing::warn!(%error, "old rejected lines stay for now"),
        }
    }

    fn compact(&self) {
        let begun = Instant::now();
        match self.store.compact(FILES_TOGETHER) {
            Ok(0) => {}
            Ok(files) => {
                self.shared.compacted(begun.elapsed());
                tracing::info!(files, "put small files together");
            }
            Err(error) => {
                if matches!(error, store::Error::DiskFull { .. }) {
                    self.store.free_ballast();
                }
                tracing::warn!(%error, "small files stay as they are");
            }
        }
    }
}
