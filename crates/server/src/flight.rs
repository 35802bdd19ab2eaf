//! The Flight SQL door: queries, metadata, prepared statements and events, as Arrow.
//!
//! ```text
//! GetFlightInfo  plan, pin the data's version -> ticket          work begins only here
//! DoGet          ticket -> run -> messages of 2 MiB, two ahead        <----'
//! DoPut          values for a prepared statement · SET · events for events.log
//! DoAction       prepare, close, cancel, renew, session options
//! ```
//!
//! A client is known by a token, as over HTTP; the password of a handshake is one. What a client
//! set and prepared belongs to its [`session`]; what it was promised to be able to read are its
//! [`tickets`]. Queries themselves are `engine::service`'s, events are the pipeline's: this door
//! translates.

mod actions;
mod calls;
mod door;
mod encode;
mod ids;
mod incoming;
mod ingest;
mod metadata;
mod put;
mod rows;
mod session;
mod tickets;
mod wire;

use std::sync::Arc;

use arrow_flight::flight_service_server::FlightServiceServer;
use axum::{
    Extension, Router,
    body::Body,
    extract::{Request, State},
    http::{HeaderMap, header},
    response::Response,
    routing::post,
};
use engine::FunctionNames;
use events::UtcMicros;
use tokio::{
    sync::{Semaphore, watch::Receiver},
    time::interval,
};
use tonic::{Status, codegen::Service};

use self::{
    door::Caller,
    ids::{Id, Ids},
    incoming::Held,
    metadata::About,
    session::Sessions,
    tickets::Tickets,
};
use crate::{
    access::{Identity, Right},
    error::{ApiError, Code},
    http::{App, Call, access::cookie, seats::Seat},
    limits,
};

pub use self::calls::{FlightCall, FlightCallKind, flight_calls};

/// Names a session for clients that keep cookies.
const COOKIE: &str = "arrow_flight_session_id";

const HANDSHAKE: &str = "Handshake";
const DO_PUT: &str = "DoPut";

/// Everything that the calls share.
pub(crate) struct Flight {
    app: Arc<App>,
    ids: Ids,
    sessions: Sessions,
    tickets: Tickets,
    /// Streams of events that are taken at a time.
    ingests: Semaphore,
    words: FunctionNames,
}

impl Flight {
    /// A door of `app`.
    pub(crate) fn new(app: Arc<App>) -> Arc<Self> {
        let flight = Arc::new(Flight {
            ids: Ids::new(&app.surroundings.seed),
            app,
            sessions: Sessions::default(),
            tickets: Tickets::default(),
            ingests: Semaphore::new(limits::INGESTS_MAX),
            words: engine::function_names(),
        });
        // For the metrics, which belong to the other door. There is one Flight door at most.
        let _ = flight.app.flight.set(Arc::downgrade(&flight));
        flight
    }

    fn now(&self) -> UtcMicros {
        (self.app.surroundings.now)()
    }

    /// Tickets and sessions that there are.
    pub(crate) fn counts(&self) -> (usize, usize) {
        (self.tickets.len(), self.sessions.len())
    }

    fn about(&self, identity: &Identity) -> About<'_> {
        About {
            writes: identity.may(Right::IngestArrow),
            connections_max: self.app.settings.connections_max,
            words: &self.words,
        }
    }

    fn close(&self, session: Id) {
        self.sessions.close(session);
        self.tickets.forget(session);
    }

    /// Forgets what nobody has used for too long, until `stopping`.
    pub(crate) async fn sweep(self: Arc<Self>, mut stopping: Receiver<bool>) {
        let mut ticks = interval(limits::SWEEP_EVERY);
        loop {
            tokio::select! {
                _ = stopping.wait_for(|stop| *stop) => return,
                _ = ticks.tick() => {}
            }
            let now = self.now();
            self.tickets.sweep(now);
            for session in self.sessions.sweep(now) {
                self.tickets.forget(session);
            }
        }
    }

    /// Who calls, or why nobody does.
    fn admit(&self, method: &str, headers: &HeaderMap, seat: &Seat) -> Result<Caller, ApiError> {
        let credential = Credential::of(headers)?;
        let caller = match method {
            HANDSHAKE => self.open_session(credential)?,
            _ => self.find_session(credential, headers, seat)?,
        };
        match seat.admit(caller.identity.token) {
            true => Ok(caller),
            false => Err(ApiError::new(
                Code::RateLimited,
                "the token has as many connections open as it may have",
            )
            .hint("use connections again instead of opening new ones")),
        }
    }

    /// A handshake: the password is a token; without a token file any password is good.
    fn open_session(&self, credential: Credential) -> Result<Caller, ApiError> {
        let token = credential.secret();
        let identity = self.app.access.identify(token.as_deref())?;
        let now = self.now();
        let (session, secret) = self.sessions.open(&self.ids, &identity, token, now)?;
        Ok(Caller {
            identity,
            session,
            secret: Some(secret),
        })
    }

    fn find_session(
        &self,
        credential: Credential,
        headers: &HeaderMap,
        seat: &Seat,
    ) -> Result<Caller, ApiError> {
        let now = self.now();
        let session = match &credential {
            Credential::Bearer(secret) => self.sessions.find(secret, now),
            _ => None,
        };
        if let Some(session) = session {
            // Its token may have expired or been taken back since.
            let identity = self.app.access.identify(session.token.as_deref())?;
            return Ok(Caller {
                identity,
                session,
                secret: None,
            });
        }
        if matches!(credential, Credential::Bearer(_)) && !self.app.access.asks_for_tokens() {
            return Err(
                ApiError::new(Code::Unauthenticated, "the session has ended").hint("connect again"),
            );
        }
        let identity = self.app.access.identify(credential.secret().as_deref())?;
        let by_cookie = cookie(headers, COOKIE).and_then(|secret| self.sessions.find(secret, now));
        let session = match by_cookie.filter(|session| session.holder == identity.token) {
            Some(session) => session,
            None => self
                .sessions
                .of_connection(&self.ids, seat.id(), &identity, now)?,
        };
        Ok(Caller {
            identity,
            session,
            secret: None,
        })
    }
}

/// What a call shows of who makes it.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Credential {
    Nothing,
    /// A token, or the secret of a session.
    Bearer(String),
    /// The password of a login.
    Basic(String),
}

impl Credential {
    fn of(headers: &HeaderMap) -> Result<Self, ApiError> {
        let Some(value) = headers.get(header::AUTHORIZATION) else {
            return Ok(Credential::Nothing);
        };
        let read = value.to_str().ok().and_then(|text| {
            let (scheme, rest) = text.split_once(' ')?;
            let rest = rest.trim();
            match scheme.to_ascii_lowercase().as_str() {
                "bearer" => Some(Credential::Bearer(rest.to_owned())),
                "basic" => password(rest).map(Credential::Basic),
                _ => None,
            }
        });
        read.ok_or_else(|| {
            ApiError::new(
                Code::Unauthenticated,
                "the authorization header cannot be read",
            )
            .hint("log in with any user name and a token as the password, or send `Bearer TOKEN`")
        })
    }

    /// The token that it may be.
    fn secret(&self) -> Option<String> {
        match self {
            Credential::Nothing => None,
            Credential::Bearer(text) | Credential::Basic(text) => {
                Some(text.clone()).filter(|text| !text.is_empty())
            }
        }
    }
}

/// The password in a Basic credential. The user name means nothing here: a token names itself.
fn password(encoded: &str) -> Option<String> {
    use base64::{Engine as _, prelude::BASE64_STANDARD_NO_PAD};
    // Go's drivers send it without padding.
    let decoded = BASE64_STANDARD_NO_PAD
        .decode(encoded.trim_end_matches('='))
        .ok()?;
    let text = String::from_utf8(decoded).ok()?;
    let (_, password) = text.split_once(':')?;
    Some(password.to_owned())
}

/// All calls of the service.
pub(crate) fn router(flight: &Arc<Flight>) -> Router {
    Router::new()
        .route("/arrow.flight.protocol.FlightService/{method}", post(call))
        .fallback(async || refuse(ApiError::new(Code::Unimplemented, "there is no such call")))
        .with_state(Arc::clone(flight))
}

/// One call: who makes it is known before anything of its body is read.
async fn call(
    State(flight): State<Arc<Flight>>,
    Extension(about): Extension<Call>,
    mut request: Request,
) -> Response {
    let path = request.uri().path();
    let method = path.rsplit('/').next().unwrap_or_default();
    let message_bytes_max = match method {
        DO_PUT => limits::PUT_MESSAGE_BYTES_MAX,
        _ => limits::CALL_MESSAGE_BYTES_MAX,
    };
    match flight.admit(method, request.headers(), &about.seat) {
        Ok(caller) => {
            request.extensions_mut().insert(caller);
        }
        Err(error) => {
            if error.code == Code::Unauthenticated {
                flight.app.metrics.auth_failures.up();
            }
            return refuse(error);
        }
    }
    if message_bytes_max == limits::PUT_MESSAGE_BYTES_MAX {
        request = match Held::none(&flight.app.bytes_in_flight) {
            Ok(held) => {
                let mut request = request.map(|body| held.counting(body));
                request.extensions_mut().insert(held);
                request
            }
            Err(error) => return refuse(error),
        };
    }
    let mut service = FlightServiceServer::from_arc(flight)
        .max_decoding_message_size(message_bytes_max)
        .max_encoding_message_size(limits::MESSAGE_BYTES_MAX);
    let Ok(response) = service.call(request).await;
    response.map(Body::new)
}

fn refuse(error: ApiError) -> Response {
    Status::from(error).into_http()
}
