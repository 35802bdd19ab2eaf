//! The server as its clients see it: raw bytes over a socket, answers read back.
//!
//! The pipeline behind it is a stand-in ([`fake`]) that can be told what to answer, so that every
//! status can be provoked; what the real one does is tested where it lives.

mod access;
mod arrow_bodies;
mod client;
mod connections;
mod fake;
mod formats;
mod health;
mod idempotency;
mod limits;
mod refusals;
mod stop;
