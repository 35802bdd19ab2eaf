//! The functions that a value over other KPIs may call: a closed list.

use crate::erlang::{FORMULAS, Formula};

/// One call may sum up so many terms, some hundredths of a second; a larger one has no answer, as where
/// so many people wait that nobody could sum them up.
const STEPS_MAX: f64 = 8_388_608.0;

/// A function. Its arguments are numbers as values have them: durations are milliseconds.
#[derive(Clone, Copy, Debug)]
pub enum Function {
    /// `first_of(a, b, ...)`: the first that has a value.
    FirstOf,
    /// A formula of staffing, the very one that SQL has.
    Staffing(&'static Formula),
}

impl PartialEq for Function {
    fn eq(&self, other: &Self) -> bool {
        self.name() == other.name()
    }
}

impl Function {
    const FIRST_OF: &str = "first_of";

    /// The function of that name.
    pub fn named(name: &str) -> Option<Self> {
        match name {
            Self::FIRST_OF => Some(Self::FirstOf),
            _ => Formula::named(name).map(Self::Staffing),
        }
    }

    /// The names of all.
    pub fn names() -> impl Iterator<Item = &'static str> {
        let formulas = FORMULAS.iter().map(|formula| formula.name);
        std::iter::once(Self::FIRST_OF).chain(formulas)
    }

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::FirstOf => Self::FIRST_OF,
            Self::Staffing(formula) => formula.name,
        }
    }

    /// How it is called, with the names of its arguments.
    pub fn usage(self) -> String {
        match self {
            Self::FirstOf => "first_of takes (a, b [, ...])".to_owned(),
            Self::Staffing(formula) => formula.usage(),
        }
    }

    /// May it have so many arguments?
    pub fn takes(self, count: usize) -> bool {
        match self {
            Self::FirstOf => count >= 2,
            Self::Staffing(formula) => {
                let most = formula.arguments.len();
                (most - formula.optional..=most).contains(&count)
            }
        }
    }

    /// Does it sum up much?
    pub fn is_costly(self) -> bool {
        matches!(self, Self::Staffing(_))
    }

    /// The answer, if there is one.
    ///
    /// No calls take no agents, whatever else is not known, and nothing is said of how they would wait:
    /// not a single one does. Agents need not be whole: 13.5 of them are 13
    /// for one half of the time and 14 for the other, and so the answer is half that of each.
    pub fn call(self, given: &[Option<f64>]) -> Option<f64> {
        let formula = match self {
            Self::FirstOf => return given.iter().copied().find_map(|value| value),
            Self::Staffing(formula) => formula,
        };
        let of_calls = formula.arguments.first() == Some(&"calls");
        if of_calls && given.first() == Some(&Some(0.0)) {
            return formula.counts.then_some(0.0);
        }
        let given: Vec<f64> = given.iter().copied().collect::<Option<_>>()?;
        if formula.steps(&given) > STEPS_MAX {
            return None;
        }
        let agents = formula.arguments.iter().position(|name| *name == "agents");
        let part = agents.and_then(|at| given.get(at).map(|agents| (at, agents.rem_euclid(1.0))));
        match part {
            Some((at, part)) if part > 0.0 => {
                let with = |agents: f64| {
                    let mut given = given.clone();
                    given.get_mut(at).map(|place| *place = agents)?;
                    formula.answer(&given)
                };
                let agents = given.get(at)?;
                let (fewer, more) = (with(agents.floor())?, with(agents.ceil())?);
                Some(fewer * (1.0 - part) + more * part)
            }
            _ => formula.answer(&given),
        }
    }
}
