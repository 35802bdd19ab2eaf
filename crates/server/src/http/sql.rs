//! `POST /api/v1/sql`: one query, answered as JSON, CSV or Arrow (H20 to H23).
//!
//! JSON is built whole before its head is sent, so its status tells how the query ended. CSV and
//! Arrow are streamed: the status tells how it began, and an error after that cuts the body off
//! without its end mark, so that nobody takes half of an answer for all of it.

mod arrow;
mod cells;
mod csv;
mod json;
mod stream;

use std::{sync::Arc, time::Duration};

use ::arrow::{
    array::{ArrayRef, BooleanArray, Float64Array, Int64Array, RecordBatch, StringArray},
    datatypes::SchemaRef,
};
use axum::{
    Extension,
    extract::{Request, State},
    http::{HeaderMap, HeaderName, HeaderValue, header},
    response::{IntoResponse, Response},
};
use engine::{
    SessionSettings,
    service::{Planned, QueryError, ResultStream, RunOptions},
};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;
use tokio::time::Instant;

pub(super) use json::Body;

use super::{
    App, Call,
    body::{self, Received},
    parameters::Parameters,
    routes::{Kind, Parameter, Place},
    tally::Tally,
};
use crate::{
    access::Identity,
    error::{ApiError, Code},
    limits,
};

pub(super) const PARAMETERS: &[Parameter] = &[
    Parameter {
        name: "int64",
        place: Place::Query,
        kind: Kind::OneOf(&["number", "string"]),
        about: "How JSON has whole numbers: as numbers, or as texts for readers that know only \
                floating point.",
    },
    Parameter {
        name: "bom",
        place: Place::Query,
        kind: Kind::Flag,
        about: "Does CSV begin with a byte order mark, as some spreadsheets want it?",
    },
];

const QUERY_ID: HeaderName = HeaderName::from_static("x-query-id");
const AS_OF: HeaderName = HeaderName::from_static("x-as-of");
const REVISION: HeaderName = HeaderName::from_static("x-revision");

/// A question in SQL.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "SqlQuestion")]
pub(super) struct Question {
    /// One statement; parameters are `?` or `$1`, `$2` ...
    sql: String,
    /// Values of the parameters: texts, numbers, true, false or null.
    #[serde(default)]
    params: Vec<Value>,
    /// IANA zone of calendar buckets; the server's when absent.
    zone: Option<String>,
    /// How long it may take; at most the server's own limit.
    timeout_ms: Option<u64>,
    /// At most so many rows; JSON says if there were more.
    limit: Option<u64>,
    /// Wait until this `committed_seq` of a receipt is visible.
    min_seq: Option<u64>,
}

/// How the answer is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    Json { int64_as_text: bool },
    Csv { bom: bool },
    Arrow,
}

/// Turns batches into bytes.
trait Writer: Send {
    /// What comes before the first row.
    fn begin(&mut self, out: &mut Vec<u8>) -> Result<(), ApiError>;
    /// Rows.
    fn rows(&mut self, batch: &RecordBatch, out: &mut Vec<u8>) -> Result<(), ApiError>;
    /// What comes after the last row, by which a reader knows that it has all.
    fn end(&mut self, truncated: bool, out: &mut Vec<u8>) -> Result<(), ApiError>;
}

/// Answers a query.
pub(super) async fn sql(
    State(app): State<Arc<App>>,
    Extension(call): Extension<Call>,
    Extension(identity): Extension<Identity>,
    request: Request,
) -> Result<Response, ApiError> {
    let mut tally = Tally::new(&app, call.begun);
    let (parts, body) = request.into_parts();
    let asking = async {
        // First of all: who sends all of it before reading the answer shall read it.
        let bytes_max = limits::QUERY_BODY_BYTES_MAX;
        let received = body::read(&app, &parts.headers, body, bytes_max).await?;
        let parameters = Parameters::read(parts.uri.query(), PARAMETERS)?;
        let form = Form::read(&parts.headers, &parameters)?;
        let question = question(&parts.headers, &received)?;
        drop(received);
        let (planned, mut rows) = ask(&app, &identity, &question, call.begun).await?;
        // An error that shows at once still has its status.
        let first = rows.next().await.transpose().map_err(as_error)?;
        Ok((form, planned, rows, first))
    };
    let (form, planned, rows, first) = asking.await.inspect_err(|error| tally.failed(error))?;
    let schema = Arc::clone(rows.schema());
    let id = rows.id();
    let reading = stream::Reading { rows, first, tally };
    match form {
        Form::Json { int64_as_text } => {
            let meta = json::meta(&planned.meta, &call.id);
            let writer = json::JsonRows::new(schema, int64_as_text, meta);
            let body = stream::whole(&app, reading, Box::new(writer)).await?;
            let mut response = body.into_response();
            super::json(response.headers_mut());
            Ok(response)
        }
        Form::Csv { bom } => {
            let writer = Box::new(csv::CsvRows::new(schema, bom));
            let body = stream::streamed(&app, reading, writer);
            Ok(streamed(body, "text/csv; charset=utf-8", id, &planned))
        }
        Form::Arrow => {
            let writer = Box::new(arrow::ArrowRows::new(&schema)?);
            let body = stream::streamed(&app, reading, writer);
            Ok(streamed(body, ARROW, id, &planned))
        }
    }
}

const ARROW: &str = "application/vnd.apache.arrow.stream";

fn as_error(error: QueryError) -> ApiError {
    error.into()
}

async fn ask(
    app: &App,
    identity: &Identity,
    question: &Question,
    begun: Instant,
) -> Result<(Planned, ResultStream), ApiError> {
    let service = &app.queries;
    let own = question.timeout_ms.map(Duration::from_millis);
    let allowed = service.allowed(own.into_iter().chain(identity.deadline()).min());
    // Waiting for events and planning are part of the time.
    let left = || allowed.saturating_sub(begun.elapsed());
    if let Some(seq) = question.min_seq {
        app.wait_for_seq(seq, left()).await?;
    }
    let session = session(question.zone.as_deref())?;
    let planned = service
        .plan(&identity.caller(), &question.sql, &session)
        .await?;
    if planned.set.is_some() {
        return Err(ApiError::new(
            Code::BadParameter,
            "a request has no session to SET anything in",
        )
        .hint("`zone` of the request sets the zone"));
    }
    let params = params(&question.params, planned.params.len())?;
    let options = RunOptions {
        deadline: Some(left()),
        allowed: Some(allowed),
        rows: question.limit,
        native: false,
    };
    let rows = service.run(&planned, &params, options).await?;
    Ok((planned, rows))
}

fn streamed(body: axum::body::Body, media: &'static str, id: u64, planned: &Planned) -> Response {
    let mut response = body.into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(media));
    headers.insert(QUERY_ID, HeaderValue::from(id));
    headers.insert(REVISION, HeaderValue::from(planned.meta.revision));
    let as_of = HeaderValue::from_str(&planned.meta.as_of.to_string());
    headers.insert(AS_OF, as_of.expect("a time is plain text"));
    response
}

fn question(headers: &HeaderMap, received: &Received) -> Result<Question, ApiError> {
    let shape = "{\"sql\": \"SELECT ...\", \"params\": [], \"zone\": \"UTC\", \"timeout_ms\": 5000, \
                 \"limit\": 1000, \"min_seq\": 1}; all but `sql` may be left out";
    body::json(headers, received, "the JSON of a query", shape)
}

fn session(zone: Option<&str>) -> Result<SessionSettings, ApiError> {
    let mut session = SessionSettings::default();
    if let Some(zone) = zone {
        let wrong = |error: String| ApiError::new(Code::BadParameter, error);
        engine::parse_zone(zone).map_err(|error| wrong(error.to_string()))?;
        let set = session.set("callgauge.zone", zone);
        set.map_err(|error| wrong(error.to_string()))?;
    }
    Ok(session)
}

/// The values as arrays of one row; their types are made those of the statement by the service.
fn params(values: &[Value], wanted: usize) -> Result<Vec<ArrayRef>, ApiError> {
    if values.len() != wanted {
        let given = values.len();
        let message = format!("the statement has {wanted} parameter(s), and {given} were given");
        return Err(ApiError::new(Code::BadParameter, message));
    }
    let array = |(number, value): (usize, &Value)| -> Result<ArrayRef, ApiError> {
        Ok(match value {
            Value::Null => Arc::new(StringArray::new_null(1)),
            Value::Bool(value) => Arc::new(BooleanArray::from(vec![*value])),
            Value::String(text) => Arc::new(StringArray::from(vec![text.as_str()])),
            Value::Number(value) => match (value.as_i64(), value.as_f64()) {
                (Some(whole), _) => Arc::new(Int64Array::from(vec![whole])),
                (None, Some(real)) if !value.is_u64() => Arc::new(Float64Array::from(vec![real])),
                _ => return Err(no_parameter(number, "is too large a whole number")),
            },
            Value::Array(_) | Value::Object(_) => {
                return Err(no_parameter(number, "is a list or an object"));
            }
        })
    };
    (1..).zip(values).map(array).collect()
}

fn no_parameter(number: usize, why: &str) -> ApiError {
    ApiError::new(Code::BadParameter, format!("parameter ${number} {why}"))
        .hint("a parameter is a text, a number, true, false or null")
}

impl Form {
    /// What `Accept` prefers of what there is.
    fn read(headers: &HeaderMap, parameters: &Parameters) -> Result<Form, ApiError> {
        let json = Form::Json {
            int64_as_text: parameters.get("int64") == Some("string"),
        };
        let csv = Form::Csv {
            bom: parameters.flag("bom")?,
        };
        let accepted = headers.get_all(header::ACCEPT).iter();
        let accepted = accepted.filter_map(|value| value.to_str().ok());
        let ranges: Vec<&str> = accepted.flat_map(|value| value.split(',')).collect();
        if ranges.is_empty() {
            return Ok(json);
        }
        let mut best: Option<(f32, Form)> = None;
        for range in ranges {
            let mut words = range.split(';').map(str::trim);
            let form = match words
                .next()
                .unwrap_or_default()
                .to_ascii_lowercase()
                .as_str()
            {
                "application/json" | "application/*" | "*/*" => json,
                "text/csv" | "text/*" => csv,
                ARROW => Form::Arrow,
                _ => continue,
            };
            let quality = words.find_map(|word| word.strip_prefix("q="));
            let quality = quality.map_or(Some(1.0), |text| text.parse().ok());
            let quality = quality.unwrap_or(0.0_f32);
            if quality > 0.0 && best.is_none_or(|(before, _)| quality > before) {
                best = Some((quality, form));
            }
        }
        best.map(|(_, form)| form).ok_or_else(|| {
            ApiError::new(Code::NotAcceptable, "the answer cannot be had in that form")
                .hint(format!("Accept: application/json, text/csv or {ARROW}"))
        })
    }
}

/// What a column is to readers of JSON and CSV.
fn type_word(schema: &SchemaRef, column: usize) -> String {
    cells::type_word(schema.field(column).data_type())
}
