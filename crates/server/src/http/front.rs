//! What stands between a connection and the routes: there from before the data are open to the end.
//!
//! A server listens first and opens its data then, which may take a while. Until it can answer, every
//! request is told so: a monitor sees a process that lives and is not ready yet, not a closed port.

use std::{
    fmt,
    sync::{
        Arc, Mutex, OnceLock, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use axum::{
    Router,
    extract::Request,
    http::Method,
    response::{IntoResponse, Response},
};
use hyper::service::Service as _;
use hyper_util::service::TowerToHyperService;
use tokio::sync::watch::Receiver;
use tonic::Status;

use super::{
    Call,
    accept::Wire,
    access, body, health,
    seats::{SeatLimits, Seats},
};
use crate::{
    access::Access,
    error::{ApiError, Code},
    limits,
    metrics::Metrics,
    settings::{Settings, Surroundings},
};

/// What all connections share, whatever is behind them.
pub(crate) struct Front {
    pub settings: Arc<Settings>,
    pub access: Arc<Access>,
    pub metrics: Arc<Metrics>,
    pub seats: Arc<Seats>,
    pub starting: Starting,
    pub stopping: Receiver<bool>,
    run_id: u64,
    requests: AtomicU64,
}

impl Front {
    pub(crate) fn new(
        settings: Settings,
        surroundings: &Surroundings,
        access: Access,
        stopping: Receiver<bool>,
    ) -> Arc<Self> {
        let limits = SeatLimits {
            all: settings.connections_max,
            per_address: access
                .asks_for_tokens()
                .then_some(settings.connections_per_address_max),
            per_token: settings.connections_per_token_max,
        };
        Arc::new(Front {
            settings: Arc::new(settings),
            access: Arc::new(access),
            metrics: Arc::default(),
            seats: Seats::new(limits),
            starting: Starting::default(),
            stopping,
            run_id: surroundings.run_id,
            requests: AtomicU64::new(0),
        })
    }

    /// A name for a request that no other one has.
    pub(super) fn request_id(&self) -> Arc<str> {
        let number = self.requests.fetch_add(1, Ordering::Relaxed);
        format!("{:016x}-{number:x}", self.run_id).into()
    }
}

/// What is behind a door: nothing at first, then routes for good.
#[derive(Clone, Default)]
pub(crate) struct Behind(Arc<OnceLock<Router>>);

impl Behind {
    /// Requests go to these routes from now on, also those of connections that are there already.
    pub(crate) fn open(&self, routes: Router) {
        // Nobody opens a door twice.
        let _ = self.0.set(routes);
    }

    /// Answers a request, or says that the server starts.
    pub(super) async fn answer(
        &self,
        front: &Front,
        wire: Wire,
        call: Call,
        mut request: Request,
    ) -> Response {
        let Some(routes) = self.0.get() else {
            return front.starting.answer(front, wire, request).await;
        };
        request.extensions_mut().insert(call);
        let routes = TowerToHyperService::new(routes.clone());
        let Ok(response) = routes.call(request).await;
        response
    }
}

/// How far a start is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum StartStep {
    /// Reading what there is.
    #[default]
    Opening,
    /// Bringing rows of the log to memory and data files.
    Replaying {
        /// Rows that are done.
        done: u64,
        /// Rows that there are.
        all: u64,
    },
    /// Making everything else ready.
    Preparing,
}

impl fmt::Display for StartStep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            StartStep::Opening => f.write_str("starting: opening the data"),
            StartStep::Replaying { done, all } => {
                write!(f, "starting: replaying the log, {done} of {all} rows")
            }
            StartStep::Preparing => f.write_str("starting: reading the definitions"),
        }
    }
}

/// Tells those who ask how far a start is. A handle: clones are the same.
#[derive(Clone, Debug, Default)]
pub struct Starting(Arc<Mutex<StartStep>>);

impl Starting {
    /// The start has come to this.
    pub fn step(&self, step: StartStep) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = step;
    }

    fn reason(&self) -> String {
        let step = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        step.to_string()
    }

    async fn answer(&self, front: &Front, wire: Wire, request: Request) -> Response {
        let reason = self.reason();
        if wire == Wire::Grpc {
            return Status::unavailable(reason).into_http();
        }
        let reads = [Method::GET, Method::HEAD].contains(request.method());
        match request.uri().path() {
            health::ALIVE if reads => health::alive_while(&reason),
            health::READY if reads => health::not_ready_while(&reason),
            _ => {
                read_away(front, request).await;
                ApiError::new(Code::NotReady, reason)
                    .hint("send the same request again after the delay; /readyz tells when")
                    .retry_after(limits::STARTING_RETRY_AFTER)
                    .closing()
                    .into_response()
            }
        }
    }
}

/// Reads what a client sends before it reads: the more of it, the better it is known.
async fn read_away(front: &Front, request: Request) {
    let (parts, rest) = request.into_parts();
    let known = front.access.identify(access::bearer(&parts.headers));
    let bytes_max = match known {
        Ok(_) => limits::DISCARDED_BYTES_MAX,
        Err(_) => limits::STRANGER_BYTES_DISCARDED_MAX,
    };
    body::discard_within(front.settings.body_timeout, &parts.headers, rest, bytes_max).await;
}
