//! The thread that writes and reads whole files, so that neither answers nor folding wait for it.

use std::sync::{
    Arc,
    mpsc::{Receiver, Sender},
};

use store::Store;

use super::{applier::Unit, state::Shared};

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
            }
        }
    }

    fn compact(&self) {
        match self.store.compact(FILES_TOGETHER) {
            Ok(0) => {}
            Ok(files) => tracing::info!(files, "put small files together"),
            Err(error) => tracing::warn!(%error, "small files stay as they are"),
        }
    }
}
