//! Taking the id fields out of an event's data, and putting them back.
//!
//! Writing: the data serialises itself into a [`Split`], which keeps the id fields apart and writes
//! the rest as a JSON object. Reading: [`Joined`] looks like one object that has both.

use std::{marker::PhantomData, ops::Range};

use serde::{
    Deserializer, Serialize, Serializer,
    de::{DeserializeSeed, MapAccess, Visitor, value::BorrowedStrDeserializer},
    forward_to_deserialize_any,
    ser::{Error as _, Impossible, SerializeMap},
};
use serde_json::Error;

use crate::tables::ID_COLUMNS;

/// The data of one event in two parts. Reused from event to event.
#[derive(Debug, Default)]
pub(crate) struct Split {
    /// The fields that are not ids, as a JSON object.
    pub json: Vec<u8>,
    texts: String,
    ids: [Option<Range<usize>>; ID_COLUMNS.len()],
}

impl Split {
    /// Splits `data`, which serialises as a map with text keys.
    pub fn fill(&mut self, data: &impl Serialize) -> Result<(), Error> {
        self.json.clear();
        self.texts.clear();
        self.ids = Default::default();
        self.json.push(b'{');
        data.serialize(SplitMap {
            into: self,
            id: None,
        })
    }

    /// The id field of that place in [`ID_COLUMNS`].
    pub fn id(&self, column: usize) -> Option<&str> {
        self.ids[column].clone().map(|range| &self.texts[range])
    }

    /// The JSON object as text.
    pub fn json_text(&self) -> &str {
        std::str::from_utf8(&self.json).expect("the JSON writer makes UTF-8")
    }
}

fn id_column(key: &str) -> Option<usize> {
    if !key.ends_with("_id") {
        return None;
    }
    ID_COLUMNS.iter().position(|name| *name == key)
}

macro_rules! refuse {
    ($ok:ty, $what:literal: $($method:ident($($ty:ty),*))*) => { $(
        fn $method(self, $(_: $ty),*) -> Result<$ok, Error> { Err(Error::custom($what)) }
    )* };
}

/// The methods of a serializer that takes one shape only.
macro_rules! refuse_all_but_one {
    ($ok:ty, $what:literal) => {
        type Ok = $ok;
        type Error = Error;
        type SerializeSeq = Impossible<$ok, Error>;
        type SerializeTuple = Impossible<$ok, Error>;
        type SerializeTupleStruct = Impossible<$ok, Error>;
        type SerializeTupleVariant = Impossible<$ok, Error>;
        type SerializeStruct = Impossible<$ok, Error>;
        type SerializeStructVariant = Impossible<$ok, Error>;

        refuse! { $ok, $what:
            serialize_bool(bool) serialize_i8(i8) serialize_i16(i16) serialize_i32(i32)
            serialize_i64(i64) serialize_u8(u8) serialize_u16(u16) serialize_u32(u32)
            serialize_u64(u64) serialize_f32(f32) serialize_f64(f64) serialize_char(char)
            serialize_bytes(&[u8]) serialize_none() serialize_unit()
            serialize_unit_struct(&'static str)
            serialize_unit_variant(&'static str, u32, &'static str)
        }
        fn serialize_some<T: ?Sized + Serialize>(self, value: &T) -> Result<$ok, Error> {
            value.serialize(self)
        }
        fn serialize_newtype_struct<T: ?Sized + Serialize>(
            self,
            _: &'static str,
            value: &T,
        ) -> Result<$ok, Error> {
            value.serialize(self)
        }
        fn serialize_newtype_variant<T: ?Sized + Serialize>(
            self,
            _: &'static str,
            _: u32,
            _: &'static str,
            _: &T,
        ) -> Result<$ok, Error> {
            Err(Error::custom($what))
        }
        fn serialize_seq(self, _: Option<usize>) -> Result<Self::SerializeSeq, Error> {
            Err(Error::custom($what))
        }
        fn serialize_tuple(self, _: usize) -> Result<Self::SerializeTuple, Error> {
            Err(Error::custom($what))
        }
        fn serialize_tuple_struct(
            self,
            _: &'static str,
            _: usize,
        ) -> Result<Self::SerializeTupleStruct, Error> {
            Err(Error::custom($what))
        }
        fn serialize_tuple_variant(
            self,
            _: &'static str,
            _: u32,
            _: &'static str,
            _: usize,
        ) -> Result<Self::SerializeTupleVariant, Error> {
            Err(Error::custom($what))
        }
        fn serialize_struct(
            self,
            _: &'static str,
            _: usize,
        ) -> Result<Self::SerializeStruct, Error> {
            Err(Error::custom($what))
        }
        fn serialize_struct_variant(
            self,
            _: &'static str,
            _: u32,
            _: &'static str,
            _: usize,
        ) -> Result<Self::SerializeStructVariant, Error> {
            Err(Error::custom($what))
        }
    };
}

/// Takes the whole map.
struct SplitMap<'a> {
    into: &'a mut Split,
    /// Column of the field whose value comes next, if it is an id.
    id: Option<usize>,
}

impl<'a> Serializer for SplitMap<'a> {
    type SerializeMap = SplitMap<'a>;
    refuse_all_but_one!((), "event data must be a map");

    fn serialize_str(self, _: &str) -> Result<(), Error> {
        Err(Error::custom("event data must be a map"))
    }
    fn serialize_map(self, _: Option<usize>) -> Result<Self, Error> {
        Ok(self)
    }
}

impl SerializeMap for SplitMap<'_> {
    type Ok = ();
    type Error = Error;

    fn serialize_key<T: ?Sized + Serialize>(&mut self, key: &T) -> Result<(), Error> {
        self.id = key.serialize(Key(self.into))?;
        Ok(())
    }

    fn serialize_value<T: ?Sized + Serialize>(&mut self, value: &T) -> Result<(), Error> {
        match self.id {
            Some(column) => {
                let start = self.into.texts.len();
                value.serialize(IdText(&mut self.into.texts))?;
                self.into.ids[column] = Some(start..self.into.texts.len());
                Ok(())
            }
            None => value.serialize(&mut serde_json::Serializer::new(&mut self.into.json)),
        }
    }

    fn end(self) -> Result<(), Error> {
        self.into.json.push(b'}');
        Ok(())
    }
}

/// Tells an id field from another; writes the key of another.
struct Key<'a>(&'a mut Split);

impl Serializer for Key<'_> {
    type SerializeMap = Impossible<Option<usize>, Error>;
    refuse_all_but_one!(Option<usize>, "a field name must be text");

    fn serialize_str(self, key: &str) -> Result<Option<usize>, Error> {
        let id = id_column(key);
        if id.is_none() {
            let json = &mut self.0.json;
            if json.len() > 1 {
                json.push(b',');
            }
            if key.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_') {
                json.push(b'"');
                json.extend_from_slice(key.as_bytes());
                json.push(b'"');
            } else {
                key.serialize(&mut serde_json::Serializer::new(&mut *json))?;
            }
            json.push(b':');
        }
        Ok(id)
    }
    fn serialize_map(self, _: Option<usize>) -> Result<Self::SerializeMap, Error> {
        Err(Error::custom("a field name must be text"))
    }
}

/// Takes the text of an id field.
struct IdText<'a>(&'a mut String);

impl Serializer for IdText<'_> {
    type SerializeMap = Impossible<(), Error>;
    refuse_all_but_one!((), "an id must be text");

    fn serialize_str(self, text: &str) -> Result<(), Error> {
        self.0.push_str(text);
        Ok(())
    }
    fn serialize_map(self, _: Option<usize>) -> Result<Self::SerializeMap, Error> {
        Err(Error::custom("an id must be text"))
    }
}

/// The two parts as one object for a decoder.
pub(crate) struct Joined<'de> {
    pub ids: [Option<&'de str>; ID_COLUMNS.len()],
    pub json: &'de str,
}

impl<'de> Deserializer<'de> for Joined<'de> {
    type Error = Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        let mut json = serde_json::Deserializer::from_str(self.json);
        let value = json.deserialize_map(JoinedVisitor {
            ids: self.ids,
            visitor,
        })?;
        json.end()?;
        Ok(value)
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option
        unit unit_struct newtype_struct seq tuple tuple_struct map struct enum identifier
        ignored_any
    }
}

struct JoinedVisitor<'de, V> {
    ids: [Option<&'de str>; ID_COLUMNS.len()],
    visitor: V,
}

impl<'de, V: Visitor<'de>> Visitor<'de> for JoinedVisitor<'de, V> {
    type Value = V::Value;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(self, rest: A) -> Result<V::Value, A::Error> {
        self.visitor.visit_map(JoinedAccess {
            ids: self.ids,
            next: 0,
            value: None,
            rest,
        })
    }
}

struct JoinedAccess<'de, A> {
    ids: [Option<&'de str>; ID_COLUMNS.len()],
    next: usize,
    value: Option<&'de str>,
    rest: A,
}

impl<'de, A: MapAccess<'de>> MapAccess<'de> for JoinedAccess<'de, A> {
    type Error = A::Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, A::Error> {
        while self.next < self.ids.len() {
            let column = self.next;
            self.next += 1;
            if let Some(text) = self.ids[column] {
                self.value = Some(text);
                return seed
                    .deserialize(BorrowedStrDeserializer::new(ID_COLUMNS[column]))
                    .map(Some);
            }
        }
        self.rest.next_key_seed(seed)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, A::Error> {
        match self.value.take() {
            Some(text) => seed.deserialize(IdValue(text, PhantomData)),
            None => self.rest.next_value_seed(seed),
        }
    }
}

/// An id as the value of a field that may be optional, which serde's own text is not.
struct IdValue<'de, E>(&'de str, PhantomData<E>);

impl<'de, E: serde::de::Error> Deserializer<'de> for IdValue<'de, E> {
    type Error = E;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, E> {
        visitor.visit_borrowed_str(self.0)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, E> {
        visitor.visit_some(self)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, E> {
        visitor.visit_newtype_struct(self)
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit
        unit_struct seq tuple tuple_struct map struct enum identifier ignored_any
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde::Deserialize;

    use super::*;

    #[test]
    fn every_id_column_ends_in_id() {
        assert!(ID_COLUMNS.iter().all(|name| id_column(name).is_some()));
    }

    #[test]
    fn ids_are_taken_out_and_put_back() {
        let data = serde_json::json!({
            "visit_id": "c1.q1", "queue_id": "计费", "priority": 3,
            "required_skills": ["a\"b"], "a \"b\"": 1,
        });
        let mut split = Split::default();
        split.fill(&data).unwrap();
        assert_eq!(
            split.json_text(),
            r#"{"priority":3,"required_skills":["a\"b"],"a \"b\"":1}"#
        );
        assert_eq!(
            (split.id(1), split.id(4), split.id(0)),
            (Some("c1.q1"), Some("计费"), None)
        );

        let ids = std::array::from_fn(|i| split.id(i));
        let joined = Joined {
            ids,
            json: split.json_text(),
        };
        let back = BTreeMap::<String, serde_json::Value>::deserialize(joined).unwrap();
        let expected: BTreeMap<_, _> = data.as_object().unwrap().clone().into_iter().collect();
        assert_eq!(back, expected);
    }

    #[test]
    fn data_of_ids_only_leaves_an_empty_object() {
        let mut split = Split::default();
        split.fill(&serde_json::json!({"leg_id": "l"})).unwrap();
        assert_eq!(split.json_text(), "{}");
    }

    #[test]
    fn an_id_that_is_not_text_is_an_error() {
        assert!(
            Split::default()
                .fill(&serde_json::json!({"leg_id": 7}))
                .is_err()
        );
    }
}
