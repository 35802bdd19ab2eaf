//! How a screen without a keyboard is let in: it shows a code, a supervisor types it in.
//!
//! What the screen keeps is another secret, in a cookie. The code only names the screen: whoever
//! sees it on the wall can do nothing with it, and who may confirm can try few wrong ones.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use events::UtcMicros;

use super::Device;
use crate::{limits, tokens::hash_of};

/// Told apart on a wall and over a telephone: no 0 and O, no 1 and I.
const LETTERS: &[u8; 32] = b"ABCDEFGHJKLMNPQRSTUVWXYZ23456789";

/// Every secret begins so: it can then be found where it should not be.
const PREFIX: &str = "cgd_";

/// Screens that wait to be let in.
#[derive(Debug)]
pub(crate) struct Pairing {
    key: [u8; 32],
    next: AtomicU64,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// By the hash of their secret.
    waiting: HashMap<[u8; 32], Waiting>,
    /// Wrong codes of each caller, and when their time is over.
    wrong: HashMap<Arc<str>, (u32, UtcMicros)>,
}

#[derive(Clone, Debug)]
struct Waiting {
    shown: Shown,
    from: IpAddr,
}

/// What a screen shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Shown {
    pub code: String,
    pub expires: UtcMicros,
}

/// Why no more screens may wait, and when a place is free again, in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Full {
    /// Those of the address do already.
    Address { for_ms: i64 },
    /// All together.
    All { for_ms: i64 },
}

/// Why a code was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NotPaired {
    /// No screen shows it.
    Unknown,
    /// Too many wrong ones; for so long, in milliseconds.
    TooMany { for_ms: i64 },
}

impl Pairing {
    /// `seed`: random, different at each start, secret.
    pub(super) fn new(seed: &[u8; 32]) -> Self {
        Pairing {
            key: blake3::derive_key("callgauge devices", seed),
            next: AtomicU64::new(0),
            state: Mutex::default(),
        }
    }

    fn state(&self, now: UtcMicros) -> MutexGuard<'_, State> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state
            .waiting
            .retain(|_, waiting| now < waiting.shown.expires);
        state.wrong.retain(|_, (_, until)| now < *until);
        state
    }

    fn random(&self) -> blake3::Hash {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        blake3::keyed_hash(&self.key, &number.to_le_bytes())
    }

    /// A new screen at an address: its secret and what it shows. A screen that waited `before`, with
    /// that secret, gives up that place. Who asks need not be known, so nobody may take all places.
    pub(crate) fn begin(
        &self,
        before: Option<&str>,
        from: IpAddr,
        now: UtcMicros,
    ) -> Result<(String, Shown), Full> {
        let mut state = self.state(now);
        if let Some(secret) = before {
            state.waiting.remove(&hash_of(secret));
        }
        let own = |other: &&Waiting| other.from == from;
        if state.waiting.values().filter(own).count() >= limits::PAIRINGS_OF_ADDRESS_MAX {
            let for_ms = first_free(state.waiting.values().filter(own), now);
            return Err(Full::Address { for_ms });
        }
        if state.waiting.len() >= limits::PAIRINGS_MAX {
            let for_ms = first_free(state.waiting.values(), now);
            return Err(Full::All { for_ms });
        }
        let secret = format!("{PREFIX}{}", self.random().to_hex());
        let code = loop {
            let code = code_of(&self.random());
            if state.waiting.values().all(|other| other.shown.code != code) {
                break code;
            }
        };
        let expires = now.plus_ms(limits::PAIRING_LIFE.as_millis() as i64);
        let shown = Shown { code, expires };
        let waiting = Waiting {
            shown: shown.clone(),
            from,
        };
        state.waiting.insert(hash_of(&secret), waiting);
        Ok((secret, shown))
    }

    /// What the screen with this secret shows, while it waits.
    pub(crate) fn shown(&self, secret: &str, now: UtcMicros) -> Option<Shown> {
        let state = self.state(now);
        let waiting = state.waiting.get(&hash_of(secret))?;
        Some(waiting.shown.clone())
    }

    /// Takes the screen that shows a code. It waits no more: if it cannot be let in after all,
    /// [`Pairing::put_back`] makes it wait again.
    pub(crate) fn take(
        &self,
        caller: &Arc<str>,
        code: &str,
        now: UtcMicros,
    ) -> Result<Taken, NotPaired> {
        let mut state = self.state(now);
        if let Some((wrong, until)) = state.wrong.get(caller)
            && *wrong >= limits::PAIRING_TRIES_MAX
        {
            let for_ms = until.ms_since(now);
            return Err(NotPaired::TooMany { for_ms });
        }
        let code = plain(code);
        let is_it = |(_, waiting): &(&[u8; 32], &Waiting)| waiting.shown.code == code;
        let found = state.waiting.iter().find(is_it);
        let Some(hash) = found.map(|(hash, _)| *hash) else {
            let until = now.plus_ms(limits::PAIRING_LIFE.as_millis() as i64);
            let (wrong, its_end) = state.wrong.entry(Arc::clone(caller)).or_default();
            (*wrong, *its_end) = (*wrong + 1, until);
            return Err(NotPaired::Unknown);
        };
        state.wrong.remove(caller);
        let waiting = state.waiting.remove(&hash).ok_or(NotPaired::Unknown)?;
        Ok(Taken { hash, waiting })
    }

    /// The screen goes on waiting.
    pub(crate) fn put_back(&self, taken: Taken, now: UtcMicros) {
        self.state(now).waiting.insert(taken.hash, taken.waiting);
    }
}

/// Milliseconds until the first of their codes is over.
fn first_free<'a>(waiting: impl Iterator<Item = &'a Waiting>, now: UtcMicros) -> i64 {
    let first = waiting.map(|waiting| waiting.shown.expires).min();
    first.map_or(0, |expires| expires.ms_since(now))
}

/// A screen that is about to be let in.
#[derive(Clone, Debug)]
pub(crate) struct Taken {
    hash: [u8; 32],
    waiting: Waiting,
}

impl Taken {
    /// As the device that it becomes.
    pub(crate) fn device(
        &self,
        name: &str,
        board: &str,
        (created, expires): (UtcMicros, UtcMicros),
    ) -> Device {
        Device {
            name: name.to_owned(),
            board: board.to_owned(),
            expires,
            created: Some(created),
            hash: self.hash,
        }
    }
}

/// As people type it: small letters, spaces and hyphens do not matter.
fn plain(code: &str) -> String {
    let letters = code.chars().filter(|c| c.is_ascii_alphanumeric());
    let letters = letters.take(limits::PAIRING_CODE_LETTERS + 1);
    letters.map(|c| c.to_ascii_uppercase()).collect()
}

fn code_of(hash: &blake3::Hash) -> String {
    let bytes = hash.as_bytes().iter().take(limits::PAIRING_CODE_LETTERS);
    bytes
        .map(|byte| LETTERS[usize::from(byte % 32)] as char)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn screens_elsewhere_may_wait_whoever_asks_again_and_again() {
        let pairing = Pairing::new(&[1; 32]);
        let now = UtcMicros(0);
        let begin = |from: &str| pairing.begin(None, from.parse().expect("an address"), now);
        let begun = (0..10_000).filter(|_| begin("192.0.2.1").is_ok()).count();
        assert_eq!(begun, limits::PAIRINGS_OF_ADDRESS_MAX);
        let for_ms = limits::PAIRING_LIFE.as_millis() as i64;
        let refused = begin("192.0.2.1").expect_err("refused");
        assert_eq!(refused, Full::Address { for_ms });
        let (_, shown) = begin("192.0.2.2").expect("a place");
        assert!(pairing.take(&"eve".into(), &shown.code, now).is_ok());
    }
}
