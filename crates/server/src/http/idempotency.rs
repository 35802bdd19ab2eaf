//! `Idempotency-Key`: the same request sent again gets the answer it got, and nothing is done twice.
//!
//! The memory is that of this process and bounded; the oldest answers go first. What it forgets is
//! still safe to send again: events are told apart by their ids, so that only the answer differs
//! (`duplicate` in place of `accepted`).

use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use axum::http::StatusCode;
use bytes::Bytes;
use events::UtcMicros;
use tokio::sync::watch;

use crate::limits;

/// Bytes of bookkeeping per entry, about.
const ENTRY_BYTES: usize = 256;

/// Hash of a sender and its key.
pub(crate) type Key = [u8; 32];
/// Hash of all that makes two requests the same.
pub(crate) type Fingerprint = [u8; 32];

/// An answer that can be given again.
#[derive(Clone, Debug)]
pub(crate) struct Stored {
    pub status: StatusCode,
    pub body: Bytes,
}

/// The remembered answers.
#[derive(Debug, Default)]
pub(crate) struct Idempotency {
    memory: Mutex<Memory>,
}

#[derive(Debug, Default)]
struct Memory {
    entries: HashMap<Key, Entry>,
    /// Answered ones by age.
    order: VecDeque<(UtcMicros, Key)>,
    bytes: usize,
}

#[derive(Debug)]
struct Entry {
    fingerprint: Fingerprint,
    state: State,
}

#[derive(Debug)]
enum State {
    /// The first of these requests is at work; the channel closes when it is done.
    AtWork(watch::Receiver<()>),
    Answered(Stored),
}

/// What a request with a key has to do.
#[derive(Debug)]
pub(crate) enum Begin {
    /// Do the work, then [`Ticket::finish`].
    Work(Ticket),
    /// This was the answer.
    Again(Stored),
    /// The key was used for another request.
    Conflict,
}

enum Found {
    Now(Begin),
    Wait(watch::Receiver<()>),
}

/// The right and the duty to answer for a key. Dropped without an answer, the next request with
/// the key does the work.
#[derive(Debug)]
pub(crate) struct Ticket {
    idempotency: Arc<Idempotency>,
    key: Key,
    finished: bool,
    _done: watch::Sender<()>,
}

impl Idempotency {
    fn memory(&self) -> MutexGuard<'_, Memory> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Begins a request; waits while the same one is at work.
    pub(crate) async fn begin(
        self: &Arc<Self>,
        key: Key,
        fingerprint: Fingerprint,
        now: &(dyn Fn() -> UtcMicros + Send + Sync),
    ) -> Begin {
        loop {
            match self.look(key, fingerprint, now()) {
                Found::Now(begin) => return begin,
                // An error is what is waited for: the sender is gone.
                Found::Wait(mut done) => while done.changed().await.is_ok() {},
            }
        }
    }

    fn look(self: &Arc<Self>, key: Key, fingerprint: Fingerprint, now: UtcMicros) -> Found {
        let mut memory = self.memory();
        memory.forget_old(now);
        match memory.entries.get(&key) {
            Some(entry) if entry.fingerprint != fingerprint => Found::Now(Begin::Conflict),
            Some(entry) => match &entry.state {
                State::AtWork(done) => Found::Wait(done.clone()),
                State::Answered(stored) => Found::Now(Begin::Again(stored.clone())),
            },
            None => {
                let (sender, done) = watch::channel(());
                let state = State::AtWork(done);
                memory.entries.insert(key, Entry { fingerprint, state });
                Found::Now(Begin::Work(Ticket {
                    idempotency: Arc::clone(self),
                    key,
                    finished: false,
                    _done: sender,
                }))
            }
        }
    }
}

impl Ticket {
    /// Remembers the answer.
    pub(crate) fn finish(mut self, answer: Stored, now: UtcMicros) {
        self.finished = true;
        let mut memory = self.idempotency.memory();
        memory.bytes += answer.body.len() + ENTRY_BYTES;
        memory.order.push_back((now, self.key));
        if let Some(entry) = memory.entries.get_mut(&self.key) {
            entry.state = State::Answered(answer);
        }
        memory.forget_old(now);
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        if !self.finished {
            self.idempotency.memory().entries.remove(&self.key);
        }
    }
}

impl Memory {
    /// Forgets what is too old, and the oldest while there is too much.
    fn forget_old(&mut self, now: UtcMicros) {
        let age_max_ms = i64::try_from(limits::IDEMPOTENCY_AGE_MAX.as_millis()).unwrap_or(i64::MAX);
        while let Some((answered, key)) = self.order.front().copied() {
            let expired = answered.plus_ms(age_max_ms) <= now;
            if !expired && self.bytes <= limits::IDEMPOTENCY_BYTES_MAX {
                return;
            }
            self.order.pop_front();
            if let Some(Entry {
                state: State::Answered(stored),
                ..
            }) = self.entries.remove(&key)
            {
                self.bytes -= stored.body.len() + ENTRY_BYTES;
            }
        }
    }
}
