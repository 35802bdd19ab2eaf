//! The fold, case by case.
//!
//! Every scene is folded several times: in one batch, in reverse, one event per batch with hardly
//! any memory, with every event sent twice. All must give the same facts.

mod agents;
mod callbacks;
mod cases;
mod contacts;
mod corrections;
mod costs;
mod folder;
mod legs;
mod memory;
mod orders;
mod property;
mod random;
mod scene;
mod surveys;
mod visits;
mod written;
