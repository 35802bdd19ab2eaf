//! Who reads streams: how many there may be, who reads nothing, and who may no longer.
//!
//! A body that nobody reads is not polled, so it cannot end itself. That is why somebody else
//! looks: a reader that has taken bytes and not come back for more within its time has full
//! buffers, and its connection is cut. Others never wait for it: nothing is queued for anybody.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::{sync::watch, time::Instant};

use crate::{access::Identity, http::seats::Seat};

/// Why a stream ends before its reader goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Bye {
    Closing,
    Revoked,
    Age,
}

impl Bye {
    pub(super) const fn word(self) -> &'static str {
        match self {
            Bye::Closing => "closing",
            Bye::Revoked => "revoked",
            Bye::Age => "age",
        }
    }
}

/// All readers.
#[derive(Debug)]
pub(super) struct Readers {
    most: usize,
    next: AtomicU64,
    all: Mutex<HashMap<u64, Arc<Reader>>>,
}

/// One of them.
#[derive(Debug)]
pub(super) struct Reader {
    pub id: u64,
    identity: Identity,
    seat: Arc<Seat>,
    /// When it took bytes and did not come back for more.
    taken: Mutex<Option<Instant>>,
    /// Its connection was told to end.
    cut: AtomicBool,
    /// It was told to go.
    pub told: watch::Sender<Option<(Bye, Instant)>>,
}

/// A place among the readers; free again when dropped.
#[derive(Debug)]
pub(super) struct Place {
    readers: Arc<Readers>,
    pub reader: Arc<Reader>,
}

/// What the watchdog found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Counted {
    /// Those that have all there is.
    pub live: usize,
    /// Those whose buffers are full.
    pub behind: usize,
}

impl Readers {
    pub(super) fn new(most: usize) -> Arc<Self> {
        Arc::new(Readers {
            most,
            next: AtomicU64::new(0),
            all: Mutex::default(),
        })
    }

    fn all(&self) -> MutexGuard<'_, HashMap<u64, Arc<Reader>>> {
        self.all.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A place for one more; `None` if all are taken.
    pub(super) fn enter(self: &Arc<Self>, identity: Identity, seat: Arc<Seat>) -> Option<Place> {
        let mut all = self.all();
        if all.len() >= self.most {
            return None;
        }
        let reader = Arc::new(Reader {
            id: self.next.fetch_add(1, Ordering::Relaxed),
            identity,
            seat,
            taken: Mutex::default(),
            cut: AtomicBool::new(false),
            told: watch::Sender::new(None),
        });
        all.insert(reader.id, Arc::clone(&reader));
        Some(Place {
            readers: Arc::clone(self),
            reader,
        })
    }

    pub(super) fn counted(&self) -> Counted {
        let all = self.all();
        let behind = all.values().filter(|r| r.behind_since().is_some()).count();
        Counted {
            live: all.len() - behind,
            behind,
        }
    }

    /// Cuts those that have read nothing for `stall_max`, and tells those to go that may no longer
    /// read; one that does not go is cut too. How many were cut.
    pub(super) fn look(
        &self,
        stall_max: Duration,
        leave_max: Duration,
        may: impl Fn(&Identity) -> bool,
    ) -> u64 {
        let readers: Vec<_> = self.all().values().cloned().collect();
        let mut cut = 0;
        for reader in readers {
            let told = *reader.told.borrow();
            let stalled = reader
                .behind_since()
                .is_some_and(|at| at.elapsed() >= stall_max);
            let stays = told.is_some_and(|(_, at)| at.elapsed() >= leave_max);
            if stalled || stays {
                reader.seat.watch.end();
                // It may still be there at the next look, and counts once.
                cut += u64::from(!reader.cut.swap(true, Ordering::Relaxed));
            } else if told.is_none() && !may(&reader.identity) {
                reader
                    .told
                    .send_replace(Some((Bye::Revoked, Instant::now())));
            }
        }
        cut
    }
}

impl Reader {
    fn taken(&self) -> MutexGuard<'_, Option<Instant>> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// It takes bytes.
    pub(super) fn takes(&self) {
        *self.taken() = Some(Instant::now());
    }

    /// It came back and has all there is.
    pub(super) fn waits(&self) {
        *self.taken() = None;
    }

    fn behind_since(&self) -> Option<Instant> {
        *self.taken()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.readers.all().remove(&self.reader.id);
    }
}
