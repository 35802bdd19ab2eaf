//! Definitions: `GET /api/v1/catalog[/{kpi}]` (H40).

use std::{collections::HashMap, sync::Arc};

use axum::{
    extract::{Path, State},
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use engine::KpiEntry;
use schemars::JsonSchema;
use serde::Serialize;
use tokio::sync::OnceCell;

use super::App;
use crate::error::{ApiError, Code};

/// All KPIs.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Catalog")]
pub(super) struct Body {
    /// In the order of the catalogue, a base before its variants.
    kpis: Vec<KpiEntry>,
}

/// The documents, made when first asked for: definitions do not change while the server runs.
#[derive(Default)]
pub(super) struct Catalog(OnceCell<Documents>);

struct Documents {
    all: Document,
    by_id: HashMap<String, Document>,
}

/// Something that seldom changes, and its name.
pub(super) struct Document {
    body: Bytes,
    etag: HeaderValue,
}

impl Catalog {
    async fn documents(&self, app: &App) -> Result<&Documents, ApiError> {
        let make = async || {
            let engine = Arc::clone(app.queries.engine());
            let making = app.decoders.spawn(async move {
                let entries = engine.entries().await;
                entries.map(Documents::of).map_err(|e| e.to_string())
            });
            let made = making.await.map_err(|_| ApiError::internal())?;
            made.map_err(|error| {
                tracing::error!(error, "the catalogue cannot be told");
                ApiError::internal()
            })
        };
        self.0.get_or_try_init(make).await
    }
}

impl Documents {
    fn of(entries: Vec<KpiEntry>) -> Self {
        let by_id = entries
            .iter()
            .map(|entry| (entry.kpi.clone(), Document::of(entry)))
            .collect();
        Documents {
            all: Document::of(&Body { kpis: entries }),
            by_id,
        }
    }
}

impl Document {
    /// Named by what it says.
    pub(super) fn of(value: &impl Serialize) -> Self {
        let body = serde_json::to_vec(value).expect("texts and numbers always serialise");
        let hash = blake3::hash(&body).to_hex();
        Document::named(body.into(), &hash[..32])
    }

    /// With a name of digits, letters and hyphens.
    pub(super) fn named(body: Bytes, name: &str) -> Self {
        let etag = HeaderValue::from_str(&format!("\"{name}\""));
        Document {
            body,
            etag: etag.expect("plain characters"),
        }
    }

    /// The document, or 304 to one who has it already.
    pub(super) fn answer(&self, headers: &HeaderMap) -> Response {
        let known = headers
            .get_all(header::IF_NONE_MATCH)
            .iter()
            .filter_map(|value| value.to_str().ok())
            .flat_map(|value| value.split(','))
            .map(|tag| tag.trim().trim_start_matches("W/"))
            .any(|tag| tag == "*" || tag.as_bytes() == self.etag.as_bytes());
        let mut response = match known {
            true => StatusCode::NOT_MODIFIED.into_response(),
            false => self.body.clone().into_response(),
        };
        let headers = response.headers_mut();
        if !known {
            super::json(headers);
        }
        headers.insert(header::ETAG, self.etag.clone());
        let ask_again = HeaderValue::from_static("private, no-cache");
        headers.insert(header::CACHE_CONTROL, ask_again);
        response
    }
}

/// All KPIs.
pub(super) async fn all(
    State(app): State<Arc<App>>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let documents = app.catalog.documents(&app).await?;
    Ok(documents.all.answer(&headers))
}

/// One KPI, by id or alias.
pub(super) async fn one(
    State(app): State<Arc<App>>,
    Path(kpi): Path<String>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let found = app.queries.engine().catalogue().find(&kpi);
    let found = found.map_err(|unknown| {
        ApiError::new(Code::NotFound, "there is no such KPI").hint(unknown.hint)
    })?;
    let documents = app.catalog.documents(&app).await?;
    let document = documents.by_id.get(&found.id);
    Ok(document.ok_or_else(ApiError::internal)?.answer(&headers))
}
