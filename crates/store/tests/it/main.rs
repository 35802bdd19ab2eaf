//! The store as its users see it.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod commits;
mod damage;
mod disk;
mod faults;
mod files;
mod full;
mod history;
mod lossless;
mod memory;
mod wal;
mod wal_damage;
mod wal_faults;
mod wal_power;
mod wal_world;
mod world;
