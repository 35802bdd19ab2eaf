//! Putting small files together, and checking all of them.

use std::{collections::HashSet, sync::Arc};

use arrow::array::RecordBatch;

use crate::{
    DataFile, Error, Result, Version,
    commit::{FileWriter, merged},
    files::Files,
    parquet_file::{ROW_GROUP_ROWS, decode, encode},
    replace::{assert_unique, read_file, spec_of},
    sort::{KeyReader, key_columns},
    tables::{LOG, known},
    version::TableData,
};

/// Files below that are put together.
const SMALL_ROWS: u64 = ROW_GROUP_ROWS as u64;
/// Limits of one new file.
const ROWS_MAX: u64 = 4 * ROW_GROUP_ROWS as u64;
const BYTES_MAX: u64 = 32 << 20;

/// Runs of small files that are neighbours in time, by table.
pub(crate) fn plan(version: &Version) -> Vec<(Arc<str>, Vec<Arc<DataFile>>)> {
    // Log files carry an index of their entities, and are large unless the commits were small.
    let tables = version.tables().filter(|table| &*table.name != LOG);
    tables.flat_map(runs).collect()
}

fn runs(table: &TableData) -> Vec<(Arc<str>, Vec<Arc<DataFile>>)> {
    let small = table.files.iter().filter(|f| !f.hot && f.rows < SMALL_ROWS);
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
    runs.retain(|(_, run)| run.len() > 1);
    runs
}

/// Writes each run as one file. One run at a time, so that memory stays bounded.
pub(crate) fn run(
    version: &Version,
    plan: Vec<(Arc<str>, Vec<Arc<DataFile>>)>,
    out: &FileWriter<'_>,
) -> Result<Version> {
    let mut version = version.clone();
    for (name, inputs) in plan {
        let spec = known(&name);
        let batches = inputs.iter().map(|file| read_file(spec, out.files, file));
        let batch = merged(spec, &batches.collect::<Result<Vec<_>>>()?)?;
        let rows: u64 = inputs.iter().map(|f| f.rows).sum();
        if batch.num_rows() as u64 != rows {
            let what = format!("{} rows of {rows} are left after merging", batch.num_rows());
            return Err(Error::inconsistent(&name, what));
        }
        assert_unique(spec, &batch)?;
        let file = out.write(&name, &encode(spec, &batch)?, false, None)?;
        let paths: HashSet<&str> = inputs.iter().map(|f| f.path.as_str()).collect();
        if let Some(table) = version.tables.get_mut(&name) {
            table.files.retain(|f| !paths.contains(f.path.as_str()));
            table.files.push(file);
        }
    }
    Ok(version)
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
