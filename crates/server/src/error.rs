//! What can go wrong with a request, and the one table from that to status and code.

use std::time::Duration;

use axum::{
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use ingest::live::Refusal;
use serde::Serialize;

use crate::limits;

/// Kinds of error, by what the client does next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Code {
    BadParameter,
    BadValue,
    Unauthenticated,
    Forbidden,
    NotFound,
    MethodNotAllowed,
    RequestTimeout,
    Conflict,
    TooLarge,
    UnsupportedType,
    RateLimited,
    BackPressure,
    Internal,
    StorageStopped,
    StorageFull,
}

impl Code {
    /// The table: status and code of the error body.
    pub(crate) const fn row(self) -> (StatusCode, &'static str) {
        match self {
            Code::BadParameter => (StatusCode::BAD_REQUEST, "bad_parameter"),
            Code::BadValue => (StatusCode::BAD_REQUEST, "bad_value"),
            Code::Unauthenticated => (StatusCode::UNAUTHORIZED, "unauthenticated"),
            Code::Forbidden => (StatusCode::FORBIDDEN, "forbidden"),
            Code::NotFound => (StatusCode::NOT_FOUND, "not_found"),
            Code::MethodNotAllowed => (StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed"),
            Code::RequestTimeout => (StatusCode::REQUEST_TIMEOUT, "request_timeout"),
            Code::Conflict => (StatusCode::CONFLICT, "conflict"),
            Code::TooLarge => (StatusCode::PAYLOAD_TOO_LARGE, "too_large"),
            Code::UnsupportedType => (StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported_type"),
            Code::RateLimited => (StatusCode::TOO_MANY_REQUESTS, "rate_limited"),
            Code::BackPressure => (StatusCode::TOO_MANY_REQUESTS, "back_pressure"),
            Code::Internal => (StatusCode::INTERNAL_SERVER_ERROR, "internal"),
            Code::StorageStopped => (StatusCode::SERVICE_UNAVAILABLE, "storage_stopped"),
            Code::StorageFull => (StatusCode::INSUFFICIENT_STORAGE, "storage_full"),
        }
    }
}

/// An error that is answered as JSON. Its message holds no data value and no path.
#[derive(Clone, Debug)]
pub(crate) struct ApiError {
    pub code: Code,
    pub message: String,
    pub hint: Option<String>,
    pub retry_after: Option<Duration>,
    /// The rest of the request is not read: the connection ends with the answer.
    pub close: bool,
}

impl ApiError {
    pub(crate) fn new(code: Code, message: impl Into<String>) -> Self {
        ApiError {
            code,
            message: message.into(),
            hint: None,
            retry_after: None,
            close: false,
        }
    }

    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    pub(crate) fn retry_after(mut self, delay: Duration) -> Self {
        self.retry_after = Some(delay);
        self
    }

    pub(crate) fn closing(mut self) -> Self {
        self.close = true;
        self
    }

    /// Nothing was stored and the same request may be sent again soon.
    pub(crate) fn busy() -> Self {
        ApiError::new(
            Code::BackPressure,
            "more comes in than can be stored: nothing of this request was stored",
        )
        .hint("send the same request again after the delay")
        .retry_after(limits::RETRY_AFTER)
    }

    /// A fault of ours; the log has it under the request id.
    pub(crate) fn internal() -> Self {
        ApiError::new(
            Code::Internal,
            "a fault in the server: its log has it under this request id",
        )
    }

    /// The body of the answer.
    pub(crate) fn body(&self, request_id: &str) -> Vec<u8> {
        let error = ErrorBody {
            code: self.code.row().1,
            message: &self.message,
            hint: self.hint.as_deref(),
            position: None,
            retry_after_s: self.retry_after.map(whole_seconds),
            request_id,
        };
        serde_json::to_vec(&Envelope { error }).expect("texts and numbers always serialise")
    }
}

impl From<Refusal> for ApiError {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Busy { retry_after } => ApiError::busy().retry_after(retry_after),
            Refusal::DiskFull { retry_after } => ApiError::new(
                Code::StorageFull,
                "the disk is nearly full: nothing of this request was stored",
            )
            .hint("free space; ingest goes on by itself, send the same request again")
            .retry_after(retry_after),
            // The reason may name files: it belongs into the log.
            Refusal::Stopped { reason } => {
                tracing::error!(reason, "ingest has stopped");
                ApiError::stopped()
            }
        }
    }
}

impl ApiError {
    /// Storage takes nothing more.
    pub(crate) fn stopped() -> Self {
        ApiError::new(
            Code::StorageStopped,
            "storage has stopped taking events: nothing of this request was confirmed",
        )
        .hint("see the server's log; send the same request again when it is ready")
        .retry_after(limits::RETRY_AFTER)
    }
}

/// Leaves the body to the outermost layer, which knows the request id.
impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let mut response = self.code.row().0.into_response();
        let headers = response.headers_mut();
        if let Some(delay) = self.retry_after {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(whole_seconds(delay)));
        }
        if self.code == Code::Unauthenticated {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        if self.close {
            headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        response.extensions_mut().insert(self);
        response
    }
}

/// Rounded up, and never zero: a client that waits that long has waited long enough.
fn whole_seconds(delay: Duration) -> u64 {
    let up = u64::from(delay.subsec_nanos() > 0);
    delay.as_secs().saturating_add(up).max(1)
}

#[derive(Serialize)]
struct Envelope<'a> {
    error: ErrorBody<'a>,
}

#[derive(Serialize)]
struct ErrorBody<'a> {
    code: &'static str,
    message: &'a str,
    hint: Option<&'a str>,
    position: Option<()>,
    retry_after_s: Option<u64>,
    request_id: &'a str,
}
