//! Flight's calls, each handed to where it is answered.
//!
//! `arrow-flight` has a trait for servers of Flight SQL too. It leaves out three of the calls, and
//! its own errors quote what was sent; here every call goes through one list of commands.

use std::{pin::Pin, sync::Arc};

use arrow::datatypes::Schema;
use arrow::ipc::writer::IpcWriteOptions;
use arrow_flight::{
    Action, ActionType, Criteria, Empty, FlightData, FlightDescriptor, FlightEndpoint, FlightInfo,
    HandshakeRequest, HandshakeResponse, IpcMessage, PollInfo, PutResult, SchemaAsIpc,
    SchemaResult, Ticket,
    flight_descriptor::DescriptorType,
    flight_service_server::FlightService,
    sql::{Any, Command, CommandStatementQuery, ProstMessageExt},
};
use bytes::Bytes;
use engine::service::{Planned, Relation};
use futures::{Stream, stream};
use prost::Message;
use tonic::{Request, Response, Status, Streaming, metadata::MetadataValue};

use super::{
    Flight, actions, calls,
    encode::Encoder,
    incoming::{Held, Incoming},
    metadata,
    rows::{self, FlightStream, Job},
    session::{ParamRows, Session},
    tickets,
};
use crate::{
    access::{Identity, Right},
    error::{ApiError, Code},
};

/// Who calls, and in which session.
#[derive(Clone, Debug)]
pub(super) struct Caller {
    pub identity: Identity,
    pub session: Arc<Session>,
    /// What a handshake gives to the client.
    pub secret: Option<String>,
}

type Streamed<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

fn streamed<T: Send + 'static>(items: Vec<T>) -> Response<Streamed<T>> {
    Response::new(Box::pin(stream::iter(items.into_iter().map(Ok))))
}

/// Put there by the layer that every call goes through.
fn caller<T>(request: &Request<T>) -> Result<Caller, ApiError> {
    let caller = request.extensions().get::<Caller>();
    caller.cloned().ok_or_else(ApiError::internal)
}

#[tonic::async_trait]
impl FlightService for Flight {
    type HandshakeStream = Streamed<HandshakeResponse>;
    type ListFlightsStream = Streamed<FlightInfo>;
    type DoGetStream = FlightStream;
    type DoPutStream = Streamed<PutResult>;
    type DoActionStream = Streamed<arrow_flight::Result>;
    type ListActionsStream = Streamed<ActionType>;
    type DoExchangeStream = FlightStream;

    async fn handshake(
        &self,
        request: Request<Streaming<HandshakeRequest>>,
    ) -> Result<Response<Self::HandshakeStream>, Status> {
        let secret = caller(&request)?.secret.ok_or_else(ApiError::internal)?;
        let payload = Bytes::from(secret.clone());
        let mut response = streamed(vec![HandshakeResponse {
            protocol_version: 0,
            payload,
        }]);
        let header = MetadataValue::try_from(format!("Bearer {secret}"));
        let header = header.map_err(|_| ApiError::internal())?;
        response.metadata_mut().insert("authorization", header);
        Ok(response)
    }

    async fn list_flights(
        &self,
        request: Request<Criteria>,
    ) -> Result<Response<Self::ListFlightsStream>, Status> {
        let caller = caller(&request)?;
        if !request.get_ref().expression.is_empty() {
            let message = "flights are not listed by an expression";
            return Err(ApiError::new(Code::BadParameter, message)
                .hint("leave it empty, or list tables with GetTables")
                .into());
        }
        let mut infos = Vec::new();
        for relation in self.relations(&caller).await? {
            infos.push(relation_info(&relation)?);
        }
        Ok(streamed(infos))
    }

    async fn get_flight_info(
        &self,
        request: Request<FlightDescriptor>,
    ) -> Result<Response<FlightInfo>, Status> {
        let caller = caller(&request)?;
        let info = self.info(&caller, request.into_inner()).await?;
        Ok(Response::new(info))
    }

    async fn poll_flight_info(
        &self,
        request: Request<FlightDescriptor>,
    ) -> Result<Response<PollInfo>, Status> {
        let caller = caller(&request)?;
        let info = self.info(&caller, request.into_inner()).await?;
        // The work begins when the ticket is read: there is nothing to wait for before.
        Ok(Response::new(PollInfo::new().with_info(info)))
    }

    async fn get_schema(
        &self,
        request: Request<FlightDescriptor>,
    ) -> Result<Response<SchemaResult>, Status> {
        let caller = caller(&request)?;
        let command = command_of(request.get_ref())?;
        calls::allow_read(&caller.identity, &command)?;
        let schema = match metadata::schema(&command) {
            Some(schema) => schema,
            None => Arc::clone(self.job(&caller, command).await?.schema()),
        };
        let schema = schema_bytes(&schema)?;
        Ok(Response::new(SchemaResult { schema }))
    }

    async fn do_get(
        &self,
        request: Request<Ticket>,
    ) -> Result<Response<Self::DoGetStream>, Status> {
        let caller = caller(&request)?;
        let command = command(&request.get_ref().ticket)?;
        // The right may have been taken away since the ticket was given.
        calls::allow_read(&caller.identity, &command)?;
        let stream = match command {
            Command::TicketStatementQuery(ticket) => {
                let holder = caller.identity.token;
                let handle = &ticket.statement_handle;
                let job = self.tickets.read(&self.ids, handle, holder, self.now())?;
                rows::send(job, Arc::clone(&self.app))
            }
            command => self.tell(&caller, &command).await?,
        };
        Ok(Response::new(stream))
    }

    async fn do_put(
        &self,
        request: Request<Streaming<FlightData>>,
    ) -> Result<Response<Self::DoPutStream>, Status> {
        let caller = caller(&request)?;
        let held = request.extensions().get::<Held>().cloned();
        let incoming = Incoming::new(request.into_inner(), held);
        let result = self.put(&caller, incoming).await?;
        let app_metadata = result.into();
        Ok(streamed(vec![PutResult { app_metadata }]))
    }

    async fn do_action(
        &self,
        request: Request<Action>,
    ) -> Result<Response<Self::DoActionStream>, Status> {
        let caller = caller(&request)?;
        let done = self.act(&caller, request.get_ref()).await?;
        let results = done.body.map(|body| arrow_flight::Result { body });
        let mut response = streamed(results.into_iter().collect());
        if let Some(cookie) = done.cookie {
            let cookie = format!("{}={cookie}; HttpOnly; SameSite=Strict", super::COOKIE);
            let cookie = MetadataValue::try_from(cookie).map_err(|_| ApiError::internal())?;
            response.metadata_mut().insert("set-cookie", cookie);
        }
        Ok(response)
    }

    async fn list_actions(
        &self,
        _: Request<Empty>,
    ) -> Result<Response<Self::ListActionsStream>, Status> {
        Ok(streamed(actions::list().collect()))
    }

    async fn do_exchange(
        &self,
        _: Request<Streaming<FlightData>>,
    ) -> Result<Response<Self::DoExchangeStream>, Status> {
        let message = "there is nothing to exchange";
        Err(ApiError::new(Code::Unimplemented, message)
            .hint("read with DoGet, write with DoPut")
            .into())
    }
}

impl Flight {
    /// How to read what a descriptor asks for.
    async fn info(
        &self,
        caller: &Caller,
        descriptor: FlightDescriptor,
    ) -> Result<FlightInfo, ApiError> {
        let command = command_of(&descriptor)?;
        calls::allow_read(&caller.identity, &command)?;
        let mut endpoint = FlightEndpoint::default();
        let info = FlightInfo::new().with_descriptor(descriptor);
        if let Some(schema) = metadata::schema(&command) {
            let ticket = command.into_any().encode_to_vec();
            endpoint.ticket = Some(Ticket::new(ticket));
            tickets::set_end(&mut endpoint, tickets::end_after(self.now()));
            return with_schema(info.with_endpoint(endpoint), &schema);
        }
        let job = self.job(caller, command).await?;
        let info = with_schema(info.with_ordered(job.is_ordered()), job.schema())?;
        let issued = self.tickets.issue(&self.ids, job, self.now())?;
        issued.write_to(&mut endpoint);
        Ok(info.with_endpoint(endpoint))
    }

    /// Plans what a command asks for.
    async fn job(&self, caller: &Caller, command: Command) -> Result<Arc<Job>, ApiError> {
        let (text, params) = match command {
            Command::CommandStatementQuery(query) => {
                no_transaction(query.transaction_id.as_ref())?;
                (Arc::from(query.query), None)
            }
            Command::CommandPreparedStatementQuery(prepared) => {
                let handle = &prepared.prepared_statement_handle;
                let statement = |kept: &mut super::session::Statement| kept.clone();
                let now = self.now();
                let session = &caller.session;
                let statement = self.sessions.statement(handle, session, now, statement)?;
                (statement.text, statement.bound)
            }
            Command::CommandStatementSubstraitPlan(_) => {
                let message = "Substrait plans are not offered";
                return Err(ApiError::new(Code::Unimplemented, message).hint("send SQL"));
            }
            _ => return Err(nothing_to_read()),
        };
        let planned = self.plan(caller, &text).await?;
        let params = params.unwrap_or_else(|| Arc::new(vec![Vec::new()]));
        check_counts(&planned, &params)?;
        Ok(Job::new(&caller.session, planned, params))
    }

    /// Plans a statement over the newest data.
    pub(super) async fn plan(&self, caller: &Caller, text: &str) -> Result<Planned, ApiError> {
        let (who, settings) = (caller.identity.caller(), caller.session.options());
        Ok(self.app.queries.plan(&who, text, &settings).await?)
    }

    /// The relations that the caller may read.
    async fn relations(&self, caller: &Caller) -> Result<Vec<Relation>, ApiError> {
        match caller.identity.may(Right::Sql) {
            true => Ok(self
                .app
                .queries
                .relations(&caller.identity.caller())
                .await?),
            false => Ok(Vec::new()),
        }
    }

    /// The rows that tell about the server.
    async fn tell(&self, caller: &Caller, command: &Command) -> Result<FlightStream, ApiError> {
        let relations = match metadata::needs_relations(command) {
            true => self.relations(caller).await?,
            false => Vec::new(),
        };
        let about = self.about(&caller.identity);
        let batch = metadata::answer(command, &relations, &about).ok_or_else(nothing_to_read)??;
        let (mut encoder, head) = Encoder::begin(&batch.schema());
        let mut messages = vec![head];
        encoder.push(batch);
        loop {
            let more = encoder.next()?;
            if more.is_empty() {
                return Ok(rows::send_now(messages));
            }
            messages.extend(more);
        }
    }
}

fn check_counts(planned: &Planned, params: &ParamRows) -> Result<(), ApiError> {
    let needed = planned.params.len();
    match params.iter().find(|row| row.len() != needed) {
        None => Ok(()),
        Some(row) => Err(wrong_count(needed, row.len())),
    }
}

/// As many values as the statement has parameters, or not.
pub(super) fn wrong_count(needed: usize, bound: usize) -> ApiError {
    ApiError::new(
        Code::BadParameter,
        format!("the statement has {needed} parameter(s), but {bound} value(s) were bound"),
    )
    .hint("bind one value for each ? or $n, in the order of their numbers")
}

/// The command in a descriptor.
fn command_of(descriptor: &FlightDescriptor) -> Result<Command, ApiError> {
    match descriptor.r#type() {
        DescriptorType::Cmd => command(&descriptor.cmd),
        _ => Err(ApiError::new(
            Code::BadParameter,
            "flights are named by a command of Flight SQL, not by a path",
        )
        .hint("send CommandStatementQuery with SELECT * FROM the table")),
    }
}

/// The command in some bytes.
pub(super) fn command(bytes: &[u8]) -> Result<Command, ApiError> {
    let not_understood = || {
        ApiError::new(Code::BadParameter, "the bytes are no command of Flight SQL")
            .hint("send a message of FlightSql.proto, packed into a google.protobuf.Any")
    };
    let any = Any::decode(bytes).map_err(|_| not_understood())?;
    match Command::try_from(any).map_err(|_| not_understood())? {
        Command::Unknown(_) => Err(not_understood()),
        command => Ok(command),
    }
}

fn nothing_to_read() -> ApiError {
    ApiError::new(Code::BadParameter, "the command has no rows to read")
        .hint("read queries and metadata with GetFlightInfo, then DoGet its ticket")
}

/// Statements stand by themselves.
pub(super) fn no_transaction(id: Option<&Bytes>) -> Result<(), ApiError> {
    match id {
        Some(id) if !id.is_empty() => Err(ApiError::new(
            Code::Unimplemented,
            "transactions are not offered",
        )
        .hint("use autocommit: every statement reads one state of the data")),
        _ => Ok(()),
    }
}

/// A schema as messages of Flight hold it.
pub(super) fn schema_bytes(schema: &Schema) -> Result<Bytes, ApiError> {
    let options = IpcWriteOptions::default();
    let message = IpcMessage::try_from(SchemaAsIpc::new(schema, &options));
    let IpcMessage(bytes) = message.map_err(|error| {
        tracing::error!(%error, "a schema could not be encoded");
        ApiError::internal()
    })?;
    Ok(bytes)
}

fn with_schema(mut info: FlightInfo, schema: &Schema) -> Result<FlightInfo, ApiError> {
    info.schema = schema_bytes(schema)?;
    Ok(info)
}

/// A relation as something that can be asked for.
fn relation_info(relation: &Relation) -> Result<FlightInfo, ApiError> {
    let quoted = |name: &str| format!("\"{}\"", name.replace('"', "\"\""));
    let query = CommandStatementQuery {
        query: format!(
            "SELECT * FROM {}.{}",
            quoted(&relation.schema),
            quoted(&relation.name)
        ),
        transaction_id: None,
    };
    let descriptor = FlightDescriptor::new_cmd(query.as_any().encode_to_vec());
    let info = FlightInfo::new().with_descriptor(descriptor);
    with_schema(info, &metadata::table_schema(relation))
}
