//! The data folder: durable writing, checked reading, what belongs to us.

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, OnceLock, PoisonError},
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
    /// The outcome of comparing them, once that was done.
    checked: OnceLock<Result<()>>,
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

    fn known(&self) -> std::sync::MutexGuard<'_, HashMap<String, Arc<Known>>> {
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
                    checked: OnceLock::new(),
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

    /// Removes a file; what cannot be removed is left for the next open.
    pub fn remove_path(&self, path: &Path) {
        if let Err(error) = self.io.remove(path)
            && error.kind() != std::io::ErrorKind::NotFound
        {
            tracing::warn!(path = %path.display(), %error, "a file that is not needed stays");
        }
    }

    /// Number of files that were found damaged.
    pub fn damaged(&self) -> usize {
        let known = self.known();
        let outcomes = known.values().filter_map(|known| known.checked.get());
        outcomes.filter(|outcome| outcome.is_err()).count()
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
        let bytes = self.read_unchecked(path)?;
        known
            .checked
            .get_or_init(|| self.compare(path, &known, &bytes))
            .clone()?;
        Ok(bytes)
    }

    /// Compares the file's hash unless that was done before in this process.
    pub fn check(&self, path: &str) -> Result<()> {
        let known = self.lookup(path)?;
        if let Some(outcome) = known.checked.get() {
            return outcome.clone();
        }
        self.read(path).map(|_| ())
    }

    /// Compares the file's hash, whatever is known of it.
    pub fn check_again(&self, path: &str) -> Result<()> {
        let known = self.lookup(path)?;
        self.compare(path, &known, &self.read_unchecked(path)?)
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
        let advice = "restore it from a copy, or import the events again into a new folder";
        Err(Error::damaged(
            self.full(path),
            "the whole file",
            format!("{detail}; {advice}"),
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
