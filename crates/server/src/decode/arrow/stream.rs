//! Messages that come one by one, as Flight sends them.

use std::{
    collections::HashMap,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
};

use arrow::{
    array::{ArrayRef, RecordBatch},
    buffer::Buffer,
    datatypes::{DataType, Field, Schema, SchemaRef},
    ipc::{
        MessageHeader,
        reader::{read_dictionary, read_record_batch},
    },
};
use bytes::Bytes;

pub(crate) use super::columns::json_bytes;
use super::{
    columns, damaged,
    messages::{self, Looked},
};
use crate::{decode::BodyError, limits};

/// What the columns are for: each use allows other types.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Use {
    /// Events: what can be told as JSON.
    Events,
    /// Values of parameters: nothing nested.
    Parameters,
}

/// What is known of a stream so far.
#[derive(Debug)]
pub(crate) struct Messages {
    what_for: Use,
    schema: Option<SchemaRef>,
    dictionaries: HashMap<i64, ArrayRef>,
}

impl Messages {
    pub(crate) fn new(what_for: Use) -> Self {
        Messages {
            what_for,
            schema: None,
            dictionaries: HashMap::new(),
        }
    }

    /// The columns, once they are known.
    pub(crate) fn schema(&self) -> Option<&SchemaRef> {
        self.schema.as_ref()
    }

    /// Takes one message; gives its rows if it has some.
    pub(crate) fn take(
        &mut self,
        head: &[u8],
        body: Bytes,
    ) -> Result<Option<RecordBatch>, BodyError> {
        // The call ends with the error: what a panic leaves behind is not used again.
        catch_unwind(AssertUnwindSafe(|| self.take_unguarded(head, body)))
            .unwrap_or_else(|_| Err(damaged("its content contradicts itself")))
    }

    fn take_unguarded(
        &mut self,
        head: &[u8],
        body: Bytes,
    ) -> Result<Option<RecordBatch>, BodyError> {
        let message = messages::head(head)?;
        let named = u64::try_from(message.bodyLength()).map_err(|_| damaged("a length"))?;
        if named > body.len() as u64 {
            return Err(damaged("it is cut"));
        }
        let looked = messages::look_through(&message, named)?;
        let version = message.version();
        match looked {
            Looked::Schema(schema) => self.begin(schema).map(|()| None),
            Looked::Other if message.header_type() == MessageHeader::NONE => Ok(None),
            Looked::Other => Err(damaged("it has a message that is no part of a table")),
            Looked::Dictionary => {
                let schema = self.known()?;
                let batch = message.header_as_dictionary_batch();
                let batch = batch.ok_or_else(|| damaged("a dictionary is empty"))?;
                let body = Buffer::from(body);
                read_dictionary(&body, batch, &schema, &mut self.dictionaries, &version)
                    .map_err(|_| damaged("a dictionary cannot be decoded"))?;
                Ok(None)
            }
            Looked::Rows(_) => {
                let schema = self.known()?;
                let batch = message.header_as_record_batch();
                let batch = batch.ok_or_else(|| damaged("a batch is empty"))?;
                let (body, known) = (Buffer::from(body), &self.dictionaries);
                let read = read_record_batch(&body, batch, schema, known, None, &version);
                read.map(Some)
                    .map_err(|_| damaged("a batch cannot be decoded"))
            }
        }
    }

    fn begin(&mut self, schema: Schema) -> Result<(), BodyError> {
        if self.schema.is_some() {
            return Err(damaged("it has two schemas"));
        }
        match self.what_for {
            Use::Events => columns::check(&schema)?,
            Use::Parameters => check_parameters(&schema)?,
        }
        self.schema = Some(Arc::new(schema));
        Ok(())
    }

    fn known(&self) -> Result<SchemaRef, BodyError> {
        let schema = self.schema.as_ref().map(Arc::clone);
        schema.ok_or_else(|| damaged("rows come before the schema"))
    }
}

fn check_parameters(schema: &Schema) -> Result<(), BodyError> {
    if schema.fields().len() > limits::ARROW_COLUMNS_MAX {
        return Err(BodyError::TooLarge(format!(
            "more than {} parameters are bound",
            limits::ARROW_COLUMNS_MAX
        )));
    }
    let mut fields = schema.fields().iter();
    match fields.position(|field| !is_parameter(field)) {
        None => Ok(()),
        Some(place) => Err(BodyError::Bad(
            format!("parameter {} has a type that cannot be bound", place + 1),
            "bind text, numbers, booleans, dates, timestamps or bytes",
        )),
    }
}

fn is_parameter(field: &Field) -> bool {
    match field.data_type() {
        DataType::Dictionary(_, values) => !values.is_nested(),
        DataType::RunEndEncoded(..) => false,
        other => !other.is_nested(),
    }
}
