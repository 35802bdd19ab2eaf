//! The accept loop, and the life of one connection.
//!
//! HTTP/1.1 only: a sender of batches gains nothing from HTTP/2, and its streams would need limits
//! of their own.

use std::{pin::pin, sync::Arc, time::Duration};

use axum::Router;
use hyper::{server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use tokio::{
    net::{TcpListener, TcpStream},
    sync::watch::Receiver,
    time::timeout,
};

use super::{
    App, respond, router,
    seats::{Seat, Taken},
    watch::{Watch, Watched},
};
use crate::limits;

/// Takes connections until `stopping`, then waits for those that are at work.
pub(crate) async fn run(app: Arc<App>, listener: TcpListener, mut stopping: Receiver<bool>) {
    let router = router(Arc::clone(&app));
    loop {
        let accepted = tokio::select! {
            biased;
            _ = stopping.wait_for(|stop| *stop) => break,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, peer)) => {
                let watch = Watch::new(app.settings.header_timeout, app.settings.idle_timeout);
                let seat = match app.seats.take(peer.ip(), watch) {
                    Taken::Free(seat) => seat,
                    Taken::InsteadOfAnother(seat) => {
                        app.metrics.connections_refused.up();
                        seat
                    }
                    Taken::Refused => {
                        app.metrics.connections_refused.up();
                        continue;
                    }
                };
                let serving = serve(
                    Arc::clone(&app),
                    router.clone(),
                    stream,
                    seat,
                    stopping.clone(),
                );
                tokio::spawn(serving);
            }
            Err(error) => {
                // Most likely no file descriptor is left: one comes free when a connection ends.
                tracing::warn!(%error, "a connection could not be taken");
                app.seats.make_room();
                let _ = timeout(limits::ACCEPT_RETRY, app.seats.left()).await;
            }
        }
    }
    drop(listener);
    let all_left = async {
        while app.seats.open() > 0 {
            app.seats.left().await;
        }
    };
    if timeout(app.settings.stop_timeout, all_left).await.is_err() {
        tracing::warn!(
            open = app.seats.open(),
            "connections did not end in time and are cut"
        );
    }
}

/// Serves one connection to its end.
async fn serve(
    app: Arc<App>,
    router: Router,
    stream: TcpStream,
    seat: Seat,
    mut stopping: Receiver<bool>,
) {
    // Answers are small and complete: waiting for more to send only delays them.
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "a connection without TCP_NODELAY");
    }
    let watch = Arc::clone(&seat.watch);
    let seat = Arc::new(seat);
    let io = TokioIo::new(Watched {
        stream,
        watch: Arc::clone(&watch),
    });
    let service =
        service_fn(|request| respond(Arc::clone(&app), router.clone(), Arc::clone(&seat), request));
    let connection = http1::Builder::new()
        .max_header_size(limits::HEADER_BYTES_MAX)
        .max_buf_size(limits::HEADER_BYTES_MAX)
        // The watch does it: hyper has one time for heads and for rest.
        .header_read_timeout(None::<Duration>)
        .serve_connection(io, service);
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
                app.metrics.connections_expired.up();
                return;
            }
            _ = stopping.wait_for(|stop| *stop), if !told_to_stop => {
                if watch.is_quiet() {
                    return;
                }
                told_to_stop = true;
                connection.as_mut().graceful_shutdown();
            }
        }
    }
}
