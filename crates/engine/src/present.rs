//! What counts as now, over data that grow.

use events::UtcMicros;

/// What may be said about the time after the newest event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Present {
    /// Events are taken as they happen: if nothing came up to this moment, nothing happened.
    At(UtcMicros),
    /// None are taken, or none ever were: nothing is known but what the data say themselves.
    Unknown,
    /// None are taken, and some that were confirmed are not in the data: there is no right answer.
    Behind,
}
