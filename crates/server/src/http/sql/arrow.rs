//! Arrow's stream format.

use std::io;

use ::arrow::{
    array::RecordBatch, datatypes::Schema, error::ArrowError, ipc::writer::StreamWriter,
};

use super::Writer;
use crate::error::ApiError;

/// Writes an Arrow IPC stream. Its schema is that of the query, metadata included.
pub(super) struct ArrowRows(StreamWriter<Vec<u8>>);

impl ArrowRows {
    pub(super) fn new(schema: &Schema) -> Result<Self, ApiError> {
        let writer = StreamWriter::try_new(Vec::new(), schema);
        writer.map(ArrowRows).map_err(failed)
    }

    fn take(&mut self, out: &mut Vec<u8>) {
        out.append(self.0.get_mut());
    }
}

impl Writer for ArrowRows {
    fn begin(&mut self, out: &mut Vec<u8>) -> Result<(), ApiError> {
        self.take(out);
        Ok(())
    }

    fn rows(&mut self, batch: &RecordBatch, out: &mut Vec<u8>) -> Result<(), ApiError> {
        self.0.write(batch).map_err(failed)?;
        self.take(out);
        Ok(())
    }

    fn end(&mut self, _: bool, out: &mut Vec<u8>) -> Result<(), ApiError> {
        self.0.finish().map_err(failed)?;
        self.take(out);
        Ok(())
    }
}

fn failed(error: ArrowError) -> ApiError {
    let error = io::Error::other(error);
    tracing::error!(%error, "an Arrow stream could not be written");
    ApiError::internal()
}
