//! Amazon Connect: contact records and the agent event stream.
//!
//! Both are JSON and may be mixed: a record with `ContactId` at the top is a contact record, one with
//! `AgentARN` and `EventType` an agent event. A contact record says how one contact went through one
//! queue to one agent; the agent events say what agents did meanwhile, and when they were rung.
//! Both name contacts by the same ids, so an event that both tell is one: what was imported later
//! replaces what was imported before.
//!
//! Names, user names and numbers of people do not get in: an agent is the id in its ARN, and the
//! customer's number becomes a token.

mod agents;
mod contacts;

use events::{Channel, Initiation, Reject, RejectCode, Text, Via};
use serde_json::Value;

use crate::records::{Fields, Meaning, Records, SourceSettings};

/// Reader of contact records (format 2017-03-10) and agent events (version 2017-10-01).
#[derive(Debug)]
pub struct AmazonConnect {
    source: SourceSettings,
}

impl AmazonConnect {
    /// A reader for one instance of Amazon Connect.
    pub fn new(source: SourceSettings) -> Self {
        AmazonConnect { source }
    }
}

impl Records for AmazonConnect {
    const PAGES: &'static [&'static str] = &[];
    const REVISED: bool = true;

    fn read(&mut self, record: &Value) -> Result<Meaning, Reject> {
        let fields = Fields::of(record)?;
        if fields.has("ContactId") {
            return contacts::events(&self.source, &fields);
        }
        if fields.has("AgentARN") && fields.has("EventType") {
            return agents::events(&self.source, &fields);
        }
        let detail = "the record is neither a contact record (ContactId) nor an agent event \
                      (AgentARN, EventType)";
        Err(Reject::new(RejectCode::BadLine, "", detail))
    }
}

/// How a contact came about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Method {
    Inbound,
    /// A program began it: a call to the customer, or a chat or a task for us.
    Api,
    Outbound,
    Callback,
    /// From an agent to another one or to a queue.
    Transfer,
    /// From a queue to another one, while the customer waited.
    QueueTransfer,
    /// From the flow that runs after somebody has hung up.
    Disconnect,
    /// A supervisor listens in.
    Monitor,
    /// An agent calls somebody else about a contact.
    ThirdParty,
}

const METHODS: [(&str, Method); 12] = [
    ("INBOUND", Method::Inbound),
    ("API", Method::Api),
    ("WEBRTC_API", Method::Inbound),
    ("OUTBOUND", Method::Outbound),
    ("AGENT_REPLY", Method::Outbound),
    ("FLOW", Method::Outbound),
    ("CALLBACK", Method::Callback),
    ("TRANSFER", Method::Transfer),
    ("QUEUE_TRANSFER", Method::QueueTransfer),
    ("DISCONNECT", Method::Disconnect),
    ("MONITOR", Method::Monitor),
    ("EXTERNAL_OUTBOUND", Method::ThirdParty),
];

const CHANNELS: [(&str, Channel); 4] = [
    ("VOICE", Channel::Voice),
    ("CHAT", Channel::Chat),
    ("TASK", Channel::Task),
    ("EMAIL", Channel::Email),
];

impl Method {
    /// Does the contact begin a new interaction with the customer?
    fn begins(self) -> bool {
        use Method as M;
        matches!(self, M::Inbound | M::Api | M::Outbound | M::Callback)
    }

    fn initiation(self) -> Initiation {
        match self {
            Method::Inbound | Method::Api | Method::QueueTransfer | Method::Disconnect => {
                Initiation::Queue
            }
            Method::Outbound => Initiation::Outbound,
            Method::Callback => Initiation::Callback,
            Method::Transfer => Initiation::TransferBlind,
            Method::Monitor | Method::ThirdParty => Initiation::Direct,
        }
    }

    /// How a contact of this kind came into its queue, if that is known.
    fn via(self) -> Option<Via> {
        match self {
            Method::Transfer => Some(Via::Transfer),
            Method::QueueTransfer => Some(Via::Overflow),
            _ => None,
        }
    }
}

/// The interaction that a contact is part of: its own, or that of the first contact of its chain.
fn interaction_id(method: Method, contact: &str, fields: &Fields<'_>) -> Result<Text, Reject> {
    let initial = fields.text("InitialContactId")?;
    let previous = fields.text("PreviousContactId")?;
    let first = initial.or(previous).filter(|_| !method.begins());
    Ok(Text::new(first.unwrap_or(contact)))
}

fn visit_id(contact: &str) -> Text {
    Text::from(format!("{contact}/q"))
}

fn leg_id(contact: &str) -> Text {
    Text::from(format!("{contact}/a"))
}

/// The end of an ARN: the id of what it names.
fn tail(arn: &str) -> &str {
    arn.rsplit('/').next().unwrap_or(arn)
}

/// A queue's name; an agent's own queue has none and gets `agent/<id>`.
fn queue_id(queue: &Fields<'_>) -> Result<Text, Reject> {
    if let Some(name) = queue.text("Name")? {
        return Ok(Text::new(name));
    }
    let arn = queue.need_text("ARN")?;
    Ok(match agent_of_queue(queue)? {
        Some(agent) => Text::from(format!("agent/{agent}")),
        None => Text::new(tail(arn)),
    })
}

/// The agent whose own queue it is.
fn agent_of_queue<'a>(queue: &Fields<'a>) -> Result<Option<&'a str>, Reject> {
    let arn = queue.text("ARN")?;
    Ok(arn.and_then(|arn| Some(arn.split_once("/queue/agent/")?.1)))
}

#[cfg(test)]
mod tests;
