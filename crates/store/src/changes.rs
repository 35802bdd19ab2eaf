//! What commits have changed, for those who keep up with them row by row.
//!
//! A reader that derives something from fact rows would have to compare whole versions to learn
//! what is new. A [`Follower`] is handed the rows of each commit instead, before the version that
//! has them can be seen.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
};

use arrow::array::RecordBatch;

use crate::{Result, sort::KeyReader, tables};

/// What one commit changed in the fact tables.
#[derive(Debug)]
pub struct Change {
    /// Sequence of the commit.
    pub seq: u64,
    /// The tables that it changed.
    pub tables: Vec<TableChange>,
}

/// What one commit changed in one fact table: the rows that went, then the rows that came.
#[derive(Clone, Debug)]
pub struct TableChange {
    /// Name of the table.
    pub table: &'static str,
    /// Identities of the rows that went, as [`row_keys`] gives them.
    pub removed: Vec<Vec<u8>>,
    /// The rows that came, with all columns of the table.
    pub added: Option<RecordBatch>,
}

impl Change {
    fn rows(&self) -> usize {
        let rows =
            |t: &TableChange| t.removed.len() + t.added.as_ref().map_or(0, RecordBatch::num_rows);
        self.tables.iter().map(rows).sum()
    }
}

/// Holds the changes of commits until they are taken, up to a number of rows.
#[derive(Debug)]
pub struct Follower {
    rows_max: usize,
    waiting: Mutex<Waiting>,
}

#[derive(Debug, Default)]
struct Waiting {
    changes: VecDeque<Arc<Change>>,
    rows: usize,
    lost: bool,
}

impl Follower {
    fn new(rows_max: usize) -> Self {
        Follower {
            rows_max,
            waiting: Mutex::default(),
        }
    }

    /// The changes up to and with commit `seq`, the oldest first; each is given once.
    ///
    /// `None` when they are not all here, because too many rows have come or rows have changed
    /// by other means than a commit: pin a version *after* this call, read its tables, and take
    /// what it has already.
    pub fn take(&self, seq: u64) -> Option<Vec<Arc<Change>>> {
        let mut waiting = self.waiting();
        if std::mem::take(&mut waiting.lost) {
            return None;
        }
        let count = waiting.changes.partition_point(|change| change.seq <= seq);
        let taken: Vec<Arc<Change>> = waiting.changes.drain(..count).collect();
        waiting.rows -= taken.iter().map(|change| change.rows()).sum::<usize>();
        Some(taken)
    }

    /// When there is no room, those before go: their versions can be seen by now, but not yet
    /// that of this one.
    fn push(&self, change: &Arc<Change>) {
        let mut waiting = self.waiting();
        if waiting.rows + change.rows() > self.rows_max {
            *waiting = Waiting {
                lost: true,
                ..Waiting::default()
            };
        }
        waiting.rows += change.rows();
        waiting.changes.push_back(Arc::clone(change));
    }

    fn lose(&self) {
        self.waiting().lost = true;
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Those who follow a store, for as long as somebody else holds them.
#[derive(Debug, Default)]
pub(crate) struct Followers(Mutex<Vec<Weak<Follower>>>);

impl Followers {
    pub fn add(&self, rows_max: usize) -> Arc<Follower> {
        let follower = Arc::new(Follower::new(rows_max));
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|known| known.strong_count() > 0);
        all.push(Arc::downgrade(&follower));
        follower
    }

    /// Is there anybody to tell?
    pub fn any(&self) -> bool {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.iter().any(|known| known.strong_count() > 0)
    }

    /// Hands out a change; to be done before its version can be seen.
    pub fn tell(&self, change: Change) {
        let change = Arc::new(change);
        self.each(|follower| follower.push(&change));
    }

    /// Rows have changed that no commit tells of; to be said after the version can be seen.
    pub fn lose(&self) {
        self.each(Follower::lose);
    }

    fn each(&self, what: impl Fn(&Follower)) {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let all: Vec<_> = all.iter().filter_map(Weak::upgrade).collect();
        all.iter().for_each(|follower| what(follower));
    }
}

/// Identity of each row of a fact table: tenant and key. The batch needs no other columns.
///
/// # Errors
/// When the table is not known or the batch lacks a column of its key.
pub fn row_keys(table: &str, batch: &RecordBatch) -> Result<Vec<Vec<u8>>> {
    let spec = tables::get(table)
        .ok_or_else(|| crate::Error::inconsistent(table, "there is no such table"))?;
    let reader = KeyReader::new(spec, batch)?;
    let key = |row| {
        let mut key = Vec::new();
        reader.read(row, &mut key);
        key
    };
    Ok((0..batch.num_rows()).map(key).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn change(seq: u64, rows: usize) -> Change {
        let table = TableChange {
            table: "legs",
            removed: vec![Vec::new(); rows],
            added: None,
        };
        Change {
            seq,
            tables: vec![table],
        }
    }

    fn seqs(taken: Option<Vec<Arc<Change>>>) -> Option<Vec<u64>> {
        Some(taken?.iter().map(|change| change.seq).collect())
    }

    #[test]
    fn changes_are_given_once_and_up_to_the_commit_asked_for() {
        let followers = Followers::default();
        let follower = followers.add(100);
        (1..=3).for_each(|seq| followers.tell(change(seq, 1)));
        assert_eq!(seqs(follower.take(2)), Some(vec![1, 2]));
        assert_eq!(seqs(follower.take(2)), Some(vec![]));
        assert_eq!(seqs(follower.take(9)), Some(vec![3]));
    }

    #[test]
    fn too_many_rows_are_said_to_be_lost_and_what_comes_after_is_kept() {
        let followers = Followers::default();
        let follower = followers.add(2);
        (1..=3).for_each(|seq| followers.tell(change(seq, 1)));
        assert_eq!(seqs(follower.take(3)), None);
        followers.tell(change(4, 1));
        assert_eq!(seqs(follower.take(4)), Some(vec![3, 4]));
        followers.lose();
        assert_eq!(seqs(follower.take(4)), None);
    }

    #[test]
    fn nobody_is_told_who_is_gone() {
        let followers = Followers::default();
        drop(followers.add(2));
        assert!(!followers.any());
    }
}
