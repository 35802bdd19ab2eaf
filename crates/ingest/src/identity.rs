//! Who a customer is, without saying it: a phone number or mail address becomes a keyed token.
//!
//! Repeats need only equality. The token is the first half of a BLAKE3 keyed hash: the same
//! identity gives the same token under one key, and without the key nobody can try out numbers.

use std::fmt;

use events::{Event, EventData, Text};

/// What every token begins with; a text of that shape is taken for a token and left alone, so
/// that exported events can be imported again.
const PREFIX: &str = "tok_";
/// Hexadecimal digits of a token: 128 bits.
const DIGITS: usize = 32;

/// The secret key of an installation. Losing it breaks the link to earlier contacts.
#[derive(Clone, PartialEq, Eq)]
pub struct IdentityKey([u8; 32]);

impl IdentityKey {
    /// The key of these 32 random bytes.
    pub const fn new(bytes: [u8; 32]) -> Self {
        IdentityKey(bytes)
    }

    /// The token of an identity; spaces around it do not count.
    pub fn token(&self, identity: &str) -> Text {
        let identity = identity.trim();
        if is_token(identity) {
            return identity.into();
        }
        let hash = blake3::keyed_hash(&self.0, identity.as_bytes()).to_hex();
        Text::from(format!("{PREFIX}{}", &hash[..DIGITS]))
    }

    /// Replaces the identity in an event, if it has one.
    pub fn hide(&self, event: &mut Event) {
        if let EventData::InteractionStarted(started) = &mut event.data
            && let Some(identity) = &mut started.identity
        {
            *identity = self.token(identity);
        }
    }
}

/// The caller's number, unless the network hid it.
pub(crate) fn of_caller(caller: &str) -> Option<Text> {
    const HIDDEN: [&str; 7] = [
        "anonymous",
        "unknown",
        "unavailable",
        "restricted",
        "private",
        "withheld",
        "none",
    ];
    let hidden = HIDDEN.iter().any(|word| caller.eq_ignore_ascii_case(word));
    (!hidden).then(|| Text::new(caller))
}

fn is_token(text: &str) -> bool {
    text.strip_prefix(PREFIX).is_some_and(|digits| {
        digits.len() == DIGITS
            && digits
                .bytes()
                .all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
    })
}

impl fmt::Debug for IdentityKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("IdentityKey(secret)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: IdentityKey = IdentityKey::new([7; 32]);

    #[test]
    fn equal_identities_have_equal_tokens_under_one_key() {
        let token = KEY.token("+86 138 0013 8000");
        assert_eq!(token, KEY.token(" +86 138 0013 8000 "));
        assert_ne!(token, KEY.token("+86 138 0013 8001"));
        assert_ne!(token, IdentityKey::new([8; 32]).token("+86 138 0013 8000"));
        assert_eq!(token.len(), PREFIX.len() + DIGITS);
    }

    #[test]
    fn a_token_is_not_hidden_again() {
        let token = KEY.token("mail@example.org");
        assert_eq!(KEY.token(&token), token);
        assert_ne!(KEY.token("tok_short"), "tok_short");
    }

    #[test]
    fn the_key_is_never_printed() {
        assert_eq!(format!("{KEY:?}"), "IdentityKey(secret)");
    }
}
