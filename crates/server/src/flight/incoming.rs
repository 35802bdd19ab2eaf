//! The messages of a DoPut, within the memory of all bodies.
//!
//! What a sender has sent is counted as it comes, before a message of it is whole: a few senders
//! of large messages must not take more than all bodies may have together.

use std::{
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll},
};

use arrow_flight::FlightData;
use axum::body::Body;
use bytes::Bytes;
use hyper::body::{Body as HttpBody, Frame, SizeHint};
use prost::Message;
use tokio::{sync::Semaphore, time::timeout};
use tonic::{Status, Streaming};

use crate::{
    error::{ApiError, Code},
    http::body::Memory,
    limits,
};

/// Bytes before each message of a stream: compressed or not, and the length.
const MESSAGE_HEAD_BYTES: usize = 5;

/// Memory of one call.
#[derive(Clone, Debug)]
pub(super) struct Held(Arc<Mutex<Memory>>);

impl Held {
    /// None of `all` yet.
    pub(super) fn none(all: &Arc<Semaphore>) -> Result<Held, ApiError> {
        Ok(Held(Arc::new(Mutex::new(Memory::none(all)?))))
    }

    fn memory(&self) -> MutexGuard<'_, Memory> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The body, counted while it comes.
    pub(super) fn counting(&self, body: Body) -> Body {
        let held = self.clone();
        Body::new(Counting { body, held })
    }
}

/// See [`Held::counting`].
struct Counting {
    body: Body,
    held: Held,
}

impl HttpBody for Counting {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let frame = std::task::ready!(Pin::new(&mut self.body).poll_frame(cx));
        let counted = frame.map(|frame| {
            let frame = frame.map_err(|error| Status::from_error(error.into()))?;
            let bytes = frame.data_ref().map_or(0, Bytes::len);
            self.held.memory().grow_by(bytes).map_err(Status::from)?;
            Ok(frame)
        });
        Poll::Ready(counted)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// The messages of one call. A message has its memory until the next one is asked for.
pub(super) struct Incoming {
    /// One that was looked at and is still to be taken.
    peeked: Option<FlightData>,
    rest: Streaming<FlightData>,
    held: Option<Held>,
    /// Of the message that was given last.
    bytes: usize,
}

impl Incoming {
    /// `held` is what the body is counted by.
    pub(super) fn new(rest: Streaming<FlightData>, held: Option<Held>) -> Incoming {
        Incoming {
            peeked: None,
            rest,
            held,
            bytes: 0,
        }
    }

    /// The next message, which is given by [`Incoming::next`] too.
    ///
    /// # Errors
    /// As [`Incoming::next`].
    pub(super) async fn peek(&mut self) -> Result<Option<&FlightData>, ApiError> {
        if self.peeked.is_none() {
            self.peeked = self.read().await?;
        }
        Ok(self.peeked.as_ref())
    }

    /// The next message; nothing at the end.
    ///
    /// # Errors
    /// The client broke off or paused for too long, a message is too large, or there is no
    /// memory for it.
    pub(super) async fn next(&mut self) -> Result<Option<FlightData>, ApiError> {
        match self.peeked.take() {
            Some(first) => Ok(Some(first)),
            None => self.read().await,
        }
    }

    /// A sender that stalls must not hold a place.
    async fn read(&mut self) -> Result<Option<FlightData>, ApiError> {
        if let Some(held) = &self.held {
            held.memory().shrink_by(self.bytes);
        }
        self.bytes = 0;
        let message = match timeout(limits::BODY_TIMEOUT, self.rest.message()).await {
            Ok(message) => message.map_err(broken_off)?,
            Err(_) => {
                return Err(ApiError::new(
                    Code::RequestTimeout,
                    format!("no message came for {} s", limits::BODY_TIMEOUT.as_secs()),
                )
                .hint("send the rest without pauses"));
            }
        };
        self.bytes = message
            .as_ref()
            .map_or(0, |message| message.encoded_len() + MESSAGE_HEAD_BYTES);
        Ok(message)
    }
}

fn broken_off(status: Status) -> ApiError {
    match status.code() {
        tonic::Code::OutOfRange => ApiError::new(
            Code::TooLarge,
            format!(
                "a message has more than {} bytes",
                limits::PUT_MESSAGE_BYTES_MAX
            ),
        )
        .hint("send smaller batches"),
        tonic::Code::Cancelled => ApiError::new(Code::Cancelled, "the call was cancelled"),
        tonic::Code::ResourceExhausted => ApiError::new(
            Code::BackPressure,
            "more comes in than there is memory for: what was stored before stays",
        )
        .hint("send everything again after a while: what is stored is counted, not doubled")
        .retry_after(limits::RETRY_AFTER),
        _ => ApiError::new(Code::BadValue, "the stream broke off"),
    }
}
