//! Closed lists and small composite values of the vocabulary.

use std::collections::BTreeMap;

use crate::{
    Decimal, Text,
    macros::{closed_list, object},
};

closed_list! { /** How a contact reaches us. */ Channel {
    Voice "voice", Chat "chat", Message "message", Email "email", Sms "sms", Social "social",
    Video "video", Fax "fax", Web "web", Store "store", Task "task",
} }
closed_list! { /** Who began the contact. */ Direction {
    Inbound "inbound", Outbound "outbound", Internal "internal",
} }
closed_list! { /** What the contact is for. */ Purpose {
    Service "service", Sales "sales", Retention "retention", Winback "winback",
    Collection "collection", Other "other",
} }
closed_list! { /** Who chose a reason code. */ Classifier {
    Ivr "ivr", Agent "agent", Model "model", Import "import",
} }
closed_list! { /** Who ended a contact. */ EndedBy {
    Customer "customer", Agent "agent", System "system", ThirdParty "third_party",
    Telecom "telecom",
} }
closed_list! { /** Kinds of self-service. */ SelfServiceKind {
    Ivr "ivr", Bot "bot", Faq "faq", Web "web", App "app",
} }
closed_list! { /** How a self-service session ended. */ SelfServiceOutcome {
    Completed "completed", Failed "failed", Escalated "escalated", Abandoned "abandoned",
} }
closed_list! { /** A vote on an answer. */ Vote { Helpful "helpful", NotHelpful "not_helpful", } }
closed_list! { /** Who waits in the visit. */ VisitKind {
    Customer "customer", Callback "callback", Internal "internal",
} }
closed_list! { /** How a visit came about. */ Via {
    Ivr "ivr", Transfer "transfer", Overflow "overflow", Direct "direct", Api "api",
} }
closed_list! { /** How a ring ended. */ OfferOutcome {
    Accepted "accepted", Rejected "rejected", NoAnswer "no_answer", Rescinded "rescinded",
    CallerGone "caller_gone",
} }
closed_list! {
    /** Why a visit ended: answered, abandoned, the flow-outs, or blocked at the door. */
    LeaveReason {
        Answered "answered", Abandoned "abandoned", Callback "callback", Voicemail "voicemail",
        Overflow "overflow", Timeout "timeout", LeaveEmpty "leave_empty", KeyExit "key_exit",
        Moved "moved", Error "error", Full "full", Closed "closed", JoinEmpty "join_empty",
    }
}
closed_list! { /** What an agent is to a contact. */ Role {
    Primary "primary", Consult "consult", Conference "conference", Monitor "monitor",
    Barge "barge",
} }
closed_list! { /** How a leg began. */ Initiation {
    Queue "queue", Direct "direct", TransferBlind "transfer_blind",
    TransferConsult "transfer_consult", Outbound "outbound", Callback "callback", Api "api",
} }
closed_list! { /** Kinds of transfer. */ TransferKind { Blind "blind", Consult "consult", } }
closed_list! { /** Where a transfer goes. */ TransferTarget {
    Queue "queue", Agent "agent", External "external",
} }
closed_list! { /** Why a contact was transferred. */ TransferReason {
    Misroute "misroute", Skill "skill", Escalation "escalation", Business "business",
    Other "other",
} }
closed_list! { /** Who wrote a message. */ Actor {
    Customer "customer", Agent "agent", Bot "bot", System "system",
} }
closed_list! { /** A voicemail is a callback with a recording. */ CallbackKind {
    Callback "callback", Voicemail "voicemail",
} }
closed_list! { /** How a callback was settled. */ CallbackOutcome {
    Done "done", Expired "expired", Cancelled "cancelled", Failed "failed",
} }
closed_list! { /** Status of an agent. */ AgentState {
    Available "available", Break "break", Meal "meal", Training "training", Meeting "meeting",
    Outbound "outbound", Admin "admin", Offline "offline", Error "error", Other "other",
} }
closed_list! { /** Kinds of absence. */ AbsenceKind {
    Approved "approved", Unapproved "unapproved", Sick "sick", Late "late",
} }
closed_list! { /** Survey instruments, each with its own scale. */ Instrument {
    Csat5 "csat5", Csat2 "csat2", Nps "nps", Ces7 "ces7", Ces5 "ces5", Enps "enps",
    Esat5 "esat5", ResolvedYn "resolved_yn",
} }
closed_list! { /** Whom a critical error hurts. */ Critical {
    None "none", Customer "customer", Business "business", Compliance "compliance",
} }
closed_list! { /** Kinds of order. */ OrderKind {
    New "new", Repeat "repeat", Upsell "upsell", CrossSell "cross_sell", Renewal "renewal",
} }
closed_list! { /** Result of order verification. */ VerifyResult {
    Passed "passed", Failed "failed", Duplicate "duplicate", Fraud "fraud",
    Unreachable "unreachable", Unpaid "unpaid",
} }
closed_list! { /** Is the customer with us? */ CustomerStatus { Active "active", Ended "ended", } }
closed_list! { /** What money is spent on. */ CostPool {
    Labour "labour", Telecom "telecom", Licence "licence", Facility "facility",
    Management "management", Media "media", Other "other",
} }
closed_list! { /** What money is spent for. */ CostPurpose {
    Service "service", Sales "sales", Retention "retention", Acquisition "acquisition",
    Shared "shared",
} }
closed_list! { /** How a shared cost line is split. */ AllocateBy {
    None "none", ShareMs "share_ms", Contacts "contacts", StaffedMs "staffed_ms",
} }
closed_list! {
    /** What a rule says about a figure: `unknown` when nobody can tell. */
    AlertState { Ok "ok", Warn "warn", Critical "critical", Unknown "unknown", }
}
closed_list! { /** What a correction does to its target. */ CorrectionOp {
    Replace "replace", Retract "retract",
} }

/// Slots per channel.
pub type Slots = BTreeMap<Channel, i64>;

/// A calendar day as `YYYY-MM-DD`, counted in days since 1970-01-01.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Date(pub i32);

object! {
    /// An amount with its currency (ISO 4217 code).
    Money {
        /// Decimal text with up to four places, as `"54000.00"`.
        amount: Decimal,
        /// ISO 4217 code: three capital letters, as `CNY`.
        currency: Text,
    }
}

object! {
    /// One line of an order.
    OrderLine {
        /// Unique within the order.
        line_id: Text,
        /// Article number.
        sku: Text,
        /// Number of units.
        units: i64,
        /// Value of the whole line.
        value: Money,
    }
}

object! {
    /// One item of a quality evaluation.
    EvaluationItem {
        /// Unique within the form.
        item_id: Text,
        /// Whom an error here hurts; `none` for a non-critical item.
        critical: Critical,
        /// Did the item apply to this contact?
        applicable: bool,
        /// Was there an error?
        error: bool,
        /// Points given.
        points: i64,
        /// Points possible.
        max_points: i64,
        /// Weight of the item.
        weight: i64,
        /// Does an error here fail the whole evaluation?
        auto_fail: bool,
    }
}
