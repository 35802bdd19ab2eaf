//! An Arrow IPC stream: columns by name, one event a row.
//!
//! A row becomes the JSON line that a sender of NDJSON would have written, so that both are checked
//! by the same rules. Columns `data` and `attributes` may be structs or texts that hold JSON.
//!
//! The bytes come from outside: messages are looked through before they are decoded
//! ([`messages`]), columns are limited to types whose size as JSON can be told beforehand
//! ([`columns`]), decoding validates everything, and a panic of the decoder is a refusal.

mod columns;
mod messages;
mod rows;
mod stream;

use std::panic::{AssertUnwindSafe, catch_unwind};

use arrow::{array::RecordBatch, buffer::Buffer, ipc::reader::StreamDecoder};

use self::rows::Rows;
pub(crate) use self::stream::{Messages, Use, json_bytes};
use super::{BodyError, feed::Feed};
use crate::sink::Collector;

const HINT: &str = "send one complete Arrow IPC stream, uncompressed inside (Content-Encoding is \
                    for that), and not the file format";

/// Hands on every row; rows count from 1 over all batches.
pub(super) fn rows(body: Vec<u8>, feed: &mut Feed<'_>) -> Result<(), BodyError> {
    // What a panic leaves behind in `feed` is thrown away with the request.
    catch_unwind(AssertUnwindSafe(|| rows_unguarded(body, feed)))
        .unwrap_or_else(|_| Err(damaged("its content contradicts itself")))
}

/// Hands on the rows of one batch, counted on from `before`; what was put into `collector` before
/// an error is not to be used.
pub(crate) fn batch_rows(
    batch: &RecordBatch,
    before: u64,
    collector: &mut dyn Collector,
) -> Result<(), BodyError> {
    let mut feed = Feed::new(collector);
    catch_unwind(AssertUnwindSafe(|| {
        Rows::after(before, &mut feed).take(batch)
    }))
    .unwrap_or_else(|_| Err(damaged("its content contradicts itself")))
}

fn rows_unguarded(body: Vec<u8>, feed: &mut Feed<'_>) -> Result<(), BodyError> {
    let schema = messages::check(&body)?;
    columns::check(&schema)?;
    let mut decoder = StreamDecoder::new();
    let mut rest = Buffer::from_vec(body);
    let mut rows = Rows::new(feed);
    while !rest.is_empty() {
        let decoded = decoder.decode(&mut rest);
        if let Some(batch) = decoded.map_err(|_| damaged("a message cannot be decoded"))? {
            rows.take(&batch)?;
        }
    }
    decoder.finish().map_err(|_| damaged("it is cut"))
}

fn damaged(what: &str) -> BodyError {
    BodyError::Bad(format!("the Arrow stream is damaged: {what}"), HINT)
}
