//! From the bytes of a body to events. All of this is CPU work and runs off the network threads.
//!
//! Whatever a body holds, the memory it takes is bounded: by the limits after inflating, and for
//! Arrow by what its rows may become as JSON.

mod array;
pub(crate) mod arrow;
mod feed;
mod inflate;
mod lines;

use std::{borrow::Cow, io::Read};

use crate::{
    error::{ApiError, Code},
    sink::Collector,
};
use feed::Feed;

/// How the events of a body are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Format {
    Ndjson,
    JsonArray,
    Arrow,
}

/// How a body is compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Encoding {
    Identity,
    Gzip,
    Zstd,
}

/// Why a body as a whole was not taken.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum BodyError {
    /// A limit.
    TooLarge(String),
    /// It cannot be understood; with what to do about it.
    Bad(String, &'static str),
}

impl From<BodyError> for ApiError {
    fn from(error: BodyError) -> Self {
        match error {
            BodyError::TooLarge(message) => {
                ApiError::new(Code::TooLarge, message).hint("send smaller batches")
            }
            BodyError::Bad(message, hint) => ApiError::new(Code::BadValue, message).hint(hint),
        }
    }
}

/// Puts the events of a body into `collector`; what was put there before an error is not to be
/// used.
pub(crate) fn decode(
    format: Format,
    encoding: Encoding,
    body: &[u8],
    collector: &mut dyn Collector,
) -> Result<(), BodyError> {
    let mut feed = Feed::new(collector);
    let mut reader = inflate::reader(encoding, body)?;
    match format {
        Format::Ndjson => lines::split(&mut *reader, &mut feed)?,
        Format::JsonArray => array::split(&whole(encoding, body, &mut *reader)?, &mut feed)?,
        Format::Arrow => arrow::rows(whole(encoding, body, &mut *reader)?.into_owned(), &mut feed)?,
    }
    match feed.events() {
        0 => Err(BodyError::Bad(
            "the body holds no event".to_owned(),
            "send at least one event; the body may have been cut",
        )),
        _ => Ok(()),
    }
}

/// All of an inflated body.
fn whole<'a>(
    encoding: Encoding,
    body: &'a [u8],
    reader: &mut dyn Read,
) -> Result<Cow<'a, [u8]>, BodyError> {
    if encoding == Encoding::Identity {
        return Ok(Cow::Borrowed(body));
    }
    let mut all = Vec::new();
    reader
        .read_to_end(&mut all)
        .map_err(inflate::to_body_error)?;
    Ok(Cow::Owned(all))
}
