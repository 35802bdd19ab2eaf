//! The thread that looks for damage in files that nobody has asked for.

use std::{
    sync::{
        Arc,
        mpsc::{Receiver, RecvTimeoutError},
    },
    time::Duration,
};

use store::{Scrub, Scrubbed, Store};

use super::{LiveSettings, state::Shared};

/// Between two files, at least: however many are due, this is the most that it reads.
const TICK: Duration = Duration::from_secs(1);

/// See the module.
pub(super) struct Scrubber {
    pub store: Arc<Store>,
    pub shared: Arc<Shared>,
    pub settings: Arc<LiveSettings>,
}

impl Scrubber {
    /// Works until the sender goes.
    pub fn run(self, end: &Receiver<()>) {
        let mut scrub = Scrub::new(self.settings.scrub_period);
        while end.recv_timeout(TICK) == Err(RecvTimeoutError::Timeout) {
            let Some(found) = scrub.step(&self.store, (self.settings.clock)()) else {
                continue;
            };
            if let Scrubbed::Unreadable(error) = &found {
                tracing::warn!(%error, "a data file cannot be read");
            }
            self.shared.scrubbed(&found);
        }
    }
}
