//! One layer of gzip or zstd, inflated step by step so that a bomb is noticed while it is small.

use std::io::{self, BufRead, BufReader, Read};

use flate2::bufread::MultiGzDecoder;

use super::{BodyError, Encoding};
use crate::limits;

/// Bytes inflated at a time.
const STEP_BYTES: usize = 64 * 1024;

/// Reads `body` without its compression. Errors of the reader go through [`to_body_error`].
pub(super) fn reader(encoding: Encoding, body: &[u8]) -> Result<Box<dyn BufRead + '_>, BodyError> {
    let inflated: Box<dyn Read + '_> = match encoding {
        Encoding::Identity => return Ok(Box::new(body)),
        Encoding::Gzip => Box::new(MultiGzDecoder::new(body)),
        Encoding::Zstd => {
            let mut decoder =
                zstd::stream::read::Decoder::with_buffer(body).map_err(to_body_error)?;
            decoder
                .window_log_max(limits::ZSTD_WINDOW_LOG_MAX)
                .map_err(to_body_error)?;
            Box::new(decoder)
        }
    };
    let limited = Limited {
        inner: inflated,
        sent: body.len(),
        inflated: 0,
    };
    Ok(Box::new(BufReader::with_capacity(STEP_BYTES, limited)))
}

/// What an error of the reader says about the body.
pub(super) fn to_body_error(error: io::Error) -> BodyError {
    match error.downcast::<Bomb>() {
        Ok(Bomb(message)) => BodyError::TooLarge(message),
        Err(_) => BodyError::Bad(
            "the compressed body is damaged or cut".to_owned(),
            "send it again; Content-Encoding must be what the body is compressed with",
        ),
    }
}

/// Stops when more comes out than may.
struct Limited<'b> {
    inner: Box<dyn Read + 'b>,
    sent: usize,
    inflated: usize,
}

impl Read for Limited<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        self.inflated += read;
        if self.inflated > limits::BODY_BYTES_MAX {
            let message = format!(
                "the inflated body has more than {} bytes",
                limits::BODY_BYTES_MAX
            );
            return Err(io::Error::other(Bomb(message)));
        }
        if self.inflated > self.sent.saturating_mul(limits::INFLATE_RATIO_MAX) {
            let message = format!(
                "the inflated body is more than {} times as large as the sent one",
                limits::INFLATE_RATIO_MAX
            );
            return Err(io::Error::other(Bomb(message)));
        }
        Ok(read)
    }
}

#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Bomb(String);
