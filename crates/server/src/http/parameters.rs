//! The query of a request, read by the table of its route.

use std::fmt::Display;

use super::routes::{Kind, Parameter, Place};
use crate::error::{ApiError, Code};

/// The parameters of a request; only known ones, each once unless it may be repeated.
#[derive(Debug)]
pub(super) struct Parameters(Vec<(String, String)>);

impl Parameters {
    /// Reads a query.
    pub(super) fn read(query: Option<&str>, known: &[Parameter]) -> Result<Self, ApiError> {
        let mut pairs: Vec<(String, String)> = Vec::new();
        for (name, value) in form_urlencoded::parse(query.unwrap_or_default().as_bytes()) {
            let parameter = known
                .iter()
                .filter(|p| !matches!(p.place, Place::Path | Place::Header))
                .find(|p| p.name == name)
                .ok_or_else(|| unknown(known))?;
            let twice = pairs.iter().any(|(other, _)| *other == name);
            if twice && parameter.place != Place::Repeated {
                return Err(wrong(parameter.name, "is there twice"));
            }
            if let Kind::OneOf(words) = parameter.kind
                && !words.contains(&&*value)
            {
                return Err(wrong(
                    parameter.name,
                    format!("is one of {}", words.join(", ")),
                ));
            }
            pairs.push((name.into_owned(), value.into_owned()));
        }
        let parameters = Parameters(pairs);
        let missing = known
            .iter()
            .find(|p| p.place == Place::Required && parameters.get(p.name).is_none());
        match missing {
            Some(missing) => Err(wrong(missing.name, "is missing").hint(missing.about)),
            None => Ok(parameters),
        }
    }

    /// The value of a parameter; an empty one is none.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.all(name).next()
    }

    /// The values of a parameter that may be repeated.
    pub(super) fn all(&self, name: &str) -> impl Iterator<Item = &str> {
        let values = self.0.iter().filter(move |(other, _)| other == name);
        values.map(|(_, v)| v.as_str()).filter(|v| !v.is_empty())
    }

    /// Is a flag set?
    pub(super) fn flag(&self, name: &str) -> Result<bool, ApiError> {
        match self.get(name) {
            None | Some("false" | "0") => Ok(false),
            Some("true" | "1") => Ok(true),
            Some(_) => Err(wrong(name, "is true or false")),
        }
    }

    /// The value of a parameter that is a whole number.
    pub(super) fn integer(&self, name: &str) -> Result<Option<u64>, ApiError> {
        let number = |text: &str| text.parse().map_err(|_| wrong(name, "is a whole number"));
        self.get(name).map(number).transpose()
    }
}

/// An error about one parameter.
pub(super) fn wrong(name: &str, why: impl Display) -> ApiError {
    ApiError::new(Code::BadParameter, format!("the parameter `{name}` {why}"))
}

fn unknown(known: &[Parameter]) -> ApiError {
    let names: Vec<&str> = known
        .iter()
        .filter(|p| !matches!(p.place, Place::Path | Place::Header))
        .map(|p| p.name)
        .collect();
    let hint = match names.is_empty() {
        true => "this route has no parameters".to_owned(),
        false => format!("parameters: {}", names.join(", ")),
    };
    ApiError::new(Code::BadParameter, "a parameter is not known here").hint(hint)
}
