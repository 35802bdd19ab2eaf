//! The Flight SQL door as its clients see it, over a store with a small simulated day.

mod binding;
mod events_in;
mod hostile;
mod jdbc;
mod options;
mod roles;
mod running;
mod visibility;
pub mod world;
