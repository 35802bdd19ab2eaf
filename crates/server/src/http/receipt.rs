//! What the sender of events is told.

use axum::http::StatusCode;
use ingest::live::{LineError, Receipt};
use schemars::JsonSchema;
use serde::Serialize;

use super::{ask::Whole, idempotency::Stored};
use crate::limits;

/// What an answer means: the events are on the disk.
const SYNCED: &str = "synced";

/// 200 if anything is stored now or was before, 422 if nothing is.
pub(super) fn answer(receipt: Receipt, on_error: Whole, request_id: &str) -> Stored {
    let kept = receipt.accepted + receipt.duplicate > 0;
    let refused_whole = on_error.is_reject_all() && receipt.rejected > 0;
    let status = match receipt.rejected > 0 && (!kept || refused_whole) {
        true => StatusCode::UNPROCESSABLE_ENTITY,
        false => StatusCode::OK,
    };
    let listed = receipt.errors.len().min(limits::ERRORS_LISTED_MAX);
    let body = Body {
        accepted: receipt.accepted,
        duplicate: receipt.duplicate,
        rejected: receipt.rejected,
        errors: receipt.errors[..listed].iter().map(Error::from).collect(),
        errors_truncated: receipt.errors_truncated || listed < receipt.errors.len(),
        committed_seq: receipt.committed_seq,
        durability: SYNCED,
        request_id,
    };
    let body = serde_json::to_vec(&body).expect("texts and numbers always serialise");
    Stored {
        status,
        body: body.into(),
    }
}

/// What became of the events of a request.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Receipt")]
pub(super) struct Body<'a> {
    accepted: u64,
    duplicate: u64,
    rejected: u64,
    errors: Vec<Error<'a>>,
    errors_truncated: bool,
    committed_seq: u64,
    durability: &'static str,
    request_id: &'a str,
}

/// An event that was not taken; lines count from 1.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "RejectedEvent")]
struct Error<'a> {
    line: u64,
    event_id: Option<&'a str>,
    code: &'static str,
    reason: &'a str,
}

impl<'a> From<&'a LineError> for Error<'a> {
    fn from(error: &'a LineError) -> Self {
        Error {
            line: error.line,
            event_id: error.event_id.as_deref(),
            code: error.code.as_str(),
            reason: &error.reason,
        }
    }
}
