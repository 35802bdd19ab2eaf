//! What the head of an ingest request asks for.

use axum::http::{HeaderMap, HeaderName, header, request::Parts};
use ingest::live::OnError;

use crate::{
    decode::{Encoding, Format},
    error::{ApiError, Code},
    limits,
};

const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

/// A checked head.
#[derive(Clone, Debug)]
pub(super) struct Ask {
    pub format: Format,
    pub encoding: Encoding,
    pub on_error: Whole,
    pub idempotency_key: Option<String>,
}

/// Is a request stored as a whole or not at all?
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Whole {
    KeepGood,
    RejectAll,
}

impl Whole {
    pub(super) fn is_reject_all(self) -> bool {
        self == Whole::RejectAll
    }
}

impl From<Whole> for OnError {
    fn from(whole: Whole) -> Self {
        match whole {
            Whole::KeepGood => OnError::KeepGood,
            Whole::RejectAll => OnError::RejectAll,
        }
    }
}

impl Ask {
    pub(super) fn read(parts: &Parts) -> Result<Self, ApiError> {
        Ok(Ask {
            format: format(&parts.headers)?,
            encoding: encoding(&parts.headers)?,
            on_error: on_error(parts.uri.query().unwrap_or_default())?,
            idempotency_key: idempotency_key(&parts.headers)?,
        })
    }
}

fn format(headers: &HeaderMap) -> Result<Format, ApiError> {
    let value = text(headers, &header::CONTENT_TYPE)?.unwrap_or_default();
    let essence = value.split(';').next().unwrap_or_default().trim();
    match essence.to_ascii_lowercase().as_str() {
        "application/x-ndjson" => Ok(Format::Ndjson),
        "application/json" => Ok(Format::JsonArray),
        "application/vnd.apache.arrow.stream" => Ok(Format::Arrow),
        _ => Err(ApiError::new(
            Code::UnsupportedType,
            "the Content-Type is missing or not taken here",
        )
        .hint(
            "application/x-ndjson, application/json (an array) or \
             application/vnd.apache.arrow.stream",
        )),
    }
}

fn encoding(headers: &HeaderMap) -> Result<Encoding, ApiError> {
    let value = text(headers, &header::CONTENT_ENCODING)?.unwrap_or("identity");
    match value.trim().to_ascii_lowercase().as_str() {
        "identity" | "" => Ok(Encoding::Identity),
        "gzip" | "x-gzip" => Ok(Encoding::Gzip),
        "zstd" => Ok(Encoding::Zstd),
        _ => Err(ApiError::new(
            Code::UnsupportedType,
            "the Content-Encoding is not taken here",
        )
        .hint("gzip or zstd, one layer, or none")),
    }
}

fn on_error(query: &str) -> Result<Whole, ApiError> {
    let mut whole = Whole::KeepGood;
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        whole = match pair {
            "on_error=keep_good" => Whole::KeepGood,
            "on_error=reject_all" => Whole::RejectAll,
            _ => {
                return Err(
                    ApiError::new(Code::BadParameter, "the only parameter is `on_error`")
                        .hint("on_error=keep_good (the default) or on_error=reject_all"),
                );
            }
        };
    }
    Ok(whole)
}

fn idempotency_key(headers: &HeaderMap) -> Result<Option<String>, ApiError> {
    match text(headers, &IDEMPOTENCY_KEY)? {
        None => Ok(None),
        Some(key) if (1..=limits::IDEMPOTENCY_KEY_BYTES_MAX).contains(&key.len()) => {
            Ok(Some(key.to_owned()))
        }
        Some(_) => Err(ApiError::new(
            Code::BadParameter,
            format!(
                "the Idempotency-Key must have 1 to {} bytes",
                limits::IDEMPOTENCY_KEY_BYTES_MAX
            ),
        )),
    }
}

/// The one value of a header.
fn text<'h>(headers: &'h HeaderMap, name: &HeaderName) -> Result<Option<&'h str>, ApiError> {
    let mut values = headers.get_all(name).iter();
    match (values.next(), values.next()) {
        (None, _) => Ok(None),
        (Some(value), None) => value.to_str().map(Some).map_err(|_| {
            ApiError::new(
                Code::BadParameter,
                format!("the header '{name}' is not plain text"),
            )
        }),
        _ => Err(ApiError::new(
            Code::BadParameter,
            format!("the header '{name}' is there twice"),
        )),
    }
}
