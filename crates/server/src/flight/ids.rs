//! Ids that nobody can guess, and seals on what leaves the server and comes back.
//!
//! Both come from one random seed: an id is a keyed hash of a counter, so that no call has to ask
//! the system for randomness.

use std::{
    fmt,
    sync::atomic::{AtomicU64, Ordering},
};

use crate::tokens::TokenId;

/// A name of a session, a statement or a ticket.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Id([u8; Id::BYTES]);

impl Id {
    pub(super) const BYTES: usize = 16;

    pub(super) fn read(bytes: &[u8]) -> Option<Id> {
        bytes.try_into().ok().map(Id)
    }

    pub(super) fn as_bytes(&self) -> &[u8; Id::BYTES] {
        &self.0
    }

    /// The id behind a secret text: knowing the id does not tell the text.
    pub(super) fn of_secret(secret: &str) -> Id {
        Id::first_of(&blake3::hash(secret.as_bytes()))
    }

    fn first_of(hash: &blake3::Hash) -> Id {
        let mut id = [0; Id::BYTES];
        id.copy_from_slice(&hash.as_bytes()[..Id::BYTES]);
        Id(id)
    }
}

/// Not the bytes: whoever reads a log must not be able to use them.
impl fmt::Debug for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Id")
    }
}

/// Makes ids, secrets and seals.
pub(super) struct Ids {
    id_key: [u8; 32],
    secret_key: [u8; 32],
    seal_key: [u8; 32],
    next: AtomicU64,
}

impl Ids {
    /// `seed`: random, different at each start.
    pub(super) fn new(seed: &[u8; 32]) -> Self {
        Ids {
            id_key: blake3::derive_key("callgauge flight ids", seed),
            secret_key: blake3::derive_key("callgauge flight secrets", seed),
            seal_key: blake3::derive_key("callgauge flight seals", seed),
            next: AtomicU64::new(0),
        }
    }

    fn number(&self) -> [u8; 8] {
        self.next.fetch_add(1, Ordering::Relaxed).to_le_bytes()
    }

    pub(super) fn id(&self) -> Id {
        Id::first_of(&blake3::keyed_hash(&self.id_key, &self.number()))
    }

    /// The id of what belongs to a connection and a caller.
    pub(super) fn of_connection(&self, connection: u64, caller: Option<TokenId>) -> Id {
        let mut hasher = blake3::Hasher::new_keyed(&self.secret_key);
        hasher.update(b"connection");
        hasher.update(&connection.to_le_bytes());
        if let Some(token) = &caller {
            hasher.update(token.as_bytes());
        }
        Id::first_of(&hasher.finalize())
    }

    /// A text with 256 random bits, in hexadecimal.
    pub(super) fn secret(&self) -> String {
        blake3::keyed_hash(&self.secret_key, &self.number())
            .to_hex()
            .to_string()
    }

    /// Compared in constant time, as all of its type are.
    pub(super) fn seal(&self, bytes: &[u8]) -> blake3::Hash {
        blake3::keyed_hash(&self.seal_key, bytes)
    }
}
