//! From the text of a value to the value.

use super::{Function, Side, Value};

/// The name of [`Value::RangeMs`].
pub(super) const RANGE_MS: &str = "range_ms";

/// What the names in a value may be.
pub(crate) struct Names<'a> {
    pub parts: &'a [&'a str],
    pub histograms: &'a [&'a str],
    /// Inputs; with them come `range_ms`, parameters and functions.
    pub kpis: &'a [&'a str],
    pub params: &'a [&'a str],
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
            Some(':') => self.param(),
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

    fn word(&mut self) -> String {
        let start = self.at;
        while self.peek().is_some_and(is_name) {
            self.at += 1;
        }
        self.chars[start..self.at].iter().collect()
    }

    fn param(&mut self) -> Result<Value, ValueError> {
        let start = self.at;
        self.at += 1;
        let name = self.word();
        if self.names.params.contains(&name.as_str()) {
            return Ok(Value::Param(name));
        }
        let hint = match self.is_over_kpis() {
            true => crate::words::suggest(&name, self.names.params.iter().copied(), "`params`"),
            false => "parameters stand in the expressions of parts".to_owned(),
        };
        Err(ValueError {
            offset: start,
            message: format!("there is no parameter `:{name}` here"),
            hint: Some(hint),
        })
    }

    fn is_over_kpis(&self) -> bool {
        !self.names.kpis.is_empty()
    }

    fn name(&mut self) -> Result<Value, ValueError> {
        let start = self.at;
        let name = self.word();
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
        if name == RANGE_MS && self.is_over_kpis() {
            return Ok(Value::RangeMs);
        }
        let known = self.names.parts.iter().chain(self.names.kpis).copied();
        Err(ValueError {
            offset: start,
            message: format!("`{name}` is neither a part nor an input of this KPI"),
            hint: Some(crate::words::suggest(&name, known, "known here")),
        })
    }

    fn call(&mut self, name: &str, start: usize) -> Result<Value, ValueError> {
        let side = Side::ALL.into_iter().find(|side| side.word() == name);
        match (name, side, Function::named(name)) {
            ("percentile" | "share_within", ..) => self.reading(name),
            (_, Some(side), _) if self.is_over_kpis() => self.beside(side),
            (_, _, Some(function)) if self.is_over_kpis() => self.function(function, start),
            _ => Err(ValueError {
                offset: start,
                message: format!("there is no function `{name}` in a value"),
                hint: Some(self.functions(name)),
            }),
        }
    }

    /// Which functions there are.
    fn functions(&self, wanted: &str) -> String {
        if !self.is_over_kpis() {
            return "there are percentile(part, 0.9) and share_within(part, 20)".to_owned();
        }
        let sides = Side::ALL.into_iter().map(Side::word);
        let all = sides.chain(Function::names());
        crate::words::suggest(wanted, all, "functions")
    }

    /// An input in what the question compares with.
    fn beside(&mut self, side: Side) -> Result<Value, ValueError> {
        self.expect('(')?;
        self.skip_space();
        let start = self.at;
        let id = self.word();
        if !self.names.kpis.contains(&id.as_str()) {
            let known = self.names.kpis.iter().copied();
            return Err(ValueError {
                offset: start,
                message: format!("`{id}` is no input of this KPI"),
                hint: Some(crate::words::suggest(&id, known, "inputs")),
            });
        }
        self.expect(')')?;
        Ok(Value::Beside(side, id))
    }

    fn function(&mut self, function: Function, start: usize) -> Result<Value, ValueError> {
        self.expect('(')?;
        let mut arguments = vec![self.sum()?];
        while self.operator(&[',']).is_some() {
            arguments.push(self.sum()?);
        }
        self.expect(')')?;
        if function.takes(arguments.len()) {
            return Ok(Value::Call(function, arguments));
        }
        Err(ValueError {
            offset: start,
            message: format!(
                "{} does not take {} argument(s)",
                function.name(),
                arguments.len()
            ),
            hint: Some(function.usage()),
        })
    }

    /// What is read from a histogram.
    fn reading(&mut self, function: &str) -> Result<Value, ValueError> {
        self.expect('(')?;
        self.skip_space();
        let at_part = self.at;
        let part = self.word();
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
