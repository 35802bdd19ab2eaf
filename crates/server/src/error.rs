//! What can go wrong with a request, and the one table from that to HTTP status, gRPC code and word.

use std::time::Duration;

use axum::{
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use engine::service::{ErrorKind, Position, QueryError};
use ingest::live::Refusal;
use schemars::JsonSchema;
use serde::Serialize;

use crate::limits;

/// Kinds of error, by what the client does next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Code {
    SqlSyntax,
    UnknownName,
    KpiMisuse,
    BadParameter,
    BadValue,
    QueryTooComplex,
    Unauthenticated,
    Forbidden,
    NotFound,
    MethodNotAllowed,
    NotAcceptable,
    RequestTimeout,
    Conflict,
    TooLarge,
    UnsupportedType,
    QueryLimit,
    RateLimited,
    BackPressure,
    Cancelled,
    DataDamaged,
    Internal,
    Unimplemented,
    StorageStopped,
    NotReady,
    Stopping,
    Deadline,
    StorageFull,
}

impl Code {
    /// The table: HTTP status, gRPC code, and the word that both doors and the metrics use.
    pub(crate) const fn row(self) -> (StatusCode, tonic::Code, &'static str) {
        use StatusCode as S;
        use tonic::Code as G;
        match self {
            Code::SqlSyntax => (S::BAD_REQUEST, G::InvalidArgument, "sql_syntax"),
            Code::UnknownName => (S::BAD_REQUEST, G::InvalidArgument, "unknown_name"),
            Code::KpiMisuse => (S::BAD_REQUEST, G::InvalidArgument, "kpi_misuse"),
            Code::BadParameter => (S::BAD_REQUEST, G::InvalidArgument, "bad_parameter"),
            Code::BadValue => (S::BAD_REQUEST, G::InvalidArgument, "bad_value"),
            Code::QueryTooComplex => (S::BAD_REQUEST, G::InvalidArgument, "query_too_complex"),
            Code::Unauthenticated => (S::UNAUTHORIZED, G::Unauthenticated, "unauthenticated"),
            Code::Forbidden => (S::FORBIDDEN, G::PermissionDenied, "forbidden"),
            Code::NotFound => (S::NOT_FOUND, G::NotFound, "not_found"),
            Code::MethodNotAllowed => (
                S::METHOD_NOT_ALLOWED,
                G::Unimplemented,
                "method_not_allowed",
            ),
            Code::NotAcceptable => (S::NOT_ACCEPTABLE, G::InvalidArgument, "not_acceptable"),
            Code::RequestTimeout => (S::REQUEST_TIMEOUT, G::DeadlineExceeded, "request_timeout"),
            Code::Conflict => (S::CONFLICT, G::AlreadyExists, "conflict"),
            Code::TooLarge => (S::PAYLOAD_TOO_LARGE, G::OutOfRange, "too_large"),
            Code::UnsupportedType => (
                S::UNSUPPORTED_MEDIA_TYPE,
                G::InvalidArgument,
                "unsupported_type",
            ),
            Code::QueryLimit => (S::UNPROCESSABLE_ENTITY, G::ResourceExhausted, "query_limit"),
            Code::RateLimited => (S::TOO_MANY_REQUESTS, G::ResourceExhausted, "rate_limited"),
            Code::BackPressure => (S::TOO_MANY_REQUESTS, G::ResourceExhausted, "back_pressure"),
            // Somebody else cancelled it: to the one who asked it is gone, and may be asked again.
            Code::Cancelled => (S::SERVICE_UNAVAILABLE, G::Cancelled, "cancelled"),
            Code::DataDamaged => (S::INTERNAL_SERVER_ERROR, G::DataLoss, "data_damaged"),
            Code::Internal => (S::INTERNAL_SERVER_ERROR, G::Internal, "internal"),
            Code::Unimplemented => (S::NOT_IMPLEMENTED, G::Unimplemented, "unimplemented"),
            Code::StorageStopped => (S::SERVICE_UNAVAILABLE, G::Unavailable, "storage_stopped"),
            Code::NotReady => (S::SERVICE_UNAVAILABLE, G::Unavailable, "not_ready"),
            Code::Stopping => (S::SERVICE_UNAVAILABLE, G::Unavailable, "stopping"),
            Code::Deadline => (S::GATEWAY_TIMEOUT, G::DeadlineExceeded, "deadline"),
            Code::StorageFull => (S::INSUFFICIENT_STORAGE, G::Unavailable, "storage_full"),
        }
    }

    pub(crate) const fn status(self) -> StatusCode {
        self.row().0
    }

    pub(crate) const fn word(self) -> &'static str {
        self.row().2
    }
}

/// An error that is answered as JSON. Its message holds no data value and no path.
#[derive(Clone, Debug)]
pub(crate) struct ApiError {
    pub code: Code,
    pub message: String,
    pub hint: Option<String>,
    /// Where in the text of a query.
    pub position: Option<Position>,
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
            position: None,
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
            code: self.code.word(),
            message: &self.message,
            hint: self.hint.as_deref(),
            position: self.position.map(|at| ErrorPosition {
                line: at.line,
                column: at.column,
                length: at.length,
            }),
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

/// What the query service says; its messages hold no value and no path.
impl From<QueryError> for ApiError {
    fn from(error: QueryError) -> Self {
        let mut retry_after = None;
        let code = match error.kind {
            ErrorKind::SqlSyntax => Code::SqlSyntax,
            ErrorKind::UnknownName => Code::UnknownName,
            ErrorKind::KpiMisuse => Code::KpiMisuse,
            ErrorKind::BadParameter => Code::BadParameter,
            ErrorKind::BadValue => Code::BadValue,
            ErrorKind::TooComplex => Code::QueryTooComplex,
            ErrorKind::NotFound => Code::NotFound,
            ErrorKind::QueryLimit => Code::QueryLimit,
            ErrorKind::Busy { retry_after: delay } => {
                retry_after = Some(delay);
                Code::RateLimited
            }
            ErrorKind::Deadline => Code::Deadline,
            ErrorKind::Cancelled => Code::Cancelled,
            ErrorKind::DataDamaged => Code::DataDamaged,
            ErrorKind::Behind => Code::StorageStopped,
            ErrorKind::Unimplemented => Code::Unimplemented,
            ErrorKind::Stopped => Code::Stopping,
            ErrorKind::Internal => Code::Internal,
        };
        ApiError {
            hint: error.hint,
            position: error.position,
            retry_after,
            ..ApiError::new(code, error.message)
        }
    }
}

/// As the Flight door says it.
impl From<ApiError> for tonic::Status {
    fn from(error: ApiError) -> Self {
        let message = match &error.hint {
            None => error.message,
            Some(hint) => format!("{}; hint: {hint}", error.message),
        };
        tonic::Status::new(error.code.row().1, message)
    }
}

impl ApiError {
    /// An answer would be larger than JSON may be. `hint`: what to ask for instead.
    pub(crate) fn too_much_json(hint: &str) -> Self {
        let megabytes = limits::JSON_ANSWER_BYTES_MAX / (1024 * 1024);
        let message = format!("the answer has more than {megabytes} MiB of JSON");
        ApiError::new(Code::QueryLimit, message).hint(hint)
    }

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
        let mut response = self.code.status().into_response();
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

/// The body of every answer that is an error.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Error")]
pub(crate) struct Envelope<'a> {
    error: ErrorBody<'a>,
}

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "ErrorBody")]
struct ErrorBody<'a> {
    /// What kind of error, for programs.
    code: &'static str,
    /// What is wrong, for people.
    message: &'a str,
    /// What to do.
    hint: Option<&'a str>,
    /// Where in the text of a query.
    position: Option<ErrorPosition>,
    /// When to send the same again, in seconds.
    retry_after_s: Option<u64>,
    /// Names the request in the server's log.
    request_id: &'a str,
}

/// Counted from 1.
#[derive(Serialize, JsonSchema)]
struct ErrorPosition {
    line: u64,
    column: u64,
    length: Option<u64>,
}
