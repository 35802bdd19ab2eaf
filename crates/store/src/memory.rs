//! Rows of a table in memory, some of which may have been replaced.
//!
//! With every commit of a live server rows of open contacts go and others come, few of many. To copy
//! what is left of a batch each time was most of the work of small commits. So a row that goes is
//! marked, and found by an index of keys that is made once. Who reads gets what is left, only of the
//! columns that are needed; the marked rows are let go when batches are put together, or when they
//! are more than half.

use std::{
    borrow::Cow,
    collections::HashMap,
    sync::{Arc, OnceLock},
};

use arrow::{
    array::{AsArray, BooleanArray, BooleanBufferBuilder, RecordBatch},
    buffer::BooleanBuffer,
    compute::{concat_batches, filter_record_batch, max, min},
    datatypes::TimestampMicrosecondType,
    error::ArrowError,
};
use twox_hash::XxHash64;

use crate::{Error, Result, sort::KeyReader, tables::TableSpec};

/// Identities of rows (as [`KeyReader`] gives them) with their times.
pub(crate) type Keys = HashMap<Vec<u8>, i64>;

/// A batch of rows in memory. Clones share the rows.
#[derive(Clone, Debug)]
pub struct MemoryRows {
    batch: RecordBatch,
    /// Rows that are still there; `None` is all of them.
    left: Option<BooleanBuffer>,
    /// First and last time of its rows, also of those that went; `None` if one has none.
    times: Option<(i64, i64)>,
    places: Arc<OnceLock<Places>>,
}

impl MemoryRows {
    pub(crate) fn new(batch: RecordBatch, time: Option<&str>) -> Self {
        MemoryRows {
            times: time.and_then(|time| times_of(&batch, time)),
            batch,
            left: None,
            places: Arc::default(),
        }
    }

    /// Number of rows.
    pub fn num_rows(&self) -> usize {
        match &self.left {
            Some(left) => left.count_set_bits(),
            None => self.batch.num_rows(),
        }
    }

    /// The rows with all columns.
    pub fn rows(&self) -> Cow<'_, RecordBatch> {
        match &self.left {
            None => Cow::Borrowed(&self.batch),
            Some(left) => Cow::Owned(kept(&self.batch, left)),
        }
    }

    /// The rows with the columns at these positions.
    ///
    /// # Errors
    /// When there is no such column.
    pub fn project(&self, columns: &[usize]) -> std::result::Result<RecordBatch, ArrowError> {
        let all = self.batch.project(columns)?;
        Ok(match &self.left {
            None => all,
            Some(left) => kept(&all, left),
        })
    }

    /// Takes the wanted rows out, which are then wanted no more.
    pub(crate) fn take(&mut self, spec: &TableSpec, wanted: &mut Keys) -> Result<()> {
        let within = |time: i64| {
            self.times
                .is_none_or(|(from, to)| (from..=to).contains(&time))
        };
        if !wanted.values().any(|time| within(*time)) {
            return Ok(());
        }
        let keys = KeyReader::new(spec, &self.batch)?;
        let rows = self.batch.num_rows();
        let places = self.places.get_or_init(|| Places::new(&keys, rows));
        let there = |row: usize| self.left.as_ref().is_none_or(|left| left.value(row));
        let mut gone = Vec::new();
        wanted.retain(|key, time| {
            let found = within(*time).then(|| places.find(key, &keys)).flatten();
            let found = found.filter(|row| there(*row));
            gone.extend(found);
            found.is_none()
        });
        if !gone.is_empty() {
            self.mark(&gone);
        }
        Ok(())
    }

    fn mark(&mut self, gone: &[usize]) {
        let rows = self.batch.num_rows();
        let mut bits = BooleanBufferBuilder::new(rows);
        match &self.left {
            Some(left) => bits.append_buffer(left),
            None => bits.append_n(rows, true),
        }
        gone.iter().for_each(|row| bits.set_bit(*row, false));
        let left = bits.finish();
        if left.count_set_bits() * 2 < rows {
            self.batch = kept(&self.batch, &left);
            self.places = Arc::default();
            self.left = None;
        } else {
            self.left = Some(left);
        }
    }

    /// The rows of both, those of `before` first.
    pub(crate) fn joined(spec: &TableSpec, before: &Self, after: &Self) -> Result<Self> {
        let both = [before.rows(), after.rows()];
        let both = both.iter().map(AsRef::as_ref);
        let batch = concat_batches(&spec.schema, both);
        let places = Arc::new(OnceLock::new());
        if let (Some(first), Some(second)) = (before.places.get(), after.places.get()) {
            let first = first.left(before.left.as_ref());
            let second = second.left(after.left.as_ref());
            places.get_or_init(|| Places::joined(&first, &second, before.num_rows()));
        }
        let times = before.times.zip(after.times);
        Ok(MemoryRows {
            batch: batch.map_err(|e| Error::encoding(spec.name, e))?,
            left: None,
            times: times.map(|(a, b)| (a.0.min(b.0), a.1.max(b.1))),
            places,
        })
    }
}

/// The rows of each, with all columns.
pub(crate) fn batches_of(memory: &[MemoryRows]) -> Vec<RecordBatch> {
    memory.iter().map(|rows| rows.rows().into_owned()).collect()
}

fn kept(batch: &RecordBatch, left: &BooleanBuffer) -> RecordBatch {
    let left = BooleanArray::new(left.clone(), None);
    filter_record_batch(batch, &left).expect("as many marks as rows")
}

fn times_of(batch: &RecordBatch, time: &str) -> Option<(i64, i64)> {
    let column = batch.column_by_name(time)?;
    let times = column.as_primitive_opt::<TimestampMicrosecondType>()?;
    if arrow::array::Array::null_count(times) > 0 {
        return None;
    }
    min(times).zip(max(times))
}

/// Where the row with a key is: hashes of all keys, in their order, each with its row.
#[derive(Debug)]
struct Places(Vec<(u64, u32)>);

impl Places {
    fn new(keys: &KeyReader<'_>, rows: usize) -> Self {
        let mut key = Vec::new();
        let mut places: Vec<(u64, u32)> = (0..rows as u32)
            .map(|row| {
                keys.read(row as usize, &mut key);
                (hash_of(&key), row)
            })
            .collect();
        places.sort_unstable();
        Places(places)
    }

    fn find(&self, key: &[u8], keys: &KeyReader<'_>) -> Option<usize> {
        let hash = hash_of(key);
        let from = self.0.partition_point(|(other, _)| *other < hash);
        let mut read = Vec::new();
        let same = self.0[from..]
            .iter()
            .take_while(|(other, _)| *other == hash);
        let mut rows = same.map(|(_, row)| *row as usize);
        rows.find(|row| {
            keys.read(*row, &mut read);
            read == key
        })
    }

    /// The places once the rows that went are let go.
    fn left(&self, left: Option<&BooleanBuffer>) -> Cow<'_, [(u64, u32)]> {
        let Some(left) = left else {
            return Cow::Borrowed(&self.0);
        };
        let mut before = 0;
        let ranks: Vec<u32> = left
            .iter()
            .map(|there| {
                let rank = before;
                before += u32::from(there);
                rank
            })
            .collect();
        let there = self.0.iter().filter(|(_, row)| left.value(*row as usize));
        Cow::Owned(
            there
                .map(|(hash, row)| (*hash, ranks[*row as usize]))
                .collect(),
        )
    }

    /// The places of two batches put together, `before` rows in the first.
    fn joined(first: &[(u64, u32)], second: &[(u64, u32)], before: usize) -> Self {
        let moved = second
            .iter()
            .map(|(hash, row)| (*hash, *row + before as u32));
        let mut all: Vec<(u64, u32)> = first.iter().copied().chain(moved).collect();
        // Two runs in order: a stable sort puts them together in one pass.
        all.sort();
        Places(all)
    }
}

fn hash_of(key: &[u8]) -> u64 {
    XxHash64::oneshot(0, key)
}

#[cfg(test)]
mod tests {
    use events::UtcMicros;
    use facts::QueueVisit;
    use facts::table::Row;

    use super::*;
    use crate::sort::row_key;
    use crate::tables;

    const TIME: &str = "entered_at";

    fn visit(number: i64) -> QueueVisit {
        QueueVisit {
            visit_id: format!("v{number}").into(),
            entered_at: UtcMicros(1_000 + number),
            ..QueueVisit::default()
        }
    }

    fn memory(numbers: std::ops::Range<i64>) -> MemoryRows {
        let visits: Vec<QueueVisit> = numbers.map(visit).collect();
        MemoryRows::new(crate::batch(&visits, 1).expect("rows"), Some(TIME))
    }

    fn spec() -> &'static TableSpec {
        tables::known(QueueVisit::TABLE.name)
    }

    fn wanted(numbers: &[i64]) -> Keys {
        numbers.iter().map(|n| row_key(&visit(*n))).collect()
    }

    fn numbers(rows: &RecordBatch) -> Vec<i64> {
        let ids = rows.column_by_name("visit_id").expect("the key");
        let ids = ids.as_string::<i32>().iter().flatten();
        ids.map(|id| id[1..].parse().expect("a number")).collect()
    }

    #[test]
    fn rows_that_went_are_read_no_more_and_are_not_found_again() {
        let mut rows = memory(0..10);
        let mut keys = wanted(&[3, 7, 20]);
        rows.take(spec(), &mut keys).expect("taken");
        assert_eq!(keys.len(), 1, "the one that is not there is still wanted");
        assert_eq!(numbers(&rows.rows()), [0, 1, 2, 4, 5, 6, 8, 9]);
        let mut again = wanted(&[3, 4]);
        rows.take(spec(), &mut again).expect("taken");
        assert_eq!(again, wanted(&[3]));
        assert_eq!(rows.num_rows(), 7);
        let at = rows.rows().schema().index_of("visit_id").expect("a column");
        assert_eq!(rows.project(&[at]).expect("one").num_rows(), 7);
        assert_eq!(rows.project(&[]).expect("none").num_rows(), 7);
    }

    #[test]
    fn a_batch_of_which_most_went_is_copied_and_the_rest_is_found() {
        let mut rows = memory(0..10);
        let mut keys = wanted(&[0, 1, 2, 3, 4, 6]);
        rows.take(spec(), &mut keys).expect("taken");
        assert!(rows.left.is_none() && rows.batch.num_rows() == 4);
        rows.take(spec(), &mut wanted(&[8])).expect("taken");
        assert_eq!(numbers(&rows.rows()), [5, 7, 9]);
        rows.take(spec(), &mut wanted(&[5, 7, 9])).expect("taken");
        assert_eq!(rows.num_rows(), 0);
    }

    #[test]
    fn what_is_put_together_is_found_by_the_index_of_both() {
        for (first, second) in [(vec![], vec![]), (vec![1], vec![]), (vec![0, 2], vec![9])] {
            let (mut before, mut after) = (memory(0..6), memory(6..12));
            before.take(spec(), &mut wanted(&first)).expect("taken");
            // Looked for in vain, so that there is an index.
            before.take(spec(), &mut wanted(&[77])).expect("taken");
            after.take(spec(), &mut wanted(&second)).expect("taken");
            let mut both = MemoryRows::joined(spec(), &before, &after).expect("joined");
            let gone = [first.clone(), second.clone()].concat();
            let mut left: Vec<i64> = (0..12).filter(|n| !gone.contains(n)).collect();
            assert_eq!(numbers(&both.rows()), left);
            both.take(spec(), &mut wanted(&[3, 8])).expect("taken");
            left.retain(|n| ![3, 8].contains(n));
            assert_eq!(numbers(&both.rows()), left);
        }
    }

    #[test]
    fn rows_without_a_time_are_looked_for_whatever_the_time() {
        let mut rows = memory(0..3);
        rows.times = None;
        rows.take(spec(), &mut wanted(&[1])).expect("taken");
        assert_eq!(numbers(&rows.rows()), [0, 2]);
    }
}
