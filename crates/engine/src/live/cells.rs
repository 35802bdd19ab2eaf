//! From what is known at a moment to the cells of a frame.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use kpi::{Ahead, Ewt, Show, Unit, UnitKind};
use store::Version;

use super::floor::{Agent, Floor};
use super::frame::{Cell, CellKey, CellValue, Day, Scope};
use super::kpis::Numbers;
use super::lane::{CHANNEL, QUEUE};
use crate::KpiRow;

type Id = Arc<str>;

/// States of agents and the figures that count them.
const STATES: [(&str, &str); 5] = [
    ("available", "agents_available"),
    ("contact", "agents_contact"),
    ("acw", "agents_acw"),
    ("break", "agents_break"),
    ("other", "agents_other"),
];

/// What a frame is made of.
pub(super) struct Moment<'a> {
    pub now: i64,
    pub day: &'a Day,
    pub version: &'a Version,
    pub floor: &'a Floor,
    pub numbers: &'a Numbers,
    pub ewt: Ewt,
}

/// The cells so far.
#[derive(Default)]
pub(super) struct Cells(pub BTreeMap<CellKey, Cell>);

/// What is counted for one scope.
#[derive(Default)]
struct Tally<'a> {
    waiting: u32,
    oldest: Option<i64>,
    talking: BTreeSet<&'a str>,
    callbacks: u32,
    callbacks_oldest: Option<i64>,
    callbacks_overdue: u32,
    agents: [u32; STATES.len()],
}

impl Tally<'_> {
    fn agents_in(&self) -> u32 {
        self.agents.iter().sum()
    }

    /// Agents who can take contacts, and those of them who have none.
    fn serving(&self) -> (u32, u32) {
        let [available, contact, acw, ..] = self.agents;
        (available + contact + acw, available)
    }
}

impl Moment<'_> {
    /// All cells.
    pub fn cells(&self) -> BTreeMap<CellKey, Cell> {
        let mut cells = Cells::default();
        let agents = self.floor.agents(self.day.start.0, self.day.end.0);
        let tallies = self.tallies(&agents);
        for (scope, tally) in &tallies {
            self.state_cells(&mut cells, scope, tally);
        }
        self.waited_cells(&mut cells);
        for (id, agent) in &agents {
            agent_cells(&mut cells, id, agent);
        }
        let windows = [
            ("today", &self.numbers.today),
            ("30m", &self.numbers.recent),
        ];
        for (window, rows) in windows {
            for (row, scope) in rows.iter().filter_map(|row| Some((row, scope_of(row)?))) {
                cells.kpi(scope, &format!("{}@{window}", row.kpi), row);
            }
        }
        self.half_cells(&mut cells);
        for (scope, tally) in &tallies {
            if let Scope::Queue(_) = scope {
                self.ewt_cell(&mut cells, scope, tally);
            }
        }
        cells.0
    }

    /// Is there such a table with rows? A figure that nothing feeds is absent, not zero.
    fn has(&self, table: &str) -> bool {
        self.version.table(table).is_some_and(|t| t.rows() > 0)
    }

    fn tallies<'a>(&'a self, agents: &'a BTreeMap<Id, Agent>) -> BTreeMap<Scope, Tally<'a>> {
        let mut all: BTreeMap<Scope, Tally<'a>> = BTreeMap::new();
        all.entry(Scope::Total).or_default();
        let rows = self.numbers.today.iter().chain(&self.numbers.recent);
        for scope in rows.filter_map(scope_of) {
            all.entry(scope).or_default();
        }
        let queue = |id: &Id| Scope::Queue(Arc::clone(id));
        let channel = |id: &Id| Scope::Channel(Arc::clone(id));
        for stay in self.floor.waiting() {
            for scope in [Scope::Total, channel(&stay.channel), queue(&stay.queue)] {
                let tally = all.entry(scope).or_default();
                tally.waiting += 1;
                tally.oldest = earlier(tally.oldest, stay.entered);
            }
        }
        for leg in self.floor.talking() {
            let own = leg.queue.as_ref().map(queue);
            for scope in [Scope::Total, channel(&leg.channel)].into_iter().chain(own) {
                all.entry(scope)
                    .or_default()
                    .talking
                    .insert(&leg.interaction);
            }
        }
        for callback in self.floor.callbacks() {
            for scope in [Scope::Total, queue(&callback.queue)] {
                let tally = all.entry(scope).or_default();
                tally.callbacks += 1;
                tally.callbacks_oldest = earlier(tally.callbacks_oldest, callback.requested);
                let overdue = callback.promised.is_some_and(|at| at < self.now);
                tally.callbacks_overdue += u32::from(overdue);
            }
        }
        for agent in agents.values() {
            let own = agent.last_queue.as_ref().map(queue);
            let state = STATES.iter().position(|(state, _)| *state == agent.state);
            for scope in std::iter::once(Scope::Total).chain(own) {
                let tally = all.entry(scope).or_default();
                state.into_iter().for_each(|i| tally.agents[i] += 1);
            }
        }
        all
    }

    fn state_cells(&self, cells: &mut Cells, scope: &Scope, tally: &Tally<'_>) {
        cells.count(scope, "waiting", tally.waiting);
        cells.since(scope, "oldest", tally.oldest);
        cells.count(scope, "in_progress", tally.talking.len() as u32);
        if let Scope::Channel(_) = scope {
            return;
        }
        if self.has("callbacks") {
            cells.count(scope, "callbacks", tally.callbacks);
            cells.since(scope, "callbacks_oldest", tally.callbacks_oldest);
            cells.count(scope, "callbacks_overdue", tally.callbacks_overdue);
        }
        if self.has("agent_states") || self.has("legs") {
            for ((_, figure), count) in STATES.iter().zip(tally.agents) {
                cells.count(scope, figure, count);
            }
            cells.count(scope, "agents_in", tally.agents_in());
        }
    }

    /// The history of waiting: in all, and of every queue that is shown.
    fn waited_cells(&self, cells: &mut Cells) {
        let (all, queues) = self.floor.waited(self.now);
        let none = vec![0; all.len()];
        let scopes: Vec<Scope> = cells.0.keys().map(|key| key.scope.clone()).collect();
        for scope in scopes {
            let counts = match &scope {
                Scope::Total => &all,
                Scope::Queue(id) => queues.get(id).unwrap_or(&none),
                _ => continue,
            };
            let values = counts.iter().map(|count| Some(f64::from(*count)));
            cells.put(&scope, "waiting_30m", CellValue::Series(values.collect()));
        }
    }

    /// The intervals of the day, and the same numbers as series.
    fn half_cells(&self, cells: &mut Cells) {
        let known: Vec<bool> = self.numbers.halves.values().map(|h| h.known).collect();
        let nothing = |kpi: &str| -> Vec<Option<f64>> {
            let zero = self.numbers.nothing_is_zero.contains(kpi);
            let of_half = |known: &bool| (zero && *known).then_some(0.0);
            known.iter().map(of_half).collect()
        };
        let mut series: BTreeMap<(Scope, &str), Vec<Option<f64>>> = BTreeMap::new();
        for (step, (start, half)) in self.numbers.halves.iter().enumerate() {
            let interval = Scope::Interval(events::UtcMicros(*start));
            if half.updated {
                cells.count(&interval, "updated", 1);
            }
            for (row, scope) in half
                .rows
                .iter()
                .filter_map(|row| Some((row, scope_of(row)?)))
            {
                if scope == Scope::Total {
                    cells.kpi(interval.clone(), &format!("{}@today", row.kpi), row);
                }
                let values = series.entry((scope, &row.kpi));
                values.or_insert_with(|| nothing(&row.kpi))[step] = row.value;
            }
        }
        for ((scope, kpi), values) in series {
            let figure = format!("{kpi}@today_30m");
            cells.put(&scope, &figure, CellValue::Series(values.into()));
        }
    }

    /// The estimate of a queue; nothing where nobody serves it, absent where no work is known.
    fn ewt_cell(&self, cells: &mut Cells, scope: &Scope, tally: &Tally<'_>) {
        let known = |kpi: &str| {
            let windows = ["30m", "today"].iter();
            let mut values =
                windows.filter_map(|window| cells.number(scope, &format!("{kpi}@{window}")));
            values.next()
        };
        let (agents, free) = tally.serving();
        let Some(handle_ms) = known("aht") else {
            return;
        };
        let ahead = Ahead {
            waiting: tally.waiting,
            agents,
            free,
            handle_ms,
            patience_ms: known("avg_patience"),
        };
        let value = self.ewt.estimate_ms(&ahead);
        let unit = unit(UnitKind::Duration);
        let value = value.map_or(CellValue::Nothing, |ms| CellValue::Number(ms, unit));
        cells.put(scope, "ewt", value);
    }
}

fn agent_cells(cells: &mut Cells, id: &Id, agent: &Agent) {
    let scope = Scope::Agent(Arc::clone(id));
    let text = |text: &Id| CellValue::Text(Arc::clone(text));
    cells.put(&scope, "state", CellValue::Text(agent.state.into()));
    cells.since(&scope, "since", Some(agent.since));
    cells.count(&scope, "contacts", agent.contacts as u32);
    let texts = [
        ("reason", &agent.reason),
        ("team", &agent.team),
        ("queue", &agent.queue),
    ];
    for (figure, known) in texts {
        if let Some(known) = known {
            cells.put(&scope, figure, text(known));
        }
    }
}

impl Cells {
    fn put(&mut self, scope: &Scope, figure: &str, value: CellValue) {
        self.set(scope.clone(), figure, Cell::plain(value));
    }

    fn set(&mut self, scope: Scope, figure: &str, cell: Cell) {
        let figure = figure.into();
        self.0.insert(CellKey { scope, figure }, cell);
    }

    fn count(&mut self, scope: &Scope, figure: &str, count: u32) {
        let value = CellValue::Number(f64::from(count), unit(UnitKind::Count));
        self.put(scope, figure, value);
    }

    fn since(&mut self, scope: &Scope, figure: &str, at: Option<i64>) {
        let since = |at| CellValue::Since(events::UtcMicros(at));
        self.put(scope, figure, at.map_or(CellValue::Nothing, since));
    }

    fn kpi(&mut self, scope: Scope, figure: &str, row: &KpiRow) {
        let number = |value| CellValue::Number(value, row.unit.clone());
        let cell = Cell {
            value: row.value.map_or(CellValue::Nothing, number),
            status: row.status,
            n: row.n,
            numerator: row.numerator,
            denominator: row.denominator,
            target: row.target,
        };
        self.set(scope, figure, cell);
    }

    fn number(&self, scope: &Scope, figure: &str) -> Option<f64> {
        let key = CellKey {
            scope: scope.clone(),
            figure: figure.into(),
        };
        match self.0.get(&key)?.value {
            CellValue::Number(value, _) => Some(value),
            _ => None,
        }
    }
}

/// What the row is about, by its one dimension. Contacts without a queue are of no scope but the
/// whole.
fn scope_of(row: &KpiRow) -> Option<Scope> {
    match row.dims.first() {
        None => Some(Scope::Total),
        Some((name, Some(id))) if name == QUEUE => Some(Scope::Queue(id.as_str().into())),
        Some((name, Some(id))) if name == CHANNEL => Some(Scope::Channel(id.as_str().into())),
        Some(_) => None,
    }
}

fn earlier(known: Option<i64>, at: i64) -> Option<i64> {
    Some(known.map_or(at, |known| known.min(at)))
}

fn unit(kind: UnitKind) -> Unit {
    Unit {
        kind,
        of: None,
        show: Show::usual(kind),
    }
}
