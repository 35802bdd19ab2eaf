//! The wires of `callgauge serve`: events and questions in, receipts and numbers out.
//!
//! [`Server::open`] takes connections in an accept loop of its own, on a runtime of its own, and
//! answers that it starts; [`OpenServer::serve`] puts the data behind the doors:
//! - **network** threads move bytes, check heads and limits;
//! - **decoder** threads inflate and decode bodies and write large answers, so that one of them
//!   delays no other answer;
//! - the pipeline behind [`EventSink`] makes events durable and answers from its own thread;
//! - queries run on the threads of the [`QueryService`].
//!
//! Nothing here decides what an event or a KPI means, or when an event is safe: the server asks,
//! and says what it was told. Who may ask what is the one table in [`access`]. Every buffer has its
//! limit in [`limits`].

pub mod access;
pub mod alerts;
mod decode;
mod definitions;
pub mod devices;
mod error;
mod flight;
mod http;
pub mod limits;
pub mod live;
mod metrics;
mod reload;
mod settings;
mod sink;
mod tls;
pub mod tokens;
pub mod wallboard;

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use engine::service::QueryService;
use tokio::{
    net::TcpListener,
    runtime::{Builder, Handle, Runtime},
    sync::watch,
    task::JoinHandle,
};

pub use self::{
    definitions::{DefinitionsNews, DefinitionsProblem, DefinitionsState},
    flight::{FlightCall, FlightCallKind, flight_calls},
    http::{
        RouteInfo,
        front::{StartStep, Starting},
        openapi, routes,
    },
    settings::{Settings, Surroundings},
    sink::{Answer, Collector, EventSink},
    tls::{TlsError, TlsFiles},
};
use crate::{
    access::Access,
    devices::{DeviceFileError, Devices},
    flight::Flight,
    http::{
        App,
        accept::{self, Door, Wire},
        front::Front,
    },
    live::LiveFeed,
    tls::Tls,
    tokens::TokenFileError,
};

/// Why a server did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Off loopback anyone could write and read.
    #[error(
        "without a token file only loopback is listened on, not {0}: listen on 127.0.0.1, or \
         configure a token file"
    )]
    NotLoopback(SocketAddr),
    /// Tokens and data would cross a network in the clear.
    #[error(
        "without TLS only loopback is listened on, not {0}: give a certificate (--tls-cert, \
         --tls-key), or say --insecure if a proxy or the network itself protects the connection"
    )]
    NotEncrypted(SocketAddr),
    /// The certificate cannot be used.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The token file cannot be used.
    #[error(transparent)]
    Tokens(#[from] TokenFileError),
    /// The file of paired screens cannot be used.
    #[error(transparent)]
    Devices(#[from] DeviceFileError),
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

/// What stands behind the doors.
#[derive(Clone)]
pub struct Backends {
    /// Where events go.
    pub sink: Arc<dyn EventSink>,
    /// Who answers questions.
    pub queries: QueryService,
    /// What the live board shows.
    pub live: LiveFeed,
    /// What is watched; without it the routes of alerts are not there.
    pub alerts: Option<alerts::Alerting>,
    /// Which definitions questions are answered with.
    pub definitions: DefinitionsNews,
}

/// The doors.
#[derive(Debug)]
pub struct Server;

/// A server at work. Dropped without [`RunningServer::stop`], it ends at once.
#[derive(Debug)]
pub struct RunningServer {
    addr: SocketAddr,
    flight_addr: Option<SocketAddr>,
    stop: watch::Sender<bool>,
    tasks: Vec<JoinHandle<()>>,
    network: Option<Runtime>,
    decoders: Option<Runtime>,
}

/// A server that listens and has no data yet: it says so to all who ask. Dropped, it ends at once.
pub struct OpenServer {
    front: Arc<Front>,
    surroundings: Surroundings,
    devices: Option<Arc<Devices>>,
    http: Door,
    flight: Option<Door>,
    /// Threads of the server, as in `running`.
    network: Handle,
    decoders: Handle,
    running: RunningServer,
}

impl Server {
    /// Listens, and serves until the result is stopped or dropped.
    ///
    /// # Errors
    /// As [`Server::open`].
    pub fn start(
        settings: Settings,
        surroundings: Surroundings,
        backends: Backends,
    ) -> Result<RunningServer, StartError> {
        Ok(Server::open(settings, surroundings)?.serve(backends))
    }

    /// Listens, and answers that it starts. Health says that the process lives.
    ///
    /// Not to be called on an async thread: it waits for the socket.
    ///
    /// # Errors
    /// When the settings are unsafe, the token file or the certificate is wrong, or the system
    /// gives no socket or threads.
    pub fn open(settings: Settings, surroundings: Surroundings) -> Result<OpenServer, StartError> {
        let access = Access::open(
            settings.token_file.as_deref(),
            Arc::clone(&surroundings.now),
        )?;
        let devices = settings.device_file.as_deref();
        let devices = devices.map(|path| Devices::open(path, &surroundings.seed).map(Arc::new));
        let devices = devices.transpose()?;
        let tls = settings.tls.as_ref().map(Tls::open).transpose()?;
        for place in [Some(settings.listen), settings.flight]
            .into_iter()
            .flatten()
        {
            check_place(place, &settings, &access)?;
        }
        let network = runtime("net", settings.network_threads)?;
        let decoders = runtime("decode", settings.decode_threads)?;
        let (listener, addr) = listen(&network, settings.listen)?;
        let flight = settings.flight.map(|place| listen(&network, place));
        let flight = flight.transpose()?;
        let flight_addr = flight.as_ref().map(|(_, addr)| *addr);
        let (stop, stopping) = watch::channel(false);
        let front = Front::new(settings, &surroundings, access, stopping);
        let http = Door::new(Wire::Http, tls.as_ref())?;
        tracing::info!(%addr, tls = tls.is_some(), "listening");
        let run = |door: &Door, listener| {
            network.spawn(accept::run(Arc::clone(&front), door.clone(), listener))
        };
        let mut tasks = vec![run(&http, listener)];
        let mut flight_door = None;
        if let Some((listener, addr)) = flight {
            let door = Door::new(Wire::Grpc, tls.as_ref())?;
            tracing::info!(%addr, tls = tls.is_some(), "listening for Flight SQL");
            tasks.push(run(&door, listener));
            flight_door = Some(door);
        }
        Ok(OpenServer {
            front,
            surroundings,
            devices,
            http,
            flight: flight_door,
            network: network.handle().clone(),
            decoders: decoders.handle().clone(),
            running: RunningServer {
                addr,
                flight_addr,
                stop,
                tasks,
                network: Some(network),
                decoders: Some(decoders),
            },
        })
    }
}

impl OpenServer {
    /// Where it listens, with the port that was found for port 0.
    pub fn addr(&self) -> SocketAddr {
        self.running.addr
    }

    /// Where Flight SQL will be answered, if it will.
    pub fn flight_addr(&self) -> Option<SocketAddr> {
        self.running.flight_addr
    }

    /// For whoever opens the data: to say how far that is.
    pub fn starting(&self) -> Starting {
        self.front.starting.clone()
    }

    /// From now on requests are answered from these.
    pub fn serve(self, backends: Backends) -> RunningServer {
        let OpenServer {
            front,
            network,
            decoders,
            mut running,
            ..
        } = self;
        let app = App::new(
            &front,
            self.surroundings,
            backends,
            self.devices,
            decoders.clone(),
        );
        // They end with their threads.
        decoders.spawn(live::publish(Arc::clone(&app)));
        network.spawn(live::watch_readers(Arc::clone(&app)));
        let stopping = &front.stopping;
        if let Some(alerts) = &app.alerts {
            let watching = Arc::clone(alerts).run(stopping.clone());
            running.tasks.push(network.spawn(watching));
        }
        if let Some(door) = self.flight {
            let flight = Flight::new(Arc::clone(&app));
            door.open(flight::router(&flight));
            let sweeping = flight.sweep(stopping.clone());
            running.tasks.push(network.spawn(sweeping));
        }
        self.http.open(http::router(&app));
        running
    }

    /// Ends before there was anything to serve, as [`RunningServer::stop`] does.
    pub fn stop(self) {
        self.running.stop();
    }
}

/// Refuses to listen where strangers could write and read, or read along.
fn check_place(listen: SocketAddr, settings: &Settings, access: &Access) -> Result<(), StartError> {
    if listen.ip().to_canonical().is_loopback() {
        return Ok(());
    }
    if !access.asks_for_tokens() {
        return Err(StartError::NotLoopback(listen));
    }
    match settings.tls.is_some() || settings.insecure {
        true => Ok(()),
        false => Err(StartError::NotEncrypted(listen)),
    }
}

fn listen(network: &Runtime, at: SocketAddr) -> Result<(TcpListener, SocketAddr), StartError> {
    let bound = network.block_on(async {
        let listener = TcpListener::bind(at).await?;
        let addr = listener.local_addr()?;
        io::Result::Ok((listener, addr))
    });
    bound.map_err(|error| StartError::Listen { addr: at, error })
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

    /// Where Flight SQL is answered, if it is.
    pub fn flight_addr(&self) -> Option<SocketAddr> {
        self.flight_addr
    }

    /// Takes no more connections and requests, lets those at work end within
    /// [`Settings::stop_timeout`], and returns. The pipeline is stopped after this, by its owner.
    ///
    /// Blocks; not to be called on an async thread.
    pub fn stop(mut self) {
        self.stop.send_replace(true);
        for task in std::mem::take(&mut self.tasks) {
            if let Some(network) = &self.network
                && let Err(error) = network.block_on(task)
            {
                tracing::error!(%error, "an accept loop failed");
            }
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
