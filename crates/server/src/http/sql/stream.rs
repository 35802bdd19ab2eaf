//! From batches to the body of an answer, on the decoder threads.
//!
//! Whatever is dropped here is dropped with its [`ResultStream`], and that cancels the query.

use std::io;

use ::arrow::array::RecordBatch;
use axum::body::Body;
use bytes::Bytes;
use engine::service::ResultStream;
use futures::stream;
use tokio::sync::{mpsc, oneshot};

use super::{App, Tally, Writer, as_error};
use crate::{error::ApiError, limits};

/// Rows written between two looks at the size of what was written.
const ROWS: usize = 512;

/// A query whose first batch is there.
pub(super) struct Reading {
    pub rows: ResultStream,
    pub first: Option<RecordBatch>,
    pub tally: Tally,
}

/// The whole body, or why there is none.
pub(super) async fn whole(
    app: &App,
    reading: Reading,
    writer: Box<dyn Writer>,
) -> Result<Bytes, ApiError> {
    let (mut sender, receiver) = oneshot::channel();
    app.decoders.spawn(async move {
        let collected = tokio::select! {
            collected = collect(reading, writer) => collected,
            // Nobody waits for it any more.
            () = sender.closed() => return,
        };
        // The same, a moment later.
        let _ = sender.send(collected);
    });
    receiver.await.map_err(|_| ApiError::internal())?
}

async fn collect(mut reading: Reading, mut writer: Box<dyn Writer>) -> Result<Bytes, ApiError> {
    let mut out = Vec::new();
    let collected = async {
        writer.begin(&mut out)?;
        let mut next = reading.first.take();
        while let Some(batch) = next {
            for rows in slices(&batch) {
                writer.rows(&rows, &mut out)?;
                if out.len() > limits::JSON_ANSWER_BYTES_MAX {
                    return Err(ApiError::too_much_json(
                        "ask for fewer rows (`limit`), or for text/csv or an Arrow stream in \
                         `Accept`",
                    ));
                }
            }
            next = reading.rows.next().await.transpose().map_err(as_error)?;
        }
        writer.end(reading.rows.truncated(), &mut out)
    };
    match collected.await {
        Ok(()) => {
            reading.tally.done();
            Ok(out.into())
        }
        Err(error) => {
            reading.tally.failed(&error);
            Err(error)
        }
    }
}

type Chunk = Result<Bytes, io::Error>;

/// A body that comes while the query runs.
pub(super) fn streamed(app: &App, reading: Reading, writer: Box<dyn Writer>) -> Body {
    let (sender, receiver) = mpsc::channel::<Chunk>(limits::CHUNKS_WAITING);
    app.decoders.spawn(async move {
        let unread = sender.clone();
        tokio::select! {
            () = pump(reading, writer, sender) => {}
            // The client has gone.
            () = unread.closed() => {}
        }
    });
    Body::from_stream(stream::unfold(receiver, async |mut receiver| {
        let chunk = receiver.recv().await?;
        Some((chunk, receiver))
    }))
}

async fn pump(mut reading: Reading, mut writer: Box<dyn Writer>, sender: mpsc::Sender<Chunk>) {
    let pumped = pump_rows(&mut reading, &mut *writer, &sender).await;
    match pumped {
        Ok(()) => reading.tally.done(),
        Err(error) => {
            reading.tally.failed(&error);
            tracing::info!(
                code = error.code.word(),
                message = error.message,
                "a streamed answer was cut off"
            );
            // Without its end mark: the connection says that something is missing.
            let _ = sender.send(Err(io::Error::other(error.code.word()))).await;
        }
    }
}

async fn pump_rows(
    reading: &mut Reading,
    writer: &mut dyn Writer,
    sender: &mpsc::Sender<Chunk>,
) -> Result<(), ApiError> {
    let mut out = Vec::new();
    writer.begin(&mut out)?;
    let mut next = reading.first.take();
    while let Some(batch) = next {
        for rows in slices(&batch) {
            writer.rows(&rows, &mut out)?;
            if out.len() >= limits::CHUNK_BYTES {
                send(sender, &mut out).await;
            }
        }
        next = reading.rows.next().await.transpose().map_err(as_error)?;
    }
    writer.end(reading.rows.truncated(), &mut out)?;
    send(sender, &mut out).await;
    Ok(())
}

/// A receiver that has gone ends the task that sends.
async fn send(sender: &mpsc::Sender<Chunk>, out: &mut Vec<u8>) {
    let _ = sender.send(Ok(std::mem::take(out).into())).await;
}

fn slices(batch: &RecordBatch) -> impl Iterator<Item = RecordBatch> + '_ {
    (0..batch.num_rows())
        .step_by(ROWS)
        .map(|at| batch.slice(at, ROWS.min(batch.num_rows() - at)))
}
