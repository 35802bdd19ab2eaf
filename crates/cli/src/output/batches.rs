//! Query results as a table, JSON or CSV.

use std::io::Write;

use anyhow::Result;
use arrow::{
    array::RecordBatch,
    csv,
    datatypes::{DataType, Schema},
    json::{WriterBuilder, writer::JsonArray},
    util::display::{ArrayFormatter, FormatOptions},
};
use comfy_table::{Cell, CellAlignment, Table, presets};

use crate::args::Format;

/// Times as RFC 3339 in UTC, NULL as told.
fn options(null: &str) -> FormatOptions<'_> {
    FormatOptions::default()
        .with_null(null)
        .with_timestamp_tz_format(Some("%Y-%m-%dT%H:%M:%S%.fZ"))
        .with_display_error(true)
}

/// Prints batches of one schema.
pub fn print(
    out: &mut impl Write,
    schema: &Schema,
    batches: &[RecordBatch],
    format: Format,
) -> Result<()> {
    match format {
        Format::Table => table(out, schema, batches),
        Format::Json => json(out, batches),
        Format::Csv => csv(out, schema, batches),
    }
}

fn table(out: &mut impl Write, schema: &Schema, batches: &[RecordBatch]) -> Result<()> {
    let mut table = Table::new();
    table.load_preset(presets::UTF8_FULL_CONDENSED);
    table.set_header(schema.fields().iter().map(|f| f.name().clone()));
    for (i, field) in schema.fields().iter().enumerate() {
        if let Some(column) = table
            .column_mut(i)
            .filter(|_| field.data_type().is_numeric())
        {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    let options = options("");
    for batch in batches {
        let columns = formatters(batch, &options)?;
        for row in 0..batch.num_rows() {
            table.add_row(
                columns
                    .iter()
                    .map(|c| Cell::new(shorten(&c.value(row).to_string()))),
            );
        }
    }
    writeln!(out, "{table}")?;
    let rows: usize = batches.iter().map(RecordBatch::num_rows).sum();
    writeln!(out, "{rows} row{}", if rows == 1 { "" } else { "s" })?;
    Ok(())
}

/// A cell wider than a screen helps nobody: the other formats keep everything.
fn shorten(text: &str) -> String {
    const WIDEST: usize = 80;
    if text.chars().count() <= WIDEST {
        return text.to_owned();
    }
    text.chars().take(WIDEST - 1).chain(['…']).collect()
}

fn formatters<'a>(
    batch: &'a RecordBatch,
    options: &FormatOptions<'a>,
) -> Result<Vec<ArrayFormatter<'a>>> {
    let formatter = |column| ArrayFormatter::try_new(column, options).map_err(Into::into);
    batch
        .columns()
        .iter()
        .map(|c| formatter(c.as_ref()))
        .collect()
}

fn json(out: &mut impl Write, batches: &[RecordBatch]) -> Result<()> {
    let mut text = Vec::new();
    let with_nulls = WriterBuilder::new().with_explicit_nulls(true);
    let mut writer = with_nulls.build::<_, JsonArray>(&mut text);
    writer.write_batches(&batches.iter().collect::<Vec<_>>())?;
    writer.finish()?;
    if text.is_empty() {
        text.extend_from_slice(b"[]");
    }
    out.write_all(&text)?;
    writeln!(out)?;
    Ok(())
}

fn csv(out: &mut impl Write, schema: &Schema, batches: &[RecordBatch]) -> Result<()> {
    let nested = |t: &DataType| t.is_nested() || matches!(t, DataType::Binary);
    if schema.fields().iter().any(|f| nested(f.data_type())) {
        return csv_as_text(out, schema, batches);
    }
    let mut text = Vec::new();
    let mut writer = csv::WriterBuilder::new()
        .with_header(true)
        .with_timestamp_tz_format("%Y-%m-%dT%H:%M:%S%.fZ".to_owned())
        .build(&mut text);
    for batch in batches {
        writer.write(batch)?;
    }
    if batches.is_empty() {
        writer.write(&RecordBatch::new_empty(schema.clone().into()))?;
    }
    drop(writer);
    out.write_all(&text)?;
    Ok(())
}

/// CSV has no lists: they are written as text.
fn csv_as_text(out: &mut impl Write, schema: &Schema, batches: &[RecordBatch]) -> Result<()> {
    let quote = |s: &str| match s.contains([',', '"', '\n', '\r']) {
        true => format!("\"{}\"", s.replace('"', "\"\"")),
        false => s.to_owned(),
    };
    let line = |cells: Vec<String>| cells.iter().map(|c| quote(c)).collect::<Vec<_>>().join(",");
    writeln!(
        out,
        "{}",
        line(schema.fields().iter().map(|f| f.name().clone()).collect())
    )?;
    let options = options("");
    for batch in batches {
        let columns = formatters(batch, &options)?;
        for row in 0..batch.num_rows() {
            let cells = columns.iter().map(|c| c.value(row).to_string()).collect();
            writeln!(out, "{}", line(cells))?;
        }
    }
    Ok(())
}
