//! The fold, case by case.
//!
//! Every scene is folded several times: in one batch, in reverse, one event per batch with hardly
//! any memory, with every event sent twice. All must give the same facts.

mod agents;
mod alerts;
mod callbacks;
mod cases;
mod contacts;
mod corrections;
mod costs;
mod employment;
mod folder;
mod legs;
mod memory;
mod orders;
mod property;
mod random;
mod reference;
mod scene;
mod surveys;
mod time;
mod visits;
mod written;
