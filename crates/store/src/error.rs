//! Errors, by what the caller does next.

use std::{io, path::PathBuf, sync::Arc};

/// What went wrong, and what can be done about it.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Wait, or open read-only.
    #[error("{} is written by another process: wait, or open it read-only", path.display())]
    Locked {
        /// The data folder.
        path: PathBuf,
    },
    /// Import something first, or give another folder.
    #[error("{} holds no data: import something first, or name another folder", path.display())]
    NoData {
        /// The folder that was looked at.
        path: PathBuf,
    },
    /// Use a newer program.
    #[error(
        "{} is of format version {found}, this program knows {known}: use a newer one",
        path.display()
    )]
    NewerFormat {
        /// The file.
        path: PathBuf,
        /// Its version.
        found: u64,
        /// The newest version that this program reads.
        known: u64,
    },
    /// Stop; look at the place, restore or repair.
    #[error("{} is damaged at {place}: {detail}", path.display())]
    Damaged {
        /// The damaged file.
        path: PathBuf,
        /// Where in it.
        place: String,
        /// What was found and what to do.
        detail: String,
    },
    /// A file went while it was needed: refresh the version and ask again.
    #[error("{} is no longer there: take the newest version and ask again", path.display())]
    Gone {
        /// The file.
        path: PathBuf,
    },
    /// Free space, then repeat.
    #[error("no space left for {}: free some and repeat", path.display())]
    DiskFull {
        /// The file that was written.
        path: PathBuf,
    },
    /// Look at the disk or the rights, then repeat.
    #[error("cannot {operation} {}: {source}", path.display())]
    Io {
        /// What was tried, as `write`.
        operation: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// The system's reason.
        source: Arc<io::Error>,
    },
    /// Open the folder again: a failed write left the end of the manifest unknown.
    #[error("writing has stopped, open the data folder again: {reason}")]
    Stopped {
        /// What failed first.
        reason: String,
    },
    /// Write through the process that holds the lock.
    #[error("the data folder is open read-only")]
    ReadOnly,
    /// Report: the fold and the stored rows do not agree. Nothing was changed.
    #[error("table {table}: {detail} (a bug: nothing was changed, please report it)")]
    Inconsistent {
        /// The table.
        table: String,
        /// What does not fit.
        detail: String,
    },
    /// Report: rows cannot be put into, or taken out of, their columns.
    #[error("table {table}: {detail}")]
    Encoding {
        /// The table.
        table: String,
        /// What does not fit.
        detail: String,
    },
}

/// Result of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    pub(crate) fn io(operation: &'static str, path: impl Into<PathBuf>, source: io::Error) -> Self {
        let path = path.into();
        match source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Error::DiskFull { path },
            io::ErrorKind::NotFound if operation == "read" => Error::Gone { path },
            _ => Error::Io {
                operation,
                path,
                source: Arc::new(source),
            },
        }
    }

    pub(crate) fn damaged(
        path: impl Into<PathBuf>,
        place: impl ToString,
        detail: impl Into<String>,
    ) -> Self {
        Error::Damaged {
            path: path.into(),
            place: place.to_string(),
            detail: detail.into(),
        }
    }

    pub(crate) fn encoding(table: &str, error: impl std::fmt::Display) -> Self {
        Error::Encoding {
            table: table.to_owned(),
            detail: error.to_string(),
        }
    }

    pub(crate) fn inconsistent(table: &str, detail: impl Into<String>) -> Self {
        Error::Inconsistent {
            table: table.to_owned(),
            detail: detail.into(),
        }
    }
}
