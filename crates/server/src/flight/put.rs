//! What clients send: values of parameters, statements without rows, events.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef};
use arrow_flight::sql::{Command, DoPutPreparedStatementResult, DoPutUpdateResult};
use bytes::Bytes;
use prost::Message;

use super::{
    Flight, calls,
    door::{Caller, command, no_transaction, wrong_count},
    incoming::Incoming,
    session::Statement,
};
use crate::{
    access::Right,
    decode::arrow::{Messages, Use},
    error::{ApiError, Code},
    limits,
};

impl Flight {
    /// Takes what comes; gives the bytes of the answer.
    pub(super) async fn put(
        &self,
        caller: &Caller,
        mut incoming: Incoming,
    ) -> Result<Vec<u8>, ApiError> {
        // Before anything large is read.
        caller.identity.need(&[Right::Sql, Right::IngestArrow])?;
        let first = incoming.peek().await?;
        let descriptor = first.and_then(|first| first.flight_descriptor.as_ref());
        let descriptor = descriptor.ok_or_else(|| {
            ApiError::new(Code::BadParameter, "the first message has no descriptor")
                .hint("send the command with the first message, before or with the schema")
        })?;
        let command = command(&descriptor.cmd)?;
        calls::allow_put(&caller.identity, &command)?;
        let record_count = match command {
            Command::CommandPreparedStatementQuery(command) => {
                let handle = command.prepared_statement_handle;
                self.bind(caller, &handle, incoming).await?;
                let answer = DoPutPreparedStatementResult {
                    prepared_statement_handle: Some(handle),
                };
                return Ok(answer.encode_to_vec());
            }
            Command::CommandStatementUpdate(command) => {
                no_transaction(command.transaction_id.as_ref())?;
                self.update(caller, &command.query).await?
            }
            Command::CommandPreparedStatementUpdate(command) => {
                let handle = &command.prepared_statement_handle;
                let text = |kept: &mut Statement| Arc::clone(&kept.text);
                let session = &caller.session;
                let text = self.sessions.statement(handle, session, self.now(), text)?;
                self.update(caller, &text).await?
            }
            Command::CommandStatementIngest(command) => {
                self.ingest(caller, &command, incoming).await?
            }
            _ => {
                let message = "nothing can be sent with this command";
                return Err(ApiError::new(Code::Unimplemented, message).hint(
                    "values of parameters, SET and RESET, and events for events.log are taken",
                ));
            }
        };
        Ok(DoPutUpdateResult { record_count }.encode_to_vec())
    }

    /// A statement that changes the session; nothing else can be changed in SQL.
    async fn update(&self, caller: &Caller, text: &str) -> Result<i64, ApiError> {
        let planned = self.plan(caller, text).await?;
        let Some(set) = planned.set else {
            return Err(ApiError::new(
                Code::BadParameter,
                "the statement has rows: it is a query, not an update",
            )
            .hint("execute it as a query"));
        };
        caller.session.make(&set)?;
        Ok(0)
    }

    /// Keeps values for the next run of a prepared statement.
    async fn bind(
        &self,
        caller: &Caller,
        handle: &Bytes,
        incoming: Incoming,
    ) -> Result<(), ApiError> {
        let needed = |kept: &mut Statement| kept.params;
        let session = &caller.session;
        let needed = self
            .sessions
            .statement(handle, session, self.now(), needed)?;
        let rows = Arc::new(param_rows(needed, incoming).await?);
        let keep = |kept: &mut Statement| kept.bound = Some(rows);
        self.sessions.statement(handle, session, self.now(), keep)
    }
}

/// Reads rows of values, by the place of their columns: names are what drivers make up.
async fn param_rows(needed: usize, mut incoming: Incoming) -> Result<Vec<Vec<ArrayRef>>, ApiError> {
    let mut messages = Messages::new(Use::Parameters);
    let mut rows = Vec::new();
    let mut bytes = 0;
    while let Some(message) = incoming.next().await? {
        bytes += message.data_header.len() + message.data_body.len();
        if bytes > limits::PARAMETER_BYTES_MAX {
            return Err(too_many(format!("{} bytes", limits::PARAMETER_BYTES_MAX)));
        }
        // One that only carries the command.
        if message.data_header.is_empty() {
            continue;
        }
        let Some(batch) = messages.take(&message.data_header, message.data_body)? else {
            continue;
        };
        if batch.num_columns() != needed {
            return Err(wrong_count(needed, batch.num_columns()));
        }
        if batch.num_rows() > limits::PARAMETER_ROWS_MAX - rows.len() {
            return Err(too_many(format!("{} rows", limits::PARAMETER_ROWS_MAX)));
        }
        let row = |row| batch.columns().iter().map(|c| c.slice(row, 1)).collect();
        rows.extend((0..batch.num_rows()).map(row));
    }
    if let Some(schema) = messages.schema()
        && schema.fields().len() != needed
    {
        return Err(wrong_count(needed, schema.fields().len()));
    }
    Ok(rows)
}

fn too_many(what: String) -> ApiError {
    let message = format!("more than {what} of values are bound at once");
    ApiError::new(Code::TooLarge, message).hint("run the statement in several parts")
}
