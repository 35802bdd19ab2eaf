//! Reading a whole mapping file: the table, its clock, its key, its events.

use chrono::format::{Item, StrftimeItems};
use encoding_rs::{Encoding, UTF_8};
use events::{ID_BYTES_MAX, Text};
use serde::{Deserialize, de::IntoDeserializer, de::value::Error as NameError};

use super::{
    Problem,
    node::{self, Node, Problems, Yaml, join, known_hint},
    rule::{Rule, RuleReader},
    value::{Columns, TimeFormat},
};
use crate::local_time::{LocalClock, MissingHour, RepeatedHour};

/// A checked mapping.
#[derive(Debug)]
pub(super) struct Spec {
    /// Name of the mapping file, for problems found later.
    pub file: String,
    pub source: Text,
    pub table: Table,
    pub time: TimeFormat,
    pub resolution: Option<String>,
    pub columns: Columns,
    /// Slots of the columns that identify a row.
    pub row_key: Vec<usize>,
    pub rules: Vec<Rule>,
}

/// How the table is written.
#[derive(Debug)]
pub(super) struct Table {
    pub delimiter: char,
    pub quote: Option<char>,
    pub encoding: &'static Encoding,
    /// Column names where the file has no header line.
    pub columns: Option<Vec<String>>,
    pub nulls: Vec<String>,
}

/// Reads and checks a mapping.
pub(super) fn parse(file: &str, text: &str) -> Result<Spec, Vec<Problem>> {
    let root = node::read(file, text).map_err(|problem| vec![problem])?;
    let mut problems = Problems::new(file);
    let spec = read(file, &root, &mut problems);
    match spec {
        Some(spec) if problems.is_empty() => Ok(spec),
        _ => Err(problems.finish()),
    }
}

fn read(file: &str, root: &Node, problems: &mut Problems) -> Option<Spec> {
    let keys = ["format", "source", "file", "time", "row_key", "emit"];
    problems.only_keys(root, "", &keys);
    let format = problems.text(root, "", "format", "1");
    if let Some(format) = format.filter(|format| format != "1") {
        let place = root.get("format").unwrap_or(root);
        problems.add(
            place,
            "format",
            format!("format {format} is not known"),
            "write `format: 1`",
        );
    }
    let source = problems.text(root, "", "source", "my_pbx");
    if source
        .as_ref()
        .is_some_and(|s| s.is_empty() || s.len() > ID_BYTES_MAX)
    {
        let place = root.get("source").unwrap_or(root);
        problems.add(place, "source", "must have 1 to 128 bytes", "");
    }
    let table = table(root.get("file"), problems);
    let (time, resolution) = time(root, problems);
    let mut columns = Columns::default();
    let row_key = row_key(root, &mut columns, problems);
    let rules = rules(root, &mut columns, problems);
    Some(Spec {
        file: file.to_owned(),
        source: Text::from(source?),
        table: table?,
        time: time?,
        resolution,
        columns,
        row_key: row_key?,
        rules,
    })
}

fn row_key(root: &Node, columns: &mut Columns, problems: &mut Problems) -> Option<Vec<usize>> {
    let node = root.get("row_key");
    match node.map(|node| &node.yaml) {
        Some(Yaml::List(items)) if !items.is_empty() => items
            .iter()
            .map(|item| {
                let name = item.text()?;
                Some(columns.slot(&name, (item.line, item.column), "row_key"))
            })
            .collect(),
        _ => {
            let hint = "name the columns that identify a row: `row_key: [call_id]`";
            problems.add(
                node.unwrap_or(root),
                "row_key",
                "must be a list of columns",
                hint,
            );
            None
        }
    }
}

fn rules(root: &Node, columns: &mut Columns, problems: &mut Problems) -> Vec<Rule> {
    let mut rules = Vec::new();
    let node = root.get("emit");
    let Some(Yaml::List(items)) = node.map(|node| &node.yaml) else {
        let hint = "list the events that a row means: `- event: interaction.started`";
        problems.add(
            node.unwrap_or(root),
            "emit",
            "must be a list of events",
            hint,
        );
        return rules;
    };
    let mut reader = RuleReader { problems, columns };
    for (i, item) in items.iter().enumerate() {
        let rule = reader.rule(item, &format!("emit[{i}]"), &rules);
        rules.extend(rule);
    }
    rules
}

fn table(node: Option<&Node>, problems: &mut Problems) -> Option<Table> {
    let table = Table {
        delimiter: ',',
        quote: Some('"'),
        encoding: UTF_8,
        columns: None,
        nulls: vec![String::new()],
    };
    let Some(node) = node else { return Some(table) };
    let keys = [
        "delimiter",
        "quote",
        "encoding",
        "header",
        "columns",
        "nulls",
    ];
    problems.only_keys(node, "file", &keys);
    let delimiter = character(node, "delimiter", problems)?
        .flatten()
        .unwrap_or(table.delimiter);
    let quote = character(node, "quote", problems)?.unwrap_or(table.quote);
    let encoding = encoding(node, problems)?;
    let nulls = match node.get("nulls") {
        Some(nulls) => texts(nulls, "file.nulls", problems)?,
        None => table.nulls,
    };
    Some(Table {
        delimiter,
        quote,
        encoding,
        columns: columns(node, problems)?,
        nulls,
    })
}

/// One ASCII character; `none` is `Some(None)`. The outer `None` is a problem.
fn character(node: &Node, name: &str, problems: &mut Problems) -> Option<Option<Option<char>>> {
    let Some(value) = node.get(name) else {
        return Some(None);
    };
    let text = value.text().unwrap_or_default();
    let text = if text == "tab" || text == "\\t" {
        "\t"
    } else {
        text.as_str()
    };
    let mut chars = text.chars();
    match (chars.next(), chars.next()) {
        (Some(one), None) if one.is_ascii() && one != '\n' && one != '\r' => Some(Some(Some(one))),
        _ if name == "quote" && text == "none" => Some(Some(None)),
        _ => {
            let hint = format!("write `{name}: \";\"` or `{name}: tab`");
            problems.add(
                value,
                &join("file", name),
                "must be one ASCII character",
                &hint,
            );
            None
        }
    }
}

fn encoding(node: &Node, problems: &mut Problems) -> Option<&'static Encoding> {
    let Some(value) = node.get("encoding") else {
        return Some(UTF_8);
    };
    let label = value.text().unwrap_or_default();
    match Encoding::for_label(label.as_bytes()) {
        Some(found) if found.is_ascii_compatible() => Some(found),
        found => {
            let what = if found.is_some() {
                "cannot be read line by line"
            } else {
                "is not known"
            };
            let hint = "known: utf-8, gb18030, gbk, big5, windows-1252, shift_jis, euc-kr ...; \
                        convert UTF-16 to UTF-8 first";
            problems.add(
                value,
                "file.encoding",
                format!("encoding '{label}' {what}"),
                hint,
            );
            None
        }
    }
}

/// The names of the columns of a file without header line.
fn columns(node: &Node, problems: &mut Problems) -> Option<Option<Vec<String>>> {
    let header = node
        .get("header")
        .map_or(Some("true".to_owned()), Node::text);
    match (header.as_deref(), node.get("columns")) {
        (Some("true"), None) => Some(None),
        (Some("false"), Some(columns)) => texts(columns, "file.columns", problems).map(Some),
        (Some("false"), None) => {
            let hint = "name the columns: `columns: [call_id, start, end]`";
            problems.add(
                node,
                "file.columns",
                "is missing for a file without header",
                hint,
            );
            None
        }
        (Some("true"), Some(columns)) => {
            let hint = "leave `columns` out, or write `header: false`";
            problems.add(columns, "file.columns", "is for files without header", hint);
            None
        }
        _ => {
            problems.add(node, "file.header", "must be true or false", "");
            None
        }
    }
}

fn texts(node: &Node, key: &str, problems: &mut Problems) -> Option<Vec<String>> {
    let texts = match &node.yaml {
        Yaml::List(items) => items.iter().map(Node::text).collect(),
        _ => None,
    };
    if texts.is_none() {
        problems.add(
            node,
            key,
            "must be a list of texts",
            "write `[\"\", \"NULL\"]`",
        );
    }
    texts
}

fn time(root: &Node, problems: &mut Problems) -> (Option<TimeFormat>, Option<String>) {
    let Some(node) = root.get("time") else {
        let hint = "add `time: { zone: Asia/Shanghai, format: \"%Y-%m-%d %H:%M:%S\", \
                    repeated_hour: earlier, missing_hour: reject }`";
        problems.add(root, "time", "is missing", hint);
        return (None, None);
    };
    let keys = [
        "zone",
        "format",
        "repeated_hour",
        "missing_hour",
        "resolution",
    ];
    problems.only_keys(node, "time", &keys);
    let resolution = node.get("resolution").and_then(Node::text);
    if let (Some(text), Some(value)) = (&resolution, node.get("resolution")) {
        let known = ["1us", "1ms", "1s", "1min"];
        if !known.contains(&text.as_str()) {
            let message = format!("'{text}' is not known");
            problems.add(value, "time.resolution", message, &known_hint(text, &known));
        }
    }
    let format = node.get("format").and_then(Node::text);
    let format = match format.as_deref() {
        Some("rfc3339") => Some(TimeFormat::Rfc3339),
        Some("epoch_s") => Some(TimeFormat::EpochSeconds),
        Some("epoch_ms") => Some(TimeFormat::EpochMillis),
        other => local(node, other.unwrap_or("%Y-%m-%d %H:%M:%S%.f"), problems),
    };
    (format, resolution)
}

/// A local clock: a format, a zone and two choices, none of them guessed.
fn local(node: &Node, format: &str, problems: &mut Problems) -> Option<TimeFormat> {
    let items: Vec<Item<'static>> = StrftimeItems::new(format).map(Item::to_owned).collect();
    let readable = !items.iter().any(|item| matches!(item, Item::Error));
    if !readable {
        let hint = "as \"%Y-%m-%d %H:%M:%S\", or rfc3339, epoch_s, epoch_ms";
        let place = node.get("format").unwrap_or(node);
        problems.add(
            place,
            "time.format",
            format!("'{format}' is no time format"),
            hint,
        );
    }
    let zone = problems.text(node, "time", "zone", "Asia/Shanghai");
    let repeated =
        choice::<RepeatedHour>(node, "repeated_hour", "earlier, later, reject", problems);
    let missing = choice::<MissingHour>(node, "missing_hour", "reject, shift", problems);
    match LocalClock::new(&zone?, repeated?, missing?) {
        Ok(clock) if readable => Some(TimeFormat::Local {
            items,
            text: format.into(),
            clock,
        }),
        Ok(_) => None,
        Err(error) => {
            let place = node.get("zone").unwrap_or(node);
            problems.add(place, "time.zone", error.to_string(), "");
            None
        }
    }
}

fn choice<'de, T: Deserialize<'de>>(
    node: &Node,
    name: &str,
    allowed: &str,
    problems: &mut Problems,
) -> Option<T> {
    let first = allowed.split(',').next().unwrap_or_default();
    let text = problems.text(node, "time", name, first)?;
    let read = T::deserialize(IntoDeserializer::<NameError>::into_deserializer(
        text.clone(),
    ));
    if read.is_err() {
        let place = node.get(name).unwrap_or(node);
        let message = format!("'{text}' is not known");
        problems.add(
            place,
            &join("time", name),
            message,
            &format!("one of {allowed}"),
        );
    }
    read.ok()
}
