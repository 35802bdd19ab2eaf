//! The vocabulary of a contact centre: what can happen, as typed, validated events.
//!
//! An [`Event`] is an envelope (who says it, when it happened) around one entry of the
//! vocabulary ([`EventData`]). A value of these types has been validated: nothing downstream
//! checks it again. This crate does no I/O and never looks at the clock.

pub mod content;
mod decimal;
pub mod decode;
mod line;
mod lists;
mod macros;
mod reject;
pub mod schema;
mod time;
mod vocabulary;

use std::collections::BTreeMap;

pub use decimal::Decimal;
pub use line::*;
pub use lists::*;
pub use reject::{Reject, RejectCode};
pub use time::UtcMicros;
pub use vocabulary::*;

/// Text of an event: ids, names, codes. Short ones live inline, long ones are shared.
pub type Text = smol_str::SmolStr;

/// Fields that the vocabulary does not know, as text.
pub type Attributes = BTreeMap<Text, Text>;

/// One thing that happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// Whose contact centre; [`DEFAULT_TENANT`] unless several are served.
    pub tenant_id: Text,
    /// The registered sender.
    pub source: Text,
    /// Unique per tenant and source; the idempotency key. 1 to 128 bytes.
    pub event_id: Text,
    /// Grows within a source; breaks ties of time.
    pub source_seq: Option<i64>,
    /// Version of the event type's shape.
    pub schema_version: i64,
    /// When it happened at the source.
    pub occurred_at: UtcMicros,
    /// When it was received.
    pub recorded_at: UtcMicros,
    /// The event this one corrects.
    pub correction: Option<Correction>,
    /// What happened.
    pub data: EventData,
    /// Unknown fields of the envelope and of `data`, as text.
    pub attributes: Attributes,
}

/// A correction of an earlier event of the same source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Correction {
    /// `event_id` of the corrected event.
    pub of: Text,
    /// Replace its content, or take it back.
    pub op: CorrectionOp,
}

/// The tenant of a single-tenant installation.
pub const DEFAULT_TENANT: &str = "default";
