//! The store's side of the write-ahead log: where it lies, and from where on it counts.

use std::{path::Path, sync::Arc};

use super::{Backend, Store, lock_writer};
use crate::{
    Error, Result,
    files::{Files, WAL},
    folder,
    io::{RealIo, Space},
    manifest::FileList,
    wal::{self, Recovery, Replay, Salvaged, Wal},
};

impl Store {
    /// Opens the log for writing. Rows up to [`crate::Version::arrived_seq`] of the version that
    /// was opened are in files; what comes behind is for the caller to replay. `seed` is random,
    /// another one at each start.
    ///
    /// # Errors
    /// [`Error::WalDamaged`] says what is lost and how to go on; [`Error::ReadOnly`] for a store
    /// that is not open for writing.
    pub fn open_wal(&self, seed: [u8; 32]) -> Result<(Wal, Recovery)> {
        let state = self.state();
        let (Backend::Writer(writer), Some(files)) = (&state.backend, self.files()) else {
            return Err(Error::ReadOnly);
        };
        let list = &writer.list;
        // The last flush may not have been read back: before segments that it covers go, its files
        // are.
        for file in list
            .all_files()
            .filter(|f| folder::edit_of(f) + 2 >= list.edit)
        {
            for (path, ..) in file.parts() {
                files.check_again(path)?;
            }
        }
        let settings = wal::Settings {
            segment_bytes: self.settings.segment_bytes,
            ..wal::Settings::new(seed)
        };
        Wal::open(
            files.shared_io(),
            &files.full(WAL),
            list.wal,
            list.epoch,
            settings,
        )
    }

    /// Is there a log?
    pub fn has_wal(&self) -> bool {
        let segments = self
            .files()
            .and_then(|files| files.io().list(&files.full(WAL)).ok());
        segments.is_some_and(|segments| !segments.is_empty())
    }

    /// The frames of the log that are in no file, for a program that reads beside the one that
    /// writes.
    ///
    /// # Errors
    /// [`Error::Gone`] if the manifest has a newer version: refresh first.
    pub fn read_wal(&self) -> Result<Option<Replay>> {
        let Some(files) = self.files().filter(|_| self.has_wal()) else {
            return Ok(None);
        };
        let flushed = self.version().arrived_seq;
        wal::read(files.shared_io(), &files.full(WAL), flushed).map(Some)
    }

    /// The frames of the log that are still there, also those whose rows are in files: what a
    /// damaged file held may be among them.
    ///
    /// # Errors
    /// When the log cannot be read.
    pub fn read_kept_wal(&self) -> Result<Option<Replay>> {
        let Some(files) = self.files().filter(|_| self.has_wal()) else {
            return Ok(None);
        };
        wal::read_kept(files.shared_io(), &files.full(WAL)).map(Some)
    }

    /// Goes on past a damaged segment: keeps its good frames, sets the old file apart, says what
    /// is lost.
    ///
    /// # Errors
    /// [`Error::Locked`] if a process writes; [`Error::Io`] if there is no such segment.
    pub fn salvage(dir: impl AsRef<Path>, segment: &str, seed: [u8; 32]) -> Result<Salvaged> {
        let root = dir.as_ref().to_owned();
        let io: Arc<dyn crate::Io> = Arc::new(RealIo);
        let files = Files::new(root.clone(), Arc::clone(&io));
        let list = match folder::read_manifest(&files)? {
            Some(read) => read.list,
            None => FileList::default(),
        };
        let _lock = lock_writer(&root)?;
        let (folder, settings) = (files.full(WAL), wal::Settings::new(seed));
        wal::salvage(&io, &folder, segment, list.wal, list.epoch, settings)
    }

    /// Room on the disk of the data folder; `None` in memory, or if the system does not tell.
    pub fn disk_space(&self) -> Option<Space> {
        let files = self.files()?;
        files.io().space(files.root()).ok()
    }
}
