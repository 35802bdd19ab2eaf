//! `where` of an entry in `targets.yml` or `params.yml`: the dimension values that it is for.

use std::collections::BTreeMap;

use events::Channel;

use crate::place::{At, Named, Pos, Scalar};
use crate::read::SourceFile;
use crate::targets::Refusal;
use crate::words;

/// Each dimension and its value, as rows have it.
///
/// # Errors
/// A value that no row can have, or one that YAML reads as another one than is written: an entry
/// that never fits would be silent.
pub(crate) fn matches(
    source: &SourceFile,
    named: Option<&Named<Scalar>>,
) -> Result<BTreeMap<String, String>, Refusal> {
    let mut matches = BTreeMap::new();
    for (dimension, value) in named.iter().flat_map(|named| &named.0) {
        let text = text_of(source, dimension, value)?;
        if dimension == "channel" && Channel::parse(&text).is_none() {
            let known = Channel::ALL.iter().map(|channel| channel.as_str());
            let hint = words::suggest(&text, known, "channels");
            return Err((value.pos, format!("there is no channel `{text}`"), hint));
        }
        matches.insert(dimension.clone(), text);
    }
    Ok(matches)
}

fn text_of(source: &SourceFile, dimension: &str, value: &At<Scalar>) -> Result<String, Refusal> {
    let read = value.to_string();
    match &value.value {
        Scalar::Text(_) => Ok(read),
        Scalar::Int(_) | Scalar::Bool(_) if written(source, value.pos) == Some(read.as_str()) => {
            Ok(read)
        }
        Scalar::Int(_) | Scalar::Bool(_) | Scalar::Float(_) => {
            let written = written(source, value.pos).unwrap_or(read.as_str());
            let message = format!("`{written}` is read as {read}, not as it is written");
            let hint = format!("put it in quotes: '{written}'");
            Err((value.pos, message, hint))
        }
        Scalar::Null | Scalar::List(_) => {
            let hint = match value.value {
                Scalar::Null => "name one, or leave the dimension out: then it is for all of them",
                _ => "one value an entry: write one entry for each",
            };
            let message = format!("`{read}` is no value of `{dimension}`");
            Err((value.pos, message, hint.to_owned()))
        }
    }
}

/// The word that stands at a spot, up to what ends a number in YAML.
fn written(source: &SourceFile, pos: Pos) -> Option<&str> {
    let line = source.text.lines().nth(pos.line.checked_sub(1)? as usize)?;
    let (start, _) = line
        .char_indices()
        .nth(pos.column.checked_sub(1)? as usize)?;
    line[start..].split([',', '}', ']', ' ', '\t']).next()
}
