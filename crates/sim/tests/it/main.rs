//! Tests of simulated worlds through the public interface.

mod recount;
mod samples;
mod worlds;
