//! Space that is taken in advance, to be given up when the disk is full: for what makes room again,
//! as bringing the log to Parquet and putting files together do.

use super::Store;
use crate::{
    Error, Result,
    files::{BALLAST, Files},
};

impl Store {
    /// Takes `bytes` of space, unless they are taken.
    ///
    /// # Errors
    /// [`Error::DiskFull`] if there is not that much; then nothing is taken.
    pub fn take_ballast(&self, bytes: u64) -> Result<()> {
        let Some(files) = self.files() else {
            return Ok(());
        };
        let path = files.full(BALLAST);
        match files.io().size(&path) {
            Ok(size) if size == bytes => return Ok(()),
            Ok(_) => files.remove_path(&path),
            Err(_) => {}
        }
        let taken = files.io().create_new(&path).and_then(|mut file| {
            file.preallocate(bytes)?;
            file.sync()
        });
        taken.map_err(|e| {
            files.remove_path(&path);
            Error::io("take space for", path, e)
        })
    }

    /// Gives the space up; says whether there was any.
    pub fn free_ballast(&self) -> bool {
        self.files().is_some_and(free)
    }
}

/// As [`Store::free_ballast`].
pub(super) fn free(files: &Files) -> bool {
    let path = files.full(BALLAST);
    let freed = files.io().remove(&path).is_ok();
    if freed {
        tracing::warn!("the disk is full: the ballast is given up");
    }
    freed
}
