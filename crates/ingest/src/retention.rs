//! How long events are kept, with the facts that are made of them.
//!
//! Facts are the fold of the stored events, so both go together, and only contacts go of which nothing
//! happened since the floor: a part of a contact would make other facts than the whole. What happened
//! before the floor is not taken again, so that an id that was let go cannot come back as new.

use std::sync::Arc;

use events::{Event, Reject, RejectCode, UtcMicros};
use facts::{
    FactRows, FoldContext, FoldSettings, Profiles, fold_entity, is_contact_event,
    table::{Cell, Row, TableVisitor},
};
use store::{Floors, Over, Pinned, Result, Store, Version, event_id_hash};

use crate::dedupe::{DAY_MICROS, utc_day};

/// Fewer days than that are not kept: a month that is not over yet must not lose its beginning.
pub const KEEP_DAYS_MIN: u32 = 31;
/// Days by which the floor rises at most unless somebody has said yes to more.
pub const STEP_DAYS: i64 = 2;
/// Events that are let go in one edit, about: they are in memory at once.
pub const STEP_EVENTS: u64 = 1 << 18;

/// Up to where events are to be let go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Plan {
    /// Before when nothing is kept now.
    pub floor: Option<UtcMicros>,
    /// Before when nothing is to be kept.
    pub target: UtcMicros,
    /// As it would be without [`STEP_DAYS`].
    pub due: UtcMicros,
    /// Newest event of the store.
    newest: UtcMicros,
}

impl Plan {
    /// As much of it as an earlier floor asks for.
    #[must_use]
    pub fn up_to(self, target: UtcMicros) -> Self {
        Plan {
            target: target.min(self.target),
            ..self
        }
    }
}

/// What went, or would go.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Gone {
    /// Contacts, each with all that hangs on it.
    pub contacts: u64,
    /// Their events.
    pub events: u64,
    /// Fact rows made of these.
    pub rows: u64,
}

/// Fact tables of contacts.
const CONTACT_TABLES: [&str; 8] = [
    "interactions",
    "queue_visits",
    "legs",
    "orders",
    "surveys",
    "cases",
    "callbacks",
    "evaluations",
];

/// How far a floor may rise at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pace {
    /// As far as is due: somebody has said yes to it.
    All,
    /// The first floor can be any; then by [`STEP_DAYS`].
    ByHand,
    /// By [`STEP_DAYS`], the first time from the oldest contact.
    BySelf,
}

/// What has to be let go to keep that many whole UTC days; `None` if nothing has to. The days count
/// back from the newest event or from the clock, whichever is earlier: neither a clock nor an event
/// of the future can empty the store. Unless it is `all`, the floor rises by two days at most; the
/// first floor can be any.
///
/// # Errors
/// When the store cannot be read.
pub fn plan(store: &Store, keep_days: u32, now: UtcMicros, all: bool) -> Result<Option<Plan>> {
    let pace = if all { Pace::All } else { Pace::ByHand };
    Ok(plan_of(&store.pinned()?, keep_days, now, pace))
}

/// As [`plan`].
pub(crate) fn plan_of(pinned: &Pinned, keep_days: u32, now: UtcMicros, pace: Pace) -> Option<Plan> {
    let newest = pinned.open.iter().filter(|e| facts::tells_time(e));
    let newest = newest.map(|e| e.occurred_at).max()?;
    let days = i64::from(keep_days.max(KEEP_DAYS_MIN));
    let day = |days: i64| UtcMicros(days.saturating_mul(DAY_MICROS));
    let due = utc_day(now.min(newest)).saturating_sub(days);
    let floor = pinned.version.floors.contacts.map(UtcMicros);
    let from = match pace {
        Pace::All => None,
        Pace::ByHand => floor,
        Pace::BySelf => Some(floor.or_else(|| oldest_contact(&pinned.version))?),
    };
    let target = match from {
        Some(from) => due.min(utc_day(from).saturating_add(STEP_DAYS)),
        None => due,
    };
    let plan = Plan {
        floor,
        target: day(target),
        due: day(due),
        newest,
    };
    (floor < Some(plan.target)).then_some(plan)
}

fn oldest_contact(version: &Version) -> Option<UtcMicros> {
    let tables = CONTACT_TABLES.iter().filter_map(|name| version.table(name));
    let files = tables.flat_map(|table| &table.files);
    files.filter_map(|file| file.time_min).min().map(UtcMicros)
}

/// What would go, without letting it go.
///
/// # Errors
/// When the store cannot be read.
pub fn preview(store: &Store, plan: &Plan) -> Result<Gone> {
    let pinned = store.pinned()?;
    let fold = Fold::new(FoldSettings::default(), &pinned.open, plan.newest);
    let mut gone = Gone::default();
    let over = store.contacts_over(&pinned, plan.target, &|| true)?;
    for part in over.parts(STEP_EVENTS) {
        gone.count(&fold.settled(store, part)?);
    }
    Ok(gone)
}

/// Lets contacts go, day by day or as many days as have about `step_events` in each edit, which is
/// whole in itself.
///
/// # Errors
/// When the store cannot be read or written. What went before stays gone.
pub fn let_go(store: &Store, plan: &Plan, step_events: u64) -> Result<Gone> {
    let mut gone = Gone::default();
    loop {
        let pinned = store.pinned()?;
        let fold = Fold::new(FoldSettings::default(), &pinned.open, plan.newest);
        let floor = store.next_floor(plan.target, DAY_MICROS, step_events);
        let over = store.contacts_over(&pinned, floor, &|| true)?;
        drop(pinned);
        let settled = fold.settled(store, over)?;
        gone.count(&settled);
        store.let_go(settled.over, &settled.rows)?;
        if floor >= plan.target {
            return Ok(gone);
        }
    }
}

/// What one step of a server would let go.
pub(crate) struct Step {
    pub settled: Settled,
    pub gone: Gone,
}

/// About `step_events` events of the oldest contacts that can go for a plan. Without any, a step of
/// none if the floor is yet to rise, else `None`.
///
/// # Errors
/// When the store cannot be read; [`store::Error::Stopped`] if it is not to `go_on`.
pub(crate) fn next_step(
    store: &Store,
    pinned: &Pinned,
    (plan, settings): (&Plan, FoldSettings),
    step_events: u64,
    go_on: &dyn Fn() -> bool,
) -> Result<Option<Step>> {
    let fold = Fold::new(settings, &pinned.open, plan.newest);
    let over = store.contacts_over(pinned, plan.target, go_on)?;
    let none = over.none();
    for part in over.parts(step_events) {
        let settled = fold.settled(store, part)?;
        if settled.over.contacts() > 0 {
            let mut gone = Gone::default();
            gone.count(&settled);
            return Ok(Some(Step { settled, gone }));
        }
    }
    let rises = pinned.version.floors.contacts < Some(plan.target.0);
    let none = Settled {
        over: none,
        rows: FactRows::default(),
        ids: Vec::new(),
    };
    Ok(rises.then(|| Step {
        settled: none,
        gone: Gone::default(),
    }))
}

impl Gone {
    fn count(&mut self, settled: &Settled) {
        self.contacts += settled.over.contacts() as u64;
        self.events += settled.over.events();
        self.rows += settled.rows.len() as u64;
    }

    /// Takes in what another step let go.
    pub(crate) fn add(&mut self, other: Gone) {
        self.contacts += other.contacts;
        self.events += other.events;
        self.rows += other.rows;
    }
}

/// Contacts that can go, and what goes with them.
pub(crate) struct Settled {
    pub over: Over,
    pub rows: FactRows,
    /// When their events were received, and the hashes of their ids.
    pub ids: Vec<(UtcMicros, u64)>,
}

/// What the facts of a contact are worked out with.
struct Fold {
    settings: FoldSettings,
    profiles: Profiles,
    horizon: UtcMicros,
}

impl Fold {
    fn new(settings: FoldSettings, open: &[Event], horizon: UtcMicros) -> Self {
        let open: Vec<Arc<Event>> = open.iter().cloned().map(Arc::new).collect();
        let mut profiles = Profiles::default();
        profiles.learn(&open);
        Fold {
            settings,
            profiles,
            horizon,
        }
    }

    /// Those contacts that can go by their facts too, with these. A case that is open is somebody's
    /// work still, as an alert that has not ended is, and a row of a later day belongs to that day.
    fn settled(&self, store: &Store, over: Over) -> Result<Settled> {
        let context = FoldContext {
            settings: &self.settings,
            profiles: &self.profiles,
            horizon: self.horizon,
        };
        let mut all = FactRows::default();
        let mut ids = Vec::new();
        let contacts = store.events_over(&over)?;
        let mut goes = Vec::with_capacity(contacts.len());
        for events in contacts {
            let mut rows = fold_entity(&events, &context);
            let is_open = rows.Case.iter().any(|case| case.is_open)
                || rows.Alert.iter().any(|alert| alert.ended_at.is_none());
            let settled = !is_open && Latest::of(&rows) < over.floor;
            if settled {
                all.append(&mut rows);
                let id = |e: &Event| event_id_hash(&e.tenant_id, &e.source, &e.event_id);
                ids.extend(events.iter().map(|e| (e.recorded_at, id(e))));
            }
            goes.push(settled);
        }
        let over = over.only(|contact| goes[contact]);
        let rows = all;
        Ok(Settled { over, rows, ids })
    }
}

/// The latest time that rows are found by.
struct Latest(UtcMicros);

impl Latest {
    fn of(rows: &FactRows) -> UtcMicros {
        let mut latest = Latest(UtcMicros(i64::MIN));
        rows.visit(&mut latest);
        latest.0
    }
}

impl TableVisitor for Latest {
    fn rows<R: Row>(&mut self, rows: &[R]) {
        let place = R::TABLE.column(R::TABLE.time).map(|(place, _)| place);
        for row in rows {
            let mut column = 0;
            row.cells(&mut |cell| {
                if let (Cell::Time(Some(at)), true) = (cell, place == Some(column)) {
                    self.0 = self.0.max(UtcMicros(at));
                }
                column += 1;
            });
        }
    }
}

/// Did it happen before the floor? What is so old is kept only with something newer, or open.
pub(crate) fn is_before_floor(event: &Event, floors: Floors) -> bool {
    let before = floors.contacts.is_some_and(|at| event.occurred_at.0 < at);
    before && is_contact_event(event)
}

/// Why an event is not taken that happened before the floor.
pub(crate) fn too_old(event: &Event, floors: Floors) -> Option<Reject> {
    let floor = floors.contacts.filter(|_| is_before_floor(event, floors))?;
    let detail = format!(
        "{} is before {}: nothing new is taken of what happened before that \
         (callgauge retain --keep, serve --keep)",
        event.occurred_at,
        UtcMicros(floor)
    );
    Some(Reject::new(RejectCode::TooOld, "occurred_at", detail))
}
