//! The centre as it is built: queues, reasons, who works where and when. Plain tables; what
//! happens in it stands in [`crate::world`].

use events::{Channel, Purpose};

/// A queue and how its customers and contacts behave.
pub(crate) struct QueueSpec {
    pub(crate) id: &'static str,
    pub(crate) channel: Channel,
    pub(crate) purpose: Purpose,
    /// Share among the new calls; chat and mail have their own streams, `tech` only transfers.
    pub(crate) weight: u64,
    /// Mean of talking (handling a mail, chatting).
    pub(crate) talk_ms: i64,
    /// Mean of after-call work; 0 for none.
    pub(crate) acw_ms: i64,
    /// Mean time until a customer gives up.
    pub(crate) patience_ms: i64,
    /// A queue with a priority is served before the others.
    pub(crate) priority: Option<i64>,
    /// Where visits go that wait too long, and how long that is.
    pub(crate) overflow: Option<(u8, i64)>,
    /// Where a blind transfer from here goes.
    pub(crate) transfer_to: u8,
    /// Local opening hours in minutes after midnight.
    pub(crate) open: (i64, i64),
    /// Is it open at night when there are night shifts?
    pub(crate) nights: bool,
    pub(crate) reasons: &'static [u8],
}

pub(crate) const BILLING: u8 = 0;
pub(crate) const SUPPORT: u8 = 1;
pub(crate) const SALES: u8 = 2;
pub(crate) const VIP: u8 = 3;
pub(crate) const TECH: u8 = 4;
pub(crate) const CHAT: u8 = 5;
pub(crate) const MAIL: u8 = 6;

const DAY: (i64, i64) = (8 * 60, 20 * 60);

/// All queues; an index into this table stands for a queue everywhere in the simulator.
pub(crate) const QUEUES: [QueueSpec; 7] = [
    QueueSpec {
        overflow: Some((SUPPORT, 90_000)),
        ..voice("billing", 320, 210_000, 45_000, &[0, 1, 2, 3])
    },
    QueueSpec {
        nights: true,
        ..voice("support", 410, 270_000, 60_000, &[4, 5, 6, 7])
    },
    QueueSpec {
        purpose: Purpose::Sales,
        patience_ms: 150_000,
        transfer_to: BILLING,
        ..voice("sales", 190, 300_000, 50_000, &[8, 9, 10])
    },
    QueueSpec {
        priority: Some(1),
        overflow: Some((SUPPORT, 60_000)),
        nights: true,
        ..voice("vip", 80, 260_000, 60_000, &[0, 4, 11])
    },
    QueueSpec {
        patience_ms: 360_000,
        transfer_to: BILLING,
        ..voice("tech", 0, 420_000, 90_000, &[6, 7])
    },
    QueueSpec {
        channel: Channel::Chat,
        patience_ms: 150_000,
        ..voice("chat", 0, 420_000, 20_000, &[0, 5, 12, 13])
    },
    QueueSpec {
        channel: Channel::Email,
        open: (8 * 60, 16 * 60),
        ..voice("mail", 0, 260_000, 0, &[2, 12, 13, 11])
    },
];

const fn voice(
    id: &'static str,
    weight: u64,
    talk_ms: i64,
    acw_ms: i64,
    reasons: &'static [u8],
) -> QueueSpec {
    QueueSpec {
        id,
        channel: Channel::Voice,
        purpose: Purpose::Service,
        weight,
        talk_ms,
        acw_ms,
        patience_ms: 240_000,
        priority: None,
        overflow: None,
        transfer_to: TECH,
        open: DAY,
        nights: false,
        reasons,
    }
}

/// The reason that makes a case a complaint.
pub(crate) const COMPLAINT: u8 = 11;

/// Reason codes; an index into this table stands for a reason.
pub(crate) const REASONS: [&str; 14] = [
    "bill_unclear",
    "payment_failed",
    "refund_status",
    "address_change",
    "order_status",
    "manual_unclear",
    "defect",
    "install_help",
    "buy_new",
    "upgrade",
    "price_question",
    "complaint",
    "delivery_late",
    "return_request",
];

/// Who can take what: the queues of a group of agents, most important first.
pub(crate) const GROUPS: [&[u8]; 7] = [
    &[VIP, BILLING, SUPPORT, SALES, TECH],
    &[VIP, SUPPORT, BILLING],
    &[TECH, SUPPORT],
    &[SALES, BILLING],
    &[VIP, SALES],
    &[CHAT],
    &[MAIL],
];

/// Groups of ten call agents of a large centre, in turn; in a small one all can do everything.
const LARGE_CENTRE: [u8; 10] = [0, 1, 1, 2, 3, 0, 1, 2, 4, 3];
const LARGE_CENTRE_MIN: u32 = 24;
/// From so many call agents on there are night shifts.
const NIGHTS_MIN: u32 = 40;

/// A shift in local minutes after midnight; past 24 h it ends on the next day.
pub(crate) type Shift = (i64, i64);
const EARLY: Shift = (8 * 60, 16 * 60 + 30);
const MIDDLE: Shift = (9 * 60 + 30, 18 * 60);
const LATE: Shift = (11 * 60 + 30, 20 * 60);
const EVENING: Shift = (19 * 60 + 30, 26 * 60);
const NIGHT: Shift = (25 * 60 + 45, 32 * 60 + 15);

/// What does not change about an agent.
#[derive(Clone, Copy, Debug)]
pub(crate) struct AgentSpec {
    /// Index into [`GROUPS`].
    pub(crate) group: u8,
    /// Contacts at a time.
    pub(crate) slots: u8,
    pub(crate) shift: Shift,
    /// Free days of the week, Monday is 0; `None` for those who cannot be spared.
    pub(crate) free: Option<[usize; 2]>,
    pub(crate) team: u32,
    pub(crate) site: &'static str,
}

/// The staff: mostly for calls, some for chat, a few for mail.
pub(crate) fn staff(agents: u32) -> Vec<AgentSpec> {
    let written = |percent: u32| {
        if agents < 5 {
            0
        } else {
            (agents * percent / 100).max(1)
        }
    };
    let (chat, mail) = (written(14), written(7));
    let calls = agents - chat - mail;
    let agent = |i: u32, group: u8, slots: u8, shift: Shift, few: bool| AgentSpec {
        group,
        slots,
        shift,
        free: if few { None } else { Some(free_days(i)) },
        team: i / 12 + 1,
        site: if i % 3 == 2 { "chengdu" } else { "shanghai" },
    };
    let call_agent = |i: u32| {
        let large = calls >= LARGE_CENTRE_MIN;
        let group = if large {
            LARGE_CENTRE[i as usize % 10]
        } else {
            0
        };
        match (calls >= NIGHTS_MIN, i % 20) {
            (true, 18) => agent(i, 1, 1, EVENING, true),
            (true, 19) => agent(i, 1, 1, NIGHT, true),
            _ => agent(
                i,
                group,
                1,
                [EARLY, LATE, EARLY, LATE, MIDDLE][i as usize % 5],
                calls < 6,
            ),
        }
    };
    let chat_agent = |i: u32| {
        agent(
            calls + i,
            5,
            3,
            if i.is_multiple_of(2) { EARLY } else { LATE },
            chat < 4,
        )
    };
    let mail_agent = |i: u32| agent(calls + chat + i, 6, 1, EARLY, mail < 4);
    (0..calls)
        .map(call_agent)
        .chain((0..chat).map(chat_agent))
        .chain((0..mail).map(mail_agent))
        .collect()
}

/// Half of the staff is free at the weekend, the others on two days in a row.
fn free_days(i: u32) -> [usize; 2] {
    let first = if i.is_multiple_of(2) {
        5
    } else {
        (i as usize / 2) % 7
    };
    [first, (first + 1) % 7]
}

/// Is a large part of the centre open at night?
pub(crate) fn has_nights(staff: &[AgentSpec]) -> bool {
    staff.iter().any(|a| a.shift == NIGHT)
}
