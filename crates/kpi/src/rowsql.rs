//! The SQL of row expressions, read as tokens: which columns, parameters and functions it uses, and
//! what can be refused without an SQL engine.
//!
//! This is not a parser. The engine parses and types every expression; here only names are found.

use std::collections::BTreeSet;

use crate::words;

/// Parameters that the engine gives to every expression.
pub const ENGINE_PARAMS: [&str; 3] = ["horizon", "history_start", "as_of"];

/// One token of an expression.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Token {
    /// Characters before it.
    pub offset: usize,
    /// What it is.
    pub kind: TokenKind,
}

/// Kinds of tokens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TokenKind {
    /// An unquoted word: a keyword, a column, a function.
    Word(String),
    /// `"quoted"`: always a column.
    Quoted(String),
    /// `:name`.
    Param(String),
    /// `'text'`, quotes taken off.
    Text(String),
    /// A number.
    Number(String),
    /// An operator, comma or parenthesis.
    Sign(&'static str),
}

/// Why an expression is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct SqlError {
    /// Characters before the spot.
    pub offset: usize,
    /// What is wrong.
    pub message: String,
    /// What to do.
    pub hint: Option<String>,
}

/// A name and the characters before it.
pub type Name = (String, usize);

/// What an expression reads.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Used {
    /// Columns, in the order of their first use.
    pub columns: Vec<Name>,
    /// Parameters without those of the engine.
    pub params: Vec<Name>,
    /// Functions.
    pub functions: Vec<Name>,
}

impl Used {
    /// The column names, sorted.
    pub fn column_names(&self) -> Vec<String> {
        sorted(&self.columns)
    }

    /// The parameter names, sorted.
    pub fn param_names(&self) -> Vec<String> {
        sorted(&self.params)
    }
}

fn sorted(names: &[Name]) -> Vec<String> {
    let names: BTreeSet<_> = names.iter().map(|(name, _)| name.clone()).collect();
    names.into_iter().collect()
}

// Two-character signs stand before their first character.
const SIGNS: [&str; 22] = [
    "<=", ">=", "<>", "!=", "||", "::", "(", ")", ",", "+", "-", "*", "/", "%", "<", ">", "=", ".",
    "[", "]", "~", ";",
];

/// Cuts an expression into tokens.
///
/// # Errors
/// Comments, unclosed quotes and characters that SQL does not have.
pub fn tokens(text: &str) -> Result<Vec<Token>, SqlError> {
    let chars: Vec<char> = text.chars().collect();
    let mut found = Vec::new();
    let mut at = 0;
    while at < chars.len() {
        if chars[at].is_whitespace() {
            at += 1;
            continue;
        }
        let (kind, next) = token(&chars, at)?;
        found.push(Token { offset: at, kind });
        at = next;
    }
    Ok(found)
}

fn token(chars: &[char], at: usize) -> Result<(TokenKind, usize), SqlError> {
    let c = chars[at];
    let follows = |text: &str| {
        text.chars()
            .enumerate()
            .all(|(i, c)| chars.get(at + i) == Some(&c))
    };
    if follows("--") || follows("/*") {
        return Err(refuse(
            at,
            "comments do not belong into an expression",
            "use a YAML comment",
        ));
    }
    if c == '\'' || c == '"' {
        let (text, next) = quoted(chars, at)?;
        let kind = if c == '"' {
            TokenKind::Quoted(text)
        } else {
            TokenKind::Text(text)
        };
        return Ok((kind, next));
    }
    let run = |from: usize, belongs: fn(char) -> bool| {
        let end = (from..chars.len())
            .find(|i| !belongs(chars[*i]))
            .unwrap_or(chars.len());
        (chars[from..end].iter().collect::<String>(), end)
    };
    if c == ':' && chars.get(at + 1).copied().is_some_and(starts_word) {
        let (name, next) = run(at + 1, continues_word);
        return Ok((TokenKind::Param(name), next));
    }
    if starts_word(c) {
        let (word, next) = run(at, continues_word);
        return Ok((TokenKind::Word(word), next));
    }
    if c.is_ascii_digit() {
        let (number, next) = run(at, |c| c.is_ascii_alphanumeric() || c == '.');
        return Ok((TokenKind::Number(number), next));
    }
    match SIGNS.iter().find(|sign| follows(sign)) {
        Some(sign) => Ok((TokenKind::Sign(sign), at + sign.len())),
        None => Err(refuse(at, &format!("`{c}` does not belong into SQL"), "")),
    }
}

fn quoted(chars: &[char], start: usize) -> Result<(String, usize), SqlError> {
    let quote = chars[start];
    let mut text = String::new();
    let mut at = start + 1;
    while at < chars.len() {
        if chars[at] != quote {
            text.push(chars[at]);
        } else if chars.get(at + 1) == Some(&quote) {
            text.push(quote);
            at += 1;
        } else {
            return Ok((text, at + 1));
        }
        at += 1;
    }
    Err(refuse(
        start,
        &format!("the quote {quote} is not closed"),
        "add the closing quote",
    ))
}

const fn starts_word(c: char) -> bool {
    c.is_ascii_alphabetic() || c == '_'
}

const fn continues_word(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_'
}

fn refuse(offset: usize, message: &str, hint: &str) -> SqlError {
    let hint = (!hint.is_empty()).then(|| hint.to_owned());
    SqlError {
        offset,
        message: message.to_owned(),
        hint,
    }
}

/// Words that are neither columns nor functions.
const KEYWORDS: [&str; 34] = [
    "and",
    "or",
    "not",
    "is",
    "null",
    "true",
    "false",
    "in",
    "between",
    "like",
    "ilike",
    "escape",
    "case",
    "when",
    "then",
    "else",
    "end",
    "cast",
    "try_cast",
    "as",
    "distinct",
    "from",
    "interval",
    "extract",
    "any",
    "all",
    "similar",
    "to",
    "bigint",
    "int",
    "double",
    "boolean",
    "varchar",
    "timestamp",
];

const AGGREGATES: [&str; 27] = [
    "sum",
    "count",
    "avg",
    "mean",
    "min",
    "max",
    "median",
    "stddev",
    "stddev_pop",
    "var",
    "var_pop",
    "var_sample",
    "array_agg",
    "string_agg",
    "first_value",
    "last_value",
    "nth_value",
    "bool_and",
    "bool_or",
    "approx_distinct",
    "approx_median",
    "approx_percentile_cont",
    "percentile_cont",
    "corr",
    "measure",
    "agg",
    "aggregate",
];

const VOLATILE: [&str; 9] = [
    "now",
    "random",
    "uuid",
    "current_timestamp",
    "current_date",
    "current_time",
    "today",
    "localtime",
    "localtimestamp",
];

/// Finds what an expression reads, and refuses what no row expression may do: aggregates, window
/// functions, subqueries, volatile functions, more than one statement.
///
/// # Errors
/// The first refusal, with its place.
pub fn used(text: &str) -> Result<Used, SqlError> {
    let tokens = tokens(text)?;
    if tokens.is_empty() {
        return Err(refuse(
            0,
            "the expression is empty",
            "write SQL over the model's columns",
        ));
    }
    balanced(&tokens)?;
    let mut used = Used::default();
    for (index, token) in tokens.iter().enumerate() {
        let next_is_open = matches!(
            tokens.get(index + 1),
            Some(Token {
                kind: TokenKind::Sign("("),
                ..
            })
        );
        match &token.kind {
            TokenKind::Word(word) => note_word(word, token.offset, next_is_open, &mut used)?,
            TokenKind::Quoted(name) => note(&mut used.columns, name, token.offset),
            TokenKind::Param(name) if !ENGINE_PARAMS.contains(&name.as_str()) => {
                note(&mut used.params, name, token.offset);
            }
            TokenKind::Sign(";") => {
                return Err(refuse(
                    token.offset,
                    "`;` ends nothing here",
                    "write one expression",
                ));
            }
            TokenKind::Sign(".") => {
                let hint = "name the column alone: an expression reads one model";
                return Err(refuse(
                    token.offset,
                    "qualified names are not allowed",
                    hint,
                ));
            }
            _ => {}
        }
    }
    Ok(used)
}

fn note_word(word: &str, at: usize, is_call: bool, used: &mut Used) -> Result<(), SqlError> {
    let lower = word.to_ascii_lowercase();
    let name = lower.as_str();
    if matches!(name, "select" | "exists" | "with") {
        let hint = "derive the column in the model's SQL file instead";
        return Err(refuse(at, "a row expression cannot hold a subquery", hint));
    }
    if name == "over" && is_call {
        let hint = "derive the column in the model's SQL file instead";
        return Err(refuse(
            at,
            "a row expression cannot hold a window function",
            hint,
        ));
    }
    let is_now = VOLATILE.contains(&name) && (is_call || name.starts_with("current_"));
    if is_now {
        let message = format!("`{word}` gives another answer each time");
        return Err(refuse(at, &message, "use :as_of or :horizon"));
    }
    if is_call && AGGREGATES.contains(&name) {
        let message = format!("`{word}()` aggregates, and a row expression is over one row");
        return Err(refuse(at, &message, "say it with `agg:` of the part"));
    }
    if is_call && !KEYWORDS.contains(&name) {
        note(&mut used.functions, &lower, at);
    } else if !KEYWORDS.contains(&name) {
        note(&mut used.columns, word, at);
    }
    Ok(())
}

fn note(names: &mut Vec<Name>, name: &str, at: usize) {
    if names.iter().all(|(known, _)| known != name) {
        names.push((name.to_owned(), at));
    }
}

fn balanced(tokens: &[Token]) -> Result<(), SqlError> {
    let mut open = Vec::new();
    for token in tokens {
        match token.kind {
            TokenKind::Sign("(") => open.push(token.offset),
            TokenKind::Sign(")") if open.pop().is_none() => {
                return Err(refuse(
                    token.offset,
                    "`)` closes nothing",
                    "count the parentheses",
                ));
            }
            _ => {}
        }
    }
    match open.pop() {
        Some(offset) => Err(refuse(offset, "`(` is not closed", "count the parentheses")),
        None => Ok(()),
    }
}

/// Refuses columns that the model does not have.
pub(crate) fn known_columns(used: &Used, model: &str, columns: &[&str]) -> Result<(), SqlError> {
    for (name, offset) in &used.columns {
        if !columns.contains(&name.as_str()) {
            let message = format!("model `{model}` has no column `{name}`");
            let near = words::nearest(name, columns.iter().copied());
            let hint = near.map_or_else(
                || format!("`DESCRIBE facts.{model}` lists its columns"),
                |near| format!("did you mean `{near}`?"),
            );
            return Err(SqlError {
                offset: *offset,
                message,
                hint: Some(hint),
            });
        }
    }
    Ok(())
}

/// The expression with every `:name` for which `value` knows SQL text replaced by that text.
///
/// # Errors
/// As [`tokens`].
pub fn substitute(
    text: &str,
    value: &mut dyn FnMut(&str) -> Option<String>,
) -> Result<String, SqlError> {
    let chars: Vec<char> = text.chars().collect();
    let mut out = String::with_capacity(text.len() + 16);
    let mut copied = 0;
    for token in tokens(text)? {
        if let TokenKind::Param(name) = &token.kind
            && let Some(sql) = value(name)
        {
            out.extend(&chars[copied..token.offset]);
            out.push_str(&sql);
            copied = token.offset + 1 + name.chars().count();
        }
    }
    out.extend(&chars[copied..]);
    Ok(out)
}

/// One spelling for all spellings: single spaces, keywords and functions in lower case.
pub(crate) fn canonical(text: &str) -> String {
    let Ok(tokens) = tokens(text) else {
        return text.to_owned();
    };
    let is_open = |index: usize| {
        matches!(
            tokens.get(index),
            Some(Token {
                kind: TokenKind::Sign("("),
                ..
            })
        )
    };
    let words: Vec<String> = tokens
        .iter()
        .enumerate()
        .map(|(index, token)| match &token.kind {
            TokenKind::Word(word) => {
                let lower = word.to_ascii_lowercase();
                let folds = is_open(index + 1) || KEYWORDS.contains(&lower.as_str());
                if folds { lower } else { word.clone() }
            }
            TokenKind::Quoted(name) => format!("\"{}\"", name.replace('"', "\"\"")),
            TokenKind::Param(name) => format!(":{name}"),
            TokenKind::Text(text) => format!("'{}'", text.replace('\'', "''")),
            TokenKind::Number(number) => number.clone(),
            TokenKind::Sign(sign) => (*sign).to_owned(),
        })
        .collect();
    words.join(" ")
}
