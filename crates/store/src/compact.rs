//! Putting small files together, and checking all of them.

use std::{collections::HashSet, sync::Arc};

use arrow::{
    array::{BooleanArray, RecordBatch},
    compute::filter_record_batch,
};
use events::UtcMicros;

use crate::{
    DataFile, Error, Result, Version,
    columns::{text, time},
    commit::{FileWriter, Outcome, Told, merged},
    files::Files,
    index::read_links,
    log::{LogBlocks, merge_log},
    parquet_file::{ROW_GROUP_ROWS, decode, encode},
    replace::{assert_unique, read_file, spec_of},
    sort::{KeyReader, key_columns},
    tables::{LOG, QUARANTINE, known},
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

/// Everything that is wrong with the files of a version.
pub(crate) fn verify(
    version: &Version,
    checkpoint: Option<&DataFile>,
    files: &Files,
) -> Vec<Error> {
    let mut wrong = Vec::new();
    if let Some(file) = checkpoint {
        wrong.extend(verify_file(file, files).err());
    }
    for table in version.tables() {
        let mut keys = HashSet::new();
        let mut doubles = 0;
        for file in &table.files {
            match verify_file(file, files).and_then(|()| table_keys(table, file, files)) {
                Ok(of_file) => {
                    doubles += of_file.into_iter().filter(|key| !keys.insert(*key)).count();
                }
                Err(error) => wrong.push(error),
            }
        }
        if doubles > 0 {
            let what = format!("{doubles} rows have the key of another row");
            wrong.push(Error::inconsistent(&table.name, what));
        }
    }
    wrong
}

fn verify_file(file: &DataFile, files: &Files) -> Result<()> {
    file.parts()
        .try_for_each(|(path, ..)| files.check_again(path))
}

/// A short hash of each row's key: enough to find doubles, not to prove them.
fn table_keys(table: &TableData, file: &DataFile, files: &Files) -> Result<Vec<u128>> {
    let spec = spec_of(table);
    let batch: RecordBatch = decode(
        spec,
        files.read(&file.path)?,
        Some(&key_columns(spec)),
        None,
    )?;
    if batch.num_rows() as u64 != file.rows {
        let what = format!("{} rows, the manifest says {}", batch.num_rows(), file.rows);
        return Err(Error::damaged(files.full(&file.path), "its rows", what));
    }
    if spec.key.is_empty() {
        return Ok(Vec::new());
    }
    let keys = KeyReader::new(spec, &batch)?;
    let mut key = Vec::new();
    let hash = |row| {
        keys.read(row, &mut key);
        let hash = blake3::hash(&key);
        let first = hash
            .as_bytes()
            .first_chunk::<16>()
            .expect("a hash has 32 bytes");
        u128::from_le_bytes(*first)
    };
    Ok((0..batch.num_rows()).map(hash).collect())
}
