//! One event after the other, each within the limits of an event.

use events::{Reject, RejectCode};

use super::BodyError;
use crate::{limits, sink::Collector};

/// Counts events and hands them on.
pub(super) struct Feed<'c> {
    collector: &'c mut dyn Collector,
    events: u64,
}

impl<'c> Feed<'c> {
    pub(super) fn new(collector: &'c mut dyn Collector) -> Self {
        Feed {
            collector,
            events: 0,
        }
    }

    /// Events so far, good or bad.
    pub(super) fn events(&self) -> u64 {
        self.events
    }

    /// An event, or what should be one. `bytes` is its full length if `raw` is only its beginning.
    pub(super) fn event(&mut self, number: u64, raw: &[u8], bytes: u64) -> Result<(), BodyError> {
        self.count()?;
        if bytes > limits::LINE_BYTES_MAX as u64 {
            let detail = format!(
                "the event has {bytes} bytes: at most {} are read",
                limits::LINE_BYTES_MAX
            );
            let kept = &raw[..raw.len().min(limits::TOO_LONG_BYTES_KEPT)];
            let reject = Reject::new(RejectCode::TooLarge, "", detail);
            self.collector.refuse(number, kept, reject);
        } else if is_nested_too_deep(raw) {
            let detail = format!("is nested more than {} levels deep", limits::NESTING_MAX);
            let reject = Reject::new(RejectCode::BadJson, "", detail);
            self.collector.refuse(number, raw, reject);
        } else {
            self.collector.line(number, raw);
        }
        Ok(())
    }

    /// An event in which the reader of the format found something.
    pub(super) fn refuse(
        &mut self,
        number: u64,
        raw: &[u8],
        reject: Reject,
    ) -> Result<(), BodyError> {
        self.count()?;
        let kept = &raw[..raw.len().min(limits::TOO_LONG_BYTES_KEPT)];
        self.collector.refuse(number, kept, reject);
        Ok(())
    }

    fn count(&mut self) -> Result<(), BodyError> {
        self.events += 1;
        if self.events > limits::EVENTS_MAX {
            return Err(too_many());
        }
        Ok(())
    }
}

pub(super) fn too_many() -> BodyError {
    BodyError::TooLarge(format!(
        "the body has more than {} events",
        limits::EVENTS_MAX
    ))
}

/// Only a line with that many brackets is looked at closely: hardly any.
fn is_nested_too_deep(raw: &[u8]) -> bool {
    let opening = memchr::memchr2_iter(b'{', b'[', raw);
    if opening.take(limits::NESTING_MAX + 1).count() <= limits::NESTING_MAX {
        return false;
    }
    let (mut depth, mut in_text, mut escaped) = (0_usize, false, false);
    for &byte in raw {
        match (in_text, byte) {
            (true, _) if escaped => escaped = false,
            (true, b'\\') => escaped = true,
            (_, b'"') => in_text = !in_text,
            (false, b'{' | b'[') => {
                depth += 1;
                if depth > limits::NESTING_MAX {
                    return true;
                }
            }
            (false, b'}' | b']') => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    false
}
