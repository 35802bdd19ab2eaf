//! How the vocabulary's fields are read, checked, written and described.
//!
//! Reading is borrowed: keys, list members and numbers are looked at where they stand, only texts
//! are copied into the event. What is wrong is kept in [`Notes`], because an error of a generic
//! deserializer is no more than a message.

use std::{borrow::Cow, fmt, marker::PhantomData};

use serde::{
    Deserialize, Deserializer, Serialize,
    de::{DeserializeSeed, Error as _, MapAccess, SeqAccess, Visitor},
    ser::SerializeMap,
};
use serde_json::value::RawValue;

use crate::{Attributes, Decimal, Reject, RejectCode, Text, UtcMicros, content, lists};

/// What a field holds, for the schema and the documentation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FieldKind {
    /// Any text.
    Text,
    /// A whole number.
    Integer,
    /// `true` or `false`.
    Boolean,
    /// An instant: RFC 3339 with offset, or integer microseconds since 1970 UTC.
    Time,
    /// A calendar day.
    Date,
    /// A decimal number as text, up to four places.
    Decimal,
    /// `{amount, currency}`.
    Money,
    /// One of a closed list of texts.
    List(&'static [&'static str]),
    /// A list of texts.
    Texts,
    /// Slots per channel.
    Slots,
    /// Lines of an order.
    OrderLines,
    /// Items of an evaluation.
    EvaluationItems,
}

impl FieldKind {
    /// In words, as `a whole number`.
    pub const fn words(self) -> &'static str {
        match self {
            FieldKind::Text => "a text",
            FieldKind::Integer => "a whole number",
            FieldKind::Boolean => "true or false",
            FieldKind::Time => {
                "a time as RFC 3339 with an offset (2026-03-02T01:14:02Z) or integer microseconds"
            }
            FieldKind::Date => "a day as YYYY-MM-DD",
            FieldKind::Decimal => "a decimal number as text with at most four places (\"12.50\")",
            FieldKind::Money => "an object {amount, currency}",
            FieldKind::List(_) => "a text of a closed list",
            FieldKind::Texts => "a list of texts",
            FieldKind::Slots => "an object of whole numbers by channel",
            FieldKind::OrderLines => "a list of order lines",
            FieldKind::EvaluationItems => "a list of evaluation items",
        }
    }
}

/// One field of an event type.
#[derive(Clone, Copy, Debug)]
pub struct FieldSpec {
    /// Name in `data`.
    pub name: &'static str,
    /// What it holds.
    pub kind: FieldKind,
    /// Must it be there?
    pub required: bool,
}

/// One event type.
#[derive(Clone, Copy, Debug)]
pub struct EventSpec {
    /// Type name, as `queue.entered`.
    pub event_type: &'static str,
    /// Place among events of one entity at the same instant.
    pub rank: u8,
    /// What it means.
    pub doc: &'static str,
    /// Its fields.
    pub fields: &'static [FieldSpec],
}

/// What the rules say about a field because of its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Ends in `_id` or names a thing: never searched for card numbers, never empty.
    Id,
    /// Ends in `_ms`: never negative.
    Duration,
    /// Anything else; a text is free text.
    Plain,
}

/// A field's name with its role, both known when compiling.
#[derive(Clone, Copy, Debug)]
pub struct Field {
    /// Name in its object.
    pub name: &'static str,
    /// What its name says.
    pub role: Role,
}

impl Field {
    /// The field of that name.
    pub const fn new(name: &'static str) -> Self {
        Field {
            name,
            role: Role::of(name),
        }
    }
}

impl Role {
    /// The role of a field of that name.
    pub const fn of(name: &str) -> Self {
        let text = name.as_bytes();
        let named = is(text, b"sku") || is(text, b"identity");
        if named || ends_with(text, b"_id") || ends_with(text, b"_ids") {
            Role::Id
        } else if ends_with(text, b"_ms") {
            Role::Duration
        } else {
            Role::Plain
        }
    }
}

const fn is(text: &[u8], other: &[u8]) -> bool {
    text.len() == other.len() && ends_with(text, other)
}

const fn ends_with(text: &[u8], end: &[u8]) -> bool {
    if text.len() < end.len() {
        return false;
    }
    let mut i = 0;
    while i < end.len() {
        if text[text.len() - end.len() + i] != end[i] {
            return false;
        }
        i += 1;
    }
    true
}

/// A value breaks a rule; which one is in the [`Notes`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refused;

/// What a decoder learns beside the fields: unknown ones, and what went wrong where.
pub struct Notes<'a> {
    unknown: &'a mut Attributes,
    /// Path of the object that is being read, as `lines[0].`; empty for `data` itself.
    path: String,
    finding: Option<Reject>,
    /// Is the input JSON text that lives as long as `'de`, so that raw values can be borrowed?
    pub(crate) json_text: bool,
}

impl<'a> Notes<'a> {
    /// Notes that put unknown fields into `unknown`.
    pub fn new(unknown: &'a mut Attributes) -> Self {
        Notes {
            unknown,
            path: String::new(),
            finding: None,
            json_text: false,
        }
    }

    /// The first thing that went wrong.
    pub fn take_finding(&mut self) -> Option<Reject> {
        self.finding.take()
    }

    /// Keeps a finding about field `name` of the object at hand; the first one stays.
    #[cold]
    pub(crate) fn note(&mut self, code: RejectCode, name: &str, detail: &str) {
        let path = &self.path;
        self.finding
            .get_or_insert_with(|| Reject::new(code, format!("{path}{name}"), detail));
    }

    /// As [`Notes::note`], with an error for the deserializer.
    #[cold]
    pub(crate) fn fail<E: serde::de::Error>(
        &mut self,
        code: RejectCode,
        name: &str,
        detail: &str,
    ) -> E {
        self.note(code, name, detail);
        E::custom(detail)
    }

    #[cold]
    pub(crate) fn twice<E: serde::de::Error>(&mut self, name: &str) -> E {
        self.fail(RejectCode::BadJson, name, "is there twice: send it once")
    }

    /// A value of another type than the field's.
    #[cold]
    pub(crate) fn mistyped<E: serde::de::Error>(
        &mut self,
        name: &str,
        kind: FieldKind,
        error: E,
    ) -> E {
        let detail = format!("must be {}{}", kind.words(), found_in(&error.to_string()));
        self.note(RejectCode::BadType, name, &detail);
        error
    }

    /// The field's value, or an error if it must be there.
    pub(crate) fn required<T: FieldType, E: serde::de::Error>(
        &mut self,
        value: Option<T>,
        name: &'static str,
    ) -> Result<T, E> {
        value.or_else(T::missing).ok_or_else(|| {
            let detail = format!("is missing, null or empty: send {}", T::KIND.words());
            self.fail(RejectCode::MissingField, name, &detail)
        })
    }

    /// Keeps a field that the vocabulary does not know, as text.
    pub(crate) fn keep_unknown<'de, A: MapAccess<'de>>(
        &mut self,
        map: &mut A,
        key: &str,
    ) -> Result<(), A::Error> {
        let text = match self.json_text {
            true => raw_text(map.next_value::<&'de RawValue>()?.get()),
            false => value_text(map.next_value::<serde_json::Value>()?),
        };
        let Some(text) = text else { return Ok(()) };
        if Role::of(key) != Role::Id {
            self.check_text(key, &text)?;
        }
        keep(
            self.unknown,
            Text::from(format!("{}{key}", self.path)),
            text,
        );
        Ok(())
    }

    fn check_text<E: serde::de::Error>(&mut self, name: &str, text: &str) -> Result<(), E> {
        if content::has_card_number(text) {
            return Err(self.fail(RejectCode::ForbiddenContent, name, CARD));
        }
        Ok(())
    }

    /// Runs `read` with `step` added to the path.
    fn within<T>(&mut self, step: &str, read: impl FnOnce(&mut Self) -> T) -> T {
        let length = self.path.len();
        self.path.push_str(step);
        let result = read(self);
        self.path.truncate(length);
        result
    }
}

/// Adds an attribute; a name that is taken gets the prefix `other.`, for nothing is dropped.
pub(crate) fn keep(attributes: &mut Attributes, mut name: Text, text: Text) {
    while attributes.contains_key(&name) {
        name = Text::from(format!("other.{name}"));
    }
    attributes.insert(name, text);
}

pub(crate) const CARD: &str = "holds a payment card number: take it out at the source";

/// `, not string "x"` out of serde's `invalid type: string "x", expected i64 at line 1 column 5`.
fn found_in(message: &str) -> String {
    let found = message
        .strip_prefix("invalid type: ")
        .or_else(|| message.strip_prefix("invalid value: "))
        .and_then(|rest| rest.split_once(", expected"));
    match found {
        Some((found, _)) => format!(", not {found}"),
        None => String::new(),
    }
}

/// The text of a raw JSON value: a string's content, anything else as written; `None` for null.
fn raw_text(raw: &str) -> Option<Text> {
    match raw.as_bytes().first() {
        Some(b'"') => serde_json::from_str::<Str>(raw)
            .ok()
            .map(|s| Text::from(&*s.0)),
        Some(b'n') => None,
        _ => Some(Text::from(raw)),
    }
}

fn value_text(value: serde_json::Value) -> Option<Text> {
    match value {
        serde_json::Value::Null => None,
        serde_json::Value::String(text) => Some(text.into()),
        other => Some(other.to_string().into()),
    }
}

/// A text that is borrowed from the input where that is possible.
pub struct Str<'de>(pub Cow<'de, str>);

impl<'de> Deserialize<'de> for Str<'de> {
    #[inline]
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        struct Borrow;
        impl<'de> Visitor<'de> for Borrow {
            type Value = Str<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a text")
            }
            #[inline]
            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Str<'de>, E> {
                Ok(Str(Cow::Borrowed(text)))
            }
            fn visit_str<E>(self, text: &str) -> Result<Str<'de>, E> {
                Ok(Str(Cow::Owned(text.to_owned())))
            }
        }
        d.deserialize_str(Borrow)
    }
}

/// A text or null. Unlike `Option<Text>` it can be read from a deserializer that knows only what
/// it has, as those of columns do.
struct MaybeText(Option<Text>);

impl<'de> Deserialize<'de> for MaybeText {
    #[inline]
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        struct Copy;
        impl<'de> Visitor<'de> for Copy {
            type Value = MaybeText;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a text")
            }
            #[inline]
            fn visit_str<E>(self, text: &str) -> Result<MaybeText, E> {
                Ok(MaybeText(Some(text.into())))
            }
            fn visit_unit<E>(self) -> Result<MaybeText, E> {
                Ok(MaybeText(None))
            }
            fn visit_none<E>(self) -> Result<MaybeText, E> {
                Ok(MaybeText(None))
            }
            fn visit_some<D: Deserializer<'de>>(self, d: D) -> Result<MaybeText, D::Error> {
                d.deserialize_any(self)
            }
        }
        d.deserialize_any(Copy)
    }
}

/// A type that a vocabulary field can have.
pub trait FieldType: Sized {
    /// Description for the schema.
    const KIND: FieldKind;
    /// `false` for optional fields.
    const REQUIRED: bool = true;

    /// The value of a field that is not there, if it may be missing.
    fn missing() -> Option<Self> {
        None
    }

    /// Reads and checks the value at hand; `None` for null and for an empty id.
    fn read<'de, A: MapAccess<'de>>(
        map: &mut A,
        field: Field,
        notes: &mut Notes<'_>,
    ) -> Result<Option<Self>, A::Error>;

    /// Checks a value that was not read but made; what is wrong is in `notes`.
    fn check(&self, _field: Field, _notes: &mut Notes<'_>) -> Result<(), Refused> {
        Ok(())
    }

    /// Writes the field unless it is absent.
    fn write<M: SerializeMap>(&self, name: &'static str, map: &mut M) -> Result<(), M::Error>
    where
        Self: Serialize,
    {
        map.serialize_entry(name, self)
    }
}

impl<T: FieldType + Serialize> FieldType for Option<T> {
    const KIND: FieldKind = T::KIND;
    const REQUIRED: bool = false;

    fn missing() -> Option<Self> {
        Some(None)
    }

    fn read<'de, A: MapAccess<'de>>(
        map: &mut A,
        field: Field,
        notes: &mut Notes<'_>,
    ) -> Result<Option<Self>, A::Error> {
        Ok(T::read(map, field, notes)?.map(Some))
    }

    fn check(&self, field: Field, notes: &mut Notes<'_>) -> Result<(), Refused> {
        self.as_ref()
            .map_or(Ok(()), |value| value.check(field, notes))
    }

    fn write<M: SerializeMap>(&self, name: &'static str, map: &mut M) -> Result<(), M::Error> {
        match self {
            Some(value) => value.write(name, map),
            None => Ok(()),
        }
    }
}

/// Reads a value by its own `Deserialize`.
#[inline]
fn read_plain<'de, T: Deserialize<'de>, A: MapAccess<'de>>(
    map: &mut A,
    field: Field,
    kind: FieldKind,
    notes: &mut Notes<'_>,
) -> Result<Option<T>, A::Error> {
    map.next_value::<Option<T>>()
        .map_err(|error| notes.mistyped(field.name, kind, error))
}

/// Turns what `check` found into an error of the deserializer.
#[inline]
fn checked<T: FieldType, E: serde::de::Error>(
    value: Option<T>,
    field: Field,
    notes: &mut Notes<'_>,
) -> Result<Option<T>, E> {
    match &value {
        Some(present) if present.check(field, notes).is_err() => Err(E::custom("refused")),
        _ => Ok(value),
    }
}

/// Reads a member of a closed list.
pub(crate) fn read_list<'de, T, A: MapAccess<'de>>(
    map: &mut A,
    field: Field,
    notes: &mut Notes<'_>,
    parse: fn(&str) -> Option<T>,
    all: &'static [&'static str],
) -> Result<Option<T>, A::Error> {
    let Some(text) = read_plain::<Str<'de>, A>(map, field, FieldKind::List(all), notes)? else {
        return Ok(None);
    };
    match parse(&text.0) {
        Some(member) => Ok(Some(member)),
        None => Err(notes.fail(RejectCode::BadEnum, field.name, &not_a_member(&text.0, all))),
    }
}

fn not_a_member(text: &str, all: &[&str]) -> String {
    format!(
        "is '{}': must be one of {}",
        shortened(text),
        all.join(", ")
    )
}

/// At most sixty characters of what was sent.
pub(crate) fn shortened(text: &str) -> Cow<'_, str> {
    match text.char_indices().nth(60) {
        Some((end, _)) => Cow::Owned(format!("{}…", &text[..end])),
        None => Cow::Borrowed(text),
    }
}

impl FieldType for Text {
    const KIND: FieldKind = FieldKind::Text;

    #[inline]
    fn read<'de, A: MapAccess<'de>>(
        map: &mut A,
        field: Field,
        notes: &mut Notes<'_>,
    ) -> Result<Option<Self>, A::Error> {
        let text = map
            .next_value::<MaybeText>()
            .map_err(|error| notes.mistyped(field.name, Self::KIND, error))?;
        let text = text
            .0
            .filter(|text| field.role != Role::Id || !text.is_empty());
        checked(text, field, notes)
    }

    #[inline]
    fn check(&self, field: Field, notes: &mut Notes<'_>) -> Result<(), Refused> {
        if field.role == Role::Id {
            if self.is_empty() {
                notes.note(RejectCode::MissingField, field.name, "is empty");
                return Err(Refused);
            }
        } else if content::has_card_number(self) {
            notes.note(RejectCode::ForbiddenContent, field.name, CARD);
            return Err(Refused);
        }
        Ok(())
    }
}

impl FieldType for i64 {
    const KIND: FieldKind = FieldKind::Integer;

    #[inline]
    fn read<'de, A: MapAccess<'de>>(
        map: &mut A,
        field: Field,
        notes: &mut Notes<'_>,
    ) -> Result<Option<Self>, A::Error> {
        let number = read_plain(map, field, Self::KIND, notes)?;
        checked(number, field, notes)
    }

    #[inline]
    fn check(&self, field: Field, notes: &mut Notes<'_>) -> Result<(), Refused> {
        if field.role == Role::Duration && *self < 0 {
            let detail = format!("is {self}: a duration in milliseconds is never below zero");
            notes.note(RejectCode::NegativeDuration, field.name, &detail);
            return Err(Refused);
        }
        Ok(())
    }
}

impl FieldType for UtcMicros {
    const KIND: FieldKind = FieldKind::Time;

    #[inline]
    fn read<'de, A: MapAccess<'de>>(
        map: &mut A,
        field: Field,
        notes: &mut Notes<'_>,
    ) -> Result<Option<Self>, A::Error> {
        let time = read_plain(map, field, Self::KIND, notes)?;
        checked(time, field, notes)
    }

    #[inline]
    fn check(&self, field: Field, notes: &mut Notes<'_>) -> Result<(), Refused> {
        if (UtcMicros::DATA_MIN..UtcMicros::DATA_END).contains(self) {
            return Ok(());
        }
        let detail = format!("is {self}: must be a time between 1900 and 2200");
        notes.note(RejectCode::TimeOutOfRange, field.name, &detail);
        Err(Refused)
    }
}

impl FieldType for lists::Date {
    const KIND: FieldKind = FieldKind::Date;

    fn read<'de, A: MapAccess<'de>>(
        map: &mut A,
        field: Field,
        notes: &mut Notes<'_>,
    ) -> Result<Option<Self>, A::Error> {
        let day = read_plain(map, field, Self::KIND, notes)?;
        checked(day, field, notes)
    }

    fn check(&self, field: Field, notes: &mut Notes<'_>) -> Result<(), Refused> {
        let micros = i64::from(self.0).saturating_mul(86_400_000_000);
        UtcMicros(micros).check(field, notes)
    }
}

macro_rules! plain_field_types {
    ($($ty:ty => $kind:ident),+ $(,)?) => { $(
        impl FieldType for $ty {
            const KIND: FieldKind = FieldKind::$kind;

            #[inline]
            fn read<'de, A: MapAccess<'de>>(
                map: &mut A,
                field: Field,
                notes: &mut Notes<'_>,
            ) -> Result<Option<Self>, A::Error> {
                read_plain(map, field, Self::KIND, notes)
            }
        }
    )+ };
}
plain_field_types! { bool => Boolean, Decimal => Decimal }

impl FieldType for Vec<Text> {
    const KIND: FieldKind = FieldKind::Texts;

    fn read<'de, A: MapAccess<'de>>(
        map: &mut A,
        field: Field,
        notes: &mut Notes<'_>,
    ) -> Result<Option<Self>, A::Error> {
        let texts: Option<Vec<Text>> = read_plain(map, field, Self::KIND, notes)?;
        checked(texts, field, notes)
    }

    fn check(&self, field: Field, notes: &mut Notes<'_>) -> Result<(), Refused> {
        self.iter().try_for_each(|text| text.check(field, notes))
    }
}

impl FieldType for lists::Slots {
    const KIND: FieldKind = FieldKind::Slots;

    fn read<'de, A: MapAccess<'de>>(
        map: &mut A,
        field: Field,
        notes: &mut Notes<'_>,
    ) -> Result<Option<Self>, A::Error> {
        type ByText = std::collections::BTreeMap<Text, i64>;
        let Some(slots) = read_plain::<ByText, A>(map, field, Self::KIND, notes)? else {
            return Ok(None);
        };
        let by_channel =
            slots
                .iter()
                .map(|(channel, slots)| match lists::Channel::parse(channel) {
                    Some(channel) => Ok((channel, *slots)),
                    None => {
                        let all: Vec<&str> =
                            lists::Channel::ALL.iter().map(|c| c.as_str()).collect();
                        let detail = not_a_member(channel, &all);
                        Err(notes.fail(RejectCode::BadEnum, field.name, &detail))
                    }
                });
        by_channel.collect::<Result<_, _>>().map(Some)
    }
}

/// A JSON object with typed fields.
pub trait Object: Sized {
    /// Its fields.
    const FIELDS: &'static [FieldSpec];
    /// Reads every field; unknown ones and findings go to `notes`.
    fn read<'de, A: MapAccess<'de>>(map: A, notes: &mut Notes<'_>) -> Result<Self, A::Error>;
    /// Checks an object that was not read but made; what is wrong is in `notes`.
    fn check(&self, notes: &mut Notes<'_>) -> Result<(), Refused>;
}

/// Reads an object of type `T`.
pub(crate) fn read_object<'de, T: Object, D: Deserializer<'de>>(
    data: D,
    notes: &mut Notes<'_>,
) -> Result<T, D::Error> {
    ObjectSeed(notes, PhantomData).deserialize(data)
}

struct ObjectSeed<'n, 'a, T>(&'n mut Notes<'a>, PhantomData<T>);

impl<'de, T: Object> DeserializeSeed<'de> for ObjectSeed<'_, '_, T> {
    type Value = T;
    fn deserialize<D: Deserializer<'de>>(self, d: D) -> Result<T, D::Error> {
        d.deserialize_map(self)
    }
}

impl<'de, T: Object> Visitor<'de> for ObjectSeed<'_, '_, T> {
    type Value = T;
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }
    #[inline]
    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<T, A::Error> {
        T::read(map, self.0)
    }
}

/// An object, or null.
struct OptionSeed<S>(S);

impl<'de, S: DeserializeSeed<'de>> DeserializeSeed<'de> for OptionSeed<S> {
    type Value = Option<S::Value>;
    fn deserialize<D: Deserializer<'de>>(self, d: D) -> Result<Self::Value, D::Error> {
        d.deserialize_option(self)
    }
}

impl<'de, S: DeserializeSeed<'de>> Visitor<'de> for OptionSeed<S> {
    type Value = Option<S::Value>;
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value or null")
    }
    fn visit_none<E>(self) -> Result<Self::Value, E> {
        Ok(None)
    }
    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(None)
    }
    fn visit_some<D: Deserializer<'de>>(self, d: D) -> Result<Self::Value, D::Error> {
        self.0.deserialize(d).map(Some)
    }
}

struct ObjectsSeed<'n, 'a, T>(&'n mut Notes<'a>, Field, PhantomData<T>);

impl<'de, T: Object> DeserializeSeed<'de> for ObjectsSeed<'_, '_, T> {
    type Value = Vec<T>;
    fn deserialize<D: Deserializer<'de>>(self, d: D) -> Result<Vec<T>, D::Error> {
        d.deserialize_seq(self)
    }
}

impl<'de, T: Object> Visitor<'de> for ObjectsSeed<'_, '_, T> {
    type Value = Vec<T>;
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of objects")
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Vec<T>, A::Error> {
        let ObjectsSeed(notes, field, _) = self;
        let mut objects = Vec::new();
        loop {
            let step = format!("{}[{}].", field.name, objects.len());
            let next = notes.within(&step, |notes| {
                seq.next_element_seed(ObjectSeed(notes, PhantomData))
            })?;
            match next {
                Some(object) => objects.push(object),
                None => return Ok(objects),
            }
        }
    }
}

impl FieldType for lists::Money {
    const KIND: FieldKind = FieldKind::Money;

    fn read<'de, A: MapAccess<'de>>(
        map: &mut A,
        field: Field,
        notes: &mut Notes<'_>,
    ) -> Result<Option<Self>, A::Error> {
        let step = format!("{}.", field.name);
        let money = notes.within(&step, |notes| {
            map.next_value_seed(OptionSeed(ObjectSeed(notes, PhantomData)))
        });
        money.map_err(|error| notes.mistyped(field.name, Self::KIND, error))
    }

    fn check(&self, field: Field, notes: &mut Notes<'_>) -> Result<(), Refused> {
        notes.within(&format!("{}.", field.name), |notes| {
            Object::check(self, notes)
        })
    }
}

macro_rules! object_lists {
    ($($ty:ty => $kind:ident),+ $(,)?) => { $(
        impl FieldType for Vec<$ty> {
            const KIND: FieldKind = FieldKind::$kind;

            fn read<'de, A: MapAccess<'de>>(
                map: &mut A,
                field: Field,
                notes: &mut Notes<'_>,
            ) -> Result<Option<Self>, A::Error> {
                map.next_value_seed(OptionSeed(ObjectsSeed(notes, field, PhantomData)))
                    .map_err(|error| notes.mistyped(field.name, Self::KIND, error))
            }

            fn check(&self, field: Field, notes: &mut Notes<'_>) -> Result<(), Refused> {
                self.iter().enumerate().try_for_each(|(i, object)| {
                    let step = format!("{}[{i}].", field.name);
                    notes.within(&step, |notes| Object::check(object, notes))
                })
            }
        }
    )+ };
}
object_lists! {
    lists::OrderLine => OrderLines, lists::EvaluationItem => EvaluationItems,
}

/// A member of a closed list.
pub(crate) fn list_member<'de, D: Deserializer<'de>, T>(
    d: D,
    parse: fn(&str) -> Option<T>,
    all: &'static [&'static str],
) -> Result<T, D::Error> {
    let text = Str::deserialize(d)?;
    parse(&text.0).ok_or_else(|| D::Error::unknown_variant(&text.0, all))
}
