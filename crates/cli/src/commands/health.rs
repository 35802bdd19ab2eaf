//! `callgauge health`: for whoever restarts what is not well.

use std::time::Duration;

use anyhow::{Context, Result, bail};

use super::web::{self, Trust};
use crate::{Outcome, args::Health};

const TIMEOUT: Duration = Duration::from_secs(2);

/// Asks the server and prints its answer.
///
/// # Errors
/// Nobody answers, or not as they should.
pub fn run(args: &Health) -> Result<Outcome> {
    let scheme = if args.https { "https" } else { "http" };
    let path = if args.ready { "readyz" } else { "healthz" };
    let url = format!("{scheme}://{}/{path}", args.http);
    let trust = match (
        &args.ca,
        args.https && args.http.ip().to_canonical().is_loopback(),
    ) {
        (Some(ca), _) => Trust::File(Some(ca)),
        // Its certificate has the name that others call it by; nothing secret is said.
        (None, true) => Trust::Anybody,
        (None, false) if args.https => bail!(
            "{} is not on this machine: give the certificate that its address is in with --ca FILE",
            args.http
        ),
        (None, false) => Trust::File(None),
    };
    let mut response = web::agent(&url, TIMEOUT, trust)?
        .get(&url)
        .call()
        .with_context(|| format!("nobody answers at {url}"))?;
    println!("{}", response.body_mut().read_to_string()?.trim());
    Ok(match response.status().is_success() {
        true => Outcome::Clean,
        false => Outcome::Findings,
    })
}
