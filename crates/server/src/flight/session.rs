//! Sessions: what one client has set, prepared and runs.
//!
//! A client that shook hands has a token of its own, which is its session. Others have one by
//! cookie, or else one that belongs to their connection. A session ends when it is closed or was
//! not used for half an hour; what it runs ends with it.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicI64, Ordering},
    },
};

use arrow::array::ArrayRef;
use bytes::Bytes;
use engine::{SessionChange, SessionSettings, service::QueryError};
use events::UtcMicros;
use tokio::sync::watch;

use super::ids::{Id, Ids};
use crate::{
    access::Identity,
    error::{ApiError, Code},
    limits,
    tokens::TokenId,
};

/// One session.
#[derive(Debug)]
pub(super) struct Session {
    pub id: Id,
    /// The token that opened it, by which whatever belongs to the session is known as its own: a
    /// new token of the same name has nothing of it. `None` where no token is asked for.
    pub holder: Option<TokenId>,
    /// The token that it was opened with: it must still be good for every call.
    pub token: Option<String>,
    /// It belongs to a connection, and to nothing that a client could take elsewhere.
    pub of_connection: bool,
    used: AtomicI64,
    closed: watch::Sender<bool>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    options: SessionSettings,
    statements: HashMap<Id, Statement>,
}

/// A prepared statement. It keeps no plan: every run sees the newest data.
#[derive(Clone, Debug)]
pub(super) struct Statement {
    pub text: Arc<str>,
    /// How many values it needs.
    pub params: usize,
    /// Those that were bound.
    pub bound: Option<ParamRows>,
    used: UtcMicros,
}

/// Values of parameters, a row for each run: arrays of length 1.
pub(super) type ParamRows = Arc<Vec<Vec<ArrayRef>>>;

impl Statement {
    pub(super) fn new(text: Arc<str>, params: usize) -> Self {
        Statement {
            text,
            params,
            bound: None,
            used: UtcMicros(0),
        }
    }
}

impl Session {
    fn new(
        id: Id,
        identity: &Identity,
        token: Option<String>,
        of_connection: bool,
        now: UtcMicros,
    ) -> Self {
        Session {
            id,
            holder: identity.token,
            token,
            of_connection,
            used: AtomicI64::new(now.0),
            closed: watch::Sender::new(false),
            state: Mutex::default(),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn options(&self) -> SessionSettings {
        self.state().options.clone()
    }

    pub(super) fn change_options<T>(&self, change: impl FnOnce(&mut SessionSettings) -> T) -> T {
        change(&mut self.state().options)
    }

    /// Makes the change of a `SET` or `RESET`.
    pub(super) fn make(&self, change: &SessionChange) -> Result<(), ApiError> {
        let made = self.change_options(|options| change.make(options));
        made.map_err(|error| QueryError::from(error).into())
    }

    /// Becomes true when the session ends.
    pub(super) fn closing(&self) -> watch::Receiver<bool> {
        self.closed.subscribe()
    }

    /// Keeps a statement; the one that was not used for the longest time makes room.
    pub(super) fn keep(&self, ids: &Ids, mut statement: Statement, now: UtcMicros) -> Bytes {
        let id = ids.id();
        statement.used = now;
        let mut state = self.state();
        if state.statements.len() >= limits::STATEMENTS_PER_SESSION_MAX {
            let oldest = state.statements.iter().min_by_key(|(_, kept)| kept.used);
            if let Some(id) = oldest.map(|(id, _)| *id) {
                state.statements.remove(&id);
            }
        }
        state.statements.insert(id, statement);
        [&self.id.as_bytes()[..], id.as_bytes()].concat().into()
    }

    fn is_over(&self, now: UtcMicros) -> bool {
        is_over(UtcMicros(self.used.load(Ordering::Relaxed)), now)
    }

    fn sweep(&self, now: UtcMicros) {
        self.state()
            .statements
            .retain(|_, kept| !is_over(kept.used, now));
    }
}

/// All sessions.
#[derive(Debug, Default)]
pub(super) struct Sessions(Mutex<HashMap<Id, Arc<Session>>>);

impl Sessions {
    fn all(&self) -> MutexGuard<'_, HashMap<Id, Arc<Session>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.all().len()
    }

    /// Opens a session; gives it with the secret that names it.
    ///
    /// # Errors
    /// Others have all there is room for.
    pub(super) fn open(
        &self,
        ids: &Ids,
        identity: &Identity,
        token: Option<String>,
        now: UtcMicros,
    ) -> Result<(Arc<Session>, String), ApiError> {
        let secret = ids.secret();
        let id = Id::of_secret(&secret);
        let session = self.insert(Session::new(id, identity, token, false, now), now)?;
        Ok((session, secret))
    }

    /// The session of a connection.
    ///
    /// # Errors
    /// As [`Sessions::open`].
    pub(super) fn of_connection(
        &self,
        ids: &Ids,
        connection: u64,
        identity: &Identity,
        now: UtcMicros,
    ) -> Result<Arc<Session>, ApiError> {
        let id = ids.of_connection(connection, identity.token);
        match self.get(id, now) {
            Some(known) => Ok(known),
            None => self.insert(Session::new(id, identity, None, true, now), now),
        }
    }

    /// Two calls of one connection may come at once: the first one's session stays. Where there
    /// is no room, the caller's own oldest session ends, and nobody else's.
    fn insert(&self, session: Session, now: UtcMicros) -> Result<Arc<Session>, ApiError> {
        let mut all = self.all();
        if let Some(known) = all.get(&session.id) {
            known.used.store(now.0, Ordering::Relaxed);
            return Ok(Arc::clone(known));
        }
        if all.len() >= limits::SESSIONS_MAX {
            // Those nobody has used for too long may not have been swept yet.
            all.retain(|_, other| {
                let over = other.is_over(now);
                if over {
                    other.closed.send_replace(true);
                }
                !over
            });
        }
        let own = all.values().filter(|s| s.holder == session.holder).count();
        let is_full = all.len() >= limits::SESSIONS_MAX;
        if own >= limits::SESSIONS_PER_CALLER_MAX || (is_full && own > 0) {
            end_oldest(&mut all, session.holder);
        } else if is_full {
            return Err(ApiError::new(
                Code::RateLimited,
                "the server has as many sessions as it may have",
            )
            .hint("close sessions that are done; try again in a while"));
        }
        let session = Arc::new(session);
        all.insert(session.id, Arc::clone(&session));
        Ok(session)
    }

    /// The session of a secret, which counts as used.
    pub(super) fn find(&self, secret: &str, now: UtcMicros) -> Option<Arc<Session>> {
        self.get(Id::of_secret(secret), now)
    }

    pub(super) fn get(&self, id: Id, now: UtcMicros) -> Option<Arc<Session>> {
        let mut all = self.all();
        let session = all.get(&id)?;
        if session.is_over(now) {
            end(all.remove(&id));
            return None;
        }
        session.used.store(now.0, Ordering::Relaxed);
        Some(Arc::clone(session))
    }

    /// Ends a session and what it runs.
    pub(super) fn close(&self, id: Id) {
        end(self.all().remove(&id));
    }

    /// Ends those that were not used for too long; gives their ids.
    pub(super) fn sweep(&self, now: UtcMicros) -> Vec<Id> {
        let mut gone = Vec::new();
        let mut all = self.all();
        all.retain(|id, session| {
            let over = session.is_over(now);
            match over {
                true => {
                    session.closed.send_replace(true);
                    gone.push(*id);
                }
                false => session.sweep(now),
            }
            !over
        });
        gone
    }

    /// The statement behind a handle of `caller`, which counts as used.
    ///
    /// The handle names its session itself: a client that lost its connection, and with it the
    /// session of that connection, can go on.
    pub(super) fn statement<T>(
        &self,
        handle: &[u8],
        caller: &Session,
        now: UtcMicros,
        then: impl FnOnce(&mut Statement) -> T,
    ) -> Result<T, ApiError> {
        let (session, id) = self.owner(handle, caller, now).ok_or_else(unknown)?;
        let mut state = session.state();
        let statement = state.statements.get_mut(&id);
        let statement = statement.filter(|kept| !is_over(kept.used, now));
        let statement = statement.ok_or_else(unknown)?;
        statement.used = now;
        Ok(then(statement))
    }

    /// Forgets a statement; one that is not known is already forgotten.
    pub(super) fn forget(&self, handle: &[u8], caller: &Session, now: UtcMicros) {
        if let Some((session, id)) = self.owner(handle, caller, now) {
            session.state().statements.remove(&id);
        }
    }

    fn owner(&self, handle: &[u8], caller: &Session, now: UtcMicros) -> Option<(Arc<Session>, Id)> {
        let (session, id) = handle.split_at_checked(Id::BYTES)?;
        let (session, id) = (Id::read(session)?, Id::read(id)?);
        let session = self.get(session, now)?;
        (session.holder == caller.holder).then_some((session, id))
    }
}

fn end_oldest(all: &mut HashMap<Id, Arc<Session>>, holder: Option<TokenId>) {
    let sessions = all.values().filter(|session| session.holder == holder);
    let oldest = sessions.min_by_key(|session| session.used.load(Ordering::Relaxed));
    if let Some(oldest) = oldest.map(|session| session.id) {
        end(all.remove(&oldest));
    }
}

fn end(session: Option<Arc<Session>>) {
    if let Some(session) = session {
        session.closed.send_replace(true);
    }
}

fn is_over(used: UtcMicros, now: UtcMicros) -> bool {
    let idle_ms = i64::try_from(limits::SESSION_IDLE.as_millis()).unwrap_or(i64::MAX);
    used.plus_ms(idle_ms) <= now
}

fn unknown() -> ApiError {
    ApiError::new(Code::NotFound, "the prepared statement is not known")
        .hint("prepare it again: statements are kept for half an hour after their last use")
}
