//! Tokens, and the file that lists them.
//!
//! A token is any text with 256 random bits; the file holds only its SHA-256. One token a line,
//! four words separated by spaces and what else there is to say; `#` begins a comment:
//!
//! ```text
//! # name      roles                 expires                sha256 of the token, in hexadecimal
//! pbx-berlin  ingest,ingest_arrow   2027-01-01T00:00:00Z   5e88...1542 sources=berlin
//! anna        analyst               never                  9f86...0a08 created=2026-03-02T08:00:00Z
//! ```
//!
//! The name is for the operator; it appears in logs and lists of queries, never in metrics. A line
//! that cannot be understood stops the start: a token that is silently left out would be a riddle
//! later.

mod edit;

use std::{fs, io::Read, path::Path, sync::Arc};

use constant_time_eq::constant_time_eq_32;
use events::{Text, UtcMicros};
use sha2::{Digest, Sha256};

use crate::{
    access::{Right, Role},
    limits,
};

pub use edit::{NewToken, TokenInfo, create, list, revoke};
pub(crate) use edit::{change_text, hex};

/// Why a token file was not taken or not changed.
#[derive(Debug, thiserror::Error)]
pub enum TokenFileError {
    /// It cannot be read.
    #[error("the token file cannot be read: {0}")]
    Read(std::io::Error),
    /// It cannot be written.
    #[error("the token file cannot be written: {0}")]
    Write(std::io::Error),
    /// A line is wrong.
    #[error("line {line} of the token file: {reason}")]
    Line {
        /// From 1.
        line: usize,
        /// What is wrong and what to write.
        reason: String,
    },
    /// It lists no token.
    #[error("the token file lists no token: make one with `callgauge token create`")]
    Empty,
    /// A token cannot be made like this.
    #[error("{0}")]
    New(String),
    /// There is no token of that name.
    #[error("there is no token '{0}': see `callgauge token list`")]
    Unknown(String),
}

/// Why a token is not good.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Denied {
    Unknown,
    Expired,
}

/// The tokens of one file.
#[derive(Debug)]
pub(crate) struct Tokens(Vec<Token>);

/// One line of the file.
#[derive(Debug)]
pub(crate) struct Token {
    pub name: String,
    pub roles: Vec<Role>,
    /// The sources whose events it may send; all when absent.
    pub sources: Option<Arc<[Text]>>,
    expires: Option<UtcMicros>,
    created: Option<UtcMicros>,
    hash: [u8; 32],
}

/// Tells tokens apart, also when the file was read again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct TokenId(pub(crate) [u8; 32]);

impl TokenId {
    pub(crate) fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl Tokens {
    /// Reads a token file.
    pub(crate) fn read(path: &Path) -> Result<Self, TokenFileError> {
        Tokens::parse(&text_of(path).map_err(TokenFileError::Read)?)
    }

    fn parse(text: &str) -> Result<Self, TokenFileError> {
        let mut tokens: Vec<Token> = Vec::new();
        for (index, line) in text.lines().enumerate() {
            let Some(line) = content(line) else { continue };
            let wrong = |reason: String| TokenFileError::Line {
                line: index + 1,
                reason,
            };
            let token = Token::parse(line).map_err(wrong)?;
            if tokens.iter().any(|other| other.name == token.name) {
                return Err(wrong(format!("the name '{}' is there twice", token.name)));
            }
            if tokens.iter().any(|other| other.hash == token.hash) {
                return Err(wrong("the same token is there twice".to_owned()));
            }
            tokens.push(token);
        }
        Ok(Tokens(tokens))
    }

    /// Is there none?
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Is there such a token, and may it do this?
    pub(crate) fn may(&self, id: TokenId, right: Right, now: UtcMicros) -> bool {
        self.0.iter().any(|token| {
            token.id() == id
                && token.expires.is_none_or(|end| now < end)
                && token
                    .roles
                    .iter()
                    .any(|role| role.rights().contains(&right))
        })
    }

    /// Finds the token that was presented. Every stored hash is compared in full, so that the time
    /// it takes tells nothing.
    pub(crate) fn check(&self, presented: &str, now: UtcMicros) -> Result<&Token, Denied> {
        let hash = hash_of(presented);
        let mut found = None;
        for token in &self.0 {
            if constant_time_eq_32(&token.hash, &hash) {
                found = Some(token);
            }
        }
        match found {
            None => Err(Denied::Unknown),
            Some(token) if token.expires.is_some_and(|end| now >= end) => Err(Denied::Expired),
            Some(token) => Ok(token),
        }
    }
}

pub(crate) fn hash_of(token: &str) -> [u8; 32] {
    Sha256::digest(token.as_bytes()).into()
}

/// Where a comment begins; a line without anything else is none.
pub(crate) fn content(line: &str) -> Option<&str> {
    let line = line.split('#').next().unwrap_or_default().trim();
    Some(line).filter(|line| !line.is_empty())
}

pub(crate) fn text_of(path: &Path) -> std::io::Result<String> {
    let mut text = String::new();
    let file = fs::File::open(path)?;
    file.take(limits::TOKEN_FILE_BYTES_MAX)
        .read_to_string(&mut text)?;
    match text.len() as u64 == limits::TOKEN_FILE_BYTES_MAX {
        true => Err(std::io::Error::other(
            "it is larger than a token file can be",
        )),
        false => Ok(text),
    }
}

impl Token {
    pub(crate) fn id(&self) -> TokenId {
        TokenId(self.hash)
    }

    fn parse(line: &str) -> Result<Token, String> {
        let words: Vec<&str> = line.split_whitespace().collect();
        let [name, roles, expires, hash, ref more @ ..] = words[..] else {
            return Err(format!(
                "has {} words, not the four `name roles expires sha256`",
                words.len()
            ));
        };
        let expires = match expires {
            "never" => None,
            time => Some(UtcMicros::parse_rfc3339(time).ok_or_else(|| {
                format!("'{time}' is no expiry: write `never` or a time as 2027-01-01T00:00:00Z")
            })?),
        };
        let hash = parse_hash(hash).ok_or("the SHA-256 must be 64 hexadecimal digits")?;
        if hash == hash_of("") {
            return Err("the SHA-256 is that of an empty token".to_owned());
        }
        let mut token = Token {
            name: name.to_owned(),
            roles: roles
                .split(',')
                .map(Role::parse)
                .collect::<Result<_, _>>()?,
            sources: None,
            expires,
            created: None,
            hash,
        };
        for word in more {
            token.set(word)?;
        }
        Ok(token)
    }

    /// Takes `created=` or `sources=`.
    fn set(&mut self, word: &str) -> Result<(), String> {
        match word.split_once('=') {
            Some(("created", time)) => {
                let time = UtcMicros::parse_rfc3339(time);
                self.created = Some(time.ok_or("`created=` needs a time as 2026-01-01T00:00:00Z")?);
            }
            Some(("sources", names)) if names.split(',').all(|name| !name.is_empty()) => {
                self.sources = Some(names.split(',').map(Text::from).collect());
            }
            _ => {
                return Err(format!(
                    "'{word}' is not known: after the four words there may be `created=TIME` \
                     and `sources=NAME,NAME`"
                ));
            }
        }
        Ok(())
    }
}

pub(crate) fn parse_hash(text: &str) -> Option<[u8; 32]> {
    let mut hash = [0; 32];
    if text.len() != 64 || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    for (byte, digits) in hash.iter_mut().zip(text.as_bytes().chunks(2)) {
        *byte = u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?;
    }
    Some(hash)
}

#[cfg(test)]
mod tests {
    use std::error::Error;

    use super::*;

    #[test]
    fn a_file_that_is_not_there_is_told_once() {
        let error = Tokens::read(Path::new("/nowhere/tokens")).expect_err("no file");
        assert!(error.to_string().contains("os error 2"), "{error}");
        assert!(error.source().is_none(), "its text is told already");
    }
}
