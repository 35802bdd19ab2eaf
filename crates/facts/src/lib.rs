//! Facts: what the events of one contact, order, survey or agent amount to.
//!
//! [`fold_entity`] turns the events of one entity into fact rows. It is a pure function of the
//! *set* of events: neither the order of arrival nor a duplicate changes a row. [`Folder`] groups
//! a stream of events into entities, carries the open ones from batch to batch and says which
//! rows each batch adds and removes. This crate knows no Arrow, no SQL and no KPI, does no I/O
//! and never looks at the clock.

pub mod calendar;
mod edit;
mod fold;
mod folder;
mod hash;
mod history;
mod links;
mod profiles;
mod rows;
mod settings;
pub mod table;

pub use edit::{FactEdit, StoredEvent};
pub use fold::{FoldContext, fold_entity};
pub use folder::{FoldError, Folder, fold_all};
pub use history::{History, HistoryError, NoHistory};
pub use links::{
    FLOOR_EVENTS, Link, LinkKind, Links, event_links, is_contact_event, is_contact_name, link_hash,
    links, tells_time,
};
pub use profiles::{Profile, Profiles, TENURE_BANDS, profiled};
pub use rows::*;
pub use settings::FoldSettings;
