//! The rows of a running query, on their way to its reader.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use arrow::array::{Array, RecordBatch};
use arrow::datatypes::SchemaRef;
use datafusion::error::DataFusionError;
use datafusion::execution::TaskContext;
use datafusion::physical_plan::{ExecutionPlan, execute_stream};
use futures::{FutureExt, StreamExt};
use tokio::sync::mpsc;

use super::clock::Alarm;
use super::counts::Counts;
use super::running::{Entry, Reader, StopSignal};
use super::{ErrorKind, QueryError, QueryLimits};
use crate::wire::{native_batch, wire_batch};

type Batch = Result<RecordBatch, QueryError>;

/// The result of a query, batch by batch. Dropped, it ends the query.
pub struct ResultStream {
    schema: SchemaRef,
    batches: mpsc::Receiver<Batch>,
    stopped: StopSignal,
    reader: Reader,
    over: bool,
}

impl ResultStream {
    pub(super) fn new(
        schema: SchemaRef,
        batches: mpsc::Receiver<Batch>,
        reader: Reader,
    ) -> ResultStream {
        ResultStream {
            schema,
            batches,
            stopped: reader.0.stopped(),
            reader,
            over: false,
        }
    }

    /// Id of the query, as it stands in the list of those that run.
    pub fn id(&self) -> u64 {
        self.reader.0.id
    }

    /// Columns of every batch: those of the planned statement, bit for bit.
    pub fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// The next rows; `None` after the last. An error is the end.
    ///
    /// # Errors
    /// What running can fail with: a limit, the deadline, cancellation, a value that does not
    /// fit, damaged data, a bug of ours.
    pub async fn next(&mut self) -> Option<Batch> {
        if self.over {
            return None;
        }
        let next = tokio::select! {
            biased;
            why = self.stopped.wait() => Some(Err(why.error())),
            next = self.batches.recv() => next,
        };
        let next = match next {
            // The sender is gone without a word: so is the runtime.
            None if !self.reader.0.is_ended() => Some(Err(QueryError::new(
                ErrorKind::Stopped,
                "the server is stopping",
            ))),
            next => next,
        };
        self.over = !matches!(next, Some(Ok(_)));
        next
    }

    /// Were rows left out because only so many were asked for? Known after the last batch.
    pub fn truncated(&self) -> bool {
        self.reader.0.is_cut()
    }
}

/// Where the rows of a query go, and how many may.
pub(super) struct Sink {
    pub schema: SchemaRef,
    /// Is the schema in the engine's own types?
    pub native: bool,
    /// Rows asked for; more are left out.
    pub rows: Option<u64>,
    pub limits: Arc<QueryLimits>,
    pub entry: Arc<Entry>,
    pub batches: mpsc::Sender<Batch>,
}

/// What the reader has been given.
#[derive(Default)]
struct Totals {
    rows: u64,
    bytes: u64,
}

/// What came of giving a batch away.
enum Given {
    More,
    Enough,
    NobodyThere,
}

/// Runs a plan until it ends, fails or is to end; counts what came of it.
pub(super) async fn drive(
    plan: Arc<dyn ExecutionPlan>,
    task: Arc<TaskContext>,
    sink: Sink,
    deadline: Alarm,
    counts: Arc<Counts>,
) {
    let mut stopped = sink.entry.stopped();
    // The query is in the list until it has been counted.
    let listed = Arc::clone(&task);
    let work = AssertUnwindSafe(pull(plan, task, &sink)).catch_unwind();
    let done = tokio::select! {
        biased;
        why = stopped.wait() => {
            // The reader hears of it by itself.
            counts.add(Some(why.error().kind));
            return;
        }
        done = work => done.unwrap_or_else(|_| Err(QueryError::internal())),
    };
    // What is left is to be read, however long that takes.
    drop(deadline);
    counts.add(done.as_ref().err().map(|error| error.kind));
    drop(listed);
    match done {
        Ok(cut) => sink.entry.set_ended(cut),
        Err(error) => {
            let id = sink.entry.id;
            tracing::debug!(
                query = id,
                kind = error.kind.word(),
                "a query did not end well"
            );
            let _ = sink.batches.send(Err(error)).await;
        }
    }
}

/// True: rows were left out.
async fn pull(
    plan: Arc<dyn ExecutionPlan>,
    task: Arc<TaskContext>,
    sink: &Sink,
) -> Result<bool, QueryError> {
    let mut stream = execute_stream(plan, task)?;
    let mut given = Totals::default();
    while let Some(batch) = stream.next().await {
        let batch = batch?;
        if batch.num_rows() == 0 {
            continue;
        }
        match sink.give(batch, &mut given).await? {
            Given::More => {}
            Given::Enough => return Ok(true),
            Given::NobodyThere => {
                return Err(QueryError::new(
                    ErrorKind::Cancelled,
                    "nobody reads the result",
                ));
            }
        }
    }
    Ok(false)
}

impl Sink {
    async fn give(&self, batch: RecordBatch, given: &mut Totals) -> Result<Given, QueryError> {
        let left = self.rows.unwrap_or(u64::MAX) - given.rows;
        let rows = left.min(batch.num_rows() as u64);
        let cut = rows < batch.num_rows() as u64;
        let batch = self.shaped(&batch.slice(0, rows as usize))?;
        given.rows += rows;
        given.bytes += bytes_of(&batch);
        if given.rows > self.limits.rows_max {
            return Err(too_much(&format!("{} rows", self.limits.rows_max)));
        }
        if given.bytes > self.limits.bytes_max {
            return Err(too_much(&format!("{} bytes", self.limits.bytes_max)));
        }
        if rows > 0 && self.batches.send(Ok(batch)).await.is_err() {
            return Ok(Given::NobodyThere);
        }
        self.entry.add_rows(rows);
        Ok(if cut { Given::Enough } else { Given::More })
    }

    fn shaped(&self, batch: &RecordBatch) -> Result<RecordBatch, QueryError> {
        let shaped = if self.native {
            native_batch(&self.schema, batch)
        } else {
            wire_batch(&self.schema, batch)
        };
        shaped.map_err(|e| DataFusionError::from(e).into())
    }
}

fn too_much(what: &str) -> QueryError {
    QueryError::new(
        ErrorKind::QueryLimit,
        format!("the result is larger than {what}"),
    )
    .with_hint("ask for fewer rows or columns, or read it in parts")
}

/// Bytes of the rows themselves, not of the buffers that they are a part of.
fn bytes_of(batch: &RecordBatch) -> u64 {
    let of = |column: &Arc<dyn Array>| {
        let data = column.to_data();
        data.get_slice_memory_size()
            .unwrap_or_else(|_| data.get_array_memory_size()) as u64
    };
    batch.columns().iter().map(of).sum()
}
