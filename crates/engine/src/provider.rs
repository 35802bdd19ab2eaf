//! One table of a pinned version: rows still in memory and rows in Parquet, read as one.
//!
//! Never a `ListingTable`: the files are those of the version, whatever lies in the folder.
//! Row counts and time ranges come from the manifest, so planning opens no file and files
//! outside the asked time range are never opened.

use std::sync::Arc;

use arrow::datatypes::{Schema, SchemaRef};
use async_trait::async_trait;
use datafusion::catalog::Session;
use datafusion::common::stats::Precision;
use datafusion::common::{ColumnStatistics, Constraint, Constraints, ScalarValue, Statistics};
use datafusion::config::TableParquetOptions;
use datafusion::datasource::listing::PartitionedFile;
use datafusion::datasource::memory::MemorySourceConfig;
use datafusion::datasource::physical_plan::parquet::CachedParquetFileReaderFactory;
use datafusion::datasource::physical_plan::{
    FileGroup, FileScanConfigBuilder, FileSource, ParquetSource,
};
use datafusion::datasource::source::DataSourceExec;
use datafusion::datasource::{TableProvider, TableType};
use datafusion::error::Result;
use datafusion::execution::object_store::ObjectStoreUrl;
use datafusion::logical_expr::utils::split_conjunction;
use datafusion::logical_expr::{BinaryExpr, Expr, Operator, TableProviderFilterPushDown};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::empty::EmptyExec;
use datafusion::physical_plan::union::UnionExec;
use store::{DataFile, MemoryRows, TableData};

use crate::session::pinned;

/// The address under which the store's files are read.
pub(crate) const DATA_URL: &str = "callgauge://data/";

/// One table, without rows: its plans serve every version. The rows are those of the version that
/// the session has [`Pinned`] when a scan is planned.
#[derive(Debug)]
pub(crate) struct FactTable {
    name: Arc<str>,
    schema: SchemaRef,
    /// Positions of its columns among the store's.
    shown: Vec<usize>,
    time: Option<usize>,
    constraints: Constraints,
}

impl FactTable {
    /// The table without the store's own hidden columns (`_seq` is shown).
    pub(crate) fn new(data: &TableData) -> Result<Self> {
        let shown: Vec<usize> = (0..data.schema.fields().len())
            .filter(|&i| is_shown(data.schema.field(i).name()))
            .collect();
        let schema: SchemaRef = Arc::new(data.schema.project(&shown)?);
        let time = data.time.as_ref().and_then(|t| schema.index_of(t).ok());
        let constraints = primary_key(&schema, data.key.iter().map(AsRef::as_ref));
        Ok(FactTable {
            name: Arc::clone(&data.name),
            schema,
            shown,
            time,
            constraints,
        })
    }

    fn scan_memory(
        &self,
        rows: &[MemoryRows],
        projection: Option<&Vec<usize>>,
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let (columns, schema) = match projection {
            Some(asked) => (
                asked.iter().map(|at| self.shown[*at]).collect(),
                Arc::new(self.schema.project(asked)?),
            ),
            None => (self.shown.clone(), Arc::clone(&self.schema)),
        };
        let projected = rows.iter().map(|rows| rows.project(&columns));
        let rows = projected.collect::<Result<Vec<_>, _>>()?;
        let source = MemorySourceConfig::try_new(&[rows], schema, None)?;
        Ok(DataSourceExec::from_data_source(source.with_limit(limit)))
    }

    fn scan_files(
        &self,
        state: &dyn Session,
        files: Vec<&DataFile>,
        projection: Option<&Vec<usize>>,
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let url = ObjectStoreUrl::parse(DATA_URL)?;
        let statistics = self.statistics_of(&files);
        let group = FileGroup::new(files.iter().map(|f| self.partitioned_file(f)).collect());
        let source = self.parquet_source(state, &url)?;
        let config = FileScanConfigBuilder::new(url, source)
            .with_file_group(group)
            .with_statistics(statistics)
            .with_projection_indices(projection.cloned())?
            .with_limit(limit)
            .build();
        Ok(DataSourceExec::from_data_source(config))
    }

    fn parquet_source(
        &self,
        state: &dyn Session,
        url: &ObjectStoreUrl,
    ) -> Result<Arc<dyn FileSource>> {
        let runtime = state.runtime_env();
        let options = TableParquetOptions {
            global: state.config_options().execution.parquet.clone(),
            ..TableParquetOptions::default()
        };
        let reader = CachedParquetFileReaderFactory::new(
            runtime.object_store(url)?,
            runtime.cache_manager.get_file_metadata_cache(),
        );
        Ok(Arc::new(
            ParquetSource::new(Arc::clone(&self.schema))
                .with_table_parquet_options(options)
                .with_parquet_file_reader_factory(Arc::new(reader)),
        ))
    }

    fn partitioned_file(&self, file: &DataFile) -> PartitionedFile {
        let hint = usize::try_from(file.footer_bytes).unwrap_or(0);
        let one = PartitionedFile::new(&file.path, file.bytes)
            .with_statistics(Arc::new(self.statistics_of(&[file])));
        if hint > 0 {
            one.with_metadata_size_hint(hint)
        } else {
            one
        }
    }

    /// Exact rows and time range; nothing is claimed about other columns.
    fn statistics_of(&self, files: &[&DataFile]) -> Statistics {
        let mut statistics = Statistics::new_unknown(&self.schema);
        let sum = |f: fn(&DataFile) -> u64| {
            usize::try_from(files.iter().map(|file| f(file)).sum::<u64>()).unwrap_or(usize::MAX)
        };
        statistics.num_rows = Precision::Exact(sum(|f| f.rows));
        statistics.total_byte_size = Precision::Inexact(sum(|f| f.bytes));
        if let Some(time) = self.time {
            statistics.column_statistics[time] = time_statistics(files);
        }
        statistics
    }
}

/// Store-internal columns start with an underscore; the commit sequence is shown all the same.
fn is_shown(column: &str) -> bool {
    column == "_seq" || !column.starts_with('_')
}

/// `tenant_id` and the table's own key identify a row.
fn primary_key<'a>(schema: &Schema, key: impl Iterator<Item = &'a str>) -> Constraints {
    let named = std::iter::once("tenant_id").chain(key.filter(|k| *k != "tenant_id"));
    match named
        .map(|k| schema.index_of(k))
        .collect::<Result<Vec<_>, _>>()
    {
        Ok(columns) if columns.len() > 1 => {
            Constraints::new_unverified(vec![Constraint::PrimaryKey(columns)])
        }
        _ => Constraints::default(),
    }
}

fn time_statistics(files: &[&DataFile]) -> ColumnStatistics {
    let known = |f: fn(&DataFile) -> Option<i64>| -> Option<Vec<i64>> {
        files.iter().map(|file| f(file)).collect()
    };
    let exact = |value: Option<i64>| match value {
        Some(micros) => Precision::Exact(utc(micros)),
        None => Precision::Absent,
    };
    let mut statistics = ColumnStatistics::new_unknown();
    statistics.min_value = exact(known(|f| f.time_min).and_then(|v| v.into_iter().min()));
    statistics.max_value = exact(known(|f| f.time_max).and_then(|v| v.into_iter().max()));
    statistics
}

/// A UTC instant as a literal value.
pub(crate) fn utc(micros: i64) -> ScalarValue {
    ScalarValue::TimestampMicrosecond(Some(micros), Some("UTC".into()))
}

#[async_trait]
impl TableProvider for FactTable {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    fn constraints(&self) -> Option<&Constraints> {
        Some(&self.constraints)
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    fn supports_filters_pushdown(
        &self,
        filters: &[&Expr],
    ) -> Result<Vec<TableProviderFilterPushDown>> {
        Ok(vec![TableProviderFilterPushDown::Inexact; filters.len()])
    }

    async fn scan(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let range = match self.time {
            Some(time) => TimeRange::of(filters, self.schema.field(time).name()),
            None => TimeRange::ALL,
        };
        let pinned = pinned(state)?;
        let rows = pinned.rows(&self.name);
        let files: Vec<&DataFile> = rows
            .files
            .iter()
            .map(AsRef::as_ref)
            .filter(|f| range.overlaps(f))
            .collect();
        let mut parts: Vec<Arc<dyn ExecutionPlan>> = Vec::new();
        if !files.is_empty() {
            parts.push(self.scan_files(state, files, projection, limit)?);
        }
        if !rows.memory.is_empty() {
            parts.push(self.scan_memory(rows.memory, projection, limit)?);
        }
        match parts.len() {
            0 => {
                let schema = match projection {
                    Some(columns) => Arc::new(self.schema.project(columns)?),
                    None => Arc::clone(&self.schema),
                };
                Ok(Arc::new(EmptyExec::new(schema)))
            }
            1 => Ok(parts.swap_remove(0)),
            _ => UnionExec::try_new(parts),
        }
    }
}

/// The times that a query asks for, both ends included, in UTC microseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct TimeRange {
    from: i64,
    to: i64,
}

impl TimeRange {
    const ALL: TimeRange = TimeRange {
        from: i64::MIN,
        to: i64::MAX,
    };

    /// What the conjuncts of `filters` say about `column`; anything else is ignored.
    fn of(filters: &[Expr], column: &str) -> Self {
        let mut range = Self::ALL;
        for part in filters.iter().flat_map(split_conjunction) {
            range.narrow(part, column);
        }
        range
    }

    fn narrow(&mut self, filter: &Expr, column: &str) {
        match filter {
            Expr::BinaryExpr(BinaryExpr { left, op, right }) => {
                if let (true, Some(at)) = (is_column(left, column), micros(right)) {
                    self.compare(*op, at);
                } else if let (Some(at), true, Some(op)) =
                    (micros(left), is_column(right, column), op.swap())
                {
                    self.compare(op, at);
                }
            }
            Expr::Between(b) if !b.negated && is_column(&b.expr, column) => {
                if let (Some(low), Some(high)) = (micros(&b.low), micros(&b.high)) {
                    self.compare(Operator::GtEq, low);
                    self.compare(Operator::LtEq, high);
                }
            }
            _ => {}
        }
    }

    fn compare(&mut self, op: Operator, at: i64) {
        match op {
            Operator::Eq => {
                self.from = self.from.max(at);
                self.to = self.to.min(at);
            }
            Operator::Gt => self.from = self.from.max(at.saturating_add(1)),
            Operator::GtEq => self.from = self.from.max(at),
            Operator::Lt => self.to = self.to.min(at.saturating_sub(1)),
            Operator::LtEq => self.to = self.to.min(at),
            _ => {}
        }
    }

    /// May the file hold a row in this range? Files of unknown range may.
    fn overlaps(&self, file: &DataFile) -> bool {
        match (file.time_min, file.time_max) {
            (Some(min), Some(max)) => min <= self.to && max >= self.from,
            _ => true,
        }
    }
}

fn is_column(expr: &Expr, name: &str) -> bool {
    matches!(expr, Expr::Column(c) if c.name == name)
}

fn micros(expr: &Expr) -> Option<i64> {
    match expr {
        Expr::Literal(ScalarValue::TimestampMicrosecond(at, Some(_)), _) => *at,
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use datafusion::prelude::{col, lit};

    use super::*;

    fn at(micros: i64) -> Expr {
        Expr::Literal(utc(micros), None)
    }

    #[test]
    fn the_time_range_follows_every_comparison() {
        let check = |filter: Expr, from, to| {
            assert_eq!(TimeRange::of(&[filter], "t"), TimeRange { from, to });
        };
        check(col("t").gt_eq(at(5)).and(col("t").lt(at(9))), 5, 8);
        check(col("t").gt(at(5)), 6, i64::MAX);
        check(at(5).gt_eq(col("t")), i64::MIN, 5);
        check(col("t").between(at(2), at(3)), 2, 3);
        check(col("t").eq(at(4)), 4, 4);
    }

    #[test]
    fn what_is_not_a_plain_bound_does_not_narrow_the_range() {
        let either = col("t").gt(at(5)).or(col("q").eq(lit("a")));
        assert_eq!(TimeRange::of(&[either], "t"), TimeRange::ALL);
        assert_eq!(TimeRange::of(&[col("u").gt(at(5))], "t"), TimeRange::ALL);
        assert_eq!(
            TimeRange::of(&[col("t").not_between(at(1), at(2))], "t"),
            TimeRange::ALL
        );
    }
}
