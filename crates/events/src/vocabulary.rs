//! The whole vocabulary: one entry per event type. Everything else (the decoder, the JSON Schema,
//! `docs/events.md`, the order of events inside an entity) is derived from this table.

use crate::{Decimal, Text, UtcMicros, lists::*, macros::vocabulary};

vocabulary! {
    // ---- interactions -------------------------------------------------------------------------
    /// A customer contact begins, whatever its channel.
    InteractionStarted = "interaction.started", rank 0 {
        interaction_id: Text, root_id: Option<Text>, parent_id: Option<Text>,
        thread_id: Option<Text>, customer_id: Option<Text>, identity: Option<Text>,
        channel: Channel, direction: Direction, purpose: Option<Purpose>,
        entry_point: Option<Text>, language: Option<Text>, is_test: Option<bool>,
    }
    /// The customer behind a contact becomes known.
    InteractionIdentified = "interaction.identified", rank 1 {
        interaction_id: Text, customer_id: Text,
    }
    /// A reason or another judgement about the whole contact.
    InteractionClassified = "interaction.classified", rank 80 {
        interaction_id: Text, reason_code: Text, by: Classifier, purpose: Option<Purpose>,
        order_id: Option<Text>, case_id: Option<Text>, complaint: Option<bool>,
        cancel_intent: Option<bool>, not_resolvable_first: Option<bool>,
        duplicate: Option<bool>, spam: Option<bool>,
    }
    /// The contact is over for the customer.
    InteractionEnded = "interaction.ended", rank 99 {
        interaction_id: Text, ended_by: EndedBy, end_reason: Option<Text>,
    }

    // ---- self-service -------------------------------------------------------------------------
    /// A menu, bot, FAQ or web session begins.
    SelfServiceStarted = "selfservice.started", rank 0 {
        session_id: Text, interaction_id: Option<Text>, customer_id: Option<Text>,
        kind: SelfServiceKind,
    }
    /// One step in a self-service session.
    SelfServiceStep = "selfservice.step", rank 10 {
        session_id: Text, intent: Option<Text>, question: Option<bool>, answered: Option<bool>,
        vote: Option<Vote>,
    }
    /// A self-service session ends.
    SelfServiceEnded = "selfservice.ended", rank 90 {
        session_id: Text, outcome: SelfServiceOutcome, context_passed: Option<bool>,
    }

    // ---- queues and offers --------------------------------------------------------------------
    /// A contact enters a queue: one visit.
    QueueEntered = "queue.entered", rank 2 {
        visit_id: Text, interaction_id: Text, queue_id: Text, visit_kind: VisitKind,
        priority: Option<i64>, required_skills: Option<Vec<Text>>, via: Option<Via>,
    }
    /// The customer was told an expected wait.
    EstimateAnnounced = "estimate.announced", rank 5 {
        visit_id: Text, ewt_ms: i64, position: Option<i64>, method: Text,
    }
    /// An agent's phone or screen begins to ring for a visit.
    OfferStarted = "offer.started", rank 10 {
        offer_id: Text, visit_id: Text, agent_id: Text,
    }
    /// The ring is over.
    OfferEnded = "offer.ended", rank 11 {
        offer_id: Text, visit_id: Text, agent_id: Text, outcome: OfferOutcome,
    }
    /// A visit is over, one way or another. `wait_known` false: the source says how it ended but
    /// not when, so the visit has no wait (not a wait of zero).
    QueueLeft = "queue.left", rank 20 {
        visit_id: Text, reason: LeaveReason, agent_id: Option<Text>, leg_id: Option<Text>,
        to_queue_id: Option<Text>, wait_known: Option<bool>,
    }

    // ---- legs ---------------------------------------------------------------------------------
    /// One agent is connected to one contact.
    LegConnected = "leg.connected", rank 30 {
        leg_id: Text, interaction_id: Text, agent_id: Text, visit_id: Option<Text>, role: Role,
        initiation: Initiation, dial_ms: Option<i64>,
    }
    /// A leg changes its role, as when a consult becomes a transfer.
    LegRoleChanged = "leg.role_changed", rank 45 { leg_id: Text, role: Role, }
    /// The agent is no longer connected.
    LegDisconnected = "leg.disconnected", rank 60 {
        leg_id: Text, talk_ms: Option<i64>, hold_ms: Option<i64>,
    }
    /// The customer is put on hold.
    HoldStarted = "hold.started", rank 40 { leg_id: Text, }
    /// The customer is taken off hold.
    HoldEnded = "hold.ended", rank 41 { leg_id: Text, }
    /// After-call work begins.
    AcwStarted = "acw.started", rank 70 { leg_id: Text, }
    /// After-call work ends.
    AcwEnded = "acw.ended", rank 71 { leg_id: Text, acw_ms: Option<i64>, }
    /// A transfer begins.
    TransferInitiated = "transfer.initiated", rank 50 {
        transfer_id: Text, from_leg_id: Text, kind: TransferKind, to_kind: TransferTarget,
        to_id: Text, to_leg_id: Option<Text>, reason: Option<TransferReason>,
    }
    /// A transfer took place.
    TransferCompleted = "transfer.completed", rank 51 {
        transfer_id: Text, from_leg_id: Text, kind: TransferKind, to_kind: TransferTarget,
        to_id: Text, to_leg_id: Option<Text>, reason: Option<TransferReason>,
    }
    /// A message in a chat, mail or other written contact.
    MessageSent = "message.sent", rank 35 {
        message_id: Text, interaction_id: Option<Text>, case_id: Option<Text>, actor: Actor,
        actor_id: Option<Text>, public: bool,
    }
    /// The agent's wrap-up codes.
    DispositionSet = "disposition.set", rank 75 {
        leg_id: Text, codes: Vec<Text>, resolved: Option<bool>,
    }
    /// Speech or text analysis of a leg.
    AnalysisScored = "analysis.scored", rank 76 {
        leg_id: Text, sentiment_milli: Option<i64>, silence_ms: Option<i64>, scorer: Text,
    }

    // ---- callbacks ----------------------------------------------------------------------------
    /// The customer asks to be called back, or leaves a voicemail. A visit named here that overflowed to
    /// no named queue was left for the callback.
    CallbackRequested = "callback.requested", rank 21 {
        callback_id: Text, kind: CallbackKind, visit_id: Option<Text>,
        interaction_id: Option<Text>, queue_id: Text, scheduled_for: Option<UtcMicros>,
    }
    /// A time for the callback is agreed.
    CallbackScheduled = "callback.scheduled", rank 22 {
        callback_id: Text, kind: CallbackKind, visit_id: Option<Text>,
        interaction_id: Option<Text>, queue_id: Text, scheduled_for: Option<UtcMicros>,
    }
    /// An attempt to reach the customer.
    CallbackAttempted = "callback.attempted", rank 23 {
        callback_id: Text, kind: CallbackKind, visit_id: Option<Text>,
        interaction_id: Option<Text>, queue_id: Text, scheduled_for: Option<UtcMicros>,
    }
    /// The customer is reached.
    CallbackConnected = "callback.connected", rank 31 {
        callback_id: Text, kind: CallbackKind, visit_id: Option<Text>,
        interaction_id: Option<Text>, queue_id: Text, scheduled_for: Option<UtcMicros>,
    }
    /// The callback is settled.
    CallbackClosed = "callback.closed", rank 95 {
        callback_id: Text, kind: CallbackKind, visit_id: Option<Text>,
        interaction_id: Option<Text>, queue_id: Text, scheduled_for: Option<UtcMicros>,
        outcome: CallbackOutcome,
    }

    // ---- agents -------------------------------------------------------------------------------
    /// An agent logs in.
    AgentSessionStarted = "agent.session_started", rank 0 { session_id: Text, agent_id: Text, }
    /// An agent logs out.
    AgentSessionEnded = "agent.session_ended", rank 99 { session_id: Text, agent_id: Text, }
    /// An agent's status changes.
    AgentStateChanged = "agent.state_changed", rank 10 {
        agent_id: Text, state: AgentState, reason: Option<Text>, routable: bool,
        productive: Option<bool>, paid: Option<bool>,
    }
    /// A sign of life with the current state.
    AgentHeartbeat = "agent.heartbeat", rank 12 {
        agent_id: Text, state: AgentState, contacts: Option<Vec<Text>>,
    }
    /// How many contacts per channel an agent can take.
    AgentCapacityChanged = "agent.capacity_changed", rank 5 {
        agent_id: Text, slots: Slots,
    }
    /// Team, site, skills of an agent from a moment on.
    AgentProfileChanged = "agent.profile_changed", rank 1 {
        agent_id: Text, effective_from: UtcMicros, team_id: Option<Text>, site_id: Option<Text>,
        supervisor_id: Option<Text>, skills: Option<Vec<Text>>,
        skills_required: Option<Vec<Text>>, fte: Option<Decimal>,
    }
    /// An agent joins the company; `effective_on` is the first day with it.
    AgentHired = "agent.hired", rank 0 {
        agent_id: Text, effective_on: Date, voluntary: Option<bool>,
    }
    /// An agent leaves the company; `effective_on` is the last day with it.
    AgentLeft = "agent.left", rank 99 {
        agent_id: Text, effective_on: Date, voluntary: Option<bool>,
    }
    /// One planned activity of an agent. At each moment the highest version holds that says
    /// something about it; where it says nothing, lower ones go on holding. A version that is to
    /// take time away names the stretch in which it is the whole plan, with `covers_start` and a
    /// later `covers_end`, both or neither: lower versions do not count there. To take away
    /// everything, send an activity without length.
    SchedulePublished = "schedule.published", rank 0 {
        agent_id: Text, version: i64, activity: Text, start: UtcMicros, end: UtcMicros,
        on_queue: bool, productive: bool, paid: bool, tracked: bool,
        covers_start: Option<UtcMicros>, covers_end: Option<UtcMicros>,
    }
    /// An agent is away.
    AbsenceRecorded = "absence.recorded", rank 1 {
        agent_id: Text, start: UtcMicros, end: UtcMicros, kind: AbsenceKind,
    }

    // ---- surveys and evaluations --------------------------------------------------------------
    /// A survey goes out.
    SurveySent = "survey.sent", rank 0 {
        survey_id: Text, instrument: Instrument, interaction_id: Option<Text>,
        leg_id: Option<Text>, case_id: Option<Text>, agent_id: Option<Text>,
    }
    /// A survey comes back.
    SurveyAnswered = "survey.answered", rank 90 {
        survey_id: Text, instrument: Instrument, interaction_id: Option<Text>,
        leg_id: Option<Text>, case_id: Option<Text>, agent_id: Option<Text>, score: i64,
    }
    /// A quality evaluation is final.
    EvaluationCompleted = "evaluation.completed", rank 90 {
        evaluation_id: Text, leg_id: Text, form_id: Text, form_version: i64, evaluator_id: Text,
        stratum: Option<Text>, sample_weight: Option<Decimal>, resolved_judged: Option<bool>,
        items: Vec<EvaluationItem>,
    }
    /// A quality evaluation is withdrawn.
    EvaluationVoided = "evaluation.voided", rank 95 { evaluation_id: Text, leg_id: Option<Text>, }

    // ---- cases --------------------------------------------------------------------------------
    /// A case is opened.
    CaseOpened = "case.opened", rank 0 {
        case_id: Text, customer_id: Option<Text>, interaction_id: Option<Text>,
        channel: Option<Channel>, reason_code: Option<Text>, issue_id: Option<Text>,
        complaint: Option<bool>, promise_at: Option<UtcMicros>, status: Option<Text>,
        merged_into: Option<Text>,
    }
    /// A case changes its status. One whose last status is `solved`, `closed` or `deleted` is not open.
    CaseStatusChanged = "case.status_changed", rank 10 {
        case_id: Text, interaction_id: Option<Text>, status: Option<Text>,
        merged_into: Option<Text>, promise_at: Option<UtcMicros>,
    }
    /// A case is escalated.
    CaseEscalated = "case.escalated", rank 11 { case_id: Text, interaction_id: Option<Text>, }
    /// A case is solved.
    CaseSolved = "case.solved", rank 20 { case_id: Text, interaction_id: Option<Text>, }
    /// A solved case is opened again.
    CaseReopened = "case.reopened", rank 21 { case_id: Text, interaction_id: Option<Text>, }
    /// A case is closed for good.
    CaseClosed = "case.closed", rank 99 { case_id: Text, interaction_id: Option<Text>, }

    // ---- orders -------------------------------------------------------------------------------
    /// An order is placed.
    OrderPlaced = "order.placed", rank 0 {
        order_id: Text, customer_id: Text, interaction_id: Option<Text>, leg_id: Option<Text>,
        agent_id: Option<Text>, channel: Option<Channel>, lines: Vec<OrderLine>,
        kind: OrderKind, site_id: Option<Text>, campaign: Option<Text>,
        upsell_offered: Option<bool>, cross_sell_offered: Option<bool>,
        promise_at: Option<UtcMicros>, notify_eligible: Option<bool>, holdout: Option<bool>,
        is_test: Option<bool>,
    }
    /// The checks on an order are done.
    OrderVerified = "order.verified", rank 10 { order_id: Text, result: VerifyResult, }
    /// An order is cancelled.
    OrderCancelled = "order.cancelled", rank 20 {
        order_id: Text, line_ids: Option<Vec<Text>>, reason: Option<Text>, value: Option<Money>,
    }
    /// An order leaves the house.
    OrderShipped = "order.shipped", rank 30 {
        order_id: Text, line_ids: Option<Vec<Text>>, reason: Option<Text>, value: Option<Money>,
    }
    /// An order reaches the customer.
    OrderDelivered = "order.delivered", rank 40 {
        order_id: Text, line_ids: Option<Vec<Text>>, reason: Option<Text>, value: Option<Money>,
    }
    /// An order is refused at the door.
    OrderRefused = "order.refused", rank 41 {
        order_id: Text, line_ids: Option<Vec<Text>>, reason: Option<Text>, value: Option<Money>,
    }
    /// An order, or some of its lines, comes back.
    OrderReturned = "order.returned", rank 50 {
        order_id: Text, line_ids: Option<Vec<Text>>, reason: Option<Text>, value: Option<Money>,
    }
    /// An order, or some of its lines, is exchanged.
    OrderExchanged = "order.exchanged", rank 51 {
        order_id: Text, line_ids: Option<Vec<Text>>, reason: Option<Text>, value: Option<Money>,
    }
    /// Money goes back to the customer.
    OrderRefunded = "order.refunded", rank 60 {
        order_id: Text, line_ids: Option<Vec<Text>>, reason: Option<Text>, value: Option<Money>,
    }
    /// A notice goes to a customer.
    NotificationSent = "notification.sent", rank 0 {
        order_id: Option<Text>, case_id: Option<Text>, kind: Text, proactive: bool,
    }
    /// A customer joins, leaves or changes value.
    CustomerChanged = "customer.changed", rank 0 {
        customer_id: Text, effective_from: UtcMicros, status: CustomerStatus,
        segment: Option<Text>, recurring_value: Option<Money>,
    }

    // ---- money, plans, reference --------------------------------------------------------------
    /// A cost line for a period.
    CostPosted = "cost.posted", rank 0 {
        cost_id: Text, pool: CostPool, purpose: CostPurpose, period_start: UtcMicros,
        period_end: UtcMicros, zone: Text, amount: Money, site_id: Option<Text>,
        queue_id: Option<Text>, channel: Option<Channel>, campaign: Option<Text>,
        allocate_by: AllocateBy,
    }
    /// A volume forecast for one quarter of an hour; `slice_at` is its start, at :00, :15, :30 or :45.
    /// KPIs compare what came with the highest version that was published by then.
    ForecastPublished = "forecast.published", rank 0 {
        queue_id: Text, channel: Channel, version: i64, slice_at: UtcMicros, offered: i64,
        aht_ms: i64, required_agents: Option<Decimal>,
    }
    /// A target changes.
    TargetSet = "target.set", rank 0 { key: Text, value: Text, effective_from: UtcMicros, }
    /// Thresholds, reason maps, calendars, rates change.
    ReferenceChanged = "reference.changed", rank 0 {
        key: Text, value: Text, effective_from: UtcMicros, restate: Option<bool>,
    }
    // ---- alerts -------------------------------------------------------------------------------
    /// A rule about a figure finds another state. One `alert_id` goes from the first warning until
    /// all is well again; `scope` and `figure` are those of a cell of the live board.
    AlertChanged = "alert.changed", rank 10 {
        alert_id: Text, rule_id: Text, figure: Text, scope: Text, queue_id: Option<Text>,
        state: AlertState, value: Option<Decimal>, peak: Option<Decimal>, n: Option<i64>,
        rearmed: Option<bool>,
    }
    /// Somebody has seen an alert.
    AlertAcknowledged = "alert.acknowledged", rank 20 {
        alert_id: Text, acknowledged_by: Text, note: Option<Text>,
    }

    // ---- sources ------------------------------------------------------------------------------
    /// A source says it has sent everything up to a moment.
    SourceWatermark = "source.watermark", rank 0 {
        complete_until: UtcMicros, history_start: Option<UtcMicros>,
    }
}
