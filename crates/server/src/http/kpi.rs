//! `GET /api/v1/kpi`: KPIs over a range of time (H30 to H36).
//!
//! A request becomes an [`engine::KpiRequest`], never a piece of SQL.

mod body;
mod question;

use std::{io, sync::Arc};

use axum::{
    Extension,
    extract::State,
    http::Uri,
    response::{IntoResponse, Response},
};
use engine::service::{ErrorKind, QueryError};

pub(super) use self::body::Body;
pub(super) use self::question::PARAMETERS;
use self::question::Question;
use super::{App, Call, tally::Tally};
use crate::{access::Identity, error::ApiError, limits};

/// Answers a KPI request.
pub(super) async fn kpi(
    State(app): State<Arc<App>>,
    Extension(call): Extension<Call>,
    Extension(identity): Extension<Identity>,
    uri: Uri,
) -> Result<Response, ApiError> {
    let mut tally = Tally::new(&app, call.begun);
    let answered = answer(&app, &call, &identity, &uri).await;
    match &answered {
        Ok(_) => tally.done(),
        Err(error) => tally.failed(error),
    }
    answered
}

async fn answer(
    app: &App,
    call: &Call,
    identity: &Identity,
    uri: &Uri,
) -> Result<Response, ApiError> {
    let service = &app.queries;
    let settings = service.engine().settings();
    let now = (app.surroundings.now)();
    let question = Question::read(uri.query(), &settings.zone, now)?;
    let deadline = identity.deadline();
    if let Some(seq) = question.min_seq {
        let wait = deadline.unwrap_or(service.limits().deadline);
        app.wait_for_seq(seq, wait).await?;
    }
    let request = question.request.clone();
    let answer = service.kpi(&identity.caller(), request, deadline).await;
    let answer = answer.map_err(as_error)?;
    let request_id = Arc::clone(&call.id);
    let writing = app.decoders.spawn(async move {
        let body = Body::of(&question, &answer, &request_id);
        capped_json(&body, limits::JSON_ANSWER_BYTES_MAX)
    });
    let body = writing.await.map_err(|_| ApiError::internal())?;
    let body = body.ok_or_else(|| {
        ApiError::too_much_json("ask for a shorter range, larger buckets or fewer dimensions")
    })?;
    let mut response = body.into_response();
    super::json(response.headers_mut());
    Ok(response)
}

/// Whoever asks here reads the catalogue here.
fn as_error(error: QueryError) -> ApiError {
    let near = error
        .hint
        .as_deref()
        .is_some_and(|hint| hint.starts_with("did you mean"));
    let lost = error.kind == ErrorKind::NotFound && !near;
    let error = ApiError::from(error);
    match lost {
        true => error.hint("GET /api/v1/catalog lists all ids"),
        false => error,
    }
}

/// The body as JSON, if it has no more bytes than that: no more are ever made.
fn capped_json(body: &impl serde::Serialize, bytes_max: usize) -> Option<Vec<u8>> {
    /// Takes so many bytes, and then no more.
    struct Capped {
        bytes: Vec<u8>,
        bytes_max: usize,
    }

    impl io::Write for Capped {
        fn write(&mut self, more: &[u8]) -> io::Result<usize> {
            if self.bytes.len() + more.len() > self.bytes_max {
                return Err(io::ErrorKind::FileTooLarge.into());
            }
            self.bytes.extend_from_slice(more);
            Ok(more.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    let bytes = Vec::new();
    let mut out = Capped { bytes, bytes_max };
    let written = serde_json::to_writer(&mut out, body);
    written.is_ok().then_some(out.bytes)
}
