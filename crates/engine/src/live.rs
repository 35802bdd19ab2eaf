//! The live board: the floor as it is now, and today's KPIs by the same compiled definitions.
//!
//! What is shown is a [`Frame`]: cells of one moment. It knows no JSON, no wire and no page; a
//! server picks the cells of a board out of it. `docs/live.md` lists the figures.

mod frame;

pub use frame::{Cell, CellKey, CellValue, Day, Frame, Scope};
