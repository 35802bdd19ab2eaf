//! The messages of a stream, looked through before anything is decoded or allocated for them.

use arrow::{
    datatypes::Schema,
    ipc::{Message, MessageHeader, RecordBatch, convert::fb_to_schema, root_as_message},
};

use super::{HINT, damaged};
use crate::{
    decode::{BodyError, feed},
    limits,
};

/// What a message is, after it was looked through.
pub(super) enum Looked {
    Schema(Schema),
    /// So many rows.
    Rows(u64),
    Dictionary,
    /// It carries nothing that is read here.
    Other,
}

/// Checks lengths, compression and rows of every message; gives the schema.
pub(super) fn check(mut rest: &[u8]) -> Result<Schema, BodyError> {
    let mut schema = None;
    let mut rows = 0;
    while let Some((message, body_bytes)) = next(&mut rest)? {
        match look_through(&message, body_bytes)? {
            Looked::Schema(found) if schema.is_none() => schema = Some(found),
            Looked::Rows(more) => rows += more,
            _ => {}
        }
        if rows > limits::EVENTS_MAX {
            return Err(feed::too_many());
        }
    }
    schema.ok_or_else(|| damaged("it has no schema"))
}

/// Reads the head of one message that came by itself.
pub(super) fn head(bytes: &[u8]) -> Result<Message<'_>, BodyError> {
    root_as_message(bytes).map_err(|_| damaged("a message's head is not valid"))
}

/// Checks one message against the bytes that came with it.
pub(super) fn look_through(message: &Message<'_>, body_bytes: u64) -> Result<Looked, BodyError> {
    match message.header_type() {
        MessageHeader::Schema => {
            let schema = message.header_as_schema();
            let schema = schema.ok_or_else(|| damaged("a schema is empty"))?;
            Ok(Looked::Schema(fb_to_schema(schema)))
        }
        MessageHeader::RecordBatch => {
            let batch = message.header_as_record_batch();
            let batch = batch.ok_or_else(|| damaged("a batch is empty"))?;
            check_batch(&batch, body_bytes).map(Looked::Rows)
        }
        MessageHeader::DictionaryBatch => {
            let dictionary = message.header_as_dictionary_batch();
            let values = dictionary
                .and_then(|dictionary| dictionary.data())
                .ok_or_else(|| damaged("a dictionary is empty"))?;
            check_batch(&values, body_bytes).map(|_| Looked::Dictionary)
        }
        _ => Ok(Looked::Other),
    }
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
    let message = head(take(rest, head_bytes as usize)?)?;
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
