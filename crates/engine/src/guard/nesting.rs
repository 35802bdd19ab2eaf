//! How deep the syntax tree of some tokens will be, estimated from above.
//!
//! A parser turns `1+1+1` into a tree that leans to the left, one level per sign; dropping or
//! copying such a tree recurses. Operators are counted by how tightly they bind: within one
//! operand of an OR the ANDs add up, and start again at the next OR. The level of a bracket is
//! added to that of the expression around it.

use datafusion::sql::sqlparser::keywords::Keyword;
use datafusion::sql::sqlparser::tokenizer::{Token, TokenWithSpan};

use super::tokens::keyword;
use super::{GuardLimits, place, too_complex, too_deep};
use crate::service::QueryError;

/// OR, AND, comparisons, bits, sums, products, what follows an operand.
const CLASSES: usize = 7;

/// What is open, from a bracket or CASE to its end.
#[derive(Default)]
struct Frame {
    /// Operators since the last one that binds less.
    runs: [usize; CLASSES],
    longest: [usize; CLASSES],
    /// Depth of the deepest bracket in the present expression.
    inner: usize,
    /// Depth of the deepest expression that has ended.
    ended: usize,
    /// Opened by CASE.
    case: bool,
}

impl Frame {
    fn depth(&self) -> usize {
        self.ended
            .max(self.longest.iter().sum::<usize>() + self.inner)
    }

    fn operator(&mut self, class: usize) {
        self.runs[class] += 1;
        self.longest[class] = self.longest[class].max(self.runs[class]);
        self.runs[class + 1..].fill(0);
    }

    fn end_expression(&mut self) {
        *self = Frame {
            ended: self.depth(),
            case: self.case,
            ..Frame::default()
        };
    }
}

/// Refuses brackets, chains and trees that are too deep.
pub(super) fn check(tokens: &[&TokenWithSpan], limits: &GuardLimits) -> Result<(), QueryError> {
    let mut frames = vec![Frame::default()];
    let mut before: Option<&Token> = None;
    for token in tokens {
        step(&mut frames, before, &token.token);
        let Some(top) = frames.last() else { break };
        if frames.len() > limits.depth + 1 {
            return Err(too_deep(limits).at(place(token)));
        }
        if top.runs.iter().any(|&run| run >= limits.chain_operands) {
            return Err(too_complex(
                format!("a chain has more than {} operands", limits.chain_operands),
                "write x IN (...) for a chain of x = ... OR",
            )
            .at(place(token)));
        }
        if frames.iter().map(Frame::depth).sum::<usize>() > limits.spine {
            return Err(too_deep(limits).at(place(token)));
        }
        before = Some(&token.token);
    }
    Ok(())
}

fn step(frames: &mut Vec<Frame>, before: Option<&Token>, token: &Token) {
    let word = keyword(token);
    let after_operator = before.is_some_and(|t| class(t).is_some());
    let case = word == Keyword::CASE && before != Some(&Token::Period);
    if opens(token) || case || opens_type(before, token) {
        if let (Token::LBracket, Some(top)) = (token, frames.last_mut()) {
            // `x[1][1]` nests as `x + 1 + 1` does.
            top.operator(CLASSES - 1);
        }
        frames.push(Frame {
            case,
            ..Frame::default()
        });
    } else if closes(token) || word == Keyword::END && frames.last().is_some_and(|f| f.case) {
        if frames.len() > 1
            && let Some(closed) = frames.pop()
            && let Some(top) = frames.last_mut()
        {
            top.inner = top.inner.max(closed.depth() + 1);
        }
    } else if let Some(top) = frames.last_mut() {
        match class(token) {
            Some(class) => top.operator(class),
            // A word that begins a clause is a column's name where an operand must follow.
            None if separates(token) && !after_operator => top.end_expression(),
            None => {}
        }
    }
}

fn opens(token: &Token) -> bool {
    matches!(token, Token::LParen | Token::LBracket | Token::LBrace)
}

fn closes(token: &Token) -> bool {
    matches!(token, Token::RParen | Token::RBracket | Token::RBrace)
}

/// `ARRAY<ARRAY<...`: such a level is never closed here, so all of them count.
fn opens_type(before: Option<&Token>, token: &Token) -> bool {
    let of_type = |t: &Token| matches!(keyword(t), Keyword::ARRAY | Keyword::STRUCT | Keyword::MAP);
    *token == Token::Lt && before.is_some_and(of_type)
}

fn separates(token: &Token) -> bool {
    matches!(
        token,
        Token::Comma | Token::SemiColon | Token::VerticalBarRightAngleBracket
    ) || matches!(
        keyword(token),
        Keyword::SELECT
            | Keyword::FROM
            | Keyword::WHERE
            | Keyword::GROUP
            | Keyword::HAVING
            | Keyword::QUALIFY
            | Keyword::WINDOW
            | Keyword::ORDER
            | Keyword::LIMIT
            | Keyword::OFFSET
            | Keyword::JOIN
            | Keyword::ON
            | Keyword::UNION
            | Keyword::EXCEPT
            | Keyword::INTERSECT
            | Keyword::WHEN
            | Keyword::THEN
            | Keyword::ELSE
            | Keyword::AS
    )
}

/// How tightly an operator binds, 0 the least; `None` for what is no operator.
fn class(token: &Token) -> Option<usize> {
    let class = match token {
        Token::Word(_) => match keyword(token) {
            Keyword::OR => 0,
            Keyword::AND => 1,
            Keyword::IS
            | Keyword::LIKE
            | Keyword::ILIKE
            | Keyword::SIMILAR
            | Keyword::RLIKE
            | Keyword::REGEXP
            | Keyword::BETWEEN
            | Keyword::IN
            | Keyword::OVERLAPS => 2,
            Keyword::XOR => 3,
            Keyword::DIV => 5,
            Keyword::NOT | Keyword::COLLATE | Keyword::AT => CLASSES - 1,
            _ => return None,
        },
        Token::Ampersand | Token::Pipe | Token::Caret => 3,
        Token::Plus | Token::Minus => 4,
        Token::Mul | Token::Div | Token::DuckIntDiv | Token::Mod | Token::StringConcat => 5,
        Token::DoubleColon | Token::Tilde | Token::ExclamationMark => CLASSES - 1,
        Token::Placeholder(_)
        | Token::Number(..)
        | Token::Char(_)
        | Token::Period
        | Token::Comma
        | Token::SemiColon
        | Token::VerticalBarRightAngleBracket
        | Token::Whitespace(_)
        | Token::EOF => return None,
        other if super::tokens::is_text(other) || opens(other) || closes(other) => return None,
        // Every other sign compares.
        _ => 2,
    };
    Some(class)
}
