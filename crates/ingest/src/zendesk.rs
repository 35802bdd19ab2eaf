//! Zendesk Support: tickets, their history, and satisfaction ratings.
//!
//! A ticket is a case, and the contact of the customer who opened it. What the ticket itself says is how
//! it stands now; its way there (status, comments) is in its audits, or in the ticket events of the
//! incremental export, which tell the same in another layout. Who wrote a comment is known from the users
//! of the same import, so those come first. Without them it is concluded from who asked; that never
//! replaces what was told before.

use std::collections::HashMap;

use events::{
    Actor, CaseClosed, CaseOpened, CaseReopened, CaseSolved, CaseStatusChanged, Channel, Direction,
    Instrument, InteractionStarted, MessageSent, Reject, RejectCode, SurveyAnswered, SurveySent,
    Text, UtcMicros,
};
use serde_json::Value;

use crate::records::{Emit, Fields, Meaning, Records, SourceSettings};

/// Tickets and users that are remembered.
const KNOWN_MAX: usize = 4_000_000;
/// Author of what the system itself writes.
const SYSTEM: &str = "-1";

/// Reader of records of the Support API v2.
#[derive(Debug)]
pub struct Zendesk {
    source: SourceSettings,
    /// Who asked, by ticket.
    requesters: HashMap<Text, Text>,
    /// Is a user one of ours?
    agents: HashMap<Text, bool>,
}

impl Zendesk {
    /// A reader for one account.
    pub fn new(source: SourceSettings) -> Self {
        Zendesk {
            source,
            requesters: HashMap::new(),
            agents: HashMap::new(),
        }
    }
}

impl Records for Zendesk {
    const PAGES: &'static [&'static str] = &[
        "users",
        "tickets",
        "audits",
        "ticket_events",
        "satisfaction_ratings",
        "ticket_metrics",
    ];
    const REVISED: bool = true;

    fn read(&mut self, record: &Value) -> Result<Meaning, Reject> {
        let fields = Fields::of(record)?;
        let source = self.source.clone();
        let mut emit = Emit::new(&source);
        let has = |name| fields.has(name);
        if has("ticket_id") && (has("events") || has("child_events")) {
            self.history(&fields, &mut emit)?;
        } else if has("ticket_id") && has("score") {
            rating(&fields, &mut emit)?;
        } else if has("ticket_id") && has("reopens") {
            metric(&fields, &mut emit)?;
        } else if has("status") && has("requester_id") {
            self.ticket(&fields, &mut emit)?;
        } else if has("role") {
            let is_agent = fields.need_text("role")? != "end-user";
            forget_if_many(&mut self.agents);
            self.agents.insert(fields.need_id("id")?, is_agent);
        } else if has("ticket_id") && has("metric") {
            return Ok(Meaning::Nothing("ticket_metric_event".into()));
        } else {
            let detail = "the record is no ticket, audit, ticket event, ticket metric, user or \
                          satisfaction rating of Zendesk";
            return Err(Reject::new(RejectCode::BadLine, "", detail));
        }
        emit.finish()
    }
}

fn forget_if_many<T>(known: &mut HashMap<Text, T>) {
    if known.len() >= KNOWN_MAX {
        known.clear();
    }
}

/// Ways by which a ticket comes; others are like a form on a page.
const CHANNELS: [(&str, Channel); 14] = [
    ("email", Channel::Email),
    ("chat", Channel::Chat),
    ("messaging", Channel::Message),
    ("native_messaging", Channel::Message),
    ("whatsapp", Channel::Message),
    ("line", Channel::Message),
    ("sms", Channel::Sms),
    ("voice", Channel::Voice),
    ("phone", Channel::Voice),
    ("twitter", Channel::Social),
    ("facebook", Channel::Social),
    ("instagram_dm", Channel::Social),
    ("twitter_dm", Channel::Social),
    ("any_channel", Channel::Social),
];

impl Zendesk {
    fn ticket(&mut self, fields: &Fields<'_>, emit: &mut Emit<'_>) -> Result<(), Reject> {
        let (id, requester) = (fields.need_id("id")?, fields.need_id("requester_id")?);
        let opened_at = fields.need_time("created_at")?;
        forget_if_many(&mut self.requesters);
        self.requesters.insert(id.clone(), requester.clone());
        let via = fields.part("via")?;
        let via = via.map(|via| via.text("channel")).transpose()?.flatten();
        let known = CHANNELS.iter().find(|(name, _)| Some(*name) == via);
        let channel = known.map_or(Channel::Web, |(_, channel)| *channel);
        let by_us = fields.id("submitter_id")?.is_some_and(|by| by != requester);
        let started = InteractionStarted {
            interaction_id: id.clone(),
            root_id: None,
            parent_id: None,
            thread_id: Some(id.clone()),
            customer_id: Some(requester.clone()),
            identity: None,
            channel,
            direction: match by_us {
                true => Direction::Outbound,
                false => Direction::Inbound,
            },
            purpose: None,
            entry_point: None,
            language: None,
            is_test: None,
        };
        emit.push(opened_at, (&id, "start"), started);
        let opened = CaseOpened {
            case_id: id.clone(),
            customer_id: Some(requester),
            interaction_id: Some(id.clone()),
            channel: Some(channel),
            reason_code: None,
            issue_id: fields.id("problem_id")?,
            complaint: None,
            promise_at: fields.time("due_at")?,
            status: Some("new".into()),
            merged_into: None,
        };
        emit.push(opened_at, (&id, "open"), opened);
        let merged = fields.texts("tags")?.contains(&"closed_by_merge");
        let at = fields.time("updated_at")?.unwrap_or(opened_at);
        let changed = CaseStatusChanged {
            case_id: id.clone(),
            interaction_id: None,
            status: fields.text("status")?.map(Text::new),
            // The ticket does not tell which one it became part of.
            merged_into: merged.then(|| "unknown".into()),
            promise_at: None,
        };
        emit.push(at, (&id, "now"), changed);
        for audit in fields.list("audits")? {
            self.history(&audit, emit)?;
        }
        Ok(())
    }

    /// What was done to a ticket at one time.
    fn history(&self, fields: &Fields<'_>, emit: &mut Emit<'_>) -> Result<(), Reject> {
        let ticket = fields.need_id("ticket_id")?;
        let at = match fields.time("created_at")? {
            Some(at) => at,
            None => fields
                .epoch("timestamp", 1_000_000)?
                .ok_or_else(|| missing(fields, "created_at"))?,
        };
        let author = match fields.id("author_id")? {
            Some(author) => Some(author),
            None => fields.id("updater_id")?,
        };
        let mut children = fields.list("events")?;
        children.extend(fields.list("child_events")?);
        for child in &children {
            if let Some((before, status)) = status_of(child)? {
                step(&ticket, at, (before, status), emit);
            }
            let kind = child.text("type")?.or(child.text("event_type")?);
            if kind == Some("Comment") {
                let own = child.id("author_id")?;
                self.comment(&ticket, at, own.or(author.clone()), child, emit)?;
            }
        }
        Ok(())
    }

    fn comment(
        &self,
        ticket: &Text,
        at: UtcMicros,
        author: Option<Text>,
        child: &Fields<'_>,
        emit: &mut Emit<'_>,
    ) -> Result<(), Reject> {
        let author = author.ok_or_else(|| missing(child, "author_id"))?;
        let id = child.need_id("id")?;
        let public = child.flag("public")?.or(child.flag("comment_public")?);
        let (actor, is_sure) = self.actor(ticket, &author).ok_or_else(|| {
            let detail = "is of somebody that is not known: import the users or the tickets first, in \
                          the same command";
            child.reject("author_id", RejectCode::MissingField, detail)
        })?;
        let sent = MessageSent {
            message_id: id.clone(),
            interaction_id: Some(ticket.clone()),
            case_id: Some(ticket.clone()),
            actor,
            actor_id: Some(author),
            public: public.unwrap_or(true),
        };
        let what = format!("comment.{id}");
        if is_sure {
            emit.push(at, (ticket, &what), sent);
        } else {
            emit.guess(at, (ticket, &what), sent);
        }
        Ok(())
    }

    /// Whose words these are, and whether that is sure: as the user's role says, else who asked is taken
    /// for the customer and everybody else for an agent, though customers are copied in, too.
    fn actor(&self, ticket: &Text, author: &Text) -> Option<(Actor, bool)> {
        if author == SYSTEM {
            return Some((Actor::System, true));
        }
        let told = self.agents.get(author).copied();
        let is_agent = told.or_else(|| Some(self.requesters.get(ticket)? != author))?;
        let actor = match is_agent {
            true => Actor::Agent,
            false => Actor::Customer,
        };
        Some((actor, told.is_some()))
    }
}

fn missing(fields: &Fields<'_>, name: &str) -> Reject {
    fields.reject(name, RejectCode::MissingField, "is missing, null or empty")
}

/// The status before and after, if the entry is about the status: `field_name` and `value` in audits, a
/// field `status` in ticket events.
fn status_of<'a>(child: &Fields<'a>) -> Result<Option<(Option<&'a str>, &'a str)>, Reject> {
    let named = match child.has("field_name") {
        true if child.text("field_name")? == Some("status") => "value",
        true => return Ok(None),
        false => "status",
    };
    let Some(status) = child.text(named)? else {
        return Ok(None);
    };
    Ok(Some((child.text("previous_value")?, status)))
}

fn step(ticket: &Text, at: UtcMicros, (before, status): (Option<&str>, &str), emit: &mut Emit<'_>) {
    let (case_id, interaction_id) = (ticket.clone(), None);
    let changed = CaseStatusChanged {
        case_id: case_id.clone(),
        interaction_id: None,
        status: Some(Text::new(status)),
        merged_into: None,
        promise_at: None,
    };
    let what = format!("status.{}", at.0);
    emit.push(at, (ticket, &what), changed);
    let was_over = matches!(before, Some("solved" | "closed"));
    match status {
        "solved" => solved(ticket, at, emit),
        "closed" => {
            let closed = CaseClosed {
                case_id,
                interaction_id,
            };
            let what = format!("closed.{}", at.0);
            emit.push(at, (ticket, &what), closed);
        }
        "new" | "open" | "pending" | "hold" if was_over => {
            let reopened = CaseReopened {
                case_id,
                interaction_id,
            };
            let what = format!("reopened.{}", at.0);
            emit.push(at, (ticket, &what), reopened);
        }
        _ => {}
    }
}

fn solved(ticket: &Text, at: UtcMicros, emit: &mut Emit<'_>) {
    let solved = CaseSolved {
        case_id: ticket.clone(),
        interaction_id: None,
    };
    let what = format!("solved.{}", at.0);
    emit.push(at, (ticket, &what), solved);
}

/// The metrics of a ticket tell when it was solved last; one event with what its audits say.
fn metric(fields: &Fields<'_>, emit: &mut Emit<'_>) -> Result<(), Reject> {
    let ticket = fields.need_id("ticket_id")?;
    if let Some(at) = fields.time("solved_at")? {
        solved(&ticket, at, emit);
    }
    Ok(())
}

fn rating(fields: &Fields<'_>, emit: &mut Emit<'_>) -> Result<(), Reject> {
    let (id, ticket) = (fields.need_id("id")?, fields.need_id("ticket_id")?);
    let sent_at = fields.need_time("created_at")?;
    let score = fields.need_text("score")?;
    // Nobody was asked.
    if score == "unoffered" {
        return Ok(());
    }
    let (instrument, agent_id) = (Instrument::Csat2, fields.id("assignee_id")?);
    let key = format!("rating.{id}");
    let sent = SurveySent {
        survey_id: id.clone(),
        instrument,
        interaction_id: Some(ticket.clone()),
        leg_id: None,
        case_id: Some(ticket.clone()),
        agent_id: agent_id.clone(),
    };
    emit.push(sent_at, (&key, "sent"), sent);
    // With a comment or a reason, the score is `good_with_comment` and so on.
    let score = match score {
        score if score.starts_with("good") => 1,
        score if score.starts_with("bad") => 0,
        _ => return Ok(()),
    };
    let answered = SurveyAnswered {
        survey_id: id,
        instrument,
        interaction_id: Some(ticket.clone()),
        leg_id: None,
        case_id: Some(ticket),
        agent_id,
        score,
    };
    let at = fields.time("updated_at")?.unwrap_or(sent_at);
    emit.push(at, (&key, "answered"), answered);
    Ok(())
}

#[cfg(test)]
mod tests;
