//! What the environment gives: the clock, randomness, folders of the user.

use std::{
    fs,
    io::Write,
    path::{Path, PathBuf},
    time::{SystemTime, UNIX_EPOCH},
};

use anyhow::{Context, Result, bail};
use events::UtcMicros;

/// The only clock of the program.
#[allow(
    clippy::disallowed_methods,
    reason = "the one place that reads the clock"
)]
pub fn now() -> UtcMicros {
    let since_1970 = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    UtcMicros(i64::try_from(since_1970.as_micros()).unwrap_or(i64::MAX))
}

/// Random bytes from the system.
///
/// # Errors
/// The system has none.
#[allow(
    clippy::disallowed_methods,
    reason = "the one place that asks for chance"
)]
pub fn random<const N: usize>() -> Result<[u8; N]> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(|e| anyhow::anyhow!("no random numbers: {e}"))?;
    Ok(bytes)
}

/// Memory for queries: half of what there is, at least 256 MiB.
pub fn query_memory_bytes() -> usize {
    const LEAST: usize = 256 << 20;
    memory_bytes().map_or(LEAST * 4, |all| all / 2).max(LEAST)
}

/// Memory of the whole process above which queries are ended: three quarters of what there is, so
/// that a query costs itself and not the server.
pub fn process_bytes_max() -> Option<u64> {
    memory_bytes().map(|all| all as u64 / 4 * 3)
}

/// The machine's memory, or what a container may have of it.
fn memory_bytes() -> Option<usize> {
    let machine = fs::read_to_string("/proc/meminfo").ok().and_then(|text| {
        let kib = text.lines().next()?.split_whitespace().nth(1)?;
        Some(kib.parse::<usize>().ok()? * 1024)
    });
    // Says `max` where there is no limit.
    let container = fs::read_to_string("/sys/fs/cgroup/memory.max").ok();
    let container = container.and_then(|text| text.trim().parse().ok());
    machine.into_iter().chain(container).min()
}

/// Partitions of a query: one per core.
pub fn query_partitions() -> usize {
    std::thread::available_parallelism().map_or(2, usize::from)
}

fn user_folder(variable: &str, under_home: &str) -> Option<PathBuf> {
    let set = std::env::var_os(variable)
        .filter(|v| !v.is_empty())
        .map(PathBuf::from);
    set.or_else(|| std::env::home_dir().map(|home| home.join(under_home)))
        .map(|folder| folder.join("callgauge"))
}

/// Where the prompt keeps its history.
pub fn history_file() -> Option<PathBuf> {
    Some(user_folder("XDG_STATE_HOME", ".local/state")?.join("sql_history"))
}

/// Where `callgauge token` keeps tokens when no file is named.
pub fn token_file() -> Option<PathBuf> {
    Some(user_folder("XDG_CONFIG_HOME", ".config")?.join("tokens"))
}

/// Where `callgauge device` finds paired screens when no file is named.
pub fn device_file() -> Option<PathBuf> {
    Some(user_folder("XDG_CONFIG_HOME", ".config")?.join("devices"))
}

/// The key that turns phone numbers and addresses into tokens. It lives outside the data folder,
/// so that a copy of the data alone does not reveal anybody.
///
/// # Errors
/// The file is not 64 hex digits, or cannot be read or made.
pub fn identity_key(chosen: Option<&Path>) -> Result<[u8; 32]> {
    let default = || user_folder("XDG_CONFIG_HOME", ".config").map(|f| f.join("identity.key"));
    let Some(path) = chosen.map(Path::to_path_buf).or_else(default) else {
        bail!("no home folder for the identity key: name a file with --identity-key");
    };
    if chosen.is_none() && !path.exists() {
        make_key(&path).with_context(|| format!("cannot make the key {}", path.display()))?;
    }
    let text = fs::read_to_string(&path)
        .with_context(|| format!("cannot read the identity key {}", path.display()))?;
    parse_key(text.trim()).with_context(|| {
        format!(
            "{} must hold 64 hex digits (32 bytes) and nothing else",
            path.display()
        )
    })
}

fn parse_key(text: &str) -> Result<[u8; 32]> {
    let mut key = [0; 32];
    if text.len() != 64 || !text.is_ascii() {
        bail!("found {} characters", text.chars().count());
    }
    for (byte, digits) in key.iter_mut().zip(text.as_bytes().chunks(2)) {
        *byte = u8::from_str_radix(std::str::from_utf8(digits)?, 16)?;
    }
    Ok(key)
}

fn make_key(path: &Path) -> Result<()> {
    let key: [u8; 32] = random()?;
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    let mut options = fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(path)?;
    let digits: String = key.iter().map(|byte| format!("{byte:02x}")).collect();
    writeln!(file, "{digits}")?;
    file.sync_all()?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_exactly_64_hex_digits() {
        assert_eq!(parse_key(&"0f".repeat(32)).unwrap(), [15; 32]);
        assert!(parse_key("0f").is_err());
        assert!(parse_key(&"zz".repeat(32)).is_err());
        assert!(parse_key(&"é".repeat(32)).is_err());
    }
}
