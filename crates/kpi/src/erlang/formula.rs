//! The formulas by name: what SQL and the values of definitions call.
//!
//! Times are milliseconds, as everywhere outside of this module, and rates are calls of an interval. An
//! answer that does not exist is `None`: a queue that grows for ever, half an agent, a negative time.

use super::{AGENTS_MAX, ErlangA, ErlangC, Goal, Load, erlang_b, positions};

const MS: f64 = 1_000.0;

/// One formula: the first arguments are needed, the last `optional` are not.
#[derive(Debug)]
pub struct Formula {
    /// Its name.
    pub name: &'static str,
    /// What its arguments are called.
    pub arguments: &'static [&'static str],
    /// How many of them, the last ones, may be left out.
    pub optional: usize,
    /// Is the answer a number of people?
    pub counts: bool,
    of: fn(&Given<'_>) -> Option<f64>,
}

/// The arguments of one answer.
struct Given<'a>(&'a [f64]);

/// All of them.
pub const FORMULAS: &[Formula] = &[
    Formula {
        name: "erlang_b",
        arguments: &["lines", "traffic"],
        optional: 0,
        counts: false,
        of: |row| erlang_b(row.people(0)?, row.0[1]),
    },
    Formula {
        name: "erlang_c_wait_probability",
        arguments: &["calls", "interval_ms", "aht_ms", "agents"],
        optional: 0,
        counts: false,
        of: |row| Some(row.patient()?.p_wait()),
    },
    Formula {
        name: "erlang_c_asa",
        arguments: &["calls", "interval_ms", "aht_ms", "agents"],
        optional: 0,
        counts: false,
        of: |row| Some(row.patient()?.asa() * MS),
    },
    Formula {
        name: "erlang_c_occupancy",
        arguments: &["calls", "interval_ms", "aht_ms", "agents"],
        optional: 0,
        counts: false,
        of: |row| Some(row.patient()?.occupancy()),
    },
    Formula {
        name: "erlang_c_service_level",
        arguments: &["calls", "interval_ms", "aht_ms", "agents", "threshold_ms"],
        optional: 0,
        counts: false,
        of: |row| row.patient()?.service_level(row.seconds(4)),
    },
    Formula {
        name: "erlang_c_agents",
        arguments: &[
            "calls",
            "interval_ms",
            "aht_ms",
            "service_level",
            "threshold_ms",
            "max_occupancy",
        ],
        optional: 1,
        counts: true,
        of: |row| row.load().agents_c(&row.goal(3)).map(f64::from),
    },
    Formula {
        name: "erlang_a_wait_probability",
        arguments: &["calls", "interval_ms", "aht_ms", "agents", "patience_ms"],
        optional: 0,
        counts: false,
        of: |row| Some(row.impatient()?.p_wait()),
    },
    Formula {
        name: "erlang_a_abandonment",
        arguments: &["calls", "interval_ms", "aht_ms", "agents", "patience_ms"],
        optional: 0,
        counts: false,
        of: |row| Some(row.impatient()?.p_abandon()),
    },
    Formula {
        name: "erlang_a_avg_wait",
        arguments: &["calls", "interval_ms", "aht_ms", "agents", "patience_ms"],
        optional: 0,
        counts: false,
        of: |row| Some(row.impatient()?.avg_wait() * MS),
    },
    Formula {
        name: "erlang_a_occupancy",
        arguments: &["calls", "interval_ms", "aht_ms", "agents", "patience_ms"],
        optional: 0,
        counts: false,
        of: |row| Some(row.impatient()?.occupancy()),
    },
    Formula {
        name: "erlang_a_service_level",
        arguments: &[
            "calls",
            "interval_ms",
            "aht_ms",
            "agents",
            "patience_ms",
            "threshold_ms",
        ],
        optional: 0,
        counts: false,
        of: |row| row.impatient()?.service_level(row.seconds(5)),
    },
    Formula {
        name: "erlang_a_agents",
        arguments: &[
            "calls",
            "interval_ms",
            "aht_ms",
            "patience_ms",
            "service_level",
            "threshold_ms",
            "max_occupancy",
        ],
        optional: 1,
        counts: true,
        of: |row| {
            row.load()
                .agents_a(row.seconds(3), &row.goal(4))
                .map(f64::from)
        },
    },
    Formula {
        name: "scheduled_agents",
        arguments: &["agents", "shrinkage"],
        optional: 0,
        counts: true,
        of: |row| positions(row.people(0)?, row.0[1]).map(f64::from),
    },
];

impl Given<'_> {
    fn seconds(&self, at: usize) -> f64 {
        self.0[at] / MS
    }

    /// A whole number of people or lines.
    fn people(&self, at: usize) -> Option<u32> {
        let number = self.0[at];
        let whole = number.fract() == 0.0 && (0.0..=f64::from(AGENTS_MAX)).contains(&number);
        whole.then_some(number as u32)
    }

    fn load(&self) -> Load {
        Load {
            calls: self.0[0],
            interval_s: self.seconds(1),
            aht_s: self.seconds(2),
        }
    }

    fn goal(&self, at: usize) -> Goal {
        Goal {
            service_level: self.0[at],
            threshold_s: self.seconds(at + 1),
            max_occupancy: self.0.get(at + 2).copied(),
        }
    }

    fn patient(&self) -> Option<ErlangC> {
        ErlangC::new(&self.load(), self.people(3)?)
    }

    fn impatient(&self) -> Option<ErlangA> {
        ErlangA::new(&self.load(), self.people(3)?, self.seconds(4))
    }
}

impl Formula {
    /// The formula of that name.
    pub fn named(name: &str) -> Option<&'static Formula> {
        FORMULAS.iter().find(|formula| formula.name == name)
    }

    /// The answer for arguments in their order, at least the needed ones; people are whole. `None`:
    /// there is none.
    pub fn answer(&self, given: &[f64]) -> Option<f64> {
        let enough = given.len() + self.optional >= self.arguments.len();
        enough.then(|| (self.of)(&Given(given))).flatten()
    }

    /// How it is called, with the names of its arguments.
    pub fn usage(&self) -> String {
        let needed = self.arguments.len() - self.optional;
        let rest: String = self.arguments[needed..]
            .iter()
            .map(|name| format!(" [, {name}]"))
            .collect();
        format!(
            "{} takes ({}{rest})",
            self.name,
            self.arguments[..needed].join(", ")
        )
    }

    /// How much work an answer is, in terms that are summed: known from above before it is begun, since
    /// it cannot be interrupted.
    pub fn steps(&self, row: &[f64]) -> f64 {
        const LEAST: f64 = 100.0;
        let Some(&[calls, interval, aht]) = row.first_chunk::<3>() else {
            return LEAST + row[0].abs().min(f64::from(AGENTS_MAX));
        };
        let traffic = (calls * aht / interval).abs().min(f64::from(AGENTS_MAX));
        let (agents, patience, tries) = match (self.counts, self.name.starts_with("erlang_a")) {
            (true, true) => (2.0 * traffic, row[3], 2.0 * (traffic + 2.0).log2()),
            (true, false) => (2.0 * traffic, 0.0, 2.0 * (traffic + 2.0).log2()),
            (false, true) => (row[3].abs(), row[4], 1.0),
            (false, false) => (row[3].abs(), 0.0, 1.0),
        };
        let waiting = (calls / interval * patience).abs();
        // The integral of a service level has about as many terms.
        let curve = if patience == 0.0 { 0.0 } else { 2_000.0 };
        tries * (LEAST + agents.min(f64::from(AGENTS_MAX)) + 1.5 * waiting + curve)
    }
}
