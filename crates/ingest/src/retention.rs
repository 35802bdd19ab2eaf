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
use store::{Floors, Over, Result, Store};

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

/// What has to be let go to keep that many whole UTC days; `None` if nothing has to. The days count
/// back from the newest event or from the clock, whichever is earlier: neither a clock nor an event
/// of the future can empty the store. Unless it is `all`, the floor rises by two days at most; the
/// first floor can be any.
///
/// # Errors
/// When the store cannot be read.
pub fn plan(store: &Store, keep_days: u32, now: UtcMicros, all: bool) -> Result<Option<Plan>> {
    let open = store.checkpoint()?;
    let newest = open.iter().filter(|e| facts::tells_time(e));
    let Some(newest) = newest.map(|e| e.occurred_at).max() else {
        return Ok(None);
    };
    let days = i64::from(keep_days.max(KEEP_DAYS_MIN));
    let day = |days: i64| UtcMicros(days.saturating_mul(DAY_MICROS));
    let due = utc_day(now.min(newest)).saturating_sub(days);
    let floor = store.version().floors.contacts.map(UtcMicros);
    let target = match floor {
        Some(floor) if !all => due.min(utc_day(floor).saturating_add(STEP_DAYS)),
        _ => due,
    };
    let plan = Plan {
        floor,
        target: day(target),
        due: day(due),
        newest,
    };
    Ok((floor < Some(plan.target)).then_some(plan))
}

/// What would go, without letting it go.
///
/// # Errors
/// When the store cannot be read.
pub fn preview(store: &Store, plan: &Plan) -> Result<Gone> {
    let fold = Fold::new(store, plan)?;
    let mut gone = Gone::default();
    for part in store.contacts_over(plan.target)?.parts(STEP_EVENTS) {
        let (over, rows) = fold.settled(store, part)?;
        gone.count(&over, &rows);
    }
    Ok(gone)
}

/// Lets contacts go, day by day or as many days as have about `step_events` in each edit, which is
/// whole in itself.
///
/// # Errors
/// When the store cannot be read or written. What went before stays gone.
pub fn let_go(store: &Store, plan: &Plan, step_events: u64) -> Result<Gone> {
    let fold = Fold::new(store, plan)?;
    let mut gone = Gone::default();
    loop {
        let floor = store.next_floor(plan.target, DAY_MICROS, step_events);
        let (over, rows) = fold.settled(store, store.contacts_over(floor)?)?;
        gone.count(&over, &rows);
        store.let_go(&over, rows)?;
        if floor >= plan.target {
            return Ok(gone);
        }
    }
}

impl Gone {
    fn count(&mut self, over: &Over, rows: &FactRows) {
        self.contacts += over.contacts() as u64;
        self.events += over.events();
        self.rows += rows.len() as u64;
    }
}

/// What the facts of a contact are worked out with.
struct Fold {
    settings: FoldSettings,
    profiles: Profiles,
    horizon: UtcMicros,
}

impl Fold {
    fn new(store: &Store, plan: &Plan) -> Result<Self> {
        let open: Vec<Arc<Event>> = store.checkpoint()?.into_iter().map(Arc::new).collect();
        let mut profiles = Profiles::default();
        profiles.learn(&open);
        Ok(Fold {
            settings: FoldSettings::default(),
            profiles,
            horizon: plan.newest,
        })
    }

    /// Those contacts that can go by their facts too, with these. A case that is open is somebody's
    /// work still, and a row of a later day belongs to that day.
    fn settled(&self, store: &Store, over: Over) -> Result<(Over, FactRows)> {
        let context = FoldContext {
            settings: &self.settings,
            profiles: &self.profiles,
            horizon: self.horizon,
        };
        let mut all = FactRows::default();
        let contacts = store.events_over(&over)?;
        let mut goes = Vec::with_capacity(contacts.len());
        for events in contacts {
            let mut rows = fold_entity(&events, &context);
            let is_open = rows.Case.iter().any(|case| case.is_open);
            let settled = !is_open && Latest::of(&rows) < over.floor;
            if settled {
                all.append(&mut rows);
            }
            goes.push(settled);
        }
        Ok((over.only(|contact| goes[contact]), all))
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

/// Did it happen before what is kept?
pub(crate) fn is_let_go(event: &Event, floors: Floors) -> bool {
    let before = floors.contacts.is_some_and(|at| event.occurred_at.0 < at);
    before && is_contact_event(event)
}

/// Why an event is not taken that happened before what is kept.
pub(crate) fn too_old(event: &Event, floors: Floors) -> Option<Reject> {
    let floor = floors.contacts.filter(|_| is_let_go(event, floors))?;
    let detail = format!(
        "{} is before {}: what happened then was kept long enough and was let go \
         (callgauge retain --keep)",
        event.occurred_at,
        UtcMicros(floor)
    );
    Some(Reject::new(RejectCode::TooOld, "occurred_at", detail))
}
