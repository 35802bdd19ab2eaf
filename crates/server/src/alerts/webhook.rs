//! Tells configured addresses what alerts are.
//!
//! Each address has what waits for it and a task of its own: one that does not answer delays nobody.
//! Only what the configuration names is ever connected to; an answer that points elsewhere is a
//! failure like any other. The path of an address may be a secret, so only its host is logged.

use std::{
    fmt, io,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use axum::http::{Method, Request, StatusCode, Uri, header, uri::Authority};
use bytes::Bytes;
use http_body_util::Full;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use rustls_pki_types::{CertificateDer, ServerName, pem::PemObject};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    sync::watch,
    time::timeout,
};
use tokio_rustls::{
    TlsConnector,
    rustls::{ClientConfig, RootCertStore, crypto::ring},
};

use super::{outbox::pause, value::AlertValue, waiting::Waiting};
use crate::limits;

/// Where systems keep the certificates that they trust; the first that is there is read.
const TRUSTED: [&str; 4] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
];

/// Why an address cannot be told anything.
#[derive(Debug, thiserror::Error)]
pub enum WebhookError {
    /// It is no address.
    #[error("webhook {number}: {why}: write it as https://host/path")]
    Address {
        /// Which one, from 1: the address itself may hold a secret.
        number: usize,
        /// What is wrong.
        why: &'static str,
    },
    /// Nobody can be trusted.
    #[error("the certificates that an https webhook is checked by cannot be read ({0}): {1}")]
    Trust(PathBuf, String),
    /// As before, and no file was named.
    #[error("this system has no file of certificates that are trusted: name one (--webhook-ca)")]
    NoTrust,
}

/// An address that is told of alerts.
#[derive(Clone)]
pub struct Webhook {
    host: String,
    port: u16,
    target: String,
    /// The value of the header `Host`.
    authority: String,
    tls: Option<TlsConnector>,
    /// The pause before the first repeat; each further one is twice as long.
    pub retry_after: Duration,
}

impl fmt::Debug for Webhook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Webhook")
            .field("host", &self.host)
            .field("port", &self.port)
            .finish_non_exhaustive()
    }
}

impl Webhook {
    /// Reads addresses; empty ones are left out. Servers of https ones are checked by the
    /// certificates in `ca_file` (PEM), or by those that the system trusts.
    ///
    /// # Errors
    /// An address is none, or has a user or a fragment; the certificates cannot be read.
    pub fn all(addresses: &[String], ca_file: Option<&Path>) -> Result<Vec<Self>, WebhookError> {
        let read = |(at, address): (usize, &String)| {
            let wrong = |why| WebhookError::Address {
                number: at + 1,
                why,
            };
            Self::parse(address).map_err(wrong)
        };
        let mut hooks = Vec::new();
        let mut connector = None;
        for (mut hook, is_tls) in addresses
            .iter()
            .enumerate()
            .filter(|(_, address)| !address.trim().is_empty())
            .map(read)
            .collect::<Result<Vec<_>, _>>()?
        {
            if is_tls {
                if connector.is_none() {
                    connector = Some(trusting(ca_file)?);
                }
                hook.tls.clone_from(&connector);
            }
            hooks.push(hook);
        }
        Ok(hooks)
    }

    fn parse(address: &str) -> Result<(Self, bool), &'static str> {
        if address.contains('#') {
            return Err("it has a fragment");
        }
        let uri: Uri = address.parse().map_err(|_| "it is no URL")?;
        let is_tls = match uri.scheme_str() {
            Some("http") => false,
            Some("https") => true,
            _ => return Err("it begins with neither http:// nor https://"),
        };
        let authority = uri.authority().ok_or("it has no host")?;
        if authority.as_str().contains('@') {
            return Err("it has a user");
        }
        let host = authority.host().trim_matches(['[', ']']);
        if host.is_empty() {
            return Err("it has no host");
        }
        let usual = if is_tls { 443 } else { 80 };
        let port = port(authority, usual).ok_or("its port is none of 1 to 65535")?;
        let target = uri.path_and_query().map_or("/", |target| target.as_str());
        let hook = Webhook {
            host: host.to_owned(),
            port,
            target: target.to_owned(),
            authority: authority.as_str().to_owned(),
            tls: None,
            retry_after: limits::WEBHOOK_RETRY_AFTER,
        };
        Ok((hook, is_tls))
    }

    /// One try.
    async fn post(&self, body: &Bytes) -> Result<StatusCode, PostError> {
        let stream = TcpStream::connect((self.host.as_str(), self.port)).await?;
        let Some(tls) = &self.tls else {
            return self.ask(stream, body).await;
        };
        let name = ServerName::try_from(self.host.clone()).map_err(|_| PostError::Name)?;
        self.ask(tls.connect(name, stream).await?, body).await
    }

    async fn ask<S>(&self, stream: S, body: &Bytes) -> Result<StatusCode, PostError>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send,
    {
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        let request = Request::builder()
            .method(Method::POST)
            .uri(&self.target)
            .header(header::HOST, &self.authority)
            .header(header::CONTENT_TYPE, "application/json")
            .header(
                header::USER_AGENT,
                concat!("callgauge/", env!("CARGO_PKG_VERSION")),
            )
            .body(Full::new(body.clone()))
            .map_err(|_| PostError::Name)?;
        let mut answer = std::pin::pin!(sender.send_request(request));
        let answer = tokio::select! {
            biased;
            answer = &mut answer => answer,
            ended = connection => {
                ended?;
                // The last thing that it did may have been to read the answer.
                answer.await
            }
        };
        Ok(answer?.status())
    }
}

/// Why a try failed.
#[derive(Debug, thiserror::Error)]
enum PostError {
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error(transparent)]
    Http(#[from] hyper::Error),
    #[error("the host is no name of a server")]
    Name,
    #[error("no answer in time")]
    Late,
    #[error("it answers {0}")]
    Status(StatusCode),
}

impl PostError {
    /// May another try fare better?
    fn may_pass(&self) -> bool {
        match self {
            PostError::Name => false,
            PostError::Status(status) => {
                status.is_server_error()
                    || [StatusCode::REQUEST_TIMEOUT, StatusCode::TOO_MANY_REQUESTS].contains(status)
            }
            _ => true,
        }
    }
}

/// The port that an address names, or the usual one if it names none; `None` if that cannot be.
fn port(authority: &Authority, usual: u16) -> Option<u16> {
    let rest = authority.as_str().strip_prefix(authority.host())?;
    if rest.is_empty() {
        return Some(usual);
    }
    let port = rest.strip_prefix(':')?;
    // A sign would parse too.
    let is_number = port.bytes().all(|byte| byte.is_ascii_digit());
    let port = port.parse().ok().filter(|_| is_number);
    port.filter(|port| *port != 0)
}

fn trusting(ca_file: Option<&Path>) -> Result<TlsConnector, WebhookError> {
    let there = |path: &&Path| path.is_file();
    let found = TRUSTED.iter().map(Path::new).find(there);
    let path = ca_file.or(found).ok_or(WebhookError::NoTrust)?;
    let wrong = |why: String| WebhookError::Trust(path.to_owned(), why);
    let certificates = CertificateDer::pem_file_iter(path).map_err(|e| wrong(e.to_string()))?;
    let mut roots = RootCertStore::empty();
    let certificates = certificates
        .collect::<Result<Vec<_>, _>>()
        .map_err(|e| wrong(e.to_string()))?;
    // Systems keep some that are too old to be understood.
    let (good, _) = roots.add_parsable_certificates(certificates);
    if good == 0 {
        return Err(wrong("there is none in it".to_owned()));
    }
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|e| wrong(e.to_string()))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(TlsConnector::from(Arc::new(config)))
}

/// What waits for all addresses.
pub(super) struct Webhooks(Vec<Queue>);

struct Queue {
    host: String,
    waiting: Arc<Waiting>,
}

/// Sends what waits for one address.
pub(super) struct Sender {
    hook: Webhook,
    waiting: Arc<Waiting>,
}

/// The queues, and the senders that have to run.
pub(super) fn webhooks(hooks: Vec<Webhook>) -> (Webhooks, Vec<Sender>) {
    let (queues, senders) = hooks
        .into_iter()
        .map(|hook| {
            let waiting = Arc::new(Waiting::default());
            let queue = Queue {
                host: hook.host.clone(),
                waiting: Arc::clone(&waiting),
            };
            (queue, Sender { hook, waiting })
        })
        .unzip();
    (Webhooks(queues), senders)
}

impl Webhooks {
    /// Puts an alert before every address.
    pub(super) fn send(&self, alert: &AlertValue) {
        if self.0.is_empty() {
            return;
        }
        let alert = Arc::new(alert.clone());
        for queue in &self.0 {
            if let Some(lost) = queue.waiting.put(Arc::clone(&alert)) {
                let (host, alert) = (queue.host.as_str(), lost.id.as_str());
                tracing::error!(host, alert, "a webhook is not told: too many wait for it");
            }
        }
    }
}

impl Sender {
    /// Sends until the end.
    pub(super) async fn run(self, mut stopping: watch::Receiver<bool>) {
        loop {
            let alert = tokio::select! {
                biased;
                _ = stopping.wait_for(|stop| *stop) => return,
                alert = self.waiting.take() => alert,
            };
            let body = serde_json::to_vec(&*alert).expect("texts and numbers always serialise");
            if self.send(&body.into(), &mut stopping).await {
                return;
            }
        }
    }

    /// Tries until it is taken or given up. True: the end has come.
    async fn send(&self, body: &Bytes, stopping: &mut watch::Receiver<bool>) -> bool {
        let mut delay = self.hook.retry_after;
        for attempt in 1.. {
            let posted = timeout(limits::WEBHOOK_TIMEOUT, self.hook.post(body)).await;
            let error = match posted {
                Ok(Ok(status)) if status.is_success() => return false,
                Ok(Ok(status)) => PostError::Status(status),
                Ok(Err(error)) => error,
                Err(_) => PostError::Late,
            };
            let host = self.hook.host.as_str();
            if attempt == limits::WEBHOOK_TRIES || !error.may_pass() {
                tracing::error!(host, %error, attempt, "a webhook is given up");
                return false;
            }
            tracing::warn!(host, %error, attempt, "a webhook is tried again");
            if pause(delay, stopping).await {
                return true;
            }
            delay *= 2;
        }
        false
    }
}
