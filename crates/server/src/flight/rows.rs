//! Running what a ticket stands for, and sending its rows.
//!
//! The work is a task of its own beside the connection: it ends when the client has let go of the
//! stream, when the ticket is cancelled, when the session is closed, and when the query itself ends
//! or is ended. Between it and the socket are two messages, never more.

use std::{fmt, pin::Pin, sync::Arc};

use arrow::{array::ArrayRef, datatypes::SchemaRef};
use arrow_flight::FlightData;
use engine::{
    SessionSettings,
    service::{Planned, ResultStream, RunOptions},
};
use futures::Stream;
use tokio::{
    sync::{mpsc, watch},
    time::Instant,
};
use tonic::Status;

use super::{
    encode::Encoder,
    session::{ParamRows, Session},
};
use crate::{
    error::{ApiError, Code},
    http::App,
    limits,
};

/// What a client reads.
pub(super) type FlightStream = Pin<Box<dyn Stream<Item = Result<FlightData, Status>> + Send>>;

/// A planned statement with the values to run it with.
pub(super) struct Job {
    pub session: Arc<Session>,
    planned: Planned,
    /// The statement is run once for each.
    params: ParamRows,
    options: SessionSettings,
    cancelled: watch::Sender<bool>,
}

/// Not the values: they may be anybody's data.
impl fmt::Debug for Job {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Job")
    }
}

impl Job {
    pub(super) fn new(session: &Arc<Session>, planned: Planned, params: ParamRows) -> Arc<Self> {
        Arc::new(Job {
            session: Arc::clone(session),
            planned,
            params,
            options: session.options(),
            cancelled: watch::Sender::new(false),
        })
    }

    /// The columns that a reader will see.
    pub(super) fn schema(&self) -> &SchemaRef {
        match self.is_native() {
            true => self.planned.native_schema(),
            false => &self.planned.schema,
        }
    }

    /// Do the rows have an order?
    pub(super) fn is_ordered(&self) -> bool {
        self.planned.ordered && self.params.len() == 1
    }

    fn is_native(&self) -> bool {
        self.options.native.unwrap_or(false)
    }

    /// Ends everything that reads it.
    pub(super) fn cancel(&self) {
        self.cancelled.send_replace(true);
    }
}

/// Starts the work; it is done beside the threads that move bytes, and at the pace of whoever
/// reads the stream.
pub(super) fn send(job: Arc<Job>, app: Arc<App>) -> FlightStream {
    let (out, messages) = mpsc::channel(limits::MESSAGES_AHEAD);
    let workers = app.decoders.clone();
    let work = Work {
        cancelled: job.cancelled.subscribe(),
        closing: job.session.closing(),
        job,
        app,
        out,
    };
    workers.spawn(work.run());
    stream_of(messages)
}

/// Sends rows that are there already.
pub(super) fn send_now(messages: Vec<FlightData>) -> FlightStream {
    Box::pin(futures::stream::iter(messages.into_iter().map(Ok)))
}

fn stream_of(messages: mpsc::Receiver<Result<FlightData, Status>>) -> FlightStream {
    Box::pin(futures::stream::unfold(
        messages,
        |mut messages| async move {
            let next = messages.recv().await;
            next.map(|message| (message, messages))
        },
    ))
}

/// Why no more is sent.
enum Stop {
    /// Nobody reads any more.
    Gone,
    Failed(ApiError),
}

impl From<ApiError> for Stop {
    fn from(error: ApiError) -> Self {
        Stop::Failed(error)
    }
}

struct Work {
    job: Arc<Job>,
    app: Arc<App>,
    cancelled: watch::Receiver<bool>,
    closing: watch::Receiver<bool>,
    out: mpsc::Sender<Result<FlightData, Status>>,
}

impl Work {
    async fn run(mut self) {
        let begun = Instant::now();
        let code = match self.send_all().await {
            Ok(()) => "ok",
            Err(Stop::Gone) => Code::Cancelled.word(),
            Err(Stop::Failed(error)) => {
                let code = error.code.word();
                // A reader that has left misses nothing.
                let _ = self.out.send(Err(error.into())).await;
                code
            }
        };
        self.app.metrics.query("flight", code, begun.elapsed());
    }

    async fn send_all(&mut self) -> Result<(), Stop> {
        let job = Arc::clone(&self.job);
        let (mut encoder, head) = Encoder::begin(job.schema());
        self.message(head).await?;
        if let Some(set) = &job.planned.set {
            job.session.make(set)?;
            return Ok(());
        }
        // All runs of a statement together have the time of one.
        let timeout = job.options.timeout;
        let until = Instant::now() + self.app.queries.allowed(timeout);
        for params in job.params.iter() {
            let mut rows = self.begin(&job, params, until).await?;
            while let Some(batch) = self.unless_stopped(rows.next()).await? {
                encoder.push(batch.map_err(ApiError::from)?);
                loop {
                    let messages = encoder.next()?;
                    if messages.is_empty() {
                        break;
                    }
                    for message in messages {
                        self.message(message).await?;
                    }
                }
            }
        }
        Ok(())
    }

    async fn begin(
        &mut self,
        job: &Job,
        params: &[ArrayRef],
        until: Instant,
    ) -> Result<ResultStream, Stop> {
        let queries = self.app.queries.clone();
        let options = RunOptions {
            deadline: Some(until.saturating_duration_since(Instant::now())),
            allowed: Some(self.app.queries.allowed(job.options.timeout)),
            rows: None,
            native: job.is_native(),
        };
        let running = queries.run(&job.planned, params, options);
        Ok(self
            .unless_stopped(running)
            .await?
            .map_err(ApiError::from)?)
    }

    async fn message(&mut self, message: FlightData) -> Result<(), Stop> {
        let out = self.out.clone();
        let sent = self.unless_stopped(out.send(Ok(message))).await?;
        sent.map_err(|_| Stop::Gone)
    }

    /// Waits for something, but not longer than there is somebody who wants it.
    async fn unless_stopped<T>(&mut self, wanted: impl Future<Output = T>) -> Result<T, Stop> {
        tokio::select! {
            biased;
            () = self.out.closed() => Err(Stop::Gone),
            _ = self.cancelled.wait_for(|cancelled| *cancelled) => Err(cancelled()),
            _ = self.closing.wait_for(|closing| *closing) => Err(cancelled()),
            done = wanted => Ok(done),
        }
    }
}

fn cancelled() -> Stop {
    Stop::Failed(ApiError::new(Code::Cancelled, "the query was cancelled"))
}
