//! Queries at work: `GET /api/v1/queries`, `DELETE /api/v1/queries/{id}` (H24).

use std::sync::Arc;

use axum::{
    Extension,
    extract::{Path, State},
    response::Response,
};
use engine::service::RunningQuery;
use schemars::JsonSchema;
use serde::Serialize;

use super::App;
use crate::{
    access::Identity,
    error::{ApiError, Code},
};

/// Queries at work, the oldest first.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Queries")]
pub(super) struct Body {
    queries: Vec<Query>,
}

/// One of them.
#[derive(Serialize, JsonSchema)]
struct Query {
    /// For `DELETE /api/v1/queries/{id}`.
    id: u64,
    /// Name of the token that it came with.
    caller: String,
    /// What was asked.
    text: String,
    /// `waiting`, `running`, or `ending` after it was told to.
    state: &'static str,
    /// Since it came.
    age_ms: u64,
    /// Rows of its answer so far.
    rows: u64,
}

/// A query was cancelled.
#[derive(Serialize, JsonSchema)]
pub(super) struct Cancelled {
    cancelled: u64,
}

/// Lists queries: one's own, or everybody's by role.
pub(super) async fn list(
    State(app): State<Arc<App>>,
    Extension(identity): Extension<Identity>,
) -> Response {
    let mut queries = app.queries.running(&identity.caller());
    queries.sort_by_key(|query| query.id);
    super::answer(&Body {
        queries: queries.iter().map(Query::from).collect(),
    })
}

impl From<&RunningQuery> for Query {
    fn from(query: &RunningQuery) -> Self {
        Query {
            id: query.id,
            caller: query.caller.to_string(),
            text: query.text.to_string(),
            state: query.state.word(),
            age_ms: u64::try_from(query.age.as_millis()).unwrap_or(u64::MAX),
            rows: query.rows,
        }
    }
}

/// Cancels a query. Somebody else's looks like none to those who may not see it.
pub(super) async fn cancel(
    State(app): State<Arc<App>>,
    Extension(identity): Extension<Identity>,
    Path(id): Path<String>,
) -> Result<Response, ApiError> {
    let missing = || {
        ApiError::new(Code::NotFound, "there is no such query at work")
            .hint("GET /api/v1/queries lists those that are")
    };
    let id: u64 = id.parse().map_err(|_| missing())?;
    match app.queries.cancel(&identity.caller(), id) {
        true => Ok(super::answer(&Cancelled { cancelled: id })),
        false => Err(missing()),
    }
}
