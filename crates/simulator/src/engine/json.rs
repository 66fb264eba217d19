//! JSON as Go's `encoding/json` writes it.

use std::{fmt, io};

use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::ser::{CharEscape, CompactFormatter, Formatter};
use serde_json::value::RawValue;

/// Encodes a value as Go does: `<`, `>`, `&`, U+2028 and U+2029 escaped, and a newline at the end.
pub fn encode(value: &impl Serialize) -> Vec<u8> {
    let mut json = Vec::new();
    append(&mut json, value);
    json.push(b'\n');
    json
}

/// Appends a value without a newline.
pub(crate) fn append(json: &mut Vec<u8>, value: &impl Serialize) {
    let mut serializer = serde_json::Serializer::with_formatter(json, Go);
    value.serialize(&mut serializer).expect("what is encoded here has string keys only");
}

/// Go's escaping.
struct Go;

impl Formatter for Go {
    fn write_string_fragment<W: ?Sized + io::Write>(
        &mut self,
        writer: &mut W,
        fragment: &str,
    ) -> io::Result<()> {
        let mut rest = fragment;
        while let Some(place) = rest.find(['<', '>', '&', '\u{2028}', '\u{2029}']) {
            let (before, from) = rest.split_at(place);
            let mut characters = from.chars();
            let escaped = u32::from(characters.next().expect("`find` found a character"));
            write!(writer, "{before}\\u{escaped:04x}")?;
            rest = characters.as_str();
        }
        writer.write_all(rest.as_bytes())
    }

    fn write_char_escape<W: ?Sized + io::Write>(
        &mut self,
        writer: &mut W,
        escape: CharEscape,
    ) -> io::Result<()> {
        match escape {
            CharEscape::Backspace => writer.write_all(br"\u0008"),
            CharEscape::FormFeed => writer.write_all(br"\u000c"),
            escape => CompactFormatter.write_char_escape(writer, escape),
        }
    }
}

/// The members of an object, in their order.
pub(crate) struct Members(Vec<(String, Box<RawValue>)>);

impl Members {
    /// The members of an object.
    pub(crate) fn of(recorded: &str) -> Self {
        serde_json::from_str(recorded).expect("what a real server answered is JSON")
    }

    /// Replaces a member, or adds it.
    pub(crate) fn set(&mut self, name: &str, value: &impl Serialize) {
        let mut text = Vec::new();
        append(&mut text, value);
        let text = String::from_utf8(text).expect("JSON is UTF-8");
        let value = RawValue::from_string(text).expect("just made");
        match self.0.iter_mut().find(|(member, _)| member == name) {
            Some((_, old)) => *old = value,
            None => self.0.push((name.to_owned(), value)),
        }
    }
}

impl<'de> Deserialize<'de> for Members {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Collect;
        impl<'de> Visitor<'de> for Collect {
            type Value = Members;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Members(members))
            }
        }
        deserializer.deserialize_map(Collect)
    }
}

impl Serialize for Members {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(name, value)| (name, value)))
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn escapes_as_go_does() {
        let json = super::encode(&"<a>&\u{8}\u{c}\n\u{1}\u{2028}└ü\"\\\u{7f}");
        assert_eq!(
            String::from_utf8(json).unwrap(),
            "\"\\u003ca\\u003e\\u0026\\u0008\\u000c\\n\\u0001\\u2028└ü\\\"\\\\\u{7f}\"\n"
        );
    }
}
