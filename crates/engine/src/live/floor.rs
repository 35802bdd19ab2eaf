//! The floor as it is: who waits, which agent does what, which callbacks are open.
//!
//! Everything is read from fact rows, and kept up with the rows that commits change. Nothing is
//! counted up or down: a figure is taken from the rows that are open, so it is right after a
//! correction, over midnight and after a restart.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use arrow::array::RecordBatch;

use super::day::{MINUTE, minute_of};
use super::rows::Rows;

/// Identity of a fact row.
pub(super) type Key = Arc<[u8]>;
type Id = Arc<str>;

/// Tables that the floor is read from, and which of their rows a new board needs: `{start}` is the
/// start of the window.
pub(super) const TABLES: [(&str, &str); 4] = [
    ("queue_visits", "waiting OR left_at >= {start}"),
    (
        "legs",
        "completed_at IS NULL OR connected_at >= {start} OR completed_at >= {start}",
    ),
    ("agent_states", "ended_at IS NULL"),
    ("callbacks", "connected_at IS NULL AND outcome IS NULL"),
];

/// Minutes that the history of waiting shows.
pub(super) const MARKS: usize = 30;

/// A stay in a queue that lasts, or ended not long ago.
#[derive(Clone, Debug)]
pub(super) struct Stay {
    pub queue: Id,
    pub channel: Id,
    pub entered: i64,
    pub left: Option<i64>,
    waiting: bool,
}

/// An agent's connection that is open, or of today.
#[derive(Clone, Debug)]
pub(super) struct Leg {
    agent: Id,
    pub queue: Option<Id>,
    pub channel: Id,
    pub interaction: Id,
    team: Option<Id>,
    connected: i64,
    disconnected: Option<i64>,
    completed: Option<i64>,
    /// Counts as a contact handled, once it is completed.
    handled: bool,
}

/// A state or session that lasts.
#[derive(Clone, Debug)]
struct Span {
    agent: Id,
    session: bool,
    state: Id,
    reason: Option<Id>,
    team: Option<Id>,
    since: i64,
}

/// A callback or voicemail that nobody has answered.
#[derive(Clone, Debug)]
pub(super) struct Callback {
    pub queue: Id,
    pub requested: i64,
    pub promised: Option<i64>,
}

/// What is known of one agent.
#[derive(Debug, Default)]
struct Desk {
    /// Connections that are not completed.
    open: BTreeSet<Key>,
    /// Connections by their begin.
    begun: BTreeSet<(i64, Key)>,
    /// Handled contacts by their completion.
    handled: BTreeSet<(i64, Key)>,
    spans: BTreeSet<Key>,
}

impl Desk {
    fn is_empty(&self) -> bool {
        self.open.is_empty() && self.begun.is_empty() && self.spans.is_empty()
    }
}

/// An agent who is there.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Agent {
    /// `available`, `contact`, `acw`, `break` or `other`.
    pub state: &'static str,
    pub reason: Option<Id>,
    pub since: i64,
    pub team: Option<Id>,
    /// Queue of the present contact.
    pub queue: Option<Id>,
    /// Queue of the last contact of the day.
    pub last_queue: Option<Id>,
    /// Contacts of the day that were handled.
    pub contacts: usize,
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Floor {
    stays: HashMap<Key, Stay>,
    legs: HashMap<Key, Leg>,
    spans: HashMap<Key, Span>,
    callbacks: HashMap<Key, Callback>,
    desks: BTreeMap<Id, Desk>,
    /// No row that ended before is kept.
    start: i64,
}

impl Floor {
    /// An empty floor for the time from `start` on, in UTC microseconds.
    pub fn new(start: i64) -> Self {
        Floor {
            start,
            ..Floor::default()
        }
    }

    /// Forgets what ended before `start`; stays already before `stays_from`.
    pub fn forget(&mut self, start: i64, stays_from: i64) {
        let ended = |left: Option<i64>| left.is_some_and(|at| at < stays_from);
        self.stays.retain(|_, stay| !ended(stay.left));
        if start <= self.start {
            return;
        }
        self.start = start;
        let old = self.legs.iter().filter(|(_, leg)| !leg.is_of(start));
        let old: Vec<Key> = old.map(|(key, _)| Arc::clone(key)).collect();
        for key in old {
            self.remove_leg(&key);
        }
    }

    /// The row of that identity is gone.
    pub fn remove(&mut self, table: &str, key: &[u8]) {
        match table {
            "queue_visits" => {
                self.stays.remove(key);
            }
            "legs" => self.remove_leg(key),
            "agent_states" => {
                if let Some(span) = self.spans.remove(key) {
                    self.at_desk(&span.agent, |desk| {
                        desk.spans.remove(key);
                    });
                }
            }
            "callbacks" => {
                self.callbacks.remove(key);
            }
            _ => {}
        }
    }

    /// A row of the table, which is no test.
    pub fn add(&mut self, table: &str, key: Vec<u8>, batch: &RecordBatch, row: usize) {
        let (key, rows): (Key, _) = (key.into(), Rows(batch));
        self.remove(table, &key);
        match table {
            "queue_visits" => {
                let stay = Stay::read(&rows, row).filter(|stay| stay.is_of(self.start));
                self.stays.extend(stay.map(|stay| (key, stay)));
            }
            "legs" => {
                if let Some(leg) = Leg::read(&rows, row).filter(|leg| leg.is_of(self.start)) {
                    self.add_leg(key, leg);
                }
            }
            "agent_states" => {
                if let Some(span) = Span::read(&rows, row) {
                    self.at_desk(&span.agent, |desk| {
                        desk.spans.insert(Arc::clone(&key));
                    });
                    self.spans.insert(key, span);
                }
            }
            "callbacks" => {
                let open = Callback::read(&rows, row);
                self.callbacks.extend(open.map(|open| (key, open)));
            }
            _ => {}
        }
    }

    fn add_leg(&mut self, key: Key, leg: Leg) {
        self.at_desk(&leg.agent, |desk| {
            if leg.completed.is_none() {
                desk.open.insert(Arc::clone(&key));
            }
            desk.begun.insert((leg.connected, Arc::clone(&key)));
            if let (true, Some(at)) = (leg.handled, leg.completed) {
                desk.handled.insert((at, Arc::clone(&key)));
            }
        });
        self.legs.insert(key, leg);
    }

    fn remove_leg(&mut self, key: &[u8]) {
        let Some((key, leg)) = self.legs.remove_entry(key) else {
            return;
        };
        self.at_desk(&leg.agent, |desk| {
            desk.open.remove(&key);
            desk.begun.remove(&(leg.connected, Arc::clone(&key)));
            if let Some(at) = leg.completed {
                desk.handled.remove(&(at, Arc::clone(&key)));
            }
        });
    }

    fn at_desk(&mut self, agent: &Id, change: impl FnOnce(&mut Desk)) {
        let desk = self.desks.entry(Arc::clone(agent)).or_default();
        change(desk);
        if desk.is_empty() {
            self.desks.remove(agent);
        }
    }

    /// Those who wait for an agent.
    pub fn waiting(&self) -> impl Iterator<Item = &Stay> {
        self.stays.values().filter(|stay| stay.waiting)
    }

    /// Open connections with a customer.
    pub fn talking(&self) -> impl Iterator<Item = &Leg> {
        let open = self.desks.values().flat_map(|desk| &desk.open);
        let legs = open.filter_map(|key| self.legs.get(key));
        legs.filter(|leg| leg.disconnected.is_none())
    }

    /// Open callbacks.
    pub fn callbacks(&self) -> impl Iterator<Item = &Callback> {
        self.callbacks.values()
    }

    /// How many waited at the end of each of the last minutes, the oldest first: in all, and in
    /// each queue where somebody did.
    pub fn waited(&self, now: i64) -> (Vec<u32>, BTreeMap<Id, Vec<u32>>) {
        let last = minute_of(now);
        let marks: Vec<i64> = (0..MARKS as i64).rev().map(|i| last - i * MINUTE).collect();
        let mut all = vec![0; MARKS];
        let mut queues: BTreeMap<Id, Vec<u32>> = BTreeMap::new();
        for stay in self.stays.values() {
            let from = marks.partition_point(|mark| *mark < stay.entered);
            let to = marks.partition_point(|mark| stay.left.is_none_or(|left| *mark < left));
            if from >= to {
                continue;
            }
            let queue = queues.entry(Arc::clone(&stay.queue));
            let queue = queue.or_insert_with(|| vec![0; MARKS]);
            for counts in [&mut all, queue] {
                counts[from..to].iter_mut().for_each(|count| *count += 1);
            }
        }
        (all, queues)
    }

    /// The agents who are there, by id. A contact is of today from `day` to `day_end` on.
    pub fn agents(&self, day: i64, day_end: i64) -> BTreeMap<Id, Agent> {
        let agents = self.desks.iter();
        let there = agents.filter_map(|(id, desk)| Some((id, desk, self.state(desk)?)));
        let whole = there.map(|(id, desk, mut agent)| {
            let empty: Key = Arc::from([]);
            let today = || (day, Arc::clone(&empty))..(day_end, Arc::clone(&empty));
            agent.contacts = desk.handled.range(today()).count();
            let begun = desk.begun.range(today()).rev();
            let mut queues = begun.filter_map(|(_, key)| self.legs.get(key)?.queue.clone());
            agent.last_queue = queues.next();
            (Arc::clone(id), agent)
        });
        whole.collect()
    }

    /// A contact goes before after-call work, that before the status, that before the session.
    fn state(&self, desk: &Desk) -> Option<Agent> {
        let legs = || desk.open.iter().filter_map(|key| self.legs.get(key));
        let talk = legs().filter(|leg| leg.disconnected.is_none());
        let talk = talk.min_by_key(|leg| leg.connected);
        let wrap = legs().filter_map(|leg| Some((leg.disconnected?, leg)));
        let wrap = wrap.min_by_key(|(since, _)| *since);
        let spans = || desk.spans.iter().filter_map(|key| self.spans.get(key));
        let status = spans().filter(|span| !span.session);
        let status = status.max_by_key(|span| span.since);
        let session = spans().filter(|span| span.session).max_by_key(|s| s.since);
        let of_leg = |state, since, leg: &Leg| Agent {
            state,
            reason: None,
            since,
            team: leg.team.clone(),
            queue: leg.queue.clone(),
            last_queue: None,
            contacts: 0,
        };
        if let Some(leg) = talk {
            return Some(of_leg("contact", leg.connected, leg));
        }
        if let Some((since, leg)) = wrap {
            return Some(of_leg("acw", since, leg));
        }
        let span = status.or(session)?;
        Some(Agent {
            state: span.word(),
            reason: span.reason.clone(),
            since: span.since,
            team: span.team.clone(),
            queue: None,
            last_queue: None,
            contacts: 0,
        })
    }
}

impl Stay {
    /// A visit that waits or waited for an agent: not one that was sent away at the door, nor a
    /// colleague who was looked for.
    fn read(rows: &Rows<'_>, row: usize) -> Option<Self> {
        let waits = !rows.flag("blocked", row) && rows.str("visit_kind", row) != Some("internal");
        let waiting = rows.flag("waiting", row);
        let left = rows.time("left_at", row);
        (waits && (waiting || left.is_some())).then_some(())?;
        Some(Stay {
            queue: rows.text("queue_id", row)?,
            channel: rows.text("channel", row)?,
            entered: rows.time("entered_at", row)?,
            left,
            waiting,
        })
    }

    fn is_of(&self, start: i64) -> bool {
        self.waiting || self.left.is_some_and(|left| left >= start)
    }
}

impl Leg {
    /// A connection of an agent who does not only listen.
    fn read(rows: &Rows<'_>, row: usize) -> Option<Self> {
        let listens = matches!(rows.str("role", row), Some("monitor" | "barge"));
        (!listens).then_some(())?;
        Some(Leg {
            agent: rows.text("agent_id", row)?,
            queue: rows.text("queue_id", row),
            channel: rows.text("channel", row)?,
            interaction: rows.text("interaction_id", row)?,
            team: rows.text("team_id", row),
            connected: rows.time("connected_at", row)?,
            disconnected: rows.time("disconnected_at", row),
            completed: rows.time("completed_at", row),
            handled: rows.flag("handled", row),
        })
    }

    fn is_of(&self, start: i64) -> bool {
        self.connected >= start || self.completed.is_none_or(|at| at >= start)
    }
}

impl Span {
    /// A state or session that lasts.
    fn read(rows: &Rows<'_>, row: usize) -> Option<Self> {
        rows.time("ended_at", row).is_none().then_some(())?;
        Some(Span {
            agent: rows.text("agent_id", row)?,
            session: rows.str("timeline", row) == Some("session"),
            state: rows.text("state", row)?,
            reason: rows.text("reason", row),
            team: rows.text("team_id", row),
            since: rows.time("started_at", row)?,
        })
    }

    fn word(&self) -> &'static str {
        match &*self.state {
            "available" => "available",
            "break" | "meal" => "break",
            _ => "other",
        }
    }
}

impl Callback {
    fn read(rows: &Rows<'_>, row: usize) -> Option<Self> {
        let answered =
            rows.time("connected_at", row).is_some() || rows.str("outcome", row).is_some();
        (!answered).then_some(())?;
        Some(Callback {
            queue: rows.text("queue_id", row)?,
            requested: rows.time("requested_at", row)?,
            promised: rows.time("scheduled_for", row),
        })
    }
}
