//! JSON: columns, rows, and what the numbers are (H21, D6).

use ::arrow::{array::RecordBatch, datatypes::SchemaRef};
use engine::{ResultMeta, UsedKpi};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;

use super::{Writer, cells, type_word};
use crate::error::ApiError;

/// The answer to a question in SQL. It is written row by row; this is its shape.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "SqlAnswer")]
pub(in crate::http) struct Body {
    columns: Vec<Column>,
    /// One list a row, in the order of the columns.
    rows: Vec<Vec<Value>>,
    row_count: u64,
    /// Were there more rows than `limit`?
    truncated: bool,
    meta: Meta,
}

/// A column.
#[derive(Serialize, JsonSchema)]
struct Column {
    name: String,
    /// `text`, `integer`, `number`, `boolean`, `timestamp`, `date`, `decimal(p,s)`, `binary`,
    /// `list of ...`.
    #[serde(rename = "type")]
    data_type: String,
    /// Unit of a KPI's value.
    unit: Option<String>,
    /// The KPI whose value it is.
    kpi: Option<String>,
}

/// What an answer was computed from.
#[derive(Clone, Serialize, JsonSchema)]
pub(in crate::http) struct Meta {
    /// What counted as now.
    as_of: String,
    /// Data were complete up to here.
    horizon: String,
    /// Commit sequence that was read.
    revision: u64,
    /// Is any number an estimate?
    approx: bool,
    /// The KPIs that were evaluated.
    kpis: Vec<Used>,
    request_id: String,
}

/// A KPI that was evaluated.
#[derive(Clone, Serialize, JsonSchema)]
#[schemars(rename = "UsedKpi")]
struct Used {
    kpi: String,
    version: u32,
    definition_hash: String,
}

/// What an answer was computed from.
pub(super) fn meta(meta: &ResultMeta, request_id: &str) -> Meta {
    let used = |kpi: &UsedKpi| Used {
        kpi: kpi.id.clone(),
        version: kpi.version,
        definition_hash: kpi.hash.clone(),
    };
    Meta {
        as_of: meta.as_of.to_string(),
        horizon: meta.horizon.to_string(),
        revision: meta.revision,
        approx: meta.approx,
        kpis: meta.kpis.iter().map(used).collect(),
        request_id: request_id.to_owned(),
    }
}

/// Writes a [`Body`].
pub(super) struct JsonRows {
    schema: SchemaRef,
    int64_as_text: bool,
    meta: Meta,
    count: u64,
}

impl JsonRows {
    pub(super) fn new(schema: SchemaRef, int64_as_text: bool, meta: Meta) -> Self {
        JsonRows {
            schema,
            int64_as_text,
            meta,
            count: 0,
        }
    }

    fn columns(&self) -> Vec<Column> {
        let column = |(number, field): (usize, &::arrow::datatypes::FieldRef)| Column {
            name: field.name().clone(),
            data_type: type_word(&self.schema, number),
            unit: field.metadata().get("unit").cloned(),
            kpi: field.metadata().get("kpi").cloned(),
        };
        self.schema
            .fields()
            .iter()
            .enumerate()
            .map(column)
            .collect()
    }
}

impl Writer for JsonRows {
    fn begin(&mut self, out: &mut Vec<u8>) -> Result<(), ApiError> {
        out.extend_from_slice(b"{\"columns\":");
        append(&self.columns(), out);
        out.extend_from_slice(b",\"rows\":[");
        Ok(())
    }

    fn rows(&mut self, batch: &RecordBatch, out: &mut Vec<u8>) -> Result<(), ApiError> {
        for row in 0..batch.num_rows() {
            let open: &[u8] = if self.count == 0 { b"\n[" } else { b",\n[" };
            out.extend_from_slice(open);
            self.count += 1;
            for (number, column) in batch.columns().iter().enumerate() {
                if number > 0 {
                    out.push(b',');
                }
                cells::json(column, row, self.int64_as_text, out)?;
            }
            out.push(b']');
        }
        Ok(())
    }

    fn end(&mut self, truncated: bool, out: &mut Vec<u8>) -> Result<(), ApiError> {
        let count = self.count;
        let tail = format!("],\"row_count\":{count},\"truncated\":{truncated},\"meta\":");
        out.extend_from_slice(tail.as_bytes());
        append(&self.meta, out);
        out.push(b'}');
        Ok(())
    }
}

fn append(value: &impl Serialize, out: &mut Vec<u8>) {
    serde_json::to_writer(out, value).expect("texts and numbers always serialise");
}
