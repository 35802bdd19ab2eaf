//! What one commit does to one table: superseded rows out, new rows in, and what is then written.
//!
//! Files are never changed. When rows of a file are superseded, the file is read into memory
//! without them ([`TableData::dropped`]) and written anew with the next flush; both the old file's
//! end and the new one's beginning are in one manifest edit.

use std::{collections::HashSet, sync::Arc};

use arrow::{
    array::{Array, AsArray, BooleanArray, RecordBatch},
    compute::{concat_batches, filter_record_batch},
    datatypes::{Int64Type, TimestampMicrosecondType},
};
use facts::{
    FactRows, Link, LinkKind, link_hash,
    table::{Row, TableVisitor},
};

use crate::{
    DataFile, Error, Result,
    files::Files,
    memory::{Keys, MemoryRows},
    parquet_file::decode,
    sort::{KeyReader, key_columns, row_key, sorted},
    tables::{self, SEQ, TableSpec},
    version::{Origin, TableData},
};

/// Rows of open entities that are kept apart, at most: they are written with every commit.
const HOT_ROWS_MAX: usize = 16_384;
/// Files up to that size are read at once, larger ones by their key columns first.
const SMALL_FILE_ROWS: u64 = 8_192;

/// Reads all rows of a file.
pub(crate) fn read_file(spec: &TableSpec, files: &Files, file: &DataFile) -> Result<RecordBatch> {
    decode(spec, files.read(&file.path)?, None, None)
}

/// Takes the rows `removed` out of the table and puts `added` in.
pub(crate) fn replace_rows(
    spec: &TableSpec,
    table: &mut TableData,
    removed: &FactRows,
    added: Option<RecordBatch>,
    files: Option<&Files>,
) -> Result<()> {
    let mut wanted = Wanted::of(removed, spec.name);
    if !wanted.is_empty() {
        take_from_memory(spec, table, &mut wanted)?;
    }
    if let Some(files) = files {
        take_from_files(spec, table, &mut wanted, files)?;
    }
    if let Some((_, time)) = wanted.keys.iter().next() {
        let rows = wanted.keys.len();
        let what = format!(
            "{rows} rows to be replaced are not stored, one is of {time} µs: the folder is damaged, or of \
             a program that did not keep this table yet; import into a new one"
        );
        return Err(Error::inconsistent(spec.name, what));
    }
    if let Some(added) = added {
        table.push(added, Origin::Fresh);
    }
    merge_memory(spec, table)
}

/// Identities of the rows of one table.
pub(crate) fn keys_of(rows: &FactRows, table: &str) -> Vec<Vec<u8>> {
    Wanted::of(rows, table).keys.into_keys().collect()
}

/// Keys of rows that are to go, with their times.
struct Wanted<'a> {
    table: &'a str,
    keys: Keys,
}

impl TableVisitor for Wanted<'_> {
    fn rows<R: Row>(&mut self, rows: &[R]) {
        if R::TABLE.name == self.table {
            self.keys.extend(rows.iter().map(row_key));
        }
    }
}

impl<'a> Wanted<'a> {
    fn of(rows: &FactRows, table: &'a str) -> Self {
        let mut wanted = Wanted {
            table,
            keys: Keys::new(),
        };
        rows.visit(&mut wanted);
        wanted
    }

    fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// The batch without the wanted rows, which are then wanted no more; `None` if it has none.
    fn take(&mut self, spec: &TableSpec, batch: &RecordBatch) -> Result<Option<RecordBatch>> {
        let keys = KeyReader::new(spec, batch)?;
        let mut key = Vec::new();
        let keep = BooleanArray::from_iter((0..batch.num_rows()).map(|row| {
            keys.read(row, &mut key);
            Some(self.keys.remove(&key).is_none())
        }));
        if keep.true_count() == batch.num_rows() {
            return Ok(None);
        }
        let kept = filter_record_batch(batch, &keep).map_err(|e| Error::encoding(spec.name, e))?;
        Ok(Some(kept))
    }

    /// As [`Wanted::take`], of a file. A large one is read whole only if it has a wanted row.
    fn take_from(
        &mut self,
        spec: &TableSpec,
        file: &DataFile,
        files: &Files,
    ) -> Result<Option<RecordBatch>> {
        if file.rows > SMALL_FILE_ROWS && !file.hot {
            let bytes = files.read(&file.path)?;
            let keys = decode(spec, bytes, Some(&key_columns(spec)), None)?;
            if !self.any_in(spec, &keys)? {
                return Ok(None);
            }
        }
        self.take(spec, &read_file(spec, files, file)?)
    }

    /// Does the batch, of key columns only, have a wanted row?
    fn any_in(&self, spec: &TableSpec, batch: &RecordBatch) -> Result<bool> {
        let keys = KeyReader::new(spec, batch)?;
        let mut key = Vec::new();
        Ok((0..batch.num_rows()).any(|row| {
            keys.read(row, &mut key);
            self.keys.contains_key(&key)
        }))
    }

    fn any_time_in(&self, file: &DataFile) -> bool {
        self.keys.values().any(|time| file.overlaps(*time, *time))
    }
}

fn take_from_memory(
    spec: &TableSpec,
    table: &mut TableData,
    wanted: &mut Wanted<'_>,
) -> Result<()> {
    // Newest first: what changes has mostly come or changed a short time ago.
    for rows in table.memory.iter_mut().rev() {
        if wanted.is_empty() {
            break;
        }
        rows.take(spec, &mut wanted.keys)?;
    }
    drop_empty(table);
    Ok(())
}

fn drop_empty(table: &mut TableData) {
    let keep: Vec<bool> = table.memory.iter().map(|b| b.num_rows() > 0).collect();
    let mut kept = keep.iter();
    table.memory.retain(|_| kept.next() == Some(&true));
    let mut kept = keep.iter();
    table.origins.retain(|_| kept.next() == Some(&true));
}

/// Looks where the rows most likely are: among those of open entities, then in the newest files.
fn take_from_files(
    spec: &TableSpec,
    table: &mut TableData,
    wanted: &mut Wanted<'_>,
    files: &Files,
) -> Result<()> {
    let mut order: Vec<Arc<DataFile>> = table.files.clone();
    order.sort_by_key(|f| std::cmp::Reverse((f.hot, f.seq_max)));
    for file in order {
        if wanted.is_empty() {
            break;
        }
        if !wanted.any_time_in(&file) {
            continue;
        }
        if let Some(kept) = wanted.take_from(spec, &file, files)? {
            let origin = match file.hot {
                true => Origin::Fresh,
                false => Origin::File,
            };
            drop_file(table, &file);
            if kept.num_rows() > 0 {
                table.push(kept, origin);
            }
        }
    }
    Ok(())
}

/// Calls `with` for each file of the table that holds some of the rows `removed`, with what it holds
/// beside them. `false` if some of them are in none.
pub(crate) fn without_rows(
    spec: &TableSpec,
    table: &TableData,
    removed: &FactRows,
    files: &Files,
    mut with: impl FnMut(&Arc<DataFile>, RecordBatch) -> Result<()>,
) -> Result<bool> {
    let mut wanted = Wanted::of(removed, spec.name);
    for file in &table.files {
        if wanted.is_empty() {
            break;
        }
        if !wanted.any_time_in(file) {
            continue;
        }
        if let Some(kept) = wanted.take_from(spec, file, files)? {
            with(file, kept)?;
        }
    }
    Ok(wanted.is_empty())
}

fn drop_file(table: &mut TableData, file: &Arc<DataFile>) {
    table.files.retain(|other| other.path != file.path);
    table.dropped.push(Arc::clone(file));
}

/// Puts the newest batches together as long as the one before is not much larger: their number
/// then grows with the logarithm of the rows, and each row is copied as many times.
fn merge_memory(spec: &TableSpec, table: &mut TableData) -> Result<()> {
    while let [.., before, last] = table.memory.as_slice()
        && let [.., Origin::Fresh, Origin::Fresh] = table.origins.as_slice()
        && before.num_rows() <= last.num_rows() * 2
    {
        let joined = MemoryRows::joined(spec, before, last)?;
        table.memory.truncate(table.memory.len() - 2);
        table.origins.truncate(table.origins.len() - 2);
        table.put(joined, Origin::Fresh);
    }
    Ok(())
}

/// Rows that a flush writes as one file.
pub(crate) struct FileRows {
    pub batch: RecordBatch,
    pub hot: bool,
}

/// Takes all rows out of memory, each batch of the result a file to be, in the order of the table.
///
/// Rows of entities in `open` go to a file of their own: it is taken up again with every flush of
/// the table, so that replacing its rows costs little.
pub(crate) fn take_rows(
    spec: &TableSpec,
    table: &mut TableData,
    open: &HashSet<u64>,
    files: &Files,
) -> Result<Vec<FileRows>> {
    let hot: Vec<Arc<DataFile>> = table.files.iter().filter(|f| f.hot).cloned().collect();
    for file in hot {
        table.push(read_file(spec, files, &file)?, Origin::Fresh);
        drop_file(table, &file);
    }
    let mut fresh = Vec::new();
    let mut rows = Vec::new();
    let origins = std::mem::take(&mut table.origins);
    for (rows_left, origin) in std::mem::take(&mut table.memory).iter().zip(origins) {
        let batch = rows_left.rows().into_owned();
        match origin {
            Origin::Fresh => fresh.push(batch),
            Origin::File => rows.push(FileRows { batch, hot: false }),
        }
    }
    let fresh = concat_batches(&spec.schema, &fresh).map_err(|e| Error::encoding(spec.name, e))?;
    let fresh = sorted(spec, &fresh)?;
    assert_unique(spec, &fresh)?;
    let (hot, cold) = split_hot(spec, fresh, open)?;
    rows.push(FileRows {
        batch: cold,
        hot: false,
    });
    rows.push(FileRows {
        batch: hot,
        hot: true,
    });
    rows.retain(|r| r.batch.num_rows() > 0);
    Ok(rows)
}

/// Equal keys stand side by side, because time and key are what rows are sorted by.
pub(crate) fn assert_unique(spec: &TableSpec, batch: &RecordBatch) -> Result<()> {
    if spec.key.is_empty() {
        return Ok(());
    }
    let keys = KeyReader::new(spec, batch)?;
    let (mut key, mut last) = (Vec::new(), Vec::new());
    for row in 0..batch.num_rows() {
        keys.read(row, &mut key);
        if key == last {
            let key = String::from_utf8_lossy(&key).replace('\u{fffd}', " ");
            return Err(Error::inconsistent(
                spec.name,
                format!("two rows with key {key}"),
            ));
        }
        std::mem::swap(&mut key, &mut last);
    }
    Ok(())
}

/// The rows of open entities, and the others.
fn split_hot(
    spec: &TableSpec,
    batch: RecordBatch,
    open: &HashSet<u64>,
) -> Result<(RecordBatch, RecordBatch)> {
    let hot = hot_rows(spec, &batch, open);
    let cold = arrow::compute::not(&hot).map_err(|e| Error::encoding(spec.name, e))?;
    let filter = |rows: &BooleanArray| {
        filter_record_batch(&batch, rows).map_err(|e| Error::encoding(spec.name, e))
    };
    Ok((filter(&hot)?, filter(&cold)?))
}

fn hot_rows(spec: &TableSpec, batch: &RecordBatch, open: &HashSet<u64>) -> BooleanArray {
    let rows = batch.num_rows();
    let none = || BooleanArray::from(vec![false; rows]);
    let Some((kind, column)) = entity_column(spec.name) else {
        return none();
    };
    let texts = |name: &str| {
        batch
            .column_by_name(name)
            .and_then(|c| c.as_string_opt::<i32>())
    };
    let (Some(tenants), Some(ids)) = (texts("tenant_id"), texts(column)) else {
        return none();
    };
    let is_open = |row: usize| {
        let link = Link {
            kind,
            id: ids.value(row),
        };
        ids.is_valid(row) && open.contains(&link_hash(tenants.value(row), link))
    };
    let mut hot: Vec<usize> = (0..rows).filter(|row| is_open(*row)).collect();
    if hot.len() > HOT_ROWS_MAX {
        keep_newest(spec, batch, &mut hot);
    }
    let mut mask = vec![false; rows];
    hot.into_iter().for_each(|row| mask[row] = true);
    BooleanArray::from(mask)
}

/// Too many: those that were written last are the most likely to change.
fn keep_newest(spec: &TableSpec, batch: &RecordBatch, rows: &mut Vec<usize>) {
    let seq = batch
        .column_by_name(SEQ)
        .and_then(|c| c.as_primitive_opt::<Int64Type>());
    let time = batch
        .column_by_name(spec.time)
        .and_then(|c| c.as_primitive_opt::<TimestampMicrosecondType>());
    let value = |row: usize| (seq.map(|s| s.value(row)), time.map(|t| t.value(row)));
    rows.sort_by_key(|row| std::cmp::Reverse(value(*row)));
    rows.truncate(HOT_ROWS_MAX);
}

/// The column that names the entity of a row. A wrong choice costs time only.
fn entity_column(table: &str) -> Option<(LinkKind, &'static str)> {
    match table {
        "queue_visits" | "legs" | "interactions" => Some((LinkKind::Interaction, "interaction_id")),
        "agent_states" => Some((LinkKind::Agent, "agent_id")),
        "surveys" => Some((LinkKind::Survey, "survey_id")),
        "evaluations" => Some((LinkKind::Evaluation, "evaluation_id")),
        "cases" => Some((LinkKind::Case, "case_id")),
        "orders" => Some((LinkKind::Order, "order_id")),
        "callbacks" => Some((LinkKind::Callback, "callback_id")),
        "costs" => Some((LinkKind::Cost, "cost_id")),
        "alerts" => Some((LinkKind::Alert, "alert_id")),
        _ => None,
    }
}

/// The table's description.
pub(crate) fn spec_of(table: &TableData) -> &'static TableSpec {
    tables::known(&table.name)
}
