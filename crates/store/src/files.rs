//! The data folder: durable writing, checked reading, what belongs to us.

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use bytes::Bytes;

use crate::{
    DataFile, Error, Result,
    io::{Io, IoFile},
};

/// Folder of manifest files.
pub(crate) const MANIFEST: &str = "manifest";
/// Folder of the tables' files.
pub(crate) const PARQUET: &str = "parquet";
/// Folder of the write-ahead log.
pub(crate) const WAL: &str = "wal";
/// Folder of the fold's checkpoints.
pub(crate) const CHECKPOINT: &str = "checkpoint";

/// Folder of what need not outlive a process.
pub(crate) const TMP: &str = "tmp";
/// Space that is given up when the disk is full.
pub(crate) const BALLAST: &str = "ballast";
/// Ending of a damaged file that a repair has set apart.
pub(crate) const DAMAGED: &str = ".damaged";
/// What can be done about a damaged data file.
pub(crate) const ADVICE: &str = "restore it from a copy, or run callgauge repair";

/// The error for a file that the manifest names and that is not there.
pub(crate) fn not_there(path: PathBuf) -> Error {
    let what = format!("the manifest names it and it is not there; {ADVICE}");
    Error::damaged(path, "the whole file", what)
}

/// A data folder with the files that may be read from it.
#[derive(Debug)]
pub(crate) struct Files {
    root: PathBuf,
    io: Arc<dyn Io>,
    known: Mutex<HashMap<String, Arc<Known>>>,
}

/// What a file must be.
#[derive(Debug)]
struct Known {
    bytes: u64,
    blake3: String,
    /// The outcome of the last comparison; `None` before the first. A file with an error is
    /// quarantined: nobody gets its bytes until a comparison goes well again.
    checked: Mutex<Option<Result<()>>>,
}

impl Known {
    fn checked(&self) -> MutexGuard<'_, Option<Result<()>>> {
        self.checked.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn note(&self, path: &str, outcome: Result<()>) -> Result<()> {
        let before = self.checked().replace(outcome.clone());
        match (before, &outcome) {
            (None | Some(Ok(())), Err(error)) => {
                tracing::error!(%error, "a data file is quarantined");
            }
            (Some(Err(_)), Ok(())) => tracing::info!(path, "a quarantined file is whole again"),
            _ => {}
        }
        outcome
    }
}

impl Files {
    pub fn new(root: PathBuf, io: Arc<dyn Io>) -> Self {
        Files {
            root,
            io,
            known: Mutex::default(),
        }
    }

    pub fn root(&self) -> &Path {
        &self.root
    }

    pub fn io(&self) -> &dyn Io {
        &*self.io
    }

    pub fn shared_io(&self) -> Arc<dyn Io> {
        Arc::clone(&self.io)
    }

    /// Full path of a path in the data folder.
    pub fn full(&self, path: &str) -> PathBuf {
        path.split('/')
            .fold(self.root.clone(), |full, part| full.join(part))
    }

    fn known(&self) -> MutexGuard<'_, HashMap<String, Arc<Known>>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets a file be read.
    pub fn admit(&self, file: &DataFile) {
        let mut known = self.known();
        for (path, bytes, blake3) in file.parts() {
            known.entry(path.to_owned()).or_insert_with(|| {
                let blake3 = blake3.to_owned();
                Arc::new(Known {
                    bytes,
                    blake3,
                    checked: Mutex::default(),
                })
            });
        }
    }

    /// Removes a file and what belongs to it. What cannot be removed is left for the next open.
    pub fn remove(&self, file: &DataFile) {
        for (path, ..) in file.parts() {
            self.known().remove(path);
            self.remove_path(&self.full(path));
        }
    }

    /// Sets a damaged file apart under a name that nobody reads; says whether it was there.
    ///
    /// # Errors
    /// [`Error::Io`] if it cannot be renamed.
    pub fn set_apart(&self, path: &str) -> Result<bool> {
        let full = self.full(path);
        let mut apart = full.clone().into_os_string();
        apart.push(DAMAGED);
        match self.io.rename(&full, Path::new(&apart)) {
            Ok(()) => Ok(true),
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(false),
            Err(e) => Err(Error::io("rename", full, e)),
        }
    }

    /// Removes a file; what cannot be removed is left for the next open.
    pub fn remove_path(&self, path: &Path) {
        if let Err(error) = self.io.remove(path)
            && error.kind() != std::io::ErrorKind::NotFound
        {
            tracing::warn!(path = %path.display(), %error, "a file that is not needed stays");
        }
    }

    /// Why a file is quarantined, if it is.
    pub fn damage(&self, path: &str) -> Option<Error> {
        let known = self.known().get(path).cloned()?;
        let checked = known.checked();
        checked.as_ref().and_then(|outcome| outcome.clone().err())
    }

    /// Number of quarantined files.
    pub fn damaged(&self) -> usize {
        let known = self.known();
        let bad = |known: &&Arc<Known>| matches!(*known.checked(), Some(Err(_)));
        known.values().filter(bad).count()
    }

    /// Quarantines a file.
    pub fn set_damaged(&self, path: &str, error: Error) {
        if let Some(known) = self.known().get(path) {
            // The error is what the caller has found.
            let _ = known.note(path, Err(error));
        }
    }

    /// Paths that may be read.
    pub fn paths(&self) -> Vec<(String, u64)> {
        let known = self.known();
        let mut paths: Vec<_> = known.iter().map(|(p, k)| (p.clone(), k.bytes)).collect();
        paths.sort();
        paths
    }

    fn lookup(&self, path: &str) -> Result<Arc<Known>> {
        let known = self.known().get(path).cloned();
        known.ok_or_else(|| Error::Gone {
            path: self.full(path),
        })
    }

    /// Reads a file; the first time in this process its hash is compared.
    pub fn read(&self, path: &str) -> Result<Bytes> {
        let known = self.lookup(path)?;
        if let Some(Err(error)) = &*known.checked() {
            return Err(error.clone());
        }
        let bytes = self.read_unchecked(path)?;
        let is_new = known.checked().is_none();
        if is_new {
            known.note(path, self.compare(path, &known, &bytes))?;
        }
        Ok(bytes)
    }

    /// Compares the file's hash unless that was done before in this process.
    pub fn check(&self, path: &str) -> Result<()> {
        let known = self.lookup(path)?;
        if let Some(outcome) = &*known.checked() {
            return outcome.clone();
        }
        self.read(path).map(|_| ())
    }

    /// Compares the file's hash, whatever is known of it: quarantines it, or lets it out.
    pub fn check_again(&self, path: &str) -> Result<()> {
        let known = self.lookup(path)?;
        let outcome = match self.read_unchecked(path) {
            Ok(bytes) => self.compare(path, &known, &bytes),
            // A file that is needed no more is forgotten before it is removed.
            Err(Error::Gone { .. }) if self.known().contains_key(path) => {
                Err(not_there(self.full(path)))
            }
            Err(error) => return Err(error),
        };
        known.note(path, outcome)
    }

    fn read_unchecked(&self, path: &str) -> Result<Bytes> {
        let full = self.full(path);
        self.io
            .read(&full)
            .map(Bytes::from)
            .map_err(|e| Error::io("read", full, e))
    }

    fn compare(&self, path: &str, known: &Known, bytes: &[u8]) -> Result<()> {
        let detail = if bytes.len() as u64 != known.bytes {
            format!(
                "it has {} bytes, the manifest says {}",
                bytes.len(),
                known.bytes
            )
        } else if blake3::hash(bytes).to_hex().as_str() != known.blake3 {
            "its BLAKE3 is not the one in the manifest".to_owned()
        } else {
            return Ok(());
        };
        let place = "the whole file";
        Err(Error::damaged(
            self.full(path),
            place,
            format!("{detail}; {ADVICE}"),
        ))
    }

    /// Writes a file under a temporary name, makes it durable and gives it its name. The folder's
    /// entry is not durable yet.
    pub fn write(&self, path: &Path, bytes: &[u8]) -> Result<()> {
        self.write_open(path, bytes).map(|_| ())
    }

    /// As [`Files::write`]; the file stays open for more.
    pub fn write_open(&self, path: &Path, bytes: &[u8]) -> Result<Box<dyn IoFile>> {
        let mut temporary = path.as_os_str().to_owned();
        temporary.push(".tmp");
        let temporary = PathBuf::from(temporary);
        let written = self.write_temporary(&temporary, bytes).and_then(|file| {
            self.io
                .rename(&temporary, path)
                .map_err(|e| Error::io("rename", &temporary, e))?;
            Ok(file)
        });
        if written.is_err() {
            self.remove_path(&temporary);
        }
        written
    }

    fn write_temporary(&self, path: &Path, bytes: &[u8]) -> Result<Box<dyn IoFile>> {
        let mut file = self
            .io
            .create_new(path)
            .map_err(|e| Error::io("create", path, e))?;
        file.append(bytes)
            .map_err(|e| Error::io("write", path, e))?;
        file.sync().map_err(|e| Error::io("sync", path, e))?;
        Ok(file)
    }

    pub fn sync_dir(&self, path: &Path) -> Result<()> {
        self.io
            .sync_dir(path)
            .map_err(|e| Error::io("sync", path, e))
    }

    pub fn create_dir(&self, path: &Path) -> Result<()> {
        self.io
            .create_dir_all(path)
            .map_err(|e| Error::io("create", path, e))
    }
}
