//! The HTTP door: routes, and what every answer has in common.

pub(crate) mod accept;
pub(crate) mod access;
mod alerts;
mod ask;
pub(crate) mod body;
mod catalog;
mod devices;
pub(crate) mod front;
mod guarded;
mod health;
mod idempotency;
mod ingest;
mod kpi;
mod live;
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
    sync::{Arc, OnceLock, Weak},
    time::Duration,
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
use hyper::body::Incoming;
use tokio::{
    runtime::Handle,
    sync::{Semaphore, watch::Receiver},
    time::Instant,
};

use self::{
    accept::Door,
    front::Front,
    guarded::Guarded,
    idempotency::Idempotency,
    routes::ROUTES,
    seats::{Seat, Seats},
    waiting::Waiting,
};
pub use self::{
    openapi::document as openapi,
    routes::{RouteInfo, routes},
};
use crate::{
    Backends, DefinitionsNews,
    access::{Access, Identity, Right},
    alerts::Alerts,
    devices::Devices,
    error::{ApiError, Code},
    flight::Flight,
    live::Live,
    metrics::Metrics,
    settings::{Settings, Surroundings},
    sink::EventSink,
};

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Everything that requests share.
pub(crate) struct App {
    pub settings: Arc<Settings>,
    pub surroundings: Surroundings,
    pub sink: Arc<dyn EventSink>,
    pub queries: QueryService,
    pub access: Arc<Access>,
    /// Paired screens; `None` where there is no file for them.
    pub devices: Option<Arc<Devices>>,
    pub live: Live,
    /// Where rules are watched.
    pub alerts: Option<Arc<Alerts>>,
    seats: Arc<Seats>,
    pub metrics: Arc<Metrics>,
    pub definitions: DefinitionsNews,
    catalog: catalog::Catalog,
    /// Bytes of bodies that may be in flight.
    pub bytes_in_flight: Arc<Semaphore>,
    idempotency: Arc<Idempotency>,
    pub waiting: Arc<Waiting>,
    /// The other door, if it is open.
    pub flight: OnceLock<Weak<Flight>>,
    /// Where bodies are decoded: never on the threads that move bytes.
    pub decoders: Handle,
    stopping: Receiver<bool>,
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
        front: &Front,
        surroundings: Surroundings,
        backends: Backends,
        devices: Option<Arc<Devices>>,
        decoders: Handle,
    ) -> Arc<Self> {
        let settings = Arc::clone(&front.settings);
        let bytes = settings.bytes_in_flight_max.min(u32::MAX as usize);
        let alerts = backends.alerts.clone();
        let alerts = alerts.map(|alerting| Alerts::new(alerting, &backends, &surroundings));
        Arc::new(App {
            seats: Arc::clone(&front.seats),
            live: Live::new(backends.live, &settings),
            bytes_in_flight: Arc::new(Semaphore::new(bytes)),
            settings,
            surroundings,
            sink: backends.sink,
            queries: backends.queries,
            definitions: backends.definitions,
            access: Arc::clone(&front.access),
            devices,
            alerts,
            metrics: Arc::clone(&front.metrics),
            catalog: catalog::Catalog::default(),
            idempotency: Arc::default(),
            waiting: Arc::default(),
            flight: OnceLock::new(),
            decoders,
            stopping: front.stopping.clone(),
        })
    }

    /// Waits until queries see what a receipt told the sequence of.
    ///
    /// # Errors
    /// No receipt has had that sequence; the time is over; the service ends.
    async fn wait_for_seq(&self, seq: u64, time: Duration) -> Result<(), ApiError> {
        if seq > self.sink.state().committed_seq {
            return Err(ApiError::new(
                Code::BadParameter,
                format!("`min_seq`: no receipt has had the sequence {seq} so far"),
            )
            .hint("take `committed_seq` from the receipt of the events to wait for"));
        }
        Ok(self.queries.wait_for_seq(seq, time).await?)
    }

    /// Tells when the server is about to end.
    pub(crate) fn stopping(&self) -> Receiver<bool> {
        self.stopping.clone()
    }

    /// Has somebody who was let in still the right that it came in with?
    pub(crate) fn still_may(&self, identity: &Identity, right: Right) -> bool {
        let Some(token) = identity.token else {
            return true;
        };
        match (&identity.board, &self.devices) {
            (Some(_), Some(devices)) => devices.has(token, (self.surroundings.now)()),
            (Some(_), None) => false,
            (None, _) => self.access.still_may(token, right),
        }
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
    front: Arc<Front>,
    door: Door,
    seat: Arc<Seat>,
    request: Request<Incoming>,
) -> Result<Response, Infallible> {
    let at_work = seat.watch.busy();
    let route = routes::label(request.uri().path());
    let call = Call {
        id: front.request_id(),
        begun: Instant::now(),
        seat: Arc::clone(&seat),
    };
    let id = Arc::clone(&call.id);
    let request = request.map(Body::new);
    let response = match access::check_host(&front.access, &request) {
        Err(error) => error.into_response(),
        Ok(()) => door.answer(&front, call, request).await,
    };
    let response = finish(response, &id, front.settings.tls.is_some());
    front.metrics.request(route, response.status().as_u16());
    // Until the last byte is sent.
    Ok(response.map(|body| Body::new(Guarded { body, at_work })))
}

/// What every answer has: the request id, and the body of its error if it is one. `tls`: does the
/// server speak nothing else? Then clients may keep to it.
fn finish(mut response: Response, id: &str, tls: bool) -> Response {
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
    if tls {
        let year = HeaderValue::from_static("max-age=31536000");
        headers.insert(header::STRICT_TRANSPORT_SECURITY, year);
    }
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
