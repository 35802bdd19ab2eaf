//! The macros behind the vocabulary table: what cannot be said with a plain table, because every
//! entry is also a Rust type.

/// A closed list: an enum, its texts, and the way back.
macro_rules! closed_list {
    ($(#[$doc:meta])* $name:ident { $($variant:ident $text:literal),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[allow(missing_docs)]
        pub enum $name { $($variant),+ }

        impl $name {
            /// Every member, in the order of the documentation.
            pub const ALL: &'static [$name] = &[$($name::$variant),+];

            /// The text used in events, Parquet and SQL.
            pub const fn as_str(self) -> &'static str {
                match self { $($name::$variant => $text),+ }
            }

            /// The member with this text.
            pub fn parse(text: &str) -> Option<Self> {
                match text { $($text => Some($name::$variant),)+ _ => None }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
                s.serialize_str(self.as_str())
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
                $crate::decode::list_member(d, $name::parse, &[$($text),+])
            }
        }

        impl $crate::decode::FieldType for $name {
            const KIND: $crate::decode::FieldKind =
                $crate::decode::FieldKind::List(&[$($text),+]);

            fn read<'de, A: serde::de::MapAccess<'de>>(
                map: &mut A,
                field: $crate::decode::Field,
                notes: &mut $crate::decode::Notes<'_>,
            ) -> Result<Option<Self>, A::Error> {
                $crate::decode::read_list(map, field, notes, $name::parse, &[$($text),+])
            }
        }
    };
}

/// A JSON object with typed fields: a struct, how it is read, written and checked.
macro_rules! object {
    ($(#[$doc:meta])+ $name:ident {
        $($(#[$fdoc:meta])* $field:ident : $ty:ty),* $(,)?
    }) => {
        $(#[$doc])+
        #[derive(Clone, Debug, PartialEq, Eq)]
        #[allow(missing_docs)]
        pub struct $name { $($(#[$fdoc])* pub $field: $ty),* }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
                use serde::ser::SerializeMap;
                let mut map = s.serialize_map(None)?;
                $($crate::decode::FieldType::write(&self.$field, stringify!($field), &mut map)?;)*
                map.end()
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
                let mut unknown = $crate::Attributes::new();
                let mut notes = $crate::decode::Notes::new(&mut unknown);
                $crate::decode::read_object(d, &mut notes)
            }
        }

        impl $crate::decode::Object for $name {
            const FIELDS: &'static [$crate::decode::FieldSpec] = &[
                $($crate::decode::FieldSpec {
                    name: stringify!($field),
                    kind: <$ty as $crate::decode::FieldType>::KIND,
                    required: <$ty as $crate::decode::FieldType>::REQUIRED,
                }),*
            ];

            fn read<'de, A: serde::de::MapAccess<'de>>(
                mut map: A,
                notes: &mut $crate::decode::Notes<'_>,
            ) -> Result<Self, A::Error> {
                use $crate::decode::{Field, FieldType};
                $(let mut $field: Option<$ty> = None;)*
                while let Some(key) = map.next_key::<$crate::decode::Str<'de>>()? {
                    match &*key.0 {
                        $(stringify!($field) => {
                            const FIELD: Field = Field::new(stringify!($field));
                            if $field.is_some() {
                                return Err(notes.twice(FIELD.name));
                            }
                            $field = <$ty as FieldType>::read(&mut map, FIELD, notes)?;
                        })*
                        _ => notes.keep_unknown(&mut map, &key.0)?,
                    }
                }
                Ok($name { $($field: notes.required($field, stringify!($field))?),* })
            }

            fn check(
                &self,
                notes: &mut $crate::decode::Notes<'_>,
            ) -> Result<(), $crate::decode::Refused> {
                use $crate::decode::{Field, FieldType};
                $({
                    const FIELD: Field = Field::new(stringify!($field));
                    FieldType::check(&self.$field, FIELD, notes)?;
                })*
                Ok(())
            }
        }
    };
}

/// The vocabulary: a struct per event type, the `EventData` enum over them, and the table of
/// [`EventSpec`](crate::decode::EventSpec) that the schema and the documentation are made from.
macro_rules! vocabulary {
    ($( $(#[doc = $doc:literal])+ $name:ident = $text:literal, rank $rank:literal {
        $($field:ident : $ty:ty),* $(,)?
    } )+) => {
        $(
            $crate::macros::object! {
                $(#[doc = $doc])+
                $name { $($field: $ty),* }
            }

            impl From<$name> for EventData {
                fn from(data: $name) -> Self { EventData::$name(data) }
            }
        )+

        /// The content of an event, by type.
        #[derive(Clone, Debug, PartialEq, Eq)]
        #[allow(missing_docs)]
        pub enum EventData { $($name($name)),+ }

        impl EventData {
            /// The type name, as `queue.entered`.
            pub const fn event_type(&self) -> &'static str {
                match self { $(EventData::$name(_) => $text),+ }
            }

            /// Place of this type among events of one entity at the same instant.
            pub const fn rank(&self) -> u8 {
                match self { $(EventData::$name(_) => $rank),+ }
            }

            /// Reads `data` of the named type with findings in `notes`; `None` for a type that
            /// does not exist.
            pub(crate) fn read<'de, D: serde::Deserializer<'de>>(
                event_type: &str,
                data: D,
                notes: &mut $crate::decode::Notes<'_>,
            ) -> Option<Result<Self, D::Error>> {
                match event_type {
                    $($text => Some(
                        $crate::decode::read_object::<$name, D>(data, notes).map(EventData::$name)
                    ),)+
                    _ => None,
                }
            }

            pub(crate) fn check(
                &self,
                notes: &mut $crate::decode::Notes<'_>,
            ) -> Result<(), $crate::decode::Refused> {
                use $crate::decode::Object;
                match self { $(EventData::$name(data) => data.check(notes)),+ }
            }
        }

        impl serde::Serialize for EventData {
            fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
                match self { $(EventData::$name(data) => data.serialize(s)),+ }
            }
        }

        /// Every event type with its fields.
        pub const VOCABULARY: &[$crate::decode::EventSpec] = &[
            $($crate::decode::EventSpec {
                event_type: $text,
                rank: $rank,
                doc: concat!($($doc),+),
                fields: <$name as $crate::decode::Object>::FIELDS,
            }),+
        ];
    };
}

pub(crate) use {closed_list, object, vocabulary};
