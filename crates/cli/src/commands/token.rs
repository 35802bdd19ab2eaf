//! `callgauge token`: who may use a server.

use std::{
    io::{Write, stdout},
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};
use comfy_table::{Table, presets};
use events::UtcMicros;
use server::{
    access::Role,
    tokens::{self, NewToken},
};

use crate::{
    Outcome,
    args::{Token, TokenCommand},
    settings,
};

/// Changes or shows the file of tokens.
///
/// # Errors
/// The file cannot be read or written, a name is taken or not known.
pub fn run(args: &Token) -> Result<Outcome> {
    let path = match &args.token_file {
        Some(path) => path.clone(),
        None => default_file(&args.command)?,
    };
    match &args.command {
        TokenCommand::Create {
            roles,
            name,
            expires,
            sources,
        } => create(&path, (name, roles, sources), expires.as_deref())?,
        TokenCommand::List => list(&path)?,
        TokenCommand::Revoke { name } => {
            tokens::revoke(&path, name)?;
            eprintln!("'{name}' is revoked in {}", path.display());
        }
    }
    Ok(Outcome::Clean)
}

fn default_file(command: &TokenCommand) -> Result<PathBuf> {
    let path = settings::token_file().context("no home folder: name a file with --token-file")?;
    if let (TokenCommand::Create { .. }, Some(folder)) = (command, path.parent()) {
        std::fs::create_dir_all(folder)
            .with_context(|| format!("cannot make {}", folder.display()))?;
    }
    Ok(path)
}

fn create(
    path: &Path,
    (name, roles, sources): (&str, &[Role], &[String]),
    expires: Option<&str>,
) -> Result<()> {
    let now = settings::now();
    let new = NewToken {
        name,
        roles,
        sources,
        expires: expires.map(|text| expiry(text, now)).transpose()?,
        created: now,
        secret: settings::random()?,
    };
    let token = tokens::create(path, &new)?;
    eprintln!(
        "the token of '{name}', shown only now; its hash is in {file}. A server uses the file when \
         it is started with --token-file {file}",
        file = path.display()
    );
    writeln!(stdout(), "{token}")?;
    Ok(())
}

/// A time, or so long from now on.
fn expiry(text: &str, now: UtcMicros) -> Result<UtcMicros> {
    let after = kpi::parse_duration_ms(text).map(|ms| now.plus_ms(ms));
    after
        .or_else(|| UtcMicros::parse_rfc3339(text))
        .with_context(|| format!("--expires {text}: write 90d or 2027-01-01T00:00:00Z"))
}

fn list(path: &Path) -> Result<()> {
    let now = settings::now();
    let mut table = Table::new();
    table.load_preset(presets::UTF8_FULL_CONDENSED);
    table.set_header(["name", "roles", "sources", "expires", "created"]);
    let time = |at: Option<UtcMicros>, none: &str| at.map_or(none.to_owned(), |at| at.to_string());
    for token in tokens::list(path)? {
        let roles: Vec<_> = token.roles.iter().map(|role| role.as_str()).collect();
        let expired = token.expires.is_some_and(|end| end <= now);
        let expires = time(token.expires, "never");
        table.add_row([
            token.name,
            roles.join(", "),
            token.sources.map_or("all".to_owned(), |all| all.join(", ")),
            if expired {
                format!("{expires} (over)")
            } else {
                expires
            },
            time(token.created, ""),
        ]);
    }
    writeln!(stdout(), "{table}")?;
    Ok(())
}
