//! NDJSON: one event a line.

use std::io::{self, BufRead, Read};

use super::{BodyError, feed::Feed, inflate::to_body_error};
use crate::limits;

/// A byte order mark, that some programs put before the first line.
pub(super) const BOM: &[u8] = b"\xef\xbb\xbf";

/// Hands on every line that is not blank; blank ones count as lines.
pub(super) fn split(body: &mut dyn BufRead, feed: &mut Feed<'_>) -> Result<(), BodyError> {
    let mut line = Vec::new();
    let mut number = 0;
    loop {
        line.clear();
        let bytes = next_line(body, &mut line).map_err(to_body_error)?;
        if bytes == 0 {
            return Ok(());
        }
        number += 1;
        let (raw, bytes) = match line.strip_prefix(BOM) {
            Some(rest) if number == 1 => (rest, bytes - BOM.len() as u64),
            _ => (&line[..], bytes),
        };
        let (raw, bytes) = without_end(raw, bytes);
        if !raw.iter().all(u8::is_ascii_whitespace) || bytes > raw.len() as u64 {
            feed.event(number, raw, bytes)?;
        }
    }
}

/// Reads one line with its end into `line`, but only the beginning of one that is too long;
/// gives its full length, zero after the last one.
fn next_line(body: &mut dyn BufRead, line: &mut Vec<u8>) -> io::Result<u64> {
    // Room for the mark before the first line and for the line end.
    let room = (limits::TOO_LONG_BYTES_KEPT + BOM.len() + 2) as u64;
    let read = (&mut *body).take(room).read_until(b'\n', line)? as u64;
    if read < room || line.last() == Some(&b'\n') {
        return Ok(read);
    }
    Ok(read + body.skip_until(b'\n')? as u64)
}

/// Without `\n` or `\r\n`.
fn without_end(line: &[u8], bytes: u64) -> (&[u8], u64) {
    let trimmed = line.strip_suffix(b"\n").unwrap_or(line);
    let trimmed = trimmed.strip_suffix(b"\r").unwrap_or(trimmed);
    (trimmed, bytes - (line.len() - trimmed.len()) as u64)
}
