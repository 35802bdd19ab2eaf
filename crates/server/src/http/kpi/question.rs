//! What a KPI request asks for.

use engine::{
    Calendar, Compare, Control, Grain, KpiRequest, Only, Over, ROLLING_BUCKETS_MAX, parse_grain,
    parse_instant, parse_zone,
};
use events::UtcMicros;

use super::super::{
    parameters::{Parameters, wrong},
    routes::{Kind, Parameter, Place},
};
use crate::{
    error::{ApiError, Code},
    limits,
};

const fn query(name: &'static str, kind: Kind, about: &'static str) -> Parameter {
    Parameter {
        name,
        place: Place::Query,
        kind,
        about,
    }
}

pub(in crate::http) const PARAMETERS: &[Parameter] = &[
    Parameter {
        name: "metric",
        place: Place::Required,
        kind: Kind::Text,
        about: "1 to 20 ids or aliases of KPIs, separated by commas.",
    },
    query(
        "window",
        Kind::Text,
        "A range that ends now: today, interval (the bucket of now, of `grain` or 30 minutes), \
         last_5m to last_24h. In place of `from` and `to`.",
    ),
    query(
        "from",
        Kind::Text,
        "Start, included: RFC 3339, or a day or wall-clock time of the zone. All there is when \
         absent.",
    ),
    query("to", Kind::Text, "End, not included; as `from`."),
    query(
        "grain",
        Kind::OneOf(&["15m", "30m", "1h", "1d", "1w", "1mo", "1q", "1y"]),
        "Bucket size; one value for the whole range when absent.",
    ),
    query(
        "by",
        Kind::Text,
        "Up to 4 dimensions that all of the KPIs have, separated by commas.",
    ),
    query(
        "totals",
        Kind::Flag,
        "With `by`: also series over all values, computed from the parts.",
    ),
    Parameter {
        name: "filter",
        place: Place::Repeated,
        kind: Kind::Text,
        about: "dimension:value,value keeps rows with one of the values; all filters must hold. \
                A comma or backslash in a value has a backslash before it.",
    },
    query(
        "compare",
        Kind::Text,
        "The period beside each value: previous (the one before of the same length), -1d, -7d, \
         -1mo, -1y (the same clock times so long before), avg4w (the mean of those of the four \
         weeks before), or a baseline as 2026-03-01..2026-03-15.",
    ),
    Parameter {
        name: "control",
        place: Place::Repeated,
        kind: Kind::Text,
        about: "In place of `compare`: the same period over a control group, whose filters, written \
                as `filter`, hold in place of those. With `compare` only for KPIs that read both, as \
                deflection_index_control.",
    },
    query(
        "rolling",
        Kind::Integer,
        "With `grain`: each value over so many buckets, the last of which it is; 1 to 366.",
    ),
    query(
        "running",
        Kind::Flag,
        "With `grain`: each value over everything from the start of the range on.",
    ),
    query(
        "zone",
        Kind::Text,
        "IANA zone of buckets and days; the server's when absent.",
    ),
    query(
        "fill",
        Kind::Flag,
        "With `grain`: a point for every bucket, also where there is nothing.",
    ),
    query(
        "min_seq",
        Kind::Integer,
        "Wait until this `committed_seq` of a receipt is visible.",
    ),
];

/// The interval of contact centres, where no grain is given.
const INTERVAL: Grain = Grain::M30;

const MINUTE_MS: i64 = 60_000;
const DAY_MS: i64 = 24 * 60 * MINUTE_MS;

/// A read request.
#[derive(Clone, Debug)]
pub(super) struct Question {
    pub request: KpiRequest,
    /// As it was written.
    pub compare: Option<String>,
    /// Is it about a window up to now?
    pub ends_now: bool,
    pub min_seq: Option<u64>,
}

impl Question {
    /// Reads the query of a request; `zone` is that of requests that name none.
    pub(super) fn read(
        query: Option<&str>,
        zone: &str,
        now: UtcMicros,
    ) -> Result<Question, ApiError> {
        let names = form_urlencoded::parse(query.unwrap_or_default().as_bytes());
        for (name, _) in names {
            if name == "cohort" {
                let why = "is no choice: which moment decides the bucket is a part of each KPI";
                let hint = "`clock` in /api/v1/catalog tells it; some KPIs have a sister by \
                            another moment, as answered and answered_event";
                return Err(wrong(&name, why).hint(hint));
            }
        }
        let parameters = Parameters::read(query, PARAMETERS)?;
        let zone = parameters.get("zone").unwrap_or(zone).to_owned();
        let grain = parameters.get("grain").map(parse_grain).transpose();
        let grain = grain.map_err(|error| wrong("grain", error))?;
        let (from, to) = range(&parameters, &zone, grain, now)?;
        let by = list(&parameters, "by", limits::DIMENSIONS_MAX)?;
        let tz = parse_zone(&zone).map_err(|error| wrong("zone", error))?;
        let compare = parameters.get("compare");
        let compare = compare.map(|text| Compare::parse(text, tz));
        let request = KpiRequest {
            ids: list(&parameters, "metric", limits::METRICS_MAX)?,
            from,
            to,
            grain,
            totals: parameters.flag("totals")?,
            fill: parameters.flag("fill")?,
            only: filters(&parameters, "filter")?,
            control: control(&parameters)?,
            compare: compare
                .transpose()
                .map_err(|error| wrong("compare", error))?,
            over: over(&parameters)?,
            zone: Some(zone),
            by,
            ..KpiRequest::default()
        };
        if request.totals && request.by.is_empty() {
            return Err(wrong(
                "totals",
                "needs `by`: without it there are only totals",
            ));
        }
        let is_open = request.from.is_none() || request.to.is_none();
        if request.compare.is_some() && is_open {
            return Err(wrong("compare", "needs a `window`, or `from` and `to`"));
        }
        if request.over.is_some() && (is_open || request.grain.is_none()) {
            let name = if parameters.get("rolling").is_some() {
                "rolling"
            } else {
                "running"
            };
            let why = "needs `grain`, and a `window` or `from` and `to`";
            return Err(wrong(name, why));
        }
        Ok(Question {
            request,
            compare: parameters.get("compare").map(str::to_owned),
            ends_now: parameters.get("window").is_some(),
            min_seq: parameters.integer("min_seq")?,
        })
    }
}

impl Question {
    /// Does something stand beside each value?
    pub(super) fn is_compared(&self) -> bool {
        self.compare.is_some() || self.request.control.is_some()
    }
}

fn list(parameters: &Parameters, name: &str, most: usize) -> Result<Vec<String>, ApiError> {
    let words = parameters.get(name).unwrap_or_default().split(',');
    let words = words.map(str::trim).filter(|word| !word.is_empty());
    let words: Vec<String> = words.map(str::to_owned).collect();
    match words.len() > most {
        true => Err(wrong(name, format!("has at most {most} names"))),
        false => Ok(words),
    }
}

/// What values are over beside their bucket.
fn over(parameters: &Parameters) -> Result<Option<Over>, ApiError> {
    let running = parameters.flag("running")?;
    let Some(buckets) = parameters.integer("rolling")? else {
        return Ok(running.then_some(Over::Start));
    };
    if running {
        return Err(wrong("rolling", "and `running` exclude each other"));
    }
    match u16::try_from(buckets) {
        Ok(buckets @ 1..=ROLLING_BUCKETS_MAX) => Ok(Some(Over::Buckets(buckets))),
        _ => Err(wrong(
            "rolling",
            format!("is 1 to {ROLLING_BUCKETS_MAX} buckets"),
        )),
    }
}

type Range = (Option<UtcMicros>, Option<UtcMicros>);

fn range(
    parameters: &Parameters,
    zone: &str,
    grain: Option<Grain>,
    now: UtcMicros,
) -> Result<Range, ApiError> {
    let tz = parse_zone(zone).map_err(|error| wrong("zone", error))?;
    let (from, to) = (parameters.get("from"), parameters.get("to"));
    let Some(window) = parameters.get("window") else {
        let instant = |name: &str, text: &str| {
            // A plus sign that was not escaped has become a space.
            let repaired = || {
                let (day, offset) = text.rsplit_once(' ')?;
                UtcMicros::parse_rfc3339(&format!("{day}+{offset}"))
            };
            let read = parse_instant(text, tz);
            read.or_else(|error| repaired().ok_or_else(|| wrong(name, error)))
        };
        let from = from.map(|text| instant("from", text)).transpose()?;
        return Ok((from, to.map(|text| instant("to", text)).transpose()?));
    };
    if from.is_some() || to.is_some() {
        return Err(wrong("window", "and `from` or `to` exclude each other"));
    }
    let start_of = |grain| Calendar::new(grain, tz).bucket(now.0).start;
    let from = match window {
        "today" => start_of(Grain::D1),
        "interval" => start_of(grain.unwrap_or(INTERVAL)),
        _ => {
            let length = window
                .strip_prefix("last_")
                .and_then(kpi::parse_duration_ms);
            let length = length.filter(|ms| (5 * MINUTE_MS..=DAY_MS).contains(ms));
            let length = length
                .ok_or_else(|| wrong("window", "is today, interval, or last_5m to last_24h"))?;
            now.plus_ms(-length).0
        }
    };
    // In the first microsecond of a day there is nothing of it yet, and that is an answer too.
    let to = now.0.max(from.saturating_add(1));
    Ok((Some(UtcMicros(from)), Some(UtcMicros(to))))
}

fn filters(parameters: &Parameters, name: &str) -> Result<Vec<Only>, ApiError> {
    let read = |text: &str| {
        let (dimension, values) = text
            .split_once(':')
            .ok_or_else(|| wrong(name, "is written as dimension:value,value"))?;
        Ok(Only {
            dimension: dimension.trim().to_owned(),
            values: split(values),
        })
    };
    let filters = parameters.all(name).map(read);
    let filters = filters.collect::<Result<Vec<Only>, ApiError>>()?;
    let values: usize = filters.iter().map(|only| only.values.len()).sum();
    match values > limits::FILTER_VALUES_MAX {
        true => Err(ApiError::new(
            Code::BadParameter,
            format!(
                "the filters have more than {} values",
                limits::FILTER_VALUES_MAX
            ),
        )),
        false => Ok(filters),
    }
}

/// The control group, if there is one.
fn control(parameters: &Parameters) -> Result<Option<Control>, ApiError> {
    let only = filters(parameters, "control")?;
    Ok((!only.is_empty()).then(|| Control {
        only,
        ..Control::default()
    }))
}

/// Splits at commas without a backslash before them.
fn split(text: &str) -> Vec<String> {
    let mut values = vec![String::new()];
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        let value = values.len() - 1;
        match c {
            ',' => values.push(String::new()),
            '\\' => values[value].extend(chars.next()),
            c => values[value].push(c),
        }
    }
    values
}
