//! The server as its clients see it: raw bytes over a socket, answers read back.
//!
//! The pipeline behind it is a stand-in ([`fake`]) that can be told what to answer, so that every
//! status can be provoked; what the real one does is tested where it lives. Questions are asked of
//! the real one ([`real`]), over a simulated day.

mod access;
mod arrow_bodies;
mod catalog;
mod client;
mod connections;
mod documents;
mod fake;
mod flight;
mod formats;
mod health;
mod idempotency;
mod kpi;
mod limits;
mod queries;
mod real;
mod refusals;
mod reload;
mod roles;
mod sql;
mod stop;
mod tls;
