//! Looking at a record: values as they are needed, and findings that name their place.

use events::{Reject, RejectCode, Text, UtcMicros};
use serde_json::{Map, Value};

/// An object in a record, with its path as `participants[1].sessions[0]`.
#[derive(Clone, Debug)]
pub(crate) struct Fields<'a> {
    map: &'a Map<String, Value>,
    path: String,
}

impl<'a> Fields<'a> {
    /// The record itself.
    pub fn of(record: &'a Value) -> Result<Self, Reject> {
        Fields::at(record, String::new())
    }

    fn at(value: &'a Value, path: String) -> Result<Self, Reject> {
        match value {
            Value::Object(map) => Ok(Fields { map, path }),
            other => {
                let detail = format!("is no object but {}", shown(other));
                Err(Reject::new(RejectCode::BadType, path, detail))
            }
        }
    }

    /// A finding about a field.
    pub fn reject(&self, name: &str, code: RejectCode, detail: impl AsRef<str>) -> Reject {
        Reject::new(code, self.path_of(name), detail)
    }

    fn path_of(&self, name: &str) -> String {
        match self.path.as_str() {
            "" => name.to_owned(),
            path => format!("{path}.{name}"),
        }
    }

    /// Is there a value?
    pub fn has(&self, name: &str) -> bool {
        self.get(name).is_some()
    }

    /// The value of a field; null is none.
    fn get(&self, name: &str) -> Option<&'a Value> {
        self.map.get(name).filter(|value| !value.is_null())
    }

    fn bad_type(&self, name: &str, wanted: &str, found: &Value) -> Reject {
        let detail = format!("is not {wanted} but {}", shown(found));
        self.reject(name, RejectCode::BadType, detail)
    }

    fn missing(&self, name: &str) -> Reject {
        let detail = "is missing, null or empty";
        self.reject(name, RejectCode::MissingField, detail)
    }

    /// A text, if there is one that is not empty.
    pub fn text(&self, name: &str) -> Result<Option<&'a str>, Reject> {
        match self.get(name) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text.trim()).filter(|text| !text.is_empty())),
            Some(other) => Err(self.bad_type(name, "a text", other)),
        }
    }

    /// A text that must be there.
    pub fn need_text(&self, name: &str) -> Result<&'a str, Reject> {
        self.text(name)?.ok_or_else(|| self.missing(name))
    }

    /// An id, which some vendors write as a number.
    pub fn id(&self, name: &str) -> Result<Option<Text>, Reject> {
        match self.get(name) {
            Some(Value::Number(number)) => Ok(Some(Text::from(number.to_string()))),
            _ => Ok(self.text(name)?.map(Text::new)),
        }
    }

    /// An id that must be there.
    pub fn need_id(&self, name: &str) -> Result<Text, Reject> {
        self.id(name)?.ok_or_else(|| self.missing(name))
    }

    /// A whole number, which may be written as a text.
    pub fn whole(&self, name: &str) -> Result<Option<i64>, Reject> {
        let number = match self.get(name) {
            None => return Ok(None),
            Some(Value::String(text)) if text.trim().is_empty() => return Ok(None),
            Some(Value::String(text)) => text.trim().parse().ok(),
            Some(value) => value.as_i64(),
        };
        match number {
            Some(number) => Ok(Some(number)),
            None => {
                let found = self.get(name).unwrap_or(&Value::Null);
                Err(self.bad_type(name, "a whole number", found))
            }
        }
    }

    /// A duration in whole seconds, in milliseconds.
    pub fn seconds(&self, name: &str) -> Result<Option<i64>, Reject> {
        match self.whole(name)? {
            Some(seconds) if seconds < 0 => {
                let detail = format!("is below zero: {seconds}");
                Err(self.reject(name, RejectCode::NegativeDuration, detail))
            }
            seconds => Ok(seconds.map(|seconds| seconds.saturating_mul(1_000))),
        }
    }

    /// A time as RFC 3339 with an offset.
    pub fn time(&self, name: &str) -> Result<Option<UtcMicros>, Reject> {
        let Some(text) = self.text(name)? else {
            return Ok(None);
        };
        let read = || {
            let detail = format!("is not a time as 2026-03-02T09:15:00Z: '{text}'");
            self.reject(name, RejectCode::BadType, detail)
        };
        UtcMicros::parse_rfc3339(text).map(Some).ok_or_else(read)
    }

    /// A time that must be there.
    pub fn need_time(&self, name: &str) -> Result<UtcMicros, Reject> {
        self.time(name)?.ok_or_else(|| self.missing(name))
    }

    /// A time as a number since 1970, of so many microseconds each.
    pub fn epoch(&self, name: &str, unit_micros: i64) -> Result<Option<UtcMicros>, Reject> {
        let Some(number) = self.whole(name)? else {
            return Ok(None);
        };
        // Some systems write 0 for what has not happened.
        let micros = number.saturating_mul(unit_micros);
        Ok((number > 0).then_some(UtcMicros(micros)))
    }

    /// Yes or no.
    pub fn flag(&self, name: &str) -> Result<Option<bool>, Reject> {
        match self.get(name) {
            None => Ok(None),
            Some(Value::Bool(flag)) => Ok(Some(*flag)),
            Some(other) => Err(self.bad_type(name, "true or false", other)),
        }
    }

    /// An object in it.
    pub fn part(&self, name: &str) -> Result<Option<Fields<'a>>, Reject> {
        match self.get(name) {
            None => Ok(None),
            Some(value) => Fields::at(value, self.path_of(name)).map(Some),
        }
    }

    /// The objects of a list in it; none if there is no list.
    pub fn list(&self, name: &str) -> Result<Vec<Fields<'a>>, Reject> {
        match self.get(name) {
            None => Ok(Vec::new()),
            Some(Value::Array(items)) => {
                let path = self.path_of(name);
                let item = |(at, item)| Fields::at(item, format!("{path}[{at}]"));
                items.iter().enumerate().map(item).collect()
            }
            Some(other) => Err(self.bad_type(name, "a list", other)),
        }
    }

    /// The texts of a list in it; none if there is no list.
    pub fn texts(&self, name: &str) -> Result<Vec<&'a str>, Reject> {
        match self.get(name) {
            None => Ok(Vec::new()),
            Some(Value::Array(items)) => {
                let text = |item: &'a Value| {
                    let wrong = || self.bad_type(name, "a list of texts", item);
                    item.as_str().ok_or_else(wrong)
                };
                items.iter().map(text).collect()
            }
            Some(other) => Err(self.bad_type(name, "a list of texts", other)),
        }
    }

    /// A value out of a list of words, which may be written in any case.
    pub fn word<T: Copy>(&self, name: &str, words: &[(&str, T)]) -> Result<Option<T>, Reject> {
        let Some(text) = self.text(name)? else {
            return Ok(None);
        };
        let known = words
            .iter()
            .find(|(word, _)| word.eq_ignore_ascii_case(text));
        match known {
            Some((_, value)) => Ok(Some(*value)),
            None => {
                let words: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
                let detail = format!("is '{text}', not one of: {}", words.join(", "));
                Err(self.reject(name, RejectCode::BadEnum, detail))
            }
        }
    }
}

/// A value in a message.
fn shown(value: &Value) -> String {
    const SHOWN_CHARS: usize = 60;
    match value {
        Value::Object(_) => "an object".to_owned(),
        Value::Array(_) => "a list".to_owned(),
        other => other.to_string().chars().take(SHOWN_CHARS).collect(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_finding_names_the_path_to_its_field() {
        let record = json!({"a": [{"b": {"at": "yesterday", "n": "x"}}], "s": [1]});
        let fields = Fields::of(&record).expect("an object");
        let item = fields.list("a").expect("a list").remove(0);
        let part = item.part("b").expect("an object").expect("there");
        let told = part.time("at").expect_err("no time").to_string();
        assert!(told.starts_with("bad_type: field 'a[0].b.at'"), "{told}");
        let told = part.whole("n").expect_err("no number").to_string();
        assert!(told.starts_with("bad_type: field 'a[0].b.n'"), "{told}");
        let told = fields.list("s").expect_err("no objects").to_string();
        assert!(told.starts_with("bad_type: field 's[0]'"), "{told}");
        let told = item.need_text("c").expect_err("nothing").to_string();
        assert!(told.starts_with("missing_field: field 'a[0].c'"), "{told}");
    }

    #[test]
    fn ids_and_numbers_may_be_texts_or_numbers() {
        let record = json!({"id": 12, "n": " 7 ", "none": "", "zero": 0, "t": 1_622_538_042});
        let fields = Fields::of(&record).expect("an object");
        assert_eq!(fields.id("id"), Ok(Some(Text::new("12"))));
        assert_eq!(fields.whole("n"), Ok(Some(7)));
        assert_eq!(fields.whole("none"), Ok(None));
        assert_eq!(fields.epoch("zero", 1), Ok(None));
        let at = fields
            .epoch("t", 1_000_000)
            .expect("a time")
            .expect("there");
        assert_eq!(at.to_string(), "2021-06-01T09:00:42Z");
    }
}
