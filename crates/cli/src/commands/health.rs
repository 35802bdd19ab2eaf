//! `callgauge health`: for whoever restarts what is not well.

use std::time::Duration;

use anyhow::{Context, Result};
use ureq::Agent;

use crate::{Outcome, args::Health};

/// Asks the server and prints its answer.
///
/// # Errors
/// Nobody answers.
pub fn run(args: &Health) -> Result<Outcome> {
    let url = format!("http://{}/healthz", args.http);
    let agent: Agent = Agent::config_builder()
        .http_status_as_error(false)
        .timeout_global(Some(Duration::from_secs(2)))
        .build()
        .into();
    let mut response = agent
        .get(&url)
        .call()
        .with_context(|| format!("nobody answers at {url}"))?;
    println!("{}", response.body_mut().read_to_string()?.trim());
    Ok(match response.status().is_success() {
        true => Outcome::Clean,
        false => Outcome::Findings,
    })
}
