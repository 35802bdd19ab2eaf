//! Modifiers of a request as words, for who has one text for all of them.

use chrono_tz::Tz;

use super::{Compare, KpiRequest, Over};
use crate::EngineError;

const USAGE: &str = "modifiers are compare=-7d (or previous, -1d, -1mo, -1y, avg4w, a period as \
                     2026-03-01..2026-03-15), rolling=7 or running, and fill, with commas between";

/// Makes `compare=-7d, rolling=7, running, fill` hold in a request; each at most once. Days are
/// those of `zone`.
///
/// # Errors
/// A word that is none of them, twice, or with a value that it cannot have.
pub(crate) fn modify(request: &mut KpiRequest, text: &str, zone: Tz) -> Result<(), EngineError> {
    for word in text.split(',').map(str::trim).filter(|w| !w.is_empty()) {
        let (name, value) = match word.split_once('=') {
            Some((name, value)) => (name.trim(), Some(value.trim())),
            None => (word, None),
        };
        let wrong = |why: &str| EngineError::refused(format!("the modifier `{word}` {why}"), USAGE);
        let twice = || wrong("comes after one of its kind");
        match (name, value) {
            ("compare", Some(value)) => {
                let compare = Compare::parse(value, zone);
                let compare = compare.map_err(|_| wrong("names no period"))?;
                if request.compare.replace(compare).is_some() {
                    return Err(twice());
                }
            }
            ("rolling", Some(value)) => {
                let buckets = value.parse::<u16>();
                let over = Over::Buckets(buckets.map_err(|_| wrong("is no number of buckets"))?);
                if request.over.replace(over).is_some() {
                    return Err(twice());
                }
            }
            ("running", None) => {
                if request.over.replace(Over::Start).is_some() {
                    return Err(twice());
                }
            }
            ("fill", None) => {
                if std::mem::replace(&mut request.fill, true) {
                    return Err(twice());
                }
            }
            _ => return Err(wrong("is not known")),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn modified(text: &str) -> Result<KpiRequest, String> {
        let mut request = KpiRequest::default();
        let done = modify(&mut request, text, Tz::UTC);
        done.map(|()| request).map_err(|error| error.to_string())
    }

    #[test]
    fn modifiers_are_words_in_any_order() {
        assert_eq!(modified(""), Ok(KpiRequest::default()));
        let all = KpiRequest {
            compare: Some(Compare::Days(7)),
            over: Some(Over::Buckets(3)),
            fill: true,
            ..KpiRequest::default()
        };
        assert_eq!(modified("compare=-7d, rolling=3, fill"), Ok(all.clone()));
        assert_eq!(modified("fill,rolling = 3,compare = -7d,"), Ok(all));
        let running = KpiRequest {
            over: Some(Over::Start),
            ..KpiRequest::default()
        };
        assert_eq!(modified("running"), Ok(running));
    }

    #[test]
    fn what_is_no_modifier_is_told_with_those_that_are() {
        for (text, why) in [
            ("rollng=3", "`rollng=3` is not known"),
            ("rolling=many", "`rolling=many` is no number of buckets"),
            ("compare=-3d", "`compare=-3d` names no period"),
            (
                "rolling=3, running",
                "`running` comes after one of its kind",
            ),
            ("fill, fill", "`fill` comes after one of its kind"),
            ("fill=true", "`fill=true` is not known"),
            ("compare", "`compare` is not known"),
        ] {
            let said = modified(text).unwrap_err();
            assert!(
                said.contains(why) && said.contains("avg4w"),
                "{text}: {said}"
            );
        }
    }
}
