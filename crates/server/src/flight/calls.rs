//! What a client of Flight SQL may ask for: every command and action, and the right it takes.
//!
//! The door looks here before it does anything, the list of actions is made from it, and so is
//! the test of all roles. What is not in the table is not offered.

use arrow_flight::sql::Command;

use crate::{
    access::{Identity, Right},
    error::ApiError,
};

/// A command or an action.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FlightCall {
    /// Its name in the protocol.
    pub name: &'static str,
    /// How it comes.
    pub kind: FlightCallKind,
    /// Any of these is enough; none are needed where there are none.
    pub rights: &'static [Right],
    /// What it does; of actions, as clients are told.
    pub about: &'static str,
}

/// How a call comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FlightCallKind {
    /// In the descriptor of GetFlightInfo, GetSchema and PollFlightInfo.
    Read,
    /// In the ticket of DoGet only.
    Ticket,
    /// With the first message of DoPut.
    Put,
    /// In DoAction.
    Action,
}

const fn call(
    name: &'static str,
    kind: FlightCallKind,
    rights: &'static [Right],
    about: &'static str,
) -> FlightCall {
    FlightCall {
        name,
        kind,
        rights,
        about,
    }
}

const SQL: &[Right] = &[Right::Sql];
const ANYBODY: &[Right] = &[];

use FlightCallKind::{Action, Put, Read, Ticket};

/// All of them.
pub(super) static CALLS: &[FlightCall] = &[
    call("CommandStatementQuery", Read, SQL, "A query."),
    call(
        "CommandPreparedStatementQuery",
        Read,
        SQL,
        "A query that was prepared.",
    ),
    call("CommandStatementSubstraitPlan", Read, SQL, "Not offered."),
    call("CommandGetCatalogs", Read, ANYBODY, "The catalogue."),
    call(
        "CommandGetDbSchemas",
        Read,
        ANYBODY,
        "Schemas that the caller may read.",
    ),
    call(
        "CommandGetTables",
        Read,
        ANYBODY,
        "Tables that the caller may read.",
    ),
    call("CommandGetTableTypes", Read, ANYBODY, "Kinds of tables."),
    call("CommandGetPrimaryKeys", Read, ANYBODY, "None."),
    call("CommandGetExportedKeys", Read, ANYBODY, "None."),
    call("CommandGetImportedKeys", Read, ANYBODY, "None."),
    call("CommandGetCrossReference", Read, ANYBODY, "None."),
    call(
        "CommandGetSqlInfo",
        Read,
        ANYBODY,
        "What the server can do.",
    ),
    call("CommandGetXdbcTypeInfo", Read, ANYBODY, "Types of columns."),
    call("TicketStatementQuery", Ticket, SQL, "The rows of a query."),
    call("CommandStatementUpdate", Put, SQL, "SET and RESET."),
    call(
        "CommandPreparedStatementUpdate",
        Put,
        SQL,
        "The same, prepared.",
    ),
    call(
        "CommandPreparedStatementQuery",
        Put,
        SQL,
        "Values of parameters.",
    ),
    call(
        "CommandStatementIngest",
        Put,
        &[Right::IngestArrow],
        "Events for events.log.",
    ),
    call(
        "CreatePreparedStatement",
        Action,
        SQL,
        "Prepares a statement; ActionCreatePreparedStatementRequest",
    ),
    call(
        "ClosePreparedStatement",
        Action,
        ANYBODY,
        "Forgets it; ActionClosePreparedStatementRequest",
    ),
    call(
        "CancelFlightInfo",
        Action,
        ANYBODY,
        "Ends a query; CancelFlightInfoRequest",
    ),
    call(
        "CancelQuery",
        Action,
        ANYBODY,
        "The same, as it was asked before; ActionCancelQueryRequest",
    ),
    call(
        "RenewFlightEndpoint",
        Action,
        SQL,
        "Gives a ticket more time; RenewFlightEndpointRequest",
    ),
    call(
        "SetSessionOptions",
        Action,
        ANYBODY,
        "Sets options of the session; SetSessionOptionsRequest",
    ),
    call(
        "GetSessionOptions",
        Action,
        ANYBODY,
        "Shows them; GetSessionOptionsRequest",
    ),
    call(
        "CloseSession",
        Action,
        ANYBODY,
        "Ends the session and what it runs; CloseSessionRequest",
    ),
];

/// Everything that a client of Flight SQL may ask for.
pub fn flight_calls() -> impl Iterator<Item = FlightCall> {
    CALLS.iter().copied()
}

/// All actions.
pub(super) fn actions() -> impl Iterator<Item = &'static FlightCall> {
    CALLS.iter().filter(|call| call.kind == Action)
}

/// Refuses an action that the caller may not have done. Others do not exist, and are refused as
/// that.
pub(super) fn allow_action(identity: &Identity, name: &str) -> Result<(), ApiError> {
    allow(identity, name, |kind| kind == Action)
}

/// Refuses a command that the caller may not send with DoPut.
pub(super) fn allow_put(identity: &Identity, command: &Command) -> Result<(), ApiError> {
    allow(identity, name_of(command), |kind| kind == Put)
}

/// Refuses a command that the caller may not read from.
pub(super) fn allow_read(identity: &Identity, command: &Command) -> Result<(), ApiError> {
    allow(identity, name_of(command), |kind| {
        matches!(kind, Read | Ticket)
    })
}

fn allow(
    identity: &Identity,
    name: &str,
    fits: impl Fn(FlightCallKind) -> bool,
) -> Result<(), ApiError> {
    let mut calls = CALLS.iter().filter(|call| fits(call.kind));
    match calls.find(|call| call.name == name) {
        Some(call) if !call.rights.is_empty() => identity.need(call.rights),
        _ => Ok(()),
    }
}

/// As the table has it: the type's name without its package.
fn name_of(command: &Command) -> &str {
    let url = command.type_url();
    url.rsplit('.').next().unwrap_or(url)
}
