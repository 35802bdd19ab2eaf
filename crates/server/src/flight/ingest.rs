//! `CommandStatementIngest`: events as rows for `events.log`.
//!
//! A row is an event, as in an Arrow body over HTTP, and goes the same way: the same checks, the
//! same log, the same answer. A batch is stored in deliveries, one after the other; a delivery
//! with a bad row is not stored and ends the call. What was stored before stays, so that sending
//! all of it again is safe and gives the full count.

use arrow::{array::RecordBatch, datatypes::Schema};
use arrow_flight::sql::{CommandStatementIngest, TableExistsOption};
use ingest::live::{OnError, Receipt};
use tokio::sync::oneshot;

use super::{
    Flight,
    door::{Caller, no_transaction},
    incoming::Incoming,
    metadata::CATALOGUE,
};
use crate::{
    access::Identity,
    decode::arrow::{Messages, Use, batch_rows, json_bytes},
    error::{ApiError, Code},
    limits,
};

/// Columns that every event needs. A source may be missing where the server has one for all.
const REQUIRED: [&str; 4] = ["event_id", "event_type", "occurred_at", "data"];

impl Flight {
    /// Takes events; gives how many are on the disk now: new ones and those that were before.
    pub(super) async fn ingest(
        &self,
        caller: &Caller,
        command: &CommandStatementIngest,
        mut incoming: Incoming,
    ) -> Result<i64, ApiError> {
        let on_error = check(command)?;
        let _place = self.ingests.try_acquire().map_err(|_| ApiError::busy())?;
        let mut messages = Messages::new(Use::Events);
        let (mut stored, mut number) = (0, 0);
        while let Some(message) = incoming.next().await? {
            if message.data_header.is_empty() {
                continue;
            }
            let work = self.app.decoders.spawn(async move {
                let (head, body) = (message.data_header, message.data_body);
                let batch = messages.take(&head, body);
                (messages, batch)
            });
            let batch;
            (messages, batch) = work.await.map_err(|_| ApiError::internal())?;
            if let Some(schema) = messages.schema() {
                check_columns(schema)?;
            }
            if let Some(batch) = batch? {
                number += 1;
                stored += self
                    .store(&caller.identity, batch, number, on_error)
                    .await?;
            }
        }
        Ok(i64::try_from(stored).unwrap_or(i64::MAX))
    }

    /// Stores one batch, the `number`th of the call.
    async fn store(
        &self,
        identity: &Identity,
        batch: RecordBatch,
        number: u64,
        on_error: OnError,
    ) -> Result<u64, ApiError> {
        if batch.num_rows() > limits::INGEST_BATCH_ROWS_MAX {
            let most = limits::INGEST_BATCH_ROWS_MAX;
            let message = format!("batch {number} has more than {most} rows");
            return Err(ApiError::new(Code::TooLarge, message).hint("send smaller batches"));
        }
        let mut stored = 0;
        let mut before = 0;
        while before < batch.num_rows() {
            let part = next_part(&batch, before);
            let rows = part.num_rows();
            let receipt = self
                .deliver(identity, part, before as u64, on_error)
                .await?;
            if let (OnError::RejectAll, Some(bad)) = (on_error, receipt.errors.first()) {
                return Err(ApiError::new(
                    Code::BadValue,
                    format!(
                        "row {} of batch {number} is no event: {}: {}",
                        bad.line,
                        bad.code.as_str(),
                        bad.reason
                    ),
                )
                .hint(
                    "mend it and send everything again: what is stored is counted, not doubled; \
                     the option on_reject=skip stores the good rows",
                ));
            }
            stored += receipt.accepted + receipt.duplicate;
            before += rows;
        }
        Ok(stored)
    }

    /// Hands rows to the pipeline and waits until they are on the disk.
    async fn deliver(
        &self,
        identity: &Identity,
        part: RecordBatch,
        before: u64,
        on_error: OnError,
    ) -> Result<Receipt, ApiError> {
        let (sender, answered) = oneshot::channel();
        let mut collector = self.app.sink.collect(identity.sources.clone());
        let waiter = self.app.waiting.enter();
        let delivering = self.app.decoders.spawn(async move {
            batch_rows(&part, before, &mut *collector)?;
            let answer = move |outcome| {
                drop(waiter);
                // Nobody waits if the client has left: the events are stored all the same.
                let _ = sender.send(outcome);
            };
            collector.deliver(on_error, Box::new(answer));
            Ok::<(), ApiError>(())
        });
        delivering.await.map_err(|_| ApiError::internal())??;
        // A pipeline that drops the question has stopped.
        let outcome = answered.await.map_err(|_| ApiError::stopped())?;
        Ok(outcome?)
    }
}

/// The rows from `from` on that make one delivery.
fn next_part(batch: &RecordBatch, from: usize) -> RecordBatch {
    let mut rows = (batch.num_rows() - from).min(limits::INGEST_DELIVERY_ROWS_MAX);
    loop {
        let part = batch.slice(from, rows);
        if rows == 1 || json_bytes(&part) <= limits::INGEST_DELIVERY_BYTES_MAX {
            return part;
        }
        rows /= 2;
    }
}

/// What becomes of bad rows, if the command can be done at all.
fn check(command: &CommandStatementIngest) -> Result<OnError, ApiError> {
    no_transaction(command.transaction_id.as_ref())?;
    let catalog = command.catalog.as_deref().unwrap_or_default();
    let schema = command.schema.as_deref().unwrap_or_default();
    let target = (schema, command.table.as_str());
    let known = matches!(target, ("events", "log") | ("", "events.log"));
    if !known || !["", CATALOGUE].contains(&catalog) || command.temporary {
        return Err(ApiError::new(
            Code::BadParameter,
            "rows are taken for events.log only, which is no temporary table",
        )
        .hint("table `log` in schema `events`"));
    }
    let options = command.table_definition_options.as_ref();
    let if_exists = options.map_or(TableExistsOption::Unspecified, |options| {
        options.if_exists()
    });
    if if_exists != TableExistsOption::Append {
        return Err(ApiError::new(
            Code::BadParameter,
            "events.log is there, and is neither made anew nor replaced",
        )
        .hint("use the mode \"append\" or \"create_append\""));
    }
    match command.options.get("on_reject").map(String::as_str) {
        None | Some("fail") => Ok(OnError::RejectAll),
        Some("skip") => Ok(OnError::KeepGood),
        Some(_) => {
            let message = "the option on_reject is `fail` or `skip`";
            Err(ApiError::new(Code::BadParameter, message))
        }
    }
}

/// Before anything is stored.
fn check_columns(schema: &Schema) -> Result<(), ApiError> {
    let missing = REQUIRED
        .iter()
        .find(|name| schema.field_with_name(name).is_err());
    match missing {
        None => Ok(()),
        Some(name) => Err(ApiError::new(
            Code::BadValue,
            format!("the column '{name}' is missing: nothing was stored"),
        )
        .hint("docs/events.md has the columns of an event; others become attributes")),
    }
}
