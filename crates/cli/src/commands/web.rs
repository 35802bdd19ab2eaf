//! Asking a server over HTTP or HTTPS.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use anyhow::{Context, Result, bail};
use tokio_rustls::rustls::crypto::ring;
use ureq::{
    Agent,
    tls::{PemItem, RootCerts, TlsConfig, TlsProvider, parse_pem},
};

/// Where systems keep the certificates that they trust.
const SYSTEM: [&str; 4] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
];

/// Which servers are believed to be who they say.
#[derive(Clone, Copy, Debug)]
pub enum Trust<'a> {
    /// Those with a certificate of this PEM file, or signed by one of it; of the system's, if
    /// no file is given.
    File(Option<&'a Path>),
    /// Any: only for what is no secret, and a server of this machine.
    Anybody,
}

/// Asks the server at `url`, each time no longer than `timeout`. An answer with an error's status
/// is an answer.
///
/// # Errors
/// For HTTPS: the certificates cannot be read.
pub fn agent(url: &str, timeout: Duration, trust: Trust<'_>) -> Result<Agent> {
    let config = Agent::config_builder()
        .http_status_as_error(false)
        .timeout_global(Some(timeout));
    if !url.starts_with("https://") {
        return Ok(config.build().into());
    }
    let tls = TlsConfig::builder()
        .provider(TlsProvider::Rustls)
        .unversioned_rustls_crypto_provider(Arc::new(ring::default_provider()));
    let tls = match trust {
        Trust::File(file) => tls.root_certs(certificates(file)?),
        Trust::Anybody => tls.disable_verification(true),
    };
    Ok(config.tls_config(tls.build()).build().into())
}

fn certificates(file: Option<&Path>) -> Result<RootCerts> {
    let file = match file {
        Some(file) => file.to_path_buf(),
        None => system()?,
    };
    let reading = || format!("cannot read the certificates {}", file.display());
    let text = std::fs::read(&file).with_context(reading)?;
    let mut certificates = Vec::new();
    for item in parse_pem(&text) {
        if let PemItem::Certificate(certificate) = item.with_context(reading)? {
            certificates.push(certificate);
        }
    }
    if certificates.is_empty() {
        bail!("{} has no certificate in PEM", file.display());
    }
    Ok(RootCerts::new_with_certs(&certificates))
}

fn system() -> Result<PathBuf> {
    let told = std::env::var_os("SSL_CERT_FILE").map(PathBuf::from);
    let mut known = SYSTEM.iter().map(PathBuf::from);
    told.or_else(|| known.find(|path| path.exists()))
        .context("this system keeps no list of certificates: give one with --ca FILE")
}
