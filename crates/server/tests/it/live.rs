//! The live board on the wire: frames that a test feeds, as their readers see them.

mod alerts;
mod boards;
mod crowd;
mod devices;
mod floor;
pub mod sse;
mod streams;
