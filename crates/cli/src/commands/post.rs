//! Sending events to a server, again and again until they are taken.

use std::{path::Path, time::Duration};

use anyhow::{Context, Result, bail};
use ureq::{Agent, http::StatusCode};

use super::web::{self, Trust};

/// How long an answer may take.
const TIMEOUT: Duration = Duration::from_secs(60);
/// Tries before a server that takes nothing is given up.
const TRIES: u32 = 60;
/// Longest wait between two tries.
const WAIT_MAX: Duration = Duration::from_secs(10);

/// A server that takes events.
pub struct Poster {
    agent: Agent,
    url: String,
    token: Option<String>,
}

impl Poster {
    /// The server at `url`, with the token that the file holds. `ca`: certificates that are
    /// trusted, if not the system's.
    ///
    /// # Errors
    /// The file or the certificates cannot be read.
    pub fn new(url: &str, token_file: Option<&Path>, ca: Option<&Path>) -> Result<Self> {
        let token = token_file.map(|path| {
            let text = std::fs::read_to_string(path)
                .with_context(|| format!("cannot read the token {}", path.display()))?;
            anyhow::Ok(text.trim().to_owned())
        });
        Ok(Poster {
            agent: web::agent(url, TIMEOUT, Trust::File(ca))?,
            url: format!("{}/api/v1/events", url.trim_end_matches('/')),
            token: token.transpose()?,
        })
    }

    /// Sends lines until the server has them: they may arrive twice, they count once.
    ///
    /// # Errors
    /// The server refuses them for good, or does not take them in time.
    pub fn post(&self, lines: &[u8]) -> Result<()> {
        let mut last = String::new();
        for _ in 0..TRIES {
            let wait = match self.send(lines) {
                Ok(Sent::Taken) => return Ok(()),
                Ok(Sent::Later(wait, why)) => {
                    last = why;
                    wait
                }
                Ok(Sent::Refused(why)) => bail!("{} refuses the events: {why}", self.url),
                Err(error) => {
                    last = error.to_string();
                    Duration::from_secs(1)
                }
            };
            // Nobody unparks it; waking early would only try early.
            std::thread::park_timeout(wait.min(WAIT_MAX));
        }
        bail!("{} does not take the events: {last}", self.url)
    }

    fn send(&self, lines: &[u8]) -> Result<Sent> {
        let mut request = self
            .agent
            .post(&self.url)
            .header("Content-Type", "application/x-ndjson");
        if let Some(token) = &self.token {
            request = request.header("Authorization", format!("Bearer {token}"));
        }
        let mut response = request.send(lines)?;
        let status = response.status();
        let seconds = response
            .headers()
            .get("Retry-After")
            .and_then(|value| value.to_str().ok()?.parse().ok());
        let body = response.body_mut().read_to_string().unwrap_or_default();
        Ok(match (status, seconds) {
            (status, _) if status.is_success() => Sent::Taken,
            (_, Some(seconds)) => Sent::Later(Duration::from_secs(seconds), body),
            (StatusCode::SERVICE_UNAVAILABLE, _) => Sent::Later(Duration::from_secs(1), body),
            (status, _) => Sent::Refused(format!("{status}: {body}")),
        })
    }
}

enum Sent {
    Taken,
    /// Not now: when, and what the server says.
    Later(Duration, String),
    Refused(String),
}
