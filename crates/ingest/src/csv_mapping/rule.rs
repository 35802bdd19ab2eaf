//! Reading `emit`: which events a row means, and how each field gets its value.

use events::{VOCABULARY, decode::EventSpec, decode::FieldKind, decode::FieldSpec};
use serde_json::Value as Json;

use super::{
    condition::Condition,
    node::{Node, Problems, Yaml, join, known_hint},
    value::{Columns, Duration, DurationUnit, Piece, Time, Value},
};

/// One event that a row may mean.
#[derive(Debug)]
pub(super) struct Rule {
    pub event: &'static EventSpec,
    /// Tells apart rules of one type: 1, 2 …
    pub number: usize,
    pub at: Time,
    pub when: Option<Condition>,
    pub data: Vec<(String, Value)>,
}

/// Reads rules; what is wrong is noted in `problems`.
pub(super) struct RuleReader<'a> {
    pub problems: &'a mut Problems,
    pub columns: &'a mut Columns,
}

impl RuleReader<'_> {
    /// Reads one entry of `emit`.
    pub fn rule(&mut self, node: &Node, key: &str, before: &[Rule]) -> Option<Rule> {
        self.problems
            .only_keys(node, key, &["event", "at", "when", "data", "attributes"]);
        let name = self.problems.text(node, key, "event", "queue.entered")?;
        let Some(event) = VOCABULARY.iter().find(|spec| spec.event_type == name) else {
            let known: Vec<&str> = VOCABULARY.iter().map(|spec| spec.event_type).collect();
            let (place, hint) = (node.get("event").unwrap_or(node), known_hint(&name, &known));
            let message = format!("there is no event '{name}'");
            self.problems
                .add(place, &join(key, "event"), message, &hint);
            return None;
        };
        let at = match node.get("at") {
            Some(at) => self.time(at, &join(key, "at")),
            None => {
                let hint = "name the column of its time: `at: call_time`";
                self.problems
                    .add(node, &join(key, "at"), "is missing", hint);
                None
            }
        };
        let when = node
            .get("when")
            .and_then(|when| self.condition(when, &join(key, "when")));
        let data = self.data(node, key, event);
        let number = 1 + before.iter().filter(|r| r.event.event_type == name).count();
        Some(Rule {
            event,
            number,
            at: at?,
            when,
            data,
        })
    }

    fn condition(&mut self, node: &Node, key: &str) -> Option<Condition> {
        let hint = "as `answer_time IS NOT NULL AND result = 'ok'`";
        let Some(text) = node.text() else {
            self.problems.add(node, key, "must be a condition", hint);
            return None;
        };
        match self.columns.condition(&text, (node.line, node.column), key) {
            Ok(condition) => Some(condition),
            Err(message) => {
                self.problems.add(node, key, message, hint);
                None
            }
        }
    }

    fn data(&mut self, node: &Node, key: &str, event: &EventSpec) -> Vec<(String, Value)> {
        let mut data = Vec::new();
        let data_key = join(key, "data");
        if let Some(fields) = node.get("data") {
            let known: Vec<&str> = event.fields.iter().map(|field| field.name).collect();
            self.problems.only_keys(fields, &data_key, &known);
            for field in event.fields {
                let Some(value) = fields.get(field.name) else {
                    continue;
                };
                let field_key = join(&data_key, field.name);
                if let Some(value) = self.field(value, &field_key, field) {
                    data.push((field.name.to_owned(), value));
                }
            }
        }
        self.required(node, &data_key, event);
        data.extend(self.attributes(node, key, event));
        data
    }

    fn required(&mut self, node: &Node, key: &str, event: &EventSpec) {
        let data = node.get("data");
        for field in event.fields.iter().filter(|field| field.required) {
            if data.and_then(|d| d.get(field.name)).is_none() {
                let message = format!("{} needs it", event.event_type);
                let hint = format!("add `{}: column` or `{{ const: ... }}`", field.name);
                self.problems
                    .add(data.unwrap_or(node), &join(key, field.name), message, &hint);
            }
        }
    }

    /// Further columns to keep with the event, as text.
    fn attributes(&mut self, node: &Node, key: &str, event: &EventSpec) -> Vec<(String, Value)> {
        let key = join(key, "attributes");
        let Some(attributes) = node.get("attributes") else {
            return Vec::new();
        };
        let Yaml::Map(entries) = &attributes.yaml else {
            let hint = "write `attributes: { name: column }`";
            self.problems
                .add(attributes, &key, "must be a map of names", hint);
            return Vec::new();
        };
        let mut read = Vec::new();
        for (name, value) in entries {
            let key = join(&key, name);
            if event.fields.iter().any(|field| field.name == name) {
                let message = format!("'{name}' is a field of {}", event.event_type);
                self.problems.add(value, &key, message, "move it to `data`");
            } else if let Some(value) = self.value(value, &key) {
                read.push((name.clone(), value));
            }
        }
        read
    }

    /// A value for a field: a plain column is read as what the field holds.
    fn field(&mut self, node: &Node, key: &str, field: &FieldSpec) -> Option<Value> {
        if field.kind == FieldKind::Time && node.get("const").is_none() {
            return self.time(node, key).map(Value::Time);
        }
        let value = self.value(node, key)?;
        if let FieldKind::List(allowed) = field.kind {
            self.members(node, key, &value, allowed);
        }
        match (value, field.kind) {
            (Value::Column(column), FieldKind::Integer) => Some(Value::Integer(column)),
            (Value::Column(column), FieldKind::Boolean) => {
                let words = |word: &str| vec![word.to_owned()];
                Some(Value::Boolean {
                    column,
                    yes: words("true"),
                    no: words("false"),
                })
            }
            (Value::Column(_), FieldKind::Texts) => {
                let hint = "write `{ list: column, separator: \";\" }`";
                self.problems.add(node, key, "holds a list of texts", hint);
                None
            }
            (value, _) => Some(value),
        }
    }

    /// Fixed values of a field with a closed list must be in it.
    fn members(&mut self, node: &Node, key: &str, value: &Value, allowed: &[&str]) {
        let fixed: Vec<&Json> = match value {
            Value::Const(value) => vec![value],
            Value::Map { values, other, .. } => values
                .iter()
                .map(|(_, to)| to)
                .chain(other.as_ref())
                .collect(),
            _ => Vec::new(),
        };
        for value in fixed.into_iter().filter(|value| !value.is_null()) {
            let text = value.as_str().unwrap_or("");
            if !allowed.contains(&text) {
                let message = format!("{value} is not in the list of this field");
                self.problems
                    .add(node, key, message, &known_hint(text, allowed));
            }
        }
    }

    fn value(&mut self, node: &Node, key: &str) -> Option<Value> {
        if let Some(name) = node.text() {
            return Some(Value::Column(self.slot(&name, node, key)));
        }
        let forms = "write a column name, or one of { const }, { concat }, { map, values }, \
                     { boolean, true, false }, { seconds }, { minutes }, { milliseconds }, \
                     { hms }, { integer }, { list, separator }, { first_of }, { object }, \
                     { array }";
        let Yaml::Map(entries) = &node.yaml else {
            self.problems
                .add(node, key, "must be a column name or a form", forms);
            return None;
        };
        let Some((form, inner)) = entries.first() else {
            self.problems.add(node, key, "is empty", forms);
            return None;
        };
        let key = join(key, form);
        match form.as_str() {
            "map" => self.map_form(node, inner, &key),
            "boolean" => self.boolean_form(node, inner, &key),
            "list" => self.list_form(node, inner, &key),
            _ if entries.len() > 1 => {
                self.problems
                    .add(node, &key, "has more than one key", forms);
                None
            }
            "const" => Some(Value::Const(inner.json())),
            "concat" => self.pieces(inner, &key).map(Value::Concat),
            "integer" => self.column(inner, &key).map(Value::Integer),
            "first_of" => self.values(inner, &key).map(Value::FirstOf),
            "array" => self.values(inner, &key).map(Value::Array),
            "object" => self.object_form(inner, &key),
            form => match unit_of(form) {
                Some(unit) => {
                    let column = self.column(inner, &key)?;
                    Some(Value::Duration(Duration { column, unit }))
                }
                None => {
                    self.problems
                        .add(node, &key, format!("unknown form '{form}'"), forms);
                    None
                }
            },
        }
    }

    fn map_form(&mut self, node: &Node, inner: &Node, key: &str) -> Option<Value> {
        self.problems
            .only_keys(node, key, &["map", "values", "other"]);
        let column = self.column(inner, key)?;
        let Some(Yaml::Map(entries)) = node.get("values").map(|values| &values.yaml) else {
            let hint = "write `{ map: result, values: { ok: answered } }`";
            self.problems.add(node, key, "needs `values`, a map", hint);
            return None;
        };
        let values = entries
            .iter()
            .map(|(from, to)| (from.clone(), to.json()))
            .collect();
        Some(Value::Map {
            column,
            values,
            other: node.get("other").map(Node::json),
        })
    }

    fn boolean_form(&mut self, node: &Node, inner: &Node, key: &str) -> Option<Value> {
        self.problems
            .only_keys(node, key, &["boolean", "true", "false"]);
        let column = self.column(inner, key)?;
        let mut words = |name: &str| {
            let list = match node.get(name).map(|words| (&words.yaml, words.text())) {
                Some((Yaml::List(items), _)) => items.iter().map(Node::text).collect(),
                Some((_, Some(word))) => Some(vec![word]),
                _ => None,
            };
            if list.is_none() {
                let hint = "write `{ boolean: column, true: [Y], false: [N] }`";
                self.problems
                    .add(node, key, format!("needs `{name}`, a list of texts"), hint);
            }
            list
        };
        let (yes, no) = (words("true"), words("false"));
        Some(Value::Boolean {
            column,
            yes: yes?,
            no: no?,
        })
    }

    fn list_form(&mut self, node: &Node, inner: &Node, key: &str) -> Option<Value> {
        self.problems.only_keys(node, key, &["list", "separator"]);
        let column = self.column(inner, key)?;
        let separator = node
            .get("separator")
            .and_then(Node::text)
            .filter(|s| !s.is_empty());
        if separator.is_none() {
            let hint = "write `{ list: skills, separator: \";\" }`";
            self.problems.add(node, key, "needs a `separator`", hint);
        }
        Some(Value::List {
            column,
            separator: separator?,
        })
    }

    fn object_form(&mut self, inner: &Node, key: &str) -> Option<Value> {
        let Yaml::Map(entries) = &inner.yaml else {
            let hint = "write `{ object: { amount: price, currency: { const: EUR } } }`";
            self.problems
                .add(inner, key, "must be a map of values", hint);
            return None;
        };
        let read = entries.iter().map(|(name, value)| {
            let value = self.value(value, &join(key, name))?;
            Some((name.clone(), value))
        });
        read.collect::<Option<Vec<_>>>().map(Value::Object)
    }

    fn values(&mut self, inner: &Node, key: &str) -> Option<Vec<Value>> {
        let items = self.items(inner, key)?;
        items.iter().map(|item| self.value(item, key)).collect()
    }

    /// A moment: a column, `concat`, `first_of` or `add`.
    fn time(&mut self, node: &Node, key: &str) -> Option<Time> {
        if let Some(name) = node.text() {
            return Some(Time::Text(vec![Piece::Column(self.slot(&name, node, key))]));
        }
        match node.single() {
            Some(("concat", inner)) => self.pieces(inner, key).map(Time::Text),
            Some(("first_of", inner)) => {
                let items = self.items(inner, key)?;
                let times: Option<Vec<Time>> =
                    items.iter().map(|item| self.time(item, key)).collect();
                times.map(Time::FirstOf)
            }
            Some(("add", inner)) => {
                let (first, spans) = self.items(inner, key)?.split_first()?;
                let time = self.time(first, key);
                let spans: Option<Vec<Duration>> =
                    spans.iter().map(|item| self.duration(item, key)).collect();
                Some(Time::Add(Box::new(time?), spans?))
            }
            _ => {
                let hint = "write a column, { concat: [date, \" \", time] }, \
                            { first_of: [a, b] } or { add: [start, seconds] }";
                self.problems.add(node, key, "must be a time", hint);
                None
            }
        }
    }

    fn duration(&mut self, node: &Node, key: &str) -> Option<Duration> {
        if let Some(name) = node.text() {
            let column = self.slot(&name, node, key);
            return Some(Duration {
                column,
                unit: DurationUnit::Either,
            });
        }
        if let Some((form, inner)) = node.single()
            && let Some(unit) = unit_of(form)
        {
            return Some(Duration {
                column: self.column(inner, key)?,
                unit,
            });
        }
        let hint = "write a column, or { seconds: column }, { minutes: column }, \
                    { milliseconds: column }, { hms: column }";
        self.problems.add(node, key, "must be a duration", hint);
        None
    }

    /// Columns and fixed texts. An item that begins with a letter or digit is a column: a typing
    /// error in a name must not become a text.
    fn pieces(&mut self, inner: &Node, key: &str) -> Option<Vec<Piece>> {
        let mut pieces = Vec::new();
        for item in self.items(inner, key)? {
            if let Some(("const", fixed)) = item.single() {
                pieces.push(Piece::Text(fixed.text()?));
                continue;
            }
            let Some(text) = item.text() else {
                let hint = "write columns, and fixed texts as { const: text }";
                self.problems
                    .add(item, key, "must be a column or a text", hint);
                return None;
            };
            let names_column = text.starts_with(|c: char| c.is_alphanumeric() || c == '_');
            pieces.push(if names_column {
                Piece::Column(self.slot(&text, item, key))
            } else {
                Piece::Text(text)
            });
        }
        Some(pieces)
    }

    fn items<'n>(&mut self, node: &'n Node, key: &str) -> Option<&'n [Node]> {
        match &node.yaml {
            Yaml::List(items) if !items.is_empty() => Some(items),
            _ => {
                self.problems
                    .add(node, key, "must be a list", "write `[first, second]`");
                None
            }
        }
    }

    fn column(&mut self, node: &Node, key: &str) -> Option<usize> {
        let Some(name) = node.text() else {
            self.problems.add(node, key, "must be a column name", "");
            return None;
        };
        Some(self.slot(&name, node, key))
    }

    fn slot(&mut self, name: &str, node: &Node, key: &str) -> usize {
        self.columns.slot(name, (node.line, node.column), key)
    }
}

fn unit_of(form: &str) -> Option<DurationUnit> {
    match form {
        "milliseconds" => Some(DurationUnit::Milliseconds),
        "seconds" => Some(DurationUnit::Seconds),
        "minutes" => Some(DurationUnit::Minutes),
        "hms" => Some(DurationUnit::Hms),
        _ => None,
    }
}
