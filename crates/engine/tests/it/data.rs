//! One small contact centre, the same rows in every form: in memory, in Parquet, or half each.

use std::sync::Arc;

use engine::{Engine, Settings, model_specs};
use events::{Decimal, Text, UtcMicros};
use facts::{
    Agent, AgentTime, Alert, CalendarHours, Callback, Case, Common, Cost, Customer, FactEdit,
    FactRows, Interaction, Leg, Order, QueueVisit, ScheduleTime, Survey,
};
use kpi::Catalogue;
use store::{Commit, Mode, Store};
use tempfile::TempDir;

/// Where the rows lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// All in memory.
    Memory,
    /// All in Parquet.
    Parquet,
    /// The first half in Parquet, the second in memory.
    Mixed,
}

impl Form {
    /// Every form.
    pub const ALL: [Form; 3] = [Form::Memory, Form::Parquet, Form::Mixed];
}

/// Midnight UTC of Monday, 5 January 2026: day 0 of everything below.
pub const DAY_0: UtcMicros = UtcMicros(1_767_571_200_000_000);

/// Milliseconds of a day.
pub const DAY_MS: i64 = 86_400_000;

/// An engine over the rows, and the folder that must live as long.
pub struct World {
    /// The engine.
    pub engine: Arc<Engine>,
    /// Its store.
    pub store: Arc<Store>,
    _folder: Option<TempDir>,
}

/// Opens the world in one form.
pub fn world(form: Form) -> World {
    world_with(form, settings())
}

/// Horizon on day 30, history from day -60.
pub fn settings() -> Settings {
    Settings {
        horizon: Some(DAY_0.plus_ms(30 * DAY_MS)),
        history_start: Some(DAY_0.plus_ms(-60 * DAY_MS)),
        as_of: Some(DAY_0.plus_ms(30 * DAY_MS)),
        ..Settings::default()
    }
}

/// The shipped definitions.
pub fn catalogue() -> Arc<Catalogue> {
    let models = model_specs().expect("the models plan");
    match Catalogue::builtin(&models) {
        Ok(catalogue) => Arc::new(catalogue),
        Err(problems) => {
            let text: Vec<String> = problems.iter().map(ToString::to_string).collect();
            panic!("{}", text.join("\n"))
        }
    }
}

/// Opens the world in one form with other settings.
pub fn world_with(form: Form, settings: Settings) -> World {
    let (store, folder) = match form {
        Form::Memory => (Store::in_memory(), None),
        Form::Parquet | Form::Mixed => {
            let folder = tempfile::tempdir().expect("a temporary folder");
            (
                Store::create_or_open(folder.path()).expect("a new store"),
                Some(folder),
            )
        }
    };
    let (first, second) = halves(rows());
    let first_mode = if form == Form::Memory {
        Mode::Memory
    } else {
        Mode::Durable
    };
    let second_mode = if form == Form::Parquet {
        Mode::Durable
    } else {
        Mode::Memory
    };
    commit(&store, first, first_mode);
    commit(&store, second, second_mode);
    let store = Arc::new(store);
    let engine = Engine::new(Arc::clone(&store), catalogue(), settings).expect("an engine");
    World {
        engine: Arc::new(engine),
        store,
        _folder: folder,
    }
}

/// Adds rows in one commit.
pub fn commit(store: &Store, added: FactRows, mode: Mode) {
    let edit = FactEdit {
        added,
        ..FactEdit::default()
    };
    let commit = Commit {
        edit: &edit,
        quarantine: &[],
        checkpoint: Some(&[]),
        arrived_seq: None,
        mode,
        recorded_at: DAY_0,
    };
    store.commit(commit).expect("rows that fit");
}

fn halves(rows: FactRows) -> (FactRows, FactRows) {
    fn split<R: Clone>(rows: &[R]) -> (Vec<R>, Vec<R>) {
        let (first, second) = rows.split_at(rows.len() / 2);
        (first.to_vec(), second.to_vec())
    }
    let (mut first, mut second) = (FactRows::default(), FactRows::default());
    (first.QueueVisit, second.QueueVisit) = split(&rows.QueueVisit);
    (first.Leg, second.Leg) = split(&rows.Leg);
    (first.Interaction, second.Interaction) = split(&rows.Interaction);
    (first.Survey, second.Survey) = split(&rows.Survey);
    (first.Order, second.Order) = split(&rows.Order);
    (first.Cost, second.Cost) = split(&rows.Cost);
    (first.AgentTime, second.AgentTime) = split(&rows.AgentTime);
    (first.ScheduleTime, second.ScheduleTime) = split(&rows.ScheduleTime);
    (first.Customer, second.Customer) = split(&rows.Customer);
    (first.Agent, second.Agent) = split(&rows.Agent);
    (first.Alert, second.Alert) = split(&rows.Alert);
    (first.Case, second.Case) = split(&rows.Case);
    (first.Callback, second.Callback) = split(&rows.Callback);
    (first.CalendarHours, second.CalendarHours) = split(&rows.CalendarHours);
    (first, second)
}

fn rows() -> FactRows {
    FactRows {
        QueueVisit: (0..3_000).map(visit).collect(),
        Leg: (0..600).map(leg).collect(),
        Interaction: repeats().into_iter().chain(chain()).collect(),
        Survey: (0..100).map(survey).collect(),
        Order: (0..40).map(order).collect(),
        Cost: (0..20).map(cost).collect(),
        AgentTime: agent_time(),
        ScheduleTime: schedule_time(),
        Customer: customers(),
        Agent: agents(),
        Alert: (0..12).map(alert).collect(),
        Case: cases(),
        Callback: callbacks(),
        CalendarHours: calendars(),
        ..FactRows::default()
    }
}

fn common(is_test: bool) -> Common {
    Common {
        tenant_id: "default".into(),
        source: "test".into(),
        is_test,
        ..Common::default()
    }
}

fn id(prefix: &str, number: i64) -> Text {
    format!("{prefix}{number:05}").into()
}

const QUEUES: [&str; 3] = ["sales", "support", "billing"];
const CHANNELS: [&str; 3] = ["voice", "chat", "email"];

/// A visit every four minutes for a good eight days. Waits are not whole seconds.
pub fn visit(i: i64) -> QueueVisit {
    let entered_at = DAY_0.plus_ms(i * 240_000);
    let wait_ms = (i * 37 % 90) * 1_000 + i % 7;
    let waiting = i >= 2_995;
    let blocked = !waiting && i % 23 == 5;
    let abandoned = !waiting && !blocked && i % 11 == 0;
    let flowed_out = !waiting && !blocked && !abandoned && i % 17 == 3;
    let answered = !(waiting || blocked || abandoned || flowed_out);
    let outcome = match (waiting, blocked, abandoned, flowed_out) {
        (true, ..) => "waiting",
        (_, true, ..) => "full",
        (_, _, true, _) => "abandoned",
        (.., true) => "callback",
        _ => "answered",
    };
    let wait_ms = if blocked { 0 } else { wait_ms };
    let known = (!waiting).then_some(wait_ms);
    let agent = answered.then(|| id("a", i % 5));
    QueueVisit {
        common: common(i % 29 == 0),
        visit_id: id("v", i),
        interaction_id: id("c", i),
        root_id: id("c", i),
        visit_no: 1,
        visit_kind: if i % 31 == 7 { "internal" } else { "customer" }.into(),
        channel: CHANNELS[(i / 5 % 3) as usize].into(),
        direction: "inbound".into(),
        queue_id: QUEUES[(i * i % 7 % 3) as usize].into(),
        site_id: (i % 2 == 0).then(|| "north".into()),
        entered_at,
        left_at: known.map(|wait| entered_at.plus_ms(wait)),
        outcome: outcome.into(),
        waiting,
        answered,
        abandoned,
        flowed_out,
        blocked,
        wait_ms: known,
        wait_up_s: known.map(|w| (w + 999) / 1_000),
        wait_down_s: known.map(|w| w / 1_000),
        leg_id: answered.then(|| id("l", i)),
        agent_id: agent,
        ..QueueVisit::default()
    }
}

/// Legs of 0 to 400 s; every 50th is still open.
fn leg(i: i64) -> Leg {
    let connected_at = DAY_0.plus_ms(i * 1_200_000);
    let (talk_ms, hold_ms, acw_ms) = (i * 13 % 400 * 1_000, i % 4 * 5_000, i % 3 * 10_000);
    let handle_ms = talk_ms + hold_ms + acw_ms;
    Leg {
        common: common(i % 37 == 0),
        leg_id: id("l", i),
        interaction_id: id("c", i),
        root_id: id("c", i),
        leg_no: 1,
        agent_id: id("a", i % 5),
        team_id: Some(if i % 5 < 2 { "red" } else { "blue" }.into()),
        queue_id: Some(QUEUES[(i % 3) as usize].into()),
        channel: "voice".into(),
        direction: "inbound".into(),
        role: if i % 19 == 0 { "consult" } else { "primary" }.into(),
        initiation: "queue".into(),
        connected_at,
        completed_at: (i % 50 != 0).then(|| connected_at.plus_ms(handle_ms)),
        handled: i % 19 != 0,
        talk_ms,
        hold_ms,
        hold_count: i64::from(hold_ms > 0),
        acw_ms,
        handle_ms,
        ..Leg::default()
    }
}

fn interaction(number: i64, customer: &str, reason: &str, day: i64) -> Interaction {
    Interaction {
        common: common(false),
        interaction_id: id("x", number),
        root_id: id("x", number),
        customer_id: Some(customer.into()),
        channel: "voice".into(),
        direction: "inbound".into(),
        started_at: DAY_0.plus_ms(day * DAY_MS),
        ended_at: Some(DAY_0.plus_ms(day * DAY_MS + 300_000)),
        handled: true,
        agent_legs: 1,
        first_queue_id: Some(
            if reason == "bill" {
                "billing"
            } else {
                "shipping"
            }
            .into(),
        ),
        last_queue_id: Some(
            if reason == "bill" {
                "billing"
            } else {
                "shipping"
            }
            .into(),
        ),
        reason_code: Some(reason.into()),
        order_id: (reason == "ship").then(|| id("o", 2)),
        // Two complaints of A with a test between them, and a call of F with its callback.
        complaint: matches!(number, 1 | 2 | 11 | 12 | 14),
        ..Interaction::default()
    }
}

/// Example X3 of the catalogue.
fn repeats() -> Vec<Interaction> {
    let contacts = [
        ("A", "bill", 0),
        ("A", "bill", 3),
        ("B", "ship", 0),
        ("C", "ship", 0),
        ("C", "ship", 10),
        ("D", "bill", 1),
        ("D", "ship", 2),
        ("E", "bill", 28),
    ];
    let numbered = contacts.iter().zip(1..);
    numbered
        .map(|((customer, reason, day), n)| interaction(n, customer, reason, *day))
        .collect()
}

/// Customer C left on day 5, and was told to be gone once more on day 12.
fn customers() -> Vec<Customer> {
    let time = |(from, to, status): (i64, Option<i64>, &str)| Customer {
        common: common(false),
        customer_id: "C".into(),
        valid_from: DAY_0.plus_ms(from * DAY_MS),
        valid_to: to.map(|day| DAY_0.plus_ms(day * DAY_MS)),
        status: status.into(),
        ..Customer::default()
    };
    let times = [
        (-30, Some(5), "active"),
        (5, Some(12), "ended"),
        (12, None, "ended"),
    ];
    times
        .map(time)
        .into_iter()
        .chain(monthly_customers())
        .collect()
}

/// Customers by the month. `M1` pays 50 more from day 10 on; `M2` leaves at midnight of 1 January and
/// comes back on day 20; `M3` comes at that midnight; `M4` changes the currency; `A` of X3 has no value.
fn monthly_customers() -> Vec<Customer> {
    let rows = [
        ("M1", -40, Some(10), "active", Some(1_000_000), "EUR"),
        ("M1", 10, None, "active", Some(1_500_000), "EUR"),
        ("M2", -40, Some(-4), "active", Some(500_000), "EUR"),
        ("M2", -4, Some(20), "ended", Some(500_000), "EUR"),
        ("M2", 20, None, "active", Some(500_000), "EUR"),
        ("M3", -4, None, "active", Some(700_000), "EUR"),
        ("M4", -40, Some(5), "active", Some(900_000), "EUR"),
        ("M4", 5, None, "active", Some(900_000), "CNY"),
        ("A", -200, None, "active", None, ""),
    ];
    let row = |(who, from, to, status, value, currency): (
        &str,
        i64,
        Option<i64>,
        &str,
        Option<i128>,
        &str,
    )| {
        Customer {
            common: common(false),
            customer_id: who.into(),
            valid_from: DAY_0.plus_ms(from * DAY_MS),
            valid_to: to.map(|day| DAY_0.plus_ms(day * DAY_MS)),
            status: status.into(),
            segment: Some(if who == "M3" { "new" } else { "old" }.into()),
            recurring_value: value.map(Decimal),
            currency: value.map(|_| currency.into()),
        }
    };
    rows.map(row).into()
}

/// `a1` is hired on 6 January, moves on day 3 at noon and leaves with 15 January, and one of that name works
/// for somebody else; `a2` is told of long ago and never hired; `a3` is hired on 1 February and gone that
/// day; `a4` is a test. Hours after the begin of day 0.
fn agents() -> Vec<Agent> {
    let (hired, left) = (Some("2026-01-06"), Some("2026-01-15"));
    let day = Some("2026-02-01");
    let rows = [
        ("default", "a1", 24, Some(84), true, hired, left, "red"),
        ("default", "a1", 84, Some(264), true, hired, left, "blue"),
        ("default", "a1", 264, None, false, hired, left, "blue"),
        (
            "other",
            "a1",
            0,
            None,
            true,
            Some("2026-01-05"),
            None,
            "red",
        ),
        ("default", "a2", -4_800, None, true, None, None, "blue"),
        ("default", "a3", 648, Some(672), true, day, day, "red"),
        ("default", "a3", 672, None, false, day, day, "red"),
        ("test", "a4", 0, None, true, Some("2026-01-05"), None, "red"),
    ];
    let row = |(tenant, agent, from, to, employed, hired, left, team): Row<'static>| Agent {
        common: Common {
            tenant_id: tenant.into(),
            ..common(tenant == "test")
        },
        agent_id: agent.into(),
        valid_from: DAY_0.plus_ms(from * 3_600_000),
        valid_to: to.map(|hour| DAY_0.plus_ms(hour * 3_600_000)),
        employed,
        hired_on: hired.map(Into::into),
        left_on: left.map(Into::into),
        voluntary: (agent == "a1").then_some(true).filter(|_| left.is_some()),
        team_id: Some(team.into()),
        skills: vec!["billing".into(), "sales".into()],
        skills_required: match agent {
            "a1" => vec!["sales".into(), "tech".into(), "vip".into()],
            _ => Vec::new(),
        },
        ..Agent::default()
    };
    rows.map(row).into()
}

type Row<'r> = (
    &'r str,
    &'r str,
    i64,
    Option<i64>,
    bool,
    Option<&'r str>,
    Option<&'r str>,
    &'r str,
);

/// What must not disturb X3: a call with its callback, an attempt that nobody took, a test call,
/// a caller nobody knows, a call without a reason.
fn chain() -> Vec<Interaction> {
    let mut callback = interaction(12, "F", "ship", 21);
    (callback.root_id, callback.parent_id) = (id("x", 11), Some(id("x", 11)));
    callback.direction = "outbound".into();
    let mut attempt = interaction(13, "B", "ship", 4);
    (attempt.handled, attempt.abandoned, attempt.agent_legs) = (false, true, 0);
    attempt.reason_code = None;
    let mut test = interaction(14, "A", "bill", 1);
    test.common.is_test = true;
    let mut unknown = interaction(15, "", "bill", 1);
    unknown.customer_id = None;
    vec![
        interaction(11, "F", "ship", 20),
        callback,
        attempt,
        test,
        unknown,
    ]
}

fn survey(i: i64) -> Survey {
    let sent_at = DAY_0.plus_ms(i * 3_600_000);
    Survey {
        common: common(false),
        survey_id: id("s", i),
        instrument: if i % 2 == 0 { "csat5" } else { "nps" }.into(),
        sent_at,
        answered_at: (i % 10 != 9).then(|| sent_at.plus_ms(600_000)),
        contact_at: Some(sent_at),
        score: (i % 10 != 9).then_some(if i % 2 == 0 {
            i / 2 % 5 + 1
        } else {
            i / 2 % 11
        }),
        queue_id: Some(QUEUES[(i % 3) as usize].into()),
        channel: Some("voice".into()),
        ..Survey::default()
    }
}

fn order(i: i64) -> Order {
    Order {
        common: common(false),
        order_id: id("o", i),
        channel: Some("voice".into()),
        interaction_id: (i == 2).then(|| id("x", 13)),
        placed_at: DAY_0.plus_ms(i * DAY_MS / 2),
        verify_result: Some(if i % 10 == 9 { "failed" } else { "passed" }.into()),
        valid: i % 10 != 9,
        net_kept: i % 10 < 8,
        lines: 1,
        units: i % 3 + 1,
        value_gross: Decimal(i128::from(i) * 12_345 + 1),
        value_net: Decimal(i128::from(i) * 12_345 + 1),
        currency: Some("CNY".into()),
        kind: "new".into(),
        ..Order::default()
    }
}

fn cost(i: i64) -> Cost {
    Cost {
        common: common(false),
        cost_id: id("k", i),
        day: format!("2026-01-{:02}", i / 2 + 5).into(),
        day_at: DAY_0.plus_ms(i / 2 * DAY_MS),
        pool: if i % 2 == 0 { "labour" } else { "telecom" }.into(),
        purpose: if i % 4 < 2 { "sales" } else { "service" }.into(),
        channel: Some("voice".into()),
        amount: Decimal(10_000_000 + i128::from(i) * 333),
        currency: "CNY".into(),
        ..Cost::default()
    }
}

/// Example X5 of the catalogue, at 10:00 of day 0: an hour available with three slots and three
/// chats; then ten minutes of a break, four of them on a call, and a ring in vain. And three hours
/// before the horizon, two shifts that are running: `a` had a call and is on another, `b` had none;
/// both are planned, and so is `c`, who did not come.
fn agent_time() -> Vec<AgentTime> {
    let spans = [
        ("status", "", 0, 60),
        ("contact", "l00001", 0, 30),
        ("contact", "l00002", 10, 40),
        ("contact", "l00003", 20, 50),
        ("break", "", 60, 70),
        ("contact", "l00004", 62, 66),
        ("ring", "v/o", 68, 69),
    ];
    let cut = |&(what, span, from, to): &(&'static str, &'static str, i64, i64)| {
        let quarters = from / 15..(to + 14) / 15;
        quarters.map(move |quarter| piece(what, span, quarter, (from, to)))
    };
    spans.iter().flat_map(cut).chain(running()).collect()
}

/// Minutes after the begin of day 0 at which the running shifts began.
const RUNNING: i64 = 30 * 24 * 60 - 180;

fn running() -> impl Iterator<Item = AgentTime> {
    let of = |agent: &str, what, begun: bool, (from, to): (i64, i64)| {
        let since_ten = RUNNING - 600;
        let span = (since_ten + from, since_ten + to);
        let row = piece(what, "", span.0 / 15, span);
        let timeline = if begun {
            format!("open_{}", row.timeline)
        } else {
            row.timeline.to_string()
        };
        let to_ms = if begun { row.from_ms } else { row.to_ms };
        AgentTime {
            agent_id: agent.into(),
            timeline: timeline.into(),
            to_ms,
            ..row
        }
    };
    [
        of("a", "status", true, (0, 0)),
        of("a", "contact", false, (10, 15)),
        of("a", "contact", true, (165, 165)),
        of("b", "status", true, (0, 0)),
        // Left after a quarter of an hour, and the end of the contact was never told.
        of("d", "status", false, (0, 15)),
        of("d", "contact", true, (10, 10)),
    ]
    .into_iter()
}

/// From the begin of the running shifts to the horizon; the last quarter is training.
fn schedule_time() -> Vec<ScheduleTime> {
    let plan = |agent: &'static str, quarter: i64, on_queue: bool| ScheduleTime {
        common: common(false),
        agent_id: agent.into(),
        slice_at: DAY_0.plus_ms(RUNNING * 60_000 + quarter * 900_000),
        to_ms: 900_000,
        activity: if on_queue { "queue" } else { "training" }.into(),
        version: 1,
        on_queue,
        productive: true,
        paid: true,
        tracked: true,
        ..ScheduleTime::default()
    };
    let shift = |agent| (0..12).map(move |quarter| plan(agent, quarter, quarter < 11));
    ["a", "b", "c"].into_iter().flat_map(shift).collect()
}

fn piece(what: &str, span: &str, quarter: i64, (from, to): (i64, i64)) -> AgentTime {
    let state = match what {
        "status" => Some("available".into()),
        "break" => Some("break".into()),
        _ => None,
    };
    let timeline = if state.is_some() { "status" } else { what };
    AgentTime {
        common: common(false),
        agent_id: "x5".into(),
        timeline: timeline.into(),
        span_id: span.into(),
        slice_at: DAY_0.plus_ms(36_000_000 + quarter * 900_000),
        from_ms: (from - quarter * 15).max(0) * 60_000,
        to_ms: (to - quarter * 15).min(15) * 60_000,
        slots: (what == "status").then_some(3),
        offers: i64::from(what == "ring"),
        offers_missed: i64::from(what == "ring"),
        state,
        productive: what != "break",
        paid: true,
        ..AgentTime::default()
    }
}

/// Alerts of three queues, six hours apart; every third came to critical, the last is open.
/// Minutes after the begin of day 0.
fn minute(minutes: i64) -> UtcMicros {
    DAY_0.plus_ms(minutes * 60_000)
}

/// Cases that end and begin on the quarter of an hour, one of no length, one open, one open again, one
/// that is over since nobody knows when, one after the horizon, a test and one of another tenant.
fn cases() -> Vec<Case> {
    let day = 1_440;
    let case = |(id, opened, solved): (&str, i64, Option<i64>)| {
        let (opened_at, solved_at) = (minute(opened), solved.map(minute));
        let took = solved_at.map(|at| at.ms_since(opened_at));
        Case {
            common: common(false),
            case_id: id.into(),
            channel: Some("email".into()),
            opened_at,
            promise_at: minute(opened + 7 * day),
            first_solved_at: solved_at,
            solved_at,
            closed_at: solved_at,
            is_open: solved.is_none(),
            close_ms: took,
            first_solve_ms: took,
            full_solve_ms: took,
            ..Case::default()
        }
    };
    let mut all = [
        ("on the quarter", 7, Some(30)),
        ("within a quarter", 15, Some(20)),
        ("open", 10, None),
        ("over, nobody knows when", 10, None),
        ("test", 0, None),
        ("other tenant", 5, Some(2 * day)),
        ("no channel", 5 * day, Some(7 * day + 183)),
        ("no length", 60, Some(60)),
        ("after the horizon", 30 * day, None),
        ("open again", day, Some(2 * day)),
        ("over the weekend", 4 * day + 570, Some(7 * day + 90)),
    ]
    .map(case);
    all[3].is_open = false;
    all[4].common.is_test = true;
    all[5].common.tenant_id = "other".into();
    all[6].channel = None;
    all[9].is_open = true;
    all[9].full_solve_ms = None;
    all.into()
}

/// On the Friday of week 0: answered, closed without an answer, open, settled nobody knows when; and
/// voicemails of visits with a site and without one, returned on Monday.
fn callbacks() -> Vec<Callback> {
    let friday = 4 * 1_440;
    let callback = |(id, visit, asked, connected): (&str, i64, i64, Option<i64>)| {
        let (requested_at, connected_at) = (minute(friday + asked), connected.map(minute));
        Callback {
            common: common(false),
            callback_id: id.into(),
            kind: if id.starts_with('v') {
                "voicemail"
            } else {
                "callback"
            }
            .into(),
            visit_id: Some(self::id("v", visit)),
            queue_id: "sales".into(),
            channel: Some("voice".into()),
            requested_at,
            connected_at,
            closed_at: connected_at,
            outcome: connected.map(|_| "done".into()),
            wait_from_request_ms: connected_at.map(|at| at.ms_since(requested_at)),
            ..Callback::default()
        }
    };
    let monday = 7 * 1_440;
    let mut all = [
        ("c1", 0, 540, Some(friday + 580)),
        ("c2", 1, 545, None),
        ("c3", 2, 550, None),
        ("c4", 3, 555, None),
        ("v1", 2, 570, Some(monday + 90)),
        ("v2", 3, 570, Some(monday + 90)),
    ]
    .map(callback);
    (all[1].closed_at, all[1].outcome) = (Some(minute(friday + 590)), Some("failed".into()));
    all[3].outcome = Some("failed".into());
    all.into()
}

/// Shanghai's office hours from day 0 on, shorter ones from day 7 on; the site is open day and night.
fn calendars() -> Vec<CalendarHours> {
    let hours = |(calendar, (from, to), zone, hours): (&str, (i64, Option<i64>), &str, &str)| {
        CalendarHours {
            common: common(false),
            calendar: calendar.into(),
            valid_from: minute(from * 1_440),
            valid_to: to.map(|to| minute(to * 1_440)),
            zone: Some(zone.into()),
            hours: Some(hours.into()),
            ..CalendarHours::default()
        }
    };
    let office = "mon-fri 09:00-12:00, 13:00-18:00";
    let all = [
        ("default", (0, Some(7)), "Asia/Shanghai", office),
        ("default", (7, None), "Asia/Shanghai", "mon-fri 09:00-10:00"),
        ("north", (0, None), "UTC", "mon-sun 00:00-24:00"),
    ];
    all.map(hours).into()
}

fn alert(i: i64) -> Alert {
    let started_at = DAY_0.plus_ms(i * 21_600_000);
    let (warn_ms, critical_ms) = (60_000 * (i + 1), if i % 3 == 0 { 90_000 } else { 0 });
    let is_open = i == 11;
    let queue = QUEUES[(i % 3) as usize];
    let lasted_ms = if is_open { 0 } else { warn_ms + critical_ms };
    let changed_at = started_at.plus_ms(lasted_ms);
    Alert {
        common: common(false),
        alert_id: id("al", i),
        rule_id: "service_level_low".into(),
        figure: "service_level@30m".into(),
        scope: format!("q.{queue}").into(),
        queue_id: Some(queue.into()),
        level: if i % 3 == 0 { "critical" } else { "warn" }.into(),
        state: if is_open { "warn" } else { "ok" }.into(),
        started_at,
        ended_at: (!is_open).then_some(changed_at),
        changed_at,
        warn_ms: if is_open { 0 } else { warn_ms },
        critical_ms,
        value: Some(Decimal(7_500)),
        peak: Some(Decimal(7_500 - i128::from(i) * 100)),
        n: Some(40),
        ..Alert::default()
    }
}
