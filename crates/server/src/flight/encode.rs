//! Rows as Flight messages of a size that every client takes.

use std::collections::VecDeque;

use arrow::{
    array::{Array, RecordBatch},
    datatypes::Schema,
    ipc::writer::{DictionaryTracker, IpcDataGenerator, IpcWriteContext, IpcWriteOptions},
};
use arrow_flight::FlightData;
use prost::Message;

use crate::{
    error::{ApiError, Code},
    limits,
};

/// Encodes one result.
pub(super) struct Encoder {
    generator: IpcDataGenerator,
    options: IpcWriteOptions,
    dictionaries: DictionaryTracker,
    context: IpcWriteContext,
    /// What is still to be sent, in order.
    rest: VecDeque<RecordBatch>,
}

impl Encoder {
    /// With the message that begins a stream.
    pub(super) fn begin(schema: &Schema) -> (Self, FlightData) {
        let options = IpcWriteOptions::default();
        let generator = IpcDataGenerator::default();
        let mut dictionaries = DictionaryTracker::new(false);
        let head =
            generator.schema_to_bytes_with_dictionary_tracker(schema, &mut dictionaries, &options);
        let encoder = Encoder {
            generator,
            options,
            dictionaries,
            context: IpcWriteContext::default(),
            rest: VecDeque::new(),
        };
        (encoder, head.into())
    }

    /// Rows that come next.
    pub(super) fn push(&mut self, batch: RecordBatch) {
        if batch.num_rows() > 0 {
            self.rest.push_back(batch);
        }
    }

    /// Messages of the next rows that fit into one; nothing when all are encoded.
    ///
    /// # Errors
    /// A row that fits into no message.
    pub(super) fn next(&mut self) -> Result<Vec<FlightData>, ApiError> {
        while let Some(batch) = self.rest.pop_front() {
            if measured_bytes(&batch) > limits::MESSAGE_BYTES_GOAL && self.halve(&batch) {
                continue;
            }
            let (dictionaries, rows) = self
                .generator
                .encode(
                    &batch,
                    &mut self.dictionaries,
                    &self.options,
                    &mut self.context,
                )
                .map_err(|error| {
                    tracing::error!(%error, "rows could not be encoded");
                    ApiError::internal()
                })?;
            let mut messages: Vec<FlightData> = dictionaries.into_iter().map(Into::into).collect();
            messages.push(rows.into());
            // What was measured leaves out heads and padding, and cannot see all of every type.
            let fits = |message: &FlightData| message.encoded_len() <= limits::MESSAGE_BYTES_MAX;
            if messages.iter().all(fits) {
                return Ok(messages);
            }
            if !self.halve(&batch) {
                return Err(too_large());
            }
        }
        Ok(Vec::new())
    }

    /// Puts both halves in front of the rest; false for a single row.
    fn halve(&mut self, batch: &RecordBatch) -> bool {
        let rows = batch.num_rows();
        if rows < 2 {
            return false;
        }
        self.rest.push_front(batch.slice(rows / 2, rows - rows / 2));
        self.rest.push_front(batch.slice(0, rows / 2));
        true
    }
}

fn measured_bytes(batch: &RecordBatch) -> usize {
    let bytes = |column: &dyn Array| {
        let data = column.to_data();
        data.get_slice_memory_size()
            .unwrap_or_else(|_| column.get_array_memory_size())
    };
    let columns = batch.columns().iter();
    columns.fold(0, |sum: usize, column| {
        sum.saturating_add(bytes(column.as_ref()))
    })
}

fn too_large() -> ApiError {
    ApiError::new(
        Code::TooLarge,
        format!(
            "a row takes more than {} bytes, which no message may have",
            limits::MESSAGE_BYTES_MAX
        ),
    )
    .hint("select fewer columns, or a part of the long text with substr")
}
