//! `SIMILAR TO`, which DataFusion takes for a match with a regular expression: `'s%'` would be
//! an s and a percent sign, anywhere.

use std::iter::Peekable;
use std::str::Chars;

use datafusion::sql::sqlparser::ast::{Expr, Value, ValueWithSpan};

use super::syntax;
use crate::service::QueryError;

const HINT: &str = "use LIKE for % and _, or ~ with a regular expression";

/// Puts the regular expression in the place of the pattern.
///
/// # Errors
/// A pattern that is not written as a literal, and one that SQL does not have.
pub(super) fn as_regex(
    pattern: &mut Expr,
    escape: &mut Option<ValueWithSpan>,
) -> Result<(), QueryError> {
    let Expr::Value(value) = pattern else {
        return Err(syntax("the pattern of SIMILAR TO must be a literal", HINT));
    };
    let written = match &value.value {
        Value::SingleQuotedString(text) => text,
        Value::Null => return Ok(()),
        _ => return Err(syntax("the pattern of SIMILAR TO must be a text", HINT)),
    };
    let escape_sign = match escape.take().map(|sign| sign.value) {
        None => Some('\\'),
        Some(Value::SingleQuotedString(sign)) => {
            let mut signs = sign.chars();
            match (signs.next(), signs.next()) {
                (sign, None) => sign,
                _ => return Err(syntax("ESCAPE takes one sign", HINT)),
            }
        }
        Some(_) => return Err(syntax("ESCAPE takes a text of one sign", HINT)),
    };
    let regex = regex(written, escape_sign)
        .ok_or_else(|| syntax("the pattern of SIMILAR TO cannot be read", HINT))?;
    value.value = Value::SingleQuotedString(regex);
    Ok(())
}

/// The same as a regular expression over the whole text.
fn regex(pattern: &str, escape: Option<char>) -> Option<String> {
    let mut out = String::from("(?s)^(?:");
    let mut signs = pattern.chars().peekable();
    let mut open = 0_usize;
    while let Some(sign) = signs.next() {
        match sign {
            sign if Some(sign) == escape => literal(signs.next()?, &mut out),
            '%' => out.push_str(".*"),
            '_' => out.push('.'),
            '(' => {
                // What a regular expression has behind it are settings.
                if signs.peek() == Some(&'?') {
                    return None;
                }
                out.push_str("(?:");
                open += 1;
            }
            // One too many would end the group around everything.
            ')' => {
                open = open.checked_sub(1)?;
                out.push(')');
            }
            '|' | '*' | '+' | '?' => out.push(sign),
            '{' => times(&mut signs, &mut out)?,
            '[' => class(&mut signs, escape, &mut out)?,
            sign => literal(sign, &mut out),
        }
    }
    out.push_str(")$");
    (open == 0).then_some(out)
}

/// A sign that stands for itself.
fn literal(sign: char, out: &mut String) {
    if sign.is_ascii_punctuation() && !matches!(sign, '<' | '>') {
        out.push('\\');
    }
    out.push(sign);
}

/// `{2}`, `{2,}` or `{2,3}`, behind its first bracket.
fn times(signs: &mut Peekable<Chars<'_>>, out: &mut String) -> Option<()> {
    let mut inside = String::new();
    loop {
        match signs.next()? {
            '}' => break,
            sign => inside.push(sign),
        }
    }
    let (least, most) = inside.split_once(',').unwrap_or((inside.as_str(), ""));
    let digits = |text: &str| text.chars().all(|sign| sign.is_ascii_digit());
    let fits = !least.is_empty() && digits(least) && digits(most);
    fits.then(|| out.extend(["{", inside.as_str(), "}"]))
}

/// `[a-z]`, `[^,;]`, `[[:alpha:]_]`, `[\]x]`, behind its first bracket.
fn class(signs: &mut Peekable<Chars<'_>>, escape: Option<char>, out: &mut String) -> Option<()> {
    let is_escape = |sign: char| Some(sign) == escape;
    out.push('[');
    if signs.next_if(|s| *s == '^' && !is_escape(*s)).is_some() {
        out.push('^');
    }
    let mut empty = true;
    loop {
        match signs.next()? {
            ']' if !empty && !is_escape(']') => {
                out.push(']');
                return Some(());
            }
            '[' if signs.peek() == Some(&':') && !is_escape('[') => {
                out.push('[');
                let named = |sign: &char| sign.is_ascii_alphabetic() || *sign == ':';
                while let Some(sign) = signs.next_if(named) {
                    out.push(sign);
                }
                out.push(signs.next().filter(|sign| *sign == ']')?);
            }
            sign => {
                member(sign, signs, escape, out)?;
                // Between two signs a minus makes a range; before the end it is itself.
                let mut ahead = signs.clone();
                if ahead.next() == Some('-') && !is_escape('-') && ahead.next() != Some(']') {
                    signs.next();
                    out.push('-');
                    member(signs.next()?, signs, escape, out)?;
                }
            }
        }
        empty = false;
    }
}

/// A sign of a class; the escape is none, and what is behind it stands for itself.
fn member(
    sign: char,
    signs: &mut Peekable<Chars<'_>>,
    escape: Option<char>,
    out: &mut String,
) -> Option<()> {
    let meant = if Some(sign) == escape {
        signs.next()?
    } else {
        sign
    };
    literal(meant, out);
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_become_regular_expressions_over_the_whole_text() {
        for (pattern, wanted) in [
            ("s%", "(?s)^(?:s.*)$"),
            ("a_|b.c", r"(?s)^(?:a.|b\.c)$"),
            ("(ab)+{2}", "(?s)^(?:(?:ab)+{2})$"),
            (r"50\%", r"(?s)^(?:50\%)$"),
            ("[^a-z%&&]", r"(?s)^(?:[^a-z\%\&\&])$"),
            ("[[:alpha:]_]*", r"(?s)^(?:[[:alpha:]\_]*)$"),
            ("[]x]", r"(?s)^(?:[\]x])$"),
            ("a{1,2}b{3,}c{4}", "(?s)^(?:a{1,2}b{3,}c{4})$"),
            ("[+--]", r"(?s)^(?:[\+-\-])$"),
            ("[-a][a-]", r"(?s)^(?:[\-a][a\-])$"),
            ("[a-c--]", r"(?s)^(?:[a-c\-\-])$"),
            ("a}", r"(?s)^(?:a\})$"),
            ("^$", r"(?s)^(?:\^\$)$"),
            (r"[\]x]", r"(?s)^(?:[\]x])$"),
            (r"[\a]", r"(?s)^(?:[a])$"),
            (r"[\^a-\]]", r"(?s)^(?:[\^a-\]])$"),
            (r"[a\-z]", r"(?s)^(?:[a\-z])$"),
            (r"[\[:]", r"(?s)^(?:[\[\:])$"),
        ] {
            assert_eq!(
                regex(pattern, Some('\\')).as_deref(),
                Some(wanted),
                "{pattern}"
            );
        }
        assert_eq!(
            regex("a#%\\", Some('#')).as_deref(),
            Some(r"(?s)^(?:a\%\\)$")
        );
        assert_eq!(
            regex(r"[\#]]", Some('#')).as_deref(),
            Some(r"(?s)^(?:[\\\]])$")
        );
    }

    #[test]
    fn patterns_without_an_end_and_settings_are_refused() {
        for pattern in [
            "[a", "[a\\", "[a\\]", "a\\", "(?i)a", "[[:alpha", "a)|(b", "(a", "a{2", "a{,2}",
            "a{x}", "[a-",
        ] {
            assert_eq!(regex(pattern, Some('\\')), None, "{pattern}");
        }
    }
}
