//! Something read from files, and read again when they change.
//!
//! Files are looked at when the thing is asked for, at most once in [`limits::RELOAD_EVERY`]. New
//! files that cannot be used are logged, and the old thing stays: a slip of an editor must not
//! lock everybody out.

use std::{
    fmt, fs,
    os::unix::fs::MetadataExt,
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
    time::{Instant, SystemTime},
};

use crate::limits;

/// Time of the last change, length, inode; `None` of a file that cannot be looked at.
type Stamp = Vec<Option<(SystemTime, u64, u64)>>;

type Read<T> = Box<dyn Fn() -> Result<T, String> + Send + Sync>;

/// A thing and the files it comes from.
pub(crate) struct Reloading<T> {
    what: &'static str,
    files: Vec<PathBuf>,
    read: Read<T>,
    state: Mutex<State<T>>,
}

struct State<T> {
    value: Arc<T>,
    stamp: Stamp,
    looked: Instant,
}

impl<T> Reloading<T> {
    /// Reads it for the first time.
    ///
    /// # Errors
    /// Those of `read`.
    pub(crate) fn open<E: fmt::Display>(
        what: &'static str,
        files: Vec<PathBuf>,
        read: impl Fn() -> Result<T, E> + Send + Sync + 'static,
    ) -> Result<Self, E> {
        // Before reading: a change in between is then noticed.
        let stamp = stamp(&files);
        let value = Arc::new(read()?);
        Ok(Reloading {
            what,
            files,
            read: Box::new(move || read().map_err(|error| error.to_string())),
            state: Mutex::new(State {
                value,
                stamp,
                looked: Instant::now(),
            }),
        })
    }

    /// The newest that could be read.
    pub(crate) fn current(&self) -> Arc<T> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.looked.elapsed() >= limits::RELOAD_EVERY {
            state.looked = Instant::now();
            self.look(&mut state);
        }
        Arc::clone(&state.value)
    }

    /// We have changed the files ourselves: the next who asks gets the new thing.
    pub(crate) fn look_again(&self) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.looked = Instant::now();
        self.look(&mut state);
    }

    fn look(&self, state: &mut State<T>) {
        let stamp = stamp(&self.files);
        if stamp == state.stamp {
            return;
        }
        state.stamp = stamp;
        match (self.read)() {
            Ok(value) => {
                tracing::info!(what = self.what, "read again");
                state.value = Arc::new(value);
            }
            Err(error) => {
                tracing::error!(
                    what = self.what,
                    error,
                    "changed and cannot be used: what was read before stays"
                );
            }
        }
    }
}

impl<T> fmt::Debug for Reloading<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reloading")
            .field("what", &self.what)
            .finish_non_exhaustive()
    }
}

fn stamp(files: &[PathBuf]) -> Stamp {
    let stamp = |path: &PathBuf| {
        let found = fs::metadata(path).ok()?;
        Some((found.modified().ok()?, found.len(), found.ino()))
    };
    files.iter().map(stamp).collect()
}
