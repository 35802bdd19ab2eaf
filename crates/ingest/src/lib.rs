//! The formats of the outside world, and the way of their events into the store.
//!
//! A format turns the lines of its inputs into events ([`pipeline::Lines`]). The [`Importer`] takes
//! them in batches: identity becomes a token, repeats are found, facts are folded, and one commit
//! per batch makes events and facts durable together. Nothing is dropped silently: every line is
//! accepted, a duplicate, blank, or rejected with its bytes in the quarantine.

pub mod amazon_connect;
pub mod asterisk;
pub mod csv_mapping;
mod dedupe;
pub mod formats;
pub mod freeswitch;
pub mod genesys_cloud;
pub mod identity;
pub mod limits;
pub mod live;
pub mod local_time;
pub mod ndjson;
pub mod pipeline;
mod quarantine;
pub mod records;
pub mod retention;
pub mod twilio_taskrouter;
pub mod zendesk;

pub use identity::IdentityKey;
pub use pipeline::{
    ImportError, ImportReport, ImportSettings, Importer, LineError, Place, Progress, Stages,
};
