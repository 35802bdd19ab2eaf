//! What the events say about each thing, before any conclusion is drawn.

use events::*;

use super::by_id::Draft;

/// Something said at a moment.
#[derive(Debug)]
pub(crate) struct Said<'a, T> {
    pub at: UtcMicros,
    pub event: &'a Event,
    pub data: &'a T,
}

impl<T> Clone for Said<'_, T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Said<'_, T> {}

/// A draft: its id, when it was first named, and the fields given.
macro_rules! draft {
    ($(#[doc = $doc:literal])+ $name:ident {
        $($(#[doc = $field_doc:literal])* $field:ident : $ty:ty),* $(,)?
    }) => {
        $(#[doc = $doc])+
        #[derive(Debug)]
        pub(crate) struct $name<'a> {
            pub id: &'a Text,
            $($(#[doc = $field_doc])* pub $field: $ty),*
        }

        impl<'a> Draft<'a> for $name<'a> {
            fn new(id: &'a Text) -> Self {
                $name { id, $($field: Default::default()),* }
            }
            fn id(&self) -> &'a Text {
                self.id
            }
        }
    };
}

draft! {
    /// A contact.
    InteractionDraft {
        first_at: Option<UtcMicros>,
        started: Option<Said<'a, InteractionStarted>>,
        identified: Option<&'a Text>,
        classified: Vec<&'a InteractionClassified>,
        ends: Vec<Said<'a, InteractionEnded>>,
        messages: Vec<Message<'a>>,
        /// Entries into queues and connections of legs.
        activity: Vec<UtcMicros>,
        outbound: bool, self_service: bool, ss_completed: bool, ss_escalated: bool, ivr: bool,
        escalated: bool, case_id: Option<&'a Text>,
    }
}

draft! {
    /// A stay in a queue.
    VisitDraft {
        first_at: Option<UtcMicros>,
        entered: Option<Said<'a, QueueEntered>>,
        estimate: Option<&'a EstimateAnnounced>,
        offers: Vec<OfferDraft<'a>>,
        lefts: Vec<Said<'a, QueueLeft>>,
        /// The first leg that names it.
        leg: Option<Said<'a, LegConnected>>,
        callback: Option<&'a Text>,
    }
}

draft! {
    /// An agent's connection.
    LegDraft {
        first_at: Option<UtcMicros>,
        connected: Option<Said<'a, LegConnected>>,
        roles: Vec<(UtcMicros, Role)>,
        disconnects: Vec<Said<'a, LegDisconnected>>,
        /// Start (`true`) or end of a hold.
        holds: Vec<(UtcMicros, bool)>,
        acw_starts: Vec<UtcMicros>,
        acw_ends: Vec<Said<'a, AcwEnded>>,
        transfers: Vec<Said<'a, TransferCompleted>>,
        disposition: Option<&'a DispositionSet>,
        silence_ms: Option<i64>, sentiment_milli: Option<i64>,
    }
}

draft! {
    /// A callback or voicemail.
    CallbackDraft {
        first_at: Option<UtcMicros>,
        requested_at: Option<UtcMicros>,
        fields: Option<CallbackFields<'a>>,
        scheduled_for: Option<UtcMicros>,
        attempts: Vec<UtcMicros>,
        connected_at: Option<UtcMicros>,
        closed: Option<(UtcMicros, CallbackOutcome)>,
    }
}

draft! {
    /// A survey.
    SurveyDraft {
        sent: Option<UtcMicros>,
        answers: Vec<Said<'a, SurveyAnswered>>,
        fields: Option<SurveyFields<'a>>,
    }
}

draft! {
    /// An order.
    OrderDraft {
        first_at: Option<UtcMicros>,
        placed: Option<Said<'a, OrderPlaced>>,
        verified: Option<Said<'a, OrderVerified>>,
        steps: Vec<OrderStep<'a>>,
        notified: bool,
    }
}

draft! {
    /// A case.
    CaseDraft {
        first_at: Option<UtcMicros>,
        opened: Option<Said<'a, CaseOpened>>,
        steps: Vec<(UtcMicros, CaseStep)>,
        /// Interactions about it, each once.
        contacts: Vec<&'a Text>,
        /// Public messages of agents.
        replies: Vec<UtcMicros>,
        /// The last one said.
        status: Option<&'a Text>,
        promise_at: Option<UtcMicros>,
        merged: bool, escalated: bool,
    }
}

draft! {
    /// An evaluation.
    EvaluationDraft { completed: Vec<Said<'a, EvaluationCompleted>>, voided: bool }
}

draft! {
    /// A menu, bot or web session.
    SessionDraft {
        first_at: Option<UtcMicros>,
        started: Option<Said<'a, SelfServiceStarted>>,
        steps: Vec<&'a SelfServiceStep>,
        ends: Vec<Said<'a, SelfServiceEnded>>,
    }
}

draft! {
    /// The sessions and states of an agent.
    AgentDraft { signs: Vec<AgentSign<'a>> }
}

draft! {
    /// A cost line.
    CostDraft { posted: Vec<Said<'a, CostPosted>> }
}

draft! {
    /// An alert.
    AlertDraft { steps: Vec<AlertStep<'a>> }
}

/// One step of an alert.
#[derive(Clone, Copy, Debug)]
pub(crate) enum AlertStep<'a> {
    Changed(UtcMicros, &'a AlertChanged),
    Acknowledged(UtcMicros, &'a AlertAcknowledged),
}

/// One message of a contact.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Message<'a> {
    pub at: UtcMicros,
    pub data: &'a MessageSent,
}

/// One ring at one agent.
#[derive(Clone, Copy, Debug)]
pub(crate) struct OfferDraft<'a> {
    pub id: &'a Text,
    pub agent_id: &'a Text,
    pub started: Option<UtcMicros>,
    pub ended: Option<(UtcMicros, OfferOutcome)>,
}

impl OfferDraft<'_> {
    /// Did the agent let it ring in vain?
    pub fn is_missed(&self) -> bool {
        let outcome = self.ended.map(|(_, outcome)| outcome);
        matches!(
            outcome,
            Some(OfferOutcome::Rejected | OfferOutcome::NoAnswer)
        )
    }
}

/// The fields that all callback events share.
#[derive(Clone, Copy, Debug)]
pub(crate) struct CallbackFields<'a> {
    pub kind: CallbackKind,
    pub visit_id: Option<&'a Text>,
    pub interaction_id: Option<&'a Text>,
    pub queue_id: &'a Text,
    pub scheduled_for: Option<UtcMicros>,
}

/// The fields that all survey events share.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SurveyFields<'a> {
    pub instrument: Instrument,
    pub interaction_id: Option<&'a Text>,
    pub leg_id: Option<&'a Text>,
    pub case_id: Option<&'a Text>,
    pub agent_id: Option<&'a Text>,
}

/// One step of a case after it was opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CaseStep {
    Solved,
    Reopened,
    Closed,
}

/// One step of an order after it was placed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct OrderStep<'a> {
    pub at: UtcMicros,
    pub kind: StepKind,
    /// `None`: the whole order.
    pub line_ids: Option<&'a [Text]>,
    pub value: Option<&'a Money>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum StepKind {
    Cancelled,
    Shipped,
    Delivered,
    Refused,
    Returned,
    Exchanged,
    Refunded,
}

/// One event of an agent's own.
#[derive(Clone, Copy, Debug)]
pub(crate) struct AgentSign<'a> {
    pub at: UtcMicros,
    pub event: &'a Event,
}
