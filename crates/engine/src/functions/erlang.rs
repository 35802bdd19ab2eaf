//! Workforce maths in SQL: Erlang B, C and A over columns.
//!
//! Times are milliseconds, as everywhere in SQL here, and rates are calls of an interval. An answer
//! that does not exist is NULL: a queue that grows for ever, half an agent, a negative time. The
//! formulas and their sources stand in `kpi::erlang`.

use std::sync::{Arc, LazyLock};

use arrow::array::{Array, ArrayRef, AsArray, Float64Array, Int64Array};
use arrow::datatypes::{DataType, Float64Type};
use datafusion::common::{Result, ScalarValue, plan_err};
use datafusion::logical_expr::{
    ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};
use kpi::erlang::{AGENTS_MAX, ErlangA, ErlangC, Goal, Load, erlang_b, positions};

use crate::error::EngineError;
use crate::guard::BATCH_STEPS_MAX;

/// One function: the first arguments are needed, the last `optional` are not.
struct Formula {
    name: &'static str,
    arguments: &'static [&'static str],
    optional: usize,
    /// Is the answer a number of people?
    counts: bool,
    of: fn(&Given<'_>) -> Option<f64>,
}

/// The arguments of one row.
struct Given<'a>(&'a [f64]);

const FORMULAS: &[Formula] = &[
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

const MS: f64 = 1_000.0;

/// Every function of this file.
pub(super) static ALL: LazyLock<Vec<Arc<ScalarUDF>>> = LazyLock::new(|| {
    let functions = FORMULAS.iter().enumerate();
    let functions = functions.map(|(place, _)| {
        let signature = Signature::user_defined(Volatility::Immutable);
        Arc::new(ScalarUDF::from(Erlang { place, signature }))
    });
    functions.collect()
});

/// The names of the functions, in the order of the table.
pub(super) fn names() -> impl Iterator<Item = &'static str> {
    FORMULAS.iter().map(|formula| formula.name)
}

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
    fn usage(&self) -> String {
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

    /// How much work one row is, in terms that are summed: known from above before it is begun,
    /// since a batch cannot be interrupted.
    fn steps(&self, row: &[f64]) -> f64 {
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

#[derive(Debug, PartialEq, Eq, Hash)]
struct Erlang {
    place: usize,
    signature: Signature,
}

impl Erlang {
    fn formula(&self) -> &'static Formula {
        &FORMULAS[self.place]
    }

    fn values(&self, columns: &[ArrayRef], rows: usize) -> Result<Vec<Option<f64>>> {
        let formula = self.formula();
        let columns: Vec<&Float64Array> = columns
            .iter()
            .map(|c| c.as_primitive::<Float64Type>())
            .collect();
        let mut steps = 0.0;
        let mut values = Vec::with_capacity(rows);
        let needed = formula.arguments.len() - formula.optional;
        let mut row = Vec::with_capacity(columns.len());
        for at in 0..rows {
            if columns[..needed].iter().any(|column| column.is_null(at)) {
                values.push(None);
                continue;
            }
            // At most the last one is optional; NULL is as if it were not there.
            let given = columns.iter().filter(|column| column.is_valid(at));
            row.clear();
            row.extend(given.map(|column| column.value(at)));
            // A NaN makes no step: the formulas refuse it at once.
            steps += formula.steps(&row).max(0.0);
            if steps > BATCH_STEPS_MAX as f64 {
                return Err(too_much(formula.name).into());
            }
            values.push((formula.of)(&Given(&row)));
        }
        Ok(values)
    }
}

fn too_much(name: &str) -> EngineError {
    EngineError::BadValue(format!(
        "{name}: so many rows of so many calls take too long; ask for sums of an interval, and for \
         fewer of them"
    ))
}

impl ScalarUDFImpl for Erlang {
    fn name(&self) -> &str {
        self.formula().name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, given: &[DataType]) -> Result<Vec<DataType>> {
        let formula = self.formula();
        let most = formula.arguments.len();
        let fits = (most - formula.optional..=most).contains(&given.len());
        if !fits || !given.iter().all(|t| t.is_numeric() || t.is_null()) {
            return plan_err!("{}, all of them numbers", formula.usage());
        }
        Ok(vec![DataType::Float64; given.len()])
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(match self.formula().counts {
            true => DataType::Int64,
            false => DataType::Float64,
        })
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let constant = args
            .args
            .iter()
            .all(|a| matches!(a, ColumnarValue::Scalar(_)));
        let rows = if constant { 1 } else { args.number_rows };
        let columns: Vec<ArrayRef> = args
            .args
            .iter()
            .map(|a| a.to_array(rows))
            .collect::<Result<_>>()?;
        let values = self.values(&columns, rows)?;
        let array: ArrayRef = match self.formula().counts {
            true => Arc::new(
                values
                    .into_iter()
                    .map(|v| v.map(|n| n as i64))
                    .collect::<Int64Array>(),
            ),
            false => Arc::new(values.into_iter().collect::<Float64Array>()),
        };
        Ok(match constant {
            true => ColumnarValue::Scalar(ScalarValue::try_from_array(&array, 0)?),
            false => ColumnarValue::Array(array),
        })
    }
}
