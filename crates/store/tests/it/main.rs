//! The store as its users see it.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod commits;
mod damage;
mod faults;
mod files;
mod history;
mod lossless;
mod memory;
mod world;
