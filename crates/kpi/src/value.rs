//! The `value` of a definition: a scalar over parts or over other KPIs.
//!
//! One rule holds wherever it is computed: every leaf becomes a Float64, then the operations follow
//! in the written order; NULL in gives NULL out, and division by zero is NULL. A value over other KPIs
//! may read more than their values: parameters, the length of the time that it is of, what an input
//! was in the period or group compared with; and it may call a [`Function`].

mod function;
mod parse;

use std::collections::BTreeSet;
use std::fmt;

pub use function::Function;
pub(crate) use parse::{Names, parse};

/// A scalar expression.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// A constant.
    Number(f64),
    /// A part of the KPI that is not a histogram.
    Part(String),
    /// Another KPI.
    Kpi(String),
    /// `percentile(part, q)`: the smallest value v of the histogram with
    /// `count(<= v) >= ceil(q * n)`.
    Percentile {
        /// A histogram part.
        part: String,
        /// 0 < q <= 1.
        q: f64,
    },
    /// `share_within(part, limit)`: the share of the histogram that is at most `limit`.
    ShareWithin {
        /// A histogram part.
        part: String,
        /// In the unit of the histogram.
        limit: f64,
    },
    /// `range_ms`: the length of the time that the number is of, in milliseconds, as far as something
    /// is known of it.
    RangeMs,
    /// `:name`: a parameter of the KPI.
    Param(String),
    /// `baseline(input)`: another KPI, in what the question compares with.
    Beside(Side, String),
    /// A function of the closed list.
    Call(Function, Vec<Value>),
    /// The negative.
    Neg(Box<Value>),
    /// A sum.
    Add(Box<Value>, Box<Value>),
    /// A difference.
    Sub(Box<Value>, Box<Value>),
    /// A product.
    Mul(Box<Value>, Box<Value>),
    /// A quotient; NULL on zero.
    Div(Box<Value>, Box<Value>),
}

/// What a question compares with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Side {
    /// The other period.
    Baseline,
    /// The control group.
    Control,
    /// The control group in the other period.
    ControlBaseline,
}

impl Side {
    /// All of them.
    pub const ALL: [Side; 3] = [Self::Baseline, Self::Control, Self::ControlBaseline];

    /// As values name it.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Baseline => "baseline",
            Self::Control => "control",
            Self::ControlBaseline => "control_baseline",
        }
    }

    /// Is it of another period?
    pub const fn is_past(self) -> bool {
        !matches!(self, Self::Control)
    }

    /// Is it of the control group?
    pub const fn is_control(self) -> bool {
        !matches!(self, Self::Baseline)
    }
}

impl Value {
    /// Computes the value; `leaf` gives everything that is neither a number, an operation nor a
    /// function, as Float64.
    pub fn eval(&self, leaf: &mut dyn FnMut(&Self) -> Option<f64>) -> Option<f64> {
        match self {
            Self::Number(number) => Some(*number),
            Self::Neg(a) => Some(-a.eval(leaf)?),
            Self::Add(a, b) => Some(a.eval(leaf)? + b.eval(leaf)?),
            Self::Sub(a, b) => Some(a.eval(leaf)? - b.eval(leaf)?),
            Self::Mul(a, b) => Some(a.eval(leaf)? * b.eval(leaf)?),
            Self::Div(a, b) => {
                let (a, b) = (a.eval(leaf)?, b.eval(leaf)?);
                (b != 0.0).then(|| a / b)
            }
            Self::Call(function, arguments) => {
                let given: Vec<_> = arguments.iter().map(|a| a.eval(leaf)).collect();
                function.call(&given)
            }
            _ => leaf(self),
        }
    }

    /// Visits the value and everything below it.
    pub fn walk<'a>(&'a self, visit: &mut dyn FnMut(&'a Self)) {
        visit(self);
        match self {
            Self::Neg(a) => a.walk(visit),
            Self::Add(a, b) | Self::Sub(a, b) | Self::Mul(a, b) | Self::Div(a, b) => {
                a.walk(visit);
                b.walk(visit);
            }
            Self::Call(_, arguments) => arguments.iter().for_each(|a| a.walk(visit)),
            _ => {}
        }
    }

    /// Names of the parts it reads.
    pub fn parts(&self) -> BTreeSet<&str> {
        let mut names = BTreeSet::new();
        self.walk(&mut |value| match value {
            Self::Part(part) | Self::Percentile { part, .. } | Self::ShareWithin { part, .. } => {
                names.insert(part.as_str());
            }
            _ => {}
        });
        names
    }

    /// Ids of the KPIs it reads.
    pub fn kpis(&self) -> BTreeSet<&str> {
        let mut ids = BTreeSet::new();
        self.walk(&mut |value| {
            if let Self::Kpi(id) | Self::Beside(_, id) = value {
                ids.insert(id.as_str());
            }
        });
        ids
    }

    /// The inputs that it reads in what the question compares with.
    pub fn beside(&self) -> BTreeSet<(Side, &str)> {
        let mut read = BTreeSet::new();
        self.walk(&mut |value| {
            if let Self::Beside(side, id) = value {
                read.insert((*side, id.as_str()));
            }
        });
        read
    }

    /// Names of the parameters it reads.
    pub fn params(&self) -> BTreeSet<&str> {
        let mut names = BTreeSet::new();
        self.walk(&mut |value| {
            if let Self::Param(name) = value {
                names.insert(name.as_str());
            }
        });
        names
    }

    /// Does it read nothing but parts, KPIs and numbers? Then the rows of a query say all of it;
    /// else one has to know what the question is.
    pub fn is_plain(&self) -> bool {
        let mut plain = true;
        self.walk(&mut |value| {
            let more = matches!(
                value,
                Self::RangeMs | Self::Param(_) | Self::Beside(..) | Self::Call(..)
            );
            plain &= !more;
        });
        plain
    }

    /// Does it call a function that sums up much?
    pub fn is_costly(&self) -> bool {
        let mut costly = false;
        self.walk(&mut |value| {
            costly |= matches!(value, Self::Call(function, _) if function.is_costly());
        });
        costly
    }

    /// Is it a sum of leaves, each times a constant? Then values add up where the leaves do.
    pub fn is_linear(&self) -> bool {
        match self {
            Self::Part(_) | Self::Kpi(_) => true,
            Self::Neg(a) => a.is_linear(),
            Self::Add(a, b) | Self::Sub(a, b) => a.is_linear() && b.is_linear(),
            Self::Mul(a, b) => {
                (a.is_constant() && b.is_linear()) || (a.is_linear() && b.is_constant())
            }
            Self::Div(a, b) => a.is_linear() && b.is_constant(),
            _ => false,
        }
    }

    /// The two sides of the one division that makes this a ratio, a constant factor of the whole
    /// left aside: `100 * (a - b) / c` gives `100 * (a - b)` and `c`. None if it is no ratio.
    pub fn ratio(&self) -> Option<(&Self, &Self)> {
        match self {
            Self::Div(a, b) if b.is_constant() => a.ratio(),
            Self::Div(a, b) => Some((a, b)),
            Self::Mul(a, b) if a.is_constant() => b.ratio(),
            Self::Mul(a, b) if b.is_constant() => a.ratio(),
            _ => None,
        }
    }

    fn is_constant(&self) -> bool {
        match self {
            Self::Number(_) => true,
            Self::Neg(a) => a.is_constant(),
            Self::Add(a, b) | Self::Sub(a, b) | Self::Mul(a, b) | Self::Div(a, b) => {
                a.is_constant() && b.is_constant()
            }
            _ => false,
        }
    }

    const fn binding(&self) -> u8 {
        match self {
            Self::Add(..) | Self::Sub(..) => 1,
            Self::Mul(..) | Self::Div(..) => 2,
            Self::Neg(_) => 3,
            _ => 4,
        }
    }

    fn write(&self, f: &mut fmt::Formatter<'_>, least: u8) -> fmt::Result {
        let open = self.binding() < least;
        if open {
            f.write_str("(")?;
        }
        match self {
            Self::Number(number) => write!(f, "{number}")?,
            Self::Part(name) | Self::Kpi(name) => f.write_str(name)?,
            Self::Percentile { part, q } => write!(f, "percentile({part}, {q})")?,
            Self::ShareWithin { part, limit } => write!(f, "share_within({part}, {limit})")?,
            Self::RangeMs => f.write_str(parse::RANGE_MS)?,
            Self::Param(name) => write!(f, ":{name}")?,
            Self::Beside(side, id) => write!(f, "{}({id})", side.word())?,
            Self::Call(function, arguments) => {
                write!(f, "{}(", function.name())?;
                for (place, argument) in arguments.iter().enumerate() {
                    f.write_str(if place == 0 { "" } else { ", " })?;
                    argument.write(f, 0)?;
                }
                f.write_str(")")?;
            }
            Self::Neg(a) => {
                f.write_str("-")?;
                a.write(f, 3)?;
            }
            Self::Add(a, b) => infix(f, a, " + ", b, 1)?,
            Self::Sub(a, b) => infix(f, a, " - ", b, 1)?,
            Self::Mul(a, b) => infix(f, a, " * ", b, 2)?,
            Self::Div(a, b) => infix(f, a, " / ", b, 2)?,
        }
        if open {
            f.write_str(")")?;
        }
        Ok(())
    }
}

// The right side binds one tighter, so that the text parses back into the very same tree.
fn infix(f: &mut fmt::Formatter<'_>, a: &Value, op: &str, b: &Value, level: u8) -> fmt::Result {
    a.write(f, level)?;
    f.write_str(op)?;
    b.write(f, level + 1)
}

/// The canonical text: parses back into the same value.
impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.write(f, 0)
    }
}
