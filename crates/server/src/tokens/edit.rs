//! Changing a token file: whole or not at all, one at a time.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write},
    os::unix::fs::OpenOptionsExt,
    path::Path,
};

use events::UtcMicros;

use super::{TokenFileError, Tokens, content, hash_of, text_of};
use crate::{access::Role, limits};

/// Every token begins so: it can then be found where it should not be.
const PREFIX: &str = "cg_";

const HEAD: &str = "# name roles expires sha256 [created=TIME] [sources=NAME,NAME]\n";

/// A token to be made.
#[derive(Clone, Debug)]
pub struct NewToken<'a> {
    /// For the operator: no spaces, no `#`.
    pub name: &'a str,
    /// What it is for.
    pub roles: &'a [Role],
    /// The sources whose events it may send; none is all.
    pub sources: &'a [String],
    /// `None` is never.
    pub expires: Option<UtcMicros>,
    /// Now.
    pub created: UtcMicros,
    /// Random.
    pub secret: [u8; 32],
}

/// What a file says about a token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenInfo {
    /// Its name.
    pub name: String,
    /// What it is for.
    pub roles: Vec<Role>,
    /// The sources whose events it may send; `None` is all.
    pub sources: Option<Vec<String>>,
    /// `None` is never.
    pub expires: Option<UtcMicros>,
    /// Not known of lines that were written by hand.
    pub created: Option<UtcMicros>,
}

/// Adds a token to a file, which is made if it is not there. The result is the token: nobody can
/// read it again.
///
/// # Errors
/// When the name is taken or cannot be one, or the file cannot be read or written.
pub fn create(path: &Path, new: &NewToken<'_>) -> Result<String, TokenFileError> {
    check(new)?;
    let token = format!("{PREFIX}{}", hex(&new.secret));
    change(path, |text| {
        let mut text = match text {
            "" => HEAD.to_owned(),
            text => format!("{}\n", text.trim_end()),
        };
        text.push_str(&line(new, &token));
        Ok(text)
    })?;
    Ok(token)
}

/// The tokens of a file, in its order.
///
/// # Errors
/// When the file cannot be read or has an error.
pub fn list(path: &Path) -> Result<Vec<TokenInfo>, TokenFileError> {
    let info = |token: super::Token| TokenInfo {
        sources: token
            .sources
            .map(|names| names.iter().map(ToString::to_string).collect()),
        name: token.name,
        roles: token.roles,
        expires: token.expires,
        created: token.created,
    };
    Ok(Tokens::read(path)?.0.into_iter().map(info).collect())
}

/// Takes a token out of a file. Servers that use the file notice within a second or two.
///
/// # Errors
/// When there is no such token, or the file cannot be read or written.
pub fn revoke(path: &Path, name: &str) -> Result<(), TokenFileError> {
    change(path, |text| {
        let is_it = |line: &&str| {
            let first = content(line).and_then(|line| line.split_whitespace().next());
            first == Some(name)
        };
        if !text.lines().any(|line| is_it(&line)) {
            return Err(TokenFileError::Unknown(name.to_owned()));
        }
        let kept = text.lines().filter(|line| !is_it(line));
        Ok(kept.map(|line| format!("{line}\n")).collect())
    })
}

fn check(new: &NewToken<'_>) -> Result<(), TokenFileError> {
    let one_word = |text: &str| {
        (1..=limits::TOKEN_NAME_BYTES_MAX).contains(&text.len())
            && text.chars().all(|c| c.is_ascii_graphic() && c != '#')
    };
    let wrong = |what: &str| {
        Err(TokenFileError::New(format!(
            "{what} has 1 to {} visible ASCII characters and no `#`",
            limits::TOKEN_NAME_BYTES_MAX
        )))
    };
    if !one_word(new.name) {
        return wrong("the name of a token");
    }
    if !new.sources.iter().all(|s| one_word(s) && !s.contains(',')) {
        return wrong("the name of a source");
    }
    if new.roles.is_empty() {
        let message = "a token needs a role: name one with --role";
        return Err(TokenFileError::New(message.to_owned()));
    }
    if new.expires.is_some_and(|end| end <= new.created) {
        let message = "the token would have expired already";
        return Err(TokenFileError::New(message.to_owned()));
    }
    Ok(())
}

fn line(new: &NewToken<'_>, token: &str) -> String {
    let roles: Vec<_> = new.roles.iter().map(|role| role.as_str()).collect();
    let expires = new.expires.map_or("never".to_owned(), |t| t.to_string());
    let sources = match new.sources {
        [] => String::new(),
        names => format!(" sources={}", names.join(",")),
    };
    format!(
        "{} {} {expires} {} created={}{sources}\n",
        new.name,
        roles.join(","),
        hex(&hash_of(token)),
        new.created
    )
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Reads the file, changes its text, checks the new text and puts it in the place of the old one.
fn change(
    path: &Path,
    edit: impl FnOnce(&str) -> Result<String, TokenFileError>,
) -> Result<(), TokenFileError> {
    change_text(path, TokenFileError::Read, TokenFileError::Write, |text| {
        // Before it is changed: an error of the old text is not one of the new.
        Tokens::parse(text)?;
        let text = edit(text)?;
        Tokens::parse(&text)?;
        Ok(text)
    })
}

/// Reads a file of lines, changes its text and puts the new one in the place of the old one; a file
/// that is not there is empty.
pub(crate) fn change_text<E>(
    path: &Path,
    cannot_read: fn(io::Error) -> E,
    cannot_write: fn(io::Error) -> E,
    edit: impl FnOnce(&str) -> Result<String, E>,
) -> Result<(), E> {
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    // The folder is the lock: it is always there, and the file itself is replaced.
    let lock = File::open(folder).map_err(cannot_write)?;
    lock.lock().map_err(cannot_write)?;
    let text = match text_of(path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
        Err(error) => return Err(cannot_read(error)),
    };
    let text = edit(&text)?;
    replace(path, &text)
        .and_then(|()| lock.sync_all())
        .map_err(cannot_write)
}

/// Nobody ever reads half a file, whatever happens meanwhile.
fn replace(path: &Path, text: &str) -> io::Result<()> {
    let mut name = path.as_os_str().to_owned();
    name.push(".new");
    let new = Path::new(&name);
    // Left behind by one that crashed.
    match fs::remove_file(new) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut options = OpenOptions::new();
    let mut file = options.write(true).create_new(true).mode(0o600).open(new)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    fs::rename(new, path)
}
