//! Paired screens: who they are, and the file that lists them.
//!
//! A screen has a secret of 256 random bits in a cookie; the file holds only its SHA-256, one screen
//! a line:
//!
//! ```text
//! # name  board  expires               sha256 of the secret, in hexadecimal
//! hall-2  now    2027-01-01T00:00:00Z  9f86...0a08 created=2026-10-03T08:00:00Z
//! ```
//!
//! It is read again when it changes, as the file of tokens is. How a screen comes into it is
//! [`Pairing`].

mod pairing;

use std::{
    io,
    path::{Path, PathBuf},
};

use constant_time_eq::constant_time_eq_32;
use events::UtcMicros;

use crate::{
    limits,
    reload::Reloading,
    tokens::{TokenId, change_text, content, hash_of, hex, parse_hash, text_of},
};

pub(crate) use pairing::{Full, NotPaired, Pairing};

const HEAD: &str = "# name board expires sha256 [created=TIME]\n";

/// Why a file of devices was not taken or not changed.
#[derive(Debug, thiserror::Error)]
pub enum DeviceFileError {
    /// It cannot be read.
    #[error("the file of devices cannot be read: {0}")]
    Read(io::Error),
    /// It cannot be written.
    #[error("the file of devices cannot be written: {0}")]
    Write(io::Error),
    /// A line is wrong.
    #[error("line {line} of the file of devices: {reason}")]
    Line {
        /// From 1.
        line: usize,
        /// What is wrong and what to write.
        reason: String,
    },
    /// The name is that of another one.
    #[error("there is a device '{0}' already")]
    Taken(String),
    /// There is no device of that name.
    #[error("there is no device '{0}': see `callgauge device list`")]
    Unknown(String),
}

/// A paired screen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Device {
    /// What people call it.
    pub name: String,
    /// The board it may look at.
    pub board: String,
    /// From then on it is a stranger again.
    pub expires: UtcMicros,
    /// Not known of lines that were written by hand.
    pub created: Option<UtcMicros>,
    hash: [u8; 32],
}

impl Device {
    pub(crate) fn id(&self) -> TokenId {
        TokenId(self.hash)
    }

    fn parse(line: &str) -> Result<Device, String> {
        let words: Vec<&str> = line.split_whitespace().collect();
        let [name, board, expires, hash, ref more @ ..] = words[..] else {
            return Err(format!(
                "has {} words, not the four `name board expires sha256`",
                words.len()
            ));
        };
        if !is_name(name) {
            return Err(format!("'{name}' cannot be a name: {}", name_rule()));
        }
        let time = |text: &str| {
            let time = UtcMicros::parse_rfc3339(text);
            time.ok_or_else(|| format!("'{text}' is no time: write 2027-01-01T00:00:00Z"))
        };
        let mut device = Device {
            name: name.to_owned(),
            board: board.to_owned(),
            expires: time(expires)?,
            created: None,
            hash: parse_hash(hash).ok_or("the SHA-256 must be 64 hexadecimal digits")?,
        };
        for word in more {
            match word.split_once('=') {
                Some(("created", text)) => device.created = Some(time(text)?),
                _ => {
                    return Err(format!(
                        "'{word}' is not known: there may be `created=TIME`"
                    ));
                }
            }
        }
        Ok(device)
    }

    fn line(&self) -> String {
        let Device { name, board, .. } = self;
        let created = self.created.map(|at| format!(" created={at}"));
        let created = created.unwrap_or_default();
        format!(
            "{name} {board} {} {}{created}\n",
            self.expires,
            hex(&self.hash)
        )
    }
}

/// Can it be the name of a device?
pub(crate) fn is_name(name: &str) -> bool {
    let letters = |c: u8| c.is_ascii_alphanumeric() || b"-_.".contains(&c);
    (1..=limits::TOKEN_NAME_BYTES_MAX).contains(&name.len()) && name.bytes().all(letters)
}

/// What a name is, for hints.
pub(crate) fn name_rule() -> String {
    format!(
        "1 to {} letters, digits, `-`, `_` and `.`",
        limits::TOKEN_NAME_BYTES_MAX
    )
}

/// The devices of a file; one that is not there has none.
///
/// # Errors
/// When it cannot be read or has an error.
pub fn list(path: &Path) -> Result<Vec<Device>, DeviceFileError> {
    match text_of(path) {
        Ok(text) => parse(&text),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(DeviceFileError::Read(error)),
    }
}

/// Takes a device out of a file. A running server notices within a second or two.
///
/// # Errors
/// When there is no such device, or the file cannot be read or written.
pub fn revoke(path: &Path, name: &str) -> Result<(), DeviceFileError> {
    change(path, |devices| {
        let before = devices.len();
        devices.retain(|device| device.name != name);
        match devices.len() < before {
            true => Ok(()),
            false => Err(DeviceFileError::Unknown(name.to_owned())),
        }
    })
}

/// Puts a device into a file, which is made if it is not there; those that are over go.
fn add(path: &Path, device: Device, now: UtcMicros) -> Result<(), DeviceFileError> {
    change(path, |devices| {
        devices.retain(|other| now < other.expires);
        if devices.iter().any(|other| other.name == device.name) {
            return Err(DeviceFileError::Taken(device.name.clone()));
        }
        devices.push(device);
        Ok(())
    })
}

fn change(
    path: &Path,
    edit: impl FnOnce(&mut Vec<Device>) -> Result<(), DeviceFileError>,
) -> Result<(), DeviceFileError> {
    change_text(
        path,
        DeviceFileError::Read,
        DeviceFileError::Write,
        |text| {
            let mut devices = parse(text)?;
            edit(&mut devices)?;
            let lines = devices.iter().map(Device::line);
            Ok([HEAD.to_owned()].into_iter().chain(lines).collect())
        },
    )
}

fn parse(text: &str) -> Result<Vec<Device>, DeviceFileError> {
    let mut devices: Vec<Device> = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let Some(line) = content(line) else { continue };
        let wrong = |reason: String| DeviceFileError::Line {
            line: index + 1,
            reason,
        };
        let device = Device::parse(line).map_err(wrong)?;
        if devices.iter().any(|other| other.name == device.name) {
            return Err(wrong(format!("the name '{}' is there twice", device.name)));
        }
        devices.push(device);
    }
    Ok(devices)
}

/// The devices of a server.
#[derive(Debug)]
pub(crate) struct Devices {
    path: PathBuf,
    file: Reloading<Vec<Device>>,
    pub pairing: Pairing,
}

impl Devices {
    /// With those of a file.
    ///
    /// # Errors
    /// When the file is wrong. One that becomes wrong later is logged, and the devices of before
    /// stay.
    pub(crate) fn open(path: &Path, seed: &[u8; 32]) -> Result<Self, DeviceFileError> {
        let path = path.to_path_buf();
        let again = path.clone();
        Ok(Devices {
            file: Reloading::open("file of devices", vec![path.clone()], move || list(&again))?,
            path,
            pairing: Pairing::new(seed),
        })
    }

    /// The device with this secret. Every stored hash is compared in full.
    pub(crate) fn find(&self, secret: &str, now: UtcMicros) -> Option<Device> {
        let hash = hash_of(secret);
        let devices = self.file.current();
        let mut found = None;
        for device in devices.iter() {
            if constant_time_eq_32(&device.hash, &hash) && now < device.expires {
                found = Some(device.clone());
            }
        }
        found
    }

    /// Is it still one?
    pub(crate) fn has(&self, id: TokenId, now: UtcMicros) -> bool {
        let devices = self.file.current();
        devices
            .iter()
            .any(|device| device.id() == id && now < device.expires)
    }

    /// Those that may look, by the file as it is now. Blocks.
    pub(crate) fn all(&self, now: UtcMicros) -> Result<Vec<Device>, DeviceFileError> {
        let mut devices = list(&self.path)?;
        devices.retain(|device| now < device.expires);
        Ok(devices)
    }

    /// Lets a screen in. Blocks until it is in the file.
    pub(crate) fn admit(&self, device: Device, now: UtcMicros) -> Result<(), DeviceFileError> {
        add(&self.path, device, now)?;
        self.file.look_again();
        Ok(())
    }

    /// Sends a screen away. Blocks until it is out of the file.
    pub(crate) fn send_away(&self, name: &str) -> Result<(), DeviceFileError> {
        revoke(&self.path, name)?;
        self.file.look_again();
        Ok(())
    }
}
