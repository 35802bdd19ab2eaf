//! The engine from outside: SQL in text files, and what text cannot show.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

#[path = "it/bounds.rs"]
mod bounds;
#[path = "it/data.rs"]
mod data;
#[path = "it/definitions.rs"]
mod definitions;
#[path = "it/engine.rs"]
mod engine;
#[path = "it/hostile.rs"]
mod hostile;
#[path = "it/hostile_list.rs"]
mod hostile_list;
#[path = "it/ledger.rs"]
mod ledger;
#[path = "it/live.rs"]
mod live;
#[path = "it/live_ewt.rs"]
mod live_ewt;
#[path = "it/redefine.rs"]
mod redefine;
#[path = "it/service.rs"]
mod service;
#[path = "it/slt.rs"]
mod slt;
