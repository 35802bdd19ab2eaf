//! Who may be connected: a seat for every connection, and who leaves when seats are short.
//!
//! A connection that has not yet sent a request with a valid token costs its sender nothing, so it
//! is the one that makes room: the newest comer is taken and the one that has waited longest goes.
//! In that way a crowd of silent connections cannot lock out a client that has something to say.

use std::{
    collections::{BTreeMap, HashMap},
    net::{IpAddr, Ipv6Addr},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::Notify;

use super::watch::Watch;
use crate::tokens::TokenId;

/// How many seats there are.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SeatLimits {
    pub all: usize,
    /// Of one address before a valid token; `None` where no tokens are asked for.
    pub per_address: Option<usize>,
    pub per_token: usize,
}

/// All seats.
#[derive(Debug)]
pub(crate) struct Seats {
    limits: SeatLimits,
    state: Mutex<State>,
    /// Somebody left.
    left: Notify,
}

#[derive(Debug, Default)]
struct State {
    next_id: u64,
    open: usize,
    /// Those without a valid token so far; the oldest have the smallest ids.
    strangers: BTreeMap<u64, (IpAddr, Arc<Watch>)>,
    by_address: HashMap<IpAddr, Vec<u64>>,
    by_token: HashMap<TokenId, usize>,
}

/// The seat of one connection; free again when dropped.
#[derive(Debug)]
pub(crate) struct Seat {
    seats: Arc<Seats>,
    id: u64,
    /// The sender at the other end: an IPv4 address, or the /64 of one customer.
    pub address: IpAddr,
    pub watch: Arc<Watch>,
    rank: Mutex<Rank>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Rank {
    Stranger,
    Admitted(Option<TokenId>),
}

/// What became of a newcomer.
#[derive(Debug)]
pub(crate) enum Taken {
    Free(Seat),
    /// An older connection was told to go.
    InsteadOfAnother(Seat),
    /// Every other connection is at work.
    Refused,
}

impl Seats {
    pub(crate) fn new(limits: SeatLimits) -> Arc<Self> {
        Arc::new(Seats {
            limits,
            state: Mutex::default(),
            left: Notify::new(),
        })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Open connections.
    pub(crate) fn open(&self) -> usize {
        self.state().open
    }

    /// Returns when a connection has ended after the last call.
    pub(crate) async fn left(&self) {
        self.left.notified().await;
        // Every door waits for the last connection to leave: the one that hears of it tells the
        // next.
        if self.open() == 0 {
            self.left.notify_one();
        }
    }

    /// A seat for a connection from `address`.
    pub(crate) fn take(self: &Arc<Self>, address: IpAddr, watch: Arc<Watch>) -> Taken {
        let address = sender(address);
        let mut state = self.state();
        let of_address = state.by_address.get(&address).map_or(0, Vec::len);
        let crowded = self.limits.per_address.is_some_and(|max| of_address >= max);
        let full = state.open >= self.limits.all;
        let made_room = match (crowded, full) {
            (true, _) => {
                let oldest = state.oldest_of(address);
                state.send_away(oldest)
            }
            (false, true) => {
                let oldest = state.oldest();
                state.send_away(oldest)
            }
            (false, false) => true,
        };
        if !made_room {
            return Taken::Refused;
        }
        let id = state.next_id;
        state.next_id += 1;
        state.open += 1;
        state.strangers.insert(id, (address, Arc::clone(&watch)));
        state.by_address.entry(address).or_default().push(id);
        let seat = Seat {
            seats: Arc::clone(self),
            id,
            address,
            watch,
            rank: Mutex::new(Rank::Stranger),
        };
        match full || crowded {
            true => Taken::InsteadOfAnother(seat),
            false => Taken::Free(seat),
        }
    }

    /// Tells the oldest stranger to go, if there is one without a request at work.
    pub(crate) fn make_room(&self) -> bool {
        let mut state = self.state();
        let oldest = state.oldest();
        state.send_away(oldest)
    }
}

impl State {
    /// The oldest stranger without a request at work.
    fn oldest(&self) -> Option<u64> {
        let mut strangers = self.strangers.iter();
        let (id, _) = strangers.find(|(_, (_, watch))| !watch.is_busy())?;
        Some(*id)
    }

    fn oldest_of(&self, address: IpAddr) -> Option<u64> {
        let mut ids = self.by_address.get(&address)?.iter().copied();
        ids.find(|id| {
            let stranger = self.strangers.get(id);
            stranger.is_some_and(|(_, watch)| !watch.is_busy())
        })
    }

    fn send_away(&mut self, id: Option<u64>) -> bool {
        let stranger = id.and_then(|id| self.forget_stranger(id));
        stranger.inspect(|watch| watch.end()).is_some()
    }

    fn forget_stranger(&mut self, id: u64) -> Option<Arc<Watch>> {
        let (address, watch) = self.strangers.remove(&id)?;
        if let Some(ids) = self.by_address.get_mut(&address) {
            ids.retain(|other| *other != id);
            if ids.is_empty() {
                self.by_address.remove(&address);
            }
        }
        Some(watch)
    }

    fn forget_token(&mut self, token: TokenId) {
        if let Some(count) = self.by_token.get_mut(&token) {
            *count -= 1;
            if *count == 0 {
                self.by_token.remove(&token);
            }
        }
    }
}

impl Seat {
    /// Different for every connection of this process.
    pub(crate) fn id(&self) -> u64 {
        self.id
    }

    /// A valid request came, with this token if tokens are asked for. `false` if the token has
    /// all of its connections already.
    pub(crate) fn admit(&self, token: Option<TokenId>) -> bool {
        let mut rank = self.rank.lock().unwrap_or_else(PoisonError::into_inner);
        if *rank == Rank::Admitted(token) {
            return true;
        }
        let mut state = self.seats.state();
        if let Some(token) = token {
            let count = state.by_token.entry(token).or_default();
            if *count >= self.seats.limits.per_token {
                return false;
            }
            *count += 1;
        }
        match *rank {
            Rank::Stranger => {
                state.forget_stranger(self.id);
            }
            Rank::Admitted(before) => before.into_iter().for_each(|t| state.forget_token(t)),
        }
        *rank = Rank::Admitted(token);
        true
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let rank = *self.rank.lock().unwrap_or_else(PoisonError::into_inner);
        let mut state = self.seats.state();
        state.open -= 1;
        match rank {
            Rank::Stranger => {
                state.forget_stranger(self.id);
            }
            Rank::Admitted(token) => token.into_iter().for_each(|t| state.forget_token(t)),
        }
        drop(state);
        self.seats.left.notify_one();
    }
}

/// One sender: an IPv4 address, or the /64 that one IPv6 customer has.
fn sender(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) => {
            let network = u128::from(v6) & !u128::from(u64::MAX);
            IpAddr::V6(Ipv6Addr::from(network))
        }
        v4 => v4,
    }
}
