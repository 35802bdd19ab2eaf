//! Fact rows to Arrow columns.

use std::sync::Arc;

use arrow::{
    array::{
        ArrayBuilder, ArrayRef, BooleanBuilder, Decimal128Builder, Int64Array, Int64Builder,
        ListBuilder, RecordBatch, StringBuilder, TimestampMicrosecondBuilder,
    },
    datatypes::SchemaRef,
};
use facts::{
    FactRows,
    table::{Cell, Column, ColumnType, Row, TableVisitor},
};

use crate::{Error, Result, tables};

/// Rows of one table as columns, in the order given; `_seq` is `seq` in each.
pub fn batch<R: Row>(rows: &[R], seq: u64) -> Result<RecordBatch> {
    batch_with(tables::arrow_schema(R::TABLE), rows, seq)
}

/// The rows of the named table; `None` if there are none.
pub(crate) fn batch_of(rows: &FactRows, table: &str, seq: u64) -> Result<Option<RecordBatch>> {
    let mut one = OneTable {
        table,
        seq,
        made: Ok(None),
    };
    rows.visit(&mut one);
    one.made
}

struct OneTable<'a> {
    table: &'a str,
    seq: u64,
    made: Result<Option<RecordBatch>>,
}

impl TableVisitor for OneTable<'_> {
    fn rows<R: Row>(&mut self, rows: &[R]) {
        if R::TABLE.name == self.table && !rows.is_empty() {
            let schema = Arc::clone(&tables::known(R::TABLE.name).schema);
            self.made = batch_with(schema, rows, self.seq).map(Some);
        }
    }
}

fn batch_with<R: Row>(schema: SchemaRef, rows: &[R], seq: u64) -> Result<RecordBatch> {
    let mut columns: Vec<Builder> = R::TABLE
        .columns
        .iter()
        .map(|c| Builder::new(c, rows.len()))
        .collect();
    for row in rows {
        let mut at = 0;
        row.cells(&mut |cell| {
            columns[at].append(cell);
            at += 1;
        });
    }
    let mut arrays: Vec<ArrayRef> = columns.into_iter().map(Builder::finish).collect();
    arrays.push(Arc::new(Int64Array::from_value(seq_value(seq), rows.len())));
    RecordBatch::try_new(schema, arrays).map_err(|e| Error::encoding(R::TABLE.name, e))
}

/// A commit sequence as a column value.
pub(crate) fn seq_value(seq: u64) -> i64 {
    i64::try_from(seq).expect("commits are counted from 1")
}

enum Builder {
    Text(StringBuilder),
    Int(Int64Builder),
    Bool(BooleanBuilder),
    Time(TimestampMicrosecondBuilder),
    Decimal(Decimal128Builder),
    Texts(ListBuilder<StringBuilder>),
}

impl Builder {
    fn new(column: &Column, rows: usize) -> Self {
        match column.kind {
            ColumnType::Text => Builder::Text(StringBuilder::with_capacity(rows, rows * 12)),
            ColumnType::Int => Builder::Int(Int64Builder::with_capacity(rows)),
            ColumnType::Bool => Builder::Bool(BooleanBuilder::with_capacity(rows)),
            ColumnType::Time => {
                Builder::Time(TimestampMicrosecondBuilder::with_capacity(rows).with_timezone("UTC"))
            }
            ColumnType::Decimal => Builder::Decimal(
                Decimal128Builder::with_capacity(rows)
                    .with_data_type(arrow::datatypes::DataType::Decimal128(18, 4)),
            ),
            ColumnType::Texts => Builder::Texts(
                ListBuilder::new(StringBuilder::new()).with_field(tables::list_item()),
            ),
        }
    }

    fn append(&mut self, cell: Cell<'_>) {
        match (self, cell) {
            (Builder::Text(b), Cell::Text(v)) => b.append_option(v),
            (Builder::Int(b), Cell::Int(v)) => b.append_option(v),
            (Builder::Bool(b), Cell::Bool(v)) => b.append_option(v),
            (Builder::Time(b), Cell::Time(v)) => b.append_option(v),
            (Builder::Decimal(b), Cell::Decimal(v)) => b.append_option(v),
            (Builder::Texts(b), Cell::Texts(v)) => {
                v.iter().for_each(|text| b.values().append_value(text));
                b.append(true);
            }
            (builder, cell) => {
                unreachable!("{cell:?} in a column built with {} rows", builder.len())
            }
        }
    }

    fn len(&self) -> usize {
        match self {
            Builder::Text(b) => b.len(),
            Builder::Int(b) => b.len(),
            Builder::Bool(b) => b.len(),
            Builder::Time(b) => b.len(),
            Builder::Decimal(b) => b.len(),
            Builder::Texts(b) => b.len(),
        }
    }

    fn finish(self) -> ArrayRef {
        match self {
            Builder::Text(mut b) => Arc::new(b.finish()),
            Builder::Int(mut b) => Arc::new(b.finish()),
            Builder::Bool(mut b) => Arc::new(b.finish()),
            Builder::Time(mut b) => Arc::new(b.finish()),
            Builder::Decimal(mut b) => Arc::new(b.finish()),
            Builder::Texts(mut b) => Arc::new(b.finish()),
        }
    }
}
