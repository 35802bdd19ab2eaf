//! The HTTP door: routes, and what every answer has in common.

mod accept;
mod access;
mod ask;
mod body;
mod health;
mod idempotency;
mod ingest;
mod receipt;
mod seats;
mod waiting;
mod watch;

use std::{
    convert::Infallible,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use axum::{
    Router,
    body::Body,
    extract::Request,
    http::{HeaderMap, HeaderName, HeaderValue, header},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use hyper::{body::Incoming, service::Service as _};
use hyper_util::service::TowerToHyperService;
use tokio::{
    runtime::Handle,
    sync::{Semaphore, watch::Receiver},
    time::Instant,
};

pub(crate) use self::accept::run;
use self::{
    idempotency::Idempotency,
    seats::{Seat, SeatLimits, Seats},
    waiting::Waiting,
};
use crate::{
    error::{ApiError, Code},
    metrics::Metrics,
    settings::{Settings, Surroundings},
    sink::EventSink,
    tokens::Tokens,
};

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

const EVENTS: &str = "/api/v1/events";
const HEALTHZ: &str = "/healthz";
const READYZ: &str = "/readyz";
const METRICS: &str = "/metrics";

/// Everything that requests share.
pub(crate) struct App {
    pub settings: Settings,
    surroundings: Surroundings,
    sink: Arc<dyn EventSink>,
    tokens: Option<Tokens>,
    seats: Arc<Seats>,
    metrics: Metrics,
    /// Bytes of bodies that may be in flight.
    bytes_in_flight: Arc<Semaphore>,
    idempotency: Arc<Idempotency>,
    waiting: Arc<Waiting>,
    /// Where bodies are decoded: never on the threads that move bytes.
    decoders: Handle,
    stopping: Receiver<bool>,
    requests: AtomicU64,
}

/// What a handler knows about its request beside the request.
#[derive(Clone)]
pub(crate) struct Call {
    pub id: Arc<str>,
    pub begun: Instant,
    pub seat: Arc<Seat>,
}

impl App {
    pub(crate) fn new(
        settings: Settings,
        surroundings: Surroundings,
        sink: Arc<dyn EventSink>,
        tokens: Option<Tokens>,
        decoders: Handle,
        stopping: Receiver<bool>,
    ) -> Arc<Self> {
        let limits = SeatLimits {
            all: settings.connections_max,
            per_address: tokens
                .as_ref()
                .map(|_| settings.connections_per_address_max),
            per_token: settings.connections_per_token_max,
        };
        let bytes = settings.bytes_in_flight_max.min(u32::MAX as usize);
        Arc::new(App {
            seats: Seats::new(limits),
            bytes_in_flight: Arc::new(Semaphore::new(bytes)),
            settings,
            surroundings,
            sink,
            tokens,
            metrics: Metrics::default(),
            idempotency: Arc::default(),
            waiting: Arc::default(),
            decoders,
            stopping,
            requests: AtomicU64::new(0),
        })
    }

    fn request_id(&self) -> Arc<str> {
        let number = self.requests.fetch_add(1, Ordering::Relaxed);
        format!("{:016x}-{number:x}", self.surroundings.run_id).into()
    }
}

/// All routes.
pub(crate) fn router(app: Arc<App>) -> Router {
    Router::new()
        .route(EVENTS, post(ingest::events))
        .route(HEALTHZ, get(health::healthz))
        .route(READYZ, get(health::readyz))
        .route(METRICS, get(health::metrics))
        .fallback(async || {
            ApiError::new(Code::NotFound, "there is no such route").hint(format!(
                "routes: POST {EVENTS}, GET {HEALTHZ}, GET {READYZ}, GET {METRICS}"
            ))
        })
        .method_not_allowed_fallback(async || {
            ApiError::new(Code::MethodNotAllowed, "the route has no such method")
                .hint("the Allow header has those it has")
        })
        .with_state(app)
}

/// Answers one request, whatever it is.
async fn respond(
    app: Arc<App>,
    router: Router,
    seat: Arc<Seat>,
    request: Request<Incoming>,
) -> Result<Response, Infallible> {
    seat.watch.busy();
    let route = label(request.uri().path());
    let call = Call {
        id: app.request_id(),
        begun: Instant::now(),
        seat: Arc::clone(&seat),
    };
    let id = Arc::clone(&call.id);
    let mut request = request.map(Body::new);
    let response = match access::check_host(&app, request.headers()) {
        Err(error) => error.into_response(),
        Ok(()) => {
            request.extensions_mut().insert(call);
            let Ok(response) = TowerToHyperService::new(router).call(request).await;
            response
        }
    };
    let response = finish(response, &id);
    app.metrics.request(route, response.status().as_u16());
    seat.watch.idle();
    Ok(response)
}

/// The route as metrics name it: nothing a sender can make up.
fn label(path: &str) -> &'static str {
    [EVENTS, HEALTHZ, READYZ, METRICS]
        .into_iter()
        .find(|route| *route == path)
        .unwrap_or("other")
}

/// What every answer has: the request id, and the body of its error if it is one.
fn finish(mut response: Response, id: &str) -> Response {
    if let Some(error) = response.extensions_mut().remove::<ApiError>() {
        *response.body_mut() = Body::from(error.body(id));
        response.headers_mut().remove(header::CONTENT_LENGTH);
        json(response.headers_mut());
    }
    let headers = response.headers_mut();
    let id = HeaderValue::from_str(id).expect("request ids are hexadecimal");
    headers.insert(REQUEST_ID, id);
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(
        header::X_CONTENT_TYPE_OPTIONS,
        HeaderValue::from_static("nosniff"),
    );
    response
}

fn json(headers: &mut HeaderMap) {
    let json = HeaderValue::from_static("application/json");
    headers.insert(header::CONTENT_TYPE, json);
}
