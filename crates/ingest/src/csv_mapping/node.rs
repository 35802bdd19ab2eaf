//! YAML with the place of every value, and the collecting of problems.

use std::fmt;

use serde::{
    Deserialize, Deserializer,
    de::{MapAccess, SeqAccess, Visitor},
};
use serde_json::Value as Json;
use serde_saphyr::Spanned;

use super::Problem;

/// A value with its place.
#[derive(Clone, Debug)]
pub(super) struct Node {
    pub line: u64,
    pub column: u64,
    pub yaml: Yaml,
}

#[derive(Clone, Debug)]
pub(super) enum Yaml {
    /// Text, number, boolean or null.
    Scalar(Json),
    List(Vec<Node>),
    Map(Vec<(String, Node)>),
}

impl Node {
    /// A scalar as text, as column names and map keys are.
    pub fn text(&self) -> Option<String> {
        match &self.yaml {
            Yaml::Scalar(Json::String(text)) => Some(text.clone()),
            Yaml::Scalar(Json::Null) => None,
            Yaml::Scalar(other) => Some(other.to_string()),
            _ => None,
        }
    }

    /// The one entry of a map such as `{ const: customer }`.
    pub fn single(&self) -> Option<(&str, &Node)> {
        match &self.yaml {
            Yaml::Map(entries) if entries.len() == 1 => {
                entries.first().map(|(key, node)| (key.as_str(), node))
            }
            _ => None,
        }
    }

    /// The entry of a map.
    pub fn get(&self, name: &str) -> Option<&Node> {
        match &self.yaml {
            Yaml::Map(entries) => entries.iter().find(|(key, _)| key == name).map(|(_, n)| n),
            _ => None,
        }
    }

    /// The whole as JSON.
    pub fn json(&self) -> Json {
        match &self.yaml {
            Yaml::Scalar(value) => value.clone(),
            Yaml::List(items) => Json::Array(items.iter().map(Node::json).collect()),
            Yaml::Map(entries) => {
                Json::Object(entries.iter().map(|(k, n)| (k.clone(), n.json())).collect())
            }
        }
    }
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let spanned = Spanned::<Yaml>::deserialize(d)?;
        let (line, column) = (spanned.referenced.line(), spanned.referenced.column());
        Ok(Node {
            line,
            column,
            yaml: spanned.value,
        })
    }
}

impl<'de> Deserialize<'de> for Yaml {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        d.deserialize_any(AnyYaml)
    }
}

struct AnyYaml;

impl<'de> Visitor<'de> for AnyYaml {
    type Value = Yaml;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }
    fn visit_bool<E>(self, value: bool) -> Result<Yaml, E> {
        Ok(Yaml::Scalar(value.into()))
    }
    fn visit_i64<E>(self, value: i64) -> Result<Yaml, E> {
        Ok(Yaml::Scalar(value.into()))
    }
    fn visit_u64<E>(self, value: u64) -> Result<Yaml, E> {
        Ok(Yaml::Scalar(value.into()))
    }
    fn visit_f64<E>(self, value: f64) -> Result<Yaml, E> {
        Ok(Yaml::Scalar(value.into()))
    }
    fn visit_str<E>(self, value: &str) -> Result<Yaml, E> {
        Ok(Yaml::Scalar(value.into()))
    }
    fn visit_unit<E>(self) -> Result<Yaml, E> {
        Ok(Yaml::Scalar(Json::Null))
    }
    fn visit_none<E>(self) -> Result<Yaml, E> {
        Ok(Yaml::Scalar(Json::Null))
    }
    fn visit_some<D: Deserializer<'de>>(self, d: D) -> Result<Yaml, D::Error> {
        Yaml::deserialize(d)
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Yaml, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = seq.next_element()? {
            items.push(item);
        }
        Ok(Yaml::List(items))
    }
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Yaml, A::Error> {
        let mut entries = Vec::new();
        while let Some(entry) = map.next_entry()? {
            entries.push(entry);
        }
        Ok(Yaml::Map(entries))
    }
}

/// Reads YAML.
pub(super) fn read(file: &str, text: &str) -> Result<Node, Problem> {
    let options = serde_saphyr::options! {
        strict_booleans: true,
        with_snippet: false,
        leading_zero_numbers_as_strings: true,
    };
    serde_saphyr::from_str_with_options(text, options).map_err(|error| {
        let place = error.location();
        Problem {
            file: file.to_owned(),
            line: place.map_or(1, |l| l.line()),
            column: place.map_or(1, |l| l.column()),
            key: String::new(),
            message: error.to_string(),
            hint: Some("the file must be YAML: `key: value`, indented by spaces".into()),
        }
    })
}

/// Collects what is wrong.
#[derive(Debug)]
pub(super) struct Problems {
    file: String,
    found: Vec<Problem>,
}

impl Problems {
    pub fn new(file: &str) -> Self {
        Problems {
            file: file.to_owned(),
            found: Vec::new(),
        }
    }

    /// Notes a problem at `node`. An empty hint is none.
    pub fn add(&mut self, node: &Node, key: &str, message: impl Into<String>, hint: &str) {
        self.add_at((node.line, node.column), key, message, hint);
    }

    pub fn add_at(
        &mut self,
        (line, column): (u64, u64),
        key: &str,
        message: impl Into<String>,
        hint: &str,
    ) {
        self.found.push(Problem {
            file: self.file.clone(),
            line,
            column,
            key: key.to_owned(),
            message: message.into(),
            hint: (!hint.is_empty()).then(|| hint.to_owned()),
        });
    }

    /// Notes the keys of a map that are not allowed; a node that is no map is one problem.
    pub fn only_keys(&mut self, node: &Node, key: &str, allowed: &[&str]) {
        let Yaml::Map(entries) = &node.yaml else {
            let hint = format!("write `{{ {}: ... }}`", allowed.join(": ..., "));
            return self.add(node, key, "must be a map of keys", &hint);
        };
        for (name, value) in entries {
            if !allowed.contains(&name.as_str()) {
                let hint = known_hint(name, allowed);
                self.add(
                    value,
                    &join(key, name),
                    format!("unknown key '{name}'"),
                    &hint,
                );
            }
        }
    }

    /// The text of a required key.
    pub fn text(&mut self, node: &Node, key: &str, name: &str, example: &str) -> Option<String> {
        let Some(value) = node.get(name) else {
            let hint = format!("add `{name}: {example}`");
            self.add(node, &join(key, name), "is missing", &hint);
            return None;
        };
        let text = value.text();
        if text.is_none() {
            let hint = format!("write `{name}: {example}`");
            self.add(value, &join(key, name), "must be a text", &hint);
        }
        text
    }

    /// Is there none?
    pub fn is_empty(&self) -> bool {
        self.found.is_empty()
    }

    /// All of them, in the order of the file.
    pub fn finish(mut self) -> Vec<Problem> {
        self.found.sort_by_key(|p| (p.line, p.column));
        self.found
    }
}

/// `a.b`.
pub(super) fn join(key: &str, name: &str) -> String {
    if key.is_empty() {
        name.to_owned()
    } else {
        format!("{key}.{name}")
    }
}

/// "did you mean", or what there is.
pub(super) fn known_hint(name: &str, known: &[&str]) -> String {
    let close = known.iter().map(|k| (distance(name, k), k)).min();
    match close {
        Some((steps, word)) if steps <= 2.max(name.chars().count() / 3) => {
            format!("did you mean '{word}'?")
        }
        _ => format!("known here: {}", known.join(", ")),
    }
}

/// Edit distance (Levenshtein).
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, ca) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, cb) in b.iter().enumerate() {
            let change = diagonal + usize::from(ca != *cb);
            diagonal = row[j + 1];
            row[j + 1] = change.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_close_name_is_proposed_and_a_far_one_gets_the_list() {
        assert_eq!(
            known_hint("quue_id", &["queue_id", "visit_id"]),
            "did you mean 'queue_id'?"
        );
        assert_eq!(known_hint("xyz", &["queue_id"]), "known here: queue_id");
        assert_eq!(distance("kitten", "sitting"), 3);
    }

    #[test]
    fn places_are_kept_through_nesting() {
        let node = read("m.yml", "a:\n- b: { c: 5 }\n- Y\n").expect("yaml");
        let Some(Node {
            yaml: Yaml::List(items),
            ..
        }) = node.get("a")
        else {
            panic!("list")
        };
        let c = items[0].get("b").and_then(|b| b.get("c")).expect("c");
        assert_eq!((c.line, c.column, c.text()), (2, 11, Some("5".into())));
        assert_eq!(items[1].text(), Some("Y".into()), "Y is a text");
        assert_eq!(read("m.yml", "a: [").expect_err("open list").file, "m.yml");
    }
}
