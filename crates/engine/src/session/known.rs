//! Which stretches of time something is known of.
//!
//! The floor's are those of contacts and of what agents are at. A shop, a survey tool or a plan says
//! nothing about the floor; of its own facts it does.

use std::ops::Range;

use store::Version;

/// Fact tables whose rows other systems tell of, too, from other times on.
const APART: [&str; 7] = [
    "orders",
    "surveys",
    "cases",
    "evaluations",
    "costs",
    "schedule_time",
    "forecasts",
];

/// Fact tables of the floor.
const FLOOR: [&str; 7] = [
    "queue_visits",
    "legs",
    "interactions",
    "self_service",
    "callbacks",
    "agent_states",
    "agent_time",
];

/// Of which time rows of a model can tell: that of the floor, and those of some tables by themselves.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Apart(u8);

impl Apart {
    /// The floor's time and no other.
    pub(crate) const FLOOR: Apart = Apart(0);

    /// Of a model that reads these tables. Where it looks at the floor, it knows what the floor knows:
    /// an order of last year says nothing about the contacts that are counted with it.
    pub(crate) fn of<'a>(tables: impl Iterator<Item = &'a str> + Clone) -> Apart {
        if tables.clone().any(|table| FLOOR.contains(&table)) {
            return Apart::FLOOR;
        }
        let place = |table| APART.iter().position(|name| *name == table);
        Apart(tables.filter_map(place).fold(0, |all, at| all | (1 << at)))
    }
}

/// From when to when the tables tell by themselves: microseconds, half-open, as [`APART`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Told([Option<(i64, i64)>; APART.len()]);

impl Told {
    /// As far as the rows of a version go, inside of a stretch.
    pub(super) fn of(version: &Version, within: Range<i64>) -> Told {
        Told(APART.map(|name| {
            let (first, last) = super::bounds::times_of(version.table(name)?)?;
            let (from, to) = (
                first.max(within.start),
                last.saturating_add(1).min(within.end),
            );
            (from < to).then_some((from, to))
        }))
    }

    /// The same up to the present, where events are taken as they happen.
    pub(super) fn up_to(self, end: i64) -> Told {
        Told(
            self.0
                .map(|told| told.map(|(from, to)| (from, to.max(end)))),
        )
    }

    /// The stretches of some tables.
    pub(super) fn stretches(&self, apart: Apart) -> impl Iterator<Item = (i64, i64)> + '_ {
        let is_meant = move |(at, _): &(usize, _)| apart.0 & (1 << at) != 0;
        let all = self.0.iter().enumerate().filter(is_meant);
        all.filter_map(|(_, told)| *told)
    }
}

/// First and last time of the floor's facts.
pub(super) fn floor_of(version: &Version) -> Option<(i64, i64)> {
    let tables = FLOOR.iter().filter_map(|name| version.table(name));
    super::bounds::widest(tables.filter_map(super::bounds::times_of))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_model_knows_by_itself_only_what_does_not_look_at_the_floor() {
        let of = |tables: &[&str]| Apart::of(tables.iter().copied());
        assert_eq!(of(&["queue_visits"]), Apart::FLOOR);
        assert_eq!(of(&["interactions", "code_map"]), Apart::FLOOR);
        assert_eq!(of(&["orders", "interactions"]), Apart::FLOOR);
        assert_eq!(
            of(&["customers"]),
            Apart::FLOOR,
            "a reference tells no time"
        );
        assert_ne!(of(&["orders"]), Apart::FLOOR);
        assert_ne!(of(&["orders"]), of(&["surveys"]));
    }

    #[test]
    fn every_table_that_counts_something_is_of_the_floor_or_apart() {
        let known = |name: &str| FLOOR.contains(&name) || APART.contains(&name);
        let tables = facts::FactRows::TABLES.iter().map(|table| table.name);
        let neither: Vec<&str> = tables.filter(|name| !known(name)).collect();
        let told = [
            "agents",
            "calendars",
            "code_map",
            "customers",
            "evaluation_items",
            "alerts",
            "issues",
        ];
        assert!(
            neither.iter().all(|name| told.contains(name)),
            "{neither:?}"
        );
        let is_stored = |name: &str| facts::FactRows::TABLES.iter().any(|t| t.name == name);
        assert!(FLOOR.iter().chain(&APART).all(|name| is_stored(name)));
    }
}
