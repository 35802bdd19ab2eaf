//! Errors, by what the caller does next.

use std::{io, path::PathBuf, sync::Arc};

use crate::files::PARQUET;

/// Between the name of a damaged file and the place in it.
pub(crate) const DAMAGED_AT: &str = " is damaged at ";

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
    #[error("{}{DAMAGED_AT}{place}: {detail}", path.display())]
    Damaged {
        /// The damaged file.
        path: PathBuf,
        /// Where in it.
        place: String,
        /// What was found and what to do.
        detail: String,
    },
    /// Stop; restore the segment from a copy, or go on without the lost rows.
    #[error(
        "{} is damaged at byte {offset}: {what}; {lost}. Restore it from a copy, or go on without \
         them: callgauge repair --salvage {}",
        path.display(), path.file_name().unwrap_or_default().display()
    )]
    WalDamaged {
        /// The segment of the write-ahead log.
        path: PathBuf,
        /// Where in it, in bytes.
        offset: u64,
        /// Rows that are in no file and cannot be read.
        lost: LostRows,
        /// What was found.
        what: String,
    },
    /// Divide it, or report: the write-ahead log does not take such a frame.
    #[error("the write-ahead log does not take this: {detail}")]
    Frame {
        /// What does not fit.
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
    /// Open the folder again: a failed write left the end of the manifest or of the write-ahead log
    /// unknown.
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

/// Rows of the write-ahead log that damage has taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LostRows {
    /// Sequence of the first.
    pub first_seq: u64,
    /// Sequence of the last, smaller than the first if none is lost; `None` if nobody can know.
    pub last_seq: Option<u64>,
}

impl std::fmt::Display for LostRows {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match (self.first_seq, self.last_seq) {
            (first, None) => write!(f, "rows from {first} on are lost, nobody knows how many"),
            (first, Some(last)) if last < first => write!(f, "no rows are lost"),
            (first, Some(last)) => {
                write!(f, "rows {first} to {last} are lost ({})", last - first + 1)
            }
        }
    }
}

/// Result of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// The damaged file, relative to the data folder, if it is one of the data files.
    pub fn damaged_file(&self) -> Option<String> {
        let Error::Damaged { path, .. } = self else {
            return None;
        };
        // Where the data folder lies is not for everybody.
        let parts: Vec<_> = path.iter().map(|part| part.to_string_lossy()).collect();
        let at = parts.iter().rposition(|part| part == PARQUET)?;
        Some(parts[at..].join("/"))
    }

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
