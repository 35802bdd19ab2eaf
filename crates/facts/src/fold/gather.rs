//! Sorts the events of an entity by what they are about.

use events::{EventData as E, *};

use super::{Effective, by_id::ById, drafts::*};

/// The shared fields of a callback event.
macro_rules! callback_fields {
    ($d:expr) => {
        CallbackFields {
            kind: $d.kind,
            visit_id: $d.visit_id.as_ref(),
            interaction_id: $d.interaction_id.as_ref(),
            queue_id: &$d.queue_id,
            scheduled_for: $d.scheduled_for,
        }
    };
}

/// The shared fields of a survey event.
macro_rules! survey_fields {
    ($d:expr) => {
        SurveyFields {
            instrument: $d.instrument,
            interaction_id: $d.interaction_id.as_ref(),
            leg_id: $d.leg_id.as_ref(),
            case_id: $d.case_id.as_ref(),
            agent_id: $d.agent_id.as_ref(),
        }
    };
}

/// All that the events of one entity say.
#[derive(Debug, Default)]
pub(crate) struct Gathered<'a> {
    pub interactions: ById<'a, InteractionDraft<'a>>,
    pub visits: ById<'a, VisitDraft<'a>>,
    pub legs: ById<'a, LegDraft<'a>>,
    pub callbacks: ById<'a, CallbackDraft<'a>>,
    pub surveys: ById<'a, SurveyDraft<'a>>,
    pub orders: ById<'a, OrderDraft<'a>>,
    pub agents: ById<'a, AgentDraft<'a>>,
    pub costs: ById<'a, CostDraft<'a>>,
    pub cases: ById<'a, CaseDraft<'a>>,
    pub evaluations: ById<'a, EvaluationDraft<'a>>,
    pub alerts: ById<'a, AlertDraft<'a>>,
    pub sessions: ById<'a, SessionDraft<'a>>,
    /// Of one agent.
    pub schedules: Vec<Said<'a, SchedulePublished>>,
    pub absences: Vec<Said<'a, AbsenceRecorded>>,
    /// Of one queue.
    pub forecasts: Vec<Said<'a, ForecastPublished>>,
    /// Of one agent: profile and employment.
    pub profiles: Vec<Said<'a, AgentProfileChanged>>,
    pub hired: Vec<Said<'a, AgentHired>>,
    pub left: Vec<Said<'a, AgentLeft>>,
    /// Of one customer.
    pub customers: Vec<Said<'a, CustomerChanged>>,
    /// Of one key.
    pub references: Vec<Said<'a, ReferenceChanged>>,
    /// Cases that name an interaction, and whether they were escalated with it.
    named_cases: Vec<(&'a Text, &'a Text, bool)>,
    pub is_test: bool,
}

/// Sorts the events, given in the order of the fold.
pub(crate) fn gather<'a>(events: &[Effective<'a>]) -> Gathered<'a> {
    let mut gathered = Gathered::default();
    for known in events {
        gathered.take(known.at, known.event);
    }
    gathered.settle();
    gathered
}

impl<'a> Gathered<'a> {
    fn take(&mut self, at: UtcMicros, event: &'a Event) {
        match &event.data {
            E::InteractionStarted(d) => self.started(at, event, d),
            E::InteractionIdentified(d) => {
                self.contact(&d.interaction_id, at).identified = Some(&d.customer_id);
            }
            E::InteractionClassified(d) => {
                self.contact(&d.interaction_id, at).classified.push(d);
                if let Some(case) = &d.case_id {
                    self.cases.get(case).add_contact(&d.interaction_id);
                }
            }
            E::InteractionEnded(d) => {
                self.contact(&d.interaction_id, at)
                    .ends
                    .push(Said { at, event, data: d });
            }
            E::MessageSent(d) => self.message(at, d),
            E::CostPosted(d) => {
                self.costs
                    .get(&d.cost_id)
                    .posted
                    .push(Said { at, event, data: d });
            }
            _ => {
                let _taken = self.queue_event(at, event)
                    || self.leg_event(at, event)
                    || self.order_event(at, event)
                    || self.case_event(at, event)
                    || self.session_event(at, event)
                    || self.plan_event(at, event)
                    || self.other_event(at, event);
            }
        }
    }

    fn contact(&mut self, id: &'a Text, at: UtcMicros) -> &mut InteractionDraft<'a> {
        let draft = self.interactions.get(id);
        draft.first_at.get_or_insert(at);
        draft
    }

    fn visit(&mut self, id: &'a Text, at: UtcMicros) -> &mut VisitDraft<'a> {
        let draft = self.visits.get(id);
        draft.first_at.get_or_insert(at);
        draft
    }

    fn leg(&mut self, id: &'a Text, at: UtcMicros) -> &mut LegDraft<'a> {
        let draft = self.legs.get(id);
        draft.first_at.get_or_insert(at);
        draft
    }

    fn started(&mut self, at: UtcMicros, event: &'a Event, data: &'a InteractionStarted) {
        self.is_test |= data.is_test == Some(true);
        let draft = self.contact(&data.interaction_id, at);
        draft.started.get_or_insert(Said { at, event, data });
    }

    fn session_event(&mut self, at: UtcMicros, event: &'a Event) -> bool {
        match &event.data {
            E::SelfServiceStarted(d) => {
                let said = Said { at, event, data: d };
                self.session(&d.session_id, at).started.get_or_insert(said);
                if let Some(id) = &d.interaction_id {
                    self.contact(id, at);
                }
            }
            E::SelfServiceStep(d) => self.session(&d.session_id, at).steps.push(d),
            E::SelfServiceEnded(d) => {
                let said = Said { at, event, data: d };
                self.session(&d.session_id, at).ends.push(said);
            }
            _ => return false,
        }
        true
    }

    fn session(&mut self, id: &'a Text, at: UtcMicros) -> &mut SessionDraft<'a> {
        let draft = self.sessions.get(id);
        draft.first_at.get_or_insert(at);
        draft
    }

    fn plan_event(&mut self, at: UtcMicros, event: &'a Event) -> bool {
        match &event.data {
            E::SchedulePublished(d) => self.schedules.push(Said { at, event, data: d }),
            E::AbsenceRecorded(d) => self.absences.push(Said { at, event, data: d }),
            E::ForecastPublished(d) => self.forecasts.push(Said { at, event, data: d }),
            E::AgentProfileChanged(d) => self.profiles.push(Said { at, event, data: d }),
            E::AgentHired(d) => self.hired.push(Said { at, event, data: d }),
            E::AgentLeft(d) => self.left.push(Said { at, event, data: d }),
            E::CustomerChanged(d) => self.customers.push(Said { at, event, data: d }),
            E::ReferenceChanged(d) => self.references.push(Said { at, event, data: d }),
            _ => return false,
        }
        true
    }

    fn message(&mut self, at: UtcMicros, data: &'a MessageSent) {
        if let Some(id) = &data.interaction_id {
            self.contact(id, at).messages.push(Message { at, data });
        }
        if let Some(case) = &data.case_id
            && data.actor == Actor::Agent
            && data.public
        {
            self.cases.get(case).replies.push(at);
        }
    }

    /// A case, named by one of its own events.
    fn case(
        &mut self,
        at: UtcMicros,
        id: &'a Text,
        interaction: &'a Option<Text>,
    ) -> &mut CaseDraft<'a> {
        let draft = self.cases.get(id);
        draft.first_at.get_or_insert(at);
        if let Some(interaction) = interaction {
            draft.add_contact(interaction);
        }
        draft
    }

    fn case_event(&mut self, at: UtcMicros, event: &'a Event) -> bool {
        match &event.data {
            E::CaseOpened(d) => {
                self.name_case(&d.interaction_id, &d.case_id, false);
                let case = self.case(at, &d.case_id, &d.interaction_id);
                case.opened.get_or_insert(Said { at, event, data: d });
                case.tell(&d.status, d.promise_at, &d.merged_into);
            }
            E::CaseStatusChanged(d) => self.case(at, &d.case_id, &d.interaction_id).tell(
                &d.status,
                d.promise_at,
                &d.merged_into,
            ),
            E::CaseEscalated(d) => {
                self.name_case(&d.interaction_id, &d.case_id, true);
                self.case(at, &d.case_id, &d.interaction_id).escalated = true;
            }
            E::CaseSolved(d) => {
                let case = self.case(at, &d.case_id, &d.interaction_id);
                case.steps.push((at, CaseStep::Solved));
            }
            E::CaseReopened(d) => {
                let case = self.case(at, &d.case_id, &d.interaction_id);
                case.steps.push((at, CaseStep::Reopened));
            }
            E::CaseClosed(d) => {
                let case = self.case(at, &d.case_id, &d.interaction_id);
                case.steps.push((at, CaseStep::Closed));
            }
            _ => return false,
        }
        true
    }

    /// The contact is about the case.
    fn name_case(&mut self, interaction: &'a Option<Text>, case: &'a Text, escalated: bool) {
        if let Some(interaction) = interaction {
            self.named_cases.push((interaction, case, escalated));
        }
    }

    fn queue_event(&mut self, at: UtcMicros, event: &'a Event) -> bool {
        match &event.data {
            E::QueueEntered(d) => {
                self.contact(&d.interaction_id, at).activity.push(at);
                let visit = self.visit(&d.visit_id, at);
                visit.entered.get_or_insert(Said { at, event, data: d });
            }
            E::EstimateAnnounced(d) => {
                self.visit(&d.visit_id, at).estimate.get_or_insert(d);
            }
            E::OfferStarted(d) => {
                let offer = self.visit(&d.visit_id, at).offer(&d.offer_id, &d.agent_id);
                offer.started.get_or_insert(at);
            }
            E::OfferEnded(d) => {
                let offer = self.visit(&d.visit_id, at).offer(&d.offer_id, &d.agent_id);
                offer.ended.get_or_insert((at, d.outcome));
            }
            E::QueueLeft(d) => self
                .visit(&d.visit_id, at)
                .lefts
                .push(Said { at, event, data: d }),
            _ => return false,
        }
        true
    }

    fn leg_event(&mut self, at: UtcMicros, event: &'a Event) -> bool {
        match &event.data {
            E::LegConnected(d) => self.connected(at, event, d),
            E::LegRoleChanged(d) => self.leg(&d.leg_id, at).roles.push((at, d.role)),
            E::LegDisconnected(d) => {
                self.leg(&d.leg_id, at)
                    .disconnects
                    .push(Said { at, event, data: d });
            }
            E::HoldStarted(d) => self.leg(&d.leg_id, at).holds.push((at, true)),
            E::HoldEnded(d) => self.leg(&d.leg_id, at).holds.push((at, false)),
            E::AcwStarted(d) => self.leg(&d.leg_id, at).acw_starts.push(at),
            E::AcwEnded(d) => self
                .leg(&d.leg_id, at)
                .acw_ends
                .push(Said { at, event, data: d }),
            E::TransferInitiated(_) => {}
            E::TransferCompleted(d) => self.transferred(at, event, d),
            E::DispositionSet(d) => self.leg(&d.leg_id, at).disposition = Some(d),
            E::AnalysisScored(d) => {
                let leg = self.leg(&d.leg_id, at);
                leg.silence_ms = d.silence_ms.or(leg.silence_ms);
                leg.sentiment_milli = d.sentiment_milli.or(leg.sentiment_milli);
            }
            _ => return false,
        }
        true
    }

    fn connected(&mut self, at: UtcMicros, event: &'a Event, data: &'a LegConnected) {
        let contact = self.contact(&data.interaction_id, at);
        contact.activity.push(at);
        contact.outbound |= matches!(data.initiation, Initiation::Outbound | Initiation::Callback);
        let said = Said { at, event, data };
        if let Some(visit) = &data.visit_id {
            self.visit(visit, at).leg.get_or_insert(said);
        }
        self.leg(&data.leg_id, at).connected.get_or_insert(said);
    }

    fn transferred(&mut self, at: UtcMicros, event: &'a Event, data: &'a TransferCompleted) {
        let leg = self.leg(&data.from_leg_id, at);
        if leg
            .transfers
            .iter()
            .all(|t| t.data.transfer_id != data.transfer_id)
        {
            leg.transfers.push(Said { at, event, data });
        }
        if let (Some(to), TransferKind::Consult) = (&data.to_leg_id, data.kind) {
            let to = self.leg(to, at);
            to.roles.push((at, Role::Primary));
        }
    }

    fn order_event(&mut self, at: UtcMicros, event: &'a Event) -> bool {
        use StepKind as S;
        match &event.data {
            E::OrderPlaced(d) => {
                self.is_test |= d.is_test == Some(true);
                let order = self.order(&d.order_id, at);
                order.placed.get_or_insert(Said { at, event, data: d });
            }
            E::OrderVerified(d) => {
                self.order(&d.order_id, at).verified = Some(Said { at, event, data: d });
            }
            E::OrderCancelled(d) => self.step(at, S::Cancelled, &d.order_id, &d.line_ids, &d.value),
            E::OrderShipped(d) => self.step(at, S::Shipped, &d.order_id, &d.line_ids, &d.value),
            E::OrderDelivered(d) => self.step(at, S::Delivered, &d.order_id, &d.line_ids, &d.value),
            E::OrderRefused(d) => self.step(at, S::Refused, &d.order_id, &d.line_ids, &d.value),
            E::OrderReturned(d) => self.step(at, S::Returned, &d.order_id, &d.line_ids, &d.value),
            E::OrderExchanged(d) => self.step(at, S::Exchanged, &d.order_id, &d.line_ids, &d.value),
            E::OrderRefunded(d) => self.step(at, S::Refunded, &d.order_id, &d.line_ids, &d.value),
            E::NotificationSent(d) => {
                if let Some(order) = &d.order_id {
                    self.orders.get(order).notified |= d.proactive;
                }
            }
            _ => return false,
        }
        true
    }

    fn order(&mut self, id: &'a Text, at: UtcMicros) -> &mut OrderDraft<'a> {
        let draft = self.orders.get(id);
        draft.first_at.get_or_insert(at);
        draft
    }

    fn step(
        &mut self,
        at: UtcMicros,
        kind: StepKind,
        order: &'a Text,
        line_ids: &'a Option<Vec<Text>>,
        value: &'a Option<Money>,
    ) {
        let line_ids = line_ids.as_deref();
        let step = OrderStep {
            at,
            kind,
            line_ids,
            value: value.as_ref(),
        };
        self.order(order, at).steps.push(step);
    }

    fn other_event(&mut self, at: UtcMicros, event: &'a Event) -> bool {
        match &event.data {
            E::SurveySent(d) => {
                let survey = self.surveys.get(&d.survey_id);
                survey.sent.get_or_insert(at);
                survey.add(survey_fields!(d));
            }
            E::SurveyAnswered(d) => {
                let survey = self.surveys.get(&d.survey_id);
                survey.answers.push(Said { at, event, data: d });
                survey.add(survey_fields!(d));
            }
            E::EvaluationCompleted(d) => {
                let evaluation = self.evaluations.get(&d.evaluation_id);
                evaluation.completed.push(Said { at, event, data: d });
            }
            E::EvaluationVoided(d) => self.evaluations.get(&d.evaluation_id).voided = true,
            E::CallbackRequested(d) => {
                self.callback(&d.callback_id, at, callback_fields!(d))
                    .requested_at
                    .get_or_insert(at);
            }
            E::CallbackScheduled(d) => {
                self.callback(&d.callback_id, at, callback_fields!(d));
            }
            E::CallbackAttempted(d) => {
                self.callback(&d.callback_id, at, callback_fields!(d))
                    .attempts
                    .push(at);
            }
            E::CallbackConnected(d) => {
                self.callback(&d.callback_id, at, callback_fields!(d))
                    .connected_at
                    .get_or_insert(at);
            }
            E::CallbackClosed(d) => {
                let callback = self.callback(&d.callback_id, at, callback_fields!(d));
                callback.closed.get_or_insert((at, d.outcome));
            }
            E::AlertChanged(d) => self.alert(&d.alert_id, AlertStep::Changed(at, d)),
            E::AlertAcknowledged(d) => self.alert(&d.alert_id, AlertStep::Acknowledged(at, d)),
            E::AgentSessionStarted(d) => self.agent(&d.agent_id, at, event),
            E::AgentSessionEnded(d) => self.agent(&d.agent_id, at, event),
            E::AgentStateChanged(d) => self.agent(&d.agent_id, at, event),
            E::AgentHeartbeat(d) => self.agent(&d.agent_id, at, event),
            _ => return false,
        }
        true
    }

    fn callback(
        &mut self,
        id: &'a Text,
        at: UtcMicros,
        fields: CallbackFields<'a>,
    ) -> &mut CallbackDraft<'a> {
        let draft = self.callbacks.get(id);
        draft.first_at.get_or_insert(at);
        draft.scheduled_for = fields.scheduled_for.or(draft.scheduled_for);
        let known = draft.fields.get_or_insert(fields);
        known.visit_id = known.visit_id.or(fields.visit_id);
        known.interaction_id = known.interaction_id.or(fields.interaction_id);
        draft
    }

    fn alert(&mut self, id: &'a Text, step: AlertStep<'a>) {
        self.alerts.get(id).steps.push(step);
    }

    fn agent(&mut self, id: &'a Text, at: UtcMicros, event: &'a Event) {
        self.agents.get(id).signs.push(AgentSign { at, event });
    }

    /// Gives the contacts what their sessions and cases say, and the visits their callbacks.
    fn settle(&mut self) {
        for callback in self.callbacks.iter() {
            let visit = callback.fields.and_then(|fields| fields.visit_id);
            if let Some(visit) = visit.filter(|id| self.visits.position(id).is_some()) {
                self.visits.get(visit).callback.get_or_insert(callback.id);
            }
        }
        for session in self.sessions.iter() {
            let Some(started) = session.started else {
                continue;
            };
            let Some(id) = &started.data.interaction_id else {
                continue;
            };
            let contact = self.interactions.get(id);
            let ended = |as_| session.ends.iter().any(|e| e.data.outcome == as_);
            contact.self_service = true;
            contact.ss_completed |= ended(SelfServiceOutcome::Completed);
            contact.ss_escalated |= ended(SelfServiceOutcome::Escalated);
            contact.ivr |= started.data.kind == SelfServiceKind::Ivr;
        }
        for &(interaction, case, escalated) in &self.named_cases {
            if self.interactions.position(interaction).is_some() {
                let contact = self.interactions.get(interaction);
                contact.escalated |= escalated;
                contact.case_id.get_or_insert(case);
            }
        }
    }
}

impl<'a> VisitDraft<'a> {
    fn offer(&mut self, id: &'a Text, agent_id: &'a Text) -> &mut OfferDraft<'a> {
        let at = self
            .offers
            .iter()
            .rposition(|o| o.id == id)
            .unwrap_or_else(|| {
                self.offers.push(OfferDraft {
                    id,
                    agent_id,
                    started: None,
                    ended: None,
                });
                self.offers.len() - 1
            });
        &mut self.offers[at]
    }
}

impl<'a> CaseDraft<'a> {
    fn add_contact(&mut self, interaction: &'a Text) {
        if !self.contacts.contains(&interaction) {
            self.contacts.push(interaction);
        }
    }

    fn tell(
        &mut self,
        status: &'a Option<Text>,
        promise_at: Option<UtcMicros>,
        merged_into: &Option<Text>,
    ) {
        self.status = status.as_ref().or(self.status);
        self.promise_at = promise_at.or(self.promise_at);
        self.merged |= merged_into.is_some();
    }
}

impl<'a> SurveyDraft<'a> {
    fn add(&mut self, fields: SurveyFields<'a>) {
        let known = self.fields.get_or_insert(fields);
        known.interaction_id = known.interaction_id.or(fields.interaction_id);
        known.leg_id = known.leg_id.or(fields.leg_id);
        known.case_id = known.case_id.or(fields.case_id);
        known.agent_id = known.agent_id.or(fields.agent_id);
    }
}
