//! Definitions: `GET /api/v1/catalog[/{kpi}]` (H40).

use std::{collections::HashMap, sync::Arc};

use axum::{
    extract::{Path, State},
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use engine::KpiEntry;
use kpi::Catalogue;
use schemars::JsonSchema;
use serde::Serialize;
use tokio::sync::Mutex;

use super::App;
use crate::{
    DefinitionsState,
    error::{ApiError, Code},
};

/// All KPIs.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Catalog")]
pub(super) struct Body {
    definitions: Definitions,
    /// In the order of the catalogue, a base before its variants.
    kpis: Vec<KpiEntry>,
}

/// Which definitions are in use.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "CatalogDefinitions")]
struct Definitions {
    /// Names the texts of all definition files in use.
    hash: String,
    /// When they came into use.
    since: String,
    /// How often others have taken the place of those before since the server has started.
    reloads: u64,
    /// Why the newest files are not in use; null when they are.
    problem: Option<Problem>,
}

/// What is wrong with definition files.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "CatalogProblem")]
struct Problem {
    /// When they were looked at.
    at: String,
    /// With file, line and what to do.
    message: String,
}

impl From<DefinitionsState> for Definitions {
    fn from(state: DefinitionsState) -> Self {
        let problem = state.problem.map(|problem| Problem {
            at: problem.at.to_string(),
            message: problem.message,
        });
        Definitions {
            hash: state.hash,
            since: state.since.to_string(),
            reloads: state.taken,
            problem,
        }
    }
}

/// The documents, made when first asked for, and anew when what is known of definitions is not
/// what they say.
#[derive(Default)]
pub(super) struct Catalog(Mutex<Option<Arc<Documents>>>);

struct Documents {
    /// What they say of the definitions.
    state: DefinitionsState,
    catalogue: Arc<Catalogue>,
    all: Document,
    by_id: HashMap<String, Document>,
}

/// Something that seldom changes, and its name.
pub(super) struct Document {
    body: Bytes,
    etag: HeaderValue,
}

impl Catalog {
    async fn documents(&self, app: &App) -> Result<Arc<Documents>, ApiError> {
        let mut made = self.0.lock().await;
        // Looked at before they are made: definitions that come meanwhile are another state.
        let state = app.definitions.state();
        if let Some(known) = made.as_ref().filter(|known| known.state == state) {
            return Ok(Arc::clone(known));
        }
        let engine = Arc::clone(app.queries.engine());
        let making = app.decoders.spawn(async move {
            let entries = engine.entries().await.map_err(|e| e.to_string())?;
            Ok::<_, String>(Arc::new(Documents::of(state, entries)))
        });
        let new = making.await.map_err(|_| ApiError::internal())?;
        let new = new.map_err(|error| {
            tracing::error!(error, "the catalogue cannot be told");
            ApiError::internal()
        })?;
        *made = Some(Arc::clone(&new));
        Ok(new)
    }
}

impl Documents {
    fn of(state: DefinitionsState, (catalogue, kpis): (Arc<Catalogue>, Vec<KpiEntry>)) -> Self {
        let by_id = kpis.iter();
        let by_id = by_id.map(|entry| (entry.kpi.clone(), Document::of(entry)));
        Documents {
            by_id: by_id.collect(),
            all: Document::of(&Body {
                definitions: state.clone().into(),
                kpis,
            }),
            state,
            catalogue,
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
    let documents = app.catalog.documents(&app).await?;
    let found = documents.catalogue.find(&kpi).map_err(|unknown| {
        ApiError::new(Code::NotFound, "there is no such KPI").hint(unknown.hint)
    })?;
    let document = documents.by_id.get(&found.id);
    Ok(document.ok_or_else(ApiError::internal)?.answer(&headers))
}
