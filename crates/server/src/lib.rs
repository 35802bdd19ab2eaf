//! The wires of `callgauge serve`: HTTP in, JSON out.
//!
//! [`Server::start`] takes connections in an accept loop of its own, on a runtime of its own:
//! - **network** threads move bytes, check heads and limits;
//! - **decoder** threads inflate and decode bodies, so that a large one delays no other answer;
//! - the pipeline behind [`EventSink`] makes events durable and answers from its own thread.
//!
//! Nothing here decides what an event means or when it is safe: the server asks, and says what it
//! was told. Every buffer has its limit in [`limits`].

mod decode;
mod error;
mod http;
pub mod limits;
mod metrics;
mod settings;
mod sink;
pub mod tokens;

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use tokio::{
    net::TcpListener,
    runtime::{Builder, Runtime},
    sync::watch,
    task::JoinHandle,
};

pub use self::{
    settings::{Settings, Surroundings},
    sink::{Answer, Collector, EventSink},
};
use crate::tokens::{TokenFileError, Tokens};

/// Why a server did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Off loopback anyone could write and read.
    #[error(
        "without a token file only loopback is listened on, not {0}: listen on 127.0.0.1, or \
         configure a token file"
    )]
    NotLoopback(SocketAddr),
    /// The token file cannot be used.
    #[error(transparent)]
    Tokens(#[from] TokenFileError),
    /// The address cannot be had.
    #[error("cannot listen on {addr}: {error}")]
    Listen {
        /// As asked for.
        addr: SocketAddr,
        /// What the system says.
        error: io::Error,
    },
    /// Threads cannot be had.
    #[error("cannot start threads: {0}")]
    Threads(io::Error),
}

/// The HTTP door.
#[derive(Debug)]
pub struct Server;

/// A server at work. Dropped without [`RunningServer::stop`], it ends at once.
#[derive(Debug)]
pub struct RunningServer {
    addr: SocketAddr,
    stop: watch::Sender<bool>,
    accepting: Option<JoinHandle<()>>,
    network: Option<Runtime>,
    decoders: Option<Runtime>,
}

impl Server {
    /// Listens, and serves until the result is stopped or dropped.
    ///
    /// Not to be called on an async thread: it waits for the socket.
    ///
    /// # Errors
    /// When the settings are unsafe, the token file is wrong, or the system gives no socket or
    /// threads.
    pub fn start(
        settings: Settings,
        surroundings: Surroundings,
        sink: Arc<dyn EventSink>,
    ) -> Result<RunningServer, StartError> {
        let tokens = settings
            .token_file
            .as_deref()
            .map(Tokens::read)
            .transpose()?;
        if tokens.is_none() && !settings.listen.ip().to_canonical().is_loopback() {
            return Err(StartError::NotLoopback(settings.listen));
        }
        let network = runtime("net", settings.network_threads)?;
        let decoders = runtime("decode", settings.decode_threads)?;
        let listen = settings.listen;
        let (listener, addr) = network
            .block_on(async {
                let listener = TcpListener::bind(listen).await?;
                let addr = listener.local_addr()?;
                io::Result::Ok((listener, addr))
            })
            .map_err(|error| StartError::Listen {
                addr: listen,
                error,
            })?;
        let (stop, stopping) = watch::channel(false);
        let handle = decoders.handle().clone();
        let app = http::App::new(
            settings,
            surroundings,
            sink,
            tokens,
            handle,
            stopping.clone(),
        );
        tracing::info!(%addr, "listening");
        let accepting = network.spawn(http::run(app, listener, stopping));
        Ok(RunningServer {
            addr,
            stop,
            accepting: Some(accepting),
            network: Some(network),
            decoders: Some(decoders),
        })
    }
}

fn runtime(name: &str, threads: usize) -> Result<Runtime, StartError> {
    Builder::new_multi_thread()
        .worker_threads(threads.max(1))
        .thread_name(name)
        .enable_all()
        .build()
        .map_err(StartError::Threads)
}

impl RunningServer {
    /// Where it listens, with the port that was found for port 0.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Takes no more connections and requests, lets those at work end within
    /// [`Settings::stop_timeout`], and returns. The pipeline is stopped after this, by its owner.
    ///
    /// Blocks; not to be called on an async thread.
    pub fn stop(mut self) {
        self.stop.send_replace(true);
        if let (Some(network), Some(accepting)) = (&self.network, self.accepting.take())
            && let Err(error) = network.block_on(accepting)
        {
            tracing::error!(%error, "the accept loop failed");
        }
        let runtimes = [self.network.take(), self.decoders.take()];
        for runtime in runtimes.into_iter().flatten() {
            runtime.shutdown_timeout(Duration::from_secs(1));
        }
    }
}

impl Drop for RunningServer {
    fn drop(&mut self) {
        let runtimes = [self.network.take(), self.decoders.take()];
        for runtime in runtimes.into_iter().flatten() {
            runtime.shutdown_background();
        }
    }
}
