//! The three forms of an event, seen as one: its kind, its time, and fields by their names in streams.

use events::{Reject, RejectCode, UtcMicros};
use serde_json::{Map, Value};

use crate::records::Fields;

/// An event of TaskRouter in any form.
#[derive(Debug)]
pub(super) struct Told<'a> {
    /// As `reservation.accepted`.
    pub kind: &'a str,
    pub at: UtcMicros,
    fields: Fields<'a>,
    form: Form,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    /// Parameters of a callback: `TaskSid`, all of them texts.
    Callback,
    /// The payload of a stream, or the data of the events interface: `task_sid`.
    Payload,
}

impl<'a> Told<'a> {
    pub fn read(record: &'a Value) -> Result<Self, Reject> {
        let outer = Fields::of(record)?;
        if let Some(data) = outer.part("data")?
            && let Some(payload) = data.part("payload")?
        {
            let form = Form::Payload;
            let at = moment(&payload, "timestamp", "timestamp_ms")?;
            let kind = payload.need_text("eventtype")?;
            let fields = payload;
            return Ok(Told {
                kind,
                at,
                fields,
                form,
            });
        }
        if outer.has("EventType") {
            return Ok(Told {
                kind: outer.need_text("EventType")?,
                at: moment(&outer, "Timestamp", "TimestampMs")?,
                fields: outer,
                form: Form::Callback,
            });
        }
        let Some(data) = outer.part("event_data")? else {
            let detail = "the record is no TaskRouter event: it has neither data.payload (a stream), nor \
                          EventType (a callback), nor event_data (the events interface)";
            return Err(Reject::new(RejectCode::BadLine, "", detail));
        };
        Ok(Told {
            kind: outer.need_text("event_type")?,
            at: moment(&outer, "event_date", "event_date_ms")?,
            fields: data,
            form: Form::Payload,
        })
    }

    fn name(&self, name: &str) -> String {
        if self.form == Form::Payload {
            return name.to_owned();
        }
        let words = name.split('_').map(|word| {
            let (first, rest) = word.split_at(word.len().min(1));
            first.to_uppercase() + rest
        });
        words.collect()
    }

    pub fn text(&self, name: &str) -> Result<Option<&'a str>, Reject> {
        self.fields.text(&self.name(name))
    }

    pub fn need(&self, name: &str) -> Result<&'a str, Reject> {
        self.fields.need_text(&self.name(name))
    }

    pub fn whole(&self, name: &str) -> Result<Option<i64>, Reject> {
        self.fields.whole(&self.name(name))
    }

    /// The name of the queue, or its id.
    pub fn queue(&self) -> Result<&'a str, Reject> {
        match self.text("task_queue_name")? {
            Some(name) => Ok(name),
            None => self.need("task_queue_sid"),
        }
    }

    /// Attributes: a JSON object in a text.
    pub fn attributes(&self, name: &str) -> Result<Map<String, Value>, Reject> {
        let Some(text) = self.text(name)? else {
            return Ok(Map::new());
        };
        serde_json::from_str(text).map_err(|error| {
            let detail = format!("is not a JSON object in a text: {error}");
            self.fields
                .reject(&self.name(name), RejectCode::BadType, detail)
        })
    }
}

/// RFC 3339 or seconds since 1970; milliseconds, where they are told, are finer.
fn moment(fields: &Fields<'_>, name: &str, ms: &str) -> Result<UtcMicros, Reject> {
    if let Some(at) = fields.epoch(ms, 1_000)? {
        return Ok(at);
    }
    match fields.id(name)? {
        Some(text) if text.bytes().all(|b| b.is_ascii_digit()) => {
            let at = fields.epoch(name, 1_000_000)?;
            at.ok_or_else(|| fields.reject(name, RejectCode::MissingField, "is zero"))
        }
        _ => fields.need_time(name),
    }
}
