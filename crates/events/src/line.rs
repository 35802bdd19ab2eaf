//! One event as one line of JSON: decoding, checking, encoding.

use std::{borrow::Cow, fmt};

use serde::{
    Serialize, Serializer,
    de::{DeserializeSeed, Deserializer as _, Error as _, MapAccess, Visitor},
    ser::SerializeMap,
};
use serde_json::{error::Category, value::RawValue};

use crate::{
    Attributes, Correction, CorrectionOp, Event, EventData, Instrument, Money, OrderCancelled,
    OrderDelivered, OrderExchanged, OrderRefunded, OrderRefused, OrderReturned, OrderShipped,
    Reject, RejectCode, Text, UtcMicros, VOCABULARY, content,
    decode::{CARD, Field, FieldType, Notes, Role, Str, keep, shortened},
};

/// Longest line in bytes.
pub const LINE_BYTES_MAX: usize = 256 * 1024;
/// Longest `event_id`, `source` and `tenant_id` in bytes.
pub const ID_BYTES_MAX: usize = 128;
/// How far `occurred_at` may be after `recorded_at`, for clocks that differ.
pub const FUTURE_MS_MAX: i64 = 5 * 60 * 1_000;
/// The one version of every type so far.
pub const SCHEMA_VERSION: i64 = 1;
/// Microseconds of a quarter of an hour.
const QUARTER_MICROS: i64 = 15 * 60 * 1_000_000;

/// What the receiver knows about a line.
#[derive(Clone, Debug)]
pub struct Intake {
    /// The tenant that is written to.
    pub tenant_id: Text,
    /// Source of lines that name none.
    pub default_source: Option<Text>,
    /// When the lines were received.
    pub recorded_at: UtcMicros,
}

/// Decodes and validates one line of NDJSON, without its line end.
///
/// A `recorded_at` in the line is not believed: the intake's counts.
pub fn decode_line(line: &[u8], intake: &Intake) -> Result<Event, Reject> {
    let event = decode_any(line, intake)?;
    event.check_times()?;
    event.check_score()?;
    event.check_slice()?;
    event.check_cover()?;
    event.check_money()?;
    Ok(event)
}

/// Decodes a line that was written by [`Event::to_json_line`]: its `recorded_at` counts, and it
/// is not measured against a time of receipt.
pub fn decode_own_line(line: &[u8]) -> Result<Event, Reject> {
    let intake = Intake {
        tenant_id: crate::DEFAULT_TENANT.into(),
        default_source: None,
        recorded_at: UtcMicros::default(),
    };
    let envelope = Envelope::decode(line)?;
    let tenant_id = envelope
        .tenant_id
        .clone()
        .unwrap_or_else(|| intake.tenant_id.clone());
    let recorded_at = envelope.recorded_at.unwrap_or_default();
    envelope.into_event(&Intake {
        tenant_id,
        recorded_at,
        ..intake
    })
}

/// Decodes `data` of one event type from any deserializer, with the fields it does not know.
///
/// For importers of other formats; the event around it is checked with [`Event::check`].
pub fn decode_data<'de, D: serde::Deserializer<'de>>(
    event_type: &str,
    data: D,
) -> Result<(EventData, Attributes), Reject> {
    let mut unknown = Attributes::new();
    let mut notes = Notes::new(&mut unknown);
    let data = match EventData::read(event_type, data, &mut notes) {
        None => return Err(unknown_type(event_type)),
        Some(Ok(data)) => data,
        Some(Err(error)) => {
            let found = notes.take_finding();
            let other = || Reject::new(RejectCode::BadType, "data", error.to_string());
            return Err(found.unwrap_or_else(other));
        }
    };
    Ok((data, unknown))
}

impl EventData {
    /// Decodes `data` of the named type; `None` for a type that does not exist.
    /// Fields that the type does not know land in `unknown`.
    pub fn decode<'de, D: serde::Deserializer<'de>>(
        event_type: &str,
        data: D,
        unknown: &mut Attributes,
    ) -> Option<Result<Self, D::Error>> {
        EventData::read(event_type, data, &mut Notes::new(unknown))
    }
}

fn decode_any(line: &[u8], intake: &Intake) -> Result<Event, Reject> {
    Envelope::decode(line)?.into_event(intake)
}

/// The raw bytes of a rejected line as they may be kept: card numbers in free texts are masked,
/// anything else is byte for byte what came.
pub fn quarantine_raw<'a>(line: &'a [u8], reject: &Reject) -> Cow<'a, [u8]> {
    let readable = serde_json::from_slice::<serde_json::Value>(line).ok();
    let forbidden = reject.code == RejectCode::ForbiddenContent;
    match readable {
        // An id may look like a card number; without one in a free text, keep the ids whole.
        Some(value) if !forbidden && !has_forbidden_text(&value, "") => Cow::Borrowed(line),
        _ => content::mask_bytes(line),
    }
}

fn has_forbidden_text(value: &serde_json::Value, name: &str) -> bool {
    match value {
        serde_json::Value::Object(map) => map.iter().any(|(k, v)| has_forbidden_text(v, k)),
        serde_json::Value::Array(list) => list.iter().any(|v| has_forbidden_text(v, name)),
        _ if Role::of(name) == Role::Id => false,
        other => content::has_card_number(&other.to_string()),
    }
}

/// The fields of an envelope as they were found.
#[derive(Default)]
struct Envelope<'de> {
    tenant_id: Option<Text>,
    source: Option<Text>,
    event_id: Option<Text>,
    source_seq: Option<i64>,
    event_type: Option<Cow<'de, str>>,
    schema_version: Option<i64>,
    occurred_at: Option<UtcMicros>,
    recorded_at: Option<UtcMicros>,
    correction_of: Option<Text>,
    correction_op: Option<CorrectionOp>,
    /// `data`, read at once if its type is known by then.
    data: Option<EventData>,
    /// `data` that stands before its type.
    raw_data: Option<&'de RawValue>,
    attributes: Attributes,
}

impl<'de> Envelope<'de> {
    fn decode(line: &'de [u8]) -> Result<Self, Reject> {
        if line.len() > LINE_BYTES_MAX {
            let detail = format!(
                "the line has {} bytes: at most {LINE_BYTES_MAX} are read",
                line.len()
            );
            return Err(Reject::new(RejectCode::TooLarge, "", detail));
        }
        let text = std::str::from_utf8(line).map_err(|error| {
            let detail = format!(
                "not UTF-8 from byte {} on: send UTF-8",
                error.valid_up_to() + 1
            );
            Reject::new(RejectCode::BadEncoding, "", detail)
        })?;
        let mut envelope = Envelope::default();
        let mut unknown = Attributes::new();
        let mut notes = Notes::new(&mut unknown);
        notes.json_text = true;
        let mut json = serde_json::Deserializer::from_str(text);
        json.deserialize_map(Fields {
            envelope: &mut envelope,
            notes: &mut notes,
        })
        .and_then(|()| json.end())
        .map_err(|error| to_reject(&error, notes.take_finding()))?;
        merge(&mut envelope.attributes, unknown);
        Ok(envelope)
    }

    fn into_event(mut self, intake: &Intake) -> Result<Event, Reject> {
        self.check_tenant(intake)?;
        let source = self
            .source
            .take()
            .or_else(|| intake.default_source.clone())
            .ok_or_else(|| missing("source", "add it, or name a source for the whole import"))?;
        let event_id = self
            .event_id
            .take()
            .ok_or_else(|| missing("event_id", "give every event an id of 1 to 128 bytes"))?;
        let correction = self.correction()?;
        let occurred_at = self
            .occurred_at
            .ok_or_else(|| missing("occurred_at", "send when it happened, with an offset"))?;
        let source_seq = self.source_seq;
        let (data, attributes) = self.into_data()?;
        let event = Event {
            tenant_id: intake.tenant_id.clone(),
            source,
            event_id,
            source_seq,
            schema_version: SCHEMA_VERSION,
            occurred_at,
            recorded_at: intake.recorded_at,
            correction,
            data,
            attributes,
        };
        event.check_ids()?;
        Ok(event)
    }

    fn check_tenant(&self, intake: &Intake) -> Result<(), Reject> {
        match &self.tenant_id {
            Some(tenant) if *tenant != intake.tenant_id => {
                let detail = format!(
                    "is '{}', but tenant '{}' is written to: leave it out or correct it",
                    shortened(tenant),
                    intake.tenant_id
                );
                Err(Reject::new(RejectCode::TenantMismatch, "tenant_id", detail))
            }
            _ => Ok(()),
        }
    }

    fn correction(&mut self) -> Result<Option<Correction>, Reject> {
        match (self.correction_of.take(), self.correction_op) {
            (None, None) => Ok(None),
            (Some(of), Some(op)) => Ok(Some(Correction { of, op })),
            (None, Some(_)) => Err(bad_correction(
                "correction_of",
                "is missing: name the event",
            )),
            (Some(_), None) => Err(bad_correction(
                "correction_op",
                "is missing: send replace or retract",
            )),
        }
    }

    fn into_data(self) -> Result<(EventData, Attributes), Reject> {
        let mut attributes = self.attributes;
        let event_type = self
            .event_type
            .ok_or_else(|| missing("event_type", "send a type of docs/events.md"))?;
        match (self.data, self.raw_data) {
            (None, None) => Err(missing("data", "send the fields of the event type")),
            (Some(data), _) => Ok((data, attributes)),
            (None, Some(raw)) => {
                let mut unknown = Attributes::new();
                let mut notes = Notes::new(&mut unknown);
                notes.json_text = true;
                let mut json = serde_json::Deserializer::from_str(raw.get());
                let data = EventData::read(&event_type, &mut json, &mut notes)
                    .ok_or_else(|| unknown_type(&event_type))?
                    .map_err(|error| to_reject(&error, notes.take_finding()))?;
                merge(&mut attributes, unknown);
                Ok((data, attributes))
            }
        }
    }
}

/// Adds `more`; see [`keep`] for names that are taken.
fn merge(attributes: &mut Attributes, more: Attributes) {
    if attributes.is_empty() {
        *attributes = more;
        return;
    }
    for (name, value) in more {
        keep(attributes, name, value);
    }
}

fn missing(field: &str, what_to_do: &str) -> Reject {
    Reject::new(
        RejectCode::MissingField,
        field,
        format!("is missing, null or empty: {what_to_do}"),
    )
}

fn bad_correction(field: &str, detail: &str) -> Reject {
    Reject::new(RejectCode::BadCorrection, field, detail)
}

#[cold]
fn to_reject(error: &serde_json::Error, finding: Option<Reject>) -> Reject {
    match (error.classify(), finding) {
        (Category::Data, Some(finding)) => finding,
        (Category::Data, None) => Reject::new(RejectCode::BadType, "", error.to_string()),
        _ => Reject::new(
            RejectCode::BadJson,
            "",
            format!("{error}: send one JSON object per line"),
        ),
    }
}

/// Visits the envelope's object.
struct Fields<'e, 'n, 'u, 'de> {
    envelope: &'e mut Envelope<'de>,
    notes: &'n mut Notes<'u>,
}

impl<'de> Visitor<'de> for Fields<'_, '_, '_, 'de> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an event as a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let Fields { envelope, notes } = self;
        while let Some(key) = map.next_key::<Str<'de>>()? {
            envelope.field(&mut map, &key.0, notes)?;
        }
        Ok(())
    }
}

impl<'de> Envelope<'de> {
    #[inline]
    fn field<A: MapAccess<'de>>(
        &mut self,
        map: &mut A,
        key: &str,
        notes: &mut Notes<'_>,
    ) -> Result<(), A::Error> {
        match key {
            "tenant_id" => read(&mut self.tenant_id, "tenant_id", map, notes),
            "source" => read(&mut self.source, "source", map, notes),
            "event_id" => read(&mut self.event_id, "event_id", map, notes),
            "source_seq" => read(&mut self.source_seq, "source_seq", map, notes),
            "occurred_at" => read_time(&mut self.occurred_at, "occurred_at", map, notes),
            "recorded_at" => read_time(&mut self.recorded_at, "recorded_at", map, notes),
            "correction_of" => read(&mut self.correction_of, "correction_of", map, notes),
            "correction_op" => read(&mut self.correction_op, "correction_op", map, notes),
            "schema_version" => {
                read(&mut self.schema_version, "schema_version", map, notes)?;
                check_version(self.schema_version, notes)
            }
            "event_type" => self.read_type(map, notes),
            "data" => self.read_data(map, notes),
            "attributes" => self.read_attributes(map, notes),
            _ => notes.keep_unknown(map, key),
        }
    }

    fn read_type<A: MapAccess<'de>>(
        &mut self,
        map: &mut A,
        notes: &mut Notes<'_>,
    ) -> Result<(), A::Error> {
        if self.event_type.is_some() {
            return Err(notes.twice("event_type"));
        }
        let text = map
            .next_value::<Option<Str<'de>>>()
            .inspect_err(|_| notes.note(RejectCode::BadType, "event_type", "must be a text"))?;
        self.event_type = text.map(|text| text.0);
        Ok(())
    }

    fn read_data<A: MapAccess<'de>>(
        &mut self,
        map: &mut A,
        notes: &mut Notes<'_>,
    ) -> Result<(), A::Error> {
        if self.data.is_some() || self.raw_data.is_some() {
            return Err(notes.twice("data"));
        }
        let read = match &self.event_type {
            Some(event_type) => {
                let seed = DataSeed { event_type, notes };
                map.next_value_seed(seed).map(|data| self.data = Some(data))
            }
            None => map
                .next_value::<&'de RawValue>()
                .map(|raw| self.raw_data = Some(raw)),
        };
        // Something else than an object; a finding inside of it was noted before.
        let detail = "must be an object with the type's fields";
        read.inspect_err(|_| notes.note(RejectCode::BadType, "data", detail))
    }

    /// `attributes` of a line of ours: an object of texts.
    fn read_attributes<A: MapAccess<'de>>(
        &mut self,
        map: &mut A,
        notes: &mut Notes<'_>,
    ) -> Result<(), A::Error> {
        let given = map
            .next_value_seed(AttributesSeed(notes))
            .inspect_err(|_| notes.note(RejectCode::BadType, "attributes", "must be an object"))?;
        merge(&mut self.attributes, given);
        Ok(())
    }
}

fn read<'de, T: FieldType, A: MapAccess<'de>>(
    slot: &mut Option<T>,
    name: &'static str,
    map: &mut A,
    notes: &mut Notes<'_>,
) -> Result<(), A::Error> {
    if slot.is_some() {
        return Err(notes.twice(name));
    }
    *slot = T::read(map, id_field(name), notes)?;
    Ok(())
}

/// Every text of the envelope is an id.
const fn id_field(name: &'static str) -> Field {
    Field {
        name,
        role: Role::Id,
    }
}

/// Times of the envelope have their own limits.
fn read_time<'de, A: MapAccess<'de>>(
    slot: &mut Option<UtcMicros>,
    name: &'static str,
    map: &mut A,
    notes: &mut Notes<'_>,
) -> Result<(), A::Error> {
    if slot.is_some() {
        return Err(notes.twice(name));
    }
    *slot = map
        .next_value::<Option<UtcMicros>>()
        .map_err(|error| notes.mistyped(name, UtcMicros::KIND, error))?;
    Ok(())
}

fn check_version<E: serde::de::Error>(
    version: Option<i64>,
    notes: &mut Notes<'_>,
) -> Result<(), E> {
    match version {
        None | Some(SCHEMA_VERSION) => Ok(()),
        Some(other) => {
            let detail = format!("is {other}: the newest known version is {SCHEMA_VERSION}");
            Err(notes.fail(RejectCode::UnknownVersion, "schema_version", &detail))
        }
    }
}

/// Reads `data` as the type says.
struct DataSeed<'t, 'n, 'u> {
    event_type: &'t str,
    notes: &'n mut Notes<'u>,
}

impl<'de> DeserializeSeed<'de> for DataSeed<'_, '_, '_> {
    type Value = EventData;
    fn deserialize<D: serde::Deserializer<'de>>(self, d: D) -> Result<EventData, D::Error> {
        EventData::read(self.event_type, d, self.notes).unwrap_or_else(|| {
            let Reject {
                code,
                field,
                detail,
            } = unknown_type(self.event_type);
            Err(self.notes.fail(code, &field, &detail))
        })
    }
}

struct AttributesSeed<'n, 'u>(&'n mut Notes<'u>);

impl<'de> DeserializeSeed<'de> for AttributesSeed<'_, '_> {
    type Value = Attributes;
    fn deserialize<D: serde::Deserializer<'de>>(self, d: D) -> Result<Attributes, D::Error> {
        d.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for AttributesSeed<'_, '_> {
    type Value = Attributes;
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Attributes, A::Error> {
        let mut given = Attributes::new();
        let mut notes = Notes::new(&mut given);
        notes.json_text = self.0.json_text;
        while let Some(key) = map.next_key::<Str<'de>>()? {
            if let Err(error) = notes.keep_unknown(&mut map, &key.0) {
                if let Some(Reject {
                    code,
                    field,
                    detail,
                }) = notes.take_finding()
                {
                    self.0.note(code, &field, &detail);
                }
                return Err(A::Error::custom(error));
            }
        }
        Ok(given)
    }
}

#[cold]
fn unknown_type(event_type: &str) -> Reject {
    let nearest = VOCABULARY
        .iter()
        .map(|spec| {
            (
                distance(spec.event_type, &shortened(event_type)),
                spec.event_type,
            )
        })
        .min();
    let hint = match nearest {
        Some((distance, name)) if distance <= 4 => format!("did you mean '{name}'?"),
        _ => "see docs/events.md for all types".to_owned(),
    };
    let detail = format!(
        "'{}' is not a known event type: {hint}",
        shortened(event_type)
    );
    Reject::new(RejectCode::UnknownType, "event_type", detail)
}

/// Levenshtein distance in characters.
fn distance(left: &str, right: &str) -> usize {
    let right: Vec<char> = right.chars().collect();
    let mut row: Vec<usize> = (0..=right.len()).collect();
    for (i, a) in left.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, b) in right.iter().enumerate() {
            let replaced = diagonal + usize::from(a != *b);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[right.len()]
}

impl Event {
    /// Checks an event that was not decoded but made by an importer.
    pub fn check(&self) -> Result<(), Reject> {
        self.check_ids()?;
        self.check_times()?;
        self.check_score()?;
        self.check_slice()?;
        self.check_cover()?;
        self.check_money()?;
        let mut unused = Attributes::new();
        let mut notes = Notes::new(&mut unused);
        if self.data.check(&mut notes).is_err()
            && let Some(finding) = notes.take_finding()
        {
            return Err(finding);
        }
        let free = self
            .attributes
            .iter()
            .filter(|(name, _)| Role::of(name) != Role::Id);
        for (name, text) in free {
            if content::has_card_number(text) {
                return Err(Reject::new(
                    RejectCode::ForbiddenContent,
                    name.as_str(),
                    CARD,
                ));
            }
        }
        Ok(())
    }

    fn check_ids(&self) -> Result<(), Reject> {
        let ids = [
            ("event_id", &self.event_id),
            ("source", &self.source),
            ("tenant_id", &self.tenant_id),
        ];
        for (name, id) in ids {
            if id.is_empty() {
                return Err(missing(name, "give an id of 1 to 128 bytes"));
            }
            if id.len() > ID_BYTES_MAX {
                let detail = format!("has {} bytes: at most {ID_BYTES_MAX}", id.len());
                return Err(Reject::new(RejectCode::BadType, name, detail));
            }
        }
        match &self.correction {
            Some(correction) if correction.of == self.event_id => Err(bad_correction(
                "correction_of",
                "is the event's own id: name another event",
            )),
            Some(correction) if correction.of.is_empty() => {
                Err(bad_correction("correction_of", "is empty: name the event"))
            }
            _ => Ok(()),
        }
    }

    fn check_times(&self) -> Result<(), Reject> {
        if self.occurred_at < UtcMicros::OCCURRED_MIN {
            let detail = format!(
                "is {}: before 1980; is the unit microseconds?",
                self.occurred_at
            );
            return Err(Reject::new(
                RejectCode::TimeOutOfRange,
                "occurred_at",
                detail,
            ));
        }
        if self.occurred_at > self.recorded_at.plus_ms(FUTURE_MS_MAX) {
            let detail = format!(
                "is {}: more than 5 minutes after the receipt at {}; check clock and zone",
                self.occurred_at, self.recorded_at
            );
            return Err(Reject::new(RejectCode::FutureTime, "occurred_at", detail));
        }
        Ok(())
    }

    /// A score outside of its instrument's scale would be counted as very happy or very unhappy.
    fn check_score(&self) -> Result<(), Reject> {
        let EventData::SurveyAnswered(answer) = &self.data else {
            return Ok(());
        };
        let scale = match answer.instrument {
            Instrument::Csat5 | Instrument::Ces5 | Instrument::Esat5 => 1..=5,
            Instrument::Ces7 => 1..=7,
            Instrument::Nps | Instrument::Enps => 0..=10,
            Instrument::Csat2 | Instrument::ResolvedYn => 0..=1,
        };
        if scale.contains(&answer.score) {
            return Ok(());
        }
        let detail = format!(
            "is {}: {} goes from {} to {}",
            answer.score,
            answer.instrument.as_str(),
            scale.start(),
            scale.end()
        );
        Err(Reject::new(RejectCode::BadEnum, "score", detail))
    }

    /// Arrivals are counted by quarters: a forecast off the quarter would be compared with none.
    fn check_slice(&self) -> Result<(), Reject> {
        let EventData::ForecastPublished(forecast) = &self.data else {
            return Ok(());
        };
        if forecast.slice_at.0.rem_euclid(QUARTER_MICROS) == 0 {
            return Ok(());
        }
        let detail = format!(
            "is {}: a forecast is for a quarter of an hour, which begins at :00, :15, :30 or :45",
            forecast.slice_at
        );
        Err(Reject::new(RejectCode::TimeOutOfRange, "slice_at", detail))
    }

    /// Half a stretch, or one without length, would take nothing of the older plan away.
    fn check_cover(&self) -> Result<(), Reject> {
        let EventData::SchedulePublished(plan) = &self.data else {
            return Ok(());
        };
        let (start, end) = match (plan.covers_start, plan.covers_end) {
            (None, None) => return Ok(()),
            (Some(start), Some(end)) => (start, end),
            (start, _) => {
                let (missing, given) = match start {
                    Some(_) => ("covers_end", "covers_start"),
                    None => ("covers_start", "covers_end"),
                };
                let detail = format!("is missing beside `{given}`: send both or neither");
                return Err(Reject::new(RejectCode::MissingField, missing, detail));
            }
        };
        if start < end {
            return Ok(());
        }
        let detail = format!("is {end}: not after `covers_start`, which is {start}");
        Err(Reject::new(
            RejectCode::TimeOutOfRange,
            "covers_end",
            detail,
        ))
    }

    /// Two names for one currency would be two currencies, which are never added.
    fn check_money(&self) -> Result<(), Reject> {
        use EventData as E;
        match &self.data {
            E::CostPosted(d) => check_currency("amount", Some(&d.amount)),
            E::CustomerChanged(d) => check_currency("recurring_value", d.recurring_value.as_ref()),
            E::OrderPlaced(d) => d.lines.iter().enumerate().try_for_each(|(i, line)| {
                check_currency(&format!("lines[{i}].value"), Some(&line.value))
            }),
            E::OrderCancelled(OrderCancelled { value, .. })
            | E::OrderShipped(OrderShipped { value, .. })
            | E::OrderDelivered(OrderDelivered { value, .. })
            | E::OrderRefused(OrderRefused { value, .. })
            | E::OrderReturned(OrderReturned { value, .. })
            | E::OrderExchanged(OrderExchanged { value, .. })
            | E::OrderRefunded(OrderRefunded { value, .. }) => {
                check_currency("value", value.as_ref())
            }
            _ => Ok(()),
        }
    }

    /// This event as one line of JSON, without line end; [`decode_own_line`] reads it back.
    pub fn to_json_line(&self) -> String {
        serde_json::to_string(self).expect("texts, numbers and string keys always serialise")
    }

    /// As [`Event::to_json_line`], at the end of `out`.
    pub fn write_json_line(&self, out: &mut Vec<u8>) {
        serde_json::to_writer(out, self).expect("texts, numbers and string keys always serialise");
    }
}

impl Serialize for Event {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        let mut map = s.serialize_map(None)?;
        map.serialize_entry("tenant_id", &self.tenant_id)?;
        map.serialize_entry("source", &self.source)?;
        map.serialize_entry("event_id", &self.event_id)?;
        if let Some(source_seq) = self.source_seq {
            map.serialize_entry("source_seq", &source_seq)?;
        }
        map.serialize_entry("event_type", self.data.event_type())?;
        if self.schema_version != SCHEMA_VERSION {
            map.serialize_entry("schema_version", &self.schema_version)?;
        }
        map.serialize_entry("occurred_at", &self.occurred_at)?;
        map.serialize_entry("recorded_at", &self.recorded_at)?;
        if let Some(correction) = &self.correction {
            map.serialize_entry("correction_of", &correction.of)?;
            map.serialize_entry("correction_op", &correction.op)?;
        }
        map.serialize_entry("data", &self.data)?;
        if !self.attributes.is_empty() {
            map.serialize_entry("attributes", &self.attributes)?;
        }
        map.end()
    }
}

/// Is the currency written as ISO 4217 does?
fn check_currency(field: &str, money: Option<&Money>) -> Result<(), Reject> {
    let Some(Money { currency, .. }) = money else {
        return Ok(());
    };
    if currency.len() == 3 && currency.bytes().all(|b| b.is_ascii_uppercase()) {
        return Ok(());
    }
    let detail = format!(
        "is '{}': send the three capital letters of ISO 4217, as CNY",
        shortened(currency)
    );
    Err(Reject::new(
        RejectCode::BadEnum,
        format!("{field}.currency"),
        detail,
    ))
}
