//! A reproducible contact centre: a seed gives a stream of events and the truth about them.
//!
//! [`World`] is an event-driven simulation. Customers arrive over the day and the week, wait for
//! agents who are there in shifts, give up, are transferred, come again, order, return, answer
//! surveys; what is not settled becomes a case, and employees are asked about their work. Waits are
//! not drawn: they arise because agents are few. The events come out in the order of time, one by
//! one, so that a world of any length needs little memory.
//!
//! A [`Ledger`] kept beside the simulation knows the core KPIs from the simulation's own knowledge
//! and not from the events: what others compute from the events must agree with it.
//!
//! No clock, no I/O, no randomness but the seed: the same [`Config`] gives the same bytes.

mod calendar;
mod centre;
mod config;
mod ids;
mod ledger;
mod ndjson;
mod rng;
mod slab;
mod world;

pub use config::{Config, ConfigError};
pub use ledger::{
    Bucket, Grouping, Ledger, LedgerRow, METRICS, Metric, SHORT_ABANDON_MS, THRESHOLD_MS, Unit,
};
pub use ndjson::write_ndjson;
pub use world::World;
