//! `POST /api/v1/events`.
//!
//! The head is checked, the body is read on a network thread and decoded on a decoder thread, and
//! the pipeline answers when the events are durable. From the last byte of the body on, the work
//! does not depend on the connection any more: a sender that hangs up and comes back with the same
//! `Idempotency-Key` gets the answer it missed.

use std::sync::Arc;

use axum::{
    Extension,
    extract::{Request, State},
    http::{HeaderValue, StatusCode},
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use events::Text;
use ingest::live::{Receipt, Refusal};
use tokio::sync::oneshot;

use super::{
    App, Call,
    ask::Ask,
    body::{self, Received},
    idempotency::{Begin, Fingerprint, Stored},
    receipt,
};
use crate::{
    access::{Identity, Right},
    decode::{Format, decode},
    error::{ApiError, Code},
    limits,
};

type Outcome = Result<Receipt, Refusal>;

/// Takes the events of one request.
pub(super) async fn events(
    State(app): State<Arc<App>>,
    Extension(call): Extension<Call>,
    Extension(identity): Extension<Identity>,
    request: Request,
) -> Result<Response, ApiError> {
    let (parts, body) = request.into_parts();
    let asked = Ask::read(&parts);
    let right = match &asked {
        Ok(ask) if ask.format == Format::Arrow => Right::IngestArrow,
        _ => Right::Ingest,
    };
    if let Err(error) = identity.need(&[right]) {
        app.metrics.auth_failures.up();
        body::discard(
            &app,
            &parts.headers,
            body,
            limits::STRANGER_BYTES_DISCARDED_MAX,
        )
        .await;
        return Err(error);
    }
    let ask = match asked.and_then(|ask| not_overloaded(&app).map(|()| ask)) {
        Ok(ask) => ask,
        Err(error) => {
            body::discard(&app, &parts.headers, body, limits::DISCARDED_BYTES_MAX).await;
            return Err(error.closing());
        }
    };
    let received = body::read(&app, &parts.headers, body, limits::BODY_BYTES_MAX).await?;
    let work = Work {
        app: Arc::clone(&app),
        ask,
        identity,
        request_id: Arc::clone(&call.id),
    };
    // In a task of its own: it goes on if the connection ends.
    let answered = tokio::spawn(work.run(received)).await;
    let answer = answered.unwrap_or_else(|_| Err(ApiError::internal()))?;
    if answer.stored.status == StatusCode::OK && !answer.again {
        app.metrics.acknowledged(call.begun.elapsed());
    }
    Ok(response(answer))
}

/// Says no early: under full pressure a body is not even kept.
fn not_overloaded(app: &App) -> Result<(), ApiError> {
    match app.sink.state().pressure {
        0..=2 => Ok(()),
        _ => Err(ApiError::busy()),
    }
}

struct Answer {
    stored: Stored,
    /// It is one that was given before.
    again: bool,
}

fn response(answer: Answer) -> Response {
    let mut response = (answer.stored.status, answer.stored.body).into_response();
    super::json(response.headers_mut());
    if answer.again {
        let yes = HeaderValue::from_static("true");
        response.headers_mut().insert("idempotency-replayed", yes);
    }
    response
}

/// The part of a request that goes on without its connection.
struct Work {
    app: Arc<App>,
    ask: Ask,
    identity: Identity,
    request_id: Arc<str>,
}

impl Work {
    async fn run(self, received: Received) -> Result<Answer, ApiError> {
        let ticket = match &self.ask.idempotency_key {
            None => None,
            Some(key) => {
                let key = self.key_hash(key);
                let fingerprint = self.fingerprint(received.bytes.clone()).await?;
                let now = &*self.app.surroundings.now;
                match self.app.idempotency.begin(key, fingerprint, now).await {
                    Begin::Work(ticket) => Some(ticket),
                    Begin::Again(stored) => {
                        return Ok(Answer {
                            stored,
                            again: true,
                        });
                    }
                    Begin::Conflict => return Err(conflict()),
                }
            }
        };
        let receipt = self.store(received).await??;
        let stored = receipt::answer(receipt, self.ask.on_error, &self.request_id);
        if let Some(ticket) = ticket {
            ticket.finish(stored.clone(), (self.app.surroundings.now)());
        }
        Ok(Answer {
            stored,
            again: false,
        })
    }

    /// A key belongs to its sender.
    fn key_hash(&self, key: &str) -> [u8; 32] {
        let mut hasher = blake3::Hasher::new();
        hasher.update(self.identity.name.as_bytes());
        hasher.update(b"\0");
        hasher.update(key.as_bytes());
        hasher.finalize().into()
    }

    /// Equal for requests that ask for the same.
    async fn fingerprint(&self, body: Bytes) -> Result<Fingerprint, ApiError> {
        let asked = format!(
            "{:?} {:?} {}",
            self.ask.format,
            self.ask.encoding,
            self.ask.on_error.is_reject_all()
        );
        let hashing = self.app.decoders.spawn(async move {
            let mut hasher = blake3::Hasher::new();
            hasher.update(asked.as_bytes());
            hasher.update(b"\0");
            hasher.update(&body);
            hasher.finalize().into()
        });
        hashing.await.map_err(|_| ApiError::internal())
    }

    /// Decodes and delivers on a decoder thread, then waits for the pipeline.
    async fn store(&self, received: Received) -> Result<Result<Receipt, Refusal>, ApiError> {
        let (sender, answered) = oneshot::channel();
        let app = Arc::clone(&self.app);
        let ask = self.ask.clone();
        let sources = self.identity.sources.clone();
        let delivering = self
            .app
            .decoders
            .spawn(async move { deliver(&app, &ask, sources, received, sender) });
        delivering.await.map_err(|_| ApiError::internal())??;
        // A pipeline that drops the question has stopped.
        answered.await.map_err(|_| ApiError::stopped())
    }
}

/// CPU work: from bytes to a delivery in the hands of the pipeline.
fn deliver(
    app: &App,
    ask: &Ask,
    sources: Option<Arc<[Text]>>,
    received: Received,
    sender: oneshot::Sender<Outcome>,
) -> Result<(), ApiError> {
    let Received { bytes, mut memory } = received;
    let mut collector = app.sink.collect(sources);
    decode(ask.format, ask.encoding, &bytes, &mut *collector)?;
    drop(bytes);
    memory.grow_to(collector.bytes())?;
    let waiter = app.waiting.enter();
    let answer = move |outcome: Outcome| {
        drop((memory, waiter));
        // Nobody waits if the server was stopped meanwhile.
        let _ = sender.send(outcome);
    };
    collector.deliver(ask.on_error.into(), Box::new(answer));
    Ok(())
}

fn conflict() -> ApiError {
    ApiError::new(
        Code::Conflict,
        "the Idempotency-Key was used for another request",
    )
    .hint("use a new key for each batch, and the same key only to send the same batch again")
}
