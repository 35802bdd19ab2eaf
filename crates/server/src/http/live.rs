//! The live board: `GET /api/v1/live/snapshot` and `/stream`, `GET /api/v1/boards[/{id}]`
//! (H41 to H43).

use std::sync::Arc;

use axum::{
    Extension,
    extract::{Path, State},
    http::{HeaderMap, HeaderName, HeaderValue, Uri, header},
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use schemars::JsonSchema;
use serde::Serialize;

use super::{
    App, Call,
    catalog::Document,
    parameters::Parameters,
    routes::{Kind, Parameter, Place},
};
use crate::{
    access::Identity,
    error::{ApiError, Code},
    limits,
    live::{Board, Form, Lang, Titles, Wanted},
};

const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");
const ACCEL_BUFFERING: HeaderName = HeaderName::from_static("x-accel-buffering");

const BOARD: Parameter = Parameter {
    name: "board",
    place: Place::Query,
    kind: Kind::Text,
    about: "Its id; `now` when absent, or the board of the screen that asks.",
};

const LANG: Parameter = Parameter {
    name: "lang",
    place: Place::Query,
    kind: Kind::OneOf(Lang::WORDS),
    about: "English when absent.",
};

pub(super) const SNAPSHOT_PARAMETERS: &[Parameter] = &[BOARD, LANG];

pub(super) const STREAM_PARAMETERS: &[Parameter] = &[
    BOARD,
    LANG,
    Parameter {
        name: "Last-Event-ID",
        place: Place::Header,
        kind: Kind::Text,
        about: "The newest id that was received: what has changed since comes first.",
    },
];

/// All that a board shows, at one moment.
pub(super) async fn snapshot(
    State(app): State<Arc<App>>,
    Extension(identity): Extension<Identity>,
    headers: HeaderMap,
    uri: Uri,
) -> Result<Response, ApiError> {
    let (board, lang) = wanted(&app, &identity, &uri, SNAPSHOT_PARAMETERS)?;
    let view = app.live.view(&board).ok_or_else(not_ready)?;
    let written = view.written(lang, Form::Document, &app.decoders).await;
    let body = written.ok().flatten().ok_or_else(ApiError::internal)?;
    let (alerts, changed) = app.live.feed.alerts.open();
    let name = format!("{}-{changed}", view.id());
    Ok(Document::named(with_alerts(&body, &alerts), &name).answer(&headers))
}

/// Puts a list of alerts into what was written of a frame: both are written once for all who ask,
/// and change at their own times.
fn with_alerts(frame: &[u8], alerts: &[u8]) -> Bytes {
    let open = frame.strip_suffix(b"}").unwrap_or(frame);
    [open, b",\"alerts\":", alerts, b"}"].concat().into()
}

/// A board from now on, as an event stream.
pub(super) async fn stream(
    State(app): State<Arc<App>>,
    Extension(call): Extension<Call>,
    Extension(identity): Extension<Identity>,
    headers: HeaderMap,
    uri: Uri,
) -> Result<Response, ApiError> {
    let (board, lang) = wanted(&app, &identity, &uri, STREAM_PARAMETERS)?;
    let wanted = Wanted {
        board: &board.file.id,
        lang,
        last_event_id: headers.get(LAST_EVENT_ID).and_then(|id| id.to_str().ok()),
    };
    let body = app.live.stream(&app, &wanted, identity, &call.seat);
    let mut response = body.ok_or_else(|| too_many(&app))?.into_response();
    let fields = [
        (header::CONTENT_TYPE, "text/event-stream"),
        (header::CACHE_CONTROL, "no-store"),
        // A proxy that collects an answer before it hands it on would stop the clock on the wall.
        (ACCEL_BUFFERING, "no"),
    ];
    for (name, value) in fields {
        response
            .headers_mut()
            .insert(name, HeaderValue::from_static(value));
    }
    Ok(response)
}

fn wanted(
    app: &App,
    identity: &Identity,
    uri: &Uri,
    known: &[Parameter],
) -> Result<(Arc<Board>, Lang), ApiError> {
    let parameters = Parameters::read(uri.query(), known)?;
    let usual = identity.board.as_deref().unwrap_or("now");
    let board = find(app, identity, parameters.get("board").unwrap_or(usual))?;
    Ok((board, Lang::of(parameters.get("lang"))))
}

/// A board that may be looked at.
fn find(app: &App, identity: &Identity, id: &str) -> Result<Arc<Board>, ApiError> {
    if let Some(own) = identity.board.as_deref()
        && own != id
    {
        return Err(ApiError::new(
            Code::Forbidden,
            "this screen may look at its own board only",
        )
        .hint("a supervisor can pair it again for another board"));
    }
    let boards = &app.live.feed.boards;
    boards.get(id).cloned().ok_or_else(|| {
        ApiError::new(Code::NotFound, "there is no such board").hint(boards.near(id))
    })
}

fn not_ready() -> ApiError {
    ApiError::new(Code::NotReady, "the live board has not been computed yet")
        .hint("ask again; the stream begins by itself as soon as there is a frame")
        .retry_after(limits::RETRY_AFTER)
}

fn too_many(app: &App) -> ApiError {
    let most = app.settings.live_streams_max;
    ApiError::new(
        Code::RateLimited,
        format!("{most} live boards are open, and there may be no more"),
    )
    .hint("close some, or ask /api/v1/live/snapshot every 30 seconds")
    .retry_after(limits::LIVE_HEART_BEAT)
}

/// The boards there are.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Boards")]
pub(super) struct BoardsBody<'a> {
    boards: Vec<BoardName<'a>>,
}

/// One of them.
#[derive(Serialize, JsonSchema)]
struct BoardName<'a> {
    id: &'a str,
    version: u32,
    title: &'a Titles,
}

/// Lists boards: all, or the one of a screen.
pub(super) async fn boards(
    State(app): State<Arc<App>>,
    Extension(identity): Extension<Identity>,
    headers: HeaderMap,
) -> Response {
    let own = identity.board.as_deref();
    let boards = app.live.feed.boards.iter().map(|board| &board.file);
    let boards = boards.filter(|file| own.is_none_or(|own| own == file.id));
    let boards = boards.map(|file| BoardName {
        id: &file.id,
        version: file.version,
        title: &file.title,
    });
    let body = BoardsBody {
        boards: boards.collect(),
    };
    Document::of(&body).answer(&headers)
}

/// One board, as its file has it.
pub(super) async fn board(
    State(app): State<Arc<App>>,
    Extension(identity): Extension<Identity>,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let board = find(&app, &identity, &id)?;
    Ok(Document::of(&board.file).answer(&headers))
}
