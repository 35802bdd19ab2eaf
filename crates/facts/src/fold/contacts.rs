//! Contacts: when each began and ended, who the customer was.
//!
//! A contact is what becomes one row of `facts.interactions`. Usually that is one interaction of
//! the source. A written thread under one interaction id is cut where it was idle for
//! `idle_close`: each later part is a contact of its own, with the id `<interaction>#<part>` and
//! the same thread. A thread that nobody replied to yet is waiting for us, not idle.

use events::*;
use smol_str::format_smolstr;

use super::{Sink, by_id::ById, drafts::*, gather::Gathered};

/// One contact.
#[derive(Clone, Debug)]
pub(crate) struct Contact<'a> {
    /// Position of its interaction among the drafts.
    pub draft: usize,
    pub id: Text,
    pub root_id: Text,
    pub thread_id: Option<Text>,
    pub started_at: UtcMicros,
    /// Start of the next part of the same thread.
    pub until: Option<UtcMicros>,
    pub end: Option<End<'a>>,
    pub channel: Channel,
    pub direction: Direction,
    pub customer_id: Option<Text>,
    /// No event says that it started, or that this part of the thread did.
    pub inferred: bool,
    pub bad_order: bool,
}

/// The end of a contact.
#[derive(Clone, Copy, Debug)]
pub(crate) struct End<'a> {
    pub at: UtcMicros,
    /// The event that says so; `None` if it was concluded.
    pub told: Option<&'a InteractionEnded>,
}

/// The contacts of an entity.
#[derive(Debug, Default)]
pub(crate) struct Contacts<'a> {
    all: Vec<Contact<'a>>,
    /// First contact of each draft, and one past the last.
    of_draft: Vec<(usize, usize)>,
}

impl<'a> std::ops::Deref for Contacts<'a> {
    type Target = [Contact<'a>];
    fn deref(&self) -> &[Contact<'a>] {
        &self.all
    }
}

impl Contacts<'_> {
    /// The contact of a draft at a moment.
    pub fn at(&self, draft: usize, at: UtcMicros) -> usize {
        let (first, end) = self.of_draft[draft];
        let ended = |c: &Contact<'_>| c.until.is_some_and(|until| until <= at);
        first + self.all[first..end].partition_point(ended)
    }
}

/// The contacts of all interactions.
pub(crate) fn contacts<'a>(g: &Gathered<'a>, sink: &mut Sink<'_>) -> Contacts<'a> {
    let mut contacts = Contacts::default();
    for at in 0..g.interactions.len() {
        let first = contacts.all.len();
        let mut contact = whole(at, &g.interactions);
        if is_written(contact.channel) {
            let idle_close_ms = sink.ctx.settings.idle_close_ms;
            contact = cut(
                contact,
                &g.interactions[at],
                idle_close_ms,
                &mut contacts.all,
            );
        }
        end(g, &mut contact, sink);
        contacts.all.push(contact);
        contacts.of_draft.push((first, contacts.all.len()));
    }
    contacts
}

/// Is work on this channel counted in active windows, because nobody is connected all the time?
pub(crate) fn is_written(channel: Channel) -> bool {
    matches!(
        channel,
        Channel::Message | Channel::Email | Channel::Sms | Channel::Social
    )
}

/// The contact before any cut, its end still open.
fn whole<'a>(at: usize, drafts: &ById<'a, InteractionDraft<'a>>) -> Contact<'a> {
    let draft = &drafts[at];
    let started = draft.started.map(|s| s.data);
    let channel = if draft.messages.is_empty() {
        Channel::Voice
    } else {
        Channel::Message
    };
    let direction = if draft.outbound {
        Direction::Outbound
    } else {
        Direction::Inbound
    };
    let customer = started.and_then(|s| s.customer_id.as_ref().or(s.identity.as_ref()));
    Contact {
        draft: at,
        id: draft.id.clone(),
        root_id: root_of(at, drafts).clone(),
        thread_id: started.and_then(|s| s.thread_id.clone()),
        started_at: draft
            .started
            .map_or(draft.first_at.unwrap_or_default(), |s| s.at),
        until: None,
        end: None,
        channel: started.map_or(channel, |s| s.channel),
        direction: started.map_or(direction, |s| s.direction),
        customer_id: draft.identified.or(customer).cloned(),
        inferred: started.is_none(),
        bad_order: false,
    }
}

/// First contact of the chain: the one told, else found by going from parent to parent.
fn root_of<'a>(at: usize, drafts: &ById<'a, InteractionDraft<'a>>) -> &'a Text {
    let mut draft = &drafts[at];
    for _ in 0..drafts.len() {
        let Some(started) = draft.started.map(|s| s.data) else {
            break;
        };
        if let Some(root) = &started.root_id {
            return root;
        }
        let Some(parent) = &started.parent_id else {
            break;
        };
        match drafts.find(parent) {
            Some(found) => draft = found,
            None => return parent,
        }
    }
    draft.id
}

/// Moves the finished parts of a written thread to `all` and returns the last part.
fn cut<'a>(
    mut contact: Contact<'a>,
    draft: &InteractionDraft<'a>,
    idle_close_ms: i64,
    all: &mut Vec<Contact<'a>>,
) -> Contact<'a> {
    let (mut replied, mut part) = (false, 1);
    for pair in draft.messages.windows(2) {
        let (last, next) = (&pair[0], &pair[1]);
        replied |= is_reply(last);
        let idle = next.at.ms_since(last.at) > idle_close_ms;
        if !idle || (is_reply(next) && !replied) {
            continue;
        }
        part += 1;
        contact.thread_id.get_or_insert_with(|| draft.id.clone());
        let told = told_end(draft, contact.started_at).filter(|end| end.at < next.at);
        let mut next_part = contact.clone();
        contact.until = Some(next.at);
        contact.end = told.or(Some(End {
            at: last.at,
            told: None,
        }));
        all.push(contact);
        next_part.id = format_smolstr!("{}#{part}", draft.id);
        next_part.root_id = next_part.id.clone();
        next_part.started_at = next.at;
        next_part.inferred = true;
        contact = next_part;
        replied = false;
    }
    contact
}

fn is_reply(message: &Message<'_>) -> bool {
    message.data.actor == Actor::Agent && message.data.public
}

/// First end told at or after a moment.
pub(crate) fn told_end<'a>(draft: &InteractionDraft<'a>, from: UtcMicros) -> Option<End<'a>> {
    let end = draft.ends.iter().find(|end| end.at >= from)?;
    Some(End {
        at: end.at,
        told: Some(end.data),
    })
}

/// Finds the end of a contact. An end that was followed by another queue or agent is none.
fn end<'a>(g: &Gathered<'a>, contact: &mut Contact<'a>, sink: &mut Sink<'_>) {
    let draft = &g.interactions[contact.draft];
    let last_activity = draft.activity.iter().max().copied();
    let from = last_activity
        .unwrap_or(contact.started_at)
        .max(contact.started_at);
    if let Some(end) = told_end(draft, from) {
        contact.end = Some(end);
        for other in draft.ends.iter().filter(|e| e.at > end.at) {
            sink.issue("second_end", "interaction", draft.id, other.event);
        }
    } else if told_end(draft, contact.started_at).is_some() {
        contact.end = end_of_activity(g, draft).map(|at| End { at, told: None });
    } else {
        for bad in draft.ends.iter().filter(|e| e.at < contact.started_at) {
            if contact.until.is_none() && !contact.id.contains('#') {
                contact.bad_order = true;
                sink.issue("bad_order", "interaction", draft.id, bad.event);
            }
        }
        contact.end = idle_end(draft, contact.started_at, sink);
    }
}

/// The last told end of a visit or leg of an interaction; `None` while one is open.
fn end_of_activity(g: &Gathered<'_>, draft: &InteractionDraft<'_>) -> Option<UtcMicros> {
    let of_visits = g.visits.iter().filter_map(|visit| {
        let entered = visit
            .entered
            .filter(|e| e.data.interaction_id == *draft.id)?;
        Some(
            visit
                .lefts
                .iter()
                .find(|left| left.at >= entered.at)
                .map(|left| left.at),
        )
    });
    let of_legs = g.legs.iter().filter_map(|leg| {
        let connected = leg
            .connected
            .filter(|c| c.data.interaction_id == *draft.id)?;
        Some(
            leg.disconnects
                .iter()
                .find(|d| d.at >= connected.at)
                .map(|d| d.at),
        )
    });
    let ends: Option<Vec<UtcMicros>> = of_visits.chain(of_legs).collect();
    ends?.into_iter().max()
}

/// A written contact that was replied to ends at its last message once it was idle long enough.
fn idle_end<'a>(
    draft: &InteractionDraft<'a>,
    from: UtcMicros,
    sink: &mut Sink<'_>,
) -> Option<End<'a>> {
    let replied = draft.messages.iter().filter(|m| m.at >= from).any(is_reply);
    let last = draft.messages.last().filter(|_| replied)?;
    let channel = draft.started.map_or(Channel::Message, |s| s.data.channel);
    if !is_written(channel) {
        return None;
    }
    let idle_at = last.at.plus_ms(sink.ctx.settings.idle_close_ms);
    sink.has_passed(idle_at).then_some(End {
        at: last.at,
        told: None,
    })
}
