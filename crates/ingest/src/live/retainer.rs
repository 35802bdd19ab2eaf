//! The thread that lets contacts go which were kept long enough: once a day, beside everything else.
//!
//! It works on a pinned version: what can go is found, and what is left of its files is written, while
//! events come in. Then the applier makes it count between two commits, unless something has come for
//! one of the contacts: they are found anew then.

use std::sync::{
    Arc,
    mpsc::{Receiver, RecvTimeoutError, Sender, TryRecvError, sync_channel},
};

use store::{Error, Pinned, Store};

use super::{LiveError, LiveSettings, applier::Unit, state::Shared, writer::Job};
use crate::{
    dedupe::utc_day,
    retention::{Gone, Pace, Plan, Step, next_step, plan_of},
};

/// Events that are let go in one edit, about: they are in memory at once, beside the server's own.
const STEP_EVENTS: u64 = 1 << 16;
/// So often something may come in between before a run is put off.
const TRIES: u32 = 5;

/// See the module.
pub(super) struct Retainer {
    pub store: Arc<Store>,
    pub shared: Arc<Shared>,
    pub settings: Arc<LiveSettings>,
    pub units: Sender<Unit>,
    pub jobs: Sender<Job>,
    /// Whole days that are kept.
    pub keep_days: u32,
}

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ran {
    /// Nothing more is due today.
    Done,
    /// Something is in the way, which will pass.
    Later,
    /// The program ends.
    Ended,
}

impl Retainer {
    /// Works until the sender goes.
    pub fn run(self, end: &Receiver<()>) {
        let mut done_on = None;
        while end.recv_timeout(self.settings.retain_every) == Err(RecvTimeoutError::Timeout) {
            let today = utc_day((self.settings.clock)());
            if done_on == Some(today) || self.shared.is_stopped() {
                continue;
            }
            let mut gone = Gone::default();
            let ran = self.let_go(end, &mut gone);
            if gone != Gone::default() {
                let floor = self.store.version().floors.contacts;
                let Gone {
                    contacts,
                    events,
                    rows,
                } = gone;
                tracing::info!(
                    contacts,
                    events,
                    rows,
                    floor,
                    "contacts were kept long enough"
                );
            }
            match ran {
                Ok(Ran::Done) => done_on = Some(today),
                Ok(Ran::Later) => tracing::info!("old contacts are looked at again later"),
                Ok(Ran::Ended) => return,
                Err(error) => tracing::warn!(%error, "old contacts stay for now"),
            }
        }
    }

    fn let_go(&self, end: &Receiver<()>, gone: &mut Gone) -> Result<Ran, LiveError> {
        let go_on = || end.try_recv() == Err(TryRecvError::Empty) && !self.shared.is_stopped();
        let mut plan = None;
        let mut tries = 0;
        while tries < TRIES {
            let Some(pinned) = self.pinned() else {
                return Ok(Ran::Ended);
            };
            if plan.is_none() {
                plan = self.plan(&pinned);
            }
            let Some(plan) = &plan else {
                return Ok(Ran::Done);
            };
            let fold = (plan, self.settings.fold.clone());
            let step = match next_step(&self.store, &pinned, fold, STEP_EVENTS, &go_on) {
                Ok(Some(step)) => step,
                Ok(None) => return Ok(Ran::Done),
                Err(Error::Stopped { .. }) if !go_on() => return Ok(Ran::Ended),
                Err(error) => return Err(error.into()),
            };
            drop(pinned);
            match self.install(step, gone)? {
                Some(true) => tries = 0,
                Some(false) => tries += 1,
                None => return Ok(Ran::Ended),
            }
        }
        Ok(Ran::Later)
    }

    fn plan(&self, pinned: &Pinned) -> Option<Plan> {
        let now = (self.settings.clock)();
        let plan = plan_of(pinned, self.keep_days, now, Pace::BySelf)?;
        if plan.target < plan.due {
            tracing::warn!(
                due = %plan.due,
                floor = %plan.target,
                "more is due than goes in a day: stop the server and run `callgauge retain --yes` \
                 to let all of it go at once"
            );
        }
        Some(plan)
    }

    /// What the fold waits for, at a moment between two commits; `None` at the end.
    fn pinned(&self) -> Option<Pinned> {
        let (answer, answered) = sync_channel(1);
        self.units.send(Unit::Pin(answer)).ok()?;
        answered.recv().ok()
    }

    /// `false` if something has come in between; `None` at the end.
    fn install(&self, step: Step, gone: &mut Gone) -> Result<Option<bool>, LiveError> {
        let Step {
            settled,
            gone: more,
        } = step;
        let prepared = self.store.prepare_let_go(&settled.over, &settled.rows)?;
        let ids = settled.ids;
        drop((settled.over, settled.rows));
        let Some(prepared) = prepared else {
            return Ok(Some(false));
        };
        let (answer, answered) = sync_channel(1);
        let unit = Unit::LetGo(Box::new(prepared), answer);
        if self.units.send(unit).is_err() {
            return Ok(None);
        }
        let Ok(installed) = answered.recv() else {
            return Ok(None);
        };
        if !installed? {
            return Ok(Some(false));
        }
        gone.add(more);
        // A repeat of what went is too old now, and no duplicate.
        if self.jobs.send(Job::Forget(ids)).is_err() {
            return Ok(None);
        }
        self.shared.let_go(more.events);
        Ok(Some(true))
    }
}
