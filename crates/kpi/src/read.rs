//! Reads YAML into the raw form and turns the reader's errors into problems with place and hint.

use serde::de::DeserializeOwned;
use serde_saphyr::{Error, MessageFormatter, Options, UserMessageFormatter};

use crate::place::{InFile, Pos};
use crate::problem::Problem;
use crate::words;

/// A text file: a definition file or a targets file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceFile {
    /// What messages call it.
    pub name: String,
    /// Its text.
    pub text: String,
}

/// Reads the file of number `file`; the first slip of shape ends it.
pub(crate) fn read<T: DeserializeOwned + InFile>(
    source: &SourceFile,
    file: usize,
) -> Result<T, Problem> {
    let options: Options = serde_saphyr::options! { strict_booleans: true };
    match serde_saphyr::from_str_with_options::<T>(&source.text, options) {
        Ok(mut value) => {
            value.set_file(file);
            Ok(value)
        }
        Err(error) => Err(problem(source, error.without_snippet())),
    }
}

fn problem(source: &SourceFile, error: &Error) -> Problem {
    let place = error.location();
    let narrow = |n: u64| u32::try_from(n).unwrap_or(u32::MAX).max(1);
    let (message, hint) = explain(error);
    Problem {
        file: source.name.clone(),
        line: place.map_or(1, |l| narrow(l.line())),
        column: place.map_or(1, |l| narrow(l.column())),
        kpi: None,
        message,
        hint,
    }
}

fn explain(error: &Error) -> (String, Option<String>) {
    match error {
        Error::SerdeUnknownField {
            field, expected, ..
        } => (
            format!("unknown key `{field}`"),
            Some(words::suggest(field, expected.iter().copied(), "keys here")),
        ),
        Error::SerdeUnknownVariant {
            variant, expected, ..
        } => (
            format!("`{variant}` is not one of: {}", expected.join(", ")),
            words::nearest(variant, expected.iter().copied())
                .map(|near| format!("did you mean `{near}`?")),
        ),
        Error::SerdeMissingField { field, .. } => (
            format!("the key `{field}` is missing"),
            Some(format!("add `{field}:`")),
        ),
        Error::DuplicateMappingKey { key, .. } => {
            let key = key.as_deref().unwrap_or("?");
            (
                format!("the key `{key}` stands here twice"),
                Some("keep one of them".to_owned()),
            )
        }
        Error::SerdeInvalidType {
            unexpected,
            expected,
            ..
        }
        | Error::SerdeInvalidValue {
            unexpected,
            expected,
            ..
        } => (format!("expected {expected}, found {unexpected}"), None),
        Error::Unexpected { expected, .. } => (wanted(expected), None),
        Error::InvalidScalar { ty, .. } => (wanted(ty), None),
        Error::InvalidBooleanStrict { .. } => (wanted("boolean"), None),
        Error::NullIntoString { .. } => ("a text belongs here, not null".to_owned(), None),
        other => {
            let message = UserMessageFormatter.format_message(other).into_owned();
            (
                message,
                Some("look at the indentation, brackets and quotes before it".to_owned()),
            )
        }
    }
}

/// What the reader expected, in plain words.
fn wanted(expected: &str) -> String {
    let what = match expected {
        "sequence start" => "a list belongs here: write `[...]`",
        "mapping start" => "a mapping belongs here: write `{ key: value }`",
        "string scalar" | "string" => "a text belongs here",
        "boolean" => "true or false belongs here",
        number if number.starts_with(['u', 'i']) && number.len() <= 4 => {
            "a whole number belongs here"
        }
        other => return format!("expected {other}"),
    };
    what.to_owned()
}

/// The files that were read, for messages.
pub(crate) struct Sources<'a> {
    pub files: Vec<&'a SourceFile>,
}

impl Sources<'_> {
    pub fn name(&self, pos: Pos) -> &str {
        self.files.get(pos.file).map_or("", |file| &file.name)
    }

    /// The spot `offset` characters into the text that begins at `pos`, if the text stands in the
    /// file as it is; else the beginning.
    pub fn within(&self, pos: Pos, text: &str, offset: usize) -> Pos {
        let Some(file) = self.files.get(pos.file) else {
            return pos;
        };
        let Some(line) = file.text.lines().nth(pos.line.saturating_sub(1) as usize) else {
            return pos;
        };
        let from = pos.column.saturating_sub(1) as usize;
        let rest: String = line.chars().skip(from).collect();
        let quote = usize::from(rest.starts_with(['"', '\'']));
        if !rest.get(quote..).is_some_and(|r| r.starts_with(text)) {
            return pos;
        }
        let moved = u32::try_from(quote + offset).unwrap_or(0);
        Pos {
            column: pos.column.saturating_add(moved),
            ..pos
        }
    }
}
