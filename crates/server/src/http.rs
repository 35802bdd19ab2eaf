//! The HTTP door: routes, and what every answer has in common.

pub(crate) mod accept;
pub(crate) mod access;
mod ask;
mod body;
mod catalog;
mod guarded;
mod health;
mod idempotency;
mod ingest;
mod kpi;
mod openapi;
mod page;
mod parameters;
mod queries;
mod receipt;
mod routes;
pub(crate) mod seats;
mod sql;
mod tally;
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
    middleware,
    response::{IntoResponse, Response},
};
use engine::service::QueryService;
use hyper::{body::Incoming, service::Service as _};
use hyper_util::service::TowerToHyperService;
use tokio::{
    runtime::Handle,
    sync::{Semaphore, watch::Receiver},
    time::Instant,
};

use self::{
    guarded::Guarded,
    idempotency::Idempotency,
    routes::ROUTES,
    seats::{Seat, SeatLimits, Seats},
    waiting::Waiting,
};
pub use self::{
    openapi::document as openapi,
    routes::{RouteInfo, routes},
};
use crate::{
    Backends,
    access::Access,
    error::{ApiError, Code},
    metrics::Metrics,
    settings::{Settings, Surroundings},
    sink::EventSink,
};

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Everything that requests share.
pub(crate) struct App {
    pub settings: Settings,
    pub surroundings: Surroundings,
    pub sink: Arc<dyn EventSink>,
    pub queries: QueryService,
    pub access: Access,
    seats: Arc<Seats>,
    pub metrics: Metrics,
    catalog: catalog::Catalog,
    /// Bytes of bodies that may be in flight.
    bytes_in_flight: Arc<Semaphore>,
    idempotency: Arc<Idempotency>,
    pub waiting: Arc<Waiting>,
    /// Where bodies are decoded: never on the threads that move bytes.
    pub decoders: Handle,
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
        backends: Backends,
        access: Access,
        decoders: Handle,
        stopping: Receiver<bool>,
    ) -> Arc<Self> {
        let limits = SeatLimits {
            all: settings.connections_max,
            per_address: access
                .asks_for_tokens()
                .then_some(settings.connections_per_address_max),
            per_token: settings.connections_per_token_max,
        };
        let bytes = settings.bytes_in_flight_max.min(u32::MAX as usize);
        Arc::new(App {
            seats: Seats::new(limits),
            bytes_in_flight: Arc::new(Semaphore::new(bytes)),
            settings,
            surroundings,
            sink: backends.sink,
            queries: backends.queries,
            access,
            metrics: Metrics::default(),
            catalog: catalog::Catalog::default(),
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

/// All routes of the table, each behind its rights.
pub(crate) fn router(app: &Arc<App>) -> Router {
    let mut router = Router::new();
    for route in ROUTES {
        let guard = middleware::from_fn_with_state((Arc::clone(app), route), access::guard);
        router = router.route(route.path, (route.handler)().route_layer(guard));
    }
    router
        .fallback(async || {
            ApiError::new(Code::NotFound, "there is no such route")
                .hint(format!("GET {} lists all routes", routes::PAGE))
        })
        .method_not_allowed_fallback(async || {
            ApiError::new(Code::MethodNotAllowed, "the route has no such method")
                .hint("the Allow header has those it has")
        })
        .with_state(Arc::clone(app))
}

/// Answers one request, whatever it is.
async fn respond(
    app: Arc<App>,
    router: Router,
    seat: Arc<Seat>,
    request: Request<Incoming>,
) -> Result<Response, Infallible> {
    let at_work = seat.watch.busy();
    let route = routes::label(request.uri().path());
    let call = Call {
        id: app.request_id(),
        begun: Instant::now(),
        seat: Arc::clone(&seat),
    };
    let id = Arc::clone(&call.id);
    let mut request = request.map(Body::new);
    let response = match access::check_host(&app, &request) {
        Err(error) => error.into_response(),
        Ok(()) => {
            request.extensions_mut().insert(call);
            let Ok(response) = TowerToHyperService::new(router).call(request).await;
            response
        }
    };
    let response = finish(response, &id);
    app.metrics.request(route, response.status().as_u16());
    // Until the last byte is sent.
    Ok(response.map(|body| Body::new(Guarded { body, at_work })))
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
    headers
        .entry(header::CACHE_CONTROL)
        .or_insert(HeaderValue::from_static("no-store"));
    headers.insert(
        header::X_CONTENT_TYPE_OPTIONS,
        HeaderValue::from_static("nosniff"),
    );
    // A page may have said something stricter.
    headers
        .entry(header::CONTENT_SECURITY_POLICY)
        .or_insert(HeaderValue::from_static(
            "default-src 'self'; frame-ancestors 'none'",
        ));
    headers.insert(
        header::REFERRER_POLICY,
        HeaderValue::from_static("no-referrer"),
    );
    response
}

fn json(headers: &mut HeaderMap) {
    let json = HeaderValue::from_static("application/json");
    headers.insert(header::CONTENT_TYPE, json);
}

/// What went well, as JSON.
fn answer(body: &impl serde::Serialize) -> Response {
    let body = serde_json::to_vec(body).expect("texts and numbers always serialise");
    let mut response = body.into_response();
    json(response.headers_mut());
    response
}
