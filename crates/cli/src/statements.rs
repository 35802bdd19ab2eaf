//! Where SQL statements end: at a semicolon that is no part of a string, a quoted name or a
//! comment. The prompt and `callgauge sql` on a text share it.
//!
//! A statement that begins with a backslash is a command of the prompt and ends with its line.

/// A statement in a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Statement<'a> {
    /// Without its semicolon and the space around it.
    pub text: &'a str,
    /// The line on which it begins, from 1.
    pub line: usize,
}

/// The statements of a text, those without content left out; and is the last one ended? An open
/// string, name or comment is not.
pub fn split(text: &str) -> (Vec<Statement<'_>>, bool) {
    let mut found = Vec::new();
    let (mut at, mut ended) = (0, true);
    while at < text.len() {
        let start = at + blank(&text[at..]);
        if start == text.len() {
            // A comment without an end may go on in the next line.
            ended &= !is_open_comment(&text[at..]);
            break;
        }
        let end = end_of(text, start);
        let content = text[start..end.at].trim();
        if !content.is_empty() {
            let line = 1 + text[..start].matches('\n').count();
            found.push(Statement {
                text: content,
                line,
            });
            ended = end.ended;
        }
        at = end.next;
    }
    (found, ended)
}

/// Where a statement stops.
struct End {
    /// Behind its last character.
    at: usize,
    /// Behind the semicolon.
    next: usize,
    ended: bool,
}

fn end_of(text: &str, start: usize) -> End {
    let rest = &text[start..];
    if rest.starts_with('\\') {
        let line = rest.find('\n');
        let next = line.map_or(text.len(), |line| start + line + 1);
        let at = line.map_or(text.len(), |line| start + line);
        return End {
            at,
            next,
            ended: true,
        };
    }
    let mut at = start;
    let mut before = None;
    while let Some(c) = text[at..].chars().next() {
        if c == ';' {
            let next = at + 1;
            return End {
                at,
                next,
                ended: true,
            };
        }
        match token(&text[at..], before) {
            Token::Whole(length) => at += length,
            Token::Open => {
                let at = text.len();
                return End {
                    at,
                    next: at,
                    ended: false,
                };
            }
        }
        before = text[..at].chars().next_back();
    }
    End {
        at,
        next: at,
        ended: false,
    }
}

/// One character, or a run in which a semicolon means nothing.
enum Token {
    /// So many bytes.
    Whole(usize),
    /// A run that does not end in the text.
    Open,
}

fn token(text: &str, before: Option<char>) -> Token {
    let first = text.chars().next().map_or(0, char::len_utf8);
    let run = |length: Option<usize>| length.map_or(Token::Open, Token::Whole);
    let in_word = |c: char| c.is_alphanumeric() || c == '_';
    match text.as_bytes() {
        [b'-', b'-', ..] => Token::Whole(text.find('\n').unwrap_or(text.len())),
        [b'/', b'*', ..] => run(block_comment(text)),
        [b'\'', ..] => run(quoted(text, '\'', false)),
        [b'"', ..] => run(quoted(text, '"', false)),
        [b'`', ..] => run(quoted(text, '`', false)),
        [b'e' | b'E', b'\'', ..] if !before.is_some_and(in_word) => {
            run(quoted(&text[1..], '\'', true).map(|length| 1 + length))
        }
        [b'$', ..] if !before.is_some_and(in_word) => match dollar_tag(text) {
            Some(tag) => run(text[tag.len()..]
                .find(tag)
                .map(|inner| 2 * tag.len() + inner)),
            None => Token::Whole(first),
        },
        _ => Token::Whole(first),
    }
}

/// Length of a run in quotes; a doubled quote stands for one, with `escapes` also `\'`.
fn quoted(text: &str, quote: char, escapes: bool) -> Option<usize> {
    let mut chars = text.char_indices().skip(1).peekable();
    while let Some((at, c)) = chars.next() {
        if escapes && c == '\\' {
            chars.next();
        } else if c == quote && chars.next_if(|(_, next)| *next == quote).is_none() {
            return Some(at + quote.len_utf8());
        }
    }
    None
}

/// Length of a comment, which may hold others.
fn block_comment(text: &str) -> Option<usize> {
    let mut depth = 0_usize;
    let mut at = 0;
    while let Some(found) = text[at..].find(['/', '*']) {
        at += found;
        match text.as_bytes()[at..] {
            [b'/', b'*', ..] => (depth, at) = (depth + 1, at + 2),
            [b'*', b'/', ..] => (depth, at) = (depth.saturating_sub(1), at + 2),
            _ => at += 1,
        }
        if depth == 0 {
            return Some(at);
        }
    }
    None
}

/// `$$` or `$name$` at the start of the text.
fn dollar_tag(text: &str) -> Option<&str> {
    let length = text[1..].find('$')?;
    let name = &text[1..=length];
    let of_name = |c: char| c.is_alphanumeric() || c == '_';
    let sound = name.chars().all(of_name) && !name.starts_with(|c: char| c.is_ascii_digit());
    sound.then(|| &text[..length + 2])
}

/// Length of the space and the comments at the start of a text. A comment that does not end is
/// blank too.
fn blank(text: &str) -> usize {
    let mut at = 0;
    loop {
        let rest = text[at..].trim_start();
        at = text.len() - rest.len();
        let comment = rest.starts_with("--") || rest.starts_with("/*");
        match token(rest, None) {
            Token::Whole(length) if comment => at += length,
            Token::Open if comment => return text.len(),
            _ => return at,
        }
    }
}

fn is_open_comment(blank: &str) -> bool {
    let mut at = 0;
    while let Some(start) = blank[at..].find(['-', '/']) {
        at += start;
        match token(&blank[at..], None) {
            Token::Whole(length) => at += length,
            Token::Open => return true,
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The statements, `…` behind the last one if it goes on.
    fn check(text: &str, expected: &[&str]) {
        let (found, ended) = split(text);
        let mut found: Vec<String> = found.iter().map(|s| s.text.to_owned()).collect();
        if !ended {
            found.push("…".to_owned());
        }
        assert_eq!(found, expected, "{text:?}");
    }

    #[test]
    fn statements_end_at_semicolons_wherever_the_lines_do() {
        check("SELECT 1; SELECT 2;", &["SELECT 1", "SELECT 2"]);
        check(
            "SELECT 1;\r\nSELECT\r\n2;\r\n",
            &["SELECT 1", "SELECT\r\n2"],
        );
        check("SELECT 1;SELECT\n2", &["SELECT 1", "SELECT\n2", "…"]);
        check(" ;; \n ; ", &[]);
        check("", &[]);
    }

    #[test]
    fn a_semicolon_in_a_string_or_a_name_ends_nothing() {
        check(
            "SELECT 'a;\n;b'; SELECT 2;",
            &["SELECT 'a;\n;b'", "SELECT 2"],
        );
        check("SELECT 'it''s;' ; x;", &["SELECT 'it''s;'", "x"]);
        check("SELECT \"a;\"\";b\" ;", &["SELECT \"a;\"\";b\""]);
        check("SELECT `a;b`;", &["SELECT `a;b`"]);
        check(r"SELECT E'it\';s' ; x;", &[r"SELECT E'it\';s'", "x"]);
        check(r"SELECT 'a\' ; x;", &[r"SELECT 'a\'", "x"]);
        check("SELECT '账单;' ;", &["SELECT '账单;'"]);
        check("SELECT 'open;", &["SELECT 'open;", "…"]);
    }

    #[test]
    fn a_semicolon_in_a_comment_ends_nothing() {
        check("SELECT 1 -- one; two\n+ 2;", &["SELECT 1 -- one; two\n+ 2"]);
        check(
            "SELECT /* ; /* ; */ ; */ 1;",
            &["SELECT /* ; /* ; */ ; */ 1"],
        );
        check("-- only; a comment\n/* and; one */", &[]);
        check("-- it's one\nSELECT 1; -- done", &["SELECT 1"]);
        check("SELECT 1; /* open", &["SELECT 1", "…"]);
        check("SELECT 1 - 2 / 3 * 4;", &["SELECT 1 - 2 / 3 * 4"]);
    }

    #[test]
    fn dollar_quotes_hold_anything_and_placeholders_are_none() {
        check("SELECT $$a;'b$$ ; x;", &["SELECT $$a;'b$$", "x"]);
        check("SELECT $q$ ; $$ ; $q$;", &["SELECT $q$ ; $$ ; $q$"]);
        check("SELECT $1; SELECT $2;", &["SELECT $1", "SELECT $2"]);
        check("SELECT a$b; SELECT c$d;", &["SELECT a$b", "SELECT c$d"]);
    }

    #[test]
    fn a_command_ends_with_its_line() {
        check("\\d legs\nSELECT 1;", &["\\d legs", "SELECT 1"]);
        check("SELECT 1;\n\\q", &["SELECT 1", "\\q"]);
    }

    #[test]
    fn lines_are_counted_where_statements_begin() {
        let (found, _) = split("-- first\nSELECT 1;\n\n  SELECT\n 2;");
        let lines: Vec<usize> = found.iter().map(|s| s.line).collect();
        assert_eq!(lines, [2, 4]);
    }
}
