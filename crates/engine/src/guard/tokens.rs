//! What the tokens of a statement say before a parser recurses over them.

use datafusion::sql::sqlparser::dialect::GenericDialect;
use datafusion::sql::sqlparser::keywords::Keyword;
use datafusion::sql::sqlparser::tokenizer::{Token, TokenWithSpan, Tokenizer};

use super::{GuardLimits, nesting, place, several_statements, syntax, too_complex};
use crate::service::{Position, QueryError};

/// Digits of a window frame's width.
const FRAME_DIGITS_MAX: usize = 18;

/// The tokens with `?` numbered, and the number of parameters.
pub(super) fn read(
    text: &str,
    limits: &GuardLimits,
) -> Result<(Vec<TokenWithSpan>, usize), QueryError> {
    let dialect = GenericDialect {};
    let mut tokens = Tokenizer::new(&dialect, text)
        .tokenize_with_location()
        .map_err(|e| {
            let hint = "close what is open: a text, a name in double quotes, a comment";
            syntax(super::first_lower(&e.message), hint).at(Position {
                line: e.location.line,
                column: e.location.column,
                length: None,
            })
        })?;
    let significant: Vec<&TokenWithSpan> = tokens.iter().filter(|t| is_significant(t)).collect();
    one_statement(&significant)?;
    count(&significant, limits)?;
    repeated_prefixes(&significant, limits)?;
    window_frames(&significant)?;
    nesting::check(&significant, limits)?;
    let parameters = number_parameters(&mut tokens, limits)?;
    Ok((tokens, parameters))
}

fn is_significant(token: &TokenWithSpan) -> bool {
    !matches!(token.token, Token::Whitespace(_) | Token::EOF)
}

/// Only semicolons may follow a semicolon.
fn one_statement(tokens: &[&TokenWithSpan]) -> Result<(), QueryError> {
    let begun = tokens.iter().position(|t| t.token != Token::SemiColon);
    let rest = &tokens[begun.unwrap_or(tokens.len())..];
    let ended = rest.iter().position(|t| t.token == Token::SemiColon);
    let after = rest[ended.unwrap_or(rest.len())..]
        .iter()
        .find(|t| t.token != Token::SemiColon);
    match after {
        Some(token) => Err(several_statements().at(place(token))),
        None => Ok(()),
    }
}

/// The unquoted word of a token that the parser knows.
pub(super) fn keyword(token: &Token) -> Keyword {
    match token {
        Token::Word(word) if word.quote_style.is_none() => word.keyword,
        _ => Keyword::NoKeyword,
    }
}

fn text_of(token: &Token) -> Option<&str> {
    match token {
        Token::SingleQuotedString(text)
        | Token::EscapedStringLiteral(text)
        | Token::UnicodeStringLiteral(text)
        | Token::NationalStringLiteral(text)
        | Token::HexStringLiteral(text)
        | Token::TripleSingleQuotedString(text)
        | Token::SingleQuotedRawStringLiteral(text)
        | Token::SingleQuotedByteStringLiteral(text)
        | Token::Number(text, _) => Some(text),
        Token::DollarQuotedString(quoted) => Some(&quoted.value),
        Token::QuoteDelimitedStringLiteral(quoted)
        | Token::NationalQuoteDelimitedStringLiteral(quoted) => Some(&quoted.value),
        _ => None,
    }
}

/// Is it a literal, or a name in quotes that the parser does not read as a word?
pub(super) fn is_text(token: &Token) -> bool {
    text_of(token).is_some()
        || matches!(
            token,
            Token::DoubleQuotedString(_)
                | Token::TripleDoubleQuotedString(_)
                | Token::DoubleQuotedByteStringLiteral(_)
                | Token::TripleSingleQuotedByteStringLiteral(_)
                | Token::TripleDoubleQuotedByteStringLiteral(_)
                | Token::DoubleQuotedRawStringLiteral(_)
                | Token::TripleSingleQuotedRawStringLiteral(_)
                | Token::TripleDoubleQuotedRawStringLiteral(_)
        )
}

fn count(tokens: &[&TokenWithSpan], limits: &GuardLimits) -> Result<(), QueryError> {
    let mut items = 0;
    for (index, token) in tokens.iter().enumerate() {
        let Some(text) = text_of(&token.token) else {
            continue;
        };
        if text.len() > limits.literal_bytes {
            let what = format!("a literal is longer than {} bytes", limits.literal_bytes);
            return Err(too_complex(what, "shorten it").at(place(token)));
        }
        let before = index.checked_sub(1).map(|i| &tokens[i].token);
        let after = tokens.get(index + 1).map(|t| &t.token);
        if matches!(before, Some(Token::LParen | Token::Comma))
            && matches!(after, Some(Token::RParen | Token::Comma))
        {
            items += 1;
        }
    }
    if items > limits.list_items {
        return Err(too_complex(
            format!("its lists have more than {} literals", limits.list_items),
            "join with a table, or ask in several statements",
        ));
    }
    // Every item brings its comma along.
    if tokens.len().saturating_sub(2 * items) > limits.tokens {
        return Err(too_complex(
            format!("it has more than {} words and signs", limits.tokens),
            "split it, or group by a column instead of listing its values",
        ));
    }
    Ok(())
}

/// Words after which the parser calls itself without counting, and set operations, which nest to
/// the left in the syntax tree.
fn repeated_prefixes(tokens: &[&TokenWithSpan], limits: &GuardLimits) -> Result<(), QueryError> {
    let mut sets = 0;
    let mut explains = 0;
    let explained = tokens
        .first()
        .is_some_and(|t| keyword(&t.token) == Keyword::EXPLAIN);
    let mut before = Keyword::NoKeyword;
    for token in tokens {
        let word = keyword(&token.token);
        match word {
            Keyword::UNION | Keyword::EXCEPT | Keyword::INTERSECT | Keyword::MINUS => sets += 1,
            Keyword::EXPLAIN => explains += 1,
            Keyword::INTERVAL if before == Keyword::INTERVAL => {
                let hint = "write INTERVAL '1 day'";
                return Err(syntax("INTERVAL after INTERVAL", hint).at(place(token)));
            }
            _ => {}
        }
        if explained && explains > 1 {
            let hint = "explain one query; a column of that name stands in double quotes";
            return Err(syntax("EXPLAIN in EXPLAIN", hint).at(place(token)));
        }
        if sets > limits.set_operations {
            return Err(too_many_sets(limits).at(place(token)));
        }
        before = word;
    }
    Ok(())
}

/// DataFusion adds the width of a frame to the number of a row, and may overflow.
fn window_frames(tokens: &[&TokenWithSpan]) -> Result<(), QueryError> {
    for pair in tokens.windows(2) {
        if let (Token::Number(width, _), Keyword::PRECEDING | Keyword::FOLLOWING) =
            (&pair[0].token, keyword(&pair[1].token))
            && width.len() > FRAME_DIGITS_MAX
        {
            let message = "a window frame is wider than any table";
            return Err(
                syntax(message, "write UNBOUNDED PRECEDING or UNBOUNDED FOLLOWING")
                    .at(place(pair[0])),
            );
        }
    }
    Ok(())
}

pub(super) fn too_many_sets(limits: &GuardLimits) -> QueryError {
    too_complex(
        format!(
            "it has more than {} UNION, EXCEPT, INTERSECT",
            limits.set_operations
        ),
        "select the rows of one table with IN, or ask in several statements",
    )
}

/// `?` becomes `$1`, `$2` ... in the order of the text. Tokens know what is a string, a name or
/// a comment.
fn number_parameters(
    tokens: &mut [TokenWithSpan],
    limits: &GuardLimits,
) -> Result<usize, QueryError> {
    let (mut questions, mut highest) = (0, 0);
    for token in tokens.iter_mut() {
        let Token::Placeholder(name) = &token.token else {
            continue;
        };
        let number = name.strip_prefix('$').and_then(|n| n.parse::<usize>().ok());
        match (name.as_str(), number) {
            ("?", _) => questions += 1,
            (_, Some(n)) if n >= 1 => highest = highest.max(n),
            _ => {
                let message = format!("{name} is no parameter");
                return Err(syntax(message, "write ?, or $1, $2 ...").at(place(token)));
            }
        }
        if questions > 0 && highest > 0 {
            let message = "? and $n are mixed";
            return Err(syntax(message, "write only ?, or only $1, $2 ...").at(place(token)));
        }
        if questions.max(highest) > limits.parameters {
            let message = format!("it has more than {} parameters", limits.parameters);
            return Err(too_complex(message, "send fewer values at a time").at(place(token)));
        }
        if questions > 0 {
            token.token = Token::Placeholder(format!("${questions}"));
        }
    }
    Ok(questions.max(highest))
}
