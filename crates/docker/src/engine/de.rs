//! Deserializes derived types from a [`Reader`], as lenient as it is: `null` and a missing member are
//! the default, and of a member given twice the last counts.
//!
//! A field is named by the path of its member, `Spec.TaskTemplate.ContainerSpec.Image`. So one struct
//! stands for an object however deep its members are, and one more member is one more field. A
//! [`Raw`] value is read later, or part by part.

use std::borrow::Cow;
use std::fmt;
use std::ops::Deref;

use serde::de::value::BorrowedBytesDeserializer;
use serde::de::{
    self, Deserialize, DeserializeSeed, Deserializer, IntoDeserializer, MapAccess, SeqAccess,
    Visitor,
};
use serde::forward_to_deserialize_any;

use super::read::{Fault, Reader};

/// Reads a value.
pub(super) fn read<'de, T: Deserialize<'de>>(reader: &mut Reader<'de>) -> Result<T, Fault> {
    T::deserialize(Value(reader))
}

/// The next value of a reader.
struct Value<'r, 'de>(&'r mut Reader<'de>);

impl<'de> Deserializer<'de> for Value<'_, 'de> {
    type Error = Fault;

    fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Fault> {
        Err(self.0.wrong_type("a type that messages have"))
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        visitor.visit_bool(self.0.boolean()?)
    }

    fn deserialize_i64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        visitor.visit_i64(self.0.signed()?)
    }

    fn deserialize_u64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        visitor.visit_u64(self.0.unsigned()?)
    }

    fn deserialize_u32<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        visitor.visit_u32(small(self.0)?)
    }

    fn deserialize_u16<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        visitor.visit_u16(small(self.0)?)
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        match self.0.string()? {
            Cow::Borrowed(text) => visitor.visit_borrowed_str(text),
            Cow::Owned(text) => visitor.visit_string(text),
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        if self.0.is_null()? { visitor.visit_none() } else { visitor.visit_some(self) }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Fault> {
        if name != Raw::NAME {
            return visitor.visit_newtype_struct(self);
        }
        // The member has been skipped where it was found.
        let (text, at) = self.0.place();
        visitor.visit_seq(Place { text: Some(text), at: Some(at) })
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Fault> {
        let (text, _) = self.0.place();
        let mut found = Found { fields, places: [0; MOST_FIELDS], seen: 0 };
        found.members(self.0, 0, (1 << fields.len()) - 1)?;
        visitor.visit_map(Members { text, found, index: 0 })
    }

    forward_to_deserialize_any! {
        i8 i16 i32 i128 u8 u128 f32 f64 char string bytes byte_buf unit unit_struct seq tuple
        tuple_struct map enum identifier ignored_any
    }
}

/// The most fields that a message has.
const MOST_FIELDS: usize = 48;

/// Where the values of a message's fields stand.
struct Found {
    fields: &'static [&'static str],
    places: [usize; MOST_FIELDS],
    /// A bit for each field that was found.
    seen: u64,
}

impl Found {
    /// Finds values in the object that is next. `fields` has a bit for each field whose path leads
    /// there, by its first `prefix` bytes.
    fn members(
        &mut self,
        reader: &mut Reader<'_>,
        prefix: usize,
        fields: u64,
    ) -> Result<(), Fault> {
        reader.object(|reader, key| {
            let (mut deeper, mut rest) = (0, fields);
            while rest != 0 {
                let index = rest.trailing_zeros() as usize;
                rest &= rest - 1;
                let path = &self.fields[index].as_bytes()[prefix..];
                if path.first() != key.first() {
                    continue;
                }
                match path.strip_prefix(key) {
                    Some([]) => {
                        self.places[index] = reader.place().1;
                        self.seen |= 1 << index;
                        return reader.skip_unread();
                    }
                    Some([b'.', ..]) => deeper |= 1 << index,
                    _ => {}
                }
            }
            match deeper {
                0 => reader.skip().map(drop),
                _ => self.members(reader, prefix + key.len() + 1, deeper),
            }
        })
    }
}

fn small<T: TryFrom<u64>>(reader: &mut Reader<'_>) -> Result<T, Fault> {
    let before = reader.clone();
    let number = reader.unsigned()?;
    T::try_from(number).map_err(|_| before.wrong_type("a smaller number"))
}

/// The fields that were found.
struct Members<'de> {
    text: &'de [u8],
    found: Found,
    /// Of the present field.
    index: usize,
}

impl<'de> MapAccess<'de> for Members<'de> {
    type Error = Fault;

    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, Fault> {
        let left = &mut self.found.seen;
        if *left == 0 {
            return Ok(None);
        }
        self.index = left.trailing_zeros() as usize;
        *left &= *left - 1;
        seed.deserialize((self.index as u64).into_deserializer()).map(Some)
    }

    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, Fault> {
        let place = self.found.places[self.index];
        seed.deserialize(Value(&mut Reader::at(self.text, place)))
    }
}

/// A text, borrowed unless it holds an escape.
#[derive(Debug, Default)]
pub(super) struct Text<'a>(Cow<'a, str>);

impl Deref for Text<'_> {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Text<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Take;

        impl<'de> Visitor<'de> for Take {
            type Value = Text<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string")
            }

            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Text<'de>, E> {
                Ok(Text(Cow::Borrowed(text)))
            }

            fn visit_str<E>(self, text: &str) -> Result<Text<'de>, E> {
                Ok(Text(Cow::Owned(text.to_owned())))
            }
        }

        deserializer.deserialize_str(Take)
    }
}

/// A value that is not read yet: where it begins.
#[derive(Debug)]
pub(super) struct Raw<'a>(Reader<'a>);

impl<'a> Raw<'a> {
    /// By this name the deserializer recognizes the type.
    const NAME: &'static str = "$raw";

    /// Reads it.
    pub(super) fn reader(&self) -> Reader<'a> {
        self.0.clone()
    }

    /// How it is written.
    pub(super) fn text(&self) -> Result<&'a [u8], Fault> {
        self.reader().skip()
    }
}

impl Default for Raw<'_> {
    fn default() -> Self {
        Self(Reader::new(b"null"))
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Raw<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Take;

        impl<'de> Visitor<'de> for Take {
            type Value = Raw<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a place in a text")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut place: A) -> Result<Raw<'de>, A::Error> {
                let text = place.next_element()?.unwrap_or_default();
                let at = place.next_element()?.unwrap_or_default();
                Ok(Raw(Reader::at(text, at)))
            }
        }

        deserializer.deserialize_newtype_struct(Self::NAME, Take)
    }
}

/// A place in a text, as a sequence of the two.
struct Place<'de> {
    text: Option<&'de [u8]>,
    at: Option<usize>,
}

impl<'de> SeqAccess<'de> for Place<'de> {
    type Error = Fault;

    fn next_element_seed<S: DeserializeSeed<'de>>(
        &mut self,
        seed: S,
    ) -> Result<Option<S::Value>, Fault> {
        match (self.text.take(), self.at) {
            (Some(text), _) => seed.deserialize(BorrowedBytesDeserializer::new(text)).map(Some),
            (None, Some(at)) => seed.deserialize((at as u64).into_deserializer()).map(Some),
            (None, None) => Ok(None),
        }
    }
}

impl de::Error for Fault {
    /// Values are asked for by their type, so that no visitor is handed another.
    fn custom<T: fmt::Display>(_: T) -> Self {
        Self::Type { at: 0, expected: "another value" }
    }
}
