//! The store as its users see it.

mod commits;
mod cost;
mod damage;
mod faults;
mod files;
mod history;
mod lossless;
mod memory;
mod world;
