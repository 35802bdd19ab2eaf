//! TLS: who speaks it is served, and a new certificate is taken while the server runs.

use std::{
    fs,
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    path::Path,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::{Duration, Instant},
};

use arrow_flight::sql::client::FlightSqlServiceClient;
use axum::http::Uri;
use hyper_util::rt::TokioIo;
use rustls_pki_types::{CertificateDer, ServerName};
use server::{StartError, TlsFiles};
use tempfile::TempDir;
use tokio_rustls::{
    TlsConnector,
    rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned, crypto::ring},
};
use tonic::{codegen::Service, transport::Endpoint};

use crate::{
    fake::{Setup, start, start_with},
    flight,
};

struct Files {
    folder: TempDir,
    cert: CertificateDer<'static>,
}

impl Files {
    fn new() -> Self {
        let folder = TempDir::new().expect("a folder");
        let cert = renew(folder.path());
        Files { folder, cert }
    }

    fn tls(&self) -> TlsFiles {
        TlsFiles {
            cert: self.folder.path().join("cert.pem"),
            key: self.folder.path().join("key.pem"),
        }
    }
}

fn renew(folder: &Path) -> CertificateDer<'static> {
    let names = vec!["localhost".to_owned()];
    let made = rcgen::generate_simple_self_signed(names).expect("a certificate");
    fs::write(folder.join("cert.pem"), made.cert.pem()).expect("a file");
    fs::write(folder.join("key.pem"), made.signing_key.serialize_pem()).expect("a file");
    made.cert.der().clone()
}

fn serving(files: &Files) -> Setup {
    let tls = files.tls();
    start_with(|settings| settings.tls = Some(tls))
}

type Stream = StreamOwned<ClientConnection, TcpStream>;

/// Settings of a client that knows only this certificate.
fn knowing(known: &CertificateDer<'static>, protocols: &[&[u8]]) -> Arc<ClientConfig> {
    let mut roots = RootCertStore::empty();
    roots.add(known.clone()).expect("a certificate");
    let mut config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = protocols.iter().map(|name| name.to_vec()).collect();
    Arc::new(config)
}

fn server_name() -> ServerName<'static> {
    ServerName::try_from("localhost").expect("a name")
}

fn connect(setup: &Setup, known: &CertificateDer<'static>, protocols: &[&[u8]]) -> Stream {
    let config = knowing(known, protocols);
    let client = ClientConnection::new(config, server_name()).expect("a client");
    let stream = TcpStream::connect(setup.addr).expect("it listens");
    let patience = Some(Duration::from_secs(30));
    stream.set_read_timeout(patience).expect("a socket");
    StreamOwned::new(client, stream)
}

fn get(mut stream: Stream) -> Result<String, std::io::Error> {
    let request = "GET /healthz HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";
    stream.write_all(request.as_bytes())?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}

#[test]
fn a_client_that_speaks_tls_is_answered() {
    let files = Files::new();
    let setup = serving(&files);
    for protocols in [&[][..], &[&b"http/1.1"[..]]] {
        let answer = get(connect(&setup, &files.cert, protocols)).expect("an answer");
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        let lasting = "strict-transport-security: max-age=31536000";
        assert!(answer.contains(lasting), "{answer}");
    }
    // Plain HTTP gets no answer, and breaks nothing.
    let mut plain = setup.client();
    plain.write("GET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\n");
    assert!(plain.try_reply().is_none());
    let stranger = get(connect(&setup, &Files::new().cert, &[]));
    assert!(stranger.is_err(), "{stranger:?}");
    assert!(get(connect(&setup, &files.cert, &[])).is_ok());
    let unencrypted = start().client().get("/healthz");
    assert_eq!(unencrypted.header("strict-transport-security"), "");
}

/// Connects a Flight client over TLS.
struct OverTls {
    addr: SocketAddr,
    connector: TlsConnector,
}

impl Service<Uri> for OverTls {
    type Response = TokioIo<tokio_rustls::client::TlsStream<tokio::net::TcpStream>>;
    type Error = std::io::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Self::Error>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Uri) -> Self::Future {
        let (addr, connector) = (self.addr, self.connector.clone());
        Box::pin(async move {
            let stream = tokio::net::TcpStream::connect(addr).await?;
            let stream = connector.connect(server_name(), stream).await?;
            Ok(TokioIo::new(stream))
        })
    }
}

async fn connected(
    addr: SocketAddr,
    known: &CertificateDer<'static>,
) -> Result<flight::world::Client, tonic::transport::Error> {
    let connector = TlsConnector::from(knowing(known, &[b"h2"]));
    let endpoint = Endpoint::from_static("https://localhost");
    let channel = endpoint.connect_with_connector(OverTls { addr, connector });
    Ok(FlightSqlServiceClient::new(channel.await?))
}

#[test]
fn flight_is_spoken_over_tls_and_only_over_tls() {
    let files = Files::new();
    let tls = files.tls();
    let setup = start_with(|settings| {
        settings.tls = Some(tls);
        settings.flight = Some(settings.listen);
    });
    let addr = setup.server.flight_addr().expect("a second door");
    let runtime = tokio::runtime::Runtime::new().expect("threads");
    runtime.block_on(async {
        let mut client = connected(addr, &files.cert).await.expect("a connection");
        client.handshake("me", "whatever").await.expect("any login");
        let info = client.get_catalogs().await.expect("an answer");
        let rows = flight::world::rows(&mut client, &info).await.expect("rows");
        assert_eq!(flight::world::texts(&rows, "catalog_name"), ["callgauge"]);
        let stranger = connected(addr, &Files::new().cert).await;
        assert!(stranger.is_err(), "another certificate than the known one");
        let plain = Endpoint::new(format!("http://{addr}")).expect("an address");
        if let Ok(channel) = plain.connect().await {
            let mut plain = FlightSqlServiceClient::new(channel);
            assert!(plain.handshake("me", "whatever").await.is_err());
        }
    });
}

#[test]
fn http2_is_spoken_with_those_who_ask_for_it() {
    let files = Files::new();
    let setup = serving(&files);
    let mut stream = connect(&setup, &files.cert, &[b"h2", b"http/1.1"]);
    stream
        .write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
        .expect("written");
    // SETTINGS without a setting.
    stream
        .write_all(&[0, 0, 0, 4, 0, 0, 0, 0, 0])
        .expect("written");
    // HEADERS of stream 1: GET, https, :path /healthz, :authority localhost.
    let mut block = vec![0x82, 0x87, 0x04, 8];
    block.extend(b"/healthz");
    block.extend([0x01, 9]);
    block.extend(b"localhost");
    let length = u8::try_from(block.len()).expect("short");
    stream
        .write_all(&[0, 0, length, 1, 5, 0, 0, 0, 1])
        .expect("written");
    stream.write_all(&block).expect("written");
    let mut limit = None;
    loop {
        let mut head = [0; 9];
        stream.read_exact(&mut head).expect("a frame");
        let length = usize::from(head[1]) << 8 | usize::from(head[2]);
        let mut payload = vec![0; length];
        stream.read_exact(&mut payload).expect("a frame");
        match head[3] {
            // SETTINGS: each two bytes of name (3 is the number of streams) and four of value.
            4 if head[4] == 0 => {
                let streams = payload.chunks(6).find(|s| s[..2] == [0, 3]);
                limit = streams.map(|s| u32::from_be_bytes([s[2], s[3], s[4], s[5]]));
            }
            1 => {
                assert_eq!(payload[0], 0x88, "not :status 200");
                break;
            }
            _ => {}
        }
    }
    assert_eq!(limit, Some(128));
    assert_eq!(stream.conn.alpn_protocol(), Some(&b"h2"[..]));
}

#[test]
fn a_new_certificate_is_taken_and_a_broken_one_is_not() {
    let files = Files::new();
    let setup = serving(&files);
    assert!(get(connect(&setup, &files.cert, &[])).is_ok());
    fs::write(files.tls().cert, "no certificate").expect("a file");
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_millis(1_500) {
        assert!(get(connect(&setup, &files.cert, &[])).is_ok());
    }
    let new = renew(files.folder.path());
    let begun = Instant::now();
    while get(connect(&setup, &new, &[])).is_err() {
        assert!(begun.elapsed() < Duration::from_secs(20), "never taken");
    }
    assert!(get(connect(&setup, &files.cert, &[])).is_err());
}

#[test]
fn a_certificate_that_cannot_be_used_stops_the_start() {
    let files = Files::new();
    let other = Files::new();
    let missing = TlsFiles {
        cert: files.folder.path().join("none.pem"),
        ..files.tls()
    };
    let swapped = TlsFiles {
        cert: files.tls().key,
        key: files.tls().cert,
    };
    let foreign = TlsFiles {
        key: other.tls().key,
        ..files.tls()
    };
    for (tls, part) in [
        (missing, "cannot be read"),
        (swapped, "no PEM file"),
        (foreign, "cannot be used"),
    ] {
        let mut settings = server::Settings::new("127.0.0.1:0".parse().expect("an address"));
        settings.tls = Some(tls);
        let surroundings = server::Surroundings {
            now: Arc::new(|| crate::fake::NOW),
            run_id: 0,
            seed: [3; 32],
        };
        let backends = crate::fake::backends(&start().sink);
        let error = server::Server::start(settings, surroundings, backends);
        let error = error.expect_err("it must not start");
        assert!(matches!(error, StartError::Tls(_)), "{error}");
        assert!(error.to_string().contains(part), "{error}");
    }
}
