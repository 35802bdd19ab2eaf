//! The accept loop, and the life of one connection.
//!
//! Every door has one: HTTP/1.1, HTTP/2 where a client that speaks TLS chooses it, and HTTP/2 only
//! for gRPC. Seats, times and the end of the server are the same for all.

use std::{io, pin::Pin, pin::pin, sync::Arc, time::Duration};

use axum::{Router, extract::Request, response::Response};
use hyper::{
    rt::{Read, Write},
    server::conn::{http1, http2},
    service::service_fn,
};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::{
    net::{TcpListener, TcpStream},
    time::{sleep, timeout},
};
use tokio_rustls::TlsAcceptor;

use super::{
    Call,
    front::{Behind, Front},
    respond,
    seats::{Seat, Taken},
    watch::{Watch, WatchTimes, Watched},
};
use crate::{
    limits,
    tls::{Tls, TlsError},
};

const HTTP1: &[u8] = b"http/1.1";
const HTTP2: &[u8] = b"h2";

/// What is spoken on a door.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wire {
    /// HTTP/1.1; over TLS also HTTP/2.
    Http,
    /// HTTP/2 only.
    Grpc,
}

impl Wire {
    /// Bytes that wait for the reader of one stream of HTTP/2.
    const fn send_bytes_max(self) -> usize {
        match self {
            Wire::Http => limits::CHUNK_BYTES,
            // Rows come in large messages; this is what is usual.
            Wire::Grpc => 400 * 1024,
        }
    }
}

/// A door: what is answered behind it, and how one speaks to it.
#[derive(Clone)]
pub(crate) struct Door {
    behind: Behind,
    wire: Wire,
    tls: Option<TlsAcceptor>,
}

impl Door {
    /// With TLS if there is a certificate, and nothing behind it yet.
    pub(crate) fn new(wire: Wire, tls: Option<&Tls>) -> Result<Self, TlsError> {
        let protocols: &[&[u8]] = match wire {
            Wire::Http => &[HTTP2, HTTP1],
            Wire::Grpc => &[HTTP2],
        };
        let tls = tls.map(|tls| tls.acceptor(protocols)).transpose()?;
        let behind = Behind::default();
        Ok(Door { behind, wire, tls })
    }

    /// Requests go to these routes from now on.
    pub(crate) fn open(&self, routes: Router) {
        self.behind.open(routes);
    }

    /// Answers a request with what is behind the door.
    pub(super) async fn answer(&self, front: &Front, call: Call, request: Request) -> Response {
        self.behind.answer(front, self.wire, call, request).await
    }
}

/// Takes connections until `stopping`, then waits for those that are at work.
pub(crate) async fn run(front: Arc<Front>, door: Door, listener: TcpListener) {
    let mut stopping = front.stopping.clone();
    loop {
        let accepted = tokio::select! {
            biased;
            _ = stopping.wait_for(|stop| *stop) => break,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, peer)) => {
                let watch = Watch::new(WatchTimes {
                    header: front.settings.header_timeout,
                    idle: front.settings.idle_timeout,
                    write_stall: front.settings.write_stall_max,
                });
                let seat = match front.seats.take(peer.ip(), watch) {
                    Taken::Free(seat) => seat,
                    Taken::InsteadOfAnother(seat) => {
                        front.metrics.connections_refused.up();
                        seat
                    }
                    Taken::Refused => {
                        front.metrics.connections_refused.up();
                        continue;
                    }
                };
                let connection = Connection {
                    front: Arc::clone(&front),
                    door: door.clone(),
                    seat: Arc::new(seat),
                };
                tokio::spawn(connection.serve(stream));
            }
            Err(error) => {
                // Most likely no file descriptor is left: one comes free when a connection ends.
                tracing::warn!(%error, "a connection could not be taken");
                front.seats.make_room();
                let _ = timeout(limits::ACCEPT_RETRY, front.seats.left()).await;
            }
        }
    }
    drop(listener);
    let all_left = async {
        while front.seats.open() > 0 {
            front.seats.left().await;
        }
    };
    if timeout(front.settings.stop_timeout, all_left)
        .await
        .is_err()
    {
        tracing::warn!(
            open = front.seats.open(),
            "connections did not end in time and are cut"
        );
    }
}

/// One connection.
struct Connection {
    front: Arc<Front>,
    door: Door,
    seat: Arc<Seat>,
}

impl Connection {
    /// Serves it to its end.
    async fn serve(self, stream: TcpStream) {
        // Answers are small and complete: waiting for more to send only delays them.
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "a connection without TCP_NODELAY");
        }
        let stream = Watched::new(stream, Arc::clone(&self.seat.watch));
        let Some(acceptor) = self.door.tls.clone() else {
            let is_http2 = self.door.wire == Wire::Grpc;
            return self.speak(TokioIo::new(stream), is_http2).await;
        };
        let watch = Arc::clone(&self.seat.watch);
        let accepted = tokio::select! {
            biased;
            accepted = acceptor.accept(stream) => accepted,
            () = watch.expired() => Err(io::ErrorKind::TimedOut.into()),
        };
        match accepted {
            Ok(stream) => {
                let chosen = stream.get_ref().1.alpn_protocol();
                let is_http2 = chosen == Some(HTTP2) || self.door.wire == Wire::Grpc;
                self.speak(TokioIo::new(stream), is_http2).await;
            }
            Err(error) => {
                self.front.metrics.tls_failures.up();
                tracing::debug!(%error, "a connection without a TLS handshake");
            }
        }
    }

    async fn speak<I: Read + Write + Unpin + Send + 'static>(self, io: I, is_http2: bool) {
        let (front, door) = (Arc::clone(&self.front), self.door.clone());
        let seat = Arc::clone(&self.seat);
        let service = service_fn(move |request| {
            respond(Arc::clone(&front), door.clone(), Arc::clone(&seat), request)
        });
        if is_http2 {
            self.seat.watch.multiplexed();
            let connection = http2::Builder::new(TokioExecutor::new())
                .timer(TokioTimer::new())
                .max_concurrent_streams(limits::STREAMS_MAX)
                .max_pending_accept_reset_streams(limits::STREAM_RESETS_MAX)
                .max_header_list_size(limits::HEADER_BYTES_MAX as u32)
                .max_send_buf_size(self.door.wire.send_bytes_max())
                .keep_alive_interval(limits::PING_EVERY)
                .keep_alive_timeout(limits::PING_EVERY)
                .serve_connection(io, service);
            self.watch_over(connection, |connection| connection.graceful_shutdown())
                .await;
        } else {
            let connection = http1::Builder::new()
                .max_header_size(limits::HEADER_BYTES_MAX)
                .max_buf_size(limits::HEADER_BYTES_MAX)
                // The watch does it: hyper has one time for heads and for rest.
                .header_read_timeout(None::<Duration>)
                .serve_connection(io, service);
            self.watch_over(connection, |connection| connection.graceful_shutdown())
                .await;
        }
    }

    /// Runs it until it ends, its time is over, or the server stops and it has nothing to do.
    async fn watch_over<C: Future<Output = hyper::Result<()>>>(
        self,
        connection: C,
        shut_down: fn(Pin<&mut C>),
    ) {
        let mut stopping = self.front.stopping.clone();
        let watch = Arc::clone(&self.seat.watch);
        let mut connection = pin!(connection);
        let mut told_to_stop = false;
        loop {
            tokio::select! {
                biased;
                ended = connection.as_mut() => {
                    if let Err(error) = ended {
                        tracing::debug!(%error, "a connection broke off");
                    }
                    return;
                }
                () = watch.expired() => {
                    self.front.metrics.connections_expired.up();
                    return;
                }
                _ = stopping.wait_for(|stop| *stop), if !told_to_stop => {
                    if watch.is_unused() {
                        return;
                    }
                    told_to_stop = true;
                    shut_down(connection.as_mut());
                }
                // The end of an answer may still be on its way when nothing is at work any more.
                () = sleep(limits::LAST_WORDS), if told_to_stop => {
                    if watch.is_quiet() {
                        return;
                    }
                }
            }
        }
    }
}
