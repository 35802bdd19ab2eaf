//! Putting small files together, and checking all of them.

use std::{
    collections::{HashMap, HashSet, hash_map::Entry},
    sync::Arc,
};

use arrow::{
    array::{BooleanArray, RecordBatch},
    compute::filter_record_batch,
};
use events::UtcMicros;

use crate::{
    DataFile, Error, Result, Version,
    columns::{int, text, time},
    commit::{FileWriter, Outcome, Told, merged},
    files::Files,
    index::read_links,
    log::{LogBlocks, merge_log},
    parquet_file::{Bounds, ROW_GROUP_ROWS, decode, encode},
    replace::{assert_unique, read_file, spec_of},
    sort::{KeyReader, key_columns},
    tables::{CONTENT_HASH, LOG, QUARANTINE, SEQ, TableSpec, known},
    version::TableData,
};

/// Files below that are put together.
const SMALL_ROWS: u64 = ROW_GROUP_ROWS as u64;
/// Limits of one new file.
const ROWS_MAX: u64 = 4 * ROW_GROUP_ROWS as u64;
const BYTES_MAX: u64 = 32 << 20;

/// Runs of small files that are neighbours in time, by table, of those that are `usable`.
pub(crate) fn plan(
    version: &Version,
    least: usize,
    usable: impl Fn(&DataFile) -> bool,
) -> Vec<(Arc<str>, Vec<Arc<DataFile>>)> {
    let runs = version.tables().flat_map(|table| runs(table, &usable));
    runs.filter(|(_, run)| run.len() >= least.max(2)).collect()
}

fn runs(
    table: &TableData,
    usable: impl Fn(&DataFile) -> bool,
) -> Vec<(Arc<str>, Vec<Arc<DataFile>>)> {
    let small = table.files.iter().filter(|f| f.is_small() && usable(f));
    let mut small: Vec<Arc<DataFile>> = small.cloned().collect();
    small.sort_by_key(|f| f.time_min);
    let mut runs: Vec<(Arc<str>, Vec<Arc<DataFile>>)> = Vec::new();
    let (mut rows, mut bytes) = (0, 0);
    for file in small {
        rows += file.rows;
        bytes += file.bytes;
        match runs.last_mut() {
            Some((_, run)) if rows <= ROWS_MAX && bytes <= BYTES_MAX => run.push(file),
            _ => {
                (rows, bytes) = (file.rows, file.bytes);
                runs.push((Arc::clone(&table.name), vec![file]));
            }
        }
    }
    runs
}

impl DataFile {
    /// Is it one of those that are put together?
    pub fn is_small(&self) -> bool {
        !self.hot && self.rows < SMALL_ROWS
    }
}

/// Several files as one.
pub(crate) struct Merged {
    /// `None` if no rows are left.
    file: Option<Arc<DataFile>>,
    /// Of the log: what is known of it.
    blocks: Option<LogBlocks>,
}

/// Writes a run of files as one. One run at a time, so that memory stays bounded.
pub(crate) fn run(table: &str, inputs: &[Arc<DataFile>], out: &FileWriter<'_>) -> Result<Merged> {
    let spec = known(table);
    let batches = inputs.iter().map(|file| read_file(spec, out.files, file));
    let batches = batches.collect::<Result<Vec<_>>>()?;
    let rows: u64 = inputs.iter().map(|f| f.rows).sum();
    let merged = match table {
        LOG => {
            let links = inputs.iter().map(|file| read_links(out.files, file));
            let links = links.collect::<Result<Vec<_>>>()?;
            let (batch, blocks) = merge_log(&batches, &links.iter().collect::<Vec<_>>())?;
            let bytes = Some(blocks.links.to_bytes());
            let file = out.write(table, &encode(spec, &batch)?, false, bytes)?;
            let (file, blocks) = (Some(file), Some(blocks));
            Merged { file, blocks }
        }
        _ => {
            let batch = merged(spec, &batches)?;
            assert_unique(spec, &batch)?;
            let file = Some(out.write(table, &encode(spec, &batch)?, false, None)?);
            Merged { file, blocks: None }
        }
    };
    let left = merged.file.as_ref().map_or(0, |file| file.rows);
    if left != rows {
        let what = format!("{left} rows of {rows} are left after merging");
        return Err(Error::inconsistent(table, what));
    }
    Ok(merged)
}

/// Writes the lines of a file of rejected ones again that were received at `before` or later, or
/// have the reason `kept`; with the number of the others. `None` if there are no others.
pub(crate) fn without_rejected(
    file: &DataFile,
    before: UtcMicros,
    kept: &str,
    out: &FileWriter<'_>,
) -> Result<Option<(Merged, u64)>> {
    let spec = known(QUARANTINE);
    let batch = read_file(spec, out.files, file)?;
    let (reason, received) = (
        text(QUARANTINE, &batch, "reason")?,
        time(QUARANTINE, &batch, "received_at")?,
    );
    let stays = |row| received.value(row) >= before.0 || reason.value(row) == kept;
    let mask = BooleanArray::from_iter((0..batch.num_rows()).map(|row| Some(stays(row))));
    let gone = (batch.num_rows() - mask.true_count()) as u64;
    if gone == 0 {
        return Ok(None);
    }
    let rest = filter_record_batch(&batch, &mask).map_err(|e| Error::encoding(QUARANTINE, e))?;
    let file = match rest.num_rows() {
        0 => None,
        _ => Some(out.write(QUARANTINE, &encode(spec, &rest)?, false, None)?),
    };
    Ok(Some((Merged { file, blocks: None }, gone)))
}

/// The version with a new file in the place of its inputs; `None` if one of them is gone.
pub(crate) fn replaced(
    version: &Version,
    table: &str,
    inputs: &[Arc<DataFile>],
    merged: Merged,
) -> Option<Outcome> {
    let mut version = version.clone();
    let paths: HashSet<&str> = inputs.iter().map(|f| f.path.as_str()).collect();
    let data = version.tables.get_mut(table)?;
    let before = data.files.len();
    data.files.retain(|f| !paths.contains(f.path.as_str()));
    if before - data.files.len() != inputs.len() {
        return None;
    }
    data.files.extend(merged.file.clone());
    let log_files = merged.file.zip(merged.blocks);
    Some(Outcome {
        version,
        log_files: log_files.into_iter().collect(),
        log_memory: Vec::new(),
        checkpoint: None,
        told: Told::Rows(Vec::new()),
    })
}

/// What reading every file has shown.
#[derive(Debug, Default)]
pub struct Verified {
    /// What is wrong.
    pub errors: Vec<Error>,
    /// Events that have the id of another one with other content. That is nothing wrong: an id may
    /// be used again once the first event was received more than seven days before.
    pub reused_ids: u64,
}

/// Reads the files of a version and compares them with what is said of them.
pub(crate) fn verify(version: &Version, checkpoint: Option<&DataFile>, files: &Files) -> Verified {
    let mut found = Verified::default();
    if let Some(file) = checkpoint {
        found.errors.extend(verify_file(file, files).err());
    }
    for table in version.tables() {
        let mut keys = Keys::default();
        for file in &table.files {
            match verify_file(file, files).and_then(|()| table_keys(table, file, files)) {
                Ok(of_file) => of_file.into_iter().for_each(|key| keys.add(key)),
                Err(error) => found.errors.push(error),
            }
        }
        if keys.doubles > 0 {
            let what = format!("{} rows have the key of another row", keys.doubles);
            found.errors.push(Error::inconsistent(&table.name, what));
        }
        found.reused_ids += keys.reused;
    }
    found
}

fn verify_file(file: &DataFile, files: &Files) -> Result<()> {
    file.parts()
        .try_for_each(|(path, ..)| files.check_again(path))
}

/// A short hash of a row's key, enough to find doubles, not to prove them; and of the log the hash
/// of the content, else 0.
type Key = (u128, i64);

/// The keys of a table.
#[derive(Default)]
struct Keys {
    first: HashMap<u128, i64>,
    /// Other contents of the same keys.
    more: HashSet<Key>,
    doubles: usize,
    reused: u64,
}

impl Keys {
    fn add(&mut self, (key, content): Key) {
        match self.first.entry(key) {
            Entry::Vacant(entry) => {
                entry.insert(content);
            }
            Entry::Occupied(first) if *first.get() == content => self.doubles += 1,
            Entry::Occupied(_) if self.more.insert((key, content)) => self.reused += 1,
            Entry::Occupied(_) => self.doubles += 1,
        }
    }
}

fn table_keys(table: &TableData, file: &DataFile, files: &Files) -> Result<Vec<Key>> {
    let spec = spec_of(table);
    let is_log = spec.name == LOG;
    let mut columns = key_columns(spec);
    columns.push(SEQ);
    columns.extend(
        is_log
            .then_some([CONTENT_HASH, "recorded_at"])
            .into_iter()
            .flatten(),
    );
    let batch: RecordBatch = decode(spec, files.read(&file.path)?, Some(&columns), None)?;
    if batch.num_rows() as u64 != file.rows {
        let what = format!("{} rows, the manifest says {}", batch.num_rows(), file.rows);
        return Err(Error::damaged(files.full(&file.path), "its rows", what));
    }
    compare_bounds(spec, file, &batch)?;
    if spec.key.is_empty() {
        return Ok(Vec::new());
    }
    let contents = match is_log {
        true => Some(int(LOG, &batch, CONTENT_HASH)?),
        false => None,
    };
    let keys = KeyReader::new(spec, &batch)?;
    let mut key = Vec::new();
    let hash = |row| {
        keys.read(row, &mut key);
        let hash = blake3::hash(&key);
        let first = hash
            .as_bytes()
            .first_chunk::<16>()
            .expect("a hash has 32 bytes");
        (
            u128::from_le_bytes(*first),
            contents.map_or(0, |c| c.value(row)),
        )
    };
    Ok((0..batch.num_rows()).map(hash).collect())
}

/// Are the bounds in the manifest those of the rows? Queries leave out files by them.
fn compare_bounds(spec: &TableSpec, file: &DataFile, batch: &RecordBatch) -> Result<()> {
    let mut found = Bounds::of(spec, batch);
    // A file of an older program has none.
    found.received_max = file.received_max.and(found.received_max);
    let said = Bounds {
        time: file.time_min.zip(file.time_max),
        seq: (file.seq_min, file.seq_max),
        received_max: file.received_max,
    };
    if found == said {
        return Ok(());
    }
    let what = format!("{} holds {found}, the manifest says {said}", file.path);
    Err(Error::inconsistent(spec.name, what))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_twice_is_a_double_and_an_id_with_other_content_is_not() {
        let mut keys = Keys::default();
        for (key, content) in [(1, 10), (1, 20), (1, 20), (2, 5), (2, 5), (3, 0)] {
            keys.add((key, content));
        }
        assert_eq!((keys.doubles, keys.reused), (2, 1));
    }

    #[test]
    fn bounds_in_the_manifest_that_are_not_those_of_the_rows_are_found() {
        let spec = known("costs");
        let cost = facts::Cost {
            cost_id: "k1".into(),
            day: "2026-01-05".into(),
            ..facts::Cost::default()
        };
        let batch = crate::batch(&[cost], 7).expect("a row");
        let bounds = Bounds::of(spec, &batch);
        let right = DataFile {
            table: "costs".into(),
            path: "parquet/costs/0000000001-0.parquet".into(),
            rows: 1,
            bytes: 1,
            footer_bytes: 1,
            blake3: String::new(),
            time_min: bounds.time.map(|t| t.0),
            time_max: bounds.time.map(|t| t.1),
            seq_min: 7,
            seq_max: 7,
            received_max: None,
            hot: false,
            links: None,
        };
        assert!(compare_bounds(spec, &right, &batch).is_ok());
        let later = right.time_max.map(|at| at + 1);
        let wrong = [
            DataFile {
                seq_max: 8,
                ..right.clone()
            },
            DataFile {
                seq_min: 6,
                ..right.clone()
            },
            DataFile {
                time_max: later,
                ..right.clone()
            },
            DataFile {
                time_min: None,
                ..right
            },
        ];
        for file in wrong {
            let error = compare_bounds(spec, &file, &batch).unwrap_err();
            assert!(error.to_string().contains(&file.path), "{error}");
        }
    }
}
