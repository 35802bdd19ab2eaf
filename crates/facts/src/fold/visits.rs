//! Queue visits: who waited, how long, and how it ended.

use events::*;
use smol_str::format_smolstr;

use super::{
    Sink,
    contacts::{Contacts, told_end},
    drafts::*,
    gather::Gathered,
    interactions::Story,
    legs::Legs,
    sink::Flags,
};
use crate::QueueVisit;

/// Queue of a visit that no event names.
const UNKNOWN_QUEUE: Text = Text::new_static("unknown");
/// How many of the latest visits of an entity are looked at to find the one a leg belongs to.
const LOOK_BACK_MAX: usize = 32;

/// One visit, concluded from a draft or from a leg alone.
#[derive(Debug)]
pub(crate) struct Visit<'a> {
    draft: Option<usize>,
    pub id: Text,
    pub contact: usize,
    entered: Option<&'a QueueEntered>,
    pub entered_at: UtcMicros,
    pub kind: VisitKind,
    pub queue_id: Text,
    /// Place among the visits of its contact, from 1.
    no: i64,
    pub left_at: Option<UtcMicros>,
    /// `None` while waiting.
    pub reason: Option<LeaveReason>,
    told: Option<&'a QueueLeft>,
    /// The leg that answered.
    pub leg: Option<usize>,
    agent_id: Option<Text>,
    inferred: bool,
    flags: Flags,
}

/// The visits of an entity, by entry; those concluded from a leg come last.
#[derive(Debug, Default)]
pub(crate) struct Visits<'a> {
    pub all: Vec<Visit<'a>>,
    /// How many of them events speak of.
    told: usize,
    of_draft: Vec<Option<usize>>,
}

/// The visits that events speak of, as far as those events tell.
pub(crate) fn visits<'a>(
    g: &Gathered<'a>,
    contacts: &Contacts<'a>,
    sink: &mut Sink<'_>,
) -> Visits<'a> {
    let mut visits = Visits {
        all: Vec::new(),
        told: 0,
        of_draft: vec![None; g.visits.len()],
    };
    for (at, draft) in g.visits.iter().enumerate() {
        match visit_of(g, at, contacts) {
            Some(mut visit) => {
                told_left(g, draft, &mut visit, sink);
                visits.all.push(visit);
            }
            None => note_missing_entry(draft, sink),
        }
    }
    visits.all.sort_by_key(|v| v.entered_at);
    visits.told = visits.all.len();
    for (at, visit) in visits.all.iter().enumerate() {
        if let Some(draft) = visit.draft {
            visits.of_draft[draft] = Some(at);
        }
    }
    visits
}

fn visit_of<'a>(g: &Gathered<'a>, at: usize, contacts: &Contacts<'a>) -> Option<Visit<'a>> {
    let draft = &g.visits[at];
    let (interaction, entered_at, queue_id) = match draft.entered {
        Some(e) => (&e.data.interaction_id, e.at, e.data.queue_id.clone()),
        None => {
            let leg = draft.leg?;
            (
                &leg.data.interaction_id,
                draft.first_at?,
                queue_of(leg.event),
            )
        }
    };
    let contact = contacts.at(g.interactions.position(interaction)?, entered_at);
    let attributes = draft.entered.map(|e| &e.event.attributes);
    let said_inferred = attributes
        .and_then(|a| a.get("inferred"))
        .is_some_and(|v| v == "true");
    Some(Visit {
        draft: Some(at),
        id: draft.id.clone(),
        contact,
        entered: draft.entered.map(|e| e.data),
        entered_at,
        kind: draft
            .entered
            .map_or(VisitKind::Customer, |e| e.data.visit_kind),
        queue_id,
        no: 0,
        left_at: None,
        reason: None,
        told: None,
        leg: None,
        agent_id: None,
        inferred: draft.entered.is_none() || said_inferred,
        flags: Flags::NONE,
    })
}

/// The queue that a leg's event names beside its vocabulary.
fn queue_of(leg: &Event) -> Text {
    leg.attributes
        .get("queue_id")
        .cloned()
        .unwrap_or(UNKNOWN_QUEUE)
}

/// A visit that was left or offered but never entered, by no known contact, makes no row.
fn note_missing_entry(draft: &VisitDraft<'_>, sink: &mut Sink<'_>) {
    let id = draft.id;
    let entity = format_smolstr!("visit:{id}");
    let detail = Text::new_static("no queue.entered");
    sink.issue_at(
        "missing_start",
        entity,
        detail,
        draft.first_at.unwrap_or_default(),
    );
}

/// The end that events tell: the first one that is not before the entry.
fn told_left<'a>(
    g: &Gathered<'a>,
    draft: &VisitDraft<'a>,
    visit: &mut Visit<'a>,
    sink: &mut Sink<'_>,
) {
    let valid = draft
        .lefts
        .iter()
        .position(|left| left.at >= visit.entered_at);
    let Some(left) = draft.lefts.get(valid.unwrap_or(0)) else {
        return;
    };
    visit.told = Some(left.data);
    visit.reason = Some(left_for(g, draft, left.data));
    visit.agent_id = left.data.agent_id.clone();
    let unknown = left.data.wait_known == Some(false);
    visit.flags.set_if(Flags::WAIT_UNKNOWN, unknown);
    visit
        .flags
        .set_if(Flags::BAD_ORDER, valid.is_none() && !unknown);
    visit.left_at = (!unknown).then_some(left.at);
    for (at, other) in draft.lefts.iter().enumerate() {
        if at == valid.unwrap_or(0) {
            continue;
        }
        let kind = if other.at < visit.entered_at {
            "bad_order"
        } else {
            "second_end"
        };
        sink.issue(kind, "visit", draft.id, other.event);
    }
    if visit.flags.has(Flags::BAD_ORDER) {
        sink.issue("bad_order", "visit", draft.id, left.event);
    }
}

/// Why a visit was left. A system may tell that a contact went on before it tells where to: if it was
/// asked then that the customer be called back, that is where.
fn left_for(g: &Gathered<'_>, draft: &VisitDraft<'_>, left: &QueueLeft) -> LeaveReason {
    let callback = draft.callback.and_then(|id| g.callbacks.find(id)?.fields);
    let goes_on = left.reason == LeaveReason::Overflow && left.to_queue_id.is_none();
    match callback.filter(|_| goes_on).map(|callback| callback.kind) {
        Some(CallbackKind::Callback) => LeaveReason::Callback,
        Some(CallbackKind::Voicemail) => LeaveReason::Voicemail,
        None => left.reason,
    }
}

impl<'a> Visits<'a> {
    /// The visit that a leg answered; one is made up for a leg that came out of a queue of which
    /// nothing is said: it waited for no time.
    pub fn answered_by(
        &mut self,
        g: &Gathered<'a>,
        leg: Said<'a, LegConnected>,
        contact: usize,
    ) -> Option<usize> {
        if let Some(id) = &leg.data.visit_id {
            return self.of_draft[g.visits.position(id)?];
        }
        let names_it = |left: &QueueLeft| left.leg_id.as_ref() == Some(&leg.data.leg_id);
        if let Some(at) = self.latest(leg.at, |v| v.told.is_some_and(names_it)) {
            return Some(at);
        }
        if leg.data.role != Role::Primary {
            return None;
        }
        let from_queue = leg.data.initiation == Initiation::Queue;
        if !from_queue && leg.data.initiation != Initiation::Callback {
            return None;
        }
        let fits = |v: &Visit<'_>| v.contact == contact && v.fits(&leg);
        self.latest(leg.at, fits)
            .or_else(|| from_queue.then(|| self.made_up(leg, contact)))
    }

    /// The visit with this id.
    pub fn find(&self, g: &Gathered<'a>, id: &str) -> Option<&Visit<'a>> {
        let at = *self.of_draft.get(g.visits.position(id)?)?;
        at.map(|at| &self.all[at])
    }

    /// The latest told visit that fits, among those entered shortly before a moment.
    fn latest(&self, before: UtcMicros, fits: impl Fn(&Visit<'_>) -> bool) -> Option<usize> {
        let end = self.all[..self.told].partition_point(|v| v.entered_at <= before);
        let near = end.saturating_sub(LOOK_BACK_MAX)..end;
        near.rev().find(|&at| fits(&self.all[at]))
    }

    fn made_up(&mut self, leg: Said<'a, LegConnected>, contact: usize) -> usize {
        self.all.push(Visit {
            draft: None,
            id: format_smolstr!("{}.visit", leg.data.leg_id),
            contact,
            entered: None,
            entered_at: leg.at,
            kind: VisitKind::Customer,
            queue_id: queue_of(leg.event),
            no: 0,
            left_at: Some(leg.at),
            reason: Some(LeaveReason::Answered),
            told: None,
            leg: None,
            agent_id: Some(leg.data.agent_id.clone()),
            inferred: true,
            flags: Flags::NONE,
        });
        self.all.len() - 1
    }

    /// The offer through which a leg came about: when it began, and how long it rang.
    pub fn offer_of(
        &self,
        g: &Gathered<'a>,
        visit: usize,
        leg: &Said<'a, LegConnected>,
    ) -> Option<(UtcMicros, i64)> {
        let draft = &g.visits[self.all[visit].draft?];
        let taken = |o: &&OfferDraft<'_>| {
            let by_us = *o.agent_id == leg.data.agent_id;
            by_us
                && o.ended
                    .is_none_or(|(_, outcome)| outcome == OfferOutcome::Accepted)
        };
        let started = |o: &OfferDraft<'_>| o.started.filter(|at| *at <= leg.at);
        let offer = draft
            .offers
            .iter()
            .rev()
            .filter(taken)
            .find(|o| started(o).is_some())?;
        let start = started(offer)?;
        let end = offer.ended.map_or(leg.at, |(at, _)| at.max(start));
        Some((start, end.ms_since(start)))
    }
}

impl Visit<'_> {
    /// Can this be the visit that a leg without a visit id answered?
    fn fits(&self, leg: &Said<'_, LegConnected>) -> bool {
        let answered = self.reason == Some(LeaveReason::Answered) && self.leg.is_none();
        let named = self.told.is_some_and(|t| t.leg_id.is_some());
        let same_agent = self
            .agent_id
            .as_ref()
            .is_none_or(|a| *a == leg.data.agent_id);
        answered && !named && same_agent && self.left_at.is_some_and(|at| at <= leg.at)
    }
}

/// Ends the visits that no event ends, as far as legs and contacts prove an end; numbers them.
pub(crate) fn close<'a>(
    g: &Gathered<'a>,
    contacts: &Contacts<'a>,
    legs: &Legs<'a>,
    visits: &mut Visits<'a>,
) {
    for visit in &mut visits.all {
        let told = visit
            .told
            .and_then(|t| legs.position(g, t.leg_id.as_ref()?));
        visit.leg = told.or(visit.leg);
        let leg = visit.leg.map(|at| &legs.all[at]);
        if visit.reason.is_none() {
            let end = told_end(
                &g.interactions[contacts[visit.contact].draft],
                visit.entered_at,
            );
            let by_customer = |e: &InteractionEnded| matches!(e.ended_by, EndedBy::Customer);
            let proof = match (leg, end) {
                (Some(leg), _) => Some((leg.connected.at, LeaveReason::Answered)),
                (None, Some(end)) if end.told.is_some_and(by_customer) => {
                    Some((end.at, LeaveReason::Abandoned))
                }
                (None, end) => end.map(|end| (end.at, LeaveReason::Error)),
            };
            if let Some((at, reason)) = proof {
                visit.left_at = Some(at.max(visit.entered_at));
                visit.reason = Some(reason);
                visit.inferred = true;
            }
        }
        if visit.agent_id.is_none() && visit.reason == Some(LeaveReason::Answered) {
            visit.agent_id = leg.map(|l| l.connected.data.agent_id.clone());
        }
    }
    number(contacts, visits);
}

fn number(contacts: &Contacts<'_>, visits: &mut Visits<'_>) {
    let mut order: Vec<usize> = (0..visits.all.len()).collect();
    order.sort_by_key(|&at| visits.all[at].entered_at);
    let mut last = vec![0; contacts.len()];
    for at in order {
        let visit = &mut visits.all[at];
        last[visit.contact] += 1;
        visit.no = last[visit.contact];
    }
}

impl Visit<'_> {
    /// Time in the queue; `None` while waiting or if it is not known.
    pub fn wait_ms(&self) -> Option<i64> {
        if self.flags.has(Flags::BAD_ORDER) {
            return None;
        }
        let left_at = self.left_at?;
        Some(if self.is_blocked() {
            0
        } else {
            left_at.ms_since(self.entered_at)
        })
    }

    /// How the contact came into the queue.
    pub fn via(&self) -> Option<Via> {
        self.entered.and_then(|e| e.via)
    }

    fn is_blocked(&self) -> bool {
        use LeaveReason as R;
        matches!(self.reason, Some(R::Full | R::Closed | R::JoinEmpty))
    }

    fn is_flowed_out(&self) -> bool {
        use LeaveReason as R;
        !self.is_blocked() && !matches!(self.reason, None | Some(R::Answered | R::Abandoned))
    }
}

/// Rings of a visit: union of their time within the visit, how many, how many missed.
fn rings(draft: &VisitDraft<'_>, visit: &Visit<'_>) -> (i64, i64, i64) {
    let mut spans: Vec<(UtcMicros, UtcMicros)> = Vec::new();
    let mut missed = 0;
    for offer in &draft.offers {
        missed += i64::from(offer.is_missed());
        let ended = offer.ended.map(|(at, _)| at).into_iter();
        let start = offer.started.map(|at| at.max(visit.entered_at));
        spans.extend(start.zip(ended.chain(visit.left_at).min()));
    }
    (union_ms(&mut spans), draft.offers.len() as i64, missed)
}

/// Length of a union of spans, in milliseconds.
pub(crate) fn union_ms(spans: &mut [(UtcMicros, UtcMicros)]) -> i64 {
    spans.sort_unstable();
    let (mut total, mut covered) = (0, UtcMicros(i64::MIN));
    for &mut (start, end) in spans {
        let from = start.max(covered);
        if end > from {
            total += end.0 - from.0;
            covered = end;
        }
    }
    total / 1_000
}

/// Adds the rows of all visits.
pub(crate) fn visit_rows(g: &Gathered<'_>, story: &Story<'_>, sink: &mut Sink<'_>) {
    for visit in &story.visits.all {
        let row = visit_row(g, story, visit, sink);
        sink.rows.QueueVisit.push(row);
    }
}

fn visit_row(
    g: &Gathered<'_>,
    story: &Story<'_>,
    visit: &Visit<'_>,
    sink: &Sink<'_>,
) -> QueueVisit {
    let contact = &story.contacts[visit.contact];
    let interaction = &g.interactions[contact.draft];
    let started = interaction.started.map(|s| s.data);
    let draft = visit.draft.map(|at| &g.visits[at]);
    let (ring_ms, offers, offers_missed) = draft.map_or((0, 0, 0), |d| rings(d, visit));
    let estimate = draft.and_then(|d| d.estimate);
    let wait_ms = visit.wait_ms();
    let answered = visit.reason == Some(LeaveReason::Answered);
    let agent = visit.agent_id.as_deref().filter(|_| answered);
    let at = visit.left_at.unwrap_or(visit.entered_at);
    let profile = agent.and_then(|a| sink.profile(a, at));
    let required = visit.entered.and_then(|e| e.required_skills.as_ref());
    let held = profile.and_then(|p| p.skills.as_ref());
    QueueVisit {
        common: sink.common(visit.inferred, visit.flags),
        visit_id: visit.id.clone(),
        interaction_id: contact.id.clone(),
        root_id: contact.root_id.clone(),
        visit_no: visit.no,
        visit_kind: Text::new_static(visit.kind.as_str()),
        customer_id: contact.customer_id.clone(),
        channel: Text::new_static(contact.channel.as_str()),
        direction: Text::new_static(contact.direction.as_str()),
        queue_id: visit.queue_id.clone(),
        site_id: profile.and_then(|p| p.site_id.clone()),
        entry_point: started.and_then(|s| s.entry_point.clone()),
        language: started.and_then(|s| s.language.clone()),
        priority: visit.entered.and_then(|e| e.priority),
        required_skills: required.cloned().unwrap_or_default(),
        skill_matched: required
            .zip(held)
            .map(|(r, h)| r.iter().all(|s| h.contains(s))),
        reason_code: interaction.reason_code().cloned(),
        entered_at: visit.entered_at,
        left_at: visit.left_at,
        outcome: Text::new_static(visit.reason.map_or("waiting", LeaveReason::as_str)),
        waiting: visit.reason.is_none(),
        answered,
        abandoned: visit.reason == Some(LeaveReason::Abandoned),
        flowed_out: visit.is_flowed_out(),
        blocked: visit.is_blocked(),
        silent_abandon: answered && is_silent(interaction, story, visit),
        wait_ms,
        wait_up_s: wait_ms.map(|ms| ms.div_euclid(1_000) + i64::from(ms % 1_000 != 0)),
        wait_down_s: wait_ms.map(|ms| ms.div_euclid(1_000)),
        ring_ms,
        offers,
        offers_missed,
        ewt_ms: estimate.map(|e| e.ewt_ms),
        ewt_method: estimate.map(|e| e.method.clone()),
        agent_id: agent.map(Text::from),
        team_id: profile.and_then(|p| p.team_id.clone()),
        leg_id: visit
            .leg
            .map(|at| story.legs.all[at].connected.data.leg_id.clone()),
        callback_id: draft.and_then(|d| d.callback).cloned(),
    }
}

/// Did a chat customer never write again once the agent had joined?
fn is_silent(draft: &InteractionDraft<'_>, story: &Story<'_>, visit: &Visit<'_>) -> bool {
    let Some(leg) = visit.leg.map(|at| &story.legs.all[at]) else {
        return false;
    };
    let contact = &story.contacts[visit.contact];
    let over = contact.channel == Channel::Chat && leg.disconnected_at.is_some();
    let wrote = |m: &Message<'_>| m.data.actor == Actor::Customer && m.at > leg.connected.at;
    over && !draft.messages.is_empty() && !draft.messages.iter().any(wrote)
}
