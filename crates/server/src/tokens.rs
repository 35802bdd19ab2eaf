//! Who may do what: tokens, and the file that lists them.
//!
//! A token is any text with 256 random bits; the file holds only its SHA-256. One token a line,
//! four words separated by spaces; `#` begins a comment:
//!
//! ```text
//! # name      scopes                expires                sha256 of the token, in hexadecimal
//! pbx-berlin  ingest,ingest_arrow   2027-01-01T00:00:00Z   5e88...1542
//! prometheus  metrics               never                  9f86...0a08
//! ```
//!
//! The name is for the operator; it appears in logs, never in metrics. A line that cannot be
//! understood stops the start: a token that is silently left out would be a riddle later.

use std::{fs, io::Read, path::Path};

use constant_time_eq::constant_time_eq_32;
use events::UtcMicros;
use sha2::{Digest, Sha256};

use crate::limits;

/// Something that a token can allow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// `POST /api/v1/events` with JSON.
    Ingest,
    /// The same with an Arrow stream.
    IngestArrow,
    /// `GET /metrics`.
    Metrics,
}

impl Scope {
    /// All scopes.
    pub const ALL: [Scope; 3] = [Scope::Ingest, Scope::IngestArrow, Scope::Metrics];

    /// As the file names it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Scope::Ingest => "ingest",
            Scope::IngestArrow => "ingest_arrow",
            Scope::Metrics => "metrics",
        }
    }

    fn parse(text: &str) -> Option<Scope> {
        Scope::ALL.into_iter().find(|scope| scope.as_str() == text)
    }
}

/// Why a token file was not taken.
#[derive(Debug, thiserror::Error)]
pub enum TokenFileError {
    /// It cannot be read.
    #[error("the token file cannot be read: {0}")]
    Read(#[from] std::io::Error),
    /// A line is wrong.
    #[error("line {line} of the token file: {reason}")]
    Line {
        /// From 1.
        line: usize,
        /// What is wrong and what to write.
        reason: String,
    },
    /// It lists no token.
    #[error("the token file lists no token: add a line `name scopes expires sha256`")]
    Empty,
}

/// Why a request was not allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Denied {
    Unknown,
    Expired,
    /// The token is good for other things.
    Scope(Scope),
}

/// The tokens of one file.
#[derive(Debug)]
pub(crate) struct Tokens(Vec<Token>);

#[derive(Debug)]
struct Token {
    name: String,
    scopes: Vec<Scope>,
    expires: Option<UtcMicros>,
    hash: [u8; 32],
}

/// Place of a token in its file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct TokenId(usize);

impl Tokens {
    /// Reads a token file.
    pub(crate) fn read(path: &Path) -> Result<Self, TokenFileError> {
        let mut text = String::new();
        let file = fs::File::open(path)?;
        file.take(limits::TOKEN_FILE_BYTES_MAX)
            .read_to_string(&mut text)?;
        if text.len() as u64 == limits::TOKEN_FILE_BYTES_MAX {
            return Err(std::io::Error::other("it is larger than a token file can be").into());
        }
        Tokens::parse(&text)
    }

    fn parse(text: &str) -> Result<Self, TokenFileError> {
        let mut tokens: Vec<Token> = Vec::new();
        for (index, line) in text.lines().enumerate() {
            let line = line.split('#').next().unwrap_or_default().trim();
            if line.is_empty() {
                continue;
            }
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
        match tokens.is_empty() {
            true => Err(TokenFileError::Empty),
            false => Ok(Tokens(tokens)),
        }
    }

    /// Finds the token that was presented. Every stored hash is compared in full, so that the time
    /// it takes tells nothing.
    pub(crate) fn check(
        &self,
        presented: &str,
        scope: Scope,
        now: UtcMicros,
    ) -> Result<TokenId, Denied> {
        let hash: [u8; 32] = Sha256::digest(presented.as_bytes()).into();
        let mut found = None;
        for (index, token) in self.0.iter().enumerate() {
            if constant_time_eq_32(&token.hash, &hash) {
                found = Some((index, token));
            }
        }
        match found {
            None => Err(Denied::Unknown),
            Some((_, token)) if token.expires.is_some_and(|end| now >= end) => Err(Denied::Expired),
            Some((_, token)) if !token.scopes.contains(&scope) => Err(Denied::Scope(scope)),
            Some((index, _)) => Ok(TokenId(index)),
        }
    }

    /// The name in the file.
    pub(crate) fn name(&self, id: TokenId) -> &str {
        &self.0[id.0].name
    }
}

impl Token {
    fn parse(line: &str) -> Result<Token, String> {
        let words: Vec<&str> = line.split_whitespace().collect();
        let [name, scopes, expires, hash] = words[..] else {
            return Err(format!(
                "has {} words, not the four `name scopes expires sha256`",
                words.len()
            ));
        };
        let scopes = scopes.split(',').map(|scope| {
            Scope::parse(scope).ok_or_else(|| {
                let all = Scope::ALL.map(Scope::as_str).join(", ");
                format!("'{scope}' is not a scope: {all}")
            })
        });
        let expires = match expires {
            "never" => None,
            time => Some(UtcMicros::parse_rfc3339(time).ok_or_else(|| {
                format!("'{time}' is no expiry: write `never` or a time as 2027-01-01T00:00:00Z")
            })?),
        };
        let hash = parse_hash(hash).ok_or("the SHA-256 must be 64 hexadecimal digits")?;
        if hash == <[u8; 32]>::from(Sha256::digest(b"")) {
            return Err("the SHA-256 is that of an empty token".to_owned());
        }
        Ok(Token {
            name: name.to_owned(),
            scopes: scopes.collect::<Result<_, _>>()?,
            expires,
            hash,
        })
    }
}

fn parse_hash(text: &str) -> Option<[u8; 32]> {
    let mut hash = [0; 32];
    if text.len() != 64 || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    for (byte, digits) in hash.iter_mut().zip(text.as_bytes().chunks(2)) {
        *byte = u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?;
    }
    Some(hash)
}
