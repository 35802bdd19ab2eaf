//! TLS 1.2 and 1.3, with a certificate that may change while the server runs.

use std::{io, path::PathBuf, sync::Arc};

use rustls_pki_types::{CertificateDer, PrivateKeyDer, pem, pem::PemObject};
use tokio_rustls::{
    TlsAcceptor,
    rustls::{
        self, ServerConfig,
        crypto::ring,
        server::{ClientHello, ResolvesServerCert},
        sign::CertifiedKey,
        version::{TLS12, TLS13},
    },
};

use crate::reload::Reloading;

/// Where the certificate is; both files are PEM.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsFiles {
    /// The certificate and those that lead from it to a known one.
    pub cert: PathBuf,
    /// Its private key: PKCS #8, PKCS #1 or SEC1, not encrypted.
    pub key: PathBuf,
}

/// Why a certificate cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be read.
    #[error("the {what} cannot be read: {error}")]
    Read {
        /// Certificate or key.
        what: &'static str,
        /// What the system says.
        error: io::Error,
    },
    /// A file holds something else.
    #[error("the {what} file is no PEM file with a {what} in it")]
    Pem {
        /// Certificate or key.
        what: &'static str,
    },
    /// They do not go together, or are of a kind that is not known.
    #[error("certificate and key cannot be used: {0}")]
    Unusable(#[from] rustls::Error),
}

/// A certificate, ready for doors that speak different protocols.
#[derive(Clone, Debug)]
pub(crate) struct Tls(Arc<Certificate>);

#[derive(Debug)]
struct Certificate(Reloading<CertifiedKey>);

impl Tls {
    /// Reads certificate and key.
    pub(crate) fn open(files: &TlsFiles) -> Result<Self, TlsError> {
        let watched = vec![files.cert.clone(), files.key.clone()];
        let files = files.clone();
        let read = Reloading::open("TLS certificate", watched, move || read(&files))?;
        Ok(Tls(Arc::new(Certificate(read))))
    }

    /// For a door that speaks these protocols (ALPN), the preferred one first.
    pub(crate) fn acceptor(&self, protocols: &[&[u8]]) -> Result<TlsAcceptor, TlsError> {
        let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_protocol_versions(&[&TLS13, &TLS12])?
            .with_no_client_auth()
            .with_cert_resolver(Arc::<Certificate>::clone(&self.0));
        config.alpn_protocols = protocols.iter().map(|name| name.to_vec()).collect();
        Ok(TlsAcceptor::from(Arc::new(config)))
    }
}

impl ResolvesServerCert for Certificate {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.0.current())
    }
}

fn read(files: &TlsFiles) -> Result<CertifiedKey, TlsError> {
    let what = "certificate";
    let chain = CertificateDer::pem_file_iter(&files.cert)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|error| in_file(what, error))?;
    if chain.is_empty() {
        return Err(TlsError::Pem { what });
    }
    let key = PrivateKeyDer::from_pem_file(&files.key).map_err(|error| in_file("key", error))?;
    Ok(CertifiedKey::from_der(
        chain,
        key,
        &ring::default_provider(),
    )?)
}

fn in_file(what: &'static str, error: pem::Error) -> TlsError {
    match error {
        pem::Error::Io(error) => TlsError::Read { what, error },
        _ => TlsError::Pem { what },
    }
}
