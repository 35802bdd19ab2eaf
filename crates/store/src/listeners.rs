//! Those who want to know when there is a newer version.

use std::{
    fmt,
    sync::{Arc, Mutex, PoisonError, Weak},
};

use crate::Version;

/// Called with each new version, by the thread that makes it: it is to be quick, and must not
/// change the store.
pub type Listener = dyn Fn(&Version) + Send + Sync;

/// See the module.
#[derive(Default)]
pub(crate) struct Listeners(Mutex<Vec<Weak<Listener>>>);

impl fmt::Debug for Listeners {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Listeners").finish_non_exhaustive()
    }
}

impl Listeners {
    pub fn add(&self, listener: &Arc<Listener>) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|known| known.strong_count() > 0);
        all.push(Arc::downgrade(listener));
    }

    pub fn tell(&self, version: &Version) {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let all: Vec<_> = all.iter().filter_map(Weak::upgrade).collect();
        all.iter().for_each(|listener| listener(version));
    }
}
