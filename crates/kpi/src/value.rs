//! The `value` of a definition: a scalar over parts or over other KPIs.
//!
//! One rule holds wherever it is computed: every leaf becomes a Float64, then the operations follow
//! in the written order; NULL in gives NULL out, and division by zero is NULL.

use std::collections::BTreeSet;
use std::fmt;

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

impl Value {
    /// Computes the value; `leaf` gives parts, KPIs and histogram readings as Float64.
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
            Self::Part(_) | Self::Kpi(_) | Self::Percentile { .. } | Self::ShareWithin { .. } => {
                leaf(self)
            }
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
            if let Self::Kpi(id) = value {
                ids.insert(id.as_str());
            }
        });
        ids
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
            Self::Number(_) | Self::Percentile { .. } | Self::ShareWithin { .. } => false,
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

/// What the names in a value may be.
pub(crate) struct Names<'a> {
    pub parts: &'a [&'a str],
    pub histograms: &'a [&'a str],
    pub kpis: &'a [&'a str],
}

/// Why a value text is refused; `offset` counts characters from the start of the text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ValueError {
    pub offset: usize,
    pub message: String,
    pub hint: Option<String>,
}

/// Parses a value.
pub(crate) fn parse(text: &str, names: &Names<'_>) -> Result<Value, ValueError> {
    let chars: Vec<char> = text.chars().collect();
    let mut parser = Parser {
        chars: &chars,
        at: 0,
        depth: 0,
        names,
    };
    let value = parser.sum()?;
    parser.skip_space();
    match parser.peek() {
        None => Ok(value),
        Some(c) => Err(parser.error(format!("unexpected `{c}`"), "write + - * / between names")),
    }
}

/// Nested deeper than this, a value is refused instead of risking the stack.
const DEPTH_MAX: usize = 64;

struct Parser<'a> {
    chars: &'a [char],
    at: usize,
    depth: usize,
    names: &'a Names<'a>,
}

impl Parser<'_> {
    fn sum(&mut self) -> Result<Value, ValueError> {
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            return Err(self.error("nested too deeply".to_owned(), "name a part of it a KPI"));
        }
        let mut left = self.product()?;
        while let Some(op) = self.operator(&['+', '-']) {
            let right = self.product()?;
            left = if op == '+' {
                Value::Add(Box::new(left), Box::new(right))
            } else {
                Value::Sub(Box::new(left), Box::new(right))
            };
        }
        self.depth -= 1;
        Ok(left)
    }

    fn product(&mut self) -> Result<Value, ValueError> {
        let mut left = self.factor()?;
        while let Some(op) = self.operator(&['*', '/']) {
            let right = self.factor()?;
            left = if op == '*' {
                Value::Mul(Box::new(left), Box::new(right))
            } else {
                Value::Div(Box::new(left), Box::new(right))
            };
        }
        Ok(left)
    }

    fn factor(&mut self) -> Result<Value, ValueError> {
        self.skip_space();
        match self.peek() {
            Some('-') => {
                self.at += 1;
                self.depth += 1;
                if self.depth > DEPTH_MAX {
                    return Err(self.error("nested too deeply".to_owned(), "one minus is enough"));
                }
                let inner = self.factor()?;
                self.depth -= 1;
                Ok(Value::Neg(Box::new(inner)))
            }
            Some('(') => {
                self.at += 1;
                let inner = self.sum()?;
                self.expect(')')?;
                Ok(inner)
            }
            Some(c) if c.is_ascii_digit() || c == '.' => self.number().map(Value::Number),
            Some(c) if is_name(c) => self.name(),
            Some(c) => Err(self.error(format!("unexpected `{c}`"), "a name or a number fits here")),
            None => Err(self.error(
                "the value ends too early".to_owned(),
                "a name or a number fits here",
            )),
        }
    }

    fn number(&mut self) -> Result<f64, ValueError> {
        self.skip_space();
        let start = self.at;
        while self.peek().is_some_and(|c| c.is_ascii_digit() || c == '.') {
            self.at += 1;
        }
        let text: String = self.chars[start..self.at].iter().collect();
        text.parse().map_err(|_| ValueError {
            offset: start,
            message: format!("`{text}` is not a number"),
            hint: None,
        })
    }

    fn name(&mut self) -> Result<Value, ValueError> {
        let start = self.at;
        while self.peek().is_some_and(is_name) {
            self.at += 1;
        }
        let name: String = self.chars[start..self.at].iter().collect();
        self.skip_space();
        if self.peek() == Some('(') {
            return self.call(&name, start);
        }
        if self.names.histograms.contains(&name.as_str()) {
            return Err(ValueError {
                offset: start,
                message: format!("part `{name}` is a histogram, not a number"),
                hint: Some(format!(
                    "write percentile({name}, 0.9) or share_within({name}, 20)"
                )),
            });
        }
        if self.names.parts.contains(&name.as_str()) {
            return Ok(Value::Part(name));
        }
        if self.names.kpis.contains(&name.as_str()) {
            return Ok(Value::Kpi(name));
        }
        let known = self.names.parts.iter().chain(self.names.kpis).copied();
        Err(ValueError {
            offset: start,
            message: format!("`{name}` is neither a part nor an input of this KPI"),
            hint: Some(crate::words::suggest(&name, known, "known here")),
        })
    }

    fn call(&mut self, function: &str, start: usize) -> Result<Value, ValueError> {
        if !matches!(function, "percentile" | "share_within") {
            return Err(ValueError {
                offset: start,
                message: format!("there is no function `{function}` in a value"),
                hint: Some("there are percentile(part, 0.9) and share_within(part, 20)".to_owned()),
            });
        }
        self.expect('(')?;
        self.skip_space();
        let at_part = self.at;
        while self.peek().is_some_and(is_name) {
            self.at += 1;
        }
        let part: String = self.chars[at_part..self.at].iter().collect();
        if !self.names.histograms.contains(&part.as_str()) {
            let known = self.names.histograms.iter().copied();
            return Err(ValueError {
                offset: at_part,
                message: format!("`{part}` is not a histogram part of this KPI"),
                hint: Some(crate::words::suggest(&part, known, "histogram parts")),
            });
        }
        self.expect(',')?;
        self.skip_space();
        let at_number = self.at;
        let number = self.number()?;
        self.expect(')')?;
        if function == "share_within" {
            return Ok(Value::ShareWithin {
                part,
                limit: number,
            });
        }
        if !(number > 0.0 && number <= 1.0) {
            return Err(ValueError {
                offset: at_number,
                message: format!("percentile {number} is not between 0 and 1"),
                hint: Some("the 90th percentile is 0.9".to_owned()),
            });
        }
        Ok(Value::Percentile { part, q: number })
    }

    fn operator(&mut self, wanted: &[char]) -> Option<char> {
        self.skip_space();
        let op = self.peek().filter(|c| wanted.contains(c))?;
        self.at += 1;
        Some(op)
    }

    fn expect(&mut self, wanted: char) -> Result<(), ValueError> {
        self.skip_space();
        if self.peek() == Some(wanted) {
            self.at += 1;
            return Ok(());
        }
        Err(self.error(
            format!("`{wanted}` is missing here"),
            "count the parentheses",
        ))
    }

    fn skip_space(&mut self) {
        while self.peek().is_some_and(char::is_whitespace) {
            self.at += 1;
        }
    }

    fn peek(&self) -> Option<char> {
        self.chars.get(self.at).copied()
    }

    fn error(&self, message: String, hint: &str) -> ValueError {
        ValueError {
            offset: self.at,
            message,
            hint: Some(hint.to_owned()),
        }
    }
}

const fn is_name(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_'
}
