//! What the simulation tells the ledger: its own knowledge of a contact, at the moment that it
//! becomes true. Times are milliseconds since 1970 UTC; numbers identify records.

use events::{CostPool, CostPurpose, Instrument, LeaveReason, VisitKind};

/// One thing that became true.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Note {
    /// `root`: the first contact of the chain, if this one is a call back.
    ContactStarted {
        contact: u32,
        root: Option<u32>,
        at: i64,
        customer: Option<u32>,
        test: bool,
    },
    ContactIdentified {
        contact: u32,
        customer: u32,
    },
    ContactClassified {
        contact: u32,
        reason: u8,
        not_resolvable_first: bool,
    },
    ContactResolved {
        contact: u32,
        resolved: Option<bool>,
    },
    /// A leg, by its number, handed the contact on.
    Transferred {
        contact: u32,
        leg: u32,
        blind: bool,
        /// Out of the centre.
        outside: bool,
    },
    ContactEnded {
        contact: u32,
        at: i64,
    },
    VisitEntered {
        visit: u32,
        contact: u32,
        queue: u8,
        kind: VisitKind,
        at: i64,
    },
    VisitLeft {
        visit: u32,
        at: i64,
        reason: LeaveReason,
    },
    /// The customer fell silent when the agent came.
    VisitSilent {
        visit: u32,
    },
    LegConnected {
        leg: u32,
        contact: u32,
        queue: Option<u8>,
        role: LegRole,
        dial_ms: i64,
    },
    /// The consulted agent took over.
    LegTakesOver {
        leg: u32,
    },
    /// Disconnected; `done` unless after-call work follows.
    LegDisconnected {
        leg: u32,
        at: i64,
        talk_ms: i64,
        hold_ms: i64,
        done: bool,
    },
    LegWrappedUp {
        leg: u32,
        at: i64,
        acw_ms: i64,
    },
    SurveyAnswered {
        contact: u32,
        queue: Option<u8>,
        instrument: Instrument,
        score: i64,
        at: i64,
    },
    /// An evaluator judged a leg, and whether it solved the matter.
    Evaluated {
        contact: u32,
        queue: Option<u8>,
        at: i64,
        solved: bool,
    },
    OrderPlaced {
        order: u32,
        at: i64,
        queue: Option<u8>,
        test: bool,
    },
    OrderVerified {
        order: u32,
        passed: bool,
    },
    OrderCancelled {
        order: u32,
    },
    OrderShipped {
        order: u32,
    },
    OrderRefused {
        order: u32,
    },
    OrderReturned {
        order: u32,
    },
    /// A case was opened, because of a contact or not.
    CaseOpened {
        case: u32,
        by_contact: bool,
    },
    /// One more contact is about it.
    CaseContact {
        case: u32,
    },
    /// An agent answered the customer.
    CaseReplied {
        case: u32,
    },
    CaseSolved {
        case: u32,
        at: i64,
    },
    /// By one more contact, or in writing.
    CaseReopened {
        case: u32,
        by_contact: bool,
    },
    /// It is a part of another one from now on.
    CaseMerged {
        case: u32,
    },
    CaseClosed {
        case: u32,
        at: i64,
    },
    EmployeeAnswered {
        instrument: Instrument,
        score: i64,
        at: i64,
    },
    /// A cost line for one local day; the amount in hundredths of the currency.
    CostPosted {
        day: (i64, i64),
        pool: CostPool,
        purpose: CostPurpose,
        cents: i64,
    },
}

/// What an agent is to the contact.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum LegRole {
    /// Speaks with the customer.
    #[default]
    Primary,
    /// Is asked, or joins.
    Helper,
    /// Only listens: nothing about it counts.
    Listener,
}
