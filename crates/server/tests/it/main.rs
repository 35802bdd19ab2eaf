//! The server as its clients see it: raw bytes over a socket, answers read back.
//!
//! The pipeline behind it is a stand-in ([`fake`]) that can be told what to answer, so that every
//! status can be provoked; what the real one does is tested where it lives. Questions are asked of
//! the real one ([`real`]), over a simulated day.

mod access;
mod alerts;
mod arrow_bodies;
mod catalog;
mod client;
mod connections;
mod documents;
mod fake;
mod flight;
mod formats;
mod health;
mod hostile;
#[path = "../../../engine/tests/it/hostile_list.rs"]
mod hostile_list;
mod idempotency;
mod kpi;
mod limits;
mod live;
mod queries;
mod real;
mod refusals;
mod reload;
mod roles;
mod sql;
mod starting;
mod stop;
mod tls;
mod wallboard;
