//! A JSON array of events: its items are found and handed on as text, not as a tree.

use std::fmt;

use serde::de::{Deserializer as _, Error as _, SeqAccess, Visitor};
use serde_json::{error::Category, value::RawValue};

use super::{BodyError, feed::Feed, lines::BOM};

const HINT: &str = "send an array of events [{...}, {...}], or NDJSON as application/x-ndjson";

/// Hands on every item; items count from 1. An array that breaks off is refused as a whole.
pub(super) fn split(body: &[u8], feed: &mut Feed<'_>) -> Result<(), BodyError> {
    let body = body.strip_prefix(BOM).unwrap_or(body);
    let text = std::str::from_utf8(body).map_err(|error| {
        let message = format!("not UTF-8 from byte {} on", error.valid_up_to() + 1);
        BodyError::Bad(message, "send UTF-8")
    })?;
    let mut refused = None;
    let mut json = serde_json::Deserializer::from_str(text);
    let items = Items {
        feed,
        refused: &mut refused,
    };
    json.deserialize_seq(items)
        .and_then(|()| json.end())
        .map_err(|error| refused.unwrap_or_else(|| to_body_error(&error)))
}

/// Says where, never what: the body may hold personal data.
fn to_body_error(error: &serde_json::Error) -> BodyError {
    let message = match error.classify() {
        Category::Data => "the body is not a JSON array".to_owned(),
        Category::Eof => "the JSON array is cut".to_owned(),
        _ => format!(
            "not valid JSON at line {}, column {}",
            error.line(),
            error.column()
        ),
    };
    BodyError::Bad(message, HINT)
}

struct Items<'a, 'c> {
    feed: &'a mut Feed<'c>,
    /// Why the rest is not read.
    refused: &'a mut Option<BodyError>,
}

impl<'de> Visitor<'de> for Items<'_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array of events")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        let mut number = 0;
        while let Some(item) = seq.next_element::<&RawValue>()? {
            number += 1;
            let raw = item.get().as_bytes();
            if let Err(refused) = self.feed.event(number, raw, raw.len() as u64) {
                *self.refused = Some(refused);
                return Err(A::Error::custom("refused"));
            }
        }
        Ok(())
    }
}
