//! The messages of a stream, looked through before anything is decoded or allocated for them.

use arrow::{
    datatypes::Schema,
    ipc::{Message, RecordBatch, convert::fb_to_schema, root_as_message},
};

use super::{HINT, damaged};
use crate::{
    decode::{BodyError, feed},
    limits,
};

/// Checks lengths, compression and rows of every message; gives the schema.
pub(super) fn check(mut rest: &[u8]) -> Result<Schema, BodyError> {
    let mut schema = None;
    let mut rows = 0;
    while let Some((message, body_bytes)) = next(&mut rest)? {
        if let Some(found) = message.header_as_schema()
            && schema.is_none()
        {
            schema = Some(fb_to_schema(found));
        }
        if let Some(batch) = message.header_as_record_batch() {
            rows += check_batch(&batch, body_bytes)?;
        }
        if let Some(dictionary) = message.header_as_dictionary_batch() {
            let values = dictionary
                .data()
                .ok_or_else(|| damaged("a dictionary is empty"))?;
            check_batch(&values, body_bytes)?;
        }
        if rows > limits::EVENTS_MAX {
            return Err(feed::too_many());
        }
    }
    schema.ok_or_else(|| damaged("it has no schema"))
}

/// The next message and the length of its body; `None` at the end of the stream.
fn next<'b>(rest: &mut &'b [u8]) -> Result<Option<(Message<'b>, u64)>, BodyError> {
    if rest.is_empty() {
        return Ok(None);
    }
    let mut head_bytes = take_u32(rest)?;
    if head_bytes == u32::MAX {
        head_bytes = take_u32(rest)?;
    }
    if head_bytes == 0 {
        return Ok(None);
    }
    let head = take(rest, head_bytes as usize)?;
    let message = root_as_message(head).map_err(|_| damaged("a message's head is not valid"))?;
    let body_bytes = usize::try_from(message.bodyLength()).map_err(|_| damaged("a length"))?;
    take(rest, body_bytes)?;
    Ok(Some((message, body_bytes as u64)))
}

fn take_u32(rest: &mut &[u8]) -> Result<u32, BodyError> {
    let bytes = take(rest, 4)?;
    Ok(u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]))
}

fn take<'b>(rest: &mut &'b [u8], bytes: usize) -> Result<&'b [u8], BodyError> {
    let (taken, after) = rest
        .split_at_checked(bytes)
        .ok_or_else(|| damaged("it is cut"))?;
    *rest = after;
    Ok(taken)
}

/// The rows of a batch. Compressed buffers are refused because they name the length that they
/// inflate to, and buffers that overlap because each of them may be copied.
fn check_batch(batch: &RecordBatch<'_>, body_bytes: u64) -> Result<u64, BodyError> {
    if batch.compression().is_some() {
        let message = "the Arrow stream holds compressed buffers".to_owned();
        return Err(BodyError::Bad(message, HINT));
    }
    let mut buffer_bytes = 0_u64;
    for buffer in batch.buffers().into_iter().flatten() {
        let bytes = u64::try_from(buffer.length()).map_err(|_| damaged("a length"))?;
        buffer_bytes = buffer_bytes.saturating_add(bytes);
    }
    if buffer_bytes > body_bytes {
        return Err(damaged("its buffers overlap"));
    }
    u64::try_from(batch.length()).map_err(|_| damaged("a number of rows"))
}
