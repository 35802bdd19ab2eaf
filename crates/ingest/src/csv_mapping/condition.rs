//! `when`: a condition on the columns of a row, with the three-valued logic of SQL.
//!
//! `column IS [NOT] NULL`, `=`, `!=`, `<>`, `[NOT] IN ('a', 'b')`, AND, OR, NOT, parentheses.
//! A column whose name is not one word is written `"Answered (Y/N)"`; texts stand in `'…'`.

use super::value::{Cells, Columns};

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Condition {
    And(Vec<Condition>),
    Or(Vec<Condition>),
    Not(Box<Condition>),
    IsNull(Operand),
    Equal(Operand, Operand),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Operand {
    Column(usize),
    Text(String),
}

impl Condition {
    /// Does the row meet it? `None` is SQL's unknown.
    pub fn test(&self, cells: &Cells<'_>) -> Option<bool> {
        match self {
            Condition::And(all) => fold(all, cells, false),
            Condition::Or(any) => fold(any, cells, true),
            Condition::Not(inner) => inner.test(cells).map(|met| !met),
            Condition::IsNull(operand) => Some(operand.value(cells).is_none()),
            Condition::Equal(a, b) => Some(a.value(cells)? == b.value(cells)?),
        }
    }
}

/// `decisive` is the value that settles the whole: false for AND, true for OR.
fn fold(parts: &[Condition], cells: &Cells<'_>, decisive: bool) -> Option<bool> {
    let mut known = true;
    for part in parts {
        match part.test(cells) {
            Some(value) if value == decisive => return Some(decisive),
            Some(_) => {}
            None => known = false,
        }
    }
    known.then_some(!decisive)
}

impl Operand {
    fn value<'c>(&'c self, cells: &Cells<'c>) -> Option<&'c str> {
        match self {
            Operand::Column(slot) => cells.get(*slot),
            Operand::Text(text) => Some(text),
        }
    }
}

/// Reads a condition; columns are noted in `columns`.
///
/// The error says what was expected, at which character (from 1).
pub(super) fn parse(
    text: &str,
    columns: &mut dyn FnMut(&str) -> usize,
) -> Result<Condition, String> {
    let tokens = tokens(text)?;
    let mut parser = Parser {
        tokens: &tokens,
        next: 0,
        depth: 0,
        columns,
    };
    let condition = parser.any()?;
    match parser.peek() {
        None => Ok(condition),
        Some(_) => Err(parser.expected("AND, OR or the end")),
    }
}

impl Columns {
    /// Reads a condition whose columns are used at the given place.
    pub fn condition(
        &mut self,
        text: &str,
        place: (u64, u64),
        key: &str,
    ) -> Result<Condition, String> {
        parse(text, &mut |name| self.slot(name, place, key))
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Token {
    Word(String),
    Quoted(String),
    Text(String),
    Sign(&'static str),
}

const SIGNS: [&str; 6] = ["!=", "<>", "=", "(", ")", ","];

fn tokens(text: &str) -> Result<Vec<(usize, Token)>, String> {
    let mut tokens = Vec::new();
    let mut rest = text;
    loop {
        rest = rest.trim_start();
        let at = text.len() - rest.len();
        let place = 1 + text[..at].chars().count();
        let Some(first) = rest.chars().next() else {
            return Ok(tokens);
        };
        let (token, used) = match first {
            '\'' | '"' | '`' => {
                let (inner, used) = quoted(rest, first)
                    .ok_or_else(|| format!("the {first} at character {place} is never closed"))?;
                let token = if first == '\'' {
                    Token::Text(inner)
                } else {
                    Token::Quoted(inner)
                };
                (token, used)
            }
            c if is_word(c) => {
                let used = rest.find(|c| !is_word(c)).unwrap_or(rest.len());
                (Token::Word(rest[..used].to_owned()), used)
            }
            _ => match SIGNS.iter().find(|sign| rest.starts_with(**sign)) {
                Some(sign) => (Token::Sign(sign), sign.len()),
                None => return Err(format!("'{first}' at character {place} means nothing here")),
            },
        };
        tokens.push((place, token));
        rest = &rest[used..];
    }
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_' || c == '.'
}

/// Text between quotes, doubled quotes inside meaning one; and its length with quotes.
fn quoted(rest: &str, quote: char) -> Option<(String, usize)> {
    let mut inner = String::new();
    let mut chars = rest.char_indices().skip(1).peekable();
    while let Some((at, c)) = chars.next() {
        if c != quote {
            inner.push(c);
        } else if chars.peek().is_some_and(|(_, next)| *next == quote) {
            inner.push(quote);
            chars.next();
        } else {
            return Some((inner, at + quote.len_utf8()));
        }
    }
    None
}

/// Parentheses and NOTs inside each other.
const DEPTH_MAX: usize = 64;

struct Parser<'a> {
    tokens: &'a [(usize, Token)],
    next: usize,
    depth: usize,
    columns: &'a mut dyn FnMut(&str) -> usize,
}

impl Parser<'_> {
    fn any(&mut self) -> Result<Condition, String> {
        let mut parts = vec![self.all()?];
        while self.take_word("OR") {
            parts.push(self.all()?);
        }
        Ok(one_or(parts, Condition::Or))
    }

    fn all(&mut self) -> Result<Condition, String> {
        let mut parts = vec![self.term()?];
        while self.take_word("AND") {
            parts.push(self.term()?);
        }
        Ok(one_or(parts, Condition::And))
    }

    fn term(&mut self) -> Result<Condition, String> {
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            return Err("too many parentheses inside each other".into());
        }
        let condition = if self.take_word("NOT") {
            Condition::Not(Box::new(self.term()?))
        } else if self.take_sign("(") {
            let inner = self.any()?;
            self.need_sign(")")?;
            inner
        } else {
            self.comparison()?
        };
        self.depth -= 1;
        Ok(condition)
    }

    fn comparison(&mut self) -> Result<Condition, String> {
        let left = self.operand()?;
        let negated = self.take_word("NOT");
        let condition = if self.take_word("IN") {
            self.members(&left)?
        } else if negated {
            return Err(self.expected("IN"));
        } else if self.take_word("IS") {
            let not = self.take_word("NOT");
            if !self.take_word("NULL") {
                return Err(self.expected("NULL"));
            }
            negate_if(not, Condition::IsNull(left))
        } else if self.take_sign("=") {
            Condition::Equal(left, self.operand()?)
        } else if self.take_sign("!=") || self.take_sign("<>") {
            negate_if(true, Condition::Equal(left, self.operand()?))
        } else {
            return Err(self.expected("IS NULL, IN, = or !="));
        };
        Ok(negate_if(negated, condition))
    }

    fn members(&mut self, left: &Operand) -> Result<Condition, String> {
        self.need_sign("(")?;
        let mut any = vec![Condition::Equal(left.clone(), self.operand()?)];
        while self.take_sign(",") {
            any.push(Condition::Equal(left.clone(), self.operand()?));
        }
        self.need_sign(")")?;
        Ok(one_or(any, Condition::Or))
    }

    fn operand(&mut self) -> Result<Operand, String> {
        // Not `peek`: the tokens outlive the parser's own borrow.
        let token = self.tokens.get(self.next).map(|(_, token)| token);
        let operand = match token {
            Some(Token::Text(text)) => Operand::Text(text.clone()),
            Some(Token::Word(word)) if word.bytes().all(|b| b.is_ascii_digit() || b == b'.') => {
                Operand::Text(word.clone())
            }
            Some(Token::Word(name)) if !is_keyword(name) => Operand::Column((self.columns)(name)),
            Some(Token::Quoted(name)) => Operand::Column((self.columns)(name)),
            _ => return Err(self.expected("a column or a 'text'")),
        };
        self.next += 1;
        Ok(operand)
    }

    fn peek(&self) -> Option<&Token> {
        self.tokens.get(self.next).map(|(_, token)| token)
    }

    fn take_word(&mut self, keyword: &str) -> bool {
        let here = matches!(self.peek(), Some(Token::Word(w)) if w.eq_ignore_ascii_case(keyword));
        self.next += usize::from(here);
        here
    }

    fn take_sign(&mut self, sign: &str) -> bool {
        let here = matches!(self.peek(), Some(Token::Sign(s)) if *s == sign);
        self.next += usize::from(here);
        here
    }

    fn need_sign(&mut self, sign: &str) -> Result<(), String> {
        if self.take_sign(sign) {
            Ok(())
        } else {
            Err(self.expected(&format!("'{sign}'")))
        }
    }

    fn expected(&self, what: &str) -> String {
        match self.tokens.get(self.next) {
            Some((place, _)) => format!("expected {what} at character {place}"),
            None => format!("expected {what} at the end"),
        }
    }
}

fn is_keyword(word: &str) -> bool {
    ["AND", "OR", "NOT", "IS", "IN", "NULL"]
        .iter()
        .any(|k| word.eq_ignore_ascii_case(k))
}

fn one_or(mut parts: Vec<Condition>, many: fn(Vec<Condition>) -> Condition) -> Condition {
    if parts.len() == 1 {
        parts.swap_remove(0)
    } else {
        many(parts)
    }
}

fn negate_if(negated: bool, condition: Condition) -> Condition {
    if negated {
        Condition::Not(Box::new(condition))
    } else {
        condition
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Tests against the columns a = "1", b = NULL, `c d` = "x".
    fn met(text: &str) -> Option<bool> {
        let mut names = vec!["a", "b", "c d"];
        let condition = parse(text, &mut |name| {
            names.iter().position(|n| *n == name).unwrap_or_else(|| {
                names.push("?");
                names.len() - 1
            })
        })
        .expect(text);
        let fields = ["1".to_owned(), String::new(), "x".to_owned()];
        condition.test(&Cells::for_test(&fields))
    }

    #[test]
    fn comparisons_and_null_follow_sql() {
        for (text, expected) in [
            ("a = 1", Some(true)),
            ("a = '2'", Some(false)),
            ("a != '2' AND b IS NULL", Some(true)),
            ("b = '1'", None),
            ("NOT b = '1'", None),
            ("b = '1' OR a = '1'", Some(true)),
            ("b = '1' AND a = '2'", Some(false)),
            ("b IS NOT NULL", Some(false)),
            ("\"c d\" IN ('y', 'x')", Some(true)),
            ("`c d` NOT IN ('y')", Some(true)),
            ("a = '2' OR a = '1' AND \"c d\" <> 'x'", Some(false)),
            ("(a = '1' OR b = '2') and not (a is null)", Some(true)),
            ("'it''s' = 'it''s'", Some(true)),
        ] {
            assert_eq!(met(text), expected, "{text}");
        }
    }

    #[test]
    fn a_bad_condition_says_what_was_expected_and_where() {
        for (text, message) in [
            ("a =", "expected a column or a 'text' at the end"),
            ("a 1", "expected IS NULL, IN, = or != at character 3"),
            ("a IS 1", "expected NULL at character 6"),
            ("a = 'x", "the ' at character 5 is never closed"),
            ("a > 1", "'>' at character 3 means nothing here"),
            ("(a = 1", "expected ')' at the end"),
            ("a = 1 b = 2", "expected AND, OR or the end at character 7"),
            ("", "expected a column or a 'text' at the end"),
        ] {
            assert_eq!(parse(text, &mut |_| 0), Err(message.to_owned()), "{text}");
        }
        let deep = format!("{}a = 1{}", "(".repeat(5_000), ")".repeat(5_000));
        assert!(parse(&deep, &mut |_| 0).is_err());
    }
}
