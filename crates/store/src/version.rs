//! One immutable state of all tables. A query pins one and sees nothing else.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use arrow::{array::RecordBatch, datatypes::SchemaRef};
use events::UtcMicros;

use crate::{
    DataFile, Floors,
    log::LogBlocks,
    manifest::FileList,
    memory::MemoryRows,
    tables::{self, LOG, TableSpec},
};

/// One immutable state of all tables.
///
/// As long as it is held its files stay on the disk, also when newer versions no longer need them.
#[derive(Clone, Debug)]
pub struct Version {
    /// Sequence of the last commit in it; 0 in an empty store.
    pub committed_seq: u64,
    /// Sequence of the write-ahead log up to which all is in it.
    pub arrived_seq: u64,
    /// The time that came with the last commit; `None` in an empty store.
    pub recorded_at: Option<UtcMicros>,
    /// Before when nothing is kept.
    pub floors: Floors,
    /// Number of the manifest edit that its files are of.
    pub(crate) edit: u64,
    pub(crate) tables: BTreeMap<Arc<str>, TableData>,
    /// What is known of each memory batch of the log.
    pub(crate) log_memory: Vec<LogBlocks>,
}

/// The rows of one table: those in files and those still in memory. No row is superseded.
#[derive(Clone, Debug)]
pub struct TableData {
    /// Name without schema.
    pub name: Arc<str>,
    /// Its columns; the last one is `_seq`.
    pub schema: SchemaRef,
    /// Columns that identify a row within a tenant; empty if there are none.
    pub key: Vec<Arc<str>>,
    /// Column that files are pruned by.
    pub time: Option<Arc<str>>,
    /// Columns that the rows of each file are sorted by. Says nothing of `memory`.
    pub sort: Vec<Arc<str>>,
    /// Parquet files.
    pub files: Vec<Arc<DataFile>>,
    /// Rows that are not in a file yet.
    pub memory: Vec<MemoryRows>,
    /// Where each memory batch comes from.
    pub(crate) origins: Vec<Origin>,
    /// Files of the manifest whose rows are in `memory`.
    pub(crate) dropped: Vec<Arc<DataFile>>,
}

/// Where rows in memory come from.
#[derive(Clone, Debug)]
pub(crate) enum Origin {
    /// From a commit, or from a file of rows that were expected to change.
    Fresh,
    /// What was left of a file when some of its rows were replaced; becomes a file again.
    File,
}

impl TableData {
    fn empty(spec: &TableSpec) -> Self {
        let texts = |names: &[&str]| names.iter().map(|n| Arc::from(*n)).collect();
        TableData {
            name: spec.name.into(),
            schema: Arc::clone(&spec.schema),
            key: texts(&spec.key),
            time: Some(spec.time.into()),
            sort: texts(&spec.sort),
            files: Vec::new(),
            memory: Vec::new(),
            origins: Vec::new(),
            dropped: Vec::new(),
        }
    }

    /// Number of rows in files and in memory.
    pub fn rows(&self) -> u64 {
        let files: u64 = self.files.iter().map(|f| f.rows).sum();
        files + self.memory.iter().map(|b| b.num_rows() as u64).sum::<u64>()
    }

    pub(crate) fn push(&mut self, batch: RecordBatch, origin: Origin) {
        let rows = MemoryRows::new(batch, self.time.as_deref());
        self.put(rows, origin);
    }

    pub(crate) fn put(&mut self, rows: MemoryRows, origin: Origin) {
        self.memory.push(rows);
        self.origins.push(origin);
    }

    /// Is there something that a flush would write?
    pub(crate) fn is_dirty(&self) -> bool {
        !self.memory.is_empty() || !self.dropped.is_empty()
    }
}

impl Version {
    /// Number of the manifest edit that its files are of.
    pub fn manifest_edit(&self) -> u64 {
        self.edit
    }

    /// All tables without rows.
    pub(crate) fn empty() -> Self {
        let tables = tables::all()
            .iter()
            .map(|spec| (Arc::from(spec.name), TableData::empty(spec)));
        Version {
            committed_seq: 0,
            arrived_seq: 0,
            recorded_at: None,
            floors: Floors::default(),
            edit: 0,
            tables: tables.collect(),
            log_memory: Vec::new(),
        }
    }

    /// The files of a manifest. A file of a table that this program does not know is passed over.
    pub(crate) fn of_files(list: &FileList) -> Self {
        let mut version = Version {
            committed_seq: list.seq,
            arrived_seq: list.wal,
            recorded_at: (list.seq > 0).then_some(UtcMicros(list.at)),
            edit: list.edit,
            floors: list.floors,
            ..Version::empty()
        };
        for file in list.files.values() {
            match version.tables.get_mut(&file.table) {
                Some(table) => table.files.push(Arc::clone(file)),
                None => tracing::warn!(path = file.path, "file of an unknown table"),
            }
        }
        version
    }

    /// Rows in memory only, for examples and tests. A known table takes its key and time column
    /// from the list of tables, its schema from the first batch.
    pub fn from_batches(batches: HashMap<String, Vec<RecordBatch>>) -> Self {
        let mut version = Version {
            committed_seq: 1,
            ..Version::empty()
        };
        for (name, batches) in batches {
            let Some(first) = batches.first() else {
                continue;
            };
            let name: Arc<str> = name.into();
            let schema = first.schema();
            let table = version
                .tables
                .entry(Arc::clone(&name))
                .or_insert_with(|| TableData {
                    name,
                    key: Vec::new(),
                    time: None,
                    sort: Vec::new(),
                    schema: Arc::clone(&schema),
                    files: Vec::new(),
                    memory: Vec::new(),
                    origins: Vec::new(),
                    dropped: Vec::new(),
                });
            table.schema = schema;
            batches
                .into_iter()
                .for_each(|batch| table.push(batch, Origin::Fresh));
        }
        version
    }

    /// The rows of a table: a fact table, `log` or `quarantine`.
    pub fn table(&self, name: &str) -> Option<&TableData> {
        self.tables.get(name)
    }

    /// Every table.
    pub fn tables(&self) -> impl Iterator<Item = &TableData> {
        self.tables.values()
    }

    pub(crate) fn log(&self) -> &TableData {
        self.tables.get(LOG).expect("every version has the log")
    }
}
