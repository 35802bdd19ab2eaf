//! What a query answers with.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use events::UtcMicros;
use kpi::ParamValue;

use crate::error::EngineError;

/// Rows and what they were computed from.
#[derive(Clone, Debug)]
pub struct QueryResult {
    /// Names and types; its metadata holds `as_of`, `revision`, `approx` and, when KPIs were
    /// evaluated, `kpi`, `version` and `definition_hash` (comma-separated, in the same order).
    pub schema: SchemaRef,
    /// The rows. Types: Utf8, Int64, Float64, Boolean, Decimal128, Timestamp(us, zone), lists.
    pub batches: Vec<RecordBatch>,
    /// What the answer was computed from.
    pub meta: ResultMeta,
}

impl QueryResult {
    /// Number of rows.
    pub fn rows(&self) -> usize {
        self.batches.iter().map(RecordBatch::num_rows).sum()
    }
}

/// What an answer was computed from. Two doors may differ only where these differ.
#[derive(Clone, Debug, PartialEq)]
pub struct ResultMeta {
    /// What counted as now.
    pub as_of: UtcMicros,
    /// Data were complete up to here.
    pub horizon: UtcMicros,
    /// Commit sequence of the version that was read.
    pub revision: u64,
    /// Is any number an estimate?
    pub approx: bool,
    /// The KPIs that were evaluated, by id.
    pub kpis: Vec<UsedKpi>,
}

/// One evaluated KPI.
#[derive(Clone, Debug, PartialEq)]
pub struct UsedKpi {
    /// Its id.
    pub id: String,
    /// Its version.
    pub version: u32,
    /// Hash of its definition's meaning.
    pub hash: String,
    /// Parameter values it was evaluated with.
    pub params: BTreeMap<String, ParamValue>,
}

impl ResultMeta {
    fn entries(&self) -> HashMap<String, String> {
        let list =
            |f: fn(&UsedKpi) -> String| self.kpis.iter().map(f).collect::<Vec<_>>().join(",");
        let mut entries = HashMap::from([
            ("as_of".to_owned(), self.as_of.to_string()),
            ("revision".to_owned(), self.revision.to_string()),
            ("approx".to_owned(), self.approx.to_string()),
        ]);
        if !self.kpis.is_empty() {
            entries.insert("kpi".to_owned(), list(|k| k.id.clone()));
            entries.insert("version".to_owned(), list(|k| k.version.to_string()));
            entries.insert("definition_hash".to_owned(), list(|k| k.hash.clone()));
        }
        entries
    }
}

/// Casts to the types of the contract and adds the metadata.
pub(crate) fn finish(
    schema: &Schema,
    batches: Vec<RecordBatch>,
    meta: ResultMeta,
) -> Result<QueryResult, EngineError> {
    let fields: Vec<Field> = schema.fields().iter().map(|f| contract_field(f)).collect();
    let schema: SchemaRef = Arc::new(Schema::new_with_metadata(fields, meta.entries()));
    let batches = batches
        .into_iter()
        .map(|batch| contract_batch(&schema, &batch))
        .collect::<Result<_, arrow::error::ArrowError>>()
        .map_err(|e| EngineError::Internal(e.to_string()))?;
    Ok(QueryResult {
        schema,
        batches,
        meta,
    })
}

/// Internal marks are taken off; what tells a reader about a KPI stays.
fn contract_field(field: &Field) -> Field {
    let mut metadata = field.metadata().clone();
    metadata.retain(|key, _| !key.starts_with(crate::views::INTERNAL));
    field
        .clone()
        .with_data_type(contract_type(field.data_type()))
        .with_metadata(metadata)
}

fn contract_batch(
    schema: &SchemaRef,
    batch: &RecordBatch,
) -> Result<RecordBatch, arrow::error::ArrowError> {
    let columns = batch
        .columns()
        .iter()
        .zip(schema.fields())
        .map(|(column, field)| contract_column(column, field.data_type()))
        .collect::<Result<Vec<_>, _>>()?;
    let options = arrow::array::RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    RecordBatch::try_new_with_options(Arc::clone(schema), columns, &options)
}

fn contract_column(column: &ArrayRef, to: &DataType) -> Result<ArrayRef, arrow::error::ArrowError> {
    if column.data_type() == to {
        Ok(Arc::clone(column))
    } else {
        cast(column, to)
    }
}

/// No view, large, dictionary or unsigned types; every time in microseconds and with a zone.
fn contract_type(from: &DataType) -> DataType {
    use DataType as D;
    match from {
        D::Utf8View | D::LargeUtf8 => D::Utf8,
        D::BinaryView | D::LargeBinary => D::Binary,
        D::Dictionary(_, value) => contract_type(value),
        D::Int8 | D::Int16 | D::Int32 | D::UInt8 | D::UInt16 | D::UInt32 | D::UInt64 => D::Int64,
        D::Float16 | D::Float32 => D::Float64,
        D::Timestamp(_, zone) => D::Timestamp(
            TimeUnit::Microsecond,
            Some(zone.clone().unwrap_or_else(|| "UTC".into())),
        ),
        D::List(item) | D::LargeList(item) | D::ListView(item) | D::LargeListView(item) => {
            let of = contract_type(item.data_type());
            D::List(Arc::new(item.as_ref().clone().with_data_type(of)))
        }
        other => other.clone(),
    }
}

#[cfg(test)]
mod tests {
    use arrow::array::{StringViewArray, UInt64Array};

    use super::*;

    fn meta() -> ResultMeta {
        ResultMeta {
            as_of: UtcMicros(0),
            horizon: UtcMicros(0),
            revision: 7,
            approx: false,
            kpis: Vec::new(),
        }
    }

    #[test]
    fn views_and_unsigned_numbers_do_not_leave_the_engine() {
        let schema = Schema::new(vec![
            Field::new("a", DataType::Utf8View, true),
            Field::new("n", DataType::UInt64, true),
        ]);
        let columns: Vec<ArrayRef> = vec![
            Arc::new(StringViewArray::from(vec![
                "a long enough text to need a view",
            ])),
            Arc::new(UInt64Array::from(vec![3])),
        ];
        let batch = RecordBatch::try_new(Arc::new(schema.clone()), columns).expect("same types");
        let done = finish(&schema, vec![batch], meta()).expect("castable");
        assert_eq!(done.schema.field(0).data_type(), &DataType::Utf8);
        assert_eq!(done.schema.field(1).data_type(), &DataType::Int64);
        assert_eq!(done.schema.metadata()["revision"], "7");
    }

    #[test]
    fn a_naive_time_becomes_utc() {
        let naive = DataType::Timestamp(TimeUnit::Nanosecond, None);
        let utc = DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()));
        assert_eq!(contract_type(&naive), utc);
    }
}
