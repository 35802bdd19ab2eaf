//! Durable storage of events and facts.
//!
//! A [`Store`] holds tables of rows. The only way to change them is a [`Commit`]: the events of a
//! batch, the fact rows that they add and supersede, and the lines that were rejected, all or
//! nothing. A commit that has returned is on the disk. Readers pin a [`Version`]: an immutable list
//! of Parquet files and of rows that are still in memory. What is true is said by the manifest,
//! `docs/format/manifest.md`.
//!
//! What this crate guarantees:
//! - After a crash at any moment the folder opens again with a whole number of commits, and with
//!   every commit that was acknowledged.
//! - No stored row is superseded: files that hold a row which is replaced are written anew without
//!   it, so any Parquet reader that reads the files of the manifest sees what we see.
//! - A damaged file is an error with its name, never another number. It is quarantined: other files
//!   go on, and [`Store::mend`] puts something in its place.
//!
//! What it is not: it folds nothing, computes nothing and knows no SQL. For live events a
//! write-ahead log ([`wal`]) stands in front: what is durable there is committed in
//! [`Mode::Memory`], and [`Store::flush_with`] makes files of many such commits in one edit, which
//! also says up to which sequence that log is in the files.
//!
//! All access to files goes through [`Io`], so that a test can make each operation fail. The clock
//! is not read; times come with the commit.

mod changes;
mod columns;
mod commit;
mod compact;
mod error;
mod files;
mod folder;
mod ids;
mod index;
mod io;
mod links;
mod listeners;
mod log;
mod manifest;
mod memory;
mod objects;
mod parquet_file;
mod quarantine;
mod replace;
mod retain;
mod rows;
mod sort;
mod split;
mod store;
mod tables;
mod version;
pub mod wal;

pub use changes::{Change, Follower, TableChange, row_keys};
pub use commit::{Commit, Committed, Mode, PreparedLog};
pub use compact::Verified;
pub use error::{Error, LostRows, Result};
pub use ids::{EventIds, content_hash, event_id_hash};
pub use io::{DirEntry, Io, IoFile, RealIo, Space};
pub use links::EventLinks;
pub use listeners::Listener;
pub use manifest::{DataFile, Floors, Sidecar};
pub use memory::MemoryRows;
pub use objects::damaged_file_in;
pub use parquet_file::ROW_GROUP_ROWS;
pub use quarantine::QuarantineRow;
pub use retain::{Over, PreparedLetGo};
pub use rows::batch;
pub use store::{DamagedFile, Mend, Pinned, Scratch, Scrub, Scrubbed, Settings, Store};
pub use tables::{CONTENT_HASH, LOG, QUARANTINE, SEQ, arrow_schema, table_schema};
pub use version::{TableData, Version};
