//! Tickets: what a client was promised to be able to read.
//!
//! ```text
//! version 1 | id, 16 bytes | end, 8 bytes: microseconds since 1970 | seal over the rest, 32 bytes
//! ```
//!
//! A ticket keeps its plan, and with it the version of the data that it was planned over: read
//! again within its time it gives the same rows. Room is limited because each may hold files that
//! are otherwise gone: whoever has too many loses the oldest that was read, and only then the oldest
//! unread one of the session with most. Nobody loses one to somebody else before it was read.

use std::{
    cmp::Reverse,
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use arrow_flight::{
    FlightEndpoint, Ticket,
    sql::{ProstMessageExt, TicketStatementQuery},
};
use bytes::Bytes;
use events::UtcMicros;
use prost::Message;

use super::{
    ids::{Id, Ids},
    rows::Job,
    session::Session,
};
use crate::{
    error::{ApiError, Code},
    limits,
    tokens::TokenId,
};

const VERSION: u8 = 1;
const SEALED_BYTES: usize = 1 + Id::BYTES + 8;

/// All tickets.
#[derive(Debug, Default)]
pub(super) struct Tickets(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    by_id: HashMap<Id, Entry>,
    issued: u64,
}

#[derive(Debug)]
struct Entry {
    job: Arc<Job>,
    end: UtcMicros,
    read: bool,
    /// Grows with every ticket.
    age: u64,
}

/// Tickets of one session: the more the greater, and of two with as many the one with the oldest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Holding {
    count: usize,
    oldest: Reverse<u64>,
}

impl Default for Holding {
    fn default() -> Self {
        Holding {
            count: 0,
            oldest: Reverse(u64::MAX),
        }
    }
}

/// A ticket as the client gets it.
#[derive(Debug)]
pub(super) struct Issued {
    pub handle: Bytes,
    pub end: UtcMicros,
}

impl Issued {
    /// Makes an endpoint of it.
    pub(super) fn write_to(self, endpoint: &mut FlightEndpoint) {
        let ticket = TicketStatementQuery {
            statement_handle: self.handle,
        };
        endpoint.ticket = Some(Ticket::new(ticket.as_any().encode_to_vec()));
        set_end(endpoint, self.end);
    }
}

/// Until when an endpoint can be read.
pub(super) fn set_end(endpoint: &mut FlightEndpoint, end: UtcMicros) {
    let expires = endpoint.expiration_time.get_or_insert_default();
    expires.seconds = end.0.div_euclid(1_000_000);
    expires.nanos = i32::try_from(end.0.rem_euclid(1_000_000) * 1_000).unwrap_or(0);
}

impl Tickets {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.state().by_id.len()
    }

    /// A new ticket for `job`.
    ///
    /// # Errors
    /// Others have all there is room for, and have not read them yet.
    pub(super) fn issue(
        &self,
        ids: &Ids,
        job: Arc<Job>,
        now: UtcMicros,
    ) -> Result<Issued, ApiError> {
        let (id, end) = (ids.id(), end_after(now));
        let mut state = self.state();
        state.sweep(now);
        state.make_room(&job.session)?;
        state.issued += 1;
        let entry = Entry {
            job,
            end,
            read: false,
            age: state.issued,
        };
        state.by_id.insert(id, entry);
        Ok(Issued {
            handle: write(ids, id, end),
            end,
        })
    }

    /// What a ticket of a token stands for; it counts as read.
    pub(super) fn read(
        &self,
        ids: &Ids,
        handle: &[u8],
        holder: Option<TokenId>,
        now: UtcMicros,
    ) -> Result<Arc<Job>, ApiError> {
        let mut state = self.state();
        let (_, entry) = state.find(ids, handle, holder, now)?;
        entry.read = true;
        Ok(Arc::clone(&entry.job))
    }

    /// The same ticket with a later end. The one that was given before keeps its own.
    pub(super) fn renew(
        &self,
        ids: &Ids,
        handle: &[u8],
        holder: Option<TokenId>,
        now: UtcMicros,
    ) -> Result<Issued, ApiError> {
        let end = end_after(now);
        let mut state = self.state();
        let (id, entry) = state.find(ids, handle, holder, now)?;
        entry.end = entry.end.max(end);
        Ok(Issued {
            handle: write(ids, id, end),
            end,
        })
    }

    /// Takes a ticket back and ends what reads it.
    pub(super) fn cancel(
        &self,
        ids: &Ids,
        handle: &[u8],
        holder: Option<TokenId>,
        now: UtcMicros,
    ) -> Result<(), ApiError> {
        let mut state = self.state();
        let (id, entry) = state.find(ids, handle, holder, now)?;
        entry.job.cancel();
        state.by_id.remove(&id);
        Ok(())
    }

    /// Forgets the tickets of a session that has ended.
    pub(super) fn forget(&self, session: Id) {
        let mut state = self.state();
        state
            .by_id
            .retain(|_, entry| entry.job.session.id != session);
    }

    /// Forgets those whose time is over.
    pub(super) fn sweep(&self, now: UtcMicros) {
        self.state().sweep(now);
    }
}

impl State {
    fn sweep(&mut self, now: UtcMicros) {
        self.by_id.retain(|_, entry| entry.end > now);
    }

    /// A ticket of another token is as unknown as one that never was, also if the token has the
    /// name of the one before.
    fn find(
        &mut self,
        ids: &Ids,
        handle: &[u8],
        holder: Option<TokenId>,
        now: UtcMicros,
    ) -> Result<(Id, &mut Entry), ApiError> {
        let (id, end) = open(ids, handle).ok_or_else(unknown)?;
        if end <= now {
            return Err(ApiError::new(Code::NotFound, "the ticket's time is over")
                .hint("ask for the result again, or renew the endpoint in time"));
        }
        let entry = self.by_id.get_mut(&id);
        let entry = entry.filter(|entry| entry.job.session.holder == holder);
        entry.map(|entry| (id, entry)).ok_or_else(unknown)
    }

    /// Makes room for one more ticket of a session, where there is none.
    fn make_room(&mut self, session: &Session) -> Result<(), ApiError> {
        let is_full = self.by_id.len() >= limits::TICKETS_MAX;
        let own = self.by_session(session.holder);
        let of_all: usize = own.values().map(|held| held.count).sum();
        let of_this = own.get(&session.id).map_or(0, |held| held.count);
        if of_this >= limits::TICKETS_PER_SESSION_MAX {
            self.drop_oldest(|entry| entry.job.session.id == session.id);
            return Ok(());
        }
        if of_all >= limits::TICKETS_PER_CALLER_MAX || (is_full && of_all > 0) {
            if self.drop_oldest(|entry| entry.read && entry.job.session.holder == session.holder) {
                return Ok(());
            }
            let most = own.iter().max_by_key(|(_, held)| **held);
            let most = most.map(|(id, _)| *id);
            self.drop_oldest(|entry| Some(entry.job.session.id) == most);
            return Ok(());
        }
        match is_full && !self.drop_oldest(|entry| entry.read) {
            true => Err(ApiError::new(
                Code::RateLimited,
                "the server has as many unread tickets as it may have",
            )
            .hint("read results soon after asking for them; try again in a while")),
            false => Ok(()),
        }
    }

    /// What the sessions of one caller hold.
    fn by_session(&self, holder: Option<TokenId>) -> HashMap<Id, Holding> {
        let mut held: HashMap<Id, Holding> = HashMap::new();
        for entry in self.by_id.values() {
            if entry.job.session.holder == holder {
                let of = held.entry(entry.job.session.id).or_default();
                of.count += 1;
                of.oldest = of.oldest.max(Reverse(entry.age));
            }
        }
        held
    }

    /// Drops the oldest that was read, else the oldest; false if there is none.
    fn drop_oldest(&mut self, among: impl Fn(&Entry) -> bool) -> bool {
        let entries = self.by_id.iter().filter(|(_, entry)| among(entry));
        let oldest = entries.min_by_key(|(_, entry)| (!entry.read, entry.age));
        let oldest = oldest.map(|(id, _)| *id);
        oldest.is_some_and(|id| self.by_id.remove(&id).is_some())
    }
}

fn unknown() -> ApiError {
    ApiError::new(Code::NotFound, "the ticket is not known")
        .hint("ask for the result again: tickets are kept for a few minutes and not over a restart")
}

pub(super) fn end_after(now: UtcMicros) -> UtcMicros {
    let life_ms = i64::try_from(limits::TICKET_LIFE.as_millis()).unwrap_or(i64::MAX);
    now.plus_ms(life_ms)
}

fn write(ids: &Ids, id: Id, end: UtcMicros) -> Bytes {
    let mut bytes = Vec::with_capacity(SEALED_BYTES + blake3::OUT_LEN);
    bytes.push(VERSION);
    bytes.extend_from_slice(id.as_bytes());
    bytes.extend_from_slice(&end.0.to_le_bytes());
    let seal = ids.seal(&bytes);
    bytes.extend_from_slice(seal.as_bytes());
    bytes.into()
}

/// Id and end of a ticket that this server wrote.
fn open(ids: &Ids, handle: &[u8]) -> Option<(Id, UtcMicros)> {
    let (sealed, seal) = handle.split_at_checked(SEALED_BYTES)?;
    let seal: [u8; blake3::OUT_LEN] = seal.try_into().ok()?;
    if ids.seal(sealed) != blake3::Hash::from(seal) || sealed[0] != VERSION {
        return None;
    }
    let (id, end) = sealed[1..].split_at(Id::BYTES);
    let end = i64::from_le_bytes(end.try_into().ok()?);
    Some((Id::read(id)?, UtcMicros(end)))
}
