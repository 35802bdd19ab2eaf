//! Actions: statements prepared and forgotten, sessions, tickets cancelled and renewed.

use std::{collections::HashMap, sync::Arc};

use arrow_flight::{
    Action, ActionType, CancelFlightInfoRequest, CancelFlightInfoResult, CancelStatus,
    FlightEndpoint, FlightInfo, RenewFlightEndpointRequest,
    sql::{
        ActionCancelQueryRequest, ActionCancelQueryResult, ActionClosePreparedStatementRequest,
        ActionCreatePreparedStatementRequest, ActionCreatePreparedStatementResult, Any, Command,
        ProstMessageExt,
    },
};
use bytes::Bytes;
use engine::SessionSettings;
use prost::Message;

use super::{
    Flight, calls,
    door::{Caller, no_transaction, schema_bytes},
    session::Statement,
    wire::{
        CloseSessionResult, CloseStatus, GetSessionOptionsResult, OptionError, OptionErrorKind,
        OptionValue, SessionOptionValue, SetSessionOptionsRequest, SetSessionOptionsResult,
    },
};
use crate::error::{ApiError, Code};

/// Actions of the protocol that there is nothing behind.
const NOT_OFFERED: [&str; 5] = [
    "CreatePreparedSubstraitPlan",
    "BeginTransaction",
    "EndTransaction",
    "BeginSavepoint",
    "EndSavepoint",
];

/// What an action is answered with, and the secret of a session that was opened on the way.
#[derive(Debug, Default)]
pub(super) struct Done {
    pub body: Option<Bytes>,
    pub cookie: Option<String>,
}

impl Done {
    fn with(message: &impl Message) -> Self {
        Done {
            body: Some(message.encode_to_vec().into()),
            cookie: None,
        }
    }
}

/// All of them, for clients that ask.
pub(super) fn list() -> impl Iterator<Item = ActionType> {
    calls::actions().map(|action| ActionType {
        r#type: action.name.to_owned(),
        description: action.about.to_owned(),
    })
}

impl Flight {
    /// Does what is asked for.
    pub(super) async fn act(&self, caller: &Caller, action: &Action) -> Result<Done, ApiError> {
        calls::allow_action(&caller.identity, &action.r#type)?;
        match action.r#type.as_str() {
            "CreatePreparedStatement" => {
                let asked = unpack::<ActionCreatePreparedStatementRequest>(&action.body)?;
                self.prepare(caller, asked).await
            }
            "ClosePreparedStatement" => {
                let asked = unpack::<ActionClosePreparedStatementRequest>(&action.body)?;
                let handle = &asked.prepared_statement_handle;
                self.sessions.forget(handle, &caller.session, self.now());
                Ok(Done::default())
            }
            "CancelFlightInfo" => {
                let asked: CancelFlightInfoRequest = message(&action.body)?;
                let status = self.cancel(caller, &asked.info.unwrap_or_default())?;
                let status = status as i32;
                Ok(Done::with(&CancelFlightInfoResult { status }))
            }
            "CancelQuery" => {
                let asked = unpack::<ActionCancelQueryRequest>(&action.body)?;
                let info: FlightInfo = message(&asked.info)?;
                // Both enums have the same numbers.
                let result = self.cancel(caller, &info)? as i32;
                Ok(Done::with(&ActionCancelQueryResult { result }.as_any()))
            }
            "RenewFlightEndpoint" => {
                let asked: RenewFlightEndpointRequest = message(&action.body)?;
                self.renew(caller, asked.endpoint.unwrap_or_default())
            }
            "SetSessionOptions" => self.set_options(caller, &message(&action.body)?),
            "GetSessionOptions" => Ok(Done::with(&self.options_of(caller))),
            "CloseSession" => {
                self.close(caller.session.id);
                let status = CloseStatus::Closed as i32;
                Ok(Done::with(&CloseSessionResult { status }))
            }
            name if NOT_OFFERED.contains(&name) => Err(ApiError::new(
                Code::Unimplemented,
                "transactions, savepoints and Substrait plans are not offered",
            )
            .hint("every statement stands by itself; send it as SQL")),
            _ => {
                let names: Vec<&str> = calls::actions().map(|action| action.name).collect();
                let error = ApiError::new(Code::Unimplemented, "there is no such action");
                Err(error.hint(format!("actions: {}", names.join(", "))))
            }
        }
    }

    async fn prepare(
        &self,
        caller: &Caller,
        asked: ActionCreatePreparedStatementRequest,
    ) -> Result<Done, ApiError> {
        no_transaction(asked.transaction_id.as_ref())?;
        let planned = self.plan(caller, &asked.query).await?;
        let native = caller.session.options().native.unwrap_or(false);
        let dataset_schema = match (&planned.set, native) {
            // Without columns a driver takes it for an update, which is what it is.
            (Some(_), _) => Bytes::new(),
            (None, true) => schema_bytes(planned.native_schema())?,
            (None, false) => schema_bytes(&planned.schema)?,
        };
        let params: Vec<_> = planned.params.iter().cloned().map(Arc::new).collect();
        let parameter_schema = schema_bytes(&arrow::datatypes::Schema::new(params))?;
        let statement = Statement::new(asked.query.into(), planned.params.len());
        let handle = caller.session.keep(&self.ids, statement, self.now());
        let result = ActionCreatePreparedStatementResult {
            prepared_statement_handle: handle,
            dataset_schema,
            parameter_schema,
        };
        Ok(Done::with(&result.as_any()))
    }

    fn cancel(&self, caller: &Caller, info: &FlightInfo) -> Result<CancelStatus, ApiError> {
        let handle = info.endpoint.first().and_then(statement_handle);
        let Some(handle) = handle else {
            return Ok(CancelStatus::NotCancellable);
        };
        let holder = caller.identity.token;
        self.tickets
            .cancel(&self.ids, &handle, holder, self.now())?;
        Ok(CancelStatus::Cancelled)
    }

    fn renew(&self, caller: &Caller, mut endpoint: FlightEndpoint) -> Result<Done, ApiError> {
        let handle = statement_handle(&endpoint).ok_or_else(|| {
            ApiError::new(Code::BadParameter, "the endpoint has no ticket of a query")
                .hint("send the endpoint as GetFlightInfo gave it")
        })?;
        let holder = caller.identity.token;
        let issued = self.tickets.renew(&self.ids, &handle, holder, self.now())?;
        issued.write_to(&mut endpoint);
        Ok(Done::with(&endpoint))
    }

    /// A client that has only its connection gets a session that it can take to another one.
    fn set_options(
        &self,
        caller: &Caller,
        asked: &SetSessionOptionsRequest,
    ) -> Result<Done, ApiError> {
        let errors = caller
            .session
            .change_options(|options| set_all(options, &asked.session_options));
        let mut done = Done::with(&SetSessionOptionsResult { errors });
        if caller.session.of_connection {
            let (session, secret) =
                self.sessions
                    .open(&self.ids, &caller.identity, None, self.now())?;
            session.change_options(|options| *options = caller.session.options());
            done.cookie = Some(secret);
        }
        Ok(done)
    }

    fn options_of(&self, caller: &Caller) -> GetSessionOptionsResult {
        let options = caller.session.options();
        let (settings, limits) = (
            self.app.queries.engine().settings(),
            self.app.queries.limits(),
        );
        let timeout = options.timeout.unwrap_or(limits.deadline);
        let timeout_ms = i64::try_from(timeout.as_millis()).unwrap_or(i64::MAX);
        let zone = options.zone.as_ref().unwrap_or(&settings.zone);
        let values = SessionSettings::NAMES.map(|name| {
            let value = match name {
                "kpi.strict" => OptionValue::Flag(options.strict.unwrap_or(settings.strict)),
                "callgauge.arrow_native" => OptionValue::Flag(options.native.unwrap_or(false)),
                "callgauge.timeout_ms" => OptionValue::Whole(timeout_ms),
                "callgauge.zone" => OptionValue::Text(zone.clone()),
                name => OptionValue::Text(options.get(name).unwrap_or_else(|| "kpi".to_owned())),
            };
            let option_value = Some(value);
            (name.to_owned(), SessionOptionValue { option_value })
        });
        GetSessionOptionsResult {
            session_options: values.into_iter().collect(),
        }
    }
}

/// Sets what can be set, and gives the rest with what is wrong.
fn set_all(
    options: &mut SessionSettings,
    asked: &HashMap<String, SessionOptionValue>,
) -> HashMap<String, OptionError> {
    let failed = asked.iter().filter_map(|(name, value)| {
        let kind = match set_one(options, name, value.option_value.as_ref()) {
            Ok(()) => return None,
            Err(kind) => kind,
        };
        let value = kind as i32;
        Some((name.clone(), OptionError { value }))
    });
    failed.collect()
}

fn set_one(
    options: &mut SessionSettings,
    name: &str,
    value: Option<&OptionValue>,
) -> Result<(), OptionErrorKind> {
    if !SessionSettings::NAMES.contains(&name) {
        return Err(OptionErrorKind::InvalidName);
    }
    let text = match value {
        None => {
            let reset = options.reset(Some(name));
            return reset.map_err(|_| OptionErrorKind::Error);
        }
        Some(OptionValue::Text(text)) => text.clone(),
        Some(OptionValue::Flag(flag)) => flag.to_string(),
        Some(OptionValue::Whole(number)) => number.to_string(),
        Some(OptionValue::Number(_) | OptionValue::Texts(_)) => {
            return Err(OptionErrorKind::InvalidValue);
        }
    };
    let set = options.set(name, &text);
    set.map_err(|_| OptionErrorKind::InvalidValue)
}

/// The handle in the ticket of an endpoint; nothing if it is not a query's.
fn statement_handle(endpoint: &FlightEndpoint) -> Option<Bytes> {
    let ticket = endpoint.ticket.as_ref()?;
    let any = Any::decode(&*ticket.ticket).ok()?;
    match Command::try_from(any).ok()? {
        Command::TicketStatementQuery(ticket) => Some(ticket.statement_handle),
        _ => None,
    }
}

fn message<M: Message + Default>(body: &[u8]) -> Result<M, ApiError> {
    M::decode(body).map_err(|_| not_understood())
}

fn unpack<M: ProstMessageExt>(body: &[u8]) -> Result<M, ApiError> {
    let any: Any = message(body)?;
    let unpacked = any.unpack().map_err(|_| not_understood())?;
    unpacked.ok_or_else(not_understood)
}

fn not_understood() -> ApiError {
    ApiError::new(
        Code::BadParameter,
        "the action's body is not the message that belongs to it",
    )
    .hint("see Flight.proto and FlightSql.proto of Apache Arrow")
}
