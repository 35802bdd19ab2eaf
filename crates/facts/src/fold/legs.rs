//! Legs: how long each agent worked on a contact, in which role, and what it came to.

use events::*;
use smol_str::format_smolstr;

use super::{
    Sink,
    contacts::{Contact, Contacts, is_written, told_end},
    drafts::*,
    gather::Gathered,
    interactions::Story,
    sink::Flags,
    visits::Visits,
};
use crate::{Leg as LegRow, Profile};

/// One leg with all that is concluded about it.
#[derive(Debug)]
pub(crate) struct Leg<'a> {
    pub draft: usize,
    pub connected: Said<'a, LegConnected>,
    pub contact: usize,
    pub visit: Option<usize>,
    /// Place among the legs of its contact, from 1.
    no: i64,
    /// The last one.
    pub role: Role,
    offered_at: Option<UtcMicros>,
    ring_ms: i64,
    pub disconnected_at: Option<UtcMicros>,
    pub completed_at: Option<UtcMicros>,
    pub work: Work,
    /// The stretches of work on a written contact, if messages tell them.
    pub active: Option<Vec<(UtcMicros, UtcMicros)>>,
    inferred: bool,
    flags: Flags,
}

/// Durations of a leg in milliseconds; zero as long as they are not known.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Work {
    pub dial: i64,
    pub talk: i64,
    pub hold: i64,
    holds: i64,
    pub acw: i64,
}

impl Work {
    /// dial + talk + hold + after-call work.
    pub fn handle_ms(self) -> i64 {
        let parts = [self.talk, self.hold, self.acw];
        parts.into_iter().fold(self.dial, i64::saturating_add)
    }
}

/// The legs of an entity, by connection.
#[derive(Debug, Default)]
pub(crate) struct Legs<'a> {
    pub all: Vec<Leg<'a>>,
    of_draft: Vec<Option<usize>>,
}

impl<'a> Legs<'a> {
    /// Position of the leg with this id.
    pub fn position(&self, g: &Gathered<'a>, id: &str) -> Option<usize> {
        *self.of_draft.get(g.legs.position(id)?)?
    }

    /// The leg with this id.
    pub fn find(&self, g: &Gathered<'a>, id: Option<&Text>) -> Option<&Leg<'a>> {
        self.position(g, id?).map(|at| &self.all[at])
    }
}

impl Leg<'_> {
    /// Was a customer connected to this agent as the one who helps?
    pub fn is_handled(&self) -> bool {
        self.role == Role::Primary
    }

    /// Does its time count? Listening in does not.
    pub fn counts(&self) -> bool {
        !matches!(self.role, Role::Monitor | Role::Barge)
    }

    /// Is the agent at work on it, as far as is known, without a break since it was connected?
    ///
    /// Not if it was given up, and not if messages tell when the agent wrote: then the time
    /// between them is not work.
    pub fn is_running(&self, g: &Gathered<'_>, contact: &Contact<'_>, sink: &mut Sink<'_>) -> bool {
        if self.completed_at.is_some() || self.flags.has(Flags::BAD_ORDER) {
            return false;
        }
        let settings = &sink.ctx.settings;
        let is_told =
            is_written(contact.channel) && !g.interactions[contact.draft].messages.is_empty();
        let patience_ms = match contact.channel {
            Channel::Voice | Channel::Video => settings.max_leg_ms,
            _ => settings.idle_close_ms,
        };
        let since = self.disconnected_at.unwrap_or(self.connected.at);
        !is_told && !sink.has_passed(since.plus_ms(patience_ms))
    }
}

/// All legs; those that answered a visit are noted there.
pub(crate) fn legs<'a>(
    g: &Gathered<'a>,
    contacts: &Contacts<'a>,
    visits: &mut Visits<'a>,
    sink: &mut Sink<'_>,
) -> Legs<'a> {
    let mut order: Vec<(UtcMicros, usize)> = Vec::with_capacity(g.legs.len());
    for (at, draft) in g.legs.iter().enumerate() {
        match draft.connected {
            Some(connected) => order.push((connected.at, at)),
            None => note_missing_start(draft, sink),
        }
    }
    order.sort_unstable();
    let mut legs = Legs {
        all: Vec::with_capacity(order.len()),
        of_draft: vec![None; g.legs.len()],
    };
    let mut last_no = vec![0; contacts.len()];
    for (place, &(_, draft)) in order.iter().enumerate() {
        let later = order[place + 1..].iter().map(|&(_, at)| &g.legs[at]);
        let Some(mut leg) = leg_of(g, draft, contacts, visits, later, sink) else {
            continue;
        };
        last_no[leg.contact] += 1;
        leg.no = last_no[leg.contact];
        legs.of_draft[draft] = Some(legs.all.len());
        if let Some(visit) = leg.visit.map(|at| &mut visits.all[at])
            && leg.connected.data.role == Role::Primary
        {
            visit.leg.get_or_insert(legs.all.len());
        }
        legs.all.push(leg);
    }
    legs
}

/// Times of a leg that was never connected, as far as we know, make no row.
fn note_missing_start(draft: &LegDraft<'_>, sink: &mut Sink<'_>) {
    let is_named_only = draft.disconnects.is_empty()
        && draft.acw_ends.is_empty()
        && draft.acw_starts.is_empty()
        && draft.holds.is_empty()
        && draft.disposition.is_none();
    if !is_named_only {
        let entity = format_smolstr!("leg:{}", draft.id);
        let detail = Text::new_static("no leg.connected");
        sink.issue_at(
            "missing_start",
            entity,
            detail,
            draft.first_at.unwrap_or_default(),
        );
    }
}

fn leg_of<'a, 'd>(
    g: &'d Gathered<'a>,
    at: usize,
    contacts: &Contacts<'a>,
    visits: &mut Visits<'a>,
    later: impl Iterator<Item = &'d LegDraft<'a>> + Clone,
    sink: &mut Sink<'_>,
) -> Option<Leg<'a>>
where
    'a: 'd,
{
    let draft = &g.legs[at];
    let connected = draft.connected?;
    let interaction = g.interactions.position(&connected.data.interaction_id)?;
    let contact = contacts.at(interaction, connected.at);
    let visit = visits.answered_by(g, connected, contact);
    let offer = visit.and_then(|v| visits.offer_of(g, v, &connected));
    let mut leg = Leg {
        draft: at,
        connected,
        contact,
        visit,
        no: 0,
        role: draft
            .roles
            .last()
            .map_or(connected.data.role, |(_, role)| *role),
        offered_at: offer.map(|(start, _)| start),
        ring_ms: offer.map_or(0, |(_, ring)| ring),
        disconnected_at: None,
        completed_at: None,
        work: Work {
            dial: connected.data.dial_ms.unwrap_or(0),
            ..Work::default()
        },
        active: None,
        inferred: false,
        flags: Flags::NONE,
    };
    let next = || {
        let same_agent = |c: &Said<'_, LegConnected>| {
            c.data.agent_id == connected.data.agent_id && c.at > connected.at
        };
        later
            .clone()
            .filter_map(|l| l.connected)
            .find(same_agent)
            .map(|c| c.at)
    };
    let ends = Ends {
        g,
        draft,
        contact: &contacts[contact],
        next: &next,
    };
    ends.apply(&mut leg, sink);
    Some(leg)
}

/// What is known about the end of one leg.
struct Ends<'d, 'a> {
    g: &'d Gathered<'a>,
    draft: &'d LegDraft<'a>,
    contact: &'d Contact<'a>,
    /// When the same agent was connected to another leg of this entity.
    next: &'d dyn Fn() -> Option<UtcMicros>,
}

impl<'a> Ends<'_, 'a> {
    fn apply(&self, leg: &mut Leg<'a>, sink: &mut Sink<'_>) {
        let connected_at = leg.connected.at;
        let told = self
            .draft
            .disconnects
            .iter()
            .position(|d| d.at >= connected_at);
        for (at, other) in self.draft.disconnects.iter().enumerate() {
            if Some(at) != told {
                let kind = if other.at < connected_at {
                    "bad_order"
                } else {
                    "second_end"
                };
                sink.issue(kind, "leg", self.draft.id, other.event);
            }
        }
        let told = told.map(|at| self.draft.disconnects[at]);
        if told.is_none() && !self.draft.disconnects.is_empty() {
            leg.flags.set_if(Flags::BAD_ORDER, true);
            leg.disconnected_at = self.draft.disconnects.first().map(|d| d.at);
            return;
        }
        leg.disconnected_at = told
            .map(|d| d.at)
            .or_else(|| self.proof(connected_at, sink));
        leg.inferred = told.is_none() && leg.disconnected_at.is_some();
        let Some(disconnected_at) = leg.disconnected_at else {
            return;
        };
        let active_gap_ms = sink.ctx.settings.active_gap_ms;
        self.connected_work(leg, told.map(|d| d.data), disconnected_at, active_gap_ms);
        self.after_call_work(leg, disconnected_at, sink);
    }

    fn is_voice(&self) -> bool {
        matches!(self.contact.channel, Channel::Voice | Channel::Video)
    }

    /// The first event that proves that the leg is over.
    fn proof(&self, connected_at: UtcMicros, sink: &mut Sink<'_>) -> Option<UtcMicros> {
        let after = |at: &UtcMicros| *at >= connected_at;
        let acw_start = self.draft.acw_starts.iter().copied().find(after);
        let acw_end = self
            .draft
            .acw_ends
            .iter()
            .find(|e| after(&e.at))
            .map(|e| e.at.plus_ms(-e.data.acw_ms.unwrap_or(0)).max(connected_at));
        let transfer = self.draft.transfers.iter().map(|t| t.at).find(after);
        let contact_end = told_end(&self.g.interactions[self.contact.draft], connected_at);
        let contact_end = contact_end
            .or(self.contact.end)
            .map(|end| end.at)
            .filter(after);
        let other_leg = if self.is_voice() { (self.next)() } else { None };
        let proof = [acw_start, acw_end, transfer, contact_end, other_leg]
            .into_iter()
            .flatten()
            .min();
        if !self.is_voice() {
            return proof;
        }
        let limit = connected_at.plus_ms(sink.ctx.settings.max_leg_ms);
        let proof = proof.filter(|at| *at <= limit);
        if proof.is_none() {
            self.give_up("no end", limit, sink);
        }
        proof
    }

    /// Lists a leg as never ended once the horizon has passed `limit`.
    fn give_up(&self, what: &'static str, limit: UtcMicros, sink: &mut Sink<'_>) {
        if sink.has_passed(limit) {
            let entity = format_smolstr!("leg:{}", self.draft.id);
            sink.issue_at("missing_end", entity, Text::new_static(what), limit);
        }
    }

    /// Talk and hold.
    fn connected_work(
        &self,
        leg: &mut Leg<'a>,
        told: Option<&LegDisconnected>,
        end: UtcMicros,
        active_gap_ms: i64,
    ) {
        let (held, holds) = self.held(leg.connected.at, end);
        let given_hold = told.and_then(|d| d.hold_ms);
        let given_talk = told.and_then(|d| d.talk_ms);
        leg.flags
            .set_if(Flags::DURATION_GIVEN, given_hold.or(given_talk).is_some());
        leg.work.hold = given_hold.unwrap_or(held);
        leg.work.holds = holds.max(i64::from(given_hold.is_some_and(|ms| ms > 0)));
        let messages = &self.g.interactions[self.contact.draft].messages;
        leg.work.talk = match given_talk {
            Some(given) => given,
            None if is_written(self.contact.channel) && !messages.is_empty() => {
                let active = active_spans(messages, leg, active_gap_ms);
                let micros: i64 = active.iter().map(|(from, to)| to.0 - from.0).sum();
                leg.active = Some(active);
                micros / 1_000
            }
            None => (end.ms_since(leg.connected.at) - leg.work.hold).max(0),
        };
    }

    /// Time on hold inside the leg and the number of holds; an open hold ends with the leg.
    fn held(&self, start: UtcMicros, end: UtcMicros) -> (i64, i64) {
        let (mut total, mut count) = (0, 0);
        let mut since = None;
        let within = self
            .draft
            .holds
            .iter()
            .map(|&(at, on)| (at.clamp(start, end), on));
        for (at, on) in within.chain([(end, false)]) {
            match (since, on) {
                (None, true) => since = Some(at),
                (Some(from), false) => {
                    total += at.0 - from.0;
                    count += 1;
                    since = None;
                }
                _ => {}
            }
        }
        (total / 1_000, count)
    }

    /// After-call work and the moment when the leg is complete.
    fn after_call_work(&self, leg: &mut Leg<'a>, disconnected_at: UtcMicros, sink: &mut Sink<'_>) {
        let mut spans = AcwSpans::new(disconnected_at);
        let starts = self.draft.acw_starts.iter().map(|at| (*at, None));
        let ends = self.draft.acw_ends.iter().map(|e| (e.at, Some(e)));
        let mut marks: Vec<_> = starts.chain(ends).collect();
        marks.sort_by_key(|(at, end)| (*at, end.is_some()));
        for (at, end) in marks {
            match end {
                None => spans.start(at),
                Some(end) if at < disconnected_at => {
                    sink.issue("bad_order", "leg", self.draft.id, end.event);
                }
                Some(end) => spans.end(at, end.data.acw_ms),
            }
        }
        if let Some(open) = spans.open {
            let limit = open.plus_ms(sink.ctx.settings.max_leg_ms);
            match (self.next)().filter(|at| self.is_voice() && *at >= open && *at <= limit) {
                Some(proof) => {
                    spans.end(proof, None);
                    leg.inferred = true;
                }
                None => return self.give_up("after-call work has no end", limit, sink),
            }
        }
        leg.work.acw = spans.given_ms.unwrap_or(spans.micros / 1_000);
        leg.flags
            .set_if(Flags::DURATION_GIVEN, spans.given_ms.is_some());
        leg.completed_at = Some(spans.last.unwrap_or(disconnected_at));
    }
}

/// Spans of after-call work.
struct AcwSpans {
    disconnected_at: UtcMicros,
    open: Option<UtcMicros>,
    micros: i64,
    given_ms: Option<i64>,
    last: Option<UtcMicros>,
}

impl AcwSpans {
    fn new(disconnected_at: UtcMicros) -> Self {
        AcwSpans {
            disconnected_at,
            open: None,
            micros: 0,
            given_ms: None,
            last: None,
        }
    }

    fn start(&mut self, at: UtcMicros) {
        self.open.get_or_insert(at.max(self.disconnected_at));
    }

    /// An end without a start belongs to work that began at the disconnect; a second end counts
    /// for nothing.
    fn end(&mut self, at: UtcMicros, given_ms: Option<i64>) {
        if self.open.is_none() && self.last.is_some() {
            return;
        }
        let from = self.open.take().unwrap_or(self.disconnected_at);
        self.micros += at.0 - from.0;
        self.last = Some(at);
        if let Some(given) = given_ms {
            self.given_ms = Some(self.given_ms.unwrap_or(0).saturating_add(given));
        }
    }
}

/// Work on a written contact: every message of the agent closes a window that began with the
/// message before, the acceptance, or `active_gap` earlier, whichever is latest.
fn active_spans(
    messages: &[Message<'_>],
    leg: &Leg<'_>,
    active_gap_ms: i64,
) -> Vec<(UtcMicros, UtcMicros)> {
    let mut spans = Vec::new();
    let mut before: Option<UtcMicros> = None;
    for message in messages {
        let by_us = message.data.actor == Actor::Agent
            && message
                .data
                .actor_id
                .as_ref()
                .is_none_or(|a| *a == leg.connected.data.agent_id);
        let within = message.at >= leg.connected.at
            && leg.disconnected_at.is_none_or(|end| message.at <= end);
        if by_us && within {
            let earliest = message.at.plus_ms(-active_gap_ms).max(leg.connected.at);
            let from = before.map_or(earliest, |b| b.max(earliest));
            spans.push((from, message.at));
        }
        before = Some(message.at);
    }
    spans
}

impl Leg<'_> {
    /// Spans in which the customer was connected to this agent, once the leg is over.
    pub fn with_customer(&self, g: &Gathered<'_>, spans: &mut Vec<(UtcMicros, UtcMicros)>) {
        let end = self.disconnected_at.filter(|end| *end >= self.connected.at);
        let Some(end) = end else { return };
        let mut role = self.connected.data.role;
        let mut since = self.connected.at;
        let changes = &g.legs[self.draft].roles;
        for (at, next) in changes.iter().copied().chain([(end, role)]) {
            let at = at.clamp(self.connected.at, end);
            if matches!(role, Role::Primary | Role::Conference) {
                spans.push((since, at));
            }
            (role, since) = (next, at);
        }
    }
}

/// Adds the rows of all legs.
pub(crate) fn leg_rows(g: &Gathered<'_>, story: &Story<'_>, sink: &mut Sink<'_>) {
    for leg in &story.legs.all {
        let row = leg_row(g, story, leg, sink);
        sink.rows.Leg.push(row);
    }
}

fn leg_row(g: &Gathered<'_>, story: &Story<'_>, leg: &Leg<'_>, sink: &Sink<'_>) -> LegRow {
    let draft = &g.legs[leg.draft];
    let data = leg.connected.data;
    let contact = &story.contacts[leg.contact];
    let profile: Option<&Profile> = sink.profile(&data.agent_id, leg.connected.at);
    let visit = leg.visit.map(|at| &story.visits.all[at]);
    let transfer = draft.transfers.last().map(|t| t.data);
    let codes = draft
        .disposition
        .map(|d| d.codes.clone())
        .unwrap_or_default();
    LegRow {
        common: sink.common(leg.inferred, leg.flags),
        leg_id: data.leg_id.clone(),
        interaction_id: contact.id.clone(),
        root_id: contact.root_id.clone(),
        visit_id: visit.map(|v| v.id.clone()),
        leg_no: leg.no,
        agent_id: data.agent_id.clone(),
        team_id: profile.and_then(|p| p.team_id.clone()),
        site_id: profile.and_then(|p| p.site_id.clone()),
        queue_id: visit.map(|v| v.queue_id.clone()),
        tenure_band: profile.and_then(|p| p.tenure_band(leg.connected.at)),
        channel: Text::new_static(contact.channel.as_str()),
        direction: Text::new_static(contact.direction.as_str()),
        role: Text::new_static(leg.role.as_str()),
        initiation: Text::new_static(data.initiation.as_str()),
        offered_at: leg.offered_at,
        connected_at: leg.connected.at,
        disconnected_at: leg.disconnected_at,
        completed_at: leg.completed_at,
        handled: leg.is_handled(),
        dial_ms: leg.work.dial,
        ring_ms: leg.ring_ms,
        talk_ms: leg.work.talk,
        hold_ms: leg.work.hold,
        hold_count: leg.work.holds,
        acw_ms: leg.work.acw,
        handle_ms: leg.work.handle_ms(),
        silence_ms: draft.silence_ms,
        sentiment_milli: draft.sentiment_milli,
        disposition_code: codes.first().cloned(),
        disposition_codes: codes,
        transferred_out: transfer.is_some(),
        transfer_kind: transfer.map(|t| Text::new_static(t.kind.as_str())),
        transfer_reason: transfer
            .and_then(|t| t.reason)
            .map(|r| Text::new_static(r.as_str())),
        transfer_to: transfer.map(|t| t.to_id.clone()),
        transfer_to_kind: transfer.map(|t| Text::new_static(t.to_kind.as_str())),
    }
}
