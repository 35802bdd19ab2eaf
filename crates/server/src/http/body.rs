//! Reading a body within its time, its size and the memory of all bodies.

use std::{sync::Arc, time::Duration};

use axum::{
    body::Body,
    http::{HeaderMap, header},
};
use bytes::Bytes;
use http_body_util::BodyExt;
use serde::de::DeserializeOwned;
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{Instant, timeout_at},
};

use super::App;
use crate::{
    error::{ApiError, Code},
    limits,
};

/// A body with its share of the memory of all bodies.
#[derive(Debug)]
pub(super) struct Received {
    pub bytes: Bytes,
    pub memory: Memory,
}

/// Bytes of the memory of all bodies, given back when dropped.
#[derive(Debug)]
pub(crate) struct Memory {
    all: Arc<Semaphore>,
    taken: OwnedSemaphorePermit,
}

impl Memory {
    /// Nothing of it yet.
    ///
    /// # Errors
    /// The server ends.
    pub(crate) fn none(all: &Arc<Semaphore>) -> Result<Self, ApiError> {
        let taken = Arc::clone(all).try_acquire_many_owned(0);
        Ok(Memory {
            all: Arc::clone(all),
            taken: taken.map_err(|_| ApiError::busy())?,
        })
    }

    /// Takes as much as is missing to `bytes`.
    ///
    /// # Errors
    /// When the others have it.
    pub(super) fn grow_to(&mut self, bytes: usize) -> Result<(), ApiError> {
        self.grow_by(bytes.saturating_sub(self.taken.num_permits()))
    }

    /// Takes so much more.
    ///
    /// # Errors
    /// When the others have it.
    pub(crate) fn grow_by(&mut self, bytes: usize) -> Result<(), ApiError> {
        let missing = u32::try_from(bytes).map_err(|_| ApiError::busy())?;
        let more = Arc::clone(&self.all).try_acquire_many_owned(missing);
        self.taken.merge(more.map_err(|_| ApiError::busy())?);
        Ok(())
    }

    /// Gives so much back, or all there is.
    pub(crate) fn shrink_by(&mut self, bytes: usize) {
        drop(self.taken.split(bytes.min(self.taken.num_permits())));
    }
}

/// Reads a whole body of at most `bytes_max`.
pub(super) async fn read(
    app: &App,
    headers: &HeaderMap,
    mut body: Body,
    bytes_max: usize,
) -> Result<Received, ApiError> {
    let deadline = Instant::now() + app.settings.body_timeout;
    if declared_bytes(headers).is_some_and(|bytes| bytes > bytes_max as u64) {
        discard(app, headers, body, limits::DISCARDED_BYTES_MAX).await;
        return Err(too_large(bytes_max));
    }
    let mut memory = Memory::none(&app.bytes_in_flight)?;
    let mut bytes = Vec::new();
    loop {
        let frame = timeout_at(deadline, body.frame()).await;
        let Some(frame) = frame.map_err(|_| too_slow(app))? else {
            let bytes = Bytes::from(bytes);
            return Ok(Received { bytes, memory });
        };
        let Ok(data) = frame.map_err(|_| broken_off())?.into_data() else {
            continue;
        };
        if bytes.len() + data.len() > bytes_max {
            discard(app, headers, body, limits::DISCARDED_BYTES_MAX).await;
            return Err(too_large(bytes_max));
        }
        if let Err(busy) = memory.grow_to(bytes.len() + data.len()) {
            drop(bytes);
            discard(app, headers, body, limits::DISCARDED_BYTES_MAX).await;
            return Err(busy.closing());
        }
        bytes.extend_from_slice(&data);
    }
}

/// What a JSON body says. `what` names it in errors, `shape` shows one.
///
/// A page of another site can send forms and plain text without being asked for, but not JSON: so
/// it must say that it is JSON.
pub(super) fn json<T: DeserializeOwned>(
    headers: &HeaderMap,
    received: &Received,
    what: &str,
    shape: &str,
) -> Result<T, ApiError> {
    let value = headers.get(header::CONTENT_TYPE);
    let value = value
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    let essence = value.split(';').next().unwrap_or_default().trim();
    if !essence.eq_ignore_ascii_case("application/json") {
        return Err(ApiError::new(
            Code::UnsupportedType,
            "the Content-Type is missing or not taken here",
        )
        .hint("application/json"));
    }
    serde_json::from_slice(&received.bytes).map_err(|error| {
        // The text of the error may quote a value; its place is enough.
        let place = format!("line {}, column {}", error.line(), error.column());
        ApiError::new(
            Code::BadParameter,
            format!("the body is not {what} ({place})"),
        )
        .hint(shape)
    })
}

/// Reads the rest of a body and throws it away, within limits: a client that sends all of it
/// before it reads would otherwise see a broken connection in place of its answer.
pub(super) async fn discard(app: &App, headers: &HeaderMap, body: Body, bytes_max: usize) {
    discard_within(app.settings.body_timeout, headers, body, bytes_max).await;
}

/// As [`discard`], in so much time.
pub(super) async fn discard_within(
    time: Duration,
    headers: &HeaderMap,
    mut body: Body,
    bytes_max: usize,
) {
    // This one waits to be asked for the body.
    if headers.contains_key(header::EXPECT) {
        return;
    }
    let rest = async {
        let mut bytes = 0;
        while let Some(Ok(frame)) = body.frame().await {
            bytes += frame.data_ref().map_or(0, Bytes::len);
            if bytes > bytes_max {
                return;
            }
        }
    };
    // Over or not, the answer follows.
    let _ = timeout_at(Instant::now() + time, rest).await;
}

fn declared_bytes(headers: &HeaderMap) -> Option<u64> {
    headers
        .get(header::CONTENT_LENGTH)?
        .to_str()
        .ok()?
        .parse()
        .ok()
}

fn too_large(bytes_max: usize) -> ApiError {
    let message = format!("the body has more than {bytes_max} bytes");
    ApiError::new(Code::TooLarge, message)
        .hint("send smaller batches, or compress them; make a query shorter")
        .closing()
}

fn too_slow(app: &App) -> ApiError {
    let seconds = app.settings.body_timeout.as_secs_f64();
    let message = format!("the body did not come within {seconds} s");
    ApiError::new(Code::RequestTimeout, message)
        .hint("send smaller batches")
        .closing()
}

fn broken_off() -> ApiError {
    ApiError::new(Code::BadValue, "the body broke off").closing()
}
