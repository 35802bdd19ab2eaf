//! Record batches to Parquet bytes and back. Layout: `docs/format/parquet.md`.

use std::sync::Arc;

use arrow::{
    array::{AsArray, RecordBatch, new_null_array},
    compute::concat_batches,
    datatypes::{DataType, FieldRef, Int64Type, TimestampMicrosecondType},
    error::ArrowError,
};
use bytes::Bytes;
use events::UtcMicros;
use parquet::{
    arrow::{
        ArrowWriter, ProjectionMask,
        arrow_reader::{ArrowReaderOptions, ParquetRecordBatchReaderBuilder, RowSelection},
    },
    basic::{Compression, Encoding, ZstdLevel},
    file::{
        metadata::{PageIndexPolicy, SortingColumn},
        properties::{EnabledStatistics, WriterProperties},
    },
    schema::types::ColumnPath,
};

use crate::{
    Error, Result,
    tables::{LOG, SEQ, TableSpec},
};

/// Rows in a row group.
pub const ROW_GROUP_ROWS: usize = 131_072;

/// Text columns whose values are nearly all different within a file, or whose neighbours share a
/// beginning because the file is sorted by them.
const UNIQUE_TEXTS: [&str; 5] = ["event_id", "visit_id", "leg_id", "interaction_id", "entity"];

/// A Parquet file in memory.
#[derive(Debug)]
pub(crate) struct Encoded {
    pub bytes: Vec<u8>,
    pub rows: u64,
    pub footer_bytes: u64,
    pub bounds: Bounds,
}

/// What the manifest says of the rows of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Bounds {
    /// Of the table's time column, in microseconds; `None` without rows.
    pub time: Option<(i64, i64)>,
    pub seq: (u64, u64),
    /// Greatest time of receipt, of the log.
    pub received_max: Option<i64>,
}

impl Bounds {
    pub fn of(spec: &TableSpec, batch: &RecordBatch) -> Self {
        let seq = int_range(batch, SEQ).unwrap_or((0, 0));
        let received = || time_range(batch, "recorded_at");
        Bounds {
            time: time_range(batch, spec.time),
            seq: (seq.0.unsigned_abs(), seq.1.unsigned_abs()),
            received_max: match spec.name {
                LOG => received().map(|(_, max)| max),
                _ => None,
            },
        }
    }
}

impl std::fmt::Display for Bounds {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "commits {} to {}", self.seq.0, self.seq.1)?;
        if let Some((min, max)) = self.time {
            write!(f, ", times {} to {}", UtcMicros(min), UtcMicros(max))?;
        }
        match self.received_max {
            Some(at) => write!(f, ", received until {}", UtcMicros(at)),
            None => Ok(()),
        }
    }
}

/// Encodes rows that are already in the order of the table.
pub(crate) fn encode(spec: &TableSpec, batch: &RecordBatch) -> Result<Encoded> {
    let fail = |e: parquet::errors::ParquetError| Error::encoding(spec.name, e);
    let mut writer =
        ArrowWriter::try_new(Vec::new(), batch.schema(), Some(properties(spec))).map_err(fail)?;
    writer.write(batch).map_err(fail)?;
    let bytes = writer.into_inner().map_err(fail)?;
    Ok(Encoded {
        rows: batch.num_rows() as u64,
        footer_bytes: footer_bytes(&bytes),
        bounds: Bounds::of(spec, batch),
        bytes,
    })
}

/// Metadata, its length and the magic at the end of the file.
fn footer_bytes(file: &[u8]) -> u64 {
    let tail = file
        .last_chunk::<8>()
        .expect("a Parquet file ends in length and magic");
    u64::from(u32::from_le_bytes([tail[0], tail[1], tail[2], tail[3]])) + 8
}

fn properties(spec: &TableSpec) -> WriterProperties {
    let level = ZstdLevel::try_new(1).expect("zstd has a level 1");
    let place = |name: &&str| spec.schema.index_of(name).ok();
    let sorting = spec.sort.iter().filter_map(place).map(|at| SortingColumn {
        column_idx: at as i32,
        descending: false,
        nulls_first: false,
    });
    let mut properties = WriterProperties::builder()
        .set_compression(Compression::ZSTD(level))
        .set_max_row_group_row_count(Some(ROW_GROUP_ROWS))
        .set_statistics_enabled(EnabledStatistics::Page)
        // A list of texts is one leaf, so places in the schema are places of leaves too.
        .set_sorting_columns(Some(sorting.collect()))
        .set_created_by(format!("callgauge {}", env!("CARGO_PKG_VERSION")));
    for field in spec.schema.fields() {
        let path = ColumnPath::from(field.name().as_str());
        if let Some(encoding) = plain_encoding(spec, field.name(), field.data_type()) {
            properties = properties
                .set_column_dictionary_enabled(path.clone(), false)
                .set_column_encoding(path.clone(), encoding);
        }
        if spec.name == LOG && matches!(field.name().as_str(), "data" | "attributes") {
            properties = properties.set_column_statistics_enabled(path, EnabledStatistics::None);
        }
    }
    properties.build()
}

/// The encoding of a column that has no dictionary.
fn plain_encoding(spec: &TableSpec, name: &str, kind: &DataType) -> Option<Encoding> {
    match kind {
        DataType::Int64 if name == crate::tables::CONTENT_HASH => Some(Encoding::PLAIN),
        DataType::Int64 | DataType::Timestamp(..) => Some(Encoding::DELTA_BINARY_PACKED),
        DataType::Utf8 if UNIQUE_TEXTS.contains(&name) || spec.key.contains(&name) => {
            Some(Encoding::DELTA_BYTE_ARRAY)
        }
        _ => None,
    }
}

/// Least and greatest value of a time column; `None` without values.
pub(crate) fn time_range(batch: &RecordBatch, name: &str) -> Option<(i64, i64)> {
    let array = batch
        .column_by_name(name)?
        .as_primitive_opt::<TimestampMicrosecondType>()?;
    Some((arrow::compute::min(array)?, arrow::compute::max(array)?))
}

fn int_range(batch: &RecordBatch, name: &str) -> Option<(i64, i64)> {
    let array = batch
        .column_by_name(name)?
        .as_primitive_opt::<Int64Type>()?;
    Some((arrow::compute::min(array)?, arrow::compute::max(array)?))
}

/// Reads some columns (`None`: all) and rows (`None`: all) as one batch.
pub(crate) fn decode(
    spec: &TableSpec,
    file: Bytes,
    columns: Option<&[&str]>,
    rows: Option<RowSelection>,
) -> Result<RecordBatch> {
    let fail = |e: &dyn std::fmt::Display| Error::encoding(spec.name, e);
    // Pages can be skipped only with their index.
    let index = match rows {
        Some(_) => PageIndexPolicy::Optional,
        None => PageIndexPolicy::Skip,
    };
    let options = ArrowReaderOptions::new().with_page_index_policy(index);
    let reader = ParquetRecordBatchReaderBuilder::try_new_with_options(file, options);
    let mut reader = reader.map_err(|e| fail(&e))?;
    if let Some(columns) = columns {
        let mask = ProjectionMask::columns(reader.parquet_schema(), columns.iter().copied());
        reader = reader.with_projection(mask);
    }
    if let Some(rows) = rows {
        reader = reader.with_row_selection(rows);
    }
    let reader = reader
        .with_batch_size(ROW_GROUP_ROWS)
        .build()
        .map_err(|e| fail(&e))?;
    let found = arrow::array::RecordBatchReader::schema(&reader);
    let batches = reader
        .collect::<Result<Vec<_>, _>>()
        .map_err(|e| fail(&e))?;
    let batch = concat_batches(&found, &batches).map_err(|e| fail(&e))?;
    match columns {
        None => with_columns(spec, &batch).map_err(|e| fail(&e)),
        Some(_) => Ok(batch),
    }
}

/// The batch with the columns of its table, in their order. A column that came to the table after
/// the file was written is NULL.
fn with_columns(spec: &TableSpec, batch: &RecordBatch) -> Result<RecordBatch, ArrowError> {
    let column = |field: &FieldRef| match batch.column_by_name(field.name()) {
        Some(column) => Arc::clone(column),
        None => new_null_array(field.data_type(), batch.num_rows()),
    };
    let columns = spec.schema.fields().iter().map(column).collect();
    RecordBatch::try_new(Arc::clone(&spec.schema), columns)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The file of a table from before its last nullable column.
    #[test]
    fn a_file_from_before_a_column_came_has_null_there() {
        let spec = crate::tables::known("costs");
        let cost = facts::Cost {
            cost_id: "k1".into(),
            day: "2026-01-05".into(),
            day_ends_at: Some(events::UtcMicros(1)),
            ..facts::Cost::default()
        };
        let batch = crate::batch(&[cost], 7).expect("a row");
        let without: Vec<usize> = (0..batch.num_columns())
            .filter(|&i| batch.schema().field(i).name() != "day_ends_at")
            .collect();
        let older = batch.project(&without).expect("columns");
        let mut writer = ArrowWriter::try_new(Vec::new(), older.schema(), None).expect("a writer");
        writer.write(&older).expect("written");
        let file = Bytes::from(writer.into_inner().expect("closed"));
        let read = decode(spec, file, None, None).expect("an older file is read");
        assert_eq!(read.schema(), spec.schema);
        let column = read.column_by_name("day_ends_at").expect("the new column");
        assert_eq!((read.num_rows(), column.null_count()), (1, 1));
        assert_eq!(
            read.column_by_name("cost_id"),
            batch.column_by_name("cost_id")
        );
    }
}
