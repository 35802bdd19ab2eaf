//! For those who look after the server: is it alive, is it ready, what does it count.

use std::sync::{Arc, Weak};

use axum::{
    extract::State,
    http::{HeaderValue, StatusCode, Uri, header},
    response::{IntoResponse, Response},
};
use ingest::live::LiveState;
use schemars::JsonSchema;
use serde::Serialize;

use super::App;
use crate::{
    error::{ApiError, Code},
    limits,
    metrics::Open,
};

/// Where one asks whether the process is alive.
pub(super) const ALIVE: &str = "/healthz";
/// Where one asks whether it can be used.
pub(super) const READY: &str = "/readyz";

/// `GET /healthz`: 200 while the process can answer; a restart would cure nothing that is named.
pub(super) async fn healthz(State(app): State<Arc<App>>) -> Response {
    let state = app.sink.state();
    let mut parts = ingest_parts(&app, &state);
    parts.extend(query_parts(&state));
    // The next start would find the same files, and not be one.
    parts.extend(named(&[(
        "definitions",
        app.definitions.state().problem.is_some(),
    )]));
    match parts.is_empty() {
        true => answer(StatusCode::OK, "ok", &parts, None),
        false => answer(StatusCode::OK, "degraded", &parts, None),
    }
}

/// `GET /healthz` before the data are open: a restart would only begin again.
pub(super) fn alive_while(reason: &str) -> Response {
    answer(StatusCode::OK, "starting", &[], Some(reason))
}

/// `GET /readyz` before the data are open.
pub(super) fn not_ready_while(reason: &str) -> Response {
    let parts = ["starting"];
    let status = StatusCode::SERVICE_UNAVAILABLE;
    let mut response = answer(status, "not_ready", &parts, Some(reason));
    let seconds = HeaderValue::from(limits::STARTING_RETRY_AFTER.as_secs());
    response.headers_mut().insert(header::RETRY_AFTER, seconds);
    response
}

/// `GET /readyz?for=ingest|query`: 503 with the parts that are not ready. Without `for`, both.
pub(super) async fn readyz(State(app): State<Arc<App>>, uri: Uri) -> Result<Response, ApiError> {
    let state = app.sink.state();
    let mut parts = match uri.query().unwrap_or_default() {
        "for=ingest" => ingest_parts(&app, &state),
        "for=query" => query_parts(&state),
        "" => [ingest_parts(&app, &state), query_parts(&state)].concat(),
        _ => {
            let message = "the only parameter is `for`, with the value `ingest` or `query`";
            return Err(ApiError::new(Code::BadParameter, message));
        }
    };
    if *app.stopping.borrow() {
        parts.push("stopping");
    }
    Ok(match parts.is_empty() {
        true => answer(StatusCode::OK, "ready", &parts, None),
        false => answer(StatusCode::SERVICE_UNAVAILABLE, "not_ready", &parts, None),
    })
}

/// `GET /metrics`: Prometheus text.
pub(super) async fn metrics(State(app): State<Arc<App>>) -> Response {
    let queries = app.queries.stats();
    let flight = app.flight.get().and_then(Weak::upgrade);
    let open = Open {
        connections: app.seats.open(),
        flight: flight.map(|flight| flight.counts()),
        live: app.live.stats((app.surroundings.now)()),
        definitions: Some(app.definitions.state()),
    };
    let text = app.metrics.text(&app.sink.state(), &queries, open);
    let content_type = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
    ([(header::CONTENT_TYPE, content_type)], text).into_response()
}

/// What keeps events from being taken.
fn ingest_parts(app: &App, state: &LiveState) -> Vec<&'static str> {
    let free = state.disk_free_bytes;
    let parts = [
        ("wal", !state.wal_writable),
        (
            "disk",
            free.is_some_and(|bytes| bytes < limits::DISK_FREE_BYTES_MIN),
        ),
        (
            "commits",
            app.waiting.longest() > app.settings.commit_age_max,
        ),
    ];
    named(&parts)
}

/// What keeps queries from seeing everything.
fn query_parts(state: &LiveState) -> Vec<&'static str> {
    named(&[
        ("fold", !state.caught_up),
        ("quarantined_files", state.quarantined_files > 0),
    ])
}

fn named(parts: &[(&'static str, bool)]) -> Vec<&'static str> {
    let wrong = parts.iter().filter(|(_, wrong)| *wrong);
    wrong.map(|(name, _)| *name).collect()
}

/// How the server is.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Health")]
pub(super) struct Body<'a> {
    /// `ok`, `degraded` or `starting`; `ready` or `not_ready`.
    status: &'a str,
    /// What is wrong.
    parts: &'a [&'a str],
    /// How far the start is, while the server starts.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'a str>,
}

fn answer(status: StatusCode, word: &str, parts: &[&str], reason: Option<&str>) -> Response {
    let body = Body {
        status: word,
        parts,
        reason,
    };
    let body = serde_json::to_vec(&body).expect("texts always serialise");
    let mut response = (status, body).into_response();
    super::json(response.headers_mut());
    response
}
